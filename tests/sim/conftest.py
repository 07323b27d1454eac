"""What the tests of the simulated exchanges share: a simulation that is always stopped, a socket, a book client."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from decimal import Decimal
from typing import Any

import aiohttp
import pytest
import websockets

from imbalanced.sim import Options, Running, start

WAIT_S = 10.0  # how long a test waits for what has to come; reached only when something is broken


class Socket:
    """A JSON client on a real socket."""

    def __init__(self, raw: websockets.ClientConnection) -> None:
        self.raw = raw
        self.seen: list[Any] = []

    async def send(self, method: str, *names: str, id: object = 1) -> None:
        asked: dict[str, object] = {"method": method, "id": id}
        await self.raw.send(json.dumps(asked | ({"params": list(names)} if names else {})))

    async def next(self) -> Any:
        text = await asyncio.wait_for(self.raw.recv(), WAIT_S)
        message = json.loads(text)
        self.seen.append(message)
        return message

    async def until(self, wanted: Callable[[Any], bool]) -> Any:
        while not wanted(message := await self.next()):
            pass
        return message

    async def ask(self, method: str, *names: str, id: object = 1) -> Any:
        """Send a request and return its answer; data frames before it are in `seen`."""
        await self.send(method, *names, id=id)
        return await self.until(lambda message: "id" in message and message["id"] == id)

    async def silence(self, seconds: float = 0.2) -> list[Any]:
        """What comes within a short time."""
        before = len(self.seen)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while True:
                    await self.next()
        return self.seen[before:]


class LocalBook:
    """A client's book kept by the venue's rules; asserts the id chain."""

    def __init__(self, futures: bool) -> None:
        self.futures = futures
        self.last_id = 0
        self.applied = 0
        self.sides: dict[str, dict[Decimal, str]] = {"b": {}, "a": {}}

    def snapshot(self, image: dict[str, Any]) -> None:
        self.last_id = image["lastUpdateId"]
        self.sides = {
            "b": {Decimal(price): size for price, size in image["bids"]},
            "a": {Decimal(price): size for price, size in image["asks"]},
        }

    def apply(self, event: dict[str, Any]) -> None:
        if event["u"] < self.last_id or (not self.futures and event["u"] == self.last_id):
            return
        if self.applied:
            assert (event["pu"] == self.last_id) if self.futures else (event["U"] == self.last_id + 1)
        elif self.futures:
            assert event["U"] <= self.last_id <= event["u"] or event["pu"] == self.last_id
        else:
            assert event["U"] <= self.last_id + 1 <= event["u"]
        self.applied += 1
        self.last_id = event["u"]
        for side, levels in self.sides.items():
            for price, size in event[side]:
                if Decimal(size) == 0:
                    levels.pop(Decimal(price), None)
                else:
                    levels[Decimal(price)] = size

    def bids(self) -> list[tuple[Decimal, str]]:
        return sorted(self.sides["b"].items(), reverse=True)

    def asks(self) -> list[tuple[Decimal, str]]:
        return sorted(self.sides["a"].items())


@pytest.fixture
def local_book() -> type[LocalBook]:
    return LocalBook


Simulate = Callable[..., Awaitable[Running]]


@pytest.fixture
async def simulate() -> AsyncIterator[Simulate]:
    """`await simulate("binance", seed=3)`; everything is stopped afterwards and no task is left."""
    before = asyncio.all_tasks()
    started: list[Running] = []

    async def begin(*venues: str, **options: Any) -> Running:
        running = await start(replace(Options(venues=venues, seed=7, speed=3.0), **options))
        started.append(running)
        return running

    yield begin
    for running in started:
        await running.stop()
    assert asyncio.all_tasks() - before <= {asyncio.current_task()}


@pytest.fixture
def connect() -> Callable[[Running, str, str], AbstractAsyncContextManager[Socket]]:
    """`async with connect(running, "binance", "/ws") as socket`."""

    @contextlib.asynccontextmanager
    async def opened(running: Running, venue: str, path: str) -> AsyncIterator[Socket]:
        url = running.endpoints[venue]["ws"] + path
        async with websockets.connect(url, max_size=None, compression=None, close_timeout=0.5) as raw:
            yield Socket(raw)

    return opened


@pytest.fixture
async def get() -> AsyncIterator[Callable[[Running, str, str], Awaitable[tuple[int, Any, Any]]]]:
    """`status, body, headers = await get(running, "binance", "/api/v3/ping")`."""
    async with aiohttp.ClientSession() as session:

        async def fetch(running: Running, venue: str, path: str) -> tuple[int, Any, Any]:
            async with session.get(running.endpoints[venue]["rest"] + path) as response:
                text = await response.text()
                return response.status, json.loads(text) if text else None, response.headers

        yield fetch
