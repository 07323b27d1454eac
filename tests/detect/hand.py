"""A desk moved by hand: levels, trades and time, and what its detectors say."""

from __future__ import annotations

from typing import Any

import orjson
from scripted import TABLES, VENUE

from imbalanced.book import Book, Rows
from imbalanced.config import load
from imbalanced.detect.across import Floor
from imbalanced.detect.cohorts import Cohorts
from imbalanced.detect.desk import Desk
from imbalanced.detect.detector import Detector
from imbalanced.events import Instrument
from imbalanced.metrics.lifecycle import EVENTS
from imbalanced.pipeline import furnish

MS = 1_000_000
S = 1_000_000_000
T = 1_700_000_000 * S
UNIT = 10**8
VENUES: dict[str, Any] = {VENUE: {}, "okx": {}}
NOW = {"min_duration": "0ms"}


def px(price: float) -> int:
    return round(price * UNIT)


class Hand:
    """One instrument with one detector. Times are those of the venue and of receipt at once."""

    def __init__(
        self,
        detector: dict[str, Any],
        *others: dict[str, Any],
        venue: str = VENUE,
        symbol: str = "AAA/USDT",
        tick: str = "0.1",
        floor: Floor | None = None,
    ) -> None:
        given = {"venues": VENUES, "filters": "off", "metrics": [], "detectors": [detector, *others]}
        config = load(orjson.dumps(given).decode(), TABLES, environ={}, read_text=_no_file)
        instrument = Instrument(venue=venue, symbol=symbol, venue_symbol=symbol, tick=tick)
        self.desk: Desk
        self.desk, _, _ = furnish(config, venue, instrument, floor)
        self.one: Detector = self.desk.detectors[0]
        self.book = Book()
        self.now_ns = T
        self.said: list[str] = []
        self.cohorts: Cohorts | None = None

    def remembering(self) -> Hand:
        """Somebody knows from now on what came when, as while the filter ``spoof`` is on."""
        self.cohorts = Cohorts()
        self.one.age_by(self.cohorts)
        return self

    def image(self, bids: dict[float, float], asks: dict[float, float]) -> Hand:
        """A book proven now."""
        self.book.replace(_rows(bids, asks))
        self.book.live = True
        if self.cohorts is not None:
            self.cohorts.book_replaced(self.book, self.now_ns)
        return self._heard(self.desk.book_replaced(self.book, self.now_ns, self.now_ns))

    def change(self, bids: dict[float, float] | None = None, asks: dict[float, float] | None = None) -> Hand:
        """A delta."""
        self.book.apply(_rows(bids or {}, asks or {}))
        if self.cohorts is not None:
            self.cohorts.book_changed(self.book, self.now_ns)
        return self._heard(self.desk.book_changed(self.book, self.now_ns, self.now_ns))

    def lost(self) -> Hand:
        """The book is not to be trusted."""
        self.book.clear()
        return self._heard(self.desk.book_invalid(self.now_ns))

    def buy(self, size: float, price: float = 100.1) -> Hand:
        return self._heard(self.desk.trade(px(price), size, 1, self.now_ns, self.now_ns))

    def sell(self, size: float, price: float = 99.9) -> Hand:
        return self._heard(self.desk.trade(px(price), size, -1, self.now_ns, self.now_ns))

    def context(self, **told: object) -> Hand:
        return self._heard(self.desk.context(told, self.now_ns, self.now_ns))

    def wait(self, seconds: float) -> Hand:
        self.now_ns += int(seconds * S)
        return self

    def clock(self) -> Hand:
        return self._heard(self.desk.clock(self.now_ns))

    def take(self) -> list[str]:
        """The opens and closes of the first detector since the last time this was asked."""
        said, self.said = self.said, []
        return [one for one in said if not one.startswith("update")]

    def _heard(self, count: int) -> Hand:
        assert count == len(self.desk.fired)
        for detector, said in self.desk.fired:
            if detector is self.one:
                side = "buy" if detector.lifecycle.side > 0 else "sell"
                self.said.append(f"{EVENTS[said]} {side}")
        return self


def steady(hand: Hand, seconds: int, sizes: tuple[float, ...] = (1.0, 1.2, 0.9)) -> Hand:
    """A calm market: ten deltas a second at 99.9 and 100.1, a small trade to and fro each second."""
    for i in range(seconds * 10):
        hand.wait(0.1)
        if i % 2:
            hand.change({99.9: sizes[i % len(sizes)]})
        else:
            hand.change({}, {100.1: sizes[(i // 2) % len(sizes)]})
        if i % 10 == 5:
            hand.buy(0.1) if i % 20 == 5 else hand.sell(0.1)
    return hand


def _rows(bids: dict[float, float], asks: dict[float, float]) -> Rows:
    rows = Rows()
    for price, size in sorted(bids.items(), reverse=True):
        rows.add(px(price), size)
    rows.end_bids()
    for price, size in sorted(asks.items()):
        rows.add(px(price), size)
    return rows


def _no_file(path: str) -> str:
    raise OSError(f"{path}: this test reads no file")
