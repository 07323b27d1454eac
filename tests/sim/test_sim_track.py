"""A `book` flow: image and changes, however they are cut, are the market's window, with and without farewells."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imbalanced.sim.market import Market, Spec
from imbalanced.sim.track import RESTART_ID, Track
from imbalanced.sim.wire import Changes, Image, Stream, Wire

SPEC = Spec(start_tick=61_800, gap_ticks=2, typical_lots=50, levels=60)
Sides = tuple[dict[int, int], dict[int, int]]


class Habits(Wire):
    def __init__(self, *, tells_leaving: bool = True, restart: str = "", idle_ms: int = 0) -> None:
        self.tells_leaving, self.idle_ms = tells_leaving, idle_ms
        self.restart = restart  # type: ignore[assignment]
        self.checksum_levels = 3


class Heard:
    """A client's book of so many levels a side."""

    def __init__(self, image: Image, levels: int) -> None:
        self.sides: Sides = (dict(image.bids), dict(image.asks))
        self.last_id = image.last_id
        self._levels = levels

    def apply(self, told: Changes) -> None:
        assert told.previous_id == self.last_id
        self.last_id = told.last_id
        for side, touched, best in ((self.sides[0], told.bids, max), (self.sides[1], told.asks, min)):
            for tick, lots, was in touched:
                assert side.get(tick, 0) == was, "what the client is said to know is what it knows"
                if lots:
                    side[tick] = lots
                else:
                    side.pop(tick)
            while self._levels and len(side) > self._levels:
                side.pop(min(side) if best is max else max(side))


def window(market: Market, levels: int) -> Sides:
    return dict(market.bids(levels or None)), dict(market.asks(levels or None))


def moved(track: Track, market: Market, now_ms: int) -> int:
    for action in market.step(now_ms):
        for change in action.changes:
            track.note(change)
    return now_ms


@given(
    seed=st.integers(0, 10**6),
    levels=st.sampled_from([0, 1, 5, 40, 59, 60, 61, 64]),
    tells=st.booleans(),
    steps=st.lists(st.integers(5, 900), min_size=1, max_size=30),
)
def test_a_client_always_has_the_window(seed: int, levels: int, tells: bool, steps: list[int]) -> None:
    market, now = Market(SPEC, random.Random(seed), 0), 0
    track = Track(market, Stream("X", "book", 100, levels), Habits(tells_leaving=tells), 0)
    client = Heard(track.image(), levels)
    late: Heard | None = None
    for number, step in enumerate(steps):
        now = moved(track, market, now + step)
        if number == len(steps) // 2:
            late = Heard(track.image(), levels)  # joins in the middle of an interval
        message = track.flush(now, now)
        if isinstance(message, Changes):
            assert message.top.bids == market.bids(3)
            client.apply(message)
            if late is not None:
                late.apply(message)
        assert client.sides == window(market, levels)
        assert late is None or late.sides == client.sides


def test_one_number_a_message_and_none_for_nothing() -> None:
    market = Market(SPEC, random.Random(3), 0)
    track = Track(market, Stream("X", "book", 100, 20), Habits(), 0)
    assert (track.image().number, track.flush(0, 0)) == (1, None)
    moved(track, market, 1000)
    message = track.flush(1000, 1000)
    assert isinstance(message, Changes)
    assert (message.number, message.last_id) == (2, market.last_id)
    assert (track.flush(1000, 1100), track.image().number) == (None, 2)


def test_a_quiet_book_says_so_where_the_venue_does() -> None:
    market = Market(SPEC, random.Random(3), 0)
    track = Track(market, Stream("X", "book", 100, 20), Habits(idle_ms=60_000), 0)
    assert track.flush(0, 59_900) is None
    message = track.flush(0, 60_000)
    assert isinstance(message, Changes)
    assert (message.previous_id, message.bids, message.asks) == (message.last_id, (), ())
    assert track.flush(0, 60_100) is None


@pytest.mark.parametrize("restart", ["lower", "image"])
def test_a_restart_is_told_in_the_venues_way(restart: str) -> None:
    market = Market(SPEC, random.Random(3), 0)
    track = Track(market, Stream("X", "book", 100, 20), Habits(restart=restart), 0)
    client = Heard(track.image(), 20)
    moved(track, market, 500)
    track.restart()
    message = track.flush(500, 500)
    if restart == "lower":
        assert isinstance(message, Changes)
        assert message.last_id == RESTART_ID
        client.apply(message)
    else:
        assert isinstance(message, Image)
        assert message.number == 1
        client = Heard(message, 20)
    moved(track, market, 1000)
    after = track.flush(1000, 1000)
    assert isinstance(after, Changes)
    client.apply(after)
    assert client.sides == window(market, 20)
