"""Each kind of message in the table of the module."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from imbalanced.events import Frame, Instrument
from imbalanced.session import Session
from imbalanced.venues import VENUES
from imbalanced.venues.codec import Answer, CodecError, Context, Image, ImageFailed, Listing, Print
from imbalanced.venues.diff import Diff

UNIT = 10**8
SPOT_TRADE = {"currency_pair": "AAA_USDT", "id": 1, "create_time_ms": "1", "side": "buy", "amount": "1", "price": "1"}
BOTH = pytest.mark.parametrize("venue", ["gate", "gate_futures"])


def known(venue: str, symbol: str = "AAA_USDT", **changes: Any) -> Instrument:
    return Instrument(venue=venue, symbol="AAA/USDT", venue_symbol=symbol, **changes)


class Wire:
    """One codec; takes what the venue says and gives its messages."""

    def __init__(self, venue: str, *instruments: Instrument) -> None:
        self.venue = venue
        self.codec = VENUES[venue].codec(venue)
        self.family = "spot" if venue == "gate" else "futures"
        for one in instruments:
            self.codec.know(one)

    def update(self, channel: str, result: Any) -> list[Any]:
        return self.ws({"time": 1, "channel": f"{self.family}.{channel}", "event": "update", "result": result})

    def ws(self, message: Any) -> list[Any]:
        data = message if isinstance(message, bytes) else orjson.dumps(message)
        return self.codec.decode(Frame(1, self.venue, 1, "ws", data))

    def http(self, body: Any, url: str = "", status: int = 200) -> list[Any]:
        url = url or self.codec.fetch_image("AAA_USDT").url
        return self.codec.decode(Frame(1, self.venue, 0, "http", orjson.dumps(body), url, status))


def level(venue: str, price: str, size: str) -> Any:
    return [price, size] if venue == "gate" else {"p": price, "s": int(size) if size.isdigit() else size}


def depth(venue: str, first: int, last: int, bids: Any = (), asks: Any = ()) -> dict[str, Any]:
    sides = {"b": [level(venue, *one) for one in bids], "a": [level(venue, *one) for one in asks]}
    return {"t": 1619093532988, "s": "AAA_USDT", "U": first, "u": last, **sides}


@BOTH
def test_a_diff(venue: str) -> None:
    (diff,) = Wire(venue).update("order_book_update", depth(venue, 5, 7, [("99.5", "2"), ("99", "0")], [("100", "1")]))
    assert isinstance(diff, Diff)
    assert (diff.symbol, diff.first_id, diff.last_id, diff.event_ns) == ("AAA_USDT", 5, 7, 1619093532988 * 10**6)
    assert diff.rows.bids() == [(9950 * UNIT // 100, 2.0), (99 * UNIT, 0.0)]
    assert diff.rows.asks() == [(100 * UNIT, 1.0)]


def test_contracts_are_worth_their_multiplier_and_may_be_decimal_text() -> None:
    wire = Wire("gate_futures", known("gate_futures", contract_size=0.01))
    (diff,) = wire.update("order_book_update", depth("gate_futures", 1, 1, [("10", "50")], [("11", "0.5")]))
    assert (diff.rows.bids(), diff.rows.asks()) == ([(10 * UNIT, 0.5)], [(11 * UNIT, 0.005)])


@BOTH
def test_an_image(venue: str) -> None:
    wire = Wire(venue)
    (image,) = wire.http({"id": 9, "bids": [level(venue, "99", "2")], "asks": [level(venue, "100", "1")]})
    assert isinstance(image, Image)
    assert (image.symbol, image.last_id) == ("AAA_USDT", 9)
    assert (image.rows.bids(), image.rows.asks()) == ([(99 * UNIT, 2.0)], [(100 * UNIT, 1.0)])


@BOTH
def test_an_image_that_did_not_come(venue: str) -> None:
    wire = Wire(venue)
    (busy,) = wire.http({"label": "SERVER_ERROR"}, status=500)
    (gone,) = wire.http({"label": "INVALID_CURRENCY_PAIR"}, status=400)
    assert isinstance(busy, ImageFailed)
    assert (busy.symbol, busy.gone, gone.gone) == ("AAA_USDT", False, True)


def test_a_spot_trade() -> None:
    trade = {"id": 7, "create_time": 1619093553, "create_time_ms": "1619093553517.921", "side": "sell"}
    (told,) = Wire("gate").update("trades", {**trade, "currency_pair": "AAA_USDT", "amount": "1.70", "price": "10.40"})
    assert isinstance(told, Print)
    assert (told.px, told.size, told.sign, told.trade_id) == (1040 * UNIT // 100, 1.7, -1, 7)
    assert (told.event_ns, told.why_not) == (1619093553517921000, "")


def test_futures_trades_are_told_in_the_order_of_their_ids() -> None:
    trade = {"contract": "AAA_USDT", "price": "225.5", "create_time": 1593561623}
    newer = {**trade, "id": 8, "size": 3, "create_time_ms": 1593561623001}
    inside = {**trade, "id": 9, "size": "-0.25", "is_internal": True}
    wire = Wire("gate_futures", known("gate_futures", contract_size=0.1))
    older, bought, internal = wire.update("trades", [newer, {**trade, "id": 6, "size": -22}, inside])
    assert (older.trade_id, older.sign, older.event_ns) == (6, -1, 1593561623 * 10**9)
    assert older.size == pytest.approx(2.2)
    assert (bought.trade_id, bought.sign, bought.event_ns) == (8, 1, 1593561623001 * 10**6)
    assert (internal.sign, internal.why_not) == (-1, "not_market")


def test_tickers_tell_mark_funding_and_open_interest() -> None:
    ticker = {"contract": "AAA_USDT", "mark_price": "10.5", "index_price": "10", "funding_rate": "-0.0001"}
    wire = Wire("gate_futures", known("gate_futures", contract_size=0.1))
    (told,) = wire.update("tickers", [{**ticker, "total_size": "500", "last": "10.4"}])
    assert isinstance(told, Context)
    assert (told.mark, told.index, told.funding_rate, told.open_interest) == (10.5, 10.0, -0.0001, 50.0)


@BOTH
def test_a_silent_stream_is_asked_for_by_itself(venue: str) -> None:
    wire = Wire(venue)
    asked = [orjson.loads(text) for text in wire.codec.resubscribe("AAA_USDT")]
    payload = ["AAA_USDT", "100ms", *(["100"] if venue == "gate_futures" else [])]
    assert [(one["event"], one["channel"], one["payload"]) for one in asked] == [
        ("unsubscribe", f"{wire.family}.order_book_update", payload),
        ("subscribe", f"{wire.family}.order_book_update", payload),
    ]


@BOTH
def test_answers(venue: str) -> None:
    wire = Wire(venue)
    channel = f"{wire.family}.trades"
    fine = {"time": 1, "channel": channel, "event": "subscribe", "error": None, "result": {"status": "success"}}
    assert wire.ws(fine) == [Answer(request_id=0)]
    (refused,) = wire.ws({**fine, "error": {"code": 2, "message": "unknown currency pair"}, "result": None})
    assert (refused.error, refused.symbols) == (f"{channel}: 2 unknown currency pair", ())
    assert wire.ws({"time": 1, "channel": f"{wire.family}.pong", "event": "", "result": None}) == []


@BOTH
@pytest.mark.parametrize("repeats", [True, False])
def test_the_others_of_a_list_that_is_refused_are_asked_for_one_by_one(venue: str, *, repeats: bool) -> None:
    wire, names = Wire(venue), ["AAA_USDT", "BBB_USDT", "CCC_USDT"]
    (plan,) = wire.codec.plan([known(venue, name) for name in names])
    (asked,) = (one for one in map(orjson.loads, plan.subscribe) if one["channel"].endswith(".trades"))
    why = {"code": 2, "message": "unknown currency pair: BBB_USDT"}
    told = {"time": 1, "channel": asked["channel"], "event": "subscribe", "error": why, "result": None}
    payload = {"payload": asked["payload"]} if repeats else {}
    refused, *again = wire.ws({**told, **payload})
    assert (refused.error, refused.symbols) == (f"{asked['channel']}: 2 {why['message']}", ("BBB_USDT",))
    single = [orjson.loads(one.text) for one in again]
    assert single == [{**asked, "payload": [name]} for name in ("AAA_USDT", "CCC_USDT")]
    why = {"code": 2, "message": "unknown currency pair: CCC_USDT"}
    (refused,) = wire.ws({**told, "error": why, **({"payload": ["CCC_USDT"]} if repeats else {})})
    assert refused.symbols == ("CCC_USDT",), "and nothing is asked for over and over"
    wire.codec.opened(1)
    assert len(wire.ws({**told, **payload})) == 3, "a new socket is asked anew"


@BOTH
def test_who_is_refused_is_told_by_what_was_asked_where_the_reason_names_nobody(venue: str) -> None:
    wire = Wire(venue)
    wire.codec.plan([known(venue)])
    told = {"channel": f"{wire.family}.trades", "event": "subscribe", "error": {"code": 2, "message": "no"}}
    (refused,) = wire.ws({**told, "payload": ["AAA_USDT"]})
    assert refused.symbols == ("AAA_USDT",)
    refused, *again = wire.ws({**told, "payload": ["AAA_USDT", "BBB_USDT"]})
    assert (refused.symbols, len(again)) == ((), 2)
    book = {**told, "channel": f"{wire.family}.order_book_update", "payload": ["AAA_USDT", "100ms"]}
    assert [one.symbols for one in wire.ws(book)] == [("AAA_USDT",)]


@pytest.mark.parametrize(
    ("channel", "result"),
    [
        ("order_book_update", {"s": "AAA_USDT", "t": 1, "U": 1, "u": 2, "b": [["x", "1"]], "a": []}),
        ("order_book_update", {"s": "AAA_USDT", "t": 1, "U": 1, "u": 2, "b": [["1", "-1"]], "a": []}),
        ("order_book_update", {"s": "AAA_USDT", "t": 1, "U": 1.5, "u": 2, "b": [], "a": []}),
        ("order_book_update", {"s": "AAA_USDT", "t": 1, "u": 2, "b": [], "a": []}),
        ("trades", {**SPOT_TRADE, "side": "up"}),
        ("trades", {**SPOT_TRADE, "create_time_ms": "1.x"}),
    ],
)
def test_malformed_frames_name_their_symbol(channel: str, result: dict[str, Any]) -> None:
    with pytest.raises(CodecError) as caught:
        Wire("gate").update(channel, result)
    assert (caught.value.symbol, caught.value.channel) == ("AAA_USDT", f"spot.{channel}")


def test_listings() -> None:
    pair = {"id": "AAA_ETH", "base": "AAA", "quote": "ETH", "precision": 9, "trade_status": "tradable"}
    (listing,) = Wire("gate").http([pair], "https://api.gateio.ws/api/v4/spot/currency_pairs")
    assert isinstance(listing, Listing)
    (one,) = listing.instruments
    assert (one.symbol, one.venue_symbol, one.tick, one.price_scale) == ("AAA/ETH", "AAA_ETH", "0.000000001", 9)
    contract = {"name": "AAA_USDT", "order_price_round": "0.1", "quanto_multiplier": "0.001", "in_delisting": False}
    (listing,) = Wire("gate_futures").http([contract], "https://api.gateio.ws/api/v4/futures/usdt/contracts")
    (one,) = listing.instruments
    assert (one.symbol, one.contract_size, one.tick) == ("AAA/USDT:USDT", 0.001, "0.1")


@BOTH
def test_subscriptions(venue: str) -> None:
    wire = Wire(venue)
    (plan,) = wire.codec.plan([known(venue), known(venue, "BBB_USDT")])
    asked = [orjson.loads(one) for one in plan.subscribe]
    books = [one["payload"] for one in asked if one["channel"] == f"{wire.family}.order_book_update"]
    rest = ["100"] if venue == "gate_futures" else []
    assert books == [["AAA_USDT", "100ms", *rest], ["BBB_USDT", "100ms", *rest]]
    assert [one["payload"] for one in asked if one["channel"].endswith(".trades")] == [["AAA_USDT", "BBB_USDT"]]
    assert wire.codec.fetch_image("AAA_USDT").url.endswith("=AAA_USDT&limit=100&with_id=true")


@BOTH
def test_a_gap_is_noticed_at_that_very_diff(venue: str) -> None:
    session = Session(VENUES[venue].codec(venue), discover=True)

    def say(first: int, last: int) -> list[str]:
        family = "spot" if venue == "gate" else "futures"
        message = {"channel": f"{family}.order_book_update", "event": "update", "result": depth(venue, first, last)}
        return [type(e).__name__ for e in session.receive(Frame(1, venue, 1, "ws", orjson.dumps(message)))]

    assert say(3, 4) == []
    image = orjson.dumps({"id": 4, "bids": [level(venue, "99", "2")], "asks": []})
    url = session.codec.fetch_image("AAA_USDT").url
    told = session.receive(Frame(1, venue, 0, "http", image, url))
    assert [type(e).__name__ for e in told] == ["ResyncEnded", "BookValid", "BookReplaced"]
    assert say(5, 8) == ["BookChanged"]
    assert say(8, 8) == [], "an old one is no gap"
    assert say(10, 10) == ["BookInvalid"]
