"""What an instrument is like: tick and lot, how busy it is, how its depth lies. Drawn per seed, fixed for a market.

Three families that exist on USD-M: *coarse* (a tick is 1 to 2.5 basis points, long queues, spread of one tick),
*medium* (0.15 to 0.5) and *fine* (0.014 to 0.025, spread of one tick with gaps behind it, like the largest perpetual).
Rates are per second, times seconds, sizes lots unless said.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.planted.usdm import Listing

if TYPE_CHECKING:
    import random


@dataclass(frozen=True, slots=True)
class Profile:
    """One instrument's market."""

    family: str
    listing: Listing
    order_lots: int  # median size of a resting order
    queue: float  # lots that usually rest on the best level of a side
    spread: int  # usual spread in ticks
    limits: float  # new resting orders of one side
    join: float  # share of them that joins the best level
    near: float  # share that goes near it
    near_ticks: float  # mean distance of those
    reach: int  # ticks from the touch that the rest is spread over (uniform)
    lives: tuple[tuple[float, float], ...]  # (share, mean life) of orders near the touch
    far_life: float  # mean life of those that are far
    inside: float  # orders into a spread that is twice its usual width
    takers: float  # base rate of taker orders of one side
    excite: float  # share of taker orders that follow from others of their side
    cross: float  # and of the other side
    decay: float  # of the excitement
    taker_share: float  # median size of a taker order as a share of `queue`
    patience: float  # ticks that the fair value may be beyond a quote before its maker steps back
    volatility: float  # of the fair value, ticks per square root of a second
    news: float  # its jumps per second
    impact: float  # ticks that a taker order of one `queue` moves the fair value

    @property
    def tick_bps(self) -> float:
        """One tick in basis points of the starting price."""
        return 1e4 / self.listing.start_tick

    def ticks(self, bps: float) -> int:
        """Basis points in whole ticks, at least one."""
        return max(1, round(bps / self.tick_bps))


@dataclass(frozen=True, slots=True)
class _Family:
    """Ranges that a profile is drawn from, uniformly."""

    name: str
    base: str
    start_tick: tuple[int, int]
    tick_units: int
    price_decimals: int
    lot_units: int
    size_decimals: int
    order_lots: tuple[int, int]
    near_ticks: tuple[float, float]
    join: tuple[float, float]
    inside: tuple[float, float]
    takers: tuple[float, float]
    taker_share: tuple[float, float]


_FAMILIES = (
    _Family(
        *("coarse", "AAA", (4_000, 9_000), 1, 4, 1, 0, (150, 900)),
        *((2.0, 4.0), (0.3, 0.4), (15, 30), (1.0, 2.4), (0.08, 0.2)),
    ),
    _Family(
        *("medium", "BBB", (20_000, 60_000), 1, 2, 1, 2, (80, 400)),
        *((3.0, 8.0), (0.35, 0.5), (30, 60), (1.2, 3.0), (0.05, 0.12)),
    ),
    _Family(
        *("fine", "CCC", (400_000, 700_000), 10, 2, 1, 3, (30, 200)),
        *((15.0, 60.0), (0.5, 0.65), (80, 160), (1.6, 4.0), (0.03, 0.08)),
    ),
)
REACH_BPS = 40.0
MEAN_OF_MEDIAN = 1.38  # of a lognormal size with sigma 0.8
JOINED, LYING = 0.12, 0.11  # shares that the touch really holds


def drawn(rng: random.Random, seed: int) -> tuple[Profile, Profile]:
    """The seed's instrument and its twin: the same asset against another quote currency, with half of the business."""
    family = _FAMILIES[seed % len(_FAMILIES)]
    start = rng.randint(*family.start_tick)
    first = _profile(family, "USDT", start, rng, busy=1.0)
    return first, _profile(family, "USDC", start, rng, busy=0.5)


def _profile(family: _Family, quote: str, start_tick: int, rng: random.Random, *, busy: float) -> Profile:
    listing = Listing(
        symbol=f"{family.base}{quote}",
        unified=f"{family.base}/{quote}:{quote}",
        base=family.base,
        quote=quote,
        tick_units=family.tick_units,
        price_decimals=family.price_decimals,
        lot_units=family.lot_units,
        size_decimals=family.size_decimals,
        start_tick=start_tick,
    )
    order = rng.randint(*family.order_lots)
    lives = ((rng.uniform(0.2, 0.4), 0.3), (0.35, rng.uniform(2.0, 4.0)), (0.3, rng.uniform(10.0, 20.0)))
    limits, join = busy * rng.uniform(15.0, 28.0), rng.uniform(*family.join)
    mean_life = sum(share * life for share, life in lives) / sum(share for share, _ in lives)
    tick_bps = 1e4 / start_tick
    reach, near, far_life = max(12, round(REACH_BPS / tick_bps)), rng.uniform(0.25, 0.35), rng.uniform(40.0, 90.0)
    # What joins and what came from afar, as far as it is not traded away (measured once, over the families).
    joined, lying = limits * join * mean_life * JOINED, 2.0 * limits * (1.0 - join - near) * far_life * LYING / reach
    return Profile(
        family=family.name,
        listing=listing,
        order_lots=order,
        queue=MEAN_OF_MEDIAN * order * (max(1.0, joined) + lying),
        spread=1 if family.name != "medium" else rng.choice((1, 2)),
        limits=limits,
        join=join,
        near=near,
        near_ticks=rng.uniform(*family.near_ticks),
        reach=reach,
        lives=lives,
        far_life=far_life,
        inside=rng.uniform(*family.inside),
        takers=busy * rng.uniform(*family.takers),
        excite=rng.uniform(0.3, 0.5),
        cross=rng.uniform(0.05, 0.15),
        decay=rng.uniform(1.0, 4.0),
        taker_share=rng.uniform(*family.taker_share),
        patience=max(0.5, rng.uniform(0.2, 0.35) / tick_bps),
        volatility=rng.uniform(0.25, 0.6) / tick_bps,
        news=rng.uniform(0.3, 0.8),
        impact=rng.uniform(0.2, 0.5) / tick_bps,
    )
