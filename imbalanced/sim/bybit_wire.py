"""Bybit's market data texts and instruments. Part of the Bybit room (`bybit.py` is its door).

Sources: bybit-exchange/docs (2026-07-24), "Orderbook", "Trade", "Ticker", "All Liquidation", "Instruments info";
recorded frames of 2023 to 2026. `u` counts the messages of a topic; 1 is a service that began anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from imbalanced.sim.grids import asked, by_base, compact, listing, lot_size, tick_size
from imbalanced.sim.market import Level, Trade
from imbalanced.sim.venue import Changes, Image, Listing, Mark, Stream, Wire

BOOKS = {"50": 20, "200": 100, "1000": 200}  # levels: interval ms
FIRST_U = 177_400_507
SIDES = {"buy": "Buy", "sell": "Sell"}
# Of a forced order: the position that is closed by it.
CLOSED = {"buy": "Sell", "sell": "Buy"}


@dataclass(frozen=True)
class Product:
    """One product; `grids` are (tick size, lot size) by base asset."""

    name: str
    grids: Mapping[str, tuple[str, str]]


LINEAR = Product(
    "linear", {"BTC": ("0.10", "0.001"), "ETH": ("0.01", "0.01"), "SOL": ("0.010", "0.1"), "": ("0.0001", "0.1")}
)
INVERSE = Product("inverse", {"BTC": ("0.10", "1"), "ETH": ("0.01", "1"), "SOL": ("0.010", "1"), "": ("0.0001", "1")})
SPOT = Product(
    "spot", {"BTC": ("0.01", "0.000001"), "ETH": ("0.01", "0.00001"), "SOL": ("0.01", "0.0001"), "": ("0.0001", "0.01")}
)


class BybitWire(Wire):
    """Texts of one product's socket."""

    first_number = FIRST_U
    restart = "image"

    def __init__(self, product: Product) -> None:
        self.contexts = () if product is SPOT else (("mark", 1000),)
        self._product = product

    def image(self, listing: Listing, stream: Stream, image: Image, sent_ms: int) -> str:
        data = _data(listing, image.bids, image.asks, (image.number, image.last_id))
        return _book(listing, stream.levels, "snapshot", data, sent_ms, image.ms)

    def changes(self, listing: Listing, stream: Stream, changes: Changes, sent_ms: int) -> str:
        bids, asks = ([one[:2] for one in side] for side in (changes.bids, changes.asks))
        data = _data(listing, bids, asks, (changes.number, changes.last_id))
        return _book(listing, stream.levels, "delta", data, sent_ms, changes.ms)

    def bbo(self, listing: Listing, image: Image, sent_ms: int) -> str:
        data = _data(listing, image.bids, image.asks, (image.last_id, image.last_id))
        return _book(listing, 1, "snapshot", data, sent_ms, image.ms)

    def snapshot(self, listing: Listing, image: Image, sent_ms: int) -> str:
        data = _data(listing, image.bids, image.asks, (image.last_id, image.last_id))
        result = f'{{{data},"ts":{sent_ms},"cts":{image.ms}}}'
        return f'{{"retCode":0,"retMsg":"OK","result":{result},"retExtInfo":{{}},"time":{sent_ms}}}'

    def agg_trade(self, listing: Listing, trade: Trade, ms: int, sent_ms: int) -> str:
        side, price = SIDES[trade.taker], listing.price(trade.tick)
        fills = ",".join(
            f'{{"T":{ms},"s":"{listing.symbol}","S":"{side}","v":"{listing.size(lots)}","p":"{price}","L":"ZeroPlusTick",'
            f'"i":"{_uuid(trade.first_id + i)}","BT":false,"RPI":false,"seq":{trade.agg_id}}}'
            for i, lots in enumerate(trade.fills)
        )
        return f'{{"topic":"publicTrade.{listing.symbol}","type":"snapshot","ts":{sent_ms},"data":[{fills}]}}'

    def context(self, listing: Listing, stream: Stream, mark: Mark, sent_ms: int) -> str:
        """What changed since the last ticker: prices and open interest."""
        return _ticker(listing, "delta", self._moving(listing, mark), sent_ms)

    def first_context(self, listing: Listing, stream: Stream, mark: Mark, sent_ms: int) -> str:
        slow = {
            "fundingRate": f"{mark.funding:.6f}",
            "nextFundingTime": str(mark.next_funding_ms),
            "fundingIntervalHour": "8",
        }
        return _ticker(listing, "snapshot", self._moving(listing, mark) | slow, sent_ms)

    def _moving(self, listing: Listing, mark: Mark) -> dict[str, str]:
        price, index = (one * float(tick_size(listing)) for one in (mark.price, mark.index))
        held = mark.open_lots * float(lot_size(listing))
        value = held / price if self._product is INVERSE else held * price
        return {
            "markPrice": f"{price:.4f}",
            "indexPrice": f"{index:.4f}",
            "openInterest": f"{2 * held:.3f}",  # both sides of every contract
            "openInterestValue": f"{2 * value:.2f}",
            "singleOpenInterest": f"{held:.3f}",
        }

    def liquidation(self, listing: Listing, trade: Trade, ms: int, sent_ms: int) -> str:
        one = (
            f'{{"T":{ms},"s":"{listing.symbol}","S":"{CLOSED[trade.taker]}","v":"{listing.size(trade.lots)}",'
            f'"p":"{listing.price(trade.tick)}"}}'
        )
        return f'{{"topic":"allLiquidation.{listing.symbol}","type":"snapshot","ts":{sent_ms},"data":[{one}]}}'


def bybit_listing(product: Product, text: str) -> Listing:
    """A perpetual of the base asset or, on spot, the pair. ValueError if the text is no symbol."""
    base, quote, _ = asked(text)
    grid = by_base(product.grids, base)
    if product is INVERSE:
        return listing(f"{base}USD", f"{base}/USD:{base}", (base, "USD"), grid, worth=1)
    if product is SPOT:
        return listing(base + quote, f"{base}/{quote}", (base, quote), grid)
    symbol = f"{base}PERP" if quote == "USDC" else base + quote
    return listing(symbol, f"{base}/{quote}:{quote}", (base, quote), grid)


def instrument(product: Product, item: Listing) -> dict[str, object]:
    """One entry of `instruments-info`, with every field that ccxt 4.5 reads."""
    tick, lot = tick_size(item), lot_size(item)
    head = {"symbol": item.symbol, "status": "Trading", "baseCoin": item.base, "quoteCoin": item.quote}
    if product is SPOT:
        lots = {"basePrecision": lot, "quotePrecision": "0.00000001", "minOrderQty": lot, "maxOrderQty": "1000"}
        lots |= {"minOrderAmt": "5", "maxOrderAmt": "4000000"}
        return {
            **head,
            "innovation": "0",
            "marginTrading": "both",
            "lotSizeFilter": lots,
            "priceFilter": {"tickSize": tick},
        }
    inverse = product is INVERSE
    return {
        **head,
        "contractType": "InversePerpetual" if inverse else "LinearPerpetual",
        "settleCoin": item.base if inverse else item.quote,
        "launchTime": "1585526400000",
        "deliveryTime": "0",
        "deliveryFeeRate": "",
        "priceScale": str(item.price_decimals),
        "leverageFilter": {"minLeverage": "1", "maxLeverage": "100.00", "leverageStep": "0.01"},
        "priceFilter": {"minPrice": tick, "maxPrice": "1999999.80", "tickSize": tick},
        "lotSizeFilter": {"maxOrderQty": "1190000", "minOrderQty": lot, "qtyStep": lot, "minNotionalValue": "5"},
        "unifiedMarginTrade": True,
        "fundingInterval": 480,
        "copyTrading": "none",
    }


def _book(listing: Listing, depth: int, kind: str, data: str, *times: int) -> str:
    """`times` are push and engine time."""
    topic, (sent_ms, ms) = f"orderbook.{depth}.{listing.symbol}", times
    return f'{{"topic":"{topic}","type":"{kind}","ts":{sent_ms},"data":{{{data}}},"cts":{ms}}}'


def _data(listing: Listing, bids: Sequence[Level], asks: Sequence[Level], ids: tuple[int, int]) -> str:
    """`ids` are `u` and `seq`."""
    b, a = (
        ",".join(f'["{listing.price(tick)}","{listing.size(lots) if lots else 0}"]' for tick, lots in side)
        for side in (bids, asks)
    )
    return f'"s":"{listing.symbol}","b":[{b}],"a":[{a}],"u":{ids[0]},"seq":{ids[1]}'


def _ticker(listing: Listing, kind: str, said: Mapping[str, str], sent_ms: int) -> str:
    data = compact({"symbol": listing.symbol, **said})
    return f'{{"topic":"tickers.{listing.symbol}","type":"{kind}","data":{data},"cs":{sent_ms},"ts":{sent_ms}}}'


def _uuid(number: int) -> str:
    return f"{number & 0xFFFFFFFF:08x}-5f1c-5b31-9112-{number:012x}"
