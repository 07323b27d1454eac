"""When what is planted where: one seed's events over an instrument and its twin, never two at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.planted.plants import PLANTS, Planted

if TYPE_CHECKING:
    import random

    from benchmarks.planted.book import Side

CALM_FIRST_S = 12 * 60.0
PAUSE_S = (26.0, 40.0)  # from one event's end to the next one's begin: more than any cooldown is long on one side
CALM_LAST_S = 35.0
# How often each is planted in a seed; `supply` is depth on both instruments at once.
COUNTS = {
    "informed": 3,
    "sweep": 3,
    "absorption": 3,
    "depth": 2,
    "supply": 1,
    "accumulation": 1,
    "spread_shock": 3,
    "volume_spike": 3,
    "exhaustion": 2,
    "touch": 2,
    "spoof": 4,
}


@dataclass(frozen=True, slots=True)
class Event:
    """The truth: what was planted on which instrument. `side` +1 buy, -1 sell, 0 none; seconds of the market."""

    kind: str
    instrument: str
    side: int
    t0: float
    t1: float


def planned(
    rng: random.Random, names: tuple[str, str], *, calm_s: float = CALM_FIRST_S, counts: dict[str, int] | None = None
) -> tuple[list[Event], tuple[list[Planted], list[Planted]], float]:
    """The events, the plants of both instruments, and the length of the market."""
    order = [kind for kind, count in (COUNTS if counts is None else counts).items() for _ in range(count)]
    rng.shuffle(order)
    events: list[Event] = []
    plants: tuple[list[Planted], list[Planted]] = ([], [])
    now = calm_s
    for kind in order:
        side: Side = rng.choice((1, -1))
        both = kind == "supply"
        ends = now
        for where in (0, 1) if both else (0 if rng.random() < 0.67 else 1,):
            plant = PLANTS["depth" if both else kind](now, side, rng)
            plants[where].append(plant)
            events.append(Event(kind, names[where], 0 if kind == "spread_shock" else side, plant.t0, plant.t1))
            ends = max(ends, plant.t1)
        now = ends + rng.uniform(*PAUSE_S)
    return events, plants, now - PAUSE_S[0] + CALM_LAST_S
