"""The daemon: wiring, one task group, an orderly stop. Everything it wires is decided elsewhere."""

from __future__ import annotations

import asyncio
import gc
import random
import signal
import time
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import structlog
from msgspec import structs

from imbalanced import __version__, book, embedded, systemd
from imbalanced.backoff import Backoff
from imbalanced.config import Endpoints
from imbalanced.connector import Connector
from imbalanced.events import (
    BookInvalid,
    BookValid,
    Frame,
    GapKind,
    LinkDown,
    LinkUp,
    Notice,
    ResyncEnded,
    Signal,
    StreamState,
    Suppressed,
)
from imbalanced.instruments import InstrumentsUnavailable
from imbalanced.instruments import load as load_instruments
from imbalanced.journal import Journal
from imbalanced.pipeline import Pipeline
from imbalanced.sinks import SINKS, Hub, JsonlOptions, Outlet, RedisOptions, WebsocketOptions
from imbalanced.sinks.address import is_free
from imbalanced.sinks.meters import Meters
from imbalanced.sinks.prometheus import Prometheus, PrometheusOptions
from imbalanced.sinks.redis import redacted
from imbalanced.status import Status
from imbalanced.tape import Recorder
from imbalanced.transports import DEFAULT, TRANSPORTS
from imbalanced.venues import VENUES
from imbalanced.venues.codec import Wake
from imbalanced.web.backend import UnknownBook
from imbalanced.web.server import HttpOptions, HttpServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from imbalanced.config import Config
    from imbalanced.sinks import Sink

COMPILED = not book.__file__.endswith(".py")
S = 1_000_000_000
PRUNE_EVERY_S = 600.0
LOOP_PROBE_S = 0.5


class Service:
    """One run. ``on_ready_to_use`` is called once everything listens, with the addresses that were really taken."""

    def __init__(self, config: Config, *, announce: Callable[[Service], None] = lambda _: None) -> None:
        self.config = config
        self.log = structlog.get_logger("imbalanced")
        self.status = Status(self)
        self.meters = Meters(config.prometheus.metrics)
        self.prometheus = Prometheus(self.meters, PrometheusOptions(version=__version__, compiled=COMPILED))
        self.hub = Hub()
        self.connectors: dict[str, Connector] = {}
        self.missing: dict[str, str] = dict.fromkeys(config.venues, "instruments not loaded")
        self.outlets: list[Outlet] = []
        self.stopping = False
        self._announce = announce
        self._stop_wanted = asyncio.Event()
        self._recorder: Recorder | None = None
        self._tick: asyncio.TimerHandle | None = None
        self._last_ns = 0
        self._waiting: dict[tuple[str, str], list[asyncio.Future[ResyncEnded]]] = {}
        self._frozen = False
        self.redis_urls: list[str] = []
        self.pipeline: Pipeline
        self.journal: Journal
        self.http: HttpServer

    # -- life ----------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until :meth:`stop` is called or a task dies; everything that was opened is closed."""
        async with AsyncExitStack() as stack:
            simulated = await stack.enter_async_context(embedded.exchanges(self.config))
            redis_url = await stack.enter_async_context(embedded.redis_server(self.config))
            self._take_addresses(simulated)
            self.journal = Journal.open(self.config.journal.path, self.config.journal.keep_s * S)
            stack.callback(self.journal.close)
            self._close_what_a_crash_left()
            self.pipeline = Pipeline(self.config)
            if self.config.record is not None:
                self._recorder = Recorder(Path(self.config.record.dir), self.config.record.rotate_s * S)
                stack.callback(self._recorder.close)
            self._declare()
            self._make_outlets(redis_url)
            await self._serve()

    async def _serve(self) -> None:
        config = self.config
        self.http = HttpServer(
            self.status,
            HttpOptions(
                host=config.http.host, port=config.http.port, token=config.http.token, stream_port=config.stream.port
            ),
        )
        async with asyncio.TaskGroup() as tasks:
            await self.http.start()
            outlets = [tasks.create_task(outlet.run(), name=outlet.name) for outlet in self.outlets]
            for venue in config.venues:
                self.connectors[venue] = self._connector(venue)
                tasks.create_task(self.connectors[venue].run(), name=venue)
            chores = [
                tasks.create_task(self._instruments(venue), name=f"{venue} instruments") for venue in config.venues
            ]
            chores += [tasks.create_task(self._housekeeping()), tasks.create_task(self._watch_loop())]
            self._announce(self)
            systemd.notify("READY=1")
            try:
                await self._stop_wanted.wait()
            finally:
                await self._wind_down(outlets, chores)

    def stop(self) -> None:
        """Begin the orderly stop."""
        self._stop_wanted.set()

    async def _wind_down(self, outlets: list[asyncio.Task[None]], chores: list[asyncio.Task[None]]) -> None:
        """Not ready first; then the last word on every signal; then links, sinks, server, within ``shutdown_s``."""
        self.log.info("stopping")
        systemd.notify("STOPPING=1")
        self.status.stopping = True
        deadline = asyncio.get_running_loop().time() + self.config.shutdown_s * 0.8
        for chore in chores:
            chore.cancel()
        if self._tick is not None:
            self._tick.cancel()
        self.feed(Frame(self._now_ns(), "", 0, "stop", b""))
        self.stopping = True
        await asyncio.gather(*(connector.stop() for connector in self.connectors.values()))
        for outlet in self.outlets:
            outlet.finish()
        left = max(deadline - asyncio.get_running_loop().time(), 0.1)
        _, late = await asyncio.wait(outlets, timeout=left)
        for task in late:
            self.log.warning("sink_not_drained", sink=task.get_name())
            task.cancel()
        await self.http.stop()
        self.log.info("stopped", last_seq=self.journal.last_seq)

    # -- what is wired -------------------------------------------------------------------------------------------------

    def _take_addresses(self, simulated: dict[str, dict[str, str]]) -> None:
        """Point venues at their simulations. A demo moves away from a port that is taken; a real run says so and ends."""
        config = self.config
        venues = {
            name: structs.replace(venue, endpoints=Endpoints(**simulated[name])) if name in simulated else venue
            for name, venue in config.venues.items()
        }
        http, stream = config.http, config.stream
        if config.sim is not None:
            if not is_free(http.host, http.port):
                http = structs.replace(http, port=0)
            if not is_free(stream.host, stream.port):
                stream = structs.replace(stream, port=free_port(stream.host))
        self.config = structs.replace(config, venues=venues, http=http, stream=stream)

    def _close_what_a_crash_left(self) -> None:
        """A run that died could not close its signals: they are closed now, before any new one."""
        left = self.journal.open_signals()
        if left:
            now_ns = time.time_ns()
            closed = [structs.replace(one, event="close", reason="shutdown", recv_ns=now_ns, seq=0) for one in left]
            self.journal.append(closed)
            self.log.warning("closed_after_crash", count=len(closed))

    def _declare(self) -> None:
        config = self.config
        self.meters.declare(
            books=[
                (name, symbol)
                for name, venue in config.venues.items()
                if isinstance(venue.instruments, tuple)
                for symbol in venue.instruments
            ],
            venues=list(config.venues),
            channels=[(venue, "book") for venue in config.venues],
            kinds=sorted({spec.kind for venue in config.venues for spec in config.detectors_of(venue)}),
            filters=sorted({name for venue in config.venues for name in config.filters_of(venue)}),
        )

    def _make_outlets(self, redis_url: str | None) -> None:
        config = self.config
        stream = config.stream
        wanted: dict[str, Any] = {
            "websocket": WebsocketOptions(
                host=stream.host, port=stream.port, tokens=stream.tokens, version=__version__
            ),
        }
        if redis_url is not None and config.redis is not None:
            redis = config.redis
            self.redis_urls = [redacted(redis_url)]
            wanted["redis"] = RedisOptions(url=redis_url, prefix=redis.prefix, maxlen=redis.maxlen, version=__version__)
        if config.jsonl is not None:
            wanted["jsonl"] = JsonlOptions(path=config.jsonl.path)
        for name, options in wanted.items():
            make: Any = SINKS[name][1]
            sink: Sink = make(options, self.journal, self.hub)
            outlet = Outlet(sink, self.journal, self.hub)
            self.outlets.append(outlet)
            self.meters.watch(outlet)
            if name == "websocket":
                served: Any = sink
                self.meters.watch_subscribers(lambda: served.subscribers, lambda: served.dropped)

    def _connector(self, venue: str) -> Connector:
        chosen = self.config.venues[venue].transport
        transport = TRANSPORTS[DEFAULT if chosen == "auto" else chosen]
        limits = self.pipeline.sessions[venue].codec.limits
        return Connector(venue, limits, transport, self.feed, log=self.log, on_sent=self._sent)

    # -- frames --------------------------------------------------------------------------------------------------------

    def feed(self, frame: Frame) -> None:
        """The one way in: recorded, run through the pipeline, told to everybody, and what follows is done."""
        if self.stopping:
            return
        if self._recorder is not None:
            self._recorder.write(frame)
        outputs = self.pipeline.feed(frame)
        if frame.kind == "ws":
            meter = self.meters.venue(frame.venue)
            meter.frames += 1
            meter.frame_bytes += len(frame.data)
            meter.pipeline.observe((time.time_ns() - frame.recv_ns) * 1e-9)
        if outputs:
            self._tell(outputs, frame)
        for command in self.pipeline.commands():
            if command.venue:
                self.connectors[command.venue].execute(command)
            elif isinstance(command, Wake):
                self._tick_at(command.at_ns)

    def _sent(self, frame: Frame) -> None:
        if self._recorder is not None and not self.stopping:
            self._recorder.write(frame)

    def _tell(self, outputs: list[Any], frame: Frame) -> None:
        signals = [output for output in outputs if type(output) is Signal]
        if signals:
            signals = self.journal.append(signals)
            self.meters.signal_latency.observe((time.time_ns() - frame.recv_ns) * 1e-9)
            for one in signals:
                self.meters.observe(one)
                self.log.info(f"signal_{one.event}", seq=one.seq, kind=one.kind, side=one.side, venue=one.venue,
                              instrument=one.instrument, score=round(one.score, 2))  # fmt: skip
            self.hub.notify()
        for output in outputs:
            kind = type(output)
            if kind is Signal:
                continue
            self.meters.observe(output)
            self.hub.publish(output)
            if kind is Suppressed:
                self.meters.suppress(output.kind, output.filter)
            elif kind in LOGGED:
                self._log(output)

    def _log(self, event: Any) -> None:
        """Transitions, one line each. What waits for a resync is told as well."""
        facts = structs.asdict(event)
        facts.pop("recv_ns", None)
        facts.pop("event_ns", None)
        name = LOGGED[type(event)]
        if isinstance(event, ResyncEnded):
            for waiting in self._waiting.pop((event.venue, event.instrument), ()):
                if not waiting.done():
                    waiting.set_result(event)
            if event.ok:
                return
        if isinstance(event, Notice):
            name = facts.pop("what")
        warns = isinstance(event, BookInvalid | Notice | LinkDown) or facts.get("state") in ("silent", "stale")
        (self.log.warning if warns else self.log.info)(name, **facts)

    def _now_ns(self) -> int:
        self._last_ns = max(time.time_ns(), self._last_ns)
        return self._last_ns

    def _tick_at(self, at_ns: int) -> None:
        loop = asyncio.get_running_loop()
        if self._tick is not None:
            self._tick.cancel()
        self._tick = loop.call_later(max(at_ns - time.time_ns(), 0) / S, self._ticked, at_ns)

    def _ticked(self, at_ns: int) -> None:
        self.feed(Frame(max(self._now_ns(), at_ns), "", 0, "wake", b""))

    # -- tasks ---------------------------------------------------------------------------------------------------------

    async def _instruments(self, venue: str) -> None:
        """Load the venue's list, however long it takes; the others run meanwhile."""
        settings = self.config.venues[venue]
        backoff = Backoff(1.0, 60.0, 60.0, random.random)
        cache = Path(self.config.journal.path).parent / "instruments"
        ranked = not isinstance(settings.instruments, tuple)
        while True:
            try:
                listed = await load_instruments(
                    venue,
                    VENUES[venue].ccxt,
                    log=self.log,
                    rest=settings.endpoints.rest if settings.endpoints else None,
                    cache_dir=cache,
                    volumes=ranked,
                    # A simulation's list is this run's own: a cached one would be another run's.
                    max_age_s=0.0 if self.config.sim is not None else 6 * 3600.0,
                )
                break
            except InstrumentsUnavailable as error:
                wait_s = backoff.next_s()
                self.missing[venue] = f"instruments: {error}"
                self.log.warning("instruments_unavailable", venue=venue, why=str(error), retry_s=round(wait_s, 1))
                await asyncio.sleep(wait_s)
        wanted = listed.select(settings.instruments)
        self.missing.pop(venue, None)
        self.meters.declare(books=[(venue, one.symbol) for one in wanted])
        self.feed(Frame(self._now_ns(), venue, 0, "instruments", msgspec.json.encode(wanted)))

    async def _housekeeping(self) -> None:
        while True:
            await asyncio.sleep(PRUNE_EVERY_S)
            removed = self.journal.prune(time.time_ns())
            if removed:
                self.log.info("journal_pruned", removed=removed)

    async def _watch_loop(self) -> None:
        """How late the event loop is; the watchdog of systemd is fed from here, so a hang starves it."""
        loop = asyncio.get_running_loop()
        every_s = min(LOOP_PROBE_S, systemd.watchdog_s() or LOOP_PROBE_S)
        while True:
            due = loop.time() + every_s
            await asyncio.sleep(every_s)
            self.meters.event_loop_lag_s = max(loop.time() - due, 0.0)
            systemd.notify("WATCHDOG=1")
            if not self._frozen and self.status.ready()[0]:
                # What is here now stays: the collector need not walk it again and again.
                self._frozen = True
                gc.collect()
                gc.freeze()

    # -- for the operator ----------------------------------------------------------------------------------------------

    async def resync(self, venue: str, instrument: str) -> dict[str, object]:
        """Drop and prove one book again; answers when it is live or has failed."""
        session = self.pipeline.sessions.get(venue)
        lane = session.lane_of(instrument) if session else None
        if session is None or lane is None:
            raise UnknownBook(f"{venue} {instrument}")
        told: dict[str, object] = {"venue": venue, "instrument": instrument}
        if lane.conn not in session.up_ns:
            return {**told, "ok": False, "reason": GapKind.SOCKET_CLOSED.value}
        self.feed(Frame(self._now_ns(), venue, 0, "resync", instrument.encode()))
        waiting: asyncio.Future[ResyncEnded] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault((venue, instrument), []).append(waiting)
        with suppress(TimeoutError):
            ended = await asyncio.wait_for(waiting, timeout=60.0)
            return {**told, "ok": ended.ok, "reason": ended.reason or None, "seq": lane.sync.last_id}
        return {**told, "ok": False, "reason": "timeout"}


LOGGED: dict[type, str] = {
    BookValid: "book_valid",
    BookInvalid: "book_invalid",
    ResyncEnded: "resync_failed",
    StreamState: "stream_state",
    LinkUp: "link_up",
    LinkDown: "link_down",
    Notice: "notice",
}


def free_port(host: str) -> int:
    """A port that is free now. (The page must know the stream's port before the stream is open.)"""
    import socket  # noqa: PLC0415 - only when the configured port is taken

    with socket.socket() as sock:
        sock.bind((host, 0))
        port: int = sock.getsockname()[1]
        return port


async def run(config: Config, *, announce: Callable[[Service], None] = lambda _: None) -> None:
    """Run until SIGTERM or SIGINT; a second one ends the process at once with 130."""
    service = Service(config, announce=announce)
    loop = asyncio.get_running_loop()
    asked = 0

    def on_signal() -> None:
        nonlocal asked
        asked += 1
        if asked > 1:
            signal.raise_signal(signal.SIGKILL)
        service.stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal)
    await service.run()
