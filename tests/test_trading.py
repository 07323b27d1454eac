"""What a venue says of its own service: halts, symbols that are gone, refusals; and what follows from it."""

from __future__ import annotations

from typing import Any

import msgspec
import orjson
from conversation import Conversation, S, instrument
from toy_venue import ToyCodec

from imbalanced.books import IMAGE_TIMEOUT_NS
from imbalanced.events import BookInvalid
from imbalanced.jsontext import status_json
from imbalanced.sinks.hub import Hub
from imbalanced.states import State
from imbalanced.venues.codec import Send, Source


class Toys(Conversation):
    def __init__(self, *symbols: str, source: Source = Source.STREAM) -> None:
        super().__init__(*(symbols or ("AAAUSDT", "BBBUSDT")), codec=ToyCodec(source))
        self.instruments()
        self.open()

    def tell(self, word: str, symbol: str = "AAAUSDT", **more: Any) -> list[str]:
        if word == "image":
            more = {"bids": [[100, 1.0]], "asks": [[101, 2.0]], **more}
        return self.ws(orjson.dumps({"say": word, "symbol": symbol, **more}))

    def up(self) -> Toys:
        for symbol in self.symbols:
            assert any("BookValid" in word for word in self.tell("image", symbol, last=5))
        return self

    def sent(self) -> list[str]:
        return [command.data for command in self.commands if isinstance(command, Send)]

    def state(self, symbol: str = "AAAUSDT") -> State:
        return self.session.lanes[symbol].state


# -- halts -------------------------------------------------------------------------------------------------------------


def test_a_halt_closes_the_book_and_nothing_is_asked_until_it_trades_again() -> None:
    toys = Toys().up()
    assert toys.tell("trading", state="halted", why="auction") == ["BookInvalid AAA/USDT halted"]
    (lost,) = toys.events
    assert (lost.detail, toys.state()) == ("auction", State.HALTED)
    asked: list[str] = []
    for i in range(300):
        assert toys.tell("diff", first=6 + i, last=6 + i) == []
        toys.tell("diff", "BBBUSDT", first=6 + i, last=6 + i)
        told = toys.wait(1)
        assert not [word for word in told if "AAA" in word], "no stale stream, no failed attempt"
        asked += toys.sent()
    assert not [text for text in asked if "AAA" in text]
    assert toys.tell("image", last=700) == [], "nor is it believed"
    assert toys.session.lanes["BBBUSDT"].valid
    assert toys.tell("trading", state="halted", why="again") == []
    toys.tell("trading", state="trading")
    assert toys.sent() == ["leave AAAUSDT", "join AAAUSDT"]
    assert toys.state() is State.RESYNCING
    assert toys.tell("image", last=800)[1] == "BookValid AAA/USDT 800"
    assert toys.tell("trading", state="trading") == [], "which is no news"


def test_a_halt_of_the_venue_is_one_of_every_symbol_of_the_socket() -> None:
    toys = Toys().up()
    assert toys.tell("trading", "", state="halted", why="maintenance") == [
        "BookInvalid AAA/USDT halted",
        "BookInvalid BBB/USDT halted",
    ]
    toys.tell("trading", state="halted", why="auction")
    toys.tell("trading", "", state="trading")
    assert (toys.state(), toys.state("BBBUSDT")) == (State.HALTED, State.RESYNCING), "one is halted by itself as well"
    toys.tell("trading", state="trading")
    assert toys.state() is State.RESYNCING


def test_a_new_socket_forgets_halts_and_a_resync_cannot_end_one() -> None:
    toys = Toys().up()
    toys.tell("trading", state="halted")
    assert toys.say("resync", "AAA/USDT", conn=0) == []
    toys.close()
    assert toys.state() is State.CONNECTING
    toys.open()
    assert toys.tell("image", last=9)[1] == "BookValid AAA/USDT 9", "what still holds would have been said again"


def test_a_halt_of_the_list_holds_on_a_new_socket_until_the_list_takes_it_back() -> None:
    toys = Toys().up()

    def read_again(*, active: bool) -> list[str]:
        listed = [instrument("AAAUSDT", "toy", active=active), instrument("BBBUSDT", "toy")]
        return toys.say("instruments", msgspec.json.encode(listed), conn=0)

    assert read_again(active=False) == ["BookInvalid AAA/USDT halted"]
    toys.close()
    toys.open()
    assert toys.tell("image", last=9) == [], "the socket is new, the list is not"
    assert (toys.state(), toys.session.lanes["AAAUSDT"].detail) == (State.HALTED, "listed as not trading")
    assert toys.tell("image", "BBBUSDT", last=9)[1] == "BookValid BBB/USDT 9"
    read_again(active=True)
    assert toys.sent() == ["leave AAAUSDT", "join AAAUSDT"]
    assert toys.tell("image", last=10)[1] == "BookValid AAA/USDT 10"


def test_a_halt_before_the_first_proof_is_told_too() -> None:
    toys = Toys()
    told = toys.tell("trading", state="halted", why="preopen")
    assert told[0] == "Notice halted AAA/USDT"
    assert orjson.loads(status_json(toys.events[0]) or b"")["event"] == "halted"


def test_a_halted_book_of_snapshots_by_rest_is_fetched_again_afterwards() -> None:
    toys = Toys("AAAUSDT", source=Source.REST)
    toys.tell("diff", first=1, last=1)
    toys.tell("trading", state="halted")
    toys.wait(IMAGE_TIMEOUT_NS / S)
    assert not [word for word in toys.asked() if "Fetch" in word]
    toys.tell("trading", state="trading")
    toys.tell("diff", first=7, last=7)
    assert toys.asked() == ["Fetch AAAUSDT"]


# -- symbols that are gone ---------------------------------------------------------------------------------------------


def test_a_delisted_symbol_is_left_and_the_others_go_on() -> None:
    toys = Toys().up()
    assert toys.tell("trading", state="gone", why="delisted") == ["BookInvalid AAA/USDT symbol_gone"]
    assert toys.sent() == ["leave AAAUSDT"]
    assert toys.state() is State.CLOSED
    assert toys.tell("diff", "BBBUSDT", first=6, last=6) == ["BookChanged BBB/USDT 6"]
    toys.close()
    toys.open()
    assert toys.session.links[1].books == ("BBBUSDT",), "it is not asked for again"
    assert toys.state() is State.CLOSED
    assert toys.tell("trading", state="gone") == []
    assert toys.tell("trading", state="halted") == []


def test_a_socket_with_nothing_left_is_closed_for_good() -> None:
    toys = Toys("AAAUSDT").up()
    toys.tell("trading", state="gone")
    assert toys.asked() == ["Send 1", "Close 1 symbol_gone"]
    assert toys.close() == ["LinkDown 1 1006"]
    assert toys.session.links == {}


def test_a_list_read_again_closes_halts_resumes_and_renames() -> None:
    toys = Toys("AAAUSDT", "BBBUSDT", "CCCUSDT").up()

    def listed(*known: Any) -> list[str]:
        return toys.say("instruments", msgspec.json.encode(list(known)), conn=0)

    a, b, c = (instrument(symbol, "toy") for symbol in toys.symbols)
    assert listed(a, b, c) == []
    assert toys.asked() == []
    halted = msgspec.structs.replace(b, active=False)
    assert listed(a, halted, c) == ["BookInvalid BBB/USDT halted"]
    renamed = msgspec.structs.replace(c, venue_symbol="C2USDT")
    assert listed(a, b, renamed) == ["BookInvalid CCC/USDT symbol_gone"]
    assert "Open 2" in toys.asked(), "under its new name it has a socket of its own"
    assert toys.state("BBBUSDT") is State.RESYNCING
    assert toys.open(2) == ["LinkUp 2"]
    image = {"say": "image", "symbol": "C2USDT", "last": 5, "bids": [[1, 1.0]], "asks": [[2, 1.0]]}
    assert toys.ws(orjson.dumps(image), conn=2)[1] == "BookValid CCC/USDT 5"
    assert toys.session.lane_of("CCC/USDT") is toys.session.lanes["C2USDT"]
    assert toys.session.lanes["AAAUSDT"].valid


# -- refusals and partial acknowledgements -----------------------------------------------------------------------------


def test_a_refused_symbol_is_named_and_the_others_are_not_disturbed() -> None:
    toys = Toys()
    toys.tell("image", "BBBUSDT", last=5)
    assert toys.tell("answer", error="no such book", of=["AAAUSDT"]) == [
        "Notice subscribe_error AAA/USDT",
        "ResyncEnded AAA/USDT subscribe_refused",
    ]
    lane = toys.session.lanes["AAAUSDT"]
    assert (lane.why, lane.detail) == ("subscribe_refused", "no such book")
    told = orjson.loads(status_json(toys.events[0]) or b"")
    assert (told["event"], told["instrument"], told["reason"]) == ("subscribe_error", "AAA/USDT", "no such book")
    assert toys.session.lanes["BBBUSDT"].valid
    toys.until_woken()
    assert toys.sent() == ["leave AAAUSDT", "join AAAUSDT"], "perhaps it is taken another time"


def test_a_refusal_that_only_writes_the_name_is_understood() -> None:
    toys = Toys()
    told = toys.tell("answer", error="cannot subscribe book:AAAUSDT.200, try later")
    assert told[0] == "Notice subscribe_error AAA/USDT"
    assert toys.tell("answer", error="rate limit") == ["Notice subscribe_error"]


def test_a_refused_stream_whose_image_comes_by_rest_is_asked_for_again() -> None:
    """An image would be answered all the same; what is missing is the stream."""
    toys = Toys(source=Source.REST)
    toys.tell("answer", error="not now", of=["AAAUSDT"])
    asked: list[str] = []
    for last in range(1, 60):
        toys.tell("diff", "BBBUSDT", first=last, last=last)
        toys.wait(1)
        asked += [text for text in toys.sent() if "AAA" in text]
        if len(asked) == 4:
            break
    assert asked == ["leave AAAUSDT", "join AAAUSDT"] * 2, "not once, and not every second"
    assert toys.tell("diff", first=7, last=7) == ["StreamState AAA/USDT live"]
    told = [word for _ in range(60) for word in (toys.wait(1), toys.asked())[1]]
    assert "Fetch AAAUSDT" in told, "now that it speaks"


def test_a_stream_for_which_nothing_can_be_asked_is_waited_for() -> None:
    said = Conversation("AAAUSDT", "BBBUSDT")
    said.live()
    asked: list[str] = []
    for last in range(11, 200):
        said.diff(last, last, "BBBUSDT")
        asked += (said.wait(1), said.asked())[1]
    assert said.session.lanes["AAAUSDT"].stale
    assert [word for word in asked if "AAA" in word or word.startswith("Send")] == []


def test_a_refusal_of_what_the_venue_does_not_have_closes_it() -> None:
    toys = Toys()
    told = toys.tell("answer", error="unknown symbol", of=["AAAUSDT"], dead=True)
    assert told[:2] == ["Notice subscribe_error AAA/USDT", "Notice symbol_gone AAA/USDT"]
    assert toys.state() is State.CLOSED
    for _ in range(100):
        toys.wait(1)
        assert not [text for text in toys.sent() if "AAA" in text]


def test_a_late_refusal_does_not_touch_a_live_book() -> None:
    toys = Toys().up()
    assert toys.tell("answer", error="already subscribed", of=["AAAUSDT"]) == ["Notice subscribe_error AAA/USDT"]
    assert toys.session.lanes["AAAUSDT"].valid


def test_a_partial_acknowledgement_is_that_of_its_symbols() -> None:
    toys = Toys()
    toys.tell("answer", of=["AAAUSDT"])
    assert (toys.state(), toys.state("BBBUSDT")) == (State.ACKED, State.SUBSCRIBING)
    toys.tell("answer")
    assert toys.state("BBBUSDT") is State.ACKED


def test_the_last_word_on_a_book_is_no_old_refusal() -> None:
    toys, hub = Toys(), Hub()
    toys.tell("answer", error="no", of=["AAAUSDT"])
    for event in toys.events:
        hub.publish(event)
    assert hub.ring_end == 1
    assert hub.statuses_now() == []
    toys.tell("image", last=5)
    for event in toys.events:
        hub.publish(event)
    assert [orjson.loads(text)["event"] for text in hub.statuses_now()] == ["book_valid"]
    assert not [event for event in toys.events if isinstance(event, BookInvalid)]
