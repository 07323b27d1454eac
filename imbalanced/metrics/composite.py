"""Agreement of several scores: a weighted mean, and the share of weight that agrees with it."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from math import isfinite
from typing import ClassVar

from msgspec import Struct

from imbalanced.metrics.metric import NO_VALUE, NOT_INPUT, VALUE, Grid, Metric
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


class Composite(Metric):
    """``{score: sum W z / w / clip, confluence}``: agreement of several scores, in [-1, 1]; positive: buy pressure.

    ``z`` are the scores that have a value, cut at ``clip``, ``W`` their weights and ``w`` the sum of those.
    ``confluence`` in [0, 1] is the share of ``w`` whose ``z`` has the sign of the score, 0 if the score is 0. A
    missing score lowers the coverage and never counts as 0. No value: no weight is present, or less than
    ``min_coverage`` of all. Input: row, ``x = {name: z or null}``. Live use: ``combine``, and ``coverage`` after it.
    """

    Options: ClassVar[type[Struct]] = CompositeOptions
    inputs: ClassVar[str] = "row"
    outputs: ClassVar[tuple[str, ...]] = ("score", "confluence")
    shape: ClassVar[str] = "dict"

    def __init__(self, options: CompositeOptions, grid: Grid | None = None) -> None:
        super().__init__(2)
        self._weights = {name: (float(weight), Fraction(weight)) for name, weight in options.weights.items()}
        self._all = sum((weight for _, weight in self._weights.values()), Fraction(0))
        self._least = Fraction(options.min_coverage) * self._all
        self._clip = float(options.clip)
        self.coverage = 0.0

    def event(self, event: object, t_ns: int) -> int:
        given = picked(event, "row")
        if given is None:
            return NOT_INPUT
        x = given.get("x")
        if not isinstance(x, Mapping):
            raise ValueError(f"x is {x!r}, expected a mapping of names to numbers")
        present = {name: number(x[name], f"x.{name}") for name in self._weights if x.get(name) is not None}
        return self.combine(present)

    def combine(self, scores: Mapping[str, float | None]) -> int:
        """VALUE or NO_VALUE for these scores; what is missing, None or not finite has no value."""
        present: list[tuple[float, float, Fraction]] = []
        for name, (weight, exact) in self._weights.items():
            z = scores.get(name)
            if z is not None and isfinite(z):
                present.append((max(-self._clip, min(self._clip, z)), weight, exact))
        covered = sum((exact for _, _, exact in present), Fraction(0))
        self.coverage = float(covered / self._all) if self._all else 0.0
        if not covered or covered < self._least:
            return NO_VALUE
        total = self._total(present)
        agreeing = sum((exact for z, _, exact in present if z * total > 0), Fraction(0))
        self.out[0] = max(-1.0, min(1.0, total / float(covered) / self._clip))
        self.out[1] = float(agreeing / covered)
        return VALUE

    def _total(self, present: list[tuple[float, float, Fraction]]) -> float:
        """``sum W z``. Its sign decides, so a sum that nearly cancels is made again from the decimals."""
        total = sum(weight * z for z, weight, _ in present)
        if abs(total) > 1e-9 * sum(weight * abs(z) for z, weight, _ in present):
            return total
        return float(sum((exact * Fraction(repr(z)) for z, _, exact in present), Fraction(0)))
