"""The outlet: owns one sink, its cursor over the journal, its retries and its counters.

Signals are never dropped: they stay in the journal until the sink has them. Snapshots are conflated by the hub, status
events bounded by its ring. An outlet never blocks the pipeline, which only pokes it.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable

import structlog
from msgspec import Struct

from imbalanced.backoff import Backoff
from imbalanced.journal import Journal
from imbalanced.sinks.address import AddressError
from imbalanced.sinks.hub import Hub, State
from imbalanced.sinks.sink import Batch, Sink, SinkMisconfigured, SinkUnavailable

__all__ = ["Outlet", "OutletOptions"]

log = structlog.get_logger(__name__)


class OutletOptions(Struct, frozen=True, kw_only=True):
    """``*_s`` in seconds. A batch ends at ``batch_count`` signals or ``batch_bytes`` of their text."""

    batch_count: int = 128
    batch_bytes: int = 1 << 20
    retry_first_s: float = 0.1
    retry_cap_s: float = 10.0
    stable_s: float = 30.0  # a connection that lasted this long starts the backoff anew
    state_every_s: float = 0.1  # snapshots are conflated to this pace
    idle_check_s: float = 5.0  # after so long without a write an empty batch asks whether the target is there
    close_s: float = 3.0


class Outlet:
    """Run :meth:`run` as a task; read the counters from anywhere on the loop."""

    def __init__(self, sink: Sink, journal: Journal, hub: Hub, options: OutletOptions | None = None) -> None:
        self.sink = sink
        self.name = sink.name
        self.connected = False
        self.connects = 0
        self.errors = 0
        self.written = 0
        self.states_written = 0
        self.last_error: str | None = None
        self.since_ns = time.time_ns()  # of `connected`
        self._options = options or OutletOptions()
        self._journal = journal
        self._hub = hub
        self._reader = hub.reader()
        self._cursor: int | None = None
        retry = self._options
        self._backoff = Backoff(retry.retry_first_s, retry.retry_cap_s, retry.stable_s, random.random)
        self._failures = 0  # in a row
        self._wake = asyncio.Event()
        self._step = asyncio.Event()
        self._finishing = False
        self._state_timer: asyncio.TimerHandle | None = None
        self._state_wanted = False
        self._state_due = 0.0
        self._opened_at = 0.0
        hub.join(self)

    @property
    def lag(self) -> int:
        """Signals in the journal that the target does not have (before the first connect: all that are held)."""
        cursor = self._cursor if self._cursor is not None else self._journal.oldest_seq
        return max(0, self._journal.last_seq + 1 - cursor)

    @property
    def conflated(self) -> int:
        return self._reader.conflated

    @property
    def dropped(self) -> int:
        """Status events that this outlet was too late for."""
        return self._reader.missed

    def status(self) -> dict[str, object]:
        """For ``/api/status``."""
        return {
            "name": self.name,
            "connected": self.connected,
            "since_ns": self.since_ns,
            "lag": self.lag,
            "written": self.written,
            "errors": self.errors,
            "conflated": self.conflated,
            "dropped": self.dropped,
            "last_error": self.last_error,
        }

    def notify(self) -> None:
        self._wake.set()

    def state_changed(self) -> None:
        # Nothing to do while a timer is armed: this is the whole cost of a snapshot here.
        if self._state_timer is None and self.sink.takes_state and self.connected:
            self._arm_state()

    def finish(self) -> None:
        """Orderly end: write what the journal still holds, if the target is there, and let :meth:`run` return."""
        self._finishing = True
        self._wake.set()

    async def caught_up(self) -> None:
        """Wait until the target holds everything that the journal holds at this moment."""
        wanted = self._journal.last_seq
        await self.until(lambda: self.connected and self._cursor is not None and self._cursor > wanted)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds that is said by the counters; asked after every step of this outlet."""
        while not holds():
            self._step.clear()
            await self._step.wait()

    async def run(self) -> None:
        """Until :meth:`finish` or cancelled. Raises only what a person must mend (address in use, bad options)."""
        try:
            while not self._finishing:
                try:
                    await self._open()
                    await self._pump()
                except SinkUnavailable as exc:
                    self._failed(exc.condition, str(exc))
                except (SinkMisconfigured, AddressError):
                    raise
                except Exception as exc:  # the outer loop of this task: a fault of one sink is not the daemon's end
                    log.exception("sink_crashed", sink=self.name)
                    self._failed("crashed", f"{type(exc).__name__}: {exc}")
                finally:
                    await self._close()
                await self._rest()
        finally:
            self._hub.leave(self)

    async def _open(self) -> None:
        held = await self.sink.open()
        # Never beyond our own end: a target that claims more than the journal holds (one of the two was restored from a
        # backup) must not make us skip what comes next.
        self._cursor = min(max(held, self._journal.oldest_seq), self._journal.last_seq + 1)
        if held > self._journal.last_seq + 1:
            log.error("sink_ahead_of_journal", sink=self.name, held=held - 1, journal=self._journal.last_seq)
        self._opened_at = asyncio.get_running_loop().time()
        self.connects += 1
        self._reader.rewind()
        self._turn(True)
        self._state_wanted = self.sink.takes_state
        log.info("sink_connected", sink=self.name, cursor=self._cursor, lag=self.lag)

    async def _pump(self) -> None:
        while True:
            self._wake.clear()
            batch = self._next_batch()
            if batch is None:
                if self._finishing:
                    return
                batch = Batch() if await self._idle() else None
            if batch is not None:
                await self.sink.write(batch)
                self._delivered(batch)

    async def _idle(self) -> bool:
        """Wait to be poked; True if nobody did for so long that the target should be looked at."""
        try:
            async with asyncio.timeout(self._options.idle_check_s):
                await self._wake.wait()
        except TimeoutError:
            return True
        return False

    def _next_batch(self) -> Batch | None:
        assert self._cursor is not None  # set by _open
        oldest = self._journal.oldest_seq
        if self._cursor < oldest:
            log.error("sink_missed_pruned", sink=self.name, wanted=self._cursor, oldest=oldest)
            self._cursor = oldest
            self._step.set()
        entries = self._journal.read(self._cursor, self._options.batch_count)
        size = 0
        for count, entry in enumerate(entries):
            size += len(entry.text)
            if size > self._options.batch_bytes and count:
                entries = entries[:count]
                break
        batch = Batch(entries, *self._take_state()) if self._state_wanted else Batch(entries)
        return batch if batch.entries or batch.states or batch.statuses else None

    def _take_state(self) -> tuple[list[State], list[bytes]]:
        self._disarm_state()
        self._state_due = asyncio.get_running_loop().time() + self._options.state_every_s
        return self._reader.take(), self._reader.take_statuses()

    def _delivered(self, batch: Batch) -> None:
        if batch.entries:
            self._cursor = batch.entries[-1].seq + 1
            self.written += len(batch.entries)
            self._failures = 0
        if batch.states or batch.statuses:
            self.states_written += len(batch.states)
            self._reader.commit()
        self._step.set()

    def _failed(self, condition: str, detail: str) -> None:
        self.errors += 1
        self.last_error = detail
        self._failures += 1
        self._step.set()
        if self.connected:
            self._backoff.lived(asyncio.get_running_loop().time() - self._opened_at)
        # The first failure is news, the hundredth is not: say 1, 2, 4, 8...
        if self._failures & (self._failures - 1) == 0:
            log.warning("sink_unavailable", sink=self.name, condition=condition, detail=detail, failures=self._failures)

    async def _close(self) -> None:
        self._turn(False)
        self._disarm_state()
        try:
            async with asyncio.timeout(self._options.close_s):
                await self.sink.close()
        except TimeoutError:
            log.warning("sink_close_timeout", sink=self.name, after_s=self._options.close_s)

    async def _rest(self) -> None:
        if self._finishing:
            return
        deadline = asyncio.get_running_loop().time() + self._backoff.next_s()
        # Poked by new signals too, which is no reason to try earlier; only `finish` is.
        while not self._finishing:
            self._wake.clear()
            try:
                async with asyncio.timeout_at(deadline):
                    await self._wake.wait()
            except TimeoutError:
                return

    def _turn(self, connected: bool) -> None:
        if connected != self.connected:
            self.connected = connected
            self.since_ns = time.time_ns()
            self._step.set()

    def _arm_state(self) -> None:
        loop = asyncio.get_running_loop()
        self._state_timer = loop.call_at(max(self._state_due, loop.time()), self._state_ready)

    def _state_ready(self) -> None:
        self._state_wanted = True
        self._wake.set()

    def _disarm_state(self) -> None:
        if self._state_timer is not None:
            self._state_timer.cancel()
            self._state_timer = None
        self._state_wanted = False
