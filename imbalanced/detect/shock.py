# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""A signal from the spread: when it breaks open and stays open."""

from __future__ import annotations

from array import array
from decimal import Decimal
from math import nan
from typing import Annotated, ClassVar

import cython
from cython.cimports.libc.math import fabs, log, sqrt
from msgspec import Struct

if not cython.compiled:
    from imbalanced.book import Book
    from imbalanced.detect.detector import Detector
    from imbalanced.metrics.metric import AsOf, Metric
    from imbalanced.metrics.statistics import EwmaZscore, RollingQuantile
    from imbalanced.metrics.windows import room
else:
    from cython.cimports.imbalanced.book import Book
    from cython.cimports.imbalanced.detect.detector import Detector
    from cython.cimports.imbalanced.metrics.metric import AsOf, Metric
    from cython.cimports.imbalanced.metrics.statistics import EwmaZscore, RollingQuantile
    from cython.cimports.imbalanced.metrics.windows import room

from imbalanced.detect.detector import DetectorOptions
from imbalanced.metrics import lifecycle, metric
from imbalanced.metrics.metric import NS_PER_MS, Grid
from imbalanced.metrics.statistics import EwmaOptions, QuantileOptions
from imbalanced.options import Doc, Millis, Millis0, NonNegative, Positive

# As C integers: a Python global costs a lookup and a conversion at every answer.
NO_VALUE = cython.declare(cython.int, metric.NO_VALUE)
VALUE = cython.declare(cython.int, metric.VALUE)
OPENED = cython.declare(cython.int, lifecycle.OPENED)
S = cython.declare(cython.longlong, 1_000_000_000)


class SpreadShockOptions(DetectorOptions, frozen=True, kw_only=True):
    """Makers step back before moves: a warning and context, graded on the absolute return."""

    on: Annotated[Positive, Doc("open at a score of at least this")] = Decimal(4)
    off: Annotated[NonNegative, Doc("close below this")] = Decimal("1.5")
    min_duration_ms: Millis0 = 100
    max_age_ms: Millis = 10_000
    horizon_ms: Millis = 5_000
    times_usual: NonNegative = Decimal(3)
    stand_ms: Annotated[Millis0, Doc("a spread is as wide as it was all the time for so long")] = 1_000
    change_ms: Annotated[Millis, Doc("over which the spread's change is taken")] = 1_000
    disproportionate: Annotated[bool, Doc("a spread out of proportion to calm prices opens too")] = True
    medians: Annotated[Positive, Doc("of the last ten minutes: so many of them are out of proportion")] = Decimal(3)
    calm_z: Annotated[NonNegative, Doc("prices are calm below this z-score of realised volatility")] = Decimal(2)
    least_medians: Annotated[NonNegative, Doc("the least deviation of the change, in medians of the spread")] = Decimal(
        "0.3"
    )


@cython.cclass
class Least:
    """The least of a value that holds until the next, over the last ``window_ns`` (or since the first one).

    Only what may still become the least is kept: each entry is larger than the one before it, and its time is that
    from which on nothing was less.
    """

    _window_ns: cython.longlong
    _t: cython.longlong[::1]
    _x: cython.double[::1]
    _head: cython.Py_ssize_t
    _count: cython.Py_ssize_t

    def __init__(self, window_ns: int) -> None:
        self._window_ns = window_ns
        self._t = array("q", bytes(8 * 64))
        self._x = array("d", bytes(8 * 64))
        self.clear()

    @cython.ccall
    def clear(self) -> cython.void:
        """Everything is forgotten."""
        self._head = 0
        self._count = 0

    @cython.cfunc
    def _fit(self) -> cython.void:
        """To the front of arrays that have room."""
        i: cython.Py_ssize_t
        n: cython.Py_ssize_t = room(self._count, len(self._t))
        t: cython.longlong[::1] = array("q", bytes(8 * n))
        x: cython.double[::1] = array("d", bytes(8 * n))
        for i in range(self._count):
            t[i] = self._t[self._head + i]
            x[i] = self._x[self._head + i]
        self._t = t
        self._x = x
        self._head = 0

    @cython.ccall
    def push(self, x: cython.double, t_ns: cython.longlong) -> cython.double:
        """The value is ``x`` from now on; the least until now, ``x`` included."""
        since: cython.longlong = t_ns
        last: cython.Py_ssize_t = self._head + self._count - 1
        while last >= self._head and self._x[last] >= x:
            since = self._t[last]
            last -= 1
        self._count = last + 1 - self._head
        if last + 1 == len(self._t):
            self._fit()
        last = self._head + self._count
        self._t[last] = since
        self._x[last] = x
        self._count += 1
        return self.at(t_ns)

    @cython.ccall
    def at(self, t_ns: cython.longlong) -> cython.double:
        """The least until now; times never decrease. NaN where there is nothing."""
        while self._count > 1 and self._t[self._head + 1] <= t_ns - self._window_ns:
            self._head += 1
            self._count -= 1
        return self._x[self._head] if self._count > 0 else nan


@cython.cclass
class Stands(Metric):
    """``{spread, change}``: the spread that stands, in basis points, and its change in basis points per second.

    What stands is the least spread of the last ``stand``: one that is refilled at once was never there. The change
    is that of ``spread_roc``, of what stands. No value: the book is not live or crossed.
    """

    inputs: ClassVar[str] = "book clock"
    outputs: ClassVar[tuple[str, ...]] = ("spread", "change")
    shape: ClassVar[str] = "dict"
    _least: Least
    _past: AsOf
    _horizon_ns: cython.longlong
    _per_s: cython.double

    def __init__(self, options: SpreadShockOptions) -> None:
        super().__init__(2)
        self._least = Least(options.stand_ms * NS_PER_MS)
        self._past = AsOf()
        self._horizon_ns = options.change_ms * NS_PER_MS
        self._per_s = options.change_ms / 1000.0

    @cython.ccall
    def book_replaced(self, book: Book, t_ns: cython.longlong) -> cython.int:
        self.book_invalid(t_ns)
        return self.book_changed(book, t_ns)

    @cython.ccall
    def book_changed(self, book: Book, t_ns: cython.longlong) -> cython.int:
        bid: cython.double
        ask: cython.double
        if not book.ok():
            return NO_VALUE
        bid = book.bids.key[book.bids.n - 1]
        ask = -book.asks.key[book.asks.n - 1]
        self.out[0] = self._least.push((ask - bid) / (ask + bid) * 2e4, t_ns)
        self._past.push(t_ns, self.out[0])
        return self._compare(t_ns)

    @cython.ccall
    def clock(self, book: Book, t_ns: cython.longlong) -> cython.int:
        if not book.ok():
            return NO_VALUE
        self.out[0] = self._least.at(t_ns)
        return self._compare(t_ns)

    @cython.cfunc
    def _compare(self, t_ns: cython.longlong) -> cython.int:
        self.out[1] = (self.out[0] - self._past.at(t_ns - self._horizon_ns)) / self._per_s
        return VALUE

    @cython.ccall
    def book_invalid(self, t_ns: cython.longlong) -> cython.int:
        self._least.clear()
        self._past.clear()
        return NO_VALUE


@cython.cclass
class Calm(Metric):
    """``{spread, median, volatility_z}``: the spread in basis points, its median, and how unusual price moves are.

    Sampled once a second, medians over ten minutes. Realised volatility is the root of the mean squared return of a
    second over a minute, its z-score that of an exponential past with half-life ten minutes. While the spread is out of
    proportion the mid is no price, and its moves are not counted.
    """

    inputs: ClassVar[str] = "book"
    outputs: ClassVar[tuple[str, ...]] = ("spread", "median", "volatility_z")
    shape: ClassVar[str] = "dict"
    _medians: cython.double
    _spreads: RollingQuantile
    _usual: EwmaZscore
    _squares: cython.double[::1]
    _seen: cython.Py_ssize_t
    _sum: cython.double
    _mid: cython.double
    _held: cython.double
    _next_ns: cython.longlong

    def __init__(self, options: SpreadShockOptions) -> None:
        super().__init__(3)
        self._medians = float(options.medians)
        self._spreads = RollingQuantile(QuantileOptions(q=Decimal("0.5"), window=600, min_count=30))
        self._usual = EwmaZscore(EwmaOptions(half_life_ms=600_000, min_count=60))
        self._usual.even = True
        # Where no price ever moved, none is unusual until one does.
        self._usual.floor = 1e-12
        self._squares = array("d", bytes(8 * 60))
        self._forget()

    @cython.cfunc
    def _forget(self) -> cython.void:
        self._spreads.clear()
        self._usual.clear()
        self._seen = 0
        self._mid = nan
        self._held = nan
        self._next_ns = 0

    @cython.cfunc
    def _sample(self, mid: cython.double, t_ns: cython.longlong) -> cython.void:
        """The state that held until now is that of the second."""
        step: cython.double
        total: cython.double = 0.0
        i: cython.Py_ssize_t
        self._next_ns = (t_ns // S + 1) * S
        self._spreads.update(self._held)
        self.out[1] = self._spreads.threshold()
        if self.out[1] == self.out[1] and self._held >= self._medians * self.out[1]:
            self._mid = nan
            return
        if self._mid == self._mid:
            step = log(mid / self._mid)
            self._squares[self._seen % 60] = step * step
            self._seen += 1
            for i in range(min(self._seen, 60)):
                total += self._squares[i]
            total = sqrt(total / min(self._seen, 60))
            self.out[2] = self._usual.score(total)
            if self._seen >= 60:
                self._usual.update(total, t_ns)
        self._mid = mid

    @cython.ccall
    def book_replaced(self, book: Book, t_ns: cython.longlong) -> cython.int:
        self._forget()
        self.out[1] = nan
        self.out[2] = nan
        return self.book_changed(book, t_ns)

    @cython.ccall
    def book_changed(self, book: Book, t_ns: cython.longlong) -> cython.int:
        bid: cython.double
        ask: cython.double
        if not book.ok():
            return NO_VALUE
        bid = book.bids.key[book.bids.n - 1]
        ask = -book.asks.key[book.asks.n - 1]
        if t_ns >= self._next_ns:
            self._sample((bid + ask) / 2.0, t_ns)
        self._held = (ask - bid) / (ask + bid) * 2e4
        self.out[0] = self._held
        return VALUE

    @cython.ccall
    def book_invalid(self, t_ns: cython.longlong) -> cython.int:
        return NO_VALUE


@cython.cclass
class SpreadShock(Detector):
    """The z-score of the rate of change of the spread that stands, by its size; no side.

    What stands is the least spread of the last ``stand``: makers who are back at once have only moved their quotes.
    With ``disproportionate`` a spread of at least ``medians`` times its own median while prices are calm scores ``on``
    times that excess, so that a shock lasts as long as the spread is wide. A change is never unusual that is small
    against the median itself (``least_medians``): a spread that is always one tick would make every second tick a
    shock. It opens only at ``times_usual`` times the usual peak of the spread that stands, so where makers usually take
    seconds to return it must be so much wider. No value: the book is not live, crossed or younger than ``change``,
    and before the standardiser is warm. Source: practitioners' measure.
    """

    Options: ClassVar[type[Struct]] = SpreadShockOptions
    sided: ClassVar[bool] = False
    _stands: Metric
    _calm: Metric
    _disproportionate: cython.bint
    _medians: cython.double
    _calm_z: cython.double
    _floor: cython.double

    def __init__(self, kind: str, name: str, options: SpreadShockOptions, grid: Grid) -> None:
        self._stands = Stands(options)
        self._calm = Calm(options)
        self._disproportionate = options.disproportionate
        self._medians = float(options.medians)
        self._calm_z = float(options.calm_z)
        self._floor = float(options.least_medians) / (options.change_ms / 1000.0)
        super().__init__(kind, name, options, [self._stands, self._calm], True)

    @cython.ccall
    def read(self) -> cython.double:
        if self._calm.answered == VALUE and self._calm.out[1] > 0:
            self.standardiser.least(self._floor * self._calm.out[1])
        return self._stands.out[1] if self._stands.answered == VALUE else nan

    @cython.ccall
    def magnitude(self) -> cython.double:
        return self._stands.out[0] if self._stands.answered == VALUE else nan

    @cython.cfunc
    def _excess(self) -> cython.double:
        """What stands over so many medians, while prices are calm; 0 where that is not known."""
        calm: Metric = self._calm
        if calm.answered != VALUE or not calm.out[1] > 0 or not calm.out[2] < self._calm_z:
            return 0.0
        return self._stands.out[0] / (self._medians * calm.out[1])

    @cython.ccall
    def shape(self, score: cython.double) -> cython.double:
        excess: cython.double
        if not self._disproportionate:
            return fabs(score)
        excess = self._excess()
        if score != score:
            return excess * self.lifecycle.on if excess >= 1.0 else nan
        score = fabs(score)
        # Below the proportion only as far as it keeps a shock alive.
        if excess >= 1.0 or self.lifecycle.state == OPENED:
            return max(score, excess * self.lifecycle.on)
        return score

    def evidence(self) -> dict[str, float | None]:
        known = self._calm.answered == VALUE
        spread, median, volatility = (self._calm.out[i] if known else nan for i in range(3))
        return {
            "spread_roc": self.raw,
            "spread_bps": spread,
            "stands_bps": self._stands.out[0] if self._stands.answered == VALUE else nan,
            "median_bps": median,
            "usual_peak_bps": self.usual.peak,
            "volatility_z": volatility,
        }
