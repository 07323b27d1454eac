"""Agreement of kinds: scales, coverage, families, and parts that nobody configured."""

from __future__ import annotations

from decimal import Decimal
from math import isnan

import pytest
from hand import NOW, Hand, steady

from imbalanced.detect.agreement import WEIGHTS, capped
from imbalanced.detect.detector import Detector

BIDS = {99.9: 1.0, 99.8: 1.0}
ASKS = {100.1: 1.0, 100.2: 1.0}
QUICK = {"half_life": "2s", "min_count": 10}
FLOW = {
    "kind": "order_flow_imbalance",
    "levels": 1,
    "standardise": QUICK,
    "effect_usual": 0,
    "times_usual": 0,
    "name": "flow",
}
DEPTH = {"kind": "book_exhaustion", "half_life": "2s", "name": "gone", "bps": 50, "times_usual": 0}


def composite(*others: dict[str, object], **more: object) -> Hand:
    return Hand({"kind": "composite", "times_usual": 0, **NOW, **more}, *others)


def part(hand: Hand, name: str) -> Detector:
    return next(one for one in hand.desk.detectors if one.name == name)


def test_a_z_enters_as_it_is_and_others_on_its_scale() -> None:
    hand = composite(FLOW, DEPTH, weights={"flow": 1, "gone": 1})
    steady(hand.image(BIDS, ASKS), 8).take()
    hand.wait(0.1).change({99.9: 4.0}, {100.1: 0.3, 100.2: 0.3})
    flow, gone = part(hand, "flow"), part(hand, "gone")
    z = [max(-4, min(4, flow.x)), max(-4, min(4, gone.x * 3 / 0.5))]
    assert hand.one.x == pytest.approx(sum(z) / 2 / 4)
    told = hand.one.evidence()
    assert (told["coverage"], told["confluence"]) == (1.0, 1.0)
    assert told["flow"] == flow.x
    assert told["gone"] == pytest.approx(6 * gone.x)
    assert hand.take() == ["open buy"]


def test_what_has_no_value_lowers_the_coverage_and_is_no_zero() -> None:
    hand = composite(FLOW, {**DEPTH, "half_life": "1h"}, weights={"flow": 3, "gone": 3})
    steady(hand.image(BIDS, ASKS), 8).wait(0.1).change({99.9: 4.0})
    assert hand.one.evidence()["coverage"] == 0.5
    assert hand.one.x == pytest.approx(max(-4, min(4, part(hand, "flow").x)) / 4)
    hand = composite(FLOW, {**DEPTH, "half_life": "1h"}, weights={"flow": 3, "gone": 3}, min_coverage=0.6)
    steady(hand.image(BIDS, ASKS), 8).wait(0.1).change({99.9: 4.0})
    assert isnan(hand.one.x)


def test_disagreement_is_told() -> None:
    hand = composite(FLOW, DEPTH, weights={"flow": 1, "gone": 1})
    steady(hand.image(BIDS, ASKS), 8).wait(0.1).change({99.9: 0.05, 99.8: 0.1}).wait(0.1).change({99.9: 0.4})
    told = hand.one.evidence()
    if told["flow"] * told["gone"] < 0:  # type: ignore[operator]
        assert told["confluence"] == 0.5
    else:
        assert told["confluence"] == 1.0


def test_what_is_not_configured_is_computed_in_silence() -> None:
    hand = composite()
    assert [one.kind for one in hand.desk.detectors] == ["composite"]
    steady(hand.image(BIDS, ASKS), 70)
    told = hand.one.evidence()
    assert set(WEIGHTS) < set(told)
    assert told["order_flow_imbalance"] is not None
    assert not isnan(told["order_flow_imbalance"])
    assert 0 < told["coverage"] < 1  # type: ignore[operator]
    for _ in range(30):
        hand.wait(0.1).change({99.9: 50.0}).buy(9.0)
        assert all(detector is hand.one for detector, _ in hand.desk.fired), "nobody hears a part"


def test_who_reads_others_comes_after_them() -> None:
    first = composite(FLOW, weights={"flow": 1})
    steady(first.image(BIDS, ASKS), 8).wait(0.1).change({99.9: 4.0})
    assert first.one.x == pytest.approx(max(-4, min(4, part(first, "flow").x)) / 4), "the score of this very event"


def test_a_family_has_at_most_half() -> None:
    families = {"a": "flow", "b": "flow", "c": "book", "d": "price"}
    weights = {"a": Decimal(6), "b": Decimal(2), "c": Decimal(1), "d": Decimal(1)}
    told = capped(weights, families)
    assert told == {"a": Decimal("1.5"), "b": Decimal("0.5"), "c": Decimal(1), "d": Decimal(1)}
    assert capped(told, families) == told
    alone = {"a": Decimal(6), "b": Decimal(2)}
    assert capped(alone, families) == alone, "there is nothing else to have the other half"
    usual = {name: DETECTOR_FAMILIES[name] for name in WEIGHTS}
    assert capped(WEIGHTS, usual) == WEIGHTS, "the defaults are within it"


DETECTOR_FAMILIES = {
    "order_flow_imbalance": "flow",
    "aggressive_order_flow": "flow",
    "microstructure_imbalance": "book",
    "market_depth_imbalance": "book",
    "book_exhaustion": "book",
    "absorption": "effort",
    "vwap_deviation": "price",
}


def test_families_are_those_of_the_kinds() -> None:
    from imbalanced.detect import DETECTORS

    assert {name: DETECTORS[name].family for name in WEIGHTS} == DETECTOR_FAMILIES
    assert {one.family for one in DETECTORS.values()} == {"flow", "book", "price", "effort", "context"}
