# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The depth behind the touch: what stands within a distance of the mid, how it is spread, what it takes to move the
price.

``Band`` finds the levels within some basis points of the mid, for every metric that asks for a distance.
"""

from __future__ import annotations

from array import array
from decimal import Decimal
from math import inf, log, nan
from typing import Annotated, ClassVar, Literal

import cython
from cython.cimports.libc.math import exp, expm1
from msgspec import Struct

if not cython.compiled:
    from imbalanced.book import Book, Ladder
    from imbalanced.metrics.metric import Metric
else:
    from cython.cimports.imbalanced.book import Book, Ladder
    from cython.cimports.imbalanced.metrics.metric import Metric

from imbalanced.metrics import metric
from imbalanced.metrics.metric import NS_PER_MS, Grid
from imbalanced.options import Count, Millis, Positive, Range

# As C integers: a Python global costs a lookup and a conversion at every answer.
NO_VALUE = cython.declare(cython.int, metric.NO_VALUE)
VALUE = cython.declare(cython.int, metric.VALUE)


@cython.cclass
class Band:
    """The levels within ``bps`` of the mid, edges included, as indices into both ladders: from ``bids`` and from
    ``asks`` on.

    With S = pb_1 + pa_1, twice the mid, a level is in the band when ``|2 p - S| <= floor(S * bps / 10000)``. That is
    decided on integers, whatever decimal number ``bps`` is; sums of two prices may be as large as 2e18, so the product
    is never formed.
    """

    def __init__(self, bps: Decimal) -> None:
        num, den = bps.as_integer_ratio()
        den *= 10_000
        self._exact = (num, den)
        # Then neither (S // den) * num nor (S % den) * num can leave 64 bits.
        self._fits = num <= 2 * den and num * den < 2**62
        self._num, self._den = (num, den) if self._fits else (0, 1)
        self._total = -1
        self._reach = 0
        self.bids = 0
        self.asks = 0

    @cython.cfunc
    def _measure(self, total: cython.longlong) -> cython.void:
        self._total = total
        if self._fits:
            self._reach = (total // self._den) * self._num + (total % self._den) * self._num // self._den
        else:
            num, den = self._exact
            # No price is further from the mid than 2e18 half units, so nothing changes beyond that.
            self._reach = min(int(total) * num // den, 4_000_000_000_000_000_000)

    @cython.cfunc
    def place(self, book: Book) -> cython.void:
        """Find the band of this (two-sided) book."""
        bids: Ladder = book.bids
        asks: Ladder = book.asks
        total: cython.longlong = bids.key[bids.n - 1] - asks.key[asks.n - 1]
        if total != self._total:
            self._measure(total)
        # Keys are prices for bids and negated prices for asks: halves are rounded towards the mid on both sides.
        self.bids = bids._place((total - self._reach + 1) >> 1)
        self.asks = asks._place((1 - total - self._reach) >> 1)


@cython.cfunc
def size_from(ladder: Ladder, at: cython.Py_ssize_t) -> cython.double:
    """The summed size of the levels from index ``at`` to the best. Four sums at once: one waits for every addition."""
    a: cython.double = 0.0
    b: cython.double = 0.0
    c: cython.double = 0.0
    d: cython.double = 0.0
    i: cython.Py_ssize_t = ladder.n
    while i - at >= 4:
        a += ladder.size[i - 1]
        b += ladder.size[i - 2]
        c += ladder.size[i - 3]
        d += ladder.size[i - 4]
        i -= 4
    while i > at:
        i -= 1
        a += ladder.size[i]
    return (a + b) + (c + d)


@cython.cfunc
def notional_from(ladder: Ladder, at: cython.Py_ssize_t) -> cython.double:
    """The summed price times size, in price units, of the levels from index ``at`` to the best."""
    a: cython.double = 0.0
    b: cython.double = 0.0
    c: cython.double = 0.0
    d: cython.double = 0.0
    i: cython.Py_ssize_t = ladder.n
    while i - at >= 4:
        a += ladder.key[i - 1] * ladder.size[i - 1]
        b += ladder.key[i - 2] * ladder.size[i - 2]
        c += ladder.key[i - 3] * ladder.size[i - 3]
        d += ladder.key[i - 4] * ladder.size[i - 4]
        i -= 4
    while i > at:
        i -= 1
        a += ladder.key[i] * ladder.size[i]
    return ladder.sign * ((a + b) + (c + d))


class BandImbalanceOptions(Struct, frozen=True, kw_only=True):
    """``bps``: distance of the band's edges from the mid in basis points, default 10, edges included.

    ``unit``: what is summed, ``base`` (default) the size, ``quote`` price times size.
    """

    bps: Positive = Decimal(10)
    unit: Literal["base", "quote"] = "base"


@cython.cclass
class BandImbalance(Metric):
    """``(B - A) / (B + A)`` with ``B``, ``A`` all that stands within ``bps`` of the mid, in [-1, 1]; positive: more
    bids.

    The band moves with the mid of the same state. No value: the book is not live, crossed or one-sided, or nothing is
    in the band (it is thinner than the spread). Cost: the levels in the band. Source: depth imbalance of Cao, Hansch &
    Wang 2009, by distance instead of by level.
    """

    Options: ClassVar[type[Struct]] = BandImbalanceOptions
    _band: Band
    _quote: cython.bint

    def __init__(self, options: BandImbalanceOptions, grid: Grid) -> None:
        super().__init__(1)
        self._band = Band(Decimal(options.bps))
        self._quote = options.unit == "quote"

    @cython.ccall
    def book_replaced(self, book: Book, t_ns: cython.longlong) -> cython.int:
        return self.book_changed(book, t_ns)

    @cython.ccall
    def book_changed(self, book: Book, t_ns: cython.longlong) -> cython.int:
        bid: cython.double
        ask: cython.double
        if not book.ok():
            return NO_VALUE
        self._band.place(book)
        if self._quote:
            bid = notional_from(book.bids, self._band.bids)
            ask = notional_from(book.asks, self._band.asks)
        else:
            bid = size_from(book.bids, self._band.bids)
            ask = size_from(book.asks, self._band.asks)
        if bid + ask == 0:
            return NO_VALUE
        self.out[0] = (bid - ask) / (bid + ask)
        return VALUE

    @cython.ccall
    def book_invalid(self, t_ns: cython.longlong) -> cython.int:
        return NO_VALUE


class WeightedImbalanceOptions(Struct, frozen=True, kw_only=True):
    """``levels``: the best N levels of each side, default 10, fewer if there are fewer.

    ``weight``: ``inverse_level`` (default) is 1/i for the i-th best, ``exp_bps`` falls with the distance from the mid.
    ``half_life_bps``: for ``exp_bps``: with so much more distance a weight halves, in basis points, default 5.
    """

    levels: Count = 10
    weight: Literal["inverse_level", "exp_bps"] = "inverse_level"
    half_life_bps: Positive = Decimal(5)


@cython.cclass
class WeightedImbalance(Metric):
    """``(B - A) / (B + A)`` with ``B``, ``A`` the weighted sizes of the best N levels, in [-1, 1]; positive: more bids.

    Weights fall with the level (``1 / i``) or with the distance d from the mid (``2 ** (-d / half_life_bps)``).
    No value: the book is not live, crossed or one-sided. Cost: O(N). Source: after Cao, Hansch & Wang 2009.
    """

    Options: ClassVar[type[Struct]] = WeightedImbalanceOptions
    _levels: cython.Py_ssize_t
    _weights: cython.double[::1]
    _by_distance: cython.bint
    _rate: cython.double

    def __init__(self, options: WeightedImbalanceOptions, grid: Grid) -> None:
        super().__init__(1)
        self._levels = options.levels
        self._weights = array("d", [1 / i for i in range(1, options.levels + 1)])
        self._by_distance = options.weight == "exp_bps"
        self._rate = 2e4 * log(2.0) / float(options.half_life_bps)

    @cython.cfunc
    def _by_level(self, ladder: Ladder) -> cython.double:
        i: cython.Py_ssize_t
        total: cython.double = 0.0
        for i in range(min(self._levels, ladder.n)):
            total += self._weights[i] * ladder.size[ladder.n - 1 - i]
        return total

    @cython.cfunc
    def _by_bps(self, ladder: Ladder, rate: cython.double) -> cython.double:
        """Weights as multiples of the best level's, which is as far from the mid on both sides: no ratio changes, and
        they cannot all underflow."""
        i: cython.Py_ssize_t
        total: cython.double = 0.0
        best: cython.longlong = ladder.key[ladder.n - 1]
        for i in range(ladder.n - 1, max(ladder.n - 1 - self._levels, -1), -1):
            total += exp((ladder.key[i] - best) * rate) * ladder.size[i]
        return total

    @cython.ccall
    def book_replaced(self, book: Book, t_ns: cython.longlong) -> cython.int:
        return self.book_changed(book, t_ns)

    @cython.ccall
    def book_changed(self, book: Book, t_ns: cython.longlong) -> cython.int:
        bid: cython.double
        ask: cython.double
        rate: cython.double
        if not book.ok():
            return NO_VALUE
        if self._by_distance:
            rate = self._rate / (book.bids.key[book.bids.n - 1] - book.asks.key[book.asks.n - 1])
            bid = self._by_bps(book.bids, rate)
            ask = self._by_bps(book.asks, rate)
        else:
            bid = self._by_level(book.bids)
            ask = self._by_level(book.asks)
        self.out[0] = (bid - ask) / (bid + ask)
        return VALUE

    @cython.ccall
    def book_invalid(self, t_ns: cython.longlong) -> cython.int:
        return NO_VALUE


class VampOptions(Struct, frozen=True, kw_only=True):
    """``levels``: pairs of levels, i-th bid with i-th ask, default 5; levels without a partner are left out."""

    levels: Count = 5


@cython.cclass
class Vamp(Metric):
    """Volume-adjusted mid price ``{vamp: sum(pb_i qa_i + pa_i qb_i) / sum(qa_i + qb_i), tilt_bps: (vamp - m) / m *
    1e4}``.

    ``vamp`` is a price; ``tilt_bps``, its distance from the mid m in basis points, is positive when bids are heavier.
    With one level it is the weighted mid. No value: the book is not live, crossed or one-sided. Cost: O(N).
    Source: practitioners' measure.
    """

    Options: ClassVar[type[Struct]] = VampOptions
    outputs: ClassVar[tuple[str, ...]] = ("vamp", "tilt_bps")
    shape: ClassVar[str] = "dict"
    _levels: cython.Py_ssize_t
    _per_unit: cython.double

    def __init__(self, options: VampOptions, grid: Grid) -> None:
        super().__init__(2)
        self._levels = options.levels
        self._per_unit = grid.per_unit

    @cython.ccall
    def book_replaced(self, book: Book, t_ns: cython.longlong) -> cython.int:
        return self.book_changed(book, t_ns)

    @cython.ccall
    def book_changed(self, book: Book, t_ns: cython.longlong) -> cython.int:
        bids: Ladder = book.bids
        asks: Ladder = book.asks
        i: cython.Py_ssize_t
        bid: cython.double
        ask: cython.double
        lean: cython.double = 0.0
        size: cython.double = 0.0
        if not book.ok():
            return NO_VALUE
        total: cython.longlong = bids.key[bids.n - 1] - asks.key[asks.n - 1]
        # Distances from the mid instead of prices: they are small and exact, so the tilt keeps its digits.
        for i in range(min(self._levels, bids.n, asks.n)):
            bid = bids.size[bids.n - 1 - i]
            ask = asks.size[asks.n - 1 - i]
            lean += (-2 * asks.key[asks.n - 1 - i] - total) * bid - (total - 2 * bids.key[bids.n - 1 - i]) * ask
            size += bid + ask
        lean /= size
        self.out[0] = (total + lean) / 2.0 / self._per_unit
        self.out[1] = lean / total * 1e4
        return VALUE

    @cython.ccall
    def book_invalid(self, t_ns: cython.longlong) -> cython.int:
        return NO_VALUE


class EffectiveMidOptions(Struct, frozen=True, kw_only=True):
    """``size``: how much is sold into the bids and bought from the asks, in base units; required."""

    size: Positive


@cython.cclass
class EffectiveMid(Metric):
    """What a trade of ``size`` base units pays: ``{sell_fill: s, buy_fill: y, effective_mid: (s + y) / 2,
    effective_spread_bps: (y - s) / m * 1e4}``.

    ``s`` and ``y`` are the average prices of walking the bids and the asks, the last level in part; m is the mid.
    Prices, and unsigned basis points. No value: a side holds less than ``size`` (just as much is enough), the book is
    not live, crossed or one-sided. Cost: the levels walked. Source: practitioners' measure.
    """

    Options: ClassVar[type[Struct]] = EffectiveMidOptions
    outputs: ClassVar[tuple[str, ...]] = ("sell_fill", "buy_fill", "effective_mid", "effective_spread_bps")
    shape: ClassVar[str] = "dict"
    _size: cython.double
    _per_unit: cython.double

    def __init__(self, options: EffectiveMidOptions, grid: Grid) -> None:
        super().__init__(4)
        self._size = float(options.size)
        self._per_unit = grid.per_unit

    @cython.cfunc
    def _slippage(self, ladder: Ladder) -> cython.double:
        """How much worse than the best price the average fill is, in price units of the book; -1 if it is too thin."""
        i: cython.Py_ssize_t = ladder.n
        best: cython.longlong = ladder.key[i - 1]
        left: cython.double = self._size
        # Sizes are decimal numbers that floats only come near to: a billionth of a thousandth missing is nothing
        # missing.
        enough: cython.double = self._size * 1e-12
        take: cython.double
        cost: cython.double = 0.0
        while i > 0 and left > enough:
            i -= 1
            take = min(left, ladder.size[i])
            cost += (best - ladder.key[i]) * take
            left -= take
        return -1.0 if left > enough else cost / self._size

    @cython.ccall
    def book_replaced(self, book: Book, t_ns: cython.longlong) -> cython.int:
        return self.book_changed(book, t_ns)

    @cython.ccall
    def book_changed(self, book: Book, t_ns: cython.longlong) -> cython.int:
        if not book.ok():
            return NO_VALUE
        sell: cython.double = self._slippage(book.bids)
        buy: cython.double = self._slippage(book.asks)
        if sell < 0 or buy < 0:
            return NO_VALUE
        pb: cython.longlong = book.bids.key[book.bids.n - 1]
        pa: cython.longlong = -book.asks.key[book.asks.n - 1]
        self.out[0] = (pb - sell) / self._per_unit
        self.out[1] = (pa + buy) / self._per_unit
        self.out[2] = ((pb + pa) + (buy - sell)) / 2.0 / self._per_unit
        self.out[3] = ((pa - pb) + (buy + sell)) / (pb + pa) * 2e4
        return VALUE

    @cython.ccall
    def book_invalid(self, t_ns: cython.longlong) -> cython.int:
        return NO_VALUE


class BookSlopeOptions(Struct, frozen=True, kw_only=True):
    """``levels``: the best N levels of each side, default 10, fewer if there are fewer."""

    levels: Count = 10


@cython.cclass
class BookSlope(Metric):
    """Depth gained per basis point: ``{bid_slope: x, ask_slope: y, imbalance: (x - y) / (x + y)}``.

    Per side the least-squares line through the origin of cumulative notional ``c_i`` against the distance ``d_i`` from
    the mid: ``sum(d_i c_i) / sum(d_i ** 2)``, quote units per basis point. ``imbalance`` is in [-1, 1], positive: the
    bids are steeper. No value: a side has no distance at all (locked with one level), the book is not live, crossed or
    one-sided. Cost: O(N). Source: after Naes & Skjeltorp 2006; Biais, Hillion & Spatt 1995.
    """

    Options: ClassVar[type[Struct]] = BookSlopeOptions
    outputs: ClassVar[tuple[str, ...]] = ("bid_slope", "ask_slope", "imbalance")
    shape: ClassVar[str] = "dict"
    _levels: cython.Py_ssize_t
    _per_unit: cython.double

    def __init__(self, options: BookSlopeOptions, grid: Grid) -> None:
        super().__init__(3)
        self._levels = options.levels
        self._per_unit = grid.per_unit

    @cython.cfunc
    def _slope(self, ladder: Ladder, total: cython.longlong) -> cython.double:
        i: cython.Py_ssize_t
        distance: cython.double
        notional: cython.double = 0.0
        product: cython.double = 0.0
        square: cython.double = 0.0
        for i in range(ladder.n - 1, max(ladder.n - 1 - self._levels, -1), -1):
            distance = ladder.sign * total - 2 * ladder.key[i]
            notional += ladder.sign * ladder.key[i] * ladder.size[i]
            product += distance * notional
            square += distance * distance
        if square == 0:
            return -1.0
        return product / square * total / 1e4 / self._per_unit

    @cython.ccall
    def book_replaced(self, book: Book, t_ns: cython.longlong) -> cython.int:
        return self.book_changed(book, t_ns)

    @cython.ccall
    def book_changed(self, book: Book, t_ns: cython.longlong) -> cython.int:
        if not book.ok():
            return NO_VALUE
        total: cython.longlong = book.bids.key[book.bids.n - 1] - book.asks.key[book.asks.n - 1]
        bid: cython.double = self._slope(book.bids, total)
        ask: cython.double = self._slope(book.asks, total)
        if bid < 0 or ask < 0:
            return NO_VALUE
        self.out[0] = bid
        self.out[1] = ask
        self.out[2] = (bid - ask) / (bid + ask)
        return VALUE

    @cython.ccall
    def book_invalid(self, t_ns: cython.longlong) -> cython.int:
        return NO_VALUE


class LiquidityToMoveOptions(Struct, frozen=True, kw_only=True):
    """``bps``: how far the price is to move, in basis points from the mid, default 10, edges included."""

    bps: Positive = Decimal(10)


@cython.cclass
class LiquidityToMove(Metric):
    """What must trade to eat every level within ``bps`` of the mid: ``{down: bids, up: asks, imbalance: (down - up) /
    (down + up)}``.

    ``down`` and ``up`` in quote units, ``imbalance`` in [-1, 1], positive: harder to push down. The imbalance has no
    value where nothing is within the band; nothing has where the book is not live, crossed or one-sided. Cost: the
    levels in the band. Source: practitioners' measure.
    """

    Options: ClassVar[type[Struct]] = LiquidityToMoveOptions
    outputs: ClassVar[tuple[str, ...]] = ("down", "up", "imbalance")
    shape: ClassVar[str] = "dict"
    _band: Band
    _per_unit: cython.double

    def __init__(self, options: LiquidityToMoveOptions, grid: Grid) -> None:
        super().__init__(3)
        self._band = Band(Decimal(options.bps))
        self._per_unit = grid.per_unit

    @cython.ccall
    def book_replaced(self, book: Book, t_ns: cython.longlong) -> cython.int:
        return self.book_changed(book, t_ns)

    @cython.ccall
    def book_changed(self, book: Book, t_ns: cython.longlong) -> cython.int:
        if not book.ok():
            return NO_VALUE
        self._band.place(book)
        down: cython.double = notional_from(book.bids, self._band.bids)
        up: cython.double = notional_from(book.asks, self._band.asks)
        self.out[0] = down / self._per_unit
        self.out[1] = up / self._per_unit
        self.out[2] = nan
        if down + up > 0:
            self.out[2] = (down - up) / (down + up)
        return VALUE

    @cython.ccall
    def book_invalid(self, t_ns: cython.longlong) -> cython.int:
        return NO_VALUE


class ExhaustionOptions(Struct, frozen=True, kw_only=True):
    """``bps``: distance of the band's edges from the mid in basis points, default 20, edges included.

    ``half_life``: of the average that depth is compared with, default 30 s.
    """

    bps: Positive = Decimal(20)
    half_life_ms: Millis = 30_000


@cython.cclass
class Exhaustion(Metric):
    """Depth against its own average: ``{bid: 1 - x_b / M_b, ask: 1 - x_a / M_a, imbalance: ask - bid}``.

    ``x`` is the notional within ``bps`` of the mid, ``M`` its exponential average (by time) before this event. 0 is
    the usual depth, 1 is all gone, negative is more than usual (accumulation). ``imbalance`` is positive when the asks
    are emptier: buy pressure. No value: the first state after a cut, an average that is still 0, the book is not live,
    crossed or one-sided (such states do not enter the average). Cost: the levels in the band. Source: practitioners'
    measure.
    """

    Options: ClassVar[type[Struct]] = ExhaustionOptions
    outputs: ClassVar[tuple[str, ...]] = ("bid", "ask", "imbalance")
    shape: ClassVar[str] = "dict"
    _band: Band
    _rate: cython.double
    _known: cython.bint
    _bid: cython.double
    _ask: cython.double
    _t_ns: cython.longlong

    def __init__(self, options: ExhaustionOptions, grid: Grid) -> None:
        super().__init__(3)
        self._band = Band(Decimal(options.bps))
        self._rate = log(2.0) / (options.half_life_ms * NS_PER_MS)
        self._known = False

    @cython.ccall
    def book_replaced(self, book: Book, t_ns: cython.longlong) -> cython.int:
        self._known = False
        return self.book_changed(book, t_ns)

    @cython.ccall
    def book_changed(self, book: Book, t_ns: cython.longlong) -> cython.int:
        answered: cython.int = NO_VALUE
        decay: cython.double
        if not book.ok():
            return NO_VALUE
        self._band.place(book)
        bid: cython.double = notional_from(book.bids, self._band.bids)
        ask: cython.double = notional_from(book.asks, self._band.asks)
        if self._known:
            answered = self._compare(bid, ask)
            decay = (self._t_ns - t_ns) * self._rate
            # Not M + alpha (x - M): after many half-lives that rounds to 0, where a trace of the past should be left.
            self._bid = self._bid * exp(decay) - bid * expm1(decay)
            self._ask = self._ask * exp(decay) - ask * expm1(decay)
        else:
            self._known = True
            self._bid = bid
            self._ask = ask
        self._t_ns = t_ns
        return answered

    @cython.cfunc
    def _compare(self, bid: cython.double, ask: cython.double) -> cython.int:
        if self._bid == 0 or self._ask == 0:
            return NO_VALUE
        self.out[0] = 1.0 - bid / self._bid
        self.out[1] = 1.0 - ask / self._ask
        self.out[2] = self.out[1] - self.out[0]
        # The average of depth that was gone for a thousand half-lives is too small to divide by.
        if self.out[0] == -inf or self.out[1] == -inf:
            return NO_VALUE
        return VALUE

    @cython.ccall
    def book_invalid(self, t_ns: cython.longlong) -> cython.int:
        self._known = False
        return NO_VALUE


class ResiliencyOptions(Struct, frozen=True, kw_only=True):
    """``levels``: the best N levels of each side, default 5.

    ``min_drop``: the share of a side's depth that must go at once to be a shock, above 0, at most 1, default 0.5.
    ``horizon``: how long after a shock the depth is looked at again, default 1 s.
    """

    levels: Count = 5
    min_drop: Annotated[Decimal, Range(gt=0, le=1)] = Decimal("0.5")
    horizon_ms: Millis = 1000


@cython.cclass
class Resiliency(Metric):
    """How much of a shock comes back: ``{side: bid or ask, recovered: (D(t + H) - low) / (full - low)}``, clipped to
    [0, 2].

    A shock is a message that takes at least ``min_drop`` of the summed size D of a side's best N levels, from ``full``
    to ``low``; the answer comes with the first event of any kind at or after the horizon H, with the depth that stood
    at t + H. A share, unsigned: little recovery on the side that takers hit supports continuation. Where several end
    at once the one opened last answers. No value: no shock ends now, the book is not live, crossed or one-sided. The
    best N shift when a level goes; drops by trades and by cancels are not told apart. Cost: O(N). Source: Large 2007;
    Obizhaeva & Wang 2013.
    """

    Options: ClassVar[type[Struct]] = ResiliencyOptions
    inputs: ClassVar[str] = "any"
    outputs: ClassVar[tuple[str, ...]] = ("side", "recovered")
    shape: ClassVar[str] = "dict"
    words: ClassVar[dict[str, tuple[str, ...]]] = {"side": ("bid", "ask")}
    _levels: cython.Py_ssize_t
    _min_drop: cython.double
    _horizon_ns: cython.longlong
    _none: Book
    _book: Book
    _known: cython.bint
    _bid: cython.double
    _ask: cython.double
    _t: cython.longlong[::1]
    _shock: cython.double[::1]
    _head: cython.Py_ssize_t
    _count: cython.Py_ssize_t

    def __init__(self, options: ResiliencyOptions, grid: Grid) -> None:
        super().__init__(2)
        self._levels = options.levels
        # A hair less: differences of decimal sizes are only nearly what they should be.
        self._min_drop = float(options.min_drop) * (1 - 1e-12)
        self._horizon_ns = options.horizon_ms * NS_PER_MS
        self._none = Book()
        self._t = array("q", bytes(8 * 16))
        self._shock = array("d", bytes(24 * 16))
        self._forget()

    @cython.cfunc
    def _forget(self) -> cython.void:
        self._book = self._none
        self._known = False
        self._head = 0
        self._count = 0

    @cython.cfunc
    def _grow(self) -> cython.void:
        capacity: cython.Py_ssize_t = len(self._t)
        t: cython.longlong[::1] = array("q", bytes(16 * capacity))
        shock: cython.double[::1] = array("d", bytes(48 * capacity))
        i: cython.Py_ssize_t
        at: cython.Py_ssize_t
        for i in range(self._count):
            at = (self._head + i) % capacity
            t[i] = self._t[at]
            shock[3 * i] = self._shock[3 * at]
            shock[3 * i + 1] = self._shock[3 * at + 1]
            shock[3 * i + 2] = self._shock[3 * at + 2]
        self._t = t
        self._shock = shock
        self._head = 0

    @cython.cfunc
    def _open(self, t_ns: cython.longlong, side: cython.int, full: cython.double, low: cython.double) -> cython.void:
        if full - low < self._min_drop * full:
            return
        if self._count == len(self._t):
            self._grow()
        at: cython.Py_ssize_t = (self._head + self._count) % len(self._t)
        self._t[at] = t_ns
        self._shock[3 * at] = side
        self._shock[3 * at + 1] = full
        self._shock[3 * at + 2] = low
        self._count += 1

    @cython.cfunc
    def _settle(self, t_ns: cython.longlong, bid: cython.double, ask: cython.double) -> cython.int:
        """End the shocks that are due; ``bid`` and ``ask`` is the depth now, what held before is in ``_bid`` and
        ``_ask``."""
        answered: cython.int = NO_VALUE
        due: cython.longlong
        at: cython.Py_ssize_t
        held: cython.double
        low: cython.double
        while self._count > 0:
            at = 3 * self._head
            due = self._t[self._head] + self._horizon_ns
            if t_ns < due:
                break
            if self._shock[at] == 0:
                held = self._bid if t_ns > due else bid
            else:
                held = self._ask if t_ns > due else ask
            low = self._shock[at + 2]
            self.out[0] = self._shock[at]
            self.out[1] = max(0.0, min(2.0, (held - low) / (self._shock[at + 1] - low)))
            answered = VALUE
            self._head = (self._head + 1) % len(self._t)
            self._count -= 1
        return answered

    @cython.cfunc
    def _pass(self, t_ns: cython.longlong) -> cython.int:
        """An event that is none of the book's."""
        if not self._book.ok():
            return NO_VALUE
        return self._settle(t_ns, self._bid, self._ask)

    @cython.ccall
    def book_replaced(self, book: Book, t_ns: cython.longlong) -> cython.int:
        self._forget()
        self._book = book
        return self.book_changed(book, t_ns)

    @cython.ccall
    def book_changed(self, book: Book, t_ns: cython.longlong) -> cython.int:
        answered: cython.int
        if not book.ok():
            return NO_VALUE
        bid: cython.double = size_from(book.bids, max(0, book.bids.n - self._levels))
        ask: cython.double = size_from(book.asks, max(0, book.asks.n - self._levels))
        answered = self._settle(t_ns, bid, ask)
        if self._known:
            self._open(t_ns, 0, self._bid, bid)
            self._open(t_ns, 1, self._ask, ask)
        self._known = True
        self._bid = bid
        self._ask = ask
        return answered

    @cython.ccall
    def book_invalid(self, t_ns: cython.longlong) -> cython.int:
        self._forget()
        return NO_VALUE

    @cython.ccall
    def trade(self, px: cython.longlong, size: cython.double, sign: cython.int, t_ns: cython.longlong) -> cython.int:
        return self._pass(t_ns)

    @cython.ccall
    def clock(self, book: Book, t_ns: cython.longlong) -> cython.int:
        return self._pass(t_ns)

    @cython.ccall
    def value(self, x: cython.double, t_ns: cython.longlong) -> cython.int:
        return self._pass(t_ns)

    def event(self, event: object, t_ns: int) -> int:
        return self._pass(t_ns)
