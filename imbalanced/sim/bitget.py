"""Simulated Bitget, v3: spot and perpetuals in USDT on one socket, updates that name the one before.

Sources: Bitget API documents "UTA" websocket introduction, depth, public trades, tickers, instruments (stored copies of
2025 and 2026), frames of 2026-04 in a public test suite, ccxt 4.5 `bitget` (`uta`). A client that says no `ping` for
two minutes is cut; 240 requests an hour. Unconfirmed: codes and texts of refusals, the depth of `books`, the code of
the cut.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from imbalanced.sim.desk import PlainDesk, Silence, json_object
from imbalanced.sim.grids import asked, by_base, compact, listing, lot_size, tick_size, trimmed
from imbalanced.sim.market import Level, Trade
from imbalanced.sim.venue import (
    ALL_SYMBOLS,
    Answer,
    Changes,
    Close,
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

LIMITS = Limits(0, 0, 86_400, 0, inbound_per_s=10, max_streams=1000, weight_per_minute=1200)
SILENCE_MS = 120_000
HOUR_MS = 3_600_000
OPS_PER_HOUR = 240
DEPTH = 200
SPOT, USDT, USDC = "spot", "usdt-futures", "usdc-futures"
EVERY_MS = {SPOT: 200, USDT: 150}
FIRST_TRADE = 1_432_912_488_536_195_072
NOT_THERE, MALFORMED = "30001", "30003"
GRIDS = {
    "BTC": ("0.01", "0.000001"),
    "ETH": ("0.01", "0.0001"),
    "SOL": ("0.01", "0.0001"),
    "DOGE": ("0.00001", "0.01"),
    "XRP": ("0.0001", "0.01"),
    "": ("0.001", "0.001"),
}
CONTRACTS = {
    "BTC": ("0.1", "0.0001"),
    "ETH": ("0.01", "0.01"),
    "SOL": ("0.01", "0.1"),
    "DOGE": ("0.00001", "1"),
    "XRP": ("0.0001", "1"),
    "": ("0.001", "0.1"),
}


class BitgetWire(Wire):
    """Texts of the topics. An update names its number and that of the push before it; the numbers jump."""

    restart = "image"
    contexts = (("mark", 1000),)

    def update_id(self, id: int) -> int:
        return id * 64

    def image(self, listing: Listing, stream: Stream, image: Image, sent_ms: int) -> str:
        levels = (image.bids, image.asks)
        return self._book(listing, "snapshot", levels, (0, image.last_id, image.ms), sent_ms)

    def changes(self, listing: Listing, stream: Stream, changes: Changes, sent_ms: int) -> str:
        bids, asks = ([one[:2] for one in side] for side in (changes.bids, changes.asks))
        return self._book(listing, "update", (bids, asks), (changes.previous_id, changes.last_id, changes.ms), sent_ms)

    @staticmethod
    def _book(
        listing: Listing, action: str, sides: Iterable[Sequence[Level]], ids: tuple[int, int, int], sent_ms: int
    ) -> str:
        bids, asks = (_levels(listing, side) for side in sides)
        previous, last, ms = ids
        entry = f'{{"a":{asks},"b":{bids},"checksum":0,"pseq":{previous},"seq":{last},"ts":"{ms}"}}'
        return _push(listing, "books", action, entry, sent_ms)

    def snapshot(self, listing: Listing, image: Image, sent_ms: int) -> str:
        bids, asks = (_levels(listing, side) for side in (image.bids, image.asks))
        return _fine(f'{{"a":{asks},"b":{bids},"ts":"{image.ms}"}}', sent_ms)

    def agg_trade(self, listing: Listing, trade: Trade, ms: int, sent_ms: int) -> str:
        return _push(listing, "publicTrade", "update", ",".join(reversed(_prints(listing, trade, ms))), sent_ms)

    def history(self, listing: Listing, stream: Stream, past: Sequence[tuple[int, Trade]], sent_ms: int) -> str:
        """The latest trades, the youngest first."""
        prints = [text for ms, trade in past for text in _prints(listing, trade, ms)]
        return _push(listing, "publicTrade", "snapshot", ",".join(reversed(prints)), sent_ms)

    def context(self, listing: Listing, stream: Stream, mark: Mark, sent_ms: int) -> str:
        unit = float(tick_size(listing))
        price, index = (f"{value * unit:.{listing.price_decimals}f}" for value in (mark.price, mark.index))
        ticker = {
            "lastPrice": price,
            "openInterest": listing.size(mark.open_lots),
            "fundingRate": f"{mark.funding:.6f}",
            "markPrice": price,
            "indexPrice": index,
            "nextFundingTime": str(mark.next_funding_ms),
            "ts": str(sent_ms),
        }
        return _push(listing, "ticker", "snapshot", compact(ticker), sent_ms)

    def liquidation(self, listing: Listing, trade: Trade, ms: int, sent_ms: int) -> str:
        """`side` is that of the position; `amount` is counted in the quote currency."""
        family, name = _names(listing.symbol)
        if family == SPOT:
            return ""
        price, size = listing.price(trade.tick), listing.size(trade.lots)
        side = "buy" if trade.taker == "sell" else "sell"
        entry = {"symbol": name, "side": side, "price": price, "amount": f"{float(price) * float(size):.8f}"}
        arg = {"instType": family, "topic": "liquidation"}
        return compact({"action": "update", "arg": arg, "data": [{**entry, "ts": str(ms)}], "ts": sent_ms})


class BitgetDesk(PlainDesk):
    """One socket. Subscriptions are called `books:SPOT/BTCUSDT`."""

    tick_ms = 1000

    def __init__(self, feed: Feed) -> None:
        super().__init__(feed)
        self._silence = Silence(SILENCE_MS)
        self._asked_ms: deque[int] = deque()

    def receive(self, text: str, now_ms: int) -> Sequence[Command]:
        if text == "ping":
            self._silence.broken()
            return [Send("pong")]
        message = json_object(text) or {}
        op, args = message.get("op"), message.get("args")
        if op not in ("subscribe", "unsubscribe") or not isinstance(args, list):
            return [Send(compact({"event": "error", "code": MALFORMED, "msg": "Illegal request"}))]
        if self._too_often(now_ms):
            return [Send(compact({"event": "error", "code": MALFORMED, "msg": "request too many"}))]
        said: list[Command] = []
        for arg in args:
            said += self._one(str(op), arg if isinstance(arg, dict) else {}, now_ms)
        return said

    def due(self, alive_ms: int) -> Sequence[Command]:
        return [Close(1000, "no ping")] if self._silence.over(alive_ms) else ()

    def _one(self, op: str, arg: dict[str, object], now_ms: int) -> list[Command]:
        family, topic = str(arg.get("instType")), str(arg.get("topic"))
        symbol = f"{family.upper()}/{arg.get('symbol')}"
        known, stream = self._stream(family, topic, symbol)
        if not known:
            why = f"instType:{family},topic:{topic},symbol:{arg.get('symbol')} doesn't exist"
            return [Send(compact({"event": "error", "arg": arg, "code": NOT_THERE, "msg": why}))]
        name = f"{topic}:{family.upper()}" if topic == "liquidation" else f"{topic}:{symbol}"
        ack = Send(compact({"event": op, "arg": arg}))
        if op == "unsubscribe":
            self._names.pop(name, None)
        elif name not in self._names and stream is not None:
            return [ack, *self._begun(name, stream, now_ms)]
        elif stream is None:
            self._names[name] = None
        return [ack]

    def _stream(self, family: str, topic: str, symbol: str) -> tuple[bool, Stream | None]:
        """Whether there is such a topic, and what serves it here."""
        if topic == "liquidation" and family in (USDT, USDC):
            return True, Stream(ALL_SYMBOLS, "liquidation", 1000) if family == USDT else None
        if family not in EVERY_MS or self._feed.listing(symbol) is None:
            return False, None
        if topic == "books":
            return True, Stream(symbol, "book", EVERY_MS[family], DEPTH)
        if topic == "ticker" and family == USDT:
            return True, Stream(symbol, "mark", 1000)
        return topic == "publicTrade", Stream(symbol, "agg_trade")

    def _too_often(self, now_ms: int) -> bool:
        self._asked_ms.append(now_ms)
        while self._asked_ms[0] <= now_ms - HOUR_MS:
            self._asked_ms.popleft()
        return len(self._asked_ms) > OPS_PER_HOUR


@dataclass(frozen=True)
class BitgetVenue:
    """Pairs, and perpetuals in USDT. A listing's symbol is family and name, as both families have the same names."""

    id: str = "bitget"
    limits: Limits = LIMITS
    wire: Wire = field(default_factory=BitgetWire)

    def connect(self, path: str, query: Mapping[str, str], feed: Feed) -> Desk | None:
        return BitgetDesk(feed) if path == "/v3/ws/public" else None

    def listings(self, symbols: Sequence[str]) -> list[Listing]:
        made = [bitget_listing(text) for text in symbols]
        return list({item.symbol: item for item in made}.values())

    def snapshot_stream(self, request: Request) -> str | None:
        symbol = _asked_for(request)
        return f"books:{symbol}" if request.path == "/api/v3/market/orderbook" and symbol else None

    def rest(self, request: Request, feed: Feed, meter: Meter, now_ms: int) -> Answer:
        if meter.spend(1, now_ms):
            return _refused(429, "429", "too many requests", now_ms)
        if request.path == "/api/v2/public/time":
            return Answer(200, _fine(compact({"serverTime": str(now_ms)}), now_ms))
        if request.path == "/api/v3/market/instruments":
            category = request.query.get("category", "")
            found = [item for item in feed.listings() if item.symbol.startswith(f"{category}/")]
            return Answer(200, _fine(compact([_instrument(item) for item in found]), now_ms))
        if request.path != "/api/v3/market/orderbook":
            return _refused(404, "40404", "Request URL NOT FOUND", now_ms)
        symbol = _asked_for(request)
        text = feed.snapshot(symbol, 5, now_ms) if feed.listing(symbol) is not None else None
        return Answer(200, text) if text else _refused(400, "40034", "Parameter symbol does not exist", now_ms)


def bitget_listing(text: str) -> Listing:
    """A pair, or the perpetual in USDT where a settlement is asked for. ValueError if the text is no symbol."""
    base, quote, settle = asked(text)
    if settle:
        unified = f"{base}/USDT:USDT"
        return listing(f"{USDT.upper()}/{base}USDT", unified, (base, "USDT"), by_base(CONTRACTS, base))
    return listing(f"{SPOT.upper()}/{base}{quote}", f"{base}/{quote}", (base, quote), by_base(GRIDS, base))


def _names(symbol: str) -> tuple[str, str]:
    """Family and name as the socket writes them."""
    family, _, name = symbol.partition("/")
    return family.lower(), name


def _asked_for(request: Request) -> str:
    category, name = request.query.get("category", ""), request.query.get("symbol", "")
    return f"{category}/{name}" if category and name else ""


def _instrument(item: Listing) -> dict[str, object]:
    """One entry of the list, with every field that ccxt 4.5 reads."""
    category, _, name = item.symbol.partition("/")
    about: dict[str, object] = {
        "symbol": name,
        "category": category,
        "baseCoin": item.base,
        "quoteCoin": item.quote,
        "minOrderQty": trimmed(lot_size(item)),
        "maxOrderQty": "100000",
        "minOrderAmount": "5",
        "pricePrecision": str(item.price_decimals),
        "quantityPrecision": str(item.size_decimals),
        "status": "online",
        "isReality": "no",
        "launchTime": "",
    }
    if category == SPOT.upper():
        return about
    return {**about, "type": "perpetual", "minLeverage": "1", "maxLeverage": "125"}


def _levels(listing: Listing, levels: Iterable[Level]) -> str:
    texts = [f'["{listing.price(tick)}","{listing.size(lots) if lots else 0}"]' for tick, lots in levels]
    return f"[{','.join(texts)}]"


def _prints(listing: Listing, trade: Trade, ms: int) -> list[str]:
    price = listing.price(trade.tick)
    return [
        f'{{"i":"{FIRST_TRADE + trade.first_id + i}","p":"{price}","v":"{listing.size(lots)}","S":"{trade.taker}",'
        f'"T":"{ms}"}}'
        for i, lots in enumerate(trade.fills)
    ]


def _push(listing: Listing, topic: str, action: str, entries: str, sent_ms: int) -> str:
    family, name = _names(listing.symbol)
    arg = compact({"instType": family, "topic": topic, "symbol": name})
    return f'{{"action":"{action}","arg":{arg},"data":[{entries}],"ts":{sent_ms}}}'


def _fine(data: str, now_ms: int) -> str:
    return f'{{"code":"00000","msg":"success","requestTime":{now_ms},"data":{data}}}'


def _refused(status: int, code: str, why: str, now_ms: int) -> Answer:
    return Answer(status, compact({"code": code, "msg": why, "requestTime": now_ms, "data": None}))


BITGET = BitgetVenue()
