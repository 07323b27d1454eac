"""One websocket client of a simulated venue: its conversation, its bounded queue, its pings and its end.

Carries out what `faults.py` decides and what the venue's `Limits` demand. A client that reads slower than its queue
fills is cut, as exchanges do; a half-open one keeps its socket and is never answered again.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Protocol

from aiohttp import WSMsgType, web

from imbalanced.sim.faults import Rule, seconds
from imbalanced.sim.venue import Close, Command, Desk, Frame, Limits, Send, Tell

QUEUE_FRAMES = 10_000
FAIR_FRAMES = 64  # a sender lets the others run after so many frames
ABNORMAL = 1006  # never on the wire: the connection is cut
_LOOK_S = 0.05  # how often a half-open link looks whether its peer has gone, seconds


@dataclass(frozen=True, slots=True)
class _Pause:
    seconds: float


@dataclass(frozen=True, slots=True)
class Terms:
    """The venue's limits and how much faster than real its clock runs."""

    limits: Limits
    time_scale: float


class Landlord(Protocol):
    """The venue's house, as a client sees it."""

    def now_ms(self) -> int:
        """Market time."""
        ...

    def subscribed(self, client: Client) -> None:
        """Its subscriptions have changed."""
        ...

    def send(self, client: Client, name: str, frame: Frame) -> None:
        """Deliver a frame of a subscription, with the faults that hit it."""
        ...


class Client:
    """`serve()` runs the connection to its end; `deliver()` is called for every frame of a subscribed stream."""

    def __init__(self, desk: Desk, terms: Terms, house: Landlord) -> None:
        self.desk = desk
        self.half_open = False
        self.end = ""  # why the connection ended, once it has
        self.gone = asyncio.Event()
        self._terms = terms
        self._house = house
        self._queue: deque[str | _Pause | Close] = deque()
        self._filled = asyncio.Event()
        self._held: dict[str, str] = {}
        self._ws = web.WebSocketResponse(autoping=False, autoclose=False, compress=False, timeout=1.0)
        self._transport: asyncio.BaseTransport | None = None
        self._inbound: deque[float] = deque()
        self._asked: dict[bytes, float] = {}  # pings not answered yet, by payload

    @property
    def queued(self) -> int:
        return len(self._queue)

    # --- frames out

    def deliver(self, name: str, frame: Frame, rules: Sequence[Rule]) -> None:
        text = self.desk.envelope(name, frame)
        if not text:
            return
        if not rules:
            self._push_in_order(name, text)
            return
        copies = 1
        for rule in rules:
            if rule.fault in ("drop", "silent"):
                copies = 0
            elif rule.fault == "duplicate":
                copies += 1
            elif rule.fault == "delay":
                self._push(_Pause(seconds(rule.by)))
            elif rule.fault == "garbage":
                self._push(rule.data)
            elif rule.fault == "half_open":
                self.half_open = True
            elif rule.fault == "close":
                self.close(rule.code, rule.reason)
            elif rule.fault == "checksum":
                text = self.desk.spoil(text)
            elif rule.fault == "reorder" and copies:
                self._held[name] = text
                copies = 0
        for _ in range(copies):
            self._push_in_order(name, text)

    def close(self, code: int, reason: str = "") -> None:
        """Everything queued so far goes out first; ABNORMAL cuts at once."""
        self.end = self.end or f"{code} {reason}".strip()
        if code == ABNORMAL:
            self.abort()
        else:
            self._push(Close(code, reason))

    def abort(self) -> None:
        """Cut the connection without a word."""
        if isinstance(self._transport, asyncio.WriteTransport):
            self._transport.abort()

    def _push_in_order(self, name: str, text: str) -> None:
        """A frame held back by `reorder` follows the next one of its stream."""
        self._push(text)
        if self._held:
            held = self._held.pop(name, None)
            if held is not None:
                self._push(held)

    def _push(self, item: str | _Pause | Close) -> None:
        if len(self._queue) >= QUEUE_FRAMES:
            self.end = self.end or "slow client"
            self.abort()
            return
        self._queue.append(item)
        self._filled.set()

    # --- the connection

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        await self._ws.prepare(request)
        self._transport = request.transport
        self._house.subscribed(self)
        self._do(self.desk.opened(self._house.now_ms()))
        works = (self._read(), self._send(), self._ping(), self._expire(), self._tick())
        loops = [asyncio.create_task(work) for work in works]
        try:
            done, _ = await asyncio.wait(loops, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        except ConnectionError:
            self.end = self.end or "connection lost"
        finally:
            for task in loops:
                task.cancel()
            await asyncio.gather(*loops, return_exceptions=True)
            self.gone.set()
        if self.half_open:
            await self._play_dead()
        return self._ws

    async def _send(self) -> None:
        sent = 0
        while True:
            while self._queue and not self.half_open:
                item = self._queue.popleft()
                if isinstance(item, str):
                    await self._ws.send_str(item)
                    sent += 1
                    if not sent % FAIR_FRAMES:
                        await asyncio.sleep(0)
                elif isinstance(item, _Pause):
                    await asyncio.sleep(item.seconds)
                else:
                    await self._ws.close(code=item.code, message=item.reason.encode())
                    return
            if self.half_open:
                self._queue.clear()
            self._filled.clear()
            await self._filled.wait()

    async def _read(self) -> None:
        while True:
            message = await self._ws.receive()
            if message.type in (WSMsgType.CLOSED, WSMsgType.CLOSING, WSMsgType.ERROR):
                return
            if self.half_open:
                if message.type is WSMsgType.CLOSE:
                    return
                continue
            if message.type is WSMsgType.CLOSE:
                self.end = self.end or "client closed"
                await self._ws.close()
                return
            if message.type is WSMsgType.PONG and self._asked.pop(bytes(message.data), None) is not None:
                continue  # the answer to our own ping is not held against the client
            if self._too_fast():
                self.close(1008, "Too many requests")
                continue
            if message.type is WSMsgType.PING:
                await self._ws.pong(message.data)
            elif message.type is WSMsgType.TEXT:
                self._answer(message.data)

    def _answer(self, text: str) -> None:
        before = dict(self.desk.subscriptions)
        commands = self.desk.receive(text, self._house.now_ms())
        after = self.desk.subscriptions
        if after != before:
            for name in before.keys() - after.keys():
                self._held.pop(name, None)
            self._house.subscribed(self)
        self._do(commands)

    def _do(self, commands: Sequence[Command]) -> None:
        for command in commands:
            if isinstance(command, Send):
                self._push(command.text)
            elif isinstance(command, Tell):
                self._house.send(self, command.name, command.frame)
            else:
                self.close(command.code, command.reason)

    def _too_fast(self) -> bool:
        """Every inbound frame counts: JSON, PING and unasked PONG."""
        if not self._terms.limits.inbound_per_s:
            return False
        now = monotonic()
        self._inbound.append(now)
        while self._inbound[0] <= now - 1.0:
            self._inbound.popleft()
        return len(self._inbound) > self._terms.limits.inbound_per_s

    async def _ping(self) -> None:
        """PING on schedule; a client whose PONG with the same payload is overdue is cut."""
        limits, scale = self._terms.limits, self._terms.time_scale
        while limits.ping_s:
            await asyncio.sleep(limits.ping_s / scale)
            now = monotonic()
            if self._asked and now - min(self._asked.values()) > limits.pong_s / scale and not self.half_open:
                self.end = self.end or "no pong"
                self.abort()
                return
            if not self.half_open:
                payload = os.urandom(8).hex().encode()
                self._asked[payload] = now
                await self._ws.ping(payload)
        await asyncio.Event().wait()

    async def _tick(self) -> None:
        """What the venue says or does by the clock of the connection."""
        begun, scale = monotonic(), self._terms.time_scale
        while self.desk.tick_ms:
            await asyncio.sleep(self.desk.tick_ms / 1000 / scale)
            if not self.half_open:
                self._do(self.desk.due(int((monotonic() - begun) * 1000 * scale)))
        await asyncio.Event().wait()

    async def _expire(self) -> None:
        """The end of a connection's allowed life, announced where the venue does so."""
        limits, scale = self._terms.limits, self._terms.time_scale
        if not limits.lifetime_s:
            await asyncio.Event().wait()
        await asyncio.sleep((limits.lifetime_s - limits.notice_s) / scale)
        if limits.notice_s and not self.half_open:
            self._push(self.desk.notice(self._house.now_ms()))
            await asyncio.sleep(limits.notice_s / scale)
        self.close(1001, "lifetime")
        await asyncio.Event().wait()

    async def _play_dead(self) -> None:
        """Keep the socket of a half-open link until the peer gives up."""
        gone = False
        while not gone:
            await asyncio.sleep(_LOOK_S)
            gone = self._transport is None or self._transport.is_closing()
