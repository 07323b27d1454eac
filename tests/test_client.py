"""The client against our own server: each signal once and in order, whatever happens to the connection."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from msgspec import structs
from structlog.testing import capture_logs
from websockets.asyncio.server import serve

from imbalanced import client
from imbalanced.client import Refused, Unauthorized, subscribe
from imbalanced.events import Proof, Signal
from imbalanced.journal import Journal
from imbalanced.jsontext import signal_json
from imbalanced.sinks import Batch, Hub, WebsocketOptions, WebsocketSink

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from websockets.asyncio.server import ServerConnection

DEADLINE_S = 10.0


def signal(number: int, **changes: Any) -> Signal:
    fields: dict[str, Any] = {
        "id": f"{number:016x}",
        "event": "open",
        "kind": "sweep",
        "side": "sell",
        "venue": "okx",
        "instrument": "BTC/USDT",
        "ts_ns": number,
        "recv_ns": number,
        "strength": 0.5,
        "score": -3.5,
        "confidence": None,
        "mid": "1.5",
        "horizon_ms": 1000,
        "evidence": {},
        "proof": Proof(book_seq=1, book_age_ms=1, checks=["sequence"], gaps_1h=0),
        "reason": None,
        "config": "3f2a",
    }
    return Signal(**{**fields, **changes})


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "RETRY_FIRST_S", 0.01)
    monkeypatch.setattr(client, "RETRY_CAP_S", 0.05)


@pytest.fixture
def journal() -> Journal:
    return Journal.open(None)


class Server:
    """The websocket sink without an outlet: the test says when there is news."""

    def __init__(self, journal: Journal, **options: Any) -> None:
        self.journal = journal
        self._options = WebsocketOptions(**{"port": 0, "goodbye_s": 0.5, **options})
        self._sink = WebsocketSink(self._options, journal, Hub())

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self._sink.port}/v1"

    async def start(self) -> None:
        await self._sink.open()
        self._options = structs.replace(self._options, port=self._sink.port)

    async def append(self, *signals: Signal) -> None:
        self.journal.append(signals)
        await self._sink.write(Batch())

    async def stop(self) -> None:
        await self._sink.close()

    async def restart(self, journal: Journal | None = None) -> None:
        """At the same address, with another journal if given."""
        await self.stop()
        self.journal = journal or self.journal
        self._sink = WebsocketSink(self._options, self.journal, Hub())
        await self.start()


@asynccontextmanager
async def serving(journal: Journal, **options: Any) -> AsyncIterator[Server]:
    server = Server(journal, **options)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def take(signals: AsyncIterator[Signal], count: int) -> list[int]:
    async with asyncio.timeout(DEADLINE_S):
        return [(await anext(signals)).seq for _ in range(count)]


async def test_signals_come_as_they_were_written(journal: Journal) -> None:
    placed = journal.append([signal(1)])
    async with serving(journal) as server, aclosing(subscribe(server.url, from_seq=1)) as signals:
        assert await anext(signals) == placed[0]


async def test_filters(journal: Journal) -> None:
    journal.append([signal(1), signal(2, kind="absorption"), signal(3, kind="absorption", instrument="ETH/USDT")])
    async with (
        serving(journal) as server,
        aclosing(subscribe(server.url, kinds=["absorption"], instruments=["ETH/USDT"], from_seq=1)) as signals,
    ):
        assert await take(signals, 1) == [3]


async def test_goes_on_after_a_restart_of_the_server(journal: Journal) -> None:
    journal.append([signal(n) for n in range(10)])
    async with serving(journal) as server, aclosing(subscribe(server.url, from_seq=3, epoch=journal.epoch)) as signals:
        assert await take(signals, 2) == [3, 4]
        await server.restart()
        await server.append(*[signal(n) for n in range(10, 20)])
        assert await take(signals, 16) == list(range(5, 21))
        await server.append(signal(20))
        assert await take(signals, 1) == [21]


async def test_waits_for_a_server_that_is_not_there_yet(journal: Journal) -> None:
    journal.append([signal(1)])
    server = Server(journal)
    await server.start()
    url = server.url
    await server.stop()
    with capture_logs() as logs:
        async with aclosing(subscribe(url.replace("ws://", "ws://user:s3cret@"), from_seq=1)) as signals:
            waiting = asyncio.create_task(take(signals, 1))
            await asyncio.wait([waiting], timeout=0.1)
            assert not waiting.done()
            await server.restart()
            assert await waiting == [1]
    await server.stop()
    assert any(line["event"] == "stream_disconnected" for line in logs)
    assert "s3cret" not in str(logs)


async def test_another_life_is_told_and_begins_at_its_beginning(journal: Journal) -> None:
    journal.append([signal(n) for n in range(50)])
    async with serving(journal) as server, aclosing(subscribe(server.url, from_seq=50)) as signals:
        assert await take(signals, 1) == [50]
        new = Journal.open(None)
        new.append([signal(1), signal(2)])
        with capture_logs() as logs:
            await server.restart(new)
            assert await take(signals, 2) == [1, 2]
    [told] = [line for line in logs if line["event"] == "stream_not_recovered"]
    assert (told["our_epoch"], told["epoch"]) == (journal.epoch, new.epoch)


async def test_with_a_token(journal: Journal) -> None:
    journal.append([signal(1)])
    async with serving(journal, tokens=("s3cret",)) as server:
        async with aclosing(subscribe(server.url, from_seq=1, token="s3cret")) as signals:
            assert await take(signals, 1) == [1]
        for token in (None, "wrong"):
            async with aclosing(subscribe(server.url, token=token)) as signals:
                with pytest.raises(Unauthorized):
                    await anext(signals)


async def test_what_will_never_be_accepted_is_an_error(journal: Journal) -> None:
    async with serving(journal) as server:
        for url, options, words in (
            (server.url.replace("/v1", "/v2"), {}, "HTTP 404: the stream is at /v1"),
            (server.url, {"kinds": [""]}, "bad_request"),
            (server.url, {"from_seq": -1}, "bad_request"),
        ):
            async with aclosing(subscribe(url, **options)) as signals:
                with pytest.raises(Refused, match=words):
                    await anext(signals)


async def test_what_comes_twice_is_yielded_once_and_news_are_ignored() -> None:
    """A server of another version: unknown messages and keys, a signal again."""

    async def handle(connection: ServerConnection) -> None:
        await connection.send('{"op": "welcome", "v": 1, "moon": "full"}')
        await connection.recv()
        await connection.send('{"op": "subscribed", "id": 1, "epoch": "01J", "next_seq": 1, "recovered": true}')
        for seq in (1, 2, 2, 1, 3):
            text = signal_json(structs.replace(signal(seq), seq=seq))
            await connection.send(b'{"channel": "signals", "new": 1, "data": %s}' % text, text=True)
            await connection.send(orjson.dumps({"channel": "weather", "data": {}}), text=True)
        await connection.wait_closed()

    async with serve(handle, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with aclosing(subscribe(f"ws://127.0.0.1:{port}/v1")) as signals:
            assert await take(signals, 3) == [1, 2, 3]


async def test_a_url_that_is_none() -> None:
    from websockets.exceptions import InvalidURI

    async with aclosing(subscribe("http://127.0.0.1")) as signals:
        with pytest.raises(InvalidURI):
            await anext(signals)
