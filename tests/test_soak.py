"""The soak: what it makes of its looks at a daemon, with plain values; and a short one for real."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.soak import Sample, bases, main, printed, slope, summary

if TYPE_CHECKING:
    from pathlib import Path


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
    path = tmp_path / "soak.json"
    code = main(["--minutes", "0.07", "--symbols", "4", "--venues", "binance", "binance_usdm", "--json", str(path)])
    told = json.loads(path.read_bytes())
    said = capsys.readouterr().out
    assert said.rstrip("\n") == printed(told)
    assert (told["books"], told["unhealed"]) == (4, [])
    assert told["frames"] > 0
    # Machines are noisy: memory and lag of a few seconds are measured, not judged.
    assert code in (0, 1)
    assert told["verdict"]["every gap healed"] is True
