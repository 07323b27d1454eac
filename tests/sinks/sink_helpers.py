"""Signals, snapshots and clients that the tests of sinks share. No sleeps: whoever waits, waits for an event."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from imbalanced.events import MetricSnapshot, Proof, Signal
from imbalanced.sinks import Hub, Outlet, OutletOptions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from imbalanced.journal import Journal
    from imbalanced.sinks import Sink

# Everything quick: a test waits for what happens, never for these.
FAST = OutletOptions(retry_first_s=0.01, retry_cap_s=0.05, state_every_s=0.01, idle_check_s=0.05, close_s=2.0)
DEADLINE_S = 10.0
RECV_NS = 1_723_075_203_124_512_000


def signal(number: int = 1, **changes: Any) -> Signal:
    fields: dict[str, Any] = {
        "id": f"{number:016x}",
        "event": "open",
        "kind": "order_flow_imbalance",
        "side": "buy",
        "venue": "binance_usdm",
        "instrument": "BTC/USDT:USDT",
        "ts_ns": RECV_NS,
        "recv_ns": RECV_NS + number,
        "strength": 0.83,
        "score": 3.4,
        "confidence": None,
        "mid": "61659.75",
        "horizon_ms": 1000,
        "evidence": {"ofi_z": 3.4},
        "proof": Proof(book_seq=4711, book_age_ms=81234, checks=["sequence"], gaps_1h=0),
        "reason": None,
        "config": "3f2a",
    }
    return Signal(**{**fields, **changes})


def closed(number: int, **changes: Any) -> Signal:
    return signal(number, **{"event": "close", "reason": "faded", **changes})


def snapshot(instrument: str = "BTC/USDT", **changes: Any) -> MetricSnapshot:
    fields: dict[str, Any] = {
        "venue": "okx",
        "instrument": instrument,
        "ts_ns": 1,
        "recv_ns": 2,
        "book_seq": 3,
        "mid": "1.5",
        "values": {"ofi": 12.5},
    }
    return MetricSnapshot(**{**fields, **changes})


class Daemon:
    """A journal with its hub and one running outlet, as the service wires them."""

    def __init__(self, journal: Journal, hub: Hub, outlet: Outlet) -> None:
        self.journal = journal
        self.hub = hub
        self.outlet = outlet

    def append(self, *signals: Signal) -> list[Signal]:
        placed = self.journal.append(signals)
        self.hub.notify()
        return placed

    async def caught_up(self) -> None:
        async with asyncio.timeout(DEADLINE_S):
            await self.outlet.caught_up()


@asynccontextmanager
async def running(
    sink: Sink, journal: Journal, hub: Hub, options: OutletOptions = FAST, *, wait: bool = True
) -> AsyncIterator[Daemon]:
    """The outlet as a task, connected unless ``wait`` is False; afterwards its orderly end."""
    daemon = Daemon(journal, hub, Outlet(sink, journal, hub, options))
    async with asyncio.TaskGroup() as group:
        task = group.create_task(daemon.outlet.run())
        try:
            if wait:
                await daemon.caught_up()
            yield daemon
        finally:
            daemon.outlet.finish()
            async with asyncio.timeout(DEADLINE_S):
                await asyncio.wait([task])


class Peer:
    """A subscriber that reads and writes JSON."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def say(self, **message: Any) -> None:
        await self.connection.send(orjson.dumps(message), text=True)

    async def hear(self) -> Any:
        async with asyncio.timeout(DEADLINE_S):
            return orjson.loads(await self.connection.recv())

    async def ask(self, **message: Any) -> Any:
        await self.say(**message)
        return await self.hear()

    async def seqs(self, count: int) -> list[int]:
        """The ``seq`` of the next signals."""
        return [(await self.hear())["data"]["seq"] for _ in range(count)]

    async def closed(self, seqs: list[int] | None = None) -> tuple[int | None, str | None]:
        """Read until the server closes; the code and the reason."""
        try:
            while True:
                heard = await self.hear()
                if seqs is not None:
                    seqs.append(heard["data"]["seq"])
        except ConnectionClosed:
            pass
        return self.connection.close_code, self.connection.close_reason


@asynccontextmanager
async def peer(port: int, path: str = "/v1", name: str = "127.0.0.1", **options: Any) -> AsyncIterator[Peer]:
    """A subscriber; ``name`` is what it takes our host for."""
    url = f"ws://{name}:{port}{path}"
    async with connect(url, host="127.0.0.1", port=port, compression=None, **options) as connection:
        yield Peer(connection)
