"""Which streams have gone quiet: once a second every stream is judged by its own past (``streams.py``).

=================  ===================================================================  ==============================
what               is said when                                                         and then
=================  ===================================================================  ==============================
``silent``         a book has not spoken in ``FIRST_DATA_NS`` after its subscription    the book is lost
                   marks and funding, where the venue pushes them, not in
                   ``FIRST_CONTEXT_NS``
                   no symbol of the venue had a trade in ``FIRST_TRADE_NS``, though
                   its books had ``LIVELY`` messages meanwhile
``stale``          a stream has stopped for longer than its past explains               a book is lost
``stale``          a stream has thinned out: far fewer messages than ever before, while  only said: ids or checksum
                   something else of the venue goes on as usual                         still prove the book
``live``           it speaks again
=================  ===================================================================  ==============================

A socket on which every book is quiet is opened again. What other venues say of the same asset is judged in
``crosscheck.py``, which sees them all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imbalanced import timers
from imbalanced.events import GapKind
from imbalanced.proofs import BACK_NS
from imbalanced.states import TRUSTED, Cause
from imbalanced.streams import ALONE, BOOK, CONTEXT, HOUR, SPAN, STEP_NS, TRADES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from imbalanced.books import Books
    from imbalanced.events import Frame
    from imbalanced.lane import Lane
    from imbalanced.links import Links
    from imbalanced.streams import Stream, StreamWord

S = 1_000_000_000

FIRST_DATA_NS, FIRST_CONTEXT_NS, FIRST_TRADE_NS = 20 * S, 60 * S, 300 * S
LIVELY = 10_000
# What a venue that pushes marks, funding or open interest says that it provides.
CONTEXT_WORDS = frozenset({"funding", "oi", "mark"})
SPAN_S = SPAN * STEP_NS // S


class Watch:
    """``provides``: what the venue's streams tell, in the words of a metric's ``inputs``."""

    def __init__(self, books: Books, links: Links, clock: timers.Timers, provides: Iterable[str]) -> None:
        self._books = books
        self._links = links
        self._timers = clock
        self._pushes_context = not CONTEXT_WORDS.isdisjoint(provides)
        self._up_ns = 0
        self._books_heard = 0

    def opened(self, now_ns: int) -> None:
        """A socket is open: first data is due some time after the last of them."""
        self._up_ns = now_ns
        self._books_heard = sum(lane.sync.heard_count for lane in self._books.lanes.values())

    # -- first data ----------------------------------------------------------------------------------------------------

    def first_data_due(self, conn: int, frame: Frame, events: list[Any]) -> None:
        """The books of a socket should have spoken by now."""
        plan, opened_ns = self._links.plans.get(conn), self._links.up_ns.get(conn)
        if plan is None or opened_ns is None or frame.recv_ns - opened_ns < FIRST_DATA_NS:
            return
        for symbol in plan.books:
            lane = self._books.lanes[symbol]
            if lane.conn != conn or not lane.wanted or lane.sync.heard_ns or lane.stale:
                continue
            due_ns = lane.opened_ns + FIRST_DATA_NS
            if frame.recv_ns < due_ns:  # it came over from another socket since
                self._timers.at(due_ns, "first", str(conn))
            else:
                self.quiet(lane, GapKind.SILENT_SUBSCRIPTION, "acknowledged, but no data", frame, events)
        if conn not in self._links.heard_ns:
            self._links.reconnect(conn, GapKind.SILENT_SUBSCRIPTION)

    def _first_context(self, lane: Lane, frame: Frame, events: list[Any]) -> None:
        # What has a settlement currency is a contract, and has a mark.
        waited = frame.recv_ns - self._up_ns
        if self._pushes_context and ":" in lane.instrument.symbol and waited >= FIRST_CONTEXT_NS:
            events += lane.tell(CONTEXT, "silent", f"no data in {FIRST_CONTEXT_NS // S} s", frame.recv_ns)

    def _first_trade(self, frame: Frame, events: list[Any]) -> None:
        """Nobody can say of one symbol that it should have traded; of all together their books can."""
        lanes = [lane for lane in self._books.lanes.values() if lane.wanted]
        if any(lane.trades.count for lane in lanes) or frame.recv_ns - self._up_ns < FIRST_TRADE_NS:
            return
        heard = sum(lane.sync.heard_count for lane in lanes) - self._books_heard
        if heard >= LIVELY:
            for lane in lanes:
                if not lane.trades.state:
                    why = f"no trade of any symbol in {FIRST_TRADE_NS // S} s, {heard} book messages"
                    events += lane.tell(TRADES, "silent", why, frame.recv_ns)

    # -- once a second -------------------------------------------------------------------------------------------------

    def due(self, frame: Frame, events: list[Any]) -> None:
        """Look at every stream."""
        quiet: dict[int, bool] = {}
        planned = bool(self._links.plans) and len(self._links.up_ns) >= len(self._links.plans)
        for lane in self._books.lanes.values():
            if not lane.wanted:
                continue
            self._look(lane, frame, events)
            self._books.refresh(lane, frame.recv_ns)
            quiet[lane.conn] = quiet.get(lane.conn, True) and lane.stale
            if planned and not lane.context.count and not lane.context.state:
                self._first_context(lane, frame, events)
        if planned:
            self._first_trade(frame, events)
        self._rates(frame, events)
        for conn, all_quiet in quiet.items():
            heard_ns = self._links.heard_ns.get(conn, frame.recv_ns)
            if all_quiet and frame.recv_ns - heard_ns > int(self._books.codec.limits.peer_silence_s * S):
                self._links.heard_ns[conn] = frame.recv_ns
                self._links.reconnect(conn, GapKind.STALE_STREAM)
        self._books.tell_proofs(frame, events)
        self._timers.at(frame.recv_ns + timers.WATCH_EVERY_NS, "watch")

    def _look(self, lane: Lane, frame: Frame, events: list[Any]) -> None:
        now_ns, heard_ns = frame.recv_ns, lane.sync.heard_ns
        late_ns = now_ns - heard_ns if heard_ns else 0
        limit_ns = lane.stale_after_ns()
        if late_ns and not lane.stale and late_ns > limit_ns:
            self.quiet(lane, GapKind.STALE_STREAM, f"no data in {late_ns // S} s", frame, events)
        if lane.state in TRUSTED:
            doubtful = lane.sync.crossed_since_ns > 0 or late_ns > limit_ns // 2
            lane.enter(Cause.DOUBTED if doubtful else Cause.CLEARED)
        if lane.valid and not lane.sync.unchained and now_ns - lane.since_ns >= BACK_NS:
            self._books.proofs.lives()
        for stream in (lane.trades, lane.context):
            stream.look(now_ns)
            if stream.state != "silent" and stream.overdue(now_ns):
                why = f"no data in {(now_ns - stream.heard_ns) // S} s, usual are {stream.interval_ns / S:.3g} s"
                if stream.state != "stale":
                    events += lane.tell(stream.channel, "stale", why, frame.recv_ns)

    # -- rates ---------------------------------------------------------------------------------------------------------

    def _rates(self, frame: Frame, events: list[Any]) -> None:
        lanes = [lane for lane in self._books.lanes.values() if lane.wanted]
        ended = []
        for lane in lanes:
            ended += [(lane, one) for one in lane.seen().values() if one.rate.step(one.count, frame.recv_ns)]
        for lane, stream in ended:
            rate = stream.rate
            if rate.thin:
                forgotten = frame.recv_ns - stream.since_ns > HOUR * STEP_NS
                if rate.recovered() or forgotten:
                    if forgotten:
                        rate.forget()
                    rate.thin = False
                    if not (stream is lane.book and lane.stale):
                        events += lane.tell(stream.channel, "live", "", frame.recv_ns)
            elif rate.thinned() and stream.state != "stale" and self._others_go_on(lane, stream, lanes):
                rate.thin = True
                why = f"{rate.recent} messages in {SPAN_S} s, never below {rate.lowest} before"
                events += lane.tell(stream.channel, "stale", why, frame.recv_ns)

    @staticmethod
    def _others_go_on(lane: Lane, stream: Stream, lanes: list[Lane]) -> bool:
        """Whether it is this stream and not the market that has gone quiet."""
        peers = [one for one in lane.streams.values() if one is not stream]
        peers += [one.streams[stream.channel] for one in lanes if one is not lane]
        known = [one for one in peers if one.rate.age and one.count]
        return any(one.rate.steady() for one in known) or (not known and stream.rate.age >= ALONE)

    # -- what follows --------------------------------------------------------------------------------------------------

    def quiet(self, lane: Lane, kind: GapKind, why: str, frame: Frame, events: list[Any]) -> None:
        """The stream of a book says nothing: it is not trusted, and no image alone makes it so again."""
        lane.stale = True
        word: StreamWord = "silent" if kind is GapKind.SILENT_SUBSCRIPTION else "stale"
        events += lane.tell(BOOK, word, why, frame.recv_ns)
        self._books.again(lane, kind, why, frame, events)

    @staticmethod
    def spoke(lane: Lane, stream: Stream, frame: Frame, events: list[Any]) -> None:
        """A stream of which something was told has spoken."""
        if stream.state in ("silent", "stale") and not stream.rate.thin:
            events += lane.tell(stream.channel, "live", "", frame.recv_ns)
