"""Uncertainty of means over events that cluster in time: the stationary block bootstrap (Politis & Romano 1994).

Blocks of *time* are drawn, not events: a recording is a circle of bins, a block begins anywhere and its length is
geometric, so that what belongs together stays together. Seeded by what is resampled, never by a clock.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

BIN_NS = 1_000_000_000
DRAWS = 1000
LEVEL = 0.9  # of every interval
LEAST_BLOCK_S = 60.0
BLOCK_HORIZONS = 10
LEAST_N = 10  # resampling fewer values than this says how alike they are, not how sure the mean is

Array = npt.NDArray[np.float64]


class Interval(NamedTuple):
    """A mean of `n` values with the bounds that hold it in nine of ten draws; bounds None where there are too few."""

    mean: float
    low: float | None
    high: float | None
    n: int


def mean_block_s(horizon_s: float) -> float:
    """Long enough that overlapping outcomes fall into one block."""
    return max(BLOCK_HORIZONS * horizon_s, LEAST_BLOCK_S)


def stationary_indices(bins: int, block_bins: float, dice: np.random.Generator) -> npt.NDArray[np.int64]:
    """One draw: `bins` indices made of blocks with a mean length of `block_bins`, around the circle."""
    fresh = dice.random(bins) < 1.0 / max(block_bins, 1.0)
    fresh[0] = True
    starts = dice.integers(0, bins, size=bins)
    at = np.maximum.accumulate(np.where(fresh, np.arange(bins), 0))
    indices: npt.NDArray[np.int64] = (starts[at] + np.arange(bins) - at) % bins
    return indices


def binned(times_ns: Array, values: Array, begin_ns: int, end_ns: int) -> tuple[Array, Array]:
    """Sum and number of the values in every bin of a recording."""
    bins = max(1, -int(-(end_ns - begin_ns) // BIN_NS))
    at = np.clip((times_ns - begin_ns) // BIN_NS, 0, bins - 1).astype(np.int64)
    sums: Array = np.bincount(at, weights=values, minlength=bins).astype(np.float64)
    counts: Array = np.bincount(at, minlength=bins).astype(np.float64)
    return sums, counts


def mean_interval(sums: Array, counts: Array, block_s: float, seed: int, draws: int = DRAWS) -> Interval:
    """The mean of all values and its bootstrap interval."""
    n = int(counts.sum())
    if n == 0:
        return Interval(float("nan"), None, None, 0)
    mean = float(sums.sum() / n)
    bins = len(sums)
    block_bins = block_s * 1e9 / BIN_NS
    if n < LEAST_N or bins < 2 * block_bins:
        # Too few values, or fewer than two blocks: whatever came out would pretend to know.
        return Interval(mean, None, None, n)
    dice = np.random.default_rng(seed)
    means = []
    for _ in range(draws):
        drawn = stationary_indices(bins, block_bins, dice)
        total = counts[drawn].sum()
        if total:
            means.append(sums[drawn].sum() / total)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(mean, float(low), float(high), n)


def correlation_interval(x: Array, y: Array, block_s: float, seed: int, draws: int = DRAWS) -> Interval:
    """Pearson correlation of two series on the grid of bins, resampled jointly; NaN pairs are left out."""
    known = np.isfinite(x) & np.isfinite(y)
    n = int(known.sum())
    if n < 3:
        return Interval(float("nan"), None, None, n)
    value = correlation(x[known], y[known])
    bins = len(x)
    block_bins = block_s * 1e9 / BIN_NS
    if bins < 2 * block_bins:
        return Interval(value, None, None, n)
    dice = np.random.default_rng(seed)
    drawn = []
    for _ in range(draws):
        at = stationary_indices(bins, block_bins, dice)
        at = at[known[at]]
        if len(at) > 2:
            drawn.append(correlation(x[at], y[at]))
    finite = [one for one in drawn if one == one]
    if not finite:
        return Interval(value, None, None, n)
    low, high = np.quantile(finite, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(value, float(low), float(high), n)


def correlation(x: Array, y: Array) -> float:
    """Pearson; NaN where one of them does not vary."""
    a, b = x - x.mean(), y - y.mean()
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / scale if scale > 0 else float("nan")


def flipped_signs(times_ns: Array, begin_ns: int, block_s: float, dice: np.random.Generator) -> Array:
    """The placebo: one random sign per block of time, +1 or -1, for each of these times.

    What flow says is kept within a block and made meaningless between them: an edge that survives is an artefact.
    """
    at = ((times_ns - begin_ns) // (block_s * 1e9)).astype(np.int64)
    if not len(at):
        return np.zeros(0)
    signs: Array = dice.choice(np.array([-1.0, 1.0]), size=int(at.max()) + 1)[at]
    return signs
