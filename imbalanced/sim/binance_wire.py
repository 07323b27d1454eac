"""Binance's market data texts, character by character, in the key order of its recorded frames.

Part of the Binance room (`binance.py` is its door). Sources: binance-spot-api-docs of 2026-07, the derivatives pages of
developers.binance.com, and recorded frames of 2021 to 2024; `st` and `ps` of the 2026 USD-M merge are left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from imbalanced.sim.binance_info import INVERSE, LINEAR, SPOT, Family, exchange_info
from imbalanced.sim.market import Level, Trade
from imbalanced.sim.venue import Batch, Image, Listing, Mark, Stream, Wire


def compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def levels_text(listing: Listing, levels: Sequence[Level]) -> str:
    price, size = listing.price, listing.size
    return "[" + ",".join([f'["{price(tick)}","{size(lots)}"]' for tick, lots in levels]) + "]"


class _Common(Wire):
    """What spot and futures write alike."""

    family: Family

    def info(self, listings: Sequence[Listing], sent_ms: int) -> str:
        return compact(exchange_info(self.family, listings, sent_ms))


class SpotWire(_Common):
    """Spot: ids are the market's own (`U` is the last `u` plus one), eight decimals everywhere."""

    family = SPOT
    intervals = (100, 1000)

    def depth(self, listing: Listing, batch: Batch, sent_ms: int) -> str:
        bids = levels_text(listing, sorted(batch.bids.items(), reverse=True))
        asks = levels_text(listing, sorted(batch.asks.items()))
        return (
            f'{{"e":"depthUpdate","E":{sent_ms},"s":"{listing.symbol}","U":{batch.first_id},"u":{batch.last_id},'
            f'"b":{bids},"a":{asks}}}'
        )

    def snapshot(self, listing: Listing, image: Image, sent_ms: int) -> str:
        bids, asks = levels_text(listing, image.bids), levels_text(listing, image.asks)
        return f'{{"lastUpdateId":{image.last_id},"bids":{bids},"asks":{asks}}}'

    def trades(self, listing: Listing, trade: Trade, ms: int, sent_ms: int) -> Sequence[str]:
        price, maker = listing.price(trade.tick), _maker(trade)
        return [
            f'{{"e":"trade","E":{sent_ms},"s":"{listing.symbol}","t":{trade.first_id + i},"p":"{price}",'
            f'"q":"{listing.size(lots)}","T":{ms},"m":{maker},"M":true}}'
            for i, lots in enumerate(trade.fills)
        ]

    def agg_trade(self, listing: Listing, trade: Trade, ms: int, sent_ms: int) -> str:
        last = trade.first_id + len(trade.fills) - 1
        return (
            f'{{"e":"aggTrade","E":{sent_ms},"s":"{listing.symbol}","a":{trade.agg_id},'
            f'"p":"{listing.price(trade.tick)}","q":"{listing.size(trade.lots)}",'
            f'"f":{trade.first_id},"l":{last},"T":{ms},"m":{_maker(trade)},"M":true}}'
        )

    def bbo(self, listing: Listing, image: Image, sent_ms: int) -> str:
        return f'{{"u":{image.last_id},"s":"{listing.symbol}",{_best(listing, image)}}}'


class FuturesWire(_Common):
    """USD-M and COIN-M: ids count the whole engine's events, so one symbol's have holes; `pu` is the chain."""

    intervals = (0, 100, 250, 500)
    contexts = (("mark", 1000), ("mark", 3000))

    def __init__(self, family: Family) -> None:
        self.family = family

    def update_id(self, id: int) -> int:
        # Irregular, strictly rising, and never by one: the spot rule must fail here, as on the venue.
        return id * 64 + (id * 40_503 >> 4) % 41

    def _pair(self, listing: Listing) -> str:
        """COIN-M names the pair after the symbol."""
        return f'"ps":"{listing.symbol.partition("_")[0]}",' if self.family is INVERSE else ""

    def depth(self, listing: Listing, batch: Batch, sent_ms: int) -> str:
        first, last, previous = map(self.update_id, (batch.first_id, batch.last_id, batch.previous_id))
        bids = levels_text(listing, sorted(batch.bids.items()))
        asks = levels_text(listing, sorted(batch.asks.items()))
        return (
            f'{{"e":"depthUpdate","E":{sent_ms},"T":{batch.ms},"s":"{listing.symbol}",{self._pair(listing)}'
            f'"U":{first},"u":{last},"pu":{previous},"b":{bids},"a":{asks}}}'
        )

    def snapshot(self, listing: Listing, image: Image, sent_ms: int) -> str:
        pair = listing.symbol.partition("_")[0]
        who = f'"symbol":"{listing.symbol}","pair":"{pair}",' if self.family is INVERSE else ""
        bids, asks = levels_text(listing, image.bids), levels_text(listing, image.asks)
        last = self.update_id(image.last_id)
        return f'{{"lastUpdateId":{last},"E":{sent_ms},"T":{image.ms},{who}"bids":{bids},"asks":{asks}}}'

    def trades(self, listing: Listing, trade: Trade, ms: int, sent_ms: int) -> Sequence[str]:
        price, maker = listing.price(trade.tick), _maker(trade)
        return [
            f'{{"e":"trade","E":{sent_ms},"T":{ms},"s":"{listing.symbol}","t":{trade.first_id + i},"p":"{price}",'
            f'"q":"{listing.size(lots)}","X":"MARKET","m":{maker}}}'
            for i, lots in enumerate(trade.fills)
        ]

    def agg_trade(self, listing: Listing, trade: Trade, ms: int, sent_ms: int) -> str:
        last = trade.first_id + len(trade.fills) - 1
        return (
            f'{{"e":"aggTrade","E":{sent_ms},"a":{trade.agg_id},"s":"{listing.symbol}",'
            f'"p":"{listing.price(trade.tick)}","q":"{listing.size(trade.lots)}",'
            f'"f":{trade.first_id},"l":{last},"T":{ms},"m":{_maker(trade)}}}'
        )

    def bbo(self, listing: Listing, image: Image, sent_ms: int) -> str:
        last = self.update_id(image.last_id)
        head = f'"u":{last},"e":"bookTicker"' if self.family is INVERSE else f'"e":"bookTicker","u":{last}'
        return (
            f'{{{head},"s":"{listing.symbol}",{self._pair(listing)}{_best(listing, image)},'
            f'"T":{image.ms},"E":{sent_ms}}}'
        )

    def context(self, listing: Listing, stream: Stream, mark: Mark, sent_ms: int) -> str:
        return self.mark(listing, mark, sent_ms)

    def mark(self, listing: Listing, mark: Mark, sent_ms: int) -> str:
        unit = listing.tick_units / 10**listing.price_decimals
        price, index = mark.price * unit, mark.index * unit
        return (
            f'{{"e":"markPriceUpdate","E":{sent_ms},"s":"{listing.symbol}","p":"{price:.8f}","P":"{index:.8f}",'
            f'"i":"{index:.8f}","r":"{mark.funding:.8f}","T":{mark.next_funding_ms}}}'
        )

    def liquidation(self, listing: Listing, trade: Trade, ms: int, sent_ms: int) -> str:
        side, size, price = trade.taker.upper(), listing.size(trade.lots), listing.price(trade.tick)
        return (
            f'{{"e":"forceOrder","E":{sent_ms},"o":{{"s":"{listing.symbol}",{self._pair(listing)}"S":"{side}",'
            f'"o":"LIMIT","f":"IOC","q":"{size}","p":"{price}","ap":"{price}","X":"FILLED","l":"{size}",'
            f'"z":"{size}","T":{ms}}}}}'
        )


def _maker(trade: Trade) -> str:
    """`m`: whether the buyer was the maker, i.e. the taker sold."""
    return "true" if trade.taker == "sell" else "false"


def _best(listing: Listing, image: Image) -> str:
    (bid, bid_lots), (ask, ask_lots) = image.bids[0], image.asks[0]
    return (
        f'"b":"{listing.price(bid)}","B":"{listing.size(bid_lots)}",'
        f'"a":"{listing.price(ask)}","A":"{listing.size(ask_lots)}"'
    )


def error_text(code: int, message: str) -> str:
    """An error answer of the REST interface."""
    return compact({"code": code, "msg": message})


def reply(id: object, extra: Mapping[str, object]) -> str:
    """An answer to a websocket request: the fields, then the id, as the venue orders them."""
    return compact({**extra, "id": id})


__all__ = ["INVERSE", "LINEAR", "SPOT", "FuturesWire", "SpotWire", "compact", "error_text", "levels_text", "reply"]
