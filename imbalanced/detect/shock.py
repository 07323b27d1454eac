# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""A signal from the spread: when it breaks open."""

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
    from imbalanced.metrics.metric import Metric
    from imbalanced.metrics.statistics import EwmaZscore, RollingQuantile
else:
    from cython.cimports.imbalanced.book import Book
    from cython.cimports.imbalanced.detect.detector import Detector
    from cython.cimports.imbalanced.metrics.metric import Metric
    from cython.cimports.imbalanced.metrics.statistics import EwmaZscore, RollingQuantile

from imbalanced.detect.detector import DetectorOptions
from imbalanced.metrics import lifecycle, metric
from imbalanced.metrics.metric import Grid, shared
from imbalanced.metrics.statistics import EwmaOptions, QuantileOptions
from imbalanced.metrics.touch import SpreadRoc, SpreadRocOptions
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
    min_duration_ms: Millis0 = 500
    max_age_ms: Millis = 10_000
    horizon_ms: Millis = 5_000
    change_ms: Annotated[Millis, Doc("over which the spread's change is taken")] = 1_000
    disproportionate: Annotated[bool, Doc("a spread out of proportion to calm prices opens too")] = True
    medians: Annotated[Positive, Doc("of the last ten minutes: so many of them are out of proportion")] = Decimal(3)
    calm_z: Annotated[NonNegative, Doc("prices are calm below this z-score of realised volatility")] = Decimal(2)
    least_medians: Annotated[NonNegative, Doc("the least deviation of the change, in medians of the spread")] = Decimal(
        "0.3"
    )


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
    """The z-score of the rate of change of the spread, by its size; no side.

    With ``disproportionate`` a spread of at least ``medians`` times its own median while prices are calm scores ``on``
    times that excess, so that a shock lasts as long as the spread is wide. A change is never unusual that is small
    against the median itself (``least_medians``): a spread that is always one tick would make every second tick a
    shock. No value: as ``spread_roc``, and before the standardiser is warm. Source: practitioners' measure.
    """

    Options: ClassVar[type[Struct]] = SpreadShockOptions
    sided: ClassVar[bool] = False
    _change: Metric
    _calm: Metric
    _disproportionate: cython.bint
    _medians: cython.double
    _calm_z: cython.double
    _floor: cython.double

    def __init__(self, kind: str, name: str, options: SpreadShockOptions, grid: Grid) -> None:
        self._change = shared(SpreadRoc, SpreadRocOptions(horizon_ms=options.change_ms), grid=grid)
        self._calm = Calm(options)
        self._disproportionate = options.disproportionate
        self._medians = float(options.medians)
        self._calm_z = float(options.calm_z)
        self._floor = float(options.least_medians) / (options.change_ms / 1000.0)
        super().__init__(kind, name, options, [self._change, self._calm], True)

    @cython.ccall
    def read(self) -> cython.double:
        if self._calm.answered == VALUE and self._calm.out[1] > 0:
            self.standardiser.least(self._floor * self._calm.out[1])
        if self._change.answered != VALUE:
            return nan
        return self._change.out[0]

    @cython.cfunc
    def _excess(self) -> cython.double:
        """The spread over so many medians, while prices are calm; 0 where that is not known."""
        calm: Metric = self._calm
        if calm.answered != VALUE or not calm.out[1] > 0 or not calm.out[2] < self._calm_z:
            return 0.0
        return calm.out[0] / (self._medians * calm.out[1])

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
        return {"spread_roc": self.raw, "spread_bps": spread, "median_bps": median, "volatility_z": volatility}
