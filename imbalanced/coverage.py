"""What a recording covers: for every stream its span, its longest pause, its gaps and what is missing.

Fed with what the pipeline made of each frame, so a book is covered exactly while it was proven, and a trade is missing
exactly where the venue's own ids say so. Times are receive times in nanoseconds since the epoch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from imbalanced.events import (
    BookChanged,
    BookInvalid,
    BookReplaced,
    BookValid,
    Frame,
    Liquidation,
    Mark,
    Notice,
    Trade,
    TradeIgnored,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

CHANNELS: dict[type, str] = {
    BookReplaced: "book",
    BookChanged: "book",
    Trade: "trades",
    TradeIgnored: "trades",
    Mark: "context",
    Liquidation: "liquidations",
}
MOST_HOLES = 1_000


class Stream(Struct, kw_only=True):
    """One channel of one instrument (or all frames of a venue, where ``instrument`` is empty).

    ``live_ns`` is how long a book was proven; ``gaps`` counts its losses by kind. ``holes`` are ranges of trade ids
    that never came, both ends missing, ``missing`` is how many ids that are. ``longest_pause_ns`` began at
    ``pause_ns``.
    """

    venue: str
    instrument: str
    channel: str
    events: int = 0
    first_ns: int = 0
    last_ns: int = 0
    longest_pause_ns: int = 0
    pause_ns: int = 0
    live_ns: int = 0
    gaps: dict[str, int] = field(default_factory=dict)
    holes: list[tuple[int, int]] = field(default_factory=list)
    missing: int = 0
    live_since_ns: int | None = None

    def heard(self, recv_ns: int) -> None:
        """One more event."""
        if self.events == 0:
            self.first_ns = recv_ns
        elif recv_ns - self.last_ns > self.longest_pause_ns:
            self.longest_pause_ns, self.pause_ns = recv_ns - self.last_ns, self.last_ns
        self.events += 1
        self.last_ns = max(self.last_ns, recv_ns)

    def valid(self, recv_ns: int) -> None:
        """Proven from here on."""
        if self.live_since_ns is None:
            self.live_since_ns = recv_ns

    def invalid(self, recv_ns: int, kind: str) -> None:
        """Proven until here."""
        self.gaps[kind] = self.gaps.get(kind, 0) + 1
        if self.live_since_ns is not None:
            self.live_ns += max(recv_ns - self.live_since_ns, 0)
            self.live_since_ns = None

    def hole(self, ids: str) -> None:
        """Trades whose ids (``first..last``) never came."""
        first, last = (int(one) for one in ids.split(".."))
        self.missing += last - first + 1
        if len(self.holes) < MOST_HOLES:
            self.holes.append((first, last))


class Coverage:
    """The whole recording."""

    def __init__(self) -> None:
        self.records = 0
        self.begin_ns = self.end_ns = 0
        self._streams: dict[tuple[str, str, str], Stream] = {}

    def see(self, frame: Frame, outputs: Iterable[Any]) -> None:
        """One record and what the pipeline made of it."""
        self.records += 1
        self.begin_ns = self.begin_ns or frame.recv_ns
        self.end_ns = max(self.end_ns, frame.recv_ns)
        if frame.kind in ("ws", "http"):
            self._stream(frame.venue, "", "frames").heard(frame.recv_ns)
        self.timer(outputs)

    def timer(self, outputs: Iterable[Any]) -> None:
        """What the pipeline made of a timer of its own."""
        for event in outputs:
            kind = type(event)
            channel = CHANNELS.get(kind)
            if channel is not None:
                self._stream(event.venue, event.instrument, channel).heard(event.recv_ns)
            elif kind is BookValid:
                self._stream(event.venue, event.instrument, "book").valid(event.recv_ns)
            elif kind is BookInvalid:
                self._stream(event.venue, event.instrument, "book").invalid(event.recv_ns, event.reason.value)
            elif kind is Notice and event.what == "trade_gap":
                self._stream(event.venue, event.instrument, "trades").hole(event.detail)
            elif kind is Notice and event.what == "parse_error":
                stream = self._stream(event.venue, "", "frames")
                stream.gaps[event.what] = stream.gaps.get(event.what, 0) + 1

    def never_proven(self, venue: str, instrument: str) -> None:
        """An instrument that is in the recording, whether or not its book ever was."""
        self._stream(venue, instrument, "book")

    def close(self) -> list[Stream]:
        """The streams, sorted; books that are still proven are so until the last record."""
        for stream in self._streams.values():
            if stream.live_since_ns is not None:
                stream.live_ns += max(self.end_ns - stream.live_since_ns, 0)
                stream.live_since_ns = None
        return [self._streams[key] for key in sorted(self._streams)]

    def _stream(self, venue: str, instrument: str, channel: str) -> Stream:
        key = (venue, instrument, channel)
        found = self._streams.get(key)
        if found is None:
            found = self._streams[key] = Stream(venue=venue, instrument=instrument, channel=channel)
        return found


def report(coverage: Coverage) -> dict[str, Any]:
    """As plain data. ``live`` is the share of the recording during which a book was proven; ``complete`` is false when
    anything was lost: a gap, a trade id that never came, a frame that did not parse, a book that was never proven.
    """
    streams = coverage.close()
    span_ns = coverage.end_ns - coverage.begin_ns
    return {
        "records": coverage.records,
        "begin_ns": coverage.begin_ns,
        "end_ns": coverage.end_ns,
        "complete": not any(_faults(one) for one in streams),
        "streams": [
            {
                "venue": one.venue,
                "instrument": one.instrument,
                "channel": one.channel,
                "events": one.events,
                "first_ns": one.first_ns,
                "last_ns": one.last_ns,
                "longest_pause_ns": one.longest_pause_ns,
                "pause_began_ns": one.pause_ns,
                "live": _share(one.live_ns, span_ns) if one.channel == "book" else None,
                "gaps": one.gaps,
                "missing_trades": one.missing,
                "holes": [list(hole) for hole in one.holes],
            }
            for one in streams
        ],
    }


def _share(part_ns: int, span_ns: int) -> float:
    return round(part_ns / span_ns, 6) if span_ns else float(part_ns > 0)


def _faults(one: Stream) -> bool:
    return bool(one.gaps or one.missing or (one.channel == "book" and one.events == 0))


def rows(told: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """The report as a table of words: venue, instrument, channel, events, longest pause, proven, what is missing."""
    for one in told["streams"]:
        lost = [f"{kind} {count}" for kind, count in sorted(one["gaps"].items())]
        if one["missing_trades"]:
            lost.append(f"{one['missing_trades']} trades in {len(one['holes'])} holes")
        if one["channel"] == "book" and one["events"] == 0:
            lost.append("never proven")
        yield (
            one["venue"],
            one["instrument"] or "-",
            one["channel"],
            f"{one['events']:,}",
            f"{one['longest_pause_ns'] / 1e9:.3f} s" if one["events"] > 1 else "-",
            "-" if one["live"] is None else f"{100 * one['live']:.2f} %",
            ", ".join(lost) or "-",
        )
