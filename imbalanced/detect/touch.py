# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""A signal from the touch: where its queues lean."""

from __future__ import annotations

from array import array
from decimal import Decimal
from math import nan
from typing import Annotated, ClassVar

import cython
from cython.cimports.libc.math import fabs, log
from msgspec import Struct

if not cython.compiled:
    from imbalanced.book import Book
    from imbalanced.detect.cohorts import Cohorts
    from imbalanced.detect.detector import Detector, held_below
    from imbalanced.detect.past import Mean, Past, TickSize, Usual
    from imbalanced.metrics.metric import Metric
else:
    from cython.cimports.imbalanced.book import Book
    from cython.cimports.imbalanced.detect.cohorts import Cohorts
    from cython.cimports.imbalanced.detect.detector import Detector, held_below
    from cython.cimports.imbalanced.detect.past import Mean, Past, TickSize, Usual
    from cython.cimports.imbalanced.metrics.metric import Metric

from imbalanced.detect.detector import DetectorOptions
from imbalanced.detect.standardiser import Standardise
from imbalanced.metrics import lifecycle, metric
from imbalanced.metrics.depth import WeightedImbalance, WeightedImbalanceOptions
from imbalanced.metrics.metric import NS_PER_MS, Grid
from imbalanced.options import Doc, Millis, Millis0, NonNegative, Positive, Share

# As C integers: a Python global costs a lookup and a conversion at every answer.
NO_VALUE = cython.declare(cython.int, metric.NO_VALUE)
VALUE = cython.declare(cython.int, metric.VALUE)
ARMED = cython.declare(cython.int, lifecycle.ARMED)
OPENED = cython.declare(cython.int, lifecycle.OPENED)
# Once it is armed a little less will do, as with the usual peak of any kind.
STAYS = cython.declare(cython.double, 0.9)
S = cython.declare(cython.longlong, 1_000_000_000)
FOREVER = cython.declare(cython.longlong, 4_000_000_000_000_000_000)
MINUTES_10 = cython.declare(cython.Py_ssize_t, 600)
KNOWN_AFTER = cython.declare(cython.Py_ssize_t, 60)


class MicrostructureImbalanceOptions(DetectorOptions, frozen=True, kw_only=True):
    """Bounded; strong where the spread is one tick most of the time (Gould & Bonart 2016). A ratio of two queues is
    near 1 whenever the short one is about to be used up, which is at every change of the price. So the odds must hold,
    and what holds must be unusual here: far more than usual; or more than usual, of a queue that is new and unusually
    long (a long one is what any price of old has) against one that is short.
    """

    on: Annotated[Positive, Doc("open at a score of at least this")] = Decimal("0.5")
    off: Annotated[NonNegative, Doc("close below this")] = Decimal("0.3")
    min_duration_ms: Millis0 = 0
    cooldown_ms: Millis0 = 5_000
    max_age_ms: Millis = 10_000
    update_step: NonNegative = Decimal("0.1")
    times_usual: NonNegative = Decimal("1.15")
    alone_usual: Annotated[NonNegative, Doc("odds of so many times their usual peak need no long queue")] = Decimal(
        "1.5"
    )
    queue_usual: Annotated[
        NonNegative, Doc("a queue exceeds the other by so many times the usual peak: it is long")
    ] = Decimal(2)
    short: Annotated[Share, Doc("and the other is at most this share of a usual best queue, or it is no short one")] = (
        Decimal("0.35")
    )
    hold_ms: Annotated[Millis, Doc("the odds must never have been less over so long")] = 1_400
    new_ms: Annotated[Millis, Doc("what came to a queue so long ago is new, at most 10s")] = 10_000
    usual_ms: Annotated[Millis, Doc("over which odds and sizes are averaged by time to know what is usual")] = 1_000
    smooth_ms: Annotated[Millis, Doc("over which the queue's lean is averaged by time")] = 300
    tight_ticks: Annotated[Positive, Doc("a spread of at most this is tight")] = Decimal("1.5")
    tight_share: Annotated[Share, Doc("of the last ten minutes: from here on the queue is trusted")] = Decimal("0.8")
    half_life_bps: Annotated[Positive, Doc("elsewhere: with so much more distance a weight halves")] = Decimal(5)
    standardise: Standardise = Standardise(by="none")


@cython.cclass
class Lean(Metric):
    """``{queue, lean}``: queue imbalance now, and what is trusted here: the queue where the spread is tight most of the
    time, else the imbalance weighted by distance. ``lean`` has no value until a minute of spreads was seen. ``bid`` and
    ``ask`` are the sizes of the best levels.
    """

    inputs: ClassVar[str] = "book"
    outputs: ClassVar[tuple[str, ...]] = ("queue", "lean")
    shape: ClassVar[str] = "dict"
    trusted: cython.bint
    bid: cython.double
    ask: cython.double
    _deep: Metric
    _tick: TickSize
    _tight: cython.double
    _share: cython.double
    _past: cython.longlong[::1]
    _seen: cython.Py_ssize_t
    _at: cython.Py_ssize_t
    _sum: cython.Py_ssize_t
    _next_ns: cython.longlong

    def __init__(self, options: MicrostructureImbalanceOptions, grid: Grid) -> None:
        super().__init__(2)
        self.bid = self.ask = nan
        weights = WeightedImbalanceOptions(weight="exp_bps", half_life_bps=options.half_life_bps)
        self._deep = WeightedImbalance(weights, grid)
        self._tick = TickSize(grid)
        self._tight = float(options.tight_ticks)
        self._share = float(options.tight_share)
        self._past = array("q", bytes(8 * 600))
        self._forget()

    @cython.cfunc
    def _forget(self) -> cython.void:
        self.trusted = False
        self._seen = 0
        self._at = 0
        self._sum = 0
        self._next_ns = 0

    @cython.cfunc
    def _sample(self, book: Book, t_ns: cython.longlong) -> cython.void:
        """Once a second: whether the spread is tight. A silence is one sample."""
        spread: cython.double = -(book.bids.key[book.bids.n - 1] + book.asks.key[book.asks.n - 1])
        self._next_ns = (t_ns // S + 1) * S
        if self._seen == MINUTES_10:
            self._sum -= self._past[self._at]
        else:
            self._seen += 1
        self._past[self._at] = 1 if spread <= self._tight * self._tick.px else 0
        self._sum += self._past[self._at]
        self._at = (self._at + 1) % MINUTES_10
        # A little below the share it stays what it is, or the score would jump to and fro.
        self.trusted = self._sum >= (self._share - 0.05 if self.trusted else self._share) * self._seen

    @cython.ccall
    def book_replaced(self, book: Book, t_ns: cython.longlong) -> cython.int:
        self._forget()
        self._tick.book_replaced(book, t_ns)
        return self._lean(book, t_ns)

    @cython.ccall
    def book_changed(self, book: Book, t_ns: cython.longlong) -> cython.int:
        self._tick.book_changed(book, t_ns)
        return self._lean(book, t_ns)

    @cython.ccall
    def book_invalid(self, t_ns: cython.longlong) -> cython.int:
        return NO_VALUE

    @cython.cfunc
    def _lean(self, book: Book, t_ns: cython.longlong) -> cython.int:
        if not book.ok():
            return NO_VALUE
        if t_ns >= self._next_ns:
            self._sample(book, t_ns)
        self.bid = book.bids.size[book.bids.n - 1]
        self.ask = book.asks.size[book.asks.n - 1]
        self.out[0] = (self.bid - self.ask) / (self.bid + self.ask)
        if self._seen < KNOWN_AFTER:
            self.out[1] = nan
        elif self.trusted:
            self.out[1] = self.out[0]
        else:
            self._deep.book_changed(book, t_ns)
            self.out[1] = self._deep.out[0]
        return VALUE


@cython.cclass
class Held:
    """What a signed value has held over the last ``window_ns``: its least size while it kept its side all that time,
    else 0. A value holds until the next.
    """

    _window_ns: cython.longlong
    _side: cython.int
    _since_ns: cython.longlong
    _size: cython.double[::1]  # the least sizes from some time on, growing; each with the time until which it held
    _until: cython.longlong[::1]
    _head: cython.Py_ssize_t
    _count: cython.Py_ssize_t

    def __init__(self, window_ns: int) -> None:
        self._window_ns = window_ns
        self._size = array("d", bytes(8 * 16))
        self._until = array("q", bytes(8 * 16))
        self.clear()

    @cython.ccall
    def clear(self) -> cython.void:
        """Everything is forgotten."""
        self._side = 0
        self._since_ns = 0
        self._head = 0
        self._count = 0

    @cython.cfunc
    def _enter(self, size: cython.double) -> cython.void:
        """A size from now on: larger ones of before are never the least again."""
        capacity: cython.Py_ssize_t = len(self._size)
        i: cython.Py_ssize_t
        while self._count > 0 and self._size[(self._head + self._count - 1) % capacity] >= size:
            self._count -= 1
        if self._count == capacity:
            sizes: cython.double[::1] = array("d", bytes(16 * capacity))
            until: cython.longlong[::1] = array("q", bytes(16 * capacity))
            for i in range(capacity):
                sizes[i] = self._size[(self._head + i) % capacity]
                until[i] = self._until[(self._head + i) % capacity]
            self._size = sizes
            self._until = until
            self._head = 0
            capacity = 2 * capacity
        i = (self._head + self._count) % capacity
        self._size[i] = size
        self._until[i] = FOREVER
        self._count += 1

    @cython.ccall
    def push(self, x: cython.double, t_ns: cython.longlong) -> cython.double:
        """The value is ``x`` from now on; what has held until now."""
        side: cython.int = 1 if x > 0 else -1 if x < 0 else 0
        if side != self._side:
            self.clear()
            self._side = side
            self._since_ns = t_ns
        elif self._count > 0:
            self._until[(self._head + self._count - 1) % len(self._size)] = t_ns
        self._enter(fabs(x))
        while self._until[self._head] <= t_ns - self._window_ns:
            self._head = (self._head + 1) % len(self._size)
            self._count -= 1
        if t_ns - self._since_ns < self._window_ns:
            return 0.0
        return side * self._size[self._head]


@cython.cclass
class MicrostructureImbalance(Detector):
    """The mean of what the queues lean to, averaged over the last moments, and the tilt of the micro-price now.

    Both in [-1, 1]. The lean is ``queue_imbalance`` where the spread is at most ``tight_ticks`` in ``tight_share`` of
    the last ten minutes (sampled once a second), elsewhere ``weighted_imbalance`` by distance, because a small-tick
    queue is tiny and flickers. The tilt is ``(weighted_mid - mid) / (half spread)``.

    It opens only on odds that have held for ``hold``: the logarithm of the ratio of the best queues, of the longer one
    only what came within ``new``. A queue that waits for its price has no hurry; one that forms at the touch pays for
    being there first. They must be ``alone_usual`` times the usual peak of the ratio's mean over ``usual``; or, where
    the spread is tight, ``times_usual`` times, if the longer queue exceeds the other by ``queue_usual`` times what is
    usual and the other is but a ``short`` share of the median queue of the last ten minutes. Before these are known (a
    minute more) nothing opens. While the filter ``spoof`` is off nobody knows what came when, and all of a queue
    counts. Positive: bids are heavier. No value: the book is not live, crossed or one-sided, or the first minute of a
    book. Source: Gould & Bonart 2016; Lipton, Pesavento & Sotiropoulos 2013.
    """

    Options: ClassVar[type[Struct]] = MicrostructureImbalanceOptions
    bounded: ClassVar[bool] = True
    _touch: Lean
    _cohorts: Cohorts | None
    _new_ns: cython.longlong
    _mean: Mean
    _surplus: Mean
    _exceeds: cython.double
    _usual_surplus: Usual
    _odds: Mean
    _leans: cython.double
    _holds: Held
    _held: cython.double
    _alone: cython.double
    _less: Mean
    _shorter: cython.double
    _usual_queue: Past
    _short: cython.double

    def __init__(self, kind: str, name: str, options: MicrostructureImbalanceOptions, grid: Grid) -> None:
        self._touch = Lean(options, grid)
        self._cohorts = None
        self._new_ns = options.new_ms * NS_PER_MS
        self._mean = Mean(options.smooth_ms * NS_PER_MS)
        self._surplus = Mean(options.usual_ms * NS_PER_MS)
        self._odds = Mean(options.usual_ms * NS_PER_MS)
        self._holds = Held(options.hold_ms * NS_PER_MS)
        self._usual_surplus = Usual(float(options.queue_usual))
        self._alone = float(options.alone_usual)
        self._less = Mean(options.usual_ms * NS_PER_MS)
        self._usual_queue = Past("0.5", 600, 1, 1_000)
        self._short = float(options.short)
        self._exceeds = nan
        self._leans = nan
        self._held = nan
        self._shorter = nan
        super().__init__(kind, name, options, [self._touch], True)

    def age_by(self, cohorts: Cohorts) -> None:
        self._cohorts = cohorts

    @cython.ccall
    def cut(self) -> cython.void:
        Detector.cut(self)
        self._usual_surplus.clear()
        self._usual_queue.clear()
        self._forget()

    @cython.cfunc
    def _forget(self) -> cython.void:
        self._mean.clear()
        self._surplus.clear()
        self._odds.clear()
        self._holds.clear()
        self._less.clear()
        self._exceeds = nan
        self._leans = nan
        self._held = nan

    @cython.ccall
    def read(self) -> cython.double:
        lean: cython.double
        if self._touch.answered != VALUE or self._touch.out[1] != self._touch.out[1]:
            self._forget()
            return nan
        lean = self._touch.out[1]
        if self.usual.times > 0:
            self._look()
        return (self._mean.push(lean, self.now_ns) + self._touch.out[0]) / 2.0

    @cython.cfunc
    def _look(self) -> cython.void:
        formed: cython.double = self._formed()
        less: cython.double = min(self._touch.bid, self._touch.ask)
        odds: cython.double = log(1.0 + fabs(formed) / less)
        self._exceeds = self._surplus.push(formed, self.now_ns)
        self._usual_surplus.observe(self._exceeds, self.now_ns)
        self._shorter = self._less.push(less, self.now_ns)
        self._usual_queue.observe((self._touch.bid + self._touch.ask) / 2.0, self.now_ns)
        self._leans = self._odds.push(log(self._touch.bid / self._touch.ask), self.now_ns)
        self._held = self._holds.push(odds if formed > 0 else -odds, self.now_ns)

    @cython.cfunc
    def _formed(self) -> cython.double:
        """The size by which the longer queue exceeds the shorter, no more of it than is new; positive: bids."""
        cohorts: Cohorts | None = self._cohorts
        surplus: cython.double = self._touch.bid - self._touch.ask
        if cohorts is None:
            return surplus
        if surplus > 0:
            return min(surplus, cohorts.young_at(cohorts.book.bids.key[cohorts.book.bids.n - 1], self._new_ns))
        return max(surplus, -cohorts.young_at(cohorts.book.asks.key[cohorts.book.asks.n - 1], self._new_ns))

    @cython.ccall
    def magnitude(self) -> cython.double:
        return self._leans

    @cython.ccall
    def shape(self, score: cython.double) -> cython.double:
        if score != score or self.lifecycle.state == OPENED or not self.usual.times > 0:
            return score
        # Odds must hold and be unusual on the side that the score is of, and known to be.
        if self.usual.peak == self.usual.peak and score * self._held > 0 and self._is_unusual():
            return score
        return held_below(score, self.lifecycle.on)

    @cython.cfunc
    def _is_unusual(self) -> cython.bint:
        share: cython.double = STAYS if self.lifecycle.state == ARMED else 1.0
        held: cython.double = fabs(self._held) / share
        if held >= self._alone * self.usual.peak:
            return True
        if held < self.usual.times * self.usual.peak:
            return False
        # Where the spread has several ticks one order improves the price, and its queue says nothing of size.
        if not self._touch.trusted or self._shorter > self._short * self._usual_queue.threshold():
            return False
        return self._exceeds * self._held > 0 and self._usual_surplus.passes(self._exceeds, share)

    def evidence(self) -> dict[str, float | None]:
        known = self._touch.answered == VALUE
        return {
            "queue_imbalance": self._touch.out[0] if known else None,
            "lean": self._touch.out[1] if known else None,
            "tight": 1.0 if self._touch.trusted else 0.0,
            "surplus": self._exceeds,
            "usual_surplus": self._usual_surplus.peak,
            "shorter": self._shorter,
            "usual_queue": self._usual_queue.threshold(),
            "odds": self._leans,
            "held_odds": self._held,
        }
