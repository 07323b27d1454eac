"""Simulated Gate (API v4): spot and perpetuals in USDT, diffs that follow each other and an image by REST.

Sources: Gate API v4 documents "Spot WebSocket v4", "Futures WebSocket v4", "Spot" and "Futures" (stored copies of
2025), the recordings of 2021-04 and 2023-05, ccxt 4.5 `gate` (with refusals as they came: of spot in 2025-02, with the
payload, of futures in 2022-03, without). A list of symbols is refused as a whole for one of them. The class of the
diffs is that of 100 ms only; nothing is known of a cut for silence, so nobody is cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from imbalanced.sim.desk import PlainDesk, json_object
from imbalanced.sim.grids import asked, by_base, compact, listing, places, tick_size, trimmed
from imbalanced.sim.market import Level, Trade
from imbalanced.sim.venue import (
    Answer,
    Batch,
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
    StreamKind,
    Wire,
)

Family = Literal["spot", "futures"]

LIMITS = Limits(0, 0, 0, 0, inbound_per_s=0, max_streams=1000, weight_per_minute=1200)
MALFORMED, INVALID = 1, 2  # codes of a refusal
EVERY_MS, EVERY = 100, "100ms"
LEVELS_OF_CLASS = "100"
MOST_LEVELS = 1000
TOO_MANY = "TOO_MANY_REQUESTS"
GRIDS = {
    "BTC": ("0.1", "0.00001"),
    "ETH": ("0.01", "0.0001"),
    "SOL": ("0.01", "0.001"),
    "DOGE": ("0.00001", "0.01"),
    "XRP": ("0.0001", "0.01"),
    "": ("0.001", "0.001"),
}
# Of perpetuals: price step, and what a contract is worth of the base.
CONTRACTS = {
    "BTC": ("0.1", "0.0001"),
    "ETH": ("0.01", "0.01"),
    "SOL": ("0.01", "1"),
    "DOGE": ("0.00001", "10"),
    "XRP": ("0.0001", "10"),
    "": ("0.001", "1"),
}
CHANNELS: dict[str, tuple[StreamKind, int]] = {
    "spot.order_book_update": ("depth", EVERY_MS),
    "spot.trades": ("trade", 0),
    "futures.order_book_update": ("depth", EVERY_MS),
    "futures.trades": ("agg_trade", 0),
    "futures.tickers": ("mark", 1000),
}
PATHS: dict[Family, tuple[str, str, str, str]] = {  # socket, book, key of a symbol, symbols that are not listed
    "spot": ("/ws/v4/", "/api/v4/spot/order_book", "currency_pair", "INVALID_CURRENCY_PAIR"),
    "futures": ("/v4/ws/usdt", "/api/v4/futures/usdt/order_book", "contract", "CONTRACT_NOT_FOUND"),
}


@dataclass(frozen=True)
class GateWire(Wire):
    """Texts of one family. A change has an id, a message tells the range of its ids."""

    family: Family

    intervals = (EVERY_MS,)
    contexts = (("mark", 1000),)

    def depth(self, listing: Listing, batch: Batch, sent_ms: int) -> str:
        bids, asks = (self._levels(listing, side.items()) for side in (batch.bids, batch.asks))
        spot = f'"e":"depthUpdate","E":{sent_ms // 1000},' if self.family == "spot" else ""
        data = (
            f'{{"t":{batch.ms},{spot}"s":"{listing.symbol}","U":{batch.first_id},"u":{batch.last_id},'
            f'"b":{bids},"a":{asks}}}'
        )
        return self._update("order_book_update", data, sent_ms)

    def snapshot(self, listing: Listing, image: Image, sent_ms: int) -> str:
        asks, bids = (self._levels(listing, side) for side in (image.asks, image.bids))
        now, then = (sent_ms, image.ms) if self.family == "spot" else (sent_ms / 1000, image.ms / 1000)
        return f'{{"id":{image.last_id},"current":{now},"update":{then},"asks":{asks},"bids":{bids}}}'

    def trades(self, listing: Listing, trade: Trade, ms: int, sent_ms: int) -> Sequence[str]:
        """Spot: one frame a fill."""
        price = listing.price(trade.tick)
        return [
            self._update(
                "trades",
                f'{{"id":{trade.first_id + i},"create_time":{ms // 1000},"create_time_ms":"{ms}.{i:03}",'
                f'"side":"{trade.taker}","currency_pair":"{listing.symbol}","amount":"{listing.size(lots)}",'
                f'"price":"{price}"}}',
                sent_ms,
            )
            for i, lots in enumerate(trade.fills)
        ]

    def agg_trade(self, listing: Listing, trade: Trade, ms: int, sent_ms: int) -> str:
        """Perpetuals: contracts, below 0 where the taker sold."""
        sign = "" if trade.taker == "buy" else "-"
        rows = [
            f'{{"size":{sign}{lots},"id":{trade.first_id + i},"create_time":{ms // 1000},"create_time_ms":{ms},'
            f'"price":"{trimmed(listing.price(trade.tick))}","contract":"{listing.symbol}"}}'
            for i, lots in enumerate(trade.fills)
        ]
        return self._update("trades", f"[{','.join(rows)}]", sent_ms)

    def context(self, listing: Listing, stream: Stream, mark: Mark, sent_ms: int) -> str:
        unit = float(tick_size(listing))
        price, index = (f"{value * unit:.{listing.price_decimals + 1}f}" for value in (mark.price, mark.index))
        ticker = {
            "contract": listing.symbol,
            "last": price,
            "change_percentage": "0.5",
            "funding_rate": f"{mark.funding:.6f}",
            "funding_rate_indicative": f"{mark.funding:.6f}",
            "mark_price": price,
            "index_price": index,
            "total_size": str(mark.open_lots),
            "volume_24h": "1000000",
            "quanto_base_rate": "",
        }
        return self._update("tickers", compact([ticker]), sent_ms)

    def _levels(self, listing: Listing, levels: Iterable[Level]) -> str:
        rows = []
        for tick, lots in levels:
            price = trimmed(listing.price(tick))
            if self.family == "spot":
                rows.append(f'["{price}","{trimmed(listing.size(lots)) if lots else 0}"]')
            else:
                rows.append(f'{{"p":"{price}","s":{lots}}}')
        return f"[{','.join(rows)}]"

    def _update(self, channel: str, data: str, sent_ms: int) -> str:
        return (
            f'{{"time":{sent_ms // 1000},"time_ms":{sent_ms},"channel":"{self.family}.{channel}","event":"update",'
            f'"result":{data}}}'
        )


class GateDesk(PlainDesk):
    """One socket. Subscriptions are called `spot.order_book_update:BTC_USDT`."""

    def __init__(self, feed: Feed, family: Family) -> None:
        super().__init__(feed)
        self._family = family

    def receive(self, text: str, now_ms: int) -> Sequence[Command]:
        message = json_object(text)
        if message is None:
            return [_said(now_ms, "", "", error=(MALFORMED, "invalid request body"))]
        channel, event = str(message.get("channel")), str(message.get("event"))
        if channel == f"{self._family}.ping":
            return [_said(now_ms, f"{self._family}.pong", "")]
        payload = message.get("payload")
        if event not in ("subscribe", "unsubscribe") or not isinstance(payload, list) or not payload:
            return [_said(now_ms, channel, event, error=(MALFORMED, "invalid event or payload"))]
        if channel not in CHANNELS or not channel.startswith(f"{self._family}."):
            return [_said(now_ms, channel, event, error=(INVALID, f"unknown channel {channel}"))]
        return self._channel(channel, event, [str(one) for one in payload], now_ms)

    def _channel(self, channel: str, event: str, payload: list[str], now_ms: int) -> Sequence[Command]:
        kind, interval = CHANNELS[channel]
        symbols = payload
        if kind == "depth":
            symbols, about = payload[:1], payload[1:]
            if about not in ([EVERY], [EVERY, LEVELS_OF_CLASS]):
                return [_said(now_ms, channel, event, error=(INVALID, f"invalid argument {about}"))]
        unknown = [symbol for symbol in symbols if self._feed.listing(symbol) is None]
        if unknown:
            if self._family == "futures":
                return [_said(now_ms, channel, event, error=(INVALID, f"unknown contract {unknown[0]}"))]
            error = (INVALID, f"unknown currency pair: {unknown[0]}")
            return [_said(now_ms, channel, event, error=error, result={"status": "fail"}, payload=payload)]
        said: list[Command] = [_said(now_ms, channel, event, result={"status": "success"})]
        for symbol in symbols:
            name = f"{channel}:{symbol}"
            if event == "unsubscribe":
                self._names.pop(name, None)
            elif name not in self._names:
                said += self._begun(name, Stream(symbol, kind, interval), now_ms)
        return said


@dataclass(frozen=True)
class GateVenue:
    """One family of Gate's markets."""

    id: str
    family: Family
    wire: Wire
    limits: Limits = LIMITS

    def connect(self, path: str, query: Mapping[str, str], feed: Feed) -> Desk | None:
        return GateDesk(feed, self.family) if path == PATHS[self.family][0] else None

    def listings(self, symbols: Sequence[str]) -> list[Listing]:
        made = [gate_listing(text, self.family) for text in symbols]
        return list({item.symbol: item for item in made}.values())

    def snapshot_stream(self, request: Request) -> str | None:
        _, path, key, _ = PATHS[self.family]
        symbol = request.query.get(key, "")
        return f"{self.family}.order_book_update:{symbol}" if request.path == path and symbol else None

    def rest(self, request: Request, feed: Feed, meter: Meter, now_ms: int) -> Answer:
        if meter.spend(1, now_ms):
            return _refused(429, TOO_MANY, "Request Rate limit Exceeded")
        if request.path == "/api/v4/margin/currency_pairs":
            return Answer(200, "[]")
        if self.family == "spot" and request.path == "/api/v4/spot/currency_pairs":
            return Answer(200, compact([_pair(item) for item in feed.listings()]))
        if self.family == "futures" and request.path == "/api/v4/futures/usdt/contracts":
            return Answer(200, compact([_contract(item) for item in feed.listings()]))
        _, path, key, unknown = PATHS[self.family]
        if request.path != path:
            return _refused(404, "NOT_FOUND", "no such path")
        symbol, limit = request.query.get(key, ""), request.query.get("limit", "10")
        if feed.listing(symbol) is None:
            return _refused(400, unknown, f"Invalid {key}: {symbol}")
        if not limit.isdecimal() or not 0 < int(limit) <= MOST_LEVELS:
            return _refused(400, "INVALID_PARAM_VALUE", f"Invalid limit: {limit}")
        text = feed.snapshot(symbol, int(limit), now_ms) or ""
        if request.query.get("with_id") != "true":
            text = "{" + text.partition(",")[2]
        return Answer(200, text)


def gate_listing(text: str, family: Family) -> Listing:
    """A pair, or the perpetual in USDT of its base. ValueError if the text is no symbol."""
    base, quote, _ = asked(text)
    if family == "spot":
        return listing(f"{base}_{quote}", f"{base}/{quote}", (base, quote), by_base(GRIDS, base))
    tick, worth = by_base(CONTRACTS, base)
    unified = f"{base}/USDT:USDT"
    return listing(f"{base}_USDT", unified, (base, "USDT"), (tick, "1"), contract=worth)


def _pair(item: Listing) -> dict[str, object]:
    """One entry of the list of pairs, with every field that ccxt 4.5 reads."""
    return {
        "id": item.symbol,
        "base": item.base,
        "base_name": item.base,
        "quote": item.quote,
        "quote_name": item.quote,
        "fee": "0.2",
        "min_base_amount": "0.00001",
        "min_quote_amount": "3",
        "max_quote_amount": "5000000",
        "amount_precision": item.size_decimals,
        "precision": places(tick_size(item)),
        "trade_status": "tradable",
        "sell_start": 0,
        "buy_start": 0,
        "type": "normal",
    }


def _contract(item: Listing) -> dict[str, object]:
    """One entry of the list of contracts, with every field that ccxt 4.5 reads."""
    price = str(Decimal(tick_size(item)) * item.start_tick)
    return {
        "name": item.symbol,
        "type": "direct",
        "quanto_multiplier": item.contract,
        "order_price_round": trimmed(tick_size(item)),
        "mark_price_round": trimmed(tick_size(item)),
        "order_price_deviate": "0.1",
        "mark_price": price,
        "index_price": price,
        "last_price": price,
        "order_size_min": 1,
        "order_size_max": 1_000_000,
        "leverage_min": "1",
        "leverage_max": "100",
        "funding_rate": "0.0001",
        "funding_interval": 28_800,
        "in_delisting": False,
        "status": "trading",
        "enable_decimal": False,
        "create_time": 0,
    }


def _said(
    now_ms: int,
    channel: str,
    event: str,
    *,
    error: tuple[int, str] | None = None,
    result: object = None,
    payload: Sequence[str] = (),
) -> Send:
    """An answer of the socket. Only a refusal has an error; ``payload``: what was asked."""
    why = None if error is None else {"code": error[0], "message": error[1]}
    about: dict[str, object] = {"time": now_ms // 1000, "time_ms": now_ms, "channel": channel, "event": event}
    if payload:
        about["payload"] = list(payload)
    return Send(compact({**about, "error": why, "result": result}))


def _refused(status: int, label: str, message: str) -> Answer:
    return Answer(status, compact({"label": label, "message": message}))


GATE = GateVenue("gate", "spot", GateWire("spot"))
GATE_FUTURES = GateVenue("gate_futures", "futures", GateWire("futures"))
