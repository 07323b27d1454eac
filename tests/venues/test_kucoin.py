"""Each kind of message in the table of the module and the way to a socket."""

from __future__ import annotations

from typing import Any

import msgspec
import orjson
import pytest

from imbalanced.events import Frame, Instrument
from imbalanced.session import Session
from imbalanced.venues import VENUES
from imbalanced.venues.codec import (
    Answer,
    CodecError,
    Door,
    Endpoints,
    Fetch,
    Image,
    ImageFailed,
    Listing,
    Open,
    Print,
    Send,
)
from imbalanced.venues.diff import Diff

UNIT = 10**8
S = 1_000_000_000
BULLET = "https://api.kucoin.com/api/v1/bullet-public"


class Wire:
    """One codec; takes what the venue says and gives its messages."""

    def __init__(self, endpoints: Endpoints | None = None) -> None:
        self.codec = VENUES["kucoin"].codec("kucoin", endpoints)

    def ws(self, message: Any) -> list[Any]:
        return self.codec.decode(Frame(1, "kucoin", 1, "ws", orjson.dumps(message)))

    def http(self, body: Any, url: str = "", status: int = 200) -> list[Any]:
        url = url or self.codec.fetch_image("AAA-USDT").url
        return self.codec.decode(Frame(1, "kucoin", 0, "http", orjson.dumps(body), url, status))


def depth(first: int, last: int, bids: Any = (), asks: Any = ()) -> dict[str, Any]:
    changes = {"bids": list(bids), "asks": list(asks)}
    data = {"symbol": "AAA-USDT", "sequenceStart": first, "sequenceEnd": last, "changes": changes}
    return {"type": "message", "topic": "/market/level2:AAA-USDT", "subject": "trade.l2update", "data": data}


def bullet(token: str, endpoint: str = "wss://somewhere.kucoin.com/endpoint") -> dict[str, Any]:
    server = {"endpoint": endpoint, "protocol": "websocket", "pingInterval": 10000, "pingTimeout": 10000}
    return {"code": "200000", "data": {"token": token, "instanceServers": [server]}}


def test_a_diff_and_the_price_that_is_none() -> None:
    (diff,) = Wire().ws(depth(5, 7, [["99.5", "2", "5"], ["0", "0", "6"]], [["100", "0", "7"]]))
    assert isinstance(diff, Diff)
    assert (diff.symbol, diff.first_id, diff.last_id, diff.event_ns) == ("AAA-USDT", 5, 7, 0)
    assert (diff.rows.bids(), diff.rows.asks()) == ([(9950 * UNIT // 100, 2.0)], [(100 * UNIT, 0.0)])


def test_newer_diffs_bear_a_time() -> None:
    message = depth(5, 5)
    message["data"]["time"] = 1729816425625
    (diff,) = Wire().ws(message)
    assert diff.event_ns == 1729816425625 * 10**6


def test_a_trade() -> None:
    data = {"symbol": "AAA-USDT", "sequence": "161", "side": "buy", "size": "81.8", "price": "0.5"}
    more = {"time": "1619378327739050725", "tradeId": "6085c09769bc506996295e36", "type": "match"}
    (told,) = Wire().ws({"type": "message", "topic": "/market/match:AAA-USDT", "data": {**data, **more}})
    assert isinstance(told, Print)
    assert (told.symbol, told.px, told.size, told.sign, told.trade_id) == ("AAA-USDT", UNIT // 2, 81.8, 1, 161)
    assert told.event_ns == 1619378327739050725


def test_an_image() -> None:
    data = {"time": 3, "sequence": "9", "bids": [["99", "2"]], "asks": [["100", "1"]]}
    (image,) = Wire().http({"code": "200000", "data": data})
    assert isinstance(image, Image)
    assert (image.symbol, image.last_id, image.event_ns) == ("AAA-USDT", 9, 3_000_000)
    assert (image.rows.bids(), image.rows.asks()) == ([(99 * UNIT, 2.0)], [(100 * UNIT, 1.0)])


def test_images_that_did_not_come() -> None:
    (busy,) = Wire().http({"code": "429000", "msg": "Too Many Requests"}, status=429)
    (refused,) = Wire().http({"code": "400003", "msg": "key needed"})
    (gone,) = Wire().http({"code": "900001", "msg": "symbol not exists"})
    assert isinstance(busy, ImageFailed)
    assert (busy.why, refused.why, refused.gone) == ("HTTP 429", "400003: key needed", False)
    assert (gone.symbol, gone.gone) == ("AAA-USDT", True)


def test_answers_and_pongs() -> None:
    wire = Wire()
    assert wire.ws({"id": "1", "type": "ack"}) == [Answer(request_id=1)]
    assert wire.ws({"id": "hQvf8jkno", "type": "welcome"}) == wire.ws({"id": "1", "type": "pong"}) == []
    (refused,) = wire.ws({"id": "1", "type": "error", "code": 404, "data": "topic /market/x is not found"})
    assert (refused.request_id, refused.error) == (1, "404: topic /market/x is not found")


def test_one_symbol_that_is_refused_takes_no_other_with_it() -> None:
    wire = Wire()
    told = {"id": "1", "type": "error", "code": 404, "data": "topic /market/level2:AAA-USDT,BBB-USDT is not found"}
    refused, *again = wire.ws(told)
    assert (refused.error, refused.symbols) == ("2 topics: 404: not found", ()), "which of them it was nobody says"
    assert [orjson.loads(one.text)["topic"] for one in again] == ["/market/level2:AAA-USDT", "/market/level2:BBB-USDT"]
    (alone,) = wire.ws({**told, "data": "topic /market/level2:BBB-USDT is not found"})
    assert (alone.error, alone.symbols) == ("404: topic /market/level2:BBB-USDT is not found", ("BBB-USDT",))


def test_a_silent_stream_is_asked_for_by_itself() -> None:
    asked = [orjson.loads(text) for text in Wire().codec.resubscribe("AAA-USDT")]
    assert [(one["type"], one["topic"]) for one in asked] == [
        ("unsubscribe", "/market/level2:AAA-USDT"),
        ("subscribe", "/market/level2:AAA-USDT"),
    ]


@pytest.mark.parametrize(
    "bad",
    [
        depth(1, 2, [["1", "x", "1"]]),
        depth(1, 2, [["-1", "1", "1"]]),
        depth(1, 2, [[1.5, "1", "1"]]),
        {**depth(1, 2), "data": {"symbol": "AAA-USDT"}},
        {**depth(1, 2), "data": None},
    ],
)
def test_malformed_frames_name_their_symbol(bad: dict[str, Any]) -> None:
    with pytest.raises(CodecError) as caught:
        Wire().ws(bad)
    assert (caught.value.symbol, caught.value.channel) == ("AAA-USDT", "/market/level2")


def test_a_listing() -> None:
    one = {"symbol": "AAA-BTC", "baseCurrency": "AAA", "quoteCurrency": "BTC", "enableTrading": True}
    body = {"code": "200000", "data": [{**one, "priceIncrement": "0.0000000001", "baseIncrement": "0.00010"}]}
    (listing,) = Wire().http(body, "https://api.kucoin.com/api/v1/symbols")
    assert isinstance(listing, Listing)
    (told,) = listing.instruments
    assert (told.symbol, told.tick, told.lot, told.price_scale) == ("AAA/BTC", "0.0000000001", "0.0001", 10)


def test_the_door() -> None:
    wire = Wire()
    (door,) = wire.http(bullet("a/b=="), BULLET)
    assert door == Door("wss://somewhere.kucoin.com/endpoint?token=a%2Fb%3D%3D")
    assert wire.codec.keepalive is not None
    assert wire.codec.keepalive.every_s == 8.0
    assert wire.http({}, BULLET, status=503) == []
    moved = Wire(Endpoints(rest="http://127.0.0.1:1", ws="ws://127.0.0.1:2"))
    told = moved.http(bullet("x"), "http://127.0.0.1:1/api/v1/bullet-public")
    assert told == [Door("ws://127.0.0.1:2/endpoint?token=x")]
    with pytest.raises(CodecError):
        wire.http({"code": "200000", "data": {}}, BULLET)


class Talk:
    """A session that is told things; ``asked`` are its commands without timers and images."""

    def __init__(self) -> None:
        self.session = Session(VENUES["kucoin"].codec("kucoin"))
        self.now_ns = S
        known = [Instrument(venue="kucoin", symbol="AAA/USDT", venue_symbol="AAA-USDT")]
        self.asked = self.say("instruments", msgspec.json.encode(known), conn=0)

    def say(self, kind: Any, data: bytes = b"", *, conn: int = 1, url: str = "", status: int = 200) -> list[Any]:
        self.session.receive(Frame(self.now_ns, "kucoin", conn, kind, data, url, status))
        commands = [one for one in self.session.outbox if isinstance(one, Open | Fetch | Send)]
        self.session.outbox.clear()
        return commands

    def door(self, token: str, status: int = 200) -> list[Any]:
        return self.say("http", orjson.dumps(bullet(token)), conn=0, url=BULLET, status=status)

    def wait(self, seconds: float) -> list[Any]:
        self.now_ns += int(seconds * S)
        return self.say("wake", conn=0)


ASKED = Fetch(venue="kucoin", url=BULLET, weight=10, method="POST")


def opening(token: str) -> Open:
    return Open(venue="kucoin", conn=1, url=f"wss://somewhere.kucoin.com/endpoint?token={token}")


def test_a_socket_is_opened_where_the_venue_says() -> None:
    talk = Talk()
    assert talk.asked == [ASKED]
    assert talk.door("x", status=503) == []
    assert ASKED in talk.wait(20), "asked again, as no answer came"
    assert talk.door("x") == [opening("x")]
    assert talk.door("y") == [], "nobody waits for another answer"
    sent = talk.say("open", url=opening("x").url)
    assert [orjson.loads(one.data)["topic"] for one in sent] == ["/market/level2:AAA-USDT", "/market/match:AAA-USDT"]


def test_a_closed_socket_is_opened_at_a_new_door() -> None:
    talk = Talk()
    talk.door("x")
    talk.say("open", url=opening("x").url)
    assert talk.say("close", b"1006") == [ASKED]
    talk.say("open", url=opening("x").url)  # the connector was faster than the answer
    assert talk.door("y") == [opening("y")]
    assert talk.say("close", b"url_changed") == [], "closed to be moved, and it is known where to"
    talk.say("open", url=opening("y").url)
    assert talk.say("close", b"1006") == [ASKED]


def test_a_socket_is_moved_before_its_token_ends() -> None:
    talk = Talk()
    talk.door("x")
    talk.say("open", url=opening("x").url)
    assert ASKED in talk.wait(0.96 * 24 * 3600)
    assert talk.door("y") == [msgspec.structs.replace(opening("y"), conn=2)], "made before break: a socket of its own"


def test_subscriptions_keep_to_the_topics_of_a_socket() -> None:
    codec = VENUES["kucoin"].codec("kucoin")
    known = [Instrument(venue="kucoin", symbol=f"A{i}/B", venue_symbol=f"A{i}-B") for i in range(151)]
    plans = codec.plan(known)
    topics = [[orjson.loads(text)["topic"].partition(":") for text in plan.subscribe] for plan in plans]
    assert [sum(len(symbols.split(",")) for _, _, symbols in one) for one in topics] == [300, 2]
    assert all(len(symbols.split(",")) <= 100 for one in topics for _, _, symbols in one)


def test_a_gap_is_noticed_at_that_very_diff() -> None:
    session = Session(VENUES["kucoin"].codec("kucoin"), discover=True)

    def say(first: int, last: int) -> list[str]:
        told = session.receive(Frame(1, "kucoin", 1, "ws", orjson.dumps(depth(first, last))))
        return [type(event).__name__ for event in told]

    assert say(3, 3) == []
    data = {"time": 3, "sequence": "4", "bids": [["99", "2"]], "asks": []}
    image = orjson.dumps({"code": "200000", "data": data})
    told = session.receive(Frame(1, "kucoin", 0, "http", image, session.codec.fetch_image("AAA-USDT").url))
    assert [type(event).__name__ for event in told] == ["ResyncEnded", "BookValid", "BookReplaced"]
    assert say(4, 4) == [], "the image has it"
    assert say(5, 6) == ["BookChanged"]
    assert say(8, 8) == ["BookInvalid"]
