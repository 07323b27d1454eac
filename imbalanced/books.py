"""The books of one venue, each proven or silent: how one is lost and found again.

A book is lost once, aloud, before anything is done about it. Then diffs are collected and an image is asked for when
the symbol's account (``lane.py``) allows. Only a proven book that has lived for a while clears that account: an image
alone proves nothing. Where a proof fails for all books at once it is the proof that is at fault (``proofs.py``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from imbalanced import sync, timers
from imbalanced.events import (
    BookChanged,
    BookInvalid,
    BookReplaced,
    BookValid,
    GapKind,
    Notice,
    ResyncEnded,
)
from imbalanced.lane import Lane
from imbalanced.proofs import CHECKSUM, SEQUENCE, Proofs
from imbalanced.states import Cause
from imbalanced.streams import BOOK
from imbalanced.venues.codec import Chain, Source
from imbalanced.venues.diff import Diff

if TYPE_CHECKING:
    from collections.abc import Callable

    from imbalanced.events import Frame, Instrument
    from imbalanced.links import Links
    from imbalanced.sync import BookSync
    from imbalanced.timers import Timers
    from imbalanced.venues.codec import Codec, Command, Gone, Image, OrderCodec

S = 1_000_000_000

# So long an image that was asked for may take, and so long a book waits for the diffs that should come before it.
IMAGE_TIMEOUT_NS, PATIENCE_NS = 30 * S, S
# Of the diffs that come while a book cools down, so many are enough for an image that a cache of the venue holds back.
KEPT_WAITING = 500

LOSSES = {
    sync.GAP: GapKind.SEQUENCE_GAP,
    sync.NO_OVERLAP: GapKind.SNAPSHOT_NO_OVERLAP,
    sync.OVERFLOW: GapKind.BUFFER_OVERFLOW,
    sync.CROSSED: GapKind.CROSSED_BOOK,
    sync.RESET: GapKind.SEQUENCE_RESET,
}
APPLIED = sync.APPLIED
# Who says of a halt that it holds whatever socket is opened: the list of instruments.
LISTED = "list"
BROKEN_CHAIN = (sync.GAP, sync.NO_OVERLAP)
CHAIN_KINDS = (GapKind.SEQUENCE_GAP, GapKind.SNAPSHOT_NO_OVERLAP)
FAULTS = {CHECKSUM: (GapKind.CHECKSUM_MISMATCH,), SEQUENCE: CHAIN_KINDS}


class Books:
    """``lanes`` by the venue's symbol. ``discover``: take symbols from the frames (a recording without a listing);
    ``wanted`` (None: all) says what to take for one that was found, None for nothing; such are in ``passed_over``,
    their names by wire symbol.
    """

    def __init__(
        self,
        codec: Codec,
        outbox: list[Command],
        timers: Timers,
        links: Links,
        *,
        discover: bool,
        wanted: Callable[[Instrument], Instrument | None] | None = None,
    ) -> None:
        self.codec = codec
        self.lanes: dict[str, Lane] = {}
        self.by_symbol: dict[str, Lane] = {}
        self.proofs = Proofs(codec.checks, apart=codec.continuity.sums_apart)
        self.discover = discover
        self.wanted = wanted
        self.passed_over: dict[str, str] = {}
        self.listed: dict[str, Instrument] = {}
        self._venue = codec.venue
        self._source = codec.continuity.source
        self._outbox = outbox
        self._timers = timers
        self._links = links
        self._summed = self.proofs.expects_checksum
        self._unchained = False

    # -- lanes ---------------------------------------------------------------------------------------------------------

    def add(self, instrument: Instrument) -> Lane:
        """A new symbol."""
        self.codec.know(instrument)
        lane = self.lanes[instrument.venue_symbol] = Lane(instrument, self.codec.continuity)
        lane.sync.unchained = lane.sync.unchained or self._unchained
        self.by_symbol[instrument.symbol] = lane
        return lane

    def find(self, symbol: str, frame: Frame) -> Lane | None:
        """The lane of a wire symbol; while discovering, one that was never heard of begins here."""
        lane = self.lanes.get(symbol)
        if lane is None and self.discover and symbol and symbol not in self.passed_over:
            lane = self._discovered(symbol, frame)
        if lane is not None and lane.conn == 0:
            lane.conn = frame.conn
        return lane

    def _discovered(self, symbol: str, frame: Frame) -> Lane | None:
        found = self.listed.get(symbol) or self.codec.infer(symbol)
        instrument = found if self.wanted is None else self.wanted(found)
        if instrument is None or instrument.symbol in self.by_symbol:
            self.passed_over[symbol] = found.symbol
            return None
        if not self.lanes:
            self._timers.at(frame.recv_ns + timers.WATCH_EVERY_NS, "watch")
        lane = self.add(instrument)
        lane.sync.begin()
        return lane

    def of(self, conn: int) -> list[Lane]:
        """The lanes of a socket."""
        return [lane for lane in self.lanes.values() if lane.conn == conn]

    def opened(self, lane: Lane, conn: int, frame: Frame, events: list[Any]) -> None:
        """Its socket is open and its subscription sent."""
        if lane.valid:
            self.lose(lane, GapKind.SOCKET_CLOSED, "", frame, events)
        lane.conn, lane.opened_ns = conn, frame.recv_ns
        # What the venue said is said again if it still holds; what its list says holds until that is read again.
        lane.halts = {by: why for by, why in lane.halts.items() if by == LISTED}
        lane.enter(Cause.OPENED)
        if not lane.wanted:
            return
        if lane.halts:
            self.rest(lane, GapKind.HALTED, lane.halts[LISTED], frame, events)
            return
        lane.sync.begin()
        lane.sync.heard_ns = 0
        for stream in lane.streams.values():
            stream.rate.restart()
        if self._source is not Source.REST:
            lane.fetching_since_ns = frame.recv_ns  # the image comes with the subscription
            self._timers.at(frame.recv_ns + IMAGE_TIMEOUT_NS, "image", lane.instrument.venue_symbol)
        self.prepare(lane, frame.recv_ns)

    # -- diffs and images ----------------------------------------------------------------------------------------------

    def diff(self, diff: Diff, frame: Frame, events: list[Any]) -> None:
        """One change."""
        lane = self.lanes.get(diff.symbol)
        if lane is None:
            lane = self.find(diff.symbol, frame)
            if lane is None:
                return
        if self._unchained:
            self._shadow_chain(lane, diff, frame, events)
        outcome = lane.sync.diff(diff, frame.recv_ns)
        if outcome == APPLIED:
            checked = diff.checked
            holds = not (checked or self._summed) or self._checksum_holds(lane, diff, frame, events)
            if holds and (not checked or lane.sync.book.rows.n):  # a checksum by itself changes nothing
                self.changed(lane, diff.event_ns, diff.last_id, frame, events)
                if lane.refresh.shadow is not None:
                    lane.refresh.diff(diff, frame.recv_ns)
                    self._renewed(lane, diff.event_ns, frame, events)
            return
        if not lane.wanted:
            return
        if lane.stale:
            self.speaks(lane, frame, events)
        if outcome == sync.BUFFERED:
            lane.enter(Cause.HEARD)
            if frame.recv_ns < lane.wanted_ns:  # the image will be asked for later, and be newer than most of these
                lane.sync.keep(KEPT_WAITING)
            self.want_image(lane, frame.recv_ns)
        elif outcome != sync.IGNORED:
            if outcome in BROKEN_CHAIN and lane.valid:
                self._chain_broke(lane, frame, events)
            self.lose(lane, LOSSES[outcome], f"{diff.first_id}..{diff.last_id}", frame, events)
            self.prepare(lane, frame.recv_ns)

    def image(self, image: Image, frame: Frame, events: list[Any]) -> None:
        """A whole book."""
        lane = self.find(image.symbol, frame)
        if lane is None or not lane.wanted:
            return
        if lane.refresh.shadow is not None:
            lane.refresh.image(image)
            self._renewed(lane, image.event_ns, frame, events)
            return
        lane.fetching_since_ns = 0
        was_valid = lane.valid
        if self._source is not Source.REST:
            lane.sync.heard(frame.recv_ns)
            if lane.stale:
                self.speaks(lane, frame, events)
        elif lane.stale:
            return  # an image that was under way when its stream fell silent proves nothing
        outcome = lane.sync.image(image)
        if outcome == sync.PROVEN:
            lane.heard_at_image = lane.sync.heard_count
            lane.refresh.began(image)
            self.proofs.began(image.symbol)
        if outcome in (sync.PROVEN, sync.APPLIED) and not self._checksum_holds(lane, image, frame, events):
            return
        if outcome == sync.PROVEN and was_valid:
            self._replaced(lane, image.event_ns, frame, events)
        elif outcome == sync.PROVEN:
            self.proven(lane, image.event_ns, frame, events)
        elif outcome == sync.APPLIED:
            self.changed(lane, image.event_ns, image.last_id, frame, events)
        elif outcome == sync.STALE:
            self.attempt_failed(lane, GapKind.STALE_SNAPSHOT, frame, events)

    def refresh(self, lane: Lane, now_ns: int) -> None:
        """Ask for another image of a live book whose window runs out."""
        if lane.valid and lane.refresh.due(lane.sync.book, now_ns):
            self._outbox.append(self.codec.fetch_image(lane.instrument.venue_symbol))

    def _renewed(self, lane: Lane, event_ns: int, frame: Frame, events: list[Any]) -> None:
        """What a newer image shows beyond the old one is told as a change, once it is as new as the live book."""
        newer = lane.refresh.ready(lane.sync)
        if newer is not None and lane.sync.adopt(newer).n:
            self.changed(lane, event_ns, lane.sync.last_id, frame, events)

    def gone(self, message: Gone, frame: Frame, events: list[Any]) -> None:
        """The venue itself begins the book anew."""
        lane = self.find(message.symbol, frame)
        if lane is not None and lane.wanted:
            self.again(lane, GapKind.SEQUENCE_RESET, message.why, frame, events)

    # -- lost and found ------------------------------------------------------------------------------------------------

    def lose(self, lane: Lane, kind: GapKind, detail: str, frame: Frame, events: list[Any]) -> None:
        """Say that the book is lost (once), and put it on the account."""
        if lane.valid:
            events.append(
                BookInvalid(
                    venue=self._venue,
                    instrument=lane.instrument.symbol,
                    recv_ns=frame.recv_ns,
                    reason=kind,
                    detail=detail,
                )
            )
        elif lane.fetching_since_ns:
            self._ended(lane, kind, frame, events)
        lane.refresh.lost()
        lane.lost(kind, frame.recv_ns, detail)

    def again(self, lane: Lane, kind: GapKind, detail: str, frame: Frame, events: list[Any]) -> None:
        """Lose a book and begin it anew."""
        self.lose(lane, kind, detail, frame, events)
        lane.sync.begin()
        self.prepare(lane, frame.recv_ns)

    def rest(self, lane: Lane, kind: GapKind, detail: str, frame: Frame, events: list[Any]) -> None:
        """Lose a book and ask for nothing: its socket is gone, or the venue does not trade it."""
        self.lose(lane, kind, detail, frame, events)
        lane.sync.idle()

    def prepare(self, lane: Lane, now_ns: int) -> None:
        """A book is being collected: ask for its image when due, with or without diffs before it."""
        # Diffs are worth waiting for only where they are kept until the image comes.
        patience_ns = PATIENCE_NS if self._source is Source.REST else 0
        lane.patience_ns = max(lane.wanted_ns, now_ns) + patience_ns
        self._timers.at(lane.patience_ns, "image", lane.instrument.venue_symbol)
        self.want_image(lane, now_ns)

    def want_image(self, lane: Lane, now_ns: int) -> None:
        """Ask for the image of a book that needs one, if it is time."""
        if lane.sync.state != sync.BUFFERING or lane.fetching_since_ns:
            return
        patient = len(lane.sync.buffer) < self.codec.continuity.diffs_before_snapshot and now_ns < lane.patience_ns
        if patient or now_ns < lane.wanted_ns:
            return
        symbol = lane.instrument.venue_symbol
        if self._source is Source.REST and not lane.stale:
            self._outbox.append(self.codec.fetch_image(symbol))
        else:  # a call would be answered all the same: what is missing is the stream
            requests = self.codec.resubscribe(symbol, lane.conn)
            if not requests:
                return
            free_ns = self._links.subscribe(lane.conn, requests, now_ns)
            if free_ns:
                lane.wanted_ns = free_ns
                self._timers.at(free_ns, "image", symbol)
                return
        lane.fetching_since_ns = now_ns
        self._timers.at(now_ns + IMAGE_TIMEOUT_NS, "image", symbol)

    def image_due(self, symbol: str, frame: Frame, events: list[Any]) -> None:
        """It is time to ask for an image, or the one that was asked for did not come."""
        lane = self.lanes.get(symbol)
        if lane is None or not lane.wanted:
            return
        if lane.fetching_since_ns and frame.recv_ns - lane.fetching_since_ns >= IMAGE_TIMEOUT_NS:
            self.attempt_failed(lane, GapKind.SNAPSHOT_FAILED, frame, events)
        self.want_image(lane, frame.recv_ns)

    def attempt_failed(self, lane: Lane, kind: GapKind, frame: Frame, events: list[Any], detail: str = "") -> None:
        """One attempt to prove a book came to nothing."""
        if lane.valid or not lane.wanted:
            return
        lane.why, lane.detail = kind, detail
        lane.failed(frame.recv_ns)
        self._ended(lane, kind, frame, events)
        self._timers.at(lane.wanted_ns, "image", lane.instrument.venue_symbol)

    def _mismatch(self, lane: Lane, frame: Frame, events: list[Any]) -> None:
        """The venue's checksum says that this is not its book."""
        if not lane.valid:
            self._ended(lane, GapKind.CHECKSUM_MISMATCH, frame, events)
        self.again(lane, GapKind.CHECKSUM_MISMATCH, "", frame, events)

    # -- proofs --------------------------------------------------------------------------------------------------------

    def _checksum_holds(self, lane: Lane, message: Diff | Image, frame: Frame, events: list[Any]) -> bool:
        """Whether the book may stay, after this message is in it: its checksum fits, or is not to be trusted."""
        symbol = lane.instrument.venue_symbol
        if not message.checked:
            to_blame = type(message) is Diff and self.proofs.missing(symbol)
        elif self.verified(message, lane.sync):
            self.proofs.held(symbol, frame.recv_ns)
            to_blame = False
        else:
            # Ids that are all equal say nothing.
            chained = not isinstance(message, Diff) or message.last_id != message.prev_id
            to_blame = self.proofs.failed(symbol, image=not isinstance(message, Diff), chained=chained)
        if to_blame:
            self._mismatch(lane, frame, events)
        self.tell_proofs(frame, events)
        return not to_blame

    def verified(self, message: Diff | Image, by: BookSync) -> bool:
        """Whether the book with this message in it is what the message's checksum says."""
        if by.orders is None:
            return self.codec.verify(message, by.book)
        return cast("OrderCodec", self.codec).verify_orders(message, by.orders)

    def tell_proofs(self, frame: Frame, events: list[Any]) -> None:
        """Say which proofs were lost or are back, and let the books go on by what stands."""
        self._summed = self.proofs.expects_checksum
        turns = self.proofs.turns
        while turns:
            turn = turns.pop(0)
            what = "proof_lost" if turn.lost else "proof_restored"
            self.notice(what, turn.reason, frame, events, channel=turn.proof)
            self._unchained = (
                SEQUENCE in self.proofs.lost and self._summed and self.codec.continuity.source is Source.STREAM
            )
            for lane in self.lanes.values():
                lane.sync.unchained = self._unchained or self.codec.continuity.chain is Chain.NONE
                if turn.lost and lane.why in FAULTS[turn.proof] and not lane.fetching_since_ns:
                    lane.forgive(frame.recv_ns)  # it was not the book's fault
                    self.prepare(lane, frame.recv_ns)

    def _chain_broke(self, lane: Lane, frame: Frame, events: list[Any]) -> None:
        at_once = lane.sync.heard_count - lane.heard_at_image <= 1
        others = [one for one in self.lanes.values() if one is not lane]
        live = any(one.valid and one.sync.heard_count - one.heard_at_image > 1 for one in others)
        self.proofs.broke(lane.instrument.venue_symbol, at_once=at_once, others=len(others), others_live=live)
        self.tell_proofs(frame, events)

    def _shadow_chain(self, lane: Lane, diff: Diff, frame: Frame, events: list[Any]) -> None:
        """While nobody asks the ids: whether they follow each other all the same."""
        if not lane.valid:
            return
        symbol, last_id = lane.instrument.venue_symbol, lane.sync.last_id
        if diff.prev_id == last_id if lane.sync.by_previous else diff.first_id == last_id + 1:
            self.proofs.followed(symbol, frame.recv_ns)
        else:
            self.proofs.broke(symbol, at_once=False, others=0, others_live=False)
        self.tell_proofs(frame, events)

    # -- what is said --------------------------------------------------------------------------------------------------

    def changed(self, lane: Lane, event_ns: int, seq: int, frame: Frame, events: list[Any]) -> None:
        """A proven change is in the book."""
        events.append(
            BookChanged(
                venue=self._venue,
                instrument=lane.instrument.symbol,
                recv_ns=frame.recv_ns,
                event_ns=event_ns,
                book=lane.sync.book,
                book_seq=seq,
            )
        )

    def proven(self, lane: Lane, event_ns: int, frame: Frame, events: list[Any]) -> None:
        """A book is proven that was not before."""
        lane.proven(frame.recv_ns)
        self._ended(lane, "", frame, events)
        events.append(
            BookValid(
                venue=self._venue,
                instrument=lane.instrument.symbol,
                recv_ns=frame.recv_ns,
                event_ns=event_ns,
                book_seq=lane.sync.last_id,
                checks=self.proofs.standing,
            )
        )
        self._replaced(lane, event_ns, frame, events)

    def _replaced(self, lane: Lane, event_ns: int, frame: Frame, events: list[Any]) -> None:
        events.append(
            BookReplaced(
                venue=self._venue,
                instrument=lane.instrument.symbol,
                recv_ns=frame.recv_ns,
                event_ns=event_ns,
                book=lane.sync.book,
                book_seq=lane.sync.last_id,
            )
        )

    def _ended(self, lane: Lane, reason: str, frame: Frame, events: list[Any]) -> None:
        events.append(
            ResyncEnded(
                venue=self._venue,
                instrument=lane.instrument.symbol,
                recv_ns=frame.recv_ns,
                ok=not reason,
                reason=reason,
            )
        )

    def speaks(self, lane: Lane, frame: Frame, events: list[Any]) -> None:
        """The stream of a book speaks again."""
        lane.stale = False
        if self._source is Source.REST:
            lane.fetching_since_ns = 0  # what was asked for was the stream
        events += lane.tell(BOOK, "live", "", frame.recv_ns)

    def notice(
        self, what: str, detail: str, frame: Frame, events: list[Any], *, channel: str = "", instrument: str = ""
    ) -> None:
        """Something an operator should know."""
        events.append(
            Notice(
                venue=self._venue,
                what=what,
                recv_ns=frame.recv_ns,
                channel=channel,
                instrument=instrument,
                detail=detail,
            )
        )
