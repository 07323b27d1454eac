"""The seam: what a simulated venue answers, what its answers are made of, and the few words both sides share.

A venue is pure text in, text out: it opens no socket and reads no clock. `server.py` owns sockets and time; a `Feed`
(`synthetic.py`, `capture.py`) owns the data. Only the files of a venue know its words.

A shell (sockets, or a simulated network) does this with a desk: `opened` once, `receive` for every text of the client,
`due` every `tick_ms` of the connection's life, and `envelope` for every frame of a stream in `subscriptions`. What a
desk answers goes out in order, before any frame that the feed makes afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from imbalanced.sim.wire import (
    ALL_SYMBOLS,
    BOOKS,
    Batch,
    Changes,
    Image,
    Listing,
    Mark,
    Order,
    OrderChanges,
    Resting,
    Stream,
    StreamKind,
    Touched,
    Wire,
    fixed,
)

__all__ = [
    "ALL_SYMBOLS",
    "BOOKS",
    "Answer",
    "Batch",
    "Changes",
    "Close",
    "Command",
    "Desk",
    "Feed",
    "Frame",
    "Image",
    "Limits",
    "Listing",
    "Mark",
    "Meter",
    "Order",
    "OrderChanges",
    "Player",
    "Recorded",
    "RecordedFrame",
    "RecordedInfo",
    "RecordedSnapshot",
    "Request",
    "Resting",
    "Send",
    "SimVenue",
    "Stream",
    "StreamKind",
    "Tell",
    "Touched",
    "Wire",
    "fixed",
]


@dataclass(frozen=True, slots=True)
class Frame:
    """A payload of a stream. `whole` is the frame as it was recorded, envelope included, if there was one."""

    stream: Stream
    payload: str
    whole: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """What the venue demands of a connection and of an IP address. Seconds of venue time."""

    ping_s: float  # 0 = it sends no PING
    pong_s: float
    lifetime_s: float  # 0 = for ever
    notice_s: float  # a shutdown notice comes so long before the end; 0 = none
    inbound_per_s: int  # 0 = as many as one likes
    max_streams: int
    weight_per_minute: int


class Feed(Protocol):
    """What a venue's answers are made of: a synthetic market or a recording."""

    def info(self, now_ms: int) -> str: ...
    def listings(self) -> Sequence[Listing]: ...
    def listing(self, symbol: str) -> Listing | None:
        """By the venue's symbol; None when the venue does not list it."""
        ...

    def snapshot(self, symbol: str, limit: int, now_ms: int) -> str | None:
        """The text of the REST answer; None when there is no book to show."""
        ...

    def stale_snapshot(self, symbol: str, limit: int, now_ms: int) -> str | None:
        """A snapshot older than anything the streams still deliver."""
        ...

    def open_interest(self, symbol: str, now_ms: int) -> str | None:
        """Open contracts as size text; None where the feed has none."""
        ...

    def begin(self, stream: Stream, now_ms: int) -> Frame | None:
        """What a new subscriber of this flow is told first, level with the flow's last frame; None for nothing."""
        ...

    def resolve(self, stream: Stream) -> Stream | None:
        """The flow that serves a request for `stream`; None when nothing does."""
        ...


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request; `host` is what the client calls us (name and port)."""

    path: str
    query: Mapping[str, str]
    method: str = "GET"
    body: str = ""
    host: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    text: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Send:
    text: str


@dataclass(frozen=True, slots=True)
class Close:
    code: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Tell:
    """A frame of the subscription `name` out of turn, such as its first image; faults hit it as any other."""

    name: str
    frame: Frame


Command = Send | Tell | Close


class Desk(Protocol):
    """One client's conversation."""

    @property
    def tick_ms(self) -> int:
        """How often `due` wants to be called; 0 = never."""
        ...

    @property
    def subscriptions(self) -> Mapping[str, Stream | None]:
        """Stream names as the client wrote them; None = acknowledged, but never served on this socket."""
        ...

    def opened(self, now_ms: int) -> Sequence[Command]:
        """What the venue says first, on a new connection."""
        ...

    def receive(self, text: str, now_ms: int) -> Sequence[Command]:
        """A text frame of the client; what to answer. May change `subscriptions`."""
        ...

    def due(self, alive_ms: int) -> Sequence[Command]:
        """What is to be said by the clock. `alive_ms`: of the venue's time since the connection was opened."""
        ...

    def envelope(self, name: str, frame: Frame) -> str:
        """The text to send to a client that subscribed to `name`; empty where this client is not told."""
        ...

    def notice(self, now_ms: int) -> str:
        """The frame that announces the end of the connection."""
        ...

    def spoil(self, text: str) -> str:
        """A frame with a wrong checksum in it; unchanged where it has none."""
        ...


@dataclass(frozen=True, slots=True)
class RecordedFrame:
    name: str
    frame: Frame


@dataclass(frozen=True, slots=True)
class RecordedSnapshot:
    symbol: str
    text: str


@dataclass(frozen=True, slots=True)
class RecordedInfo:
    text: str


Recorded = RecordedFrame | RecordedSnapshot | RecordedInfo


class SimVenue(Protocol):
    """One simulated venue. Stateless: conversations live in desks, budgets in the meter, data in the feed."""

    @property
    def id(self) -> str: ...
    @property
    def limits(self) -> Limits: ...
    @property
    def wire(self) -> Wire: ...

    def listings(self, symbols: Sequence[str]) -> list[Listing]:
        """Unified symbols, in the loose sense of a command line, as this venue lists them. ValueError if it cannot."""
        ...

    def rest(self, request: Request, feed: Feed, meter: Meter, now_ms: int) -> Answer: ...
    def snapshot_stream(self, request: Request) -> str | None:
        """The name of the book stream a snapshot request belongs to; None when it asks for something else."""
        ...

    def connect(self, path: str, query: Mapping[str, str], feed: Feed) -> Desk | None:
        """None when there is no such endpoint."""
        ...


class Player(SimVenue, Protocol):
    """A venue whose recordings can be played as well."""

    def recorded(self, url: str, text: str) -> Recorded | None:
        """What an inbound record of a capture is; None for acks and what this venue cannot play."""
        ...

    def listed(self, info: str, symbols: Sequence[str]) -> tuple[str, list[Listing]]:
        """A recorded instrument list cut down to `symbols`, as text and as listings."""
        ...

    def seen(self, symbol: str, prices: Sequence[str], sizes: Sequence[str]) -> Listing:
        """A listing guessed from a symbol and the number texts that were seen of it."""
        ...

    def aged(self, snapshot: str) -> str:
        """A recorded snapshot made too old for its stream."""
        ...


class Meter:
    """Request weight used in the running minute. Pure; `minute_ms` may be shortened for tests."""

    def __init__(self, limit: int, minute_ms: float = 60_000.0) -> None:
        self.limit = limit
        self.used = 0
        self._minute_ms = minute_ms
        self._minute = -1

    def spend(self, weight: int, now_ms: int) -> int:
        """Count `weight`; 0 when within budget, else the whole seconds until the budget is fresh (at least 1)."""
        minute = int(now_ms // self._minute_ms)
        if minute != self._minute:
            self._minute, self.used = minute, 0
        self.used += weight
        if self.used <= self.limit:
            return 0
        left_ms = (minute + 1) * self._minute_ms - now_ms
        return max(1, -int(-left_ms // 1000))
