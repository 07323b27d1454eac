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
    from imbalanced.detect.detector import Detector
    from imbalanced.detect.past import Past, TickSize
    from imbalanced.metrics.metric import Metric
    from imbalanced.metrics.volume import Absorption
else:
    from cython.cimports.imbalanced.detect.detector import Detector
    from cython.cimports.imbalanced.detect.past import Past, TickSize
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
from imbalanced.options import Doc, Millis, Millis0, NonNegative, Positive, Share

# As C integers: a Python global costs a lookup and a conversion at every answer.
VALUE = cython.declare(cython.int, metric.VALUE)
OPENED = cython.declare(cython.int, lifecycle.OPENED)
# What is usual: ten minutes, sampled once a second, known after one.
GRID_MS, SAMPLES, KNOWN_AFTER = 1_000, 600, 60


# What differs by mode and is not given has the mode's own default.
_OF_MODE: dict[str, dict[str, Any]] = {
    "absorption": {
        "on": Decimal("1.5"),
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

    on: Annotated[Positive | None, Doc("open at a score of at least this; 1.5, accumulation 0.5")] = None  # type: ignore[assignment]
    off: Annotated[NonNegative | None, Doc("close below this; 0.5, accumulation 0.2")] = None  # type: ignore[assignment]
    min_duration_ms: Annotated[Millis0 | None, Doc("the score must hold so long; 500ms, accumulation 2s")] = None  # type: ignore[assignment]
    cooldown_ms: Millis0 = 10_000
    max_age_ms: Annotated[Millis | None, Doc("an open signal ends after so long; 1m, accumulation 5m")] = None  # type: ignore[assignment]
    horizon_ms: Annotated[Millis | None, Doc("on which it is graded; 5s, accumulation 30s")] = None  # type: ignore[assignment]
    times_usual: Annotated[NonNegative | None, Doc("times the usual peak; 3, accumulation 0")] = None  # type: ignore[assignment]
    mode: Annotated[Literal["absorption", "accumulation"], Doc("takers who fail, or makers who build")] = "absorption"
    window_ms: Annotated[Millis, Doc("absorption: of the takers' net volume and the price move")] = 5_000
    max_move_ticks: Annotated[NonNegative, Doc("absorption: the price may move so far")] = Decimal(1)
    q: Annotated[Share, Doc("absorption: quantile of net volume that must be reached")] = Decimal("0.9")
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
class AbsorptionSignal(Detector):
    """Net taker volume that did not move the price, against its own past; or depth that is built by what stays.

    ``mode: absorption`` (default): ``absorption`` with ``min_net`` the ``q`` quantile of net volume and ``ref_volume``
    the median volume of a window, both of ten minutes, sampled once a second; 0 once the window is empty. Positive:
    sellers hit a wall of buyers. ``mode: accumulation``: ``max(0, -bid) - max(0, -ask)`` of ``exhaustion``, where
    ``cancel_add.ratio`` agrees by at least ``min_ratio``. Positive: bids are built. No value: the book is not live,
    crossed or one-sided; the first minute of trades, half-life of a book. Source: after Hautsch & Huang 2012;
    practitioners' measure.
    """

    Options: ClassVar[type[Struct]] = AbsorptionOptions
    inputs: ClassVar[str] = "book trade"
    family: ClassVar[str] = "effort"
    _accumulates: cython.bint
    _effort: Absorption
    _tick: TickSize
    _tick_px: cython.longlong
    _net: Past
    _volume: Past
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
        unit = Decimal(1).scaleb(-grid.price_scale)
        about = EffortOptions(
            window_ms=options.window_ms,
            tick=unit if grid.tick is None else grid.tick,
            max_move_ticks=options.max_move_ticks,
            min_net=Decimal(0),
            ref_volume=Decimal(1),
        )
        self._accumulates = options.mode == "accumulation"
        self._effort = Absorption(about, grid)
        self._tick = TickSize(grid)
        self._tick_px = self._tick.px
        self._net = Past(str(options.q), SAMPLES, KNOWN_AFTER, GRID_MS)
        self._volume = Past("0.5", SAMPLES, KNOWN_AFTER, GRID_MS)
        self._window_ns = options.window_ms * NS_PER_MS
        self._depth = Exhaustion(ExhaustionOptions(bps=options.bps, half_life_ms=options.half_life_ms), grid)
        self._changes = CancelAdd(CancelAddOptions(), grid)
        self._ratio = float(options.min_ratio)
        self._min_net = nan
        self._ref_volume = nan
        self._half_life_ns = options.half_life_ms * NS_PER_MS
        used = [self._depth, self._changes] if self._accumulates else [self._effort, self._tick]
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
            effort.step_of(self._tick_px)
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
        volume: cython.double
        net: cython.double
        self._net.observe(fabs(self._effort.net()), self.now_ns)
        if self._volume.observe(self._effort.gross(), self.now_ns):
            volume = self._volume.threshold()
            net = self._net.threshold()
            if volume > 0 and net > 0:
                self._effort.ref_volume = volume
                self._effort.min_net = net

    @cython.ccall
    def magnitude(self) -> cython.double:
        return self.raw if self._accumulates else self._effort.net()

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
            "net_volume": self._effort.net(),
            "min_net": self._min_net,
            "ref_volume": self._ref_volume,
        }
