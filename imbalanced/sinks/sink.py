"""The seam between what the daemon says and where it goes: three methods a sink has, and what they are given.

A sink knows its target and nothing else. Cursor, batches, retries, counters and conflation are the business of the
:class:`~imbalanced.sinks.outlet.Outlet` that owns it.

    SinkError
    ├── SinkUnavailable     a condition of the target: the outlet says so, waits and opens again
    └── SinkMisconfigured   only a person can help; ends the outlet
"""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from imbalanced.journal import Entry
from imbalanced.sinks.hub import State

__all__ = ["Batch", "Sink", "SinkError", "SinkMisconfigured", "SinkUnavailable"]


class SinkError(Exception):
    """Base of the errors of sinks; never raised itself."""


class SinkUnavailable(SinkError):
    """The target is away, loading, read only, full... ``condition`` is one word for logs and status."""

    def __init__(self, condition: str, detail: str) -> None:
        super().__init__(f"{condition}: {detail}")
        self.condition = condition


class SinkMisconfigured(SinkError):
    """The options can never work. The text names the option and never holds a secret."""


class Batch(Struct, frozen=True):
    """What a sink gets at a time. All empty: nothing was to be said for a while, look whether the target is there."""

    entries: list[Entry] = []
    states: list[State] = []
    statuses: list[bytes] = []


class Sink(Protocol):
    """One target. All calls come from one task, never two at a time.

    ``name`` is the label in metrics and logs. ``takes_state``: whether metric snapshots and status events are wanted.
    """

    name: str
    takes_state: bool

    async def open(self) -> int:
        """Connect and return the first ``seq`` that the target does not hold. Called again after :meth:`close`."""

    async def write(self, batch: Batch) -> None:
        """Deliver all of it, or raise: then it comes again after a new :meth:`open`, so writing is idempotent."""

    async def close(self) -> None:
        """Let go. Never raises :class:`SinkUnavailable`; harmless when not open."""
