"""The scribe over real journals: nobody hears what the disk does not have, nothing is lost, a refusal ends the run."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest
from test_journal import DAY_NS, closed, opened

from imbalanced import scribe
from imbalanced.events import Graded
from imbalanced.journal import Batch, Journal, JournalFailed, JournalFull
from imbalanced.scribe import Scribe

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class Slow(Journal):
    """A journal on a disk that is held back until it is let go."""

    gate: threading.Event

    def write(self, batches: Sequence[Batch]) -> None:
        self.gate.wait(10)
        super().write(batches)


def slow(path: Path) -> Slow:
    journal = Slow.open(path)
    assert isinstance(journal, Slow)
    journal.gate = threading.Event()
    return journal


async def test_nobody_hears_of_a_signal_before_the_disk_has_it(tmp_path: Path) -> None:
    journal = slow(tmp_path / "journal.sqlite")
    told: list[tuple[int, int]] = []
    writer = Scribe(journal, lambda batch: told.append((batch.signals[0].seq, journal.last_seq)))
    writer.say([opened(1)])
    await asyncio.sleep(0.05)
    assert (journal.last_seq, journal.next_seq, journal.read(1), told) == (0, 2, [], [])
    journal.gate.set()
    await writer.drain()
    assert (journal.last_seq, [entry.seq for entry in journal.read(1)], told) == (1, [1], [(1, 1)])
    journal.close()


async def test_what_is_said_during_a_write_goes_with_the_next_in_order(tmp_path: Path) -> None:
    journal = slow(tmp_path / "journal.sqlite")
    told: list[int] = []
    writer = Scribe(journal, lambda batch: told.extend(one.seq for one in batch.signals))
    for number in range(1, 51):
        writer.say([opened(number)])
        writer.say([closed(number)], (), [graded(number)])
        await asyncio.sleep(0)
    journal.gate.set()
    await writer.drain()
    assert told == list(range(1, 101))
    assert journal.verify() == []
    about = journal.about(f"{7:016x}")
    assert about is not None
    assert [entry.event for entry in about.entries] == ["open", "close"]
    assert [one.net for one in about.grades] == [0.07]
    journal.close()


def graded(number: int) -> Graded:
    place = {"venue": "binance", "instrument": "BTC/USDT", "kind": "sweep"}
    return Graded(id=f"{number:016x}", recv_ns=1, horizon_ms=1000, gross=0.1, net=number / 100, **place)


async def test_each_write_begins_where_the_last_one_ended(tmp_path: Path) -> None:
    """Said just when a write has ended, nothing may lie about until somebody says something more."""
    journal = Journal.open(tmp_path / "journal.sqlite")
    writer = Scribe(journal, lambda batch: writer.say([closed(1)]) if batch.signals[0].event == "open" else None)
    writer.say([opened(1)])
    await writer.drain()
    assert journal.last_seq == 2
    journal.close()


async def test_a_full_disk_ends_the_run_and_leaves_no_hole(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    journal = Journal.open(path)
    journal.append([opened(1)])
    pages = journal._writer.execute("PRAGMA page_count").fetchone()[0]
    journal._writer.execute(f"PRAGMA max_page_count = {pages}")
    told: list[int] = []
    writer = Scribe(journal, lambda batch: told.append(len(batch.signals)))
    writer.say([opened(number) for number in range(2, 200)])
    with pytest.raises(JournalFull, match="the disk is full"):
        await writer.failing()
    journal._writer.execute("PRAGMA max_page_count = 1000000")
    writer.say([opened(500)])  # the run is about to end: this one has a place behind what was refused
    await writer.drain()
    assert told == []
    journal.close()
    again = Journal.open(path)
    assert (again.last_seq, again.next_seq, again.verify()) == (1, 2, [])
    again.close()


async def test_a_disk_that_falls_too_far_behind_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scribe, "MOST_WAITING", 3)
    journal = slow(tmp_path / "journal.sqlite")
    writer = Scribe(journal, lambda batch: None)
    for number in range(1, 4):
        writer.say([opened(number)])
    with pytest.raises(JournalFailed, match="3 writes behind"):
        writer.say([opened(4)])
    journal.gate.set()
    await writer.drain()
    journal.close()


async def test_in_memory_it_is_written_at_once() -> None:
    journal = Journal.open(None)
    told: list[int] = []
    writer = Scribe(journal, lambda batch: told.append(journal.last_seq))
    writer.say([opened(1), opened(2)])
    assert told == [2]
    journal.close()


async def test_forgetting_waits_for_the_write_and_keeps_what_is_open(tmp_path: Path) -> None:
    journal = slow(tmp_path / "journal.sqlite")
    writer = Scribe(journal, lambda batch: None)
    writer.say([opened(1, recv_ns=1), closed(1, recv_ns=2), opened(2, recv_ns=3), opened(3, recv_ns=4)])
    forgetting = asyncio.create_task(writer.prune(100 * DAY_NS))
    await asyncio.sleep(0.02)
    assert not forgetting.done()
    journal.gate.set()
    assert await forgetting == 2
    assert (journal.oldest_seq, [entry.seq for entry in journal.read(3)]) == (3, [3, 4])
    journal.close()
