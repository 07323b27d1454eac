"""The subscriber server over real sockets: a conversation a test."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from msgspec import structs
from sink_helpers import DEADLINE_S, Daemon, Peer, closed, peer, running, signal, snapshot
from websockets.exceptions import InvalidStatus

from imbalanced.events import BookInvalid, BookValid, GapKind, StreamState
from imbalanced.journal import Journal
from imbalanced.jsontext import signal_json, snapshot_json
from imbalanced.sinks import AddressInUse, AddressUnusable, Hub, WebsocketOptions, WebsocketSink
from imbalanced.sinks.subscriber import Limits

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from websockets.asyncio.server import ServerConnection

PLAIN = WebsocketOptions(port=0, goodbye_s=2.0, version="1.2.3")


class Watched(WebsocketSink):
    """Tells when a subscriber has left."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.left = asyncio.Event()

    async def _handle(self, connection: ServerConnection) -> None:
        await super()._handle(connection)
        self.left.set()


class Served(Daemon):
    sink: WebsocketSink

    @property
    def port(self) -> int:
        return self.sink.port


@asynccontextmanager
async def serving(journal: Journal, hub: Hub, options: WebsocketOptions = PLAIN) -> AsyncIterator[Served]:
    sink = WebsocketSink(options, journal, hub)
    async with running(sink, journal, hub) as daemon:
        served = Served(journal, hub, daemon.outlet)
        served.sink = sink
        yield served


@pytest.fixture
async def daemon(journal: Journal, hub: Hub) -> AsyncIterator[Served]:
    async with serving(journal, hub) as served:
        yield served


@asynccontextmanager
async def greeted(port: int, **options: Any) -> AsyncIterator[Peer]:
    async with peer(port, **options) as client:
        assert (await client.hear())["op"] == "welcome"
        yield client


def subscribe(**changes: Any) -> dict[str, Any]:
    return {"op": "subscribe", "id": 1, "channel": "signals", **changes}


class TestSubscribing:
    async def test_welcome(self, daemon: Served) -> None:
        daemon.append(signal(1))
        async with peer(daemon.port) as client:
            welcome = await client.hear()
        assert welcome.pop("limits")["max_message_bytes"] == 65_536
        assert welcome == {
            "op": "welcome",
            "v": 1,
            "version": "1.2.3",
            "epoch": daemon.journal.epoch,
            "last_seq": 1,
            "oldest_seq": 1,
            "auth_required": False,
            "channels": ["signals", "metrics", "status"],
        }

    async def test_live_signals(self, daemon: Served) -> None:
        daemon.append(signal(1))
        async with greeted(daemon.port) as client:
            assert await client.ask(**subscribe()) == {
                "op": "subscribed",
                "id": 1,
                "channel": "signals",
                "epoch": daemon.journal.epoch,
                "next_seq": 2,
                "oldest_seq": 1,
                "recovered": True,
            }
            [placed] = daemon.append(signal(2))
            async with asyncio.timeout(DEADLINE_S):
                text = await client.connection.recv()
            assert text == f'{{"channel":"signals","data":{signal_json(placed).decode()}}}'

    @pytest.mark.parametrize(
        ("wanted", "seqs"),
        [
            ({}, [1, 2, 3, 4]),
            ({"kinds": ["*"], "instruments": ["*"]}, [1, 2, 3, 4]),
            ({"kinds": ["sweep"]}, [2, 4]),
            ({"kinds": ["sweep", "absorption"], "instruments": ["ETH/USDT"]}, [4]),
            ({"instruments": ["ETH/USDT"]}, [3, 4]),
            ({"instruments": ["okx:ETH/USDT"]}, [4]),
        ],
    )
    async def test_filters(self, daemon: Served, wanted: dict[str, Any], seqs: list[int]) -> None:
        daemon.append(
            signal(1, kind="absorption"),
            signal(2, kind="sweep"),
            signal(3, kind="other", instrument="ETH/USDT"),
            signal(4, kind="sweep", instrument="ETH/USDT", venue="okx"),
        )
        async with greeted(daemon.port) as client:
            await client.ask(**subscribe(from_seq=1, **wanted))
            assert await client.seqs(len(seqs)) == seqs
            assert (await client.ask(op="ping"))["op"] == "pong"  # and nothing more

    async def test_a_new_subscription_replaces_the_old_one(self, daemon: Served) -> None:
        async with greeted(daemon.port) as client:
            await client.ask(**subscribe(kinds=["sweep"]))
            await client.ask(**subscribe(id=2, kinds=["absorption"]))
            daemon.append(signal(1, kind="sweep"), signal(2, kind="absorption"))
            assert await client.seqs(1) == [2]

    async def test_unsubscribe(self, daemon: Served) -> None:
        async with greeted(daemon.port) as client:
            await client.ask(**subscribe())
            answer = await client.ask(op="unsubscribe", id="x", channel="signals")
            assert answer == {"op": "unsubscribed", "id": "x", "channel": "signals"}
            daemon.append(signal(1))
            await daemon.caught_up()
            assert (await client.ask(op="ping", id=3))["id"] == 3

    async def test_the_count_of_subscribers(self, daemon: Served) -> None:
        async with greeted(daemon.port), greeted(daemon.port):
            assert daemon.sink.subscribers == 2


class TestResuming:
    async def test_from_seq(self, daemon: Served) -> None:
        daemon.append(*[signal(n) for n in range(500)])
        async with greeted(daemon.port) as client:
            answer = await client.ask(**subscribe(from_seq=120, epoch=daemon.journal.epoch))
            assert (answer["recovered"], answer["next_seq"]) == (True, 501)
            assert await client.seqs(381) == list(range(120, 501))

    @pytest.mark.parametrize("from_seq", [0, 1, 3])
    async def test_nothing_is_missing_at_the_ends(self, daemon: Served, from_seq: int) -> None:
        daemon.append(signal(1), signal(2))
        async with greeted(daemon.port) as client:
            answer = await client.ask(**subscribe(from_seq=from_seq))
            assert answer["recovered"]
            daemon.append(signal(3))
            first = max(1, from_seq)
            assert await client.seqs(4 - first) == list(range(first, 4))

    async def test_no_hole_and_no_repeat_while_the_journal_grows(self, daemon: Served) -> None:
        daemon.append(*[signal(n) for n in range(1000)])

        async def grow() -> None:
            for number in range(1000, 2000):
                daemon.append(signal(number))
                await asyncio.sleep(0)  # gives the others their turn, between any two appends

        async with greeted(daemon.port) as one, greeted(daemon.port) as two, asyncio.TaskGroup() as group:
            group.create_task(grow())
            for client, first in ((one, 1), (two, 700)):
                answer = await client.ask(**subscribe(from_seq=first, epoch=daemon.journal.epoch))
                assert answer["recovered"]
                assert await client.seqs(2001 - first) == list(range(first, 2001))

    @pytest.mark.parametrize("asked", [{"from_seq": 2, "epoch": "01ARZ3NDEKTSV4RRFFQ69G5FAV"}, {"from_seq": 9000}])
    async def test_another_life(self, daemon: Served, asked: dict[str, Any]) -> None:
        daemon.append(signal(1), signal(2), signal(3))
        async with greeted(daemon.port) as client:
            answer = await client.ask(**subscribe(**asked))
            assert (answer["recovered"], answer["oldest_seq"], answer["epoch"]) == (False, 1, daemon.journal.epoch)
            assert await client.seqs(3) == [1, 2, 3]

    async def test_older_than_what_is_held(self, hub: Hub) -> None:
        journal = Journal.open(None, keep_ns=1)
        journal.append([signal(1, recv_ns=0), closed(1, recv_ns=0), signal(2)])
        journal.prune(signal(2).recv_ns)
        async with serving(journal, hub) as daemon, greeted(daemon.port) as client:
            answer = await client.ask(**subscribe(from_seq=1, epoch=journal.epoch))
            assert (answer["recovered"], answer["oldest_seq"]) == (False, 3)
            assert await client.seqs(1) == [3]

    async def test_overtaken_by_pruning(self, hub: Hub) -> None:
        journal = Journal.open(None, keep_ns=1)
        async with serving(journal, hub) as daemon, greeted(daemon.port) as client:
            await client.ask(**subscribe())
            journal.append([signal(1, recv_ns=0), closed(1, recv_ns=0)])  # nobody is told in time
            assert journal.prune(10) == 2
            hub.notify()
            daemon.append(signal(2))
            assert await client.closed() == (4008, "overtaken by pruning: resume with from_seq")


class TestState:
    async def test_metrics_are_the_latest_and_conflated(self, daemon: Served) -> None:
        daemon.hub.publish(snapshot("BTC/USDT"))
        async with greeted(daemon.port) as client:
            answer = await client.ask(op="subscribe", id=1, channel="metrics", instruments=["BTC/USDT"])
            assert answer == {"op": "subscribed", "id": 1, "channel": "metrics", "epoch": daemon.journal.epoch}
            async with asyncio.timeout(DEADLINE_S):
                text = await client.connection.recv()
            assert text == f'{{"channel":"metrics","data":{snapshot_json(snapshot("BTC/USDT")).decode()}}}'
            for number in range(20):
                daemon.hub.publish(snapshot("ETH/USDT"))
                daemon.hub.publish(snapshot("BTC/USDT", values={"ofi": float(number)}))
            stood_for, last = 0, None
            while last != 19.0:
                data = (await client.hear())["data"]
                assert data["instrument"] == "BTC/USDT"
                stood_for, last = stood_for + data["conflated"], data["values"]["ofi"]
            assert stood_for == 20

    async def test_status_begins_with_the_last_word_on_everything(self, daemon: Served) -> None:
        book: dict[str, Any] = {"venue": "okx", "instrument": "BTC/USDT"}
        daemon.hub.publish(BookValid(**book, recv_ns=1, book_seq=1, checks=("sequence",)))
        daemon.hub.publish(BookInvalid(**book, recv_ns=2, reason=GapKind.SEQUENCE_GAP))
        async with greeted(daemon.port) as client:
            await client.ask(op="subscribe", id=1, channel="status")
            assert await client.hear() == {
                "channel": "status",
                "data": {"event": "book_invalid", **book, "reason": "sequence_gap", "since": 2},
            }
            daemon.hub.publish(StreamState(**book, channel="trades", recv_ns=3, state="stale"))
            data = (await client.hear())["data"]
            assert (data["event"], data["channel"], data["since"]) == ("stream_stale", "trades", 3)


class TestBadInput:
    @pytest.mark.parametrize(
        ("text", "code", "request_id"),
        [
            ("{", "bad_json", None),
            ("[1]", "bad_request", None),
            ("7", "bad_request", None),
            ("{}", "unknown_op", None),
            ('{"op": "trade", "id": 5}', "unknown_op", 5),
            ('{"op": ["subscribe"], "id": true}', "unknown_op", None),
            ('{"op": "subscribe", "id": "a"}', "bad_request", "a"),
            ('{"op": "subscribe", "id": 1, "channel": "orders"}', "unknown_channel", 1),
            ('{"op": "subscribe", "id": 1, "channel": "signals", "kinds": "sweep"}', "bad_request", 1),
            ('{"op": "subscribe", "id": 1, "channel": "signals", "kinds": []}', "bad_request", 1),
            ('{"op": "subscribe", "id": 1, "channel": "signals", "kind": ["sweep"]}', "bad_request", 1),
            ('{"op": "subscribe", "id": 1, "channel": "signals", "from_seq": -1}', "bad_request", 1),
            ('{"op": "subscribe", "id": 1, "channel": "signals", "from_seq": "7"}', "bad_request", 1),
            ('{"op": "subscribe", "id": 1, "channel": "signals", "from_seq": 1.5}', "bad_request", 1),
            ('{"op": "subscribe", "id": 1, "channel": "metrics", "from_seq": 1}', "bad_request", 1),
            ('{"op": "auth", "id": 1, "token": 5}', "bad_request", 1),
            ('{"op": "ping", "id": 18446744073709551616}', "bad_request", None),
        ],
    )
    async def test_is_answered_and_forgiven(self, daemon: Served, text: str, code: str, request_id: object) -> None:
        async with greeted(daemon.port) as client:
            await client.connection.send(text)
            answer = await client.hear()
            assert (answer["op"], answer["code"]) == ("error", code)
            if request_id is not None:
                assert answer["id"] == request_id
            assert answer["message"]
            assert (await client.ask(op="ping", id=9))["id"] == 9

    async def test_binary(self, daemon: Served) -> None:
        async with greeted(daemon.port) as client:
            await client.connection.send(b"\x00")
            assert await client.closed() == (1003, "text JSON only")
        assert daemon.sink.dropped["bad_data"] == 1

    async def test_too_big(self, daemon: Served) -> None:
        async with greeted(daemon.port) as client:
            await client.connection.send("x" * 70_000)
            assert (await client.closed())[0] == 1009

    async def test_too_many_requests(self, journal: Journal, hub: Hub) -> None:
        options = structs.replace(PLAIN, goodbye_s=0.2)
        async with serving(journal, hub, options) as daemon, greeted(daemon.port) as client:
            for _ in range(60):
                await client.say(op="ping")
            assert await client.closed() == (4029, "too many requests")
            assert daemon.sink.dropped["rate_limited"] == 1


class TestSlow:
    async def test_who_does_not_read_is_sent_away_and_may_resume(self, journal: Journal, hub: Hub) -> None:
        options = structs.replace(PLAIN, limits=Limits(max_behind=20))
        async with serving(journal, hub, options) as daemon, greeted(daemon.port, max_queue=1) as client:
            await client.ask(**subscribe())
            bulky = {"note": "x" * 100_000}  # the kernel's buffers hold some megabytes
            for number in range(300):
                daemon.append(signal(number, evidence=bulky))
                await daemon.caught_up()
            got: list[int] = []
            code, _ = await client.closed(got)
            assert code == 4008
            assert got == list(range(1, len(got) + 1))
            assert daemon.sink.dropped["slow"] == 1
            async with greeted(daemon.port) as again:
                await again.ask(**subscribe(from_seq=len(got) + 1, epoch=journal.epoch))
                assert await again.seqs(300 - len(got)) == list(range(len(got) + 1, 301))

    async def test_one_message_may_not_wait_for_ever(self, journal: Journal, hub: Hub) -> None:
        sink = Watched(structs.replace(PLAIN, goodbye_s=0.1, limits=Limits(send_s=0.1)), journal, hub)
        async with running(sink, journal, hub) as daemon, greeted(sink.port, max_queue=1) as client:
            await client.ask(**subscribe())
            daemon.append(*[signal(n, evidence={"note": "x" * 200_000}) for n in range(100)])
            async with asyncio.timeout(DEADLINE_S):
                await sink.left.wait()
            client.connection.transport.abort()
        assert sink.dropped["slow"] == 1

    async def test_a_slow_one_does_not_hold_up_the_others(self, journal: Journal, hub: Hub) -> None:
        async with (
            serving(journal, hub) as daemon,
            greeted(daemon.port, max_queue=1) as slow,
            greeted(daemon.port) as quick,
        ):
            await slow.ask(**subscribe())
            await quick.ask(**subscribe())
            daemon.append(*[signal(n, evidence={"note": "x" * 100_000}) for n in range(150)])
            assert await quick.seqs(150) == list(range(1, 151))
            slow.connection.transport.abort()


class TestTokens:
    OPTIONS = structs.replace(PLAIN, tokens=("first", "zwölf"))

    async def test_by_message(self, journal: Journal, hub: Hub) -> None:
        async with serving(journal, hub, self.OPTIONS) as daemon, peer(daemon.port) as client:
            assert (await client.hear())["auth_required"]
            refused = await client.ask(**subscribe())
            assert (refused["code"], refused["id"]) == ("unauthorized", 1)
            assert await client.ask(op="auth", id=2, token="zwölf") == {"op": "authenticated", "id": 2}
            assert (await client.ask(**subscribe()))["op"] == "subscribed"

    async def test_by_header(self, journal: Journal, hub: Hub) -> None:
        headers = {"Authorization": "Bearer first"}
        async with (
            serving(journal, hub, self.OPTIONS) as daemon,
            greeted(daemon.port, additional_headers=headers) as client,
        ):
            assert (await client.ask(**subscribe()))["op"] == "subscribed"

    @pytest.mark.parametrize("token", ["", "firs", "first ", "second"])
    async def test_a_bad_one(self, journal: Journal, hub: Hub, token: str) -> None:
        async with serving(journal, hub, self.OPTIONS) as daemon:
            async with greeted(daemon.port) as client:
                await client.say(op="auth", token=token)
                assert await client.closed() == (4001, "bad token")
            assert daemon.sink.dropped["unauthorized"] == 1

    async def test_none_in_time(self, journal: Journal, hub: Hub) -> None:
        options = structs.replace(self.OPTIONS, limits=Limits(auth_s=0.05))
        async with serving(journal, hub, options) as daemon, greeted(daemon.port) as client:
            assert await client.closed() == (4001, "no token in time")

    def test_are_not_shown(self) -> None:
        assert "first" not in repr(self.OPTIONS)


class TestDoor:
    async def test_only_one_path(self, daemon: Served) -> None:
        assert await status_of(peer(daemon.port, "/v2")) == 404

    async def test_a_foreign_host_name(self, daemon: Served) -> None:
        assert await status_of(peer(daemon.port, name="evil.example")) == 421
        assert await status_of(peer(daemon.port, additional_headers={"Host": "127.0.0.1"})) == 421  # twice

    @pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://[", "file://"])
    async def test_a_foreign_page(self, daemon: Served, origin: str) -> None:
        assert await status_of(peer(daemon.port, origin=origin)) == 403

    @pytest.mark.parametrize("origin", ["http://127.0.0.1:8800", "http://localhost:8800", "https://desk.example"])
    async def test_our_own_page(self, journal: Journal, hub: Hub, origin: str) -> None:
        options = structs.replace(PLAIN, origins=("desk.example",))
        async with serving(journal, hub, options) as daemon, greeted(daemon.port, origin=origin):
            pass

    async def test_full(self, journal: Journal, hub: Hub) -> None:
        options = structs.replace(PLAIN, limits=Limits(max_subscribers=1))
        async with serving(journal, hub, options) as daemon, greeted(daemon.port):
            assert await status_of(peer(daemon.port)) == 503
            assert daemon.sink.dropped["full"] == 1

    async def test_port_in_use(self, daemon: Served, journal: Journal, hub: Hub) -> None:
        other = WebsocketSink(structs.replace(PLAIN, port=daemon.port), journal, hub)
        with pytest.raises(AddressInUse, match=rf"stream: 127\.0\.0\.1:{daemon.port} is already in use"):
            await other.open()
        await other.close()

    async def test_an_address_that_is_not_ours(self, journal: Journal, hub: Hub) -> None:
        with pytest.raises(AddressUnusable, match=r"stream: cannot listen on 192\.0\.2\.1"):
            await WebsocketSink(structs.replace(PLAIN, host="192.0.2.1"), journal, hub).open()


class TestStopping:
    async def test_last_words_then_goodbye_then_1001(self, journal: Journal, hub: Hub) -> None:
        async with serving(journal, hub) as daemon:
            client = await asyncio.wait_for(self._subscribed(daemon.port), DEADLINE_S)
            daemon.append(signal(1), closed(1, reason="shutdown"))
        assert await client.seqs(2) == [1, 2]
        assert await client.hear() == {"op": "goodbye"}
        assert await client.closed() == (1001, "going away")

    async def test_who_does_not_read_does_not_hold_it_up(self, journal: Journal, hub: Hub) -> None:
        options = structs.replace(PLAIN, goodbye_s=0.2)
        async with serving(journal, hub, options) as daemon:
            client = await self._subscribed(daemon.port)
            client.connection.transport.pause_reading()
            daemon.append(*[signal(n, evidence={"note": "x" * 200_000}) for n in range(100)])
            began = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - began < DEADLINE_S / 2
        client.connection.transport.abort()

    async def test_again_after_a_stop(self, journal: Journal, hub: Hub) -> None:
        sink = WebsocketSink(PLAIN, journal, hub)
        for _ in range(2):
            await sink.open()
            async with greeted(sink.port):
                pass
            await sink.close()
        await sink.close()

    @staticmethod
    async def _subscribed(port: int) -> Peer:
        client = Peer(await peer_connection(port))
        await client.hear()
        await client.ask(**subscribe())
        return client


async def peer_connection(port: int) -> Any:
    from websockets.asyncio.client import connect

    return await connect(f"ws://127.0.0.1:{port}/v1", compression=None)


async def status_of(attempt: Any) -> int:
    with pytest.raises(InvalidStatus) as caught:
        async with attempt:
            pass
    return int(caught.value.response.status_code)
