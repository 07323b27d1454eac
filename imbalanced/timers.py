"""The timers of one session: a wake-up is always ordered for the earliest, and each comes back by name."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from imbalanced.venues.codec import Wake

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imbalanced.venues.codec import Command

# So often it is asked who has gone quiet (``watch.py``).
WATCH_EVERY_NS = 1_000_000_000


class Timers:
    """What is due when: a word and an argument. Orders go to ``outbox``."""

    def __init__(self, venue: str, outbox: list[Command]) -> None:
        self._venue = venue
        self._outbox = outbox
        self._heap: list[tuple[int, str, str]] = []
        self._ordered_ns = 0

    def at(self, at_ns: int, what: str, arg: str = "") -> None:
        """Ring at this time or as soon after it as possible."""
        heapq.heappush(self._heap, (at_ns, what, arg))
        self._order()

    def due(self, now_ns: int) -> Iterator[tuple[str, str]]:
        """All that is due, the earliest first; what is set meanwhile may be among it."""
        while self._heap and self._heap[0][0] <= now_ns:
            _, what, arg = heapq.heappop(self._heap)
            yield what, arg
        self._ordered_ns = 0
        self._order()

    def next_ns(self) -> int:
        """The earliest; 0 where there is none."""
        return self._heap[0][0] if self._heap else 0

    def _order(self) -> None:
        if self._heap and self._heap[0][0] != self._ordered_ns:
            self._ordered_ns = self._heap[0][0]
            self._outbox.append(Wake(venue=self._venue, at_ns=self._ordered_ns))
