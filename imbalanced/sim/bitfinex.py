"""Simulated Bitfinex, WebSocket v2: books by level and by order, a counter over all arrays of a socket, checksums.

Sources: docs.bitfinex.com "WebSocket General", "Books", "Raw Books", "Trades", "Status", "WebSocket Checksum" and
"Configs" (stored 2026-07), the recording of 2021-04, ccxt 4.5 `bitfinex`. Codes of refusals are those of connectors;
their texts, that of a refused `conf` and the reach of a raw book (so many orders a side) are unconfirmed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from imbalanced.sim.bitfinex_wire import BitfinexWire
from imbalanced.sim.desk import PlainDesk, Silence, json_object
from imbalanced.sim.grids import LEVELS, OTHER_LEVEL, asked, compact, listing
from imbalanced.sim.venue import (
    ALL_SYMBOLS,
    Answer,
    Command,
    Desk,
    Feed,
    Frame,
    Limits,
    Listing,
    Meter,
    Request,
    Send,
    Stream,
    Wire,
)

LIMITS = Limits(0, 0, 86_400, 10, inbound_per_s=0, max_streams=25, weight_per_minute=90)
TIMESTAMP, SEQUENCE, CHECKSUM = 32_768, 65_536, 131_072
FLAGS = TIMESTAMP | SEQUENCE | CHECKSUM
RESTARTS = 20051
UNKNOWN_EVENT, FLAGS_FAILED = 10000, 10050
FAILED, TWICE, UNKNOWN_CHANNEL, TOO_MANY, NOT_SUBSCRIBED = 10300, 10301, 10302, 10305, 10400
BAD_PARAMETER, TOO_FAST = 10020, 11010
HEARTBEAT_MS = 15_000
LENGTHS = ("1", "25", "100", "250")
LOT = "0.00000001"
SIGNIFICANT = 5  # digits of a price
LIQUIDATIONS = "liq:global"
CODES = {"USDT": "UST"}  # theirs, of currencies that others know by another name
_CHECKSUM = re.compile(r'("cs",)(-?\d+)')


class Refused(Exception):
    """A request cannot be met: the code and the words of the answer."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code


class BitfinexDesk(PlainDesk):
    """One socket. Subscriptions are called `book:tBTCUSD`, those by order `book:tBTCUSD@R0`."""

    tick_ms = 1000

    def __init__(self, feed: Feed) -> None:
        super().__init__(feed)
        self._flags = 0
        self._count = 0
        self._opened_ms = 0
        self._last_channel = 10_000
        self._channels: dict[str, int] = {}
        self._quiet: dict[str, Silence] = {}

    def opened(self, now_ms: int) -> Sequence[Command]:
        self._opened_ms = now_ms
        about = {"serverId": "083bd8d4-aca7-4690-a573-eabfc8103de8", "platform": {"status": 1}}
        return [Send(compact({"event": "info", "version": 2, **about}))]

    def receive(self, text: str, now_ms: int) -> Sequence[Command]:
        message = json_object(text) or {}
        event = message.get("event")
        try:
            if event == "ping":
                return [Send(compact({"event": "pong", "cid": message.get("cid"), "ts": now_ms}))]
            if event == "conf":
                return [self._conf(message.get("flags"))]
            if event == "subscribe":
                return self._subscribe(message, now_ms)
            if event == "unsubscribe":
                return [self._unsubscribe(message.get("chanId"))]
            raise Refused(UNKNOWN_EVENT, "event: invalid")
        except Refused as why:
            known = ("channel", "symbol", "key", "prec", "freq", "len", "chanId")
            about = {name: message[name] for name in known if name in message}
            return [Send(compact({**about, "event": "error", "msg": str(why), "code": why.code}))]

    def due(self, alive_ms: int) -> Sequence[Command]:
        """A heartbeat in each channel that was silent for long."""
        now_ms = self._opened_ms + alive_ms
        said: list[Command] = []
        for name, quiet in self._quiet.items():
            if quiet.over(alive_ms):
                quiet.broken()
                said.append(Send(self._array(name, '"hb"', str(now_ms))))
        return said

    def envelope(self, name: str, frame: Frame) -> str:
        if frame.payload.startswith("{"):
            return frame.payload
        if frame.payload.startswith('"cs"') and not self._flags & CHECKSUM:
            return ""
        self._quiet[name].broken()
        told, _, sent_ms = frame.payload.rpartition(",")
        return self._array(name, told, sent_ms)

    def notice(self, now_ms: int) -> str:
        why = "Stop/Restart Websocket Server (please reconnect)"
        return compact({"event": "info", "code": RESTARTS, "msg": why})

    def spoil(self, text: str) -> str:
        return _CHECKSUM.sub(lambda found: found[1] + str(int(found[2]) ^ 1), text)

    def _array(self, name: str, told: str, sent_ms: str) -> str:
        """The counter counts every array of the socket, whatever its channel."""
        parts = [str(self._channels[name]), told]
        if self._flags & SEQUENCE:
            self._count += 1
            parts.append(str(self._count))
        if self._flags & TIMESTAMP:
            parts.append(sent_ms)
        return f"[{','.join(parts)}]"

    def _conf(self, flags: object) -> Send:
        if not isinstance(flags, int) or flags & ~FLAGS:
            return Send(compact({"event": "conf", "status": "FAILED", "code": FLAGS_FAILED, "msg": "flags: invalid"}))
        self._flags = flags
        return Send(compact({"event": "conf", "status": "OK", "flags": flags}))

    def _subscribe(self, message: Mapping[str, object], now_ms: int) -> Sequence[Command]:
        channel = str(message.get("channel"))
        if channel not in ("book", "trades", "status"):
            raise Refused(UNKNOWN_CHANNEL, "channel: unknown")
        if channel == "status":
            name, stream, about = self._status(str(message.get("key")))
        else:
            symbol = str(message.get("symbol"))
            if self._feed.listing(symbol) is None:
                raise Refused(FAILED, "symbol: invalid")
            name, stream, about = f"trades:{symbol}", Stream(symbol, "trade"), {}
            if channel == "book":
                name, stream, about = _book(symbol, message)
            about = {"symbol": symbol, **about, "pair": symbol[1:]}
        if name in self._names:
            raise Refused(TWICE, "subscribe: dup")
        if len(self._names) >= LIMITS.max_streams:
            raise Refused(TOO_MANY, "subscribe: limit")
        self._last_channel += 7
        self._channels[name] = self._last_channel
        self._quiet[name] = Silence(HEARTBEAT_MS)
        ack = {"event": "subscribed", "channel": channel, "chanId": self._last_channel, **about}
        return [Send(compact(ack)), *self._begun(name, stream, now_ms)]

    def _status(self, key: str) -> tuple[str, Stream, dict[str, str]]:
        kind, _, symbol = key.partition(":")
        if key == LIQUIDATIONS:
            return f"status:{key}", Stream(ALL_SYMBOLS, "liquidation", 1000), {"key": key}
        if kind != "deriv" or not symbol.endswith("F0") or self._feed.listing(symbol) is None:
            raise Refused(FAILED, "key: invalid")
        return f"status:{key}", Stream(symbol, "mark", 1000), {"key": key}

    def _unsubscribe(self, channel: object) -> Send:
        found = [name for name, id_ in self._channels.items() if id_ == channel]
        if not found:
            raise Refused(NOT_SUBSCRIBED, "unsubscribe: invalid")
        for name in found:
            del self._names[name], self._channels[name], self._quiet[name]
        return Send(compact({"event": "unsubscribed", "status": "OK", "chanId": channel}))


@dataclass(frozen=True)
class BitfinexVenue:
    """Pairs, and perpetuals that are settled in USDT."""

    id: str
    limits: Limits = LIMITS
    wire: Wire = field(default_factory=BitfinexWire)

    def connect(self, path: str, query: Mapping[str, str], feed: Feed) -> Desk | None:
        return BitfinexDesk(feed) if path == "/ws/2" else None

    def listings(self, symbols: Sequence[str]) -> list[Listing]:
        made = [bitfinex_listing(text) for text in symbols]
        return list({item.symbol: item for item in made}.values())

    def snapshot_stream(self, request: Request) -> str | None:
        found = _BOOK_PATH.fullmatch(request.path)
        if found is None:
            return None
        return f"book:{found['symbol']}" + ("@R0" if found["prec"] == "R0" else "")

    def rest(self, request: Request, feed: Feed, meter: Meter, now_ms: int) -> Answer:
        if meter.spend(1, now_ms):
            return _error(429, TOO_FAST, "ratelimit: error")
        kind, _, rest = request.path.removeprefix("/v2/").partition("/")
        if kind == "platform" and rest == "status":
            return Answer(200, "[1]")
        if kind == "conf" and rest:
            return Answer(200, compact([_list(label, feed.listings()) for label in rest.split(",")]))
        found = _BOOK_PATH.fullmatch(request.path)
        if found is None:
            return _error(404, BAD_PARAMETER, "path: invalid")
        return self._book(found["symbol"], found["prec"], request.query.get("len", "25"), feed, now_ms)

    @staticmethod
    def _book(symbol: str, prec: str, length: str, feed: Feed, now_ms: int) -> Answer:
        if feed.listing(symbol) is None:
            return _error(500, BAD_PARAMETER, "symbol: invalid")
        if length not in LENGTHS:
            return _error(500, BAD_PARAMETER, "len: invalid")
        if prec == "P0":
            return Answer(200, feed.snapshot(symbol, int(length), now_ms) or "[]")
        first = feed.begin(Stream(symbol, "orders", 0, int(length)), now_ms)
        return Answer(200, first.payload.rpartition(",")[0] if first is not None else "[]")


_BOOK_PATH = re.compile(r"/v2/book/(?P<symbol>t[A-Z0-9:]+)/(?P<prec>P0|R0)")


def bitfinex_listing(text: str) -> Listing:
    """A pair, or the perpetual of its base where a settlement is asked for. ValueError if the text is no symbol."""
    base, quote, settle = asked(text)
    level = Decimal(LEVELS.get(base, OTHER_LEVEL))
    tick = f"{Decimal(1).scaleb(level.adjusted() - SIGNIFICANT + 1):f}"
    if settle:
        return listing(f"t{base}F0:USTF0", f"{base}/USDT:USDT", (base, "USDT"), (tick, LOT))
    codes = [CODES.get(part, part) for part in (base, quote)]
    name = ("" if all(len(code) == 3 for code in codes) else ":").join(codes)
    return listing(f"t{name}", f"{base}/{quote}", (base, quote), (tick, LOT))


def _book(symbol: str, message: Mapping[str, object]) -> tuple[str, Stream, dict[str, str]]:
    prec, freq, length = (
        str(message.get(name, usual)) for name, usual in (("prec", "P0"), ("freq", "F0"), ("len", 25))
    )
    for name, value, known in (("prec", prec, ("P0", "R0")), ("freq", freq, ("F0",)), ("len", length, LENGTHS)):
        if value not in known:
            raise Refused(FAILED, f"{name}: invalid")
    about = {"prec": prec, "freq": freq, "len": length}
    if prec == "R0":
        return f"book:{symbol}@R0", Stream(symbol, "orders", 0, int(length)), about
    return f"book:{symbol}", Stream(symbol, "book", 0, int(length)), about


def _list(label: str, listings: Sequence[Listing]) -> list[object]:
    """One list of the configuration; empty where nothing of it is simulated."""
    pairs = [item.symbol[1:] for item in listings if "F0:" not in item.symbol]
    perpetuals = [item.symbol[1:] for item in listings if "F0:" in item.symbol]
    if label in ("pub:info:pair", "pub:info:pair:futures"):
        names = perpetuals if label.endswith("futures") else pairs
        return [[name, [None, None, None, "0.00006", "2000.0", *[None] * 3, 0.1, 0.05, None, None]] for name in names]
    if label in ("pub:list:pair:exchange", "pub:list:pair:futures"):
        return list(perpetuals if label.endswith("futures") else pairs)
    return []


def _error(status: int, code: int, why: str) -> Answer:
    return Answer(status, compact(["error", code, why]))


BITFINEX = BitfinexVenue("bitfinex")
BITFINEX_ORDERS = BitfinexVenue("bitfinex_orders")
