"""The proof of a book: both chains, every way to join, every way to lose it."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from imbalanced.book import Rows
from imbalanced.sync import (
    APPLIED,
    BUFFERED,
    BUFFERING,
    CROSSED,
    CROSSED_GRACE_NS,
    GAP,
    IDLE,
    IGNORED,
    LIVE,
    NO_OVERLAP,
    OLD_IS_RESET,
    OVERFLOW,
    PROVEN,
    RESET,
    STALE,
    STATES,
    BookSync,
)
from imbalanced.venues.codec import Chain, Continuity, Image
from imbalanced.venues.diff import Diff

PLUS_ONE = Continuity(chain=Chain.PLUS_ONE, offset=1)
PREVIOUS = Continuity(chain=Chain.PREVIOUS, offset=0, diffs_before_snapshot=2)
CHAINS = pytest.mark.parametrize("chain", [PLUS_ONE, PREVIOUS], ids=["plus one", "previous"])

Levels = list[tuple[int, float]]
FIRST_NS = 1_000_000_000


def rows_of(bids: Levels, asks: Levels) -> Rows:
    rows = Rows()
    for px, size in bids:
        rows.add(px, size)
    rows.end_bids()
    for px, size in asks:
        rows.add(px, size)
    return rows


def diff(
    first: int, last: int, bids: Levels | None = None, asks: Levels | None = None, prev: int | None = None
) -> Diff:
    """From ``first`` to ``last``, after ``prev`` (the id before ``first`` unless said otherwise)."""
    made = Diff(rows_of(bids or [], asks or []))
    made.symbol = "AAA"
    made.first_id, made.last_id = first, last
    made.prev_id = first - 1 if prev is None else prev
    return made


def image(last: int, bids: Levels | None = None, asks: Levels | None = None) -> Image:
    return Image(symbol="AAA", last_id=last, event_ns=0, rows=rows_of(bids or [(10, 1.0)], asks or [(20, 1.0)]))


def buffering(chain: Continuity = PLUS_ONE, limit: int = 10_000) -> BookSync:
    one = BookSync(chain, limit)
    one.begin()
    return one


def proven(chain: Continuity = PLUS_ONE) -> BookSync:
    """Joined and live at id 5."""
    one = buffering(chain)
    assert one.diff(diff(4, 5), FIRST_NS) == BUFFERED
    assert one.image(image(5)) == PROVEN
    assert one.diff(diff(6, 6), FIRST_NS) == APPLIED
    return one


# -- joining -----------------------------------------------------------------------------------------------------------


def test_idle_keeps_nothing_and_wants_nothing() -> None:
    one = BookSync(PLUS_ONE)
    assert one.state == IDLE
    assert STATES[one.state] == "idle"
    assert one.diff(diff(1, 1), FIRST_NS) == IGNORED
    assert one.image(image(1)) == IGNORED
    assert one.buffer == []


@CHAINS
def test_a_clean_join_applies_what_the_image_does_not_have(chain: Continuity) -> None:
    one = buffering(chain)
    for made in (diff(1, 3, [(10, 9.0)]), diff(4, 6, [(11, 4.0)]), diff(7, 8, [(12, 8.0)])):
        assert one.diff(made, FIRST_NS) == BUFFERED
        assert not one.book.live
    assert one.image(image(5, [(10, 5.0), (11, 5.0)])) == PROVEN
    assert (one.state, one.last_id, one.joined, bool(one.book.live)) == (LIVE, 8, True, True)
    # 1..3 is in the image; 4..6 overlaps it and has the later size; 7..8 is new.
    assert one.book.bids.levels(9) == [(12, 8.0), (11, 4.0), (10, 5.0)]
    assert one.buffer == []


@CHAINS
def test_an_image_older_than_the_buffer_is_stale_and_nothing_is_lost(chain: Continuity) -> None:
    one = buffering(chain)
    one.diff(diff(10, 12), FIRST_NS)
    assert one.image(image(5)) == STALE
    assert (one.state, len(one.buffer), bool(one.book.live)) == (BUFFERING, 1, False)
    assert one.diff(diff(13, 14), FIRST_NS) == BUFFERED
    assert one.image(image(11)) == PROVEN
    assert one.last_id == 14


@CHAINS
def test_an_image_newer_than_the_buffer_is_the_book_and_is_joined_later(chain: Continuity) -> None:
    one = buffering(chain)
    one.diff(diff(1, 3), FIRST_NS)
    assert one.image(image(9, [(10, 5.0)])) == PROVEN
    assert (one.state, one.last_id, one.joined) == (LIVE, 9, False)
    assert one.diff(diff(4, 6, [(10, 1.0)]), FIRST_NS) == IGNORED, "it is in the image"
    assert one.diff(diff(7, 11, [(10, 7.0)]), FIRST_NS) == APPLIED
    assert (one.last_id, one.joined, one.book.bids.size_at(10)) == (11, True, 7.0)
    assert one.diff(diff(12, 12), FIRST_NS) == APPLIED


@CHAINS
def test_an_image_without_any_diff_before_it(chain: Continuity) -> None:
    one = buffering(chain)
    assert one.image(image(9)) == PROVEN
    assert one.diff(diff(10, 11), FIRST_NS) == APPLIED
    assert one.joined


@CHAINS
def test_a_first_diff_that_does_not_overlap(chain: Continuity) -> None:
    one = buffering(chain)
    one.image(image(9))
    assert one.diff(diff(12, 13), FIRST_NS) == NO_OVERLAP
    assert (one.state, len(one.buffer), bool(one.book.live)) == (BUFFERING, 1, False)
    assert one.image(image(12)) == PROVEN, "the diff that broke is the first of the new buffer"
    assert one.last_id == 13


@CHAINS
@pytest.mark.parametrize("ignored", [False, True])
def test_a_gap_before_an_image_is_joined_is_a_gap(chain: Continuity, ignored: bool) -> None:
    one = buffering(chain)
    one.diff(diff(1, 4), FIRST_NS)
    one.image(image(9))
    if ignored:
        assert one.diff(diff(5, 6), FIRST_NS) == IGNORED
    # 7..10 was lost: 11..12 follows neither the image nor the diffs.
    assert one.diff(diff(11, 12), FIRST_NS) == GAP


def test_futures_join_by_the_previous_id_where_ids_jump() -> None:
    one = buffering(PREVIOUS)
    one.image(image(900))
    assert one.diff(diff(950, 990, prev=900), FIRST_NS) == APPLIED
    assert one.diff(diff(1020, 1050, prev=990), FIRST_NS) == APPLIED
    assert one.diff(diff(1051, 1060, prev=1049), FIRST_NS) == GAP


def test_the_edges_of_the_overlap_are_those_of_the_documentation() -> None:
    # Spot drops u <= L and wants U <= L + 1 <= u; futures drop u < L and want U <= L <= u.
    for chain, kept in ((PLUS_ONE, 0), (PREVIOUS, 1)):
        one = buffering(chain)
        one.image(image(9))
        assert one.diff(diff(8, 9), FIRST_NS) == (APPLIED if kept else IGNORED)


@CHAINS
def test_an_empty_new_listing_begins_with_whatever_comes(chain: Continuity) -> None:
    one = buffering(chain)
    assert one.image(Image(symbol="AAA", last_id=-1, event_ns=0, rows=Rows())) == PROVEN
    assert one.diff(diff(77, 80, [(10, 1.0)]), FIRST_NS) == APPLIED
    assert one.diff(diff(81, 81), FIRST_NS) == APPLIED
    assert one.diff(diff(83, 83), FIRST_NS) == GAP
    again = buffering(chain)
    again.diff(diff(5, 6, [(10, 1.0)]), FIRST_NS)
    assert again.image(Image(symbol="AAA", last_id=-1, event_ns=0, rows=Rows())) == PROVEN
    assert (again.last_id, again.joined) == (6, True)


# -- losing ------------------------------------------------------------------------------------------------------------


@CHAINS
def test_a_gap_is_said_at_the_very_diff_that_shows_it(chain: Continuity) -> None:
    one = proven(chain)
    assert one.diff(diff(8, 9), FIRST_NS) == GAP
    assert (one.state, bool(one.book.live), len(one.book.bids)) == (BUFFERING, False, 0)
    assert one.diff(diff(10, 11), FIRST_NS) == BUFFERED
    assert one.image(image(9)) == PROVEN
    assert one.last_id == 11


@CHAINS
def test_a_gap_keeps_the_rows_of_the_diff_that_shows_it(chain: Continuity) -> None:
    # A codec fills one diff again and again, and its rows are still those of the book's last change.
    one = proven(chain)
    again = diff(one.last_id + 1, one.last_id + 2, bids=[(9, 2.0)])
    assert one.diff(again, 1) == APPLIED
    again.first_id, again.last_id, again.prev_id = 20, 22, 19
    again.rows.clear()
    again.rows.add(8, 4.0)
    again.rows.end_bids()
    assert one.diff(again, 2) == GAP
    assert one.image(image(21)) == PROVEN
    assert one.book.bids.levels(5) == [(10, 1.0), (8, 4.0)]


@CHAINS
def test_a_gap_inside_the_buffer_starts_it_anew(chain: Continuity) -> None:
    one = buffering(chain)
    assert one.diff(diff(1, 2), FIRST_NS) == BUFFERED
    assert one.diff(diff(4, 5), FIRST_NS) == GAP
    assert [kept.first_id for kept in one.buffer] == [4]
    assert one.image(image(2)) == STALE, "3 is missing between this image and the buffer"
    assert one.image(image(4)) == PROVEN


@CHAINS
def test_duplicates_are_ignored_buffering_and_live(chain: Continuity) -> None:
    one = buffering(chain)
    one.diff(diff(1, 2), FIRST_NS)
    one.diff(diff(3, 4), FIRST_NS)
    assert one.diff(diff(1, 2), FIRST_NS) == IGNORED
    assert one.diff(diff(3, 4), FIRST_NS) == IGNORED
    one.image(image(4))
    one.diff(diff(5, 5, [(10, 5.0)]), FIRST_NS)
    assert one.diff(diff(3, 4, [(10, 4.0)]), FIRST_NS) == IGNORED
    assert (one.book.bids.size_at(10), one.last_id) == (5.0, 5)
    assert one.image(image(5)) == IGNORED, "nobody asked"


@CHAINS
def test_too_many_old_diffs_in_a_row_are_a_reset(chain: Continuity) -> None:
    one = proven(chain)
    for _ in range(OLD_IS_RESET - 1):
        assert one.diff(diff(1, 1), FIRST_NS) == IGNORED
    assert one.diff(diff(7, 7), FIRST_NS) == APPLIED, "the count begins anew with a diff that follows"
    for _ in range(OLD_IS_RESET - 1):
        assert one.diff(diff(1, 1), FIRST_NS) == IGNORED
    assert one.diff(diff(2, 2), FIRST_NS) == RESET
    assert one.state == BUFFERING
    assert one.diff(diff(3, 3), FIRST_NS) == BUFFERED
    assert one.image(image(3)) == PROVEN


@CHAINS
def test_they_are_so_while_buffering_as_well(chain: Continuity) -> None:
    """Else the buffer would stay as it is for ever, and every image of the new ids be stale."""
    one = buffering(chain)
    assert one.diff(diff(900, 901), FIRST_NS) == BUFFERED
    for last in range(1, OLD_IS_RESET):
        assert one.diff(diff(last, last), FIRST_NS) == IGNORED
    assert one.image(image(OLD_IS_RESET)) == STALE
    assert one.diff(diff(OLD_IS_RESET, OLD_IS_RESET), FIRST_NS) == RESET
    assert one.diff(diff(OLD_IS_RESET + 1, OLD_IS_RESET + 1), FIRST_NS) == BUFFERED
    assert one.image(image(OLD_IS_RESET)) == PROVEN
    assert one.last_id == OLD_IS_RESET + 1


def test_an_image_with_an_id_and_without_levels_proves_nothing() -> None:
    one = buffering()
    empty = Image(symbol="AAA", last_id=5, event_ns=0, rows=rows_of([], []))
    assert one.diff(diff(4, 5), FIRST_NS) == BUFFERED
    assert (one.image(empty), one.state, one.book.live) == (STALE, BUFFERING, False)
    assert one.image(image(5)) == PROVEN, "what was collected is still there"


def test_a_buffer_has_an_end() -> None:
    one = buffering(limit=3)
    for i in range(1, 4):
        assert one.diff(diff(i, i), FIRST_NS) == BUFFERED
    assert one.diff(diff(4, 4), FIRST_NS) == OVERFLOW
    assert (one.state, one.buffer) == (BUFFERING, [])


@CHAINS
def test_what_waits_for_a_late_image_keeps_its_newest_diffs_and_joins(chain: Continuity) -> None:
    sync = BookSync(chain)
    sync.begin()
    for number in range(1, 26):
        assert sync.diff(diff(number, number, bids=[(number, 1.0)]), FIRST_NS + number) == BUFFERED
        sync.keep(10)
        assert len(sync.buffer) < 20
    assert [one.last_id for one in sync.buffer] == list(range(11, 26))
    assert sync.image(Image(symbol="AAA", last_id=20, event_ns=0, rows=rows_of([(100, 1.0)], [(200, 1.0)]))) == PROVEN
    assert sync.last_id == 25
    assert sync.book.bids.levels(3) == [(100, 1.0), (25, 1.0), (24, 1.0)]


def test_a_crossed_book_has_a_moment_to_straighten() -> None:
    one = proven()
    crossed, straight = [(25, 1.0)], [(25, 0.0)]
    assert one.diff(diff(7, 7, crossed), FIRST_NS) == APPLIED
    assert not one.book.clean()
    assert one.diff(diff(8, 8, straight), FIRST_NS + CROSSED_GRACE_NS) == APPLIED
    assert one.crossed_since_ns == 0
    assert one.diff(diff(9, 9, crossed), FIRST_NS + CROSSED_GRACE_NS) == APPLIED
    assert one.diff(diff(10, 10), FIRST_NS + 2 * CROSSED_GRACE_NS) == APPLIED, "exactly the grace is within it"
    assert one.diff(diff(11, 11), FIRST_NS + 2 * CROSSED_GRACE_NS + 1) == CROSSED
    assert (one.state, bool(one.book.live), one.buffer) == (BUFFERING, False, [])


@CHAINS
def test_idle_and_begin_forget_everything(chain: Continuity) -> None:
    one = proven(chain)
    one.idle()
    assert (one.state, one.last_id, bool(one.book.live), len(one.book.bids)) == (IDLE, -1, False, 0)
    one.begin()
    assert one.diff(diff(100, 100), FIRST_NS) == BUFFERED


def test_the_usual_interval_is_learned_from_receive_times() -> None:
    one = proven()
    assert (one.interval_ns, one.longest_ns) == (0.0, 0.0)
    for i in range(100):
        one.diff(diff(7 + i, 7 + i), FIRST_NS + (i + 1) * 100)
    assert one.heard_count == 101
    assert one.interval_ns == pytest.approx(100, rel=0.05)
    assert one.longest_ns == 100
    one.diff(diff(107, 107), FIRST_NS + 100 * 100 + 5_000)
    assert one.longest_ns == 5_000


def test_a_buffered_diff_is_a_copy() -> None:
    one = buffering()
    made = diff(1, 1, [(10, 3.0)])
    one.diff(made, FIRST_NS)
    made.rows.clear()
    made.first_id = made.last_id = 99
    assert one.image(image(0)) == PROVEN
    assert (one.last_id, one.book.bids.size_at(10)) == (1, 3.0)


# -- the law -----------------------------------------------------------------------------------------------------------


class Truth(NamedTuple):
    """A venue: the diffs it sends and its whole book as of every id."""

    diffs: list[Diff]
    states: dict[int, tuple[dict[int, float], dict[int, float]]]


@st.composite
def truths(draw: st.DrawFn, chain: Continuity) -> Truth:
    """A true stream of single updates, cut into diffs; bids and asks stay apart, so it is never crossed."""
    bids, asks = dict[int, float](), dict[int, float]()
    states = {0: (dict(bids), dict(asks))}
    diffs: list[Diff] = []
    at = before = 0
    for _ in range(draw(st.integers(2, 14))):
        # Ids of futures jump between diffs; those of spot do not.
        at += draw(st.integers(0, 3)) if chain is PREVIOUS else 0
        for skipped in range(before + 1, at + 1):
            states[skipped] = (dict(bids), dict(asks))
        first, touched = at + 1, (dict[int, float](), dict[int, float]())
        for _ in range(draw(st.integers(1, 3))):
            at += 1
            side, px, size = draw(
                st.tuples(st.integers(0, 1), st.integers(1, 5), st.sampled_from([0.0, 1.0, 2.0, 3.0]))
            )
            px += 10 * side
            model = (bids, asks)[side]
            model.pop(px, None)
            if size:
                model[px] = size
            touched[side][px] = size
            states[at] = (dict(bids), dict(asks))
        diffs.append(diff(first, at, list(touched[0].items()), list(touched[1].items()), prev=before))
        before = at
    return Truth(diffs, states)


@pytest.mark.parametrize("chain", [PLUS_ONE, PREVIOUS], ids=["plus one", "previous"])
@settings(max_examples=150)
@given(data=st.data())
def test_a_live_book_is_the_venues_book_whatever_is_lost_or_repeated(chain: Continuity, data: st.DataObject) -> None:
    truth = data.draw(truths(chain))
    one = buffering(chain)
    recv_ns, lived = FIRST_NS, False
    for i, made in enumerate(truth.diffs):
        fate = data.draw(st.sampled_from(["sent", "sent", "sent", "sent", "lost", "twice", "old", "image", "image"]))
        arrivals = {"lost": [], "twice": [made, made], "old": [made, truth.diffs[i // 2]]}.get(fate, [made])
        for arrived in arrivals:
            recv_ns += 1
            one.diff(arrived, recv_ns)
            _the_law(one, truth)
        if fate == "image":
            # An image as old or as new as it may come: also from before what was lost, also ahead of the socket.
            last = data.draw(st.sampled_from(sorted(truth.states)))
            one.image(_image_of(truth, last))
            _the_law(one, truth)
        lived = lived or one.state == LIVE
    event("live" if lived else "never live")


def _image_of(truth: Truth, last: int) -> Image:
    bids, asks = truth.states[last]
    return Image(symbol="AAA", last_id=last, event_ns=0, rows=rows_of(list(bids.items()), list(asks.items())))


def _the_law(one: BookSync, truth: Truth) -> None:
    assert bool(one.book.live) == (one.state == LIVE)
    if one.state == LIVE:
        bids, asks = truth.states[one.last_id]
        assert (dict(one.book.bids.levels(99)), dict(one.book.asks.levels(99))) == (bids, asks)
    for before, after in zip(one.buffer, one.buffer[1:], strict=False):
        assert after.prev_id == before.last_id, "the buffer is contiguous at all times"
