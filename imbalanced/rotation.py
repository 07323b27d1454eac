"""A socket that hands its streams over to the next one: made before break, so that no book is lost.

::

    the venue's lifetime is nearly over, or it says that it will close -> open a twin with a number of its own
    books whose image comes by REST   go over as soon as a diff of the twin joins the live book by its ids
    all other books                   are built beside the live one; go over when proven and not older
    an image that does not come       is asked for again
    trades of the overlap             count once each, by id or by content, whoever tells them first
    all are over, and some seconds    -> close the old one for good
    no book went over for a while     -> close the twin, try again later; if some went over: lose the rest, aloud
    the old one closes before that    -> the twin goes on; books that were not over are lost, as with any closed socket
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any
from zlib import crc32

from imbalanced import sync
from imbalanced.events import GapKind
from imbalanced.sync import BookSync
from imbalanced.venues.codec import Forced, Gone, Image, Print, Source
from imbalanced.venues.diff import Diff

if TYPE_CHECKING:
    from collections.abc import Callable

    from imbalanced.books import Books
    from imbalanced.events import Frame
    from imbalanced.lane import Lane
    from imbalanced.links import Links
    from imbalanced.timers import Timers

S = 1_000_000_000

# A socket is rotated at this share of the venue's own lifetime, before it is cut; or a little sooner, each at another
# time (by a hash of its number, not a die: the same frames must give the same commands).
ROTATE_AT, SOONER = 0.95, 0.05
# So long two sockets tell the same trades at least; so long a handover may make no progress; and then it is tried anew.
OVERLAP_NS, PROGRESS_NS, RETRY_NS = 5 * S, 60 * S, 300 * S
# So long a first image of the twin may take: twice as long, and there is still time to make progress.
IMAGE_NS = 20 * S


class Overlap:
    """The trades of one symbol while two sockets tell them: each counts once."""

    def __init__(self, last_id: int) -> None:
        self._before = last_id
        self._ids: set[int] = set()
        self._told: dict[int, Counter[tuple[Any, ...]]] = {}
        self._taken: Counter[tuple[Any, ...]] = Counter()

    def first(self, conn: int, message: Print | Forced) -> bool:
        """Whether this is news: an id that was not told, or one more like it than were taken."""
        trade_id = message.trade_id if isinstance(message, Print) else -1
        if trade_id >= 0:
            if trade_id <= self._before or trade_id in self._ids:
                return False
            self._ids.add(trade_id)
            return True
        key = (type(message), message.event_ns, message.px, message.size, message.sign)
        told = self._told.setdefault(conn, Counter())
        told[key] += 1
        if told[key] <= self._taken[key]:
            return False
        self._taken[key] += 1
        return True

    def holes(self) -> list[str]:
        """The ids that neither socket told, as ranges."""
        found, before = [], self._before
        for trade_id in sorted(self._ids):
            if 0 <= before < trade_id - 1:
                found.append(f"{before + 1}..{trade_id - 1}")
            before = trade_id
        return found


class Handover:
    """One socket on its way to its twin. ``left``: the symbols whose books are not over yet."""

    def __init__(self, old: int, new: int, symbols: tuple[str, ...], now_ns: int) -> None:
        self.old, self.new = old, new
        self.symbols = symbols
        self.left = dict.fromkeys(symbols)
        self.shadows: dict[str, BookSync] = {}
        self.asked_ns: dict[str, int] = {}  # for the images of the shadows
        self.progress_ns = now_ns
        self.first_data_ns = 0
        self.over = False


class Rotation:
    """All handovers of one venue. ``active`` has both sockets of each, and is empty nearly always."""

    def __init__(self, books: Books, links: Links, timers: Timers) -> None:
        self.active: dict[int, Handover] = {}
        self._books = books
        self._links = links
        self._timers = timers
        self._overlaps: dict[str, Overlap] = {}
        self._take: dict[type, Callable[[Handover, Lane, Any, Frame, list[Any]], None]] = {
            Diff: self._diff,
            Image: self._image,
            Gone: self._gone,
        }

    # -- begin and end -------------------------------------------------------------------------------------------------

    def due(self, conn: int, now_ns: int) -> None:
        """A timer: is this socket old enough to be rotated?"""
        opened_ns = self._links.up_ns.get(conn)
        if opened_ns is None or now_ns - opened_ns < self.lifetime_ns(conn):
            return
        if conn in self.active:  # it has just taken over itself
            self._timers.at(now_ns + OVERLAP_NS, "rotate", str(conn))
        else:
            self.begin(conn, now_ns)

    def lifetime_ns(self, conn: int) -> int:
        """How old a socket may become."""
        codec = self._books.codec
        share = 1 - SOONER * crc32(f"{codec.venue} {conn}".encode()) / 2**32
        return int(codec.limits.lifetime_s * ROTATE_AT * share * S)

    def begin(self, conn: int, now_ns: int) -> None:
        """Open the twin of a socket."""
        if conn in self.active or conn not in self._links.plans or conn not in self._links.up_ns:
            return
        twin = self._links.twin(conn)
        handover = Handover(conn, twin.conn, twin.books, now_ns)
        self.active[conn] = self.active[twin.conn] = handover
        self._links.enter(twin, now_ns)
        self._timers.at(now_ns + S, "handover", str(twin.conn))

    def opened(self, conn: int, frame: Frame, events: list[Any]) -> bool:
        """A socket is open: whether it is a twin, whose books are not its own yet."""
        handover = self.active.get(conn)
        if handover is None or conn != handover.new:
            return False
        handover.progress_ns = frame.recv_ns
        handover.first_data_ns = 0
        for symbol in handover.symbols:
            lane = self._books.lanes[symbol]
            if lane.conn == handover.new or not lane.valid:
                handover.left.pop(symbol, None)
                self._books.opened(lane, conn, frame, events)  # nothing to lose: it is proven there
            else:
                shadow = handover.shadows[symbol] = BookSync(self._books.codec.continuity)
                shadow.unchained = lane.sync.unchained
                shadow.begin()
                handover.asked_ns[symbol] = frame.recv_ns
        return True

    def closed(self, conn: int, reason: str, frame: Frame, events: list[Any]) -> None:
        """One of two sockets is gone."""
        handover = self.active.get(conn)
        if handover is None:
            return
        if conn == handover.new:
            handover.shadows.clear()
            return
        if not handover.over:
            for symbol in handover.left:
                self._force(handover, self._books.lanes[symbol], reason, frame, events)
            self._finish(handover)
        del self.active[handover.old], self.active[handover.new]
        if not self.active:
            self._end_overlaps(frame, events)

    def _finish(self, handover: Handover) -> None:
        handover.over = True
        handover.left.clear()
        handover.shadows.clear()
        self._links.drop(handover.old, "rotated")

    def _force(self, handover: Handover, lane: Lane, reason: str, frame: Frame, events: list[Any]) -> None:
        """The old socket is of no use: what is not over is lost, and begun anew on the twin."""
        if not lane.wanted:
            lane.conn = handover.new
            return
        self._books.rest(lane, GapKind.SOCKET_CLOSED, reason, frame, events)
        lane.conn = handover.new
        if handover.new in self._links.up_ns:
            self._books.opened(lane, handover.new, frame, events)
            lane.fetching_since_ns = 0  # its image came while it was built beside the other
            self._books.want_image(lane, frame.recv_ns)

    def look(self, new: int, frame: Frame, events: list[Any]) -> None:
        """Once a second: what is over, what is late."""
        handover = self.active.get(new)
        if handover is None or handover.over:
            return
        now_ns, heard_ns = frame.recv_ns, handover.first_data_ns
        self._ask_again(handover, now_ns)
        if heard_ns and now_ns - heard_ns >= OVERLAP_NS:
            self._quiet_ones(handover)
            if not handover.left:
                self._finish(handover)
                return
        if now_ns - handover.progress_ns >= PROGRESS_NS:
            if len(handover.left) == len(handover.symbols):
                self._give_up(handover, now_ns)
            else:
                for symbol in handover.left:
                    self._force(handover, self._books.lanes[symbol], "rotation", frame, events)
                self._finish(handover)
            return
        self._timers.at(now_ns + S, "handover", str(new))

    def _ask_again(self, handover: Handover, now_ns: int) -> None:
        """First images of the twin that were lost on their way, or refused."""
        if self._books.codec.continuity.source is Source.REST:
            return
        for symbol, shadow in handover.shadows.items():
            if shadow.state != sync.LIVE and now_ns - handover.asked_ns[symbol] >= IMAGE_NS:
                self._anew(handover, shadow, symbol, now_ns)

    def doubt(self, conn: int, symbol: str, now_ns: int) -> None:
        """A frame of this socket could not be read: what it would have told is missing in the shadow of its symbol
        (empty: of any symbol).
        """
        handover = self.active.get(conn)
        if handover is None or conn != handover.new:
            return
        for name, shadow in handover.shadows.items():
            if not symbol or name == symbol:
                self._anew(handover, shadow, name, now_ns)

    def gap(self, conn: int) -> None:
        """Something is missing on this socket, which is going to be opened again: nothing of it is built upon."""
        handover = self.active.get(conn)
        if handover is not None and conn == handover.new:
            handover.shadows.clear()

    def _quiet_ones(self, handover: Handover) -> None:
        """Books that join by ids and of which the twin said nothing: the next diff will tell whether it joins."""
        if self._books.codec.continuity.source is not Source.REST:
            return
        for symbol in list(handover.left):
            shadow = handover.shadows.get(symbol)
            lane = self._books.lanes[symbol]
            if shadow is not None and not shadow.buffer and lane.sync.heard_ns <= handover.first_data_ns:
                lane.sync.rejoin()
                self._over(handover, lane, handover.progress_ns)

    def _give_up(self, handover: Handover, now_ns: int) -> None:
        self._links.drop(handover.new, "rotation_failed")
        del self.active[handover.old], self.active[handover.new]
        if not self.active:
            self._overlaps.clear()
        self._timers.at(now_ns + RETRY_NS, "rotate", str(handover.old))

    # -- messages of both sockets --------------------------------------------------------------------------------------

    def takes(self, message: Any, frame: Frame, events: list[Any]) -> bool:
        """Whether this message of a socket that is handed over is dealt with here."""
        handover = self.active[frame.conn]
        take = self._take.get(type(message))
        data = take is not None or type(message) is Print or not handover.symbols
        if data and frame.conn == handover.new and not handover.first_data_ns:
            handover.first_data_ns = frame.recv_ns
        if take is None:
            return False
        lane = self._books.lanes.get(message.symbol)
        if lane is None or lane.conn == frame.conn:
            return False
        if not lane.wanted:
            self._over(handover, lane, frame.recv_ns)  # it has nothing to lose
        elif frame.conn == handover.new and message.symbol in handover.left:
            take(handover, lane, message, frame, events)
        return True  # else: of the old socket, when the book is over

    def _diff(self, handover: Handover, lane: Lane, diff: Diff, frame: Frame, events: list[Any]) -> None:
        shadow = handover.shadows.get(diff.symbol)
        if shadow is None:
            return
        if not lane.valid:  # it was lost meanwhile: it is proven on the twin
            self._move(handover, lane, frame, events)
            lane.fetching_since_ns = 0  # its image came before
            self._books.diff(diff, frame, events)
            self._books.want_image(lane, frame.recv_ns)
            return
        outcome = shadow.diff(diff, frame.recv_ns)
        if self._books.codec.continuity.source is Source.REST:
            self._join(handover, lane, shadow, frame, events)
        elif outcome == sync.APPLIED:
            self._adopt(handover, lane, diff, frame, events)
        elif outcome != sync.IGNORED:
            self._anew(handover, shadow, diff.symbol, frame.recv_ns)

    def _image(self, handover: Handover, lane: Lane, image: Image, frame: Frame, events: list[Any]) -> None:
        shadow = handover.shadows.get(image.symbol)
        if shadow is None:
            return
        if not lane.valid:
            self._move(handover, lane, frame, events)
            self._books.image(image, frame, events)
        elif shadow.image(image) in (sync.PROVEN, sync.APPLIED):
            self._adopt(handover, lane, image, frame, events)

    def _gone(self, handover: Handover, lane: Lane, message: Gone, frame: Frame, events: list[Any]) -> None:
        shadow = handover.shadows.get(message.symbol)
        if shadow is not None:
            self._anew(handover, shadow, message.symbol, frame.recv_ns)

    def _join(self, handover: Handover, lane: Lane, shadow: BookSync, frame: Frame, events: list[Any]) -> None:
        """The twin's diffs go on where the book stands, by the rule by which diffs join an image."""
        last_id, offset = lane.sync.last_id, self._books.codec.continuity.offset
        kept = [diff for diff in shadow.buffer if diff.last_id >= last_id + offset]
        if not kept and shadow.last_id != last_id:
            return  # the twin is behind
        if kept and not (kept[0].first_id <= last_id + offset or kept[0].prev_id == last_id >= 0):
            return  # the twin is ahead: the old socket will come to it
        lane.sync.rejoin()
        self._over(handover, lane, frame.recv_ns)
        for diff in kept:
            self._books.diff(diff, frame, events)

    def _adopt(self, handover: Handover, lane: Lane, message: Diff | Image, frame: Frame, events: list[Any]) -> None:
        """The book that was built beside the live one takes its place, told as what changed."""
        shadow = handover.shadows[message.symbol]
        proofs = self._books.proofs
        if message.checked and proofs.expects_checksum and not self._books.verified(message, shadow):
            self._anew(handover, shadow, message.symbol, frame.recv_ns)
            return
        if shadow.last_id < lane.sync.last_id:
            return
        changes = lane.sync.adopt(shadow)
        self._over(handover, lane, frame.recv_ns)
        if changes.n:
            self._books.changed(lane, message.event_ns, shadow.last_id, frame, events)

    def _anew(self, handover: Handover, shadow: BookSync, symbol: str, now_ns: int) -> None:
        shadow.begin()
        if self._books.codec.continuity.source is Source.REST:
            return  # its diffs begin anew with the next
        handover.asked_ns[symbol] = now_ns
        self._links.subscribe(handover.new, self._books.codec.resubscribe(symbol, handover.new), now_ns)

    def _over(self, handover: Handover, lane: Lane, now_ns: int) -> None:
        symbol = lane.instrument.venue_symbol
        lane.conn = handover.new
        handover.left.pop(symbol, None)
        handover.shadows.pop(symbol, None)
        handover.progress_ns = now_ns

    def _move(self, handover: Handover, lane: Lane, frame: Frame, events: list[Any]) -> None:
        self._over(handover, lane, frame.recv_ns)
        self._books.opened(lane, handover.new, frame, events)

    # -- trades --------------------------------------------------------------------------------------------------------

    def first(self, lane: Lane, message: Print | Forced, conn: int) -> bool:
        """Whether a trade or a forced order is told for the first time; asked while anything is handed over."""
        overlap = self._overlaps.get(message.symbol)
        if overlap is None:
            overlap = self._overlaps[message.symbol] = Overlap(lane.trade_id)
        return overlap.first(conn, message)

    def _end_overlaps(self, frame: Frame, events: list[Any]) -> None:
        if self._books.codec.trades_count_up:
            for symbol, overlap in self._overlaps.items():
                for hole in overlap.holes():
                    name = self._books.lanes[symbol].instrument.symbol
                    self._books.notice("trade_gap", hole, frame, events, instrument=name)
        self._overlaps.clear()
