"""The venue's list: through ccxt in a real child process against a small exchange, and from files."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog
from aiohttp import web
from aiohttp.test_utils import TestServer
from structlog.testing import capture_logs

from imbalanced import instruments
from imbalanced.events import Instrument
from imbalanced.instruments import Instruments, InstrumentsUnavailable, UnknownInstrument, load, moved, turnover
from imbalanced.venues.ccxt_spec import CcxtSpec

SPOT = CcxtSpec(exchange_id="binance", options={"fetchMarkets": {"types": ["spot"]}, "defaultType": "spot"})
LINEAR = CcxtSpec(
    exchange_id="binanceusdm", options={"fetchMarkets": {"types": ["linear"]}}, rest_paths=("/fapi/v1", "/fapi/v2")
)
LOG = structlog.get_logger()


def spot_symbol(base: str, quote: str, tick: str, lot: str, status: str = "TRADING") -> dict[str, Any]:
    return {
        "symbol": base + quote,
        "status": status,
        "baseAsset": base,
        "quoteAsset": quote,
        "isSpotTradingAllowed": True,
        "permissions": ["SPOT"],
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "0", "tickSize": tick},
            {"filterType": "LOT_SIZE", "minQty": lot, "maxQty": "9000", "stepSize": lot},
        ],
    }


def linear_symbol(base: str, quote: str, tick: str, **more: object) -> dict[str, Any]:
    return spot_symbol(base, quote, tick, "0.001") | {
        "pair": base + quote,
        "contractType": "PERPETUAL",
        "marginAsset": quote,
        "deliveryDate": 4133404800000,
        "pricePrecision": 1,
        "quantityPrecision": 0,
        **more,
    }


def ticker(symbol: str, quote_volume: str) -> dict[str, Any]:
    return {"symbol": symbol, "lastPrice": "1", "volume": "1", "quoteVolume": quote_volume, "closeTime": 1723075203123}


ANSWERS = {
    "/api/v3/exchangeInfo": {
        "symbols": [
            spot_symbol("ADA", "USDT", "0.00010000", "0.10000000"),
            spot_symbol("BTC", "USDT", "0.01000000", "0.00001000"),
            spot_symbol("ETH", "BTC", "0.00001000", "0.00010000"),
            spot_symbol("ETH", "USDT", "0.01000000", "0.00010000"),
            spot_symbol("OLD", "USDT", "0.00000000001", "1.00000000", "BREAK"),
        ]
    },
    "/api/v3/ticker/24hr": [
        ticker("ADAUSDT", "50.5"),
        ticker("BTCUSDT", "9000"),
        ticker("ETHUSDT", "4000"),
        ticker("ETHBTC", "100000"),
        ticker("OLDUSDT", "999999"),
    ],
    "/fapi/v1/exchangeInfo": {
        "symbols": [
            linear_symbol("BTC", "USDT", "0.10"),
            linear_symbol("1000PEPE", "USDT", "0.0000001"),
            linear_symbol("BTC", "USDT", "0.10", symbol="BTCUSDT_270326", contractType="CURRENT_QUARTER")
            | {"deliveryDate": 1806019200000},
        ]
    },
}


class Exchange:
    """Answers what it has, and remembers what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = dict(ANSWERS)
        self.asked: list[str] = []
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        if request.path not in self.answers:
            return web.json_response({"code": -5000, "msg": "no such path"}, status=404)
        answer = self.answers[request.path]
        return web.Response(body=answer) if isinstance(answer, bytes) else web.json_response(answer)


@asynccontextmanager
async def exchange() -> AsyncIterator[Exchange]:
    here = Exchange()
    app = web.Application()
    app.router.add_get("/{path:.*}", here.handle)
    server = TestServer(app)
    await server.start_server()
    here.url = str(server.make_url("/"))
    try:
        yield here
    finally:
        await server.close()


# -- through ccxt ------------------------------------------------------------------------------------------------------


async def test_spot_with_volumes_through_a_child_that_leaves_no_ccxt_behind(tmp_path: Path) -> None:
    before = "ccxt" in sys.modules  # another test of this process may have brought it in
    async with exchange() as there:
        got = await load("binance", SPOT, log=LOG, rest=there.url, cache_dir=tmp_path, volumes=True)
        again = await load("binance", SPOT, log=LOG, rest=there.url, cache_dir=tmp_path, volumes=True)
    assert there.asked == ["/api/v3/exchangeInfo", "/api/v3/ticker/24hr"]  # the second time from the file
    assert list(again) == list(got)
    assert got.get("BTC/USDT") == Instrument(
        venue="binance",
        symbol="BTC/USDT",
        venue_symbol="BTCUSDT",
        base="BTC",
        quote="USDT",
        tick="0.01",
        lot="0.00001",
    )
    old = got.get("OLD/USDT")
    assert old is not None
    assert (old.active, old.tick, old.price_scale) == (False, "0.00000000001", 11)
    assert got.order == again.order == "volume_24h"
    assert got.stale_since is None
    assert ("ccxt" in sys.modules) == before
    ranked = again.select(_Ranking("USDT", 2))
    assert [one.symbol for one in ranked] == ["BTC/USDT", "ETH/USDT"]


async def test_linear_without_volumes(tmp_path: Path) -> None:
    async with exchange() as there:
        with capture_logs() as logs:
            got = await load("usdm", LINEAR, log=LOG, rest=there.url, cache_dir=tmp_path, volumes=True)
            del there.answers["/fapi/v1/exchangeInfo"]
            with pytest.raises(InstrumentsUnavailable, match="no such path"):
                await load("usdm", LINEAR, log=LOG, rest=there.url)
    assert [one.symbol for one in got] == ["BTC/USDT:USDT", "1000PEPE/USDT:USDT", "BTC/USDT:USDT-270326"]
    assert [one.venue_symbol for one in got] == ["BTCUSDT", "1000PEPEUSDT", "BTCUSDT_270326"]
    assert [one.tick for one in got] == ["0.1", "0.0000001", "0.1"]
    assert {one.contract_size for one in got} == {1.0}
    assert got.order == "listing"
    assert [one.symbol for one in got.select(_Ranking(None, 2))] == ["BTC/USDT:USDT", "1000PEPE/USDT:USDT"]
    (unranked,) = [entry for entry in logs if entry["event"] == "instruments_unranked"]
    assert "no such path" in unranked["why"]


async def test_a_child_that_hangs_is_killed() -> None:
    async def stall(request: web.Request) -> web.Response:
        await asyncio.sleep(30)
        return web.Response()

    app = web.Application()
    app.router.add_get("/{path:.*}", stall)
    server = TestServer(app)
    await server.start_server()
    with pytest.raises(InstrumentsUnavailable, match=r"within 0\.2 s"):
        await load("binance", SPOT, log=LOG, rest=str(server.make_url("/")), timeout_s=0.2)
    await server.close()


async def test_a_child_that_fails_says_why() -> None:
    spec = CcxtSpec(exchange_id="no_such_exchange", options={})
    with pytest.raises(InstrumentsUnavailable, match="no_such_exchange"):
        await load("x", spec, log=LOG, rest="http://127.0.0.1:1")


def test_importing_the_module_does_not_import_ccxt() -> None:
    code = "import sys, imbalanced.instruments, imbalanced.venues; sys.exit('ccxt' in sys.modules)"
    home = str(Path(instruments.__file__).parents[1])
    assert (
        subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": home}, check=False).returncode == 0
    )


def test_only_the_wanted_urls_are_moved() -> None:
    urls = {"public": "https://api.x.com/api/v3", "deep": {"sapi": "https://api.x.com/sapi/v1"}}
    assert moved(urls, "http://127.0.0.1:9/", ()) == {
        "public": "http://127.0.0.1:9/api/v3",
        "deep": {"sapi": "http://127.0.0.1:9/sapi/v1"},
    }
    assert moved(urls, "http://127.0.0.1:9", ("/api/v3", "/fapi/v1")) == urls | {"public": "http://127.0.0.1:9/api/v3"}


@pytest.mark.parametrize(
    ("value", "how", "expected"),
    [
        ("0.01000000", "tick", "0.01"),
        (0.00001, "tick", "0.00001"),
        (1e-10, "tick", "0.0000000001"),
        ("10", "tick", "10"),
        ("0.00000000", "tick", ""),
        (None, "tick", ""),
        ("nonsense", "tick", ""),
        (3, "places", "0.001"),
        (0, "places", "1"),
        (-1, "places", "10"),
        (5, "unknown", ""),
    ],
)
def test_ticks_are_plain_decimal_text(value: Any, how: Any, expected: str) -> None:
    market = {"symbol": "A/B", "id": "AB", "precision": {"price": value, "amount": None}}
    made = instruments.instrument("x", market, how)
    assert made.tick == expected
    assert made.lot == ""


def test_contracts_keep_their_size_and_kind() -> None:
    market = {
        "symbol": "BTC/USD:BTC",
        "id": "BTCUSD_PERP",
        "base": "BTC",
        "quote": "USD",
        "contractSize": "100",
        "inverse": True,
        "active": None,
        "precision": {},
    }
    made = instruments.instrument("x", market, "tick")
    assert (made.contract_size, made.inverse, made.active) == (100.0, True, True)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [({}, "0"), ({"wire_name": "name"}, "kAbc"), ({"wire_name": "name", "upper_case": True}, "KABC")],
)
def test_the_wire_name_is_where_the_venue_says(spec: dict[str, Any], expected: str) -> None:
    market = {"symbol": "A/B", "id": "0", "info": {"name": "kAbc"}, "precision": {}}
    told = CcxtSpec(exchange_id="x", options={}, **spec)
    assert instruments.instrument("x", market, "tick", told).venue_symbol == expected


def test_a_venues_own_record_may_be_an_array() -> None:
    market = {"symbol": "A/B", "id": "tAB", "info": [None, None, None, "0.1", "2000"], "precision": {}}
    told = CcxtSpec(exchange_id="x", options={})
    assert instruments.instrument("x", market, "unknown", told).venue_symbol == "tAB"


def test_turnover_is_in_the_quote_currency() -> None:
    assert turnover({"quoteVolume": "12.5"}) == 12.5
    assert turnover({"quoteVolume": None, "baseVolume": "3", "last": "2"}) == 6
    assert turnover({}) == 0


# -- selecting ---------------------------------------------------------------------------------------------------------


class _Ranking(msgspec.Struct, frozen=True):
    quote: str | None
    top: int


def make(symbol: str, *, active: bool = True) -> Instrument:
    base, _, rest = symbol.partition("/")
    quote = rest.partition(":")[0]
    return Instrument(
        venue="binance", symbol=symbol, venue_symbol=base + quote, base=base, quote=quote, tick="0.01", active=active
    )


LISTED = [make("BTC/USDT"), make("ETH/USDT"), make("ETH/BTC"), make("SOL/USDC"), make("DEAD/USDC", active=False)]


def test_select_keeps_the_order_asked_for_and_what_is_not_active() -> None:
    listed = Instruments("binance", LISTED)
    chosen = listed.select(("ETH/BTC", "BTC/USDT", "DEAD/USDC"))
    assert [one.symbol for one in chosen] == ["ETH/BTC", "BTC/USDT", "DEAD/USDC"]
    assert len(listed) == 5


@pytest.mark.parametrize(
    ("wrong", "near"),
    [("BTC/USD", "BTC/USDT"), ("btc/usdt", "BTC/USDT"), ("ETHUSDT", "ETH/USDT"), ("BTC/USDT:USDT", "BTC/USDT")],
)
def test_an_unknown_symbol_names_the_nearest(wrong: str, near: str) -> None:
    with pytest.raises(UnknownInstrument) as caught:
        Instruments("binance", LISTED).select(("BTC/USDT", wrong, "QQQ/ZZZ"))
    assert caught.value.nearest[wrong][0] == near
    assert str(caught.value).startswith(f"binance does not list {wrong!r} (near: {near}")
    assert "'QQQ/ZZZ' (near: nothing)" in str(caught.value)


def test_ranking_takes_the_active_of_one_quote_by_volume() -> None:
    volumes = {"BTC/USDT": 5.0, "ETH/USDT": 7.0, "DEAD/USDC": 9.0}
    listed = Instruments("binance", LISTED, volumes=volumes)
    assert [one.symbol for one in listed.select(_Ranking("USDT", 5))] == ["ETH/USDT", "BTC/USDT"]
    assert [one.symbol for one in listed.select(_Ranking("USDC", 5))] == ["SOL/USDC"]
    assert [one.symbol for one in listed.select(_Ranking(None, 3))] == ["ETH/USDT", "BTC/USDT", "ETH/BTC"]
    with pytest.raises(UnknownInstrument, match=r"\*/USDD.*USD"):
        listed.select(_Ranking("USDD", 1))


# -- the file ----------------------------------------------------------------------------------------------------------


class Venue:
    """Stands in for the child."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked = 0
        self.up = True
        self.volumes: dict[str, float] = {}
        monkeypatch.setattr(instruments, "_ask", self._ask)

    async def _ask(self, job: Any) -> Any:
        self.asked += 1
        if not self.up:
            raise InstrumentsUnavailable(f"{job.venue}: down")
        volumes = self.volumes if job.volumes else {}
        return instruments._Found(instruments=LISTED, volumes=volumes)

    async def load(self, folder: Path, **more: Any) -> Instruments:
        return await load("binance", SPOT, log=LOG, cache_dir=folder, **more)


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> Venue:
    return Venue(monkeypatch)


async def test_a_young_file_is_used_at_once(there: Venue, tmp_path: Path) -> None:
    await there.load(tmp_path / "made" / "on demand")
    got = await there.load(tmp_path / "made" / "on demand")
    assert there.asked == 1
    assert list(got) == LISTED
    assert got.stale_since is None
    assert [path.suffix for path in (tmp_path / "made" / "on demand").iterdir()] == [".json"]


async def test_an_old_file_is_used_only_when_the_venue_is_down_and_says_so(there: Venue, tmp_path: Path) -> None:
    await there.load(tmp_path)
    _age(tmp_path, 3600)
    await there.load(tmp_path, max_age_s=1800)
    assert there.asked == 2
    since = _age(tmp_path, 7200)
    there.up = False
    with capture_logs() as logs:
        got = await there.load(tmp_path, max_age_s=1800)
    assert list(got) == LISTED
    assert got.stale_since == since
    (said,) = logs
    assert (said["event"], said["log_level"], said["why"]) == ("instruments_stale", "warning", "binance: down")
    assert said["since"] == since.isoformat()


async def test_a_file_from_the_future_is_not_young(there: Venue, tmp_path: Path) -> None:
    await there.load(tmp_path)
    _age(tmp_path, -3600)
    await there.load(tmp_path)
    assert there.asked == 2


async def test_a_file_without_volumes_is_not_enough_for_a_ranking(there: Venue, tmp_path: Path) -> None:
    await there.load(tmp_path)
    assert (await there.load(tmp_path, volumes=True)).order == "listing"  # in vain, so the next one asks again
    there.volumes = {"BTC/USDT": 1.0}
    assert (await there.load(tmp_path, volumes=True)).order == "volume_24h"
    assert (await there.load(tmp_path, volumes=True)).order == "volume_24h"
    assert there.asked == 3


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text[: len(text) // 2],
        lambda text: b"",
        lambda text: b"\xff\xfe",
        lambda text: b"[1, 2, 3]",
        lambda text: text.replace(b"imbalanced instruments", b"something else"),
        lambda text: text.replace(b'"version":1', b'"version":2'),
        lambda text: text.replace(b'"venue":"binance"', b'"venue":"another"'),
        lambda text: text.replace(b'"price_scale":8', b'"price_scale":"8"'),
        lambda text: text.replace(b"spot", b"linear"),
    ],
    ids=["cut", "empty", "not text", "not ours", "format", "version", "venue", "type", "other markets"],
)
async def test_a_spoilt_or_foreign_file_is_named_and_fetched_anew(there: Venue, tmp_path: Path, spoil: Any) -> None:
    await there.load(tmp_path)
    (path,) = _files(tmp_path)
    good = path.read_bytes()
    bad = spoil(good)
    assert bad != good
    path.write_bytes(bad)
    with capture_logs() as logs:
        assert list(await there.load(tmp_path)) == LISTED
    assert there.asked == 2
    said = logs[0]
    assert (said["event"], said["log_level"], said["path"]) == ("instruments_file_unusable", "error", str(path))
    assert said["why"]
    assert msgspec.json.decode(path.read_bytes())["version"] == 1

    path.write_bytes(bad)
    there.up = False
    with pytest.raises(InstrumentsUnavailable):  # never trusted, not even now
        await there.load(tmp_path)


async def test_another_host_has_another_file(there: Venue, tmp_path: Path) -> None:
    await there.load(tmp_path)
    await there.load(tmp_path, rest="http://127.0.0.1:9")
    assert there.asked == 2
    assert len(_files(tmp_path)) == 2


async def test_a_folder_that_cannot_be_written_does_no_harm(there: Venue, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with capture_logs() as logs:
        assert len(await there.load(tmp_path / "file")) == 5
    assert "instruments_file_not_written" in [entry["event"] for entry in logs]


async def test_without_a_folder_nothing_is_kept(there: Venue) -> None:
    await load("binance", SPOT, log=LOG)
    there.up = False
    with pytest.raises(InstrumentsUnavailable, match="binance: down"):
        await load("binance", SPOT, log=LOG)


def _files(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def _age(folder: Path, seconds: int) -> datetime:
    """Makes the one file in a folder look that old; since when, then."""
    (path,) = folder.iterdir()
    kept = msgspec.json.decode(path.read_bytes())
    kept["fetched_ns"] = time.time_ns() - seconds * 1_000_000_000
    path.write_bytes(msgspec.json.encode(kept))
    return datetime.fromtimestamp(kept["fetched_ns"] / 1e9, UTC)
