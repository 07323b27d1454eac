"""Kraken Futures (once Crypto Facilities): perpetuals and dated futures. All that it writes or wants is in this file.

Sources: Kraken Futures API documentation, "WebSockets" (feeds book, trade, ticker; stored 2026-07); ccxt 4.5
``pro/krakenfutures.py`` (2026-11); nautilus_trader ``adapters/kraken`` test data (2026); tardis-node mapper of
``cryptofacilities`` (2026-08); recorded frames of 2019 to 2023.

=====================  =====================================================  =======================================
frame                  what we do                                             seen in
=====================  =====================================================  =======================================
``book_snapshot``      Image; levels of size 0 are none                       recorded 2021; nautilus
``book``               Diff of one level; ``seq`` is that of the product's    recorded 2021
                       frame before + 1. A sweep is many frames: the book
                       may be crossed between them
``trade_snapshot``     Prints, the newest first on the wire: history          recorded 2021
``trade``              Print; ``side`` is the taker's. ``fill`` and           recorded 2021; tardis-node 2020
                       ``liquidation`` are market trades, any other type
                       (assignment, termination, block) is counted only
  type liquidation     also Forced: the taker is the order being forced       tardis-node 2020
``ticker``             Context: mark, index, the relative funding rate        tardis-node 2019 to 2023
                       (of one hour, as a fraction), open interest;
                       Trading when ``suspended`` or ``post_only`` turn
``ticker_lite``,       nothing                                                recorded 2021
``heartbeat``,
``info``, ``alert``
``subscribed``,        Answer                                                 recorded 2021; documentation
``unsubscribed``,
``subscribed_failed``,
``unsubscribed_failed``,
``error``
instruments (REST)     Listing                                                recorded 2021 (recordings only)
=====================  =====================================================  =======================================

Sizes of ``PI_`` and ``FI_`` products are contracts of 1 USD (inverse), those of ``PF_`` and ``FF_`` are base coins. The
client must PING at least once in 60 s ("Subscriptions", support.kraken.com), however much the venue sends.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING

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
    Context,
    Continuity,
    Endpoints,
    Fetch,
    Forced,
    Image,
    Keepalive,
    Limits,
    LinkPlan,
    Listing,
    Print,
    Source,
    Trading,
)
from imbalanced.venues.diff import Diff
from imbalanced.venues.symbols import Symbols, base_units
from imbalanced.venues.wire import NS_PER_MS, SIGNS, guarded, text, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from imbalanced.book import Book
    from imbalanced.events import Frame
    from imbalanced.venues.codec import Message

FEEDS = ("book", "trade", "ticker")
# Products in one request: its text stays near 4 KB.
SUBSCRIBE_AT_ONCE = 100
FUNDING_INTERVAL_H = 1.0
AGGRESSIVE = ("fill", "liquidation")
ANSWERS = ("subscribed", "unsubscribed", "subscribed_failed", "unsubscribed_failed", "error")
OF_PRODUCT = re.compile(rb'"product_id":\s*"([A-Za-z0-9_.]{1,60})"')
NAME = re.compile(r"(PI|PF|FI|FF)_([A-Z0-9]+)(USD|EUR|GBP|USDT|USDC)(?:_(\d{6}))?")

# -- frames, with their numbers as they are written --------------------------------------------------------------------


class _Head(Struct):
    feed: str = ""
    event: str = ""


class _Level(Struct):
    price: Decimal
    qty: Decimal


class _Whole(Struct):
    product_id: str
    seq: int
    bids: list[_Level]
    asks: list[_Level]
    timestamp: int = 0


class _Change(Struct):
    product_id: str
    seq: int
    side: str
    price: Decimal
    qty: Decimal
    timestamp: int = 0  # absent before 2019-09


class _Trade(Struct):
    product_id: str
    seq: int
    side: str
    type: str
    time: int
    price: Decimal
    qty: Decimal


class _Trades(Struct):
    product_id: str
    trades: list[_Trade]


class _Ticker(Struct):
    product_id: str
    time: int = 0
    mark: float | None = msgspec.field(name="markPrice", default=None)
    index: float | None = None
    rate: float | None = msgspec.field(name="relative_funding_rate", default=None)
    next_rate_ms: float | None = msgspec.field(name="next_funding_rate_time", default=None)
    interest: float | None = msgspec.field(name="openInterest", default=None)
    suspended: bool = False
    post_only: bool = False


class _Told(Struct):
    event: str
    feed: str = ""
    message: str = ""
    product_ids: list[str] = []


HEAD = msgspec.json.Decoder(_Head)
TOLD = msgspec.json.Decoder(_Told)


class Product(Struct, frozen=True, kw_only=True):
    """Kraken Futures as a line of the table."""

    endpoints: Endpoints
    ccxt: CcxtSpec
    limits: Limits
    provides: tuple[str, ...]

    def codec(self, venue: str, endpoints: Endpoints | None = None) -> KrakenFuturesCodec:
        """A codec for one run; ``endpoints`` replaces the public hosts."""
        return KrakenFuturesCodec(venue, self, endpoints)


FUTURES = Product(
    endpoints=Endpoints(rest="https://futures.kraken.com", ws="wss://futures.kraken.com"),
    ccxt=CcxtSpec(exchange_id="krakenfutures", options={}, upper_case=True),
    limits=Limits(
        messages_per_s=10.0, weight_per_min=500, streams_per_socket=600, lifetime_s=7 * 86400.0, peer_silence_s=60.0
    ),
    provides=("book", "trade", "funding", "oi", "liquidation"),
)


class KrakenFuturesCodec:
    """Kraken Futures: frames to messages, subscriptions, proof, limits."""

    def __init__(self, venue: str, product: Product, endpoints: Endpoints | None = None) -> None:
        self.venue = venue
        self.endpoints = endpoints or product.endpoints
        self.continuity = Continuity(chain=Chain.PLUS_ONE, source=Source.STREAM)
        self.limits = product.limits
        self.keepalive: Keepalive | None = Keepalive(every_s=25.0, text="")
        self.checks: tuple[str, ...] = ("sequence",)
        self.trades_count_up = True
        self._symbols = Symbols(venue, self._guessed)
        self._diff = Diff(Rows(4))
        self._halted: set[tuple[int, str]] = set()  # as which socket told it
        self._conn = 0
        self._by_feed: dict[str, tuple[msgspec.json.Decoder[object], Callable[..., Iterable[Message]]]] = {
            "book": (msgspec.json.Decoder(_Change), self._change),
            "book_snapshot": (msgspec.json.Decoder(_Whole), self._whole),
            "trade": (msgspec.json.Decoder(_Trade), self._trade),
            "trade_snapshot": (msgspec.json.Decoder(_Trades), self._history),
            "ticker": (msgspec.json.Decoder(_Ticker), self._ticker),
        }

    # -- instruments and subscriptions ---------------------------------------------------------------------------------

    def know(self, instrument: Instrument) -> None:
        self._symbols.know(instrument)

    def infer(self, symbol: str) -> Instrument:
        return self._symbols.infer(symbol)

    def _guessed(self, symbol: str) -> Instrument:
        """What a product's name tells: ``PI_XBTUSD`` is inverse, ``PF_XBTUSD`` linear, ``FI_XBTUSD_210924`` dated."""
        found = NAME.fullmatch(symbol)
        if found is None:
            return Instrument(venue=self.venue, symbol=symbol, venue_symbol=symbol)
        base, quote, inverse = found[2].replace("XBT", "BTC"), found[3], found[1] in ("PI", "FI")
        unified = f"{base}/{quote}:{base if inverse else quote}" + (f"-{found[4]}" if found[4] else "")
        return Instrument(
            venue=self.venue, symbol=unified, venue_symbol=symbol, base=base, quote=quote, inverse=inverse
        )

    def opened(self, conn: int) -> None:
        self._halted = {one for one in self._halted if one[0] != conn}

    def plan(self, instruments: Sequence[Instrument]) -> list[LinkPlan]:
        plans: list[LinkPlan] = []
        at_once = max(1, self.limits.streams_per_socket // len(FEEDS))
        for start in range(0, len(instruments), at_once):
            symbols = tuple(one.venue_symbol for one in instruments[start : start + at_once])
            asked = [
                _request("subscribe", feed, symbols[first : first + SUBSCRIBE_AT_ONCE])
                for first in range(0, len(symbols), SUBSCRIBE_AT_ONCE)
                for feed in FEEDS
            ]
            url = f"{self.endpoints.ws}/ws/v1"
            plans.append(LinkPlan(conn=len(plans) + 1, url=url, books=symbols, subscribe=tuple(asked)))
        return plans

    def resubscribe(self, symbol: str, conn: int = 0) -> Sequence[str]:
        return (_request("unsubscribe", "book", (symbol,)), _request("subscribe", "book", (symbol,)))

    def resubscribe_trades(self, symbol: str, conn: int = 0) -> Sequence[str]:
        return (_request("unsubscribe", "trade", (symbol,)), _request("subscribe", "trade", (symbol,)))

    def unsubscribe(self, symbol: str, conn: int = 0) -> Sequence[str]:
        return self.resubscribe(symbol, conn)[:1]

    def fetch_image(self, symbol: str) -> Fetch:
        """The book by REST, for a comparison by hand: it has no ``seq``."""
        return Fetch(venue=self.venue, url=f"{self.endpoints.rest}/derivatives/api/v3/orderbook?symbol={symbol}")

    def verify(self, message: Diff | Image, book: Book) -> bool:
        return True

    # -- frames --------------------------------------------------------------------------------------------------------

    def decode(self, frame: Frame) -> list[Message]:
        data, self._conn = frame.data, frame.conn
        if frame.kind == "http":
            listing = frame.url.endswith("/derivatives/api/v3/instruments") and frame.status == 200
            return guarded(self._listed, data, data, "instruments") if listing else []
        try:
            head = HEAD.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise CodecError(f"no message: {error}", data, symbol=_product_of(data)) from error
        if head.event:
            return guarded(_answers, data, data, head.event) if head.event in ANSWERS else []
        known = self._by_feed.get(head.feed)
        if known is None:
            return []
        decoder, read = known
        try:
            return list(read(decoder.decode(data)))
        except (ValueError, KeyError, ArithmeticError) as error:  # msgspec's errors are ValueErrors
            why = f"{head.feed}: {type(error).__name__} {error}"
            raise CodecError(why, data, channel=head.feed, symbol=_product_of(data)) from error

    def _change(self, m: _Change) -> Iterable[Message]:
        diff, rows = self._diff, self._diff.rows
        rows.clear()
        px = self._symbols.px(m.product_id, m.price)
        size = self._symbols.size(m.product_id, m.qty, px)
        if SIGNS[m.side] > 0:
            rows.add(px, size)
            rows.end_bids()
        else:
            rows.end_bids()
            rows.add(px, size)
        diff.symbol = text(m.product_id)
        diff.first_id = diff.last_id = whole(m.seq)
        diff.event_ns = whole(m.timestamp) * NS_PER_MS
        return (diff,)

    def _whole(self, m: _Whole) -> Iterable[Message]:
        rows = Rows(len(m.bids) + len(m.asks))
        self._symbols.add(rows, m.product_id, ((one.price, one.qty) for one in m.bids if one.qty))
        rows.end_bids()
        self._symbols.add(rows, m.product_id, ((one.price, one.qty) for one in m.asks if one.qty))
        event_ns = whole(m.timestamp) * NS_PER_MS
        return (Image(symbol=text(m.product_id), last_id=whole(m.seq), event_ns=event_ns, rows=rows),)

    def _trade(self, m: _Trade, *, history: bool = False) -> Iterable[Message]:
        px = self._symbols.px(m.product_id, m.price)
        size, sign = self._symbols.size(m.product_id, m.qty, px), SIGNS[m.side]
        event_ns = whole(m.time) * NS_PER_MS
        yield Print(
            symbol=text(m.product_id),
            stream="trade",
            px=px,
            size=size,
            sign=sign,
            trade_id=whole(m.seq),
            event_ns=event_ns,
            why_not="history" if history else "" if m.type in AGGRESSIVE else "not_market",
        )
        if m.type == "liquidation" and not history:
            yield Forced(symbol=m.product_id, event_ns=event_ns, px=px, size=size, sign=sign)

    def _history(self, m: _Trades) -> Iterable[Message]:
        for one in sorted(m.trades, key=lambda trade: trade.seq):
            yield from self._trade(one, history=True)

    def _ticker(self, m: _Ticker) -> Iterable[Message]:
        why = "suspended" if m.suspended else "post_only" if m.post_only else ""
        known = (self._conn, m.product_id)
        if bool(why) != (known in self._halted):
            (self._halted.add if why else self._halted.discard)(known)
            yield Trading(symbol=text(m.product_id), state="halted" if why else "trading", why=why)
        interest = m.interest
        if interest is not None:
            instrument = self._symbols.of(m.product_id)
            # Contracts of an inverse product are worth base at the mark.
            px = round(m.mark * 10**instrument.price_scale) if m.mark else 0
            interest = base_units(interest, px, instrument) if px or not instrument.inverse else None
        yield Context(
            symbol=text(m.product_id),
            event_ns=whole(m.time) * NS_PER_MS,
            mark=m.mark,
            index=m.index,
            funding_rate=m.rate,
            funding_interval_h=None if m.rate is None else FUNDING_INTERVAL_H,
            next_funding_ns=int(m.next_rate_ms) * NS_PER_MS if m.next_rate_ms else None,
            open_interest=interest,
        )

    def _listed(self, data: bytes) -> Iterable[Message]:
        instruments = []
        for one in msgspec.json.decode(data, type=_Instruments).instruments:
            guess = self._guessed(one.symbol.upper())
            tick = format(one.tick.normalize(), "f") if one.tick else ""
            inverse = one.type == "futures_inverse"
            instruments.append(
                msgspec.structs.replace(
                    guess, tick=tick, contract_size=one.contract_size, inverse=inverse, active=one.tradeable
                )
            )
        return (Listing(tuple(instruments)),)


class _Listed(Struct):
    symbol: str
    type: str
    tradeable: bool
    tick: Decimal | None = msgspec.field(name="tickSize", default=None)
    contract_size: float = msgspec.field(name="contractSize", default=1.0)


class _Instruments(Struct):
    instruments: list[_Listed]


def _request(event: str, feed: str, products: Sequence[str]) -> str:
    return orjson.dumps({"event": event, "feed": feed, "product_ids": list(products)}).decode()


def _answers(data: bytes) -> Iterable[Message]:
    """Errors name neither request nor product."""
    told = TOLD.decode(data)
    failed = told.event == "error" or told.event.endswith("_failed")
    what = " ".join(one for one in (told.event, told.feed, ",".join(told.product_ids), told.message) if one)
    return (Answer(request_id=0, error=what if failed else "", symbols=tuple(told.product_ids)),)


def _product_of(data: bytes) -> str:
    """Whose frame this was, if that can still be read."""
    found = OF_PRODUCT.search(data)
    return found[1].decode().upper() if found else ""
