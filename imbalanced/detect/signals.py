"""From what a lifecycle said to the public message: strength, evidence, proof, identity."""

from __future__ import annotations

from decimal import Decimal
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import msgspec

from imbalanced.events import Explained, Proof, Signal
from imbalanced.metrics.lifecycle import EVENTS, REASONS

if TYPE_CHECKING:
    from imbalanced.book import Book
    from imbalanced.detect.detector import Detector
    from imbalanced.events import FilterAnswer, Frame

NS_PER_MS = 1_000_000
WIRE_REASON = {"invalid": "book_invalid"}


def decimal_text(px: int, scale: int) -> str:
    """An integer price as plain decimal text, without trailing zeros."""
    whole, fraction = divmod(px, 10**scale)
    digits = f"{fraction:0{scale}d}".rstrip("0") if scale else ""
    return f"{whole}.{digits}" if digits else str(whole)


def size_text(size: float) -> str:
    """A size as plain decimal text, to 15 digits: what lies beyond is noise of the float."""
    return format(Decimal(f"{size:.15g}").normalize(), "f")


def mid_text(book: Book, scale: int) -> str | None:
    """The mid, exact; None unless the book is live, two-sided and not crossed."""
    if not book.ok():
        return None
    return decimal_text(5 * (book.bids.px_at(0) + book.asks.px_at(0)), scale + 1)


def strength(x: float, on: float, off: float, full: float) -> float:
    """How far beyond its own threshold, in [0, 1]: 0 at ``off``, 0.5 at ``on``, 1 at ``full``."""
    x = abs(x)
    if x < on:
        s = 0.5 * (x - off) / (on - off) if on > off else 0.0
    else:
        s = 0.5 + 0.5 * (x - on) / (full - on) if full > on else 1.0
    return min(max(s, 0.0), 1.0)


def signal_id(venue: str, instrument: str, detector: Detector, frame: Frame) -> str:
    """A hash of what was seen, so that a replay gives the same.

    One frame may hold many events: what opens on it again has a number, too.
    """
    again = detector.opened_before + 1 if detector.signal_id and detector.opened_recv_ns == frame.recv_ns else 0
    detector.opened_before = again
    seen = blake2b(digest_size=8)
    for part in (venue, instrument, detector.kind, detector.name, str(frame.recv_ns)):
        seen.update(part.encode())
        seen.update(b"\0")
    if again:
        seen.update(b"%d\0" % again)
    seen.update(frame.data)
    return seen.hexdigest()


def evidence(detector: Detector) -> dict[str, float | str | None]:
    """The numbers of this decision, and only numbers: what is unknown is None, never NaN."""
    told: dict[str, float | str | None] = {
        name: None if x is None or x != x else x for name, x in detector.evidence().items()
    }
    told["on"] = detector.lifecycle.on
    told["off"] = detector.lifecycle.off
    told["peak"] = detector.lifecycle.peak
    if detector.usual.times > 0:
        peak = detector.usual.peak
        told["usual_peak"] = peak if peak == peak else None
    return told


EXPLAINED_LEVELS = 10


def explained(
    detector: Detector,
    signal: Signal,
    *,
    frame: Frame,
    book: Book,
    scale: int,
    values: dict[str, float | None],
    answers: list[FilterAnswer],
) -> Explained:
    """Everything that the decision to open this signal saw."""
    sides = [
        [(decimal_text(px, scale), size_text(size)) for px, size in ladder.levels(EXPLAINED_LEVELS)]
        for ladder in (book.bids, book.asks)
    ]
    return Explained(
        id=signal.id,
        venue=signal.venue,
        instrument=signal.instrument,
        kind=signal.kind,
        name=detector.name,
        recv_ns=frame.recv_ns,
        conn=frame.conn,
        frame=blake2b(frame.data, digest_size=8).hexdigest(),
        options=msgspec.to_builtins(detector.options, builtin_types=()),
        values=values,
        bids=sides[0],
        asks=sides[1],
        filters=answers,
    )


def build(
    detector: Detector, said: int, *, frame: Frame, ts_ns: int, mid: str | None, proof: Proof, identity: dict[str, Any]
) -> Signal:
    """The message for what this detector's lifecycle said at this frame."""
    lifecycle = detector.lifecycle
    event: Any = EVENTS[said]
    reason: Any = REASONS[lifecycle.reason] if event == "close" else None
    score = detector.last
    told = evidence(detector)
    if event == "close":
        told["duration_ms"] = (frame.recv_ns - detector.opened_recv_ns) / NS_PER_MS
    return Signal(
        id=detector.signal_id,
        event=event,
        kind=detector.kind,
        side=("buy" if lifecycle.side > 0 else "sell") if detector.sided else "none",
        ts_ns=ts_ns,
        recv_ns=frame.recv_ns,
        strength=strength(score, lifecycle.on, lifecycle.off, detector.full),
        score=score,
        confidence=None,
        mid=mid,
        horizon_ms=detector.options.horizon_ms,
        evidence=told,
        proof=proof,
        reason=WIRE_REASON.get(reason, reason),
        **identity,
    )
