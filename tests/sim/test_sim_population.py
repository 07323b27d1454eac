"""The orders behind the levels of a market: their sums are the levels, and a flow tells the best of them."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imbalanced.sim.market import Change, Market, Spec
from imbalanced.sim.population import MOST, OrderTrack, Population
from imbalanced.sim.track import SIDES
from imbalanced.sim.wire import Order, OrderChanges, Resting, Stream, Wire

NOW = 1_000_000


class Summed(Wire):
    checksum_levels = 5
    restart = "image"


def market(seed: int = 1, levels: int = 60) -> Market:
    return Market(Spec(start_tick=5_000, gap_ticks=1, typical_lots=20, levels=levels), random.Random(seed), NOW)


def levels_of(orders: list[Order]) -> list[tuple[int, int]]:
    summed: dict[int, int] = {}
    for one in orders:
        summed[one.tick] = summed.get(one.tick, 0) + one.lots
    return list(summed.items())


@given(st.integers(0, 2**32), st.integers(1, 120))
@settings(max_examples=25, deadline=None)
def test_orders_sum_to_the_levels_whatever_happens(seed: int, limit: int) -> None:
    made = market(seed)
    orders = Population(made)
    for action in made.step(NOW + 3_000):
        for change in action.changes:
            orders.note(change)
        for side in SIDES:
            assert levels_of(orders.resting(side)) == made.ladder(side).levels()
    for side in SIDES:
        everyone = orders.resting(side)
        assert everyone == sorted(everyone, key=lambda one: (-made.ladder(side).rank(one.tick), one.id))
        assert orders.resting(side, limit) == everyone[:limit]
        assert len({one.id for one in everyone}) == len(everyone)
        assert max(sum(other.tick == one.tick for other in everyone) for one in everyone) <= MOST


def test_the_same_market_has_the_same_orders() -> None:
    assert Population(market()).resting("bid") == Population(market()).resting("bid")


def test_the_oldest_order_is_taken_from_and_what_comes_is_new() -> None:
    made = market()
    orders = Population(made)
    tick = next(tick for tick, lots in made.bids() if tick % MOST == 1 and lots >= 4)

    def at() -> list[Order]:
        return [one for one in orders.resting("bid") if one.tick == tick]

    def put(lots: int) -> None:
        ladder, was = made.ladder("bid"), made.ladder("bid").lots(tick)
        ladder.put(tick, lots)
        made.last_id += 1
        orders.note(Change(made.last_id, "bid", tick, lots, was))

    first, second = at()
    put(made.ladder("bid").lots(tick) - 1)
    assert at() == [first._replace(lots=first.lots - 1), second]
    put(second.lots)
    assert at() == [second]
    put(second.lots + 5)
    put(second.lots + 6)
    put(second.lots + 9)
    assert [one.lots for one in at()] == [second.lots, 5, 4], "the youngest grows where there are three"
    assert at()[2].id > at()[1].id > second.id
    put(0)
    assert at() == []


@pytest.mark.parametrize("limit", [10, 40, 0])
def test_a_flow_tells_what_its_clients_need(limit: int) -> None:
    made = market(3)
    orders = Population(made)
    track = OrderTrack(orders, Stream("X", "orders", 0, limit), Summed(), NOW)
    image = track.image()
    mine = {one.id: one for one in (*image.bids, *image.asks)}
    told = 0
    for action in made.step(NOW + 5_000):
        for change in action.changes:
            orders.note(change)
            track.note(change)
        message = track.flush(action.ms, action.ms)
        if message is None:
            continue
        assert isinstance(message, OrderChanges)
        told += 1
        assert (message.number, message.ms) == (1 + told, action.ms)
        for one in message.orders:
            if one.lots:
                mine[one.id] = one
            else:
                del mine[one.id]
        best = {side: orders.resting(side, limit) for side in SIDES}
        assert mine == {one.id: one for side in SIDES for one in best[side]}
        assert (message.top.bids, message.top.asks) == (best["bid"][:5], best["ask"][:5])
    assert told > 50


def test_a_restart_is_an_image_with_the_first_number() -> None:
    made = market()
    orders = Population(made)
    track = OrderTrack(orders, Stream("X", "orders", 0, 10), Summed(), NOW)
    assert track.flush(NOW, NOW) is None
    track.restart()
    begun = track.flush(NOW + 1, NOW + 1)
    assert isinstance(begun, Resting)
    assert (begun.number, begun.ms, list(begun.bids)) == (1, NOW + 1, orders.resting("bid", 10))
    assert track.flush(NOW + 2, NOW + 2) is None
