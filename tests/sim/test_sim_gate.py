"""Simulated Gate: diffs and their image by REST, spot and perpetuals; and the product's own codec."""

from __future__ import annotations

from typing import Any

import pytest
from talking import Talk, body
from watching import listed, watching

from imbalanced.sim import SIMS
from imbalanced.sim.venue import Request

SYMBOLS = ("BTC/USDT", "DOGE/USDT")
VENUES = pytest.mark.parametrize("venue", ["gate", "gate_futures"])
DOORS = {"gate": "/ws/v4/", "gate_futures": "/v4/ws/usdt"}
FAMILIES = {"gate": "spot", "gate_futures": "futures"}
IMAGES = {
    "gate": ("/api/v4/spot/order_book", "currency_pair"),
    "gate_futures": ("/api/v4/futures/usdt/order_book", "contract"),
}


def talk(venue: str) -> Talk:
    return Talk(venue, *SYMBOLS, path=DOORS[venue])


def ask(venue: str, channel: str, *payload: str, event: str = "subscribe") -> dict[str, Any]:
    return {"time": 1, "channel": f"{FAMILIES[venue]}.{channel}", "event": event, "payload": list(payload)}


def level(one: Any) -> tuple[str, str]:
    return (one[0], one[1]) if isinstance(one, list) else (one["p"], str(one["s"]))


def unified(venue: str, symbol: str) -> str:
    return symbol if venue == "gate" else f"{symbol}:USDT"


@VENUES
def test_image_and_diffs_make_the_book(venue: str) -> None:
    gate = talk(venue)
    (ack,) = gate.say(ask(venue, "order_book_update", "BTC_USDT", "100ms"))
    assert (ack["event"], ack["error"], ack["result"]) == ("subscribe", None, {"status": "success"})
    gate.wait(300)
    path, key = IMAGES[venue]
    image = body(gate.get(path, **{key: "BTC_USDT"}, limit="1000", with_id="true"))
    sides = {name: dict(map(level, image[long])) for name, long in (("b", "bids"), ("a", "asks"))}
    diffs = [one["result"] for one in gate.wait(3000)]
    assert 25 < len(diffs) <= 31, "one in 100 ms"
    diffs += [one["result"] for one in gate.level()]
    assert diffs[0]["U"] <= image["id"] + 1 <= diffs[0]["u"]
    for before, diff in zip([None, *diffs], diffs, strict=False):
        assert before is None or diff["U"] == before["u"] + 1
        for name, side in sides.items():
            for price, size in map(level, diff[name]):
                if size == "0":
                    side.pop(price, None)
                else:
                    side[price] = size
    true = gate.feed.true_book("BTC_USDT")
    assert diffs[-1]["u"] == true.last_id
    for side, levels in ((sides["b"], true.bids), (sides["a"], true.asks)):
        mine = {float(price): float(size) for price, size in side.items()}
        assert all(mine[float(price)] == float(size) for price, size in levels[:500])


def test_spot_tells_each_fill_and_perpetuals_all_of_an_order_with_a_sign() -> None:
    spot, perpetual = talk("gate"), talk("gate_futures")
    spot.say(ask("gate", "trades", "BTC_USDT", "DOGE_USDT"))
    perpetual.say(ask("gate_futures", "trades", "BTC_USDT"))
    told = [one["result"] for one in spot.wait(8000)]
    assert {one["currency_pair"] for one in told} == {"BTC_USDT", "DOGE_USDT"}
    assert {one["side"] for one in told} == {"buy", "sell"}
    for symbol in ("BTC_USDT", "DOGE_USDT"):
        ids = [one["id"] for one in told if one["currency_pair"] == symbol]
        assert ids == list(range(ids[0], ids[0] + len(ids)))
    orders = [one["result"] for one in perpetual.wait(8000)]
    assert max(map(len, orders)) > 1
    assert {fill["size"] > 0 for order in orders for fill in order} == {True, False}
    ids = [fill["id"] for order in orders for fill in order]
    assert ids == list(range(ids[0], ids[0] + len(ids)))


def test_tickers_tell_of_a_contract() -> None:
    gate = talk("gate_futures")
    gate.say(ask("gate_futures", "tickers", "BTC_USDT"))
    ((ticker,),) = [one["result"] for one in gate.wait(1000)]
    assert (ticker["contract"], ticker["funding_rate"]) == ("BTC_USDT", "0.000100")
    assert 50_000 < float(ticker["mark_price"]) < 70_000
    assert int(ticker["total_size"]) > 0


@VENUES
@pytest.mark.parametrize(
    ("channel", "payload", "code"),
    [
        ("order_book_update", ["NOPE_USDT", "100ms"], 2),
        ("order_book_update", ["BTC_USDT", "7ms"], 2),
        ("order_book_update", ["BTC_USDT"], 2),
        ("dance", ["BTC_USDT"], 2),
        ("trades", [], 1),
    ],
)
def test_refusals(venue: str, channel: str, payload: list[str], code: int) -> None:
    gate = talk(venue)
    (told,) = gate.say(ask(venue, channel, *payload))
    assert (told["error"]["code"], bool(gate.desk.subscriptions)) == (code, False)
    assert told["result"] != {"status": "success"}


@VENUES
def test_a_list_is_refused_for_one_of_its_symbols(venue: str) -> None:
    gate = talk(venue)
    (told,) = gate.say(ask(venue, "trades", "BTC_USDT", "NOPE_USDT"))
    assert told["error"]["message"].endswith(" NOPE_USDT")
    assert told.get("payload") == (["BTC_USDT", "NOPE_USDT"] if venue == "gate" else None)
    assert not gate.desk.subscriptions


@VENUES
def test_pings_and_leaving(venue: str) -> None:
    gate, family = talk(venue), FAMILIES[venue]
    (pong,) = gate.say({"channel": f"{family}.ping"})
    assert (pong["channel"], pong["error"]) == (f"{family}.pong", None)
    assert gate.say("nonsense")[0]["error"]["code"] == 1
    gate.say(ask(venue, "trades", "BTC_USDT"))
    gate.say(ask(venue, "trades", "BTC_USDT", event="unsubscribe"))
    assert gate.wait(2000) == []


@VENUES
def test_rest(venue: str) -> None:
    gate = talk(venue)
    path, key = IMAGES[venue]
    assert "id" not in body(gate.get(path, **{key: "BTC_USDT"}))
    assert len(body(gate.get(path, **{key: "BTC_USDT"}))["bids"]) == 10
    assert gate.get(path, **{key: "NOPE"}).status == 400
    assert gate.get(path, **{key: "BTC_USDT"}, limit="0").status == 400
    request = Request(path, {key: "BTC_USDT"})
    assert SIMS[venue].snapshot_stream(request) == f"{FAMILIES[venue]}.order_book_update:BTC_USDT"


async def test_the_products_reader_lists_it(simulate: Any) -> None:
    running = await simulate("gate", "gate_futures", symbols=SYMBOLS)
    spot, perpetuals = await listed(running, "gate"), await listed(running, "gate_futures")
    assert {one.symbol: (one.venue_symbol, one.tick) for one in spot} == {
        "BTC/USDT": ("BTC_USDT", "0.1"),
        "DOGE/USDT": ("DOGE_USDT", "0.00001"),
    }
    assert {one.symbol: (one.venue_symbol, one.tick, one.contract_size) for one in perpetuals} == {
        "BTC/USDT:USDT": ("BTC_USDT", "0.1", 0.0001),
        "DOGE/USDT:USDT": ("DOGE_USDT", "0.00001", 10.0),
    }


@VENUES
async def test_live_books_are_true_and_heal(simulate: Any, venue: str) -> None:
    running = await simulate(venue, symbols=SYMBOLS, speed=0.7)
    wanted = [unified(venue, symbol) for symbol in SYMBOLS]
    async with watching(running, venue, *wanted, levels=10) as client:
        await client.compares(20)
        assert client.losses == []
        running.inject({"fault": "drop", "stream": f"{FAMILIES[venue]}.order_book_update:BTC_USDT"})
        await client.until(lambda: client.losses, "a loss")
        await client.compares(20)
        assert client.losses == ["sequence_gap"], "and the other book goes on"
        assert client.trades()


@VENUES
async def test_a_symbol_that_is_refused_takes_the_trades_of_no_other_with_it(simulate: Any, venue: str) -> None:
    running = await simulate(venue, symbols=SYMBOLS, speed=4.0)
    wanted = [unified(venue, symbol) for symbol in SYMBOLS]
    await listed(running, venue)  # and from now on it is not: the list of instruments is older than that
    feed = running._houses[venue].feed
    true = feed.listing
    feed.listing = lambda symbol: None if symbol == "DOGE_USDT" else true(symbol)
    async with watching(running, venue, *wanted, levels=10) as client:
        await client.until(lambda: len(client.trades()) > 5, "trades of the other")
        assert {one.instrument for one in client.trades()} == {wanted[0]}
        told = client.notices("subscribe_error")
        assert {one.instrument for one in told} == {wanted[1]}
        channels = {"trades"} if venue == "gate" else {"trades", "tickers"}
        assert channels <= {one.detail.partition(":")[0].partition(".")[2] for one in told}
        assert not client.lost()


@VENUES
@pytest.mark.parametrize("fault", [{"fault": "http", "status": 503}, {"fault": "stale_snapshot"}])
async def test_a_bad_image_is_asked_for_again(simulate: Any, venue: str, fault: dict[str, Any]) -> None:
    running = await simulate(venue, symbols=SYMBOLS, speed=0.7)
    running.inject({**fault, "stream": f"{FAMILIES[venue]}.order_book_update:*"})
    async with watching(running, venue, unified(venue, "BTC/USDT"), levels=10) as client:
        await client.compares(10)
        assert [one.fault for one in running.injected] == [fault["fault"]]


@VENUES
async def test_other_faults_heal(simulate: Any, venue: str) -> None:
    running = await simulate(venue, symbols=SYMBOLS, speed=0.7)
    stream = f"{FAMILIES[venue]}.order_book_update:BTC_USDT"
    async with watching(running, venue, unified(venue, "BTC/USDT"), levels=10) as client:
        await client.compares(5)
        running.inject({"fault": "duplicate", "stream": stream})
        await client.compares(5)
        assert client.losses == [], "what comes twice is old"
        running.inject({"fault": "reorder", "stream": stream})
        await client.until(lambda: client.losses == ["sequence_gap"], "a gap")
        await client.compares(5)
        running.inject({"fault": "close", "stream": stream, "code": 1006})
        await client.until(lambda: client.losses == ["sequence_gap", "socket_closed"], "the end of the socket")
        await client.compares(5)


@VENUES
async def test_the_codec_pings_and_is_answered(simulate: Any, venue: str) -> None:
    running = await simulate(venue, symbols=SYMBOLS)
    async with watching(running, venue, unified(venue, "BTC/USDT"), levels=10) as client:
        keep = client.session.codec.keepalive
        assert keep is not None
        assert Talk(venue, *SYMBOLS, path=DOORS[venue]).say(keep.text)[0]["channel"].endswith(".pong")
        await client.compares(3)
