"""Books and their proofs by the rules of the venues' own documents, as slow as they are plain.

The walks (``test_walks.py``) compare what a session says with this. Nothing here imports a codec; how each venue writes
is in ``rawvenues.py``.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable
from decimal import Decimal
from functools import cache
from itertools import zip_longest
from typing import Any, NamedTuple
from zlib import crc32

import orjson

from imbalanced.events import Frame

Level = tuple[str, str]


class Told(NamedTuple):
    """What one frame says of one book: an image, or a change from ``first`` to ``last``. Levels as written."""

    symbol: str
    image: bool
    last: int
    first: int
    prev: int
    bids: list[Level]
    asks: list[Level]
    checksum: int = 0


@cache
def exact(number: str) -> int:
    """A price as a whole number of 10 ** -18."""
    return int(Decimal(number).scaleb(18))


def has_value(size: str) -> bool:
    """Whether a size is not zero."""
    return size.strip("0.") != ""


class Side:
    """One side of a book by exact price, best first; the texts are kept."""

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self.levels: dict[int, Level] = {}
        self._keys: list[int] = []

    def put(self, level: Level) -> bool:
        """Whether this changed anything."""
        key = -self.sign * exact(level[0])
        there = self.levels.get(key)
        if not has_value(level[1]):
            if there is not None:
                del self.levels[key]
                del self._keys[bisect_left(self._keys, key)]
            return there is not None
        if there is None:
            insort(self._keys, key)
        self.levels[key] = level
        return there is None or (there[1] != level[1] and Decimal(there[1]) != Decimal(level[1]))

    def top(self, count: int | None) -> Side:
        """A copy of the best of it."""
        other = Side(self.sign)
        other._keys = self._keys[:count]
        other.levels = {key: self.levels[key] for key in other._keys}
        return other

    def cut(self, depth: int) -> None:
        for key in self._keys[depth:]:
            del self.levels[key]
        del self._keys[depth:]

    def best(self, count: int | None = None) -> list[Level]:
        return [self.levels[key] for key in self._keys[:count]]


class Sides:
    """A book."""

    def __init__(self, told: Told | None = None, depth: int = 0) -> None:
        self.bids, self.asks, self.depth = Side(1), Side(-1), depth
        if told is not None:
            self.apply(told)

    def apply(self, told: Told) -> bool:
        """Whether this changed anything."""
        changed = [side.put(level) for side, levels in self._with(told) for level in levels]
        if self.depth:
            self.bids.cut(self.depth)
            self.asks.cut(self.depth)
        return any(changed)

    def same(self, other: Sides, told: Told) -> bool:
        """Whether two books that differed in this message only do so no more; False where that cannot be known."""
        pairs = (self.bids, other.bids, told.bids), (self.asks, other.asks, told.asks)
        return all(
            one.levels.get(-one.sign * exact(price)) == two.levels.get(-two.sign * exact(price))
            for one, two, levels in pairs
            for price, _ in levels
        ) and not any(0 < self.depth <= len(one.levels) for one, _, _ in pairs)

    def top(self, count: int | None) -> Sides:
        """A copy of the best of it."""
        other = Sides(depth=self.depth)
        other.bids, other.asks = self.bids.top(count), self.asks.top(count)
        return other

    def _with(self, told: Told) -> tuple[tuple[Side, list[Level]], ...]:
        return (self.bids, told.bids), (self.asks, told.asks)


# -- checksums ---------------------------------------------------------------------------------------------------------


def signed(text: str) -> int:
    found = crc32(text.encode())
    return found - 2**32 if found >= 2**31 else found


def interleaved(book: Sides) -> int:
    """The best 25, bid and ask in turn, as they were sent (OKX until 2026, Bitget v1 and v2)."""
    pairs = zip_longest(book.bids.best(25), book.asks.best(25))
    return signed(":".join(":".join(level) for pair in pairs for level in pair if level is not None))


def digits(book: Sides) -> int:
    """The best 10 asks, then bids, without dots and leading zeros (Kraken)."""
    levels = [*book.asks.best(10), *book.bids.best(10)]
    return crc32("".join(number.replace(".", "").lstrip("0") for level in levels for number in level).encode())


# -- proofs ------------------------------------------------------------------------------------------------------------


class Rule(NamedTuple):
    """How one venue proves its books.

    ``chain``: ``plus_one`` (first == last before + 1), ``previous`` (prev == last before) or ``none`` (only a
    checksum). ``rest``: the image is the answer to a call, and the first change kept has first <= L + offset <= last
    (or prev == L). ``depth``: levels a side that the reader must keep to.
    """

    read: Callable[[Frame], Told | None]
    write: Callable[[Any, int, Sides], Any]
    chain: str
    rest: bool = False
    offset: int = 0
    depth: int = 0
    sum: Callable[[Sides], int] | None = None


def image_frame(rule: Rule, template: Frame, last: int, book: Sides) -> Frame:
    """An image of this book in the shape of that one, as a frame of the same source."""
    data = orjson.dumps(rule.write(orjson.loads(template.data), last, book))
    return Frame(template.recv_ns, template.venue, template.conn, template.kind, data, template.url)


class Expected:
    """One book by the rules of its venue, as slow as it is plain: which words must be said at each frame."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.book: Sides | None = None
        self.last = -1
        self.joined = False
        self.seen = -1
        self.waiting: list[Told] = []

    @property
    def calm(self) -> bool:
        """Proven, and the stream follows the image."""
        return self.book is not None and self.joined

    def adopt(self, book: Sides, last: int) -> list[str]:
        """An image that is right: what ``hear`` would say."""
        was = self.book is not None
        if self.rule.rest:
            return self._take(book, last)
        self.book, self.last, self.joined = book, last, True
        return ["replaced"] if was else ["valid", "replaced"]

    def hear(self, told: Told, *, sure: bool = False) -> list[str]:
        """``valid``, ``replaced``, ``changed``, ``idle`` (nothing differs), ``invalid KIND``, ``refused KIND``.
        ``sure``: this is the recording as it is, so its checksum need not be made again.
        """
        if told.image:
            return self._of_call(told) if self.rule.rest else self._of_stream(told)
        if self.book is None:
            self._wait(told)
            return []
        if self.rule.rest and not self.joined:
            return self._first(told, self.book)
        if not self._follows(told):
            return self._lost("sequence_gap", told)
        changed = self.book.apply(told)
        self.last = told.last
        if not sure and not self._sum_holds(told, self.book):
            return self._lost("checksum_mismatch", told)
        return ["changed" if changed else "idle"]

    def _follows(self, told: Told) -> bool:
        if self.rule.chain == "none":
            return True
        return told.prev == self.last if self.rule.chain == "previous" else told.first == self.last + 1

    def _sum_holds(self, told: Told, book: Sides) -> bool:
        return self.rule.sum is None or not told.checksum or self.rule.sum(book) == told.checksum

    def _lost(self, kind: str, told: Told) -> list[str]:
        self.book, self.waiting = None, []
        self._wait(told)
        return [f"invalid {kind}"]

    def _wait(self, told: Told) -> None:
        """Changes are kept for the image that a call will bring, as long as they follow each other."""
        if not self.rule.rest:
            return
        if self.waiting and not self._follows(told):
            self.waiting = []
        self.waiting.append(told)
        self.last = self.seen = told.last

    def _overlaps(self, told: Told, image_id: int) -> bool:
        wanted = image_id + self.rule.offset
        return told.first <= wanted <= told.last or (self.rule.chain == "previous" and told.prev == image_id)

    def _first(self, told: Told, book: Sides) -> list[str]:
        """The first change after an image that was newer than all before it."""
        if told.last < self.last + self.rule.offset:
            self.seen = told.last
            return []
        if not self._overlaps(told, self.last):
            before = told.prev if self.rule.chain == "previous" else told.first - 1
            kind = "snapshot_no_overlap" if self.seen in (-1, before) else "sequence_gap"
            return self._lost(kind, told)
        self.last, self.joined = told.last, True
        return ["changed" if book.apply(told) else "idle"]

    def _of_call(self, told: Told) -> list[str]:
        if self.book is not None:
            return []
        return self._take(Sides(told), told.last)

    def _take(self, book: Sides, image_id: int) -> list[str]:
        """An image and what follows it of the changes that waited."""
        kept = [one for one in self.waiting if one.last >= image_id + self.rule.offset]
        if kept and not self._overlaps(kept[0], image_id):
            return ["refused stale_snapshot"]
        self.book, self.last, self.joined, self.waiting = book, image_id, bool(kept), []
        for one in kept:
            self.book.apply(one)
            self.last = one.last
        return ["valid", "replaced"]

    def _of_stream(self, told: Told) -> list[str]:
        was = self.book is not None
        if was and told.last == self.last and self.rule.chain != "none":
            return ["idle"]  # Bybit says the best level again after three seconds
        self.book, self.last, self.joined = Sides(told, self.rule.depth), told.last, True
        if not self._sum_holds(told, self.book):
            self.book = None
            return ["invalid checksum_mismatch"] if was else ["refused checksum_mismatch"]
        return ["replaced"] if was else ["valid", "replaced"]
