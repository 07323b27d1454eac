"""Coinbase: the Exchange feed by level or by order, and the Advanced Trade feed. All that Coinbase writes is here.

Sources: docs.cdp.coinbase.com "Exchange WebSocket channels", "Authentication", "Get product book", and "Advanced Trade
WebSocket channels" (stored 2026-07 to 2026-09); nautilus_trader ``adapters/coinbase`` (2026); tardis-node 18.2
(2026-08); ccxt 4.5; the recording of 2021-04; frames captured 2026-09.

==========================  ================================================  ======================================
frame                       what we do                                        seen in
==========================  ================================================  ======================================
**Exchange** ``type``
``snapshot``                Image                                             recorded 2021; tardis-node 2019
``l2update``                Diff: nothing numbers it                          recorded 2021; tardis-node 2019
``match``                   Print; ``side`` is the maker's, so the taker is   recorded 2021; docs
                            the other one. By order also a fill of the maker
``last_match``              Print of history                                  recorded 2021
``heartbeat``               LastTrade: a trade that never came is noticed     docs
``received``, ``open``,     Diff of orders; ``sequence`` counts each product  docs
``done``, ``change``        by one over all of them
``subscriptions``           Answer                                            recorded 2021
``error``                   Answer with its reason                            docs
``activate``, ``ticker``,   nothing                                           recorded 2021; docs
``status``
``book?level=3`` (REST)     Image of orders                                   docs
**Advanced** ``channel``    ``sequence_num`` counts all frames of the socket  captured 2026; nautilus
``l2_data``                 Image or Diff                                     captured 2026; nautilus
``market_trades``           Print, a snapshot is history; ``side`` is the     nautilus (which since 2026 turns it, too)
                            maker's
``heartbeats``, ``candles`` nothing                                           captured 2026; nautilus
``subscriptions``           Answer                                            captured 2026
==========================  ================================================  ======================================

Without a key the book is Exchange ``level2_batch`` (50 ms): nothing numbers it, so nothing proves it. With a key it is
Advanced ``level2``. Orders (``full``) always need a key. Requests are signed on their way out (``coinbase_key.py``).
Each request is of one product, so that one which is refused takes no other with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import orjson
from msgspec import Struct

from imbalanced.book import Rows
from imbalanced.events import Instrument
from imbalanced.orders import Act, OrderChange
from imbalanced.venues.ccxt_spec import CcxtSpec
from imbalanced.venues.codec import (
    Answer,
    Chain,
    CodecError,
    Continuity,
    Endpoints,
    Fetch,
    Image,
    ImageFailed,
    LastTrade,
    Limits,
    LinkPlan,
    Print,
    SocketGap,
    Source,
)
from imbalanced.venues.coinbase_key import Signer, sign_advanced, sign_exchange
from imbalanced.venues.diff import Diff
from imbalanced.venues.literals import exact
from imbalanced.venues.symbols import Symbols
from imbalanced.venues.wire import SIGNS, guarded, json_object, text, utc, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from imbalanced.book import Book
    from imbalanced.events import Frame
    from imbalanced.orders import Orders
    from imbalanced.venues.codec import Keepalive, Message

ADVANCED_SIDES = {"bid": 1, "offer": -1}
# A time that says nothing: the venue writes the first moment of the calendar or of Unix where it knows none.
NO_TIMES = ("0001-", "1970-")
ORDER_MESSAGES = ("received", "open", "done", "match", "change")
# One quote currency by another name: subscribed as X-USDC, told as X-USD (Advanced).
TOLD_AS = ("-USDC", "-USD")

TRADES = ("matches", "market_trades")


class Product(Struct, frozen=True, kw_only=True):
    """One feed of Coinbase. ``with_key``: the one that is used instead where credentials are given."""

    feed: Literal["exchange", "advanced", "full"]
    endpoints: Endpoints
    channels: tuple[str, ...]
    sign: Signer
    recorded_as: tuple[str, ...] = ()
    with_key: Product | None = None
    ccxt: CcxtSpec = CcxtSpec(exchange_id="coinbaseexchange", options={})
    # 8 requests a second; no more than a few products on a socket, as a hole in its counter costs all of them.
    limits: Limits = Limits(
        messages_per_s=8.0, weight_per_min=120, streams_per_socket=30, lifetime_s=7 * 86400.0, peer_silence_s=10.0
    )
    provides: tuple[str, ...] = ("book", "trade")

    def codec(self, venue: str, endpoints: Endpoints | None = None) -> CoinbaseCodec:
        """A codec for one run; ``endpoints`` replaces the public hosts."""
        return CoinbaseCodec(venue, self, endpoints)


EXCHANGE_HOSTS = Endpoints(rest="https://api.exchange.coinbase.com", ws="wss://ws-feed.exchange.coinbase.com")
ADVANCED = Product(
    feed="advanced",
    endpoints=Endpoints(rest="https://api.coinbase.com", ws="wss://advanced-trade-ws.coinbase.com"),
    channels=("level2", "market_trades"),
    sign=sign_advanced,
)
EXCHANGE = Product(
    feed="exchange",
    endpoints=EXCHANGE_HOSTS,
    channels=("level2_batch", "matches", "heartbeat"),
    sign=sign_exchange,
    recorded_as=("coinbase_exchange", "coinbase_advanced"),
    with_key=ADVANCED,
)
FULL = Product(feed="full", endpoints=EXCHANGE_HOSTS, channels=("full", "heartbeat"), sign=sign_exchange)


class CoinbaseCodec:
    """Coinbase: frames to messages, subscriptions, proof, limits. Frames of both level feeds are read by either."""

    def __init__(self, venue: str, product: Product, endpoints: Endpoints | None = None) -> None:
        self.venue = venue
        self.endpoints = endpoints or product.endpoints
        self._is_full = product.feed == "full"
        self._is_advanced = product.feed == "advanced"
        self.continuity = (
            Continuity(chain=Chain.PLUS_ONE, source=Source.REST, offset=1, orders=True)
            if self._is_full
            else Continuity(chain=Chain.NONE, source=Source.STREAM)
        )
        self.limits = product.limits
        self.keepalive: Keepalive | None = None
        # The frames of a recording tell which feed it was, whatever is configured where it is replayed.
        self.checks: tuple[str, ...] = () if product.feed == "exchange" else ("sequence",)
        self.trades_count_up = True
        self._channels = product.channels
        self._symbols = Symbols(venue, self._guessed)
        self._wanted: set[str] = set()
        self._counts: dict[int, int] = {}
        self._by_type: dict[str, Callable[[Any], Iterable[Message]]] = {
            "last_match": self._history,
            "heartbeat": self._heartbeat,
            "snapshot": self._image,
            "l2update": self._l2update,
            "match": self._match,
        }
        if self._is_full:
            del self._by_type["snapshot"], self._by_type["l2update"]
            self._by_type |= dict.fromkeys(ORDER_MESSAGES, self._order_message)
        self._by_channel: dict[str, Callable[[Any], Iterable[Message]]] = {
            "l2_data": self._l2_data,
            "market_trades": self._market_trades,
        }
        self._changes: dict[str, Callable[[dict[str, Any], str], OrderChange | None]] = {
            "open": self._open,
            "done": lambda m, _: OrderChange(Act.REMOVE, text(m["order_id"])),
            "match": lambda m, _: OrderChange(Act.FILL, text(m["maker_order_id"]), size=exact(text(m["size"]))),
            "change": self._change,
            "received": lambda _, __: None,
        }

    # -- instruments and subscriptions ---------------------------------------------------------------------------------

    def know(self, instrument: Instrument) -> None:
        self._symbols.know(instrument)
        self._wanted.add(instrument.venue_symbol)

    def infer(self, symbol: str) -> Instrument:
        return self._symbols.infer(symbol)

    def _guessed(self, symbol: str) -> Instrument:
        base, _, quote = symbol.partition("-")
        if not base or not quote or "-" in quote:
            return Instrument(venue=self.venue, symbol=symbol, venue_symbol=symbol)
        return Instrument(venue=self.venue, symbol=f"{base}/{quote}", venue_symbol=symbol, base=base, quote=quote)

    def opened(self, conn: int) -> None:
        self._counts.pop(conn, None)

    def plan(self, instruments: Sequence[Instrument]) -> list[LinkPlan]:
        plans: list[LinkPlan] = []
        at_once = max(1, self.limits.streams_per_socket // len(self._channels))
        for start in range(0, len(instruments), at_once):
            symbols = tuple(one.venue_symbol for one in instruments[start : start + at_once])
            asked = [request for symbol in symbols for request in self._requests("subscribe", symbol, self._channels)]
            if self._is_advanced:  # without it a quiet socket is closed, and its counter stands still
                asked.insert(0, orjson.dumps({"type": "subscribe", "channel": "heartbeats"}).decode())
            url = f"{self.endpoints.ws}/"
            plans.append(LinkPlan(conn=len(plans) + 1, url=url, books=symbols, subscribe=tuple(asked)))
        return plans

    def _requests(self, kind: str, symbol: str, channels: tuple[str, ...]) -> list[str]:
        of = {"type": kind, "product_ids": [symbol]}
        bodies = [of | {"channel": one} for one in channels] if self._is_advanced else [of | {"channels": channels}]
        return [orjson.dumps(body).decode() for body in bodies]

    def resubscribe(self, symbol: str, conn: int = 0) -> Sequence[str]:
        book = self._channels[:1]
        return [*self._requests("unsubscribe", symbol, book), *self._requests("subscribe", symbol, book)]

    def resubscribe_trades(self, symbol: str, conn: int = 0) -> Sequence[str]:
        trades = tuple(channel for channel in self._channels if channel in TRADES)
        if not trades:
            return ()  # they come with the orders
        return [*self._requests("unsubscribe", symbol, trades), *self._requests("subscribe", symbol, trades)]

    def unsubscribe(self, symbol: str, conn: int = 0) -> Sequence[str]:
        return self._requests("unsubscribe", symbol, self._channels)

    def fetch_image(self, symbol: str) -> Fetch:
        """All orders of a product, or, where the image comes with the subscription, its levels to compare by hand."""
        level = 3 if self._is_full else 2
        url = f"{self.endpoints.rest}/products/{symbol}/book?level={level}"
        return Fetch(venue=self.venue, url=url, weight=2)

    def verify(self, message: Diff | Image, book: Book) -> bool:
        return True

    def verify_orders(self, message: Diff | Image, orders: Orders) -> bool:
        return True

    # -- frames --------------------------------------------------------------------------------------------------------

    def decode(self, frame: Frame) -> list[Message]:
        if frame.kind == "http":
            return self._answered(frame)
        message = json_object(frame.data)
        channel, kind = message.get("channel"), message.get("type")
        if isinstance(channel, str):
            return self._of_advanced(channel, message, frame)
        if kind == "subscriptions":
            return [Answer(request_id=0)]
        if kind == "error":
            told = filter(None, (message.get("message"), message.get("reason")))
            return [Answer(request_id=0, error=": ".join(map(str, told)) or "refused")]
        read = self._by_type.get(kind) if isinstance(kind, str) else None
        if read is None:
            return []
        return guarded(read, message, frame.data, str(kind), message.get("product_id"))

    # -- Exchange, by level --------------------------------------------------------------------------------------------

    def _image(self, m: dict[str, Any]) -> Iterable[Message]:
        symbol = text(m["product_id"])
        rows = Rows(len(m["bids"]) + len(m["asks"]))
        self._symbols.add(rows, symbol, m["bids"])
        rows.end_bids()
        self._symbols.add(rows, symbol, m["asks"])
        return (Image(symbol=symbol, last_id=0, event_ns=_time(m.get("time")), rows=rows),)

    def _l2update(self, m: dict[str, Any]) -> Iterable[Message]:
        changes = [(SIGNS[side], price, size) for side, price, size in m["changes"]]
        return (self._diff(text(m["product_id"]), changes, _time(m["time"])),)

    def _diff(self, symbol: str, changes: Sequence[tuple[int, str, str]], event_ns: int) -> Diff:
        diff = Diff(self._rows(symbol, changes))
        diff.symbol, diff.event_ns = symbol, event_ns
        return diff

    def _rows(self, symbol: str, changes: Sequence[tuple[int, str, str]]) -> Rows:
        rows = Rows(len(changes))
        self._symbols.add(rows, symbol, [change[1:] for change in changes if change[0] > 0])
        rows.end_bids()
        self._symbols.add(rows, symbol, [change[1:] for change in changes if change[0] < 0])
        return rows

    def _match(self, m: dict[str, Any]) -> Iterable[Message]:
        return (self._print(m, text(m["product_id"]), "match", SIGNS[m["side"]]),)

    def _history(self, m: dict[str, Any]) -> Iterable[Message]:
        return (self._print(m, text(m["product_id"]), "match", SIGNS[m["side"]], "history"),)

    def _print(self, m: dict[str, Any], symbol: str, stream: str, maker: int, why_not: str = "") -> Print:
        px = self._symbols.px(symbol, text(m["price"]))
        return Print(
            symbol=symbol,
            stream=stream,
            px=px,
            size=self._symbols.size(symbol, text(m["size"]), px),
            sign=-maker,
            trade_id=whole(m["trade_id"]),
            event_ns=_time(m["time"]),
            why_not=why_not,
        )

    def _heartbeat(self, m: dict[str, Any]) -> Iterable[Message]:
        return (LastTrade(symbol=text(m["product_id"]), trade_id=whole(m["last_trade_id"])),)

    # -- Exchange, by order --------------------------------------------------------------------------------------------

    def _order_message(self, m: dict[str, Any]) -> Iterable[Message]:
        symbol, kind = text(m["product_id"]), m["type"]
        diff = Diff(Rows(1))
        diff.symbol, diff.event_ns = symbol, _time(m["time"])
        diff.first_id = diff.last_id = whole(m["sequence"])
        change = self._changes[kind](m, symbol)
        diff.orders = () if change is None else (change,)
        return (diff, *self._match(m)) if kind == "match" else (diff,)

    def _open(self, m: dict[str, Any], symbol: str) -> OrderChange:
        px = self._symbols.px(symbol, text(m["price"]))
        return OrderChange(Act.PUT, text(m["order_id"]), SIGNS[m["side"]], px, exact(text(m["remaining_size"])))

    def _change(self, m: dict[str, Any], symbol: str) -> OrderChange | None:
        """The size, or where an order was modified the price too; a change of funds is of a market order."""
        if m.get("new_size") is None:
            return None
        price = m.get("new_price")
        px = 0 if price is None else self._symbols.px(symbol, text(price))
        return OrderChange(Act.AMEND, text(m["order_id"]), SIGNS[m["side"]], px, exact(text(m["new_size"])))

    def _answered(self, frame: Frame) -> list[Message]:
        _, _, path = frame.url.partition("/products/")
        symbol, _, rest = path.partition("/")
        if not self._is_full or not rest.startswith("book?level=3"):
            return []
        if frame.status != 200:
            why = f"HTTP {frame.status}" if frame.status else frame.data[:120].decode(errors="replace")
            return [ImageFailed(symbol=symbol, why=why, gone=frame.status == 404)]
        try:
            message = json_object(frame.data)
        except CodecError as error:
            raise CodecError(error.why, frame.data, channel="book", symbol=symbol) from error
        return guarded(lambda m: self._all_orders(symbol, m), message, frame.data, "book", symbol)

    def _all_orders(self, symbol: str, m: dict[str, Any]) -> Iterable[Message]:
        orders = tuple(
            OrderChange(Act.PUT, text(order_id), sign, self._symbols.px(symbol, text(price)), exact(text(size)))
            for sign, side in ((1, m["bids"]), (-1, m["asks"]))
            for price, size, order_id in side
        )
        last_id, event_ns = whole(m["sequence"]), _time(m.get("time"))
        return (Image(symbol=symbol, last_id=last_id, event_ns=event_ns, rows=Rows(), orders=orders),)

    # -- Advanced ------------------------------------------------------------------------------------------------------

    def _of_advanced(self, channel: str, m: dict[str, Any], frame: Frame) -> list[Message]:
        self.checks = ("sequence",)
        told = guarded(lambda count: self._counted(frame.conn, count), m.get("sequence_num"), frame.data, channel)
        if channel == "subscriptions":
            return [*told, Answer(request_id=0)]
        read = self._by_channel.get(channel)
        # Behind a hole in the counter it is not only the book of this frame that is in doubt.
        symbol = "" if told or not (product := _product_of(m)) else self._ours(product)
        return told if read is None else [*told, *guarded(read, m, frame.data, channel, symbol)]

    def _counted(self, conn: int, count: object) -> Iterable[Message]:
        before = self._counts.get(conn)
        after = self._counts[conn] = whole(count)
        if before is not None and after != before + 1:
            yield SocketGap(f"{after} after {before}")

    def _ours(self, product: object) -> str:
        """The symbol that was asked for where another is told."""
        told = text(product)
        alias = told.removesuffix(TOLD_AS[1]) + TOLD_AS[0] if told.endswith(TOLD_AS[1]) else told
        return alias if told not in self._wanted and alias in self._wanted else told

    def _l2_data(self, m: dict[str, Any]) -> Iterable[Message]:
        for event in m["events"]:
            symbol, updates = self._ours(event["product_id"]), event["updates"]
            changes = [(ADVANCED_SIDES[one["side"]], one["price_level"], one["new_quantity"]) for one in updates]
            if event["type"] == "snapshot":
                rows = self._rows(symbol, changes)
                yield Image(symbol=symbol, last_id=0, event_ns=_time(m["timestamp"]), rows=rows)
            else:
                yield self._diff(symbol, changes, _time(updates[-1]["event_time"] if updates else m["timestamp"]))

    def _market_trades(self, m: dict[str, Any]) -> Iterable[Message]:
        for event in m["events"]:
            why_not = "history" if event["type"] == "snapshot" else ""
            for trade in sorted(event["trades"], key=lambda one: whole(one["trade_id"])):
                symbol, maker = self._ours(trade["product_id"]), SIGNS[trade["side"].lower()]
                yield self._print(trade, symbol, "market_trades", maker, why_not)


def _time(at: object) -> int:
    """A time of the venue in nanoseconds; 0 where it is none."""
    return 0 if at is None or (isinstance(at, str) and at.startswith(NO_TIMES)) else utc(at)


def _product_of(m: dict[str, Any]) -> str:
    """Whose frame this was, if that can still be read."""
    try:
        event = m["events"][0]
        product = event.get("product_id") or event["trades"][0]["product_id"]
    except (LookupError, TypeError, AttributeError):
        return ""
    return product if isinstance(product, str) else ""
