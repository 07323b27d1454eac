"""Order flow and takers: what opens, what must agree, what is not enough."""

from __future__ import annotations

from math import isnan

import pytest
from hand import NOW, Hand, steady

BIDS = {99.9: 1.0, 99.8: 1.0, 99.7: 1.0}
ASKS = {100.1: 1.0, 100.2: 1.0, 100.3: 1.0}
QUICK = {"half_life": "5s", "min_count": 20}


def ofi(**more: object) -> Hand:
    hand = Hand({"kind": "order_flow_imbalance", "standardise": QUICK, **NOW, **more})
    return steady(hand.image(BIDS, ASKS), 20)


def lumpy(hand: Hand, seconds: int, size: float) -> Hand:
    """Every four seconds somebody trades a lump and the bid grows and shrinks by it, to and fro."""
    for i in range(seconds // 4):
        hand.wait(0.1).buy(size) if i % 2 else hand.wait(0.1).sell(size)
        hand.change({99.9: 1.0 + size if i % 2 else 1.0})
        for k in range(38):
            hand.wait(0.1).change({99.8: 1.0 + k % 3 / 10}).clock()
    return hand


def climbing(hand: Hand, steps: int, size: float = 1.0) -> Hand:
    """Makers raise both sides a tick each 200 ms, without a trade."""
    for i in range(1, steps + 1):
        old, new = round(100.0 + i / 10, 1), round(100.1 + i / 10, 1)
        hand.wait(0.2).change({round(99.9 + i / 10, 1): size}, {old: 0.0, new: size, round(new + 0.1, 1): size})
    return hand


def falling(hand: Hand, steps: int) -> Hand:
    """The mirror image of it."""
    for i in range(1, steps + 1):
        old, new = round(100.0 - i / 10, 1), round(99.9 - i / 10, 1)
        hand.wait(0.2).change({old: 0.0, new: 1.0, round(new - 0.1, 1): 1.0}, {round(100.1 - i / 10, 1): 1.0})
    return hand


def buyers(hand: Hand, count: int, size: float = 1.0) -> Hand:
    """Buyers, and the bid grows behind them."""
    for _ in range(count):
        hand.wait(0.1).buy(size).change({99.9: hand.book.bids.size_of(0) + 1.0})
    return hand


def test_quotes_that_move_the_price_are_believed_without_a_taker() -> None:
    hand = climbing(ofi(), 10)
    assert hand.take() == ["open buy"]
    told = hand.one.evidence()
    assert told["touch_flow"] == hand.one.raw > 0
    assert told["move"] > 0  # type: ignore[operator]
    assert told["ofi_z"] == hand.one.x
    assert falling(ofi(), 10).take() == ["open sell"]


def test_a_flow_without_an_effect_opens_nothing() -> None:
    for asked, told in ((2.2, []), (0, ["open buy"])):
        hand = steady(ofi(effect_usual=asked), 70)
        hand.take()
        for _ in range(20):
            hand.wait(0.1).change({99.9: hand.book.bids.size_of(0) + 1.0})
        assert hand.one.magnitude() > 5 * hand.one.usual.peak > 0
        assert hand.take() == told, "sizes are free to show"


def test_takers_who_press_the_same_way_are_an_effect_too() -> None:
    hand = buyers(ofi(), 20)
    assert hand.take() == ["open buy"]
    assert hand.one.evidence()["taker_pressure"] > 0  # type: ignore[operator]
    hand = lumpy(ofi(), 320, 5.0)
    hand.take()
    assert buyers(hand, 20, 0.00001).take() == [], "nothing of a size here"
    hand = lumpy(ofi(), 320, 5.0)
    hand.take()
    assert buyers(hand, 20, 5.0).take() == ["open buy"]


def test_takers_add_to_the_score_and_the_mid_alone_does_not() -> None:
    for agree in (0.5, 2):
        paid, quoted = buyers(ofi(agree=agree, on=9, off=1), 20), steady(ofi(agree=agree, on=9, off=1), 70)
        climbing(quoted, 2)
        assert paid.one.x == pytest.approx(paid.one.evidence()["ofi_z"] + agree)  # type: ignore[operator]
        assert quoted.one.evidence()["move"] > 0  # type: ignore[operator]
        assert quoted.one.x <= quoted.one.evidence()["ofi_z"]  # type: ignore[operator]


def test_a_mid_is_asked_for_its_own_times_of_its_usual_peak() -> None:
    for asked, told in ((2.5, ["open buy"]), (500, [])):
        hand = Hand({"kind": "order_flow_imbalance", "standardise": QUICK, "move_usual": asked, **NOW})
        hand.image(BIDS, ASKS)
        for i in range(180):
            hand.wait(0.5).change({99.9: float(i % 3 == 0)})
        hand.change({99.9: 1.0}).take()
        assert climbing(hand, 20).take() == told


def test_walls_that_come_and_go_at_the_touch_or_behind_it_are_no_flow() -> None:
    hand = steady(ofi(times_usual=0), 70)
    hand.take()
    for i in range(40):
        hand.wait(0.1).change({99.8: 500.0 if i % 10 < 5 else 1.0})
    assert hand.take() == []
    hand = ofi(times_usual=0, effect_usual=0)
    hand.wait(0.1).change({99.9: 900.0})
    assert hand.one.raw <= 1.5, "one message"


def test_what_a_long_window_remembers_keeps_a_signal_and_opens_none() -> None:
    hand = climbing(ofi(on=5, off=5), 20)
    assert hand.take() == ["open buy"]
    hand.wait(2.5).clock()
    assert hand.take() == [], "it is still remembered"
    assert hand.one.raw > 0
    assert hand.one.magnitude() == 0.0, "and nothing goes on"
    hand.wait(8).clock()
    assert hand.take() == ["close buy"]


def test_while_it_is_open_nothing_is_learned() -> None:
    hand = climbing(ofi(), 10)
    seen = hand.one.standardiser.seen
    for i in range(10):
        hand.wait(0.1).change({99.0: 1.0 + i % 2})
    assert hand.one.lifecycle.state == 2
    assert hand.one.standardiser.seen == seen


def test_what_is_usual_here_opens_nothing() -> None:
    loose = {"on": 0.5, "off": 0.2, "effect_usual": 0, "cooldown": "0ms", "standardise": QUICK, **NOW}
    hand = Hand({"kind": "order_flow_imbalance", **loose}).image(BIDS, ASKS)
    assert any("open" in said for said in lumpy(hand, 40, 5.0).take()), "half a deviation is often there"
    lumpy(hand, 400, 5.0).take()
    assert not any("open" in said for said in lumpy(hand, 40, 5.0).take()), "and never twice the usual peak"
    assert hand.one.usual.peak > 0.5


def test_raw_thresholds_ask_for_no_peak() -> None:
    raw = {"on": 0.5, "off": 0, "effect_usual": 0, "cooldown": "0ms", "standardise": {"by": "none"}, **NOW}
    hand = Hand({"kind": "order_flow_imbalance", **raw}).image(BIDS, ASKS)
    lumpy(hand, 400, 5.0).take()
    assert any("open" in said for said in lumpy(hand, 40, 5.0).take())


def test_a_ratio_needs_more_flow_than_usual() -> None:
    hand = Hand({"kind": "order_flow_imbalance_ratio", "window": "2s", "times_usual": 0, "effect_usual": 0, **NOW})
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
    ratio = {"kind": "order_flow_imbalance_ratio", "effect_usual": 0, **NOW}
    hand = climbing(steady(Hand(ratio).image(BIDS, ASKS), 40), 20)
    assert hand.one.raw > 0.9
    assert hand.take() == [], "nobody knows yet what is usual"
    hand = lumpy(Hand(ratio).image(BIDS, ASKS), 320, 5.0)
    hand.take()
    hand.wait(6).change({99.9: 90.0})
    assert hand.one.raw > 0.9
    assert hand.take() == [], "one order is not much of a flow"
    assert climbing(hand, 20).take() == ["open buy"]


def test_a_ratio_needs_an_effect() -> None:
    ratio = {"kind": "order_flow_imbalance_ratio", **NOW}
    hand = steady(Hand(ratio).image(BIDS, ASKS), 120)
    hand.take()
    for _ in range(20):
        hand.wait(0.1).change({99.9: hand.book.bids.size_of(0) + 1.0})
    assert hand.one.raw > hand.one.lifecycle.on
    assert hand.take() == [], "sizes are free to show"
    assert climbing(hand, 20).take() == ["open buy"]


def test_a_ratio_remembers_no_flow_of_a_lost_book() -> None:
    hand = Hand({"kind": "order_flow_imbalance_ratio", "times_usual": 0, "effect_usual": 0, **NOW})
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
    assert hand.one.usual.peak == pytest.approx(200**0.25 / 2**0.5, rel=0.01), "one taker of 2 within two seconds"
    hand.wait(9).clock().wait(0.1).buy(12.0)
    assert hand.one.x > hand.one.lifecycle.on
    assert hand.take() == [], "six times the size is 1.6 times the pressure"
    assert hand.wait(0.1).buy(2.0).take() == []
    assert hand.wait(0.1).buy(2.0).take() == ["open buy"]


def test_takers_over_many_seconds_count_though_no_moment_of_them_is_unusual() -> None:
    hand = lumpy(takers(times_usual=2.7, standardise={"half_life": "60s", "min_count": 20}), 400, 2.0)
    hand.wait(9).clock().take()
    for _ in range(5):
        assert hand.wait(1.1).buy(1.5).take() == [], "two of them within two seconds, four within four"
    assert hand.wait(1.1).buy(1.5).take() == ["open buy"], "six within eight"
    told = hand.one.evidence()
    assert told["taker_share"] == 1.0
    assert told["taker_pressure"] == hand.one.raw


def test_one_huge_taker_is_no_aggressive_flow() -> None:
    for size, count, told in ((16.0, 1, []), (1.6, 10, ["open buy"])):
        hand = lumpy(takers(times_usual=3), 400, 2.0)
        hand.wait(9).clock().take()
        for _ in range(count):
            hand.wait(0.05).buy(size)
        assert hand.take() == told


def test_a_score_that_fell_while_nobody_traded_did_not_hold() -> None:
    hand = takers(min_duration="500ms")
    hand.buy(5.0)
    assert hand.one.lifecycle.state == 1
    hand.wait(3).clock().wait(0.3).clock()
    assert hand.one.lifecycle.state == 0
    hand.buy(5.0)
    assert hand.take() == [], "armed anew: it has not lasted"
