# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""From a raw value to a score that is comparable: against the series' own recent past, never against itself.

Statistics are fed on a grid of time (the last value as of each grid time), not on every delta: a delta-sampled mean
weighs bursts and would make thresholds depend on a venue's batching. Between grid times a value is scored with the
present statistics. NaN is no value: it is not scored and does not enter the past.

Two things make a short or a calm past bearable for ``ewma_z``. The first value weighs as much as any other (in
``ewma_zscore`` as defined it stands for all that was before, which after one half-life is half of the mean). And a
deviation may have a floor, ``min_sd``, in units of the raw value: where nothing happens, little is not much.
"""

from __future__ import annotations

from decimal import Decimal
from math import nan
from typing import Annotated, Literal

import cython
from msgspec import Struct

if not cython.compiled:
    from imbalanced.metrics.statistics import EwmaZscore, RobustZscore, RollingQuantile
else:
    from cython.cimports.imbalanced.metrics.statistics import EwmaZscore, RobustZscore, RollingQuantile

from imbalanced.metrics.metric import NS_PER_MS
from imbalanced.metrics.statistics import EwmaOptions, QuantileOptions, RobustOptions
from imbalanced.options import Doc, Millis, NonNegative, Positive, Range

BY = ("none", "ewma_z", "robust_z", "quantile")
# A silence longer than this many grid steps adds no more than this many copies of the value that held.
MOST_STEPS = 100


class Standardise(Struct, frozen=True, kw_only=True):
    """How a raw value becomes a score."""

    by: Annotated[Literal["none", "ewma_z", "robust_z", "quantile"], Doc("none: the value as it is")] = "ewma_z"
    half_life_ms: Annotated[Millis, Doc("ewma_z: after this time a value weighs half")] = 60_000
    min_count: Annotated[int, Range(ge=1, le=100_000), Doc("samples before there is a score")] = 100
    clip: Annotated[Positive, Doc("ewma_z: scores are cut at plus and minus this")] = Decimal(10)
    min_sd: Annotated[NonNegative, Doc("ewma_z: the least standard deviation that counts")] = Decimal(0)
    centre: Annotated[bool, Doc("ewma_z: false leaves a lasting lean in the score")] = True
    window: Annotated[int, Range(ge=2, le=100_000), Doc("robust_z, quantile: samples that are remembered")] = 300
    grid_ms: Annotated[Millis, Doc("the past is sampled this often")] = 100


@cython.cclass
class Standardiser:
    """One series. ``warm`` says whether it has seen enough: the count, and for ``ewma_z`` one half-life of time."""

    def __init__(self, options: Standardise) -> None:
        self._by = BY.index(options.by)
        self._ewma = EwmaZscore(
            EwmaOptions(half_life_ms=options.half_life_ms, min_count=options.min_count, clip=options.clip)
        )
        self._ewma.even = True
        self._ewma.floor = float(options.min_sd)
        self._centre = options.centre
        self._robust = RobustZscore(
            RobustOptions(window=options.window, min_count=min(options.min_count, options.window))
        )
        self._quantile = RollingQuantile(
            QuantileOptions(window=options.window, min_count=min(options.min_count, options.window))
        )
        self.grid_ns = options.grid_ms * NS_PER_MS
        self.warm_ns = options.half_life_ms * NS_PER_MS if options.by == "ewma_z" else 0
        self.clear()

    @cython.ccall
    def clear(self) -> cython.void:
        """The series was cut: everything is forgotten."""
        self._ewma.clear()
        self._robust.clear()
        self._quantile.clear()
        self._held = nan
        self._next_ns = 0
        self.first_ns = 0
        self.seen = 0

    @cython.ccall
    def warm(self, t_ns: cython.longlong) -> cython.bint:
        """Whether scores may be trusted yet."""
        if self._by == 0:
            return True
        return self.seen > 0 and t_ns - self.first_ns >= self.warm_ns

    @cython.ccall
    def score(self, x: cython.double, t_ns: cython.longlong) -> cython.double:
        """The score of ``x`` at ``t_ns``; NaN while there is none."""
        if self._by == 0:
            return x
        if t_ns >= self._next_ns:
            self._sample(t_ns)
        self._held = x
        if x != x or not self.warm(t_ns):
            return nan
        if self._by == 1:
            return self._ewma.score(x) if self._centre else self._ewma.scaled(x)
        if self._by == 2:
            return self._robust.score(x)
        return self._quantile.rank(x)

    @cython.ccall
    def skip(self) -> cython.void:
        """The value just scored does not enter the past."""
        self._held = nan

    @cython.ccall
    def least(self, sd: cython.double) -> cython.void:
        """The floor of the standard deviation from now on, for kinds whose floor follows the market."""
        self._ewma.floor = sd

    @cython.cfunc
    def _sample(self, t_ns: cython.longlong) -> cython.void:
        """The value that held until now is the value as of every grid time that has passed."""
        steps: cython.longlong = (t_ns - self._next_ns) // self.grid_ns + 1
        i: cython.longlong
        if self._next_ns == 0:
            self._next_ns = (t_ns // self.grid_ns + 1) * self.grid_ns
            return
        if self._held == self._held:
            for i in range(max(steps - MOST_STEPS, 0), steps):
                self._take(self._held, self._next_ns + i * self.grid_ns)
        else:
            self._ewma.idle(self._next_ns + (steps - 1) * self.grid_ns)
        self._next_ns += steps * self.grid_ns

    @cython.cfunc
    def _take(self, x: cython.double, t_ns: cython.longlong) -> cython.void:
        if self.seen == 0:
            self.first_ns = t_ns
        self.seen += 1
        if self._by == 1:
            self._ewma.update(x, t_ns)
        elif self._by == 2:
            self._robust.update(x)
        else:
            self._quantile.update(x)
