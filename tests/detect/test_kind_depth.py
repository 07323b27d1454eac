"""Standing depth: its exhaustion on one side, and the depth of all venues of an asset."""

from __future__ import annotations

from math import isnan

import pytest
from hand import MS, NOW, Hand, S, T

from imbalanced.detect.across import Floor
from imbalanced.detect.desk import Desk

BIDS = {99.9: 10.0, 99.8: 10.0}
ASKS = {100.1: 10.0, 100.2: 10.0}
BAND = {"kind": "market_depth_imbalance", "bps": 50, "standardise": {"half_life": "5s", "min_count": 20}, **NOW}
DEPTH = {"kind": "book_exhaustion", "half_life": "1s", "bps": 50, **NOW}


def calm(hand: Hand, seconds: float) -> Hand:
    for i in range(int(seconds * 10)):
        hand.wait(0.1).change({99.8: 10.0 + i % 2 / 100})
    return hand


def test_asks_that_are_gone_are_buy_pressure_and_bids_sell() -> None:
    hand = calm(Hand(DEPTH).image(BIDS, ASKS), 70).wait(0.1).change({}, {100.1: 2.0, 100.2: 2.0})
    assert hand.one.raw == pytest.approx(0.8, abs=0.01)
    assert hand.take() == ["open buy"]
    hand = calm(Hand(DEPTH).image(BIDS, ASKS), 3).wait(0.1).change({99.9: 2.0, 99.8: 2.0})
    assert hand.take() == [], "nobody knows yet what is usual"
    hand = calm(Hand(DEPTH).image(BIDS, ASKS), 70).wait(0.1).change({99.9: 2.0, 99.8: 2.0})
    assert hand.take() == ["open sell"]


def test_half_of_the_depth_gone_is_no_news_where_it_goes_all_the_time() -> None:
    hand = Hand(DEPTH).image(BIDS, ASKS)
    for i in range(120):
        calm(hand.wait(0.1).change({}, {100.1: 10.0 if i % 4 else 4.0, 100.2: 10.0 if i % 4 else 4.0}), 1)
    hand.take()
    hand.wait(0.1).change({}, {100.1: 10.0, 100.2: 10.0})
    calm(hand, 4).wait(0.1).change({}, {100.1: 4.0, 100.2: 4.0})
    assert hand.one.raw > 0.5
    assert hand.take() == []
    assert hand.one.usual.peak > 0.3


def swinging(hand: Hand, seconds: int, most: float) -> Hand:
    """Bids come and go every two seconds, now and then by as much as ``most``."""
    hand.image(BIDS, ASKS)
    for i in range(seconds * 10):
        lump = most if i // 20 % 4 == 0 else 1.0
        hand.wait(0.1).change({99.8: 10.0 + lump * (i // 10 % 2) + i % 3 / 10})
    return hand


def test_depth_is_news_by_its_own_size_and_not_by_a_share_that_wanders() -> None:
    hand = swinging(Hand(BAND), 100, 20.0)
    hand.take()
    for _ in range(3):
        hand.wait(0.1).change({99.8: 10.0}).wait(0.1).change({99.8: 30.0})
        assert hand.one.x > 1.5
        assert hand.take() == [], "as much more as there often is"
    hand.wait(0.1).change({99.8: 90.0})
    assert hand.take() == ["open buy"]
    assert hand.one.evidence()["surplus"] == pytest.approx(99.8 * 80, rel=0.05), "in money, against its median"
    hand = swinging(Hand(BAND), 100, 20.0)
    hand.take()
    assert hand.wait(0.1).change({99.8: 10.0}, {100.2: 90.0}).take() == ["open sell"]


def test_what_depth_was_usual_ends_with_its_book() -> None:
    hand = swinging(Hand(BAND), 100, 20.0).lost().wait(1).image(BIDS, ASKS).wait(0.1).change({99.8: 10.1})
    assert isnan(hand.one.magnitude())


def test_more_than_usual_on_one_side_is_no_exhaustion_of_the_other() -> None:
    hand = calm(Hand(DEPTH).image(BIDS, ASKS), 3).wait(0.1).change({99.9: 90.0})
    assert hand.one.raw == 0.0
    assert hand.one.evidence()["exhaustion_bid"] < -3  # type: ignore[operator]


def test_a_young_book_has_no_usual_depth() -> None:
    hand = calm(Hand(DEPTH).image(BIDS, ASKS), 0.5).wait(0.1).change({}, {100.1: 2.0, 100.2: 2.0})
    assert isnan(hand.one.raw)
    hand = calm(Hand(DEPTH).image(BIDS, ASKS), 3).lost().wait(1).image(BIDS, ASKS)
    assert isnan(calm(hand, 0.3).one.raw), "nothing of the lost book is left"


def test_a_shock_that_did_not_recover_counts_more() -> None:
    weak = calm(Hand({**DEPTH, "half_life": "20s"}).image(BIDS, ASKS), 25)
    weak.wait(0.1).change({}, {100.1: 4.0, 100.2: 5.0})
    for _ in range(12):
        weak.wait(0.1).change({99.8: 10.0})
    assert weak.one.raw == pytest.approx(1.25 * weak.one.evidence()["exhaustion_ask"], rel=0.05)  # type: ignore[operator]
    assert weak.one.evidence()["weak_recovery_ms"] is not None
    for _ in range(60):
        weak.wait(0.1).change({99.8: 10.0})
    assert weak.one.raw == pytest.approx(weak.one.evidence()["exhaustion_ask"], rel=0.01), "long ago"


def test_what_the_price_left_behind_and_what_takers_took_is_no_exhaustion() -> None:
    swept = calm(Hand(DEPTH).image(BIDS, ASKS), 70)
    swept.buy(8.0, 100.1).buy(8.0, 100.2).wait(0.1).change({}, {100.1: 2.0, 100.2: 2.0})
    assert swept.one.raw < 0.3
    assert swept.take() == []


SUPPLY = {"kind": "supply_demand_imbalance", "bps": 50, "standardise": {"by": "none"}, "on": 0.5, "off": 0.1, **NOW}


def pair(**more: object) -> tuple[Hand, Hand]:
    floor = Floor()
    one = Hand({**SUPPLY, **more}, floor=floor).image(BIDS, ASKS)
    other = Hand({**SUPPLY, **more}, venue="okx", symbol="AAA/USDC:USDC", floor=floor).image(BIDS, ASKS)
    return one, other


def test_the_depth_of_both_is_one_number() -> None:
    one, other = pair()
    assert isnan(one.one.raw), "the other one was not there yet"
    one.wait(0.1).change({99.9: 30.0})
    # 40 against 20 here, 20 against 20 there, in money.
    bids, asks = 99.9 * 30 + 99.8 * 10 + 99.9 * 10 + 99.8 * 10, 2 * (100.1 * 10 + 100.2 * 10)
    assert one.one.raw == pytest.approx((bids - asks) / (bids + asks))
    told = one.one.evidence()
    assert (told["supply_demand"], told["fresh"]) == (one.one.raw, 2.0)
    other.wait(0.2).change({99.9: 10.0})
    assert other.one.raw == pytest.approx(one.one.raw), "each looks at the other"


def test_one_alone_has_no_value() -> None:
    alone = Hand(SUPPLY, floor=Floor()).image(BIDS, ASKS).wait(0.1).change({99.9: 90.0})
    assert isnan(alone.one.raw)
    assert not alone.desk.post.watched, "and shows nothing"


def test_another_asset_and_another_money_are_something_else() -> None:
    floor = Floor()
    one = Hand(SUPPLY, floor=floor).image(BIDS, ASKS)
    for symbol in ("BBB/USDT", "AAA/BTC"):
        Hand(SUPPLY, symbol=symbol, floor=floor).image(BIDS, ASKS)
    assert isnan(one.wait(0.1).change({99.9: 90.0}).one.raw)
    Hand(SUPPLY, symbol="AAA/USD", floor=floor).image(BIDS, ASKS)
    assert not isnan(one.wait(0.1).change({99.9: 91.0}).one.raw)


def test_what_is_stale_or_lost_is_not_there_and_is_no_zero() -> None:
    one, other = pair(fresh="2s")
    one.wait(2).change({99.9: 90.0})
    assert not isnan(one.one.raw), "two seconds old, and just as much is fresh"
    one.wait(0.1).change({99.9: 91.0})
    assert isnan(one.one.raw)
    other.now_ns = one.now_ns
    other.change({99.9: 10.0})
    assert not isnan(one.wait(0.1).change({99.9: 90.0}).one.raw)
    other.lost()
    assert isnan(one.wait(0.1).change({99.9: 91.0}).one.raw)
    other.image(BIDS, ASKS)
    assert not isnan(one.wait(0.1).change({99.9: 90.0}).one.raw)


def test_age_is_of_receipt_whatever_the_venues_clocks_say() -> None:
    one, other = pair()
    other.desk.book_changed(other.book, T - 3600 * S, T + 50 * MS)
    one.desk.book_changed(one.book, T + 3600 * S, T + 60 * MS)
    assert not isnan(one.one.raw)


def test_weights_are_of_venues() -> None:
    one, _ = pair(weights={"binance": 0})
    one.wait(0.1).change({99.9: 90.0})
    assert one.one.raw == pytest.approx((99.9 + 99.8 - 100.1 - 100.2) / 400)


def test_a_lasting_lean_is_the_message() -> None:
    options = {"standardise": {"half_life": "2s", "min_count": 10, "centre": False, "min_sd": 0.05}, "on": 2.5}
    floor = Floor()
    one = Hand({**SUPPLY, **options}, floor=floor).image(BIDS, ASKS)
    other = Hand({**SUPPLY, **options}, venue="okx", floor=floor).image(BIDS, ASKS)
    for i in range(60):
        one.wait(0.1).change({99.9: 60.0 + i % 3})
        other.wait(0.1).change({99.9: 60.0 + i % 2})
    assert one.one.x > 5
    assert "open buy" in one.take()


def test_the_depth_of_all_is_news_by_its_own_size() -> None:
    options = {"standardise": {"half_life": "60s", "min_count": 10, "centre": False, "min_sd": 0.05}}
    floor = Floor()
    one = Hand({"kind": "supply_demand_imbalance", "bps": 50, **options, **NOW}, floor=floor).image(BIDS, ASKS)
    other = Hand(SUPPLY, venue="okx", floor=floor).image(BIDS, ASKS)
    for i in range(900):
        other.wait(0.1).change({99.9: 10.0 + i % 2 / 10})
        one.wait(0.1).change({99.8: 30.0 if i // 10 % 4 == 0 else 10.0})
    one.take()
    other.wait(0.1).change({99.9: 10.0})
    one.wait(0.1).change({99.8: 10.0}).wait(0.1).change({99.8: 36.0})
    assert one.one.x > 1.5
    assert one.take() == [], "little more than there often is"
    one.wait(0.1).change({99.8: 90.0})
    assert one.take() == ["open buy"]
    assert one.one.evidence()["surplus"] == pytest.approx(99.8 * 80, rel=0.05), "in money, against its median"
    assert isnan(one.lost().wait(1).image(BIDS, ASKS).one.magnitude()), "it ends with its book"


def test_aged_depth_must_have_stood_as_a_whole() -> None:
    options = {"standardise": {"half_life": "60s", "min_count": 10, "min_sd": 0.05}, "settle": "2s", "prove": "1ms"}
    hand = Hand({"kind": "market_depth_imbalance", "bps": 50, **options, **NOW}).remembering()
    hand.desk = Desk([], [hand.one])
    calm(hand.image(BIDS, ASKS), 90).take()
    hand.wait(0.1).change({99.9: 90.0})
    for _ in range(20):
        hand.wait(0.1).change({99.8: 10.0})
    assert hand.take() == [], "fresh for half a second, and not yet two seconds old after that"
    hand.wait(0.1).change({99.9: 10.0})
    for _ in range(30):
        hand.wait(0.1).change({99.8: 10.0})
    assert hand.take() == [], "gone before that"
    hand.wait(0.1).change({99.9: 90.0})
    for _ in range(30):
        hand.wait(0.1).change({99.8: 10.0})
    assert hand.take() == ["open buy"]
