"""Costs without a socket: the pipeline by frame size, every metric and detector by itself, memory, the collector's
pauses.
"""

from __future__ import annotations

import gc
import resource
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import orjson

from benchmarks import market, runs
from imbalanced.book import Book, Rows
from imbalanced.config import DEFAULT_DETECTORS, Tables, load
from imbalanced.detect import DETECTORS, FILTERS
from imbalanced.detect.across import Floor
from imbalanced.detect.cohorts import Cohorts
from imbalanced.detect.desk import Desk, takes
from imbalanced.detect.standing import Standing
from imbalanced.events import Instrument
from imbalanced.metrics import METRICS
from imbalanced.metrics.metric import Grid, make
from imbalanced.pipeline import furnish
from imbalanced.venues import VENUES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imbalanced.events import Frame
    from imbalanced.metrics.metric import Metric

ROOT = Path(__file__).parent.parent
SIZES = (10, 30, 100, 1000)
# Metrics whose options have no defaults.
NEEDED: dict[str, dict[str, Any]] = {"effective_mid": {"size": "1"}}


def pipeline(sizes: Sequence[int] = SIZES, frames: int = 3000, repeats: int = 5) -> dict[str, dict[str, float]]:
    """``Pipeline.feed`` of a frame against ``orjson.loads`` of the same frame, both seeing it for the first time."""
    told: dict[str, dict[str, float]] = {}
    for levels in sizes:
        count = max(frames * 30 // max(levels, 30), 1)
        raw = market.depth_frames(0, (repeats + 1) * count, levels)
        frames_in = [runs.frame(data, i) for i, data in enumerate(raw)]
        running = runs.proven()
        runs.quiet_collector()
        ours, json = float("inf"), float("inf")
        for repeat in range(repeats + 1):
            part = frames_in[repeat * count : (repeat + 1) * count]
            json_us = _cpu_us(lambda one=part: _loads(one), count)
            ours_us = _cpu_us(lambda one=part, fed=running: runs.feed_all(fed, one), count)
            if repeat:  # the first warms up
                ours, json = min(ours, ours_us), min(json, json_us)
        gc.unfreeze()
        told[str(levels)] = {"us": ours, "orjson_us": json, "ratio": ours / json, "bytes": len(raw[-1])}
    return told


def _loads(frames: list[Frame]) -> None:
    loads = orjson.loads
    for frame in frames:
        loads(frame.data)


def _cpu_us(work: Any, count: int) -> float:
    started = time.process_time_ns()
    work()
    return (time.process_time_ns() - started) / count / 1000


def metrics(updates: int = 2000, repeats: int = 5) -> dict[str, float]:
    """Nanoseconds per 30-level update of each metric that sees books or trades, beyond those of a desk without it."""
    changes = _changes(updates)
    told: dict[str, float] = {}
    for name, kind in METRICS.items():
        try:
            options = msgspec.convert(NEEDED.get(name, {}), kind.Options, strict=False)
            metric = make(kind, options, Grid(8, Decimal("0.01")))
        except (msgspec.ValidationError, TypeError, ValueError):
            continue  # needs a model or a table; none of those is on the hot path
        of_trades = not takes(metric, "book")
        if of_trades and not takes(metric, "trade"):
            continue
        one, none = float("inf"), float("inf")
        for _ in range(repeats):
            none = min(none, _desk_ns(Desk([], []), changes, trades=of_trades))
            one = min(
                one, _desk_ns(Desk([make(kind, options, Grid(8, Decimal("0.01")))], []), changes, trades=of_trades)
            )
        told[name] = max(one - none, 0.0)
    return {**told, **_filters(changes, repeats)}


def detectors(updates: int = 2000, repeats: int = 5) -> dict[str, dict[str, float]]:
    """Nanoseconds per 30-level update, and per trade, of each kind with its own metrics, beyond those of a desk without
    it; ``all`` are the default ones together. Nothing crosses a threshold: this is what waiting costs.
    """
    changes = _changes(updates)
    given = [dict(one) for one in DEFAULT_DETECTORS]
    told: dict[str, dict[str, float]] = {}
    for name, kinds in [*((str(one["kind"]), [one]) for one in given), ("all", given)]:
        told[name] = {}
        for what in ("delta", "trade"):
            trades = what == "trade"
            one, none = float("inf"), float("inf")
            for _ in range(repeats):
                none = min(none, _desk_ns(Desk([], []), changes, trades=trades))
                one = min(one, _desk_ns(_waiting(kinds), changes, trades=trades))
            told[name][what] = max(one - none, 0.0)
    return told


def _waiting(kinds: list[dict[str, object]]) -> Desk:
    """A desk of these kinds whose thresholds nothing reaches; another instrument of the asset stands beside it."""
    tables = Tables(venues=VENUES, metrics=METRICS, detectors=DETECTORS, filters=FILTERS)
    text = {"venues": {"binance": {}}, "metrics": [], "filters": "off", "detectors": kinds}
    config = load(orjson.dumps(text).decode(), tables, environ={}, read_text=_no_file)
    floor = Floor()
    for symbol in ("AAA/USDC", "AAA/USDT"):
        instrument = Instrument(venue="binance", symbol=symbol, venue_symbol=symbol, tick="0.01")
        desk, _, _ = furnish(config, "binance", instrument, floor)
    for detector in desk.detectors:
        detector.lifecycle.on = 1e9
    return desk


def _no_file(path: str) -> str:
    raise OSError(f"{path}: a benchmark reads no files")


def _filters(changes: list[Rows], repeats: int) -> dict[str, float]:
    """The same for what the filters `flicker` and `spoof` remember, and for the aged depth of a detector."""
    told: dict[str, float] = {}
    for name, aged in (("cohorts (filters flicker, spoof)", False), ("cohorts and aged depth", True)):
        one, none = float("inf"), float("inf")
        for _ in range(repeats):
            cohorts = Cohorts()
            kept: list[Metric] = [cohorts, Standing(cohorts, Decimal(10), 10_000, eager=True)] if aged else [cohorts]
            none = min(none, _desk_ns(Desk([], []), changes, trades=False))
            one = min(one, _desk_ns(Desk([], [], kept=kept), changes, trades=False))
        told[name] = max(one - none, 0.0)
    return told


def _changes(count: int) -> list[Rows]:
    codec = runs.proven().sessions["binance"].codec
    changes: list[Rows] = []
    for i, data in enumerate(market.depth_frames(0, count)):
        diff: Any = codec.decode(runs.frame(data, i))[0]
        changes.append(diff.rows.copy())
    return changes


def _book() -> Book:
    lane = runs.proven().sessions["binance"].lane_of(market.symbol(0))
    assert lane is not None
    return lane.sync.book


def _desk_ns(desk: Desk, changes: list[Rows], *, trades: bool) -> float:
    """Changes are applied outside of the clock, in small batches."""
    book = _book()
    now_ns = runs.START_NS
    desk.book_replaced(book, now_ns, now_ns)
    spent = 0
    px = book.asks.px_at(0)
    for i, rows in enumerate(changes):
        now_ns += market.FRAME_MS * runs.NS_PER_MS
        if not trades:
            book.apply(rows)
        started = time.perf_counter_ns()
        if trades:
            desk.trade(px, 0.5, 1 - 2 * (i & 1), now_ns, now_ns)
        else:
            desk.book_changed(book, now_ns, now_ns)
        spent += time.perf_counter_ns() - started
    return spent / len(changes)


def memory(symbols: int = 500) -> dict[str, float]:
    """Bytes a book of 1,000 levels a side, and the resident size of a process with so many books and all metrics."""
    command = [sys.executable, "-m", "benchmarks.inside", str(symbols)]
    told: dict[str, float] = orjson.loads(
        subprocess.run(command, capture_output=True, check=True, cwd=ROOT, text=True).stdout
    )
    return told


def _memory(symbols: int) -> dict[str, float]:
    rows = _image_rows()
    before = _rss()
    books = []
    for _ in range(symbols):
        book = Book()
        book.replace(rows)
        books.append(book)
    per_book = (_rss() - before) / symbols
    del books
    gc.collect()
    before = _rss()
    pipeline = runs.proven(symbols)
    frames = market.depth_frames(0, 100)
    runs.feed_all(pipeline, [runs.frame(data, i) for i, data in enumerate(frames)])
    return {
        "bytes_per_book": per_book,
        "bytes_per_symbol": (_rss() - before) / symbols,
        "symbols": symbols,
        "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _image_rows() -> Rows:
    book = _book()
    rows = Rows(2 * market.IMAGE_LEVELS)
    for px, size in book.bids.levels(market.IMAGE_LEVELS):
        rows.add(px, size)
    rows.end_bids()
    for px, size in book.asks.levels(market.IMAGE_LEVELS):
        rows.add(px, size)
    return rows


def _rss() -> int:
    """Resident bytes now (Linux); the peak where there is no /proc."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return pages * resource.getpagesize()


if __name__ == "__main__":
    print(orjson.dumps(_memory(int(sys.argv[1]))).decode())
