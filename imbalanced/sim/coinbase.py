"""Simulated Coinbase Exchange: books that nothing numbers, matches that count up, a heartbeat of each product.

Sources: docs.cdp.coinbase.com "Exchange WebSocket overview", "channels", "errors", "Get all trading pairs" and "Get
product book" (stored 2026-07 to 2026-09), the recording of 2021-04, ccxt 4.5 `coinbaseexchange`. `level2`, `level3` and
`full` want a key, and nobody has one here. A client that has not subscribed within five seconds is cut. Reasons of
refusals but that of an unknown product are unconfirmed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from imbalanced.sim.desk import PlainDesk, json_object
from imbalanced.sim.grids import asked, by_base, compact, listing, lot_size, tick_size, utc
from imbalanced.sim.market import Level, Trade
from imbalanced.sim.venue import (
    Answer,
    Changes,
    Close,
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
    Tell,
    Wire,
)

LIMITS = Limits(0, 0, 0, 0, inbound_per_s=100, max_streams=1000, weight_per_minute=600)
FIRST_WORD_MS = 5_000
BATCH_MS = 50
OPEN, LOCKED = ("level2_batch", "matches", "heartbeat"), ("level2", "level3", "full", "user")
GRIDS = {
    "BTC": ("0.01", "0.00000001"),
    "ETH": ("0.01", "0.00000001"),
    "SOL": ("0.01", "0.00000001"),
    "DOGE": ("0.00001", "0.1"),
    "XRP": ("0.0001", "0.000001"),
    "": ("0.001", "0.001"),
}
MAKERS = {"buy": "sell", "sell": "buy"}
SEQUENCES = 7  # of a product's order messages, between one match and the next
_MATCH = re.compile(r'"type":"(?:last_)?match","trade_id":(\d+)')
_BOOK_PATH = re.compile(r"/products/([^/]+)/book")


class Refused(Exception):
    """A request cannot be met: the reason of the answer."""


class CoinbaseWire(Wire):
    """Texts of the channels. A change says a level's size and nothing of what was before it."""

    def image(self, listing: Listing, stream: Stream, image: Image, sent_ms: int) -> str:
        asks, bids = (_levels(listing, side) for side in (image.asks, image.bids))
        time = utc(sent_ms)
        return f'{{"type":"snapshot","product_id":"{listing.symbol}","asks":[{asks}],"bids":[{bids}],"time":"{time}"}}'

    def changes(self, listing: Listing, stream: Stream, changes: Changes, sent_ms: int) -> str:
        told = ",".join(
            f'["{side}","{listing.price(one.tick)}","{listing.size(one.lots)}"]'
            for side, levels in (("buy", changes.bids), ("sell", changes.asks))
            for one in levels
        )
        return f'{{"type":"l2update","product_id":"{listing.symbol}","changes":[{told}],"time":"{utc(changes.ms)}"}}'

    def trades(self, listing: Listing, trade: Trade, ms: int, sent_ms: int) -> Sequence[str]:
        return [_match("match", listing, trade, i, ms) for i in range(len(trade.fills))]

    def history(self, listing: Listing, stream: Stream, past: Sequence[tuple[int, Trade]], sent_ms: int) -> str:
        """The latest match, if there was one yet."""
        if not past:
            return ""
        ms, trade = past[-1]
        return _match("last_match", listing, trade, len(trade.fills) - 1, ms)

    def snapshot(self, listing: Listing, image: Image, sent_ms: int) -> str:
        bids, asks = (
            ",".join(f'["{listing.price(tick)}","{listing.size(lots)}",{1 + lots % 3}]' for tick, lots in side)
            for side in (image.bids, image.asks)
        )
        return f'{{"bids":[{bids}],"asks":[{asks}],"sequence":{image.last_id},"time":"{utc(image.ms)}"}}'


class CoinbaseDesk(PlainDesk):
    """One socket. Subscriptions are called `level2_batch:BTC-USD`."""

    tick_ms = 1000

    def __init__(self, feed: Feed) -> None:
        super().__init__(feed)
        self._opened_ms = 0
        self._spoken = False
        self._last_trades: dict[str, int] = {}

    def opened(self, now_ms: int) -> Sequence[Command]:
        self._opened_ms = now_ms
        return ()

    def receive(self, text: str, now_ms: int) -> Sequence[Command]:
        message = json_object(text)
        if message is None:
            return [_error("Malformed JSON", "")]
        kind = message.get("type")
        if kind not in ("subscribe", "unsubscribe"):
            return [_error("Type has to be either subscribe or unsubscribe", "")]
        try:
            wanted = list(self._wanted(message))
        except Refused as why:
            return [_error(f"Failed to {kind}", str(why))]
        first: list[Command] = []
        for channel, symbol in wanted:
            if kind == "subscribe":
                self._spoken = True
                first += self._one(channel, symbol, now_ms)
            else:
                self._names.pop(f"{channel}:{symbol}", None)
        return [self._subscribed(), *first]

    def due(self, alive_ms: int) -> Sequence[Command]:
        """A heartbeat of each product that has one asked for."""
        if not self._spoken:
            return [Close(1008, "no subscription")] if alive_ms >= FIRST_WORD_MS else ()
        now_ms = self._opened_ms + alive_ms
        symbols = [name.partition(":")[2] for name in self._names if name.startswith("heartbeat:")]
        return [self._beat(symbol, now_ms) for symbol in symbols]

    def envelope(self, name: str, frame: Frame) -> str:
        found = _MATCH.search(frame.payload)
        if found is not None:
            self._last_trades[frame.stream.symbol] = int(found[1])
        return frame.payload

    def _wanted(self, message: Mapping[str, object]) -> Iterator[tuple[str, str]]:
        """Channel and product, each. A channel may be a name, or a name and products of its own."""
        channels = message.get("channels")
        if not isinstance(channels, list) or not channels:
            raise Refused("no channels provided")
        for channel in channels:
            own = channel if isinstance(channel, dict) else {"name": channel}
            name, symbols = str(own.get("name")), own.get("product_ids", message.get("product_ids"))
            if name in LOCKED:
                raise Refused(f"{name} channel requires authentication")
            if name not in OPEN:
                raise Refused(f"{name} is not a valid channel")
            if not isinstance(symbols, list) or not symbols:
                raise Refused("product_ids must be provided")
            for symbol in map(str, symbols):
                if self._feed.listing(symbol) is None:
                    raise Refused(f"{symbol} is not a valid product")
                yield name, symbol

    def _one(self, channel: str, symbol: str, now_ms: int) -> list[Command]:
        name = f"{channel}:{symbol}"
        if name in self._names:
            return []
        if channel == "heartbeat":
            self._names[name] = None  # told by the clock of the socket
            return []
        stream = Stream(symbol, "book", BATCH_MS) if channel == "level2_batch" else Stream(symbol, "trade")
        return self._begun(name, stream, now_ms)

    def _subscribed(self) -> Send:
        """Everything that this socket has by now."""
        by_channel: dict[str, list[str]] = {}
        for name in self._names:
            channel, _, symbol = name.partition(":")
            by_channel.setdefault(channel, []).append(symbol)
        channels = [{"name": name, "product_ids": symbols} for name, symbols in by_channel.items()]
        return Send(compact({"type": "subscriptions", "channels": channels}))

    def _beat(self, symbol: str, now_ms: int) -> Tell:
        """Never of a match that this socket has still to be told."""
        if f"matches:{symbol}" not in self._names:
            latest = self._feed.begin(Stream(symbol, "trade"), now_ms)
            found = _MATCH.search(latest.payload) if latest is not None else None
            self._last_trades[symbol] = int(found[1]) if found is not None else 0
        last = self._last_trades.get(symbol, 0)
        about = {"sequence": last * SEQUENCES + 1, "last_trade_id": last, "product_id": symbol, "time": utc(now_ms)}
        return Tell(f"heartbeat:{symbol}", Frame(Stream(symbol, "trade"), compact({"type": "heartbeat", **about})))


@dataclass(frozen=True)
class CoinbaseVenue:
    """Spot pairs."""

    id: str = "coinbase"
    limits: Limits = LIMITS
    wire: Wire = field(default_factory=CoinbaseWire)

    def connect(self, path: str, query: Mapping[str, str], feed: Feed) -> Desk | None:
        return CoinbaseDesk(feed) if path == "/" else None

    def listings(self, symbols: Sequence[str]) -> list[Listing]:
        made = [coinbase_listing(text) for text in symbols]
        return list({item.symbol: item for item in made}.values())

    def snapshot_stream(self, request: Request) -> str | None:
        found = _BOOK_PATH.fullmatch(request.path)
        return f"level2_batch:{found[1]}" if found is not None else None

    def rest(self, request: Request, feed: Feed, meter: Meter, now_ms: int) -> Answer:
        if meter.spend(1, now_ms):
            return _refused(429, "Public rate limit exceeded")
        if request.path == "/time":
            return Answer(200, compact({"iso": utc(now_ms), "epoch": now_ms / 1000}))
        if request.path == "/products":
            return Answer(200, compact([_product(item) for item in feed.listings()]))
        found = _BOOK_PATH.fullmatch(request.path)
        if found is None or feed.listing(found[1]) is None:
            return _refused(404, "NotFound")
        level = request.query.get("level", "1")
        if level not in ("1", "2"):
            return _refused(400, "Invalid level")
        return Answer(200, feed.snapshot(found[1], 1 if level == "1" else 1_000_000, now_ms) or "")


def coinbase_listing(text: str) -> Listing:
    """Spot, whatever is settled elsewhere. ValueError if the text is no symbol."""
    base, quote, _ = asked(text)
    return listing(f"{base}-{quote}", f"{base}/{quote}", (base, quote), by_base(GRIDS, base))


def _product(item: Listing) -> dict[str, object]:
    """One entry of the product list, with every field that ccxt 4.5 reads."""
    return {
        "id": item.symbol,
        "base_currency": item.base,
        "quote_currency": item.quote,
        "quote_increment": tick_size(item),
        "base_increment": lot_size(item),
        "display_name": f"{item.base}-{item.quote}",
        "min_market_funds": "1",
        "margin_enabled": False,
        "post_only": False,
        "limit_only": False,
        "cancel_only": False,
        "status": "online",
        "status_message": "",
        "trading_disabled": False,
        "fx_stablecoin": False,
        "auction_mode": False,
    }


def _levels(listing: Listing, levels: Sequence[Level]) -> str:
    return ",".join(f'["{listing.price(tick)}","{listing.size(lots)}"]' for tick, lots in levels)


def _match(kind: str, listing: Listing, trade: Trade, fill: int, ms: int) -> str:
    """`side` is the maker's."""
    id_ = trade.first_id + fill
    maker, taker = (f"9d2861bd-1703-47f2-{half}-{id_:012x}" for half in ("a7f4", "b3de"))
    return (
        f'{{"type":"{kind}","trade_id":{id_},"maker_order_id":"{maker}","taker_order_id":"{taker}",'
        f'"side":"{MAKERS[trade.taker]}","size":"{listing.size(trade.fills[fill])}",'
        f'"price":"{listing.price(trade.tick)}","product_id":"{listing.symbol}","sequence":{id_ * SEQUENCES},'
        f'"time":"{utc(ms)}"}}'
    )


def _error(message: str, reason: str) -> Send:
    return Send(json.dumps({"type": "error", "message": message} | ({"reason": reason} if reason else {})))


def _refused(status: int, message: str) -> Answer:
    return Answer(status, compact({"message": message}))


COINBASE = CoinbaseVenue()
