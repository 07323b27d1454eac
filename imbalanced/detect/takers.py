# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Signals from trades: sweeps, and the distance from the average price."""

from __future__ import annotations

from decimal import Decimal
from math import nan
from typing import Annotated, ClassVar, Literal

import cython
from cython.cimports.libc.math import fabs
from msgspec import Struct

if not cython.compiled:
    from imbalanced.detect.detector import Detector
    from imbalanced.metrics.metric import Metric
    from imbalanced.metrics.statistics import RollingQuantile
else:
    from cython.cimports.imbalanced.detect.detector import Detector
    from cython.cimports.imbalanced.metrics.metric import Metric
    from cython.cimports.imbalanced.metrics.statistics import RollingQuantile

from imbalanced.detect import detector
from imbalanced.detect.detector import DetectorOptions
from imbalanced.detect.standardiser import Standardise
from imbalanced.metrics import lifecycle, metric
from imbalanced.metrics.flow import Ofi
from imbalanced.metrics.flow import WindowOptions as FlowWindowOptions
from imbalanced.metrics.metric import NS_PER_MS, Grid, shared
from imbalanced.metrics.statistics import QuantileOptions
from imbalanced.metrics.trades import Sweep, SweepOptions, VwapDeviation, VwapOptions
from imbalanced.options import Doc, Millis, Millis0, NonNegative, Positive, Range, Share

# As C integers: a Python global costs a lookup and a conversion at every answer.
VALUE = cython.declare(cython.int, metric.VALUE)
OPENED = cython.declare(cython.int, lifecycle.OPENED)
CLOSE = cython.declare(cython.int, lifecycle.CLOSE)
REVERSED = cython.declare(cython.int, lifecycle.REVERSED)

LATER = cython.declare(cython.longlong, 4_000_000_000_000_000_000)

Samples = Annotated[int, Range(ge=1, le=100_000)]


class SweepSignalOptions(DetectorOptions, frozen=True, kw_only=True):
    """One event: three prices by one taker, and more than takers usually take."""

    on: Annotated[Positive, Doc("open at so many prices")] = Decimal(3)
    min_duration_ms: Millis0 = 0
    cooldown_ms: Millis0 = 1_000
    max_age_ms: Millis = 2_000
    update_step: NonNegative = Decimal(1)
    gap_ms: Annotated[Millis0, Doc("all trades of one taker lie within this time of the first")] = 1
    q: Annotated[Share, Doc("quantile of the notional of all takers that it must reach")] = Decimal("0.95")
    times: Annotated[NonNegative, Doc("and how many of them")] = Decimal("2.5")
    window: Annotated[Samples, Doc("takers that are remembered")] = 2_000
    min_count: Annotated[Samples, Doc("takers before there is a score")] = 50
    standardise: Standardise = Standardise(by="none")


@cython.cclass
class SweepSignal(Detector):
    """Signed number of distinct prices that one taker went through, if its notional is among the largest of late.

    The yardstick are all takers (groups of trades as ``sweep`` makes them), of one price and of many: sweeps by
    themselves are too rare to be a past. Positive: a buyer. It is known when the group ends, with the next event after
    ``gap``. No value: no group ended, it was not large, or fewer than ``min_count`` takers were seen. Source:
    practitioners' measure.
    """

    Options: ClassVar[type[Struct]] = SweepSignalOptions
    inputs: ClassVar[str] = "trade"
    family: ClassVar[str] = "flow"
    _groups: Metric
    _notional: RollingQuantile
    _levels: cython.double
    _size: cython.double
    _usual: cython.double
    _times: cython.double

    def __init__(self, kind: str, name: str, options: SweepSignalOptions, grid: Grid) -> None:
        self._groups = Sweep(SweepOptions(min_levels=1, gap_ms=options.gap_ms), grid)
        least = min(options.min_count, options.window)
        self._notional = RollingQuantile(QuantileOptions(q=options.q, window=options.window, min_count=least))
        self._times = float(options.times)
        self._levels = nan
        self._size = nan
        self._usual = nan
        super().__init__(kind, name, options, [self._groups], False, wakes=detector.BOOK | detector.TRADE)
        self.instant = True

    @cython.cfunc
    def _take(self) -> cython.void:
        """A group ended: is it large against those before?"""
        self._usual = self._notional.threshold()
        self._size = fabs(self._groups.out[1])
        if self._size >= self._times * self._usual:
            self._levels = self._groups.out[0]
        self._notional.update(self._size)

    @cython.ccall
    def read(self) -> cython.double:
        levels: cython.double
        if self._groups.answered == VALUE:
            self._take()
        levels = self._levels
        self._levels = nan
        # Fewer prices are no sweep, and no reason to end one that is told.
        return levels if fabs(levels) >= self.lifecycle.on else nan

    @cython.ccall
    def step(self, t_ns: cython.longlong) -> cython.int:
        said: cython.int = Detector.step(self, t_ns)
        if said == CLOSE and self.lifecycle.reason == REVERSED:
            # What ended the other one is a sweep itself: told with the next event.
            self._levels = self.x
        return said

    @cython.ccall
    def clock(self, t_ns: cython.longlong) -> cython.int:
        # In a silence the clock ends the group; a clock opens nothing, so it waits for the next event.
        if self._groups.answered == VALUE:
            self._take()
        return self.lifecycle.clock(t_ns)

    @cython.ccall
    def invalid(self, t_ns: cython.longlong) -> cython.int:
        # What is still going on ends here: nothing of before is told of the next book.
        self._groups.value(nan, LATER)
        self._groups.answered = 0
        self._levels = nan
        self.raw = nan
        self.x = nan
        return self.lifecycle.invalid(t_ns)

    def evidence(self) -> dict[str, float | None]:
        return {"levels": self.last, "notional": self._size, "usual_notional": self._usual}


class VwapDeviationSignalOptions(DetectorOptions, frozen=True, kw_only=True):
    """Far from the average price; by itself neither up nor down."""

    on: Annotated[Positive, Doc("open at a score of at least this")] = Decimal("2.5")
    min_duration_ms: Millis0 = 1_000
    cooldown_ms: Millis0 = 30_000
    max_age_ms: Millis = 600_000
    horizon_ms: Millis = 30_000
    mode: Annotated[Literal["reversion", "trend"], Doc("reversion: back to the average")] = "reversion"
    window_ms: Annotated[Millis, Doc("of the average price")] = 600_000
    flow_window_ms: Annotated[Millis, Doc("of the order flow that must not agree with the distance")] = 10_000
    standardise: Standardise = Standardise(by="none")


@cython.cclass
class VwapDeviationSignal(Detector):
    """Distance of the price from its volume-weighted average in deviations, with the sign of where it is expected to
    go.

    ``reversion`` (default): the other way, and only where order flow does not agree with the distance when it opens.
    ``trend``: the same way. Positive: buy. No value: as ``vwap_deviation.z``, and before trades of a whole window were
    seen. Source: practitioners' measure.
    """

    Options: ClassVar[type[Struct]] = VwapDeviationSignalOptions
    inputs: ClassVar[str] = "book trade"
    family: ClassVar[str] = "price"
    _vwap: Metric
    _flow: Metric
    _reversion: cython.bint
    _window_ns: cython.longlong
    _first_ns: cython.longlong

    def __init__(self, kind: str, name: str, options: VwapDeviationSignalOptions, grid: Grid) -> None:
        self._vwap = shared(VwapDeviation, VwapOptions(window_ms=options.window_ms), grid=grid)
        self._flow = shared(Ofi, FlowWindowOptions(window_ms=options.flow_window_ms), grid=grid)
        self._reversion = options.mode == "reversion"
        self._window_ns = options.window_ms * NS_PER_MS
        self._first_ns = 0
        super().__init__(kind, name, options, [self._vwap, self._flow], False)
        self.instant = True

    @cython.ccall
    def read(self) -> cython.double:
        if self._vwap.answered != VALUE:
            return nan
        if self._first_ns == 0:
            self._first_ns = self.now_ns
        if self.now_ns - self._first_ns < self._window_ns:
            return nan
        return self._vwap.out[2]

    @cython.ccall
    def shape(self, score: cython.double) -> cython.double:
        if not self._reversion:
            return score
        if self.lifecycle.state != OPENED and self._flow.answered == VALUE and self._flow.out[0] * score > 0:
            return 0.0
        return -score

    def evidence(self) -> dict[str, float | None]:
        known = self._vwap.answered == VALUE
        return {
            "vwap": self._vwap.out[0] if known else None,
            "vwap_z": self._vwap.out[2] if known else None,
            "vwap_bps": self._vwap.out[3] if known else None,
            "ofi": self._flow.out[0] if self._flow.answered == VALUE else None,
        }
