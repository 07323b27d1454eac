"""Each kind of frame in the tables of the module, on its three feeds, and how requests are signed."""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64encode, urlsafe_b64decode
from decimal import Decimal
from itertools import pairwise
from typing import Any, NamedTuple

import msgspec
import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from missing import frames_of

from imbalanced.events import BookChanged, BookInvalid, BookValid, Frame, Instrument, Notice, Trade, TradeIgnored
from imbalanced.orders import Act, OrderChange
from imbalanced.session import Session
from imbalanced.venues import VENUES, signer, with_key
from imbalanced.venues.codec import (
    Answer,
    CodecError,
    Endpoints,
    Fetch,
    Image,
    ImageFailed,
    LastTrade,
    Print,
    SocketGap,
)
from imbalanced.venues.diff import Diff

VENUE, BY_ORDER = "coinbase", "coinbase_orders"
UNIT = 10**8
AT = "2021-04-17T16:43:37.075687Z"
AT_NS = 1_618_677_817_075_687_000
BTC = Instrument(venue=VENUE, symbol="BTC/USD", venue_symbol="BTC-USD", tick="0.01", lot="0.00000001")


class Key(NamedTuple):
    """Credentials."""

    key: str = "organizations/1/apiKeys/2"
    secret: str = ""
    passphrase: str | None = None


class Wire:
    """One codec; takes what the venue says and gives its messages."""

    def __init__(self, venue: str = VENUE, *known: Instrument, keyed: bool = False) -> None:
        self.codec = with_key(VENUES[venue], Key() if keyed else None).codec(venue)
        for one in known:
            self.codec.know(one)

    def ws(self, message: Any, conn: int = 1) -> list[Any]:
        data = message if isinstance(message, bytes) else orjson.dumps(message)
        return self.codec.decode(Frame(1, VENUE, conn, "ws", data))

    def http(self, url: str, message: Any, status: int = 200) -> list[Any]:
        data = message if isinstance(message, bytes) else orjson.dumps(message)
        return self.codec.decode(Frame(1, VENUE, 0, "http", data, url, status))


# -- Exchange, by level ------------------------------------------------------------------------------------------------

SNAPSHOT = {
    "type": "snapshot",
    "product_id": "BTC-USD",
    "bids": [["100.50", "1.5"], ["100.00", "2"]],
    "asks": [["101.00", "0.25"]],
}
UPDATE = {
    "type": "l2update",
    "product_id": "BTC-USD",
    "changes": [["sell", "101.00", "0.0"], ["buy", "100.50", "0.58667860"], ["sell", "102.5", "3"]],
    "time": AT,
}
MATCH = {
    "type": "match",
    "trade_id": 7,
    "maker_order_id": "m",
    "taker_order_id": "t",
    "side": "sell",
    "size": "0.97133855",
    "price": "101.00",
    "product_id": "BTC-USD",
    "sequence": 51,
    "time": AT,
}


def test_an_image_and_a_diff() -> None:
    wire = Wire(VENUE, BTC)
    (image,) = wire.ws(SNAPSHOT)
    assert isinstance(image, Image)
    assert (image.symbol, image.event_ns) == ("BTC-USD", 0)
    assert (image.rows.bids(), image.rows.asks()) == (
        [(10_050_000_000, 1.5), (100 * UNIT, 2.0)],
        [(101 * UNIT, 0.25)],
    )
    (diff,) = wire.ws(UPDATE)
    assert isinstance(diff, Diff)
    assert (diff.symbol, diff.event_ns) == ("BTC-USD", AT_NS)
    assert diff.rows.bids() == [(10_050_000_000, 0.5866786)]
    assert diff.rows.asks() == [(101 * UNIT, 0.0), (10_250_000_000, 3.0)]
    (timeless,) = wire.ws(UPDATE | {"time": "0001-01-01T00:00:00.000000Z"})
    assert timeless.event_ns == 0


@pytest.mark.parametrize(("side", "taker"), [("sell", 1), ("buy", -1)])
def test_the_taker_is_on_the_other_side(side: str, taker: int) -> None:
    assert Wire(VENUE, BTC).ws(MATCH | {"side": side}) == [
        Print(
            symbol="BTC-USD",
            stream="match",
            px=101 * UNIT,
            size=0.97133855,
            sign=taker,
            trade_id=7,
            event_ns=AT_NS,
        )
    ]


def test_the_last_match_is_history() -> None:
    (told,) = Wire(VENUE, BTC).ws(MATCH | {"type": "last_match"})
    assert (told.trade_id, told.why_not) == (7, "history")


def test_a_heartbeat_tells_the_last_trade() -> None:
    beat = {"type": "heartbeat", "sequence": 90, "last_trade_id": 20, "product_id": "BTC-USD", "time": AT}
    assert Wire().ws(beat) == [LastTrade(symbol="BTC-USD", trade_id=20)]


def test_answers_and_what_concerns_us_not() -> None:
    wire = Wire()
    assert wire.ws({"type": "subscriptions", "channels": []}) == [Answer(request_id=0)]
    refused = {"type": "error", "message": "Failed to subscribe", "reason": "XYZ-USD is not a valid product"}
    assert wire.ws(refused) == [Answer(request_id=0, error="Failed to subscribe: XYZ-USD is not a valid product")]
    assert wire.ws({"type": "error", "message": "authentication failure"})[0].error == "authentication failure"
    for message in ({"type": "ticker", "product_id": "BTC-USD"}, {"type": "status"}, {"type": "open", "x": 1}):
        assert wire.ws(message) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"0.0"', b'"-1"'),
        (b'"0.0"', b"0.5"),
        (b'"101.00"', b'"0"'),
        (b'"101.00"', b'"x"'),
        (b'"sell"', b'"ask"'),
        (b'"changes"', b'"change"'),
        (b"687Z", b"687"),
        (b'["buy","100.50","0.58667860"]', b'["buy","100.50"]'),
    ],
)
def test_a_malformed_update_names_its_product(old: bytes, new: bytes) -> None:
    data = orjson.dumps(UPDATE)
    assert old in data
    with pytest.raises(CodecError) as caught:
        Wire(VENUE, BTC).ws(data.replace(old, new, 1))
    assert (caught.value.channel, caught.value.symbol) == ("l2update", "BTC-USD")


def test_a_plan_asks_for_each_product_by_itself() -> None:
    """One that is refused takes no other with it."""
    other = Instrument(venue=VENUE, symbol="ETH/USD", venue_symbol="ETH-USD")
    codec = VENUES[VENUE].codec(VENUE)
    (plan,) = codec.plan([BTC, other])
    assert (plan.url, plan.books) == ("wss://ws-feed.exchange.coinbase.com/", ("BTC-USD", "ETH-USD"))
    channels = ["level2_batch", "matches", "heartbeat"]
    assert [orjson.loads(text) for text in plan.subscribe] == [
        {"type": "subscribe", "product_ids": [symbol], "channels": channels} for symbol in ("BTC-USD", "ETH-USD")
    ]
    assert [orjson.loads(text) for text in codec.resubscribe("BTC-USD")] == [
        {"type": kind, "product_ids": ["BTC-USD"], "channels": ["level2_batch"]}
        for kind in ("unsubscribe", "subscribe")
    ]
    assert codec.checks == (), "nothing proves this book"


# -- trades that never came --------------------------------------------------------------------------------------------


class Run:
    """A session of one product, in words."""

    def __init__(self, venue: str = VENUE, *, keyed: bool = False) -> None:
        self.venue = venue
        self.session = Session(with_key(VENUES[venue], Key() if keyed else None).codec(venue))
        self.session.receive(Frame(1, venue, 0, "instruments", msgspec.json.encode([BTC])))
        self.session.receive(Frame(2, venue, 1, "open", b"", "wss://x"))
        self.now_ns = 3

    def ws(self, message: dict[str, Any]) -> list[str]:
        return self._words(self.session.receive(Frame(self.now_ns, self.venue, 1, "ws", orjson.dumps(message))))

    def image(self, message: dict[str, Any]) -> list[str]:
        url = self.session.codec.fetch_image("BTC-USD").url
        return self._words(self.session.receive(Frame(self.now_ns, self.venue, 0, "http", orjson.dumps(message), url)))

    def _words(self, events: list[Any]) -> list[str]:
        told = {
            BookValid: lambda one: f"valid {one.book_seq}",
            BookInvalid: lambda one: f"invalid {one.reason}",
            BookChanged: lambda one: f"changed {one.book_seq}",
            Trade: lambda one: f"trade {one.trade_id}",
            TradeIgnored: lambda one: one.why,
            Notice: lambda one: f"{one.what} {one.detail}",
        }
        return [told[type(one)](one) for one in events if type(one) in told]

    def beat(self, last: int) -> list[str]:
        return self.ws({"type": "heartbeat", "sequence": 1, "last_trade_id": last, "product_id": "BTC-USD", "time": AT})


def test_a_trade_that_never_came_is_noticed_at_the_second_heartbeat() -> None:
    """The first may be ahead of it."""
    run = Run()
    assert run.ws(MATCH | {"type": "last_match"}) == ["history"]
    assert run.beat(7) == []
    assert run.beat(9) == []
    assert run.ws(MATCH | {"trade_id": 8}) == ["trade 8"]
    assert run.beat(9) == ["trade_gap 9..9"]
    assert run.beat(9) == [], "said once"
    assert run.ws(MATCH | {"trade_id": 10}) == ["trade 10"]
    assert run.ws(MATCH | {"trade_id": 12}) == ["trade_gap 11..11", "trade 12"]
    assert run.beat(12) == run.beat(12) == []


def test_what_was_traded_before_is_not_lost() -> None:
    run = Run()
    assert run.beat(100) == []
    assert run.beat(100) == []
    assert run.ws(MATCH | {"trade_id": 101}) == ["trade 101"]


# -- Exchange, by order ------------------------------------------------------------------------------------------------


def of_orders(kind: str, sequence: int, **more: Any) -> dict[str, Any]:
    return {"type": kind, "product_id": "BTC-USD", "sequence": sequence, "time": AT, **more}


def opens(sequence: int, order_id: str, side: str, price: str, size: str) -> dict[str, Any]:
    return of_orders("open", sequence, order_id=order_id, side=side, price=price, remaining_size=size)


def done(sequence: int, order_id: str) -> dict[str, Any]:
    return of_orders("done", sequence, order_id=order_id, side="buy", price="100.5", reason="canceled")


def test_messages_of_orders() -> None:
    wire = Wire(BY_ORDER, BTC)

    def one(message: dict[str, Any]) -> Any:
        diff, *_ = wire.ws(message)
        assert isinstance(diff, Diff)
        assert (diff.symbol, diff.first_id, diff.last_id, diff.event_ns) == ("BTC-USD", 51, 51, AT_NS)
        return list(diff.orders)

    assert one(of_orders("received", 51, order_id="a", side="buy", price="1", size="1", order_type="limit")) == []
    assert one(opens(51, "a", "buy", "100.50", "0.1")) == [OrderChange(Act.PUT, "a", 1, 10_050_000_000, Decimal("0.1"))]
    assert one(done(51, "a")) == [OrderChange(Act.REMOVE, "a")]
    assert one(MATCH) == [OrderChange(Act.FILL, "m", size=Decimal("0.97133855"))]
    change = of_orders("change", 51, order_id="a", side="buy", price="100.5", old_size="2", new_size="1.5")
    assert one(change) == [OrderChange(Act.AMEND, "a", 1, 0, Decimal("1.5"))]
    assert one(change | {"new_price": "99.25"}) == [OrderChange(Act.AMEND, "a", 1, 9_925_000_000, Decimal("1.5"))]
    del change["new_size"]
    assert one(change | {"old_funds": "5", "new_funds": "4"}) == [], "a market order does not rest"
    _, told = wire.ws(MATCH)
    assert (told.trade_id, told.sign) == (7, 1)
    assert wire.ws({"type": "activate", "product_id": "BTC-USD", "order_id": "s"}) == []


@pytest.mark.parametrize("missing", ["sequence", "order_id", "price", "remaining_size", "side"])
def test_a_malformed_order_names_its_product(missing: str) -> None:
    message = opens(51, "a", "buy", "100.50", "0.1")
    del message[missing]
    with pytest.raises(CodecError) as caught:
        Wire(BY_ORDER, BTC).ws(message)
    assert (caught.value.channel, caught.value.symbol) == ("open", "BTC-USD")


@pytest.mark.parametrize("size", ["-1", "nan", "1e19", "1e-61", "", "1_0", "1.2.3", 5, None])
def test_a_size_is_a_number_that_can_be_summed(size: object) -> None:
    with pytest.raises(CodecError):
        Wire(BY_ORDER, BTC).ws(opens(51, "a", "buy", "100.50", "1") | {"remaining_size": size})


ALL_ORDERS = {
    "sequence": 50,
    "bids": [["100.50", "0.1", "a"], ["100.50", "0.2", "b"], ["100.00", "1", "c"]],
    "asks": [["101.00", "5", "m"]],
}


def test_the_image_of_orders_comes_by_rest() -> None:
    wire = Wire(BY_ORDER, BTC)
    fetch = wire.codec.fetch_image("BTC-USD")
    assert fetch.url == "https://api.exchange.coinbase.com/products/BTC-USD/book?level=3"
    (image,) = wire.http(fetch.url, ALL_ORDERS)
    assert (image.symbol, image.last_id, len(image.orders)) == ("BTC-USD", 50, 4)
    assert image.orders[3] == OrderChange(Act.PUT, "m", -1, 101 * UNIT, Decimal(5))
    assert wire.http(fetch.url, b"slow down", 429) == [ImageFailed(symbol="BTC-USD", why="HTTP 429")]
    assert wire.http(fetch.url, b"NotFound", 404) == [ImageFailed(symbol="BTC-USD", why="HTTP 404", gone=True)]
    for wrong in (b"<html>", b"[]", orjson.dumps(ALL_ORDERS | {"bids": [["100.5", "1"]]})):
        with pytest.raises(CodecError) as caught:
            wire.http(fetch.url, wrong)
        assert caught.value.symbol == "BTC-USD"


def test_a_book_by_order_is_proven_by_its_sequence() -> None:
    run = Run(BY_ORDER)
    run.session.outbox.clear()
    assert run.ws(done(49, "z")) == []
    assert [one.url for one in run.session.outbox if isinstance(one, Fetch)], "the stream is there: now its image"
    assert run.ws(done(50, "y")) == []
    assert run.ws(opens(51, "d", "buy", "100.50", "0.3")) == []
    assert run.image(ALL_ORDERS) == ["valid 51"]
    lane = run.session.lane_of("BTC/USD")
    assert lane is not None
    assert lane.sync.book.bids.levels(9) == [(10_050_000_000, 0.6), (100 * UNIT, 1.0)]
    assert run.ws(of_orders("received", 52, order_id="e", side="buy")) == [], "no level has changed"
    assert run.ws(MATCH | {"sequence": 53}) == ["changed 53", "trade 7"]
    assert lane.sync.book.asks.levels(9) == [(101 * UNIT, 4.02866145)]
    assert run.ws(done(54, "never rested")) == []
    assert run.ws(done(54, "a")) == [], "lower numbers are nothing"
    assert run.ws(done(55, "a")) == ["changed 55"]
    assert lane.sync.book.bids.levels(1) == [(10_050_000_000, 0.5)]
    assert run.ws(done(57, "b")) == ["invalid sequence_gap"]


def busy_market() -> list[dict[str, Any]]:
    """Orders that come, are filled, changed and go, numbered from 51."""
    told: list[dict[str, Any]] = []
    for i in range(12):
        n = 51 + 5 * i
        told += [
            of_orders("received", n, order_id=f"o{i}", side="buy"),
            opens(n + 1, f"o{i}", "buy", f"{90 + i % 5}.5", "1.25"),
            MATCH | {"sequence": n + 2, "maker_order_id": f"o{i}", "size": "0.5", "trade_id": 10 + i, "side": "buy"},
            of_orders("change", n + 3, order_id=f"o{i}", side="buy", new_size="0.7"),
            done(n + 4, f"o{i - 3}"),
        ]
    return told


def test_any_missing_message_of_orders_is_said_at_the_very_next_one() -> None:
    messages = busy_market()
    for left_out, following in pairwise(range(1, len(messages))):
        run = Run(BY_ORDER)
        run.ws(messages[0])
        assert run.image(ALL_ORDERS) == ["valid 51"]
        for number, message in enumerate(messages[1:following], 1):
            if number != left_out:
                assert not any("invalid" in word for word in run.ws(message))
        assert run.ws(messages[following])[0] == "invalid sequence_gap", f"without {messages[left_out]}"


# -- Advanced ----------------------------------------------------------------------------------------------------------


def advanced(channel: str, count: int, *events: dict[str, Any]) -> dict[str, Any]:
    return {"channel": channel, "client_id": "", "timestamp": AT, "sequence_num": count, "events": list(events)}


def level(side: str, price: str, size: str, at: str = AT) -> dict[str, str]:
    return {"side": side, "event_time": at, "price_level": price, "new_quantity": size}


def of_level(kind: str, *updates: dict[str, str], product: str = "BTC-USD") -> dict[str, Any]:
    return {"type": kind, "product_id": product, "updates": list(updates)}


def test_an_advanced_book() -> None:
    wire = Wire(VENUE, BTC, keyed=True)
    old = "1970-01-01T00:00:00Z"
    levels = (level("offer", "101", "0.25", old), level("bid", "100.5", "1.5", old))
    (image,) = wire.ws(advanced("l2_data", 0, of_level("snapshot", *levels)))
    assert isinstance(image, Image)
    assert (image.rows.bids(), image.rows.asks(), image.event_ns) == (
        [(10_050_000_000, 1.5)],
        [(101 * UNIT, 0.25)],
        AT_NS,
    )
    update = of_level("update", level("bid", "100.5", "0.00000000", "2021-04-17T16:43:37.075688123Z"))
    (diff,) = wire.ws(advanced("l2_data", 1, update))
    assert (diff.symbol, diff.rows.bids(), diff.event_ns) == ("BTC-USD", [(10_050_000_000, 0.0)], AT_NS + 1123)


def test_advanced_trades() -> None:
    trade = {"product_id": "BTC-USD", "price": "68900.50", "size": "0.0015", "side": "BUY", "time": AT}
    trades = [trade | {"trade_id": "9", "side": "SELL"}, trade | {"trade_id": "8"}]
    told = Wire(VENUE, BTC, keyed=True).ws(
        advanced("market_trades", 5, {"type": "update", "trades": trades}, {"type": "snapshot", "trades": trades})
    )
    assert [(one.trade_id, one.sign, one.why_not) for one in told] == [
        (8, -1, ""),
        (9, 1, ""),
        (8, -1, "history"),
        (9, 1, "history"),
    ]
    assert (told[0].px, told[0].size, told[0].event_ns) == (6_890_050_000_000, 0.0015, AT_NS)


def test_every_frame_of_a_socket_counts() -> None:
    wire = Wire(VENUE, BTC, keyed=True)
    assert wire.ws(advanced("subscriptions", 4, {"subscriptions": {}})) == [Answer(request_id=0)]
    assert wire.ws(advanced("heartbeats", 5, {"heartbeat_counter": 1})) == []
    assert wire.ws(advanced("heartbeats", 7, {"heartbeat_counter": 3})) == [SocketGap("7 after 5")]
    gap, diff = wire.ws(advanced("l2_data", 9, of_level("update", level("bid", "100", "1"))))
    assert (gap, type(diff)) == (SocketGap("9 after 7"), Diff)
    assert wire.ws(advanced("candles", 1), conn=2) == [], "each socket has its own"
    wire.codec.opened(1)
    assert wire.ws(advanced("heartbeats", 0)) == [], "and each life of it"
    with pytest.raises(CodecError) as caught:
        wire.ws(advanced("l2_data", 1, of_level("update", level("ask", "100", "1"))))
    assert (caught.value.channel, caught.value.symbol) == ("l2_data", "BTC-USD")
    with pytest.raises(CodecError) as caught:
        wire.ws(advanced("l2_data", 3, of_level("update", level("ask", "100", "1"))))
    assert caught.value.symbol == "", "a frame of any book is missing before it"
    with pytest.raises(CodecError):
        wire.ws(advanced("heartbeats", 4) | {"sequence_num": None})


def test_a_product_is_told_by_the_name_it_was_asked_for() -> None:
    usdc = Instrument(venue=VENUE, symbol="BTC/USDC", venue_symbol="BTC-USDC")
    update = advanced("l2_data", 0, of_level("update", level("bid", "100", "1")))
    assert Wire(VENUE, usdc, keyed=True).ws(update)[0].symbol == "BTC-USDC"
    assert Wire(VENUE, usdc, BTC, keyed=True).ws(update)[0].symbol == "BTC-USD"


def test_a_key_chooses_the_feed_whose_books_are_proven() -> None:
    codec = with_key(VENUES[VENUE], Key()).codec(VENUE)
    (plan,) = codec.plan([BTC])
    assert plan.url == "wss://advanced-trade-ws.coinbase.com/"
    assert [orjson.loads(text) for text in plan.subscribe] == [
        {"type": "subscribe", "channel": "heartbeats"},
        {"type": "subscribe", "product_ids": ["BTC-USD"], "channel": "level2"},
        {"type": "subscribe", "product_ids": ["BTC-USD"], "channel": "market_trades"},
    ]
    assert codec.checks == ("sequence",)
    assert with_key(VENUES["kraken"], Key()) is VENUES["kraken"], "others have nothing of the kind"


def test_a_recording_tells_by_itself_which_feed_it_was() -> None:
    """It is replayed without the key."""
    wire = Wire()
    assert wire.codec.checks == ()
    wire.ws(advanced("l2_data", 0, of_level("snapshot", level("bid", "100", "1"))))
    assert wire.codec.checks == ("sequence",)


def test_a_hole_costs_the_books_of_the_socket() -> None:
    run = Run(keyed=True)
    assert run.ws(advanced("l2_data", 0, of_level("snapshot", level("bid", "100", "1")))) == ["valid 0"]
    assert run.ws(advanced("l2_data", 1, of_level("update", level("bid", "100", "2")))) == ["changed 0"]
    assert run.ws(advanced("heartbeats", 3)) == ["invalid connection_wide_gap"]


# -- signatures --------------------------------------------------------------------------------------------------------

REQUEST = '{"type":"subscribe","product_ids":["BTC-USD"],"channels":["full"]}'
NOW_NS = 1_700_000_000_900_000_000


def test_a_request_to_the_exchange() -> None:
    key = Key("name", b64encode(b"secret").decode(), "phrase")
    sign = signer(VENUES[BY_ORDER], key)
    assert sign is not None
    told = orjson.loads(sign(REQUEST, NOW_NS))
    expected = hmac.new(b"secret", b"1700000000GET/users/self/verify", hashlib.sha256).digest()
    assert told == orjson.loads(REQUEST) | {
        "key": "name",
        "passphrase": "phrase",
        "timestamp": "1700000000",
        "signature": b64encode(expected).decode(),
    }


def unpadded(part: str) -> bytes:
    return urlsafe_b64decode(part + "=" * (-len(part) % 4))


def test_a_token_by_a_key_of_a_curve() -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
    for secret in (pem, pem.replace("\n", "\\n")):  # as a file has it, and as an environment variable does
        sign = signer(VENUES[VENUE], Key("name", secret))
        assert sign is not None
        told = orjson.loads(sign(REQUEST, NOW_NS))
        header, claims, signature = told.pop("jwt").split(".")
        assert told == orjson.loads(REQUEST)
        assert orjson.loads(unpadded(claims)) == {
            "iss": "cdp",
            "sub": "name",
            "nbf": 1_700_000_000,
            "exp": 1_700_000_120,
        }
        head = orjson.loads(unpadded(header))
        assert (head["alg"], head["kid"], head["typ"]) == ("ES256", "name", "JWT")
        raw = unpadded(signature)
        der = utils.encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
        private.public_key().verify(der, f"{header}.{claims}".encode(), ec.ECDSA(SHA256()))
        assert orjson.loads(sign(REQUEST, NOW_NS + 1))["jwt"].split(".")[0] != header, "a nonce is used once"


def test_a_token_by_an_edwards_key() -> None:
    private = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    secret = b64encode(bytes(range(32)) + private.public_key().public_bytes_raw()).decode()
    sign = signer(VENUES[VENUE], Key("name", secret))
    assert sign is not None
    header, claims, signature = orjson.loads(sign(REQUEST, NOW_NS))["jwt"].split(".")
    assert orjson.loads(unpadded(header))["alg"] == "EdDSA"
    private.public_key().verify(unpadded(signature), f"{header}.{claims}".encode())


@pytest.mark.parametrize("secret", ["-----BEGIN EC PRIVATE KEY-----\nx\n", "%%%", b64encode(b"short").decode()])
def test_a_secret_that_is_none_is_refused(secret: str) -> None:
    sign = signer(VENUES[VENUE], Key("name", secret))
    assert sign is not None
    with pytest.raises(ValueError, match=r".+"):
        sign(REQUEST, NOW_NS)


def test_nothing_is_signed_without_a_key_or_for_those_who_want_none() -> None:
    assert signer(VENUES[VENUE], None) is None
    assert signer(VENUES["kraken"], Key()) is None


# -- the recording -----------------------------------------------------------------------------------------------------


def test_side_of_the_maker_in_the_recording() -> None:
    """A maker rests: nearly all matches are at the best price of the side that they name, or nearer to it."""
    near = far = 0
    session = Session(VENUES[VENUE].codec(VENUE, Endpoints(rest="https://x", ws="wss://x")), discover=True)
    books: dict[str, Any] = {}
    for frame in frames_of("coinbase_exchange-20210417-a"):
        for event in session.receive(msgspec.structs.replace(frame, venue=VENUE)):
            if isinstance(event, BookChanged):
                books[event.instrument] = event.book
            elif isinstance(event, Trade) and event.instrument in books:
                book = books[event.instrument]
                bid, ask = book.bids.px_at(0), book.asks.px_at(0)
                lifted = abs(event.px - ask) < abs(event.px - bid)
                near, far = near + (lifted == (event.sign > 0)), far + (lifted != (event.sign > 0))
    assert near > 60
    assert far < near / 10
