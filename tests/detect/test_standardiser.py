"""From a value to a score: against the past on a grid of time, never against itself, never across a cut."""

from __future__ import annotations

from math import isnan, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imbalanced.detect.standardiser import MOST_STEPS, Standardise, Standardiser

MS = 1_000_000
START = 1_700_000_000_000 * MS


def ewma(**changes: object) -> Standardiser:
    fields: dict[str, object] = {"half_life_ms": 1000, "min_count": 5, "grid_ms": 100, **changes}
    return Standardiser(Standardise(**fields))  # type: ignore[arg-type]


def feed(one: Standardiser, values: list[float], step_ms: int = 100, start: int = START) -> float:
    score = float("nan")
    for i, x in enumerate(values):
        score = one.score(x, start + i * step_ms * MS)
    return score


def test_none_is_the_value_as_it_is() -> None:
    one = Standardiser(Standardise(by="none"))
    assert one.score(0.7, START) == 0.7
    assert isnan(one.score(float("nan"), START))
    assert one.warm(START)


@pytest.mark.parametrize("by", ["ewma_z", "robust_z", "quantile"])
def test_there_is_no_score_before_the_count(by: str) -> None:
    one = ewma(by=by, min_count=30, half_life_ms=100, window=50)
    assert isnan(feed(one, [float(i % 3) for i in range(30)]))
    assert not isnan(feed(one, [float(i % 3) for i in range(10)], start=START + 3000 * MS))


def test_the_first_half_life_has_no_score_either() -> None:
    one = ewma(half_life_ms=5000)
    values = [float(i % 3) for i in range(100)]
    scores = [one.score(x, START + i * 100 * MS) for i, x in enumerate(values)]
    assert all(isnan(score) for score in scores[:51])
    assert not isnan(scores[52])


def test_a_score_is_against_the_past_only() -> None:
    one = ewma()
    feed(one, [1.0, 3.0] * 20)
    at = START + 40 * 100 * MS
    big = one.score(1000.0, at)
    assert big == 10.0, "the clip; were it part of its own past it would be far less"
    # Between two grid times nothing is learned, however many deltas a venue sends.
    assert [one.score(2.5, at + i * MS) for i in range(1, 50)] == [one.score(2.5, at + MS)] * 49


def test_a_burst_within_one_step_of_the_grid_weighs_once() -> None:
    calm, burst = ewma(), ewma()
    for i in range(50):
        t = START + i * 100 * MS
        x = float(i % 4)
        calm.score(x, t)
        for k in range(20):
            burst.score(99.0, t + k)
        burst.score(x, t + 20)
    later = START + 50 * 100 * MS
    assert burst.score(7.0, later) == calm.score(7.0, later)


def test_the_value_that_held_is_the_value_of_each_step_of_a_silence() -> None:
    talkative, silent = ewma(), ewma()
    for one in (talkative, silent):
        feed(one, [1.0, 3.0] * 10)
    t = START + 20 * 100 * MS
    for i in range(30):
        talkative.score(5.0, t + i * 100 * MS)
    silent.score(5.0, t)
    end = t + 30 * 100 * MS
    assert silent.score(2.0, end) == pytest.approx(talkative.score(2.0, end), rel=1e-12)
    assert silent.seen == talkative.seen


def test_a_very_long_silence_is_worth_so_many_steps_and_no_more() -> None:
    one = ewma()
    feed(one, [1.0, 3.0] * 10)
    before = one.seen
    one.score(2.0, START + 10**6 * 100 * MS)
    assert one.seen == before + MOST_STEPS


def test_no_value_does_not_enter_the_past() -> None:
    plain, holed = ewma(), ewma()
    feed(plain, [1.0, 3.0] * 20)
    feed(holed, [1.0, 3.0] * 20)
    t = START + 40 * 100 * MS
    for i in range(10):
        assert isnan(holed.score(float("nan"), t + i * 100 * MS))
    assert holed.seen == plain.seen + 1, "the last value held until there was none"


def test_all_equal_is_no_score() -> None:
    assert isnan(feed(ewma(), [2.0] * 50))
    assert isnan(feed(ewma(by="robust_z", half_life_ms=100), [2.0] * 50))


def test_after_a_cut_it_warms_up_again() -> None:
    one = ewma()
    assert not isnan(feed(one, [1.0, 3.0] * 20))
    one.clear()
    assert one.seen == 0
    assert isnan(feed(one, [1.0, 3.0] * 4, start=START + 9000 * MS))
    values = [1.0, 3.0, 2.0] * 10
    one.clear()
    again = ewma()
    start = START + 120_000 * MS
    assert feed(one, values, start=start) == feed(again, values, start=start), "nothing is remembered"


def test_a_quantile_is_the_share_of_the_past_below() -> None:
    one = Standardiser(Standardise(by="quantile", min_count=4, window=100, grid_ms=100))
    feed(one, [1.0, 2.0, 3.0, 4.0, 5.0])
    t = START + 500 * MS
    assert one.score(99.0, t) == 1.0
    assert one.score(0.0, t + 1) == 0.0
    assert one.score(3.0, t + 2) == 0.5, "ties count half"


def test_robust_z_does_not_mind_an_outlier() -> None:
    one = Standardiser(Standardise(by="robust_z", min_count=10, window=100, grid_ms=100))
    feed(one, [1.0, 2.0, 3.0] * 10 + [1e9])
    assert abs(one.score(3.0, START + 3200 * MS)) < 2


@given(values=st.lists(st.floats(-100, 100), min_size=12, max_size=40), probe=st.floats(-100, 100))
def test_the_ewma_score_is_against_the_weighted_past(values: list[float], probe: float) -> None:
    one = ewma(half_life_ms=300, min_count=5, clip=10**6)
    feed(one, values)
    score = one.score(probe, START + len(values) * 100 * MS)
    # The first value is sampled when the grid's next time comes, and so on: all of them are the past of the probe, the
    # first one with the weight of its age like every other.
    weights = [2 ** (-100 * age / 300) for age in range(len(values) - 1, -1, -1)]
    mean = sum(w * x for w, x in zip(weights, values, strict=True)) / sum(weights)
    variance = sum(w * (x - mean) ** 2 for w, x in zip(weights, values, strict=True)) / sum(weights)
    if isnan(score) or variance < 1e-9:
        return
    assert score == pytest.approx((probe - mean) / sqrt(variance), rel=1e-6, abs=1e-6)


def test_after_one_half_life_the_first_value_is_not_half_of_the_mean() -> None:
    one = ewma(half_life_ms=10_000, clip=100)
    feed(one, [50.0, *([1.0, -1.0] * 60)])
    # As defined for the metric the mean would be about 22 and 0 far below it.
    assert abs(one.score(0.0, START + 121 * 100 * MS)) < 0.5


def test_a_floor_makes_little_of_little() -> None:
    calm = [1.0, 1.001] * 20
    at = START + 40 * 100 * MS
    plain, floored, still = ewma(), ewma(min_sd=0.5), ewma(min_sd=0.5)
    feed(plain, calm)
    feed(floored, calm)
    feed(still, [1.0] * 40)
    assert plain.score(1.1, at) == 10.0
    assert floored.score(1.1, at) == pytest.approx(0.2, rel=0.02)
    assert still.score(2.0, at) == pytest.approx(2.0), "where nothing ever moved, the floor is the yardstick"
    floored.least(0.05)
    assert floored.score(1.1, at) == pytest.approx(2.0, rel=0.02)


def test_a_lasting_lean_may_stay_in_the_score() -> None:
    centred, leaning = ewma(), ewma(centre=False)
    for one in (centred, leaning):
        feed(one, [0.5, 0.7] * 30)
    at = START + 60 * 100 * MS
    assert abs(centred.score(0.6, at)) < 0.5
    assert leaning.score(0.6, at) == pytest.approx(6.0, rel=0.1)


def test_what_is_skipped_leaves_no_trace() -> None:
    plain, skipping = ewma(half_life_ms=2000), ewma(half_life_ms=2000)
    feed(plain, [1.0, 3.0] * 20)
    feed(skipping, [1.0, 3.0] * 20)
    start = START + 40 * 100 * MS
    plain.score(3.0, start)
    for i in range(50):
        skipping.score(1000.0 if i else 3.0, start + i * 100 * MS)
        if i:
            skipping.skip()
    later = start + 50 * 100 * MS
    for i in range(3):
        plain.score(1.0, start + (i + 1) * 100 * MS)
        skipping.score(1.0, later + i * 100 * MS)
    told = skipping.score(2.5, later + 300 * MS)
    assert told == pytest.approx(plain.score(2.5, start + 400 * MS), rel=0.02), (
        "nor does the next one weigh for the gap"
    )
