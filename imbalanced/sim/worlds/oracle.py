"""What must hold after every single frame, whatever befell it; the first law that is broken ends the world.

- A book that says LIVE equals its venue's true book as of the id it names, level by level.
- BookValid and BookInvalid alternate; books change, and signals open, only between them; no open signal outlives its
  book, and of a book that is not LIVE no snapshot tells a value.
- A trade that has a number is told once.
- No storm: book images asked for and sockets opened stay within bounds in any minute.
- Once the faults have stopped, every socket is open and every book LIVE again within a bounded time, and stays so but
  for planned rotations.

Where the venue numbers nothing, "as of" is the message that was handed over last, by one of its sockets. A book whose
venue has no proof left (``proof_lost``) is not judged until the proof is back, and in the calm it must come back.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from imbalanced.events import (
    BookChanged,
    BookInvalid,
    BookReplaced,
    BookValid,
    MetricSnapshot,
    Notice,
    Signal,
    Trade,
)
from imbalanced.sim.worlds.stage import S
from imbalanced.venues.codec import Chain, Source

if TYPE_CHECKING:
    from collections.abc import Callable

    from imbalanced.events import Frame
    from imbalanced.lane import Lane
    from imbalanced.pipeline import Pipeline
    from imbalanced.sim.worlds.books import TrueBook
    from imbalanced.sim.worlds.exchange import Exchange
    from imbalanced.sim.worlds.network import Told

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
        self.signals: dict[str, str] = {}
        self.versions: dict[int, int] = {}
        self.heard = True


class Oracle:
    """Fed with every frame and what came of it."""

    def __init__(self, pipeline: Pipeline, exchanges: list[Exchange]) -> None:
        self.books: dict[Key, _Watched] = {}
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
            for symbol, true in exchange.books.items():
                instrument = true.instrument.symbol
                watched = _Watched(lambda session=session, symbol=symbol: session.lanes.get(symbol), true)  # type: ignore[misc]
                self.books[venue, instrument] = watched
                self._by_symbol[venue, symbol] = watched
        self._laws: dict[type, Callable[[Any, _Watched], None]] = {
            BookValid: _now_valid,
            BookInvalid: _now_invalid,
            BookChanged: _while_valid,
            BookReplaced: _while_valid,
            Signal: _signal,
            Trade: _trade,
            MetricSnapshot: _snapshot,
        }

    def fed(self, frame: Frame, told: Told | None, outputs: list[Any]) -> None:
        """What this frame made is as it must be."""
        self._frames += 1
        touched: dict[_Watched, None] = {}  # in the order of the frame, as everything here
        if told is not None:
            watched = self._by_symbol[frame.venue, told.symbol]
            watched.versions[frame.conn] = told.version
            watched.heard = True
            touched[watched] = None
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
        every = self._frames % LOOK_AT_ALL == 0
        for watched in self.books.values() if every else touched:
            self._book(watched)

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
            if lane is None or not lane.valid:
                found.append(f"{venue} {instrument} ({lane.why if lane else 'no instruments'})")
            elif not watched.heard:
                found.append(f"{venue} {instrument} (not heard)")
        return found

    def untrusted(self) -> list[str]:
        """The proofs that are not trusted: nothing of what happens here is their fault for long."""
        return [
            f"{venue}: {proof} not trusted"
            for venue, session in self._sessions.items()
            for proof in session.proofs.lost
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
        if not watched.valid or venue in self._unproven:
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
