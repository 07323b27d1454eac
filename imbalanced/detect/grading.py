"""What a signal was worth: every opened signal is graded by the run itself, when its time has come.

Entry is the mid as of ``latency`` after the open, exit the mid as of ``horizon`` after that, both in the book's event
time; the return is signed by the signal's side (a signal without a side is graded on the absolute return) and less the
cost of a round trip. The grade exists only at that later time, so nothing looks ahead, live or replayed. A book that is
lost takes the pending grades with it: nothing is bridged.

Beside the configured horizons every signal is graded at its own (``Signal.horizon_ms``); that grade is the outcome from
which confidence is learned.
"""

from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING

from imbalanced.detect.confidence import Owner
from imbalanced.events import Graded, Ungraded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imbalanced.book import Book
    from imbalanced.detect.confidence import Track
    from imbalanced.events import Signal

NS_PER_MS = 1_000_000


class _Pending:
    """One opened signal that waits for its grades. A ``silent`` one was held back: only its outcome counts."""

    __slots__ = ("entry", "entry_ns", "exits_ns", "signal", "silent")

    def __init__(self, signal: Signal, entry_ns: int, exits_ns: list[tuple[int, int]], *, silent: bool) -> None:
        self.signal = signal
        self.entry_ns = entry_ns
        self.entry = nan
        self.exits_ns = exits_ns
        self.silent = silent


class Grader:
    """The pending grades of one instrument. ``step`` is only worth calling while there are any."""

    def __init__(self, latency_ms: int, horizons_ms: Sequence[int], cost_bps: float, track: Track) -> None:
        self.pending: list[_Pending] = []
        self._latency_ns = latency_ms * NS_PER_MS
        self._horizons_ms = frozenset(horizons_ms)
        self._cost = cost_bps * 1e-4
        self._track = track
        self._mid = nan

    def opened(self, signal: Signal, book: Book, t_ns: int) -> None:
        """A signal was opened at this time of the book."""
        self._mid = _mid(book)
        entry_ns = t_ns + self._latency_ns
        horizons_ms = sorted(self._horizons_ms | {signal.horizon_ms})
        exits_ns = [(entry_ns + h * NS_PER_MS, h) for h in horizons_ms]
        self.pending.append(_Pending(signal, entry_ns, exits_ns, silent=False))

    def held_back(self, signal: Signal, book: Book, t_ns: int) -> None:
        """A signal was not published, and its outcome counts all the same; see :meth:`waits_for`."""
        self._mid = _mid(book)
        entry_ns = t_ns + self._latency_ns
        exits_ns = [(entry_ns + signal.horizon_ms * NS_PER_MS, signal.horizon_ms)]
        self.pending.append(_Pending(signal, entry_ns, exits_ns, silent=True))

    def waits_for(self, kind: str) -> bool:
        """Whether one of this kind that was held back is still waiting: one at a time is enough, as they overlap."""
        return any(one.silent and one.signal.kind == kind for one in self.pending)

    def lost(self, recv_ns: int) -> list[Ungraded]:
        """The book is gone: what waits cannot be graded."""
        told = [
            Ungraded(
                venue=one.signal.venue,
                instrument=one.signal.instrument,
                recv_ns=recv_ns,
                kind=one.signal.kind,
                id=one.signal.id,
                horizons_ms=tuple(horizon_ms for _, horizon_ms in one.exits_ns),
            )
            for one in self.pending
            if not one.silent
        ]
        self.pending.clear()
        return told

    def step(self, book: Book, t_ns: int, recv_ns: int) -> list[Graded]:
        """The book's time is now ``t_ns`` and its state that of ``book``: what can be graded with the state before."""
        graded: list[Graded] = []
        for one in self.pending:
            if one.entry != one.entry and t_ns > one.entry_ns:
                one.entry = self._mid
            while one.exits_ns and t_ns > one.exits_ns[0][0]:
                exit_ns, horizon_ms = one.exits_ns.pop(0)
                grade = self._grade(one, horizon_ms, recv_ns)
                if horizon_ms == one.signal.horizon_ms:
                    self._learn(one, exit_ns, grade.net)
                if not one.silent:
                    graded.append(grade)
        self.pending = [one for one in self.pending if one.exits_ns]
        mid = _mid(book)
        if mid == mid:
            self._mid = mid
        return graded

    def _learn(self, one: _Pending, exit_ns: int, net: float) -> None:
        owner = Owner(one.signal.kind, one.signal.venue, one.signal.instrument)
        self._track.outcome(owner, one.signal.strength, opened_ns=one.entry_ns, known_ns=exit_ns, net=net)

    def _grade(self, one: _Pending, horizon_ms: int, recv_ns: int) -> Graded:
        gross = (self._mid - one.entry) / one.entry
        if one.signal.side == "none":
            gross = abs(gross)
        elif one.signal.side == "sell":
            gross = -gross
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
