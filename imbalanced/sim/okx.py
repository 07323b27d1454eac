"""Simulated OKX v5: the public socket and what REST is needed. The door of the OKX room; texts are `okx_wire.py`.

Sources as there. What it does: acknowledges every channel on its own and refuses what does not exist by name; sends a
book's image only in reply to a subscription; `ping` is answered with `pong`, plain texts both; a link on which nothing
happened for 30 s is cut; more than 480 requests an hour are refused. Unconfirmed: the codes of the cut, of the notice,
of too many requests and of channels out of reach.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from imbalanced.sim.desk import PlainDesk, Silence, json_object
from imbalanced.sim.grids import compact
from imbalanced.sim.okx_wire import (
    BOOKS,
    BOOKS5,
    DEPTH,
    STATES,
    TYPES,
    OkxWire,
    index_of,
    instrument,
    okx_listing,
    states_text,
    type_of,
)
from imbalanced.sim.venue import (
    ALL_SYMBOLS,
    Answer,
    Close,
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
    StreamKind,
)

LIMITS = Limits(0, 0, 0, 60, inbound_per_s=0, max_streams=2000, weight_per_minute=1200)
SILENCE_MS = 30_000
HOUR_MS = 3_600_000
OPS_PER_HOUR = 480
MOST_BYTES = 65_536
CONN_ID = "a4d3ae55"
BOOK = "books"
CHANNELS: dict[str, tuple[StreamKind, int, int]] = {
    BOOK: ("book", *BOOKS),
    "books5": ("image", *BOOKS5),
    "bbo-tbt": ("bbo", 0, 0),
    "trades": ("agg_trade", 0, 0),
    "mark-price": ("mark", 1000, 0),
    "funding-rate": ("funding", 60_000, 0),
    "open-interest": ("interest", 3000, 0),
}
OF_SWAPS = ("mark-price", "funding-rate", "open-interest")
WITH_LOGIN = ("books50-l2-tbt", "books-l2-tbt")


class OkxDesk(PlainDesk):
    """One socket. Subscriptions are called `books:BTC-USDT`."""

    tick_ms = 1000

    def __init__(self, feed: Feed) -> None:
        super().__init__(feed)
        self._silence = Silence(SILENCE_MS)
        self._ops: deque[int] = deque()
        self._alive_ms = 0

    def receive(self, text: str, now_ms: int) -> Sequence[Command]:
        self._silence.broken()
        if text == "ping":
            return [Send("pong")]
        asked = json_object(text)
        op, args = (asked or {}).get("op"), (asked or {}).get("args")
        if asked is None or op not in ("subscribe", "unsubscribe") or not isinstance(args, list) or not args:
            return [self._error("60012", f"Invalid request: {text[:200]}", None)]
        id_ = asked.get("id")
        if len(text) > MOST_BYTES or self._too_often():
            return [self._error("60014", "Requests too frequent", id_)]
        answers: list[Command] = []
        for arg in args:
            answers += self._one(str(op), arg, id_, now_ms)
        return answers

    def due(self, alive_ms: int) -> Sequence[Command]:
        self._alive_ms = alive_ms
        return [Close(4004, "No data received in 30s.")] if self._silence.over(alive_ms) else ()

    def envelope(self, name: str, frame: Frame) -> str:
        self._silence.broken()
        return frame.payload

    def notice(self, now_ms: int) -> str:
        message = "The connection will soon be closed for a service upgrade. Please reconnect."
        return compact({"event": "notice", "code": "64008", "msg": message, "connId": CONN_ID})

    def _too_often(self) -> bool:
        self._ops.append(self._alive_ms)
        while self._ops[0] <= self._alive_ms - HOUR_MS:
            self._ops.popleft()
        return len(self._ops) > OPS_PER_HOUR

    def _one(self, op: str, arg: object, id_: object, now_ms: int) -> list[Command]:
        """One channel of a request."""
        told = arg if isinstance(arg, dict) else {}
        channel = str(told.get("channel"))
        if channel in WITH_LOGIN:
            message = "Your trading fee tier doesn't meet the requirement to access this channel"
            return [self._error("64003", message, id_)]
        stream = self._stream(channel, told)
        named = str(told.get("instId") or told.get("instType"))
        if channel == STATES and named in TYPES:
            return self._states(op, told, id_)
        if stream is None:
            message = (
                f"Wrong URL or channel:{channel},instId:{named} doesn't exist. "
                "Please use the correct URL, channel and parameters referring to API document."
            )
            return [self._error("60018", message, id_)]
        name = f"{channel}:{named}"
        said = {"id": id_} if id_ is not None else {}
        ack = Send(compact({**said, "event": op, "arg": told, "connId": CONN_ID}))
        if op == "subscribe":
            return [ack, *self._begun(name, stream, now_ms)]
        self._names.pop(name, None)
        return [ack]

    def _states(self, op: str, arg: Mapping[str, object], id_: object) -> list[Command]:
        """Who of a type trades: all at first."""
        kind, said = str(arg["instType"]), {"id": id_} if id_ is not None else {}
        ack = Send(compact({**said, "event": op, "arg": arg, "connId": CONN_ID}))
        if op == "unsubscribe":
            self._names.pop(f"{STATES}:{kind}", None)
            return [ack]
        self._names[f"{STATES}:{kind}"] = None  # it is no stream of one symbol
        return [ack, Send(states_text(kind, [item for item in self._feed.listings() if type_of(item.symbol) == kind]))]

    def _stream(self, channel: str, arg: Mapping[str, object]) -> Stream | None:
        listings, symbol = self._feed.listings(), str(arg.get("instId"))
        if channel == "liquidation-orders":
            return Stream(ALL_SYMBOLS, "liquidation", 1000) if arg.get("instType") == "SWAP" else None
        if channel == "index-tickers":
            of_index = [item.symbol for item in listings if index_of(item.symbol) == symbol]
            return Stream(of_index[0], "index", 1000) if of_index else None
        if channel not in CHANNELS or self._feed.listing(symbol) is None:
            return None
        if channel in OF_SWAPS and type_of(symbol) != "SWAP":
            return None
        kind, interval_ms, levels = CHANNELS[channel]
        return Stream(symbol, kind, interval_ms, levels)

    @staticmethod
    def _error(code: str, message: str, id_: object) -> Send:
        said = {"id": id_} if id_ is not None else {}
        return Send(compact({**said, "event": "error", "code": code, "msg": message, "connId": CONN_ID}))


@dataclass(frozen=True)
class OkxVenue:
    """The one product: spot and swaps on one socket."""

    id: str = "okx"
    limits: Limits = LIMITS
    wire: OkxWire = field(default_factory=OkxWire)

    def connect(self, path: str, query: Mapping[str, str], feed: Feed) -> Desk | None:
        return OkxDesk(feed) if path == "/ws/v5/public" else None

    def listings(self, symbols: Sequence[str]) -> list[Listing]:
        return list({item.symbol: item for item in map(okx_listing, symbols)}.values())

    def snapshot_stream(self, request: Request) -> str | None:
        name = request.query.get("instId", "")
        return f"{BOOK}:{name}" if request.path == "/api/v5/market/books" and name else None

    def rest(self, request: Request, feed: Feed, meter: Meter, now_ms: int) -> Answer:
        if meter.spend(1, now_ms):
            return Answer(429, compact({"code": "50011", "msg": "Too Many Requests", "data": []}))
        if request.path == "/api/v5/public/time":
            return Answer(200, compact({"code": "0", "msg": "", "data": [{"ts": str(now_ms)}]}))
        if request.path == "/api/v5/public/instruments":
            wanted = request.query.get("instType")
            data = [instrument(item) for item in feed.listings() if type_of(item.symbol) == wanted]
            return Answer(200, compact({"code": "0", "msg": "", "data": data}))
        if request.path == "/api/v5/market/books":
            symbol, size = request.query.get("instId", ""), request.query.get("sz", "1")
            limit = min(int(size), DEPTH) if size.isdecimal() else 1
            text = feed.snapshot(symbol, limit, now_ms) if feed.listing(symbol) else None
            message = "Instrument ID or Spread ID doesn't exist"
            return Answer(200, text or compact({"code": "51001", "msg": message, "data": []}))
        return Answer(404, compact({"code": "404", "msg": "Not Found", "data": {}}))


OKX = OkxVenue()
