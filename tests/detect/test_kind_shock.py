"""The spread: when it breaks open and stays open."""

from __future__ import annotations

from math import isnan

import pytest
from hand import Hand
from hypothesis import given
from hypothesis import strategies as st

from imbalanced.detect.shock import Least

SHOCK = {"kind": "spread_shock", "standardise": {"half_life": "5s", "min_count": 20}}


def quoted(hand: Hand, seconds: float) -> Hand:
    """Ten deltas a second at the touch; the best ask stays."""
    for i in range(round(seconds * 10)):
        hand.wait(0.1).change({99.9: 1.0 + i % 3 / 10}, {100.0: 1.0 + i % 2 / 10})
    return hand


def calm(seconds: float = 130, **more: object) -> Hand:
    return quoted(Hand({**SHOCK, **more}).image({99.9: 1.0, 99.5: 1.0}, {100.0: 1.0, 100.9: 1.0}), seconds)


def widened(hand: Hand, seconds: float = 1.3) -> Hand:
    for _ in range(round(seconds * 10)):
        hand.wait(0.1).change({}, {100.0: 0.0})
    return hand


def test_a_spread_that_breaks_open_has_no_side() -> None:
    hand = widened(calm())
    assert hand.one.x >= 4
    assert hand.take() == ["open buy"], "of the lifecycle: the message says none"
    assert not hand.one.sided
    told = hand.one.evidence()
    assert told["spread_bps"] > 9 * told["median_bps"]  # type: ignore[operator]
    assert told["stands_bps"] == told["spread_bps"]
    assert told["usual_peak_bps"] == pytest.approx(told["median_bps"])


def test_makers_who_are_back_at_once_are_no_shock() -> None:
    hand = calm()
    for _ in range(10):
        widened(hand, 0.9)
        assert hand.one.evidence()["stands_bps"] < 0.2 * hand.one.evidence()["spread_bps"]  # type: ignore[operator]
        quoted(hand, 0.2)
    assert hand.take() == []
    hand = widened(calm(stand="0ms"), 0.3)
    assert hand.take() == ["open buy"], "where nobody asks it to stand"


def test_it_must_be_wider_where_makers_usually_take_their_time() -> None:
    said = {}
    for times in (0, 3):
        hand = calm(times_usual=times)
        for _ in range(60):
            quoted(widened(hand, 3), 6)
        hand.take()
        said[times] = widened(hand, 2.5).take()
    assert said == {0: ["open buy"], 3: []}


def test_a_book_that_says_nothing_opens_nothing() -> None:
    hand = widened(calm(), 0.2)
    for _ in range(10):
        hand.wait(1).clock()
    assert hand.one.evidence()["stands_bps"] == hand.one.evidence()["spread_bps"]
    assert hand.take() == []


def test_it_lasts_as_long_as_the_spread_is_wide() -> None:
    hand = widened(calm(), 5)
    assert hand.take() == ["open buy"]
    assert hand.one.raw == 0.0, "nothing changes any more"
    assert hand.one.x > 4
    quoted(hand, 1.5)
    assert hand.take() == ["close buy"]
    assert hand.one.lifecycle.state == 0


def test_one_more_tick_on_a_spread_of_one_is_no_shock() -> None:
    hand = calm()
    for _ in range(20):
        hand.wait(0.1).change({}, {100.0: 0.0, 100.1: 1.0})
    assert hand.take() == []


def test_disproportion_can_be_left_out() -> None:
    hand = widened(calm(disproportionate=False), 3)
    assert hand.one.x < 4
    assert any("close" in said for said in hand.take())


def test_a_wide_spread_in_a_wild_market_is_in_proportion() -> None:
    hand = calm(on=1000, off=1)
    known = hand.one.evidence()["volatility_z"]
    assert known is not None
    assert known < 2
    for second in range(40):
        # The whole market jumps by three ticks, down and up.
        down = second % 2 == 0
        bids, asks = ({99.9: 0.0, 99.6: 1.0}, {99.7: 1.0}) if down else ({99.9: 1.0}, {99.7: 0.0, 100.0: 1.0})
        hand.wait(0.1).change(bids, asks)
        for _ in range(9):
            hand.wait(0.1).change({99.5: 1.0})
    wild = hand.one.evidence()["volatility_z"]
    assert wild > 2  # type: ignore[operator]
    widened(hand)
    assert hand.one.x < 1000


def test_what_a_spread_was_ends_with_its_book() -> None:
    hand = widened(calm(), 0.9).lost().wait(1).image({99.9: 1.0}, {100.0: 1.0})
    assert hand.one.evidence()["stands_bps"] == pytest.approx(10.0, rel=1e-2)
    assert isnan(hand.one.raw)
    quoted(hand, 5)
    assert isnan(hand.one.evidence()["median_bps"])  # type: ignore[arg-type]


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 4), st.booleans()), max_size=200), st.integers(0, 12))
def test_the_least_is_that_of_all_values_that_held(steps: list[tuple[int, int, bool]], window: int) -> None:
    least = Least(window)
    t, told = 0, [(0, 9)]
    assert isnan(least.at(t))
    least.push(9.0, t)
    for x, later, looked in steps:
        t += later
        if not looked:
            told.append((t, x))
            least.push(float(x), t)
        # A value holds until the next one; of two at one time the last one has held no time, but it was there.
        ends = [end for end, _ in told[1:]] + [t]
        held = [x for (_, x), end in zip(told, ends, strict=True) if end > t - window]
        assert least.at(t) == min([*held, told[-1][1]])


def test_a_long_window_has_room_for_all_it_needs() -> None:
    least = Least(1_000_000)
    for i in range(1, 500):
        assert least.push(float(i), i) == 1.0
    assert least.at(1_000_100) == 100.0
    assert least.push(0.5, 1_000_200) == 0.5
    least.clear()
    assert isnan(least.at(2_000_000))
