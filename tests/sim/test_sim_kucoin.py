"""Simulated KuCoin: the token, the welcome, sequences, images by REST; and the product's own codec on a real socket.

The image has 100 levels a side, so a book knows what the market is only while prices stay within them: on the sockets
the markets here are slow ones.
"""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from typing import Any

import aiohttp
import pytest
from talking import Talk, body
from watching import listed, watching

from imbalanced.sim import SIMS
from imbalanced.sim.kucoin import TOKEN

SYMBOLS = ("BTC/USDT", "SOL/USDT")
BOOK, MATCH = "/market/level2", "/market/match"
IMAGE = "/api/v1/market/orderbook/level2_100"


def talk() -> Talk:
    return Talk("kucoin", *SYMBOLS, path="/endpoint", token=TOKEN, connectId="me")


def ask(kind: str, topic: str, id: int = 1) -> dict[str, Any]:
    return {"id": id, "type": kind, "topic": topic, "privateChannel": False, "response": True}


def of(channel: str, frames: list[Any]) -> list[Any]:
    return [one["data"] for one in frames if str(one.get("topic", "")).startswith(channel + ":")]


def test_the_token_is_asked_for_by_post_and_opens_the_socket() -> None:
    kucoin = talk()
    told = body(kucoin.post("/api/v1/bullet-public"))["data"]
    (server,) = told["instanceServers"]
    assert (server["endpoint"], server["pingInterval"]) == ("ws://127.0.0.1:9/endpoint", 18_000)
    assert kucoin.venue.connect("/endpoint", {"token": told["token"]}, kucoin.feed) is not None
    assert kucoin.get("/api/v1/bullet-public").status == 405
    for query in ({}, {"token": "made up"}):
        assert kucoin.venue.connect("/endpoint", query, kucoin.feed) is None
    assert kucoin.venue.connect("/", {"token": TOKEN}, kucoin.feed) is None


def test_the_first_word_is_welcome() -> None:
    assert talk().greeting == [{"id": "me", "type": "welcome"}]


def test_sequences_follow_and_an_image_joins_them() -> None:
    kucoin = talk()
    assert kucoin.say(ask("subscribe", f"{BOOK}:BTC-USDT", 5)) == [{"id": "5", "type": "ack"}]
    told = of(BOOK, kucoin.wait(1000))
    image = body(kucoin.get(IMAGE, symbol="BTC-USDT"))["data"]
    told += of(BOOK, kucoin.wait(2000))
    assert len(told) > 60
    for before, after in pairwise(told):
        assert after["sequenceStart"] == before["sequenceEnd"] + 1
    assert told[0]["sequenceStart"] <= int(image["sequence"]) <= told[-1]["sequenceEnd"]
    assert (len(image["bids"]), len(image["asks"])) == (100, 100)
    for one in told:
        numbers = [int(level[2]) for side in one["changes"].values() for level in side]
        assert max(numbers) <= one["sequenceEnd"]
        assert min(numbers) >= one["sequenceStart"]
    bids = {Decimal(price): size for price, size in image["bids"]}
    for one in told:
        for price, size, number in one["changes"]["bids"]:
            if int(number) > int(image["sequence"]):
                bids[Decimal(price)] = size
    mine = sorted(((price, Decimal(size)) for price, size in bids.items() if Decimal(size)), reverse=True)
    true = [(Decimal(price), Decimal(size)) for price, size in kucoin.feed.true_book("BTC-USDT").bids]
    assert mine[:20] == true[:20]


def test_one_topic_may_name_many_symbols() -> None:
    kucoin = talk()
    kucoin.say(ask("subscribe", f"{BOOK}:BTC-USDT,SOL-USDT"))
    assert {one["symbol"] for one in of(BOOK, kucoin.wait(500))} == {"BTC-USDT", "SOL-USDT"}
    kucoin.say(ask("unsubscribe", f"{BOOK}:BTC-USDT"))
    assert {one["symbol"] for one in of(BOOK, kucoin.wait(500))} == {"SOL-USDT"}


@pytest.mark.parametrize(
    ("told", "code"),
    [
        (ask("subscribe", f"{BOOK}:NOPE-USDT"), 404),
        (ask("subscribe", "/market/nope:BTC-USDT"), 404),
        ({"id": 1, "type": "dance"}, 400),
        ("nonsense", 400),
    ],
)
def test_errors(told: object, code: int) -> None:
    (answer,) = talk().say(told)
    assert (answer["type"], answer["code"]) == ("error", code)


def test_300_topics_and_100_subscriptions_in_ten_seconds() -> None:
    kucoin = talk()
    for _ in range(50):
        kucoin.say(ask("subscribe", f"{MATCH}:BTC-USDT"))
        kucoin.say(ask("subscribe", f"{MATCH}:SOL-USDT"))
    assert kucoin.say(ask("subscribe", f"{BOOK}:BTC-USDT")) == [], "not heard"
    kucoin.sleep(11_000)
    assert kucoin.say(ask("subscribe", f"{BOOK}:BTC-USDT"))[0]["type"] == "ack"
    many = Talk("kucoin", *(f"S{i:03}/USDT" for i in range(151)), path="/endpoint", token=TOKEN)
    names = [f"S{i:03}-USDT" for i in range(151)]
    for channel in (BOOK, MATCH):
        for start in (0, 100):
            last = many.say(ask("subscribe", f"{channel}:{','.join(names[start : start + 100])}"))
    assert last[0]["code"] == 509


def test_a_client_that_does_not_ping_is_cut_data_or_not() -> None:
    kucoin = talk()
    assert kucoin.say({"id": "9", "type": "ping"}) == [{"id": "9", "type": "pong"}]
    kucoin.say(ask("subscribe", f"{MATCH}:BTC-USDT"))
    kucoin.sleep(27_000)
    assert not kucoin.ends
    kucoin.say({"id": "9", "type": "ping"})
    kucoin.sleep(27_000)
    assert not kucoin.ends
    kucoin.sleep(3_000)
    assert {one.code for one in kucoin.ends} == {1006}


def test_trades_one_frame_a_fill() -> None:
    kucoin = talk()
    kucoin.say(ask("subscribe", f"{MATCH}:BTC-USDT"))
    told = of(MATCH, kucoin.wait(8000))
    numbers = [int(one["sequence"]) for one in told]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert {one["side"] for one in told} == {"buy", "sell"}
    assert all(len(one["time"]) == 19 for one in told), "nanoseconds"


def test_full_images() -> None:
    kucoin = talk()
    _, first = kucoin.say(ask("subscribe", "/spotMarket/level2Depth5:BTC-USDT"))
    told = of("/spotMarket/level2Depth5", [first, *kucoin.wait(500)])
    assert [(len(one["bids"]), len(one["asks"])) for one in told] == [(5, 5)] * 6


def test_rest() -> None:
    kucoin = talk()
    assert [one["symbol"] for one in body(kucoin.get("/api/v2/symbols"))["data"]] == ["BTC-USDT", "SOL-USDT"]
    assert body(kucoin.get(IMAGE, symbol="NOPE-USDT"))["code"] == "900001"
    assert body(kucoin.get("/api/v3/market/orderbook/level2", symbol="BTC-USDT"))["code"] == "400001"
    assert kucoin.get("/api/v1/nope").status == 404


async def test_the_products_reader_lists_it(simulate: Any) -> None:
    found = await listed(await simulate("kucoin", symbols=SYMBOLS), "kucoin")
    about = {one.symbol: (one.venue_symbol, one.tick) for one in found}
    assert about == {"BTC/USDT": ("BTC-USDT", "0.1"), "SOL/USDT": ("SOL-USDT", "0.001")}


async def test_over_http_the_token_leads_to_the_socket(simulate: Any) -> None:
    running = await simulate("kucoin", symbols=SYMBOLS)
    rest = running.endpoints["kucoin"]["rest"]
    async with aiohttp.ClientSession() as session:
        async with session.post(rest + "/api/v1/bullet-public") as answer:
            told = (await answer.json())["data"]
        where = told["instanceServers"][0]["endpoint"]
        async with session.ws_connect(f"{where}?token={told['token']}") as socket:
            assert (await socket.receive_json())["type"] == "welcome"


async def test_live_books_are_true_and_heal(simulate: Any) -> None:
    running = await simulate("kucoin", symbols=SYMBOLS, speed=0.7)
    async with watching(running, "kucoin", "BTC/USDT", "SOL/USDT", levels=10) as client:
        await client.compares(20)
        assert client.losses == []
        running.inject({"fault": "drop", "stream": f"{BOOK}:BTC-USDT"})
        await client.until(lambda: client.losses, "a loss")
        await client.compares(20)
        assert client.losses == ["sequence_gap"]
        assert client.trades()


@pytest.mark.parametrize("fault", [{"fault": "http", "status": 503}, {"fault": "stale_snapshot"}])
async def test_a_bad_image_is_asked_for_again(simulate: Any, fault: dict[str, Any]) -> None:
    running = await simulate("kucoin", symbols=SYMBOLS, speed=0.7)
    running.inject({**fault, "stream": f"{BOOK}:*"})
    async with watching(running, "kucoin", "BTC/USDT", levels=10) as client:
        await client.compares(10)
        assert [one.fault for one in running.injected] == [fault["fault"]]


async def test_pings_keep_the_socket(simulate: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The codec pings as often as the token's answer says: here every second, and 1.8 s are too long."""
    monkeypatch.setattr("imbalanced.sim.kucoin.PING_MS", 1000)
    monkeypatch.setattr("imbalanced.sim.kucoin.PING_TIMEOUT_MS", 800)
    running = await simulate("kucoin", symbols=SYMBOLS, speed=0.3)
    monkeypatch.setattr("imbalanced.sim.kucoin.KucoinDesk.tick_ms", 100)
    async with watching(running, "kucoin", "BTC/USDT", levels=10) as client:
        await client.until(lambda: sum('"ping"' in text for text in client.sent) >= 4, "four pings")
        assert client.losses == []
        client.session.codec.keepalive = None
        await client.until(lambda: client.losses, "the cut")
        assert client.losses == ["socket_closed"]


def test_the_venue_lives_a_day() -> None:
    assert SIMS["kucoin"].limits.lifetime_s == 86_400
