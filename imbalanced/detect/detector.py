# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""One kind of signal on one instrument: its own metrics, a standardiser, a lifecycle.

A kind is one small class: its ``Options`` (defaults are those of the kind), the metrics it makes for itself, and
``read``: the raw value that they give now. Positive means buy. The desk drives the metrics and calls ``step`` after
each event that could have changed them; nothing happens here until the score crosses a threshold.
"""

from __future__ import annotations

from decimal import Decimal
from math import nan
from typing import TYPE_CHECKING, Annotated, ClassVar, cast

import cython
from msgspec import Struct

if not cython.compiled:
    from imbalanced.detect.standardiser import Standardiser
    from imbalanced.metrics.lifecycle import Lifecycle
else:
    from cython.cimports.imbalanced.detect.standardiser import Standardiser
    from cython.cimports.imbalanced.metrics.lifecycle import Lifecycle

from imbalanced.detect.standardiser import Standardise
from imbalanced.metrics.lifecycle import OPENED
from imbalanced.metrics.metric import NS_PER_MS, Grid, Metric
from imbalanced.options import Doc, Millis, Millis0, NonNegative, Positive

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class DetectorOptions(Struct, frozen=True, kw_only=True):
    """What every kind has; each kind sets its own defaults."""

    on: Annotated[Positive, Doc("open at a score of at least this")] = Decimal(3)
    off: Annotated[NonNegative, Doc("close below this")] = Decimal(1)
    min_duration_ms: Annotated[Millis0, Doc("the score must hold so long before it opens")] = 200
    cooldown_ms: Annotated[Millis0, Doc("after a close nothing opens on that side for so long")] = 5_000
    max_age_ms: Annotated[Millis, Doc("an open signal ends after so long")] = 30_000
    update_step: Annotated[NonNegative, Doc("how much the peak must grow for an update")] = Decimal("0.5")
    horizon_ms: Annotated[Millis, Doc("on which the signal is graded")] = 1_000
    standardise: Standardise = Standardise()

    def __post_init__(self) -> None:
        if self.off > self.on:
            raise ValueError(f"off of at most on ({self.on})")


@cython.cclass
class Detector:
    """The base. ``of_book``: the score comes from the book, so its past ends with the book.

    ``raw`` and ``x`` are the value and the score of now (NaN: none), ``last`` the last score that there was.
    """

    Options: ClassVar[type[Struct]] = DetectorOptions

    def __init__(self, kind: str, name: str, options: DetectorOptions, metrics: list[Metric], of_book: bool) -> None:
        self.kind = kind
        self.name = name
        self.options = options
        self.metrics = metrics
        self.of_book = of_book
        self.standardiser = Standardiser(options.standardise)
        self.lifecycle = Lifecycle(
            float(options.on),
            float(options.off),
            options.min_duration_ms * NS_PER_MS,
            options.cooldown_ms * NS_PER_MS,
            options.max_age_ms * NS_PER_MS,
            float(options.update_step),
        )
        self.raw = nan
        self.x = nan
        self.last = 0.0
        self.signal_id = ""
        self.opened_recv_ns = 0

    @cython.ccall
    def read(self) -> cython.double:
        """The raw value now; NaN where there is none."""
        return nan

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
        self._score(t_ns)
        return self.lifecycle.value(self.x, t_ns)

    @cython.cfunc
    def _score(self, t_ns: cython.longlong) -> cython.void:
        self.raw = self.read()
        self.x = self.shape(self.standardiser.score(self.raw, t_ns))
        if self.x == self.x:
            self.last = self.x

    @cython.ccall
    def clock(self, t_ns: cython.longlong) -> cython.int:
        """Time has passed and nothing else: an open signal may end, but only a value confirms a new one."""
        if self.lifecycle.state == OPENED:
            return self.step(t_ns)
        self._score(t_ns)
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


def make(kind: str, name: str, detectors: Mapping[str, type[Detector]], options: Struct, grid: Grid) -> Detector:
    """One detector of a kind; every kind takes its kind, name, options and a grid."""
    made: Detector = cast("Callable[[str, str, Struct, Grid], Detector]", detectors[kind])(kind, name, options, grid)
    return made
