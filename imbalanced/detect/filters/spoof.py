"""Is the size meant: what flickers, walls that leave, and depth that is not there once what is unproven is left out.

Both filters look at the side that supports the signal: bids for a buy. They are hard only for kinds whose message is
standing size; flow and trades are not made of what stands.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, ClassVar

from msgspec import Struct

from imbalanced.detect.filters.filter import NS_PER_MS, STANDING, Filter, Kit, Moment, Said, judged, unknown
from imbalanced.detect.filters.rolling import Rolling
from imbalanced.options import Doc, Millis, Positive, Share

if TYPE_CHECKING:
    from imbalanced.detect.cohorts import Cohorts
    from imbalanced.detect.detector import Detector
    from imbalanced.detect.standing import Standing

S = 1_000_000_000
# The kind whose score is the lean of all instruments together.
ACROSS = "supply_demand_imbalance"
# And the one whose score is that of the best queues, whatever stands behind them.
TOUCH = "microstructure_imbalance"


def _clip(x: float) -> float:
    return min(max(x, 0.0), 1.0)


def supported(detector: Detector) -> int:
    """The side of the book that supports a signal, +1 bids; 0 where this is no question: trades, or no side."""
    return detector.lifecycle.side if detector.of_book and detector.sided else 0


class FlickerOptions(Struct, frozen=True, kw_only=True):
    """What is cancelled within half a second (three batches of slow venues) was not there to be traded with."""

    window_ms: Annotated[Millis, Doc("additions of so long ago are looked at")] = 5_000
    good: Annotated[Share, Doc("up to this share of flickering volume the quality is 1")] = Decimal("0.4")
    bad: Annotated[Share, Doc("from this share on it is 0")] = Decimal("0.8")

    def __post_init__(self) -> None:
        if self.good >= self.bad:
            raise ValueError("good below bad")
        if self.window_ms > 10_000:
            raise ValueError("a window of at most 10s")


class Flicker(Filter):
    """How much of the volume added to the best 5 levels of the supporting side was cancelled at once: lowers the
    strength, and holds back nothing.

    Unknown where nothing was added.
    """

    Options: ClassVar[type[Struct]] = FlickerOptions
    needs: ClassVar[str] = "book trade"

    def __init__(self, options: FlickerOptions, kit: Kit) -> None:
        self._window_ns = options.window_ms * NS_PER_MS
        self._good, self._bad = float(options.good), float(options.bad)
        self._cohorts = kit.cohorts

    def check(self, detector: Detector, now: Moment) -> Said:
        side = supported(detector)
        if not side:
            return judged(True, "not of this kind")
        share = self._cohorts.flicker(side, self._window_ns)
        if share != share:
            return unknown("nothing was added", q_flicker=None)
        quality = 1.0 - _clip((share - self._good) / (self._bad - self._good))
        return judged(True, f"{share:.2f} of what was added left at once", quality, q_flicker=quality)


class SpoofOptions(Struct, frozen=True, kw_only=True):
    """A wall that has left before makes the next one of its side doubtful, and nothing else."""

    least: Annotated[Share, Doc("quality below which kinds of standing depth fail")] = Decimal("0.2")
    most_unproven: Annotated[Share, Doc("of the supporting side's depth; with more nothing of it counts as meant")] = (
        Decimal("0.5")
    )
    bps: Annotated[Positive, Doc("half-width of the band in which depth is aged, in basis points")] = Decimal(10)
    wide_bps: Annotated[Positive, Doc("the same for `supply_demand_imbalance`")] = Decimal(20)


class Spoof(Filter):
    """Size that is shown and not meant. Quality ``(1 - clip((A - 0.5) / 0.5)) * (0.5 + 0.5 D)`` of the supporting
    side, times ``1 - clip((F - 0.4) / 0.4)`` of `flicker` for the hard limit; below ``least`` it fails.

    *A*: of the walls that the touch came to in 10 minutes, the share that left; it counts while a wall stands there
    now, and is halved once more where small takers of the other side were at work when one left (``spoof_pattern``).
    *D*: 1 if the depth that has stood (500 ms, and 10 s for what is beyond the usual) leans the same way and at least
    half as much as all that is shown (for `supply_demand_imbalance`: enough to open on), and at most ``most_unproven``
    of the side's depth has not stood; else 0. For kinds of standing depth (`market_depth_imbalance`,
    `microstructure_imbalance`, `supply_demand_imbalance`) *D* itself is the factor: a lean that is gone without what is
    unproven is none. For other kinds the quality lowers the strength, but never fails. Unknown where there is no depth.
    """

    Options: ClassVar[type[Struct]] = SpoofOptions
    needs: ClassVar[str] = "book trade"
    watches: ClassVar[bool] = True

    def __init__(self, options: SpoofOptions, kit: Kit) -> None:
        self._least, self._most = float(options.least), float(options.most_unproven)
        self._cohorts = kit.cohorts
        self._per_unit = kit.grid.per_unit
        self._near = kit.standing(Decimal(options.bps))
        self._wide_bps = Decimal(options.wide_bps)
        self._wide = kit.standing(self._wide_bps)
        self._walls = kit.walls()
        self._ratios = {1: Rolling(600 * S, 5 * S), -1: Rolling(600 * S, 5 * S)}

    def observe(self, now: Moment) -> None:
        for side, past in self._ratios.items():
            if past.due(now.recv_ns):
                past.add(now.recv_ns, self._cancel_to_trade(side))

    def _cancel_to_trade(self, side: int) -> float:
        cancelled = self._cohorts.cancelled(side)
        # Sellers take bids.
        traded = self._cohorts.taken(-side, self._cohorts.now_ns - 10 * S)
        return cancelled / max(traded, 1e-9 + 0.01 * cancelled)

    def check(self, detector: Detector, now: Moment) -> Said:
        side = supported(detector)
        if not side:
            return judged(True, "not of this kind")
        said = self._verdict(detector, side, now)
        if said.verdict == "unknown":
            return unknown(said.told, q_spoof=None)
        return said._replace(numbers=self._numbers(side, said.quality))

    def still(self, detector: Detector, now: Moment) -> Said:
        # The lives of all that was cancelled take longer to sort than the rest to judge.
        side = supported(detector)
        if not side or detector.kind not in STANDING:
            return judged(True, "not of this kind")
        return self._verdict(detector, side, now)

    def _verdict(self, detector: Detector, side: int, now: Moment) -> Said:
        held = self._held(detector, now)
        if held.raw(1) + held.raw(-1) <= 0:
            return unknown("no depth")
        meant = self._meant(detector, side, held)
        hard = detector.kind in STANDING
        quality = (float(meant) if hard else 0.5 + 0.5 * meant) * self._walls_quality(side)
        flickers = self._cohorts.flicker(side, 5 * S)
        steady = 1.0 - _clip((flickers - 0.4) / 0.4) if flickers == flickers else 1.0
        ok = not hard or quality * steady >= self._least
        told = self._told(side, held) + (f", {flickers:.2f} flickers" if flickers == flickers else "")
        return judged(ok, told, quality)

    def _held(self, detector: Detector, now: Moment) -> _Held:
        """What is shown and what has stood; over all instruments for the kind that is."""
        if detector.kind == TOUCH:
            return _Held.at_touch(self._cohorts)
        if detector.kind != ACROSS:
            return _Held([(self._near, self._per_unit)])
        kept = [(self._wide, self._per_unit)]
        for peer in now.peers:
            theirs = peer.kit.aged(self._wide_bps)
            if theirs is not None:
                kept.append((theirs, peer.kit.grid.per_unit))
        return _Held(kept)

    def _meant(self, detector: Detector, side: int, held: _Held) -> bool:
        shown, stood = side * held.lean(), side * held.lean_that_stood()
        if held.stood(side) < (1.0 - self._most) * held.raw(side):
            return False
        return shown <= 0 or stood >= self._needed(detector) * shown

    @staticmethod
    def _needed(detector: Detector) -> float:
        """The share of the lean that must have stood: half, and where the lean is the score, enough to open on."""
        x = abs(detector.x)
        return max(0.5, min(detector.lifecycle.on / x, 1.0)) if detector.kind == ACROSS and x > 0 else 0.5

    def _walls_quality(self, side: int) -> float:
        if not self._walls.standing(side):
            return 1.0
        quality = 1.0 - _clip((self._walls.leaving(side) - 0.5) / 0.5)
        return quality / 2 if self._walls.pattern(side) else quality

    def _numbers(self, side: int, quality: float) -> dict[str, float | None]:
        past = self._ratios[side]
        return {
            "q_spoof": quality,
            "spoof_leaving": self._walls.leaving(side),
            "spoof_pattern": float(self._walls.pattern(side)),
            "cancel_to_trade_q": past.rank(self._cancel_to_trade(side)) if len(past) >= 30 else None,
            "lifetime_ms": self._cohorts.lifetime_ms(side),
        }

    def _told(self, side: int, held: _Held) -> str:
        walls = self._walls.standing(side)
        told = f"lean {held.lean():+.2f} shown, {held.lean_that_stood():+.2f} has stood"
        return told + (f", walls of {walls:g}, {self._walls.leaving(side):.2f} leave" if walls else ", no wall")


class _Held:
    """Several books as one, each with its integer prices per unit of price: notional by side."""

    def __init__(self, kept: list[tuple[Standing, float]]) -> None:
        self._raw = {1: 0.0, -1: 0.0}
        self._stood = {1: 0.0, -1: 0.0}
        for one, per_unit in kept:
            one.measure()
            if one.raw == one.raw:
                for way, side in ((1, one.bids), (-1, one.asks)):
                    self._raw[way] += side.raw / per_unit
                    self._stood[way] += side.stood / per_unit

    @classmethod
    def at_touch(cls, cohorts: Cohorts) -> _Held:
        """The best levels alone: what came to them within the last 500 ms (three batches) has not stood."""
        held, book = cls([]), cohorts.book
        if book.ok():
            for side, ladder in ((1, book.bids), (-1, book.asks)):
                px = ladder.px_at(0)
                held._raw[side] = px * ladder.size_at(px)
                held._stood[side] = max(held._raw[side] - px * cohorts.young_at(side * px, cohorts.early_ns), 0.0)
        return held

    def raw(self, side: int) -> float:
        return self._raw[side]

    def stood(self, side: int) -> float:
        return self._stood[side]

    def lean(self) -> float:
        """The imbalance of all that is shown."""
        return (self._raw[1] - self._raw[-1]) / (self._raw[1] + self._raw[-1])

    def lean_that_stood(self) -> float:
        """That of what has stood; 0 where nothing has."""
        total = self._stood[1] + self._stood[-1]
        return (self._stood[1] - self._stood[-1]) / total if total > 0 else 0.0
