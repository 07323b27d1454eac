"""What the connector promises, on virtual time: commands carried out, and what happens turned into frames.

The same arithmetic as the connector's (``backoff.py``): attempts with full jitter, the venue's message rate strictly, a
weight budget, obedience to 418 and 429, one call per address at a time, receive times that never run backwards. What
waits there in a task waits here on the stage.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from imbalanced.backoff import Backoff, Pace, Weight
from imbalanced.connector import ConnectorOptions
from imbalanced.events import Frame
from imbalanced.sim.worlds.stage import S
from imbalanced.venues.codec import Close, Fetch, Open, Reconnect, Send, Wake

if TYPE_CHECKING:
    from collections.abc import Callable

    from imbalanced.events import FrameKind
    from imbalanced.sim.worlds.exchange import Answered, Exchange
    from imbalanced.sim.worlds.network import Shown, Socket
    from imbalanced.sim.worlds.stage import Stage
    from imbalanced.venues.codec import Command, Limits

OPTIONS = ConnectorOptions()
HANDSHAKE_NS = 150_000_000
CALL_WAY_NS = 40_000_000
TIMER_LOOKS_NS = 60 * S  # a timer looks at the wall clock again at least so often


class Link:
    """One socket of the venue in all its lives."""

    def __init__(self, hands: Hands, conn: int, url: str) -> None:
        self.conn = conn
        self.url = url
        self.socket: Socket | None = None
        self._hands = hands
        self._stage = hands.stage
        self._backoff = Backoff(
            OPTIONS.backoff_first_s, OPTIONS.backoff_cap_s, OPTIONS.stable_s, hands.stage.rng.random
        )
        rate = hands.limits.messages_per_s
        count = max(int(rate), 1)
        self._pace = Pace(count, OPTIONS.send_margin * max(1.0, 1 / rate))
        self._keep = 1 if count > 1 else 0
        self._queue: deque[str] = deque()
        self._pumping = False
        self._why = ""
        self._planned = False
        self._over = False  # closed for good
        self._opened_ns = 0
        self._connect()

    def reconnect(self, url: str, reason: str, *, planned: bool) -> None:
        """Close, and open ``url`` next. Where there is nothing to close, an attempt is under way or due anyway."""
        self.url = url
        if self.socket is not None and not self._why:
            self._why, self._planned = reason, planned
            self.socket.close()

    def close(self, reason: str) -> None:
        """For good."""
        self._over = True
        self.reconnect(self.url, reason, planned=True)

    def send(self, text: str) -> None:
        """In the queue of this life of the socket."""
        if self.socket is None or self._why:
            return
        if len(self._queue) >= OPTIONS.send_queue:
            self.reconnect(self.url, "send_queue_full", planned=False)
            return
        self._queue.append(text)
        if not self._pumping:
            self._pump(self.socket)

    def message(self, data: bytes, told: Shown | None) -> None:
        """From the socket."""
        if not self._why:
            self._hands.give("ws", self.conn, data, told=told)

    def closed(self, code: int, reason: str) -> None:
        """The socket is over; the next attempt is due."""
        reason = self._why or reason
        self.socket = None
        self._queue.clear()
        self._hands.give("close", self.conn, f"{reason} {code}".encode())
        self._backoff.lived((self._stage.now_ns - self._opened_ns) / S)
        pause_s = 0.0 if self._planned else self._backoff.next_s()
        self._planned, self._why = False, ""
        self._stage.after(int(pause_s * S), self._connect)

    def _connect(self) -> None:
        if self._over:
            return
        now_s = self._stage.now_ns / S
        wait_s = self._hands.connects.wait_s(now_s)
        if wait_s > 0:
            self._stage.after(int(wait_s * S) + 1, self._connect)
            return
        self._hands.connects.act(now_s)
        self._stage.after(HANDSHAKE_NS, self._handshake, self.url)

    def _handshake(self, url: str) -> None:
        if self._over:
            return
        exchange = self._hands.exchange
        socket = None if exchange.down or exchange.refusing_s else exchange.connect(self, url)
        if socket is None:
            pause_s = max(self._backoff.next_s(), exchange.refusing_s)
            self._stage.after(int(pause_s * S), self._connect)
            return
        self.socket, self._opened_ns, self._why = socket, self._stage.now_ns, ""
        self._hands.opened(self.conn)
        self._hands.give("open", self.conn, url=url)
        socket.begin()
        if self.url != url:
            self.reconnect(self.url, "url_changed", planned=True)

    def _pump(self, socket: Socket) -> None:
        self._pumping = False
        while self._queue and self.socket is socket:
            now_s = self._stage.now_ns / S
            wait_s = self._pace.wait_s(now_s, self._keep)
            if wait_s > 0:
                self._pumping = True
                self._stage.after(int(wait_s * S) + 1, self._pump, socket)
                return
            self._pace.act(now_s)
            socket.send(self._queue.popleft())


class Hands:
    """One venue's links, calls and timer. ``feed`` takes a frame; ``opened`` hears of every socket that was opened."""

    def __init__(
        self,
        exchange: Exchange,
        limits: Limits,
        feed: Callable[[Frame, Shown | None], None],
        opened: Callable[[int], None],
    ) -> None:
        self.exchange = exchange
        self.stage: Stage = exchange.stage
        self.venue = exchange.venue.id
        self.limits = limits
        self.opened = opened
        self.links: dict[int, Link] = {}
        self.connects = Pace(OPTIONS.connects, OPTIONS.connects_window_s)
        self._feed = feed
        self._last_ns = 0
        self._alarm = Alarm(self.stage, self.clock_ns, TIMER_LOOKS_NS, lambda at_ns: self.give("wake", 0))
        self._calling: set[str] = set()
        self._calls: deque[Fetch] = deque()
        self._slots = OPTIONS.rest.concurrency
        self._weight = Weight(limits.weight_per_min)
        self._stopped_until_s = 0.0
        self._serving = False

    def clock_ns(self) -> int:
        """Now by the wall, and never before a time that was given already."""
        self._last_ns = max(self._last_ns, self.stage.wall_ns())
        return self._last_ns

    def give(
        self,
        kind: FrameKind,
        conn: int,
        data: bytes = b"",
        *,
        url: str = "",
        status: int = 200,
        told: Shown | None = None,
    ) -> None:
        """A frame of now."""
        self._feed(Frame(self.clock_ns(), self.venue, conn, kind, data, url, status), told)

    def execute(self, command: Command) -> None:
        """Begin to do it. Never feeds before it returns."""
        if isinstance(command, Wake):
            self._alarm.set(command.at_ns)
        elif isinstance(command, Send):
            link = self.links.get(command.conn)
            if link is not None:
                link.send(command.data)
        elif isinstance(command, Fetch):
            if command.url not in self._calling:
                self._calling.add(command.url)
                self._calls.append(command)
                self.stage.after(0, self._serve)
        else:
            self._link(command)

    def _link(self, command: Open | Reconnect | Close) -> None:
        known = self.links.get(command.conn)
        if isinstance(command, Close):
            if known is not None:
                self.links.pop(command.conn).close(command.reason)
        elif known is None:
            self.links[command.conn] = Link(self, command.conn, command.url)
        elif isinstance(command, Reconnect):
            known.reconnect(command.url, command.reason, planned=command.planned)
        elif known.url != command.url:
            known.reconnect(command.url, "url_changed", planned=True)

    # -- calls ---------------------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        """Calls in the order in which they came, when the budget allows them."""
        while self._calls and self._slots and not self._serving:
            now_s = self.stage.now_ns / S
            stopped_s = self._stopped_until_s - now_s
            call = self._calls[0]
            wait_s = max(stopped_s, self._weight.wait_s(now_s, call.weight))
            if 0 < wait_s <= OPTIONS.rest.wait_s:
                self._serving = True
                self.stage.after(int(wait_s * S) + 1, self._served)
                return
            self._calls.popleft()
            if wait_s > 0:
                why = "the venue asked to wait" if stopped_s > 0 else "weight budget used up"
                self._answered(call, 0, f"not sent: {why}, {wait_s:.0f} s to go".encode())
            else:
                self._weight.spend(now_s, call.weight)
                self._slots -= 1
                self.stage.after(CALL_WAY_NS, self._ask, call)

    def _served(self) -> None:
        self._serving = False
        self._serve()

    def _ask(self, call: Fetch) -> None:
        answer: Answered = self.exchange.answer(call.url, call.method)
        timeout_ns = int(OPTIONS.rest.timeout_s * S)
        if answer.after_ns + 2 * CALL_WAY_NS >= timeout_ns:
            why = f"timeout: no answer within {OPTIONS.rest.timeout_s:g} s".encode()
            self.stage.after(timeout_ns - CALL_WAY_NS, self._heard, call, 0, why, 0.0)
        else:
            after_ns = CALL_WAY_NS + answer.after_ns
            self.stage.after(after_ns, self._heard, call, answer.status, answer.body, answer.retry_after_s)

    def _heard(self, call: Fetch, status: int, body: bytes, retry_after_s: float) -> None:
        self._slots += 1
        if status in (418, 429):
            until_s = self.stage.now_ns / S + (retry_after_s or OPTIONS.rest.stop_s)
            self._stopped_until_s = max(self._stopped_until_s, until_s)
        self._answered(call, status, body)
        self._serve()

    def _answered(self, call: Fetch, status: int, body: bytes) -> None:
        self._calling.discard(call.url)
        self.give("http", 0, body, url=call.url, status=status)


class Alarm:
    """One timer on a wall clock that may be set: it looks at the clock again now and then. A later time replaces."""

    def __init__(self, stage: Stage, clock_ns: Callable[[], int], looks_ns: int, ring: Callable[[int], None]) -> None:
        self._stage = stage
        self._clock_ns = clock_ns
        self._looks_ns = looks_ns
        self._ring = ring
        self._at_ns: int | None = None
        self._due_ns: int | None = None
        self._life = 0

    def set(self, at_ns: int) -> None:
        """Ring then."""
        self._at_ns = at_ns
        if self._due_ns is None or at_ns < self._due_ns:
            self._arm(at_ns)

    def _arm(self, at_ns: int) -> None:
        self._life += 1
        self._due_ns = at_ns
        self._stage.after(min(max(at_ns - self._clock_ns(), 0), self._looks_ns), self._go_off, self._life)

    def _go_off(self, life: int) -> None:
        if life != self._life or self._at_ns is None:
            return
        self._due_ns = None
        at_ns = self._at_ns
        if self._clock_ns() < at_ns:
            self._arm(at_ns)
            return
        self._at_ns = None
        self._ring(at_ns)
