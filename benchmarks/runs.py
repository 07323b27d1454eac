"""A pipeline with the eleven metrics, ready to be fed: its book proven, its collector quiet."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import orjson

from benchmarks import market
from imbalanced.config import Tables, load
from imbalanced.detect import DETECTORS, FILTERS
from imbalanced.events import Frame
from imbalanced.metrics import METRICS
from imbalanced.pipeline import Pipeline
from imbalanced.venues import VENUES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from imbalanced.config import Config

NS_PER_MS = 1_000_000
# Before the first frame of the market, so that the snapshot is not older than the socket.
START_NS = market.T0_MS * NS_PER_MS

ELEVEN: list[dict[str, Any]] = [
    {"metric": "depth_imbalance", "levels": 5},
    {"metric": "band_imbalance", "bps": 10},
    {"metric": "weighted_mid"},
    {"metric": "spread"},
    {"metric": "spread_roc", "horizon": "1s"},
    {"metric": "queue_imbalance"},
    {"metric": "ofi", "window": "1s"},
    {"metric": "ofi", "window": "10s", "name": "ofi_10s"},
    {"metric": "ofi_ratio", "window": "2s"},
    {"metric": "trade_imbalance", "window": "2s"},
    {"metric": "vwap_deviation", "window": "1m"},
]


def config(
    metrics: list[dict[str, Any]] | None = None, *, rest: str = "http://127.0.0.1:1", ws: str = "ws://x"
) -> Config:
    """Binance spot with these metrics (the eleven where none are given) and no detectors."""
    text = {
        "venues": {"binance": {"instruments": [market.symbol(0)], "endpoints": {"rest": rest, "ws": ws}}},
        "metrics": ELEVEN if metrics is None else metrics,
        "detectors": [],
    }
    return load(
        orjson.dumps(text).decode(),
        Tables(venues=VENUES, metrics=METRICS, detectors=DETECTORS, filters=FILTERS),
        environ={},
        read_text=_no_file,
    )


def _no_file(path: str) -> str:
    raise OSError(f"{path}: a benchmark reads no files")


def frame(data: bytes, number: int, conn: int = 1) -> Frame:
    """The n-th frame from the socket."""
    return Frame(START_NS + (number + 1) * market.FRAME_MS * NS_PER_MS, "binance", conn, "ws", data)


def proven(
    symbols: int = 1, metrics: list[dict[str, Any]] | None = None, levels: int = market.IMAGE_LEVELS
) -> Pipeline:
    """A pipeline whose books are live."""
    pipeline = Pipeline(config(metrics))
    pipeline.feed(Frame(START_NS, "binance", 0, "instruments", market.instruments(symbols)))
    pipeline.feed(Frame(START_NS, "binance", 1, "open", b""))
    for number in range(symbols):
        url = f"http://127.0.0.1:1/api/v3/depth?symbol={market.venue_symbol(number)}&limit=1000"
        pipeline.feed(Frame(START_NS, "binance", 0, "http", market.image(number, levels), url))
    pipeline.commands()
    return pipeline


def feed_all(pipeline: Pipeline, frames: Iterable[Frame]) -> None:
    """As a daemon does: feed, take the commands."""
    feed, commands = pipeline.feed, pipeline.commands
    for one in frames:
        feed(one)
        commands()


def quiet_collector() -> None:
    """What is there now is not walked again, as the daemon does once it is ready."""
    gc.collect()
    gc.freeze()
