"""Checksums over digits: what is kept between two of them never shows; and sizes that no float tells."""

from __future__ import annotations

from decimal import Decimal
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imbalanced.book import Book, Rows
from imbalanced.events import Instrument
from imbalanced.venues.digits import MOST_KEPT, MOST_LONG, Digits

SCALE, LEVELS = 8, 3
PLAIN = Instrument(venue="v", symbol="A/B", venue_symbol="AB", price_scale=SCALE)
Levels = list[tuple[str, str]]


class Kept:
    """A book and its digits, told the same; ``prices`` says what was told, as it was written."""

    def __init__(self, levels: int = LEVELS) -> None:
        self.digits = Digits(levels)
        self.book = Book()
        self.sides: tuple[dict[Decimal, str], dict[Decimal, str]] = ({}, {})

    def say(self, bids: Levels, asks: Levels, *, whole: bool = False) -> None:
        rows = Rows()
        if whole:
            self.digits.begin()
            self.sides = ({}, {})
        self.digits.add(rows, PLAIN, 1, bids)
        rows.end_bids()
        self.digits.add(rows, PLAIN, -1, asks)
        (self.book.replace if whole else self.book.apply)(rows)
        for side, told in zip(self.sides, (bids, asks), strict=True):
            for price, size in told:
                if Decimal(size):
                    side[Decimal(price)] = size
                else:
                    side.pop(Decimal(price), None)

    def sum(self, of_price: int, of_size: int, levels: int = LEVELS) -> int:
        """By the words of the rule, from what was written."""
        bids, asks = self.sides
        best = [*sorted(asks)[:levels], *sorted(bids, reverse=True)[:levels]]
        sizes = [*(asks[one] for one in sorted(asks)[:levels]), *(bids[one] for one in sorted(bids)[::-1][:levels])]
        told = [
            f"{int(price.scaleb(of_price))}{int(Decimal(size).scaleb(of_size))}"
            for price, size in zip(best, sizes, strict=True)
        ]
        return crc32("".join(told).encode())

    def holds(self, of_price: int, of_size: int) -> bool:
        self.digits.told = self.sum(of_price, of_size)
        return self.digits.hold(self.book, SCALE)


bid = st.integers(1, 6).map(lambda ticks: f"{ticks / 10:.1f}")
ask = st.integers(7, 12).map(lambda ticks: f"{ticks / 10:.1f}")
size = st.one_of(st.integers(0, 3), st.integers(10**15, 10**15 + 2)).map(lambda units: f"{Decimal(units) / 1000:.3f}")


bids_of, asks_of = (st.dictionaries(one, size).map(lambda told: list(told.items())) for one in (bid, ask))


@given(st.lists(st.tuples(bids_of, asks_of, st.booleans())))
def test_it_is_the_sum_of_what_was_written_last(messages: list[tuple[Levels, Levels, bool]]) -> None:
    kept = Kept()
    kept.digits.decimals(1, 3)
    for bids, asks, whole in messages:
        kept.say(bids, asks, whole=whole)
        assert kept.holds(1, 3)


def test_decimals_are_the_most_that_were_seen_until_they_are_told() -> None:
    kept = Kept()
    kept.say([("1.5", "1.0")], [("2.5", "1.0")], whole=True)
    assert kept.holds(1, 1)
    kept.say([("1.25", "1.0")], [])
    assert kept.holds(2, 1), "those of the levels before it have one more as well"
    kept.say([], [("2.5", "1.00")])
    assert kept.holds(2, 2)
    kept.digits.decimals(3, 4)
    assert kept.holds(3, 4)
    kept.digits.decimals(2, 2)
    assert kept.holds(2, 2)
    kept.digits.begin()
    assert kept.holds(2, 2), "what was told stays"


def test_nothing_was_told() -> None:
    kept = Kept()
    kept.say([("1.5", "1.0")], [], whole=True)
    assert not kept.digits.hold(kept.book, SCALE)


def test_two_books_of_one_symbol_have_one_memory() -> None:
    """While one socket takes over from another both are asked for, and differ."""
    kept, other = Kept(), Book()
    kept.digits.decimals(1, 1)
    kept.say([("1.5", "1.0")], [("2.5", "1.0")], whole=True)
    rows = Rows()
    rows.add(15 * 10**7, 2.0)
    rows.end_bids()
    other.replace(rows)
    assert kept.holds(1, 1)
    kept.digits.told = crc32(b"1520")
    assert kept.digits.hold(other, SCALE)
    assert kept.holds(1, 1)


def test_what_is_remembered_is_bounded() -> None:
    kept = Kept()
    kept.digits.decimals(1, 3)
    for i in range(2 * MOST_KEPT):
        kept.say([(f"{i + 1}.0", "1.000")], [("99999.0", "1.000")])
        assert kept.holds(1, 3)
    long = f"{10**12}.001"
    for i in range(MOST_LONG + 2):
        kept.say([(f"{i + 1}.0", long)], [])
        if i > 3:
            kept.say([(f"{i - 2}.0", "0.000")], [])
    assert kept.holds(1, 3)


@pytest.mark.parametrize("level", [("x", "1"), ("1", "-1"), ("1", None), (None, "1"), (True, "1"), ("1", 0.5)])
def test_what_is_no_level_is_refused(level: tuple[object, object]) -> None:
    with pytest.raises(ValueError, match=r"no|bounds"):
        Digits(LEVELS).add(Rows(), PLAIN, 1, [level])


def test_numbers_with_exponents_are_read() -> None:
    rows, digits = Rows(), Digits(LEVELS)
    digits.add(rows, PLAIN, 1, [("15e-1", "2.5e-7"), (2, 3)])
    assert [(rows.px[i], rows.size[i]) for i in range(2)] == [(150_000_000, 2.5e-7), (200_000_000, 3.0)]
