"""Each law of the oracle is broken once, by hand."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec import structs

from imbalanced.book import Book
from imbalanced.events import (
    BookChanged,
    BookInvalid,
    BookValid,
    Frame,
    GapKind,
    MetricSnapshot,
    Notice,
    Proof,
    Signal,
    Trade,
)
from imbalanced.sim import SIMS
from imbalanced.sim.market import Trade as MarketTrade
from imbalanced.sim.worlds import World
from imbalanced.sim.worlds.network import Ruling, Shown, Sold, Told
from imbalanced.sim.worlds.oracle import IMAGES_A_MINUTE, MINUTE_NS, SOCKETS_A_MINUTE, Oracle, Violated
from imbalanced.sim.worlds.stage import S
from imbalanced.states import State
from imbalanced.venues.codec import Send

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

    def hears(self, told: Shown, *outputs: Any, commands: Any = ()) -> None:
        self.oracle.fed(Frame(1, VENUE, 1, "ws", b""), told, list(outputs), commands)

    def has_lane(
        self, *, valid: bool, last_id: int = 0, state: State = State.LIVE, why: str = "", true_levels: bool = False
    ) -> Book:
        """A lane that says so of its book."""
        book = Book()
        book.live = valid
        for ladder, levels in zip((book.bids, book.asks), self.true.as_of[self.true.written], strict=True):
            for px, size in levels if true_levels else ():
                ladder.put(px, size)
        sync = SimpleNamespace(book=book, last_id=last_id)
        about = {"instrument": self.true.instrument, "conn": 1, "state": state, "why": why}
        lane: Any = SimpleNamespace(valid=valid, sync=sync, **about)
        self.watched.lane_of = lambda: lane
        return book

    def lives(self) -> Book:
        """A book that is LIVE, and the venue's."""
        book = self.has_lane(valid=True, last_id=self.true.written, true_levels=True)
        self.says(self.valid())
        return book

    @property
    def true(self) -> Any:
        return self.watched.true

    def lists(self, *instruments: Any) -> None:
        """The list of instruments is read, and nothing comes of it."""
        self.oracle.listed(VENUE, instruments)
        self.oracle.fed(Frame(1, VENUE, 0, "instruments", b""), None, [])

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


def test_a_trade_is_told_as_it_was_and_as_often_as_its_frame_came(court: Court) -> None:
    deals = [
        court.true.sold(MarketTrade(1, 1, tick, (lots,), "buy", forced=False), 5) for tick, lots in ((9, 2), (9, 3))
    ]
    bought = court.true.deals[deals[0]]
    right = court.of(Trade, px=bought.px, size=bought.size, sign=1, trade_id=-1)
    court.hears(Sold(court.true.symbol, 0), right)
    court.hears(Sold(court.true.symbol, 0, again=True), right)
    with pytest.raises(Violated, match="trade 0 told 3 times"):
        court.hears(Sold(court.true.symbol, 0), right)
    for wrong in ({"px": 1}, {"size": 9.0}, {"sign": -1}):
        with pytest.raises(Violated, match="a trade is told as"):
            court.hears(Sold(court.true.symbol, 1), structs.replace(right, **wrong))


def test_a_trade_with_a_number_is_told_once_and_in_its_order(court: Court) -> None:
    for lots in (2, 3, 4):
        court.true.sold(MarketTrade(1, 1, 9, (lots,), "sell", forced=False), 5)

    def tells(number: int, *, again: bool = False) -> None:
        deal = court.true.deals[number]
        out = court.of(Trade, px=deal.px, size=deal.size, sign=-1, trade_id=number + 7 * again)
        court.hears(Sold(court.true.symbol, number, again), out)

    tells(1)
    with pytest.raises(Violated, match="trade 1 told 2 times"):
        tells(1, again=True)
    with pytest.raises(Violated, match="trade 0 told after 1"):
        tells(0)
    tells(2)


def test_what_trades_are_missing_is_named(court: Court) -> None:
    court.lives()
    court.watched.lane_of().wanted = True
    for at_s in (1, 2):
        court.true.sold(MarketTrade(1, 1, 9, (2,), "sell", forced=False), at_s * S)
    assert court.oracle.untold(S, 2 * S) == [f"{VENUE} {court.name} (trade 0 of 1.000 s not told)"]
    assert [name for name in court.oracle.deaf(S) if court.name in name] == [f"{VENUE} {court.name} (no trade told)"]
    deal = court.true.deals[0]
    court.hears(Sold(court.true.symbol, 0), court.of(Trade, px=deal.px, size=deal.size, sign=-1, trade_id=7))
    assert court.oracle.untold(S, 2 * S) == []
    assert [name for name in court.oracle.deaf(S) if court.name in name] == []
    assert [name for name in court.oracle.deaf(2 * S) if court.name in name] != []


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
    book = court.lives()
    assert court.oracle.compared == 1
    book.asks.put(book.asks.px_at(0), 77.0)
    with pytest.raises(Violated, match="its asks have"):
        court.says(court.of(BookChanged, book=book, book_seq=1))


def test_a_book_in_doubt_is_judged_when_the_checksum_has_come(court: Court) -> None:
    book, version = court.lives(), court.true.written
    book.asks.put(book.asks.px_at(0), 77.0)
    court.hears(Told(court.true.symbol, version, is_last=False, in_doubt=True))
    with pytest.raises(Violated, match="its asks have"):
        court.hears(Told(court.true.symbol, version))


def test_the_doubt_of_a_socket_ends_with_it(court: Court) -> None:
    book = court.lives()
    book.asks.put(book.asks.px_at(0), 77.0)
    court.hears(Told(court.true.symbol, court.true.written, is_last=False, in_doubt=True))
    court.oracle.fed(Frame(1, VENUE, 1, "close", b""), None, [])
    with pytest.raises(Violated, match="its asks have"):
        court.says(court.of(BookChanged, book=book, book_seq=1))


# -- who is listed, who trades, who is refused -------------------------------------------------------------------------


def test_what_is_listed_no_more_must_be_closed_for_that(court: Court) -> None:
    court.has_lane(valid=False, state=State.CLOSED, why=GapKind.SYMBOL_GONE)
    court.lists()
    court.has_lane(valid=False, state=State.CLOSED, why=GapKind.SOCKET_CLOSED)
    with pytest.raises(Violated, match="listed no more, but closed"):
        court.lists()
    court.has_lane(valid=False, state=State.RESYNCING, why=GapKind.SYMBOL_GONE)
    with pytest.raises(Violated, match="listed no more, but resyncing"):
        court.lists()


def test_a_book_is_closed_as_gone_only_where_the_venue_does_not_have_it(court: Court) -> None:
    gone = court.of(BookInvalid, reason=GapKind.SYMBOL_GONE)
    court.lives()
    with pytest.raises(Violated, match="closed as gone, but the venue has it"):
        court.says(gone)
    court.oracle.may_go(VENUE, court.true.symbol)
    court.has_lane(valid=False, state=State.CLOSED, why=GapKind.SYMBOL_GONE)
    court.says(gone)
    assert not [name for name in court.oracle.missing() if court.name in name], "and then it is not missed"


def test_no_book_is_live_while_the_list_says_that_it_does_not_trade(court: Court) -> None:
    court.lives()
    idle = structs.replace(court.true.instrument, active=False)
    with pytest.raises(Violated, match="LIVE although list said"):
        court.lists(idle)
    court.oracle.fed(Frame(1, VENUE, 1, "open", b""), None, [])
    with pytest.raises(Violated, match="LIVE although list said"):
        court.says(court.of(BookChanged, book=Book(), book_seq=1))
    court.lists(court.true.instrument)


@pytest.mark.parametrize("whose", ["", "symbol"])
def test_no_book_is_live_while_the_venue_says_that_it_does_not_trade(court: Court, whose: str) -> None:
    symbol = whose and court.true.symbol
    court.lives()
    with pytest.raises(Violated, match=r"LIVE although (symbol|venue) said"):
        court.hears(Ruling(symbol, "halted"))
    court.hears(Ruling(symbol, "trading"))
    with pytest.raises(Violated, match="LIVE although"):
        court.hears(Ruling(symbol, "halted"))
    court.oracle.fed(Frame(1, VENUE, 1, "open", b""), None, [])
    court.says(court.of(BookChanged, book=Book(), book_seq=1))


def test_who_is_refused_is_told_by_name_and_nobody_else_pays(court: Court) -> None:
    refused = Ruling(court.true.symbol, "refused")
    named = court.of(Notice, what="subscribe_error", detail="no")
    court.hears(refused, named)
    unnamed = structs.replace(named, instrument="")
    court.hears(refused, unnamed, commands=[Send(venue=VENUE, conn=1, data=f"again {court.true.symbol}")])
    for wrong in ([], [structs.replace(named, detail="")], [unnamed], [named, structs.replace(named, instrument="X")]):
        with pytest.raises(Violated, match="refused, but told is"):
            court.hears(refused, *wrong)
    world = World(1, [SIMS["kraken"]])
    first, second, *_ = [watched.true for watched in world.oracle.books.values()]
    about: dict[str, Any] = {"venue": "kraken", "recv_ns": 1}
    lost = BookInvalid(instrument=second.instrument.symbol, reason=GapKind.SUBSCRIBE_REFUSED, **about)
    told = Notice(instrument=first.instrument.symbol, what="subscribe_error", detail="no", **about)
    valid = BookValid(instrument=second.instrument.symbol, book_seq=1, checks=(), **about)
    frame = Frame(1, "kraken", 1, "ws", b"")
    with pytest.raises(Violated, match="was lost by it"):
        world.oracle.fed(frame, Ruling(first.symbol, "refused"), [valid, lost, told])


def test_a_name_may_go_over_to_another_symbol(court: Court) -> None:
    """The old one stays watched: it must stay closed."""
    world = court.world
    (exchange,) = world.exchanges
    listing = replace(exchange.venue.listings(["DOGE/USDT"])[0], unified=court.name)
    court.oracle.may_go(VENUE, court.true.symbol)
    new = exchange.add(listing)
    court.oracle.watch(VENUE, new)
    court.oracle.called(VENUE, new)
    assert court.oracle.books[VENUE, court.name].true is new
    assert {one.symbol for one in court.oracle.ever(VENUE)} >= {court.true.symbol, listing.symbol}
    court.has_lane(valid=True)
    with pytest.raises(Violated, match="lane valid=True"):
        court.lists(new.instrument)
