# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Signals from order flow: its imbalance over depth, its ratio, and what takers do with their notional."""

from __future__ import annotations

from decimal import Decimal
from math import nan
from typing import Annotated, ClassVar

import cython
from cython.cimports.libc.math import fabs
from msgspec import Struct

if not cython.compiled:
    from imbalanced.book import Book
    from imbalanced.detect.detector import Detector
    from imbalanced.detect.past import Past, Usual
    from imbalanced.metrics.metric import Metric
    from imbalanced.metrics.windows import Sums
else:
    from cython.cimports.imbalanced.book import Book
    from cython.cimports.imbalanced.detect.detector import Detector
    from cython.cimports.imbalanced.detect.past import Past, Usual
    from cython.cimports.imbalanced.metrics.metric import Metric
    from cython.cimports.imbalanced.metrics.windows import Sums

from imbalanced.detect.detector import DetectorOptions
from imbalanced.detect.standardiser import Standardise
from imbalanced.metrics import lifecycle, metric
from imbalanced.metrics.flow import MlofiOptions, OfiDepthNormalised, OfiRatio, WindowOptions
from imbalanced.metrics.metric import NS_PER_MS, Grid, shared
from imbalanced.metrics.trades import HawkesImbalance, HawkesOptions
from imbalanced.options import Count, Doc, Millis, Millis0, NonNegative, Positive, Share

# As C integers: a Python global costs a lookup and a conversion at every answer.
VALUE = cython.declare(cython.int, metric.VALUE)
OPENED = cython.declare(cython.int, lifecycle.OPENED)


@cython.cclass
class Takers(Metric):
    """Whether takers agree: quotes are free to show and to withdraw, trades are not.

    ``imbalance`` is the signed over the total size of the window, NaN where nobody traded: then nobody disagrees. Those
    who agree must be ``least`` one-sided, and their net size ``times_usual`` its own usual peak.
    """

    inputs: ClassVar[str] = "trade clock"
    imbalance: cython.double
    _flow: Sums
    _window_ns: cython.longlong
    _least: cython.double
    _usual: Usual

    def __init__(self, least: float, times_usual: float, window_ms: int, grid: Grid) -> None:
        super().__init__(1)
        self._usual = Usual(times_usual)
        self._flow = Sums(2)
        self._window_ns = window_ms * NS_PER_MS
        self._least = least
        self.imbalance = nan

    @cython.ccall
    def trade(self, px: cython.longlong, size: cython.double, sign: cython.int, t_ns: cython.longlong) -> cython.int:
        if sign != 0 and size > 0:
            self._flow.row[0] = size if sign > 0 else 0.0
            self._flow.row[1] = size if sign < 0 else 0.0
            self._flow.push(t_ns)
        return self._look(t_ns)

    @cython.ccall
    def clock(self, book: Book, t_ns: cython.longlong) -> cython.int:
        return self._look(t_ns)

    @cython.cfunc
    def _look(self, t_ns: cython.longlong) -> cython.int:
        flow: Sums = self._flow
        flow.evict(t_ns - self._window_ns)
        self._usual.observe(flow.sums[0] - flow.sums[1], t_ns)
        self.imbalance = nan
        if flow.count > 0:
            self.imbalance = (flow.sums[0] - flow.sums[1]) / (flow.sums[0] + flow.sums[1])
        self.out[0] = self.imbalance
        return VALUE

    @cython.cfunc
    def agree(self, score: cython.double) -> cython.bint:
        """They do, or there are none. (NaN is neither.)"""
        if self.imbalance != self.imbalance or self._least == 0:
            return True
        if (self.imbalance if score > 0 else -self.imbalance) < self._least:
            return False
        return self._usual.passes(self._flow.sums[0] - self._flow.sums[1])


class OrderFlowImbalanceOptions(DetectorOptions, frozen=True, kw_only=True):
    """Predictive life is seconds; z 3 is the 1 to 2 % tail of a clustered series. A deviation of less than a twentieth
    of the depth of a level is none, however calm it was.
    """

    window_ms: Annotated[Millis, Doc("over which flow is summed")] = 3_000
    times_usual: NonNegative = Decimal("2.1")
    alone_usual: Annotated[NonNegative, Doc("where takers are not with it: so many times its usual peak; 0: never")] = (
        Decimal(3)
    )
    levels: Annotated[Count, Doc("levels a side whose flow is averaged")] = 5
    takers_share: Annotated[Share, Doc("so one-sided must the takers be with it when it opens, if there are any")] = (
        Decimal("0.5")
    )
    takers_usual: Annotated[NonNegative, Doc("and their net size so many times its usual peak")] = Decimal("1.75")
    takers_window_ms: Annotated[Millis, Doc("over which they are looked at")] = 3_000
    standardise: Standardise = Standardise(min_sd=Decimal("0.05"))


@cython.cclass
class OrderFlowImbalance(Detector):
    """The z-score of the mean over levels of depth-normalised order flow imbalance.

    Flow over depth, so that thresholds mean the same at any hour and on any symbol. Quotes are free to show and to
    withdraw: it opens where takers are with it, one-sided and of unusual size, or where there are none; else it must be
    so much more unusual itself (``alone``). Positive: bids were added, asks were taken or cancelled. No value: as
    ``ofi_depth_normalised``, and before the standardiser is warm. Source: Cont, Cucuringu & Zhang 2023.
    """

    Options: ClassVar[type[Struct]] = OrderFlowImbalanceOptions
    family: ClassVar[str] = "flow"
    inputs: ClassVar[str] = "book trade"
    _flow: Metric
    _levels: cython.Py_ssize_t
    _alone: cython.double
    _takers: Takers

    def __init__(self, kind: str, name: str, options: OrderFlowImbalanceOptions, grid: Grid) -> None:
        self._flow = shared(
            OfiDepthNormalised, MlofiOptions(levels=options.levels, window_ms=options.window_ms), grid=grid
        )
        self._levels = options.levels
        self._alone = float(options.alone_usual)
        self._takers = shared(
            Takers, float(options.takers_share), float(options.takers_usual), options.takers_window_ms, grid=grid
        )
        super().__init__(kind, name, options, [self._flow, self._takers], True)

    @cython.ccall
    def read(self) -> cython.double:
        total: cython.double = 0.0
        i: cython.Py_ssize_t
        if self._flow.answered != VALUE:
            return nan
        for i in range(self._levels):
            total += self._flow.out[i]
        return total / self._levels

    @cython.ccall
    def shape(self, score: cython.double) -> cython.double:
        alone: cython.bint = (
            self._alone > 0 and self.usual.times > 0 and fabs(self.raw) >= self._alone * self.usual.peak
        )
        if self.lifecycle.state == OPENED or alone or self._takers.agree(score):
            return score
        return self._held_back(score)

    @cython.cfunc
    def _held_back(self, score: cython.double) -> cython.double:
        """Below the threshold, whatever it is."""
        most: cython.double = 0.99 * self.lifecycle.on
        return max(-most, min(most, score))

    def evidence(self) -> dict[str, float | None]:
        return {"ofi_depth_normalised": self.raw, "ofi_z": self.x, "trade_imbalance": self._takers.imbalance}


class OrderFlowImbalanceRatioOptions(DetectorOptions, frozen=True, kw_only=True):
    """Bounded. It needs activity, or one order would give 1."""

    on: Annotated[Positive, Doc("open at a score of at least this")] = Decimal("0.6")
    off: Annotated[NonNegative, Doc("close below this")] = Decimal("0.3")
    min_duration_ms: Millis0 = 300
    update_step: NonNegative = Decimal("0.1")
    times_usual: NonNegative = Decimal("1.8")
    window_ms: Annotated[Millis, Doc("over which flow is summed")] = 2_000
    takers_share: Annotated[Share, Doc("so one-sided must the takers be with it when it opens, if there are any")] = (
        Decimal("0.5")
    )
    takers_usual: Annotated[NonNegative, Doc("and their net size so many times its usual peak")] = Decimal("2.2")
    takers_window_ms: Annotated[Millis, Doc("over which they are looked at")] = 3_000
    standardise: Standardise = Standardise(by="none")


@cython.cclass
class OrderFlowImbalanceRatio(Detector):
    """Order flow imbalance at the touch over gross flow, in [-1, 1], while the gross flow is at least its own median.

    The median is that of the last ten minutes, sampled once a second; the usual peak is that of the net flow. It opens
    only where takers are with it, as ``order_flow_imbalance``. Positive: bids were added, asks were taken or cancelled.
    No value: as ``ofi_ratio``, less flow than usual, or less than half a minute of this book to know what is
    usual; it does not open before the usual peak is known, a minute. Source: after Cont, Kukanov & Stoikov 2014.
    """

    Options: ClassVar[type[Struct]] = OrderFlowImbalanceRatioOptions
    family: ClassVar[str] = "flow"
    bounded: ClassVar[bool] = True
    _ratio: Metric
    inputs: ClassVar[str] = "book trade"
    _gross: Past
    _takers: Takers

    def __init__(self, kind: str, name: str, options: OrderFlowImbalanceRatioOptions, grid: Grid) -> None:
        self._ratio = shared(OfiRatio, WindowOptions(window_ms=options.window_ms), grid=grid)
        self._gross = Past("0.5", 600, 30, 1_000)
        self._takers = shared(
            Takers, float(options.takers_share), float(options.takers_usual), options.takers_window_ms, grid=grid
        )
        super().__init__(kind, name, options, [self._ratio, self._takers], True)

    @cython.ccall
    def read(self) -> cython.double:
        gross: cython.double = self._ratio.out[1]
        self._gross.observe(gross, self.now_ns)
        if self._ratio.answered == VALUE and gross >= self._gross.threshold():
            return self._ratio.out[0]
        return nan

    @cython.ccall
    def magnitude(self) -> cython.double:
        # In quiet times too, or the usual peak would be that of busy ones.
        return self._ratio.out[0] * self._ratio.out[1] if self._ratio.answered == VALUE else nan

    @cython.ccall
    def shape(self, score: cython.double) -> cython.double:
        most: cython.double = 0.99 * self.lifecycle.on
        if score != score or self.lifecycle.state == OPENED:
            return score
        # A bounded ratio says nothing of size: before the usual peak is known nothing is unusual.
        if self._takers.agree(score) and not (self.usual.times > 0 and self.usual.peak != self.usual.peak):
            return score
        return max(-most, min(most, score))

    @cython.ccall
    def cut(self) -> cython.void:
        Detector.cut(self)
        self._gross.clear()

    def evidence(self) -> dict[str, float | None]:
        return {
            "ofi_ratio": self.raw,
            "trade_imbalance": self._takers.imbalance,
            "gross_flow": self._ratio.out[1],
            "median_flow": self._gross.threshold(),
        }


@cython.cclass
class TakerFlow(Metric):
    """``{signed, gross, net}``: taker notional over the window, buys minus sells and together, and the net size of a
    longer one; 0 when there are none.
    """

    inputs: ClassVar[str] = "trade clock"
    outputs: ClassVar[tuple[str, ...]] = ("signed", "gross", "net")
    shape: ClassVar[str] = "dict"
    _flow: Sums
    _window_ns: cython.longlong
    _longer: Sums
    _longer_ns: cython.longlong
    _per_unit: cython.double

    def __init__(self, window_ms: int, longer_ms: int, grid: Grid) -> None:
        super().__init__(3)
        self._flow = Sums(2)
        self._window_ns = window_ms * NS_PER_MS
        self._longer = Sums(2)
        self._longer_ns = longer_ms * NS_PER_MS
        self._per_unit = grid.per_unit

    @cython.ccall
    def trade(self, px: cython.longlong, size: cython.double, sign: cython.int, t_ns: cython.longlong) -> cython.int:
        notional: cython.double
        if sign != 0:
            notional = px / self._per_unit * size
            self._flow.row[0] = notional if sign > 0 else 0.0
            self._flow.row[1] = notional if sign < 0 else 0.0
            self._flow.push(t_ns)
            self._longer.row[0] = size if sign > 0 else 0.0
            self._longer.row[1] = size if sign < 0 else 0.0
            self._longer.push(t_ns)
        return self._sum(t_ns)

    @cython.ccall
    def clock(self, book: Book, t_ns: cython.longlong) -> cython.int:
        return self._sum(t_ns)

    @cython.cfunc
    def _sum(self, t_ns: cython.longlong) -> cython.int:
        self._flow.evict(t_ns - self._window_ns)
        self._longer.evict(t_ns - self._longer_ns)
        self.out[0] = self._flow.sums[0] - self._flow.sums[1]
        self.out[1] = self._flow.sums[0] + self._flow.sums[1]
        self.out[2] = self._longer.sums[0] - self._longer.sums[1]
        return VALUE


class AggressiveOrderFlowOptions(DetectorOptions, frozen=True, kw_only=True):
    """Size and one-sidedness together."""

    times_usual: NonNegative = Decimal(3)
    window_ms: Annotated[Millis, Doc("over which taker notional is summed")] = 4_000
    min_imbalance: Annotated[Share, Doc("share of one-sidedness below which there is no score")] = Decimal("0.4")
    slope_window_ms: Annotated[Millis, Doc("over which the slope of the cumulative volume delta is taken")] = 10_000
    agree: Annotated[NonNegative, Doc("what the slope, and the arrival rates, add each if they agree")] = Decimal("0.5")


@cython.cclass
class AggressiveOrderFlow(Detector):
    """The z-score of signed taker notional, while takers are one-sided enough; otherwise the score is 0.

    A slope of the cumulative volume delta of the same sign adds ``agree`` to its size, arrival rates of takers
    (``hawkes_imbalance``) of the same sign once more. Positive: buyers are the aggressors. No value: before the
    standardiser is warm. Source: Silantyev 2019 (trade flow); Bacry, Mastromatteo & Muzy 2015 (arrivals excite each
    other).
    """

    Options: ClassVar[type[Struct]] = AggressiveOrderFlowOptions
    inputs: ClassVar[str] = "trade"
    family: ClassVar[str] = "flow"
    _flow: Metric
    _arrivals: Metric
    _least: cython.double
    _agree: cython.double

    def __init__(self, kind: str, name: str, options: AggressiveOrderFlowOptions, grid: Grid) -> None:
        self._flow = shared(TakerFlow, options.window_ms, options.slope_window_ms, grid=grid)
        self._arrivals = shared(HawkesImbalance, HawkesOptions(), grid=grid)
        self._least = float(options.min_imbalance)
        self._agree = float(options.agree)
        super().__init__(kind, name, options, [self._flow, self._arrivals], False)

    @cython.ccall
    def read(self) -> cython.double:
        if self._flow.answered != VALUE:
            return nan
        return self._flow.out[0]

    @cython.cfunc
    def _imbalance(self) -> cython.double:
        if self._flow.out[1] > 0:
            return self._flow.out[0] / self._flow.out[1]
        return 0.0

    @cython.ccall
    def shape(self, score: cython.double) -> cython.double:
        side: cython.double = 1.0 if score > 0 else -1.0
        if score != score:
            return score
        # The score must lean the way the takers do: below the mean is not the same as selling.
        if self._imbalance() * side < self._least:
            return 0.0
        if self._flow.out[2] * side > 0:
            score += side * self._agree
        if self._arrivals.answered == VALUE and self._arrivals.out[2] * side > 0:
            score += side * self._agree
        return score

    def evidence(self) -> dict[str, float | None]:
        return {
            "signed_notional": self.raw,
            "trade_imbalance": self._imbalance(),
            "cvd_change": self._flow.out[2],
            "hawkes_imbalance": self._arrivals.out[2],
        }
