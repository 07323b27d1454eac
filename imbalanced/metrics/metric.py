# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""What a metric answers, and the series as of a time that metrics share.

A metric is one small class. Its ``Options`` are the parameters (``_ms`` fields are durations), ``outputs`` names what
it answers, and it overrides the handlers of those inputs that it wants. A handler updates ``out`` and answers one of

- ``NOT_INPUT``: this kind of event is none of its inputs; nothing changed (the base class says so for every handler),
- ``NO_VALUE``: it is an input, but there is no value now,
- ``VALUE``: ``out`` holds the value; a NaN in it is a part without a value.

Positive means buy pressure. Times are event times in nanoseconds, never decreasing within one metric. A metric sees
only books that are live; ``book_replaced`` and ``book_invalid`` end everything it remembers about that book.
Definitions and sources: the docstring of each metric.
"""

from __future__ import annotations

from array import array
from decimal import Decimal
from math import nan
from typing import TYPE_CHECKING, Any, ClassVar

import cython
from msgspec import Struct

if not cython.compiled:
    from imbalanced.book import Book
    from imbalanced.metrics.windows import room
else:
    from cython.cimports.imbalanced.book import Book
    from cython.cimports.imbalanced.metrics.windows import room

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

NOT_INPUT = 0
NO_VALUE = 1
VALUE = 2

NS_PER_MS = 1_000_000


class NoOptions(Struct, frozen=True, kw_only=True):
    """For metrics without parameters."""


class Grid(Struct, frozen=True):
    """How one instrument's integer prices become prices: ``price = px / 10 ** price_scale``; ``tick`` in price
    units. ``kept``: where :func:`shared` finds what it has made for this instrument; None: everything is made anew.
    """

    price_scale: int = 8
    tick: Decimal | None = None
    kept: dict[tuple[object, ...], Any] | None = None

    @property
    def per_unit(self) -> float:
        """Price units in one whole price: ``10 ** price_scale``, exact as a float up to 22."""
        return float(10**self.price_scale)

    def px(self, price: Decimal) -> int:
        """A price as integer units; ValueError if it is finer than this grid."""
        scaled = price.scaleb(self.price_scale)
        if scaled != scaled.to_integral_value():
            raise ValueError(f"price {price} is finer than {self.price_scale} decimals")
        return int(scaled)


@cython.final
@cython.cclass
class AsOf:
    """A series of ``(t, x)`` that answers its value as of a time that never decreases."""

    def __init__(self, capacity: int = 64) -> None:
        self._t: cython.longlong[::1] = array("q", bytes(8 * capacity))
        self._x: cython.double[::1] = array("d", bytes(8 * capacity))
        self._head = 0
        self.count = 0

    @cython.cfunc
    def _move(self, capacity: cython.Py_ssize_t) -> cython.void:
        """Into a ring of this capacity."""
        t: cython.longlong[::1] = array("q", bytes(8 * capacity))
        x: cython.double[::1] = array("d", bytes(8 * capacity))
        i: cython.Py_ssize_t
        for i in range(self.count):
            t[i] = self._t[(self._head + i) % len(self._t)]
            x[i] = self._x[(self._head + i) % len(self._t)]
        self._t = t
        self._x = x
        self._head = 0

    @cython.ccall
    def push(self, t_ns: cython.longlong, x: cython.double) -> cython.void:
        """One more entry; among equal times the last one counts."""
        if self.count == len(self._t):
            self._move(room(self.count, len(self._t)))
        at: cython.Py_ssize_t = self._head + self.count
        if at >= len(self._t):
            at -= len(self._t)
        self._t[at] = t_ns
        self._x[at] = x
        self.count += 1

    @cython.ccall
    def at(self, t_ns: cython.longlong) -> cython.double:
        """The last value with a time of at most ``t_ns``, NaN if there is none; what lies before it is forgotten."""
        following: cython.Py_ssize_t
        while self.count > 1:
            following = self._head + 1
            if following == len(self._t):
                following = 0
            if self._t[following] > t_ns:
                break
            self._head = following
            self.count -= 1
        if room(self.count, len(self._t)) < len(self._t):
            self._move(room(self.count, len(self._t)))
        if self.count == 0 or self._t[self._head] > t_ns:
            return nan
        return self._x[self._head]

    @cython.ccall
    def clear(self) -> cython.void:
        """Everything is forgotten."""
        self._head = 0
        self.count = 0


def make(kind: type[Metric], options: Struct, grid: Grid) -> Metric:
    """One metric of a kind. The table says ``type[Metric]``; that every kind takes its options and a grid is its
    contract.
    """
    made: Metric = shared(kind, options, grid=grid)
    return made


def shared(kind: Callable[..., Any], *args: object, grid: Grid) -> Any:
    """``kind(*args, grid)``, one for all of an instrument that ask for the same: what several kinds look at is worked
    out once. Only for what the desk alone drives and others only read.
    """
    if grid.kept is None:
        return kind(*args, grid)
    key = (kind, *args)
    if key not in grid.kept:
        grid.kept[key] = kind(*args, grid)
    return grid.kept[key]


@cython.cclass
class Metric:
    """The base: every handler says NOT_INPUT. Subclasses call ``super().__init__(number of outputs)``.

    ``outputs`` is what an answer looks like: ``("",)`` a number, names a dict, ``"1", "2", ...`` a list (``shape``).
    ``words`` names the outputs that are codes for words: ``{"quadrant": ("flat", "long_build", ...)}``.
    """

    Options: ClassVar[type[Struct]] = NoOptions
    inputs: ClassVar[str] = "book"
    outputs: ClassVar[tuple[str, ...]] = ("",)
    shape: ClassVar[str] = "number"
    words: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    def __init__(self, width: int = 1) -> None:
        self.out: cython.double[::1] = array("d", [nan] * width)
        self.answered = NOT_INPUT

    @cython.ccall
    def book_replaced(self, book: Book, t_ns: cython.longlong) -> cython.int:
        """A new proven book begins."""
        return NOT_INPUT

    @cython.ccall
    def book_changed(self, book: Book, t_ns: cython.longlong) -> cython.int:
        """A delta was applied; ``book.rows`` has its rows with the sizes before."""
        return NOT_INPUT

    @cython.ccall
    def book_invalid(self, t_ns: cython.longlong) -> cython.int:
        """The book is no longer trusted."""
        return NOT_INPUT

    @cython.ccall
    def trade(self, px: cython.longlong, size: cython.double, sign: cython.int, t_ns: cython.longlong) -> cython.int:
        """One trade; ``sign`` is the taker's side, 0 where the venue does not say."""
        return NOT_INPUT

    @cython.ccall
    def clock(self, book: Book, t_ns: cython.longlong) -> cython.int:
        """Time has passed."""
        return NOT_INPUT

    @cython.ccall
    def value(self, x: cython.double, t_ns: cython.longlong) -> cython.int:
        """One number of a series; NaN where it has none."""
        return NOT_INPUT

    def event(self, event: object, t_ns: int) -> int:
        """Anything slow: open interest, funding, options, rows of a table. Off the hot path."""
        return NOT_INPUT

    def names(self) -> tuple[str, ...]:
        """The outputs of this instance; differs from ``outputs`` where an option decides how many there are."""
        return self.outputs

    def answer(self) -> float | dict[str, float | str | None] | list[float | None]:
        """``out`` in its public form."""
        if self.shape == "number":
            return self.out[0]
        values: list[float | None] = [None if self.out[i] != self.out[i] else self.out[i] for i in range(len(self.out))]
        if self.shape == "list":
            return values
        named: dict[str, float | str | None] = {}
        for name, x in zip(self.names(), values, strict=True):
            words = self.words.get(name)
            named[name] = words[int(x)] if words is not None and x is not None else x
        return named
