"""Standardisers and the composite: cases worked by hand, and every answer against the plain definition."""

from __future__ import annotations

import math
import statistics
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imbalanced.metrics import evaluate
from imbalanced.metrics.composite import Composite, CompositeOptions
from imbalanced.metrics.metric import NO_VALUE, VALUE
from imbalanced.metrics.statistics import (
    EwmaOptions,
    EwmaZscore,
    QuantileOptions,
    RobustOptions,
    RobustZscore,
    RollingQuantile,
)

MS = 10**6
NAN = float("nan")


def values(*rows: tuple[int, str | None]) -> list[dict[str, Any]]:
    return [{"type": "value", "ts_ms": ts_ms, "x": x} for ts_ms, x in rows]


def test_ewma_has_no_value_while_all_are_equal() -> None:
    events = values(*((i, "0.1") for i in range(5)), (5, "0.2"))
    assert evaluate("ewma_zscore", {"min_count": 2}, events) == [None] * 6


def test_ewma_of_equal_times_only_counts() -> None:
    """a = 0: the second value of an instant moves neither the mean nor the variance."""
    events = values((0, "1"), (0, "5"), (1000, "2"), (1000, "2"))
    # At 1000: d = 1, a = 1/2, var = 1/2 (0 + 1/2) = 1/4, mu = 3/2; z of the last 2 is (1/2)/(1/2).
    assert evaluate("ewma_zscore", {"min_count": 2, "half_life_ms": 1000}, events) == [None, None, None, 1.0]


def test_ewma_null_changes_nothing() -> None:
    with_null = values((0, "0"), (500, None), (1000, "2"), (2000, "3"))
    without = values((0, "0"), (1000, "2"), (2000, "3"))
    params = {"min_count": 2, "half_life_ms": 1000}
    assert evaluate("ewma_zscore", params, with_null)[3] == evaluate("ewma_zscore", params, without)[2] == 2.0


@pytest.mark.parametrize("silence_ms", [100_000, 5_000_000])
def test_ewma_after_a_silence_of_many_half_lives(silence_ms: int) -> None:
    """The variance is tiny (2 ** -100, 2 ** -5000) but not 0: a value is beyond every clip or on the mean."""
    before = [(0, "0"), (1000, "2"), (silence_ms, "7")]
    for x, z in (("8", 10.0), ("6", -10.0), ("7", 0.0)):
        events = values(*before, (silence_ms, x))
        answer = evaluate("ewma_zscore", {"min_count": 2, "half_life_ms": 1000}, events)[-1]
        assert answer == pytest.approx(z, abs=1e-9)


def test_ewma_scores_between_the_updates_of_a_grid() -> None:
    metric = EwmaZscore(EwmaOptions(half_life_ms=1000, min_count=2))
    metric.update(0.0, 0)
    metric.update(2.0, 1000 * MS)
    assert (metric.n, metric.first_ns, metric.mean, metric.variance) == (2, 0, 1.0, 1.0)
    assert (metric.score(3.0), metric.scaled(3.0)) == (2.0, 3.0)
    assert math.isnan(metric.score(NAN))
    metric.clear()
    assert metric.n == 0
    assert math.isnan(metric.score(3.0))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3000), st.integers(-50, 50)), min_size=3, max_size=40), st.integers(-3, 3))
def test_ewma_is_the_definition_and_scale_free(rows: list[tuple[int, int]], power: int) -> None:
    metric, scaled = (EwmaZscore(EwmaOptions(half_life_ms=700, min_count=2)) for _ in range(2))
    mean, variance, t = 0.0, 0.0, 0
    for i, (gap, x) in enumerate(rows):
        t += gap
        z = None if i < 2 or variance == 0 else max(-10.0, min(10.0, (x - mean) / math.sqrt(variance)))
        told = metric.value(float(x), t * MS)
        assert told == (NO_VALUE if z is None else VALUE)
        assert scaled.value(x * 4.0**power, t * MS) == told
        if z is not None:
            assert metric.out[0] == pytest.approx(z, rel=1e-9, abs=1e-9)
            assert scaled.out[0] == metric.out[0]
        if i == 0:
            mean = float(x)
            continue
        a = 1 - 2 ** (-gap / 700)
        d = x - mean
        mean, variance = mean + a * d, (1 - a) * (variance + a * d * d)


SERIES = st.lists(st.integers(-30, 30).map(lambda x: x / 10), max_size=60)


@settings(max_examples=150, deadline=None)
@given(SERIES, st.integers(1, 12), st.integers(1, 6))
def test_robust_zscore_is_the_definition(series: list[float], window: int, min_count: int) -> None:
    metric = RobustZscore(RobustOptions(window=window, min_count=min_count))
    for i, x in enumerate(series):
        past = series[max(0, i - window) : i]
        expected = None
        if len(past) >= min_count:
            median = statistics.median(past)
            mad = statistics.median(abs(y - median) for y in past)
            expected = 0.674489750196082 * (x - median) / mad if mad > 0 else None
        told = metric.value(x, i)
        assert told == (NO_VALUE if expected is None else VALUE)
        if expected is not None:
            assert metric.out[0] == pytest.approx(expected, rel=1e-12, abs=1e-12)


@settings(max_examples=150, deadline=None)
@given(SERIES, st.integers(1, 12), st.integers(1, 6), st.sampled_from(["0", "0.1", "0.5", "0.95", "1"]))
def test_rolling_quantile_is_the_definition(series: list[float], window: int, min_count: int, q: str) -> None:
    metric = RollingQuantile(QuantileOptions(window=window, min_count=min_count, q=q))
    for i, x in enumerate(series):
        past = sorted(series[max(0, i - window) : i])
        if len(past) < min_count:
            assert math.isnan(metric.rank(x))
            assert metric.value(x, i) == NO_VALUE
            continue
        pos = float(q) * (len(past) - 1)
        low, high = past[math.floor(pos)], past[min(math.floor(pos) + 1, len(past) - 1)]
        below = sum(y < x for y in past) + sum(y == x for y in past) / 2
        assert metric.rank(x) == pytest.approx(below / len(past))
        assert metric.value(x, i) == VALUE
        assert metric.out[0] == pytest.approx(low + (pos - math.floor(pos)) * (high - low), abs=1e-12)
        assert past[0] <= metric.out[0] <= past[-1]


def test_robust_zscore_has_no_value_when_half_of_the_past_is_equal() -> None:
    events = values((0, "1"), (1, "1"), (2, "1"), (3, "9"), (4, "9"), (5, "2"))
    # After 1 1 1 9 9 the deviations are 0 0 0 8 8.
    assert evaluate("robust_zscore", {"min_count": 3}, events) == [None] * 6


def row(**x: str | None) -> dict[str, Any]:
    return {"type": "row", "ts_ms": 0, "x": x}


def test_composite_of_scores_that_cancel_has_no_side() -> None:
    """0.1 * 3 - 0.3 * 1 is not 0 in floats, and its sign would decide the confluence."""
    params = {"weights": {"a": "0.1", "b": "0.3"}}
    assert evaluate("composite", params, [row(a="3", b="-1")]) == [{"score": 0.0, "confluence": 0.0}]


def test_composite_covers_exactly_half() -> None:
    params = {"weights": {"a": "0.1", "b": "0.2", "c": "0.3"}, "min_coverage": "0.5"}
    events = [row(a="4", b="4", c=None, unknown="nothing"), row(c="-4"), row(b="1")]
    assert evaluate("composite", params, events) == [
        pytest.approx({"score": 1, "confluence": 1}),
        pytest.approx({"score": -1, "confluence": 1}),
        None,
    ]


def test_composite_without_weight_has_no_value() -> None:
    assert evaluate("composite", {"weights": {"a": "0"}, "min_coverage": "0"}, [row(a="1"), row()]) == [None, None]


def test_composite_of_live_scores_tells_its_coverage() -> None:
    metric = Composite(CompositeOptions(weights={"a": 3, "b": 1}))
    assert metric.combine({"a": 2.0, "b": NAN}) == VALUE
    assert (metric.out[0], metric.out[1], metric.coverage) == (0.5, 1.0, 0.75)
    assert metric.combine({"b": 2.0}) == NO_VALUE
    assert metric.coverage == 0.25


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.sampled_from("abcd"), st.integers(-60, 60).map(lambda x: x / 10)))
def test_composite_is_bounded_and_antisymmetric(scores: dict[str, float]) -> None:
    metric = Composite(CompositeOptions(weights={"a": 2, "b": 1, "c": 0, "d": 0.5}))
    told = metric.combine(scores)
    score, confluence = metric.out[0], metric.out[1]
    assert metric.combine({name: -z for name, z in scores.items()}) == told
    if told == VALUE:
        assert (metric.out[0], metric.out[1]) == (-score, confluence)
        assert -1 <= score <= 1
        assert 0 <= confluence <= 1


@pytest.mark.parametrize(
    ("name", "params", "x", "named"),
    [
        ("ewma_zscore", {"clip": "0"}, "1", "clip"),
        ("rolling_quantile", {"q": "1.1"}, "1", "q"),
        ("robust_zscore", {"window": 0}, "1", "window"),
        ("ewma_zscore", {}, "nan", "x is 'nan'"),
        ("composite", {"clip": "1"}, None, "weights"),
    ],
)
def test_what_is_wrong_is_named(name: str, params: dict[str, Any], x: str | None, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        evaluate(name, params, values((0, x)))


def test_composite_row_that_is_none_is_named() -> None:
    with pytest.raises(ValueError, match=r"x\.a is 'much'"):
        evaluate("composite", {"weights": {"a": "1"}}, [row(a="much")])
    with pytest.raises(ValueError, match="expected a mapping"):
        evaluate("composite", {"weights": {"a": "1"}}, [{"type": "row", "ts_ms": 0, "x": "1"}])
