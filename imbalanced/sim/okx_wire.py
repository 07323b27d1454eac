"""OKX's market data texts, in the key order of its recorded frames. Part of the OKX room (`okx.py` is its door).

Sources: OKX API guide v5 as quoted by ccxt `pro/okx.py` (2026-11), gocryptotrader `exchanges/okx` (2026-08), recorded
frames of 2022 and 2026. The checksum is always 0, as on the venue since June 2026.
"""

from __future__ import annotations

from collections.abc import Sequence

from imbalanced.sim.grids import asked, by_base, compact, listing, lot_size, tick_size, trimmed
from imbalanced.sim.market import Level, Trade
from imbalanced.sim.venue import Changes, Image, Listing, Mark, Stream, Wire

DEPTH = 400
STATES, TYPES = "instruments", ("SPOT", "SWAP")
BOOKS, BOOKS5 = (100, DEPTH), (100, 5)  # (interval ms, levels)
SPOT_GRIDS = {
    "BTC": ("0.1", "0.00000001"),
    "ETH": ("0.01", "0.000001"),
    "SOL": ("0.01", "0.000001"),
    "": ("0.0001", "0.0001"),
}
SWAP_GRIDS = {"BTC": ("0.1", "0.01"), "ETH": ("0.01", "0.01"), "SOL": ("0.01", "0.01"), "": ("0.0001", "0.1")}
CT_VALS = {"BTC": "0.01", "ETH": "0.1", "SOL": "1", "": "10"}
USD_PER_CONTRACT = {"BTC": 100, "": 10}
EIGHT_HOURS_MS = 8 * 3_600_000


class OkxWire(Wire):
    """Texts of the public socket. Ids jump and are no counter; each message names the one before it."""

    images = (BOOKS5,)
    contexts = (("mark", 1000), ("index", 1000), ("funding", 60_000), ("interest", 3000))
    idle_ms = 60_000
    restart = "lower"
    states = '"channel":"instruments"'

    def update_id(self, id: int) -> int:
        # Irregular, strictly rising, and never by one.
        return id * 16 + (id * 40_503 >> 4) % 13

    def image(self, listing: Listing, stream: Stream, image: Image, sent_ms: int) -> str:
        asks, bids = (_levels(listing, side) for side in (image.asks, image.bids))
        if stream.kind == "image":
            last = self.update_id(image.last_id)
            body = f'{{"asks":{asks},"bids":{bids},"instId":"{listing.symbol}","ts":"{image.ms}","seqId":{last}}}'
            return _push("books5", listing.symbol, body)
        head = f'"asks":{asks},"bids":{bids},"ts":"{image.ms}"'
        body = f'{{{head},"checksum":0,"prevSeqId":-1,"seqId":{image.last_id}}}'
        return _push("books", listing.symbol, body, "snapshot")

    def changes(self, listing: Listing, stream: Stream, changes: Changes, sent_ms: int) -> str:
        asks, bids = (_levels(listing, [one[:2] for one in side]) for side in (changes.asks, changes.bids))
        body = (
            f'{{"asks":{asks},"bids":{bids},"ts":"{changes.ms}","checksum":0,'
            f'"prevSeqId":{changes.previous_id},"seqId":{changes.last_id}}}'
        )
        return _push("books", listing.symbol, body, "update")

    def snapshot(self, listing: Listing, image: Image, sent_ms: int) -> str:
        asks, bids = (_levels(listing, side) for side in (image.asks, image.bids))
        last = self.update_id(image.last_id)
        return f'{{"code":"0","msg":"","data":[{{"asks":{asks},"bids":{bids},"ts":"{image.ms}","seqId":{last}}}]}}'

    def agg_trade(self, listing: Listing, trade: Trade, ms: int, sent_ms: int) -> str:
        last = trade.first_id + len(trade.fills) - 1
        body = (
            f'{{"instId":"{listing.symbol}","tradeId":"{last}","px":"{_price(listing, trade.tick)}",'
            f'"sz":"{_size(listing, trade.lots)}","side":"{trade.taker}","ts":"{ms}","count":"{len(trade.fills)}",'
            f'"source":"0"}}'
        )
        return _push("trades", listing.symbol, body)

    def history(self, listing: Listing, stream: Stream, past: Sequence[tuple[int, Trade]], sent_ms: int) -> str:
        """The last trade there was."""
        return self.agg_trade(listing, past[-1][1], past[-1][0], sent_ms) if past else ""

    def bbo(self, listing: Listing, image: Image, sent_ms: int) -> str:
        asks, bids = (_levels(listing, side) for side in (image.asks, image.bids))
        last = self.update_id(image.last_id)
        return _push("bbo-tbt", listing.symbol, f'{{"asks":{asks},"bids":{bids},"ts":"{image.ms}","seqId":{last}}}')

    def context(self, listing: Listing, stream: Stream, mark: Mark, sent_ms: int) -> str:
        unit = float(tick_size(listing))
        symbol, index = listing.symbol, index_of(listing.symbol)
        head = f'"instId":"{symbol}","instType":"{type_of(symbol)}"'
        if stream.kind == "mark":
            return _push("mark-price", symbol, f'{{{head},"markPx":"{mark.price * unit:.4f}","ts":"{sent_ms}"}}')
        if stream.kind == "index":
            body = f'{{"instId":"{index}","idxPx":"{mark.index * unit:.4f}","ts":"{sent_ms}"}}'
            return _push("index-tickers", index, body)
        if stream.kind == "funding":
            after = mark.next_funding_ms + EIGHT_HOURS_MS
            body = (
                f'{{"fundingRate":"{mark.funding:.10f}","fundingTime":"{mark.next_funding_ms}",{head},'
                f'"nextFundingRate":"","nextFundingTime":"{after}","ts":"{sent_ms}"}}'
            )
            return _push("funding-rate", symbol, body)
        contracts = mark.open_lots * float(lot_size(listing))
        price = mark.price * unit
        worth = listing.contract_size / float(lot_size(listing)) / price or float(listing.contract)
        coins = contracts * worth
        body = f'{{{head},"oi":"{contracts:.2f}","oiCcy":"{coins:.8f}","oiUsd":"{coins * price:.2f}","ts":"{sent_ms}"}}'
        return _push("open-interest", symbol, body)

    def trading(self, listing: Listing, sent_ms: int) -> tuple[str, str] | None:
        return f"{STATES}:{type_of(listing.symbol)}", states_text(type_of(listing.symbol), [listing])

    def liquidation(self, listing: Listing, trade: Trade, ms: int, sent_ms: int) -> str:
        if type_of(listing.symbol) != "SWAP":
            return ""
        closed, family = ("short" if trade.taker == "buy" else "long"), index_of(listing.symbol)
        details = (
            f'[{{"bkLoss":"0","bkPx":"{_price(listing, trade.tick)}","ccy":"","posSide":"{closed}",'
            f'"side":"{trade.taker}","sz":"{_size(listing, trade.lots)}","ts":"{ms}"}}]'
        )
        return (
            f'{{"arg":{{"channel":"liquidation-orders","instType":"SWAP"}},"data":[{{"details":{details},'
            f'"instFamily":"{family}","instId":"{listing.symbol}","instType":"SWAP","uly":"{family}"}}]}}'
        )


def okx_listing(text: str) -> Listing:
    """`BTC/USDT` is spot, `BTC/USDT:USDT` a swap, `BTC/USD:BTC` an inverse swap. ValueError if it is no symbol."""
    base, quote, settle = asked(text)
    if not settle:
        return listing(f"{base}-{quote}", f"{base}/{quote}", (base, quote), by_base(SPOT_GRIDS, base))
    symbol, unified, pair = f"{base}-{quote}-SWAP", f"{base}/{quote}:{settle}", (base, quote)
    tick, lot = by_base(SWAP_GRIDS, base)
    if settle == base:
        return listing(symbol, unified, pair, (tick, "1"), worth=by_base(USD_PER_CONTRACT, base))
    return listing(symbol, unified, pair, (tick, lot), contract=by_base(CT_VALS, base))


def instrument(item: Listing) -> dict[str, object]:
    """One entry of `public/instruments`, with every field that ccxt 4.5 reads."""
    kind, family = type_of(item.symbol), index_of(item.symbol)
    swap, inverse = kind == "SWAP", item.contract_size > 0
    tick, lot = trimmed(tick_size(item)), trimmed(lot_size(item))
    return {
        "alias": "",
        "baseCcy": "" if swap else item.base,
        "category": "1",
        "ctMult": "1" if swap else "",
        "ctType": ("inverse" if inverse else "linear") if swap else "",
        "ctVal": (str(item.contract_size) if inverse else item.contract) if swap else "",
        "ctValCcy": (item.quote if inverse else item.base) if swap else "",
        "expTime": "",
        "instFamily": family if swap else "",
        "instId": item.symbol,
        "instType": kind,
        "lever": "100" if swap else "10",
        "listTime": "1611916828000",
        "lotSz": lot,
        "maxLmtSz": "100000000",
        "maxMktSz": "1000000",
        "minSz": lot,
        "optType": "",
        "quoteCcy": "" if swap else item.quote,
        "settleCcy": (item.base if inverse else item.quote) if swap else "",
        "state": "suspend" if item.halted else "live",
        "stk": "",
        "tickSz": tick,
        "uly": family if swap else "",
    }


def states_text(kind: str, items: Sequence[Listing]) -> str:
    """A frame of `instruments`: all of a type to a new subscriber, then those that changed."""
    return compact({"arg": {"channel": STATES, "instType": kind}, "data": [instrument(item) for item in items]})


def type_of(symbol: str) -> str:
    return "SWAP" if symbol.endswith("-SWAP") else "SPOT"


def index_of(symbol: str) -> str:
    return symbol.removesuffix("-SWAP")


def _push(channel: str, name: str, body: str, action: str = "") -> str:
    said = f'"action":"{action}",' if action else ""
    return f'{{"arg":{{"channel":"{channel}","instId":"{name}"}},{said}"data":[{body}]}}'


def _levels(listing: Listing, levels: Sequence[Level]) -> str:
    """[price, size, a number out of use, orders]."""
    texts = [
        f'["{_price(listing, tick)}","{_size(listing, lots)}","0","{1 + lots % 7 if lots else 0}"]'
        for tick, lots in levels
    ]
    return f"[{','.join(texts)}]"


def _price(listing: Listing, tick: int) -> str:
    return trimmed(listing.price(tick))


def _size(listing: Listing, lots: int) -> str:
    return trimmed(listing.size(lots))
