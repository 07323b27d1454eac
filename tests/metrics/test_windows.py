"""A storm of events passes: what it leaves behind is neither memory nor a trace in the numbers."""

from __future__ import annotations

import tracemalloc
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imbalanced.book import Book, Rows
from imbalanced.detect.cohorts import Cohorts
from imbalanced.detect.past import Mean
from imbalanced.metrics import METRICS
from imbalanced.metrics.metric import AsOf, Grid, Metric, make
from imbalanced.metrics.windows import Sums

MS, S = 1_000_000, 1_000_000_000
PX = 1_000_000
OPTIONS: dict[str, dict[str, Any]] = {
    "trade_imbalance": {"window_ms": 2_000},
    "vwap_deviation": {"window_ms": 2_000},
    "volume_spike": {"window_ms": 2_000, "bucket": Decimal("0.1"), "min_buckets": 1},
    "ofi": {"window_ms": 2_000},
    "cancel_add": {"levels": 2, "window_ms": 2_000, "match_ms": 1_000},
    "spread_roc": {"horizon_ms": 1_000},
}


GRID = Grid(4, Decimal("0.01"), None)
ABSORPTION = METRICS["absorption"].Options(min_net=Decimal(1), ref_volume=Decimal(1))


def metric(name: str) -> Metric:
    kind = METRICS[name]
    return make(kind, kind.Options(**OPTIONS[name]), GRID)


def rows(number: int) -> Rows:
    made = Rows()
    made.add(PX - 100, 1.0 + number % 7)
    made.end_bids()
    made.add(PX + 100, 2.0 + number % 5)
    return made


class Scene:
    """One metric with a book of one level a side; an event is a trade and a change of both sizes."""

    def __init__(self, watcher: Metric) -> None:
        self.watcher, self.book = watcher, Book()
        self.book.live = True
        self.book.replace(rows(0))
        watcher.book_replaced(self.book, 0)

    def event(self, number: int, t_ns: int) -> int:
        self.book.apply(rows(number))
        said = self.watcher.book_changed(self.book, t_ns)
        traded = self.watcher.trade(PX + 100 * (number % 3 - 1), 1.0 + number % 3, number % 2 * 2 - 1, t_ns)
        return traded or said

    def storm(self, count: int, t_ns: int) -> None:
        for number in range(count):
            self.event(number, t_ns + number)


@pytest.mark.parametrize("name", OPTIONS)
def test_memory_returns_after_a_storm(name: str) -> None:
    scene = Scene(metric(name))
    tracemalloc.start()
    try:
        scene.storm(30_000, S)
        most = tracemalloc.get_traced_memory()[0]
        for number in range(200):
            scene.event(number, 10 * S + number * 100 * MS)
        assert most > 200_000
        assert tracemalloc.get_traced_memory()[0] < most / 8
    finally:
        tracemalloc.stop()


def test_a_book_without_trades_is_not_remembered_for_good() -> None:
    scene = Scene(make(METRICS["absorption"], ABSORPTION, GRID))
    tracemalloc.start()
    try:
        for number in range(20_000):
            scene.book.apply(rows(number))
            scene.watcher.book_changed(scene.book, number * 100 * MS)
        assert tracemalloc.get_traced_memory()[0] < 20_000
    finally:
        tracemalloc.stop()


def test_memory_of_cohorts_returns_after_a_storm() -> None:
    cohorts = Cohorts(2_000, 500)
    scene = Scene(cohorts)
    tracemalloc.start()
    try:
        scene.storm(10_000, S)
        most = tracemalloc.get_traced_memory()[0]
        for number in range(200):
            scene.event(number, 10 * S + number * 100 * MS)
        assert most > 1_000_000
        assert tracemalloc.get_traced_memory()[0] < most / 8
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", OPTIONS)
def test_numbers_after_a_storm_are_those_of_who_did_not_see_it(name: str) -> None:
    seen, calm = Scene(metric(name)), Scene(metric(name))
    seen.storm(1_000, S)
    calm.event(999, S + 999)
    for number in range(300):
        t_ns = 10 * S + number * 40 * MS
        said = seen.event(number, t_ns), calm.event(number, t_ns)
        assert said[0] == said[1]
        if said[0] == 2 and number > 60:
            after, without = ([who.watcher.out[i] for i in range(len(who.watcher.out))] for who in (seen, calm))
            assert after == pytest.approx(without, rel=1e-12, abs=1e-12)


@given(st.lists(st.tuples(st.sampled_from((0, 1, 1, 2, 400)), st.sampled_from((1, 1, 90, 300))), max_size=12))
@settings(deadline=None, max_examples=60)
def test_rings_answer_what_is_in_their_window_whatever_their_size(bursts: list[tuple[int, int]]) -> None:
    sums, as_of, mean = Sums(1), AsOf(), Mean(50)
    kept: list[tuple[int, float]] = []
    t = 0
    for passed, count in bursts:
        for number in range(count):
            t += passed
            x = float(number + 1)
            sums.row[0] = x
            sums.push(t)
            sums.evict(t - 50)
            as_of.push(t, x)
            kept.append((t, x))
            told = mean.push(x, t)
            inside = [value for then, value in kept if then > t - 50]
            assert sums.count == len(inside)
            assert sums.sums[0] == sum(inside)
            past = [value for then, value in kept if then <= t - 50]
            assert as_of.at(t - 50) == past[-1] if past else as_of.at(t - 50) != as_of.at(t - 50)
            assert told == pytest.approx(_mean(kept, t), rel=1e-9)


def _mean(kept: list[tuple[int, float]], t: int) -> float:
    """Of the values before the newest, each for as long as it held within the last 50."""
    begin = max(t - 50, kept[0][0])
    if begin >= t:
        return kept[-1][1]
    ends = [then for then, _ in kept[1:]]
    parts = [max(end, begin) - max(then, begin) for (then, _), end in zip(kept[:-1], ends, strict=True)]
    return sum(x * part for (_, x), part in zip(kept[:-1], parts, strict=True)) / (t - begin)
