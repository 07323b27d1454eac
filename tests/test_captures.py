"""Real recordings against a truth that somebody else computed."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imbalanced import tape
from imbalanced.config import Tables
from imbalanced.detect import DETECTORS, FILTERS
from imbalanced.metrics import METRICS
from imbalanced.replaying import Outputs, replay_files
from imbalanced.venues import VENUES

TABLES = Tables(VENUES, METRICS, DETECTORS, FILTERS)
FOLDER = Path(__file__).resolve().parents[2] / "shared" / "captures"
# Recordings by a venue of the table, under its own name or one of those that it was recorded as.
KNOWN = {*VENUES, *(name for venue in VENUES.values() for name in getattr(venue, "recorded_as", ()))}
CAPTURES = [path for path in sorted(FOLDER.glob("*.jsonl.gz")) if next(tape.read(path)).venue in KNOWN]
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
