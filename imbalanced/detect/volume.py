# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Signals from volume: much of it at one price, and one-sided on its own clock."""

from __future__ import annotations

from decimal import Decimal
from math import nan
from typing import Annotated, ClassVar

import cython
from cython.cimports.libc.math import fabs
from msgspec import Struct

if not cython.compiled:
    from imbalanced.book import Book
    from imbalanced.detect.detector import Detector, held_until_known
    from imbalanced.detect.past import Past, TickSize
    from imbalanced.metrics.metric import Metric
    from imbalanced.metrics.statistics import RollingQuantile
else:
    from cython.cimports.imbalanced.book import Book
    from cython.cimports.imbalanced.detect.detector import Detector, held_until_known
    from cython.cimports.imbalanced.detect.past import Past, TickSize
    from cython.cimports.imbalanced.metrics.metric import Metric
    from cython.cimports.imbalanced.metrics.statistics import RollingQuantile

from imbalanced.detect.detector import DetectorOptions
from imbalanced.detect.standardiser import Standardise
from imbalanced.detect.takers import Burst, Samples
from imbalanced.metrics import lifecycle, metric
from imbalanced.metrics.metric import NS_PER_MS, Grid, shared
from imbalanced.metrics.statistics import QuantileOptions
from imbalanced.metrics.volume import VolumeSpike, VolumeSpikeOptions, Vpin, VpinOptions
from imbalanced.options import Count, Doc, Millis, Millis0, NonNegative, Positive, Share

# As C integers: a Python global costs a lookup and a conversion at every answer.
NOT_INPUT = cython.declare(cython.int, metric.NOT_INPUT)
NO_VALUE = cython.declare(cython.int, metric.NO_VALUE)
VALUE = cython.declare(cython.int, metric.VALUE)
OPENED = cython.declare(cython.int, lifecycle.OPENED)
# Half of what a burst took.
AT_ONE_PRICE = cython.declare(cython.double, 0.5)


class VolumeSpikeSignalOptions(DetectorOptions, frozen=True, kw_only=True):
    """One event at a price; the thresholds are quantiles of the scores of late. A score is that of a minute and comes
    back with every trade at its price, so a quantile of it is passed in runs, many times an hour on any market: what
    must be unusual as well is what takers do within seconds.
    """

    on: Annotated[Share, Doc("open at this quantile of the scores of the past")] = Decimal("0.95")
    off: Annotated[Share, Doc("strength counts from this quantile on")] = Decimal("0.9")
    min_duration_ms: Millis0 = 0
    cooldown_ms: Millis0 = 10_000
    horizon_ms: Millis = 5_000
    update_step: NonNegative = Decimal(1)
    times_usual: NonNegative = Decimal("4.5")
    burst_ms: Annotated[Millis, Doc("over which the net size of takers, without the largest, must be unusual")] = 3_000
    bucket: Annotated[Positive | None, Doc("width of a price bucket; none: from the range of prices")] = None
    window_ms: Annotated[Millis, Doc("over which volume is summed")] = 60_000
    min_buckets: Annotated[Count, Doc("other buckets that must have volume")] = 5
    min_imbalance: Annotated[Share, Doc("share of one-sidedness at this price")] = Decimal("0.4")
    least: Annotated[NonNegative, Doc("times the usual volume of a bucket, at least")] = Decimal(3)
    past: Annotated[Samples, Doc("scores that are remembered")] = 2_000
    min_count: Annotated[Samples, Doc("scores before there is a threshold")] = 200
    standardise: Standardise = Standardise(by="none")


@cython.cclass
class VolumeSpikeSignal(Detector):
    """Volume at this price bucket over that of the others, signed by its takers, beyond its own quantiles.

    ``sgn(delta_ratio) * score`` of ``volume_spike`` where the bucket is one-sided enough, from the ``on`` quantile of
    past scores on, and never below ``least``. Buckets are a fraction of the range that prices had within a window, in
    whole ticks, so that there are enough of them in a calm market too; they are chosen anew when there are no longer.
    The usual peak is that of the net size of takers within ``burst`` without the largest of them, for one print is no
    crowd, and scores during more than that enter no quantile. Where the price stays put, so that other prices are too
    few or too far gone to be compared with, the score is that size over its usual peak, if half of it is at this price.
    Positive: bought by takers. No value: too few buckets or scores, or nothing beyond the threshold. Source:
    practitioners' measure.
    """

    Options: ClassVar[type[Struct]] = VolumeSpikeSignalOptions
    inputs: ClassVar[str] = "trade"
    family: ClassVar[str] = "flow"
    _volume: SpikeByRange
    _takers: Metric
    _above: RollingQuantile
    _below: RollingQuantile
    _share: cython.double
    _floor: cython.double
    _usual_volume: Past

    def __init__(self, kind: str, name: str, options: VolumeSpikeSignalOptions, grid: Grid) -> None:
        self._volume = SpikeByRange(options, grid)
        self._takers = shared(Burst, options.burst_ms, grid=grid)
        least = min(options.min_count, options.past)
        self._above = RollingQuantile(QuantileOptions(q=options.on, window=options.past, min_count=least))
        self._below = RollingQuantile(QuantileOptions(q=options.off, window=options.past, min_count=least))
        self._share = float(options.min_imbalance)
        self._floor = float(options.least)
        self._usual_volume = Past("0.5", 600, 1, 1_000)
        super().__init__(kind, name, options, [self._volume, self._takers], False)
        self.instant = True

    @cython.ccall
    def magnitude(self) -> cython.double:
        return self._takers.out[2]

    @cython.ccall
    def read(self) -> cython.double:
        score: cython.double
        delta: cython.double
        on: cython.double
        self._usual_volume.observe(self._takers.out[1], self.now_ns)
        if self._volume.answered != VALUE:
            return self._in_time()
        score = self._volume.out[0]
        delta = self._volume.out[1]
        on = max(self._above.threshold(), self._floor)
        if self.lifecycle.state != OPENED and on == on:
            self.lifecycle.on = on
            self.lifecycle.off = min(on, self._below.threshold())
        if not self.usual.times > 0 or not self.usual.beyond(self.magnitude()):
            # An event is no past to measure the next one against.
            self._above.update(score)
            self._below.update(score)
        if fabs(delta) < self._share or not score >= on or not self._is_taken(delta):
            return self._in_time()
        return score if delta > 0 else -score

    @cython.cfunc
    def _is_taken(self, side: cython.double) -> cython.bint:
        """The crowd is of this side, and took more than both sides usually do: a market that is even is soon uneven."""
        crowd: cython.double = self._takers.out[2]
        if not self.usual.times > 0:
            return True
        return crowd * side > 0 and not fabs(crowd) < self._usual_volume.threshold()

    @cython.cfunc
    def _in_time(self) -> cython.double:
        """Where other prices say nothing, as the price stays put: the crowd of the burst over its usual peak."""
        score: cython.double = self._takers.out[2] / self.usual.peak if self.usual.peak > 0 else nan
        least: cython.double = max(self._floor, self.usual.times)
        if not fabs(self._takers.out[0]) > self._share * self._takers.out[1] or not fabs(score) >= least:
            return nan
        # At this price, or it is no level that is spiked.
        if self._takers.out[3] < AT_ONE_PRICE or not self._is_taken(score):
            return nan
        if self.lifecycle.state != OPENED:
            self.lifecycle.on = least
            self.lifecycle.off = least
        return score

    def evidence(self) -> dict[str, float | None]:
        return {
            "score": self._volume.out[0],
            "delta_ratio": self._volume.out[1],
            "net_size": self._takers.out[0],
            "crowd": self._takers.out[2],
            "share_here": self._takers.out[3],
        }


@cython.cclass
class SpikeByRange(Metric):
    """``volume_spike`` with buckets that fit the range of prices: twice as many as are needed, in whole ticks."""

    inputs: ClassVar[str] = "book trade"
    outputs: ClassVar[tuple[str, ...]] = ("score", "delta_ratio")
    shape: ClassVar[str] = "dict"
    _options: VolumeSpikeSignalOptions
    _grid: Grid
    _tick: TickSize
    _spike: Metric | None
    _fixed: cython.bint
    _since_ns: cython.longlong
    _window_ns: cython.longlong
    _low: cython.longlong
    _high: cython.longlong
    _trades: cython.longlong

    def __init__(self, options: VolumeSpikeSignalOptions, grid: Grid) -> None:
        super().__init__(2)
        self._options = options
        self._grid = grid
        self._tick = TickSize(grid)
        self._fixed = options.bucket is not None
        self._window_ns = options.window_ms * NS_PER_MS
        self._spike = self._made(options.bucket) if options.bucket is not None else None
        self._look_again(0)

    def _made(self, bucket: Decimal) -> Metric:
        options = self._options
        wanted = VolumeSpikeOptions(bucket=bucket, window_ms=options.window_ms, min_buckets=options.min_buckets)
        return VolumeSpike(wanted, self._grid)

    @cython.cfunc
    def _look_again(self, t_ns: cython.longlong) -> cython.void:
        self._since_ns = t_ns
        self._trades = 0
        self._low = 0
        self._high = 0

    def _choose(self) -> None:
        """Buckets of the range that prices had; None before there is a range."""
        ticks = (self._high - self._low) // (self._tick.px * 2 * (self._options.min_buckets + 1))
        bucket = Decimal(max(ticks, 1) * self._tick.px).scaleb(-self._grid.price_scale)
        self._spike = self._made(bucket)

    @cython.ccall
    def book_replaced(self, book: Book, t_ns: cython.longlong) -> cython.int:
        self._tick.book_replaced(book, t_ns)
        return NOT_INPUT

    @cython.ccall
    def book_changed(self, book: Book, t_ns: cython.longlong) -> cython.int:
        self._tick.book_changed(book, t_ns)
        return NOT_INPUT

    @cython.ccall
    def trade(self, px: cython.longlong, size: cython.double, sign: cython.int, t_ns: cython.longlong) -> cython.int:
        answered: cython.int = NO_VALUE
        if self._spike is not None:
            answered = self._spike.trade(px, size, sign, t_ns)
            self.out[0] = self._spike.out[0]
            self.out[1] = self._spike.out[1]
        if self._fixed or sign == 0:
            return answered
        if answered == VALUE:
            self._trades = 0
            return answered
        if self._trades == 0:
            self._look_again(t_ns)
            self._low = px
            self._high = px
        self._trades += 1
        self._low = min(self._low, px)
        self._high = max(self._high, px)
        # A window without an answer: the buckets do not fit, or there are none yet.
        if t_ns - self._since_ns >= self._window_ns and self._trades >= 100 and self._tick.px > 0:
            self._choose()
            self._trades = 0
        return answered


class FlowToxicityOptions(DetectorOptions, frozen=True, kw_only=True):
    """Slow by construction: its clock is volume. On any market one value in twenty is in the highest twentieth, so it
    must also exceed the usual peak of the last ten minutes.
    """

    on: Annotated[Positive, Doc("open at this share of past values below the present one")] = Decimal("0.95")
    off: Annotated[NonNegative, Doc("close below this")] = Decimal("0.8")
    min_duration_ms: Millis0 = 0
    cooldown_ms: Millis0 = 60_000
    max_age_ms: Millis = 600_000
    horizon_ms: Millis = 30_000
    update_step: NonNegative = Decimal("0.05")
    times_usual: NonNegative = Decimal("1.25")
    buckets: Annotated[Count, Doc("buckets that are averaged")] = 50
    bucket_volume: Annotated[Positive | None, Doc("of one bucket, in base units; none: measured")] = None
    bucket_time_ms: Annotated[Millis, Doc("measured: the volume that trades in so long")] = 4_000
    measure_ms: Annotated[Millis, Doc("measured over so long")] = 90_000
    past: Annotated[Samples, Doc("values that are remembered")] = 2_000
    min_count: Annotated[Samples, Doc("values before there is a share")] = 30
    standardise: Standardise = Standardise(by="none")


@cython.cclass
class MeasuredVpin(Metric):
    """``vpin`` with buckets of the volume that trades in ``bucket_time``, as measured at first."""

    inputs: ClassVar[str] = "trade"
    outputs: ClassVar[tuple[str, ...]] = ("vpin", "signed")
    shape: ClassVar[str] = "dict"
    _options: FlowToxicityOptions
    _grid: Grid
    _vpin: Metric | None
    _first_ns: cython.longlong
    _measure_ns: cython.longlong
    _sum: cython.double

    def __init__(self, options: FlowToxicityOptions, grid: Grid) -> None:
        super().__init__(2)
        self._options = options
        self._grid = grid
        self._vpin = None
        self._first_ns = 0
        self._measure_ns = options.measure_ms * NS_PER_MS
        self._sum = 0.0
        if options.bucket_volume is not None:
            self._vpin = self._made(options.bucket_volume)

    def _made(self, volume: Decimal) -> Metric:
        return Vpin(VpinOptions(bucket_volume=volume, buckets=self._options.buckets), self._grid)

    @cython.ccall
    def trade(self, px: cython.longlong, size: cython.double, sign: cython.int, t_ns: cython.longlong) -> cython.int:
        answered: cython.int
        if self._vpin is not None:
            answered = self._vpin.trade(px, size, sign, t_ns)
            self.out[0] = self._vpin.out[0]
            self.out[1] = self._vpin.out[1]
            return answered
        if sign == 0:
            return NO_VALUE
        if self._first_ns == 0:
            self._first_ns = t_ns
        if t_ns - self._first_ns >= self._measure_ns and self._sum > 0:
            share = self._options.bucket_time_ms * NS_PER_MS / (t_ns - self._first_ns)
            self._vpin = self._made(Decimal(repr(self._sum * share)))
            return self._vpin.trade(px, size, sign, t_ns)
        self._sum += size
        return NO_VALUE


@cython.cclass
class FlowToxicity(Detector):
    """The share of past VPIN values below the present one, with the sign of the net flow in its buckets.

    In [-1, 1]; the past has one value for each bucket that became full. Positive: bought. The volume of a bucket is
    1/50 of a usual day in the source; as a day must not pass before there is a value, it is what trades in
    ``bucket_time``, measured during the first ``measure``, unless ``bucket_volume`` says it. No value: before
    ``buckets`` are full and ``min_count`` values were seen. Source: Easley, Lopez de Prado & O'Hara 2012; warning:
    Andersen & Bondarenko 2014 (it largely follows volume and volatility).
    """

    Options: ClassVar[type[Struct]] = FlowToxicityOptions
    inputs: ClassVar[str] = "trade"
    family: ClassVar[str] = "flow"
    bounded: ClassVar[bool] = True
    _vpin: Metric
    _past: RollingQuantile
    _share: cython.double

    def __init__(self, kind: str, name: str, options: FlowToxicityOptions, grid: Grid) -> None:
        self._vpin = MeasuredVpin(options, grid)
        least = min(options.min_count, options.past)
        self._past = RollingQuantile(QuantileOptions(window=options.past, min_count=least))
        self._share = nan
        super().__init__(kind, name, options, [self._vpin], False)
        self.instant = True

    @cython.ccall
    def magnitude(self) -> cython.double:
        # Between two buckets it is what it was.
        return self._vpin.out[0] if self._share == self._share else nan

    @cython.ccall
    def read(self) -> cython.double:
        if self._vpin.answered == VALUE:
            self._share = self._past.rank(self._vpin.out[0])
            self._past.update(self._vpin.out[0])
        if self._vpin.out[1] < 0:
            return -self._share
        return self._share if self._vpin.out[1] > 0 else 0.0 * self._share

    @cython.ccall
    def shape(self, score: cython.double) -> cython.double:
        return held_until_known(self, score)

    def evidence(self) -> dict[str, float | None]:
        return {"vpin": self._vpin.out[0], "signed": self._vpin.out[1]}
