# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Agreement instead of size: the scores of other kinds of one instrument, weighed together."""

from __future__ import annotations

from decimal import Decimal
from math import nan
from typing import TYPE_CHECKING, Annotated, ClassVar

import cython
from msgspec import Struct, field

if not cython.compiled:
    from imbalanced.detect.detector import Detector, held_until_known
    from imbalanced.metrics.composite import Composite
else:
    from cython.cimports.imbalanced.detect.detector import Detector, held_until_known
    from cython.cimports.imbalanced.metrics.composite import Composite

from imbalanced.detect import detector
from imbalanced.detect.detector import DetectorOptions, options_without_more
from imbalanced.detect.standardiser import Standardise
from imbalanced.metrics import lifecycle, metric
from imbalanced.metrics.composite import CompositeOptions
from imbalanced.metrics.metric import Grid
from imbalanced.options import Doc, Fault, Millis0, NonNegative, Positive, Share, nearest, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from imbalanced.detect.across import Place
    from imbalanced.detect.detector import Known

# As C integers: a Python global costs a lookup and a conversion at every answer.
NO_VALUE = cython.declare(cython.int, metric.NO_VALUE)
VALUE = cython.declare(cython.int, metric.VALUE)
OPENED = cython.declare(cython.int, lifecycle.OPENED)

WEIGHTS = {
    "order_flow_imbalance": Decimal(2),
    "aggressive_order_flow": Decimal("1.5"),
    "microstructure_imbalance": Decimal(1),
    "market_depth_imbalance": Decimal("0.5"),
    "book_exhaustion": Decimal(1),
    "absorption": Decimal(1),
    "vwap_deviation": Decimal("0.5"),
}
# On what scale other scores are compared with a z: their `on` counts as much as a z of 3.
AS_Z = 3.0


class CompositeSignalOptions(DetectorOptions, frozen=True, kw_only=True):
    """Weights are a start; fit them by walk-forward only, and beat equal ones."""

    on: Annotated[Positive, Doc("open at a score of at least this")] = Decimal("0.45")
    off: Annotated[NonNegative, Doc("close below this")] = Decimal("0.2")
    min_duration_ms: Millis0 = 300
    update_step: NonNegative = Decimal("0.1")
    times_usual: NonNegative = Decimal("1.8")
    weights: Annotated[
        dict[str, NonNegative], Doc("by the name of a detector beside it, or by kind where there is none of that name")
    ] = field(default_factory=lambda: dict(WEIGHTS))
    clip: Annotated[Positive, Doc("scores are cut at plus and minus this")] = Decimal(4)
    min_coverage: Annotated[Share, Doc("share of all weight that must be present")] = Decimal("0.5")
    standardise: Standardise = Standardise(by="none")

    def faults(self, known: Known) -> Iterator[Fault]:
        if not sum(self.weights.values()) > 0:
            told = {name: str(weight) for name, weight in self.weights.items()}
            yield Fault("weights", shown(told), "weights that sum to more than 0")
        for name in self.weights:
            kind = known.names.get(name, name)
            path = f"weights.{name}"
            if kind not in known.kinds:
                yield Fault(path, "no detector and no kind", nearest(name, {*known.names, *known.kinds}))
            elif not known.kinds[kind].sided:
                yield Fault(path, f"{kind}, which has no side", "kinds that have one")
            elif known.kinds[kind].after:
                yield Fault(path, f"{kind}, which reads the scores of others", "kinds that do not")
            elif name not in known.names and options_without_more(known.kinds[kind]) is None:
                yield Fault(path, f"{kind}, which has options without a default", "the name of such a detector here")


def missing(detectors: Sequence[Detector]) -> list[str]:
    """The kinds whose scores are read by one of these and which are not among them."""
    names = {one.name for one in detectors}
    wanted = [name for one in detectors if isinstance(one, CompositeSignal) for name in one.options.weights]
    return [name for name in dict.fromkeys(wanted) if name not in names]


def capped(weights: Mapping[str, Decimal], families: Mapping[str, str]) -> dict[str, Decimal]:
    """The weights with no family above half of all, as its members say nearly the same. One alone stays as it is."""
    sums: dict[str, Decimal] = {}
    for name, weight in weights.items():
        sums[families[name]] = sums.get(families[name], Decimal(0)) + weight
    total = sum(sums.values(), Decimal(0))
    for family, of_it in sums.items():
        others = total - of_it
        if of_it > others > 0:
            return {name: w * others / of_it if families[name] == family else w for name, w in weights.items()}
    return dict(weights)


@cython.cclass
class CompositeSignal(Detector):
    """``composite`` over the scores of other detectors of the instrument: their weighted agreement, in [-1, 1].

    A z enters as it is, any other score divided by its ``on`` and times 3, which is the common scale. A family of kinds
    that rest on the same thing (flow, book, price, effort) has at most half of the weight. A kind that is weighed and
    not configured is computed silently, with its defaults. Evidence: ``coverage`` (weight present over all weight) and
    ``confluence`` (share of it that agrees). Positive: buy. No value: as ``composite``. Source: practitioners' measure;
    equal weights are the benchmark to beat.
    """

    Options: ClassVar[type[Struct]] = CompositeSignalOptions
    inputs: ClassVar[str] = "book trade"
    bounded: ClassVar[bool] = True
    after: ClassVar[int] = 1
    _blend: Composite
    _parts: list[Detector]
    _scales: list[float]

    def __init__(self, kind: str, name: str, options: CompositeSignalOptions, grid: Grid) -> None:
        self._parts = []
        self._scales = []
        self._blend = self._made({})
        super().__init__(kind, name, options, [], True, wakes=detector.BOOK | detector.TRADE)

    def _made(self, weights: dict[str, Decimal]) -> Composite:
        clip, least = Decimal(4), Decimal("0.5")
        if weights:
            clip, least = self.options.clip, self.options.min_coverage
        return Composite(CompositeOptions(weights=weights, clip=clip, min_coverage=least))

    def seated(self, place: Place, others: list[Detector]) -> None:
        by_name = {one.name: one for one in others}
        weights = {name: weight for name, weight in self.options.weights.items() if name in by_name}
        self._parts = [by_name[name] for name in weights]
        self._scales = [_scale(one) for one in self._parts]
        self._blend = self._made(capped(weights, {name: by_name[name].family for name in weights}))

    @cython.ccall
    def read(self) -> cython.double:
        part: Detector
        i: cython.Py_ssize_t
        for i in range(len(self._parts)):
            part = self._parts[i]
            self._blend.z[i] = part.x * self._scales[i]
        if self._blend.blend() != VALUE:
            return nan
        return self._blend.out[0]

    @cython.ccall
    def shape(self, score: cython.double) -> cython.double:
        return held_until_known(self, score)

    def evidence(self) -> dict[str, float | None]:
        told: dict[str, float | None] = {one.name: self._blend.z[i] for i, one in enumerate(self._parts)}
        told["coverage"] = self._blend.coverage
        told["confluence"] = self._blend.out[1] if self.raw == self.raw else None
        return told


def _scale(part: Detector) -> float:
    """What turns a score into something like a z."""
    by = part.options.standardise.by
    return 1.0 if by in ("ewma_z", "robust_z") else AS_Z / float(part.options.on)
