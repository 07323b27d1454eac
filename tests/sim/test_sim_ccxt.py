"""ccxt, the instrument reader of the outside world, loads the markets of simulated venues."""

from __future__ import annotations

import asyncio
from typing import Any

import ccxt
import pytest

CASES = [
    ("binance", "binance", "spot", "spot", ["BTC/USDT", "ETH/USDT", "SOL/USDT"]),
    ("binance_usdm", "binanceusdm", "future", "linear", ["BTC/USDT:USDT", "ETH/USDT:USDT", "SOL/USDT:USDT"]),
    ("binance_coinm", "binancecoinm", "delivery", "inverse", ["BTC/USD:BTC", "ETH/USD:ETH", "SOL/USD:SOL"]),
]


def load(class_name: str, base: str, kind: str, types: str) -> dict[str, Any]:
    exchange = getattr(ccxt, class_name)({"options": {"defaultType": kind, "fetchMarkets": {"types": [types]}}})
    hosts = {"public": "/api/v3", "fapiPublic": "/fapi/v1", "dapiPublic": "/dapi/v1"}
    for name, path in hosts.items():
        exchange.urls["api"][name] = base + path
    exchange.has["fetchCurrencies"] = False  # needs a key on the real venue as well
    markets: dict[str, Any] = exchange.load_markets()
    exchange.session.close()
    return markets


@pytest.mark.parametrize(("venue", "class_name", "kind", "types", "symbols"), CASES)
async def test_ccxt_loads_the_markets(
    simulate: Any, *, venue: str, class_name: str, kind: str, types: str, symbols: list[str]
) -> None:
    running = await simulate(venue)
    markets = await asyncio.to_thread(load, class_name, running.endpoints[venue]["rest"], kind, types)
    assert sorted(markets) == symbols
    assert all(market["active"] for market in markets.values())
    btc = markets[symbols[0]]
    price, amount = {"spot": (0.01, 0.00001), "linear": (0.1, 0.001), "inverse": (0.1, 1.0)}[types]
    assert btc["precision"]["price"] == pytest.approx(price)
    assert btc["precision"]["amount"] == pytest.approx(amount)
    assert btc["contractSize"] == {"spot": None, "linear": 1.0, "inverse": 100.0}[types]
