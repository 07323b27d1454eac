"""Open interest, funding, liquidations and the option chain on cases worked by hand."""

from __future__ import annotations

from typing import Any

import pytest

from imbalanced.metrics import evaluate

Row = dict[str, Any]


def oi(ts_ms: int, oi: str, price: str) -> Row:
    return {"type": "oi", "ts_ms": ts_ms, "oi": oi, "price": price}


def option(ts_ms: int, kind: str, strike: str, **told: Any) -> Row:
    usual = {"expiry_ms": 1000, "oi": "1", "volume": "0", "delta": "0.5", "iv": "0.6", "underlying": "100"}
    return {"type": "option", "ts_ms": ts_ms, "kind": kind, "strike": strike, **usual, **told}


def clock(ts_ms: int) -> Row:
    return {"type": "clock", "ts_ms": ts_ms}


def test_oi_change_equal_to_the_band_counts() -> None:
    """(300.3 - 300) / 300 * 1e4 is 10.000000000000378 in floats, (299.7 - 300) / 300 * 1e4 a little above -10."""
    params = {"window_ms": 100, "oi_band_bps": "10", "price_band_bps": "10"}
    events = [oi(0, "300", "300"), oi(100, "300.3", "299.7"), oi(200, "300.3", "299.7")]
    assert evaluate("oi_imbalance", params, events) == [
        None,
        pytest.approx({"quadrant": "short_build", "oi_change_bps": 10, "price_change_bps": -10, "score": -10}),
        {"quadrant": "flat", "oi_change_bps": 0.0, "price_change_bps": 0.0, "score": 0.0},
    ]


def test_no_change_is_flat_even_without_a_band() -> None:
    params = {"window_ms": 1, "oi_band_bps": "0", "price_band_bps": "0"}
    answers: list[Any] = evaluate("oi_imbalance", params, [oi(0, "1", "1"), oi(1, "1", "2"), oi(2, "2", "2")])
    assert [answer and answer["quadrant"] for answer in answers] == [None, "flat", "flat"]


def test_oi_reference_is_the_last_one_of_its_time() -> None:
    events = [oi(0, "1", "1"), oi(0, "100", "100"), oi(99, "7", "7"), oi(100, "110", "110"), oi(150, "1", "1")]
    answers: list[Any] = evaluate("oi_imbalance", {"window_ms": 100}, events)
    assert answers[:3] == [None, None, None]
    assert answers[3]["oi_change_bps"] == 1000.0
    assert answers[4]["oi_change_bps"] == -9900.0


def test_oi_without_open_interest_then_has_no_value() -> None:
    assert evaluate("oi_imbalance", {"window_ms": 1}, [oi(0, "0", "1"), oi(1, "5", "1"), oi(2, "5", "1")]) == [
        None,
        None,
        {"quadrant": "flat", "oi_change_bps": 0.0, "price_change_bps": 0.0, "score": 0.0},
    ]


def test_funding_of_what_the_venue_does_not_say() -> None:
    event = {"type": "funding", "ts_ms": 0, "rate": "0.0001", "interval_h": "4", "mark": None, "index": "100"}
    answers = evaluate("funding_pressure", {}, [event, event | {"interval_h": "0", "mark": "99", "index": "0"}])
    assert answers[0] == pytest.approx({"rate_8h_bps": 2, "annual": 0.219, "basis_bps": None})
    assert answers[1] == {"rate_8h_bps": None, "annual": None, "basis_bps": None}


def forced(ts_ms: int, side: str | None, price: str, size: str) -> Row:
    return {"type": "liquidation", "ts_ms": ts_ms, "side": side, "price": price, "size": size}


def test_liquidation_without_a_side_is_a_clock() -> None:
    events = [forced(0, "buy", "3", "100"), forced(1, "sell", "1", "100"), forced(100, None, "9", "9"), clock(101)]
    assert evaluate("liquidation_imbalance", {"window_ms": 100}, events) == [1.0, 0.5, -1.0, None]


def test_option_imbalance_drops_what_expires() -> None:
    events = [
        option(0, "C", "100", oi="3", expiry_ms=10),
        option(1, "P", "100", oi="1", expiry_ms=20, delta="-0.5"),
        option(2, "P", "100.0", oi="2", expiry_ms=20, delta="-0.5"),  # the same option once more
        option(10, "C", "90", oi="5", expiry_ms=5),  # long expired
        option(20, "C", "90", oi="5", expiry_ms=20),
    ]
    answers: list[Any] = evaluate("option_imbalance", {}, events)
    assert [answer["put_call_ratio"] for answer in answers] == [
        0.0,
        pytest.approx(1 / 3),
        pytest.approx(2 / 3),
        None,
        None,
    ]
    assert [answer["imbalance"] for answer in answers] == [1.0, 0.5, 0.2, -1.0, None]


def test_option_imbalance_by_volume_and_without_deltas() -> None:
    events = [option(0, "C", "100", volume="3", delta=None), option(1, "P", "100", volume="1", delta="0")]
    answers = evaluate("option_imbalance", {"field": "volume"}, events)
    assert answers[1] == {"put_call_ratio": pytest.approx(1 / 3), "imbalance": 0.5, "delta_weighted": None}


def test_option_totals_stay_exact() -> None:
    """0.1 + 0.2 - 0.1 - 0.2 is not 0 in floats; here a denominator depends on it."""
    events = [
        option(0, "C", "1", oi="0.1"),
        option(1, "C", "2", oi="0.2"),
        option(2, "C", "1", oi="0"),
        option(3, "C", "2", oi="0"),
    ]
    answers: list[Any] = evaluate("option_imbalance", {}, events)
    assert answers[3] == {"put_call_ratio": None, "imbalance": None, "delta_weighted": None}


def test_strike_skew_takes_the_spot_of_any_expiry_and_its_own_open_interest() -> None:
    events = [
        option(0, "C", "90", oi="5", expiry_ms=7),
        option(1, "C", "110", oi="1"),
        option(2, "P", "110", oi="1"),
        option(3, "P", "90", oi="2"),
        option(9999, "C", "50", oi="9", expiry_ms=7, underlying="90"),
        option(9999, "P", "90", oi="0"),
    ]
    answers: list[Any] = evaluate("oi_strike_skew", {"expiry_ms": 1000}, events)
    assert answers[0] is None
    assert answers[2] == {"oi_weighted_strike": 110.0, "distance_bps": 1000.0, "above_below": 1.0, "skewness": None}
    assert answers[3] == {"oi_weighted_strike": 100.0, "distance_bps": 0.0, "above_below": 0.0, "skewness": 0.0}
    assert answers[4] == {
        "oi_weighted_strike": 100.0,
        "distance_bps": pytest.approx(1e5 / 90),
        "above_below": 1.0,  # strikes at the spot count in neither
        "skewness": 0.0,
    }
    assert answers[5]["skewness"] is None


def test_strike_skew_without_open_interest_has_no_value() -> None:
    events = [option(0, "C", "90", oi="0.3"), option(1, "C", "90", oi="0")]
    assert evaluate("oi_strike_skew", {"expiry_ms": 1000}, events)[1] is None


def test_risk_reversal_among_several_points() -> None:
    events = [
        option(0, "P", "80", delta="-0.25", iv="0.9"),
        option(1, "P", "81", delta="-0.25", iv="0.7"),  # the lowest of those exactly there
        option(2, "C", "110", delta="0.2", iv="0.5"),
        option(3, "C", "111", delta="0.2", iv="0.6"),  # the neighbour below is the last in order
        option(4, "C", "105", delta="0.3", iv="0.8"),
        option(5, "C", "106", delta="0.3", iv="0.9"),  # the neighbour above the first
        option(6, "C", "105", delta="0.3", iv=None),
        option(7, "P", "80", expiry_ms=7),  # another expiry: answers, changes nothing
    ]
    answers = evaluate("risk_reversal", {"expiry_ms": 1000}, events)
    assert answers == [None] * 4 + [pytest.approx(x) for x in (0.0, 0.0, 0.05, 0.05)]


def test_risk_reversal_never_extrapolates() -> None:
    events = [
        option(0, "P", "80", delta="-0.25"),
        option(1, "C", "110", delta="0.2"),
        option(2, "C", "111", delta="0.1"),
    ]
    assert evaluate("risk_reversal", {"expiry_ms": 1000}, events) == [None] * 3


@pytest.mark.parametrize(
    ("name", "params", "event", "named"),
    [
        ("oi_imbalance", {}, oi(0, "-1", "1"), "oi is '-1', expected at least 0"),
        ("oi_imbalance", {"oi_band_bps": "-1"}, oi(0, "1", "1"), "oi_band_bps"),
        ("long_short_ratio", {}, {"type": "ratio", "ts_ms": 0, "long": "1"}, "short is None"),
        ("funding_pressure", {}, {"type": "funding", "ts_ms": 0, "rate": "x"}, "rate is 'x'"),
        ("liquidation_imbalance", {}, forced(0, "long", "1", "1"), "side is 'long'"),
        ("option_imbalance", {"field": "trades"}, option(0, "C", "1"), "field"),
        ("option_imbalance", {}, option(0, "X", "1"), "kind is 'X'"),
        ("option_imbalance", {}, option(0, "C", "1", expiry_ms="soon"), "expiry_ms is 'soon'"),
        ("option_imbalance", {}, option(0, "C", "1", oi="inf"), "oi is 'inf'"),
        ("oi_strike_skew", {}, option(0, "C", "1"), "expiry_ms"),
        ("risk_reversal", {"expiry_ms": 1, "delta": "2"}, option(0, "C", "1"), "delta"),
    ],
)
def test_what_is_wrong_is_named(name: str, params: dict[str, Any], event: Row, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        evaluate(name, params, [event])
