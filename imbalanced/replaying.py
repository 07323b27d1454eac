"""The verb ``replay``: files in, files out, a bar on a terminal."""

from __future__ import annotations

import sys
import time
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import msgspec
import orjson
from msgspec import Struct, structs
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from imbalanced import calibrations, tape
from imbalanced.config import Config, Tables, load
from imbalanced.events import Explained, Frame, Graded, Instrument, MetricSnapshot, Signal
from imbalanced.journal import About, Entry, entry_of
from imbalanced.jsontext import signal_json, snapshot_json
from imbalanced.pipeline import Pipeline
from imbalanced.replay import Tally, with_timers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

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


def recorded_names(tables: Tables) -> dict[str, str]:
    """Our venue behind a name that other recorders gave it: what the venues say of themselves in ``recorded_as``.

    A name that is a venue of ours means that venue, whoever else claims it.
    """
    return {
        name: venue
        for venue, one in tables.venues.items()
        for name in getattr(one, "recorded_as", ())
        if name not in tables.venues
    }


def read_as_ours(path: Path, names: Mapping[str, str]) -> Iterator[Frame]:
    """The frames of a recording under the names that our venues have."""
    for frame in tape.read(path):
        venue = names.get(frame.venue)
        yield frame if venue is None else structs.replace(frame, venue=venue)


def default_config(captures: Sequence[Path], tables: Tables) -> Config:
    """Default metrics and detectors for every venue in these recordings."""
    venues: dict[str, set[str]] = {}
    names = recorded_names(tables)
    for path in captures:
        try:
            for frame in read_as_ours(path, names):
                if frame.venue:
                    symbols = venues.setdefault(frame.venue, set())
                    if frame.kind == "instruments":
                        symbols.update(i.symbol for i in msgspec.json.decode(frame.data, type=list[Instrument]))
        except tape.TapeError:
            if not venues:
                raise
            break  # the replay comes to the same record, and tells of it when all before it is done
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
    """Replay these files one after the other; answers the summary. Each run of our own begins anew, as it did then."""
    chosen = config or default_config(captures, tables)
    names = recorded_names(tables)
    told = _Run(outputs, captures[0].name)
    started = time.perf_counter()
    with ExitStack() as stack:
        told.open(stack)
        bar = _bar(stack) if progress and Console(stderr=True).is_terminal else None
        try:
            for run in runs(captures, chosen, discover=config is None):
                told.begin(run.pipeline, run.first_seq)
                for number, frame, made in run.feed(_frames(run.files, bar, names)):
                    told.take(number, frame, made)
        finally:
            # What was read before a record that cannot be read stands.
            told.finish()
    told.check(str(captures[0]))
    return told.summary(time.perf_counter() - started)


def explain_files(id_: str, captures: Sequence[Path], config: Config | None, tables: Tables) -> About | None:
    """One signal with everything about it, as these files give it; None when they do not. Reads no further than it
    must.
    """
    chosen = config or default_config(captures, tables)
    names = recorded_names(tables)
    entries: list[Entry] = []
    explanation: Explained | None = None
    grades: list[Graded] = []
    for run in runs(captures, chosen, discover=config is None):
        seq, ungraded = run.first_seq - 1, False
        for _, _, made in run.feed(_frames(run.files, None, names)):
            for output in made:
                kind = type(output)
                seq += kind is Signal
                if getattr(output, "id", None) != id_:
                    continue
                if kind is Signal:
                    entries.append(entry_of(structs.replace(output, seq=seq)))
                elif kind is Explained:
                    explanation = output
                elif kind is Graded:
                    grades.append(output)
                else:
                    ungraded = True
            horizons_ms = {*chosen.grading.horizons_ms, explanation.options["horizon_ms"]} if explanation else ()
            closed = bool(entries) and entries[-1].event == "close"
            if closed and (ungraded or len(grades) >= len(horizons_ms)):
                break
        if entries:
            return About(entries=entries, explanation=explanation, grades=grades)
    return None


class Run(NamedTuple):
    """One run on recordings: its files, the ``seq`` of its first signal, the pipeline that it is fed to, and whether
    the recording is ours, with its timers on it.
    """

    files: list[Path]
    first_seq: int
    pipeline: Pipeline
    own: bool

    def feed(self, frames: Iterable[Frame]) -> Iterator[tuple[int, Frame, list[Any]]]:
        """See :func:`imbalanced.replay.with_timers`."""
        return with_timers(frames, self.pipeline, own=self.own)


def runs(captures: Sequence[Path], config: Config, *, discover: bool) -> Iterator[Run]:
    """Each run, begun as it began then; files that are not ours are one recording. ``discover``: where they have no
    listing, take instruments from the frames.
    """
    heads = [tape.head(path) for path in captures]
    own = None not in heads
    for files, head in _by_run(captures, heads):
        name = (head.calibration or "none") if own and head else None
        began = calibrations.load(config.grading.calibration, name)
        pipeline = Pipeline(config, discover=discover and not own, calibration=began)
        yield Run(files, head.seq if head else 1, pipeline, own)


def _by_run(captures: Sequence[Path], heads: Sequence[tape.Head | None]) -> list[tuple[list[Path], tape.Head | None]]:
    """The files of each run with the head of the first."""
    found: list[tuple[list[Path], tape.Head | None]] = []
    for path, head in zip(captures, heads, strict=True):
        if not found or (None not in heads and head is not None and head.begins):
            found.append(([], head))
        found[-1][0].append(path)
    return found


def _bar(stack: ExitStack) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return stack.enter_context(Progress(*columns, console=Console(stderr=True), transient=True))


def _frames(captures: Sequence[Path], bar: Progress | None, names: Mapping[str, str]) -> Iterator[Frame]:
    for path in captures:
        if bar is None:
            yield from read_as_ours(path, names)
            continue
        task = bar.add_task(path.name, total=_count(path))
        for number, frame in enumerate(read_as_ours(path, names)):
            if number % BAR_EVERY == 0:
                bar.update(task, completed=number)
            yield frame
        bar.update(task, completed=bar.tasks[task].total)


def _count(path: Path) -> int:
    """How many records can be read."""
    count = 0
    with suppress(tape.TapeError):
        for _ in tape.read(path):
            count += 1
    return count


class _Run:
    """What all runs together gave; books and their counters are those of the last."""

    def __init__(self, outputs: Outputs, name: str) -> None:
        self._outputs, self._name = outputs, name
        self._pipeline: Pipeline | None = None
        self._tally: Tally | None = None
        self._wanted = set(outputs.checkpoints)
        self._checkpoints: list[dict[str, Any]] = []
        self._records = 0
        self._last_ns = 0
        self._seq = 0
        self._said = 0
        self._signals: BinaryIO | None = None
        self._metrics: BinaryIO | None = None

    def open(self, stack: ExitStack) -> None:
        self._signals = _opened(self._outputs.signals, stack)
        self._metrics = _opened(self._outputs.metrics, stack)

    def begin(self, pipeline: Pipeline, seq: int) -> None:
        self._pipeline, self._tally, self._seq = pipeline, Tally(pipeline), seq - 1

    def take(self, number: int, frame: Frame, made: list[Any]) -> None:
        if self._outputs.books is not None and self._tally is not None:
            self._tally.see(made)
        for output in made:
            kind = type(output)
            if kind is Signal:
                self._seq += 1
                self._said += 1
                if self._signals is not None:
                    self._signals.write(signal_json(structs.replace(output, seq=self._seq)) + b"\n")
            elif kind is MetricSnapshot and self._metrics is not None:
                self._metrics.write(snapshot_json(output) + b"\n")
        if number >= 0:
            self._last_ns = frame.recv_ns
            if self._records in self._wanted:
                self._checkpoints.append(self._state(self._records))
            self._records += 1

    def _state(self, number: int) -> dict[str, Any]:
        return {"index": number, "ts": self._last_ns / 1e9, "symbols": self._tally.symbols() if self._tally else {}}

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

    def check(self, path: str) -> None:
        """TapeError where the recording has books, and none of them is one that is configured."""
        sessions = list(self._pipeline.sessions.values()) if self._pipeline else []
        there = sorted({name for session in sessions for name in session.books.passed_over.values()})
        if there and not any(session.lanes for session in sessions):
            raise tape.TapeError(path, 0, f"none of the configured instruments is in it; it has {', '.join(there)}")

    def summary(self, seconds: float) -> str:
        sessions = self._pipeline.sessions.values() if self._pipeline else ()
        lanes = [lane for session in sessions for lane in session.lanes.values()]
        live = sum(lane.valid for lane in lanes)
        rate = self._records / seconds if seconds else 0.0
        return (
            f"{self._records} records in {seconds:.2f} s ({rate:,.0f}/s); "
            f"{live} of {len(lanes)} books live at the end; "
            f"{self._said} signal messages" + (f"; {places}" if (places := self._outputs.places()) else "")
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
