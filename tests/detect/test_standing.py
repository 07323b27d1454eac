"""Aged depth: what has a claim to be meant."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from moments import MS, TICK, UNIT, S, T

from imbalanced.book import Book, Rows
from imbalanced.detect.cohorts import Cohorts
from imbalanced.detect.standing import Standing
from imbalanced.metrics.metric import NO_VALUE, VALUE

BPS = Decimal(100)  # ten levels a side


class Band:
    """A book of ten levels a side around 100.05, and the depth in it that counts."""

    def __init__(self, *, eager: bool = True) -> None:
        self.book = Book()
        self.book.live = True
        rows = Rows()
        for i in range(10):
            rows.add(self.px(1, i), 10.0)
        rows.end_bids()
        for i in range(10):
            rows.add(self.px(-1, i), 10.0)
        self.book.replace(rows)
        self.cohorts = Cohorts()
        self.standing = Standing(self.cohorts, BPS, 10_000, eager=eager)
        self.answered = NO_VALUE
        self.now_ns = T
        for one in (self.cohorts, self.standing):
            one.book_replaced(self.book, T)

    @staticmethod
    def px(side: int, rank: int) -> int:
        return 100 * UNIT - rank * TICK if side > 0 else 100 * UNIT + (1 + rank) * TICK

    def at(self, seconds: float) -> Band:
        self.now_ns = T + round(seconds * 1e9)
        return self

    def set(self, side: int, *ranks: int, size: float) -> Band:
        rows = Rows()
        for rank in ranks if side > 0 else ():
            rows.add(self.px(side, rank), size)
        rows.end_bids()
        for rank in ranks if side < 0 else ():
            rows.add(self.px(side, rank), size)
        self.book.apply(rows)
        self.cohorts.book_changed(self.book, self.now_ns)
        self.answered = self.standing.book_changed(self.book, self.now_ns)
        return self

    def wait(self, begin: float, end: float) -> Band:
        for i in range(round(end - begin)):
            self.at(begin + i)
            self.cohorts.clock(self.book, self.now_ns)
            self.answered = self.standing.clock(self.book, self.now_ns)
        return self.at(end)

    def usual(self) -> Band:
        """Half a minute in which nothing happens."""
        return self.wait(0, 40)

    def lean(self) -> float:
        assert self.standing.measure() == VALUE
        value: float = self.standing.out[0]
        return value


def test_what_came_just_now_does_not_count() -> None:
    band = Band().at(1).set(1, 3, size=110.0)
    assert band.standing.raw == pytest.approx(1 / 3, abs=1e-2)
    assert band.lean() == pytest.approx(0, abs=1e-2)
    band.at(1.5).set(-1, 9, size=10.5)
    assert band.lean() == pytest.approx(0, abs=5e-3), "500 ms ago is not older than 500 ms"
    band.at(1.501).set(-1, 9, size=10.6)
    assert band.lean() == pytest.approx(1 / 3, abs=5e-3)


def test_beyond_the_usual_it_has_to_stand_for_ten_seconds() -> None:
    band = Band().usual().set(1, 3, 4, 5, size=110.0)
    for seconds in (1, 5, 10):
        band.at(40 + seconds).set(-1, 9, size=10.0 + seconds / 100)
        assert band.lean() == pytest.approx(0, abs=1e-2)
    band.at(50.001).set(-1, 9, size=10.3)
    assert band.lean() == pytest.approx(300 / 500, abs=1e-2)


def test_layers_that_walk_never_stand() -> None:
    band = Band().usual()
    for i in range(30):
        band.at(40 + i).set(1, 3 + i % 2, 5 + i % 2, size=210.0).set(1, 4 - i % 2, 6 - i % 2, size=10.0)
        assert band.standing.raw > 0.6
        assert abs(band.lean()) < 1e-2


def test_a_side_that_is_refilled_is_not_beyond_its_usual() -> None:
    band = Band().usual().set(-1, *range(1, 9), size=0.0)
    assert band.lean() > 0.5, "what is gone is gone at once"
    band.at(41).set(-1, *range(1, 9), size=10.0).at(41.6).set(1, 9, size=10.1)
    assert band.lean() == pytest.approx(0, abs=1e-2), "and counts again when it has stood for half a second"


def test_at_the_touch_half_a_second_is_enough() -> None:
    band = Band().usual().set(1, 0, size=300.0)
    assert band.lean() == pytest.approx(0, abs=1e-2), "not at once"
    band.at(40.6).set(-1, 9, size=10.1)
    assert band.lean() == pytest.approx(290 / 490, abs=1e-2)


def test_nobody_knows_the_usual_of_a_young_book() -> None:
    band = Band().wait(0, 20).set(1, 3, size=110.0).at(20.6).set(-1, 9, size=10.1)
    assert band.lean() == pytest.approx(1 / 3, abs=1e-2)


def test_a_new_book_forgets_what_was_usual() -> None:
    band = Band().usual()
    band.cohorts.book_replaced(band.book, band.now_ns)
    band.standing.book_replaced(band.book, band.now_ns)
    band.set(1, 3, size=110.0).at(40.6).set(-1, 9, size=10.1)
    assert band.lean() == pytest.approx(1 / 3, abs=1e-2)


def test_no_book_no_value() -> None:
    band = Band()
    band.cohorts.book_invalid(T)
    assert band.standing.book_invalid(T) == NO_VALUE
    assert band.standing.measure() == NO_VALUE
    assert band.standing.raw != band.standing.raw


def test_one_that_is_not_eager_measures_when_asked() -> None:
    band = Band(eager=False).at(1.2).set(1, 3, size=110.0)
    band.at(1.3).set(1, 4, size=110.0)
    assert band.standing.raw == pytest.approx(1 / 3, abs=1e-2), "that is as of the last sample"
    assert band.standing.measure() == VALUE
    assert band.standing.raw == pytest.approx(1 / 2, abs=1e-2)


@given(
    st.lists(
        st.tuples(
            st.sampled_from((100, 400, 600, 3_000)), st.sampled_from((1, -1)), st.integers(0, 9), st.integers(0, 50)
        ),
        max_size=40,
    )
)
@settings(max_examples=100, deadline=None)
def test_the_mirrored_book_leans_the_other_way(steps: list[tuple[int, int, int, int]]) -> None:
    band, mirror = Band().usual(), Band().usual()
    for wait_ms, side, rank, size in steps:
        for one, way in ((band, side), (mirror, -side)):
            one.now_ns += wait_ms * MS
            one.set(way, rank, size=float(size))
        ours, theirs = band.standing, mirror.standing
        if ours.measure() == theirs.measure() == VALUE:
            # Sizes are in quote, and prices of the two sides differ by a percent.
            assert ours.out[0] == pytest.approx(-theirs.out[0], abs=2e-2)
        bids = ours.bids
        assert 0 <= bids.stood <= bids.raw + 1e-6
    assert S > 0
