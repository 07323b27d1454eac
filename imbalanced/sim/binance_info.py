"""Binance's instruments: what a simulated one lists, its exchangeInfo, and a recorded exchangeInfo read back.

Part of the Binance room (`binance.py` is its door). The answers hold every field ccxt 4.5 reads in `parse_market`.
Tick and lot sizes are today's public ones for the big symbols.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from imbalanced.sim.grids import LEVELS, OTHER_LEVEL, asked, by_base, places
from imbalanced.sim.venue import Listing, fixed

# Longest first, so that BTCFDUSD is not read as BTCF/DUSD by a shorter tail.
QUOTES = (
    "FDUSD",
    "USDT",
    "USDC",
    "BUSD",
    "TUSD",
    "BIDR",
    "BTC",
    "ETH",
    "BNB",
    "TRY",
    "EUR",
    "RUB",
    "BRL",
    "GBP",
    "USD",
)
FOREVER_MS = 4_133_404_800_000  # the delivery date of perpetuals


@dataclass(frozen=True, slots=True)
class Family:
    """One of the venue's three product lines. `grids` are (tick size, lot size) by base asset; "" is the default."""

    name: str
    weight_per_minute: int
    price_decimals: Mapping[str, int]
    grids: Mapping[str, tuple[str, str]]


SPOT = Family(
    "spot",
    6000,
    {"": 8},
    {"BTC": ("0.01", "0.00001"), "ETH": ("0.01", "0.0001"), "SOL": ("0.01", "0.001"), "": ("0.00001", "0.1")},
)
LINEAR = Family(
    "linear",
    2400,
    {"BTC": 2, "ETH": 2, "": 4},
    {"BTC": ("0.1", "0.001"), "ETH": ("0.01", "0.001"), "SOL": ("0.01", "0.01"), "": ("0.0001", "0.1")},
)
INVERSE = Family(
    "inverse",
    2400,
    {"BTC": 1, "ETH": 2, "": 4},
    {"BTC": ("0.1", "1"), "ETH": ("0.01", "1"), "SOL": ("0.01", "1"), "": ("0.0001", "1")},
)


def listing(family: Family, text: str) -> Listing:
    """`BTC/USDT` or `BTC/USDT:USDT` as this family lists it. ValueError if the text is no symbol."""
    base, quote, _ = asked(text)
    tick, lot = by_base(family.grids, base)
    decimals = by_base(family.price_decimals, base)
    if family is INVERSE:
        symbol, quote, size_decimals = f"{base}USD_PERP", "USD", 0
    else:
        symbol = base + quote
        size_decimals = 8 if family is SPOT else places(lot)
    return Listing(
        symbol,
        unified(family, base, quote),
        base,
        quote,
        int(Decimal(tick).scaleb(decimals)),
        decimals,
        int(Decimal(lot).scaleb(size_decimals)),
        size_decimals,
        int(Decimal(LEVELS.get(base, OTHER_LEVEL)) / Decimal(tick)),
        contract_size(family, base),
    )


def unified(family: Family, base: str, quote: str) -> str:
    settle = {SPOT.name: "", LINEAR.name: ":" + quote, INVERSE.name: ":" + base}[family.name]
    return f"{base}/{quote}{settle}"


def contract_size(family: Family, base: str) -> int:
    if family is not INVERSE:
        return 0
    return 100 if base == "BTC" else 10


def split(symbol: str) -> tuple[str, str]:
    """Base and quote guessed from a symbol, for recordings without an instrument list."""
    pair = symbol.partition("_")[0]
    for quote in sorted(QUOTES, key=len, reverse=True):
        if pair.endswith(quote) and pair != quote:
            return pair.removesuffix(quote), quote
    return pair, "USDT"


def exchange_info(family: Family, listings: Sequence[Listing], sent_ms: int) -> dict[str, object]:
    make = _spot_symbol if family is SPOT else _futures_symbol
    limit = {
        "rateLimitType": "REQUEST_WEIGHT",
        "interval": "MINUTE",
        "intervalNum": 1,
        "limit": family.weight_per_minute,
    }
    return {
        "timezone": "UTC",
        "serverTime": sent_ms,
        "rateLimits": [limit],
        "exchangeFilters": [],
        "symbols": [make(family, item) for item in listings],
    }


def _grid(item: Listing) -> tuple[str, str]:
    return fixed(item.tick_units, item.price_decimals), fixed(item.lot_units, item.size_decimals)


def _spot_symbol(family: Family, item: Listing) -> dict[str, object]:
    tick, lot = _grid(item)
    precisions = ("baseAssetPrecision", "quotePrecision", "quoteAssetPrecision")
    commissions = ("baseCommissionPrecision", "quoteCommissionPrecision")
    head = {"symbol": item.symbol, "status": "TRADING", "baseAsset": item.base, "quoteAsset": item.quote}
    switches = {"isSpotTradingAllowed": True, "isMarginTradingAllowed": False, "allowTrailingStop": True}
    return {
        **head,
        **dict.fromkeys((*precisions, *commissions), 8),
        "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"],
        "icebergAllowed": True,
        "ocoAllowed": True,
        "quoteOrderQtyMarketAllowed": True,
        **switches,
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "1000000.00000000", "tickSize": tick},
            {"filterType": "LOT_SIZE", "minQty": lot, "maxQty": "9000.00000000", "stepSize": lot},
            {
                "filterType": "MARKET_LOT_SIZE",
                "minQty": "0.00000000",
                "maxQty": "100.00000000",
                "stepSize": "0.00000000",
            },
            {"filterType": "NOTIONAL", "minNotional": "5.00000000", "applyMinToMarket": True, "avgPriceMins": 5},
        ],
        "permissions": [],
        "permissionSets": [["SPOT"]],
    }


def _futures_symbol(family: Family, item: Listing) -> dict[str, object]:
    tick, lot = _grid(item)
    pair = item.symbol.partition("_")[0]
    head = {"symbol": item.symbol, "pair": pair, "contractType": "PERPETUAL", "deliveryDate": FOREVER_MS}
    status = "contractStatus" if family is INVERSE else "status"
    own = {"contractSize": item.contract_size} if family is INVERSE else {}
    return {
        **head,
        "onboardDate": 1_569_398_400_000,
        status: "TRADING",
        **own,
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "baseAsset": item.base,
        "quoteAsset": item.quote,
        "marginAsset": item.base if family is INVERSE else item.quote,
        "pricePrecision": item.price_decimals,
        "quantityPrecision": item.size_decimals,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "filters": [
            {"minPrice": tick, "maxPrice": "1000000", "filterType": "PRICE_FILTER", "tickSize": tick},
            {"stepSize": lot, "filterType": "LOT_SIZE", "maxQty": "1000000", "minQty": lot},
            {"stepSize": lot, "filterType": "MARKET_LOT_SIZE", "maxQty": "1000000", "minQty": lot},
            {"notional": "5", "filterType": "MIN_NOTIONAL"},
        ],
        "orderTypes": ["LIMIT", "MARKET", "STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET"],
        "timeInForce": ["GTC", "IOC", "FOK", "GTX"],
    }


def read_symbol(family: Family, entry: Mapping[str, object]) -> Listing:
    """A listing from one entry of a recorded exchangeInfo. Its start level is not known and not needed."""
    base, quote = str(entry["baseAsset"]), str(entry["quoteAsset"])
    filters = entry["filters"]
    assert isinstance(filters, list)
    by_type = {str(item["filterType"]): item for item in filters}
    tick, lot = str(by_type["PRICE_FILTER"]["tickSize"]), str(by_type["LOT_SIZE"]["stepSize"])
    price_decimals = 8 if family is SPOT else int(str(entry["pricePrecision"]))
    size_decimals = 8 if family is SPOT else int(str(entry["quantityPrecision"]))
    return Listing(
        str(entry["symbol"]),
        unified(family, base, quote),
        base,
        quote,
        int(Decimal(tick).scaleb(price_decimals)),
        price_decimals,
        int(Decimal(lot).scaleb(size_decimals)),
        size_decimals,
        contract_size=contract_size(family, base),
    )


def guess(family: Family, symbol: str, prices: Sequence[str], sizes: Sequence[str]) -> Listing:
    """A listing from the number texts seen of a symbol: the finest decimals that carry a digit are its grid."""
    base, quote = split(symbol)
    price_decimals = max((len(text.partition(".")[2]) for text in prices), default=8)
    size_decimals = max((len(text.partition(".")[2]) for text in sizes), default=8)
    tick_places = max((places(text) for text in prices), default=price_decimals)
    lot_places = max((places(text) for text in sizes), default=size_decimals)
    return Listing(
        symbol,
        unified(family, base, quote),
        base,
        quote,
        10 ** (price_decimals - tick_places),
        price_decimals,
        10 ** (size_decimals - lot_places),
        size_decimals,
        contract_size=contract_size(family, base),
    )
