"""A venue's own codec, session and connector against its simulation on a real socket, and the simulation's true book.

Every frame of a book that the simulation makes is kept with the market's levels at that moment. Whenever the session
has taken such a frame and says that the book is valid, its levels must be those. What differs is in ``wrong``.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import structlog

from imbalanced import instruments
from imbalanced.connector import Connector
from imbalanced.events import BookInvalid, Frame, Notice, Trade
from imbalanced.session import Session
from imbalanced.transports import DEFAULT, TRANSPORTS
from imbalanced.venues import VENUES
from imbalanced.venues.codec import Endpoints

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from imbalanced.events import Instrument
    from imbalanced.sim import Running
    from imbalanced.sim.venue import Listing
    from imbalanced.venues.codec import Keepalive

DEADLINE_S = 15.0
Levels = list[tuple[Decimal, float]]


class Truth:
    """What the market's book was at each book frame that the feed made, by the frame's text."""

    def __init__(self, house: Any, levels: int) -> None:
        self.by_text: dict[bytes, tuple[str, Levels, Levels]] = {}
        self._levels = levels
        self._frames: dict[int, tuple[Any, tuple[str, Levels, Levels]]] = {}  # by identity, so they are kept
        for quote in house.feed._quotes.values():
            for name in ("_flush", "_flush_track", "_images"):
                setattr(quote, name, self._heard(quote, getattr(quote, name)))
        self._send, house.send = house.send, self._sending

    def _heard(self, quote: Any, makes: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
        """``makes`` with its frames noted; while it makes them, the market is level with the last of a message."""

        def noting(*args: Any, **options: Any) -> Iterator[Any]:
            made = list(makes(*args, **options))
            whole = made if makes.__name__ == "_images" else made[-1:]
            for frame in whole:
                count = min(self._levels, frame.stream.levels or self._levels)
                bids, asks = (
                    _base(quote.listing, side) for side in (quote.market.bids(count), quote.market.asks(count))
                )
                self._frames[id(frame)] = (frame, (frame.stream.symbol, bids, asks))
            yield from made

        return noting

    def _sending(self, client: Any, name: str, frame: Any) -> None:
        """The frame's text is what this client's desk makes of it."""
        if "envelope" not in vars(client.desk):
            client.desk.envelope = self._wrapping(client.desk.envelope)
        self._send(client, name, frame)

    def _wrapping(self, envelope: Callable[..., str]) -> Callable[..., str]:
        def noting(name: str, frame: Any) -> str:
            text = envelope(name, frame)
            if id(frame) in self._frames:
                self.by_text[text.encode()] = self._frames[id(frame)][1]
            return text

        return noting


def _base(listing: Listing, levels: list[tuple[int, int]]) -> Levels:
    """Levels with sizes in base units."""
    made = []
    for tick, lots in levels:
        price = Decimal(listing.price(tick))
        if listing.contract_size:
            size = lots * listing.contract_size / float(price)
        else:
            size = float(Decimal(listing.size(lots)) * Decimal(listing.contract))
        made.append((price, size))
    return made


class Watcher:
    """One client. ``said`` is every event, ``compared`` how many frames were held against the truth."""

    def __init__(self, running: Running, venue: str, wanted: tuple[Instrument, ...], *, levels: int = 100) -> None:
        self.said: list[Any] = []
        self.wrong: list[str] = []
        self.frames: list[Frame] = []
        self.sent: list[str] = []
        self.compared = 0
        self.truth = Truth(running._houses[venue], levels)
        codec = VENUES[venue].codec(venue, Endpoints(**running.endpoints[venue]))
        self.session = Session(codec)
        self.wanted = wanted
        self.connector = Connector(
            venue,
            codec.limits,
            TRANSPORTS[DEFAULT],
            self.feed,
            log=structlog.get_logger(),
            on_sent=lambda frame: self.sent.append(frame.data.decode()),
        )
        self._moved = asyncio.Event()

    def feed(self, frame: Frame) -> None:
        self.frames.append(frame)
        self.said += self.session.receive(frame)
        if frame.kind == "ws":
            self._compare(frame)
        commands = self.session.outbox[:]
        self.session.outbox.clear()
        for command in commands:
            self.connector.execute(command)
        self._moved.set()

    def _compare(self, frame: Frame) -> None:
        told = self.truth.by_text.get(frame.data)
        if told is None:
            return
        symbol, *sides = told
        for lane in self.session.lanes.values():
            # While one socket takes over from another, a book is level with its own socket only.
            if self._wire_name(lane.instrument) != symbol or not lane.valid or lane.conn != frame.conn:
                continue
            self.compared += 1
            scale = lane.instrument.price_scale
            for true, ladder in zip(sides, (lane.sync.book.bids, lane.sync.book.asks), strict=True):
                mine = [(Decimal(px).scaleb(-scale), size) for px, size in ladder.levels(len(true))]
                if not _same(mine, true):
                    self.wrong.append(f"{symbol}: {mine[:3]} is not {true[:3]} at {frame.data[:200]!r}")

    def _wire_name(self, instrument: Instrument) -> str:
        """The listing's own symbol, which on one venue is not the one of its sockets."""
        if self.session.venue == "kraken":
            return instrument.symbol
        return instrument.venue_symbol

    @property
    def losses(self) -> list[str]:
        """Why books were lost, in order."""
        return [str(one.reason) for one in self.lost()]

    def lost(self) -> list[BookInvalid]:
        return [one for one in self.said if isinstance(one, BookInvalid)]

    def notices(self, what: str) -> list[Notice]:
        return [one for one in self.said if isinstance(one, Notice) and one.what == what]

    @property
    def valid(self) -> bool:
        return bool(self.session.lanes) and all(lane.valid for lane in self.session.lanes.values())

    def trades(self) -> list[Trade]:
        return [one for one in self.said if isinstance(one, Trade)]

    async def until(self, holds: Callable[[], object], what: str, deadline_s: float = DEADLINE_S) -> None:
        try:
            async with asyncio.timeout(deadline_s):
                while not holds():
                    self._moved.clear()
                    await self._moved.wait()
        except TimeoutError:
            pytest.fail(
                f"never came: {what}; losses {self.losses}, last {[one.data[:200] for one in self.frames[-3:]]}"
            )

    async def compares(self, more: int) -> None:
        """So many more frames are held against the truth, and every book is valid."""
        wanted = self.compared + more
        await self.until(lambda: self.compared >= wanted and self.valid, f"{more} frames of valid books")


def _same(mine: Levels, true: Levels) -> bool:
    return len(mine) == len(true) and all(
        a[0] == b[0] and abs(a[1] - b[1]) <= 1e-9 * b[1] for a, b in zip(mine, true, strict=True)
    )


_listed: dict[tuple[str, ...], instruments.Instruments] = {}


async def listed(running: Running, venue: str) -> instruments.Instruments:
    """The simulation's instruments by the product's own reader: a child process with ccxt, once for each list."""
    key = (venue, *(one.symbol for one in running._houses[venue].feed.listings()))
    if key not in _listed:
        rest = running.endpoints[venue]["rest"]
        _listed[key] = await instruments.load(
            venue, VENUES[venue].ccxt, log=structlog.get_logger(), rest=rest, cache_dir=None
        )
    return _listed[key]


@asynccontextmanager
async def watching(
    running: Running, venue: str, *symbols: str, levels: int = 100, keep: Keepalive | None = None
) -> AsyncIterator[Watcher]:
    """A client of these unified symbols until the end of the block; then nothing it saw may have been wrong.

    ``keep``: in place of the codec's keepalive, for simulations whose clock runs fast.
    """
    wanted = (await listed(running, venue)).select(symbols)
    watcher = Watcher(running, venue, wanted, levels=levels)
    if keep is not None:
        watcher.session.codec.keepalive = keep
    async with asyncio.TaskGroup() as tasks:
        run = tasks.create_task(watcher.connector.run())
        watcher.feed(Frame(watcher.connector.now_ns(), venue, 0, "instruments", msgspec.json.encode(wanted)))
        yield watcher
        await watcher.connector.stop()
        await run
    assert not watcher.wrong, watcher.wrong[:3]
