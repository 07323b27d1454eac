# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""How unusual a number is against its own past: an exponential mean, median and MAD, a rolling quantile.

The present value never enters its own yardstick. Feed samples of a grid, not every delta: a mean over deltas weighs
bursts.
"""

from __future__ import annotations

from array import array
from decimal import Decimal
from math import nan
from typing import Annotated, ClassVar

import cython
from cython.cimports.libc.math import floor, isfinite, pow, sqrt
from msgspec import Struct

if not cython.compiled:
    from imbalanced.metrics.metric import Metric
else:
    from cython.cimports.imbalanced.metrics.metric import Metric

from imbalanced.metrics.metric import NO_VALUE, NS_PER_MS, VALUE, Grid
from imbalanced.options import Millis, Positive, Range, Share

AtLeastOne = Annotated[int, Range(ge=1)]


class EwmaOptions(Struct, frozen=True, kw_only=True):
    """How fast the past is forgotten.

    ``half_life``: after this time a value weighs half (duration, default 1 m).
    ``min_count``: values that must have been seen before there is a score (count, default 100).
    ``clip``: scores are cut at plus and minus this (standard deviations, default 10).
    """

    half_life_ms: Millis = 60000
    min_count: AtLeastOne = 100
    clip: Positive = Decimal(10)


@cython.cclass
class EwmaZscore(Metric):
    """``(x - mu) / sqrt(var)``, standard deviations, clipped to +-``clip``; both are exponential and of before ``x``.

    Then ``a = 1 - 2 ** (-dt / half_life)``, ``d = x - mu``, ``var = (1 - a)(var + a d^2)``, ``mu += a d``. Positive:
    above its mean. No value: fewer than ``min_count`` values before, or no variance (all equal so far). A null value
    changes nothing. Live use: ``score`` (or ``scaled``, without centring) at any time, ``update`` on the sampling
    grid, ``clear`` at a cut; ``n`` and ``first_ns`` tell how warm it is. Attributes for live use: ``even`` gives the
    first value no more weight than the others (as defined it stands for all the past before it, half of the mean after
    a half-life); ``floor`` is the least standard deviation that counts. Input: values. Source: Finch 2009 (incremental
    weighted mean and variance).
    """

    Options: ClassVar[type[Struct]] = EwmaOptions
    inputs: ClassVar[str] = "value"

    def __init__(self, options: EwmaOptions, grid: Grid | None = None) -> None:
        super().__init__(1)
        self._half_life_ns = float(options.half_life_ms * NS_PER_MS)
        self._min_count = options.min_count
        self._clip = float(options.clip)
        self.even = False
        self.floor = 0.0
        self.clear()

    @cython.ccall
    def clear(self) -> cython.void:
        """Everything is forgotten."""
        self.n = 0
        self._weight = 0.0
        self.mean = 0.0
        self.variance = 0.0
        self.first_ns = 0
        self._last_ns = 0
        self._varied = False

    @cython.ccall
    def value(self, x: cython.double, t_ns: cython.longlong) -> cython.int:
        z: cython.double = self.score(x)
        self.update(x, t_ns)
        if z != z:
            return NO_VALUE
        self.out[0] = z
        return VALUE

    @cython.ccall
    def score(self, x: cython.double) -> cython.double:
        """The z of ``x`` against what is known so far; NaN where it has none."""
        return self._in_deviations(x - self.mean)

    @cython.ccall
    def scaled(self, x: cython.double) -> cython.double:
        """``x / sd``, clipped: for series whose lasting lean is the message. NaN where it has none."""
        return self._in_deviations(x)

    @cython.cfunc
    def _in_deviations(self, d: cython.double) -> cython.double:
        z: cython.double
        if self.n < self._min_count or not (self._varied or self.floor > 0) or not isfinite(d):
            return nan
        if self.floor > 0:
            z = d / max(sqrt(self.variance), self.floor)
        elif self.variance > 0:
            z = d / sqrt(self.variance)
        else:
            # There was variance, but so long ago in half-lives that a float cannot hold it: beyond every clip, or on
            # the mean.
            z = d * 1e308
        return max(-self._clip, min(self._clip, z))

    @cython.ccall
    def update(self, x: cython.double, t_ns: cython.longlong) -> cython.void:
        """``x`` enters the past; NaN changes nothing."""
        keep: cython.double
        d: cython.double
        if not isfinite(x):
            return
        if self.n == 0:
            self.mean = x
            self.first_ns = t_ns
        else:
            # 1 - a, not a: after a long silence a rounds to 1, and the variance would be exactly 0.
            t_ns = max(t_ns, self._last_ns)
            keep = pow(2.0, -cython.cast(cython.double, t_ns - self._last_ns) / self._half_life_ns)
            d = x - self.mean
            if self.even:
                keep = self._of_even_start(keep)
            if d != 0 and t_ns > self._last_ns:
                self._varied = True
                self.variance = keep * (self.variance + (1.0 - keep) * (d * d))
                self.mean += (1.0 - keep) * d
            else:
                self.variance *= keep
        self.n += 1
        self._last_ns = t_ns

    @cython.ccall
    def idle(self, t_ns: cython.longlong) -> cython.void:
        """Time passed of which nothing shall be known: the next value weighs what is since then, not since the last."""
        if self.n > 0:
            self._last_ns = max(self._last_ns, t_ns)

    @cython.cfunc
    def _of_even_start(self, keep: cython.double) -> cython.double:
        """What the past keeps beside this value, if weights are shares of the weight there has been, and not of all
        time.
        """
        if keep == 1.0:
            return keep
        if self._weight == 0:
            self._weight = 1.0 - keep  # the first value weighs as much as one of these
        self._weight = keep * self._weight + (1.0 - keep)
        return 1.0 - (1.0 - keep) / self._weight


@cython.cclass
class SortedRing:
    """The last ``size`` values, in order of time and sorted."""

    def __init__(self, size: int) -> None:
        self.n = 0
        self.sorted = array("d", bytes(8 * size))
        self._ring = array("d", bytes(8 * size))
        self._next = 0

    @cython.cfunc
    def place(self, x: cython.double) -> cython.Py_ssize_t:
        """How many values are below ``x``."""
        low: cython.Py_ssize_t = 0
        high: cython.Py_ssize_t = self.n
        mid: cython.Py_ssize_t
        while low < high:
            mid = (low + high) // 2
            if self.sorted[mid] < x:
                low = mid + 1
            else:
                high = mid
        return low

    @cython.cfunc
    def push(self, x: cython.double) -> cython.void:
        i: cython.Py_ssize_t
        at: cython.Py_ssize_t
        if self.n == len(self._ring):
            at = self.place(self._ring[self._next])
            self.n -= 1
            for i in range(at, self.n):
                self.sorted[i] = self.sorted[i + 1]
        at = self.place(x)
        for i in range(self.n, at, -1):
            self.sorted[i] = self.sorted[i - 1]
        self.sorted[at] = x
        self.n += 1
        self._ring[self._next] = x
        self._next += 1
        if self._next == len(self._ring):
            self._next = 0

    @cython.cfunc
    def median(self) -> cython.double:
        return (self.sorted[(self.n - 1) // 2] + self.sorted[self.n // 2]) / 2.0

    @cython.cfunc
    def deviation(self, median: cython.double) -> cython.double:
        """The median of ``|y - median|``: from the middle outwards the distances are two sorted lists, merged."""
        low: cython.Py_ssize_t = (self.n - 1) // 2
        high: cython.Py_ssize_t = low + 1
        left: cython.Py_ssize_t = self.n // 2 + 1
        here: cython.double = 0.0
        before: cython.double = 0.0
        while left > 0:
            left -= 1
            before = here
            if high >= self.n or (low >= 0 and median - self.sorted[low] <= self.sorted[high] - median):
                here = median - self.sorted[low]
                low -= 1
            else:
                here = self.sorted[high] - median
                high += 1
        return here if self.n % 2 == 1 else (before + here) / 2.0


class RobustOptions(Struct, frozen=True, kw_only=True):
    """Over how many values.

    ``window``: the last so many values (count, default 300).
    ``min_count``: values that must be there (count, default 30).
    """

    window: AtLeastOne = 300
    min_count: AtLeastOne = 30


@cython.cclass
class RobustZscore(Metric):
    """``0.674489750196082 (x - median) / MAD`` over the last ``window`` values before ``x``.

    ``MAD = median |y - median|``; the factor makes it standard deviations on normal data. Positive: above the median.
    No value: fewer than ``min_count`` values before, or the MAD is 0 (half of them are equal). A null value changes
    nothing. ``score`` and ``update`` are its two halves for live use. Input: values.
    """

    Options: ClassVar[type[Struct]] = RobustOptions
    inputs: ClassVar[str] = "value"

    def __init__(self, options: RobustOptions, grid: Grid | None = None) -> None:
        super().__init__(1)
        self._past = SortedRing(options.window)
        self._min_count = options.min_count

    @cython.ccall
    def value(self, x: cython.double, t_ns: cython.longlong) -> cython.int:
        z: cython.double = self.score(x)
        self.update(x)
        if z != z:
            return NO_VALUE
        self.out[0] = z
        return VALUE

    @cython.ccall
    def score(self, x: cython.double) -> cython.double:
        """The robust z of ``x`` against the past; NaN where it has none."""
        median: cython.double
        mad: cython.double
        z: cython.double
        if self._past.n < self._min_count or not isfinite(x):
            return nan
        median = self._past.median()
        mad = self._past.deviation(median)
        if mad <= 0:
            return nan
        z = 0.674489750196082 * (x - median) / mad
        return z if isfinite(z) else nan

    @cython.ccall
    def update(self, x: cython.double) -> cython.void:
        """``x`` enters the past; NaN changes nothing."""
        if isfinite(x):
            self._past.push(x)

    @cython.ccall
    def clear(self) -> cython.void:
        """Everything is forgotten."""
        self._past.n = 0
        self._past._next = 0


class QuantileOptions(Struct, frozen=True, kw_only=True):
    """Which quantile of what.

    ``q``: the share of values below (0 to 1, default 0.95).
    ``window``: the last so many values (count, default 1000).
    ``min_count``: values that must be there (count, default 100).
    """

    q: Share = Decimal("0.95")
    window: AtLeastOne = 1000
    min_count: AtLeastOne = 100


@cython.cclass
class RollingQuantile(Metric):
    """The ``q`` quantile of the last ``window`` values before this one, in their unit.

    Linear between the sorted values: ``pos = q (n - 1)``, ``i = floor(pos)``, ``y_i + (pos - i)(y_{i+1} - y_i)`` (type
    7). No value: fewer than ``min_count`` before. A null value changes nothing. Live use: ``threshold``, ``rank``
    (share of the past below ``x``, ties half) and ``update``. Input: values.
    """

    Options: ClassVar[type[Struct]] = QuantileOptions
    inputs: ClassVar[str] = "value"

    def __init__(self, options: QuantileOptions, grid: Grid | None = None) -> None:
        super().__init__(1)
        self._past = SortedRing(options.window)
        self._min_count = options.min_count
        self._q = float(options.q)

    @cython.ccall
    def value(self, x: cython.double, t_ns: cython.longlong) -> cython.int:
        if not isfinite(x):
            return NO_VALUE
        quantile: cython.double = self.threshold()
        self._past.push(x)
        if quantile != quantile:
            return NO_VALUE
        self.out[0] = quantile
        return VALUE

    @cython.ccall
    def threshold(self) -> cython.double:
        """The quantile of the past; NaN where it has none."""
        pos: cython.double
        below: cython.double
        i: cython.Py_ssize_t
        if self._past.n < self._min_count:
            return nan
        pos = self._q * (self._past.n - 1)
        i = cython.cast(cython.Py_ssize_t, floor(pos))
        below = self._past.sorted[i]
        if i + 1 >= self._past.n or pos == i:
            return below
        return below + (pos - i) * (self._past.sorted[i + 1] - below)

    @cython.ccall
    def rank(self, x: cython.double) -> cython.double:
        """The share of the past below ``x``, ties half; NaN where it has none."""
        below: cython.Py_ssize_t
        upto: cython.Py_ssize_t
        if self._past.n < self._min_count or not isfinite(x):
            return nan
        below = self._past.place(x)
        upto = below
        while upto < self._past.n and self._past.sorted[upto] == x:
            upto += 1
        return cython.cast(cython.double, below + upto) / 2.0 / self._past.n

    @cython.ccall
    def update(self, x: cython.double) -> cython.void:
        """``x`` enters the past; NaN changes nothing."""
        if isfinite(x):
            self._past.push(x)

    @cython.ccall
    def clear(self) -> cython.void:
        """Everything is forgotten."""
        self._past.n = 0
        self._past._next = 0
