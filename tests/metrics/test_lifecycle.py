"""The life of a signal: cases worked by hand, and laws over any history of scores."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imbalanced.metrics import evaluate
from imbalanced.metrics import lifecycle as life
from imbalanced.metrics.lifecycle import Lifecycle

SECOND = 10**9
FAST: dict[str, Any] = {"on": "2", "off": "1", "min_duration_ms": 0, "cooldown_ms": 100, "max_age_ms": 1000}


def values(*rows: tuple[int, str | None]) -> list[dict[str, Any]]:
    return [{"type": "value", "ts_ms": ts_ms, "x": x} for ts_ms, x in rows]


def opened(side: float, peak: float) -> dict[str, Any]:
    return {"event": "open", "side": side, "peak": peak}


def closed(side: float, reason: str) -> dict[str, Any]:
    return {"event": "close", "side": side, "reason": reason}


def test_reversal_closes_and_the_other_side_opens_with_the_next_value() -> None:
    events = values((0, "2"), (10, "-2"), (11, "-3"))
    assert evaluate("detector", FAST, events) == [opened(1, 2), closed(1, "reversed"), opened(-1, 3)]


def test_reversal_into_a_side_that_cools_down_arms_nothing() -> None:
    events = values((0, "-2"), (1, "0"), (2, "2"), (3, "-2"), (4, "-2"), (101, "-2"))
    assert evaluate("detector", FAST, events) == [
        opened(-1, 2),
        closed(-1, "faded"),
        opened(1, 2),
        closed(1, "reversed"),
        None,
        opened(-1, 2),
    ]


def test_update_at_exactly_the_step_in_decimals() -> None:
    """2.2 + 0.1 is more than 2.3 in floats."""
    events = values((0, "2.2"), (1, "2.29999"), (2, "2.3"), (3, "2.3"))
    answers: list[Any] = evaluate("detector", FAST | {"update_step": "0.1"}, events)
    assert [answer and answer["event"] for answer in answers] == ["open", None, "update", None]


def test_without_a_step_every_equal_or_higher_value_updates() -> None:
    events = values((0, "2.2"), (1, "2.2"), (2, "2.1999999"), (3, "9"))
    answers: list[Any] = evaluate("detector", FAST | {"update_step": "0"}, events)
    assert [answer and answer["event"] for answer in answers] == ["open", "update", None, "update"]


def test_null_disarms_and_an_open_episode_may_only_expire_on_it() -> None:
    events = values((0, "2"), (1, None), (2, "2"), (12, "2"), (900, None), (1012, None))
    answers = evaluate("detector", FAST | {"min_duration_ms": 10}, events)
    assert answers == [None, None, None, opened(1, 2), None, closed(1, "expired")]


def test_a_clock_neither_opens_nor_disarms() -> None:
    events = [*values((0, "2")), {"type": "clock", "ts_ms": 50}, *values((60, "2"))]
    assert evaluate("detector", FAST | {"min_duration_ms": 10}, events) == [None, None, opened(1, 2)]


def test_age_comes_before_reversal() -> None:
    assert evaluate("detector", FAST, values((0, "2"), (1000, "-5")))[1] == closed(1, "expired")


def test_invalid_starts_no_cooldown_and_ends_none() -> None:
    invalid = {"type": "book_invalid", "ts_ms": 20, "reason": "sequence_gap"}
    events = [*values((0, "2"), (10, "0")), invalid, *values((30, "2"), (110, "2"))]
    assert evaluate("detector", FAST, events) == [opened(1, 2), closed(1, "faded"), None, None, opened(1, 2)]


def test_a_suppressed_open_is_tried_again_until_it_disarms() -> None:
    machine = Lifecycle(2, 1, 0, SECOND, 10 * SECOND, 0.5)
    assert machine.value(3, 0) == life.OPEN
    machine.suppress()
    assert machine.state == life.ARMED
    assert machine.value(2.5, 1) == life.OPEN
    assert (machine.peak, machine.opened_ns, machine.since_ns) == (2.5, 1, 0)
    machine.suppress()
    assert machine.value(0.5, 2) == life.NOTHING
    assert machine.state == life.IDLE


def test_it_can_be_closed_from_outside_and_then_cools_down() -> None:
    machine = Lifecycle(2, 1, 0, SECOND, 10 * SECOND, 0.5)
    assert machine.close(life.FADED, 0) == life.NOTHING
    machine.value(-3, 0)
    assert machine.close(life.FADED, 5) == life.CLOSE
    assert (machine.side, life.REASONS[machine.reason]) == (-1, "faded")
    assert machine.value(-3, SECOND + 4) == life.NOTHING
    assert machine.value(-3, SECOND + 5) == life.OPEN


@pytest.mark.parametrize(
    ("params", "named"),
    [({"on": "1", "off": "2"}, "off of at most on"), ({"on": "0"}, "on"), ({"max_age_ms": 0}, "max_age_ms")],
)
def test_what_is_wrong_is_named(params: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        evaluate("detector", params, [])


SCORES = st.one_of(st.none(), st.just("clock"), st.just("invalid"), st.integers(-40, 40).map(lambda x: x / 10))
HISTORY = st.lists(st.tuples(st.integers(0, 4), SCORES), max_size=60)
Happened = tuple[int, str, int, Any]


def run(history: list[tuple[int, Any]], sign: int = 1) -> list[Happened]:
    """``(time, event, side, peak or reason)`` of everything that happened."""
    machine, t, told = Lifecycle(2, 1, 3, 5, 20, 0.5), 0, []
    for gap, x in history:
        t += gap
        if x == "clock":
            code = machine.clock(t)
        elif x == "invalid":
            code = machine.invalid(t)
        else:
            code = machine.value(float("nan") if x is None else sign * x, t)
        if code != life.NOTHING:
            last = life.REASONS[machine.reason] if code == life.CLOSE else machine.peak
            told.append((t, life.EVENTS[code], machine.side, last))
    return told


def reference(history: list[tuple[int, Any]]) -> list[Happened]:
    """The page's words once more, without any care for speed."""
    state, side, since, peak, t = "idle", 0, 0, 0.0, 0
    free = {1: -99, -1: -99}
    told: list[Happened] = []

    def close(reason: str) -> None:
        nonlocal state
        told.append((t, "close", side, reason))
        state = "idle"
        if reason != "invalid":
            free[side] = t + 5

    for gap, x in history:
        t += gap
        if x == "invalid":
            if state == "open":
                close("invalid")
            state = "idle"
        elif x in ("clock", None):
            if state == "open" and t - since >= 20:
                close("expired")
            elif x is None and state == "armed":
                state = "idle"
        elif state == "open":
            if t - since >= 20:
                close("expired")
            elif -side * x >= 2:
                close("reversed")
                if t >= free[-side]:
                    state, side, since = "armed", -side, t
            elif side * x < 1:
                close("faded")
            elif abs(x) >= round(peak + 0.5, 9):
                peak = abs(x)
                told.append((t, "update", side, peak))
        else:
            if state == "armed" and side * x < 2:
                state = "idle"
            new = 1 if x > 0 else -1
            if state == "idle" and abs(x) >= 2 and t >= free[new]:
                state, side, since = "armed", new, t
            if state == "armed" and t - since >= 3:
                state, since, peak = "open", t, abs(x)
                told.append((t, "open", side, peak))
    return told


@settings(max_examples=300, deadline=None)
@given(HISTORY)
def test_it_does_what_the_page_says(history: list[tuple[int, Any]]) -> None:
    assert run(history) == reference(history)


@settings(max_examples=200, deadline=None)
@given(HISTORY)
def test_every_open_has_one_close_and_nothing_opens_within_the_cooldown(history: list[tuple[int, Any]]) -> None:
    is_open, free = 0, {1: -1, -1: -1}
    for t, event, side, last in run(history):
        if event == "open":
            assert is_open == 0
            assert t >= free[side]
            is_open = side
        else:
            assert is_open == side
        if event == "close":
            is_open = 0
            free[side] = -1 if last == "invalid" else t + 5


@settings(max_examples=200, deadline=None)
@given(HISTORY)
def test_mirrored_scores_give_mirrored_episodes(history: list[tuple[int, Any]]) -> None:
    mirrored = [(t, event, -side, last) for t, event, side, last in run(history, sign=-1)]
    assert mirrored == run(history)
