"""Slow context: open interest, funding, crowding, forced orders."""

from __future__ import annotations

from math import isnan

import pytest
from hand import Hand

from imbalanced.detect import DETECTORS
from imbalanced.detect.detector import Detector
from imbalanced.metrics.metric import Grid

BOOK = ({99.9: 1.0}, {100.1: 1.0})
POLL = {"by": "robust_z", "min_count": 5, "window": 50, "grid": "60s"}
NEVER_AT_ONCE = {"cooldown": "0ms"}


class Told(Hand):
    """A desk of a kind that the scripted venue could not feed: the configuration would refuse it."""

    def __init__(self, kind: str, **options: object) -> None:
        super().__init__({"kind": "sweep"})
        from imbalanced.detect.desk import Desk
        from imbalanced.options import read

        made: Detector = DETECTORS[kind](kind, kind, read(DETECTORS[kind].Options, options, kind, style="yaml"), Grid())  # type: ignore[call-arg, arg-type]
        self.desk, self.one = Desk([], [made]), made
        self.image(*BOOK)

    def interest(self, oi: float, price: float) -> Hand:
        return self.wait(60).change({99.9: 1.0}).context(type="oi", oi=oi, price=price)

    def funding(self, rate: float | None, basis: float | None) -> Hand:
        index = None if basis is None else 100.0
        mark = None if basis is None else 100.0 * (1 + basis)
        hours = None if rate is None else 8
        self.wait(60).change({99.9: 1.0})
        return self.context(type="funding", rate=rate, interval_h=hours, mark=mark, index=index)

    def crowd(self, long: float) -> Hand:
        return self.wait(60).change({99.9: 1.0}).context(type="ratio", long=long, short=1 - long)

    def forced(self, side: str, size: float) -> Hand:
        return self.wait(1).change({99.9: 1.0}).context(type="liquidation", side=side, price=100, size=size)


def interested(**more: object) -> Told:
    hand = Told("open_interest_imbalance", standardise=POLL, window="60s", **more)
    life = hand.one.lifecycle
    # The first few samples are no scale; nothing shall open on them.
    life.on, on = 1e9, life.on
    for i in range(20):
        hand.interest(1000.0 + 2 * (i % 4), 100.0 + i % 3 / 5)
    life.on = on
    return hand


def test_new_interest_with_the_price_is_bought_and_one_more_poll_confirms_it() -> None:
    hand = interested()
    hand.interest(1200, 101)
    assert hand.take() == [], "the first poll"
    hand.interest(1500, 103)
    assert hand.take() == ["open buy"]
    assert hand.one.evidence()["oi_change_bps"] > 0  # type: ignore[operator]
    falling = interested()
    falling.interest(1200, 99)
    assert falling.interest(1500, 97).take() == ["open sell"]


def test_a_poll_of_something_else_in_between_starts_anew() -> None:
    hand = interested()
    hand.interest(1200, 101)
    hand.interest(1200, 101)
    hand.interest(1500, 103)
    assert hand.take() == []


def test_polls_may_need_no_confirmation() -> None:
    assert interested(min_polls=0, on=200).interest(9000, 101).take() == ["open buy"]


def paid(**more: object) -> Told:
    hand = Told("funding_extreme", standardise=POLL, **more)
    for i in range(20):
        hand.funding(0.0001 + i % 3 / 1e6, 0.0001)
    return hand


def test_who_pays_unusually_much_is_wrong_sooner_or_later() -> None:
    hand = paid()
    hand.funding(0.002, 0.001)
    assert hand.funding(0.002, 0.001).take() == ["open sell"]
    assert hand.one.evidence() == {"rate_8h_bps": pytest.approx(20), "basis_bps": pytest.approx(10)}
    hand = paid()
    hand.funding(-0.002, -0.001)
    assert hand.funding(-0.002, -0.001).take() == ["open buy"]


def test_only_where_the_basis_agrees_and_it_may_come_by_itself() -> None:
    hand = paid()
    hand.funding(0.002, -0.001)
    assert hand.funding(0.002, -0.001).take() == []
    hand = paid()
    hand.funding(None, 0.001)
    hand.funding(0.002, None)
    hand.funding(None, 0.001)
    assert hand.funding(0.002, None).take() == ["open sell"], "a message without a rate is no poll of it"


def liquidated(**more: object) -> Told:
    hand = Told("liquidation_cascade", **more)
    for i in range(40):
        for _ in range(60):
            hand.wait(1).clock()
        hand.forced("sell" if i % 2 else "buy", 1.0)
    return hand


def test_many_forced_orders_of_one_side_are_a_cascade() -> None:
    hand = liquidated()
    assert hand.take() == []
    for _ in range(5):
        hand.forced("sell", 20.0)
    assert hand.take() == ["open sell"]
    assert hand.one.evidence()["liquidation_imbalance"] < -0.6  # type: ignore[operator]
    for _ in range(125):
        hand.wait(1).clock()
    assert hand.take() == ["close sell"]
    assert hand.one.lifecycle.reason == 3


def test_no_cascade_before_it_is_known_what_is_usual() -> None:
    hand = Told("liquidation_cascade")
    for _ in range(5):
        hand.forced("sell", 20.0)
    assert isnan(hand.one.x)


def test_context_opens_nothing_while_the_book_is_not_live() -> None:
    hand = interested(min_polls=0, on=200)
    hand.lost()
    hand.wait(60).context(type="oi", oi=1500, price=110)
    assert hand.take() == []
