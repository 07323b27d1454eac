"""Simulated OKX: the conversation, the chain of ids, REST; and the product's own codec on a real socket."""

from __future__ import annotations

from typing import Any

import pytest
from talking import Talk, body
from watching import listed, watching

from imbalanced.sim import SIMS
from imbalanced.venues.codec import Keepalive

SPOT, SWAP, INVERSE = "BTC/USDT", "BTC/USDT:USDT", "BTC/USD:BTC"
PATH = "/ws/v5/public"
BOOK = {"channel": "books", "instId": "BTC-USDT-SWAP"}


def talk(*symbols: str) -> Talk:
    return Talk("okx", *(symbols or (SPOT, SWAP, INVERSE)), path=PATH)


def ask(op: str, *args: dict[str, str], **more: str) -> dict[str, Any]:
    return {"op": op, "args": list(args), **more}


def of(channel: str, frames: list[Any]) -> list[Any]:
    return [one for one in frames if isinstance(one, dict) and one.get("arg", {}).get("channel") == channel]


def test_an_acknowledgement_then_the_image_then_a_chain() -> None:
    okx = talk()
    ack, image = okx.say(ask("subscribe", BOOK, id="7"))
    assert ack == {"id": "7", "event": "subscribe", "arg": BOOK, "connId": "a4d3ae55"}
    assert (image["arg"], image["action"]) == (BOOK, "snapshot")
    first = image["data"][0]
    assert (len(first["bids"]), len(first["asks"]), first["prevSeqId"], first["checksum"]) == (400, 400, -1, 0)
    last = first["seqId"]
    updates = of("books", okx.wait(2000))
    assert len(updates) > 15
    for update in updates:
        entry = update["data"][0]
        assert (update["action"], entry["prevSeqId"], entry["checksum"]) == ("update", last, 0)
        assert entry["seqId"] > last + 1, "ids jump"
        last = entry["seqId"]
        assert all(len(level) == 4 for level in entry["bids"] + entry["asks"])


def test_who_trades_is_told_by_type_and_at_first_of_all() -> None:
    okx = talk()
    arg = {"channel": "instruments", "instType": "SWAP"}
    ack, first = okx.say(ask("subscribe", arg, id="7"))
    assert (ack["event"], ack["arg"], first["arg"]) == ("subscribe", arg, arg)
    assert {one["instId"]: one["state"] for one in first["data"]} == {"BTC-USDT-SWAP": "live", "BTC-USD-SWAP": "live"}
    assert list(okx.desk.subscriptions.items()) == [("instruments:SWAP", None)]
    assert [one["event"] for one in okx.say(ask("unsubscribe", arg))] == ["unsubscribe"]
    assert not okx.desk.subscriptions
    (refused,) = okx.say(ask("subscribe", {"channel": "instruments", "instType": "NOPE"}))
    assert refused["code"] == "60018"


def test_an_image_comes_only_in_reply_to_a_subscription() -> None:
    okx = talk()
    okx.say(ask("subscribe", BOOK))
    okx.wait(500)
    assert [one["event"] for one in okx.say(ask("unsubscribe", BOOK))] == ["unsubscribe"]
    assert okx.wait(500) == []
    _, image = okx.say(ask("subscribe", BOOK))
    last = image["data"][0]["seqId"]
    assert of("books", okx.wait(300))[0]["data"][0]["prevSeqId"] == last


def test_a_legal_reset_has_a_lower_id_and_is_still_linked() -> None:
    okx = talk()
    last = okx.say(ask("subscribe", BOOK))[1]["data"][0]["seqId"]
    okx.feed.restart("BTC-USDT-SWAP")
    ids = [(one["data"][0]["prevSeqId"], one["data"][0]["seqId"]) for one in of("books", okx.wait(400))]
    assert ids[0][0] == last
    assert ids[0][1] < last
    assert [before for before, _ in ids[1:]] == [after for _, after in ids[:-1]]


def test_ping_is_plain_text() -> None:
    assert talk().say("ping") == ["pong"]


def test_a_silent_client_without_data_is_cut_after_30_s() -> None:
    okx = talk()
    assert okx.sleep(29_000) == []
    okx.say("ping")
    okx.sleep(29_000)
    assert not okx.ends
    okx.sleep(2_000)
    assert okx.ends[0].code == 4004


def test_data_keeps_a_client_that_says_nothing() -> None:
    okx = talk(SWAP)
    okx.say(ask("subscribe", {"channel": "bbo-tbt", "instId": "BTC-USDT-SWAP"}))
    assert okx.wait(31_000)
    assert not okx.ends


@pytest.mark.parametrize(
    ("arg", "code"),
    [
        ({"channel": "books", "instId": "NOPE-USDT"}, "60018"),
        ({"channel": "nope", "instId": "BTC-USDT"}, "60018"),
        ({"channel": "funding-rate", "instId": "BTC-USDT"}, "60018"),
        ({"channel": "liquidation-orders", "instType": "SPOT"}, "60018"),
        ({"channel": "books-l2-tbt", "instId": "BTC-USDT"}, "64003"),
    ],
)
def test_what_does_not_exist_is_refused_by_name_and_the_rest_is_served(arg: dict[str, str], code: str) -> None:
    okx = talk()
    refused, ack, _ = okx.say(ask("subscribe", arg, BOOK, id="1"))
    assert (refused["id"], refused["event"], refused["code"]) == ("1", "error", code)
    assert code != "60018" or arg["channel"] in refused["msg"]
    assert ack["event"] == "subscribe"
    assert list(okx.desk.subscriptions) == ["books:BTC-USDT-SWAP"]


def test_wrong_requests_are_answered_with_an_error() -> None:
    okx = talk()
    for text in ("nonsense", '{"op":"dance"}', '{"op":"subscribe","args":[]}', "[1]"):
        assert [one["code"] for one in okx.say(text)] == ["60012"]
    assert okx.say(ask("subscribe", *[BOOK] * 1500))[0]["code"] == "60014"


def test_480_requests_an_hour() -> None:
    okx = talk()
    for _ in range(240):
        okx.say(ask("subscribe", {"channel": "trades", "instId": "BTC-USDT"}))
        okx.say(ask("unsubscribe", {"channel": "trades", "instId": "BTC-USDT"}))
    refused = okx.say(ask("subscribe", BOOK))
    assert refused[0]["code"] == "60014"
    okx.desk.due(3_601_000)
    assert okx.say(ask("subscribe", BOOK))[0]["event"] == "subscribe"


def test_trades_begin_with_the_last_one_there_was() -> None:
    okx = talk()
    first = okx.say(ask("subscribe", {"channel": "trades", "instId": "BTC-USDT-SWAP"}))
    assert [one.get("event") for one in first] == ["subscribe"], "there was none yet"
    told = of("trades", okx.wait(4000))
    assert told
    again = okx.say(ask("subscribe", {"channel": "trades", "instId": "BTC-USDT-SWAP"}))
    assert again[1]["data"] == told[-1]["data"]
    entry = told[-1]["data"][0]
    assert {"instId", "tradeId", "px", "sz", "side", "ts", "count"} <= entry.keys()


def test_context_of_swaps() -> None:
    okx = talk()
    channels = ("mark-price", "funding-rate", "open-interest")
    args = [{"channel": channel, "instId": "BTC-USDT-SWAP"} for channel in channels]
    told = okx.say(ask("subscribe", *args, {"channel": "index-tickers", "instId": "BTC-USDT"}))
    by = {one["arg"]["channel"]: one["data"][0] for one in told if "data" in one}
    assert abs(float(by["mark-price"]["markPx"]) / float(by["index-tickers"]["idxPx"]) - 1) < 0.001
    assert float(by["funding-rate"]["fundingRate"]) == 0.0001
    interest = by["open-interest"]
    assert float(interest["oiCcy"]) == pytest.approx(float(interest["oi"]) * 0.01)
    inverse = okx.say(ask("subscribe", {"channel": "open-interest", "instId": "BTC-USD-SWAP"}))[1]["data"][0]
    usd = float(inverse["oi"]) * 100
    assert float(inverse["oiUsd"]) == pytest.approx(usd, rel=1e-6)
    assert len(of("mark-price", okx.wait(3000))) == 3


def test_liquidations_are_of_a_whole_type_and_never_of_spot() -> None:
    okx = talk()
    okx.say(ask("subscribe", {"channel": "liquidation-orders", "instType": "SWAP"}))
    told = of("liquidation-orders", okx.wait(60_000))
    assert told
    for one in told:
        entry = one["data"][0]
        assert entry["instId"].endswith("-SWAP")
        (detail,) = entry["details"]
        assert (detail["side"], detail["posSide"]) in (("buy", "short"), ("sell", "long"))


def test_full_images_of_five_levels() -> None:
    okx = talk()
    arg = {"channel": "books5", "instId": "BTC-USDT"}
    first = okx.say(ask("subscribe", arg))[1]
    told = [first, *of("books5", okx.wait(500))]
    assert len(told) == 6
    assert all((len(one["data"][0]["bids"]), len(one["data"][0]["asks"])) == (5, 5) for one in told)


def test_rest() -> None:
    okx = talk()
    spot = body(okx.get("/api/v5/public/instruments", instType="SPOT"))["data"]
    swaps = body(okx.get("/api/v5/public/instruments", instType="SWAP"))["data"]
    assert [one["instId"] for one in spot] == ["BTC-USDT"]
    assert [(one["instId"], one["ctVal"], one["ctType"], one["settleCcy"]) for one in swaps] == [
        ("BTC-USDT-SWAP", "0.01", "linear", "USDT"),
        ("BTC-USD-SWAP", "100", "inverse", "BTC"),
    ]
    book = body(okx.get("/api/v5/market/books", instId="BTC-USDT", sz="10"))["data"][0]
    assert (len(book["bids"]), len(book["asks"])) == (10, 10)
    assert body(okx.get("/api/v5/market/books", instId="NOPE", sz="10"))["code"] == "51001"
    assert okx.get("/api/v5/nothing").status == 404
    assert SIMS["okx"].connect("/ws/v5/private", {}, okx.feed) is None


def test_the_notice_before_the_end() -> None:
    told = talk().desk.notice(0)
    assert '"event":"notice"' in told
    assert '"code":"64008"' in told


async def test_the_products_reader_lists_it(simulate: Any) -> None:
    found = await listed(await simulate("okx", symbols=(SPOT, SWAP, INVERSE)), "okx")
    about = {one.symbol: (one.venue_symbol, one.tick, one.contract_size, one.inverse) for one in found}
    assert about == {
        SPOT: ("BTC-USDT", "0.1", 1.0, False),
        SWAP: ("BTC-USDT-SWAP", "0.1", 0.01, False),
        INVERSE: ("BTC-USD-SWAP", "0.1", 100.0, True),
    }


async def test_live_books_are_true_and_heal(simulate: Any) -> None:
    running = await simulate("okx", symbols=(SPOT, SWAP, INVERSE))
    async with watching(running, "okx", SPOT, SWAP, INVERSE, levels=400) as client:
        await client.compares(40)
        assert client.losses == []
        running.inject({"fault": "drop", "stream": "books:BTC-USDT-SWAP"})
        await client.until(lambda: client.losses, "a loss")
        await client.compares(20)
        running.inject({"fault": "restart", "stream": "books:BTC-USDT"})
        await client.compares(40)
        assert client.losses == ["sequence_gap"], "a legal reset is none"
        assert client.trades()


async def test_pings_keep_a_socket_on_which_nothing_moves(simulate: Any) -> None:
    """30 s are 1.5 s here: with pings it lives, without them it is cut."""
    running = await simulate("okx", symbols=(SPOT, SWAP, INVERSE), time_scale=20.0)
    async with watching(running, "okx", SPOT, keep=Keepalive(every_s=0.4, text="ping")) as client:
        await client.compares(3)
        await running.freeze()
        pings = client.sent.count("ping")
        await client.until(lambda: client.sent.count("ping") > pings + 6, "two and a half seconds of pings")
        assert client.losses == []
        client.session.codec.keepalive = None
        await client.until(lambda: client.losses, "the cut")
        assert client.losses == ["socket_closed"]
