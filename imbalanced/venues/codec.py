"""What a venue file answers, and what it may ask the world to do.

A codec is the only place that knows a venue's wire. It turns frames into messages (below), says which sockets to open,
what to send on them, how a book is proven (:class:`Continuity`, as data), how often to keep a socket alive and how fast
one may ask. It holds no book and no clock, opens nothing and waits for nothing.

Errors::

    CodecError              a frame that this venue should not have sent; carries channel, symbol (if known),
                            first bytes
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imbalanced.book import Book, Rows
    from imbalanced.events import Frame, Instrument
    from imbalanced.orders import OrderChange, Orders
    from imbalanced.venues.diff import Diff


class CodecError(ValueError):
    """A frame that does not parse. The book of ``symbol`` (all of the socket where empty) is no longer trusted."""

    def __init__(self, why: str, data: bytes, *, channel: str = "", symbol: str = "") -> None:
        self.why, self.channel, self.symbol, self.head = why, channel, symbol, data[:120]
        super().__init__(f"{why}; frame begins {self.head!r}")


# -- commands: what the core asks of the connector ---------------------------------------------------------------------


class Open(Struct, frozen=True, kw_only=True):
    """Open socket ``conn`` at ``url``; answered by a frame ``open``, later ``close``."""

    venue: str
    conn: int
    url: str


class Send(Struct, frozen=True, kw_only=True):
    """Send one text frame on an open socket, or a PING where it is empty. The connector keeps to the venue's message
    rate.
    """

    venue: str
    conn: int
    data: str


class Fetch(Struct, frozen=True, kw_only=True):
    """Call ``url``; answered by one frame ``http`` with the same url. ``weight`` is what it costs of the venue's
    budget. A POST has no body.
    """

    venue: str
    url: str
    weight: int = 1
    method: Literal["GET", "POST"] = "GET"


class Wake(Struct, frozen=True, kw_only=True):
    """Feed a frame ``wake`` at this receive time or as soon after it as possible. A later command replaces an
    earlier.
    """

    venue: str
    at_ns: int


class Reconnect(Struct, frozen=True, kw_only=True):
    """Close socket ``conn`` and open it again with backoff; answered by frames ``close`` and ``open``.

    ``planned``: nothing is wrong (a rotation before the venue's own cut), so no backoff is due.
    """

    venue: str
    conn: int
    url: str
    reason: str
    planned: bool = False


class Close(Struct, frozen=True, kw_only=True):
    """Close socket ``conn`` for good (another has taken over, or nothing is left on it); answered by a frame
    ``close``.
    """

    venue: str
    conn: int
    reason: str


Command = Open | Send | Fetch | Wake | Reconnect | Close


# -- what a venue says of itself ---------------------------------------------------------------------------------------


class Source(Enum):
    """Where a whole book comes from."""

    REST = "an answer to a call; diffs are collected meanwhile"
    STREAM = "the first message of a subscription; a new one may come at any time and begins the book anew"
    FULL = "every message is a whole book"


class Chain(Enum):
    """How one diff follows another."""

    NONE = "nothing tells"

    PLUS_ONE = "first_id == last_id of the diff before + 1"
    PREVIOUS = "prev_id == last_id of the diff before"


class Continuity(Struct, frozen=True, kw_only=True):
    """The proof of a book, as data.

    ``depth``: the venue keeps so many levels a side and leaves it to us to drop what falls out (0: it says so itself).
    ``image_levels``: a REST snapshot has so many levels a side at most (0: all of them). ``sums_apart``: a checksum is
    a message of its own and not part of each.
    ``orders``: the book comes order by order; diffs and images hold ``orders`` in place of rows.
    For a REST snapshot, with ``L`` its id: diffs with ``last_id < L + offset`` are dropped; the first one kept must
    have
    ``first_id <= L + offset <= last_id`` (or ``prev_id == L`` where the chain is PREVIOUS).
    """

    chain: Chain
    source: Source = Source.REST
    offset: int = 0
    diffs_before_snapshot: int = 1
    depth: int = 0
    image_levels: int = 0
    sums_apart: bool = False
    orders: bool = False


class Keepalive(Struct, frozen=True, kw_only=True):
    """Text that must be sent on each socket every so often, or the venue closes it. Empty: a PING of the protocol, for
    a venue that wants it whether data flows or not (in silence the transport asks by itself).
    """

    every_s: float
    text: str


class Limits(Struct, frozen=True, kw_only=True):
    """What the venue allows and does. Times in seconds.

    ``subscriptions_per_hour``: requests to subscribe or unsubscribe on one socket (0: no such limit).
    """

    messages_per_s: float = 5.0
    weight_per_min: int = 1000
    streams_per_socket: int = 200
    subscriptions_per_hour: int = 0
    lifetime_s: float = 24 * 3600.0
    peer_silence_s: float = 60.0
    max_frame_bytes: int = 32 << 20


class Credentials(Protocol):
    """What a venue gave its customer to sign requests with. A codec never sees it."""

    @property
    def key(self) -> str:
        """The name of the key."""

    @property
    def secret(self) -> str:
        """What is signed with."""

    @property
    def passphrase(self) -> str | None:
        """Where the venue gave one."""


class Endpoints(Struct, frozen=True, kw_only=True):
    """The venue's hosts: ``rest`` and ``ws`` base URLs without a trailing slash."""

    rest: str
    ws: str


class LinkPlan(Struct, frozen=True, kw_only=True):
    """One socket: where it goes, whose books (venue symbols) it carries, what is sent once it is open.

    ``prelude``: a call that is made before each opening, as its answer (a :class:`Door`) tells where the socket goes.
    """

    conn: int
    url: str
    books: tuple[str, ...]
    subscribe: tuple[str, ...]
    prelude: Fetch | None = None


# -- what a frame says -------------------------------------------------------------------------------------------------


class Image(Struct, frozen=True, kw_only=True):
    """A whole book as of ``last_id``. ``orders``: each order as a PUT, in place of rows, where the book is kept by
    orders. ``checksum`` is the codec's own, for its ``verify`` where ``checked``.
    """

    symbol: str
    last_id: int
    event_ns: int
    rows: Rows
    checked: bool = False
    orders: Sequence[OrderChange] = ()
    checksum: object = None


class ImageFailed(Struct, frozen=True, kw_only=True):
    """The book image that was asked for did not come. ``retry_after_s`` where the venue said one; ``gone``: no
    such symbol.
    """

    symbol: str
    why: str
    retry_after_s: float = 0.0
    gone: bool = False


class Print(Struct, frozen=True, kw_only=True):
    """One public trade as the venue prints it. ``stream`` tells which of the venue's trade streams it came by.

    ``trade_id`` is -1 where ids are no growing numbers. ``why_not`` is ``history`` (sent on subscription) or
    ``not_market`` (no aggressor): counted, never traded on.
    """

    symbol: str
    stream: str
    px: int
    size: float
    sign: int
    trade_id: int
    event_ns: int
    why_not: str = ""


class LastTrade(Struct, frozen=True, kw_only=True):
    """The venue says which trade of this symbol was the last: it is lost if it was never printed."""

    symbol: str
    trade_id: int


class Context(Struct, frozen=True, kw_only=True):
    """Mark, index, funding, open interest of one symbol (None: not said)."""

    symbol: str
    event_ns: int
    mark: float | None = None
    index: float | None = None
    funding_rate: float | None = None
    funding_interval_h: float | None = None
    next_funding_ns: int | None = None
    open_interest: float | None = None


class Forced(Struct, frozen=True, kw_only=True):
    """A liquidation order."""

    symbol: str
    event_ns: int
    px: int
    size: float
    sign: int


class Answer(Struct, frozen=True, kw_only=True):
    """The venue's answer to something we sent. ``error`` is empty when it is an acknowledgement.

    ``symbols``: whom it is about, where the venue says so (in an acknowledgement none means all that was asked);
    ``gone``: the venue does not know them (any more); ``again``: what was refused together is asked for one by one.
    """

    request_id: int
    error: str = ""
    symbols: tuple[str, ...] = ()
    gone: bool = False
    again: bool = False


class Trading(Struct, frozen=True, kw_only=True):
    """The venue says whether a symbol trades (empty: everything on this socket): ``halted`` until it is ``trading``
    again, or ``gone`` for good.
    """

    symbol: str
    state: Literal["trading", "halted", "gone"]
    why: str


class Reply(Struct, frozen=True):
    """The venue asked something that must be answered at once on the same socket (a heartbeat test)."""

    text: str


class Door(Struct, frozen=True):
    """Where the sockets with a ``prelude`` are to be opened now."""

    url: str


class SocketGap(Struct, frozen=True):
    """A counter over all messages of this socket jumped: something is missing, and nobody knows of whom."""

    detail: str


class Gone(Struct, frozen=True, kw_only=True):
    """The venue itself says that the book of this symbol must be begun anew, and why."""

    symbol: str
    why: str


class ClosingSoon(Struct, frozen=True):
    """The venue says that it will close this socket: open the next one now."""


class Listing(Struct, frozen=True):
    """The venue's own list of instruments (only in recordings)."""

    instruments: tuple[Instrument, ...]


Message: TypeAlias = (
    "Diff | Image | ImageFailed | Print | LastTrade | Context | Forced | Answer | Trading | Reply | Door"
    " | SocketGap | Gone | ClosingSoon | Listing"
)


class Codec(Protocol):
    """One venue. Made per venue and run with its instruments; see ``venues/binance.py`` for one in full.

    ``checks`` names the proofs that a live book has (``sequence``, ``checksum``); ``trades_count_up``: the ids of one
    symbol's trades are consecutive, so that a hole is a loss. Two sockets may tell the same book at once (one takes
    over from the other): what is remembered of a book's messages is remembered by ``frame.conn`` as well.
    """

    venue: str
    continuity: Continuity
    limits: Limits
    keepalive: Keepalive | None
    checks: tuple[str, ...]
    trades_count_up: bool

    def opened(self, conn: int) -> None:
        """A socket is new: forget what was remembered of the one before (channel numbers, counters)."""

    def plan(self, instruments: Sequence[Instrument]) -> list[LinkPlan]:
        """The sockets that carry all streams of these instruments."""

    def decode(self, frame: Frame) -> list[Message]:
        """What a ``ws`` or ``http`` frame says; nothing for what concerns us not. Raises CodecError."""

    def fetch_image(self, symbol: str) -> Fetch:
        """The REST call whose answer is an :class:`Image` of this symbol (source REST)."""

    def resubscribe(self, symbol: str, conn: int = 0) -> Sequence[str]:
        """What is sent on socket ``conn`` so that the image of a book comes again; where it comes by REST, so that a
        silent stream is served again (nothing where that is no use). Where a request names what a socket knows the
        stream by, it is that of this very socket: two may carry the book.
        """

    def resubscribe_trades(self, symbol: str, conn: int = 0) -> Sequence[str]:
        """What is sent on socket ``conn`` so that the trades of a symbol are served again; nothing where they come with
        its book, or where it is no use.
        """

    def unsubscribe(self, symbol: str, conn: int = 0) -> Sequence[str]:
        """What is sent on socket ``conn`` when a book is not wanted any more; nothing where it is not worth a word."""

    def verify(self, message: Diff | Image, book: Book) -> bool:
        """Whether a book with this diff or image in it is what its checksum says; asked when it is ``checked``."""

    def know(self, instrument: Instrument) -> None:
        """From now on this symbol is decoded with that instrument's scale and contract size."""

    def infer(self, symbol: str) -> Instrument:
        """The instrument behind a symbol of which only the wire name is known (a recording without a listing)."""


class OrderCodec(Codec, Protocol):
    """A codec whose books are kept order by order (``Continuity.orders``)."""

    def verify_orders(self, message: Diff | Image, orders: Orders) -> bool:
        """As ``verify``, of the orders with this diff or image in them."""
