"""Each kind of frame in the table of the module, the checksum of books and orders, and what a missing frame does."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from zlib import crc32

import msgspec
import orjson
import pytest
from missing import book_frames, frames_of, story

from imbalanced.book import Book
from imbalanced.events import BookChanged, BookInvalid, BookValid, Frame, Instrument
from imbalanced.orders import Act, OrderChange, Orders
from imbalanced.session import Session
from imbalanced.venues import VENUES
from imbalanced.venues.codec import (
    Answer,
    ClosingSoon,
    CodecError,
    Context,
    Forced,
    Image,
    Open,
    Print,
    Reconnect,
    Send,
    SocketGap,
    Trading,
)
from imbalanced.venues.diff import Diff

VENUE, BY_ORDER = "bitfinex", "bitfinex_orders"
UNIT = 10**8
MS = 1_000_000
BTC, PERP = "tBTCUSD", "tBTCF0:USTF0"
SENT_MS = 1_700_000_000_000


def subscribed(channel: str, chan_id: int, **more: Any) -> dict[str, Any]:
    return {"event": "subscribed", "channel": channel, "chanId": chan_id, **more}


class Wire:
    """One codec and one socket with a book (1), trades (2) and both kinds of status (3, 4); counts its own arrays."""

    def __init__(self, venue: str = VENUE) -> None:
        self.codec = VENUES[venue].codec(venue)
        self.count = 0
        prec = "R0" if venue == BY_ORDER else "P0"
        self.ws({"event": "conf", "status": "OK", "flags": 229376})
        self.ws(subscribed("book", 1, symbol=BTC, prec=prec, freq="F0", len="250", pair="BTCUSD"))
        self.ws(subscribed("trades", 2, symbol=BTC, pair="BTCUSD"))
        self.ws(subscribed("status", 3, key=f"deriv:{PERP}"))
        self.ws(subscribed("status", 4, key="liq:global"))

    def ws(self, message: Any) -> list[Any]:
        data = message if isinstance(message, bytes) else orjson.dumps(message)
        return self.codec.decode(Frame(1, VENUE, 1, "ws", data))

    def says(self, chan_id: int, *parts: str) -> list[Any]:
        """An array as the venue writes it, with counter and time behind it."""
        self.count += 1
        return self.ws(f"[{chan_id},{','.join(parts)},{self.count},{SENT_MS}]".encode())


def checksum(*parts: str) -> int:
    summed = crc32(":".join(parts).encode())
    return summed - (1 << 32) if summed >= 1 << 31 else summed


# -- books -------------------------------------------------------------------------------------------------------------


def test_an_image_and_a_diff() -> None:
    wire = Wire()
    (image,) = wire.says(1, "[[100.5,2,1.5],[100,1,2.5e-7],[101,3,-4]]")
    assert isinstance(image, Image)
    assert (image.symbol, image.event_ns) == (BTC, SENT_MS * MS)
    assert image.rows.bids() == [(10_050_000_000, 1.5), (100 * UNIT, 2.5e-7)]
    assert image.rows.asks() == [(101 * UNIT, 4.0)]
    (diff,) = wire.says(1, "[100.5,1,0.5]")
    assert isinstance(diff, Diff)
    assert (diff.symbol, diff.rows.bids(), diff.rows.asks()) == (BTC, [(10_050_000_000, 0.5)], [])
    (diff,) = wire.says(1, "[101,0,-1]")
    assert (diff.rows.bids(), diff.rows.asks()) == ([], [(101 * UNIT, 0.0)])


def test_an_empty_book() -> None:
    (image,) = Wire().says(1, "[]")
    assert (type(image), image.rows.n) == (Image, 0)


def test_tiny_prices() -> None:
    (diff,) = Wire().says(1, "[2e-8,1,-1000.25]")
    assert diff.rows.asks() == [(2, 1000.25)]


def test_a_grouped_book_is_another_one() -> None:
    wire = Wire()
    wire.ws(subscribed("book", 9, symbol=BTC, prec="P1", freq="F0", len="25"))
    assert wire.says(9, "[[100,1,1]]") == []


def test_orders() -> None:
    wire = Wire(BY_ORDER)
    (image,) = wire.says(1, "[[11,100.5,1.5],[12,101,-2.5e-7]]")
    assert isinstance(image, Image)
    assert list(image.orders) == [
        OrderChange(Act.PUT, 11, 1, 10_050_000_000, Decimal("1.5")),
        OrderChange(Act.PUT, 12, -1, 101 * UNIT, Decimal("2.5e-7")),
    ]
    (diff,) = wire.says(1, "[12,0,-1]")
    assert diff.orders == [OrderChange(Act.REMOVE, 12)]


# -- the proofs --------------------------------------------------------------------------------------------------------


def test_a_hole_in_the_counter_is_said_of_the_socket() -> None:
    wire = Wire()
    wire.says(1, "[[100,1,1]]")
    wire.count += 1
    gap, diff = wire.says(1, "[100,1,2]")
    assert (gap, type(diff)) == (SocketGap("3 after 1"), Diff)
    assert [type(one) for one in wire.says(1, "[100,1,3]")] == [Diff], "said once"
    wire.count += 1
    assert wire.says(2, '"hb"') == [SocketGap("6 after 4")], "heartbeats count as well"
    wire.count += 1
    wire.ws(subscribed("ticker", 77, symbol=BTC, pair="BTCUSD"))
    assert wire.says(77, "[1,2,3]") == [SocketGap("8 after 6")], "and channels that concern us not"
    wire.codec.opened(1)
    wire.ws(subscribed("book", 1, symbol=BTC, prec="P0"))
    wire.count = 0
    assert [type(one) for one in wire.says(1, "[100,1,3]")] == [Diff], "each socket counts for itself"


def test_a_hole_before_a_malformed_frame_is_not_lost() -> None:
    wire = Wire()
    wire.says(1, "[[100,1,1]]")
    with pytest.raises(CodecError) as caught:
        wire.says(1, "[100,1]")
    assert caught.value.symbol == BTC
    wire.count += 1
    with pytest.raises(CodecError) as caught:
        wire.says(1, "[100,1]")
    assert caught.value.symbol == "", "the book of this channel is not the only one in doubt"


def test_what_stands_behind_a_payload_was_agreed_on() -> None:
    wire = Wire()
    wire.ws({"event": "conf", "status": "OK", "flags": 65536})
    assert wire.ws(b"[1,[100,1,1],7]")[0].event_ns == 0
    assert wire.ws(b"[1,[100,1,1],9]")[0] == SocketGap("9 after 7")
    wire.ws({"event": "conf", "status": "OK", "flags": 32768})
    assert wire.ws(b'[1,[100,1,1],1590596820151,"book","BTCUSD"]')[0].event_ns == 1_590_596_820_151 * MS
    wire.ws({"event": "conf", "status": "OK", "flags": 0})
    assert type(wire.ws(b"[1,[100,1,1]]")[0]) is Diff
    wire.ws({"event": "conf", "status": "OK", "flags": 229376})
    with pytest.raises(CodecError):
        wire.ws(b"[1,[100,1,1]]")
    assert wire.ws({"event": "conf", "status": "FAILED", "flags": 7})[0].error.startswith("flags 7 refused")


def applied(book: Book, messages: list[Any]) -> Any:
    (message,) = messages
    if isinstance(message, Image):
        book.replace(message.rows)
    else:
        book.apply(message.rows)
    return message


def test_a_checksum_of_levels() -> None:
    """Numbers are as JavaScript writes them: no zeros behind, tiny ones with an exponent."""
    wire, book = Wire(), Book()
    applied(book, wire.says(1, "[[100.5,2,1.50],[100,1,2.5e-7],[101,3,-4.0],[102,1,-19203.444049780002]]"))
    right = checksum("100.5", "1.5", "101", "-4", "100", "2.5e-7", "102", "-19203.444049780002")
    sum_of = applied(book, wire.says(1, '"cs"', str(right)))
    assert (sum_of.checked, sum_of.symbol, sum_of.rows.n) == (True, BTC, 0)
    assert wire.codec.verify(sum_of, book)
    assert not wire.codec.verify(wire.says(1, '"cs"', str(right + 1))[0], book)
    applied(book, wire.says(1, "[101,0,-1]"))
    assert not wire.codec.verify(sum_of, book)
    short = checksum("100.5", "1.5", "102", "-19203.444049780002", "100", "2.5e-7")
    assert wire.codec.verify(wire.says(1, '"cs"', str(short))[0], book)


def test_a_checksum_is_of_the_best_25() -> None:
    wire, book = Wire(), Book()
    bids = [(200 - i, 1 + i) for i in range(40)]
    applied(book, wire.says(1, orjson.dumps([[px, 1, size] for px, size in bids]).decode()))
    parts = [f"{px}:{size}" for px, size in bids[:25]]
    assert wire.codec.verify(wire.says(1, '"cs"', str(checksum(*parts)))[0], book)


def test_a_checksum_is_signed() -> None:
    """Of two books one sum is negative; both hold."""
    wire, signs = Wire(), set()
    for size in range(1, 9):
        book = Book()
        applied(book, wire.says(1, f"[[100,1,{size}]]"))
        right = checksum("100", str(size))
        signs.add(right < 0)
        assert wire.codec.verify(wire.says(1, '"cs"', str(right))[0], book)
    assert signs == {True, False}


def test_a_checksum_of_orders() -> None:
    wire, orders = Wire(BY_ORDER), Orders()
    (image,) = wire.says(1, "[[12,100,1.5],[11,100,0.00000025],[13,99,7],[14,101,-2.0]]")
    orders.replace(image.orders)
    right = checksum("11", "2.5e-7", "14", "-2", "12", "1.5", "13", "7")
    (told,) = wire.says(1, '"cs"', str(right))
    assert wire.codec.verify_orders(told, orders)  # type: ignore[attr-defined]
    orders.apply(wire.says(1, "[12,100,1.6]")[0].orders)
    assert not wire.codec.verify_orders(told, orders)  # type: ignore[attr-defined]
    after = checksum("11", "2.5e-7", "14", "-2", "12", "1.6", "13", "7")
    (told,) = wire.says(1, '"cs"', str(after))
    assert wire.codec.verify_orders(told, orders)  # type: ignore[attr-defined]
    orders.apply(wire.says(1, "[12,101,-1.6]")[0].orders)
    after = checksum("11", "2.5e-7", "12", "-1.6", "13", "7", "14", "-2")
    (told,) = wire.says(1, '"cs"', str(after))
    assert wire.codec.verify_orders(told, orders), "it has changed sides"  # type: ignore[attr-defined]


# -- trades and context ------------------------------------------------------------------------------------------------


def test_trades() -> None:
    wire = Wire()
    (told,) = wire.says(2, '"te"', "[382489563,1564617600709,-0.00705845,10087.98969503]")
    assert told == Print(
        symbol=BTC,
        stream="te",
        px=1_008_798_969_503,
        size=0.00705845,
        sign=-1,
        trade_id=382489563,
        event_ns=1_564_617_600_709 * MS,
    )
    assert wire.says(2, '"tu"', "[382489563,1564617600709,-0.00705845,10087.98969503]") == []
    history = wire.says(2, "[[9,1564617600709,1,100],[8,1564617600708,-2,99]]")
    assert [(one.trade_id, one.sign, one.why_not) for one in history] == [(8, -1, "history"), (9, 1, "history")]


def test_a_derivative() -> None:
    status = (
        "[1590596819000,null,9166.30324769,9169.35,null,1372762.95402242,null,1590624000000,-1.415e-05,533,null,"
        "0.0001,null,null,9170.3525,null,null,3005.25851857]"
    )
    assert Wire().says(3, status) == [
        Context(
            symbol=PERP,
            event_ns=1_590_596_819_000 * MS,
            mark=9170.3525,
            index=9169.35,
            funding_rate=0.0001,
            funding_interval_h=8.0,
            next_funding_ns=1_590_624_000_000 * MS,
            open_interest=3005.25851857,
        )
    ]
    (short,) = Wire().says(3, "[1569715201000,null,173.535,173.57,null,101052.04,null,1569744000000,0,0,null,null]")
    assert (short.mark, short.index, short.funding_rate, short.funding_interval_h) == (None, 173.57, None, None)


def test_liquidations() -> None:
    """A long position is closed by a sale; its matches tell of the same order again."""
    long = f'["pos",143683674,1593522802742,null,"{PERP}",0.25,9135.972557016,null,0,1,null,9080]'
    short = f'["pos",143679087,1594036710543,null,"{PERP}",-4.5,222.248906484356,null,0,1]'
    match = f'["pos",143683674,1593522802743,null,"{PERP}",0.25,9135.972557016,null,1,1,null,9080]'
    told = Wire().says(4, f"[{long},{match},{short}]")
    assert told == [
        Forced(symbol=PERP, event_ns=1_593_522_802_742 * MS, px=9080 * UNIT, size=0.25, sign=-1),
        Forced(symbol=PERP, event_ns=1_594_036_710_543 * MS, px=22_224_890_648, size=4.5, sign=1),
    ]


# -- events and refusals -----------------------------------------------------------------------------------------------


def test_events() -> None:
    wire = Wire()
    assert wire.ws({"event": "info", "version": 2, "serverId": "x", "platform": {"status": 1}}) == []
    assert wire.ws({"event": "info", "version": 2, "platform": {"status": 0}}) == [
        Trading(symbol="", state="halted", why="the platform is in maintenance")
    ]
    assert wire.ws({"event": "info", "code": 20051, "msg": "Stopping"}) == [ClosingSoon()]
    assert wire.ws({"event": "info", "code": 20060, "msg": "Entering"}) == [
        Trading(symbol="", state="halted", why="maintenance: Entering")
    ]
    assert wire.ws({"event": "info", "code": 20061, "msg": "Ended"}) == [
        Trading(symbol="", state="trading", why="maintenance: Ended"),
        ClosingSoon(),
    ]
    assert wire.ws({"event": "pong", "cid": 1, "ts": 1}) == [Answer(request_id=1)]
    refused = {
        "event": "error",
        "msg": "symbol: invalid",
        "code": 10300,
        "channel": "book",
        "symbol": "tXYZ",
        "key": None,
    }
    assert wire.ws(refused) == [Answer(request_id=0, error="tXYZ book 10300: symbol: invalid", symbols=("tXYZ",))]
    refused |= {"channel": "status", "symbol": None, "key": f"deriv:{PERP}"}
    assert wire.ws(refused)[0].symbols == (PERP,), "whose name has a colon in it"
    assert wire.ws({"event": "error", "msg": "unknown event", "code": 10000})[0].error == "10000: unknown event"


def test_a_channel_that_was_never_introduced_needs_another_socket() -> None:
    """Its introduction was lost, and it cannot be asked for twice on one socket."""
    wire = Wire()
    assert wire.says(50, "[[100,1,1]]") == [ClosingSoon()]
    assert wire.says(50, '"hb"') == [ClosingSoon()], "until there is one"
    wire.ws(subscribed("ticker", 50, symbol=BTC, pair="BTCUSD"))
    assert wire.says(50, '"hb"') == []


def test_a_channel_that_was_given_up_says_nothing() -> None:
    wire = Wire()
    assert wire.ws({"event": "unsubscribed", "status": "OK", "chanId": 1}) == [Answer(request_id=0)]
    assert wire.says(1, "[[100,1,1]]") == []


def test_a_time_beyond_all_clocks_is_a_malformed_frame() -> None:
    wire = Wire()
    with pytest.raises(CodecError) as caught:
        wire.ws(b"[1,[100,1,1],1,99999999999999999]")
    assert (caught.value.channel, caught.value.symbol) == ("book", BTC)


@pytest.mark.parametrize(
    "payload",
    ["[100,1]", '["x",1,1]', "[-1,1,1]", "[0,1,1]", "[100,1,0]", "[100,1,1e30]", "[100,-1,1]", "[[100,1,1],7]", "{}"],
)
def test_a_malformed_book_names_its_symbol(payload: str) -> None:
    with pytest.raises(CodecError) as caught:
        Wire().says(1, payload)
    assert (caught.value.channel, caught.value.symbol) == ("book", BTC)


@pytest.mark.parametrize("parts", [('"te"', "[1,2]"), ('"te"', "[1,2,0,100]"), ("[7]",), ('"te"', '[1,2,"a",100]')])
def test_a_malformed_trade_names_its_symbol(parts: tuple[str, ...]) -> None:
    with pytest.raises(CodecError) as caught:
        Wire().says(2, *parts)
    assert (caught.value.channel, caught.value.symbol) == ("trades", BTC)


# -- subscriptions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("symbol", "unified"),
    [
        (BTC, "BTC/USD"),
        ("tDUSK:USD", "DUSK/USD"),
        ("tBTCUST", "BTC/USDT"),
        (PERP, "BTC/USDT:USDT"),
        ("tTESTBTC:TESTUSD", "TESTBTC/TESTUSD"),
        ("fUSD", "fUSD"),
    ],
)
def test_what_a_name_tells(symbol: str, unified: str) -> None:
    assert VENUES[VENUE].codec(VENUE).infer(symbol).symbol == unified


def test_a_plan() -> None:
    wanted = [Instrument(venue=VENUE, symbol=one, venue_symbol=one) for one in (BTC, PERP)]
    (plan,) = VENUES[VENUE].codec(VENUE).plan(wanted)
    assert (plan.url, plan.books) == ("wss://api-pub.bitfinex.com/ws/2", (BTC, PERP))
    conf, *asked = (orjson.loads(text) for text in plan.subscribe)
    assert conf == {"event": "conf", "flags": 32768 + 65536 + 131072}
    assert asked[0] == {
        "event": "subscribe",
        "channel": "book",
        "symbol": BTC,
        "prec": "P0",
        "freq": "F0",
        "len": "250",
    }
    assert [(one["channel"], one.get("symbol", one.get("key"))) for one in asked[1:]] == [
        ("trades", BTC),
        ("book", PERP),
        ("trades", PERP),
        ("status", f"deriv:{PERP}"),
        ("status", "liq:global"),
    ]


def test_no_socket_has_more_than_25_channels() -> None:
    names = [f"t{chr(65 + i // 26)}{chr(65 + i % 26)}XF0:USTF0" for i in range(60)]
    plans = VENUES[VENUE].codec(VENUE).plan([Instrument(venue=VENUE, symbol=one, venue_symbol=one) for one in names])
    assert all(len(plan.subscribe) - 1 <= 25 for plan in plans)


class Run:
    """A session with two books on one socket."""

    def __init__(self, venue: str = VENUE) -> None:
        self.venue = venue
        self.session = Session(VENUES[venue].codec(venue))
        names = {BTC: "BTC/USD", "tETHUSD": "ETH/USD"}
        listed = [Instrument(venue=venue, symbol=symbol, venue_symbol=wire) for wire, symbol in names.items()]
        self.session.receive(Frame(1, venue, 0, "instruments", msgspec.json.encode(listed)))
        self.session.receive(Frame(2, venue, 1, "open", b"", "wss://x"))
        for chan_id, symbol in ((1, BTC), (2, "tETHUSD")):
            prec = "R0" if venue == BY_ORDER else "P0"
            self.say(orjson.dumps(subscribed("book", chan_id, symbol=symbol, prec=prec)))
        self.session.outbox.clear()
        self.count = 0

    def say(self, data: bytes) -> list[Any]:
        return self.session.receive(Frame(3, self.venue, 1, "ws", data))

    def says(self, chan_id: int, *parts: str) -> list[tuple[str, str]]:
        """What is said of which book."""
        self.count += 1
        told = self.say(f"[{chan_id},{','.join(parts)},{self.count},{SENT_MS}]".encode())
        words = {BookValid: "valid", BookInvalid: "invalid", BookChanged: "changed"}
        return [
            (words[type(one)], one.reason if isinstance(one, BookInvalid) else one.instrument)
            for one in told
            if type(one) in words
        ]


def test_a_failed_sum_costs_one_book_and_is_asked_for_anew() -> None:
    run = Run()
    assert run.says(1, "[[100,1,1],[101,1,-1]]") == [("valid", "BTC/USD")]
    assert run.says(2, "[[10,1,1],[11,1,-1]]") == [("valid", "ETH/USD")]
    right = checksum("100", "1", "101", "-1")
    assert run.says(1, '"cs"', str(right)) == [], "a checksum by itself changes nothing"
    assert run.says(1, "[100,1,2]") == [("changed", "BTC/USD")]
    assert run.says(1, '"cs"', str(right)) == [("invalid", "checksum_mismatch")]
    sent = [orjson.loads(one.data) for one in run.session.outbox if isinstance(one, Send)]
    assert [(one["event"], one.get("chanId"), one.get("symbol")) for one in sent] == [
        ("unsubscribe", 1, None),
        ("subscribe", None, BTC),
    ]
    assert run.says(1, "[100,1,3]") == [], "what is under way of the old one is nothing"
    run.say(orjson.dumps({"event": "unsubscribed", "status": "OK", "chanId": 1}))
    run.say(orjson.dumps(subscribed("book", 5, symbol=BTC, prec="P0")))
    assert run.says(2, "[10,1,2]") == [("changed", "ETH/USD")]
    assert run.says(5, "[[100,1,2],[101,1,-1]]") == [("valid", "BTC/USD")]


def test_a_maintenance_halts_every_book_of_the_socket_and_its_end_asks_for_all_anew() -> None:
    run = Run()
    run.says(1, "[[100,1,1],[101,1,-1]]")
    run.says(2, "[[10,1,1],[11,1,-1]]")
    told = run.say(orjson.dumps({"event": "info", "code": 20060, "msg": "Entering"}))
    assert [(one.reason, one.detail) for one in told if isinstance(one, BookInvalid)] == [
        ("halted", "maintenance: Entering")
    ] * 2
    assert not [one for one in run.session.outbox if isinstance(one, Send)], "nothing is asked meanwhile"
    assert run.says(1, "[100,1,2]") == []
    run.say(orjson.dumps({"event": "info", "code": 20061, "msg": "Ended"}))
    sent = [orjson.loads(one.data) for one in run.session.outbox if isinstance(one, Send)]
    assert [one["symbol"] for one in sent if one["event"] == "subscribe"] == list(run.session.lanes)
    assert [one.conn for one in run.session.outbox if isinstance(one, Open)][-1] == 2, "trades must be asked for too"


def test_a_channel_is_given_up_by_the_number_that_its_own_socket_gave_it() -> None:
    """While one socket takes over from another both have the book, under numbers of their own."""
    codec = VENUES[VENUE].codec(VENUE)
    for conn, number in ((1, 11), (2, 22)):
        codec.opened(conn)
        told = orjson.dumps(subscribed("book", number, symbol=BTC, prec="P0"))
        codec.decode(Frame(1, VENUE, conn, "ws", told))
    asked = [orjson.loads(text) for text in codec.resubscribe(BTC, 1)]
    assert [(one["event"], one.get("chanId")) for one in asked] == [("unsubscribe", 11), ("subscribe", None)]
    assert [orjson.loads(text)["chanId"] for text in codec.unsubscribe(BTC, 2)] == [22]
    assert codec.unsubscribe(BTC, 2) == [], "it is given up once"
    assert codec.unsubscribe(BTC, 3) == [], "a socket that was never opened has none"


def test_a_hole_costs_every_book_of_the_socket() -> None:
    run = Run()
    run.says(1, "[[100,1,1],[101,1,-1]]")
    run.says(2, "[[10,1,1],[11,1,-1]]")
    run.count += 1
    assert run.says(2, "[10,1,2]") == [("invalid", "connection_wide_gap")] * 2
    assert [one.reason for one in run.session.outbox if isinstance(one, Reconnect)] == ["connection_wide_gap"]


def test_a_book_by_order_is_a_book_of_levels() -> None:
    run = Run(BY_ORDER)
    assert run.says(1, "[[11,100,0.1],[12,100,0.2],[13,101,-1]]") == [("valid", "BTC/USD")]
    lane = run.session.lane_of("BTC/USD")
    assert lane is not None
    assert lane.sync.book.bids.levels(5) == [(100 * UNIT, 0.3)]
    right = checksum("11", "0.1", "13", "-1", "12", "0.2")
    assert run.says(1, '"cs"', str(right)) == []
    assert run.says(1, "[12,99,0.2]") == [("changed", "BTC/USD")]
    assert lane.sync.book.bids.levels(5) == [(100 * UNIT, 0.1), (99 * UNIT, 0.2)]
    assert run.says(1, "[12,0,1]") == [("changed", "BTC/USD")]
    assert run.says(1, "[12,0,1]") == [], "it was gone already"
    assert run.says(1, '"cs"', str(right)) == [("invalid", "checksum_mismatch")]


@pytest.mark.parametrize(("venue", "size_at"), [(VENUE, 2), (BY_ORDER, 2)])
def test_one_digit_of_a_size_is_noticed(venue: str, size_at: int) -> None:
    """Each digit of each size of a book in turn, wherever the venue sends a checksum."""
    rows: list[list[Any]] = [[101.5, 1, 1.25], [100, 2, 0.5], [102, 1, -2.75], [103, 4, -8]]
    if venue == BY_ORDER:
        rows = [[i + 7, price, size] for i, (price, _, size) in enumerate(rows)]
        named = {row[0]: f"{row[0]}:{row[2]:g}" for row in rows}
        right = checksum(named[7], named[9], named[8], named[10])
    else:
        right = checksum("101.5:1.25", "102:-2.75", "100:0.5", "103:-8")
    run = Run(venue)
    assert run.says(1, orjson.dumps(rows).decode()) == [("valid", "BTC/USD")]
    assert run.says(1, '"cs"', str(right)) == []
    for number, row in enumerate(rows):
        for at, digit in enumerate(f"{row[size_at]:g}"):
            if not digit.isdigit():
                continue
            text = f"{row[size_at]:g}"
            flipped = text[:at] + ("1" if digit != "1" else "2") + text[at + 1 :]
            wrong = [list(one) for one in rows]
            wrong[number][size_at] = float(flipped)
            run = Run(venue)
            run.says(1, orjson.dumps(wrong).decode())
            assert run.says(1, '"cs"', str(right)) == [("invalid", "checksum_mismatch")], flipped


# -- the recording -----------------------------------------------------------------------------------------------------


def test_any_missing_frame_is_said_at_the_next_array_of_the_socket() -> None:
    """The counter is of the whole socket: whose frame it was nobody knows, so every live book of it is lost."""
    frames = frames_of("bitfinex-20210417")
    channels: dict[int, str] = {}

    def whose(message: Any) -> str:
        if isinstance(message, dict):
            if message.get("event") == "subscribed" and message["channel"] == "book":
                channels[message["chanId"]] = message["symbol"]
            return ""
        return channels.get(message[0], "") if message[1] != "hb" else ""

    books = book_frames(frames, whose)
    arrays = [n for n, frame in enumerate(frames) if frame.kind == "ws" and frame.data.startswith(b"[")]
    usual = story(VENUE, frames[: books[-1].number + 50])
    for left_out, symbol in books:
        following = next(number for number in arrays if number > left_out)
        told = story(VENUE, frames[: following + 1], leave_out=left_out)
        for other, said in usual.items():
            before = [one for one in said if one.number < following and one.number != left_out]
            live = any(one.word == "valid" for one in before)
            expected = [(one.number, one.word) for one in before] + ([(following, "invalid")] if live else [])
            whole = [(one.number, one.word) for one in told.get(other, [])]
            if not live and other != symbol:  # its image may come with the very frame that shows the hole
                expected += [(one.number, one.word) for one in said if one.number == following]
            assert whole == expected, f"without frame {left_out} of {symbol}: {other}"
            if live:
                assert told[other][-1].detail == "connection_wide_gap"
