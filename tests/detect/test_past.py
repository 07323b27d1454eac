"""What kinds remember: quantiles on a grid of time, usual peaks, means by time, the tick of a book."""

from __future__ import annotations

from decimal import Decimal
from math import gcd, isnan, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_desk import S, T, book

from imbalanced.book import Book, Rows
from imbalanced.detect.past import Mean, Past, TickSize, Usual
from imbalanced.metrics.metric import NO_VALUE, VALUE, Grid

MS = 1_000_000


def test_a_past_has_no_threshold_before_its_count() -> None:
    one = Past("0.5", 100, 10, 1000)
    for i in range(10):
        one.observe(float(i), T + i * S)
    assert isnan(one.threshold()), "nine seconds have ended"
    one.observe(99.0, T + 10 * S)
    assert one.threshold() == 4.5, "the present value is no part of it"
    one.clear()
    assert isnan(one.threshold())


def test_a_burst_is_one_sample_and_so_is_a_silence() -> None:
    one = Past("0.5", 100, 3, 1000)
    steps = [one.observe(x, T + i * S // 10) for i, x in enumerate([1.0] + [50.0] * 8 + [2.0])]
    assert sum(steps) == 1
    one.observe(3.0, T + S)
    one.observe(4.0, T + 500 * S)
    assert isnan(one.threshold()), "2 and 3 held when a second ended; the long silence is none of 499"
    one.observe(nan, T + 501 * S)
    assert one.threshold() == 3.0
    one.observe(7.0, T + 502 * S)
    assert one.threshold() == 3.0, "no value is no sample"


def seconds(one: Usual, values: list[float], start: int = 0) -> int:
    for i, x in enumerate(values):
        one.observe(x / 2, T + (start + i) * S)
        one.observe(-x, T + (start + i) * S + 500 * MS)
    return start + len(values)


def test_the_usual_peak_is_of_the_largest_of_each_second() -> None:
    one = Usual(2.0)
    assert one.passes(0.0), "nobody knows what is usual"
    at = seconds(one, [1.0] * 60)
    assert isnan(one.peak)
    assert one.passes(0.1)
    seconds(one, [1.0], at)
    assert one.peak == 1.0
    assert (one.passes(2.0), one.passes(-2.0), one.passes(1.99)) == (True, True, False)
    assert one.passes(1.5, 0.7)
    assert not one.passes(1.3, 0.7)


def test_events_do_not_become_usual() -> None:
    one = Usual(2.0)
    at = seconds(one, [1.0, 1.1] * 40)
    for _ in range(6):
        at = seconds(one, [50.0] * 5, at)
        at = seconds(one, [1.0, 1.1] * 25, at)
    assert one.peak == pytest.approx(1.1)
    assert one.beyond(50.0)
    assert not one.beyond(1.5)


def test_what_lasts_for_a_minute_is_the_rule() -> None:
    one = Usual(2.0)
    at = seconds(one, [1.0] * 600)
    at = seconds(one, [50.0] * 60, at)
    assert one.peak == 1.0
    at = seconds(one, [50.0] * 2, at)
    assert not one.beyond(50.0)
    seconds(one, [50.0] * 60, at)
    assert one.peak == 50.0


def test_a_usual_peak_ends_with_its_past() -> None:
    one = Usual(2.0)
    at = seconds(one, [1.0] * 90)
    one.clear()
    assert isnan(one.peak)
    seconds(one, [5.0] * 61, at)
    assert one.peak == 5.0


def test_a_mean_weighs_by_time() -> None:
    one = Mean(300 * MS)
    assert one.push(1.0, T) == 1.0
    assert one.push(0.0, T + 100 * MS) == 1.0
    assert one.push(0.0, T + 200 * MS) == 0.5
    assert one.push(0.0, T + 300 * MS) == pytest.approx(1 / 3)
    assert one.push(5.0, T + 350 * MS) == pytest.approx(1 / 6)
    assert one.push(5.0, T + 350 * MS) == pytest.approx(1 / 6), "no time has passed"
    assert one.push(5.0, T + 10 * S) == 5.0
    one.clear()
    assert one.push(-1.0, T + 11 * S) == -1.0


@given(
    steps=st.lists(st.tuples(st.integers(0, 200), st.floats(-1, 1)), min_size=2, max_size=80),
    window=st.integers(1, 500),
)
def test_a_running_mean_is_that_of_its_window(steps: list[tuple[int, float]], window: int) -> None:
    one = Mean(window * MS)
    t, known = T, []
    for gap, x in steps:
        t += gap * MS
        told = one.push(x, t)
        known.append((t, x))
        begin = max(t - window * MS, known[0][0])
        ends = [at for at, _ in known[1:]] + [t]
        area = sum(v * max(0, min(end, t) - max(at, begin)) for (at, v), end in zip(known, ends, strict=True))
        if t > begin:
            assert told == pytest.approx(area / (t - begin), abs=1e-9)


def image(*prices: int) -> Book:
    rows = Rows()
    for px in prices[::2]:
        rows.add(px, 1.0)
    rows.end_bids()
    for px in prices[1::2]:
        rows.add(px, 1.0)
    made = Book()
    made.replace(rows)
    made.live = True
    return made


def test_a_known_tick_is_not_looked_for() -> None:
    one = TickSize(Grid(8, Decimal("0.01")))
    assert one.px == 1_000_000
    assert one.book_replaced(book(), T) == VALUE
    assert one.px == 1_000_000


@given(ticks=st.lists(st.integers(1, 10**6), min_size=2, max_size=30), tick=st.integers(1, 10**6))
def test_an_unknown_tick_is_what_all_prices_share(ticks: list[int], tick: int) -> None:
    one = TickSize(Grid(8))
    assert one.px == 0
    assert one.book_changed(Book(), T) == NO_VALUE
    prices = [tick * n for n in ticks]
    one.book_replaced(image(*prices), T)
    assert one.px == gcd(*prices)


def test_more_prices_can_only_make_it_smaller() -> None:
    one = TickSize(Grid(8))
    made = image(1000, 1200, 800, 1400)
    one.book_replaced(made, T)
    assert one.px == 200
    rows = Rows()
    rows.add(950, 1.0)
    rows.end_bids()
    made.apply(rows)
    one.book_changed(made, T)
    assert one.px == 50
    one.book_replaced(image(1000, 1200), T)
    assert one.px == 50


def test_what_comes_in_more_than_a_tenth_of_the_seconds_becomes_usual() -> None:
    """A calm first minute must not make everything after it unusual for ever."""
    one = Usual(2.0)
    at = seconds(one, [1.0] * 100)
    assert one.peak == 1.0
    for _ in range(8):
        at = seconds(one, [9.0, 1.0, 1.0, 1.0] * 50, at)
    assert one.peak == 9.0
