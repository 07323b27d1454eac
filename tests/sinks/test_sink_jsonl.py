"""The file of JSON Lines: the journal's bytes, resumed from its own last line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sink_helpers import running, signal

from imbalanced.sinks import Batch, Hub, JsonlOptions, JsonlSink, SinkMisconfigured, SinkUnavailable

if TYPE_CHECKING:
    from pathlib import Path

    from imbalanced.journal import Journal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "signals.jsonl"


def contents(path: Path) -> bytes:
    return path.read_bytes()


def put(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)


def texts(journal: Journal) -> bytes:
    return b"".join(entry.text + b"\n" for entry in journal.read(1))


@pytest.mark.parametrize("fsync", [False, True])
async def test_goes_on_where_the_file_ends(journal: Journal, hub: Hub, path: Path, fsync: bool) -> None:
    options = JsonlOptions(path=str(path), fsync=fsync)
    for start in (0, 3):
        journal.append([signal(n) for n in range(start, start + 3)])
        async with running(JsonlSink(options, journal, hub), journal, hub):
            pass
    assert contents(path) == texts(journal)


async def test_half_a_line_is_cut_off(journal: Journal, hub: Hub, path: Path) -> None:
    journal.append([signal(1), signal(2)])
    whole = texts(journal)
    put(path, whole[: len(whole) - 20])
    async with running(JsonlSink(JsonlOptions(path=str(path)), journal, hub), journal, hub):
        pass
    assert contents(path) == whole


@pytest.mark.parametrize("content", [b"time,price\n1,2\n", b"x" * (1 << 21)])
async def test_a_file_of_something_else_is_left_alone(journal: Journal, hub: Hub, path: Path, content: bytes) -> None:
    put(path, content)
    sink = JsonlSink(JsonlOptions(path=str(path)), journal, hub)
    with pytest.raises(SinkMisconfigured):
        await sink.open()
    await sink.close()
    assert contents(path) == content


async def test_a_path_that_cannot_be_written(journal: Journal, hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(SinkUnavailable, match="unwritable"):
        await JsonlSink(JsonlOptions(path=str(tmp_path)), journal, hub).open()


async def test_a_full_disk_is_a_condition(journal: Journal, hub: Hub) -> None:
    journal.append([signal(1)])
    sink = JsonlSink(JsonlOptions(path="/dev/full"), journal, hub)
    await sink.open()
    with pytest.raises(SinkUnavailable, match="No space left"):
        await sink.write(Batch(journal.read(1)))
    await sink.close()


async def test_writing_when_not_open(journal: Journal, hub: Hub, path: Path) -> None:
    with pytest.raises(SinkUnavailable, match="not open"):
        await JsonlSink(JsonlOptions(path=str(path)), journal, hub).write(Batch())
