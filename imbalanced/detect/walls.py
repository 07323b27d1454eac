# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Large levels, and whether they stand when the touch comes to them.

A *wall* is a level of at least 4 times the median of the best 20 of its side, and of at least the 0.9 quantile of what
takers take in a minute. When the touch comes near (one of the two best levels, or within 2 ticks or 1 basis point), it
has *left* if at least 70 % of it is cancelled within a second before or after, else it *stood*. This marks a pattern,
it accuses nobody.
"""

from __future__ import annotations

from array import array
from decimal import Decimal
from typing import ClassVar

import cython
from msgspec import Struct

if not cython.compiled:
    from imbalanced.book import Book, Ladder
    from imbalanced.detect.cohorts import Cohorts
    from imbalanced.metrics.metric import Metric
    from imbalanced.metrics.statistics import RollingQuantile
else:
    from cython.cimports.imbalanced.book import Book, Ladder
    from cython.cimports.imbalanced.detect.cohorts import Cohorts
    from cython.cimports.imbalanced.metrics.metric import Metric
    from cython.cimports.imbalanced.metrics.statistics import RollingQuantile

from imbalanced.metrics import metric
from imbalanced.metrics.statistics import QuantileOptions

NOT_INPUT = cython.declare(cython.int, metric.NOT_INPUT)
SECOND = cython.declare(cython.longlong, 1_000_000_000)
MINUTE = cython.declare(cython.longlong, 60_000_000_000)
MEMORY_NS = 600_000_000_000
# Levels of a side whose sizes are compared, levels that are looked at, and walls that are remembered.
BEST = cython.declare(cython.Py_ssize_t, 20)
LOOKED_AT = cython.declare(cython.Py_ssize_t, 50)
MOST = cython.declare(cython.Py_ssize_t, 16)
FEWEST = cython.declare(cython.Py_ssize_t, 5)
# What a wall is doing: it stands, the touch came to it, it went before that, it was judged and is still there.
STANDS = cython.declare(cython.int, 0)
REACHED = cython.declare(cython.int, 1)
GONE = cython.declare(cython.int, 2)
JUDGED = cython.declare(cython.int, 3)


class Case(Struct, frozen=True, gc=False):
    """One wall that the touch came to. ``pattern``: small takers of the other side were there when it left."""

    t_ns: int
    side: int
    left: bool
    volume: float
    pattern: bool


@cython.cclass
class Wall:
    """One of them: its ladder key, the most that it held, what it is doing and since when."""

    def __init__(self, key: int, size: float) -> None:
        self.key = key
        self.size = size
        self.state = STANDS
        self.since_ns = 0


@cython.cclass
class Walls(Metric):
    """The walls of one instrument, looked at on each tick of the clock; ``cases`` are those of the last 10 minutes."""

    inputs: ClassVar[str] = "book trade clock"

    def __init__(self, cohorts: Cohorts, tick: int) -> None:
        super().__init__(1)
        self._cohorts = cohorts
        self._minutes = RollingQuantile(QuantileOptions(q=Decimal("0.9"), window=1440, min_count=5))
        self._sizes: cython.double[::1] = array("d", bytes(8 * BEST))
        self._tick = tick
        self._taken = 0.0
        self._minute_ns = 0
        self._forget()

    @cython.cfunc
    def _forget(self) -> cython.void:
        self.bids: list[Wall] = []
        self.asks: list[Wall] = []
        self.cases: list[Case] = []

    @cython.ccall
    def book_replaced(self, book: Book, t_ns: cython.longlong) -> cython.int:
        self._forget()
        return NOT_INPUT

    @cython.ccall
    def book_invalid(self, t_ns: cython.longlong) -> cython.int:
        self._forget()
        return NOT_INPUT

    @cython.ccall
    def trade(self, px: cython.longlong, size: cython.double, sign: cython.int, t_ns: cython.longlong) -> cython.int:
        if sign != 0:
            self._count(size, t_ns)
        return NOT_INPUT

    @cython.cfunc
    def _count(self, size: cython.double, t_ns: cython.longlong) -> cython.void:
        """What takers take in a minute; a minute without any is one of 0, a longer silence is no past."""
        if t_ns - self._minute_ns >= MINUTE:
            if self._minute_ns and t_ns - self._minute_ns < 2 * MINUTE:
                self._minutes.update(self._taken)
            self._minute_ns = t_ns // MINUTE * MINUTE
            self._taken = 0.0
        self._taken += size

    @cython.ccall
    def clock(self, book: Book, t_ns: cython.longlong) -> cython.int:
        self._count(0.0, t_ns)
        if book.ok():
            self._watch(book.bids, self.bids, t_ns)
            self._watch(book.asks, self.asks, t_ns)
            while self.cases and self.cases[0].t_ns <= t_ns - MEMORY_NS:
                self.cases.pop(0)
        return NOT_INPUT

    @cython.cfunc
    def _watch(self, ladder: Ladder, known: list, t_ns: cython.longlong) -> cython.void:  # type: ignore[type-arg]  # a C type
        bar: cython.double
        busy: cython.double = self._minutes.threshold()
        at: cython.Py_ssize_t
        if ladder.n >= FEWEST:
            bar = 4 * self._median(ladder)
            bar = max(bar, busy)
            self._find(ladder, known, bar)
        for at in range(len(known) - 1, -1, -1):
            if self._over(known[at], ladder, t_ns):
                del known[at]

    @cython.cfunc
    def _median(self, ladder: Ladder) -> cython.double:
        """Of the sizes of the best levels."""
        count: cython.Py_ssize_t = min(BEST, ladder.n)
        i: cython.Py_ssize_t
        k: cython.Py_ssize_t
        size: cython.double
        for i in range(count):
            size = ladder.size[ladder.n - 1 - i]
            k = i
            while k > 0 and self._sizes[k - 1] > size:
                self._sizes[k] = self._sizes[k - 1]
                k -= 1
            self._sizes[k] = size
        return (self._sizes[(count - 1) // 2] + self._sizes[count // 2]) / 2.0

    @cython.cfunc
    def _find(self, ladder: Ladder, known: list, bar: cython.double) -> cython.void:  # type: ignore[type-arg]  # a C type
        i: cython.Py_ssize_t
        k: cython.Py_ssize_t
        wall: Wall
        for i in range(min(LOOKED_AT, ladder.n)):
            if ladder.size[ladder.n - 1 - i] < bar:
                continue
            for k in range(len(known)):
                wall = known[k]
                if wall.key == ladder.key[ladder.n - 1 - i]:
                    break
            else:
                if len(known) < MOST:
                    known.append(Wall(ladder.key[ladder.n - 1 - i], ladder.size[ladder.n - 1 - i]))

    @cython.cfunc
    def _near(self, ladder: Ladder, key: cython.longlong) -> cython.bint:
        best: cython.longlong = ladder.key[ladder.n - 1]
        second: cython.longlong = ladder.key[ladder.n - 2] if ladder.n > 1 else best
        near: cython.longlong = max(2 * self._tick, (best if best > 0 else -best) // 10_000)
        return key >= second or best - key <= near

    @cython.cfunc
    def _over(self, wall: Wall, ladder: Ladder, t_ns: cython.longlong) -> cython.bint:
        """One step of a wall; True when it need not be watched any longer."""
        size: cython.double = ladder.size_at(wall.key if wall.key > 0 else -wall.key)
        near: cython.bint = self._near(ladder, wall.key)
        if wall.state == JUDGED:
            return size < 0.5 * wall.size or not near
        if wall.state == REACHED:
            if t_ns - wall.since_ns >= SECOND:
                self._judge(wall, t_ns)
            return wall.state == JUDGED and size < 0.5 * wall.size
        if near:
            wall.state = REACHED
            wall.since_ns = t_ns
            return False
        if wall.state == GONE:
            return t_ns - wall.since_ns >= SECOND
        wall.size = max(wall.size, size)
        if size < 0.3 * wall.size:
            wall.state = GONE
            wall.since_ns = t_ns
        return False

    @cython.cfunc
    def _judge(self, wall: Wall, t_ns: cython.longlong) -> cython.void:
        side: cython.int = 1 if wall.key > 0 else -1
        since_ns: cython.longlong = wall.since_ns - SECOND
        left: cython.bint = self._cohorts.cancelled_at(wall.key, since_ns) >= 0.7 * wall.size
        # A bid wall invites buying; who put it there sells.
        taken: cython.double = self._cohorts.taken(-side, since_ns)
        self.cases.append(Case(t_ns, side, bool(left), wall.size, bool(left and 0 < taken < wall.size)))
        wall.state = JUDGED

    def standing(self, side: int) -> float:
        """The size of the walls that stand on a side now."""
        return sum(wall.size for wall in (self.bids if side > 0 else self.asks) if wall.state != GONE)

    def leaving(self, side: int) -> float:
        """How much of what the touch came to has left: by volume, by count while there are fewer than 5 cases."""
        cases = [case for case in self.cases if case.side == side]
        left = [case for case in cases if case.left]
        if len(cases) < 5:
            return (1.0 + len(left)) / (2.0 + len(cases))
        return sum(case.volume for case in left) / sum(case.volume for case in cases)

    def pattern(self, side: int) -> bool:
        """Whether a wall of this side left while small takers traded against what it invited."""
        return any(case.side == side and case.pattern for case in self.cases)
