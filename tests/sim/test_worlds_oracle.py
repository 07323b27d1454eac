"""Each law of the oracle is broken once, by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from imbalanced.book import Book
from imbalanced.events import BookChanged, BookInvalid, BookValid, Frame, GapKind, MetricSnapshot, Proof, Signal, Trade
from imbalanced.sim import SIMS
from imbalanced.sim.worlds import World
from imbalanced.sim.worlds.oracle import IMAGES_A_MINUTE, MINUTE_NS, SOCKETS_A_MINUTE, Oracle, Violated

VENUE = "kucoin"


class Court:
    """An oracle over one book that is not LIVE."""

    def __init__(self) -> None:
        self.world = World(1, [SIMS[VENUE]])
        self.oracle: Oracle = self.world.oracle
        (_, self.name), self.watched = next(iter(self.oracle.books.items()))
        self.watched.lane_of = lambda: None

    def says(self, *outputs: Any) -> None:
        self.oracle.fed(Frame(1, VENUE, 1, "ws", b""), None, list(outputs))

    def has_lane(self, *, valid: bool, last_id: int = 0) -> Book:
        """A lane that says so of its book."""
        book = Book()
        book.live = valid
        sync = SimpleNamespace(book=book, last_id=last_id)
        lane: Any = SimpleNamespace(valid=valid, sync=sync, instrument=self.watched.true.instrument, conn=1)
        self.watched.lane_of = lambda: lane
        return book

    def of(self, kind: type, /, **more: Any) -> Any:
        return kind(venue=VENUE, instrument=self.name, recv_ns=1, **more)

    def valid(self) -> Any:
        return self.of(BookValid, book_seq=1, checks=())

    def signal(self, event: Any, id_: str = "a") -> Any:
        proof = Proof(book_seq=1, book_age_ms=0, checks=[], gaps_1h=0)
        fields = {"side": "buy", "ts_ns": 1, "strength": 1.0, "score": 1.0, "confidence": None, "mid": None}
        more = {"horizon_ms": 1, "evidence": {}, "proof": proof, "reason": None, "config": ""}
        return self.of(Signal, id=id_, event=event, kind="k", **fields, **more)


@pytest.fixture
def court() -> Court:
    return Court()


def test_a_book_is_valid_once(court: Court) -> None:
    court.says(court.valid())
    with pytest.raises(Violated, match="BookValid twice"):
        court.says(court.valid())


def test_only_what_was_valid_is_lost(court: Court) -> None:
    lost = court.of(BookInvalid, reason=GapKind.SEQUENCE_GAP)
    court.says(court.valid(), lost)
    with pytest.raises(Violated, match="was not valid"):
        court.says(lost)


def test_books_change_only_while_valid(court: Court) -> None:
    with pytest.raises(Violated, match="BookChanged while"):
        court.says(court.of(BookChanged, book=Book(), book_seq=1))


def test_signals_open_only_while_their_book_is_valid(court: Court) -> None:
    with pytest.raises(Violated, match="opened while"):
        court.says(court.signal("open"))


def test_signals_open_once_and_close_what_is_open(court: Court) -> None:
    court.says(court.valid(), court.signal("open"), court.signal("update"), court.signal("close"))
    with pytest.raises(Violated, match="close of what is not open"):
        court.says(court.signal("close"))
    court.says(court.signal("open", "b"))
    with pytest.raises(Violated, match="opened twice"):
        court.says(court.signal("open", "b"))


def test_no_open_signal_outlives_its_book(court: Court) -> None:
    court.says(court.valid(), court.signal("open"))
    court.has_lane(valid=False)
    with pytest.raises(Violated, match="outlive"):
        court.says(court.of(BookInvalid, reason=GapKind.SEQUENCE_GAP))


def test_a_trade_is_told_once(court: Court) -> None:
    trade = court.of(Trade, px=1, size=1.0, sign=1, trade_id=7)
    court.says(trade, court.of(Trade, px=1, size=1.0, sign=1, trade_id=-1))
    court.says(court.of(Trade, px=1, size=1.0, sign=1, trade_id=-1))
    with pytest.raises(Violated, match="told twice"):
        court.says(trade)


def test_of_a_book_that_is_not_valid_nothing_is_known(court: Court) -> None:
    def snapshot(**values: float | None) -> Any:
        return court.of(MetricSnapshot, ts_ns=1, book_seq=-1, mid=None, values=values)

    court.says(snapshot(depth_imbalance=None, trade_imbalance=0.5))
    with pytest.raises(Violated, match="not valid"):
        court.says(snapshot(depth_imbalance=0.5))


def test_images_and_sockets_come_in_no_storm(court: Court) -> None:
    for at in range(IMAGES_A_MINUTE):
        court.oracle.asked(VENUE, "x", at)
    court.oracle.asked(VENUE, "y", IMAGES_A_MINUTE)
    court.oracle.asked(VENUE, "x", MINUTE_NS + IMAGES_A_MINUTE)
    for at in range(SOCKETS_A_MINUTE):
        court.oracle.opened(VENUE, 1, at)
    with pytest.raises(Violated, match="storm"):
        court.oracle.opened(VENUE, 1, SOCKETS_A_MINUTE)
    for at in range(IMAGES_A_MINUTE - 1):
        court.oracle.asked(VENUE, "x", MINUTE_NS + IMAGES_A_MINUTE + at)
    with pytest.raises(Violated, match="storm"):
        court.oracle.asked(VENUE, "x", MINUTE_NS + 2 * IMAGES_A_MINUTE)


def test_what_is_not_live_is_named(court: Court) -> None:
    assert court.oracle.missing()[0].startswith(f"{VENUE} {court.name} (no instruments)")


def test_a_lane_and_what_was_said_of_it_must_agree(court: Court) -> None:
    court.has_lane(valid=True)
    with pytest.raises(Violated, match="told valid=False, lane valid=True"):
        court.says(court.of(Trade, px=1, size=1.0, sign=1, trade_id=1))


def test_a_live_book_of_an_id_that_was_never_told(court: Court) -> None:
    court.has_lane(valid=True, last_id=5)
    with pytest.raises(Violated, match="LIVE as of 5, which the venue never told"):
        court.says(court.valid())


def test_a_live_book_must_be_the_venues_book(court: Court) -> None:
    true = court.watched.true
    book = court.has_lane(valid=True, last_id=true.written)
    for ladder, levels in zip((book.bids, book.asks), true.as_of[true.written], strict=True):
        for px, size in levels:
            ladder.put(px, size)
    court.says(court.valid())
    assert court.oracle.compared == 1
    book.asks.put(book.asks.px_at(0), 77.0)
    with pytest.raises(Violated, match="its asks have"):
        court.says(court.of(BookChanged, book=book, book_seq=1))
