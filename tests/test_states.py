"""The table of a book's life: what it draws, and that the session never leaves it."""

from __future__ import annotations

import textwrap
from typing import Any

import msgspec
import orjson
import pytest
from conversation import Conversation, instrument
from hypothesis import given
from hypothesis import strategies as st
from toy_venue import ToyCodec

from imbalanced import session, sync
from imbalanced.events import BookInvalid, BookValid
from imbalanced.states import MEANING, TABLE, TRUSTED, Cause, State, drawn
from imbalanced.venues.codec import Source


def test_the_session_draws_the_table_that_it_runs_on() -> None:
    assert textwrap.indent(drawn(), "    ", lambda line: bool(line.strip())) in (session.__doc__ or "")


def test_every_state_can_be_reached_and_every_cause_is_in_use() -> None:
    reached, before = {State.IDLE}, set[State]()
    while reached != before:
        before = set(reached)
        reached |= {to for (of, _), to in TABLE.items() if of in reached}
    assert reached == set(State)
    assert {cause for _, cause in TABLE} == set(Cause) == set(MEANING)


def test_no_book_is_trusted_but_by_a_proof_and_all_can_come_back() -> None:
    for (of, cause), to in TABLE.items():
        if to in TRUSTED and of not in TRUSTED:
            assert cause is Cause.PROVEN, f"{of} becomes {to} by {cause}"
    for state in State:
        assert state is State.CLOSED or any(of is state for of, _ in TABLE), f"{state} has no way out"


def test_a_life_from_the_list_to_a_live_book() -> None:
    said = Conversation(codec=ToyCodec(Source.STREAM))
    said.instruments()
    lane = said.session.lanes["AAAUSDT"]
    states = [lane.state]
    for word in ("open", "answer", "image", "halted", "trading", "image", "close"):
        if word in ("open", "close"):
            said.say(word)
        else:
            told = {"say": "trading", "state": word} if word in ("halted", "trading") else {"say": word}
            said.ws(orjson.dumps({"symbol": "AAAUSDT", "last": 5, "bids": [[1, 1.0]], "asks": [[2, 1.0]], **told}))
        states.append(lane.state)
    assert states == [
        State.CONNECTING,
        State.SUBSCRIBING,
        State.ACKED,
        State.LIVE,
        State.HALTED,
        State.RESYNCING,
        State.LIVE,
        State.CONNECTING,
    ]


def test_diffs_that_wait_for_an_image_are_buffered_and_a_late_stream_is_suspect() -> None:
    said = Conversation()
    said.instruments()
    said.open()
    said.diff(9, 10)
    lane = said.session.lanes["AAAUSDT"]
    assert lane.state is State.BUFFERING
    said.image(10)
    assert lane.state is State.LIVE
    said.wait(70)
    assert lane.state is State.SUSPECT, "half of its patience is over"
    assert lane.valid
    said.diff(11, 11)
    said.wait(1)
    assert lane.state is State.LIVE


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("image"), st.integers(1, 9), st.booleans()),
        st.tuples(st.just("diff"), st.integers(1, 9), st.booleans()),
        st.tuples(
            st.sampled_from(
                ["open", "close", "wait", "long", "halted", "trading", "dead", "error", "gone", "gap", "closing"]
            )
        ),
        st.tuples(st.sampled_from(["resync", "list", "unlist", "pause", "ack", "garbage"])),
    ),
    max_size=40,
)


@pytest.mark.parametrize("source", list(Source))
@given(STEPS)
def test_whatever_happens_state_book_and_words_agree(source: Source, steps: list[tuple[Any, ...]]) -> None:
    """A book is trusted in LIVE and SUSPECT and in no other state, and each change of trust is said exactly once."""
    said = Conversation(codec=ToyCodec(source))
    said.instruments()
    lane = said.session.lanes["AAAUSDT"]
    trusted, last = False, 0
    for step in steps:
        last = _do(said, step, last)
        for event in said.events:
            if isinstance(event, BookValid | BookInvalid):
                assert isinstance(event, BookValid) is not trusted, "said twice"
                trusted = not trusted
        assert trusted == lane.valid == (lane.state in TRUSTED) == (lane.sync.state == sync.LIVE)
        assert lane.sync.book.live == trusted


def _do(said: Conversation, step: tuple[Any, ...], last: int) -> int:
    word = step[0]
    body: dict[str, Any] = {"symbol": "AAAUSDT"}
    conn = max(said.session.links, default=1)
    match word:
        case "open" | "close":
            said.say(word)
        case "wait" | "long":
            said.wait(1 if word == "wait" else 61)
        case "image" | "diff":
            last = last + 1 if step[2] else step[1]
            body |= {"say": word, "last": last, "first": last, "bids": [[100, 1.0]], "asks": [[101, 2.0]]}
            url = "https://toy/book?symbol=AAAUSDT&"
            rest = word == "image" and said.session.codec.continuity.source is Source.REST
            said.say("http" if rest else "ws", orjson.dumps(body), conn=0 if rest else conn, url=url)
        case "halted" | "trading" | "dead":
            state = "gone" if word == "dead" else word
            said.ws(orjson.dumps({**body, "say": "trading", "state": state}))
        case "error" | "ack":
            said.ws(orjson.dumps({"say": "answer", "error": "no" if word == "error" else "", "of": ["AAAUSDT"]}))
        case "gone" | "gap" | "closing":
            said.ws(orjson.dumps({**body, "say": word}))
        case "resync":
            said.say("resync", "AAA/USDT", conn=0)
        case "list" | "unlist" | "pause":
            listed = [] if word == "unlist" else [instrument("AAAUSDT", "toy", active=word == "list")]
            said.say("instruments", msgspec.json.encode(listed), conn=0)
        case "garbage":
            said.ws(b"garbage")
    return last
