"""Book frames of every venue, written by us in the shape that the venue sends: one market, told in each dialect.

A dialect is how a venue writes the whole book (the ``start`` of its frames: what a subscription or a call brings) and
one change of it. Ids, counters and checksums are right, so that books are proven and stay so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple
from zlib import crc32

import orjson

from benchmarks.moves import FIRST_ID, T0_MS, Change, Market

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.moves import Level, Sides

# Levels of a change, where a venue sends several at once.
SEVERAL = 10


class Dialect(NamedTuple):
    """How one venue writes a book. ``symbol`` is its own; ``start`` is by REST where ``rest``; ``levels`` change at
    once; ``whole``: sizes are contracts; ``image_levels``: each frame is an image of so many.
    """

    symbol: str
    start: Callable[[Market, str], list[Any]]
    change: Callable[[Change, Market, str], Any]
    rest: bool = False
    levels: int = SEVERAL
    whole: bool = False
    image_levels: int = 0

    @property
    def told(self) -> int:
        """Levels in one frame: those that change, or all of an image."""
        return self.image_levels or self.levels


def written(dialect: Dialect, count: int) -> tuple[list[bytes], list[bytes], Market]:
    """The frames that begin the book, those of so many changes, and the market as it is after them."""
    market = Market(dialect.levels, whole=dialect.whole)
    start = [orjson.dumps(one) for one in dialect.start(market, dialect.symbol)]
    frames = [orjson.dumps(dialect.change(one, market, dialect.symbol)) for one in market.changes(count)]
    return start, frames, market


def _number(text: str) -> orjson.Fragment:
    return orjson.Fragment(text)


def _image(market: Market) -> dict[str, Any]:
    bids, asks = market.best()
    return {"bids": bids, "asks": asks}


# -- a call and changes ------------------------------------------------------------------------------------------------


def _binance_start(market: Market, _: str) -> list[Any]:
    return [{"lastUpdateId": FIRST_ID} | _image(market)]


def _binance(c: Change, _: Market, symbol: str) -> Any:
    data = {"e": "depthUpdate", "E": c.at_ms, "s": symbol, "U": c.id, "u": c.id, "b": c.bids, "a": c.asks}
    return {"stream": f"{symbol.lower()}@depth@100ms", "data": data}


def _binance_futures(c: Change, _: Market, symbol: str) -> Any:
    ids = {"s": symbol, "U": c.id, "u": c.id, "pu": c.id - 1}
    data = {"e": "depthUpdate", "E": c.at_ms, "T": c.at_ms} | ids | {"b": c.bids, "a": c.asks}
    return {"stream": f"{symbol.lower()}@depth@0ms", "data": data}


def _kucoin_start(market: Market, _: str) -> list[Any]:
    return [{"code": "200000", "data": {"time": T0_MS, "sequence": str(FIRST_ID)} | _image(market)}]


def _kucoin(c: Change, _: Market, symbol: str) -> Any:
    sides = {"asks": [[*one, str(c.id)] for one in c.asks], "bids": [[*one, str(c.id)] for one in c.bids]}
    data = {"changes": sides, "sequenceEnd": c.id, "sequenceStart": c.id, "symbol": symbol, "time": c.at_ms}
    return {"topic": f"/market/level2:{symbol}", "type": "message", "subject": "trade.l2update", "data": data}


def _gate_start(market: Market, _: str) -> list[Any]:
    return [{"id": FIRST_ID, "current": T0_MS, "update": T0_MS} | _image(market)]


def _gate_frame(c: Change, channel: str, symbol: str, bids: list[Any], asks: list[Any]) -> Any:
    result = {"t": c.at_ms, "e": "depthUpdate", "s": symbol, "U": c.id, "u": c.id, "b": bids, "a": asks}
    head = {"time": c.at_ms // 1000, "time_ms": c.at_ms, "channel": channel, "event": "update"}
    return head | {"result": result}


def _gate(c: Change, _: Market, symbol: str) -> Any:
    return _gate_frame(c, "spot.order_book_update", symbol, c.bids, c.asks)


def _contracts(levels: list[Level]) -> list[Any]:
    return [{"p": px, "s": int(size)} for px, size in levels]


def _gate_futures_start(market: Market, _: str) -> list[Any]:
    bids, asks = map(_contracts, market.best())
    return [{"id": FIRST_ID, "current": T0_MS / 1000, "update": T0_MS / 1000, "bids": bids, "asks": asks}]


def _gate_futures(c: Change, _: Market, symbol: str) -> Any:
    return _gate_frame(c, "futures.order_book_update", symbol, _contracts(c.bids), _contracts(c.asks))


# -- an image on the socket, and changes -------------------------------------------------------------------------------


def _bybit_frame(kind: str, last_id: int, at_ms: int, symbol: str, sides: Sides) -> Any:
    data = {"s": symbol, "b": sides[0], "a": sides[1], "u": last_id, "seq": 7 * last_id}
    return {"topic": f"orderbook.200.{symbol}", "type": kind, "ts": at_ms, "data": data, "cts": at_ms - 1}


def _bybit_start(market: Market, symbol: str) -> list[Any]:
    return [_bybit_frame("snapshot", FIRST_ID, T0_MS, symbol, market.best())]


def _bybit(c: Change, _: Market, symbol: str) -> Any:
    return _bybit_frame("delta", c.id, c.at_ms, symbol, c.sides)


def _okx_frame(action: str, ids: tuple[int, int], at_ms: int, symbol: str, sides: Sides) -> Any:
    bids, asks = ([[*one, "0", "1"] for one in side] for side in sides)
    entry = {"asks": asks, "bids": bids} | {"ts": str(at_ms), "checksum": 0, "seqId": ids[0], "prevSeqId": ids[1]}
    return {"arg": {"channel": "books", "instId": symbol}, "action": action, "data": [entry]}


def _okx_start(market: Market, symbol: str) -> list[Any]:
    return [_okx_frame("snapshot", (FIRST_ID, -1), T0_MS, symbol, market.best())]


def _okx(c: Change, _: Market, symbol: str) -> Any:
    return _okx_frame("update", (c.id, c.id - 1), c.at_ms, symbol, c.sides)


def _bitget_frame(action: str, ids: tuple[int, int], at_ms: int, symbol: str, sides: Sides) -> Any:
    entry = {"a": sides[1], "b": sides[0], "checksum": 0, "seq": ids[0], "pseq": ids[1], "ts": str(at_ms)}
    arg = {"instType": "usdt-futures", "topic": "books", "symbol": symbol}
    return {"action": action, "arg": arg, "data": [entry], "ts": at_ms + 2}


def _bitget_start(market: Market, symbol: str) -> list[Any]:
    return [_bitget_frame("snapshot", (FIRST_ID, 0), T0_MS, symbol, market.best())]


def _bitget(c: Change, _: Market, symbol: str) -> Any:
    return _bitget_frame("update", (c.id, c.id - 1), c.at_ms, symbol, c.sides)


def _deribit_frame(symbol: str, fields: dict[str, Any], at_ms: int, bids: list[Any], asks: list[Any]) -> Any:
    data = {"timestamp": at_ms, "instrument_name": symbol, "bids": bids, "asks": asks} | fields
    return {
        "jsonrpc": "2.0",
        "method": "subscription",
        "params": {"channel": f"book.{symbol}.100ms", "data": data},
    }


def _acts(levels: list[Level]) -> list[Any]:
    return [["delete" if size == "0" else "change", _number(px), _number(size)] for px, size in levels]


def _deribit_start(market: Market, symbol: str) -> list[Any]:
    bids, asks = map(_acts, market.best())
    return [_deribit_frame(symbol, {"type": "snapshot", "change_id": FIRST_ID}, T0_MS, bids, asks)]


def _deribit(c: Change, _: Market, symbol: str) -> Any:
    ids = {"type": "change", "change_id": c.id, "prev_change_id": c.id - 1}
    return _deribit_frame(symbol, ids, c.at_ms, _acts(c.bids), _acts(c.asks))


def _kraken_frame(kind: str, at: str, symbol: str, market: Market, sides: Sides) -> Any:
    """All numbers have the decimals of the pair, a removed level too; the checksum is of the best 10."""
    bids, asks = ([{"price": _number(px), "qty": _number(_eight(size))} for px, size in side] for side in sides)
    best_bids, best_asks = market.best(10)
    digits = "".join(text.replace(".", "").lstrip("0") for level in (*best_asks, *best_bids) for text in level)
    entry = {"symbol": symbol, "bids": bids, "asks": asks, "checksum": crc32(digits.encode()), "timestamp": at}
    return {"channel": "book", "type": kind, "data": [entry]}


def _eight(size: str) -> str:
    return "0.00000000" if size == "0" else size


def _kraken_start(market: Market, symbol: str) -> list[Any]:
    return [_kraken_frame("snapshot", "2023-11-14T22:13:20.000000Z", symbol, market, market.best())]


def _kraken(c: Change, market: Market, symbol: str) -> Any:
    return _kraken_frame("update", "2023-11-14T22:13:20.100000Z", symbol, market, c.sides)


def _kraken_futures_start(market: Market, symbol: str) -> list[Any]:
    bids, asks = ([{"price": _number(px), "qty": _number(size)} for px, size in side] for side in market.best())
    head = {"feed": "book_snapshot", "product_id": symbol, "timestamp": T0_MS, "seq": FIRST_ID, "tickSize": None}
    return [head | {"bids": bids, "asks": asks}]


def _kraken_futures(c: Change, _: Market, symbol: str) -> Any:
    side, (px, size) = ("buy", c.bids[0]) if c.bids else ("sell", c.asks[0])
    head = {"feed": "book", "product_id": symbol, "side": side, "seq": c.id}
    return head | {"price": _number(px), "qty": _number(size), "timestamp": c.at_ms}


def _sided(bids: list[Level], asks: list[Level]) -> list[list[str]]:
    return [["buy", *one] for one in bids] + [["sell", *one] for one in asks]


def _gemini_start(market: Market, symbol: str) -> list[Any]:
    return [{"type": "l2_updates", "symbol": symbol, "changes": _sided(*market.best()), "trades": []}]


def _gemini(c: Change, _: Market, symbol: str) -> Any:
    return {"type": "l2_updates", "symbol": symbol, "changes": _sided(c.bids, c.asks)}


def _coinbase_start(market: Market, symbol: str) -> list[Any]:
    return [{"type": "snapshot", "product_id": symbol} | _image(market)]


def _coinbase(c: Change, _: Market, symbol: str) -> Any:
    changes = _sided(c.bids, c.asks)
    return {"type": "l2update", "product_id": symbol, "changes": changes, "time": "2023-11-14T22:13:20.100000Z"}


def _bitfinex_start(market: Market, symbol: str) -> list[Any]:
    bids, asks = market.best()
    rows = [_counted(px, size, sign) for side, sign in ((bids, ""), (asks, "-")) for px, size in side]
    channel = {"event": "subscribed", "channel": "book", "chanId": 7, "symbol": symbol, "prec": "P0"}
    return [channel, [7, rows, FIRST_ID, T0_MS]]


def _counted(px: str, size: str, sign: str) -> list[Any]:
    count, amount = (0, f"{sign}1") if size == "0" else (1, sign + size)
    return [_number(px), count, _number(amount)]


def _bitfinex(c: Change, _: Market, __: str) -> Any:
    (px, size), sign = (c.bids[0], "") if c.bids else (c.asks[0], "-")
    return [7, _counted(px, size, sign), c.id, c.at_ms]


# -- whole images ------------------------------------------------------------------------------------------------------


def _hyperliquid_frame(market: Market, at_ms: int, symbol: str) -> Any:
    levels = [[{"px": px, "sz": size, "n": 3} for px, size in side] for side in market.best(20)]
    return {"channel": "l2Book", "data": {"coin": symbol, "time": at_ms, "levels": levels}}


def _hyperliquid_start(market: Market, symbol: str) -> list[Any]:
    return [_hyperliquid_frame(market, T0_MS, symbol)]


def _hyperliquid(c: Change, market: Market, symbol: str) -> Any:
    return _hyperliquid_frame(market, c.at_ms, symbol)


# -- order by order: one order at each price, named by it --------------------------------------------------------------


def _order_id(px: str) -> int:
    return int(px.replace(".", ""))


def _bitfinex_orders_start(market: Market, symbol: str) -> list[Any]:
    bids, asks = market.best()
    rows = [_ordered(px, size, sign) for side, sign in ((bids, ""), (asks, "-")) for px, size in side]
    channel = {"event": "subscribed", "channel": "book", "chanId": 7, "symbol": symbol, "prec": "R0"}
    return [channel, [7, rows, FIRST_ID, T0_MS]]


def _ordered(px: str, size: str, sign: str) -> list[Any]:
    if size == "0":
        return [_order_id(px), 0, _number(f"{sign}1")]
    return [_order_id(px), _number(px), _number(sign + size)]


def _bitfinex_orders(c: Change, _: Market, __: str) -> Any:
    (px, size), sign = (c.bids[0], "") if c.bids else (c.asks[0], "-")
    return [7, _ordered(px, size, sign), c.id, c.at_ms]


def _coinbase_orders_start(market: Market, _: str) -> list[Any]:
    bids, asks = ([[px, size, f"order-{_order_id(px)}"] for px, size in side] for side in market.best())
    return [{"sequence": FIRST_ID, "bids": bids, "asks": asks, "time": "2023-11-14T22:13:20.000000Z"}]


def _coinbase_orders(c: Change, _: Market, symbol: str) -> Any:
    """An order that is there already is opened anew with another size."""
    side, (px, size) = ("buy", c.bids[0]) if c.bids else ("sell", c.asks[0])
    head = {"product_id": symbol, "sequence": c.id, "time": "2023-11-14T22:13:20.100000Z", "side": side}
    order = head | {"order_id": f"order-{_order_id(px)}", "price": px}
    if size == "0":
        return order | {"type": "done", "reason": "canceled", "remaining_size": "1"}
    return order | {"type": "open", "remaining_size": size}


_SPOT = Dialect("BTCUSDT", _binance_start, _binance, rest=True)
_FUTURES = Dialect("BTCUSDT", _binance_start, _binance_futures, rest=True)
_BYBIT = Dialect("BTCUSDT", _bybit_start, _bybit)

DIALECTS = {
    "binance": _SPOT,
    "binance_us": _SPOT,
    "binance_usdm": _FUTURES,
    "binance_coinm": _FUTURES._replace(symbol="BTCUSD_PERP", whole=True),
    "bybit": _BYBIT,
    "bybit_inverse": _BYBIT._replace(symbol="BTCUSD", whole=True),
    "bybit_spot": _BYBIT,
    "okx": Dialect("BTC-USDT", _okx_start, _okx),
    "hyperliquid": Dialect("BTC", _hyperliquid_start, _hyperliquid, image_levels=40),
    "gemini": Dialect("BTCUSD", _gemini_start, _gemini),
    "gate": Dialect("BTC_USDT", _gate_start, _gate, rest=True),
    "gate_futures": Dialect("BTC_USDT", _gate_futures_start, _gate_futures, rest=True, whole=True),
    "kucoin": Dialect("BTC-USDT", _kucoin_start, _kucoin, rest=True),
    "kraken_futures": Dialect("PF_XBTUSD", _kraken_futures_start, _kraken_futures, levels=1),
    "deribit": Dialect("BTC-PERPETUAL", _deribit_start, _deribit),
    "kraken": Dialect("BTC/USD", _kraken_start, _kraken),
    "bitget": Dialect("BTCUSDT", _bitget_start, _bitget),
    "bitfinex": Dialect("tBTCUSD", _bitfinex_start, _bitfinex, levels=1),
    "bitfinex_orders": Dialect("tBTCUSD", _bitfinex_orders_start, _bitfinex_orders, levels=1),
    "coinbase": Dialect("BTC-USD", _coinbase_start, _coinbase),
    "coinbase_orders": Dialect("BTC-USD", _coinbase_orders_start, _coinbase_orders, rest=True, levels=1),
}
