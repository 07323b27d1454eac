"""A walk over a recording of Bitfinex, where one counter runs over all arrays of a socket: whichever is missing, the
next one shows it, and every book of the socket is in doubt. Read by the venue's documents, like ``rawbooks.py``.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import orjson
from rawbooks import Sides, Told
from rawvenues import read_texts
from walking import Ears, agree, venue_of

from imbalanced import tape
from imbalanced.events import Frame

# An image that heals a book has so many levels a side: the proof looks at none.
LEVELS = 10
GAP = "invalid connection_wide_gap"


class Said(NamedTuple):
    """A frame of the socket: an event, or an array with its channel and counter."""

    number: int
    frame: Frame
    content: Any

    @property
    def is_array(self) -> bool:
        return isinstance(self.content, list)

    @property
    def counter(self) -> int:
        return int(self.content[-1])


def told_of(symbol: str, payload: Any) -> Told | None:
    """``[price, count, amount]`` or a list of these; count 0 deletes, the sign of the amount is the side."""
    if not isinstance(payload, list) or not payload:
        return None
    image = isinstance(payload[0], list)
    sides: tuple[list[tuple[str, str]], list[tuple[str, str]]] = ([], [])
    for price, count, amount in payload if image else [payload]:
        sides[amount.startswith("-")].append((price, amount.lstrip("-") if count != "0" else "0"))
    return Told(symbol, image, 0, 0, 0, *sides)


class Socket:
    """The books of one socket by the venue's rules."""

    def __init__(self) -> None:
        self.count = -1
        self.symbols: dict[str, str] = {}
        self.books: dict[str, Sides | None] = {}

    def hear(self, said: Said) -> dict[str, list[str]]:
        """What must be said of each book."""
        if not said.is_array:
            if said.content.get("event") == "subscribed" and said.content["channel"] == "book":
                self.symbols[said.content["chanId"]] = said.content["symbol"]
            return {}
        words: dict[str, list[str]] = {}
        if self.count >= 0 and said.counter != self.count + 1:
            words = {symbol: [GAP] for symbol, book in self.books.items() if book is not None}
            self.books = dict.fromkeys(self.books)
        self.count = said.counter
        symbol = self.symbols.get(said.content[0])
        told = told_of(symbol, said.content[1]) if symbol else None
        if symbol and told:
            words[symbol] = words.get(symbol, []) + self._of_book(symbol, told)
        return {symbol: spoken for symbol, spoken in words.items() if spoken}

    def _of_book(self, symbol: str, told: Told) -> list[str]:
        book = self.books.get(symbol)
        if told.image:
            self.books[symbol] = Sides(told)
            return ["replaced"] if book is not None else ["valid", "replaced"]
        if book is None:
            return []
        return ["changed" if book.apply(told) else "idle"]


def image_of(channel: str, book: Sides, count: int) -> bytes:
    rows = [
        [orjson.Fragment(price), 1, orjson.Fragment(f"{sign}{size}")]
        for side, sign in ((book.bids, ""), (book.asks, "-"))
        for price, size in side.best(LEVELS)
    ]
    return orjson.dumps([int(channel), rows, count])


class SocketWalk:
    """Takes each array away in turn."""

    def __init__(self, path: Path) -> None:
        self.venue = venue_of(path)
        self.steps = [
            Said(number, Frame(frame.recv_ns, self.venue, frame.conn, frame.kind, frame.data), read_texts(frame.data))
            for number, frame in enumerate(tape.read(path))
            if frame.kind == "ws" and frame.data
        ]
        self.arrays = [at for at, step in enumerate(self.steps) if step.is_array]
        self.taken: set[int] = set()
        self.found: Counter[str] = Counter()

    def run(self) -> None:
        whole = Socket()
        first_live = next(at for at, step in enumerate(self.steps) if whole.hear(step))
        for at in (at for at in self.arrays if at <= first_live):
            self._from_the_beginning(at, first_live)
        while self._sweep(first_live):
            pass

    def _compare(self, victim: int, said: Said, ears: Ears, socket: Socket, frame: Frame | None = None) -> None:
        expected, heard = socket.hear(said), ears.hear(frame or said.frame)
        for symbol in expected.keys() | heard.keys():
            assert agree(heard.get(symbol, []), expected.get(symbol, [])), (
                f"{symbol} without frame {victim}: at frame {said.number} {expected.get(symbol)} is to be said, "
                f"said was {heard.get(symbol)}"
            )
        self.found.update(word for words in expected.values() for word in words if word == GAP)

    def _from_the_beginning(self, victim: int, until: int) -> None:
        ears, socket = Ears(self.venue), Socket()
        for at, step in enumerate(self.steps[: until + 2]):
            if at != victim:
                self._compare(victim, step, ears, socket)
        self.taken.add(victim)

    def _sweep(self, first_live: int) -> int:
        """As in ``walking.py``: attack, see the loss, heal, rest for one array."""
        ears, socket, whole = Ears(self.venue), Socket(), Socket()
        before, victim, resting = len(self.taken), -1, 0
        for at, step in enumerate(self.steps):
            whole.hear(step)
            if victim < 0 and resting > 0 and at > first_live and step.is_array and at not in self.taken:
                self.taken.add(at)
                victim = at
                continue
            self._compare(self.steps[victim].number, step, ears, socket)
            if victim >= 0 and step.is_array:
                self._heal(step, ears, socket, whole)
                victim, resting = -1, 0
            else:
                resting += step.is_array
        return len(self.taken) - before

    def _heal(self, step: Said, ears: Ears, socket: Socket, whole: Socket) -> None:
        """A new socket with the channels of the old one and an image of each book, counted up to where we are."""
        now_ns, conn = step.frame.recv_ns, step.frame.conn
        events = (one.frame for one in self.steps if not one.is_array and one.number < step.number)
        for frame in (Frame(now_ns, self.venue, conn, "open", b""), *events):
            ears.hear(Frame(now_ns, self.venue, conn, frame.kind, frame.data))
        socket.count = -1
        channels = {symbol: channel for channel, symbol in whole.symbols.items()}
        books = {symbol: book for symbol, book in whole.books.items() if book is not None}
        for count, (symbol, book) in enumerate(books.items(), step.counter - len(books) + 1):
            data = image_of(channels[symbol], book, count)
            frame = Frame(now_ns, self.venue, conn, "ws", data)
            self._compare(step.number, Said(step.number, frame, read_texts(data)), ears, socket)
            assert ears.session.lanes[symbol].valid, f"{symbol} is not healed after frame {step.number}"
