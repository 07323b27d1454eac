"""Guards of the feed and of the reader: is the data sound, fresh, in time and in measure; is the market open."""

from __future__ import annotations

from collections import deque
from decimal import Decimal
from math import inf, nan
from typing import TYPE_CHECKING, Annotated, ClassVar

from msgspec import Struct

from imbalanced.detect.desk import NO_LAG
from imbalanced.detect.filters.filter import NS_PER_MS, Filter, Kit, Moment, S, Said, judged, unknown
from imbalanced.detect.filters.rolling import Rolling, median_of
from imbalanced.options import Doc, Millis, Millis0, NonNegative, Positive, Range

if TYPE_CHECKING:
    from imbalanced.detect.desk import Desk
    from imbalanced.detect.detector import Detector

M = 60 * S
POLLED = ("funding", "oi", "ratio")


class WarmupOptions(Struct, frozen=True, kw_only=True):
    """``min_age``: how long the book must have been proven."""

    min_age_ms: Annotated[Millis0, Doc("time since the book was proven last")] = 30_000


class Warmup(Filter):
    """The book has been proven for ``min_age`` without a cut, and what the score is measured against is warm."""

    Options: ClassVar[type[Struct]] = WarmupOptions

    def __init__(self, options: WarmupOptions, kit: Kit) -> None:
        self._min_age_ns = options.min_age_ms * NS_PER_MS

    def check(self, detector: Detector, now: Moment) -> Said:
        age_ns = now.recv_ns - now.valid_since_ns
        if not detector.standardiser.warm(now.desk.time_of(detector)):
            return Said("fail", "the standardiser is not warm")
        told = f"proven for {age_ns / S:.1f} s of {self._min_age_ns / S:g}"
        return judged(age_ns >= self._min_age_ns, told, warmup_s=age_ns / S)


class StaleOptions(Struct, frozen=True, kw_only=True):
    """``max_age``: how old the last book event, ``max_trade_age``: how old the last trade may be."""

    max_age_ms: Annotated[Millis, Doc("age of the last book event; on slow venues 10 usual intervals, if longer")] = (
        2_000
    )
    max_trade_age_ms: Annotated[Millis, Doc("age of the last trade, for kinds that rest on trades")] = 10_000


class Stale(Filter):
    """What the signal rests on is fresh, by receive time: book, trades, and polls within 3 of their intervals.

    Fails where it was never heard of. The usual interval of the book is the median of the last ones, as the clock's
    ticks see them.
    """

    Options: ClassVar[type[Struct]] = StaleOptions
    watches: ClassVar[bool] = True

    def __init__(self, options: StaleOptions, kit: Kit) -> None:
        self._max_age_ns = options.max_age_ms * NS_PER_MS
        self._max_trade_age_ns = options.max_trade_age_ms * NS_PER_MS
        self._intervals: deque[float] = deque(maxlen=31)
        self._last_ns = 0

    def observe(self, now: Moment) -> None:
        heard_ns = now.desk.heard_book_ns
        if heard_ns > self._last_ns:
            if self._last_ns:
                self._intervals.append(heard_ns - self._last_ns)
            self._last_ns = heard_ns

    def _limit_ns(self) -> float:
        if not self._intervals:
            return self._max_age_ns
        return max(self._max_age_ns, 10 * median_of(list(self._intervals)))

    def check(self, detector: Detector, now: Moment) -> Said:
        streams = [
            (what, now.recv_ns - heard_ns if heard_ns else None, limit_ns)
            for what, heard_ns, limit_ns in self._streams(detector, now.desk)
        ]
        ages = {f"stale_{what}_ms": None if age is None else age / NS_PER_MS for what, age, _ in streams}
        bad = [what for what, age, limit in streams if age is None or age > limit]
        told = ", ".join(
            f"{what} never heard of" if age is None else f"{what} {age / S:.3f} s old of {limit / S:g}"
            for what, age, limit in streams
        )
        return Said("fail" if bad else "pass", told, ages)

    def _streams(self, detector: Detector, desk: Desk) -> list[tuple[str, int, float]]:
        """What the kind rests on, when it was last heard of, and how old that may be."""
        feeds = detector.inputs.split()
        told: list[tuple[str, int, float]] = []
        if "book" in feeds or detector.of_book:
            told.append(("book", desk.heard_book_ns, self._limit_ns()))
        if "trade" in feeds and not detector.of_book:
            told.append(("trades", desk.heard_trade_ns, self._max_trade_age_ns))
        for what in POLLED:
            if what in feeds:
                heard_ns, interval_ns = desk.polled(what)
                told.append((what, heard_ns, 3 * interval_ns if interval_ns else inf))
        return told


class LatencyOptions(Struct, frozen=True, kw_only=True):
    """``limit``: beyond the usual."""

    limit_ms: Annotated[Millis, Doc("receive minus event time, beyond its own median")] = 500
    window_ms: Annotated[Millis, Doc("over which the median is taken, sampled once a second")] = 600_000


def _lag_ns(detector: Detector, desk: Desk) -> int:
    """Receive minus event time of the last message of the kind's own stream."""
    return desk.book_lag_ns if detector.of_book else desk.trade_lag_ns


class Latency(Filter):
    """Receive minus event time is not far beyond its own median: against the clocks' offset, whatever that is.

    Unknown where the venue gives no time, and before ten samples.
    """

    Options: ClassVar[type[Struct]] = LatencyOptions
    watches: ClassVar[bool] = True

    def __init__(self, options: LatencyOptions, kit: Kit) -> None:
        self._limit_ns = options.limit_ms * NS_PER_MS
        self._book = Rolling(options.window_ms * NS_PER_MS, S)
        self._trades = Rolling(options.window_ms * NS_PER_MS, S)

    def observe(self, now: Moment) -> None:
        desk = now.desk
        if self._book.due(now.recv_ns) and desk.book_lag_ns != NO_LAG:
            self._book.add(now.recv_ns, desk.book_lag_ns)
        if self._trades.due(now.recv_ns) and desk.trade_lag_ns != NO_LAG:
            self._trades.add(now.recv_ns, desk.trade_lag_ns)

    def check(self, detector: Detector, now: Moment) -> Said:
        lag_ns = _lag_ns(detector, now.desk)
        past = self._book if detector.of_book else self._trades
        if lag_ns == NO_LAG or len(past) < 10:
            return unknown("no times of the venue yet", latency_ms=None)
        beyond = (lag_ns - past.median()) / NS_PER_MS
        told = f"{beyond:+.0f} ms beyond its median of {past.median() / NS_PER_MS:.0f}"
        return judged(beyond * NS_PER_MS <= self._limit_ns, told, latency_ms=beyond)


class ClockOptions(Struct, frozen=True, kw_only=True):
    """``jump``: of the offset between the clocks, ``hold``: until it is trusted again."""

    jump_ms: Annotated[Millis, Doc("of the median offset, within 10 s")] = 250
    hold_ms: Annotated[Millis, Doc("nothing opens for so long after a jump")] = 10_000


class Clock(Filter):
    """The offset between the venue's clock and ours has not jumped: windows roll on the venue's time.

    The offset is the median of receive minus event time of book messages over 5 s, compared with that of 10 s ago.
    Unknown where the venue gives no time, and before 15 s of it.
    """

    Options: ClassVar[type[Struct]] = ClockOptions
    watches: ClassVar[bool] = True

    def __init__(self, options: ClockOptions, kit: Kit) -> None:
        self._jump_ns = options.jump_ms * NS_PER_MS
        self._hold_ns = options.hold_ms * NS_PER_MS
        self._recent = Rolling(5 * S, 100 * NS_PER_MS)
        self._medians: deque[tuple[int, float]] = deque()
        self._jumped_ns = 0
        self._moved = 0.0

    def observe(self, now: Moment) -> None:
        if now.desk.book_lag_ns == NO_LAG or not self._recent.due(now.recv_ns):
            return
        self._recent.add(now.recv_ns, now.desk.book_lag_ns)
        self._medians.append((now.recv_ns, self._recent.median()))
        while len(self._medians) > 1 and self._medians[1][0] <= now.recv_ns - 10 * S:
            self._medians.popleft()
        then_ns, then = self._medians[0]
        if then_ns <= now.recv_ns - 10 * S:
            self._moved = self._medians[-1][1] - then
            if abs(self._moved) > self._jump_ns:
                self._jumped_ns = now.recv_ns

    def check(self, detector: Detector, now: Moment) -> Said:
        if not self._medians or self._medians[0][0] > now.recv_ns - 10 * S:
            return unknown("no times of the venue yet", clock_ms=None)
        moved = self._moved / NS_PER_MS
        told = f"offset moved by {moved:+.0f} ms in 10 s"
        if self._jumped_ns:
            told += f", jumped {(now.recv_ns - self._jumped_ns) / S:.1f} s ago"
        ok = not self._jumped_ns or now.recv_ns - self._jumped_ns >= self._hold_ns
        return judged(ok, told, clock_ms=moved)


class EventRateOptions(Struct, frozen=True, kw_only=True):
    """A quantile alone is exceeded by every busy second after an hour of calm, and busy seconds are what signals come
    in: so the rate must also be a multiple of its median.
    """

    q: Annotated[Decimal, Range(gt=0, lt=1), Doc("quantile of messages per second over the last hour")] = Decimal(
        "0.999"
    )
    k: Annotated[Positive, Doc("and so many times their median")] = Decimal(10)
    min_count: Annotated[int, Range(ge=1, le=3600), Doc("seconds that must have been seen")] = 1_000


class EventRate(Filter):
    """Messages per second of receive time are no flood. Unknown before ``min_count`` seconds.

    Of this instrument's books, trades and context, as the frames brought them.
    """

    Options: ClassVar[type[Struct]] = EventRateOptions
    watches: ClassVar[bool] = True

    def __init__(self, options: EventRateOptions, kit: Kit) -> None:
        self._q, self._k, self._least = float(options.q), float(options.k), options.min_count
        self._past = Rolling(3600 * S, S)
        self._since_ns = 0
        self._updates = 0
        self._rate = 0.0

    def observe(self, now: Moment) -> None:
        if not self._past.due(now.recv_ns):
            return
        # The second that just ended enters the past only with the next, so that it is not its own yardstick.
        if self._since_ns:
            self._past.add(now.recv_ns, self._rate)
            self._rate = (now.desk.updates - self._updates) * S / (now.recv_ns - self._since_ns)
        else:
            self._past.add(now.recv_ns, nan)
        self._since_ns, self._updates = now.recv_ns, now.desk.updates

    def check(self, detector: Detector, now: Moment) -> Said:
        if len(self._past) < self._least:
            return unknown(f"{len(self._past)} of {self._least} seconds seen", event_rate=None)
        limit = max(self._past.quantile(self._q), self._k * self._past.median())
        told = f"{self._rate:.0f} messages per second of at most {limit:.0f}"
        return judged(self._rate <= limit, told, event_rate=self._rate)


class HaltOptions(Struct, frozen=True, kw_only=True):
    """On an instrument whose spread is a hundredth of a basis point 20 spreads are nothing: a jump must be one in price
    as well.
    """

    silence_ms: Annotated[Millis, Doc("without a trade or a new best price, while other venues trade")] = 30_000
    jump_spreads: Annotated[Positive, Doc("a move of the mid within a second beyond so many spreads")] = Decimal(20)
    jump_bps: Annotated[NonNegative, Doc("and beyond so many basis points")] = Decimal(50)
    hold_ms: Annotated[Millis, Doc("of normal activity before anything opens again")] = 10_000


class Halt(Filter):
    """The market is open and no news has just hit it: it trades or quotes (or nobody does), its status is trading, and
    the mid has not jumped.

    Whether others trade is seen on other instruments of the same asset and sort; without them silence proves nothing.
    """

    Options: ClassVar[type[Struct]] = HaltOptions
    watches: ClassVar[bool] = True

    def __init__(self, options: HaltOptions, kit: Kit) -> None:
        self._silence_ns = options.silence_ms * NS_PER_MS
        self._hold_ns = options.hold_ms * NS_PER_MS
        self._spreads, self._bps = float(options.jump_spreads), float(options.jump_bps)
        self._mids: deque[tuple[int, float]] = deque()
        self._best = (0, 0)
        self._quoted_ns = 0
        self._bad_ns = 0
        self._why = ""

    def observe(self, now: Moment) -> None:
        book = now.desk.book
        if not book.ok():
            self._mids.clear()
            self._quoted_ns = 0
            return
        bid, ask = book.bids.px_at(0), book.asks.px_at(0)
        if (bid, ask) != self._best or not self._quoted_ns:
            self._best, self._quoted_ns = (bid, ask), now.recv_ns
        self._mids.append((now.recv_ns, (bid + ask) / 2))
        while len(self._mids) > 1 and self._mids[1][0] <= now.recv_ns - S:
            self._mids.popleft()
        if self._jumped(ask - bid):
            self._bad_ns, self._why = now.recv_ns, "the mid jumped"
        elif self._alone(now):
            self._bad_ns, self._why = now.recv_ns, "silent while others trade"

    def _jumped(self, spread: int) -> bool:
        moved = abs(self._mids[-1][1] - self._mids[0][1])
        return moved > self._spreads * spread and moved > self._bps * 1e-4 * self._mids[0][1]

    def _alone(self, now: Moment) -> bool:
        last_ns = max(self._quoted_ns, now.desk.heard_trade_ns)
        if now.recv_ns - last_ns < self._silence_ns:
            return False
        return any(peer.desk.heard_trade_ns > last_ns for peer in now.peers)

    def check(self, detector: Detector, now: Moment) -> Said:
        if now.instrument is not None and not now.instrument.active:
            return Said("fail", "the instrument does not trade")
        if self._bad_ns and now.recv_ns - self._bad_ns < self._hold_ns:
            ago = (now.recv_ns - self._bad_ns) / S
            return judged(False, f"{self._why} {ago:.1f} s ago", halt_s=ago)
        return judged(True, "trading" if now.peers else "trading, as far as one venue tells")


class RateOptions(Struct, frozen=True, kw_only=True):
    """``n``: opens of one kind in a minute."""

    n: Annotated[int, Range(ge=1, le=10_000), Doc("opens of one kind on one instrument in a minute")] = 12


class Rate(Filter):
    """No more than so many opens of one kind in a minute; more is noise whatever it says."""

    Options: ClassVar[type[Struct]] = RateOptions

    def __init__(self, options: RateOptions, kit: Kit) -> None:
        self._n = options.n
        self._opened: dict[str, deque[int]] = {}

    def check(self, detector: Detector, now: Moment) -> Said:
        count = sum(at_ns > now.recv_ns - M for at_ns in self._opened.get(detector.name, ()))
        return judged(count < self._n, f"{count} opens in a minute of {self._n}", rate_n=float(count))

    def opened(self, detector: Detector, now: Moment) -> None:
        opened = self._opened.setdefault(detector.name, deque())
        while opened and opened[0] <= now.recv_ns - M:
            opened.popleft()
        opened.append(now.recv_ns)
