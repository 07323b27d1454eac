# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Signals from trades: sweeps, and the distance from the average price."""

from __future__ import annotations

from collections import deque
from decimal import Decimal
from math import nan
from typing import Annotated, Any, ClassVar, Literal

import cython
from cython.cimports.libc.math import fabs
from msgspec import Struct

if not cython.compiled:
    from imbalanced.detect.detector import Detector
    from imbalanced.metrics.metric import Metric
    from imbalanced.metrics.statistics import RollingQuantile
    from imbalanced.metrics.windows import Sums
else:
    from cython.cimports.imbalanced.detect.detector import Detector
    from cython.cimports.imbalanced.metrics.metric import Metric
    from cython.cimports.imbalanced.metrics.statistics import RollingQuantile
    from cython.cimports.imbalanced.metrics.windows import Sums

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
NO_VALUE = cython.declare(cython.int, metric.NO_VALUE)
VALUE = cython.declare(cython.int, metric.VALUE)
OPENED = cython.declare(cython.int, lifecycle.OPENED)
CLOSE = cython.declare(cython.int, lifecycle.CLOSE)
REVERSED = cython.declare(cython.int, lifecycle.REVERSED)

# One taker's trades lie within this time of the first.
TAKER_NS = cython.declare(cython.longlong, 1_000_000)
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


@cython.cclass
class Burst(Metric):
    """What takers did within the last moments: ``{net, gross, crowd, share}``, in base units.

    ``net``: bought less sold, ``gross``: both together; ``crowd``: the net size without the largest taker of its side
    (0 where that one was all of it), as a crowd is many; ``share`` of the volume of that side that was traded at this
    trade's price. Trades of one side within a millisecond of the first are one taker; he comes and is forgotten as of
    that one. Positive: bought. Input: sided trades. Cost: the same however many there are.
    """

    inputs: ClassVar[str] = "trade"
    outputs: ClassVar[tuple[str, ...]] = ("net", "gross", "crowd", "share")
    shape: ClassVar[str] = "dict"
    _window_ns: cython.longlong
    _flow: Sums
    _trades: Any  # (taker's time, price, side, size) of each, oldest first
    _at: dict  # type: ignore[type-arg]  # a C type; by side and price [size, trades]
    _largest: tuple  # type: ignore[type-arg]  # a C type
    _sign: cython.int
    _taker_ns: cython.longlong
    _took: cython.double

    def __init__(self, window_ms: int, grid: Grid) -> None:
        super().__init__(4)
        self._window_ns = window_ms * NS_PER_MS
        self._flow = Sums(2)
        self._trades = deque[tuple[int, int, int, float]]()
        self._at = {}
        # Of sellers and buyers: (time, size) of those that no later one exceeds, so that the first is the largest.
        self._largest = (deque[tuple[int, float]](), deque[tuple[int, float]]())
        self._sign = 0
        self._taker_ns = 0
        self._took = 0.0

    @cython.ccall
    def trade(self, px: cython.longlong, size: cython.double, sign: cython.int, t_ns: cython.longlong) -> cython.int:
        if sign == 0:
            return NO_VALUE
        self._evict(t_ns - self._window_ns)
        self._take(size, 1 if sign > 0 else -1, t_ns)
        self._enter(px, size)
        self._answer(px)
        return VALUE

    def _evict(self, until_ns: int) -> None:
        """Takers who came at this time or before are forgotten."""
        trades = self._trades
        while trades and trades[0][0] <= until_ns:
            _, px, sign, size = trades.popleft()
            there = self._at[sign, px]
            there[0] -= size
            there[1] -= 1
            if not there[1]:
                del self._at[sign, px]
        for largest in self._largest:
            while largest and largest[0][0] <= until_ns:
                largest.popleft()
        self._flow.evict(until_ns)

    def _take(self, size: float, sign: int, t_ns: int) -> None:
        """The taker of this trade: the last one, or another."""
        largest = self._largest[sign > 0]
        if self._trades and sign == self._sign and t_ns - self._taker_ns <= TAKER_NS:
            largest.pop()  # he is the last of his side, and has taken more
            self._took += size
        else:
            self._taker_ns, self._took, self._sign = t_ns, size, sign
        while largest and largest[len(largest) - 1][1] <= self._took:
            largest.pop()
        largest.append((self._taker_ns, self._took))

    def _enter(self, px: int, size: float) -> None:
        self._trades.append((self._taker_ns, px, self._sign, size))
        there = self._at.setdefault((self._sign, px), [0.0, 0])
        there[0] += size
        there[1] += 1
        self._flow.row[0] = size if self._sign > 0 else 0.0
        self._flow.row[1] = size if self._sign < 0 else 0.0
        self._flow.push(self._taker_ns)

    def _answer(self, px: int) -> None:
        net = self._flow.sums[0] - self._flow.sums[1]
        gross = self._flow.sums[0] + self._flow.sums[1]
        side = 1 if net > 0 else -1
        largest = self._largest[side > 0]
        here = self._at.get((side, px))
        self.out[0] = net
        self.out[1] = gross
        self.out[2] = side * max(0.0, abs(net) - (largest[0][1] if largest else 0.0))
        self.out[3] = min(2.0 * here[0] / (gross + abs(net)), 1.0) if here is not None and gross > 0 else 0.0


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
