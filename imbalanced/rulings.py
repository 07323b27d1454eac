"""What the venue rules about a symbol: refused, halted, trading again, gone. And what follows for its book.

==========================  ==========================================================================================
refused                     told with symbol and reason; the book is asked for again as after any failed attempt, its
                            trades once the book is there (``missed.py``)
halted                      the book is closed with the reason and nothing is asked, until all who said so take it back:
                            the venue for everything on a socket, the venue for the symbol, the list of instruments
gone                        the book is closed for good and left; a socket on which nothing else is wanted is closed
==========================  ==========================================================================================

The others on the same socket are not touched.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from imbalanced.events import GapKind
from imbalanced.states import Cause, State

if TYPE_CHECKING:
    from imbalanced.books import Books
    from imbalanced.events import Frame
    from imbalanced.lane import Lane
    from imbalanced.links import Links
    from imbalanced.missed import Missed
    from imbalanced.venues.codec import Answer, ImageFailed, Trading

# What may be the name of a symbol in the text of a refusal.
NAMES = re.compile(r"[A-Za-z0-9/_-]+")


class Rulings:
    """The rulings of one venue."""

    def __init__(self, books: Books, links: Links, missed: Missed) -> None:
        self._books = books
        self._links = links
        self._missed = missed

    # -- what is said --------------------------------------------------------------------------------------------------

    def answer(self, answer: Answer, frame: Frame, events: list[Any]) -> None:
        """An acknowledgement proves nothing; a refusal is told, and is the affair of the symbols that it names."""
        symbols = answer.symbols or tuple(dict.fromkeys(NAMES.findall(answer.error)))
        named = [self._books.lanes[symbol] for symbol in symbols if symbol in self._books.lanes]
        if not answer.error:
            for lane in named or self._books.of(frame.conn):
                lane.enter(Cause.ACKNOWLEDGED)
            return
        for lane in named:
            self._books.notice("subscribe_error", answer.error, frame, events, instrument=lane.instrument.symbol)
            if answer.gone:
                self.close(lane, answer.error, frame, events)
            else:
                self._missed.refused(lane, frame.recv_ns)
                self._books.attempt_failed(lane, GapKind.SUBSCRIBE_REFUSED, frame, events, answer.error)
        if not named:
            self._books.notice("subscribe_error", answer.error, frame, events, instrument=", ".join(answer.symbols))
        if not named and not answer.symbols and not answer.again:  # whoever was not heard yet may be the one
            for lane in self._books.of(frame.conn):
                if lane.trades.heard_ns < lane.opened_ns:
                    self._missed.refused(lane, frame.recv_ns)

    def trading(self, message: Trading, frame: Frame, events: list[Any]) -> None:
        by, lanes = "venue", self._books.of(frame.conn)
        if message.symbol:
            by, lanes = "symbol", [self._books.lanes[message.symbol]] if message.symbol in self._books.lanes else []
        for lane in lanes:
            if message.state == "gone":
                self.close(lane, message.why, frame, events)
            elif message.state == "halted":
                self.halt(lane, by, message.why, frame, events)
            else:
                self.resume(lane, by, frame)

    def image_failed(self, failure: ImageFailed, frame: Frame, events: list[Any]) -> None:
        """The image that was asked for did not come."""
        lane = self._books.find(failure.symbol, frame)
        if lane is None:
            return
        self._books.notice("rest_error", failure.why, frame, events, instrument=lane.instrument.symbol)
        if failure.gone:
            self.close(lane, failure.why, frame, events)
        else:
            self._books.attempt_failed(lane, GapKind.SNAPSHOT_FAILED, frame, events)

    # -- what follows --------------------------------------------------------------------------------------------------

    def halt(self, lane: Lane, by: str, why: str, frame: Frame, events: list[Any]) -> None:
        """Somebody says that the symbol does not trade: nothing is asked of it until all who did take it back."""
        if lane.state is State.CLOSED:
            return
        if not lane.halts:
            self._rest(lane, GapKind.HALTED, why, frame, events)
        lane.halts[by] = why

    def resume(self, lane: Lane, by: str, frame: Frame) -> None:
        """Who said that the symbol does not trade takes it back."""
        if lane.halts.pop(by, None) is not None and not lane.halts and lane.state is State.HALTED:
            lane.enter(Cause.RESUMED)
            lane.forgive(frame.recv_ns)
            lane.sync.begin()
            self._books.prepare(lane, frame.recv_ns)

    def _rest(self, lane: Lane, kind: GapKind, detail: str, frame: Frame, events: list[Any]) -> None:
        if not lane.valid:  # nobody else would hear of it
            self._books.notice(kind, detail, frame, events, instrument=lane.instrument.symbol)
        self._books.rest(lane, kind, detail, frame, events)

    def close(self, lane: Lane, detail: str, frame: Frame, events: list[Any]) -> None:
        """The venue does not have this symbol any more: leave it, and the socket if nothing else is on it."""
        if lane.state is State.CLOSED:
            return
        self._rest(lane, GapKind.SYMBOL_GONE, detail, frame, events)
        name = lane.instrument.venue_symbol
        # While one socket takes over from another both have it.
        for conn, plan in [(conn, plan) for conn, plan in self._links.plans.items() if name in plan.books]:
            self._links.send(conn, self._books.codec.unsubscribe(name, conn))
            lanes = [self._books.lanes[symbol] for symbol in plan.books]
            left = [one.instrument for one in lanes if one.state is not State.CLOSED]
            if left:
                self._links.shrink(conn, left)
            else:
                self._links.drop(conn, GapKind.SYMBOL_GONE)
