# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""What makes the depth change: orders added, orders cancelled, and trades, which are neither.

The book and the trades of a venue come on two feeds, so a trade may be seen before or after the decrease it caused.
Volume of both kinds is remembered for a short while by price, and each looks for the other.
"""

from __future__ import annotations

from array import array
from math import nan
from typing import ClassVar

import cython
from msgspec import Struct

if not cython.compiled:
    from imbalanced.book import Book, Ladder, Rows
    from imbalanced.metrics.flow import FlowWindow
    from imbalanced.metrics.metric import Metric
    from imbalanced.metrics.windows import room
else:
    from cython.cimports.imbalanced.book import Book, Ladder, Rows
    from cython.cimports.imbalanced.metrics.flow import FlowWindow
    from cython.cimports.imbalanced.metrics.metric import Metric
    from cython.cimports.imbalanced.metrics.windows import room

from imbalanced.metrics import metric
from imbalanced.metrics.metric import NS_PER_MS, Grid
from imbalanced.options import Count, Millis, Millis0

# As C integers: a Python global costs a lookup and a conversion at every answer.
NO_VALUE = cython.declare(cython.int, metric.NO_VALUE)
VALUE = cython.declare(cython.int, metric.VALUE)
# Worse than every key of either side.
LOWEST = cython.declare(cython.longlong, -4_000_000_000_000_000_000)


@cython.final
@cython.cclass
class Volumes:
    """Amounts with a time and a key (the ladder's: a price on a side), found by key, oldest first.

    A ring in order of time, and through it one chain per hash bucket; the oldest of all is the first of its chain, so
    both ends cost the same. An amount that is used up stays in the ring as 0 until its time is over.
    """

    def __init__(self, capacity: int = 64) -> None:
        self.count = 0
        self._mask = capacity - 1
        self._head = 0
        self.amount: cython.double[::1] = array("d", bytes(8 * capacity))
        self._slack: cython.double[::1] = array("d", bytes(8 * capacity))
        self.number: cython.longlong[::1] = array("q", bytes(8 * capacity))
        self._t: cython.longlong[::1] = array("q", bytes(8 * capacity))
        self._key: cython.longlong[::1] = array("q", bytes(8 * capacity))
        self._next: cython.longlong[::1] = array("q", [-1] * capacity)
        self._first: cython.longlong[::1] = array("q", [-1] * capacity)
        self._last: cython.longlong[::1] = array("q", [-1] * capacity)

    @cython.cfunc
    def _fit(self) -> cython.void:
        """Into another ring, where this one is full or nearly empty."""
        i: cython.Py_ssize_t
        k: cython.Py_ssize_t
        capacity: cython.Py_ssize_t = room(self.count, self._mask + 1)
        if capacity == self._mask + 1:
            return
        full: Volumes = Volumes(capacity)
        for i in range(self.count):
            k = (self._head + i) & self._mask
            full.add(self._t[k], self._key[k], self.amount[k], self._slack[k], self.number[k])
        self._mask, self._head = full._mask, full._head
        self.amount, self._slack, self.number = full.amount, full._slack, full.number
        self._t, self._key = full._t, full._key
        self._next, self._first, self._last = full._next, full._first, full._last

    @cython.cfunc
    def _bucket(self, key: cython.longlong) -> cython.Py_ssize_t:
        # Prices are multiples of a tick: their low bits alone would fill few buckets.
        return (key ^ (key >> 7) ^ (key >> 17)) & self._mask

    @cython.cfunc
    def add(
        self,
        t_ns: cython.longlong,
        key: cython.longlong,
        amount: cython.double,
        slack: cython.double,
        number: cython.longlong,
    ) -> cython.void:
        """One more; what is left of it counts as nothing from ``slack`` down. ``number`` is the caller's."""
        if self.count > self._mask:
            self._fit()
        at: cython.Py_ssize_t = (self._head + self.count) & self._mask
        bucket: cython.Py_ssize_t = self._bucket(key)
        self._t[at] = t_ns
        self._key[at] = key
        self.amount[at] = amount
        self._slack[at] = slack
        self.number[at] = number
        self._next[at] = -1
        if self._first[bucket] < 0:
            self._first[bucket] = at
        else:
            self._next[self._last[bucket]] = at
        self._last[bucket] = at
        self.count += 1

    @cython.cfunc
    def oldest(self, key: cython.longlong) -> cython.Py_ssize_t:
        """Where the oldest amount of this key is that has something left, -1 if there is none."""
        bucket: cython.Py_ssize_t = self._bucket(key)
        at: cython.Py_ssize_t = self._first[bucket]
        while at >= 0 and self.amount[at] == 0:
            at = self._next[at]
        self._first[bucket] = at
        while at >= 0 and (self._key[at] != key or self.amount[at] == 0):
            at = self._next[at]
        return at

    @cython.cfunc
    def take(self, at: cython.Py_ssize_t, wanted: cython.double) -> cython.double:
        """Use up to ``wanted`` of an amount; answers how much it was."""
        amount: cython.double = self.amount[at]
        if amount - wanted <= self._slack[at]:
            self.amount[at] = 0.0
            return amount
        self.amount[at] = amount - wanted
        return wanted

    @cython.cfunc
    def evict(self, before_ns: cython.longlong) -> cython.void:
        """Amounts older than ``before_ns`` leave."""
        bucket: cython.Py_ssize_t
        while self.count > 0 and self._t[self._head] < before_ns:
            bucket = self._bucket(self._key[self._head])
            if self._first[bucket] == self._head:
                self._first[bucket] = self._next[self._head]
            self._head = (self._head + 1) & self._mask
            self.count -= 1
        self._fit()

    @cython.cfunc
    def clear(self) -> cython.void:
        """All leave."""
        i: cython.Py_ssize_t
        self.count = 0
        self._head = 0
        for i in range(self._mask + 1):
            self._first[i] = -1


@cython.cfunc
def rounding(old: cython.double, decrease: cython.double) -> cython.double:
    """Sizes are decimal numbers that floats only come near to: a rest of a decrease below this is no volume."""
    return 1e-15 * old + 1e-12 * decrease


@cython.cfunc
def unexplained(trades: Volumes, key: cython.longlong, decrease: cython.double, slack: cython.double) -> cython.double:
    """What remembered trades at this level do not explain of its decrease (0 within ``slack``). They are used up,
    oldest first.
    """
    left: cython.double = decrease
    at: cython.Py_ssize_t
    while left > slack:
        at = trades.oldest(key)
        if at < 0:
            return left
        left -= trades.take(at, left)
    return 0.0


@cython.cfunc
@cython.inline
def _among(key: cython.longlong, size: cython.double, edge: cython.longlong) -> cython.bint:
    """Whether there is a level, and it is among the best: not below their ``edge``."""
    return size > 0 and key >= edge


class CancelAddOptions(Struct, frozen=True, kw_only=True):
    """``levels``: changes among the best N levels of a side count, before or after the message, default 5.

    ``window``: how far back they count, default 1 s.
    ``match``: for how long a trade and the decrease it caused look for each other, default 250 ms; 0: same time only.
    """

    levels: Count = 5
    window_ms: Millis = 1000
    match_ms: Millis0 = 250


@cython.cclass
class CancelAdd(Metric):
    """Additions and cancellations in the window, trades explained away: ``{add_bid, cancel_bid, add_ask, cancel_ask,
    ratio}``.

    Amounts in base units; ``ratio = (add_bid - cancel_bid - add_ask + cancel_ask) / (sum of the four)`` in [-1, 1],
    positive: bids were added, asks were cancelled. A decrease is first explained by trades at that side and price that
    are at most ``match`` old, the rest is a cancellation; a trade takes its volume back out of such cancellations
    first. The ratio has no value where nothing was added or cancelled; nothing has right after a cut, or where the
    book is not live, crossed or one-sided. Cost: the rows of the message. Source: the taxonomy of Eisler, Bouchaud &
    Kockelkoren 2012.
    """

    Options: ClassVar[type[Struct]] = CancelAddOptions
    inputs: ClassVar[str] = "book trade clock"
    outputs: ClassVar[tuple[str, ...]] = ("add_bid", "cancel_bid", "add_ask", "cancel_ask", "ratio")
    shape: ClassVar[str] = "dict"
    _levels: cython.Py_ssize_t
    _window_ns: cython.longlong
    _match_ns: cython.longlong
    _window: FlowWindow
    _cancels: Volumes
    _trades: Volumes
    _none: Book
    _book: Book
    _bid_edge: cython.longlong
    _ask_edge: cython.longlong

    def __init__(self, options: CancelAddOptions, grid: Grid) -> None:
        super().__init__(5)
        self._levels = options.levels
        self._window_ns = options.window_ms * NS_PER_MS
        self._match_ns = options.match_ms * NS_PER_MS
        # The four amounts, then how many pieces each is made of: only that says exactly when one is 0.
        self._window = FlowWindow(8)
        self._cancels = Volumes()
        self._trades = Volumes()
        self._none = Book()
        self._forget()

    @cython.cfunc
    def _forget(self) -> cython.void:
        self._window.clear()
        self._cancels.clear()
        self._trades.clear()
        self._book = self._none
        self._bid_edge = LOWEST
        self._ask_edge = LOWEST

    @cython.cfunc
    def _evict(self, t_ns: cython.longlong) -> cython.void:
        self._window.evict(t_ns - self._window_ns)
        self._cancels.evict(t_ns - self._match_ns)
        self._trades.evict(t_ns - self._match_ns)

    @cython.cfunc
    def _edge(self, ladder: Ladder) -> cython.longlong:
        """The key of the N-th best level: every level counts whose key is not below."""
        return ladder.key[ladder.n - self._levels] if ladder.n >= self._levels else LOWEST

    @cython.cfunc
    def _book_row(
        self,
        t_ns: cython.longlong,
        key: cython.longlong,
        old: cython.double,
        new: cython.double,
        column: cython.Py_ssize_t,
    ) -> cython.void:
        """One row of a message; ``column`` is that of the side's additions."""
        row: cython.double[::1] = self._window.row
        left: cython.double
        slack: cython.double
        if new > old:
            row[column] += new - old
            row[column + 4] += 1
            return
        slack = rounding(old, old - new)
        left = unexplained(self._trades, key, old - new, slack)
        if left > 0:
            row[column + 1] += left
            row[column + 5] += 1
            self._cancels.add(t_ns, key, left, slack, self._window.first + self._window.count)

    @cython.cfunc
    def _take_back(self, key: cython.longlong, size: cython.double, column: cython.Py_ssize_t) -> cython.double:
        """Volume of a trade out of earlier cancellations, whose ``column`` that is; answers what is left."""
        window: FlowWindow = self._window
        left: cython.double = size
        used: cython.double
        pieces: cython.double
        number: cython.longlong
        at: cython.Py_ssize_t
        while left > size * 1e-12:
            at = self._cancels.oldest(key)
            if at < 0:
                break
            used = self._cancels.take(at, left)
            left -= used
            number = self._cancels.number[at]
            # A cancellation may have left the window and still be the trade's.
            if number >= window.first:
                pieces = window.cell(number, column + 4) - (1.0 if self._cancels.amount[at] == 0 else 0.0)
                window.amend(number, column + 4, pieces)
                window.amend(number, column, window.cell(number, column) - used if pieces > 0 else 0.0)
        return left

    @cython.cfunc
    def _answer(self) -> cython.int:
        window: FlowWindow = self._window
        k: cython.Py_ssize_t
        gross: cython.double = 0.0
        if not self._book.ok():
            return NO_VALUE
        for k in range(4):
            self.out[k] = window.sum(k) if window.sum(k + 4) > 0 else 0.0
            gross += self.out[k]
        self.out[4] = nan
        if gross > 0:
            self.out[4] = (self.out[0] - self.out[1] - self.out[2] + self.out[3]) / gross
        return VALUE

    @cython.ccall
    def book_replaced(self, book: Book, t_ns: cython.longlong) -> cython.int:
        self._forget()
        self._book = book
        self._bid_edge = self._edge(book.bids)
        self._ask_edge = self._edge(book.asks)
        return NO_VALUE

    @cython.ccall
    def book_changed(self, book: Book, t_ns: cython.longlong) -> cython.int:
        rows: Rows = book.rows
        i: cython.Py_ssize_t
        bid_edge: cython.longlong = self._edge(book.bids)
        ask_edge: cython.longlong = self._edge(book.asks)
        self._evict(t_ns)
        for i in range(8):
            self._window.row[i] = 0.0
        for i in range(rows.n):
            if i < rows.n_bids:
                if _among(rows.px[i], rows.old[i], self._bid_edge) or _among(rows.px[i], rows.size[i], bid_edge):
                    self._book_row(t_ns, rows.px[i], rows.old[i], rows.size[i], 0)
            elif _among(-rows.px[i], rows.old[i], self._ask_edge) or _among(-rows.px[i], rows.size[i], ask_edge):
                self._book_row(t_ns, -rows.px[i], rows.old[i], rows.size[i], 2)
        self._window.push(t_ns)
        self._bid_edge = bid_edge
        self._ask_edge = ask_edge
        return self._answer()

    @cython.ccall
    def book_invalid(self, t_ns: cython.longlong) -> cython.int:
        self._forget()
        return NO_VALUE

    @cython.ccall
    def trade(self, px: cython.longlong, size: cython.double, sign: cython.int, t_ns: cython.longlong) -> cython.int:
        # Sellers hit the bids, whose keys are prices; buyers the asks, whose keys are negated prices.
        key: cython.longlong = px if sign < 0 else -px
        left: cython.double
        self._evict(t_ns)
        if sign != 0 and self._book.live:
            left = self._take_back(key, size, 1 if sign < 0 else 3)
            if left > size * 1e-12:
                self._trades.add(t_ns, key, left, size * 1e-12, 0)
        return self._answer()

    @cython.ccall
    def clock(self, book: Book, t_ns: cython.longlong) -> cython.int:
        self._evict(t_ns)
        return self._answer()
