"""The shell around the simulated venues: HTTP and websocket servers on 127.0.0.1, clocks, pacing, orderly stop.

One aiohttp server per venue answers REST and websockets on one port. `start()` is for tests and the demo, `run_cli()`
for the command line. Logic lives in the pure modules; here are sockets, tasks and time.
"""

from __future__ import annotations

import asyncio
import json
import random
import signal
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from aiohttp import web

from imbalanced import sim
from imbalanced.sim import capture, faults
from imbalanced.sim.capture import Capture
from imbalanced.sim.client import FAIR_FRAMES, Client, Terms
from imbalanced.sim.faults import Faults, Injected
from imbalanced.sim.regimes import Regime
from imbalanced.sim.synthetic import SyntheticFeed, TrueBook
from imbalanced.sim.venue import ALL_SYMBOLS, Answer, Feed, Frame, Meter, Request, SimVenue, Stream

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

    def snapshot(self, symbol: str, limit: int, now_ms: int) -> str | None:
        return self._feed.stale_snapshot(symbol, limit, now_ms)


class _House:
    """One venue: its clients, who wants which stream, and the HTTP side."""

    def __init__(self, venue: SimVenue, feed: SyntheticFeed | Capture, options: Options, troubles: _Troubles) -> None:
        self.venue = venue
        self.feed = feed
        self.clients: set[Client] = set()
        self.frozen = False
        self._stepping = asyncio.Lock()
        self._options = options
        self._troubles = troubles
        self._clock = _Clock(options.speed if isinstance(feed, SyntheticFeed) else 1.0)
        self._meter = Meter(venue.limits.weight_per_minute, 60_000 / options.time_scale)
        self._wanted: dict[Stream, dict[Client, str]] = {}
        self._subscribed_at = 0.0
        self._subscribed = asyncio.Event()

    # --- clients

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() != "websocket":
            return _response(self._rest(Request(request.path, dict(request.query))))
        desk = self.venue.connect(request.path, dict(request.query))
        if desk is None:
            return web.Response(status=404)
        terms = Terms(self.venue.limits, self._options.time_scale)
        client = Client(desk, terms, self._index, lambda: desk.notice(self._clock.now_ms()))
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

    def _index(self, client: Client) -> None:
        """Note anew which flows this client is served from; one flow reaches a client once."""
        self._forget(client)
        for name, stream in client.desk.subscriptions.items():
            flow = self.feed.resolve(stream) if stream is not None else None
            if flow is None:
                continue
            self._wanted.setdefault(flow, {}).setdefault(client, name)
            books = not isinstance(self.feed, Capture) or self.feed.has_books
            if flow.kind == "depth" or not books:
                self._subscribed.set()
        self._subscribed_at = time.monotonic()

    # --- frames

    def publish(self, frame: Frame) -> None:
        for stream in (frame.stream, Stream(ALL_SYMBOLS, frame.stream.kind, frame.stream.interval_ms)):
            for client, name in tuple(self._wanted.get(stream, {}).items()):
                client.deliver(name, frame, self._troubles.on_frame(self.venue.id, name))

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
        """A burst in portions, so that the senders keep up with it and only real laggards are cut."""
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


class _Clock:
    """Market time, ms since the epoch: wall time at the start, then `speed` times as fast."""

    def __init__(self, speed: float) -> None:
        self._begun_ms = time.time() * 1000
        self._begun = time.monotonic()
        self._speed = speed or 1.0

    def now_ms(self) -> int:
        return int(self._begun_ms + (time.monotonic() - self._begun) * 1000 * self._speed)


class _Troubles:
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


class Running:
    """A running simulation. Made by `start()`."""

    def __init__(self, houses: dict[str, _House], troubles: _Troubles) -> None:
        self.endpoints: dict[str, dict[str, str]] = {}
        self._houses = houses
        self._troubles = troubles
        self._runners: list[web.AppRunner] = []
        self._driver: asyncio.Task[None] | None = None

    @property
    def injected(self) -> list[Injected]:
        """Every fault that struck, in order."""
        return self._troubles.faults.injected

    def inject(self, fault: dict[str, object]) -> None:
        """Arm one more fault, written as in a faults file; its `at` counts from now. FaultError if it is wrong."""
        self._troubles.faults.add(faults.rule(fault), self._troubles.now_s())

    def clear_faults(self) -> None:
        """Disarm all faults and end the lasting ones."""
        self._troubles.faults.clear()

    async def freeze(self) -> None:
        """Stop all synthetic markets with every book stream level with its true book."""
        for house in self._houses.values():
            await house.freeze()

    def thaw(self) -> None:
        for house in self._houses.values():
            house.frozen = False

    def true_book(self, venue: str, symbol: str) -> TrueBook:
        """The oracle of a synthetic market, by the venue's or the unified symbol. KeyError when not simulated."""
        return self._synthetic(venue).true_book(symbol)

    def planted(self, venue: str, symbol: str) -> list[Regime]:
        """The episodes planted so far (kind, start_ms, end_ms, side), on the market's clock."""
        return self._synthetic(venue).planted(symbol)

    def clients(self, venue: str) -> list[Client]:
        return list(self._houses[venue].clients)

    def _synthetic(self, venue: str) -> SyntheticFeed:
        feed = self._houses[venue].feed
        if not isinstance(feed, SyntheticFeed):
            raise KeyError(f"{venue} plays a recording, it has no true book")
        return feed

    async def open(self, port_base: int) -> None:
        for number, (name, house) in enumerate(self._houses.items()):
            app = web.Application()
            app.router.add_get("/{path:.*}", house.handle)
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
            await runner.setup()
            self._runners.append(runner)
            await web.TCPSite(runner, "127.0.0.1", port_base + number if port_base else 0).start()
            port = runner.addresses[0][1]
            self.endpoints[name] = {"rest": f"http://127.0.0.1:{port}", "ws": f"ws://127.0.0.1:{port}"}
        self._driver = asyncio.create_task(self._drive(), name="sim")

    async def _drive(self) -> None:
        async with asyncio.TaskGroup() as group:
            for house in self._houses.values():
                group.create_task(house.drive())
            await asyncio.Event().wait()

    async def wait(self) -> None:
        """Until the simulation dies of an error, which is raised, or is stopped."""
        driver = self._driver
        if driver is not None:
            await asyncio.wait([driver])
            if not driver.cancelled():
                driver.result()

    async def stop(self) -> None:
        """Close every client and server; nothing is left running. Raises what the simulation died of, if it did."""
        driver, self._driver = self._driver, None
        if driver is not None:
            driver.cancel()
            await asyncio.wait([driver])
        for house in self._houses.values():
            house.close()
        await asyncio.gather(*(runner.cleanup() for runner in self._runners))
        self._runners.clear()
        if driver is not None and not driver.cancelled():
            driver.result()


async def start(options: Options) -> Running:
    """Simulated venues that listen when this returns. ValueError (FaultError, CaptureError) on wrong options."""
    rng = random.Random(options.seed)
    if options.random_faults:
        drawn = faults.random_rules(rng, options.venues or ("*",))
        options = _with_faults(options, drawn)
    troubles = _Troubles(options, random.Random(rng.getrandbits(64)))
    running = Running(_houses(options, rng, troubles), troubles)
    try:
        await running.open(options.port_base)
    except OSError:
        await running.stop()
        raise
    return running


def _with_faults(options: Options, more: Iterable[faults.Rule]) -> Options:
    return replace(options, faults=(*options.faults, *more))


def _houses(options: Options, rng: random.Random, troubles: _Troubles) -> dict[str, _House]:
    feeds: dict[str, Capture] = {}
    if options.capture is not None:
        feeds = capture.load(options.capture, sim.SIMS)
    names = options.venues or tuple(feeds)
    if not names:
        raise ValueError(f"no venue given; there are {', '.join(sim.SIMS)}")
    houses: dict[str, _House] = {}
    for name in names:
        if name not in sim.SIMS:
            raise ValueError(f"venue {name!r} has no simulator, only {', '.join(sim.SIMS)}")
        if options.capture is not None and name not in feeds:
            raise ValueError(f"{options.capture.name} has nothing of {name}, only of {', '.join(feeds)}")
        feed = feeds[name] if feeds else _synthetic(name, options, rng)
        houses[name] = _House(sim.SIMS[name], feed, options, troubles)
    return houses


def _synthetic(name: str, options: Options, rng: random.Random) -> SyntheticFeed:
    venue = sim.SIMS[name]
    start_ms = int(time.time() * 1000)
    return SyntheticFeed(venue.wire, venue.listings(options.symbols), random.Random(rng.getrandbits(64)), start_ms)


def _response(answer: Answer) -> web.Response:
    return web.Response(
        status=answer.status, text=answer.text, headers=dict(answer.headers), content_type="application/json"
    )


async def run_cli(options: Options) -> int:
    """Simulate until SIGTERM or SIGINT; one JSON line on stdout when all venues listen. Returns the exit code."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    running = await start(options)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    try:
        sys.stdout.write(json.dumps({"venues": running.endpoints}) + "\n")
        sys.stdout.flush()
        ends = [asyncio.create_task(stopped.wait()), asyncio.create_task(running.wait())]
        done, rest = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for task in rest:
            task.cancel()
        for task in done:
            task.result()
        return 0
    finally:
        await running.stop()
