# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Signals from flow and depth: order flow imbalance, market depth imbalance, aggressive order flow."""

from __future__ import annotations

from decimal import Decimal
from math import nan
from typing import Annotated, ClassVar

import cython
from msgspec import Struct

if not cython.compiled:
    from imbalanced.book import Book
    from imbalanced.detect.detector import Detector
    from imbalanced.metrics.metric import Metric
    from imbalanced.metrics.windows import Sums
else:
    from cython.cimports.imbalanced.book import Book
    from cython.cimports.imbalanced.detect.detector import Detector
    from cython.cimports.imbalanced.metrics.metric import Metric
    from cython.cimports.imbalanced.metrics.windows import Sums

from imbalanced.detect.detector import DetectorOptions
from imbalanced.detect.standardiser import Standardise
from imbalanced.metrics.depth import BandImbalance, BandImbalanceOptions
from imbalanced.metrics.flow import MlofiOptions, OfiDepthNormalised
from imbalanced.metrics.metric import NS_PER_MS, VALUE, Grid
from imbalanced.options import Count, Doc, Millis, Millis0, Positive, Share


class OrderFlowImbalanceOptions(DetectorOptions, frozen=True, kw_only=True):
    """Predictive life is seconds; z 3 is the 1 to 2 % tail of a clustered series."""

    window_ms: Annotated[Millis, Doc("over which flow is summed")] = 1_000
    levels: Annotated[Count, Doc("levels a side whose flow is averaged")] = 5


@cython.cclass
class OrderFlowImbalance(Detector):
    """The z-score of the mean over levels of depth-normalised order flow imbalance.

    Flow over depth, so that thresholds mean the same at any hour and on any symbol (Cont, Cucuringu & Zhang 2023).
    """

    Options: ClassVar[type[Struct]] = OrderFlowImbalanceOptions
    _flow: Metric
    _levels: cython.Py_ssize_t

    def __init__(self, kind: str, name: str, options: OrderFlowImbalanceOptions, grid: Grid) -> None:
        self._flow = OfiDepthNormalised(MlofiOptions(levels=options.levels, window_ms=options.window_ms), grid)
        self._levels = options.levels
        super().__init__(kind, name, options, [self._flow], True)

    @cython.ccall
    def read(self) -> cython.double:
        total: cython.double = 0.0
        i: cython.Py_ssize_t
        if self._flow.answered != VALUE:
            return nan
        for i in range(self._levels):
            total += self._flow.out[i]
        return total / self._levels

    def evidence(self) -> dict[str, float | None]:
        return {"ofi_depth_normalised": None if self.raw != self.raw else self.raw, "ofi_z": self.x}


class MarketDepthImbalanceOptions(DetectorOptions, frozen=True, kw_only=True):
    """Standing depth is slow and spoofable, hence the longer persistence."""

    on: Annotated[Positive, Doc("open at a score of at least this")] = Decimal("2.5")
    min_duration_ms: Millis0 = 1_000
    cooldown_ms: Millis0 = 10_000
    max_age_ms: Millis = 120_000
    horizon_ms: Millis = 5_000
    bps: Annotated[Positive, Doc("half-width of the band around the mid, in basis points")] = Decimal(10)
    standardise: Standardise = Standardise(half_life_ms=600_000)


@cython.cclass
class MarketDepthImbalance(Detector):
    """The z-score of the imbalance of notional within a band around the mid: against the book's own lasting lean."""

    Options: ClassVar[type[Struct]] = MarketDepthImbalanceOptions
    _band: Metric

    def __init__(self, kind: str, name: str, options: MarketDepthImbalanceOptions, grid: Grid) -> None:
        self._band = BandImbalance(BandImbalanceOptions(bps=options.bps, unit="quote"), grid)
        super().__init__(kind, name, options, [self._band], True)

    @cython.ccall
    def read(self) -> cython.double:
        if self._band.answered != VALUE:
            return nan
        return self._band.out[0]

    def evidence(self) -> dict[str, float | None]:
        return {"band_imbalance": None if self.raw != self.raw else self.raw, "band_z": self.x}


@cython.cclass
class SignedNotional(Metric):
    """``{signed, gross}``: taker notional over the window, buys minus sells and together; 0 when there are none."""

    inputs: ClassVar[str] = "trade clock"
    outputs: ClassVar[tuple[str, ...]] = ("signed", "gross")
    shape: ClassVar[str] = "dict"
    _flow: Sums
    _window_ns: cython.longlong
    _per_unit: cython.double

    def __init__(self, window_ms: int, grid: Grid) -> None:
        super().__init__(2)
        self._flow = Sums(2)
        self._window_ns = window_ms * NS_PER_MS
        self._per_unit = grid.per_unit

    @cython.ccall
    def trade(self, px: cython.longlong, size: cython.double, sign: cython.int, t_ns: cython.longlong) -> cython.int:
        notional: cython.double
        if sign != 0:
            notional = px / self._per_unit * size
            self._flow.row[0] = notional if sign > 0 else 0.0
            self._flow.row[1] = notional if sign < 0 else 0.0
            self._flow.push(t_ns)
        return self._sum(t_ns)

    @cython.ccall
    def clock(self, book: Book, t_ns: cython.longlong) -> cython.int:
        return self._sum(t_ns)

    @cython.cfunc
    def _sum(self, t_ns: cython.longlong) -> cython.int:
        self._flow.evict(t_ns - self._window_ns)
        self.out[0] = self._flow.sums[0] - self._flow.sums[1]
        self.out[1] = self._flow.sums[0] + self._flow.sums[1]
        return VALUE


class AggressiveOrderFlowOptions(DetectorOptions, frozen=True, kw_only=True):
    """Size and one-sidedness together."""

    window_ms: Annotated[Millis, Doc("over which taker notional is summed")] = 2_000
    min_imbalance: Annotated[Share, Doc("share of one-sidedness below which there is no score")] = Decimal("0.4")


@cython.cclass
class AggressiveOrderFlow(Detector):
    """The z-score of signed taker notional, while takers are one-sided enough; otherwise the score is 0."""

    Options: ClassVar[type[Struct]] = AggressiveOrderFlowOptions
    _flow: Metric
    _least: cython.double

    def __init__(self, kind: str, name: str, options: AggressiveOrderFlowOptions, grid: Grid) -> None:
        self._flow = SignedNotional(options.window_ms, grid)
        self._least = float(options.min_imbalance)
        super().__init__(kind, name, options, [self._flow], False)

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
        share: cython.double = self._imbalance()
        if score != score:
            return score
        # The score must lean the way the takers do: below the mean is not the same as selling.
        if share * (1 if score > 0 else -1) < self._least:
            return 0.0
        return score

    def evidence(self) -> dict[str, float | None]:
        return {"signed_notional": None if self.raw != self.raw else self.raw, "trade_imbalance": self._imbalance()}
