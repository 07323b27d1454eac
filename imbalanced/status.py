"""What the daemon says of itself over HTTP: health, readiness, books, links, sinks. Reads, never changes anything."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from imbalanced import __version__, explanation
from imbalanced.detect.signals import decimal_text, size_text
from imbalanced.events import GapKind
from imbalanced.states import State
from imbalanced.streams import BOOK, CHANNELS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imbalanced.journal import Page
    from imbalanced.lane import Lane
    from imbalanced.service import Service


class Status:
    """The HTTP server's view of a service (``web/backend.py``)."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self.stopping = False

    def healthy(self) -> bool:
        # A task that dies takes the task group, and so this server, with it: whoever gets an answer is healthy.
        return True

    def ready(self) -> tuple[bool, dict[str, object]]:
        """Every book (or the configured share) is live, and every sink is connected."""
        service = self._service
        reasons = [f"{venue}: {why}" for venue, why in service.intake.missing.items()]
        lanes = [
            (session.venue, lane)
            for session in service.intake.pipeline.sessions.values()
            for lane in session.lanes.values()
        ]
        live = sum(lane.valid for _, lane in lanes)
        if not lanes or live < float(service.config.ready_share) * len(lanes):
            reasons += [f"{venue} {lane.instrument.symbol}: {_why(lane)}" for venue, lane in lanes if not lane.valid]
        reasons += _quiet(lanes, float(service.config.ready_share))
        notes: list[str] = []
        for session in service.intake.pipeline.sessions.values():
            lost = [f"{session.venue}: proof {proof} lost: {why}" for proof, why in session.proofs.lost.items()]
            # What still stands behind the books decides how bad that is.
            (notes if session.proofs.standing else reasons).extend(lost)
        reasons += [f"sink {outlet.name}: not connected" for outlet in service.outlets if not outlet.connected]
        if self.stopping:
            reasons.append("stopping")
        facts = {"books": len(lanes), "live": live, "reasons": reasons, "notes": notes}
        return not reasons, {"ready": not reasons, **facts}

    def status(self) -> dict[str, object]:
        """``/api/status``."""
        service = self._service
        return {
            "version": __version__,
            "epoch": service.journal.epoch,
            "last_seq": service.journal.last_seq,
            "oldest_seq": service.journal.oldest_seq,
            "config": service.intake.pipeline.fingerprint,
            "ready": self.ready()[1],
            "books": [
                _book(session.venue, lane)
                for session in service.intake.pipeline.sessions.values()
                for lane in session.lanes.values()
            ],
            "links": [
                {"venue": venue, **_plain(link)}
                for venue, connector in service.intake.connectors.items()
                for link in connector.links()
            ],
            "sinks": [outlet.status() for outlet in service.outlets],
            "proofs": [
                {"venue": session.venue, "proof": proof, "trusted": proof not in lost, "reason": lost.get(proof)}
                for session in service.intake.pipeline.sessions.values()
                for lost in [session.proofs.lost]
                for proof in (*session.proofs.standing, *lost)
            ],
        }

    def book(self, venue: str, instrument: str, levels: int) -> dict[str, object] | None:
        """``/api/book``: the best levels as text; none of a book that is not valid."""
        session = self._service.intake.pipeline.sessions.get(venue)
        lane = session.lane_of(instrument) if session else None
        if lane is None:
            return None
        told: dict[str, object] = {"venue": venue, "instrument": instrument, "valid": lane.valid}
        if not lane.valid:
            return {**told, "why": lane.why, "bids": [], "asks": [], "seq": None}
        scale, book = lane.instrument.price_scale, lane.sync.book
        for name, ladder in (("bids", book.bids), ("asks", book.asks)):
            told[name] = [[decimal_text(px, scale), size_text(size)] for px, size in ladder.levels(levels)]
        return {**told, "seq": lane.sync.last_id, "n_bids": len(book.bids), "n_asks": len(book.asks)}

    def signals(self, from_seq: int | None, limit: int) -> Page:
        """``/api/signals``."""
        return self._service.journal.page(from_seq, limit)

    def about(self, id: str) -> dict[str, object] | None:
        """``/api/signals/ID``."""
        found = self._service.journal.about(id)
        return None if found is None else explanation.as_data(found)

    async def metrics(self, accept_header: str) -> tuple[bytes, str]:
        """``/metrics``."""
        prometheus = self._service.prometheus
        return await asyncio.to_thread(prometheus.text, prometheus.families(), accept_header)

    async def resync(self, venue: str, instrument: str) -> dict[str, object]:
        """``POST /api/books/resync``."""
        return await self._service.resync(venue, instrument)


def _book(venue: str, lane: Lane) -> dict[str, object]:
    return {
        "venue": venue,
        "instrument": lane.instrument.symbol,
        "state": lane.state.value,
        "reason": lane.why or None,
        "detail": lane.detail or None,
        "since_ns": lane.since_ns,
        "gaps": lane.losses,
        "seq": lane.sync.last_id if lane.valid else None,
        "streams": {
            one.channel: {"state": one.state or "live", "reason": one.reason or None, "heard_ns": one.heard_ns}
            for one in lane.seen().values()
            if one.state or one.count
        },
    }


def _why(lane: Lane) -> str:
    """Why a book is not live; what the venue said of it, where it has told."""
    told = lane.detail if lane.state in (State.HALTED, State.CLOSED) or lane.why == GapKind.SUBSCRIBE_REFUSED else ""
    return f"{lane.why} ({told})" if told else lane.why


def _quiet(lanes: Sequence[tuple[str, Lane]], share: float) -> list[str]:
    """The streams that have gone quiet although their books live; none, where enough of their channel speak."""
    told: list[str] = []
    for channel in CHANNELS:
        known = [
            (f"{venue} {lane.instrument.symbol} {channel}", lane.seen()[channel])
            for venue, lane in lanes
            if lane.valid or (lane.wanted and channel != BOOK)  # why a book is not valid is said already
        ]
        known = [(name, stream) for name, stream in known if stream.state or stream.count]
        quiet = [(name, stream) for name, stream in known if stream.state in ("silent", "stale")]
        if quiet and len(known) - len(quiet) < share * len(known):
            told += [f"{name}: {stream.state} ({stream.reason})" for name, stream in quiet]
    return told


def _plain(struct: Any) -> dict[str, object]:
    return {name: getattr(struct, name) for name in struct.__struct_fields__}
