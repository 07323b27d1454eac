"""From what was observed to numbers with n and interval: rates, refusals, forward returns, information, placebos."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from benchmarks.captures_report.bootstrap import (
    BIN_NS,
    Interval,
    binned,
    correlation,
    correlation_interval,
    flipped_signs,
    mean_block_s,
    mean_interval,
)
from benchmarks.captures_report.observe import METRICS_SEEN, Observed, attempts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.captures_report.bootstrap import Array
    from benchmarks.captures_report.observe import Touch

MS = 1_000_000
LATENCIES_MS = (0, 50, 250)
HORIZONS_MS = (100, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000, 300_000)
FLIP_BLOCK_S = 60.0
FLIPS = 200
PLACEBO_LATENCY_MS = 50
# What a metric is compared with: the move of the mid from so many seconds after it, over so many.
SPANS = (("same_1s", -1.0, 1.0), ("next_1s", 0.0, 1.0), ("next_5s", 0.0, 5.0), ("next_10s", 0.0, 10.0))


class Returns(NamedTuple):
    """What signals earned in basis points, signed by their side; NaN where there is no grade.

    `gross` from mid to mid, `cross` bought at the ask and sold at the bid (or the reverse), both after the latency. A
    signal without side has the absolute `gross` and no `cross`.
    """

    gross: Array
    cross: Array


def forward(touch: Touch, t_ns: Array, sides: Array, latency_ms: int, horizon_ms: int) -> Returns:
    """Entry is the touch as of `latency` after each time, exit that of `horizon` later."""
    entry_ns = t_ns + latency_ms * MS
    exit_ns = entry_ns + horizon_ms * MS
    bid, ask = touch.at(entry_ns)
    bid_out, ask_out = touch.at(exit_ns)
    whole = touch.unbroken(t_ns, exit_ns)
    mid, mid_out = (bid + ask) / 2, (bid_out + ask_out) / 2
    move = (mid_out - mid) / mid * 1e4
    gross = np.where(sides == 0, np.abs(move), sides * move)
    long = (bid_out - ask) / ask * 1e4
    short = (bid - ask_out) / bid * 1e4
    cross = np.where(sides > 0, long, np.where(sides < 0, short, np.nan))
    return Returns(np.where(whole, gross, np.nan), np.where(whole, cross, np.nan))


@dataclass(frozen=True, slots=True)
class Pool:
    """Several recordings as one: bins one after the other (a block may pass a seam; there are few)."""

    parts: Sequence[Observed]

    @property
    def seed(self) -> int:
        seed = 0
        for one in self.parts:
            seed ^= one.seed
        return seed

    @property
    def hours(self) -> float:
        return sum(one.hours for one in self.parts)


def told(parts: Sequence[Observed], cost_bps: float) -> dict[str, Any]:
    """Everything about these recordings together."""
    pool = Pool(parts)
    kinds = sorted(
        {one.kind for part in parts for one in part.opens} | {kind for part in parts for kind in part.refused}
    )
    return {
        "hours": pool.hours,
        "gaps": sum(part.gaps for part in parts),
        "cost_bps": cost_bps,
        "kinds": {kind: _of_kind(pool, kind, cost_bps) for kind in kinds},
        "information": {name: _information(pool, name) for name in METRICS_SEEN},
    }


def _of_kind(pool: Pool, kind: str, cost_bps: float) -> dict[str, Any]:
    stopped: dict[str, int] = {}
    late = opens = 0
    for part in pool.parts:
        own = [one.t_ns for one in part.opens if one.kind == kind]
        opens += len(own)
        held, delayed = attempts(part.refused.get(kind, []), own)
        late += delayed
        for name, count in held.items():
            stopped[name] = stopped.get(name, 0) + count
    tried = opens + sum(stopped.values())
    horizons = [one.horizon_ms for part in pool.parts for one in part.opens if one.kind == kind]
    return {
        "opens": opens,
        "horizon_ms": horizons[0] if horizons else None,
        "per_hour": opens / pool.hours if pool.hours else None,
        "attempts": tried,
        "opened_late": late,
        "suppressed": {name: count / tried for name, count in sorted(stopped.items())},
        "returns": {
            str(latency): {str(horizon): _returns(pool, kind, latency, horizon, cost_bps) for horizon in HORIZONS_MS}
            for latency in LATENCIES_MS
        },
        "placebo": {str(horizon): _placebo(pool, kind, horizon) for horizon in HORIZONS_MS},
    }


def _earned(part: Observed, kind: str, latency_ms: int, horizon_ms: int) -> tuple[Array, Array, Returns]:
    own = [one for one in part.opens if one.kind == kind]
    t_ns = np.array([one.t_ns for one in own], dtype=np.float64)
    sides = np.array([one.side for one in own], dtype=np.float64)
    return t_ns, sides, forward(part.touch, t_ns, sides, latency_ms, horizon_ms)


def _returns(pool: Pool, kind: str, latency_ms: int, horizon_ms: int, cost_bps: float) -> dict[str, Any]:
    rows = [(part, *_earned(part, kind, latency_ms, horizon_ms)) for part in pool.parts]
    block_s = mean_block_s(horizon_ms / 1000)
    gross, cross = (
        _over([(part, t_ns, getattr(earned, price)) for part, t_ns, _, earned in rows], block_s, pool.seed)
        for price in ("gross", "cross")
    )
    net = Interval(gross.mean - cost_bps, _less(gross.low, cost_bps), _less(gross.high, cost_bps), gross.n)
    values = _joined([earned.gross for *_, earned in rows])
    values = values[np.isfinite(values)]
    return {
        "gross_bps": _interval(gross),
        "cross_bps": _interval(cross),
        "net_bps": _interval(net),
        "hit_rate": float((values > cost_bps).mean()) if len(values) else None,
        "ungraded": sum(len(t_ns) for _, t_ns, *_ in rows) - gross.n,
    }


def _less(x: float | None, cost: float) -> float | None:
    return None if x is None else x - cost


def _over(rows: Sequence[tuple[Observed, Array, Array]], block_s: float, seed: int) -> Interval:
    """The mean of all graded values with its interval."""
    sums, counts = [], []
    for part, t_ns, values in rows:
        known = np.isfinite(values)
        both = binned(t_ns[known], values[known], part.begin_ns, part.end_ns)
        sums.append(both[0])
        counts.append(both[1])
    return mean_interval(np.concatenate(sums), np.concatenate(counts), block_s, seed % 2**63)


def _placebo(pool: Pool, kind: str, horizon_ms: int) -> dict[str, Any]:
    """The same mean with the sides flipped at random per block of time, again and again."""
    dice = np.random.default_rng(pool.seed % 2**63)
    rows = [(part, *_earned(part, kind, PLACEBO_LATENCY_MS, horizon_ms)) for part in pool.parts]
    real = np.concatenate([earned.gross for *_, earned in rows])
    sided = np.concatenate([sides for _, _, sides, _ in rows]) != 0
    known = np.isfinite(real) & sided
    if known.sum() < 2:
        return {"mean_bps": None, "low_bps": None, "high_bps": None, "n": int(known.sum())}
    means = []
    for _ in range(FLIPS):
        signs = np.concatenate([flipped_signs(t_ns, part.begin_ns, FLIP_BLOCK_S, dice) for part, t_ns, *_ in rows])
        means.append(float((signs * real)[known].mean()))
    low, high = np.quantile(means, [0.05, 0.95])
    return {"mean_bps": float(np.mean(means)), "low_bps": float(low), "high_bps": float(high), "n": int(known.sum())}


def _information(pool: Pool, name: str) -> dict[str, Any]:
    """Correlation of a metric with the mid's move over the same second and the next ones, and with flipped signs."""
    rows = [(part, *_grid(part, name)) for part in pool.parts]
    x = _joined([values for *_, values in rows])
    found: dict[str, Any] = {}
    for label, offset_s, horizon_s in SPANS:
        moves = _joined([_moves(part, at_ns, offset_s, horizon_s) for part, at_ns, _ in rows])
        found[label] = _interval(correlation_interval(x, moves, mean_block_s(horizon_s), pool.seed % 2**63)) | {
            "flipped": _flipped(rows, moves, pool.seed % 2**63)
        }
    return found


def _grid(part: Observed, name: str) -> tuple[Array, Array]:
    """Whole seconds of a recording, and the metric as of each (NaN: none)."""
    at_ns = np.arange(part.begin_ns + BIN_NS, part.end_ns, BIN_NS, dtype=np.float64)
    times = np.array([t_ns for t_ns, _ in part.flow], dtype=np.float64)
    values = np.array([np.nan if (x := row[name]) is None else x for _, row in part.flow], dtype=np.float64)
    if not len(times):
        return at_ns, np.full(len(at_ns), np.nan)
    at = np.searchsorted(times, at_ns, "right") - 1
    # A value older than a second is not of now.
    fresh = (at >= 0) & (at_ns - times[at] <= BIN_NS)
    return at_ns, np.where(fresh, values[at], np.nan)


def _moves(part: Observed, at_ns: Array, offset_s: float, horizon_s: float) -> Array:
    begin = at_ns + offset_s * 1e9
    return forward(part.touch, begin, np.ones(len(begin)), 0, int(horizon_s * 1000)).gross


def _flipped(rows: Sequence[tuple[Observed, Array, Array]], moves: Array, seed: int) -> dict[str, float | None]:
    """The band of correlations when the metric's sign is flipped at random per block."""
    dice = np.random.default_rng(seed)
    x = _joined([values for *_, values in rows])
    known = np.isfinite(x) & np.isfinite(moves)
    if known.sum() < 3:
        return {"mean": None, "low": None, "high": None}
    found = []
    for _ in range(FLIPS):
        signs = np.concatenate([flipped_signs(at_ns, part.begin_ns, FLIP_BLOCK_S, dice) for part, at_ns, _ in rows])
        found.append(correlation((signs * x)[known], moves[known]))
    low, high = np.quantile(found, [0.05, 0.95])
    return {"mean": float(np.mean(found)), "low": float(low), "high": float(high)}


def _joined(parts: Sequence[Array]) -> Array:
    """One after the other; empty for none."""
    return np.concatenate(parts) if parts else np.zeros(0)


def _interval(one: Interval) -> dict[str, Any]:
    mean = None if one.n == 0 or one.mean != one.mean else one.mean
    return {"mean": mean, "low": one.low, "high": one.high, "n": one.n}
