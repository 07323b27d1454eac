"""One series at several scales: what is unusual at which, what only is remembered, and what one taker is."""

from __future__ import annotations

from itertools import pairwise
from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_desk import S, T

from imbalanced.detect.scales import Scales, Strides, TakerScales

MS = 1_000_000
AMOUNTS = st.lists(st.tuples(st.integers(1, 3_000), st.integers(-5, 5)), min_size=1, max_size=40)


def tenths(one: Scales, amounts: list[float], begin_ns: int = T) -> int:
    """An amount each 100 ms; the time of the last one."""
    for i, x in enumerate(amounts):
        one.push(x, begin_ns + i * 100 * MS)
    last_ns = begin_ns + (len(amounts) - 1) * 100 * MS
    one.look(last_ns)
    return last_ns


def test_a_flow_stands_out_most_at_the_scale_that_it_fills() -> None:
    one = Scales(2_000, 3)
    tenths(one, [1.0] * 80)
    assert one.largest == one.present == pytest.approx(80 / sqrt(8))
    one.clear()
    assert (one.look(T + 8 * S), one.share, one.present, one.present_share) == (0.0, 0.0, 0.0, 0.0)
    tenths(one, [0.5, -0.5] * 30 + [1.0] * 20, T + 10 * S)
    assert one.largest == pytest.approx(20 / sqrt(2)), "two seconds of it: over eight there is as much noise as flow"
    assert one.share == 1.0
    one.clear()
    tenths(one, [3.0, -1.0] * 40, T + 20 * S)
    assert one.largest == pytest.approx(80 / sqrt(8))
    assert one.share == 0.5


def test_what_is_over_is_remembered_and_not_present() -> None:
    one = Scales(2_000, 3)
    last_ns = tenths(one, [-1.0] * 60)
    assert one.present == one.largest < 0
    one.look(last_ns + 1_100 * MS)
    assert one.present == one.largest, "half of its rate is left in the last two seconds"
    one.look(last_ns + 2 * S)
    assert one.largest == pytest.approx(-60 / sqrt(8))
    assert (one.present, one.present_share) == (0.0, 0.0)
    one.push(0.5, last_ns + 2 * S + 1)
    one.look(last_ns + 2 * S + 1)
    assert one.present == pytest.approx(0.5 / sqrt(2)), "what goes on is the other side's"


@given(amounts=AMOUNTS)
def test_it_is_the_largest_of_all_windows_and_turns_with_its_sides(amounts: list[tuple[int, int]]) -> None:
    one, other = Scales(500, 4), Scales(500, 4)
    now, past = 0, []
    for wait, x in amounts:
        now += wait
        past.append((now, x))
        one.push(float(x), T + now * MS)
        other.push(float(-x), T + now * MS)
        sums = [sum(y for at, y in past if at > now - w) / sqrt(w / 1_000) for w in (500, 1_000, 2_000, 4_000)]
        assert abs(one.look(T + now * MS)) == pytest.approx(max(map(abs, sums)))
        assert abs(one.present) <= abs(one.largest)
        assert other.look(T + now * MS) == -one.largest
        assert (other.present, other.share, other.present_share) == (-one.present, -one.share, -one.present_share)


def test_an_instant_counts_the_root_of_what_it_nets() -> None:
    one = Scales(2_000, 3, 100)
    for i, x in enumerate((9.0, 5.0, -30.0)):
        one.push(x, T + i * 30 * MS)
    assert one.look(T + 90 * MS) == pytest.approx(-4.0 / sqrt(2))
    assert one.share == pytest.approx(-16 / 44), "of the amounts themselves"
    one.push(25.0, T + 100 * MS)
    assert one.look(T + 100 * MS) == pytest.approx(1.0 / sqrt(2)), "this is another instant"
    one.look(T + 2 * S)
    assert one.largest == pytest.approx(5.0 / sqrt(2)), "it left the shortest window as a whole"
    one.clear()
    assert one.look(T + 2 * S) == 0.0


def test_a_pressure_outweighs_a_jump_of_the_same_sum() -> None:
    jump, pressure = Scales(2_000, 3, 100), Scales(2_000, 3, 100)
    for i in range(40):
        jump.push(1.0, T + i * MS)
    tenths(pressure, [1.0] * 40)
    assert jump.look(T + 4 * S) == pytest.approx(sqrt(40) / sqrt(8))
    assert pressure.largest == pytest.approx(40 / sqrt(4))


@given(amounts=AMOUNTS)
def test_instants_turn_with_their_sides_and_keep_no_more_than_is_in_the_windows(amounts: list[tuple[int, int]]) -> None:
    one, other = Scales(500, 4, 100), Scales(500, 4, 100)
    now, instants = 0, []
    for wait, x in amounts:
        now += wait
        if x and (not instants or now - instants[-1][0] >= 100):
            instants.append((now, 0))
        if x:
            instants[-1] = (instants[-1][0], instants[-1][1] + x)
        one.push(float(x), T + now * MS)
        other.push(float(-x), T + now * MS)
        sums = [
            sum(sqrt(abs(y)) * (1 if y > 0 else -1) for at, y in instants if at > now - w) / sqrt(w / 1_000)
            for w in (500, 1_000, 2_000, 4_000)
        ]
        assert abs(one.look(T + now * MS)) == pytest.approx(max(map(abs, sums)), abs=1e-9)
        assert other.look(T + now * MS) == -one.largest


def test_a_taker_counts_the_root_of_all_that_it_took() -> None:
    one = TakerScales(1_000, 1)
    for i in range(4):
        one.take(25.0, 1, T + i * 250_000)
    assert one.look(T + MS) == pytest.approx(10.0), "four trades within a millisecond are one taker"
    one.take(25.0, 1, T + 1_250_000)
    assert one.look(T + 2 * MS) == pytest.approx(15.0), "this is another one"
    one.take(100.0, -1, T + 1_250_000)
    assert one.look(T + 2 * MS) == pytest.approx(5.0), "and so is the other side"


def test_many_takers_outweigh_a_large_one() -> None:
    crowd, single = TakerScales(1_000, 1), TakerScales(1_000, 1)
    for i in range(10):
        crowd.take(1.0, 1, T + i * 10 * MS)
    single.take(50.0, 1, T)
    assert crowd.look(T + 100 * MS) > single.look(T + 100 * MS)


def test_how_far_a_level_has_come() -> None:
    one = Strides(2_000, 3)
    one.push(100.0, T)
    assert (one.look(T + S), one.change) == (0.0, 0.0), "no window is full"
    for i in range(1, 9):
        one.push(100.0 + i, T + i * S)
    one.look(T + 8 * S)
    assert one.largest == pytest.approx(8 / sqrt(8))
    assert one.change == 8.0
    one.look(T + 11 * S)
    assert one.largest == pytest.approx(5 / sqrt(8)), "it stands, and the windows go on"
    assert one.change == 5.0
    one.push(90.0, T + 11 * S)
    one.look(T + 11 * S)
    assert one.largest == pytest.approx(-18 / sqrt(2))
    assert one.change == -18.0
    one.clear()
    assert (one.look(T + 12 * S), one.change) == (0.0, 0.0)
    one.push(50.0, T + 13 * S)
    assert one.look(T + 30 * S) == 0.0, "nothing of before"


@given(steps=AMOUNTS)
def test_a_stride_is_the_largest_of_all_windows(steps: list[tuple[int, int]]) -> None:
    one = Strides(500, 3)
    now, level, past = 0, 100, [(0, 100)]
    one.push(100.0, T)
    for wait, x in steps:
        now, level = now + wait, level + x
        past.append((now, level))
        one.push(float(level), T + now * MS)
        then = [
            next((y for (at, y), (after, _) in pairwise([*past, (now + 1, 0)]) if at <= now - w < after), None)
            for w in (500, 1_000, 2_000)
        ]
        strides = [
            abs(level - y) / sqrt(w / 1_000) for y, w in zip(then, (500, 1_000, 2_000), strict=True) if y is not None
        ]
        assert abs(one.look(T + now * MS)) == pytest.approx(max(strides, default=0.0))
