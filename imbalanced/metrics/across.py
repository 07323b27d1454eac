# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Across venues: one number of all books of an asset, and which of two prices moves first.

These metrics see events of several venues; whoever feeds them says with ``select`` whose event comes next.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from decimal import Decimal
from math import nan
from typing import ClassVar

import cython
from msgspec import Struct, field

if not cython.compiled:
    from imbalanced.book import Book
    from imbalanced.metrics.depth import Band, notional_from
    from imbalanced.metrics.metric import Metric
else:
    from cython.cimports.imbalanced.book import Book
    from cython.cimports.imbalanced.metrics.depth import Band, notional_from
    from cython.cimports.imbalanced.metrics.metric import Metric

from imbalanced.metrics import metric
from imbalanced.metrics.evaluation import PENDING
from imbalanced.metrics.metric import NS_PER_MS, Grid
from imbalanced.options import Millis0, NonNegative, Positive

# As C integers: a Python global costs a lookup and a conversion at every answer.
NO_VALUE = cython.declare(cython.int, metric.NO_VALUE)
VALUE = cython.declare(cython.int, metric.VALUE)


class SupplyDemandOptions(Struct, frozen=True, kw_only=True):
    """``bps``: distance of the band's edges from each venue's own mid in basis points, default 20, edges included.

    ``max_age``: a venue whose last book event is older does not count, default 2 s.
    ``weights``: venue to weight, 0 or more; 1 for a venue that is not named, which is the default.
    """

    bps: Positive = Decimal(20)
    max_age_ms: Millis0 = 2000
    weights: dict[str, NonNegative] = field(default_factory=dict)


@cython.cclass
class VenueDepth:
    """What one venue's book held within ``bps`` of its mid at its last event, in quote units (``px / per_unit``)."""

    def __init__(self, bps: Decimal, per_unit: float) -> None:
        self._band = Band(bps)
        self.per_unit = per_unit
        self.ok = False
        self.t_ns = 0
        self.bid = 0.0
        self.ask = 0.0

    @cython.ccall
    def look(self, book: Book, t_ns: cython.longlong) -> cython.void:
        """The book changed."""
        self.t_ns = t_ns
        self.ok = book.ok()
        if self.ok:
            self._band.place(book)
            self.bid = notional_from(book.bids, self._band.bids) / self.per_unit
            self.ask = notional_from(book.asks, self._band.asks) / self.per_unit


@cython.cclass
class Depths:
    """The depth of several books: ``fresh`` counts those that the last ``imbalance`` rests on, ``surplus`` is what bids
    exceed asks by in them.
    """

    def __init__(self, max_age_ns: int) -> None:
        self._max_age_ns = max_age_ns
        self._depths: list[VenueDepth] = []
        self._weights: list[float] = []
        self.fresh = 0
        self.surplus = 0.0

    def add(self, depth: VenueDepth, weight: float) -> None:
        """One more book."""
        self._depths.append(depth)
        self._weights.append(weight)

    @cython.ccall
    def imbalance(self, t_ns: cython.longlong) -> cython.double:
        """``sum w (x_b - x_a) / sum w (x_b + x_a)`` over the books that are sound and fresh; NaN where there is
        nothing.
        """
        depth: VenueDepth
        i: cython.Py_ssize_t
        weight: cython.double
        difference: cython.double = 0.0
        total: cython.double = 0.0
        self.fresh = 0
        for i in range(len(self._depths)):
            depth = self._depths[i]
            if depth.ok and t_ns - depth.t_ns <= self._max_age_ns:
                weight = self._weights[i]
                difference += weight * (depth.bid - depth.ask)
                total += weight * (depth.bid + depth.ask)
                self.fresh += 1
        self.surplus = difference
        if total == 0:
            return nan
        return max(-1.0, min(1.0, difference / total))


@cython.cclass
class SupplyDemand(Metric):
    """Supply-demand imbalance of all venues: ``sum w (x_b - x_a) / sum w (x_b + x_a)``, in [-1, 1]; positive: more
    bids.

    ``x_b`` and ``x_a`` are the notional within ``bps`` of that venue's own mid, over the venues whose book is live,
    two-sided and not crossed and whose last book event is at most ``max_age`` old; ``w`` are the weights. No value: no
    such venue has anything in its band. Notional makes contracts and quote currencies comparable only where these are
    dollar-like. Cost: the levels in the band of the touched venue. Source: depth imbalance of Cao, Hansch & Wang 2009,
    summed over venues.
    """

    Options: ClassVar[type[Struct]] = SupplyDemandOptions
    inputs: ClassVar[str] = "books clock"
    _bps: Decimal
    _weights: dict[str, float]
    _per_unit: cython.double
    _depths: Depths
    _named: dict[str, VenueDepth]
    _now: VenueDepth

    def __init__(self, options: SupplyDemandOptions, grid: Grid) -> None:
        super().__init__(1)
        self._bps = Decimal(options.bps)
        self._weights = {venue: float(weight) for venue, weight in options.weights.items()}
        self._per_unit = grid.per_unit
        self._depths = Depths(options.max_age_ms * NS_PER_MS)
        self._named = {}
        self.select("")

    @cython.ccall
    def select(self, venue: str, per_unit: cython.double = 0.0) -> cython.void:
        """The next book event is this venue's, whose price unit is ``1 / per_unit`` (0: that of the metric's grid)."""
        if venue not in self._named:
            self._named[venue] = VenueDepth(self._bps, per_unit if per_unit > 0 else self._per_unit)
            self._depths.add(self._named[venue], self._weights.get(venue, 1.0))
        self._now = self._named[venue]

    @cython.cfunc
    def _sum(self, t_ns: cython.longlong) -> cython.int:
        imbalance: cython.double = self._depths.imbalance(t_ns)
        if imbalance != imbalance:
            return NO_VALUE
        self.out[0] = imbalance
        return VALUE

    @cython.ccall
    def book_replaced(self, book: Book, t_ns: cython.longlong) -> cython.int:
        return self.book_changed(book, t_ns)

    @cython.ccall
    def book_changed(self, book: Book, t_ns: cython.longlong) -> cython.int:
        self._now.look(book, t_ns)
        return self._sum(t_ns)

    @cython.ccall
    def book_invalid(self, t_ns: cython.longlong) -> cython.int:
        self._now.ok = False
        return self._sum(t_ns)

    @cython.ccall
    def clock(self, book: Book, t_ns: cython.longlong) -> cython.int:
        return self._sum(t_ns)


class LeadLagOptions(Struct, frozen=True, kw_only=True):
    """``lags``: by how much y is moved back before it is compared with x; default from -1 s to 1 s in 11 steps.

    Positive lags ask whether x leads, negative ones whether y does.
    """

    lags_ms: tuple[int, ...] = (-1000, -500, -200, -100, -50, 0, 50, 100, 200, 500, 1000)


@cython.cclass
class LeadLag(Metric):
    """Hayashi-Yoshida covariance of two prices per lag: a dict from the lag in ms to ``sum(dx dy)``.

    Offline: the answer comes at the last value; the ``venue`` of a value is ``x`` or ``y``. Increments of x over ``(a0,
    a1]`` and of y over ``(b0, b1]`` between successive values are multiplied where ``a0 < b1 - lag`` and ``b0 - lag <
    a1``; neither series is resampled. In the square of the values' unit. A large covariance at a positive lag means
    that x leads y. Clocks of venues differ, so take the times of one machine. Cost: a search per value and lag.
    Source: Hayashi & Yoshida 2005; Hoffmann, Rosenbaum & Yoshida 2013.
    """

    Options: ClassVar[type[Struct]] = LeadLagOptions
    inputs: ClassVar[str] = "value"
    shape: ClassVar[str] = "dict"
    _lags: tuple[int, ...]
    _series: dict[str, tuple[list[int], list[float]]]
    _venue: str
    _fed: cython.Py_ssize_t

    def __init__(self, options: LeadLagOptions, grid: Grid) -> None:
        super().__init__(len(options.lags_ms))
        self._lags = options.lags_ms
        self._series = {"x": ([], []), "y": ([], [])}
        self._venue = "x"
        self._fed = 0

    def names(self) -> tuple[str, ...]:
        return tuple(map(str, self._lags))

    def select(self, venue: str) -> None:
        """The next value is this one's, "x" or "y"."""
        self._venue = venue

    @cython.ccall
    def value(self, x: cython.double, t_ns: cython.longlong) -> cython.int:
        if self._venue not in self._series:
            raise ValueError(f'venue is {self._venue!r}, expected "x" or "y"')
        times, values = self._series[self._venue]
        self._fed += 1
        if x == x:
            times.append(t_ns)
            values.append(x)
        return PENDING

    def finish(self) -> list[dict[str, float] | None]:
        """One answer per value: only the last one has one."""
        if self._fed == 0:
            return []
        return [*[None] * (self._fed - 1), {str(lag): self._covariance(lag * NS_PER_MS) for lag in self._lags}]

    def _covariance(self, lag_ns: int) -> float:
        (x_times, xs), (y_times, ys) = self._series["x"], self._series["y"]
        total = 0.0
        last = len(ys) - 1
        for i in range(1, len(xs)):
            # The increments of y that overlap follow each other: their sum is the difference of two values.
            low = max(bisect_right(y_times, x_times[i - 1] + lag_ns) - 1, 0)
            high = min(bisect_left(y_times, x_times[i] + lag_ns), last)
            if low < high:
                total += (xs[i] - xs[i - 1]) * (ys[high] - ys[low])
        return total
