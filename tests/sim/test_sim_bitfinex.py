"""Simulated Bitfinex: one counter a socket, books by level and by order, checksums; and the product's own codec."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any
from zlib import crc32

import pytest
import talking
from talking import NOW, Talk, body
from watching import listed, watching

from imbalanced.sim.bitfinex import BITFINEX, bitfinex_listing
from imbalanced.sim.bitfinex_wire import checksum, number
from imbalanced.sim.venue import Request

FLAGS = 32_768 | 65_536 | 131_072
SYMBOLS = ("BTC/USD", "ETH/USDT", "DOGE/USD", "BTC/USDT:USDT")
PRECS = pytest.mark.parametrize("prec", ["P0", "R0"])


def talk(flags: int = FLAGS) -> Talk:
    bitfinex = Talk("bitfinex", *SYMBOLS, path="/ws/2")
    if flags:
        assert bitfinex.say({"event": "conf", "flags": flags}) == [{"event": "conf", "status": "OK", "flags": flags}]
    return bitfinex


def ask(channel: str, **about: object) -> dict[str, object]:
    return {"event": "subscribe", "channel": channel, **about}


def book(symbol: str = "tBTCUSD", prec: str = "P0", length: str = "250") -> dict[str, object]:
    return ask("book", symbol=symbol, prec=prec, freq="F0", len=length)


def data(told: list[Any], kind: str = "") -> list[Any]:
    """The payloads of a kind, in order; without one, those that have none."""
    arrays = [one for one in told if isinstance(one, list)]
    if kind:
        return [one[2] for one in arrays if one[1] == kind]
    return [one[1] for one in arrays if not isinstance(one[1], str)]


class Book:
    """A client's book as the guides keep it. Numbers are as they are written."""

    def __init__(self, prec: str) -> None:
        self._by_order = prec == "R0"
        self.rows: dict[str, tuple[Decimal, str]] = {}  # (price, amount) by what names a row
        self.sums = 0

    def take(self, array: list[Any]) -> None:
        if array[1] == "cs":
            self.sums += 1
            assert self.digits() == int(array[2])
        elif array[1] == [] or isinstance(array[1][0], list):
            self.rows.clear()
            for row in array[1]:
                self._put(row)
        elif array[1] != "hb":
            self._put(array[1])

    def _put(self, row: list[str]) -> None:
        if self._by_order:
            name, price, amount = row
            gone = price == "0"
        else:
            (price, count, amount), name = row, row[0] + row[2][: row[2].startswith("-")]
            gone = count == "0"
        if gone:
            assert amount in ("1", "-1")
            del self.rows[name]
        else:
            self.rows[name] = Decimal(price), amount

    def side(self, sign: str) -> list[tuple[str, Decimal, str]]:
        found = [(name, *row) for name, row in self.rows.items() if row[1].startswith("-") is (sign == "-")]
        return sorted(found, key=lambda row: (row[1] if sign == "-" else -row[1], row[0]))

    def digits(self) -> int:
        parts = []
        for bid, ask in zip(self.side("+")[:25], self.side("-")[:25], strict=True):
            for name, _, amount in (bid, ask):
                parts.append(f"{name if self._by_order else name.removesuffix('-')}:{amount}")
        summed = crc32(":".join(parts).encode())
        return summed - 2**32 if summed >= 2**31 else summed


def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers of arrays as they are written."""

    def read(text: str) -> Any:
        return json.loads(text, parse_float=str, parse_int=str) if text.startswith("[") else json.loads(text)

    monkeypatch.setattr(talking, "_read", read)


# -- the wire ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("1.50000000", "1.5"),
        ("100", "100"),
        ("0.00000100", "0.000001"),
        ("0.00000025", "2.5e-7"),
        ("0.0000001", "1e-7"),
    ],
)
def test_numbers_are_written_as_javascript_does(text: str, written: str) -> None:
    assert number(text) == written


def test_a_checksum_has_a_sign_and_skips_what_is_not_there() -> None:
    assert checksum(["1:2"], ["3:-4"]) == crc32(b"1:2:3:-4") == 1_216_997_700
    large = crc32(b"6000:5:6100:-3:5900:2")
    assert large >= 2**31
    assert checksum(["6000:5", "5900:2"], ["6100:-3"]) == large - 2**32


@PRECS
@pytest.mark.parametrize("length", [25, 250])
def test_the_book_is_what_the_guide_makes_of_it(prec: str, length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    exact(monkeypatch)
    bitfinex, mine = talk(), Book(prec)
    ack, image = bitfinex.say(book("tDOGE:USD", prec, str(length)))
    assert (ack["event"], ack["prec"], ack["len"], ack["pair"]) == ("subscribed", prec, str(length), "DOGE:USD")
    assert int(image[0]) == ack["chanId"]
    mine.take(image)
    for array in bitfinex.wait(4000):
        mine.take(array)
        assert max(len(mine.side("+")), len(mine.side("-"))) <= length + 3, "a window, and what is still being told"
    assert mine.sums > 100
    assert (len(mine.side("+")), len(mine.side("-"))) == (length, length)


def test_orders_are_those_of_the_levels(monkeypatch: pytest.MonkeyPatch) -> None:
    exact(monkeypatch)
    bitfinex, levels, orders = talk(), Book("P0"), Book("R0")
    told = [one for prec in ("P0", "R0") for one in bitfinex.say(book("tBTCUSD", prec))]
    by_level, by_order = (one["chanId"] for one in told if isinstance(one, dict))
    for array in told + bitfinex.wait(3000):
        if isinstance(array, list):
            {by_level: levels, by_order: orders}[int(array[0])].take(array)
    for sign in "+-":
        summed: dict[Decimal, Decimal] = {}
        for _, price, amount in orders.side(sign):
            summed[price] = summed.get(price, Decimal(0)) + Decimal(amount)
        best = [(price, Decimal(amount)) for _, price, amount in levels.side(sign)[:80]]
        assert best == list(summed.items())[:80]
    assert len(orders.rows) > len({price for price, _ in orders.rows.values()}), "some levels have several"


def test_everything_behind_the_payload_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for flags, extras in ((0, 0), (65_536, 1), (32_768, 1), (98_304, 2)):
        bitfinex = talk(flags)
        told = bitfinex.say(book()) + bitfinex.wait(1000)
        arrays = [one for one in told if isinstance(one, list)]
        assert len(arrays) > 20
        assert {len(one) for one in arrays} == {2 + extras}, "and no checksum among them"
    assert {one[3] // 10_000 for one in arrays} == {NOW // 10_000}


def test_the_counter_is_one_for_all_channels() -> None:
    bitfinex = talk()
    told = []
    for request in (book(), book("tETHUST", "R0"), ask("trades", symbol="tBTCUSD"), ask("status", key="liq:global")):
        told += bitfinex.say(request)
    told += bitfinex.wait(3000) + bitfinex.sleep(40_000)
    arrays = [one for one in told if isinstance(one, list)]
    assert {one[1] for one in arrays if isinstance(one[1], str)} == {"cs", "te", "tu", "hb"}
    assert len({one[0] for one in arrays}) == 4
    counts = [one[3 if isinstance(one[1], str) and one[1] != "hb" else 2] for one in arrays]
    assert counts == list(range(1, len(arrays) + 1))


def test_a_silent_channel_has_a_heartbeat_every_fifteen_seconds() -> None:
    bitfinex = talk()
    bitfinex.say(book())
    (id_,) = {one["chanId"] for one in bitfinex.say(ask("trades", symbol="tBTCUSD")) if isinstance(one, dict)}
    assert bitfinex.sleep(14_000) == []
    beats = [one for one in bitfinex.sleep(47_000) if one[0] == id_]
    assert [one[1] for one in beats] == ["hb"] * 3
    assert 15_000 <= beats[1][3] - beats[0][3] <= 16_000


def test_trades_are_told_twice_and_history_comes_youngest_first() -> None:
    bitfinex = talk()
    _, first = bitfinex.say(ask("trades", symbol="tBTCUSD"))
    assert first[1] == []
    told = bitfinex.wait(8000)
    te, tu = data(told, "te"), data(told, "tu")
    assert te == tu
    assert [one[0] for one in te] == list(range(te[0][0], te[0][0] + len(te)))
    assert {one[2] > 0 for one in te} == {True, False}
    other = Talk("bitfinex", *SYMBOLS, path="/ws/2")
    other.feed = bitfinex.feed
    other.desk._feed = bitfinex.feed
    _, history = other.say(ask("trades", symbol="tBTCUSD"))
    assert history[1] == te[:-31:-1]


def test_derivatives_tell_of_themselves_by_place() -> None:
    bitfinex = talk()
    ack, first = bitfinex.say(ask("status", key="deriv:tBTCF0:USTF0"))
    assert (ack["key"], len(first[1])) == ("deriv:tBTCF0:USTF0", 23)
    at, price, next_ms, funding, interest = (first[1][place] for place in (0, 14, 7, 11, 17))
    assert at == NOW
    assert 50_000 < price < 70_000
    assert next_ms > NOW
    assert (funding, interest > 0) == (0.0001, True)
    assert len(data(bitfinex.wait(5000))) == 5


def test_liquidations_are_of_positions() -> None:
    bitfinex = talk()
    bitfinex.say(ask("status", key="liq:global"))
    forced = [row for rows in data(bitfinex.wait(90_000)) for row in rows]
    assert forced
    assert {one[0] for one in forced} == {"pos"}
    assert {one[4] for one in forced} <= {"tBTCUSD", "tETHUST", "tDOGE:USD", "tBTCF0:USTF0"}
    assert all(one[8] == 0 and one[5] and one[11] > 0 for one in forced)


# -- the conversation --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ("nonsense", 10000),
        ({"event": "dance"}, 10000),
        (ask("candles", key="x"), 10302),
        (ask("trades", symbol="tNOPE"), 10300),
        (book("tBTCUSD", "P7"), 10300),
        (book("tBTCUSD", "P0", "26"), 10300),
        (book() | {"freq": "F1"}, 10300),
        (ask("status", key="deriv:tBTCUSD"), 10300),
        (ask("status", key="deriv:tNOPEF0"), 10300),
        ({"event": "unsubscribe", "chanId": 1}, 10400),
    ],
)
def test_refusals_have_a_code(request_: Any, code: int) -> None:
    (told,) = talk().say(request_)
    assert (told["event"], told["code"]) == ("error", code)


def test_subscribing_and_leaving() -> None:
    bitfinex = talk()
    assert bitfinex.greeting == [bitfinex.greeting[0] | {"event": "info", "version": 2, "platform": {"status": 1}}]
    assert bitfinex.say({"event": "ping", "cid": 7}) == [{"event": "pong", "cid": 7, "ts": NOW}]
    id_ = bitfinex.say(book())[0]["chanId"]
    assert bitfinex.say(book())[0]["code"] == 10301
    assert bitfinex.say({"event": "unsubscribe", "chanId": id_}) == [
        {"event": "unsubscribed", "status": "OK", "chanId": id_}
    ]
    assert bitfinex.wait(500) == []
    assert bitfinex.say(book())[0]["chanId"] != id_, "an id is not used twice"
    assert bitfinex.say({"event": "conf", "flags": 1})[0]["status"] == "FAILED"


def test_a_socket_has_so_many_channels() -> None:
    names = [f"A{number:02}/USD" for number in range(30)]
    bitfinex = Talk("bitfinex", *names, path="/ws/2")
    told = [bitfinex.say(ask("trades", symbol=f"tA{number:02}USD"))[0] for number in range(26)]
    assert [one["event"] for one in told] == ["subscribed"] * 25 + ["error"]
    assert told[-1]["code"] == 10305


def test_a_spoiled_frame_has_another_checksum_and_nothing_else() -> None:
    bitfinex = talk()
    assert bitfinex.desk.spoil('[7,"cs",-12,5,1]') == '[7,"cs",-11,5,1]'
    assert bitfinex.desk.spoil("[7,[1,2,3],5,1]") == "[7,[1,2,3],5,1]"


def test_the_end_is_announced() -> None:
    assert json.loads(talk().desk.notice(NOW))["code"] == 20051


def test_a_maintenance_is_announced_and_over() -> None:
    bitfinex = talk()
    bitfinex.say(book())
    bitfinex.feed.restart("tBTCUSD")
    told = bitfinex.wait(1000)
    assert [one["code"] for one in told if isinstance(one, dict)] == [20060, 20061]


def test_rest() -> None:
    bitfinex = talk()
    levels = body(bitfinex.get("/v2/book/tBTCUSD/P0", len="25"))
    orders = body(bitfinex.get("/v2/book/tBTCUSD/R0", len="100"))
    assert (len(levels), len(orders)) == (50, 200)
    assert levels[0][0] == orders[0][1]
    assert body(bitfinex.get("/v2/book/tNOPE/P0")) == ["error", 10020, "symbol: invalid"]
    assert body(bitfinex.get("/v2/book/tBTCUSD/P0", len="7")) == ["error", 10020, "len: invalid"]
    assert body(bitfinex.get("/v2/platform/status")) == [1]
    pairs, perpetuals, margin = body(bitfinex.get("/v2/conf/pub:info:pair,pub:info:pair:futures,pub:list:pair:margin"))
    assert [one[0] for one in pairs] == ["BTCUSD", "ETHUST", "DOGE:USD"]
    assert [one[0] for one in perpetuals] == ["BTCF0:USTF0"]
    assert margin == []
    assert body(bitfinex.get("/v2/conf/pub:list:pair:exchange")) == [["BTCUSD", "ETHUST", "DOGE:USD"]]
    assert BITFINEX.snapshot_stream(Request("/v2/book/tBTCUSD/R0", {})) == "book:tBTCUSD@R0"
    assert BITFINEX.snapshot_stream(Request("/v2/book/tBTCUSD/P0", {})) == "book:tBTCUSD"


def test_prices_have_five_digits() -> None:
    ticks = {text: bitfinex_listing(text).price(1) for text in ("BTC/USD", "ETH/USD", "DOGE/USD", "XYZ/USD")}
    assert ticks == {"BTC/USD": "1", "ETH/USD": "0.1", "DOGE/USD": "0.00001", "XYZ/USD": "0.001"}
    assert bitfinex_listing("BTC/USD:BTC").unified == "BTC/USDT:USDT"


# -- the product -------------------------------------------------------------------------------------------------------


async def test_the_products_reader_lists_it(simulate: Any) -> None:
    found = await listed(await simulate("bitfinex", symbols=SYMBOLS), "bitfinex")
    assert {one.symbol: one.venue_symbol for one in found} == {
        "BTC/USD": "tBTCUSD",
        "ETH/USDT": "tETHUST",
        "DOGE/USD": "tDOGE:USD",
        "BTC/USDT:USDT": "tBTCF0:USTF0",
    }


# By level the whole window is compared; of orders, the levels that all of the best 250 orders make.
VENUES = pytest.mark.parametrize(("venue", "levels", "suffix"), [("bitfinex", 250, ""), ("bitfinex_orders", 80, "@R0")])


@VENUES
async def test_live_books_are_true(simulate: Any, venue: str, levels: int, suffix: str) -> None:
    running = await simulate(venue, symbols=SYMBOLS, speed=2.0)
    async with watching(running, venue, *SYMBOLS, levels=levels) as client:
        await client.compares(300)
        assert client.losses == []
        assert {one.instrument for one in client.trades()} <= set(SYMBOLS)
        assert client.trades()


@VENUES
@pytest.mark.parametrize("fault", ["drop", "duplicate", "reorder"])
async def test_a_hole_in_the_counter_is_noticed_and_heals(
    simulate: Any, venue: str, levels: int, suffix: str, fault: str
) -> None:
    running = await simulate(venue, symbols=SYMBOLS, speed=2.0)
    async with watching(running, venue, "BTC/USD", "DOGE/USD", levels=levels) as client:
        await client.compares(30)
        running.inject({"fault": fault, "stream": f"book:tBTCUSD{suffix}"})
        await client.until(lambda: client.losses, "a loss")
        await client.compares(100)
        assert client.losses == ["connection_wide_gap"] * 2, "whose frame it was nobody can know"


@VENUES
async def test_a_wrong_checksum_costs_one_book(simulate: Any, venue: str, levels: int, suffix: str) -> None:
    # So slow that nothing is planted into the market yet: a message of many levels has its checksum at its end only.
    running = await simulate(venue, symbols=SYMBOLS, speed=0.3)
    async with watching(running, venue, "BTC/USD", "DOGE/USD", levels=levels) as client:
        await client.compares(10)
        running.inject({"fault": "checksum", "stream": f"book:tBTCUSD{suffix}", "every": 1, "count": 15})
        await client.until(lambda: client.losses, "a loss")
        running.clear_faults()
        await client.compares(20)
        assert set(client.losses) == {"checksum_mismatch"}
        assert {one.instrument for one in client.lost()} == {"BTC/USD"}


@VENUES
async def test_garbage_and_the_end_of_a_connection_heal(simulate: Any, venue: str, levels: int, suffix: str) -> None:
    running = await simulate(venue, symbols=SYMBOLS, speed=2.0)
    async with watching(running, venue, "BTC/USD", levels=levels) as client:
        await client.compares(30)
        running.inject({"fault": "garbage", "stream": f"book:tBTCUSD{suffix}"})
        await client.until(lambda: client.losses, "a loss")
        await client.compares(30)
        running.inject({"fault": "close", "stream": f"book:tBTCUSD{suffix}", "code": 1006})
        await client.until(lambda: len(client.losses) > 1, "another loss")
        await client.compares(30)


@VENUES
async def test_a_maintenance_begins_the_books_anew(simulate: Any, venue: str, levels: int, suffix: str) -> None:
    running = await simulate(venue, symbols=SYMBOLS, speed=2.0)
    async with watching(running, venue, "BTC/USD", levels=levels) as client:
        await client.compares(30)
        running.inject({"fault": "restart", "stream": f"book:tBTCUSD{suffix}"})
        await client.until(lambda: client.losses, "a loss")
        await client.compares(100)
        assert client.losses == ["halted"]


@VENUES
async def test_heartbeats_keep_a_socket_on_which_nothing_moves(
    simulate: Any, venue: str, levels: int, suffix: str
) -> None:
    running = await simulate(venue, symbols=SYMBOLS, time_scale=30.0)
    async with watching(running, venue, "BTC/USD", levels=levels) as client:
        await client.compares(3)
        await running.freeze()
        await client.until(lambda: sum(b'"hb"' in one.data for one in client.frames) > 5, "heartbeats")
        assert client.losses == []


async def test_a_silent_book_is_lost(simulate: Any) -> None:
    """The other channels of the socket go on; what never comes leaves no hole until the next frame of another."""
    running = await simulate("bitfinex", symbols=SYMBOLS, speed=2.0)
    async with watching(running, "bitfinex", "BTC/USD", "DOGE/USD", levels=250) as client:
        await client.compares(30)
        running.inject({"fault": "silent", "stream": "book:tBTCUSD", "for": "500ms"})
        await client.until(lambda: client.losses, "a loss")
        running.clear_faults()
        await client.compares(100)
        assert set(client.losses) == {"connection_wide_gap"}
