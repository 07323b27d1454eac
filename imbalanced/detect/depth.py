# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Signals from standing depth: its imbalance, its exhaustion, and the depth of all venues of an asset together."""

from __future__ import annotations

from decimal import Decimal
from math import nan
from typing import TYPE_CHECKING, Annotated, ClassVar

import cython
from msgspec import Struct, field

if not cython.compiled:
    from imbalanced.book import Book
    from imbalanced.detect.across import Post
    from imbalanced.detect.detector import Detector, held_below, held_until_known
    from imbalanced.detect.past import Past
    from imbalanced.detect.standing import Standing
    from imbalanced.metrics.across import Depths
    from imbalanced.metrics.depth import Band, notional_from
    from imbalanced.metrics.metric import Metric
else:
    from cython.cimports.imbalanced.book import Book
    from cython.cimports.imbalanced.detect.across import Post
    from cython.cimports.imbalanced.detect.detector import Detector, held_below, held_until_known
    from cython.cimports.imbalanced.detect.past import Past
    from cython.cimports.imbalanced.detect.standing import Standing
    from cython.cimports.imbalanced.metrics.across import Depths
    from cython.cimports.imbalanced.metrics.depth import Band, notional_from
    from cython.cimports.imbalanced.metrics.metric import Metric

from imbalanced.detect.detector import DetectorOptions
from imbalanced.detect.standardiser import Standardise
from imbalanced.detect.thinning import Thinning
from imbalanced.metrics import lifecycle, metric
from imbalanced.metrics.depth import Resiliency, ResiliencyOptions
from imbalanced.metrics.metric import NS_PER_MS, Grid
from imbalanced.options import Doc, Fault, Millis, Millis0, NonNegative, Positive, Share, nearest, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imbalanced.detect.across import Place
    from imbalanced.detect.cohorts import Cohorts
    from imbalanced.detect.detector import Known

# As C integers: a Python global costs a lookup and a conversion at every answer.
NO_VALUE = cython.declare(cython.int, metric.NO_VALUE)
VALUE = cython.declare(cython.int, metric.VALUE)
OPENED = cython.declare(cython.int, lifecycle.OPENED)
# What has been unusual may fall to this share of it, as in `detector.py`: what jumps about a bar would never last.
STAYS = cython.declare(cython.double, 0.7)


class MarketDepthImbalanceOptions(DetectorOptions, frozen=True, kw_only=True):
    """Standing depth is slow and spoofable, hence the longer persistence. A deviation of the imbalance by less than a
    twentieth is none, however calm it was. A share ends at 1 and wanders in thin books, so a small deviation of it is
    enough, and what must be unusual is the depth itself.
    """

    on: Annotated[Positive, Doc("open at a score of at least this")] = Decimal("1.5")
    min_duration_ms: Millis0 = 1_000
    cooldown_ms: Millis0 = 10_000
    max_age_ms: Millis = 120_000
    horizon_ms: Millis = 5_000
    times_usual: NonNegative = Decimal(2)
    bps: Annotated[Positive, Doc("half-width of the band around the mid, in basis points")] = Decimal(10)
    prove_ms: Annotated[Millis, Doc("depth beyond the usual counts once it has stood for so long")] = 8_000
    settle_ms: Annotated[Millis0, Doc("while ages count: how long an unusual imbalance must have stood before")] = 2_000
    standardise: Standardise = Standardise(half_life_ms=600_000, min_sd=Decimal("0.05"))


@cython.cclass
class BandDepth(Metric):
    """``{imbalance, surplus}`` of all that stands within ``bps`` of the mid, in money: the share and the size by which
    bids exceed asks (prices as integers).

    No value: the book is not live, crossed or one-sided, or nothing is in the band.
    """

    inputs: ClassVar[str] = "book"
    outputs: ClassVar[tuple[str, ...]] = ("imbalance", "surplus")
    shape: ClassVar[str] = "dict"
    _band: Band

    def __init__(self, bps: Decimal) -> None:
        super().__init__(2)
        self._band = Band(bps)

    @cython.ccall
    def book_replaced(self, book: Book, t_ns: cython.longlong) -> cython.int:
        return self.book_changed(book, t_ns)

    @cython.ccall
    def book_changed(self, book: Book, t_ns: cython.longlong) -> cython.int:
        bid: cython.double
        ask: cython.double
        if not book.ok():
            return NO_VALUE
        self._band.place(book)
        bid = notional_from(book.bids, self._band.bids)
        ask = notional_from(book.asks, self._band.asks)
        if bid + ask == 0:
            return NO_VALUE
        self.out[0] = (bid - ask) / (bid + ask)
        self.out[1] = bid - ask
        return VALUE

    @cython.ccall
    def book_invalid(self, t_ns: cython.longlong) -> cython.int:
        return NO_VALUE


@cython.cclass
class MarketDepthImbalance(Detector):
    """The z-score of the imbalance of notional within a band around the mid: against the book's own lasting lean.

    While the filter ``spoof`` is on, only aged depth counts: not what came within the last 500 ms, and of what is
    beyond a side's usual depth behind the touch only what has stood for ``prove``; and the imbalance itself must have
    stood for ``settle``, for one large order at the touch is gone in a second or two and an interest stays. With the
    filter off it is all depth at its word. The usual peak is that of the money by which one side exceeds the other,
    against its own median of the last ten minutes. Positive: more bids than usual. No value: as ``band_imbalance``, and
    before the standardiser is warm.
    Source: depth imbalance of Cao, Hansch & Wang 2009.
    """

    Options: ClassVar[type[Struct]] = MarketDepthImbalanceOptions
    _band: Metric
    _aged: Standing | None
    _prove: tuple[Decimal, int]
    _settle_ns: cython.longlong
    _unusual_ns: cython.longlong
    _unusual: cython.int
    _lasting: Past
    _exceeds: cython.double
    _per_unit: cython.double

    def __init__(self, kind: str, name: str, options: MarketDepthImbalanceOptions, grid: Grid) -> None:
        self._band = BandDepth(Decimal(options.bps))
        self._lasting = Past("0.5", 600, 30, 1_000)
        self._per_unit = grid.per_unit
        self._exceeds = nan
        self._aged = None
        self._prove = (Decimal(options.bps), options.prove_ms)
        self._settle_ns = options.settle_ms * NS_PER_MS
        self._unusual_ns = 0
        self._unusual = 0
        super().__init__(kind, name, options, [self._band], True)

    def age_by(self, cohorts: Cohorts) -> None:
        bps, prove_ms = self._prove
        self._aged = Standing(cohorts, bps, prove_ms, eager=True)
        self._band = self._aged
        self.metrics[:] = [self._aged]

    @cython.ccall
    def cut(self) -> cython.void:
        Detector.cut(self)
        self._lasting.clear()
        self._exceeds = nan
        self._unusual = 0

    @cython.ccall
    def read(self) -> cython.double:
        aged: Standing | None = self._aged
        surplus: cython.double
        self._exceeds = nan
        if self._band.answered != VALUE:
            return nan
        surplus = self._band.out[1] if aged is None else aged.bids.stood - aged.asks.stood
        self._lasting.observe(surplus, self.now_ns)
        self._exceeds = (surplus - self._lasting.threshold()) / self._per_unit
        return self._band.out[0]

    @cython.ccall
    def magnitude(self) -> cython.double:
        return self._exceeds

    @cython.ccall
    def shape(self, score: cython.double) -> cython.double:
        side: cython.int = 0
        on: cython.double = self.lifecycle.on
        if self._aged is None or self.lifecycle.state == OPENED:
            return score
        if (score >= on or score <= -on) and self.usual.passes(self._exceeds, STAYS):
            side = 1 if score > 0 else -1
        if side != self._unusual:
            self._unusual = side
            self._unusual_ns = self.now_ns
        if side == 0 or self.now_ns - self._unusual_ns >= self._settle_ns:
            return score
        return held_below(score, on)

    def evidence(self) -> dict[str, float | None]:
        told: dict[str, float | None] = {"band_imbalance": self.raw}
        if self._aged is not None:
            told = {"band_imbalance": self._aged.raw, "aged_band_imbalance": self.raw}
        return {**told, "band_z": self.x, "surplus": self._exceeds}


class BookExhaustionOptions(DetectorOptions, frozen=True, kw_only=True):
    """Half of the usual depth is gone on one side, and twice as much of it as usually goes in a busy second."""

    on: Annotated[Positive, Doc("open at a score of at least this")] = Decimal("0.5")
    off: Annotated[NonNegative, Doc("close below this")] = Decimal("0.2")
    min_duration_ms: Millis0 = 1_000
    max_age_ms: Millis = 20_000
    update_step: NonNegative = Decimal("0.1")
    times_usual: NonNegative = Decimal(2)
    bps: Annotated[Positive, Doc("half-width of the band around the mid, in basis points")] = Decimal(20)
    half_life_ms: Annotated[Millis, Doc("of the average that depth is compared with")] = 30_000
    recovery: Annotated[Share, Doc("a shock that recovered by less than this counts")] = Decimal("0.5")
    recovery_age_ms: Annotated[Millis, Doc("and so long")] = 5_000
    boost: Annotated[Positive, Doc("what the score is multiplied with then")] = Decimal("1.25")
    standardise: Standardise = Standardise(by="none")


@cython.cclass
class BookExhaustion(Detector):
    """Depletion of the asks less that of the bids within a band: ``max(0, ask) - max(0, bid)`` of ``thinning``.

    That is ``exhaustion`` without what a move of the price, takers or the end of an unusual heap explain. Depth beyond
    the usual is accumulation (``absorption`` has a mode for it) and not the other side's exhaustion. Times ``boost``
    where the depleted side lately had a shock that did not recover (``resiliency``). Positive: the asks are emptier,
    buy pressure. No value: as ``thinning``, and during the first half-life of a book. Source: practitioners' measure;
    Large 2007 (resiliency).
    """

    Options: ClassVar[type[Struct]] = BookExhaustionOptions
    bounded: ClassVar[bool] = True
    _depth: Metric
    _shocks: Metric
    _since_ns: cython.longlong
    _half_life_ns: cython.longlong
    _recovery: cython.double
    _recovery_ns: cython.longlong
    _boost: cython.double
    _weak_bid_ns: cython.longlong
    _weak_ask_ns: cython.longlong

    def __init__(self, kind: str, name: str, options: BookExhaustionOptions, grid: Grid) -> None:
        self._depth = Thinning(Decimal(options.bps), options.half_life_ms)
        self._shocks = Resiliency(ResiliencyOptions(), grid)
        self._half_life_ns = options.half_life_ms * NS_PER_MS
        self._recovery = float(options.recovery)
        self._recovery_ns = options.recovery_age_ms * NS_PER_MS
        self._boost = float(options.boost)
        super().__init__(kind, name, options, [self._depth, self._shocks], True)
        self.cut()

    @cython.ccall
    def cut(self) -> cython.void:
        Detector.cut(self)
        self._since_ns = 0
        self._weak_bid_ns = 0
        self._weak_ask_ns = 0

    @cython.ccall
    def read(self) -> cython.double:
        bid: cython.double
        ask: cython.double
        score: cython.double
        weak_ns: cython.longlong
        if self._since_ns == 0:
            self._since_ns = self.now_ns
        if self._shocks.answered == VALUE and self._shocks.out[1] < self._recovery:
            if self._shocks.out[0] == 0:
                self._weak_bid_ns = self.now_ns
            else:
                self._weak_ask_ns = self.now_ns
        if self._depth.answered != VALUE or self.now_ns - self._since_ns < self._half_life_ns:
            return nan
        bid = max(0.0, self._depth.out[0])
        ask = max(0.0, self._depth.out[1])
        score = ask - bid
        weak_ns = self._weak_ask_ns if score > 0 else self._weak_bid_ns
        if weak_ns > 0 and self.now_ns - weak_ns <= self._recovery_ns:
            score *= self._boost
        return score

    @cython.ccall
    def shape(self, score: cython.double) -> cython.double:
        return held_until_known(self, score)

    def evidence(self) -> dict[str, float | None]:
        known = self._depth.answered == VALUE
        bid, ask = (self._depth.out[0], self._depth.out[1]) if known else (nan, nan)
        weak = max(self._weak_bid_ns, self._weak_ask_ns)
        return {
            "exhaustion_bid": bid,
            "exhaustion_ask": ask,
            "weak_recovery_ms": (self.now_ns - weak) / NS_PER_MS if weak else None,
        }


class SupplyDemandImbalanceOptions(DetectorOptions, frozen=True, kw_only=True):
    """A slow lean of all venues together, which is the message: it is scaled and not centred. A share wanders in thin
    books, so a small score of it is enough, and what must be unusual is the depth itself.
    """

    on: Annotated[Positive, Doc("open at a score of at least this")] = Decimal("1.5")
    min_duration_ms: Millis0 = 5_000
    cooldown_ms: Millis0 = 30_000
    max_age_ms: Millis = 300_000
    horizon_ms: Millis = 30_000
    times_usual: NonNegative = Decimal("1.5")
    bps: Annotated[Positive, Doc("half-width of the band around each mid, in basis points")] = Decimal(20)
    fresh_ms: Annotated[Millis, Doc("a book that was last heard of before that does not count")] = 2_000
    least: Annotated[int, Doc("instruments that must be fresh")] = 2
    weights: Annotated[dict[str, NonNegative], Doc("of venues; 1 for those that are not named")] = field(
        default_factory=dict
    )
    standardise: Standardise = Standardise(half_life_ms=600_000, centre=False, min_sd=Decimal("0.05"))

    def faults(self, known: Known) -> Iterator[Fault]:
        """What only the whole configuration knows."""
        for venue in self.weights:
            if venue not in known.venues:
                yield Fault(f"weights.{venue}", "an unknown venue", nearest(venue, known.venues))
        if not any(self.weights.get(venue, 1) > 0 for venue in known.venues):
            yield Fault(
                "weights", shown({k: str(v) for k, v in self.weights.items()}), "weights that sum to more than 0"
            )


@cython.cclass
class SupplyDemandImbalance(Detector):
    """The imbalance of notional within a band over all venues and instruments of one asset, over its own deviation.

    ``sum w (x_b - x_a) / sum w (x_b + x_a)`` of the books that are proven and were heard of within ``fresh`` (receive
    time), this one's with them; bids and asks in money that can be added up (one quote currency, or dollars of any
    name). The usual peak is that of the money by which one side exceeds the other, against its own median of the last
    ten minutes. Positive: more bids. No value: fewer than ``least`` such instruments, or before the standardiser is
    warm. Each instrument has its own detector, asked when its own book changes. Source: depth imbalance of Cao, Hansch
    & Wang 2009, summed over venues.
    """

    Options: ClassVar[type[Struct]] = SupplyDemandImbalanceOptions
    _depths: Depths
    _post: Post
    _least: cython.Py_ssize_t
    _lasting: Past
    _exceeds: cython.double

    def __init__(self, kind: str, name: str, options: SupplyDemandImbalanceOptions, grid: Grid) -> None:
        self._depths = Depths(options.fresh_ms * NS_PER_MS)
        self._post = Post()
        self._least = options.least
        self._lasting = Past("0.5", 600, 30, 1_000)
        self._exceeds = nan
        super().__init__(kind, name, options, [], True)

    def seated(self, place: Place, others: list[Detector]) -> None:
        options = self.options
        self._post = place.post
        weights = {venue: float(weight) for venue, weight in options.weights.items()}
        place.asset.watch(Decimal(options.bps), weights, self._depths)

    @cython.ccall
    def cut(self) -> cython.void:
        Detector.cut(self)
        self._lasting.clear()
        self._exceeds = nan

    @cython.ccall
    def read(self) -> cython.double:
        imbalance: cython.double
        self._exceeds = nan
        if not self._post.ok:
            return nan
        imbalance = self._depths.imbalance(self._post.recv_ns)
        if self._depths.fresh < self._least:
            return nan
        self._lasting.observe(self._depths.surplus, self.now_ns)
        self._exceeds = self._depths.surplus - self._lasting.threshold()
        return imbalance

    @cython.ccall
    def magnitude(self) -> cython.double:
        return self._exceeds

    def evidence(self) -> dict[str, float | None]:
        return {"supply_demand": self.raw, "fresh": float(self._depths.fresh), "surplus": self._exceeds}
