"""The benchmarks run and say what they should; how fast is never tested."""

from __future__ import annotations

import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from imbalanced.venues import VENUES

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import codecs, inside, market, runs, sockets  # noqa: E402 - the folder is no installed package
from benchmarks.dialects import DIALECTS  # noqa: E402
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
        "detectors_ns": inside.detectors(updates=5, repeats=1),
    }
    assert set(told["pipeline"]["10"]) == {"us", "orjson_us", "ratio", "bytes"}
    assert {"spread", "ofi", "trade_imbalance"} <= set(told["metrics_ns"])
    assert {"order_flow_imbalance", "composite", "all"} <= set(told["detectors_ns"])
    assert set(told["detectors_ns"]["sweep"]) == {"delta", "trade"}
    text = printed(told)
    assert text.index("RATIOS") < text.index("ABSOLUTE")


def test_every_venue_of_the_table_has_a_dialect() -> None:
    assert DIALECTS.keys() == VENUES.keys(), "benchmarks/dialects.py: write how the new venue sends its book"


@pytest.mark.parametrize("venue", DIALECTS)
def test_a_book_told_in_a_dialect_is_the_markets(venue: str) -> None:
    feed = codecs.Feed(venue, DIALECTS[venue], 200)
    feed.take(feed.frames)
    assert feed.lane.valid, feed.lane.why
    scale = feed.lane.instrument.price_scale
    for ours, theirs in zip(
        (feed.lane.sync.book.bids.levels(20), feed.lane.sync.book.asks.levels(20)), feed.market.best(20), strict=True
    ):
        assert [px for px, _ in ours] == [int(Decimal(px).scaleb(scale)) for px, _ in theirs]
        worth = [size / feed.lane.instrument.contract_size for _, size in ours]
        assert feed.lane.instrument.inverse or worth == pytest.approx([float(size) for _, size in theirs])


def test_venues_have_their_shape() -> None:
    told: dict[str, Any] = {
        "compiled": True,
        "default_transport": "websockets",
        "venues": codecs.venues(frames=2, repeats=1),
    }
    assert told["venues"].keys() == VENUES.keys()
    assert all(set(one) == {"us", "orjson_us", "ratio", "bytes", "levels"} for one in told["venues"].values())
    assert printed(told).count("kraken_futures") == 2


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
