"""The live table of a run in a terminal."""

from __future__ import annotations

import asyncio
import io
from typing import TYPE_CHECKING

from daemons import config_text, inside, simulation, until
from rich.console import Console

from imbalanced import live

if TYPE_CHECKING:
    from pathlib import Path

    import pytest
    from rich.console import RenderableType

USDM, BTC = "binance_usdm", "BTC/USDT:USDT"


def drawn(table: RenderableType) -> str:
    console = Console(file=io.StringIO(), width=200, no_color=True)
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_numbers_have_a_sign_and_a_dash_stands_for_unknown() -> None:
    assert [str(live.number(x)) for x in (1.5, -0.25, 0.0, None)] == ["+1.500", "-0.250", "+0.000", "–"]
    assert [live.number(x).style for x in (1.5, -0.25, 0.0)] == ["green", "red", ""]


async def test_it_shows_books_values_and_the_last_signals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with simulation(USDM) as market, inside(config_text(tmp_path, market.endpoints), monkeypatch) as daemon:
        assert "venue" in drawn(live.table_of(daemon.service))
        await daemon.ready()
        await until(lambda: len(daemon.texts()) >= 10, "signals")
        await until(lambda: len(list(daemon.service.hub.snapshots())) == 2, "snapshots")
        books = drawn(live.table_of(daemon.service))
        assert f"{USDM}  {BTC}" in books
        assert books.count("live") == 2
        signals = drawn(live.signals_of(daemon.service, 5)).splitlines()
        assert signals[0].startswith("signals")
        assert len(signals) == 2 + 5
        newest = int(signals[2].split()[2])
        assert [int(line.split()[2]) for line in signals[2:]] == list(range(newest, newest - 5, -1))
        assert all("▲ buy" in line or "▼ sell" in line for line in signals[2:])
        market.inject({"fault": "drop", "stream": "btcusdt@depth"})
        await until(lambda: "sequence_gap" in drawn(live.table_of(daemon.service)), "the reason in place of live")


async def test_it_draws_until_it_is_cancelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "REFRESH_S", 0.01)
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    assert isinstance(console.file, io.StringIO)
    async with simulation(USDM) as market, inside(config_text(tmp_path, market.endpoints), monkeypatch) as daemon:
        task = asyncio.create_task(live.show(daemon.service, console))
        await until(lambda: "BTC/USDT:USDT" in console.file.getvalue(), "a drawing")  # type: ignore[attr-defined]
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
