"""One connected subscriber: what it asked for, how far it has got, and when it must go.

A subscriber has no queue of its own. Its backlog of signals is the journal, read from its cursor on, so resuming and
living are the same code and there is no seam between them to lose or repeat a signal at. Snapshots and status events
are read from the hub. Who cannot keep up is told 4008 and may come back with ``from_seq``.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from msgspec import Struct
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from imbalanced.journal import Journal
from imbalanced.sinks.hub import Hub, Reader
from imbalanced.sinks.wire import (
    Auth,
    BadRequest,
    Filter,
    Ping,
    Request,
    Subscribe,
    Unsubscribe,
    data_message,
    error_message,
    message,
    parse_request,
)

__all__ = ["CLOSES", "Limits", "Subscriber", "Verdict"]

READ_ENTRIES = 200  # a step of the replay; between steps others get their turn


class Limits(Struct, frozen=True, kw_only=True):
    """What one subscriber may cost. ``max_behind``: live signals it may lag with a full socket (what it asked to be
    replayed does not count); ``send_s``: how long one message may wait for a full socket."""

    max_message_bytes: int = 65_536
    max_behind: int = 1_000
    send_s: float = 10.0
    messages_per_s: float = 20.0
    message_burst: int = 40
    auth_s: float = 5.0
    max_subscribers: int = 100


class Verdict(Struct, frozen=True):
    """Why a connection ends: the label of the counter, the close code and its reason."""

    label: str
    code: int
    reason: str


SLOW = Verdict("slow", 4008, "too slow: resume with from_seq")
PRUNED = Verdict("pruned", 4008, "overtaken by pruning: resume with from_seq")
BAD_TOKEN = Verdict("unauthorized", 4001, "bad token")
NO_TOKEN = Verdict("unauthorized", 4001, "no token in time")
FLOOD = Verdict("rate_limited", 4029, "too many requests")
BINARY = Verdict("bad_data", 1003, "text JSON only")
FULL = Verdict("full", 1013, "too many subscribers, try again later")
STOPPING = Verdict("stopping", 1001, "going away")  # the one that is no fault of anybody
CLOSES = (SLOW, PRUNED, BAD_TOKEN, NO_TOKEN, FLOOD, BINARY, FULL)


class TokenCheck(Protocol):
    """Whether a token is one of ours; takes the same time for every wrong one."""

    def __call__(self, token: str) -> bool: ...


class _Signals:
    """A subscription to signals: ``cursor`` is the next ``seq`` to look at, ``live_from`` the first not replayed."""

    __slots__ = ("cursor", "live_from", "wanted")

    def __init__(self, wanted: Filter, cursor: int, live_from: int) -> None:
        self.wanted = wanted
        self.cursor = cursor
        self.live_from = live_from


class _State:
    """A subscription to metrics or status; ``first`` is what is said before any increment."""

    __slots__ = ("first", "reader", "wanted")

    def __init__(self, wanted: Filter, reader: Reader, first: list[bytes]) -> None:
        self.wanted = wanted
        self.reader = reader
        self.first = first


class Subscriber:
    """Lives as long as its connection. :meth:`serve` is its life, :meth:`wake` is called when there may be news."""

    def __init__(
        self, connection: ServerConnection, journal: Journal, hub: Hub, limits: Limits, check: TokenCheck | None
    ) -> None:
        self._connection = connection
        self._journal = journal
        self._hub = hub
        self._limits = limits
        self._check = check  # None: everybody is welcome
        self._authorized = check is None
        self._signals: _Signals | None = None
        self._metrics: _State | None = None
        self._status: _State | None = None
        self._outbox: deque[bytes] = deque()
        self._wake = asyncio.Event()
        self._blocked = False
        self._finishing = False
        self._verdict: Verdict | None = None
        self._ended = asyncio.Event()
        self._tokens = float(limits.message_burst)
        self._refilled_at = time.monotonic()
        self._handlers: dict[type[Request], Callable[..., None]] = {
            Subscribe: self._subscribe,
            Unsubscribe: self._unsubscribe,
            Ping: self._ping,
            Auth: self._auth,
        }

    async def serve(self, welcome: bytes, *, authorized: bool) -> Verdict | None:
        """Talk until either side has enough; the verdict to close with if it was us."""
        self._authorized = self._authorized or authorized
        self._outbox.append(welcome)
        self._wake.set()
        tasks = [asyncio.create_task(work) for work in (self._read(), self._write(), self._end())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            if (fault := task.exception()) and not isinstance(fault, ConnectionClosed):
                raise fault
        return self._verdict

    def wake(self) -> None:
        """There may be news. A reader whose socket is full and who is too far behind ends here."""
        self._wake.set()
        if self._blocked and self._signals is not None:
            behind = self._journal.last_seq + 1 - max(self._signals.cursor, self._signals.live_from)
            if behind > self._limits.max_behind:
                self._drop(SLOW)

    def finish(self) -> None:
        """Send what there is, say goodbye; the server closes with 1001 afterwards."""
        self._finishing = True
        self._wake.set()

    async def _read(self) -> None:
        async for received in self._connection:
            if not self._may_speak():
                return self._drop(FLOOD)
            if isinstance(received, bytes):
                return self._drop(BINARY)
            try:
                self._answer(parse_request(received))
            except BadRequest as exc:
                self._say(error_message(exc.code, str(exc), exc.request_id))
        return None

    def _may_speak(self) -> bool:
        """A token bucket: ``messages_per_s`` in the long run, ``message_burst`` at once."""
        now = time.monotonic()
        gained = (now - self._refilled_at) * self._limits.messages_per_s
        self._tokens = min(self._limits.message_burst, self._tokens + gained)
        self._refilled_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def _answer(self, request: Request) -> None:
        if not self._authorized and isinstance(request, Subscribe | Unsubscribe):
            raise BadRequest("unauthorized", "say `auth` with a token first", request.id)
        self._handlers[type(request)](request)

    def _subscribe(self, request: Subscribe) -> None:
        wanted = Filter(request.kinds, request.instruments)
        if request.channel == "signals":
            self._subscribe_signals(request, wanted)
            return
        if request.from_seq is not None:
            raise BadRequest("bad_request", f"channel {request.channel} has no from_seq - `$.from_seq`", request.id)
        reader = self._hub.reader()
        if request.channel == "metrics":
            self._metrics = _State(wanted, reader, [])
        else:
            self._status = _State(wanted, reader, self._hub.statuses_now())
        self._say(message("subscribed", request.id, channel=request.channel, epoch=self._journal.epoch))

    def _subscribe_signals(self, request: Subscribe, wanted: Filter) -> None:
        journal = self._journal
        oldest, following = journal.oldest_seq, journal.last_seq + 1
        cursor, recovered = following, True
        if request.from_seq is not None:
            same_life = request.epoch is None or request.epoch == journal.epoch
            # Nothing is lost by asking for less than 1 of a journal that still has its first signal.
            recovered = same_life and max(1, request.from_seq) >= oldest and request.from_seq <= following
            cursor = max(1, request.from_seq) if recovered else oldest
        self._signals = _Signals(wanted, cursor, following)
        self._say(
            message(
                "subscribed",
                request.id,
                channel="signals",
                epoch=journal.epoch,
                next_seq=following,
                oldest_seq=oldest,
                recovered=recovered,
            )
        )

    def _unsubscribe(self, request: Unsubscribe) -> None:
        setattr(self, f"_{request.channel}", None)
        self._say(message("unsubscribed", request.id, channel=request.channel))

    def _ping(self, request: Ping) -> None:
        self._say(message("pong", request.id, ts_ns=time.time_ns()))

    def _auth(self, request: Auth) -> None:
        if self._check is not None and not self._check(request.token):
            self._drop(BAD_TOKEN)
            return
        self._authorized = True
        self._say(message("authenticated", request.id))

    def _say(self, text: bytes) -> None:
        self._outbox.append(text)
        self._wake.set()

    async def _write(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._outbox:  # answers first: an acknowledgement stands before its data
                await self._send(self._outbox.popleft())
            more = await self._write_signals()
            await self._write_status()
            await self._write_metrics()
            if more or self._outbox:
                self._wake.set()
                await asyncio.sleep(0)  # a long replay must not keep the others waiting
            elif self._finishing:
                await self._send(message("goodbye", None))
                return self._drop(STOPPING)

    async def _write_signals(self) -> bool:
        """One step; True if the journal holds more."""
        subscription = self._signals
        if subscription is None:
            return False
        if subscription.cursor < self._journal.oldest_seq:
            self._drop(PRUNED)
            return False
        for entry in self._journal.read(subscription.cursor, READ_ENTRIES):
            if subscription.wanted.passes(entry.kind, entry.venue, entry.instrument):
                await self._send(data_message("signals", entry.text))
            if self._signals is not subscription:  # replaced or ended while we waited; its answer comes next
                return True
            subscription.cursor = entry.seq + 1
        return subscription.cursor <= self._journal.last_seq

    async def _write_status(self) -> None:
        subscription = self._status
        if subscription is None:
            return
        texts = subscription.first + subscription.reader.take_statuses()
        subscription.first = []
        subscription.reader.commit()
        if subscription.reader.missed:  # a transition of trust was lost: better no stream than a wrong one
            self._drop(SLOW)
            return
        for text in texts:
            await self._send(data_message("status", text))

    async def _write_metrics(self) -> None:
        subscription = self._metrics
        if subscription is None:
            return
        wanted = subscription.wanted
        states = subscription.reader.take(lambda s: wanted.passes_instrument(s.venue, s.instrument))
        subscription.reader.commit()
        for state in states:
            await self._send(data_message("metrics", state.text()))

    async def _send(self, text: bytes) -> None:
        # `send` returns at once unless the socket is full, so whoever sees `_blocked` sees a full socket.
        self._blocked = True
        try:
            async with asyncio.timeout(self._limits.send_s):
                await self._connection.send(text, text=True)
        except TimeoutError:
            self._drop(SLOW)
        finally:
            self._blocked = False

    async def _end(self) -> None:
        """Until dropped; who may not stay without a token must bring it in time."""
        try:
            async with asyncio.timeout(None if self._authorized else self._limits.auth_s):
                await self._ended.wait()
        except TimeoutError:
            if self._authorized:
                await self._ended.wait()
            else:
                self._drop(NO_TOKEN)

    def _drop(self, verdict: Verdict) -> None:
        if self._verdict is None:
            self._verdict = verdict
        self._ended.set()
