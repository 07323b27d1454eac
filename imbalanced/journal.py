"""The durable, append-only log of signals: one SQLite file, and the only truth about what was said.

A signal is written here before any sink sees it, and ``seq`` is its place here; sinks are readers with a cursor of
their own. The calls are synchronous. A commit waits for the disk, a few milliseconds on a good day, so writing comes in
three steps: :meth:`Journal.place` and :meth:`Journal.written` touch memory alone, :meth:`Journal.write` the disk alone
and may run in another thread, one at a time (``scribe.py``); it has a connection of its own, so that readers never see
half of it. What does not belong here: asyncio, sinks, detectors.

*Why synchronous=FULL.* With NORMAL a power cut may take back the last commits; their ``seq`` would then be given again,
to other signals, in the same epoch, and Redis or a subscriber that had seen the first ones could never tell. In WAL
mode FULL costs one fsync a commit.

*Why a lock file.* SQLite's own exclusive mode would also shut out `imbalanced journal verify` beside a running daemon.
A ``flock`` on ``<path>.lock`` ends with its process, however that dies, so a stale file is no obstacle.

    JournalError
    ├── JournalUnwritable   the path cannot be created or written
    ├── JournalLocked       another living process has it
    ├── JournalForeign      the file is not a journal of ours, is damaged, or of a newer version
    ├── JournalFull         the disk is full; nothing was written, the append can be tried again
    └── JournalFailed       anything else that SQLite or the disk says
"""

from __future__ import annotations

import fcntl
import os
import secrets
import sqlite3
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct, structs

from imbalanced.events import Explained, Graded, Signal
from imbalanced.jsontext import BadSignal, signal_from_json, signal_json

__all__ = [
    "About",
    "Batch",
    "Entry",
    "Journal",
    "JournalError",
    "JournalFailed",
    "JournalForeign",
    "JournalFull",
    "JournalLocked",
    "JournalUnwritable",
    "Page",
    "entry_of",
]

MEMORY = ":memory:"
APPLICATION_ID = 0x494D4231  # "IMB1", in the header of the file: `file journal.sqlite` shows it
SCHEMA_VERSION = 2
WEEK_NS = 7 * 24 * 3600 * 10**9
TAIL_ENTRIES = 512  # kept in memory: sinks that are up to date, that is nearly always, read no SQL
PRUNE_ROWS = 5_000  # per call, so that a call stays in the milliseconds

_SCHEMA = f"""
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE signals (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL, event TEXT NOT NULL, kind TEXT NOT NULL, side TEXT NOT NULL,
    venue TEXT NOT NULL, instrument TEXT NOT NULL, recv_ns INTEGER NOT NULL,
    open_seq INTEGER,      -- where the signal was opened; NULL if it never was
    json BLOB NOT NULL     -- the public message, to the byte
);
CREATE INDEX signals_id ON signals (id, seq);
PRAGMA application_id = {APPLICATION_ID};
"""
# Version 2: why a signal was opened and what it was worth, for as long as its messages are kept.
_SINCE_2 = f"""
CREATE TABLE explanations (id TEXT PRIMARY KEY, json BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE grades (
    id TEXT NOT NULL, horizon_ms INTEGER NOT NULL, gross REAL NOT NULL, net REAL NOT NULL, recv_ns INTEGER NOT NULL,
    PRIMARY KEY (id, horizon_ms)
) WITHOUT ROWID;
PRAGMA user_version = {SCHEMA_VERSION};
"""
_COLUMNS = "seq, id, event, kind, side, venue, instrument, recv_ns, json"
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_T = TypeVar("_T", int, str)


class JournalError(Exception):
    """Base of the journal's errors; never raised itself."""


class JournalUnwritable(JournalError):
    """The path cannot be created or written."""


class JournalLocked(JournalError):
    """Another living process has this journal."""


class JournalForeign(JournalError):
    """Not a journal of ours, damaged, or written by a newer version."""


class JournalFull(JournalError):
    """The disk is full. Nothing was written and no ``seq`` was used."""


class JournalFailed(JournalError):
    """Anything else that SQLite or the disk says."""


class Entry(Struct, frozen=True, gc=False):
    """One line of the journal: the message as it was written, with the fields that readers filter by."""

    seq: int
    id: str
    event: str
    kind: str
    side: str
    venue: str
    instrument: str
    recv_ns: int
    text: bytes


class About(Struct, frozen=True, kw_only=True):
    """All that is kept of one signal: its messages in order, why it was opened, what it was worth."""

    entries: list[Entry]
    explanation: Explained | None
    grades: list[Graded]


class Page(Struct, frozen=True):
    """A piece of the journal with what a reader needs to place it."""

    epoch: str
    oldest_seq: int
    last_seq: int
    entries: list[Entry]


class Batch(Struct, frozen=True, kw_only=True):
    """What is to be written: signals with their places, why they were opened, and what signals were worth."""

    signals: list[Signal]
    entries: list[Entry]
    rows: list[tuple[object, ...]]
    explained: list[tuple[str, bytes]]
    graded: list[tuple[str, int, float, float, int]]


class Journal:
    """Use :meth:`open`. One writer a file; readers (``read_only``) as many as like, also beside a living writer.

    ``db`` reads, ``writer`` writes; they are the same in memory and in a reader.
    """

    def __init__(
        self,
        path: str,
        db: sqlite3.Connection,
        lock_fd: int | None,
        keep_ns: int,
        *,
        writer: sqlite3.Connection,
        writable: bool,
    ) -> None:
        self.path = path
        self.keep_ns = keep_ns
        self._db, self._writer = db, writer
        self._lock_fd = lock_fd
        self._writable = writable
        self.epoch = self._value("SELECT value FROM meta WHERE key = 'epoch'", str)
        # The writer knows these without asking; a read-only journal asks, since another process moves them.
        self._last = self._given = self._stored_last()
        self._oldest = self._stored_oldest()
        self._open = {entry.id: entry.seq for entry in self._open_rows(self._last + 1)}
        self._tail: deque[Entry] = deque(maxlen=TAIL_ENTRIES)

    @classmethod
    def open(cls, path: str | os.PathLike[str] | None, keep_ns: int = WEEK_NS, *, read_only: bool = False) -> Journal:
        """Open or create. ``path`` None keeps everything in memory; ``keep_ns`` is what :meth:`prune` leaves."""
        name = MEMORY if path is None else os.path.realpath(path)
        lock_fd = None if path is None or read_only else _lock(name)
        db: sqlite3.Connection | None = None
        try:
            with _told(name, "open"):
                db = _connect(name, read_only)
                _recognise(name, db, read_only)
                writer = db if path is None or read_only else _connect(name, read_only)
                if writer is not db:
                    writer.execute("PRAGMA synchronous = FULL")
                return cls(name, db, lock_fd, keep_ns, writer=writer, writable=not read_only)
        except BaseException:
            if db is not None:
                db.close()
            if lock_fd is not None:
                os.close(lock_fd)
            raise

    @property
    def waits(self) -> bool:
        """Whether a write waits for a disk."""
        return self.path != MEMORY

    def append(self, signals: Sequence[Signal], explained: Sequence[Explained] = ()) -> list[Signal]:
        """Write all or none, and return them with their ``seq``. Durable when it returns."""
        before = self._given, self._open
        batch = self.place(signals, explained)
        try:
            self.write([batch])
        except JournalError:
            self._given, self._open = before
            raise
        self.written(batch)
        return batch.signals

    def grade(self, graded: Sequence[Graded]) -> None:
        """What signals were worth. Durable when it returns."""
        self.write([self.place((), (), graded)])

    def place(
        self, signals: Sequence[Signal], explained: Sequence[Explained] = (), graded: Sequence[Graded] = ()
    ) -> Batch:
        """Give signals their ``seq``. Nobody may hear of them before they are :meth:`written`."""
        placed = [structs.replace(signal, seq=seq) for seq, signal in enumerate(signals, self._given + 1)]
        entries = [entry_of(signal) for signal in placed]
        opened = dict(self._open) if entries else self._open
        rows: list[tuple[object, ...]] = []
        for entry in entries:
            if entry.event == "open":
                opened[entry.id] = entry.seq
            rows.append((*structs.astuple(entry), opened.get(entry.id)))
            if entry.event == "close":
                opened.pop(entry.id, None)
        self._open = opened
        self._given += len(placed)
        return Batch(
            signals=placed,
            entries=entries,
            rows=rows,
            explained=[(one.id, _json(one)) for one in explained],
            graded=[(one.id, one.horizon_ms, one.gross, one.net, one.recv_ns) for one in graded],
        )

    def write(self, batches: Sequence[Batch]) -> None:
        """All of them or none, in one transaction; durable when it returns."""
        with _told(self.path, "append"), self._transaction():
            for batch in batches:
                self._writer.executemany(
                    f"INSERT INTO signals ({_COLUMNS}, open_seq) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", batch.rows
                )
                self._writer.executemany("INSERT OR REPLACE INTO explanations VALUES (?, ?)", batch.explained)
                self._writer.executemany("INSERT OR REPLACE INTO grades VALUES (?, ?, ?, ?, ?)", batch.graded)

    def written(self, batch: Batch) -> None:
        """The disk has it: from now on readers see it."""
        if batch.entries:
            self._last = batch.entries[-1].seq
            self._tail.extend(batch.entries)

    def about(self, id: str) -> About | None:
        """Everything about one signal; None where there is none of that id."""
        with _told(self.path, "read"):
            entries = [
                Entry(*row)
                for row in self._db.execute(f"SELECT {_COLUMNS} FROM signals WHERE id = ? ORDER BY seq", (id,))
            ]
            if not entries:
                return None
            if self._value("PRAGMA user_version", int) < SCHEMA_VERSION:
                return About(entries=entries, explanation=None, grades=[])
            row = self._db.execute("SELECT json FROM explanations WHERE id = ?", (id,)).fetchone()
            rows = self._db.execute(
                "SELECT recv_ns, horizon_ms, gross, net FROM grades WHERE id = ? ORDER BY horizon_ms", (id,)
            ).fetchall()
        first = entries[0]
        place = {"venue": first.venue, "instrument": first.instrument, "kind": first.kind, "id": id}
        grades = [Graded(recv_ns=at, horizon_ms=ms, gross=gross, net=net, **place) for at, ms, gross, net in rows]
        return About(entries=entries, explanation=_explained(self.path, row), grades=grades)

    def read(self, from_seq: int, limit: int = 1000) -> list[Entry]:
        """At most ``limit`` entries from ``from_seq`` (inclusive) on, in order."""
        if self._writable and from_seq > self._last:
            return []
        if self._tail and from_seq >= self._tail[0].seq:
            start = from_seq - self._tail[0].seq
            return list(islice(self._tail, start, start + limit))
        with _told(self.path, "read"):
            rows = self._db.execute(
                f"SELECT {_COLUMNS} FROM signals WHERE seq >= ? ORDER BY seq LIMIT ?", (from_seq, limit)
            ).fetchall()
        return [Entry(*row) for row in rows]

    def page(self, from_seq: int | None, limit: int) -> Page:
        """What ``/api/signals`` answers: from ``from_seq`` on, or without it the newest ``limit``."""
        if from_seq is None:
            from_seq = max(self.oldest_seq, self.last_seq - limit + 1)
        return Page(self.epoch, self.oldest_seq, self.last_seq, self.read(from_seq, limit))

    @property
    def last_seq(self) -> int:
        """The newest ``seq`` ever written, 0 before the first; pruning does not change it."""
        return self._last if self._writable else self._stored_last()

    @property
    def next_seq(self) -> int:
        """What the next signal will be given."""
        return self._given + 1

    @property
    def oldest_seq(self) -> int:
        """The oldest ``seq`` that can be read; ``last_seq + 1`` while there is none."""
        return self._oldest if self._writable else self._stored_oldest()

    def open_signals(self) -> list[Signal]:
        """The opening messages of all signals that have no close yet, oldest first."""
        return [signal_from_json(entry.text) for entry in self._open_rows(self.last_seq + 1)]

    def open_entries(self, before_seq: int) -> list[Entry]:
        """As of just before ``before_seq``: the latest word (open or update) of each signal then open."""
        latest = []
        for opening in self._open_rows(before_seq):
            with _told(self.path, "read"):
                row = self._db.execute(
                    f"SELECT {_COLUMNS} FROM signals WHERE id = ? AND seq < ? ORDER BY seq DESC LIMIT 1",
                    (opening.id, before_seq),
                ).fetchone()
            latest.append(Entry(*row))
        return latest

    def prune(self, now_ns: int) -> int:
        """Forget the oldest entries received before ``now_ns - keep_ns``; how many were forgotten.

        Only from the front, so no hole appears, and never the opening of a signal that is still open. At most
        :data:`PRUNE_ROWS` a call: call again while it returns that many.
        """
        bound, gone = self.forget(now_ns, self.oldest_open)
        self.forgotten(bound)
        return gone

    @property
    def oldest_open(self) -> int | None:
        """Where the oldest signal that is still open was opened."""
        return min(self._open.values(), default=None)

    def forget(self, now_ns: int, oldest_open: int | None) -> tuple[int, int]:
        """The part of :meth:`prune` that waits for the disk: the new oldest ``seq``, and how many entries went."""
        bound = self._prune_bound(now_ns - self.keep_ns, oldest_open)
        if bound <= self._oldest:
            return bound, 0
        with _told(self.path, "prune"), self._transaction():
            for table in ("explanations", "grades"):
                self._writer.execute(
                    f"DELETE FROM {table} WHERE id IN (SELECT id FROM signals WHERE seq < ?) AND NOT EXISTS "
                    f"(SELECT 1 FROM signals AS s WHERE s.id = {table}.id AND s.seq >= ?)",
                    (bound, bound),
                )
            return bound, self._writer.execute("DELETE FROM signals WHERE seq < ?", (bound,)).rowcount

    def forgotten(self, bound: int) -> None:
        """The disk has let them go."""
        self._oldest = max(self._oldest, bound)
        while self._tail and self._tail[0].seq < bound:
            self._tail.popleft()

    def verify(self) -> list[str]:
        """Every fault found, in words; empty when the journal is whole. Reads all of it: for the command line."""
        with _told(self.path, "verify"):
            faults = [f"sqlite: {row[0]}" for row in self._db.execute("PRAGMA quick_check") if row[0] != "ok"]
            rows = self._db.execute(f"SELECT {_COLUMNS}, open_seq FROM signals ORDER BY seq")
            faults += _faults(((Entry(*row[:-1]), row[-1]) for row in rows), self._stored_last())
        return faults

    def close(self) -> None:
        """Close the file (SQLite folds its WAL in) and let go of the lock. Harmless when already closed."""
        self._writer.close()
        self._db.close()
        if self._lock_fd is not None:
            os.close(self._lock_fd)
            self._lock_fd = None

    def _prune_bound(self, cutoff_ns: int, oldest_open: int | None) -> int:
        # By order, not by WHERE recv_ns < cutoff: receive clocks run backwards, and that must not tear a hole.
        bound = self._oldest
        with _told(self.path, "prune"):
            rows = self._writer.execute("SELECT seq, recv_ns FROM signals ORDER BY seq LIMIT ?", (PRUNE_ROWS,))
            for seq, recv_ns in rows:
                if recv_ns >= cutoff_ns:
                    break
                bound = seq + 1
        return bound if oldest_open is None else min(bound, oldest_open)

    def _open_rows(self, before_seq: int) -> list[Entry]:
        with _told(self.path, "read"):
            rows = self._db.execute(
                f"SELECT {_COLUMNS} FROM signals AS o WHERE event = 'open' AND seq < ? AND NOT EXISTS (SELECT 1 FROM "
                "signals AS c WHERE c.id = o.id AND c.event = 'close' AND c.seq > o.seq AND c.seq < ?) ORDER BY seq",
                (before_seq, before_seq),
            ).fetchall()
        return [Entry(*row) for row in rows]

    def _stored_last(self) -> int:
        return self._value("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'signals'", int)

    def _stored_oldest(self) -> int:
        oldest = self._value("SELECT coalesce(min(seq), 0) FROM signals", int)
        return oldest or self._stored_last() + 1

    def _value(self, sql: str, kind: type[_T]) -> _T:
        with _told(self.path, "read"):
            row = self._db.execute(sql).fetchone()
        if row is None or not isinstance(row[0], kind):
            raise JournalForeign(f"{self.path}: damaged, `{sql}` gives {row!r}")
        return row[0]

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._writer.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._writer.execute("COMMIT")
        except BaseException:
            if self._writer.in_transaction:  # SQLite has rolled back by itself after some errors (disk full)
                self._writer.execute("ROLLBACK")
            raise


def entry_of(signal: Signal) -> Entry:
    """A signal as a line of the journal."""
    return Entry(
        signal.seq,
        signal.id,
        signal.event,
        signal.kind,
        signal.side,
        signal.venue,
        signal.instrument,
        signal.recv_ns,
        signal_json(signal),
    )


def _json(explained: Explained) -> bytes:
    return msgspec.json.encode(explained)


def _explained(path: str, row: tuple[bytes] | None) -> Explained | None:
    if row is None:
        return None
    try:
        return msgspec.json.decode(row[0], type=Explained)
    except msgspec.DecodeError as exc:
        raise JournalForeign(f"{path}: damaged, an explanation does not read: {exc}") from exc


def _connect(name: str, read_only: bool) -> sqlite3.Connection:
    # The writer's thread is not always the same one, but there is only one at a time.
    if read_only and name != MEMORY:
        uri = f"{Path(name).as_uri()}?mode=ro"
        return sqlite3.connect(uri, uri=True, isolation_level=None, timeout=5.0, check_same_thread=False)
    return sqlite3.connect(name, isolation_level=None, timeout=1.0, check_same_thread=False)


def _recognise(name: str, db: sqlite3.Connection, read_only: bool) -> None:
    """A new file becomes a journal, one of ours passes, everything else is refused untouched."""
    application_id, version, tables = (
        db.execute(sql).fetchone()[0]
        for sql in ("PRAGMA application_id", "PRAGMA user_version", "SELECT count(*) FROM sqlite_master")
    )
    if tables == 0 and application_id == 0 and not read_only:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        epoch = new_epoch(time.time_ns(), secrets.randbits(80))
        # One transaction: a daemon killed here must not leave a file that is neither new nor ours.
        told = f"INSERT INTO meta VALUES ('epoch', '{epoch}');"
        db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} {told} {_SINCE_2} COMMIT;")
        return
    if application_id != APPLICATION_ID:
        raise JournalForeign(f"{name}: a SQLite file, but not a journal of imbalanced; give another path")
    if not 1 <= version <= SCHEMA_VERSION:
        raise JournalForeign(f"{name}: journal version {version}, this program knows 1 to {SCHEMA_VERSION}")
    if not read_only:
        if version < 2:
            db.executescript(f"BEGIN IMMEDIATE; {_SINCE_2} COMMIT;")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")


def new_epoch(now_ns: int, random_80: int) -> str:
    """A ULID (github.com/ulid/spec): 48 bits of milliseconds and 80 random bits, 26 letters that sort by time."""
    number = (now_ns // 1_000_000) << 80 | random_80
    return "".join(_CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))


def _lock(name: str) -> int:
    """Take ``<name>.lock`` for the life of this process; its text names the holder for the error message of others."""
    path = f"{name}.lock"
    try:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as exc:
        raise JournalUnwritable(f"{name}: cannot be written: {exc.strerror} ({path})") from exc
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(fd, 0)
        os.write(fd, str(os.getpid()).encode())
    except BlockingIOError as exc:
        holder = os.read(fd, 32).decode("ascii", "replace") or "unknown"
        os.close(fd)
        raise JournalLocked(f"{name}: in use by process {holder}; one journal has one daemon") from exc
    except OSError as exc:
        os.close(fd)
        raise JournalUnwritable(f"{path}: cannot be locked: {exc.strerror}") from exc
    return fd


_BY_CODE: dict[int, tuple[type[JournalError], str]] = {
    sqlite3.SQLITE_FULL: (JournalFull, "the disk is full"),
    sqlite3.SQLITE_READONLY: (JournalUnwritable, "cannot be written"),
    sqlite3.SQLITE_CANTOPEN: (JournalUnwritable, "cannot be opened"),
    sqlite3.SQLITE_PERM: (JournalUnwritable, "no permission"),
    sqlite3.SQLITE_BUSY: (JournalLocked, "another process is writing to it"),
    sqlite3.SQLITE_LOCKED: (JournalLocked, "another process is writing to it"),
    sqlite3.SQLITE_NOTADB: (JournalForeign, "not a SQLite file"),
    sqlite3.SQLITE_CORRUPT: (JournalForeign, "damaged"),
}


@contextmanager
def _told(name: str, doing: str) -> Iterator[None]:
    """SQLite's errors in our words."""
    try:
        yield
    except sqlite3.Error as exc:
        # The low byte is the primary result code (sqlite.org/rescode.html); misuse of the module carries none.
        code = getattr(exc, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        kind, why = _BY_CODE.get(code, (JournalFailed, "failed"))
        raise kind(f"{name}: {why} ({doing}: {exc})") from exc


def _faults(rows: Iterator[tuple[Entry, int | None]], last_seq: int) -> list[str]:
    faults: list[str] = []
    opened: dict[int, str] = {}
    oldest = expected = None
    for entry, open_seq in rows:
        if oldest is None:
            oldest = expected = entry.seq
        if entry.seq != expected:
            faults.append(f"hole: {expected} to {entry.seq - 1} missing")
        expected = entry.seq + 1
        if entry.event == "open":
            opened[entry.seq] = entry.id
        elif open_seq is None or (open_seq >= oldest and opened.get(open_seq) != entry.id):
            faults.append(f"seq {entry.seq}: {entry.event} of {entry.id}, which was never opened")
        faults += _text_faults(entry)
    if expected is not None and expected != last_seq + 1:
        faults.append(f"end: the last entry is {expected - 1}, the last seq given is {last_seq}")
    return faults


def _text_faults(entry: Entry) -> list[str]:
    try:
        signal = signal_from_json(entry.text)
    except BadSignal as exc:
        return [f"seq {entry.seq}: {exc}"]
    said = (signal.seq, signal.id, signal.event, signal.kind, signal.side, signal.venue, signal.instrument)
    if said != structs.astuple(entry)[:7]:
        return [f"seq {entry.seq}: message and columns differ ({said})"]
    return []
