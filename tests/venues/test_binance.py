"""Each kind of message in the table of the module, for each product. Frames are ours, in the venue's shape."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from conversation import diff_text, image_text, trade_text

from imbalanced import book
from imbalanced.events import Frame, Instrument
from imbalanced.venues import VENUES
from imbalanced.venues.codec import (
    Answer,
    ClosingSoon,
    CodecError,
    Context,
    Forced,
    Image,
    ImageFailed,
    Listing,
    Print,
)
from imbalanced.venues.diff import Diff

UNIT = 10**8
PRODUCTS = pytest.mark.parametrize("venue", ["binance", "binance_us", "binance_usdm", "binance_coinm"])
LINEAR = pytest.mark.parametrize("venue", ["binance", "binance_us", "binance_usdm"])

COMPILED = not book.__file__.endswith(".py")


class Wire:
    """One codec; ``decode`` takes text and gives its messages."""

    def __init__(self, venue: str, *known: Instrument) -> None:
        self.codec = VENUES[venue].codec(venue)
        self.venue = venue
        for one in known:
            self.codec.know(one)

    def ws(self, text: str | bytes | dict[str, Any]) -> list[Any]:
        data = text if isinstance(text, bytes) else text.encode() if isinstance(text, str) else orjson.dumps(text)
        return self.codec.decode(Frame(1, self.venue, 1, "ws", data))

    def http(self, text: str, path: str = "", *, symbol: str = "AAAUSDT", status: int = 200) -> list[Any]:
        url = f"https://host{path}" if path else self.codec.fetch_image(symbol).url
        return self.codec.decode(Frame(1, self.venue, 0, "http", text.encode(), url, status))


def known(venue: str, symbol: str = "AAAUSDT", **changes: Any) -> Instrument:
    return Instrument(venue=venue, symbol="AAA/USDT", venue_symbol=symbol, **changes)


# -- books -------------------------------------------------------------------------------------------------------------


@LINEAR
@pytest.mark.parametrize("known_before", [True, False])
def test_a_diff(venue: str, known_before: bool) -> None:
    wire = Wire(venue, *([known(venue)] if known_before else []))
    prev = 7 if venue == "binance_usdm" else None
    text = diff_text("AAAUSDT", 9, 12, [["100.01", "2.5"], ["99", "0"]], [["100.02", "1"]], event_ms=5, prev=prev)
    (diff,) = wire.ws(text)
    assert isinstance(diff, Diff)
    assert (diff.symbol, diff.first_id, diff.last_id, diff.prev_id) == ("AAAUSDT", 9, 12, 7 if prev else -1)
    assert diff.event_ns == 5_000_000
    assert diff.rows.bids() == [(10_001_000_000, 2.5), (9_900_000_000, 0.0)]
    assert diff.rows.asks() == [(10_002_000_000, 1.0)]


def test_engine_time_comes_before_push_time() -> None:
    text = diff_text("AAAUSDT", 1, 1, event_ms=5, prev=0).replace('"T":5', '"T":3')
    for text_or_spaced in (text, text.replace('{"e":', '{ "e":')):
        (diff,) = Wire("binance_usdm", known("binance_usdm")).ws(text_or_spaced)
        assert diff.event_ns == 3_000_000


def test_keys_of_the_joined_futures_hosts_are_no_trouble() -> None:
    text = diff_text("AAAUSDT", 1, 2, [["1", "1"]], event_ms=5, prev=0).replace('"U":1', '"st":1,"ps":"AAAUSDT","U":1')
    (diff,) = Wire("binance_usdm", known("binance_usdm")).ws(text)
    assert (diff.first_id, diff.rows.bids()) == (1, [(UNIT, 1.0)])
    (other,) = Wire("binance_usdm", known("binance_usdm")).ws(text.replace('"ps":"AAAUSDT"', '"ps":""'))
    assert other.first_id == 1
    (third,) = Wire("binance_usdm", known("binance_usdm")).ws(text.replace('"st":1', '"zz":1'))
    assert third.first_id == 1


def test_asks_before_bids_are_read_all_the_same() -> None:
    data = {"e": "depthUpdate", "E": 1, "s": "AAAUSDT", "U": 1, "u": 2, "a": [["2", "2"]], "b": [["1", "1"]]}
    (diff,) = Wire("binance", known("binance")).ws(data)
    assert (diff.rows.bids(), diff.rows.asks()) == ([(UNIT, 1.0)], [(2 * UNIT, 2.0)])


def test_the_bare_payload_without_a_wrapper() -> None:
    (diff,) = Wire("binance", known("binance")).ws(
        '{"e":"depthUpdate","E":1,"s":"AAAUSDT","U":1,"u":2,"b":[["1","1"]],"a":[]}'
    )
    assert diff.last_id == 2


@PRODUCTS
def test_an_image(venue: str) -> None:
    (image,) = Wire(venue, known(venue)).http(image_text(42, [["1.5", "2"]], [["1.6", "3"]]))
    assert isinstance(image, Image)
    assert (image.symbol, image.last_id, image.event_ns) == ("AAAUSDT", 42, 0)
    assert (image.rows.bids(), image.rows.asks()) == ([(150_000_000, 2.0)], [(160_000_000, 3.0)])


def test_an_image_of_futures_has_times() -> None:
    (image,) = Wire("binance_usdm").http('{"lastUpdateId":42,"E":7,"T":6,"bids":[],"asks":[]}')
    assert image.event_ns == 6_000_000


def test_an_empty_new_listing_has_the_id_minus_one() -> None:
    (image,) = Wire("binance").http(image_text(-1))
    assert image.last_id == -1


@pytest.mark.parametrize("text", ["<html>", "[]", "{}", '{"lastUpdateId":"1","bids":[],"asks":[]}', "null"])
def test_an_image_that_is_none(text: str) -> None:
    with pytest.raises(CodecError) as caught:
        Wire("binance").http(text)
    assert (caught.value.symbol, caught.value.channel) == ("AAAUSDT", "depth snapshot")


def test_an_image_of_negative_id_is_none() -> None:
    with pytest.raises(CodecError, match="no id"):
        Wire("binance").http(image_text(-2))


@pytest.mark.parametrize(
    ("status", "text", "why", "gone"),
    [
        (429, "{}", "HTTP 429", False),
        (400, '{"code":-1121,"msg":"Invalid symbol."}', "HTTP 400", True),
        (400, '{"code":-1100,"msg":"Illegal"}', "HTTP 400", False),
        (400, "<html>", "HTTP 400", False),
        (400, "[]", "HTTP 400", False),
        (0, "connection refused", "connection refused", False),
    ],
)
def test_an_image_that_did_not_come(status: int, text: str, why: str, gone: bool) -> None:
    (failed,) = Wire("binance").http(text, status=status)
    assert failed == ImageFailed(symbol="AAAUSDT", why=why, gone=gone)


# -- trades, context, forced orders ------------------------------------------------------------------------------------


@LINEAR
@pytest.mark.parametrize("stream", ["trade", "aggTrade"])
@pytest.mark.parametrize("sell", [True, False])
def test_prints(venue: str, stream: str, sell: bool) -> None:
    (told,) = Wire(venue).ws(trade_text("AAAUSDT", 7, "100.5", "0.25", sell=sell, stream=stream))
    expected = Print(
        symbol="AAAUSDT",
        stream=stream,
        px=10_050_000_000,
        size=0.25,
        sign=-1 if sell else 1,
        trade_id=7,
        event_ns=1_000_000,
    )
    assert told == expected, "m true: the buyer was the maker, the taker sold"


@pytest.mark.parametrize("kind", ["INSURANCE_FUND", "ADL", "NA"])
def test_prints_without_an_aggressor(kind: str) -> None:
    (told,) = Wire("binance_usdm").ws(trade_text("AAAUSDT", 7, "1", "1", X=kind))
    assert told.why_not == "not_market"
    (told,) = Wire("binance_usdm").ws(trade_text("AAAUSDT", 8, "1", "1", X="MARKET"))
    assert told.why_not == ""


def test_mark_price() -> None:
    (told,) = Wire("binance_usdm").ws(
        '{"e":"markPriceUpdate","E":5,"s":"AAAUSDT","p":"100.1","i":"100.2","r":"-0.00012","T":9}'
    )
    assert told == Context(
        symbol="AAAUSDT", event_ns=5_000_000, mark=100.1, index=100.2, funding_rate=-0.00012, next_funding_ns=9_000_000
    )


def test_mark_price_of_a_delivery_contract_has_no_funding() -> None:
    (told,) = Wire("binance_coinm").ws('{"e":"markPriceUpdate","E":5,"s":"AAAUSD_991231","p":"100.1","r":"","T":0}')
    assert (told.index, told.funding_rate, told.next_funding_ns) == (None, None, None)


@pytest.mark.parametrize(("side", "sign"), [("SELL", -1), ("BUY", 1)])
def test_forced_orders(side: str, sign: int) -> None:
    order = {"s": "AAAUSDT", "S": side, "p": "99.5", "ap": "99.123456789", "q": "5", "z": "3", "T": 4}
    (told,) = Wire("binance_usdm").ws({"e": "forceOrder", "E": 5, "o": order})
    assert told == Forced(symbol="AAAUSDT", event_ns=4_000_000, px=9_950_000_000, size=3.0, sign=sign)


# -- inverse contracts -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("symbol", "contract"), [("BTCUSD_PERP", 100.0), ("ETHUSD_PERP", 10.0)])
def test_sizes_of_inverse_contracts_become_base_units(symbol: str, contract: float) -> None:
    wire = Wire("binance_coinm")
    (diff,) = wire.ws(diff_text(symbol, 1, 2, [["50000", "3"]], [["40000", "0"]], event_ms=1, prev=0))
    assert diff.rows.bids() == [(50_000 * UNIT, pytest.approx(3 * contract / 50_000))]
    assert diff.rows.asks() == [(40_000 * UNIT, 0.0)]
    (told,) = wire.ws(trade_text(symbol, 7, "50000", "3"))
    assert told.size == pytest.approx(3 * contract / 50_000)
    (image,) = wire.http(image_text(1, [["50000", "3"]]), symbol=symbol)
    assert image.rows.bids() == [(50_000 * UNIT, pytest.approx(3 * contract / 50_000))]
    (forced,) = wire.ws({"e": "forceOrder", "o": {"s": symbol, "S": "BUY", "p": "50000", "z": "3", "T": 1}})
    assert forced.size == pytest.approx(3 * contract / 50_000)


def test_the_listed_contract_size_comes_before_the_inferred_one() -> None:
    wire = Wire("binance_coinm", known("binance_coinm", "NEWUSD_PERP", contract_size=7.0, inverse=True))
    (told,) = wire.ws(trade_text("NEWUSD_PERP", 1, "14", "4"))
    assert told.size == 2.0


def test_a_linear_contract_of_another_size() -> None:
    wire = Wire("binance_usdm", known("binance_usdm", contract_size=10.0))
    (diff,) = wire.ws(diff_text("AAAUSDT", 1, 2, [["1", "3"]], event_ms=1, prev=0))
    assert diff.rows.bids() == [(UNIT, 30.0)]


# -- answers, notices, listings ----------------------------------------------------------------------------------------


@PRODUCTS
@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ('{"result":null,"id":3}', Answer(request_id=3)),
        ('{"code":2,"msg":"Invalid request","id":4}', Answer(request_id=4, error="2: Invalid request")),
        ('{"error":{"code":1,"msg":"bad"},"id":"x"}', Answer(request_id=0, error="1: bad")),
        ('{"error":"odd","id":5}', Answer(request_id=5)),
    ],
)
def test_answers(venue: str, text: str, answer: Answer) -> None:
    assert Wire(venue).ws(text) == [answer]


@PRODUCTS
def test_the_notice_before_a_shutdown(venue: str) -> None:
    assert Wire(venue).ws('{"e":"serverShutdown","E":1}') == [ClosingSoon()]


@PRODUCTS
@pytest.mark.parametrize("kind", ["bookTicker", "kline", "24hrTicker"])
def test_what_we_do_not_take(venue: str, kind: str) -> None:
    assert Wire(venue).ws({"stream": "x", "data": {"e": kind, "s": "AAAUSDT"}}) == []


SPOT_LISTING = {
    "symbols": [
        {
            "symbol": "AAAUSDT",
            "baseAsset": "AAA",
            "quoteAsset": "USDT",
            "status": "TRADING",
            "filters": [{"filterType": "LOT_SIZE"}, {"filterType": "PRICE_FILTER", "tickSize": "0.01000000"}],
        },
        {"symbol": "OLDUSDT", "baseAsset": "OLD", "quoteAsset": "USDT", "status": "BREAK", "filters": []},
    ]
}
FUTURES_LISTING = {
    "symbols": [
        {
            "symbol": "BTCUSD_PERP",
            "contractType": "PERPETUAL",
            "contractStatus": "TRADING",
            "contractSize": 100,
            "baseAsset": "BTC",
            "quoteAsset": "USD",
            "marginAsset": "BTC",
            "filters": [{"filterType": "PRICE_FILTER", "tickSize": "10"}],
        },
        {
            "symbol": "BTCUSD_991231",
            "contractType": "CURRENT_QUARTER",
            "contractStatus": "TRADING",
            "baseAsset": "BTC",
            "quoteAsset": "USD",
            "filters": [],
        },
    ]
}


def test_the_list_of_a_spot_recording() -> None:
    (listing,) = Wire("binance").http(orjson.dumps(SPOT_LISTING).decode(), "/api/v3/exchangeInfo")
    assert isinstance(listing, Listing)
    aaa, old = listing.instruments
    assert (aaa.symbol, aaa.tick, aaa.active, aaa.inverse) == ("AAA/USDT", "0.01", True, False)
    assert (old.symbol, old.tick, old.active) == ("OLD/USDT", "", False)


def test_the_list_of_a_recording_of_inverse_contracts() -> None:
    (listing,) = Wire("binance_coinm").http(orjson.dumps(FUTURES_LISTING).decode(), "/dapi/v1/exchangeInfo")
    perpetual, dated = listing.instruments
    assert (perpetual.symbol, perpetual.tick, perpetual.contract_size, perpetual.inverse) == (
        "BTC/USD:BTC",
        "10",
        100,
        True,
    )
    assert dated.symbol == "BTCUSD_991231", "expiries are named by the venue"


@pytest.mark.parametrize("text", ["<html>", "[]", '{"symbols":[{}]}', '{"symbols":[{"filters":[{}]}]}', "null"])
def test_a_list_that_is_none(text: str) -> None:
    with pytest.raises(CodecError, match="exchangeInfo"):
        Wire("binance").http(text, "/api/v3/exchangeInfo")


def test_a_list_that_was_refused_is_nothing() -> None:
    assert Wire("binance").http("busy", "/api/v3/exchangeInfo", status=429) == []


# -- malformed fields --------------------------------------------------------------------------------------------------

GOOD: dict[str, dict[str, Any]] = {
    "depthUpdate": {"E": 1, "T": 1, "s": "AAAUSDT", "U": 1, "u": 2, "pu": 0, "b": [["1", "1"]], "a": [["2", "1"]]},
    "trade": {"E": 1, "s": "AAAUSDT", "t": 1, "p": "1", "q": "1", "T": 1, "m": True},
    "aggTrade": {"E": 1, "s": "AAAUSDT", "a": 1, "p": "1", "q": "1", "T": 1, "m": True},
    "markPriceUpdate": {"E": 1, "s": "AAAUSDT", "p": "1", "i": "1", "r": "0.1", "T": 1},
}
NEEDED = {
    "depthUpdate": ("U", "u", "b", "a"),
    "trade": ("t", "p", "q", "T", "m"),
    "aggTrade": ("a", "p", "q", "T", "m"),
    "markPriceUpdate": ("E", "p"),
}
WRONG = [
    None,
    {},
    [],
    "x",
    -5,
    1.5,
    1 << 63,
    [["1"]],
    [["0", "1"]],
    [["1", "-1"]],
    [["1", "NaN"]],
    [[1, 1]],
    "NaN",
    "-1",
]


@pytest.mark.parametrize("kind", GOOD)
def test_the_good_ones_are_good(kind: str) -> None:
    assert len(Wire("binance_usdm").ws({"e": kind, **GOOD[kind]})) == 1


@pytest.mark.parametrize(("kind", "field"), [(kind, field) for kind, fields in NEEDED.items() for field in fields])
def test_malformed_fields_name_their_symbol(kind: str, field: str) -> None:
    wire = Wire("binance_usdm", known("binance_usdm"))
    missing = {key: value for key, value in GOOD[kind].items() if key != field}
    for message in (missing, *({**GOOD[kind], field: wrong} for wrong in WRONG)):
        if field in ("b", "a") and message.get(field) in ([], {}):
            continue  # no rows are no fault
        with pytest.raises(CodecError) as caught:
            wire.ws({"e": kind, **message})
        assert (caught.value.symbol, caught.value.channel) == ("AAAUSDT", kind), message


@pytest.mark.parametrize("field", ["E", "T"])
@pytest.mark.parametrize("ms", [(1 << 63) // 10**6 + 1, 1 << 61])
def test_a_time_that_does_not_fit_is_no_time_for_either_reader(field: str, ms: int) -> None:
    """Compiled, it is refused here; else it is left to the session to refuse it."""
    wire = Wire("binance_usdm", known("binance_usdm"))
    stamps = {"E": 1, "T": 1, field: ms} if field == "T" else {field: ms}
    rest = {key: value for key, value in GOOD["depthUpdate"].items() if key not in ("E", "T")}
    if COMPILED:
        with pytest.raises(CodecError) as caught:
            wire.ws({"e": "depthUpdate", **stamps, **rest})
        assert caught.value.symbol == "AAAUSDT"
    else:
        (diff,) = wire.ws({"e": "depthUpdate", **stamps, **rest})
        assert diff.event_ns >= 1 << 63


@pytest.mark.parametrize("symbol", [None, "", 5, [], {}])
@pytest.mark.parametrize("kind", GOOD)
def test_a_message_of_no_symbol_is_refused(kind: str, symbol: object) -> None:
    with pytest.raises(CodecError):
        Wire("binance_usdm").ws({"e": kind, **GOOD[kind], "s": symbol})


@pytest.mark.parametrize("rate", ["NaN", "inf", "x", 0.1, [1]])
def test_a_funding_rate_that_is_none(rate: object) -> None:
    with pytest.raises(CodecError):
        Wire("binance_usdm").ws({"e": "markPriceUpdate", **GOOD["markPriceUpdate"], "r": rate})


FORCED = {"s": "AAAUSDT", "S": "SELL", "p": "1", "z": "1", "T": 1}


@pytest.mark.parametrize("order", [None, [], "x", {}, {"s": "AAAUSDT"}, {**FORCED, "p": "0"}, {**FORCED, "S": "sell"}])
def test_malformed_forced_orders(order: object) -> None:
    with pytest.raises(CodecError):
        Wire("binance_usdm").ws({"e": "forceOrder", "o": order})


@pytest.mark.parametrize("kind", [None, 5, [], {}, True])
def test_an_event_without_a_proper_name_is_nothing(kind: object) -> None:
    assert Wire("binance").ws({"e": kind, "s": "AAAUSDT"}) == []


def test_a_frame_that_is_cut_off_is_known_by_its_wrapper() -> None:
    wire = Wire("binance", known("binance"))
    with pytest.raises(CodecError) as caught:
        wire.ws(diff_text("AAAUSDT", 1, 2)[:50])
    assert caught.value.symbol == "AAAUSDT"
    with pytest.raises(CodecError) as caught:
        wire.ws(diff_text("ZZZUSDT", 1, 2)[:50])
    assert caught.value.symbol == "", "a symbol that nobody knows is nobody's"


# -- subscriptions -----------------------------------------------------------------------------------------------------


def test_what_is_subscribed_and_where() -> None:
    spot = Wire("binance").codec.plan([known("binance")])
    assert [(plan.url.rpartition(":9443")[2], plan.books) for plan in spot] == [("/stream", ("AAAUSDT",))]
    assert orjson.loads(spot[0].subscribe[0])["params"] == ["aaausdt@depth@100ms", "aaausdt@aggTrade"]
    books, market = Wire("binance_usdm").codec.plan([known("binance_usdm")])
    assert books.url.endswith("/public/stream")
    assert market.url.endswith("/market/stream")
    assert (books.books, market.books) == (("AAAUSDT",), ())
    assert orjson.loads(books.subscribe[0])["params"] == ["aaausdt@depth@100ms"]
    assert orjson.loads(market.subscribe[0])["params"] == [
        "aaausdt@aggTrade",
        "aaausdt@markPrice@1s",
        "aaausdt@forceOrder",
    ]


def test_subscriptions_are_sent_in_parts_with_ids_of_their_own() -> None:
    (plan,) = Wire("binance").codec.plan([known("binance", f"X{i}USDT") for i in range(120)])
    parts = [orjson.loads(text) for text in plan.subscribe]
    assert [part["id"] for part in parts] == [1, 2, 3]
    assert sum(len(part["params"]) for part in parts) == 240
