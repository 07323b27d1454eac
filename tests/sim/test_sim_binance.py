"""Simulated Binance without sockets: routes, requests, REST answers, wire texts, instruments."""

from __future__ import annotations

import json
import random
from itertools import pairwise

import pytest

from imbalanced.sim import PLAYERS
from imbalanced.sim.binance import BINANCE, BINANCE_COINM, BINANCE_USDM
from imbalanced.sim.binance_info import LINEAR, guess, split
from imbalanced.sim.market import Trade
from imbalanced.sim.synthetic import SyntheticFeed
from imbalanced.sim.venue import (
    Answer,
    Batch,
    Desk,
    Frame,
    Image,
    Mark,
    Meter,
    RecordedFrame,
    RecordedSnapshot,
    Request,
    Send,
    SimVenue,
    Stream,
    fixed,
)

NOW = 1_723_161_255_000
SYMBOLS = ("BTC/USDT", "ETH/USDT", "SOL/USDT")


def feed(venue: SimVenue) -> SyntheticFeed:
    return SyntheticFeed(venue.wire, venue.listings(SYMBOLS), random.Random(1), NOW)


def ask(venue: SimVenue, path: str, /, *, budget: int = 6000, **query: str) -> Answer:
    return venue.rest(Request(path, query), feed(venue), Meter(budget), NOW)


def open_desk(venue: SimVenue, path: str, **query: str) -> Desk:
    desk = venue.connect(path, query, feed(venue))
    assert desk is not None
    return desk


def say(desk: Desk, text: str) -> str:
    (command,) = desk.receive(text, NOW)
    assert isinstance(command, Send)
    return command.text


@pytest.mark.parametrize(
    ("path", "name", "served"),
    [
        ("/ws", "btcusdt@depth@100ms", True),
        ("/ws", "btcusdt@aggTrade", False),
        ("/stream", "btcusdt@markPrice@1s", False),
        ("/public/stream", "btcusdt@bookTicker", True),
        ("/public/ws", "btcusdt@trade", True),
        ("/public/ws", "btcusdt@aggTrade", False),
        ("/public/ws", "btcusdt@forceOrder", False),
        ("/market/stream", "btcusdt@aggTrade", True),
        ("/market/ws", "btcusdt@markPrice@1s", True),
        ("/market/ws", "!forceOrder@arr", True),
        ("/market/ws", "btcusdt@depth", False),
        ("/market/ws", "btcusdt@trade", False),
        ("/public/ws", "BTCUSDT@depth", False),
    ],
)
def test_usdm_routes_acknowledge_all_and_serve_their_own(path: str, name: str, served: bool) -> None:
    desk = open_desk(BINANCE_USDM, path)
    assert say(desk, f'{{"method":"SUBSCRIBE","params":["{name}"],"id":7}}') == '{"result":null,"id":7}'
    assert (desk.subscriptions[name] is not None) is served


def test_spot_and_coinm_sockets_serve_everything_unrouted() -> None:
    desk = open_desk(BINANCE, "/stream", streams="btcusdt@depth@100ms/btcusdt@aggTrade")
    assert desk.subscriptions["btcusdt@aggTrade"] == Stream("BTCUSDT", "agg_trade")
    desk = open_desk(BINANCE_COINM, "/ws/btcusd_perp@markPrice@1s/btcusd_perp@depth@0ms")
    assert None not in desk.subscriptions.values()


@pytest.mark.parametrize("path", ["/", "/wss", "/public", "/private/ws", "/market", "/stream/btcusdt@depth"])
def test_there_are_no_other_endpoints(path: str) -> None:
    assert BINANCE_USDM.connect(path, {}, feed(BINANCE_USDM)) is None


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ('{"method":"LIST_SUBSCRIPTIONS","id":"me"}', '{"result":["btcusdt@trade"],"id":"me"}'),
        ('{"method":"UNSUBSCRIBE","params":["btcusdt@trade"],"id":null}', '{"result":null,"id":null}'),
        ('{"method":"GET_PROPERTY","params":["combined"],"id":2}', '{"result":false,"id":2}'),
        ('{"method":"SET_PROPERTY","params":["combined",true],"id":2}', '{"result":null,"id":2}'),
        (
            '{"method":"SET_PROPERTY","params":["combined",1],"id":2}',
            '{"code":1,"msg":"Invalid value type: expected Boolean","id":2}',
        ),
        ('{"method":"SET_PROPERTY","params":["x",1],"id":2}', '{"code":0,"msg":"Unknown property","id":2}'),
        (
            '{"params":[],"id":3}',
            '{"code":2,"msg":"Invalid request: missing field `method` at line 1 column 1","id":3}',
        ),
        (
            '{"method":"SUBSCRIBE","params":[1],"id":3}',
            '{"code":2,"msg":"Invalid request: params must be a list of stream names","id":3}',
        ),
    ],
)
def test_requests_and_their_answers(text: str, answer: str) -> None:
    assert say(open_desk(BINANCE, "/ws/btcusdt@trade"), text) == answer


def test_nonsense_is_answered_by_error_codes() -> None:
    desk = open_desk(BINANCE, "/ws")
    assert json.loads(say(desk, "{"))["code"] == 3
    assert json.loads(say(desk, "[]"))["code"] == 2
    assert json.loads(say(desk, '{"method":"BUY","id":1}'))["msg"].startswith("Invalid request: unknown variant BUY")
    assert json.loads(say(desk, '{"method":"SUBSCRIBE","params":["a"],"id":{}}'))["code"] == 2


def test_more_streams_than_allowed_are_refused() -> None:
    names = [f"sym{number}usdt@depth" for number in range(201)]
    assert BINANCE_USDM.connect("/stream", {"streams": "/".join(names)}, feed(BINANCE_USDM)) is None
    desk = open_desk(BINANCE_USDM, "/public/stream", streams="/".join(names[:200]))
    assert "too many streams" in say(desk, '{"method":"SUBSCRIBE","params":["btcusdt@depth"],"id":1}')
    assert len(desk.subscriptions) == 200


def test_small_rest_answers() -> None:
    assert ask(BINANCE, "/api/v3/ping").text == "{}"
    assert ask(BINANCE_USDM, "/fapi/v1/time").text == f'{{"serverTime":{NOW}}}'
    assert ask(BINANCE, "/fapi/v1/time").status == 404
    interest = json.loads(ask(BINANCE_USDM, "/fapi/v1/openInterest", symbol="BTCUSDT").text)
    assert interest["symbol"] == "BTCUSDT"
    assert float(interest["openInterest"]) > 0
    ratio = json.loads(ask(BINANCE_USDM, "/futures/data/globalLongShortAccountRatio", symbol="BTCUSDT").text)
    assert float(ratio[0]["longAccount"]) + float(ratio[0]["shortAccount"]) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("venue", "query", "text"),
    [
        (BINANCE, {"symbol": "NOPE"}, '{"code":-1121,"msg":"Invalid symbol."}'),
        (BINANCE_USDM, {"symbol": "NOPE"}, '{"code":-1121,"msg":"Invalid symbol."}'),
        (BINANCE_USDM, {"symbol": "BTCUSDT", "limit": "30"}, '{"code":-4021,"msg":"30 is not valid depth limit."}'),
    ],
)
def test_wrong_depth_requests(venue: SimVenue, query: dict[str, str], text: str) -> None:
    path = {"binance": "/api/v3/depth", "binance_usdm": "/fapi/v1/depth"}[venue.id]
    answer = venue.rest(Request(path, query), feed(venue), Meter(6000), NOW)
    assert (answer.status, answer.text) == (400, text)
    assert json.loads(ask(venue, path).text)["code"] == -1102
    assert ask(venue, path, symbol="BTCUSDT", limit="-1").status == 400


def test_depth_weighs_by_its_limit() -> None:
    for venue, path, weights in (
        (BINANCE, "/api/v3/depth", {"100": 5, "500": 25, "1000": 50, "5000": 250}),
        (BINANCE_USDM, "/fapi/v1/depth", {"50": 2, "100": 5, "500": 10, "1000": 20}),
    ):
        for limit, weight in weights.items():
            answer = ask(venue, path, symbol="BTCUSDT", limit=limit)
            assert answer.headers["x-mbx-used-weight-1m"] == str(weight)


def test_over_budget_is_429_until_the_minute_ends() -> None:
    meter = Meter(100)
    assert meter.spend(100, 60_000) == 0
    assert meter.spend(1, 61_000) == 59
    assert meter.spend(1, 119_999) == 1
    assert meter.spend(1, 120_000) == 0
    answer = ask(BINANCE, "/api/v3/depth", budget=4, symbol="BTCUSDT")
    assert answer.status == 429
    assert int(answer.headers["Retry-After"]) >= 1
    assert json.loads(answer.text)["code"] == -1003


def test_depth_keys_stand_in_the_order_of_the_venue() -> None:
    spot = ask(BINANCE, "/api/v3/depth", symbol="BTCUSDT", limit="5").text
    assert list(json.loads(spot)) == ["lastUpdateId", "bids", "asks"]
    usdm = ask(BINANCE_USDM, "/fapi/v1/depth", symbol="BTCUSDT", limit="5").text
    assert list(json.loads(usdm)) == ["lastUpdateId", "E", "T", "bids", "asks"]
    coinm = ask(BINANCE_COINM, "/dapi/v1/depth", symbol="BTCUSD_PERP", limit="5").text
    assert list(json.loads(coinm)) == ["lastUpdateId", "E", "T", "symbol", "pair", "bids", "asks"]
    assert len(json.loads(spot)["bids"]) == 5


BATCH = Batch(10, 11, 13, NOW - 3, {6_180_000: 0, 6_180_001: 5}, {6_180_002: 7})
TRADE = Trade(4, 9, 6_180_002, (3, 4), "buy", True)
IMAGE = Image(13, NOW - 3, [(6_180_001, 5)], [(6_180_002, 7)])


def test_spot_texts() -> None:
    wire, btc = BINANCE.wire, BINANCE.listings(["BTC/USDT"])[0]
    assert wire.depth(btc, BATCH, NOW) == (
        '{"e":"depthUpdate","E":1723161255000,"s":"BTCUSDT","U":11,"u":13,'
        '"b":[["61800.01000000","0.00005000"],["61800.00000000","0.00000000"]],"a":[["61800.02000000","0.00007000"]]}'
    )
    assert wire.agg_trade(btc, TRADE, NOW - 3, NOW) == (
        '{"e":"aggTrade","E":1723161255000,"s":"BTCUSDT","a":4,"p":"61800.02000000","q":"0.00007000",'
        '"f":9,"l":10,"T":1723161254997,"m":false,"M":true}'
    )
    assert wire.trades(btc, TRADE, NOW - 3, NOW)[1] == (
        '{"e":"trade","E":1723161255000,"s":"BTCUSDT","t":10,"p":"61800.02000000","q":"0.00004000",'
        '"T":1723161254997,"m":false,"M":true}'
    )
    assert wire.bbo(btc, IMAGE, NOW) == (
        '{"u":13,"s":"BTCUSDT","b":"61800.01000000","B":"0.00005000","a":"61800.02000000","A":"0.00007000"}'
    )


def test_usdm_texts() -> None:
    wire, eth = BINANCE_USDM.wire, BINANCE_USDM.listings(["ETH/USDT:USDT"])[0]
    first, last, previous = (wire.update_id(number) for number in (11, 13, 10))
    assert wire.depth(eth, BATCH, NOW) == (
        f'{{"e":"depthUpdate","E":1723161255000,"T":1723161254997,"s":"ETHUSDT","U":{first},"u":{last},"pu":{previous},'
        '"b":[["61800.00","0.000"],["61800.01","0.005"]],"a":[["61800.02","0.007"]]}'
    )
    assert wire.bbo(eth, IMAGE, NOW) == (
        f'{{"e":"bookTicker","u":{last},"s":"ETHUSDT","b":"61800.01","B":"0.005","a":"61800.02","A":"0.007",'
        '"T":1723161254997,"E":1723161255000}'
    )
    assert wire.trades(eth, TRADE, NOW - 3, NOW)[0] == (
        '{"e":"trade","E":1723161255000,"T":1723161254997,"s":"ETHUSDT","t":9,"p":"61800.02","q":"0.003",'
        '"X":"MARKET","m":false}'
    )
    assert wire.agg_trade(eth, TRADE, NOW - 3, NOW) == (
        '{"e":"aggTrade","E":1723161255000,"a":4,"s":"ETHUSDT","p":"61800.02","q":"0.007","f":9,"l":10,'
        '"T":1723161254997,"m":false}'
    )
    assert wire.mark(eth, Mark(6_180_001.5, 6_180_000, 0.0001, NOW), NOW) == (
        '{"e":"markPriceUpdate","E":1723161255000,"s":"ETHUSDT","p":"61800.01500000","P":"61800.00000000",'
        '"i":"61800.00000000","r":"0.00010000","T":1723161255000}'
    )
    assert wire.liquidation(eth, TRADE, NOW - 3, NOW) == (
        '{"e":"forceOrder","E":1723161255000,"o":{"s":"ETHUSDT","S":"BUY","o":"LIMIT","f":"IOC","q":"0.007",'
        '"p":"61800.02","ap":"61800.02","X":"FILLED","l":"0.007","z":"0.007","T":1723161254997}}'
    )


def test_coinm_names_the_pair() -> None:
    wire, btc = BINANCE_COINM.wire, BINANCE_COINM.listings(["BTC/USDT"])[0]
    assert '"s":"BTCUSD_PERP","ps":"BTCUSD","U":' in wire.depth(btc, BATCH, NOW)
    assert wire.bbo(btc, IMAGE, NOW).startswith(f'{{"u":{wire.update_id(13)},"e":"bookTicker","s":"BTCUSD_PERP",')


def test_futures_ids_rise_and_never_by_one() -> None:
    ids = [BINANCE_USDM.wire.update_id(number) for number in range(50_000_000_000, 50_000_005_000)]
    assert all(after - before > 1 for before, after in pairwise(ids))
    assert ids[-1] < 2**53


def test_grids_are_those_of_the_venue() -> None:
    usdm = BINANCE_USDM.listings(["BTC/USDT"])[0]
    assert (usdm.price(618_001), usdm.size(5)) == ("61800.10", "0.005")
    assert usdm.unified == "BTC/USDT:USDT"
    coinm = BINANCE_COINM.listings(["BTC/USDT"])[0]
    assert (coinm.unified, coinm.price(618_001), coinm.size(5)) == ("BTC/USD:BTC", "61800.1", "5")
    assert [fixed(5, 0), fixed(5, 2), fixed(12_345, 2)] == ["5", "0.05", "123.45"]


@pytest.mark.parametrize("text", ["BTCUSDT", "BTC/", "/USDT", "BTC USDT"])
def test_symbols_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="expected BASE/QUOTE"):
        BINANCE.listings([text])


def test_a_listing_guessed_from_numbers() -> None:
    made = guess(LINEAR, "BTCUSDT", ["61800.20", "61800.00"], ["0.014", "1.000"])
    assert (made.tick_units, made.price_decimals, made.lot_units, made.size_decimals) == (10, 2, 1, 3)
    assert split("NKNUSDT") == ("NKN", "USDT")
    assert split("BTCUSD_PERP") == ("BTC", "USD")
    assert split("ETHBTC") == ("ETH", "BTC")


def test_recorded_frames_are_recognised() -> None:
    payload = '{"e":"depthUpdate","E":1,"s":"BTCUSDT","U":1,"u":2,"b":[],"a":[]}'
    whole = f'{{"stream":"btcusdt@depth@100ms","data":{payload}}}'
    stream = Stream("BTCUSDT", "depth", 100)
    found = BINANCE.recorded("wss://x/stream", whole)
    assert found == RecordedFrame("btcusdt@depth@100ms", Frame(stream, payload, whole))
    found = BINANCE.recorded("wss://x/ws/btcusdt@depth@100ms", payload)
    assert found == RecordedFrame("btcusdt@depth@100ms", Frame(stream, payload))
    text = '{"lastUpdateId": 2000000, "bids": [], "asks": []}'
    assert BINANCE.recorded("https://x/api/v3/depth?symbol=BTCUSDT&limit=5", text) == RecordedSnapshot("BTCUSDT", text)
    assert BINANCE.recorded("wss://x/stream", '{"result":null,"id":1}') is None
    assert BINANCE.recorded("wss://x/stream", whole.replace("depth@100ms", "kline_1m")) is None
    assert BINANCE.aged(text) == '{"lastUpdateId": 1000000, "bids": [], "asks": []}'


def test_every_simulated_venue_answers_what_the_seam_asks() -> None:
    for id_, venue in PLAYERS.items():
        assert venue.id == id_
        fed = feed(venue)
        symbols = [entry["symbol"] for entry in json.loads(fed.info(NOW))["symbols"]]
        assert len(symbols) == len(SYMBOLS)
        for symbol in symbols:
            assert fed.listing(symbol) is not None
            fresh, stale = fed.snapshot(symbol, 1000, NOW), fed.stale_snapshot(symbol, 1000, NOW)
            assert fresh is not None
            assert stale is not None
            assert json.loads(stale)["lastUpdateId"] < json.loads(fresh)["lastUpdateId"]
