"""Simulated Deribit: JSON-RPC, the chain of change ids, heartbeats that are tests; and the product's own codec."""

from __future__ import annotations

from typing import Any

import pytest
from talking import Talk, body
from watching import listed, watching

SYMBOLS = ("BTC/USD:BTC", "ETH/USDT", "SOL/USDC:USDC")
PATH = "/ws/api/v2"
BOOK = "book.BTC-PERPETUAL.100ms"


def talk() -> Talk:
    return Talk("deribit", *SYMBOLS, path=PATH)


def call(method: str, id: int = 1, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": id, "method": f"public/{method}", "params": params}


def data(channel: str, frames: list[Any]) -> list[Any]:
    return [one["params"]["data"] for one in frames if one.get("params", {}).get("channel") == channel]


def test_the_image_then_a_chain_of_change_ids() -> None:
    deribit = talk()
    answer, image = deribit.say(call("subscribe", 7, channels=[BOOK]))
    assert (answer["id"], answer["result"]) == (7, [BOOK])
    (first,) = data(BOOK, [image])
    assert (first["type"], "prev_change_id" in first) == ("snapshot", False)
    assert {level[0] for level in first["bids"]} == {"new"}
    known = {side: {price: amount for _, price, amount in first[side]} for side in ("bids", "asks")}
    last = first["change_id"]
    changes = data(BOOK, deribit.wait(3000))
    assert len(changes) > 20
    for change in changes:
        assert (change["type"], change["prev_change_id"]) == ("change", last)
        assert change["change_id"] > last + 1
        last = change["change_id"]
        for name, side in known.items():
            for action, price, amount in change[name]:
                assert (action == "new") is (price not in side)
                assert (action == "delete") is (amount == 0)
                if action == "delete":
                    del side[price]
                else:
                    side[price] = amount


def test_what_the_venue_says_of_itself_can_be_subscribed() -> None:
    deribit, states = talk(), ["platform_state", "instrument.state.any.any"]
    (answer,) = deribit.say(call("subscribe", channels=states))
    assert answer["result"] == list(deribit.desk.subscriptions) == states
    assert deribit.say(call("unsubscribe", channels=states))[0]["result"] == states
    assert not deribit.desk.subscriptions


def test_what_does_not_exist_is_missing_in_the_answer() -> None:
    deribit = talk()
    wrong = ["book.NOPE.100ms", "book.BTC-PERPETUAL.7ms", "nope.BTC-PERPETUAL.100ms", "trades.BTC-PERPETUAL.agg2"]
    answer, *_ = deribit.say(call("subscribe", channels=[wrong[0], BOOK, *wrong[1:]]))
    assert answer["result"] == [BOOK]
    assert list(deribit.desk.subscriptions) == [BOOK]
    assert deribit.say(call("unsubscribe", channels=[BOOK]))[0]["result"] == [BOOK]
    assert deribit.wait(300) == []


@pytest.mark.parametrize(
    ("told", "code"),
    [
        (call("subscribe", channels=["book.BTC-PERPETUAL.raw"]), 13778),
        (call("subscribe", channels=[]), -32602),
        (call("dance"), -32601),
        (call("set_heartbeat", interval=5), -32602),
        ("nonsense", -32700),
    ],
)
def test_errors(told: object, code: int) -> None:
    assert talk().say(told)[0]["error"]["code"] == code


def test_other_calls() -> None:
    deribit = talk()
    assert deribit.say(call("get_time"))[0]["result"] == deribit.now_ms
    assert "version" in deribit.say(call("test"))[0]["result"]
    deribit.say(call("subscribe", channels=[BOOK]))
    assert deribit.say(call("unsubscribe_all"))[0]["result"] == "ok"
    assert not deribit.desk.subscriptions


def heartbeats(frames: list[Any]) -> list[str]:
    return [one["params"]["type"] for one in frames if one.get("method") == "heartbeat"]


def test_a_client_that_answers_the_test_stays_and_one_that_does_not_is_cut() -> None:
    deribit = talk()
    assert deribit.sleep(100_000) == [], "no heartbeat was set"
    assert deribit.say(call("set_heartbeat", interval=10))[0]["result"] == "ok"
    assert heartbeats(deribit.sleep(11_000)) == ["heartbeat"], "it has just spoken"
    assert heartbeats(deribit.sleep(10_000)) == ["heartbeat", "test_request"]
    deribit.say(call("test", 2))
    assert heartbeats(deribit.sleep(20_000)) == ["heartbeat", "heartbeat", "test_request"]
    assert not deribit.ends
    deribit.sleep(10_000)
    assert {one.code for one in deribit.ends} == {1006}


def test_a_heartbeat_can_be_ended() -> None:
    deribit = talk()
    deribit.say(call("set_heartbeat", interval=10))
    deribit.say(call("disable_heartbeat"))
    assert deribit.sleep(60_000) == []
    assert not deribit.ends


def test_trades_have_a_sequence_and_mark_the_forced() -> None:
    deribit = talk()
    deribit.say(call("subscribe", channels=["trades.BTC-PERPETUAL.100ms"]))
    told = [one for entry in data("trades.BTC-PERPETUAL.100ms", deribit.wait(30_000)) for one in entry]
    first = told[0]["trade_seq"]
    assert [one["trade_seq"] for one in told] == list(range(first, first + len(told)))
    assert {one["direction"] for one in told} == {"buy", "sell"}
    assert {one.get("liquidation") for one in told} == {None, "T"}
    assert all(one["amount"] % 10 == 0 for one in told), "dollars, in steps of ten"


def test_tickers() -> None:
    deribit = talk()
    _, first = deribit.say(call("subscribe", channels=["ticker.BTC-PERPETUAL.agg2"]))
    told = data("ticker.BTC-PERPETUAL.agg2", [first, *deribit.wait(3000)])
    assert len(told) == 4
    assert {"mark_price", "index_price", "open_interest", "current_funding", "timestamp"} <= told[0].keys()


def test_rest() -> None:
    deribit = talk()
    names = [one["instrument_name"] for one in body(deribit.get("/api/v2/public/get_instruments"))["result"]]
    assert names == ["BTC-PERPETUAL", "ETH-PERPETUAL", "SOL_USDC-PERPETUAL"]
    usdc = body(deribit.get("/api/v2/public/get_instruments", currency="USDC"))["result"]
    assert [one["instrument_name"] for one in usdc] == ["SOL_USDC-PERPETUAL"]
    assert body(deribit.get("/api/v2/public/get_instruments", kind="option"))["result"] == []
    assert body(deribit.get("/api/v2/public/get_time"))["result"] == deribit.now_ms
    assert deribit.get("/api/v2/public/nope").status == 404


async def test_the_products_reader_lists_it(simulate: Any) -> None:
    found = await listed(await simulate("deribit", symbols=SYMBOLS), "deribit")
    assert {one.symbol: (one.venue_symbol, one.tick, one.inverse) for one in found} == {
        "BTC/USD:BTC": ("BTC-PERPETUAL", "0.5", True),
        "ETH/USD:ETH": ("ETH-PERPETUAL", "0.05", True),
        "SOL/USDC:USDC": ("SOL_USDC-PERPETUAL", "0.01", False),
    }


async def test_live_books_are_true_and_heal(simulate: Any) -> None:
    running = await simulate("deribit", symbols=SYMBOLS)
    async with watching(running, "deribit", "BTC/USD:BTC", "SOL/USDC:USDC", levels=1000) as client:
        await client.compares(20)
        assert client.losses == []
        running.inject({"fault": "drop", "stream": BOOK})
        await client.until(lambda: client.losses, "a loss")
        await client.compares(20)
        assert client.losses == ["sequence_gap"]
        assert client.trades()


async def test_the_codec_answers_the_tests(simulate: Any) -> None:
    """Half a minute is half a second here: the tests come, are answered, and the link stays."""
    running = await simulate("deribit", symbols=SYMBOLS, time_scale=60.0)
    async with watching(running, "deribit", "BTC/USD:BTC") as client:
        await client.until(lambda: sum('"public/test"' in text for text in client.sent) >= 3, "three answered tests")
        await client.compares(5)
        assert client.losses == []
