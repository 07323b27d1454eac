"""The market of ``dialects.py``: one book that changes near its touch, with exact texts."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

Level = tuple[str, str]
Sides = tuple[list[Level], list[Level]]

FIRST_ID = 1_000_000
T0_MS = 1_700_000_000_000
STEP_MS = 100
MID = 3_000_000  # ticks of 0.01
IMAGE_LEVELS = 200


def price(ticks: int) -> str:
    return f"{ticks // 100}.{ticks % 100:02}"


class Change(NamedTuple):
    """The n-th change: levels as text, size ``0`` where one is gone. ``number`` counts from 0."""

    number: int
    bids: list[Level]
    asks: list[Level]

    @property
    def sides(self) -> Sides:
        return self.bids, self.asks

    @property
    def id(self) -> int:
        return FIRST_ID + 1 + self.number

    @property
    def at_ms(self) -> int:
        return T0_MS + STEP_MS * (1 + self.number)


class Market:
    """A book that changes near its touch and never crosses; ``whole`` sizes are contracts."""

    def __init__(self, levels: int, *, whole: bool = False) -> None:
        self._dice = random.Random(f"{levels} {whole}")
        self._levels, self._whole = levels, whole
        self.bids = {MID - 1 - i: self._size() for i in range(IMAGE_LEVELS)}
        self.asks = {MID + i: self._size() for i in range(IMAGE_LEVELS)}

    def _size(self) -> str:
        if self._whole:
            return str(self._dice.randint(1, 9999))
        return f"{self._dice.expovariate(1.0) + 0.1:.8f}"

    def changes(self, count: int) -> Iterator[Change]:
        """The next changes, each made when it is asked for."""
        for number in range(count):
            on_bids = self._levels // 2 if self._levels > 1 else number % 2
            bids = self._side(self.bids, MID - 1, -1, on_bids)
            asks = self._side(self.asks, MID, 1, self._levels - on_bids)
            yield Change(number, bids, asks)

    def _side(self, book: dict[int, str], touch: int, away: int, count: int) -> list[Level]:
        distances: set[int] = set()
        while len(distances) < count:
            distances.add(min(int(self._dice.expovariate(1 / 10)), IMAGE_LEVELS - 1))
        levels = []
        for ticks in (touch + away * distance for distance in sorted(distances)):
            if ticks != touch and ticks in book and self._dice.random() < 0.25:
                del book[ticks]
                levels.append((price(ticks), "0"))
            else:
                book[ticks] = self._size()
                levels.append((price(ticks), book[ticks]))
        return levels

    def best(self, count: int = IMAGE_LEVELS) -> Sides:
        """Bids and asks, best first."""
        bids, asks = sorted(self.bids, reverse=True)[:count], sorted(self.asks)[:count]
        return [(price(one), self.bids[one]) for one in bids], [(price(one), self.asks[one]) for one in asks]
