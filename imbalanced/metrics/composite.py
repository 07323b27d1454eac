# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Agreement of several scores: a weighted mean, and the share of weight that agrees with it."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from math import nan
from typing import ClassVar

import cython
from cython.cimports.libc.math import fabs, isfinite
from msgspec import Struct

if not cython.compiled:
    from imbalanced.metrics.metric import Metric
else:
    from cython.cimports.imbalanced.metrics.metric import Metric

from imbalanced.metrics.metric import NO_VALUE, NOT_INPUT, VALUE, Grid
from imbalanced.metrics.plain import number, picked
from imbalanced.options import NonNegative, Positive, Share


class CompositeOptions(Struct, frozen=True, kw_only=True):
    """Which scores, and how much each counts.

    ``weights``: name of a score to its weight, 0 or more (required); other names are ignored.
    ``clip``: scores are cut at plus and minus this (score units, default 4).
    ``min_coverage``: share of all weight that must be present (0 to 1, default 0.5).
    """

    weights: dict[str, NonNegative]
    clip: Positive = Decimal(4)
    min_coverage: Share = Decimal("0.5")


@cython.cclass
class Composite(Metric):
    """``{score: sum W z / w / clip, confluence}``: agreement of several scores, in [-1, 1]; positive: buy pressure.

    ``z`` are the scores that have a value, cut at ``clip``, ``W`` their weights and ``w`` the sum of those.
    ``confluence`` in [0, 1] is the share of ``w`` whose ``z`` has the sign of the score, 0 if the score is 0. A
    missing score lowers the coverage and never counts as 0. No value: no weight is present, or less than
    ``min_coverage`` of all. Input: row, ``x = {name: z or null}``. Live use: the scores into ``z``, in the order of the
    weights (NaN: none), then ``blend``; or ``combine`` with names; ``coverage`` after it.
    """

    Options: ClassVar[type[Struct]] = CompositeOptions
    inputs: ClassVar[str] = "row"
    outputs: ClassVar[tuple[str, ...]] = ("score", "confluence")
    shape: ClassVar[str] = "dict"

    def __init__(self, options: CompositeOptions, grid: Grid | None = None) -> None:
        super().__init__(2)
        self._names = tuple(options.weights)
        self._exact = [Fraction(weight) for weight in options.weights.values()]
        self._exact_all = sum(self._exact, Fraction(0))
        self._exact_least = Fraction(options.min_coverage) * self._exact_all
        self._n = len(self._names)
        # A view of no length cannot be made of an empty array.
        self._weights = array("d", [*map(float, self._exact), 0.0])
        self.z = array("d", [nan] * (self._n + 1))
        self._all = float(self._exact_all)
        self._least = float(self._exact_least)
        self._clip = float(options.clip)
        self.coverage = 0.0

    def event(self, event: object, t_ns: int) -> int:
        given = picked(event, "row")
        if given is None:
            return NOT_INPUT
        x = given.get("x")
        if not isinstance(x, Mapping):
            raise ValueError(f"x is {x!r}, expected a mapping of names to numbers")
        present = {name: number(x[name], f"x.{name}") for name in self._names if x.get(name) is not None}
        return self.combine(present)

    def combine(self, scores: Mapping[str, float | None]) -> int:
        """VALUE or NO_VALUE for these scores; what is missing, None or not finite has no value."""
        for i, name in enumerate(self._names):
            z = scores.get(name)
            self.z[i] = nan if z is None else z
        return int(self.blend())

    @cython.ccall
    def blend(self) -> cython.int:
        """VALUE or NO_VALUE for the scores in ``z``."""
        i: cython.Py_ssize_t
        z: cython.double
        weight: cython.double
        covered: cython.double = 0.0
        total: cython.double = 0.0
        size: cython.double = 0.0
        agreeing: cython.double = 0.0
        for i in range(self._n):
            if isfinite(self.z[i]):
                z = self._cut(self.z[i])
                weight = self._weights[i]
                covered += weight
                total += weight * z
                size += weight * fabs(z)
        self.coverage = covered / self._all if self._all > 0 else 0.0
        if not self._covers(covered):
            return NO_VALUE
        if fabs(total) <= 1e-9 * size:
            total = self._exact_total()
        for i in range(self._n):
            if isfinite(self.z[i]) and self.z[i] * total > 0:
                agreeing += self._weights[i]
        self.out[0] = max(-1.0, min(1.0, total / covered / self._clip))
        self.out[1] = min(1.0, agreeing / covered)
        return VALUE

    @cython.cfunc
    def _cut(self, z: cython.double) -> cython.double:
        return max(-self._clip, min(self._clip, z))

    @cython.cfunc
    def _covers(self, covered: cython.double) -> cython.bint:
        """Whether enough weight is present; near the edge the decimals decide."""
        if covered <= 0:
            return False
        if fabs(covered - self._least) > 1e-9 * self._all:
            return covered > self._least
        exact = sum((self._exact[i] for i in range(self._n) if isfinite(self.z[i])), Fraction(0))
        return bool(exact >= self._exact_least)

    @cython.cfunc
    def _exact_total(self) -> cython.double:
        """``sum W z``. Its sign decides, so a sum that nearly cancels is made again from the decimals."""
        total = Fraction(0)
        for i in range(self._n):
            if isfinite(self.z[i]):
                total += self._exact[i] * Fraction(repr(float(self._cut(self.z[i]))))
        return float(total)
