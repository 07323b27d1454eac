"""Deterministic simulation testing: one seed makes a whole world around the product's own pipeline.

    python -m imbalanced.sim.worlds --seeds 1..10000

A world is a few of the simulated venues with true books of their own (``exchange.py``, ``books.py``), a network
(``network.py``), a clock that may be wrong, and hands that do what the product asks as the connector does it
(``hands.py``); in the middle the product's own ``Pipeline`` with its sessions and codecs. Time is a number and chance
one ``random.Random(seed)``: nothing sleeps and nothing is opened, so a seed is a test that can be run again. Faults
come in phases (``faults.py``, ``happenings.py``) and stop; the oracle (``oracle.py``) looks after every single frame.

Only what a venue's own protocol can show is done to it: a digit is changed where a checksum covers it, books are no
larger than the proof, and the ids of two lives of a venue never meet. So

- a venue that numbers and sums nothing loses, doubles and confuses no message of a book: they are late; it is never
  silent and then goes on, never restarts behind an open socket, and its images are of now
- where a checksum is a message of its own, what only it can show is not judged before it has come; and no message goes
  astray to another socket, where its numbers may fit by chance
- a checksum of single orders is of their numbers and amounts: the digits of prices stay
- a word on who trades is late at most: nothing repeats it, and who missed the end of a halt would wait for ever
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from imbalanced.sim import DRAWN
from imbalanced.sim.worlds.world import Outcome, World

if TYPE_CHECKING:
    from collections.abc import Callable


def run(seed: int, told: Callable[[str], None] | None = None) -> Outcome:
    """The world of this seed, from its first frame to its last; ``told`` gets a line per frame."""
    return World(seed, list(DRAWN.values()), told).run()


__all__ = ["DRAWN", "Outcome", "World", "run"]
