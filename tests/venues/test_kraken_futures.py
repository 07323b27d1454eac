"""Each kind of message in the table of the module and a session."""

from __future__ import annotations

from typing import Any

import msgspec
import orjson
import pytest

from imbalanced.events import Frame, Instrument
from imbalanced.session import Session
from imbalanced.venues import VENUES
from imbalanced.venues.codec import Answer, CodecError, Context, Forced, Image, Listing, Print, Trading
from imbalanced.venues.diff import Diff

VENUE = "kraken_futures"
UNIT = 10**8
S = 1_000_000_000
AAA = Instrument(venue=VENUE, symbol="AAA/USD:USD", venue_symbol="PF_AAAUSD")
BBB = Instrument(venue=VENUE, symbol="BBB/USD:BBB", venue_symbol="PI_BBBUSD", inverse=True)


class Wire:
    """One codec; takes what the venue says and gives its messages."""

    def __init__(self) -> None:
        self.codec = VENUES[VENUE].codec(VENUE)

    def ws(self, message: Any) -> list[Any]:
        data = message if isinstance(message, bytes) else orjson.dumps(message)
        return self.codec.decode(Frame(1, VENUE, 1, "ws", data))


def change(last: int, **fields: Any) -> dict[str, Any]:
    level = {"side": "buy", "price": 10.5, "qty": 3}
    return {"feed": "book", "product_id": "PF_AAAUSD", "seq": last, "timestamp": 1_700_000_000_123} | level | fields


def image(seq: int, product: str = "PF_AAAUSD") -> dict[str, Any]:
    bids = [{"price": 10.5, "qty": 2}, {"price": 10, "qty": 0}]
    sides = {"bids": bids, "asks": [{"price": 11, "qty": 0.5}]}
    return {"feed": "book_snapshot", "product_id": product, "timestamp": 5, "seq": seq, "tickSize": None} | sides


def trade(seq: int, **fields: Any) -> dict[str, Any]:
    print_ = {"uid": "u", "side": "sell", "type": "fill", "time": 7, "qty": 2, "price": 10.5}
    return {"feed": "trade", "product_id": "PF_AAAUSD", "seq": seq} | print_ | fields


def test_a_change_of_one_level() -> None:
    wire = Wire()
    (diff,) = wire.ws(change(4))
    assert isinstance(diff, Diff)
    assert (diff.symbol, diff.first_id, diff.last_id, diff.event_ns) == ("PF_AAAUSD", 4, 4, 1_700_000_000_123 * 10**6)
    assert (diff.rows.bids(), diff.rows.asks()) == ([(1_050_000_000, 3.0)], [])
    (diff,) = wire.ws(change(5, side="sell", price=11, qty=0))
    assert (diff.rows.bids(), diff.rows.asks()) == ([], [(11 * UNIT, 0.0)])


def test_numbers_are_read_as_they_are_written() -> None:
    text = orjson.dumps(change(4)).replace(b"10.5", b"1.0E-5").replace(b'"qty":3', b'"qty":0.10')
    (diff,) = Wire().ws(text)
    assert diff.rows.bids() == [(1000, 0.1)]


def test_an_image_without_its_empty_levels() -> None:
    (made,) = Wire().ws(image(9))
    assert isinstance(made, Image)
    assert (made.symbol, made.last_id, made.event_ns, made.checked) == ("PF_AAAUSD", 9, 5_000_000, False)
    assert (made.rows.bids(), made.rows.asks()) == ([(1_050_000_000, 2.0)], [(11 * UNIT, 0.5)])


def test_contracts_of_an_inverse_product_are_dollars() -> None:
    (made,) = Wire().ws(image(9, "PI_XBTUSD"))
    assert made.rows.asks() == [(11 * UNIT, pytest.approx(0.5 / 11))]


def test_a_trade() -> None:
    (told,) = Wire().ws(trade(3))
    expected = Print(
        symbol="PF_AAAUSD", stream="trade", px=1_050_000_000, size=2.0, sign=-1, trade_id=3, event_ns=7_000_000
    )
    assert told == expected


def test_the_taker_of_a_liquidation_is_forced() -> None:
    told, forced = Wire().ws(trade(3, type="liquidation", side="buy"))
    assert (told.sign, told.why_not) == (1, "")
    assert forced == Forced(symbol="PF_AAAUSD", event_ns=7_000_000, px=1_050_000_000, size=2.0, sign=1)


@pytest.mark.parametrize("kind", ["assignment", "termination", "block"])
def test_what_did_not_meet_the_book_is_no_market_trade(kind: str) -> None:
    (told,) = Wire().ws(trade(3, type=kind))
    assert told.why_not == "not_market"


def test_history_is_told_in_order() -> None:
    trades = [trade(5, type="liquidation"), trade(4)]
    told = Wire().ws({"feed": "trade_snapshot", "product_id": "PF_AAAUSD", "trades": trades})
    assert [(one.trade_id, one.why_not) for one in told] == [(4, "history"), (5, "history")]


def test_a_ticker_is_context() -> None:
    ticker = {
        "feed": "ticker",
        "product_id": "PI_XBTUSD",
        "time": 5,
        "markPrice": 50.0,
        "index": 51,
        "tag": "perpetual",
    }
    rates = {"funding_rate": 9.9, "relative_funding_rate": -1e-5, "next_funding_rate_time": 3_600_000}
    (told,) = Wire().ws(ticker | rates | {"openInterest": 100})
    assert told == Context(
        symbol="PI_XBTUSD",
        event_ns=5_000_000,
        mark=50.0,
        index=51.0,
        funding_rate=-1e-5,
        funding_interval_h=1.0,
        next_funding_ns=3600 * S,
        open_interest=2.0,
    )
    (dated,) = Wire().ws(ticker | {"product_id": "FF_XBTUSD_251226", "openInterest": 100})
    assert (dated.funding_rate, dated.funding_interval_h, dated.open_interest) == (None, None, 100.0)


def test_another_socket_does_not_make_forget_who_is_suspended() -> None:
    wire = Wire()
    ticker = {"feed": "ticker", "product_id": "PF_X", "time": 1}
    assert [one.state for one in wire.ws({**ticker, "suspended": True}) if isinstance(one, Trading)] == ["halted"]
    wire.codec.opened(2)
    assert [one.state for one in wire.ws({**ticker, "suspended": False}) if isinstance(one, Trading)] == ["trading"]
    wire.ws({**ticker, "suspended": True})
    wire.codec.opened(1)
    told = wire.ws({**ticker, "suspended": True})
    assert [one.state for one in told if isinstance(one, Trading)] == ["halted"], "its own is told anew"


def test_a_product_that_is_suspended_and_trades_again() -> None:
    wire = Wire()

    def told(**more: Any) -> list[Any]:
        return [one for one in wire.ws({"feed": "ticker", "product_id": "PF_X", **more}) if isinstance(one, Trading)]

    assert told(suspended=False) == []
    assert told(suspended=True) == [Trading(symbol="PF_X", state="halted", why="suspended")]
    assert told(suspended=True, post_only=True) == []
    assert told(post_only=True) == []
    assert told() == [Trading(symbol="PF_X", state="trading", why="")]


def test_answers_and_what_concerns_us_not() -> None:
    wire = Wire()
    assert wire.ws({"event": "subscribed", "feed": "book", "product_ids": ["PF_AAAUSD"]}) == [
        Answer(request_id=0, symbols=("PF_AAAUSD",))
    ]
    (refused,) = wire.ws({"event": "subscribed_failed", "feed": "book", "product_ids": ["PF_X"]})
    assert refused.error == "subscribed_failed book PF_X"
    (refused,) = wire.ws({"event": "error", "message": "Invalid product id"})
    assert refused.error == "error Invalid product id"
    for message in ({"event": "info", "version": 1}, {"feed": "heartbeat", "time": 5}, {"feed": "ticker_lite"}):
        assert wire.ws(message) == []


@pytest.mark.parametrize(
    "fields",
    [
        {"price": -1},
        {"price": "x"},
        {"price": 0},
        {"qty": -1},
        {"qty": None},
        {"side": "up"},
        {"seq": 1.5},
        {"seq": -1},
        {"timestamp": "x"},
    ],
)
def test_a_malformed_change_names_its_product(fields: dict[str, Any]) -> None:
    with pytest.raises(CodecError) as caught:
        Wire().ws(change(4, **fields))
    assert (caught.value.channel, caught.value.symbol) == ("book", "PF_AAAUSD")


def test_half_a_frame_names_its_product() -> None:
    with pytest.raises(CodecError) as caught:
        Wire().ws(orjson.dumps(change(4))[:-9])
    assert caught.value.symbol == "PF_AAAUSD"


def test_the_list_of_a_recording() -> None:
    one = {"symbol": "pi_xbtusd", "type": "futures_inverse", "tickSize": 0.5, "contractSize": 1, "tradeable": True}
    other = {"symbol": "PF_AAAUSD", "type": "flexible_futures", "tickSize": 0.0100, "tradeable": False}
    index = {"symbol": "in_xbtusd", "type": "spot index", "tradeable": False}
    data = orjson.dumps({"result": "success", "instruments": [one, other, index]})
    url = "https://futures.kraken.com/derivatives/api/v3/instruments"
    codec = VENUES[VENUE].codec(VENUE)
    (listing,) = codec.decode(Frame(1, VENUE, 0, "http", data, url))
    assert isinstance(listing, Listing)
    inverse, linear, _ = listing.instruments
    assert (inverse.venue_symbol, inverse.symbol, inverse.inverse) == ("PI_XBTUSD", "BTC/USD:BTC", True)
    assert (inverse.tick, inverse.active) == ("0.5", True)
    assert (linear.symbol, linear.inverse, linear.tick, linear.active) == ("AAA/USD:USD", False, "0.01", False)
    with pytest.raises(CodecError):
        codec.decode(Frame(1, VENUE, 0, "http", b'{"instruments":[{}]}', url))


@pytest.mark.parametrize(
    ("product", "symbol", "inverse"),
    [
        ("PI_XBTUSD", "BTC/USD:BTC", True),
        ("PF_ETHUSD", "ETH/USD:USD", False),
        ("FI_ETHUSD_211231", "ETH/USD:ETH-211231", True),
        ("FF_XBTUSD_251226", "BTC/USD:USD-251226", False),
        ("in_xbtusd", "in_xbtusd", False),
    ],
)
def test_names_tell_the_instrument(product: str, symbol: str, inverse: bool) -> None:
    inferred = VENUES[VENUE].codec(VENUE).infer(product)
    assert (inferred.symbol, inferred.inverse) == (symbol, inverse)


def test_a_plan_asks_for_every_feed_in_batches() -> None:
    wanted = [Instrument(venue=VENUE, symbol=f"A{i}/USD:USD", venue_symbol=f"PF_A{i:03}USD") for i in range(250)]
    one, other = VENUES[VENUE].codec(VENUE).plan(wanted)
    assert (len(one.books), len(other.books)) == (200, 50)
    assert one.url == "wss://futures.kraken.com/ws/v1"
    asked = [orjson.loads(text) for text in one.subscribe]
    assert [(each["feed"], len(each["product_ids"])) for each in asked] == [
        (feed, 100) for _ in range(2) for feed in ("book", "trade", "ticker")
    ]


def test_the_client_pings_in_time() -> None:
    keepalive = VENUES[VENUE].codec(VENUE).keepalive
    assert keepalive is not None
    assert (keepalive.every_s < 60, keepalive.text) == (True, ""), "a PING of the protocol"


def test_a_gap_is_said_at_that_very_change_and_asked_for_anew() -> None:
    session = Session(VENUES[VENUE].codec(VENUE))
    listed = msgspec.json.encode([AAA, BBB])
    session.receive(Frame(1, VENUE, 0, "instruments", listed))
    session.receive(Frame(2, VENUE, 1, "open", b"", "wss://x"))

    def say(message: Any) -> list[str]:
        return [type(event).__name__ for event in session.receive(Frame(3, VENUE, 1, "ws", orjson.dumps(message)))]

    assert say(change(4)) == [], "no image yet"
    assert say(image(4)) == ["ResyncEnded", "BookValid", "BookReplaced"]
    assert say(image(9, "PI_BBBUSD"))[-1] == "BookReplaced"
    assert say(change(5)) == ["BookChanged"]
    session.outbox.clear()
    assert say(change(7)) == ["BookInvalid"]
    sent = [orjson.loads(one.data) for one in session.outbox if hasattr(one, "data")]
    assert [(one["event"], one["product_ids"]) for one in sent] == [
        ("unsubscribe", ["PF_AAAUSD"]),
        ("subscribe", ["PF_AAAUSD"]),
    ]
    assert say(change(8)) == [], "what comes before the new image is not looked at"
    assert say(change(10, product_id="PI_BBBUSD")) == ["BookChanged"], "the others live on"
    assert say(image(20)) == ["ResyncEnded", "BookValid", "BookReplaced"]
    assert say(change(21)) == ["BookChanged"]
    assert say(image(1)) == ["BookReplaced"], "the venue may begin anew at any time"
