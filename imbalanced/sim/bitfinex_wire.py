"""What simulated Bitfinex writes of a market: arrays of bare numbers, one level, order or trade each.

Sources: see ``bitfinex.py``. A payload here is what stands behind the channel id, then a comma and the time of sending:
the desk puts the socket's counter between them, or leaves both out, as its client has asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from itertools import zip_longest
from zlib import crc32

from imbalanced.sim.grids import compact, trimmed
from imbalanced.sim.market import BookSide, Trade
from imbalanced.sim.venue import (
    Changes,
    Image,
    Listing,
    Mark,
    Order,
    OrderChanges,
    Resting,
    Stream,
    Wire,
)
from imbalanced.sim.wire import gone_first, one_by_one

SUMMED = 25
PAST_TRADES = 30
MAINTENANCE, RESUMED = 20060, 20061
SIGNS: dict[BookSide, str] = {"bid": "", "ask": "-"}
FORCED = {"buy": "-", "sell": ""}  # a short position is bought back


class BitfinexWire(Wire):
    """Texts of the channels. A book is proven by the socket's counter and by a checksum after each message."""

    checksum_levels = SUMMED
    level_frames = True
    restart = "image"
    contexts = (("mark", 1000),)

    # --- by level

    def image(self, listing: Listing, stream: Stream, image: Image, sent_ms: int) -> str:
        sides: tuple[tuple[BookSide, Sequence[tuple[int, int]]], ...] = (("bid", image.bids), ("ask", image.asks))
        rows = [_level(listing, side, tick, lots) for side, levels in sides for tick, lots in levels]
        return f"[{','.join(rows)}],{sent_ms}"

    def texts(self, listing: Listing, stream: Stream, changes: Changes, sent_ms: int) -> Sequence[str]:
        sides: tuple[BookSide, BookSide] = ("bid", "ask")
        rows = [_level(listing, side, one.tick, one.lots) for side, one in one_by_one(changes.bids, changes.asks)]
        summed = checksum(*(_summed_levels(listing, changes.top, side) for side in sides))
        return _message(rows, summed, sent_ms)

    def snapshot(self, listing: Listing, image: Image, sent_ms: int) -> str:
        return self.image(listing, Stream(listing.symbol, "book"), image, sent_ms).rpartition(",")[0]

    # --- by order

    def orders(self, listing: Listing, stream: Stream, resting: Resting, sent_ms: int) -> str:
        rows = [_order(listing, one) for one in (*resting.bids, *resting.asks)]
        return f"[{','.join(rows)}],{sent_ms}"

    def order_texts(self, listing: Listing, stream: Stream, changes: OrderChanges, sent_ms: int) -> Sequence[str]:
        top = changes.top
        summed = checksum(*([_summed_order(listing, one) for one in side] for side in (top.bids, top.asks)))
        return _message([_order(listing, one) for one in gone_first(changes.orders)], summed, sent_ms)

    # --- whatever else

    def restarted(self, image: str, sent_ms: int) -> Sequence[str]:
        """A maintenance that is over at once; who does not subscribe anew is told nothing of what changed meanwhile."""
        return [
            compact({"event": "info", "code": MAINTENANCE, "msg": "Entering in Maintenance mode."}),
            compact({"event": "info", "code": RESUMED, "msg": "Maintenance ended. Please resubscribe."}),
        ]

    def trades(self, listing: Listing, trade: Trade, ms: int, sent_ms: int) -> Sequence[str]:
        """Each fill as it is executed, and once more when it is booked."""
        fills = _fills(listing, trade, ms)
        return [f'"{kind}",{fill},{sent_ms}' for kind in ("te", "tu") for fill in fills]

    def history(self, listing: Listing, stream: Stream, past: Sequence[tuple[int, Trade]], sent_ms: int) -> str:
        """The latest trades, the youngest first."""
        fills = [fill for ms, trade in past for fill in _fills(listing, trade, ms)]
        return f"[{','.join(fills[: -PAST_TRADES - 1 : -1])}],{sent_ms}"

    def context(self, listing: Listing, stream: Stream, mark: Mark, sent_ms: int) -> str:
        """By place: 0 time, 2 price, 3 spot price, 5 insurance fund, 7 next funding, 8 accrued, 9 step, 11 funding,
        14 mark, 17 open interest, 21 and 22 clamps.
        """
        unit = Decimal(listing.price(1))
        row: list[object] = [None] * 23
        row[0], row[2], row[3] = sent_ms, float(mark.price * float(unit)), float(mark.index * float(unit))
        row[5], row[7], row[8], row[9] = 37_616_911.7, mark.next_funding_ms, 0.00006, 1
        row[11], row[14] = mark.funding, row[2]
        row[17], row[21], row[22] = float(listing.size(mark.open_lots)), 0.0005, 0.0025
        return f"{compact(row)},{sent_ms}"

    def liquidation(self, listing: Listing, trade: Trade, ms: int, sent_ms: int) -> str:
        """The trigger of one; its fills are among the trades."""
        price, amount = (number(text) for text in (listing.price(trade.tick), listing.size(trade.lots)))
        row = (
            f'["pos",{trade.agg_id},{ms},null,"{listing.symbol}",{FORCED[trade.taker]}{amount},{price},null,0,1,null,'
            f"{price}]"
        )
        return f"[{row}],{sent_ms}"


def checksum(bids: Iterable[str], asks: Iterable[str]) -> int:
    """CRC32 with a sign, of bids and asks in turn."""
    parts = [part for pair in zip_longest(bids, asks) for part in pair if part is not None]
    summed = crc32(":".join(parts).encode())
    return summed - 2**32 if summed >= 2**31 else summed


def number(text: str) -> str:
    """As JavaScript writes it: no zeros at the end, and `2.5e-7` for what is smaller than a millionth."""
    value = Decimal(text).normalize()
    if not value or value.adjusted() >= -6:
        return trimmed(text)
    return f"{value.scaleb(-value.adjusted()):f}e{value.adjusted()}"


def _message(rows: Sequence[str], summed: int, sent_ms: int) -> list[str]:
    return [f"{told},{sent_ms}" for told in (*rows, f'"cs",{summed}')]


def _level(listing: Listing, side: BookSide, tick: int, lots: int) -> str:
    """`[price, count, amount]`. Count 0: it is gone, and the amount is a sign only."""
    price = number(listing.price(tick))
    if not lots:
        return f"[{price},0,{SIGNS[side]}1]"
    return f"[{price},{1 + lots % 3},{SIGNS[side]}{number(listing.size(lots))}]"


def _order(listing: Listing, order: Order) -> str:
    """`[order id, price, amount]`. Price 0: it is gone."""
    if not order.lots:
        return f"[{order.id},0,{SIGNS[order.side]}1]"
    price, amount = number(listing.price(order.tick)), number(listing.size(order.lots))
    return f"[{order.id},{price},{SIGNS[order.side]}{amount}]"


def _summed_levels(listing: Listing, top: Image, side: BookSide) -> list[str]:
    levels = top.bids if side == "bid" else top.asks
    return [
        f"{number(listing.price(tick))}:{SIGNS[side]}{number(listing.size(lots))}" for tick, lots in levels[:SUMMED]
    ]


def _summed_order(listing: Listing, order: Order) -> str:
    return f"{order.id}:{SIGNS[order.side]}{number(listing.size(order.lots))}"


def _fills(listing: Listing, trade: Trade, ms: int) -> list[str]:
    """`[id, time, amount, price]`; what a taker sold is negative."""
    sign, price = "" if trade.taker == "buy" else "-", number(listing.price(trade.tick))
    return [
        f"[{trade.first_id + i},{ms},{sign}{number(listing.size(lots))},{price}]" for i, lots in enumerate(trade.fills)
    ]
