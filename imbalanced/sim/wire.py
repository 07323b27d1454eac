"""What there is to say of a market, and the base of all venues' texts for it.

Pure data: flows, instruments, book changes in the market's own ticks, lots and ids. A venue's `Wire` writes them down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from imbalanced.sim.market import BookSide, Change, Level, Trade

# How a flow speaks: `depth` = changes that need an image by REST; `book` = its image first, then changes; `image` = the
# whole book at every turn of the interval; `orders` = as `book`, but order by order. `mark`, `index`, `funding`,
# `interest`: what else is told of a contract.
StreamKind = Literal[
    "depth",
    "book",
    "image",
    "orders",
    "trade",
    "agg_trade",
    "bbo",
    "mark",
    "index",
    "funding",
    "interest",
    "liquidation",
]
BOOKS: frozenset[StreamKind] = frozenset({"depth", "book", "image", "orders"})
ALL_SYMBOLS = "*"


@dataclass(frozen=True, slots=True)
class Stream:
    """One flow of frames. `symbol` is the venue's own, or ALL_SYMBOLS. `interval_ms` 0 = as it happens. `levels` a
    side that a book or an image has, 0 = all.
    """

    symbol: str
    kind: StreamKind
    interval_ms: int = 0
    levels: int = 0


@dataclass(frozen=True, slots=True)
class Listing:
    """An instrument. Prices on the wire are `tick * tick_units` counted in 10**-price_decimals, sizes alike.

    `contract`: base units that a size of 1 is worth, where sizes count contracts.
    """

    symbol: str  # the venue's own id
    unified: str
    base: str
    quote: str
    tick_units: int
    price_decimals: int
    lot_units: int
    size_decimals: int
    start_tick: int = 1
    contract_size: int = 0  # quote units per lot of an inverse contract, 0 otherwise
    contract: str = "1"
    halted: bool = False  # it does not trade just now

    def price(self, tick: int) -> str:
        return fixed(tick * self.tick_units, self.price_decimals)

    def size(self, lots: int) -> str:
        return fixed(lots * self.lot_units, self.size_decimals)


@dataclass(slots=True)
class Batch:
    """Book changes netted over one interval: the first and last id in it, the last id before it."""

    previous_id: int
    first_id: int
    last_id: int
    ms: int  # engine time of the last change
    bids: dict[int, int] = field(default_factory=dict)
    asks: dict[int, int] = field(default_factory=dict)
    ids: dict[tuple[BookSide, int], int] = field(default_factory=dict)  # of the last change of each level

    def put(self, change: Change) -> None:
        (self.bids if change.side == "bid" else self.asks)[change.tick] = change.lots
        self.ids[change.side, change.tick] = change.id


@dataclass(frozen=True, slots=True)
class Image:
    """A whole book as of `last_id`, best levels first. `ms` is engine time, `number` counts a flow's messages."""

    last_id: int
    ms: int
    bids: Sequence[Level]
    asks: Sequence[Level]
    number: int = 0


class Touched(NamedTuple):
    """A level that now has `lots` (0 = gone) where the client knows `was` (0 = nothing)."""

    tick: int
    lots: int
    was: int


@dataclass(frozen=True, slots=True)
class Changes:
    """One message of a `book` flow after its image. Ids are as they are written; `number` counts the flow's messages.

    `top` is the book after it, as many levels as the venue's checksum is made of.
    """

    number: int
    previous_id: int
    last_id: int
    ms: int
    bids: Sequence[Touched]
    asks: Sequence[Touched]
    top: Image


class Order(NamedTuple):
    """One order that rests with `lots` (0 = gone). Ids rise in the order of arrival."""

    id: int
    side: BookSide
    tick: int
    lots: int


@dataclass(frozen=True, slots=True)
class Resting:
    """Orders of a book, best first, equal prices by id. `number` counts a flow's messages."""

    ms: int
    bids: Sequence[Order]
    asks: Sequence[Order]
    number: int = 0


@dataclass(frozen=True, slots=True)
class OrderChanges:
    """One message of an `orders` flow after its image: the orders that came, changed or went.

    `top` is the book after it, as many orders as the venue's checksum is made of.
    """

    number: int
    ms: int
    orders: Sequence[Order]
    top: Resting


@dataclass(frozen=True, slots=True)
class Mark:
    """Mark and index price in ticks (fractions allowed), funding as a fraction per interval, open contracts in lots."""

    price: float
    index: float
    funding: float
    next_funding_ms: int
    open_lots: int = 0


def one_by_one(bids: Sequence[Touched], asks: Sequence[Touched]) -> list[tuple[BookSide, Touched]]:
    """The levels of a message that tells each in a frame of its own: what goes is told first, so that no book is
    crossed between two frames.
    """
    told: list[tuple[BookSide, Touched]] = [*(("bid", one) for one in bids), *(("ask", one) for one in asks)]
    return sorted(told, key=lambda one: one[1].lots > 0)


def gone_first(orders: Sequence[Order]) -> list[Order]:
    """Likewise of orders."""
    return sorted(orders, key=lambda one: one.lots > 0)


Restart = Literal["", "image", "lower"]


class Wire:
    """The venue's habits and its texts for what a market says; an empty text is nothing said. `sent_ms` is push time.

    A venue overrides what it has; being asked for anything else is a mistake of its desk.
    """

    intervals: Sequence[int] = ()  # ms, of the `depth` flows
    images: Sequence[tuple[int, int]] = ()  # (interval ms, levels) of the `image` flows
    contexts: Sequence[tuple[StreamKind, int]] = ()  # (kind, interval ms) of what is told by the clock
    idle_ms: int = 0  # a `book` flow without changes says so that often; 0 = never
    tells_leaving: bool = True  # whether a level that falls out of the depth of a `book` flow is deleted in words
    checksum_levels: int = 0
    level_frames: bool = False  # whether each level of a message of a `book` flow is a frame of its own
    counts_levels: bool = False  # and has a number of its own
    first_number: int = 1  # of the messages of a `book` flow; a service that restarts with an image begins with 1
    # What a `book` flow does when the venue's service restarts: a fresh image, or lower ids that still are a chain.
    restart: Restart = ""
    states: str = ""  # what is in every text that tells who trades; empty where none does

    def update_id(self, id: int) -> int:
        """The venue's number for the market's."""
        return id

    def depth(self, listing: Listing, batch: Batch, sent_ms: int) -> str:
        raise NotSaidError(type(self).__name__, "depth")

    def snapshot(self, listing: Listing, image: Image, sent_ms: int) -> str:
        """The body of the REST answer."""
        raise NotSaidError(type(self).__name__, "snapshot")

    def image(self, listing: Listing, stream: Stream, image: Image, sent_ms: int) -> str:
        """A frame of a `book` flow that begins it (anew), or of an `image` flow."""
        raise NotSaidError(type(self).__name__, "image")

    def changes(self, listing: Listing, stream: Stream, changes: Changes, sent_ms: int) -> str:
        raise NotSaidError(type(self).__name__, "changes")

    def texts(self, listing: Listing, stream: Stream, changes: Changes, sent_ms: int) -> Sequence[str]:
        """The frames of one message: a single one, or where the venue has it so one a level. After the last of them
        a client's book is the market's.
        """
        return (self.changes(listing, stream, changes, sent_ms),)

    def orders(self, listing: Listing, stream: Stream, resting: Resting, sent_ms: int) -> str:
        """A frame that begins an `orders` flow."""
        raise NotSaidError(type(self).__name__, "orders")

    def order_texts(self, listing: Listing, stream: Stream, changes: OrderChanges, sent_ms: int) -> Sequence[str]:
        """The frames of one message of an `orders` flow."""
        raise NotSaidError(type(self).__name__, "order_texts")

    def restarted(self, image: str, sent_ms: int) -> Sequence[str]:
        """What is said when the service behind a flow begins anew; `image` is the frame that would begin it."""
        return (image,)

    def trading(self, listing: Listing, sent_ms: int) -> tuple[str, str] | None:
        """What is said when a symbol stops to trade or trades again (`listing.halted`): the name of the subscription
        that tells it, and the text; None where the venue has no word for it.
        """
        return None

    def trades(self, listing: Listing, trade: Trade, ms: int, sent_ms: int) -> Sequence[str]:
        """One frame a fill."""
        raise NotSaidError(type(self).__name__, "trades")

    def agg_trade(self, listing: Listing, trade: Trade, ms: int, sent_ms: int) -> str:
        """One frame for all fills of a taker's order at one price."""
        raise NotSaidError(type(self).__name__, "agg_trade")

    def history(self, listing: Listing, stream: Stream, past: Sequence[tuple[int, Trade]], sent_ms: int) -> str:
        """What a new subscriber of trades is told of (ms, trade) before, oldest first."""
        return ""

    def bbo(self, listing: Listing, image: Image, sent_ms: int) -> str:
        raise NotSaidError(type(self).__name__, "bbo")

    def context(self, listing: Listing, stream: Stream, mark: Mark, sent_ms: int) -> str:
        raise NotSaidError(type(self).__name__, stream.kind)

    def first_context(self, listing: Listing, stream: Stream, mark: Mark, sent_ms: int) -> str:
        """What a new subscriber is told of it."""
        return self.context(listing, stream, mark, sent_ms)

    def liquidation(self, listing: Listing, trade: Trade, ms: int, sent_ms: int) -> str:
        raise NotSaidError(type(self).__name__, "liquidation")

    def info(self, listings: Sequence[Listing], sent_ms: int) -> str:
        """The whole list of instruments, where the venue has one."""
        raise NotSaidError(type(self).__name__, "info")


class NotSaidError(ValueError):
    """A wire was asked for something that this venue never says."""

    def __init__(self, wire: str, what: str) -> None:
        super().__init__(f"{wire} says no {what}")


def fixed(units: int, decimals: int) -> str:
    """`units` counted in 10**-decimals as plain decimal text with exactly `decimals` places."""
    if decimals == 0:
        return str(units)
    scale = 10**decimals
    return f"{units // scale}.{units % scale:0{decimals}d}"
