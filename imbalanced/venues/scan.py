# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Numbers straight from the bytes of a JSON frame, exact, without a Python object per level.

A venue that knows the shape of its busiest frame walks it with a :class:`Cursor`; anything unexpected makes a step
answer "no" and the venue falls back to a full JSON decode. Prices become integers by their digits; sizes become the
float64 nearest to their text (mantissa and power of ten both exact, one correctly rounded division), the same that
``float`` gives. ``px_from_text``, ``size_from_text`` and ``add_levels`` do the same for decoded JSON.
"""

from __future__ import annotations

import sys
from math import isfinite
from typing import TYPE_CHECKING

import cython

if not cython.compiled:
    from imbalanced.book import Rows
else:
    from cython.cimports.imbalanced.book import Rows

if cython.compiled:
    from cython.cimports.libc.string import memcpy

from imbalanced.book import MAX_PX, MAX_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

FAST = cython.compiled
"""Whether walking bytes is faster than a full JSON decode: only where this file is compiled."""

_QUOTE = cython.declare(cython.int, 0x22)
_COMMA = cython.declare(cython.int, 0x2C)
_MINUS = cython.declare(cython.int, 0x2D)
_DOT = cython.declare(cython.int, 0x2E)
_ZERO = cython.declare(cython.int, 0x30)
_NINE = cython.declare(cython.int, 0x39)
_COLON = cython.declare(cython.int, 0x3A)
_OPEN = cython.declare(cython.int, 0x5B)
_CLOSE = cython.declare(cython.int, 0x5D)

# Digits that fit an int64 whatever they are, and the largest integer below which every float64 is exact.
_MOST_DIGITS = cython.declare(cython.int, 18)
_EXACT = cython.declare(cython.longlong, 1 << 53)


@cython.cfunc
@cython.inline
@cython.exceptval(check=False)
def power_of_ten(n: cython.int) -> cython.double:
    """``10 ** n`` for n of 0..22, where it is exact."""
    x: cython.double = 1.0
    if n & 1:
        x *= 1e1
    if n & 2:
        x *= 1e2
    if n & 4:
        x *= 1e4
    if n & 8:
        x *= 1e8
    if n & 16:
        x *= 1e16
    return x


@cython.cfunc
@cython.inline
@cython.exceptval(check=False)
def whole_power_of_ten(n: cython.int) -> cython.longlong:
    """``10 ** n`` for n of 0..18."""
    x: cython.longlong = 1
    if n & 1:
        x *= 10
    if n & 2:
        x *= 100
    if n & 4:
        x *= 10_000
    if n & 8:
        x *= 100_000_000
    if n & 16:
        x *= 10_000_000_000_000_000
    return x


# Eight bytes in one register, the first digit in the lowest byte.
_ZEROS = cython.declare(cython.ulonglong, 0x3030303030303030)
_SIXES = cython.declare(cython.ulonglong, 0x0606060606060606)
_LOW_HALVES = cython.declare(cython.ulonglong, 0x0F0F0F0F0F0F0F0F)
_PAIRS = cython.declare(cython.ulonglong, 0x00FF00FF00FF00FF)
_FOURS = cython.declare(cython.ulonglong, 0x0000FFFF0000FFFF)
_HUNDREDS = cython.declare(cython.ulonglong, 1 + (100 << 16))
_TEN_THOUSANDS = cython.declare(cython.ulonglong, 1 + (10_000 << 32))
_LITTLE_ENDIAN = cython.declare(cython.bint, sys.byteorder == "little")


@cython.cfunc
@cython.inline
@cython.exceptval(check=False)
def eight_digits(p: cython.p_uchar, at: cython.Py_ssize_t) -> cython.longlong:
    """The number whose eight digits stand at ``at``; -1 where one of these bytes is no digit.

    All eight at once in one register: venues write eight decimals, and digit by digit they cost half of the whole scan.
    """
    if cython.compiled:
        x: cython.ulonglong = 0
        memcpy(cython.address(x), p + at, 8)
        x ^= _ZEROS
        if ((x | (x + _SIXES)) >> 4) & _LOW_HALVES:
            return -1
        x = 10 * x + (x >> 8)  # neighbours joined: 8 digits are 4 numbers below 100, then 2 below 10,000, then one
        x = ((x & _PAIRS) * _HUNDREDS) >> 16
        return ((x & _FOURS) * _TEN_THOUSANDS) >> 32
    else:
        digits = bytes(p[at : at + 8])
        return int(digits) if digits.isdigit() else -1


@cython.cfunc
@cython.inline
def push(rows: Rows, px: cython.longlong, size: cython.double) -> cython.void:
    """``rows.add`` without a call."""
    if rows.n == len(rows.px):
        rows._grow()
    rows.px[rows.n] = px
    rows.size[rows.n] = size
    rows.n += 1


@cython.final
@cython.cclass
class Cursor:
    """A place in one frame. Every step answers whether what was expected stood there; after a "no" the place is
    undefined.
    """

    def __init__(self) -> None:
        self.at = 0
        self._eights = -1  # the last place from which eight bytes can be read at once

    @cython.ccall
    def start(self, data: bytes) -> cython.void:
        """Stand before the first byte."""
        # Bytes end in a NUL that C may read; Python may not, so it gets one of its own.
        self._data = data if cython.compiled else data + b"\0"
        self._p = self._data
        self._eights = len(data) - 8 if _LITTLE_ENDIAN else -1
        self.at = 0

    @cython.ccall
    def literal(self, text: bytes) -> cython.bint:
        """Exactly these bytes."""
        p: cython.p_uchar = self._p
        q: cython.p_uchar = text
        at: cython.Py_ssize_t = self.at
        i: cython.Py_ssize_t
        for i in range(len(text)):
            if p[at + i] != q[i]:
                return False
        self.at = at + len(text)
        return True

    @cython.ccall
    def integer(self) -> cython.longlong:
        """A whole number of at least 0 and at most 18 digits; -1 if there is none."""
        p: cython.p_uchar = self._p
        at: cython.Py_ssize_t = self.at
        c: cython.int = p[at]
        x: cython.longlong = 0
        while _ZERO <= c <= _NINE:
            x = x * 10 + (c - _ZERO)
            at += 1
            c = p[at]
        if at == self.at or at - self.at > _MOST_DIGITS or c == _DOT or (p[self.at] == _ZERO and at - self.at > 1):
            return -1
        self.at = at
        return x

    @cython.ccall
    def key(self) -> cython.int:
        """A quoted key of one or two characters and its colon: its characters as ``first + 256 * second``; -1 if
        not.
        """
        p: cython.p_uchar = self._p
        at: cython.Py_ssize_t = self.at
        code: cython.int
        if p[at] != _QUOTE or p[at + 1] == 0 or p[at + 1] == _QUOTE:
            return -1
        code = p[at + 1]
        at += 2
        if p[at] == 0:
            return -1
        if p[at] != _QUOTE:
            code += 256 * cython.cast(cython.int, p[at])
            at += 1
        if p[at] != _QUOTE or p[at + 1] != _COLON:
            return -1
        self.at = at + 2
        return code

    @cython.ccall
    def text(self) -> bytes:
        """A quoted text of plain ASCII without escapes, at most 64 bytes; empty if there is none."""
        p: cython.p_uchar = self._p
        start: cython.Py_ssize_t = self.at + 1
        at: cython.Py_ssize_t = start
        if p[self.at] != _QUOTE:
            return b""
        while p[at] != _QUOTE:
            if p[at] < 0x20 or p[at] > 0x7E or p[at] == 0x5C or at - start > 64:
                return b""
            at += 1
        self.at = at + 1
        return cython.cast(bytes, p[start:at])

    @cython.ccall
    def levels(self, rows: Rows, scale: cython.int) -> cython.bint:
        """``[["price","size"],...]`` onto ``rows``; no unless every price and size is plain digits within bounds."""
        p: cython.p_uchar = self._p
        px: cython.longlong
        size: cython.double
        if p[self.at] != _OPEN:
            return False
        self.at += 1
        if p[self.at] == _CLOSE:
            self.at += 1
            return True
        while True:
            if p[self.at] != _OPEN or p[self.at + 1] != _QUOTE:
                return False
            self.at += 2
            px = self._price(scale)
            if px <= 0 or p[self.at] != _QUOTE or p[self.at + 1] != _COMMA or p[self.at + 2] != _QUOTE:
                return False
            self.at += 3
            size = self._size()
            if size < 0 or p[self.at] != _QUOTE or p[self.at + 1] != _CLOSE:
                return False
            push(rows, px, size)
            self.at += 2
            if p[self.at] == _COMMA:
                self.at += 1
            elif p[self.at] == _CLOSE:
                self.at += 1
                return True
            else:
                return False

    @cython.cfunc
    @cython.inline
    def _price(self, scale: cython.int) -> cython.longlong:
        """The digits of a price: all before the dot, ``scale`` after it, zeros beyond; -1 if they are none."""
        p: cython.p_uchar = self._p
        at: cython.Py_ssize_t = self.at
        c: cython.int = p[at]
        px: cython.longlong = 0
        eight: cython.longlong
        fraction: cython.int = 0
        while _ZERO <= c <= _NINE:
            px = px * 10 + (c - _ZERO)
            at += 1
            c = p[at]
        if at == self.at or at - self.at + scale > _MOST_DIGITS:
            return -1
        if c == _DOT:
            at += 1
            if scale >= 8 and at <= self._eights:
                eight = eight_digits(p, at)
                if eight >= 0:
                    px = px * 100_000_000 + eight
                    fraction = 8
                    at += 8
            c = p[at]
            while _ZERO <= c <= _NINE:
                if fraction < scale:
                    px = px * 10 + (c - _ZERO)
                    fraction += 1
                elif c != _ZERO:
                    return -1
                at += 1
                c = p[at]
        self.at = at
        return px * whole_power_of_ten(scale - fraction) if fraction < scale else px

    @cython.cfunc
    @cython.inline
    def _size(self) -> cython.double:
        """The digits of a size: one integer and how many of its digits are fraction; -1 if they are none."""
        p: cython.p_uchar = self._p
        at: cython.Py_ssize_t = self.at
        c: cython.int = p[at]
        mantissa: cython.longlong = 0
        eight: cython.longlong
        digits: cython.int
        fraction: cython.int = 0
        while _ZERO <= c <= _NINE:
            mantissa = mantissa * 10 + (c - _ZERO)
            at += 1
            c = p[at]
        digits = at - self.at
        if digits == 0:
            return -1.0
        if c == _DOT:
            at += 1
            if at <= self._eights:
                eight = eight_digits(p, at)
                if eight >= 0:
                    mantissa = mantissa * 100_000_000 + eight
                    fraction = 8
                    at += 8
            c = p[at]
            while _ZERO <= c <= _NINE:
                mantissa = mantissa * 10 + (c - _ZERO)
                fraction += 1
                at += 1
                c = p[at]
        if digits + fraction > _MOST_DIGITS or mantissa > _EXACT:
            return -1.0
        self.at = at
        return mantissa / power_of_ten(fraction)


def px_from_text(text: object, scale: int) -> int:
    """A price as an integer of ``10 ** -scale``; ValueError where it is not a positive decimal of that grid."""
    if not isinstance(text, str) or not text.isascii():
        raise ValueError(f"price {text!r} is no decimal text")
    whole, _, fraction = text.partition(".")
    kept, beyond = fraction[:scale], fraction[scale:]
    if not whole.isdigit() or (fraction and not fraction.isdigit()):
        raise ValueError(f"price {text!r} is no positive decimal")
    if beyond.strip("0"):
        raise ValueError(f"price {text!r} is finer than {scale} decimals")
    px = int(whole + kept.ljust(scale, "0"))
    if not 0 < px <= MAX_PX:
        raise ValueError(f"price {text!r} is out of bounds")
    return px


def size_from_text(text: object) -> float:
    """A size as the nearest float64; ValueError where it is not a finite decimal of at least 0 within bounds."""
    if not isinstance(text, str):
        raise ValueError(f"size {text!r} is no decimal text")
    size = float(text)
    if not isfinite(size) or not 0.0 <= size <= MAX_SIZE or text.strip() != text or "_" in text:
        raise ValueError(f"size {text!r} is out of bounds")
    return abs(size)


def add_levels(rows: Rows, levels: Iterable[Sequence[object]], scale: int) -> None:
    """Decoded ``[price, size]`` rows onto ``rows``; ValueError for the first that is none."""
    for level in levels:
        if not isinstance(level, list) or len(level) < 2:
            raise ValueError(f"level {level!r} is no [price, size]")
        rows.add(px_from_text(level[0], scale), size_from_text(level[1]))
