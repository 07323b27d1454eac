"""The brain of one venue: its codec, its books and their proofs, what it says and when.

Frames go in (``receive``), trusted events come out, and what the world must do goes to ``outbox`` as commands. It opens
nothing, waits for nothing and reads no clock: time is ``frame.recv_ns``, a timer is a command (``Wake``) whose firing
comes back as a frame, and a REST answer is a frame too. So the same frames give the same events, live or replayed.

The rooms: ``links.py`` (sockets), ``books.py`` (a book lost and found), ``proofs.py`` (proofs that rot), ``watch.py``
(silence), ``missed.py`` (trades that are asked for again), ``rotation.py`` (one socket takes over from another),
``rulings.py`` (refusals, halts, symbols that are gone). Here frames and messages are led to them.

A book is in one of these states, and goes from one to the next as ``states.py`` says::

    IDLE        opening -> CONNECTING; opened -> SUBSCRIBING; heard -> BUFFERING; proven -> LIVE; halt -> HALTED
                  gone -> CLOSED
    CONNECTING  opened -> SUBSCRIBING; heard -> BUFFERING; proven -> LIVE; halt -> HALTED; gone -> CLOSED
    SUBSCRIBING acknowledged -> ACKED; heard -> BUFFERING; proven -> LIVE; lost -> RESYNCING; cut -> CONNECTING
                  halt -> HALTED; gone -> CLOSED
    ACKED       heard -> BUFFERING; proven -> LIVE; lost -> RESYNCING; cut -> CONNECTING; halt -> HALTED; gone -> CLOSED
    BUFFERING   proven -> LIVE; lost -> RESYNCING; cut -> CONNECTING; halt -> HALTED; gone -> CLOSED
    LIVE        doubted -> SUSPECT; lost -> RESYNCING; cut -> CONNECTING; halt -> HALTED; gone -> CLOSED
    SUSPECT     cleared -> LIVE; lost -> RESYNCING; cut -> CONNECTING; halt -> HALTED; gone -> CLOSED
    RESYNCING   proven -> LIVE; cut -> CONNECTING; halt -> HALTED; gone -> CLOSED
    HALTED      opened -> SUBSCRIBING; cut -> CONNECTING; resumed -> RESYNCING; gone -> CLOSED
    CLOSED      nowhere

    opening       its socket is being opened
    opened        the socket is open and the request is sent
    acknowledged  the venue has accepted the request, which proves nothing
    heard         data came, but no proof yet
    proven        a whole image is in, by the venue's own rule
    doubted       crossed within its grace, or the stream is late
    cleared       neither any more
    lost          the proof is broken, or nothing came: it is proven anew
    cut           the socket is gone and will be opened again
    halt          the venue says that it does not trade: nothing is asked
    resumed       the venue says that it trades again
    gone          the venue does not have it any more

How a book is lost and found again, smallest scope first::

    diff breaks the chain, parse error, crossed, stale stream, operator's request  -> that symbol
    socket closed, a hole in a socket's own counter                                -> the symbols of that socket
    a proof fails for every symbol at once                                         -> that proof, and no symbol
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from imbalanced import timers, watch
from imbalanced.books import LISTED, Books
from imbalanced.events import (
    GapKind,
    Instrument,
    LinkDown,
    LinkUp,
    Liquidation,
    Mark,
    Trade,
    TradeIgnored,
)
from imbalanced.links import Links
from imbalanced.missed import Missed
from imbalanced.rotation import Rotation
from imbalanced.rulings import Rulings
from imbalanced.states import Cause, State
from imbalanced.timers import Timers
from imbalanced.venues.codec import (
    Answer,
    ClosingSoon,
    CodecError,
    Context,
    Door,
    Forced,
    Gone,
    Image,
    ImageFailed,
    LastTrade,
    Listing,
    Print,
    Reply,
    SocketGap,
    Trading,
)
from imbalanced.venues.diff import Diff
from imbalanced.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from imbalanced.events import Frame
    from imbalanced.lane import Lane
    from imbalanced.proofs import Proofs
    from imbalanced.venues.codec import Codec, Command, LinkPlan

# Behind here times are C integers of 64 bits: what a venue writes beyond that (the year 2262) is none. Nor is one that
# is a day further ahead of our clock than the first was: it would carry its windows into the future for good.
NO_TIME_NS = 1 << 63
DAY_NS = 24 * 3600 * 10**9
UNKNOWN_NS = -NO_TIME_NS


class Session:
    """One venue's links and books. ``discover``: take symbols from the frames (a recording without a listing);
    ``wanted``: until there is a listing, take what this makes of those found; ``provides``: what the venue's streams
    tell, in the words of a metric's ``inputs``; ``outbox``: where commands go.
    """

    def __init__(
        self,
        codec: Codec,
        *,
        discover: bool = False,
        wanted: Callable[[Instrument], Instrument | None] | None = None,
        provides: Iterable[str] = (),
        outbox: list[Command] | None = None,
    ) -> None:
        self.codec = codec
        self.venue = codec.venue
        self.outbox: list[Command] = [] if outbox is None else outbox
        self.timers = Timers(self.venue, self.outbox)
        self._links = Links(codec, self.outbox, self.timers)
        self._heard_ns = self._links.heard_ns
        self._ahead_ns = UNKNOWN_NS  # at most so far ahead of ours are the venue's times
        self._until_listed = wanted is not None and not discover
        self.books = Books(
            codec,
            self.outbox,
            self.timers,
            self._links,
            discover=discover or self._until_listed,
            wanted=None if discover else wanted,
        )
        self.lanes = self.books.lanes
        self.watch = Watch(self.books, self._links, self.timers, provides)
        self.missed = Missed(self.books, self._links)
        self.rulings = Rulings(self.books, self._links, self.missed)
        self.rotation = Rotation(self.books, self._links, self.timers)
        self._rotating = self.rotation.active
        self._by_kind: dict[str, Callable[[Frame, list[Any]], None]] = {
            "http": self._messages,
            "open": self._opened,
            "close": self._closed,
            "wake": self._woken,
            "instruments": self._instruments,
            "resync": self._resync,
        }
        self._diff = self.books.diff
        self._by_message: dict[type, Callable[[Any, Frame, list[Any]], None]] = {
            Diff: self._diff,
            Print: self._print,
            LastTrade: self._last_trade,
            Image: self.books.image,
            ImageFailed: self.rulings.image_failed,
            Reply: self._reply,
            Door: self._door,
            SocketGap: self._socket_gap,
            Gone: self.books.gone,
            Context: self._context,
            Forced: self._forced,
            Answer: self.rulings.answer,
            Trading: self.rulings.trading,
            ClosingSoon: self._closing_soon,
            Listing: self._listing,
        }
        self._by_timer: dict[str, Callable[[str, Frame, list[Any]], None]] = {
            "image": self.books.image_due,
            "first": lambda conn, frame, events: self.watch.first_data_due(int(conn), frame, events),
            "rotate": lambda conn, frame, _: self.rotation.due(int(conn), frame.recv_ns),
            "handover": lambda conn, frame, events: self.rotation.look(int(conn), frame, events),
            "watch": lambda _, frame, events: self._watched(frame, events),
            "ping": lambda conn, frame, _: self._links.ping_due(int(conn), frame.recv_ns),
            "door": lambda conn, frame, _: self._links.door_due(int(conn), frame.recv_ns),
        }

    def receive(self, frame: Frame) -> list[Any]:
        """What this frame makes true, in order. Commands that follow from it are in ``outbox``."""
        events: list[Any] = []
        if frame.kind == "ws":  # nearly all
            self._messages(frame, events)
            return events
        handler = self._by_kind.get(frame.kind)
        if handler is not None:
            handler(frame, events)
        return events

    def lane_of(self, instrument: str) -> Lane | None:
        """The lane of a unified symbol."""
        return self.books.by_symbol.get(instrument)

    @property
    def links(self) -> dict[int, LinkPlan]:
        """The sockets of this venue by number."""
        return self._links.plans

    @property
    def up_ns(self) -> dict[int, int]:
        """Since when each open socket is open."""
        return self._links.up_ns

    @property
    def proofs(self) -> Proofs:
        """How far the venue's proofs are trusted."""
        return self.books.proofs

    # -- instruments and links -----------------------------------------------------------------------------------------

    def _instruments(self, frame: Frame, events: list[Any]) -> None:
        """The list of what is wanted, at the beginning and whenever it was read again."""
        instruments = msgspec.json.decode(frame.data, type=list[Instrument])
        listed = {one.venue_symbol: one for one in instruments}
        begins = not self.links
        if self._until_listed:
            self.books.discover = False
        for symbol, lane in self.lanes.items():
            if symbol not in listed:
                self.rulings.close(lane, "not listed any more", frame, events)
            elif listed[symbol].active:
                self.rulings.resume(lane, LISTED, frame)
            else:
                self.rulings.halt(lane, LISTED, "listed as not trading", frame, events)
        new = [one for symbol, one in listed.items() if one.active and symbol not in self.lanes]
        for one in new:
            self.books.add(one)
        self._enter(new, frame.recv_ns)
        if begins:
            self.timers.at(frame.recv_ns + timers.WATCH_EVERY_NS, "watch")

    def _enter(self, instruments: Sequence[Instrument], now_ns: int) -> None:
        for plan in self._links.plan(instruments) if instruments else ():
            for symbol in plan.books:
                self.lanes[symbol].conn = plan.conn
                self.lanes[symbol].enter(Cause.OPENING)
            self._links.enter(plan, now_ns)

    def _listing(self, listing: Listing, frame: Frame, events: list[Any]) -> None:
        if self.books.discover:
            for instrument in listing.instruments:
                self.books.listed[instrument.venue_symbol] = instrument
                self.codec.know(instrument)

    def _opened(self, frame: Frame, events: list[Any]) -> None:
        conn, now_ns = frame.conn, frame.recv_ns
        self.codec.opened(conn)
        events.append(LinkUp(venue=self.venue, conn=conn, recv_ns=now_ns))
        plan = self._links.opened(conn, frame.url, now_ns)
        if plan is None:
            return
        if not self.rotation.opened(conn, frame, events):
            for symbol in plan.books:
                self.books.opened(self.lanes[symbol], conn, frame, events)
        self.missed.opened(plan.books)
        self.watch.opened(now_ns)
        self.timers.at(now_ns + watch.FIRST_DATA_NS, "first", str(conn))
        self.timers.at(now_ns + self.rotation.lifetime_ns(conn), "rotate", str(conn))

    def _watched(self, frame: Frame, events: list[Any]) -> None:
        self.watch.due(frame, events)
        self.missed.due(frame.recv_ns)

    def _closed(self, frame: Frame, events: list[Any]) -> None:
        reason = frame.data.decode(errors="replace")
        if self._links.closed(frame.conn, frame.recv_ns):
            events.append(LinkDown(venue=self.venue, conn=frame.conn, recv_ns=frame.recv_ns, reason=reason))
        if self._rotating:
            self.rotation.closed(frame.conn, reason, frame, events)
        for lane in self.books.of(frame.conn):
            if lane.state is not State.CLOSED:
                self.books.rest(lane, GapKind.SOCKET_CLOSED, reason, frame, events)

    def _door(self, door: Door, frame: Frame, events: list[Any]) -> None:
        self._links.door(door.url)

    def _closing_soon(self, _: ClosingSoon, frame: Frame, events: list[Any]) -> None:
        self.rotation.begin(frame.conn, frame.recv_ns)

    def _socket_gap(self, message: SocketGap, frame: Frame, events: list[Any]) -> None:
        """Whose message is missing nobody knows: every book of the socket is in doubt, and only a new one proves
        them.
        """
        for lane in self.books.of(frame.conn):
            if lane.wanted:
                self.books.lose(lane, GapKind.CONNECTION_WIDE_GAP, message.detail, frame, events)
                lane.sync.begin()
        self.rotation.gap(frame.conn)
        self._links.reconnect(frame.conn, GapKind.CONNECTION_WIDE_GAP)

    def _reply(self, message: Reply, frame: Frame, events: list[Any]) -> None:
        self._links.send(frame.conn, (message.text,))

    def _resync(self, frame: Frame, events: list[Any]) -> None:
        lane = self.lane_of(frame.data.decode(errors="replace"))
        if lane is not None and lane.conn in self.up_ns and lane.wanted:
            self.books.again(lane, GapKind.REQUESTED, "", frame, events)

    def _woken(self, frame: Frame, events: list[Any]) -> None:
        for what, arg in self.timers.due(frame.recv_ns):
            self._by_timer[what](arg, frame, events)

    # -- messages ------------------------------------------------------------------------------------------------------

    def _messages(self, frame: Frame, events: list[Any]) -> None:
        try:
            messages = self.codec.decode(frame)
        except CodecError as error:
            self._refused(error, frame, events)
            return
        rotating = self._rotating and frame.conn in self._rotating
        for message in messages:
            if type(message) is Diff and not rotating and message.event_ns - frame.recv_ns < self._ahead_ns:
                # Nearly all of them.
                self._heard_ns[frame.conn] = frame.recv_ns
                self._diff(message, frame, events)
                continue
            kind = type(message)
            why = self._no_time(getattr(message, "event_ns", 0), frame.recv_ns)
            if why:
                symbol = getattr(message, "symbol", "")
                self._refused(CodecError(f"{kind.__name__}: {why}", frame.data, symbol=symbol), frame, events)
                continue
            if kind is not Answer:
                self._heard_ns[frame.conn] = frame.recv_ns
            if rotating and self.rotation.takes(message, frame, events):
                continue
            self._by_message[kind](message, frame, events)

    def _no_time(self, event_ns: int, recv_ns: int) -> str:
        """Why this is no time; empty if it is one, or none is given."""
        if event_ns >= NO_TIME_NS:
            return "its time is beyond the year 2262"
        if event_ns and self._ahead_ns == UNKNOWN_NS:
            self._ahead_ns = max(event_ns - recv_ns, 0) + DAY_NS  # the first may be history
        if event_ns and event_ns - recv_ns >= self._ahead_ns:
            return "its time is a day ahead of all before"
        return ""

    def _refused(self, error: CodecError, frame: Frame, events: list[Any]) -> None:
        lane = self.lanes.get(error.symbol)
        symbol = lane.instrument.symbol if lane else error.symbol
        channel = error.channel or frame.kind
        self.books.notice("parse_error", str(error), frame, events, channel=channel, instrument=symbol)
        if frame.kind == "http" and lane is not None:
            self.books.attempt_failed(lane, GapKind.SNAPSHOT_FAILED, frame, events)
            return
        # Whose frame it was decides whose book is in doubt; unknown, and it may be any book of the socket.
        doubtful = [lane] if lane else self.books.of(frame.conn)
        if frame.conn in self._rotating:  # of two sockets, only what is built on this one
            self.rotation.doubt(frame.conn, error.symbol if lane else "", frame.recv_ns)
            doubtful = [one for one in doubtful if one.conn == frame.conn]
        for one in doubtful:
            if one.wanted:
                self.books.again(one, GapKind.PARSE_ERROR, error.why, frame, events)

    def _print(self, message: Print, frame: Frame, events: list[Any]) -> None:
        lane = self.lanes.get(message.symbol) or self.books.find(message.symbol, frame)
        if lane is None:
            return
        # A venue may print one trade on several streams: the first stream heard is the one that counts.
        if not lane.trade_stream:
            lane.trade_stream = message.stream
        if lane.trade_stream != message.stream:
            return
        trade_id = message.trade_id
        if self._rotating:
            if not self.rotation.first(lane, message, frame.conn):
                return
            trade_id = max(trade_id, lane.trade_id)
        elif 0 <= trade_id <= lane.trade_id:
            return
        elif self.codec.trades_count_up and 0 <= lane.trade_id < trade_id - 1:
            self._trades_lost(lane, trade_id - 1, frame, events)
        lane.trade_id = trade_id
        if message.why_not == "history":
            events.append(_ignored(lane, message, frame, "history"))
            return
        stream = lane.trades
        stream.heard(frame.recv_ns)
        if stream.state:
            self.watch.spoke(lane, stream, frame, events)
        if message.why_not:
            events.append(_ignored(lane, message, frame, "not_market"))
            return
        events.append(
            Trade(
                venue=self.venue,
                instrument=lane.instrument.symbol,
                recv_ns=frame.recv_ns,
                event_ns=message.event_ns,
                px=message.px,
                size=message.size,
                sign=message.sign,
                trade_id=message.trade_id,
            )
        )

    def _last_trade(self, message: LastTrade, frame: Frame, events: list[Any]) -> None:
        """What was said the last time must have been printed by now; what is said this time may still be under way."""
        lane = self.books.find(message.symbol, frame)
        if lane is None:
            return
        told, lane.last_trade_told = lane.last_trade_told, message.trade_id
        if lane.trade_id >= told:
            return
        if lane.trade_id >= 0:
            self._trades_lost(lane, told, frame, events)
        lane.trade_id = told

    def _trades_lost(self, lane: Lane, last: int, frame: Frame, events: list[Any]) -> None:
        lost = f"{lane.trade_id + 1}..{last}"
        self.books.notice("trade_gap", lost, frame, events, instrument=lane.instrument.symbol)

    def _context(self, message: Context, frame: Frame, events: list[Any]) -> None:
        lane = self.books.find(message.symbol, frame)
        if lane is not None:
            lane.context.heard(frame.recv_ns)
            if lane.context.state:
                self.watch.spoke(lane, lane.context, frame, events)
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
        lane = self.books.find(message.symbol, frame)
        if lane is None or (self._rotating and not self.rotation.first(lane, message, frame.conn)):
            return
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


def _ignored(lane: Lane, message: Print, frame: Frame, why: Any) -> TradeIgnored:
    return TradeIgnored(
        venue=lane.instrument.venue,
        instrument=lane.instrument.symbol,
        recv_ns=frame.recv_ns,
        event_ns=message.event_ns,
        why=why,
    )
