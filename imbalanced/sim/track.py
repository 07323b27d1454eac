"""One `book` flow: what its clients know of the book, so that its messages and its images follow each other.

Pure. Of a book with a depth, clients know the best levels of a side: a level that enters that window is told although
nothing happened to it, one that falls out of it is deleted, or not told at all, as the venue has it.
"""

from __future__ import annotations

from collections.abc import Sequence

from imbalanced.sim.market import BookSide, Change, Ladder, Level, Market
from imbalanced.sim.wire import Changes, Image, Stream, Touched, Wire

SIDES: tuple[BookSide, BookSide] = ("bid", "ask")
RESTART_ID = 1_000  # a service that starts anew with lower ids begins here


class Track:
    """The flow of one symbol at one depth and interval. `last_id` and `number` are those of its last message."""

    def __init__(self, market: Market, stream: Stream, wire: Wire, ms: int) -> None:
        self.stream = stream
        self.last_id = wire.update_id(market.last_id)
        self.number = wire.first_number
        self._market = market
        self._wire = wire
        self._ms = ms  # engine time of the last message
        self._said_ms = ms
        self._shift = 0
        self._restarting = False
        self._was: dict[BookSide, dict[int, int]] = {side: {} for side in SIDES}
        self._edges: dict[BookSide, float] = {side: market.ladder(side).edge(stream.levels) for side in SIDES}

    def note(self, change: Change) -> None:
        """Something happened since the last message."""
        self._was[change.side].setdefault(change.tick, change.was)

    def restart(self) -> None:
        """The venue's service starts anew with the next message."""
        self._restarting = True

    def image(self) -> Image:
        """What a client that heard every message knows."""
        bids, asks = (self._known(side) for side in SIDES)
        return Image(self.last_id, self._ms, bids, asks, self.number)

    def flush(self, ms: int, now_ms: int) -> Changes | Image | None:
        """The next message; `ms` is the engine's time of the last change. None when there is nothing to say."""
        if self._restarting and self._wire.restart:
            return self._begun_anew(ms, now_ms)
        bids, asks = (self._told(side) for side in SIDES)
        if not bids and not asks:
            return self._idle(now_ms)
        previous, self.last_id = self.last_id, self._written()
        return self._said(previous, ms, now_ms, bids, asks)

    def _begun_anew(self, ms: int, now_ms: int) -> Changes | Image:
        self._restarting = False
        bids, asks = (self._told(side) for side in SIDES)
        previous = self.last_id
        if self._wire.restart == "lower":
            self._shift = self._wire.update_id(self._market.last_id) - RESTART_ID
            self.last_id = self._written()
            return self._said(previous, ms, now_ms, bids, asks)
        self.last_id, self.number, self._ms, self._said_ms = self._written(), 1, ms, now_ms
        return self.image()

    def _idle(self, now_ms: int) -> Changes | None:
        if not self._wire.idle_ms or now_ms - self._said_ms < self._wire.idle_ms:
            return None
        return self._said(self.last_id, self._ms, now_ms, (), ())

    def _said(self, previous: int, ms: int, now_ms: int, bids: Sequence[Touched], asks: Sequence[Touched]) -> Changes:
        self.number += len(bids) + len(asks) if self._wire.counts_levels else 1
        self._ms, self._said_ms = ms, now_ms
        best = self._wire.checksum_levels
        top = Image(self.last_id, ms, self._market.bids(best), self._market.asks(best), self.number)
        return Changes(self.number, previous, self.last_id, ms, bids, asks, top)

    def _written(self) -> int:
        return self._wire.update_id(self._market.last_id) - self._shift

    def _told(self, side: BookSide) -> list[Touched]:
        """The changes of one side, best first, after which clients know it as it is."""
        ladder, old = self._market.ladder(side), self._edges[side]
        was, new = self._was[side], ladder.edge(self.stream.levels)
        told: list[Touched] = []
        for tick, before in was.items():
            lots = ladder.lots(tick)
            knew = before if ladder.rank(tick) >= old else 0
            knows = lots if ladder.rank(tick) >= new else 0
            if knew != knows and (knows or not lots or self._wire.tells_leaving):
                told.append(Touched(tick, knows, knew))
        if new < old:
            told += [Touched(tick, lots, 0) for tick, lots in ladder.between(new, old) if tick not in was]
        elif new > old and self._wire.tells_leaving:
            told += [Touched(tick, 0, lots) for tick, lots in ladder.between(old, new) if tick not in was]
        was.clear()
        self._edges[side] = new
        return sorted(told, key=lambda one: -ladder.rank(one.tick))

    def _known(self, side: BookSide) -> list[Level]:
        """One side as of the last message, best first."""
        ladder: Ladder = self._market.ladder(side)
        levels = dict(ladder.levels())
        for tick, lots in self._was[side].items():
            if lots:
                levels[tick] = lots
            else:
                levels.pop(tick, None)
        ranked = sorted(levels.items(), key=lambda level: -ladder.rank(level[0]))
        return ranked[: self.stream.levels or None]
