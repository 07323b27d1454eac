"""Simulated Bybit v5: linear, inverse and spot, one venue id each. The door of the Bybit room; texts: `bybit_wire.py`.

Sources: bybit-exchange/docs (2026-07-24), "Connect", "Orderbook", "Instruments info"; nautilus test data for refusals.
One topic that does not exist fails the whole request (unconfirmed for the venue; connectors must bear it). The end of
an idle connection comes without a close frame.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from imbalanced.sim.bybit_wire import BOOKS, INVERSE, LINEAR, SPOT, BybitWire, Product, bybit_listing, instrument
from imbalanced.sim.desk import PlainDesk, Silence, json_object
from imbalanced.sim.grids import compact
from imbalanced.sim.venue import (
    Answer,
    Close,
    Command,
    Desk,
    Feed,
    Limits,
    Listing,
    Meter,
    Request,
    Send,
    Stream,
    StreamKind,
)

LIMITS = Limits(0, 0, 0, 0, inbound_per_s=0, max_streams=2000, weight_per_minute=7200)
SILENCE_MS = 600_000
MOST_CHARACTERS = 21_000
SPOT_ARGS = 10
CONN_ID = "cejreq5f5g1s73f2oe4g-2g0k"
ABNORMAL = 1006
OTHERS: dict[str, tuple[StreamKind, int]] = {"publicTrade": ("agg_trade", 0)}
OF_CONTRACTS: dict[str, tuple[StreamKind, int]] = {"tickers": ("mark", 1000), "allLiquidation": ("liquidation", 1000)}


class BybitDesk(PlainDesk):
    """One socket. Subscriptions are called by their topics, `orderbook.200.BTCUSDT`."""

    tick_ms = 1000

    def __init__(self, feed: Feed, product: Product) -> None:
        super().__init__(feed)
        self._product = product
        self._silence = Silence(SILENCE_MS)

    def receive(self, text: str, now_ms: int) -> Sequence[Command]:
        self._silence.broken()
        message = json_object(text)
        op, topics = (message or {}).get("op"), (message or {}).get("args")
        id_ = str((message or {}).get("req_id") or "")
        if op == "ping":
            return [_told(True, "pong", id_, "ping")]
        if message is None or op not in ("subscribe", "unsubscribe"):
            return [_told(False, f"Invalid op: {op}", id_, str(op))]
        if not isinstance(topics, list) or not all(isinstance(topic, str) for topic in topics):
            return [_told(False, "Invalid args", id_, str(op))]
        streams = {topic: self._stream(topic) for topic in topics}
        wrong = [topic for topic, stream in streams.items() if stream is None]
        if wrong:
            return [_told(False, f"Invalid topic: {wrong[0]}", id_, str(op))]
        if op == "unsubscribe":
            for topic in topics:
                self._names.pop(topic, None)
            return [_told(True, "", id_, "unsubscribe")]
        return self._subscribe({topic: stream for topic, stream in streams.items() if stream}, id_, now_ms)

    def due(self, alive_ms: int) -> Sequence[Command]:
        return [Close(ABNORMAL)] if self._silence.over(alive_ms) else ()

    def _subscribe(self, streams: Mapping[str, Stream], id_: str, now_ms: int) -> Sequence[Command]:
        if self._product is SPOT and len(streams) > SPOT_ARGS:
            return [_told(False, "args size >10", id_, "subscribe")]
        if sum(map(len, self._names.keys() | streams.keys())) > MOST_CHARACTERS:
            return [_told(False, "args length exceeds the limit of the connection", id_, "subscribe")]
        answers: list[Command] = [_told(True, "", id_, "subscribe")]
        for topic, stream in streams.items():
            answers += self._begun(topic, stream, now_ms)
        return answers

    def _stream(self, topic: str) -> Stream | None:
        channel, _, rest = topic.partition(".")
        if channel == "orderbook":
            depth, _, symbol = rest.partition(".")
            if self._feed.listing(symbol) is None:
                return None
            if depth == "1":
                return Stream(symbol, "bbo")
            return Stream(symbol, "book", BOOKS[depth], int(depth)) if depth in BOOKS else None
        known = OTHERS if self._product is SPOT else OTHERS | OF_CONTRACTS
        if channel not in known or self._feed.listing(rest) is None:
            return None
        return Stream(rest, *known[channel])


@dataclass(frozen=True)
class BybitVenue:
    """One product under one venue id."""

    id: str
    product: Product
    wire: BybitWire
    limits: Limits = LIMITS

    def connect(self, path: str, query: Mapping[str, str], feed: Feed) -> Desk | None:
        return BybitDesk(feed, self.product) if path == f"/v5/public/{self.product.name}" else None

    def listings(self, symbols: Sequence[str]) -> list[Listing]:
        made = [bybit_listing(self.product, text) for text in symbols]
        return list({item.symbol: item for item in made}.values())

    def snapshot_stream(self, request: Request) -> str | None:
        symbol = request.query.get("symbol", "")
        return f"orderbook.200.{symbol}" if request.path == "/v5/market/orderbook" and symbol else None

    def rest(self, request: Request, feed: Feed, meter: Meter, now_ms: int) -> Answer:
        if meter.spend(1, now_ms):
            return Answer(403, compact({"retCode": 10006, "retMsg": "Too many visits.", "result": {}}))
        ours = request.query.get("category") == self.product.name
        if request.path == "/v5/market/time":
            return _answer({"timeSecond": str(now_ms // 1000), "timeNano": str(now_ms * 1_000_000)}, now_ms)
        if request.path == "/v5/market/instruments-info":
            trading = ours and request.query.get("status", "Trading") == "Trading"
            items = [instrument(self.product, item) for item in feed.listings()] if trading else []
            return _answer({"category": request.query.get("category"), "list": items, "nextPageCursor": ""}, now_ms)
        if request.path == "/v5/market/orderbook":
            symbol, limit = request.query.get("symbol", ""), request.query.get("limit", "25")
            known = ours and feed.listing(symbol) is not None and limit.isdecimal()
            text = feed.snapshot(symbol, min(int(limit), 1000), now_ms) if known else None
            return Answer(200, text or compact({"retCode": 10001, "retMsg": "Not supported symbols", "result": {}}))
        return Answer(404, compact({"retCode": 404, "retMsg": "Not Found", "result": {}}))


def _told(success: bool, message: str, id_: str, op: str) -> Send:
    said = {"success": success, "ret_msg": message, "conn_id": CONN_ID}
    return Send(compact({**said, **({"req_id": id_} if id_ else {}), "op": op}))


def _answer(result: Mapping[str, object], now_ms: int) -> Answer:
    return Answer(200, compact({"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": now_ms}))


BYBIT = BybitVenue("bybit", LINEAR, BybitWire(LINEAR))
BYBIT_INVERSE = BybitVenue("bybit_inverse", INVERSE, BybitWire(INVERSE))
BYBIT_SPOT = BybitVenue("bybit_spot", SPOT, BybitWire(SPOT))
