"""Bitfinex, WebSocket v2: spot and derivatives, books by level or by order. All that Bitfinex writes or wants is here.

Sources: docs.bitfinex.com "WebSocket General", "Books", "Raw Books", "Trades", "Status", "WebSocket Checksum" (stored
2026-07); bitfinex-api-node issue 511 (numbers of a checksum are as JavaScript writes them); tardis-node 18.2 (2026-08,
frames of 2019 to 2026); ccxt 4.5; the recording of 2021-04.

===========================  ===============================================  =========================================
frame                        what we do                                       seen in
===========================  ===============================================  =========================================
``[id, [[...], ...], n]``    Image of book or orders; trades: history         recorded 2021; tardis-node 2019
``[id, [p, count, a], n]``   Diff: count 0 deletes, the sign of the amount    recorded 2021
                             is the side
R0 ``[id, [order, p, a]]``   Diff of orders: price 0 deletes                  docs
``[id, "te", [...], n]``     Print; amount > 0: the taker bought              tardis-node 2019, 2020
``[id, "tu", [...], n]``     nothing: the same trade again                    tardis-node 2019
``[id, "cs", sum, n]``       Diff without rows, to be checked                 docs
``[id, "hb", n]``            nothing (15 s of silence of a channel)           recorded 2021; tardis-node 2019
status ``deriv:SYMBOL``      Context; funding is that of 8 hours              tardis-node 2019, 2020
status ``liq:global``        Forced, for the trigger of a liquidation only    tardis-node 2020
                             (its matches follow); amount is the position's
``info``                     20051 the server restarts: ClosingSoon;          docs
                             20060 or ``platform.status`` 0, maintenance:
                             Trading, halted; 20061 it is over: Trading,
                             and ClosingSoon, as all must be asked for anew
``conf``                     Answer; which extras stand behind the payload    recorded 2021
``subscribed``, ``error``,   Answer; ``subscribed`` names the channel id      recorded 2021; docs
``unsubscribed``, ``pong``
ticker, funding              nothing                                          recorded 2021; tardis-node 2021
===========================  ===============================================  =========================================

With flag 65536 the element behind the payload counts all arrays of the socket: a hole is of any of its books. With flag
32768 the time of sending follows. More elements may come (the channel's name, in recordings of 2020 and later).
"""

from __future__ import annotations

from decimal import Decimal
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Literal
from zlib import crc32

import msgspec
import orjson
from msgspec import Struct
from msgspec.structs import replace

from imbalanced.book import Rows
from imbalanced.events import Instrument
from imbalanced.orders import Act, OrderChange
from imbalanced.venues.bitfinex_wire import (
    CHECKSUM,
    EVENT,
    RAW_ARRAY,
    RAW_ROWS,
    SEQUENCE,
    TIMESTAMP,
    Channel,
    Event,
    Socket,
    holes,
    parted,
    rows_of,
    sent_ns_of,
)
from imbalanced.venues.ccxt_spec import CcxtSpec
from imbalanced.venues.codec import (
    Answer,
    Chain,
    ClosingSoon,
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
    Source,
    Trading,
)
from imbalanced.venues.diff import Diff
from imbalanced.venues.literals import exact, js_number, literal, optional, plain, signed
from imbalanced.venues.symbols import Symbols
from imbalanced.venues.wire import NS_PER_MS, text, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from imbalanced.book import Book
    from imbalanced.events import Frame
    from imbalanced.orders import Order, OrderId, Orders
    from imbalanced.venues.codec import Message

DEPTH = "250"
CHECKSUM_LEVELS, MOST_TEXTS = 25, 4_096
LIQUIDATIONS = "liq:global"
FUNDING_INTERVAL_H = 8.0
RESTART, MAINTENANCE, RESUMED = 20051, 20060, 20061
# Their codes for currencies that others know by another name.
RENAMED = {"UST": "USDT"}


class Product(Struct, frozen=True, kw_only=True):
    """One way to follow Bitfinex's books: ``prec`` P0 is exact levels, R0 single orders."""

    prec: Literal["P0", "R0"]
    recorded_as: tuple[str, ...] = ()
    endpoints: Endpoints = Endpoints(rest="https://api-pub.bitfinex.com", ws="wss://api-pub.bitfinex.com")
    ccxt: CcxtSpec = CcxtSpec(exchange_id="bitfinex", options={}, amounts=True)
    # Channels of one socket: 25 by the documents; each symbol takes two or three.
    limits: Limits = Limits(
        messages_per_s=5.0, weight_per_min=60, streams_per_socket=24, lifetime_s=7 * 86400.0, peer_silence_s=45.0
    )
    provides: tuple[str, ...] = ("book", "trade", "funding", "oi", "liquidation")

    def codec(self, venue: str, endpoints: Endpoints | None = None) -> BitfinexCodec:
        """A codec for one run; ``endpoints`` replaces the public hosts."""
        return BitfinexCodec(venue, self, endpoints)


LEVELS = Product(prec="P0")
ORDERS = Product(prec="R0")


class BitfinexCodec:
    """Bitfinex: frames to messages, subscriptions, proof, limits."""

    def __init__(self, venue: str, product: Product, endpoints: Endpoints | None = None) -> None:
        self.venue = venue
        self.endpoints = endpoints or product.endpoints
        self.continuity = Continuity(
            chain=Chain.NONE, source=Source.STREAM, orders=product.prec == "R0", sums_apart=True
        )
        self.limits = product.limits
        self.keepalive: Keepalive | None = Keepalive(every_s=15.0, text=_request("ping", cid=1))
        self.checks: tuple[str, ...] = ("sequence", "checksum")
        self.trades_count_up = False
        self._prec = product.prec
        self._symbols = Symbols(venue, self._guessed)
        self.know, self.infer = self._symbols.know, self._symbols.infer
        self._sockets: dict[int, Socket] = {}
        self._texts: dict[OrderId, tuple[Decimal, int, str]] = {}
        self._on_event: dict[str, Callable[[Event, int], Iterable[Message]]] = {
            "info": self._info,
            "conf": self._conf,
            "subscribed": self._subscribed,
            "unsubscribed": self._unsubscribed,
            "error": self._error,
            "pong": lambda _, __: (Answer(request_id=1),),
        }
        read_book = self._orders if product.prec == "R0" else self._levels
        self._on_payload: dict[str, Callable[[str, bytes, int], Iterable[Message]]] = {
            "book": read_book,
            "book cs": self._sum,
            "trades": self._history,
            "trades te": self._print,
            "deriv": self._derivative,
            "liq": self._liquidations,
        }

    # -- instruments and subscriptions ---------------------------------------------------------------------------------

    def _guessed(self, symbol: str) -> Instrument:
        """What a name tells: ``tBTCUSD``, ``tDUSK:USD``, ``tBTCF0:USTF0``."""
        name = symbol.removeprefix("t")
        base, _, quote = name.partition(":") if ":" in name else (name[:-3], "", name[-3:])
        base, quote = (RENAMED.get(one, one) for one in (base.removesuffix("F0"), quote.removesuffix("F0")))
        if not symbol.startswith("t") or not base or not quote:
            return Instrument(venue=self.venue, symbol=symbol, venue_symbol=symbol)
        unified = f"{base}/{quote}:{quote}" if _is_derivative(symbol) else f"{base}/{quote}"
        return Instrument(venue=self.venue, symbol=unified, venue_symbol=symbol, base=base, quote=quote)

    def opened(self, conn: int) -> None:
        self._sockets[conn] = Socket()

    def plan(self, instruments: Sequence[Instrument]) -> list[LinkPlan]:
        plans: list[LinkPlan] = []
        books: list[str] = []
        asked: list[str] = []
        for symbol in (one.venue_symbol for one in instruments):
            wanted = self._wanted(symbol)
            # One channel of each socket is kept for the liquidations.
            if len(asked) + len(wanted) >= self.limits.streams_per_socket:
                plans.append(self._link(len(plans) + 1, books, asked))
                books, asked = [], []
            books.append(symbol)
            asked += wanted
        return [*plans, self._link(len(plans) + 1, books, asked)] if books else plans

    def _wanted(self, symbol: str) -> list[str]:
        asked = [self._ask_book(symbol), self._ask_trades(symbol)]
        if _is_derivative(symbol):
            asked.append(_request("subscribe", channel="status", key=f"deriv:{symbol}"))
        return asked

    def _link(self, conn: int, books: list[str], asked: list[str]) -> LinkPlan:
        if any(map(_is_derivative, books)):
            asked = [*asked, _request("subscribe", channel="status", key=LIQUIDATIONS)]
        flags = _request("conf", flags=TIMESTAMP | SEQUENCE | CHECKSUM)
        url = f"{self.endpoints.ws}/ws/2"
        return LinkPlan(conn=conn, url=url, books=tuple(books), subscribe=(flags, *asked))

    def _ask_trades(self, symbol: str) -> str:
        return _request("subscribe", channel="trades", symbol=symbol)

    def _ask_book(self, symbol: str) -> str:
        return _request("subscribe", channel="book", symbol=symbol, prec=self._prec, freq="F0", len=DEPTH)

    def resubscribe(self, symbol: str, conn: int = 0) -> Sequence[str]:
        return (*self.unsubscribe(symbol, conn), self._ask_book(symbol))

    def resubscribe_trades(self, symbol: str, conn: int = 0) -> Sequence[str]:
        return (*self._leave(Channel("trades", symbol), conn), self._ask_trades(symbol))

    def unsubscribe(self, symbol: str, conn: int = 0) -> Sequence[str]:
        return self._leave(Channel("book", symbol), conn)

    def _leave(self, wanted: Channel, conn: int) -> list[str]:
        channels = self._sockets[conn].channels if conn in self._sockets else {}
        given_up = [number for number, channel in channels.items() if channel == wanted]
        for number in given_up:  # what still comes by it is nobody's
            del channels[number]
            self._sockets[conn].left.add(number)
        return [_request("unsubscribe", chanId=number) for number in given_up]

    def fetch_image(self, symbol: str) -> Fetch:
        """The book by REST, for a comparison by hand: its image comes with the subscription."""
        return Fetch(venue=self.venue, url=f"{self.endpoints.rest}/v2/book/{symbol}/{self._prec}?len={DEPTH}")

    # -- frames --------------------------------------------------------------------------------------------------------

    def decode(self, frame: Frame) -> list[Message]:
        if frame.kind == "http":
            return []
        data, channel, missing = frame.data, Channel("", ""), list[Any]()
        try:
            if data.lstrip().startswith(b"{"):
                event = EVENT.decode(data)
                read = self._on_event.get(event.event)
                return list(read(event, frame.conn)) if read is not None else []
            items = RAW_ARRAY.decode(data)
            socket = self._sockets.setdefault(frame.conn, Socket())
            number = whole(literal(items[0]))
            channel = socket.channels.get(number, channel)
            kind, payload, extras = parted(items)
            missing += holes(socket, extras)
            # Its introduction was lost: only another socket can tell what it is, as nobody may ask twice.
            missing += () if socket.knows(number) else (ClosingSoon(),)
            return [*missing, *self._payload(channel, kind, payload, sent_ns_of(socket, extras))]
        except (ValueError, LookupError, TypeError, ArithmeticError) as error:  # msgspec's errors are ValueErrors
            why = f"{channel.kind or 'frame'}: {type(error).__name__} {error}"
            # Behind a hole in the counter it is not only the book of this channel that is in doubt.
            raise CodecError(why, data, channel=channel.kind, symbol="" if missing else channel.symbol) from error

    def _payload(self, channel: Channel, kind: str, payload: bytes, sent_ns: int) -> Iterable[Message]:
        read = self._on_payload.get(f"{channel.kind} {kind}".rstrip())
        return () if read is None else read(channel.symbol, payload, sent_ns)

    # -- books ---------------------------------------------------------------------------------------------------------

    def _levels(self, symbol: str, payload: bytes, sent_ns: int) -> Iterable[Message]:
        """``[price, count, amount]``, or a list of these: the whole book."""
        is_image, levels = rows_of(payload)
        read = [self._level(symbol, *map(literal, level[:3])) for level in levels]
        rows = Rows(len(read))
        for px, size, sign in read:
            if sign > 0:
                rows.add(px, size)
        rows.end_bids()
        for px, size, sign in read:
            if sign < 0:
                rows.add(px, size)
        if is_image:
            yield Image(symbol=symbol, last_id=0, event_ns=sent_ns, rows=rows)
        else:
            yield _diff(symbol, sent_ns, rows)

    def _level(self, symbol: str, price: str, count: str, amount: str) -> tuple[int, float, int]:
        px, (sign, size) = self._symbols.px(symbol, plain(price)), signed(amount)
        return px, self._symbols.size(symbol, plain(size), px) if whole(count) else 0.0, sign

    def _orders(self, symbol: str, payload: bytes, sent_ns: int) -> Iterable[Message]:
        """``[order id, price, amount]``, or a list of these: all orders."""
        is_image, orders = rows_of(payload)
        changes = [self._order(symbol, *map(literal, order[:3])) for order in orders]
        if is_image:
            yield Image(symbol=symbol, last_id=0, event_ns=sent_ns, rows=Rows(), orders=changes)
        else:
            diff = _diff(symbol, sent_ns, Rows())
            diff.orders = changes
            yield diff

    def _order(self, symbol: str, order_id: str, price: str, amount: str) -> OrderChange:
        if Decimal(price) == 0:
            return OrderChange(Act.REMOVE, whole(order_id))
        sign, size = signed(amount)
        return OrderChange(Act.PUT, whole(order_id), sign, self._symbols.px(symbol, plain(price)), exact(size))

    def _sum(self, symbol: str, payload: bytes, sent_ns: int) -> Iterable[Message]:
        diff = _diff(symbol, sent_ns, Rows())
        diff.checked, diff.checksum = True, int(literal(payload))
        yield diff

    def verify(self, message: Diff | Image, book: Book) -> bool:
        """``price:amount`` of the best 25, bids and asks in turn."""
        scale = 10 ** self._symbols.of(message.symbol).price_scale
        sides = (
            [f"{js_number(px / scale)}:{js_number(sign * size)}" for px, size in side.levels(CHECKSUM_LEVELS)]
            for sign, side in ((1, book.bids), (-1, book.asks))
        )
        return _signed_sum(*sides) == getattr(message, "checksum", None)

    def verify_orders(self, message: Diff | Image, orders: Orders) -> bool:
        """``id:amount`` of the best 25 orders, bids and asks in turn."""
        sides = ([self._text(one, sign) for one in orders.resting(sign, CHECKSUM_LEVELS)] for sign in (1, -1))
        return _signed_sum(*sides) == getattr(message, "checksum", None)

    def _text(self, order: Order, sign: int) -> str:
        """``id:amount``; of fifty that are asked for again and again one or two are new."""
        known = self._texts.get(order.order_id)
        # A Decimal is never changed: the same one is the same size, and need not be compared.
        if known is None or known[0] is not order.size or known[1] != sign:
            if len(self._texts) >= MOST_TEXTS:
                self._texts.clear()
            text_of = f"{order.order_id}:{js_number(sign * float(order.size))}"
            known = self._texts[order.order_id] = (order.size, sign, text_of)
        return known[2]

    # -- trades and context --------------------------------------------------------------------------------------------

    def _history(self, symbol: str, payload: bytes, _: int) -> Iterable[Message]:
        trades = (self._trade(symbol, trade) for trade in RAW_ROWS.decode(payload))
        return sorted((replace(one, why_not="history") for one in trades), key=lambda one: one.trade_id)

    def _print(self, symbol: str, payload: bytes, _: int) -> Iterable[Message]:
        return (self._trade(symbol, RAW_ARRAY.decode(payload)),)

    def _trade(self, symbol: str, trade: Sequence[msgspec.Raw]) -> Print:
        trade_id, at_ms, amount, price = map(literal, trade[:4])
        px, (sign, size) = self._symbols.px(symbol, plain(price)), signed(amount)
        return Print(
            symbol=symbol,
            stream="te",
            px=px,
            size=self._symbols.size(symbol, plain(size), px),
            sign=sign,
            trade_id=whole(trade_id),
            event_ns=whole(at_ms) * NS_PER_MS,
        )

    def _derivative(self, symbol: str, payload: bytes, _: int) -> Iterable[Message]:
        """By place: 0 time, 3 spot price, 7 next funding, 11 funding, 14 mark, 17 open interest."""
        told = dict(enumerate(map(literal, RAW_ARRAY.decode(payload))))
        index, funding, mark, interest = (optional(told.get(at, "null")) for at in (3, 11, 14, 17))
        next_ms = told.get(7, "null")
        yield Context(
            symbol=symbol,
            event_ns=whole(told[0]) * NS_PER_MS,
            mark=mark,
            index=index,
            funding_rate=funding,
            funding_interval_h=None if funding is None else FUNDING_INTERVAL_H,
            next_funding_ns=None if next_ms == "null" else whole(next_ms) * NS_PER_MS,
            open_interest=interest,
        )

    def _liquidations(self, _: str, payload: bytes, __: int) -> Iterable[Message]:
        """``["pos", id, time, -, symbol, amount, base price, -, is match, is sold, -, liquidation price]``."""
        for one in RAW_ROWS.decode(payload):
            if literal(one[8]) != "0":
                continue
            symbol = text(msgspec.json.decode(one[4]))
            sign, size = signed(literal(one[5]))
            acquired = literal(one[11]) if len(one) > 11 else "null"
            price = Decimal(literal(one[6]) if acquired == "null" else acquired)
            # A mean of fills has any number of decimals.
            px = round(price.scaleb(self._symbols.of(symbol).price_scale))
            at_ns = whole(literal(one[2])) * NS_PER_MS
            base = self._symbols.size(symbol, plain(size), px)
            yield Forced(symbol=symbol, event_ns=at_ns, px=px, size=base, sign=-sign)

    # -- events --------------------------------------------------------------------------------------------------------

    def _info(self, event: Event, _: int) -> Iterable[Message]:
        """Of the whole service, so of everything on this socket."""
        if event.code == MAINTENANCE:
            yield Trading(symbol="", state="halted", why=f"maintenance: {event.msg}")
        elif event.platform is not None and event.platform.get("status") == 0:
            yield Trading(symbol="", state="halted", why="the platform is in maintenance")
        elif event.code == RESUMED:
            yield Trading(symbol="", state="trading", why=f"maintenance: {event.msg}")
        if event.code in (RESTART, RESUMED):
            yield ClosingSoon()

    def _conf(self, event: Event, conn: int) -> Iterable[Message]:
        if event.status != "OK":
            return (Answer(request_id=0, error=f"flags {event.flags} refused: {event.status} {event.msg}"),)
        self._sockets.setdefault(conn, Socket()).flags = event.flags
        return (Answer(request_id=0),)

    def _subscribed(self, event: Event, conn: int) -> Iterable[Message]:
        kind, symbol = event.channel, event.symbol or ""
        if kind == "status":
            kind, _, symbol = (event.key or "").partition(":")
        socket = self._sockets.setdefault(conn, Socket())
        if kind != "book" or event.prec == self._prec:
            socket.channels[event.chanId] = Channel(kind, symbol)
            socket.left.discard(event.chanId)
        else:
            socket.left.add(event.chanId)
        return (Answer(request_id=0),)

    def _unsubscribed(self, event: Event, conn: int) -> Iterable[Message]:
        socket = self._sockets.setdefault(conn, Socket())
        socket.channels.pop(event.chanId, None)
        socket.left.add(event.chanId)
        return (Answer(request_id=0),)

    def _error(self, event: Event, _: int) -> Iterable[Message]:
        name = event.symbol or event.key or ""
        what = " ".join(filter(None, (name, event.channel)))
        symbols = tuple(filter(None, (name.removeprefix("deriv:"),)))
        return (Answer(request_id=0, error=f"{what} {event.code}: {event.msg}".lstrip(), symbols=symbols),)


def _signed_sum(bids: Sequence[str], asks: Sequence[str]) -> int:
    parts = [part for pair in zip_longest(bids, asks) for part in pair if part is not None]
    summed = crc32(":".join(parts).encode())
    return summed - (1 << 32) if summed >= 1 << 31 else summed


def _diff(symbol: str, sent_ns: int, rows: Rows) -> Diff:
    diff = Diff(rows)
    diff.symbol, diff.event_ns = symbol, sent_ns
    return diff


def _is_derivative(symbol: str) -> bool:
    return "F0:" in symbol


def _request(event: str, **fields: Any) -> str:
    return orjson.dumps({"event": event, **fields}).decode()
