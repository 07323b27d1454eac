"""Simulated Hyperliquid: images by the clock, history before trades, POST /info; and the product's own codec."""

from __future__ import annotations

import json
from typing import Any

import pytest
from talking import Talk, body
from watching import listed, watching

from imbalanced.events import TradeIgnored
from imbalanced.venues.codec import Keepalive

SYMBOLS = ("BTC/USDT", "SOL/USDC:USDC", "XRP/USDC:USDC")
FAST = {"type": "l2Book", "coin": "BTC", "fast": True}
SLOW = {"type": "l2Book", "coin": "BTC"}


def talk() -> Talk:
    return Talk("hyperliquid", *SYMBOLS, path="/ws")


def ask(method: str, **subscription: Any) -> dict[str, Any]:
    return {"method": method, "subscription": subscription}


def of(channel: str, frames: list[Any]) -> list[Any]:
    return [one["data"] for one in frames if one["channel"] == channel]


@pytest.mark.parametrize(("wanted", "period_ms", "levels"), [(FAST, 500, 5), (SLOW, 5000, 20)])
def test_whole_images_by_the_clock(wanted: dict[str, Any], period_ms: int, levels: int) -> None:
    hyper = talk()
    ack, first = hyper.say(ask("subscribe", **wanted))
    assert ack == {"channel": "subscriptionResponse", "data": {"method": "subscribe", "subscription": wanted}}
    told = of("l2Book", [first, *hyper.wait(4 * period_ms)])
    assert len(told) == 5
    assert [len(side) for one in told for side in one["levels"]] == [levels] * 10
    assert [one.get("fast") for one in told] == [wanted.get("fast")] * 5
    times = [one["time"] for one in told[1:]]
    assert times == list(range(times[0], times[0] + 4 * period_ms, period_ms))
    (last,) = next(found for _ in range(period_ms // 10) if (found := of("l2Book", hyper.wait(10))))
    true, last = hyper.feed.true_book("BTC"), last["levels"]
    assert [float(level["px"]) for level in last[0]] == [float(price) for price, _ in true.bids[:levels]]
    assert [float(level["sz"]) for level in last[1]] == [float(size) for _, size in true.asks[:levels]]


def test_an_unsubscription_must_repeat_the_object() -> None:
    hyper = talk()
    hyper.say(ask("subscribe", **FAST))
    (refused,) = hyper.say(ask("unsubscribe", **SLOW))
    assert refused["data"].startswith("Already unsubscribed")
    assert hyper.say(ask("subscribe", **FAST))[0]["data"].startswith("Already subscribed")
    assert hyper.say(ask("unsubscribe", **FAST))[0]["channel"] == "subscriptionResponse"
    assert hyper.wait(1500) == []


def test_an_array_of_coins_is_ignored_and_errors_are_told() -> None:
    hyper = talk()
    assert hyper.say(ask("subscribe", type="l2Book", coin=["BTC", "SOL"])) == []
    for told in (
        "nonsense",
        {"method": "dance"},
        ask("subscribe", type="l2Book", coin="NOPE"),
        ask("subscribe", type="x"),
    ):
        assert [one["channel"] for one in hyper.say(told)] == ["error"]
    assert not hyper.desk.subscriptions


def test_a_client_that_says_nothing_for_a_minute_is_cut() -> None:
    hyper = talk()
    hyper.say(ask("subscribe", **FAST))
    hyper.sleep(59_000)
    assert hyper.say({"method": "ping"}) == [{"channel": "pong"}]
    hyper.sleep(59_000)
    assert not hyper.ends
    hyper.sleep(2_000)
    assert {one.code for one in hyper.ends} == {1000}


def test_trades_begin_with_history() -> None:
    hyper = talk()
    hyper.say(ask("subscribe", type="trades", coin="BTC"))
    told = [entry for frame in of("trades", hyper.wait(8000)) for entry in frame]
    assert {one["side"] for one in told} == {"A", "B"}
    assert len({one["tid"] for one in told}) == len(told)
    hyper.say(ask("unsubscribe", type="trades", coin="BTC"))
    _, history = hyper.say(ask("subscribe", type="trades", coin="BTC"))
    assert [one["tid"] for one in history["data"]] == [one["tid"] for one in told[-30:]]


def test_best_quotes_and_context() -> None:
    hyper = talk()
    hyper.say(ask("subscribe", type="bbo", coin="BTC"))
    _, context = hyper.say(ask("subscribe", type="activeAssetCtx", coin="BTC"))
    assert {"funding", "openInterest", "markPx", "oraclePx"} <= context["data"]["ctx"].keys()
    told = hyper.wait(3000)
    assert len(of("activeAssetCtx", told)) == 3
    for one in of("bbo", told):
        bid, ask_ = one["bbo"]
        assert float(bid["px"]) < float(ask_["px"])


def test_info_is_a_post_with_a_body() -> None:
    hyper = talk()
    universe, contexts = body(hyper.post("/info", json.dumps({"type": "metaAndAssetCtxs"})))
    assert [(one["name"], one["szDecimals"]) for one in universe["universe"]] == [("BTC", 5), ("SOL", 2), ("XRP", 0)]
    assert contexts[0]["markPx"] == "61800"
    assert body(hyper.post("/info", '{"type":"meta"}')) == universe
    assert body(hyper.post("/info", '{"type":"spotMetaAndAssetCtxs"}')) == [{"universe": [], "tokens": []}, []]
    for wrong in ("", "nonsense", '{"type":"nope"}'):
        assert hyper.post("/info", wrong).status == 422
    assert hyper.get("/info").status == 422


async def test_the_products_reader_lists_it(simulate: Any) -> None:
    found = await listed(await simulate("hyperliquid", symbols=SYMBOLS), "hyperliquid")
    assert {one.symbol: (one.venue_symbol, one.tick, one.lot) for one in found} == {
        "BTC/USDC:USDC": ("BTC", "1", "0.00001"),
        "SOL/USDC:USDC": ("SOL", "0.01", "0.01"),
        "XRP/USDC:USDC": ("XRP", "0.00001", "1"),
    }


async def test_live_books_are_true_and_heal(simulate: Any) -> None:
    running = await simulate("hyperliquid", symbols=SYMBOLS, speed=5.0)
    async with watching(running, "hyperliquid", "BTC/USDC:USDC", "SOL/USDC:USDC") as client:
        await client.compares(20)
        running.inject({"fault": "drop", "stream": "l2Book:BTC"})
        await client.compares(10)
        assert client.losses == [], "the next image is as good"
        running.inject({"fault": "garbage", "stream": "l2Book:BTC"})
        await client.until(lambda: client.losses, "a loss")
        await client.compares(10)
        assert set(client.losses) == {"parse_error"}
        assert client.trades()


async def test_history_is_never_traded_on(simulate: Any) -> None:
    running = await simulate("hyperliquid", symbols=SYMBOLS, speed=5.0)
    async with watching(running, "hyperliquid", "BTC/USDC:USDC") as client:
        await client.until(client.trades, "trades")
    async with watching(running, "hyperliquid", "BTC/USDC:USDC") as client:
        await client.until(client.trades, "trades")
        history = [one for one in client.said if isinstance(one, TradeIgnored)]
        assert history
        assert client.said.index(history[-1]) < client.said.index(client.trades()[0])


async def test_pings_keep_the_socket(simulate: Any) -> None:
    """A minute is 1.2 s here: with pings it lives, without them it is cut, data or not."""
    running = await simulate("hyperliquid", symbols=SYMBOLS, time_scale=50.0)
    keep = Keepalive(every_s=0.4, text='{"method":"ping"}')
    async with watching(running, "hyperliquid", "BTC/USDC:USDC", keep=keep) as client:
        await client.until(lambda: client.sent.count(keep.text) > 5, "two seconds of pings")
        assert client.losses == []
        client.session.codec.keepalive = None
        await client.until(lambda: client.losses, "the cut")
        assert client.losses == ["socket_closed"]
