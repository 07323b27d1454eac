"""Grades: entry after the latency, exit a horizon later, signed by the side; nothing is bridged."""

from __future__ import annotations

import pytest

from imbalanced.book import Book, Rows
from imbalanced.detect.confidence import Owner, Track
from imbalanced.detect.grading import Grader
from imbalanced.events import Proof, Signal

MS = 1_000_000


def book_at(bid: int, ask: int) -> Book:
    rows = Rows()
    rows.add(bid, 1.0)
    rows.end_bids()
    rows.add(ask, 1.0)
    book = Book()
    book.replace(rows)
    book.live = True
    return book


def opened(side: str = "buy", horizon_ms: int = 100) -> Signal:
    return Signal(
        id="a",
        event="open",
        kind="order_flow_imbalance",
        side=side,  # type: ignore[arg-type]
        venue="v",
        instrument="A/B",
        ts_ns=0,
        recv_ns=0,
        strength=0.5,
        score=3.0,
        confidence=None,
        mid="100",
        horizon_ms=horizon_ms,
        evidence={},
        proof=Proof(book_seq=1, book_age_ms=0, checks=[], gaps_1h=0),
        reason=None,
        config="",
    )


def test_entry_is_the_mid_as_of_the_latency_and_exit_that_of_the_horizon() -> None:
    grader = Grader(50, [1000], 4, Track())
    grader.opened(opened(horizon_ms=1000), book_at(99, 101), 0)
    assert grader.step(book_at(109, 111), 40 * MS, 0) == []  # before the latency is over: this is the entry's mid
    assert grader.step(book_at(119, 121), 60 * MS, 0) == []
    assert grader.step(book_at(120, 122), 1050 * MS, 0) == []  # exactly at the exit: the present state holds
    (grade,) = grader.step(book_at(1, 3), 1051 * MS, 7)
    assert grade.gross == pytest.approx((121 - 110) / 110)
    assert grade.net == pytest.approx(grade.gross - 4e-4)
    assert (grade.horizon_ms, grade.recv_ns, grade.id) == (1000, 7, "a")
    assert not grader.pending


def test_a_sell_earns_when_the_price_falls() -> None:
    grader = Grader(0, [100], 0, Track())
    grader.opened(opened("sell"), book_at(99, 101), 0)
    grader.step(book_at(89, 91), 50 * MS, 0)
    (grade,) = grader.step(book_at(1, 3), 200 * MS, 0)
    assert grade.gross == pytest.approx(0.1)


def test_several_horizons_may_end_at_once_after_a_silence() -> None:
    grader = Grader(0, [100, 200, 5000], 0, Track())
    grader.opened(opened(), book_at(99, 101), 0)
    grades = grader.step(book_at(99, 101), 1000 * MS, 0)
    assert [grade.horizon_ms for grade in grades] == [100, 200]
    assert len(grader.pending) == 1


def test_a_lost_book_takes_what_waits_with_it_and_says_so() -> None:
    grader = Grader(0, [100, 500], 0, Track())
    grader.opened(opened(), book_at(99, 101), 0)
    grader.step(book_at(99, 101), 200 * MS, 0)
    (lost,) = grader.lost(7)
    assert (lost.id, lost.kind, lost.horizons_ms, lost.recv_ns) == ("a", "order_flow_imbalance", (500,), 7)
    assert grader.step(book_at(99, 101), 1000 * MS, 0) == []
    assert grader.lost(8) == []


def test_a_signal_without_a_side_earns_by_any_move() -> None:
    for to in (90, 110):
        grader = Grader(0, [100], 0, Track())
        grader.opened(opened("none"), book_at(99, 101), 0)
        grader.step(book_at(to - 1, to + 1), 50 * MS, 0)
        (grade,) = grader.step(book_at(1, 3), 200 * MS, 0)
        assert grade.gross == pytest.approx(0.1)


def test_every_signal_is_graded_at_its_own_horizon_and_only_that_grade_is_an_outcome() -> None:
    track = Track()
    grader = Grader(0, [100, 500], 0, track)
    grader.opened(opened(horizon_ms=300), book_at(99, 101), 0)
    grader.step(book_at(109, 111), 50 * MS, 0)
    grades = grader.step(book_at(79, 81), 400 * MS, 0)
    grades += grader.step(book_at(79, 81), 600 * MS, 0)
    assert [grade.horizon_ms for grade in grades] == [100, 300, 500]
    (kind, _, _) = (one for one in track.frozen().cells)
    assert (kind.cell.n, kind.cell.wins) == (1, 1), "it was up at 300 ms, whatever came later"


def test_what_is_held_back_is_learned_from_in_silence_and_one_at_a_time() -> None:
    track = Track()
    grader = Grader(0, [50, 100], 0, track)
    assert not grader.waits_for("order_flow_imbalance")
    grader.held_back(opened(), book_at(99, 101), 0)
    assert grader.waits_for("order_flow_imbalance")
    assert not grader.waits_for("sweep")
    assert grader.step(book_at(99, 101), 1000 * MS, 0) == []
    assert track.confidence(Owner("order_flow_imbalance", "v", "A/B"), 0.5, 1000 * MS).n == pytest.approx(1, rel=1e-3)
    grader.held_back(opened(), book_at(99, 101), 1000 * MS)
    assert grader.lost(1) == [], "nobody was told of it"
