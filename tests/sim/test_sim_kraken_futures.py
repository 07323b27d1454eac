"""Simulated Kraken Futures: a frame a level with a number, inverse and linear; and the product's own codec."""

from __future__ import annotations

from typing import Any

import pytest
from talking import NOW, Talk, body
from watching import listed, watching

from imbalanced.sim.kraken_futures import FIRST_SEQ, KRAKEN_FUTURES
from imbalanced.sim.venue import Request

SYMBOLS = ("BTC/USD:USD", "BTC/USD:BTC", "DOGE/USD:USD")
BOTH = pytest.mark.parametrize("product", ["PF_XBTUSD", "PI_XBTUSD"])


def talk() -> Talk:
    return Talk("kraken_futures", *SYMBOLS, path="/ws/v1")


def ask(feed: str, *products: str, event: str = "subscribe") -> dict[str, Any]:
    return {"event": event, "feed": feed, "product_ids": list(products)}


@BOTH
def test_image_and_levels_make_the_book_and_are_numbered(product: str) -> None:
    kraken = talk()
    ack, image = kraken.say(ask("book", product.lower()))
    assert ack == {"event": "subscribed", "feed": "book", "product_ids": [product]}
    assert (image["feed"], image["product_id"], image["seq"]) == ("book_snapshot", product, FIRST_SEQ)
    sides = {"buy": image["bids"], "sell": image["asks"]}
    book = {side: {one["price"]: one["qty"] for one in levels} for side, levels in sides.items()}
    told = kraken.wait(4000)
    assert [one["seq"] for one in told] == list(range(FIRST_SEQ + 1, FIRST_SEQ + 1 + len(told)))
    for one in told:
        if one["qty"]:
            book[one["side"]][one["price"]] = one["qty"]
        else:
            del book[one["side"]][one["price"]]
    true = kraken.feed.true_book(product)
    for side, levels in (("buy", true.bids), ("sell", true.asks)):
        assert book[side] == {float(price): float(size) for price, size in levels}


def test_a_second_client_begins_with_the_number_of_the_flow() -> None:
    kraken, other = talk(), talk()
    kraken.say(ask("book", "PF_XBTUSD"))
    last = kraken.wait(1000)[-1]["seq"]
    other.desk._feed = kraken.feed  # type: ignore[attr-defined]
    assert other.say(ask("book", "PF_XBTUSD"))[1]["seq"] == last > FIRST_SEQ


def test_trades_have_the_takers_side_and_history_comes_youngest_first() -> None:
    kraken = talk()
    _, history = kraken.say(ask("trade", "PF_XBTUSD"))
    assert (history["feed"], history["trades"]) == ("trade_snapshot", [])
    told = kraken.wait(60_000)
    assert [one["seq"] for one in told] == list(range(told[0]["seq"], told[0]["seq"] + len(told)))
    assert {one["side"] for one in told} == {"buy", "sell"}
    assert {one["type"] for one in told} == {"fill", "liquidation"}
    kraken.say(ask("trade", "PF_XBTUSD", event="unsubscribe"))
    _, history = kraken.say(ask("trade", "PF_XBTUSD"))
    seqs = [one["seq"] for one in history["trades"]]
    assert seqs == [one["seq"] for one in told[::-1]][: len(seqs)]
    assert len(seqs) > 20


def test_tickers_and_heartbeats() -> None:
    kraken = talk()
    assert kraken.greeting == [{"event": "info", "version": 1}]
    _, first = kraken.say(ask("ticker", "PI_XBTUSD"))
    assert (first["feed"], first["product_id"], first["time"]) == ("ticker", "PI_XBTUSD", NOW)
    assert 50_000 < first["markPrice"] < 70_000
    assert first["relative_funding_rate"] == 0.0001 / 8
    assert kraken.sleep(3000) == []
    assert kraken.say({"event": "subscribe", "feed": "heartbeat"}) == [{"event": "subscribed", "feed": "heartbeat"}]
    assert [one["feed"] for one in kraken.sleep(3000)] == ["heartbeat"] * 3
    kraken.say({"event": "unsubscribe", "feed": "heartbeat"})
    assert kraken.sleep(3000) == []


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        ("nonsense", "Bad request"),
        (ask("dance", "PF_XBTUSD"), "Invalid feed"),
        (ask("book"), "Invalid product id"),
        (ask("book", "PF_NOPEUSD"), "Invalid product id"),
        (ask("book", "PF_XBTUSD", event="unsubscribe"), "Not subscribed to feed"),
    ],
)
def test_refusals(request_: Any, why: str) -> None:
    assert talk().say(request_) == [{"event": "error", "message": why}]


def test_twice_is_refused_and_leaving_ends_a_feed() -> None:
    kraken = talk()
    kraken.say(ask("book", "PF_XBTUSD"))
    assert kraken.say(ask("book", "PF_XBTUSD"))[0]["message"] == "Already subscribed to feed"
    assert kraken.say(ask("book", "PF_XBTUSD", event="unsubscribe"))[0]["event"] == "unsubscribed"
    assert kraken.wait(500) == []


def test_rest() -> None:
    kraken = talk()
    found = body(kraken.get("/derivatives/api/v3/instruments"))["instruments"]
    assert {one["symbol"]: one["type"] for one in found} == {
        "PF_XBTUSD": "flexible_futures",
        "PI_XBTUSD": "futures_inverse",
        "PF_DOGEUSD": "flexible_futures",
    }
    book = body(kraken.get("/derivatives/api/v3/orderbook", symbol="pf_xbtusd"))["orderBook"]
    assert len(book["bids"]) > 500
    assert kraken.get("/derivatives/api/v3/orderbook", symbol="NOPE").status == 400
    request = Request("/derivatives/api/v3/orderbook", {"symbol": "pf_xbtusd"})
    assert KRAKEN_FUTURES.snapshot_stream(request) == "book:PF_XBTUSD"


async def test_the_products_reader_lists_it(simulate: Any) -> None:
    found = await listed(await simulate("kraken_futures", symbols=SYMBOLS), "kraken_futures")
    assert {one.symbol: (one.venue_symbol, one.tick, one.inverse) for one in found} == {
        "BTC/USD:USD": ("PF_XBTUSD", "0.5", False),
        "BTC/USD:BTC": ("PI_XBTUSD", "0.5", True),
        "DOGE/USD:USD": ("PF_DOGEUSD", "0.00001", False),
    }


async def test_live_books_are_true_and_heal(simulate: Any) -> None:
    running = await simulate("kraken_futures", symbols=SYMBOLS, speed=2.0)
    async with watching(running, "kraken_futures", *SYMBOLS, levels=100) as client:
        await client.compares(100)
        assert client.losses == []
        running.inject({"fault": "drop", "stream": "book:PI_XBTUSD"})
        await client.until(lambda: client.losses, "a loss")
        await client.compares(100)
        assert client.losses == ["sequence_gap"], "and the other books go on"
        assert client.trades()


async def test_other_faults_heal(simulate: Any) -> None:
    running = await simulate("kraken_futures", symbols=SYMBOLS, speed=2.0)
    stream = "book:PF_XBTUSD"
    async with watching(running, "kraken_futures", "BTC/USD:USD", levels=100) as client:
        await client.compares(20)
        running.inject({"fault": "duplicate", "stream": stream})
        await client.compares(50)
        assert client.losses == [], "what comes twice is old"
        running.inject({"fault": "reorder", "stream": stream})
        await client.until(lambda: client.losses == ["sequence_gap"], "a gap")
        await client.compares(20)
        running.inject({"fault": "garbage", "stream": stream})
        running.inject({"fault": "close", "stream": stream, "code": 1006})
        await client.until(lambda: client.losses[-1] == "socket_closed", "the end of the socket")
        await client.compares(20)
