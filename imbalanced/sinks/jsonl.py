"""Signals as JSON Lines in a file: the public messages, one a line, in the order of the journal.

The place in the journal is the ``seq`` of the file's last whole line, so nothing else needs to be remembered. A file is
of one journal's life: lines do not say the epoch (a replay gives the same bytes), so a new journal needs a new file.
"""

from __future__ import annotations

import os
import stat
from typing import BinaryIO

from msgspec import Struct

from imbalanced.journal import Journal
from imbalanced.jsontext import BadSignal, signal_from_json
from imbalanced.sinks.hub import Hub
from imbalanced.sinks.sink import Batch, SinkMisconfigured, SinkUnavailable

__all__ = ["JsonlOptions", "JsonlSink"]

TAIL_BYTES = 1 << 20  # no line is longer


class JsonlOptions(Struct, frozen=True, kw_only=True):
    """``path`` is created with its folders; ``fsync`` after every batch."""

    path: str
    fsync: bool = False


class JsonlSink:
    """Appends to one file. Local disks are quick enough for the loop's thread; signals are rare."""

    name = "jsonl"
    takes_state = False

    def __init__(self, options: JsonlOptions, journal: Journal, hub: Hub) -> None:
        self._options = options
        self._file: BinaryIO | None = None

    async def open(self) -> int:
        path = self._options.path
        try:
            os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
            self._file = open(path, "a+b", buffering=0)  # noqa: ASYNC230, SIM115 - local, and open until close()
            return _last_seq(self._file, path) + 1
        except OSError as exc:
            raise SinkUnavailable("unwritable", f"{path}: {exc.strerror}") from exc

    async def write(self, batch: Batch) -> None:
        if self._file is None:
            raise SinkUnavailable("closed", f"{self._options.path}: not open")
        if not batch.entries:
            return
        try:
            text = b"".join(entry.text + b"\n" for entry in batch.entries)
            if self._file.write(text) != len(text):
                raise OSError(0, "short write")
            if self._options.fsync:
                os.fsync(self._file.fileno())
        except OSError as exc:
            raise SinkUnavailable("unwritable", f"{self._options.path}: {exc.strerror}") from exc

    async def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _last_seq(file: BinaryIO, path: str) -> int:
    """The ``seq`` of the last whole line, 0 for an empty file; half a line left by a crash is cut off."""
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return 0  # a device or a pipe keeps nothing that could be read back
    size = file.seek(0, os.SEEK_END)
    start = max(0, size - TAIL_BYTES)
    file.seek(start)
    tail = file.read()
    whole = tail.rfind(b"\n") + 1
    if whole == 0 and start:
        raise SinkMisconfigured(f"{path}: no end of line in its last {TAIL_BYTES} bytes, not a file of JSON Lines")
    if whole < len(tail):
        file.truncate(start + whole)
    lines = tail[:whole].splitlines()
    if not lines:
        return 0
    try:
        return signal_from_json(lines[-1]).seq
    except BadSignal as exc:
        raise SinkMisconfigured(f"{path}: its last line is no signal; give another path") from exc
