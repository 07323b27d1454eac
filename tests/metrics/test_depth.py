"""Depth metrics against numbers worked out by hand."""

from __future__ import annotations

from fractions import Fraction
from math import exp, log
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imbalanced.metrics import evaluate

Row = tuple[str, str]


def snapshot(t: int, bids: list[Row], asks: list[Row]) -> dict[str, Any]:
    return {"type": "book_snapshot", "ts_ms": t, "bids": list(map(list, bids)), "asks": list(map(list, asks))}


def delta(t: int, bids: list[Row] = [], asks: list[Row] = []) -> dict[str, Any]:  # noqa: B006
    return {"type": "book_delta", "ts_ms": t, "bids": list(map(list, bids)), "asks": list(map(list, asks))}


def clock(t: int) -> dict[str, Any]:
    return {"type": "clock", "ts_ms": t}


def one(name: str, params: dict[str, Any], bids: list[Row], asks: list[Row]) -> Any:
    return evaluate(name, params, [snapshot(0, bids, asks)])[0]


class TestBand:
    def test_both_edges_are_in(self) -> None:
        # Mid 100, 100 bps: 99 to 101.
        bids = [("99.5", "1"), ("99", "2"), ("98.9999", "64")]
        asks = [("100.5", "4"), ("101", "8"), ("101.0001", "128")]
        assert one("band_imbalance", {"bps": "100"}, bids, asks) == pytest.approx((3 - 12) / 15)

    def test_in_quote_units(self) -> None:
        got = one("band_imbalance", {"bps": "100", "unit": "quote"}, [("99.5", "1"), ("98", "9")], [("100.5", "4")])
        assert got == pytest.approx((99.5 - 402) / (99.5 + 402))

    def test_thinner_than_the_spread(self) -> None:
        assert one("band_imbalance", {"bps": "49.9"}, [("99.5", "1")], [("100.5", "4")]) is None
        assert one("band_imbalance", {"bps": "50"}, [("99.5", "1")], [("100.5", "4")]) == pytest.approx(-0.6)

    def test_locked_book_has_a_band_however_narrow(self) -> None:
        assert one("band_imbalance", {"bps": "1e-30"}, [("100", "3"), ("99", "1")], [("100", "1")]) == pytest.approx(
            0.5
        )

    @pytest.mark.parametrize("bps", ["10000", "25000", "1e30"])
    def test_a_band_wider_than_the_price_holds_all_bids(self, bps: str) -> None:
        assert one("band_imbalance", {"bps": bps}, [("100", "1"), ("0.01", "3")], [("102", "4")]) == 0

    @pytest.mark.parametrize("bps", ["0", "-1", "nan", "ten"])
    def test_refuses_no_distance(self, bps: str) -> None:
        with pytest.raises(ValueError, match=r"band_imbalance.*bps"):
            one("band_imbalance", {"bps": bps}, [("100", "1")], [("101", "1")])

    @settings(max_examples=150, deadline=None)
    @given(
        st.integers(1, 10**18 - 1),
        st.integers(0, 10**6) | st.integers(0, 10**18),
        st.sampled_from(
            ["1e-17", "0.0001", "0.3333333333333333333", "10", "123.456", "9999.99999", "20000", "20000.001"]
        ),
        st.integers(-2, 2),
    )
    def test_edges_are_exact_up_to_the_largest_prices(self, bid: int, width: int, bps: str, off: int) -> None:
        """A level right at, before and behind each edge, on a price grid of up to 18 digits."""
        ask = min(bid + width, 10**18)
        mid, reach = Fraction(bid + ask, 2), Fraction(bps) / 10_000
        levels = {
            "bids": {bid: 1, max(1, min(bid, -(-(mid * (1 - reach)) // 1) + off)): 2},
            "asks": {ask: 4, min(10**18, max(ask, mid * (1 + reach) // 1 + off)): 8},
        }
        rows = {side: [(str(p), str(q)) for p, q in of.items()] for side, of in levels.items()}
        inside_bid = sum(q for p, q in levels["bids"].items() if 20_000 * p >= (bid + ask) * (10_000 - Fraction(bps)))
        inside_ask = sum(q for p, q in levels["asks"].items() if 20_000 * p <= (bid + ask) * (10_000 + Fraction(bps)))
        both = inside_bid + inside_ask
        expected = (inside_bid - inside_ask) / both if both else None
        assert one("band_imbalance", {"bps": bps}, rows["bids"], rows["asks"]) == expected

    @pytest.mark.parametrize("count", range(1, 12))
    def test_every_level_is_summed_once(self, count: int) -> None:
        bids = [(str(100 - i), str(2**i)) for i in range(count)]
        got = one("band_imbalance", {"bps": "5000"}, bids, [("101", "1")])
        assert got == pytest.approx((2**count - 2) / 2**count)


class TestWeighted:
    def test_by_level(self) -> None:
        # B = 6 + 6/2 + 6/3 = 11; A = 4 + 2/2 = 5; the fourth bid is not looked at.
        bids = [("100", "6"), ("99", "6"), ("98", "6"), ("97", "1000")]
        assert one("weighted_imbalance", {"levels": 3}, bids, [("101", "4"), ("102", "2")]) == pytest.approx(6 / 16)

    def test_by_distance(self) -> None:
        # Mid 100: distances 100 and 200 bps, weights 1/2 and 1/4.
        params = {"weight": "exp_bps", "half_life_bps": "100"}
        got = one("weighted_imbalance", params, [("99", "2"), ("98", "4")], [("101", "1")])
        assert got == pytest.approx((1 + 1 - 0.5) / (1 + 1 + 0.5))

    def test_a_half_life_much_shorter_than_the_spread(self) -> None:
        # Every weight is 0 in floating point; the ratio is not.
        params = {"weight": "exp_bps", "half_life_bps": "0.001"}
        assert one("weighted_imbalance", params, [("99", "3")], [("101", "1")]) == 0.5


class TestVamp:
    def test_two_pairs(self) -> None:
        # (100*1 + 102*3 + 98*2 + 104*2) / (1 + 3 + 2 + 2) = 810/8; the lone bid is left out.
        bids = [("100", "3"), ("98", "2"), ("90", "500")]
        got = one("vamp", {}, bids, [("102", "1"), ("104", "2")])
        assert got == pytest.approx({"vamp": 101.25, "tilt_bps": 0.25 / 101 * 1e4})

    def test_one_level_is_the_weighted_mid(self) -> None:
        book = ([("100", "3")], [("102", "1")])
        assert one("vamp", {"levels": 1}, *book)["vamp"] == one("weighted_mid", {}, *book)["weighted_mid"]


class TestEffectiveMid:
    def test_walks_and_takes_a_part(self) -> None:
        # Sell 3: 2 at 100, 1 at 99. Buy 3: 1 at 101, 2 at 104.
        got = one("effective_mid", {"size": "3"}, [("100", "2"), ("99", "5")], [("101", "1"), ("104", "9")])
        sell, buy = (200 + 99) / 3, (101 + 208) / 3
        spread = (buy - sell) / 100.5 * 1e4
        assert got == pytest.approx(
            {"sell_fill": sell, "buy_fill": buy, "effective_mid": (sell + buy) / 2, "effective_spread_bps": spread}
        )

    def test_just_enough_is_enough_though_floats_disagree(self) -> None:
        # 0.1 + 0.7 is below 0.8 in floating point.
        bids = [("100", "0.1"), ("99", "0.7")]
        assert one("effective_mid", {"size": "0.8"}, bids, [("101", "1")])["sell_fill"] == pytest.approx(99.125)
        assert one("effective_mid", {"size": "0.8001"}, bids, [("101", "1")]) is None

    def test_size_is_required(self) -> None:
        with pytest.raises(ValueError, match=r"effective_mid.*size"):
            one("effective_mid", {}, [("100", "1")], [("101", "1")])


class TestBookSlope:
    def test_least_squares_through_the_origin(self) -> None:
        # Mid 100; bids 100 bps: 198, 200 bps: 198 + 98 = 296; asks 100 bps: 101.
        got = one("book_slope", {}, [("99", "2"), ("98", "1")], [("101", "1")])
        bid, ask = (100 * 198 + 200 * 296) / (100**2 + 200**2), 101 / 100
        expected = {"bid_slope": bid, "ask_slope": ask, "imbalance": (bid - ask) / (bid + ask)}
        assert got == pytest.approx(expected)

    def test_locked(self) -> None:
        assert one("book_slope", {}, [("100", "2")], [("100", "1"), ("101", "1")]) is None
        assert one("book_slope", {}, [("100", "2"), ("99", "1")], [("100", "1"), ("101", "1")]) is not None


class TestLiquidityToMove:
    def test_quote_to_eat(self) -> None:
        got = one("liquidity_to_move", {"bps": "100"}, [("99", "2"), ("98", "7")], [("101", "1"), ("103", "7")])
        assert got == pytest.approx({"down": 198, "up": 101, "imbalance": 97 / 299})

    def test_nothing_within(self) -> None:
        got = one("liquidity_to_move", {"bps": "1"}, [("99", "2")], [("101", "1")])
        assert got == {"down": 0, "up": 0, "imbalance": None}


class TestExhaustion:
    def test_against_the_average_before(self) -> None:
        events = [
            snapshot(0, [("99", "4")], [("101", "4")]),
            delta(1000, asks=[("101", "1")]),  # a quarter is left; then the average is halfway: 404 -> 252.5
            delta(2000, asks=[("101", "2.5")]),
        ]
        got = evaluate("exhaustion", {"bps": "200", "half_life_ms": 1000}, events)
        assert got[0] is None
        assert got[1] == pytest.approx({"bid": 0, "ask": 0.75, "imbalance": 0.75})
        assert got[2] == pytest.approx({"bid": 0, "ask": 0, "imbalance": 0}, abs=1e-12)

    def test_equal_times_do_not_move_the_average(self) -> None:
        events = [snapshot(0, [("99", "4")], [("101", "4")]), *(delta(0, asks=[("101", "1")]) for _ in range(3))]
        assert [got["ask"] for got in evaluate("exhaustion", {"bps": "200"}, events)[1:]] == [0.75] * 3

    def test_gone_for_many_half_lives_is_not_never_there(self) -> None:
        # The bids leave the band; after 80 half-lives a plain "M += a (x - M)" would have made M exactly 0.
        events = [
            snapshot(0, [("99", "4"), ("98", "1")], [("101", "4")]),
            delta(1, bids=[("99", "0")]),  # mid 99.5, band of 120 bps from 98.306 on: nothing
            delta(80_000),
            delta(160_000),
        ]
        got = evaluate("exhaustion", {"bps": "120", "half_life_ms": 1000}, events)
        assert [answer and answer["bid"] for answer in got[1:]] == [1, 1, 1]

    def test_an_average_of_zero_has_no_value(self) -> None:
        events = [snapshot(0, [("90", "1")], [("110", "1")]), delta(10), delta(20, bids=[("109", "1")]), delta(30)]
        got = evaluate("exhaustion", {"bps": "100", "half_life_ms": 10}, events)
        assert got[:3] == [None, None, None]
        assert got[3] == pytest.approx({"bid": -1, "ask": -1, "imbalance": 0})


class TestResiliency:
    PARAMS: ClassVar[dict[str, Any]] = {"levels": 1, "min_drop": "0.5", "horizon_ms": 1000}

    def test_what_stood_at_the_horizon_counts(self) -> None:
        events = [
            snapshot(0, [("99", "10")], [("101", "10")]),
            delta(100, bids=[("99", "2")]),
            delta(600, bids=[("99", "6")]),
            delta(1200, bids=[("99", "9")]),  # after t0 + H: the 6 that stood then
        ]
        assert evaluate("resiliency", self.PARAMS, events) == [None, None, None, {"side": "bid", "recovered": 0.5}]

    def test_at_the_horizon_the_present_counts(self) -> None:
        events = [
            snapshot(0, [("99", "10")], [("101", "10")]),
            delta(100, asks=[("101", "2")]),
            delta(1100, asks=[("101", "30")]),  # clipped to 2
        ]
        assert evaluate("resiliency", self.PARAMS, events)[2] == {"side": "ask", "recovered": 2}

    @pytest.mark.parametrize(
        "event",
        [
            {"type": "clock"},
            {"type": "trade", "side": None, "price": "100", "size": "1"},
            {"type": "value", "x": None},
            {"type": "oi", "oi": "1", "price": "100"},
        ],
        ids=lambda event: event["type"],
    )
    def test_any_event_answers(self, event: dict[str, Any]) -> None:
        events = [snapshot(0, [("99", "10")], [("101", "10")]), delta(100, bids=[("99", "5")])]
        got = evaluate("resiliency", self.PARAMS, [*events, event | {"ts_ms": 1099}, event | {"ts_ms": 1100}])
        assert got[2:] == [None, {"side": "bid", "recovered": 0}]

    def test_of_several_the_one_opened_last(self) -> None:
        events = [
            snapshot(0, [("99", "10")], [("101", "10")]),
            delta(100, bids=[("99", "2")], asks=[("101", "4")]),
            delta(200, bids=[("99", "1")]),
            delta(300, bids=[("99", "5")]),
            clock(5000),
            clock(5000),
        ]
        # Opened: bid 10 -> 2, ask 10 -> 4, bid 2 -> 1; the last one had (5 - 1) / (2 - 1), clipped.
        assert evaluate("resiliency", self.PARAMS, events)[4:] == [{"side": "bid", "recovered": 2}, None]

    def test_overdue_ones_wait_for_a_book(self) -> None:
        events = [
            snapshot(0, [("99", "10")], [("101", "10")]),
            delta(100, bids=[("99", "5")]),
            delta(900, bids=[("102", "1")]),  # crossed
            clock(2000),
            delta(2100, bids=[("102", "0"), ("99", "10")]),
        ]
        assert evaluate("resiliency", self.PARAMS, events)[2:] == [None, None, {"side": "bid", "recovered": 0}]

    def test_more_shocks_than_room(self) -> None:
        """Each message halves the bids or doubles them; every halving answers a second later, in order."""
        events = [snapshot(0, [("99", "4")], [("101", "4")])]
        events += [delta(i + 1, bids=[("99", "2" if i % 2 == 0 else "4")]) for i in range(100)]
        got = evaluate("resiliency", self.PARAMS, [*events, *(clock(1000 + i + 1) for i in range(100))])
        assert [answer is not None for answer in got[101:]] == [i % 2 == 0 for i in range(100)]


def test_half_lives_are_true_time() -> None:
    """Two steps of 500 ms leave what one of 1000 ms leaves, for depth that does not change between them."""
    start = snapshot(0, [("99", "4")], [("101", "4")])
    change = delta(0, asks=[("101", "1")])
    params = {"bps": "200", "half_life_ms": 700}
    once = evaluate("exhaustion", params, [start, change, delta(1000), delta(1000)])[-1]
    twice = evaluate("exhaustion", params, [start, change, delta(500), delta(1000), delta(1000)])[-1]
    assert once == pytest.approx(twice)
    kept = exp(-log(2) * 1000 / 700)
    assert isinstance(once, dict)
    assert once["ask"] == pytest.approx(1 - 101 / (404 * kept + 101 * (1 - kept)))
