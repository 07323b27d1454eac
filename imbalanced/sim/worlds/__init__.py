"""Deterministic simulation testing: one seed makes a whole world around the product's own pipeline.

    python -m imbalanced.sim.worlds --seeds 1..10000

A world is a few of the simulated venues with true books of their own (``exchange.py``, ``books.py``), a network
(``network.py``), a clock that may be wrong, and hands that do what the product asks as the connector does it
(``hands.py``); in the middle the product's own ``Pipeline`` with its sessions and codecs. Time is a number and chance
one ``random.Random(seed)``: nothing sleeps and nothing is opened, so a seed is a test that can be run again. Faults
come in phases (``faults.py``, ``happenings.py``) and stop; the oracle (``oracle.py``) looks after every single frame.

Only what a venue's own protocol can show is done to it: a digit is changed where a checksum covers it, books are no
larger than the proof, and the ids of two lives of a venue never meet.
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
