"""Planted markets: the counting by plain values, a market that looks like one, and a seed from end to end."""

from __future__ import annotations

import random
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import planted  # noqa: E402 - the folder is no installed package
from benchmarks.planted import report, runs, score  # noqa: E402
from benchmarks.planted.__main__ import outcomes, seeds_of  # noqa: E402
from benchmarks.planted.effects import ALSO, CARRIED, SHOWS  # noqa: E402
from benchmarks.planted.plants import PLANTS  # noqa: E402
from benchmarks.planted.schedule import COUNTS, PAUSE_S, planned  # noqa: E402
from benchmarks.planted.score import Manner, Open, Truth  # noqa: E402
from benchmarks.planted.venue import VENUE, Seed  # noqa: E402
from imbalanced import tape  # noqa: E402
from imbalanced.detect import DETECTORS  # noqa: E402
from imbalanced.events import BookChanged, BookInvalid, BookValid, Trade  # noqa: E402
from imbalanced.pipeline import Pipeline  # noqa: E402
from imbalanced.replay import with_timers  # noqa: E402

if TYPE_CHECKING:
    from imbalanced.events import Frame

S = 1_000_000_000
FLOW = "order_flow_imbalance"
DEPTH = "market_depth_imbalance"
MANNER = Manner(horizon_ns=S, cooldown_ns=5 * S)


def event(kind: str, t0: float, t1: float, side: int = 1, instrument: str = "A") -> Truth:
    return Truth(kind, instrument, side, int(t0 * S), int(t1 * S))


def opened(t: float, side: int = 1, kind: str = FLOW, instrument: str = "A") -> Open:
    return Open(kind, instrument, side, int(t * S))


def counted(truths: list[Truth], opens: list[Open], kind: str = FLOW, manner: Manner = MANNER) -> tuple[int, int, int]:
    """Events, judged opens, hits."""
    tally = score.scored(truths, opens, {kind: manner})[kind]
    return tally.events, tally.opens, tally.hits


# -- counting ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("t", "hit"), [(9.999, 0), (10.0, 1), (13.0, 1), (15.0, 1), (15.001, 0)])
def test_an_event_may_be_found_from_its_begin_to_two_seconds_after_its_end(t: float, hit: int) -> None:
    assert counted([event("informed", 10, 13)], [opened(t)]) == (1, 1, hit)


def test_a_longer_horizon_widens_the_time() -> None:
    slow = Manner(horizon_ns=30 * S, cooldown_ns=0)
    depth = [opened(43, kind=DEPTH)]
    assert counted([event("depth", 10, 13)], depth, DEPTH, slow) == (1, 1, 1)
    assert counted([event("depth", 10, 13)], [opened(43.1, kind=DEPTH)], DEPTH, slow) == (1, 1, 0)


def test_the_wrong_side_and_another_instrument_are_false() -> None:
    truths = [event("informed", 10, 13)]
    assert counted(truths, [opened(11, side=-1)]) == (1, 1, 0)
    assert counted([event("depth", 10, 13, instrument="B")], [opened(11)]) == (0, 1, 0)


def test_each_event_and_each_open_counts_once_earliest_first() -> None:
    tally = score.scored([event("informed", 10, 13)], [opened(12), opened(11)], {FLOW: MANNER})[FLOW]
    assert (tally.events, tally.opens, tally.hits) == (1, 2, 1)
    assert tally.delays_s == [1.0]
    assert [one.t_ns for one in tally.false] == [12 * S]
    own = [event("volume_spike", 10, 13)]
    twice = [opened(11, kind="volume_spike"), opened(12, kind="volume_spike")]
    assert counted(own, twice, "volume_spike") == (1, 2, 1), (
        "the effect of an event is no excuse for a second open in it"
    )
    both = [event("informed", 10, 13, side=1), event("informed", 11, 14, side=-1)]
    assert counted(both, [opened(12, side=-1), opened(12.5)]) == (2, 2, 2)


def test_an_open_in_the_time_of_another_event_that_has_the_effect_is_not_judged() -> None:
    assert counted([event("sweep", 10, 10.1)], [opened(11)]) == (0, 0, 0)
    assert counted([event("sweep", 10, 10.1)], [opened(11, side=-1)]) == (0, 1, 0), "its effect has a side"
    assert counted([event("spoof", 10, 13)], [opened(11)]) == (0, 1, 0), "layers have none"


def test_what_carries_over_excuses_the_twin_and_what_does_not_does_not() -> None:
    assert counted([event("informed", 10, 13, instrument="B")], [opened(11)]) == (1, 0, 0)
    assert counted([event("spoof", 10, 13, instrument="B")], [opened(11)]) == (0, 1, 0)


def test_supply_and_demand_are_those_of_the_asset() -> None:
    kind = "supply_demand_imbalance"
    twin = [event("depth", 10, 13, instrument="B")]
    assert counted(twin, [opened(11, kind=kind)], kind) == (0, 0, 0)
    assert counted(twin, [opened(11, side=-1, kind=kind)], kind) == (0, 1, 0)
    assert counted([event("spoof", 10, 13, instrument="B")], [opened(11, kind=kind)], kind) == (0, 1, 0)


def test_events_closer_than_the_cooldown_are_one() -> None:
    near = [event("informed", 10, 13), event("informed", 17.9, 20)]
    assert counted(near, [opened(11), opened(18)]) == (1, 2, 1)
    far = [event("informed", 10, 13), event("informed", 18, 20)]
    assert counted(far, [opened(11), opened(18)]) == (2, 2, 2)
    assert counted([near[0], replace(near[1], side=-1)], []) == (2, 0, 0), "the cooldown is of one side"


def test_a_kind_without_side_is_found_whatever_moved() -> None:
    kind = "spread_shock"
    assert counted([event(kind, 10, 12, side=0)], [opened(11, side=0, kind=kind)], kind) == (1, 1, 1)


def test_recall_and_precision_are_unknown_without_events_or_opens() -> None:
    tally = score.Tally()
    assert (tally.recall, tally.precision) == (None, None)
    tally.add(score.Tally(events=4, opens=5, hits=3))
    assert (tally.recall, tally.precision) == (0.75, 0.6)


def test_spoofed_layers_are_quiet_by_side_and_silent_by_any() -> None:
    truths = [event("spoof", 10, 13), event("spoof", 40, 43), event("spoof", 80, 83)]
    manners = {FLOW: MANNER, DEPTH: Manner(5 * S, 0)}
    opens = [opened(11, kind=DEPTH), opened(47.9, side=-1, kind=DEPTH), opened(81, kind=FLOW)]
    assert score.spoofs(truths, opens, manners) == score.Spoofs(events=3, quiet=2, silent=1)


def test_calm_is_what_no_event_touches() -> None:
    truths = [event("informed", 10, 13), event("spoof", 990, 1100)]
    hours, count = score.calm(truths, [opened(11), opened(15), opened(100), opened(995)], (0, 1000 * S), 7 * S)
    assert (hours * 3600, count) == (pytest.approx(980.0), 1)


def test_every_planted_kind_says_what_it_is() -> None:
    assert set(SHOWS) == set(ALSO) == {*PLANTS, "supply"}
    assert set(COUNTS) == set(SHOWS)
    named = {kind for kinds in SHOWS.values() for kind in kinds} | {also.kind for row in ALSO.values() for also in row}
    assert set(DETECTORS) - named <= {
        "open_interest_imbalance",
        "funding_extreme",
    } | {kind for kind in DETECTORS if kind.startswith("liquidation")}, "a new kind has to be named in effects.py"
    assert "spoof" not in CARRIED


# -- the market --------------------------------------------------------------------------------------------------------


def frames(number: int, **more: object) -> list[Frame]:
    return list(Seed(number, **more).frames())  # type: ignore[arg-type]


def test_a_seed_gives_the_same_frames_and_another_seed_others() -> None:
    first = frames(1001, calm_s=3.0, counts={"spoof": 1})
    assert first == frames(1001, calm_s=3.0, counts={"spoof": 1})
    assert first != frames(1002, calm_s=3.0, counts={"spoof": 1})


def test_events_do_not_meet_and_all_are_planned() -> None:
    seed = Seed(1003)
    spans = sorted({(one.t0, one.t1, one.kind) for one in seed.events if one.kind != "supply"})
    assert all(before[1] + PAUSE_S[0] <= after[0] for before, after in pairwise(spans))
    assert spans[0][0] >= 720.0, "twelve minutes of calm come first"
    assert len(seed.events) == sum(COUNTS.values()) + COUNTS["supply"], "supply is on both instruments"
    assert max(one.t1 for one in seed.events) + 30 < seed.length_s


def test_planned_is_a_matter_of_the_dice() -> None:
    names = ("A", "B")
    once, again = (planned(random.Random(5), names)[0] for _ in range(2))
    assert once == again != planned(random.Random(6), names)[0]


@pytest.mark.parametrize("number", [1001, 1002, 1003])
def test_the_frames_prove_themselves_and_give_the_true_book(number: int) -> None:
    kinds = dict.fromkeys(COUNTS, 1)
    seed = Seed(number, calm_s=5.0, counts=kinds)
    pipeline = Pipeline(runs.configured())
    seen: dict[type, int] = {}
    for _, _, made in with_timers(seed.frames(), pipeline, own=False):
        for one in made:
            seen[type(one)] = seen.get(type(one), 0) + 1
    assert BookInvalid not in seen
    assert seen[BookValid] == 2
    assert seen[BookChanged] > seed.length_s * 15
    assert seen[Trade] > seed.length_s
    for teller in seed._tellers:
        book, true = pipeline.seats[VENUE, teller.listing.unified].lane.sync.book, teller.market.book
        for ladder, ours in ((true.bids, book.bids), (true.asks, book.asks)):
            levels = [(teller.listing.price(ladder.at(i)), ladder.lots(ladder.at(i))) for i in range(20)]
            unit = 10.0**-teller.listing.size_decimals
            found = [(f"{px / 1e8:.{teller.listing.price_decimals}f}", size / unit) for px, size in ours.levels(20)]
            assert [px for px, _ in found] == [px for px, _ in levels]
            assert [size for _, size in found] == pytest.approx([lots for _, lots in levels])


@pytest.mark.parametrize("number", [1004, 1005, 1006])
def test_the_calm_market_looks_like_a_market(number: int) -> None:
    """Bands around what recordings of a liquid perpetual show: order flow explains the same second and hardly the
    next, prices rest most of the time and move in jumps, the spread is narrow.
    """
    seed = Seed(number, calm_s=240.0, counts={})
    market = seed._tellers[0].market
    touches, mids, spreads = [], [], []
    batch = 0
    for frame in seed.frames():
        if frame.recv_ns // 100_000_000 != batch:
            batch = frame.recv_ns // 100_000_000
            book = market.book
            touches.append(
                (book.bids.best, book.bids.lots(book.bids.best), book.asks.best, book.asks.lots(book.asks.best))
            )
            mids.append(book.mid)
            spreads.append(book.spread)
    flow = np.array([_ofi(a, b) for a, b in pairwise(touches)])
    seconds = len(flow) // 10
    per_s, moves = flow[: seconds * 10].reshape(seconds, 10).sum(1), np.diff(np.array(mids)[: seconds * 10 + 1 : 10])
    assert 0.35 < np.corrcoef(per_s, moves)[0, 1] < 0.95
    assert -0.1 < np.corrcoef(per_s[:-1], moves[1:])[0, 1] < 0.35
    assert 0.01 < np.mean(np.diff(mids) != 0) < 0.25
    assert np.mean(np.array(spreads) <= 2 * market.profile.spread) > 0.9
    bps = moves * market.profile.tick_bps
    assert 0.1 < bps.std() < 1.5
    assert np.mean((bps / bps.std()) ** 4) > 4.5, "fat tails"


def _ofi(before: tuple[int, int, int, int], after: tuple[int, int, int, int]) -> int:
    """Of the best level (Cont, Kukanov & Stoikov 2014)."""
    bid, bid_lots, ask, ask_lots = after
    old_bid, old_bid_lots, old_ask, old_ask_lots = before
    up = (bid_lots if bid >= old_bid else 0) - (old_bid_lots if bid <= old_bid else 0)
    down = (ask_lots if ask <= old_ask else 0) - (old_ask_lots if ask >= old_ask else 0)
    return up - down


def test_every_plant_does_what_it_is_called() -> None:
    """Against the same market left alone: the sign of what it planted, without asking any detector."""
    moved = _mid_after("informed", "sweep")
    assert all(side * move > 0 for side, move in moved["informed"] + moved["sweep"])
    for kind in ("absorption", "volume_spike"):
        assert all(abs(move) < 4.0 for _, move in _mid_after(kind)[kind]), "basis points: the price is held"


def _mid_after(*kinds: str) -> dict[str, list[tuple[int, float]]]:
    """(side, move in bps from begin to end) of planted events."""
    found: dict[str, list[tuple[int, float]]] = {kind: [] for kind in kinds}
    for number in (1001, 1002, 1003):
        seed = Seed(number, calm_s=10.0, counts=dict.fromkeys(kinds, 2))
        markets = {teller.listing.unified: teller.market for teller in seed._tellers}
        mids: dict[int, list[float]] = {}
        for _ in seed.frames():
            for i, one in enumerate(seed.events):
                market = markets[one.instrument]
                if one.t0 - 0.2 <= market.t <= one.t1 + 0.2:
                    mids.setdefault(i, []).append(market.book.mid)
        for i, one in enumerate(seed.events):
            found[one.kind].append((one.side, (mids[i][-1] / mids[i][0] - 1) * 1e4))
    return found


# -- from end to end ---------------------------------------------------------------------------------------------------


def test_a_short_seed_from_end_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "Seed", lambda number: Seed(number, calm_s=90.0, counts={"informed": 2, "spoof": 1}))
    play = runs.played(1001, [(), ("all",)], tapes=tmp_path)
    assert set(play.outcomes) == {"", "all"}
    assert play.outcomes[""].gaps == 0
    assert not play.outcomes["all"].suppressed
    manners = runs.manners(runs.configured())
    told = report.told([play], manners, "all")
    assert {"events", "opens", "hits", "recall", "precision"} <= set(told["kinds"]["aggressive_order_flow"])
    assert told["kinds"]["aggressive_order_flow"]["events"] == 2
    assert told["kinds"]["aggressive_order_flow"]["hits"] >= 1, "a market with the wind in its back"
    assert set(told["spoof"]) >= {"quiet_with_filter", "quiet_without_filter"}
    assert told["seeds"] == [1001]
    text = report.printed(told)
    assert "aggressive_order_flow" in text
    assert "BOOKS LOST" not in text
    recorded = list(tape.read(tmp_path / "planted-1001.jsonl.gz"))
    assert {frame.kind for frame in recorded} == {"ws", "http"}
    again = runs.passed(recorded, runs.configured(), listed=False)
    assert again.gaps == 0
    assert {one.instrument for one in again.opens} <= {"CCCUSDT", "CCCUSDC"}


def test_seeds_are_ranges_and_lists() -> None:
    assert seeds_of("1..3") == [1, 2, 3]
    assert seeds_of("7") == [7]
    assert seeds_of("5,9") == [5, 9]


def test_tuning_seeds_are_never_reporting_seeds() -> None:
    assert not set(planted.TUNING) & set(planted.REPORTING)


def refuse(seed: int) -> runs.Played:
    """A worker that fails at its second seed."""
    if seed == 2:
        raise ValueError(f"seed {seed}")
    return runs.Played(seed, "", [], ("", ""), (0, 0), {})


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_seed_that_fails_ends_the_run_with_its_error(jobs: int) -> None:
    assert [play.seed for play in outcomes(refuse, [1, 3], jobs)] == [1, 3]
    with pytest.raises(ValueError, match="seed 2"):
        list(outcomes(refuse, [1, 2, 3, 4], jobs))
