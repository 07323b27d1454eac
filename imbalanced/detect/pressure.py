# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""What the kinds of order flow look at, each at several scales: flow at the touch, takers, and how far the price came.

No single message or order may outweigh all others: sizes have tails so heavy that a sum of them is the largest one.
"""

from __future__ import annotations

from math import nan
from typing import ClassVar

import cython
from cython.cimports.libc.math import fabs

if not cython.compiled:
    from imbalanced.book import Book
    from imbalanced.detect.past import Past, Usual
    from imbalanced.detect.scales import Scales, Strides, TakerScales
    from imbalanced.metrics.flow import Flow
    from imbalanced.metrics.metric import Metric
else:
    from cython.cimports.imbalanced.book import Book
    from cython.cimports.imbalanced.detect.past import Past, Usual
    from cython.cimports.imbalanced.detect.scales import Scales, Strides, TakerScales
    from cython.cimports.imbalanced.metrics.flow import Flow
    from cython.cimports.imbalanced.metrics.metric import Metric

from imbalanced.metrics import metric
from imbalanced.metrics.metric import Grid

# As C integers: a Python global costs a lookup and a conversion at every answer.
NO_VALUE = cython.declare(cython.int, metric.NO_VALUE)
VALUE = cython.declare(cython.int, metric.VALUE)
# What comes within this time of the first is one instant.
INSTANT_MS = 100


@cython.cclass
class TouchFlow(Flow):
    """Order flow of the best ``levels`` ranks, where a side of a rank counts at most one usual size a message:
    ``{flow, present}``, what the windows remember and what goes on.

    In roots of usual sizes per square root of a second (``Scales``, by instants of 100 ms), the mean over ranks. The
    usual size is the median size per level and side over ten minutes, once a second. What a message adds or takes is as
    in ``ofi``. A wall that comes or goes is one message, a flow is many. Positive: bids were added, asks were taken or
    cancelled. No value: the book is not live or crossed, or there is no message since it was proven. Source: after
    Cont, Kukanov & Stoikov 2014.
    """

    inputs: ClassVar[str] = "book clock"
    outputs: ClassVar[tuple[str, ...]] = ("flow", "present")
    shape: ClassVar[str] = "dict"

    def __init__(self, levels: int, window_ms: int, scales: int, grid: Grid) -> None:
        super().__init__(2, levels, 1, window_ms)
        self._scales = Scales(window_ms, scales, INSTANT_MS)
        self._usual = Past("0.5", 600, 1, 1_000)

    @cython.cfunc
    def _moved(self, book: Book, t_ns: cython.longlong) -> cython.double:
        """The bounded flow of this message; the anchor moves on."""
        i: cython.Py_ssize_t
        size: cython.double = 0.0
        total: cython.double = 0.0
        usual: cython.double = self._usual.threshold()
        for i in range(self._levels):
            total += _bounded(self._step(book.bids, i, 2 * i), usual)
            total -= _bounded(self._step(book.asks, i, 2 * i + 1), usual)
            size += self._size[2 * i] + self._size[2 * i + 1]
        self._usual.observe(size / (2 * self._levels), t_ns)
        return total / self._levels

    @cython.ccall
    def book_replaced(self, book: Book, t_ns: cython.longlong) -> cython.int:
        self.book_invalid(t_ns)
        self._anchored = book.clean()
        if self._anchored:
            self._moved(book, t_ns)
        return NO_VALUE

    @cython.ccall
    def book_changed(self, book: Book, t_ns: cython.longlong) -> cython.int:
        flow: cython.double
        if not book.clean():
            return NO_VALUE
        flow = self._moved(book, t_ns)
        if not self._anchored:
            self._anchored = True
            return NO_VALUE
        if flow != 0:
            self._scales.push(flow, t_ns)
        return self._look(t_ns)

    @cython.ccall
    def clock(self, book: Book, t_ns: cython.longlong) -> cython.int:
        if not self._anchored or not book.clean():
            return NO_VALUE
        return self._look(t_ns)

    @cython.cfunc
    def _look(self, t_ns: cython.longlong) -> cython.int:
        self.out[0] = self._scales.look(t_ns)
        self.out[1] = self._scales.present
        return VALUE

    @cython.ccall
    def book_invalid(self, t_ns: cython.longlong) -> cython.int:
        self._scales.clear()
        self._usual.clear()
        self._anchored = False
        return NO_VALUE


@cython.cfunc
@cython.inline
def _bounded(flow: cython.double, most: cython.double) -> cython.double:
    """In units of ``most``, and one of them at most; 0 where that is not known yet."""
    if not most > 0:
        return 0.0
    return max(-1.0, min(1.0, flow / most))


@cython.cclass
class TakerPressure(Metric):
    """What takers press (``TakerScales``) and how one-sided they are at that scale, in [-1, 1]: ``{pressure, share}``
    of what the windows remember, ``{present, present_share}`` of what goes on.

    In fourth roots of quote units per square root of a second: the root of each taker's notional, and of what an
    instant of 100 ms nets of these. Positive: buyers. 0 where nobody trades.
    """

    inputs: ClassVar[str] = "trade clock"
    outputs: ClassVar[tuple[str, ...]] = ("pressure", "share", "present", "present_share")
    shape: ClassVar[str] = "dict"

    def __init__(self, window_ms: int, scales: int, grid: Grid) -> None:
        super().__init__(4)
        self._scales = TakerScales(window_ms, scales, INSTANT_MS)
        self._per_unit = grid.per_unit

    @cython.ccall
    def trade(self, px: cython.longlong, size: cython.double, sign: cython.int, t_ns: cython.longlong) -> cython.int:
        if sign != 0:
            self._scales.take(fabs(px / self._per_unit * size), sign, t_ns)
        return self._look(t_ns)

    @cython.ccall
    def clock(self, book: Book, t_ns: cython.longlong) -> cython.int:
        return self._look(t_ns)

    @cython.cfunc
    def _look(self, t_ns: cython.longlong) -> cython.int:
        self.out[0] = self._scales.look(t_ns)
        self.out[1] = self._scales.share
        self.out[2] = self._scales.present
        self.out[3] = self._scales.present_share
        return VALUE


@cython.cclass
class Effect(Metric):
    """``{takers, move}``: what shows that a flow of quotes is meant. Quotes are free to show and to withdraw.

    Takers who press the same way by ``times_usual`` times their usual peak, or a mid that goes with it by
    ``move_usual`` times its own; the mid by more than the spread besides, or one quote that steps back would do. It is
    asked for more: news moves it in one instant too. ``takers`` as ``present`` in ``TakerPressure``; ``move`` in prices
    per square root of a second (``Strides``). ``times_usual`` 0: nothing is asked. What is usual is not known for a
    minute: then the side alone is asked for.
    """

    inputs: ClassVar[str] = "book trade clock"
    outputs: ClassVar[tuple[str, ...]] = ("takers", "move")
    shape: ClassVar[str] = "dict"

    def __init__(self, times_usual: float, move_usual: float, window_ms: int, scales: int, grid: Grid) -> None:
        super().__init__(2)
        self._times = times_usual
        self._takers = TakerScales(window_ms, scales, INSTANT_MS)
        self._price = Strides(window_ms, scales)
        self._usual_takers = Usual(times_usual)
        self._usual_move = Usual(move_usual)
        self._per_unit = grid.per_unit
        self._spread = nan

    @cython.cfunc
    def _look(self, t_ns: cython.longlong) -> cython.int:
        self._takers.look(t_ns)
        self.out[0] = self._takers.present
        self.out[1] = self._price.look(t_ns)
        self._usual_takers.observe(self.out[0], t_ns)
        self._usual_move.observe(self.out[1], t_ns)
        return VALUE

    @cython.ccall
    def trade(self, px: cython.longlong, size: cython.double, sign: cython.int, t_ns: cython.longlong) -> cython.int:
        if sign != 0:
            self._takers.take(fabs(px / self._per_unit * size), sign, t_ns)
        return self._look(t_ns)

    @cython.ccall
    def book_changed(self, book: Book, t_ns: cython.longlong) -> cython.int:
        bid: cython.double
        ask: cython.double
        if book.ok():
            bid = cython.cast(cython.double, book.bids.key[book.bids.n - 1]) / self._per_unit
            ask = -cython.cast(cython.double, book.asks.key[book.asks.n - 1]) / self._per_unit
            self._spread = ask - bid
            self._price.push((bid + ask) / 2.0, t_ns)
        return self._look(t_ns)

    @cython.ccall
    def book_replaced(self, book: Book, t_ns: cython.longlong) -> cython.int:
        self.book_invalid(t_ns)
        return self.book_changed(book, t_ns)

    @cython.ccall
    def book_invalid(self, t_ns: cython.longlong) -> cython.int:
        self._price.clear()
        self._usual_move.clear()
        self.out[1] = 0.0
        return NO_VALUE

    @cython.ccall
    def clock(self, book: Book, t_ns: cython.longlong) -> cython.int:
        return self._look(t_ns)

    @cython.ccall
    def pressed(self, score: cython.double) -> cython.bint:
        """Whether takers press to this side by an unusual amount."""
        return self.out[0] * score > 0 and self._usual_takers.passes(self.out[0])

    @cython.ccall
    def seen(self, score: cython.double) -> cython.bint:
        """Whether there is any effect of a flow with this sign."""
        side: cython.double = 1.0 if score > 0 else -1.0
        if self._times == 0 or self.pressed(score):
            return True
        return side * self._price.change > self._spread and self._usual_move.passes(self.out[1])
