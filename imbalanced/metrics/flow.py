# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Order flow: what messages add to and take from the book, summed over a time window.

All of them compare a clean state (live, not crossed) with the clean state before, rank by rank; one-sided and empty
books are clean. What a side of a rank contributes when ``(p, q)`` becomes ``(p', q')`` is ``q'`` for a better price
(or a level where none was), ``q' - q`` for the same price, ``-q`` for a worse one (or none any more); flow is bids
minus asks. A replaced book is no flow and ends everything remembered, as does an invalid one.
"""

from __future__ import annotations

from array import array
from decimal import Decimal
from typing import ClassVar

import cython
from cython.cimports.libc.math import log1p
from msgspec import Struct

if not cython.compiled:
    from imbalanced.book import Book, Ladder
    from imbalanced.metrics.metric import Metric
    from imbalanced.metrics.windows import room
else:
    from cython.cimports.imbalanced.book import Book, Ladder
    from cython.cimports.imbalanced.metrics.metric import Metric
    from cython.cimports.imbalanced.metrics.windows import room

from imbalanced.metrics import metric
from imbalanced.metrics.metric import NS_PER_MS, Grid
from imbalanced.options import Count, Millis, Positive

# As C integers: a Python global costs a lookup and a conversion at every answer.
NO_VALUE = cython.declare(cython.int, metric.NO_VALUE)
VALUE = cython.declare(cython.int, metric.VALUE)
# The key of a level that is not there: worse than every price of either side.
ABSENT = cython.declare(cython.longlong, -4_000_000_000_000_000_000)


@cython.final
@cython.cclass
class FlowWindow:
    """Rows of a few numbers with a time, and the sum of each column over ``(t - window, t]``.

    Flows are differences that cancel, and one huge order among small ones must not leave its rounding behind when it
    leaves: what an addition rounds off is kept in a second sum (Knuth's TwoSum). Without rows the sums are exactly 0.
    Write the columns into ``row``, then ``push``. Rows are numbered in their order for ever; ``first`` is the oldest
    one that is in, ``first + count`` the next to come.
    """

    def __init__(self, columns: int, capacity: int = 64) -> None:
        self.columns = columns
        self.row: cython.double[::1] = array("d", bytes(8 * columns))
        self._high: cython.double[::1] = array("d", bytes(8 * columns))
        self._low: cython.double[::1] = array("d", bytes(8 * columns))
        self._t: cython.longlong[::1] = array("q", bytes(8 * capacity))
        self._rows: cython.double[::1] = array("d", bytes(8 * columns * capacity))
        self._capacity = capacity
        self._head = 0
        self.first = 0
        self.count = 0

    @cython.cfunc
    def _move(self, capacity: cython.Py_ssize_t) -> cython.void:
        """Into a ring of this capacity."""
        t: cython.longlong[::1] = array("q", bytes(8 * capacity))
        rows: cython.double[::1] = array("d", bytes(8 * capacity * self.columns))
        i: cython.Py_ssize_t
        k: cython.Py_ssize_t
        at: cython.Py_ssize_t
        for i in range(self.count):
            at = (self._head + i) % self._capacity
            t[i] = self._t[at]
            for k in range(self.columns):
                rows[i * self.columns + k] = self._rows[at * self.columns + k]
        self._t = t
        self._rows = rows
        self._capacity = capacity
        self._head = 0

    @cython.cfunc
    def _add(self, k: cython.Py_ssize_t, x: cython.double) -> cython.void:
        high: cython.double = self._high[k]
        total: cython.double = high + x
        part: cython.double = total - high
        self._low[k] += (high - (total - part)) + (x - part)
        self._high[k] = total

    @cython.cfunc
    def push(self, t_ns: cython.longlong) -> cython.void:
        """``row`` enters the window with this time."""
        k: cython.Py_ssize_t
        at: cython.Py_ssize_t
        if self.count == self._capacity:
            self._move(room(self.count, self._capacity))
        at = self._head + self.count
        if at >= self._capacity:
            at -= self._capacity
        self._t[at] = t_ns
        at *= self.columns
        for k in range(self.columns):
            self._rows[at + k] = self.row[k]
            self._add(k, self.row[k])
        self.count += 1

    @cython.cfunc
    def evict(self, until_ns: cython.longlong) -> cython.void:
        """Rows with a time of at most ``until_ns`` leave."""
        k: cython.Py_ssize_t
        at: cython.Py_ssize_t
        while self.count > 0 and self._t[self._head] <= until_ns:
            at = self._head * self.columns
            for k in range(self.columns):
                self._add(k, -self._rows[at + k])
            self._head += 1
            if self._head == self._capacity:
                self._head = 0
            self.first += 1
            self.count -= 1
        if room(self.count, self._capacity) < self._capacity:
            self._move(room(self.count, self._capacity))
        if self.count == 0:
            self.clear()

    @cython.cfunc
    def sum(self, k: cython.Py_ssize_t) -> cython.double:
        return self._high[k] + self._low[k]

    @cython.cfunc
    def _place(self, number: cython.longlong, k: cython.Py_ssize_t) -> cython.Py_ssize_t:
        at: cython.Py_ssize_t = self._head + (number - self.first)
        return (at - self._capacity if at >= self._capacity else at) * self.columns + k

    @cython.cfunc
    def cell(self, number: cython.longlong, k: cython.Py_ssize_t) -> cython.double:
        """A column of a row that is still in."""
        return self._rows[self._place(number, k)]

    @cython.cfunc
    def amend(self, number: cython.longlong, k: cython.Py_ssize_t, x: cython.double) -> cython.void:
        """A column of a row that is still in becomes ``x``."""
        at: cython.Py_ssize_t = self._place(number, k)
        self._add(k, -self._rows[at])
        self._add(k, x)
        self._rows[at] = x

    @cython.cfunc
    def clear(self) -> cython.void:
        """All rows leave."""
        k: cython.Py_ssize_t
        self.first += self.count
        self._head = 0
        self.count = 0
        for k in range(self.columns):
            self._high[k] = 0.0
            self._low[k] = 0.0


@cython.cclass
class Flow(Metric):
    """The order flow of the best ``levels`` ranks: the anchor, which is the last clean state, and the window.

    Subclasses say what a message enters into the window (``_enter``) and what the window answers (``_value``).
    """

    def __init__(self, width: int, levels: int, columns: int, window_ms: int) -> None:
        super().__init__(width)
        self._levels = levels
        self._window = FlowWindow(columns)
        self._window_ns = window_ms * NS_PER_MS
        self._anchored = False
        self._key = array("q", bytes(16 * levels))
        self._size = array("d", bytes(16 * levels))

    @cython.cfunc
    def _scaled(self, size: cython.double) -> cython.double:
        """What a size counts."""
        return size

    @cython.cfunc
    def _step(self, ladder: Ladder, rank: cython.Py_ssize_t, slot: cython.Py_ssize_t) -> cython.double:
        """The contribution of one side of one rank; the anchor in this slot moves on."""
        at: cython.Py_ssize_t = ladder.n - 1 - rank
        key: cython.longlong = ABSENT
        size: cython.double = 0.0
        before: cython.longlong = self._key[slot]
        was: cython.double = self._size[slot]
        if at >= 0:
            key = ladder.key[at]
            size = self._scaled(ladder.size[at])
        self._key[slot] = key
        self._size[slot] = size
        # Keys grow towards the better price on both sides.
        if key > before:
            return size
        if key == before:
            return size - was
        return -was

    @cython.cfunc
    def _enter(self, book: Book) -> cython.void:
        """Compare with the anchor, move it, fill ``row`` of the window."""

    @cython.cfunc
    def _value(self) -> cython.int:
        """``out`` from the window."""
        return NO_VALUE

    @cython.ccall
    def book_replaced(self, book: Book, t_ns: cython.longlong) -> cython.int:
        self._window.clear()
        self._anchored = book.clean()
        if self._anchored:
            self._enter(book)
        return NO_VALUE

    @cython.ccall
    def book_changed(self, book: Book, t_ns: cython.longlong) -> cython.int:
        if not book.clean():
            return NO_VALUE
        self._enter(book)
        if not self._anchored:
            self._anchored = True
            return NO_VALUE
        self._window.push(t_ns)
        self._window.evict(t_ns - self._window_ns)
        return self._value()

    @cython.ccall
    def clock(self, book: Book, t_ns: cython.longlong) -> cython.int:
        if not self._anchored or not book.clean():
            return NO_VALUE
        self._window.evict(t_ns - self._window_ns)
        return self._value()

    @cython.ccall
    def book_invalid(self, t_ns: cython.longlong) -> cython.int:
        self._window.clear()
        self._anchored = False
        return NO_VALUE


class WindowOptions(Struct, frozen=True, kw_only=True):
    """``window``: how far back messages count, default 1 s."""

    window_ms: Millis = 1000


@cython.cclass
class Ofi(Flow):
    """Order flow imbalance: ``sum(e_bid - e_ask)`` over the messages in the window, in base units.

    ``e`` is what a message adds to the best quote of a side: ``q'`` if its price improved, ``q' - q`` if it stayed,
    ``-q`` if it worsened. Positive: bids were added, asks were taken or cancelled. 0 while the window is empty. No
    value: the book is not live or crossed, or there is no message since it was proven. It counts messages, so venues
    with batches of different length (10 ms, 100 ms) are not comparable; a price improvement counts the whole new queue,
    a vanished one the whole old queue. Cost: O(1). Source: Cont, Kukanov & Stoikov 2014.
    """

    Options: ClassVar[type[Struct]] = WindowOptions
    inputs: ClassVar[str] = "book clock"

    def __init__(self, options: WindowOptions, grid: Grid) -> None:
        super().__init__(1, 1, 1, options.window_ms)

    @cython.cfunc
    def _enter(self, book: Book) -> cython.void:
        bid: cython.double = self._step(book.bids, 0, 0)
        self._window.row[0] = bid - self._step(book.asks, 0, 1)

    @cython.cfunc
    def _value(self) -> cython.int:
        self.out[0] = self._window.sum(0)
        return VALUE


@cython.cclass
class OfiRatio(Flow):
    """Order flow imbalance over gross flow: ``sum(e_bid - e_ask) / sum(|e_bid| + |e_ask|)`` in the window, in [-1, 1].

    ``e`` as in ``ofi``. Positive: bids were added, asks were taken or cancelled. No value: nothing flowed within the
    window, the book is not live or crossed, or there is no message since it was proven. Cost: O(1). Live use: the gross
    flow, which says how much the ratio rests on, stands behind the answer in ``out``. Source: after Cont, Kukanov &
    Stoikov 2014.
    """

    Options: ClassVar[type[Struct]] = WindowOptions
    inputs: ClassVar[str] = "book clock"

    def __init__(self, options: WindowOptions, grid: Grid) -> None:
        super().__init__(2, 1, 3, options.window_ms)

    @cython.cfunc
    def _enter(self, book: Book) -> cython.void:
        row: cython.double[::1] = self._window.row
        bid: cython.double = self._step(book.bids, 0, 0)
        ask: cython.double = self._step(book.asks, 0, 1)
        row[0] = bid - ask
        row[1] = abs(bid) + abs(ask)
        row[2] = 1.0 if row[1] > 0 else 0.0

    @cython.cfunc
    def _value(self) -> cython.int:
        self.out[1] = 0.0
        if self._window.sum(2) == 0:
            return NO_VALUE
        self.out[1] = self._window.sum(1)
        self.out[0] = max(-1.0, min(1.0, self._window.sum(0) / self.out[1]))
        return VALUE


class LogOfiOptions(Struct, frozen=True, kw_only=True):
    """``ref_size``: the size that counts as one unit, in base units, best the median size of the best quotes; required.

    ``window``: how far back messages count, default 1 s.
    """

    ref_size: Positive
    window_ms: Millis = 1000


@cython.cclass
class LogOfi(Flow):
    """Order flow imbalance of ``ln(1 + q / ref_size)`` instead of sizes: one huge order does not outweigh all others.

    A pure number; positive: bids were added, asks were taken or cancelled. 0 while the window is empty. No value: as
    ``ofi``. Cost: O(1). Source: after Cont, Kukanov & Stoikov 2014.
    """

    Options: ClassVar[type[Struct]] = LogOfiOptions
    inputs: ClassVar[str] = "book clock"
    _ref_size: cython.double

    def __init__(self, options: LogOfiOptions, grid: Grid) -> None:
        super().__init__(1, 1, 1, options.window_ms)
        self._ref_size = float(options.ref_size)

    @cython.cfunc
    def _scaled(self, size: cython.double) -> cython.double:
        return log1p(size / self._ref_size)

    @cython.cfunc
    def _enter(self, book: Book) -> cython.void:
        bid: cython.double = self._step(book.bids, 0, 0)
        self._window.row[0] = bid - self._step(book.asks, 0, 1)

    @cython.cfunc
    def _value(self) -> cython.int:
        self.out[0] = self._window.sum(0)
        return VALUE


class MlofiOptions(Struct, frozen=True, kw_only=True):
    """``levels``: the best N ranks of each side, default 5.

    ``window``: how far back messages count, default 1 s.
    """

    levels: Count = 5
    window_ms: Millis = 1000


@cython.cclass
class Mlofi(Flow):
    """Multi-level order flow imbalance: a list of N sums, one per rank, in base units.

    Rank i is compared with rank i, so a new level shifts all deeper ranks: that is intended. Positive: bids were added,
    asks were taken or cancelled. Zeros while the window is empty. No value: as ``ofi``. Cost: O(N).
    Source: Xu, Gould & Howison 2018.
    """

    Options: ClassVar[type[Struct]] = MlofiOptions
    inputs: ClassVar[str] = "book clock"
    shape: ClassVar[str] = "list"

    def __init__(self, options: MlofiOptions, grid: Grid) -> None:
        super().__init__(options.levels, options.levels, options.levels, options.window_ms)

    @cython.cfunc
    def _enter(self, book: Book) -> cython.void:
        i: cython.Py_ssize_t
        bid: cython.double
        for i in range(self._levels):
            bid = self._step(book.bids, i, 2 * i)
            self._window.row[i] = bid - self._step(book.asks, i, 2 * i + 1)

    @cython.cfunc
    def _value(self) -> cython.int:
        i: cython.Py_ssize_t
        for i in range(self._levels):
            self.out[i] = self._window.sum(i)
        return VALUE

    def names(self) -> tuple[str, ...]:
        return tuple(str(i) for i in range(1, self._levels + 1))


@cython.cclass
class ScaledFlow(Flow):
    """Multi-level flow with the depth of each state beside it: columns are N flows, the depth, and whether there is
    any."""

    def __init__(self, width: int, levels: int, window_ms: int) -> None:
        super().__init__(width, levels, levels + 2, window_ms)

    @cython.cfunc
    def _enter(self, book: Book) -> cython.void:
        i: cython.Py_ssize_t
        bid: cython.double
        depth: cython.double = 0.0
        for i in range(self._levels):
            bid = self._step(book.bids, i, 2 * i)
            self._window.row[i] = bid - self._step(book.asks, i, 2 * i + 1)
            depth += self._size[2 * i] + self._size[2 * i + 1]
        self._window.row[self._levels] = depth
        self._window.row[self._levels + 1] = 1.0 if depth > 0 else 0.0

    @cython.cfunc
    def _unit(self) -> cython.double:
        """The mean size per level and side over the states in the window; 0 where there is none."""
        if self._window.sum(self._levels + 1) == 0:
            return 0.0
        return self._window.sum(self._levels) / (2 * self._levels * self._window.count)


@cython.cclass
class OfiDepthNormalised(ScaledFlow):
    """``mlofi_i / Q``, a list of N: flow per rank in units of the depth it moves through.

    ``Q`` is the mean size per level and side over the states after each message in the window; a missing level counts
    0. The scale makes symbols and hours comparable. Positive: bids were added, asks were taken or cancelled. No value:
    the window is empty, there is no depth at all, otherwise as ``ofi``. Cost: O(N). Source: Cont, Cucuringu & Zhang
    2023.
    """

    Options: ClassVar[type[Struct]] = MlofiOptions
    inputs: ClassVar[str] = "book clock"
    shape: ClassVar[str] = "list"

    def __init__(self, options: MlofiOptions, grid: Grid) -> None:
        super().__init__(options.levels, options.levels, options.window_ms)

    @cython.cfunc
    def _value(self) -> cython.int:
        i: cython.Py_ssize_t
        unit: cython.double = self._unit()
        if unit == 0:
            return NO_VALUE
        for i in range(self._levels):
            self.out[i] = self._window.sum(i) / unit
        return VALUE

    def names(self) -> tuple[str, ...]:
        return tuple(str(i) for i in range(1, self._levels + 1))


class IntegratedOfiOptions(Struct, frozen=True, kw_only=True):
    """``weights``: one per rank, best first, as ``integrated_ofi_weights`` found them on past data; required, 1 to
    1000.

    ``window``: how far back messages count, default 1 s.
    """

    weights: tuple[Decimal, ...]
    window_ms: Millis = 1000

    def __post_init__(self) -> None:
        if not 1 <= len(self.weights) <= 1000:
            raise ValueError("1 to 1000 weights")


@cython.cclass
class IntegratedOfi(ScaledFlow):
    """Integrated order flow imbalance: ``sum(w_i * ofi_depth_normalised_i)`` with frozen weights, a number without
    unit.

    The weights are the first principal component of multi-level flow (``integrated_ofi_weights``), to be fitted again
    about daily. Positive: bids were added, asks were taken or cancelled. No value: as ``ofi_depth_normalised``.
    Cost: O(N). Source: Cont, Cucuringu & Zhang 2023.
    """

    Options: ClassVar[type[Struct]] = IntegratedOfiOptions
    inputs: ClassVar[str] = "book clock"
    _weights: cython.double[::1]

    def __init__(self, options: IntegratedOfiOptions, grid: Grid) -> None:
        super().__init__(1, len(options.weights), options.window_ms)
        self._weights = array("d", [float(w) for w in options.weights])

    @cython.cfunc
    def _value(self) -> cython.int:
        i: cython.Py_ssize_t
        total: cython.double = 0.0
        unit: cython.double = self._unit()
        if unit == 0:
            return NO_VALUE
        for i in range(self._levels):
            total += self._weights[i] * self._window.sum(i)
        self.out[0] = total / unit
        return VALUE
