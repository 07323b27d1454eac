"""The orders of one book and what they sum to: order events in, level rows out.

A venue that publishes every order is followed by its orders; everybody else goes on seeing levels, so that a book kept
order by order is a book like any other. Sizes are Decimal and sums are exact (a sum that would have to be rounded
raises): a level is gone exactly when its last order is, and no dust of a float is left behind.

::

    change   of an order that rests                 of an order that is not there
    PUT      its new price and size, any side       it rests from now on
    AMEND    its new size (and price, where said)   nothing: it never came to rest
    FILL     so much less; at 0 it is gone          nothing
    REMOVE   it is gone                             nothing: it never came to rest

Which of these a venue's messages are is its codec's knowledge; whether none is missing is the proof's (``sync.py``).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from decimal import Context, Decimal, Inexact, InvalidOperation
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeAlias

from msgspec import Struct

from imbalanced.book import Rows

if TYPE_CHECKING:
    from collections.abc import Iterable

OrderId: TypeAlias = int | str

NONE = Decimal(0)
# Digits for any sum of sizes that a venue can write; what does not fit raises instead of being rounded.
EXACT = Context(prec=96, traps=[Inexact, InvalidOperation])


class Act(Enum):
    """What happened to an order; see the table above."""

    PUT = "put"
    AMEND = "amend"
    FILL = "fill"
    REMOVE = "remove"


class OrderChange(Struct, frozen=True, gc=False):
    """What happened to one order. ``sign`` +1 bid, -1 ask; ``px`` in integer units (0: not said); ``size`` in base
    units: what rests now, or for FILL what was taken.
    """

    act: Act
    order_id: OrderId
    sign: int = 0
    px: int = 0
    size: Decimal = NONE


class Order(Struct, gc=False):
    """One resting order. ``place`` is ``sign * px``."""

    order_id: OrderId
    place: int
    size: Decimal


class Orders:
    """All resting orders of one book. Levels are known by ``sign * px``, as in a ladder."""

    def __init__(self) -> None:
        self._orders: dict[OrderId, Order] = {}
        self._levels: dict[int, Decimal] = {}
        # What rests at a place, and all places in order: the best bid is the last, the best ask the last below 0.
        self._at: dict[int, dict[OrderId, Order]] = {}
        self._places: list[int] = []
        self._acts = {Act.PUT: self._put, Act.AMEND: self._amend, Act.FILL: self._fill, Act.REMOVE: self._remove}

    def __len__(self) -> int:
        return len(self._orders)

    def clear(self) -> None:
        """No order rests."""
        self._orders.clear()
        self._levels.clear()
        self._at.clear()
        self._places.clear()

    def replace(self, changes: Iterable[OrderChange]) -> Rows:
        """The orders of an image, and nothing else; answers all levels, best first."""
        self.clear()
        for change in changes:
            self._acts[change.act](change)
        return _rows({place: self._levels[place] for place in reversed(self._places)})

    def apply(self, changes: Iterable[OrderChange]) -> Rows:
        """One message of changes; answers the levels that differ from before, with their new sizes (0: gone)."""
        before: dict[int, Decimal] = {}
        for change in changes:
            known = self._orders.get(change.order_id)
            for place in (known.place if known is not None else 0, _goes_to(change, known)):  # 0 is no place
                before.setdefault(place, self._levels.get(place, NONE))
            self._acts[change.act](change)
        now = {place: self._levels.get(place, NONE) for place in before}
        return _rows({place: size for place, size in now.items() if size != before[place]})

    def resting(self, sign: int, most: int) -> list[Order]:
        """The best ``most`` orders of one side, the best price first; equal prices by their id."""
        places, at = self._places, self._at
        split = bisect_left(places, 0)
        best, worst = (len(places) - 1, split) if sign > 0 else (split - 1, 0)
        found: list[Order] = []
        for i in range(best, worst - 1, -1):
            here = at[places[i]].values()
            found += here if len(here) == 1 else sorted(here, key=_id_of)
            if len(found) >= most:
                break
        return found[:most]

    def _put(self, change: OrderChange) -> None:
        self._remove(change)
        if change.size > 0:
            place = change.sign * change.px
            order = self._orders[change.order_id] = Order(change.order_id, place, change.size)
            if place not in self._at:
                self._at[place] = {}
                insort(self._places, place)
            self._at[place][change.order_id] = order
            self._levels[place] = EXACT.add(self._levels.get(place, NONE), change.size)

    def _amend(self, change: OrderChange) -> None:
        known = self._orders.get(change.order_id)
        if known is not None:
            place = _goes_to(change, known)
            self._put(OrderChange(Act.PUT, change.order_id, 1 if place > 0 else -1, abs(place), change.size))

    def _fill(self, change: OrderChange) -> None:
        known = self._orders.get(change.order_id)
        if known is None:
            return
        left = EXACT.subtract(known.size, change.size)
        if left > 0:
            known.size = left
            self._levels[known.place] = EXACT.subtract(self._levels[known.place], change.size)
        else:
            self._remove(change)

    def _remove(self, change: OrderChange) -> None:
        known = self._orders.pop(change.order_id, None)
        if known is None:
            return
        place, still_there = known.place, self._at[known.place]
        del still_there[change.order_id]
        if still_there:
            self._levels[place] = EXACT.subtract(self._levels[place], known.size)
        else:  # sums are exact: nothing is left
            del self._levels[place], self._at[place], self._places[bisect_left(self._places, place)]


def _id_of(order: Order) -> Any:
    return order.order_id


def _goes_to(change: OrderChange, known: Order | None) -> int:
    """The place at which an order rests after a change, if it is there at all; an order that is amended keeps its
    side.
    """
    if change.act is Act.PUT:
        return change.sign * change.px
    if known is None:
        return 0
    return known.place if change.act is not Act.AMEND or not change.px else (1 if known.place > 0 else -1) * change.px


def _rows(levels: dict[int, Decimal]) -> Rows:
    """Levels by place as rows: bids, then asks. Each size is the float64 nearest to the exact sum."""
    rows = Rows(len(levels))
    for place, size in levels.items():
        if place > 0:
            rows.add(place, float(size))
    rows.end_bids()
    for place, size in levels.items():
        if place < 0:
            rows.add(-place, float(size))
    return rows
