"""Filters in the configuration: off, on, short forms, and those that a venue cannot feed."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from scripted import TABLES

from imbalanced.config import Config, ConfigError, json_schema, load
from imbalanced.detect import FILTERS

SPOT = {"binance": {"instruments": ["AAA/USDT"]}}
SWAPS = {"okx": {"instruments": ["AAA/USDT:USDT"]}, "bybit": {"instruments": ["AAA/USDT:USDT"]}}


def loaded(**data: Any) -> Config:
    return load(orjson.dumps(data).decode(), TABLES, environ={}, read_text=lambda path: "")


def faults(**data: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loaded(**data)
    return [f"{fault.path}: {fault.expected}" for fault in caught.value.faults]


def test_all_are_on_and_can_be_off() -> None:
    assert list(loaded(venues=SPOT).filters_of("binance")) == list(FILTERS)
    assert loaded(venues=SPOT, filters="off").filters_of("binance") == {}
    assert "spoof" not in loaded(venues=SPOT, filters={"spoof": "off"}).filters_of("binance")


def test_a_filter_that_is_named_must_be_fed() -> None:
    (fault,) = faults(venues=SPOT, filters={"sentiment": {"require": "agree"}})
    assert fault.startswith("filters.sentiment: off for binance, which gives no funding or oi or ratio")
    assert "okx" in fault
    (fault,) = faults(venues={**SWAPS, "binance": {"filters": {"sentiment": "on"}}})
    assert fault.startswith("venues.binance.filters.sentiment: off for binance")
    assert loaded(venues=SWAPS, filters={"sentiment": {"require": "agree"}})
    assert loaded(venues=SPOT, filters={"sentiment": "off"})


def test_a_number_is_the_short_form_of_confirm() -> None:
    config = loaded(venues=SWAPS, filters={"confirm": 1})
    assert config.filters_of("okx")["confirm"].at_least == 1  # type: ignore[attr-defined]
    (fault,) = faults(venues=SWAPS, filters={"spread": 3})
    assert fault == "filters.spread: off, on, or a mapping of its options"
    (fault,) = faults(venues=SWAPS, filters={"confirm": True})
    assert fault == "filters.confirm: off, on, or a mapping of its options"


def test_confirmation_needs_as_many_other_venues() -> None:
    assert faults(venues=SPOT, filters={"confirm": 1}) == [
        "filters.confirm.at_least: of at most 0 (the other venues that are configured)"
    ]
    (fault,) = faults(venues={**SWAPS, **SPOT, "okx": {"filters": {"confirm": {"at_least": 3}}}})
    assert fault.startswith("venues.okx.filters.confirm.at_least: of at most 2")


def test_the_schema_knows_the_short_form() -> None:
    forms = json_schema(TABLES)["$defs"]["filters"]["anyOf"][1]["properties"]
    assert {"type": "integer", "minimum": 0} in forms["confirm"]["anyOf"]
    assert {"type": "integer", "minimum": 0} not in forms["spread"]["anyOf"]


def test_rules_between_options() -> None:
    (fault,) = faults(venues=SPOT, filters={"flicker": {"good": 0.9}})
    assert fault.startswith("filters.flicker: good below bad")
