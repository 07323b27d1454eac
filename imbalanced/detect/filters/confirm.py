"""Do other venues see it too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from msgspec import Struct

from imbalanced.detect.filters.filter import NS_PER_MS, Filter, Kit, Moment, Said, judged, unknown
from imbalanced.options import Doc, Millis, Range

if TYPE_CHECKING:
    from imbalanced.detect.detector import Detector
    from imbalanced.detect.filters.filter import Peer


class ConfirmOptions(Struct, frozen=True, kw_only=True):
    """``confirm: 2`` is short for ``confirm: {at_least: 2}``."""

    at_least: Annotated[int, Range(ge=0, le=100), Doc("other venues that must agree; 0 only weighs them")] = 0
    max_age_ms: Annotated[Millis, Doc("a venue whose book was last heard of before that says nothing")] = 2_000


class Confirm(Filter):
    """Agreement of the same kind on other venues of the same asset, spot and derivatives apart: ``c = sum w sgn(x) side
    / sum w`` over those with ``|x|`` of at least half of ``on`` (the others count as 0), quality ``0.7 + 0.3 c``.

    ``w`` is the notional traded there in the last hour; twice that for a venue that `lead_lag` names as leader here,
    none for one that names this instrument as its own leader: who follows confirms nothing. By receive time of one
    machine, scores as they are now. A venue that is stale, not proven or without a score is neither for nor against;
    unknown where none is left.
    """

    Options: ClassVar[type[Struct]] = ConfirmOptions
    needs: ClassVar[str] = "book"
    watches: ClassVar[bool] = True
    short: ClassVar[str] = "at_least"

    def __init__(self, options: ConfirmOptions, kit: Kit) -> None:
        self._least = options.at_least
        self._max_age_ns = options.max_age_ms * NS_PER_MS
        self._turnover = kit.turnover

    def check(self, detector: Detector, now: Moment) -> Said:
        side = detector.lifecycle.side
        if not detector.sided:
            return judged(True, "not of this kind")
        words = [word for peer in now.peers if (word := self._word(detector, side, peer, now)) is not None]
        agreeing = sum(agrees > 0 for _, agrees in words)
        total = sum(weight for weight, _ in words)
        if not words or total <= 0:
            if self._least:
                return judged(False, f"0 of {self._least} venues agree", q_confirm=None)
            return unknown("no other venue", q_confirm=None)
        c = sum(weight * agrees for weight, agrees in words) / total
        quality = 0.7 + 0.3 * c
        told = f"{agreeing} of {len(words)} venues agree, {c:+.2f} by what they trade"
        return judged(agreeing >= self._least, told, quality, q_confirm=quality)

    def _word(self, detector: Detector, side: int, peer: Peer, now: Moment) -> tuple[float, int] | None:
        """The weight of another venue, and whether it is for (1), against (-1) or silent (0)."""
        if now.instrument is None or not _comparable(now, peer):
            return None
        if not peer.desk.book.live or now.recv_ns - peer.desk.heard_book_ns > self._max_age_ns:
            return None
        same = next(
            (one for one in peer.desk.detectors if (one.kind, one.name) == (detector.kind, detector.name)), None
        )
        if same is None or same.x != same.x:
            return None
        weight = peer.kit.turnover.total() or 1.0
        if _follows(peer.desk.detectors, now.instrument.venue, now.instrument.symbol):
            weight = 0.0
        elif _follows(now.desk.detectors, peer.instrument.venue, peer.instrument.symbol):
            weight *= 2.0
        if abs(same.x) < same.lifecycle.on / 2:
            return weight, 0
        return weight, side if same.x > 0 else -side


def _comparable(now: Moment, peer: Peer) -> bool:
    """Another venue, and both spot or both derivatives."""
    own = now.instrument
    if own is None or peer.instrument.venue == own.venue:
        return False
    return (":" in peer.instrument.symbol) == (":" in own.symbol)


def _follows(detectors: list[Detector], venue: str, symbol: str) -> bool:
    """Whether a lead and lag is watched there with this instrument as leader."""
    leaders = (getattr(one.options, "leader", None) for one in detectors)
    return any(one is not None and (one.venue, one.instrument) == (venue, symbol) for one in leaders)
