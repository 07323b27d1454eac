"""The touch: where the queues lean."""

from __future__ import annotations

from math import isnan

import pytest
from hand import NOW, Hand
from hypothesis import given
from hypothesis import strategies as st

from imbalanced.detect.touch import Held

LEAN = {"kind": "microstructure_imbalance", "times_usual": 0, **NOW}


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
    hand = quoted(Hand(calm).image(*image), 125).wait(0.1).change({99.9: 0.1}, {100.0: 1.0}).wait(1.3).change()
    assert hand.one.raw < -0.8
    assert hand.take() == [], "it has not held yet"
    assert hand.wait(0.1).change().take() == ["open sell"], "ten to one is unusual here"
    hand = used_up(Hand(calm).image(*image), 60)
    hand.wait(1.2).change()
    assert hand.one.raw < -0.8
    assert hand.take() == [], "but not where it comes every few seconds"


def leaning(hand: Hand, bid: float, ask: float, seconds: float, joined: float = 0.0) -> Hand:
    """The best queues have these sizes, ten deltas a second; half way through the short bid is joined for a moment."""
    count = round(seconds * 10)
    for i in range(count):
        extra = joined if i == count // 2 else 0.0
        hand.wait(0.1).change({99.9: bid + extra + i % 2 / 1000}, {100.0: ask})
    return hand


def restless(**more: object) -> Hand:
    """Known: every two seconds the bid is a fifth of the ask for a second, so odds of some 1.6 are usual."""
    hand = Hand({**LEAN, "times_usual": 1.15, **more}).image({99.9: 1.0, 99.8: 5.0}, {100.0: 1.0, 100.1: 5.0})
    for _ in range(65):
        leaning(leaning(hand, 0.2, 1.0, 1), 1.0, 1.0, 1)
    assert hand.take() == []
    return hand


def test_odds_that_are_far_more_than_usual_need_no_long_queue_but_must_hold() -> None:
    assert leaning(restless(), 0.05, 1.0, 2).take() == ["open sell"]
    assert leaning(restless(), 0.05, 1.0, 2, joined=0.5).take() == [], "even for a moment is not held"
    assert leaning(restless(alone_usual=2.5), 0.05, 1.0, 2).take() == []


def test_a_long_queue_against_a_short_one_needs_less_odds() -> None:
    less = {"alone_usual": 2.5}
    assert leaning(restless(**less), 0.12, 1.0, 2).take() == [], "the longer one is as long as ever"
    assert leaning(restless(**less), 0.15, 2.0, 2).take() == ["open sell"], "and here twice that"
    assert leaning(restless(**less), 0.6, 8.0, 2).take() == [], "against one that is no short one"
    assert leaning(restless(**less, queue_usual=5), 0.15, 2.0, 2).take() == []
    assert leaning(restless(**less, times_usual=2), 0.15, 2.0, 2).take() == []
    assert leaning(restless(**less), 0.15, 2.0, 2, joined=0.3).take() == [], "they must hold all the same"


def test_where_the_spread_is_wide_a_long_queue_says_nothing() -> None:
    hand = restless(alone_usual=2.5, tight_ticks=0.5)
    assert hand.one.evidence()["tight"] == 0.0
    assert leaning(hand, 0.15, 2.0, 2).take() == []
    assert leaning(restless(tight_ticks=0.5), 0.05, 1.0, 2).take() == ["open sell"], "odds do"


Step = tuple[int, float]


@given(st.lists(st.tuples(st.integers(0, 40), st.floats(-9, 9).map(lambda x: round(x, 1))), min_size=1, max_size=80))
def test_what_is_held_is_the_least_of_one_side(steps: list[Step]) -> None:
    held, now = Held(100), 0
    past: list[Step] = []
    for wait, x in steps:
        now += wait
        past.append((now, x))
        # What held at some time within the last 100: of each value the time until the next one came.
        until = [t for t, _ in past[1:]] + [now + 1]
        within = [x for (_, x), end in zip(past, until, strict=True) if end > now - 100]
        sides = {(x > 0) - (x < 0) for x in within}
        known = past[0][0] <= now - 100
        least = min(map(abs, within)) if len(sides) == 1 and known else 0.0
        assert held.push(x, now) == sides.pop() * least


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
