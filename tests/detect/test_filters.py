"""What must hold before a signal is opened: each filter by itself."""

from __future__ import annotations

import pytest
from scripted import LEAN, PUSH
from test_desk import T, book, changed, desk_of

from imbalanced.detect.desk import Desk
from imbalanced.detect.detector import Detector
from imbalanced.detect.filters import (
    Moment,
    Rate,
    RateOptions,
    SpreadOptions,
    Stale,
    StaleOptions,
    Warmup,
    WarmupOptions,
    WideSpread,
)

S = 1_000_000_000


def desk_with_book() -> tuple[Desk, Detector, Detector]:
    desk, _ = desk_of(detectors=(LEAN, PUSH))
    desk.book_replaced(book(), T, T)
    of_book, of_trades = desk.detectors
    return desk, of_book, of_trades


def at(desk: Desk, seconds: float, valid_since_ns: int = T) -> Moment:
    return Moment(desk, valid_since_ns, T + int(seconds * S))


def test_warmup_is_the_age_of_the_proof() -> None:
    desk, detector, _ = desk_with_book()
    one = Warmup(WarmupOptions(min_age_ms=30_000))
    one.observe(at(desk, 0))
    assert not one.check(detector, at(desk, 29.999))
    assert one.check(detector, at(desk, 30))


def test_stale_is_the_age_of_the_book_and_for_trades_also_of_the_last_trade() -> None:
    desk, of_book, of_trades = desk_with_book()
    one = Stale(StaleOptions(max_age_ms=2_000, max_trade_age_ms=10_000))
    one.observe(at(desk, 0))
    assert one.check(of_book, at(desk, 2))
    assert not one.check(of_book, at(desk, 2.001))
    assert not one.check(of_trades, at(desk, 1)), "there was no trade yet"
    desk.trade(10_000_000_000, 1.0, 1, T, T)
    assert one.check(of_trades, at(desk, 1))
    desk.book_changed(book(), T + 10 * S, T + 10 * S)
    assert not one.check(of_trades, at(desk, 10.001))
    assert one.check(of_book, at(desk, 10.001))


def wide(desk: Desk, ticks: int) -> None:
    """The best ask moves up by so many ticks of 0.1."""
    made = book()
    changed(made, 1.0, 0.0)
    made.rows.clear()
    made.asks.put(10_010_000_000 + ticks * 10_000_000, 1.0)
    desk.book_changed(made, T, T)


def test_a_spread_far_beyond_its_own_median_holds_back() -> None:
    desk, detector, _ = desk_with_book()
    one = WideSpread(SpreadOptions())
    for i in range(9):
        one.observe(at(desk, i))
    wide(desk, 50)
    assert one.check(detector, at(desk, 9)), "before ten samples nobody knows what is usual"
    desk.book_changed(book(), T, T)
    one.observe(at(desk, 9))
    wide(desk, 3)
    assert one.check(detector, at(desk, 10))
    wide(desk, 50)
    assert not one.check(detector, at(desk, 10))


def test_the_spread_is_sampled_once_a_second_and_the_old_is_forgotten() -> None:
    desk, detector, _ = desk_with_book()
    one = WideSpread(SpreadOptions(window_ms=20_000))
    for i in range(200):
        one.observe(at(desk, i / 10))
    wide(desk, 50)
    assert not one.check(detector, at(desk, 20))
    for i in range(20, 45):
        one.observe(at(desk, i))
    assert one.check(detector, at(desk, 45)), "what was wide is usual by now"


def test_without_two_sides_there_is_no_spread() -> None:
    desk, detector, _ = desk_with_book()
    one = WideSpread(SpreadOptions())
    made = book()
    made.asks.clear()
    desk.book_changed(made, T, T)
    one.observe(at(desk, 0))
    assert not one.check(detector, at(desk, 0))


def test_a_rate_is_of_one_kind_in_a_minute() -> None:
    desk, of_book, of_trades = desk_with_book()
    one = Rate(RateOptions(n=2))
    one.observe(at(desk, 0))
    assert [one.check(of_book, at(desk, seconds)) for seconds in (0, 1, 2, 59.9)] == [True, True, False, False]
    assert one.check(of_trades, at(desk, 2)), "another kind has its own account"
    assert one.check(of_book, at(desk, 60)), "the first is a minute old"
    assert not one.check(of_book, at(desk, 60.5))
    assert one.check(of_book, at(desk, 61))


@pytest.mark.parametrize("options", [WarmupOptions, StaleOptions, SpreadOptions, RateOptions])
def test_each_has_defaults(options: type) -> None:
    assert options() is not None
