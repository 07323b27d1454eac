"""The brain of one venue: its codec, its books and their proofs, what it says and when.

Frames go in (``receive``), trusted events come out, and what the world must do goes to ``outbox`` as commands. It opens
nothing, waits for nothing and reads no clock: time is ``frame.recv_ns``, a timer is a command (``Wake``) whose firing
comes back as a frame, and a REST answer is a frame too. So the same frames give the same events, live or replayed.

How a book is lost and found again, smallest scope first::

    diff breaks the chain, parse error, crossed, stale stream, operator's request  -> that symbol
    socket closed                                                                  -> the symbols of that socket

BookInvalid is said first; then diffs are collected and an image is fetched when the symbol's account (``lane.py``)
allows. Only a proven book that has lived for a while clears that account: an image alone proves nothing.

A proof that fails for all of them at once is at fault itself, not the books: ``proofs.py`` judges, and here the next
best proof goes on.

Silence is a fault as well: a stream that was acknowledged and never spoke (``silent_subscription``) and one that spoke
and stopped (``stale_stream``), each judged against its own past. Acknowledgements are no data.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from imbalanced import sync
from imbalanced.events import (
    BookChanged,
    BookInvalid,
    BookReplaced,
    BookValid,
    GapKind,
    Instrument,
    LinkDown,
    LinkUp,
    Liquidation,
    Mark,
    Notice,
    ResyncEnded,
    StreamState,
    Trade,
    TradeIgnored,
)
from imbalanced.lane import Lane
from imbalanced.proofs import BACK_NS, CHECKSUM, SEQUENCE, Proofs
from imbalanced.venues.codec import (
    Answer,
    Chain,
    ClosingSoon,
    CodecError,
    Context,
    Door,
    Forced,
    Gone,
    Image,
    ImageFailed,
    Listing,
    Open,
    Print,
    Reconnect,
    Reply,
    Send,
    SocketGap,
    Source,
    Wake,
)
from imbalanced.venues.diff import Diff

if TYPE_CHECKING:
    from collections.abc import Callable

    from imbalanced.events import Frame
    from imbalanced.venues.codec import Codec, Command, LinkPlan

S = 1_000_000_000

# So long an image that was asked for may take, so long a book waits for the diffs that should come before its image,
# and so long a new subscription may stay without any data.
IMAGE_TIMEOUT_NS, PATIENCE_NS, FIRST_DATA_NS = 30 * S, S, 20 * S
# So long the answer may take that tells where a socket is to be opened, before it is asked for again.
DOOR_TIMEOUT_NS = 20 * S
WATCH_EVERY_NS = S
# A socket is rotated at this share of the venue's own lifetime, before it is cut.
ROTATE_AT = 0.95

LOSSES = {
    sync.GAP: GapKind.SEQUENCE_GAP,
    sync.NO_OVERLAP: GapKind.SNAPSHOT_NO_OVERLAP,
    sync.OVERFLOW: GapKind.BUFFER_OVERFLOW,
    sync.CROSSED: GapKind.CROSSED_BOOK,
    sync.RESET: GapKind.SEQUENCE_RESET,
}
BROKEN_CHAIN = (sync.GAP, sync.NO_OVERLAP)
CHAIN_KINDS = (GapKind.SEQUENCE_GAP, GapKind.SNAPSHOT_NO_OVERLAP)
STREAM = Source.STREAM


class Session:
    """One venue's links and books. ``discover``: take symbols from the frames (a recording without a listing)."""

    def __init__(self, codec: Codec, *, discover: bool = False) -> None:
        self.codec = codec
        self.venue = codec.venue
        self.outbox: list[Command] = []
        self.proofs = Proofs(codec.checks)
        self._summed = self.proofs.expects_checksum
        self._unchained = False
        self.lanes: dict[str, Lane] = {}
        self._by_symbol: dict[str, Lane] = {}
        self.links: dict[int, LinkPlan] = {}
        self.up_ns: dict[int, int] = {}
        self._heard_ns: dict[int, int] = {}
        self._ping_ns: dict[int, int] = {}
        self._at_the_door: set[int] = set()
        self._opened_at: dict[int, str] = {}
        self._discover = discover
        self._listed: dict[str, Instrument] = {}
        self._timers: list[tuple[int, str, str]] = []
        self._wake_ns = 0
        self._by_kind: dict[str, Callable[[Frame, list[Any]], None]] = {
            "ws": self._messages,
            "http": self._messages,
            "open": self._opened,
            "close": self._closed,
            "wake": self._woken,
            "instruments": self._instruments,
            "resync": self._resync,
        }
        self._by_message: dict[type, Callable[[Any, Frame, list[Any]], None]] = {
            Diff: self._diff,
            Print: self._print,
            Image: self._image,
            ImageFailed: self._image_failed,
            Reply: self._reply,
            Door: self._door,
            SocketGap: self._socket_gap,
            Gone: self._gone,
            Context: self._context,
            Forced: self._forced,
            Answer: self._answer,
            ClosingSoon: self._closing_soon,
            Listing: self._listing,
        }
        self._by_timer: dict[str, Callable[[str, Frame, list[Any]], None]] = {
            "image": self._image_due,
            "first": self._first_data_due,
            "rotate": self._rotation_due,
            "watch": self._watch,
            "ping": self._ping_due,
            "door": self._door_due,
        }

    def receive(self, frame: Frame) -> list[Any]:
        """What this frame makes true, in order. Commands that follow from it are in ``outbox``."""
        events: list[Any] = []
        handler = self._by_kind.get(frame.kind)
        if handler is not None:
            handler(frame, events)
        return events

    def lane_of(self, instrument: str) -> Lane | None:
        """The lane of a unified symbol."""
        return self._by_symbol.get(instrument)

    # -- instruments and links -----------------------------------------------------------------------------------------

    def _instruments(self, frame: Frame, events: list[Any]) -> None:
        instruments = msgspec.json.decode(frame.data, type=list[Instrument])
        wanted = {i.venue_symbol: i for i in instruments if i.active}
        for symbol, lane in self.lanes.items():
            if symbol not in wanted:
                self._lose(lane, GapKind.SYMBOL_GONE, "", frame, events)
                lane.sync.idle()
        for symbol, instrument in wanted.items():
            if symbol not in self.lanes:
                self._add(instrument)
        if not self.links:
            self.links = {plan.conn: plan for plan in self.codec.plan(list(wanted.values()))}
            for plan in self.links.values():
                for symbol in plan.books:
                    self.lanes[symbol].conn = plan.conn
                self._enter(plan, frame.recv_ns)
            self._at(frame.recv_ns + WATCH_EVERY_NS, "watch", "")

    def _add(self, instrument: Instrument) -> Lane:
        self.codec.know(instrument)
        lane = self.lanes[instrument.venue_symbol] = Lane(instrument, self.codec.continuity)
        if self._unchained:
            lane.sync.unchained = True
        self._by_symbol[instrument.symbol] = lane
        return lane

    def _lane(self, symbol: str, frame: Frame) -> Lane | None:
        """The lane of a wire symbol; while discovering, one that was never heard of begins here."""
        lane = self.lanes.get(symbol)
        if lane is None and self._discover and symbol:
            if not self.lanes:
                self._at(frame.recv_ns + WATCH_EVERY_NS, "watch", "")
            lane = self._add(self._listed.get(symbol) or self.codec.infer(symbol))
            lane.sync.begin()
        if lane is not None and lane.conn == 0:
            lane.conn = frame.conn
        return lane

    def _listing(self, listing: Listing, frame: Frame, events: list[Any]) -> None:
        if not self._discover:
            return
        for instrument in listing.instruments:
            self._listed[instrument.venue_symbol] = instrument
            self.codec.know(instrument)

    def _opened(self, frame: Frame, events: list[Any]) -> None:
        conn, now_ns = frame.conn, frame.recv_ns
        self.up_ns[conn] = now_ns
        self._opened_at[conn] = frame.url
        self._heard_ns.pop(conn, None)
        self.codec.opened(conn)
        events.append(LinkUp(venue=self.venue, conn=conn, recv_ns=now_ns))
        plan = self.links.get(conn)
        if plan is None:
            return
        self.outbox.extend(Send(venue=self.venue, conn=conn, data=text) for text in plan.subscribe)
        for symbol in plan.books:
            lane = self.lanes[symbol]
            lane.sync.begin()
            lane.sync.heard_ns = 0
            if self.codec.continuity.source is not Source.REST:
                lane.fetching_since_ns = now_ns  # the image comes with the subscription
            self._prepare(lane, now_ns)
        self._ping_at(conn, now_ns)
        self._at(now_ns + FIRST_DATA_NS, "first", str(conn))
        self._at(now_ns + int(self.codec.limits.lifetime_s * ROTATE_AT * S), "rotate", str(conn))

    def _closed(self, frame: Frame, events: list[Any]) -> None:
        reason = frame.data.decode(errors="replace")
        if self.up_ns.pop(frame.conn, None) is not None:
            events.append(LinkDown(venue=self.venue, conn=frame.conn, recv_ns=frame.recv_ns, reason=reason))
        for lane in self.lanes.values():
            if lane.conn == frame.conn:
                self._lose(lane, GapKind.SOCKET_CLOSED, reason, frame, events)
                lane.sync.idle()
        plan = self.links.get(frame.conn)
        # The connector opens it again by itself; here it learns where, unless it was closed to be moved there.
        if plan is not None and plan.prelude is not None and plan.url == self._opened_at.get(frame.conn):
            self._enter(plan, frame.recv_ns)

    def _enter(self, plan: LinkPlan, now_ns: int) -> None:
        """Open this socket, or ask first where it is to be opened."""
        if plan.prelude is None:
            self.outbox.append(Open(venue=self.venue, conn=plan.conn, url=plan.url))
        else:
            self._at_the_door.add(plan.conn)
            self.outbox.append(plan.prelude)
            self._at(now_ns + DOOR_TIMEOUT_NS, "door", str(plan.conn))

    def _door(self, door: Door, frame: Frame, events: list[Any]) -> None:
        for conn in sorted(self._at_the_door):
            self.links[conn] = replace(self.links[conn], url=door.url)
            self.outbox.append(Open(venue=self.venue, conn=conn, url=door.url))
        self._at_the_door.clear()

    def _door_due(self, conn: str, frame: Frame, events: list[Any]) -> None:
        if int(conn) in self._at_the_door:
            self._enter(self.links[int(conn)], frame.recv_ns)

    def _reconnect(self, conn: int, reason: str, *, planned: bool = False) -> None:
        plan = self.links.get(conn)
        if plan is not None and conn in self.up_ns:
            self.outbox.append(Reconnect(venue=self.venue, conn=conn, url=plan.url, reason=reason, planned=planned))

    def _closing_soon(self, _: ClosingSoon, frame: Frame, events: list[Any]) -> None:
        self._reconnect(frame.conn, GapKind.SERVER_SHUTDOWN_NOTICE, planned=True)

    def _rotation_due(self, conn: str, frame: Frame, events: list[Any]) -> None:
        opened_ns = self.up_ns.get(int(conn))
        plan = self.links.get(int(conn))
        if opened_ns is None or frame.recv_ns - opened_ns < int(self.codec.limits.lifetime_s * ROTATE_AT * S):
            return
        if plan is not None and plan.prelude is not None:
            self._enter(plan, frame.recv_ns)  # an open socket moves to where it is told to be opened
        else:
            self._reconnect(int(conn), "planned", planned=True)

    # -- messages ------------------------------------------------------------------------------------------------------

    def _messages(self, frame: Frame, events: list[Any]) -> None:
        try:
            messages = self.codec.decode(frame)
        except CodecError as error:
            self._refused(error, frame, events)
            return
        for message in messages:
            kind = type(message)
            if kind is not Answer:
                self._heard_ns[frame.conn] = frame.recv_ns
            self._by_message[kind](message, frame, events)

    def _refused(self, error: CodecError, frame: Frame, events: list[Any]) -> None:
        lane = self.lanes.get(error.symbol)
        symbol = lane.instrument.symbol if lane else error.symbol
        events.append(
            Notice(
                venue=self.venue,
                what="parse_error",
                recv_ns=frame.recv_ns,
                channel=error.channel or frame.kind,
                instrument=symbol,
                detail=str(error),
            )
        )
        if frame.kind == "http" and lane is not None:
            self._attempt_failed(lane, GapKind.SNAPSHOT_FAILED, frame, events)
            return
        # Whose frame it was decides whose book is in doubt; unknown, and it may be any book of the socket.
        for doubtful in [lane] if lane else [one for one in self.lanes.values() if one.conn == frame.conn]:
            self._lose(doubtful, GapKind.PARSE_ERROR, error.why, frame, events)
            doubtful.sync.begin()
            self._prepare(doubtful, frame.recv_ns)

    def _diff(self, diff: Diff, frame: Frame, events: list[Any]) -> None:
        lane = self.lanes.get(diff.symbol)
        if lane is None:
            lane = self._lane(diff.symbol, frame)
            if lane is None:
                return
        if self._unchained:
            self._shadow_chain(lane, diff, frame, events)
        outcome = lane.sync.diff(diff, frame.recv_ns)
        if outcome == sync.APPLIED:
            if not (diff.checked or self._summed) or self._checksum_holds(lane, diff, frame, events):
                self._changed(lane, diff.event_ns, diff.last_id, frame, events)
            return
        if lane.stale:
            self._told_stream(lane, "live", frame, events)
        if outcome == sync.BUFFERED:
            self._want_image(lane, frame.recv_ns)
        elif outcome != sync.IGNORED:
            if outcome in BROKEN_CHAIN and lane.valid:
                self._chain_broke(lane, frame, events)
            self._lose(lane, LOSSES[outcome], f"{diff.first_id}..{diff.last_id}", frame, events)
            self._prepare(lane, frame.recv_ns)

    def _changed(self, lane: Lane, event_ns: int, seq: int, frame: Frame, events: list[Any]) -> None:
        events.append(
            BookChanged(
                venue=self.venue,
                instrument=lane.instrument.symbol,
                recv_ns=frame.recv_ns,
                event_ns=event_ns,
                book=lane.sync.book,
                book_seq=seq,
            )
        )

    def _print(self, message: Print, frame: Frame, events: list[Any]) -> None:
        lane = self._lane(message.symbol, frame)
        if lane is None:
            return
        # A venue may print one trade on several streams: the first stream heard is the one that counts.
        if not lane.trade_stream:
            lane.trade_stream = message.stream
        if lane.trade_stream != message.stream or 0 <= message.trade_id <= lane.trade_id:
            return
        instrument, recv_ns = lane.instrument.symbol, frame.recv_ns
        if self.codec.trades_count_up and 0 <= lane.trade_id < message.trade_id - 1:
            lost = f"{lane.trade_id + 1}..{message.trade_id - 1}"
            events.append(
                Notice(venue=self.venue, what="trade_gap", recv_ns=recv_ns, instrument=instrument, detail=lost)
            )
        lane.trade_id = message.trade_id
        if message.why_not:
            events.append(
                TradeIgnored(
                    venue=self.venue,
                    instrument=instrument,
                    recv_ns=recv_ns,
                    event_ns=message.event_ns,
                    why="history" if message.why_not == "history" else "not_market",
                )
            )
            return
        events.append(
            Trade(
                venue=self.venue,
                instrument=instrument,
                recv_ns=recv_ns,
                event_ns=message.event_ns,
                px=message.px,
                size=message.size,
                sign=message.sign,
                trade_id=message.trade_id,
            )
        )

    def _context(self, message: Context, frame: Frame, events: list[Any]) -> None:
        lane = self._lane(message.symbol, frame)
        if lane is not None:
            events.append(
                Mark(
                    venue=self.venue,
                    instrument=lane.instrument.symbol,
                    recv_ns=frame.recv_ns,
                    event_ns=message.event_ns,
                    mark=message.mark,
                    index=message.index,
                    funding_rate=message.funding_rate,
                    funding_interval_h=message.funding_interval_h,
                    next_funding_ns=message.next_funding_ns,
                    open_interest=message.open_interest,
                )
            )

    def _forced(self, message: Forced, frame: Frame, events: list[Any]) -> None:
        lane = self._lane(message.symbol, frame)
        if lane is not None:
            events.append(
                Liquidation(
                    venue=self.venue,
                    instrument=lane.instrument.symbol,
                    recv_ns=frame.recv_ns,
                    event_ns=message.event_ns,
                    px=message.px,
                    size=message.size,
                    sign=message.sign,
                )
            )

    def _answer(self, answer: Answer, frame: Frame, events: list[Any]) -> None:
        if answer.error:
            events.append(Notice(venue=self.venue, what="subscribe_error", recv_ns=frame.recv_ns, detail=answer.error))

    # -- the proof of a book -------------------------------------------------------------------------------------------

    def _prepare(self, lane: Lane, now_ns: int) -> None:
        """A book is being collected: ask for its image when due, with or without diffs before it."""
        # Diffs are worth waiting for only where they are kept until the image comes.
        patience_ns = PATIENCE_NS if self.codec.continuity.source is Source.REST else 0
        lane.patience_ns = max(lane.wanted_ns, now_ns) + patience_ns
        self._at(lane.patience_ns, "image", lane.instrument.venue_symbol)
        self._want_image(lane, now_ns)

    def _want_image(self, lane: Lane, now_ns: int) -> None:
        if lane.sync.state != sync.BUFFERING or lane.fetching_since_ns:
            return
        if lane.stale and self.codec.continuity.source is Source.REST:
            return  # a call would be answered all the same; what is missing is the stream
        patient = len(lane.sync.buffer) < self.codec.continuity.diffs_before_snapshot and now_ns < lane.patience_ns
        if patient or now_ns < lane.wanted_ns:
            return
        lane.fetching_since_ns = now_ns
        symbol = lane.instrument.venue_symbol
        if self.codec.continuity.source is Source.REST:
            self.outbox.append(self.codec.fetch_image(symbol))
        elif lane.conn in self.up_ns:
            again = self.codec.resubscribe(symbol)
            self.outbox.extend(Send(venue=self.venue, conn=lane.conn, data=text) for text in again)
        self._at(now_ns + IMAGE_TIMEOUT_NS, "image", lane.instrument.venue_symbol)

    def _image_due(self, symbol: str, frame: Frame, events: list[Any]) -> None:
        lane = self.lanes.get(symbol)
        if lane is None:
            return
        if lane.fetching_since_ns and frame.recv_ns - lane.fetching_since_ns >= IMAGE_TIMEOUT_NS:
            self._attempt_failed(lane, GapKind.SNAPSHOT_FAILED, frame, events)
        self._want_image(lane, frame.recv_ns)

    def _image(self, image: Image, frame: Frame, events: list[Any]) -> None:
        lane = self._lane(image.symbol, frame)
        if lane is None:
            return
        lane.fetching_since_ns = 0
        was_valid = lane.valid
        if self.codec.continuity.source is not Source.REST:
            lane.sync.heard(frame.recv_ns)
            if lane.stale:
                self._told_stream(lane, "live", frame, events)
        elif lane.stale:
            return  # an image that was under way when its stream fell silent proves nothing
        outcome = lane.sync.image(image)
        if outcome == sync.PROVEN:
            lane.heard_at_image = lane.sync.heard_count
            self.proofs.began(image.symbol)
        if outcome in (sync.PROVEN, sync.APPLIED) and not self._checksum_holds(lane, image, frame, events):
            return
        if outcome == sync.PROVEN and was_valid:
            self._replaced(lane, image.event_ns, frame, events)
        elif outcome == sync.PROVEN:
            self._proven(lane, image.event_ns, frame, events)
        elif outcome == sync.APPLIED:
            self._changed(lane, image.event_ns, image.last_id, frame, events)
        elif outcome == sync.STALE:
            self._attempt_failed(lane, GapKind.STALE_SNAPSHOT, frame, events)

    def _image_failed(self, failure: ImageFailed, frame: Frame, events: list[Any]) -> None:
        lane = self._lane(failure.symbol, frame)
        if lane is None:
            return
        events.append(
            Notice(
                venue=self.venue,
                what="rest_error",
                recv_ns=frame.recv_ns,
                instrument=lane.instrument.symbol,
                detail=failure.why,
            )
        )
        if failure.gone:
            self._lose(lane, GapKind.SYMBOL_GONE, failure.why, frame, events)
            lane.sync.idle()
        else:
            self._attempt_failed(lane, GapKind.SNAPSHOT_FAILED, frame, events)

    def _attempt_failed(self, lane: Lane, kind: GapKind, frame: Frame, events: list[Any]) -> None:
        if lane.valid:
            return
        lane.why = kind
        lane.failed(frame.recv_ns)
        self._ended(lane, kind, frame, events)
        self._at(lane.wanted_ns, "image", lane.instrument.venue_symbol)

    def _ended(self, lane: Lane, reason: str, frame: Frame, events: list[Any]) -> None:
        events.append(
            ResyncEnded(
                venue=self.venue,
                instrument=lane.instrument.symbol,
                recv_ns=frame.recv_ns,
                ok=not reason,
                reason=reason,
            )
        )

    def _proven(self, lane: Lane, event_ns: int, frame: Frame, events: list[Any]) -> None:
        lane.proven(frame.recv_ns)
        self._ended(lane, "", frame, events)
        events.append(
            BookValid(
                venue=self.venue,
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
                venue=self.venue,
                instrument=lane.instrument.symbol,
                recv_ns=frame.recv_ns,
                event_ns=event_ns,
                book=lane.sync.book,
                book_seq=lane.sync.last_id,
            )
        )

    def _checksum_holds(self, lane: Lane, message: Diff | Image, frame: Frame, events: list[Any]) -> bool:
        """Whether the book may stay, after this message is in it: its checksum fits, or is not to be trusted."""
        symbol = lane.instrument.venue_symbol
        if not message.checked:
            to_blame = type(message) is Diff and self.proofs.missing(symbol)
        elif self.codec.verify(message, lane.sync.book):
            self.proofs.held(symbol, frame.recv_ns)
            to_blame = False
        else:
            to_blame = self.proofs.failed(symbol, image=type(message) is Image)
        if to_blame:
            self._mismatch(lane, frame, events)
        self._tell_proofs(frame, events)
        return not to_blame

    def _tell_proofs(self, frame: Frame, events: list[Any]) -> None:
        """Say which proofs were lost or are back, and let the books go on by what stands."""
        self._summed = self.proofs.expects_checksum
        turns = self.proofs.turns
        while turns:
            turn = turns.pop(0)
            what = "proof_lost" if turn.lost else "proof_restored"
            events.append(
                Notice(venue=self.venue, what=what, recv_ns=frame.recv_ns, channel=turn.proof, detail=turn.reason)
            )
            in_vain = {CHECKSUM: (GapKind.CHECKSUM_MISMATCH,), SEQUENCE: CHAIN_KINDS}[turn.proof]
            self._unchained = SEQUENCE in self.proofs.lost and self._summed and self.codec.continuity.source is STREAM
            for lane in self.lanes.values():
                lane.sync.unchained = self._unchained or self.codec.continuity.chain is Chain.NONE
                if turn.lost and lane.why in in_vain and not lane.fetching_since_ns:
                    lane.forgive(frame.recv_ns)  # it was not the book's fault
                    self._prepare(lane, frame.recv_ns)

    def _chain_broke(self, lane: Lane, frame: Frame, events: list[Any]) -> None:
        at_once = lane.sync.heard_count - lane.heard_at_image <= 1
        others = [one for one in self.lanes.values() if one is not lane]
        live = any(one.valid and one.sync.heard_count - one.heard_at_image > 1 for one in others)
        self.proofs.broke(lane.instrument.venue_symbol, at_once=at_once, others=len(others), others_live=live)
        self._tell_proofs(frame, events)

    def _shadow_chain(self, lane: Lane, diff: Diff, frame: Frame, events: list[Any]) -> None:
        """While nobody asks the ids: whether they follow each other all the same."""
        if lane.valid and diff.last_id >= 0:
            by_previous = lane.sync.by_previous
            last_id = lane.sync.last_id
            if diff.prev_id == last_id if by_previous else diff.first_id == last_id + 1:
                self.proofs.followed(lane.instrument.venue_symbol, frame.recv_ns)
            else:
                self.proofs.broke(lane.instrument.venue_symbol, at_once=False, others=0, others_live=False)
            self._tell_proofs(frame, events)

    def _mismatch(self, lane: Lane, frame: Frame, events: list[Any]) -> None:
        """The venue's checksum says that this is not its book."""
        if not lane.valid:
            self._ended(lane, GapKind.CHECKSUM_MISMATCH, frame, events)
        self._lose(lane, GapKind.CHECKSUM_MISMATCH, "", frame, events)
        lane.sync.begin()
        self._prepare(lane, frame.recv_ns)

    def _lose(self, lane: Lane, kind: GapKind, detail: str, frame: Frame, events: list[Any]) -> None:
        """Say that the book is lost (once), and put it on the account."""
        if lane.valid:
            events.append(
                BookInvalid(
                    venue=self.venue,
                    instrument=lane.instrument.symbol,
                    recv_ns=frame.recv_ns,
                    reason=kind,
                    detail=detail,
                )
            )
        elif lane.fetching_since_ns:
            self._ended(lane, kind, frame, events)
        lane.lost(kind, frame.recv_ns)

    def _gone(self, message: Gone, frame: Frame, events: list[Any]) -> None:
        lane = self._lane(message.symbol, frame)
        if lane is not None:
            self._lose(lane, GapKind.SEQUENCE_RESET, message.why, frame, events)
            lane.sync.begin()
            self._prepare(lane, frame.recv_ns)

    def _socket_gap(self, message: SocketGap, frame: Frame, events: list[Any]) -> None:
        """Whose message is missing nobody knows: every book of the socket is in doubt, and only a new one proves
        them.
        """
        for lane in self.lanes.values():
            if lane.conn == frame.conn:
                self._lose(lane, GapKind.CONNECTION_WIDE_GAP, message.detail, frame, events)
                lane.sync.begin()
        self._reconnect(frame.conn, GapKind.CONNECTION_WIDE_GAP)

    def _reply(self, message: Reply, frame: Frame, events: list[Any]) -> None:
        self.outbox.append(Send(venue=self.venue, conn=frame.conn, data=message.text))

    def _ping_due(self, conn: str, frame: Frame, events: list[Any]) -> None:
        # A timer of an earlier opening of this socket rings too soon: the present one has its own.
        if self.codec.keepalive is not None and int(conn) in self.up_ns and frame.recv_ns >= self._ping_ns[int(conn)]:
            self.outbox.append(Send(venue=self.venue, conn=int(conn), data=self.codec.keepalive.text))
            self._ping_at(int(conn), frame.recv_ns)

    def _ping_at(self, conn: int, now_ns: int) -> None:
        if self.codec.keepalive is not None:
            self._ping_ns[conn] = now_ns + int(self.codec.keepalive.every_s * S)
            self._at(self._ping_ns[conn], "ping", str(conn))

    def _resync(self, frame: Frame, events: list[Any]) -> None:
        lane = self.lane_of(frame.data.decode(errors="replace"))
        if lane is not None and lane.conn in self.up_ns:
            self._lose(lane, GapKind.REQUESTED, "", frame, events)
            lane.sync.begin()
            self._prepare(lane, frame.recv_ns)

    # -- timers and silence --------------------------------------------------------------------------------------------

    def _at(self, at_ns: int, what: str, arg: str) -> None:
        heapq.heappush(self._timers, (at_ns, what, arg))
        self._wake()

    def _wake(self) -> None:
        """One wake-up is always ordered for the earliest timer."""
        if self._timers and self._timers[0][0] != self._wake_ns:
            self._wake_ns = self._timers[0][0]
            self.outbox.append(Wake(venue=self.venue, at_ns=self._wake_ns))

    def _woken(self, frame: Frame, events: list[Any]) -> None:
        while self._timers and self._timers[0][0] <= frame.recv_ns:
            _, what, arg = heapq.heappop(self._timers)
            self._by_timer[what](arg, frame, events)
        self._wake_ns = 0
        self._wake()

    def _first_data_due(self, conn: str, frame: Frame, events: list[Any]) -> None:
        plan = self.links.get(int(conn))
        opened_ns = self.up_ns.get(int(conn))
        if plan is None or opened_ns is None or frame.recv_ns - opened_ns < FIRST_DATA_NS:
            return
        for symbol in plan.books:
            lane = self.lanes[symbol]
            if lane.sync.heard_ns == 0 and not lane.stale:
                self._quiet(lane, GapKind.SILENT_SUBSCRIPTION, frame, events)
        if plan.conn not in self._heard_ns:
            self._reconnect(plan.conn, GapKind.SILENT_SUBSCRIPTION)

    def _watch(self, _: str, frame: Frame, events: list[Any]) -> None:
        """Once a second: which streams have gone quiet, and is any socket left with nothing but quiet ones."""
        quiet: dict[int, bool] = {}
        for lane in self.lanes.values():
            heard_ns = lane.sync.heard_ns
            if heard_ns and not lane.stale and frame.recv_ns - heard_ns > lane.stale_after_ns():
                self._quiet(lane, GapKind.STALE_STREAM, frame, events)
            quiet[lane.conn] = quiet.get(lane.conn, True) and lane.stale
            if lane.valid and not lane.sync.unchained and frame.recv_ns - lane.since_ns >= BACK_NS:
                self.proofs.lives()
        for conn, all_quiet in quiet.items():
            heard_ns = self._heard_ns.get(conn, frame.recv_ns)
            if all_quiet and frame.recv_ns - heard_ns > int(self.codec.limits.peer_silence_s * S):
                self._heard_ns[conn] = frame.recv_ns
                self._reconnect(conn, GapKind.STALE_STREAM)
        self._tell_proofs(frame, events)
        self._at(frame.recv_ns + WATCH_EVERY_NS, "watch", "")

    def _quiet(self, lane: Lane, kind: GapKind, frame: Frame, events: list[Any]) -> None:
        """A stream says nothing: its book is not trusted, and no image alone makes it so again (``_want_image``)."""
        self._told_stream(lane, "silent" if kind is GapKind.SILENT_SUBSCRIPTION else "stale", frame, events)
        self._lose(lane, kind, "", frame, events)
        lane.sync.begin()
        self._prepare(lane, frame.recv_ns)

    def _told_stream(self, lane: Lane, state: Any, frame: Frame, events: list[Any]) -> None:
        lane.stale = state != "live"
        events.append(
            StreamState(
                venue=self.venue,
                channel="book",
                instrument=lane.instrument.symbol,
                recv_ns=frame.recv_ns,
                state=state,
            )
        )
