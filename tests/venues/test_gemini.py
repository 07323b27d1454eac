"""Each kind of message in the table of the module, and what a missing frame of the recording does."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from missing import book_frames, frames_of, story

from imbalanced.events import Frame, Instrument, TradeIgnored
from imbalanced.session import Session
from imbalanced.venues import VENUES
from imbalanced.venues.codec import Answer, CodecError, Image, Listing, Print, Send
from imbalanced.venues.diff import Diff

UNIT = 10**8


def ws(message: Any) -> list[Any]:
    return VENUES["gemini"].codec("gemini").decode(Frame(1, "gemini", 1, "ws", orjson.dumps(message)))


def changes(*rows: tuple[str, str, str], **more: Any) -> dict[str, Any]:
    return {"type": "l2_updates", "symbol": "AAAUSD", "changes": rows, **more}


def trade(event_id: int, side: str = "buy") -> dict[str, Any]:
    told = {"type": "trade", "symbol": "AAAUSD", "event_id": event_id, "timestamp": 1624493670759}
    return {**told, "price": "0.5", "quantity": "3.25", "side": side}


def first(*trades: dict[str, Any]) -> dict[str, Any]:
    return changes(("buy", "99", "2"), ("sell", "100", "1"), trades=list(trades), auction_events=[])


def test_a_diff() -> None:
    (diff,) = ws(changes(("sell", "100", "0"), ("buy", "99.5", "2"), ("sell", "101", "4")))
    assert isinstance(diff, Diff)
    assert diff.symbol == "AAAUSD"
    assert diff.rows.bids() == [(9950 * UNIT // 100, 2.0)]
    assert diff.rows.asks() == [(100 * UNIT, 0.0), (101 * UNIT, 4.0)]


def test_the_first_message_is_the_book_and_its_trades_are_history() -> None:
    image, older, newer = ws(first(trade(9), trade(7)))
    assert isinstance(image, Image)
    assert (image.rows.bids(), image.rows.asks()) == ([(99 * UNIT, 2.0)], [(100 * UNIT, 1.0)])
    assert [(one.trade_id, one.why_not) for one in (older, newer)] == [(7, "history"), (9, "history")]


def test_a_trade() -> None:
    (told,) = ws(trade(9, "sell"))
    assert isinstance(told, Print)
    assert (told.symbol, told.px, told.size, told.sign) == ("AAAUSD", UNIT // 2, 3.25, -1)
    assert (told.trade_id, told.event_ns, told.why_not) == (9, 1624493670759 * 10**6, "")


def test_heartbeats_and_errors() -> None:
    assert ws({"type": "heartbeat", "timestamp": 1624493666869}) == []
    (refused,) = ws({"result": "error", "reason": "InvalidJson"})
    assert refused == Answer(request_id=0, error="InvalidJson")


@pytest.mark.parametrize(
    "bad",
    [
        changes(("up", "1", "1")),
        changes(("buy", "x", "1")),
        changes(("buy", "1", "-1")),
        {**changes(), "changes": None},
        {**trade(1), "price": 1.5},
        {**trade(1), "event_id": None},
    ],
)
def test_malformed_frames_name_their_symbol(bad: dict[str, Any]) -> None:
    with pytest.raises(CodecError) as caught:
        ws(bad)
    assert (caught.value.symbol, caught.value.channel) == ("AAAUSD", bad["type"])


def test_a_listing_reads_its_numbers_exactly() -> None:
    names = b'{"symbol":"AAABTC","base_currency":"AAA","quote_currency":"BTC","status":"open",'
    steps = b'"tick_size":0.000001,"quote_increment":1E-10}'
    frame = Frame(1, "gemini", 0, "http", names + steps, "https://api.gemini.com/v1/symbols/details/aaabtc")
    (listing,) = VENUES["gemini"].codec("gemini").decode(frame)
    assert isinstance(listing, Listing)
    (one,) = listing.instruments
    assert (one.symbol, one.tick, one.lot, one.price_scale) == ("AAA/BTC", "0.0000000001", "0.000001", 10)


def test_subscriptions() -> None:
    codec = VENUES["gemini"].codec("gemini")
    (plan,) = codec.plan([Instrument(venue="gemini", symbol="AAA/USD", venue_symbol="AAAUSD")])
    assert plan.url == "wss://api.gemini.com/v2/marketdata"
    wanted = [{"name": "l2", "symbols": ["AAAUSD"]}]
    assert [orjson.loads(one) for one in plan.subscribe] == [{"type": "subscribe", "subscriptions": wanted}]
    again = [orjson.loads(one) for one in codec.resubscribe("AAAUSD")]
    assert again == [{"type": method, "subscriptions": wanted} for method in ("unsubscribe", "subscribe")]


def test_a_book_that_was_lost_is_subscribed_to_again() -> None:
    session = Session(VENUES["gemini"].codec("gemini"), discover=True)

    def say(message: Any, kind: Any = "ws") -> list[str]:
        data = message if isinstance(message, bytes) else orjson.dumps(message)
        session.outbox.clear()
        return [type(event).__name__ for event in session.receive(Frame(1, "gemini", 1, kind, data))]

    say(b"", "open")
    assert say(first(trade(9))) == ["ResyncEnded", "BookValid", "BookReplaced", TradeIgnored.__name__]
    assert say(changes(("buy", "98", "1"))) == ["BookChanged"]
    assert say(changes(("buy", "x", "1"))) == ["Notice", "BookInvalid"]
    sent = [orjson.loads(one.data)["type"] for one in session.outbox if isinstance(one, Send)]
    assert sent == ["unsubscribe", "subscribe"]
    assert say(changes(("buy", "97", "1"))) == [], "no diff is taken before the book has come"
    assert say(first(trade(9))) == ["ResyncEnded", "BookValid", "BookReplaced"], "the trade is known already"


def whose(message: dict[str, Any]) -> str:
    return str(message["symbol"]) if message.get("type") == "l2_updates" else ""


def test_a_missing_book_leaves_its_symbol_without_one_and_others_alone() -> None:
    frames = frames_of("gemini-20210624")
    whole = story("gemini", frames)
    books = [book for book in book_frames(frames, whose) if b'"auction_events"' in frames[book.number].data]
    assert len(books) == 10
    for number, symbol in books:
        told = story("gemini", frames, leave_out=number)
        assert symbol not in told, "nothing is said of a book that never came"
        assert told == {other: said for other, said in whole.items() if other != symbol}


def test_a_missing_diff_cannot_be_noticed_and_disturbs_nobody() -> None:
    frames = frames_of("gemini-20210624")
    books = book_frames(frames, whose)
    frames = frames[: books[-1].number + 1]
    whole = story("gemini", frames)
    for number, symbol in books[10::7]:
        told = story("gemini", frames, leave_out=number)
        left = [said for said in whole[symbol] if said.number != number]
        assert told == {**whole, symbol: left}, "the venue numbers nothing: the loss is not claimed to be seen"
