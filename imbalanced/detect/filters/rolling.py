"""Numbers of the last while and their quantiles, for filters that sample once a second or slower."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from math import floor

ROOM_NS = 3600 * 10**9


class Rolling:
    """Samples of the last ``window_ns``, at most one every ``every_ns``. What is not a number is no sample.

    Arrays and no objects, with room for what the first hour can bring: a hundred instruments keep hours of a dozen of
    these, and a daemon that is watched for its memory should not creep for an hour.
    """

    def __init__(self, window_ns: int, every_ns: int) -> None:
        self._window_ns = window_ns
        self._every_ns = every_ns
        # A ring, in order from ``_first`` on; of the sorted ones the first ``_count`` are in use.
        room = min(window_ns // every_ns + 1, max(ROOM_NS // every_ns, 60) + 1)
        self._times_ns = array("q", bytes(8 * room))
        self._values = array("d", bytes(8 * room))
        self._sorted = array("d", bytes(8 * room))
        self._first = self._count = 0
        self._next_ns = 0

    def __len__(self) -> int:
        return self._count

    def _at(self, i: int) -> int:
        """Where the ``i``-th is, the oldest being 0, the newest -1."""
        return (self._first + (i if i >= 0 else self._count + i)) % len(self._values)

    def due(self, t_ns: int) -> bool:
        """Whether the next sample may come."""
        return t_ns >= self._next_ns

    def add(self, t_ns: int, x: float) -> None:
        """One more; what is too old leaves. Times never decrease."""
        self._next_ns = (t_ns // self._every_ns + 1) * self._every_ns
        while self._count and self._times_ns[self._first] <= t_ns - self._window_ns:
            self._leave(bisect_left(self._sorted, self._values[self._first], 0, self._count))
            self._first = (self._first + 1) % len(self._values)
        if x == x:
            if self._count == len(self._values):
                self._grow()
            at = self._at(self._count)
            self._times_ns[at], self._values[at] = t_ns, x
            self._enter(bisect_right(self._sorted, x, 0, self._count), x)

    def _leave(self, place: int) -> None:
        self._sorted[place : self._count - 1] = self._sorted[place + 1 : self._count]
        self._count -= 1

    def _enter(self, place: int, x: float) -> None:
        self._sorted[place + 1 : self._count + 1] = self._sorted[place : self._count]
        self._sorted[place] = x
        self._count += 1

    def _grow(self) -> None:
        first, more = self._first, bytes(8 * len(self._values))
        self._times_ns = self._times_ns[first:] + self._times_ns[:first] + array("q", more)
        self._values = self._values[first:] + self._values[:first] + array("d", more)
        self._sorted = self._sorted + array("d", more)
        self._first = 0

    def clear(self) -> None:
        """All leave."""
        self._first = self._count = 0

    def span_ns(self) -> int:
        """From the oldest sample to the newest."""
        return self._times_ns[self._at(-1)] - self._times_ns[self._first] if self._count else 0

    def latest(self, count: int) -> list[float]:
        """The newest ``count`` samples, newest first."""
        return [self._values[self._at(-1 - i)] for i in range(min(count, self._count))]

    def quantile(self, q: float) -> float:
        """Linear between the samples, which must be there."""
        pos = q * (self._count - 1)
        below = floor(pos)
        if below + 1 >= self._count:
            return self._sorted[below]
        return self._sorted[below] + (pos - below) * (self._sorted[below + 1] - self._sorted[below])

    def median(self) -> float:
        """The middle of them."""
        return self.quantile(0.5)

    def rank(self, x: float) -> float:
        """The share of them below ``x``, ties half."""
        below = bisect_left(self._sorted, x, 0, self._count)
        return (below + bisect_right(self._sorted, x, below, self._count)) / 2.0 / self._count


def median_of(values: list[float]) -> float:
    """The middle of some numbers, at least one."""
    ordered = sorted(values)
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2.0
