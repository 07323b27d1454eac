"""Walls: large levels, and whether they stand when the touch comes."""

from __future__ import annotations

import pytest
from moments import TICK, S, Scene, T

from imbalanced.detect.walls import Walls

# Ticks behind 100.0, the best bid; a wall is reached within 2 ticks.
WALL = 10


class Watched(Scene):
    """A scene whose walls are watched."""

    def __init__(self) -> None:
        super().__init__(filters={"spoof": "on"})
        self.image(10.0)
        found = self.chain.kit.walls()
        assert isinstance(found, Walls)
        self.walls = found

    def run(self, begin: float, end: float) -> Watched:
        """Ticks of 100 ms, without anything else."""
        for i in range(round((end - begin) * 10)):
            self.at(begin + i / 10).tick()
        self.at(end)
        return self

    def approach(self) -> None:
        """The bids before the wall go: its distance is 2 ticks then."""
        self.delta(dict.fromkeys(range(WALL - 2), 0.0))


def test_a_wall_is_four_times_the_usual_level() -> None:
    scene = Watched()
    scene.at(1).delta({WALL: 39.0}).tick()
    assert scene.walls.standing(1) == 0
    scene.at(2).delta({WALL: 40.0}).tick()
    assert scene.walls.standing(1) == 40.0
    assert scene.walls.standing(-1) == 0


def test_a_wall_is_more_than_takers_take_in_a_minute() -> None:
    scene = Watched()
    for minute in range(7):
        scene.at(60 * minute + 1).trade(100.0)
    scene.at(430).delta({WALL: 90.0}).tick()
    assert scene.walls.standing(1) == 0
    scene.at(431).delta({WALL: 101.0}).tick()
    assert scene.walls.standing(1) == 101.0


@pytest.mark.parametrize("after", [0.3, -0.5])
def test_a_wall_that_is_cancelled_around_the_approach_has_left(after: float) -> None:
    scene = Watched()
    scene.at(1).delta({WALL: 50.0})
    scene.run(1, 20 + min(after, 0))
    scene.delta({WALL: 0.0} if after < 0 else {}).tick()
    scene.at(20).approach()
    scene.tick()
    scene.at(20 + max(after, 0)).delta({WALL: 10.0} if after > 0 else {}).tick()
    scene.run(20.4, 21.5)
    (case,) = scene.walls.cases
    assert (case.side, case.left, case.volume) == (1, True, 50.0)
    assert scene.walls.leaving(1) == pytest.approx(2 / 3)
    assert scene.walls.leaving(-1) == 0.5
    assert not scene.walls.pattern(1)


def test_a_wall_that_is_traded_into_stood() -> None:
    scene = Watched()
    scene.at(1).delta({WALL: 50.0})
    scene.run(1, 20)
    scene.approach()
    scene.tick()
    scene.at(20.2).trade(45.0, -1, WALL).delta({WALL: 5.0}).tick()
    scene.run(20.3, 21.5)
    (case,) = scene.walls.cases
    assert not case.left
    assert scene.walls.leaving(1) == pytest.approx(1 / 3)


def test_a_wall_that_still_stands_is_judged_once() -> None:
    scene = Watched()
    scene.at(1).delta({WALL: 50.0})
    scene.run(1, 20)
    scene.approach()
    scene.run(20, 40)
    assert [case.left for case in scene.walls.cases] == [False]


def test_a_wall_that_goes_while_nobody_is_near_is_no_case() -> None:
    scene = Watched()
    scene.at(1).delta({WALL: 50.0})
    scene.run(1, 10).delta({WALL: 0.0})
    scene.run(10, 12)
    assert scene.walls.standing(1) == 0
    scene.approach()
    scene.run(12, 14)
    assert scene.walls.cases == []


def test_small_takers_on_the_other_side_are_a_pattern() -> None:
    scene = Watched()
    scene.at(1).delta({WALL: 50.0})
    scene.run(1, 20)
    scene.at(20).trade(2.0, -1, 0).approach()
    scene.tick()
    scene.at(20.3).delta({WALL: 0.0}).tick()
    scene.run(20.4, 21.5)
    assert scene.walls.pattern(1)


def test_with_five_cases_volume_counts_and_ten_minutes_end_it() -> None:
    scene = Watched()
    for i in range(5):
        begin = 30 * i
        scene.at(begin).delta({**dict.fromkeys(range(WALL), 10.0), WALL: 50.0 if i < 4 else 100.0})
        scene.run(begin, begin + 10)
        scene.approach()
        scene.tick()
        scene.at(begin + 10.3).delta({WALL: 0.0} if i < 4 else {}).tick()
        scene.run(begin + 10.4, begin + 11.5)
    assert [case.left for case in scene.walls.cases] == [True] * 4 + [False]
    assert scene.walls.leaving(1) == pytest.approx(200 / 300)
    scene.at(760).tick()
    assert scene.walls.leaving(1) == 0.5
    assert TICK > 0
    assert T > S
