"""Simulated Kraken Futures: a frame a level, each with the next number of its product.

Sources: Kraken Futures API documentation, "WebSockets" (feeds book, trade, ticker, heartbeat; stored 2026-07) and "Get
instruments", the recording of 2021-07, ccxt 4.5 `krakenfutures`. A client must PING once in 60 s, which is not enforced
here. `PF_` products are counted in the base, `PI_` in contracts of 1 USD. Texts of refusals are unconfirmed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from imbalanced.sim.desk import PlainDesk, json_object
from imbalanced.sim.grids import asked, by_base, compact, listing, tick_size, trimmed, utc
from imbalanced.sim.market import BookSide, Level, Trade
from imbalanced.sim.venue import (
    Answer,
    Changes,
    Command,
    Desk,
    Feed,
    Image,
    Limits,
    Listing,
    Mark,
    Meter,
    Request,
    Send,
    Stream,
    Wire,
)
from imbalanced.sim.wire import one_by_one

LIMITS = Limits(0, 0, 0, 0, inbound_per_s=100, max_streams=10_000, weight_per_minute=3000)
FIRST_SEQ = 3_456_139
PAST_TRADES = 100
FUNDING_HOURS = 8  # the market's interval; theirs is one hour
GRIDS = {
    "BTC": ("0.5", "0.0001"),
    "ETH": ("0.1", "0.001"),
    "SOL": ("0.01", "0.01"),
    "DOGE": ("0.00001", "1"),
    "XRP": ("0.0001", "1"),
    "": ("0.001", "0.1"),
}
NAMES = {"BTC": "XBT"}
SIDES: dict[BookSide, str] = {"bid": "buy", "ask": "sell"}


class KrakenFuturesWire(Wire):
    """Texts of the feeds. A level has a number, so a message of several levels is several frames."""

    level_frames = True
    counts_levels = True
    states = '"feed":"ticker"'
    first_number = FIRST_SEQ
    contexts = (("mark", 1000),)

    def image(self, listing: Listing, stream: Stream, image: Image, sent_ms: int) -> str:
        bids, asks = (_levels(listing, side) for side in (image.bids, image.asks))
        return (
            f'{{"feed":"book_snapshot","product_id":"{listing.symbol}","timestamp":{image.ms},"seq":{image.number},'
            f'"tickSize":null,"bids":{bids},"asks":{asks}}}'
        )

    def texts(self, listing: Listing, stream: Stream, changes: Changes, sent_ms: int) -> Sequence[str]:
        told = one_by_one(changes.bids, changes.asks)
        first = changes.number - len(told) + 1
        return [
            f'{{"feed":"book","product_id":"{listing.symbol}","side":"{SIDES[side]}","seq":{seq},'
            f'"price":{trimmed(listing.price(one.tick))},"qty":{_quantity(listing, one.lots)},'
            f'"timestamp":{changes.ms}}}'
            for seq, (side, one) in enumerate(told, first)
        ]

    def snapshot(self, listing: Listing, image: Image, sent_ms: int) -> str:
        bids, asks = (
            ",".join(f"[{trimmed(listing.price(tick))},{_quantity(listing, lots)}]" for tick, lots in side)
            for side in (image.bids, image.asks)
        )
        time = utc(sent_ms)
        return f'{{"result":"success","orderBook":{{"bids":[{bids}],"asks":[{asks}]}},"serverTime":"{time}"}}'

    def trades(self, listing: Listing, trade: Trade, ms: int, sent_ms: int) -> Sequence[str]:
        return _prints(listing, trade, ms)

    def history(self, listing: Listing, stream: Stream, past: Sequence[tuple[int, Trade]], sent_ms: int) -> str:
        """The latest trades, the youngest first."""
        prints = [text for ms, trade in past for text in _prints(listing, trade, ms)]
        told = ",".join(prints[: -PAST_TRADES - 1 : -1])
        return f'{{"feed":"trade_snapshot","product_id":"{listing.symbol}","trades":[{told}]}}'

    def context(self, listing: Listing, stream: Stream, mark: Mark, sent_ms: int) -> str:
        unit = float(tick_size(listing))
        price, index = (round(value * unit, listing.price_decimals + 2) for value in (mark.price, mark.index))
        hourly = mark.funding / FUNDING_HOURS
        ticker = {
            "time": sent_ms,
            "product_id": listing.symbol,
            "feed": "ticker",
            "funding_rate": hourly * index,
            "relative_funding_rate": hourly,
            "next_funding_rate_time": (sent_ms // 3_600_000 + 1) * 3_600_000,
            "markPrice": price,
            "index": index,
            "last": price,
            "openInterest": float(listing.size(mark.open_lots)),
            "suspended": listing.halted,
            "post_only": False,
            "tag": "perpetual",
            "pair": f"{NAMES.get(listing.base, listing.base)}:USD",
        }
        return compact(ticker)

    def trading(self, listing: Listing, sent_ms: int) -> tuple[str, str] | None:
        mark = Mark(float(listing.start_tick), float(listing.start_tick), 0.0, 0)
        return f"ticker:{listing.symbol}", self.context(listing, Stream(listing.symbol, "mark", 1000), mark, sent_ms)


class KrakenFuturesDesk(PlainDesk):
    """One socket. Subscriptions are called `book:PF_XBTUSD`."""

    tick_ms = 1000

    def __init__(self, feed: Feed) -> None:
        super().__init__(feed)
        self._opened_ms = 0

    def opened(self, now_ms: int) -> Sequence[Command]:
        self._opened_ms = now_ms
        return [Send('{"event":"info","version":1}')]

    def receive(self, text: str, now_ms: int) -> Sequence[Command]:
        message = json_object(text)
        event, feed = (str((message or {}).get(name)) for name in ("event", "feed"))
        if message is None or event not in ("subscribe", "unsubscribe"):
            return [_error("Bad request")]
        if feed == "heartbeat":
            self._names.pop(feed, None)
            if event == "subscribe":
                self._names[feed] = None  # told by the clock of the socket
            return [Send(compact({"event": f"{event}d", "feed": feed}))]
        products = message.get("product_ids")
        if feed not in ("book", "trade", "ticker"):
            return [_error("Invalid feed")]
        if not isinstance(products, list) or not products:
            return [_error("Invalid product id")]
        said: list[Command] = []
        for product in products:
            said += self._one(event, feed, str(product).upper(), now_ms)
        return said

    def due(self, alive_ms: int) -> Sequence[Command]:
        if "heartbeat" not in self._names:
            return ()
        return [Send(compact({"feed": "heartbeat", "time": self._opened_ms + alive_ms}))]

    def _one(self, event: str, feed: str, product: str, now_ms: int) -> list[Command]:
        name = f"{feed}:{product}"
        if self._feed.listing(product) is None:
            return [_error("Invalid product id")]
        if (event == "subscribe") is (name in self._names):
            return [_error("Already subscribed to feed" if event == "subscribe" else "Not subscribed to feed")]
        ack = Send(compact({"event": f"{event}d", "feed": feed, "product_ids": [product]}))
        if event == "unsubscribe":
            del self._names[name]
            return [ack]
        streams = {
            "book": Stream(product, "book"),
            "trade": Stream(product, "trade"),
            "ticker": Stream(product, "mark", 1000),
        }
        return [ack, *self._begun(name, streams[feed], now_ms)]


@dataclass(frozen=True)
class KrakenFuturesVenue:
    """Perpetuals in US dollars, linear or inverse."""

    id: str = "kraken_futures"
    limits: Limits = LIMITS
    wire: Wire = field(default_factory=KrakenFuturesWire)

    def connect(self, path: str, query: Mapping[str, str], feed: Feed) -> Desk | None:
        return KrakenFuturesDesk(feed) if path == "/ws/v1" else None

    def listings(self, symbols: Sequence[str]) -> list[Listing]:
        made = [kraken_futures_listing(text) for text in symbols]
        return list({item.symbol: item for item in made}.values())

    def snapshot_stream(self, request: Request) -> str | None:
        symbol = request.query.get("symbol", "").upper()
        return f"book:{symbol}" if request.path == "/derivatives/api/v3/orderbook" and symbol else None

    def rest(self, request: Request, feed: Feed, meter: Meter, now_ms: int) -> Answer:
        if meter.spend(1, now_ms):
            return _refused(429, "apiLimitExceeded", now_ms)
        if request.path == "/derivatives/api/v3/instruments":
            about = {"result": "success", "instruments": [_instrument(item) for item in feed.listings()]}
            return Answer(200, compact({**about, "serverTime": utc(now_ms)}))
        if request.path != "/derivatives/api/v3/orderbook":
            return _refused(404, "apiNotFound", now_ms)
        symbol = request.query.get("symbol", "").upper()
        text = feed.snapshot(symbol, 1_000_000, now_ms) if feed.listing(symbol) is not None else None
        return Answer(200, text) if text else _refused(400, "invalidArgument: symbol", now_ms)


def kraken_futures_listing(text: str) -> Listing:
    """The perpetual of the base in dollars: inverse where it is settled in the base. ValueError if it is no symbol."""
    base, _, settle = asked(text)
    name, (tick, lot) = NAMES.get(base, base), by_base(GRIDS, base)
    if settle == base:
        return listing(f"PI_{name}USD", f"{base}/USD:{base}", (base, "USD"), (tick, "1"), worth=1)
    return listing(f"PF_{name}USD", f"{base}/USD:USD", (base, "USD"), (tick, lot))


def _instrument(item: Listing) -> dict[str, object]:
    """One entry of the list, with every field that ccxt 4.5 reads."""
    inverse = item.contract_size > 0
    return {
        "symbol": item.symbol,
        "type": "futures_inverse" if inverse else "flexible_futures",
        "tickSize": float(tick_size(item)),
        "contractSize": 1,
        "contractValueTradePrecision": item.size_decimals,
        "tradeable": True,
        "impactMidSize": 1000,
        "openingDate": "2022-03-22T15:18:37.000Z",
        "base": NAMES.get(item.base, item.base),
        "quote": "USD",
        "pair": f"{NAMES.get(item.base, item.base)}:USD",
        "tags": [],
    }


def _quantity(listing: Listing, lots: int) -> str:
    size = trimmed(listing.size(lots))
    return size if "." in size else f"{size}.0"


def _levels(listing: Listing, levels: Iterable[Level]) -> str:
    texts = [f'{{"price":{trimmed(listing.price(tick))},"qty":{_quantity(listing, lots)}}}' for tick, lots in levels]
    return f"[{','.join(texts)}]"


def _prints(listing: Listing, trade: Trade, ms: int) -> list[str]:
    kind, price = "liquidation" if trade.forced else "fill", trimmed(listing.price(trade.tick))
    return [
        f'{{"feed":"trade","product_id":"{listing.symbol}","uid":"f0df222c-1445-4cb2-abf3-{trade.first_id + i:012x}",'
        f'"side":"{trade.taker}","type":"{kind}","seq":{trade.first_id + i},"time":{ms},'
        f'"qty":{_quantity(listing, lots)},"price":{price}}}'
        for i, lots in enumerate(trade.fills)
    ]


def _error(why: str) -> Send:
    return Send(compact({"event": "error", "message": why}))


def _refused(status: int, why: str, now_ms: int) -> Answer:
    return Answer(status, compact({"result": "error", "error": why, "serverTime": utc(now_ms)}))


KRAKEN_FUTURES = KrakenFuturesVenue()
