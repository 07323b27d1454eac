"""A leader's move that this instrument has still to make, and the floor on which both stand."""

from __future__ import annotations

from math import isnan
from typing import Any

import pytest
from hand import MS, NOW, Hand, S

from imbalanced.detect.across import Floor, Post

LEADER = {"venue": "okx", "instrument": "AAA/USDT:USDT"}
FOLLOW: dict[str, Any] = {"kind": "lead_lag", "leader": LEADER, "lag": "200ms", **NOW}
SWEEP = {"kind": "sweep"}


def pair(**more: object) -> tuple[Hand, Hand]:
    """Follower and leader, both at 100 with a spread of 0.2."""
    floor = Floor()
    one = Hand({**FOLLOW, **more}, floor=floor)
    leader = Hand(SWEEP, venue="okx", symbol="AAA/USDT:USDT", floor=floor)
    for hand in (one, leader):
        hand.image({99.9: 1.0, 99.0: 1.0}, {100.1: 1.0, 101.0: 1.0})
    return one, leader


def both(one: Hand, leader: Hand, seconds: float) -> None:
    for _ in range(round(seconds * 10)):
        leader.wait(0.1).change({99.0: 1.0})
        one.now_ns = leader.now_ns + MS
        one.change({99.0: 1.0})


def moved(leader: Hand, price: float) -> None:
    """The leader's market goes there at once."""
    old_bid, old_ask = leader.book.bids.px_at(0) / 1e8, leader.book.asks.px_at(0) / 1e8
    leader.change({old_bid: 0.0, price - 0.1: 1.0}, {old_ask: 0.0, price + 0.1: 1.0})


def test_the_leader_rose_and_this_has_not_followed() -> None:
    one, leader = pair()
    both(one, leader, 1)
    assert one.one.x == 0.0
    leader.wait(0.1)
    moved(leader, 100.3)
    one.now_ns = leader.now_ns + MS
    one.change({99.0: 1.0})
    assert one.one.x == pytest.approx(0.003 * 100 / 0.2)
    assert one.take() == ["open buy"]
    told = one.one.evidence()
    assert told["leader_bps"] == pytest.approx(30)
    assert told["own_bps"] == 0.0
    assert told["spread_bps"] == pytest.approx(20)
    both(one, leader, 0.5)
    assert one.one.x == 0.0, "the lag is over"
    assert one.take() == ["close buy"]


def test_who_has_followed_has_nothing_to_make_up_for() -> None:
    one, leader = pair()
    both(one, leader, 1)
    leader.wait(0.1)
    moved(leader, 99.5)
    one.now_ns = leader.now_ns + MS
    moved(one, 99.5)
    assert one.one.x == pytest.approx(0.0, abs=1e-9)
    one, leader = pair(beta=2)
    both(one, leader, 1)
    leader.wait(0.1)
    moved(leader, 99.5)
    one.now_ns = leader.now_ns + MS
    moved(one, 99.5)
    assert one.one.x == pytest.approx(-0.005 * 99.5 / 0.2), "it should have moved twice as far"


def test_a_leader_that_is_stale_or_lost_says_nothing() -> None:
    one, leader = pair(fresh="1s")
    both(one, leader, 1)
    one.now_ns = leader.now_ns + S + 1
    one.change({99.0: 2.0})
    assert isnan(one.one.x)
    both(one, leader, 1.2)
    assert not isnan(one.one.x)
    leader.lost()
    one.wait(0.01).change({99.0: 1.0})
    assert isnan(one.one.x)
    leader.wait(0.1).image({99.9: 1.0}, {100.1: 1.0})
    one.now_ns = leader.now_ns + MS
    one.change({99.0: 1.0})
    assert isnan(one.one.x), "its past is no past of this book"


def test_its_own_book_must_be_sound_and_have_a_spread() -> None:
    one, leader = pair()
    both(one, leader, 1)
    one.lost().image({99.9: 1.0}, {100.1: 1.0})
    assert isnan(one.one.x)
    both(one, leader, 0.5)
    assert not isnan(one.one.x)
    one.change({100.1: 1.0})
    assert isnan(one.one.x), "locked"


def test_nobody_leads_himself() -> None:
    floor = Floor()
    one = Hand(FOLLOW, venue="okx", symbol="AAA/USDT:USDT", floor=floor)
    one.image({99.9: 1.0}, {100.1: 1.0})
    for _ in range(10):
        one.wait(0.1).change({99.9: 1.0})
    assert isnan(one.one.x)
    assert not one.desk.post.watched


def test_a_leader_may_be_seated_later() -> None:
    floor = Floor()
    one = Hand(FOLLOW, floor=floor).image({99.9: 1.0}, {100.1: 1.0})
    leader = Hand(SWEEP, venue="okx", symbol="AAA/USDT:USDT", floor=floor).image({99.9: 1.0}, {100.1: 1.0})
    both(one, leader, 1)
    assert one.one.x == 0.0


def test_a_post_keeps_no_more_past_than_is_asked_for() -> None:
    post = Post()
    follower = post.follow(S)
    hand = Hand(SWEEP).image({99.9: 1.0}, {100.1: 1.0})
    for i in range(100_000):
        post.show(hand.book, i * MS)
    assert follower.ago(99_999 * MS - S) == 100 * 10**8
    assert isnan(follower.ago(0))


def test_an_instrument_has_one_post_whoever_asks_first() -> None:
    floor = Floor()
    assert floor.post("okx", "AAA/USDT") is floor.post("okx", "AAA/USDT")
    assert floor.post("okx", "AAA/USDT") is not floor.post("binance", "AAA/USDT")
    assert not floor.post("okx", "never/heard").ok
