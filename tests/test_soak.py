"""The soak: what it makes of its looks at a daemon, with plain values; and a short one for real."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from benchmarks import exchanges, soak
from benchmarks.soak import REPORT, Sample, bases, main, on_frames, printed, slope, summary


def sample(at_s: float, **changes: Any) -> Sample:
    fields: dict[str, Any] = {
        "rss_mb": 100.0,
        "loop_lag_ms": 1.0,
        "books": 10,
        "live": 10,
        "frames": at_s * 50,
        "gaps": {},
    }
    return Sample(at_s=at_s, **{**fields, **changes})


def verdict(samples: list[Sample], unhealed: tuple[str, ...] = ()) -> list[bool]:
    return list(summary(samples, unhealed, 1.0)["verdict"].values())


def test_a_quiet_run_holds() -> None:
    told = summary([sample(float(at)) for at in range(100)], [], 2.0)
    assert list(told["verdict"].values()) == [True, True, True]
    assert (told["live_share"], told["frames_per_s"], told["memory"]["growth_mb"]) == (1.0, 50.0, 0.0)


def test_memory_may_grow_while_it_warms_up_and_not_after() -> None:
    early = [sample(float(at), rss_mb=min(50.0 + 3 * at, 120.0)) for at in range(100)]
    assert verdict(early) == [True, True, True]
    late = [sample(float(at), rss_mb=100.0 + 0.2 * at) for at in range(100)]
    assert verdict(late) == [False, True, True]
    assert summary(late, [], 1.0)["memory"]["slope_mb_per_h"] == pytest.approx(720.0)


def test_a_book_that_did_not_come_back_fails_the_run() -> None:
    assert verdict([sample(0.0), sample(1.0)], ("binance BTC/USDT",)) == [True, False, True]


def test_a_loop_that_is_late_fails_the_run() -> None:
    few = [sample(float(at), loop_lag_ms=50.0 if at % 200 == 0 else 1.0) for at in range(1000)]
    assert verdict(few) == [True, True, True], "0.5 % of the time is beyond the 99th percentile"
    often = [sample(float(at), loop_lag_ms=50.0 if at % 20 == 0 else 1.0) for at in range(1000)]
    assert verdict(often) == [True, True, False]


def test_a_message_that_a_whole_socket_misses_is_dropped_as_much_more_rarely() -> None:
    rules = {
        (one["fault"], one["venue"]): one["probability"]
        for one in on_frames(("okx", "bitfinex", "bitfinex_orders"), 10)
    }
    assert {fault for fault, _ in rules} == {"drop", "duplicate", "reorder", "garbage", "delay"}
    for fault in ("drop", "delay"):
        assert rules[fault, "bitfinex_orders"] == pytest.approx(rules[fault, "okx"] / 100), "of ten books"
        assert rules[fault, "bitfinex"] == pytest.approx(rules[fault, "okx"] / 10)


def test_the_share_of_proven_books_is_over_all_looks() -> None:
    told = summary([sample(0.0), sample(1.0, live=5, gaps={"sequence_gap": 5.0})], [], 1.0)
    assert told["live_share"] == 0.75
    assert told["gaps"] == {"sequence_gap": 5}


def test_the_slope_of_a_line() -> None:
    assert slope([(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)]) == 2.0
    assert slope([(1.0, 5.0)]) == 0.0


def test_names_of_coins_are_as_many_as_wanted_and_no_two_alike() -> None:
    assert len(set(bases(700))) == 700


def test_a_short_soak_for_real(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "new" / "soak.json"
    two = ["--venues", "binance", "binance_usdm", "--processes", "2"]
    code = main(["--minutes", "0.07", "--symbols", "4", *two, "--json", str(path)])
    told = json.loads(path.read_bytes())
    said = capsys.readouterr()
    assert said.out.rstrip("\n") == printed(told)
    assert said.err.endswith(f"report left in {path}\n")
    assert (told["books"], told["unhealed"]) == (4, [])
    assert told["frames"] > 0
    # Machines are noisy: memory and lag of a few seconds are measured, not judged.
    assert code in (0, 1)
    assert told["verdict"]["every gap healed"] is True


def test_the_report_is_left_in_a_file_unless_another_is_named() -> None:
    assert Path("var/soak.json") == REPORT


def test_faults_are_counted_over_all_processes() -> None:
    async def struck() -> tuple[set[str], dict[str, int], dict[str, int]]:
        async with exchanges.running(("binance", "gate"), ("AAA/USDT",), 2) as running, ClientSession() as http:
            await running.inject({"fault": "http", "status": 503})
            for venue, path in (
                ("binance", "/api/v3/depth?symbol=AAAUSDT"),
                ("gate", "/api/v4/spot/order_book?currency_pair=AAA_USDT"),
            ):
                async with http.get(running.endpoints[venue]["rest"] + path) as answer:
                    await answer.read()
            one_each = await running.injected()
            await running.clear()
            return set(running.endpoints), one_each, await running.injected()

    venues, counted, after = asyncio.run(struck())
    assert venues == {"binance", "gate"}
    assert counted == after == {"http": 2}, "each process has struck"


def test_a_daemon_that_dies_at_start_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def wrong(*_: object) -> str:
        return "venues: {nowhere: {}}"

    monkeypatch.setattr(soak, "configuration", wrong)
    path = tmp_path / "soak.json"
    assert main(["--minutes", "0.01", "--symbols", "1", "--venues", "binance", "--json", str(path)]) == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("soak: the daemon ended with code 2 before it listened: ")
    assert "nowhere" in line
    assert not path.exists()
