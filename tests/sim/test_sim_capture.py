"""Recordings played back byte for byte, and recordings that cannot be played."""

from __future__ import annotations

import asyncio
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from imbalanced.sim import PLAYERS
from imbalanced.sim.capture import CaptureError, load, records
from imbalanced.sim.venue import Stream

SHARED = Path(__file__).parents[2].parent / "shared" / "captures"
SNAPSHOT = '{"lastUpdateId": 100, "E": 5, "T": 4, "bids": [["61800.20", "2.909"]], "asks": [["61800.30", "0.010"]]}'


def depth(first: int, last: int, previous: int) -> str:
    return (
        f'{{"e":"depthUpdate","E":{last},"T":{last},"s":"BTCUSDT","U":{first},"u":{last},"pu":{previous},'
        f'"b":[["61800.10","0.{last:03d}"]],"a":[]}}'
    )


def trade(number: int) -> str:
    return (
        f'{{"e":"trade","E":{number},"T":{number},"s":"BTCUSDT","t":{number},"p":"61800.20","q":"0.006",'
        '"X":"MARKET","m":true}'
    )


def ws(ts: float, name: str, payload: str) -> dict[str, object]:
    data = f'{{"stream":"{name}","data":{payload}}}'
    url = "wss://fstream.binance.com/stream"
    return {"ts": ts, "venue": "binance_usdm", "conn": 1, "dir": "in", "kind": "ws", "url": url, "data": data}


def http(ts: float, symbol: str, data: str) -> dict[str, object]:
    url = f"https://fapi.binance.com/fapi/v1/depth?symbol={symbol}&limit=1000"
    return {"ts": ts, "venue": "binance_usdm", "conn": 0, "dir": "in", "kind": "http", "url": url, "data": data}


RECORDS: list[dict[str, object]] = [
    ws(10.0, "btcusdt@depth@0ms", depth(90, 95, 80)),
    ws(10.1, "btcusdt@trade", trade(1)),
    ws(10.2, "btcusdt@depth@0ms", depth(97, 103, 95)),
    http(10.3, "BTCUSDT", SNAPSHOT),
    http(99.0, "BTCUSDT", SNAPSHOT.replace("100", "999")),
    ws(10.4, "btcusdt@trade", trade(2)),
    ws(10.5, "ethusdt@depth@0ms", depth(201, 203, 199).replace("BTCUSDT", "ETHUSDT")),
    ws(10.6, "btcusdt@depth@0ms", depth(110, 120, 103)),
]


def write(path: Path, lines: list[dict[str, object]]) -> Path:
    with gzip.open(path, "wt", encoding="utf-8") as out:
        out.writelines(json.dumps(line) + "\n" for line in lines)
    return path


@pytest.fixture
def tape(tmp_path: Path) -> Path:
    return write(tmp_path / "tape.jsonl.gz", RECORDS)


async def test_frames_come_byte_for_byte_to_whoever_asked_for_their_kind(
    simulate: Any, connect: Any, get: Any, tape: Path
) -> None:
    running = await simulate(capture=tape, speed=0.0)
    recorded = [str(line["data"]) for line in RECORDS if line["kind"] == "ws"]
    async with (
        connect(running, "binance_usdm", "/public/stream") as public,
        connect(running, "binance_usdm", "/market/ws/btcusdt@aggTrade") as market,
    ):
        await public.ask("SUBSCRIBE", "btcusdt@depth@100ms", "btcusdt@bookTicker")
        got = [await asyncio.wait_for(public.raw.recv(), 10) for _ in range(3)]
        assert got == [text for text in recorded if "btcusdt@depth" in text]
        bare = [await asyncio.wait_for(market.raw.recv(), 10) for _ in range(2)]
        assert bare == [trade(1), trade(2)]
        assert await public.silence(0.1) == []
        assert (await public.ask("LIST_SUBSCRIPTIONS", id=5))["id"] == 5
    status, body, _ = await get(running, "binance_usdm", "/fapi/v1/depth?symbol=BTCUSDT&limit=1000")
    assert (status, body) == (200, json.loads(SNAPSHOT))


async def test_a_raw_socket_is_sent_the_inner_payload(simulate: Any, connect: Any, tape: Path) -> None:
    running = await simulate(capture=tape, speed=100.0)
    async with connect(running, "binance_usdm", "/public/ws/btcusdt@depth") as socket:
        assert await asyncio.wait_for(socket.raw.recv(), 10) == depth(90, 95, 80)


async def test_play_waits_for_a_book_subscription(simulate: Any, connect: Any, tape: Path) -> None:
    running = await simulate(capture=tape, speed=0.0)
    async with connect(running, "binance_usdm", "/public/stream") as socket:
        await socket.ask("SUBSCRIBE", "btcusdt@trade")
        assert await socket.silence(0.7) == []
        await socket.ask("SUBSCRIBE", "btcusdt@depth@0ms", id=2)
        assert (await socket.next())["data"]["u"] == 95


async def test_a_symbol_without_a_snapshot_is_an_error_and_others_are_not_listed(
    simulate: Any, get: Any, tape: Path
) -> None:
    running = await simulate(capture=tape)
    status, body, _ = await get(running, "binance_usdm", "/fapi/v1/depth?symbol=ETHUSDT")
    assert (status, body["code"]) == (400, -1000)
    status, body, _ = await get(running, "binance_usdm", "/fapi/v1/depth?symbol=SOLUSDT")
    assert (status, body["code"]) == (400, -1121)
    _, body, _ = await get(running, "binance_usdm", "/fapi/v1/exchangeInfo")
    listed = {entry["symbol"]: entry for entry in body["symbols"]}
    assert sorted(listed) == ["BTCUSDT", "ETHUSDT"]
    assert listed["BTCUSDT"]["pricePrecision"] == 2
    assert {item["filterType"]: item for item in listed["BTCUSDT"]["filters"]}["PRICE_FILTER"]["tickSize"] == "0.10"
    assert listed["BTCUSDT"]["quantityPrecision"] == 3


async def test_a_recorded_instrument_list_is_cut_down_to_the_recording(simulate: Any, get: Any, tmp_path: Path) -> None:
    venue = PLAYERS["binance_usdm"]
    info = venue.wire.info(venue.listings(["BTC/USDT", "ETH/USDT", "SOL/USDT"]), 1)
    line = http(9.0, "", info) | {"url": "https://fapi.binance.com/fapi/v1/exchangeInfo"}
    running = await simulate(capture=write(tmp_path / "listed.jsonl.gz", [line, *RECORDS]))
    _, body, _ = await get(running, "binance_usdm", "/fapi/v1/exchangeInfo")
    assert [entry["symbol"] for entry in body["symbols"]] == ["BTCUSDT", "ETHUSDT"]
    assert body["serverTime"] == 1


async def test_a_stale_snapshot_of_a_recording_is_older_than_its_stream(simulate: Any, get: Any, tape: Path) -> None:
    running = await simulate(capture=tape)
    running.inject({"fault": "stale_snapshot"})
    _, body, _ = await get(running, "binance_usdm", "/fapi/v1/depth?symbol=BTCUSDT")
    assert body["lastUpdateId"] == 1


def test_streams_are_matched_by_symbol_and_kind(tape: Path) -> None:
    played = load(tape, PLAYERS)["binance_usdm"]
    assert played.resolve(Stream("BTCUSDT", "depth", 250)) == Stream("BTCUSDT", "depth", 0)
    assert played.resolve(Stream("BTCUSDT", "agg_trade")) == Stream("BTCUSDT", "trade")
    assert played.resolve(Stream("BTCUSDT", "bbo")) is None
    assert played.resolve(Stream("SOLUSDT", "depth")) is None


def broken(tmp_path: Path, text: str) -> str:
    path = tmp_path / "broken.jsonl.gz"
    path.write_bytes(gzip.compress((json.dumps(RECORDS[0]) + "\n" + text).encode()))
    with pytest.raises(CaptureError) as refused:
        load(path, PLAYERS)
    return str(refused.value)


def test_broken_records_are_named_by_number(tmp_path: Path) -> None:
    assert broken(tmp_path, "{").startswith("broken.jsonl.gz: record 1: not a JSON line")
    assert broken(tmp_path, "[]") == "broken.jsonl.gz: record 1: expected an object, got list"
    assert broken(tmp_path, "{}") == "broken.jsonl.gz: record 1: field `venue` is None, expected text"
    assert "record 1: field `ts` is 'now'" in broken(tmp_path, json.dumps(RECORDS[1] | {"ts": "now"}))
    foreign = broken(tmp_path, json.dumps(RECORDS[1] | {"venue": "mtgox"}))
    assert foreign.startswith("broken.jsonl.gz: record 1: venue 'mtgox' has no player (binance, ")
    no_frame = broken(tmp_path, json.dumps(RECORDS[1] | {"data": "not json"}))
    assert "record 1: no binance_usdm frame" in no_frame


def test_a_cut_off_file_is_named_with_the_record_it_breaks_at(tmp_path: Path, tape: Path) -> None:
    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(tape.read_bytes()[:-20])
    with pytest.raises(CaptureError, match=r"cut.jsonl.gz: record \d+: the file is cut off or no gzip text"):
        list(records(cut))
    cut.write_text("plain text")
    with pytest.raises(CaptureError, match=r"record 0: the file is cut off or no gzip text"):
        list(records(cut))
    with pytest.raises(CaptureError, match=r"missing.gz: No such file"):
        list(records(tmp_path / "missing.gz"))


async def test_a_venue_that_was_not_recorded_is_refused(simulate: Any, tape: Path) -> None:
    with pytest.raises(ValueError, match=r"tape.jsonl.gz has nothing of binance, only of binance_usdm"):
        await simulate("binance", capture=tape)


@pytest.mark.parametrize("name", ["binance-20210417", "binance_us-20211012", "binance_usdm-20210722-a"])
async def test_real_recordings_play_to_a_proven_book(
    simulate: Any, connect: Any, get: Any, local_book: Any, name: str
) -> None:
    path = SHARED / f"{name}.jsonl.gz"
    if not path.exists():
        pytest.skip(f"the recording {name} is not beside the repository")
    venue = name.partition("-")[0]
    futures = venue == "binance_usdm"
    running = await simulate(capture=path, speed=0.0)
    rest = "/fapi/v1/" if futures else "/api/v3/"
    _, info, _ = await get(running, venue, rest + "exchangeInfo")
    symbols = [entry["symbol"] for entry in info["symbols"]]
    truth = json.loads((SHARED / f"{name}.truth.json").read_text())["final"]["symbols"]
    assert sorted(symbols) == sorted(truth)
    books: dict[str, Any] = {}
    for symbol in symbols:
        status, image, _ = await get(running, venue, f"{rest}depth?symbol={symbol}&limit=1000")
        assert status == 200
        books[symbol] = local_book(futures)
        books[symbol].snapshot(image)
    names = "/".join(f"{symbol.lower()}@depth@100ms" for symbol in symbols)
    async with connect(running, venue, ("/public" if futures else "") + "/stream?streams=" + names) as socket:
        await socket.next()
        await socket.silence(0.6)
    for message in socket.seen:
        books[message["data"]["s"]].apply(message["data"])
    for symbol, book in books.items():
        assert len(book.bids()) == truth[symbol]["n_bids"], symbol
        assert len(book.asks()) == truth[symbol]["n_asks"], symbol
