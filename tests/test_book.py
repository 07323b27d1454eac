"""Ladders and books against the simplest model there is: a dict."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imbalanced.book import Book, Ladder, Rows

PRICES = st.integers(1, 40)
SIZES = st.sampled_from([0.0, 0.0, 0.1, 1.0, 2.5, 1e9])
ROWS = st.lists(st.tuples(PRICES, SIZES), max_size=25)


def rows_of(bids: list[tuple[int, float]], asks: list[tuple[int, float]], capacity: int = 4) -> Rows:
    rows = Rows(capacity)
    for px, size in bids:
        rows.add(px, size)
    rows.end_bids()
    for px, size in asks:
        rows.add(px, size)
    return rows


def best_first(model: dict[int, float], sign: int) -> list[tuple[int, float]]:
    return sorted(model.items(), key=lambda level: -sign * level[0])


def put(model: dict[int, float], px: int, size: float) -> float:
    old = model.pop(px, 0.0)
    if size > 0:
        model[px] = size
    return old


@pytest.mark.parametrize("sign", [1, -1])
@given(steps=st.lists(st.tuples(PRICES, SIZES), max_size=120))
def test_a_ladder_is_a_sorted_dict(sign: int, steps: list[tuple[int, float]]) -> None:
    ladder, model = Ladder(sign, 1), dict[int, float]()
    for px, size in steps:
        assert ladder.put(px, size) == put(model, px, size)
        assert len(ladder) == len(model)
    expected = best_first(model, sign)
    assert ladder.levels(1000) == expected
    assert ladder.levels(3) == expected[:3]
    assert [ladder.size_at(px) for px in range(42)] == [model.get(px, 0.0) for px in range(42)]
    for rank, (px, size) in enumerate(expected):
        assert (ladder.px_at(rank), ladder.size_of(rank)) == (px, size)
    for beyond in (-1, len(expected)):
        assert (ladder.px_at(beyond), ladder.size_of(beyond)) == (0, 0.0)


@pytest.mark.parametrize("sign", [1, -1])
def test_the_best_level_is_the_last_of_the_arrays(sign: int) -> None:
    ladder = Ladder(sign)
    for px in (5, 7, 3):
        ladder.put(px, 1.0)
    keys = [ladder.key[i] for i in range(len(ladder))]
    assert keys == sorted(keys)
    assert sign * keys[-1] == ladder.px_at(0) == (7 if sign > 0 else 3)


def test_a_ladder_grows_far_beyond_its_capacity_in_any_order() -> None:
    prices = [(i * 7919) % 5003 + 1 for i in range(5003)]
    ladder = Ladder(1, 2)
    for px in prices:
        ladder.put(px, float(px))
    assert ladder.levels(10_000) == [(px, float(px)) for px in range(5003, 0, -1)]
    # Every distance from the touch is found again: the search jumps outwards from the best level.
    assert all(ladder.size_at(px) == px for px in range(1, 5004))
    for px in prices:
        ladder.put(px, 0.0)
    assert len(ladder) == 0


@given(rows=ROWS, before=ROWS)
def test_fill_forgets_the_past_and_the_later_duplicate_wins(
    rows: list[tuple[int, float]], before: list[tuple[int, float]]
) -> None:
    for sign in (1, -1):
        ladder, model = Ladder(sign), dict[int, float]()
        for px, size in before:
            ladder.put(px, size)
        # A size of 0 is no level; whether it takes back an earlier row of the same image no venue says.
        sized = [(px, size) for px, size in rows if size > 0]
        for px, size in sized:
            put(model, px, size)
        ladder.fill(rows_of(sized, []), 0, len(sized))
        assert ladder.levels(1000) == best_first(model, sign)


@given(before=st.tuples(ROWS, ROWS), deltas=st.lists(st.tuples(ROWS, ROWS), max_size=6))
def test_apply_equals_the_model_and_keeps_the_sizes_before_each_row(
    before: tuple[list[tuple[int, float]], list[tuple[int, float]]],
    deltas: list[tuple[list[tuple[int, float]], list[tuple[int, float]]]],
) -> None:
    book, models = Book(), (dict[int, float](), dict[int, float]())
    for bids, asks in [before, *deltas]:
        rows = rows_of(bids, asks)
        book.apply(rows)
        old = [put(models[0], px, size) for px, size in bids] + [put(models[1], px, size) for px, size in asks]
        assert [rows.old[i] for i in range(rows.n)] == old
        assert (book.bids.levels(99), book.asks.levels(99)) == (best_first(models[0], 1), best_first(models[1], -1))
        assert (rows.bids(), rows.asks()) == (bids, asks)


@given(before=st.tuples(ROWS, ROWS), prices=st.sets(PRICES, max_size=10))
def test_a_delta_is_undone_by_the_sizes_before_it(
    before: tuple[list[tuple[int, float]], list[tuple[int, float]]], prices: set[int]
) -> None:
    book = Book()
    book.apply(rows_of(*before))
    expected = (book.bids.levels(99), book.asks.levels(99))
    rows = rows_of([(px, 7.0) for px in prices], [(px, 0.0) for px in prices])
    book.apply(rows)
    old = [rows.old[i] for i in range(rows.n)]
    book.apply(
        rows_of(list(zip(prices, old[: len(prices)], strict=True)), list(zip(prices, old[len(prices) :], strict=True)))
    )
    assert (book.bids.levels(99), book.asks.levels(99)) == expected


def test_rows_grow_and_their_copy_is_independent() -> None:
    rows = rows_of([(px, float(px)) for px in range(1, 101)], [(200, 1.0)], capacity=0)
    copy = rows.copy()
    rows.clear()
    rows.add(5, 5.0)
    assert (rows.n, rows.n_bids) == (1, 0)
    assert copy.bids() == [(px, float(px)) for px in range(1, 101)]
    assert copy.asks() == [(200, 1.0)]
    book = Book()
    book.apply(copy)
    assert (len(book.bids), len(book.asks)) == (100, 1)


def test_replace_is_the_whole_book_anew() -> None:
    book = Book()
    book.apply(rows_of([(1, 1.0), (2, 2.0)], [(9, 9.0)]))
    rows = rows_of([(3, 3.0)], [(5, 5.0), (4, 4.0)])
    book.replace(rows)
    assert (book.bids.levels(9), book.asks.levels(9)) == ([(3, 3.0)], [(4, 4.0), (5, 5.0)])
    assert book.rows is rows


@pytest.mark.parametrize(
    ("bids", "asks", "clean", "ok"),
    [
        ([(10, 1.0)], [(11, 1.0)], True, True),
        ([(10, 1.0)], [(10, 1.0)], True, True),  # locked is not crossed
        ([(11, 1.0)], [(10, 1.0)], False, False),
        ([], [(10, 1.0)], True, False),
        ([(10, 1.0)], [], True, False),
        ([], [], True, False),
    ],
)
def test_clean_and_ok(bids: list[tuple[int, float]], asks: list[tuple[int, float]], clean: bool, ok: bool) -> None:
    book = Book()
    book.replace(rows_of(bids, asks))
    assert not book.clean(), "a book that is not live is never clean"
    assert not book.ok()
    book.live = True
    assert (bool(book.clean()), bool(book.ok())) == (clean, ok)
    book.clear()
    assert not book.live
    assert len(book.bids) == len(book.asks) == book.rows.n == 0


@pytest.mark.parametrize("sign", [1, -1])
@given(levels=ROWS, depth=st.integers(0, 10))
def test_what_falls_out_of_a_depth_is_the_worst(sign: int, levels: list[tuple[int, float]], depth: int) -> None:
    ladder = Ladder(sign)
    for px, size in levels:
        ladder.put(px, size)
    best = ladder.levels(depth)
    ladder.truncate(depth)
    assert ladder.levels(99) == best


@given(before=st.tuples(ROWS, ROWS), after=st.tuples(ROWS, ROWS))
def test_the_changes_to_an_image_make_it(
    before: tuple[list[tuple[int, float]], list[tuple[int, float]]],
    after: tuple[list[tuple[int, float]], list[tuple[int, float]]],
) -> None:
    book, wanted = Book(), Book()
    book.replace(rows_of(*before))
    # An image has each price once and no empty levels.
    image = rows_of(*([(px, size) for px, size in dict(side).items() if size > 0] for side in after))
    wanted.replace(image)
    book.apply(book.changes_to(image))
    assert (book.bids.levels(99), book.asks.levels(99)) == (wanted.bids.levels(99), wanted.asks.levels(99))
    assert book.changes_to(image).n == 0, "what is the same is no change"
