"""Numbers of the last while and their quantiles, for filters that sample once a second or slower."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right, insort
from math import floor


class Rolling:
    """Samples of the last ``window_ns``, at most one every ``every_ns``. What is not a number is no sample.

    Arrays and no objects: a hundred instruments keep some hours of a dozen of these.
    """

    def __init__(self, window_ns: int, every_ns: int) -> None:
        self._window_ns = window_ns
        self._every_ns = every_ns
        # In their order from ``_first`` on; what is before has left.
        self._times_ns = array("q")
        self._values = array("d")
        self._first = 0
        self._sorted = array("d")
        self._next_ns = 0

    def __len__(self) -> int:
        return len(self._sorted)

    def due(self, t_ns: int) -> bool:
        """Whether the next sample may come."""
        return t_ns >= self._next_ns

    def add(self, t_ns: int, x: float) -> None:
        """One more; what is too old leaves. Times never decrease."""
        self._next_ns = (t_ns // self._every_ns + 1) * self._every_ns
        self._forget(t_ns - self._window_ns)
        if x == x:
            self._times_ns.append(t_ns)
            self._values.append(x)
            insort(self._sorted, x)

    def _forget(self, until_ns: int) -> None:
        first, times_ns = self._first, self._times_ns
        while first < len(times_ns) and times_ns[first] <= until_ns:
            del self._sorted[bisect_left(self._sorted, self._values[first])]
            first += 1
        if 2 * first > len(times_ns):
            del times_ns[:first], self._values[:first]
            first = 0
        self._first = first

    def clear(self) -> None:
        """All leave."""
        del self._times_ns[:], self._values[:], self._sorted[:]
        self._first = 0

    def span_ns(self) -> int:
        """From the oldest sample to the newest."""
        return self._times_ns[-1] - self._times_ns[self._first] if self._sorted else 0

    def latest(self, count: int) -> list[float]:
        """The newest ``count`` samples, newest first."""
        return self._values[max(len(self._values) - count, self._first) :].tolist()[::-1]

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
