"""The order flow: makers whose orders live and die, takers who excite each other, a fair value that both follow.

- Resting orders arrive at a constant rate a side and choose their distance from the best level (join it, near, far).
  Queue-reactive (Huang, Lehalle & Rosenbaum 2015): a long queue turns newcomers away, a wide spread invites them in.
- Each order has a lifetime of its own, from fractions of a second to minutes.
- Taker orders are a Hawkes process with self and cross excitement (Bacry, Mastromatteo & Muzy 2015); most take no more
  than the best level holds.
- The fair value moves in jumps, and with taker orders; quotes on its wrong side are withdrawn, new ones lean to it.

A plant (`plants.py`) acts through `mood` and through orders of its own. Pure: chance is the `random.Random` handed in,
time is what `advance` says, in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappop, heappush
from math import exp, sqrt
from typing import TYPE_CHECKING, NamedTuple, Protocol

from benchmarks.planted.book import Book, Fill, Order, Side

if TYPE_CHECKING:
    import random

    from benchmarks.planted.profiles import Profile

STEP_S = 0.05  # fair value and plants move in such steps
WIDE = 8.0  # wider than so many usual spreads beyond the first invites no more


class Plant(Protocol):
    """What is planted into one market between `t0` and `t1`."""

    t0: float
    t1: float

    def begin(self, market: Market) -> None: ...
    def step(self, market: Market) -> None: ...
    def end(self, market: Market) -> None: ...


@dataclass(slots=True)
class Mood:
    """Multiples of what the profile says; a plant changes them for its time."""

    buyers: float = 1.0
    sellers: float = 1.0
    taker_size: float = 1.0
    bids: float = 1.0
    asks: float = 1.0
    inside: float = 1.0
    drift: float = 0.0  # of the fair value, ticks per second
    pinned: float | None = None  # the fair value stays here


class Print(NamedTuple):
    """A fill with its time in seconds."""

    t: float
    fill: Fill


class Market:
    """One instrument. `prints` collects fills until the wire takes them."""

    def __init__(self, profile: Profile, rng: random.Random, first_id: int, start: float = 0.0) -> None:
        self.profile, self.rng = profile, rng
        self.book = Book(first_id)
        self.mood = Mood()
        self.t = start
        self.fair = profile.listing.start_tick + profile.spread / 2
        self.prints: list[Print] = []
        self.plants: list[Plant] = []  # to come, earliest first
        self.running: list[Plant] = []
        self._deaths: list[tuple[float, int, Order]] = []
        self._born = 0
        self._excited = {1: 0.0, -1: 0.0}
        self._excited_at = start
        self._next_step = start + STEP_S
        self._fill()

    # -- time ----------------------------------------------------------------------------------------------------------

    def advance(self, until: float) -> None:
        """Everything that happens up to `until`."""
        rng = self.rng
        while True:
            rates = self._rates()
            bound = sum(rates)
            at = self.t + rng.expovariate(bound)
            stop = min(until, self._next_step, self._deaths[0][0] if self._deaths else until)
            if at < stop:
                self.t = at
                self._happen(rates, bound)
                continue
            # Waiting times are memoryless: what was drawn beyond this point is drawn anew.
            self.t = stop
            if self._deaths and self._deaths[0][0] <= stop:
                self.book.pull(heappop(self._deaths)[2])
            elif self._next_step <= stop:
                self._next_step += STEP_S
                self._step()
            else:
                return

    def _rates(self) -> tuple[float, float, float, float, float]:
        """Upper bounds of: bids, asks, orders into the spread, buying and selling takers."""
        profile, mood = self.profile, self.mood
        wide = min(self.book.spread / profile.spread - 1.0, WIDE)
        hot = 1.0 - profile.excite - profile.cross
        return (
            profile.limits * mood.bids,
            profile.limits * mood.asks,
            profile.inside * mood.inside * wide if wide > 0 else 0.0,
            profile.takers * hot * mood.buyers + self._excited[1],
            profile.takers * hot * mood.sellers + self._excited[-1],
        )

    def _happen(self, rates: tuple[float, float, float, float, float], bound: float) -> None:
        draw = self.rng.random() * bound
        if draw < rates[0]:
            self._limit(1)
        elif draw < rates[0] + rates[1]:
            self._limit(-1)
        elif draw < rates[0] + rates[1] + rates[2]:
            self._improve()
        else:
            draw -= rates[0] + rates[1] + rates[2]
            side: Side = 1 if draw < rates[3] else -1
            self._maybe_taker(side, draw if side == 1 else draw - rates[3])

    def _step(self) -> None:
        """The fair value moves, quotes on its wrong side are withdrawn, plants act."""
        mood, profile, rng = self.mood, self.profile, self.rng
        if mood.pinned is not None:
            self.fair = mood.pinned
        else:
            self.fair += mood.drift * STEP_S
            if rng.random() < profile.news * STEP_S:
                # Of jumps with a Laplace law, whose variance is twice the square of the mean size.
                size = rng.expovariate(1.0) * profile.volatility / sqrt(2.0 * profile.news)
                self.fair += size if rng.random() < 0.5 else -size
        self._withdraw(1)
        self._withdraw(-1)
        while self.plants and self.plants[0].t0 <= self.t:
            plant = self.plants.pop(0)
            self.running.append(plant)
            plant.begin(self)
        for plant in self.running.copy():
            if plant.t1 <= self.t:
                self.running.remove(plant)
                plant.end(self)
                self.mood = Mood()
            else:
                plant.step(self)

    # -- makers --------------------------------------------------------------------------------------------------------

    def post(self, side: Side, tick: int, lots: int, life: float | None = None) -> Order:
        """A resting order, at the nearest tick that does not cross; `life` None: until somebody pulls it."""
        other = self.book.asks.best if side == 1 else self.book.bids.best
        order = self.book.post(side, min(tick, other - 1) if side == 1 else max(tick, other + 1), max(1, lots))
        if life is not None:
            self._born += 1
            heappush(self._deaths, (self.t + life, self._born, order))
        return order

    def size(self) -> int:
        """The size of a resting order."""
        return max(1, int(self.profile.order_lots * self.rng.lognormvariate(0.0, 0.8)))

    def _limit(self, side: Side) -> None:
        profile, rng, ladder = self.profile, self.rng, self.book.side(side)
        draw = rng.random()
        if draw < profile.join + profile.near:
            behind = 0 if draw < profile.join else 1 + int(rng.expovariate(1.0 / profile.near_ticks))
            tick = ladder.best - side * behind
            # A queue of its usual length takes about six in ten of those who come.
            if rng.random() * (0.6 + ladder.lots(tick) / profile.queue) > 1.0:
                return
            self.post(side, tick, self.size(), self._life())
            return
        tick = ladder.best - side * rng.randint(1, profile.reach)
        if tick > 0:
            self.post(side, tick, self.size() + self.size(), rng.expovariate(1.0 / profile.far_life))

    def _life(self) -> float:
        lives = self.profile.lives
        (life,) = self.rng.choices([life for _, life in lives], [share for share, _ in lives])
        return self.rng.expovariate(1.0 / life)

    def _improve(self) -> None:
        """A quote inside the spread, from the side that the fair value leaves room to."""
        spread = self.book.spread
        if spread < 2:
            return
        lean = 0.5 + (self.fair - self.book.mid) / spread
        side: Side = 1 if self.rng.random() < min(0.95, max(0.05, lean)) else -1
        room = min(spread - 1, max(1, spread - self.profile.spread))
        ahead = room if self.rng.random() < 0.5 else self.rng.randint(1, room)
        self.post(side, self.book.side(side).best + side * ahead, self.size() + self.size(), self._life())

    def _withdraw(self, side: Side) -> None:
        """Makers whose quotes are better than the fair value by more than they bear step back, within moments."""
        ladder = self.book.side(side)
        beyond = (ladder.best - self.fair) * side
        if beyond > self.profile.patience:
            for order in ladder.orders(int(beyond)):
                if self.rng.random() < 0.5:
                    self.book.pull(order)

    # -- takers --------------------------------------------------------------------------------------------------------

    def take(self, side: Side, lots: int, limit: int | None = None) -> None:
        """A taker order."""
        for fill in self.book.take(side, lots, limit):
            self.prints.append(Print(self.t, fill))

    def _maybe_taker(self, side: Side, draw: float) -> None:
        """The bound was made with an excitement that has cooled since; thinning after Ogata 1981."""
        profile = self.profile
        cooled = exp(-profile.decay * (self.t - self._excited_at))
        hot = 1.0 - profile.excite - profile.cross
        base = profile.takers * hot * (self.mood.buyers if side == 1 else self.mood.sellers)
        if draw > base + self._excited[side] * cooled:
            return
        self._excited_at = self.t
        for one in self._excited:
            self._excited[one] = self._excited[one] * cooled
        self._excited[side] += profile.excite * profile.decay
        self._excited[-side] += profile.cross * profile.decay
        ladder = self.book.side(-1 if side == 1 else 1)
        lots = int(profile.taker_share * profile.queue * self.rng.lognormvariate(0.0, 0.9) * self.mood.taker_size)
        if self.rng.random() < 0.97:
            lots = min(lots, ladder.lots(ladder.best))
        lots = max(1, lots)
        self.fair += side * profile.impact * min(1.5, lots / profile.queue)
        self.take(side, lots)

    # -- the beginning -------------------------------------------------------------------------------------------------

    def _fill(self) -> None:
        """A book such as the flow would keep it."""
        profile, rng = self.profile, self.rng
        start = profile.listing.start_tick
        mean_life = sum(share * life for share, life in profile.lives)
        far_share = 1.0 - profile.join - profile.near
        self.book.post(1, start, self.size())
        self.book.post(-1, start + profile.spread, self.size())
        sides: tuple[tuple[Side, int], ...] = ((1, start), (-1, start + profile.spread))
        for one, touch in sides:
            for i in range(int(profile.limits * (1.0 - far_share) * mean_life)):
                behind = 0 if i < 5 or rng.random() < 0.5 else 1 + int(rng.expovariate(1.0 / profile.near_ticks))
                self.post(one, touch - one * behind, self.size(), self._life())
            for _ in range(int(profile.limits * far_share * profile.far_life)):
                tick = touch - one * rng.randint(1, profile.reach)
                self.post(one, tick, 2 * self.size(), rng.expovariate(1.0 / profile.far_life))
