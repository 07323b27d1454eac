"""Metrics of several venues against numbers worked out by hand."""

from __future__ import annotations

from itertools import pairwise
from random import Random
from typing import Any, ClassVar

import pytest

from imbalanced.metrics import evaluate


def snapshot(t: int, venue: str, bid: tuple[str, str], ask: tuple[str, str]) -> dict[str, Any]:
    return {"type": "book_snapshot", "ts_ms": t, "venue": venue, "bids": [list(bid)], "asks": [list(ask)]}


def delta(t: int, venue: str, bids: list[list[str]]) -> dict[str, Any]:
    return {"type": "book_delta", "ts_ms": t, "venue": venue, "bids": bids, "asks": []}


def value(t: int, venue: str, x: str | None) -> dict[str, Any]:
    return {"type": "value", "ts_ms": t, "venue": venue, "x": x}


class TestSupplyDemand:
    PARAMS: ClassVar[dict[str, Any]] = {"bps": "200", "max_age_ms": 1000}
    A = snapshot(0, "a", ("99", "2"), ("101", "1"))  # 198 and 101
    B = snapshot(10, "b", ("9.9", "10"), ("10.1", "30"))  # 99 and 303

    def test_each_venue_about_its_own_mid(self) -> None:
        assert evaluate("supply_demand", self.PARAMS, [self.A, self.B]) == pytest.approx([97 / 299, -107 / 701])

    def test_weights(self) -> None:
        got = evaluate("supply_demand", self.PARAMS | {"weights": {"b": "0.5"}}, [self.A, self.B])
        assert got[1] == pytest.approx((97 - 102) / (299 + 201))
        assert evaluate("supply_demand", self.PARAMS | {"weights": {"a": 0}}, [self.A]) == [None]

    def test_a_silent_venue_grows_too_old(self) -> None:
        clocks = [{"type": "clock", "ts_ms": t} for t in (1000, 1001, 1010, 1011)]
        got = evaluate("supply_demand", self.PARAMS, [self.A, self.B, *clocks])
        assert got[2:] == [pytest.approx(-107 / 701), pytest.approx(-204 / 402), pytest.approx(-204 / 402), None]

    def test_a_venue_that_is_not_ok_is_left_out(self) -> None:
        crossed = delta(20, "a", [["102", "1"]])
        invalid = {"type": "book_invalid", "ts_ms": 30, "venue": "b", "reason": "sequence_gap"}
        ignored = delta(40, "b", [["9.9", "1"]])
        back = delta(50, "a", [["102", "0"]])
        got = evaluate("supply_demand", self.PARAMS, [self.A, self.B, crossed, invalid, ignored, back, ignored])
        assert got[2:] == [pytest.approx(-204 / 402), None, None, pytest.approx(97 / 299), pytest.approx(97 / 299)]

    def test_a_bad_weight_is_named(self) -> None:
        with pytest.raises(ValueError, match=r"supply_demand.*weights"):
            evaluate("supply_demand", {"weights": {"a": "-1"}}, [])


class TestLeadLag:
    def test_zero_lag_on_one_grid_is_the_covariance(self) -> None:
        xs, ys = [0, 1, 3, 2], [0, 2, 3, 1]
        events = [value(t, venue, str(of[t])) for t in range(4) for venue, of in (("x", xs), ("y", ys))]
        got = evaluate("lead_lag", {"lags_ms": [0]}, events)
        assert got == [None] * 7 + [{"0": 1 * 2 + 2 * 1 + -1 * -2}]

    def test_nulls_are_not_there_but_may_be_last(self) -> None:
        events = [value(0, "x", "0"), value(0, "y", "0"), value(1, "x", None), value(2, "x", "1"), value(2, "y", "3")]
        assert evaluate("lead_lag", {"lags_ms": [0]}, events)[-1] == {"0": 3}
        assert evaluate("lead_lag", {"lags_ms": [0]}, [*events, value(3, "y", None)])[-2:] == [None, {"0": 3}]

    def test_other_events_are_not_asked(self) -> None:
        events = [value(0, "x", "1"), {"type": "clock", "ts_ms": 5}, snapshot(6, "z", ("1", "1"), ("2", "1"))]
        assert evaluate("lead_lag", {"lags_ms": [0, 5]}, events) == [{"0": 0, "5": 0}, None, None]

    def test_only_x_and_y(self) -> None:
        with pytest.raises(ValueError, match="event 0: venue is 'z'"):
            evaluate("lead_lag", {}, [value(0, "z", "1")])

    @pytest.mark.parametrize("seed", range(8))
    def test_every_overlapping_pair_once(self, seed: int) -> None:
        """Two pointers against all pairs, equal times among them."""
        random = Random(seed)
        t, events = 0, []
        for _ in range(60):
            t += random.choice([0, 0, 1, 3, 10])
            events.append(value(t, random.choice("xy"), str(random.randint(-9, 9))))
        lags = [-12, -3, -1, 0, 1, 2, 30]
        pairs: dict[str, list[tuple[int, int, int]]] = {}
        for venue in "xy":
            series = [(e["ts_ms"], int(e["x"])) for e in events if e["venue"] == venue]
            pairs[venue] = [(s, u, q - p) for (s, p), (u, q) in pairwise(series)]
        expected = {
            str(lag): sum(
                dx * dy for a0, a1, dx in pairs["x"] for b0, b1, dy in pairs["y"] if a0 < b1 - lag and b0 - lag < a1
            )
            for lag in lags
        }
        assert evaluate("lead_lag", {"lags_ms": lags}, events)[-1] == expected
