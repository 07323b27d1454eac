"""Order flow and takers: what opens, what must agree, what is not enough."""

from __future__ import annotations

from math import isnan

import pytest
from hand import NOW, Hand, steady

BIDS = {99.9: 1.0, 99.8: 1.0, 99.7: 1.0}
ASKS = {100.1: 1.0, 100.2: 1.0, 100.3: 1.0}
QUICK = {"half_life": "5s", "min_count": 20}


def ofi(**more: object) -> Hand:
    hand = Hand({"kind": "order_flow_imbalance", "levels": 1, "standardise": QUICK, **NOW, **more})
    return steady(hand.image(BIDS, ASKS), 20)


def lumpy(hand: Hand, seconds: int, size: float) -> Hand:
    """Every four seconds somebody trades a lump and the bid grows and shrinks by it, to and fro."""
    for i in range(seconds // 4):
        hand.wait(0.1).buy(size) if i % 2 else hand.wait(0.1).sell(size)
        hand.change({99.9: 1.0 + size if i % 2 else 1.0})
        for k in range(38):
            hand.wait(0.1).change({99.8: 1.0 + k % 3 / 10}).clock()
    return hand


def test_bids_that_come_and_asks_that_go_are_buy_pressure() -> None:
    hand = ofi().buy(1.0).wait(0.1).change({99.9: 30.0}, {100.1: 0.0})
    assert hand.take() == ["open buy"]
    told = hand.one.evidence()
    assert told["ofi_depth_normalised"] == hand.one.raw > 0
    assert 0.5 < told["trade_imbalance"] <= 1  # type: ignore[operator]
    assert ofi().sell(1.0).wait(0.1).change({99.9: 0.0}, {100.1: 30.0}).take() == ["open sell"]


def test_quotes_without_takers_are_believed_and_against_them_are_not() -> None:
    assert ofi().wait(4).clock().wait(0.1).change({99.9: 30.0}).take() == ["open buy"], (
        "nobody traded, nobody disagrees"
    )
    assert ofi().sell(1.0).wait(0.1).change({99.9: 30.0}).take() == []
    assert ofi(takers_share=0).sell(1.0).wait(0.1).change({99.9: 30.0}).take() == ["open buy"]


def test_takers_must_be_of_unusual_size() -> None:
    hand = lumpy(ofi(), 320, 5.0)
    hand.take()
    assert hand.buy(0.5).wait(0.1).change({99.9: 60.0}).take() == [], "one-sided, and nothing of a size here"
    hand = lumpy(ofi(alone_usual=0), 320, 5.0)
    hand.take()
    assert hand.buy(0.5).wait(0.1).change({99.9: 900.0}).take() == [], "nor where quotes are never believed alone"
    hand = lumpy(ofi(), 320, 5.0)
    hand.take()
    assert hand.buy(0.5).wait(0.1).change({99.9: 900.0}).take() == ["open buy"], "quotes can be unusual enough alone"
    hand = lumpy(ofi(), 320, 5.0)
    hand.take()
    assert hand.buy(30.0).wait(0.1).change({99.9: 90.0}).take() == ["open buy"]


def test_what_is_usual_here_opens_nothing() -> None:
    loose = {"levels": 1, "on": 0.5, "off": 0.2, "takers_share": 0, "cooldown": "0ms", "standardise": QUICK, **NOW}
    hand = Hand({"kind": "order_flow_imbalance", **loose}).image(BIDS, ASKS)
    assert any("open" in said for said in lumpy(hand, 40, 5.0).take()), "half a deviation is often there"
    lumpy(hand, 400, 5.0).take()
    assert not any("open" in said for said in lumpy(hand, 40, 5.0).take()), "and never twice the usual peak"
    assert hand.one.usual.peak > 1


def test_raw_thresholds_ask_for_no_peak() -> None:
    raw = {"levels": 1, "on": 0.5, "off": 0, "takers_share": 0, "cooldown": "0ms", "standardise": {"by": "none"}, **NOW}
    hand = Hand({"kind": "order_flow_imbalance", **raw}).image(BIDS, ASKS)
    lumpy(hand, 400, 5.0).take()
    assert any("open" in said for said in lumpy(hand, 40, 5.0).take())


def test_a_ratio_needs_more_flow_than_usual() -> None:
    hand = Hand({"kind": "order_flow_imbalance_ratio", "times_usual": 0, "takers_share": 0, **NOW})
    hand.image(BIDS, ASKS)
    assert hand.wait(0.1).change({99.9: 9.0}).take() == [], "what is usual is not known yet"
    steady(hand, 60).take()
    hand.wait(3).change({99.9: hand.book.bids.size_of(0) + 0.01})
    assert isnan(hand.one.raw), "one small order is a ratio of 1 and nothing"
    assert hand.wait(0.1).change({99.9: 9.0}).take() == ["open buy"]
    assert hand.one.raw == pytest.approx(1.0, abs=0.01)
    told = hand.one.evidence()
    assert told["gross_flow"] > told["median_flow"] > 0  # type: ignore[operator]


def test_a_ratio_needs_an_unusual_size_and_a_minute_to_know_it() -> None:
    ratio = {"kind": "order_flow_imbalance_ratio", "takers_share": 0, **NOW}
    hand = steady(Hand(ratio).image(BIDS, ASKS), 40)
    hand.take()
    assert hand.wait(0.1).change({99.9: 90.0}).take() == [], "nobody knows yet what is usual"
    assert hand.one.raw > 0.9
    hand = steady(Hand(ratio).image(BIDS, ASKS), 120)
    hand.take()
    assert hand.wait(3).change({99.9: 1.0 + hand.one.usual.peak * 1.5}).take() == []
    assert hand.wait(3).change({99.9: 90.0}).take() == ["open buy"]


def test_a_ratio_remembers_no_flow_of_a_lost_book() -> None:
    hand = Hand({"kind": "order_flow_imbalance_ratio", "times_usual": 0, "takers_share": 0, **NOW})
    steady(hand.image(BIDS, ASKS), 60).lost().take()
    hand.wait(1).image(BIDS, ASKS).wait(0.1).change({99.9: 9.0})
    assert isnan(hand.one.raw)


def takers(**more: object) -> Hand:
    hand = Hand({"kind": "aggressive_order_flow", "standardise": QUICK, "times_usual": 0, **NOW, **more})
    return steady(hand.image(BIDS, ASKS), 20)


def test_one_sided_takers_of_size_open_and_agreement_counts() -> None:
    alone, agreed = takers(agree=0), takers()
    for hand in (alone, agreed):
        hand.buy(0.5)
    assert agreed.one.x == pytest.approx(alone.one.x + 1.0), "the slope of the volume delta, and the arrivals"
    assert takers().buy(5.0).take() == ["open buy"]
    assert takers().sell(5.0).take() == ["open sell"]
    told = agreed.one.evidence()
    assert told["cvd_change"] > 0  # type: ignore[operator]
    assert told["hawkes_imbalance"] > 0  # type: ignore[operator]


def test_size_on_both_sides_is_no_side() -> None:
    hand = takers()
    hand.wait(2.5).sell(4.0)
    hand.take()
    hand.wait(6).clock().wait(0.1).sell(4.0).buy(4.2)
    assert hand.one.x == 0.0
    assert [said for said in hand.take() if said == "open buy"] == []


def test_takers_are_judged_by_their_usual_peak() -> None:
    hand = lumpy(takers(times_usual=3), 400, 2.0)
    hand.take()
    assert hand.one.usual.peak == pytest.approx(200, rel=0.01)
    hand.wait(3).clock().wait(0.1).buy(5.0)
    assert hand.one.x > hand.one.lifecycle.on
    assert hand.take() == [], "2.5 times the usual"
    hand.buy(2.0)
    assert hand.take() == ["open buy"]


def test_a_score_that_fell_while_nobody_traded_did_not_hold() -> None:
    hand = takers(min_duration="500ms")
    hand.buy(5.0)
    assert hand.one.lifecycle.state == 1
    hand.wait(3).clock().wait(0.3).clock()
    assert hand.one.lifecycle.state == 0
    hand.buy(5.0)
    assert hand.take() == [], "armed anew: it has not lasted"
