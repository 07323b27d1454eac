"""Positions and their cost: open interest against price, crowding, funding, forced orders.

These streams are polls or slow pushes, so this is plain Python, and decisions are made on fractions. An answer is only
as fresh as its event. No book is involved and none cuts anything here. Options: ``options_chain.py``.
"""

from __future__ import annotations

from collections import deque
from decimal import Decimal
from fractions import Fraction
from math import nan
from typing import TYPE_CHECKING, ClassVar

from msgspec import Struct

from imbalanced.metrics.metric import NO_VALUE, NOT_INPUT, NS_PER_MS, VALUE, Grid, Metric
from imbalanced.metrics.plain import fraction, known, number, picked
from imbalanced.metrics.windows import Sums
from imbalanced.options import Millis, NonNegative

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imbalanced.book import Book

SIDES = {"buy": 1, "sell": -1, None: 0}
QUADRANTS = ("flat", "long_build", "short_cover", "short_build", "long_unwind")
# (price up or down, open interest up or down) -> index into QUADRANTS
_QUADRANT = {(1, 1): 1, (1, -1): 2, (-1, 1): 3, (-1, -1): 4}
# New money counts full, closing half.
_WEIGHT = {1: 1.0, -1: 0.5, 0: 0.0}


class OiImbalanceOptions(Struct, frozen=True, kw_only=True):
    """What is compared, and what counts as no change.

    ``window``: how far back the reference lies (duration, default 5 m).
    ``oi_band_bps``: smaller changes of open interest are flat (basis points, default 10).
    ``price_band_bps``: smaller changes of the price are flat (basis points, default 5).
    """

    window_ms: Millis = 300_000
    oi_band_bps: NonNegative = Decimal(10)
    price_band_bps: NonNegative = Decimal(5)


class OiImbalance(Metric):
    """``{quadrant, oi_change_bps, price_change_bps, score}``: what changing open interest says about a price move.

    Changes are against the values as of ``t - window``. ``quadrant``: price up with more open interest ``long_build``,
    with less ``short_cover``; price down with more ``short_build``, with less ``long_unwind``; else ``flat``.
    ``score = sgn(price) |oi change| w`` in basis points, ``w`` 1 for new positions, 1/2 for closed ones, 0 for flat;
    positive: buyers open, or shorts cover. No value: nothing as old as the window, or open interest (or price) was 0
    then. Use contracts times multiplier, never the quote value, which moves with the price. Input: oi.
    """

    Options: ClassVar[type[Struct]] = OiImbalanceOptions
    inputs: ClassVar[str] = "oi"
    outputs: ClassVar[tuple[str, ...]] = ("quadrant", "oi_change_bps", "price_change_bps", "score")
    shape: ClassVar[str] = "dict"
    words: ClassVar[Mapping[str, tuple[str, ...]]] = {"quadrant": QUADRANTS}

    def __init__(self, options: OiImbalanceOptions, grid: Grid) -> None:
        super().__init__(4)
        self._window_ns = options.window_ms * NS_PER_MS
        self._oi_band = Fraction(options.oi_band_bps)
        self._price_band = Fraction(options.price_band_bps)
        self._past: deque[tuple[int, Fraction, Fraction]] = deque()

    def event(self, event: object, t_ns: int) -> int:
        given = picked(event, "oi")
        if given is None:
            return NOT_INPUT
        oi, price = fraction(given.get("oi"), "oi", least=0), fraction(given.get("price"), "price")
        past = self._past
        past.append((t_ns, oi, price))
        as_of = t_ns - self._window_ns
        while len(past) > 1 and past[1][0] <= as_of:
            past.popleft()
        then_ns, oi_then, price_then = past[0]
        if then_ns > as_of or oi_then == 0 or price_then == 0:
            return NO_VALUE
        self._compare((oi - oi_then) / oi_then * 10_000, (price - price_then) / price_then * 10_000)
        return VALUE

    def _compare(self, oi_bps: Fraction, price_bps: Fraction) -> None:
        oi_sign, price_sign = _sign(oi_bps, self._oi_band), _sign(price_bps, self._price_band)
        self.out[0] = _QUADRANT.get((price_sign, oi_sign), 0)
        self.out[1] = float(oi_bps)
        self.out[2] = float(price_bps)
        self.out[3] = price_sign * float(abs(oi_bps)) * _WEIGHT[oi_sign]


def _sign(change: Fraction, band: Fraction) -> int:
    """Its sign, 0 within the band; a change equal to the band counts, no change never does."""
    if change == 0 or abs(change) < band:
        return 0
    return 1 if change > 0 else -1


class LongShortRatio(Metric):
    """``(long - short) / (long + short)``, in [-1, 1]: crowding of accounts or positions, as the venue defines it.

    Positive: more long. Contrarian when extreme. No value: both are 0. Input: ratio.
    """

    inputs: ClassVar[str] = "ratio"

    def __init__(self, options: object, grid: Grid) -> None:
        super().__init__(1)

    def event(self, event: object, t_ns: int) -> int:
        given = picked(event, "ratio")
        if given is None:
            return NOT_INPUT
        long, short = (fraction(given.get(key), key, least=0) for key in ("long", "short"))
        if long + short == 0:
            return NO_VALUE
        self.out[0] = float((long - short) / (long + short))
        return VALUE


class FundingPressure(Metric):
    """``{rate_8h_bps, annual, basis_bps}``: what longs pay shorts, and how far the mark is above the index.

    ``rate_8h = rate * 8 / interval_h`` in basis points, ``annual = rate_8h * 3 * 365`` as a fraction,
    ``basis = (mark - index) / index * 1e4``. Positive: longs pay. A fraction goes in, not a percentage. Predicted and
    settled rates are different series. A part without a value: an interval, or an index, of 0, or what the venue does
    not say. Input: funding.
    """

    inputs: ClassVar[str] = "funding"
    outputs: ClassVar[tuple[str, ...]] = ("rate_8h_bps", "annual", "basis_bps")
    shape: ClassVar[str] = "dict"

    def __init__(self, options: object, grid: Grid) -> None:
        super().__init__(3)

    def event(self, event: object, t_ns: int) -> int:
        given = picked(event, "funding")
        if given is None:
            return NOT_INPUT
        rate, hours = known(given, "rate"), known(given, "interval_h", least=0)
        mark, index = known(given, "mark"), known(given, "index")
        rate_8h = rate * 8 / hours if rate is not None and hours else None
        self.out[0] = nan if rate_8h is None else float(rate_8h * 10_000)
        self.out[1] = nan if rate_8h is None else float(rate_8h * 3 * 365)
        self.out[2] = float((mark - index) / index * 10_000) if mark is not None and index else nan
        return VALUE


class LiquidationOptions(Struct, frozen=True, kw_only=True):
    """``window``: the forced orders of ``(t - window, t]`` (duration, default 1 m)."""

    window_ms: Millis = 60_000


class LiquidationImbalance(Metric):
    """``sum s p q / sum p q`` over the forced orders in the window, in [-1, 1]; ``s`` is the side of the forced order.

    Positive: forced buying, shorts are closed. No value: none in the window. Some venues push only the largest order
    per second, so the sums are lower bounds. Inputs: liquidation, clock.
    """

    Options: ClassVar[type[Struct]] = LiquidationOptions
    inputs: ClassVar[str] = "liquidation clock"

    def __init__(self, options: LiquidationOptions, grid: Grid) -> None:
        super().__init__(1)
        self._window_ns = options.window_ms * NS_PER_MS
        self._forced = Sums(2)

    @property
    def notional(self) -> float:
        """Of all forced orders in the window, as of the last event or clock."""
        return self._forced.sums[0] + self._forced.sums[1]

    def event(self, event: object, t_ns: int) -> int:
        given = picked(event, "liquidation")
        if given is None:
            return NOT_INPUT
        side = given.get("side")
        if side not in SIDES:
            raise ValueError(f'side is {side!r}, expected "buy", "sell" or null')
        notional = number(given.get("price"), "price") * number(given.get("size"), "size", least=0)
        if side is not None and notional > 0:
            self._forced.row[0] = notional if side == "buy" else 0.0
            self._forced.row[1] = notional if side == "sell" else 0.0
            self._forced.push(t_ns)
        return self._imbalance(t_ns)

    def clock(self, book: Book, t_ns: int) -> int:
        return self._imbalance(t_ns)

    def _imbalance(self, t_ns: int) -> int:
        forced = self._forced
        forced.evict(t_ns - self._window_ns)
        if forced.count == 0:
            return NO_VALUE
        self.out[0] = (forced.sums[0] - forced.sums[1]) / (forced.sums[0] + forced.sums[1])
        return VALUE
