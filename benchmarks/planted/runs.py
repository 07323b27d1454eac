"""One seed through the live pipeline with the default configuration, once per choice of filters."""

from __future__ import annotations

import gc
import gzip
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
import orjson

from benchmarks.planted.score import Manner, Open, Truth
from benchmarks.planted.venue import MS, START_MS, VENUE, Seed
from imbalanced.config import Tables, load
from imbalanced.detect import DETECTORS, FILTERS
from imbalanced.events import BookInvalid, Signal, Suppressed
from imbalanced.metrics import METRICS
from imbalanced.pipeline import Pipeline
from imbalanced.replay import with_timers
from imbalanced.tape import record_line
from imbalanced.venues import VENUES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from imbalanced.config import Config
    from imbalanced.events import Frame

S = 1_000_000_000
SIGNS = {"buy": 1, "sell": -1, "none": 0}


@dataclass(slots=True)
class Outcome:
    """What one pass over a seed's frames said."""

    opens: list[Open] = field(default_factory=list)
    suppressed: Counter[tuple[str, str]] = field(default_factory=Counter)  # (kind, filter)
    gaps: int = 0


def configured(without: Sequence[str] = (), instruments: Sequence[str] = ("ANY/ANY",)) -> Config:
    """The default configuration, these filters off."""
    text: dict[str, Any] = {"venues": {VENUE: {"instruments": list(instruments)}}}
    if without:
        text["filters"] = "off" if "all" in without else dict.fromkeys(without, "off")
    tables = Tables(venues=VENUES, metrics=METRICS, detectors=DETECTORS, filters=FILTERS)
    return load(orjson.dumps(text).decode(), tables, environ={}, read_text=_no_file)


def _no_file(path: str) -> str:
    raise OSError(f"{path}: a planted market reads no files")


def manners(config: Config) -> dict[str, Manner]:
    """Horizon and cooldown of every kind that is configured; of kinds that run twice the longer ones."""
    found: dict[str, Manner] = {}
    for spec in config.detectors_of(VENUE):
        options: Any = spec.options
        before = found.get(spec.kind, Manner(0, 0))
        found[spec.kind] = Manner(
            max(before.horizon_ns, options.horizon_ms * MS), max(before.cooldown_ns, options.cooldown_ms * MS)
        )
    return found


def truths(seed: Seed) -> list[Truth]:
    """The seed's events in the time of its frames."""
    start_ns = START_MS * MS
    return [
        Truth(one.kind, one.instrument, one.side, start_ns + int(one.t0 * S), start_ns + int(one.t1 * S))
        for one in seed.events
    ]


def passed(
    frames: Sequence[Frame], config: Config, *, listed: bool = True, names: dict[str, str] | None = None
) -> Outcome:
    """These frames through a new pipeline, the timers included. `names`: what the events call an instrument."""
    outcome = Outcome()
    called = names or {}
    pipeline = Pipeline(config, discover=not listed)
    for _, _, made in with_timers(frames, pipeline, own=False):
        for one in made:
            kind = type(one)
            if kind is Signal:
                if one.event == "open":
                    symbol = called.get(one.instrument, one.instrument)
                    outcome.opens.append(Open(one.kind, symbol, SIGNS[one.side], one.recv_ns))
            elif kind is Suppressed:
                outcome.suppressed[one.kind, one.filter] += 1
            elif kind is BookInvalid:
                outcome.gaps += 1
    return outcome


@dataclass(slots=True)
class Played:
    """One seed: the truth, and the outcome for every choice of filters that are off."""

    seed: int
    family: str
    truths: list[Truth]
    instruments: tuple[str, str]
    span: tuple[int, int]  # from the end of the warm-up to the end of the market
    outcomes: dict[str, Outcome]


def played(
    number: int, choices: Sequence[tuple[str, ...]], *, listed: bool = True, tapes: Path | None = None
) -> Played:
    """The market of this seed, made once and seen once per choice."""
    seed = Seed(number)
    frames = list(seed.frames(listed=listed))
    if tapes is not None:
        write(frames, tapes / f"planted-{number}.jsonl.gz")
        (tapes / f"planted-{number}.events.json").write_bytes(msgspec.json.encode(truths(seed)) + b"\n")
    names = (seed.profiles[0].listing.unified, seed.profiles[1].listing.unified)
    called = {} if listed else {one.listing.symbol: one.listing.unified for one in seed.profiles}
    outcomes = {}
    gc.freeze()
    for without in choices:
        config = configured(without, names if listed else ("ANY/ANY",))
        outcomes[",".join(without)] = passed(frames, config, listed=listed, names=called)
    gc.unfreeze()
    begin_ns = frames[-1].recv_ns - int((seed.length_s - 60.0) * S)
    return Played(number, seed.profiles[0].family, truths(seed), names, (begin_ns, frames[-1].recv_ns), outcomes)


def write(frames: Sequence[Frame], path: Path) -> None:
    """A recording of the frames, as a collector would have made it: sockets and REST answers, no timers."""
    with gzip.open(path, "wb", compresslevel=1) as file:
        for frame in frames:
            if frame.kind in ("ws", "http"):
                file.write(record_line(frame))
