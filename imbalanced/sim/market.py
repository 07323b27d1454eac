"""A synthetic limit order book market of one symbol, in integer ticks and integer lots.

Pure: no clock, no I/O; time comes in through `step(now_ms)` and chance through the `random.Random` handed in, so a seed
gives the same market however finely it is stepped. Knows nothing of venues: ids are contiguous here, a venue's wire
turns them into its own. The true book is kept and readable: it is the oracle of the tests.
"""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from imbalanced.sim.regimes import MIXES, Lean, Mix, Regime, schedule

BookSide = Literal["bid", "ask"]
TakerSide = Literal["buy", "sell"]
Level = tuple[int, int]  # (tick, lots)

MIN_LEVELS = 40  # a side is never emptied below this
SPOOF_LAYERS = 3
SPOOF_SIZE = (25.0, 45.0)  # in typical level sizes
HOLE_LEVELS = 30  # levels that vanish on each side


@dataclass(frozen=True, slots=True)
class Spec:
    """One symbol's market: where it starts, how its ladder is spaced and what an ordinary level holds."""

    start_tick: int
    gap_ticks: int  # mean distance between neighbouring levels
    typical_lots: int
    levels: int = 1000  # per side
    first_id: int = 1  # id of the starting image; the first change has the next one
    first_episode_ms: tuple[int, int] = (5_000, 7_000)  # after the start


class Change(NamedTuple):
    """A level was set from `was` to `lots` in all (0 = gone). Ids rise by exactly one."""

    id: int
    side: BookSide
    tick: int
    lots: int
    was: int


class Trade(NamedTuple):
    """One taker order's fills at one price. `fills` are the single maker fills with ids first_id, first_id+1, ..."""

    agg_id: int
    first_id: int
    tick: int
    fills: tuple[int, ...]
    taker: TakerSide
    forced: bool  # the taker was a liquidation

    @property
    def lots(self) -> int:
        return sum(self.fills)


class Action(NamedTuple):
    """What happened in the matching engine in one go."""

    ms: int
    changes: tuple[Change, ...]
    trades: tuple[Trade, ...]


class Ladder:
    """One side of the book. Keys are stored so that the best level is last: a change near the touch moves little."""

    def __init__(self, side: BookSide) -> None:
        self.side: BookSide = side
        self._sign = 1 if side == "bid" else -1
        self._keys: list[int] = []
        self._lots: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def best(self) -> int:
        return self._keys[-1] * self._sign

    def tick_at(self, depth: int) -> int:
        """The tick of the level `depth` levels behind the best, or of the last one."""
        return self._keys[max(0, len(self._keys) - 1 - depth)] * self._sign

    def behind(self, tick: int, ticks: int) -> int:
        """The tick `ticks` further from the touch."""
        return tick - ticks * self._sign

    def lots(self, tick: int) -> int:
        return self._lots.get(tick, 0)

    def put(self, tick: int, lots: int) -> None:
        known = tick in self._lots
        if lots > 0:
            self._lots[tick] = lots
        key = tick * self._sign
        if lots > 0 and not known:
            self._keys.insert(bisect_left(self._keys, key), key)
        elif lots <= 0 and known:
            del self._lots[tick]
            del self._keys[bisect_left(self._keys, key)]

    def rank(self, tick: int) -> int:
        """The better a tick, the higher."""
        return tick * self._sign

    def edge(self, limit: int) -> float:
        """The rank of the last of the best `limit` levels (0 = all); minus infinity while there are fewer."""
        return self._keys[-limit] if 0 < limit <= len(self._keys) else float("-inf")

    def between(self, low: float, high: float) -> list[Level]:
        """The levels of ranks from `low` to below `high`."""
        keys = self._keys[bisect_left(self._keys, low) : bisect_left(self._keys, high)]
        return [(key * self._sign, self._lots[key * self._sign]) for key in keys]

    def levels(self, limit: int | None = None) -> list[Level]:
        """(tick, lots), best first."""
        count = len(self._keys) if limit is None else min(max(0, limit), len(self._keys))
        return [(key * self._sign, self._lots[key * self._sign]) for key in self._keys[: -count - 1 : -1]]


class Market:
    """The book, its order flow and the schedule of what is planted into it."""

    def __init__(self, spec: Spec, rng: random.Random, start_ms: int) -> None:
        self.spec = spec
        self.last_id = spec.first_id
        self.planted: list[Regime] = []
        self._rng = rng
        self._bids, self._asks = Ladder("bid"), Ladder("ask")
        self._changes: list[Change] = []
        self._trades: list[Trade] = []
        self._trade_id = self._agg_id = 0
        self._layers: dict[int, BookSide] = {}  # spoofed ticks that have not been pulled yet
        # A stream of its own, so that the schedule does not depend on how much the order flow draws.
        self._schedule = schedule(random.Random(rng.getrandbits(64)), start_ms, spec.first_episode_ms)
        self._regime = next(self._schedule)
        self._fill()
        self._next_ms = start_ms + self._wait_ms()

    def bids(self, limit: int | None = None) -> list[Level]:
        """The true bids as of `last_id`, best first."""
        return self._bids.levels(limit)

    def asks(self, limit: int | None = None) -> list[Level]:
        """The true asks as of `last_id`, best first."""
        return self._asks.levels(limit)

    def ladder(self, side: BookSide) -> Ladder:
        """One side as it is; to be read only."""
        return self._bids if side == "bid" else self._asks

    @property
    def touch(self) -> tuple[Level, Level]:
        """Best bid and best ask."""
        bid, ask = self._bids.best, self._asks.best
        return (bid, self._bids.lots(bid)), (ask, self._asks.lots(ask))

    @property
    def regime(self) -> Regime:
        return self._regime

    def step(self, now_ms: int) -> Iterator[Action]:
        """Everything that happens up to and including `now_ms`, in order."""
        while True:
            if self._regime.end_ms <= self._next_ms:
                # Waiting times are memoryless: at the border the next one is drawn anew at the new rate.
                at = self._regime.end_ms
                if at > now_ms:
                    return
                yield from self._turn(at)
                self._next_ms = at + self._wait_ms()
                continue
            if self._next_ms > now_ms:
                return
            self._act()
            if self._changes or self._trades:
                yield self._take(int(self._next_ms))
            self._next_ms += self._wait_ms()

    # --- regimes

    def _turn(self, at_ms: int) -> Iterator[Action]:
        """Leave one regime and enter the next."""
        if self._layers:
            self._pull_layers()
            yield self._take(at_ms)
        self._regime = next(self._schedule)
        if self._regime.kind != "calm":
            self.planted.append(self._regime)
        if self._regime.kind == "spoof":
            self._place_layers()
        elif self._regime.kind == "hole":
            self._dig_hole()
        if self._changes:
            yield self._take(at_ms)

    def _place_layers(self) -> None:
        ladder = self._bids if self._regime.side == "buy" else self._asks
        for layer in range(SPOOF_LAYERS):
            tick = ladder.tick_at(5 + 2 * layer)
            lots = int(self._rng.uniform(*SPOOF_SIZE) * self.spec.typical_lots)
            self._set(ladder, tick, ladder.lots(tick) + lots)
            self._layers[tick] = ladder.side

    def _pull_layers(self) -> None:
        for tick, side in self._layers.items():
            self._set(self._bids if side == "bid" else self._asks, tick, 0)
        self._layers.clear()

    def _dig_hole(self) -> None:
        for ladder in (self._bids, self._asks):
            for tick, _ in ladder.levels(min(HOLE_LEVELS, len(ladder) - MIN_LEVELS)):
                self._set(ladder, tick, 0)

    # --- order flow

    def _act(self) -> None:
        mix = MIXES[self._regime.kind]
        draw = self._rng.random()
        if draw < mix.market:
            self._market_order(mix)
        elif draw < mix.market + mix.cancel:
            self._cancel(mix)
        else:
            self._limit_order(mix)
        if self._layers and self._touched():
            # A spoofer does not want to be filled: the wall goes before the price gets there.
            self._pull_layers()
            self.planted[-1] = replace(self.planted[-1], end_ms=int(self._next_ms))

    def _touched(self) -> bool:
        """Whether a spoofed layer has become one of the two best levels of its side, or was traded into."""
        for tick, side in self._layers.items():
            ladder = self._bids if side == "bid" else self._asks
            second = ladder.tick_at(1)
            if (tick >= second) if side == "bid" else (tick <= second):
                return True
        return False

    def _leaning(self, probability: float) -> TakerSide:
        """buy or sell; `probability` is that of the regime's own side."""
        lean: Lean = self._regime.side
        buy = 1.0 - probability if lean == "sell" else probability
        return "buy" if self._rng.random() < buy else "sell"

    def _market_order(self, mix: Mix) -> None:
        taker = self._leaning(mix.lean)
        ladder = self._asks if taker == "buy" else self._bids
        left = self._size(mix.market_size)
        forced = self._regime.kind == "informed" and self._rng.random() < 0.15
        while left > 0 and len(ladder) > MIN_LEVELS:
            tick = ladder.best
            taken = min(left, ladder.lots(tick))
            left -= taken
            self._trade(tick, taken, taker, forced)
            self._set(ladder, tick, ladder.lots(tick) - taken)

    def _trade(self, tick: int, lots: int, taker: TakerSide, forced: bool) -> None:
        parts = min(lots, self._rng.choice((1, 1, 1, 2, 3)))
        fills = [lots // parts] * parts
        fills[0] += lots - sum(fills)
        self._trades.append(Trade(self._agg_id + 1, self._trade_id + 1, tick, tuple(fills), taker, forced))
        self._agg_id += 1
        self._trade_id += parts

    def _cancel(self, mix: Mix) -> None:
        if self._regime.side != "none" and self._rng.random() < mix.pull:
            ladder, depth = self._asks if self._regime.side == "buy" else self._bids, 0
        else:
            ladder, depth = self._rng.choice((self._bids, self._asks)), self._depth()
        if len(ladder) <= MIN_LEVELS:
            return
        tick = ladder.tick_at(depth)
        if tick in self._layers:
            return
        lots = ladder.lots(tick)
        self._set(ladder, tick, 0 if self._rng.random() < 0.6 else lots // 2)

    def _limit_order(self, mix: Mix) -> None:
        spread = self._asks.best - self._bids.best
        if spread > 1 and self._rng.random() < mix.inside:
            self._improve(mix, spread)
            return
        ladder = self._rng.choice((self._bids, self._asks))
        if len(ladder) < self.spec.levels and self._rng.random() < 0.5:
            self._lengthen(ladder)
            return
        depth = mix.away + self._depth()
        tick = ladder.behind(ladder.tick_at(depth), self._rng.randrange(self.spec.gap_ticks + 1) if depth else 0)
        self._add(ladder, tick)
        if len(ladder) > self.spec.levels * 1.1:
            self._set(ladder, ladder.tick_at(len(ladder) - 1), 0)

    def _improve(self, mix: Mix, spread: int) -> None:
        """A quote inside the spread. Wide spreads close from both ends, narrow ones with a quote next to the other."""
        lean = mix.follow if self._regime.side != "none" else 0.5 + self._homesick()
        ladder = self._bids if self._leaning(lean) == "buy" else self._asks
        if spread > 4 * self.spec.gap_ticks:
            ahead = self._rng.randint(1, spread // 3)
        else:
            ahead = spread - 1 - min(spread - 2, int(self._rng.expovariate(1.0)))
        self._add(ladder, ladder.behind(ladder.best, -max(1, ahead)))

    def _homesick(self) -> float:
        """In [-0.2, 0.2]: pulls a market that wandered 2 % back to where it began, so prices stay plausible."""
        off = (self._bids.best - self.spec.start_tick) / (self.spec.start_tick * 0.02)
        return -0.2 * max(-1.0, min(1.0, off))

    def _lengthen(self, ladder: Ladder) -> None:
        last = ladder.tick_at(len(ladder) - 1)
        self._add(ladder, ladder.behind(last, self._rng.randint(1, 2 * self.spec.gap_ticks)))

    def _add(self, ladder: Ladder, tick: int) -> None:
        if tick > 0:
            self._set(ladder, tick, ladder.lots(tick) + self._size(1.0))

    # --- small change

    def _depth(self) -> int:
        """How many levels from the touch something happens: mostly near, sometimes anywhere."""
        if self._rng.random() < 0.75:
            return int(self._rng.expovariate(1 / 10))
        return self._rng.randrange(self.spec.levels)

    def _size(self, scale: float) -> int:
        return max(1, int(self._rng.lognormvariate(0.0, 0.8) * scale * self.spec.typical_lots))

    def _wait_ms(self) -> float:
        return self._rng.expovariate(MIXES[self._regime.kind].actions_per_s) * 1000.0

    def _set(self, ladder: Ladder, tick: int, lots: int) -> None:
        lots = max(0, lots)
        was = ladder.lots(tick)
        if was == lots:
            return
        ladder.put(tick, lots)
        self.last_id += 1
        self._changes.append(Change(self.last_id, ladder.side, tick, lots, was))

    def _take(self, ms: int) -> Action:
        action = Action(ms, tuple(self._changes), tuple(self._trades))
        self._changes.clear()
        self._trades.clear()
        return action

    def _fill(self) -> None:
        """The starting image: both sides full, one tick of spread."""
        for ladder, tick in ((self._bids, self.spec.start_tick), (self._asks, self.spec.start_tick + 1)):
            for _ in range(self.spec.levels):
                if tick <= 0:
                    break
                ladder.put(tick, self._size(1.0))
                tick = ladder.behind(tick, self._rng.randint(1, max(1, 2 * self.spec.gap_ticks - 1)))
