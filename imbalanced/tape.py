"""Recordings: read and write every frame as it came.

The format is gzip of JSON Lines in order of receipt, one record a frame: ``ts`` (receive time, epoch seconds with up
to 9 decimals, read by its digits), ``venue``, ``conn``, ``dir`` (``in``, ``out``), ``kind`` (``ws``, ``http``),
``url``,
``data`` (the payload text, or ``enc: base64``). Our own recordings add ``ev`` (``open``, ``close``, ``wake``,
``instruments``, ``resync``, ``stop``), ``status`` of REST answers, and begin with a record ``ev: tape`` that says so:
what a run was fed is all there, timers included, so a replay needs nothing else.

Errors::

    TapeError           a file that is no recording, or one that is cut off; names the file and the record number
"""

from __future__ import annotations

import base64
import gzip
import re
import zlib
from binascii import Error as Base64Error
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import orjson
from msgspec import Struct

from imbalanced.events import Frame, FrameKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from os import PathLike
    from typing import BinaryIO, Self

FORMAT = 1
S = 1_000_000_000

_TIME = re.compile(rb'"ts": ?(?:(\d+)(?:\.(\d{1,9})\d*)?|null)\s*[,}]')
_HEAD = re.compile(r"format 1 seq (\d{1,18})( continued)?(?: calibration ([0-9a-f]{16}))?")
_EVENTS = frozenset(get_args(FrameKind)) - {"ws", "http", "sent", "other"}


class TapeError(ValueError):
    """A recording that cannot be read (on). What was read before stands."""

    def __init__(self, path: str, record: int, why: str) -> None:
        self.path, self.record = path, record
        super().__init__(f"{path}: record {record}: {why}")


def read(path: str | PathLike[str]) -> Iterator[Frame]:
    """The frames of a recording in order, one a record. Raises TapeError at the record that cannot be read."""
    name = str(path)
    number = 0
    recv_ns = 0
    try:
        with _opened(Path(path)) as file:
            for number, line in enumerate(file):
                frame = _frame(name, number, line, recv_ns)
                recv_ns = frame.recv_ns
                yield frame
                # From here on an unexpected end of the file is the end of a record that never came.
                number += 1
    except EOFError as error:
        raise TapeError(name, number, "the file ends in the middle of a record (truncated)") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise TapeError(name, number, f"not a gzip file, or damaged: {error}") from error
    except OSError as error:
        raise TapeError(name, number, error.strerror or str(error)) from error


def _opened(path: Path) -> BinaryIO:
    with path.open("rb") as file:
        magic = file.read(2)
    return gzip.open(path, "rb") if magic == b"\x1f\x8b" else path.open("rb")  # type: ignore[return-value]


def _frame(path: str, number: int, line: bytes, before_ns: int) -> Frame:
    try:
        record = orjson.loads(line)
        if not isinstance(record, dict):
            raise TypeError("no JSON object")
        return Frame(
            recv_ns=_time(record, line, before_ns),
            venue=record["venue"],
            conn=record["conn"],
            kind=_kind(record),
            data=_payload(record),
            url=record.get("url") or "",
            status=record.get("status", 200),
        )
    except orjson.JSONDecodeError as error:
        cut = not line.endswith(b"\n")
        why = "the file ends in the middle of a record (truncated)" if cut else f"no JSON: {error}"
        raise TapeError(path, number, why) from error
    except KeyError as error:
        raise TapeError(path, number, f"no recording of frames: {error} is missing") from error
    except (TypeError, ValueError, Base64Error) as error:
        raise TapeError(path, number, f"no recording of frames: {error}") from error


def _time(record: dict[str, Any], line: bytes, before_ns: int) -> int:
    """Receive time by its digits. A record without one is as old as the one before it, or as its payload says."""
    if record["ts"] is None:
        return before_ns
    found = _TIME.search(line)
    if found is None or found[1] is None:
        raise ValueError(f"ts {record['ts']!r} is no epoch time in seconds")
    return int(found[1]) * S + int((found[2] or b"0").ljust(9, b"0"))


def _kind(record: dict[str, Any]) -> FrameKind:
    event = record.get("ev")
    if event is not None:
        return event if event in _EVENTS else "other"
    if record["dir"] != "in":
        return "sent"
    kind = record["kind"]
    return kind if kind in ("ws", "http") else "other"


def _payload(record: dict[str, Any]) -> bytes:
    data = record["data"]
    if not isinstance(data, str):
        raise TypeError("data is no text")
    return base64.b64decode(data, validate=True) if record.get("enc") == "base64" else data.encode()


class Head(Struct, frozen=True):
    """What the first record of one of our own recordings says: the next ``seq`` of the journal, and whether a run
    begins here (a rotated file goes on with the run of the file before). ``calibration`` names the one that the run
    began from, if it did.
    """

    seq: int = 1
    begins: bool = True
    calibration: str = ""


def head(path: str | PathLike[str]) -> Head | None:
    """The head of a recording of ours; None of any other. Ours has its timers on it: a replay must not make its own."""
    try:
        with _opened(Path(path)) as file:
            first = orjson.loads(file.readline())
    except (OSError, EOFError, zlib.error, orjson.JSONDecodeError):
        return None
    if not isinstance(first, dict) or first.get("ev") != "tape":
        return None
    found = _HEAD.fullmatch(str(first.get("data")))
    return Head(int(found[1]), found[2] is None, found[3] or "") if found else Head()


def is_own(path: str | PathLike[str]) -> bool:
    """Whether a recording is one of ours."""
    return head(path) is not None


def record_line(frame: Frame) -> bytes:
    """One record, with its newline."""
    seconds, nanos = divmod(frame.recv_ns, S)
    record: dict[str, Any] = {
        "venue": frame.venue,
        "conn": frame.conn,
        "dir": "out" if frame.kind == "sent" else "in",
        "kind": "http" if frame.kind == "http" else "ws",
        "url": frame.url,
    }
    try:
        record["data"] = frame.data.decode()
    except UnicodeDecodeError:
        record["data"] = base64.b64encode(frame.data).decode()
        record["enc"] = "base64"
    if frame.kind in _EVENTS:
        record["ev"] = frame.kind
    if frame.status != 200:
        record["status"] = frame.status
    return b'{"ts": %d.%09d, ' % (seconds, nanos) + orjson.dumps(record)[1:] + b"\n"


class Writer:
    """Writes one recording: beside its name (``.part``) while it grows, renamed when it is closed."""

    def __init__(self, path: Path, *, started_ns: int, head: Head = Head()) -> None:  # noqa: B008 - frozen
        self.path = path
        self._part = path.with_name(path.name + ".part")
        path.parent.mkdir(parents=True, exist_ok=True)
        # Level 1: a recording costs the thread that trades; the ratio of text like this hardly suffers.
        self._file = gzip.GzipFile(self._part, "wb", compresslevel=1)
        seconds, nanos = divmod(started_ns, S)
        told = f"format {FORMAT} seq {head.seq}" + ("" if head.begins else " continued")
        told += f" calibration {head.calibration}" if head.calibration else ""
        first = {"venue": "", "conn": 0, "dir": "in", "kind": "ws", "url": "", "data": told, "ev": "tape"}
        self._file.write(b'{"ts": %d.%09d, ' % (seconds, nanos) + orjson.dumps(first)[1:] + b"\n")

    def write(self, frame: Frame) -> None:
        """One more frame."""
        self._file.write(record_line(frame))

    def close(self) -> None:
        """All is written; the file gets its name."""
        self._file.close()
        self._part.replace(self.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Recorder:
    """Recordings of a long run: a new file every ``rotate_ns``, named by its begin in UTC. ``next_seq`` is asked at the
    begin of each, so that a replay numbers its signals as the run did; ``calibration`` names where the run began.
    """

    def __init__(
        self, folder: Path, rotate_ns: int, next_seq: Callable[[], int] = lambda: 1, calibration: str = ""
    ) -> None:
        self._calibration = calibration
        self._next_seq = next_seq
        self._begins = True
        self._folder = folder
        self._rotate_ns = rotate_ns
        self._writer: Writer | None = None
        self._until_ns = 0
        folder.mkdir(parents=True, exist_ok=True)

    def write(self, frame: Frame) -> None:
        """One more frame, in a new file when it is time."""
        if self._writer is None or frame.recv_ns >= self._until_ns:
            self.close()
            self._until_ns = (frame.recv_ns // self._rotate_ns + 1) * self._rotate_ns
            begin = datetime.fromtimestamp(frame.recv_ns / S, UTC).strftime("%Y%m%dT%H%M%S.%fZ")
            head = Head(self._next_seq(), self._begins, self._calibration)
            self._writer = Writer(self._folder / f"{begin}.jsonl.gz", started_ns=frame.recv_ns, head=head)
            self._begins = False
        self._writer.write(frame)

    def close(self) -> None:
        """The file in progress is complete."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
