"""The option chain: calls against puts, where the open interest lies, what up costs against down.

An option event replaces the earlier one of the same (expiry, strike, kind). Chains are polled, so this is plain
Python, with fractions: running totals stay exact however often a quote is replaced. What the venue does not say (null)
counts nothing.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from math import nan, sqrt
from typing import Any, ClassVar, Literal, NamedTuple

from msgspec import Struct

from imbalanced.metrics.metric import NO_VALUE, NOT_INPUT, NS_PER_MS, VALUE, Grid, Metric
from imbalanced.metrics.plain import decimal, known, picked
from imbalanced.options import Millis0, Share

KINDS = ("C", "P")


class Contract(NamedTuple):
    """Which option."""

    expiry_ms: int
    strike: Decimal
    kind: str


def contract_of(event: Mapping[str, Any]) -> Contract:
    """Which option an event speaks of; ValueError if it says that badly."""
    expiry, kind = event.get("expiry_ms"), event.get("kind")
    if isinstance(expiry, bool) or not isinstance(expiry, int):
        raise ValueError(f"expiry_ms is {expiry!r}, expected an integer of milliseconds")
    if kind not in KINDS:
        raise ValueError(f'kind is {kind!r}, expected "C" or "P"')
    return Contract(expiry, decimal(event.get("strike"), "strike"), kind)


class OptionImbalanceOptions(Struct, frozen=True, kw_only=True):
    """What is counted, and of which expiry.

    ``field``: ``oi`` open interest (default) or ``volume``.
    ``expiry``: only this expiry (milliseconds since the epoch; null: all that have not expired, default).
    """

    field: Literal["oi", "volume"] = "oi"
    expiry_ms: Millis0 | None = None


class OptionImbalance(Metric):
    """``{put_call_ratio: P / C, imbalance: (C - P) / (C + P), delta_weighted}`` over options that have not expired.

    ``C``, ``P``: open interest (or volume) of calls and of puts; ``delta_weighted`` the same imbalance with each
    option times its ``|delta|``. Positive: calls outweigh puts. Each part is without a value where its denominator is
    0. Volume has no taker side here, so it is a weak sign. Input: option. Source of the idea: Pan & Poteshman 2006
    (who need signed volume).
    """

    Options: ClassVar[type[Struct]] = OptionImbalanceOptions
    inputs: ClassVar[str] = "option"
    outputs: ClassVar[tuple[str, ...]] = ("put_call_ratio", "imbalance", "delta_weighted")
    shape: ClassVar[str] = "dict"

    def __init__(self, options: OptionImbalanceOptions, grid: Grid) -> None:
        super().__init__(3)
        self._field, self._expiry_ms = options.field, options.expiry_ms
        self._chain: dict[int, dict[Contract, tuple[Fraction, Fraction]]] = {}
        self._expiries: list[int] = []
        # kind -> [amount, amount times |delta|]
        self._totals = {kind: [Fraction(0), Fraction(0)] for kind in KINDS}

    def event(self, event: object, t_ns: int) -> int:
        given = picked(event, "option")
        if given is None:
            return NOT_INPUT
        contract = contract_of(given)
        amount = known(given, self._field, least=0) or Fraction(0)
        weighted = amount * abs(known(given, "delta") or Fraction(0))
        self._expire(t_ns)
        alive = contract.expiry_ms * NS_PER_MS > t_ns
        if alive and self._expiry_ms in (None, contract.expiry_ms):
            self._replace(contract, amount, weighted)
        self._answer()
        return VALUE

    def _expire(self, t_ns: int) -> None:
        while self._expiries and self._expiries[0] * NS_PER_MS <= t_ns:
            for contract, (amount, weighted) in self._chain.pop(heapq.heappop(self._expiries)).items():
                self._add(contract, -amount, -weighted)

    def _replace(self, contract: Contract, amount: Fraction, weighted: Fraction) -> None:
        series = self._chain.get(contract.expiry_ms)
        if series is None:
            series = self._chain[contract.expiry_ms] = {}
            heapq.heappush(self._expiries, contract.expiry_ms)
        before = series.get(contract, (Fraction(0), Fraction(0)))
        series[contract] = (amount, weighted)
        self._add(contract, amount - before[0], weighted - before[1])

    def _add(self, contract: Contract, amount: Fraction, weighted: Fraction) -> None:
        totals = self._totals[contract.kind]
        totals[0] += amount
        totals[1] += weighted

    def _answer(self) -> None:
        (calls, calls_delta), (puts, puts_delta) = self._totals["C"], self._totals["P"]
        self.out[0] = _ratio(puts, calls)
        self.out[1] = _ratio(calls - puts, calls + puts)
        self.out[2] = _ratio(calls_delta - puts_delta, calls_delta + puts_delta)


def _ratio(a: Fraction, b: Fraction) -> float:
    return float(a / b) if b else nan


class StrikeSkewOptions(Struct, frozen=True, kw_only=True):
    """``expiry``: the expiry that is looked at (milliseconds since the epoch, required)."""

    expiry_ms: Millis0


class OiStrikeSkew(Metric):
    """``{oi_weighted_strike, distance_bps, above_below, skewness}`` of one expiry's open interest over strikes.

    ``oi_weighted_strike = K = sum o k / sum o`` (price units), ``distance_bps = (K - S) / S * 1e4``,
    ``above_below = (open interest above S - below) / (both)`` in [-1, 1], strikes at S in neither; ``skewness`` the
    third standardised moment of the strikes. ``S`` is the underlying of the event, of whatever expiry. Positive:
    positions lie above the price. A part without a value: nothing above or below; one distinct strike (skewness). No
    value at all: no open interest. Input: option.
    """

    Options: ClassVar[type[Struct]] = StrikeSkewOptions
    inputs: ClassVar[str] = "option"
    outputs: ClassVar[tuple[str, ...]] = ("oi_weighted_strike", "distance_bps", "above_below", "skewness")
    shape: ClassVar[str] = "dict"

    def __init__(self, options: StrikeSkewOptions, grid: Grid) -> None:
        super().__init__(4)
        self._expiry_ms = options.expiry_ms
        self._chain: dict[Contract, Fraction] = {}
        self._strikes: dict[Decimal, Fraction] = {}  # open interest per strike, calls and puts together
        self._moments = [Fraction(0)] * 4  # sum o k^i

    def event(self, event: object, t_ns: int) -> int:
        given = picked(event, "option")
        if given is None:
            return NOT_INPUT
        contract = contract_of(given)
        oi, spot = known(given, "oi", least=0) or Fraction(0), decimal(given.get("underlying"), "underlying")
        if contract.expiry_ms == self._expiry_ms:
            self._replace(contract, oi)
        if not self._moments[0]:
            return NO_VALUE
        self._answer(spot)
        return VALUE

    def _replace(self, contract: Contract, oi: Fraction) -> None:
        change = oi - self._chain.get(contract, Fraction(0))
        self._chain[contract] = oi
        if not change:
            return
        strike, power = Fraction(contract.strike), change
        for i in range(4):
            self._moments[i] += power
            power *= strike
        left = self._strikes.get(contract.strike, Fraction(0)) + change
        if left:
            self._strikes[contract.strike] = left
        else:
            del self._strikes[contract.strike]

    def _answer(self, spot: Decimal) -> None:
        mean, second, third = (moment / self._moments[0] for moment in self._moments[1:])
        variance = second - mean * mean
        above = sum((oi for strike, oi in self._strikes.items() if strike > spot), Fraction(0))
        below = sum((oi for strike, oi in self._strikes.items() if strike < spot), Fraction(0))
        self.out[0] = float(mean)
        self.out[1] = float((mean - Fraction(spot)) / Fraction(spot) * 10_000) if spot else nan
        self.out[2] = _ratio(above - below, above + below)
        self.out[3] = nan
        if variance:
            cubed = third - 3 * mean * second + 2 * mean**3
            self.out[3] = float(cubed / variance) / sqrt(float(variance))


class RiskReversalOptions(Struct, frozen=True, kw_only=True):
    """Where on the smile.

    ``expiry``: the expiry that is looked at (milliseconds since the epoch, required).
    ``delta``: the ``|delta|`` at which both sides are compared (0 to 1, default 0.25).
    """

    expiry_ms: Millis0
    delta: Share = Decimal("0.25")


class RiskReversal(Metric):
    """``iv_call - iv_put`` at equal ``|delta|``, a fraction per year. Positive: upside is dearer, bullish demand.

    Linear in ``|delta|`` between the neighbouring options of that kind, never beyond them; of several options exactly
    there the lowest volatility counts. No value: the delta is not bracketed on one of the sides. Options without delta
    or volatility are left out; drop quotes older than the poll interval before they get here. Input: option.
    """

    Options: ClassVar[type[Struct]] = RiskReversalOptions
    inputs: ClassVar[str] = "option"

    def __init__(self, options: RiskReversalOptions, grid: Grid) -> None:
        super().__init__(1)
        self._expiry_ms, self._delta = options.expiry_ms, Fraction(options.delta)
        self._points: dict[str, dict[Decimal, tuple[Fraction, Fraction]]] = {kind: {} for kind in KINDS}

    def event(self, event: object, t_ns: int) -> int:
        given = picked(event, "option")
        if given is None:
            return NOT_INPUT
        contract = contract_of(given)
        if contract.expiry_ms == self._expiry_ms:
            self._replace(contract, given)
        call, put = (self._at_delta(kind) for kind in KINDS)
        if call is None or put is None:
            return NO_VALUE
        self.out[0] = float(call - put)
        return VALUE

    def _replace(self, contract: Contract, given: Mapping[str, Any]) -> None:
        points = self._points[contract.kind]
        delta, iv = known(given, "delta"), known(given, "iv")
        if delta is None or iv is None:
            points.pop(contract.strike, None)
        else:
            points[contract.strike] = (abs(delta), iv)

    def _at_delta(self, kind: str) -> Fraction | None:
        points, delta = self._points[kind].values(), self._delta
        exact = [iv for x, iv in points if x == delta]
        if exact:
            return min(exact)
        below = max((point for point in points if point[0] < delta), default=None)
        above = min((point for point in points if point[0] > delta), default=None)
        if below is None or above is None:
            return None
        (x0, iv0), (x1, iv1) = below, above
        return iv0 + (iv1 - iv0) * (delta - x0) / (x1 - x0)
