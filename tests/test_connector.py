"""The hands, against real servers on 127.0.0.1; delays that would be long are made up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import structlog
from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestServer
from structlog.testing import capture_logs
from websockets.asyncio.server import ServerConnection, serve

from imbalanced.clock import Clock
from imbalanced.connector import Connector, ConnectorOptions, public_url
from imbalanced.events import Frame
from imbalanced.transports import TRANSPORTS
from imbalanced.transports.rest import RestOptions
from imbalanced.transports.transport import Connection, HandshakeRefused, Options
from imbalanced.venues.codec import Close, Fetch, Limits, Open, Reconnect, Send, Wake

PATIENCE_S = 10.0  # nothing here takes that long when all is well
QUICK = Limits(messages_per_s=1000)


@pytest.fixture(params=sorted(TRANSPORTS))
def transport(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


class Core:
    """Stands in for the pipeline: remembers its frames and reacts to them as a test wants."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.react: Callable[[Frame], None] = lambda frame: None
        self.feeding = False
        self._changed = asyncio.Event()

    def feed(self, frame: Frame) -> None:
        assert not self.feeding, "fed from inside a feed"
        self.feeding = True
        if self.frames:
            assert frame.recv_ns >= self.frames[-1].recv_ns
        self.frames.append(frame)
        try:
            self.react(frame)
        finally:
            self.feeding = False
            self._changed.set()

    def of(self, kind: str, conn: int | None = None) -> list[Frame]:
        return [frame for frame in self.frames if frame.kind == kind and conn in (None, frame.conn)]

    def story(self, conn: int = 1) -> list[str]:
        return [frame.kind for frame in self.frames if frame.conn == conn]

    async def until(self, ready: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not ready():
                self._changed.clear()
                await self._changed.wait()


class Venue:
    """A websocket server that counts its connections and keeps what it is sent."""

    def __init__(self) -> None:
        self.url = ""
        self.sockets: list[ServerConnection] = []
        self.heard: list[str] = []
        self.closes: list[int | None] = []
        self.greeting = True

    async def run(self, socket: ServerConnection) -> None:
        self.sockets.append(socket)
        if self.greeting:
            await socket.send(f"hello {len(self.sockets)} {socket.request.path if socket.request else ''}")
        async for message in socket:
            self.heard.append(str(message))
            await socket.send(f"echo {message!s}")
        self.closes.append(socket.close_code)


@asynccontextmanager
async def venue() -> AsyncIterator[Venue]:
    here = Venue()
    async with serve(here.run, "127.0.0.1", 0) as server:
        here.url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
        yield here


class Sleeps:
    """A sleep that returns at once and remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.asked.append(seconds)
        await asyncio.sleep(0)


async def eventually(ready: Callable[[], object]) -> None:
    """For what gives no sign when it has come."""
    async with asyncio.timeout(PATIENCE_S):
        while not ready():  # noqa: ASYNC110  # see above
            await asyncio.sleep(0.001)


@asynccontextmanager
async def running(core: Core, made: Connector) -> AsyncIterator[Connector]:
    """The connector in a task group, as its owner has it; stopped in good order at the end."""
    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as tasks:
        tasks.create_task(made.run())
        yield made
        await made.stop()
        after = len(core.frames)
        await asyncio.sleep(0.01)
        assert len(core.frames) == after, "fed after stop"


def connector(
    core: Core,
    *,
    transport: str = "sansio",
    limits: Limits = QUICK,
    options: ConnectorOptions | None = None,
    jitter: float = 0.0,
    sleep: Callable[[float], object] = asyncio.sleep,
    on_sent: Callable[[Frame], None] | None = None,
    sign: Callable[[str, int], str] | None = None,
    now_ns: Callable[[], int] = time.time_ns,
) -> Connector:
    return Connector(
        "venue",
        limits,
        TRANSPORTS[transport],
        core.feed,
        log=structlog.get_logger(),
        options=options,
        jitter=lambda: jitter,
        sleep=sleep,
        on_sent=on_sent,
        sign=sign,
        clock=Clock(now_ns),
    )


def opening(url: str, conn: int = 1) -> Open:
    return Open(venue="venue", conn=conn, url=url)


# -- links -------------------------------------------------------------------------------------------------------------


async def test_a_link_opens_carries_both_ways_and_closes_in_order(transport: str) -> None:
    core, sent = Core(), list[Frame]()
    made = connector(core, transport=transport, on_sent=sent.append)

    def subscribe(frame: Frame) -> None:
        if frame.kind == "open":
            made.execute(Send(venue="venue", conn=1, data="subscribe"))

    core.react = subscribe
    async with venue() as there, running(core, made):
        made.execute(opening(f"{there.url}/stream?x=1"))
        await core.until(lambda: len(core.of("ws")) == 2)
        assert [link.state for link in made.links()] == ["open"]
        await made.stop()
        await eventually(lambda: there.closes)
    assert there.closes == [1000]
    assert core.story() == ["open", "ws", "ws", "close"]
    opened, hello, echo, closed = core.frames
    assert opened.url == f"{there.url}/stream?x=1"
    assert (hello.data, echo.data) == (b"hello 1 /stream?x=1", b"echo subscribe")
    assert closed.data == b"shutdown 1000"
    assert {(frame.venue, frame.conn) for frame in core.frames} == {("venue", 1)}
    assert [(frame.kind, frame.data, frame.conn) for frame in sent] == [("sent", b"subscribe", 1)]


async def test_commands_before_run_are_not_lost() -> None:
    core = Core()
    made = connector(core)
    async with venue() as there:
        made.execute(opening(there.url))
        made.execute(opening(there.url, 2))
        assert core.frames == []
        async with running(core, made):
            await core.until(lambda: len(core.of("ws")) == 2)


async def test_a_closed_link_opens_again_by_itself(transport: str) -> None:
    core, sleeps = Core(), Sleeps()
    made = connector(core, transport=transport, jitter=1.0, sleep=sleeps)
    with capture_logs() as logs:
        async with venue() as there, running(core, made):
            made.execute(opening(there.url))
            for n in range(1, 4):
                await core.until(lambda n=n: len(core.of("ws")) == n)
                await there.sockets[-1].close(1012, "restart")
            await core.until(lambda: len(core.of("ws")) == 4)
    assert core.story() == ["open", "ws", "close"] * 4
    assert core.of("close")[0].data == b"closed_by_peer 1012"
    assert sleeps.asked == [0.5, 1, 2]  # these lives were short, so each waits longer
    downs = [entry for entry in logs if entry["event"] == "link_down"]
    assert downs[0]["detail"] == "restart"
    assert [entry["log_level"] for entry in downs] == ["warning"] * 3 + ["info"]


async def test_a_stable_life_resets_the_backoff() -> None:
    core, sleeps = Core(), Sleeps()
    made = connector(core, jitter=1.0, sleep=sleeps, options=ConnectorOptions(stable_s=0))
    async with venue() as there, running(core, made):
        made.execute(opening(there.url))
        for n in range(1, 4):
            await core.until(lambda n=n: len(core.of("ws")) == n)
            await there.sockets[-1].close()
        await core.until(lambda: len(core.of("ws")) == 4)
    assert sleeps.asked == [0.5, 0.5, 0.5]


async def test_a_venue_that_is_down_is_tried_with_longer_and_longer_pauses_and_told_rarely() -> None:
    core, sleeps = Core(), Sleeps()
    made = connector(core, jitter=1.0, sleep=sleeps)
    with capture_logs() as logs:
        async with running(core, made):
            made.execute(opening("ws://user:secret@127.0.0.1:1/stream?token=secret"))
            await eventually(lambda: len(sleeps.asked) >= 9)
            await made.stop()
    assert sleeps.asked[:9] == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    failed = [entry for entry in logs if entry["event"] == "link_connect_failed"]
    assert [entry["failures"] for entry in failed[:4]] == [1, 2, 4, 8]
    assert {entry["url"] for entry in failed} == {"ws://127.0.0.1:1/stream"}
    assert "secret" not in str(logs)
    assert core.frames == []


async def test_a_refusal_that_asks_to_wait_is_obeyed() -> None:
    core, sleeps = Core(), Sleeps()

    async def refuse(url: str, handler: object, options: Options) -> Connection:
        raise HandshakeRefused(429, "77")

    made = Connector("venue", QUICK, refuse, core.feed, log=structlog.get_logger(), jitter=lambda: 1.0, sleep=sleeps)
    async with running(core, made):
        made.execute(opening("ws://127.0.0.1:1/"))
        await eventually(lambda: len(sleeps.asked) >= 2)
    assert sleeps.asked[:2] == [77, 77]


async def test_attempts_of_all_links_obey_one_budget() -> None:
    core, sleeps = Core(), Sleeps()
    made = connector(core, sleep=sleeps, options=ConnectorOptions(connects=3, connects_window_s=300))
    attempts = 0

    async def refuse(url: str, handler: object, options: Options) -> Connection:
        nonlocal attempts
        attempts += 1
        raise HandshakeRefused(503)

    made.transport = refuse
    async with running(core, made):
        for conn in (1, 2):
            made.execute(opening("ws://127.0.0.1:1/", conn))
        await eventually(lambda: len(sleeps.asked) >= 50)
    assert attempts == 3
    assert all(299 < asked <= 300 for asked in sleeps.asked)


async def test_reconnect_closes_then_opens_the_new_url() -> None:
    core, sleeps = Core(), Sleeps()
    made = connector(core, jitter=1.0, sleep=sleeps)

    def rotate(frame: Frame) -> None:
        if frame.data == b"hello 1 /old":
            made.execute(Reconnect(venue="venue", conn=1, url=f"{there.url}/new", reason="rotation", planned=True))
            made.execute(Send(venue="venue", conn=1, data="to nobody"))

    core.react = rotate
    async with venue() as there, running(core, made):
        made.execute(opening(f"{there.url}/old"))
        await core.until(lambda: len(core.of("ws")) == 2)
    assert core.story() == ["open", "ws", "close", "open", "ws", "close"]
    assert core.of("close")[0].data == b"rotation 1000"
    assert core.of("open")[1].url == f"{there.url}/new"
    assert core.of("ws")[1].data == b"hello 2 /new"
    assert there.heard == []
    assert sleeps.asked == []  # planned


async def test_a_link_closed_for_good_is_not_opened_again(transport: str) -> None:
    core, sleeps = Core(), Sleeps()
    made = connector(core, transport=transport, sleep=sleeps)
    async with venue() as there, running(core, made):
        made.execute(opening(f"{there.url}/a"))
        made.execute(opening(f"{there.url}/b", 2))
        await core.until(lambda: len(core.of("ws")) == 2)
        made.execute(Close(venue="venue", conn=1, reason="rotated"))
        await core.until(lambda: core.of("close", 1))
        assert [link.conn for link in made.links()] == [2]
        made.execute(Close(venue="venue", conn=1, reason="rotated"))
        made.execute(Send(venue="venue", conn=1, data="to nobody"))
        made.execute(Send(venue="venue", conn=2, data="still here"))
        await core.until(lambda: len(core.of("ws", 2)) == 2)
    assert core.story(1) == ["open", "ws", "close"]
    assert core.of("close", 1)[0].data == b"rotated 1000"
    assert sleeps.asked == []


async def test_a_link_that_never_opened_can_be_closed_for_good() -> None:
    core, sleeps = Core(), Sleeps()
    made = connector(core, sleep=sleeps)
    async with running(core, made):
        made.execute(opening("ws://127.0.0.1:1/"))
        await eventually(lambda: len(sleeps.asked) > 2)
        made.execute(Close(venue="venue", conn=1, reason="rotation_failed"))
        await asyncio.sleep(0.02)
        tried = len(sleeps.asked)
        await asyncio.sleep(0.05)
        assert len(sleeps.asked) == tried
        assert made.links() == []
    assert core.frames == []


async def test_opening_again_is_nothing_new_but_for_another_url() -> None:
    core = Core()
    made = connector(core)
    async with venue() as there, running(core, made):
        made.execute(opening(f"{there.url}/a"))
        await core.until(lambda: core.of("ws"))
        made.execute(opening(f"{there.url}/a"))
        made.execute(opening(f"{there.url}/b"))
        await core.until(lambda: len(core.of("ws")) == 2)
    assert core.story() == ["open", "ws", "close", "open", "ws", "close"]
    assert core.of("close")[0].data == b"url_changed 1000"
    assert core.of("open")[1].url == f"{there.url}/b"


async def test_an_unplanned_reconnect_has_its_backoff() -> None:
    core, sleeps = Core(), Sleeps()
    made = connector(core, jitter=1.0, sleep=sleeps)
    async with venue() as there, running(core, made):
        made.execute(Reconnect(venue="venue", conn=1, url=there.url, reason="silent_subscription"))
        await core.until(lambda: core.of("ws"))  # of a link that never was: it is opened
        made.execute(Reconnect(venue="venue", conn=1, url=there.url, reason="silent_subscription"))
        await core.until(lambda: len(core.of("ws")) == 2)
    assert core.of("close")[0].data == b"silent_subscription 1000"
    assert sleeps.asked == [0.5]


async def test_a_dead_peer_is_told_as_heartbeat_missed() -> None:
    core, sleeps = Core(), Sleeps()
    socket = Options(ping_idle_s=0.05, pong_s=0.05)
    made = connector(core, sleep=sleeps, options=ConnectorOptions(socket=socket))
    async with venue() as there, running(core, made):
        there.greeting = False
        made.execute(opening(there.url))
        await core.until(lambda: core.of("open"))
        there.sockets[0].transport.pause_reading()
        await core.until(lambda: core.of("close"))
        there.sockets[0].transport.resume_reading()
    assert core.of("close")[0].data == b"heartbeat_missed 1006"


async def test_the_venues_size_limit_holds() -> None:
    core, sleeps = Core(), Sleeps()
    made = connector(core, sleep=sleeps, limits=Limits(max_frame_bytes=5))
    async with venue() as there, running(core, made):
        made.execute(opening(there.url))
        await core.until(lambda: core.of("close"))
    assert core.of("close")[0].data == b"message_too_big 1009"


# -- sending -----------------------------------------------------------------------------------------------------------


async def test_sends_keep_their_order_and_the_venues_pace() -> None:
    core, sent = Core(), list[Frame]()
    at: list[float] = []

    def note(frame: Frame) -> None:
        sent.append(frame)
        at.append(asyncio.get_running_loop().time())

    made = connector(core, limits=Limits(messages_per_s=20), on_sent=note, options=ConnectorOptions(send_margin=0.1))
    async with venue() as there, running(core, made):
        made.execute(opening(there.url))
        await core.until(lambda: core.of("open"))
        for n in range(50):
            made.execute(Send(venue="venue", conn=1, data=str(n)))
        assert len(sent) == 19  # one of each window is kept for PONGs
        await core.until(lambda: len(core.of("ws")) == 51)
    assert there.heard == [str(n) for n in range(50)]
    # The turn is given at the end of the second that the pace counts, to the last digit of a float.
    assert all(later - first >= 0.1 - 1e-6 for first, later in zip(at, at[19:], strict=False))


async def test_an_empty_text_is_a_ping(transport: str) -> None:
    heard: list[tuple[WSMsgType, str]] = []

    async def listen(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(autoping=False)
        await socket.prepare(request)
        async for message in socket:
            heard.append((message.type, message.data if message.type is WSMsgType.TEXT else ""))
        return socket

    app = web.Application()
    app.router.add_get("/", listen)
    core, sent = Core(), list[Frame]()
    made = connector(core, transport=transport, on_sent=sent.append)
    async with TestServer(app) as there, running(core, made):
        made.execute(opening(f"ws://127.0.0.1:{there.port}/"))
        await core.until(lambda: core.of("open"))
        made.execute(Send(venue="venue", conn=1, data=""))
        made.execute(Send(venue="venue", conn=1, data="after"))
        await eventually(lambda: len(heard) == 2)
    assert heard == [(WSMsgType.PING, ""), (WSMsgType.TEXT, "after")]
    assert [frame.data for frame in sent] == [b"after"], "a PING is no message of ours"


async def test_a_request_is_signed_as_it_goes_out_and_recorded_without_the_proof() -> None:
    core, sent = Core(), list[Frame]()
    made = connector(core, on_sent=sent.append, sign=lambda text, now_ns: f"{text} {now_ns}", now_ns=lambda: 7)
    async with venue() as there, running(core, made):
        made.execute(opening(f"{there.url}/"))
        await core.until(lambda: core.of("open"))
        made.execute(Send(venue="venue", conn=1, data="subscribe"))
        await core.until(lambda: len(core.of("ws")) == 2)
    assert there.heard == ["subscribe 7"]
    assert [frame.data for frame in sent] == [b"subscribe"]


async def test_the_queue_is_bounded_and_a_full_one_begins_anew() -> None:
    core, sleeps = Core(), Sleeps()
    options = ConnectorOptions(send_queue=3)
    made = connector(core, limits=Limits(messages_per_s=0.001), options=options, sleep=sleeps)
    with capture_logs() as logs:
        async with venue() as there, running(core, made):
            made.execute(opening(there.url))
            await core.until(lambda: core.of("open"))
            for n in range(6):
                made.execute(Send(venue="venue", conn=1, data=str(n)))
            await core.until(lambda: len(core.of("open")) == 2)
    assert core.of("close")[0].data == b"send_queue_full 1000"
    assert [entry["event"] for entry in logs].count("send_queue_full") == 1
    assert there.heard == ["0"]


async def test_a_send_to_no_socket_is_dropped() -> None:
    core = Core()
    made = connector(core)
    async with running(core, made):
        made.execute(Send(venue="venue", conn=9, data="x"))
    assert core.frames == []


# -- REST --------------------------------------------------------------------------------------------------------------


async def test_fetches_answer_with_frames_and_doubles_are_merged() -> None:
    core = Core()
    hits: list[str] = []

    async def handle(request: web.Request) -> web.Response:
        hits.append(request.path_qs)
        await asyncio.sleep(0.01)
        return web.Response(status=int(request.query["status"]), text="body")

    app = web.Application()
    app.router.add_get("/depth", handle)
    server = TestServer(app)
    await server.start_server()
    made = connector(core)
    good, bad = (str(server.make_url(f"/depth?status={status}")) for status in (200, 400))
    async with running(core, made):
        for url in (good, bad, good, good):
            made.execute(Fetch(venue="venue", url=url, weight=5))
        await core.until(lambda: len(core.of("http")) == 2)
        made.execute(Fetch(venue="venue", url=good))
        await core.until(lambda: len(core.of("http")) == 3)
    await server.close()
    assert sorted((frame.url, frame.status, frame.data, frame.conn) for frame in core.frames) == sorted(
        [(good, 200, b"body", 0), (good, 200, b"body", 0), (bad, 400, b"body", 0)]
    )
    assert len(hits) == 3


async def test_a_fetch_without_an_answer_answers_too() -> None:
    core = Core()
    made = connector(core, options=ConnectorOptions(rest=RestOptions(timeout_s=5)))
    with capture_logs() as logs:
        async with running(core, made):
            for n in range(5):
                made.execute(Fetch(venue="venue", url="http://127.0.0.1:1/depth?secret=1"))
                await core.until(lambda n=n: len(core.of("http")) == n + 1)
    assert {frame.status for frame in core.frames} == {0}
    assert b"Connect" in core.frames[0].data
    failed = [entry for entry in logs if entry["event"] == "fetch_failed"]
    assert [entry["failures"] for entry in failed] == [1, 2, 4]
    assert failed[0]["url"] == "http://127.0.0.1:1/depth"


async def test_stop_does_not_wait_for_a_fetch() -> None:
    core = Core()
    asked = asyncio.Event()

    async def stall(request: web.Request) -> web.Response:
        asked.set()
        await asyncio.sleep(30)
        return web.Response()

    app = web.Application()
    app.router.add_get("/", stall)
    server = TestServer(app)
    await server.start_server()
    made = connector(core)
    async with running(core, made):
        made.execute(Fetch(venue="venue", url=str(server.make_url("/"))))
        await asked.wait()
    await server.close()
    assert core.frames == []


# -- the timer ---------------------------------------------------------------------------------------------------------


async def test_wake_rings_once_at_the_time_last_set() -> None:
    core = Core()
    made = connector(core)
    async with running(core, made):
        now = time.time_ns()
        for later_ms in (3_600_000, 60, 20, 40):
            made.execute(Wake(venue="venue", at_ns=now + later_ms * 1_000_000))
        await core.until(lambda: core.frames)
        await asyncio.sleep(0.05)
    (wake,) = core.frames
    assert (wake.kind, wake.conn, wake.data) == ("wake", 0, b"")
    assert wake.recv_ns >= now + 40_000_000


async def test_wake_in_the_past_rings_soon_but_not_inside_the_command() -> None:
    core = Core()
    made = connector(core)
    rounds = iter(range(3))
    core.react = lambda frame: (
        made.execute(Wake(venue="venue", at_ns=frame.recv_ns)) if next(rounds, None) is not None else None
    )
    async with running(core, made):
        made.execute(Wake(venue="venue", at_ns=0))
        assert core.frames == []
        await core.until(lambda: len(core.frames) == 4)


# -- time, ends and faults ---------------------------------------------------------------------------------------------


async def test_receive_times_never_run_backwards() -> None:
    core = Core()
    clock = iter(range(2_000_000_000_000_000_000, 0, -1_000_000_000))  # a wall clock that is set back all the time
    made = connector(core, now_ns=lambda: next(clock))
    async with venue() as there, running(core, made):
        made.execute(opening(there.url))
        await core.until(lambda: core.of("ws"))
        await there.sockets[0].close()
        await core.until(lambda: len(core.of("ws")) == 2)
    times = [frame.recv_ns for frame in core.frames]
    assert times == sorted(times)
    assert min(times) > 1_999_999_990_000_000_000


@pytest.mark.parametrize("kind", ["open", "ws", "http", "wake"])
async def test_a_pipeline_that_fails_ends_run_with_its_error(kind: str) -> None:
    core = Core()
    made = connector(core)

    def fail(frame: Frame) -> None:
        if frame.kind == kind:
            raise ZeroDivisionError(kind)

    core.react = fail
    async with venue() as there:
        made.execute(opening(there.url))
        made.execute(Fetch(venue="venue", url="http://127.0.0.1:1/"))
        made.execute(Wake(venue="venue", at_ns=0))
        with capture_logs() as logs, pytest.raises(ExceptionGroup) as caught:
            await asyncio.wait_for(made.run(), PATIENCE_S)
    assert caught.group_contains(ZeroDivisionError, match=kind)
    assert [entry["event"] for entry in logs].count("pipeline_failed") == 1
    assert "close" not in core.story()  # a broken pipeline is fed no more


async def test_cancelling_run_leaves_nothing_behind(transport: str) -> None:
    core = Core()
    made = connector(core, transport=transport)
    async with venue() as there:
        running_task = asyncio.create_task(made.run())
        made.execute(opening(there.url))
        await core.until(lambda: core.of("ws"))
        running_task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running_task
        ours = [task for task in asyncio.all_tasks() if task.get_name().startswith(("websocket-", "venue-"))]
        assert ours == []
        async with asyncio.timeout(PATIENCE_S):
            await there.sockets[0].wait_closed()
        await made.stop()  # has nothing to do, and does not hang
        made.execute(opening(there.url, 5))  # nor this


async def test_stop_before_run_and_twice() -> None:
    core = Core()
    made = connector(core)
    made.execute(opening("ws://127.0.0.1:1/"))
    await made.stop()
    await made.stop()
    await made.run()
    assert core.frames == []


async def test_stop_has_a_deadline_when_the_server_does_not_join_in(transport: str) -> None:
    core = Core()
    made = connector(core, transport=transport, options=ConnectorOptions(stop_s=0.05, socket=Options(close_s=60)))
    async with venue() as there, running(core, made):
        made.execute(opening(there.url))
        await core.until(lambda: core.of("ws"))
        there.sockets[0].transport.pause_reading()
        await made.stop()
        there.sockets[0].transport.resume_reading()
    assert core.story()[-1] == "close"


async def test_stop_while_connecting_and_while_waiting() -> None:
    core = Core()
    made = connector(core, jitter=1.0, options=ConnectorOptions(backoff_first_s=60))

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    silent = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    async with silent, running(core, made):
        made.execute(opening(f"ws://127.0.0.1:{silent.sockets[0].getsockname()[1]}/"))
        made.execute(opening("ws://127.0.0.1:1/", 2))
        await eventually(lambda: [link.state for link in made.links()] == ["connecting", "waiting"])
    assert core.frames == []


def test_what_of_a_url_may_be_logged() -> None:
    assert public_url("wss://me:pass@host:9443/ws/a?token=b#c") == "wss://host:9443/ws/a"
