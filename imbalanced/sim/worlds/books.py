"""The true book of one symbol at its venue, and what it was as of everything that the venue ever told of it.

It is the oracle's yardstick: kept by the world, never read by the product. Small on purpose: a checksum of the best
levels then covers all of it, and a whole comparison costs a few microseconds. Where a venue tells a message in several
frames, a level or an order each, there is a truth as of each of them.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from imbalanced.events import Instrument
from imbalanced.sim.market import Change, Trade
from imbalanced.sim.population import FIRST_ID, OrderTrack, Population
from imbalanced.sim.wire import (
    Batch,
    Changes,
    Image,
    OrderChanges,
    Resting,
    Stream,
    Touched,
    gone_first,
    one_by_one,
)

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Sequence

    from imbalanced.sim.market import BookSide, Level, TakerSide
    from imbalanced.sim.wire import Listing, Order, Wire

PAST_TRADES = 50
REACH = 25  # ticks behind the touch where orders are set
LEAST_LEVELS = 3
WALL_LOTS = 400  # now and then an order so large that signals open
# Ids of two lives of a venue, counters of messages and times never meet, or no protocol could tell them apart.
EPOCH, EPOCHS, NUMBERS, LOWER = 300_000_000, range(2, 60), 1_000_000, 1_000_000


class Truth(NamedTuple):
    """A whole book in the product's units, best levels first."""

    bids: list[tuple[int, float]]
    asks: list[tuple[int, float]]


class Deal(NamedTuple):
    """A trade in the product's units, and when it was. ``sign`` is the taker's."""

    at_ns: int
    px: int
    size: float
    sign: int


class Turn(NamedTuple):
    """What happened to a book since the turn before. Ids are the market's; ``written`` those of a flow on a socket.
    ``steps``: the keys of the truths as of each frame of a message that has several.
    """

    previous_id: int
    last_id: int
    previous_written: int
    written: int
    number: int
    ms: int
    changes: Sequence[Change]
    bids: Sequence[Touched]
    asks: Sequence[Touched]
    orders: OrderChanges | None
    steps: Sequence[int]

    def batch(self) -> Batch:
        """As a message that counts changes."""
        batch = Batch(self.previous_id, self.previous_id + 1, self.last_id, self.ms)
        for change in self.changes:
            batch.put(change)
        return batch

    def told(self, top: Image) -> Changes:
        """As a message that follows another; ``top`` is what a checksum is made of."""
        return Changes(self.number, self.previous_written, self.written, self.ms, self.bids, self.asks, top)


class Ranked:
    """One side of a book as the orders behind it want to see it."""

    def __init__(self, side: dict[int, int], sign: int) -> None:
        self._side = side
        self._sign = sign

    def levels(self, limit: int | None = None) -> list[Level]:
        """The best ones, best first."""
        return sorted(self._side.items(), key=lambda level: -self._sign * level[0])[:limit]


class TrueBook:
    """Market, flow and memory of one symbol. ``old``, ``old_orders`` and ``old_snapshot`` are images of earlier.
    ``by_order``: the flow tells orders.
    """

    def __init__(
        self, venue: str, listing: Listing, wire: Wire, levels: int, rng: random.Random, *, by_order: bool = False
    ) -> None:
        self.listing = listing
        self.instrument = instrument(venue, listing)
        self.as_of: dict[int, Truth] = {}
        self.deals: list[Deal] = []
        self.past: deque[tuple[int, Trade]] = deque(maxlen=PAST_TRADES)  # (ms, trade), for who subscribes
        self.bids: dict[int, int] = {}
        self.asks: dict[int, int] = {}
        self._wire = wire
        self._levels = levels
        self._rng = rng
        self._epochs = rng.sample(EPOCHS, 12)
        self._changes: list[Change] = []
        self._trade_id = rng.randrange(1, 10**6)
        self._known: dict[Level, tuple[int, float]] = {}
        self._ms = 0
        self._begun_again = False
        self._shift = 0
        self._by_order = by_order
        self._frames = 0  # of those that no number of the venue tells apart; counted downwards
        self._told: dict[BookSide, dict[int, int]] = {}
        self.last_id = self.told_id = self.written = self.number = 0
        self.old: Image | None = None
        self.old_orders: Resting | None = None
        self.old_snapshot: Image | None = None
        self.restart()

    @property
    def symbol(self) -> str:
        """The venue's own."""
        return self.listing.symbol

    # -- the market ----------------------------------------------------------------------------------------------------

    def move(self) -> Trade | None:
        """One thing happens: an order comes, goes, or is taken."""
        draw = self._rng.random()
        if draw < 0.25:
            return self._taken("buy" if draw < 0.125 else "sell")
        best_bid, best_ask = max(self.bids), min(self.asks)
        lots = WALL_LOTS if draw > 0.97 else self._rng.randint(1, 60)
        side: BookSide = "bid" if self._rng.random() < 0.5 else "ask"
        if draw < 0.45 and best_ask - best_bid > 1:
            ahead = self._rng.randint(1, best_ask - best_bid - 1)
            self._put(side, best_bid + ahead if side == "bid" else best_ask - ahead, lots)
            return None
        depth = self._rng.randrange(REACH)
        tick = best_bid - depth if side == "bid" else best_ask + depth
        ladder = self.bids if side == "bid" else self.asks
        gone = tick in ladder and len(ladder) > LEAST_LEVELS and self._rng.random() < 0.5
        self._put(side, tick, 0 if gone else lots)
        return None

    def sold(self, trade: Trade, now_ns: int) -> int:
        """Remember a trade; its place among all of them."""
        self.past.append((self._ms, trade))
        px, size = self._of_product((trade.tick, trade.lots))
        self.deals.append(Deal(now_ns, px, size, 1 if trade.taker == "buy" else -1))
        return len(self.deals) - 1

    def cross(self) -> None:
        """Somebody bids above the best ask, and the venue tells it."""
        self._put("bid", min(self.asks) + 1, self._rng.randint(1, 60))

    def uncross(self) -> None:
        """What stands at or above the best ask goes."""
        best_ask = min(self.asks)
        for tick in [tick for tick in self.bids if tick >= best_ask]:
            self._put("bid", tick, 0)
        if not self.bids:
            self._put("bid", best_ask - 1, 1)

    def _taken(self, taker: TakerSide) -> Trade | None:
        ladder, side = (self.asks, "ask") if taker == "buy" else (self.bids, "bid")
        tick = min(ladder) if side == "ask" else max(ladder)
        lots, left = ladder[tick], 0
        if len(ladder) <= LEAST_LEVELS:
            if lots == 1:
                return None
            left = self._rng.randint(1, lots - 1)
        self._put("ask" if taker == "buy" else "bid", tick, left)
        self._trade_id += 1
        return Trade(self._trade_id, self._trade_id, tick, (lots - left,), taker, forced=False)

    def _put(self, side: BookSide, tick: int, lots: int) -> None:
        ladder = self.bids if side == "bid" else self.asks
        self._set(side, ladder, tick, lots)
        if len(ladder) > self._levels:
            self._set(side, ladder, min(ladder) if side == "bid" else max(ladder), 0)

    def _set(self, side: BookSide, ladder: dict[int, int], tick: int, lots: int) -> None:
        was = ladder.get(tick, 0)
        if lots == was:
            return
        if lots:
            ladder[tick] = lots
        else:
            del ladder[tick]
        self.last_id += 1
        change = Change(self.last_id, side, tick, lots, was)
        self._changes.append(change)
        if self._by_order:
            self._population.note(change)
            self._track.note(change)

    # -- what is told --------------------------------------------------------------------------------------------------

    @property
    def changed(self) -> bool:
        """Whether there is anything that was not told yet."""
        return bool(self._changes)

    def turn(self, now_ms: int) -> Turn:
        """Everything since the turn before, netted."""
        self._ms = max(self._ms + 1, now_ms)
        previous_id, self.told_id = self.told_id, self.last_id
        previous_written, self.written = self.written, self._written()
        changes, self._changes = self._changes, []
        bids, asks = (self._netted(changes, side) for side in ("bid", "ask"))
        bids.reverse()
        self.number += len(bids) + len(asks) if self._wire.counts_levels else 1
        orders, steps = self._told_apart(bids, asks)
        self._remember()
        if self.old is None or self._rng.random() < 0.05:
            self._keep_old()
        told = (previous_id, self.last_id, previous_written, self.written, self.number, self._ms)
        return Turn(*told, changes, bids, asks, orders, steps)

    def image(self, *, levels: int | None = None) -> Image:
        """As of the last turn (that must be now), with the flow's ids, best levels first."""
        bids: list[Level] = sorted(self.bids.items(), reverse=True)[:levels]
        return Image(self.written, self._ms, bids, sorted(self.asks.items())[:levels], self.number)

    def resting(self) -> Resting:
        """All orders, as of the last turn."""
        return self._track.image()

    def ladder(self, side: BookSide) -> Ranked:
        """One side as it is now."""
        return Ranked(self.bids, 1) if side == "bid" else Ranked(self.asks, -1)

    def snapshot(self) -> Image:
        """Of this very moment, with the market's ids."""
        self.as_of[self._written()] = self._truth()
        return Image(self.last_id, self._ms, sorted(self.bids.items(), reverse=True), sorted(self.asks.items()))

    def restart(self) -> None:
        """A new life: another book, ids and counters from somewhere else."""
        start, many = self.listing.start_tick + self._rng.randrange(-50, 50), self._levels - 1
        self.bids = {start - i: self._rng.randint(1, 60) for i in self._rng.sample(range(REACH), many)}
        self.asks = {start + 1 + i: self._rng.randint(1, 60) for i in self._rng.sample(range(REACH), many)}
        epoch = self._epochs.pop()
        self.last_id = self.told_id = epoch * EPOCH
        self.number = self._wire.first_number + epoch * NUMBERS
        self._shift = 0
        self._changes.clear()
        self._told = {"bid": dict(self.bids), "ask": dict(self.asks)}
        if self._by_order:
            self._population = Population(self, FIRST_ID + epoch * EPOCH)
            self._track = OrderTrack(self._population, Stream(self.symbol, "orders"), self._wire, self._ms)
            self._orders = {
                order.id: order.lots for side in (self.resting().bids, self.resting().asks) for order in side
            }
        self.written = self._written()
        self.old = self.old_orders = self.old_snapshot = None
        self._ms += 1
        self._remember()

    def begin_again(self) -> bool:
        """The messages are counted from 1 again; whether that can be told from the life before: only once."""
        if self._begun_again:
            return False
        self.number, self._begun_again = 0, True
        return True

    def lower_ids(self) -> None:
        """The flow goes on with lower ids."""
        self._shift = self._wire.update_id(self.last_id) - self._epochs.pop() * LOWER

    # -- inside --------------------------------------------------------------------------------------------------------

    def _written(self) -> int:
        return self._wire.update_id(self.last_id) - self._shift

    @staticmethod
    def _netted(changes: Sequence[Change], side: str) -> list[Touched]:
        """One side's changes, lowest first, without what is as it was."""
        was: dict[int, int] = {}
        now: dict[int, int] = {}
        for change in changes:
            if change.side == side:
                was.setdefault(change.tick, change.was)
                now[change.tick] = change.lots
        return [Touched(tick, now[tick], was[tick]) for tick in sorted(now) if now[tick] != was[tick]]

    def _remember(self) -> None:
        """Whatever the venue calls it by: the flow's id, its counter or its time."""
        self.as_of[self.written] = self.as_of[self.number] = self.as_of[self._ms] = self._truth()

    def _keep_old(self) -> None:
        self.old, self.old_snapshot = self.image(), self.snapshot()
        if self._by_order:
            self.old_orders = self.resting()

    def _told_apart(self, bids: Sequence[Touched], asks: Sequence[Touched]) -> tuple[OrderChanges | None, list[int]]:
        """The orders of this turn, where orders are told, and the keys of the truths as of each frame."""
        if self._by_order:
            changes = self._track.flush(self._ms, self._ms)
            orders = changes if isinstance(changes, OrderChanges) else None
            return orders, self._stepped(self._sums(gone_first(orders.orders if orders is not None else ())))
        if self._wire.level_frames:
            told = one_by_one(bids, asks)
            return None, self._stepped((side, one.tick, one.lots) for side, one in told)
        return None, []

    def _sums(self, orders: Sequence[Order]) -> Iterable[tuple[BookSide, int, int]]:
        """What each of these orders makes of its level."""
        for order in orders:
            was = self._orders.pop(order.id, 0)
            if order.lots:
                self._orders[order.id] = order.lots
            yield order.side, order.tick, self._told[order.side].get(order.tick, 0) + order.lots - was

    def _stepped(self, levels: Iterable[tuple[BookSide, int, int]]) -> list[int]:
        """One level after the other set in what was told; a truth is kept as of each."""
        truths = []
        for side, tick, lots in levels:
            told = self._told[side]
            if lots:
                told[tick] = lots
            else:
                told.pop(tick, None)
            truths.append(self._truth_of(self._told["bid"], self._told["ask"]))
        if self._wire.counts_levels:
            keys = [*range(self.number - len(truths) + 1, self.number + 1)]
        else:
            keys = [*range(self._frames - 2, self._frames - 2 - len(truths), -1)]
            self._frames -= len(truths)
        self.as_of.update(zip(keys, truths, strict=True))
        return keys

    def _truth(self) -> Truth:
        return self._truth_of(self.bids, self.asks)

    def _truth_of(self, bids: dict[int, int], asks: dict[int, int]) -> Truth:
        return Truth(
            [self._of_product(level) for level in sorted(bids.items(), reverse=True)],
            [self._of_product(level) for level in sorted(asks.items())],
        )

    def _of_product(self, level: Level) -> tuple[int, float]:
        """A level as the product has it: price in units of its scale, size in base units."""
        known = self._known.get(level)
        if known is None:
            listing, (tick, lots) = self.listing, level
            px = tick * listing.tick_units * 10 ** (self.instrument.price_scale - listing.price_decimals)
            if listing.contract_size:
                size = lots * listing.contract_size * 10.0**self.instrument.price_scale / px
            else:
                size = lots * listing.lot_units / 10**listing.size_decimals * float(listing.contract)
            known = self._known[level] = (px, size)
        return known


def instrument(venue: str, listing: Listing) -> Instrument:
    """What the product is told of a listing."""
    worth = listing.contract_size * 10**listing.size_decimals / listing.lot_units
    return Instrument(
        venue=venue,
        symbol=listing.unified,
        venue_symbol=listing.symbol,
        base=listing.base,
        quote=listing.quote,
        tick=listing.price(1),
        lot=listing.size(1),
        contract_size=worth or float(listing.contract),
        inverse=listing.contract_size > 0,
    )
