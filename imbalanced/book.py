# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""One ladder of prices and sizes, exact and cheap: replace, apply, top, depth.

Prices are integers (units of ``10 ** -price_scale``, see ``events.py``), sizes float64 base units. Both sides are kept
as sorted arrays with the *best level last*, so that an insert near the touch moves few elements; asks are stored by
their negated price, so that one class serves both sides. No Python object exists per level.

What a book refuses, and who refuses it. The codec turns wire text into numbers and lets nothing else through:

====================================  ==============================================================================
in a frame                            rule
====================================  ==============================================================================
size 0                                removes the level; removing an absent level does nothing
size NaN, infinite or negative        the frame is refused: ``parse_error``, the book is no longer trusted
price NaN, infinite, zero, negative   refused likewise
price finer than ``price_scale``      refused likewise (trailing zeros are no digits)
price or size of absurd magnitude     refused likewise: price at most ``MAX_PX`` units, size at most ``MAX_SIZE``
the same price twice on one side      the later row wins
====================================  ==============================================================================

Whether a book may be trusted is not decided here (``sync.py``); whether it is crossed is only answered.
Compiled by Cython where a compiler was there at install, the same file runs without.
"""

from __future__ import annotations

from array import array

import cython

if cython.compiled:
    from cython.cimports.libc.string import memmove

MAX_PX = 10**18
MAX_SIZE = 1e18


def _integers(n: int) -> array[int]:
    return array("q", bytes(8 * n))


def _doubles(n: int) -> array[float]:
    return array("d", bytes(8 * n))


@cython.final
@cython.cclass
class Rows:
    """The levels of one message: bids first (``n_bids`` of them), then asks; after ``Book.apply`` also the sizes
    before.
    """

    def __init__(self, capacity: int = 64) -> None:
        capacity = max(capacity, 1)
        self.px: cython.longlong[::1] = _integers(capacity)
        self.size: cython.double[::1] = _doubles(capacity)
        self.old: cython.double[::1] = _doubles(capacity)
        self.n = 0
        self.n_bids = 0

    @cython.ccall
    def clear(self) -> cython.void:
        self.n = 0
        self.n_bids = 0

    @cython.cfunc
    def _grow(self) -> cython.void:
        capacity: cython.Py_ssize_t = 2 * len(self.px)
        px = _integers(capacity)
        size = _doubles(capacity)
        i: cython.Py_ssize_t
        px_new: cython.longlong[::1] = px
        size_new: cython.double[::1] = size
        for i in range(self.n):
            px_new[i] = self.px[i]
            size_new[i] = self.size[i]
        self.px = px_new
        self.size = size_new
        self.old = _doubles(capacity)

    @cython.ccall
    def add(self, px: cython.longlong, size: cython.double) -> cython.void:
        """One more row of the present side."""
        if self.n == len(self.px):
            self._grow()
        self.px[self.n] = px
        self.size[self.n] = size
        self.n += 1

    @cython.ccall
    def end_bids(self) -> cython.void:
        """All bids are in; what is added from now on are asks."""
        self.n_bids = self.n

    def copy(self) -> Rows:
        """An independent copy, for a buffer."""
        other = Rows(self.n)
        i: cython.Py_ssize_t
        for i in range(self.n):
            other.px[i] = self.px[i]
            other.size[i] = self.size[i]
        other.n = self.n
        other.n_bids = self.n_bids
        return other

    def bids(self) -> list[tuple[int, float]]:
        """The bid rows as ``(px, size)``, in the order of the message."""
        return [(self.px[i], self.size[i]) for i in range(self.n_bids)]

    def asks(self) -> list[tuple[int, float]]:
        """The ask rows as ``(px, size)``, in the order of the message."""
        return [(self.px[i], self.size[i]) for i in range(self.n_bids, self.n)]


@cython.final
@cython.cclass
class Ladder:
    """One side. ``key`` is ``sign * px`` ascending, so the best level is the last: bids sign +1, asks sign -1.

    Rank 0 is the best level; ``key[n - 1 - rank]`` is its key.
    """

    def __init__(self, sign: int, capacity: int = 64) -> None:
        self.sign = sign
        self.n = 0
        self.key: cython.longlong[::1] = _integers(capacity)
        self.size: cython.double[::1] = _doubles(capacity)

    def __len__(self) -> int:
        return self.n

    @cython.ccall
    def clear(self) -> cython.void:
        self.n = 0

    @cython.cfunc
    def _grow(self) -> cython.void:
        # By a quarter, not by double: a book of 1,000 levels a side is meant to stay near 32 KB.
        capacity: cython.Py_ssize_t = len(self.key) + len(self.key) // 4 + 16
        key: cython.longlong[::1] = _integers(capacity)
        size: cython.double[::1] = _doubles(capacity)
        i: cython.Py_ssize_t
        for i in range(self.n):
            key[i] = self.key[i]
            size[i] = self.size[i]
        self.key = key
        self.size = size

    @cython.cfunc
    def _place(self, key: cython.longlong) -> cython.Py_ssize_t:
        """The first index whose key is >= ``key``. Looks near the touch first, where nearly all rows fall."""
        low: cython.Py_ssize_t = 0
        high: cython.Py_ssize_t = self.n
        step: cython.Py_ssize_t = 8
        mid: cython.Py_ssize_t
        while step < self.n:
            if self.key[self.n - step] < key:
                low = self.n - step + 1
                break
            high = self.n - step
            step *= 4
        while low < high:
            mid = (low + high) // 2
            if self.key[mid] < key:
                low = mid + 1
            else:
                high = mid
        return low

    @cython.ccall
    def put(self, px: cython.longlong, size: cython.double) -> cython.double:
        """Set the size at a price, 0 removes; answers the size before (0 if there was none)."""
        key: cython.longlong = self.sign * px
        at: cython.Py_ssize_t = self._place(key)
        old: cython.double
        if at < self.n and self.key[at] == key:
            old = self.size[at]
            if size > 0:
                self.size[at] = size
                return old
            self.n -= 1
            _move(self, at + 1, at, self.n - at)
            return old
        if size > 0:
            if self.n == len(self.key):
                self._grow()
            _move(self, at, at + 1, self.n - at)
            self.key[at] = key
            self.size[at] = size
            self.n += 1
        return 0.0

    @cython.ccall
    def size_at(self, px: cython.longlong) -> cython.double:
        """The size at a price, 0 if there is no such level."""
        key: cython.longlong = self.sign * px
        at: cython.Py_ssize_t = self._place(key)
        if at < self.n and self.key[at] == key:
            return self.size[at]
        return 0.0

    @cython.ccall
    def px_at(self, rank: cython.Py_ssize_t) -> cython.longlong:
        """The price of a rank (0 = best); 0 where there is no such rank."""
        if rank < 0 or rank >= self.n:
            return 0
        return self.sign * self.key[self.n - 1 - rank]

    @cython.ccall
    def size_of(self, rank: cython.Py_ssize_t) -> cython.double:
        """The size of a rank (0 = best); 0 where there is no such rank."""
        if rank < 0 or rank >= self.n:
            return 0.0
        return self.size[self.n - 1 - rank]

    @cython.ccall
    def truncate(self, depth: cython.Py_ssize_t) -> cython.void:
        """Keep the best ``depth`` levels."""
        if self.n > depth:
            _move(self, self.n - depth, 0, depth)
            self.n = depth

    @cython.ccall
    def fill(self, rows: Rows, start: cython.Py_ssize_t, stop: cython.Py_ssize_t) -> cython.void:
        """Forget everything and take these rows. Venues send them best first, so they are put worst first."""
        i: cython.Py_ssize_t
        self.n = 0
        for i in range(stop - 1, start - 1, -1):
            # A price that comes twice: the later row wins, and it is put first here.
            if self.size_at(rows.px[i]) == 0:
                self.put(rows.px[i], rows.size[i])

    def levels(self, count: int) -> list[tuple[int, float]]:
        """The best ``count`` levels as ``(px, size)``, best first."""
        last: cython.Py_ssize_t = self.n - 1
        return [(self.sign * self.key[last - i], self.size[last - i]) for i in range(min(count, self.n))]


@cython.cfunc
@cython.inline
def _move(
    ladder: Ladder, source: cython.Py_ssize_t, target: cython.Py_ssize_t, count: cython.Py_ssize_t
) -> cython.void:
    """The last ``count`` levels by one place."""
    if cython.compiled:
        if count > 0:
            memmove(cython.address(ladder.key[target]), cython.address(ladder.key[source]), 8 * count)
            memmove(cython.address(ladder.size[target]), cython.address(ladder.size[source]), 8 * count)
    elif source < target:
        for i in range(count - 1, -1, -1):
            ladder.key[target + i] = ladder.key[source + i]
            ladder.size[target + i] = ladder.size[source + i]
    else:
        for i in range(count):
            ladder.key[target + i] = ladder.key[source + i]
            ladder.size[target + i] = ladder.size[source + i]


@cython.final
@cython.cclass
class Book:
    """Both sides and the message that was applied last (``rows``).

    ``live`` says that the venue's own proof holds; it is set by ``sync.py``, and nothing to the right of it looks at a
    book that is not live.
    """

    def __init__(self) -> None:
        self.bids = Ladder(1)
        self.asks = Ladder(-1)
        self.rows = Rows()
        self.live = False

    @cython.ccall
    def clear(self) -> cython.void:
        """Empty and not live."""
        self.bids.clear()
        self.asks.clear()
        self.rows = Rows()  # those of the last change are not ours: a codec may have filled them again meanwhile
        self.live = False

    @cython.ccall
    def replace(self, rows: Rows) -> cython.void:
        """The whole book anew."""
        self.bids.fill(rows, 0, rows.n_bids)
        self.asks.fill(rows, rows.n_bids, rows.n)
        self.rows = rows

    @cython.ccall
    def apply(self, rows: Rows) -> cython.void:
        """All rows of one message at once; ``rows.old`` then has the sizes before each row."""
        i: cython.Py_ssize_t
        bids: Ladder = self.bids
        asks: Ladder = self.asks
        for i in range(rows.n_bids):
            rows.old[i] = bids.put(rows.px[i], rows.size[i])
        for i in range(rows.n_bids, rows.n):
            rows.old[i] = asks.put(rows.px[i], rows.size[i])
        self.rows = rows

    def changes_to(self, rows: Rows) -> Rows:
        """The rows that turn this book into the one of ``rows``: what is new or differs, and a 0 for what is gone."""
        told = Rows(rows.n)
        other = Book()
        other.replace(rows)
        for mine, theirs in ((self.bids, other.bids), (self.asks, other.asks)):
            if mine.sign < 0:
                told.end_bids()
            for px, size in theirs.levels(theirs.n):
                if mine.size_at(px) != size:
                    told.add(px, size)
            for px, _ in mine.levels(mine.n):
                if theirs.size_at(px) == 0:
                    told.add(px, 0.0)
        return told

    @cython.ccall
    def clean(self) -> cython.bint:
        """Live and not crossed (one side or both may be empty)."""
        if not self.live:
            return False
        if self.bids.n == 0 or self.asks.n == 0:
            return True
        return self.bids.key[self.bids.n - 1] <= -self.asks.key[self.asks.n - 1]

    @cython.ccall
    def ok(self) -> cython.bint:
        """Live, two-sided and not crossed: everything has a value."""
        return self.bids.n > 0 and self.asks.n > 0 and self.clean()
