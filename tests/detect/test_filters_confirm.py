"""Do other venues see it too."""

from __future__ import annotations

from typing import Any

import pytest
from moments import S, Scene

from imbalanced.detect.filters.confirm import Confirm, ConfirmOptions

# A lean of the book as it is: 0.5 opens.
LEANING: dict[str, Any] = {
    "kind": "market_depth_imbalance",
    "name": "lean",
    "bps": 1000,
    "on": 0.5,
    "off": 0.2,
    "min_duration": "200ms",
    "standardise": {"by": "none"},
}
OFF = {"spoof": "off"}


def venue(which: str, symbol: str = "AAA/USDT:USDT", **more: object) -> Scene:
    return Scene({**LEANING, **more}, venue=which, symbol=symbol, filters=OFF)


def leaning(scene: Scene, lean: float) -> Scene:
    """The last level of a side makes the whole book lean so much, by notional."""
    bids = sum((100.0 - i / 10) * 1000.0 for i in range(30))
    asks = sum((100.1 + i / 10) * 1000.0 for i in range(30))
    if lean > 0:
        scene.delta({29: 1000.0 + (asks * (1 + lean) / (1 - lean) - bids) / 97.1})
    else:
        scene.delta({}, {29: 1000.0 + (bids * (1 - lean) / (1 + lean) - asks) / 103.0})
    assert scene.of_book.x == pytest.approx(lean)
    return scene


def confirm(own: Scene, *others: Scene, **options: int) -> Confirm:
    own.peers = [other.peer() for other in others]
    return Confirm(ConfirmOptions(**options), own.chain.kit)


def test_alone_nothing_is_known() -> None:
    own = venue("binance")
    said = confirm(own).check(own.of_book, own.now())
    assert (said.verdict, said.quality, said.numbers) == ("unknown", 1.0, {"q_confirm": None})


@pytest.mark.parametrize(("lean", "quality"), [(0.4, 1.0), (0.1, 0.7), (-0.4, 0.4), (0.24, 0.7), (0.26, 1.0)])
def test_one_other_venue_is_for_against_or_silent(lean: float, quality: float) -> None:
    own, other = venue("binance"), leaning(venue("okx"), lean)
    said = confirm(own, other).check(own.of_book, own.now())
    assert (said.verdict, said.quality) == ("pass", pytest.approx(quality))


def test_a_sell_is_confirmed_by_sellers() -> None:
    own = Scene(LEANING, filters=OFF, side=-1)
    said = confirm(own, leaning(venue("okx"), -0.4)).check(own.of_book, own.now())
    assert said.quality == pytest.approx(1.0)


def test_words_weigh_what_is_traded_there() -> None:
    own, big, small = venue("binance"), leaning(venue("okx"), 0.4), leaning(venue("bybit"), -0.4)
    big.trade(30.0)
    small.trade(10.0)
    said = confirm(own, big, small).check(own.of_book, own.now())
    assert said.quality == pytest.approx(0.7 + 0.3 * (30 - 10) / 40)
    assert said.told.startswith("1 of 2 venues agree")


def test_so_many_must_agree() -> None:
    own, one, other = venue("binance"), leaning(venue("okx"), 0.4), venue("bybit")
    assert confirm(own, one, other, at_least=1).check(own.of_book, own.now()).verdict == "pass"
    assert confirm(own, one, other, at_least=2).check(own.of_book, own.now()).verdict == "fail"
    assert confirm(own, at_least=1).check(own.of_book, own.now()).verdict == "fail", "nobody agrees where nobody is"


def test_who_is_stale_or_not_proven_or_another_sort_says_nothing() -> None:
    own = venue("binance").at(3)
    stale, lost = leaning(venue("okx"), 0.4), leaning(venue("bybit").at(3), 0.4)
    spot, same = leaning(venue("kraken", "AAA/USDT").at(3), 0.4), leaning(venue("binance", "AAA/USDC:USDC").at(3), 0.4)
    lost.desk.book.live = False
    said = confirm(own, stale, lost, spot, same).check(own.of_book, own.now())
    assert said.verdict == "unknown"
    stale.at(2).delta({0: 1001.0})
    assert confirm(own, stale).check(own.of_book, own.now()).verdict == "pass"


def test_another_kind_or_name_is_no_word() -> None:
    own, other = venue("binance"), leaning(venue("okx", name="other"), 0.4)
    assert confirm(own, other).check(own.of_book, own.now()).verdict == "unknown"


def test_a_leader_counts_double_and_a_follower_not() -> None:
    lag = {"kind": "lead_lag", "leader": {"venue": "binance", "instrument": "AAA/USDT"}, "lag": "200ms"}
    leader, third = leaning(venue("binance", "AAA/USDT"), 0.4), leaning(venue("bybit", "AAA/USDT"), -0.4)
    follower = Scene(LEANING, lag, venue="okx", symbol="AAA/USDT", filters=OFF)
    said = confirm(follower, leader, third).check(follower.of_book, follower.now())
    assert said.quality == pytest.approx(0.7 + 0.3 * (2 - 1) / 3)
    leaning(follower, 0.4)
    said = confirm(leader, follower).check(leader.of_book, leader.now())
    assert said.verdict == "unknown", "who follows confirms nothing"


def test_turnover_is_of_the_last_hour() -> None:
    scene = venue("binance")
    turnover = scene.chain.kit.turnover
    scene.at(0).trade(10.0)
    assert turnover.total() == pytest.approx(1001.0)
    scene.at(1800).trade(5.0, -1)
    assert turnover.total() == pytest.approx(1501.0)
    scene.at(3660).trade(1.0)
    assert turnover.total() == pytest.approx(500.0 + 100.1)
    scene.at(36_000).trade(1.0)
    assert turnover.total() == pytest.approx(100.1)
    assert S > 0
