"""Each kind of message in the table of the module, a session, and what a missing frame of a recording does."""

from __future__ import annotations

from typing import Any

import msgspec
import orjson
import pytest
from missing import frames_of, story

from imbalanced.events import Frame, Instrument
from imbalanced.session import Session
from imbalanced.venues import VENUES
from imbalanced.venues.codec import Answer, CodecError, Context, Forced, Image, Print, Reply, Send
from imbalanced.venues.diff import Diff

VENUE = "bybit"
UNIT = 10**8
S = 1_000_000_000
AAA = Instrument(venue=VENUE, symbol="AAA/USDT:USDT", venue_symbol="AAAUSDT")
BBB = Instrument(venue=VENUE, symbol="BBB/USDT:USDT", venue_symbol="BBBUSDT")


class Wire:
    """One codec; takes what the venue says and gives its messages."""

    def __init__(self, venue: str = VENUE) -> None:
        self.codec = VENUES[venue].codec(venue)

    def ws(self, message: Any) -> list[Any]:
        data = message if isinstance(message, bytes) else orjson.dumps(message)
        return self.codec.decode(Frame(1, self.codec.venue, 1, "ws", data))


def book(kind: str, update_id: int, symbol: str = "AAAUSDT", depth: int = 200, **fields: Any) -> dict[str, Any]:
    data = {"s": symbol, "b": [["10.5", "2"]], "a": [["11", "0.5"]], "u": update_id, "seq": 7} | fields
    return {"topic": f"orderbook.{depth}.{symbol}", "type": kind, "ts": 6, "cts": 5, "data": data}


def trade(**fields: Any) -> dict[str, Any]:
    told = {"T": 5, "s": "AAAUSDT", "S": "Sell", "v": "2", "p": "10.5", "i": "0cbf2330-952d", "BT": False} | fields
    return {"topic": "publicTrade.AAAUSDT", "type": "snapshot", "ts": 6, "data": [told]}


def ticker(kind: str, symbol: str = "AAAUSDT", **fields: str) -> dict[str, Any]:
    return {"topic": f"tickers.{symbol}", "type": kind, "ts": 6, "data": {"symbol": symbol, **fields}}


# -- the book --------------------------------------------------------------------------------------------------------


def test_an_image() -> None:
    (made,) = Wire().ws(book("snapshot", 9))
    assert isinstance(made, Image)
    assert (made.symbol, made.last_id, made.event_ns) == ("AAAUSDT", 9, 5_000_000)
    assert (made.rows.bids(), made.rows.asks()) == ([(1_050_000_000, 2.0)], [(11 * UNIT, 0.5)])


def test_a_delta() -> None:
    (diff,) = Wire().ws(book("delta", 10, b=[["10.5", "0"]], a=[]))
    assert isinstance(diff, Diff)
    assert (diff.symbol, diff.first_id, diff.last_id, diff.event_ns) == ("AAAUSDT", 10, 10, 5_000_000)
    assert (diff.rows.bids(), diff.rows.asks()) == ([(1_050_000_000, 0.0)], [])


def test_update_1_is_an_image_whatever_it_is_called() -> None:
    (made,) = Wire().ws(book("delta", 1))
    assert isinstance(made, Image)


def test_the_best_level_again_after_3_s_is_nothing_new() -> None:
    wire = Wire()
    assert len(wire.ws(book("snapshot", 9, depth=1))) == 1
    assert wire.ws(book("snapshot", 9, depth=1)) == []
    assert len(wire.ws(book("snapshot", 10, depth=1))) == 1
    wire.codec.opened(1)
    assert len(wire.ws(book("snapshot", 10, depth=1))) == 1, "of a new socket it is the image"
    wire.codec.resubscribe("AAAUSDT")
    assert len(wire.ws(book("snapshot", 10, depth=1))) == 1, "so it is of a new subscription"


def test_of_several_depths_the_first_is_the_book() -> None:
    wire = Wire()
    assert len(wire.ws(book("snapshot", 9, depth=50))) == 1
    assert wire.ws(book("snapshot", 700, depth=200)) == []
    assert len(wire.ws(book("delta", 10, depth=50))) == 1


def test_a_size_of_an_inverse_contract_is_a_dollar_whatever_the_list_says() -> None:
    wire = Wire("bybit_inverse")
    listed: dict[str, Any] = {"symbol": "AAA/USD:AAA", "venue_symbol": "AAAUSD", "contract_size": 5.0, "inverse": True}
    wire.codec.know(Instrument(venue="bybit_inverse", **listed))
    (made,) = wire.ws(book("snapshot", 9, symbol="AAAUSD", b=[["10", "30"]]))
    assert made.rows.bids() == [(10 * UNIT, 3.0)]


@pytest.mark.parametrize(
    "wrong",
    [{"b": [["10.5", "-2"]]}, {"b": [["0", "2"]]}, {"b": [[10.5]]}, {"a": None}, {"u": "x"}, {"u": True}, {"u": -1}],
)
def test_a_wrong_frame_is_refused_and_says_whose(wrong: dict[str, Any]) -> None:
    with pytest.raises(CodecError) as caught:
        Wire().ws(book("delta", 9, **wrong))
    assert (caught.value.channel, caught.value.symbol) == ("orderbook", "AAAUSDT")


def test_a_cut_frame_says_whose() -> None:
    with pytest.raises(CodecError) as caught:
        Wire().ws(orjson.dumps(book("delta", 9))[:-20])
    assert caught.value.symbol == "AAAUSDT"


def test_an_unknown_type_is_refused() -> None:
    with pytest.raises(CodecError, match="partial"):
        Wire().ws(book("partial", 9))


# -- trades and context ----------------------------------------------------------------------------------------------


def test_a_trade() -> None:
    (told,) = Wire().ws(trade())
    assert told == Print(
        symbol="AAAUSDT", stream="publicTrade", px=1_050_000_000, size=2.0, sign=-1, trade_id=-1, event_ns=5_000_000
    )
    (block,) = Wire().ws(trade(BT=True, S="Buy"))
    assert (block.sign, block.why_not) == (1, "not_market")


def test_a_liquidated_long_is_sold() -> None:
    order = {"T": 5, "s": "AAAUSDT", "S": "Buy", "v": "2", "p": "10.5"}
    (told,) = Wire().ws({"topic": "allLiquidation.AAAUSDT", "type": "snapshot", "ts": 6, "data": [order]})
    assert told == Forced(symbol="AAAUSDT", event_ns=5_000_000, px=1_050_000_000, size=2.0, sign=-1)


def test_a_ticker_keeps_what_a_delta_does_not_say() -> None:
    wire = Wire()
    whole = {"markPrice": "20", "indexPrice": "19.5", "fundingRate": "-0.0004", "fundingIntervalHour": "4"}
    (told,) = wire.ws(ticker("snapshot", **whole, nextFundingTime="28800000", openInterest="10"))
    expected = Context(
        symbol="AAAUSDT",
        event_ns=6_000_000,
        mark=20.0,
        index=19.5,
        funding_rate=-0.0004,
        funding_interval_h=4.0,
        next_funding_ns=28_800 * S,
        open_interest=5.0,
    )
    assert told == expected, "of both sides, one is counted"
    assert wire.ws(ticker("delta", lastPrice="20")) == [], "nothing that concerns us"
    (told,) = wire.ws(ticker("delta", fundingRate="0.0001", singleOpenInterest="6"))
    assert (told.mark, told.funding_rate, told.open_interest) == (20.0, 0.0001, 6.0)
    (told,) = wire.ws(ticker("snapshot", markPrice="21", fundingRate="", nextFundingTime=""))
    assert told == Context(symbol="AAAUSDT", event_ns=6_000_000, mark=21.0), "a snapshot begins anew"


def test_open_interest_of_inverse_contracts_is_in_coins() -> None:
    (told,) = Wire("bybit_inverse").ws(ticker("snapshot", markPrice="20", openInterest="400"))
    assert told.open_interest == 10.0


# -- what is no data -------------------------------------------------------------------------------------------------


def test_answers() -> None:
    wire = Wire()
    assert wire.ws({"success": True, "ret_msg": "pong", "conn_id": "a", "op": "ping"}) == []
    assert wire.ws({"args": ["1672916271846"], "op": "pong"}) == []
    assert wire.ws({"success": True, "ret_msg": "", "req_id": "3", "op": "subscribe"}) == [Answer(request_id=3)]
    refused = {"success": False, "ret_msg": "Invalid topic: x", "req_id": "", "op": "subscribe"}
    assert wire.ws(refused) == [Answer(request_id=0, error="Invalid topic: x")]
    assert wire.ws({"topic": "kline.5.AAAUSDT", "data": []}) == []


def test_the_topics_of_a_refused_request_are_asked_for_one_by_one() -> None:
    wire = Wire()
    (plan,) = wire.codec.plan([AAA])
    (asked,) = [orjson.loads(text) for text in plan.subscribe]
    refused = {"success": False, "ret_msg": "Invalid topic", "req_id": asked["req_id"], "op": "subscribe"}
    answer, *again = wire.ws(refused)
    assert isinstance(answer, Answer)
    assert all(isinstance(one, Reply) for one in again)
    requests = [orjson.loads(one.text) for one in again]
    assert [request["args"] for request in requests] == [[topic] for topic in asked["args"]]
    assert wire.ws(refused | {"req_id": requests[0]["req_id"]}) == [Answer(request_id=0, error="Invalid topic")]
    gone = {"ret_msg": "Invalid symbol :[orderbook.200.ZZZUSDT]", "req_id": "0"}
    (answer,) = wire.ws(refused | gone)
    assert (answer.symbols, answer.gone) == (("ZZZUSDT",), True)
    (answer,) = wire.ws(refused | gone | {"op": "unsubscribe"})
    assert not answer.gone


def test_plans_keep_to_what_a_product_allows() -> None:
    many = [Instrument(venue=VENUE, symbol=f"A{i}", venue_symbol=f"AAAAAAAA{i}USDT") for i in range(600)]
    for venue, at_once, topics in (("bybit_spot", 10, 2), ("bybit", 100, 4)):
        plans = VENUES[venue].codec(venue).plan(many)
        requests = [[orjson.loads(text)["args"] for text in plan.subscribe] for plan in plans]
        assert sum(len(args) for request in requests for args in request) == topics * len(many)
        assert max(len(args) for request in requests for args in request) <= at_once
        assert max(sum(len(topic) for args in request for topic in args) for request in requests) <= 21_000


# -- protocol v2, in recordings --------------------------------------------------------------------------------------


def level(price: str, side: str, size: Any) -> dict[str, Any]:
    return {"price": price, "symbol": "AAAUSDT", "id": "1", "side": side, "size": size}


def test_the_book_of_v2() -> None:
    wire = Wire()
    head = {"topic": "orderBookL2_25.AAAUSDT", "timestamp_e6": "5000", "cross_seq": "7"}
    levels = [level("10.5", "Buy", 2.00001), level("11", "Sell", 3)]
    for data in (levels, {"order_book": levels}):
        (made,) = wire.ws(head | {"type": "snapshot", "data": data})
        assert (made.rows.bids(), made.rows.asks()) == ([(1_050_000_000, 2.00001)], [(11 * UNIT, 3.0)])
    gone = {"price": "11", "symbol": "AAAUSDT", "id": "1", "side": "Sell"}
    changes = {"delete": [gone], "update": [level("10.5", "Buy", 1)], "insert": [level("12", "Sell", 4)]}
    (diff,) = wire.ws(head | {"type": "delta", "data": changes})
    assert (diff.first_id, diff.event_ns) == (made.last_id + 1, 5_000_000)
    assert (diff.rows.bids(), diff.rows.asks()) == ([(1_050_000_000, 1.0)], [(11 * UNIT, 0.0), (12 * UNIT, 4.0)])


@pytest.mark.parametrize("price", ["313.14", 313.14])
def test_a_trade_of_v2(price: Any) -> None:
    told = {"symbol": "AAAUSDT", "price": price, "size": 0.6, "trade_time_ms": "5", "side": "Sell", "trade_id": "a-b"}
    (made,) = Wire().ws({"topic": "trade.AAAUSDT", "data": [told]})
    assert (made.px, made.size, made.sign, made.event_ns) == (31_314_000_000, 0.6, -1, 5_000_000)


# -- a session -------------------------------------------------------------------------------------------------------

NEW = ["ResyncEnded", "BookValid", "BookReplaced"]


class Talk:
    """A session with two books on one socket; answers the words said of them."""

    def __init__(self) -> None:
        self.session = Session(VENUES[VENUE].codec(VENUE))
        self.at_ns = S
        self.frame("instruments", msgspec.json.encode([AAA, BBB]))
        self.frame("open", b"")
        self.says(book("snapshot", 9))
        self.says(book("snapshot", 4, symbol="BBBUSDT"))
        self.sent()

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


def test_a_gap_is_asked_for_again_on_the_socket() -> None:
    talk = Talk()
    assert talk.says(book("delta", 10)) == ["BookChanged"]
    assert talk.says(book("delta", 12)) == ["BookInvalid sequence_gap"]
    talk.at_ns += 2 * S
    talk.frame("wake", b"")
    assert [(one["op"], one["args"]) for one in talk.sent()] == [
        ("unsubscribe", ["orderbook.200.AAAUSDT"]),
        ("subscribe", ["orderbook.200.AAAUSDT"]),
    ]
    assert talk.says(book("delta", 13)) == []
    assert talk.says(book("delta", 5, symbol="BBBUSDT")) == ["BookChanged"], "the other book lives on"
    assert talk.says(book("snapshot", 20)) == NEW
    assert talk.says(book("delta", 21)) == ["BookChanged"]


def test_a_service_that_began_anew_is_no_gap() -> None:
    talk = Talk()
    assert talk.says(book("snapshot", 1)) == ["BookReplaced"]
    assert talk.says(book("delta", 2)) == ["BookChanged"]


def test_a_malformed_frame_loses_its_book_only() -> None:
    talk = Talk()
    assert talk.says(book("delta", 10, b="x")) == ["Notice", "BookInvalid parse_error"]
    assert talk.says(book("delta", 5, symbol="BBBUSDT")) == ["BookChanged"]


# -- recordings ------------------------------------------------------------------------------------------------------


def test_of_the_best_level_every_push_is_the_whole_book_and_none_can_be_missed() -> None:
    frames = frames_of("bybit_v5-l1-20250613")
    whole = story(VENUE, frames)
    pushes = [number for number, frame in enumerate(frames) if b'"orderbook.1.' in frame.data[:30]]
    replaced = sum(one.word == "replaced" for said in whole.values() for one in said)
    assert (len(pushes), replaced) == (198, 198 - 16), "16 are repeats"
    told = story(VENUE, frames, leave_out=pushes[50])
    assert not any(one.word == "invalid" for said in told.values() for one in said)
