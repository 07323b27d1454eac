"""Simulated Binance: spot, Binance.US, USD-M and COIN-M futures. The door of the Binance room.

Answers as the venue does, its traps included. Sources: binance-spot-api-docs of 2026-07 (limits, error texts, stream
names), the derivatives pages of developers.binance.com (routed endpoints since 2026-04-23, weights, stream names).
Texts of market data are `binance_wire.py`, instruments `binance_info.py`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from imbalanced.sim import binance_info
from imbalanced.sim.binance_info import INVERSE, LINEAR, SPOT, Family
from imbalanced.sim.binance_wire import FuturesWire, SpotWire, compact, error_text, reply
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
    Recorded,
    RecordedFrame,
    RecordedInfo,
    RecordedSnapshot,
    Request,
    Send,
    Stream,
    StreamKind,
    Wire,
)

SPOT_LIMITS = Limits(20, 60, 86_400, 600, inbound_per_s=5, max_streams=1024, weight_per_minute=SPOT.weight_per_minute)
FUTURES_LIMITS = Limits(180, 600, 86_400, 0, inbound_per_s=10, max_streams=200, weight_per_minute=2400)

Channel = tuple[StreamKind, int]
_TRADING: dict[str, Channel] = {"aggTrade": ("agg_trade", 0), "trade": ("trade", 0), "bookTicker": ("bbo", 0)}
_SPOT_CHANNELS: dict[str, Channel] = {**_TRADING, "depth": ("depth", 1000), "depth@100ms": ("depth", 100)}
_FUTURES_CHANNELS: dict[str, Channel] = {
    **_TRADING,
    "depth": ("depth", 250),
    "depth@500ms": ("depth", 500),
    "depth@100ms": ("depth", 100),
    "depth@0ms": ("depth", 0),  # real time; not on the page, but recorders and ccxt use it
    "markPrice": ("mark", 3000),
    "markPrice@1s": ("mark", 1000),
    "forceOrder": ("liquidation", 1000),
}
_ALL_CHANNELS: dict[str, Channel] = {"!bookTicker": ("bbo", 0), "!forceOrder@arr": ("liquidation", 1000)}

_EVERY: frozenset[StreamKind] = frozenset({"depth", "trade", "agg_trade", "bbo", "mark", "liquidation"})
_PUBLIC: frozenset[StreamKind] = frozenset({"depth", "bbo", "trade"})
_ROUTES: dict[str, frozenset[StreamKind]] = {"public": _PUBLIC, "market": _EVERY - _PUBLIC}

_METHODS = "`SUBSCRIBE`, `UNSUBSCRIBE`, `LIST_SUBSCRIPTIONS`, `SET_PROPERTY`, `GET_PROPERTY`"
_COMBINED = re.compile(r'\s*\{\s*"stream"\s*:\s*"([^"]+)"\s*,\s*"data"\s*:\s*')
_LAST_ID = re.compile(r'("lastUpdateId"\s*:\s*)(\d+)')
_EVENTS = {"depthUpdate": "depth", "markPriceUpdate": "markPrice@1s"}  # others are called like their stream


SymbolAnswer = Callable[[Request, Feed, str, int], tuple[int, str]]


class RequestRefused(ValueError):
    """A websocket request the venue answers with an error: its code and text."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class BinanceDesk:
    """One socket. Everything asked for is acknowledged; `served` says what this socket really delivers."""

    tick_ms = 0  # pings are PINGs: the server's

    def __init__(self, venue: BinanceVenue, combined: bool, served: frozenset[StreamKind]) -> None:
        self._names: dict[str, Stream | None] = {}
        self._venue = venue
        self._combined = combined
        self._served = served

    @property
    def subscriptions(self) -> Mapping[str, Stream | None]:
        return self._names

    def opened(self, now_ms: int) -> Sequence[Command]:
        return ()

    def due(self, alive_ms: int) -> Sequence[Command]:
        return ()

    def spoil(self, text: str) -> str:
        return text

    def receive(self, text: str, now_ms: int) -> Sequence[Command]:
        try:
            asked = json.loads(text)
        except ValueError as error:
            return [Send(compact({"code": 3, "msg": f"Invalid JSON: {error}"}))]
        if not isinstance(asked, dict):
            return [Send(compact({"code": 2, "msg": "Invalid request: expected an object"}))]
        id_ = asked.get("id")
        try:
            if isinstance(id_, bool) or not (id_ is None or isinstance(id_, int | str)):
                raise RequestRefused(2, "Invalid request: request ID must be an integer, a string or null")
            return [Send(reply(id_, {"result": self._request(asked)}))]
        except RequestRefused as refused:
            return [Send(reply(id_, {"code": refused.code, "msg": str(refused)}))]

    def envelope(self, name: str, frame: Frame) -> str:
        if not self._combined:
            return frame.payload
        return frame.whole or f'{{"stream":"{name}","data":{frame.payload}}}'

    def subscribe(self, names: Sequence[str]) -> None:
        if len(self._names.keys() | set(names)) > self._venue.limits.max_streams:
            most = self._venue.limits.max_streams
            raise RequestRefused(2, f"Invalid request: too many streams, at most {most} per connection")
        for name in names:
            stream = self._venue.parse(name)
            self._names[name] = stream if stream is not None and stream.kind in self._served else None

    def notice(self, now_ms: int) -> str:
        payload = f'{{"e":"serverShutdown","E":{now_ms}}}'
        return f'{{"stream":"!serverShutdown","data":{payload}}}' if self._combined else payload

    def _request(self, asked: Mapping[str, object]) -> object:
        method = asked.get("method")
        if method is None:
            raise RequestRefused(2, "Invalid request: missing field `method` at line 1 column 1")
        params = asked.get("params", [])
        if not isinstance(params, list):
            raise RequestRefused(2, "Invalid request: params must be a list")
        if method == "LIST_SUBSCRIPTIONS":
            return list(self._names)
        if method == "SET_PROPERTY":
            self._set_property(params)
            return None
        if method == "GET_PROPERTY":
            return self._combined
        if method not in ("SUBSCRIBE", "UNSUBSCRIBE"):
            raise RequestRefused(2, f"Invalid request: unknown variant {method}, expected one of {_METHODS}")
        if not params or not all(isinstance(name, str) for name in params):
            raise RequestRefused(2, "Invalid request: params must be a list of stream names")
        if method == "SUBSCRIBE":
            self.subscribe(params)
        else:
            for name in params:
                self._names.pop(name, None)
        return None

    def _set_property(self, params: Sequence[object]) -> None:
        match params:
            case ["combined", bool(value)]:
                self._combined = value
            case ["combined", _]:
                raise RequestRefused(1, "Invalid value type: expected Boolean")
            case _:
                raise RequestRefused(0, "Unknown property")


@dataclass(frozen=True)
class BinanceVenue:
    """One product line under one venue id."""

    id: str
    family: Family
    limits: Limits
    wire: Wire
    prefix: str  # of REST paths

    # --- websocket

    def connect(self, path: str, query: Mapping[str, str], feed: Feed) -> Desk | None:
        parts = path.strip("/").split("/")
        served = _EVERY
        if self.family is not SPOT and parts[0] in _ROUTES:
            served = _ROUTES[parts.pop(0)]
        elif self.family is LINEAR:
            # The trap of 2026: an unrouted socket acknowledges everything and delivers only /public streams.
            served = _PUBLIC
        if not parts or parts[0] not in ("ws", "stream"):
            return None
        combined = parts[0] == "stream"
        if combined and len(parts) > 1:
            return None
        desk = BinanceDesk(self, combined, served)
        names = query.get("streams", "").split("/") if combined else parts[1:]
        try:
            desk.subscribe([name for name in names if name])
        except RequestRefused:
            return None
        return desk

    def parse(self, name: str) -> Stream | None:
        """A stream name; None for what does not exist, wrong case included: the venue acknowledges it all the same."""
        channels = _SPOT_CHANNELS if self.family is SPOT else _FUTURES_CHANNELS
        if name in _ALL_CHANNELS:
            kind, interval = _ALL_CHANNELS[name]
            return Stream(ALL_SYMBOLS, kind, interval)
        symbol, _, tail = name.partition("@")
        if tail not in channels or symbol != symbol.lower():
            return None
        kind, interval = channels[tail]
        return Stream(symbol.upper(), kind, interval)

    # --- REST

    def rest(self, request: Request, feed: Feed, meter: Meter, now_ms: int) -> Answer:
        wait_s = meter.spend(self._weight(request), now_ms)
        headers = {"x-mbx-used-weight": str(meter.used), "x-mbx-used-weight-1m": str(meter.used)}
        if wait_s:
            text = (
                f"Too much request weight used; current limit is {meter.limit} request weight per 1 MINUTE. "
                "Please use WebSocket Streams for live updates to avoid polling the API."
            )
            return Answer(429, error_text(-1003, text), {**headers, "Retry-After": str(wait_s)})
        status, body = self._answer(request, feed, now_ms)
        return Answer(status, body, headers)

    def snapshot_stream(self, request: Request) -> str | None:
        symbol = request.query.get("symbol", "")
        return f"{symbol.lower()}@depth" if request.path == self.prefix + "depth" and symbol else None

    def _answer(self, request: Request, feed: Feed, now_ms: int) -> tuple[int, str]:
        if self.family is not SPOT and request.path.startswith("/futures/data/"):
            return self._with_symbol(request, feed, now_ms, _account_ratio)
        what = request.path.removeprefix(self.prefix) if request.path.startswith(self.prefix) else ""
        if what == "ping":
            return 200, "{}"
        if what == "time":
            return 200, f'{{"serverTime":{now_ms}}}'
        if what == "exchangeInfo":
            return 200, feed.info(now_ms)
        if what == "depth":
            return self._with_symbol(request, feed, now_ms, self._depth)
        if what == "openInterest" and self.family is not SPOT:
            return self._with_symbol(request, feed, now_ms, _open_interest)
        return 404, error_text(-5000, f"Path {request.path}, Method GET is invalid")

    @staticmethod
    def _with_symbol(
        request: Request,
        feed: Feed,
        now_ms: int,
        then: SymbolAnswer,
    ) -> tuple[int, str]:
        symbol = request.query.get("symbol", "")
        if not symbol:
            message = "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed."
            return 400, error_text(-1102, message)
        if feed.listing(symbol) is None:
            return 400, error_text(-1121, "Invalid symbol.")
        return then(request, feed, symbol, now_ms)

    def _depth(self, request: Request, feed: Feed, symbol: str, now_ms: int) -> tuple[int, str]:
        limit = self._limit(request)
        if limit is None:
            return 400, error_text(-1130, "Data sent for parameter 'limit' is not valid.")
        if self.family is not SPOT and limit not in (5, 10, 20, 50, 100, 500, 1000):
            return 400, error_text(-4021, f"{limit} is not valid depth limit.")
        text = feed.snapshot(symbol, limit, now_ms)
        if text is None:
            return 400, error_text(-1000, "No snapshot of this symbol in the recording.")
        return 200, text

    def _limit(self, request: Request) -> int | None:
        text = request.query.get("limit", "100" if self.family is SPOT else "500")
        if not text.isdecimal() or int(text) < 1:
            return None
        return min(int(text), 5000)

    def _weight(self, request: Request) -> int:
        spot = self.family is SPOT
        if request.path.endswith("/exchangeInfo"):
            return 20 if spot else 1
        if not request.path.endswith("/depth"):
            return 1
        limit = self._limit(request) or 1
        steps = ((100, 5), (500, 25), (1000, 50), (5000, 250)) if spot else ((50, 2), (100, 5), (500, 10), (1000, 20))
        return next((weight for most, weight in steps if limit <= most), steps[-1][1])

    # --- instruments

    def listings(self, symbols: Sequence[str]) -> list[Listing]:
        made = [binance_info.listing(self.family, text) for text in symbols]
        return list({item.symbol: item for item in made}.values())

    def listed(self, info: str, symbols: Sequence[str]) -> tuple[str, list[Listing]]:
        whole = json.loads(info)
        whole["symbols"] = [entry for entry in whole["symbols"] if entry["symbol"] in set(symbols)]
        return compact(whole), [binance_info.read_symbol(self.family, entry) for entry in whole["symbols"]]

    def seen(self, symbol: str, prices: Sequence[str], sizes: Sequence[str]) -> Listing:
        return binance_info.guess(self.family, symbol, prices, sizes)

    # --- recordings

    def recorded(self, url: str, text: str) -> Recorded | None:
        parts = urlsplit(url)
        if parts.path.endswith("/exchangeInfo"):
            return RecordedInfo(text)
        if parts.path.endswith("/depth"):
            symbol = parse_qs(parts.query).get("symbol", [""])[0]
            return RecordedSnapshot(symbol, text) if _LAST_ID.search(text) else None
        envelope = _COMBINED.match(text)
        if envelope is not None:
            name, payload, whole = envelope[1], text[envelope.end() : text.rindex("}")], text
        else:
            name, payload, whole = self._raw_name(text, parts.path), text, ""
        stream = self.parse(name)
        if stream is None:
            return None
        return RecordedFrame(name, Frame(stream, payload, whole))

    def _raw_name(self, text: str, path: str) -> str:
        """The stream of a frame from a raw socket: from its event, the interval from the URL where it is told."""
        payload = json.loads(text)
        if not isinstance(payload, dict) or "s" not in payload:
            return ""
        event = str(payload.get("e", "bookTicker"))
        name = f"{str(payload['s']).lower()}@{_EVENTS.get(event, event)}"
        told = [part for part in path.split("/") if part == name or part.startswith(name + "@")]
        return told[0] if told else name

    def aged(self, snapshot: str) -> str:
        return _LAST_ID.sub(lambda found: found[1] + str(max(1, int(found[2]) - 10**6)), snapshot, count=1)


def _open_interest(request: Request, feed: Feed, symbol: str, now_ms: int) -> tuple[int, str]:
    size = feed.open_interest(symbol, now_ms)
    if size is None:
        return 400, error_text(-1000, "No open interest in the recording.")
    return 200, compact({"openInterest": size, "symbol": symbol, "time": now_ms})


def _account_ratio(request: Request, feed: Feed, symbol: str, now_ms: int) -> tuple[int, str]:
    """Any of the `/futures/data/...Ratio` answers: a slow wave, one value per five minutes."""
    if not request.path.endswith("Ratio") or feed.open_interest(symbol, now_ms) is None:
        return 400, error_text(-1000, "No such data.")
    period = now_ms // 300_000
    longs = 0.52 + 0.06 * math.sin(period / 5 + len(symbol))
    entry = {"symbol": symbol, "longShortRatio": f"{longs / (1 - longs):.4f}", "longAccount": f"{longs:.4f}"}
    return 200, compact([{**entry, "shortAccount": f"{1 - longs:.4f}", "timestamp": period * 300_000}])


BINANCE = BinanceVenue("binance", SPOT, SPOT_LIMITS, SpotWire(), "/api/v3/")
BINANCE_US = BinanceVenue("binance_us", SPOT, SPOT_LIMITS, SpotWire(), "/api/v3/")
BINANCE_USDM = BinanceVenue("binance_usdm", LINEAR, FUTURES_LIMITS, FuturesWire(LINEAR), "/fapi/v1/")
BINANCE_COINM = BinanceVenue("binance_coinm", INVERSE, FUTURES_LIMITS, FuturesWire(INVERSE), "/dapi/v1/")
