"""Recordings with one of their book frames missing, and what the books say of it. Skips where there are none."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
import pytest

from imbalanced import tape
from imbalanced.events import BookChanged, BookInvalid, BookReplaced, BookValid
from imbalanced.session import Session
from imbalanced.venues import VENUES

if TYPE_CHECKING:
    from collections.abc import Callable

    from imbalanced.events import Frame

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "captures"
WORDS: dict[type, str] = {BookChanged: "changed", BookInvalid: "invalid", BookReplaced: "replaced", BookValid: "valid"}
# So many book frames of a recording are taken away in turn; the rest would show nothing new.
MOST = 150


class Said(NamedTuple):
    """What was said of a book, at which frame."""

    number: int
    word: str
    detail: str


class BookFrame(NamedTuple):
    """A book frame of a recording: where it is and whose."""

    number: int
    symbol: str


def frames_of(name: str) -> list[Frame]:
    """A recording's frames."""
    path = FOLDER / f"{name}.jsonl.gz"
    if not path.is_file():
        pytest.skip(f"{path} is not there: the recordings do not come with the repository")
    return list(tape.read(path))


def book_frames(frames: list[Frame], whose: Callable[[dict[str, Any]], str]) -> list[BookFrame]:
    """The first socket frames in which ``whose`` finds the symbol of a book."""
    found = [
        BookFrame(number, symbol)
        for number, frame in enumerate(frames)
        if frame.kind == "ws" and (symbol := whose(orjson.loads(frame.data)))
    ]
    return found[:MOST]


def story(venue: str, frames: list[Frame], leave_out: int = -1) -> dict[str, list[Said]]:
    """What is said of each book (by the venue's symbol), with one frame missing."""
    session = Session(VENUES[venue].codec(venue), discover=True)
    told: dict[str, list[Said]] = {}
    for number, frame in enumerate(frames):
        if number == leave_out:
            continue
        for event in session.receive(frame):
            if (word := WORDS.get(type(event))) is not None:
                lane = session.lane_of(event.instrument)
                assert lane is not None
                detail = event.reason if isinstance(event, BookInvalid) else str(event.book_seq)
                told.setdefault(lane.instrument.venue_symbol, []).append(Said(number, word, detail))
    return told
