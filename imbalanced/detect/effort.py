# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Effort without result: takers who do not move the price, and depth that is built up by orders that stay."""

from __future__ import annotations

from decimal import Decimal
from math import nan
from typing import Annotated, Any, ClassVar, Literal

import cython
from cython.cimports.libc.math import fabs
from msgspec import Struct
from msgspec.structs import force_setattr

if not cython.compiled:
    from imbalanced.book import Book
    from imbalanced.detect.detector import Detector
    from imbalanced.detect.past import Past, TickSize
    from imbalanced.detect.scales import TakerScales
    from imbalanced.metrics.metric import Metric
    from imbalanced.metrics.volume import Absorption
else:
    from cython.cimports.imbalanced.book import Book
    from cython.cimports.imbalanced.detect.detector import Detector
    from cython.cimports.imbalanced.detect.past import Past, TickSize
    from cython.cimports.imbalanced.detect.scales import TakerScales
    from cython.cimports.imbalanced.metrics.metric import Metric
    from cython.cimports.imbalanced.metrics.volume import Absorption

from imbalanced.detect import detector
from imbalanced.detect.detector import DetectorOptions
from imbalanced.detect.standardiser import Standardise
from imbalanced.metrics import lifecycle, metric
from imbalanced.metrics.cancels import CancelAdd, CancelAddOptions
from imbalanced.metrics.depth import Exhaustion, ExhaustionOptions
from imbalanced.metrics.metric import NS_PER_MS, Grid
from imbalanced.metrics.volume import AbsorptionOptions as EffortOptions
from imbalanced.options import Doc, Millis, Millis0, NonNegative, Positive, Range, Share

# As C integers: a Python global costs a lookup and a conversion at every answer.
NO_VALUE = cython.declare(cython.int, metric.NO_VALUE)
VALUE = cython.declare(cython.int, metric.VALUE)
OPENED = cython.declare(cython.int, lifecycle.OPENED)
# What is usual: ten minutes, sampled once a second, known after one.
GRID_MS, SAMPLES, KNOWN_AFTER = 1_000, 600, 60

Scale = Annotated[int, Range(ge=1, le=10)]


# What differs by mode and is not given has the mode's own default.
_OF_MODE: dict[str, dict[str, Any]] = {
    "absorption": {
        "on": Decimal(1),
        "off": Decimal("0.5"),
        "min_duration_ms": 500,
        "max_age_ms": 60_000,
        "horizon_ms": 5_000,
        "times_usual": Decimal(3),
    },
    "accumulation": {
        "on": Decimal("0.5"),
        "off": Decimal("0.2"),
        "min_duration_ms": 2_000,
        "max_age_ms": 300_000,
        "horizon_ms": 30_000,
        "times_usual": Decimal(0),
    },
}


class AbsorptionOptions(DetectorOptions, frozen=True, kw_only=True):
    """Large effort, no result; or (``mode: accumulation``) depth built by additions that stay."""

    on: Annotated[Positive | None, Doc("open at a score of at least this; 1, accumulation 0.5")] = None  # type: ignore[assignment]
    off: Annotated[NonNegative | None, Doc("close below this; 0.5, accumulation 0.2")] = None  # type: ignore[assignment]
    min_duration_ms: Annotated[Millis0 | None, Doc("the score must hold so long; 500ms, accumulation 2s")] = None  # type: ignore[assignment]
    cooldown_ms: Millis0 = 10_000
    max_age_ms: Annotated[Millis | None, Doc("an open signal ends after so long; 1m, accumulation 5m")] = None  # type: ignore[assignment]
    horizon_ms: Annotated[Millis | None, Doc("on which it is graded; 5s, accumulation 30s")] = None  # type: ignore[assignment]
    times_usual: Annotated[NonNegative | None, Doc("times the usual peak; 3, accumulation 0")] = None  # type: ignore[assignment]
    mode: Annotated[Literal["absorption", "accumulation"], Doc("takers who fail, or makers who build")] = "absorption"
    window_ms: Annotated[Millis, Doc("absorption: of the takers' net pressure and the price move")] = 5_000
    max_move_ticks: Annotated[NonNegative, Doc("absorption: the price may move so far")] = Decimal(1)
    held_ms: Annotated[Millis, Doc("absorption: the shortest window that is held against the usual peak")] = 2_000
    scales: Annotated[Scale, Doc("absorption: such windows, each twice as long as the one before")] = 3
    q: Annotated[Share, Doc("absorption: quantile of net pressure that must be reached")] = Decimal("0.9")
    bps: Annotated[Positive, Doc("accumulation: half-width of the band around the mid")] = Decimal(20)
    half_life_ms: Annotated[Millis, Doc("accumulation: of the average that depth is compared with")] = 30_000
    min_ratio: Annotated[Share, Doc("accumulation: additions over cancellations on that side")] = Decimal("0.2")
    standardise: Standardise = Standardise(by="none")

    def __post_init__(self) -> None:
        for name, own in _OF_MODE[self.mode].items():
            if getattr(self, name) is None:
                force_setattr(self, name, own)
        super().__post_init__()


@cython.cclass
class HeldTakers(TakerScales):
    """What takers press while the price is held, each of them the square root of its notional (``TakerScales``).

    ``effort`` is the ``absorption`` that is scored. ``largest`` is over several windows, as in ``TakerScales`` divided
    by the square root of their length, of those only where the mid did not go with the takers: a burst and a crowd that
    comes for ten seconds are both seen where they stand out. Positive: sellers, who meet buyers.
    """

    effort: Absorption
    _windows: list  # type: ignore[type-arg]  # a C type

    def __init__(self, effort: Absorption, windows: list[Absorption]) -> None:
        super().__init__(1, 0)
        self.effort = effort
        self._windows = windows

    @cython.ccall
    def push(self, x: cython.double, t_ns: cython.longlong) -> cython.void:
        window: Absorption
        sign: cython.int = 1 if x > 0 else -1
        self.effort.answered = self.effort.trade(0, fabs(x), sign, t_ns)
        self.largest = 0.0
        for window in self._windows:
            if window.trade(0, fabs(x), sign, t_ns) == VALUE and fabs(window.out[0]) > fabs(self.largest):
                self.largest = window.out[0]


@cython.cclass
class HeldEffort(Metric):
    """``HeldTakers`` of a book as of the last trade: the value is ``largest``, in square roots of quote units per
    square root of a second; no value at a trade without a side.
    """

    inputs: ClassVar[str] = "book trade"
    effort: Absorption
    _all: list  # type: ignore[type-arg]  # a C type
    _takers: HeldTakers
    _per_unit: cython.double
    _bid: cython.longlong
    _ask: cython.longlong

    def __init__(self, options: AbsorptionOptions, grid: Grid) -> None:
        super().__init__(1)
        self.effort = _effort(options, options.window_ms, Decimal(1), grid)
        lengths = [options.held_ms << i for i in range(options.scales)]
        windows = [_effort(options, length, (Decimal(length) / 1_000).sqrt(), grid) for length in lengths]
        self._all = [self.effort, *windows]
        self._takers = HeldTakers(self.effort, windows)
        self._bid = self._ask = 0
        self._per_unit = grid.per_unit

    def step_of(self, tick: int) -> None:
        """The price step in price units, where it is learned from the book."""
        for one in self._all:
            one.step_of(tick)

    @cython.cfunc
    def _is_where_it_was(self, book: Book) -> cython.bint:
        """Whether the touch has not moved, as after most deltas."""
        bid: cython.longlong = self._bid
        ask: cython.longlong = self._ask
        self._bid = self._ask = 0
        if book.ok():
            self._bid = book.bids.key[book.bids.n - 1]
            self._ask = -book.asks.key[book.asks.n - 1]
        return bid == self._bid and ask == self._ask

    @cython.ccall
    def book_replaced(self, book: Book, t_ns: cython.longlong) -> cython.int:
        one: Absorption
        self._is_where_it_was(book)
        for one in self._all:
            one.answered = one.book_replaced(book, t_ns)
        return NO_VALUE

    @cython.ccall
    def book_changed(self, book: Book, t_ns: cython.longlong) -> cython.int:
        one: Absorption
        if not self._is_where_it_was(book):
            for one in self._all:
                one.book_changed(book, t_ns)
        # Nothing is pressed by it.
        return 0

    @cython.ccall
    def book_invalid(self, t_ns: cython.longlong) -> cython.int:
        one: Absorption
        self._bid = self._ask = 0
        for one in self._all:
            one.answered = one.book_invalid(t_ns)
        return NO_VALUE

    @cython.ccall
    def trade(self, px: cython.longlong, size: cython.double, sign: cython.int, t_ns: cython.longlong) -> cython.int:
        if sign == 0:
            self.effort.answered = NO_VALUE
            return NO_VALUE
        self._takers.take(fabs(px / self._per_unit * size), sign, t_ns)
        self.out[0] = self._takers.largest
        return VALUE


def _effort(options: AbsorptionOptions, window_ms: int, unit: Decimal, grid: Grid) -> Absorption:
    """``absorption`` over this window, in these units."""
    about = EffortOptions(
        window_ms=window_ms,
        tick=Decimal(1).scaleb(-grid.price_scale) if grid.tick is None else grid.tick,
        max_move_ticks=options.max_move_ticks,
        min_net=Decimal(0),
        ref_volume=unit,
    )
    return Absorption(about, grid)


@cython.cclass
class AbsorptionSignal(Detector):
    """What takers press without moving the price, against its own past; or depth that is built by what stays.

    ``mode: absorption`` (default): ``absorption`` of 5 s, where a taker counts the square root of its notional (as the
    price answers to it), with ``min_net`` the ``q`` quantile of net pressure and ``ref_volume`` the median of all
    pressure in a window, both of ten minutes, sampled once a second; 0 once the window is empty. It opens only at
    ``times_usual`` times the usual peak of *held* pressure, the largest over windows of 2, 4 and 8 s by the square root
    of their length: pressure is common, but it moves the price. Positive: sellers hit a wall of buyers.
    ``mode: accumulation``: ``max(0, -bid) - max(0, -ask)`` of ``exhaustion``, where ``cancel_add.ratio`` agrees by at
    least ``min_ratio``. Positive: bids are built. No value: the book is not live, crossed or one-sided; the first
    minute of trades, half-life of a book. Source: after Hautsch & Huang 2012 and Bouchaud, Farmer & Lillo 2009
    (concave impact); practitioners' measure.
    """

    Options: ClassVar[type[Struct]] = AbsorptionOptions
    inputs: ClassVar[str] = "book trade"
    family: ClassVar[str] = "effort"
    _accumulates: cython.bint
    _effort: Absorption
    _held: HeldEffort
    _tick: TickSize
    _tick_px: cython.longlong
    _net: Past
    _gross: Past
    _min_net: cython.double
    _ref_volume: cython.double
    _window_ns: cython.longlong
    _traded_ns: cython.longlong
    _depth: Metric
    _changes: Metric
    _ratio: cython.double
    _since_ns: cython.longlong
    _half_life_ns: cython.longlong

    def __init__(self, kind: str, name: str, options: AbsorptionOptions, grid: Grid) -> None:
        self._accumulates = options.mode == "accumulation"
        self._held = HeldEffort(options, grid)
        self._effort = self._held.effort
        self._tick = TickSize(grid)
        self._tick_px = self._tick.px
        self._net = Past(str(options.q), SAMPLES, KNOWN_AFTER, GRID_MS)
        self._gross = Past("0.5", SAMPLES, KNOWN_AFTER, GRID_MS)
        self._window_ns = options.window_ms * NS_PER_MS
        self._depth = Exhaustion(ExhaustionOptions(bps=options.bps, half_life_ms=options.half_life_ms), grid)
        self._changes = CancelAdd(CancelAddOptions(), grid)
        self._ratio = float(options.min_ratio)
        self._min_net = nan
        self._ref_volume = nan
        self._half_life_ns = options.half_life_ms * NS_PER_MS
        used = [self._depth, self._changes] if self._accumulates else [self._held, self._tick]
        wakes = detector.BOOK if self._accumulates else detector.TRADE
        super().__init__(kind, name, options, used, self._accumulates, wakes=wakes)
        self.instant = not self._accumulates
        self._forget()

    @cython.cfunc
    def _forget(self) -> cython.void:
        self._traded_ns = 0
        self._since_ns = 0

    @cython.ccall
    def cut(self) -> cython.void:
        # What is usual is remembered: it rests on trades alone.
        self._forget()
        if self._accumulates:
            self.usual.clear()

    @cython.ccall
    def read(self) -> cython.double:
        return self._accumulated() if self._accumulates else self._absorbed()

    @cython.cfunc
    def _absorbed(self) -> cython.double:
        """A trade."""
        effort: Absorption = self._effort
        answer: cython.double = nan
        self._traded_ns = self.now_ns
        if self._tick.px != self._tick_px:
            # What was judged with another step is not this trade's.
            self._tick_px = self._tick.px
            self._held.step_of(self._tick_px)
        elif effort.answered == VALUE and effort.min_net > 0:
            answer = effort.out[0]
        self._min_net = effort.min_net if effort.min_net > 0 else nan
        self._ref_volume = effort.ref_volume if effort.min_net > 0 else nan
        if effort.answered == VALUE:
            self._learn()
        return answer

    @cython.cfunc
    def _learn(self) -> cython.void:
        """What is usual, for the next trade."""
        gross: cython.double
        net: cython.double
        self._net.observe(fabs(self._effort.net()), self.now_ns)
        if self._gross.observe(self._effort.gross(), self.now_ns):
            gross = self._gross.threshold()
            net = self._net.threshold()
            if gross > 0 and net > 0:
                self._effort.ref_volume = gross
                self._effort.min_net = net

    @cython.ccall
    def magnitude(self) -> cython.double:
        return self.raw if self._accumulates else self._held.out[0]

    @cython.ccall
    def clock(self, t_ns: cython.longlong) -> cython.int:
        if self._accumulates or self._traded_ns == 0 or t_ns - self._traded_ns <= self._window_ns:
            return Detector.clock(self, t_ns)
        # The window is empty, so nothing is absorbed, whoever trades next.
        self.x = 0.0
        return self.lifecycle.value(0.0, t_ns)

    @cython.cfunc
    def _accumulated(self) -> cython.double:
        bid: cython.double
        ask: cython.double
        score: cython.double
        if self._since_ns == 0:
            self._since_ns = self.now_ns
        if self._depth.answered != VALUE or self.now_ns - self._since_ns < self._half_life_ns:
            return nan
        bid = max(0.0, -self._depth.out[0])
        ask = max(0.0, -self._depth.out[1])
        score = bid - ask
        if self.lifecycle.state == OPENED:
            return score
        # Depth may also be more than usual because nobody takes: only what is added is built.
        if self._changes.answered != VALUE or not self._changes.out[4] * (1 if score > 0 else -1) >= self._ratio:
            return 0.0
        return score

    def evidence(self) -> dict[str, float | None]:
        if self._accumulates:
            known = self._depth.answered == VALUE
            return {
                "exhaustion_bid": self._depth.out[0] if known else None,
                "exhaustion_ask": self._depth.out[1] if known else None,
                "cancel_add_ratio": self._changes.out[4] if self._changes.answered == VALUE else None,
            }
        return {
            "absorption": self.raw,
            "net_pressure": self._effort.net(),
            "min_net": self._min_net,
            "ref_pressure": self._ref_volume,
            "held_pressure": self._held.out[0],
            "usual_peak": self.usual.peak,
        }
