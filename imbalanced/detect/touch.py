# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""A signal from the touch: where its queues lean."""

from __future__ import annotations

from array import array
from decimal import Decimal
from math import nan
from typing import Annotated, ClassVar

import cython
from cython.cimports.libc.math import log
from msgspec import Struct

if not cython.compiled:
    from imbalanced.book import Book
    from imbalanced.detect.cohorts import Cohorts
    from imbalanced.detect.detector import Detector, held_below
    from imbalanced.detect.past import Mean, TickSize, Usual
    from imbalanced.metrics.metric import Metric
else:
    from cython.cimports.imbalanced.book import Book
    from cython.cimports.imbalanced.detect.cohorts import Cohorts
    from cython.cimports.imbalanced.detect.detector import Detector, held_below
    from cython.cimports.imbalanced.detect.past import Mean, TickSize, Usual
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
MINUTES_10 = cython.declare(cython.Py_ssize_t, 600)
KNOWN_AFTER = cython.declare(cython.Py_ssize_t, 60)


class MicrostructureImbalanceOptions(DetectorOptions, frozen=True, kw_only=True):
    """Bounded; strong where the spread is one tick most of the time (Gould & Bonart 2016). A ratio of two queues is
    near 1 whenever the short one is about to be used up, which is at every change of the price, and a long queue is
    what any price of old has. So three things must come together and outlive such a change: odds that are unusual here,
    and a longer queue that is new and unusually long.
    """

    on: Annotated[Positive, Doc("open at a score of at least this")] = Decimal("0.5")
    off: Annotated[NonNegative, Doc("close below this")] = Decimal("0.3")
    min_duration_ms: Millis0 = 1_500
    cooldown_ms: Millis0 = 5_000
    max_age_ms: Millis = 10_000
    update_step: NonNegative = Decimal("0.1")
    times_usual: NonNegative = Decimal(2)
    odds_usual: Annotated[NonNegative, Doc("and the odds so many times their usual peak; 0: whatever they are")] = (
        Decimal("1.2")
    )
    new_ms: Annotated[Millis, Doc("what came to a queue so long ago is new, at most 10s")] = 10_000
    usual_ms: Annotated[Millis, Doc("over which what must be unusual is averaged by time")] = 1_000
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
class MicrostructureImbalance(Detector):
    """The mean of what the queues lean to, averaged over the last moments, and the tilt of the micro-price now.

    Both in [-1, 1]. The lean is ``queue_imbalance`` where the spread is at most ``tight_ticks`` in ``tight_share`` of
    the last ten minutes (sampled once a second), elsewhere ``weighted_imbalance`` by distance, because a small-tick
    queue is tiny and flickers. The tilt is ``(weighted_mid - mid) / (half spread)``. Two usual peaks must be exceeded,
    both of means over ``usual``: that of the odds (the logarithm of their ratio, the mean of the lean's and the
    queues'), and that of the size by which one best queue exceeds the other, as far as it came within ``new``; before
    they are known (a minute more) nothing opens. A queue that waits for its price has no hurry; one that forms at the
    touch pays for being there first. While the filter ``spoof`` is off nobody knows what came when, and all of a queue
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
    _odds: Mean
    _leans: cython.double
    _usual_odds: Usual

    def __init__(self, kind: str, name: str, options: MicrostructureImbalanceOptions, grid: Grid) -> None:
        self._touch = Lean(options, grid)
        self._cohorts = None
        self._new_ns = options.new_ms * NS_PER_MS
        self._mean = Mean(options.smooth_ms * NS_PER_MS)
        self._surplus = Mean(options.usual_ms * NS_PER_MS)
        self._odds = Mean(options.usual_ms * NS_PER_MS)
        self._usual_odds = Usual(float(options.odds_usual) if options.times_usual > 0 else 0.0)
        self._exceeds = nan
        self._leans = nan
        super().__init__(kind, name, options, [self._touch], True)

    def age_by(self, cohorts: Cohorts) -> None:
        self._cohorts = cohorts

    @cython.ccall
    def cut(self) -> cython.void:
        Detector.cut(self)
        self._usual_odds.clear()
        self._forget()

    @cython.cfunc
    def _forget(self) -> cython.void:
        self._mean.clear()
        self._surplus.clear()
        self._odds.clear()
        self._exceeds = nan
        self._leans = nan

    @cython.ccall
    def read(self) -> cython.double:
        lean: cython.double
        if self._touch.answered != VALUE or self._touch.out[1] != self._touch.out[1]:
            self._forget()
            return nan
        lean = self._touch.out[1]
        if self.usual.times > 0:
            self._exceeds = self._surplus.push(self._formed(), self.now_ns)
            self._leans = self._odds.push(_log_odds(lean) + _log_odds(self._touch.out[0]), self.now_ns)
            self._usual_odds.observe(self._leans, self.now_ns)
        return (self._mean.push(lean, self.now_ns) + self._touch.out[0]) / 2.0

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
        return self._exceeds

    @cython.ccall
    def shape(self, score: cython.double) -> cython.double:
        share: cython.double = STAYS if self.lifecycle.state == ARMED else 1.0
        if score != score or self.lifecycle.state == OPENED or not self.usual.times > 0:
            return score
        # Size and odds must be unusual on the side that the score is of, and known to be.
        if (
            self.usual.peak == self.usual.peak
            and score * self._exceeds > 0
            and score * self._leans > 0
            and self._usual_odds.passes(self._leans, share)
        ):
            return score
        return held_below(score, self.lifecycle.on)

    def evidence(self) -> dict[str, float | None]:
        known = self._touch.answered == VALUE
        return {
            "queue_imbalance": self._touch.out[0] if known else None,
            "lean": self._touch.out[1] if known else None,
            "tight": 1.0 if self._touch.trusted else 0.0,
            "surplus": self._exceeds,
            "odds": self._leans,
            "usual_odds": self._usual_odds.peak,
        }


@cython.cfunc
def _log_odds(share: cython.double) -> cython.double:
    """``ln(bid / ask)`` of an imbalance ``(bid - ask) / (bid + ask)``; where one side is next to nothing, some 14."""
    most: cython.double = 1.0 - 1e-6
    within: cython.double = max(-most, min(most, share))
    odds: cython.double = log((1.0 + within) / (1.0 - within))
    return odds
