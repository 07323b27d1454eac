"""Many instruments on many sockets, within what each venue allows: every codec's plan."""

from __future__ import annotations

import re

import pytest

from imbalanced.connector import ConnectorOptions
from imbalanced.events import Instrument
from imbalanced.venues import VENUES

MANY = 1500
# A name that means a simple instrument to every venue.
NAME = re.compile(r"A\d{4}[-/]USDT", re.IGNORECASE)


def listed(venue: str, count: int = MANY) -> list[Instrument]:
    joint = "/" if venue == "kraken" else "-"
    names = [f"A{i:04}{joint}USDT" for i in range(count)]
    return [Instrument(venue=venue, symbol=name, venue_symbol=name) for name in names]


@pytest.mark.parametrize("venue", VENUES)
def test_every_symbol_has_one_book_and_no_socket_has_too_much(venue: str) -> None:
    codec = VENUES[venue].codec(venue)
    known = listed(venue)
    for one in known:
        codec.know(one)
    plans = codec.plan(known)
    books = [symbol for plan in plans for symbol in plan.books]
    assert sorted(books) == sorted(one.venue_symbol for one in known)
    assert [plan.conn for plan in plans] == list(range(1, len(plans) + 1))
    for plan in plans:
        named = [name.upper() for text in plan.subscribe for name in NAME.findall(text)]
        assert set(plan.books) <= set(named), "a book that nobody asks for"
        assert 0 < len(named) <= codec.limits.streams_per_socket
        assert len(plan.subscribe) <= ConnectorOptions().send_queue
        assert max(map(len, plan.subscribe)) < 16_384, "a request is a message of a usual size"
        hourly = codec.limits.subscriptions_per_hour
        assert not hourly or len(plan.subscribe) < hourly / 4, "there must be room to subscribe again"


@pytest.mark.parametrize("venue", VENUES)
def test_a_part_of_a_plan_is_a_plan_of_its_own(venue: str) -> None:
    """So one socket can be planned again by itself, when a symbol on it is gone, or new ones have come."""
    codec = VENUES[venue].codec(venue)
    known = listed(venue)
    for plan in codec.plan(known):
        if plan.books:
            part = [one for one in known if one.venue_symbol in set(plan.books[1:])]
            again = [one for one in codec.plan(part) if one.books]
            assert [one.books for one in again] == ([plan.books[1:]] if part else [])
            assert {one.url for one in again} <= {plan.url}


@pytest.mark.parametrize("venue", VENUES)
def test_nothing_asked_is_nothing_planned(venue: str) -> None:
    assert VENUES[venue].codec(venue).plan([]) == []
