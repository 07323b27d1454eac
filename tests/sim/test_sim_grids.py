"""Listings from grid texts and the small writing habits; silence that is noticed by ticks."""

from __future__ import annotations

import pytest

from imbalanced.sim.desk import Silence, json_object
from imbalanced.sim.grids import asked, by_base, listing, lot_size, places, tick_size, trimmed, utc


def test_a_unified_symbol_taken_apart() -> None:
    assert asked("btc/usdt") == ("BTC", "USDT", "")
    assert asked(" BTC/USD:BTC ") == ("BTC", "USD", "BTC")
    for text in ("BTCUSDT", "BTC/", "/USDT", "BTC/USDT:", "BTC/US DT", ""):
        with pytest.raises(ValueError, match="expected BASE/QUOTE"):
            asked(text)


def test_a_listing_has_the_grid_it_was_told() -> None:
    made = listing("X", "BTC/USDT", ("BTC", "USDT"), ("0.5", "10"), contract="0.01")
    assert (made.price(3), made.size(7), made.contract) == ("1.5", "70", "0.01")
    assert (tick_size(made), lot_size(made)) == ("0.5", "10")
    assert made.price(made.start_tick) == "61800.0"
    assert listing("X", "Q/USDT", ("Q", "USDT"), ("0.010", "0.00001")).price(1250) == "12.50"


def test_numbers_and_times() -> None:
    assert [trimmed(text) for text in ("1.500", "10.0", "100", "0.000")] == ["1.5", "10", "100", "0"]
    assert [places(text) for text in ("0.0100", "1", "10.0")] == [2, 0, 0]
    assert utc(1_723_161_255_007) == "2024-08-08T23:54:15.007000Z"
    assert [by_base({"A": 1, "": 2}, base) for base in "AB"] == [1, 2]


def test_silence_is_counted_from_the_tick_after_the_last_word() -> None:
    silence = Silence(1000)
    assert [silence.over(ms) for ms in (500, 999, 1000)] == [False, False, True]
    silence.broken()
    assert [silence.over(ms) for ms in (1500, 2499, 2500)] == [False, False, True]


def test_only_an_object_is_a_request() -> None:
    assert json_object('{"a":1}') == {"a": 1}
    assert [json_object(text) for text in ("", "[]", "7", "nonsense", "null")] == [None] * 5
