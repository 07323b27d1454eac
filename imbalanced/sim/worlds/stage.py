"""The stage of a world: virtual time, the one source of chance, the weather, and the wall clock that may be wrong."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Any

from imbalanced.sim.worlds.faults import Weather

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

MS, S = 1_000_000, 1_000_000_000
START_NS = 1_700_000_000_000_000_000


class Stage:
    """``now_ns`` is the true time since the world began. Whoever wants something later says so with ``at``."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.weather = Weather(rng)
        self.now_ns = 0
        self.clock_off_ns = 0
        self._agenda: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._count = 0

    @property
    def venue_ms(self) -> int:
        """The venues' clock, which is right."""
        return (START_NS + self.now_ns) // MS

    def wall_ns(self) -> int:
        """The client's wall clock, which may be set forward or back at any time."""
        return START_NS + self.now_ns + self.clock_off_ns

    def at(self, at_ns: int, do: Callable[..., None], *args: Any) -> None:
        """``do`` at this time; what is due at one time is done in the order in which it was said."""
        self._count += 1
        heapq.heappush(self._agenda, (at_ns, self._count, do, args))

    def after(self, delay_ns: int, do: Callable[..., None], *args: Any) -> None:
        """``do`` so much later."""
        self.at(self.now_ns + delay_ns, do, *args)

    def turn(self) -> None:
        """The next thing that is due."""
        self.now_ns, _, do, args = heapq.heappop(self._agenda)
        do(*args)
