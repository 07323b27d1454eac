# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""How old the depth is: cohorts of added volume per level, and what becomes of them.

From level data (L2) nobody sees single orders. But what a level gains has a time; what it loses is trades, which take
the oldest of a level (price and time have priority), or cancellations, which are taken to be the newest (orders that
live shortly are the ones that are pulled). Trades and decreases find each other as in ``metrics/cancels.py``. Real
orders (L3) would replace the guess.

Only volume that came within ``keep`` is in the memory: all else that a level holds is older, so a level that nobody
touches costs nothing, and a message costs its rows, not the book. Additions beyond ``reach`` from the touch (and beyond
the best 20 levels) are not followed and count as old. Keys are the ladder's: the price of a bid, the negated price of
an ask.
"""

from __future__ import annotations

from array import array
from math import nan
from typing import ClassVar

import cython

if not cython.compiled:
    from imbalanced.book import Book, Ladder, Rows
    from imbalanced.detect.arrivals import Arrivals, Leavers
    from imbalanced.metrics.cancels import Volumes, rounding, unexplained
    from imbalanced.metrics.metric import Metric
else:
    from cython.cimports.imbalanced.book import Book, Ladder, Rows
    from cython.cimports.imbalanced.detect.arrivals import Arrivals, Leavers
    from cython.cimports.imbalanced.metrics.cancels import Volumes, rounding, unexplained
    from cython.cimports.imbalanced.metrics.metric import Metric

from imbalanced.metrics import metric
from imbalanced.metrics.metric import NS_PER_MS

# As C integers: a Python global costs a lookup and a conversion at every answer.
NOT_INPUT = cython.declare(cython.int, metric.NOT_INPUT)
NONE = cython.declare(cython.longlong, -1)
# Of a cancellation whose volume is older than the memory.
OLD = cython.declare(cython.longlong, -1)
# A side's best levels, as `flicker` looks at them.
NEAR = cython.declare(cython.Py_ssize_t, 5)
# And those that are followed however far they reach.
FOLLOWED = cython.declare(cython.Py_ssize_t, 20)
GAPS = cython.declare(cython.Py_ssize_t, 63)
MATCH_NS = cython.declare(cython.longlong, 250_000_000)


@cython.final
@cython.cclass
class Cohorts(Metric):
    """The memory of one instrument. It answers nothing by itself: filters and aged depth ask it.

    ``early_ns``: what is cancelled at most so long after it came has flickered: 500 ms, or three batches of the venue
    where those are longer (what lives shorter than a batch cannot be seen). Cost of a message: its rows.
    """

    inputs: ClassVar[str] = "book trade clock"

    def __init__(self, keep_ms: int = 10_000, early_ms: int = 500, reach_bps: float = 30.0) -> None:
        super().__init__(1)
        self._keep_ns = keep_ms * NS_PER_MS
        self._least_ns = early_ms * NS_PER_MS
        self._reach = reach_bps * 1e-4
        self._arrivals = Arrivals()
        self._leavers = Leavers()
        self._takers = Leavers(64)
        self._cancels = Volumes()
        self._trades = Volumes()
        self._gaps: cython.longlong[::1] = array("q", bytes(8 * GAPS))
        self._none = Book()
        self.now_ns = 0
        self._forget()

    @cython.ccall
    def cover(self, bps: cython.double) -> cython.void:
        """Somebody looks so far from the mid: what comes there is followed, and a margin for moves beyond it."""
        self._reach = max(self._reach, 1.5e-4 * bps)

    @cython.cfunc
    def _forget(self) -> cython.void:
        self._arrivals.clear()
        self._leavers.clear()
        self._takers.clear()
        self._cancels.clear()
        self._trades.clear()
        self.book = self._none
        self.early_ns = self._least_ns
        self._gap = 0
        self._book_ns = 0
        self.young_bid = self.young_ask = 0.0

    @cython.cfunc
    def _evict(self, t_ns: cython.longlong) -> cython.void:
        self.now_ns = t_ns
        self._arrivals.evict(t_ns - self._keep_ns)
        self._leavers.evict(t_ns - self._keep_ns)
        self._takers.evict(t_ns - self._keep_ns)
        self._cancels.evict(t_ns - MATCH_NS)
        self._trades.evict(t_ns - MATCH_NS)

    @cython.cfunc
    def _pace(self, t_ns: cython.longlong) -> cython.void:
        """The venue's batch: the median of the last intervals between messages, looked at when all are new."""
        if self._book_ns:
            self._gaps[self._gap] = t_ns - self._book_ns
            self._gap += 1
            if self._gap == GAPS:
                self._gap = 0
                self.early_ns = max(self._least_ns, 3 * sorted(self._gaps[i] for i in range(GAPS))[GAPS // 2])
        self._book_ns = t_ns

    # -- what happens --------------------------------------------------------------------------------------------------

    @cython.ccall
    def book_replaced(self, book: Book, t_ns: cython.longlong) -> cython.int:
        self._forget()
        self.book = book
        self.now_ns = t_ns
        return NOT_INPUT

    @cython.ccall
    def book_invalid(self, t_ns: cython.longlong) -> cython.int:
        self._forget()
        return NOT_INPUT

    @cython.ccall
    def clock(self, book: Book, t_ns: cython.longlong) -> cython.int:
        self._evict(t_ns)
        return NOT_INPUT

    @cython.ccall
    def book_changed(self, book: Book, t_ns: cython.longlong) -> cython.int:
        rows: Rows = book.rows
        self._evict(t_ns)
        self._pace(t_ns)
        self.book = book
        self._side(book.bids, rows, 0, rows.n_bids)
        self._side(book.asks, rows, rows.n_bids, rows.n)
        return NOT_INPUT

    @cython.cfunc
    def _side(self, ladder: Ladder, rows: Rows, start: cython.Py_ssize_t, stop: cython.Py_ssize_t) -> cython.void:
        best: cython.longlong = ladder.key[ladder.n - 1] if ladder.n > 0 else 0
        edge: cython.longlong = best - cython.cast(cython.longlong, self._reach * (best if best > 0 else -best))
        near: cython.longlong = ladder.key[ladder.n - NEAR] if ladder.n >= NEAR else edge
        key: cython.longlong
        i: cython.Py_ssize_t
        if ladder.n >= FOLLOWED:
            edge = min(edge, ladder.key[ladder.n - FOLLOWED])
        for i in range(start, stop):
            key = ladder.sign * rows.px[i]
            if rows.size[i] > rows.old[i]:
                if key >= edge:
                    self._arrivals.add(self.now_ns, key, rows.size[i] - rows.old[i], key >= near)
            elif rows.size[i] < rows.old[i]:
                self._leave(key, rows.old[i], rows.size[i], key >= edge)

    @cython.cfunc
    def _leave(self, key: cython.longlong, old: cython.double, new: cython.double, told: cython.bint) -> cython.void:
        """A level lost volume: first to trades, the rest is cancelled, newest first."""
        arrivals: Arrivals = self._arrivals
        slack: cython.double = rounding(old, old - new)
        left: cython.double = unexplained(self._trades, key, old - new, slack)
        traded: cython.bint = left < old - new
        dead_ns: cython.longlong = self.now_ns - MATCH_NS
        number: cython.longlong = arrivals.newest(key, dead_ns) if left > 0 else NONE
        at: cython.Py_ssize_t
        used: cython.double
        rest: cython.double
        while left > slack and number >= 0:
            at = number & arrivals.mask
            used = min(left, arrivals.left[at])
            rest = arrivals.left[at] - used
            # What rounding leaves is no volume.
            arrivals.leave(at, rest if rest > slack else 0.0, self.now_ns)
            left -= used
            if told:
                self._left(key, used, slack, self.now_ns - arrivals.t[at], number)
            number = arrivals.older(number, dead_ns)
        if left > slack and told:
            self._left(key, left, slack, OLD, NONE)
        if traded:
            self._fit(key, new)

    @cython.cfunc
    def _left(
        self,
        key: cython.longlong,
        amount: cython.double,
        slack: cython.double,
        age_ns: cython.longlong,
        of: cython.longlong,
    ) -> cython.void:
        if of >= 0 and age_ns <= self.early_ns:
            self._arrivals.early[of & self._arrivals.mask] += amount
        self._cancels.add(self.now_ns, key, amount, slack, self._leavers.next)
        self._leavers.add(self.now_ns, key, amount, age_ns, of)

    @cython.cfunc
    def _fit(self, key: cython.longlong, size: cython.double) -> cython.void:
        """No more is young than there is: what trades took was the oldest."""
        arrivals: Arrivals = self._arrivals
        dead_ns: cython.longlong = self.now_ns - MATCH_NS
        number: cython.longlong = arrivals.newest(key, dead_ns)
        room: cython.double = size
        at: cython.Py_ssize_t
        while number >= 0:
            at = number & arrivals.mask
            if arrivals.left[at] > room:
                arrivals.leave(at, room, self.now_ns)
            room -= arrivals.left[at]
            number = arrivals.older(number, dead_ns)

    @cython.ccall
    def trade(self, px: cython.longlong, size: cython.double, sign: cython.int, t_ns: cython.longlong) -> cython.int:
        # Sellers hit the bids, whose keys are prices; buyers the asks, whose keys are negated prices.
        key: cython.longlong = px if sign < 0 else -px
        self._evict(t_ns)
        if sign != 0 and self.book.live:
            self._takers.add(t_ns, key, size, 0, 0)
            self._take_back(key, size)
        return NOT_INPUT

    @cython.cfunc
    def _take_back(self, key: cython.longlong, size: cython.double) -> cython.void:
        """A trade: what was taken for its cancellation was none. The newest are back, it took the oldest."""
        arrivals: Arrivals = self._arrivals
        leavers: Leavers = self._leavers
        left: cython.double = size
        used: cython.double
        number: cython.longlong
        of: cython.longlong
        at: cython.Py_ssize_t
        back: cython.bint = False
        while left > size * 1e-12:
            at = self._cancels.oldest(key)
            if at < 0:
                self._trades.add(self.now_ns, key, left, size * 1e-12, 0)
                break
            used = self._cancels.take(at, left)
            number = self._cancels.number[at]
            left -= used
            of = leavers.of[number & leavers.mask]
            # An entry is emptied exactly, whatever rounding says of the rest.
            leavers.amount[number & leavers.mask] = self._cancels.amount[at]
            if of >= arrivals.first:
                arrivals.left[of & arrivals.mask] += used
                back = True
                if leavers.age[number & leavers.mask] <= self.early_ns:
                    arrivals.early[of & arrivals.mask] = max(arrivals.early[of & arrivals.mask] - used, 0.0)
        if back:
            self._fit(key, self.book.bids.size_at(key) if key > 0 else self.book.asks.size_at(-key))

    # -- what can be asked ---------------------------------------------------------------------------------------------

    @cython.ccall
    def young_at(self, key: cython.longlong, age_ns: cython.longlong) -> cython.double:
        """Volume of one level that came within ``age_ns``, that long ago included."""
        arrivals: Arrivals = self._arrivals
        dead_ns: cython.longlong = self.now_ns - MATCH_NS
        number: cython.longlong = arrivals.newest(key, dead_ns)
        total: cython.double = 0.0
        while number >= 0 and arrivals.t[number & arrivals.mask] >= self.now_ns - age_ns:
            total += arrivals.left[number & arrivals.mask]
            number = arrivals.older(number, dead_ns)
        return total

    @cython.ccall
    def weigh(self, age_ns: cython.longlong, bid_edge: cython.longlong, ask_edge: cython.longlong) -> cython.void:
        """``young_bid`` and ``young_ask``: price times size of what came within ``age_ns``, of the levels whose key is
        not below the side's edge; prices as the integers that they are.
        """
        arrivals: Arrivals = self._arrivals
        number: cython.longlong = arrivals.next - 1
        at: cython.Py_ssize_t
        key: cython.longlong
        bid: cython.double = 0.0
        ask: cython.double = 0.0
        while number >= arrivals.first:
            at = number & arrivals.mask
            if arrivals.t[at] < self.now_ns - age_ns:
                break
            key = arrivals.key[at]
            if key > 0:
                if key >= bid_edge:
                    bid += key * arrivals.left[at]
            elif key >= ask_edge:
                ask -= key * arrivals.left[at]
            number -= 1
        self.young_bid = bid
        self.young_ask = ask

    @cython.ccall
    def younger(
        self, age_ns: cython.longlong, edge: cython.longlong, best: cython.longlong, enough: cython.double
    ) -> cython.double:
        """The same for one side behind its best level, newest first, and no further than to ``enough`` of it."""
        arrivals: Arrivals = self._arrivals
        number: cython.longlong = arrivals.next - 1
        at: cython.Py_ssize_t
        key: cython.longlong
        total: cython.double = 0.0
        while number >= arrivals.first and total < enough:
            at = number & arrivals.mask
            if arrivals.t[at] < self.now_ns - age_ns:
                break
            key = arrivals.key[at]
            # Of bids the keys are positive, of asks negative: the other side is above the best, or below the edge.
            if edge <= key < best:
                total += (key if key > 0 else -key) * arrivals.left[at]
            number -= 1
        return total

    @cython.ccall
    def cancelled_at(self, key: cython.longlong, since_ns: cython.longlong) -> cython.double:
        """Volume cancelled at one level since then."""
        leavers: Leavers = self._leavers
        number: cython.longlong = leavers.next - 1
        total: cython.double = 0.0
        while number >= leavers.first and leavers.t[number & leavers.mask] >= since_ns:
            if leavers.key[number & leavers.mask] == key:
                total += leavers.amount[number & leavers.mask]
            number -= 1
        return total

    @cython.ccall
    def taken(self, sign: cython.int, since_ns: cython.longlong) -> cython.double:
        """What takers of this side took since then."""
        takers: Leavers = self._takers
        number: cython.longlong = takers.next - 1
        total: cython.double = 0.0
        while number >= takers.first and takers.t[number & takers.mask] >= since_ns:
            # Buyers take asks, whose keys are negative.
            if (takers.key[number & takers.mask] < 0) == (sign > 0):
                total += takers.amount[number & takers.mask]
            number -= 1
        return total

    @cython.ccall
    def flicker(self, side: cython.int, window_ns: cython.longlong) -> cython.double:
        """The share of the volume added to the best 5 levels of a side within the window that was cancelled within
        ``early_ns``; NaN where nothing was added.
        """
        arrivals: Arrivals = self._arrivals
        number: cython.longlong = arrivals.next - 1
        at: cython.Py_ssize_t
        added: cython.double = 0.0
        early: cython.double = 0.0
        while number >= arrivals.first and arrivals.t[number & arrivals.mask] >= self.now_ns - window_ns:
            at = number & arrivals.mask
            if arrivals.near[at] and (arrivals.key[at] > 0) == (side > 0):
                added += arrivals.size[at]
                early += arrivals.early[at]
            number -= 1
        return min(early / added, 1.0) if added > 0 else nan

    def lifetime_ms(self, side: cython.int) -> float | None:
        """The volume-weighted median life of what a side cancelled in the memory; what was older than the memory lived
        at least that long. None where nothing was cancelled.
        """
        leavers: Leavers = self._leavers
        number: cython.longlong
        at: cython.Py_ssize_t
        half: cython.double = 0.0
        lives: list[tuple[int, float]] = []
        for number in range(leavers.first, leavers.next):
            at = number & leavers.mask
            if (leavers.key[at] > 0) == (side > 0) and leavers.amount[at] > 0:
                lives.append((self._keep_ns if leavers.age[at] < 0 else leavers.age[at], leavers.amount[at]))
                half += leavers.amount[at]
        half /= 2
        for age_ns, amount in sorted(lives):
            half -= amount
            if half <= 0:
                return age_ns / NS_PER_MS
        return None

    @cython.ccall
    def cancelled(self, side: cython.int) -> cython.double:
        """What a side cancelled in the memory."""
        leavers: Leavers = self._leavers
        number: cython.longlong
        at: cython.Py_ssize_t
        total: cython.double = 0.0
        for number in range(leavers.first, leavers.next):
            at = number & leavers.mask
            if (leavers.key[at] > 0) == (side > 0):
                total += leavers.amount[at]
        return total
