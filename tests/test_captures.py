"""Real recordings against a truth that somebody else computed, and what happens when one of their frames is missing."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest

from imbalanced import tape
from imbalanced.config import Tables
from imbalanced.detect import DETECTORS, FILTERS
from imbalanced.events import BookChanged, BookInvalid, BookValid, Frame
from imbalanced.metrics import METRICS
from imbalanced.replaying import Outputs, replay_files
from imbalanced.session import Session
from imbalanced.venues import VENUES

TABLES = Tables(VENUES, METRICS, DETECTORS, FILTERS)
FOLDER = Path(__file__).resolve().parents[2] / "shared" / "captures"
# Recordings by a venue of the table, under its own name or one of those that it was recorded as.
KNOWN = {*VENUES, *(name for venue in VENUES.values() for name in getattr(venue, "recorded_as", ()))}
CAPTURES = [path for path in sorted(FOLDER.glob("*.jsonl.gz")) if next(tape.read(path)).venue in KNOWN]
# Each of its depth frames is taken away in turn; the long ones would take too long and show nothing new.
SMALL = [path for path in CAPTURES if path.name.startswith("binance") and path.stat().st_size < 200_000]
ABSENT = f"{FOLDER} is not there: the recordings do not come with the repository"

needs_captures = pytest.mark.skipif(not CAPTURES, reason=ABSENT)


def name_of(path: Path) -> str:
    return path.name.removesuffix(".jsonl.gz")


def differs() -> Callable[[dict[str, Any] | None, dict[str, Any]], str | None]:
    """The recordings' own judge."""
    spec = importlib.util.spec_from_file_location("compare", FOLDER / "compare.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: Callable[[dict[str, Any] | None, dict[str, Any]], str | None] = module.differs
    return found


@needs_captures
@pytest.mark.parametrize("path", CAPTURES, ids=name_of)
def test_every_book_and_trade_count_equals_the_truth(path: Path, tmp_path: Path) -> None:
    truth = json.loads(path.with_name(f"{name_of(path)}.truth.json").read_text())
    books = tmp_path / "books.json"
    points = [*truth["checkpoints"], truth["final"]]
    wanted = tuple(point["index"] for point in points)
    outputs = Outputs(signals=None, metrics=None, books=str(books), checkpoints=wanted)
    replay_files([path], None, TABLES, outputs, progress=False)
    ours = {point["index"]: point["symbols"] for point in json.loads(books.read_text())["checkpoints"]}
    judge = differs()
    wrong = [
        f"after record {point['index']}, {symbol}: {why}"
        for point in points
        for symbol, state in point["symbols"].items()
        if (why := judge(ours[point["index"]].get(symbol), state)) is not None
        and not (symbol not in ours[point["index"]] and not state["valid"] and not state["trades"])
    ]
    assert not wrong, f"{len(wrong)} states differ; look at the first record named: {wrong[:3]}"


class Depth(NamedTuple):
    """A depth frame of a recording: where it is and whose."""

    number: int
    symbol: str


def depths_of(frames: list[Frame]) -> list[Depth]:
    found = []
    for number, frame in enumerate(frames):
        if frame.kind == "ws" and b'"depthUpdate"' in frame.data:
            message = orjson.loads(frame.data)
            found.append(Depth(number, message.get("data", message)["s"]))
    return found


def of_books(path: Path) -> list[Frame]:
    """The frames of a recording that say something of a book; not its list of instruments, which is long."""
    return [
        frame
        for frame in tape.read(path)
        if (b'"depthUpdate"' in frame.data if frame.kind == "ws" else b'"lastUpdateId"' in frame.data[:100])
    ]


def story(frames: list[Frame], leave_out: int = -1) -> dict[int, list[tuple[str, str, str]]]:
    """What is said of books, by frame number: (word, symbol, detail). A session alone, without timers."""
    session = Session(VENUES[frames[0].venue].codec(frames[0].venue), discover=True)
    told: dict[int, list[tuple[str, str, str]]] = {}
    for number, frame in enumerate(frames):
        if number == leave_out:
            continue
        for event in session.receive(frame):
            kind = type(event)
            if kind is BookChanged:
                told.setdefault(number, []).append(("changed", event.instrument, str(event.book_seq)))
            elif kind is BookValid:
                told.setdefault(number, []).append(("valid", event.instrument, str(event.book_seq)))
            elif kind is BookInvalid:
                told.setdefault(number, []).append(("invalid", event.instrument, event.reason))
    return told


def of_symbol(told: dict[int, list[tuple[str, str, str]]], symbol: str, *, others: bool) -> list[tuple[int, str, str]]:
    return [
        (number, word, detail)
        for number, said in told.items()
        for word, whose, detail in said
        if (whose == symbol) != others
    ]


@needs_captures
@pytest.mark.parametrize("path", SMALL, ids=name_of)
def test_any_missing_depth_frame_is_said_at_the_very_next_one(path: Path) -> None:
    everything = of_books(path)
    live = 0
    for symbol in sorted({depth.symbol for depth in depths_of(everything)}):
        # One symbol by itself: that others do not notice is the next test.
        frames = [frame for frame in everything if frame.kind != "ws" or b'"%s"' % symbol.encode() in frame.data]
        whole = of_symbol(story(frames), symbol, others=False)
        proven = next(int(detail) for _, word, detail in whole if word == "valid")
        applied = {number: int(detail) for number, word, detail in whole if word == "changed"}
        depths = depths_of(frames)
        for (number, _), (following, _) in pairwise(depths):
            if number not in applied or applied[number] <= proven:
                continue  # the image has it, or its absence cannot be known
            said = of_symbol(story(frames[: following + 1], leave_out=number), symbol, others=False)
            assert said[-1] == (following, "invalid", "sequence_gap"), (
                f"{symbol}: without its frame {number} the next diff is frame {following}; said last was {said[-1]}"
            )
            live += 1
    assert live > 100, f"only {live} frames could be taken away: is this recording still the one it was?"


@needs_captures
@pytest.mark.parametrize("path", SMALL, ids=name_of)
def test_a_missing_frame_of_one_symbol_leaves_all_others_alone(path: Path) -> None:
    frames = of_books(path)
    whole = story(frames)
    for number, symbol in depths_of(frames)[7::41]:
        told = story(frames, leave_out=number)
        assert of_symbol(told, symbol, others=True) == of_symbol(whole, symbol, others=True), (
            f"without frame {number} of {symbol} another book changed: a gap must stay with its symbol"
        )
