# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""How much of a side's usual depth has been withdrawn, which is less than how much of it is missing.

``exhaustion`` (``metrics/depth.py``) looks only at how much is missing around the mid of now. Two things empty that
band although nobody withdrew:

1. The price moved. The depth stays behind, or still stands ahead, where the price was while the average was made; what
   the band covers now is new ground that fills up by and by. So a side is counted out to the band's edge around the
   average price as well, whichever is further.
2. Takers took it. What they took of late beyond their usual is a sweep's aftermath and not the makers' doing.

And the average itself may be too high: half a minute of unusual depth raises it, and when that leaves the book is as
full as ever. So the yardstick is the lasting median of ten minutes where that is lower.
"""

from __future__ import annotations

from decimal import Decimal
from math import inf
from typing import ClassVar

import cython
from cython.cimports.libc.math import ceil, exp, expm1, floor, log

if not cython.compiled:
    from imbalanced.book import Book
    from imbalanced.detect.past import Past
    from imbalanced.metrics.depth import Band, notional_from
    from imbalanced.metrics.metric import Metric
else:
    from cython.cimports.imbalanced.book import Book
    from cython.cimports.imbalanced.detect.past import Past
    from cython.cimports.imbalanced.metrics.depth import Band, notional_from
    from cython.cimports.imbalanced.metrics.metric import Metric

from imbalanced.metrics import metric
from imbalanced.metrics.metric import NS_PER_MS

# As C integers: a Python global costs a lookup and a conversion at every answer.
NOT_INPUT = cython.declare(cython.int, metric.NOT_INPUT)
NO_VALUE = cython.declare(cython.int, metric.NO_VALUE)
VALUE = cython.declare(cython.int, metric.VALUE)
# Half of what was taken is replaced, or forgotten, after this share of the average's half-life.
REFILL = cython.declare(cython.double, 1.0 / 3.0)


@cython.cclass
class Taken:
    """What takers took of one side of late (``now``), and what that usually is; price times size."""

    now: cython.double
    usual: cython.double

    def __init__(self) -> None:
        self.now = self.usual = 0.0

    @cython.cfunc
    def pass_by(self, refill: cython.double, average: cython.double) -> cython.void:
        """Time has passed: ``-ln 2`` times the half-lives of either."""
        self.usual = self.usual * exp(average) - self.now * expm1(average)
        self.now *= exp(refill)

    @cython.cfunc
    @cython.inline
    def beyond(self) -> cython.double:
        return max(0.0, self.now - self.usual)


@cython.cclass
class Thinning(Metric):
    """``{bid, ask}``: the share of a side's usual depth within ``bps`` that neither a move nor takers explain.

    ``1 - (x + T) / M``: ``M`` is the average of the notional within ``bps`` of the mid (exponential, by time, before
    this event), or its median of the last ten minutes if that is less; ``x`` that of now out to ``bps`` around the mid
    or around the average mid, whichever is further; ``T`` what takers took of the side of late beyond their usual. 0:
    the usual depth, or all that is missing is explained; 1: all gone; negative: more than usual. No value: as
    ``exhaustion``. Cost: the levels in the band, twice.
    """

    inputs: ClassVar[str] = "book trade"
    outputs: ClassVar[tuple[str, ...]] = ("bid", "ask")
    shape: ClassVar[str] = "dict"
    _band: Band
    _reach: cython.double
    _rate: cython.double
    _known: cython.bint
    _bid: cython.double
    _ask: cython.double
    _mid: cython.double
    _lasting_bid: Past
    _lasting_ask: Past
    _sold: Taken
    _bought: Taken
    _t_ns: cython.longlong

    def __init__(self, bps: Decimal, half_life_ms: int) -> None:
        super().__init__(2)
        self._band = Band(bps)
        self._reach = float(bps) * 1e-4
        self._rate = log(2.0) / (half_life_ms * NS_PER_MS)
        self._lasting_bid = Past("0.5", 600, 30, 1_000)
        self._lasting_ask = Past("0.5", 600, 30, 1_000)
        self._forget()

    @cython.cfunc
    def _forget(self) -> cython.void:
        self._known = False
        self._sold = Taken()
        self._bought = Taken()
        self._lasting_bid.clear()
        self._lasting_ask.clear()

    @cython.ccall
    def book_replaced(self, book: Book, t_ns: cython.longlong) -> cython.int:
        self._forget()
        return self.book_changed(book, t_ns)

    @cython.ccall
    def book_invalid(self, t_ns: cython.longlong) -> cython.int:
        self._forget()
        return NO_VALUE

    @cython.ccall
    def trade(self, px: cython.longlong, size: cython.double, sign: cython.int, t_ns: cython.longlong) -> cython.int:
        if self._known and sign < 0:
            self._sold.now += px * size
        elif self._known and sign > 0:
            self._bought.now += px * size
        return NOT_INPUT

    @cython.ccall
    def book_changed(self, book: Book, t_ns: cython.longlong) -> cython.int:
        answered: cython.int = NO_VALUE
        decay: cython.double
        if not book.ok():
            return NO_VALUE
        self._band.place(book)
        bid: cython.double = notional_from(book.bids, self._band.bids)
        ask: cython.double = notional_from(book.asks, self._band.asks)
        mid: cython.double = 0.5 * (book.bids.key[book.bids.n - 1] - book.asks.key[book.asks.n - 1])
        if self._known:
            decay = (self._t_ns - t_ns) * self._rate
            self._sold.pass_by(decay / REFILL, decay)
            self._bought.pass_by(decay / REFILL, decay)
            answered = self._compare(book, bid, ask, mid)
            self._bid = self._bid * exp(decay) - bid * expm1(decay)
            self._ask = self._ask * exp(decay) - ask * expm1(decay)
            self._mid = self._mid * exp(decay) - mid * expm1(decay)
        else:
            self._known = True
            self._bid = bid
            self._ask = ask
            self._mid = mid
        self._t_ns = t_ns
        self._lasting_bid.observe(bid, t_ns)
        self._lasting_ask.observe(ask, t_ns)
        return answered

    @cython.cfunc
    def _compare(self, book: Book, bid: cython.double, ask: cython.double, mid: cython.double) -> cython.int:
        if self._bid == 0 or self._ask == 0:
            return NO_VALUE
        edge: cython.longlong
        if self._mid < mid:
            edge = cython.cast(cython.longlong, ceil(self._mid * (1.0 - self._reach)))
            bid = notional_from(book.bids, book.bids._place(edge))
        elif self._mid > mid:
            edge = cython.cast(cython.longlong, floor(self._mid * (1.0 + self._reach)))
            ask = notional_from(book.asks, book.asks._place(-edge))
        # A lasting median that nobody knows yet (or of nothing) is no yardstick.
        lasting_bid: cython.double = self._lasting_bid.threshold()
        lasting_ask: cython.double = self._lasting_ask.threshold()
        usual_bid: cython.double = lasting_bid if 0 < lasting_bid < self._bid else self._bid
        usual_ask: cython.double = lasting_ask if 0 < lasting_ask < self._ask else self._ask
        self.out[0] = 1.0 - (bid + self._sold.beyond()) / usual_bid
        self.out[1] = 1.0 - (ask + self._bought.beyond()) / usual_ask
        if self.out[0] == -inf or self.out[1] == -inf:
            return NO_VALUE
        return VALUE
