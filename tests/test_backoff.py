"""The arithmetic of waiting, on times that the test makes up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imbalanced.backoff import Backoff, Pace, Weight


def test_delays_double_up_to_the_cap() -> None:
    backoff = Backoff(0.5, 30, 60, jitter=lambda: 1.0)
    assert [backoff.next_s() for _ in range(9)] == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


def test_jitter_is_full() -> None:
    assert Backoff(0.5, 30, 60, jitter=lambda: 0.0).next_s() == 0
    assert Backoff(0.5, 30, 60, jitter=lambda: 0.5).next_s() == 0.25


def test_only_a_stable_life_resets() -> None:
    backoff = Backoff(0.5, 30, 60, jitter=lambda: 1.0)
    for _ in range(4):
        backoff.next_s()
    backoff.lived(59.9)
    assert backoff.next_s() == 8
    backoff.lived(60)
    assert backoff.next_s() == 0.5


@given(st.lists(st.floats(0, 3), max_size=60), st.integers(1, 6), st.integers(0, 1))
def test_no_window_ever_holds_more_than_its_count(gaps: list[float], count: int, keep: int) -> None:
    pace = Pace(count, 1.0)
    now = 100.0
    acts: list[float] = []
    for gap in gaps:
        now += gap
        while (wait_s := pace.wait_s(now, keep)) > 0:
            now = max(now + wait_s, acts[0])
        pace.act(now)
        acts.append(now)
    allowed = max(count - keep, 1)
    for first, later in zip(acts, acts[allowed:], strict=False):
        assert later - first >= 1.0 - 1e-9


def test_control_frames_take_room_from_the_rest() -> None:
    pace = Pace(3, 1.0)
    for now in (0.0, 0.1, 0.2, 0.3):  # cannot be held back, so they may overrun
        pace.act(now)
    assert pace.wait_s(0.4) == pytest.approx(1.1 - 0.4)
    assert pace.wait_s(0.4, keep=1) == pytest.approx(1.2 - 0.4)
    assert pace.wait_s(1.25) == 0


def test_weight_slides_over_a_minute() -> None:
    weight = Weight(100)
    weight.spend(0, 60)
    assert weight.wait_s(10, 40) == 0
    weight.spend(10, 40)
    assert weight.wait_s(20, 1) == 40
    assert weight.wait_s(20, 61) == 50
    assert weight.wait_s(60, 60) == 0
    assert weight.used == 40


def test_weight_that_fits_in_no_minute_waits_for_an_empty_one() -> None:
    weight = Weight(100)
    assert weight.wait_s(0, 250) == 0
    weight.spend(0, 1)
    assert weight.wait_s(1, 250) == 59


def test_what_the_venue_has_counted_is_believed_when_it_is_more() -> None:
    weight = Weight(100)
    weight.spend(0, 10)
    weight.reported(1, 95)
    assert weight.used == 95
    weight.reported(2, 3)  # the venue's minute has begun anew; ours has not
    assert weight.used == 95
    assert weight.wait_s(2, 10) == pytest.approx(58)
    assert weight.wait_s(61, 100) == 0
