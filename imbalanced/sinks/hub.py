"""What is not journaled: the latest metric snapshot of each instrument, and the transitions of trust.

Snapshots are conflated (latest wins, each reader is told how many a state stands for). Status events are a ring of the
last few thousand; a reader that falls behind it is told how many it missed. The hub holds one copy whatever the number
of readers, so publishing costs the same with none and with a hundred. No task, no waiting: outlets are only poked.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from itertools import islice
from math import isfinite
from typing import Protocol

import structlog
from msgspec import structs

from imbalanced.events import BookInvalid, BookValid, LinkDown, LinkUp, MetricSnapshot, Notice, StreamState
from imbalanced.jsontext import NotFinite, snapshot_head, status_json

__all__ = ["Hub", "Reader", "State", "Waiter"]

log = structlog.get_logger(__name__)

Key = tuple[str, str]
_TRANSITIONS = frozenset({BookValid, BookInvalid, StreamState, LinkUp, LinkDown, Notice})


class Waiter(Protocol):
    """Who wants to be poked. Both calls must return at once."""

    def notify(self) -> None:
        """The journal has grown."""

    def state_changed(self) -> None:
        """A snapshot or a status event has come."""


class _Latest:
    """The newest snapshot of one instrument and how many there have been."""

    __slots__ = ("count", "head", "snapshot", "version")

    def __init__(self, snapshot: MetricSnapshot, count: int, version: int) -> None:
        self.snapshot = snapshot
        self.count = count
        self.version = version
        self.head: bytes | None = None  # the text, made when first asked for and shared by all readers


class State:
    """One instrument's latest snapshot, as one reader sees it. The text is made only if somebody asks."""

    __slots__ = ("_hub", "_latest", "conflated")

    def __init__(self, hub: Hub, latest: _Latest, conflated: int) -> None:
        self._hub = hub
        self._latest = latest
        self.conflated = conflated

    @property
    def snapshot(self) -> MetricSnapshot:
        return self._latest.snapshot

    def text(self) -> bytes:
        """The public JSON."""
        return b"%s%d}" % (self._hub.head(self._latest), self.conflated)


class Hub:
    """Takes what the pipeline says; outlets and subscribers read from it."""

    def __init__(self, ring: int = 4096) -> None:
        # Oldest change first: a snapshot moves its instrument to the end, so a reader walks back only over what is new.
        self._latest: dict[Key, _Latest] = {}
        self._version = 0
        self._ring: deque[bytes] = deque(maxlen=ring)
        self._ring_end = 0
        self._now: dict[tuple[object, ...], bytes] = {}
        self._waiters: list[Waiter] = []
        self._not_finite: set[Key] = set()

    def join(self, waiter: Waiter) -> None:
        self._waiters.append(waiter)

    def leave(self, waiter: Waiter) -> None:
        if waiter in self._waiters:
            self._waiters.remove(waiter)

    def notify(self) -> None:
        """Call after every append to the journal."""
        for waiter in self._waiters:
            waiter.notify()

    def publish(self, event: object) -> None:
        """Any output of the pipeline; what is neither a snapshot nor a transition is passed over."""
        if type(event) is MetricSnapshot:
            self._snapshot(event)
        elif type(event) in _TRANSITIONS:
            self._status(event)

    def reader(self) -> Reader:
        return Reader(self)

    def statuses_now(self) -> list[bytes]:
        """The last word on each book, stream, link and proof: what a new subscriber must know before any increment."""
        return list(self._now.values())

    def snapshots(self) -> Iterable[MetricSnapshot]:
        """The latest snapshot of each instrument."""
        return [latest.snapshot for latest in self._latest.values()]

    @property
    def ring_end(self) -> int:
        """The number of status events so far."""
        return self._ring_end

    def statuses_since(self, cursor: int) -> tuple[list[bytes], int]:
        """The status events after ``cursor``, and how many of them are already gone from the ring."""
        start = max(0, cursor - (self._ring_end - len(self._ring)))
        missed = max(0, self._ring_end - len(self._ring) - cursor)
        return list(islice(self._ring, start, None)), missed

    def changed_since(self, version: int) -> tuple[list[tuple[Key, _Latest]], int]:
        """The instruments whose snapshot is newer than ``version``, newest first, and the version of now."""
        changed = []
        for key, latest in reversed(self._latest.items()):
            if latest.version <= version:
                break
            changed.append((key, latest))
        return changed, self._version

    def head(self, latest: _Latest) -> bytes:
        """The text of a snapshot without its count, made once however many read it."""
        if latest.head is None:
            try:
                latest.head = snapshot_head(latest.snapshot)
            except NotFinite as exc:
                latest.head = self._mended_head(latest.snapshot, exc)
        return latest.head

    def _mended_head(self, snapshot: MetricSnapshot, exc: NotFinite) -> bytes:
        # A fault of one metric must not stop the others: unknown is null. Told once an instrument, this is a hot side.
        key = (snapshot.venue, snapshot.instrument)
        if key not in self._not_finite:
            self._not_finite.add(key)
            log.error("metric_not_finite", venue=key[0], instrument=key[1], detail=str(exc))
        values = {name: v if v is not None and isfinite(v) else None for name, v in snapshot.values.items()}
        return snapshot_head(structs.replace(snapshot, values=values))

    def _snapshot(self, snapshot: MetricSnapshot) -> None:
        self._version += 1
        key = (snapshot.venue, snapshot.instrument)
        before = self._latest.pop(key, None)
        count = snapshot.conflated + (before.count if before else 0)
        self._latest[key] = _Latest(snapshot, count, self._version)
        self._poke()

    def _status(self, event: object) -> None:
        text = status_json(event)
        if text is None:
            return
        self._ring.append(text)
        self._ring_end += 1
        topic = _topic(event)
        if topic is not None:
            self._now[topic] = text
        self._poke()

    def _poke(self) -> None:
        for waiter in self._waiters:
            waiter.state_changed()


class Reader:
    """One reader's place in the hub. What was taken is forgotten on :meth:`commit`, so a failed write loses nothing."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._version = 0
        self._seen = {key: latest.count - 1 for key, latest in hub.changed_since(0)[0]}
        self._taken: tuple[int, dict[Key, int], int] = (0, {}, hub.ring_end)
        self._status_cursor = hub.ring_end
        self.conflated = 0  # states that were overtaken before this reader could have them
        self.missed = 0  # status events that were gone from the ring

    def take(self, wanted: Callable[[MetricSnapshot], bool] | None = None) -> list[State]:
        """The instruments that changed since the last commit, in the order of their change."""
        changed, version = self._hub.changed_since(self._version)
        seen: dict[Key, int] = {}
        states = []
        for key, latest in reversed(changed):
            seen[key] = latest.count
            if wanted is None or wanted(latest.snapshot):
                states.append(State(self._hub, latest, max(1, latest.count - self._seen.get(key, 0))))
        self._taken = (version, seen, self._taken[2])
        return states

    def take_statuses(self) -> list[bytes]:
        """The status events since the last commit; what was lost to the ring is counted in ``missed``."""
        texts, missed = self._hub.statuses_since(self._status_cursor)
        self.missed += missed
        self._status_cursor += missed
        self._taken = (*self._taken[:2], self._hub.ring_end)
        return texts

    def commit(self) -> None:
        """What was taken has arrived."""
        version, seen, status_cursor = self._taken
        for key, count in seen.items():
            self.conflated += max(0, count - self._seen.get(key, 0) - 1)
        self._seen.update(seen)
        self._version = max(self._version, version)
        self._status_cursor = status_cursor
        self._taken = (self._version, {}, status_cursor)

    def rewind(self) -> None:
        """The target has forgotten everything: the latest states are new to it."""
        self._version = 0
        self._taken = (0, {}, self._status_cursor)


def _topic(event: object) -> tuple[object, ...] | None:
    """What a status event is the last word on; None where it is on nothing. The set is bounded by the configuration."""
    match event:
        case BookValid() | BookInvalid():
            return ("book", event.venue, event.instrument)
        case StreamState():
            return ("stream", event.venue, event.channel, event.instrument)
        case LinkUp() | LinkDown():
            return ("link", event.venue, event.conn)
        case Notice():
            return ("proof", event.venue, event.channel) if event.what.startswith("proof_") else None
        case _:
            raise TypeError(f"no status event: {event!r}")
