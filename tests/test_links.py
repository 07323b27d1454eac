"""The sockets of a venue: their numbers, their plans, and what may be asked on them in an hour."""

from __future__ import annotations

from typing import Any

import orjson
from conversation import Conversation, S, instrument
from msgspec import structs
from toy_venue import ToyCodec

from imbalanced.links import HOUR_NS, Links
from imbalanced.timers import Timers
from imbalanced.venues.codec import Fetch, Send, Source

BUDGET = 7


def thrifty() -> Conversation:
    codec = ToyCodec(Source.STREAM)
    codec.limits = structs.replace(codec.limits, subscriptions_per_hour=BUDGET)
    said = Conversation(codec=codec)
    said.instruments()
    said.open()
    return said


def image(said: Conversation, last: int) -> list[str]:
    body = {"say": "image", "symbol": "AAAUSDT", "last": last, "bids": [[1, 1.0]], "asks": [[2, 1.0]]}
    return said.ws(orjson.dumps(body))


def test_subscriptions_keep_to_the_budget_of_an_hour() -> None:
    """One at the opening, two for each book that is begun anew; a gap every two minutes would be more than that."""
    said = thrifty()
    begun_ns, sent, last = said.now_ns, list[int](), 5
    image(said, last)
    while said.now_ns - begun_ns < HOUR_NS:
        last += 10
        said.ws(orjson.dumps({"say": "diff", "symbol": "AAAUSDT", "first": last, "last": last}))
        joined = False
        for _ in range(120):
            asked = [c.data for c in said.commands if isinstance(c, Send) and c.data != "ping"]
            sent += [said.now_ns - begun_ns] * len(asked)
            joined = joined or "join AAAUSDT" in asked
            said.wait(1)
        if joined:
            image(said, last)
    assert len(sent) == BUDGET - 1, "and one at the opening"
    for _ in range(10):
        said.wait(60)
        sent += [0 for c in said.commands if isinstance(c, Send) and "AAA" in c.data]
    assert len(sent) > BUDGET - 1, "when the hour is over there is room again"


def test_a_new_socket_has_a_budget_of_its_own() -> None:
    said = thrifty()
    said.session._links._asked_ns[1].extend([said.now_ns] * BUDGET)
    image(said, 5)
    assert said.say("resync", "AAA/USDT", conn=0) == ["BookInvalid AAA/USDT requested"]
    assert said.asked() == []
    said.close()
    said.open()
    image(said, 6)
    said.say("resync", "AAA/USDT", conn=0)
    said.wait(1)
    assert said.asked().count("Send 1") == 2 or said.session.lanes["AAAUSDT"].fetching_since_ns


def links(**more: Any) -> tuple[Links, list[Any]]:
    outbox: list[Any] = []
    codec = ToyCodec(Source.STREAM, **more)
    return Links(codec, outbox, Timers("toy", outbox)), outbox


def test_numbers_are_never_used_twice() -> None:
    made, outbox = links()
    (first,) = made.plan([instrument("AAAUSDT", "toy")])
    twin = made.twin(first.conn)
    (added,) = made.plan([instrument("BBBUSDT", "toy")])
    made.drop(first.conn, "rotated")
    assert [first.conn, twin.conn, added.conn, made.twin(twin.conn).conn] == [1, 2, 3, 4]
    assert twin.books == first.books
    assert [type(command).__name__ for command in outbox] == ["Close"]
    made.drop(first.conn, "rotated")
    assert len(outbox) == 1, "closed once"


def test_a_number_is_not_free_again_when_nothing_is_left() -> None:
    """Its close is still under way: what is opened next must not be hit by it."""
    made, _ = links()
    made.plan([instrument("AAAUSDT", "toy")])
    made.drop(1, "symbol_gone")
    (renamed,) = made.plan([instrument("BBBUSDT", "toy")])
    assert renamed.conn == 2


def test_a_socket_asks_only_for_what_is_left_of_it() -> None:
    made, _ = links()
    both = [instrument("AAAUSDT", "toy"), instrument("BBBUSDT", "toy")]
    made.plan(both)
    made.shrink(1, both[1:])
    assert made.plans[1].books == ("BBBUSDT",)


def test_what_waits_at_the_door_goes_in_together_and_is_asked_for_again() -> None:
    made, outbox = links(door=True)
    (plan,) = made.plan([instrument("AAAUSDT", "toy")])
    made.enter(plan, 0)
    made.door_due(plan.conn, 30 * S)
    assert [command.url for command in outbox if isinstance(command, Fetch)] == ["https://toy/door"] * 2
    made.door("wss://toy/inside")
    made.door_due(plan.conn, 60 * S)
    assert [type(command).__name__ for command in outbox if not isinstance(command, Fetch)][-1] == "Open"
    assert made.plans[plan.conn].url == "wss://toy/inside"
