"""Flicker and spoof: is the size meant; each by itself, on both sides."""

from __future__ import annotations

import pytest
from moments import QUIET_LEAN as LEAN
from moments import QUIET_PUSH as PUSH
from moments import Scene

from imbalanced.detect.filters.spoof import Flicker, FlickerOptions, Spoof, SpoofOptions

FLOW = {"kind": "order_flow_imbalance", "name": "flow", "on": 1000000, "standardise": {"by": "none"}}
SIDES = pytest.mark.parametrize("side", [1, -1])


def scene_of(side: int) -> Scene:
    return Scene(LEAN, PUSH, FLOW, filters={"spoof": {"bps": 100, "wide_bps": 100}}, side=side)


def spoof_of(scene: Scene) -> Spoof:
    found = scene.chain.filters["spoof"]
    assert isinstance(found, Spoof)
    return found


def levels(side: int, sizes: dict[int, float]) -> dict[str, dict[int, float]]:
    return {"bids" if side > 0 else "asks": sizes}


@SIDES
def test_flicker_lowers_the_strength_and_holds_back_nothing(side: int) -> None:
    scene = Scene(side=side)
    one = Flicker(FlickerOptions(), scene.chain.kit)
    assert one.check(scene.of_book, scene.now()).verdict == "unknown"
    scene.at(1).delta(**levels(side, {1: 1100.0}))
    said = one.check(scene.of_book, scene.now())
    assert (said.verdict, said.quality) == ("pass", 1.0)
    scene.at(1.2).delta(**levels(side, {1: 1040.0}))
    said = one.check(scene.of_book, scene.now())
    assert (said.verdict, said.quality) == ("pass", pytest.approx(0.5)), "0.6 is half way from 0.4 to 0.8"
    assert said.numbers == {"q_flicker": said.quality}
    scene.at(1.3).delta(**levels(side, {1: 1000.0}))
    said = one.check(scene.of_book, scene.now())
    assert (said.verdict, said.quality) == ("pass", 0.0)
    assert one.check(scene.of_trades, scene.now()).quality == 1.0, "trades do not flicker"


@SIDES
def test_flicker_of_the_other_side_is_none_of_it(side: int) -> None:
    scene = Scene(side=side)
    one = Flicker(FlickerOptions(), scene.chain.kit)
    scene.at(1).delta(**levels(side, {1: 1100.0})).at(1.1).delta(**levels(-side, {1: 1100.0}))
    scene.at(1.2).delta(**levels(-side, {1: 1000.0}))
    assert one.check(scene.of_book, scene.now()).quality == 1.0


def test_the_window_is_within_the_memory() -> None:
    with pytest.raises(ValueError, match="at most 10s"):
        FlickerOptions(window_ms=10_001)


@SIDES
def test_layers_that_have_not_stood_hold_back_kinds_of_standing_depth(side: int) -> None:
    scene = scene_of(side).steady(0, 40)
    one = spoof_of(scene)
    assert one.check(scene.of_book, scene.now()).verdict == "pass"
    scene.delta(**levels(side, {4: 9000.0, 5: 9000.0})).at(42).tick()
    said = one.check(scene.of_book, scene.now())
    assert (said.verdict, said.quality, said.numbers["q_spoof"]) == ("fail", 0.0, 0.0)
    flow = one.check(scene.detector(2), scene.now())
    assert (flow.verdict, flow.quality) == ("pass", 0.5), "flow is not made of what stands"
    assert one.check(scene.of_trades, scene.now()).quality == 1.0
    open_still = [one.still(of, scene.now()) for of in (scene.of_book, scene.detector(2), scene.of_trades)]
    assert [again.verdict for again in open_still] == ["fail", "pass", "pass"], "the same of a signal that is open"
    assert open_still[0].told == said.told
    scene.at(51).tick()
    assert one.check(scene.of_book, scene.now()).verdict == "pass", "after ten seconds it is depth"


@SIDES
def test_a_long_queue_at_the_touch_does_not_excuse_the_layers_behind_it(side: int) -> None:
    scene = scene_of(side).steady(0, 40)
    one = spoof_of(scene)
    scene.delta(**levels(side, {0: 20_000.0})).at(42).tick()
    assert one.check(scene.of_book, scene.now()).verdict == "pass", "who quotes at the touch is hit next"
    scene.delta(**levels(side, {3: 20_000.0, 4: 20_000.0})).at(44).tick()
    said = one.check(scene.of_book, scene.now())
    assert said.verdict == "fail", "more than half of what is shown there has not stood"


@SIDES
def test_layers_of_the_other_side_support_nothing(side: int) -> None:
    scene = scene_of(side).steady(0, 40)
    scene.delta(**levels(-side, {4: 9000.0, 5: 9000.0})).at(42).tick()
    assert spoof_of(scene).check(scene.of_book, scene.now()).verdict == "pass"


@SIDES
def test_flickering_depth_holds_them_back_too(side: int) -> None:
    scene = scene_of(side).steady(0, 40)
    for i in range(20):
        scene.at(40 + i / 10).delta(**levels(side, {2: 1500.0 if i % 2 == 0 else 1000.0})).tick()
    said = spoof_of(scene).check(scene.of_book, scene.now())
    assert said.verdict == "fail"
    assert said.quality == 1.0, "its own filter counts that for the strength"


@SIDES
def test_a_wall_that_stands_where_walls_have_left_is_doubtful(side: int) -> None:
    scene = scene_of(side).steady(0, 40)
    one = spoof_of(scene)
    for i in range(3):
        begin = 40 + 40 * i
        scene.steady(begin, begin + 20).delta(**levels(side, {12: 9000.0})).steady(begin + 20, begin + 35)
        scene.delta(**levels(side, dict.fromkeys(range(10), 0.0))).tick()
        scene.at(begin + 35.2).delta(**levels(side, {12: 1000.0})).tick()
        scene.steady(begin + 35.3, begin + 37.3, 0.1)
        scene.delta(**levels(side, dict.fromkeys(range(10), 1000.0)))
    assert scene.chain.kit.walls().leaving(side) == pytest.approx(4 / 5)
    scene.steady(160, 180)
    assert one.check(scene.of_book, scene.now()).quality == 1.0, "no wall stands there now"
    scene.delta(**levels(side, {12: 9000.0})).steady(180, 192)
    said = one.check(scene.of_book, scene.now())
    assert said.quality == pytest.approx(1 - 0.3 / 0.5)
    assert said.numbers["spoof_leaving"] == pytest.approx(4 / 5)


def test_nothing_is_known_without_a_book() -> None:
    scene = scene_of(1)
    scene.desk.book_invalid(scene.now_ns)
    assert spoof_of(scene).check(scene.of_book, scene.now()).verdict == "unknown"


def test_a_lean_of_several_instruments_is_aged_over_all_of_them() -> None:
    both: dict[str, object] = {"kind": "supply_demand_imbalance", "bps": 100}
    own = Scene(both, filters={"spoof": {"wide_bps": 100}}).steady(0, 40)
    other = Scene(both, filters={"spoof": {"wide_bps": 100}}, symbol="AAA/USDC:USDC").steady(0, 40)
    own.peers.append(other.peer())
    one = spoof_of(own)
    assert one.check(own.of_book, own.now()).verdict == "pass"
    other.delta({4: 9000.0, 5: 9000.0}).at(42).tick()
    own.at(42).tick()
    assert one.check(own.of_book, own.now()).verdict == "fail", "the layers are on the other instrument"
    other.at(51).tick()
    own.at(51).tick()
    assert one.check(own.of_book, own.now()).verdict == "pass"


def test_cohorts_are_kept_only_for_those_who_ask() -> None:
    without = Scene(filters={"spoof": "off", "flicker": "off"})
    assert not [one for one in without.chain.kit.metrics if type(one).__name__ in ("Cohorts", "Standing", "Walls")]
    assert "Cohorts" in {type(one).__name__ for one in Scene(filters={"spoof": "off"}).chain.kit.metrics}


@pytest.mark.parametrize("options", [FlickerOptions, SpoofOptions])
def test_each_has_defaults(options: type) -> None:
    assert options() is not None
