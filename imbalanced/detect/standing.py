# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Aged depth: what stands within a distance of the mid and has a claim to be meant.

Size costs nothing while it only stands there, so it is not taken at its word:

1. What came within the last 500 ms (three batches of the venue where those are longer) does not count.
2. Behind the touch, what is beyond the side's own usual depth counts only once it has stood for ``prove``. Layers that
   come, walk and vanish are beyond the usual and never get that old, whether they are few large levels or many small
   ones; a side that is refilled after a move is not beyond it. At the touch no such proof is wanted: who quotes there
   is hit next (Fabre & Challet 2025: the distance decides).

The usual is the median of the last 10 minutes, sampled once a second. It ends with its book.
"""

from __future__ import annotations

from decimal import Decimal
from math import nan
from typing import ClassVar

import cython

if not cython.compiled:
    from imbalanced.book import Book, Ladder
    from imbalanced.detect.cohorts import Cohorts
    from imbalanced.metrics.depth import Band, notional_from
    from imbalanced.metrics.metric import Metric
    from imbalanced.metrics.statistics import SortedRing
else:
    from cython.cimports.imbalanced.book import Book, Ladder
    from cython.cimports.imbalanced.detect.cohorts import Cohorts
    from cython.cimports.imbalanced.metrics.depth import Band, notional_from
    from cython.cimports.imbalanced.metrics.metric import Metric
    from cython.cimports.imbalanced.metrics.statistics import SortedRing

from imbalanced.metrics import metric
from imbalanced.metrics.metric import NS_PER_MS

# As C integers: a Python global costs a lookup and a conversion at every answer.
NOT_INPUT = cython.declare(cython.int, metric.NOT_INPUT)
NO_VALUE = cython.declare(cython.int, metric.NO_VALUE)
VALUE = cython.declare(cython.int, metric.VALUE)
SAMPLE_NS = cython.declare(cython.longlong, 1_000_000_000)
SAMPLES = 600
ENOUGH = cython.declare(cython.Py_ssize_t, 30)


@cython.cclass
class Side:
    """One side of the band: ``raw`` is all of it, ``stood`` what counts (price times size, prices as integers)."""

    def __init__(self) -> None:
        self.raw = self.stood = 0.0
        self.best = self.edge = 0
        self._touch = self._behind = self._fresh = 0.0
        self.clear()

    @cython.cfunc
    def clear(self) -> cython.void:
        """The book is gone, and with it what was usual."""
        self.usual = SortedRing(SAMPLES)

    @cython.cfunc
    def look(self, ladder: Ladder, at: cython.Py_ssize_t) -> cython.void:
        """The levels from index ``at`` to the best are in the band."""
        self.raw = notional_from(ladder, at)
        self.best = ladder.key[ladder.n - 1]
        # In an empty band no key is.
        self.edge = ladder.key[at] if at < ladder.n else self.best + 1
        self._touch = ladder.sign * self.best * ladder.size[ladder.n - 1] if at < ladder.n else 0.0

    @cython.cfunc
    def age(self, fresh: cython.double, fresh_touch: cython.double) -> cython.void:
        """So much of it is fresh, and so much of that at the touch."""
        self._fresh = max(fresh - fresh_touch, 0.0)
        self.stood = max(self.raw - fresh, 0.0)
        self._behind = max(self.raw - self._touch - self._fresh, 0.0)

    @cython.cfunc
    def prove(self, cohorts: Cohorts, age_ns: cython.longlong) -> cython.void:
        """Behind the touch, what is beyond the usual counts only if it is older than ``age_ns``."""
        beyond: cython.double
        young: cython.double
        if self.usual.n < ENOUGH:
            return
        beyond = self._behind - self.usual.median()
        if beyond > 0:
            # What is young is looked for only as far as it can matter.
            young = cohorts.younger(age_ns, self.edge, self.best, self._fresh + beyond) - self._fresh
            self.stood = max(self.stood - max(min(young, beyond), 0.0), 0.0)

    @cython.cfunc
    def sample(self) -> cython.void:
        self.usual.push(self._behind)


@cython.cclass
class Standing(Metric):
    """The imbalance of aged depth within ``bps`` of the mid, in [-1, 1], positive: more bids; ``raw`` is that of all
    depth.

    ``eager``: on every delta; else only when ``measure`` is called. No value: the book is not live, crossed or
    one-sided, or nothing in the band counts. Cost: the levels in the band, what came within 500 ms, and while a side is
    beyond its usual as much of what came after that as explains it.
    """

    inputs: ClassVar[str] = "book trade clock"

    def __init__(self, cohorts: Cohorts, bps: Decimal, prove_ms: int, *, eager: bool) -> None:
        super().__init__(1)
        self.cohorts = cohorts
        cohorts.cover(float(bps))
        self.bids = Side()
        self.asks = Side()
        self._band = Band(bps)
        self._eager = eager
        self._prove_ns = prove_ms * NS_PER_MS
        self._forget()

    @cython.cfunc
    def _forget(self) -> cython.void:
        self.raw = nan
        self._next_ns = 0
        self.bids.clear()
        self.asks.clear()

    @cython.ccall
    def book_replaced(self, book: Book, t_ns: cython.longlong) -> cython.int:
        self._forget()
        return self.measure()

    @cython.ccall
    def book_invalid(self, t_ns: cython.longlong) -> cython.int:
        self._forget()
        return NO_VALUE

    @cython.ccall
    def book_changed(self, book: Book, t_ns: cython.longlong) -> cython.int:
        return self._seen(t_ns)

    @cython.ccall
    def clock(self, book: Book, t_ns: cython.longlong) -> cython.int:
        return self._seen(t_ns)

    @cython.cfunc
    def _seen(self, t_ns: cython.longlong) -> cython.int:
        answered: cython.int = NOT_INPUT
        if self._eager or t_ns >= self._next_ns:
            answered = self.measure()
        if answered == VALUE and t_ns >= self._next_ns:
            self._next_ns = (t_ns // SAMPLE_NS + 1) * SAMPLE_NS
            self.bids.sample()
            self.asks.sample()
        return answered

    @cython.ccall
    def measure(self) -> cython.int:
        """As of now."""
        book: Book = self.cohorts.book
        bids: Side = self.bids
        asks: Side = self.asks
        self.raw = nan
        if not book.ok():
            return NO_VALUE
        self._band.place(book)
        bids.look(book.bids, self._band.bids)
        asks.look(book.asks, self._band.asks)
        if bids.raw + asks.raw == 0:
            return NO_VALUE
        self.raw = (bids.raw - asks.raw) / (bids.raw + asks.raw)
        self._age()
        if bids.stood + asks.stood == 0:
            return NO_VALUE
        self.out[0] = (bids.stood - asks.stood) / (bids.stood + asks.stood)
        return VALUE

    @cython.cfunc
    def _age(self) -> cython.void:
        cohorts: Cohorts = self.cohorts
        bids: Side = self.bids
        asks: Side = self.asks
        fresh_ns: cython.longlong = cohorts.early_ns
        cohorts.weigh(fresh_ns, bids.edge, asks.edge)
        bids.age(cohorts.young_bid, bids.best * cohorts.young_at(bids.best, fresh_ns))
        asks.age(cohorts.young_ask, -asks.best * cohorts.young_at(asks.best, fresh_ns))
        bids.prove(cohorts, self._prove_ns)
        asks.prove(cohorts, self._prove_ns)
