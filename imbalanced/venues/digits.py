# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Checksums over the digits of the best levels: prices and sizes with fixed decimals, without point and leading zeros.

The digits of a level are worked out once and kept beside its size, so that of the twenty levels of a checksum one or
two are new. Sizes too long for a float64 are remembered as they were written. Which decimals a pair has, and where its
numbers stand in a frame, is the codec's knowledge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from zlib import crc32

import cython

if not cython.compiled:
    from imbalanced.book import Book, Ladder, Rows
else:
    from cython.cimports.imbalanced.book import Book, Ladder, Rows

from imbalanced.venues.literals import plain
from imbalanced.venues.scan import px_from_text, size_from_text
from imbalanced.venues.symbols import base_units, number_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from imbalanced.events import Instrument

# A size of so many units of its last decimal is not surely told by a float64 any more.
EXACT_UNITS = 10**15
# So many levels are remembered at most: of digits those of the touch and a little more; and of long sizes, as what has
# fallen out of a book was never removed from here.
MOST_KEPT, MOST_LONG = 256, 4_000


@cython.final
@cython.cclass
class Digits:
    """One book's. ``levels``: so many of each side are summed, asks first. Places are signed prices: bids +, asks -.

    ``told`` is the checksum that was told last (None: none was). Two sockets may tell the same book at once.
    """

    def __init__(self, levels: int) -> None:
        self.told: int | None = None
        self._levels = levels
        self._of_price = 0
        self._of_size = 0
        self._fixed = False
        self._long: dict[int, int] = {}
        self._kept: dict[int, tuple[float, str]] = {}

    def begin(self) -> None:
        """A new book; decimals that were only seen are seen anew."""
        self._long.clear()
        self._kept.clear()
        if not self._fixed:
            self._of_price, self._of_size = 0, 0

    def decimals(self, of_price: int, of_size: int) -> None:
        """What the venue says of a pair."""
        if not self._fixed or (of_price, of_size) != (self._of_price, self._of_size):
            self._kept.clear()
        self._fixed = True
        self._of_price, self._of_size = of_price, of_size

    def add(self, rows: Rows, instrument: Instrument, sign: int, levels: Iterable[Any]) -> None:
        """One side of a message: ``[price, size, ...]`` levels as they were written; ValueError if one is none."""
        scale = instrument.price_scale
        whole: cython.bint = instrument.contract_size == 1.0 and not instrument.inverse
        for level in levels:
            price, size = _text(level[0]), _text(level[1])
            px = px_from_text(price, scale)
            amount = size_from_text(size)
            rows.add(px, amount if whole else base_units(amount, px, instrument))
            if len(size) > 15 or self._long:
                self._note(sign * px, size)
            if not self._fixed:
                self._see(_places(price), _places(size))

    def _note(self, place: int, size: str) -> None:
        digits = size.replace(".", "")
        if len(digits.lstrip("0")) > 15:
            self._long[place] = int(digits)
        else:
            self._long.pop(place, None)

    def _see(self, of_price: int, of_size: int) -> None:
        if of_price > self._of_price or of_size > self._of_size:
            self._of_price, self._of_size = max(of_price, self._of_price), max(of_size, self._of_size)
            self._kept.clear()

    def hold(self, book: Book, scale: int) -> bool:
        """Whether this book is the one that was told of last."""
        told = self._digits(book.asks, scale) + self._digits(book.bids, scale)
        return crc32("".join(told).encode()) == self.told

    def _digits(self, side: Ladder, scale: int) -> list[str]:
        """The best levels of a side, best first."""
        rank: cython.Py_ssize_t
        many: cython.Py_ssize_t = min(self._levels, side.n)
        size: cython.double
        told = []
        if len(self._kept) > MOST_KEPT:
            self._kept.clear()
        for rank in range(many):
            place: int = side.key[side.n - 1 - rank]
            size = side.size[side.n - 1 - rank]
            known = self._kept.get(place)
            if known is not None and known[0] == size:
                told.append(known[1])
                continue
            units: float = size * 10**self._of_size
            digits = f"{_shifted(abs(place), self._of_price - scale)}"
            if units < EXACT_UNITS - 1:
                digits += f"{round(units)}"
                self._kept[place] = (size, digits)
            else:  # two of them may be one float
                digits += f"{self._long_units(side, place, round(units))}"
            told.append(digits)
        return told

    def _long_units(self, side: Ladder, place: int, nearest: int) -> int:
        if len(self._long) > MOST_LONG:
            mine = side.sign
            self._long = {at: units for at, units in self._long.items() if at * mine < 0 or side.size_at(abs(at)) > 0}
        return self._long.get(place, nearest)


def _shifted(px: int, shift: int) -> int:
    """With so many decimals more than it has."""
    return px * int(10**shift) if shift >= 0 else px // int(10**-shift)


@cython.cfunc
@cython.inline
def _text(number: object) -> str:
    """A number as plain decimal text."""
    text: str = number if type(number) is str else number_text(number)
    return plain(text) if "e" in text or "E" in text else text


def _places(number: str) -> int:
    return len(number.partition(".")[2])
