"""The matching engine's book of single orders, in ticks and lots: post, pull, take. Pure, knows no dynamics.

Every change of a level's size is noted in `touched` and counted, so that the wire can tell it as the venue does.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Side = Literal[1, -1]  # +1 bids (or a buying taker), -1 asks (or a selling one)


class Fill(NamedTuple):
    """What a taker order got at one price."""

    tick: int
    lots: int
    side: Side  # the taker's


@dataclass(slots=True)
class Order:
    """A resting order; `lots` 0 means that it is gone."""

    side: Side
    tick: int
    lots: int


@dataclass(slots=True)
class Level:
    lots: int = 0
    queue: deque[Order] = field(default_factory=deque)


class Ladder:
    """One side. `keys` are ticks times side, ascending: the best level is the last."""

    def __init__(self, side: Side) -> None:
        self.side: Side = side
        self.keys: list[int] = []
        self.levels: dict[int, Level] = {}

    @property
    def best(self) -> int:
        return self.keys[-1] * self.side

    def at(self, rank: int) -> int:
        """The tick of the level so many ranks behind the best, or of the last one."""
        return self.keys[max(0, len(self.keys) - 1 - rank)] * self.side

    def lots(self, tick: int) -> int:
        level = self.levels.get(tick)
        return level.lots if level is not None else 0

    def within(self, ticks: int) -> int:
        """Lots on levels at most so many ticks behind the best."""
        edge = self.keys[-1] - ticks
        return sum(self.levels[key * self.side].lots for key in self.keys[bisect_left(self.keys, edge) :])

    def orders(self, ticks: int) -> list[Order]:
        """The orders on those levels, best first, oldest first."""
        edge = self.keys[-1] - ticks
        near = self.keys[bisect_left(self.keys, edge) :]
        return [one for key in reversed(near) for one in self.levels[key * self.side].queue if one.lots]


class Book:
    """Both sides. A side is never emptied: its last level cannot be pulled or taken."""

    def __init__(self, first_id: int) -> None:
        self.last_id = first_id
        self.bids, self.asks = Ladder(1), Ladder(-1)
        self.touched: dict[tuple[Side, int], int] = {}

    def side(self, side: Side) -> Ladder:
        return self.bids if side == 1 else self.asks

    @property
    def spread(self) -> int:
        return self.asks.best - self.bids.best

    @property
    def mid(self) -> float:
        return (self.asks.best + self.bids.best) / 2

    def post(self, side: Side, tick: int, lots: int) -> Order:
        """A new resting order. The caller sees to it that it does not cross."""
        ladder = self.side(side)
        level = ladder.levels.get(tick)
        if level is None:
            level = ladder.levels[tick] = Level()
            key = tick * side
            ladder.keys.insert(bisect_left(ladder.keys, key), key)
        order = Order(side, tick, lots)
        level.queue.append(order)
        level.lots += lots
        self._tell(side, tick, level.lots)
        return order

    def pull(self, order: Order) -> bool:
        """Cancel what is left of an order."""
        ladder = self.side(order.side)
        if not order.lots or len(ladder.keys) < 2:
            return False
        level = ladder.levels[order.tick]
        level.lots -= order.lots
        order.lots = 0
        self._after(ladder, order.tick, level)
        return True

    def take(self, side: Side, lots: int, limit: int | None = None) -> list[Fill]:
        """A taker order: fills by price, best first; `limit` is the last tick that it takes."""
        ladder = self.side(-1 if side == 1 else 1)
        fills: list[Fill] = []
        while lots > 0 and len(ladder.keys) > 1:
            tick = ladder.best
            if limit is not None and (tick - limit) * side > 0:
                break
            level = ladder.levels[tick]
            taken = min(lots, level.lots)
            self._eat(level, taken)
            lots -= taken
            fills.append(Fill(tick, taken, side))
            self._after(ladder, tick, level)
        return fills

    @staticmethod
    def _eat(level: Level, lots: int) -> None:
        level.lots -= lots
        while lots > 0:
            first = level.queue[0]
            part = min(lots, first.lots)
            first.lots -= part
            lots -= part
            if not first.lots:
                level.queue.popleft()

    def _after(self, ladder: Ladder, tick: int, level: Level) -> None:
        if level.lots == 0:
            del ladder.levels[tick]
            del ladder.keys[bisect_left(ladder.keys, tick * ladder.side)]
        elif len(level.queue) > 8 and not level.queue[len(level.queue) // 2].lots:
            level.queue = deque(one for one in level.queue if one.lots)
        self._tell(ladder.side, tick, level.lots)

    def _tell(self, side: Side, tick: int, lots: int) -> None:
        self.last_id += 1
        self.touched[side, tick] = lots
