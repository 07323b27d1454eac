"""The report on recordings: returns by hand, intervals that cover, placebos that kill, words that claim no more."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.captures_report import bootstrap, figures, words  # noqa: E402 - no installed package
from benchmarks.captures_report.__main__ import report  # noqa: E402
from benchmarks.captures_report.observe import Observed, Opened, Touch, attempts, digest, observed  # noqa: E402
from benchmarks.planted.runs import write  # noqa: E402
from benchmarks.planted.venue import Seed  # noqa: E402
from imbalanced.metrics import evaluate  # noqa: E402

S = 1_000_000_000
CAPTURES = ROOT.parent / "shared" / "captures"
REAL = CAPTURES / "binance_usdm-btcusdt-20230404.jsonl.gz"
WITHOUT_SNAPSHOT = CAPTURES / "binance-btcusdt-20230405.jsonl.gz"


def touch(*states: tuple[float, float, float]) -> Touch:
    """(seconds, bid, ask)"""
    one = Touch()
    for t, bid, ask in states:
        one.add(int(t * S), bid, ask)
    one.end()
    return one


def forward(one: Touch, t: float, side: int, latency_ms: int = 50, horizon_ms: int = 1000) -> tuple[float, float]:
    got = figures.forward(one, np.array([t * S]), np.array([float(side)]), latency_ms, horizon_ms)
    return float(got.gross[0]), float(got.cross[0])


# -- returns -----------------------------------------------------------------------------------------------------------

MOVING = ((0, 99.0, 101.0), (1.05, 100.0, 102.0), (2.05, 109.0, 111.0), (9, 109.0, 111.0))


def test_entry_is_after_the_latency_and_exit_a_horizon_later() -> None:
    gross, cross = forward(touch(*MOVING), 1.0, 1)
    assert gross == pytest.approx((110 - 101) / 101 * 1e4)
    assert cross == pytest.approx((109 - 102) / 102 * 1e4), "bought at the ask, sold at the bid"
    gross, cross = forward(touch(*MOVING), 1.0, -1)
    assert gross == pytest.approx(-(110 - 101) / 101 * 1e4)
    assert cross == pytest.approx((100 - 111) / 100 * 1e4)


def test_a_signal_without_side_has_the_absolute_move_and_no_cross() -> None:
    gross, cross = forward(touch((0, 109, 111), (1.5, 99, 101), (9, 99, 101)), 1.0, 0)
    assert gross == pytest.approx(10 / 110 * 1e4)
    assert math.isnan(cross)


def test_there_is_no_grade_before_the_book_after_the_tape_or_across_a_gap() -> None:
    assert math.isnan(forward(touch((1, 99, 101), (9, 99, 101)), 0.5, 1)[0])
    assert math.isnan(forward(touch((0, 99, 101), (1.5, 99, 101)), 1.0, 1)[0])
    lost = touch((0, 99, 101), (9, 99, 101))
    lost.lost_ns.append(2 * S)
    assert math.isnan(forward(lost, 1.0, 1)[0])
    assert not math.isnan(forward(lost, 0.5, 1)[0])
    assert not math.isnan(forward(lost, 2.5, 1)[0])
    assert math.isnan(float(touch().at(np.array([1.0]))[0][0]))


def test_returns_are_those_of_the_metric() -> None:
    dice = np.random.default_rng(5)
    mids = 100 + np.cumsum(dice.normal(size=60)) * 0.01
    states = [(0.1 * i, mid - 0.5, mid + 0.5) for i, mid in enumerate(mids)]
    events: list[dict[str, Any]] = [
        {"type": "value", "ts_ms": 100 * i, "x": repr(float(mid))} for i, mid in enumerate(mids)
    ]
    events += [{"type": "signal", "ts_ms": 100 * i, "x": "1"} for i in range(0, 60, 7)]
    told = evaluate("forward_return", {"latency_ms": 50, "horizon_ms": 1000}, events)[60:]
    for i, row in zip(range(0, 60, 7), told, strict=True):
        ours = forward(touch(*states), 0.1 * i, 1)[0]
        assert (row is None) == math.isnan(ours)
        if row is not None:
            assert ours == pytest.approx(row["gross_bps"])


# -- the bootstrap -----------------------------------------------------------------------------------------------------


def test_blocks_are_runs_around_the_circle_of_the_mean_length_asked_for() -> None:
    dice = np.random.default_rng(1)
    drawn = bootstrap.stationary_indices(20_000, 25.0, dice)
    steps = (np.diff(drawn) % 20_000) == 1
    assert ((drawn >= 0) & (drawn < 20_000)).all()
    assert 20 < 20_000 / (~steps).sum() < 31
    assert (bootstrap.stationary_indices(50, 1e12, dice) != -1).all()
    whole = bootstrap.stationary_indices(50, 1e12, np.random.default_rng(2))
    assert sorted(whole) == list(range(50)), "one block is the whole circle"


def test_the_seed_decides_and_nothing_else() -> None:
    sums, counts = np.arange(600.0), np.ones(600)
    assert bootstrap.mean_interval(sums, counts, 60, 7) == bootstrap.mean_interval(sums, counts, 60, 7)
    assert bootstrap.mean_interval(sums, counts, 60, 7) != bootstrap.mean_interval(sums, counts, 60, 8)


def test_too_little_gives_no_interval() -> None:
    assert bootstrap.mean_interval(np.zeros(0), np.zeros(0), 60, 1).n == 0
    assert bootstrap.mean_interval(np.ones(119), np.ones(119), 60, 1).low is None, "fewer than two blocks"
    assert bootstrap.mean_interval(np.ones(120), np.ones(120), 60, 1).low == 1.0
    few = np.zeros(600)
    few[:9] = 1.0
    assert bootstrap.mean_interval(few, few, 60, 1).low is None, "nine values"
    assert bootstrap.correlation_interval(np.ones(9), np.ones(9), 60, 1).low is None


def test_clustered_outcomes_widen_the_interval_and_it_still_covers() -> None:
    """A hundred series whose minutes share their luck: iid errors would cover about half of them."""
    covered = clustered_wider = 0
    for seed in range(100):
        dice = np.random.default_rng(seed)
        luck = np.repeat(dice.normal(size=60), 60)
        values = luck + dice.normal(size=3600)
        interval = bootstrap.mean_interval(values, np.ones(3600), 120.0, seed, draws=200)
        naive = bootstrap.mean_interval(values, np.ones(3600), 1.0, seed, draws=200)
        assert interval.low is not None
        assert interval.high is not None
        assert naive.low is not None
        assert naive.high is not None
        covered += interval.low <= 0 <= interval.high
        clustered_wider += interval.high - interval.low > 2 * (naive.high - naive.low)
    assert covered >= 78
    assert clustered_wider >= 95


def test_values_fall_into_their_bins() -> None:
    sums, counts = bootstrap.binned(
        np.array([0.0, 0.5 * S, 2.0 * S, 9.9 * S]), np.array([1.0, 2.0, 4.0, 8.0]), 0, 3 * S
    )
    assert sums.tolist() == [3, 0, 12]
    assert counts.tolist() == [2, 0, 2]
    assert (bootstrap.mean_block_s(1.0), bootstrap.mean_block_s(30.0)) == (60.0, 300.0)


# -- the placebo -------------------------------------------------------------------------------------------------------


def edged(seed: int, edge_bps: float) -> Observed:
    """Half an hour in which each signal's side is that of the next move, on the average by so much."""
    dice = np.random.default_rng(seed)
    one = Observed("made", "venue", "A/USDT", seed, begin_ns=0, end_ns=1800 * S)
    mid = 10_000.0
    states = []
    for i in range(0, 1800, 3):
        side = 1 if dice.random() < 0.5 else -1
        one.opens.append(Opened("order_flow_imbalance", side, i * S, 1000))
        states.append((i, mid - 0.5, mid + 0.5))
        mid *= 1 + (side * edge_bps + dice.normal()) * 1e-4
        states.append((i + 0.5, mid - 0.5, mid + 0.5))
    one.touch = touch(*states)
    return one


def test_an_edge_is_seen_and_flipping_the_sides_per_minute_kills_it() -> None:
    told = figures.told([edged(1, 0.5)], cost_bps=0.1)["kinds"]["order_flow_imbalance"]
    gross, placebo = told["returns"]["50"]["1000"]["gross_bps"], told["placebo"]["1000"]
    assert gross["low"] > 0.3
    assert abs(placebo["mean_bps"]) < 0.05
    assert placebo["low_bps"] < 0 < placebo["high_bps"] < gross["mean"]
    assert "above the cost" in words.verdict(told, 0.1)
    assert "no trade by itself" in words.verdict(told, 4.0)


def test_no_edge_is_called_none() -> None:
    told = figures.told([edged(2, 0.0)], cost_bps=0.1)["kinds"]["order_flow_imbalance"]
    gross = told["returns"]["50"]["1000"]["gross_bps"]
    assert gross["low"] < 0 < gross["high"]
    assert "not surely above 0" in words.verdict(told, 0.1)


def test_an_edge_of_one_minute_is_not_taken_for_one() -> None:
    """All of the gain in a single block: flipped sides give as much, half of the time."""
    one = edged(3, 0.0)
    one.opens = [Opened("order_flow_imbalance", 1, (600 + i) * S, 1000) for i in range(40)]
    one.touch = touch(
        *[(i * 0.5, 10_000 + max(0, i - 1200) - 0.5, 10_000 + max(0, i - 1200) + 0.5) for i in range(3600)]
    )
    told = figures.told([one], cost_bps=0.1)["kinds"]["order_flow_imbalance"]
    assert told["returns"]["50"]["1000"]["gross_bps"]["mean"] > 1
    assert "flipped sides" in words.verdict(told, 0.1) or "not surely" in words.verdict(told, 0.1)


def test_signs_are_one_per_block_and_fair() -> None:
    times = np.arange(0, 6000) * float(S)
    signs = bootstrap.flipped_signs(times, 0, 60.0, np.random.default_rng(3)).reshape(100, 60)
    assert set(np.unique(signs)) == {-1.0, 1.0}
    assert (np.abs(signs.sum(1)) == 60).all()
    assert 25 < (signs[:, 0] > 0).sum() < 75
    assert len(bootstrap.flipped_signs(np.zeros(0), 0, 60.0, np.random.default_rng(3))) == 0


@pytest.mark.skipif(not REAL.exists(), reason="the recordings do not come with the repository")
def test_on_a_real_recording_the_flow_explains_and_the_flipped_flow_does_not() -> None:
    told = figures.told(observed(REAL), cost_bps=4.0)
    same = told["information"]["ofi"]["same_1s"]
    assert same["low"] > 0.3
    assert abs(same["flipped"]["mean"]) < 0.1
    assert same["flipped"]["high"] < same["low"]


# -- from a recording to the page --------------------------------------------------------------------------------------


def test_attempts_are_runs_of_refusals_by_the_filter_that_spoke_first() -> None:
    refused = [(0, "spread"), (S // 2, "rate"), (5 * S, "rate"), (10 * S, "spread")]
    assert attempts(refused, []) == ({"spread": 2, "rate": 1}, 0)
    assert attempts(refused, [S]) == ({"spread": 1, "rate": 1}, 1), "it opened after all, only later"


def test_a_recording_gives_the_same_report_twice_and_a_page_without_paths(tmp_path: Path) -> None:
    path = tmp_path / "planted.jsonl.gz"
    write(list(Seed(1002, calm_s=100.0, counts={"informed": 1}).frames()), path)
    told = report([path])
    assert told == report([path])
    assert digest(path) == digest(path)
    assert [one["instrument"] for one in told["recordings"]] == ["AAAUSDT", "AAAUSDC"]
    assert told["together"]["hours"] * 3600 == pytest.approx(2 * 140, rel=0.2)
    page = words.markdown(told)
    assert str(tmp_path) not in page
    assert "## Verdicts" in page
    assert "aggressive_order_flow" in page


@pytest.mark.skipif(not WITHOUT_SNAPSHOT.exists(), reason="the recordings do not come with the repository")
def test_a_recording_without_a_proven_book_is_named_and_gives_nothing() -> None:
    told = report([WITHOUT_SNAPSHOT])
    assert told["recordings"] == []
    assert told["together"]["kinds"] == {}
    assert "binance-btcusdt-20230405" in words.markdown(told)
