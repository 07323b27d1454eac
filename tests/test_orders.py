"""The orders of a book against what one would count by hand: any events, the same levels, and nothing left behind."""

from __future__ import annotations

from decimal import Decimal, Inexact
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imbalanced import sync
from imbalanced.book import Book, Rows
from imbalanced.orders import Act, OrderChange, Orders
from imbalanced.sync import BookSync
from imbalanced.venues.codec import Chain, Continuity, Image, Source
from imbalanced.venues.diff import Diff

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imbalanced.orders import OrderId

PUT, AMEND, FILL, REMOVE = Act.PUT, Act.AMEND, Act.FILL, Act.REMOVE


def put(order_id: OrderId, place: int, size: str) -> OrderChange:
    """An order at ``place``: a bid at a positive price, an ask at a negative one."""
    return OrderChange(PUT, order_id, 1 if place > 0 else -1, abs(place), Decimal(size))


def told(rows: Rows) -> tuple[list[tuple[int, float]], list[tuple[int, float]]]:
    return rows.bids(), rows.asks()


def test_a_level_is_the_sum_of_its_orders() -> None:
    orders = Orders()
    assert told(orders.apply([put(1, 100, "0.1"), put(2, 100, "0.2"), put(3, -101, "7")])) == (
        [(100, 0.3)],
        [(101, 7.0)],
    )
    assert told(orders.apply([put(4, 99, "1")])) == ([(99, 1.0)], []), "only what differs"


def test_no_dust_is_left_of_a_level() -> None:
    """In floats 0.1 + 0.2 - 0.3 is 5.6e-17: a level that nobody quotes."""
    orders = Orders()
    orders.apply([put(1, 100, "0.1"), put(2, 100, "0.2")])
    assert told(orders.apply([OrderChange(REMOVE, 2)])) == ([(100, 0.1)], [])
    assert told(orders.apply([OrderChange(FILL, 1, size=Decimal("0.1"))])) == ([(100, 0.0)], [])
    assert len(orders) == 0


def test_each_act() -> None:
    orders = Orders()
    orders.apply([put(1, 100, "5")])
    assert told(orders.apply([put(1, 99, "4")])) == ([(100, 0.0), (99, 4.0)], []), "an order may move"
    assert told(orders.apply([put(1, -103, "4")])) == ([(99, 0.0)], [(103, 4.0)]), "and change its side"
    assert told(orders.apply([OrderChange(AMEND, 1, size=Decimal(3))])) == ([], [(103, 3.0)])
    assert told(orders.apply([OrderChange(AMEND, 1, px=104, size=Decimal(2))])) == ([], [(103, 0.0), (104, 2.0)])
    assert told(orders.apply([OrderChange(FILL, 1, size=Decimal("0.5"))])) == ([], [(104, 1.5)])
    assert told(orders.apply([OrderChange(FILL, 1, size=Decimal(9))])) == ([], [(104, 0.0)]), "never below nothing"


@pytest.mark.parametrize("act", [AMEND, FILL, REMOVE])
def test_an_order_that_never_rested_changes_nothing(act: Act) -> None:
    orders = Orders()
    orders.apply([put(1, 100, "5")])
    assert orders.apply([OrderChange(act, 2, 1, 100, Decimal(1))]).n == 0
    assert [(one.order_id, one.size) for one in orders.resting(1, 9)] == [(1, Decimal(5))]


def test_what_cancels_out_in_one_message_is_no_change() -> None:
    orders = Orders()
    orders.apply([put(1, 100, "5")])
    assert orders.apply([put(2, 100, "5"), OrderChange(REMOVE, 1)]).n == 0
    assert orders.apply([put(3, 98, "5"), OrderChange(REMOVE, 3)]).n == 0


def test_an_image_is_all_there_is() -> None:
    orders = Orders()
    orders.apply([put(1, 100, "5"), put(2, -110, "1")])
    image = [put(3, 99, "1"), put(4, 100, "2"), put(5, -105, "3"), put(6, 99, "1"), put(7, -104, "1")]
    assert told(orders.replace(image)) == ([(100, 2.0), (99, 2.0)], [(104, 1.0), (105, 3.0)])
    assert orders.apply([OrderChange(REMOVE, 1)]).n == 0


def test_orders_stand_by_price_then_by_id() -> None:
    orders = Orders()
    orders.apply([put(9, 100, "1"), put(2, 100, "1"), put(1, 99, "1"), put(8, -101, "1"), put(3, -102, "1")])
    assert [one.order_id for one in orders.resting(1, 9)] == [2, 9, 1]
    assert [one.order_id for one in orders.resting(-1, 9)] == [8, 3]


def test_a_sum_is_exact_or_refused() -> None:
    orders = Orders()
    with pytest.raises(Inexact):
        orders.apply([put(1, 100, "1e60"), put(2, 100, "1e-60")])


sizes = st.decimals(min_value=Decimal("0.00000001"), max_value=Decimal("1e9"), places=8)
changes = st.builds(
    OrderChange,
    st.sampled_from(Act),
    st.integers(1, 12),
    st.sampled_from((1, -1)),
    st.integers(1, 6),
    sizes,
)


def naive(resting: dict[OrderId, tuple[int, Decimal]], change: OrderChange) -> None:
    """One change of a plain dict of orders."""
    known = resting.get(change.order_id)
    if change.act is PUT:
        resting[change.order_id] = (change.sign * change.px, change.size)
    elif known is not None:
        place, size = known
        side = 1 if place > 0 else -1
        left = {AMEND: (side * change.px, change.size), FILL: (place, size - change.size), REMOVE: (place, Decimal(0))}
        resting[change.order_id] = left[change.act]
        if resting[change.order_id][1] <= 0:
            del resting[change.order_id]


def summed(resting: dict[OrderId, tuple[int, Decimal]], sign: int) -> dict[int, float]:
    levels: dict[int, Decimal] = {}
    for place, size in resting.values():
        if place * sign > 0:
            levels[abs(place)] = levels.get(abs(place), Decimal(0)) + size
    return {px: float(size) for px, size in levels.items()}


def sides(book: Book) -> tuple[dict[int, float], dict[int, float]]:
    return dict(book.bids.levels(99)), dict(book.asks.levels(99))


@given(st.lists(st.lists(changes, max_size=5), max_size=30))
def test_any_events_give_the_levels_that_one_would_count(messages: list[list[OrderChange]]) -> None:
    orders, book = Orders(), Book()
    resting: dict[OrderId, tuple[int, Decimal]] = {}
    for message in messages:
        before = sides(book)
        rows = orders.apply(message)
        book.apply(rows)
        for change in message:
            naive(resting, change)
        assert sides(book) == (summed(resting, 1), summed(resting, -1))
        changed = [(side, px) for side in (0, 1) for px, _ in (rows.bids(), rows.asks())[side]]
        assert len(set(changed)) == len(changed), "a level is told once a message"
        now = sides(book)
        assert all(before[side].get(px, 0.0) != now[side].get(px, 0.0) for side, px in changed)
    again = [put(order_id, place, str(size)) for order_id, (place, size) in resting.items()]
    book.replace(Orders().replace(again))
    assert sides(book) == (summed(resting, 1), summed(resting, -1)), "an image of the same orders is the same book"


# -- the proof of such a book ------------------------------------------------------------------------------------------

BY_REST = Continuity(chain=Chain.PLUS_ONE, source=Source.REST, offset=1, orders=True)
IN_BAND = Continuity(chain=Chain.NONE, source=Source.STREAM, orders=True)


def diff(seq: int, *orders: OrderChange) -> Diff:
    made = Diff()
    made.first_id = made.last_id = seq
    made.orders = orders
    return made


def image(last_id: int, orders: Sequence[OrderChange]) -> Image:
    return Image(symbol="", last_id=last_id, event_ns=0, rows=Rows(), orders=orders)


def test_orders_wait_for_their_image() -> None:
    one = BookSync(BY_REST)
    one.begin()
    for seq, change in ((5, put(1, 100, "1")), (6, put(2, 100, "2")), (7, put(3, -101, "1"))):
        assert one.diff(diff(seq, change), seq) == sync.BUFFERED
    assert one.image(image(5, [put(1, 100, "1")])) == sync.PROVEN
    assert sides(one.book) == ({100: 3.0}, {101: 1.0})
    assert one.diff(diff(8), 8) == sync.IGNORED, "a number that changes no level"
    assert one.diff(diff(9, OrderChange(FILL, 2, size=Decimal(2))), 9) == sync.APPLIED
    assert (sides(one.book), one.last_id) == (({100: 1.0}, {101: 1.0}), 9)
    assert one.diff(diff(11, put(9, 100, "1")), 11) == sync.GAP
    assert one.orders is not None
    assert (len(one.orders), len(one.book.bids)) == (0, 0)
    assert one.image(image(9, [])) == sync.STALE, "what is missing is still missing"
    assert one.image(image(10, [put(8, 99, "4")])) == sync.PROVEN
    assert sides(one.book) == ({99: 4.0, 100: 1.0}, {})


def test_orders_of_a_stream_begin_with_its_image() -> None:
    one = BookSync(IN_BAND)
    one.begin()
    assert one.diff(diff(0, put(1, 100, "1")), 1) == sync.IGNORED
    assert one.image(image(0, [put(2, 99, "1")])) == sync.PROVEN
    assert one.diff(diff(0, put(2, 98, "1")), 2) == sync.APPLIED
    assert sides(one.book) == ({98: 1.0}, {})
    checked = diff(0)
    checked.checked = True
    assert one.diff(checked, 3) == sync.APPLIED, "a checksum is to be compared"
