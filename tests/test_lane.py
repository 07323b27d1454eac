"""When a lost book may be asked for again, and when a silent stream is stale."""

from __future__ import annotations

import pytest
from conversation import S, instrument
from hypothesis import given
from hypothesis import strategies as st

from imbalanced.lane import (
    BACKOFF_FIRST_NS,
    BACKOFF_MOST_NS,
    COOL_DOWN_FIRST_NS,
    COOL_DOWN_MOST_NS,
    HOUR_NS,
    RESYNCS_MAX,
    STABLE_NS,
    STALE_KNOWN,
    STALE_LEAST_NS,
    STALE_MOST_NS,
    Lane,
)
from imbalanced.venues.codec import Chain, Continuity
from imbalanced.venues.diff import Diff

CHAIN = Continuity(chain=Chain.PLUS_ONE, offset=1)
NOW_NS = 1_700_000_000 * S


def lane(symbol: str = "AAAUSDT") -> Lane:
    return Lane(instrument(symbol), CHAIN)


def delays(one: Lane, count: int) -> list[int]:
    """What each further failed attempt waits."""
    waits = []
    for _ in range(count):
        one.failed(NOW_NS)
        waits.append(one.wanted_ns - NOW_NS)
    return waits


def lose(one: Lane, now_ns: int, *, lived_ns: int = 0) -> int:
    """Proven, and lost ``lived_ns`` later; how long the next image must wait."""
    one.proven(now_ns - lived_ns)
    one.lost("sequence_gap", now_ns)
    return one.wanted_ns - now_ns


def test_failed_attempts_wait_twice_as_long_each_time_up_to_a_bound() -> None:
    for attempt, wait in enumerate(delays(lane(), 12)):
        full = min(BACKOFF_FIRST_NS << attempt, BACKOFF_MOST_NS)
        assert full / 2 <= wait <= full, f"attempt {attempt + 1}: jitter is half of the full delay at most"


def test_a_loss_out_of_the_blue_is_asked_for_at_once_and_the_attempt_counts() -> None:
    one = lane()
    assert lose(one, NOW_NS) == 0
    assert delays(one, 2) == delays(lane(), 2)


def test_it_stays_bounded_for_ever() -> None:
    assert max(delays(lane(), 1000)) <= BACKOFF_MOST_NS


def test_jitter_is_a_hash_and_differs_between_symbols() -> None:
    assert delays(lane(), 8) == delays(lane(), 8)
    assert delays(lane("AAAUSDT"), 8) != delays(lane("BBBUSDT"), 8)


def test_an_image_alone_does_not_clear_the_account() -> None:
    one = lane()
    delays(one, 4)
    assert lose(one, NOW_NS + S, lived_ns=STABLE_NS - 1) > BACKOFF_FIRST_NS
    assert lose(one, NOW_NS + 900 * S, lived_ns=STABLE_NS) == 0


def test_after_five_resyncs_in_ten_minutes_it_cools_down_longer_and_longer() -> None:
    one = lane()
    waits = [lose(one, NOW_NS + i * S) for i in range(RESYNCS_MAX + 6)]
    assert all(wait <= BACKOFF_MOST_NS for wait in waits[:RESYNCS_MAX])
    for times, wait in enumerate(waits[RESYNCS_MAX:]):
        full = min(COOL_DOWN_FIRST_NS << times, COOL_DOWN_MOST_NS)
        assert full / 2 <= wait <= full


def test_a_cool_down_ends_when_the_losses_are_old() -> None:
    one = lane()
    for i in range(RESYNCS_MAX + 1):
        lose(one, NOW_NS + i * S)
    assert lose(one, NOW_NS + 700 * S, lived_ns=STABLE_NS) == 0


def test_losses_are_counted_once_each_and_for_an_hour() -> None:
    one = lane()
    one.lost("socket_closed", NOW_NS)
    assert (one.gaps_1h(NOW_NS), one.losses, one.why) == (0, 0, "socket_closed"), "there was no book to lose"
    lose(one, NOW_NS)
    one.lost("socket_closed", NOW_NS + 1)
    lose(one, NOW_NS + 10 * S)
    assert (one.gaps_1h(NOW_NS + 10 * S), one.losses) == (2, 2)
    assert one.gaps_1h(NOW_NS + HOUR_NS) == 1
    lose(one, NOW_NS + HOUR_NS)
    assert one.gaps_1h(NOW_NS + HOUR_NS) == 2
    assert one.losses == 3


def test_why_says_what_is_wrong_and_nothing_while_it_is_not() -> None:
    one = lane()
    assert not one.valid
    one.proven(NOW_NS)
    assert one.valid
    assert (one.why, one.since_ns, one.fetching_since_ns) == ("", NOW_NS, 0)
    one.lost("crossed_book", NOW_NS + 1)
    assert (one.valid, one.why, one.since_ns) == (False, "crossed_book", NOW_NS + 1)


def hear(one: Lane, intervals_ns: list[int]) -> None:
    now_ns = NOW_NS
    one.sync.diff(Diff(), now_ns)
    for interval_ns in intervals_ns:
        now_ns += interval_ns
        one.sync.diff(Diff(), now_ns)


def test_a_stream_that_hardly_spoke_has_no_usual_interval() -> None:
    one = lane()
    assert one.stale_after_ns() == STALE_MOST_NS
    hear(one, [1] * (STALE_KNOWN - 1))
    assert one.stale_after_ns() == STALE_MOST_NS
    hear(one, [1])
    assert one.stale_after_ns() == STALE_LEAST_NS


@pytest.mark.parametrize(
    ("usual_ns", "longest_ns", "stale_s"),
    [
        (S // 10, S // 10, 30),  # 50 x 100 ms is below the least
        (S, S, 50),  # 50 usual intervals
        (S // 10, 20 * S, 60),  # 3 x the longest of late
        (S // 10, 300 * S, 120),  # never above the most
        (10 * S, 10 * S, 120),
    ],
)
def test_a_stream_is_stale_by_its_own_measure_within_bounds(usual_ns: int, longest_ns: int, stale_s: int) -> None:
    one = lane()
    hear(one, [longest_ns, *[usual_ns] * 300])
    # What was the longest fades a little with every message.
    assert one.stale_after_ns() / S == pytest.approx(stale_s, rel=0.35)
    assert STALE_LEAST_NS <= one.stale_after_ns() <= STALE_MOST_NS


@given(history=st.lists(st.tuples(st.sampled_from(["lost", "failed", "proven"]), st.integers(0, 100 * S)), max_size=40))
def test_no_history_asks_before_now_or_waits_beyond_the_cool_down(history: list[tuple[str, int]]) -> None:
    one, now_ns = lane(), NOW_NS
    for what, later_ns in history:
        now_ns += later_ns
        if what == "proven":
            one.proven(now_ns)
            continue
        if what == "lost":
            one.lost("sequence_gap", now_ns)
        else:
            one.failed(now_ns)
        assert now_ns <= one.wanted_ns <= now_ns + COOL_DOWN_MOST_NS
