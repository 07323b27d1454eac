"""What to do with a signal: how much, where to stop, how to slice, whether to hedge now. One decision per row."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar, Literal

from msgspec import Struct

from imbalanced.metrics.metric import NO_VALUE, NOT_INPUT, VALUE, Grid, Metric
from imbalanced.metrics.plain import items, members, number, picked
from imbalanced.metrics.statistics import AtLeastOne
from imbalanced.options import NonNegative, Positive, Share


class PositionSizeOptions(Struct, frozen=True, kw_only=True):
    """How bold.

    ``target_vol``: wanted volatility at full score (fraction per year, default 0.2).
    ``kelly_fraction``: how much of the Kelly bet is allowed (default 0.25).
    ``max_weight``: never more than this (weight, default 1).
    """

    target_vol: NonNegative = Decimal("0.2")
    kelly_fraction: NonNegative = Decimal("0.25")
    max_weight: NonNegative = Decimal(1)


class PositionSize(Metric):
    """``clip(score * target_vol / vol, -cap, cap)``, a weight: the volatility target under a Kelly cap.

    ``cap = min(kelly_fraction |edge| / var, max_weight)``. Positive: long. ``vol`` is per year, ``edge`` and ``var``
    of the same period. No value: ``vol`` or ``var`` is 0. Input: row, ``x = {score, vol, edge, var}``. Source: Kelly
    1956.
    """

    Options: ClassVar[type[Struct]] = PositionSizeOptions
    inputs: ClassVar[str] = "row"

    def __init__(self, options: PositionSizeOptions, grid: Grid) -> None:
        super().__init__(1)
        self._target, self._kelly = float(options.target_vol), float(options.kelly_fraction)
        self._max = float(options.max_weight)

    def event(self, event: object, t_ns: int) -> int:
        given = picked(event, "row")
        if given is None:
            return NOT_INPUT
        score, vol, edge, var = members(given.get("x"), ("score", "vol", "edge", "var"))
        if vol < 0 or var < 0:
            raise ValueError(f"x is {given.get('x')!r}, expected vol and var of at least 0")
        if vol == 0 or var == 0:
            return NO_VALUE
        cap = min(self._kelly * abs(edge) / var, self._max)
        self.out[0] = max(-cap, min(cap, score * self._target / vol))
        return VALUE


class AtrStopOptions(Struct, frozen=True, kw_only=True):
    """How far away.

    ``bars``: over how many bars the range is averaged (count, default 14).
    ``multiple``: distance of the stop in average ranges (default 2).
    ``side``: of the position, 1 long or -1 short (required).
    """

    side: Literal[1, -1]
    bars: AtLeastOne = 14
    multiple: Positive = Decimal(2)


class AtrStop(Metric):
    """``{atr, stop: close - side * multiple * atr}``, prices: a stop at some average true ranges.

    True range: ``high - low`` of the first bar, then ``max(h - l, |h - c_prev|, |l - c_prev|)``. The mean of the first
    ``bars``, then Wilder's ``(atr (n - 1) + range) / n``. No value: fewer bars. Input: row,
    ``x = [high, low, close]``. Source: Wilder 1978.
    """

    Options: ClassVar[type[Struct]] = AtrStopOptions
    inputs: ClassVar[str] = "row"
    outputs: ClassVar[tuple[str, ...]] = ("atr", "stop")
    shape: ClassVar[str] = "dict"

    def __init__(self, options: AtrStopOptions, grid: Grid) -> None:
        super().__init__(2)
        self._bars, self._away = options.bars, options.side * float(options.multiple)
        self._seen = 0
        self._close = 0.0
        self._atr = 0.0  # the sum of the ranges until there are enough

    def event(self, event: object, t_ns: int) -> int:
        given = picked(event, "row")
        if given is None:
            return NOT_INPUT
        high, low, close = items(given.get("x"), 3)
        if high < low:
            raise ValueError(f"x is {given.get('x')!r}, expected a high of at least the low")
        span = high - low
        if self._seen:
            span = max(span, abs(high - self._close), abs(low - self._close))
        self._close = close
        self._seen += 1
        if self._seen <= self._bars:
            self._atr += span
            if self._seen < self._bars:
                return NO_VALUE
            self._atr /= self._bars
        else:
            self._atr += (span - self._atr) / self._bars
        self.out[0] = self._atr
        self.out[1] = close - self._away * self._atr
        return VALUE


class TiltedScheduleOptions(Struct, frozen=True, kw_only=True):
    """The order and its plan.

    ``quantity``: how much is to be traded (base units, required).
    ``curve``: weights of the slices, above 0; flat is TWAP, the volume curve is VWAP (required).
    ``side``: 1 buys, -1 sells (required).
    ``max_slice``: no slice but the last is larger (base units, required).
    ``gain``: how strongly the signal speeds up or slows down (default 0.5).
    """

    quantity: Positive
    curve: tuple[Positive, ...]
    side: Literal[1, -1]
    max_slice: Positive
    gain: NonNegative = Decimal("0.5")

    def __post_init__(self) -> None:
        if not self.curve:
            raise ValueError("curve of at least one weight")


class TiltedSchedule(Metric):
    """``left * curve_i / sum_{j >= i} curve_j * max(0, 1 + gain * side * x)``, base units: the size of slice ``i``.

    At most ``max_slice`` and what is left; the last slice is all that is left, whatever its size. ``x`` is the signal
    in [-1, 1]: an order goes faster while the market moves against its waiting. No value: no slice is left. Input:
    row, ``x`` a number. Source of the idea: Cartea & Jaimungal 2016.
    """

    Options: ClassVar[type[Struct]] = TiltedScheduleOptions
    inputs: ClassVar[str] = "row"

    def __init__(self, options: TiltedScheduleOptions, grid: Grid) -> None:
        super().__init__(1)
        rest = Decimal(0)
        shares: list[float] = []
        for weight in reversed(options.curve):
            rest += weight
            shares.append(float(weight / rest))
        self._shares = shares  # the next slice is the last item
        self._left, self._max = float(options.quantity), float(options.max_slice)
        self._gain = float(options.gain) * options.side

    def event(self, event: object, t_ns: int) -> int:
        given = picked(event, "row")
        if given is None:
            return NOT_INPUT
        x = number(given.get("x"), "x")
        if not self._shares:
            return NO_VALUE
        size = self._left * self._shares.pop() * max(0.0, 1.0 + self._gain * x)
        size = min(size, self._max, self._left) if self._shares else self._left
        self._left -= size
        self.out[0] = size
        return VALUE


class DeltaHedgeOptions(Struct, frozen=True, kw_only=True):
    """When to hedge.

    ``band``: net delta up to this stays (base units, default 0).
    ``gain``: share of the hedge that waits at a full opposing signal (0 to 1, default 0.5).
    """

    band: NonNegative = Decimal(0)
    gain: Share = Decimal("0.5")


class DeltaHedge(Metric):
    """What to trade now to be neutral: ``-net_delta``, or less while the market pushes against it.

    Base units, positive buys. 0 within the band. If ``need * signal < 0`` (selling into buyers, buying into sellers):
    ``need (1 - gain |signal|)``, the rest waits. Always a value on a row. Input: row, ``x = {net_delta, signal}``.
    """

    Options: ClassVar[type[Struct]] = DeltaHedgeOptions
    inputs: ClassVar[str] = "row"

    def __init__(self, options: DeltaHedgeOptions, grid: Grid) -> None:
        super().__init__(1)
        self._band, self._gain = float(options.band), float(options.gain)

    def event(self, event: object, t_ns: int) -> int:
        given = picked(event, "row")
        if given is None:
            return NOT_INPUT
        net_delta, signal = members(given.get("x"), ("net_delta", "signal"))
        need = 0.0 if abs(net_delta) <= self._band else -net_delta
        if need > 0 > signal or need < 0 < signal:
            need *= 1.0 - self._gain * abs(signal)
        self.out[0] = need
        return VALUE
