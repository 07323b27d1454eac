"""The touch: where the queues lean, and when the spread breaks open."""

from __future__ import annotations

from math import isnan

import pytest
from hand import NOW, Hand

LEAN = {"kind": "microstructure_imbalance", "times_usual": 0, **NOW}
SHOCK = {"kind": "spread_shock", "min_duration": "100ms", "standardise": {"half_life": "5s", "min_count": 20}}


def quoted(hand: Hand, seconds: float, ask: float = 100.0, size: float = 1.0) -> Hand:
    """Ten deltas a second at the touch; the best ask stays."""
    for i in range(int(seconds * 10)):
        hand.wait(0.1).change({99.9: size + i % 3 / 10}, {ask: 1.0 + i % 2 / 10})
    return hand


def tight(**more: object) -> Hand:
    return quoted(Hand({**LEAN, **more}).image({99.9: 1.0, 99.8: 5.0}, {100.0: 1.0, 100.1: 5.0}), 61)


def test_a_heavy_queue_under_a_tight_spread_is_pressure() -> None:
    hand = tight()
    assert abs(hand.one.x) < 0.2
    hand.wait(0.1).change({99.9: 19.0})
    assert hand.one.x < 0.7, "the queue's lean is averaged, the tilt is of now"
    hand.wait(0.3).change({99.9: 19.0})
    assert hand.one.x == pytest.approx(0.9, abs=0.02)
    assert hand.take() == ["open buy"]
    assert hand.one.evidence()["tight"] == 1.0
    hand = tight().wait(0.1).change({}, {100.0: 19.0}).wait(0.3).change({}, {100.0: 19.0})
    assert hand.take() == ["open sell"]


def used_up(hand: Hand, times: int) -> Hand:
    """Every three seconds the best bid is nearly used up for half a second."""
    for _ in range(times):
        hand.wait(0.1).change({99.9: 1.0}, {100.0: 1.0}).wait(2.4).change({99.9: 0.1}).wait(0.5).change()
    return hand


def test_a_short_queue_alone_is_the_end_of_a_price_and_no_pressure() -> None:
    calm = {**LEAN, "times_usual": 2.5}
    image = {99.9: 1.0, 99.8: 5.0}, {100.0: 1.0, 100.1: 5.0}
    hand = quoted(Hand(calm).image(*image), 61).wait(0.1).change({99.9: 19.0}).wait(0.4).change()
    assert hand.one.raw > 0.8
    assert hand.take() == [], "what is usual is not known yet"
    hand = quoted(Hand(calm).image(*image), 125).wait(0.1).change({99.9: 0.1}, {100.0: 1.0}).wait(0.4).change()
    assert hand.take() == ["open sell"], "ten to one is new"
    hand = used_up(Hand(calm).image(*image), 60)
    assert hand.one.raw < -0.8
    assert hand.take() == [], "but not where it comes every few seconds"
    hand.wait(0.1).change({}, {100.0: 19.0}).wait(0.4).change()
    assert hand.take() == ["open sell"], "a long queue against it is"


@pytest.mark.parametrize(("bids", "said"), [({99.9: 60.0}, ["open buy"]), ({99.9: 0.0}, [])])
def test_a_long_queue_that_forms_is_pressure_and_one_that_the_price_came_to_is_none(
    bids: dict[float, float], said: list[str]
) -> None:
    hand = Hand({**LEAN, "times_usual": 2, "min_duration": "1500ms"}).remembering()
    quoted(hand.image({99.9: 1.0, 99.8: 60.0}, {100.0: 1.0, 100.1: 5.0}), 150)
    assert hand.take() == []
    hand.wait(0.1).change(bids)
    for i in range(40):
        hand.wait(0.1).change({}, {100.0: 1.0 + i % 2 / 10})
    assert hand.one.raw > 0.9, "both are as long"
    assert hand.take() == said


def test_where_the_spread_is_wide_depth_by_distance_is_trusted() -> None:
    hand = Hand(LEAN).image({99.9: 1.0, 99.8: 50.0}, {100.3: 1.0, 100.4: 1.0})
    quoted(hand, 61, ask=100.3)
    assert hand.one.evidence()["tight"] == 0.0
    # The queues are alike, the levels behind them are not.
    assert abs(hand.one.evidence()["queue_imbalance"]) < 0.2  # type: ignore[arg-type]
    assert hand.one.evidence()["lean"] > 0.5  # type: ignore[operator]


def test_nothing_is_trusted_within_the_first_minute_of_a_book() -> None:
    hand = quoted(Hand(LEAN).image({99.9: 1.0}, {100.0: 1.0}), 58)
    assert isnan(hand.one.raw)
    quoted(hand, 3)
    assert not isnan(hand.one.raw)
    hand.lost().wait(1).image({99.9: 1.0}, {100.0: 1.0})
    assert isnan(quoted(hand, 30).one.raw)


def test_the_tick_is_found_where_nobody_says_it() -> None:
    levels = {round(99.9 - i / 10, 1): 1.0 for i in range(30)}, {round(100.0 + i / 10, 1): 1.0 for i in range(30)}
    hand = quoted(Hand(LEAN, tick="").image(*levels), 61)
    assert hand.one.evidence()["tight"] == 1.0


def calm(**more: object) -> Hand:
    return quoted(Hand({**SHOCK, **more}).image({99.9: 1.0, 99.5: 1.0}, {100.0: 1.0, 100.9: 1.0}), 130)


def widened(hand: Hand, seconds: float = 0.2) -> Hand:
    for _ in range(round(seconds * 10)):
        hand.wait(0.1).change({}, {100.0: 0.0})
    return hand


def test_a_spread_that_breaks_open_has_no_side() -> None:
    hand = widened(calm())
    assert hand.one.x >= 4
    assert hand.take() == ["open buy"], "of the lifecycle: the message says none"
    assert not hand.one.sided
    assert hand.one.evidence()["spread_bps"] > 9 * hand.one.evidence()["median_bps"]  # type: ignore[operator]


def test_it_lasts_as_long_as_the_spread_is_wide() -> None:
    hand = widened(calm(), 5)
    assert hand.take() == ["open buy"] or hand.one.lifecycle.state == 2
    assert hand.one.raw == 0.0, "nothing changes any more"
    assert hand.one.x > 4
    quoted(hand, 1.5).take()
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
    widened(hand, 0.5)
    assert hand.one.x < 1000


def test_what_a_spread_was_ends_with_its_book() -> None:
    hand = calm().lost().wait(1).image({99.9: 1.0}, {100.0: 1.0})
    quoted(hand, 5)
    assert isnan(hand.one.evidence()["median_bps"])  # type: ignore[arg-type]
