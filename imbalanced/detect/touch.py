# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Signals from the touch: where its queues lean, and when its spread breaks open."""

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
    from imbalanced.detect.past import Mean, TickSize
    from imbalanced.metrics.metric import Metric
    from imbalanced.metrics.statistics import EwmaZscore, RollingQuantile
else:
    from cython.cimports.imbalanced.book import Book
    from cython.cimports.imbalanced.detect.detector import Detector
    from cython.cimports.imbalanced.detect.past import Mean, TickSize
    from cython.cimports.imbalanced.metrics.metric import Metric
    from cython.cimports.imbalanced.metrics.statistics import EwmaZscore, RollingQuantile

from imbalanced.detect.detector import DetectorOptions
from imbalanced.detect.standardiser import Standardise
from imbalanced.metrics import lifecycle, metric
from imbalanced.metrics.depth import WeightedImbalance, WeightedImbalanceOptions
from imbalanced.metrics.metric import NS_PER_MS, Grid, shared
from imbalanced.metrics.statistics import EwmaOptions, QuantileOptions
from imbalanced.metrics.touch import SpreadRoc, SpreadRocOptions
from imbalanced.options import Doc, Millis, Millis0, NonNegative, Positive, Share

# As C integers: a Python global costs a lookup and a conversion at every answer.
NO_VALUE = cython.declare(cython.int, metric.NO_VALUE)
VALUE = cython.declare(cython.int, metric.VALUE)
OPENED = cython.declare(cython.int, lifecycle.OPENED)
S = cython.declare(cython.longlong, 1_000_000_000)
MINUTES_10 = cython.declare(cython.Py_ssize_t, 600)
KNOWN_AFTER = cython.declare(cython.Py_ssize_t, 60)


class MicrostructureImbalanceOptions(DetectorOptions, frozen=True, kw_only=True):
    """Bounded; strong where the spread is one tick most of the time (Gould & Bonart 2016). A ratio of two queues is
    near 1 whenever the short one is about to be used up, which is at every change of the price, and a long queue alone
    is what any price of old has: both together must be unusual, and outlive such a change by far.
    """

    on: Annotated[Positive, Doc("open at a score of at least this")] = Decimal("0.7")
    off: Annotated[NonNegative, Doc("close below this")] = Decimal("0.4")
    min_duration_ms: Millis0 = 2_000
    cooldown_ms: Millis0 = 2_000
    max_age_ms: Millis = 10_000
    update_step: NonNegative = Decimal("0.1")
    times_usual: NonNegative = Decimal("2.5")
    smooth_ms: Annotated[Millis, Doc("over which the queue's lean is averaged by time")] = 300
    tight_ticks: Annotated[Positive, Doc("a spread of at most this is tight")] = Decimal("1.5")
    tight_share: Annotated[Share, Doc("of the last ten minutes: from here on the queue is trusted")] = Decimal("0.8")
    half_life_bps: Annotated[Positive, Doc("elsewhere: with so much more distance a weight halves")] = Decimal(5)
    standardise: Standardise = Standardise(by="none")


@cython.cclass
class Lean(Metric):
    """``{queue, lean, surplus}``: queue imbalance now, and what is trusted here: the queue where the spread is tight
    most of the time, else the imbalance weighted by distance. ``lean`` has no value until a minute of spreads was seen.
    ``surplus`` is the size of the best bid less that of the best ask, times ``|ln(bid / ask)|``.
    """

    inputs: ClassVar[str] = "book"
    outputs: ClassVar[tuple[str, ...]] = ("queue", "lean", "surplus")
    shape: ClassVar[str] = "dict"
    trusted: cython.bint
    _deep: Metric
    _tick: TickSize
    _tight: cython.double
    _share: cython.double
    _past: cython.longlong[::1]
    _seen: cython.Py_ssize_t
    _at: cython.Py_ssize_t
    _sum: cython.Py_ssize_t
    _next_ns: cython.longlong

    def __init__(self, options: MicrostructureImbalanceOptions, grid: Grid) -> None:
        super().__init__(3)
        weights = WeightedImbalanceOptions(weight="exp_bps", half_life_bps=options.half_life_bps)
        self._deep = WeightedImbalance(weights, grid)
        self._tick = TickSize(grid)
        self._tight = float(options.tight_ticks)
        self._share = float(options.tight_share)
        self._past = array("q", bytes(8 * 600))
        self._forget()

    @cython.cfunc
    def _forget(self) -> cython.void:
        self.trusted = False
        self._seen = 0
        self._at = 0
        self._sum = 0
        self._next_ns = 0

    @cython.cfunc
    def _sample(self, book: Book, t_ns: cython.longlong) -> cython.void:
        """Once a second: whether the spread is tight. A silence is one sample."""
        spread: cython.double = -(book.bids.key[book.bids.n - 1] + book.asks.key[book.asks.n - 1])
        self._next_ns = (t_ns // S + 1) * S
        if self._seen == MINUTES_10:
            self._sum -= self._past[self._at]
        else:
            self._seen += 1
        self._past[self._at] = 1 if spread <= self._tight * self._tick.px else 0
        self._sum += self._past[self._at]
        self._at = (self._at + 1) % MINUTES_10
        # A little below the share it stays what it is, or the score would jump to and fro.
        self.trusted = self._sum >= (self._share - 0.05 if self.trusted else self._share) * self._seen

    @cython.ccall
    def book_replaced(self, book: Book, t_ns: cython.longlong) -> cython.int:
        self._forget()
        self._tick.book_replaced(book, t_ns)
        return self._lean(book, t_ns)

    @cython.ccall
    def book_changed(self, book: Book, t_ns: cython.longlong) -> cython.int:
        self._tick.book_changed(book, t_ns)
        return self._lean(book, t_ns)

    @cython.ccall
    def book_invalid(self, t_ns: cython.longlong) -> cython.int:
        return NO_VALUE

    @cython.cfunc
    def _lean(self, book: Book, t_ns: cython.longlong) -> cython.int:
        bid: cython.double
        ask: cython.double
        if not book.ok():
            return NO_VALUE
        if t_ns >= self._next_ns:
            self._sample(book, t_ns)
        bid = book.bids.size[book.bids.n - 1]
        ask = book.asks.size[book.asks.n - 1]
        self.out[0] = (bid - ask) / (bid + ask)
        self.out[2] = (bid - ask) * fabs(log(bid / ask))
        if self._seen < KNOWN_AFTER:
            self.out[1] = nan
        elif self.trusted:
            self.out[1] = self.out[0]
        else:
            self._deep.book_changed(book, t_ns)
            self.out[1] = self._deep.out[0]
        return VALUE


@cython.cclass
class MicrostructureImbalance(Detector):
    """The mean of what the queues lean to, averaged over the last moments, and the tilt of the micro-price now.

    Both in [-1, 1]. The lean is ``queue_imbalance`` where the spread is at most ``tight_ticks`` in ``tight_share`` of
    the last ten minutes (sampled once a second), elsewhere ``weighted_imbalance`` by distance, because a small-tick
    queue is tiny and flickers. The tilt is ``(weighted_mid - mid) / (half spread)``. The usual peak is that of the size
    by which one best queue exceeds the other, times the logarithm of their ratio, averaged likewise; before it is known
    (a minute more) nothing opens. Positive: bids are heavier. No value: the book is not live, crossed or one-sided, or
    the first minute of a book. Source: Gould & Bonart 2016; Lipton, Pesavento & Sotiropoulos 2013.
    """

    Options: ClassVar[type[Struct]] = MicrostructureImbalanceOptions
    bounded: ClassVar[bool] = True
    _touch: Lean
    _mean: Mean
    _surplus: Mean
    _exceeds: cython.double

    def __init__(self, kind: str, name: str, options: MicrostructureImbalanceOptions, grid: Grid) -> None:
        self._touch = Lean(options, grid)
        self._mean = Mean(options.smooth_ms * NS_PER_MS)
        self._surplus = Mean(options.smooth_ms * NS_PER_MS)
        self._exceeds = nan
        super().__init__(kind, name, options, [self._touch], True)

    @cython.ccall
    def cut(self) -> cython.void:
        Detector.cut(self)
        self._mean.clear()
        self._surplus.clear()
        self._exceeds = nan

    @cython.ccall
    def read(self) -> cython.double:
        if self._touch.answered != VALUE or self._touch.out[1] != self._touch.out[1]:
            self._mean.clear()
            self._surplus.clear()
            self._exceeds = nan
            return nan
        self._exceeds = self._surplus.push(self._touch.out[2], self.now_ns)
        return (self._mean.push(self._touch.out[1], self.now_ns) + self._touch.out[0]) / 2.0

    @cython.ccall
    def magnitude(self) -> cython.double:
        return self._exceeds

    @cython.ccall
    def shape(self, score: cython.double) -> cython.double:
        most: cython.double = 0.99 * self.lifecycle.on
        if self.lifecycle.state == OPENED or not (self.usual.times > 0 and self.usual.peak != self.usual.peak):
            return score
        return max(-most, min(most, score))

    def evidence(self) -> dict[str, float | None]:
        known = self._touch.answered == VALUE
        return {
            "queue_imbalance": self._touch.out[0] if known else None,
            "lean": self._touch.out[1] if known else None,
            "tight": 1.0 if self._touch.trusted else 0.0,
            "surplus": self._exceeds,
        }


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
