"""The vocabulary: everything that travels between the stages, and what each word means.

Frozen structs, no behaviour. Meanings are fixed here once:

- *side* is the taker's side; for a liquidation it is the side of the forced order. Positive numbers mean buy pressure.
- *size* is in base units (contract multiplier applied by the codec) as float64; size 0 removes a level.
- *px* is a price as an integer: units of ``10 ** -Instrument.price_scale``, read from the wire text, never through a
  float.
- times are integer nanoseconds since the epoch: ``recv_ns`` by our clock, ``event_ns`` by the venue's (0 where it
  gives none).
- *replaced* means: forget the past. *changed* means: the rows are absolute new sizes.

Nothing here belongs to one venue, metric or sink.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct

if TYPE_CHECKING:
    from imbalanced.book import Book

Side = Literal["buy", "sell", "none"]
FrameKind = Literal["ws", "http", "open", "close", "wake", "instruments", "stop", "resync", "sent", "other"]


class Frame(Struct, frozen=True, gc=False):
    """One input of the pipeline, as it came: the only thing a recording holds and the only clock there is.

    ``kind`` says where it came from: ``ws`` a socket message, ``http`` a REST answer (``status`` 0: no answer, ``data``
    says why), ``open`` and ``close`` a socket's life (``data`` is the reason), ``wake`` a timer that fired,
    ``instruments`` a list of :class:`Instrument` as JSON, ``resync`` an operator's request (``data`` is the
    instrument),
    ``stop`` the orderly end of a run, ``sent`` what we sent (only in recordings).
    ``conn`` numbers the socket within its venue; 0 is REST and everything that is no socket.
    """

    recv_ns: int
    venue: str
    conn: int
    kind: FrameKind
    data: bytes
    url: str = ""
    status: int = 200


class Instrument(Struct, frozen=True, kw_only=True):
    """What can be traded: the unified symbol (``BTC/USDT:USDT``) and how the venue writes it (``BTCUSDT``).

    ``tick`` and ``lot`` are decimal text, empty where unknown. ``contract_size`` is the base (or, ``inverse``, the
    quote) amount of one wire unit of size.
    """

    venue: str
    symbol: str
    venue_symbol: str
    base: str = ""
    quote: str = ""
    tick: str = ""
    lot: str = ""
    price_scale: int = 8
    contract_size: float = 1.0
    inverse: bool = False
    active: bool = True


class GapKind(StrEnum):
    """Why a book is not (or no longer) trusted. The values are label values and wire words."""

    SEQUENCE_GAP = "sequence_gap"
    SEQUENCE_RESET = "sequence_reset"
    STALE_SNAPSHOT = "stale_snapshot"
    SNAPSHOT_NO_OVERLAP = "snapshot_no_overlap"
    SNAPSHOT_FAILED = "snapshot_failed"
    CHECKSUM_MISMATCH = "checksum_mismatch"
    CROSSED_BOOK = "crossed_book"
    SILENT_SUBSCRIPTION = "silent_subscription"
    STALE_STREAM = "stale_stream"
    HEARTBEAT_MISSED = "heartbeat_missed"
    SOCKET_CLOSED = "socket_closed"
    SERVER_SHUTDOWN_NOTICE = "server_shutdown_notice"
    CONNECTION_WIDE_GAP = "connection_wide_gap"
    BUFFER_OVERFLOW = "buffer_overflow"
    PARSE_ERROR = "parse_error"
    TRADE_GAP = "trade_gap"
    OUT_OF_WINDOW = "out_of_window"
    SYMBOL_GONE = "symbol_gone"
    REQUESTED = "requested"
    HALTED = "halted"
    SUBSCRIBE_REFUSED = "subscribe_refused"


class Event(Struct, frozen=True, kw_only=True):
    """What every trusted event carries."""

    venue: str
    instrument: str
    recv_ns: int
    event_ns: int = 0


class BookReplaced(Event, frozen=True, kw_only=True):
    """The book was proven anew; its past is gone. ``book`` is the live book: read it before the next frame is fed."""

    book: Book
    book_seq: int


class BookChanged(Event, frozen=True, kw_only=True):
    """A proven delta was applied; ``book.rows`` holds the rows of the message with the sizes before it."""

    book: Book
    book_seq: int


class BookValid(Event, frozen=True, kw_only=True):
    """The first complete, proven book after a time without one. Followed by :class:`BookReplaced` of the same frame."""

    book_seq: int
    checks: tuple[str, ...]


class BookInvalid(Event, frozen=True, kw_only=True):
    """The book is no longer trusted. Said once per loss, before anything is done about it."""

    reason: GapKind
    detail: str = ""


class ResyncEnded(Event, frozen=True, kw_only=True):
    """One attempt to prove a book again is over: ``ok`` or failed with ``reason``."""

    ok: bool
    reason: str = ""


class Trade(Event, frozen=True, kw_only=True):
    """One public market trade. ``side`` is the taker's; ``sign`` +1 buy, -1 sell, 0 unknown."""

    px: int
    size: float
    sign: int
    trade_id: int


class TradeIgnored(Event, frozen=True, kw_only=True):
    """A print that must not enter order flow: ``history`` sent on subscription, or ``not_market`` (insurance, ADL,
    block).
    """

    why: Literal["history", "not_market"]


class Mark(Event, frozen=True, kw_only=True):
    """Slow context: mark, index, funding (fraction per interval), open interest in base units, shares of accounts (or
    of positions, as the venue defines it) that are long and short. None: not in this message.
    """

    mark: float | None = None
    index: float | None = None
    funding_rate: float | None = None
    funding_interval_h: float | None = None
    next_funding_ns: int | None = None
    open_interest: float | None = None
    long_share: float | None = None
    short_share: float | None = None


class Liquidation(Event, frozen=True, kw_only=True):
    """A forced order; ``sign`` is the order's side: -1 closes a long."""

    px: int
    size: float
    sign: int


class LinkUp(Struct, frozen=True, kw_only=True):
    """A socket of a venue is open."""

    venue: str
    conn: int
    recv_ns: int


class LinkDown(Struct, frozen=True, kw_only=True):
    """A socket of a venue is gone."""

    venue: str
    conn: int
    recv_ns: int
    reason: str


class StreamState(Struct, frozen=True, kw_only=True):
    """A stream changed between ``live``, ``silent`` (acknowledged, never any data) and ``stale`` (had data, none
    now, or far less than ever before): ``reason`` says by what it was judged.
    """

    venue: str
    channel: str
    instrument: str
    recv_ns: int
    state: Literal["live", "silent", "stale"]
    reason: str = ""


class Notice(Struct, frozen=True, kw_only=True):
    """Something an operator should know and a counter should count: ``parse_error``, ``subscribe_error``,
    ``rest_error``... ``proof_lost`` and ``proof_restored`` are of the whole venue; ``channel`` names the proof.
    """

    venue: str
    what: str
    recv_ns: int
    channel: str = ""
    instrument: str = ""
    detail: str = ""


class Suppressed(Struct, frozen=True, kw_only=True):
    """A filter did not let a signal open; ``evidence`` is its line."""

    venue: str
    instrument: str
    recv_ns: int
    kind: str
    filter: str
    evidence: str = ""


class Graded(Struct, frozen=True, kw_only=True):
    """What an opened signal was worth after a horizon: returns as fractions, positive when the signal was right."""

    venue: str
    instrument: str
    recv_ns: int
    kind: str
    id: str
    horizon_ms: int
    gross: float
    net: float


class Ungraded(Struct, frozen=True, kw_only=True):
    """An opened signal whose book was lost before these horizons had passed: what it was worth is not known."""

    venue: str
    instrument: str
    recv_ns: int
    kind: str
    id: str
    horizons_ms: tuple[int, ...]


class FilterAnswer(Struct, frozen=True, kw_only=True):
    """What one filter said of an open. ``quality`` in [0, 1] scales the strength, ``told`` is its evidence."""

    name: str
    verdict: Literal["pass", "fail", "unknown"]
    quality: float = 1.0
    told: str = ""


class Explained(Struct, frozen=True, kw_only=True):
    """Why a signal was opened: everything that the decision saw, as of its frame. Not published, kept in the journal.

    ``options`` are those of the detector, ``values`` the latest of the instrument's metrics, ``bids`` and ``asks`` the
    best levels as texts, ``filters`` the whole chain in the order it was asked. ``frame`` finds it on a recording.
    """

    id: str
    venue: str
    instrument: str
    kind: str
    name: str
    recv_ns: int
    conn: int
    frame: str
    options: dict[str, Any]
    values: dict[str, float | None]
    bids: list[tuple[str, str]]
    asks: list[tuple[str, str]]
    filters: list[FilterAnswer]


class MetricSnapshot(Struct, frozen=True, kw_only=True):
    """The latest values of one instrument's metrics. Conflated downstream: ``conflated`` says how many states it
    stands for.
    """

    venue: str
    instrument: str
    ts_ns: int
    recv_ns: int
    book_seq: int
    mid: str | None
    values: dict[str, float | None]
    conflated: int = 1


class Proof(Struct, frozen=True, kw_only=True):
    """What a signal rests on, as of its frame. Nothing from a wall clock, or a replay could not give the same bytes."""

    book_seq: int
    book_age_ms: int
    checks: list[str]
    gaps_1h: int
    event_lag_ms: int | None = None


class Signal(Struct, frozen=True, kw_only=True):
    """A detected imbalance: the public message. ``seq`` is 0 until the journal has given it its place."""

    v: int = 1
    seq: int = 0
    id: str
    event: Literal["open", "update", "close"]
    kind: str
    side: Side
    venue: str
    instrument: str
    ts_ns: int
    recv_ns: int
    strength: float
    score: float
    confidence: float | None
    mid: str | None
    horizon_ms: int
    evidence: dict[str, float | str | None]
    proof: Proof
    reason: Literal["faded", "reversed", "expired", "book_invalid", "shutdown"] | None
    config: str
