"""The benchmarks run and say what they should; how fast is never tested."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import inside, market, runs, sockets  # noqa: E402 - the folder is no installed package
from benchmarks.report import printed  # noqa: E402


def test_frames_are_contiguous_and_followed() -> None:
    pipeline = runs.proven(symbols=2)
    frames = [runs.frame(data, i) for i, data in enumerate(market.mixed_frames(2, 40))]
    runs.feed_all(pipeline, frames)
    lanes = pipeline.sessions["binance"].lanes.values()
    assert all(lane.valid and lane.sync.book.ok() for lane in lanes)
    # 20 changes each, and the replacement by the snapshot.
    assert [seat.desk.updates for seat in pipeline.seats.values()] == [21, 21]
    assert [len(seat.desk.metrics) for seat in pipeline.seats.values()] == [11, 11]


def test_a_frame_of_30_levels_is_as_large_as_the_venues() -> None:
    assert 1050 <= len(market.depth_frames(0, 2)[1]) <= 1150


def test_parts_without_sockets_have_their_shape() -> None:
    told: dict[str, Any] = {
        "compiled": True,
        "default_transport": "websockets",
        "pipeline": inside.pipeline(sizes=(10,), frames=20, repeats=1),
        "metrics_ns": inside.metrics(updates=5, repeats=1),
    }
    assert set(told["pipeline"]["10"]) == {"us", "orjson_us", "ratio", "bytes"}
    assert {"spread", "ofi", "trade_imbalance"} <= set(told["metrics_ns"])
    text = printed(told)
    assert text.index("RATIOS") < text.index("ABSOLUTE")


@pytest.mark.parametrize("mode", ["full", "paced"])
def test_end_to_end_has_its_shape(mode: str) -> None:
    told = sockets.compared(
        ["floor", "ours:websockets", "cryptofeed"], symbols=2, frames=100, mode=mode, rate=2000.0, repeats=1
    )
    assert told["floor"]["ratio"] == 1.0
    assert {"us", "ratio", "gc_over_5_ms", "gc_longest_ms"} <= set(told["ours:websockets"])
    assert set(told["cryptofeed"]) == {"skipped"}
    if mode == "paced":
        assert set(told["ours:websockets"]["latency"]) == {"p50_us", "p99_us", "p999_us", "most_us"}
