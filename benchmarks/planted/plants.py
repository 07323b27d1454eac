"""What is planted: each class does one thing to a market between `t0` and `t1`, as real participants would.

Sizes are relative to the market itself (the usual best queue, the depth that lies within some basis points at the
time), so that an event is as conspicuous on one instrument as on another. Ranges are drawn per event from the
`random.Random` handed in; they are fixed before any detector is looked at. Side: +1 is the buyers' (see `effects.py`
for what each side means).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import random

    from benchmarks.planted.book import Order, Side
    from benchmarks.planted.market import Market

BAND_BPS = 10.0
DEEP_BPS = 20.0


def other(side: Side) -> Side:
    """The opposite side."""
    return -1 if side == 1 else 1


class Planted:
    """The base: when, which side, its own dice."""

    kind: ClassVar[str] = ""
    lasts: ClassVar[tuple[float, float]] = (3.0, 6.0)

    def __init__(self, t0: float, side: Side, rng: random.Random) -> None:
        self.t0, self.t1 = t0, t0 + rng.uniform(*self.lasts)
        self.side, self.rng = side, rng

    def begin(self, market: Market) -> None:
        return

    def step(self, market: Market) -> None:
        return

    def end(self, market: Market) -> None:
        return


class Informed(Planted):
    """Takers who know something: one side buys hard, its makers follow, those of the other side step back."""

    kind = "informed"
    lasts = (3.0, 6.0)

    def begin(self, market: Market) -> None:
        mood, rng = market.mood, self.rng
        self._per_s, self._share = rng.uniform(7.0, 12.0), rng.uniform(0.35, 0.7)
        mood.buyers, mood.sellers = (1.0, 0.4) if self.side == 1 else (0.4, 1.0)
        mood.bids, mood.asks = (1.6, 0.7) if self.side == 1 else (0.7, 1.6)
        mood.drift = self.side * rng.uniform(1.0, 2.5) / market.profile.tick_bps

    def step(self, market: Market) -> None:
        away = market.book.side(other(self.side))
        if self.rng.random() < self._per_s * 0.05:
            lots = self._share * market.profile.queue * self.rng.lognormvariate(0.0, 0.5)
            market.take(self.side, max(1, int(lots)), away.at(1) if self.rng.random() < 0.2 else away.best)
        if self.rng.random() < 0.3:
            orders = away.orders(0)
            if orders:
                market.book.pull(self.rng.choice(orders))


class Sweep(Planted):
    """One taker order through several prices in one go."""

    kind = "sweep"
    lasts = (0.1, 0.1)

    def begin(self, market: Market) -> None:
        ladder = market.book.side(other(self.side))
        levels = self.rng.randint(5, 9)
        lots = sum(ladder.lots(ladder.at(rank)) for rank in range(levels))
        edge = ladder.at(levels - 1)
        market.take(self.side, lots, edge)
        market.fair = edge + self.side * 0.5


class Absorption(Planted):
    """Takers sell into a bid that is filled up again and again (side +1; mirrored for -1): effort without result."""

    kind = "absorption"
    lasts = (5.0, 9.0)

    def begin(self, market: Market) -> None:
        self._wall = market.book.side(self.side).best
        self._visible = int(self.rng.uniform(1.5, 3.0) * market.profile.queue)
        self._per_s = self.rng.uniform(6.0, 10.0)
        self._share = self.rng.uniform(0.35, 0.7)
        market.mood.pinned = self._wall + self.side * market.profile.spread / 2
        self._fill_up(market)

    def step(self, market: Market) -> None:
        self._fill_up(market)
        if self.rng.random() < self._per_s * 0.05:
            lots = self._share * market.profile.queue * self.rng.lognormvariate(0.0, 0.4)
            market.take(other(self.side), int(lots), self._wall)
            self._fill_up(market)

    def _fill_up(self, market: Market) -> None:
        missing = self._visible - market.book.side(self.side).lots(self._wall)
        across = market.book.side(other(self.side)).best
        if missing > 0 and (across - self._wall) * self.side > 0:
            market.post(self.side, self._wall, missing, self.t1 - market.t + self.rng.uniform(0.0, 1.5))


class Depth(Planted):
    """Size that means it: posted within a second or two, stays, is traded against, and leaves in the last seconds."""

    kind = "depth"
    lasts = (12.0, 22.0)

    def begin(self, market: Market) -> None:
        profile = market.profile
        band = min(profile.ticks(BAND_BPS * 0.8), profile.reach)
        # Of the deeper side: several times of next to nothing would only bring the book back into balance.
        there = max(market.book.side(side).within(profile.ticks(BAND_BPS)) for side in (1, -1))
        worth = self.rng.uniform(3.0, 5.0) * there
        parts = self.rng.randint(20, 40)
        self._todo = [(self.rng.randint(0, band), int(worth / parts)) for _ in range(parts)]
        takers = self.rng.uniform(1.5, 2.5)
        if self.side == 1:
            market.mood.sellers = takers
        else:
            market.mood.buyers = takers

    def step(self, market: Market) -> None:
        best = market.book.side(self.side).best
        for _ in range(min(2, len(self._todo))):
            behind, lots = self._todo.pop()
            market.post(self.side, best - self.side * behind, lots, self.t1 - market.t - self.rng.uniform(0.0, 3.0))


class Accumulation(Planted):
    """Depth built up by additions that stay: twice the usual or more after a quarter of a minute, gone with its end."""

    kind = "accumulation"
    lasts = (20.0, 30.0)

    def begin(self, market: Market) -> None:
        ladder, profile = market.book.side(self.side), market.profile
        worth = self.rng.uniform(1.5, 2.5) * ladder.within(profile.ticks(DEEP_BPS))
        self._grown = self.t0 + 0.6 * (self.t1 - self.t0)
        self._per_step = worth / ((self._grown - self.t0) / 0.05)
        self._owed = 0.0

    def step(self, market: Market) -> None:
        profile, ladder = market.profile, market.book.side(self.side)
        if market.t < self._grown:
            self._owed += self._per_step
        if self._owed >= 2 * profile.order_lots:
            behind = self.rng.randint(0, min(profile.ticks(DEEP_BPS * 0.7), profile.reach))
            life = self.t1 - market.t - self.rng.uniform(0.0, 3.0)
            market.post(self.side, ladder.best - self.side * behind, int(self._owed), life)
            self._owed = 0.0


class SpreadShock(Planted):
    """Makers of both sides step back at once; after a while they are back."""

    kind = "spread_shock"
    lasts = (1.5, 3.5)

    def begin(self, market: Market) -> None:
        profile, book = market.profile, market.book
        width = max(profile.spread * self.rng.randint(5, 10), profile.ticks(self.rng.uniform(1.5, 3.0)))
        self._half = max(1, round((width - book.spread) / 2))
        market.mood.inside = 0.0
        market.mood.buyers = market.mood.sellers = 0.3
        middle = book.mid
        market.mood.pinned = middle
        for side in (1, -1):
            one: Side = 1 if side == 1 else -1
            for order in book.side(one).orders(self._half):
                if abs(order.tick - middle) < self._half + profile.spread / 2:
                    book.pull(order)


class VolumeSpike(Planted):
    """A crowd trades at one price: one-sided takers, makers who keep coming, a price that hardly moves."""

    kind = "volume_spike"
    lasts = (2.0, 4.0)

    def begin(self, market: Market) -> None:
        self._per_s = self.rng.uniform(10.0, 16.0)
        self._share = self.rng.uniform(0.5, 0.9)
        self._lean = self.rng.uniform(0.85, 0.95)
        market.mood.pinned = market.book.mid

    def step(self, market: Market) -> None:
        if self.rng.random() >= self._per_s * 0.05:
            return
        side = self.side if self.rng.random() < self._lean else other(self.side)
        lots = max(1, int(self._share * market.profile.queue * self.rng.lognormvariate(0.0, 0.3)))
        ladder = market.book.side(other(side))
        price = ladder.best
        missing = int(1.3 * lots) - ladder.lots(price)
        if missing > 0:
            market.post(other(side), price, missing, self.rng.uniform(0.5, 5.0))
        market.take(side, lots, price)


class Exhaustion(Planted):
    """The depth of one side is withdrawn (side +1: the asks) and comes back after a while; the touch stays quoted."""

    kind = "exhaustion"
    lasts = (5.0, 9.0)

    def begin(self, market: Market) -> None:
        ladder = market.book.side(other(self.side))
        self._band = market.profile.ticks(DEEP_BPS * 1.2)
        self._gone = self.rng.uniform(0.75, 0.9)
        if self.side == 1:
            market.mood.asks = 0.2
        else:
            market.mood.bids = 0.2
        self._back: list[tuple[int, int]] = []
        best = ladder.best
        for order in ladder.orders(self._band):
            if order.tick != best and self.rng.random() < self._gone:
                self._back.append((order.tick, order.lots))
                market.book.pull(order)

    def end(self, market: Market) -> None:
        away = other(self.side)
        for tick, lots in self._back:
            market.post(away, tick, lots, self.rng.expovariate(1.0 / 30.0))


class Touch(Planted):
    """A long best queue against a short one, honestly: it follows the touch and is traded against."""

    kind = "touch"
    lasts = (3.0, 5.0)

    def begin(self, market: Market) -> None:
        self._heavy = int(self.rng.uniform(4.0, 7.0) * market.profile.queue)
        self._light = self.rng.uniform(0.1, 0.2) * market.profile.queue
        self.step(market)

    def step(self, market: Market) -> None:
        book = market.book
        missing = self._heavy - book.side(self.side).lots(book.side(self.side).best)
        if missing > self._heavy * 0.2:
            market.post(self.side, book.side(self.side).best, missing, self.t1 - market.t + self.rng.uniform(0.2, 2.0))
        thin = book.side(other(self.side))
        for order in thin.orders(0):
            if thin.lots(order.tick) - order.lots >= self._light:
                book.pull(order)


class Spoof(Planted):
    """Large layers behind the touch that walk with it and vanish: never traded, moved every second or so."""

    kind = "spoof"
    lasts = (4.0, 10.0)

    def begin(self, market: Market) -> None:
        ladder, profile = market.book.side(self.side), market.profile
        count = self.rng.randint(3, 5)
        nearest = max(2, profile.ticks(self.rng.uniform(1.5, 3.0)))
        apart = max(1, profile.ticks(self.rng.uniform(0.5, 1.2)))
        worth = self.rng.uniform(3.0, 5.0) * ladder.within(profile.ticks(BAND_BPS))
        self._places = [nearest + i * apart for i in range(count)]
        self._lots = int(worth / count)
        self._every = self.rng.uniform(0.3, 1.5)
        self._orders: list[Order] = []
        self._place(market)

    def step(self, market: Market) -> None:
        if self._orders and self._near(market):
            self._vanish(market)
            self._next = market.t + self.rng.uniform(0.1, 0.4)
        elif market.t >= self._next:
            self._vanish(market)
            self._place(market)

    def end(self, market: Market) -> None:
        self._vanish(market)

    def _place(self, market: Market) -> None:
        best = market.book.side(self.side).best
        shift = self.rng.choice((0, 0, 1))
        self._orders = [
            market.post(self.side, best - self.side * (place + shift), self._lots) for place in self._places
        ]
        self._next = market.t + self._every * self.rng.uniform(0.7, 1.3)

    def _near(self, market: Market) -> bool:
        """The touch came to it: one of the two best levels is a layer's."""
        edge = market.book.side(self.side).at(1) * self.side
        return any(order.tick * self.side >= edge for order in self._orders)

    def _vanish(self, market: Market) -> None:
        for order in self._orders:
            market.book.pull(order)
        self._orders = []


PLANTS: dict[str, type[Planted]] = {
    one.kind: one
    for one in (
        Informed,
        Sweep,
        Absorption,
        Depth,
        Accumulation,
        SpreadShock,
        VolumeSpike,
        Exhaustion,
        Touch,
        Spoof,
    )
}
