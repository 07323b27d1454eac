"""Deribit: perpetuals, futures, options and spot on one JSON-RPC socket. All that it writes or wants is in this file.

Sources: docs.deribit.com, API v2.1.1 "Heartbeat", "Subscriptions", ``book.{instrument_name}.{interval}`` (stored
2026-07); nautilus_trader ``adapters/deribit`` documentation and test data (2026-07); tardis-node mapper (2026-08);
ccxt 4.5 ``deribit`` (2026-11); recorded frames of 2019 to 2025.

=====================  =====================================================  =======================================
frame                  what we do                                             seen in
=====================  =====================================================  =======================================
``book.X.100ms``,      Diff; ``prev_change_id`` is the ``change_id`` before   docs; recorded 2021, nautilus 2025
``.agg2``              it, ids jump. ``delete`` is size 0
  type snapshot        Image; also where no or 0 ``prev_change_id`` stands    recorded 2019, 2021; tardis-node
  ``.raw``             as above                                               recorded 2021 (recordings only: needs
                                                                              a login today)
``book.X.g.d.i``       nothing (grouped levels, not asked for)                nautilus
``trades.``            Print; ``direction`` is the taker's, ``trade_seq``     docs; recorded 2019, nautilus 2025
                       counts by instrument; with a ``combo_trade_id`` or
                       ``block_trade_id`` it met no book: counted only
  ``liquidation``      also Forced: ``T`` the taker is forced, ``M`` the      tardis-node 2020; ``MT`` is in the
                       maker (so the other side), ``MT`` both                 documents only
``ticker.``            Context: mark, index, ``current_funding`` (a rate      docs; recorded 2019 to 2022
                       of 8 hours), open interest
``heartbeat``          Reply ``public/test`` if it is a ``test_request``      docs; nautilus
``result``             Answer; the list holds the accepted channels only,     docs; recorded 2021
                       what is missing in it was refused
``error``              Answer                                                 nautilus
get_instruments        Listing                                                recorded 2021 (recordings only)
``platform_state``     Trading of everything                                  docs
``instrument.state``   Trading: started, deactivated, closed, terminated      docs
``quote``, ...         nothing
=====================  =====================================================  =======================================

Amounts are USD on inverse perpetuals and futures, base coins on everything else (never contracts); prices of options
are in base coins. The link is closed unless a heartbeat is set and each test is answered at once.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeAlias, TypeVar

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
    Limits,
    LinkPlan,
    Listing,
    Print,
    Reply,
    Source,
    Trading,
)
from imbalanced.venues.diff import Diff
from imbalanced.venues.symbols import Symbols, base_units
from imbalanced.venues.wire import NS_PER_MS, SIGNS, text, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from imbalanced.book import Book
    from imbalanced.events import Frame
    from imbalanced.venues.codec import Keepalive, Message

BOOK = "book.{}.100ms"
TRADES = "trades.{}.100ms"
CHANNELS = (BOOK, TRADES, "ticker.{}.agg2")
UNSUBSCRIBE = "public/unsubscribe"
# What the venue says of its own service, once.
SERVICE = ("platform_state", "instrument.state.any.any")
STATES: dict[str, Literal["trading", "halted", "gone"]] = {
    "started": "trading",
    "deactivated": "halted",
    "closed": "gone",
    "terminated": "gone",
}
# Channels in one call: its text stays near 5 KB.
SUBSCRIBE_AT_ONCE = 120
HEARTBEAT_S = 30
HEARTBEAT_ID, TEST_ID = 1, 2
FUNDING_INTERVAL_H = 8.0
OF_CHANNEL = re.compile(rb'"channel":\s*"(\w{1,40})\.([A-Za-z0-9_-]{1,60})\.')
# BTC-PERPETUAL, BTC_USDC-PERPETUAL, BTC-28MAR25, BTC-28MAR25-92000-C, XRP_USDC-28MAR25-0d55-C, BTC_USDC
NAME = re.compile(r"([A-Z0-9]+)(?:_([A-Z0-9]+))?(?:-PERPETUAL|-(\d{1,2})([A-Z]{3})(\d{2})(?:-(\d+(?:d\d+)?)-([CP]))?)?")
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")

T = TypeVar("T")

# -- frames, with their numbers as they are written --------------------------------------------------------------------


class _Params(Struct, frozen=True):
    channel: str = ""
    type: str = ""


class _Error(Struct):
    code: int = 0
    message: str = ""


class _Head(Struct):
    id: int | str | None = None
    method: str = ""
    params: _Params = _Params()
    error: _Error | None = None
    result: msgspec.Raw = msgspec.Raw()


_Levels: TypeAlias = list[tuple[Literal["new", "change", "delete"], Decimal, Decimal]]


class _Book(Struct):
    instrument_name: str
    timestamp: int
    change_id: int
    bids: _Levels
    asks: _Levels
    type: Literal["snapshot", "change", ""] = ""  # absent before 2020
    prev_change_id: int | None = None


class _Trade(Struct):
    instrument_name: str
    timestamp: int
    trade_seq: int
    direction: str
    price: Decimal
    amount: Decimal
    liquidation: str = ""
    combo_trade_id: Any = None
    block_trade_id: Any = None


class _Ticker(Struct):
    instrument_name: str
    timestamp: int
    mark_price: float | None = None
    index_price: float | None = None
    current_funding: float | None = None
    open_interest: float | None = None


class _Platform(Struct):
    maintenance: bool | None = None


class _State(Struct):
    instrument_name: str
    state: str


class _Data(Struct, Generic[T]):
    data: T


class _Of(Struct, Generic[T]):
    params: _Data[T]


class _Listed(Struct):
    instrument_name: str
    tick_size: Decimal
    is_active: bool = True


class _Instruments(Struct):
    result: list[_Listed]


HEAD = msgspec.json.Decoder(_Head)


class Product(Struct, frozen=True, kw_only=True):
    """Deribit as a line of the table."""

    endpoints: Endpoints
    ccxt: CcxtSpec
    limits: Limits
    provides: tuple[str, ...]

    def codec(self, venue: str, endpoints: Endpoints | None = None) -> DeribitCodec:
        """A codec for one run; ``endpoints`` replaces the public hosts."""
        return DeribitCodec(venue, self, endpoints)


ALL = Product(
    endpoints=Endpoints(rest="https://www.deribit.com", ws="wss://www.deribit.com"),
    ccxt=CcxtSpec(exchange_id="deribit", options={}, amounts=True),
    limits=Limits(
        messages_per_s=3.0, weight_per_min=600, streams_per_socket=480, lifetime_s=7 * 86400.0, peer_silence_s=65.0
    ),
    provides=("book", "trade", "funding", "oi", "liquidation"),
)


class DeribitCodec:
    """Deribit: frames to messages, subscriptions, proof, limits."""

    def __init__(self, venue: str, product: Product, endpoints: Endpoints | None = None) -> None:
        self.venue = venue
        self.endpoints = endpoints or product.endpoints
        self.continuity = Continuity(chain=Chain.PREVIOUS, source=Source.STREAM)
        self.limits = product.limits
        self.keepalive: Keepalive | None = None
        self.checks: tuple[str, ...] = ("sequence",)
        self.trades_count_up = True
        self._symbols = Symbols(venue, self._guessed)
        self._ids: dict[tuple[str, tuple[str, ...]], int] = {}
        self._asked: dict[int, tuple[str, ...]] = {}
        self._leaving: set[int] = set()
        self._by_channel: dict[str, tuple[msgspec.json.Decoder[Any], Callable[[Any], Iterable[Message]]]] = {
            "book": (msgspec.json.Decoder(_Of[_Book]), self._book),
            "trades": (msgspec.json.Decoder(_Of[list[_Trade]]), self._trades),
            "ticker": (msgspec.json.Decoder(_Of[_Ticker]), self._ticker),
            "platform_state": (msgspec.json.Decoder(_Of[_Platform]), _platform),
            "instrument": (msgspec.json.Decoder(_Of[_State]), _state),
        }

    # -- instruments and subscriptions ---------------------------------------------------------------------------------

    def know(self, instrument: Instrument) -> None:
        self._symbols.know(instrument)

    def infer(self, symbol: str) -> Instrument:
        return self._symbols.infer(symbol)

    def _guessed(self, symbol: str) -> Instrument:
        """What an instrument's name tells; of a combination nothing."""
        found = NAME.fullmatch(symbol)
        if found is None or (found[4] and found[4] not in MONTHS):
            return Instrument(venue=self.venue, symbol=symbol, venue_symbol=symbol)
        base, settle, day, month, year, strike, right = found.groups()
        spot = settle is not None and "-" not in symbol
        unified = f"{base}/{settle or 'USD'}" + ("" if spot else f":{settle or base}")
        if day:
            unified += f"-{year}{MONTHS.index(month) + 1:02}{int(day):02}"
        if strike:
            unified += f"-{strike.replace('d', '.')}-{right}"
        return Instrument(
            venue=self.venue,
            symbol=unified if "-" in symbol or spot else symbol,
            venue_symbol=symbol,
            base=base,
            quote=settle or "USD",
            inverse=settle is None and not strike and "-" in symbol,
        )

    def opened(self, conn: int) -> None:
        return

    def plan(self, instruments: Sequence[Instrument]) -> list[LinkPlan]:
        plans: list[LinkPlan] = []
        at_once = max(1, (self.limits.streams_per_socket - len(SERVICE)) // len(CHANNELS))
        for start in range(0, len(instruments), at_once):
            symbols = tuple(one.venue_symbol for one in instruments[start : start + at_once])
            channels = tuple(channel.format(symbol) for symbol in symbols for channel in CHANNELS)
            channels += () if plans else SERVICE
            asked = [_call(HEARTBEAT_ID, "public/set_heartbeat", {"interval": HEARTBEAT_S})]
            for first in range(0, len(channels), SUBSCRIBE_AT_ONCE):
                asked.append(self._request("public/subscribe", channels[first : first + SUBSCRIBE_AT_ONCE]))
            url = f"{self.endpoints.ws}/ws/api/v2"
            plans.append(LinkPlan(conn=len(plans) + 1, url=url, books=symbols, subscribe=tuple(asked)))
        return plans

    def resubscribe(self, symbol: str, conn: int = 0) -> Sequence[str]:
        channels = (BOOK.format(symbol),)
        return (self._request(UNSUBSCRIBE, channels), self._request("public/subscribe", channels))

    def _request(self, method: str, channels: tuple[str, ...]) -> str:
        """A call with its number: the same call always has the same, and its answer tells what of it was accepted."""
        number = self._ids.setdefault((method, channels), len(self._ids) + TEST_ID + 1)
        self._asked[number] = channels
        if method == UNSUBSCRIBE:
            self._leaving.add(number)
        return _call(number, method, {"channels": list(channels)})

    def resubscribe_trades(self, symbol: str, conn: int = 0) -> Sequence[str]:
        channels = (TRADES.format(symbol),)
        return (self._request(UNSUBSCRIBE, channels), self._request("public/subscribe", channels))

    def unsubscribe(self, symbol: str, conn: int = 0) -> Sequence[str]:
        return self.resubscribe(symbol, conn)[:1]

    def fetch_image(self, symbol: str) -> Fetch:
        """The book by REST, for a comparison by hand: its image comes with the subscription."""
        url = f"{self.endpoints.rest}/api/v2/public/get_order_book?instrument_name={symbol}&depth=1000"
        return Fetch(venue=self.venue, url=url)

    def verify(self, message: Diff | Image, book: Book) -> bool:
        return True

    # -- frames --------------------------------------------------------------------------------------------------------

    def decode(self, frame: Frame) -> list[Message]:
        data = frame.data
        if frame.kind == "http":
            return self._listed(frame) if "/public/get_instruments" in frame.url and frame.status == 200 else []
        try:
            head = HEAD.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            channel, symbol = _source_of(data)
            raise CodecError(f"no message: {error}", data, channel=channel, symbol=symbol) from error
        if head.method == "heartbeat":
            return [Reply(_call(TEST_ID, "public/test", {}))] if head.params.type == "test_request" else []
        if head.id is not None:
            return [self._answer(head)]
        parts = head.params.channel.split(".")
        known = self._by_channel.get(parts[0])
        # Grouped books have more parts: they are whole images of other levels.
        if known is None or (parts[0] == "book" and len(parts) != 3):
            return []
        decoder, read = known
        try:
            return list(read(decoder.decode(data).params.data))
        except (ValueError, KeyError, ArithmeticError) as error:  # msgspec's errors are ValueErrors
            channel, symbol = _source_of(data)
            why = f"{channel}: {type(error).__name__} {error}"
            raise CodecError(why, data, channel=channel, symbol=symbol) from error

    def _answer(self, head: _Head) -> Message:
        number = head.id if isinstance(head.id, int) else 0
        if head.error is not None:
            return Answer(request_id=number, error=f"{head.error.code}: {head.error.message}")
        asked = tuple(channel for channel in self._asked.get(number, ()) if channel not in SERVICE)
        accepted = msgspec.json.decode(head.result) if asked and head.result else asked
        refused = [channel for channel in asked if channel not in accepted] if isinstance(accepted, list) else []
        if not refused:
            return Answer(request_id=number, symbols=tuple(dict.fromkeys(map(_instrument_of, asked))))
        error = f"not accepted: {', '.join(refused)}"
        if number in self._leaving:
            return Answer(request_id=number, error=error)
        books = tuple(_instrument_of(channel) for channel in refused if channel.startswith("book."))
        return Answer(request_id=number, error=error, symbols=books, gone=bool(books))

    def _book(self, m: _Book) -> Iterable[Message]:
        symbol, last_id, event_ns = text(m.instrument_name), whole(m.change_id), whole(m.timestamp) * NS_PER_MS
        rows = Rows(len(m.bids) + len(m.asks))
        self._symbols.add(rows, symbol, map(_level, m.bids))
        rows.end_bids()
        self._symbols.add(rows, symbol, map(_level, m.asks))
        if m.type == "snapshot" or not m.prev_change_id:
            return (Image(symbol=symbol, last_id=last_id, event_ns=event_ns, rows=rows),)
        diff = Diff(rows)
        diff.symbol, diff.event_ns = symbol, event_ns
        diff.prev_id, diff.last_id = whole(m.prev_change_id), last_id
        diff.first_id = diff.prev_id + 1
        return (diff,)

    def _trades(self, trades: list[_Trade]) -> Iterable[Message]:
        for m in trades:
            symbol, event_ns = text(m.instrument_name), whole(m.timestamp) * NS_PER_MS
            px = self._symbols.px(symbol, m.price)
            size, sign = self._symbols.size(symbol, m.amount, px), SIGNS[m.direction]
            apart = m.combo_trade_id is not None or m.block_trade_id is not None
            yield Print(
                symbol=symbol,
                stream="trades",
                px=px,
                size=size,
                sign=sign,
                trade_id=whole(m.trade_seq),
                event_ns=event_ns,
                why_not="not_market" if apart else "",
            )
            for role in m.liquidation:
                forced = {"T": sign, "M": -sign}[role]
                yield Forced(symbol=symbol, event_ns=event_ns, px=px, size=size, sign=forced)

    def _ticker(self, m: _Ticker) -> Iterable[Message]:
        symbol, interest = text(m.instrument_name), m.open_interest
        instrument = self._symbols.of(symbol)
        if interest is not None and instrument.inverse:
            px = round(m.mark_price * 10**instrument.price_scale) if m.mark_price else 0
            interest = base_units(interest, px, instrument) if px > 0 else None
        yield Context(
            symbol=symbol,
            event_ns=whole(m.timestamp) * NS_PER_MS,
            mark=m.mark_price,
            index=m.index_price,
            funding_rate=m.current_funding,
            funding_interval_h=None if m.current_funding is None else FUNDING_INTERVAL_H,
            open_interest=interest,
        )

    def _listed(self, frame: Frame) -> list[Message]:
        try:
            listed = msgspec.json.decode(frame.data, type=_Instruments).result
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise CodecError(f"instruments: {error}", frame.data, channel="instruments") from error
        ticks = {one.instrument_name: (format(one.tick_size.normalize(), "f"), one.is_active) for one in listed}
        instruments = [
            msgspec.structs.replace(self._guessed(symbol), tick=tick, active=active)
            for symbol, (tick, active) in ticks.items()
        ]
        return [Listing(tuple(instruments))]


def _level(level: tuple[str, Decimal, Decimal]) -> tuple[Decimal, Decimal | str]:
    action, price, amount = level
    return price, "0" if action == "delete" else amount


def _platform(m: _Platform) -> Iterable[Message]:
    if m.maintenance is not None:
        yield Trading(symbol="", state="halted" if m.maintenance else "trading", why="maintenance")


def _state(m: _State) -> Iterable[Message]:
    if m.state in STATES:
        yield Trading(symbol=text(m.instrument_name), state=STATES[m.state], why=m.state)


def _instrument_of(channel: str) -> str:
    """``book.BTC-PERPETUAL.100ms``."""
    return channel.split(".")[1] if "." in channel else ""


def _call(number: int, method: str, params: dict[str, Any]) -> str:
    return orjson.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}).decode()


def _source_of(data: bytes) -> tuple[str, str]:
    """Channel and instrument of a frame, if they can still be read."""
    found = OF_CHANNEL.search(data)
    return (found[1].decode(), found[2].decode()) if found else ("", "")
