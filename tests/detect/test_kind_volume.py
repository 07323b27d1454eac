"""Volume at one price, and on its own clock."""

from __future__ import annotations

from math import isnan

import pytest
from hand import Hand

SPIKE = {"kind": "volume_spike", "min_count": 50, "window": "30s", "cooldown": "0ms", "past": 400}
BOOK = ({99.0: 1.0, 98.9: 1.0}, {101.0: 1.0, 101.1: 1.0})
NOT_FIXED = {"bucket": None}


def walking(hand: Hand, trades: int, step: float = 0.1) -> Hand:
    """Prices up and down over eight steps, a trade of 1 each 100 ms, by both sides."""
    hand.image(*BOOK)
    for i in range(trades):
        at = 100.0 + step * (i % 14 if i % 14 < 8 else 14 - i % 14)
        hand.wait(0.1).buy(1.0, round(at, 1)) if i // 2 % 2 else hand.wait(0.1).sell(1.0, round(at, 1))
    return hand


def test_volume_at_one_price_beyond_its_own_quantile() -> None:
    hand = walking(Hand({**SPIKE, "bucket": 0.1}), 400)
    hand.take()
    on = hand.one.lifecycle.on
    assert on >= 3.0
    for _ in range(40):
        hand.wait(0.01).buy(3.0, 100.5)
    assert hand.take()[0] == "open buy"
    assert hand.one.evidence()["delta_ratio"] > 0.4  # type: ignore[operator]
    hand = walking(Hand({**SPIKE, "bucket": 0.1}), 400)
    hand.take()
    for _ in range(40):
        hand.wait(0.01).sell(3.0, 100.5)
    assert hand.take()[0] == "open sell"


def test_a_price_with_much_volume_is_no_spike_while_takers_do_what_they_do() -> None:
    """The score of a minute stays high with every trade at that price."""
    hand = walking(Hand({**SPIKE, "bucket": 0.1}), 900)
    hand.take()
    for _ in range(40):
        hand.wait(0.6).buy(1.0, 100.5)
    assert abs(hand.one.evidence()["score"]) > 3  # type: ignore[arg-type]
    assert hand.take() == []
    assert abs(hand.one.magnitude()) < 4.5 * hand.one.usual.peak


def test_a_spike_is_no_past_for_the_next_one() -> None:
    hand = walking(Hand({**SPIKE, "bucket": 0.1}), 900)
    on = hand.one.lifecycle.on
    for _ in range(300):
        hand.wait(0.01).buy(3.0, 100.5)
    assert hand.one.magnitude() > 4.5 * hand.one.usual.peak
    hand.wait(40).clock()
    walking(hand, 100)
    assert hand.one.lifecycle.on == pytest.approx(on, rel=0.5)


def test_where_prices_are_too_few_a_spike_is_one_in_time() -> None:
    hand = Hand(SPIKE).image(*BOOK)
    for i in range(1200):
        hand.wait(0.1).buy(1.0, 100.0) if i // 2 % 2 else hand.wait(0.1).sell(1.0, 99.9)
    assert hand.take() == []
    for _ in range(40):
        hand.wait(0.02).buy(3.0, 100.0).sell(3.0, 99.9)
    assert hand.take() == [], "both sides"
    for _ in range(40):
        hand.wait(0.02).sell(6.0, 99.9)
    assert hand.take() == ["open sell"]


def still(hand: Hand) -> Hand:
    """Ten trades a second at a price that stays put, by both sides in turn."""
    hand.image(*BOOK)
    for i in range(1200):
        hand.wait(0.1).buy(1.0, 100.0) if i // 2 % 2 else hand.wait(0.1).sell(1.0, 99.9)
    assert hand.take() == []
    return hand


def test_one_huge_print_is_no_crowd() -> None:
    hand = still(Hand(SPIKE)).wait(0.1).buy(240.0, 100.0)
    assert hand.one.evidence()["net_size"] > 200  # type: ignore[operator]
    assert hand.take() == []
    hand.wait(0.1).buy(1.0, 100.0)
    assert hand.take() == []
    hand = still(Hand(SPIKE))
    for _ in range(40):
        hand.wait(0.01).buy(6.0, 100.0)
    assert hand.take() == ["open buy"]


def test_a_burst_over_many_prices_is_no_level_that_is_spiked() -> None:
    hand = still(Hand(SPIKE))
    for i in range(40):
        hand.wait(0.02).buy(6.0, round(100.1 + i % 3 / 10, 1))
    assert hand.take() == []


def test_an_even_market_that_is_uneven_for_once_has_no_more_volume() -> None:
    hand = still(Hand(SPIKE))
    for _ in range(10):
        hand.wait(0.3).buy(1.0, 100.0)
    assert abs(hand.one.magnitude()) > 4.5 * hand.one.usual.peak
    assert hand.take() == []


def test_a_price_that_others_bought_says_nothing_of_those_who_sell_elsewhere() -> None:
    hand = walking(Hand({**SPIKE, "bucket": 0.1}), 400)
    for _ in range(40):
        hand.wait(0.01).buy(3.0, 100.5)
    assert "open buy" in hand.take()
    hand = walking(Hand({**SPIKE, "bucket": 0.1}), 400)
    hand.take()
    for _ in range(14):
        hand.wait(0.01).buy(3.0, 100.5)
    hand.wait(4)
    for i in range(60):
        hand.wait(0.01).sell(3.0, 99.6 + i % 8 / 10)
    hand.take()
    hand.wait(0.01).buy(0.1, 100.5)
    assert hand.take() == []


def test_volume_of_both_sides_has_none() -> None:
    hand = walking(Hand({**SPIKE, "bucket": 0.1}), 400)
    hand.take()
    for _ in range(20):
        hand.wait(0.01).buy(3.0, 100.5).sell(3.0, 100.5)
    assert hand.take() == []


def test_thresholds_follow_and_stay_while_it_is_open() -> None:
    hand = walking(Hand({**SPIKE, "bucket": 0.1}), 400)
    for _ in range(40):
        hand.wait(0.01).buy(3.0, 100.5)
    on = hand.one.lifecycle.on
    for _ in range(40):
        hand.wait(0.01).buy(3.0, 100.5)
    assert hand.one.lifecycle.state == 2
    assert hand.one.lifecycle.on == on
    assert 0 < hand.one.lifecycle.off <= on
    assert hand.one.full == 2 * on


def test_it_ends_by_age() -> None:
    hand = walking(Hand({**SPIKE, "bucket": 0.1}), 400)
    hand.take()
    for _ in range(40):
        hand.wait(0.01).buy(3.0, 100.5)
    hand.take()
    hand.wait(25).buy(0.1, 100.0).clock()
    assert hand.take() == [], "a quiet price is no end"
    hand.wait(10).clock()
    assert hand.take() == ["close buy"]


@pytest.mark.parametrize("step", [0.1, 0.4])
def test_buckets_fit_the_range_of_prices(step: float) -> None:
    """A default of basis points would put a calm market into one bucket."""
    hand = walking(Hand(SPIKE), 900, step)
    assert not isnan(hand.one.evidence()["score"])  # type: ignore[arg-type]
    assert hand.one.lifecycle.on >= 3


def test_buckets_are_chosen_anew_where_they_no_longer_do() -> None:
    hand = walking(Hand(SPIKE), 900, 2.0)
    before = hand.one.lifecycle.on
    assert before >= 3
    hand = walking(hand, 1500)
    hand.take()
    for _ in range(80):
        hand.wait(0.01).buy(3.0, 100.5)
    assert "open buy" in hand.take()


VPIN = {
    "kind": "flow_toxicity",
    "measure": "10s",
    "bucket_time": "1s",
    "buckets": 5,
    "min_count": 10,
    "cooldown": "0ms",
}


def mixed(hand: Hand, seconds: int) -> Hand:
    """Ten trades a second, two of three by buyers in one second, by sellers in the next."""
    hand.image(*BOOK)
    for i in range(seconds * 10):
        buyer = (i % 3 > 0) == (i // 10 % 2 == 0)
        hand.wait(0.1).buy(1.0 + i % 7 / 10) if buyer else hand.wait(0.1).sell(1.0 + i % 7 / 10)
    return hand


def test_flow_on_one_side_is_toxic() -> None:
    hand = mixed(Hand(VPIN), 120)
    hand.take()
    assert abs(hand.one.x) < 1
    for _ in range(80):
        hand.wait(0.1).sell(1.5)
    assert hand.take()[0] == "open sell"
    assert hand.one.x < -0.95
    assert hand.one.evidence()["vpin"] == pytest.approx(1.0)
    assert hand.one.full == 1.0


def test_a_share_of_the_highest_is_not_toxic_unless_it_is_more_than_often() -> None:
    hand = mixed(Hand({**VPIN, "on": 0.6, "off": 0.5}), 200)
    assert any("open" in said for said in mixed(Hand({**VPIN, "on": 0.6, "off": 0.5, "times_usual": 0}), 200).take())
    hand.take()
    assert not any("open" in said for said in mixed(hand, 100).take())
    assert hand.one.usual.peak == pytest.approx(hand.one.magnitude(), rel=0.5)


def test_its_bucket_is_measured_or_given() -> None:
    assert isnan(mixed(Hand(VPIN), 9).one.x)
    assert isnan(mixed(Hand(VPIN), 16).one.x)
    assert not isnan(mixed(Hand(VPIN), 60).one.x)
    given = mixed(Hand({**VPIN, "bucket_volume": 1, "measure": "1h"}), 9)
    assert not isnan(given.one.x)


def test_toxicity_outlives_a_book() -> None:
    hand = mixed(Hand(VPIN), 60)
    assert hand.lost().wait(0.1).image(*BOOK).wait(0.1).sell(0.1).one.x == pytest.approx(hand.one.x)
    assert not isnan(hand.one.x)
