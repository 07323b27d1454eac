"""Hyperliquid: perpetuals (those of HIP-3 dexes too) and spot, by whole images. All of Hyperliquid is in this file.

Sources: Hyperliquid docs (gitbook copies of 2026: "WebSocket subscriptions", "Timeouts and heartbeats", "Rate limits
and user limits"); recorded frames of 2024-10 to 2026-10. Nothing numbers the images: each is the whole book as of its
``time``, and one older than the last is dropped. Since 2026-07-25 ``l2Book`` comes every 5 s with 20 levels a side;
with ``fast`` every 0.5 s with 5 levels, which is what we ask for.

========================  ==========================================  ==============================================
frame (``channel``)       what we do                                  seen in
========================  ==========================================  ==============================================
``l2Book``                Image; ``last_id`` is its time in ms        recordings 2024 to 2026, ``levels`` may be empty
``trades``                Prints; the first frame of a coin on a      recordings 2024 to 2026 (the first one of 2025 is
                          socket is history; ``B`` taker buy,         50 s old)
                          ``A`` taker sell
``activeAssetCtx``,       Context (funding per hour, open interest    test frames 2024-10; they bear no time
``activeSpotAssetCtx``    in base units); spot has only a mark
``subscriptionResponse``  Answer                                      recording 2026-10
``error``                 Answer with its text                        docs
``pong``, ``bbo``, ...    nothing                                     docs
========================  ==========================================  ==============================================

``tid`` is unique and no growing number, so a lost trade cannot be noticed. Liquidations of others are not public.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from msgspec import Struct

from imbalanced.book import Rows
from imbalanced.venues.ccxt_spec import CcxtSpec
from imbalanced.venues.codec import (
    Answer,
    Chain,
    Context,
    Continuity,
    Endpoints,
    Fetch,
    Image,
    Keepalive,
    Limits,
    LinkPlan,
    Print,
    Source,
)
from imbalanced.venues.scan import size_from_text
from imbalanced.venues.symbols import Symbols
from imbalanced.venues.wire import NS_PER_MS, guarded, json_object, rate, text, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from imbalanced.book import Book
    from imbalanced.events import Frame, Instrument
    from imbalanced.venues.codec import Message
    from imbalanced.venues.diff import Diff

SIGN = {"B": 1, "A": -1}
BOOK: dict[str, Any] = {"type": "l2Book", "fast": True}
TRADES: dict[str, Any] = {"type": "trades"}
# The subscriptions of one coin. An unsubscription must repeat the object to the letter.
STREAMS: tuple[dict[str, Any], ...] = (BOOK, TRADES, {"type": "activeAssetCtx"})


class Product(Struct, frozen=True, kw_only=True):
    """The one product: the socket carries perpetuals and spot alike."""

    endpoints: Endpoints = Endpoints(rest="https://api.hyperliquid.xyz", ws="wss://api.hyperliquid.xyz")
    # 1000 subscriptions an address in total; 2000 messages a minute; it closes a socket that said nothing for 60 s.
    limits: Limits = Limits(messages_per_s=20.0, weight_per_min=1200, streams_per_socket=1000, peer_silence_s=60.0)
    ccxt: CcxtSpec = CcxtSpec(
        exchange_id="hyperliquid", options={"fetchMarkets": {"types": ["swap", "spot"]}}, wire_name="name"
    )
    provides: tuple[str, ...] = ("book", "trade", "funding", "oi")

    def codec(self, venue: str, endpoints: Endpoints | None = None) -> HyperliquidCodec:
        """A codec for one run; ``endpoints`` replaces the public hosts."""
        return HyperliquidCodec(venue, self, endpoints)


ALL = Product()


class HyperliquidCodec:
    """Frames to messages, subscriptions, limits. Coins are written as the venue does: ``BTC``, ``kPEPE``, ``@107``."""

    def __init__(self, venue: str, product: Product, endpoints: Endpoints | None = None) -> None:
        self.venue = venue
        self.endpoints = endpoints or product.endpoints
        self.continuity = Continuity(chain=Chain.NONE, source=Source.FULL)
        self.limits = product.limits
        self.keepalive: Keepalive | None = Keepalive(every_s=25.0, text='{"method":"ping"}')
        self.checks: tuple[str, ...] = ()
        self.trades_count_up = False
        self._symbols = Symbols(venue)
        self.know, self.infer = self._symbols.know, self._symbols.infer
        self._traded: dict[int, set[str]] = {}
        self._by_channel: dict[str, Callable[[Any], Iterable[Message]]] = {
            "l2Book": self._image,
            "activeAssetCtx": self._context,
            "activeSpotAssetCtx": self._context,
            "subscriptionResponse": _acknowledged,
            "error": _refused,
        }

    def opened(self, conn: int) -> None:
        self._traded.pop(conn, None)

    # -- subscriptions -------------------------------------------------------------------------------------------------

    def plan(self, instruments: Sequence[Instrument]) -> list[LinkPlan]:
        at_once = self.limits.streams_per_socket // len(STREAMS)
        plans: list[LinkPlan] = []
        for start in range(0, len(instruments), at_once):
            coins = tuple(one.venue_symbol for one in instruments[start : start + at_once])
            plans.append(
                LinkPlan(
                    conn=len(plans) + 1,
                    url=f"{self.endpoints.ws}/ws",
                    books=coins,
                    # One coin a message: an array of coins is ignored without a word.
                    subscribe=tuple(_request("subscribe", stream, coin) for coin in coins for stream in STREAMS),
                )
            )
        return plans

    def resubscribe(self, symbol: str, conn: int = 0) -> Sequence[str]:
        return [_request(method, BOOK, symbol) for method in ("unsubscribe", "subscribe")]

    def resubscribe_trades(self, symbol: str, conn: int = 0) -> Sequence[str]:
        return [_request(method, TRADES, symbol) for method in ("unsubscribe", "subscribe")]

    def unsubscribe(self, symbol: str, conn: int = 0) -> Sequence[str]:
        return self.resubscribe(symbol, conn)[:1]

    def fetch_image(self, symbol: str) -> Fetch:
        raise ValueError(f"{symbol}: every message is a whole book, there is nothing to fetch")

    def verify(self, message: Diff | Image, book: Book) -> bool:
        return True

    # -- frames --------------------------------------------------------------------------------------------------------

    def decode(self, frame: Frame) -> list[Message]:
        if frame.kind != "ws":
            return []
        message = json_object(frame.data)
        channel, payload = message.get("channel"), message.get("data")
        if channel == "trades":
            return guarded(lambda m: self._prints(m, frame.conn), payload, frame.data, "trades", _coin_of(payload))
        handler = self._by_channel.get(channel) if isinstance(channel, str) else None
        if handler is None:
            return []
        return guarded(handler, payload, frame.data, str(channel), _coin_of(payload))

    def _image(self, m: dict[str, Any]) -> Iterable[Message]:
        coin, time_ms = text(m["coin"]), whole(m["time"])
        bids, asks = m["levels"]
        rows = Rows(len(bids) + len(asks))
        self._symbols.add(rows, coin, ((level["px"], level["sz"]) for level in bids))
        rows.end_bids()
        self._symbols.add(rows, coin, ((level["px"], level["sz"]) for level in asks))
        return (Image(symbol=coin, last_id=time_ms, event_ns=time_ms * NS_PER_MS, rows=rows),)

    def _prints(self, trades: list[dict[str, Any]], conn: int) -> Iterable[Message]:
        heard = self._traded.setdefault(conn, set())
        known = frozenset(heard)
        for trade in trades:
            coin = text(trade["coin"])
            px = self._symbols.px(coin, trade["px"])
            yield Print(
                symbol=coin,
                stream="trades",
                px=px,
                size=self._symbols.size(coin, trade["sz"], px),
                sign=SIGN[trade["side"]],
                trade_id=-1,
                event_ns=whole(trade["time"]) * NS_PER_MS,
                why_not="" if coin in known else "history",
            )
            heard.add(coin)

    def _context(self, m: dict[str, Any]) -> Iterable[Message]:
        told = m["ctx"]
        perpetual = "funding" in told
        return (
            Context(
                symbol=text(m["coin"]),
                event_ns=0,
                mark=size_from_text(told["markPx"]),
                index=size_from_text(told["oraclePx"]) if perpetual else None,
                funding_rate=rate(told["funding"]) if perpetual else None,
                funding_interval_h=1.0 if perpetual else None,
                open_interest=size_from_text(told["openInterest"]) if perpetual else None,
            ),
        )


def _request(method: str, stream: dict[str, Any], coin: str) -> str:
    return orjson.dumps({"method": method, "subscription": {**stream, "coin": coin}}).decode()


def _coin_of(payload: Any) -> object:
    """Whose frame this is, as far as its fields tell; trades of one frame are of one coin."""
    one = payload[0] if isinstance(payload, list) and payload else payload
    return one.get("coin", "") if isinstance(one, dict) else ""


def _acknowledged(_: Any) -> Iterable[Message]:
    return (Answer(request_id=0),)


def _refused(told: Any) -> Iterable[Message]:
    return (Answer(request_id=0, error=text(told)),)
