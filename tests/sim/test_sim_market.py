"""The synthetic market's laws: never crossed, contiguous ids, what was emitted rebuilds the true book, repeatable."""

from __future__ import annotations

import random
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imbalanced.sim.market import Action, Ladder, Level, Market, Spec
from imbalanced.sim.regimes import schedule

SPEC = Spec(start_tick=61_800, gap_ticks=3, typical_lots=50, levels=120, first_id=1_000, first_episode_ms=(300, 600))


def market(seed: int) -> Market:
    return Market(SPEC, random.Random(seed), 0)


def replay(image: tuple[list[Level], list[Level]], actions: list[Action]) -> tuple[list[Level], list[Level]]:
    sides = {"bid": dict(image[0]), "ask": dict(image[1])}
    for action in actions:
        for change in action.changes:
            if change.lots:
                sides[change.side][change.tick] = change.lots
            else:
                del sides[change.side][change.tick]
    return sorted(sides["bid"].items(), reverse=True), sorted(sides["ask"].items())


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.integers(1, 900), min_size=1, max_size=30))
def test_emitted_changes_rebuild_the_true_book_and_never_cross_it(seed: int, steps: list[int]) -> None:
    tested = market(seed)
    image, first_id, now = (tested.bids(), tested.asks()), tested.last_id, 0
    actions: list[Action] = []
    for step in steps:
        now += step
        for action in tested.step(now):
            actions.append(action)
            (bid, bid_lots), (ask, ask_lots) = tested.touch
            assert bid < ask
            assert bid_lots > 0 < ask_lots
    ids = [change.id for action in actions for change in action.changes]
    assert ids == list(range(first_id + 1, tested.last_id + 1))
    assert replay(image, actions) == (tested.bids(), tested.asks())


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.integers(1, 700), max_size=20))
def test_a_seed_gives_the_same_market_however_finely_it_is_stepped(seed: int, steps: list[int]) -> None:
    coarse, fine = market(seed), market(seed)
    whole = list(coarse.step(5_000))
    parts: list[Action] = []
    now = 0
    for step in steps:
        now = min(now + step, 5_000)
        parts += fine.step(now)
    parts += fine.step(5_000)
    assert parts == whole


def test_trades_carry_contiguous_ids_and_their_fills_come_off_the_book() -> None:
    tested = market(3)
    trades = [trade for action in tested.step(20_000) for trade in action.trades]
    assert len(trades) > 50
    assert [trade.agg_id for trade in trades] == list(range(1, len(trades) + 1))
    for before, after in pairwise(trades):
        assert after.first_id == before.first_id + len(before.fills)
    assert all(lots > 0 for trade in trades for lots in trade.fills)


def test_informed_flow_is_one_sided_and_moves_the_price_its_way() -> None:
    tested = market(1)
    actions = list(tested.step(60_000))
    episodes = [regime for regime in tested.planted if regime.kind == "informed" and regime.end_ms < 60_000]
    assert episodes
    for regime in episodes:
        inside = [action for action in actions if regime.start_ms <= action.ms < regime.end_ms]
        takers: Counter[str] = Counter(trade.taker for action in inside for trade in action.trades)
        assert takers[regime.side] > 3 * (takers.total() - takers[regime.side])
        prices = [trade.tick for action in inside for trade in action.trades]
        assert (prices[-1] > prices[0]) == (regime.side == "buy")


def test_the_first_episode_is_informed_flow_and_comes_when_told() -> None:
    for seed in range(20):
        regimes = schedule(random.Random(seed), 1_000, (5_000, 7_000))
        calm, first = next(regimes), next(regimes)
        assert (calm.kind, first.kind) == ("calm", "informed")
        assert 6_000 <= first.start_ms <= 8_000
        assert first.start_ms == calm.end_ms


def test_a_burst_is_a_thousand_updates_in_a_tenth_of_a_second() -> None:
    tested, bursts = market(2), 0
    actions = list(tested.step(300_000))
    for regime in tested.planted:
        if regime.kind == "burst" and regime.end_ms < 300_000:
            inside = [action for action in actions if regime.start_ms <= action.ms < regime.end_ms]
            assert regime.end_ms - regime.start_ms == 100
            assert sum(len(action.changes) for action in inside) >= 1_000
            bursts += 1
    assert bursts


def test_a_spoofed_wall_stands_away_from_the_touch_and_is_pulled_untraded() -> None:
    tested, now, walls = market(5), 0, 0
    while walls < 3:
        now += 5
        actions = list(tested.step(now))
        if not (tested.planted and tested.planted[-1].kind == "spoof" and tested.planted[-1].start_ms > now - 5):
            continue
        walls += 1
        side = "bid" if tested.planted[-1].side == "buy" else "ask"
        big = [
            change
            for action in actions
            for change in action.changes
            if change.side == side and change.lots > 20 * SPEC.typical_lots
        ]
        assert len(big) == 3
        later: list[Action] = []
        while tested.planted[-1].end_ms > now:
            now += 5
            later += tested.step(now)
        gone = {change.tick for action in later for change in action.changes if change.lots == 0}
        assert {change.tick for change in big} <= gone
        traded = {trade.tick for action in later if action.ms <= tested.planted[-1].end_ms for trade in action.trades}
        assert not traded & {change.tick for change in big}


def test_a_hole_opens_the_spread() -> None:
    tested, now, holes = market(4), 0, 0
    while holes < 2:
        now += 10
        list(tested.step(now))
        if tested.regime.kind == "hole" and tested.regime.start_ms > now - 10:
            (bid, _), (ask, _) = tested.touch
            assert ask - bid > 20 * SPEC.gap_ticks
            holes += 1


@pytest.mark.parametrize(("side", "best", "order"), [("bid", 12, [12, 11, 9]), ("ask", 9, [9, 11, 12])])
def test_a_ladder_keeps_its_best_first(side: str, best: int, order: list[int]) -> None:
    ladder = Ladder("bid" if side == "bid" else "ask")
    for tick in (11, 9, 12, 10):
        ladder.put(tick, 5)
    ladder.put(10, 0)
    ladder.put(11, 7)
    assert ladder.best == best
    assert ladder.levels() == [(tick, 7 if tick == 11 else 5) for tick in order]
    assert ladder.levels(0) == []
    assert ladder.tick_at(99) == order[-1]
