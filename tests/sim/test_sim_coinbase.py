"""Simulated Coinbase Exchange: books without numbers, makers' sides, heartbeats; and the product's own codec."""

from __future__ import annotations

from typing import Any

import pytest
from talking import NOW, Talk, body
from watching import listed, watching

from imbalanced.sim.coinbase import COINBASE
from imbalanced.sim.venue import Request

SYMBOLS = ("BTC/USD", "DOGE/USD", "ETH/USDT")


def talk() -> Talk:
    return Talk("coinbase", *SYMBOLS, path="/")


def ask(*channels: object, symbols: tuple[str, ...] = ("BTC-USD",), kind: str = "subscribe") -> dict[str, object]:
    return {"type": kind, "product_ids": list(symbols), "channels": list(channels)}


def of(kind: str, told: list[Any]) -> list[Any]:
    return [one for one in told if one["type"] == kind]


def test_image_and_changes_make_the_book_and_come_in_batches() -> None:
    coinbase = talk()
    ack, image = coinbase.say(ask("level2_batch"))
    assert ack == {"type": "subscriptions", "channels": [{"name": "level2_batch", "product_ids": ["BTC-USD"]}]}
    sides = {"buy": dict(image["bids"]), "sell": dict(image["asks"])}
    updates = of("l2update", coinbase.wait(3000))
    assert 30 < len(updates) <= 60, "one in 50 ms"
    for update in updates:
        for side, price, size in update["changes"]:
            if float(size):
                sides[side][price] = size
            else:
                del sides[side][price]
    true = coinbase.feed.true_book("BTC/USD")
    assert (sides["buy"], sides["sell"]) == (dict(true.bids), dict(true.asks))


def test_the_side_of_a_match_is_the_makers() -> None:
    coinbase = talk()
    assert len(coinbase.say(ask("matches"))) == 1, "nothing was traded yet"
    told = of("match", coinbase.wait(8000))
    assert [one["trade_id"] for one in told] == list(range(told[0]["trade_id"], told[0]["trade_id"] + len(told)))
    assert {one["side"] for one in told} == {"buy", "sell"}
    by_taker = {one[1].first_id: one[1].taker for one in coinbase.feed._quotes["BTC-USD"]._past}
    checked = [one for one in told if one["trade_id"] in by_taker]
    assert checked
    assert all((one["side"] == "sell") is (by_taker[one["trade_id"]] == "buy") for one in checked)
    coinbase.say(ask("matches", kind="unsubscribe"))
    _, last = coinbase.say(ask("matches"))
    assert (last["type"], last["trade_id"]) == ("last_match", told[-1]["trade_id"])


def test_a_heartbeat_every_second_tells_the_last_match() -> None:
    coinbase = talk()
    coinbase.say(ask("heartbeat", {"name": "matches", "product_ids": ["BTC-USD"]}))
    last = 0
    beats = 0
    for one in coinbase.wait(6000):
        if one["type"] == "match":
            last = one["trade_id"]
        else:
            beats += 1
            assert (one["type"], one["product_id"], one["last_trade_id"]) == ("heartbeat", "BTC-USD", last)
    assert beats == 6
    coinbase.say(ask("matches", kind="unsubscribe"))
    coinbase.wait(3000)
    assert of("heartbeat", coinbase.sleep(1000))[0]["last_trade_id"] > last, "also where matches are not asked for"


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        (ask("level2_batch", symbols=("NOPE-USD",)), "NOPE-USD is not a valid product"),
        (ask("dance"), "dance is not a valid channel"),
        (ask("full"), "full channel requires authentication"),
        (ask("level2"), "level2 channel requires authentication"),
        (ask(), "no channels provided"),
        (ask("matches", symbols=()), "product_ids must be provided"),
    ],
)
def test_refusals_have_a_reason_and_change_nothing(request_: object, why: str) -> None:
    coinbase = talk()
    assert coinbase.say(request_) == [{"type": "error", "message": "Failed to subscribe", "reason": why}]
    assert not coinbase.desk.subscriptions


def test_an_ack_names_everything_that_the_socket_has() -> None:
    coinbase = talk()
    coinbase.say(ask("matches"))
    (ack,) = of("subscriptions", coinbase.say(ask("matches", "heartbeat", symbols=("BTC-USD", "ETH-USDT"))))
    assert {one["name"]: one["product_ids"] for one in ack["channels"]} == {
        "matches": ["BTC-USD", "ETH-USDT"],
        "heartbeat": ["BTC-USD", "ETH-USDT"],
    }
    (ack,) = coinbase.say(ask("matches", "heartbeat", kind="unsubscribe", symbols=("BTC-USD", "ETH-USDT")))
    assert ack["channels"] == []
    assert coinbase.say("nonsense") == [{"type": "error", "message": "Malformed JSON"}]


def test_who_says_nothing_is_cut() -> None:
    coinbase, other = talk(), talk()
    other.say(ask("matches"))
    coinbase.sleep(4000)
    assert coinbase.ends == []
    coinbase.sleep(1000)
    other.sleep(60_000)
    assert (len(coinbase.ends), other.ends) == (1, [])


def test_rest() -> None:
    coinbase = talk()
    products = {one["id"]: (one["quote_increment"], one["status"]) for one in body(coinbase.get("/products"))}
    assert products == {
        "BTC-USD": ("0.01", "online"),
        "DOGE-USD": ("0.00001", "online"),
        "ETH-USDT": ("0.01", "online"),
    }
    best = body(coinbase.get("/products/BTC-USD/book"))
    whole = body(coinbase.get("/products/BTC-USD/book", level="2"))
    assert (len(best["bids"]), len(whole["bids"]) > 500, whole["sequence"] > 0) == (1, True, True)
    assert coinbase.get("/products/BTC-USD/book", level="4").status == 400
    assert coinbase.get("/products/NOPE/book").status == 404
    assert body(coinbase.get("/time"))["epoch"] == NOW / 1000
    assert COINBASE.snapshot_stream(Request("/products/BTC-USD/book", {})) == "level2_batch:BTC-USD"


async def test_the_products_reader_lists_it(simulate: Any) -> None:
    found = await listed(await simulate("coinbase", symbols=SYMBOLS), "coinbase")
    assert {one.symbol: (one.venue_symbol, one.tick) for one in found} == {
        "BTC/USD": ("BTC-USD", "0.01"),
        "DOGE/USD": ("DOGE-USD", "0.00001"),
        "ETH/USDT": ("ETH-USDT", "0.01"),
    }


async def test_live_books_are_true(simulate: Any) -> None:
    running = await simulate("coinbase", symbols=SYMBOLS, speed=2.0)
    async with watching(running, "coinbase", *SYMBOLS, levels=200) as client:
        await client.compares(200)
        assert client.losses == []
        assert client.trades()


async def test_a_match_that_never_came_is_noticed_by_the_heartbeat(simulate: Any) -> None:
    """Of the book nothing would be: no number, no checksum (so none of its frames is dropped here)."""
    running = await simulate("coinbase", symbols=SYMBOLS, speed=2.0, time_scale=4.0)
    async with watching(running, "coinbase", "BTC/USD") as client:
        await client.until(client.trades, "a trade")
        running.inject({"fault": "drop", "stream": "matches:BTC-USD"})
        await client.until(lambda: client.notices("trade_gap"), "a gap of trades")
        await client.compares(20)
        assert client.losses == []


@pytest.mark.parametrize("fault", ["duplicate", "garbage"])
async def test_what_harms_no_book_leaves_it_true(simulate: Any, fault: str) -> None:
    running = await simulate("coinbase", symbols=SYMBOLS, speed=2.0)
    async with watching(running, "coinbase", "BTC/USD") as client:
        await client.compares(20)
        running.inject({"fault": fault, "stream": "level2_batch:BTC-USD"})
        await client.until(lambda: running.injected, "the fault")
        await client.compares(50)


async def test_the_end_of_a_connection_heals(simulate: Any) -> None:
    running = await simulate("coinbase", symbols=SYMBOLS, speed=2.0)
    async with watching(running, "coinbase", "BTC/USD", "DOGE/USD") as client:
        await client.compares(20)
        running.inject({"fault": "close", "stream": "level2_batch:BTC-USD", "code": 1006})
        await client.until(lambda: client.losses, "a loss")
        await client.compares(50)
        assert client.losses == ["socket_closed"] * 2


async def test_heartbeats_keep_a_socket_on_which_nothing_moves(simulate: Any) -> None:
    running = await simulate("coinbase", symbols=SYMBOLS, time_scale=20.0)
    async with watching(running, "coinbase", "BTC/USD") as client:
        await client.compares(3)
        await running.freeze()
        await client.until(lambda: sum(b'"heartbeat"' in one.data for one in client.frames) > 20, "heartbeats")
        assert client.losses == []
