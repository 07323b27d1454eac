"""What stands in a decoded JSON frame: text, whole numbers, times, rates; and the one way to refuse what does not.

A codec asks for each field by what it must be. Anything else is a ValueError here and, through :func:`guarded`, a
:class:`CodecError` that names channel and symbol. Nothing in here belongs to one venue.
"""

from __future__ import annotations

from datetime import UTC, datetime
from math import isfinite
from typing import TYPE_CHECKING, Any

import orjson

from imbalanced.venues.codec import CodecError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from imbalanced.venues.codec import Message

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
SIGNS = {"buy": 1, "sell": -1}


def json_object(data: bytes) -> dict[str, Any]:
    """A frame that must be a JSON object."""
    try:
        message = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise CodecError(f"no JSON: {error}", data) from error
    if not isinstance(message, dict):
        raise CodecError("no JSON object", data)
    return message


def guarded(
    read: Callable[[Any], Iterable[Message]], payload: Any, data: bytes, channel: str, symbol: object = ""
) -> list[Message]:
    """What ``read`` makes of a payload; CodecError where a field is missing or not what it must be."""
    try:
        return list(read(payload))
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        why = f"{channel}: {type(error).__name__} {error}"
        raise CodecError(why, data, channel=channel, symbol=symbol if isinstance(symbol, str) else "") from error


def text(value: object) -> str:
    """A text that is not empty."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"{value!r} is no text")
    return value


def whole(value: object) -> int:
    """An id or a time: a whole number from 0, as a number or as digits."""
    if isinstance(value, str) and value.isdigit() and value.isascii():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 62:
        raise ValueError(f"{value!r} is no id or time")
    return value


def rate(value: object) -> float:
    """A finite number that may be negative, from its text."""
    number = float(text(value))
    if not isfinite(number):
        raise ValueError(f"{value!r} is no rate")
    return number


def ms(value: object) -> int:
    """A time in milliseconds, perhaps with a fraction (``1619093543708.2642``), as nanoseconds."""
    head, _, fraction = value.partition(".") if isinstance(value, str) else (value, "", "")
    if fraction and not (fraction.isdigit() and fraction.isascii()):
        raise ValueError(f"{value!r} is no time")
    return whole(head) * NS_PER_MS + int(fraction[:6].ljust(6, "0"))


def utc(value: object) -> int:
    """A time such as ``2023-10-06T17:35:55.440295Z``, with any number of decimals, as nanoseconds."""
    whole_s, _, fraction = text(value).removesuffix("Z").partition(".")
    if not str(value).endswith("Z"):
        raise ValueError(f"{value!r} is no time in UTC")
    return int(datetime.fromisoformat(whole_s).replace(tzinfo=UTC).timestamp()) * NS_PER_S + nanoseconds(fraction)


def nanoseconds(fraction: str) -> int:
    """The decimals of a second; ValueError where they are none."""
    return int(fraction[:9].ljust(9, "0")) if fraction else 0
