"""Filters: what must hold before a detected signal is opened.

A filter is one small class with ``Options``; it is made once per instrument. ``observe`` is called on each tick of the
pipeline's clock to gather what the filter compares with; ``check`` answers whether a detector may open now. The first
one that says no is counted. Filters never hold back a close.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, ClassVar, Protocol

from msgspec import Struct

from imbalanced.options import Doc, Millis, Millis0, Positive, Range

if TYPE_CHECKING:
    from imbalanced.detect.desk import Desk
    from imbalanced.detect.detector import Detector

S = 1_000_000_000
NS_PER_MS = 1_000_000


class Moment(Struct, frozen=True):
    """What a filter may look at: the desk, since when its book is proven, and the receive time of this frame."""

    desk: Desk
    valid_since_ns: int
    recv_ns: int


class Filter(Protocol):
    """One filter on one instrument."""

    def observe(self, now: Moment) -> None:
        """A tick of the clock: gather what is compared with."""

    def check(self, detector: Detector, now: Moment) -> bool:
        """Whether this detector may open."""


class WarmupOptions(Struct, frozen=True, kw_only=True):
    """``min_age``: how long the book must have been proven."""

    min_age_ms: Annotated[Millis0, Doc("time since the book was proven last")] = 30_000


class Warmup:
    """The book has been proven for a while. (That the standardiser is warm the detector sees to itself.)"""

    Options: ClassVar[type[Struct]] = WarmupOptions

    def __init__(self, options: WarmupOptions) -> None:
        self._min_age_ns = options.min_age_ms * NS_PER_MS

    def observe(self, now: Moment) -> None:
        return

    def check(self, detector: Detector, now: Moment) -> bool:
        return now.recv_ns - now.valid_since_ns >= self._min_age_ns


class StaleOptions(Struct, frozen=True, kw_only=True):
    """``max_age``: how old the last book event, ``max_trade_age``: how old the last trade may be."""

    max_age_ms: Annotated[Millis, Doc("age of the last book event")] = 2_000
    max_trade_age_ms: Annotated[Millis, Doc("age of the last trade, for kinds that rest on trades")] = 10_000


class Stale:
    """What the signal rests on is fresh, by receive time."""

    Options: ClassVar[type[Struct]] = StaleOptions

    def __init__(self, options: StaleOptions) -> None:
        self._max_age_ns = options.max_age_ms * NS_PER_MS
        self._max_trade_age_ns = options.max_trade_age_ms * NS_PER_MS

    def observe(self, now: Moment) -> None:
        return

    def check(self, detector: Detector, now: Moment) -> bool:
        if now.recv_ns - now.desk.book_recv_ns > self._max_age_ns:
            return False
        return detector.of_book or now.recv_ns - now.desk.trade_recv_ns <= self._max_trade_age_ns


class SpreadOptions(Struct, frozen=True, kw_only=True):
    """``k``: the spread may be so many times its own median over ``window``."""

    k: Annotated[Positive, Doc("multiple of the median spread")] = Decimal(3)
    window_ms: Annotated[Millis, Doc("over which the median is taken, sampled once a second")] = 600_000


class WideSpread:
    """The spread is not far beyond its usual width. Sampled once a second; unknown (it passes) before ten samples."""

    Options: ClassVar[type[Struct]] = SpreadOptions

    def __init__(self, options: SpreadOptions) -> None:
        self._k = float(options.k)
        self._length = max(1, options.window_ms // 1000)
        self._past: deque[float] = deque()
        self._sorted: list[float] = []
        self._next_ns = 0

    def observe(self, now: Moment) -> None:
        if now.recv_ns < self._next_ns or not now.desk.book.ok():
            return
        self._next_ns = now.recv_ns + S
        spread = _spread_bps(now.desk)
        self._past.append(spread)
        insort(self._sorted, spread)
        if len(self._past) > self._length:
            del self._sorted[bisect_left(self._sorted, self._past.popleft())]

    def check(self, detector: Detector, now: Moment) -> bool:
        if not now.desk.book.ok():
            return False
        if len(self._sorted) < 10:
            return True
        return _spread_bps(now.desk) <= self._k * self._sorted[len(self._sorted) // 2]


class RateOptions(Struct, frozen=True, kw_only=True):
    """``n``: opens of one kind in a minute."""

    n: Annotated[int, Range(ge=1, le=10_000), Doc("opens of one kind on one instrument in a minute")] = 12


class Rate:
    """No more than so many opens of one kind in a minute; more is noise whatever it says."""

    Options: ClassVar[type[Struct]] = RateOptions

    def __init__(self, options: RateOptions) -> None:
        self._n = options.n
        self._opened: dict[str, deque[int]] = {}

    def observe(self, now: Moment) -> None:
        return

    def check(self, detector: Detector, now: Moment) -> bool:
        opened = self._opened.setdefault(detector.name, deque())
        while opened and opened[0] <= now.recv_ns - 60 * S:
            opened.popleft()
        if len(opened) >= self._n:
            return False
        opened.append(now.recv_ns)
        return True


def _spread_bps(desk: Desk) -> float:
    bid, ask = desk.book.bids.px_at(0), desk.book.asks.px_at(0)
    return (ask - bid) / (ask + bid) * 2e4
