# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""A series at several scales at once: what lasts a second and what lasts ten are both seen where they stand out.

What comes and goes evenly grows with the square root of the time it is summed over, what comes from one side with the
time itself. So each sum is divided by the square root of its window in seconds: noise looks alike at every scale, and
an event stands out most at the scale that is about as long as itself. Source: the scan statistic over windows of
several lengths, e.g. Glaz, Naus & Wallenstein 2001.

A price that jumps pulls and fills many quotes in one instant, and such sums have tails that hide what presses for
seconds. So an instant may count the root of what it holds: news is one instant, a pressure is many.
"""

from __future__ import annotations

from array import array
from math import nan

import cython
from cython.cimports.libc.math import fabs, sqrt

if not cython.compiled:
    from imbalanced.metrics.metric import AsOf
    from imbalanced.metrics.windows import Sums
else:
    from cython.cimports.imbalanced.metrics.metric import AsOf
    from cython.cimports.imbalanced.metrics.windows import Sums

from imbalanced.metrics.metric import NS_PER_MS

# As C integers: one taker's trades lie within this time of the first.
TAKER_NS = cython.declare(cython.longlong, 1_000_000)


@cython.cclass
class Scales:
    """Signed amounts over ``count`` windows, the shortest ``window_ms`` and each next one twice as long.

    What comes within ``instant_ms`` of the first is one instant: it counts the square root of its net amount, with its
    sign, and the time of its begin. 0: each amount counts as it is.

    ``largest`` is the scaled sum (amount per square root of a second) of the window where its size is largest, and
    ``share`` its one-sidedness there: the sum of the amounts themselves over that of their sizes. ``present`` and
    ``present_share`` are the same over those windows only whose flow goes on: the shortest window holds at least half
    of their mean rate. What a long window merely remembers is in the first and not in the second. All are 0 where there
    is nothing.
    """

    def __init__(self, window_ms: int, count: int, instant_ms: int = 0) -> None:
        self._sums = [Sums(4) for _ in range(count)]
        self._window_ns = array("q", [(window_ms << i) * NS_PER_MS for i in range(count)])
        self._root = array("d", [sqrt((window_ms << i) / 1_000) for i in range(count)])
        self._instant_ns = instant_ms * NS_PER_MS
        self._begin_ns = 0
        self._plus = self._minus = 0.0
        self._nothing()

    @cython.cfunc
    def _nothing(self) -> cython.void:
        self.largest = self.share = 0.0
        self.present = self.present_share = 0.0

    @cython.ccall
    def push(self, x: cython.double, t_ns: cython.longlong) -> cython.void:
        """An amount; its sign is its side."""
        self._close(t_ns)
        if self._plus == 0 and self._minus == 0:
            self._begin_ns = t_ns
        if x > 0:
            self._plus += x
        else:
            self._minus -= x

    @cython.cfunc
    def _counted(self) -> cython.double:
        """What the instant that goes on counts."""
        net: cython.double = self._plus - self._minus
        if self._instant_ns == 0:
            return net
        return sqrt(net) if net > 0 else -sqrt(-net)

    @cython.cfunc
    def _close(self, t_ns: cython.longlong) -> cython.void:
        """An instant that is over enters the windows, with the time of its begin."""
        sums: Sums
        x: cython.double
        if t_ns - self._begin_ns < self._instant_ns or (self._plus == 0 and self._minus == 0):
            return
        x = self._counted()
        for sums in self._sums:
            sums.row[0] = x if x > 0 else 0.0
            sums.row[1] = -x if x < 0 else 0.0
            sums.row[2] = self._plus
            sums.row[3] = self._minus
            sums.push(self._begin_ns)
        self._plus = self._minus = 0.0

    @cython.ccall
    def look(self, t_ns: cython.longlong) -> cython.double:
        """``largest`` as of now."""
        sums: Sums
        i: cython.Py_ssize_t
        net: cython.double
        x: cython.double
        share: cython.double
        now: cython.double
        rate: cython.double = 0.0
        self._close(t_ns)
        now = self._counted()
        self._nothing()
        for i in range(len(self._window_ns)):
            sums = self._sums[i]
            sums.evict(t_ns - self._window_ns[i])
            net = sums.sums[0] - sums.sums[1] + now
            if i == 0:
                rate = net
            if net == 0:
                continue
            x = net / self._root[i]
            share = sums.sums[2] - sums.sums[3] + self._plus - self._minus
            share /= sums.sums[2] + sums.sums[3] + self._plus + self._minus
            if fabs(x) > fabs(self.largest):
                self.largest = x
                self.share = share
            # Per length of the shortest window: the mean rate of this one is net over two to the power of i.
            if fabs(x) > fabs(self.present) and rate / net * (2 << i) >= 1.0:
                self.present = x
                self.present_share = share
        return self.largest

    @cython.ccall
    def clear(self) -> cython.void:
        """Everything is forgotten."""
        sums: Sums
        for sums in self._sums:
            sums.clear()
        self._begin_ns = 0
        self._plus = self._minus = 0.0
        self._nothing()


@cython.cclass
class TakerScales(Scales):
    """What takers press, at several scales: each counts the square root of its notional.

    That is how the price answers to one order. A single huge one is no crowd, and a crowd of small ones is seen beside
    it. Trades of one side within a millisecond of the first are one taker. Positive: buyers. Source: Bouchaud, Farmer &
    Lillo 2009 (concave impact).
    """

    def __init__(self, window_ms: int, count: int, instant_ms: int = 0) -> None:
        super().__init__(window_ms, count, instant_ms)
        self._side = 0
        self._first_ns = 0
        self._notional = 0.0

    @cython.ccall
    def take(self, notional: cython.double, sign: cython.int, t_ns: cython.longlong) -> cython.void:
        """One trade of a known side."""
        before: cython.double = self._notional
        if sign != self._side or t_ns - self._first_ns > TAKER_NS:
            self._side = sign
            self._first_ns = t_ns
            before = 0.0
        self._notional = before + notional
        self.push(sign * (sqrt(self._notional) - sqrt(before)), t_ns)


@cython.cclass
class Strides:
    """How far a level has come, at several scales: like ``Scales``, of a level and not of amounts.

    ``largest`` is the scaled change, ``change`` the change itself over that window. A window that is longer than the
    past has none.
    """

    def __init__(self, window_ms: int, count: int) -> None:
        self._past = [AsOf() for _ in range(count)]
        self._window_ns = array("q", [(window_ms << i) * NS_PER_MS for i in range(count)])
        self._root = array("d", [sqrt((window_ms << i) / 1_000) for i in range(count)])
        self._level = nan
        self.largest = 0.0
        self.change = 0.0

    @cython.ccall
    def push(self, level: cython.double, t_ns: cython.longlong) -> cython.void:
        """The level from now on."""
        past: AsOf
        if level == self._level:
            return
        self._level = level
        for past in self._past:
            past.push(t_ns, level)

    @cython.ccall
    def look(self, t_ns: cython.longlong) -> cython.double:
        """``largest`` as of now."""
        past: AsOf
        i: cython.Py_ssize_t
        change: cython.double
        x: cython.double
        self.largest = 0.0
        self.change = 0.0
        for i in range(len(self._window_ns)):
            past = self._past[i]
            change = self._level - past.at(t_ns - self._window_ns[i])
            x = change / self._root[i]
            if fabs(x) > fabs(self.largest):
                self.largest = x
                self.change = change
        return self.largest

    @cython.ccall
    def clear(self) -> cython.void:
        """Everything is forgotten."""
        past: AsOf
        for past in self._past:
            past.clear()
        self._level = nan
        self.largest = 0.0
        self.change = 0.0
