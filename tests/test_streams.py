"""A stream judged by its own past: its silences and its rates."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from imbalanced.streams import FLOOR, KNOWN, LEAST, LEAST_NS, PAST, SPAN, STEP_NS, Rate, Stream

S = 1_000_000_000


def stepped(rate: Rate, counts: list[int], begin: int = 0) -> list[bool]:
    """One number of messages a step, looked at every second as the watch does; whether it had thinned at its end."""
    told, total = [], begin
    for number, count in enumerate(counts):
        total += count
        for second in range(STEP_NS // S):
            rate.step(total, (number * (STEP_NS // S) + second + 1) * S)
        told.append(rate.thinned())
    return told


def test_a_stream_that_falls_far_below_its_lowest_rate_has_thinned_out() -> None:
    rate = Rate()
    told = stepped(rate, [100] * 40 + [2] * 6)
    assert told.index(True) == 40 + SPAN - 1


def test_a_young_stream_a_slow_one_and_one_that_was_ever_slow_have_no_floor() -> None:
    assert not any(stepped(Rate(), [100] * (PAST - 1) + [0] * 4))
    assert not any(stepped(Rate(), [LEAST // SPAN - 1] * 100 + [0] * 10))
    assert not any(stepped(Rate(), [5] * 5 + [100] * 60 + [1] * 5))


@given(st.lists(st.integers(50, 500), min_size=PAST + SPAN, max_size=80))
def test_what_keeps_within_a_tenth_of_its_past_has_not_thinned_out(counts: list[int]) -> None:
    assert FLOOR * max(counts) <= min(counts)
    assert not any(stepped(Rate(), counts))


def test_a_pause_in_the_looking_is_no_measure() -> None:
    rate = Rate()
    stepped(rate, [100] * 40)
    assert not rate.step(4000, 10_000 * S), "how long this step was is unknown"
    assert not rate.thinned() or rate.recent > 0


def test_a_new_socket_begins_no_new_past() -> None:
    rate = Rate()
    stepped(rate, [100] * 40)
    rate.restart()
    assert rate.age >= PAST
    assert rate.lowest == 300


def heard(stream: Stream, gaps_s: list[float]) -> int:
    """Messages with these pauses between them, looked at once a second."""
    now, look = S, 2 * S
    stream.heard(now)
    for gap in gaps_s:
        now += int(gap * S)
        while look <= now:
            stream.look(look)
            look += S
        stream.heard(now)
    stream.look(now)
    return now


def test_silence_is_judged_by_the_usual_interval_and_by_the_longest() -> None:
    steady = Stream("trades")
    now = heard(steady, [0.1] * KNOWN)
    assert not steady.overdue(now + LEAST_NS)
    assert steady.overdue(now + LEAST_NS + 1)
    slow = Stream("trades")
    now = heard(slow, [30.0] * KNOWN)
    assert not slow.overdue(now + 3000 * S)
    assert slow.overdue(now + 3001 * S)
    bursts = Stream("trades")
    now = heard(bursts, [300.0, *[0.01] * KNOWN])
    assert not bursts.overdue(now + 1400 * S), "it was silent for five minutes before"
    assert bursts.overdue(now + 1501 * S)


def test_an_unknown_stream_is_never_overdue() -> None:
    stream = Stream("trades")
    now = heard(stream, [0.1] * (KNOWN - 2))
    assert not stream.overdue(now + 10**6 * S)


def test_the_longest_silence_is_forgotten_by_time_and_not_by_bursts() -> None:
    stream = Stream("trades")
    now = heard(stream, [200.0, *[0.0005] * 20_000])
    assert not stream.overdue(now + 900 * S)


def test_random_trading_is_never_overdue() -> None:
    """Prints in bursts, a thousand times over: a market, not a fault."""
    dice = random.Random(5)
    for mean_s in (0.05, 1.0, 20.0):
        stream = Stream("trades")
        now, look = S, 2 * S
        for _ in range(5000):
            now += int(dice.expovariate(1 / mean_s) * (20 if dice.random() < 0.05 else 0.3) * S)
            while look <= now:
                stream.look(look)
                assert not stream.overdue(look)
                look += S
            stream.heard(now)


def test_what_is_no_news_is_not_told_twice() -> None:
    stream = Stream("book")
    assert stream.tell("stale", "why", 5)
    assert not stream.tell("stale", "why", 6)
    assert (stream.state, stream.since_ns) == ("stale", 5)
