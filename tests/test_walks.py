"""Walks over real recordings: each book frame is taken away in turn, or one digit of it changed. The loss is said at
the very frame where the venue's own proof fails, with the right word; every other book says what it always says.

What must be said comes from ``rawvenues.py`` and ``rawbooks.py``, which read the recording's JSON by the venue's
documents; how a recording is walked is in ``walking.py``.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from rawbooks import Expected
from rawvenues import RULES, UNPROVEN
from sockets_walked import SocketWalk
from walking import DELETED, FLIP, OURS, Ears, Step, Walk, venue_of, with_digit

from imbalanced import tape
from imbalanced.events import Frame

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "captures"
ABSENT = f"{FOLDER} is not there: the recordings do not come with the repository"
CAPTURES = [path for path in sorted(FOLDER.glob("*.jsonl.gz")) if venue_of(path)]
PROVEN = [path for path in CAPTURES if venue_of(path) in RULES]
SUMMED = [path for path in PROVEN if RULES[venue_of(path)].sum]
# Venues that count all messages of a socket.
COUNTED = [path for path in CAPTURES if venue_of(path) == "bitfinex"]
LOOSE = sorted((FOLDER / "frames").glob("*.jsonl.gz"))
needs_captures = pytest.mark.skipif(not CAPTURES, reason=ABSENT)


def name_of(path: Path) -> str:
    return path.name.removesuffix(".jsonl.gz")


@needs_captures
@pytest.mark.parametrize("path", CAPTURES, ids=name_of)
def test_each_recorded_venue_has_a_rule_or_a_reason(path: Path) -> None:
    venue = venue_of(path)
    assert venue in RULES or venue in UNPROVEN or path in COUNTED, (
        f"{name_of(path)}: say in tests/rawvenues.py how {venue} proves its books, so that its frames are walked"
    )


@needs_captures
@pytest.mark.parametrize("path", PROVEN, ids=name_of)
def test_any_missing_book_frame_is_said_where_the_proof_first_fails(path: Path) -> None:
    walk = Walk(path, DELETED)
    walk.run()
    kept = [step.number for at, step in enumerate(walk.steps) if at not in walk.taken]
    assert not kept, f"never taken away: {kept[:20]}"
    allowed = {"checksum_mismatch"} if walk.rule.sum else {"sequence_gap", "snapshot_no_overlap", "stale_snapshot"}
    assert set(walk.found) <= allowed
    assert walk.found or not walk.templates or all(step.told.image for step in walk.steps), "nothing was ever lost"


@needs_captures
@pytest.mark.parametrize("path", SUMMED, ids=name_of)
def test_a_digit_that_differs_is_said_where_the_checksum_first_fails(path: Path) -> None:
    walk = Walk(path, FLIP)
    walk.run()
    assert len(walk.taken) == len(walk.steps)
    assert set(walk.found) == {"checksum_mismatch"}


@needs_captures
@pytest.mark.parametrize("path", COUNTED, ids=name_of)
def test_any_missing_frame_of_a_counted_socket_is_said_at_the_next_one(path: Path) -> None:
    walk = SocketWalk(path)
    walk.run()
    assert walk.found
    assert len(walk.taken) == len(walk.arrays), "each array had its turn"


def summed_images(path: Path) -> list[Step]:
    """The loose frames that are images with a checksum that is right (some were cut or made up)."""
    steps = []
    for number, frame in enumerate(tape.read(path)):
        venue = OURS.get(frame.venue.removesuffix("_fixture"), "")
        rule = RULES.get(venue)
        if rule is None or rule.sum is None or (told := rule.read(frame)) is None or not told.checksum:
            continue
        if told.image and Expected(rule).hear(told) == ["valid", "replaced"]:
            steps.append(Step(number, Frame(frame.recv_ns, venue, frame.conn, frame.kind, frame.data), told))
    return steps


@pytest.mark.skipif(not LOOSE, reason=ABSENT)
def test_any_digit_of_any_size_counts_in_a_loose_image() -> None:
    refused = 0
    for step in (step for path in LOOSE for step in summed_images(path)):
        rule, symbol = RULES[step.frame.venue], step.told.symbol
        assert Ears(step.frame.venue).hear_only(symbol, step.frame) == ["valid", "replaced"]
        for level in (*step.told.bids, *step.told.asks):
            for at in (at for at, digit in enumerate(level[1]) if digit.isdigit()):
                other = with_digit(step, rule, level, at)
                expected = Expected(rule).hear(other.told)
                assert Ears(step.frame.venue).hear_only(symbol, other.frame) == expected, f"{symbol} {level} {at}"
                refused += expected == ["refused checksum_mismatch"]
    assert refused > 100
