# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""What kinds remember to know what is usual: a series on a grid of time, a mean over the last moments, the tick.

A threshold that follows the market is a quantile of the past. Over a clock of time and not of events, or a burst would
become the rule by its own weight.
"""

from __future__ import annotations

from array import array
from decimal import Decimal
from math import nan
from typing import ClassVar

import cython
from cython.cimports.libc.math import fabs

if not cython.compiled:
    from imbalanced.book import Book, Ladder, Rows
    from imbalanced.metrics.metric import Metric
    from imbalanced.metrics.statistics import RollingQuantile
    from imbalanced.metrics.windows import room
else:
    from cython.cimports.imbalanced.book import Book, Ladder, Rows
    from cython.cimports.imbalanced.metrics.metric import Metric
    from cython.cimports.imbalanced.metrics.statistics import RollingQuantile
    from cython.cimports.imbalanced.metrics.windows import room

from imbalanced.metrics import metric
from imbalanced.metrics.metric import NS_PER_MS, Grid
from imbalanced.metrics.statistics import QuantileOptions

# As C integers: a Python global costs a lookup and a conversion at every answer.
NO_VALUE = cython.declare(cython.int, metric.NO_VALUE)
VALUE = cython.declare(cython.int, metric.VALUE)
SECOND = cython.declare(cython.longlong, 1_000_000_000)
# Of the usual peak: seconds that are remembered, and that must be known; after how many beyond it they are the rule.
PEAKS, PEAKS_KNOWN, PEAK_Q = 600, 60, Decimal("0.9")
RULE_S = cython.declare(cython.Py_ssize_t, 60)


@cython.cclass
class Past:
    """A series sampled on a grid (the value that held until the grid's time), and its ``q`` quantile.

    A silence of many steps counts as one sample; ``threshold`` is NaN before ``min_count`` samples.
    """

    def __init__(self, q: str, window: int, min_count: int, grid_ms: int) -> None:
        self._past = RollingQuantile(QuantileOptions(q=Decimal(q), window=window, min_count=min_count))
        self._grid_ns = grid_ms * NS_PER_MS
        self.clear()

    @cython.ccall
    def clear(self) -> cython.void:
        """Everything is forgotten."""
        self._past.clear()
        self._held = nan
        self._next_ns = 0

    @cython.ccall
    def observe(self, x: cython.double, t_ns: cython.longlong) -> cython.bint:
        """The value now. True at the first one of a step of the grid."""
        stepped: cython.bint = t_ns >= self._next_ns
        if stepped:
            self._past.update(self._held)
            self._next_ns = (t_ns // self._grid_ns + 1) * self._grid_ns
        self._held = x
        return stepped

    @cython.ccall
    def threshold(self) -> cython.double:
        """The quantile of what was before."""
        return self._past.threshold()


@cython.cclass
class Usual:
    """The usual peak of a magnitude: a high quantile of the largest of each second, over the last ten minutes.

    A z-score knows how wide a series is and not how heavy its tails are; where bursts are common, three deviations come
    every minute. What is more than ``times`` the usual peak enters as that, or a few events would make the next ones
    usual; where it comes in more than a tenth of the seconds, or lasts for a minute, it is the rule.
    """

    def __init__(self, times: float) -> None:
        self.times = times
        self._peaks = RollingQuantile(QuantileOptions(q=PEAK_Q, window=PEAKS, min_count=PEAKS_KNOWN))
        self.clear()

    @cython.ccall
    def clear(self) -> cython.void:
        """Everything is forgotten."""
        self._peaks.clear()
        self.peak = nan
        self._largest = nan
        self._next_ns = 0
        self._beyond = 0

    @cython.ccall
    def observe(self, x: cython.double, t_ns: cython.longlong) -> cython.void:
        """The value now; its sign does not matter. NaN is none."""
        size: cython.double = fabs(x)
        if t_ns >= self._next_ns:
            self._end_second()
            self._next_ns = (t_ns // SECOND + 1) * SECOND
        if size == size and not self._largest >= size:
            self._largest = size

    @cython.cfunc
    def _end_second(self) -> cython.void:
        most: cython.double = self.times * self.peak
        if self._largest != self._largest:
            return
        if self._largest > most:
            self._beyond += 1
            if self._beyond <= RULE_S:
                self._largest = most
        else:
            self._beyond = 0
        self._peaks.update(self._largest)
        self.peak = self._peaks.threshold()
        self._largest = nan

    @cython.ccall
    def beyond(self, x: cython.double) -> cython.bint:
        """Whether this is so unusual that nothing should be learned from it."""
        return fabs(x) > self.times * self.peak and self._beyond <= RULE_S

    @cython.ccall
    def passes(self, x: cython.double, share: cython.double = 1.0) -> cython.bint:
        """Whether this is ``times`` the usual peak (or this share of that), or nobody knows what is usual yet."""
        return not fabs(x) < share * self.times * self.peak


@cython.cclass
class Mean:
    """The time-weighted mean of a value that holds until the next, over the last ``window_ns``."""

    def __init__(self, window_ns: int) -> None:
        self._window_ns = window_ns
        self._t: cython.longlong[::1] = array("q", bytes(8 * 16))
        self._x: cython.double[::1] = array("d", bytes(8 * 16))
        self._area: cython.double[::1] = array("d", bytes(8 * 16))
        self.clear()

    @cython.ccall
    def clear(self) -> cython.void:
        """Everything is forgotten."""
        self._head = 0
        self._count = 0

    @cython.cfunc
    def _fit(self) -> cython.void:
        """Into another ring, where this one is full or nearly empty."""
        i: cython.Py_ssize_t
        capacity: cython.Py_ssize_t = len(self._t)
        n: cython.Py_ssize_t = room(self._count, capacity)
        if n == capacity:
            return
        t: cython.longlong[::1] = array("q", bytes(8 * n))
        x: cython.double[::1] = array("d", bytes(8 * n))
        area: cython.double[::1] = array("d", bytes(8 * n))
        for i in range(self._count):
            t[i] = self._t[(self._head + i) % capacity]
            x[i] = self._x[(self._head + i) % capacity]
            area[i] = self._area[(self._head + i) % capacity]
        self._t = t
        self._x = x
        self._area = area
        self._head = 0

    @cython.ccall
    def push(self, x: cython.double, t_ns: cython.longlong) -> cython.double:
        """The value is ``x`` from now on; the mean until now, or ``x`` where there is no time to speak of."""
        capacity: cython.Py_ssize_t = len(self._t)
        last: cython.Py_ssize_t
        following: cython.Py_ssize_t
        begin: cython.longlong = t_ns - self._window_ns
        area: cython.double = 0.0
        then: cython.double
        if self._count > 0:
            last = (self._head + self._count - 1) % capacity
            area = self._area[last] + self._x[last] * (t_ns - self._t[last])
            while self._count > 1:
                following = (self._head + 1) % capacity
                if self._t[following] > begin:
                    break
                self._head = following
                self._count -= 1
            begin = max(begin, self._t[self._head])
        self._fit()
        capacity = len(self._t)
        last = (self._head + self._count) % capacity
        self._t[last] = t_ns
        self._x[last] = x
        # A month's area is 3e15 ns, which a double knows to half a nanosecond.
        self._area[last] = area if self._count > 0 else 0.0
        self._count += 1
        if begin >= t_ns or self._count == 1:
            return x
        then = self._area[self._head] + self._x[self._head] * (begin - self._t[self._head])
        return (area - then) / (t_ns - begin)


@cython.cclass
class TickSize(Metric):
    """The price step in price units: the instrument's, or where that is unknown the largest step that all prices share.

    A venue's image has hundreds of prices, so what they share is the tick; it can only become smaller with more of
    them. Known steps cost nothing. No value before the first book.
    """

    inputs: ClassVar[str] = "book"

    def __init__(self, grid: Grid) -> None:
        super().__init__(1)
        self._known = grid.tick is not None
        self.px = 0 if grid.tick is None else grid.px(grid.tick)
        self._answer()

    @cython.cfunc
    def _answer(self) -> cython.int:
        if self.px == 0:
            return NO_VALUE
        self.out[0] = self.px
        return VALUE

    @cython.cfunc
    def _meet(self, px: cython.longlong) -> cython.void:
        a: cython.longlong = px
        b: cython.longlong = self.px
        rest: cython.longlong
        while a != 0:
            rest = b % a
            b = a
            a = rest
        self.px = b

    @cython.cfunc
    def _walk(self, ladder: Ladder) -> cython.void:
        i: cython.Py_ssize_t
        for i in range(ladder.n):
            if self.px == 0 or ladder.key[i] % self.px != 0:
                self._meet(abs(ladder.key[i]))

    @cython.ccall
    def book_replaced(self, book: Book, t_ns: cython.longlong) -> cython.int:
        if not self._known:
            self._walk(book.bids)
            self._walk(book.asks)
        return self._answer()

    @cython.ccall
    def book_changed(self, book: Book, t_ns: cython.longlong) -> cython.int:
        rows: Rows = book.rows
        i: cython.Py_ssize_t
        if not self._known:
            for i in range(rows.n):
                if self.px == 0 or rows.px[i] % self.px != 0:
                    self._meet(rows.px[i])
        return self._answer()
