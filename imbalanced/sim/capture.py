"""The recorded feed: a capture file (gzip JSON lines, one record a frame) played back byte for byte.

Two passes: `load` reads the file once for what REST must know (symbols, first snapshots, number texts, which streams
exist); `Capture.frames` reads it again while playing, so that a long recording need not fit into memory.
What a record means is the venue's business (`SimVenue.recorded`). Pacing is `server.py`'s.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from imbalanced.sim.venue import (
    Frame,
    Listing,
    Player,
    RecordedFrame,
    RecordedInfo,
    RecordedSnapshot,
    Stream,
)

SAMPLED_FRAMES = 300  # book frames per symbol whose number texts are looked at when no instrument list was recorded
# A level is a pair of number texts in every JSON book this folder knows.
_LEVEL = re.compile(r'\[\s*"(\d+(?:\.\d+)?)"\s*,\s*"(\d+(?:\.\d+)?)"\s*\]')
_PLAIN_FIELDS = {"venue": str, "dir": str, "kind": str, "url": str, "data": str}


class CaptureError(ValueError):
    """A capture that cannot be played: names the file and the record (counted from 0) and says why."""


@dataclass(frozen=True, slots=True)
class Record:
    number: int
    ts: float | None  # receive time, epoch seconds
    venue: str
    inbound: bool
    url: str
    data: str


@dataclass(slots=True)
class _Seen:
    """What the first pass gathers about one venue."""

    info: str = ""
    snapshots: dict[str, str] = field(default_factory=dict)
    streams: dict[str, list[Stream]] = field(default_factory=dict)
    prices: dict[str, set[str]] = field(default_factory=dict)
    sizes: dict[str, set[str]] = field(default_factory=dict)
    sampled: dict[str, int] = field(default_factory=dict)

    def sample(self, symbol: str, text: str) -> None:
        prices, sizes = self.prices.setdefault(symbol, set()), self.sizes.setdefault(symbol, set())
        for price, size in _LEVEL.findall(text):
            prices.add(price)
            sizes.add(size)


def records(path: Path) -> Iterator[Record]:
    """The records of a capture file in order. CaptureError names the first one that is not readable."""
    number = -1
    try:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for number, line in enumerate(lines):
                yield _record(path, number, line)
    except (EOFError, zlib.error, gzip.BadGzipFile, UnicodeDecodeError) as error:
        raise CaptureError(
            f"{path.name}: record {number + 1}: the file is cut off or no gzip text ({error})"
        ) from error
    except OSError as error:
        raise CaptureError(f"{path.name}: {error.strerror or error}") from error


def _record(path: Path, number: int, line: str) -> Record:
    where = f"{path.name}: record {number}"
    try:
        raw = json.loads(line)
    except ValueError as error:
        raise CaptureError(f"{where}: not a JSON line ({error})") from error
    if not isinstance(raw, dict):
        raise CaptureError(f"{where}: expected an object, got {type(raw).__name__}")
    for name, kind in _PLAIN_FIELDS.items():
        if not isinstance(raw.get(name), kind):
            raise CaptureError(f"{where}: field `{name}` is {raw.get(name)!r}, expected text")
    ts = raw.get("ts")
    if isinstance(ts, bool) or not (ts is None or isinstance(ts, int | float)):
        raise CaptureError(f"{where}: field `ts` is {ts!r}, expected epoch seconds or null")
    return Record(number, ts, raw["venue"], raw["dir"] == "in" and not raw.get("ev"), raw["url"], raw["data"])


class Capture:
    """A `Feed` over one venue's part of a recording."""

    def __init__(self, path: Path, venue: Player, seen: _Seen) -> None:
        self._path = path
        self._venue = venue
        self._snapshots = seen.snapshots
        self._streams = seen.streams
        symbols = sorted(seen.streams.keys() | seen.snapshots.keys())
        self._info = ""
        self._listings: dict[str, Listing] = {}
        if seen.info:
            self._info, listed = venue.listed(seen.info, symbols)
            self._listings = {item.symbol: item for item in listed}
        for symbol in symbols:
            if symbol not in self._listings:
                guessed = venue.seen(symbol, sorted(seen.prices.get(symbol, ())), sorted(seen.sizes.get(symbol, ())))
                self._listings[symbol] = guessed
                self._info = ""  # the recorded list is not complete, so it has to be written anew

    @property
    def symbols(self) -> list[str]:
        return list(self._listings)

    @property
    def has_books(self) -> bool:
        return any(stream.kind == "depth" for streams in self._streams.values() for stream in streams)

    def frames(self) -> Iterator[tuple[float | None, Frame]]:
        """(receive time in epoch seconds or None, frame), in order of receipt."""
        for record in records(self._path):
            if record.venue != self._venue.id or not record.inbound:
                continue
            recorded = self._venue.recorded(record.url, record.data)
            if isinstance(recorded, RecordedFrame):
                yield record.ts, recorded.frame

    def info(self, now_ms: int) -> str:
        return self._info or self._venue.wire.info(list(self._listings.values()), now_ms)

    def listings(self) -> Sequence[Listing]:
        return list(self._listings.values())

    def begin(self, stream: Stream, now_ms: int) -> Frame | None:
        """Nothing: images are in the recording, in their place."""
        return None

    def listing(self, symbol: str) -> Listing | None:
        return self._listings.get(symbol)

    def snapshot(self, symbol: str, limit: int, now_ms: int) -> str | None:
        """The earliest recorded one, whole, whatever `limit` says: that is what the stream continues."""
        return self._snapshots.get(symbol)

    def stale_snapshot(self, symbol: str, limit: int, now_ms: int) -> str | None:
        text = self._snapshots.get(symbol)
        return self._venue.aged(text) if text is not None else None

    def open_interest(self, symbol: str, now_ms: int) -> str | None:
        return None

    def resolve(self, stream: Stream) -> Stream | None:
        """The same stream, else another interval of the same kind, else single trades for merged ones."""
        there = self._streams.get(stream.symbol, [])
        if stream in there:
            return stream
        for kind in (stream.kind, "trade" if stream.kind == "agg_trade" else stream.kind):
            for other in sorted(there, key=lambda one: one.interval_ms):
                if other.kind == kind:
                    return other
        return None


def load(path: Path, players: Mapping[str, Player]) -> dict[str, Capture]:
    """Every venue of a recording as a feed. CaptureError on a foreign venue, an empty or a broken file."""
    seen: dict[str, _Seen] = {}
    for record in records(path):
        if record.venue not in players:
            known = ", ".join(players)
            raise CaptureError(f"{path.name}: record {record.number}: venue {record.venue!r} has no player ({known})")
        if record.inbound:
            _note(path, record, players[record.venue], seen.setdefault(record.venue, _Seen()))
    if not any(part.streams for part in seen.values()):
        raise CaptureError(f"{path.name}: no market data in it")
    return {venue: Capture(path, players[venue], part) for venue, part in seen.items() if part.streams}


def _note(path: Path, record: Record, venue: Player, seen: _Seen) -> None:
    try:
        recorded = venue.recorded(record.url, record.data)
    except ValueError as error:
        raise CaptureError(f"{path.name}: record {record.number}: no {venue.id} frame ({error})") from error
    match recorded:
        case RecordedInfo(text):
            seen.info = seen.info or text
        case RecordedSnapshot(symbol, text):
            if symbol not in seen.snapshots:
                seen.snapshots[symbol] = text
                seen.sample(symbol, text)
        case RecordedFrame(_, frame):
            symbol = frame.stream.symbol
            known = seen.streams.setdefault(symbol, [])
            if frame.stream not in known:
                known.append(frame.stream)
            if frame.stream.kind == "depth" and seen.sampled.get(symbol, 0) < SAMPLED_FRAMES:
                seen.sampled[symbol] = seen.sampled.get(symbol, 0) + 1
                seen.sample(symbol, frame.payload)
