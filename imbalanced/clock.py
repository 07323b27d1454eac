"""The time of a run: the wall's, and never before a time that was given already.

A wall clock that is set back must not stop a run: until it has caught up, time goes on as fast as the monotonic clock.
One clock is shared by all that stamp frames, so that the frames of all venues are of one time.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Clock:
    """``wall`` gives nanoseconds since the epoch, ``monotonic`` nanoseconds since anything."""

    __slots__ = ("_anchor_ns", "_monotonic", "_since", "last_ns", "wall_ns")

    def __init__(
        self, wall: Callable[[], int] = time.time_ns, monotonic: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self.wall_ns = wall  # as it is, for what others judge by their own clocks
        self._monotonic = monotonic
        self.last_ns = 0
        self._anchor_ns = 0
        self._since = monotonic()

    def now_ns(self) -> int:
        """Now."""
        now_ns = self.wall_ns()
        if now_ns < self.last_ns:
            return self.later_ns()
        self.last_ns = self._anchor_ns = now_ns
        self._since = self._monotonic()
        return now_ns

    def later_ns(self) -> int:
        """Now, while the wall is behind what was given."""
        self.last_ns = max(self.last_ns, self._anchor_ns + self._monotonic() - self._since)
        return self.last_ns
