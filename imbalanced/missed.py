"""Trades that were refused or have fallen silent: asked for again.

A book that is lost is asked for again by ``books.py``; trades have no proof whose failure would show, so they are asked
for again when the venue has refused something of their symbol and none has come since, when ``watch.py`` has called
them silent or stale, and when none has ever come on a socket. Each symbol has a pace of its own, slower with every
attempt until its socket is a new one; and nothing is asked before its book is proven: then the venue has the symbol,
and serves it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable

    from imbalanced.books import Books
    from imbalanced.lane import Lane
    from imbalanced.links import Links

S = 1_000_000_000

FIRST_NS, MOST_NS = 20 * S, 3600 * S
# A symbol without a trade since its socket was opened may be a quiet one; or its refusal was lost on the way.
UNHEARD_NS = 120 * S
# Of the requests that a venue allows in an hour the books come first.
SHARE = 0.5
QUIET = ("silent", "stale")


class _Asking(Struct):
    """``at_ns``: when to ask next (0: nothing is missed); ``since_ns``: since when something is."""

    at_ns: int = 0
    since_ns: int = 0
    attempts: int = 0


class Missed:
    """What one venue's symbols miss. ``refused``, ``opened`` and ``due`` are told what happens."""

    def __init__(self, books: Books, links: Links) -> None:
        self._books = books
        self._links = links
        self._asking: dict[str, _Asking] = {}

    def refused(self, lane: Lane, now_ns: int) -> None:
        """Something of this symbol is not served."""
        asking = self._asking.setdefault(lane.instrument.venue_symbol, _Asking())
        if not asking.at_ns:
            asking.since_ns = now_ns
            asking.at_ns = now_ns + min(FIRST_NS << min(asking.attempts, 8), MOST_NS)

    def opened(self, symbols: Iterable[str]) -> None:
        """All streams of these were asked for just now, on a new socket."""
        for symbol in symbols:
            self._asking.pop(symbol, None)

    @property
    def symbols(self) -> list[str]:
        """Those of which something is going to be asked for."""
        return [name for name, asking in self._asking.items() if asking.at_ns and self._books.lanes[name].valid]

    def due(self, now_ns: int) -> None:
        """Once a second: ask for what it is time for, one symbol at a time."""
        for lane in self._books.lanes.values():
            quiet = lane.trades.state in QUIET and not lane.trades.rate.thin
            unheard = lane.trades.heard_ns < lane.opened_ns <= now_ns - UNHEARD_NS
            if lane.valid and (quiet or unheard):
                self.refused(lane, now_ns)
        for symbol, asking in self._asking.items():
            lane = self._books.lanes[symbol]
            if lane.trades.heard_ns > asking.since_ns:  # they are served: to ask again would only interrupt them
                asking.at_ns = 0
            if asking.at_ns and now_ns >= asking.at_ns and lane.valid and lane.conn in self._links.up_ns:
                requests = self._books.codec.resubscribe_trades(symbol, lane.conn)
                asking.at_ns = self._links.subscribe(lane.conn, requests, now_ns, SHARE) if requests else 0
                asking.attempts += not asking.at_ns
                if requests:
                    return
