"""The true book: what is told of it adds up to it, and the truth is in the product's units."""

from __future__ import annotations

import random

import pytest

from imbalanced.sim import SIMS
from imbalanced.sim.wire import Image, Listing, Wire, gone_first, one_by_one
from imbalanced.sim.worlds import DRAWN
from imbalanced.sim.worlds.books import TrueBook, Truth, instrument

LISTING = Listing("BTCUSDT", "BTC/USDT:USDT", "BTC", "USDT", 5, 1, 1, 3, 60_000)


def book(seed: int, wire: Wire | None = None, listing: Listing = LISTING, levels: int = 9) -> TrueBook:
    return TrueBook("somewhere", listing, wire or Wire(), levels, random.Random(seed))


def told(image: Image) -> tuple[dict[int, int], dict[int, int]]:
    return dict(image.bids), dict(image.asks)


def apply(side: dict[int, int], tick: int, lots: int) -> None:
    if lots:
        side[tick] = lots
    else:
        side.pop(tick, None)


@pytest.mark.parametrize("seed", range(20))
def test_what_is_told_adds_up_to_the_book(seed: int) -> None:
    one = book(seed)
    rng = random.Random(seed)
    follower = told(one.image())
    for ms in range(1, 200):
        for _ in range(rng.randint(0, 3)):
            one.move()
        if rng.random() < 0.1:
            one.cross()
        if rng.random() < 0.2:
            one.uncross()
        turn = one.turn(ms)
        by_changes = told(Image(0, 0, [*follower[0].items()], [*follower[1].items()]))
        for change in turn.changes:
            apply(by_changes[0] if change.side == "bid" else by_changes[1], change.tick, change.lots)
        for side, touched in zip(follower, (turn.bids, turn.asks), strict=True):
            for level in touched:
                assert side.get(level.tick, 0) == level.was
                apply(side, level.tick, level.lots)
        assert follower == by_changes == (one.bids, one.asks)
        assert 1 <= max(map(len, follower)) <= 9, "no larger than the proof"


@pytest.mark.parametrize("seed", range(5))
def test_ids_follow_each_other_and_every_message_has_a_truth(seed: int) -> None:
    one = book(seed)
    last_id, written, number = one.last_id, one.written, one.number
    for ms in range(1, 100):
        one.move()
        turn = one.turn(ms)
        assert (turn.previous_id, turn.previous_written) == (last_id, written)
        assert turn.batch().first_id == last_id + 1
        assert turn.last_id == last_id + len(turn.changes)
        last_id, written, number = turn.last_id, turn.written, number + 1
        assert turn.number == number
        assert one.as_of[turn.written] == one.as_of[turn.number] == one.as_of[turn.ms]


def test_a_snapshot_is_of_this_moment_and_an_image_of_the_last_turn() -> None:
    one = book(1)
    one.turn(1)
    while not one.changed:
        one.move()
    snapshot = one.snapshot()
    assert told(snapshot) == (one.bids, one.asks)
    assert snapshot.last_id == one.last_id > one.told_id


def test_lives_of_a_venue_never_meet() -> None:
    one = book(3)
    seen: set[int] = set()
    for _ in range(10):
        one.restart()
        for ms in range(20):
            one.move()
            one.turn(ms)
        assert not seen & {one.last_id, one.number}
        seen |= set(one.as_of)


def test_counters_begin_again_once() -> None:
    one = book(4)
    assert one.begin_again()
    assert one.turn(1).number == 1
    assert not one.begin_again(), "a second time nobody could tell 2 from 2"


def test_lower_ids_still_name_the_one_before() -> None:
    one = book(5)
    before = one.turn(1).written
    one.lower_ids()
    one.move()
    turn = one.turn(2)
    assert turn.previous_written == before
    assert turn.written < before


def test_the_truth_is_in_units_of_the_product() -> None:
    linear = book(1, listing=Listing("X", "X/Y:Y", "X", "Y", 5, 1, 10, 2, 1_000, contract="0.01"))
    tick, lots = max(linear.bids.items())
    px, size = linear.as_of[linear.written].bids[0]
    assert px == tick * 5 * 10**7, "price in 10**-8"
    assert size == pytest.approx(lots * 0.10 * 0.01)
    inverse = book(1, listing=Listing("X", "X/Y:X", "X", "Y", 5, 1, 10, 0, 1_000, contract_size=100))
    assert inverse.instrument.contract_size == 10.0, "quote units of a wire size of 1"
    tick, lots = max(inverse.bids.items())
    assert inverse.as_of[inverse.written].bids[0][1] == pytest.approx(lots * 100 / (tick * 0.5))


@pytest.mark.parametrize("venue", DRAWN)
def test_instruments_are_as_the_venue_lists_them(venue: str) -> None:
    (listing,) = SIMS[venue].listings(["BTC/USDT"])
    made = instrument(venue, listing)
    assert (made.venue, made.venue_symbol, made.symbol) == (venue, listing.symbol, listing.unified)
    assert made.contract_size > 0


def follows(truth: Truth, level: tuple[str, int, float]) -> Truth:
    """A truth with one level set."""
    side, px, size = level
    sides = {"bid": dict(truth.bids), "ask": dict(truth.asks)}
    sides[side].pop(px, None)
    if size:
        sides[side][px] = size
    return Truth(sorted(sides["bid"].items(), reverse=True), sorted(sides["ask"].items()))


@pytest.mark.parametrize("counted", [True, False])
@pytest.mark.parametrize("seed", range(5))
def test_levels_that_are_told_one_by_one_have_a_truth_each(seed: int, counted: bool) -> None:
    wire = Wire()
    wire.level_frames, wire.counts_levels = True, counted
    one, rng = book(seed, wire), random.Random(seed)
    keys: set[int] = set()
    for ms in range(1, 100):
        before, number = one.as_of[one.written], one.number
        for _ in range(rng.randint(1, 4)):
            one.move()
        turn = one.turn(ms)
        told = one_by_one(turn.bids, turn.asks)
        assert len(turn.steps) == len(told)
        for key, (side, touched) in zip(turn.steps, told, strict=True):
            px, size = one._of_product((touched.tick, touched.lots))
            before = follows(before, (side, px, size))
            assert one.as_of[key] == before
        assert before == one.as_of[turn.written]
        assert not keys & set(turn.steps), "no two frames have one key"
        keys |= set(turn.steps)
        if counted:
            assert list(turn.steps) == [*range(number + 1, one.number + 1)], "its own number"
        else:
            assert max(turn.steps, default=-2) < -1, "which no id of a venue is"


@pytest.mark.parametrize("seed", range(5))
def test_orders_that_are_told_one_by_one_have_a_truth_each(seed: int) -> None:
    rng = random.Random(seed)
    one = TrueBook("somewhere", LISTING, Wire(), 8, random.Random(seed), by_order=True)
    known = {order.id: order for side in (one.resting().bids, one.resting().asks) for order in side}
    for ms in range(1, 100):
        for _ in range(rng.randint(1, 4)):
            one.move()
        if rng.random() < 0.02:
            one.restart()
            known = {order.id: order for side in (one.resting().bids, one.resting().asks) for order in side}
            continue
        turn = one.turn(ms)
        told = gone_first(turn.orders.orders if turn.orders is not None else ())
        for key, order in zip(turn.steps, told, strict=True):
            known[order.id] = order
            sums: dict[int, int] = {}
            for resting in known.values():
                if resting.side == order.side:
                    sums[resting.tick] = sums.get(resting.tick, 0) + resting.lots
            levels = [one._of_product(level) for level in sums.items() if level[1]]
            truth = one.as_of[key]
            assert (truth.bids if order.side == "bid" else truth.asks) == sorted(levels, reverse=order.side == "bid")
        assert {order.id for order in known.values() if order.lots} == {
            order.id for side in (one.resting().bids, one.resting().asks) for order in side
        }


def test_orders_of_two_lives_never_meet() -> None:
    one = TrueBook("somewhere", LISTING, Wire(), 8, random.Random(1), by_order=True)
    before = {order.id for order in one.resting().bids}
    one.restart()
    assert not before & {order.id for order in one.resting().bids}
