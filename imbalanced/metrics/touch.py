# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The touch: queue and depth imbalance, weighted mid, spread and its rate of change."""

from __future__ import annotations

from decimal import Decimal
from math import nan
from typing import ClassVar

import cython
from msgspec import Struct

if not cython.compiled:
    from imbalanced.book import Book
    from imbalanced.metrics.metric import AsOf, Metric
else:
    from cython.cimports.imbalanced.book import Book
    from cython.cimports.imbalanced.metrics.metric import AsOf, Metric

from imbalanced.metrics.metric import NO_VALUE, NS_PER_MS, VALUE, Grid
from imbalanced.options import Count, Millis, Positive


@cython.cclass
class QueueImbalance(Metric):
    """``(qb_1 - qa_1) / (qb_1 + qa_1)``, in [-1, 1]; positive: the best bid is larger than the best ask.

    No value: the book is not live, crossed or one-sided. On small-tick books the best queue is tiny and flickers.
    Source: Gould & Bonart 2016; Lipton, Pesavento & Sotiropoulos 2013.
    """

    def __init__(self, options: object, grid: Grid) -> None:
        super().__init__(1)

    @cython.ccall
    def book_replaced(self, book: Book, t_ns: cython.longlong) -> cython.int:
        return self.book_changed(book, t_ns)

    @cython.ccall
    def book_changed(self, book: Book, t_ns: cython.longlong) -> cython.int:
        bid: cython.double
        ask: cython.double
        if not book.ok():
            return NO_VALUE
        bid = book.bids.size[book.bids.n - 1]
        ask = book.asks.size[book.asks.n - 1]
        self.out[0] = (bid - ask) / (bid + ask)
        return VALUE

    @cython.ccall
    def book_invalid(self, t_ns: cython.longlong) -> cython.int:
        return NO_VALUE


class LevelsOptions(Struct, frozen=True, kw_only=True):
    """``levels``: the best N levels of each side, default 5, fewer if there are fewer."""

    levels: Count = 5


@cython.cclass
class DepthImbalance(Metric):
    """``(B - A) / (B + A)`` with ``B``, ``A`` the summed sizes of the best N levels, in [-1, 1]; positive: more bids.

    No value: the book is not live, crossed or one-sided. N levels is another distance on every symbol; across symbols
    use ``band_imbalance``. Source: Cao, Hansch & Wang 2009.
    """

    Options: ClassVar[type[Struct]] = LevelsOptions
    _levels: cython.Py_ssize_t

    def __init__(self, options: LevelsOptions, grid: Grid) -> None:
        super().__init__(1)
        self._levels = options.levels

    @cython.ccall
    def book_replaced(self, book: Book, t_ns: cython.longlong) -> cython.int:
        return self.book_changed(book, t_ns)

    @cython.ccall
    def book_changed(self, book: Book, t_ns: cython.longlong) -> cython.int:
        bid: cython.double = 0.0
        ask: cython.double = 0.0
        i: cython.Py_ssize_t
        n: cython.Py_ssize_t
        if not book.ok():
            return NO_VALUE
        n = book.bids.n
        for i in range(n - 1, max(n - 1 - self._levels, -1), -1):
            bid += book.bids.size[i]
        n = book.asks.n
        for i in range(n - 1, max(n - 1 - self._levels, -1), -1):
            ask += book.asks.size[i]
        self.out[0] = (bid - ask) / (bid + ask)
        return VALUE

    @cython.ccall
    def book_invalid(self, t_ns: cython.longlong) -> cython.int:
        return NO_VALUE


@cython.cclass
class WeightedMid(Metric):
    """``{mid, weighted_mid: (pb_1 qa_1 + pa_1 qb_1) / (qa_1 + qb_1)}``, prices.

    Leans to where the queue is thinner: above the mid when the best bid is larger, buy pressure. Often, wrongly, called
    micro-price; for that see ``microprice``. No value: the book is not live, crossed or one-sided.
    """

    outputs: ClassVar[tuple[str, ...]] = ("mid", "weighted_mid")
    shape: ClassVar[str] = "dict"
    _per_unit: cython.double

    def __init__(self, options: object, grid: Grid) -> None:
        super().__init__(2)
        self._per_unit = grid.per_unit

    @cython.ccall
    def book_replaced(self, book: Book, t_ns: cython.longlong) -> cython.int:
        return self.book_changed(book, t_ns)

    @cython.ccall
    def book_changed(self, book: Book, t_ns: cython.longlong) -> cython.int:
        if not book.ok():
            return NO_VALUE
        pb: cython.longlong = book.bids.key[book.bids.n - 1]
        pa: cython.longlong = -book.asks.key[book.asks.n - 1]
        qb: cython.double = book.bids.size[book.bids.n - 1]
        qa: cython.double = book.asks.size[book.asks.n - 1]
        self.out[0] = cython.cast(cython.double, pb + pa) / 2.0 / self._per_unit
        # pb + (pa - pb) qb / (qa + qb): the same, and it cannot leave the spread by rounding.
        self.out[1] = (pb + (pa - pb) * (qb / (qa + qb))) / self._per_unit
        return VALUE

    @cython.ccall
    def book_invalid(self, t_ns: cython.longlong) -> cython.int:
        return NO_VALUE


class SpreadOptions(Struct, frozen=True, kw_only=True):
    """``tick``: the price step, taken from the instrument where it is not given."""

    tick: Positive | None = None


@cython.cclass
class Spread(Metric):
    """``{bps: (pa_1 - pb_1) / mid * 1e4, ticks: (pa_1 - pb_1) / tick}``, unsigned, 0 when locked.

    ``ticks`` has no value where the tick is unknown. No value: the book is not live, crossed or one-sided.
    """

    Options: ClassVar[type[Struct]] = SpreadOptions
    outputs: ClassVar[tuple[str, ...]] = ("bps", "ticks")
    shape: ClassVar[str] = "dict"
    _tick: cython.double

    def __init__(self, options: SpreadOptions, grid: Grid) -> None:
        super().__init__(2)
        tick = options.tick if options.tick is not None else grid.tick
        self._tick = nan if tick is None else float(grid.px(Decimal(tick)))

    @cython.ccall
    def book_replaced(self, book: Book, t_ns: cython.longlong) -> cython.int:
        return self.book_changed(book, t_ns)

    @cython.ccall
    def book_changed(self, book: Book, t_ns: cython.longlong) -> cython.int:
        if not book.ok():
            return NO_VALUE
        pb: cython.longlong = book.bids.key[book.bids.n - 1]
        pa: cython.longlong = -book.asks.key[book.asks.n - 1]
        self.out[0] = spread_bps(pb, pa)
        self.out[1] = cython.cast(cython.double, pa - pb) / self._tick
        return VALUE

    @cython.ccall
    def book_invalid(self, t_ns: cython.longlong) -> cython.int:
        return NO_VALUE


@cython.cfunc
@cython.inline
def spread_bps(pb: cython.longlong, pa: cython.longlong) -> cython.double:
    return cython.cast(cython.double, pa - pb) / cython.cast(cython.double, pa + pb) * 2e4


class SpreadRocOptions(Struct, frozen=True, kw_only=True):
    """``horizon``: over how long the spread is compared, default 1 s."""

    horizon_ms: Millis = 1000


@cython.cclass
class SpreadRoc(Metric):
    """``(S(t) - S(t - H)) / H``: change of the spread in basis points per second; positive means widening, it has no
    side.

    ``S(t - H)`` is the spread as of then among the states with an OK book since the last cut. No value: there is none
    that old, or the book is not OK now. The clock compares the present spread and remembers nothing.
    """

    Options: ClassVar[type[Struct]] = SpreadRocOptions
    inputs: ClassVar[str] = "book clock"
    _horizon_ns: cython.longlong
    _per_s: cython.double
    _past: AsOf

    def __init__(self, options: SpreadRocOptions, grid: Grid) -> None:
        super().__init__(1)
        self._horizon_ns = options.horizon_ms * NS_PER_MS
        self._per_s = options.horizon_ms / 1000.0
        self._past = AsOf()

    @cython.ccall
    def book_replaced(self, book: Book, t_ns: cython.longlong) -> cython.int:
        self._past.clear()
        return self.book_changed(book, t_ns)

    @cython.ccall
    def book_changed(self, book: Book, t_ns: cython.longlong) -> cython.int:
        if not book.ok():
            return NO_VALUE
        spread: cython.double = spread_bps(book.bids.key[book.bids.n - 1], -book.asks.key[book.asks.n - 1])
        self._past.push(t_ns, spread)
        return self._compare(spread, t_ns)

    @cython.ccall
    def clock(self, book: Book, t_ns: cython.longlong) -> cython.int:
        if not book.ok():
            return NO_VALUE
        return self._compare(spread_bps(book.bids.key[book.bids.n - 1], -book.asks.key[book.asks.n - 1]), t_ns)

    @cython.cfunc
    def _compare(self, spread: cython.double, t_ns: cython.longlong) -> cython.int:
        past: cython.double = self._past.at(t_ns - self._horizon_ns)
        if past != past:
            return NO_VALUE
        self.out[0] = (spread - past) / self._per_s
        return VALUE

    @cython.ccall
    def book_invalid(self, t_ns: cython.longlong) -> cython.int:
        self._past.clear()
        return NO_VALUE
