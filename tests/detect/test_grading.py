"""Grades: entry after the latency, exit a horizon later, signed by the side; nothing is bridged."""

from __future__ import annotations

import pytest

from imbalanced.book import Book, Rows
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


def opened(side: str = "buy") -> Signal:
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
        horizon_ms=1000,
        evidence={},
        proof=Proof(book_seq=1, book_age_ms=0, checks=[], gaps_1h=0),
        reason=None,
        config="",
    )


def test_entry_is_the_mid_as_of_the_latency_and_exit_that_of_the_horizon() -> None:
    grader = Grader(50, [1000], cost_bps=4)
    grader.opened(opened(), book_at(99, 101), 0)
    assert grader.step(book_at(109, 111), 40 * MS, 0) == []  # before the latency is over: this is the entry's mid
    assert grader.step(book_at(119, 121), 60 * MS, 0) == []
    assert grader.step(book_at(120, 122), 1050 * MS, 0) == []  # exactly at the exit: the present state holds
    (grade,) = grader.step(book_at(1, 3), 1051 * MS, 7)
    assert grade.gross == pytest.approx((121 - 110) / 110)
    assert grade.net == pytest.approx(grade.gross - 4e-4)
    assert (grade.horizon_ms, grade.recv_ns, grade.id) == (1000, 7, "a")
    assert not grader.pending


def test_a_sell_earns_when_the_price_falls() -> None:
    grader = Grader(0, [100], cost_bps=0)
    grader.opened(opened("sell"), book_at(99, 101), 0)
    grader.step(book_at(89, 91), 50 * MS, 0)
    (grade,) = grader.step(book_at(1, 3), 200 * MS, 0)
    assert grade.gross == pytest.approx(0.1)


def test_several_horizons_may_end_at_once_after_a_silence() -> None:
    grader = Grader(0, [100, 200, 5000], cost_bps=0)
    grader.opened(opened(), book_at(99, 101), 0)
    grades = grader.step(book_at(99, 101), 1000 * MS, 0)
    assert [grade.horizon_ms for grade in grades] == [100, 200]
    assert len(grader.pending) == 1


def test_a_lost_book_takes_what_waits_with_it() -> None:
    grader = Grader(0, [100], cost_bps=0)
    grader.opened(opened(), book_at(99, 101), 0)
    grader.lost()
    assert grader.step(book_at(99, 101), 1000 * MS, 0) == []
