"""Where frames come in: the links, the lists of instruments and the clock of one run, and the one pipeline they feed.

Every frame is recorded (if wished), run through the pipeline, told to the owner, and what follows from it is done. Who
listens to what comes out is not known here: that is the daemon (``service.py``) or nobody (``recording.py``).
"""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from imbalanced.backoff import Backoff
from imbalanced.clock import Clock
from imbalanced.connector import Connector
from imbalanced.events import Frame
from imbalanced.instruments import InstrumentsUnavailable
from imbalanced.instruments import load as load_instruments
from imbalanced.pipeline import Pipeline
from imbalanced.tape import Recorder
from imbalanced.transports import DEFAULT, TRANSPORTS
from imbalanced.venues import VENUES, signer
from imbalanced.venues.codec import Wake

if TYPE_CHECKING:
    from collections.abc import Callable

    from structlog.typing import FilteringBoundLogger

    from imbalanced.config import Config
    from imbalanced.detect.confidence import Calibration
    from imbalanced.events import Instrument
    from imbalanced.instruments import Instruments

S = 1_000_000_000
LIST_MAX_AGE_S = 6 * 3600.0
# The lists are read again so often, not all at once. One in which more than this share of what is followed is missing
# is not believed.
LIST_EVERY_S, MISSING_MOST = 3600.0, 0.5
# The clock looks again after so long, whatever it waits for: a wall clock that was set back must not stop it.
CLOCK_LOOKS_S = 1.0


class Intake:
    """``tell`` gets what each frame made; ``missing`` says of each venue what of it is not there."""

    def __init__(
        self,
        config: Config,
        log: FilteringBoundLogger,
        tell: Callable[[list[Any], Frame], None],
        next_seq: Callable[[], int] = lambda: 1,
        calibration: Calibration | None = None,
    ) -> None:
        self.config = config
        self.pipeline = Pipeline(config, calibration=calibration)
        self.connectors: dict[str, Connector] = {}
        self.missing: dict[str, str] = dict.fromkeys(config.venues, "instruments not loaded")
        self.on_listed: Callable[[str, tuple[Instrument, ...]], None] = lambda venue, instruments: None
        self._log = log
        self._tell = tell
        self._recorder: Recorder | None = None
        self._over = False
        self.clock = Clock()
        self._tick_ns = 0
        self._tick_asked = asyncio.Event()
        self._chores: list[asyncio.Task[None]] = []
        for venue, settings in config.venues.items():
            limits = self.pipeline.sessions[venue].codec.limits
            transport = TRANSPORTS[DEFAULT if settings.transport == "auto" else settings.transport]
            sign = signer(VENUES[venue], settings.credentials)
            self.connectors[venue] = Connector(
                venue, limits, transport, self.feed, log=log, on_sent=self._sent, sign=sign, clock=self.clock
            )
        if config.record is not None:
            name = calibration.digest() if calibration else ""
            self._recorder = Recorder(Path(config.record.dir), config.record.rotate_s * S, next_seq, name)

    def begin(self, tasks: asyncio.TaskGroup) -> None:
        """Connect, list and tick as tasks of the owner's group; what goes wrong here ends that group."""
        for venue, connector in self.connectors.items():
            tasks.create_task(connector.run(), name=venue)
            self._chores.append(tasks.create_task(self._list(venue), name=f"{venue} instruments"))
        self._chores.append(tasks.create_task(self._clock(), name="clock"))

    async def end(self) -> None:
        """The orderly end: the pipeline's last word, then every link closed with 1000."""
        for chore in self._chores:
            chore.cancel()
        try:
            self.feed(Frame(self.now_ns(), "", 0, "stop", b""))
        except Exception:  # what broke the run may break its last word too; the rest must be closed all the same
            self._log.exception("stop_failed")
        self._over = True
        await asyncio.gather(*(connector.stop() for connector in self.connectors.values()))

    def close(self) -> None:
        """The recording, if there is one, gets its name."""
        self._over = True
        if self._recorder is not None:
            self._recorder.close()

    def now_ns(self) -> int:
        """Now, and never before a time that was given already."""
        return self.clock.now_ns()

    def feed(self, frame: Frame) -> None:
        """The one way in."""
        if self._over:
            return
        if self._recorder is not None:
            self._recorder.write(frame)
        self._tell(self.pipeline.feed(frame), frame)
        for command in self.pipeline.commands():
            if command.venue:
                self.connectors[command.venue].execute(command)
            elif isinstance(command, Wake):
                self._tick_ns = command.at_ns
                self._tick_asked.set()

    def _sent(self, frame: Frame) -> None:
        if self._recorder is not None and not self._over:
            self._recorder.write(frame)

    async def _clock(self) -> None:
        """The pipeline's own timer. A task and no callback, so that a pipeline that fails here ends the run as well."""
        while True:
            await self._tick_asked.wait()
            self._tick_asked.clear()
            wait_s = (self._tick_ns - self.now_ns()) / S
            await asyncio.sleep(min(max(wait_s, 0.0), CLOCK_LOOKS_S))
            self.feed(Frame(max(self.now_ns(), self._tick_ns), "", 0, "wake", b""))

    async def _list(self, venue: str) -> None:
        """Load the venue's list, however long it takes; the other venues run meanwhile."""
        backoff = Backoff(1.0, 60.0, 60.0, random.random)
        failures = 0
        while True:
            try:
                listed = await self._listed(venue)
                break
            except InstrumentsUnavailable as error:
                wait_s = backoff.next_s()
                failures += 1
                self.missing[venue] = f"instruments: {error}"
                if failures & (failures - 1) == 0:  # the 1st, 2nd, 4th, 8th... the hundredth is no news
                    self._log.warning("instruments_unavailable", venue=venue, why=str(error), failures=failures)
                await asyncio.sleep(wait_s)
        wanted = listed.select(self.config.venues[venue].instruments)
        self._follow(venue, wanted)
        while True:
            await asyncio.sleep(LIST_EVERY_S * random.uniform(0.9, 1.1))
            wanted = await self._again(venue, wanted)

    async def _again(self, venue: str, wanted: tuple[Instrument, ...]) -> tuple[Instrument, ...]:
        """The same instruments as they are listed now: renamed, halted, gone."""
        try:
            listed = await self._listed(venue, max_age_s=0.0)
        except InstrumentsUnavailable as error:
            self._log.warning("instruments_not_read_again", venue=venue, why=str(error))
            return wanted
        now = tuple(one for one in (listed.get(before.symbol) for before in wanted) if one is not None)
        if len(wanted) > 1 and len(now) < (1 - MISSING_MOST) * len(wanted):
            self._log.error("instruments_not_believed", venue=venue, listed=len(now), followed=len(wanted))
            return wanted
        if now != wanted:
            self._follow(venue, now)
        return now

    def _follow(self, venue: str, wanted: tuple[Instrument, ...]) -> None:
        idle = [one.symbol for one in wanted if not one.active]
        self.missing.pop(venue, None)
        if idle:
            self.missing[venue] = f"listed, but not trading: {', '.join(idle)}"
            self._log.warning("instruments_not_trading", venue=venue, instruments=idle)
        self.on_listed(venue, wanted)
        self.feed(Frame(self.now_ns(), venue, 0, "instruments", msgspec.json.encode(wanted)))

    async def _listed(self, venue: str, max_age_s: float = LIST_MAX_AGE_S) -> Instruments:
        settings = self.config.venues[venue]
        return await load_instruments(
            venue,
            VENUES[venue].ccxt,
            log=self._log,
            rest=settings.endpoints.rest if settings.endpoints else None,
            cache_dir=Path(self.config.journal.path).parent / "instruments",
            volumes=not isinstance(settings.instruments, tuple),
            # Another host (a simulation, a mirror) is always asked: what is kept may be another one's at that address.
            # Where it does not answer, what is kept is still better than nothing.
            max_age_s=0.0 if settings.endpoints is not None else max_age_s,
        )
