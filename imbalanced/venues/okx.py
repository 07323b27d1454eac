"""OKX v5: spot, swaps, dated futures and options on one public socket. Everything that OKX writes or wants is here.

Sources: OKX API guide v5 as quoted by ccxt ``pro/okx.py`` (2026-11), gocryptotrader ``exchanges/okx`` (2026-08-21) and
tardis-node mappers (2026); recorded frames of 2021 to 2026.

=====================  =========================================  =====================================================
frame                  what we do                                 source
=====================  =========================================  =====================================================
``books`` snapshot     Image; begins the book anew at any time    guide, "Order book channel"; recorded 2022, 2026
``books`` update       Diff; ``prevSeqId`` is the ``seqId``       likewise. Equal ids and no levels: nothing changed for
                       before it, whatever their order            a minute. A lower ``seqId``: maintenance, still linked
``books-l2-tbt``,      as ``books``                               recorded 2022, when they were open to all (recordings
``books50-l2-tbt``                                                only: now for VIP accounts)
``checksum``           proof of the best 25 levels while not 0    ccxt PR 30299 (2026-09-06): always 0; recorded 2022
                       (recordings only); without ``seqId`` it    with values and without ``seqId``
                       is the only proof
``trades``             Print; ``side`` is the taker's. The first  guide, "Trades channel"; recorded 2022, 2026
                       push of a subscription is the last trade
                       there was: history, if it is older than
                       a second
``funding-rate``,      Context                                    guide, "Public channels"; recorded 2021, 2026
``mark-price``,
``index-tickers``,
``open-interest``
``liquidation-orders`` Forced; ``side`` is the order's: sell      guide; recorded 2023, 2026. The first push is history
                       closes a long                              (tardis-node)
``instruments``        Trading when an instrument of ours goes    guide, "Instruments channel"
                       to or from ``live``
``event`` subscribe,   Answer; an error names the instrument      guide, "Subscribe"
unsubscribe, error
``event`` notice       ClosingSoon                                guide, "Notification" (service upgrade in 60 s)
``pong``               nothing                                    guide, "Connect": text, no JSON
instruments (REST)     Listing                                    recorded 2022 (recordings only)
=====================  =========================================  =====================================================

Sizes are base coins on spot, else contracts: ``ctVal * ctMult`` of the base, or of USD where inverse. Options are worth
a fixed amount of the base whatever settles them, and ccxt does not tell their multiplier: they are read from recordings
only.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any, cast

import orjson
from msgspec import Struct

from imbalanced.book import Rows
from imbalanced.events import Instrument
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
    Listing,
    Print,
    Source,
    Trading,
)
from imbalanced.venues.diff import Diff
from imbalanced.venues.symbols import Symbols
from imbalanced.venues.texts import LevelTexts, Sum
from imbalanced.venues.wire import NS_PER_MS, NS_PER_S, SIGNS, guarded, ms, rate, text, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from imbalanced.book import Book
    from imbalanced.events import Frame
    from imbalanced.venues.codec import Message

MS_PER_HOUR = 3_600_000
BOOK = "books"
# A subscription request counts against 480 an hour, whatever it holds, and may have 64 KB.
SUBSCRIBE_AT_ONCE = 100
CHANNELS = {
    "SPOT": (BOOK, "trades"),
    "SWAP": (BOOK, "trades", "mark-price", "funding-rate", "open-interest"),
    "FUTURES": (BOOK, "trades", "mark-price", "open-interest"),
    "OPTION": (BOOK, "trades", "mark-price", "open-interest"),
}
MOST_CHANNELS = max(len(channels) for channels in CHANNELS.values()) + 1
OF_SYMBOL = re.compile(rb'"instId":\s*"([A-Za-z0-9_-]{1,60})"')


# In the text of an error: whom it is about, and that there is no such instrument (code 60018).
NAMED = re.compile(r"instId:\s*([A-Za-z0-9_-]{1,60})")
NO_SUCH = "doesn't exist"
STATE_CHANNEL = "channel:instruments,"

LIMITS = Limits(
    messages_per_s=3.0,
    weight_per_min=600,
    streams_per_socket=300,
    subscriptions_per_hour=480,
    peer_silence_s=60.0,
)


class Product(Struct, frozen=True, kw_only=True):
    """OKX as a line of the table."""

    endpoints: Endpoints
    ccxt: CcxtSpec
    provides: tuple[str, ...]

    def codec(self, venue: str, endpoints: Endpoints | None = None) -> OkxCodec:
        """A codec for one run; ``endpoints`` replaces the public hosts."""
        return OkxCodec(venue, endpoints or self.endpoints)


PUBLIC = Product(
    endpoints=Endpoints(rest="https://www.okx.com", ws="wss://ws.okx.com:8443"),
    ccxt=CcxtSpec(exchange_id="okx", options={"fetchMarkets": {"types": ["spot", "swap", "future"]}}),
    provides=("book", "trade", "funding", "oi", "liquidation"),
)


class OkxCodec:
    """OKX: frames to messages, subscriptions, proof, limits."""

    def __init__(self, venue: str, endpoints: Endpoints) -> None:
        self.venue = venue
        self.endpoints = endpoints
        self.continuity = Continuity(chain=Chain.PREVIOUS, source=Source.STREAM)
        self.limits = LIMITS
        # The venue closes a socket on which nothing came for 30 s.
        self.keepalive: Keepalive | None = Keepalive(every_s=20.0, text="ping")
        self.checks: tuple[str, ...] = ("sequence",)
        self.trades_count_up = False  # one print stands for all fills of one order at one price
        self._symbols = Symbols(venue)
        self._ours: set[str] = set()
        self._halted: set[tuple[int, str]] = set()  # as which socket told it
        self._by_index: defaultdict[str, list[str]] = defaultdict(list)
        self._marks: dict[str, float] = {}
        self._fresh: set[tuple[int, str, str]] = set()
        self._texts = LevelTexts()
        self._by_channel: dict[str, Callable[[dict[str, Any], dict[str, Any], Frame], Iterable[Message]]] = {
            BOOK: self._book,
            "books-l2-tbt": self._book,
            "books50-l2-tbt": self._book,
            "trades": self._prints,
            "mark-price": self._mark,
            "index-tickers": self._index,
            "funding-rate": self._funding,
            "open-interest": self._interest,
            "liquidation-orders": self._forced,
            "instruments": self._states,
        }

    # -- instruments and subscriptions ---------------------------------------------------------------------------------

    def know(self, instrument: Instrument) -> None:
        symbol = instrument.venue_symbol
        self._symbols.know(instrument)
        if symbol not in self._ours:
            self._ours.add(symbol)
            if kind_of(symbol) != "SPOT":
                self._by_index[index_of(symbol)].append(symbol)

    def infer(self, symbol: str) -> Instrument:
        return self._symbols.infer(symbol)

    def opened(self, conn: int) -> None:
        self._fresh = {one for one in self._fresh if one[0] != conn}
        self._texts.opened(conn)
        self._halted = {one for one in self._halted if one[0] != conn}

    def plan(self, instruments: Sequence[Instrument]) -> list[LinkPlan]:
        plans: list[LinkPlan] = []
        shared: set[tuple[str, str]] = set()  # streams of a whole family or index: once, on the first socket
        at_once = max(1, self.limits.streams_per_socket // MOST_CHANNELS)
        for start in range(0, len(instruments), at_once):
            symbols = tuple(one.venue_symbol for one in instruments[start : start + at_once])
            args = [{"channel": channel, "instId": name} for name in symbols for channel in CHANNELS[kind_of(name)]]
            for name in symbols:
                kind = kind_of(name)
                if ("state", kind) not in shared:
                    shared.add(("state", kind))
                    args.append({"channel": "instruments", "instType": kind})
                if kind in ("SWAP", "FUTURES") and ("", kind) not in shared:
                    shared.add(("", kind))
                    args.append({"channel": "liquidation-orders", "instType": kind})
                if kind != "SPOT" and ("index", index_of(name)) not in shared:
                    shared.add(("index", index_of(name)))
                    args.append({"channel": "index-tickers", "instId": index_of(name)})
            url = f"{self.endpoints.ws}/ws/v5/public"
            plans.append(LinkPlan(conn=len(plans) + 1, url=url, books=symbols, subscribe=tuple(_subscriptions(args))))
        return plans

    def resubscribe(self, symbol: str, conn: int = 0) -> Sequence[str]:
        # Sent in order on one socket: the image answers the second request, and updates before it are not looked at.
        args = [{"channel": BOOK, "instId": symbol}]
        return tuple(orjson.dumps({"op": op, "args": args}).decode() for op in ("unsubscribe", "subscribe"))

    def resubscribe_trades(self, symbol: str, conn: int = 0) -> Sequence[str]:
        args = [{"channel": "trades", "instId": symbol}]
        return tuple(orjson.dumps({"op": op, "args": args}).decode() for op in ("unsubscribe", "subscribe"))

    def unsubscribe(self, symbol: str, conn: int = 0) -> Sequence[str]:
        return self.resubscribe(symbol, conn)[:1]

    def fetch_image(self, symbol: str) -> Fetch:
        """The book by REST, for a comparison by hand: its image comes with the subscription."""
        return Fetch(venue=self.venue, url=f"{self.endpoints.rest}/api/v5/market/books?instId={symbol}&sz=400")

    # -- frames --------------------------------------------------------------------------------------------------------

    def decode(self, frame: Frame) -> list[Message]:
        data = frame.data
        if frame.kind == "http":
            return [Listing(tuple(self._listed(data)))] if "/public/instruments" in frame.url else []
        if data == b"pong":
            return []
        try:
            message = orjson.loads(data)
        except orjson.JSONDecodeError as error:
            found = OF_SYMBOL.search(data[:200])
            raise CodecError(f"no JSON: {error}", data, symbol=found[1].decode() if found else "") from error
        if not isinstance(message, dict):
            raise CodecError("no JSON object", data)
        if "event" in message:
            return self._told(message, frame)
        arg = message.get("arg")
        if not isinstance(arg, dict):
            return []
        channel = str(arg.get("channel"))
        handler = self._by_channel.get(channel)
        if handler is None:
            return []
        return guarded(lambda pushed: handler(arg, pushed, frame), message, data, channel, arg.get("instId"))

    def _told(self, message: dict[str, Any], frame: Frame) -> list[Message]:
        """What is no data: acknowledgements, errors, notices."""
        event, arg = message["event"], message.get("arg")
        if event == "notice":
            return [ClosingSoon()]
        if event == "error":
            error = f"{message.get('code')}: {message.get('msg')}"
            if STATE_CHANNEL in error:
                return []  # it is not offered here, and no stream is missing
            named = tuple(NAMED.findall(error))
            return [Answer(request_id=_request_id(message), error=error, symbols=named, gone=NO_SUCH in error)]
        if event not in ("subscribe", "unsubscribe"):
            return []
        if event == "subscribe" and isinstance(arg, dict):
            self._fresh.add((frame.conn, str(arg.get("channel")), str(arg.get("instId") or arg.get("instType"))))
        name = arg.get("instId") if isinstance(arg, dict) else None
        return [Answer(request_id=_request_id(message), symbols=(name,) if isinstance(name, str) else ())]

    def _old_before(self, frame: Frame, channel: str, name: str) -> int:
        """Before this time a message is history: only ever in the first push of a subscription."""
        first = (frame.conn, channel, name)
        if first not in self._fresh:
            return 0
        self._fresh.remove(first)
        return frame.recv_ns - NS_PER_S

    # -- the book ------------------------------------------------------------------------------------------------------

    def _book(self, arg: dict[str, Any], message: dict[str, Any], frame: Frame) -> Iterable[Message]:
        symbol, action, entries = text(arg["instId"]), message["action"], message["data"]
        if action not in ("snapshot", "update"):
            raise ValueError(f"action {action!r}")
        for entry in entries:
            rows = Rows(len(entry["bids"]) + len(entry["asks"]))
            self._symbols.add(rows, symbol, entry["bids"])
            rows.end_bids()
            self._symbols.add(rows, symbol, entry["asks"])
            total = self._with_texts((frame.conn, symbol), entry, rows, anew=action == "snapshot")
            # Recordings of 2022 have no ids. All equal, they follow each other, and the checksum is the proof.
            last_id, event_ns = whole(entry.get("seqId", 0)), ms(entry["ts"])
            if action == "snapshot":
                yield Image(
                    symbol=symbol,
                    last_id=last_id,
                    event_ns=event_ns,
                    rows=rows,
                    checked=total is not None,
                    checksum=total,
                )
            else:
                diff = Diff(rows)
                diff.symbol, diff.event_ns, diff.checked, diff.checksum = symbol, event_ns, total is not None, total
                diff.first_id = diff.last_id = last_id
                diff.prev_id = whole(entry.get("prevSeqId", 0))
                yield diff

    def _with_texts(self, of: tuple[int, str], entry: dict[str, Any], rows: Rows, *, anew: bool) -> Sum | None:
        """Keep what a checksum is made of, where there is one; what is to be compared, if this message has one."""
        checksum = entry.get("checksum", 0)
        if anew and checksum:
            self._texts.begin(of)
        elif anew:
            self._texts.forget(of)
        return self._texts.saw(of, rows, [*entry["bids"], *entry["asks"]], checksum)

    def verify(self, message: Diff | Image, book: Book) -> bool:
        return cast("Sum", message.checksum).holds(book)

    # -- trades and context --------------------------------------------------------------------------------------------

    def _prints(self, arg: dict[str, Any], message: dict[str, Any], frame: Frame) -> Iterable[Message]:
        old_before_ns = self._old_before(frame, "trades", text(arg["instId"]))
        for entry in message["data"]:
            symbol, event_ns = text(entry["instId"]), ms(entry["ts"])
            px = self._symbols.px(symbol, entry["px"])
            yield Print(
                symbol=symbol,
                stream="trades",
                px=px,
                size=self._symbols.size(symbol, entry["sz"], px),
                sign=SIGNS[entry["side"]],
                trade_id=int(entry["tradeId"]),
                event_ns=event_ns,
                why_not="history" if event_ns < old_before_ns else "",
            )

    def _mark(self, _: dict[str, Any], message: dict[str, Any], __: Frame) -> Iterable[Message]:
        for entry in message["data"]:
            symbol = text(entry["instId"])
            mark = self._marks[symbol] = rate(entry["markPx"])
            yield Context(symbol=symbol, event_ns=ms(entry["ts"]), mark=mark)

    def _index(self, _: dict[str, Any], message: dict[str, Any], __: Frame) -> Iterable[Message]:
        for entry in message["data"]:
            event_ns, index = ms(entry["ts"]), rate(entry["idxPx"])
            for symbol in self._by_index.get(text(entry["instId"]), ()):
                yield Context(symbol=symbol, event_ns=event_ns, mark=self._marks.get(symbol), index=index)

    def _funding(self, _: dict[str, Any], message: dict[str, Any], frame: Frame) -> Iterable[Message]:
        for entry in message["data"]:
            symbol, at_ms, after_ms = text(entry["instId"]), int(entry["fundingTime"]), entry.get("nextFundingTime")
            yield Context(
                symbol=symbol,
                event_ns=ms(entry["ts"]) if "ts" in entry else frame.recv_ns,
                mark=self._marks.get(symbol),
                funding_rate=rate(entry["fundingRate"]),
                funding_interval_h=(int(after_ms) - at_ms) / MS_PER_HOUR if after_ms else None,
                next_funding_ns=at_ms * NS_PER_MS,
            )

    def _interest(self, _: dict[str, Any], message: dict[str, Any], __: Frame) -> Iterable[Message]:
        for entry in message["data"]:
            symbol = text(entry["instId"])
            yield Context(
                symbol=symbol,
                event_ns=ms(entry["ts"]),
                mark=self._marks.get(symbol),
                open_interest=rate(entry["oiCcy"]),  # in coins; ``oi`` is in contracts
            )

    def _forced(self, arg: dict[str, Any], message: dict[str, Any], frame: Frame) -> Iterable[Message]:
        """One stream for all instruments of a type: those that we do not follow are passed over."""
        old_before_ns = self._old_before(frame, "liquidation-orders", text(arg["instType"]))
        for entry in message["data"]:
            symbol = text(entry["instId"])
            for order in entry["details"] if symbol in self._ours else ():
                event_ns = ms(order["ts"])
                if event_ns < old_before_ns:
                    continue
                px = self._symbols.px(symbol, order["bkPx"])
                size = self._symbols.size(symbol, order["sz"], px)
                yield Forced(symbol=symbol, event_ns=event_ns, px=px, size=size, sign=SIGNS[order["side"]])

    def _states(self, _: dict[str, Any], message: dict[str, Any], frame: Frame) -> Iterable[Message]:
        """All instruments of a type at first, then those that changed: what is said of ours, if it is news."""
        for entry in message["data"]:
            symbol, state = text(entry["instId"]), text(entry["state"])
            known = (frame.conn, symbol)
            if symbol in self._ours and (state != "live") != (known in self._halted):
                (self._halted.discard if state == "live" else self._halted.add)(known)
                yield Trading(symbol=symbol, state="trading" if state == "live" else "halted", why=state)

    # -- REST ----------------------------------------------------------------------------------------------------------

    def _listed(self, data: bytes) -> Iterable[Instrument]:
        try:
            for one in orjson.loads(data)["data"]:
                yield self._listing(one)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise CodecError(f"instruments: {type(error).__name__} {error}", data, channel="instruments") from error

    def _listing(self, one: dict[str, Any]) -> Instrument:
        base, quote, *rest = text(one["instId"]).split("-")
        symbol = (
            f"{base}/{quote}" if one["instType"] == "SPOT" else "-".join([f"{base}/{quote}:{one['settleCcy']}", *rest])
        )
        tick = one["tickSz"]
        return Instrument(
            venue=self.venue,
            symbol=symbol.removesuffix("-SWAP"),
            venue_symbol=one["instId"],
            base=base,
            quote=quote,
            tick=tick,
            lot=one["lotSz"],
            price_scale=max(8, len(tick.partition(".")[2])),
            contract_size=float(one["ctVal"] or 1) * float(one["ctMult"] or 1),
            inverse=one["ctType"] == "inverse",
            active=one["state"] == "live",
        )


def kind_of(symbol: str) -> str:
    """The type of an instrument by its name: ``BTC-USDT``, ``-SWAP``, ``-260327``, ``-250328-92000-C``."""
    parts = symbol.split("-")
    if parts[-1] == "SWAP":
        return "SWAP"
    return {1: "SPOT", 2: "SPOT", 3: "FUTURES"}.get(len(parts), "OPTION")


def index_of(symbol: str) -> str:
    """The name of an instrument's index; families such as ``BTC-USD_UM`` share that of ``BTC-USD``."""
    base, quote = [*symbol.split("-"), ""][:2]
    return f"{base}-{quote.partition('_')[0]}"


def _subscriptions(args: Sequence[dict[str, str]]) -> Iterable[str]:
    for start in range(0, len(args), SUBSCRIBE_AT_ONCE):
        number = str(start // SUBSCRIBE_AT_ONCE + 1)
        part = list(args[start : start + SUBSCRIBE_AT_ONCE])
        yield orjson.dumps({"id": number, "op": "subscribe", "args": part}).decode()


def _request_id(message: dict[str, Any]) -> int:
    told = message.get("id")
    return int(told) if isinstance(told, str) and told.isdecimal() else 0
