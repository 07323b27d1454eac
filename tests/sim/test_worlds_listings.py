"""Symbols that go, come back under another name, stop and are refused: what the venue says, and what its list says."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest

from imbalanced.events import Frame, Instrument
from imbalanced.sim import SIMS
from imbalanced.sim.worlds import World
from imbalanced.sim.worlds.listings import READ_AGAIN_NS
from imbalanced.sim.worlds.network import Ruling, Told
from imbalanced.sim.worlds.stage import S
from imbalanced.states import State


class Place:
    """A world of one venue with two symbols and no weather, which lives when a test lets it."""

    def __init__(self, venue: str) -> None:
        several = [SIMS[venue], SIMS["hyperliquid"]]
        self.world = next(world for world in (World(seed, several) for seed in range(200)) if self._fits(world, venue))
        (self.exchange,) = self.world.exchanges
        self.listings, self.stage = self.world._listings, self.world.stage
        self.frames: list[tuple[Frame, Any]] = []
        feed = self.world.feed

        def heard(frame: Frame, told: Any) -> None:
            self.frames.append((frame, told))
            feed(frame, told)

        self.world.feed = heard  # type: ignore[method-assign]
        for hands in self.world.hands.values():
            hands._feed = heard
        self.wait(60)
        self.one, self.other = list(self.exchange.books.values())

    @staticmethod
    def _fits(world: World, venue: str) -> bool:
        exchange, *others = world.exchanges
        if others or exchange.venue.id != venue or len(exchange.books) != 2:
            return False
        return len(world.pipeline.sessions[venue].codec.plan(exchange.listed())) == 1

    def wait(self, seconds: float) -> list[tuple[Frame, Any]]:
        """What was fed in so long a time."""
        self.frames.clear()
        self.world._until(self.stage.now_ns + int(seconds * S))
        return self.frames

    def over(self, seconds: float) -> int:
        return self.stage.now_ns + int(seconds * S)

    def listed(self) -> dict[str, bool]:
        """What the list said last."""
        last = [frame.data for frame, _ in self.frames if frame.kind == "instruments"][-1]
        return {one.venue_symbol: one.active for one in msgspec.json.decode(last, type=list[Instrument])}

    def state(self, symbol: str) -> State:
        return self.world.pipeline.sessions[self.exchange.venue.id].lanes[symbol].state


READ_AGAIN_S = READ_AGAIN_NS / S


@pytest.mark.parametrize("venue", ["kraken", "gate"])
def test_what_is_delisted_is_told_no_more_and_the_list_says_so_later(venue: str) -> None:
    place = Place(venue)
    one = place.one.symbol
    assert place.listings.delist(place.exchange, place.one, 0)
    place.wait(0.1)  # what was under way
    told = place.wait(READ_AGAIN_S)
    assert place.listed() == {place.other.symbol: True}
    assert not [who for _, who in told if isinstance(who, Told) and who.symbol == one]
    assert (place.state(one), place.state(place.other.symbol)) == (State.CLOSED, State.LIVE)


def test_what_is_renamed_comes_back_as_another_symbol() -> None:
    place = Place("kraken")
    names = set()
    for seed in range(8):
        place.stage.rng = random.Random(seed)
        old = next(iter(place.exchange.books.values()))
        if not place.listings.rename(place.exchange, old, 0):
            break
        place.wait(READ_AGAIN_S)
        *_, new = place.exchange.books.values()
        assert new.symbol != old.symbol
        assert place.listed()[new.symbol]
        names.add(new.instrument.symbol == old.instrument.symbol)
        place.wait(5)
        assert (place.state(old.symbol), place.state(new.symbol)) == (State.CLOSED, State.LIVE)
    assert names == {True, False}, "by the name that only the venue calls it by, and by both"


@pytest.mark.parametrize("venue", ["kraken", "kraken_futures", "okx", "deribit"])
def test_a_halt_is_said_by_the_venue_and_taken_back(venue: str) -> None:
    place = Place(venue)
    assert place.exchange.halt(place.one, halted=True)
    told = place.wait(1)
    assert Ruling(place.one.symbol, "halted") in [who for _, who in told]
    assert (place.state(place.one.symbol), place.state(place.other.symbol)) == (State.HALTED, State.LIVE)
    place.exchange.halt(place.one, halted=False)
    place.wait(10)
    assert place.state(place.one.symbol) is State.LIVE


def test_a_venue_without_a_word_for_it_says_nothing() -> None:
    place = Place("bybit")
    assert not place.exchange.halt(place.one, halted=True)


def test_a_halt_of_the_list_is_over_when_it_is_to_be() -> None:
    place = Place("bybit")
    place.stage.rng = random.Random(3)
    while not place.listings.halt(place.exchange, place.one, place.over(30)):
        pass
    place.wait(READ_AGAIN_S + 1)
    assert place.listed() == {place.one.symbol: False, place.other.symbol: True}
    assert (place.state(place.one.symbol), place.state(place.other.symbol)) == (State.HALTED, State.LIVE)
    place.wait(30 + READ_AGAIN_S)
    assert place.listed()[place.one.symbol]
    assert place.state(place.one.symbol) is State.LIVE


def test_who_is_refused_is_refused_by_name_and_accepted_afterwards() -> None:
    place = Place("coinbase")
    assert place.listings.refuse(place.exchange, place.one, place.over(20))
    assert not place.listings.refuse(place.exchange, place.one, place.over(20)), "once is enough"
    told = place.wait(10)
    assert Ruling(place.one.symbol, "refused") in [who for _, who in told]
    assert place.state(place.other.symbol) is State.LIVE
    assert place.state(place.one.symbol) is not State.LIVE
    place.wait(120)
    assert place.state(place.one.symbol) is State.LIVE


@pytest.mark.parametrize("venue", ["bitfinex", "bitfinex_orders"])
def test_a_service_that_pauses_says_so_and_what_changed_meanwhile_is_not_told(venue: str) -> None:
    place = Place(venue)
    assert place.exchange.renumber(place.one, place.over(5))
    assert not place.exchange.renumber(place.one, place.over(5)), "one pause at a time"
    place.wait(1)
    assert {place.state(one.symbol) for one in (place.one, place.other)} == {State.HALTED}
    before = place.one.written
    told = place.wait(5)
    assert Ruling("", "trading") in [who for _, who in told]
    assert place.one.written > before
    place.wait(20)
    assert {place.state(one.symbol) for one in (place.one, place.other)} == {State.LIVE}
