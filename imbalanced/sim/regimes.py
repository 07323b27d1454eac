"""When the synthetic market changes its mood: a seeded schedule of regimes, and what each mood does to the order flow.

Pure: no clock, no I/O; randomness is the `random.Random` handed in. What an action does to the book is `market.py`.
Times are milliseconds since the epoch, rates are per second.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

RegimeKind = Literal["calm", "informed", "spoof", "hole", "burst"]
# The side a regime leans to: informed = the takers' side, spoof = the side the wall pretends to support.
Lean = Literal["buy", "sell", "none"]


@dataclass(frozen=True, slots=True)
class Regime:
    """One mood of the market in [start_ms, end_ms)."""

    kind: RegimeKind
    start_ms: int
    end_ms: int
    side: Lean


@dataclass(frozen=True, slots=True)
class Mix:
    """The order flow of a regime. Probabilities are in [0, 1]; `lean` ones point to the regime's own side."""

    actions_per_s: float
    market: float  # share of actions that are market orders
    cancel: float  # share that are cancels; the rest are new limit orders
    lean: float  # probability that a market order is on the regime's side
    follow: float  # probability that a quote inside the spread comes from the regime's side
    pull: float  # probability that a cancel hits the touch of the other side
    inside: float  # probability that a new order improves a spread wider than one tick
    market_size: float  # market order size in typical level sizes
    away: int = 0  # new orders stay at least so many levels from the touch


MIXES: dict[RegimeKind, Mix] = {
    "calm": Mix(60.0, 0.05, 0.45, 0.50, 0.50, 0.00, 0.60, 0.5),
    # Informed flow: takers sweep one side, its makers step back, the other side's quotes walk after the price.
    "informed": Mix(90.0, 0.25, 0.37, 0.93, 0.88, 0.50, 0.80, 1.3),
    "spoof": Mix(60.0, 0.04, 0.45, 0.50, 0.50, 0.00, 0.60, 0.4),
    # Nobody quotes near the touch while the hole is open.
    "hole": Mix(40.0, 0.02, 0.30, 0.50, 0.50, 0.00, 0.00, 0.2, away=30),
    # 100 ms at this rate are more than 1,000 book updates.
    "burst": Mix(12_000.0, 0.002, 0.50, 0.50, 0.50, 0.00, 0.60, 0.3),
}

DURATIONS_MS: dict[RegimeKind, tuple[int, int]] = {
    "calm": (4_000, 9_000),
    "informed": (3_500, 6_000),
    "spoof": (2_000, 6_000),
    "hole": (800, 2_500),
    "burst": (100, 100),
}
# Informed flow is what the demo is about, so it comes up most often.
_EPISODES: tuple[RegimeKind, ...] = ("informed", "informed", "spoof", "spoof", "hole", "burst")


def schedule(rng: random.Random, start_ms: int, first_ms: tuple[int, int]) -> Iterator[Regime]:
    """Endless regimes without holes between them: calm, informed, calm, then any episode, calm, ...

    The first informed episode begins `first_ms` (a range) after `start_ms`.
    """
    now = start_ms
    calm_ms = rng.randint(*first_ms)
    kind: RegimeKind = "informed"
    while True:
        yield Regime("calm", now, now + calm_ms, "none")
        now += calm_ms
        length = rng.randint(*DURATIONS_MS[kind])
        side: Lean = "none" if kind in ("hole", "burst") else rng.choice(("buy", "sell"))
        yield Regime(kind, now, now + length, side)
        now += length
        calm_ms = rng.randint(*DURATIONS_MS["calm"])
        kind = rng.choice(_EPISODES)
