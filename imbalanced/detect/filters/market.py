"""Is there a market to speak of: spread, depth, volatility, and what a trade would cost."""

from __future__ import annotations

from collections import deque
from decimal import Decimal
from math import log, nan, sqrt
from typing import TYPE_CHECKING, Annotated, ClassVar

from msgspec import Struct

from imbalanced.detect.confidence import Owner
from imbalanced.detect.filters.filter import NS_PER_MS, Filter, Kit, Moment, S, Said, judged, unknown
from imbalanced.detect.filters.rolling import Rolling, median_of
from imbalanced.detect.signals import strength
from imbalanced.metrics.across import VenueDepth
from imbalanced.options import Doc, Millis, NonNegative, Positive, Range, Share

if TYPE_CHECKING:
    from imbalanced.detect.desk import Desk
    from imbalanced.detect.detector import Detector

H = 3600 * S
# Their own message is a wide spread; a sweep's is the hole that it leaves.
ABOUT_SPREAD = frozenset(("spread_shock", "sweep"))
# Its own message is that depth is gone.
ABOUT_DEPTH = frozenset(("book_exhaustion", "spread_shock"))


def spread_bps(desk: Desk) -> float:
    """Of a book that is OK."""
    bid, ask = desk.book.bids.px_at(0), desk.book.asks.px_at(0)
    return (ask - bid) / (ask + bid) * 2e4


class SpreadOptions(Struct, frozen=True, kw_only=True):
    """``k``: the spread may be so many times its own median over ``window``."""

    k: Annotated[Positive, Doc("multiple of the median spread")] = Decimal(3)
    window_ms: Annotated[Millis, Doc("over which the median is taken, sampled once a second")] = 600_000


class WideSpread(Filter):
    """The spread is not far beyond its usual width. Sampled once a second; unknown before ten samples.

    Not asked of kinds that are about the spread (`spread_shock`) or leave a wide one by themselves (`sweep`). Fails
    where there is no spread: the book is one-sided or crossed.
    """

    Options: ClassVar[type[Struct]] = SpreadOptions
    watches: ClassVar[bool] = True

    def __init__(self, options: SpreadOptions, kit: Kit) -> None:
        self._k = float(options.k)
        self._past = Rolling(options.window_ms * NS_PER_MS, S)

    def observe(self, now: Moment) -> None:
        if self._past.due(now.recv_ns) and now.desk.book.ok():
            self._past.add(now.recv_ns, spread_bps(now.desk))

    def check(self, detector: Detector, now: Moment) -> Said:
        if not now.desk.book.ok():
            return Said("fail", "no spread", {"spread_x": None})
        if detector.kind in ABOUT_SPREAD:
            return judged(True, "not of this kind")
        if len(self._past) < 10:
            return unknown(f"{len(self._past)} of 10 samples", spread_x=None)
        usual = self._past.median()
        wide = spread_bps(now.desk)
        told = f"{wide:.3f} bps, median {usual:.3f}, at most {self._k:g} times"
        return judged(wide <= self._k * usual, told, spread_x=wide / usual if usual > 0 else None)


class DepthOptions(Struct, frozen=True, kw_only=True):
    """What is offered has to be judged as of before the event that takes it, hence the median of the last 10 s against
    the last hour. A quantile alone says no at one moment in ten, however steady the market: so it must be ``share``
    below as well. Whether an instrument is worth the trouble at all, its median says.
    """

    bps: Annotated[Positive, Doc("half-width of the band around the mid, in basis points")] = Decimal(10)
    q: Annotated[Share, Doc("quantile of the last hour that the last 10 s may not be below")] = Decimal("0.1")
    share: Annotated[Share, Doc("and this share of the last hour's median")] = Decimal("0.25")
    min_notional: Annotated[NonNegative, Doc("median of the last hour, in the quote currency")] = Decimal(10_000)
    min_count: Annotated[int, Range(ge=10, le=3600), Doc("seconds of the past for the quantile")] = 300


class Depth(Filter):
    """There is enough to trade with: the smaller side's notional within ``bps`` of the mid, sampled once a second.

    Not asked of kinds that are about missing depth (`book_exhaustion`, `spread_shock`). Unknown before ten samples; the
    quantile before ``min_count``.
    """

    Options: ClassVar[type[Struct]] = DepthOptions
    watches: ClassVar[bool] = True

    def __init__(self, options: DepthOptions, kit: Kit) -> None:
        self._q, self._share, self._least = float(options.q), float(options.share), float(options.min_notional)
        self._enough = options.min_count
        self._past = Rolling(H, S)
        self._depth = VenueDepth(Decimal(options.bps), kit.grid.per_unit)

    def observe(self, now: Moment) -> None:
        if self._past.due(now.recv_ns) and now.desk.book.ok():
            self._depth.look(now.desk.book, now.recv_ns)
            self._past.add(now.recv_ns, min(self._depth.bid, self._depth.ask))

    def check(self, detector: Detector, now: Moment) -> Said:
        if detector.kind in ABOUT_DEPTH:
            return judged(True, "not of this kind")
        if len(self._past) < 10:
            return unknown(f"{len(self._past)} of 10 samples", depth_quote=None)
        usual, offered = self._past.median(), median_of(self._past.latest(10))
        told = f"{offered:.0f} on the smaller side, usually {usual:.0f} (at least {self._least:.0f})"
        if usual < self._least or len(self._past) < self._enough:
            return judged(usual >= self._least, told, depth_quote=offered)
        limit = min(self._past.quantile(self._q), self._share * usual)
        return judged(offered >= limit, f"{told}, not below {limit:.0f}", depth_quote=offered)


class VolatilityOptions(Struct, frozen=True, kw_only=True):
    """A quantile of 0.99 has to have seen a hundred independent minutes, and a day has its quiet hours: before
    ``min_past`` nobody knows what is much.
    """

    low: Annotated[Share, Doc("quantile of the last 24 h; below it nothing moves")] = Decimal("0.05")
    high: Annotated[Share, Doc("quantile above which it is another market")] = Decimal("0.99")
    soft: Annotated[Share, Doc("from this quantile on the quality falls, to 0 at `high`")] = Decimal("0.95")
    min_past_ms: Annotated[Millis, Doc("how long the past must be")] = 6 * 3_600_000

    def __post_init__(self) -> None:
        if not self.low < self.soft <= self.high:
            raise ValueError("low below soft, soft of at most high")


class Volatility(Filter):
    """Realised volatility of the last minute (mid returns of a second) is that of an ordinary market.

    Against its own last 24 h, sampled every 10 s. Unknown while that past is shorter than ``min_past``.
    """

    Options: ClassVar[type[Struct]] = VolatilityOptions
    watches: ClassVar[bool] = True

    def __init__(self, options: VolatilityOptions, kit: Kit) -> None:
        self._low, self._high, self._soft = float(options.low), float(options.high), float(options.soft)
        self._least_ns = options.min_past_ms * NS_PER_MS
        self._past = Rolling(24 * H, 10 * S)
        self._squares: deque[tuple[int, float]] = deque()
        self._mid, self._next_ns, self._since_ns = 0.0, 0, 0
        self._now = nan

    def observe(self, now: Moment) -> None:
        if now.recv_ns < self._next_ns:
            return
        gap = self._next_ns and now.recv_ns - self._next_ns > S
        self._next_ns = (now.recv_ns // S + 1) * S
        book = now.desk.book
        if gap or not book.ok():
            # Nothing is bridged: a return over a hole is not one of a second.
            self._mid = 0.0
            self._squares.clear()
        if not book.ok():
            return
        mid = float(book.bids.px_at(0) + book.asks.px_at(0))
        if self._mid:
            self._squares.append((now.recv_ns, log(mid / self._mid) ** 2))
        self._mid = mid
        while self._squares and self._squares[0][0] <= now.recv_ns - 60 * S:
            self._squares.popleft()
        # A minute has 60 returns; the first that is missing is that of the start.
        self._now = sqrt(sum(x for _, x in self._squares)) * 1e4 if len(self._squares) >= 59 else nan
        if self._past.due(now.recv_ns) and self._now == self._now:
            self._past.add(now.recv_ns, self._now)

    def check(self, detector: Detector, now: Moment) -> Said:
        if self._now != self._now or self._past.span_ns() < self._least_ns:
            return unknown(f"a past of {self._past.span_ns() / H:.1f} h", volatility_q=None)
        q = self._past.rank(self._now)
        told = f"{self._now:.2f} bps a minute, quantile {q:.3f}"
        if not self._low <= q <= self._high:
            return judged(False, told, volatility_q=q)
        quality = 1.0 if q <= self._soft else (self._high - q) / (self._high - self._soft)
        return judged(True, told, quality, volatility_q=q)


class CostOptions(Struct, frozen=True, kw_only=True):
    """``k`` 0 only reports."""

    k: Annotated[NonNegative, Doc("the expected move must be so many times the cost; 0 only reports")] = Decimal(0)
    taker_fee_bps: Annotated[NonNegative, Doc("of one trade")] = Decimal(2)


class Cost(Filter):
    """The move that signals of this kind, instrument and strength had so far is worth half the spread and the fee.

    The expected move is the mean net return of the run's own graded signals with the configured cost of
    a round trip added again. Unknown while there are none.
    """

    Options: ClassVar[type[Struct]] = CostOptions

    def __init__(self, options: CostOptions, kit: Kit) -> None:
        self._k, self._fee = float(options.k), float(options.taker_fee_bps)

    def check(self, detector: Detector, now: Moment) -> Said:
        if not now.desk.book.ok():
            return unknown("no spread", cost_bps=None)
        cost = spread_bps(now.desk) / 2 + self._fee
        expected = self._expected(detector, now)
        if expected is None:
            return unknown(f"costs {cost:.2f} bps, no grades yet", cost_bps=cost, expected_bps=None)
        told = f"expected {expected:.2f} bps, costs {cost:.2f}, at least {self._k:g} times"
        ok = self._k == 0 or expected >= self._k * cost
        return judged(ok, told, cost_bps=cost, expected_bps=expected)

    @staticmethod
    def _expected(detector: Detector, now: Moment) -> float | None:
        if now.track is None or now.instrument is None:
            return None
        owner = Owner(detector.kind, now.instrument.venue, now.instrument.symbol)
        cycle = detector.lifecycle
        net = now.track.mean_net(owner, strength(detector.last, cycle.on, cycle.off, detector.full))
        return None if net is None else (net + now.round_trip) * 1e4
