"""The verb ``replay``: files in, files out, a bar on a terminal."""

from __future__ import annotations

import sys
import time
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import msgspec
import orjson
from msgspec import Struct, structs
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from imbalanced import tape
from imbalanced.config import Config, Tables, load
from imbalanced.events import Frame, Instrument, MetricSnapshot, Signal
from imbalanced.jsontext import signal_json, snapshot_json
from imbalanced.pipeline import Pipeline
from imbalanced.replay import Tally, with_timers

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# So often the bar is moved, in records.
BAR_EVERY = 500


class Outputs(Struct, frozen=True, kw_only=True):
    """Where to write what; None is nowhere, ``-`` is stdout."""

    signals: str | None
    metrics: str | None
    books: str | None
    checkpoints: tuple[int, ...]

    def places(self) -> str:
        """Where results go, in words; empty where none do."""
        named = {"signals": self.signals, "metrics": self.metrics, "books": self.books}
        return ", ".join(f"{what}: {'stdout' if to == '-' else to}" for what, to in named.items() if to is not None)


def default_config(captures: Sequence[Path], tables: Tables) -> Config:
    """Default metrics and detectors for every venue in these recordings."""
    venues: dict[str, set[str]] = {}
    for path in captures:
        for frame in tape.read(path):
            if frame.venue:
                symbols = venues.setdefault(frame.venue, set())
                if frame.kind == "instruments":
                    symbols.update(i.symbol for i in msgspec.json.decode(frame.data, type=list[Instrument]))
    unknown = sorted(set(venues) - set(tables.venues))
    if unknown:
        raise tape.TapeError(str(captures[0]), 0, f"venue {unknown[0]!r} is none of {', '.join(tables.venues)}")
    if not venues:
        raise tape.TapeError(str(captures[0]), 0, "the recording is empty")
    named = {venue: {"instruments": sorted(symbols) or ["ANY/ANY"]} for venue, symbols in venues.items()}
    return load(orjson.dumps({"venues": named}).decode(), tables, environ={}, read_text=_no_file)


def _no_file(path: str) -> str:
    raise OSError(f"{path}: no file is read for a replay without a configuration")


def replay_files(
    captures: Sequence[Path], config: Config | None, tables: Tables, outputs: Outputs, *, progress: bool
) -> str:
    """Replay these files one after the other as one recording; answers the summary."""
    own = all(tape.is_own(path) for path in captures)
    discover = config is None and not own
    pipeline = Pipeline(config or default_config(captures, tables), discover=discover)
    run = _Run(pipeline, outputs, captures[0].name)
    started = time.perf_counter()
    with ExitStack() as stack:
        run.open(stack)
        frames = _with_bar(stack, captures) if progress and Console(stderr=True).is_terminal else _frames(captures)
        try:
            for number, frame, made in with_timers(frames, pipeline, own=own):
                run.take(number, frame, made)
        finally:
            # What was read before a record that cannot be read stands.
            run.finish()
    return run.summary(time.perf_counter() - started)


def _frames(captures: Sequence[Path]) -> Iterator[Frame]:
    for path in captures:
        yield from tape.read(path)


def _with_bar(stack: ExitStack, captures: Sequence[Path]) -> Iterator[Frame]:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = stack.enter_context(Progress(*columns, console=console, transient=True))
    for path in captures:
        total = sum(1 for _ in tape.read(path))
        task = bar.add_task(path.name, total=total)
        for number, frame in enumerate(tape.read(path)):
            if number % BAR_EVERY == 0:
                bar.update(task, completed=number)
            yield frame
        bar.update(task, completed=total)


class _Run:
    def __init__(self, pipeline: Pipeline, outputs: Outputs, name: str) -> None:
        self._pipeline, self._outputs, self._name = pipeline, outputs, name
        self._tally = Tally(pipeline)
        self._wanted = set(outputs.checkpoints)
        self._checkpoints: list[dict[str, Any]] = []
        self._records = 0
        self._last_ns = 0
        self._seq = 0
        self._signals: BinaryIO | None = None
        self._metrics: BinaryIO | None = None

    def open(self, stack: ExitStack) -> None:
        self._signals = _opened(self._outputs.signals, stack)
        self._metrics = _opened(self._outputs.metrics, stack)

    def take(self, number: int, frame: Frame, made: list[Any]) -> None:
        if self._outputs.books is not None:
            self._tally.see(made)
        for output in made:
            kind = type(output)
            if kind is Signal:
                self._seq += 1
                if self._signals is not None:
                    self._signals.write(signal_json(structs.replace(output, seq=self._seq)) + b"\n")
            elif kind is MetricSnapshot and self._metrics is not None:
                self._metrics.write(snapshot_json(output) + b"\n")
        if number >= 0:
            self._records += 1
            self._last_ns = frame.recv_ns
            if number in self._wanted:
                self._checkpoints.append(self._state(number))

    def _state(self, number: int) -> dict[str, Any]:
        return {"index": number, "ts": self._last_ns / 1e9, "symbols": self._tally.symbols()}

    def finish(self) -> None:
        if self._outputs.books is None:
            return
        told = {
            "capture": self._name,
            "records": self._records,
            "final": self._state(self._records - 1),
            "checkpoints": self._checkpoints,
        }
        with ExitStack() as stack:
            file = _opened(self._outputs.books, stack)
            if file is not None:
                file.write(orjson.dumps(told) + b"\n")

    def summary(self, seconds: float) -> str:
        lanes = [lane for session in self._pipeline.sessions.values() for lane in session.lanes.values()]
        live = sum(lane.valid for lane in lanes)
        rate = self._records / seconds if seconds else 0.0
        return (
            f"{self._records} records in {seconds:.2f} s ({rate:,.0f}/s); {live} of {len(lanes)} books live at the end; "
            f"{self._seq} signal messages" + (f"; {places}" if (places := self._outputs.places()) else "")
        )


class _Beside(AbstractContextManager[BinaryIO]):
    """A file that gets its name when it is complete."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = path.with_name(path.name + ".part")

    def __enter__(self) -> BinaryIO:
        self._file = self._part.open("wb")
        return self._file

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._part.replace(self._path)


def _opened(target: str | None, stack: ExitStack) -> BinaryIO | None:
    return None if target is None else stack.enter_context(written(target))


def written(target: str) -> AbstractContextManager[BinaryIO]:
    """To be written to: stdout for ``-``, else a file that gets its name when it is complete."""
    return nullcontext(sys.stdout.buffer) if target == "-" else _Beside(Path(target))
