"""The daemon: wiring, one task group, an orderly stop. Everything it wires is decided elsewhere."""

from __future__ import annotations

import asyncio
import gc
import time
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Any

import structlog
from msgspec import structs

from imbalanced import __version__, book, calibrations, embedded, ending, logs, systemd
from imbalanced.config import ConfigError
from imbalanced.events import (
    BookChanged,
    BookInvalid,
    BookValid,
    Explained,
    Frame,
    GapKind,
    Graded,
    Notice,
    ResyncEnded,
    Signal,
    StreamState,
    Suppressed,
    Trade,
)
from imbalanced.intake import Intake
from imbalanced.journal import Journal
from imbalanced.options import duration_text
from imbalanced.scribe import Scribe
from imbalanced.sinks import SINKS, Hub, JsonlOptions, Outlet, RedisOptions, WebsocketOptions
from imbalanced.sinks.address import is_free
from imbalanced.sinks.meters import Meters
from imbalanced.sinks.prometheus import Prometheus, PrometheusOptions
from imbalanced.sinks.redis import redacted
from imbalanced.status import Status
from imbalanced.streams import CHANNELS
from imbalanced.web.backend import UnknownBook
from imbalanced.web.server import HttpOptions, HttpServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from imbalanced.config import Config
    from imbalanced.journal import Batch
    from imbalanced.sinks import Sink

COMPILED = not book.__file__.endswith(".py")
S = 1_000_000_000
PRUNE_EVERY_S = 600.0
LOOP_PROBE_S = 0.5
RESYNC_S = 60.0


class Service:
    """One run. ``announce`` is called once everything listens; ``config`` then holds the addresses really taken."""

    def __init__(self, config: Config, *, announce: Callable[[Service], None] = lambda _: None) -> None:
        self.config = config
        self.log = structlog.get_logger("imbalanced")
        self.status = Status(self)
        self.meters = Meters(config.prometheus.metrics)
        self.meters.refresh = self._see
        self.prometheus = Prometheus(self.meters, PrometheusOptions(version=__version__, compiled=COMPILED))
        self.hub = Hub()
        self.outlets: list[Outlet] = []
        self.redis_urls: list[str] = []
        self.moved: list[str] = []
        self._announce = announce
        self._stop_wanted = asyncio.Event()
        self._waiting: dict[tuple[str, str], list[asyncio.Future[ResyncEnded]]] = {}
        self._frozen = False
        self._given = config
        self.intake: Intake
        self.journal: Journal
        self.scribe: Scribe
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
            self.scribe = Scribe(self.journal, self._written)
            calibration = calibrations.load(self.config.grading.calibration)
            if calibration is not None:
                self.log.info("calibration", name=calibration.digest(), cells=len(calibration.cells))
            self.intake = Intake(self.config, self.log, self._tell, lambda: self.journal.next_seq, calibration)
            self.intake.on_listed = lambda venue, listed: self.meters.declare(
                books=[(venue, one.symbol) for one in listed]
            )
            stack.callback(self.intake.close)
            self._declare()
            stream = self._make_outlets(redis_url)
            async with asyncio.TaskGroup() as tasks:
                await self._serve(stack, tasks, stream)

    async def _serve(self, stack: AsyncExitStack, tasks: asyncio.TaskGroup, stream: Outlet) -> None:
        """Listen first, so that a port that is taken is known before anything else is begun."""
        outlets = [tasks.create_task(stream.run(), name=stream.name)]
        await stream.until(lambda: stream.connected)
        await self._open_http(stream)
        stack.push_async_callback(self.http.stop)
        outlets += [tasks.create_task(one.run(), name=one.name) for one in self.outlets if one is not stream]
        self.intake.begin(tasks)
        chores = [
            tasks.create_task(self._housekeeping()),
            tasks.create_task(self._watch_loop()),
            tasks.create_task(self.scribe.failing(), name="journal"),
        ]
        self._announce(self)
        systemd.notify("READY=1")
        try:
            await self._stop_wanted.wait()
        finally:
            for chore in chores:
                chore.cancel()
            await self._wind_down(outlets)

    async def _open_http(self, stream: Outlet) -> None:
        """The page must know the stream's port, and everybody the ports that were really taken."""
        served: Any = stream.sink
        http = self.config.http
        options = HttpOptions(host=http.host, port=http.port, token=http.token, stream_port=served.port)
        self.http = HttpServer(self.status, options)
        await self.http.start()
        self.config = structs.replace(
            self.config,
            http=structs.replace(http, port=self.http.port),
            stream=structs.replace(self.config.stream, port=served.port),
        )

    def stop(self) -> None:
        """Begin the orderly stop."""
        self._stop_wanted.set()

    async def _wind_down(self, outlets: list[asyncio.Task[None]]) -> None:
        """Not ready first; then the last word on every signal; then links, sinks, server, within ``shutdown_s``."""
        self.log.info("stopping")
        systemd.notify("STOPPING=1")
        self.status.stopping = True
        deadline = asyncio.get_running_loop().time() + self.config.shutdown_s * 0.8
        await self.intake.end()
        self._save_calibration()
        await self.scribe.drain()
        for outlet in self.outlets:
            outlet.finish()
        left = max(deadline - asyncio.get_running_loop().time(), 0.1)
        _, late = await asyncio.wait(outlets, timeout=left)
        for task in late:
            self.log.warning("sink_not_drained", sink=task.get_name())
            task.cancel()
        await self.http.stop()
        self.log.info("stopped", last_seq=self.journal.last_seq)

    def _save_calibration(self) -> None:
        """What this run has learned of its signals, for the next one. A disk that refuses it must not stop the stop."""
        folder = self.config.grading.calibration.dir
        if folder is None:
            return
        try:
            name = calibrations.save(folder, self.intake.pipeline.track.frozen())
        except OSError as error:
            self.log.error("calibration_not_written", folder=folder, why=error.strerror or str(error))
        else:
            self.log.info("calibration_written", folder=folder, name=name)

    def reload(self, read: Callable[[], Config]) -> None:
        """SIGHUP: take from a configuration what can be taken while running, and say what cannot."""
        systemd.notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            new = read()
        except (ConfigError, OSError, UnicodeDecodeError) as error:
            self.log.error("reload_refused", faults=str(error).splitlines(), goes_on_with="the configuration before")
        else:
            before = self._given
            changed = [name for name in new.__struct_fields__ if getattr(new, name) != getattr(before, name)]
            applied = [name for name in changed if name == "log" and new.log.format == before.log.format]
            restart = [name for name in changed if name not in applied]
            self._given = structs.replace(before, log=structs.replace(before.log, level=new.log.level))
            if logs.LEVELS[new.log.level] < logs.LEVELS[before.log.level]:
                logs.set_level(new.log.level)
            self.log.warning("reloaded", applied=applied, needs_restart=restart)
            logs.set_level(new.log.level)
        systemd.notify("READY=1")

    # -- what is wired -------------------------------------------------------------------------------------------------

    def _take_addresses(self, simulated: embedded.Endpoints) -> None:
        """Point venues at their simulations. A demo leaves a port that is taken; a real run says so and ends."""
        config = embedded.pointed(self.config, simulated)
        http, stream = config.http, config.stream
        if config.sim is not None:
            if not is_free(http.host, http.port):
                self.moved.append(f"port {http.port} is taken, so the page is elsewhere")
                http = structs.replace(http, port=0)
            if not is_free(stream.host, stream.port):
                self.moved.append(f"port {stream.port} is taken, so the stream is elsewhere")
                stream = structs.replace(stream, port=0)
        self.config = structs.replace(config, http=http, stream=stream)

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
            channels=[(venue, channel) for venue in config.venues for channel in CHANNELS],
            kinds=sorted({spec.kind for venue in config.venues for spec in config.detectors_of(venue)}),
            filters=sorted({name for venue in config.venues for name in config.filters_of(venue)}),
            horizons=[duration_text(ms * 1_000_000) for ms in config.grading.horizons_ms],
        )

    def _make_outlets(self, redis_url: str | None) -> Outlet:
        """All of them, the stream's first; that one is given back."""
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
        served: Any = self.outlets[0].sink
        self.meters.watch_subscribers(lambda: served.subscribers, lambda: served.dropped)
        return self.outlets[0]

    # -- what comes out ------------------------------------------------------------------------------------------------

    def _tell(self, outputs: list[Any], frame: Frame) -> None:
        """What one frame made: signals to the journal before anybody else hears of them, then the rest."""
        if frame.kind == "ws":
            meter = self.meters.venue(frame.venue)
            meter.frames += 1
            meter.frame_bytes += len(frame.data)
            meter.pipeline.observe((time.time_ns() - frame.recv_ns) * 1e-9)
        rare: list[Any] = []
        for output in outputs:
            # Of nearly all frames this is all there is: a book that changed, a trade.
            if type(output) is BookChanged or type(output) is Trade:
                self.meters.observe(output)
            else:
                rare.append(output)
        if rare:
            self._tell_rare(rare, frame)

    def _tell_rare(self, outputs: list[Any], frame: Frame) -> None:
        signals = [output for output in outputs if type(output) is Signal]
        graded = [output for output in outputs if type(output) is Graded]
        if signals or graded:
            self.scribe.say(signals, [one for one in outputs if type(one) is Explained], graded)
        for output in outputs:
            kind = type(output)
            if kind is Signal or kind is Explained:
                continue
            self.meters.observe(output)
            self.hub.publish(output)
            if kind is Suppressed:
                self.meters.suppress(output.kind, output.filter)
            elif kind in LOGGED:
                self._log(output)

    def _written(self, batch: Batch) -> None:
        """The journal has these signals: now others may hear of them."""
        for one in batch.signals:
            self.meters.signal_latency.observe((time.time_ns() - one.recv_ns) * 1e-9)
            self.meters.observe(one)
            self.log.info(f"signal_{one.event}", seq=one.seq, kind=one.kind, side=one.side, venue=one.venue,
                          instrument=one.instrument, score=round(one.score, 2))  # fmt: skip
        if batch.signals:
            self.hub.notify()

    def _see(self) -> None:
        """Every book and stream as it is now, for the gauges."""
        for session in self.intake.pipeline.sessions.values():
            for lane in session.lanes.values():
                self.meters.see(session.venue, lane)

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
        warns = isinstance(event, BookInvalid | Notice) or facts.get("state") in ("silent", "stale")
        (self.log.warning if warns else self.log.info)(name, **facts)

    # -- tasks ---------------------------------------------------------------------------------------------------------

    async def _housekeeping(self) -> None:
        while True:
            await asyncio.sleep(PRUNE_EVERY_S)
            removed = await self.scribe.prune(time.time_ns())
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
        """Drop and prove one book again; answers when it is live or has failed. Who comes second waits with the
        first.
        """
        session = self.intake.pipeline.sessions.get(venue)
        lane = session.lane_of(instrument) if session else None
        if session is None or lane is None:
            raise UnknownBook(f"{venue} {instrument}")
        told: dict[str, object] = {"venue": venue, "instrument": instrument}
        if lane.conn not in session.up_ns:
            return {**told, "ok": False, "reason": GapKind.SOCKET_CLOSED.value}
        key = (venue, instrument)
        if key not in self._waiting:
            self.intake.feed(Frame(self.intake.now_ns(), venue, 0, "resync", instrument.encode()))
        waiting: asyncio.Future[ResyncEnded] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, []).append(waiting)
        with suppress(TimeoutError):
            async with asyncio.timeout(RESYNC_S):
                ended = await waiting
            return {**told, "ok": ended.ok, "reason": ended.reason or None, "seq": lane.sync.last_id}
        self._waiting.pop(key, None)
        return {**told, "ok": False, "reason": "timeout"}


# Links are told of by their connectors, which know more.
LOGGED: dict[type, str] = {
    BookValid: "book_valid",
    BookInvalid: "book_invalid",
    ResyncEnded: "resync_failed",
    StreamState: "stream_state",
    Notice: "notice",
}


async def run(
    config: Config,
    *,
    announce: Callable[[Service], None] = lambda _: None,
    read: Callable[[], Config] | None = None,
) -> None:
    """Run until SIGTERM or SIGINT; a second one ends the process at once with 130. SIGHUP: ``read`` and reload."""
    service = Service(config, announce=announce)
    with ending.handled(service.stop, (lambda: service.reload(read)) if read is not None else None):
        await service.run()
