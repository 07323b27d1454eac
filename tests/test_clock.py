"""The time of a run, with clocks by hand."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from imbalanced.clock import Clock

S = 1_000_000_000


class Hands:
    """A wall clock that can be set, and one that only goes on."""

    def __init__(self) -> None:
        self.wall, self.mono = 1_000 * S, 5 * S
        self.clock = Clock(lambda: self.wall, lambda: self.mono)

    def passes(self, ns: int) -> None:
        self.wall += ns
        self.mono += ns


def test_it_is_the_walls_time() -> None:
    hands = Hands()
    assert hands.clock.now_ns() == 1_000 * S
    hands.passes(3 * S)
    assert hands.clock.now_ns() == 1_003 * S
    hands.wall += 3600 * S
    assert hands.clock.now_ns() == 4_603 * S, "set forward"


def test_set_back_it_goes_on_as_fast_as_before_until_the_wall_has_caught_up() -> None:
    hands = Hands()
    hands.clock.now_ns()
    hands.wall -= 60 * S
    assert hands.clock.now_ns() == 1_000 * S
    hands.passes(2 * S)
    assert hands.clock.now_ns() == 1_002 * S, "timers go on"
    hands.wall += 100 * S
    assert hands.clock.now_ns() == 1_042 * S


@given(st.lists(st.tuples(st.integers(0, 10 * S), st.integers(-100 * S, 100 * S)), max_size=30))
def test_it_never_runs_backwards_and_never_stands_still(steps: list[tuple[int, int]]) -> None:
    hands = Hands()
    before = hands.clock.now_ns()
    for passed, jump in steps:
        hands.passes(passed)
        hands.wall += jump
        now = hands.clock.now_ns()
        assert now >= before
        before = now
    hands.passes(S)
    assert hands.clock.now_ns() >= before
    hands.wall -= 500 * S
    stands = hands.clock.now_ns()
    hands.passes(7 * S)
    assert hands.clock.now_ns() == stands + 7 * S
