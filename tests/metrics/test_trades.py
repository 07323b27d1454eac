"""Trade metrics on cases worked by hand: windows, sides, sessions, groups, buckets, and what floats would miss."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from imbalanced.metrics import evaluate
from imbalanced.metrics.metric import NO_VALUE, VALUE, Grid
from imbalanced.metrics.trades import VwapDeviation, VwapOptions
from imbalanced.metrics.volume import VolumeSpike, VolumeSpikeOptions

Row = dict[str, Any]


def trade(ts_ms: int, side: str | None, size: str, price: str = "100") -> Row:
    return {"type": "trade", "ts_ms": ts_ms, "side": side, "price": price, "size": size}


def clock(ts_ms: int) -> Row:
    return {"type": "clock", "ts_ms": ts_ms}


def snapshot(ts_ms: int, bid: str, ask: str) -> Row:
    return {"type": "book_snapshot", "ts_ms": ts_ms, "bids": [[bid, "5"]], "asks": [[ask, "5"]]}


def delta(ts_ms: int, bids: list[list[str]], asks: list[list[str]]) -> Row:
    return {"type": "book_delta", "ts_ms": ts_ms, "bids": bids, "asks": asks}


def test_trade_imbalance_by_notional() -> None:
    events = [trade(0, "buy", "1", "300"), trade(1, "sell", "1", "100")]
    assert evaluate("trade_imbalance", {"unit": "quote"}, events) == [1.0, 0.5]


def test_trade_without_a_side_is_a_clock_for_the_imbalance() -> None:
    events = [trade(0, "buy", "1"), trade(999, None, "50"), trade(1000, None, "50")]
    assert evaluate("trade_imbalance", {}, events) == [1.0, 1.0, None]


def test_trade_of_size_zero_is_no_volume() -> None:
    assert evaluate("trade_imbalance", {}, [trade(0, "buy", "0")]) == [None]
    assert evaluate("aggressor_ratio", {}, [trade(0, "buy", "0")]) == [{"volume": None, "count": 1.0}]


def test_a_huge_trade_that_left_the_window_leaves_no_rounding_behind() -> None:
    events = [
        trade(0, "buy", "1000000000"),
        trade(500, "buy", "0.001"),
        trade(600, "sell", "0.002"),
        clock(1000),
    ]
    assert evaluate("trade_imbalance", {}, events)[-1] == pytest.approx(-1 / 3, rel=1e-15)
    assert evaluate("aggressor_ratio", {}, events)[-1] == pytest.approx({"volume": 1 / 3, "count": 0.5}, rel=1e-15)


def test_aggressor_ratio_answers_without_a_side() -> None:
    empty = {"volume": None, "count": None}
    assert evaluate("aggressor_ratio", {}, [clock(0), trade(1, None, "2")]) == [empty, empty]


def test_cvd_does_not_drift() -> None:
    events = [trade(i, "buy", "0.1") for i in range(10)] + [trade(10, "sell", "1")]
    assert evaluate("cvd", {}, events)[-1] == pytest.approx(0.0, abs=1e-16)


def test_cvd_session_starts_with_a_trade_without_a_side() -> None:
    events = [trade(9, "buy", "2"), trade(10, None, "7"), trade(11, "sell", "1"), clock(25)]
    assert evaluate("cvd", {"session_ms": 10}, events) == [2.0, 0.0, -1.0, None]


def test_sweep_counts_distinct_prices_and_takes_the_notional_of_all() -> None:
    events = [
        trade(0, "sell", "1", "102"),
        trade(0, "sell", "1", "102"),
        trade(0, "sell", "2", "101.5"),
        trade(1, "sell", "1", "100"),
        clock(1),
        clock(2),
    ]
    answers = evaluate("sweep", {}, events)
    assert answers == [None] * 5 + [{"levels": -3.0, "notional": -507.0}]


@pytest.mark.parametrize(
    "ending",
    [
        trade(1, "buy", "1", "100.9"),  # the price came back
        trade(1, "sell", "1", "102"),  # the other side
        trade(2, "buy", "1", "103"),  # later than the gap, counted from the first
        trade(2, None, "1", "103"),
        delta(2, [], []),  # on a book that is not live
        snapshot(2, "99", "100"),
        {"type": "book_invalid", "ts_ms": 2, "reason": "sequence_gap"},
        {"type": "value", "ts_ms": 2, "x": "1"},
        {"type": "oi", "ts_ms": 2, "oi": "1", "price": "1"},
    ],
    ids=lambda event: f"{event['type']}-{event['ts_ms']}",
)
def test_sweep_ends_with(ending: Row) -> None:
    events = [trade(0, "buy", "1", "100"), trade(0, "buy", "1", "101"), ending]
    assert evaluate("sweep", {"min_levels": 2}, events)[-1] == {"levels": 2.0, "notional": 201.0}


def test_sweep_goes_on_over_events_within_the_gap() -> None:
    events = [
        trade(0, "buy", "1", "100"),
        trade(1, None, "9", "90"),
        clock(1),
        trade(1, "buy", "1", "101"),
        trade(9, "buy", "1", "101"),
    ]
    assert evaluate("sweep", {"min_levels": 2}, events) == [None] * 4 + [{"levels": 2.0, "notional": 201.0}]


def test_vwap_of_the_session_forgets_the_day_before() -> None:
    events = [trade(0, "buy", "1", "100"), trade(9, "buy", "1", "102"), trade(10, "sell", "1", "50")]
    answers = evaluate("vwap_deviation", {"session_ms": 10}, events)
    assert answers[1] == pytest.approx({"vwap": 101, "sigma": 1, "z": 1, "bps": 1 / 101 * 1e4})
    assert answers[2] == {"vwap": 50.0, "sigma": 0.0, "z": None, "bps": 0.0}


def test_vwap_of_window_and_session_takes_the_narrower() -> None:
    events = [trade(0, "buy", "1", "100"), trade(6, "buy", "1", "102"), trade(9, "buy", "1", "104")]
    both = evaluate("vwap_deviation", {"session_ms": 10, "window_ms": 5}, events)
    assert both[2] == pytest.approx({"vwap": 103, "sigma": 1, "z": 1, "bps": 1 / 103 * 1e4})
    events.append(trade(10, "buy", "1", "106"))
    assert evaluate("vwap_deviation", {"session_ms": 10, "window_ms": 5}, events)[3]["z"] is None  # type: ignore[call-overload,index]


def test_vwap_has_no_z_when_one_price_is_left_after_an_eviction() -> None:
    events = [trade(0, "buy", "0.1", "7"), trade(1, "buy", "0.3", "0.1"), trade(2, None, "0.7", "0.1")]
    answers = evaluate("vwap_deviation", {"window_ms": 2}, events)
    assert answers[2] == {"vwap": 0.1, "sigma": 0.0, "z": None, "bps": 0.0}


def test_vwap_keeps_its_precision_far_from_the_first_price() -> None:
    """A session that begins with one odd print, then trades a million ticks away within three ticks."""
    metric = VwapDeviation(VwapOptions(), Grid(price_scale=0))
    metric.trade(1, 1e-6, 1, 0)
    for i in range(3000):
        metric.trade(1_000_000 + i % 3, 1.0, 1, i)
    sigma = metric.answer()["sigma"]  # type: ignore[call-overload,index]
    assert sigma == pytest.approx((2 / 3 + 1e-6 * 1_000_000**2 / 3000) ** 0.5, rel=1e-8)


def test_hawkes_imbalance_without_a_base_rate() -> None:
    events = [clock(0), trade(0, None, "1"), trade(0, "buy", "1"), clock(10_000_000)]
    answers: list[Any] = evaluate("hawkes_imbalance", {"mu": "0", "half_life_ms": 1}, events)
    assert [answer["imbalance"] for answer in answers] == [None, None, 1.0, 1.0]
    assert answers[3]["buy"] == 0.0  # smaller than any float, but the ratio is still known


def test_volume_spike_puts_an_edge_price_into_the_upper_bucket() -> None:
    prices = ["0.1", "0.2", "0.29", "0.3"]
    events = [trade(i, "buy", "1", price) for i, price in enumerate(prices)]
    answers = evaluate("volume_spike", {"bucket": "0.1", "min_buckets": 1}, events)
    assert answers == [None, *({"score": score, "delta_ratio": 1.0} for score in (1.0, 2.0, 1 / 1.5))]


def test_volume_spike_sees_the_small_beside_the_large() -> None:
    events = [trade(0, "buy", "1000000000", "5"), trade(1, "sell", "0.5", "1"), trade(2, "buy", "0.25", "5")]
    answers: list[Any] = evaluate("volume_spike", {"bucket": "1", "window_ms": 2, "min_buckets": 1}, events)
    assert answers[2] == {"score": 0.5, "delta_ratio": 1.0}


def test_volume_spike_with_more_buckets_than_it_started_with() -> None:
    events = [trade(i, "buy", "1", str(1 + i % 50)) for i in range(200)]
    answers: list[Any] = evaluate("volume_spike", {"bucket": "1", "window_ms": 100}, events)
    assert answers[-1] == {"score": 1.0, "delta_ratio": 1.0}


def test_volume_spike_takes_five_basis_points_in_whole_ticks() -> None:
    metric = VolumeSpike(VolumeSpikeOptions(min_buckets=1), Grid(price_scale=1, tick=Decimal("0.5")))
    # 5 bps of 6000.0 are 3.0: [6000, 6003) is one bucket.
    assert metric.trade(60000, 1.0, 1, 0) == NO_VALUE
    assert metric.trade(60025, 1.0, 1, 0) == NO_VALUE
    assert metric.trade(60030, 1.0, 1, 0) == VALUE


def test_absorption_decides_on_the_net_volume_as_decimals() -> None:
    """0.7 + 0.1 is less than 0.8 in floats."""
    params = {"tick": "1", "min_net": "0.8", "ref_volume": "0.8"}
    events = [snapshot(0, "100", "101"), trade(1, "buy", "0.7"), trade(2, "buy", "0.1"), trade(3, "buy", "0.1")]
    assert evaluate("absorption", params, events) == pytest.approx([None, 0, -1, -1.125])


def test_absorption_compares_with_the_mid_one_window_ago() -> None:
    params = {"tick": "1", "min_net": "1", "ref_volume": "1", "window_ms": 100, "max_move_ticks": "0.5"}
    events = [
        snapshot(0, "100", "102"),
        delta(50, [["101", "1"]], []),  # the mid moves half a tick: held
        trade(60, "buy", "1"),
        delta(70, [], [["102", "0"], ["103", "1"]]),  # a whole tick: moved
        trade(80, "buy", "1"),
        trade(150, "buy", "1"),  # as of 50: half a tick
        trade(180, "sell", "5"),  # the mid did not fall, and the trade of 80 has left
    ]
    assert evaluate("absorption", params, events) == [None, None, -1.0, None, 0.0, -3.0, 4.0]


def test_absorption_counts_nothing_while_the_book_cannot_be_trusted() -> None:
    params = {"tick": "1", "min_net": "0", "ref_volume": "1"}
    events = [
        trade(0, "buy", "9"),  # no book yet
        snapshot(1, "100", "101"),
        delta(2, [["102", "1"]], []),  # crossed
        trade(3, "buy", "9"),
        delta(4, [["102", "0"]], []),
        trade(5, "buy", "1"),
        trade(5, None, "9"),
        {"type": "book_invalid", "ts_ms": 6, "reason": "sequence_gap"},
        trade(7, "buy", "9"),
        snapshot(8, "100", "101"),
        trade(9, "sell", "2"),
    ]
    answers = evaluate("absorption", params, events)
    assert [answer for answer in answers if answer is not None] == [-1.0, 2.0]
    assert answers[5] == -1.0


def test_vpin_bucket_is_full_though_ten_tenths_are_less_than_one() -> None:
    events = [trade(i, "buy", "0.1") for i in range(10)]
    assert evaluate("vpin", {"bucket_volume": "1", "buckets": 1}, events) == [None] * 9 + [
        pytest.approx({"vpin": 1, "signed": 1})
    ]


def test_vpin_of_a_trade_that_fills_a_billion_buckets() -> None:
    events = [trade(0, "buy", "1"), trade(1, "sell", "1000000000.5"), trade(2, "buy", "0.5")]
    answers = evaluate("vpin", {"bucket_volume": "1", "buckets": 2}, events)
    assert answers == [None, {"vpin": 1.0, "signed": -1.0}, pytest.approx({"vpin": 0.5, "signed": -0.5})]


def row(ts_ms: int, *x: str) -> Row:
    return {"type": "row", "ts_ms": ts_ms, "x": list(x)}


def test_kyle_lambda_needs_two_distinct_flows_and_r2_two_distinct_moves() -> None:
    events = [row(0, "0.1", "1"), row(1, "0.1", "2"), row(2, "0.2", "2"), row(3, "0.3", "2")]
    answers: list[Any] = evaluate("kyle_lambda", {"intervals": 3, "min_intervals": 2}, events)
    assert answers[:2] == [None, None]
    assert answers[2] == pytest.approx({"lambda": 5, "r2": 0.25})
    assert answers[3] == pytest.approx({"lambda": 0, "r2": None})


@pytest.mark.parametrize(
    ("name", "params", "event", "named"),
    [
        ("trade_imbalance", {"window_ms": 0}, clock(0), "window_ms"),
        ("trade_imbalance", {"unit": "lots"}, clock(0), "unit"),
        ("trade_imbalance", {"windows_ms": 1}, clock(0), "windows_ms"),
        ("vpin", {}, clock(0), "bucket_volume"),
        ("volume_spike", {}, clock(0), "bucket"),
        ("absorption", {"min_net": "1", "ref_volume": "1"}, clock(0), "tick"),
        ("kyle_lambda", {}, row(0, "1"), "x is"),
        ("kyle_lambda", {}, row(0, "1", "many"), r"x\[1\] is 'many'"),
        ("cvd", {}, {"type": "tick", "ts_ms": 0}, "type is 'tick'"),
    ],
)
def test_what_is_wrong_is_named(name: str, params: dict[str, Any], event: Row, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        evaluate(name, params, [event])
