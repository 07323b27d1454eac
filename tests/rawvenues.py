"""What recorded frames say of books, read from their JSON by the venues' own documents, and nothing else.

A venue is one entry of :data:`RULES`: how its frames are read, how its books are proven, how an image of a given book
would be written. Nothing here imports a codec.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson
from rawbooks import Level, Rule, Sides, Told, digits, interleaved

from imbalanced.events import Frame

# -- readers -----------------------------------------------------------------------------------------------------------


def _levels(rows: Sequence[Any]) -> list[Level]:
    return [(row[0], row[1]) for row in rows]


def _query(frame: Frame, name: str) -> str:
    return parse_qs(urlsplit(frame.url).query).get(name, [""])[0]


def _binance(frame: Frame) -> Told | None:
    if frame.kind == "http":
        if b'"lastUpdateId"' not in frame.data[:100]:
            return None
        m = orjson.loads(frame.data)
        last = m["lastUpdateId"]
        return Told(_query(frame, "symbol"), True, last, last, -1, _levels(m["bids"]), _levels(m["asks"]))
    if b'"depthUpdate"' not in frame.data[:120]:
        return None
    m = orjson.loads(frame.data)
    m = m.get("data", m)
    return Told(m["s"], False, m["u"], m["U"], m.get("pu", -1), _levels(m["b"]), _levels(m["a"]))


def _kucoin(frame: Frame) -> Told | None:
    m = orjson.loads(frame.data)
    if frame.kind == "http":
        if "/orderbook/" not in frame.url:
            return None
        m = m["data"]
        last = int(m["sequence"])
        return Told(_query(frame, "symbol"), True, last, last, -1, _levels(m["bids"]), _levels(m["asks"]))
    if m.get("subject") != "trade.l2update":
        return None
    m = m["data"]
    bids, asks = ([row for row in _levels(m["changes"][side]) if Decimal(row[0])] for side in ("bids", "asks"))
    return Told(m["symbol"], False, m["sequenceEnd"], m["sequenceStart"], -1, bids, asks)


def _gate(frame: Frame) -> Told | None:
    if frame.kind == "http":
        if "/order_book" not in frame.url:
            return None
        m = orjson.loads(frame.data)
        symbol = _query(frame, "currency_pair") or _query(frame, "contract")
        return Told(symbol, True, m["id"], m["id"], -1, _named(m["bids"]), _named(m["asks"]))
    m = orjson.loads(frame.data)
    if not m["channel"].endswith(".order_book_update") or m["event"] != "update":
        return None
    m = m["result"]
    return Told(m["s"], False, m["u"], m["U"], -1, _named(m["b"]), _named(m["a"]))


def _named(rows: Sequence[Any]) -> list[Level]:
    return [(row["p"], str(row["s"])) if isinstance(row, dict) else (row[0], row[1]) for row in rows]


def read_texts(data: bytes) -> Any:
    """JSON with its numbers as they are written."""
    return json.loads(data, parse_float=str, parse_int=str)


def _kraken_futures(frame: Frame) -> Told | None:
    if frame.kind == "http" or b'"feed":"book' not in frame.data[:40] or b'"event"' in frame.data[:20]:
        return None
    m = read_texts(frame.data)
    symbol, last = m["product_id"], int(m["seq"])
    if m["feed"] == "book_snapshot":
        bids, asks = ([(row["price"], row["qty"]) for row in m[side]] for side in ("bids", "asks"))
        return Told(symbol, True, last, last, -1, bids, asks)
    levels = [(m["price"], m["qty"])]
    return Told(symbol, False, last, last, -1, *((levels, []) if m["side"] == "buy" else ([], levels)))


def _deribit(frame: Frame) -> Told | None:
    if frame.kind == "http" or b'"book.' not in frame.data[:120]:
        return None
    m = read_texts(frame.data)
    if m.get("method") != "subscription":
        return None
    m = m["params"]["data"]
    bids, asks = ([(px, "0" if act == "delete" else size) for act, px, size in m[side]] for side in ("bids", "asks"))
    last, prev = int(m["change_id"]), int(m.get("prev_change_id", -1))
    return Told(m["instrument_name"], m["type"] == "snapshot", last, last, prev, bids, asks)


def _bybit(frame: Frame) -> Told | None:
    m = orjson.loads(frame.data) if frame.kind == "ws" else {}
    if not m.get("topic", "").startswith("orderbook.") or "S" in m["data"]:
        return None
    told, at = m["data"], m["data"]["u"]
    image = m["type"] == "snapshot" or at == 1
    return Told(told["s"], image, at, at, -1, _levels(told["b"]), _levels(told["a"]))


def _pushed(frame: Frame, channels: tuple[str, ...]) -> Told | None:
    """OKX of 2021 and 2022, Bitget v1 and v2: no ids."""
    m = orjson.loads(frame.data) if frame.kind == "ws" and frame.data.startswith(b"{") else {}
    if "action" not in m or m.get("arg", {}).get("channel") not in channels:
        return None
    (entry,) = m["data"]
    image = m["action"] == "snapshot"
    bids, asks = _levels(entry["bids"]), _levels(entry["asks"])
    return Told(m["arg"]["instId"], image, 0, 0, 0, bids, asks, int(entry.get("checksum", 0)))


def _okx(frame: Frame) -> Told | None:
    return _pushed(frame, ("books", "books-l2-tbt", "books50-l2-tbt"))


def _bitget(frame: Frame) -> Told | None:
    return _pushed(frame, ("books",))


def _kraken(frame: Frame) -> Told | None:
    """v1 ``[channel, {...}, perhaps {...}, "book-1000", pair]`` and v2 ``{"channel": "book", ...}``."""
    if frame.kind == "http":
        return None
    m = read_texts(frame.data)
    if isinstance(m, dict):
        return _kraken_v2(m) if m.get("channel") == "book" else None
    if not isinstance(m, list) or len(m) < 4 or not str(m[-2]).startswith("book-"):
        return None
    of: dict[str, Any] = {}
    for part in m[1:-2]:
        of |= part
    image = "as" in of or "bs" in of
    bids, asks = (_levels(of.get(key, [])) for key in (("bs", "as") if image else ("b", "a")))
    return Told(m[-1], image, 0, 0, 0, bids, asks, int(of.get("c", 0)))


def _kraken_v2(m: dict[str, Any]) -> Told:
    (one,) = m["data"]
    bids, asks = ([(row["price"], row["qty"]) for row in one.get(side, [])] for side in ("bids", "asks"))
    return Told(one["symbol"], m["type"] == "snapshot", 0, 0, 0, bids, asks, int(one["checksum"]))


# -- writers: an image of a book, in the shape of one that was recorded ------------------------------------------------


def _number(text: str) -> orjson.Fragment:
    return orjson.Fragment(text)


def _rows(book: Sides) -> dict[str, list[list[str]]]:
    return {"bids": [[*one] for one in book.bids.best()], "asks": [[*one] for one in book.asks.best()]}


def _write_binance(m: Any, last: int, book: Sides) -> Any:
    return m | {"lastUpdateId": last} | _rows(book)


def _write_kucoin(m: Any, last: int, book: Sides) -> Any:
    return m | {"data": m["data"] | {"sequence": str(last)} | _rows(book)}


def _write_gate(m: Any, last: int, book: Sides) -> Any:
    return m | {"id": last} | _rows(book)


def _write_gate_futures(m: Any, last: int, book: Sides) -> Any:
    sides = {"bids": book.bids, "asks": book.asks}
    return m | {"id": last} | {name: [{"p": p, "s": int(s)} for p, s in one.best()] for name, one in sides.items()}


def _write_kraken_futures(m: Any, last: int, book: Sides) -> Any:
    sides = {"bids": book.bids, "asks": book.asks}
    rows = {name: [{"price": _number(p), "qty": _number(s)} for p, s in one.best()] for name, one in sides.items()}
    return m | {"seq": last} | rows


def _write_deribit(m: Any, last: int, book: Sides) -> Any:
    sides = {"bids": book.bids, "asks": book.asks}
    rows = {name: [["new", _number(p), _number(s)] for p, s in one.best()] for name, one in sides.items()}
    return m | {"params": m["params"] | {"data": m["params"]["data"] | {"change_id": last} | rows}}


def _write_bybit(m: Any, last: int, book: Sides) -> Any:
    return m | {"data": m["data"] | {"u": last, "b": _rows(book)["bids"], "a": _rows(book)["asks"]}}


def _write_okx(m: Any, _: int, book: Sides) -> Any:
    rows = {name: [[*row, "0", "1"] for row in side] for name, side in _rows(book).items()}
    return m | {"data": [m["data"][0] | rows | {"checksum": interleaved(book)}]}


def _write_bitget(m: Any, _: int, book: Sides) -> Any:
    return m | {"data": [m["data"][0] | _rows(book) | {"checksum": 0}]}


def _write_kraken(m: Any, _: int, book: Sides) -> Any:
    rows = {name: [[*row, "1.0"] for row in side] for name, side in _rows(book).items()}
    return [m[0], {"as": rows["asks"], "bs": rows["bids"]}, *m[-2:]]


# -- the table ---------------------------------------------------------------------------------------------------------

BINANCE = Rule(_binance, _write_binance, "plus_one", rest=True, offset=1)
BINANCE_FUTURES = Rule(_binance, _write_binance, "previous", rest=True)
BYBIT = Rule(_bybit, _write_bybit, "plus_one")
RULES = {
    "binance": BINANCE,
    "binance_us": BINANCE,
    "binance_usdm": BINANCE_FUTURES,
    "binance_coinm": BINANCE_FUTURES,
    "bybit": BYBIT,
    "kucoin": Rule(_kucoin, _write_kucoin, "plus_one", rest=True, offset=1),
    "gate": Rule(_gate, _write_gate, "plus_one", rest=True, offset=1),
    "gate_futures": Rule(_gate, _write_gate_futures, "plus_one", rest=True, offset=1),
    "kraken_futures": Rule(_kraken_futures, _write_kraken_futures, "plus_one"),
    "deribit": Rule(_deribit, _write_deribit, "previous"),
    "okx": Rule(_okx, _write_okx, "none", sum=interleaved),
    "bitget": Rule(_bitget, _write_bitget, "none", sum=interleaved),
    "kraken": Rule(_kraken, _write_kraken, "none", depth=1000, sum=digits),
}
# Venues that prove nothing by which a missing frame could be known, and why.
UNPROVEN = {
    "hyperliquid": "every message is a whole book",
    "gemini": "the stream has neither ids nor checksums",
    "coinbase": "level2 of the Exchange has neither ids nor checksums",
}
