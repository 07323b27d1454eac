# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The micro-price of a fitted table (``research.fit_microprice``): one look-up per book event."""

from __future__ import annotations

from array import array
from decimal import Decimal
from math import nan
from typing import Annotated, ClassVar

import cython
from msgspec import Struct

if not cython.compiled:
    from imbalanced.book import Book
    from imbalanced.metrics.metric import Metric
else:
    from cython.cimports.imbalanced.book import Book
    from cython.cimports.imbalanced.metrics.metric import Metric

from imbalanced.metrics.metric import NO_VALUE, VALUE, Grid
from imbalanced.options import Positive, Range

AnyReal = Annotated[Decimal, Range()]


class MicropriceOptions(Struct, frozen=True, kw_only=True):
    """The fitted table.

    ``table``: per bin of ``I = qb_1 / (qb_1 + qa_1)``, lowest first, the adjustment in ticks for a spread of 1, 2, ...
    ticks; null where the fit knows none (required).
    ``tick``: the price step (price units; null: the instrument's, and required where that is unknown).
    """

    table: tuple[tuple[AnyReal | None, ...], ...]
    tick: Positive | None = None

    def __post_init__(self) -> None:
        widths = {len(row) for row in self.table}
        if len(widths) != 1 or 0 in widths:
            raise ValueError("table of at least one row, all of the same length of at least one")


@cython.cclass
class Microprice(Metric):
    """``{microprice: m + G[bin, spread], tilt}``, price and share: where the mid is expected to settle.

    ``tilt = (microprice - m) / (half spread)``; positive: above the mid, buy pressure. No value: the book is not live,
    crossed or one-sided, the spread is 0, wider than the table or no whole number of ticks, or the table knows nothing
    of this state. Input: book. Source: Stoikov 2018.
    """

    Options: ClassVar[type[Struct]] = MicropriceOptions
    outputs: ClassVar[tuple[str, ...]] = ("microprice", "tilt")
    shape: ClassVar[str] = "dict"
    _table: cython.double[::1]
    _bins: cython.Py_ssize_t
    _spreads: cython.longlong
    _tick: cython.longlong
    _per_unit: cython.double

    def __init__(self, options: MicropriceOptions, grid: Grid) -> None:
        super().__init__(2)
        tick = options.tick if options.tick is not None else grid.tick
        if tick is None:
            raise ValueError("microprice.tick: given nothing, expected a number above 0")
        self._tick = grid.px(tick)
        self._table = array("d", [nan if g is None else float(g) for row in options.table for g in row])
        self._bins = len(options.table)
        self._spreads = len(options.table[0])
        self._per_unit = grid.per_unit

    @cython.ccall
    def book_replaced(self, book: Book, t_ns: cython.longlong) -> cython.int:
        return self.book_changed(book, t_ns)

    @cython.ccall
    def book_changed(self, book: Book, t_ns: cython.longlong) -> cython.int:
        at: cython.Py_ssize_t
        ticks: cython.longlong
        shift: cython.double
        if not book.ok():
            return NO_VALUE
        pb: cython.longlong = book.bids.key[book.bids.n - 1]
        pa: cython.longlong = -book.asks.key[book.asks.n - 1]
        qb: cython.double = book.bids.size[book.bids.n - 1]
        qa: cython.double = book.asks.size[book.asks.n - 1]
        ticks = (pa - pb) // self._tick
        if ticks < 1 or ticks > self._spreads or ticks * self._tick != pa - pb:
            return NO_VALUE
        at = min(self._bins - 1, cython.cast(cython.Py_ssize_t, self._bins * (qb / (qb + qa))))
        shift = self._table[at * self._spreads + ticks - 1] * self._tick
        if shift != shift:
            return NO_VALUE
        self.out[0] = (cython.cast(cython.double, pb + pa) / 2.0 + shift) / self._per_unit
        self.out[1] = shift / (cython.cast(cython.double, pa - pb) / 2.0)
        return VALUE

    @cython.ccall
    def book_invalid(self, t_ns: cython.longlong) -> cython.int:
        return NO_VALUE
