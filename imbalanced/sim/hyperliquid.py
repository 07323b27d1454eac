"""Simulated Hyperliquid perpetuals: whole images by the clock, one coin a subscription, history before trades.

Sources: Hyperliquid docs (gitbook copies of 2026: "WebSocket subscriptions", "Timeouts and heartbeats", "Info
endpoint"), recorded frames of 2024-10 to 2026-10, ccxt 4.5 `hyperliquid` (POST /info). Since 2026-07-25 `l2Book` comes
every 5 s with 20 levels a side, with `fast` every 0.5 s with 5. An array of coins is ignored without a word; a client
that says nothing for 60 s is cut. Error texts as recorded by connectors.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from imbalanced.sim.desk import PlainDesk, Silence, json_object
from imbalanced.sim.grids import LEVELS, OTHER_LEVEL, asked, by_base, compact, listing, lot_size, tick_size, trimmed
from imbalanced.sim.market import Level, Trade
from imbalanced.sim.venue import (
    Answer,
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

LIMITS = Limits(0, 0, 0, 0, inbound_per_s=0, max_streams=1000, weight_per_minute=1200)
SILENCE_MS = 60_000
SLOW, FAST = (5000, 20), (500, 5)  # interval ms, levels
# Decimals of sizes; prices have five significant digits and no more than six decimals less those.
SIZE_DECIMALS = {"BTC": 5, "ETH": 4, "SOL": 2, "BNB": 3, "XRP": 0, "DOGE": 0, "ADA": 0, "": 2}
SIGNIFICANT, MOST_DECIMALS = 5, 6
SIDES = {"buy": "B", "sell": "A"}
USERS = '["0x0000000000000000000000000000000000000001","0x0000000000000000000000000000000000000002"]'


class HyperliquidWire(Wire):
    """Texts of the channels. Nothing is numbered: an image is the whole book as of its `time`."""

    images = (SLOW, FAST)
    contexts = (("mark", 1000),)

    def image(self, listing: Listing, stream: Stream, image: Image, sent_ms: int) -> str:
        bids, asks = (_levels(listing, side) for side in (image.bids, image.asks))
        fast = ',"fast":true' if (stream.interval_ms, stream.levels) == FAST else ""
        data = f'{{"coin":"{listing.symbol}","time":{sent_ms},"levels":[{bids},{asks}]{fast}}}'
        return f'{{"channel":"l2Book","data":{data}}}'

    def bbo(self, listing: Listing, image: Image, sent_ms: int) -> str:
        best = ",".join(_level(listing, side[0]) for side in (image.bids, image.asks))
        return f'{{"channel":"bbo","data":{{"coin":"{listing.symbol}","time":{image.ms},"bbo":[{best}]}}}}'

    def agg_trade(self, listing: Listing, trade: Trade, ms: int, sent_ms: int) -> str:
        return _trades(_prints(listing, trade, ms))

    def history(self, listing: Listing, stream: Stream, past: Sequence[tuple[int, Trade]], sent_ms: int) -> str:
        """The latest trades, as one frame like any other."""
        prints = [text for ms, trade in past for text in _prints(listing, trade, ms)]
        return _trades(prints[-30:]) if prints else ""

    def context(self, listing: Listing, stream: Stream, mark: Mark, sent_ms: int) -> str:
        unit, held = float(tick_size(listing)), mark.open_lots * float(lot_size(listing))
        price, index = f"{mark.price * unit:.4f}", f"{mark.index * unit:.4f}"
        context = {
            "funding": f"{mark.funding / 8:.10f}",  # per hour
            "openInterest": f"{held:.5f}",
            "prevDayPx": index,
            "dayNtlVlm": "1169046.29",
            "premium": "0.00031774",
            "oraclePx": index,
            "markPx": price,
            "midPx": price,
            "impactPxs": [price, price],
            "dayBaseVlm": "1000.0",
        }
        return compact({"channel": "activeAssetCtx", "data": {"coin": listing.symbol, "ctx": context}})


class HyperliquidDesk(PlainDesk):
    """One socket. Subscriptions are called `trades:BTC`, a fast book `l2Book:BTC@fast`."""

    tick_ms = 1000

    def __init__(self, feed: Feed) -> None:
        super().__init__(feed)
        self._silence = Silence(SILENCE_MS)

    def receive(self, text: str, now_ms: int) -> Sequence[Command]:
        self._silence.broken()
        message = json_object(text)
        method = (message or {}).get("method")
        if method == "ping":
            return [Send('{"channel":"pong"}')]
        wanted = (message or {}).get("subscription")
        if method not in ("subscribe", "unsubscribe") or not isinstance(wanted, dict):
            return [_error(f"Error parsing JSON into valid websocket request: {text[:200]}")]
        if isinstance(wanted.get("coin"), list):
            return ()
        return self._one(str(method), wanted, now_ms)

    def due(self, alive_ms: int) -> Sequence[Command]:
        return [Close(1000, "Inactive")] if self._silence.over(alive_ms) else ()

    def _one(self, method: str, wanted: Mapping[str, object], now_ms: int) -> Sequence[Command]:
        stream, told = self._stream(wanted), compact(wanted)
        if stream is None:
            return [_error(f"Invalid subscription {told}")]
        name = f"{wanted['type']}:{stream.symbol}" + ("@fast" if wanted.get("fast") is True else "")
        if method == "subscribe" and name in self._names:
            return [_error(f"Already subscribed: {told}")]
        if method == "unsubscribe" and name not in self._names:
            return [_error(f"Already unsubscribed: {told}")]
        data = {"method": method, "subscription": wanted}
        ack = Send(compact({"channel": "subscriptionResponse", "data": data}))
        if method == "unsubscribe":
            del self._names[name]
            return [ack]
        return [ack, *self._begun(name, stream, now_ms)]

    def _stream(self, wanted: Mapping[str, object]) -> Stream | None:
        coin, kind = str(wanted.get("coin")), wanted.get("type")
        if self._feed.listing(coin) is None:
            return None
        if kind == "l2Book":
            return Stream(coin, "image", *(FAST if wanted.get("fast") is True else SLOW))
        if kind == "activeAssetCtx":
            return Stream(coin, "mark", 1000)
        if kind == "trades":
            return Stream(coin, "agg_trade")
        return Stream(coin, "bbo") if kind == "bbo" else None


@dataclass(frozen=True)
class HyperliquidVenue:
    """Perpetuals, settled in USDC whatever is asked for."""

    id: str = "hyperliquid"
    limits: Limits = LIMITS
    wire: HyperliquidWire = field(default_factory=HyperliquidWire)

    def connect(self, path: str, query: Mapping[str, str], feed: Feed) -> Desk | None:
        return HyperliquidDesk(feed) if path == "/ws" else None

    def listings(self, symbols: Sequence[str]) -> list[Listing]:
        made = [hyperliquid_listing(text) for text in symbols]
        return list({item.symbol: item for item in made}.values())

    def snapshot_stream(self, request: Request) -> str | None:
        return None

    def rest(self, request: Request, feed: Feed, meter: Meter, now_ms: int) -> Answer:
        """`POST /info` with a JSON body that says what."""
        if meter.spend(2, now_ms):
            return Answer(429, "null")
        try:
            body = json.loads(request.body or "null")
        except ValueError:
            body = None
        if request.path != "/info" or request.method != "POST" or not isinstance(body, dict):
            return Answer(422, '"Failed to deserialize the JSON body into the target type"')
        universe = {"universe": [_asset(item) for item in feed.listings()]}
        if body.get("type") == "meta":
            return Answer(200, compact(universe))
        if body.get("type") == "metaAndAssetCtxs":
            return Answer(200, compact([universe, [{"markPx": _level_of(item)} for item in feed.listings()]]))
        if body.get("type") == "spotMetaAndAssetCtxs":
            return Answer(200, compact([{"universe": [], "tokens": []}, []]))
        return Answer(422, '"Failed to deserialize the JSON body into the target type"')


def hyperliquid_listing(text: str) -> Listing:
    """The perpetual of the base asset. ValueError if the text is no symbol."""
    base = asked(text).base
    decimals = by_base(SIZE_DECIMALS, base)
    level = Decimal(LEVELS.get(base, OTHER_LEVEL))
    places = max(0, min(SIGNIFICANT - 1 - level.adjusted(), MOST_DECIMALS - decimals))
    tick, lot = (f"{Decimal(1).scaleb(-one):f}" for one in (places, decimals))
    return listing(base, f"{base}/USDC:USDC", (base, "USDC"), (tick, lot))


def _asset(item: Listing) -> dict[str, object]:
    return {"szDecimals": item.size_decimals, "name": item.symbol, "maxLeverage": 40, "marginTableId": 56}


def _level_of(item: Listing) -> str:
    return LEVELS.get(item.base, OTHER_LEVEL)


def _level(listing: Listing, level: Level) -> str:
    tick, lots = level
    return f'{{"px":"{trimmed(listing.price(tick))}","sz":"{trimmed(listing.size(lots))}","n":{1 + lots % 7}}}'


def _levels(listing: Listing, levels: Sequence[Level]) -> str:
    return f"[{','.join(_level(listing, level) for level in levels)}]"


def _prints(listing: Listing, trade: Trade, ms: int) -> list[str]:
    price, side = trimmed(listing.price(trade.tick)), SIDES[trade.taker]
    return [
        f'{{"coin":"{listing.symbol}","side":"{side}","px":"{price}","sz":"{trimmed(listing.size(lots))}","time":{ms},'
        f'"hash":"0x{trade.agg_id:064x}","tid":{(trade.first_id + i) * 2_654_435_761 % 2**50},"users":{USERS}}}'
        for i, lots in enumerate(trade.fills)
    ]


def _trades(prints: Sequence[str]) -> str:
    return f'{{"channel":"trades","data":[{",".join(prints)}]}}'


def _error(why: str) -> Send:
    return Send(compact({"channel": "error", "data": why}))


HYPERLIQUID = HyperliquidVenue()
