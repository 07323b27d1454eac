"""Numbers of the last while and their quantiles, for filters that sample once a second or slower."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right, insort
from math import floor


class Rolling:
    """Samples of the last ``window_ns``, at most one every ``every_ns``. What is not a number is no sample.

    Arrays and no objects: a hundred instruments keep hours of a dozen of these.
    """

    def __init__(self, window_ns: int, every_ns: int) -> None:
        self._window_ns = window_ns
        self._every_ns = every_ns
        # A ring, in order from ``_first`` on, with room for what a window can hold (or the first ten minutes of it).
        room = min(window_ns // every_ns + 1, 600)
        self._times_ns = array("q", bytes(8 * room))
        self._values = array("d", bytes(8 * room))
        self._first = 0
        self._sorted = array("d")
        self._next_ns = 0

    def __len__(self) -> int:
        return len(self._sorted)

    def _at(self, i: int) -> int:
        """Where the ``i``-th is, the oldest being 0, the newest -1."""
        count = len(self._sorted)
        return (self._first + (i if i >= 0 else count + i)) % len(self._values)

    def due(self, t_ns: int) -> bool:
        """Whether the next sample may come."""
        return t_ns >= self._next_ns

    def add(self, t_ns: int, x: float) -> None:
        """One more; what is too old leaves. Times never decrease."""
        self._next_ns = (t_ns // self._every_ns + 1) * self._every_ns
        while self._sorted and self._times_ns[self._first] <= t_ns - self._window_ns:
            del self._sorted[bisect_left(self._sorted, self._values[self._first])]
            self._first = (self._first + 1) % len(self._values)
        if x == x:
            if len(self._sorted) == len(self._values):
                self._grow()
            at = self._at(len(self._sorted))
            self._times_ns[at], self._values[at] = t_ns, x
            insort(self._sorted, x)

    def _grow(self) -> None:
        first, more = self._first, bytes(8 * len(self._values))
        self._times_ns = self._times_ns[first:] + self._times_ns[:first] + array("q", more)
        self._values = self._values[first:] + self._values[:first] + array("d", more)
        self._first = 0

    def clear(self) -> None:
        """All leave."""
        self._sorted = array("d")
        self._first = 0

    def span_ns(self) -> int:
        """From the oldest sample to the newest."""
        return self._times_ns[self._at(-1)] - self._times_ns[self._first] if self._sorted else 0

    def latest(self, count: int) -> list[float]:
        """The newest ``count`` samples, newest first."""
        return [self._values[self._at(-1 - i)] for i in range(min(count, len(self._sorted)))]

    def quantile(self, q: float) -> float:
        """Linear between the samples, which must be there."""
        pos = q * (len(self._sorted) - 1)
        below = floor(pos)
        if below + 1 >= len(self._sorted):
            return self._sorted[below]
        return self._sorted[below] + (pos - below) * (self._sorted[below + 1] - self._sorted[below])

    def median(self) -> float:
        """The middle of them."""
        return self.quantile(0.5)

    def rank(self, x: float) -> float:
        """The share of them below ``x``, ties half."""
        return (bisect_left(self._sorted, x) + bisect_right(self._sorted, x)) / 2.0 / len(self._sorted)


def median_of(values: list[float]) -> float:
    """The middle of some numbers, at least one."""
    ordered = sorted(values)
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2.0
