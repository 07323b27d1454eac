"""Bybit v5: linear, inverse and spot. Everything that Bybit writes or wants is in this file.

Sources: bybit-exchange/docs (2026-07-24), "Orderbook", "Trade", "Ticker", "All Liquidation", "Connect"; tickvault notes
on ``u`` (2026); recorded frames of 2021 (v2), 2023 to 2026 (v5).

====================  ==========================================  =====================================================
frame                 what we do                                  source
====================  ==========================================  =====================================================
``orderbook.N``       Image; also where ``u`` is 1 (the service   docs, "Orderbook"; recorded 2023 to 2026
snapshot              began anew)
``orderbook.N`` delta Diff; ``u`` is the one before + 1           docs say "in sequence"; +1 in all recordings
``orderbook.1``       Image each; the same ``u`` again after 3 s  docs; recorded 2025 (recordings only)
                      is a repeat: nothing
``publicTrade``       Print; ``S`` is the taker's side; ids are   docs, "Trade"; recorded 2023, 2026
                      no numbers that grow; a block trade
                      (``BT``) is counted, not traded
``tickers``           Context; a delta has what changed, so the   docs, "Ticker"; recorded 2023
                      last of each key is kept
``allLiquidation``    Forced; ``S`` is the side of the position:  docs, "All Liquidation"; recorded 2025, 2026
                      Buy is a long that is sold
``op`` ping, pong     nothing                                     docs, "Connect"
``op`` subscribe      Answer; topics of a request that failed     docs, "Connect"; nautilus test data
                      are asked for again one by one (Reply)
``orderBookL2_25``,   Image, Diff. Nothing tells how one follows  recorded 2021: protocol v2, ended 2023 (recordings
``orderBook_200``     the other                                   only)
``trade``             Print                                       recorded 2021: v2 (recordings only)
====================  ==========================================  =====================================================

Sizes are base coins on linear and spot, US dollars on inverse. ``openInterest`` counts both sides of every contract.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from imbalanced.book import Rows
from imbalanced.venues.ccxt_spec import CcxtSpec
from imbalanced.venues.codec import (
    Answer,
    Chain,
    CodecError,
    Context,
    Continuity,
    Endpoints,
    Fetch,
    Forced,
    Image,
    Keepalive,
    Limits,
    LinkPlan,
    Print,
    Reply,
    Source,
)
from imbalanced.venues.diff import Diff
from imbalanced.venues.symbols import Symbols
from imbalanced.venues.wire import NS_PER_MS, ms, rate, text, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from imbalanced.book import Book
    from imbalanced.events import Frame, Instrument
    from imbalanced.venues.codec import Message

SIGNS = {"Buy": 1, "Sell": -1}
# Where levels are read by price, as is the custom of v5; v2 wrote JSON numbers, so these are read exactly.
DECODER = msgspec.json.Decoder(float_hook=Decimal)
# The topics of one connection may have 21,000 characters together.
TOPIC_CHARACTERS = 20_000
TOPIC = re.compile(rb'"topic":\s*"([A-Za-z_]{1,30}\.(?:[0-9a-z]{1,8}\.)?([A-Z0-9-]{1,40}))"')
# In the text of a refusal: a topic with its symbol, and that there is no such symbol.
REFUSED = re.compile(r"(?:[A-Za-z]+\.)(?:\d+\.)?([A-Z0-9-]{2,40})")
NO_SUCH = ("invalid symbol", "handler not found")
TICKER_KEYS = (
    "markPrice",
    "indexPrice",
    "fundingRate",
    "fundingIntervalHour",
    "nextFundingTime",
    "openInterest",
    "singleOpenInterest",
)


class Product(Struct, frozen=True, kw_only=True):
    """What differs between Bybit's products. ``book`` is the topic whose levels are kept."""

    path: str
    ccxt: CcxtSpec
    topics: tuple[str, ...]
    book: str = "orderbook.200"
    at_once: int = 100
    inverse: bool = False
    provides: tuple[str, ...] = ("book", "trade", "funding", "oi", "liquidation")
    endpoints: Endpoints = Endpoints(rest="https://api.bybit.com", ws="wss://stream.bybit.com")

    def codec(self, venue: str, endpoints: Endpoints | None = None) -> BybitCodec:
        """A codec for one run; ``endpoints`` replaces the public hosts."""
        return BybitCodec(venue, self, endpoints)


def _listed(kind: str, default: str) -> CcxtSpec:
    return CcxtSpec(exchange_id="bybit", options={"fetchMarkets": {"types": [kind]}, "defaultType": default})


CONTRACT_TOPICS = ("publicTrade", "tickers", "allLiquidation")
LINEAR = Product(path="/v5/public/linear", ccxt=_listed("linear", "swap"), topics=CONTRACT_TOPICS)
INVERSE = Product(path="/v5/public/inverse", ccxt=_listed("inverse", "swap"), topics=CONTRACT_TOPICS, inverse=True)
SPOT = Product(
    path="/v5/public/spot",
    ccxt=_listed("spot", "spot"),
    topics=("publicTrade",),
    at_once=10,
    provides=("book", "trade"),
)

LIMITS = Limits(messages_per_s=5.0, weight_per_min=6000, streams_per_socket=1000, peer_silence_s=60.0)


class BybitCodec:
    """One Bybit product: frames to messages, subscriptions, proof, limits."""

    def __init__(self, venue: str, product: Product, endpoints: Endpoints | None = None) -> None:
        self.venue = venue
        self.product = product
        self.endpoints = endpoints or product.endpoints
        self.continuity = Continuity(chain=Chain.PLUS_ONE, source=Source.STREAM)
        self.limits = LIMITS
        self.keepalive: Keepalive | None = Keepalive(every_s=20.0, text='{"req_id":"0","op":"ping"}')
        self.checks: tuple[str, ...] = ("sequence",)
        self.trades_count_up = False
        self._symbols = Symbols(venue)
        self._depths: dict[str, str] = {}
        self._tops: dict[str, int] = {}
        self._tickers: dict[str, dict[str, Any]] = {}
        self._asked: dict[str, tuple[str, ...]] = {}
        self._by_topic: dict[str, Callable[[list[str], dict[str, Any]], Iterable[Message]]] = {
            "orderbook": self._book,
            "publicTrade": self._prints,
            "tickers": self._ticker,
            "allLiquidation": self._forced,
            "orderBookL2_25": self._book_v2,
            "orderBook_200": self._book_v2,
            "trade": self._prints_v2,
        }

    # -- instruments and subscriptions ---------------------------------------------------------------------------------

    def know(self, instrument: Instrument) -> None:
        # A unit of size is one US dollar; the list's contract size is the least order.
        self._symbols.know(replace(instrument, contract_size=1.0) if instrument.inverse else instrument)

    def infer(self, symbol: str) -> Instrument:
        return self._symbols.infer(symbol)

    def opened(self, conn: int) -> None:
        self._tops.clear()

    def plan(self, instruments: Sequence[Instrument]) -> list[LinkPlan]:
        plans: list[LinkPlan] = []
        symbols: list[str] = []
        topics: list[str] = []
        for one in instruments:
            more = [f"{topic}.{one.venue_symbol}" for topic in (self.product.book, *self.product.topics)]
            full = sum(map(len, topics + more)) > TOPIC_CHARACTERS
            if symbols and (full or len(topics) + len(more) > self.limits.streams_per_socket):
                plans.append(self._link(len(plans) + 1, symbols, topics))
                symbols, topics = [], []
            symbols.append(one.venue_symbol)
            topics += more
        if symbols:
            plans.append(self._link(len(plans) + 1, symbols, topics))
        return plans

    def _link(self, conn: int, symbols: Sequence[str], topics: Sequence[str]) -> LinkPlan:
        texts = []
        for start in range(0, len(topics), self.product.at_once):
            part = tuple(topics[start : start + self.product.at_once])
            number = str(len(self._asked) + 1)
            self._asked[number] = part
            texts.append(_request("subscribe", part, number))
        url = self.endpoints.ws + self.product.path
        return LinkPlan(conn=conn, url=url, books=tuple(symbols), subscribe=tuple(texts))

    def resubscribe(self, symbol: str, conn: int = 0) -> Sequence[str]:
        self._tops.pop(symbol, None)
        topics = (f"{self.product.book}.{symbol}",)
        return (_request("unsubscribe", topics, "0"), _request("subscribe", topics, "0"))

    def resubscribe_trades(self, symbol: str, conn: int = 0) -> Sequence[str]:
        topics = (f"publicTrade.{symbol}",)
        return (_request("unsubscribe", topics, "0"), _request("subscribe", topics, "0"))

    def unsubscribe(self, symbol: str, conn: int = 0) -> Sequence[str]:
        return self.resubscribe(symbol, conn)[:1]

    def fetch_image(self, symbol: str) -> Fetch:
        """The book by REST, for a comparison by hand: its image comes with the subscription."""
        category = self.product.path.rpartition("/")[2]
        url = f"{self.endpoints.rest}/v5/market/orderbook?category={category}&symbol={symbol}&limit=200"
        return Fetch(venue=self.venue, url=url)

    def verify(self, message: Diff | Image, book: Book) -> bool:
        return True

    # -- frames --------------------------------------------------------------------------------------------------------

    def decode(self, frame: Frame) -> list[Message]:
        if frame.kind == "http":
            return []
        data = frame.data
        try:
            message = DECODER.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            found = TOPIC.search(data[:200])
            raise CodecError(f"no JSON: {error}", data, symbol=found[2].decode() if found else "") from error
        if not isinstance(message, dict):
            raise CodecError("no JSON object", data)
        topic = message.get("topic")
        if not isinstance(topic, str):
            return self._told(message)
        parts = topic.split(".")
        handler = self._by_topic.get(parts[0])
        if handler is None:
            return []
        try:
            return list(handler(parts, message))
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            why = f"{parts[0]}: {type(error).__name__} {error}"
            raise CodecError(why, data, channel=parts[0], symbol=parts[-1]) from error

    def _told(self, message: dict[str, Any]) -> list[Message]:
        """What is no data: acknowledgements and refusals. A refused request is asked for again topic by topic."""
        request = message.get("request")
        op = message.get("op") or (request.get("op") if isinstance(request, dict) else None)
        if op not in ("subscribe", "unsubscribe") or message.get("ret_msg") == "pong":
            return []
        told = message.get("req_id")
        number = told if isinstance(told, str) and told.isdecimal() else "0"
        if message.get("success") is True:
            return [Answer(request_id=int(number))]
        topics = self._asked.get(number, ()) if op == "subscribe" else ()
        error = str(message.get("ret_msg") or "refused")
        if len(topics) > 1:  # which of them it was nobody says
            again = [Reply(_request("subscribe", (topic,), "0")) for topic in topics]
            told = f"{len(topics)} topics: {error.partition(':')[0]}"
            return [Answer(request_id=int(number), error=told, again=True), *again]
        named = tuple(dict.fromkeys(REFUSED.findall(error)))
        gone = bool(named) and op == "subscribe" and any(word in error.lower() for word in NO_SUCH)
        return [Answer(request_id=int(number), error=error, symbols=named, gone=gone)]

    def _book(self, parts: list[str], message: dict[str, Any]) -> Iterable[Message]:
        _, depth, symbol = parts
        if self._depths.setdefault(symbol, depth) != depth:
            return  # a recording of several depths: the first one heard is the book
        data, last_id = message["data"], whole(message["data"]["u"])
        rows = Rows(len(data["b"]) + len(data["a"]))
        self._symbols.add(rows, symbol, data["b"])
        rows.end_bids()
        self._symbols.add(rows, symbol, data["a"])
        event_ns = ms(message.get("cts", message["ts"]))
        kind = message["type"]
        if kind == "snapshot" or last_id == 1:
            repeated = depth == "1" and self._tops.get(symbol) == last_id
            if depth == "1":
                self._tops[symbol] = last_id
            if not repeated:
                yield Image(symbol=symbol, last_id=last_id, event_ns=event_ns, rows=rows)
        elif kind == "delta":
            yield _diff(symbol, last_id, last_id, event_ns, rows)
        else:
            raise ValueError(f"type {kind!r}")

    def _prints(self, _: list[str], message: dict[str, Any]) -> Iterable[Message]:
        for one in message["data"]:
            symbol = text(one["s"])
            px = self._symbols.px(symbol, one["p"])
            yield Print(
                symbol=symbol,
                stream="publicTrade",
                px=px,
                size=self._symbols.size(symbol, one["v"], px),
                sign=SIGNS[one["S"]],
                trade_id=-1,
                event_ns=ms(one["T"]),
                why_not="not_market" if one.get("BT") else "",
            )

    def _ticker(self, parts: list[str], message: dict[str, Any]) -> Iterable[Message]:
        symbol, data = parts[-1], message["data"]
        if message["type"] == "snapshot":
            self._tickers[symbol] = {}
        kept = self._tickers.setdefault(symbol, {})
        said = {key: rate(data[key]) for key in TICKER_KEYS if data.get(key)}
        kept.update(said)
        if not said:
            return
        next_ms = kept.get("nextFundingTime")
        yield Context(
            symbol=symbol,
            event_ns=ms(message["ts"]) if "ts" in message else 0,
            mark=kept.get("markPrice"),
            index=kept.get("indexPrice"),
            funding_rate=kept.get("fundingRate"),
            funding_interval_h=kept.get("fundingIntervalHour"),
            next_funding_ns=int(next_ms) * NS_PER_MS if next_ms else None,
            open_interest=self._interest(symbol, kept),
        )

    def _interest(self, symbol: str, kept: dict[str, Any]) -> float | None:
        """Open interest in base units, each contract once."""
        contracts = kept.get("singleOpenInterest")
        if contracts is None and "openInterest" in kept:
            contracts = kept["openInterest"] / 2
        if contracts is None or not self.product.inverse:
            return contracts
        mark = kept.get("markPrice")
        return contracts / mark if mark else None

    def _forced(self, _: list[str], message: dict[str, Any]) -> Iterable[Message]:
        for one in message["data"]:
            symbol = text(one["s"])
            px = self._symbols.px(symbol, one["p"])
            size = self._symbols.size(symbol, one["v"], px)
            yield Forced(symbol=symbol, event_ns=ms(one["T"]), px=px, size=size, sign=-SIGNS[one["S"]])

    # -- protocol v2, in recordings ------------------------------------------------------------------------------------

    def _book_v2(self, parts: list[str], message: dict[str, Any]) -> Iterable[Message]:
        symbol, data = parts[-1], message["data"]
        if self._depths.setdefault(symbol, parts[0]) != parts[0]:
            return
        anew = message["type"] == "snapshot"
        if anew:
            levels = data["order_book"] if isinstance(data, dict) else data
        else:
            gone = [{**level, "size": 0} for level in data["delete"]]
            levels = [*gone, *data["update"], *data["insert"]]
        rows = Rows(len(levels))
        self._symbols.add(rows, symbol, _side(levels, "Buy"))
        rows.end_bids()
        self._symbols.add(rows, symbol, _side(levels, "Sell"))
        event_ns = int(message["timestamp_e6"]) * 1000
        # No id tells how one message follows the other: these always do (0 + 1 follows 0).
        yield (
            Image(symbol=symbol, last_id=0, event_ns=event_ns, rows=rows)
            if anew
            else _diff(symbol, 1, 0, event_ns, rows)
        )

    def _prints_v2(self, _: list[str], message: dict[str, Any]) -> Iterable[Message]:
        for one in message["data"]:
            symbol = text(one["symbol"])
            px = self._symbols.px(symbol, one["price"])
            yield Print(
                symbol=symbol,
                stream="trade",
                px=px,
                size=self._symbols.size(symbol, one["size"], px),
                sign=SIGNS[one["side"]],
                trade_id=-1,
                event_ns=ms(one["trade_time_ms"]),
            )


def _diff(symbol: str, first_id: int, last_id: int, event_ns: int, rows: Rows) -> Diff:
    diff = Diff(rows)
    diff.symbol, diff.first_id, diff.last_id, diff.event_ns = symbol, first_id, last_id, event_ns
    return diff


def _side(levels: Sequence[dict[str, Any]], side: str) -> Iterable[tuple[Any, Any]]:
    if any(level["side"] not in SIGNS for level in levels):
        raise ValueError("a level on neither side")
    return [(level["price"], level["size"]) for level in levels if level["side"] == side]


def _request(op: str, topics: Sequence[str], number: str) -> str:
    return msgspec.json.encode({"req_id": number, "op": op, "args": topics}).decode()
