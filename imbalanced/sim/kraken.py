"""Simulated Kraken spot, WebSocket v2: books proven by a checksum, one answer a symbol, a heartbeat every second.

Sources: docs.kraken.com, WebSocket v2 "Book", "Trade", "Instrument", "Status", "Heartbeat" and the guide on the book
checksum (stored 2026-07), ccxt 4.5 `kraken` (REST). A level that falls out of the depth of a book is not told. Error
texts are as connectors recorded them; that of an unknown channel is unconfirmed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from zlib import crc32

from imbalanced.sim.desk import PlainDesk, Silence, json_object
from imbalanced.sim.grids import asked, by_base, compact, listing, tick_size, trimmed, utc
from imbalanced.sim.market import Level, Trade
from imbalanced.sim.venue import (
    Answer,
    Changes,
    Command,
    Desk,
    Feed,
    Frame,
    Image,
    Limits,
    Listing,
    Meter,
    Request,
    Send,
    Stream,
    Wire,
)

LIMITS = Limits(0, 0, 0, 0, inbound_per_s=0, max_streams=10_000, weight_per_minute=60)
DEPTHS = (10, 25, 100, 500, 1000)
SUMMED = 10
HEARTBEAT_MS = 1000
TICKS = {"BTC": "0.1", "ETH": "0.01", "SOL": "0.01", "": "0.00001"}
LOT = "0.00000001"
# What Kraken calls its oldest assets, in its list and there in the names of pairs.
OLD_ASSETS = {"BTC": "XXBT", "ETH": "XETH", "XRP": "XXRP", "DOGE": "XXDG", "USD": "ZUSD", "EUR": "ZEUR", "GBP": "ZGBP"}
ALTNAMES = {"BTC": "XBT", "DOGE": "XDG"}
_CHECKSUM = re.compile(r'("checksum":)(\d+)')


class KrakenWire(Wire):
    """Texts of the socket. There are no ids: what proves a book is the checksum of its best levels' digits."""

    tells_leaving = False
    checksum_levels = SUMMED
    states = '"channel":"instrument"'

    def image(self, listing: Listing, stream: Stream, image: Image, sent_ms: int) -> str:
        return self._book(listing, "snapshot", (image.bids, image.asks), image, "")

    def changes(self, listing: Listing, stream: Stream, changes: Changes, sent_ms: int) -> str:
        bids, asks = ([one[:2] for one in side] for side in (changes.bids, changes.asks))
        return self._book(listing, "update", (bids, asks), changes.top, f',"timestamp":"{utc(changes.ms)}"')

    @staticmethod
    def _book(listing: Listing, kind: str, sides: Sequence[Sequence[Level]], after: Image, time: str) -> str:
        bids, asks = (_levels(listing, side) for side in sides)
        return (
            f'{{"channel":"book","type":"{kind}","data":[{{"symbol":"{listing.symbol}","bids":{bids},"asks":{asks},'
            f'"checksum":{checksum(listing, after)}{time}}}]}}'
        )

    def agg_trade(self, listing: Listing, trade: Trade, ms: int, sent_ms: int) -> str:
        return _trades("update", _prints(listing, trade, ms))

    def history(self, listing: Listing, stream: Stream, past: Sequence[tuple[int, Trade]], sent_ms: int) -> str:
        """The last 50 trades."""
        prints = [text for ms, trade in past for text in _prints(listing, trade, ms)]
        return _trades("snapshot", prints[-50:])

    def trading(self, listing: Listing, sent_ms: int) -> tuple[str, str] | None:
        data = {"assets": [], "pairs": [_pair(listing)]}
        return "instrument", compact({"channel": "instrument", "type": "update", "data": data})

    def snapshot(self, listing: Listing, image: Image, sent_ms: int) -> str:
        seconds = sent_ms // 1000
        bids, asks = (
            ",".join(f'["{listing.price(tick)}","{listing.size(lots)}",{seconds}]' for tick, lots in side)
            for side in (image.bids, image.asks)
        )
        return f'{{"error":[],"result":{{"{pair_id(listing)}":{{"asks":[{asks}],"bids":[{bids}]}}}}}}'


def checksum(listing: Listing, book: Image) -> int:
    """CRC32 of the digits of ten asks, then of ten bids, without dots and leading zeros."""
    told = ""
    for side in (book.asks, book.bids):
        for tick, lots in side[:SUMMED]:
            for text in (listing.price(tick), listing.size(lots)):
                told += text.replace(".", "").lstrip("0")
    return crc32(told.encode())


class KrakenDesk(PlainDesk):
    """One socket. Subscriptions are called `book:BTC/USD`."""

    tick_ms = 250

    def __init__(self, feed: Feed) -> None:
        super().__init__(feed)
        self._quiet = Silence(HEARTBEAT_MS)
        self._depths: dict[str, int] = {}

    def opened(self, now_ms: int) -> Sequence[Command]:
        about = {
            "version": "2.0.9",
            "system": "online",
            "api_version": "v2",
            "connection_id": 12_393_906_104_898_154_338,
        }
        return [Send(compact({"channel": "status", "type": "update", "data": [about]}))]

    def receive(self, text: str, now_ms: int) -> Sequence[Command]:
        message = json_object(text)
        if message is None:
            return [Send(compact({"error": "Malformed request", "success": False, **_times(now_ms)}))]
        id_ = {"req_id": message["req_id"]} if "req_id" in message else {}
        method, params = message.get("method"), message.get("params")
        if method == "ping":
            return [Send(compact({"method": "pong", **id_, **_times(now_ms)}))]
        if method not in ("subscribe", "unsubscribe") or not isinstance(params, dict):
            return [_refused("Unknown method", {"method": method, **id_}, now_ms)]
        self._quiet.broken()
        channel, symbols = params.get("channel"), params.get("symbol", [])
        if channel == "instrument":
            return self._instrument(str(method), id_, now_ms)
        if channel not in ("book", "trade"):
            return [_refused(f"Unknown channel {channel}", {"method": method, **id_}, now_ms)]
        answers: list[Command] = []
        for symbol in symbols if isinstance(symbols, list) else [symbols]:
            answers += self._one(str(method), str(symbol), params, id_, now_ms)
        return answers

    def due(self, alive_ms: int) -> Sequence[Command]:
        if not self._quiet.over(alive_ms) or not self._names:
            return ()
        self._quiet.broken()
        return [Send('{"channel":"heartbeat"}')]

    def envelope(self, name: str, frame: Frame) -> str:
        self._quiet.broken()
        return frame.payload

    def spoil(self, text: str) -> str:
        return _CHECKSUM.sub(lambda found: found[1] + str(int(found[2]) ^ 1), text)

    def _instrument(self, method: str, id_: dict[str, object], now_ms: int) -> Sequence[Command]:
        if method == "unsubscribe":
            self._names.pop("instrument", None)
        else:
            self._names["instrument"] = None
        result = {"channel": "instrument", "snapshot": True}
        ack = Send(compact({"method": method, "result": result, "success": True, **_times(now_ms), **id_}))
        if method == "unsubscribe":
            return [ack]
        data = {"assets": [], "pairs": [_pair(item) for item in self._feed.listings()]}
        return [ack, Send(compact({"channel": "instrument", "type": "snapshot", "data": data}))]

    def _one(
        self, method: str, symbol: str, params: Mapping[str, object], id_: dict[str, object], now_ms: int
    ) -> list[Command]:
        """One symbol of a request."""
        channel, depth = str(params["channel"]), params.get("depth", 10)
        name, about = f"{channel}:{symbol}", {"method": method, **id_, "symbol": symbol}
        if self._feed.listing(symbol) is None:
            return [_refused(f"Currency pair not supported {symbol}", about, now_ms)]
        if channel == "book" and depth not in DEPTHS:
            return [_refused("Subscription depth not supported", about, now_ms)]
        if (method == "subscribe") is (name in self._names):
            return [
                _refused("Already subscribed" if method == "subscribe" else "Subscription Not Found", about, now_ms)
            ]
        result: dict[str, object] = {"channel": channel, "symbol": symbol}
        if channel == "book":
            result["depth"] = depth
        if method == "subscribe":
            result["snapshot"] = bool(params.get("snapshot", channel == "book"))
        ack = Send(compact({"method": method, "result": result, "success": True, **_times(now_ms), **id_}))
        if method == "unsubscribe":
            del self._names[name]
            return [ack]
        levels = depth if channel == "book" and isinstance(depth, int) else 0
        stream = Stream(symbol, "book" if channel == "book" else "agg_trade", 0, levels)
        first = self._begun(name, stream, now_ms)
        return [ack, *(first if result["snapshot"] else ())]


@dataclass(frozen=True)
class KrakenVenue:
    """Spot pairs. A listing's symbol is that of the socket, which is the unified one."""

    id: str = "kraken"
    limits: Limits = LIMITS
    wire: KrakenWire = field(default_factory=KrakenWire)

    def connect(self, path: str, query: Mapping[str, str], feed: Feed) -> Desk | None:
        return KrakenDesk(feed) if path == "/v2" else None

    def listings(self, symbols: Sequence[str]) -> list[Listing]:
        made = [kraken_listing(text) for text in symbols]
        return list({item.symbol: item for item in made}.values())

    def snapshot_stream(self, request: Request) -> str | None:
        pair = request.query.get("pair", "")
        return f"book:{pair}" if request.path == "/0/public/Depth" and pair else None

    def rest(self, request: Request, feed: Feed, meter: Meter, now_ms: int) -> Answer:
        if meter.spend(1, now_ms):
            return Answer(200, compact({"error": ["EGeneral:Too many requests"]}))
        if request.path == "/0/public/Time":
            return Answer(200, compact({"error": [], "result": {"unixtime": now_ms // 1000}}))
        if request.path == "/0/public/AssetPairs":
            result = {pair_id(item): _asset_pair(item) for item in feed.listings()}
            return Answer(200, compact({"error": [], "result": result}))
        if request.path == "/0/public/Depth":
            pair, count = request.query.get("pair", ""), request.query.get("count", "100")
            found = [item for item in feed.listings() if pair in (pair_id(item), _altname(item), _wsname(item))]
            limit = min(int(count), 500) if count.isdecimal() else 100
            text = feed.snapshot(found[0].symbol, limit, now_ms) if found else None
            return Answer(200, text or compact({"error": ["EQuery:Unknown asset pair"]}))
        return Answer(404, compact({"error": ["EGeneral:Unknown method"]}))


def kraken_listing(text: str) -> Listing:
    """Spot, whatever is settled elsewhere. ValueError if the text is no symbol."""
    base, quote, _ = asked(text)
    name = f"{base}/{quote}"
    return listing(name, name, (base, quote), (by_base(TICKS, base), LOT))


def pair_id(item: Listing) -> str:
    """`XXBTZUSD`, but `XBTUSDT` and `SOLUSD`: only pairs of two old assets keep their prefixes."""
    if item.base in OLD_ASSETS and item.quote in OLD_ASSETS:
        return OLD_ASSETS[item.base] + OLD_ASSETS[item.quote]
    return _altname(item)


def _altname(item: Listing) -> str:
    return _wsname(item).replace("/", "")


def _wsname(item: Listing) -> str:
    return "/".join(ALTNAMES.get(part, part) for part in (item.base, item.quote))


def _asset_pair(item: Listing) -> dict[str, object]:
    """One entry of `AssetPairs`, with every field that ccxt 4.5 reads."""
    base, quote = (OLD_ASSETS.get(part, part) for part in (item.base, item.quote))
    return {
        "altname": _altname(item),
        "wsname": _wsname(item),
        "aclass_base": "currency",
        "base": base,
        "aclass_quote": "currency",
        "quote": quote,
        "lot": "unit",
        "pair_decimals": item.price_decimals,
        "lot_decimals": item.size_decimals,
        "lot_multiplier": 1,
        "leverage_buy": [],
        "leverage_sell": [],
        "fees": [[0, 0.4]],
        "fees_maker": [[0, 0.25]],
        "fee_volume_currency": "ZUSD",
        "margin_call": 80,
        "margin_stop": 40,
        "ordermin": "0.00005",
        "costmin": "0.5",
        "tick_size": trimmed(tick_size(item)),
        "status": "cancel_only" if item.halted else "online",
    }


def _pair(item: Listing) -> dict[str, object]:
    """One pair of the `instrument` channel."""
    return {
        "symbol": item.symbol,
        "base": item.base,
        "quote": item.quote,
        "status": "cancel_only" if item.halted else "online",
        "qty_precision": item.size_decimals,
        "qty_increment": float(LOT),
        "price_precision": item.price_decimals,
        "cost_precision": 5,
        "marginable": False,
        "has_index": True,
        "cost_min": 0.5,
        "price_increment": float(tick_size(item)),
        "qty_min": 0.00005,
    }


def _levels(listing: Listing, levels: Sequence[Level]) -> str:
    """Numbers with all their decimals."""
    texts = [f'{{"price":{listing.price(tick)},"qty":{listing.size(lots)}}}' for tick, lots in levels]
    return f"[{','.join(texts)}]"


def _prints(listing: Listing, trade: Trade, ms: int) -> list[str]:
    return [
        f'{{"symbol":"{listing.symbol}","side":"{trade.taker}","price":{listing.price(trade.tick)},'
        f'"qty":{listing.size(lots)},"ord_type":"market","trade_id":{trade.first_id + i},"timestamp":"{utc(ms)}"}}'
        for i, lots in enumerate(trade.fills)
    ]


def _trades(kind: str, prints: Sequence[str]) -> str:
    return f'{{"channel":"trade","type":"{kind}","data":[{",".join(prints)}]}}'


def _times(now_ms: int) -> dict[str, str]:
    return {"time_in": utc(now_ms), "time_out": utc(now_ms)}


def _refused(error: str, about: Mapping[str, object], now_ms: int) -> Send:
    return Send(compact({"error": error, **about, "success": False, **_times(now_ms)}))


KRAKEN = KrakenVenue()
