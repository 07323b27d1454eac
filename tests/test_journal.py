"""The journal on real files: places without holes, atomic appends, pruning, and every way to be refused."""

from __future__ import annotations

import math
import os
import sqlite3
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from imbalanced.events import (
    BookInvalid,
    Explained,
    FilterAnswer,
    GapKind,
    Graded,
    LinkUp,
    MetricSnapshot,
    Notice,
    Proof,
    Signal,
    StreamState,
    Trade,
)
from imbalanced.journal import (
    Journal,
    JournalForeign,
    JournalFull,
    JournalLocked,
    JournalUnwritable,
    new_epoch,
)
from imbalanced.jsontext import BadSignal, NotFinite, signal_from_json, signal_json, snapshot_json, status_json

if TYPE_CHECKING:
    from pathlib import Path

# The example of interface.md, without the blanks.
EXAMPLE = (
    b'{"v":1,"seq":184,"id":"9f3c2a71d0b4e866","event":"open","kind":"order_flow_imbalance","side":"buy",'
    b'"venue":"binance_usdm","instrument":"BTC/USDT:USDT","ts_ns":1723075203123000000,"recv_ns":1723075203124512000,'
    b'"strength":0.83,"score":3.4,"confidence":null,"mid":"61659.75","horizon_ms":1000,'
    b'"evidence":{"ofi_z":3.4,"queue_imbalance":0.62},"proof":{"book_seq":4711,"book_age_ms":81234,'
    b'"checks":["sequence"],"gaps_1h":0},"reason":null,"config":"3f2a"}'
)
DAY_NS = 86_400 * 10**9


def signal(**changes: Any) -> Signal:
    return structs.replace(signal_from_json(EXAMPLE), seq=0, **changes)


def opened(number: int, **changes: Any) -> Signal:
    return signal(id=f"{number:016x}", **changes)


def closed(number: int, **changes: Any) -> Signal:
    return opened(number, event="close", reason="faded", **changes)


class TestJsonText:
    def test_the_example_is_written_to_the_byte(self) -> None:
        assert signal_json(signal_from_json(EXAMPLE)) == EXAMPLE

    def test_event_lag_is_left_out_only_where_it_is_unknown(self) -> None:
        proof = Proof(book_seq=1, book_age_ms=2, checks=[], gaps_1h=0, event_lag_ms=0)
        assert b'"gaps_1h":0,"event_lag_ms":0}' in signal_json(signal(proof=proof))

    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
    def test_what_json_cannot_say_raises(self, value: float) -> None:
        with pytest.raises(NotFinite, match="score"):
            signal_json(signal(score=value))
        with pytest.raises(NotFinite, match="evidence: z"):
            signal_json(signal(evidence={"z": value}))
        with pytest.raises(NotFinite, match="ofi"):
            snapshot_json(snapshot({"ofi": value}))

    @given(st.floats(allow_nan=False, allow_infinity=False))
    def test_numbers_come_back_as_they_went(self, value: float) -> None:
        assert signal_from_json(signal_json(signal(score=value))).score == value

    @pytest.mark.parametrize("text", [b"", b"[]", b'{"v":1}', b"\xff\xfe", EXAMPLE.replace(b'"buy"', b'"long"')])
    def test_what_is_no_signal_says_so(self, text: bytes) -> None:
        with pytest.raises(BadSignal, match="not a signal"):
            signal_from_json(text)

    def test_unknown_keys_are_for_newer_readers(self) -> None:
        assert signal_from_json(EXAMPLE.replace(b'{"v":1,', b'{"v":1,"new":[1],')) == signal_from_json(EXAMPLE)

    def test_snapshot(self) -> None:
        assert snapshot_json(snapshot({"ofi": 12.5, "vpin": None}, conflated=3)) == (
            b'{"venue":"okx","instrument":"BTC/USDT","ts_ns":1,"recv_ns":2,"book_seq":3,"mid":"1.5",'
            b'"values":{"ofi":12.5,"vpin":null},"conflated":3}'
        )

    def test_status(self) -> None:
        invalid = BookInvalid(venue="okx", instrument="BTC/USDT", recv_ns=7, reason=GapKind.SEQUENCE_GAP)
        assert status_json(invalid) == (
            b'{"event":"book_invalid","venue":"okx","instrument":"BTC/USDT","reason":"sequence_gap","since":7}'
        )
        silent = StreamState(venue="okx", channel="trades", instrument="BTC/USDT", recv_ns=7, state="silent")
        assert b'"event":"stream_silent"' in (status_json(silent) or b"")
        assert b'"instrument":null' in (status_json(LinkUp(venue="okx", conn=1, recv_ns=7)) or b"")
        assert b'"proof_lost"' in (status_json(Notice(venue="okx", what="proof_lost", recv_ns=7)) or b"")

    def test_what_is_no_transition_has_no_status(self) -> None:
        assert status_json(Notice(venue="okx", what="parse_error", recv_ns=7)) is None
        assert status_json(Trade(venue="okx", instrument="B", recv_ns=1, px=1, size=1.0, sign=1, trade_id=1)) is None


def snapshot(values: dict[str, float | None], conflated: int = 1) -> MetricSnapshot:
    return MetricSnapshot(
        venue="okx",
        instrument="BTC/USDT",
        ts_ns=1,
        recv_ns=2,
        book_seq=3,
        mid="1.5",
        values=values,
        conflated=conflated,
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "journal.sqlite"


class TestPlaces:
    def test_first_is_1_and_survives_a_restart(self, path: Path) -> None:
        journal = Journal.open(path)
        assert (journal.last_seq, journal.oldest_seq) == (0, 1)
        assert [s.seq for s in journal.append([opened(1), opened(2)])] == [1, 2]
        journal.close()
        again = Journal.open(path)
        assert again.epoch == journal.epoch
        assert [s.seq for s in again.append([closed(1)])] == [3]
        assert [e.text for e in again.read(1)] == [
            signal_json(structs.replace(s, seq=i)) for i, s in enumerate([opened(1), opened(2), closed(1)], 1)
        ]
        again.close()

    def test_two_journals_are_two_lives(self) -> None:
        assert Journal.open(None).epoch != Journal.open(None).epoch

    def test_epoch_is_a_ulid(self) -> None:
        # The ULID spec's own parts: 01ARYZ6S41 is its example time, 1469918176385.
        assert new_epoch(1_469_918_176_385_000_000, 0) == "01ARYZ6S41" + "0" * 16
        assert new_epoch((2**48 - 1) * 10**6, 2**80 - 1) == "7" + "Z" * 25

    def test_nothing_to_append(self) -> None:
        journal = Journal.open(None)
        assert journal.append([]) == []
        assert journal.last_seq == 0

    def test_seq_of_the_caller_does_not_count(self) -> None:
        assert Journal.open(None).append([structs.replace(opened(1), seq=99)])[0].seq == 1

    def test_a_bad_signal_takes_the_whole_batch_with_it(self) -> None:
        journal = Journal.open(None)
        with pytest.raises(NotFinite):
            journal.append([opened(1), opened(2, score=math.nan)])
        assert (journal.last_seq, journal.read(1), journal.open_signals()) == (0, [], [])

    def test_reads_beyond_what_is_kept_in_memory(self, path: Path) -> None:
        journal = Journal.open(path)
        for start in range(0, 700, 100):
            journal.append([opened(n) for n in range(start, start + 100)])
        assert [e.seq for e in journal.read(1, 1000)] == list(range(1, 701))  # from the file
        assert [e.seq for e in journal.read(650, 10)] == list(range(650, 660))  # from memory
        assert journal.read(701) == []
        journal.close()

    def test_page(self) -> None:
        journal = Journal.open(None)
        journal.append([opened(n) for n in range(10)])
        assert [e.seq for e in journal.page(None, 3).entries] == [8, 9, 10]
        page = journal.page(4, 2)
        assert ([e.seq for e in page.entries], page.oldest_seq, page.last_seq) == ([4, 5], 1, 10)


class TestOpen:
    def test_open_are_those_without_a_close(self, path: Path) -> None:
        journal = Journal.open(path)
        journal.append([opened(1), opened(2), closed(1), opened(3)])
        journal.close()
        journal = Journal.open(path)
        assert [s.seq for s in journal.open_signals()] == [2, 4]
        journal.close()

    def test_open_entries_are_the_latest_word_at_that_moment(self) -> None:
        journal = Journal.open(None)
        journal.append([opened(1), opened(2), opened(1, event="update"), closed(2), closed(1)])
        assert [e.seq for e in journal.open_entries(4)] == [3, 2]
        assert [e.seq for e in journal.open_entries(5)] == [3]
        assert journal.open_entries(6) == []


class TestPrune:
    def test_old_entries_go_and_their_seq_never_comes_again(self, path: Path) -> None:
        journal = Journal.open(path, keep_ns=DAY_NS)
        journal.append([opened(1, recv_ns=0), closed(1, recv_ns=1)])
        assert journal.prune(2 * DAY_NS) == 2
        assert (journal.oldest_seq, journal.last_seq, journal.read(1)) == (3, 2, [])
        journal.close()
        journal = Journal.open(path)
        assert (journal.oldest_seq, journal.last_seq) == (3, 2)
        assert journal.append([opened(2)])[0].seq == 3
        assert journal.verify() == []
        journal.close()

    def test_an_open_signal_is_kept_and_all_after_it(self) -> None:
        journal = Journal.open(None, keep_ns=DAY_NS)
        journal.append([opened(1, recv_ns=0), closed(1, recv_ns=0), opened(2, recv_ns=0), opened(3, recv_ns=0)])
        assert journal.prune(2 * DAY_NS) == 2
        assert journal.oldest_seq == 3
        journal.append([closed(2, recv_ns=0)])
        assert journal.prune(2 * DAY_NS) == 1
        assert journal.verify() == []

    def test_a_clock_that_ran_backwards_tears_no_hole(self) -> None:
        journal = Journal.open(None, keep_ns=DAY_NS)
        for number, recv_ns in enumerate([0, 3 * DAY_NS, 0]):
            journal.append([opened(number, recv_ns=recv_ns), closed(number, recv_ns=recv_ns)])
        assert journal.prune(3 * DAY_NS) == 2
        assert [e.seq for e in journal.read(1)] == [3, 4, 5, 6]

    def test_a_close_whose_opening_was_pruned_is_no_fault(self) -> None:
        journal = Journal.open(None, keep_ns=DAY_NS)
        journal.append([opened(1, recv_ns=0), closed(1, recv_ns=3 * DAY_NS)])
        assert journal.prune(3 * DAY_NS) == 1
        assert journal.verify() == []

    def test_nothing_old(self) -> None:
        journal = Journal.open(None, keep_ns=DAY_NS)
        journal.append([opened(1)])
        assert journal.prune(opened(1).recv_ns + 1) == 0


class TestVerify:
    @pytest.mark.parametrize(
        ("damage", "fault"),
        [
            ("DELETE FROM signals WHERE seq = 2", "hole: 2 to 2 missing"),
            ("DELETE FROM signals WHERE seq = 4", "the last entry is 3, the last seq given is 4"),
            ("UPDATE signals SET json = '{' WHERE seq = 2", "seq 2: not a signal"),
            ("UPDATE signals SET kind = 'x' WHERE seq = 2", "seq 2: message and columns differ"),
            ("UPDATE signals SET open_seq = NULL WHERE seq = 3", "never opened"),
        ],
    )
    def test_damage_is_named(self, path: Path, damage: str, fault: str) -> None:
        journal = Journal.open(path)
        journal.append([opened(1), opened(2), closed(1), opened(3)])
        journal.close()
        with sqlite3.connect(path) as db:
            db.execute(damage)
        db.close()
        reader = Journal.open(path, read_only=True)
        assert any(fault in found for found in reader.verify()), reader.verify()
        reader.close()

    def test_a_close_without_an_open_is_a_fault(self) -> None:
        journal = Journal.open(None)
        journal.append([closed(1)])
        assert journal.verify() == [f"seq 1: close of {1:016x}, which was never opened"]


class TestRefusals:
    def test_two_daemons_on_one_journal(self, path: Path) -> None:
        journal = Journal.open(path)
        program = f"from imbalanced.journal import Journal; Journal.open({str(path)!r})"
        other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
        assert other.returncode == 1
        assert f"JournalLocked: {path}: in use by process {os.getpid()}" in other.stderr
        journal.close()
        Journal.open(path).close()

    def test_a_symbolic_link_is_the_same_journal(self, path: Path, tmp_path: Path) -> None:
        journal = Journal.open(path)
        link = tmp_path / "link.sqlite"
        link.symlink_to(path)
        with pytest.raises(JournalLocked):
            Journal.open(link)
        journal.close()

    def test_a_lock_file_of_a_dead_process_is_no_obstacle(self, path: Path) -> None:
        program = f"import os; from imbalanced.journal import Journal; j = Journal.open({str(path)!r}); os._exit(9)"
        assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 9
        assert path.with_name("journal.sqlite.lock").exists()
        Journal.open(path).close()

    def test_a_reader_beside_a_living_writer(self, path: Path) -> None:
        journal = Journal.open(path)
        reader = Journal.open(path, read_only=True)
        journal.append([opened(1)])
        assert (reader.last_seq, reader.oldest_seq, [e.seq for e in reader.read(1)]) == (1, 1, [1])
        with pytest.raises(JournalUnwritable):
            reader.append([opened(2)])
        reader.close()
        journal.close()

    def test_a_reader_creates_nothing(self, path: Path) -> None:
        path.parent.mkdir()
        with pytest.raises(JournalUnwritable, match="cannot be opened"):
            Journal.open(path, read_only=True)
        assert list(path.parent.iterdir()) == []

    @pytest.mark.parametrize("content", [b"just some text that is no database, long enough to be looked at" * 20])
    def test_a_file_that_is_no_database(self, path: Path, content: bytes) -> None:
        path.parent.mkdir()
        path.write_bytes(content)
        with pytest.raises(JournalForeign, match="not a SQLite file"):
            Journal.open(path)
        assert path.read_bytes() == content

    def test_a_database_of_somebody_else(self, path: Path) -> None:
        path.parent.mkdir()
        with sqlite3.connect(path) as db:
            db.execute("CREATE TABLE theirs (x)")
        db.close()
        with pytest.raises(JournalForeign, match="not a journal of imbalanced"):
            Journal.open(path)

    def test_a_journal_of_a_newer_version(self, path: Path) -> None:
        Journal.open(path).close()
        with sqlite3.connect(path) as db:
            db.execute("PRAGMA user_version = 99")
        db.close()
        with pytest.raises(JournalForeign, match="version 99"):
            Journal.open(path)

    def test_a_path_that_cannot_be_written(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(JournalUnwritable, match="cannot be written"):
            Journal.open(tmp_path / "file" / "journal.sqlite")
        with pytest.raises(JournalUnwritable):
            Journal.open(tmp_path)  # a folder

    def test_a_full_disk_costs_no_seq(self, path: Path) -> None:
        journal = Journal.open(path)
        journal.append([opened(1)])
        # The journal's own connection, since the limit is a property of it: SQLITE_FULL as on a full disk.
        pages = journal._writer.execute("PRAGMA page_count").fetchone()[0]
        journal._writer.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(JournalFull, match="the disk is full"):
            journal.append([opened(n) for n in range(2, 100)])
        assert (journal.last_seq, [s.seq for s in journal.open_signals()]) == (1, [1])
        journal._writer.execute("PRAGMA max_page_count = 1000000")
        assert [s.seq for s in journal.append([opened(2)])] == [2]
        assert journal.verify() == []
        journal.close()

    def test_closing_twice(self, path: Path) -> None:
        journal = Journal.open(path)
        journal.close()
        journal.close()


def explained(number: int, **changes: Any) -> Explained:
    fields: dict[str, Any] = {
        "id": f"{number:016x}", "venue": "binance_usdm", "instrument": "BTC/USDT:USDT", "kind": "order_flow_imbalance",
        "name": "flow", "recv_ns": 1, "conn": 1, "frame": "00", "options": {"on": 3.0}, "values": {"spread": None},
        "bids": [("1", "2")], "asks": [], "filters": [FilterAnswer(name="spread", verdict="pass", told="1.0 of 3")],
    }  # fmt: skip
    return Explained(**{**fields, **changes})


def graded(number: int, horizon_ms: int, net: float) -> Graded:
    place = {"venue": "binance_usdm", "instrument": "BTC/USDT:USDT", "kind": "order_flow_imbalance"}
    return Graded(id=f"{number:016x}", horizon_ms=horizon_ms, gross=net + 1, net=net, recv_ns=9, **place)


class TestAbout:
    """Why a signal was opened and what it was worth, as long as the signal itself."""

    def test_all_that_is_kept_of_a_signal(self, path: Path) -> None:
        journal = Journal.open(path)
        journal.append([opened(1), opened(2)], [explained(1)])
        journal.append([closed(1)])
        journal.grade([graded(1, 5000, -0.5), graded(1, 1000, 0.25)])
        journal.close()
        read = Journal.open(path, read_only=True)
        about = read.about(f"{1:016x}")
        assert about is not None
        assert [entry.event for entry in about.entries] == ["open", "close"]
        assert about.explanation == explained(1)
        assert about.grades == [graded(1, 1000, 0.25), graded(1, 5000, -0.5)]
        other = read.about(f"{2:016x}")
        assert other is not None
        assert (other.explanation, other.grades) == (None, [])
        assert read.about("0" * 16) is None
        read.close()

    def test_an_append_that_fails_keeps_no_explanation(self) -> None:
        journal = Journal.open(None)
        with pytest.raises(NotFinite):
            journal.append([opened(1), opened(2, score=math.nan)], [explained(1)])
        journal.append([opened(1)])
        about = journal.about(f"{1:016x}")
        assert about is not None
        assert about.explanation is None

    def test_pruning_forgets_them_with_the_signal(self, path: Path) -> None:
        journal = Journal.open(path, keep_ns=DAY_NS)
        journal.append([opened(1, recv_ns=0), closed(1, recv_ns=1)], [explained(1)])
        journal.append([opened(2, recv_ns=2), opened(3, recv_ns=3 * DAY_NS)], [explained(2), explained(3)])
        journal.grade([graded(1, 1000, 0.5), graded(2, 1000, 0.5)])
        journal.prune(3 * DAY_NS)
        journal.close()
        with sqlite3.connect(path) as db:
            for table in ("explanations", "grades"):
                kept = {row[0] for row in db.execute(f"SELECT id FROM {table}")}
                assert f"{1:016x}" not in kept
                assert f"{2:016x}" in kept, "it is still open"
        db.close()

    def test_a_journal_of_version_1_is_taken_over(self, path: Path) -> None:
        journal = Journal.open(path)
        journal.append([opened(1)])
        journal.close()
        with sqlite3.connect(path) as db:
            db.executescript("DROP TABLE explanations; DROP TABLE grades; PRAGMA user_version = 1;")
        db.close()
        read = Journal.open(path, read_only=True)
        about = read.about(f"{1:016x}")
        assert about is not None
        assert (about.explanation, about.grades) == (None, [])
        read.close()
        journal = Journal.open(path)
        journal.append([closed(1)], [explained(1)])
        about = journal.about(f"{1:016x}")
        assert about is not None
        assert about.explanation == explained(1)
        assert journal.verify() == []
        journal.close()

    def test_an_explanation_that_does_not_read_is_damage(self, path: Path) -> None:
        journal = Journal.open(path)
        journal.append([opened(1)], [explained(1)])
        journal.close()
        with sqlite3.connect(path) as db:
            db.execute("UPDATE explanations SET json = '{'")
        db.close()
        journal = Journal.open(path)
        with pytest.raises(JournalForeign, match="an explanation does not read"):
            journal.about(f"{1:016x}")
        journal.close()
