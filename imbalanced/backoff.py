"""How long to wait: after failures (:class:`Backoff`) and to stay below a rate (:class:`Pace`, :class:`Weight`).

Plain arithmetic on times that the caller gives, in seconds of any clock that never runs backwards. Nothing here waits.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Backoff:
    """Capped exponential delays with full jitter: the n-th is drawn evenly from 0 to ``min(cap_s, first_s * 2**n)``.

    Full jitter spreads the clients of a venue that went down best (AWS Architecture Blog, "Exponential Backoff And
    Jitter", 2015). A success resets nothing: only a life of ``stable_s`` does, or a venue that accepts and drops us at
    once would be asked without end.
    """

    def __init__(self, first_s: float, cap_s: float, stable_s: float, jitter: Callable[[], float]) -> None:
        self._first_s = first_s
        self._cap_s = cap_s
        self._stable_s = stable_s
        self._jitter = jitter
        self._bound_s = first_s

    def next_s(self) -> float:
        """The delay before the next attempt."""
        bound_s = min(self._bound_s, self._cap_s)
        self._bound_s = min(self._bound_s * 2, self._cap_s)
        return bound_s * self._jitter()

    def lived(self, seconds: float) -> None:
        """What was tried held for so long."""
        if seconds >= self._stable_s:
            self._bound_s = self._first_s


class Pace:
    """At most ``count`` acts in any ``window_s`` seconds, strictly: not an average with bursts on top."""

    def __init__(self, count: int, window_s: float) -> None:
        self._count = count
        self._window_s = window_s
        self._acts: deque[float] = deque()

    def wait_s(self, now: float, keep: int = 0) -> float:
        """How long until one may act and ``keep`` acts are still left; 0: at once."""
        acts = self._acts
        while acts and acts[0] <= now - self._window_s:
            acts.popleft()
        over = len(acts) - max(self._count - keep, 1)
        # `over + 1` of the oldest acts must leave the window before there is room.
        return 0.0 if over < 0 else acts[over] + self._window_s - now

    def act(self, now: float) -> None:
        """One was done."""
        self._acts.append(now)


class Weight:
    """A venue's budget of request weight per minute, kept over a sliding minute.

    A venue counts by the clock's minute; a sliding one never exceeds that, whatever the phase. Where the venue says
    what it has counted (:meth:`reported`) and it is more than we know of, others spend from the same budget too.
    """

    window_s = 60.0

    def __init__(self, per_window: int) -> None:
        self._limit = per_window
        self._spent: deque[tuple[float, int]] = deque()
        self.used = 0

    def wait_s(self, now: float, weight: int) -> float:
        """How long until ``weight`` fits; 0: at once. One that fits in no minute is let through in an empty one."""
        self._forget(now)
        over = self.used + min(weight, self._limit) - self._limit
        if over <= 0:
            return 0.0
        for at, spent in self._spent:
            over -= spent
            if over <= 0:
                return at + self.window_s - now
        raise AssertionError("used is the sum of what was spent")

    def spend(self, now: float, weight: int) -> None:
        self._spent.append((now, weight))
        self.used += weight

    def reported(self, now: float, used: int) -> None:
        """The venue says that ``used`` is gone of this minute's budget."""
        self._forget(now)
        if used > self.used:
            self.spend(now, used - self.used)

    def _forget(self, now: float) -> None:
        while self._spent and self._spent[0][0] <= now - self.window_s:
            self.used -= self._spent.popleft()[1]
