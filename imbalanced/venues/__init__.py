"""The venues: one line each. A venue's file is the only place that knows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from imbalanced.venues import (
    binance,
    bitfinex,
    bitget,
    bybit,
    coinbase,
    deribit,
    gate,
    gemini,
    hyperliquid,
    kraken,
    kraken_futures,
    kucoin,
    okx,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from imbalanced.venues.ccxt_spec import CcxtSpec
    from imbalanced.venues.codec import Codec, Credentials, Endpoints


class Venue(Protocol):
    """What a line of the table holds: how to make the venue's codec, and where its instruments are listed."""

    @property
    def ccxt(self) -> CcxtSpec:
        """The instrument list."""

    @property
    def provides(self) -> tuple[str, ...]:
        """What its streams tell, in the words of a metric's ``inputs``."""

    @property
    def endpoints(self) -> Endpoints:
        """The public hosts."""

    def codec(self, venue: str, endpoints: Endpoints | None = None) -> Codec:
        """A codec for one run; ``endpoints`` replaces the public hosts."""


def with_key(venue: Venue, credentials: object) -> Venue:
    """What is used of a venue: where credentials are given, what it has for its customers, if anything."""
    own: Venue | None = getattr(venue, "with_key", None)
    return venue if credentials is None or own is None else own


def signer(venue: object, credentials: Credentials | None) -> Callable[[str, int], str] | None:
    """What puts credentials into a request as it is sent, at a time in ns; None where nothing is signed."""
    sign = getattr(getattr(venue, "with_key", None) or venue, "sign", None)
    if sign is None or credentials is None:
        return None
    return lambda request, now_ns: sign(request, credentials, now_ns)


VENUES: dict[str, Venue] = {
    "binance": binance.SPOT,
    "binance_us": binance.US,
    "binance_usdm": binance.USDM,
    "binance_coinm": binance.COINM,
    "bybit": bybit.LINEAR,
    "bybit_inverse": bybit.INVERSE,
    "bybit_spot": bybit.SPOT,
    "okx": okx.PUBLIC,
    "hyperliquid": hyperliquid.ALL,
    "gemini": gemini.ALL,
    "gate": gate.SPOT,
    "gate_futures": gate.USDT_FUTURES,
    "kucoin": kucoin.SPOT,
    "kraken_futures": kraken_futures.FUTURES,
    "deribit": deribit.ALL,
    "kraken": kraken.SPOT,
    "bitget": bitget.ALL,
    "bitfinex": bitfinex.LEVELS,
    "bitfinex_orders": bitfinex.ORDERS,
    "coinbase": coinbase.EXCHANGE,
    "coinbase_orders": coinbase.FULL,
}
