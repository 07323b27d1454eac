"""Gate: spot and USDT perpetuals (API v4), by diffs and a REST image. Everything Gate is in this file.

Sources: Gate API v4 documents "Spot WebSocket v4" and "Futures WebSocket v4" (``order_book_update``: "How to maintain
local order book"), announcements 44946 and 45317 of 2025-05 (``obu``); recorded frames of 2021-04 and 2023-05. The
recordings prove the classic ``order_book_update`` (267 of 267 ids follow, 8 of 8 first diffs overlap), so that is what
we live on. ``obu``, whose image comes in the band, is in no recording and not spoken here.

===========================  =========================================================  ============================
frame (``channel``)          what we do                                                 seen in
===========================  =========================================================  ============================
``*.order_book_update``      Diff; spot levels ``[price, size]``, futures               both recordings
                             ``{"p": price, "s": contracts}``
``spot.trades``              Print; ``side`` is the taker's                             recording 2021-04
``futures.trades``           Prints; ``size`` below 0 is a taker's sell; sizes may be   test frames 2020 to 2026
                             decimal text; ``is_internal`` is no market trade
``futures.tickers``          Context (mark, index, funding, open interest in base       test frames 2020 to 2023
                             units)
``event: subscribe``         Answer, with the text of its ``error``; of a list that is   both recordings, ccxt 4.5
                             refused for one symbol the others are asked for one by     (a refusal of 2025-02)
                             one (Reply)
``*.pong``, candles, ...     nothing                                                    recordings
order_book (REST)            Image with ``id``                                          both recordings
currency_pairs, contracts    Listing; a contract is worth ``quanto_multiplier``         both recordings
===========================  =========================================================  ============================

Left open by the documents we have: how many connections and messages a second are allowed, and the name of the channel
of liquidations; so none is asked for.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qs, urlsplit

import orjson
from msgspec import Struct

from imbalanced.book import Rows
from imbalanced.events import Instrument
from imbalanced.venues.ccxt_spec import CcxtSpec
from imbalanced.venues.codec import (
    Answer,
    Chain,
    CodecError,
    Context,
    Continuity,
    Endpoints,
    Fetch,
    Image,
    ImageFailed,
    Keepalive,
    Limits,
    LinkPlan,
    Listing,
    Print,
    Reply,
)
from imbalanced.venues.diff import Diff
from imbalanced.venues.scan import size_from_text
from imbalanced.venues.symbols import LEAST_SCALE, Symbols, number_text
from imbalanced.venues.wire import NS_PER_MS, SIGNS, guarded, json_object, ms, rate, text, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from imbalanced.book import Book
    from imbalanced.events import Frame
    from imbalanced.venues.codec import Message

# The image must have as many levels as the class of the diffs: 100 at 100 ms.
EVERY, IMAGE_LEVELS = "100ms", 100
SUBSCRIBE_AT_ONCE = 50
# What may be the name of a symbol in the text of a refusal: ``unknown currency pair: AAA_USDT``.
NAMED = re.compile(r"[A-Z0-9]+_[A-Z0-9_]+")
# "label" of an error answer: there is no such symbol.
NO_SUCH = ("INVALID_CURRENCY_PAIR", "INVALID_CURRENCY", "CONTRACT_NOT_FOUND")


class Product(Struct, frozen=True, kw_only=True):
    """What differs between spot and perpetuals. ``lists``: the channels that take a list of symbols at once."""

    family: Literal["spot", "futures"]
    endpoints: Endpoints
    socket_path: str
    image_path: str
    symbol_key: str
    lists: tuple[str, ...]
    ccxt: CcxtSpec
    provides: tuple[str, ...]
    limits: Limits = Limits(messages_per_s=10.0, weight_per_min=600, streams_per_socket=300, peer_silence_s=60.0)

    def codec(self, venue: str, endpoints: Endpoints | None = None) -> GateCodec:
        """A codec for one run; ``endpoints`` replaces the public hosts."""
        return GateCodec(venue, self, endpoints)


SPOT = Product(
    family="spot",
    endpoints=Endpoints(rest="https://api.gateio.ws", ws="wss://api.gateio.ws"),
    socket_path="/ws/v4/",
    image_path="/api/v4/spot/order_book",
    symbol_key="currency_pair",
    lists=("trades",),
    ccxt=CcxtSpec(exchange_id="gate", options={"fetchMarkets": {"types": ["spot"]}, "defaultType": "spot"}),
    provides=("book", "trade"),
)
USDT_FUTURES = Product(
    family="futures",
    endpoints=Endpoints(rest="https://api.gateio.ws", ws="wss://fx-ws.gateio.ws"),
    socket_path="/v4/ws/usdt",
    image_path="/api/v4/futures/usdt/order_book",
    symbol_key="contract",
    lists=("trades", "tickers"),
    ccxt=CcxtSpec(
        exchange_id="gate",
        options={
            "fetchMarkets": {"types": ["swap"]},
            "swap": {"fetchMarkets": {"settlementCurrencies": ["usdt"]}},
            "defaultType": "swap",
        },
    ),
    provides=("book", "trade", "funding", "oi"),
)


class GateCodec:
    """One Gate product: frames to messages, subscriptions, proof, limits."""

    def __init__(self, venue: str, product: Product, endpoints: Endpoints | None = None) -> None:
        self.venue = venue
        self.product = product
        self.endpoints = endpoints or product.endpoints
        self.continuity = Continuity(chain=Chain.PLUS_ONE, offset=1, diffs_before_snapshot=5, image_levels=IMAGE_LEVELS)
        self.limits = product.limits
        self.keepalive: Keepalive | None = Keepalive(every_s=15.0, text=f'{{"channel":"{product.family}.ping"}}')
        self.checks: tuple[str, ...] = ("sequence",)
        self.trades_count_up = False
        self._symbols = Symbols(venue)
        self.know, self.infer = self._symbols.know, self._symbols.infer
        self._diff = Diff(Rows(256))
        self._lists: list[list[str]] = []  # of symbols that are asked for at once
        self._apart: set[tuple[int, str, str]] = set()  # socket, channel, symbol: asked for by itself
        self._by_channel: dict[str, Callable[[Any], Iterable[Message]]] = {
            "spot.order_book_update": self._depth,
            "futures.order_book_update": self._depth,
            "spot.trades": self._trade,
            "futures.trades": self._contract_trades,
            "futures.tickers": self._tickers,
        }

    def opened(self, conn: int) -> None:
        self._apart = {one for one in self._apart if one[0] != conn}

    # -- subscriptions -------------------------------------------------------------------------------------------------

    def plan(self, instruments: Sequence[Instrument]) -> list[LinkPlan]:
        at_once = self.limits.streams_per_socket // (1 + len(self.product.lists))
        plans: list[LinkPlan] = []
        for start in range(0, len(instruments), at_once):
            symbols = [one.venue_symbol for one in instruments[start : start + at_once]]
            plans.append(
                LinkPlan(
                    conn=len(plans) + 1,
                    url=self.endpoints.ws + self.product.socket_path,
                    books=tuple(symbols),
                    subscribe=tuple(self._subscriptions(symbols)),
                )
            )
        return plans

    def _subscriptions(self, symbols: list[str]) -> Iterable[str]:
        for symbol in symbols:
            yield self._of_book("subscribe", symbol)
        lists = [symbols[start : start + SUBSCRIBE_AT_ONCE] for start in range(0, len(symbols), SUBSCRIBE_AT_ONCE)]
        self._lists += [part for part in lists if part not in self._lists]
        for channel in self.product.lists:
            for part in lists:
                yield self._request("subscribe", channel, part)

    def _of_book(self, event: str, symbol: str) -> str:
        levels = [str(IMAGE_LEVELS)] if self.product.family == "futures" else []
        return self._request(event, "order_book_update", [symbol, EVERY, *levels])

    def _request(self, event: str, channel: str, payload: list[str]) -> str:
        request = {"channel": f"{self.product.family}.{channel}", "event": event, "payload": payload}
        return orjson.dumps(request).decode()

    def resubscribe(self, symbol: str, conn: int = 0) -> Sequence[str]:
        return (self._of_book("unsubscribe", symbol), self._of_book("subscribe", symbol))

    def resubscribe_trades(self, symbol: str, conn: int = 0) -> Sequence[str]:
        return [self._request(event, "trades", [symbol]) for event in ("unsubscribe", "subscribe")]

    def unsubscribe(self, symbol: str, conn: int = 0) -> Sequence[str]:
        return ()  # a stream that ends costs nothing

    def fetch_image(self, symbol: str) -> Fetch:
        path, key = self.product.image_path, self.product.symbol_key
        url = f"{self.endpoints.rest}{path}?{key}={symbol}&limit={IMAGE_LEVELS}&with_id=true"
        return Fetch(venue=self.venue, url=url)

    def verify(self, message: Diff | Image, book: Book) -> bool:
        return True

    # -- frames --------------------------------------------------------------------------------------------------------

    def decode(self, frame: Frame) -> list[Message]:
        if frame.kind == "http":
            return self._http(frame)
        message = json_object(frame.data)
        channel, event, result = message.get("channel"), message.get("event"), message.get("result")
        if message.get("error"):
            return guarded(lambda m: self._refused(m, frame.conn), message, frame.data, str(channel))
        if event in ("subscribe", "unsubscribe"):
            return [Answer(request_id=0)]
        handler = self._by_channel.get(channel) if isinstance(channel, str) else None
        if handler is None or event != "update":
            return []
        return guarded(handler, result, frame.data, str(channel), _symbol_of(result))

    def _refused(self, message: dict[str, Any], conn: int) -> Iterable[Message]:
        """One symbol is named, and all that were asked for with it are refused as well: each is asked for by itself.
        Newer answers repeat what was asked, older ones do not.
        """
        channel, error = str(message.get("channel")), message["error"]
        told = f"{channel}: {error['code']} {error['message']}"
        named = NAMED.findall(str(error["message"]))
        kind, asked = channel.partition(".")[2], message.get("payload") or ()
        if kind not in self.product.lists or message.get("event") != "subscribe":
            yield Answer(request_id=0, error=told, symbols=tuple(named or asked[:1]))
            return
        asked = asked or next((part for part in self._lists if named and named[0] in part), named)
        names = tuple(named or (asked if len(asked) == 1 else ()))
        yield Answer(request_id=0, error=told, symbols=names, again=len(asked) > 1)
        self._apart.update((conn, kind, symbol) for symbol in named)
        for symbol in map(text, asked):
            if len(asked) > 1 and (conn, kind, symbol) not in self._apart:
                self._apart.add((conn, kind, symbol))
                yield Reply(self._request("subscribe", kind, [symbol]))

    def _depth(self, m: dict[str, Any]) -> Iterable[Message]:
        diff = self._diff
        diff.symbol = text(m["s"])
        diff.first_id, diff.last_id = whole(m["U"]), whole(m["u"])
        diff.event_ns = whole(m["t"]) * NS_PER_MS
        self._rows(diff.rows, diff.symbol, m["b"], m["a"])
        return (diff,)

    def _rows(self, rows: Rows, symbol: str, bids: list[Any], asks: list[Any]) -> None:
        rows.clear()
        self._symbols.add(rows, symbol, map(_level, bids))
        rows.end_bids()
        self._symbols.add(rows, symbol, map(_level, asks))

    def _trade(self, m: dict[str, Any]) -> Iterable[Message]:
        return (self._print(text(m["currency_pair"]), m, SIGNS[m["side"]], m["amount"], ""),)

    def _contract_trades(self, trades: list[dict[str, Any]]) -> Iterable[Message]:
        for trade in sorted(trades, key=lambda one: whole(one["id"])):
            signed = number_text(trade["size"])
            why_not = "not_market" if trade.get("is_internal") else ""
            sign = -1 if signed.startswith("-") else 1
            yield self._print(text(trade["contract"]), trade, sign, signed.removeprefix("-"), why_not)

    def _print(self, symbol: str, m: dict[str, Any], sign: int, size: object, why_not: str) -> Print:
        px = self._symbols.px(symbol, m["price"])
        return Print(
            symbol=symbol,
            stream="trades",
            px=px,
            size=self._symbols.size(symbol, size, px),
            sign=sign,
            trade_id=whole(m["id"]),
            event_ns=ms(m["create_time_ms"]) if "create_time_ms" in m else whole(m["create_time"]) * 1000 * NS_PER_MS,
            why_not=why_not,
        )

    def _tickers(self, tickers: list[dict[str, Any]]) -> Iterable[Message]:
        for m in tickers:
            symbol, mark = text(m["contract"]), text(m["mark_price"])
            yield Context(
                symbol=symbol,
                event_ns=0,
                mark=size_from_text(mark),
                index=size_from_text(m["index_price"]),
                funding_rate=rate(m["funding_rate"]),
                open_interest=self._symbols.size(symbol, m["total_size"], self._symbols.px(symbol, mark)),
            )

    # -- REST ----------------------------------------------------------------------------------------------------------

    def _http(self, frame: Frame) -> list[Message]:
        url = urlsplit(frame.url)
        if url.path.endswith("/order_book"):
            return [self._image(frame, "".join(parse_qs(url.query).get(self.product.symbol_key, ())))]
        if url.path.endswith(("/currency_pairs", "/contracts")) and frame.status == 200:
            return guarded(self._listing, frame.data, frame.data, "listing")
        return []

    def _image(self, frame: Frame, symbol: str) -> Message:
        if frame.status != 200:
            why = f"HTTP {frame.status}" if frame.status else frame.data[:120].decode(errors="replace")
            return ImageFailed(symbol=symbol, why=why, gone=_label(frame.data) in NO_SUCH)
        try:
            body = orjson.loads(frame.data)
            rows = Rows(2 * IMAGE_LEVELS)
            self._rows(rows, symbol, body["bids"], body["asks"])
            return Image(symbol=symbol, last_id=whole(body["id"]), event_ns=0, rows=rows)
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            why = f"order_book: {type(error).__name__} {error}"
            raise CodecError(why, frame.data, channel="order_book", symbol=symbol) from error

    def _listing(self, data: bytes) -> Iterable[Message]:
        read = self._pair if self.product.family == "spot" else self._contract
        return (Listing(tuple(read(one) for one in orjson.loads(data))),)

    def _pair(self, m: dict[str, Any]) -> Instrument:
        decimals = whole(m["precision"])
        return Instrument(
            venue=self.venue,
            symbol=f"{m['base']}/{m['quote']}",
            venue_symbol=text(m["id"]),
            base=m["base"],
            quote=m["quote"],
            tick=format(Decimal(1).scaleb(-decimals), "f"),
            price_scale=max(LEAST_SCALE, decimals),
            active=m["trade_status"] == "tradable",
        )

    def _contract(self, m: dict[str, Any]) -> Instrument:
        name, tick = text(m["name"]), text(m["order_price_round"])
        base, _, quote = name.partition("_")
        return Instrument(
            venue=self.venue,
            symbol=f"{base}/{quote}:{quote}",
            venue_symbol=name,
            base=base,
            quote=quote,
            tick=tick,
            price_scale=max(LEAST_SCALE, len(tick.partition(".")[2])),
            contract_size=size_from_text(m["quanto_multiplier"]),
            active=not m["in_delisting"],
        )


def _level(level: Any) -> tuple[object, object]:
    """A level of spot (a list) or of futures (an object)."""
    return (level["p"], level["s"]) if isinstance(level, dict) else (level[0], level[1])


def _symbol_of(result: Any) -> object:
    """Whose frame this is, as far as its fields tell."""
    if isinstance(result, list):
        symbols = {_symbol_of(one) for one in result}
        return symbols.pop() if len(symbols) == 1 else ""
    if not isinstance(result, dict):
        return ""
    return next((name for key in ("s", "currency_pair", "contract") if isinstance(name := result.get(key), str)), "")


def _label(data: bytes) -> str:
    """The venue's name for an error; empty where it gave none."""
    try:
        return str(orjson.loads(data)["label"])
    except (KeyError, TypeError, ValueError):
        return ""
