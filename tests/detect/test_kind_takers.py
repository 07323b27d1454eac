"""Sweeps, and prices far from their average."""

from __future__ import annotations

from math import isnan

import pytest
from hand import Hand

BIDS = {99.9: 1.0, 99.8: 1.0, 99.7: 1.0}
ASKS = {100.1: 1.0, 100.2: 1.0, 100.3: 1.0}
SWEEP = {"kind": "sweep", "min_count": 10, "cooldown": "0ms"}


def market(hand: Hand, takers: int = 20) -> Hand:
    """So many takers of 1, one each 100 ms."""
    hand.image(BIDS, ASKS)
    for i in range(takers):
        hand.wait(0.1).buy(1.0) if i % 2 else hand.wait(0.1).sell(1.0)
    return hand.wait(0.1)


def through(hand: Hand, size: float = 5.0, *prices: float) -> Hand:
    """One buyer through these prices."""
    for price in prices or (100.1, 100.2, 100.3):
        hand.buy(size, price)
    return hand


def test_a_sweep_is_told_when_it_has_ended_and_by_whatever_comes_next() -> None:
    hand = through(market(Hand(SWEEP)))
    assert hand.take() == [], "it may go on"
    assert hand.wait(0.05).change({99.9: 2.0}).take() == ["open buy"]
    assert hand.one.evidence() == {"levels": 3.0, "notional": pytest.approx(1503.0), "usual_notional": 100.1}
    assert hand.one.lifecycle.peak == 3.0
    hand = through(market(Hand(SWEEP)))
    assert hand.wait(0.05).sell(1.0).take() == ["open buy"]


def test_a_sweep_that_ends_in_silence_waits_for_the_next_event() -> None:
    hand = through(market(Hand(SWEEP)))
    for _ in range(10):
        assert hand.wait(0.1).clock().take() == [], "a clock opens nothing"
    assert hand.change({99.9: 2.0}).take() == ["open buy"]


def test_two_prices_a_small_size_and_few_takers_are_no_sweep() -> None:
    assert through(market(Hand(SWEEP)), 5.0, 100.1, 100.2).wait(0.1).change({99.9: 2.0}).take() == []
    assert through(market(Hand(SWEEP)), 0.3).wait(0.1).change({99.9: 2.0}).take() == []
    assert through(market(Hand(SWEEP), 5)).wait(0.1).change({99.9: 2.0}).take() == []


def test_a_sweep_ends_by_age_or_by_the_other_side_and_by_nothing_else() -> None:
    hand = through(market(Hand(SWEEP))).wait(0.05).change({99.9: 2.0})
    for _ in range(15):
        hand.wait(0.1).change({99.9: 2.0}).buy(0.01).clock()
    assert hand.take() == ["open buy"]
    for _ in range(10):
        hand.wait(0.1).clock()
    assert hand.take() == ["close buy"]


def test_a_sweep_that_ends_another_is_told_itself() -> None:
    hand = through(market(Hand(SWEEP))).wait(0.05).change({99.9: 2.0}).wait(0.1)
    for price in (99.9, 99.8, 99.7):
        hand.sell(5.0, price)
    assert hand.wait(0.1).change({99.9: 3.0}).take() == ["open buy", "close buy"]
    assert hand.one.lifecycle.reason == 2
    assert hand.wait(0.1).change({99.9: 2.0}).take() == ["open sell"]
    assert hand.wait(0.1).change({99.9: 3.0}).take() == [], "once"


def test_a_lost_book_ends_it_and_what_ended_meanwhile_is_not_told_later() -> None:
    hand = through(market(Hand(SWEEP))).wait(0.05).change({99.9: 2.0})
    assert hand.lost().take() == ["open buy", "close buy"]
    hand = through(market(Hand(SWEEP))).lost().wait(0.1).image(BIDS, ASKS).wait(0.1).change({99.9: 2.0})
    assert hand.take() == []


VWAP = {"kind": "vwap_deviation", "window": "60s", "min_duration": "0ms", "on": 1.5, "cooldown": "0ms"}


def trading(hand: Hand, seconds: int) -> Hand:
    hand.image(BIDS, ASKS)
    for i in range(seconds * 2):
        hand.wait(0.5).change({99.8: 1.0 + i % 2})
        hand.buy(1.0, 100.0 + i % 3 / 10)
    return hand


def test_a_price_far_above_its_average_is_expected_back() -> None:
    hand = trading(Hand(VWAP), 62)
    hand.take()
    hand.wait(11).change({99.7: 1.0}).buy(1.0, 101.0)
    assert hand.one.raw > 2
    assert hand.one.x == -hand.one.raw
    assert hand.take() == ["open sell"]
    assert set(hand.one.evidence()) == {"vwap", "vwap_z", "vwap_bps", "ofi"}


def test_or_further_on_where_that_is_wished() -> None:
    hand = trading(Hand({**VWAP, "mode": "trend"}), 62)
    hand.take()
    assert hand.wait(11).change({99.7: 1.0}).buy(1.0, 101.0).take() == ["open buy"]


def test_no_reversion_against_the_flow_of_orders() -> None:
    hand = trading(Hand(VWAP), 62)
    hand.take()
    hand.wait(0.1).change({99.9: 50.0}).buy(1.0, 101.0)
    assert hand.one.x == 0.0
    assert hand.take() == []


def test_an_average_of_less_than_its_window_says_nothing() -> None:
    hand = trading(Hand(VWAP), 50).wait(1).buy(1.0, 101.0)
    assert isnan(hand.one.x)
