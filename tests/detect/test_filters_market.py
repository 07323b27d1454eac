"""Filters of the market: spread, depth, volatility, cost; each by itself."""

from __future__ import annotations

from decimal import Decimal

import pytest
from moments import S, Scene, T
from msgspec.structs import replace

from imbalanced.detect.confidence import Owner, Track
from imbalanced.detect.filters import Filter, Moment, Said
from imbalanced.detect.filters.market import (
    Cost,
    CostOptions,
    Depth,
    DepthOptions,
    SpreadOptions,
    Volatility,
    VolatilityOptions,
    WideSpread,
)


def wide(scene: Scene, ticks: int) -> Scene:
    """The best ask moves to so many ticks above the best bid."""
    return scene.image(spread=ticks)


def test_a_spread_far_beyond_its_own_median_holds_back() -> None:
    scene = Scene()
    one = WideSpread(SpreadOptions(), scene.chain.kit)
    for i in range(9):
        one.observe(scene.at(i).now())
    wide(scene, 5)
    assert one.check(scene.of_book, scene.now()) == Said("unknown", "9 of 10 samples", {"spread_x": None})
    wide(scene.at(9), 1)
    one.observe(scene.now())
    assert one.check(scene.of_book, wide(scene, 2).now()).verdict == "pass"
    said = one.check(scene.of_book, wide(scene, 4).now())
    assert said.verdict == "fail"
    assert said.numbers["spread_x"] == pytest.approx(4, rel=1e-2)


def test_the_spread_is_sampled_once_a_second_and_the_old_is_forgotten() -> None:
    scene = Scene()
    one = WideSpread(SpreadOptions(window_ms=20_000), scene.chain.kit)
    for i in range(200):
        one.observe(scene.at(i / 10).now())
    wide(scene, 5)
    assert one.check(scene.of_book, scene.at(20).now()).verdict == "fail"
    for i in range(20, 45):
        one.observe(scene.at(i).now())
    assert one.check(scene.of_book, scene.at(45).now()).verdict == "pass", "what was wide is usual by now"


def test_without_two_sides_there_is_no_spread() -> None:
    scene = Scene()
    one = WideSpread(SpreadOptions(), scene.chain.kit)
    scene.delta({}, dict.fromkeys(range(30), 0.0))
    one.observe(scene.now())
    assert one.check(scene.of_book, scene.now()) == Said("fail", "no spread", {"spread_x": None})


def test_kinds_about_the_spread_are_not_asked() -> None:
    scene = Scene({"kind": "spread_shock"}, {"kind": "sweep"})
    one = WideSpread(SpreadOptions(), scene.chain.kit)
    for i in range(10):
        one.observe(scene.at(i).now())
    wide(scene, 9)
    assert [one.check(scene.detector(i), scene.now()).verdict for i in (0, 1)] == ["pass", "pass"]


def seconds(scene: Scene, one: Filter, begin: int, sizes: list[float]) -> None:
    for i, size in enumerate(sizes):
        scene.at(begin + i).image(size)
        one.observe(scene.now())


def test_an_instrument_without_depth_is_not_worth_the_trouble() -> None:
    scene = Scene()
    one = Depth(DepthOptions(), scene.chain.kit)
    # One level a side within 10 bps of 100.05: 100.0 and 100.1; the smaller side counts.
    seconds(scene, one, 0, [99.0] * 9)
    assert one.check(scene.of_book, scene.now()).verdict == "unknown"
    seconds(scene, one, 9, [99.0])
    said = one.check(scene.of_book, scene.now())
    assert (said.verdict, said.numbers) == ("fail", {"depth_quote": 9900.0})
    seconds(scene, one, 10, [101.0] * 11)
    assert one.check(scene.of_book, scene.now()).verdict == "pass"


def test_thin_is_thin_against_the_last_hour_and_as_of_before_the_event() -> None:
    scene = Scene()
    one = Depth(DepthOptions(), scene.chain.kit)
    seconds(scene, one, 0, [1000.0 + i % 10 for i in range(300)])
    seconds(scene, one, 300, [10.0] * 4)
    assert one.check(scene.of_book, scene.now()).verdict == "pass", "four seconds are the event itself"
    seconds(scene, one, 304, [10.0] * 6)
    said = one.check(scene.of_book, scene.now())
    assert (said.verdict, said.numbers) == ("fail", {"depth_quote": 1000.0})
    seconds(scene, one, 310, [400.0] * 10)
    assert one.check(scene.of_book, scene.now()).verdict == "pass", "below the quantile, but not a quarter of the usual"


def test_a_short_past_has_no_quantile() -> None:
    scene = Scene()
    one = Depth(DepthOptions(), scene.chain.kit)
    seconds(scene, one, 0, [1000.0] * 200 + [10.0] * 10)
    assert one.check(scene.of_book, scene.now()).verdict == "pass"


def test_kinds_about_missing_depth_are_not_asked() -> None:
    scene = Scene({"kind": "book_exhaustion"})
    one = Depth(DepthOptions(), scene.chain.kit)
    seconds(scene, one, 0, [1.0] * 20)
    assert one.check(scene.of_book, scene.now()).verdict == "pass"


def moved(scene: Scene, one: Volatility, begin: int, ticks: list[int]) -> None:
    """The best ask is so many ticks higher at each second."""
    for i, tick in enumerate(ticks):
        scene.at(begin + i).image(spread=1 + tick)
        one.observe(scene.now())


def restless(count: int) -> list[int]:
    """A mid that moves more and less, minute by minute."""
    return [(i % 2) * (1 + (i // 60) % 4) for i in range(count)]


def test_volatility_is_unknown_until_its_past_is_long() -> None:
    scene = Scene()
    one = Volatility(VolatilityOptions(min_past_ms=600_000), scene.chain.kit)
    moved(scene, one, 0, restless(600))
    assert one.check(scene.of_book, scene.now()).verdict == "unknown"
    assert one.check(scene.of_book, scene.now()).numbers == {"volatility_q": None}
    moved(scene, one, 600, restless(600))
    assert one.check(scene.of_book, scene.now()).verdict == "pass"


def test_volatility_beyond_its_quantiles_fails_and_near_them_lowers_the_strength() -> None:
    scene = Scene()
    options = VolatilityOptions(min_past_ms=600_000, soft=Decimal("0.5"))
    one = Volatility(options, scene.chain.kit)
    moved(scene, one, 0, restless(1440))
    said = one.check(scene.of_book, scene.now())
    assert said.numbers["volatility_q"] is not None
    assert said.quality == pytest.approx((0.99 - said.numbers["volatility_q"]) / 0.49)
    moved(scene, one, 1440, [(i % 2) * 20 for i in range(70)])
    assert one.check(scene.of_book, scene.now()).verdict == "fail", "it never was so high"
    moved(scene, one, 1510, [0] * 70)
    assert one.check(scene.of_book, scene.now()).verdict == "fail", "nothing moves"


def test_a_hole_is_no_return() -> None:
    scene = Scene()
    one = Volatility(VolatilityOptions(min_past_ms=600_000), scene.chain.kit)
    moved(scene, one, 0, restless(1440))
    moved(scene, one, 1500, [1])
    assert one.check(scene.of_book, scene.now()).verdict == "unknown"


def test_the_quantiles_are_in_order() -> None:
    with pytest.raises(ValueError, match="low below soft"):
        VolatilityOptions(low=Decimal("0.96"))


def graded(net: float, scene: Scene) -> Moment:
    track = Track()
    owner = Owner(scene.of_book.kind, scene.instrument.venue, scene.instrument.symbol)
    for strength in (0.1, 0.55, 0.65, 0.75, 0.95):
        track.outcome(owner, strength, opened_ns=T, known_ns=T, net=net)
    return replace(scene.now(), track=track, round_trip=4e-4)


def test_cost_only_reports_unless_told_otherwise() -> None:
    scene = Scene()
    one = Cost(CostOptions(), scene.chain.kit)
    said = one.check(scene.of_book, scene.now())
    assert said.verdict == "unknown"
    assert said.numbers["cost_bps"] == pytest.approx(2 + 5, rel=1e-3)
    said = one.check(scene.of_book, graded(-9e-4, scene))
    assert said.verdict == "pass"
    assert said.numbers["expected_bps"] == pytest.approx(-5)


def test_cost_demands_so_many_times_what_a_trade_costs() -> None:
    scene = Scene()
    one = Cost(CostOptions(k=Decimal(2)), scene.chain.kit)
    assert one.check(scene.of_book, scene.now()).verdict == "unknown"
    assert one.check(scene.of_book, graded(11e-4, scene)).verdict == "pass"
    assert one.check(scene.of_book, graded(9e-4, scene)).verdict == "fail"


@pytest.mark.parametrize("options", [SpreadOptions, DepthOptions, VolatilityOptions, CostOptions])
def test_each_has_defaults(options: type) -> None:
    assert options() is not None
    assert S > 0
