"""Cohorts of added volume: what became of each, against a naive recomputation, and volume that is conserved."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imbalanced.book import Book, Rows
from imbalanced.detect.cohorts import Cohorts

MS = 1_000_000
S = 1_000 * MS
T = 1_700_000_000 * S
KEEP_MS, EARLY_MS, MATCH_NS = 2_000, 500, 250 * MS
MID = 1_000_000
# Four prices a side around the mid, all within reach.
PRICES = {1: [MID - 10 * i for i in range(1, 5)], -1: [MID + 10 * i for i in range(1, 5)]}


class Market:
    """A book that is changed level by level, and the cohorts that watch it."""

    def __init__(self, keep_ms: int = KEEP_MS) -> None:
        self.book = Book()
        self.book.live = True
        self.cohorts = Cohorts(keep_ms, EARLY_MS)
        self.now_ns = T
        rows = Rows()
        rows.add(MID - 100, 1.0)
        rows.end_bids()
        rows.add(MID + 100, 1.0)
        self.book.replace(rows)
        self.cohorts.book_replaced(self.book, T)

    def at(self, seconds: float) -> Market:
        self.now_ns = T + round(seconds * 1e9)
        return self

    def size(self, px: int) -> float:
        return self.book.bids.size_at(px) if px < MID else self.book.asks.size_at(px)

    def delta(self, *levels: tuple[int, float]) -> Market:
        rows = Rows()
        for px, size in levels:
            if px < MID:
                rows.add(px, size)
        rows.end_bids()
        for px, size in levels:
            if px > MID:
                rows.add(px, size)
        self.book.apply(rows)
        self.cohorts.book_changed(self.book, self.now_ns)
        return self

    def trade(self, px: int, size: float) -> Market:
        """A taker at this price: sellers hit bids."""
        self.cohorts.trade(px, size, -1 if px < MID else 1, self.now_ns)
        return self

    def young(self, px: int, seconds: float) -> float:
        return self.cohorts.young_at(px if px < MID else -px, round(seconds * 1e9))


BID, ASK = PRICES[1][0], PRICES[-1][0]


def test_what_came_is_young_and_ages() -> None:
    market = Market().at(1).delta((BID, 5.0)).at(1.3).delta((BID, 8.0))
    assert market.young(BID, 0.2) == 3.0
    assert market.young(BID, 0.3) == 8.0, "that long ago is included"
    market.at(1.8).cohorts.clock(market.book, market.now_ns)
    assert market.young(BID, 0.5) == 3.0
    market.at(4).cohorts.clock(market.book, market.now_ns)
    assert market.young(BID, 2.0) == 0.0
    assert market.size(BID) == 8.0


def test_a_cancellation_takes_the_newest() -> None:
    market = Market().at(1).delta((BID, 5.0)).at(1.5).delta((BID, 8.0)).at(1.6).delta((BID, 6.0))
    assert market.young(BID, 0.2) == 1.0
    assert market.young(BID, 1) == 6.0
    market.delta((BID, 4.0))
    assert market.young(BID, 0.2) == 0.0
    assert market.young(BID, 1) == 4.0
    assert market.cohorts.cancelled(1) == 4.0
    assert market.cohorts.cancelled(-1) == 0.0


@pytest.mark.parametrize("first", ["trade", "delta"])
def test_a_trade_takes_the_oldest_whatever_is_seen_first(first: str) -> None:
    market = Market().at(1).delta((ASK, 5.0)).at(1.5).delta((ASK, 8.0)).at(1.6)
    if first == "trade":
        market.trade(ASK, 4.0).delta((ASK, 4.0))
    else:
        market.delta((ASK, 4.0)).trade(ASK, 4.0)
    assert market.young(ASK, 0.2) == 3.0
    assert market.young(ASK, 1) == 4.0
    assert market.cohorts.cancelled(-1) == 0.0
    assert market.cohorts.taken(1, T) == 4.0
    assert market.cohorts.taken(-1, T) == 0.0
    assert market.cohorts.flicker(-1, 5 * S) == 0.0, "it was no cancellation, so nothing has flickered"


def test_a_trade_that_comes_too_late_explains_nothing() -> None:
    market = Market().at(1).delta((BID, 5.0)).at(1.2).delta((BID, 1.0)).at(1.5).trade(BID, 4.0)
    assert market.cohorts.cancelled(1) == 4.0


def test_flicker_is_the_share_that_left_at_once() -> None:
    market = Market().at(1).delta((BID, 4.0), (ASK, 4.0)).at(1.4).delta((BID, 1.0)).at(2).delta((ASK, 1.0))
    assert market.cohorts.flicker(1, 5 * S) == 0.75
    assert market.cohorts.flicker(-1, 5 * S) == 0.0, "after a second that is an ordinary cancellation"
    assert market.cohorts.flicker(1, MS) != market.cohorts.flicker(1, MS), "nothing was added lately"


def test_only_the_best_five_levels_flicker() -> None:
    market = Market(10_000).at(1)
    market.delta(*((MID - 10 * i, 1.0) for i in range(1, 7)))
    market.at(1.1).delta((MID - 60, 0.0))
    assert market.cohorts.flicker(1, 5 * S) == 0.0
    market.delta((MID - 10, 0.0))
    assert market.cohorts.flicker(1, 5 * S) == 0.2


def test_a_slow_venue_has_three_batches() -> None:
    market = Market(10_000)
    for i in range(70):
        market.at(i).delta((BID, 1.0 + i))
    market.at(70).delta((BID, 1.0))
    assert market.cohorts.early_ns == 3 * S
    market = Market()
    for i in range(70):
        market.at(i / 10).delta((BID, 1.0 + i))
    assert market.cohorts.early_ns == EARLY_MS * MS


def test_lifetime_is_weighted_by_volume() -> None:
    market = Market(10_000).at(1).delta((BID, 10.0)).at(2).delta((BID, 12.0))
    market.at(2.2).delta((BID, 10.0)).at(3).delta((BID, 1.0))
    assert market.cohorts.lifetime_ms(1) == pytest.approx(2000)
    assert market.cohorts.lifetime_ms(-1) is None


def test_what_stood_before_is_old() -> None:
    market = Market().at(0.1).delta((MID - 100, 0.5))
    assert market.cohorts.lifetime_ms(1) == KEEP_MS
    assert market.young(MID - 100, 2) == 0.0


def test_depth_far_away_is_not_followed() -> None:
    far = MID - MID // 100
    market = Market().at(1).delta(*((MID - 10 * i, 1.0) for i in range(1, 21)), (far, 50.0)).at(1.1).delta((far, 0.0))
    assert market.cohorts.cancelled(1) == 0.0
    assert market.young(far, 1) == 0.0


def test_a_new_book_has_no_past() -> None:
    market = Market().at(1).delta((BID, 5.0)).at(1.1).delta((BID, 1.0))
    market.cohorts.book_invalid(market.now_ns)
    assert market.cohorts.cancelled(1) == 0.0
    market.cohorts.book_replaced(market.book, market.now_ns)
    assert market.young(BID, 1) == 0.0


def test_weigh_is_price_times_size_of_the_levels_in_the_band() -> None:
    market = Market().at(1).delta((BID, 5.0), (MID - 40, 7.0), (ASK, 2.0))
    market.cohorts.weigh(S, BID, -ASK)
    assert market.cohorts.young_bid == BID * 5.0
    assert market.cohorts.young_ask == ASK * 2.0
    market.cohorts.weigh(S, MID - 40, -ASK + 1)
    assert market.cohorts.young_bid == BID * 5.0 + (MID - 40) * 7.0
    assert market.cohorts.young_ask == 0.0


# -- against a naive recomputation -------------------------------------------------------------------------------------


@dataclass
class Cohort:
    t_ns: int
    size: float
    left: float
    early: float = 0.0


@dataclass
class Cancel:
    t_ns: int
    px: int
    amount: float
    cohort: Cohort | None  # None: of volume older than the memory
    age_ns: int


@dataclass
class Naive:
    """Every cohort and every cancellation for ever, in plain lists."""

    levels: dict[int, list[Cohort]] = field(default_factory=dict)
    cancels: list[Cancel] = field(default_factory=list)
    trades: list[list[float]] = field(default_factory=list)  # [t, px, left]

    def young_ones(self, px: int, now_ns: int, age_ns: int = KEEP_MS * MS) -> list[Cohort]:
        return [one for one in self.levels.get(px, []) if one.t_ns >= now_ns - age_ns]

    def change(self, px: int, old: float, new: float, now_ns: int) -> None:
        if new > old:
            self.levels.setdefault(px, []).append(Cohort(now_ns, new - old, new - old))
            return
        left = old - new
        for trade in self.trades:
            if trade[1] == px and trade[0] >= now_ns - MATCH_NS:
                used = min(left, trade[2])
                trade[2] -= used
                left -= used
        for one in reversed(self.young_ones(px, now_ns)):
            used = min(left, one.left)
            if used > 0:
                one.left -= used
                left -= used
                age_ns = now_ns - one.t_ns
                one.early += used if age_ns <= EARLY_MS * MS else 0.0
                self.cancels.append(Cancel(now_ns, px, used, one, age_ns))
        if left > 0:
            self.cancels.append(Cancel(now_ns, px, left, None, KEEP_MS * MS))
        self.fit(px, new, now_ns)

    def fit(self, px: int, size: float, now_ns: int) -> None:
        """Trades took the oldest."""
        young = self.young_ones(px, now_ns)
        beyond = sum(one.left for one in young) - size
        for one in young:
            used = min(max(beyond, 0.0), one.left)
            one.left -= used
            beyond -= used

    def trade(self, px: int, size: float, level: float, now_ns: int) -> None:
        left = size
        for one in self.cancels:
            if one.px == px and one.t_ns >= now_ns - MATCH_NS:
                used = min(left, one.amount)
                left -= used
                one.amount -= used
                if one.cohort is not None and one.cohort.t_ns >= now_ns - KEEP_MS * MS:
                    one.cohort.left += used
                    if one.age_ns <= EARLY_MS * MS:
                        one.cohort.early -= used
        if left > 0:
            self.trades.append([now_ns, px, left])
        self.fit(px, level, now_ns)

    def flicker(self, side: int, now_ns: int, window_ns: int) -> float | None:
        ones = [one for px in PRICES[side] for one in self.young_ones(px, now_ns, window_ns)]
        added = sum(one.size for one in ones)
        return sum(one.early for one in ones) / added if added else None

    def lifetime_ms(self, side: int, now_ns: int) -> float | None:
        lives = [
            one.age_ns / MS
            for one in self.cancels
            if one.px in PRICES[side] and one.t_ns >= now_ns - KEEP_MS * MS
            for _ in range(round(one.amount))
        ]
        return sorted(lives)[(len(lives) - 1) // 2] if lives else None


steps = st.lists(
    st.tuples(
        st.sampled_from((0, 50, 100, 240, 250, 300, 900)),  # ms until then
        st.booleans(),  # a trade, else a delta
        st.sampled_from((1, -1)),
        st.integers(0, 3),  # which level
        st.integers(0, 6),  # its new size, or that of the trade
    ),
    max_size=60,
)


@given(steps)
@settings(max_examples=300, deadline=None)
def test_the_memory_is_that_of_plain_lists(steps: list[tuple[int, bool, int, int, int]]) -> None:
    market, naive = Market(), Naive()
    for wait_ms, is_trade, side, level, size in steps:
        market.now_ns += wait_ms * MS
        px = PRICES[side][level]
        if is_trade and size:
            market.trade(px, float(size))
            naive.trade(px, float(size), market.size(px), market.now_ns)
        elif not is_trade:
            naive.change(px, market.size(px), float(size), market.now_ns)
            market.delta((px, float(size)))
        else:
            market.cohorts.clock(market.book, market.now_ns)
        for place in (*PRICES[1], *PRICES[-1]):
            for seconds in (0.1, 0.5, 2.0):
                expected = sum(one.left for one in naive.young_ones(place, market.now_ns, round(seconds * 1e9)))
                assert market.young(place, seconds) == pytest.approx(expected)
                assert 0 <= market.young(place, seconds) <= market.size(place)
        for way in (1, -1):
            share = naive.flicker(way, market.now_ns, S)
            told = market.cohorts.flicker(way, S)
            assert told == pytest.approx(share) if share is not None else told != told
            assert market.cohorts.lifetime_ms(way) == naive.lifetime_ms(way, market.now_ns)


@given(steps)
@settings(max_examples=200, deadline=None)
def test_volume_is_conserved(steps: list[tuple[int, bool, int, int, int]]) -> None:
    """What was added is alive, was traded or was cancelled. The memory is longer than the story here."""
    market = Market(3_600_000)
    added = dict.fromkeys((*PRICES[1], *PRICES[-1]), 0.0)
    removed = dict(added)
    for wait_ms, is_trade, side, level, size in steps:
        market.now_ns += wait_ms * MS
        px = PRICES[side][level]
        if is_trade:
            if size:
                market.trade(px, float(size))
        else:
            change = size - market.size(px)
            added[px] += max(change, 0.0)
            removed[px] += max(-change, 0.0)
            market.delta((px, float(size)))
    for px in added:
        key = px if px < MID else -px
        cancelled = market.cohorts.cancelled_at(key, 0)
        traded = removed[px] - cancelled
        alive = market.cohorts.young_at(key, 3_600 * S)
        assert added[px] == pytest.approx(alive + traded + cancelled)
        assert 0 <= cancelled <= removed[px]
        assert traded <= market.cohorts.taken(1 if px > MID else -1, 0) + 1e-9


@given(steps)
@settings(max_examples=100, deadline=None)
def test_the_mirrored_market_has_the_mirrored_memory(steps: list[tuple[int, bool, int, int, int]]) -> None:
    market, mirror = Market(), Market()
    for wait_ms, is_trade, side, level, size in steps:
        for one, way in ((market, side), (mirror, -side)):
            one.now_ns += wait_ms * MS
            px = PRICES[way][level]
            if is_trade:
                if size:
                    one.trade(px, float(size))
            else:
                one.delta((px, float(size)))
    for way in (1, -1):
        assert [market.young(px, 0.5) for px in PRICES[way]] == [mirror.young(px, 0.5) for px in PRICES[-way]]
        assert market.cohorts.cancelled(way) == mirror.cohorts.cancelled(-way)
        assert market.cohorts.lifetime_ms(way) == mirror.cohorts.lifetime_ms(-way)


def test_the_median_of_intervals_is_the_batch() -> None:
    gaps = [0.1] * 40 + [5.0] * 30
    market = Market(10_000)
    seconds = 0.0
    for gap in gaps:
        seconds += gap
        market.at(seconds).delta((BID, seconds))
    assert market.cohorts.early_ns == max(EARLY_MS * MS, round(3 * median(gaps[:63]) * 1e9))
