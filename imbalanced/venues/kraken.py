"""Kraken spot, WebSocket v2: books proven by a checksum after every message. All that Kraken writes or wants is here.

Sources: docs.kraken.com, WebSocket v2 "Book", "Trade", "Instrument", "Status" and the guide "Spot Websockets (v2) book
checksum" (stored 2026-07); ccxt 4.5 ``pro/kraken.py`` (2026-11); nautilus_trader ``adapters/kraken`` test data (2026);
recorded frames of 2021 (v1), 2024 and 2026 (v2).

=====================  =====================================================  =======================================
frame                  what we do                                             seen in
=====================  =====================================================  =======================================
``book`` snapshot      Image with checksum; begins the book anew              recorded 2024; nautilus
``book`` update        Diff with checksum. All rows are applied, then each    docs; tardis-node 2026
                       side is cut to the subscribed depth (what falls out
                       is not told), then the best 10 levels are summed
``trade``              Print; ``side`` is the taker's, ``trade_id`` counts    docs; nautilus
                       by book
  type snapshot        history                                                tardis-node 2026
``instrument``         how many decimals a pair's checksum has; Trading       docs
                       where its status is none of trading
``status``             Trading of everything: maintenance, cancel_only and    docs
                       post_only match nothing
``subscribe``,         Answer, one a symbol                                   docs
``unsubscribe``,
``pong``
``heartbeat``,         nothing                                                docs; v1 recorded 2021
v1 events
v1 ``book-1000``       as ``book``; no checksum on snapshots (nor before      recorded 2019, 2021 (recordings only:
                       2020); both sides perhaps in two objects               v1 is frozen)
v1 ``trade``           Print without an id                                    recorded 2021 (recordings only)
=====================  =====================================================  =======================================

The checksum is of digits: prices and sizes with the pair's fixed decimals, without dot and leading zeros. The wire has
these decimals, so they are taken from it until the ``instrument`` channel has told them. Symbols: the venue lists
``XBT/USD`` (``wsname``), v1 calls it so, v2 says ``BTC/USD``.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

import msgspec
import orjson
from msgspec import Struct

from imbalanced.book import Rows
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
    Print,
    Source,
    Trading,
)
from imbalanced.venues.diff import Diff
from imbalanced.venues.digits import Digits
from imbalanced.venues.symbols import Symbols
from imbalanced.venues.wire import NS_PER_S, SIGNS, nanoseconds, text, utc, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from imbalanced.book import Book
    from imbalanced.events import Frame, Instrument
    from imbalanced.venues.codec import Keepalive, Message

DEPTH = 1000
V1_BOOK = f"book-{DEPTH}"
V1_SIGNS = {"b": 1, "s": -1}
CHECKSUM_LEVELS = 10
# Numbers of books are decoded to the text that the wire has for them: a float would not do, a Decimal costs more.
FLOATS = str
# Symbols in one request: each is acknowledged on its own.
SUBSCRIBE_AT_ONCE = 100
OF_SYMBOL = re.compile(rb'"symbol":\s*"([A-Za-z0-9._/]{1,40})"|"([A-Za-z0-9._]{1,20}/[A-Za-z0-9._]{1,20})"\]$')
# Of the venue or of one pair: nothing is matched (``limit_only`` and ``reduce_only`` still trade).
SERVICE: dict[str, Literal["halted", "gone"]] = {
    "maintenance": "halted",
    "cancel_only": "halted",
    "post_only": "halted",
    "work_in_progress": "halted",
    "delisted": "gone",
}
NO_SUCH = "currency pair not supported"
RENAMED = {"XBT": "BTC", "XDG": "DOGE"}

T = TypeVar("T")

# Frames, with their numbers as they are written.


class _Head(Struct):
    channel: str = ""
    type: str = ""
    method: str = ""


class _Level(Struct):
    price: Any  # as it is written, see FLOATS
    qty: Any


class _Book(Struct):
    symbol: str
    checksum: int
    bids: list[_Level] = []
    asks: list[_Level] = []
    timestamp: str = ""  # snapshots of 2024 have none


class _Trade(Struct):
    symbol: str
    price: Decimal
    qty: Decimal
    side: str = ""
    trade_id: int = -1
    timestamp: str = ""


class _Pair(Struct):
    symbol: str
    price_precision: int
    qty_precision: int
    status: str = ""


class _System(Struct):
    system: str


class _Pairs(Struct):
    pairs: list[_Pair] = []


class _Of(Struct, Generic[T]):
    data: T


class _Result(Struct):
    symbol: str = ""


class _Told(Struct):
    method: str = ""
    success: bool = True
    result: _Result | None = None
    error: str | None = None
    req_id: int | None = None
    symbol: str = ""


HEAD = msgspec.json.Decoder(_Head)
TOLD = msgspec.json.Decoder(_Told)


class Product(Struct, frozen=True, kw_only=True):
    """Kraken as a line of the table."""

    endpoints: Endpoints
    ccxt: CcxtSpec
    limits: Limits
    provides: tuple[str, ...] = ("book", "trade")
    recorded_as: tuple[str, ...] = ("kraken_v2",)

    def codec(self, venue: str, endpoints: Endpoints | None = None) -> KrakenCodec:
        """A codec for one run; ``endpoints`` replaces the public hosts."""
        return KrakenCodec(venue, self, endpoints)


SPOT = Product(
    endpoints=Endpoints(rest="https://api.kraken.com", ws="wss://ws.kraken.com"),
    ccxt=CcxtSpec(exchange_id="kraken", options={}, wire_name="wsname"),
    # A heartbeat comes every second in which nothing else does.
    limits=Limits(
        messages_per_s=5.0, weight_per_min=60, streams_per_socket=400, lifetime_s=7 * 86400.0, peer_silence_s=10.0
    ),
)


class KrakenCodec:
    """Kraken spot: frames to messages, subscriptions, proof, limits."""

    def __init__(self, venue: str, product: Product, endpoints: Endpoints | None = None) -> None:
        self.venue = venue
        self.endpoints = endpoints or product.endpoints
        self.continuity = Continuity(chain=Chain.NONE, source=Source.STREAM, depth=DEPTH)
        self.limits = product.limits
        self.keepalive: Keepalive | None = None
        self.checks: tuple[str, ...] = ("checksum",)
        self.trades_count_up = True
        self._symbols = Symbols(venue)
        self._ours: dict[str, str] = {}
        self._sums: dict[str, Digits] = {}
        self._by_channel: dict[str, tuple[msgspec.json.Decoder[Any], Callable[[Any, bool], Iterable[Message]]]] = {
            "book": (msgspec.json.Decoder(_Of[list[_Book]], float_hook=FLOATS), self._books),
            "trade": (msgspec.json.Decoder(_Of[list[_Trade]]), self._trades),
            "instrument": (msgspec.json.Decoder(_Of[_Pairs]), self._pairs),
            "status": (msgspec.json.Decoder(_Of[list[_System]]), self._status),
        }

    # -- instruments and subscriptions ---------------------------------------------------------------------------------

    def know(self, instrument: Instrument) -> None:
        self._symbols.know(instrument)
        self._ours[wire_name(instrument.venue_symbol)] = instrument.venue_symbol

    def infer(self, symbol: str) -> Instrument:
        return self._symbols.infer(symbol)

    def opened(self, conn: int) -> None:
        return

    def plan(self, instruments: Sequence[Instrument]) -> list[LinkPlan]:
        plans: list[LinkPlan] = []
        at_once = max(1, self.limits.streams_per_socket // 2)
        for start in range(0, len(instruments), at_once):
            symbols = tuple(one.venue_symbol for one in instruments[start : start + at_once])
            # The decimals of all pairs, once: before the first book that needs them.
            asked = [_request("subscribe", {"channel": "instrument", "snapshot": True})] if not plans else []
            for first in range(0, len(symbols), SUBSCRIBE_AT_ONCE):
                names = [wire_name(one) for one in symbols[first : first + SUBSCRIBE_AT_ONCE]]
                asked.append(_request("subscribe", _book_of(names) | {"snapshot": True}))
                asked.append(_request("subscribe", {"channel": "trade", "symbol": names, "snapshot": False}))
            url = f"{self.endpoints.ws}/v2"
            plans.append(LinkPlan(conn=len(plans) + 1, url=url, books=symbols, subscribe=tuple(asked)))
        return plans

    def resubscribe(self, symbol: str, conn: int = 0) -> Sequence[str]:
        book = _book_of([wire_name(symbol)])
        return (_request("unsubscribe", book), _request("subscribe", book | {"snapshot": True}))

    def resubscribe_trades(self, symbol: str, conn: int = 0) -> Sequence[str]:
        trades = {"channel": "trade", "symbol": [wire_name(symbol)]}
        return (_request("unsubscribe", trades), _request("subscribe", trades | {"snapshot": False}))

    def unsubscribe(self, symbol: str, conn: int = 0) -> Sequence[str]:
        return self.resubscribe(symbol, conn)[:1]

    def fetch_image(self, symbol: str) -> Fetch:
        """The book by REST, for a comparison by hand: its image comes with the subscription."""
        return Fetch(venue=self.venue, url=f"{self.endpoints.rest}/0/public/Depth?pair={symbol}&count=500")

    def verify(self, message: Diff | Image, book: Book) -> bool:
        return self._of(message.symbol).hold(book, self._symbols.of(message.symbol).price_scale)

    # -- frames --------------------------------------------------------------------------------------------------------

    def decode(self, frame: Frame) -> list[Message]:
        data = frame.data
        if frame.kind == "http":
            return []
        channel = ""
        try:
            if data.startswith(b"["):
                return list(self._of_v1(msgspec.json.decode(data, type=list[Any])))
            head = HEAD.decode(data)
            channel = head.channel
            if head.method:
                return [self._answer(TOLD.decode(data))]
            if channel not in self._by_channel:
                return []
            decoder, read = self._by_channel[channel]
            return list(read(decoder.decode(data).data, head.type == "snapshot"))
        except (ValueError, LookupError, TypeError, ArithmeticError) as error:  # msgspec's errors are ValueErrors
            why = f"{channel or 'frame'}: {type(error).__name__} {error}"
            raise CodecError(why, data, channel=channel, symbol=self._guess(data)) from error

    def _guess(self, data: bytes) -> str:
        """Whose frame this was, if that can still be read."""
        found = OF_SYMBOL.search(data)
        name = (found[1] or found[2]).decode() if found else ""
        return self._ours.get(name, name)

    def _books(self, books: list[_Book], whole_book: bool) -> Iterable[Message]:
        for one in books:
            symbol = self._ours.get(one.symbol, text(one.symbol))
            bids, asks = ([(level.price, level.qty) for level in side] for side in (one.bids, one.asks))
            event_ns = utc(one.timestamp) if one.timestamp else 0
            yield self._message(symbol, (bids, asks), event_ns, whole_book=whole_book, told=whole(one.checksum))

    def _of(self, symbol: str) -> Digits:
        """What the checksums of this book are made of."""
        known = self._sums.get(symbol)
        if known is None:
            known = self._sums[symbol] = Digits(CHECKSUM_LEVELS)
        return known

    def _message(
        self,
        symbol: str,
        sides: tuple[Sequence[Any], Sequence[Any]],
        event_ns: int,
        *,
        whole_book: bool,
        told: int | None,
    ) -> Diff | Image:
        """One book message of either version; ``told`` is its checksum, if it has one."""
        bids, asks = sides
        first = next(iter(bids or asks), None)
        instrument = self._symbols.of(symbol, first[0] if first else None)
        digits = self._of(symbol)
        if whole_book:
            digits.begin()
        rows = Rows()
        digits.add(rows, instrument, 1, bids)
        rows.end_bids()
        digits.add(rows, instrument, -1, asks)
        digits.told = told
        if whole_book:
            return Image(symbol=symbol, last_id=0, event_ns=event_ns, rows=rows, checked=told is not None)
        diff = Diff(rows)
        diff.symbol, diff.event_ns, diff.checked = symbol, event_ns, told is not None
        return diff

    def _trades(self, trades: list[_Trade], history: bool) -> Iterable[Message]:
        for one in sorted(trades, key=lambda trade: trade.trade_id):
            one.symbol = self._ours.get(one.symbol, text(one.symbol))
            yield self._print(one, SIGNS[one.side], utc(one.timestamp), "history" if history else "")

    def _print(self, one: _Trade, sign: int, event_ns: int, why_not: str = "") -> Print:
        px = self._symbols.px(one.symbol, one.price)
        size = self._symbols.size(one.symbol, one.qty, px)
        return Print(
            symbol=one.symbol,
            stream="trade",
            px=px,
            size=size,
            sign=sign,
            trade_id=one.trade_id,
            event_ns=event_ns,
            why_not=why_not,
        )

    def _pairs(self, told: _Pairs, _: bool) -> Iterable[Message]:
        for one in told.pairs:
            symbol = self._ours.get(one.symbol, one.symbol)
            self._of(symbol).decimals(whole(one.price_precision), whole(one.qty_precision))
            if one.symbol in self._ours and one.status:
                yield Trading(symbol=symbol, state=SERVICE.get(one.status, "trading"), why=one.status)

    def _status(self, told: list[_System], _: bool) -> Iterable[Message]:
        for one in told:
            yield Trading(symbol="", state=SERVICE.get(text(one.system), "trading"), why=one.system)

    def _answer(self, told: _Told) -> Message:
        name = told.symbol or (told.result.symbol if told.result else "")
        # A subscription that is not there to be ended is no symbol's affair.
        about = bool(name) and told.method == "subscribe"
        error = "" if told.success else f"{told.symbol} {told.error or 'refused'}".lstrip()
        return Answer(
            request_id=told.req_id or 0,
            error=error,
            symbols=(self._ours.get(name, name),) if about else (),
            gone=about and NO_SUCH in error.lower(),
        )

    def _of_v1(self, m: list[Any]) -> Iterable[Message]:
        """``[channel number, payload, perhaps a second payload, channel name, pair]``."""
        if len(m) < 4:
            raise ValueError("no message of a channel")
        name, symbol, parts = text(m[-2]), text(m[-1]), m[1:-2]
        if name == V1_BOOK:
            of = {key: value for part in parts for key, value in part.items()}
            whole_book = "as" in of or "bs" in of
            bids, asks = (of.get(key, []) for key in (("bs", "as") if whole_book else ("b", "a")))
            event_ns = max((_ns_of_s(level[2]) for level in (*bids, *asks)), default=0)
            told = whole(of["c"]) if "c" in of else None
            yield self._message(symbol, (bids, asks), event_ns, whole_book=whole_book, told=told)
        elif name == "trade":
            for price, size, at, side, *_ in parts[0]:
                one = _Trade(symbol, Decimal(text(price)), Decimal(text(size)))
                yield self._print(one, V1_SIGNS[side], _ns_of_s(at))


def wire_name(symbol: str) -> str:
    """``XBT/USD`` of the list is ``BTC/USD`` on the socket."""
    return "/".join(RENAMED.get(part, part) for part in symbol.split("/"))


def _book_of(names: Sequence[str]) -> dict[str, Any]:
    return {"channel": "book", "symbol": list(names), "depth": DEPTH}


def _request(method: str, params: dict[str, Any]) -> str:
    return orjson.dumps({"method": method, "params": params}).decode()


def _ns_of_s(at: object) -> int:
    """``1618678133.365913``."""
    seconds, _, fraction = text(at).partition(".")
    return whole(seconds) * NS_PER_S + nanoseconds(fraction)
