"""What a venue file says of its instrument list: the ccxt class that knows it, as data."""

from __future__ import annotations

from typing import Any

from msgspec import Struct


class CcxtSpec(Struct, frozen=True, kw_only=True):
    """``exchange_id`` names the ccxt class, ``options`` are its options.

    ``rest_paths``: where the venue's hosts are overridden, only URLs whose path begins with one of these are moved to
    the other host; none given: all are, so that nothing of an override can reach the venue itself.

    The venue's own symbol is ccxt's ``id``, or what stands under ``wire_name`` in the venue's own record of the market
    (ccxt's ``info``); ``upper_case``: the sockets want it in capitals.

    ``amounts``: sizes on the wire are amounts already (of the base, or of the quote where inverse), whatever a contract
    is worth. ``base_sizes``: of the base whatever ccxt says, also where it calls a market inverse.

    ``family``: the venue gives markets of several families the same id. Its symbol is then ``FAMILY/id``, with the word
    that stands under this name in its own record.
    """

    exchange_id: str
    options: dict[str, Any]
    rest_paths: tuple[str, ...] = ()
    wire_name: str = ""
    upper_case: bool = False
    amounts: bool = False
    base_sizes: bool = False
    family: str = ""
