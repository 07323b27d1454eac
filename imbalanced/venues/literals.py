"""Numbers as a JSON frame writes them, kept as text until they are read exactly; and as JavaScript would write them.

For venues whose frames are arrays of bare numbers: decode them as ``msgspec.Raw``, and no float comes between.
"""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache
from math import isfinite
from typing import TYPE_CHECKING

from imbalanced.book import MAX_SIZE

if TYPE_CHECKING:
    import msgspec


# The size of an order: no finer than this, so that a sum of any number of them stays exact (``orders.py``).
MOST_DECIMALS = 60
NUMBER = re.compile(r"\d{1,40}(\.\d{1,60})?([eE][+-]?\d{1,2})?", re.ASCII)


def literal(raw: msgspec.Raw | bytes) -> str:
    """The text of a number, as it is written."""
    return str(bytes(raw), "ascii")


def plain(number: str) -> str:
    """``2.5e-7`` is ``0.00000025``."""
    return format(Decimal(number), "f") if "e" in number or "E" in number else number


def signed(amount: str) -> tuple[int, str]:
    """Sign and size of an amount that is not 0."""
    size = amount.removeprefix("-")
    if not 0 < Decimal(size) <= MAX_SIZE:
        raise ValueError(f"{amount!r} is no amount")
    return (-1 if amount.startswith("-") else 1), size


def exact(number: str) -> Decimal:
    """A size, exactly; 0 is one."""
    size = Decimal(number) if NUMBER.fullmatch(number) else Decimal(-1)
    if not 0 <= size <= MAX_SIZE or -int(size.as_tuple().exponent) > MOST_DECIMALS:
        raise ValueError(f"{number!r} is no size")
    return size


def optional(number: str) -> float | None:
    """A finite number that may be negative, or null."""
    if number == "null":
        return None
    value = float(number)
    if not isfinite(value):
        raise ValueError(f"{number!r} is no number")
    return value


@lru_cache(maxsize=4_096)  # a checksum asks for the same fifty numbers again and again
def js_number(value: float) -> str:
    """A number as JavaScript writes it (ECMA-262, Number::toString): ``100``, ``0.000001``, ``2.5e-7``, ``1e+21``."""
    written = repr(value).removesuffix(".0")
    if "e" not in written:
        return written
    if 1e-6 <= abs(value) < 1e21:
        return format(Decimal(written), "f")
    digits, exponent = written.split("e")
    return f"{digits}e{int(exponent):+d}"
