"""Simulated Kraken v2: an answer a symbol, checksums, silent truncation, heartbeats; and the product's own codec."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any
from zlib import crc32

import pytest
import talking
from talking import Talk, body
from watching import listed, watching

from imbalanced.sim.kraken import checksum, kraken_listing
from imbalanced.sim.wire import Image

# Prices and sizes of the guide "Spot Websockets (v2) book checksum", docs.kraken.com.
ASKS = [
    *("45285.2", "0.00100000", "45286.4", "1.54571953", "45286.6", "1.54571109", "45289.6", "1.54560911"),
    *("45290.2", "0.15890660", "45291.8", "1.54553491", "45294.7", "0.04454749", "45296.1", "0.35380000"),
    *("45297.5", "0.09945542", "45299.5", "0.18772827"),
]
BIDS = [
    *("45283.5", "0.10000000", "45283.4", "1.54582015", "45282.1", "0.10000000", "45281.0", "0.10000000"),
    *("45280.3", "1.54592586", "45279.0", "0.07990000", "45277.6", "0.03310103", "45277.5", "0.30000000"),
    *("45277.3", "1.54602737", "45276.6", "0.15445238"),
]
SYMBOLS = ("BTC/USD", "ETH/USDT", "DOGE/USD")


def talk() -> Talk:
    return Talk("kraken", *SYMBOLS, path="/v2")


def ask(method: str, channel: str, *symbols: str, req_id: int | None = None, **params: Any) -> dict[str, Any]:
    told: dict[str, Any] = {"method": method, "params": {"channel": channel, "symbol": list(symbols), **params}}
    return told if req_id is None else told | {"req_id": req_id}


def of(channel: str, frames: list[Any]) -> list[Any]:
    return [one for one in frames if one.get("channel") == channel]


class Book:
    """A client's book of so many levels, kept by the guide."""

    def __init__(self, depth: int) -> None:
        self.sides: dict[str, dict[Decimal, Decimal]] = {"bids": {}, "asks": {}}
        self._depth = depth

    def apply(self, frame: dict[str, Any]) -> None:
        (entry,) = frame["data"]
        if frame["type"] == "snapshot":
            self.sides = {"bids": {}, "asks": {}}
        for name, side in self.sides.items():
            for level in entry[name]:
                if level["qty"]:
                    side[level["price"]] = level["qty"]
                else:
                    side.pop(level["price"])
            for price in sorted(side, reverse=name == "bids")[self._depth :]:
                del side[price]
        assert self.digits() == entry["checksum"]

    def digits(self) -> int:
        told = ""
        for name in ("asks", "bids"):
            for price in sorted(self.sides[name], reverse=name == "bids")[:10]:
                for number in (f"{price:.1f}", f"{self.sides[name][price]:.8f}"):
                    told += number.replace(".", "").lstrip("0")
        return crc32(told.encode())


def exact(kraken: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers of frames as they are written."""
    monkeypatch.setattr(talking, "_read", lambda text: json.loads(text, parse_float=Decimal, parse_int=int))


def test_the_vendors_example() -> None:
    def levels(texts: list[str]) -> list[tuple[int, int]]:
        numbers = [int(text.replace(".", "")) for text in texts]
        return list(zip(numbers[::2], numbers[1::2], strict=True))

    assert checksum(kraken_listing("BTC/USD"), Image(0, 0, levels(BIDS), levels(ASKS))) == 3_310_070_434


@pytest.mark.parametrize("depth", [10, 25, 1000])
def test_the_book_is_what_the_guide_makes_of_it(depth: int, monkeypatch: pytest.MonkeyPatch) -> None:
    kraken, book = talk(), Book(depth)
    exact(kraken, monkeypatch)
    ack, image = kraken.say(ask("subscribe", "book", "BTC/USD", req_id=3, depth=depth))
    assert (ack["success"], ack["req_id"], ack["result"]["depth"], ack["result"]["snapshot"]) == (True, 3, depth, True)
    assert (len(image["data"][0]["bids"]), len(image["data"][0]["asks"])) == (depth, depth)
    book.apply(image)
    updates = of("book", kraken.wait(6000))
    assert len(updates) > 100
    for update in updates:
        book.apply(update)


def test_the_first_word_is_the_status() -> None:
    assert talk().greeting[0]["channel"] == "status"
    assert talk().greeting[0]["data"][0]["system"] == "online"


def test_every_symbol_has_an_answer_of_its_own() -> None:
    kraken = talk()
    told = kraken.say(ask("subscribe", "book", "NOPE/USD", "ETH/USDT", depth=10, req_id=1))
    refused, ack, image = told
    assert (refused["success"], refused["symbol"], refused["req_id"]) == (False, "NOPE/USD", 1)
    assert refused["error"] == "Currency pair not supported NOPE/USD"
    assert (ack["success"], ack["result"]["symbol"], image["data"][0]["symbol"]) == (True, "ETH/USDT", "ETH/USDT")
    again = kraken.say(ask("subscribe", "book", "ETH/USDT", depth=10))
    assert (again[0]["success"], again[0]["error"]) == (False, "Already subscribed")
    assert kraken.say(ask("subscribe", "book", "BTC/USD", depth=7))[0]["error"] == "Subscription depth not supported"
    assert kraken.say(ask("unsubscribe", "book", "ETH/USDT", depth=10))[0]["success"] is True
    assert kraken.say(ask("unsubscribe", "book", "ETH/USDT"))[0]["error"] == "Subscription Not Found"
    assert kraken.wait(500) == []


def test_other_requests() -> None:
    kraken = talk()
    assert kraken.say({"method": "ping", "req_id": 9})[0] | {"time_in": "", "time_out": ""} == {
        "method": "pong",
        "req_id": 9,
        "time_in": "",
        "time_out": "",
    }
    assert kraken.say("nonsense")[0]["success"] is False
    assert kraken.say({"method": "dance"})[0]["success"] is False
    assert kraken.say(ask("subscribe", "dance", "BTC/USD"))[0]["success"] is False


def test_a_heartbeat_every_second_in_which_nothing_else_comes() -> None:
    kraken = talk()
    assert kraken.sleep(5000) == [], "not before there is a subscription"
    kraken.say({"method": "subscribe", "params": {"channel": "instrument"}})
    beats = kraken.sleep(5000)
    assert beats == [{"channel": "heartbeat"}] * len(beats)
    assert 4 <= len(beats) <= 5
    kraken.say(ask("subscribe", "book", "BTC/USD"))
    assert of("heartbeat", kraken.wait(5000)) == []


def test_instruments_tell_the_decimals() -> None:
    kraken = talk()
    ack, told = kraken.say({"method": "subscribe", "params": {"channel": "instrument", "snapshot": True}, "req_id": 1})
    assert ack["success"] is True
    pairs = {one["symbol"]: (one["price_precision"], one["qty_precision"]) for one in told["data"]["pairs"]}
    assert pairs == {"BTC/USD": (1, 8), "ETH/USDT": (2, 8), "DOGE/USD": (5, 8)}


def test_trades_count_up_and_history_comes_if_asked_for() -> None:
    kraken = talk()
    assert len(kraken.say(ask("subscribe", "trade", "BTC/USD", snapshot=False))) == 1
    told = [entry for frame in of("trade", kraken.wait(8000)) for entry in frame["data"]]
    assert [one["trade_id"] for one in told] == list(range(told[0]["trade_id"], told[0]["trade_id"] + len(told)))
    kraken.say(ask("unsubscribe", "trade", "BTC/USD"))
    _, history = kraken.say(ask("subscribe", "trade", "BTC/USD", snapshot=True))
    assert history["type"] == "snapshot"
    assert [one["trade_id"] for one in history["data"]] == [one["trade_id"] for one in told[-50:]]


def test_a_spoiled_frame_has_another_checksum_and_nothing_else() -> None:
    kraken = talk()
    text = '{"channel":"book","data":[{"checksum":12,"timestamp":"x"}]}'
    assert kraken.desk.spoil(text) == text.replace("12", "13")
    assert kraken.desk.spoil("{}") == "{}"


def test_rest() -> None:
    kraken = talk()
    pairs = body(kraken.get("/0/public/AssetPairs"))["result"]
    assert {name: one["wsname"] for name, one in pairs.items()} == {
        "XXBTZUSD": "XBT/USD",
        "ETHUSDT": "ETH/USDT",
        "XXDGZUSD": "XDG/USD",
    }
    (book,) = body(kraken.get("/0/public/Depth", pair="XBT/USD", count="5"))["result"].values()
    assert (len(book["bids"]), len(book["asks"])) == (5, 5)
    assert body(kraken.get("/0/public/Depth", pair="NOPE"))["error"] == ["EQuery:Unknown asset pair"]
    assert kraken.get("/0/public/Nope").status == 404


async def test_the_products_reader_lists_it(simulate: Any) -> None:
    found = await listed(await simulate("kraken", symbols=SYMBOLS), "kraken")
    about = {one.symbol: (one.venue_symbol, one.tick) for one in found}
    assert about == {
        "BTC/USD": ("XBT/USD", "0.1"),
        "ETH/USDT": ("ETH/USDT", "0.01"),
        "DOGE/USD": ("XDG/USD", "0.00001"),
    }


async def test_live_books_are_true_and_heal(simulate: Any) -> None:
    running = await simulate("kraken", symbols=SYMBOLS, speed=2.0)
    async with watching(running, "kraken", "BTC/USD", "DOGE/USD", levels=300) as client:
        await client.compares(100)
        assert client.losses == []
        running.inject({"fault": "checksum", "stream": "book:BTC/USD"})
        await client.until(lambda: client.losses, "a loss")
        await client.compares(100)
        assert client.losses == ["checksum_mismatch"]
        assert client.trades()


async def test_dropped_frames_are_noticed_when_they_reach_the_checksum(simulate: Any) -> None:
    """Ten levels a side are proven: of those a live book is never wrong, whatever is lost further from the touch."""
    running = await simulate("kraken", symbols=SYMBOLS, speed=2.0)
    async with watching(running, "kraken", "BTC/USD", levels=10) as client:
        await client.compares(20)
        running.inject({"fault": "drop", "stream": "book:BTC/USD", "every": 1, "count": 5})
        await client.until(lambda: client.losses, "a loss")
        await client.compares(100)
        assert set(client.losses) == {"checksum_mismatch"}


async def test_heartbeats_keep_a_socket_on_which_nothing_moves(simulate: Any) -> None:
    running = await simulate("kraken", symbols=SYMBOLS, time_scale=20.0)
    async with watching(running, "kraken", "BTC/USD") as client:
        await client.compares(3)
        await running.freeze()

        def beats() -> int:
            return sum(one.data == b'{"channel":"heartbeat"}' for one in client.frames)

        await client.until(lambda: beats() > 20, "twenty seconds of heartbeats, in one")
        assert client.losses == []
