"""An image of limited depth: known only within its window, and renewed before the price leaves it."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from conversation import Conversation, image_text
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from imbalanced.book import Book, Rows
from imbalanced.events import BookInvalid
from imbalanced.refresh import Window
from imbalanced.venues import VENUES

LEVELS = 20


class Market:
    """A venue's true book in whole prices; ``drift`` moves it up, a level at a time."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.bids = {price: self.random.randint(1, 9) for price in range(900, 1000)}
        self.asks = {price: self.random.randint(1, 9) for price in range(1001, 1101)}
        self.last = 10

    def drift(self) -> tuple[list[list[str]], list[list[str]]]:
        """One change: the best ask is taken, a bid is put where it was, and something far away may move."""
        self.last += 1
        gone, new = min(self.asks), min(self.asks) - 1
        del self.asks[gone]
        self.bids[new] = self.random.randint(1, 9)
        self.asks[max(self.asks) + 1] = self.random.randint(1, 9)
        return [[str(new), str(self.bids[new])]], [
            [str(gone), "0"],
            [str(max(self.asks)), str(self.asks[max(self.asks)])],
        ]

    def image(self) -> tuple[list[list[str]], list[list[str]]]:
        """The best levels, as many as the venue gives."""
        bids = [[str(price), str(self.bids[price])] for price in sorted(self.bids, reverse=True)[:LEVELS]]
        return bids, [[str(price), str(self.asks[price])] for price in sorted(self.asks)[:LEVELS]]


def talk(market: Market, **more: Any) -> Conversation:
    """A live book of this market."""
    codec: Any = VENUES["binance"].codec("binance")
    codec.continuity = structs.replace(codec.continuity, **{"image_levels": LEVELS, **more})
    said = Conversation(codec=codec)
    said.instruments()
    said.open()
    said.diff(market.last, market.last)
    assert "BookValid AAA/USDT 10" in answer(said, market)
    return said


def answer(said: Conversation, market: Market) -> list[str]:
    """The venue's image of now."""
    return said.image(market.last, data=image_text(market.last, *market.image()))


def move(said: Conversation, market: Market) -> list[str]:
    bids, asks = market.drift()
    return said.diff(market.last, market.last, bids=bids, asks=asks)


def best(said: Conversation, count: int) -> list[list[tuple[int, float]]]:
    lane = said.session.lanes["AAAUSDT"]
    sides = (lane.sync.book.bids, lane.sync.book.asks)
    return [[(px // 10**lane.instrument.price_scale, size) for px, size in side.levels(count)] for side in sides]


def true_best(market: Market, count: int) -> list[list[tuple[int, float]]]:
    bids = [(price, float(market.bids[price])) for price in sorted(market.bids, reverse=True)[:count]]
    return [bids, [(price, float(market.asks[price])) for price in sorted(market.asks)[:count]]]


def asked(said: Conversation) -> bool:
    return any(word.startswith("Fetch") for word in said.asked())


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 2), st.integers(0, 2))
def test_the_best_levels_are_the_venues_however_far_the_price_goes(seed: int, late: int, ahead: int) -> None:
    """``late``: changes between the request and its answer; ``ahead``: by so many the answer is newer."""
    market = Market(seed)
    said = talk(market)
    calls, waiting, lost = 0, -1, []
    for _ in range(60):
        said.wait(5.0)
        if asked(said):
            calls, waiting = calls + 1, late
        if waiting == 0:
            held_back = [market.drift() for _ in range(ahead)]
            first = market.last - ahead + 1
            answer(said, market)
            for number, (bids, asks) in enumerate(held_back, first):
                said.diff(number, number, bids=bids, asks=asks)
                lost += [event for event in said.events if type(event) is BookInvalid]
        waiting -= waiting >= 0
        move(said, market)
        lost += [event for event in said.events if type(event) is BookInvalid]
        assert best(said, 2) == true_best(market, 2)
    assert not lost
    assert calls > 2


def test_without_another_image_the_book_would_be_wrong() -> None:
    """The same market with an image that is said to be whole: nothing is asked, and levels are missing."""
    market = Market(1)
    said = talk(market, image_levels=0)
    for _ in range(LEVELS + 3):
        said.wait(5.0)
        assert not asked(said)
        market.asks[min(market.asks) + 1] = 5  # rests there since before the image, and is never told
        move(said, market)
    assert best(said, 2) != true_best(market, 2)


def test_what_the_new_image_shows_is_told_as_a_change() -> None:
    market = Market(2)
    said = talk(market)
    while not asked(said):
        said.wait(5.0)
        if not asked(said):
            move(said, market)
    assert answer(said, market) == [f"BookChanged AAA/USDT {market.last}"]
    assert best(said, LEVELS) == true_best(market, LEVELS)


def test_an_image_that_does_not_come_or_does_not_fit_is_asked_for_again_and_the_book_lives_on() -> None:
    market = Market(3)
    said = talk(market)
    while not asked(said):
        said.wait(5.0)
        if not asked(said):
            move(said, market)
    assert said.image(0, status=500) == ["Notice rest_error AAA/USDT"]
    stale = image_text(market.last - 5, *market.image())
    move(said, market)
    assert said.image(0, data=stale) == []
    assert not asked(said), "not at once"
    said.wait(61.0)
    assert asked(said)
    assert said.session.lanes["AAAUSDT"].valid


def test_a_book_that_is_lost_meanwhile_is_proven_by_the_image() -> None:
    market = Market(4)
    said = talk(market)
    while not asked(said):
        said.wait(5.0)
        if not asked(said):
            move(said, market)
    market.drift()
    assert "BookInvalid AAA/USDT sequence_gap" in move(said, market)
    assert f"BookValid AAA/USDT {market.last}" in answer(said, market)


@pytest.mark.parametrize(("bids", "asks"), [(3, 9), (9, 3), (3, 3)])
def test_a_side_that_is_shorter_than_the_limit_is_whole(bids: int, asks: int) -> None:
    rows = Rows()
    for i in range(bids):
        rows.add(100 - i, 1.0)
    rows.end_bids()
    for i in range(asks):
        rows.add(101 + i, 1.0)
    book = Book()
    book.replace(rows)
    window = Window(rows, 8)
    assert not window.runs_out(book)
    book.replace(Rows())
    assert window.runs_out(book) is (bids > 8 or asks > 8)
