"""Signals from slow context: open interest, funding, crowding, forced orders. Plain Python: these are polls."""

from __future__ import annotations

from decimal import Decimal
from math import isfinite, nan
from typing import Annotated, ClassVar

from msgspec import Struct

from imbalanced.detect.detector import CONTEXT, Detector, DetectorOptions
from imbalanced.detect.past import Past
from imbalanced.detect.standardiser import Standardise
from imbalanced.metrics.derivatives import (
    FundingPressure,
    LiquidationImbalance,
    LiquidationOptions,
    OiImbalance,
    OiImbalanceOptions,
)
from imbalanced.metrics.lifecycle import OPENED
from imbalanced.metrics.metric import VALUE, Grid, Metric
from imbalanced.options import Doc, Millis, Millis0, NonNegative, Positive, Range, Share

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
Polls = Annotated[int, Range(ge=0, le=1000)]


class PolledOptions(DetectorOptions, frozen=True, kw_only=True):
    """What kinds over polls have beside the others."""

    on: Annotated[Positive, Doc("open at a score of at least this")] = Decimal("2.5")
    min_duration_ms: Millis0 = 0
    min_polls: Annotated[Polls, Doc("so many polls after the first must confirm it")] = 1


class Polled(Detector):
    """The base of kinds over polls: each poll is one value, and persistence is counted in polls.

    The clock only ends a signal; a poll that has no value neither confirms nor ends one.
    """

    Options: ClassVar[type[Struct]] = PolledOptions
    family: ClassVar[str] = "context"

    def __init__(self, kind: str, name: str, options: PolledOptions, metric: Metric) -> None:
        super().__init__(kind, name, options, [metric], False, wakes=CONTEXT)
        self.instant = True
        self.metric = metric
        self._min_polls = options.min_polls
        self._run = 0

    def shape(self, score: float) -> float:
        """The score, or nothing while too few polls in a row have said the same."""
        if not isfinite(score):
            return nan
        if abs(score) < self.lifecycle.on:
            self._run = 0
        elif self._run * score > 0:
            self._run += 1 if score > 0 else -1
        else:
            self._run = 1 if score > 0 else -1
        if self.lifecycle.state != OPENED and 0 < abs(self._run) <= self._min_polls:
            return nan
        return score


class OpenInterestImbalanceOptions(PolledOptions, frozen=True, kw_only=True):
    """Open interest is polled once a minute or slower."""

    cooldown_ms: Millis0 = 15 * MINUTE_MS
    max_age_ms: Millis = HOUR_MS
    horizon_ms: Millis = 5 * MINUTE_MS
    window_ms: Annotated[Millis, Doc("how far back the reference lies")] = 5 * MINUTE_MS
    standardise: Standardise = Standardise(by="robust_z", window=300, min_count=30, grid_ms=MINUTE_MS)


class OpenInterestImbalance(Polled):
    """The robust z-score of ``oi_imbalance.score``: unusual growth of open interest with the price, or against it.

    Positive: buyers open, or shorts cover. No value: before 30 samples (one a minute), or where most of them are equal.
    Source: practitioners' measure.
    """

    Options: ClassVar[type[Struct]] = OpenInterestImbalanceOptions
    inputs: ClassVar[str] = "oi"

    def __init__(self, kind: str, name: str, options: OpenInterestImbalanceOptions, grid: Grid) -> None:
        super().__init__(kind, name, options, OiImbalance(OiImbalanceOptions(window_ms=options.window_ms), grid))

    def read(self) -> float:
        return self.metric.out[3] if self.metric.answered == VALUE else nan

    def evidence(self) -> dict[str, float | None]:
        known = self.metric.answered == VALUE
        return {
            "oi_score": self.raw,
            "oi_change_bps": self.metric.out[1] if known else None,
            "price_change_bps": self.metric.out[2] if known else None,
        }


class FundingExtremeOptions(PolledOptions, frozen=True, kw_only=True):
    """Extremes only, and against them."""

    cooldown_ms: Millis0 = 4 * HOUR_MS
    max_age_ms: Millis = DAY_MS
    horizon_ms: Millis = 4 * HOUR_MS
    standardise: Standardise = Standardise(by="robust_z", window=720, min_count=30, grid_ms=HOUR_MS)


class FundingExtreme(Polled):
    """Minus the robust z-score of the 8-hour funding rate over 30 days, where the basis has the rate's sign.

    Contrarian. Positive: shorts pay unusually much. No value: before 30 samples (one an hour), or where the venue does
    not say the rate. The basis counts when it opens. Source: practitioners' measure.
    """

    Options: ClassVar[type[Struct]] = FundingExtremeOptions
    inputs: ClassVar[str] = "funding"

    def __init__(self, kind: str, name: str, options: FundingExtremeOptions, grid: Grid) -> None:
        super().__init__(kind, name, options, FundingPressure(None, grid))
        self._basis = nan

    def read(self) -> float:
        if self.metric.answered != VALUE:
            return nan
        # Many venues say rate and basis in messages of their own.
        if isfinite(self.metric.out[2]):
            self._basis = self.metric.out[2]
        return self.metric.out[0]

    def shape(self, score: float) -> float:
        agrees = self.raw * self._basis > 0
        return super().shape(-score if agrees or self.lifecycle.state == OPENED else 0.0 * score)

    def evidence(self) -> dict[str, float | None]:
        return {"rate_8h_bps": self.raw, "basis_bps": self._basis}


class LiquidationCascadeOptions(PolledOptions, frozen=True, kw_only=True):
    """One event carries the evidence: cascades feed themselves, and venues' feeds are lower bounds."""

    on: Annotated[Positive, Doc("open at a score of at least this")] = Decimal("0.6")
    off: Annotated[NonNegative, Doc("strength counts from here on")] = Decimal("0.2")
    min_polls: Annotated[Polls, Doc("so many more liquidations must confirm it")] = 0
    cooldown_ms: Millis0 = 30_000
    max_age_ms: Millis = 120_000
    horizon_ms: Millis = 30_000
    update_step: NonNegative = Decimal("0.1")
    window_ms: Annotated[Millis, Doc("over which forced orders are summed")] = 60_000
    q: Annotated[Share, Doc("quantile of their notional in a day that it must be over")] = Decimal("0.95")
    standardise: Standardise = Standardise(by="none")


class LiquidationCascade(Polled):
    """``liquidation_imbalance`` where its notional is over a high quantile of the day, sampled once a minute.

    Positive: forced buying, shorts are closed. No value: no forced order now, not more than usual, or before 30 minutes
    were seen. Source: practitioners' measure.
    """

    Options: ClassVar[type[Struct]] = LiquidationCascadeOptions
    inputs: ClassVar[str] = "liquidation"
    bounded: ClassVar[bool] = True

    def __init__(self, kind: str, name: str, options: LiquidationCascadeOptions, grid: Grid) -> None:
        self._forced = LiquidationImbalance(LiquidationOptions(window_ms=options.window_ms), grid)
        self._notional = Past(str(options.q), 1440, 30, MINUTE_MS)
        super().__init__(kind, name, options, self._forced)

    def read(self) -> float:
        usual = self._notional.threshold()
        notional = self._forced.notional
        self._notional.observe(notional, self.now_ns)
        if self._forced.answered != VALUE or not notional > usual:
            return nan
        value = self._forced.out[0]
        return value if abs(value) >= self.lifecycle.on else nan

    def clock(self, t_ns: int) -> int:
        self._notional.observe(self._forced.notional, t_ns)
        return super().clock(t_ns)

    def evidence(self) -> dict[str, float | None]:
        return {"liquidation_imbalance": self._forced.out[0], "notional": self._forced.notional}
