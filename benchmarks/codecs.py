"""What a book frame costs by venue, from its bytes to the changed book and its event, over ``orjson.loads`` of it."""

from __future__ import annotations

import gc
import time
from typing import TYPE_CHECKING, Any, Literal

import orjson

from benchmarks.dialects import DIALECTS, Dialect, written
from benchmarks.moves import T0_MS
from benchmarks.runs import quiet_collector
from imbalanced.events import Frame
from imbalanced.session import Session
from imbalanced.venues import VENUES

if TYPE_CHECKING:
    from collections.abc import Callable

NS_PER_MS = 1_000_000


class Feed:
    """A session of one venue with one proven book, and the frames that come next."""

    def __init__(self, venue: str, dialect: Dialect, count: int) -> None:
        start, frames, self.market = written(dialect, count)
        self.session = Session(VENUES[venue].codec(venue), discover=True)
        url = self.session.codec.fetch_image(dialect.symbol).url if dialect.rest else ""
        for data in start:
            kind: Literal["http", "ws"] = "http" if dialect.rest else "ws"
            self.session.receive(Frame(T0_MS * NS_PER_MS, venue, 0 if dialect.rest else 1, kind, data, url))
        self.frames = [Frame((T0_MS + i) * NS_PER_MS, venue, 1, "ws", data) for i, data in enumerate(frames, 1)]
        self.lane = self.session.lanes[dialect.symbol]

    def take(self, frames: list[Frame]) -> None:
        """As the pipeline does."""
        receive = self.session.receive
        for frame in frames:
            receive(frame)


def venues(frames: int = 1000, repeats: int = 5) -> dict[str, dict[str, float]]:
    """Microseconds a frame of every venue of the table; the best of some parts, each seen for the first time."""
    told: dict[str, dict[str, float]] = {}
    for venue in VENUES:
        dialect = DIALECTS[venue]
        feed = Feed(venue, dialect, frames * (repeats + 1))
        quiet_collector()
        ours, json = float("inf"), float("inf")
        for repeat in range(repeats + 1):
            part = feed.frames[repeat * frames : (repeat + 1) * frames]
            json_us = _cpu_us(_loads, part)
            ours_us = _cpu_us(feed.take, part)
            if repeat:  # the first warms up
                ours, json = min(ours, ours_us), min(json, json_us)
        gc.unfreeze()
        size = sum(len(frame.data) for frame in feed.frames) / len(feed.frames)
        told[venue] = {"us": ours, "orjson_us": json, "ratio": ours / json, "bytes": size, "levels": dialect.told}
    return told


def _loads(frames: list[Frame]) -> None:
    loads = orjson.loads
    for frame in frames:
        loads(frame.data)


def _cpu_us(work: Callable[[list[Frame]], Any], frames: list[Frame]) -> float:
    started = time.process_time_ns()
    work(frames)
    return (time.process_time_ns() - started) / len(frames) / 1000
