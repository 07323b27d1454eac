"""Trades that were refused or never came: asked for again, ever more slowly, and not where they are served."""

from __future__ import annotations

from typing import Any

import msgspec
import orjson
import pytest

from imbalanced.events import Frame, Instrument
from imbalanced.missed import FIRST_NS, UNHEARD_NS, S
from imbalanced.session import Session
from imbalanced.venues import VENUES
from imbalanced.venues.codec import Send

VENUE, NAME = "gate", "AAA_USDT"
START_NS = 1_700_000_000 * S
FIRST_S, UNHEARD_S = FIRST_NS // S, UNHEARD_NS // S


class Talk:
    """A session with one proven book. ``asked``: the requests for trades so far, and in which second."""

    def __init__(self, **limits: Any) -> None:
        self.session = Session(VENUES[VENUE].codec(VENUE))
        self.session.codec.limits = msgspec.structs.replace(self.session.codec.limits, **limits)
        self.now_s, self.last_id = 0, 4
        self.asked: list[tuple[int, str]] = []
        one = Instrument(venue=VENUE, symbol="AAA/USDT", venue_symbol=NAME, tick="0.1", lot="1")
        self.say("instruments", msgspec.json.encode([one]), conn=0)
        self.say("open", b"")
        self.asked.clear()
        self.diff(4)
        self.pass_s(2)
        image = {"id": 4, "bids": [["99", "2"]], "asks": [["101", "2"]]}
        self.say("http", orjson.dumps(image), conn=0, url=self.session.codec.fetch_image(NAME).url)
        assert self.lane.valid

    @property
    def lane(self) -> Any:
        return self.session.lane_of("AAA/USDT")

    def say(self, kind: Any, data: bytes, *, conn: int = 1, url: str = "") -> list[Any]:
        events = self.session.receive(Frame(START_NS + self.now_s * S, VENUE, conn, kind, data, url))
        for one in self.session.outbox:
            if isinstance(one, Send) and "trades" in one.data:
                self.asked.append((self.now_s, orjson.loads(one.data)["event"]))
        self.session.outbox.clear()
        return events

    def ws(self, channel: str, event: str, result: Any, **more: Any) -> list[Any]:
        return self.say("ws", orjson.dumps({"channel": f"spot.{channel}", "event": event, "result": result, **more}))

    def diff(self, last_id: int) -> None:
        told = {"t": 1, "s": NAME, "U": last_id, "u": last_id, "b": [["99", str(last_id)]], "a": []}
        self.ws("order_book_update", "update", told)

    def trade(self) -> None:
        told = {"id": self.now_s + 1, "create_time_ms": "1.0", "side": "sell", "amount": "1", "price": "99"}
        self.ws("trades", "update", {**told, "currency_pair": NAME})

    def refuse(self, *payload: str) -> list[Any]:
        error = {"code": 2, "message": f"unknown currency pair: {payload[0]}" if payload else "no"}
        return self.ws("trades", "subscribe", {"status": "fail"}, error=error, payload=list(payload))

    def pass_s(self, seconds: int) -> None:
        """Time in which the book is told of every second, once it is there."""
        for _ in range(seconds):
            self.now_s += 1
            if self.session.books.lanes[NAME].valid:
                self.last_id += 1
                self.diff(self.last_id)
            self.say("wake", b"", conn=0)

    def asks(self, seconds: int) -> list[int]:
        """In which of the next seconds trades are asked for, after they were unsubscribed."""
        self.asked.clear()
        self.pass_s(seconds)
        assert [event for _, event in self.asked] == ["unsubscribe", "subscribe"] * (len(self.asked) // 2)
        return [at for at, event in self.asked if event == "subscribe"]


def test_refused_trades_are_asked_for_again_and_ever_more_slowly() -> None:
    talk = Talk()
    told = talk.refuse(NAME)
    assert [(one.what, one.instrument) for one in told] == [("subscribe_error", "AAA/USDT")]
    assert talk.lane.valid, "the book is another stream"
    (first,) = talk.asks(FIRST_S + 5)
    assert 0 <= first - 2 - FIRST_S <= 1
    talk.refuse(NAME)
    assert talk.asks(FIRST_S + 5) == [], "slower now"
    assert len(talk.asks(FIRST_S)) == 1


def test_trades_that_are_served_are_left_alone() -> None:
    talk = Talk()
    talk.refuse(NAME)
    talk.pass_s(3)
    talk.trade()
    assert talk.asks(UNHEARD_S + FIRST_S + 60) == [], "they came after the refusal"


def test_trades_that_never_came_are_asked_for_although_nobody_refused_them() -> None:
    """Their refusal may have been lost on the way; and an acknowledgement proves nothing."""
    talk = Talk()
    (first,) = talk.asks(UNHEARD_S + FIRST_S + 5)
    assert first >= UNHEARD_S
    talk.trade()
    assert talk.asks(3 * UNHEARD_S) == []


def test_a_new_socket_is_a_new_beginning() -> None:
    talk = Talk()
    talk.refuse(NAME)
    talk.say("close", b"")
    talk.say("open", b"")
    assert talk.asks(FIRST_S + 5) == []


def test_a_refusal_that_names_nobody_is_of_whoever_was_not_heard() -> None:
    talk = Talk()
    talk.refuse()
    assert len(talk.asks(FIRST_S + 5)) == 1
    talk.trade()
    talk.refuse()
    assert talk.asks(FIRST_S + 60) == []


def test_the_hourly_budget_is_the_books_first() -> None:
    talk = Talk(subscriptions_per_hour=4)  # two were sent when it was opened
    talk.refuse(NAME)
    assert talk.asks(FIRST_S + 60) == []


@pytest.mark.parametrize("venue", VENUES)
def test_every_venue_asks_for_trades_by_the_symbol_and_not_for_the_book(venue: str) -> None:
    codec = VENUES[venue].codec(venue)
    one = Instrument(venue=venue, symbol="ABC/USD", venue_symbol="ABC/USD" if venue == "kraken" else "ABCUSD")
    codec.know(one)
    asked = codec.resubscribe_trades(one.venue_symbol, 1)
    assert all(one.venue_symbol in text and "book" not in text.lower() for text in asked)
    assert bool(asked) or venue.startswith(("binance", "gemini", "coinbase_orders"))
    # What is asked when the socket is opened says how the trades are called.
    (plan, *_) = codec.plan([one])
    trades = [name for name in ("publicTrade", "trades", "matches", "match", "trade") if any(name in t for t in asked)]
    assert not asked or any(trades[0] in text for text in plan.subscribe)
