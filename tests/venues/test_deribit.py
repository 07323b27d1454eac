"""Each kind of message in the table of the module and a session."""

from __future__ import annotations

from typing import Any

import msgspec
import orjson
import pytest

from imbalanced.events import Frame, Instrument
from imbalanced.session import Session
from imbalanced.venues import VENUES
from imbalanced.venues.codec import Answer, CodecError, Context, Image, Listing, Print, Reply, Trading
from imbalanced.venues.diff import Diff

VENUE = "deribit"
UNIT = 10**8
OPTION = "AAA-28MAR25-92000-C"


class Wire:
    """One codec; takes what the venue says and gives its messages."""

    def __init__(self) -> None:
        self.codec = VENUES[VENUE].codec(VENUE)

    def ws(self, message: Any) -> list[Any]:
        data = message if isinstance(message, bytes) else orjson.dumps(message)
        return self.codec.decode(Frame(1, VENUE, 1, "ws", data))


def pushed(channel: str, data: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": "subscription", "params": {"channel": channel, "data": data}}


def book(kind: str, last_id: int, prev: int | None = None, symbol: str = OPTION, **fields: Any) -> dict[str, Any]:
    ids = {"change_id": last_id} | ({} if prev is None else {"prev_change_id": prev})
    levels: dict[str, Any] = {"bids": [["new", 0.0015, 4714.0]], "asks": [["new", 0.0025, 873]]}
    data = {"type": kind, "timestamp": 5, "instrument_name": symbol} | ids | levels | fields
    return pushed(f"book.{symbol}.100ms", data)


def trade(**fields: Any) -> dict[str, Any]:
    told = {"trade_seq": 7, "trade_id": "39", "timestamp": 5, "price": 2000.5, "direction": "sell", "amount": 4001}
    return pushed("trades.AAA-PERPETUAL.100ms", [told | {"instrument_name": "AAA-PERPETUAL"} | fields])


def test_an_image() -> None:
    (made,) = Wire().ws(book("snapshot", 9))
    assert isinstance(made, Image)
    assert (made.symbol, made.last_id, made.event_ns) == (OPTION, 9, 5_000_000)
    assert (made.rows.bids(), made.rows.asks()) == ([(150_000, 4714.0)], [(250_000, 873.0)])


@pytest.mark.parametrize("prev", [None, 0])
def test_a_change_after_nothing_is_an_image(prev: int | None) -> None:
    (made,) = Wire().ws(book("change", 9, prev))
    assert isinstance(made, Image)


def test_an_empty_image() -> None:
    (made,) = Wire().ws(book("snapshot", 9, bids=[], asks=[]))
    assert (made.rows.bids(), made.rows.asks()) == ([], [])


def test_a_change() -> None:
    levels = {"bids": [["delete", 0.0015, 0.0], ["change", 0.001, 2.5]], "asks": [["delete", 0.0025, 3]]}
    (diff,) = Wire().ws(book("change", 12, 9, **levels))
    assert isinstance(diff, Diff)
    assert (diff.symbol, diff.prev_id, diff.last_id) == (OPTION, 9, 12)
    assert diff.rows.bids() == [(150_000, 0.0), (100_000, 2.5)]
    assert diff.rows.asks() == [(250_000, 0.0)], "what is deleted has no size, whatever stands there"


@pytest.mark.parametrize("channel", [f"book.{OPTION}.raw", f"book.{OPTION}.agg2"])
def test_every_interval_is_a_book(channel: str) -> None:
    message = book("change", 12, 9)
    message["params"]["channel"] = channel
    assert len(Wire().ws(message)) == 1


def test_grouped_levels_are_another_book() -> None:
    message = book("snapshot", 12)
    message["params"]["channel"] = f"book.{OPTION}.none.20.100ms"
    assert Wire().ws(message) == []


def test_a_trade_of_an_inverse_contract_is_in_dollars() -> None:
    (told,) = Wire().ws(trade())
    px = 200_050_000_000
    assert told == Print(
        symbol="AAA-PERPETUAL", stream="trades", px=px, size=2.0, sign=-1, trade_id=7, event_ns=5_000_000
    )


@pytest.mark.parametrize("mark", ["combo_trade_id", "block_trade_id"])
def test_what_did_not_meet_the_book_is_no_market_trade(mark: str) -> None:
    (told,) = Wire().ws(trade(**{mark: "43"}))
    assert told.why_not == "not_market"


@pytest.mark.parametrize(("who", "signs"), [("T", [-1]), ("M", [1]), ("MT", [1, -1])])
def test_who_is_forced_gives_the_side(who: str, signs: list[int]) -> None:
    told, *forced = Wire().ws(trade(liquidation=who))
    assert (told.sign, told.why_not) == (-1, "")
    assert [one.sign for one in forced] == signs


def test_a_ticker_is_context() -> None:
    ticker = {"timestamp": 5, "open_interest": 1000, "mark_price": 50.0, "index_price": 51, "stats": {"volume": None}}
    (told,) = Wire().ws(
        pushed("ticker.AAA-PERPETUAL.agg2", ticker | {"instrument_name": "AAA-PERPETUAL", "current_funding": -0.0001})
    )
    assert told == Context(
        symbol="AAA-PERPETUAL",
        event_ns=5_000_000,
        mark=50.0,
        index=51.0,
        funding_rate=-0.0001,
        funding_interval_h=8.0,
        open_interest=20.0,
    )
    late = {"instrument_name": OPTION, "estimated_delivery_price": "expired", "last_price": None}
    (told,) = Wire().ws(pushed(f"ticker.{OPTION}.agg2", ticker | late))
    assert (told.funding_rate, told.open_interest) == (None, 1000.0)


def test_a_heartbeat_and_a_test() -> None:
    wire = Wire()
    assert wire.ws({"jsonrpc": "2.0", "method": "heartbeat", "params": {"type": "heartbeat"}}) == []
    (reply,) = wire.ws({"jsonrpc": "2.0", "method": "heartbeat", "params": {"type": "test_request"}})
    assert isinstance(reply, Reply)
    assert orjson.loads(reply.text) == {"jsonrpc": "2.0", "id": 2, "method": "public/test", "params": {}}
    assert wire.ws({"jsonrpc": "2.0", "id": 2, "result": {"version": "1.2.26"}}) == [Answer(request_id=2)]
    assert wire.ws({"jsonrpc": "2.0", "id": 1, "result": "ok"}) == [Answer(request_id=1)]


def test_channels_missing_in_an_answer_were_refused() -> None:
    wire = Wire()
    (plan,) = wire.codec.plan([Instrument(venue=VENUE, symbol="AAA/USD:AAA", venue_symbol="AAA-PERPETUAL")])
    heartbeat, subscribe = (orjson.loads(text) for text in plan.subscribe)
    assert (heartbeat["method"], heartbeat["params"]) == ("public/set_heartbeat", {"interval": 30})
    channels = subscribe["params"]["channels"]
    of_symbol = ["book.AAA-PERPETUAL.100ms", "trades.AAA-PERPETUAL.100ms", "ticker.AAA-PERPETUAL.agg2"]
    assert channels == [*of_symbol, "platform_state", "instrument.state.any.any"]
    accepted = Answer(request_id=subscribe["id"], symbols=("AAA-PERPETUAL",))
    assert wire.ws({"id": subscribe["id"], "result": channels}) == [accepted]
    assert wire.ws({"id": subscribe["id"], "result": of_symbol}) == [accepted], "no stream is missing"
    (refused,) = wire.ws({"id": subscribe["id"], "result": channels[1:]})
    assert (refused.error, refused.symbols, refused.gone) == (f"not accepted: {channels[0]}", ("AAA-PERPETUAL",), True)
    (refused,) = wire.ws({"id": subscribe["id"], "result": [channels[0]]})
    assert (refused.symbols, refused.gone) == ((), False), "the book is there"
    leave = orjson.loads(wire.codec.unsubscribe("AAA-PERPETUAL")[0])
    (refused,) = wire.ws({"id": leave["id"], "result": []})
    assert (refused.symbols, refused.gone) == ((), False), "what was not there need not be left"
    assert wire.ws({"id": 99, "result": []})[0].error == "", "of another run"
    (refused,) = wire.ws({"id": 1, "error": {"code": 10028, "message": "too_many_requests", "data": None}})
    assert refused == Answer(request_id=1, error="10028: too_many_requests")


def test_what_the_venue_says_of_its_service() -> None:
    wire = Wire()
    halted, trading = (Trading(symbol="", state=state, why="maintenance") for state in ("halted", "trading"))
    assert wire.ws(pushed("platform_state", {"maintenance": True})) == [halted]
    assert wire.ws(pushed("platform_state", {"maintenance": False})) == [trading]
    for told, state in [("started", "trading"), ("deactivated", "halted"), ("closed", "gone"), ("terminated", "gone")]:
        said = {"instrument_name": OPTION, "state": told, "timestamp": 5}
        assert wire.ws(pushed("instrument.state.any.any", said)) == [Trading(symbol=OPTION, state=state, why=told)]
    assert wire.ws(pushed("instrument.state.any.any", {"instrument_name": OPTION, "state": "created"})) == []


def test_the_same_request_keeps_its_number() -> None:
    codec = VENUES[VENUE].codec(VENUE)
    assert codec.resubscribe(OPTION) == codec.resubscribe(OPTION)
    numbers = {orjson.loads(text)["id"] for text in (*codec.resubscribe(OPTION), *codec.resubscribe("AAA-PERPETUAL"))}
    assert len(numbers) == 4


def test_what_concerns_us_not_is_nothing() -> None:
    quote = {"instrument_name": OPTION, "best_bid_price": 1}
    for message in (pushed(f"quote.{OPTION}", quote), pushed("platform_state", {"locked": True}), {"method": "news"}):
        assert Wire().ws(message) == []


@pytest.mark.parametrize(
    "fields",
    [
        {"bids": [["new", -0.1, 1]]},
        {"bids": [["old", 0.1, 1]]},
        {"asks": [["new", 0.1]]},
        {"asks": None},
        {"change_id": "x"},
        {"type": "delta"},
        {"timestamp": None},
    ],
)
def test_a_malformed_book_names_its_instrument(fields: dict[str, Any]) -> None:
    with pytest.raises(CodecError) as caught:
        Wire().ws(book("change", 12, 9, **fields))
    assert (caught.value.channel, caught.value.symbol) == ("book", OPTION)


def test_half_a_frame_names_its_instrument() -> None:
    with pytest.raises(CodecError) as caught:
        Wire().ws(orjson.dumps(book("change", 12, 9))[:-9])
    assert (caught.value.channel, caught.value.symbol) == ("book", OPTION)
    with pytest.raises(CodecError) as caught:
        Wire().ws(trade(liquidation="X"))
    assert (caught.value.channel, caught.value.symbol) == ("trades", "AAA-PERPETUAL")


@pytest.mark.parametrize(
    ("name", "symbol", "inverse"),
    [
        ("BTC-PERPETUAL", "BTC/USD:BTC", True),
        ("BTC_USDC-PERPETUAL", "BTC/USDC:USDC", False),
        ("BTC-28MAR25", "BTC/USD:BTC-250328", True),
        ("BTC-6AUG21-40000-C", "BTC/USD:BTC-210806-40000-C", False),
        ("XRP_USDC-28MAR25-0d55-P", "XRP/USDC:USDC-250328-0.55-P", False),
        ("BTC_USDC", "BTC/USDC", False),
        ("BTC-FS-25DEC26_PERP", "BTC-FS-25DEC26_PERP", False),
        ("BTC-28XXX25", "BTC-28XXX25", False),
    ],
)
def test_names_tell_the_instrument(name: str, symbol: str, inverse: bool) -> None:
    inferred = VENUES[VENUE].codec(VENUE).infer(name)
    assert (inferred.symbol, inferred.inverse, inferred.contract_size) == (symbol, inverse, 1.0)


def test_the_list_of_a_recording() -> None:
    one = {"instrument_name": "BTC-PERPETUAL", "tick_size": 0.5, "is_active": True, "contract_size": 10.0}
    url = "https://www.deribit.com/api/v2/public/get_instruments?currency=BTC&expired=false"
    codec = VENUES[VENUE].codec(VENUE)
    (listing,) = codec.decode(Frame(1, VENUE, 0, "http", orjson.dumps({"result": [one]}), url))
    assert isinstance(listing, Listing)
    (listed,) = listing.instruments
    assert (listed.symbol, listed.tick, listed.contract_size, listed.inverse) == ("BTC/USD:BTC", "0.5", 1.0, True)
    with pytest.raises(CodecError):
        codec.decode(Frame(1, VENUE, 0, "http", b"<html>", url))


def test_sizes_are_amounts_whatever_a_contract_is_worth() -> None:
    assert VENUES[VENUE].ccxt.amounts


def test_a_gap_is_said_at_that_very_change_and_asked_for_anew() -> None:
    session = Session(VENUES[VENUE].codec(VENUE))
    listed = [session.codec.infer(name) for name in (OPTION, "AAA-PERPETUAL")]
    session.receive(Frame(1, VENUE, 0, "instruments", msgspec.json.encode(listed)))
    session.receive(Frame(2, VENUE, 1, "open", b"", "wss://x"))

    def say(message: Any) -> list[str]:
        return [type(event).__name__ for event in session.receive(Frame(3, VENUE, 1, "ws", orjson.dumps(message)))]

    assert say(book("snapshot", 4)) == ["ResyncEnded", "BookValid", "BookReplaced"]
    assert say(book("snapshot", 4, symbol="AAA-PERPETUAL"))[-1] == "BookReplaced"
    assert say(book("change", 9, 4)) == ["BookChanged"]
    session.outbox.clear()
    assert say(book("change", 12, 10)) == ["BookInvalid"]
    sent = [orjson.loads(one.data) for one in session.outbox if hasattr(one, "data")]
    assert [(one["method"], one["params"]["channels"]) for one in sent] == [
        ("public/unsubscribe", [f"book.{OPTION}.100ms"]),
        ("public/subscribe", [f"book.{OPTION}.100ms"]),
    ]
    assert say(book("change", 15, 12)) == []
    assert say(book("change", 7, 4, symbol="AAA-PERPETUAL")) == ["BookChanged"], "the others live on"
    assert say(book("snapshot", 20)) == ["ResyncEnded", "BookValid", "BookReplaced"]
    assert say(book("snapshot", 1)) == ["BookReplaced"], "the venue may begin anew at any time"
