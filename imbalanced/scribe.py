"""Writes what a run says into its journal without keeping the loop waiting for the disk.

What is said while one write is under way goes with the next, in one transaction and in order. ``on_written`` is called
on the loop when a piece is durable, and only then may anybody hear of it. Nothing is dropped: a disk that refuses ends
the run with its error (:meth:`Scribe.failing`), and so does one that has fallen :data:`MOST_WAITING` pieces behind.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from imbalanced.journal import JournalFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from imbalanced.events import Explained, Graded, Signal
    from imbalanced.journal import Batch, Journal

MOST_WAITING = 50_000


class Scribe:
    """Owns the writing side of a journal. A journal in memory is written at once."""

    def __init__(self, journal: Journal, on_written: Callable[[Batch], None]) -> None:
        self._journal = journal
        self._on_written = on_written
        self._waiting: list[Batch] = []
        self._writing: asyncio.Task[None] | None = None
        self._sound = True  # after a failure nothing is written any more: it would leave a hole
        self._one_at_a_time = asyncio.Lock()
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def say(
        self, signals: Sequence[Signal], explained: Sequence[Explained] = (), graded: Sequence[Graded] = ()
    ) -> None:
        """Give them their places and write them soon. Raises JournalFailed if the disk has fallen too far behind."""
        batch = self._journal.place(signals, explained, graded)
        if not self._journal.waits:
            self._journal.write([batch])
            self._done([batch])
            return
        if len(self._waiting) >= MOST_WAITING:
            raise JournalFailed(f"{self._journal.path}: the disk is {MOST_WAITING} writes behind")
        self._waiting.append(batch)
        if self._writing is None and self._sound:
            self._writing = asyncio.create_task(self._write(), name="journal")
            self._writing.add_done_callback(self._ended)

    async def failing(self) -> None:
        """Wait until writing fails, and raise what it failed with."""
        await asyncio.shield(self._failure)

    async def drain(self) -> None:
        """Until everything that was said is durable, or writing has failed."""
        while self._writing is not None:
            await asyncio.wait([self._writing])

    async def prune(self, now_ns: int) -> int:
        """:meth:`Journal.prune`, between two writes."""
        async with self._one_at_a_time:
            oldest_open = self._journal.oldest_open
            bound, gone = await asyncio.to_thread(self._journal.forget, now_ns, oldest_open)
            self._journal.forgotten(bound)
        return gone

    async def _write(self) -> None:
        try:
            while self._waiting:
                async with self._one_at_a_time:
                    batches, self._waiting = self._waiting, []
                    self._sound = False
                    await asyncio.to_thread(self._journal.write, batches)
                    self._done(batches)
                    self._sound = True
        finally:
            self._writing = None  # here and not in the callback: what is said before that runs must begin a new one

    def _done(self, batches: list[Batch]) -> None:
        for batch in batches:
            self._journal.written(batch)
        for batch in batches:
            self._on_written(batch)

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is not None and not self._failure.done():
            self._failure.set_exception(error)
