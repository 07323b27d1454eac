"""Sweeps, and prices far from their average."""

from __future__ import annotations

from math import isnan

import pytest
from hand import Hand
from hypothesis import given
from hypothesis import strategies as st

from imbalanced.detect.takers import Burst
from imbalanced.metrics.metric import Grid

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


def burst(*trades: tuple[int, int, float]) -> list[float]:
    """After these of (ms, price, signed size)."""
    metric = Burst(1_000, Grid())
    for ms, px, size in trades:
        metric.trade(px, abs(size), 1 if size > 0 else -1, ms * 1_000_000)
    return [metric.out[i] for i in range(4)]


def test_a_crowd_is_what_is_left_without_its_largest_taker() -> None:
    assert burst((0, 10, 2.0), (100, 10, -1.0), (200, 11, 5.0), (201, 12, 3.0), (300, 12, 1.0)) == [10, 12, 2, 4 / 11]
    assert burst((0, 10, 2.0)) == [2, 2, 0, 1], "one is no crowd"
    assert burst((0, 10, -1.0), (100, 10, -1.0), (200, 10, -4.0)) == [-6, 6, -2, 1]
    assert burst((0, 10, 2.0), (1_000, 10, 1.0), (1_100, 10, 1.0)) == [2, 2, 1, 1], "a second later it is forgotten"
    assert burst((0, 10, 3.0), (1, 10, 3.0), (2, 10, 3.0)) == [9, 9, 3, 1], "a millisecond from the first, not the last"
    assert burst((0, 10, 3.0), (1, 10, -1.0), (1, 10, 3.0))[2] == 2, "the other side ends a taker's trades"


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(1, 3), st.sampled_from([-3, -2, -1, 1, 2, 3])), min_size=1))
def test_a_burst_is_mirrored_by_the_other_side(steps: list[tuple[int, int, int]]) -> None:
    now = 0
    trades = [(now := now + wait, px, float(size)) for wait, px, size in steps]
    net, gross, crowd, share = burst(*trades)
    assert abs(crowd) <= abs(net) <= gross
    assert 0 <= share <= 1
    assert burst(*[(ms, px, -size) for ms, px, size in trades])[:3] == [-net, gross, -crowd]
    assert net == sum(size for ms, _, size in trades if ms > now - 1_000)


def naive(trades: list[tuple[int, int, float]]) -> list[float]:
    """From scratch: takers are made of all trades, and those of the last second are summed."""
    takers: list[tuple[int, list[tuple[int, float]]]] = []
    for ms, px, size in trades:
        if takers and ms - takers[-1][0] <= 1 and takers[-1][1][-1][1] * size > 0:
            takers[-1][1].append((px, size))
        else:
            takers.append((ms, [(px, size)]))
    inside = [parts for first, parts in takers if first > trades[-1][0] - 1_000]
    every = [part for parts in inside for part in parts]
    net, gross = sum(size for _, size in every), sum(abs(size) for _, size in every)
    side = 1 if net > 0 else -1
    largest = max((side * sum(size for _, size in parts) for parts in inside if parts[0][1] * side > 0), default=0)
    here = sum(side * size for px, size in every if size * side > 0 and px == trades[-1][1])
    return [net, gross, side * max(0, abs(net) - largest), 2 * here / (gross + abs(net))]


@given(
    st.lists(
        st.tuples(st.sampled_from([0, 0, 1, 2, 90, 500]), st.integers(1, 3), st.sampled_from([-3, -1, 1, 2])),
        min_size=1,
        max_size=60,
    )
)
def test_a_burst_is_what_takers_of_the_last_second_say(steps: list[tuple[int, int, int]]) -> None:
    now = 0
    trades = [(now := now + wait, px, float(size)) for wait, px, size in steps]
    assert burst(*trades) == pytest.approx(naive(trades))
