"""The hands of one venue: executes the commands of the core and turns what happens into frames.

No brain: what to open, send or fetch, and when to do it again after a gap, is decided left of here. The connector
keeps what was opened open (it reopens by itself after every close, until it is stopped), keeps to the venue's rates,
and gives every frame a receive time that never runs backwards.

The core is fed synchronously: ``feed`` runs the whole pipeline inside a read callback and may call
:meth:`Connector.execute` from there. So ``execute`` never feeds by itself; whatever follows from a command comes in a
later turn of the loop. An exception out of ``feed`` has nobody above it in a callback: :meth:`Connector.run` raises it.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from msgspec import Struct, structs

from imbalanced.backoff import Backoff, Pace
from imbalanced.clock import Clock
from imbalanced.events import Frame, FrameKind
from imbalanced.transports.rest import Rest, RestOptions
from imbalanced.transports.transport import Options, TransportError
from imbalanced.venues.codec import Close, Fetch, Open, Reconnect, Send, Wake

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from structlog.typing import FilteringBoundLogger

    from imbalanced.transports.rest import Answer
    from imbalanced.transports.transport import Connect, Connection
    from imbalanced.venues.codec import Command, Limits

_MAX_TIMER_S = 60.0  # wall clocks are set now and then; a timer looks at it again at least so often


class ConnectorOptions(Struct, frozen=True, kw_only=True):
    """How patient the hands are. Times in seconds.

    ``connects`` in ``connects_window_s`` is the venue's limit on connection attempts (all links together), less some
    for other programs behind the same address. ``send_margin`` stretches the venue's second, as its clock may see our
    messages closer together than we sent them. The venue's own limit on message sizes goes before those in ``socket``
    and ``rest``.
    """

    backoff_first_s: float = 0.5
    backoff_cap_s: float = 30.0
    stable_s: float = 60.0
    connects: int = 250
    connects_window_s: float = 300.0
    send_queue: int = 1024
    send_margin: float = 1.1
    stop_s: float = 3.0
    socket: Options = Options()
    rest: RestOptions = RestOptions()


LinkState = Literal["connecting", "open", "closing", "waiting"]


class LinkStatus(Struct, frozen=True, kw_only=True):
    """One link for ``/api/status``: ``url`` without its query, ``since_ns`` of the state, opened how often."""

    conn: int
    url: str
    state: LinkState
    since_ns: int
    opened: int
    last_close: str


class _Link:
    """One socket of the venue in all its lives, and the queue of what is to be sent on it."""

    task: asyncio.Task[None]

    def __init__(self, hands: Connector, conn: int, url: str) -> None:
        self._hands = hands
        self.conn = conn
        self.url = url
        options = hands.options
        self._backoff = Backoff(options.backoff_first_s, options.backoff_cap_s, options.stable_s, hands.jitter)
        rate = hands.limits.messages_per_s
        count = max(int(rate), 1)
        self._pace = Pace(count, options.send_margin * max(1.0, 1 / rate))
        self._keep = 1 if count > 1 else 0  # one of each second is kept for PONGs, which cannot wait
        self._queue: deque[str] = deque()
        self._pump_timer: asyncio.TimerHandle | None = None
        self._connection: Connection | None = None
        self._opened_at = 0.0
        self._opened_url = ""
        self._opened = 0
        self._closed = asyncio.Event()
        self._why = ""  # our own reason for the close that is under way
        self._planned = False
        self._over = False  # closed for good
        self._failures = 0
        self._last_close = ""
        self._set_state("waiting")

    async def run(self) -> None:
        """Opens, waits for the end, opens again, until the connector stops."""
        hands = self._hands
        while not (hands.stopping or self._over):
            self._set_state("connecting")
            await hands.connect_turn()
            url = self._opened_url = self.url
            self._closed.clear()
            try:
                connection = await hands.transport(url, self, hands.socket)
            except TransportError as error:
                if self._connection is not None:  # opened in the very moment in which it was given up
                    await self._closed.wait()
                await self._pause(max(self._failed(error), error.retry_after_s))
                continue
            if self.url != url:  # a Reconnect to another url came meanwhile
                self.reconnect(self.url, "url_changed", planned=True)
            try:
                await self._closed.wait()
            except asyncio.CancelledError:
                connection.abort("cancelled")
                await self._closed.wait()  # some turns of the loop; nothing of the socket outlives this task
                raise
            self._backoff.lived(hands.loop.time() - self._opened_at)
            await self._pause(0.0 if self._planned else self._backoff.next_s())
            self._planned = False

    def reconnect(self, url: str, reason: str, *, planned: bool) -> None:
        """Close, and open ``url`` next. Where there is nothing to close, an attempt is under way or due anyway."""
        self.url = url
        if self._connection is not None and not self._why:
            self._why, self._planned = reason, planned
            self._set_state("closing")
            self._connection.close()

    def close(self, reason: str) -> bool:
        """For good; whether there is an end to wait for."""
        self._over = True
        if self._connection is None:
            return False
        if not self._why:
            self.reconnect(self.url, reason, planned=True)
        return True

    def send(self, text: str) -> None:
        """Put in the queue of this life of the socket; what is sent to a closed one is gone with it."""
        if self._connection is None or self._why:
            self._hands.log.debug("send_dropped", link=self.conn, reason="not open")
        elif len(self._queue) >= self._hands.options.send_queue:
            # Something was not subscribed: only a new beginning makes socket and core agree again.
            self._hands.log.error("send_queue_full", link=self.conn, queued=len(self._queue))
            self.reconnect(self.url, "send_queue_full", planned=False)
        else:
            self._queue.append(text)
            if self._pump_timer is None:
                self._pump()

    def status(self) -> LinkStatus:
        return LinkStatus(
            conn=self.conn,
            url=public_url(self.url),
            state=self._state,
            since_ns=self._since_ns,
            opened=self._opened,
            last_close=self._last_close,
        )

    # -- what the transport tells --------------------------------------------------------------------------------------

    def on_open(self, connection: Connection) -> None:
        hands = self._hands
        self._connection, self._opened_at, self._why = connection, hands.loop.time(), ""
        self._opened += 1
        self._set_state("open")
        hands.log.info("link_up", link=self.conn, url=public_url(self._opened_url), failures=self._failures)
        self._failures = 0
        hands.give("open", self.conn, url=self._opened_url)

    def on_message(self, data: bytes, recv_ns: int) -> None:
        hands = self._hands
        clock = hands.clock
        if recv_ns < clock.last_ns:
            recv_ns = clock.later_ns()
        else:
            clock.last_ns = recv_ns
        frame = Frame(recv_ns, hands.venue, self.conn, "ws", data)
        try:  # as `take` does, a call less
            hands.feed(frame)
        except Exception as error:  # the outer end of a callback: run() raises it where the owner can see it
            hands.broke(error, frame)

    def on_control(self) -> None:
        self._pace.act(self._hands.loop.time())

    def on_close(self, code: int, reason: str, detail: str) -> None:
        hands = self._hands
        reason = self._why or reason
        self._connection = None
        self._queue.clear()
        if self._pump_timer is not None:
            self._pump_timer.cancel()
            self._pump_timer = None
        self._last_close = f"{reason} {code}"
        self._set_state("waiting")
        say = hands.log.info if self._planned else hands.log.warning
        say("link_down", link=self.conn, reason=reason, code=code, detail=detail[:120])
        self._closed.set()
        hands.give("close", self.conn, self._last_close.encode())

    # -- inside --------------------------------------------------------------------------------------------------------

    def _failed(self, error: TransportError) -> float:
        """Tells of an attempt that failed (the 1st, 2nd, 4th, 8th...); the pause that is due."""
        self._failures += 1
        pause_s = self._backoff.next_s()
        if _is_power_of_two(self._failures):
            self._hands.log.warning(
                "link_connect_failed",
                link=self.conn,
                url=public_url(self.url),
                reason=error.reason,
                detail=str(error)[:200],
                failures=self._failures,
            )
        return pause_s

    async def _pause(self, seconds: float) -> None:
        self._set_state("waiting")
        if seconds > 0 and not (self._hands.stopping or self._over):
            await self._hands.sleep(seconds)

    def _pump(self) -> None:
        """Send what the venue's rate allows now, and come back for the rest."""
        self._pump_timer = None
        hands = self._hands
        while self._queue and self._connection is not None:
            now = hands.loop.time()
            wait_s = self._pace.wait_s(now, self._keep)
            if wait_s > 0:
                self._pump_timer = hands.loop.call_later(wait_s, self._pump)
                return
            text = self._queue.popleft()
            self._pace.act(now)
            if text:
                self._connection.send(hands.signed(text))
                hands.tell_sent(self.conn, text)
            else:
                self._connection.ping()

    def _set_state(self, state: LinkState) -> None:
        self._state, self._since_ns = state, self._hands.now_ns()


class _Alarm:
    """The venue's one timer, on the wall clock of the frames. A later time set replaces an earlier one."""

    def __init__(self, clock: Callable[[], int], ring: Callable[[], None]) -> None:
        self._clock = clock
        self._ring = ring
        self._at_ns: int | None = None
        self._due_ns = 0
        self._timer: asyncio.TimerHandle | None = None

    def set(self, at_ns: int) -> None:
        self._at_ns = at_ns
        # A core that moves its alarm with every frame costs no timer each time: one that goes off early looks again.
        if self._timer is None or at_ns < self._due_ns:
            self._arm(at_ns)

    def cancel(self) -> None:
        self._at_ns = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, at_ns: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._due_ns = at_ns
        delay_s = (at_ns - self._clock()) / 1e9
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(min(max(delay_s, 0.0), _MAX_TIMER_S), self._go_off)

    def _go_off(self) -> None:
        self._timer = None
        at_ns = self._at_ns
        if at_ns is None:
            return
        if self._clock() < at_ns:
            self._arm(at_ns)
            return
        self._at_ns = None
        self._ring()


class Connector:
    """One venue's links, REST calls and timer.

    ``run`` belongs into the owner's task group; commands may be executed before it runs. ``on_sent`` is told of every
    message sent, as a frame for the recording; ``sign`` puts credentials into it on its way out. ``jitter`` answers
    numbers from 0 to 1; ``sleep`` waits.
    """

    def __init__(
        self,
        venue: str,
        limits: Limits,
        transport: Connect,
        feed: Callable[[Frame], None],
        *,
        log: FilteringBoundLogger,
        options: ConnectorOptions | None = None,
        on_sent: Callable[[Frame], None] | None = None,
        sign: Callable[[str, int], str] | None = None,
        jitter: Callable[[], float] = random.random,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Clock | None = None,
    ) -> None:
        self.venue = venue
        self.limits = limits
        self.transport = transport
        self.log = log.bind(venue=venue)
        self.options = options = options or ConnectorOptions()
        self.socket = structs.replace(options.socket, max_bytes=limits.max_frame_bytes)
        self.jitter = jitter
        self.sleep = sleep
        self.stopping = False
        self.feed = feed
        self._on_sent = on_sent
        self._sign = sign
        self.clock = clock or Clock()
        self.now_ns = self.clock.now_ns
        self._connects = Pace(options.connects, options.connects_window_s)
        self._links: dict[int, _Link] = {}
        self._link_tasks: set[asyncio.Task[None]] = set()
        self._fetches: dict[str, asyncio.Task[None]] = {}
        self._fetch_failures = 0
        self._early: list[Command] = []
        self._tasks: asyncio.TaskGroup | None = None
        self._alarm = _Alarm(self.now_ns, self._ring)
        self._broken: Exception | None = None
        self._over = asyncio.Event()
        self._gone = asyncio.Event()
        self._do: dict[type[Any], Callable[[Any], None]] = {
            Open: self._open,
            Send: self._send,
            Fetch: self._fetch,
            Wake: lambda command: self._alarm.set(command.at_ns),
            Reconnect: self._reconnect,
            Close: self._close,
        }

    # -- the owner's side ----------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until :meth:`stop`, or until ``feed`` raises: then that is raised here."""
        self.loop = asyncio.get_running_loop()
        options = structs.replace(self.options.rest, max_bytes=self.limits.max_frame_bytes)
        rest = Rest(self.limits.weight_per_min, options, ssl=self.socket.ssl, sleep=self.sleep)
        try:
            async with rest, asyncio.TaskGroup() as tasks:
                self._tasks, self._rest = tasks, rest
                early, self._early = self._early, []
                for command in early:
                    self.execute(command)
                await self._over.wait()
                if self._broken is not None:
                    raise self._broken
                for task in [*self._link_tasks, *self._fetches.values()]:
                    task.cancel()
        finally:
            self.stopping = True
            self.feed = _nobody
            self._alarm.cancel()
            self._gone.set()

    def execute(self, command: Command) -> None:
        """Do it, or begin to. Never feeds before it returns; ignored once stopping."""
        if self.stopping:
            return
        if self._tasks is None:
            self._early.append(command)
        else:
            self._do[type(command)](command)

    async def stop(self) -> None:
        """Close every socket with 1000 and end :meth:`run`. The ``close`` frames are still fed; nothing after them."""
        self.stopping = True
        if self._tasks is not None and not self._gone.is_set():
            self._alarm.cancel()
            for task in self._fetches.values():
                task.cancel()
            for link in self._links.values():
                if not link.close("shutdown"):
                    link.task.cancel()
            if self._link_tasks:
                await asyncio.wait(self._link_tasks, timeout=self.options.stop_s)
        self._over.set()
        if self._tasks is not None:
            await self._gone.wait()

    def links(self) -> list[LinkStatus]:
        """All links as they are now."""
        return [link.status() for link in self._links.values()]

    # -- for the links -------------------------------------------------------------------------------------------------

    async def connect_turn(self) -> None:
        """Waits until the venue's limit on connection attempts has room for one more."""
        while (wait_s := self._connects.wait_s(self.loop.time())) > 0:
            self.log.warning("connect_budget_used_up", wait_s=round(wait_s, 1))
            await self.sleep(wait_s)
        self._connects.act(self.loop.time())

    def give(self, kind: FrameKind, conn: int, data: bytes = b"", url: str = "", status: int = 200) -> None:
        """Feed a frame of now."""
        self.take(Frame(self.now_ns(), self.venue, conn, kind, data, url, status))

    def take(self, frame: Frame) -> None:
        """Feed a frame; a pipeline that fails ends :meth:`run`."""
        try:
            self.feed(frame)
        except Exception as error:  # the outer end of a callback: run() raises it where the owner can see it
            self.broke(error, frame)

    def broke(self, error: Exception, frame: Frame) -> None:
        """The pipeline failed at this frame: nothing is fed any more."""
        self.log.exception("pipeline_failed", kind=frame.kind, link=frame.conn, head=frame.data[:200])
        self._broken = error
        self.feed = _nobody
        self._over.set()

    def signed(self, text: str) -> str:
        """As it goes out. A recording holds what was asked, not the proof of who asked."""
        return text if self._sign is None else self._sign(text, self.clock.wall_ns())

    def tell_sent(self, conn: int, text: str) -> None:
        if self._on_sent is not None:
            self._on_sent(Frame(self.now_ns(), self.venue, conn, "sent", text.encode()))

    # -- the commands --------------------------------------------------------------------------------------------------

    def _open(self, command: Open) -> None:
        known = self._links.get(command.conn)
        if known is not None:  # it is open, or being opened; at another url only since it was moved there
            if known.url != command.url:
                known.reconnect(command.url, "url_changed", planned=True)
            return
        assert self._tasks is not None
        link = _Link(self, command.conn, command.url)
        self._links[command.conn] = link
        link.task = self._tasks.create_task(link.run(), name=f"{self.venue}-link-{command.conn}")
        self._link_tasks.add(link.task)
        link.task.add_done_callback(self._link_tasks.discard)

    def _reconnect(self, command: Reconnect) -> None:
        link = self._links.get(command.conn)
        if link is None:
            self._open(Open(venue=command.venue, conn=command.conn, url=command.url))
        else:
            link.reconnect(command.url, command.reason, planned=command.planned)

    def _close(self, command: Close) -> None:
        link = self._links.pop(command.conn, None)
        if link is not None and not link.close(command.reason):
            link.task.cancel()

    def _send(self, command: Send) -> None:
        link = self._links.get(command.conn)
        if link is None:
            self.log.debug("send_dropped", link=command.conn, reason="never opened")
        else:
            link.send(command.data)

    def _fetch(self, command: Fetch) -> None:
        if command.url in self._fetches:
            return  # the answer that is under way answers this one too
        assert self._tasks is not None
        self._fetches[command.url] = self._tasks.create_task(self._fetch_one(command), name=f"{self.venue}-fetch")

    async def _fetch_one(self, command: Fetch) -> None:
        try:
            answer = await self._rest.call(command.url, command.weight, command.method)
        finally:
            del self._fetches[command.url]
        self._count_fetch(command.url, answer)
        self.give("http", 0, answer.data, command.url, answer.status)

    def _count_fetch(self, url: str, answer: Answer) -> None:
        """Tells of the 1st, 2nd, 4th, 8th... failure in a row: polls of a venue that is down must not fill the log."""
        if answer.status:
            self._fetch_failures = 0
            return
        self._fetch_failures += 1
        if _is_power_of_two(self._fetch_failures):
            detail = answer.data[:200].decode(errors="replace")
            self.log.warning("fetch_failed", url=public_url(url), detail=detail, failures=self._fetch_failures)

    def _ring(self) -> None:
        self.give("wake", 0)


def public_url(url: str) -> str:
    """What of a URL may be logged: neither credentials nor the query, where some venues want a token."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _is_power_of_two(number: int) -> bool:
    return number & (number - 1) == 0


def _nobody(frame: Frame) -> None:
    """Where frames go after the end."""
