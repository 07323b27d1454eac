"""What a signal was worth: every opened signal is graded by the run itself, when its time has come.

Entry is the mid as of ``latency`` after the open, exit the mid as of ``horizon`` after that, both in the book's event
time; the return is signed by the signal's side and less the cost of a round trip. The grade exists only at that later
time, so nothing looks ahead, live or replayed. A book that is lost takes the pending grades with it: nothing is
bridged.
"""

from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING

from imbalanced.events import Graded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imbalanced.book import Book
    from imbalanced.events import Signal

NS_PER_MS = 1_000_000


class _Pending:
    """One opened signal that waits for its grades."""

    __slots__ = ("entry", "entry_ns", "exits_ns", "signal")

    def __init__(self, signal: Signal, entry_ns: int, exits_ns: list[tuple[int, int]]) -> None:
        self.signal = signal
        self.entry_ns = entry_ns
        self.entry = nan
        self.exits_ns = exits_ns


class Grader:
    """The pending grades of one instrument. ``step`` is only worth calling while there are any."""

    def __init__(self, latency_ms: int, horizons_ms: Sequence[int], cost_bps: float) -> None:
        self.pending: list[_Pending] = []
        self._latency_ns = latency_ms * NS_PER_MS
        self._horizons_ms = tuple(horizons_ms)
        self._cost = cost_bps * 1e-4
        self._mid = nan

    def opened(self, signal: Signal, book: Book, t_ns: int) -> None:
        """A signal was opened at this time of the book."""
        self._mid = _mid(book)
        entry_ns = t_ns + self._latency_ns
        self.pending.append(_Pending(signal, entry_ns, [(entry_ns + h * NS_PER_MS, h) for h in self._horizons_ms]))

    def lost(self) -> None:
        """The book is gone: what waits cannot be graded."""
        self.pending.clear()

    def step(self, book: Book, t_ns: int, recv_ns: int) -> list[Graded]:
        """The book's time is now ``t_ns`` and its state that of ``book``: what can be graded with the state before."""
        graded: list[Graded] = []
        for one in self.pending:
            if one.entry != one.entry and t_ns > one.entry_ns:
                one.entry = self._mid
            while one.exits_ns and t_ns > one.exits_ns[0][0]:
                _, horizon_ms = one.exits_ns.pop(0)
                graded.append(self._grade(one, horizon_ms, recv_ns))
        self.pending = [one for one in self.pending if one.exits_ns]
        mid = _mid(book)
        if mid == mid:
            self._mid = mid
        return graded

    def _grade(self, one: _Pending, horizon_ms: int, recv_ns: int) -> Graded:
        side = 1.0 if one.signal.side == "buy" else -1.0
        gross = side * (self._mid - one.entry) / one.entry
        return Graded(
            venue=one.signal.venue,
            instrument=one.signal.instrument,
            recv_ns=recv_ns,
            kind=one.signal.kind,
            id=one.signal.id,
            horizon_ms=horizon_ms,
            gross=gross,
            net=gross - self._cost,
        )


def _mid(book: Book) -> float:
    """Twice the mid in price units; only ratios of it are used."""
    return float(book.bids.px_at(0) + book.asks.px_at(0)) if book.ok() else nan
