"""The seam: what a simulated venue answers, what its answers are made of, and the few words both sides share.

A venue is pure text in, text out: it opens no socket and reads no clock. `server.py` owns sockets and time; a `Feed`
(`synthetic.py`, `capture.py`) owns the data. Only the files of a venue know its words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from imbalanced.sim.market import BookSide, Level, Trade

StreamKind = Literal["depth", "trade", "agg_trade", "bbo", "mark", "liquidation"]
ALL_SYMBOLS = "*"


@dataclass(frozen=True, slots=True)
class Stream:
    """One flow of frames. `symbol` is the venue's own, or ALL_SYMBOLS. `interval_ms` 0 = as it happens."""

    symbol: str
    kind: StreamKind
    interval_ms: int = 0


@dataclass(frozen=True, slots=True)
class Frame:
    """A payload of a stream. `whole` is the frame as it was recorded, envelope included, if there was one."""

    stream: Stream
    payload: str
    whole: str = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """An instrument. Prices on the wire are `tick * tick_units` counted in 10**-price_decimals, sizes alike."""

    symbol: str  # the venue's own id
    unified: str
    base: str
    quote: str
    tick_units: int
    price_decimals: int
    lot_units: int
    size_decimals: int
    start_tick: int = 1
    contract_size: int = 0  # quote units per contract of an inverse contract, 0 otherwise

    def price(self, tick: int) -> str:
        return fixed(tick * self.tick_units, self.price_decimals)

    def size(self, lots: int) -> str:
        return fixed(lots * self.lot_units, self.size_decimals)


@dataclass(frozen=True, slots=True)
class Limits:
    """What the venue demands of a connection and of an IP address. Seconds of venue time."""

    ping_s: float
    pong_s: float
    lifetime_s: float
    notice_s: float  # a shutdown notice comes so long before the end; 0 = none
    inbound_per_s: int
    max_streams: int
    weight_per_minute: int


@dataclass(slots=True)
class Batch:
    """Book changes netted over one interval: the first and last id in it, the last id before it."""

    previous_id: int
    first_id: int
    last_id: int
    ms: int  # engine time of the last change
    bids: dict[int, int] = field(default_factory=dict)
    asks: dict[int, int] = field(default_factory=dict)

    def put(self, side: BookSide, tick: int, lots: int) -> None:
        (self.bids if side == "bid" else self.asks)[tick] = lots


@dataclass(frozen=True, slots=True)
class Image:
    """A whole book as of `last_id`, best levels first. `ms` is engine time."""

    last_id: int
    ms: int
    bids: Sequence[Level]
    asks: Sequence[Level]


@dataclass(frozen=True, slots=True)
class Mark:
    """Mark and index price in ticks (fractions allowed), funding as a fraction per interval."""

    price: float
    index: float
    funding: float
    next_funding_ms: int


class Wire(Protocol):
    """The venue's texts for what a market says. `sent_ms` is the push time."""

    @property
    def intervals(self) -> Sequence[int]:
        """Of the book streams, ms."""
        ...

    def update_id(self, id: int) -> int: ...
    def depth(self, listing: Listing, batch: Batch, sent_ms: int) -> str: ...
    def snapshot(self, listing: Listing, image: Image, sent_ms: int) -> str: ...
    def trades(self, listing: Listing, trade: Trade, ms: int, sent_ms: int) -> Sequence[str]: ...
    def agg_trade(self, listing: Listing, trade: Trade, ms: int, sent_ms: int) -> str: ...
    def bbo(self, listing: Listing, image: Image, sent_ms: int) -> str: ...
    def mark(self, listing: Listing, mark: Mark, sent_ms: int) -> str: ...
    def liquidation(self, listing: Listing, trade: Trade, ms: int, sent_ms: int) -> str: ...
    def info(self, listings: Sequence[Listing], sent_ms: int) -> str: ...


class Feed(Protocol):
    """What a venue's answers are made of: a synthetic market or a recording."""

    def info(self, now_ms: int) -> str: ...
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

    def resolve(self, stream: Stream) -> Stream | None:
        """The flow that serves a request for `stream`; None when nothing does."""
        ...


@dataclass(frozen=True, slots=True)
class Request:
    path: str
    query: Mapping[str, str]


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


Command = Send | Close


class Desk(Protocol):
    """One client's conversation."""

    @property
    def subscriptions(self) -> Mapping[str, Stream | None]:
        """Stream names as the client wrote them; None = acknowledged, but never served on this socket."""
        ...

    def receive(self, text: str) -> Sequence[Command]:
        """A text frame of the client; what to answer. May change `subscriptions`."""
        ...

    def envelope(self, name: str, frame: Frame) -> str:
        """The text to send to a client that subscribed to `name`."""
        ...

    def notice(self, now_ms: int) -> str:
        """The frame that announces the end of the connection."""
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

    def connect(self, path: str, query: Mapping[str, str]) -> Desk | None:
        """None when there is no such endpoint."""
        ...

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


def fixed(units: int, decimals: int) -> str:
    """`units` counted in 10**-decimals as plain decimal text with exactly `decimals` places."""
    if decimals == 0:
        return str(units)
    scale = 10**decimals
    return f"{units // scale}.{units % scale:0{decimals}d}"
