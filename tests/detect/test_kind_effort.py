"""Takers who do not move the price, and depth that is built by what stays."""

from __future__ import annotations

from decimal import Decimal
from math import isnan

import pytest
from hand import Hand, steady

from imbalanced.detect.effort import AbsorptionOptions

BIDS = {99.9: 50.0, 99.8: 50.0}
ASKS = {100.1: 50.0, 100.2: 50.0}
ABSORBED = {"kind": "absorption", "times_usual": 0}


def known(hand: Hand, seconds: int = 70) -> Hand:
    """A second's trade to and fro: a little more is bought, then sold."""
    hand.image(BIDS, ASKS)
    for i in range(seconds):
        hand.wait(1).change({99.8: 50.0 + i % 2})
        hand.buy(1.0 + i % 3 / 10) if i % 2 else hand.sell(1.0 + i % 5 / 10)
    return hand


def sold(hand: Hand, size: float = 2.0, trades: int = 20) -> Hand:
    for _ in range(trades):
        hand.wait(0.1).sell(size)
    return hand


def test_sellers_who_do_not_move_the_price_are_bought_from() -> None:
    hand = known(Hand(ABSORBED))
    hand.take()
    sold(hand)
    assert hand.take() == ["open buy"]
    told = hand.one.evidence()
    assert told["absorption"] == pytest.approx(-told["net_pressure"] / told["ref_pressure"])  # type: ignore[operator]
    assert told["min_net"] > 0  # type: ignore[operator]


def test_a_price_that_moves_absorbs_nothing() -> None:
    hand = known(Hand(ABSORBED))
    hand.take()
    hand.wait(0.1).change({99.9: 0.0, 99.6: 50.0, 99.8: 0.0}, {99.8: 50.0})
    sold(hand)
    assert hand.one.raw == 0.0
    assert hand.take() == []


def test_nobody_knows_before_a_minute_what_is_much() -> None:
    hand = sold(known(Hand(ABSORBED), 30))
    assert isnan(hand.one.raw)
    assert hand.take() == []


def test_it_must_be_more_than_the_usual_peak() -> None:
    for times, said in ((200, []), (100, ["open buy"])):
        hand = known(Hand({**ABSORBED, "times_usual": times}))
        hand.take()
        assert sold(hand).take() == said


def test_a_taker_counts_the_square_root_of_its_notional() -> None:
    hand = known(Hand(ABSORBED))
    hand.wait(6).sell(0.0625, 64.0).wait(0.1).sell(0.25, 64.0).sell(0.75, 64.0)
    told = hand.one.evidence()
    # The last two are one taker: the square roots of 4 and of 64.
    assert told["net_pressure"] == pytest.approx(-10.0)
    assert told["held_pressure"] == pytest.approx(10 / 2**0.5), "all of it within 2 s"


def crowded(hand: Hand, *, held: bool) -> Hand:
    """Trades to and fro, and of every twenty seconds two of sellers, who make the price slide or do not."""
    known(hand)
    for i in range(400):
        second = i % 20
        hand.wait(1).change({90.0: 50.0 + i % 2})
        if second == 15:
            hand.image(BIDS, ASKS)
        if second < 10 and not held:
            bid = 99.8 - second / 10
            hand.change({bid + 0.1: 0.0, bid: 50.0}, {bid + 0.2: 50.0})
        for _ in range(5 if second < 2 else 0):
            hand.sell(2.0).wait(0.01)
        if second >= 2:
            hand.buy(1.0 + i % 3 / 10) if i % 2 else hand.sell(1.0 + i % 5 / 10)
    return hand


def test_where_pressure_moves_the_price_it_is_unusual_that_it_does_not() -> None:
    said = {}
    for held in (True, False):
        hand = crowded(Hand({**ABSORBED, "times_usual": 3, "q": 0.5}), held=held)
        hand.take()
        said[held] = sold(hand, 1.0).take()
    assert said == {True: [], False: ["open buy"]}


def test_nothing_is_pressed_into_a_crossed_book() -> None:
    hand = known(Hand(ABSORBED))
    hand.wait(6).sell(1.0).change({100.2: 1.0}).wait(0.1).sell(5.0)
    assert isnan(hand.one.raw)
    told = hand.wait(0.1).change({100.2: 0.0}).sell(1.0).one.evidence()
    assert told["net_pressure"] == pytest.approx(-2 * 99.9**0.5), "two of the three"


def spread_over(hand: Hand, seconds: int, per_second: int) -> Hand:
    """Sellers, evenly."""
    for _ in range(seconds * per_second):
        hand.wait(1 / per_second).sell(1.0)
    return hand


def test_effort_spread_over_many_seconds_is_seen_at_the_longer_windows() -> None:
    said = {}
    for scales in (1, 3):
        hand = known(Hand({**ABSORBED, "times_usual": 65, "scales": scales}), 200)
        hand.take()
        said[scales] = spread_over(hand, 8, 4).take()
    assert said == {1: [], 3: ["open buy"]}


def test_pressure_of_a_price_that_went_along_is_not_held() -> None:
    hand = known(Hand(ABSORBED))
    sold(hand)
    assert hand.one.evidence()["held_pressure"] > 0  # type: ignore[operator]
    hand.wait(0.1).change({99.9: 0.0, 99.6: 50.0, 99.8: 0.0}, {99.8: 50.0}).sell(1.0)
    assert hand.one.evidence()["held_pressure"] == 0.0
    hand.lost().wait(0.1).image(BIDS, ASKS).wait(0.1).sell(0.01)
    assert hand.one.evidence()["held_pressure"] == pytest.approx((0.01 * 99.9 / 2) ** 0.5), "of this book only"


def test_an_empty_window_ends_it() -> None:
    hand = sold(known(Hand(ABSORBED)))
    hand.take()
    hand.wait(4).clock()
    assert hand.take() == []
    hand.wait(2).clock()
    assert hand.take() == ["close buy"]
    assert hand.one.x == 0.0
    assert hand.one.lifecycle.reason == 1


def test_what_is_usual_outlives_a_book_and_the_effort_does_not() -> None:
    hand = sold(known(Hand(ABSORBED)))
    hand.lost().take()
    hand.wait(0.1).image(BIDS, ASKS).wait(0.1).sell(0.1)
    assert hand.one.raw == 0.0, "of this book too little was sold"
    assert sold(hand).take() == ["open buy"]


def test_the_tick_is_found_where_nobody_says_it() -> None:
    hand = known(Hand(ABSORBED, tick=""))
    hand.take()
    hand.wait(0.1).change({99.8: 60.0}, {100.1: 0.0})
    sold(hand)
    assert hand.take() == ["open buy"], "the mid moved up by half a tick, against the sellers"


ACCUMULATED = {"kind": "absorption", "mode": "accumulation", "half_life": "2s", "bps": 50, "min_duration": "500ms"}


def test_bids_that_are_built_up_are_accumulation() -> None:
    hand = steady(Hand(ACCUMULATED).image(BIDS, ASKS), 6, (50.0, 50.5, 49.5))
    hand.take()
    for i in range(12):
        hand.wait(0.1).change({99.8: 60.0 + 30 * i})
    assert hand.take() == ["open buy"]
    assert set(hand.one.evidence()) == {"exhaustion_bid", "exhaustion_ask", "cancel_add_ratio"}


def test_depth_that_is_only_more_than_it_was_is_not_built() -> None:
    hand = steady(Hand(ACCUMULATED).image(BIDS, ASKS), 6, (50.0, 50.5, 49.5))
    hand.take()
    hand.wait(0.1).change({99.8: 150.0})
    for i in range(12):
        # Cancelled and put back: the depth is high, nothing stays.
        hand.wait(0.1).change({99.8: 150.0 - 60 * (i % 2), 99.9: 50.0})
    assert hand.take() == []


def test_a_young_book_has_no_usual_depth() -> None:
    hand = steady(Hand(ACCUMULATED).image(BIDS, ASKS), 1).wait(0.1).change({99.8: 150.0})
    assert isnan(hand.one.raw)


def test_what_is_not_given_has_the_default_of_the_mode() -> None:
    usual, other = AbsorptionOptions(), AbsorptionOptions(mode="accumulation")
    assert (usual.on, usual.off, usual.min_duration_ms) == (Decimal(1), Decimal("0.5"), 500)
    assert (other.on, other.off, other.min_duration_ms) == (Decimal("0.5"), Decimal("0.2"), 2_000)
    assert (other.max_age_ms, other.horizon_ms, other.cooldown_ms) == (300_000, 30_000, 10_000)
    given = AbsorptionOptions(mode="accumulation", on=Decimal("1.5"), min_duration_ms=500)
    assert (given.on, given.min_duration_ms) == (Decimal("1.5"), 500), "as given, whatever the other mode has"
    with pytest.raises(ValueError, match="at most on"):
        AbsorptionOptions(mode="accumulation", on=Decimal("0.1"))
