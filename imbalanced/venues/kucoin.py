"""KuCoin spot: diffs and a REST image, on a socket whose address is asked for first. Everything KuCoin is in this file.

Sources: docs.kucoin.com "Websocket: apply connect token", "Level-2 Market Data", "Match Execution Data" and "Get Part
Order Book" (stored copies of 2024 to 2026); limits from the venue's FAQ; the recording of 2021-04.

===========================  ========================================================  =============================
frame                        what we do                                                seen in
===========================  ========================================================  =============================
``/market/level2:*``         Diff; a change of price "0" changes no level and only     recording 2021-04
                             advances the sequence
``/market/match:*``          Print; ``side`` is the taker's, ``sequence`` its id       recording 2021-04, frames 2022
``type: welcome, pong``      nothing                                                   recording 2021-04
``type: ack``                Answer                                                    recording 2021-04
``type: error``              Answer with code and text                                 ccxt 4.5
bullet-public (POST)         Door: the address of the sockets with its token, and      docs
                             how often to ping
orderbook/level2 (REST)      Image; the whole book, which needs a key since 2021       recording 2021-04
orderbook/level2_100         Image of 100 levels a side: what we ask for               docs (the same shape)
symbols (REST)               Listing                                                   recording 2021-04
===========================  ========================================================  =============================

The diffs tell every level but the image only the best 100 of a side: a level beyond them is in the book only once it
has changed. The token lives for 24 hours and the stream stops with it, so sockets are moved to a new one before.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, urlsplit

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
    Door,
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
from imbalanced.venues.symbols import LEAST_SCALE, Symbols
from imbalanced.venues.wire import NS_PER_MS, SIGNS, guarded, json_object, text, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from imbalanced.book import Book
    from imbalanced.events import Frame
    from imbalanced.venues.codec import Message

STREAMS = ("level2", "match")
# Symbols in one topic; each counts as a topic of its own. 300 topics a socket, 100 subscriptions in 10 s.
SUBSCRIBE_AT_ONCE = 100
IMAGE_LEVELS = 100
IMAGE_PATH = f"/api/v1/market/orderbook/level2_{IMAGE_LEVELS}"
BULLET_PATH = "/api/v1/bullet-public"
FINE = "200000"
NO_SUCH = "900001"
TOPIC = re.compile(r"topic /market/(\w+):(\S+) is not found")


class Product(Struct, frozen=True, kw_only=True):
    """The one product. ``ws`` is where sockets lead by default; the venue's answer goes before it."""

    endpoints: Endpoints = Endpoints(rest="https://api.kucoin.com", ws="wss://ws-api-spot.kucoin.com")
    limits: Limits = Limits(messages_per_s=8.0, weight_per_min=2000, streams_per_socket=300, peer_silence_s=60.0)
    ccxt: CcxtSpec = CcxtSpec(
        exchange_id="kucoin", options={"fetchMarkets": {"types": ["spot"], "fetchTickersFees": False}}
    )
    provides: tuple[str, ...] = ("book", "trade")

    def codec(self, venue: str, endpoints: Endpoints | None = None) -> KucoinCodec:
        """A codec for one run; ``endpoints`` replaces the public hosts."""
        return KucoinCodec(venue, self, endpoints)


SPOT = Product()


class KucoinCodec:
    """Frames to messages, subscriptions, proof, limits."""

    def __init__(self, venue: str, product: Product, endpoints: Endpoints | None = None) -> None:
        self.venue = venue
        self.endpoints = endpoints or product.endpoints
        self.continuity = Continuity(chain=Chain.PLUS_ONE, offset=1, diffs_before_snapshot=5, image_levels=IMAGE_LEVELS)
        self.limits = product.limits
        self.keepalive: Keepalive | None = Keepalive(every_s=15.0, text='{"id":"1","type":"ping"}')
        self.checks: tuple[str, ...] = ("sequence",)
        self.trades_count_up = False
        self._moved = endpoints is not None
        self._symbols = Symbols(venue)
        self.know, self.infer = self._symbols.know, self._symbols.infer
        self._diff = Diff(Rows(64))
        self._by_topic: dict[str, Callable[[Any], Iterable[Message]]] = {
            "/market/level2": self._depth,
            "/market/match": self._print,
        }

    def opened(self, conn: int) -> None:
        return

    # -- subscriptions -------------------------------------------------------------------------------------------------

    def plan(self, instruments: Sequence[Instrument]) -> list[LinkPlan]:
        at_once = self.limits.streams_per_socket // len(STREAMS)
        bullet = Fetch(venue=self.venue, url=self.endpoints.rest + BULLET_PATH, weight=10, method="POST")
        plans: list[LinkPlan] = []
        for start in range(0, len(instruments), at_once):
            symbols = [one.venue_symbol for one in instruments[start : start + at_once]]
            parts = [symbols[i : i + SUBSCRIBE_AT_ONCE] for i in range(0, len(symbols), SUBSCRIBE_AT_ONCE)]
            plans.append(
                LinkPlan(
                    conn=len(plans) + 1,
                    url=f"{self.endpoints.ws}/",
                    books=tuple(symbols),
                    subscribe=tuple(_subscribe(stream, part) for part in parts for stream in STREAMS),
                    prelude=bullet,
                )
            )
        return plans

    def resubscribe(self, symbol: str, conn: int = 0) -> Sequence[str]:
        return tuple(_subscribe(STREAMS[0], [symbol], kind) for kind in ("unsubscribe", "subscribe"))

    def resubscribe_trades(self, symbol: str, conn: int = 0) -> Sequence[str]:
        return tuple(_subscribe(STREAMS[1], [symbol], kind) for kind in ("unsubscribe", "subscribe"))

    def unsubscribe(self, symbol: str, conn: int = 0) -> Sequence[str]:
        return ()  # a stream that ends costs nothing

    def fetch_image(self, symbol: str) -> Fetch:
        return Fetch(venue=self.venue, url=f"{self.endpoints.rest}{IMAGE_PATH}?symbol={symbol}", weight=2)

    def verify(self, message: Diff | Image, book: Book) -> bool:
        return True

    # -- frames --------------------------------------------------------------------------------------------------------

    def decode(self, frame: Frame) -> list[Message]:
        if frame.kind == "http":
            return self._http(frame)
        message = json_object(frame.data)
        kind = message.get("type")
        if kind == "message":
            topic = message.get("topic")
            channel, _, symbol = topic.partition(":") if isinstance(topic, str) else ("", "", "")
            handler = self._by_topic.get(channel)
            return [] if handler is None else guarded(handler, message.get("data"), frame.data, channel, symbol)
        if kind == "ack":
            return [Answer(request_id=_number(message.get("id")))]
        if kind == "error":
            return _refused(message)
        return []

    def _depth(self, m: dict[str, Any]) -> Iterable[Message]:
        diff = self._diff
        diff.symbol = text(m["symbol"])
        diff.first_id, diff.last_id = whole(m["sequenceStart"]), whole(m["sequenceEnd"])
        diff.event_ns = whole(m.get("time", 0)) * NS_PER_MS
        changes = m["changes"]
        diff.rows.clear()
        self._symbols.add(diff.rows, diff.symbol, (level for level in changes["bids"] if level[0] != "0"))
        diff.rows.end_bids()
        self._symbols.add(diff.rows, diff.symbol, (level for level in changes["asks"] if level[0] != "0"))
        return (diff,)

    def _print(self, m: dict[str, Any]) -> Iterable[Message]:
        symbol = text(m["symbol"])
        px = self._symbols.px(symbol, m["price"])
        return (
            Print(
                symbol=symbol,
                stream="match",
                px=px,
                size=self._symbols.size(symbol, m["size"], px),
                sign=SIGNS[m["side"]],
                trade_id=whole(m["sequence"]),
                event_ns=whole(m["time"]),
            ),
        )

    # -- REST ----------------------------------------------------------------------------------------------------------

    def _http(self, frame: Frame) -> list[Message]:
        url = urlsplit(frame.url)
        if "/market/orderbook/level2" in url.path:
            return [self._image(frame, "".join(parse_qs(url.query).get("symbol", ())))]
        if frame.status != 200:
            return []
        if url.path.endswith(BULLET_PATH):
            return guarded(self._door, frame.data, frame.data, "bullet-public")
        if url.path.endswith("/symbols"):
            return guarded(self._listing, frame.data, frame.data, "symbols")
        return []

    def _image(self, frame: Frame, symbol: str) -> Message:
        if frame.status != 200:
            why = f"HTTP {frame.status}" if frame.status else frame.data[:120].decode(errors="replace")
            return ImageFailed(symbol=symbol, why=why)
        try:
            answer = orjson.loads(frame.data)
            if answer["code"] != FINE:
                why = f"{answer['code']}: {answer.get('msg', '')}"
                return ImageFailed(symbol=symbol, why=why, gone=answer["code"] == NO_SUCH)
            body = answer["data"]
            rows = Rows(len(body["bids"]) + len(body["asks"]))
            self._symbols.add(rows, symbol, body["bids"])
            rows.end_bids()
            self._symbols.add(rows, symbol, body["asks"])
            event_ns = whole(body["time"]) * NS_PER_MS
            return Image(symbol=symbol, last_id=whole(body["sequence"]), event_ns=event_ns, rows=rows)
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            why = f"orderbook: {type(error).__name__} {error}"
            raise CodecError(why, frame.data, channel="orderbook", symbol=symbol) from error

    def _door(self, data: bytes) -> Iterable[Message]:
        told = orjson.loads(data)["data"]
        server = told["instanceServers"][0]
        # Pings in good time: the venue waits for `pingTimeout` beyond its interval.
        every_s = max(1.0, 0.8 * whole(server["pingInterval"]) / 1000)
        self.keepalive = Keepalive(every_s=min(every_s, 15.0), text='{"id":"1","type":"ping"}')
        address = text(server["endpoint"])
        if self._moved:  # another host was asked for: only the path is the venue's
            address = self.endpoints.ws + (urlsplit(address).path or "/")
        return (Door(f"{address}?token={quote(text(told['token']), safe='')}"),)

    def _listing(self, data: bytes) -> Iterable[Message]:
        return (Listing(tuple(self._listed(one) for one in orjson.loads(data)["data"])),)

    def _listed(self, m: dict[str, Any]) -> Instrument:
        tick, lot = (_plain(text(m[key])) for key in ("priceIncrement", "baseIncrement"))
        return Instrument(
            venue=self.venue,
            symbol=f"{m['baseCurrency']}/{m['quoteCurrency']}",
            venue_symbol=text(m["symbol"]),
            base=m["baseCurrency"],
            quote=m["quoteCurrency"],
            tick=tick,
            lot=lot,
            price_scale=max(LEAST_SCALE, len(tick.partition(".")[2])),
            active=m["enableTrading"] is True,
        )


def _subscribe(stream: str, symbols: list[str], kind: str = "subscribe") -> str:
    topic = f"/market/{stream}:{','.join(symbols)}"
    request = {"id": 1, "type": kind, "topic": topic, "privateChannel": False, "response": True}
    return orjson.dumps(request).decode()


def _refused(message: dict[str, Any]) -> list[Message]:
    """A topic of several symbols is refused as a whole for one of them: then each is asked for again by itself."""
    number, told = _number(message.get("id")), f"{message.get('code')}: {message.get('data')}"
    topic = TOPIC.search(told)
    symbols = topic[2].split(",") if topic else []
    if topic is None or len(symbols) == 1:
        return [Answer(request_id=number, error=told, symbols=tuple(symbols))]
    again = [Reply(_subscribe(topic[1], [symbol])) for symbol in symbols]
    error = f"{len(symbols)} topics: {told.partition(' ')[0]} not found"
    return [Answer(request_id=number, error=error, again=True), *again]


def _number(request_id: object) -> int:
    return int(request_id) if isinstance(request_id, str) and request_id.isdigit() else 0


def _plain(number: str) -> str:
    """Decimal text without trailing zeros."""
    return number.rstrip("0").rstrip(".") if "." in number else number
