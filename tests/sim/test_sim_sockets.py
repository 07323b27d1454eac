"""Simulated venues over real sockets: chains that hold, the true book, routes, limits, pings, faults."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
import websockets
from watching import watching

from imbalanced.sim import SIMS, Options, start
from imbalanced.sim.binance import BINANCE
from imbalanced.sim.faults import FaultError
from imbalanced.sim.venue import Frame, Stream

DEPTH = {
    "binance": "/api/v3/depth?symbol=BTCUSDT&limit=5000",
    "binance_usdm": "/fapi/v1/depth?symbol=BTCUSDT&limit=1000",
}
PUBLIC = {"binance": "/stream", "binance_usdm": "/public/stream"}
BOTH = pytest.mark.parametrize("venue", ["binance", "binance_usdm"])


def is_depth(message: Any) -> bool:
    return bool(message.get("data", message).get("e") == "depthUpdate")


@BOTH
@pytest.mark.parametrize("speed", [2.0, 20.0])
async def test_diffs_on_a_snapshot_give_the_true_book(
    simulate: Any, connect: Any, get: Any, local_book: Any, *, venue: str, speed: float
) -> None:
    running = await simulate(venue, speed=speed, symbols=("BTC/USDT",))
    book = local_book(futures=venue == "binance_usdm")
    async with connect(running, venue, PUBLIC[venue]) as socket:
        assert await socket.ask("SUBSCRIBE", "btcusdt@depth@100ms") == {"result": None, "id": 1}
        await socket.until(is_depth)
        await socket.until(is_depth)
        status, image, _ = await get(running, venue, DEPTH[venue])
        assert status == 200
        book.snapshot(image)
        for message in filter(is_depth, socket.seen):
            book.apply(message["data"])
        while book.applied < 8:
            book.apply((await socket.until(is_depth))["data"])
        await running.freeze()
        true = running.true_book(venue, "BTC/USDT" if venue == "binance" else "BTC/USDT:USDT")
        while book.last_id != true.last_id:
            book.apply((await socket.until(is_depth))["data"])
    # A limited snapshot does not know what lies beyond it; the wide spot one holds everything.
    for mine, whole in ((book.bids(), true.bids), (book.asks(), true.asks)):
        known = [(Decimal(price), size) for price, size in whole]
        limit = len(known) if venue == "binance" else 500
        assert mine[:limit] == known[:limit]


async def test_every_interval_of_a_futures_book_has_its_own_chain(simulate: Any, connect: Any) -> None:
    running = await simulate("binance_usdm", symbols=("BTC/USDT",), speed=5.0)
    names = ["btcusdt@depth@0ms", "btcusdt@depth@100ms", "btcusdt@depth", "btcusdt@depth@500ms"]
    async with connect(running, "binance_usdm", "/public/stream?streams=" + "/".join(names)) as socket:
        last: dict[str, int] = {}
        chained = dict.fromkeys(names, 0)
        while min(chained.values()) < 3:
            message = await socket.until(is_depth)
            name, event = message["stream"], message["data"]
            assert last.get(name, event["pu"]) == event["pu"]
            assert event["pu"] < event["U"] <= event["u"]
            assert event["U"] != event["pu"] + 1
            assert event["T"] <= event["E"]
            chained[name] += 1
            last[name] = event["u"]


async def test_raw_sockets_get_bare_compact_payloads(simulate: Any, connect: Any) -> None:
    running = await simulate("binance", symbols=("BTC/USDT",))
    async with connect(running, "binance", "/ws/btcusdt@depth@100ms") as socket:
        text = await asyncio.wait_for(socket.raw.recv(), 10)
        assert text.startswith('{"e":"depthUpdate","E":')
        assert ": " not in text


async def test_trades_and_quotes_flow(simulate: Any, connect: Any) -> None:
    running = await simulate("binance_usdm", symbols=("BTC/USDT",), speed=20.0)
    async with connect(running, "binance_usdm", "/market/stream") as market:
        names = ["btcusdt@aggTrade", "btcusdt@markPrice@1s", "!forceOrder@arr"]
        await market.ask("SUBSCRIBE", *names)
        missing = set(names)
        aggregates: list[int] = []
        while missing or len(aggregates) < 20:
            message = await market.next()
            missing.discard(message["stream"])
            if message["stream"] == "btcusdt@aggTrade":
                aggregates.append(message["data"]["a"])
    assert aggregates == list(range(aggregates[0], aggregates[0] + len(aggregates)))


async def test_the_trap_of_the_unrouted_socket(simulate: Any, connect: Any) -> None:
    running = await simulate("binance_usdm", symbols=("BTC/USDT",), speed=5.0)
    async with connect(running, "binance_usdm", "/stream") as socket:
        answer = await socket.ask("SUBSCRIBE", "btcusdt@aggTrade", "btcusdt@markPrice@1s")
        assert answer == {"result": None, "id": 1}
        assert await socket.silence() == []
        assert await socket.ask("LIST_SUBSCRIPTIONS", id=2) == {
            "result": ["btcusdt@aggTrade", "btcusdt@markPrice@1s"],
            "id": 2,
        }
        await socket.ask("SUBSCRIBE", "btcusdt@depth@100ms", id=3)
        assert (await socket.until(is_depth))["stream"] == "btcusdt@depth@100ms"


async def test_a_wrong_symbol_is_acknowledged_and_silent(simulate: Any, connect: Any) -> None:
    running = await simulate("binance")
    async with connect(running, "binance", "/ws") as socket:
        assert await socket.ask("SUBSCRIBE", "nopeusdt@depth@100ms") == {"result": None, "id": 1}
        assert await socket.silence() == []


async def test_unsubscribing_ends_a_stream(simulate: Any, connect: Any) -> None:
    running = await simulate("binance", symbols=("BTC/USDT",))
    async with connect(running, "binance", "/ws/btcusdt@depth@100ms") as socket:
        await socket.until(is_depth)
        await socket.ask("UNSUBSCRIBE", "btcusdt@depth@100ms")
        assert await socket.silence() == []


async def test_rest_over_http_with_weights(simulate: Any, get: Any) -> None:
    running = await simulate("binance")
    assert (await get(running, "binance", "/api/v3/ping"))[:2] == (200, {})
    status, body, headers = await get(running, "binance", "/api/v3/depth?symbol=NOPE")
    assert (status, body) == (400, {"code": -1121, "msg": "Invalid symbol."})
    assert headers["x-mbx-used-weight-1m"] == "6"
    # The budget is that of a minute of the clock: where one ends meanwhile, it takes twice as many.
    answers = 0
    while status != 429 and answers < 48:
        status, body, headers = await get(running, "binance", DEPTH["binance"])
        answers += 1
    assert answers >= 24
    assert (status, body["code"]) == (429, -1003)
    assert 1 <= int(headers["Retry-After"]) <= 60


@pytest.mark.parametrize(("venue", "allowed"), [("binance", 5), ("binance_usdm", 10)])
async def test_talking_too_fast_ends_the_connection(simulate: Any, connect: Any, venue: str, allowed: int) -> None:
    running = await simulate(venue)
    async with connect(running, venue, "/ws") as socket:
        for number in range(allowed + 1):
            await socket.send("LIST_SUBSCRIPTIONS", id=number)
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await socket.until(lambda message: False)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1008
        assert len(socket.seen) == allowed


@pytest.mark.parametrize("answer", [None, b"unasked"])
async def test_the_server_pings_and_cuts_a_client_without_the_right_pong(simulate: Any, answer: bytes | None) -> None:
    running = await simulate("binance", time_scale=400.0)
    url = running.endpoints["binance"]["ws"] + "/ws"
    async with aiohttp.ClientSession() as session, session.ws_connect(url, autoping=False) as deaf:
        message = await deaf.receive(5)
        assert message.type is aiohttp.WSMsgType.PING
        while message.type is aiohttp.WSMsgType.PING:
            if answer is not None:
                await deaf.pong(answer)
            message = await deaf.receive(5)
        assert message.type is not aiohttp.WSMsgType.TEXT


async def test_a_client_that_answers_pings_stays(simulate: Any, connect: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = replace(BINANCE.limits, ping_s=0.02, pong_s=5.0)
    monkeypatch.setitem(SIMS, "binance", replace(BINANCE, limits=limits))
    running = await simulate("binance")
    async with connect(running, "binance", "/ws") as socket:
        assert await socket.silence() == []
        assert (await socket.ask("LIST_SUBSCRIPTIONS"))["result"] == []


async def test_a_spot_connection_is_told_of_its_end_and_then_cut(
    simulate: Any, connect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = replace(BINANCE.limits, lifetime_s=0.2, notice_s=0.1)
    monkeypatch.setitem(SIMS, "binance", replace(BINANCE, limits=limits))
    running = await simulate("binance")
    async with connect(running, "binance", "/stream") as socket:
        notice = await socket.next()
        assert notice["stream"] == "!serverShutdown"
        assert notice["data"]["e"] == "serverShutdown"
        with pytest.raises(websockets.ConnectionClosed):
            await socket.next()


async def test_unknown_endpoints_are_404(simulate: Any, get: Any) -> None:
    running = await simulate("binance")
    assert (await get(running, "binance", "/api/v3/nothing"))[0] == 404
    with pytest.raises(websockets.InvalidStatus):
        await websockets.connect(running.endpoints["binance"]["ws"] + "/nothing")


# --- faults

SPOT_STREAM = "btcusdt@depth@100ms"


def chain_breaks(messages: list[Any]) -> int:
    events = [message for message in messages if is_depth(message)]
    return sum(after["U"] != before["u"] + 1 for before, after in pairwise(events))


async def depths(socket: Any, count: int) -> list[Any]:
    return [await socket.until(is_depth) for _ in range(count)]


async def test_drop_leaves_a_hole(simulate: Any, connect: Any) -> None:
    running = await simulate("binance", symbols=("BTC/USDT",))
    running.inject({"fault": "drop", "stream": "btcusdt@depth", "after": 3})
    async with connect(running, "binance", f"/ws/{SPOT_STREAM}") as socket:
        assert chain_breaks(await depths(socket, 6)) == 1
    assert [(hit.fault, hit.frame, hit.stream) for hit in running.injected] == [("drop", 3, SPOT_STREAM)]


async def test_duplicate_sends_twice(simulate: Any, connect: Any) -> None:
    running = await simulate("binance", symbols=("BTC/USDT",))
    running.inject({"fault": "duplicate", "after": 2})
    async with connect(running, "binance", f"/ws/{SPOT_STREAM}") as socket:
        got = await depths(socket, 4)
    assert got[1] == got[2]
    assert got[3]["U"] == got[2]["u"] + 1


async def test_reorder_swaps_neighbours(simulate: Any, connect: Any) -> None:
    running = await simulate("binance", symbols=("BTC/USDT",))
    running.inject({"fault": "reorder", "after": 2})
    async with connect(running, "binance", f"/ws/{SPOT_STREAM}") as socket:
        got = await depths(socket, 4)
    assert got[1]["U"] == got[2]["u"] + 1
    assert sorted(event["u"] for event in got) == [got[index]["u"] for index in (0, 2, 1, 3)]


async def test_delay_stalls_and_keeps_the_order(simulate: Any, connect: Any) -> None:
    running = await simulate("binance", symbols=("BTC/USDT",))
    running.inject({"fault": "delay", "after": 2, "by": "300ms"})
    async with connect(running, "binance", f"/ws/{SPOT_STREAM}") as socket:
        assert chain_breaks(await depths(socket, 5)) == 0


async def test_a_silent_stream_is_acknowledged_and_others_go_on(simulate: Any, connect: Any) -> None:
    running = await simulate("binance", symbols=("BTC/USDT", "ETH/USDT"))
    running.inject({"fault": "silent", "stream": "btcusdt@*"})
    async with connect(running, "binance", "/stream") as socket:
        assert await socket.ask("SUBSCRIBE", SPOT_STREAM, "ethusdt@depth@100ms") == {"result": None, "id": 1}
        assert {message["stream"] for message in await depths(socket, 4)} == {"ethusdt@depth@100ms"}
        running.clear_faults()
        await socket.until(lambda message: message.get("stream") == SPOT_STREAM)


async def test_a_half_open_socket_answers_nothing_and_does_not_close(simulate: Any, connect: Any) -> None:
    running = await simulate("binance", symbols=("BTC/USDT",))
    async with connect(running, "binance", f"/ws/{SPOT_STREAM}") as socket:
        await socket.until(is_depth)
        running.inject({"fault": "half_open"})
        await asyncio.sleep(0.25)
        await socket.silence(0.05)
        await socket.send("LIST_SUBSCRIPTIONS")
        pong = await socket.raw.ping()
        assert await socket.silence() == []
        assert not pong.done()
        assert socket.raw.state is websockets.State.OPEN
        assert len(running.clients("binance")) == 1
    async with connect(running, "binance", f"/ws/{SPOT_STREAM}") as socket:
        await socket.until(is_depth)


@pytest.mark.parametrize("code", [1012, 1006])
async def test_close_with_a_code(simulate: Any, connect: Any, code: int) -> None:
    running = await simulate("binance", symbols=("BTC/USDT",))
    running.inject({"fault": "close", "after": 2, "code": code, "reason": "maintenance"})
    async with connect(running, "binance", f"/ws/{SPOT_STREAM}") as socket:
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await depths(socket, 5)
    if code == 1006:
        assert closed.value.rcvd is None
    else:
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1012, "maintenance")


async def test_garbage_is_no_json_and_nothing_is_lost(simulate: Any, connect: Any) -> None:
    running = await simulate("binance", symbols=("BTC/USDT",))
    running.inject({"fault": "garbage", "after": 2})
    async with connect(running, "binance", f"/ws/{SPOT_STREAM}") as socket:
        with pytest.raises(json.JSONDecodeError):
            await depths(socket, 5)
        assert chain_breaks([*socket.seen, *await depths(socket, 2)]) == 0


async def test_a_stale_snapshot_is_older_than_the_stream(simulate: Any, connect: Any, get: Any) -> None:
    running = await simulate("binance", symbols=("BTC/USDT",))
    running.inject({"fault": "stale_snapshot", "stream": "btcusdt@depth"})
    async with connect(running, "binance", f"/ws/{SPOT_STREAM}") as socket:
        first = await socket.until(is_depth)
        _, stale, _ = await get(running, "binance", DEPTH["binance"])
        _, fresh, _ = await get(running, "binance", DEPTH["binance"])
    assert stale["lastUpdateId"] < first["U"] - 1
    assert fresh["lastUpdateId"] >= first["u"]


async def test_an_http_fault_answers_with_its_status(simulate: Any, get: Any) -> None:
    running = await simulate("binance")
    running.inject({"fault": "http", "status": 418, "retry_after": 7})
    status, body, headers = await get(running, "binance", DEPTH["binance"])
    assert (status, body, headers["Retry-After"]) == (418, None, "7")
    assert (await get(running, "binance", DEPTH["binance"]))[0] == 200


async def test_a_wrong_fault_is_refused_while_running(simulate: Any) -> None:
    running = await simulate("binance", "kraken")
    with pytest.raises(FaultError, match="unknown field"):
        running.inject({"fault": "drop", "when": "now"})
    running.inject({"fault": "checksum"})
    with pytest.raises(FaultError, match="`checksum` for 'binance': none of binance, kraken sends one there"):
        running.inject({"fault": "checksum", "venue": "binance"})
    with pytest.raises(FaultError, match="`restart` for 'kraken'"):
        running.inject({"fault": "restart", "venue": "kraken"})


async def test_the_first_image_is_a_frame_that_faults_hit(simulate: Any, connect: Any) -> None:
    running = await simulate("okx", symbols=("BTC/USDT",))
    running.inject({"fault": "drop", "stream": "books:BTC-USDT"})
    asked = {"op": "subscribe", "args": [{"channel": "books", "instId": "BTC-USDT"}]}
    async with connect(running, "okx", "/ws/v5/public") as socket:
        await socket.raw.send(json.dumps(asked))
        await socket.until(lambda message: "data" in message)
    assert [message.get("event") or message["action"] for message in socket.seen] == ["subscribe", "update"]


class Listener:
    """What a house needs of a client."""

    def __init__(self, **subscriptions: Stream) -> None:
        self.desk = SimpleNamespace(subscriptions=subscriptions)
        self.heard: list[str] = []

    def deliver(self, name: str, frame: Frame, rules: Any) -> None:
        self.heard.append(frame.payload)


async def test_who_subscribes_while_frames_go_out_gets_none_of_them(simulate: Any) -> None:
    """They are in its image already: a frame from before it would look like a gap."""
    running = await simulate("okx", symbols=("BTC/USDT",))
    await running.freeze()
    house: Any = running._houses["okx"]
    stream = Stream("BTC-USDT", "book", 100, 400)
    early, late = Listener(book=stream), Listener(book=stream)
    house.subscribed(early)
    burst = asyncio.create_task(house._publish_all([Frame(stream, str(number)) for number in range(100)]))
    await asyncio.sleep(0)
    assert 0 < len(early.heard) < 100, "in the middle of it"
    house.subscribed(late)
    await burst
    assert (len(early.heard), late.heard) == (100, [])
    await house._publish_all([Frame(stream, "next")])
    assert (early.heard[-1], late.heard) == ("next", ["next"])


# Of a book on the socket: what is lost, and why.
LOSSES = {
    "duplicate": ["sequence_gap"],
    "reorder": ["sequence_gap"],
    "garbage": ["parse_error"],
    "close": ["socket_closed"],
    "delay": [],
}


@pytest.mark.parametrize("fault", LOSSES)
async def test_a_book_on_the_socket_heals_from_every_fault(simulate: Any, fault: str) -> None:
    running = await simulate("okx", symbols=("BTC/USDT",))
    async with watching(running, "okx", "BTC/USDT", levels=400) as client:
        await client.compares(5)
        running.inject({"fault": fault, "stream": "books:BTC-USDT"})
        await client.until(lambda: running.injected, "the fault")
        if LOSSES[fault]:
            await client.until(lambda: client.losses, "the loss")
        await client.compares(20)
        assert client.losses == LOSSES[fault]


# --- load and ends


async def test_a_slow_client_is_cut_and_the_others_are_served(
    simulate: Any, connect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imbalanced.sim.client.QUEUE_FRAMES", 300)
    running = await simulate("binance_usdm", speed=50.0)
    names = "/".join(f"{coin}usdt@{kind}" for coin in ("btc", "eth", "sol") for kind in ("depth@0ms", "bookTicker"))
    path = running.endpoints["binance_usdm"]["ws"].replace("ws://", "http://") + "/public/stream?streams=" + names
    async with aiohttp.ClientSession(read_bufsize=1024) as session, session.ws_connect(path) as sleeper:
        (client,) = running.clients("binance_usdm")
        await asyncio.wait_for(client.gone.wait(), 10)
        assert client.end == "slow client"
        await sleeper.close()


async def test_stopping_closes_clients_properly(connect: Any) -> None:
    before = asyncio.all_tasks()
    running = await start(Options(venues=("binance",), seed=1))
    async with connect(running, "binance", "/ws") as socket:
        await socket.ask("LIST_SUBSCRIPTIONS")
        await running.stop()
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await socket.next()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1001
    assert asyncio.all_tasks() - before <= {asyncio.current_task()}


async def test_venues_that_do_not_exist_are_named() -> None:
    with pytest.raises(ValueError, match=r"venue 'mtgox' has no simulator, only .*binance, "):
        await start(Options(venues=("mtgox",)))
    with pytest.raises(ValueError, match="no venue given; there are binance, "):
        await start(Options())
