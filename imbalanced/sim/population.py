"""The orders behind a market's levels, and the flow that tells them one by one.

Pure. A market knows levels only, so each is split into one to three orders by a fixed rule: what is taken from a level
is taken from its oldest order, what is added is a new order, or more of the youngest where there are three already.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Protocol

from imbalanced.sim.track import SIDES
from imbalanced.sim.wire import Order, OrderChanges, Resting, Stream, Wire

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from imbalanced.sim.market import BookSide, Change, Level

MOST = 3  # orders of a level
FIRST_ID = 64_000_000_000


class Ranks(Protocol):
    """One side of a market."""

    def levels(self, limit: int | None = None) -> Iterable[Level]:
        """The best ones, best first."""


class Sided(Protocol):
    """A market, as far as its orders want to know it."""

    def ladder(self, side: BookSide) -> Ranks:
        """One side as it is now."""


class Population:
    """All resting orders of one market. Their sizes sum to its levels; their ids are above ``first_id``."""

    def __init__(self, market: Sided, first_id: int = FIRST_ID) -> None:
        self._market = market
        self._queues: dict[BookSide, dict[int, list[Order]]] = {side: {} for side in SIDES}
        self._last_id = first_id
        for side in SIDES:
            for tick, lots in market.ladder(side).levels():
                parts = min(lots, 1 + tick % MOST)
                sizes = [lots - lots // parts * (parts - 1), *[lots // parts] * (parts - 1)]
                self._queues[side][tick] = [self._new(side, tick, size) for size in sizes]

    def note(self, change: Change) -> None:
        """What happened to a level, as it happened to its orders."""
        queue = self._queues[change.side].setdefault(change.tick, [])
        more = change.lots - change.was
        if more > 0 and len(queue) < MOST:
            queue.append(self._new(change.side, change.tick, more))
        elif more > 0:
            queue[-1] = queue[-1]._replace(lots=queue[-1].lots + more)
        while more < 0:
            oldest = queue.pop(0)
            if oldest.lots > -more:
                queue.insert(0, oldest._replace(lots=oldest.lots + more))
            more += oldest.lots
        if not queue:
            del self._queues[change.side][change.tick]

    def resting(self, side: BookSide, limit: int = 0) -> list[Order]:
        """The best `limit` orders (0 = all), best price first, equal prices by id."""
        return list(islice(self._ranked(side, limit), limit or None))

    def _ranked(self, side: BookSide, limit: int) -> Iterator[Order]:
        # A level has an order at least.
        for tick, _ in self._market.ladder(side).levels(limit or None):
            yield from self._queues[side][tick]

    def _new(self, side: BookSide, tick: int, lots: int) -> Order:
        self._last_id += 1
        return Order(self._last_id, side, tick, lots)


class OrderTrack:
    """One `orders` flow. Its clients know the best orders of each side: one that is not among them any more is told as
    gone, one that comes among them as new.
    """

    def __init__(self, population: Population, stream: Stream, wire: Wire, ms: int) -> None:
        self.stream = stream
        self.number = wire.first_number
        self._population = population
        self._wire = wire
        self._ms = ms  # engine time of the last message
        self._restarting = False
        self._touched: set[BookSide] = set()
        self._known = {side: self._now(side) for side in SIDES}

    def note(self, change: Change) -> None:
        """Something happened since the last message."""
        self._touched.add(change.side)

    def restart(self) -> None:
        """The venue's service starts anew with the next message."""
        self._restarting = True

    def image(self) -> Resting:
        """What a client that heard every message knows."""
        bids, asks = (list(self._known[side].values()) for side in SIDES)
        return Resting(self._ms, bids, asks, self.number)

    def flush(self, ms: int, now_ms: int) -> OrderChanges | Resting | None:
        """The next message; None when there is nothing to say."""
        told = [order for side in SIDES if side in self._touched for order in self._told(side)]
        self._touched.clear()
        if self._restarting and self._wire.restart:
            self._restarting, self.number, self._ms = False, 1, ms
            return self.image()
        if not told:
            return None
        self.number, self._ms = self.number + 1, ms
        bids, asks = (list(islice(self._known[side].values(), self._wire.checksum_levels)) for side in SIDES)
        return OrderChanges(self.number, ms, told, Resting(ms, bids, asks, self.number))

    def _told(self, side: BookSide) -> list[Order]:
        """What differs for clients: first what is gone, then what is new or has changed, best first."""
        before, self._known[side] = self._known[side], self._now(side)
        now = self._known[side]
        gone = [order._replace(lots=0) for id_, order in before.items() if id_ not in now]
        return gone + [order for id_, order in now.items() if before.get(id_) != order]

    def _now(self, side: BookSide) -> dict[int, Order]:
        return {order.id: order for order in self._population.resting(side, self.stream.levels)}
