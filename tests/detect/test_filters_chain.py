"""The chain: in order, the first hard fail, the product of qualities, and what was refused before."""

from __future__ import annotations

from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moments import Scene
from msgspec import Struct

from imbalanced.detect import FILTERS
from imbalanced.detect.detector import Detector
from imbalanced.detect.filters import Chain, Filter, Moment, Said
from imbalanced.detect.filters.filter import judged, unknown
from imbalanced.detect.filters.rolling import Rolling, median_of
from imbalanced.options import Doc, fields_of


class Fixed(Filter):
    """Says what it is told."""

    watches: ClassVar[bool] = True

    def __init__(self, said: Said) -> None:
        self.said = said
        self.asked = 0
        self.opens = 0

    def check(self, detector: Detector, now: Moment) -> Said:
        self.asked += 1
        return self.said

    def opened(self, detector: Detector, now: Moment) -> None:
        self.opens += 1


def test_the_order_is_that_of_the_reference() -> None:
    order = (
        "warmup stale latency clock spread depth volatility event_rate flicker spoof sentiment confirm cost halt rate"
    )
    assert list(FILTERS) == order.split()


def test_the_first_hard_fail_is_counted_and_the_rest_is_not_asked() -> None:
    scene = Scene()
    one, two, three = Fixed(judged(True, "fine")), Fixed(judged(False, "too bad", x=3.0)), Fixed(judged(False, "worse"))
    hearing = Chain({"one": one, "two": two, "three": three}, scene.chain.kit).ask(scene.of_book, scene.now())
    assert hearing.refusal is not None
    assert (hearing.refusal.name, hearing.refusal.told, hearing.refusal.verdict) == ("two", "too bad", "fail")
    assert [answer.name for answer in hearing.answers] == ["one", "two"]
    assert three.asked == 0
    assert hearing.numbers == {"x": 3.0}


def test_qualities_multiply_and_what_is_unknown_passes_without_a_name() -> None:
    scene = Scene()
    filters = {
        "one": Fixed(judged(True, "half", 0.5, q_one=0.5)),
        "two": Fixed(unknown("who knows", two=None)),
        "three": Fixed(judged(True, "most", 0.8, q_three=0.8)),
    }
    hearing = Chain(filters, scene.chain.kit).ask(scene.of_book, scene.now())
    assert hearing.refusal is None
    assert hearing.quality == pytest.approx(0.4)
    assert hearing.passed == ["one", "three"]
    assert hearing.numbers == {"q_one": 0.5, "two": None, "q_three": 0.8}
    assert [answer.verdict for answer in hearing.answers] == ["pass", "unknown", "pass"]


def test_what_opens_late_says_who_held_it_back() -> None:
    scene = Scene()
    one = Fixed(judged(False, "not yet"))
    chain = Chain({"one": one}, scene.chain.kit)
    for _ in range(3):
        chain.ask(scene.of_book, scene.now())
    one.said = judged(True, "now")
    hearing = chain.ask(scene.of_book, scene.now())
    assert hearing.numbers == {"refusals": 3.0}
    assert hearing.answers[0].told == "now; refused 3 times before: not yet"
    chain.opened(scene.of_book, scene.now())
    assert one.opens == 1
    assert chain.ask(scene.of_book, scene.now()).numbers == {}, "that was told"


def test_an_episode_does_not_tell_of_another() -> None:
    scene = Scene()
    one = Fixed(judged(False, "not yet"))
    chain = Chain({"one": one}, scene.chain.kit)
    chain.ask(scene.of_book, scene.now())
    scene.of_book.lifecycle.value(1e9, scene.now_ns + 1)
    one.said = judged(True, "now")
    assert chain.ask(scene.of_book, scene.now()).numbers == {}


def test_an_open_signal_is_ended_by_those_that_watch() -> None:
    scene = Scene()
    one, two = Fixed(judged(False, "bad")), Fixed(judged(False, "worse"))
    one.watches = False  # type: ignore[misc]
    chain = Chain({"one": one, "two": two}, scene.chain.kit)
    ended = chain.ended_by(scene.of_book, scene.now())
    assert ended is not None
    assert ended.name == "two"
    two.said = unknown("who knows")
    assert chain.ended_by(scene.of_book, scene.now()) is None


@pytest.mark.parametrize("name", FILTERS)
def test_every_option_is_documented(name: str) -> None:
    kind: type[Struct] = FILTERS[name].Options
    assert FILTERS[name].__doc__
    assert kind() is not None
    for field in fields_of(kind):
        notes = kind.__annotations__[field.name]
        assert "Doc(" in str(notes) or any(isinstance(note, Doc) for note in getattr(notes, "__metadata__", ()))


def test_asking_changes_nothing() -> None:
    """Filters are asked again and again; only the clock and opens may move them."""
    scene = Scene().steady(0, 60)
    first = scene.chain.ask(scene.of_book, scene.now())
    again = [scene.chain.ask(scene.of_book, scene.now()) for _ in range(20)]
    assert all(one.answers == first.answers for one in again)


def test_rolling_forgets_by_time_and_samples_in_steps() -> None:
    past = Rolling(10, 2)
    assert past.due(0)
    for t in range(20):
        if past.due(t):
            past.add(t, float(t))
    assert len(past) == 5
    assert (past.median(), past.quantile(0.0), past.quantile(1.0)) == (14.0, 10.0, 18.0)
    assert past.quantile(0.25) == 12.0
    assert past.quantile(0.125) == 11.0
    assert (past.rank(14.0), past.rank(9.0), past.rank(99.0)) == (0.5, 0.0, 1.0)
    assert past.latest(2) == [18.0, 16.0]
    assert past.span_ns() == 8
    past.add(40, float("nan"))
    assert len(past) == 0
    assert median_of([3.0, 1.0, 2.0, 10.0]) == 2.5


@given(st.lists(st.tuples(st.integers(0, 40), st.sampled_from((1.0, 2.0, 2.0, -3.5, float("nan")))), max_size=60))
def test_rolling_is_what_the_last_samples_say(steps: list[tuple[int, float]]) -> None:
    past, kept, t = Rolling(50, 1), list[tuple[int, float]](), 0
    for passed, x in steps:
        t += passed
        past.add(t, x)
        kept = [(then, value) for then, value in [*kept, (t, x)] if then > t - 50 and value == value]
        assert len(past) == len(kept)
        if kept:
            values = [value for _, value in kept]
            assert past.median() == median_of(values)
            assert (past.quantile(0.0), past.quantile(1.0)) == (min(values), max(values))
            assert past.latest(3) == values[:-4:-1]
            assert past.span_ns() == kept[-1][0] - kept[0][0]
