# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The proof of one book: a REST snapshot and a chain of diffs, by a venue's :class:`Continuity`.

States::

    IDLE ------begin()------> BUFFERING     diffs are kept, an image is wanted
    BUFFERING --image-------> LIVE          the image overlaps the buffered diffs and the chain behind it holds, or
                                            it is newer than all of them: then it is the venue's book as of its own
                                            id, and the next diff must overlap it (``joined`` is false until then)
    BUFFERING --image older-> BUFFERING     (stale_snapshot: diffs between image and buffer are missing)
    LIVE ------diff breaks--> BUFFERING     (sequence_gap, or snapshot_no_overlap while not joined); the breaking
                                            diff is the first of the new buffer
    any -------idle()-------> IDLE          the socket is gone

Where the venue publishes orders, a diff holds changes of orders and becomes rows of levels when it is applied
(``orders.py``): one that changes no level is taken and answered with IGNORED.

The buffer is contiguous at all times: a diff that does not follow the last one buffered starts it anew. Nothing here
has a clock (receive times come with the diffs), asks for anything or tells anyone: it answers what happened, and
``session.py`` acts on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cython

if not cython.compiled:
    from imbalanced.book import Book, Rows
    from imbalanced.venues.diff import Diff
else:
    from cython.cimports.imbalanced.book import Book, Rows
    from cython.cimports.imbalanced.venues.diff import Diff

from imbalanced.orders import Orders
from imbalanced.venues.codec import Chain, Source

if TYPE_CHECKING:
    from imbalanced.venues.codec import Continuity, Image

IDLE, BUFFERING, LIVE = 0, 1, 2
REST, STREAM, FULL = 0, 1, 2
STATES = ("idle", "buffering", "live")

# What became of a diff or an image.
IGNORED, BUFFERED, APPLIED, PROVEN, GAP, STALE, NO_OVERLAP, OVERFLOW, CROSSED, RESET = range(10)

# A crossed book may be two halves of one change; after this long it is a broken book.
CROSSED_GRACE_NS = 500_000_000
# So many diffs in a row older than the book are no duplicates any more: the venue has begun its ids anew.
OLD_IS_RESET = 20


@cython.final
@cython.cclass
class BookSync:
    """One book and whether it is proven. ``book.live`` is true in state LIVE and in no other."""

    def __init__(self, continuity: Continuity, buffer_limit: int = 10_000) -> None:
        self.book = Book()
        self.by_previous = continuity.chain is Chain.PREVIOUS
        self.unchained = continuity.chain is Chain.NONE
        self.source = (Source.REST, Source.STREAM, Source.FULL).index(continuity.source)
        self.depth = continuity.depth
        self.offset = continuity.offset
        self.buffer_limit = buffer_limit
        self.buffer: list[Diff] = []
        self.state = IDLE
        self.last_id = -1
        self.image_id = -1
        self.seen_id = -1
        self.joined = False
        self.crossed_since_ns = 0
        self.old_in_a_row = 0
        self.heard_ns = 0
        self.heard_count = 0
        self.interval_ns = 0.0
        self.longest_ns = 0.0
        self.orders = Orders() if continuity.orders else None

    @cython.ccall
    def begin(self) -> cython.void:
        """Forget the book and start to collect diffs."""
        self.idle()
        self.state = BUFFERING

    @cython.ccall
    def idle(self) -> cython.void:
        """Forget the book and everything collected."""
        self.state = IDLE
        self.book.clear()
        self.buffer.clear()
        if self.orders is not None:
            self.orders.clear()
        self.last_id = -1
        self.image_id = -1
        self.seen_id = -1
        self.crossed_since_ns = 0
        self.old_in_a_row = 0

    @cython.ccall
    def diff(self, diff: Diff, recv_ns: cython.longlong) -> cython.int:
        """One diff: APPLIED in a live book; BUFFERED, IGNORED (old); or why the book was lost."""
        self.heard(recv_ns)
        if self.state == LIVE:
            return self._live(diff, recv_ns)
        if self.state == BUFFERING:
            return self._buffered(diff)
        return IGNORED

    @cython.ccall
    def heard(self, recv_ns: cython.longlong) -> cython.void:
        """The usual interval between diffs and the longest of late, against which a silence is judged."""
        gap: cython.double = recv_ns - self.heard_ns
        if self.heard_ns > 0:
            self.heard_count += 1
            self.interval_ns += (gap - self.interval_ns) / min(self.heard_count, 64)
            self.longest_ns = max(gap, self.longest_ns * 0.999)
        self.heard_ns = recv_ns

    @cython.cfunc
    def _follows(self, diff: Diff) -> cython.bint:
        if self.unchained:
            return True
        if self.by_previous:
            return diff.prev_id == self.last_id
        return diff.first_id == self.last_id + 1

    @cython.cfunc
    def _live(self, diff: Diff, recv_ns: cython.longlong) -> cython.int:
        if not self.joined:
            return self._join(diff)
        if not self._follows(diff):
            # Who names the diff before it may go back to lower ids, and on one stream nothing comes twice.
            if diff.last_id <= self.last_id and not (self.by_previous and self.source == STREAM):
                self.old_in_a_row += 1
                if self.old_in_a_row < OLD_IS_RESET:
                    return IGNORED
                self._restart(diff)
                return RESET
            self._restart(diff)
            return GAP
        self.old_in_a_row = 0
        self.last_id = diff.last_id
        if not self._apply(diff):
            return IGNORED
        if self.depth > 0:
            self.book.bids.truncate(self.depth)
            self.book.asks.truncate(self.depth)
        if self.book.clean():
            self.crossed_since_ns = 0
        elif self.crossed_since_ns == 0:
            self.crossed_since_ns = recv_ns
        elif recv_ns - self.crossed_since_ns > CROSSED_GRACE_NS:
            self.begin()
            return CROSSED
        return APPLIED

    @cython.cfunc
    def _apply(self, diff: Diff) -> cython.bint:
        """Into the book; false where these orders change no level and no checksum is to be compared."""
        if self.orders is None:
            self.book.apply(diff.rows)
            return True
        rows: Rows = self.orders.apply(diff.orders)
        self.book.apply(rows)
        return diff.checked or rows.n > 0

    def _restart(self, diff: Diff) -> None:
        """The chain broke at this diff: it is the first of a new buffer (where the image comes by REST)."""
        self.begin()
        if self.source != REST:
            return
        self.buffer.append(diff.copy())
        self.last_id = diff.last_id

    @cython.cfunc
    def _buffered(self, diff: Diff) -> cython.int:
        if self.source != REST:
            return IGNORED
        if self.buffer:
            if not self._follows(diff):
                if diff.last_id <= self.last_id:
                    self.old_in_a_row += 1
                    if self.old_in_a_row < OLD_IS_RESET:
                        return IGNORED
                    self._restart(diff)
                    return RESET
                self._restart(diff)
                return GAP
            self.old_in_a_row = 0
            if len(self.buffer) >= self.buffer_limit:
                self.begin()
                return OVERFLOW
        self.buffer.append(diff.copy())
        self.last_id = diff.last_id
        return BUFFERED

    def keep(self, most: int) -> None:
        """Of the buffer only about the newest ``most``: what came long before an image is asked for is never older
        than it.
        """
        if len(self.buffer) >= 2 * most:
            del self.buffer[:-most]

    @cython.cfunc
    def _join(self, diff: Diff) -> cython.int:
        """The first diff after an image that was newer than all diffs before it."""
        if self.image_id >= 0 and diff.last_id < self.image_id + self.offset:
            self.seen_id = max(self.seen_id, diff.last_id)
            return IGNORED
        if not self._overlaps(diff):
            # Where it does not follow the diffs seen before it either, the image is not to blame.
            before = diff.prev_id if self.by_previous else diff.first_id - 1
            blame = NO_OVERLAP if self.seen_id in (-1, before) else GAP
            self._restart(diff)
            return blame
        self._take(diff)
        return APPLIED

    def _overlaps(self, diff: Diff) -> bool:
        # An empty new listing has no id: whatever comes first is its beginning.
        if self.image_id < 0:
            return True
        wanted = self.image_id + self.offset
        overlaps = bool(diff.first_id <= wanted <= diff.last_id)
        return overlaps or (self.by_previous and diff.prev_id == self.image_id)

    def _replace(self, image: Image) -> None:
        self.book.replace(image.rows if self.orders is None else self.orders.replace(image.orders))

    def _take(self, diff: Diff) -> None:
        self._apply(diff)
        self.last_id = diff.last_id
        self.joined = True

    def image(self, image: Image) -> int:
        """A snapshot: PROVEN, STALE (older than the buffer, or empty), IGNORED (not wanted) or, where it only differs,
        APPLIED.
        """
        if self.source != REST:
            return self._in_band(image)
        if self.state != BUFFERING:
            return IGNORED
        # A new listing without orders has no id; a book with an id and without any level is an answer gone wrong.
        if image.rows.n == 0 and not image.orders and image.last_id >= 0:
            return STALE
        self.image_id = image.last_id
        kept = [diff for diff in self.buffer if diff.last_id >= image.last_id + self.offset]
        if kept and not self._overlaps(kept[0]):
            return STALE
        self._replace(image)
        self.seen_id = self.last_id
        self.buffer.clear()
        self.last_id = image.last_id
        self.joined = False
        for diff in kept:
            self._take(diff)
        self.old_in_a_row = 0
        self.crossed_since_ns = 0
        self.state = LIVE
        self.book.live = True
        return PROVEN

    def rejoin(self) -> None:
        """The next diff comes by another socket: it need not follow, but it must overlap, as after an image."""
        self.image_id = self.last_id
        self.seen_id = -1
        self.joined = False

    def adopt(self, other: BookSync) -> Rows:
        """Go on as this book, which was proven by another socket of the same stream: the rows that changed."""
        rows = Rows()
        for px, size in other.book.bids.levels(other.book.bids.n):
            rows.add(px, size)
        rows.end_bids()
        for px, size in other.book.asks.levels(other.book.asks.n):
            rows.add(px, size)
        changes = self.book.changes_to(rows)
        if changes.n:
            self.book.apply(changes)
        self.orders = other.orders
        self.last_id = other.last_id
        self.image_id, self.seen_id, self.joined = other.image_id, other.seen_id, other.joined
        self.old_in_a_row = 0
        self.crossed_since_ns = other.crossed_since_ns
        return changes

    def _in_band(self, image: Image) -> int:
        """An image of the stream itself. One that follows a live image of the same stream is told as what changed."""
        if self.state == IDLE:
            return IGNORED
        if self.source == FULL and self.state == LIVE:
            if image.last_id < self.last_id:
                return IGNORED
            self.last_id = image.last_id
            self.book.apply(self.book.changes_to(image.rows))
            return APPLIED
        self._replace(image)
        self.last_id = image.last_id
        self.joined = True
        self.old_in_a_row = 0
        self.crossed_since_ns = 0
        self.state = LIVE
        self.book.live = True
        return PROVEN
