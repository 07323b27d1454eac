# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""One kind of signal on one instrument: its own metrics, a standardiser, a lifecycle.

A kind is one small class: its ``Options`` (defaults are those of the kind), the metrics it makes for itself, and
``read``: the raw value that they give now. Positive means buy. The desk drives the metrics and calls ``step`` after
each event that could have changed them; nothing happens here until the score crosses a threshold. A kind of single
events (``instant``) has a value at its event and none between: it ends by age or by an event of the other side.
"""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from math import nan
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, cast

import cython
from cython.cimports.libc.math import fabs
from msgspec import Struct, structs

if not cython.compiled:
    from imbalanced.detect.past import Usual
    from imbalanced.detect.standardiser import Standardiser
    from imbalanced.metrics.lifecycle import Lifecycle
else:
    from cython.cimports.imbalanced.detect.past import Usual
    from cython.cimports.imbalanced.detect.standardiser import Standardiser
    from cython.cimports.imbalanced.metrics.lifecycle import Lifecycle

from imbalanced.detect.standardiser import Standardise
from imbalanced.metrics import lifecycle
from imbalanced.metrics.metric import NS_PER_MS, Grid, Metric
from imbalanced.options import Doc, Fault, Millis, Millis0, NonNegative, Positive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from imbalanced.detect.across import Place
    from imbalanced.detect.cohorts import Cohorts

# As C integers.
ARMED = cython.declare(cython.int, lifecycle.ARMED)
OPENED = cython.declare(cython.int, lifecycle.OPENED)
STAYS = cython.declare(cython.double, 0.7)
# As long as it takes to know a usual peak.
PATIENT_NS = cython.declare(cython.longlong, 60_000_000_000)


class Known(Struct, frozen=True):
    """What a kind's options may speak of.

    ``venues``: those that are configured, with their instruments (None: not known before the venue has listed them).
    ``kinds``: all there are, by name with their class; ``names``: the detectors that run beside it, with their kinds.
    """

    venues: Mapping[str, tuple[str, ...] | None]
    kinds: Mapping[str, Any]
    names: Mapping[str, str]


class DetectorOptions(Struct, frozen=True, kw_only=True):
    """What every kind has; each kind sets its own defaults."""

    on: Annotated[Positive, Doc("open at a score of at least this")] = Decimal(3)
    off: Annotated[NonNegative, Doc("close below this")] = Decimal(1)
    min_duration_ms: Annotated[Millis0, Doc("the score must hold so long before it opens")] = 200
    cooldown_ms: Annotated[Millis0, Doc("after a close nothing opens on that side for so long")] = 5_000
    max_age_ms: Annotated[Millis, Doc("an open signal ends after so long")] = 30_000
    update_step: Annotated[NonNegative, Doc("how much the peak must grow for an update")] = Decimal("0.5")
    horizon_ms: Annotated[Millis, Doc("on which the signal is graded")] = 1_000
    times_usual: Annotated[NonNegative, Doc("open only at so many times the usual peak; 0: at any")] = Decimal(0)
    standardise: Standardise = Standardise()

    def __post_init__(self) -> None:
        if self.off > self.on:
            raise ValueError(f"off of at most on ({self.on})")

    def faults(self, known: Known) -> Iterator[Fault]:
        """What is wrong with it in this configuration; paths are those within the options."""
        return iter(())


# After which events a kind is asked. What rests on several streams lives in the later one's time.
BOOK = 1
TRADE = 2
CONTEXT = 4


@cython.cclass
class Detector:
    """The base, and what it can be told.

    ``inputs`` are the event kinds that a venue must give. ``sided``: whether the score has a side; without one the
    lifecycle sees its magnitude. ``bounded``: raw scores end at 1, so a full strength is 1 and not twice ``on``.
    ``family``: kinds that rest on the same thing, which ``composite`` does not count twice. ``after``: 1 for kinds that
    read the scores of others.
    ``of_book``: the score comes from the book, so its past ends with the book. ``wakes``: after which events it is
    asked (``BOOK``, ``TRADE``, ``CONTEXT``). ``instant``: its value is one event's and not a state that the clock could
    look at again. ``silent``: only its score is wanted. ``usual``: the peak that what opens must exceed. ``raw`` and
    ``x`` are the value and the score of now (NaN: none), ``last`` the last score that there was, ``now_ns`` the time of
    this event.
    """

    Options: ClassVar[type[Struct]] = DetectorOptions
    inputs: ClassVar[str] = "book"
    family: ClassVar[str] = "book"
    sided: ClassVar[bool] = True
    bounded: ClassVar[bool] = False
    after: ClassVar[int] = 0

    def __init__(
        self, kind: str, name: str, options: DetectorOptions, metrics: list[Metric], of_book: bool, *, wakes: int = 0
    ) -> None:
        self.kind = kind
        self.name = name
        self.options: Any = options
        self.metrics = metrics
        self.of_book = of_book
        self.wakes = wakes or (BOOK if of_book else TRADE)
        self.instant = False
        self.silent = False
        self.standardiser = Standardiser(options.standardise)
        self.lifecycle = Lifecycle(
            float(options.on),
            float(options.off),
            options.min_duration_ms * NS_PER_MS,
            options.cooldown_ms * NS_PER_MS,
            options.max_age_ms * NS_PER_MS,
            float(options.update_step),
        )
        self._has_side = self.sided
        self.usual = Usual(0.0 if _by_hand(options) else float(options.times_usual))
        self.raw = nan
        self.x = nan
        self.last = 0.0
        self.now_ns = 0
        self.signal_id = ""
        self.opened_recv_ns = 0
        self.opened_before = 0

    @property
    def full(self) -> float:
        """The score of full strength, with the thresholds of now."""
        scaled = self.options.standardise.by
        if scaled == "quantile" or (self.bounded and scaled == "none"):
            return max(1.0, self.lifecycle.on)
        return 2.0 * self.lifecycle.on

    def age_by(self, cohorts: Cohorts) -> None:
        """The filter ``spoof`` is on, so the age of depth is known: a kind that rests on standing depth counts only
        what has stood. Said before the desk is made; without it all depth counts.
        """

    def seated(self, place: Place, others: list[Detector]) -> None:
        """It has a seat: ``place`` shows what other instruments show, ``others`` are the detectors at its desk."""

    @cython.ccall
    def read(self) -> cython.double:
        """The raw value now; NaN where there is none."""
        return nan

    @cython.ccall
    def magnitude(self) -> cython.double:
        """What is compared with its own usual peak; the raw value where a kind says nothing else."""
        return self.raw

    @cython.ccall
    def shape(self, score: cython.double) -> cython.double:
        """The last word on the score, for kinds that demand more than size."""
        return score

    def evidence(self) -> dict[str, float | None]:
        """The numbers that entered, by name."""
        return {}

    @cython.ccall
    def step(self, t_ns: cython.longlong) -> cython.int:
        """Something may have changed: NOTHING, OPEN, UPDATE or CLOSE of the lifecycle."""
        self.score(t_ns)
        return self.lifecycle.value(self._offered(), t_ns)

    @cython.ccall
    def score(self, t_ns: cython.longlong) -> cython.double:
        """Only the score: ``x`` as of now, which is also the answer."""
        magnitude: cython.double
        self.now_ns = t_ns
        self.raw = self.read()
        self.x = self.shape(self.standardiser.score(self.raw, t_ns))
        if self.usual.times > 0:
            magnitude = self.magnitude()
            self.usual.observe(magnitude, t_ns)
            if self.usual.beyond(magnitude):
                # An event is no past to measure the next one against.
                self.standardiser.skip()
        if self.x == self.x:
            self.last = self.x
        return self.x

    @cython.cfunc
    def _offered(self) -> cython.double:
        """The score as the lifecycle sees it: none where it is beyond the threshold and still nothing unusual."""
        x: cython.double = self.x if self._has_side else fabs(self.x)
        # Once it is armed a little less will do: what jumps to and fro about a bar would never last.
        share: cython.double = STAYS if self.lifecycle.state == ARMED else 1.0
        if self.lifecycle.state == OPENED or not fabs(x) >= self.lifecycle.on:
            return x
        if self.standardiser.warm_ns >= PATIENT_NS and self.usual.times > 0 and self.usual.peak != self.usual.peak:
            # Nobody knows yet what is usual. Who has shortened the warm-up would rather hear it early.
            return nan
        return x if self.usual.passes(self.magnitude(), share) else nan

    @cython.ccall
    def clock(self, t_ns: cython.longlong) -> cython.int:
        """Time has passed and nothing else: an open signal may end, but only a value confirms a new one."""
        if self.instant:
            return self.lifecycle.clock(t_ns)
        if self.lifecycle.state == OPENED:
            return self.step(t_ns)
        self.score(t_ns)
        if self.lifecycle.state == ARMED and not self.lifecycle.armed * self._offered() >= self.lifecycle.on:
            # What fell below in the meantime has not held.
            self.lifecycle.value(nan, t_ns)
        return self.lifecycle.clock(t_ns)

    @cython.ccall
    def invalid(self, t_ns: cython.longlong) -> cython.int:
        """The book is gone."""
        self.cut()
        self.raw = nan
        self.x = nan
        return self.lifecycle.invalid(t_ns)

    @cython.ccall
    def cut(self) -> cython.void:
        """The book begins anew: what its score was measured against is gone."""
        if self.of_book:
            self.standardiser.clear()
            self.usual.clear()


@cython.cfunc
def held_below(score: cython.double, on: cython.double) -> cython.double:
    """A score that may not open: just below the threshold, whatever it is."""
    most: cython.double = 0.99 * on
    return max(-most, min(most, score))


@cython.cfunc
def held_until_known(one: Detector, score: cython.double) -> cython.double:
    """The same while nobody knows yet what is usual, for kinds that must exceed it."""
    known: cython.bint = not one.usual.times > 0 or one.usual.peak == one.usual.peak
    if known or score != score or one.lifecycle.state == OPENED:
        return score
    return held_below(score, one.lifecycle.on)


def _by_hand(options: DetectorOptions) -> bool:
    """Whether thresholds are of the raw value of a kind that has a standardiser: who sets those knows what is usual."""
    return options.standardise.by == "none" and _usual(type(options)).by != "none"


@cache
def _usual(options: type[DetectorOptions]) -> Standardise:
    """The standardiser of a kind by default. To read a class's fields takes longer than to make a detector of it."""
    usual: Standardise = next(one.default for one in structs.fields(options) if one.name == "standardise")
    return usual


@cache
def options_without_more(kind: type[Detector]) -> Struct | None:
    """The defaults of a kind; None where one of its options has none."""
    fields = structs.fields(kind.Options)
    return None if any(one.required for one in fields) else kind.Options()


def make(kind: str, name: str, detectors: Mapping[str, type[Detector]], options: Struct, grid: Grid) -> Detector:
    """One detector of a kind; every kind takes its kind, name, options and a grid."""
    made: Detector = cast("Callable[[str, str, Struct, Grid], Detector]", detectors[kind])(kind, name, options, grid)
    return made
