"""Each kind of message in the table of the module, the checksum against the vendor's numbers and recorded books."""

from __future__ import annotations

from typing import Any
from zlib import crc32

import msgspec
import orjson
import pytest

from imbalanced.book import Book
from imbalanced.events import Frame, Instrument
from imbalanced.session import Session
from imbalanced.venues import VENUES
from imbalanced.venues.codec import Answer, CodecError, Image, Print, Trading
from imbalanced.venues.diff import Diff

VENUE = "kraken"
UNIT = 10**8
AAA = Instrument(venue=VENUE, symbol="BTC/USD", venue_symbol="XBT/USD", tick="0.1", lot="0.00000001")
# The example of the vendor's checksum guide.
ASKS = """45285.2 0.00100000, 45286.4 1.54571953, 45286.6 1.54571109, 45289.6 1.54560911, 45290.2 0.15890660,
45291.8 1.54553491, 45294.7 0.04454749, 45296.1 0.35380000, 45297.5 0.09945542, 45299.5 0.18772827"""
BIDS = """45283.5 0.10000000, 45283.4 1.54582015, 45282.1 0.10000000, 45281.0 0.10000000, 45280.3 1.54592586,
45279.0 0.07990000, 45277.6 0.03310103, 45277.5 0.30000000, 45277.3 1.54602737, 45276.6 0.15445238"""
VENDOR_SUM = 3310070434


def levels(text: str) -> str:
    """``price size, ...`` as JSON, digit by digit."""
    pairs = [one.split() for one in text.split(",") if one.strip()]
    return "[" + ",".join(f'{{"price":{price},"qty":{size}}}' for price, size in pairs) + "]"


def summed(asks: str, bids: str) -> int:
    """The checksum of levels that are given best first, by the text of the guide."""
    digits = [
        number.replace(".", "").lstrip("0")
        for side in (asks, bids)
        for one in side.split(",")[:10]
        for number in one.split()
    ]
    return crc32("".join(digits).encode())


def book(kind: str, bids: str = "", asks: str = "", told: int = 0, symbol: str = "BTC/USD") -> bytes:
    sides = f'"bids":{levels(bids)},"asks":{levels(asks)}'
    data = f'{{"symbol":"{symbol}",{sides},"checksum":{told},"timestamp":"2023-10-06T17:35:55.440295Z"}}'
    return f'{{"channel":"book","type":"{kind}","data":[{data}]}}'.encode()


class Wire:
    """One codec with one book; takes what the venue says and gives its messages."""

    def __init__(self, *known: Instrument) -> None:
        self.codec = VENUES[VENUE].codec(VENUE)
        self.book = Book()
        for one in known:
            self.codec.know(one)

    def ws(self, message: Any) -> list[Any]:
        data = message if isinstance(message, bytes) else orjson.dumps(message)
        return self.codec.decode(Frame(1, VENUE, 1, "ws", data))

    def holds(self, message: Any) -> bool:
        """Whether the book with this message in it is what the venue says."""
        (made,) = self.ws(message)
        assert made.checked
        if isinstance(made, Image):
            self.book.replace(made.rows)
        else:
            self.book.apply(made.rows)
        return self.codec.verify(made, self.book)


# -- books and their sums ----------------------------------------------------------------------------------------------


def test_the_example_of_the_vendor() -> None:
    assert summed(ASKS, BIDS) == VENDOR_SUM
    assert Wire().holds(book("snapshot", BIDS, ASKS, VENDOR_SUM))
    assert Wire(AAA).holds(book("snapshot", BIDS, ASKS, VENDOR_SUM))
    assert not Wire().holds(book("snapshot", BIDS, ASKS, VENDOR_SUM + 1))
    assert not Wire().holds(book("snapshot", BIDS.replace("0.07990000", "0.07990001"), ASKS, VENDOR_SUM))


def test_a_recorded_book_of_2024() -> None:
    bids = """0.016 255965.95133811, 0.015 264465.46682136, 0.014 198234.50375152, 0.013 263077.71115063,
    0.012 135283.23181445, 0.011 232726.34707055, 0.010 211909.56878553, 0.009 16666.66666666, 0.008 13600.00000000,
    0.007 1000.00000000"""
    asks = """0.017 94510.50669693, 0.018 232489.98702916, 0.019 244770.01655926, 0.020 103394.23779803,
    0.021 120226.44704447, 0.022 122811.44535027, 0.023 185766.68965043, 0.024 95339.83830809, 0.025 32960.86333331,
    0.026 86326.77204454"""
    without_a_time = book("snapshot", bids, asks, 1931231958, "GST/USD").replace(
        b',"timestamp":"2023-10-06T17:35:55.440295Z"', b""
    )
    assert Wire().holds(without_a_time)


def test_an_image_and_a_diff() -> None:
    wire = Wire(AAA)
    (image,) = wire.ws(book("snapshot", "10.1 0.50000000", "10.2 1.00000000"))
    assert isinstance(image, Image)
    assert (image.symbol, image.event_ns) == ("XBT/USD", 1_696_613_755_440_295_000)
    assert (image.rows.bids(), image.rows.asks()) == ([(1_010_000_000, 0.5)], [(1_020_000_000, 1.0)])
    (diff,) = wire.ws(book("update", "10.1 0.00000000, 10.0 0.25000000, 10.0 0.50000000"))
    assert isinstance(diff, Diff)
    assert (diff.symbol, diff.checked) == ("XBT/USD", True)
    assert diff.rows.bids() == [(1_010_000_000, 0.0), (10 * UNIT, 0.25), (10 * UNIT, 0.5)]


def test_a_sum_after_each_diff() -> None:
    wire = Wire()
    assert wire.holds(
        book("snapshot", "10.1 0.50000000", "10.2 1.00000000", summed("10.2 1.00000000", "10.1 0.50000000"))
    )
    assert wire.holds(book("update", "10.1 0.00000000", "", summed("10.2 1.00000000", "")))
    assert wire.holds(book("update", "9.9 7.00000000", "", summed("10.2 1.00000000", "9.9 7.00000000")))
    assert not wire.holds(book("update", "9.8 7.00000000", "", summed("10.2 1.00000000", "9.9 7.00000000")))


def test_decimals_are_those_of_the_wire_until_they_are_told() -> None:
    pairs = [{"symbol": "BTC/USD", "price_precision": 2, "qty_precision": 3}]
    told = {"channel": "instrument", "type": "snapshot", "data": {"assets": [], "pairs": pairs}}
    wire = Wire(AAA)
    assert wire.holds(book("snapshot", "10.1 0.5", "10.2 1.0", summed("10.2 1.0", "10.1 0.5")))
    assert wire.ws(told) == []
    assert wire.holds(book("snapshot", "10.1 0.5", "10.2 1.0", summed("10.20 1.000", "10.10 0.500")))


def test_sizes_too_long_for_a_float_are_summed_as_written() -> None:
    bids, asks = "0.0011 98765432109.12345671", "0.0012 12345678901.00000001, 0.0013 1.00000000"
    wire = Wire()
    assert wire.holds(book("snapshot", bids, asks, summed(asks, bids)))
    after = "0.0012 98765432109.87654321, 0.0013 1.00000000"
    assert wire.holds(book("update", "", "0.0012 98765432109.87654321", summed(after, bids)))
    assert not wire.holds(book("update", "", "0.0012 98765432109.87654323", summed(after, bids)))
    assert wire.holds(book("update", "", "0.0012 2.00000000", summed("0.0012 2.00000000, 0.0013 1.00000000", bids)))


def test_the_book_is_cut_to_its_depth() -> None:
    """What falls out is never removed by the venue: it must not come back when the levels before it go."""
    codec = VENUES[VENUE].codec(VENUE)
    depth = codec.continuity.depth
    session = Session(codec, discover=True)
    bids = ", ".join(f"{price}.0 1.00000000" for price in range(9000, 9000 - depth, -1))

    def say(message: bytes) -> None:
        session.receive(Frame(1, VENUE, 1, "ws", message))

    say(book("snapshot", bids, "9500.0 1.00000000", summed("9500.0 1.00000000", bids)))
    best = ", ".join(f"{price}.0 1.00000000" for price in range(9001, 8991, -1))
    say(book("update", "9001.0 1.00000000", "", summed("9500.0 1.00000000", best)))
    lane = session.lane_of("BTC/USD")
    assert lane is not None
    assert lane.valid
    kept = lane.sync.book.bids.levels(depth + 1)
    assert (len(kept), kept[0][0], kept[-1][0]) == (depth, 9001 * UNIT, (9002 - depth) * UNIT)


# -- trades, answers, refusals -----------------------------------------------------------------------------------------


def trades(kind: str, *ids: int) -> dict[str, Any]:
    fields = {"symbol": "BTC/USD", "side": "sell", "price": 10.1, "qty": 0.25, "ord_type": "market"}
    data = [fields | {"trade_id": one, "timestamp": "2023-10-06T17:35:55.5Z"} for one in ids]
    return {"channel": "trade", "type": kind, "data": data}


def test_trades() -> None:
    first, second = Wire(AAA).ws(trades("update", 7, 8))
    event_ns = 1_696_613_755_500_000_000
    assert first == Print(
        symbol="XBT/USD", stream="trade", px=1_010_000_000, size=0.25, sign=-1, trade_id=7, event_ns=event_ns
    )
    assert second.trade_id == 8
    assert [(one.trade_id, one.why_not) for one in Wire().ws(trades("snapshot", 8, 7))] == [
        (7, "history"),
        (8, "history"),
    ]


@pytest.mark.parametrize(
    ("told", "state"),
    [
        ("online", "trading"),
        ("limit_only", "trading"),
        ("reduce_only", "trading"),
        ("maintenance", "halted"),
        ("cancel_only", "halted"),
        ("post_only", "halted"),
        ("work_in_progress", "halted"),
        ("delisted", "gone"),
    ],
)
def test_what_the_venue_says_of_its_service_and_of_a_pair(told: str, state: Any) -> None:
    wire = Wire()
    status = {"channel": "status", "type": "update", "data": [{"system": told, "api_version": "v2"}]}
    assert wire.ws(status) == [Trading(symbol="", state=state, why=told)]
    wire.codec.know(Instrument(venue="kraken", symbol="BTC/USD", venue_symbol="XBT/USD"))
    pairs = [
        {"symbol": name, "price_precision": 1, "qty_precision": 8, "status": told} for name in ("BTC/USD", "ZZZ/USD")
    ]
    pushed = {"channel": "instrument", "type": "update", "data": {"pairs": pairs}}
    assert wire.ws(pushed) == [Trading(symbol="XBT/USD", state=state, why=told)], "of ours only"


def test_answers_and_what_concerns_us_not() -> None:
    wire = Wire()
    accepted = {"method": "subscribe", "result": {"channel": "book", "symbol": "BTC/USD"}, "success": True, "req_id": 3}
    assert wire.ws(accepted) == [Answer(request_id=3, symbols=("BTC/USD",))]
    refused = {"method": "subscribe", "success": False, "symbol": "X/Y", "error": "Currency pair not supported X/Y"}
    assert wire.ws(refused) == [
        Answer(request_id=0, error="X/Y Currency pair not supported X/Y", symbols=("X/Y",), gone=True)
    ]
    left = {"method": "unsubscribe", "success": False, "symbol": "X/Y", "error": "Subscription Not Found"}
    assert wire.ws(left) == [Answer(request_id=0, error="X/Y Subscription Not Found")]
    assert wire.ws({"method": "pong", "req_id": 42, "time_in": "2023-09-25T09:05:00.123456Z"}) == [
        Answer(request_id=42)
    ]
    for message in ({"channel": "heartbeat"}, {"channel": "ticker", "data": 1}, {"event": "heartbeat"}):
        assert wire.ws(message) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"10.1", b"-10.1"),
        (b"10.1", b'"x"'),
        (b"10.1", b"0"),
        (b"0.50000000", b"-1"),
        (b"0.50000000", b"1e30"),
        (b'"qty"', b'"quantity"'),
        (b'"checksum":0', b'"checksum":"x"'),
        (b"55.440295Z", b"55.440295"),
        (b'"bids":[', b'"bids":7,"x":['),
        (b"}]}", b""),
    ],
)
def test_a_malformed_book_names_its_pair(old: bytes, new: bytes) -> None:
    data = book("update", "10.1 0.50000000")
    assert old in data
    with pytest.raises(CodecError) as caught:
        Wire(AAA).ws(data.replace(old, new))
    assert caught.value.symbol == "XBT/USD"


def test_malformed_trades_name_their_pair() -> None:
    message = trades("update", 7)
    message["data"][0]["side"] = "up"
    with pytest.raises(CodecError) as caught:
        Wire(AAA).ws(message)
    assert (caught.value.channel, caught.value.symbol) == ("trade", "XBT/USD")


# -- subscriptions -----------------------------------------------------------------------------------------------------


def test_a_plan_speaks_of_pairs_as_v2_does() -> None:
    wanted = [AAA, Instrument(venue=VENUE, symbol="DOGE/BTC", venue_symbol="XDG/XBT")]
    (plan,) = VENUES[VENUE].codec(VENUE).plan(wanted)
    assert (plan.url, plan.books) == ("wss://ws.kraken.com/v2", ("XBT/USD", "XDG/XBT"))
    instrument, of_book, of_trades = (orjson.loads(text)["params"] for text in plan.subscribe)
    names = ["BTC/USD", "DOGE/BTC"]
    assert instrument == {"channel": "instrument", "snapshot": True}
    assert of_book == {"channel": "book", "symbol": names, "depth": 1000, "snapshot": True}
    assert of_trades == {"channel": "trade", "symbol": names, "snapshot": False}


def test_a_failed_sum_is_said_at_that_very_frame_and_asked_for_anew() -> None:
    session = Session(VENUES[VENUE].codec(VENUE))
    other = Instrument(venue=VENUE, symbol="BBB/USD", venue_symbol="BBB/USD")
    session.receive(Frame(1, VENUE, 0, "instruments", msgspec.json.encode([AAA, other])))
    session.receive(Frame(2, VENUE, 1, "open", b"", "wss://x"))

    def say(message: bytes) -> list[str]:
        return [type(event).__name__ for event in session.receive(Frame(3, VENUE, 1, "ws", message))]

    bid, ask = "10.1 0.50000000", "10.2 1.00000000"
    assert say(book("snapshot", bid, ask, summed(ask, bid))) == ["ResyncEnded", "BookValid", "BookReplaced"]
    assert say(book("snapshot", bid, ask, summed(ask, bid), "BBB/USD"))[-1] == "BookReplaced"
    assert say(book("update", "10.0 1.00000000", "", summed(ask, f"{bid}, 10.0 1.00000000"))) == ["BookChanged"]
    session.outbox.clear()
    assert say(book("update", "9.9 1.00000000", "", 1)) == ["BookInvalid"]
    lane = session.lane_of("BTC/USD")
    assert lane is not None
    assert lane.why == "checksum_mismatch"
    sent = [orjson.loads(one.data) for one in session.outbox if hasattr(one, "data")]
    assert [(one["method"], one["params"]["symbol"]) for one in sent] == [
        ("unsubscribe", ["BTC/USD"]),
        ("subscribe", ["BTC/USD"]),
    ]
    assert say(book("update", "9.8 1.00000000", "", 1)) == []
    both = f"{bid}, 9.0 2.00000000"
    assert say(book("update", "9.0 2.00000000", "", summed(ask, both), "BBB/USD")) == ["BookChanged"]
    assert say(book("snapshot", bid, ask, summed(ask, bid))) == ["ResyncEnded", "BookValid", "BookReplaced"]
    assert say(book("snapshot", bid, ask, 1)) == ["BookInvalid"], "an image has a sum as well"


# -- version 1, in recordings ------------------------------------------------------------------------------------------


def test_version_1() -> None:
    wire = Wire(AAA)
    (image,) = wire.ws(
        [1, {"as": [["10.2", "1.0", "5.000001"]], "bs": [["10.1", "2.0", "4.0"]]}, "book-1000", "XBT/USD"]
    )
    assert (image.symbol, image.event_ns, image.checked) == ("XBT/USD", 5_000_001_000, False)
    assert (image.rows.bids(), image.rows.asks()) == ([(1_010_000_000, 2.0)], [(1_020_000_000, 1.0)])
    parts = [{"a": [["10.2", "0.0", "6.0"]]}, {"b": [["10.0", "1.0", "6.5", "r"]], "c": "12"}]
    (diff,) = wire.ws([1, *parts, "book-1000", "XBT/USD"])
    assert (diff.checked, diff.rows.bids(), diff.rows.asks()) == (True, [(10 * UNIT, 1.0)], [(1_020_000_000, 0.0)])
    (told,) = wire.ws([1, [["10.1", "2.0", "7.5", "b", "m", ""]], "trade", "XBT/USD"])
    assert told == Print(
        symbol="XBT/USD", stream="trade", px=1_010_000_000, size=2.0, sign=1, trade_id=-1, event_ns=7_500_000_000
    )
    assert wire.ws([1, {"b": []}, "book-10", "XBT/USD"]) == [], "of another depth"
    with pytest.raises(CodecError) as caught:
        wire.ws([1, {"b": [["x", "1.0", "6.5"]], "c": "12"}, "book-1000", "XBT/USD"])
    assert caught.value.symbol == "XBT/USD"
