"""The window of a limited image: how far down a book is known, and how it is made to reach further again.

Some venues give only the best levels of a book by REST. Diffs tell every change after it, wherever it happens, but a
level below the image that nobody touches is never told. So a book is whole within its window, from the lowest bid to
the highest ask of its image, and as the price moves the window runs out. Before that happens another image is asked
for, and the book is built anew from it beside the live one, which goes on meanwhile; when both have come to the same
id, what the new one has more is told as a change. Nothing is lost: the book stays proven by its ids all the time.

Pure state of one lane; ``books.py`` feeds it, ``watch.py`` looks at it once a second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from imbalanced import sync
from imbalanced.sync import BookSync

if TYPE_CHECKING:
    from imbalanced.book import Book, Rows
    from imbalanced.venues.codec import Continuity, Image
    from imbalanced.venues.diff import Diff

S = 1_000_000_000

# Asked again at most so often, and given up after so long without an image.
EVERY_NS, TIMEOUT_NS = 60 * S, 30 * S
# Of the image's levels a side, so many must still lie within its window.
LEFT = 0.25


class Window:
    """Prices between which a book is whole; 0 where it is whole to its end."""

    def __init__(self, rows: Rows, levels: int) -> None:
        bids, asks = rows.n_bids, rows.n - rows.n_bids
        self._keep = max(int(levels * LEFT), 1)
        self._lowest_bid = min((rows.px[i] for i in range(bids)), default=0) if bids >= levels else 0
        self._highest_ask = max((rows.px[i] for i in range(bids, rows.n)), default=0) if asks >= levels else 0

    def runs_out(self, book: Book) -> bool:
        """Whether a side has fewer levels within the window than it should."""
        rank = self._keep - 1
        bid, ask = book.bids.px_at(rank), book.asks.px_at(rank)
        return bool(
            (self._lowest_bid and bid < self._lowest_bid) or (self._highest_ask and not 0 < ask <= self._highest_ask)
        )


class Refresh:
    """One lane's renewal. ``shadow`` is the book that is built beside the live one, None while there is none."""

    def __init__(self, continuity: Continuity) -> None:
        self.shadow: BookSync | None = None
        self._continuity = continuity
        self._window: Window | None = None
        self._asked_ns = 0

    def began(self, image: Image) -> None:
        """The live book rests on this image now."""
        self.shadow = None
        self._asked_ns = 0
        levels = self._continuity.image_levels
        self._window = Window(image.rows, levels) if levels else None

    def lost(self) -> None:
        """There is no live book any more."""
        self.shadow = self._window = None

    def due(self, book: Book, now_ns: int) -> bool:
        """Whether an image is to be asked for now; the shadow collects diffs from here on."""
        if self.shadow is not None and now_ns - self._asked_ns >= TIMEOUT_NS:
            self.shadow = None
        if self._window is None or self.shadow is not None or not self._window.runs_out(book):
            return False
        if self._asked_ns and now_ns - self._asked_ns < EVERY_NS:
            return False
        self._asked_ns = now_ns
        self.shadow = BookSync(self._continuity)
        self.shadow.begin()
        return True

    def diff(self, diff: Diff, recv_ns: int) -> None:
        """What was applied to the live book."""
        shadow = self.shadow
        if shadow is not None and shadow.diff(diff, recv_ns) in (sync.GAP, sync.NO_OVERLAP, sync.OVERFLOW, sync.RESET):
            self.shadow = None

    def image(self, image: Image) -> None:
        """The image came. One that does not fit the diffs is let go; another is asked for later."""
        shadow = self.shadow
        if shadow is None:
            return
        if shadow.image(image) == sync.PROVEN:
            self._window = Window(image.rows, self._continuity.image_levels)
        else:
            self.shadow = None

    def ready(self, live: BookSync) -> BookSync | None:
        """The new book, once it has come to the id of the live one."""
        shadow = self.shadow
        if shadow is None or not shadow.book.live or shadow.last_id != live.last_id:
            return None
        self.shadow = None
        return shadow
