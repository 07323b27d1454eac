"""One recording through the live pipeline: what was opened and refused, and the touch and the flow of every moment."""

from __future__ import annotations

import hashlib
from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from msgspec import structs

from imbalanced import tape
from imbalanced.config import Tables, load
from imbalanced.detect import DETECTORS, FILTERS
from imbalanced.events import BookChanged, BookInvalid, BookReplaced, MetricSnapshot, Signal, Suppressed
from imbalanced.metrics import METRICS
from imbalanced.pipeline import Pipeline
from imbalanced.replay import with_timers
from imbalanced.replaying import default_config, recorded_names
from imbalanced.venues import VENUES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt

    from benchmarks.captures_report.bootstrap import Array
    from imbalanced.config import Config
    from imbalanced.events import Frame

S = 1_000_000_000
TABLES = Tables(venues=VENUES, metrics=METRICS, detectors=DETECTORS, filters=FILTERS)
SIGNS = {"buy": 1, "sell": -1, "none": 0}
# Refusals of one kind closer than this are one attempt: a detector asks again on every value while it is armed.
ATTEMPT_NS = S
METRICS_SEEN = ("ofi", "queue_imbalance")


@dataclass(frozen=True, slots=True)
class Opened:
    """An open: its side (0: none), its receive time, its headline horizon."""

    kind: str
    side: int
    t_ns: int
    horizon_ms: int


class Touch:
    """The best prices of one instrument by receive time, and when its book was lost."""

    def __init__(self) -> None:
        self._times, self._bids, self._asks = array("q"), array("d"), array("d")
        self.lost_ns: list[int] = []
        self.times: Array = np.zeros(0)
        self.bids: Array = np.zeros(0)
        self.asks: Array = np.zeros(0)

    def add(self, t_ns: int, bid: float, ask: float) -> None:
        """The state after a book event."""
        self._times.append(t_ns)
        self._bids.append(bid)
        self._asks.append(ask)

    def end(self) -> None:
        """All was seen."""
        self.times = np.frombuffer(self._times, dtype=np.int64).astype(np.float64) if self._times else np.zeros(0)
        self.bids, self.asks = (np.array(one, dtype=np.float64) for one in (self._bids, self._asks))

    def at(self, t_ns: Array) -> tuple[Array, Array]:
        """Best bid and ask as of these times; NaN before the first state and after the recording's last."""
        if not len(self.times):
            return np.full(len(t_ns), np.nan), np.full(len(t_ns), np.nan)
        at = np.searchsorted(self.times, t_ns, side="right") - 1
        known = (at >= 0) & (t_ns <= self.times[-1])
        return np.where(known, self.bids[at], np.nan), np.where(known, self.asks[at], np.nan)

    def unbroken(self, from_ns: Array, to_ns: Array) -> npt.NDArray[np.bool_]:
        """Whether the book was never lost between these times."""
        lost = np.array(self.lost_ns, dtype=np.float64)
        return np.asarray(np.searchsorted(lost, from_ns, "left") == np.searchsorted(lost, to_ns, "right"))


@dataclass(slots=True)
class Observed:
    """One instrument of one recording."""

    tape: str
    venue: str
    instrument: str
    seed: int
    touch: Touch = field(default_factory=Touch)
    opens: list[Opened] = field(default_factory=list)
    refused: dict[str, list[tuple[int, str]]] = field(default_factory=dict)  # kind: (time, filter)
    flow: list[tuple[int, dict[str, float | None]]] = field(default_factory=list)
    begin_ns: int = 0
    end_ns: int = 0
    gaps: int = 0

    @property
    def hours(self) -> float:
        """With a proven book at the begin."""
        return (self.end_ns - self.begin_ns) / S / 3600


def digest(path: Path) -> int:
    """The recording's own number: what its resampling is seeded with."""
    return int.from_bytes(hashlib.sha256(path.read_bytes()).digest()[:8], "big")


def observed(path: Path, config: Config | None = None) -> list[Observed]:
    """Every instrument that ever had a proven book; none for a recording without one."""
    seed = digest(path)
    pipeline = Pipeline(config or default_config([path], TABLES), discover=config is None)
    found: dict[tuple[str, str], Observed] = {}
    for _, frame, made in with_timers(_frames(path), pipeline, own=tape.is_own(path)):
        for one in made:
            kind = type(one)
            if kind in (BookChanged, BookReplaced):
                seen = found.get((one.venue, one.instrument))
                if seen is None:
                    seen = Observed(path.name.partition(".")[0], one.venue, one.instrument, seed)
                    seen.begin_ns = frame.recv_ns
                    found[one.venue, one.instrument] = seen
                book = one.book
                if book.ok():
                    seen.touch.add(frame.recv_ns, float(book.bids.px_at(0)), float(book.asks.px_at(0)))
                    seen.end_ns = frame.recv_ns
            elif kind in (Signal, Suppressed, BookInvalid, MetricSnapshot):
                seen = found.get((one.venue, one.instrument))
                if seen is not None:
                    _note(seen, one, frame)
    for seen in found.values():
        seen.touch.end()
    return list(found.values())


def _note(seen: Observed, one: Signal | Suppressed | BookInvalid | MetricSnapshot, frame: Frame) -> None:
    if isinstance(one, Signal):
        if one.event == "open":
            seen.opens.append(Opened(one.kind, SIGNS[one.side], one.recv_ns, one.horizon_ms))
    elif isinstance(one, Suppressed):
        seen.refused.setdefault(one.kind, []).append((frame.recv_ns, one.filter))
    elif isinstance(one, BookInvalid):
        seen.touch.lost_ns.append(frame.recv_ns)
        seen.gaps += 1
    else:
        seen.flow.append((frame.recv_ns, {name: one.values.get(name) for name in METRICS_SEEN}))


def _frames(path: Path) -> Iterator[Frame]:
    """The frames under the names that our venues have; what was read before a damaged record stands."""
    names = recorded_names(TABLES)
    for frame in tape.read(path):
        venue = names.get(frame.venue)
        yield frame if venue is None else structs.replace(frame, venue=venue)


def configured(text: str) -> Config:
    """A configuration from YAML."""
    return load(text, TABLES, environ={}, read_text=_no_file)


def _no_file(path: str) -> str:
    raise OSError(f"{path}: a report reads no files but recordings")


def attempts(refused: list[tuple[int, str]], opens_ns: list[int]) -> tuple[dict[str, int], int]:
    """Attempts that never opened, by the filter that refused first; and those that opened after a refusal.

    A run of refusals with less than a second between them is one attempt.
    """
    runs: list[tuple[int, int, str]] = []
    for t_ns, name in refused:
        if runs and t_ns - runs[-1][1] < ATTEMPT_NS:
            runs[-1] = (runs[-1][0], t_ns, runs[-1][2])
        else:
            runs.append((t_ns, t_ns, name))
    stopped: dict[str, int] = {}
    late = 0
    for begin, end, name in runs:
        if any(begin <= t <= end + ATTEMPT_NS for t in opens_ns):
            late += 1
        else:
            stopped[name] = stopped.get(name, 0) + 1
    return stopped, late
