"""One kind of data of one symbol (its book, its trades, its context): when it was heard, and what is usual for it.

A stream is judged by its own past and by nothing else: what is silence for one is a quiet night for the other. Three
questions: has it ever spoken (``silent`` if not in time), does it still speak, and does it speak as often as it used
to (``stale`` if not). Acknowledgements are no data. Who asks, and when, is ``watch.py``.
"""

from __future__ import annotations

from collections import deque
from typing import Literal, TypeAlias

S = 1_000_000_000

BOOK, TRADES, CONTEXT = "book", "trades", "context"
CHANNELS = (BOOK, TRADES, CONTEXT)
StreamWord: TypeAlias = Literal["live", "silent", "stale"]

# A stream is stale after so many of its own usual intervals, or so many of its longest of late, within these bounds.
# Prints come in bursts, with pauses between them that no average knows: they get more time, and no upper bound.
INTERVALS, LONGEST, LEAST_NS = 100.0, 5.0, 60 * S
KNOWN = 200
# The longest silence is forgotten by half in this time.
LONGEST_HALF_NS = 1800 * S

# A rate is the number of messages in SPAN steps. The floor is a share of the lowest rate so far; a stream has one when
# it is PAST steps old (ALONE where nothing else is there to compare it with) and was never slower than LEAST.
STEP_NS, SPAN = 10 * S, 3
PAST, ALONE, HOUR = 12, 60, 360
FLOOR, AGAIN, LEAST = 0.1, 0.3, 30
# What speaks at this share of its usual rate has not thinned out.
STEADY = 0.5


class Rate:
    """Messages in the last ``SPAN`` steps against all such sums before them, an hour back; none shares a step with
    what it is compared with.
    """

    def __init__(self) -> None:
        self._steps: deque[int] = deque(maxlen=SPAN)
        self._waiting: deque[int] = deque(maxlen=SPAN)
        self._sums: deque[int] = deque(maxlen=HOUR)
        self._count = 0
        self._due_ns = 0
        self.lowest = 0
        self.recent = 0
        self.thin = False

    def step(self, count: int, now_ns: int) -> bool:
        """Told the number of messages so far, often; whether a step has just ended."""
        if now_ns < self._due_ns:
            return False
        late = now_ns - self._due_ns > STEP_NS
        self._due_ns = now_ns + STEP_NS
        news, self._count = count - self._count, count
        if late:  # the first, or nobody asked for a while: how long this step was is unknown
            self._steps.clear()
            self._waiting.clear()
            return False
        self._steps.append(news)
        if len(self._steps) < SPAN:
            return False
        if self.thin:
            self._waiting.clear()
        elif len(self._waiting) == SPAN:
            self._sums.append(self._waiting[0])
            self.lowest = min(self._sums)
        self.recent = sum(self._steps)
        self._waiting.append(self.recent)
        return True

    @property
    def age(self) -> int:
        """How many sums there are to compare with."""
        return len(self._sums)

    def thinned(self) -> bool:
        """Far below all that was ever seen of it."""
        return self.age >= PAST and self.lowest >= LEAST and self.recent < FLOOR * self.lowest

    def recovered(self) -> bool:
        """Speaks again, though perhaps not as before."""
        return self.recent >= AGAIN * self.lowest

    def steady(self) -> bool:
        """Speaks about as often as it used to."""
        return self.age >= PAST and self.recent > 0 and self.recent >= STEADY * sum(self._sums) / len(self._sums)

    def restart(self) -> None:
        """The socket is a new one: what comes next is no measure, what came before still is."""
        self._steps.clear()
        self._waiting.clear()
        self._due_ns = 0

    def forget(self) -> None:
        """What was usual is not any more."""
        self._sums.clear()
        self.lowest = 0
        self.thin = False


class Stream:
    """One stream. ``state`` is empty until it has spoken or should have."""

    def __init__(self, channel: str) -> None:
        self.channel = channel
        self.state: StreamWord | Literal[""] = ""
        self.reason = ""
        self.since_ns = 0
        self.heard_ns = 0
        self.count = 0
        self.interval_ns = 0.0
        self.longest_ns = 0.0
        self.rate = Rate()
        self._looked_ns = 0
        self._known_count = 0
        self._known_ns = 0

    def heard(self, now_ns: int) -> None:
        """A message came. What is usual is worked out once a second (``look``), not here: prints come in thousands."""
        if self.heard_ns and now_ns - self.heard_ns > self.longest_ns:
            self.longest_ns = now_ns - self.heard_ns
        self.count += 1
        self.heard_ns = now_ns

    def look(self, now_ns: int) -> None:
        """Learn from what came since the last look."""
        if self._looked_ns:
            self.longest_ns *= 0.5 ** ((now_ns - self._looked_ns) / LONGEST_HALF_NS)
        self._looked_ns = now_ns
        news = self.count - self._known_count
        if news and self._known_ns:
            each = (self.heard_ns - self._known_ns) / news
            self.interval_ns += (each - self.interval_ns) * min(max(news / 64, news / (self.count - 1)), 1.0)
        if news:
            self._known_count, self._known_ns = self.count, self.heard_ns

    def overdue(self, now_ns: int) -> bool:
        """Silent for longer than anything in its own past explains."""
        if self.count < KNOWN:
            return False
        usual = max(self.interval_ns * INTERVALS, self.longest_ns * LONGEST, LEAST_NS)
        return now_ns - self.heard_ns > usual

    def tell(self, state: StreamWord, reason: str, now_ns: int) -> bool:
        """Whether this is news."""
        if self.state == state and self.reason == reason:
            return False
        self.state, self.reason, self.since_ns = state, reason, now_ns
        return True
