"""Checksums over the best levels as they were written, bids and asks in turn: what they are made of.

Some venues sum up ``bid price:bid size:ask price:ask size:...`` of the best 25 levels of each side, with the very texts
that they sent, and write the CRC32 as a signed number. The texts are kept beside the book, by the place of their level.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias
from zlib import crc32

if TYPE_CHECKING:
    from collections.abc import Iterable

    from imbalanced.book import Book, Rows

LEVELS = 25


# A book of one socket: while one socket is handed over to the next, both tell the same symbol.
Of: TypeAlias = "tuple[int, str]"


class Sum(NamedTuple):
    """The checksum of one message, and the texts of the levels that it sums up."""

    texts: dict[int, str]
    told: int

    def holds(self, book: Book) -> bool:
        """Whether this book is the one that was summed up."""
        bids = [self.texts.get(px, "") for px, _ in book.bids.levels(LEVELS)]
        asks = [self.texts.get(-px, "") for px, _ in book.asks.levels(LEVELS)]
        told = [side[rank] for rank in range(LEVELS) for side in (bids, asks) if rank < len(side)]
        return crc32(":".join(told).encode()) == self.told & 0xFFFFFFFF


class LevelTexts:
    """The wire texts of books by socket and symbol. Places are signed prices: bids +, asks -."""

    def __init__(self) -> None:
        self._texts: dict[Of, dict[int, str]] = {}

    def begin(self, of: Of) -> None:
        """A new book."""
        self._texts[of] = {}

    def forget(self, of: Of) -> None:
        """No checksum is to be expected of this book."""
        self._texts.pop(of, None)

    def opened(self, conn: int) -> None:
        """A socket is new: what was kept of the one before is gone."""
        self._texts = {of: texts for of, texts in self._texts.items() if of[0] != conn}

    def saw(self, of: Of, rows: Rows, levels: Iterable[Any], checksum: object) -> Sum | None:
        """The levels of one message, bids before asks as in ``rows``, and its checksum (None or 0: it has none).

        Answers what is to be checked once the levels are in the book. ValueError where the checksum is no number.
        """
        if checksum is not None and (isinstance(checksum, bool) or not isinstance(checksum, int)):
            raise ValueError(f"checksum {checksum!r} is no whole number")
        texts = self._texts.get(of)
        if texts is None:
            return None
        for i, level in enumerate(levels):
            place = rows.px[i] if i < rows.n_bids else -rows.px[i]
            if rows.size[i] > 0:
                texts[place] = f"{level[0]}:{level[1]}"
            else:
                texts.pop(place, None)
        return Sum(texts, checksum) if checksum else None
