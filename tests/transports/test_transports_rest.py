"""REST answers against a real server; time is made up where waiting is the subject."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from imbalanced.transports.rest import Answer, Rest, RestOptions
from imbalanced.transports.transport import retry_after_s

Handle = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Clock:
    """A clock that only moves when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(round(seconds, 3))
        self.now += seconds
        await asyncio.sleep(0)


@asynccontextmanager
async def venue(handle: Handle) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    server = TestServer(app)
    await server.start_server()
    try:
        yield str(server.make_url("/")).rstrip("/")
    finally:
        await server.close()


def rest(clock: Clock, weight_per_min: int = 1000, options: RestOptions | None = None) -> Rest:
    return Rest(weight_per_min, options or RestOptions(), sleep=clock.sleep, now=lambda: clock.now)


async def test_status_and_body_come_as_they_are() -> None:
    async def handle(request: web.Request) -> web.Response:
        status = int(request.query["status"])
        return web.Response(status=status, body=b'{"code":%d}' % status)

    async with venue(handle) as url, rest(Clock()) as asked:
        for status in (200, 400, 404, 500, 302):
            assert await asked.call(f"{url}/x?status={status}", 1) == Answer(status, b'{"code":%d}' % status)


async def test_a_post_has_no_body() -> None:
    async def handle(request: web.Request) -> web.Response:
        return web.Response(body=request.method.encode() + b"," + await request.read())

    async with venue(handle) as url, rest(Clock()) as asked:
        assert await asked.call(url, 1, "POST") == Answer(200, b"POST,")


async def test_a_compressed_body_is_unpacked_and_bounded() -> None:
    async def handle(request: web.Request) -> web.Response:
        body = b"x" * int(request.query["size"])
        return web.Response(body=gzip.compress(body), headers={"Content-Encoding": "gzip"})

    async with venue(handle) as url, rest(Clock(), options=RestOptions(max_bytes=10_000)) as asked:
        assert await asked.call(f"{url}/?size=10000", 1) == Answer(200, b"x" * 10_000)
        answer = await asked.call(f"{url}/?size=10001", 1)
        assert answer == Answer(0, b"ValueError: body above 10000 bytes")


async def test_no_answer_is_status_0_with_a_reason() -> None:
    async def hang_up(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with rest(Clock(), options=RestOptions(timeout_s=5)) as asked:
        async with venue(hang_up) as url:
            assert (await asked.call(url, 1)).status == 0
        refused = await asked.call(url, 1)
        assert refused.status == 0
        assert b"Connect" in refused.data
        assert (await asked.call("no url at all", 1)).status == 0
        assert (await asked.call("http://host.invalid/", 1)).status == 0


async def test_a_timeout_says_so() -> None:
    async def stall(request: web.Request) -> web.Response:
        await asyncio.sleep(30)
        return web.Response()

    async with venue(stall) as url, rest(Clock(), options=RestOptions(timeout_s=0.05)) as asked:
        assert await asked.call(url, 1) == Answer(0, b"timeout: no answer within 0.05 s")


async def test_no_more_at_once_than_allowed() -> None:
    busy, most = 0, 0

    async def handle(request: web.Request) -> web.Response:
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        await asyncio.sleep(0.01)
        busy -= 1
        return web.Response()

    async with venue(handle) as url, rest(Clock(), options=RestOptions(concurrency=3)) as asked:
        answers = await asyncio.gather(*(asked.call(f"{url}/{n}", 1) for n in range(12)))
    assert {answer.status for answer in answers} == {200}
    assert most == 3


async def test_the_weight_budget_makes_wait_and_not_fail() -> None:
    async def handle(request: web.Request) -> web.Response:
        return web.Response()

    clock = Clock()
    async with venue(handle) as url, rest(clock, 100, RestOptions(wait_s=100)) as asked:
        for n in range(4):
            assert (await asked.call(f"{url}/{n}", 40)).status == 200
    assert clock.slept == [60]


@pytest.mark.parametrize("header", ["X-MBX-USED-WEIGHT-1M", "x-mbx-used-weight-1m", "X-Some-Venue-Used-Weight"])
async def test_a_used_weight_header_of_whatever_venue_is_read(header: str) -> None:
    async def handle(request: web.Request) -> web.Response:
        return web.Response(headers={header: "990", "x-used-weight-1d": "5", "x-mbx-order-count-1m": "999999"})

    clock = Clock()
    async with venue(handle) as url, rest(clock, 1000, RestOptions(wait_s=100)) as asked:
        await asked.call(url, 1)
        assert asked.weight.used == 990
        await asked.call(url, 10)
        assert clock.slept == []
        await asked.call(url, 1)
    assert len(clock.slept) == 1


@pytest.mark.parametrize("status", [418, 429])
async def test_being_told_to_stop_stops_the_whole_venue(status: int) -> None:
    asked_for: list[str] = []

    async def handle(request: web.Request) -> web.Response:
        asked_for.append(request.path)
        if len(asked_for) == 1:
            return web.Response(status=status, text="too much", headers={"Retry-After": "120"})
        return web.Response()

    clock = Clock()
    async with venue(handle) as url, rest(clock, options=RestOptions(wait_s=30)) as asked:
        assert await asked.call(f"{url}/one", 1) == Answer(status, b"too much")
        assert asked.stopped_s == 120
        assert await asked.call(f"{url}/two", 1) == Answer(0, b"not sent: the venue asked to wait, 120 s to go")
        clock.now += 95
        assert (await asked.call(f"{url}/three", 1)).status == 200
    assert clock.slept == [25]
    assert asked_for == ["/one", "/three"]


async def test_stop_without_a_time_has_one_of_ours() -> None:
    async def handle(request: web.Request) -> web.Response:
        return web.Response(status=429)

    async with venue(handle) as url, rest(Clock(), options=RestOptions(stop_s=45)) as asked:
        await asked.call(url, 1)
        assert asked.stopped_s == 45


def test_retry_after_in_all_its_forms() -> None:
    assert retry_after_s("7") == 7
    assert retry_after_s("1.5") == 1.5
    assert retry_after_s("-3") == 0
    assert retry_after_s(None) == 0
    assert retry_after_s("soon") == 0
    later = datetime.now(UTC) + timedelta(seconds=100)
    assert 90 < retry_after_s(format_datetime(later, usegmt=True)) <= 100
