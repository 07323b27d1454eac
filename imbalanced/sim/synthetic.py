"""The synthetic feed: one `Market` per listing, told in the venue's words.

Pure: time comes in through `advance(now_ms)`. Every interval's book stream is batched from the beginning, asked for or
not, so that the ids of its next frame are right whenever somebody subscribes; a `book` flow is kept from its first
subscriber on (`track.py`). Texts are made only for streams wanted.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from zlib import crc32

from imbalanced.sim.market import Action, Change, Market, Spec, Trade
from imbalanced.sim.population import OrderTrack, Population
from imbalanced.sim.regimes import Regime
from imbalanced.sim.track import Track
from imbalanced.sim.venue import (
    ALL_SYMBOLS,
    Batch,
    Changes,
    Frame,
    Image,
    Listing,
    Mark,
    OrderChanges,
    Resting,
    Stream,
    StreamKind,
    Wire,
)

WARM_UP_MS = 5_000  # every market has lived so long when the simulation starts; stale snapshots come from before
LEVEL_NOTIONAL = 4_000.0  # quote units an ordinary level is worth
LADDER_WIDTH = 0.006  # the ladder of one side spans this fraction of the price
FUNDING_MS = 8 * 3_600_000
HISTORY_TRADES = 50  # that a new subscriber may be told of
_SAMPLED_MS = 1000  # liquidations: the latest of each second


@dataclass(frozen=True, slots=True)
class TrueBook:
    """The oracle: the whole book in wire texts, best first, and the venue's update id it is as of."""

    last_id: int
    bids: list[tuple[str, str]]
    asks: list[tuple[str, str]]


def spec_for(listing: Listing, rng: random.Random) -> Spec:
    """A market fit for a listing: realistic level sizes and a ladder of a realistic width."""
    unit = Decimal(1).scaleb(-listing.price_decimals) * listing.tick_units
    lot = Decimal(1).scaleb(-listing.size_decimals) * listing.lot_units
    price = float(unit * listing.start_tick)
    worth = listing.contract_size or price * float(lot * Decimal(listing.contract))
    return Spec(
        start_tick=listing.start_tick,
        gap_ticks=max(1, int(listing.start_tick * LADDER_WIDTH / 1000)),
        typical_lots=max(1, int(LEVEL_NOTIONAL / worth)),
        first_id=50_000_000_000 + rng.randrange(10**9),
        first_episode_ms=(WARM_UP_MS + 5_000, WARM_UP_MS + 7_000),
    )


class _Quote:
    """One listing's market and the frames that are still being gathered for it."""

    def __init__(self, listing: Listing, wire: Wire, rng: random.Random, start_ms: int) -> None:
        self.listing = listing
        self._wire = wire
        self.market = Market(spec_for(listing, rng), rng, start_ms - WARM_UP_MS)
        self.old = self.image(start_ms - WARM_UP_MS)
        self.open_lots = self.market.spec.typical_lots * 20_000
        for _ in self.market.step(start_ms):
            pass
        self._ms = start_ms
        # An exchange serves its symbols one after the other: they do not all speak at the turn of the same interval.
        self._phase_ms = crc32(listing.symbol.encode()) % 60_000
        self._touch = self.market.touch
        self._changed_ms = start_ms
        self._batches: dict[int, Batch | None] = dict.fromkeys(wire.intervals)
        self._last_ids = dict.fromkeys(wire.intervals, self.market.last_id)
        self._tracks: dict[Stream, Track | OrderTrack] = {}
        self._population: Population | None = None
        self._past: deque[tuple[int, Trade]] = deque(maxlen=HISTORY_TRADES)
        self._forced: tuple[int, Trade] | None = None

    def image(self, ms: int, limit: int | None = None) -> Image:
        return Image(self.market.last_id, ms, self.market.bids(limit), self.market.asks(limit))

    def advance(self, now_ms: int, wanted: frozenset[Stream]) -> Iterator[Frame]:
        for action in self.market.step(now_ms):
            yield from self._told_at_once(action, now_ms, wanted)
            for change in action.changes:
                self._note(change, action.ms)
            if 0 in self._batches:
                yield from self._flush(0, now_ms, wanted)
            for stream in self._tracks:
                if not stream.interval_ms:
                    yield from self._flush_track(stream, now_ms, wanted)
        for interval in self._batches:
            if self._turns(interval, now_ms):
                yield from self._flush(interval, now_ms, wanted)
        for stream in self._tracks:
            if self._turns(stream.interval_ms, now_ms):
                yield from self._flush_track(stream, now_ms, wanted)
        yield from self._told_by_the_clock(now_ms, wanted)
        self._ms = now_ms

    def flush(self, now_ms: int, wanted: frozenset[Stream]) -> Iterator[Frame]:
        """Send what is gathered before its time, so that the streams are level with the true book."""
        for interval in self._batches:
            yield from self._flush(interval, now_ms, wanted)
        for stream in self._tracks:
            yield from self._flush_track(stream, now_ms, wanted)
        yield from self._images(now_ms, wanted)

    def begin(self, stream: Stream, now_ms: int) -> Frame | None:
        """What a new subscriber of this flow is told first."""
        wire, listing = self._wire, self.listing
        text = ""
        if stream.kind in ("book", "orders"):
            text = self._beginning(stream, self._track(stream).image(), now_ms)
        elif stream.kind == "image":
            text = wire.image(listing, stream, self.image(self._changed_ms, stream.levels), now_ms)
        elif stream.kind == "bbo":
            text = wire.bbo(listing, self.image(self._changed_ms, 1), now_ms)
        elif stream.kind in ("trade", "agg_trade"):
            text = wire.history(listing, stream, list(self._past), now_ms)
        elif (stream.kind, stream.interval_ms) in wire.contexts:
            text = wire.first_context(listing, stream, self._mark(now_ms), now_ms)
        return Frame(stream, text) if text else None

    def restart(self) -> None:
        """Every `book` flow of this symbol starts anew, in the venue's way."""
        for track in self._tracks.values():
            track.restart()

    def _track(self, stream: Stream) -> Track | OrderTrack:
        if stream not in self._tracks:
            self._tracks[stream] = self._made(stream)
        return self._tracks[stream]

    def _made(self, stream: Stream) -> Track | OrderTrack:
        if stream.kind != "orders":
            return Track(self.market, stream, self._wire, self._changed_ms)
        if self._population is None:
            self._population = Population(self.market)
        return OrderTrack(self._population, stream, self._wire, self._changed_ms)

    def _note(self, change: Change, ms: int) -> None:
        self._changed_ms = ms
        for interval, batch in self._batches.items():
            if batch is None:
                batch = Batch(self._last_ids[interval], change.id, change.id, ms)
                self._batches[interval] = batch
            batch.put(change)
            batch.last_id, batch.ms = change.id, ms
        if self._population is not None:
            self._population.note(change)
        for track in self._tracks.values():
            track.note(change)

    def _turns(self, interval_ms: int, now_ms: int) -> bool:
        """Whether the end of an interval lies between the last look and this one."""
        phase_ms = self._phase_ms
        return interval_ms > 0 and (now_ms + phase_ms) // interval_ms != (self._ms + phase_ms) // interval_ms

    def _stream(self, kind: StreamKind, interval_ms: int = 0) -> Stream:
        return Stream(self.listing.symbol, kind, interval_ms)

    def _told_at_once(self, action: Action, now_ms: int, wanted: frozenset[Stream]) -> Iterator[Frame]:
        listing, wire = self.listing, self._wire
        raw, merged, best = self._stream("trade"), self._stream("agg_trade"), self._stream("bbo")
        for trade in action.trades:
            self._past.append((action.ms, trade))
            self.open_lots += trade.lots // 4 if trade.first_id % 2 else -(trade.lots // 4)
            if raw in wanted:
                for text in wire.trades(listing, trade, action.ms, now_ms):
                    yield Frame(raw, text)
            if merged in wanted:
                yield Frame(merged, wire.agg_trade(listing, trade, action.ms, now_ms))
            if trade.forced:
                self._forced = action.ms, trade
        touch = self.market.touch
        if touch != self._touch:
            self._touch = touch
            if best in wanted or Stream(ALL_SYMBOLS, "bbo") in wanted:
                image = Image(self.market.last_id, action.ms, [touch[0]], [touch[1]])
                yield Frame(best, wire.bbo(listing, image, now_ms))

    def _told_by_the_clock(self, now_ms: int, wanted: frozenset[Stream]) -> Iterator[Frame]:
        yield from self._images(now_ms, wanted, by_the_clock=True)
        for kind, interval in self._wire.contexts:
            stream = self._stream(kind, interval)
            if stream in wanted and self._turns(interval, now_ms):
                text = self._wire.context(self.listing, stream, self._mark(now_ms), now_ms)
                if text:
                    yield Frame(stream, text)
        if self._forced is None or not self._turns(_SAMPLED_MS, now_ms):
            return
        ms, trade = self._forced
        self._forced = None
        stream = self._stream("liquidation", _SAMPLED_MS)
        if stream in wanted or Stream(ALL_SYMBOLS, "liquidation", _SAMPLED_MS) in wanted:
            text = self._wire.liquidation(self.listing, trade, ms, now_ms)
            if text:
                yield Frame(stream, text)

    def _images(self, now_ms: int, wanted: frozenset[Stream], *, by_the_clock: bool = False) -> Iterator[Frame]:
        for interval, levels in self._wire.images:
            stream = Stream(self.listing.symbol, "image", interval, levels)
            if stream in wanted and (not by_the_clock or self._turns(interval, now_ms)):
                image = self.image(self._changed_ms, levels)
                yield Frame(stream, self._wire.image(self.listing, stream, image, now_ms))

    def _mark(self, now_ms: int) -> Mark:
        (bid, _), (ask, _) = self.market.touch
        middle = (bid + ask) / 2
        next_ms = (now_ms // FUNDING_MS + 1) * FUNDING_MS
        return Mark(middle * 1.00002, middle, 0.0001, next_ms, max(1, self.open_lots))

    def _flush(self, interval: int, now_ms: int, wanted: frozenset[Stream]) -> Iterator[Frame]:
        batch = self._batches[interval]
        if batch is None:
            return
        self._batches[interval] = None
        self._last_ids[interval] = batch.last_id
        stream = self._stream("depth", interval)
        if stream in wanted:
            yield Frame(stream, self._wire.depth(self.listing, batch, now_ms))

    def _flush_track(self, stream: Stream, now_ms: int, wanted: frozenset[Stream]) -> Iterator[Frame]:
        message = self._tracks[stream].flush(self._changed_ms, now_ms)
        if message is not None and stream in wanted:
            for text in self._texts(stream, message, now_ms):
                yield Frame(stream, text)

    def _texts(self, stream: Stream, message: Image | Resting | Changes | OrderChanges, now_ms: int) -> Sequence[str]:
        if isinstance(message, Changes):
            return self._wire.texts(self.listing, stream, message, now_ms)
        if isinstance(message, OrderChanges):
            return self._wire.order_texts(self.listing, stream, message, now_ms)
        return self._wire.restarted(self._beginning(stream, message, now_ms), now_ms)

    def _beginning(self, stream: Stream, book: Image | Resting, now_ms: int) -> str:
        if isinstance(book, Resting):
            return self._wire.orders(self.listing, stream, book, now_ms)
        return self._wire.image(self.listing, stream, book, now_ms)


class SyntheticFeed:
    """A `Feed` over synthetic markets."""

    def __init__(self, wire: Wire, listings: Sequence[Listing], rng: random.Random, start_ms: int) -> None:
        self._wire = wire
        self._listings = list(listings)
        self._quotes = {
            item.symbol: _Quote(item, wire, random.Random(rng.getrandbits(64)), start_ms) for item in listings
        }

    def advance(self, now_ms: int, wanted: frozenset[Stream]) -> Iterator[Frame]:
        """Everything up to `now_ms`; frames of the streams in `wanted` only."""
        for quote in self._quotes.values():
            yield from quote.advance(now_ms, wanted)

    def flush(self, now_ms: int, wanted: frozenset[Stream]) -> Iterator[Frame]:
        for quote in self._quotes.values():
            yield from quote.flush(now_ms, wanted)

    def true_book(self, symbol: str) -> TrueBook:
        quote = self._find(symbol)
        price, size = quote.listing.price, quote.listing.size
        bids = [(price(tick), size(lots)) for tick, lots in quote.market.bids()]
        asks = [(price(tick), size(lots)) for tick, lots in quote.market.asks()]
        return TrueBook(self._wire.update_id(quote.market.last_id), bids, asks)

    def planted(self, symbol: str) -> list[Regime]:
        return list(self._find(symbol).market.planted)

    def begin(self, stream: Stream, now_ms: int) -> Frame | None:
        quote = self._quotes.get(stream.symbol)
        return quote.begin(stream, now_ms) if quote is not None else None

    def restart(self, symbol: str) -> None:
        """The service behind a symbol's book flows starts anew, in the venue's way."""
        quote = self._quotes.get(symbol)
        if quote is not None:
            quote.restart()

    def info(self, now_ms: int) -> str:
        return self._wire.info(self._listings, now_ms)

    def listings(self) -> Sequence[Listing]:
        return self._listings

    def listing(self, symbol: str) -> Listing | None:
        quote = self._quotes.get(symbol)
        return quote.listing if quote is not None else None

    def snapshot(self, symbol: str, limit: int, now_ms: int) -> str | None:
        quote = self._quotes[symbol]
        return self._wire.snapshot(quote.listing, quote.image(now_ms, limit), now_ms)

    def stale_snapshot(self, symbol: str, limit: int, now_ms: int) -> str | None:
        quote = self._quotes[symbol]
        old = quote.old
        return self._wire.snapshot(
            quote.listing, Image(old.last_id, old.ms, old.bids[:limit], old.asks[:limit]), now_ms
        )

    def open_interest(self, symbol: str, now_ms: int) -> str | None:
        quote = self._quotes[symbol]
        return quote.listing.size(max(1, quote.open_lots))

    def resolve(self, stream: Stream) -> Stream | None:
        return stream if stream.symbol == ALL_SYMBOLS or stream.symbol in self._quotes else None

    def _find(self, symbol: str) -> _Quote:
        for quote in self._quotes.values():
            if symbol in (quote.listing.symbol, quote.listing.unified):
                return quote
        raise KeyError(f"{symbol!r} is not simulated here, only {', '.join(self._quotes)}")
