"""What of a side's usual depth was withdrawn, and what a move, takers or the end of a heap explain."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imbalanced.book import Book, Rows
from imbalanced.detect.thinning import Thinning
from imbalanced.metrics.metric import NO_VALUE, VALUE

S = 1_000_000_000
T = 1_700_000_000 * S
MID = 1_000_000
# 200 to either side of the mid.
BPS = Decimal(2)


class Market:
    """A book of whole prices and a clock; the best prices are ``mid`` less and more one."""

    def __init__(self, size: float = 10.0) -> None:
        self.metric = Thinning(BPS, 30_000)
        self.book = Book()
        self.now_ns = T
        self.levels = {MID + side * far: size for side in (-1, 1) for far in (1, 50, 100, 150)}
        self.book.replace(self._rows(self.levels))
        self.book.live = True
        self.answer = self.metric.book_replaced(self.book, T)

    def _rows(self, levels: dict[int, float]) -> Rows:
        rows = Rows()
        for bids in (True, False):
            for px, size in levels.items():
                if (px < MID) == bids:
                    rows.add(px, size)
            if bids:
                rows.end_bids()
        return rows

    def set(self, levels: dict[int, float], after: float = 0.1) -> tuple[float, float]:
        self.now_ns += int(after * S)
        self.book.apply(self._rows(levels))
        self.answer = self.metric.book_changed(self.book, self.now_ns)
        return self.metric.out[0], self.metric.out[1]

    def calm(self, seconds: int) -> tuple[float, float]:
        for _ in range(seconds):
            told = self.set({}, 1.0)
        return told


def test_what_is_withdrawn_is_missing() -> None:
    market = Market()
    assert market.answer == NO_VALUE, "the first state has nothing to be compared with"
    assert market.calm(10) == pytest.approx((0.0, 0.0))
    assert market.set({MID + 50: 0, MID + 100: 0, MID + 150: 4.0}) == pytest.approx((0.0, 0.65), abs=1e-3)
    assert market.answer == VALUE


def test_depth_that_the_price_left_behind_is_still_there() -> None:
    market = Market()
    market.calm(10)
    # The asks are quoted away up to 150; one bid follows, the others stand where they stood: 210 to 360 behind.
    gone = {MID + 1: 0.0, MID + 50: 0.0, MID + 100: 0.0}
    bid, ask = market.set(gone)
    assert bid == pytest.approx(0.0, abs=1e-3), "within reach of where the price was"
    assert ask == pytest.approx(0.75, abs=1e-3), "and of the asks only one is left"


def test_what_takers_took_is_a_sweep_and_what_they_usually_take_is_not() -> None:
    market = Market()
    market.calm(10)
    for far in (50, 100, 150):
        market.metric.trade(MID + far, 10.0, 1, market.now_ns)
    swept = {MID + 50: 0.0, MID + 100: 0.0, MID + 150: 0.0}
    assert market.set(swept, 0.0)[1] == pytest.approx(0.0, abs=1e-3)
    assert market.set({}, 10.0)[1] > 0.3, "after so long it should have come back"
    usual = Market()
    for _ in range(120):
        usual.metric.trade(MID + 1, 3.0, 1, usual.now_ns)
        usual.set({}, 1.0)
    assert usual.set(swept)[1] > 0.65, "a side that is always traded against has its depth withdrawn all the same"


def test_a_seller_takes_bids_and_an_unknown_taker_nothing() -> None:
    market = Market()
    market.calm(10)
    market.metric.trade(MID - 50, 20.0, -1, market.now_ns)
    market.metric.trade(MID + 50, 20.0, 0, market.now_ns)
    taken = {MID + side * far: 0.0 for side in (-1, 1) for far in (50, 100)}
    assert market.set(taken, 0.0) == pytest.approx((0.0, 0.5), abs=1e-3)


def test_the_end_of_a_heap_leaves_the_usual_book() -> None:
    market = Market()
    market.calm(120)
    market.set({MID - 50: 90.0})
    market.calm(30)
    assert market.set({MID - 50: 10.0})[0] == pytest.approx(0.0, abs=1e-6)
    assert market.set({MID - 50: 0.0, MID - 100: 0.0})[0] == pytest.approx(0.5, abs=1e-6)


def test_a_new_book_knows_nothing_of_the_old() -> None:
    market = Market()
    market.calm(60)
    assert market.metric.book_invalid(market.now_ns) == NO_VALUE
    market.metric.trade(MID + 1, 5.0, 1, market.now_ns)
    market.book.replace(market._rows({MID - 1: 1.0, MID + 1: 1.0}))
    assert market.metric.book_replaced(market.book, market.now_ns) == NO_VALUE
    assert market.set({}) == pytest.approx((0.0, 0.0))


moves = st.lists(
    st.tuples(
        st.sampled_from((1, 50, 100, 150)), st.sampled_from((-1, 1)), st.integers(1, 50), st.sampled_from((-1, 0, 1))
    ),
    max_size=20,
)


@given(moves)
def test_the_mirrored_market_answers_mirrored(script: list[tuple[int, int, int, int]]) -> None:
    answers = []
    for mirror in (1, -1):
        market = Market()
        told = []
        for far, side, size, taker in script:
            market.metric.trade(MID, size / 10, mirror * taker, market.now_ns)
            told.append(market.set({MID + mirror * side * far: float(size)}))
        answers.append(told)
    for (bid, ask), (bid_too, ask_too) in zip(*answers, strict=True):
        # Notional is price times size, and prices differ by the distance from the mid.
        assert (bid, ask) == pytest.approx((ask_too, bid_too), abs=5e-3)
