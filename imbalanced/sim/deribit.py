"""Simulated Deribit: JSON-RPC on one socket, heartbeats that must be set and tests that must be answered.

Sources: docs.deribit.com, API v2.1.1 "Heartbeat", "Subscriptions", "book.{instrument_name}.{interval}" (stored
2026-07), nautilus test data, recorded frames of 2019 to 2025; ccxt 4.5 `deribit` (REST). With a heartbeat set, each
interval brings a `heartbeat`, and a `test_request` to a client that has said nothing in it; if that is not answered
before the next, the link is closed. `raw` channels need a login. Unconfirmed: the error code of `raw`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from imbalanced.sim.desk import PlainDesk, json_object
from imbalanced.sim.grids import asked, by_base, compact, listing, lot_size, tick_size, trimmed
from imbalanced.sim.market import Trade
from imbalanced.sim.venue import (
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
    StreamKind,
    Wire,
)

LIMITS = Limits(0, 0, 0, 0, inbound_per_s=0, max_streams=500, weight_per_minute=1200)
ABNORMAL = 1006
LEAST_HEARTBEAT_S = 10
INTERVALS = {"100ms": 100, "agg2": 1000}
INVERSE_GRIDS = {"BTC": ("0.5", "10"), "ETH": ("0.05", "1")}
LINEAR_GRIDS = {"BTC": ("0.5", "0.0001"), "ETH": ("0.05", "0.001"), "SOL": ("0.01", "0.1"), "": ("0.0001", "1")}
KINDS: dict[str, StreamKind] = {"book": "book", "trades": "agg_trade", "ticker": "mark"}
STATES = "instrument.state.any.any"
SERVICE = ("platform_state", STATES)
PERPETUAL_MS = 32_503_708_800_000


class DeribitWire(Wire):
    """Texts of the channels. Ids jump, and each message names the one before it."""

    contexts = (("mark", 1000), ("mark", 100))
    states = '"instrument.state'

    def update_id(self, id: int) -> int:
        # Irregular, strictly rising, and never by one.
        return id * 8 + (id * 40_503 >> 4) % 7

    def image(self, listing: Listing, stream: Stream, image: Image, sent_ms: int) -> str:
        bids, asks = (
            ",".join(f'["new",{_price(listing, tick)},{_size(listing, lots)}]' for tick, lots in side)
            for side in (image.bids, image.asks)
        )
        data = (
            f'{{"type":"snapshot","timestamp":{image.ms},"instrument_name":"{listing.symbol}",'
            f'"change_id":{image.last_id},"bids":[{bids}],"asks":[{asks}]}}'
        )
        return _push("book", listing, stream, data)

    def changes(self, listing: Listing, stream: Stream, changes: Changes, sent_ms: int) -> str:
        bids, asks = (
            ",".join(
                f'["{_action(one.lots, one.was)}",{_price(listing, one.tick)},{_size(listing, one.lots)}]'
                for one in side
            )
            for side in (changes.bids, changes.asks)
        )
        data = (
            f'{{"type":"change","timestamp":{changes.ms},"prev_change_id":{changes.previous_id},'
            f'"instrument_name":"{listing.symbol}","change_id":{changes.last_id},"bids":[{bids}],"asks":[{asks}]}}'
        )
        return _push("book", listing, stream, data)

    def agg_trade(self, listing: Listing, trade: Trade, ms: int, sent_ms: int) -> str:
        price, forced = _price(listing, trade.tick), ',"liquidation":"T"' if trade.forced else ""
        prints = ",".join(
            f'{{"trade_seq":{trade.first_id + i},"trade_id":"{trade.first_id + i}","timestamp":{ms},"tick_direction":0,'
            f'"price":{price},"mark_price":{price}{forced},"instrument_name":"{listing.symbol}","index_price":{price},'
            f'"direction":"{trade.taker}","amount":{_size(listing, lots)}}}'
            for i, lots in enumerate(trade.fills)
        )
        return _push("trades", listing, Stream(listing.symbol, "agg_trade"), f"[{prints}]")

    def trading(self, listing: Listing, sent_ms: int) -> tuple[str, str] | None:
        state = "deactivated" if listing.halted else "started"
        data = {"timestamp": sent_ms, "state": state, "instrument_name": listing.symbol}
        told = {"jsonrpc": "2.0", "method": "subscription", "params": {"channel": STATES, "data": data}}
        return STATES, compact(told)

    def context(self, listing: Listing, stream: Stream, mark: Mark, sent_ms: int) -> str:
        unit = float(tick_size(listing))
        data = {
            "timestamp": sent_ms,
            "state": "open",
            "open_interest": round(mark.open_lots * float(lot_size(listing)), 8),
            "mark_price": round(mark.price * unit, 4),
            "instrument_name": listing.symbol,
            "index_price": round(mark.index * unit, 4),
            "funding_8h": mark.funding,
            "current_funding": mark.funding,
        }
        return _push("ticker", listing, stream, compact(data))


class DeribitDesk(PlainDesk):
    """One socket. Subscriptions are called by their channels, `book.BTC-PERPETUAL.100ms`."""

    tick_ms = 1000

    def __init__(self, feed: Feed) -> None:
        super().__init__(feed)
        self._interval_ms = 0
        self._next_ms = 0
        self._alive_ms = 0
        self._spoken = False  # the client, since the last heartbeat
        self._tested = False

    def receive(self, text: str, now_ms: int) -> Sequence[Command]:
        self._spoken, self._tested = True, False
        call = json_object(text)
        if call is None:
            return [Send(compact({"jsonrpc": "2.0", "error": {"code": -32700, "message": "Parse error"}}))]
        params = call.get("params")
        told = params if isinstance(params, dict) else {}
        result, after = self._result(str(call.get("method")), told, now_ms)
        us = now_ms * 1000
        head = {"jsonrpc": "2.0", **({"id": call["id"]} if "id" in call else {})}
        return [Send(compact({**head, **result, "usIn": us, "usOut": us, "usDiff": 0, "testnet": False})), *after]

    def due(self, alive_ms: int) -> Sequence[Command]:
        self._alive_ms = alive_ms
        if not self._interval_ms or alive_ms < self._next_ms:
            return ()
        self._next_ms = alive_ms + self._interval_ms
        if self._tested:
            return [Close(ABNORMAL)]
        said: list[Command] = [_heartbeat("heartbeat")]
        if not self._spoken:
            self._tested = True
            said.append(_heartbeat("test_request"))
        self._spoken = False
        return said

    def _result(
        self, method: str, params: Mapping[str, object], now_ms: int
    ) -> tuple[dict[str, object], Sequence[Command]]:
        """What a call is answered with, and what follows."""
        if method == "public/set_heartbeat":
            interval = params.get("interval")
            if not isinstance(interval, int) or interval < LEAST_HEARTBEAT_S:
                return _error(-32602, "Invalid params"), ()
            self._interval_ms = interval * 1000
            self._next_ms = self._alive_ms + self._interval_ms
            return {"result": "ok"}, ()
        if method == "public/disable_heartbeat":
            self._interval_ms = 0
            return {"result": "ok"}, ()
        if method == "public/test":
            return {"result": {"version": "1.2.26"}}, ()
        if method == "public/get_time":
            return {"result": now_ms}, ()
        if method in ("public/subscribe", "public/unsubscribe"):
            return self._channels(method == "public/subscribe", params.get("channels"), now_ms)
        if method == "public/unsubscribe_all":
            self._names.clear()
            return {"result": "ok"}, ()
        return _error(-32601, "Method not found"), ()

    def _channels(self, on: bool, channels: object, now_ms: int) -> tuple[dict[str, object], Sequence[Command]]:
        """The result lists what was accepted; what does not exist is just missing in it."""
        if not isinstance(channels, list) or not channels:
            return _error(-32602, "Invalid params"), ()
        if any(str(channel).endswith(".raw") for channel in channels):
            return _error(13_778, "raw_subscriptions_not_available_for_unauthorized"), ()
        accepted: list[str] = []
        after: list[Command] = []
        for channel in map(str, channels):
            if channel in SERVICE:
                accepted.append(channel)
                if on:
                    self._names[channel] = None  # it is no stream of one symbol
                else:
                    self._names.pop(channel, None)
                continue
            stream = self._stream(channel)
            if stream is None:
                continue
            accepted.append(channel)
            if on:
                after += self._begun(channel, stream, now_ms)
            else:
                self._names.pop(channel, None)
        return {"result": accepted}, after

    def _stream(self, channel: str) -> Stream | None:
        kind, _, rest = channel.partition(".")
        symbol, _, interval = rest.rpartition(".")
        if kind not in KINDS or interval not in INTERVALS or self._feed.listing(symbol) is None:
            return None
        if kind == "trades":
            return Stream(symbol, "agg_trade") if interval == "100ms" else None
        return Stream(symbol, KINDS[kind], INTERVALS[interval])


@dataclass(frozen=True)
class DeribitVenue:
    """Perpetuals: inverse ones of BTC and ETH, linear ones of everything else or where USDC settles."""

    id: str = "deribit"
    limits: Limits = LIMITS
    wire: DeribitWire = field(default_factory=DeribitWire)

    def connect(self, path: str, query: Mapping[str, str], feed: Feed) -> Desk | None:
        return DeribitDesk(feed) if path == "/ws/api/v2" else None

    def listings(self, symbols: Sequence[str]) -> list[Listing]:
        made = [deribit_listing(text) for text in symbols]
        return list({item.symbol: item for item in made}.values())

    def snapshot_stream(self, request: Request) -> str | None:
        symbol = request.query.get("instrument_name", "")
        return f"book.{symbol}.100ms" if request.path.endswith("/get_order_book") and symbol else None

    def rest(self, request: Request, feed: Feed, meter: Meter, now_ms: int) -> Answer:
        if meter.spend(1, now_ms):
            return Answer(429, compact({"jsonrpc": "2.0", **_error(10_028, "too_many_requests")}))
        method = request.path.removeprefix("/api/v2/")
        us = {"usIn": now_ms * 1000, "usOut": now_ms * 1000, "usDiff": 0, "testnet": False}
        if method == "public/get_time":
            return Answer(200, compact({"jsonrpc": "2.0", "result": now_ms, **us}))
        if method == "public/get_instruments":
            currency, kind = request.query.get("currency", "any"), request.query.get("kind", "future")
            items = [item for item in feed.listings() if kind == "future" and currency in ("any", _settled_in(item))]
            return Answer(200, compact({"jsonrpc": "2.0", "result": [_instrument(item) for item in items], **us}))
        return Answer(404, compact({"jsonrpc": "2.0", **_error(-32601, "Method not found")}))


def deribit_listing(text: str) -> Listing:
    """`BTC/USD:BTC` and, loosely, any BTC or ETH pair not settled in USDC. ValueError if the text is no symbol."""
    base, _, settle = asked(text)
    if base in INVERSE_GRIDS and settle != "USDC":
        tick, lot = INVERSE_GRIDS[base]
        unified = f"{base}/USD:{base}"
        return listing(f"{base}-PERPETUAL", unified, (base, "USD"), (tick, lot), worth=int(lot))
    return listing(f"{base}_USDC-PERPETUAL", f"{base}/USDC:USDC", (base, "USDC"), by_base(LINEAR_GRIDS, base))


def _instrument(item: Listing) -> dict[str, object]:
    """One entry of `get_instruments`, with every field that ccxt 4.5 reads."""
    inverse, lot = item.contract_size > 0, float(lot_size(item))
    return {
        "tick_size": float(tick_size(item)),
        "tick_size_steps": [],
        "taker_commission": 0.0005,
        "settlement_period": "perpetual",
        "settlement_currency": _settled_in(item),
        "quote_currency": item.quote,
        "price_index": f"{item.base}_{item.quote}".lower(),
        "min_trade_amount": lot,
        "max_leverage": 50,
        "maker_commission": 0.0,
        "kind": "future",
        "is_active": True,
        "instrument_type": "reversed" if inverse else "linear",
        "instrument_name": item.symbol,
        "future_type": "reversed" if inverse else "linear",
        "expiration_timestamp": PERPETUAL_MS,
        "creation_timestamp": 1_534_242_287_000,
        "counter_currency": item.quote,
        "contract_size": lot,
        "base_currency": item.base,
    }


def _settled_in(item: Listing) -> str:
    return item.base if item.contract_size else item.quote


def _push(channel: str, listing: Listing, stream: Stream, data: str) -> str:
    interval = "agg2" if stream.interval_ms == INTERVALS["agg2"] else "100ms"
    return (
        f'{{"jsonrpc":"2.0","method":"subscription","params":{{"channel":"{channel}.{listing.symbol}.{interval}",'
        f'"data":{data}}}}}'
    )


def _heartbeat(kind: str) -> Send:
    return Send(compact({"jsonrpc": "2.0", "method": "heartbeat", "params": {"type": kind}}))


def _error(code: int, message: str) -> dict[str, object]:
    return {"error": {"code": code, "message": message}}


def _action(lots: int, was: int) -> str:
    if not lots:
        return "delete"
    return "change" if was else "new"


def _number(text: str) -> str:
    """Always with a decimal point, as the venue writes all its amounts."""
    plain = trimmed(text)
    return plain if "." in plain else plain + ".0"


def _price(listing: Listing, tick: int) -> str:
    return _number(listing.price(tick))


def _size(listing: Listing, lots: int) -> str:
    return _number(listing.size(lots))


DERIBIT = DeribitVenue()
