"""The venues: one line each. A venue's file is the only place that knows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from imbalanced.venues import binance, bybit, deribit, gate, gemini, hyperliquid, kraken, kraken_futures, kucoin, okx

if TYPE_CHECKING:
    from imbalanced.venues.ccxt_spec import CcxtSpec
    from imbalanced.venues.codec import Codec, Endpoints


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
}
