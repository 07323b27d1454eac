"""Bitget: spot and futures margined in USDT, USDC or coins on one public socket. All that is Bitget's own is here.

Sources: Bitget API documents, "UTA" (v3) websocket introduction and depth channel, and their v2 pages (stored copies of
2025 and 2026); ccxt 4.5.90 ``pro/bitget.py`` (2026-11); tardis-node ``mappers/bitget.ts`` (2026-08) and its frames of
2024 (v2) and 2026-04 (v3); recorded frames of 2022 (v1).

========================  ==========================================  =================================================
frame                     what we do                                  source
========================  ==========================================  =================================================
``books`` snapshot        Image; begins the book anew at any time     UTA depth channel; tardis-node 2026
``books`` update          Diff; ``pseq`` is the ``seq`` before it     likewise. ``pseq`` 0: the numbers begin anew after
                                                                      a release. Without an image the book is asked for
                                                                      again (Gone, a reset)
``checksum`` of v3        a proof besides the chain, of a book of     the documents say always 0; a spot frame of
                          which it was right once                     2026-04 has a value, so it may be that of v2
``publicTrade``           Print; ``S`` is the taker's. The snapshot   UTA; tardis-node 2026
                          of a subscription is history
``ticker``                Context (futures)                           UTA; tardis-node 2026. No ``nextFundingTime`` (or
                                                                      0): a dated contract, which has no funding
``liquidation``           Forced; ``side`` is that of the position,   tardis-node 2026. ``amount`` is in the quote coin:
                          so the order is the opposite                over ``price`` it gives whole lots in its frames
``books1``, ``books5``,   nothing                                     not subscribed: whole images of few levels
``books15``, ``books50``
``event`` subscribe,      Answer                                      v2 recorded 2024; ccxt
unsubscribe, error
``pong``                  nothing                                     introduction: text, no JSON
v2 ``books``              as ``books``, without ids: the checksum of  recorded 2022 (v1), 2024 (v2); recordings only.
                          the best 25 levels is the proof where it    The snapshot's is 0 or not there
                          is not 0
v2 ``trade``, ``ticker``  as ``publicTrade`` and ``ticker``; v1       likewise
                          trades are lists without an id
========================  ==========================================  =================================================

Sizes are base coins everywhere, also of coin-margined futures: their sizes and volumes in the frames of 2024 are
``0.246`` and ``7543.376`` at a price of 72,000. Liquidations of those were never seen and are not asked for. Spot and
futures share names, so a book is known by family and name; the family follows from the unified symbol.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

import orjson
from msgspec import Struct

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
    Gone,
    Image,
    Keepalive,
    Limits,
    LinkPlan,
    Print,
    Source,
)
from imbalanced.venues.diff import Diff
from imbalanced.venues.scan import size_from_text
from imbalanced.venues.symbols import Symbols
from imbalanced.venues.texts import LevelTexts, Of, Sum
from imbalanced.venues.wire import NS_PER_MS, SIGNS, guarded, json_object, ms, rate, text, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from imbalanced.book import Book
    from imbalanced.events import Frame, Instrument
    from imbalanced.venues.codec import Message

BOOK, TRADES, TICKER, LIQUIDATIONS = "books", "publicTrade", "ticker", "liquidation"
SPOT, USDT, USDC, COIN = "spot", "usdt-futures", "usdc-futures", "coin-futures"
CHANNELS = {
    SPOT: (BOOK, TRADES),
    USDT: (BOOK, TRADES, TICKER),
    USDC: (BOOK, TRADES, TICKER),
    COIN: (BOOK, TRADES, TICKER),
}
MOST_CHANNELS = max(len(channels) for channels in CHANNELS.values())
# One stream for all instruments of the family.
FORCED_IN = (USDT, USDC)
SUBSCRIBE_AT_ONCE = 20
# v1 called the families so; "mc" were all futures.
FAMILIES = {"sp": SPOT}
OF_SYMBOL = re.compile(rb'"(?:symbol|instId)":\s*"([A-Za-z0-9_-]{1,60})"')
OF_FAMILY = re.compile(rb'"instType":\s*"([A-Za-z-]{1,20})"')
ACTIONS = ("snapshot", "update")

# 1,000 channels a socket are allowed and 50 advised; 10 messages a second and 240 requests an hour a socket.
LIMITS = Limits(
    messages_per_s=5.0,
    weight_per_min=600,
    streams_per_socket=50,
    peer_silence_s=60.0,
    subscriptions_per_hour=240,
)


class Product(Struct, frozen=True, kw_only=True):
    """Bitget as a line of the table."""

    endpoints: Endpoints
    ccxt: CcxtSpec
    provides: tuple[str, ...]

    def codec(self, venue: str, endpoints: Endpoints | None = None) -> BitgetCodec:
        """A codec for one run; ``endpoints`` replaces the public hosts."""
        return BitgetCodec(venue, endpoints or self.endpoints)


ALL = Product(
    endpoints=Endpoints(rest="https://api.bitget.com", ws="wss://ws.bitget.com"),
    ccxt=CcxtSpec(exchange_id="bitget", options={"uta": True}, base_sizes=True, family="category"),
    provides=("book", "trade", "funding", "oi", "liquidation"),
)


class BitgetCodec:
    """Bitget: frames to messages, subscriptions, proof, limits."""

    def __init__(self, venue: str, endpoints: Endpoints) -> None:
        self.venue = venue
        self.endpoints = endpoints
        self.continuity = Continuity(chain=Chain.PREVIOUS, source=Source.STREAM)
        self.limits = LIMITS
        # The venue closes a socket on which no ping came for two minutes.
        self.keepalive: Keepalive | None = Keepalive(every_s=30.0, text="ping")
        self.checks: tuple[str, ...] = ("sequence",)
        self.trades_count_up = False  # ids are times with a counter
        self._symbols = Symbols(venue)
        self._by_wire: dict[tuple[str, str], str] = {}
        self._texts = LevelTexts()
        self._conn = 0
        self._agreed: set[str] = set()
        self._on_trial: set[str] = set()
        self._by_channel: dict[str, Callable[[dict[str, Any], dict[str, Any]], Iterable[Message]]] = {
            BOOK: self._book,
            TRADES: self._prints,
            "trade": self._prints,
            TICKER: self._ticker,
            LIQUIDATIONS: self._forced,
        }

    # -- instruments and subscriptions ---------------------------------------------------------------------------------

    def know(self, instrument: Instrument) -> None:
        self._symbols.know(instrument)
        if instrument.venue_symbol not in self._by_wire.values():
            self._by_wire[wire_of(instrument)] = instrument.venue_symbol

    def infer(self, symbol: str) -> Instrument:
        return self._symbols.infer(symbol)

    def opened(self, conn: int) -> None:
        self._texts.opened(conn)

    def plan(self, instruments: Sequence[Instrument]) -> list[LinkPlan]:
        plans: list[LinkPlan] = []
        shared: set[str] = set()
        at_once = (self.limits.streams_per_socket - len(FORCED_IN)) // MOST_CHANNELS
        for start in range(0, len(instruments), at_once):
            part = instruments[start : start + at_once]
            wires = [wire_of(one) for one in part]
            args = [_arg(family, topic, name) for family, name in wires for topic in CHANNELS[family]]
            for family in dict.fromkeys(family for family, _ in wires):
                if family in FORCED_IN and family not in shared:
                    shared.add(family)
                    args.append({"instType": family, "topic": LIQUIDATIONS})
            asked = tuple(
                _request("subscribe", args[i : i + SUBSCRIBE_AT_ONCE]) for i in range(0, len(args), SUBSCRIBE_AT_ONCE)
            )
            books = tuple(one.venue_symbol for one in part)
            url = f"{self.endpoints.ws}/v3/ws/public"
            plans.append(LinkPlan(conn=len(plans) + 1, url=url, books=books, subscribe=asked))
        return plans

    def resubscribe(self, symbol: str, conn: int = 0) -> Sequence[str]:
        # Sent in order on one socket: the image answers the second request, and updates before it are not looked at.
        family, name = wire_of(self._symbols.infer(symbol))
        args = [_arg(family, BOOK, name)]
        return (_request("unsubscribe", args), _request("subscribe", args))

    def resubscribe_trades(self, symbol: str, conn: int = 0) -> Sequence[str]:
        family, name = wire_of(self._symbols.infer(symbol))
        args = [_arg(family, TRADES, name)]
        return (_request("unsubscribe", args), _request("subscribe", args))

    def unsubscribe(self, symbol: str, conn: int = 0) -> Sequence[str]:
        return self.resubscribe(symbol, conn)[:1]

    def fetch_image(self, symbol: str) -> Fetch:
        """The book by REST, for a comparison by hand: its image comes with the subscription."""
        family, name = wire_of(self._symbols.infer(symbol))
        path = f"/api/v3/market/orderbook?category={family.upper()}&symbol={name}"
        return Fetch(venue=self.venue, url=self.endpoints.rest + path)

    def verify(self, message: Diff | Image, book: Book) -> bool:
        symbol = message.symbol
        if cast("Sum", message.checksum).holds(book):
            self._agreed.add(symbol)
            return True
        return symbol in self._on_trial and symbol not in self._agreed

    # -- frames --------------------------------------------------------------------------------------------------------

    def decode(self, frame: Frame) -> list[Message]:
        data = frame.data
        self._conn = frame.conn
        if frame.kind == "http" or data == b"pong":
            return []
        try:
            message = json_object(data)
        except CodecError as error:
            raise CodecError(error.why, data, symbol=self._guess(data)) from error
        arg = message.get("arg")
        if "event" in message:
            return [self._answer(message, arg if isinstance(arg, dict) else {})]
        if not isinstance(arg, dict):
            return []
        channel = str(arg.get("topic") or arg.get("channel"))
        handler = self._by_channel.get(channel)
        if handler is None:
            return []
        return guarded(lambda pushed: handler(arg, pushed), message, data, channel, self._named(arg))

    def _answer(self, message: dict[str, Any], arg: dict[str, Any]) -> Message:
        """Acknowledgements name what was asked for, errors also why not."""
        if message["event"] != "error":
            return Answer(request_id=0)
        about = [str(arg[key]) for key in ("instType", "topic", "channel", "symbol", "instId") if key in arg]
        error = f"{' '.join(about)} {message.get('code')}: {message.get('msg')}".lstrip()
        return Answer(request_id=0, error=error, symbols=tuple(filter(None, (self._named(arg),))))

    def _guess(self, data: bytes) -> str:
        """Whose frame this is, if that can be read from its beginning."""
        name, family = OF_SYMBOL.search(data[:200]), OF_FAMILY.search(data[:200])
        return self._named({"symbol": name[1].decode(), "instType": family[1].decode()}) if name and family else ""

    def _named(self, arg: dict[str, Any]) -> str:
        """The book that a message names, if it names one."""
        name = str(arg.get("symbol") or arg.get("instId") or "")
        return self._by_wire.get((_family(str(arg.get("instType"))), name), name)

    def _of(self, arg: dict[str, Any]) -> str:
        """The book of a message by our name for it; one that was never introduced gets its own, if that is free."""
        family, name = _family(text(arg["instType"])), text(arg.get("symbol") or arg["instId"])
        symbol = self._by_wire.get((family, name))
        if symbol is None:
            symbol = f"{family}/{name}" if name in self._by_wire.values() else name
            self._by_wire[family, name] = symbol
        return symbol

    # -- the book ------------------------------------------------------------------------------------------------------

    def _book(self, arg: dict[str, Any], message: dict[str, Any]) -> Iterable[Message]:
        symbol, action, data = self._of(arg), message["action"], message["data"]
        if action not in ACTIONS:
            raise ValueError(f"action {action!r}")
        anew, chained = action == "snapshot", "topic" in arg
        # Tokenised stocks come without the list (ccxt).
        for entry in data if isinstance(data, list) else [data]:
            bids, asks = (entry["b"], entry["a"]) if chained else (entry["bids"], entry["asks"])
            rows = Rows(len(bids) + len(asks))
            self._symbols.add(rows, symbol, bids)
            rows.end_bids()
            self._symbols.add(rows, symbol, asks)
            # v2 has no ids. All equal, they follow each other, and the checksum is the proof.
            last_id, prev_id = (whole(entry["seq"]), whole(entry["pseq"])) if chained else (0, 0)
            event_ns = ms(entry["ts"])
            if chained and prev_id == 0 and not anew:
                yield Gone(symbol=symbol, why=f"the numbers began anew at {last_id} without an image")
                continue
            of = (self._conn, symbol)
            self._expect_texts(of, anew=anew, chained=chained, checksum=entry.get("checksum"))
            total = self._texts.saw(of, rows, [*bids, *asks], entry.get("checksum"))
            if anew:
                yield Image(
                    symbol=symbol,
                    last_id=last_id,
                    event_ns=event_ns,
                    rows=rows,
                    checked=total is not None,
                    checksum=total,
                )
                continue
            diff = Diff(rows)
            diff.symbol, diff.event_ns, diff.checked, diff.checksum = symbol, event_ns, total is not None, total
            diff.first_id = diff.last_id = last_id
            diff.prev_id = prev_id
            yield diff

    def _expect_texts(self, of: Of, *, anew: bool, chained: bool, checksum: object) -> None:
        """Whether this book has checksums. With a chain it need not, and its texts would be kept for nothing."""
        if anew:
            self._texts.begin(of)
            (self._on_trial.add if chained else self._on_trial.discard)(of[1])
        elif chained and not checksum:
            self._texts.forget(of)

    # -- trades and context --------------------------------------------------------------------------------------------

    def _prints(self, arg: dict[str, Any], message: dict[str, Any]) -> Iterable[Message]:
        symbol, action = self._of(arg), message["action"]
        if action not in ACTIONS:
            raise ValueError(f"action {action!r}")
        # The newest comes first.
        told = [_fields(entry) for entry in reversed(message["data"])]
        for at_ms, price, size, side, number in sorted(told, key=lambda one: (ms(one[0]), one[4])):
            px = self._symbols.px(symbol, price)
            yield Print(
                symbol=symbol,
                stream="trades",
                px=px,
                size=self._symbols.size(symbol, size, px),
                sign=SIGNS[side],
                trade_id=number,
                event_ns=ms(at_ms),
                why_not="history" if action == "snapshot" else "",
            )

    def _ticker(self, arg: dict[str, Any], message: dict[str, Any]) -> Iterable[Message]:
        symbol = self._of(arg)
        for entry in message["data"]:
            next_ms = whole(entry.get("nextFundingTime") or 0)
            context = Context(
                symbol=symbol,
                event_ns=ms(entry.get("ts") or message["ts"]),
                mark=_rate(entry.get("markPrice")),
                index=_rate(entry.get("indexPrice")),
                funding_rate=_rate(entry.get("fundingRate")) if next_ms else None,
                next_funding_ns=next_ms * NS_PER_MS if next_ms else None,
                open_interest=_rate(entry.get("openInterest", entry.get("holdingAmount"))),
            )
            if (context.mark, context.index, context.open_interest) != (None, None, None):
                yield context

    def _forced(self, arg: dict[str, Any], message: dict[str, Any]) -> Iterable[Message]:
        """One stream for all instruments of a family: those that we do not follow are passed over."""
        family = _family(text(arg["instType"]))
        for order in message["data"] if message["action"] == "update" and family in FORCED_IN else ():
            symbol = self._by_wire.get((family, text(order["symbol"])))
            if symbol is None:
                continue
            # A mean price has more decimals than the grid: they are cut.
            scale = self._symbols.of(symbol, order["price"]).price_scale
            before, _, decimals = text(order["price"]).partition(".")
            px = self._symbols.px(symbol, f"{before}.{decimals[:scale]}")
            size = size_from_text(order["amount"]) * 10.0**scale / px
            yield Forced(symbol=symbol, event_ns=ms(order["ts"]), px=px, size=size, sign=-SIGNS[order["side"]])


def wire_of(instrument: Instrument) -> tuple[str, str]:
    """Family and name of an instrument on the socket: the family by its unified symbol, which names what it settles in
    (``BTC/USDT``, ``BTC/USDT:USDT``, ``BTC/USDC:USDC``, ``BTC/USD:BTC-260327``).
    """
    pair, _, settled = instrument.symbol.partition(":")
    coin = settled.partition("-")[0]
    family = {"": SPOT, "USDC": USDC, pair.partition("/")[0]: COIN}.get(coin, USDT)
    return family, instrument.venue_symbol.rpartition("/")[2]


def _family(told: str) -> str:
    """The family of a message in the words of v3, which writes in small what v2 wrote in capitals."""
    return FAMILIES.get(told.lower(), told.lower())


def _arg(family: str, topic: str, name: str) -> dict[str, str]:
    return {"instType": family, "topic": topic, "symbol": name}


def _request(op: str, args: Sequence[dict[str, str]]) -> str:
    return orjson.dumps({"op": op, "args": list(args)}).decode()


def _fields(entry: Any) -> tuple[Any, Any, Any, Any, int]:
    """Time, price, size, side, id (-1: it has none) of a trade in any of the three versions."""
    if isinstance(entry, list):
        return entry[0], entry[1], entry[2], entry[3], -1
    if "i" in entry:
        return entry["T"], entry["p"], entry["v"], entry["S"], whole(entry["i"])
    return entry["ts"], entry["price"], entry["size"], entry["side"], whole(entry["tradeId"])


def _rate(value: object) -> float | None:
    return rate(value) if value else None
