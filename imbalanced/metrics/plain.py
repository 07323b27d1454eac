"""Slow events as plain dicts (``{"type": "oi", "oi": "1000", ...}``): picking them out and reading their numbers.

Numbers are decimal text or Python numbers. What is malformed raises ValueError naming the key, what stood there and
what was expected.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any


def picked(event: object, kind: str) -> Mapping[str, Any] | None:
    """The event if it is of that kind."""
    return event if isinstance(event, Mapping) and event.get("type") == kind else None


def decimal(given: object, what: str, *, least: int | None = None) -> Decimal:
    """A finite number exactly as written; at least ``least`` where that is given."""
    value = None
    if isinstance(given, str | int | float | Decimal) and not isinstance(given, bool):
        try:
            value = Decimal(str(given))
        except InvalidOperation:
            value = None
    if value is None or not value.is_finite() or abs(value.adjusted()) > 100:
        raise ValueError(f"{what} is {given!r}, expected a finite number as decimal text")
    if least is not None and value < least:
        raise ValueError(f"{what} is {given!r}, expected at least {least}")
    return value


def number(given: object, what: str, *, least: int | None = None) -> float:
    """The same as a float."""
    return float(decimal(given, what, least=least))


def fraction(given: object, what: str, *, least: int | None = None) -> Fraction:
    """The same as a fraction, for sums and decisions that must be exact."""
    return Fraction(decimal(given, what, least=least))


def known(event: Mapping[str, Any], key: str, *, least: int | None = None) -> Fraction | None:
    """A number of the event that may be null where the venue does not say; a missing key is malformed."""
    given = event.get(key, "nothing")
    return None if given is None else fraction(given, key, least=least)


def members(given: object, keys: tuple[str, ...], what: str = "x") -> tuple[float, ...]:
    """The numbers of a dict with these keys, in their order."""
    if not isinstance(given, Mapping):
        raise ValueError(f"{what} is {given!r}, expected a mapping of {', '.join(keys)}")
    return tuple(number(given.get(key), f"{what}.{key}") for key in keys)


def items(given: object, length: int, what: str = "x") -> tuple[float, ...]:
    """The numbers of a list of this length."""
    if not isinstance(given, list | tuple) or len(given) != length:
        raise ValueError(f"{what} is {given!r}, expected a list of {length} numbers")
    return tuple(number(item, f"{what}[{i}]") for i, item in enumerate(given))
