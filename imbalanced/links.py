"""The sockets of one venue: where they go, what is sent on them, and when they are opened anew.

Commands only; nothing here knows what a book is. A socket has a number for life: the one that takes over from another
(``rotation.py``) has a new one.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from msgspec.structs import replace

from imbalanced.venues.codec import Close, Open, Reconnect, Send

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from imbalanced.events import Instrument
    from imbalanced.timers import Timers
    from imbalanced.venues.codec import Codec, Command, LinkPlan

S = 1_000_000_000
HOUR_NS = 3600 * S
# So long the answer may take that tells where a socket is to be opened, before it is asked for again.
DOOR_TIMEOUT_NS = 20 * S


class Links:
    """``plans`` by number; ``up_ns`` says since when each open one is open, ``heard_ns`` when it last had data."""

    def __init__(self, codec: Codec, outbox: list[Command], timers: Timers) -> None:
        self.plans: dict[int, LinkPlan] = {}
        self.up_ns: dict[int, int] = {}
        self.heard_ns: dict[int, int] = {}
        self._codec = codec
        self._venue = codec.venue
        self._outbox = outbox
        self._timers = timers
        self._ping_ns: dict[int, int] = {}
        self._at_the_door: set[int] = set()
        self._opened_at: dict[int, str] = {}
        self._asked_ns: dict[int, deque[int]] = {}
        self._last = 0

    # -- plans ---------------------------------------------------------------------------------------------------------

    def plan(self, instruments: Sequence[Instrument]) -> list[LinkPlan]:
        """The sockets of these instruments, each with a number of its own."""
        made = []
        for plan in self._codec.plan(instruments):
            number = self.next() if self._last else plan.conn
            made.append(plan if number == plan.conn else replace(plan, conn=number))
        for plan in made:
            self.plans[plan.conn] = plan
            self._last = max(self._last, plan.conn)
        return made

    def next(self) -> int:
        """A number that no socket had before."""
        self._last += 1
        return self._last

    def twin(self, conn: int) -> LinkPlan:
        """The plan of a socket that will take over from this one."""
        twin = replace(self.plans[conn], conn=self.next())
        self.plans[twin.conn] = twin
        return twin

    def shrink(self, conn: int, left: Sequence[Instrument]) -> None:
        """Of the books of this socket only these are left: nothing else is asked for when it is opened again."""
        plan = self.plans.get(conn)
        if plan is None or not plan.books:
            return
        for again in self._codec.plan(left):
            if again.books and _route(again.url) == _route(plan.url):
                self.plans[conn] = replace(plan, books=again.books, subscribe=again.subscribe)
                return

    # -- life ----------------------------------------------------------------------------------------------------------

    def enter(self, plan: LinkPlan, now_ns: int) -> None:
        """Open this socket, or ask first where it is to be opened."""
        if plan.prelude is None:
            self._outbox.append(Open(venue=self._venue, conn=plan.conn, url=plan.url))
        else:
            self._at_the_door.add(plan.conn)
            self._outbox.append(plan.prelude)
            self._timers.at(now_ns + DOOR_TIMEOUT_NS, "door", str(plan.conn))

    def door(self, url: str) -> None:
        """Where the sockets that wait for it are to be opened."""
        for conn in sorted(self._at_the_door):
            self.plans[conn] = replace(self.plans[conn], url=url)
            self._outbox.append(Open(venue=self._venue, conn=conn, url=url))
        self._at_the_door.clear()

    def door_due(self, conn: int, now_ns: int) -> None:
        """The answer has not come."""
        if conn in self._at_the_door:
            self.enter(self.plans[conn], now_ns)

    def opened(self, conn: int, url: str, now_ns: int) -> LinkPlan | None:
        """A socket is open: subscribe. Its plan, if it is one of ours."""
        self.up_ns[conn] = now_ns
        self._opened_at[conn] = url
        self.heard_ns.pop(conn, None)
        self._asked_ns.pop(conn, None)
        plan = self.plans.get(conn)
        if plan is not None:
            self.send(conn, plan.subscribe)
            self._asked_ns[conn] = deque([now_ns] * len(plan.subscribe))
            self._ping_at(conn, now_ns)
        return plan

    def closed(self, conn: int, now_ns: int) -> bool:
        """A socket is gone; whether it was open."""
        was_up = self.up_ns.pop(conn, None) is not None
        plan = self.plans.get(conn)
        # The connector opens it again by itself; here it learns where, unless it was closed to be moved there.
        if plan is not None and plan.prelude is not None and plan.url == self._opened_at.get(conn):
            self.enter(plan, now_ns)
        return was_up

    def drop(self, conn: int, reason: str) -> None:
        """Close this socket for good."""
        if self.plans.pop(conn, None) is not None:
            self._at_the_door.discard(conn)
            self._outbox.append(Close(venue=self._venue, conn=conn, reason=reason))

    def reconnect(self, conn: int, reason: str) -> None:
        """Close this socket and open it again."""
        plan = self.plans.get(conn)
        if plan is not None and conn in self.up_ns:
            self._outbox.append(Reconnect(venue=self._venue, conn=conn, url=plan.url, reason=reason))

    # -- what is sent --------------------------------------------------------------------------------------------------

    def send(self, conn: int, texts: Iterable[str]) -> None:
        """Send these, if the socket is open."""
        if conn in self.up_ns:
            self._outbox.extend(Send(venue=self._venue, conn=conn, data=text) for text in texts)

    def subscribe(self, conn: int, texts: Sequence[str], now_ns: int, share: float = 1.0) -> int:
        """Send requests that count against the venue's hourly budget; 0, or when there is room for them again.
        ``share``: so much of the budget may be used up with them.
        """
        budget = int(self._codec.limits.subscriptions_per_hour * share)
        if budget > 0:
            asked = self._asked_ns.setdefault(conn, deque())
            while asked and asked[0] <= now_ns - HOUR_NS:
                asked.popleft()
            over = len(asked) + len(texts) - budget
            if over > 0 and asked:
                return asked[min(over, len(asked)) - 1] + HOUR_NS
            asked.extend([now_ns] * len(texts))
        self.send(conn, texts)
        return 0

    def ping_due(self, conn: int, now_ns: int) -> None:
        """Keep it alive."""
        # A timer of an earlier opening of this socket rings too soon: the present one has its own.
        keepalive = self._codec.keepalive
        if keepalive is not None and conn in self.up_ns and now_ns >= self._ping_ns.get(conn, now_ns):
            self.send(conn, (keepalive.text,))
            self._ping_at(conn, now_ns)

    def _ping_at(self, conn: int, now_ns: int) -> None:
        keepalive = self._codec.keepalive
        if keepalive is not None:
            self._ping_ns[conn] = now_ns + int(keepalive.every_s * S)
            self._timers.at(self._ping_ns[conn], "ping", str(conn))


def _route(url: str) -> str:
    """A URL without its query: tokens differ, the route is the same."""
    return url.partition("?")[0]
