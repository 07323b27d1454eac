"""Each kind of message in the table of the module, and what a missing frame of the recording does."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from missing import book_frames, frames_of, story

from imbalanced.events import Frame, Instrument
from imbalanced.session import Session
from imbalanced.venues import VENUES
from imbalanced.venues.codec import Answer, CodecError, Context, Image, Print

UNIT = 10**8


class Wire:
    """One codec; takes what the venue says and gives its messages."""

    def __init__(self) -> None:
        self.codec = VENUES["hyperliquid"].codec("hyperliquid")

    def ws(self, channel: str, data: Any, conn: int = 1) -> list[Any]:
        message = orjson.dumps({"channel": channel, "data": data})
        return self.codec.decode(Frame(1, "hyperliquid", conn, "ws", message))


def book(time_ms: int, bid: str = "99", ask: str = "100") -> dict[str, Any]:
    levels = [[{"px": bid, "sz": "2.5", "n": 3}], [{"px": ask, "sz": "1", "n": 1}]]
    return {"coin": "BTC", "time": time_ms, "levels": levels}


def trade(side: str = "B", coin: str = "BTC") -> dict[str, Any]:
    told = {"coin": coin, "side": side, "px": "99.5", "sz": "0.25", "time": 1730160015113}
    return {**told, "hash": "0x0", "tid": 6112795}


def test_an_image() -> None:
    (image,) = Wire().ws("l2Book", {**book(1737918843542), "fast": True})
    assert isinstance(image, Image)
    assert (image.symbol, image.last_id, image.event_ns) == ("BTC", 1737918843542, 1737918843542 * 10**6)
    assert (image.rows.bids(), image.rows.asks()) == ([(99 * UNIT, 2.5)], [(100 * UNIT, 1.0)])
    (empty,) = Wire().ws("l2Book", {"coin": "SHIA", "time": 1, "levels": [[], []]})
    assert (empty.rows.bids(), empty.rows.asks()) == ([], [])


def test_the_first_trades_of_a_coin_on_a_socket_are_history() -> None:
    wire = Wire()
    assert [one.why_not for one in wire.ws("trades", [trade(), trade()])] == ["history", "history"]
    (told,) = wire.ws("trades", [trade("A")])
    assert isinstance(told, Print)
    assert (told.px, told.size, told.sign, told.trade_id, told.why_not) == (9950 * UNIT // 100, 0.25, -1, -1, "")
    assert told.event_ns == 1730160015113 * 10**6
    assert [one.why_not for one in wire.ws("trades", [trade(coin="ETH")])] == ["history"]
    assert [one.why_not for one in wire.ws("trades", [trade()], conn=2)] == ["history"]
    wire.codec.opened(1)
    assert [one.why_not for one in wire.ws("trades", [trade()])] == ["history"]


def test_context() -> None:
    ctx = {"funding": "-0.00004863", "openInterest": "18617460.0", "oraclePx": "0.1995", "markPx": "0.19963"}
    (told,) = Wire().ws("activeAssetCtx", {"coin": "MOODENG", "ctx": ctx})
    assert isinstance(told, Context)
    assert (told.mark, told.index, told.open_interest) == (0.19963, 0.1995, 18617460.0)
    assert (told.funding_rate, told.funding_interval_h) == (-0.00004863, 1.0)
    (spot,) = Wire().ws("activeSpotAssetCtx", {"coin": "@2", "ctx": {"markPx": "0.00005299", "midPx": "0.00005307"}})
    assert (spot.symbol, spot.mark, spot.index, spot.funding_rate) == ("@2", 0.00005299, None, None)


def test_answers_and_pongs() -> None:
    wire = Wire()
    told = {"method": "subscribe", "subscription": {"type": "trades", "coin": "BTC"}}
    assert wire.ws("subscriptionResponse", told) == [Answer(request_id=0)]
    (refused,) = wire.ws("error", "Invalid subscription")
    assert refused.error == "Invalid subscription"
    assert wire.codec.decode(Frame(1, "hyperliquid", 1, "ws", b'{"channel":"pong"}')) == []
    assert wire.ws("bbo", {"coin": "BTC", "time": 1, "bbo": [None, None]}) == []


@pytest.mark.parametrize(
    ("channel", "data"),
    [
        ("l2Book", {**book(1), "levels": [[]]}),
        ("l2Book", {**book(1), "time": "now"}),
        ("l2Book", book(1, bid="-1")),
        ("trades", [{**trade(), "side": "C"}]),
        ("trades", [{**trade(), "px": 99.5}]),
        ("activeAssetCtx", {"coin": "BTC", "ctx": {}}),
    ],
)
def test_malformed_frames_name_their_symbol(channel: str, data: Any) -> None:
    with pytest.raises(CodecError) as caught:
        Wire().ws(channel, data)
    assert (caught.value.symbol, caught.value.channel) == ("BTC", channel)


def test_every_coin_has_messages_of_its_own() -> None:
    codec = VENUES["hyperliquid"].codec("hyperliquid")
    known = [Instrument(venue="hyperliquid", symbol=coin, venue_symbol=coin) for coin in ("BTC", "kPEPE")]
    (plan,) = codec.plan(known)
    assert plan.url == "wss://api.hyperliquid.xyz/ws"
    asked = [orjson.loads(text)["subscription"] for text in plan.subscribe]
    assert [(one["type"], one["coin"]) for one in asked] == [
        (kind, coin) for coin in ("BTC", "kPEPE") for kind in ("l2Book", "trades", "activeAssetCtx")
    ]
    again = [orjson.loads(text) for text in codec.resubscribe("BTC")]
    assert [one["method"] for one in again] == ["unsubscribe", "subscribe"]
    assert again[0]["subscription"] == again[1]["subscription"] == asked[0], "it must be repeated to the letter"


def test_an_image_older_than_the_last_is_dropped() -> None:
    session = Session(VENUES["hyperliquid"].codec("hyperliquid"), discover=True)

    def say(data: Any) -> list[str]:
        frame = Frame(1, "hyperliquid", 1, "ws", orjson.dumps({"channel": "l2Book", "data": data}))
        return [type(event).__name__ for event in session.receive(frame)]

    assert say(book(5)) == ["ResyncEnded", "BookValid", "BookReplaced"]
    assert say(book(7, bid="98")) == ["BookChanged"]
    assert say(book(6, bid="97")) == []
    lane = session.lane_of("BTC")
    assert lane is not None
    assert lane.sync.book.bids.levels(5) == [(98 * UNIT, 2.5)]
    assert say({"coin": "BTC", "time": 8, "levels": None}) == ["Notice", "BookInvalid"]
    assert say(book(9)) == ["ResyncEnded", "BookValid", "BookReplaced"]


def test_a_missing_image_is_healed_by_the_next() -> None:
    def whose(message: dict[str, Any]) -> str:
        return str(message["data"]["coin"]) if message.get("channel") == "l2Book" else ""

    frames = frames_of("hyperliquid-20250126")
    whole = story("hyperliquid", frames)["BTC"]
    books = book_frames(frames, whose)
    assert len(books) == 46
    for number, _ in books[1:]:
        told = story("hyperliquid", frames, leave_out=number)["BTC"]
        assert told == [said for said in whole if said.number != number]
