# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Signals from order flow: its imbalance at the touch, its ratio to all flow, and what takers press."""

from __future__ import annotations

from decimal import Decimal
from math import nan
from typing import Annotated, ClassVar

import cython
from msgspec import Struct

if not cython.compiled:
    from imbalanced.book import Book
    from imbalanced.detect.detector import Detector, held_below
    from imbalanced.detect.past import Past
    from imbalanced.detect.pressure import Effect
    from imbalanced.metrics.metric import Metric
    from imbalanced.metrics.windows import Sums
else:
    from cython.cimports.imbalanced.book import Book
    from cython.cimports.imbalanced.detect.detector import Detector, held_below
    from cython.cimports.imbalanced.detect.past import Past
    from cython.cimports.imbalanced.detect.pressure import Effect
    from cython.cimports.imbalanced.metrics.metric import Metric
    from cython.cimports.imbalanced.metrics.windows import Sums

from imbalanced.detect.detector import DetectorOptions
from imbalanced.detect.pressure import TakerPressure, TouchFlow
from imbalanced.detect.standardiser import Standardise
from imbalanced.metrics import lifecycle, metric
from imbalanced.metrics.flow import OfiRatio, WindowOptions
from imbalanced.metrics.metric import NS_PER_MS, Grid, shared
from imbalanced.metrics.trades import HawkesImbalance, HawkesOptions
from imbalanced.options import Count, Doc, Millis, Millis0, NonNegative, Positive, Range, Share

# As C integers: a Python global costs a lookup and a conversion at every answer.
VALUE = cython.declare(cython.int, metric.VALUE)
OPENED = cython.declare(cython.int, lifecycle.OPENED)

Scale = Annotated[int, Range(ge=1, le=10)]


class OrderFlowImbalanceOptions(DetectorOptions, frozen=True, kw_only=True):
    """Predictive life is seconds; z 3 is the 1 to 2 % tail of a clustered series. A deviation of less than a twentieth
    of a usual size is none, however calm it was.
    """

    times_usual: NonNegative = Decimal("1.45")
    window_ms: Annotated[Millis, Doc("the shortest over which flow is summed")] = 2_000
    scales: Annotated[Scale, Doc("windows it is summed over, each twice as long as the one before")] = 3
    levels: Annotated[Count, Doc("levels a side whose flow is averaged")] = 1
    effect_usual: Annotated[
        NonNegative, Doc("it opens where takers go with it by so many times their usual peak; 0: anywhere")
    ] = Decimal(2)
    move_usual: Annotated[NonNegative, Doc("or where the mid does by so many times its usual peak")] = Decimal("2.5")
    agree: Annotated[NonNegative, Doc("what takers who press the same way so add")] = Decimal("0.5")
    standardise: Standardise = Standardise(min_sd=Decimal("0.05"))


@cython.cclass
class OrderFlowImbalance(Detector):
    """The z-score of order flow imbalance at the touch, summed at several scales: the largest for its length.

    A side counts at most one usual size a message, so that a wall which comes or goes is one and a flow is many; a
    tenth of a second counts the square root of what it nets, so that a jump is one and a pressure is many. Sums are
    over windows of 2, 4 and 8 s and divided by the square root of their length, which makes noise alike on all of them;
    the largest is the raw value, in roots of usual sizes per square root of a second. Quotes are free to show and to
    withdraw: it opens only where takers press the same way or the mid goes with it, by an unusual amount (the mid by
    more than the spread); takers who do add ``agree`` to its size. Positive: bids were added, asks were taken or
    cancelled. No value: the book is not live or crossed, and before the standardiser is warm. Source: Cont, Kukanov &
    Stoikov 2014.
    """

    Options: ClassVar[type[Struct]] = OrderFlowImbalanceOptions
    family: ClassVar[str] = "flow"
    inputs: ClassVar[str] = "book trade"
    _flow: Metric
    _effect: Effect
    _agree: cython.double
    _z: cython.double

    def __init__(self, kind: str, name: str, options: OrderFlowImbalanceOptions, grid: Grid) -> None:
        self._flow = shared(TouchFlow, options.levels, options.window_ms, options.scales, grid=grid)
        usual = float(options.effect_usual), float(options.move_usual)
        self._effect = shared(Effect, *usual, options.window_ms, options.scales, grid=grid)
        self._agree = float(options.agree)
        self._z = nan
        super().__init__(kind, name, options, [self._flow, self._effect], True)

    @cython.ccall
    def read(self) -> cython.double:
        if self._flow.answered != VALUE:
            return nan
        # What only a long window remembers may keep a signal open; it opens none.
        return self._flow.out[0 if self.lifecycle.state == OPENED else 1]

    @cython.ccall
    def magnitude(self) -> cython.double:
        return self._flow.out[1] if self._flow.answered == VALUE else nan

    @cython.ccall
    def shape(self, score: cython.double) -> cython.double:
        if self.lifecycle.state == OPENED:
            self.standardiser.skip()
        self._z = score
        if score != score:
            return score
        if self._effect.pressed(score):
            return score + self._agree if score > 0 else score - self._agree
        if self.lifecycle.state == OPENED or self._effect.seen(score):
            return score
        return held_below(score, self.lifecycle.on)

    def evidence(self) -> dict[str, float | None]:
        return {
            "touch_flow": self.raw,
            "ofi_z": self._z,
            "taker_pressure": self._effect.out[0],
            "move": self._effect.out[1],
        }


class OrderFlowImbalanceRatioOptions(DetectorOptions, frozen=True, kw_only=True):
    """Bounded. It needs activity, or one order would give 1; over some seconds even a one-sided flow has much to and
    fro in it.
    """

    on: Annotated[Positive, Doc("open at a score of at least this")] = Decimal("0.4")
    off: Annotated[NonNegative, Doc("close below this")] = Decimal("0.2")
    min_duration_ms: Millis0 = 300
    update_step: NonNegative = Decimal("0.1")
    times_usual: NonNegative = Decimal("1.45")
    window_ms: Annotated[Millis, Doc("over which the ratio is taken")] = 5_000
    flow_window_ms: Annotated[Millis, Doc("the shortest over which its size is summed")] = 2_000
    scales: Annotated[Scale, Doc("windows it is summed over, each twice as long as the one before")] = 3
    effect_usual: Annotated[
        NonNegative, Doc("it opens where takers go with it by so many times their usual peak; 0: anywhere")
    ] = Decimal(2)
    move_usual: Annotated[NonNegative, Doc("or where the mid does by so many times its usual peak")] = Decimal("2.5")
    standardise: Standardise = Standardise(by="none")


@cython.cclass
class OrderFlowImbalanceRatio(Detector):
    """Order flow imbalance at the touch over gross flow, in [-1, 1], while the gross flow is at least its own median.

    The median is that of the last ten minutes, sampled once a second. A ratio says nothing of size: it opens only where
    the flow is as unusual as ``order_flow_imbalance`` demands, of the same sign, and has the same effect. Positive:
    bids were added, asks were taken or cancelled. No value: as ``ofi_ratio``, less flow than usual, or less than half a
    minute of this book to know what is usual; it does not open before the usual peak is known, a minute. Source: after
    Cont, Kukanov & Stoikov 2014.
    """

    Options: ClassVar[type[Struct]] = OrderFlowImbalanceRatioOptions
    family: ClassVar[str] = "flow"
    bounded: ClassVar[bool] = True
    inputs: ClassVar[str] = "book trade"
    _ratio: Metric
    _flow: Metric
    _gross: Past
    _effect: Effect

    def __init__(self, kind: str, name: str, options: OrderFlowImbalanceRatioOptions, grid: Grid) -> None:
        self._ratio = shared(OfiRatio, WindowOptions(window_ms=options.window_ms), grid=grid)
        self._flow = shared(TouchFlow, 1, options.flow_window_ms, options.scales, grid=grid)
        self._gross = Past("0.5", 600, 30, 1_000)
        usual = float(options.effect_usual), float(options.move_usual)
        self._effect = shared(Effect, *usual, options.flow_window_ms, options.scales, grid=grid)
        super().__init__(kind, name, options, [self._ratio, self._flow, self._effect], True)

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
        return self._flow.out[1] if self._flow.answered == VALUE else nan

    @cython.ccall
    def shape(self, score: cython.double) -> cython.double:
        if score != score or self.lifecycle.state == OPENED:
            return score
        if self._is_known(score) and self._effect.seen(score):
            return score
        return held_below(score, self.lifecycle.on)

    @cython.cfunc
    def _is_known(self, score: cython.double) -> cython.bint:
        """What is usual is known, and the flow has the sign of the ratio; or nothing unusual is asked for."""
        if self.usual.times == 0:
            return True
        return self.usual.peak == self.usual.peak and self._flow.out[1] * score > 0

    @cython.ccall
    def cut(self) -> cython.void:
        Detector.cut(self)
        self._gross.clear()

    def evidence(self) -> dict[str, float | None]:
        return {
            "ofi_ratio": self.raw,
            "touch_flow": self._flow.out[1],
            "taker_pressure": self._effect.out[0],
            "move": self._effect.out[1],
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
    """Number, size and one-sidedness together."""

    times_usual: NonNegative = Decimal("2.3")
    window_ms: Annotated[Millis, Doc("the shortest over which takers are summed")] = 2_000
    scales: Annotated[Scale, Doc("windows they are summed over, each twice as long as the one before")] = 3
    min_imbalance: Annotated[Share, Doc("share of one-sidedness below which there is no score")] = Decimal("0.4")
    slope_window_ms: Annotated[Millis, Doc("over which the slope of the cumulative volume delta is taken")] = 10_000
    agree: Annotated[NonNegative, Doc("what the slope, and the arrival rates, add each if they agree")] = Decimal("0.5")


@cython.cclass
class AggressiveOrderFlow(Detector):
    """The z-score of what takers press at several scales, while they are one-sided enough; otherwise the score is 0.

    A taker counts the square root of its notional, as the price answers to it, and a tenth of a second the square root
    of what its takers net: many of one side for some time are a flow, one huge order or one burst is not. Sums are over
    windows of 2, 4 and 8 s and divided by the square root of their length, which makes noise alike on all of them; the
    largest is the raw value. A slope of the cumulative volume delta of the same sign adds ``agree`` to its size,
    arrival rates of takers (``hawkes_imbalance``) of the same sign once more. Positive: buyers are the aggressors. No
    value: before the standardiser is warm. Source: Silantyev 2019 (trade flow); Bouchaud, Farmer & Lillo 2009 (concave
    impact); Bacry, Mastromatteo & Muzy 2015 (arrivals excite each other).
    """

    Options: ClassVar[type[Struct]] = AggressiveOrderFlowOptions
    inputs: ClassVar[str] = "trade"
    family: ClassVar[str] = "flow"
    _pressure: Metric
    _flow: Metric
    _arrivals: Metric
    _least: cython.double
    _agree: cython.double

    def __init__(self, kind: str, name: str, options: AggressiveOrderFlowOptions, grid: Grid) -> None:
        self._pressure = shared(TakerPressure, options.window_ms, options.scales, grid=grid)
        self._flow = shared(TakerFlow, options.window_ms, options.slope_window_ms, grid=grid)
        self._arrivals = shared(HawkesImbalance, HawkesOptions(), grid=grid)
        self._least = float(options.min_imbalance)
        self._agree = float(options.agree)
        super().__init__(kind, name, options, [self._pressure, self._flow, self._arrivals], False)

    @cython.ccall
    def read(self) -> cython.double:
        if self._pressure.answered != VALUE:
            return nan
        # What only a long window remembers may keep a signal open; it opens none.
        return self._pressure.out[0 if self.lifecycle.state == OPENED else 2]

    @cython.ccall
    def magnitude(self) -> cython.double:
        return self._pressure.out[2] if self._pressure.answered == VALUE else nan

    @cython.cfunc
    def _share(self) -> cython.double:
        return self._pressure.out[1 if self.lifecycle.state == OPENED else 3]

    @cython.ccall
    def shape(self, score: cython.double) -> cython.double:
        side: cython.double = 1.0 if score > 0 else -1.0
        if self.lifecycle.state == OPENED:
            self.standardiser.skip()
        if score != score:
            return score
        # The score must lean the way the takers do: below the mean is not the same as selling.
        if self._share() * side < self._least:
            return 0.0
        if self._flow.out[2] * side > 0:
            score += side * self._agree
        if self._arrivals.answered == VALUE and self._arrivals.out[2] * side > 0:
            score += side * self._agree
        return score

    def evidence(self) -> dict[str, float | None]:
        return {
            "taker_pressure": self.raw,
            "taker_share": self._share(),
            "signed_notional": self._flow.out[0],
            "cvd_change": self._flow.out[2],
            "hawkes_imbalance": self._arrivals.out[2],
        }
