"""Each kind of message in the table of the module and a session."""

from __future__ import annotations

from typing import Any
from zlib import crc32

import msgspec
import orjson
import pytest

from imbalanced.events import Frame, Instrument
from imbalanced.session import Session
from imbalanced.venues import VENUES
from imbalanced.venues.codec import (
    Answer,
    ClosingSoon,
    CodecError,
    Context,
    Forced,
    Image,
    Listing,
    Print,
    Send,
    Trading,
)
from imbalanced.venues.diff import Diff

VENUE = "okx"
UNIT = 10**8
S = 1_000_000_000
SPOT = Instrument(venue=VENUE, symbol="AAA/USDT", venue_symbol="AAA-USDT")
SWAP = Instrument(venue=VENUE, symbol="BBB/USD:BBB", venue_symbol="BBB-USD-SWAP", contract_size=10.0, inverse=True)


class Wire:
    """One codec; takes what the venue says and gives its messages."""

    def __init__(self, *instruments: Instrument) -> None:
        self.codec = VENUES[VENUE].codec(VENUE)
        for one in instruments:
            self.codec.know(one)

    def ws(self, message: Any, recv_ns: int = 10 * S) -> list[Any]:
        data = message if isinstance(message, bytes) else orjson.dumps(message)
        return self.codec.decode(Frame(recv_ns, VENUE, 1, "ws", data))

    def http(self, path: str, body: Any) -> list[Any]:
        return self.codec.decode(Frame(1, VENUE, 0, "http", orjson.dumps(body), "https://x" + path))


def pushed(channel: str, *data: dict[str, Any], symbol: str = "AAA-USDT") -> dict[str, Any]:
    return {"arg": {"channel": channel, "instId": symbol}, "data": list(data)}


def book(action: str, seq: int, prev: int = -1, symbol: str = "AAA-USDT", **fields: Any) -> dict[str, Any]:
    levels: dict[str, Any] = {"bids": [["10.5", "2", "0", "1"]], "asks": [["11", "0.5", "0", "1"]]}
    entry = levels | {"ts": "5", "checksum": 0, "seqId": seq, "prevSeqId": prev} | fields
    return pushed("books", entry, symbol=symbol) | {"action": action}


def trade(**fields: Any) -> dict[str, Any]:
    told = {"instId": "AAA-USDT", "tradeId": "7", "px": "10.5", "sz": "2", "side": "sell", "ts": "9500"}
    return pushed("trades", told | fields)


def liquidation(**fields: Any) -> dict[str, Any]:
    told = {"bkPx": "20", "sz": "4", "side": "sell", "posSide": "long", "ts": "9500"} | fields
    data = [{"instId": "BBB-USD-SWAP", "details": [told]}, {"instId": "CCC-USD-SWAP", "details": [told]}]
    return {"arg": {"channel": "liquidation-orders", "instType": "SWAP"}, "data": data}


def ack(channel: str, **arg: str) -> dict[str, Any]:
    return {"id": "3", "event": "subscribe", "arg": {"channel": channel, **arg}, "connId": "a4"}


# -- the book --------------------------------------------------------------------------------------------------------


def test_an_image() -> None:
    (made,) = Wire().ws(book("snapshot", 9))
    assert isinstance(made, Image)
    assert (made.symbol, made.last_id, made.event_ns, made.checked) == ("AAA-USDT", 9, 5_000_000, False)
    assert (made.rows.bids(), made.rows.asks()) == ([(1_050_000_000, 2.0)], [(11 * UNIT, 0.5)])


def test_an_update_names_the_one_before() -> None:
    (diff,) = Wire().ws(book("update", 16, 9, asks=[["11", "0", "0", "0"]]))
    assert isinstance(diff, Diff)
    assert (diff.symbol, diff.last_id, diff.prev_id, diff.event_ns, diff.checked) == (
        "AAA-USDT",
        16,
        9,
        5_000_000,
        False,
    )
    assert (diff.rows.bids(), diff.rows.asks()) == ([(1_050_000_000, 2.0)], [(11 * UNIT, 0.0)])


def test_contracts_of_an_inverse_swap_are_dollars() -> None:
    (made,) = Wire(SWAP).ws(book("snapshot", 9, symbol="BBB-USD-SWAP", asks=[["20", "4", "0", "1"]]))
    assert made.rows.asks() == [(20 * UNIT, 2.0)]


@pytest.mark.parametrize(
    "wrong",
    [
        {"bids": [["10.5", "-2", "0", "1"]]},
        {"bids": [["0", "2", "0", "1"]]},
        {"bids": [[10.5, "2", "0", "1"]]},
        {"asks": None},
        {"ts": "x"},
        {"seqId": "x"},
        {"prevSeqId": True},
    ],
)
def test_a_wrong_entry_is_refused_and_says_whose(wrong: dict[str, Any]) -> None:
    with pytest.raises(CodecError) as caught:
        Wire().ws(book("update", 16, 9, **wrong))
    assert (caught.value.channel, caught.value.symbol) == ("books", "AAA-USDT")


def test_a_cut_frame_says_whose() -> None:
    with pytest.raises(CodecError) as caught:
        Wire().ws(orjson.dumps(book("update", 16, 9))[:-20])
    assert caught.value.symbol == "AAA-USDT"


def test_an_unknown_action_is_refused() -> None:
    with pytest.raises(CodecError, match="partial"):
        Wire().ws(book("partial", 9))


# -- trades and context ----------------------------------------------------------------------------------------------


def test_a_trade() -> None:
    (told,) = Wire().ws(trade())
    assert told == Print(
        symbol="AAA-USDT", stream="trades", px=1_050_000_000, size=2.0, sign=-1, trade_id=7, event_ns=9_500_000_000
    )


def test_only_the_first_push_of_a_subscription_is_history_and_only_if_it_is_old() -> None:
    wire = Wire()
    wire.ws(ack("trades", instId="AAA-USDT"))
    (old,) = wire.ws(trade(ts="8000"))
    (later,) = wire.ws(trade(ts="8000"))
    assert (old.why_not, later.why_not) == ("history", "")
    wire.ws(ack("trades", instId="AAA-USDT"))
    (new,) = wire.ws(trade(ts="9500"))
    assert new.why_not == "", "it happened while we subscribed"


def test_a_new_socket_has_no_history_of_the_last() -> None:
    wire = Wire()
    wire.ws(ack("trades", instId="AAA-USDT"))
    wire.codec.opened(1)
    (told,) = wire.ws(trade(ts="8000"))
    assert told.why_not == ""


def test_context() -> None:
    wire = Wire(SWAP)
    name = {"instId": "BBB-USD-SWAP"}
    assert wire.ws(pushed("mark-price", name | {"markPx": "20.5", "ts": "5"})) == [
        Context(symbol="BBB-USD-SWAP", event_ns=5_000_000, mark=20.5)
    ]
    assert wire.ws(pushed("index-tickers", {"instId": "BBB-USD", "idxPx": "20", "ts": "6"})) == [
        Context(symbol="BBB-USD-SWAP", event_ns=6_000_000, mark=20.5, index=20.0)
    ]
    rate = {"fundingRate": "-0.0004", "fundingTime": "28800000", "nextFundingTime": "43200000", "nextFundingRate": ""}
    assert wire.ws(pushed("funding-rate", name | rate | {"ts": "7"})) == [
        Context(
            symbol="BBB-USD-SWAP",
            event_ns=7_000_000,
            mark=20.5,
            funding_rate=-0.0004,
            funding_interval_h=4.0,
            next_funding_ns=28_800 * S,
        )
    ]
    assert wire.ws(pushed("open-interest", name | {"oi": "400", "oiCcy": "200", "ts": "8"})) == [
        Context(symbol="BBB-USD-SWAP", event_ns=8_000_000, mark=20.5, open_interest=200.0)
    ]


def test_a_forced_order_of_what_we_follow() -> None:
    wire = Wire(SWAP)
    assert wire.ws(liquidation()) == [
        Forced(symbol="BBB-USD-SWAP", event_ns=9_500_000_000, px=20 * UNIT, size=2.0, sign=-1)
    ]


def test_the_first_push_of_forced_orders_is_history() -> None:
    wire = Wire(SWAP)
    wire.ws(ack("liquidation-orders", instType="SWAP"))
    assert wire.ws(liquidation(ts="8000")) == []
    assert len(wire.ws(liquidation(ts="8000"))) == 1


# -- what is no data -------------------------------------------------------------------------------------------------


def test_answers() -> None:
    wire = Wire()
    assert wire.ws(b"pong") == []
    assert wire.ws(ack("books", instId="AAA-USDT")) == [Answer(request_id=3, symbols=("AAA-USDT",))]
    refused = {"event": "error", "code": "60018", "msg": "Wrong URL or channel", "connId": "a4"}
    assert wire.ws(refused) == [Answer(request_id=0, error="60018: Wrong URL or channel")]
    gone = {**refused, "msg": "Wrong URL or channel:books,instId:ZZZ-USDT doesn't exist. Please use the correct URL"}
    (answer,) = wire.ws(gone)
    assert (answer.symbols, answer.gone) == (("ZZZ-USDT",), True)
    assert wire.ws({**refused, "msg": "Wrong URL or channel:instruments,instType:SPOT doesn't exist."}) == []
    assert wire.ws({"event": "channel-conn-count", "channel": "books"}) == []
    assert wire.ws({"event": "notice", "code": "64008", "msg": "upgrade"}) == [ClosingSoon()]
    assert wire.ws(pushed("tickers", {"instId": "AAA-USDT"})) == []


def test_another_socket_does_not_make_forget_who_is_suspended() -> None:
    wire = Wire(SPOT)

    def told(state: str) -> list[str]:
        message = {
            "arg": {"channel": "instruments", "instType": "SPOT"},
            "data": [{"instId": "AAA-USDT", "state": state}],
        }
        return [one.state for one in wire.ws(message)]

    assert told("suspend") == ["halted"]
    wire.codec.opened(2)
    assert told("live") == ["trading"]


def test_an_instrument_that_is_suspended_and_trades_again() -> None:
    wire = Wire()
    wire.codec.know(Instrument(venue=VENUE, symbol="AAA/USDT", venue_symbol="AAA-USDT"))

    def told(*states: str) -> list[Any]:
        data = [{"instId": "ZZZ-USDT", "state": "suspend"}, *({"instId": "AAA-USDT", "state": one} for one in states)]
        return wire.ws({"arg": {"channel": "instruments", "instType": "SPOT"}, "data": data})

    halted = Trading(symbol="AAA-USDT", state="halted", why="suspend")
    assert told("live") == [], "no news"
    assert told("suspend") == [halted]
    assert told("suspend") == []
    assert told("live") == [Trading(symbol="AAA-USDT", state="trading", why="live")]
    told("suspend")
    wire.codec.opened(1)
    assert told("suspend") == [halted], "a new socket is told anew"


def test_a_plan_subscribes_what_an_instrument_has_and_what_is_shared_once() -> None:
    names = ["AAA-USDT", "BBB-USD-SWAP", "BBB-USD-260327", "CCC-USD_UM-SWAP", "BBB-USD-260327-92000-C"]
    many = [Instrument(venue=VENUE, symbol=name, venue_symbol=name) for name in names]
    (plan,) = VENUES[VENUE].codec(VENUE).plan(many)
    requests = [orjson.loads(text) for text in plan.subscribe]
    args = [tuple(arg.values()) for request in requests for arg in request["args"]]
    assert len(set(args)) == len(args)
    assert {name for channel, name in args if channel == "books"} == set(names)
    assert {name for channel, name in args if channel == "funding-rate"} == {"BBB-USD-SWAP", "CCC-USD_UM-SWAP"}
    assert {name for channel, name in args if channel == "liquidation-orders"} == {"SWAP", "FUTURES"}
    assert {name for channel, name in args if channel == "index-tickers"} == {"BBB-USD", "CCC-USD"}
    assert {name for channel, name in args if channel == "instruments"} == {"SPOT", "SWAP", "FUTURES", "OPTION"}


def test_shared_streams_are_on_the_first_socket_only() -> None:
    many = [Instrument(venue=VENUE, symbol=f"A{i}", venue_symbol=f"A{i}-USDT-SWAP") for i in range(200)]
    plans = VENUES[VENUE].codec(VENUE).plan(many)
    assert len(plans) > 1
    assert ["liquidation-orders" in "".join(plan.subscribe) for plan in plans] == [True, *[False] * (len(plans) - 1)]


def test_a_list_of_instruments() -> None:
    spot = {"instId": "AAA-USDT", "instType": "SPOT", "tickSz": "0.0000000001", "lotSz": "1", "state": "live"}
    no_contract = {"ctVal": "", "ctMult": "", "ctType": "", "settleCcy": ""}
    swap = spot | {"instId": "BBB-USD-SWAP", "instType": "SWAP", "tickSz": "0.1", "settleCcy": "BBB"}
    option = {"instId": "BBB-USD-220325-40000-C", "instType": "OPTION", "ctVal": "1", "ctMult": "0.1", "ctType": ""}
    contract = {"ctVal": "10", "ctMult": "1", "ctType": "inverse"}
    body = {"code": "0", "data": [spot | no_contract, swap | contract, swap | option | {"state": "suspend"}]}
    (listing,) = Wire().http("/api/v5/public/instruments?instType=SPOT", body)
    assert isinstance(listing, Listing)
    told = [(i.symbol, i.price_scale, i.contract_size, i.inverse, i.active) for i in listing.instruments]
    assert told == [
        ("AAA/USDT", 10, 1.0, False, True),
        ("BBB/USD:BBB", 8, 10.0, True, True),
        ("BBB/USD:BBB-220325-40000-C", 8, 0.1, False, False),
    ]


# -- a session -------------------------------------------------------------------------------------------------------


class Talk:
    """A session with two books on one socket; answers the words said of them."""

    def __init__(self) -> None:
        self.session = Session(VENUES[VENUE].codec(VENUE))
        self.at_ns = S
        self.frame("instruments", msgspec.json.encode([SPOT, SWAP]))
        self.frame("open", b"")

    def frame(self, kind: Any, data: bytes) -> list[Any]:
        self.at_ns += 1000
        return self.session.receive(Frame(self.at_ns, VENUE, 1 if kind != "instruments" else 0, kind, data))

    def says(self, message: Any) -> list[str]:
        return [
            f"{type(one).__name__} {one.reason}".strip() if hasattr(one, "reason") else type(one).__name__
            for one in self.frame("ws", message if isinstance(message, bytes) else orjson.dumps(message))
        ]

    def sent(self) -> list[dict[str, Any]]:
        texts = [orjson.loads(one.data) for one in self.session.outbox if isinstance(one, Send)]
        self.session.outbox.clear()
        return texts


NEW = ["ResyncEnded", "BookValid", "BookReplaced"]


def test_a_clean_start_a_quiet_minute_and_a_legal_reset() -> None:
    talk = Talk()
    assert talk.says(book("snapshot", 9)) == NEW
    assert talk.says(book("update", 20, 9)) == ["BookChanged"]
    assert talk.says(book("update", 20, 20, bids=[], asks=[])) == ["BookChanged"], "nothing changed: equal ids"
    assert talk.says(book("update", 3, 20)) == ["BookChanged"], "maintenance: lower, but linked"
    assert talk.says(book("update", 5, 3)) == ["BookChanged"]


@pytest.mark.parametrize(("seq", "prev"), [(30, 25), (5, 3), (20, 9)], ids=["higher", "lower", "equal"])
def test_what_is_not_linked_is_a_gap_whatever_its_id(seq: int, prev: int) -> None:
    talk = Talk()
    for message in (book("snapshot", 9), book("update", 20, 9), book("snapshot", 4, symbol="BBB-USD-SWAP")):
        talk.says(message)
    talk.sent()
    assert talk.says(book("update", seq, prev)) == ["BookInvalid sequence_gap"]
    args = [{"channel": "books", "instId": "AAA-USDT"}]
    talk.at_ns += 2 * S
    talk.frame("wake", b"")
    assert talk.sent() == [{"op": "unsubscribe", "args": args}, {"op": "subscribe", "args": args}]
    assert talk.says(book("update", seq + 1, seq)) == [], "until the image, nothing is looked at or asked for"
    assert talk.sent() == []
    assert talk.says(book("update", 6, 4, symbol="BBB-USD-SWAP")) == ["BookChanged"], "the other book lives on"
    assert talk.says(book("snapshot", 40)) == NEW
    assert talk.says(book("update", 47, 40)) == ["BookChanged"]


def test_an_image_at_any_time_begins_the_book_anew() -> None:
    talk = Talk()
    talk.says(book("snapshot", 9))
    assert talk.says(book("snapshot", 2)) == ["BookReplaced"]
    assert talk.says(book("update", 4, 2)) == ["BookChanged"]


def test_a_malformed_frame_loses_its_book_only() -> None:
    talk = Talk()
    talk.says(book("snapshot", 9))
    talk.says(book("snapshot", 4, symbol="BBB-USD-SWAP"))
    assert talk.says(book("update", 10, 9, bids="x")) == ["Notice", "BookInvalid parse_error"]
    assert talk.says(book("update", 6, 4, symbol="BBB-USD-SWAP")) == ["BookChanged"]


# -- the checksum of old recordings ----------------------------------------------------------------------------------


def signed(text: str) -> int:
    """The venue writes it as a signed number."""
    found = crc32(text.encode())
    return found - 2**32 if found >= 2**31 else found


def without_ids(message: dict[str, Any], checksum: int) -> dict[str, Any]:
    """As it was in 2022."""
    (entry,) = message["data"]
    entry = {key: value for key, value in entry.items() if not key.endswith("eqId")} | {"checksum": checksum}
    return message | {"data": [entry]}


def test_a_checksum_that_is_not_0_is_checked() -> None:
    talk = Talk()
    assert talk.says(without_ids(book("snapshot", 0), signed("10.5:2:11:0.5"))) == NEW
    more = book("update", 0, bids=[["10.50", "0", "0", "0"], ["10.4", "3.0", "0", "1"]], asks=[["12", "1", "0", "1"]])
    assert talk.says(without_ids(more, signed("10.4:3.0:11:0.5:12:1"))) == ["BookChanged"], "from the wire's own text"
    assert talk.says(without_ids(book("update", 0), 17)) == ["BookInvalid checksum_mismatch"]
    assert talk.says(without_ids(book("update", 0), 18)) == []
    assert talk.says(without_ids(book("snapshot", 0), 18)) == ["ResyncEnded checksum_mismatch"]
    assert talk.says(without_ids(book("snapshot", 0), signed("10.5:2:11:0.5"))) == NEW
