# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Volume and what it does: at a price level, against a price that stays, in equal-volume buckets, per unit of
impact."""

from __future__ import annotations

from array import array
from decimal import Decimal
from fractions import Fraction
from math import floor as floor_of
from math import nan
from typing import ClassVar

import cython
from cython.cimports.libc.math import fabs
from msgspec import Struct

if not cython.compiled:
    from imbalanced.book import Book
    from imbalanced.metrics.metric import AsOf, Metric
    from imbalanced.metrics.windows import Sums, floor_div, room
else:
    from cython.cimports.imbalanced.book import Book
    from cython.cimports.imbalanced.metrics.metric import AsOf, Metric
    from cython.cimports.imbalanced.metrics.windows import Sums, floor_div, room

from imbalanced.metrics.metric import NO_VALUE, NOT_INPUT, NS_PER_MS, VALUE, Grid
from imbalanced.metrics.plain import items, picked
from imbalanced.metrics.statistics import AtLeastOne
from imbalanced.options import Millis, NonNegative, Positive


@cython.cclass
class Exact:
    """Running sums, one per slot, that amounts may enter and leave: what each addition rounds off is kept beside
    it."""

    _sum: cython.double[::1]
    _lost: cython.double[::1]

    def __init__(self, slots: int) -> None:
        self._sum = array("d", bytes(8 * slots))
        self._lost = array("d", bytes(8 * slots))

    @cython.cfunc
    def grow(self, slots: cython.Py_ssize_t) -> cython.void:
        more_sum: cython.double[::1] = array("d", bytes(8 * slots))
        more_lost: cython.double[::1] = array("d", bytes(8 * slots))
        i: cython.Py_ssize_t
        for i in range(len(self._sum)):
            more_sum[i] = self._sum[i]
            more_lost[i] = self._lost[i]
        self._sum = more_sum
        self._lost = more_lost

    @cython.cfunc
    def add(self, slot: cython.Py_ssize_t, x: cython.double) -> cython.void:
        old: cython.double = self._sum[slot]
        new: cython.double = old + x
        back: cython.double = new - old
        self._lost[slot] += (old - (new - back)) + (x - back)
        self._sum[slot] = new

    @cython.cfunc
    def reset(self, slot: cython.Py_ssize_t) -> cython.void:
        self._sum[slot] = 0.0
        self._lost[slot] = 0.0

    @cython.cfunc
    def at(self, slot: cython.Py_ssize_t) -> cython.double:
        return self._sum[slot] + self._lost[slot]

    @cython.cfunc
    def difference(self, a: cython.Py_ssize_t, b: cython.Py_ssize_t) -> cython.double:
        return (self._sum[a] - self._sum[b]) + (self._lost[a] - self._lost[b])


class VolumeSpikeOptions(Struct, frozen=True, kw_only=True):
    """What a level is, and what it is compared with.

    ``bucket``: width of a price bucket (price units; null: about 5 basis points of the first price, in whole ticks of
    the instrument, and required where those are unknown).
    ``window``: the trades of ``(t - window, t]`` (duration, default 1 m).
    ``min_buckets``: other buckets that must have volume (count, default 5).
    """

    bucket: Positive | None = None
    window_ms: Millis = 60_000
    min_buckets: AtLeastOne = 5


@cython.cclass
class VolumeSpike(Metric):
    """``{score: V_k / mean(V_b, b != k), delta_ratio: N_k / V_k}``: volume at this price against other prices.

    ``k = floor(price / bucket)``; ``V`` and ``N`` are volume and signed volume per bucket over the window, this trade
    included. ``score`` is unsigned, ``delta_ratio`` in [-1, 1], positive: bought by takers. No value: fewer than
    ``min_buckets`` other buckets have volume. Input: sided trades.
    """

    Options: ClassVar[type[Struct]] = VolumeSpikeOptions
    inputs: ClassVar[str] = "trade"
    outputs: ClassVar[tuple[str, ...]] = ("score", "delta_ratio")
    shape: ClassVar[str] = "dict"
    _window_ns: cython.longlong
    _min_buckets: cython.longlong
    _bucket: cython.longlong  # price units, 0 until it is known
    _tick: cython.longlong
    _slot_of: dict[int, int]  # bucket -> slot; slot 0 is the total
    _free: list[int]
    _volume: Exact
    _signed: Exact
    _trades: cython.longlong[::1]  # per slot
    _t: cython.longlong[::1]  # the ring of trades: time, bucket, signed size
    _key: cython.longlong[::1]
    _size: cython.double[::1]
    _head: cython.Py_ssize_t
    _count: cython.Py_ssize_t

    def __init__(self, options: VolumeSpikeOptions, grid: Grid) -> None:
        super().__init__(2)
        if options.bucket is None and grid.tick is None:
            raise ValueError("volume_spike.bucket: given nothing, expected a number above 0")
        self._window_ns = options.window_ms * NS_PER_MS
        self._min_buckets = options.min_buckets
        self._bucket = 0 if options.bucket is None else grid.px(options.bucket)
        self._tick = 1 if grid.tick is None else grid.px(grid.tick)
        self._slot_of = {}
        self._free = list(range(16, 0, -1))
        self._volume = Exact(17)
        self._signed = Exact(17)
        self._trades = array("q", bytes(8 * 17))
        self._t = array("q", bytes(8 * 64))
        self._key = array("q", bytes(8 * 64))
        self._size = array("d", bytes(8 * 64))
        self._head = 0
        self._count = 0

    @cython.ccall
    def trade(self, px: cython.longlong, size: cython.double, sign: cython.int, t_ns: cython.longlong) -> cython.int:
        key: cython.longlong
        if sign == 0:
            return NO_VALUE
        if self._bucket == 0:
            ticks: cython.longlong = floor_div(px + 1000 * self._tick, 2000 * self._tick)
            self._bucket = max(ticks, 1) * self._tick
        key = floor_div(px, self._bucket)
        self._evict(t_ns - self._window_ns)
        if size > 0:
            self._enter(key, size * sign, t_ns)
        return self._compare(key)

    @cython.cfunc
    def _compare(self, key: cython.longlong) -> cython.int:
        slot: cython.Py_ssize_t = self._slot_of.get(key, 0)
        others: cython.Py_ssize_t = len(self._slot_of)
        rest: cython.double = self._volume.at(0)
        volume: cython.double = 0.0
        signed: cython.double = 0.0
        if slot > 0:
            others -= 1
            rest = self._volume.difference(0, slot)
            volume = self._volume.at(slot)
            signed = self._signed.at(slot)
        if others < self._min_buckets or rest <= 0:
            return NO_VALUE
        self.out[0] = volume * others / rest
        self.out[1] = max(-1.0, min(1.0, signed / volume)) if volume > 0 else nan
        return VALUE

    @cython.cfunc
    def _enter(self, key: cython.longlong, signed: cython.double, t_ns: cython.longlong) -> cython.void:
        at: cython.Py_ssize_t
        slot: cython.Py_ssize_t = self._slot_of.get(key, 0)
        if slot == 0:
            slot = self._new_slot()
            self._slot_of[key] = slot
        if self._count == len(self._t):
            self._fit()
        at = (self._head + self._count) % len(self._t)
        self._t[at] = t_ns
        self._key[at] = key
        self._size[at] = signed
        self._count += 1
        self._trades[slot] += 1
        self._volume.add(slot, fabs(signed))
        self._volume.add(0, fabs(signed))
        self._signed.add(slot, signed)

    @cython.cfunc
    def _evict(self, until_ns: cython.longlong) -> cython.void:
        slot: cython.Py_ssize_t
        signed: cython.double
        while self._count > 0 and self._t[self._head] <= until_ns:
            signed = self._size[self._head]
            slot = self._slot_of[self._key[self._head]]
            self._trades[slot] -= 1
            self._volume.add(slot, -fabs(signed))
            self._volume.add(0, -fabs(signed))
            self._signed.add(slot, -signed)
            if self._trades[slot] == 0:
                self._volume.reset(slot)
                self._signed.reset(slot)
                del self._slot_of[self._key[self._head]]
                self._free.append(slot)
            self._head = (self._head + 1) % len(self._t)
            self._count -= 1
        self._fit()
        if self._count == 0:
            self._volume.reset(0)

    @cython.cfunc
    def _new_slot(self) -> cython.Py_ssize_t:
        i: cython.Py_ssize_t
        slots: cython.Py_ssize_t = len(self._trades)
        if not self._free:
            trades: cython.longlong[::1] = array("q", bytes(16 * slots))
            for i in range(slots):
                trades[i] = self._trades[i]
            self._trades = trades
            self._volume.grow(2 * slots)
            self._signed.grow(2 * slots)
            self._free = list(range(2 * slots - 1, slots - 1, -1))
        return self._free.pop()

    @cython.cfunc
    def _fit(self) -> cython.void:
        """Into another ring, where this one is full or nearly empty."""
        n: cython.Py_ssize_t = len(self._t)
        capacity: cython.Py_ssize_t = room(self._count, n)
        if capacity == n:
            return
        t: cython.longlong[::1] = array("q", bytes(8 * capacity))
        key: cython.longlong[::1] = array("q", bytes(8 * capacity))
        size: cython.double[::1] = array("d", bytes(8 * capacity))
        i: cython.Py_ssize_t
        for i in range(self._count):
            t[i] = self._t[(self._head + i) % n]
            key[i] = self._key[(self._head + i) % n]
            size[i] = self._size[(self._head + i) % n]
        self._t = t
        self._key = key
        self._size = size
        self._head = 0


class AbsorptionOptions(Struct, frozen=True, kw_only=True):
    """What is much volume, and what is no move.

    ``window``: the trades of ``(t - window, t]``, and how far back the mid is compared (duration, default 5 s).
    ``tick``: the price step (price units; null: the instrument's, and required where that is unknown).
    ``max_move_ticks``: the price may move so far and still counts as held (ticks, default 1).
    ``min_net``: less net volume says nothing (base units, required; for instance the 0.9 quantile of its magnitude).
    ``ref_volume``: the volume that makes the value 1 (base units, required; for instance the median of a window).
    """

    window_ms: Millis = 5000
    tick: Positive | None = None
    max_move_ticks: NonNegative = Decimal(1)
    min_net: NonNegative
    ref_volume: Positive


@cython.cclass
class Absorption(Metric):
    """``-n / ref_volume`` if net taker volume ``n`` of the window did not move the price, else 0; not clipped.

    0 if ``|n| < min_net``, or if the mid moved more than ``max_move_ticks`` in the direction of ``n`` since
    ``t - window`` (or since the first state of this book, if that is younger). Positive: sellers hit a wall of buyers.
    No value: the book is not live, crossed or one-sided, or the trade has no side; such trades are not counted. A new
    or invalid book ends everything. ``min_net`` and ``ref_volume`` are attributes and may follow the market. Inputs:
    book, sided trades (which answer). Called absorption or iceberg detection by traders; see also Hautsch & Huang
    2012.
    """

    Options: ClassVar[type[Struct]] = AbsorptionOptions
    inputs: ClassVar[str] = "book trade"

    def __init__(self, options: AbsorptionOptions, grid: Grid) -> None:
        super().__init__(1)
        tick = options.tick if options.tick is not None else grid.tick
        if tick is None:
            raise ValueError("absorption.tick: given nothing, expected a number above 0")
        self.min_net = float(options.min_net)
        self.ref_volume = float(options.ref_volume)
        self._window_ns = options.window_ms * NS_PER_MS
        self._most_ticks = Fraction(options.max_move_ticks)
        self._flow = Sums(2)
        self._mids = AsOf()
        self.step_of(grid.px(tick))
        self._forget()

    def step_of(self, tick: int) -> None:
        """The price step in price units, where it is learned from the book. Mids are counted in halves of a price unit,
        so the comparison is one of integers.
        """
        self._most_halves = float(floor_of(2 * tick * self._most_ticks))

    @cython.ccall
    def gross(self) -> cython.double:
        """Sided volume in the window, in base units, as of the last trade."""
        return self._flow.sums[0] + self._flow.sums[1]

    @cython.ccall
    def net(self) -> cython.double:
        """Bought less sold in the window, in base units, as of the last trade."""
        return self._flow.sums[0] - self._flow.sums[1]

    @cython.cfunc
    def _forget(self) -> cython.void:
        self._flow.clear()
        self._mids.clear()
        self._ok = False
        self._mid = 0.0
        self._base = 0

    @cython.cfunc
    def _remember(self, book: Book, t_ns: cython.longlong) -> cython.void:
        twice: cython.longlong
        self._ok = book.ok()
        if self._ok:
            twice = book.bids.key[book.bids.n - 1] - book.asks.key[book.asks.n - 1]
            if self._mids.count == 0:
                self._base = twice
            self._mid = cython.cast(cython.double, twice - self._base)
            self._mids.at(t_ns - self._window_ns)  # a book may change for hours between two trades
            self._mids.push(t_ns, self._mid)

    @cython.ccall
    def book_replaced(self, book: Book, t_ns: cython.longlong) -> cython.int:
        self._forget()
        self._remember(book, t_ns)
        return NO_VALUE

    @cython.ccall
    def book_changed(self, book: Book, t_ns: cython.longlong) -> cython.int:
        self._remember(book, t_ns)
        return NO_VALUE

    @cython.ccall
    def book_invalid(self, t_ns: cython.longlong) -> cython.int:
        self._forget()
        return NO_VALUE

    @cython.ccall
    def trade(self, px: cython.longlong, size: cython.double, sign: cython.int, t_ns: cython.longlong) -> cython.int:
        flow: Sums = self._flow
        if sign == 0 or not self._ok:
            return NO_VALUE
        if size > 0:
            flow.row[0] = size if sign > 0 else 0.0
            flow.row[1] = size if sign < 0 else 0.0
            flow.push(t_ns)
        flow.evict(t_ns - self._window_ns)
        self.out[0] = self._effort(t_ns)
        return VALUE

    @cython.cfunc
    def _effort(self, t_ns: cython.longlong) -> cython.double:
        net: cython.double = self._flow.sums[0] - self._flow.sums[1]
        gross: cython.double = self._flow.sums[0] + self._flow.sums[1]
        past: cython.double = self._mids.at(t_ns - self._window_ns)
        moved: cython.double
        # 0.7 + 0.1 bought is 0.8 bought, whatever floats say.
        if fabs(net) < self.min_net - 1e-12 * gross:
            return 0.0
        if past != past:
            past = self._mids._x[self._mids._head]
        moved = self._mid - past
        if net < 0:
            moved = -moved
        elif net == 0:
            moved = 0.0
        return 0.0 if moved > self._most_halves else -net / self.ref_volume


class VpinOptions(Struct, frozen=True, kw_only=True):
    """How large the buckets are.

    ``bucket_volume``: volume of one bucket (base units, required; about 1/50 of a usual day).
    ``buckets``: how many of them are averaged (count, default 50).
    """

    bucket_volume: Positive
    buckets: AtLeastOne = 50


@cython.cclass
class Vpin(Metric):
    """``{vpin: sum |b_j - s_j| / (n V), signed: sum (b_j - s_j) / (n V)}`` over the last ``n`` full buckets.

    Each sided trade fills buckets of volume ``V``, split over as many as it fills; ``b``, ``s`` are a bucket's buy and
    sell volume. ``vpin`` in [0, 1] is the toxicity of flow, ``signed`` in [-1, 1] positive: bought. No value: the
    trade fills no bucket, or fewer than ``n`` are full. A bucket is full when at most 1e-9 of it is missing. Input:
    sided trades. Taker sides are known here, so there is no bulk classification. Source: Easley, Lopez de Prado &
    O'Hara 2012; warning: Andersen & Bondarenko 2014.
    """

    Options: ClassVar[type[Struct]] = VpinOptions
    inputs: ClassVar[str] = "trade"
    outputs: ClassVar[tuple[str, ...]] = ("vpin", "signed")
    shape: ClassVar[str] = "dict"
    _bucket: cython.double
    _buckets: cython.Py_ssize_t
    _full: cython.Py_ssize_t  # buckets that were ever full, as far as it matters: at most _buckets
    _next: cython.Py_ssize_t
    _buy: cython.double
    _sell: cython.double
    _net: cython.double[::1]

    def __init__(self, options: VpinOptions, grid: Grid) -> None:
        super().__init__(2)
        self._bucket = float(options.bucket_volume)
        self._buckets = options.buckets
        self._full = 0
        self._next = 0
        self._buy = 0.0
        self._sell = 0.0
        self._net = array("d", bytes(8 * options.buckets))

    @cython.ccall
    def trade(self, px: cython.longlong, size: cython.double, sign: cython.int, t_ns: cython.longlong) -> cython.int:
        if sign == 0 or not self._fill(size, sign) or self._full < self._buckets:
            return NO_VALUE
        self._average()
        return VALUE

    @cython.cfunc
    def _fill(self, size: cython.double, sign: cython.int) -> cython.bint:
        """Whether at least one bucket became full."""
        closed: cython.bint = False
        missing: cython.double = self._bucket - (self._buy + self._sell)
        part: cython.double
        while size >= missing - 1e-9 * self._bucket:
            part = min(size, missing)
            self._add(part, sign)
            self._close()
            size -= part
            if closed and size > self._bucket * (self._buckets + 1):
                # Only the last of equal buckets are remembered; a huge trade need not fill the others one by one.
                size = size % self._bucket + self._bucket * self._buckets
            closed = True
            missing = self._bucket
        self._add(size, sign)
        return closed

    @cython.cfunc
    def _add(self, size: cython.double, sign: cython.int) -> cython.void:
        if sign > 0:
            self._buy += size
        else:
            self._sell += size

    @cython.cfunc
    def _close(self) -> cython.void:
        self._net[self._next] = self._buy - self._sell
        self._buy = 0.0
        self._sell = 0.0
        self._next += 1
        if self._next == self._buckets:
            self._next = 0
        if self._full < self._buckets:
            self._full += 1

    @cython.cfunc
    def _average(self) -> cython.void:
        i: cython.Py_ssize_t
        gross: cython.double = 0.0
        net: cython.double = 0.0
        for i in range(self._buckets):
            gross += fabs(self._net[i])
            net += self._net[i]
        self.out[0] = min(1.0, gross / (self._buckets * self._bucket))
        self.out[1] = max(-1.0, min(1.0, net / (self._buckets * self._bucket)))


class KyleOptions(Struct, frozen=True, kw_only=True):
    """Over how many rows.

    ``intervals``: the last so many rows (count, default 300).
    ``min_intervals``: rows that must be there (count, default 30).
    """

    intervals: AtLeastOne = 300
    min_intervals: AtLeastOne = 30


@cython.cclass
class KyleLambda(Metric):
    """``{lambda, r2}``: price impact of flow, the slope of mid changes on signed volume, and what it explains.

    ``lambda = sum (x - mx)(y - my) / sum (x - mx)^2`` in basis points per base unit, ``r2`` in [0, 1]. Positive:
    buying lifts the price. No value: fewer than ``min_intervals`` rows, or one distinct volume; ``r2`` has none when
    the mid never changed differently. Input: row, ``x = [signed volume, mid change in bps]``, one per interval.
    Source: Kyle 1985; as a regression: Hasbrouck 2007.
    """

    Options: ClassVar[type[Struct]] = KyleOptions
    inputs: ClassVar[str] = "row"
    outputs: ClassVar[tuple[str, ...]] = ("lambda", "r2")
    shape: ClassVar[str] = "dict"
    _intervals: cython.Py_ssize_t
    _min_intervals: cython.Py_ssize_t
    _count: cython.Py_ssize_t
    _next: cython.Py_ssize_t
    _x: cython.double[::1]
    _y: cython.double[::1]

    def __init__(self, options: KyleOptions, grid: Grid) -> None:
        super().__init__(2)
        self._intervals = options.intervals
        self._min_intervals = options.min_intervals
        self._count = 0
        self._next = 0
        self._x = array("d", bytes(8 * options.intervals))
        self._y = array("d", bytes(8 * options.intervals))

    def event(self, event: object, t_ns: int) -> int:
        given = picked(event, "row")
        if given is None:
            return NOT_INPUT
        self._x[self._next], self._y[self._next] = items(given.get("x"), 2)
        self._next = (self._next + 1) % self._intervals
        self._count = min(self._count + 1, self._intervals)
        if self._count < self._min_intervals:
            return NO_VALUE
        return self._regress()

    @cython.cfunc
    def _regress(self) -> cython.int:
        """Both passes over all rows: rows come once an interval, and nothing can drift."""
        n: cython.Py_ssize_t = self._count
        i: cython.Py_ssize_t
        x0: cython.double = self._x[0]
        y0: cython.double = self._y[0]
        mx: cython.double = 0.0
        my: cython.double = 0.0
        xx: cython.double = 0.0
        xy: cython.double = 0.0
        yy: cython.double = 0.0
        same_x: cython.bint = True
        same_y: cython.bint = True
        for i in range(n):
            mx += self._x[i] - x0
            my += self._y[i] - y0
            same_x = same_x and self._x[i] == x0
            same_y = same_y and self._y[i] == y0
        mx = x0 + mx / n
        my = y0 + my / n
        for i in range(n):
            xx += (self._x[i] - mx) * (self._x[i] - mx)
            xy += (self._x[i] - mx) * (self._y[i] - my)
            yy += (self._y[i] - my) * (self._y[i] - my)
        if same_x or xx <= 0:
            return NO_VALUE
        self.out[0] = xy / xx
        self.out[1] = nan if same_y or yy <= 0 else min(1.0, xy / xx * (xy / yy))
        return VALUE
