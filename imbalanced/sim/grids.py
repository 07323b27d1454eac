"""Instruments for simulated venues: what a unified symbol asks for, plausible prices, listings from grid texts; and the
small writing habits that many venues share.

Price levels are those of recordings of August 2024, so that all venues trade an asset at the same price.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import NamedTuple, TypeVar

from imbalanced.sim.wire import Listing

LEVELS = {"BTC": "61800", "ETH": "2680", "SOL": "152", "BNB": "515", "XRP": "0.61", "DOGE": "0.105", "ADA": "0.345"}
OTHER_LEVEL = "12.5"

V = TypeVar("V")


class Asked(NamedTuple):
    """`BASE/QUOTE` or `BASE/QUOTE:SETTLE`; `settle` is empty where it is not told."""

    base: str
    quote: str
    settle: str


def asked(text: str) -> Asked:
    """A unified symbol taken apart. ValueError if the text is none."""
    base, slash, rest = text.strip().upper().partition("/")
    quote, colon, settle = rest.partition(":")
    if not (base.isalnum() and slash and quote.isalnum() and (settle.isalnum() or not colon)):
        raise ValueError(f"symbol {text!r}: expected BASE/QUOTE such as BTC/USDT")
    return Asked(base, quote, settle)


def by_base(table: Mapping[str, V], base: str) -> V:
    """A table's entry for an asset; the one under "" is for all others."""
    return table.get(base, table[""])


def listing(
    symbol: str, unified: str, pair: tuple[str, str], grid: tuple[str, str], *, contract: str = "1", worth: int = 0
) -> Listing:
    """An instrument of `pair` (base, quote) with the tick and lot sizes of `grid`.

    `worth`: quote units of one lot of an inverse contract.
    """
    (base, quote), (tick, lot) = pair, grid
    price_decimals, size_decimals = places(tick), places(lot)
    return Listing(
        symbol,
        unified,
        base,
        quote,
        int(Decimal(tick).scaleb(price_decimals)),
        price_decimals,
        int(Decimal(lot).scaleb(size_decimals)),
        size_decimals,
        int(Decimal(LEVELS.get(base, OTHER_LEVEL)) / Decimal(tick)),
        contract_size=worth,
        contract=contract,
    )


def tick_size(listing: Listing) -> str:
    return listing.price(1)


def lot_size(listing: Listing) -> str:
    return listing.size(1)


def places(text: str) -> int:
    """Significant decimal places: `0.0100` has two."""
    return len(text.partition(".")[2].rstrip("0"))


def compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def utc(ms: int) -> str:
    """`2023-10-06T17:35:55.440000Z`."""
    return f"{datetime.fromtimestamp(ms // 1000, UTC):%Y-%m-%dT%H:%M:%S}.{ms % 1000:03}000Z"


def trimmed(number: str) -> str:
    """Decimal text without trailing zeros, as many venues write it."""
    return number.rstrip("0").rstrip(".") if "." in number else number
