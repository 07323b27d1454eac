"""Each kind of message in the table of the module, the vendor's own checksum, and what a session makes of resets."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zlib import crc32

import msgspec
import orjson
import pytest

from imbalanced import tape
from imbalanced.book import Rows
from imbalanced.events import Frame, Instrument
from imbalanced.instruments import instrument
from imbalanced.session import Session
from imbalanced.venues import VENUES
from imbalanced.venues.codec import Answer, CodecError, Context, Forced, Gone, Image, Print, Send
from imbalanced.venues.diff import Diff

VENUE = "bitget"
UNIT = 10**8
S = 1_000_000_000
SPOT = Instrument(venue=VENUE, symbol="BTC/USDT", venue_symbol="SPOT/BTCUSDT")
SWAP = Instrument(venue=VENUE, symbol="BTC/USDT:USDT", venue_symbol="USDT-FUTURES/BTCUSDT")
USDC = Instrument(venue=VENUE, symbol="BTC/USDC:USDC", venue_symbol="USDC-FUTURES/BTCPERP")
COIN = Instrument(venue=VENUE, symbol="BTC/USD:BTC-260327", venue_symbol="COIN-FUTURES/BTCUSDH26")
# A real update of UNIUSDT, bids and asks in turn, and the checksum that came with it.
VECTOR_SUM = -1005247124
VECTOR = (
    "9.973:49:9.978:46:9.972:271:9.979:126:9.971:81:9.980:126:9.970:49:9.981:488:9.969:144:9.982:479:9.968:385:"
    "9.983:364:9.967:745:9.984:390:9.966:115:9.985:592:9.965:38:9.986:161:9.964:1181:9.987:884:9.963:339:9.988:248:"
    "9.962:255:9.989:399:9.961:514:9.990:607:9.960:308:9.991:293:9.959:381:9.992:1719:9.958:417:9.993:335:9.957:795:"
    "9.994:2152:9.956:545:9.995:266:9.955:342:9.996:616:9.954:246:9.997:743:9.953:513:9.998:449:9.952:381:9.999:737:"
    "9.951:498:10.000:1257:9.950:217:10.001:1811:9.949:339:10.002:839"
)
FRAMES = Path(__file__).resolve().parents[3] / "shared" / "captures" / "frames" / "bitget.jsonl.gz"


class Wire:
    """One codec; takes what the venue says and gives its messages."""

    def __init__(self, *instruments: Instrument) -> None:
        self.codec = VENUES[VENUE].codec(VENUE)
        for one in instruments:
            self.codec.know(one)

    def ws(self, message: Any) -> list[Any]:
        data = message if isinstance(message, bytes) else orjson.dumps(message)
        return self.codec.decode(Frame(10 * S, VENUE, 1, "ws", data))


def pushed(
    topic: str, *data: Any, action: str = "update", family: str = "spot", symbol: str = "BTCUSDT", **fields: Any
) -> dict[str, Any]:
    """A push of v3."""
    arg = {"instType": family, "topic": topic} | ({"symbol": symbol} if symbol else {})
    return {"action": action, "arg": arg, "data": list(data), "ts": 9000} | fields


def book(action: str, seq: Any, pseq: Any = 0, family: str = "spot", **fields: Any) -> dict[str, Any]:
    levels: dict[str, Any] = {"b": [["10.5", "2"]], "a": [["11", "0.5"]]}
    entry = levels | {"ts": "5", "checksum": 0, "seq": seq, "pseq": pseq} | fields
    return pushed("books", entry, action=action, family=family)


def old_book(action: str, checksum: int | None, family: str = "SPOT", **fields: Any) -> dict[str, Any]:
    """A push of v2."""
    levels: dict[str, Any] = {"bids": [["10.5", "2.0"]], "asks": [["11", "0.5"]]}
    entry = levels | {"ts": "5"} | ({} if checksum is None else {"checksum": checksum}) | fields
    arg = {"instType": family, "channel": "books", "instId": "BTCUSDT"}
    return {"action": action, "arg": arg, "data": [entry], "ts": 6}


def signed(text: str) -> int:
    found = crc32(text.encode())
    return found - 2**32 if found >= 2**31 else found


# -- the book --------------------------------------------------------------------------------------------------------


def test_an_image() -> None:
    (made,) = Wire(SPOT).ws(book("snapshot", 9))
    assert isinstance(made, Image)
    assert (made.symbol, made.last_id, made.event_ns, made.checked) == ("SPOT/BTCUSDT", 9, 5_000_000, False)
    assert (made.rows.bids(), made.rows.asks()) == ([(1_050_000_000, 2.0)], [(11 * UNIT, 0.5)])


def test_an_update_names_the_one_before_and_ids_may_be_long_texts() -> None:
    (diff,) = Wire().ws(book("update", "1343064377779269632", "1343064377779269600", a=[["11", "0"]]))
    assert isinstance(diff, Diff)
    assert (diff.symbol, diff.last_id, diff.prev_id) == ("BTCUSDT", 1343064377779269632, 1343064377779269600)
    assert diff.rows.asks() == [(11 * UNIT, 0.0)]


def test_an_image_that_is_no_list() -> None:
    message = book("snapshot", 9)
    (made,) = Wire().ws(message | {"data": message["data"][0]})
    assert isinstance(made, Image)


def test_numbers_that_begin_anew_without_an_image() -> None:
    (made,) = Wire().ws(book("update", 3, 0))
    assert isinstance(made, Gone)
    assert made.symbol == "BTCUSDT"


def test_spot_and_futures_share_names_and_not_books() -> None:
    wire = Wire(SPOT, SWAP)
    assert [wire.ws(book("snapshot", 9, family=family))[0].symbol for family in ("spot", "usdt-futures")] == [
        "SPOT/BTCUSDT",
        "USDT-FUTURES/BTCUSDT",
    ]
    stranger = Wire()
    names = [stranger.ws(book("snapshot", 9, family=family))[0].symbol for family in ("mc", "spot", "mc", "sp")]
    assert names == ["BTCUSDT", "spot/BTCUSDT", "BTCUSDT", "spot/BTCUSDT"], "the first has the bare name"
    stranger.codec.know(stranger.codec.infer("BTCUSDT"))
    assert stranger.ws(book("snapshot", 9, family="mc"))[0].symbol == "BTCUSDT"


@pytest.mark.parametrize(
    "wrong",
    [
        {"b": [["10.5", "-2"]]},
        {"b": [["0", "2"]]},
        {"b": [[10.5, "2"]]},
        {"a": None},
        {"ts": "x"},
        {"seq": "x"},
        {"pseq": True},
        {"pseq": None},
        {"checksum": "17"},
    ],
)
def test_a_wrong_entry_is_refused_and_says_whose(wrong: dict[str, Any]) -> None:
    message = book("update", 16, 9)
    message["data"][0] |= wrong
    with pytest.raises(CodecError) as caught:
        Wire(SPOT).ws(message)
    assert (caught.value.channel, caught.value.symbol) == ("books", "SPOT/BTCUSDT")


def test_a_cut_frame_says_whose() -> None:
    with pytest.raises(CodecError) as caught:
        Wire(SPOT).ws(orjson.dumps(book("update", 16, 9))[:-20])
    assert caught.value.symbol == "SPOT/BTCUSDT"


@pytest.mark.parametrize("topic", ["books", "publicTrade"])
def test_an_unknown_action_is_refused(topic: str) -> None:
    with pytest.raises(CodecError, match="partial"):
        Wire().ws(pushed(topic, action="partial"))


# -- trades and context ----------------------------------------------------------------------------------------------


def test_trades_in_their_order() -> None:
    entry = {"p": "10.5", "v": "2", "S": "sell", "T": "9000", "isRPI": "no"}
    later, earlier = entry | {"i": "8", "L": "9"}, entry | {"i": "7", "L": "8", "S": "buy"}
    told = Wire(SPOT).ws(pushed("publicTrade", later, earlier))
    assert told[0] == Print(
        symbol="SPOT/BTCUSDT", stream="trades", px=1_050_000_000, size=2.0, sign=1, trade_id=7, event_ns=9 * S
    )
    assert [(one.trade_id, one.sign) for one in told] == [(7, 1), (8, -1)]


def test_the_first_push_of_a_subscription_is_history() -> None:
    entry = {"i": "7", "p": "10.5", "v": "2", "S": "sell", "T": "9000"}
    (told,) = Wire().ws(pushed("publicTrade", entry, action="snapshot"))
    assert told.why_not == "history"


def test_trades_of_older_versions() -> None:
    arg = {"instType": "SPOT", "channel": "trade", "instId": "BTCUSDT"}
    entry = {"ts": "9000", "price": "10.5", "size": "2", "side": "buy", "tradeId": "7"}
    (told,) = Wire().ws({"action": "update", "arg": arg, "data": [entry], "ts": 9001})
    assert (told.trade_id, told.sign, told.size, told.why_not) == (7, 1, 2.0, "")
    lists = [["9001", "10.6", "3", "buy"], ["9000", "10.5", "2", "sell"]]
    told = Wire().ws({"action": "update", "arg": arg | {"instType": "sp"}, "data": lists})
    assert [(one.trade_id, one.sign, one.size, one.event_ns) for one in told] == [
        (-1, -1, 2.0, 9 * S),
        (-1, 1, 3.0, 9_001_000_000),
    ]


def test_context() -> None:
    wire = Wire(SWAP, COIN)
    entry = {
        "lastPrice": "20",
        "markPrice": "20.5",
        "indexPrice": "20.25",
        "fundingRate": "-0.0004",
        "openInterest": "200",
    }
    funded = entry | {"nextFundingTime": "28800000"}
    assert wire.ws(pushed("ticker", funded, action="snapshot", family="usdt-futures")) == [
        Context(
            symbol="USDT-FUTURES/BTCUSDT",
            event_ns=9 * S,
            mark=20.5,
            index=20.25,
            funding_rate=-0.0004,
            next_funding_ns=28_800 * S,
            open_interest=200.0,
        )
    ]
    dated = entry | {"nextFundingTime": ""}
    (told,) = wire.ws(pushed("ticker", dated, family="coin-futures", symbol="BTCUSDH26"))
    assert (told.symbol, told.funding_rate, told.next_funding_ns) == ("COIN-FUTURES/BTCUSDH26", None, None)
    old = {"markPrice": "20.5", "indexPrice": "20", "fundingRate": "0", "nextFundingTime": "0", "holdingAmount": "57.7"}
    arg = {"instType": "COIN-FUTURES", "channel": "ticker", "instId": "BTCUSDH26"}
    (told,) = wire.ws({"action": "snapshot", "arg": arg, "data": [old | {"ts": "5"}], "ts": 6})
    assert (told.open_interest, told.funding_rate, told.event_ns) == (57.7, None, 5_000_000)
    assert wire.ws(pushed("ticker", {"lastPrice": "20"})) == [], "spot has no context"


def test_a_forced_order_closes_the_position() -> None:
    order = {"symbol": "BTCUSDT", "side": "buy", "price": "0.500280739469", "amount": "143.330431857868", "ts": "9000"}
    other = order | {"symbol": "APEUSDT"}
    made = Wire(SPOT, SWAP).ws(pushed("liquidation", order, other, family="usdt-futures", symbol=""))
    assert [type(one) for one in made] == [Forced]
    assert (made[0].symbol, made[0].px, made[0].sign) == ("USDT-FUTURES/BTCUSDT", 50_028_073, -1)
    assert made[0].size == pytest.approx(286.5, rel=1e-7), "the amount is in the quote coin"
    assert Wire(SWAP).ws(pushed("liquidation", order, family="usdt-futures", symbol="", action="snapshot")) == []


# -- what is no data, subscriptions ----------------------------------------------------------------------------------


def test_answers() -> None:
    wire = Wire()
    arg = {"instType": "spot", "topic": "books", "symbol": "XXXUSDT"}
    assert wire.ws(b"pong") == []
    assert wire.ws({"event": "subscribe", "arg": arg}) == [Answer(request_id=0)]
    refused = {"event": "error", "arg": arg, "code": 30001, "msg": "Param error"}
    error = "spot books XXXUSDT 30001: Param error"
    assert wire.ws(refused) == [Answer(request_id=0, error=error, symbols=("XXXUSDT",))]
    assert Wire(SPOT).ws({**refused, "arg": {**arg, "symbol": "BTCUSDT"}})[0].symbols == (SPOT.venue_symbol,)
    assert wire.ws({"event": "error", "code": 30003, "msg": "x"}) == [Answer(request_id=0, error="30003: x")]
    assert wire.ws(pushed("books5", {"a": [], "b": []})) == []
    assert wire.ws(pushed("kline", ["1"])) == []


def test_a_plan_subscribes_what_each_family_has_and_what_is_shared_once() -> None:
    plans = VENUES[VENUE].codec(VENUE).plan([SPOT, SWAP, USDC, COIN])
    args = [arg for plan in plans for text in plan.subscribe for arg in orjson.loads(text)["args"]]
    assert {(one["instType"], one["symbol"]) for one in args if one["topic"] == "books"} == {
        ("spot", "BTCUSDT"),
        ("usdt-futures", "BTCUSDT"),
        ("usdc-futures", "BTCPERP"),
        ("coin-futures", "BTCUSDH26"),
    }
    assert {one["instType"] for one in args if one["topic"] == "ticker"} == {
        "usdt-futures",
        "usdc-futures",
        "coin-futures",
    }
    assert [one["instType"] for one in args if one["topic"] == "liquidation"] == ["usdt-futures", "usdc-futures"]
    assert plans[0].url == "wss://ws.bitget.com/v3/ws/public"


def test_many_instruments_are_spread_over_sockets() -> None:
    many = [Instrument(venue=VENUE, symbol=f"A{i}/USDT:USDT", venue_symbol=f"A{i}USDT") for i in range(100)]
    codec = VENUES[VENUE].codec(VENUE)
    plans = codec.plan(many)
    counts = [sum(len(orjson.loads(text)["args"]) for text in plan.subscribe) for plan in plans]
    assert max(counts) <= codec.limits.streams_per_socket
    assert ["liquidation" in "".join(plan.subscribe) for plan in plans] == [True, *[False] * (len(plans) - 1)]


def test_listed_markets_are_told_apart_and_sized_in_the_base() -> None:
    common = {"id": "BTCUSD", "base": "BTC", "quote": "USD", "precision": {}, "contractSize": "100", "option": False}
    market = common | {"symbol": "BTC/USD:BTC", "inverse": True, "info": {"category": "COIN-FUTURES"}}
    made = instrument(VENUE, market, "tick", VENUES[VENUE].ccxt)
    assert (made.venue_symbol, made.inverse, made.contract_size) == ("COIN-FUTURES/BTCUSD", False, 1.0)


# -- a session -------------------------------------------------------------------------------------------------------


class Talk:
    """A session with spot and swap of one name; answers the words said of them."""

    def __init__(self) -> None:
        self.session = Session(VENUES[VENUE].codec(VENUE))
        self.at_ns = S
        self.frame("instruments", msgspec.json.encode([SPOT, SWAP]))
        self.frame("open", b"")

    def frame(self, kind: Any, data: bytes) -> list[Any]:
        self.at_ns += 1000
        return self.session.receive(Frame(self.at_ns, VENUE, 1 if kind != "instruments" else 0, kind, data))

    def says(self, message: Any) -> list[str]:
        return [
            f"{type(one).__name__} {one.reason}".strip() if hasattr(one, "reason") else type(one).__name__
            for one in self.frame("ws", orjson.dumps(message))
        ]

    def sent(self) -> list[dict[str, Any]]:
        texts = [orjson.loads(one.data) for one in self.session.outbox if isinstance(one, Send)]
        self.session.outbox.clear()
        return texts


NEW = ["ResyncEnded", "BookValid", "BookReplaced"]


def test_a_clean_start_and_a_gap_of_one_of_two_books_of_one_name() -> None:
    talk = Talk()
    assert talk.says(book("snapshot", 9)) == NEW
    assert talk.says(book("snapshot", 4, family="usdt-futures")) == NEW
    assert talk.says(book("update", 20, 9)) == ["BookChanged"]
    talk.sent()
    assert talk.says(book("update", 30, 25)) == ["BookInvalid sequence_gap"]
    args = [{"instType": "spot", "topic": "books", "symbol": "BTCUSDT"}]
    talk.at_ns += 2 * S
    talk.frame("wake", b"")
    assert talk.sent() == [{"op": "unsubscribe", "args": args}, {"op": "subscribe", "args": args}]
    assert talk.says(book("update", 6, 4, family="usdt-futures")) == ["BookChanged"], "the other book lives on"
    assert talk.says(book("update", 31, 30)) == []
    assert talk.says(book("snapshot", 40)) == NEW
    assert talk.says(book("update", 41, 40)) == ["BookChanged"]


def test_a_release_begins_the_numbers_anew() -> None:
    talk = Talk()
    talk.says(book("snapshot", 900))
    assert talk.says(book("snapshot", 2, 0)) == ["BookReplaced"], "with an image at once"
    assert talk.says(book("update", 4, 2)) == ["BookChanged"]
    talk.sent()
    assert talk.says(book("update", 3, 0)) == ["BookInvalid sequence_reset"], "without one it is asked for"
    talk.at_ns += 2 * S
    talk.frame("wake", b"")
    assert [one["op"] for one in talk.sent()] == ["unsubscribe", "subscribe"]
    assert talk.says(book("snapshot", 5, 0)) == NEW


@pytest.mark.parametrize("snapshot_sum", [0, None])
def test_the_checksum_of_v2_is_checked_where_it_is_not_0(snapshot_sum: int | None) -> None:
    talk = Talk()
    assert talk.says(old_book("snapshot", snapshot_sum)) == NEW
    more: dict[str, Any] = {"bids": [["10.50", "0"], ["10.4", "3.00"]], "asks": [["12", "1"]]}
    assert talk.says(old_book("update", signed("10.4:3.00:11:0.5:12:1"), **more)) == ["BookChanged"]
    assert talk.says(old_book("update", 0)) == ["BookChanged"]
    assert talk.says(old_book("update", 17)) == ["BookInvalid checksum_mismatch"]
    assert talk.says(old_book("snapshot", 0)) == NEW


def test_a_checksum_of_v3_counts_once_it_was_right() -> None:
    talk = Talk()
    talk.says(book("snapshot", 1))
    assert talk.says(book("update", 2, 1, checksum=17)) == ["BookChanged"], "perhaps it is of something else"
    assert talk.says(book("update", 3, 2, checksum=signed("10.5:2:11:0.5"))) == ["BookChanged"]
    assert talk.says(book("update", 4, 3, checksum=17)) == ["BookInvalid checksum_mismatch"]
    talk.says(book("snapshot", 5))
    assert talk.says(book("update", 6, 5)) == ["BookChanged"]
    assert talk.says(book("update", 7, 6, checksum=17)) == ["BookChanged"], "after a 0 its texts are not known"


def test_the_vendors_own_vector() -> None:
    wire = Wire()
    words = VECTOR.split(":")
    levels = [[words[i], words[i + 1]] for i in range(0, len(words), 2)]
    bids, asks = levels[::2], levels[1::2]
    last: dict[str, Any] = {"bids": bids[:1], "asks": asks[-1:]}
    session = Session(wire.codec, discover=True)
    said: list[Any] = []
    for message in (
        old_book("snapshot", 0, bids=[[bids[0][0], "1"], *bids[1:], ["9.9", "1"]], asks=[*asks[:-1], ["11", "2"]]),
        old_book("update", VECTOR_SUM, **last),
    ):
        said = session.receive(Frame(S, VENUE, 1, "ws", orjson.dumps(message)))
    assert [type(one).__name__ for one in said] == ["BookChanged"]
    wrong = old_book("update", VECTOR_SUM, bids=[[bids[24][0], bids[24][1] + "0"]], asks=[])
    said = session.receive(Frame(S, VENUE, 1, "ws", orjson.dumps(wrong)))
    assert [one.reason for one in said] == ["checksum_mismatch"], "the text counts, not the number"


def test_recorded_frames_of_three_versions() -> None:
    if not FRAMES.is_file():
        pytest.skip(f"{FRAMES} is not there: the recordings do not come with the repository")
    wire = Wire()
    kinds: dict[str, int] = {}
    for frame in tape.read(FRAMES):
        for one in wire.codec.decode(frame):
            name = f"{type(one).__name__}{' ' + one.why_not if isinstance(one, Print) else ''}".strip()
            kinds[name] = kinds.get(name, 0) + 1
            if isinstance(one, Diff | Image):
                assert isinstance(one.rows, Rows)
    assert kinds == {"Print": 4, "Print history": 1, "Answer": 3, "Diff": 2, "Image": 2, "Context": 1}
