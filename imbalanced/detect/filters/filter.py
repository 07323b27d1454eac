"""What a filter is: asked when a signal would open, with one answer and one line of evidence.

A filter is one small class with ``Options``, made once per instrument. It may keep metrics, which the desk drives like
those of a detector; ``observe`` comes with each tick of the pipeline's clock, to sample what it compares with.
``check`` changes nothing, because it is asked again while a signal is open (``watches``); ``opened`` tells of the opens
that came through the whole chain.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple, cast

from msgspec import Struct

from imbalanced.detect.cohorts import Cohorts
from imbalanced.detect.standing import Standing
from imbalanced.detect.turnover import Turnover
from imbalanced.detect.walls import Walls

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from imbalanced.detect.confidence import Track
    from imbalanced.detect.desk import Desk
    from imbalanced.detect.detector import Detector
    from imbalanced.events import Instrument
    from imbalanced.metrics.metric import Grid, Metric

S = 1_000_000_000
NS_PER_MS = 1_000_000

# Kinds whose message is size that stands in the book.
STANDING = frozenset(("market_depth_imbalance", "microstructure_imbalance", "supply_demand_imbalance"))

Verdict = Literal["pass", "fail", "unknown"]


class Said(NamedTuple):
    """One answer. ``told`` is the line of evidence, ``numbers`` what of it goes into the signal's evidence (None is
    unknown), ``quality`` in [0, 1] scales the strength.
    """

    verdict: Verdict
    told: str
    numbers: Mapping[str, float | None] = {}
    quality: float = 1.0


def unknown(why: str, **numbers: float | None) -> Said:
    """It passes, because nobody knows."""
    return Said("unknown", why, numbers)


def judged(ok: bool, told: str, quality: float = 1.0, **numbers: float | None) -> Said:
    """Pass or fail."""
    return Said("pass" if ok else "fail", told, numbers, quality)


class Peer(Struct, frozen=True):
    """Another instrument of the same asset: what a filter may look at there."""

    instrument: Instrument
    desk: Desk
    kit: Kit


class Moment(Struct, frozen=True):
    """What a filter may look at: the instrument and its desk, since when its book is proven, the receive time of this
    frame, the other instruments of the asset, what the run has learned of its signals, and the cost of a round trip
    that their grades are net of (a fraction).
    """

    desk: Desk
    valid_since_ns: int
    recv_ns: int
    instrument: Instrument | None = None
    peers: Sequence[Peer] = ()
    track: Track | None = None
    round_trip: float = 0.0


class Kit:
    """What the filters of one instrument share. ``metrics`` are driven by the desk, in this order, before all others;
    cohorts exist from when somebody first asks for them.
    """

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        self.metrics: list[Metric] = []
        self._cohorts: Cohorts | None = None
        self._standing: dict[Decimal, Standing] = {}
        self._walls: Walls | None = None
        self._turnover: Turnover | None = None

    @property
    def cohorts(self) -> Cohorts:
        """The age of this instrument's depth."""
        if self._cohorts is None:
            self._cohorts = Cohorts()
            self.metrics.append(self._cohorts)
        return self._cohorts

    def standing(self, bps: Decimal) -> Standing:
        """Aged depth within so many basis points, measured when asked."""
        if bps not in self._standing:
            self._standing[bps] = Standing(self.cohorts, bps, PROVE_MS, eager=False)
            self.metrics.append(self._standing[bps])
        return self._standing[bps]

    def walls(self) -> Walls:
        """The walls of this instrument."""
        if self._walls is None:
            tick = self.grid.tick
            self._walls = Walls(self.cohorts, self.grid.px(tick) if tick is not None else 0)
            self.metrics.append(self._walls)
        return self._walls

    @property
    def turnover(self) -> Turnover:
        """What was traded here in the last hour."""
        if self._turnover is None:
            self._turnover = Turnover(self.grid)
            self.metrics.append(self._turnover)
        return self._turnover

    def aged(self, bps: Decimal) -> Standing | None:
        """The same, if somebody keeps it already."""
        return self._standing.get(bps)


PROVE_MS = 10_000


class Filter:
    """The base: everything passes. ``needs`` are feeds that a venue must give, ``any_of`` feeds of which it must give
    one; ``watches``: it is asked again while a signal is open, and a fail closes it.
    """

    Options: ClassVar[type[Struct]]
    needs: ClassVar[str] = ""
    any_of: ClassVar[str] = ""
    watches: ClassVar[bool] = False

    def observe(self, now: Moment) -> None:
        """A tick of the clock: sample what is compared with."""

    def check(self, detector: Detector, now: Moment) -> Said:
        """What it says of this detector's signal now."""
        raise NotImplementedError

    def still(self, detector: Detector, now: Moment) -> Said:
        """The same verdict of a signal that is open. Its numbers are nobody's then, and may be left out."""
        return self.check(detector, now)

    def opened(self, detector: Detector, now: Moment) -> None:
        """This detector's signal came through the whole chain."""


def make(kind: type[Filter], options: Struct, kit: Kit) -> Filter:
    """One filter of a kind. The table says ``type[Filter]``; that every kind takes its options and a kit is its
    contract.
    """
    made: Filter = cast("Callable[[Struct, Kit], Filter]", kind)(options, kit)
    return made
