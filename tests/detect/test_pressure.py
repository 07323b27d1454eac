"""Flow at the touch that no wall outweighs, takers, and the effect of a flow."""

from __future__ import annotations

from math import sqrt

import pytest
from hand import UNIT, Hand, px, steady
from test_desk import S, T

from imbalanced.book import Book
from imbalanced.detect.flow import OrderFlowImbalance
from imbalanced.detect.pressure import Effect, TakerPressure, TouchFlow
from imbalanced.metrics.metric import NO_VALUE, VALUE, Grid

GRID = Grid()
MS = 1_000_000
BIDS = {99.9: 1.0, 99.8: 1.0, 99.7: 1.0}
ASKS = {100.1: 1.0, 100.2: 1.0, 100.3: 1.0}


def flow(**more: object) -> tuple[Hand, TouchFlow]:
    """A calm market whose usual size is 1, ten seconds after its last change."""
    hand = Hand({"kind": "order_flow_imbalance", **more})
    assert isinstance(hand.one, OrderFlowImbalance)
    (metric, _) = hand.one.metrics
    assert isinstance(metric, TouchFlow)
    hand.image(BIDS, ASKS)
    for i in range(40):
        hand.wait(0.1).change({99.7: 1.0 + i % 2})
    return hand.wait(10), metric


def test_a_message_counts_at_most_one_usual_size_a_side() -> None:
    hand, metric = flow()
    hand.change({99.9: 1.4})
    assert metric.out[0] == pytest.approx(sqrt(0.4 / 2))
    hand.change({99.9: 900.0})
    assert metric.out[0] == pytest.approx(sqrt(1.4 / 2)), "a wall is one message"
    hand.change({99.9: 1.0})
    assert metric.out[0] == pytest.approx(sqrt(0.4 / 2)), "and its going another one"
    hand.change({}, {100.1: 0.0})
    assert metric.out[0] == pytest.approx(sqrt(1.4 / 2))
    hand.wait(0.1).change({}, {100.1: 9.0})
    assert metric.out[0] == pytest.approx((sqrt(1.4) - 1.0) / sqrt(2)), "another instant"


def test_flow_is_the_mean_over_the_ranks_that_are_asked_for() -> None:
    hand, metric = flow(levels=2)
    hand.change({99.9: 1.3, 99.8: 1.1})
    assert metric.out[0] == pytest.approx(sqrt(0.2 / 2))
    hand, metric = flow(levels=1)
    hand.change({99.8: 30.0})
    assert metric.out[0] == 0.0, "what lies behind the touch is no flow at it"


def test_no_flow_without_a_book_nor_across_a_lost_one() -> None:
    metric = TouchFlow(1, 2_000, 3, GRID)
    book = Book()
    assert metric.book_changed(book, T) == NO_VALUE
    assert metric.clock(book, T) == NO_VALUE
    hand, metric = flow()
    hand.change({99.9: 2.0})
    assert metric.out[0] > 0
    hand.lost().wait(0.1).image(BIDS, ASKS)
    assert metric.answered == NO_VALUE
    hand.wait(0.1).change({99.9: 2.0})
    assert (metric.answered, metric.out[0]) == (VALUE, 0.0), "what is usual in the new book is not known yet"


def test_takers_press_with_the_roots_of_their_notional() -> None:
    metric = TakerPressure(2_000, 3, GRID)
    assert metric.trade(px(100.0), 9.0, 1, T) == VALUE
    metric.trade(px(100.0), 1.0, -1, T + 10 * MS)
    metric.trade(px(100.0), 400.0, 0, T + 20 * MS)
    assert [metric.out[i] for i in range(4)] == pytest.approx([sqrt(20 / 2), 0.5, sqrt(20 / 2), 0.5])
    assert metric.clock(Book(), T + 5 * S) == VALUE
    assert [metric.out[i] for i in range(4)] == pytest.approx([sqrt(20 / 8), 0.5, 0, 0]), "remembered, and over"
    metric.clock(Book(), T + 9 * S)
    assert [metric.out[i] for i in range(4)] == [0.0, 0.0, 0.0, 0.0]


def effect(seconds: int = 90, **more: object) -> tuple[Hand, Effect]:
    """A calm market in which the mid goes a tick to and fro and somebody trades each second, two on a side."""
    hand = Hand({"kind": "order_flow_imbalance", **more})
    (_, metric) = hand.one.metrics
    assert isinstance(metric, Effect)
    hand.image(BIDS, ASKS)
    for i in range(seconds):
        hand.wait(0.5).change({99.9: float(i % 2)}).wait(0.5)
        hand.buy(1.0) if i // 2 % 2 else hand.sell(1.0)
    return hand.change({99.9: 1.0}), metric


def pressed(hand: Hand, count: int, size: float = 1.0) -> Hand:
    for _ in range(count):
        hand.wait(0.05).buy(size)
    return hand


def test_takers_of_an_unusual_number_are_an_effect() -> None:
    hand, metric = effect()
    hand.wait(3)
    pressed(hand, 2)
    assert not metric.seen(3.0), "two are usual"
    pressed(hand, 20)
    assert metric.seen(3.0)
    assert not metric.seen(-3.0), "of the other side"
    hand.wait(2.5).clock()
    assert not metric.seen(3.0), "they have gone"


def test_what_has_no_side_is_pressed_by_nobody() -> None:
    for side in ("buy", "sell"):
        hand, metric = effect()
        for _ in range(20):
            hand.wait(0.05)
            hand.buy(1.0) if side == "buy" else hand.sell(1.0)
        assert metric.pressed(1.0) == (side == "buy")
        assert metric.pressed(-1.0) == (side == "sell")
        assert not metric.pressed(0.0)


def test_one_huge_taker_is_less_than_many_of_the_same_sum() -> None:
    hand, metric = effect()
    pressed(hand.wait(3), 1, 4.0)
    assert not metric.seen(3.0)
    hand, metric = effect()
    pressed(hand.wait(3), 10, 0.4)
    assert metric.seen(3.0)


def test_a_mid_that_goes_with_it_is_an_effect_if_it_goes_further_than_usual_and_than_the_spread() -> None:
    hand, metric = effect()
    for i in range(1, 4):
        hand.wait(0.2).change({99.9 + i / 10: 1.0}, {100.0 + i / 10: 0.0, 100.1 + i / 10: 1.0, 100.2 + i / 10: 1.0})
    assert metric.out[1] == pytest.approx(0.35 / sqrt(2)), "from 99.95"
    assert metric.seen(3.0)
    assert not metric.seen(-3.0)
    hand, metric = effect()
    hand.change({99.9: 0.0, 99.8: 0.0, 99.7: 1.0}, {100.1: 0.0, 100.2: 0.0, 100.3: 1.0}).wait(10).clock()
    hand.change({99.9: 1.0}, {100.3: 0.0, 100.5: 1.0})
    assert metric.out[1] > 0
    assert not metric.seen(3.0), "it came 0.2, and the spread is 0.6"
    hand.wait(0.1).change({100.4: 1.0}, {100.5: 0.0, 101.0: 1.0})
    assert metric.seen(3.0)


def test_nothing_asked_is_always_seen_and_a_lost_book_is_no_move() -> None:
    hand, metric = effect(effect_usual=0)
    assert metric.seen(3.0)
    assert metric.seen(-3.0)
    hand, metric = effect()
    hand.wait(0.1).change({100.0: 1.0}, {100.1: 0.0, 100.2: 0.0})
    assert metric.out[1] != 0
    hand.lost()
    assert metric.out[1] == 0.0
    hand.wait(0.1).image({109.9: 1.0}, {110.1: 1.0}).wait(3).change({109.9: 2.0})
    assert metric.out[1] == 0.0, "the mid of another book is no move"


def test_hands_agree_about_units() -> None:
    assert GRID.per_unit == UNIT
    assert steady(Hand({"kind": "order_flow_imbalance"}).image(BIDS, ASKS), 1).take() == []
