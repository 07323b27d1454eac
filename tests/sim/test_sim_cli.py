"""The verb `sim`: one JSON line, orderly end, usage errors as exit code 2."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import aiohttp
import pytest
from click.testing import CliRunner

from imbalanced.sim.cli import sim_command

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_prints_one_line_serves_and_ends_well(tmp_path: Path, number: signal.Signals) -> None:
    faults = tmp_path / "faults.yaml"
    faults.write_text("- {fault: drop, venue: binance, after: 1}\n")
    options = ["--venue", "binance", "okx", "--venue", "binance_usdm", "--symbols", "BTC/USDT", "--faults", str(faults)]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "imbalanced.sim",
        *options,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    line = json.loads(await asyncio.wait_for(process.stdout.readline(), 20))
    assert list(line["venues"]) == ["binance", "binance_usdm", "okx"]
    where = line["venues"]["binance"]
    async with aiohttp.ClientSession() as session:
        async with session.get(where["rest"] + "/api/v3/ping") as answer:
            assert answer.status == 200
        async with session.ws_connect(where["ws"] + "/ws/btcusdt@depth@100ms") as socket:
            await socket.receive(10)
            process.send_signal(number)
            while not socket.closed:
                await socket.receive(10)
    rest, log = await asyncio.wait_for(process.communicate(), 20)
    assert (process.returncode, rest) == (0, b"")
    assert b"fault drop venue=binance stream=btcusdt@depth@100ms frame=1 " in log


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "give --venue"),
        (["--capture", "x.gz", "okx"], "venues follow --venue, not okx"),
        (["--venue", "okx", "mtgox"], "venue 'mtgox' has no simulator"),
        (["--venue", "okx", "kraken", "--faults", "CHECKSUM"], "`checksum` for 'okx': none of okx, kraken sends one"),
        (["--venue", "mtgox"], "venue 'mtgox' has no simulator"),
        (["--venue", "binance", "--symbols", "BTCUSDT"], "expected BASE/QUOTE"),
        (["--venue", "binance", "--faults", "missing.yaml"], "missing.yaml"),
        (["--capture", "missing.gz"], "missing.gz: No such file"),
        (["--venue", "binance", "--speed", "-1"], "--speed"),
    ],
)
def test_wrong_usage_is_exit_2_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "CHECKSUM").write_text("- {fault: checksum, venue: okx}\n")
    result = CliRunner().invoke(sim_command, options)
    assert result.exit_code == 2
    assert said in result.output


def test_a_wrong_faults_file_is_exit_2(tmp_path: Path) -> None:
    path = tmp_path / "faults.yaml"
    path.write_text("- {fault: drop}\n- {fault: melt}\n")
    result = CliRunner().invoke(sim_command, ["--venue", "binance", "--faults", str(path)])
    assert result.exit_code == 2
    assert "fault 2: Invalid enum value 'melt'" in result.output
