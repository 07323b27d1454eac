"""Simulated KuCoin spot: a token before the socket, a welcome on it, diffs whose image comes by REST.

Sources: docs.kucoin.com "Websocket: apply connect token", "Level-2 Market Data", "Match Execution Data", "Get Part
Order Book", "Get All Symbols" (stored copies of 2024 to 2026), the recording of 2021-04; ccxt 4.5 `kucoin`. A client
that does not ping is cut after interval and timeout of the token's answer. Codes and texts of refusals are unconfirmed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from imbalanced.sim.desk import PlainDesk, Silence, json_object
from imbalanced.sim.grids import asked, by_base, compact, listing, lot_size, tick_size, trimmed
from imbalanced.sim.market import BookSide, Level, Trade
from imbalanced.sim.venue import (
    Answer,
    Batch,
    Close,
    Command,
    Desk,
    Feed,
    Image,
    Limits,
    Listing,
    Meter,
    Request,
    Send,
    Stream,
    StreamKind,
    Wire,
)

LIMITS = Limits(0, 0, 86_400, 0, inbound_per_s=0, max_streams=300, weight_per_minute=4000)
TOKEN = "2neAiuYvAU61ZDXANAGAsiL4-iAExhsBXZxftpOeh_55i3Ysy2q2LEsEWU64mdzUOPusi34M_wGoSf7iNyEWJ1UQy47YbpY4"
PING_MS, PING_TIMEOUT_MS = 18_000, 10_000
ABNORMAL = 1006
MOST_SYMBOLS = 100  # of one topic
BURST, BURST_MS = 100, 10_000  # subscriptions; more in this time are not heard
GRIDS = {
    "BTC": ("0.1", "0.00000001"),
    "ETH": ("0.01", "0.0000001"),
    "SOL": ("0.001", "0.0001"),
    "": ("0.0001", "0.0001"),
}
CHANNELS: dict[str, tuple[StreamKind, int, int]] = {
    "/market/level2": ("depth", 0, 0),
    "/market/match": ("trade", 0, 0),
    "/spotMarket/level2Depth5": ("image", 100, 5),
    "/spotMarket/level2Depth50": ("image", 100, 50),
}
IMAGES = {"/api/v1/market/orderbook/level2_20": 20, "/api/v1/market/orderbook/level2_100": 100}


class KucoinWire(Wire):
    """Texts of the topics. Sequences are the market's own: each change has one, a message tells its range."""

    intervals = (0,)
    images = ((100, 5), (100, 50))

    def depth(self, listing: Listing, batch: Batch, sent_ms: int) -> str:
        bids, asks = (_changes(listing, batch, side) for side in ("bid", "ask"))
        data = (
            f'{{"changes":{{"asks":{asks},"bids":{bids}}},"sequenceEnd":{batch.last_id},'
            f'"sequenceStart":{batch.first_id},"symbol":"{listing.symbol}","time":{batch.ms}}}'
        )
        return _message("/market/level2", listing, "trade.l2update", data)

    def image(self, listing: Listing, stream: Stream, image: Image, sent_ms: int) -> str:
        asks, bids = (_levels(listing, side) for side in (image.asks, image.bids))
        data = f'{{"asks":{asks},"bids":{bids},"timestamp":{sent_ms}}}'
        return _message(f"/spotMarket/level2Depth{stream.levels}", listing, "level2", data)

    def snapshot(self, listing: Listing, image: Image, sent_ms: int) -> str:
        bids, asks = (_levels(listing, side) for side in (image.bids, image.asks))
        data = f'{{"time":{image.ms},"sequence":"{image.last_id}","bids":{bids},"asks":{asks}}}'
        return f'{{"code":"200000","data":{data}}}'

    def trades(self, listing: Listing, trade: Trade, ms: int, sent_ms: int) -> Sequence[str]:
        price = trimmed(listing.price(trade.tick))
        made = []
        for i, lots in enumerate(trade.fills):
            id_ = f"{trade.first_id + i:024x}"
            data = (
                f'{{"symbol":"{listing.symbol}","side":"{trade.taker}","type":"match","makerOrderId":"{id_}",'
                f'"sequence":"{trade.first_id + i}","size":"{trimmed(listing.size(lots))}","price":"{price}",'
                f'"takerOrderId":"{trade.agg_id:024x}","time":"{ms * 1_000_000}","tradeId":"{id_}"}}'
            )
            made.append(_message("/market/match", listing, "trade.l3match", data))
        return made


class KucoinDesk(PlainDesk):
    """One socket. Subscriptions are called `/market/level2:BTC-USDT`, one a symbol."""

    tick_ms = 1000

    def __init__(self, feed: Feed, connect_id: str) -> None:
        super().__init__(feed)
        self._connect_id = connect_id
        self._pings = Silence(PING_MS + PING_TIMEOUT_MS)
        self._alive_ms = 0
        self._asked_ms: deque[int] = deque()

    def opened(self, now_ms: int) -> Sequence[Command]:
        return [Send(compact({"id": self._connect_id, "type": "welcome"}))]

    def receive(self, text: str, now_ms: int) -> Sequence[Command]:
        message = json_object(text)
        if message is None:
            return [_error("", 400, "bad request")]
        kind, id_ = message.get("type"), str(message.get("id", ""))
        if kind == "ping":
            self._pings.broken()
            return [Send(compact({"id": id_, "type": "pong"}))]
        if kind not in ("subscribe", "unsubscribe"):
            return [_error(id_, 400, "type is not supported")]
        return self._topic(kind == "subscribe", message, id_, now_ms)

    def due(self, alive_ms: int) -> Sequence[Command]:
        self._alive_ms = alive_ms
        return [Close(ABNORMAL)] if self._pings.over(alive_ms) else ()

    def _topic(self, on: bool, message: Mapping[str, object], id_: str, now_ms: int) -> Sequence[Command]:
        topic = str(message.get("topic"))
        channel, _, rest = topic.partition(":")
        symbols = rest.split(",")
        unknown = [symbol for symbol in symbols if self._feed.listing(symbol) is None]
        if channel not in CHANNELS or unknown or len(symbols) > MOST_SYMBOLS:
            return [_error(id_, 404, f"topic {topic} is not found")]
        names = {f"{channel}:{symbol}": Stream(symbol, *CHANNELS[channel]) for symbol in symbols}
        if on and len(self._names.keys() | names.keys()) > LIMITS.max_streams:
            return [_error(id_, 509, "exceed max subscription count limitation of 300 per session")]
        if on and self._too_fast():
            return ()
        answers: list[Command] = [Send(compact({"id": id_, "type": "ack"}))] if message.get("response") else []
        for name, stream in names.items():
            if on:
                answers += self._begun(name, stream, now_ms)
            else:
                self._names.pop(name, None)
        return answers

    def _too_fast(self) -> bool:
        self._asked_ms.append(self._alive_ms)
        while self._asked_ms[0] <= self._alive_ms - BURST_MS:
            self._asked_ms.popleft()
        return len(self._asked_ms) > BURST


@dataclass(frozen=True)
class KucoinVenue:
    """Spot pairs."""

    id: str = "kucoin"
    limits: Limits = LIMITS
    wire: KucoinWire = field(default_factory=KucoinWire)

    def connect(self, path: str, query: Mapping[str, str], feed: Feed) -> Desk | None:
        """Only with the token."""
        if path != "/endpoint" or query.get("token") != TOKEN:
            return None
        return KucoinDesk(feed, query.get("connectId", ""))

    def listings(self, symbols: Sequence[str]) -> list[Listing]:
        made = [kucoin_listing(text) for text in symbols]
        return list({item.symbol: item for item in made}.values())

    def snapshot_stream(self, request: Request) -> str | None:
        symbol = request.query.get("symbol", "")
        return f"/market/level2:{symbol}" if request.path in IMAGES and symbol else None

    def rest(self, request: Request, feed: Feed, meter: Meter, now_ms: int) -> Answer:
        if meter.spend(2, now_ms):
            return Answer(429, compact({"code": "429000", "msg": "Too Many Requests"}))
        if request.path == "/api/v1/bullet-public":
            return self._door(request)
        if request.path == "/api/v1/timestamp":
            return _fine(now_ms)
        if request.path in ("/api/v1/symbols", "/api/v2/symbols"):
            return _fine([_symbol(item) for item in feed.listings()])
        if request.path in IMAGES:
            symbol = request.query.get("symbol", "")
            if feed.listing(symbol) is None:
                return Answer(200, compact({"code": "900001", "msg": "symbol not exists"}))
            return Answer(200, feed.snapshot(symbol, IMAGES[request.path], now_ms) or "")
        if request.path == "/api/v3/market/orderbook/level2":
            message = "Please check the header of your request for KC-API-KEY, KC-API-SIGN, KC-API-TIMESTAMP"
            return Answer(401, compact({"code": "400001", "msg": message}))
        return Answer(404, compact({"code": "404000", "msg": "Url Not Found"}))

    @staticmethod
    def _door(request: Request) -> Answer:
        if request.method != "POST":
            return Answer(405, compact({"code": "405000", "msg": "Method Not Allowed"}))
        server = {
            "endpoint": f"ws://{request.host}/endpoint",
            "encrypt": False,
            "protocol": "websocket",
            "pingInterval": PING_MS,
            "pingTimeout": PING_TIMEOUT_MS,
        }
        return _fine({"token": TOKEN, "instanceServers": [server]})


def kucoin_listing(text: str) -> Listing:
    """Spot, whatever is settled elsewhere. ValueError if the text is no symbol."""
    base, quote, _ = asked(text)
    return listing(f"{base}-{quote}", f"{base}/{quote}", (base, quote), by_base(GRIDS, base))


def _symbol(item: Listing) -> dict[str, object]:
    """One entry of the symbol list, with every field that ccxt 4.5 reads."""
    return {
        "symbol": item.symbol,
        "name": item.symbol,
        "baseCurrency": item.base,
        "quoteCurrency": item.quote,
        "feeCurrency": item.quote,
        "market": "USDS",
        "baseMinSize": "0.00001",
        "quoteMinSize": "0.1",
        "baseMaxSize": "10000000000",
        "quoteMaxSize": "99999999",
        "baseIncrement": trimmed(lot_size(item)),
        "quoteIncrement": "0.000001",
        "priceIncrement": trimmed(tick_size(item)),
        "priceLimitRate": "0.1",
        "minFunds": "0.1",
        "isMarginEnabled": True,
        "enableTrading": True,
        "feeCategory": 1,
        "makerFeeCoefficient": "1.00",
        "takerFeeCoefficient": "1.00",
        "st": False,
    }


def _changes(listing: Listing, batch: Batch, side: BookSide) -> str:
    levels = batch.bids if side == "bid" else batch.asks
    texts = [
        f'["{trimmed(listing.price(tick))}","{trimmed(listing.size(lots)) if lots else 0}","{batch.ids[side, tick]}"]'
        for tick, lots in levels.items()
    ]
    return f"[{','.join(texts)}]"


def _levels(listing: Listing, levels: Sequence[Level]) -> str:
    texts = [f'["{trimmed(listing.price(tick))}","{trimmed(listing.size(lots))}"]' for tick, lots in levels]
    return f"[{','.join(texts)}]"


def _message(channel: str, listing: Listing, subject: str, data: str) -> str:
    return f'{{"topic":"{channel}:{listing.symbol}","type":"message","subject":"{subject}","data":{data}}}'


def _error(id_: str, code: int, why: str) -> Send:
    return Send(compact({"id": id_, "type": "error", "code": code, "data": why}))


def _fine(data: object) -> Answer:
    return Answer(200, compact({"code": "200000", "data": data}))


KUCOIN = KucoinVenue()
