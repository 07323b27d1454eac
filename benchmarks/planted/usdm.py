"""USD-M market data texts, in the key order of recorded frames: combined streams and the REST image.

Written from the venue's documentation (developers.binance.com, USD-M futures, "Diff. Book Depth Streams", "Aggregate
Trade Streams", "Mark Price Stream", "Order Book") and recorded frames, apart from the simulated exchange, so that the
two do not share their mistakes. Ids of one symbol rise irregularly: the venue counts the whole engine's events.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

FUNDING_MS = 8 * 3_600_000
Level = tuple[int, int]  # (tick, lots)


@dataclass(frozen=True, slots=True)
class Listing:
    """How an instrument is written. A price is `tick * tick_units` counted in 10**-price_decimals, a size alike."""

    symbol: str
    unified: str
    base: str
    quote: str
    start_tick: int
    tick_units: int
    price_decimals: int
    lot_units: int
    size_decimals: int

    def price(self, tick: float) -> str:
        return _fixed(round(tick * self.tick_units), self.price_decimals)

    def size(self, lots: int) -> str:
        return _fixed(lots * self.lot_units, self.size_decimals)


class AggTrade(NamedTuple):
    """One taker order's fills at one price; `first` and `last` number the single fills."""

    id: int
    tick: int
    lots: int
    first: int
    last: int
    ms: int
    sell: bool


def _fixed(units: int, decimals: int) -> str:
    whole, rest = divmod(units, 10**decimals)
    return f"{whole}.{rest:0{decimals}d}" if decimals else str(whole)


def update_id(number: int) -> int:
    """The venue's id of our n-th change of a book: strictly rising, with holes."""
    return 48 * number + (number * 2_654_435_761 >> 7) % 31


def _levels(listing: Listing, levels: Iterable[Level]) -> str:
    return "[" + ",".join([f'["{listing.price(tick)}","{listing.size(lots)}"]' for tick, lots in levels]) + "]"


def _stream(listing: Listing, name: str, data: str) -> str:
    return f'{{"stream":"{listing.symbol.lower()}@{name}","data":{data}}}'


def depth(listing: Listing, ids: tuple[int, int, int], ms: int, bids: Iterable[Level], asks: Iterable[Level]) -> str:
    """A diff: `ids` are our numbers of the last change before it, its first and its last."""
    previous, first, last = map(update_id, ids)
    text = (
        f'{{"e":"depthUpdate","E":{ms + 1},"T":{ms},"s":"{listing.symbol}","U":{first},"u":{last},"pu":{previous},'
        f'"b":{_levels(listing, sorted(bids))},"a":{_levels(listing, sorted(asks))}}}'
    )
    return _stream(listing, "depth@100ms", text)


def agg_trade(listing: Listing, trade: AggTrade) -> str:
    text = (
        f'{{"e":"aggTrade","E":{trade.ms + 1},"a":{trade.id},"s":"{listing.symbol}","p":"{listing.price(trade.tick)}",'
        f'"q":"{listing.size(trade.lots)}","f":{trade.first},"l":{trade.last},"T":{trade.ms},'
        f'"m":{"true" if trade.sell else "false"}}}'
    )
    return _stream(listing, "aggTrade", text)


def mark_price(listing: Listing, ms: int, fair_tick: float) -> str:
    price, due = listing.price(fair_tick), (ms // FUNDING_MS + 1) * FUNDING_MS
    text = (
        f'{{"e":"markPriceUpdate","E":{ms},"s":"{listing.symbol}","p":"{price}","i":"{price}","P":"{price}",'
        f'"r":"0.00010000","T":{due}}}'
    )
    return _stream(listing, "markPrice@1s", text)


def image(last: int, ms: int, listing: Listing, bids: Iterable[Level], asks: Iterable[Level]) -> str:
    """The answer of the REST interface as of our `last` change, best levels first."""
    rows = f'"bids":{_levels(listing, bids)},"asks":{_levels(listing, asks)}'
    return f'{{"lastUpdateId":{update_id(last)},"E":{ms},"T":{ms},{rows}}}'
