"""A recording's own symbols and the names of a configuration."""

from __future__ import annotations

import pytest

from imbalanced.events import Instrument
from imbalanced.naming import is_written, named

PERPETUAL = "BTC/USDT:USDT"


def found(venue_symbol: str, symbol: str = "", **more: str) -> Instrument:
    return Instrument(venue="v", symbol=symbol or venue_symbol, venue_symbol=venue_symbol, **more)


@pytest.mark.parametrize(
    ("name", "written"),
    [
        (PERPETUAL, "BTCUSDT"), (PERPETUAL, "btcusdt"), (PERPETUAL, "BTC-USDT-SWAP"), (PERPETUAL, "BTC_USDT"),
        (PERPETUAL, "XBTUSDTM"), ("BTC/USD", "tBTCUSD"), ("BTC/USD:USD", "PF_XBTUSD"), ("BTC/USD", "XBT/USD"),
        ("BTC/USD:BTC", "BTCUSD_PERP"), ("BTC/USD:BTC", "BTC-PERPETUAL"), ("BTC/USDC:USDC", "BTC"),
        ("1000PEPE/USDT:USDT", "1000PEPEUSDT"),
    ],
)  # fmt: skip
def test_ways_to_write_a_pair(name: str, written: str) -> None:
    assert is_written(name, written)


@pytest.mark.parametrize(
    ("name", "written"),
    [
        (PERPETUAL, "BTCUSDT_240628"), (PERPETUAL, "ETHUSDT"), ("BTC/USD", "BTCUSDT"), (PERPETUAL, "BTCUSD"),
        ("BTC/USD:BTC", "BTC-27JUN25-100000-C"), ("PEPE/USDT:USDT", "1000PEPEUSDT"), ("TC/USD", "BTCUSD"),
    ],
)  # fmt: skip
def test_other_instruments(name: str, written: str) -> None:
    assert not is_written(name, written)


def test_what_has_a_name_is_taken_by_it() -> None:
    one = found("BTCUSDT", PERPETUAL, base="BTC", quote="USDT")
    assert named([PERPETUAL])(one) is one
    assert named(["BTC/USDT"])(one) is None, "the spot pair is another instrument"


def test_what_has_none_gets_the_one_that_it_must_be() -> None:
    given = named([PERPETUAL, "ETH/USDT:USDT"])(found("BTCUSDT"))
    assert given is not None
    assert (given.symbol, given.venue_symbol, given.base, given.quote) == (PERPETUAL, "BTCUSDT", "BTC", "USDT")


def test_of_two_that_it_may_be_it_is_none() -> None:
    assert named([PERPETUAL, "BTC/USDT"])(found("BTCUSDT")) is None
