"""Gemini: spot and perpetuals by Market Data v2. Everything Gemini is in this file.

Sources: docs.gemini.com "Market Data Version 2" (as quoted by ccxt 4.5 and tardis-node 18.2, 2026); the recording of
2021-06. Gemini offers a newer socket (``ws.gemini.com``, ``depthUpdate``) since 2026-07; no frame of it is recorded, so
it is not spoken here. Nothing numbers the book's changes: a lost one shows only when the book is crossed.

==================  ==============================================================  =================
frame (``type``)    what we do                                                      seen in
==================  ==============================================================  =================
``l2_updates``      with ``auction_events`` or ``trades`` it is the whole book:     recording 2021-06
                    Image, and its trades Prints of history;
                    else Diff
``trade``           Print; ``side`` is the taker's                                  recording 2021-06
``heartbeat``       nothing (every 5 s)                                             recording 2021-06
``result: error``   Answer with its reason                                          docs
auctions, candles   nothing                                                         docs
symbols/details     Listing of one instrument                                       recording 2021-06
==================  ==============================================================  =================
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
import orjson
from msgspec import Struct

from imbalanced.book import Rows
from imbalanced.events import Instrument
from imbalanced.venues.ccxt_spec import CcxtSpec
from imbalanced.venues.codec import (
    Answer,
    Chain,
    CodecError,
    Continuity,
    Endpoints,
    Fetch,
    Image,
    Limits,
    LinkPlan,
    Listing,
    Print,
    Source,
)
from imbalanced.venues.diff import Diff
from imbalanced.venues.symbols import LEAST_SCALE, Symbols
from imbalanced.venues.wire import NS_PER_MS, SIGNS, guarded, json_object, text, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from imbalanced.book import Book
    from imbalanced.events import Frame
    from imbalanced.venues.codec import Keepalive, Message

SUBSCRIBE_AT_ONCE = 50


class Product(Struct, frozen=True, kw_only=True):
    """The one product."""

    endpoints: Endpoints = Endpoints(rest="https://api.gemini.com", ws="wss://api.gemini.com")
    limits: Limits = Limits(messages_per_s=2.0, weight_per_min=120, streams_per_socket=200, peer_silence_s=30.0)
    ccxt: CcxtSpec = CcxtSpec(exchange_id="gemini", options={}, upper_case=True)
    provides: tuple[str, ...] = ("book", "trade")

    def codec(self, venue: str, endpoints: Endpoints | None = None) -> GeminiCodec:
        """A codec for one run; ``endpoints`` replaces the public hosts."""
        return GeminiCodec(venue, self, endpoints)


ALL = Product()


class _Details(Struct, frozen=True):
    """``/v1/symbols/details/{symbol}``; ``tick_size`` is the smallest amount, ``quote_increment`` that of the price."""

    symbol: str
    base_currency: str
    quote_currency: str
    tick_size: Decimal
    quote_increment: Decimal
    status: str


class GeminiCodec:
    """Frames to messages, subscriptions, limits. On the socket symbols are in upper case."""

    def __init__(self, venue: str, product: Product, endpoints: Endpoints | None = None) -> None:
        self.venue = venue
        self.endpoints = endpoints or product.endpoints
        self.continuity = Continuity(chain=Chain.NONE, source=Source.STREAM, diffs_before_snapshot=0)
        self.limits = product.limits
        self.keepalive: Keepalive | None = None
        self.checks: tuple[str, ...] = ()
        self.trades_count_up = False
        self._symbols = Symbols(venue)
        self.know, self.infer = self._symbols.know, self._symbols.infer
        self._diff = Diff(Rows(64))
        self._by_type: dict[str, Callable[[Any], Iterable[Message]]] = {"l2_updates": self._book, "trade": self._trade}

    def opened(self, conn: int) -> None:
        return

    # -- subscriptions -------------------------------------------------------------------------------------------------

    def plan(self, instruments: Sequence[Instrument]) -> list[LinkPlan]:
        plans: list[LinkPlan] = []
        for start in range(0, len(instruments), self.limits.streams_per_socket):
            symbols = [one.venue_symbol for one in instruments[start : start + self.limits.streams_per_socket]]
            parts = [symbols[i : i + SUBSCRIBE_AT_ONCE] for i in range(0, len(symbols), SUBSCRIBE_AT_ONCE)]
            plans.append(
                LinkPlan(
                    conn=len(plans) + 1,
                    url=f"{self.endpoints.ws}/v2/marketdata",
                    books=tuple(symbols),
                    subscribe=tuple(_request("subscribe", part) for part in parts),
                )
            )
        return plans

    def resubscribe(self, symbol: str, conn: int = 0) -> Sequence[str]:
        return [_request(method, [symbol]) for method in ("unsubscribe", "subscribe")]

    def resubscribe_trades(self, symbol: str, conn: int = 0) -> Sequence[str]:
        return ()  # trades come with the book

    def unsubscribe(self, symbol: str, conn: int = 0) -> Sequence[str]:
        return self.resubscribe(symbol, conn)[:1]

    def fetch_image(self, symbol: str) -> Fetch:
        """The book by REST, for a comparison by hand: its image comes with the subscription."""
        return Fetch(venue=self.venue, url=f"{self.endpoints.rest}/v1/book/{symbol.lower()}?limit_bids=0&limit_asks=0")

    def verify(self, message: Diff | Image, book: Book) -> bool:
        return True

    # -- frames --------------------------------------------------------------------------------------------------------

    def decode(self, frame: Frame) -> list[Message]:
        if frame.kind == "http":
            return [self._listed(frame.data)] if "/symbols/details/" in frame.url and frame.status == 200 else []
        message = json_object(frame.data)
        kind = message.get("type")
        handler = self._by_type.get(kind) if isinstance(kind, str) else None
        if handler is not None:
            return guarded(handler, message, frame.data, str(kind), message.get("symbol"))
        if message.get("result") == "error":
            return [Answer(request_id=0, error=f"{message.get('reason')}: {message.get('message', '')}".rstrip(": "))]
        return []

    def _book(self, m: dict[str, Any]) -> Iterable[Message]:
        symbol = text(m["symbol"])
        if "auction_events" not in m and "trades" not in m:
            diff = self._diff
            diff.symbol = symbol
            diff.rows.clear()
            self._rows(diff.rows, symbol, m["changes"])
            return (diff,)
        rows = Rows(len(m["changes"]))
        self._rows(rows, symbol, m["changes"])
        image = Image(symbol=symbol, last_id=0, event_ns=0, rows=rows)
        # Mostly newest first, but in no order one could rely on.
        history = [self._print(trade, "history") for trade in m.get("trades", [])]
        return (image, *sorted(history, key=lambda one: one.trade_id))

    def _rows(self, rows: Rows, symbol: str, changes: list[list[str]]) -> None:
        sides: dict[str, list[list[str]]] = {"buy": [], "sell": []}
        for side, price, size in changes:
            sides[side].append([price, size])
        self._symbols.add(rows, symbol, sides["buy"])
        rows.end_bids()
        self._symbols.add(rows, symbol, sides["sell"])

    def _trade(self, m: dict[str, Any]) -> Iterable[Message]:
        return (self._print(m, ""),)

    def _print(self, m: dict[str, Any], why_not: str) -> Print:
        symbol = text(m["symbol"])
        px = self._symbols.px(symbol, m["price"])
        return Print(
            symbol=symbol,
            stream="trade",
            px=px,
            size=self._symbols.size(symbol, m["quantity"], px),
            sign=SIGNS[m["side"]],
            trade_id=whole(m["event_id"]),
            event_ns=whole(m["timestamp"]) * NS_PER_MS,
            why_not=why_not,
        )

    def _listed(self, data: bytes) -> Listing:
        try:
            told = msgspec.json.decode(data, type=_Details)
        except msgspec.DecodeError as error:
            raise CodecError(f"symbols/details: {error}", data, channel="symbols/details") from error
        tick, lot = (f"{step.normalize():f}" for step in (told.quote_increment, told.tick_size))
        instrument = Instrument(
            venue=self.venue,
            symbol=f"{told.base_currency}/{told.quote_currency}",
            venue_symbol=told.symbol,
            base=told.base_currency,
            quote=told.quote_currency,
            tick=tick,
            lot=lot,
            price_scale=max(LEAST_SCALE, len(tick.partition(".")[2])),
            active=told.status != "closed",
        )
        return Listing((instrument,))


def _request(method: str, symbols: list[str]) -> str:
    return orjson.dumps({"type": method, "subscriptions": [{"name": "l2", "symbols": symbols}]}).decode()
