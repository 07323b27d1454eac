"""Simulated Bybit: counters, restarts, refusals, three products; and the product's own codec on a real socket."""

from __future__ import annotations

from typing import Any

import pytest
from talking import Talk, body
from watching import listed, watching

from imbalanced.venues.codec import Keepalive

LINEAR, INVERSE, SPOT = "/v5/public/linear", "/v5/public/inverse", "/v5/public/spot"
BOOK = "orderbook.200.BTCUSDT"


def talk(venue: str = "bybit", path: str = LINEAR) -> Talk:
    return Talk(venue, "BTC/USDT", "ETH/USDT", path=path)


def ask(op: str, *topics: str, req_id: str = "a1") -> dict[str, Any]:
    return {"req_id": req_id, "op": op, "args": list(topics)}


def of(topic: str, frames: list[Any]) -> list[Any]:
    return [one for one in frames if one.get("topic") == topic]


@pytest.mark.parametrize(("depth", "interval_ms"), [(50, 20), (200, 100), (1000, 200)])
def test_a_counter_from_the_image_on(depth: int, interval_ms: int) -> None:
    bybit, topic = talk(), f"orderbook.{depth}.BTCUSDT"
    ack, image = bybit.say(ask("subscribe", topic))
    assert (ack["success"], ack["req_id"], ack["op"]) == (True, "a1", "subscribe")
    assert image["type"] == "snapshot"
    assert max(len(image["data"]["b"]), len(image["data"]["a"])) <= depth
    told = of(topic, bybit.wait(2000))
    assert len(told) > 1000 / interval_ms / 2
    assert {one["type"] for one in told} == {"delta"}
    first = image["data"]["u"]
    assert first > 1
    assert [one["data"]["u"] for one in told] == list(range(first + 1, first + 1 + len(told)))
    assert all(one["cts"] <= one["ts"] for one in told)


def test_a_service_that_begins_anew_sends_an_image_with_u_1() -> None:
    bybit = talk()
    bybit.say(ask("subscribe", BOOK))
    bybit.feed.restart("BTCUSDT")
    told = of(BOOK, bybit.wait(500))
    assert [(one["type"], one["data"]["u"]) for one in told[:3]] == [("snapshot", 1), ("delta", 2), ("delta", 3)]


def test_one_wrong_topic_fails_the_request() -> None:
    bybit = talk()
    (refused,) = bybit.say(ask("subscribe", BOOK, "orderbook.200.NOPE", req_id="7"))
    assert (refused["success"], refused["req_id"], refused["ret_msg"]) == (
        False,
        "7",
        "Invalid topic: orderbook.200.NOPE",
    )
    assert not bybit.desk.subscriptions
    for topic in ("orderbook.7.BTCUSDT", "nope.BTCUSDT", "publicTrade.NOPE"):
        assert bybit.say(ask("subscribe", topic))[0]["success"] is False
    assert talk("bybit_spot", SPOT).say(ask("subscribe", "tickers.BTCUSDT"))[0]["success"] is False
    for wrong in ("nonsense", {"op": "dance"}, {"op": "subscribe", "args": [1]}):
        assert bybit.say(wrong)[0]["success"] is False


def test_spot_takes_ten_topics_a_request_and_nobody_too_many_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    spot = Talk("bybit_spot", *(f"S{i:03}/USDT" for i in range(11)), path=SPOT)
    topics = [f"publicTrade.S{i:03}USDT" for i in range(11)]
    assert spot.say(ask("subscribe", *topics))[0]["ret_msg"] == "args size >10"
    assert spot.say(ask("subscribe", *topics[:10]))[0]["success"] is True
    monkeypatch.setattr("imbalanced.sim.bybit.MOST_CHARACTERS", 50)
    linear = talk()
    assert linear.say(ask("subscribe", "publicTrade.BTCUSDT", "publicTrade.ETHUSDT"))[0]["success"] is True
    assert linear.say(ask("subscribe", "tickers.BTCUSDT"))[0]["success"] is False


def test_unsubscribing_ends_it() -> None:
    bybit = talk()
    bybit.say(ask("subscribe", BOOK))
    assert bybit.say(ask("unsubscribe", BOOK))[0] | {"conn_id": ""} == {
        "success": True,
        "ret_msg": "",
        "conn_id": "",
        "req_id": "a1",
        "op": "unsubscribe",
    }
    assert bybit.wait(500) == []


def test_ping_is_json_and_silence_of_ten_minutes_is_the_end() -> None:
    bybit = talk()
    (pong,) = bybit.say({"req_id": "1", "op": "ping"})
    assert (pong["success"], pong["ret_msg"], pong["op"], pong["req_id"]) == (True, "pong", "ping", "1")
    bybit.sleep(599_000)
    assert not bybit.ends
    bybit.sleep(2_000)
    assert {one.code for one in bybit.ends} == {1006}


def test_trades_of_one_order_come_together() -> None:
    bybit = talk()
    bybit.say(ask("subscribe", "publicTrade.BTCUSDT"))
    told = of("publicTrade.BTCUSDT", bybit.wait(8000))
    assert any(len(one["data"]) > 1 for one in told)
    ids = [entry["i"] for one in told for entry in one["data"]]
    assert len(ids) == len(set(ids))
    assert {entry["S"] for one in told for entry in one["data"]} == {"Buy", "Sell"}


def test_tickers_begin_whole_and_go_on_sparse() -> None:
    bybit = talk()
    _, whole = bybit.say(ask("subscribe", "tickers.BTCUSDT"))
    told = of("tickers.BTCUSDT", bybit.wait(3000))
    assert (whole["type"], {one["type"] for one in told}) == ("snapshot", {"delta"})
    assert {"fundingRate", "nextFundingTime", "fundingIntervalHour"} <= whole["data"].keys()
    assert "fundingRate" not in told[0]["data"]
    data = whole["data"]
    assert float(data["openInterest"]) == pytest.approx(2 * float(data["singleOpenInterest"]))


def test_liquidations_name_the_side_of_the_position() -> None:
    bybit = talk()
    bybit.say(ask("subscribe", "allLiquidation.BTCUSDT", "publicTrade.BTCUSDT"))
    frames = bybit.wait(60_000)
    forced = [one["data"][0] for one in of("allLiquidation.BTCUSDT", frames)]
    assert forced
    sides = {(e["T"], e["p"]): e["S"] for one in of("publicTrade.BTCUSDT", frames) for e in one["data"]}
    assert all(sides[one["T"], one["p"]] != one["S"] for one in forced), "a long is closed by a sale"


def test_the_best_level_alone() -> None:
    bybit = talk()
    _, first = bybit.say(ask("subscribe", "orderbook.1.BTCUSDT"))
    told = [first, *of("orderbook.1.BTCUSDT", bybit.wait(2000))]
    assert {(one["type"], len(one["data"]["b"]), len(one["data"]["a"])) for one in told} == {("snapshot", 1, 1)}


def test_rest() -> None:
    bybit = talk()
    answer = body(bybit.get("/v5/market/instruments-info", category="linear"))["result"]
    assert [one["symbol"] for one in answer["list"]] == ["BTCUSDT", "ETHUSDT"]
    prelaunch = bybit.get("/v5/market/instruments-info", category="linear", status="PreLaunch")
    assert body(prelaunch)["result"]["list"] == []
    assert body(bybit.get("/v5/market/instruments-info", category="spot"))["result"]["list"] == []
    book = body(bybit.get("/v5/market/orderbook", category="linear", symbol="BTCUSDT", limit="5"))["result"]
    assert (book["s"], len(book["b"]), len(book["a"])) == ("BTCUSDT", 5, 5)
    assert body(bybit.get("/v5/market/orderbook", category="linear", symbol="NOPE"))["retCode"] == 10001
    assert bybit.get("/v5/nothing").status == 404
    assert bybit.venue.connect(SPOT, {}, bybit.feed) is None


PRODUCTS = {
    "bybit": (LINEAR, "BTC/USDT:USDT", ("BTCUSDT", "0.1", 1.0, False)),
    "bybit_inverse": (INVERSE, "BTC/USD:BTC", ("BTCUSD", "0.1", 1.0, True)),
    "bybit_spot": (SPOT, "BTC/USDT", ("BTCUSDT", "0.01", 1.0, False)),
}


@pytest.mark.parametrize("venue", PRODUCTS)
async def test_the_products_reader_lists_it(simulate: Any, venue: str) -> None:
    _, symbol, about = PRODUCTS[venue]
    found = await listed(await simulate(venue, symbols=("BTC/USDT",)), venue)
    assert {one.symbol: (one.venue_symbol, one.tick, one.contract_size, one.inverse) for one in found} == {
        symbol: about
    }


@pytest.mark.parametrize("venue", PRODUCTS)
async def test_live_books_are_true_and_heal(simulate: Any, venue: str) -> None:
    _, symbol, about = PRODUCTS[venue]
    running = await simulate(venue, symbols=("BTC/USDT",))
    async with watching(running, venue, symbol, levels=200) as client:
        await client.compares(20)
        assert client.losses == []
        running.inject({"fault": "drop", "stream": f"orderbook.200.{about[0]}"})
        await client.until(lambda: client.losses, "a loss")
        await client.compares(10)
        running.inject({"fault": "restart", "stream": f"orderbook.200.{about[0]}"})
        await client.compares(20)
        assert client.losses == ["sequence_gap"], "a service that begins anew is none"
        assert client.trades()


async def test_pings_keep_the_socket(simulate: Any) -> None:
    """Ten minutes are 1.5 s here: with pings it lives, without them it is cut, data or not."""
    running = await simulate("bybit", symbols=("BTC/USDT",), time_scale=400.0)
    keep = Keepalive(every_s=0.5, text='{"req_id":"0","op":"ping"}')
    async with watching(running, "bybit", "BTC/USDT:USDT", keep=keep) as client:
        await client.until(lambda: client.sent.count(keep.text) > 5, "two and a half seconds of pings")
        assert client.losses == []
        client.session.codec.keepalive = None
        await client.until(lambda: client.losses, "the cut")
        assert client.losses == ["socket_closed"]
