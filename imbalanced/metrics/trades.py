# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""What takers do: their imbalance, ratio, cumulative delta, sweeps, arrival rates, and the price they paid on average.

Only market aggressors reach these (the codec drops what is not), books neither matter nor cut anything here. A trade
without a side never adds to a signed quantity. Volume and its relation to levels and buckets: ``volume.py``.
"""

from __future__ import annotations

from array import array
from decimal import Decimal
from math import nan
from typing import ClassVar, Literal

import cython
from cython.cimports.libc.math import pow, sqrt
from msgspec import Struct

if not cython.compiled:
    from imbalanced.book import Book
    from imbalanced.metrics.metric import Metric
    from imbalanced.metrics.windows import Sums, floor_div, room
else:
    from cython.cimports.imbalanced.book import Book
    from cython.cimports.imbalanced.metrics.metric import Metric
    from cython.cimports.imbalanced.metrics.windows import Sums, floor_div, room


from imbalanced.metrics.metric import NO_VALUE, NS_PER_MS, VALUE, Grid
from imbalanced.options import Count, Millis, Millis0, NonNegative, Positive

DAY_MS = 86_400_000


class TradeImbalanceOptions(Struct, frozen=True, kw_only=True):
    """Over how long, and in what.

    ``window``: the trades of ``(t - window, t]`` (duration, default 1 s).
    ``unit``: ``base`` weighs by size (default), ``quote`` by price times size.
    """

    window_ms: Millis = 1000
    unit: Literal["base", "quote"] = "base"


@cython.cclass
class TradeImbalance(Metric):
    """``sum s v / sum v`` over the sided trades in the window, in [-1, 1].

    ``s`` = +1 buy taker, -1 sell taker, ``v`` volume. Positive: buyers are the aggressors. No value: no sided trade in
    the window. Inputs: trades, clock. Source: Silantyev 2019 (trade flow explains contemporaneous moves of a crypto
    perpetual better than order flow).
    """

    Options: ClassVar[type[Struct]] = TradeImbalanceOptions
    inputs: ClassVar[str] = "trade clock"
    _window_ns: cython.longlong
    _quote: cython.bint
    _per_unit: cython.double
    _flow: Sums

    def __init__(self, options: TradeImbalanceOptions, grid: Grid) -> None:
        super().__init__(1)
        self._window_ns = options.window_ms * NS_PER_MS
        self._quote = options.unit == "quote"
        self._per_unit = grid.per_unit
        self._flow = Sums(2)

    @cython.ccall
    def trade(self, px: cython.longlong, size: cython.double, sign: cython.int, t_ns: cython.longlong) -> cython.int:
        volume: cython.double = size
        flow: Sums = self._flow
        if self._quote:
            volume *= cython.cast(cython.double, px) / self._per_unit
        if sign != 0 and volume > 0:
            flow.row[0] = volume if sign > 0 else 0.0
            flow.row[1] = volume if sign < 0 else 0.0
            flow.push(t_ns)
        return self._imbalance(t_ns)

    @cython.ccall
    def clock(self, book: Book, t_ns: cython.longlong) -> cython.int:
        return self._imbalance(t_ns)

    @cython.cfunc
    def _imbalance(self, t_ns: cython.longlong) -> cython.int:
        flow: Sums = self._flow
        flow.evict(t_ns - self._window_ns)
        if flow.count == 0:
            return NO_VALUE
        self.out[0] = (flow.sums[0] - flow.sums[1]) / (flow.sums[0] + flow.sums[1])
        return VALUE


class WindowOptions(Struct, frozen=True, kw_only=True):
    """``window``: the trades of ``(t - window, t]`` (duration, default 1 s)."""

    window_ms: Millis = 1000


@cython.cclass
class AggressorRatio(Metric):
    """``{volume: buy size / sided size, count: buy trades / sided trades}`` in the window, in [0, 1]; 0.5 is neutral.

    Above 0.5: buyers are the aggressors. Both parts are without a value when the window has no sided trade. One trade
    is what the venue calls one: aggregated prints lower the count. Inputs: trades, clock.
    """

    Options: ClassVar[type[Struct]] = WindowOptions
    inputs: ClassVar[str] = "trade clock"
    outputs: ClassVar[tuple[str, ...]] = ("volume", "count")
    shape: ClassVar[str] = "dict"
    _window_ns: cython.longlong
    _flow: Sums

    def __init__(self, options: WindowOptions, grid: Grid) -> None:
        super().__init__(2)
        self._window_ns = options.window_ms * NS_PER_MS
        self._flow = Sums(3)

    @cython.ccall
    def trade(self, px: cython.longlong, size: cython.double, sign: cython.int, t_ns: cython.longlong) -> cython.int:
        if sign != 0:
            self._flow.row[0] = size if sign > 0 else 0.0
            self._flow.row[1] = size
            self._flow.row[2] = 1.0 if sign > 0 else 0.0
            self._flow.push(t_ns)
        return self._ratios(t_ns)

    @cython.ccall
    def clock(self, book: Book, t_ns: cython.longlong) -> cython.int:
        return self._ratios(t_ns)

    @cython.cfunc
    def _ratios(self, t_ns: cython.longlong) -> cython.int:
        flow: Sums = self._flow
        flow.evict(t_ns - self._window_ns)
        self.out[0] = flow.sums[0] / flow.sums[1] if flow.sums[1] > 0 else nan
        self.out[1] = flow.sums[2] / cython.cast(cython.double, flow.count) if flow.count > 0 else nan
        return VALUE


class SessionOptions(Struct, frozen=True, kw_only=True):
    """``session``: length of a session, counted from the epoch, so one day is a UTC day (duration, default 1 d)."""

    session_ms: Millis = DAY_MS


@cython.cclass
class Cvd(Metric):
    """Cumulative volume delta: the running ``sum s * size`` of the session, in base units.

    Positive: net bought by takers.
    The session is ``floor(t / session)``; when it changes the sum starts again at 0 before the trade is added. A trade
    without a side adds 0 but may start a session. Always a value on a trade. Input: trades.
    """

    Options: ClassVar[type[Struct]] = SessionOptions
    inputs: ClassVar[str] = "trade"
    _session_ns: cython.longlong
    _session: cython.longlong
    _sum: cython.double
    _lost: cython.double

    def __init__(self, options: SessionOptions, grid: Grid) -> None:
        super().__init__(1)
        self._session_ns = options.session_ms * NS_PER_MS
        self._session = 0
        self._sum = 0.0
        self._lost = 0.0

    @cython.ccall
    def trade(self, px: cython.longlong, size: cython.double, sign: cython.int, t_ns: cython.longlong) -> cython.int:
        session: cython.longlong = floor_div(t_ns, self._session_ns)
        delta: cython.double = sign * size
        total: cython.double
        back: cython.double
        if session != self._session:
            self._session = session
            self._sum = 0.0
            self._lost = 0.0
        # A day has millions of trades: what each addition rounds off is kept (Knuth's two-sum).
        total = self._sum + delta
        back = total - self._sum
        self._lost += (self._sum - (total - back)) + (delta - back)
        self._sum = total
        self.out[0] = total + self._lost
        return VALUE


class SweepOptions(Struct, frozen=True, kw_only=True):
    """What counts as one taker.

    ``min_levels``: distinct prices that make a sweep (count, default 3).
    ``gap``: all trades of one sweep lie within this time of its first (duration, default 1 ms; 0: the same instant).
    """

    min_levels: Count = 3
    gap_ms: Millis0 = 1


@cython.cclass
class Sweep(Metric):
    """``{levels: s * n, notional: s * sum p q}``: one taker who went through ``n`` distinct prices; positive: a buyer.

    Consecutive trades of one side, each price not better for the taker than the one before, all within ``gap`` of the
    first. The event that ends the group answers it: a sided trade that does not fit, or any other event later than
    ``gap``. No value: no group ended, or it had fewer than ``min_levels`` prices. Venues that print one average price
    per taker order show no sweep. Inputs: trades, and every other event as a clock.
    """

    Options: ClassVar[type[Struct]] = SweepOptions
    inputs: ClassVar[str] = "trade any"
    outputs: ClassVar[tuple[str, ...]] = ("levels", "notional")
    shape: ClassVar[str] = "dict"
    _min_levels: cython.longlong
    _gap_ns: cython.longlong
    _per_unit: cython.double
    _side: cython.int
    _levels: cython.longlong
    _notional: cython.double
    _last_px: cython.longlong
    _first_ns: cython.longlong

    def __init__(self, options: SweepOptions, grid: Grid) -> None:
        super().__init__(2)
        self._min_levels = options.min_levels
        self._gap_ns = options.gap_ms * NS_PER_MS
        self._per_unit = grid.per_unit
        self._side = 0
        self._levels = 0
        self._notional = 0.0
        self._last_px = 0
        self._first_ns = 0

    @cython.ccall
    def trade(self, px: cython.longlong, size: cython.double, sign: cython.int, t_ns: cython.longlong) -> cython.int:
        told: cython.int
        if sign == 0:
            return self._pass(t_ns)
        if (
            self._levels > 0
            and sign == self._side
            and sign * (px - self._last_px) >= 0
            and t_ns - self._first_ns <= self._gap_ns
        ):
            told = NO_VALUE
            if px != self._last_px:
                self._levels += 1
        else:
            told = self._end()
            self._side = sign
            self._levels = 1
            self._first_ns = t_ns
        self._last_px = px
        self._notional += cython.cast(cython.double, px) / self._per_unit * size
        return told

    @cython.cfunc
    def _pass(self, t_ns: cython.longlong) -> cython.int:
        if self._levels > 0 and t_ns - self._first_ns > self._gap_ns:
            return self._end()
        return NO_VALUE

    @cython.cfunc
    def _end(self) -> cython.int:
        told: cython.int = NO_VALUE
        if self._levels >= self._min_levels:
            self.out[0] = self._side * self._levels
            self.out[1] = self._side * self._notional
            told = VALUE
        self._levels = 0
        self._notional = 0.0
        return told

    @cython.ccall
    def book_replaced(self, book: Book, t_ns: cython.longlong) -> cython.int:
        return self._pass(t_ns)

    @cython.ccall
    def book_changed(self, book: Book, t_ns: cython.longlong) -> cython.int:
        return self._pass(t_ns)

    @cython.ccall
    def book_invalid(self, t_ns: cython.longlong) -> cython.int:
        return self._pass(t_ns)

    @cython.ccall
    def clock(self, book: Book, t_ns: cython.longlong) -> cython.int:
        return self._pass(t_ns)

    @cython.ccall
    def value(self, x: cython.double, t_ns: cython.longlong) -> cython.int:
        return self._pass(t_ns)

    def event(self, event: object, t_ns: int) -> int:
        return self._pass(t_ns)


class HawkesOptions(Struct, frozen=True, kw_only=True):
    """The kernel. As a process it is stable only while ``jump * half_life / ln 2 < 1``; as a feature any value works.

    ``mu``: base rate of each side (trades per second, default 0.1).
    ``jump``: what one trade adds to its side (trades per second, default 1).
    ``half_life``: how fast that fades (duration, default 500 ms).
    """

    mu: NonNegative = Decimal("0.1")
    jump: Positive = Decimal(1)
    half_life_ms: Millis = 500


@cython.cclass
class HawkesImbalance(Metric):
    """``{buy, sell, imbalance}``: self-exciting arrival rates of takers per side (1/s), and their imbalance.

    ``imbalance = (buy - sell) / (buy + sell)``, ``buy = mu + X_buy``; each buy adds ``jump`` to ``X_buy``, which
    halves every ``half_life``. Size does not matter. Positive: buyers arrive faster. ``imbalance`` has no value when
    both rates are 0 (``mu`` 0 and no sided trade yet). Inputs: trades, clock. Source: Hawkes 1971; Bacry, Mastromatteo
    & Muzy 2015.
    """

    Options: ClassVar[type[Struct]] = HawkesOptions
    inputs: ClassVar[str] = "trade clock"
    outputs: ClassVar[tuple[str, ...]] = ("buy", "sell", "imbalance")
    shape: ClassVar[str] = "dict"
    _mu: cython.double
    _jump: cython.double
    _half_life_ns: cython.double
    _buy: cython.double  # X as of _as_of_ns; what a clock fades is not written back, so silence cannot underflow it
    _sell: cython.double
    _as_of_ns: cython.longlong

    def __init__(self, options: HawkesOptions, grid: Grid) -> None:
        super().__init__(3)
        self._mu = float(options.mu)
        self._jump = float(options.jump)
        self._half_life_ns = float(options.half_life_ms * NS_PER_MS)
        self._buy = 0.0
        self._sell = 0.0
        self._as_of_ns = 0

    @cython.cfunc
    def _faded(self, t_ns: cython.longlong) -> cython.double:
        return pow(2.0, -cython.cast(cython.double, t_ns - self._as_of_ns) / self._half_life_ns)

    @cython.ccall
    def trade(self, px: cython.longlong, size: cython.double, sign: cython.int, t_ns: cython.longlong) -> cython.int:
        fade: cython.double
        if sign == 0:
            return self._rates(self._faded(t_ns))
        if self._buy + self._sell > 0:
            fade = self._faded(t_ns)
            self._buy *= fade
            self._sell *= fade
        self._as_of_ns = t_ns
        if sign > 0:
            self._buy += self._jump
        else:
            self._sell += self._jump
        return self._rates(1.0)

    @cython.ccall
    def clock(self, book: Book, t_ns: cython.longlong) -> cython.int:
        return self._rates(self._faded(t_ns))

    @cython.cfunc
    def _rates(self, fade: cython.double) -> cython.int:
        buy: cython.double = self._mu + self._buy * fade
        sell: cython.double = self._mu + self._sell * fade
        self.out[0] = buy
        self.out[1] = sell
        if self._mu > 0:
            self.out[2] = (buy - sell) / (buy + sell)
        elif self._buy + self._sell > 0:
            # Without a base rate the common fading cancels, and it may have made both rates too small for a float.
            self.out[2] = (self._buy - self._sell) / (self._buy + self._sell)
        else:
            self.out[2] = nan
        return VALUE


@cython.cclass
class PriceMoments:
    """Volume, mean and spread of prices over a window, or of everything if nothing is ever evicted.

    Every part is ``(q, mean, m2)`` with ``m2 = sum q (p - mean)^2``; two parts are joined by Chan's formula, which
    subtracts no large numbers from one another. The window is a queue of two halves as in ``windows.Sums``. Prices are
    counted from an anchor. ``changes`` counts neighbours of different price: 0 means one distinct price. Room is made
    for what a whole ``window_ns`` will hold at the present pace, so that memory does not creep while a long one fills.
    """

    count: cython.Py_ssize_t
    changes: cython.Py_ssize_t
    anchor: cython.longlong
    q: cython.double
    mean: cython.double
    m2: cython.double
    _window_ns: cython.longlong
    _last_px: cython.longlong
    _fresh_q: cython.double
    _fresh_mean: cython.double
    _fresh_m2: cython.double
    _t: cython.longlong[::1]
    _px: cython.longlong[::1]
    _q: cython.double[::1]
    _mean: cython.double[::1]
    _m2: cython.double[::1]
    _head: cython.Py_ssize_t
    _old: cython.Py_ssize_t

    def __init__(self, window_ns: int = 0, capacity: int = 64) -> None:
        self._window_ns = window_ns
        self._t = array("q", bytes(8 * capacity))
        self._px = array("q", bytes(8 * capacity))
        self._q = array("d", bytes(8 * capacity))
        self._mean = array("d", bytes(8 * capacity))
        self._m2 = array("d", bytes(8 * capacity))
        self.clear()

    @cython.ccall
    def clear(self) -> cython.void:
        self.count = 0
        self.changes = 0
        self.anchor = 0
        self._last_px = 0
        self._head = 0
        self._old = 0
        self._fresh_q = 0.0
        self._fresh_mean = 0.0
        self._fresh_m2 = 0.0
        self._join_halves()

    @cython.cfunc
    def _at(self, i: cython.Py_ssize_t) -> cython.Py_ssize_t:
        at: cython.Py_ssize_t = self._head + i
        return at - len(self._t) if at >= len(self._t) else at

    @cython.cfunc
    def _move(self, n: cython.Py_ssize_t) -> cython.void:
        """Into a ring of this capacity."""
        t: cython.longlong[::1] = array("q", bytes(8 * n))
        px: cython.longlong[::1] = array("q", bytes(8 * n))
        q: cython.double[::1] = array("d", bytes(8 * n))
        mean: cython.double[::1] = array("d", bytes(8 * n))
        m2: cython.double[::1] = array("d", bytes(8 * n))
        i: cython.Py_ssize_t
        at: cython.Py_ssize_t
        for i in range(self.count):
            at = self._at(i)
            t[i] = self._t[at]
            px[i] = self._px[at]
            q[i] = self._q[at]
            mean[i] = self._mean[at]
            m2[i] = self._m2[at]
        self._t = t
        self._px = px
        self._q = q
        self._mean = mean
        self._m2 = m2
        self._head = 0

    @cython.cfunc
    def _room(self) -> cython.Py_ssize_t:
        """Twice the trades there are, or up to 16 times while the window is not full."""
        span_ns: cython.longlong = self._t[self._at(self.count - 1)] - self._t[self._head]
        whole: cython.double = 1.25 * self.count * self._window_ns / max(span_ns, 1)
        return min(max(2 * self.count, cython.cast(cython.Py_ssize_t, min(whole, 1e15))), 16 * self.count)

    @cython.ccall
    def push(self, t_ns: cython.longlong, px: cython.longlong, q: cython.double) -> cython.void:
        """A trade of volume ``q`` (above 0)."""
        at: cython.Py_ssize_t
        total: cython.double
        step: cython.double
        if self.count == 0:
            self.anchor = px
        elif px != self._last_px:
            self.changes += 1
        self._last_px = px
        if self._window_ns > 0:
            if self.count == len(self._t):
                self._move(self._room())
            at = self._at(self.count)
            self._t[at] = t_ns
            self._px[at] = px
            self._q[at] = q
            self._mean[at] = cython.cast(cython.double, px - self.anchor)
            self._m2[at] = 0.0
        self.count += 1
        total = self._fresh_q + q
        step = cython.cast(cython.double, px - self.anchor) - self._fresh_mean
        self._fresh_m2 += step * step * (self._fresh_q * (q / total))
        self._fresh_mean += step * (q / total)
        self._fresh_q = total
        self._join_halves()

    @cython.ccall
    def evict(self, until_ns: cython.longlong) -> cython.void:
        """Trades with a time of at most ``until_ns`` leave."""
        following: cython.Py_ssize_t
        if self.count == 0 or self._t[self._head] > until_ns:
            return
        while self.count > 0 and self._t[self._head] <= until_ns:
            following = self._at(1)
            if self.count > 1 and self._px[self._head] != self._px[following]:
                self.changes -= 1
            self._head = following
            self.count -= 1
            self._old -= 1
        if self._old <= 0:
            self._turn()
            if room(self.count, len(self._t)) < len(self._t):
                self._move(room(self.count, len(self._t)))
        self._join_halves()

    @cython.cfunc
    def _turn(self) -> cython.void:
        """The fresh half becomes the old one: each row turns into the join of itself and all newer ones."""
        i: cython.Py_ssize_t
        at: cython.Py_ssize_t
        total: cython.double
        step: cython.double
        share: cython.double
        q: cython.double = 0.0
        mean: cython.double = 0.0
        m2: cython.double = 0.0
        self.anchor = self._last_px
        for i in range(self.count - 1, -1, -1):
            at = self._at(i)
            total = q + self._q[at]
            step = cython.cast(cython.double, self._px[at] - self.anchor) - mean
            share = self._q[at] / total
            m2 += step * step * (q * share)
            mean += step * share
            q = total
            self._q[at] = q
            self._mean[at] = mean
            self._m2[at] = m2
        self._old = self.count
        self._fresh_q = 0.0
        self._fresh_mean = 0.0
        self._fresh_m2 = 0.0

    @cython.cfunc
    def _join_halves(self) -> cython.void:
        step: cython.double
        share: cython.double
        at: cython.Py_ssize_t = self._head
        self.q = self._fresh_q
        self.mean = self._fresh_mean
        self.m2 = self._fresh_m2
        if self._old > 0:
            self.q += self._q[at]
            share = self._q[at] / self.q
            step = self._mean[at] - self._fresh_mean
            self.mean += step * share
            self.m2 += self._m2[at] + step * step * (self._fresh_q * share)


class VwapOptions(Struct, frozen=True, kw_only=True):
    """Which trades: those of a window, those of the session, or those of both. Neither given: the session of one day.

    ``window``: the trades of ``(t - window, t]`` (duration; null: no window).
    ``session``: only trades since the session began, counted from the epoch (duration; null: 1 d, or none if a window
    is given).
    """

    window_ms: Millis | None = None
    session_ms: Millis | None = None


@cython.cclass
class VwapDeviation(Metric):
    """``{vwap, sigma, z: (p - vwap) / sigma, bps: (p - vwap) / vwap * 1e4}`` of the trade's price ``p``.

    This trade is included: ``vwap = sum p q / sum q`` and ``sigma = sqrt(sum q (p - vwap)^2 / sum q)`` in price units.
    Positive: above the average price; that is no pressure by itself, detectors choose reversion or trend. With one
    distinct price ``sigma`` is 0 and ``z`` has no value. Input: trades, with a side or not.
    """

    Options: ClassVar[type[Struct]] = VwapOptions
    inputs: ClassVar[str] = "trade"
    outputs: ClassVar[tuple[str, ...]] = ("vwap", "sigma", "z", "bps")
    shape: ClassVar[str] = "dict"
    _window_ns: cython.longlong
    _session_ns: cython.longlong
    _session: cython.longlong
    _per_unit: cython.double
    _prices: PriceMoments

    def __init__(self, options: VwapOptions, grid: Grid) -> None:
        super().__init__(4)
        session_ms = options.session_ms or (0 if options.window_ms else DAY_MS)
        self._window_ns = (options.window_ms or 0) * NS_PER_MS
        self._session_ns = session_ms * NS_PER_MS
        self._session = 0
        self._per_unit = grid.per_unit
        self._prices = PriceMoments(self._window_ns)

    @cython.ccall
    def trade(self, px: cython.longlong, size: cython.double, sign: cython.int, t_ns: cython.longlong) -> cython.int:
        prices: PriceMoments = self._prices
        session: cython.longlong
        if self._session_ns > 0:
            session = floor_div(t_ns, self._session_ns)
            if session != self._session:
                self._session = session
                prices.clear()
        if self._window_ns > 0:
            prices.evict(t_ns - self._window_ns)
        if size > 0:
            prices.push(t_ns, px, size)
        if prices.count == 0:
            return NO_VALUE
        self._deviation(px)
        return VALUE

    @cython.cfunc
    def _deviation(self, px: cython.longlong) -> cython.void:
        prices: PriceMoments = self._prices
        away: cython.double = cython.cast(cython.double, px - prices.anchor) - prices.mean
        vwap: cython.double = cython.cast(cython.double, prices.anchor) + prices.mean
        sigma: cython.double = sqrt(prices.m2 / prices.q) if prices.changes > 0 else 0.0
        self.out[0] = vwap / self._per_unit
        self.out[1] = sigma / self._per_unit
        self.out[2] = away / sigma if sigma > 0 else nan
        self.out[3] = away / vwap * 1e4 if vwap != 0 else nan
