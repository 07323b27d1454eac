# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Two memories in the order of time: volume that came to the levels of a book, and volume that left them.

What they mean, and how a message is booked in them, is in ``cohorts.py``.
"""

from __future__ import annotations

from array import array

import cython

if not cython.compiled:
    from imbalanced.metrics.windows import room
else:
    from cython.cimports.imbalanced.metrics.windows import room

NONE = cython.declare(cython.longlong, -1)


@cython.final
@cython.cclass
class Arrivals:
    """Additions of the last while, numbered in their order; those of one level are found newest first.

    A ring, and through it one chain per hash bucket from new to old. What is evicted is not unlinked: a number below
    ``first`` ends a chain.
    """

    def __init__(self, capacity: int = 256) -> None:
        self.first = self.next = 0
        self.mask = capacity - 1
        self.t: cython.longlong[::1] = array("q", bytes(8 * capacity))
        self.key: cython.longlong[::1] = array("q", bytes(8 * capacity))
        self.size: cython.double[::1] = array("d", bytes(8 * capacity))
        self.left: cython.double[::1] = array("d", bytes(8 * capacity))
        self.early: cython.double[::1] = array("d", bytes(8 * capacity))
        self.near: cython.longlong[::1] = array("q", bytes(8 * capacity))
        self.died: cython.longlong[::1] = array("q", bytes(8 * capacity))
        self._link: cython.longlong[::1] = array("q", [-1] * capacity)
        self._newest: cython.longlong[::1] = array("q", [-1] * capacity)

    @cython.cfunc
    def _fit(self) -> cython.void:
        """Into another ring, where this one is full or nearly empty."""
        number: cython.longlong
        at: cython.Py_ssize_t
        capacity: cython.Py_ssize_t = room(self.next - self.first, self.mask + 1)
        if capacity == self.mask + 1:
            return
        full: Arrivals = Arrivals(capacity)
        full.first = full.next = self.first
        for number in range(self.first, self.next):
            at = number & self.mask
            full.add(self.t[at], self.key[at], self.size[at], self.near[at] != 0)
            full.left[number & full.mask] = self.left[at]
            full.early[number & full.mask] = self.early[at]
            full.died[number & full.mask] = self.died[at]
        self.mask, self.t, self.key, self.size = full.mask, full.t, full.key, full.size
        self.left, self.early, self.near, self.died = full.left, full.early, full.near, full.died
        self._link, self._newest = full._link, full._newest

    @cython.cfunc
    def _bucket(self, key: cython.longlong) -> cython.Py_ssize_t:
        # Prices are multiples of a tick: their low bits alone would fill few buckets.
        return (key ^ (key >> 7) ^ (key >> 17)) & self.mask

    @cython.cfunc
    def add(self, t_ns: cython.longlong, key: cython.longlong, size: cython.double, near: cython.bint) -> cython.void:
        at: cython.Py_ssize_t
        bucket: cython.Py_ssize_t
        if self.next - self.first > self.mask:
            self._fit()
        at = self.next & self.mask
        bucket = self._bucket(key)
        self.t[at] = t_ns
        self.key[at] = key
        self.size[at] = self.left[at] = size
        self.early[at] = 0.0
        self.near[at] = near
        self._link[at] = self._newest[bucket]
        self._newest[bucket] = self.next
        self.next += 1

    @cython.cfunc
    def _living(
        self, number: cython.longlong, before: cython.Py_ssize_t, key: cython.longlong, dead_ns: cython.longlong
    ) -> cython.longlong:
        """From this one on the first of the level that has something left; -1 if there is none. ``before``: the place
        whose link it is, or that of the bucket. What was dead at ``dead_ns`` is taken out of the chain on the way, or
        a level that flickers would have ever longer ones.
        """
        at: cython.Py_ssize_t
        last: cython.Py_ssize_t = NONE
        while number >= self.first:
            at = number & self.mask
            if self.left[at] == 0 and self.died[at] < dead_ns:
                number = self._link[at]
                if last >= 0:
                    self._link[last] = number
                elif before >= 0:
                    self._link[before] = number
                else:
                    self._newest[self._bucket(key)] = number
                continue
            if self.key[at] == key and self.left[at] > 0:
                return number
            last = at
            number = self._link[at]
        return NONE

    @cython.cfunc
    def newest(self, key: cython.longlong, dead_ns: cython.longlong) -> cython.longlong:
        """The newest of a level that has something left. What died before ``dead_ns`` stays dead."""
        return self._living(self._newest[self._bucket(key)], NONE, key, dead_ns)

    @cython.cfunc
    def older(self, number: cython.longlong, dead_ns: cython.longlong) -> cython.longlong:
        """The next older one of the same level that has something left."""
        at: cython.Py_ssize_t = number & self.mask
        return self._living(self._link[at], at, self.key[at], dead_ns)

    @cython.cfunc
    def leave(self, at: cython.Py_ssize_t, left: cython.double, t_ns: cython.longlong) -> cython.void:
        """So much is left of it now."""
        self.left[at] = left
        if left == 0:
            self.died[at] = t_ns

    @cython.cfunc
    def evict(self, before_ns: cython.longlong) -> cython.void:
        """What came before ``before_ns`` is old now."""
        while self.first < self.next and self.t[self.first & self.mask] < before_ns:
            self.first += 1
        self._fit()

    @cython.cfunc
    def clear(self) -> cython.void:
        self.first = self.next


@cython.final
@cython.cclass
class Leavers:
    """Volume that left in the last while: when, where, how much, how old it was (``OLD``: older than the memory) and
    of which addition.
    """

    def __init__(self, capacity: int = 256) -> None:
        self.first = self.next = 0
        self.mask = capacity - 1
        self.t: cython.longlong[::1] = array("q", bytes(8 * capacity))
        self.key: cython.longlong[::1] = array("q", bytes(8 * capacity))
        self.amount: cython.double[::1] = array("d", bytes(8 * capacity))
        self.age: cython.longlong[::1] = array("q", bytes(8 * capacity))
        self.of: cython.longlong[::1] = array("q", bytes(8 * capacity))

    @cython.cfunc
    def _fit(self) -> cython.void:
        """Into another ring, where this one is full or nearly empty."""
        number: cython.longlong
        at: cython.Py_ssize_t
        capacity: cython.Py_ssize_t = room(self.next - self.first, self.mask + 1)
        if capacity == self.mask + 1:
            return
        full: Leavers = Leavers(capacity)
        full.first = full.next = self.first
        for number in range(self.first, self.next):
            at = number & self.mask
            full.add(self.t[at], self.key[at], self.amount[at], self.age[at], self.of[at])
        self.mask, self.t, self.key = full.mask, full.t, full.key
        self.amount, self.age, self.of = full.amount, full.age, full.of

    @cython.cfunc
    def add(
        self,
        t_ns: cython.longlong,
        key: cython.longlong,
        amount: cython.double,
        age_ns: cython.longlong,
        of: cython.longlong,
    ) -> cython.void:
        at: cython.Py_ssize_t
        if self.next - self.first > self.mask:
            self._fit()
        at = self.next & self.mask
        self.t[at] = t_ns
        self.key[at] = key
        self.amount[at] = amount
        self.age[at] = age_ns
        self.of[at] = of
        self.next += 1

    @cython.cfunc
    def evict(self, before_ns: cython.longlong) -> cython.void:
        while self.first < self.next and self.t[self.first & self.mask] < before_ns:
            self.first += 1
        self._fit()

    @cython.cfunc
    def clear(self) -> cython.void:
        self.first = self.next
