"""One venue of a world: its true books, who is connected, and what it answers.

The words are those of the simulated venue behind the seam (``sim/venue.py``), whatever it is; here it gets books that
are small and known, and sockets that are none.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from msgspec import structs

from imbalanced.sim.venue import Frame, Meter, Request
from imbalanced.sim.wire import BOOKS, Image
from imbalanced.sim.worlds import faults
from imbalanced.sim.worlds.books import TrueBook
from imbalanced.sim.worlds.network import Ruling, Socket, Sold, Told
from imbalanced.sim.worlds.oracle import Violated
from imbalanced.sim.worlds.stage import S

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imbalanced.events import Instrument
    from imbalanced.sim.market import Trade
    from imbalanced.sim.venue import Desk, SimVenue
    from imbalanced.sim.wire import Listing, Stream
    from imbalanced.sim.worlds.books import Turn
    from imbalanced.sim.worlds.hands import Link
    from imbalanced.sim.worlds.stage import Stage

HOST = "venue.invalid"
TRADES = ("trade", "agg_trade")
_OF_TRADES, _OF_BOOKS = re.compile(r"trade|match", re.IGNORECASE), re.compile(r"book|level2|depth", re.IGNORECASE)
_REFUSAL = re.compile(r"error|fail|invalid|success\W+false", re.IGNORECASE)


class Proof(NamedTuple):
    """How a venue's own protocol shows a client what went wrong with a book. ``none``: not at all. ``apart``: by a
    checksum that is a message of its own, so not before the next of them (where no counter shows it). ``by_order``:
    its books are told order by order.
    """

    none: bool = False
    apart: bool = False
    by_order: bool = False


AT_ONCE = Proof()


class Answered(NamedTuple):
    """What a REST call brings. ``after_ns``: the answer's own delay on top of the way."""

    status: int
    body: bytes
    retry_after_s: float = 0.0
    after_ns: int = 0


class Floor:
    """The true books as what a simulated venue's answers are made of (its ``Feed``)."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self.first: dict[str, Told] = {}
        self.fault = ""  # of the call that is being answered
        self.calling = False
        self.asked_for_trades = False  # and for nothing else

    def info(self, now_ms: int) -> str:
        raise NotImplementedError("the product is told of instruments by the world")

    def listings(self) -> Sequence[Listing]:
        return [book.listing for book in self._exchange.books.values()]

    def listing(self, symbol: str) -> Listing | None:
        book = self._exchange.books.get(symbol)
        refusing = self._exchange.refusing
        if self.asked_for_trades:
            refusing = refusing | self._exchange.refusing_trades
        return None if book is None or (symbol in refusing and not self.calling) else book.listing

    def snapshot(self, symbol: str, limit: int, now_ms: int) -> str | None:
        book, weather = self._exchange.books[symbol], self._exchange.stage.weather
        image = book.snapshot()
        if self.fault == "old_answer" and book.old_snapshot is not None:
            image = book.old_snapshot
            weather.done(self.fault)
        elif self.fault == "empty_answer":
            image = Image(image.last_id, image.ms, [], [])
            weather.done(self.fault)
        return self._exchange.venue.wire.snapshot(book.listing, image, now_ms)

    def stale_snapshot(self, symbol: str, limit: int, now_ms: int) -> str | None:
        return None

    def open_interest(self, symbol: str, now_ms: int) -> str | None:
        return None

    def begin(self, stream: Stream, now_ms: int) -> Frame | None:
        """The whole book in band, level with the flow; of trades those before, where the venue tells them."""
        if stream.kind in TRADES and stream.symbol in self._exchange.books:
            book = self._exchange.books[stream.symbol]
            past = self._exchange.venue.wire.history(book.listing, stream, book.past, now_ms) if book.past else ""
            return Frame(stream, past) if past else None
        if stream.kind not in BOOKS or stream.kind == "depth":
            return None
        exchange, weather = self._exchange, self._exchange.stage.weather
        book, wire = exchange.books[stream.symbol], exchange.venue.wire
        if book.changed:
            exchange.tell(book)
        image, old = book.image(), book.old
        orders = book.resting() if stream.kind == "orders" else None
        is_old = old is not None and not exchange.proof.none and weather.of_image() == "old_image"
        if old is not None and is_old:
            image, orders = old, book.old_orders
            weather.done("old_image")
        self.first[stream.symbol] = Told(stream.symbol, image.last_id, is_old=is_old)
        if orders is not None:
            return Frame(stream, wire.orders(book.listing, stream, orders, image.ms))
        return Frame(stream, wire.image(book.listing, stream, image, image.ms))

    def resolve(self, stream: Stream) -> Stream | None:
        return stream


class Exchange:
    """``interval_ns`` is the mean time between two happenings of one symbol; ``levels`` a side of its books at most."""

    def __init__(
        self,
        stage: Stage,
        venue: SimVenue,
        symbols: Sequence[str],
        levels: int,
        interval_ns: int,
        *,
        proof: Proof = AT_ONCE,
    ) -> None:
        self.stage = stage
        self.venue = venue
        self.proof = proof
        self.sockets: list[Socket] = []
        self.books: dict[str, TrueBook] = {}
        self.down = False
        self.refusing_s = 0.0
        self.refusing: set[str] = set()  # symbols whose subscriptions are refused
        self.refusing_trades: set[str] = set()  # or those to their trades alone
        self.silent_trades: set[str] = set()  # symbols whose trades are not told to anybody
        self.idle: set[str] = set()  # those that the list of instruments says do not trade
        self.paused = False
        self.interval_ns = interval_ns
        self._levels = levels
        self._floor = Floor(self)
        self._meter = Meter(venue.limits.weight_per_minute)
        self._names: dict[str, re.Pattern[str]] = {}
        for listing in venue.listings(symbols):
            self.add(listing)

    # -- who is listed -------------------------------------------------------------------------------------------------

    def add(self, listing: Listing) -> TrueBook:
        """A new symbol."""
        venue, by_order = self.venue, self.proof.by_order
        book = TrueBook(venue.id, listing, venue.wire, self._levels, self.stage.rng, by_order=by_order)
        self.books[listing.symbol] = book
        written = "|".join(map(re.escape, (listing.symbol, listing.base + listing.quote)))
        self._names[listing.symbol] = re.compile(rf"(?<![A-Z0-9])(?:{written})(?![A-Z0-9_-])")
        self._later(book)
        return book

    def delist(self, book: TrueBook) -> None:
        """It is known no more: nothing is told of it, and who asks for it is told so."""
        del self.books[book.symbol]
        self.refusing.add(book.symbol)

    def listed(self) -> list[Instrument]:
        """The list of instruments as it is now."""
        return [structs.replace(book.instrument, active=symbol not in self.idle) for symbol, book in self.books.items()]

    def halt(self, book: TrueBook, *, halted: bool) -> bool:
        """Trading of a symbol stops or goes on, and the venue says so; whether it has a word for it."""
        book.listing = replace(book.listing, halted=halted)
        word = self.venue.wire.trading(book.listing, self.stage.venue_ms)
        if word is None:
            return False
        name, text = word
        for socket in tuple(self.sockets):
            if name in socket.desk.subscriptions:
                socket.push(text, Ruling(book.symbol, "halted" if halted else "trading"))
        return True

    def ruling(self, text: str) -> Ruling | None:
        """What an answer of the venue rules, if it names a symbol that is refused."""
        refusing = self.refusing | self.refusing_trades
        said = _REFUSAL.search(text) if refusing else None
        for start in (said.start(), 0) if said is not None else ():  # what was asked may stand before what is refused
            named = [symbol for symbol in sorted(refusing) if self._names[symbol].search(text, start)]
            if named:
                return Ruling(named[0], "refused")
        return None

    # -- the markets ---------------------------------------------------------------------------------------------------

    def _later(self, book: TrueBook) -> None:
        self.stage.after(int(self.interval_ns * self.stage.rng.uniform(0.5, 1.5)), self._turn, book)

    def _turn(self, book: TrueBook) -> None:
        if self.books.get(book.symbol) is not book:
            return  # delisted
        if self.paused:
            self._later(book)
            return
        for _ in range(self.stage.rng.randint(1, 3)):
            trade = book.move()
            if trade is not None:
                self._traded(book, trade)
        if self.stage.rng.random() < 0.85:
            self.tell(book)
        self._later(book)

    def _traded(self, book: TrueBook, trade: Trade) -> None:
        wire, now_ms = self.venue.wire, self.stage.venue_ms
        if book.symbol in self.silent_trades:
            return
        sold = Sold(book.symbol, book.sold(trade, self.stage.now_ns))
        for socket, name, stream in self._takers("trade", book):
            if stream.kind == "trade":
                texts = wire.trades(book.listing, trade, now_ms, now_ms)
            else:
                texts = [wire.agg_trade(book.listing, trade, now_ms, now_ms)]
            for text in texts:
                socket.push(socket.desk.envelope(name, Frame(stream, text)), sold)

    def tell(self, book: TrueBook) -> None:
        """The message of what changed, to whom it concerns."""
        if not book.changed:
            return
        turn = book.turn(self.stage.venue_ms)
        steps = turn.steps or (turn.written,)
        for socket, name, stream in self._takers("book", book):
            texts = self._texts(book, turn, stream)
            for number, text in enumerate(texts, 1):
                told = Told(book.symbol, steps[min(number, len(steps)) - 1], is_last=number == len(texts))
                socket.push(socket.desk.envelope(name, Frame(stream, text)), told)

    def _texts(self, book: TrueBook, turn: Turn, stream: Stream) -> Sequence[str]:
        wire = self.venue.wire
        if stream.kind == "depth":
            return (wire.depth(book.listing, turn.batch(), turn.ms),)
        if stream.kind == "image":
            return (wire.image(book.listing, stream, book.image(), turn.ms),)
        if stream.kind == "orders":
            return wire.order_texts(book.listing, stream, turn.orders, turn.ms) if turn.orders is not None else ()
        top = book.image(levels=wire.checksum_levels)
        return wire.texts(book.listing, stream, turn.told(top), turn.ms)

    def _takers(self, what: str, book: TrueBook) -> list[tuple[Socket, str, Stream]]:
        key = (what, book.symbol)
        return [
            (socket, *socket.flows[key])
            for socket in self.sockets
            if key in socket.flows and socket.serves(book.symbol)
        ]

    # -- sockets -------------------------------------------------------------------------------------------------------

    def connect(self, link: Link, url: str) -> Socket | None:
        """A socket for this link; None where there is no such endpoint."""
        parts = urlsplit(url)
        desk = self.venue.connect(parts.path, dict(parse_qsl(parts.query)), self._floor)
        if desk is None:
            return None
        socket = Socket(self, link, desk)
        self.sockets.append(socket)
        return socket

    def left(self, socket: Socket) -> None:
        """It is served no more."""
        if socket in self.sockets:
            self.sockets.remove(socket)

    def hears(self, text: str) -> None:
        """A request of a client is going to be answered."""
        self._floor.asked_for_trades = bool(_OF_TRADES.search(text)) and not _OF_BOOKS.search(text)

    def flows(self, desk: Desk) -> dict[tuple[str, str], tuple[str, Stream]]:
        """What of this world a desk is subscribed to."""
        found: dict[tuple[str, str], tuple[str, Stream]] = {}
        for name, stream in desk.subscriptions.items():
            if stream is not None and (stream.kind in BOOKS or stream.kind in TRADES):
                found["book" if stream.kind in BOOKS else "trade", stream.symbol] = (name, stream)
        return found

    def told_first(self, stream: Stream) -> Told | None:
        """What the first frame of a book shows."""
        return self._floor.first.get(stream.symbol) if stream.kind in BOOKS else None

    def heard(self, times_ns: list[int]) -> None:
        """One more message of a client: more than the venue allows in a second is our fault."""
        most = self.venue.limits.inbound_per_s
        times_ns[:] = [at for at in times_ns if at > self.stage.now_ns - S]
        times_ns.append(self.stage.now_ns)
        if most and len(times_ns) > most:
            raise Violated(f"{self.venue.id}: {len(times_ns)} messages in one second, {most} are allowed")

    # -- REST ----------------------------------------------------------------------------------------------------------

    def answer(self, url: str, method: str) -> Answered:
        """What this call brings, with what befalls it."""
        rng, weather = self.stage.rng, self.stage.weather
        kind = weather.of_call()
        if self.down:
            return Answered(503, b"<html>Service Unavailable</html>")
        if kind in faults.REFUSALS:
            weather.done(kind)
            return _refused(kind, self.stage)
        self._floor.fault, self._floor.calling = kind, True
        answer = self.venue.rest(request(url, method), self._floor, self._meter, self.stage.venue_ms)
        self._floor.calling = False
        if answer.status == 429:
            raise Violated(f"{self.venue.id}: more calls than its budget allows: {answer.text}")
        body = answer.text.encode()
        if kind == "garbage_answer":
            weather.done(kind)
            return Answered(answer.status, faults.garbled(body, rng))
        if kind == "slow":
            weather.done(kind)
            return Answered(answer.status, body, after_ns=rng.randrange(9 * S))
        return Answered(answer.status, body)

    # -- what happens to it --------------------------------------------------------------------------------------------

    def restart(self, *, farewell: bool) -> None:
        """Other books with other ids; without a farewell the sockets stay open as if nothing had been."""
        if farewell:
            for socket in tuple(self.sockets):
                socket.cut(1001, "closed_by_peer")
        for book in self.books.values():
            book.restart()
            self._doubt(book)

    def renumber(self, book: TrueBook, over_ns: int) -> bool:
        """The ids of one flow go on somewhere else, by the venue's own rules; whether it has such. Where the service
        says that it pauses, that is over at ``over_ns``.
        """
        wire = self.venue.wire
        if wire.restart == "lower":
            book.lower_ids()
            return True
        if wire.restart != "image" or self.paused or not (self.proof.apart or book.begin_again()):
            return False
        if self.proof.apart:
            self._pause(wire.restarted("", self.stage.venue_ms), over_ns)
            return True
        turn = book.turn(self.stage.venue_ms)
        for socket, name, stream in self._takers("book", book):
            text = wire.image(book.listing, stream, book.image(), turn.ms)
            socket.push(socket.desk.envelope(name, Frame(stream, text)), Told(book.symbol, turn.written))
        return True

    def _pause(self, words: Sequence[str], over_ns: int) -> None:
        """The service says that it pauses, and later that it is back."""
        begin, end = words
        self.paused = True
        for socket in tuple(self.sockets):
            socket.push(begin, Ruling("", "halted"))
        self.stage.at(over_ns, self._resume, end)

    def _resume(self, word: str) -> None:
        """Who does not subscribe anew is not told what changed meanwhile."""
        self.paused = False
        for book in self.books.values():
            for _ in range(3):
                book.move()
            if book.changed:
                book.turn(self.stage.venue_ms)
            self._doubt(book)
        for socket in tuple(self.sockets):
            socket.push(word, Ruling("", "trading"))

    def _doubt(self, book: TrueBook) -> None:
        for socket in self.sockets:
            socket.doubt(book.symbol)


def request(url: str, method: str = "GET") -> Request:
    """A call as the seam wants it."""
    parts = urlsplit(url)
    return Request(parts.path, dict(parse_qsl(parts.query)), method=method, host=HOST)


def _refused(kind: str, stage: Stage) -> Answered:
    if kind == "server_error":
        return Answered(stage.rng.choice((500, 502, 503)), stage.rng.choice((b"", b"<html>502</html>", b'{"code":-1}')))
    if kind == "timeout":
        return Answered(200, b"", after_ns=60 * S)
    status = 418 if kind == "teapot" else 429
    return Answered(status, b'{"code":-1003,"msg":"Way too many requests"}', float(stage.rng.choice((0, 2, 8, 20))))
