"""What must hold after every single frame, whatever befell it; the first law that is broken ends the world.

- A book that says LIVE equals its venue's true book as of the id it names, level by level.
- BookValid and BookInvalid alternate; books change, and signals open, only between them; no open signal outlives its
  book, and of a book that is not LIVE no snapshot tells a value.
- A trade is told as it was, price, size and taker, by its own frame, and once: where it has a number always, else as
  often as its frame came. Those with numbers are told in their order, but while one socket takes over from another.
- A symbol that is listed no more is closed with ``symbol_gone`` and stays closed; no other is ever closed so, but where
  the venue itself refused it as unknown.
- Of a symbol whose trading is halted (by the venue's word or its list) no book is LIVE until that is taken back, or a
  new socket says nothing of it.
- A subscription that is refused by name is told with symbol and reason, and no other book is lost by it.
- No storm: book images asked for and sockets opened stay within bounds in any minute.
- Once the faults have stopped, every socket is open, every book LIVE and every trade told again within a bounded time,
  and stays so but for planned rotations.

Where the venue numbers nothing, "as of" is the frame that was handed over last, by one of its sockets. Where a message
is several frames, the venue's book is told level by level, and is judged so. A checksum that is a message of its own
comes after the harm: between the two the book is not judged, where neither a counter nor anything else could show it. A
book whose venue has no proof left (``proof_lost``) is not judged until the proof is back, and in the calm it must come
back. A venue that never had one is judged all the same: to it only such things happen as its protocol shows.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from imbalanced.events import (
    BookChanged,
    BookInvalid,
    BookReplaced,
    BookValid,
    GapKind,
    MetricSnapshot,
    Notice,
    Signal,
    Trade,
)
from imbalanced.sim.worlds.deals import Deals
from imbalanced.sim.worlds.network import Ruling, Shown, Sold, Told
from imbalanced.sim.worlds.stage import S
from imbalanced.states import State
from imbalanced.venues.codec import Chain, Send, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from imbalanced.events import Frame, Instrument
    from imbalanced.lane import Lane
    from imbalanced.pipeline import Pipeline
    from imbalanced.sim.worlds.books import TrueBook
    from imbalanced.sim.worlds.exchange import Exchange
    from imbalanced.venues.codec import Command

MINUTE_NS = 60 * S
# The account of a lane doubles its pause from half a second (times a jitter of at least a half): nine in the first
# minute. One more for the attempt that was under way.
IMAGES_A_MINUTE = 10
# Full jitter may draw short pauses several times in a row.
SOCKETS_A_MINUTE = 20
LOOK_AT_ALL = 8  # frames
BOOK_METRICS = ("depth_imbalance", "ofi")

Key = tuple[str, str]


class Violated(Exception):
    """A law was broken."""


class _Watched:
    """One book as the oracle sees it."""

    def __init__(self, lane_of: Callable[[], Lane | None], true: TrueBook) -> None:
        self.lane_of = lane_of
        self.true = true
        self.valid = False
        self.since_ns = 0
        self.losses = 0
        self.why = ""
        self.trades: set[int] = set()
        self.deals = Deals(true.deals)
        self.signals: dict[str, str] = {}
        self.versions: dict[int, int] = {}
        self.heard = True
        self.in_doubt: set[int] = set()  # by which sockets
        self.may_go = False  # the venue does not know it any more, or says so
        self.must_go = False  # and the list does not have it
        self.halted: set[str] = set()  # who said so


class Oracle:
    """Fed with every frame and what came of it. ``books`` by the unified symbol, as they are called now."""

    def __init__(self, pipeline: Pipeline, exchanges: list[Exchange]) -> None:
        self.books: dict[Key, _Watched] = {}
        self._left: list[_Watched] = []  # whose name another has now
        self.compared = 0
        self.signals = 0
        self._frames = 0
        self._sessions = pipeline.sessions
        self._unproven: set[str] = set()
        self._unnumbered: set[str] = set()
        self._by_symbol: dict[Key, _Watched] = {}
        self._images: dict[Key, deque[int]] = {}
        self._sockets: dict[tuple[str, int], deque[int]] = {}
        for exchange in exchanges:
            venue, session = exchange.venue.id, pipeline.sessions[exchange.venue.id]
            proof = session.codec.continuity
            if proof.chain is Chain.NONE and proof.source is not Source.FULL:
                self._unnumbered.add(venue)
            for true in exchange.books.values():
                self.watch(venue, true)
                self.called(venue, true)
        self._laws: dict[type, Callable[[Any, _Watched], None]] = {
            BookValid: _now_valid,
            BookInvalid: _now_invalid,
            BookChanged: _while_valid,
            BookReplaced: _while_valid,
            Signal: _signal,
            Trade: _trade,
            MetricSnapshot: _snapshot,
        }

    # -- who is watched ------------------------------------------------------------------------------------------------

    def watch(self, venue: str, true: TrueBook) -> None:
        """A symbol that the venue has now."""
        lanes, symbol = self._sessions[venue].lanes, true.symbol
        self._by_symbol[venue, symbol] = _Watched(lambda: lanes.get(symbol), true)

    def called(self, venue: str, true: TrueBook) -> None:
        """From now on what is told under its unified name is told of it."""
        key = (venue, true.instrument.symbol)
        before = self.books.get(key)
        if before is not None:
            self._left.append(before)
        self.books[key] = self._by_symbol[venue, true.symbol]

    def ever(self, venue: str) -> list[TrueBook]:
        """The books of all symbols that it ever had."""
        return [watched.true for (of, _), watched in self._by_symbol.items() if of == venue]

    def may_go(self, venue: str, symbol: str) -> None:
        """The venue does not know this symbol any more, or says so."""
        self._by_symbol[venue, symbol].may_go = True

    def listed(self, venue: str, instruments: Iterable[Instrument]) -> None:
        """The list of instruments, that the product is told next."""
        trading = {one.venue_symbol: one.active for one in instruments}
        for (of, symbol), watched in self._by_symbol.items():
            if of == venue:
                watched.must_go = symbol not in trading
                (watched.halted.discard if trading.get(symbol, True) else watched.halted.add)("list")

    # -- every frame ---------------------------------------------------------------------------------------------------

    def fed(self, frame: Frame, told: Shown | None, outputs: list[Any], commands: Sequence[Command] = ()) -> None:
        """What this frame made, and made be done, is as it must be."""
        self._frames += 1
        touched: dict[_Watched, None] = {}  # in the order of the frame, as everything here
        if isinstance(told, Told):
            watched = self._by_symbol[frame.venue, told.symbol]
            watched.versions[frame.conn] = told.version
            watched.heard = True
            (watched.in_doubt.add if told.in_doubt else watched.in_doubt.discard)(frame.conn)
            touched[watched] = None
        elif isinstance(told, Sold):
            self._sold(frame, told, outputs)
        elif told is not None:
            touched.update(self._ruled(frame, told, outputs, commands))
        elif frame.kind in ("open", "close"):
            self._turned(frame)
        for out in outputs:
            law = self._laws.get(type(out))
            if law is not None:
                watched = self.books[out.venue, out.instrument]
                touched[watched] = None
                law(out, watched)
                self.signals += type(out) is Signal
            elif type(out) is Notice and out.what in ("proof_lost", "proof_restored"):
                (self._unproven.add if out.what == "proof_lost" else self._unproven.discard)(out.venue)
        # A book that nobody spoke of cannot have changed; that this is so is looked at now and then.
        every = self._frames % LOOK_AT_ALL == 0 or frame.kind == "instruments"
        for watched in (*self.books.values(), *self._left) if every else touched:
            self._book(watched)

    def _sold(self, frame: Frame, told: Sold, outputs: list[Any]) -> None:
        watched = self._by_symbol[frame.venue, told.symbol]
        # While one socket takes over from another, either may be ahead.
        wrong = watched.deals.heard(told, outputs, in_order=not self._sessions[frame.venue].rotation.active)
        if wrong:
            raise Violated(f"{frame.venue} {told.symbol}: {wrong}")

    def untold(self, since_ns: int, until_ns: int) -> list[str]:
        """The books of which a trade of this time was not told."""
        missing = ((name, watched.deals.untold(since_ns, until_ns)) for name, watched in self._trading())
        return [f"{name} ({what})" for name, what in missing if what]

    def deaf(self, since_ns: int) -> list[str]:
        """The books of whose trades none was told of this time on."""
        return [f"{name} (no trade told)" for name, one in self._trading() if not one.deals.told_since(since_ns)]

    def _trading(self) -> Iterator[tuple[str, _Watched]]:
        for (venue, instrument), watched in self.books.items():
            lane = watched.lane_of()
            if lane is not None and lane.wanted:
                yield f"{venue} {instrument}", watched

    def _ruled(
        self, frame: Frame, told: Ruling, outputs: list[Any], commands: Sequence[Command]
    ) -> dict[_Watched, None]:
        """The venue's word on a symbol, or on all of a socket: whom it touches."""
        touched: dict[_Watched, None] = {}
        if told.word == "refused":
            watched = self._by_symbol[frame.venue, told.symbol]
            _refused(frame, told, watched, outputs, commands)
            return {watched: None}
        by = "symbol" if told.symbol else "venue"
        for (venue, symbol), watched in self._by_symbol.items():
            lane = watched.lane_of()
            if venue != frame.venue or lane is None or told.symbol not in (symbol, ""):
                continue
            if told.symbol or lane.conn == frame.conn:
                (watched.halted.add if told.word == "halted" else watched.halted.discard)(by)
                touched[watched] = None
        return touched

    def _turned(self, frame: Frame) -> None:
        """A socket is new or gone: what it was in doubt of is over, and what halts still hold is said again."""
        for (venue, _), watched in self._by_symbol.items():
            if venue == frame.venue:
                watched.in_doubt.discard(frame.conn)
                if frame.kind == "open":
                    watched.halted &= {"list"}

    def asked(self, venue: str, image_of: str, now_ns: int) -> None:
        """The image of a book was asked for; ``image_of`` is the venue's word for it."""
        times = self._images.setdefault((venue, image_of), deque())
        if _crowded(times, now_ns, IMAGES_A_MINUTE):
            raise Violated(f"storm: {venue} {image_of}: {len(times)} images asked for in a minute")

    def opened(self, venue: str, conn: int, now_ns: int) -> None:
        """A socket was opened."""
        times = self._sockets.setdefault((venue, conn), deque())
        if _crowded(times, now_ns, SOCKETS_A_MINUTE):
            raise Violated(f"storm: {venue} socket {conn} was opened {len(times)} times in a minute")

    def calm(self) -> None:
        """The faults have stopped: a book that is LIVE because nothing was heard of it must be heard again."""
        for watched in self.books.values():
            watched.heard = False

    def missing(self) -> list[str]:
        """The books that are not LIVE, and why, or not heard since the faults stopped."""
        found = []
        for (venue, instrument), watched in self.books.items():
            lane = watched.lane_of()
            if watched.may_go and lane is not None and lane.state is State.CLOSED:
                continue
            if watched.must_go and lane is None:
                continue
            if lane is None or not lane.valid:
                found.append(f"{venue} {instrument} ({lane.why if lane else 'no instruments'})")
            elif not watched.heard:
                found.append(f"{venue} {instrument} (not heard)")
        return found

    def untrusted(self) -> list[str]:
        """The proofs that are not trusted: nothing of what happens here is their fault for long. Where every symbol is
        gone, nobody is left to show it.
        """
        return [
            f"{venue}: {proof} not trusted"
            for venue, session in self._sessions.items()
            for proof in session.proofs.lost
            if any(lane.wanted for lane in session.lanes.values())
        ]

    def losses(self) -> dict[Key, int]:
        """How often each book was lost."""
        return {key: watched.losses for key, watched in self.books.items()}

    def _book(self, watched: _Watched) -> None:
        lane = watched.lane_of()
        if lane is None:
            return
        book, venue = lane.sync.book, lane.instrument.venue
        name = f"{venue} {lane.instrument.symbol}"
        if lane.valid != watched.valid or book.live != watched.valid:
            raise Violated(f"{name}: told valid={watched.valid}, lane valid={lane.valid}, book live={book.live}")
        _closed_with_the_book(watched)
        if watched.must_go and (lane.state is not State.CLOSED or lane.why != GapKind.SYMBOL_GONE):
            raise Violated(f"{name}: listed no more, but {lane.state} ({lane.why})")
        if watched.valid and watched.halted:
            raise Violated(f"{name}: LIVE although {' and '.join(sorted(watched.halted))} said that it does not trade")
        if not watched.valid or venue in self._unproven or watched.in_doubt:
            return
        true = watched.true
        version = lane.sync.last_id
        if venue in self._unnumbered:
            version = watched.versions.get(lane.conn, -1)
            mine = (book.bids.levels(len(book.bids)), book.asks.levels(len(book.asks)))
            version = next((one for one in watched.versions.values() if true.as_of[one] == mine), version)
        truth = true.as_of.get(version)
        if truth is None:
            raise Violated(f"{name}: LIVE as of {version}, which the venue never told")
        self.compared += 1
        for side, ladder, theirs in (("bids", book.bids, truth.bids), ("asks", book.asks, truth.asks)):
            levels = ladder.levels(len(ladder))
            if levels != theirs:
                have, should = set(levels) - set(theirs), set(theirs) - set(levels)
                raise Violated(f"{name}: LIVE as of {version}, but its {side} have {sorted(have)} for {sorted(should)}")


def _refused(frame: Frame, told: Ruling, watched: _Watched, outputs: list[Any], commands: Sequence[Command]) -> None:
    """Told with symbol and reason, and the affair of nobody else. Where several were asked for at once, the symbol may
    be told when each is asked for by itself.
    """
    name, instrument = f"{frame.venue} {told.symbol}", watched.true.instrument.symbol
    notices = [out for out in outputs if isinstance(out, Notice) and out.what == "subscribe_error" and out.detail]
    names = {out.instrument for out in notices}
    asked_again = any(isinstance(one, Send) and told.symbol in one.data for one in commands)
    if names != {instrument} and not (names == {""} and asked_again):
        raise Violated(f"{name}: refused, but told is {[(out.instrument, out.detail) for out in notices]}")
    for out in outputs:
        if isinstance(out, BookInvalid) and out.instrument != instrument:
            raise Violated(f"{name}: refused, and {out.instrument} was lost by it ({out.reason})")


def _crowded(times: deque[int], now_ns: int, most: int) -> bool:
    while times and times[0] <= now_ns - MINUTE_NS:
        times.popleft()
    times.append(now_ns)
    return len(times) > most


def _closed_with_the_book(watched: _Watched) -> None:
    if watched.signals and not watched.valid:
        raise Violated(f"{watched.true.instrument.symbol}: signals {watched.signals} outlive their book")


def _now_valid(out: BookValid, watched: _Watched) -> None:
    if watched.valid:
        raise Violated(f"{out.venue} {out.instrument}: BookValid twice")
    watched.valid, watched.since_ns = True, out.recv_ns


def _now_invalid(out: BookInvalid, watched: _Watched) -> None:
    if not watched.valid:
        raise Violated(f"{out.venue} {out.instrument}: BookInvalid of a book that was not valid")
    if out.reason == GapKind.SYMBOL_GONE and not watched.may_go:
        raise Violated(f"{out.venue} {out.instrument}: closed as gone, but the venue has it ({out.detail})")
    watched.valid, watched.since_ns = False, out.recv_ns
    watched.losses, watched.why = watched.losses + 1, out.reason


def _while_valid(out: BookChanged | BookReplaced, watched: _Watched) -> None:
    if not watched.valid:
        raise Violated(f"{out.venue} {out.instrument}: {type(out).__name__} while the book is not valid")


def _signal(out: Signal, watched: _Watched) -> None:
    name = f"{out.venue} {out.instrument}: signal {out.id} ({out.kind})"
    if out.event == "open":
        if not watched.valid:
            raise Violated(f"{name} opened while the book is not valid")
        if out.id in watched.signals:
            raise Violated(f"{name} opened twice")
        watched.signals[out.id] = out.kind
    elif out.id not in watched.signals:
        raise Violated(f"{name}: {out.event} of what is not open")
    elif out.event == "close":
        del watched.signals[out.id]


def _trade(out: Trade, watched: _Watched) -> None:
    if out.trade_id in watched.trades:
        raise Violated(f"{out.venue} {out.instrument}: trade {out.trade_id} told twice")
    if out.trade_id >= 0:  # other venues' prints have no number
        watched.trades.add(out.trade_id)


def _snapshot(out: MetricSnapshot, watched: _Watched) -> None:
    if watched.valid:
        return
    told = {name: value for name, value in out.values.items() if name in BOOK_METRICS and value is not None}
    if told or out.mid is not None or out.book_seq != -1:
        raise Violated(f"{out.venue} {out.instrument}: a snapshot of a book that is not valid: {out.mid} {told}")
