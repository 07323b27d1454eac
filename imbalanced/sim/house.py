"""One simulated venue at work: its clients, who gets which flow, its HTTP side, its market or recording, its faults.

Sockets are `client.py`'s, listening and the end of it all `server.py`'s. Market time and pacing are here.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from imbalanced.sim import faults
from imbalanced.sim.capture import Capture
from imbalanced.sim.client import FAIR_FRAMES, Client, Terms
from imbalanced.sim.faults import Faults
from imbalanced.sim.synthetic import SyntheticFeed
from imbalanced.sim.venue import ALL_SYMBOLS, BOOKS, Answer, Feed, Frame, Meter, Request, SimVenue, Stream

DEFAULT_SYMBOLS = ("BTC/USDT", "ETH/USDT", "SOL/USDT")
STEP_S = 0.01  # the synthetic markets move this often
QUIET_S = 0.5  # a recording starts when subscriptions have been quiet for so long
PATIENCE_S = 10.0  # a recording waits so long for a client that does not read, then cuts it
BACKLOG_FRAMES = 2_000  # a recording waits while a client has more than this queued


@dataclass(frozen=True, slots=True)
class Options:
    """What to simulate. Symbols are unified ones; each venue lists them in its own way."""

    venues: tuple[str, ...] = ()  # empty: those of the capture
    symbols: tuple[str, ...] = DEFAULT_SYMBOLS
    symbols_of: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # by venue, in place of `symbols`
    capture: Path | None = None
    speed: float = 1.0  # of market time; 0 plays a recording as fast as its clients read
    time_scale: float = 1.0  # of pings, lifetimes and the weight minute
    faults: tuple[faults.Rule, ...] = ()
    seed: int | None = None  # the same markets and the same random faults again
    port_base: int = 0  # the first venue's port, the next one has the next; 0 = any free ones
    random_faults: bool = False
    log: Callable[[str], None] = field(default=lambda line: None)


class _Stale:
    """A feed whose snapshots come from before."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self.info, self.listing, self.open_interest = feed.info, feed.listing, feed.open_interest
        self.resolve, self.stale_snapshot = feed.resolve, feed.stale_snapshot
        self.listings, self.begin = feed.listings, feed.begin

    def snapshot(self, symbol: str, limit: int, now_ms: int) -> str | None:
        return self._feed.stale_snapshot(symbol, limit, now_ms)


class House:
    """One venue: its clients, who wants which stream, and the HTTP side."""

    def __init__(self, venue: SimVenue, feed: SyntheticFeed | Capture, options: Options, troubles: Troubles) -> None:
        self.venue = venue
        self.feed = feed
        self.clients: set[Client] = set()
        self.frozen = False
        self._stepping = asyncio.Lock()
        self._options = options
        self._troubles = troubles
        self._clock = _Clock(options.speed if isinstance(feed, SyntheticFeed) else 1.0)
        self._meter = Meter(venue.limits.weight_per_minute, 60_000 / options.time_scale)
        self._wanted: dict[Stream, dict[Client, _Taker]] = {}
        self._round = 0  # of frames that are published together
        self._subscribed_at = 0.0
        self._subscribed = asyncio.Event()

    # --- clients

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() != "websocket":
            body = await request.text()
            return response(self._rest(Request(request.path, dict(request.query), request.method, body, request.host)))
        desk = self.venue.connect(request.path, dict(request.query), self.feed)
        if desk is None:
            return web.Response(status=404)
        client = Client(desk, Terms(self.venue.limits, self._options.time_scale), self)
        self.clients.add(client)
        try:
            return await client.serve(request)
        finally:
            self.clients.discard(client)
            self._forget(client)

    def _rest(self, request: Request) -> Answer:
        feed: Feed = self.feed
        name = self.venue.snapshot_stream(request)
        rule = self._troubles.on_snapshot(self.venue.id, name) if name is not None else None
        if rule is not None and rule.fault == "http":
            headers = {"Retry-After": str(rule.retry_after)} if rule.retry_after else {}
            return Answer(rule.status, "", headers)
        if rule is not None:
            feed = _Stale(feed)
        return self.venue.rest(request, feed, self._meter, self._clock.now_ms())

    def _forget(self, client: Client) -> None:
        for stream in list(self._wanted):
            takers = self._wanted[stream]
            takers.pop(client, None)
            if not takers:
                del self._wanted[stream]

    def subscribed(self, client: Client) -> None:
        """Note anew which flows this client is served from; one flow reaches a client once."""
        before = {flow: takers[client] for flow, takers in self._wanted.items() if client in takers}
        self._forget(client)
        for name, stream in client.desk.subscriptions.items():
            flow = self.feed.resolve(stream) if stream is not None else None
            if flow is None:
                continue
            taker = before.get(flow)
            if taker is None or taker.name not in client.desk.subscriptions:
                taker = _Taker(name, self._round)
            self._wanted.setdefault(flow, {}).setdefault(client, taker)
            books = not isinstance(self.feed, Capture) or self.feed.has_books
            if flow.kind in BOOKS or not books:
                self._subscribed.set()
        self._subscribed_at = time.monotonic()

    # --- frames

    def publish(self, frame: Frame) -> None:
        for stream in (frame.stream, Stream(ALL_SYMBOLS, frame.stream.kind, frame.stream.interval_ms)):
            for client, taker in tuple(self._wanted.get(stream, {}).items()):
                if taker.since != self._round:
                    self.send(client, taker.name, frame)

    def send(self, client: Client, name: str, frame: Frame) -> None:
        rules = self._troubles.on_frame(self.venue.id, name)
        if isinstance(self.feed, SyntheticFeed) and any(rule.fault == "restart" for rule in rules):
            self.feed.restart(frame.stream.symbol)
        client.deliver(name, frame, rules)

    def now_ms(self) -> int:
        return self._clock.now_ms()

    async def drive(self) -> None:
        """Keep the data flowing until cancelled."""
        if isinstance(self.feed, Capture):
            await self._play(self.feed)
        else:
            await self._live(self.feed)

    async def _live(self, feed: SyntheticFeed) -> None:
        while True:
            async with self._stepping:
                if not self.frozen:
                    await self._publish_all(list(feed.advance(self._clock.now_ms(), frozenset(self._wanted))))
            await asyncio.sleep(STEP_S)

    async def _publish_all(self, frames: list[Frame]) -> None:
        """A burst in portions, so that the senders keep up with it and only real laggards are cut.

        Who subscribes meanwhile was told what is in it already, by the first image, and gets nothing of it.
        """
        self._round += 1
        for number, frame in enumerate(frames, 1):
            self.publish(frame)
            if not number % FAIR_FRAMES:
                await asyncio.sleep(0)

    async def freeze(self) -> None:
        """Stop the market and send what was gathered: from now on the streams are level with the true book."""
        async with self._stepping:
            if isinstance(self.feed, SyntheticFeed) and not self.frozen:
                self.frozen = True
                await self._publish_all(list(self.feed.flush(self._clock.now_ms(), frozenset(self._wanted))))

    async def _play(self, tape: Capture) -> None:
        """One run through the recording; afterwards sockets stay open and silent."""
        await self._settled()
        self._troubles.log(f"play {self.venue.id} {', '.join(tape.symbols)}")
        begun, first, played = time.monotonic(), None, 0
        for ts, frame in tape.frames():
            if ts is not None and self._options.speed:
                first = ts if first is None else first
                wait = begun + (ts - first) / self._options.speed - time.monotonic()
                if wait > 0:
                    await asyncio.sleep(wait)
            self._round += 1
            self.publish(frame)
            played += 1
            if not played % FAIR_FRAMES:
                await asyncio.sleep(0)
            if not played % 256:
                await self._let_them_read()
        self._troubles.log(f"played {self.venue.id} frames={played}")

    async def _settled(self) -> None:
        """Until a book is subscribed and no client has changed its subscriptions for a while."""
        await self._subscribed.wait()
        rest = QUIET_S
        while rest > 0:
            await asyncio.sleep(rest)
            rest = self._subscribed_at + QUIET_S - time.monotonic()

    async def _let_them_read(self) -> None:
        """A recording loses nothing: it waits for slow clients, within reason."""
        patience = time.monotonic() + PATIENCE_S
        while slow := [client for client in self.clients if client.queued > BACKLOG_FRAMES]:
            if time.monotonic() > patience:
                for client in slow:
                    client.end = "slow client"
                    client.abort()
                return
            await asyncio.sleep(0.002)

    def close(self) -> None:
        for client in tuple(self.clients):
            if client.half_open:
                client.abort()
            else:
                client.close(1001, "going away")


@dataclass(frozen=True, slots=True)
class _Taker:
    """Under which name a client has a flow, and in which round of frames it asked for it."""

    name: str
    since: int


class _Clock:
    """Market time, ms since the epoch: wall time at the start, then `speed` times as fast."""

    def __init__(self, speed: float) -> None:
        self._begun_ms = time.time() * 1000
        self._begun = time.monotonic()
        self._speed = speed or 1.0

    def now_ms(self) -> int:
        return int(self._begun_ms + (time.monotonic() - self._begun) * 1000 * self._speed)


class Troubles:
    """The faults of all venues on one clock, and the log line of each that struck."""

    def __init__(self, options: Options, rng: random.Random) -> None:
        self.faults = Faults(rng)
        self.log = options.log
        self._begun = time.monotonic()
        for rule in options.faults:
            self.faults.add(rule)

    def now_s(self) -> float:
        return time.monotonic() - self._begun

    def on_frame(self, venue: str, stream: str) -> list[faults.Rule]:
        before = len(self.faults.injected)
        rules = self.faults.on_frame(venue, stream, self.now_s())
        self._tell(before)
        return rules

    def on_snapshot(self, venue: str, stream: str) -> faults.Rule | None:
        before = len(self.faults.injected)
        rule = self.faults.on_snapshot(venue, stream, self.now_s())
        self._tell(before)
        return rule

    def _tell(self, before: int) -> None:
        for hit in self.faults.injected[before:]:
            self.log(hit.line())


def response(answer: Answer) -> web.Response:
    return web.Response(
        status=answer.status, text=answer.text, headers=dict(answer.headers), content_type="application/json"
    )
