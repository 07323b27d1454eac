"""What a venue file says of its instrument list: the ccxt class that knows it, as data."""

from __future__ import annotations

from typing import Any

from msgspec import Struct


class CcxtSpec(Struct, frozen=True, kw_only=True):
    """``exchange_id`` names the ccxt class, ``options`` are its options."""

    exchange_id: str
    options: dict[str, Any]
