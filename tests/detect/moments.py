"""Moments for filters, by hand: a desk with a book of a few levels, detectors, a kit, and the time."""

from __future__ import annotations

from typing import Any

from scripted import LEAN, PUSH, VENUE, configured

from imbalanced.book import Book, Rows
from imbalanced.detect.desk import Desk
from imbalanced.detect.detector import Detector
from imbalanced.detect.filters import Chain, Moment, Peer
from imbalanced.events import Instrument
from imbalanced.pipeline import furnish

S = 1_000_000_000
MS = 1_000_000
T = 1_700_000_000 * S
UNIT = 10**8  # integer prices per unit of price
TICK = UNIT // 10

# Thresholds that nothing reaches: the side of a scene stays what it is.
QUIET_LEAN: dict[str, Any] = {**LEAN, "on": 2}
QUIET_PUSH: dict[str, Any] = {**PUSH, "on": 1_000_000_000}


class Scene:
    """One instrument. ``of_book`` and ``of_trades`` are its detectors, both on one ``side``."""

    def __init__(
        self,
        *detectors: dict[str, Any],
        symbol: str = "AAA/USDT:USDT",
        venue: str = VENUE,
        filters: object = None,
        event_ns: int = 0,
        side: int = 1,
    ) -> None:
        config = configured(*(detectors or (QUIET_LEAN, QUIET_PUSH)), filters=filters if filters is not None else {})
        self.instrument = Instrument(venue=venue, symbol=symbol, venue_symbol="AAA", base="AAA", tick="0.1")
        self.desk: Desk
        self.chain: Chain
        self.desk, _, self.chain = furnish(config, VENUE, self.instrument)
        self.valid_since_ns = T
        self.now_ns = T
        self.event_ns = event_ns  # before receipt; 0: the venue gives no time
        self.peers: list[Peer] = []
        self.image()
        for one in self.desk.detectors:
            # Once opened and closed: the side stays.
            for t_ns in (T - 200 * S, T - 100 * S):
                one.lifecycle.value(1e9 * side, t_ns)
            one.lifecycle.invalid(T - 50 * S)

    @property
    def of_book(self) -> Detector:
        return self.detector(0)

    @property
    def of_trades(self) -> Detector:
        return self.detector(1)

    def detector(self, i: int) -> Detector:
        found: Detector = self.desk.detectors[i]
        return found

    def at(self, seconds: float) -> Scene:
        self.now_ns = T + round(seconds * 1e9)
        return self

    def _event_ns(self) -> int:
        return self.now_ns - self.event_ns if self.event_ns else 0

    def image(self, size: float = 1000.0, levels: int = 30, spread: int = 1) -> Scene:
        """A new book around 100: so many levels a side, each of this size, the best so many ticks apart."""
        rows = Rows()
        for i in range(levels):
            rows.add(100 * UNIT - i * TICK, size)
        rows.end_bids()
        for i in range(levels):
            rows.add(100 * UNIT + (spread + i) * TICK, size)
        made = Book()
        made.replace(rows)
        made.live = True
        self.desk.book_replaced(made, self._event_ns(), self.now_ns)
        return self

    def delta(self, bids: dict[int, float] | None = None, asks: dict[int, float] | None = None) -> Scene:
        """New sizes by rank of the first image: so many ticks behind 100.0 and 100.1."""
        rows = Rows()
        for i, size in (bids or {}).items():
            rows.add(100 * UNIT - i * TICK, size)
        rows.end_bids()
        for i, size in (asks or {}).items():
            rows.add(100 * UNIT + (1 + i) * TICK, size)
        book: Book = self.desk.book
        book.apply(rows)
        self.desk.book_changed(book, self._event_ns(), self.now_ns)
        return self

    def trade(self, size: float, sign: int = 1, ticks: int = 0) -> Scene:
        px = 100 * UNIT + (1 + ticks) * TICK if sign > 0 else 100 * UNIT - ticks * TICK
        self.desk.trade(px, size, sign, self._event_ns(), self.now_ns)
        return self

    def now(self) -> Moment:
        return Moment(self.desk, self.valid_since_ns, self.now_ns, self.instrument, tuple(self.peers))

    def tick(self) -> Scene:
        """The pipeline's clock."""
        self.desk.clock(self.now_ns)
        self.chain.observe(self.now())
        return self

    def steady(self, begin: float, end: float, step: float = 1.0) -> Scene:
        """Ticks, and a delta with each that changes next to nothing."""
        for i in range(round((end - begin) / step)):
            self.at(begin + i * step).delta({25: 1000.0 + i % 2}, {25: 1000.0 + i % 2}).tick()
        return self.at(end)

    def peer(self) -> Peer:
        return Peer(self.instrument, self.desk, self.chain.kit)
