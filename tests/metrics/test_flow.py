"""Order flow metrics against numbers worked out by hand."""

from __future__ import annotations

from math import log
from typing import Any, ClassVar

import pytest

from imbalanced.metrics import evaluate

Row = tuple[str, str]


def snapshot(t: int, bids: list[Row], asks: list[Row]) -> dict[str, Any]:
    return {"type": "book_snapshot", "ts_ms": t, "bids": list(map(list, bids)), "asks": list(map(list, asks))}


def delta(t: int, bids: list[Row] = [], asks: list[Row] = []) -> dict[str, Any]:  # noqa: B006
    return {"type": "book_delta", "ts_ms": t, "bids": list(map(list, bids)), "asks": list(map(list, asks))}


def clock(t: int) -> dict[str, Any]:
    return {"type": "clock", "ts_ms": t}


def trade(t: int, side: str | None, price: str, size: str) -> dict[str, Any]:
    return {"type": "trade", "ts_ms": t, "side": side, "price": price, "size": size}


INVALID = {"type": "book_invalid", "ts_ms": 50, "reason": "sequence_gap"}
START = snapshot(0, [("100", "5"), ("99", "4")], [("101", "5"), ("102", "4")])


class TestOfi:
    @pytest.mark.parametrize(
        ("message", "flow"),
        [
            (delta(1, bids=[("100", "7")]), 2),
            (delta(1, bids=[("100.5", "3")]), 3),  # a better bid counts whole
            (delta(1, bids=[("100", "0")]), -5),  # a vanished one too
            (delta(1, asks=[("101", "7")]), -2),
            (delta(1, asks=[("100.5", "3")]), -3),
            (delta(1, asks=[("101", "0")]), 5),
            (delta(1, bids=[("100", "0"), ("99", "0")]), -5),  # no bids left: still clean
            (delta(1, bids=[("99", "9")]), 0),
        ],
    )
    def test_one_message(self, message: dict[str, Any], flow: float) -> None:
        assert evaluate("ofi", {}, [START, message]) == [None, flow]

    def test_window_is_open_at_its_old_end(self) -> None:
        events = [START, delta(1, bids=[("100", "7")]), delta(500, bids=[("100", "8")]), clock(1000), clock(1001)]
        assert evaluate("ofi", {"window_ms": 1000}, [*events, clock(1500)]) == [None, 2, 3, 3, 1, 0]

    def test_crossed_states_are_stepped_over(self) -> None:
        events = [
            START,
            delta(1, bids=[("103", "1")]),  # crossed
            clock(2),
            delta(3, bids=[("103", "0"), ("100", "9")]),  # against the snapshot: +4
        ]
        assert evaluate("ofi", {}, events) == [None, None, None, 4]

    def test_a_crossed_start_is_no_anchor(self) -> None:
        crossed = snapshot(0, [("100", "1")], [("99", "1")])
        events = [
            crossed,
            clock(1),
            delta(2, asks=[("99", "0"), ("101", "1")]),
            clock(3),
            delta(4, bids=[("100", "3")]),
        ]
        assert evaluate("ofi", {}, events) == [None, None, None, 0, 2]

    def test_invalid_and_snapshot_cut(self) -> None:
        events = [START, delta(1, bids=[("100", "7")]), INVALID, clock(51), delta(52), START | {"ts_ms": 60}, clock(61)]
        assert evaluate("ofi", {}, events) == [None, 2, None, None, None, None, 0]

    def test_a_whale_leaves_nothing_behind(self) -> None:
        """1e17 comes and goes; a plain running sum would have lost the 0.3."""
        events = [
            START,
            delta(1, bids=[("100", "5.3")]),
            delta(2, bids=[("100.5", "1e17")]),
            delta(3, bids=[("100.5", "0")]),
            delta(4, bids=[("100", "5.4")]),
            clock(1003),
            clock(1004),
        ]
        got = evaluate("ofi", {"window_ms": 1001}, events)
        assert got[3:] == pytest.approx([0.3, 0.4, -1e17, 0.1])

    def test_many_rows(self) -> None:
        """More rows than the window starts with room for, wrapped around its end."""
        events = [START, *(delta(i, bids=[("100", str(5 + i))]) for i in range(1, 1000))]
        assert evaluate("ofi", {"window_ms": 100}, events)[-1] == 100


class TestRatioAndLog:
    def test_ratio(self) -> None:
        events = [START, clock(1), delta(2), delta(3, bids=[("100", "8")]), delta(4, asks=[("101", "7")]), clock(1004)]
        assert evaluate("ofi_ratio", {}, events) == [None, None, None, 1, pytest.approx(1 / 5), None]

    def test_both_sides_of_one_message_count_gross(self) -> None:
        message = delta(1, bids=[("100", "8")], asks=[("101", "8")])
        assert evaluate("ofi_ratio", {}, [START, message]) == [None, 0]

    def test_log(self) -> None:
        events = [START, delta(1, bids=[("100", "15")]), delta(2, asks=[("101", "0")])]
        got = evaluate("log_ofi", {"ref_size": "5"}, events)
        assert got == [None, pytest.approx(log(4) - log(2)), pytest.approx(log(4) - log(2) + log(2))]
        with pytest.raises(ValueError, match=r"log_ofi.*ref_size"):
            evaluate("log_ofi", {}, events)


class TestMultiLevel:
    def test_by_rank(self) -> None:
        # A bid at 99.5 pushes 99 to rank 3: rank 2 improves by 1, rank 3 appears with 4.
        events = [START, delta(1, bids=[("99.5", "1")]), delta(2, asks=[("101", "0")]), clock(5000)]
        got = evaluate("mlofi", {"levels": 3}, events)
        # Then ask ranks 1 and 2 get worse and vanish: +5 and +4.
        assert got == [None, [0, 1, 4], [5, 5, 4], [0, 0, 0]]

    def test_scaled_by_mean_depth(self) -> None:
        events = [START, delta(1, bids=[("100", "7")]), delta(2, asks=[("102", "0")]), clock(1001), clock(1002)]
        got = evaluate("ofi_depth_normalised", {"levels": 2}, events)
        # States: 7 + 4 + 5 + 4 = 20, then 16; mean per level and side 36 / 8, then 16 / 4.
        assert got == [None, pytest.approx([2 / 5, 0]), pytest.approx([2 / 4.5, 4 / 4.5]), pytest.approx([0, 1]), None]

    def test_no_depth_at_all(self) -> None:
        gone = delta(1, bids=[("100", "0"), ("99", "0")], asks=[("101", "0"), ("102", "0")])
        assert evaluate("ofi_depth_normalised", {"levels": 2, "window_ms": 1}, [START, gone, clock(1)]) == [None] * 3

    def test_integrated_is_the_weighted_sum(self) -> None:
        events = [START, delta(1, bids=[("100", "7")]), delta(2, asks=[("102", "0")]), clock(1002)]
        got = evaluate("integrated_ofi", {"weights": ["0.75", "0.25"]}, events)
        assert got == [None, pytest.approx(0.3), pytest.approx((1.5 + 1) / 4.5), None]

    @pytest.mark.parametrize("weights", [[], ["x"], ["0"] * 1001])
    def test_weights_must_be_some_numbers(self, weights: list[str]) -> None:
        with pytest.raises(ValueError, match="integrated_ofi"):
            evaluate("integrated_ofi", {"weights": weights}, [])


class TestIntegratedWeights:
    @staticmethod
    def fit(*rows: list[str]) -> Any:
        events = [{"type": "row", "ts_ms": i, "x": row} for i, row in enumerate(rows)]
        got = evaluate("integrated_ofi_weights", {}, events)
        assert got[:-1] == [None] * (len(rows) - 1)
        return got[-1]

    def test_three_levels(self) -> None:
        # Rows along (2, 1, 1): the only component.
        got = self.fit(["2", "1", "1"], ["-2", "-1", "-1"], ["4", "2", "2"])
        assert got == pytest.approx({"w1": 0.5, "w2": 0.25, "w3": 0.25, "explained": 1, "integrated_last": 3})

    def test_without_covariance_the_axis_of_the_larger_variance(self) -> None:
        rows = (["1", "2"], ["1", "-2"], ["-1", "2"], ["-1", "-2"])
        assert self.fit(*rows) == pytest.approx({"w1": 0, "w2": 1, "explained": 0.8, "integrated_last": -2})
        # Equal variances, and numbers whose products do not cancel in floating point.
        rows = (["0.1", "0.3"], ["0.1", "0.5"], ["0.3", "0.3"], ["0.3", "0.5"])
        assert self.fit(*rows) == pytest.approx({"w1": 1, "w2": 0, "explained": 0.5, "integrated_last": 0.3})

    def test_sign(self) -> None:
        # Opposite levels: the sum is 0, so the first weight is positive.
        got = self.fit(["-1", "1"], ["1", "-1"])
        assert got == pytest.approx({"w1": 0.5, "w2": -0.5, "explained": 1, "integrated_last": 1})

    def test_nothing_varies(self) -> None:
        assert self.fit(["0.1", "0.7"], ["0.1", "0.7"], ["0.1", "0.7"]) is None

    def test_other_events_are_no_rows(self) -> None:
        events = [{"type": "row", "ts_ms": i, "x": [str(i)]} for i in range(3)]
        got = evaluate("integrated_ofi_weights", {}, [*events, clock(9)])
        assert got[2:] == [pytest.approx({"w1": 1, "explained": 1, "integrated_last": 2}), None]

    @pytest.mark.parametrize("x", [None, [], ["1"], ["1", "nan"], ["1", "2", "3"], "12"])
    def test_a_row_must_fit(self, x: object) -> None:
        rows = [{"type": "row", "ts_ms": 0, "x": ["1", "2"]}, {"type": "row", "ts_ms": 1, "x": x}]
        with pytest.raises(ValueError, match=r"event 1: x is .* 2 finite numbers"):
            evaluate("integrated_ofi_weights", {}, rows)


class TestCancelAdd:
    START = snapshot(0, [("100", "5"), ("99", "5")], [("101", "5"), ("102", "5")])
    PARAMS: ClassVar[dict[str, Any]] = {"levels": 2, "window_ms": 1000, "match_ms": 200}

    def last(self, *events: dict[str, Any], **params: Any) -> Any:
        got = evaluate("cancel_add", self.PARAMS | params, [self.START, *events])[-1]
        return (
            got
            if got is None
            else [*(got[k] for k in ("add_bid", "cancel_bid", "add_ask", "cancel_ask")), got["ratio"]]
        )

    def test_before_or_after_the_message(self) -> None:
        # 100 leaves, 99 and 98 are the best two afterwards: a cancel of 5 and an addition of 2; 97 is neither.
        message = delta(1, bids=[("100", "0"), ("98", "2"), ("97", "9")])
        assert self.last(message) == pytest.approx([2, 5, 0, 0, -3 / 7])

    def test_a_level_pushed_out_still_counts(self) -> None:
        # 99 was among the best two before 100.5 came.
        message = delta(1, bids=[("100.5", "2"), ("99", "1")])
        assert self.last(message) == pytest.approx([2, 4, 0, 0, -2 / 6])

    def test_a_trade_explains_a_decrease(self) -> None:
        assert self.last(trade(1, "sell", "100", "3"), delta(201, bids=[("100", "1")])) == [0, 1, 0, 0, -1]
        assert self.last(trade(1, "sell", "100", "3"), delta(202, bids=[("100", "1")])) == [0, 4, 0, 0, -1]
        assert self.last(trade(1, "buy", "100", "3"), delta(2, bids=[("100", "1")])) == [0, 4, 0, 0, -1]

    def test_its_volume_is_used_up(self) -> None:
        events = [trade(1, "buy", "101", "3"), delta(2, asks=[("101", "3")]), delta(3, asks=[("101", "1")])]
        assert self.last(*events) == [0, 0, 0, 1, 1]

    def test_a_late_trade_takes_a_cancellation_back(self) -> None:
        events = [delta(1, bids=[("100", "2")]), delta(2, bids=[("100", "1")]), trade(201, "sell", "100", "3.5")]
        # 3 and 1 were cancelled; the trade takes 3 and 0.5 of them.
        assert self.last(*events) == pytest.approx([0, 0.5, 0, 0, -1])
        # What a trade has left over is remembered.
        assert self.last(*events[:2], trade(3, "sell", "100", "4.5"), delta(4, bids=[("100", "0.5")])) == [0] * 4 + [
            None
        ]

    def test_nothing_left_is_exactly_nothing(self) -> None:
        """0.8 - 0.5 is more than 0.3 in floating point."""
        start = [delta(1, bids=[("100", "0.8")]), clock(2000), delta(2001, bids=[("100", "0.5")])]
        assert self.last(*start, trade(2001, "sell", "100", "0.3")) == [0, 0, 0, 0, None]
        start = [delta(1, bids=[("100", "0.8")]), clock(2000), trade(2001, "sell", "100", "0.3")]
        assert self.last(*start, delta(2001, bids=[("100", "0.5")])) == [0, 0, 0, 0, None]

    def test_a_cancellation_out_of_the_window_is_still_explained(self) -> None:
        events = [delta(1, bids=[("100", "2")]), trade(100, "sell", "100", "3"), delta(101, bids=[("100", "1")])]
        # The trade belongs to the decrease of 3, not to that of 1.
        assert self.last(*events, window_ms=10) == [0, 1, 0, 0, -1]

    def test_unsided_trades_are_a_clock(self) -> None:
        events = [delta(1, bids=[("100", "2")]), trade(2, None, "100", "3")]
        assert self.last(*events) == [0, 3, 0, 0, -1]
        assert self.last(*events, trade(1001, None, "100", "3")) == [0, 0, 0, 0, None]

    def test_booked_while_one_sided_or_crossed(self) -> None:
        events = [delta(1, asks=[("101", "0"), ("102", "0")]), trade(2, "buy", "101", "5")]
        assert self.last(*events) is None
        assert self.last(*events, delta(3, asks=[("101", "1")])) == pytest.approx([0, 0, 1, 5, 4 / 6])

    def test_a_cut_forgets(self) -> None:
        events = [delta(1, bids=[("100", "2")]), trade(2, "buy", "101", "3"), INVALID, trade(60, "buy", "101", "3")]
        again = self.START | {"ts_ms": 70}
        assert self.last(*events) is None
        assert self.last(*events, again) is None
        assert self.last(*events, again, delta(71, asks=[("101", "2")])) == [0, 0, 0, 3, 1]

    def test_many_prices_and_trades(self) -> None:
        """More than the memories start with room for; every trade finds its own decrease, some of them first."""
        prices = [str(100 + i) for i in range(200)]
        asks = [(price, "2") for price in prices]
        start = snapshot(0, [("99", "1")], asks)
        trades = [trade(1, "buy", price, "1") for price in prices]
        late = [trade(3, "buy", price, "0.5") for price in prices]
        events = [start, *trades, delta(2, asks=[(price, "0.5") for price in prices]), *late]
        got: Any = evaluate("cancel_add", {"levels": 1000}, events)
        assert got[201]["cancel_ask"] == pytest.approx(100)
        assert got[-1] == {"add_bid": 0, "cancel_bid": 0, "add_ask": 0, "cancel_ask": 0, "ratio": None}
