"""Simulated Bitget v3: updates that name the one before, two families on one socket; and the product's own codec."""

from __future__ import annotations

from typing import Any

import pytest
from talking import Talk, body
from watching import listed, watching

from imbalanced.sim.bitget import BITGET
from imbalanced.sim.venue import Request

SYMBOLS = ("BTC/USDT", "BTC/USDT:USDT", "DOGE/USDT")


def talk() -> Talk:
    return Talk("bitget", *SYMBOLS, path="/v3/ws/public")


def arg(topic: str, name: str = "BTCUSDT", family: str = "spot") -> dict[str, str]:
    return {"instType": family, "topic": topic, "symbol": name}


def ask(*args: dict[str, str], op: str = "subscribe") -> dict[str, Any]:
    return {"op": op, "args": list(args)}


@pytest.mark.parametrize(("family", "every_ms"), [("spot", 200), ("usdt-futures", 150)])
def test_image_and_updates_make_the_book(family: str, every_ms: int) -> None:
    bitget = talk()
    ack, image = bitget.say(ask(arg("books", family=family)))
    assert ack == {"event": "subscribe", "arg": arg("books", family=family)}
    (first,) = image["data"]
    assert (image["action"], image["arg"], first["pseq"], len(first["b"])) == ("snapshot", ack["arg"], 0, 200)
    sides, last = {name: dict(first[name]) for name in "ba"}, first["seq"]
    updates = bitget.wait(6000)
    assert 6000 / every_ms * 0.8 < len(updates) <= 6000 / every_ms + 1
    updates += bitget.level()
    for update in updates:
        (entry,) = update["data"]
        assert (update["action"], entry["pseq"], entry["checksum"]) == ("update", last, 0)
        last = entry["seq"]
        for name, side in sides.items():
            for price, size in entry[name]:
                if size == "0":
                    del side[price]
                else:
                    side[price] = size
    true = bitget.feed.true_book(f"{family.upper()}/BTCUSDT")
    assert last == true.last_id
    assert (sides["b"], sides["a"]) == (dict(true.bids[:200]), dict(true.asks[:200]))


def test_a_release_begins_the_numbers_anew_with_an_image() -> None:
    bitget = talk()
    bitget.say(ask(arg("books")))
    bitget.feed.restart("SPOT/BTCUSDT")
    first, *rest = bitget.wait(1000)
    assert (first["action"], first["data"][0]["pseq"]) == ("snapshot", 0)
    assert rest[0]["data"][0]["pseq"] == first["data"][0]["seq"]


def test_trades_are_told_youngest_first_and_history_is_a_snapshot() -> None:
    bitget = talk()
    _, history = bitget.say(ask(arg("publicTrade")))
    assert (history["action"], history["data"]) == ("snapshot", [])
    orders = [[int(one["i"]) for one in push["data"]] for push in bitget.wait(8000)]
    assert all(order == sorted(order, reverse=True) for order in orders)
    assert max(map(len, orders)) > 1
    ids = [one for order in orders for one in reversed(order)]
    assert ids == list(range(ids[0], ids[0] + len(ids)))
    bitget.say(ask(arg("publicTrade"), op="unsubscribe"))
    _, history = bitget.say(ask(arg("publicTrade")))
    assert int(history["data"][0]["i"]) == ids[-1]


def test_tickers_and_liquidations_are_of_perpetuals() -> None:
    bitget = talk()
    acks = bitget.say(
        ask(
            arg("ticker", family="usdt-futures"),
            *({"instType": family, "topic": "liquidation"} for family in ("usdt-futures", "usdc-futures")),
        )
    )
    assert [one["event"] for one in acks if "event" in one] == ["subscribe"] * 3
    told = bitget.wait(90_000)
    tickers = [one["data"][0] for one in told if one["arg"]["topic"] == "ticker"]
    forced = [one["data"][0] for one in told if one["arg"]["topic"] == "liquidation"]
    assert len(tickers) == 90
    assert 50_000 < float(tickers[0]["markPrice"]) < 70_000
    assert forced
    assert {one["symbol"] for one in forced} == {"BTCUSDT"}
    assert all(float(one["amount"]) / float(one["price"]) >= 0.0001 for one in forced)


@pytest.mark.parametrize(
    "asked",
    [arg("books", "NOPE"), arg("dance"), arg("ticker"), arg("books", family="coin-futures"), {"topic": "liquidation"}],
)
def test_refusals_name_what_was_asked_for(asked: dict[str, str]) -> None:
    bitget = talk()
    refused, ack, *_ = bitget.say(ask(asked, arg("books")))
    assert (refused["event"], refused["arg"], refused["code"]) == ("error", asked, "30001")
    assert ack["event"] == "subscribe", "and the others are heard"


def test_pings_nonsense_and_too_many_requests() -> None:
    bitget = talk()
    assert bitget.say("ping") == ["pong"]
    assert bitget.say("nonsense")[0]["event"] == "error"
    for _ in range(240):
        bitget.say(ask(arg("books"), op="unsubscribe"))
    assert bitget.say(ask(arg("books")))[0]["msg"] == "request too many"


def test_who_does_not_ping_is_cut_after_two_minutes() -> None:
    bitget = talk()
    bitget.sleep(119_000)
    assert bitget.ends == []
    bitget.say("ping")
    bitget.sleep(119_000)
    assert bitget.ends == []
    bitget.sleep(3_000)
    assert len(bitget.ends) >= 1


def test_rest() -> None:
    bitget = talk()
    spot = body(bitget.get("/api/v3/market/instruments", category="SPOT"))["data"]
    assert [(one["symbol"], one["pricePrecision"]) for one in spot] == [("BTCUSDT", "2"), ("DOGEUSDT", "5")]
    assert body(bitget.get("/api/v3/market/instruments", category="USDC-FUTURES"))["data"] == []
    book = body(bitget.get("/api/v3/market/orderbook", category="SPOT", symbol="BTCUSDT"))["data"]
    assert (len(book["a"]), len(book["b"])) == (5, 5)
    assert bitget.get("/api/v3/market/orderbook", category="SPOT", symbol="NOPE").status == 400
    assert "serverTime" in body(bitget.get("/api/v2/public/time"))["data"]
    request = Request("/api/v3/market/orderbook", {"category": "SPOT", "symbol": "BTCUSDT"})
    assert BITGET.snapshot_stream(request) == "books:SPOT/BTCUSDT"


async def test_the_products_reader_lists_it(simulate: Any) -> None:
    found = await listed(await simulate("bitget", symbols=SYMBOLS), "bitget")
    assert {one.symbol: (one.venue_symbol, one.tick) for one in found} == {
        "BTC/USDT": ("SPOT/BTCUSDT", "0.01"),
        "DOGE/USDT": ("SPOT/DOGEUSDT", "0.00001"),
        "BTC/USDT:USDT": ("USDT-FUTURES/BTCUSDT", "0.1"),
    }


async def test_live_books_are_true_and_heal(simulate: Any) -> None:
    running = await simulate("bitget", symbols=SYMBOLS, speed=2.0)
    async with watching(running, "bitget", *SYMBOLS, levels=200) as client:
        await client.compares(60)
        assert client.losses == []
        running.inject({"fault": "drop", "stream": "books:SPOT/BTCUSDT"})
        await client.until(lambda: client.losses, "a loss")
        await client.compares(60)
        assert client.losses == ["sequence_gap"], "and the other books go on"
        assert client.trades()


@pytest.mark.parametrize("fault", ["duplicate", "reorder"])
async def test_what_comes_twice_or_late_breaks_the_chain_and_heals(simulate: Any, fault: str) -> None:
    running = await simulate("bitget", symbols=SYMBOLS, speed=2.0)
    async with watching(running, "bitget", "BTC/USDT", levels=200) as client:
        await client.compares(10)
        running.inject({"fault": fault, "stream": "books:SPOT/BTCUSDT"})
        await client.until(lambda: client.losses, "a loss")
        await client.compares(20)
        assert set(client.losses) == {"sequence_gap"}


async def test_a_release_leaves_the_book_true(simulate: Any) -> None:
    running = await simulate("bitget", symbols=SYMBOLS, speed=2.0)
    async with watching(running, "bitget", "BTC/USDT", levels=200) as client:
        await client.compares(10)
        running.inject({"fault": "restart", "stream": "books:SPOT/BTCUSDT"})
        await client.until(lambda: running.injected, "the release")
        await client.compares(30)


async def test_pings_keep_a_socket_and_their_lack_ends_it(simulate: Any) -> None:
    running = await simulate("bitget", symbols=SYMBOLS, speed=0.3, time_scale=120.0)
    async with watching(running, "bitget", "BTC/USDT", levels=200) as client:
        await client.until(lambda: client.losses, "the cut: the codec's pings are of real time")
        assert client.losses[0] == "socket_closed"
