# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""A window whose sums are only ever added up, so that nothing can drift or fall below zero."""

from __future__ import annotations

from array import array

import cython

# Rings do not become smaller than this.
LEAST = cython.declare(cython.Py_ssize_t, 64)


@cython.cfunc
def floor_div(a: cython.longlong, b: cython.longlong) -> cython.longlong:
    """``a // b`` rounded down for negative ``a`` too, compiled and not; ``b`` is positive."""
    rest: cython.longlong = a % b
    if rest < 0:
        rest += b
    return (a - rest) // b


@cython.cfunc
def room(count: cython.Py_ssize_t, capacity: cython.Py_ssize_t) -> cython.Py_ssize_t:
    """What a ring of so many rows should hold: double when it is full, half when three quarters are empty. A storm of
    events passes, and the memory that it took must not stay.
    """
    if count == capacity:
        return 2 * capacity
    if capacity > LEAST and 4 * count < capacity:
        return capacity // 2
    return capacity


@cython.cclass
class Sums:
    """Rows of a few numbers with a time, and the sum of each column over ``(t - window, t]``.

    Write the columns into ``row``, then ``push``. A sum is never made by taking a row out again: a billion and 0.001
    in one window would leave nothing of the 0.001. Instead the rows are a queue of two halves: the old half holds
    running totals from its newest row back, the fresh half one total; when the old half is used up the fresh one
    becomes it. Each row is added twice in its life, and sums of amounts keep their sign and the precision of a sum
    made anew.
    """

    def __init__(self, columns: int, capacity: int = 64) -> None:
        self.columns = columns
        self.row = array("d", bytes(8 * columns))
        self.sums = array("d", bytes(8 * columns))
        self._fresh = array("d", bytes(8 * columns))
        self._t = array("q", bytes(8 * capacity))
        self._rows = array("d", bytes(8 * columns * capacity))
        self._head = 0
        self._old = 0
        self.count = 0

    @cython.cfunc
    def _at(self, i: cython.Py_ssize_t) -> cython.Py_ssize_t:
        at: cython.Py_ssize_t = self._head + i
        return at - len(self._t) if at >= len(self._t) else at

    @cython.cfunc
    def _move(self, capacity: cython.Py_ssize_t) -> cython.void:
        """Into a ring of this capacity."""
        new_t = array("q", bytes(8 * capacity))
        new_rows = array("d", bytes(8 * capacity * self.columns))
        t: cython.longlong[::1] = new_t
        rows: cython.double[::1] = new_rows
        i: cython.Py_ssize_t
        k: cython.Py_ssize_t
        at: cython.Py_ssize_t
        for i in range(self.count):
            at = self._at(i)
            t[i] = self._t[at]
            for k in range(self.columns):
                rows[i * self.columns + k] = self._rows[at * self.columns + k]
        self._t = new_t
        self._rows = new_rows
        self._head = 0

    @cython.ccall
    def push(self, t_ns: cython.longlong) -> cython.void:
        """``row`` enters the window with this time."""
        k: cython.Py_ssize_t
        at: cython.Py_ssize_t
        if self.count == len(self._t):
            self._move(room(self.count, len(self._t)))
        at = self._at(self.count)
        self._t[at] = t_ns
        self.count += 1
        for k in range(self.columns):
            self._rows[at * self.columns + k] = self.row[k]
            self._fresh[k] += self.row[k]
        self._add_up()

    @cython.ccall
    def evict(self, until_ns: cython.longlong) -> cython.void:
        """Rows with a time of at most ``until_ns`` leave."""
        i: cython.Py_ssize_t
        k: cython.Py_ssize_t
        at: cython.Py_ssize_t
        newer: cython.Py_ssize_t
        if self.count == 0 or self._t[self._head] > until_ns:
            return
        while self.count > 0 and self._t[self._head] <= until_ns:
            self._head = self._at(1)
            self.count -= 1
            self._old -= 1
        if self._old <= 0:
            # The fresh half becomes the old one: each row turns into the sum of itself and all newer ones.
            for i in range(self.count - 2, -1, -1):
                at = self._at(i) * self.columns
                newer = self._at(i + 1) * self.columns
                for k in range(self.columns):
                    self._rows[at + k] += self._rows[newer + k]
            for k in range(self.columns):
                self._fresh[k] = 0.0
            self._old = self.count
            if room(self.count, len(self._t)) < len(self._t):
                self._move(room(self.count, len(self._t)))
        self._add_up()

    @cython.cfunc
    def _add_up(self) -> cython.void:
        k: cython.Py_ssize_t
        for k in range(self.columns):
            self.sums[k] = self._fresh[k]
            if self._old > 0:
                self.sums[k] += self._rows[self._head * self.columns + k]

    @cython.ccall
    def clear(self) -> cython.void:
        """All rows leave."""
        k: cython.Py_ssize_t
        self._head = 0
        self._old = 0
        self.count = 0
        for k in range(self.columns):
            self._fresh[k] = 0.0
            self.sums[k] = 0.0
