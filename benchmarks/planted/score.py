"""Counting, by plain values: which opens found which events, and which are false.

An open of the right kind and side in `[t0, t1 + max(2 s, horizon)]` is a hit; each event and each open counts once,
earliest first. Events of one kind, instrument and side that are closer than the cooldown are one. Recall = hit events /
events. Precision = hits / opens, without the opens that lie in the time of *another* event which truly has that effect
(`effects.py`), or of the twin's event that carries over. A second open in an event that was found already is false.
Times are nanoseconds since the epoch.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from benchmarks.planted.effects import ALSO, CARRIED, OF_ASSET, SHOWS, SPOOFABLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

S = 1_000_000_000
LEAST_NS = 2 * S


@dataclass(frozen=True, slots=True)
class Truth:
    """A planted event. `side` +1 buy, -1 sell, 0 none."""

    kind: str
    instrument: str
    side: int
    t0_ns: int
    t1_ns: int


@dataclass(frozen=True, slots=True)
class Open:
    """An opened signal, at its receive time."""

    kind: str
    instrument: str
    side: int
    t_ns: int


@dataclass(frozen=True, slots=True)
class Manner:
    """Of one kind of signal: what widens the time of an event, and what joins two of them."""

    horizon_ns: int
    cooldown_ns: int

    @property
    def after_ns(self) -> int:
        """So long after its end an event may still be found."""
        return max(LEAST_NS, self.horizon_ns)


@dataclass(slots=True)
class Tally:
    """One kind's counts. `opens` are those that are judged; `delays_s` from the begin of an event to its open."""

    events: int = 0
    opens: int = 0
    hits: int = 0
    delays_s: list[float] = field(default_factory=list)
    missed: list[Truth] = field(default_factory=list)
    false: list[Open] = field(default_factory=list)

    @property
    def recall(self) -> float | None:
        return self.hits / self.events if self.events else None

    @property
    def precision(self) -> float | None:
        return self.hits / self.opens if self.opens else None

    def add(self, more: Tally) -> None:
        """Another market's counts beside these."""
        self.events += more.events
        self.opens += more.opens
        self.hits += more.hits
        self.delays_s += more.delays_s
        self.missed += more.missed
        self.false += more.false


def scored(truths: Sequence[Truth], opens: Iterable[Open], manners: Mapping[str, Manner]) -> dict[str, Tally]:
    """A tally of each kind in `manners`. `truths` and `opens` are of one market."""
    by_kind: dict[str, list[Open]] = {kind: [] for kind in manners}
    for one in sorted(opens, key=lambda one: one.t_ns):
        by_kind[one.kind].append(one)
    return {kind: _tallied(kind, truths, by_kind[kind], manner) for kind, manner in manners.items()}


def _tallied(kind: str, truths: Sequence[Truth], opens: Sequence[Open], manner: Manner) -> Tally:
    events = merged([one for one in truths if kind in SHOWS[one.kind]], manner.cooldown_ns)
    tally = Tally(events=len(events))
    left = sorted(events, key=lambda one: one.t0_ns)
    for one in opens:
        found = next((event for event in left if _is_of(one, event, manner) and one.side == event.side), None)
        if found is not None:
            left.remove(found)
            tally.hits += 1
            tally.opens += 1
            tally.delays_s.append((one.t_ns - found.t0_ns) / S)
        elif not any(excused(one, event, manner) for event in truths):
            tally.opens += 1
            tally.false.append(one)
    tally.missed = left
    return tally


def merged(events: Iterable[Truth], cooldown_ns: int) -> list[Truth]:
    """Events of one instrument and side with less than a cooldown between them as one."""
    last: dict[tuple[str, int], int] = {}
    whole: list[Truth] = []
    for event in sorted(events, key=lambda one: one.t0_ns):
        key = (event.instrument, event.side)
        at = last.get(key)
        if at is not None and event.t0_ns - whole[at].t1_ns < cooldown_ns:
            whole[at] = replace(whole[at], t1_ns=max(whole[at].t1_ns, event.t1_ns))
        else:
            last[key] = len(whole)
            whole.append(event)
    return whole


def _is_of(one: Open, event: Truth, manner: Manner) -> bool:
    """Whether it lies in the event's time, on its instrument."""
    return one.instrument == event.instrument and _in_time(one, event, manner)


def _in_time(one: Open, event: Truth, manner: Manner) -> bool:
    return event.t0_ns <= one.t_ns <= event.t1_ns + manner.after_ns


def excused(one: Open, event: Truth, manner: Manner) -> bool:
    """Whether another event's effect explains it. (An event of which the kind is the own effect is no other one.)"""
    if not _in_time(one, event, manner) or (one.instrument == event.instrument and one.kind in SHOWS[event.kind]):
        return False
    if one.instrument != event.instrument and not (one.kind in OF_ASSET and event.kind not in CARRIED):
        return event.kind in CARRIED
    return any(
        one.kind == also.kind and (also.side == 0 or event.side == 0 or one.side in (0, also.side * event.side))
        for also in ALSO[event.kind]
    )


@dataclass(frozen=True, slots=True)
class Spoofs:
    """How many layers kept the depth kinds quiet: on the side that they pretend (`quiet`), on either (`silent`)."""

    events: int = 0
    quiet: int = 0
    silent: int = 0

    def add(self, more: Spoofs) -> Spoofs:
        return Spoofs(self.events + more.events, self.quiet + more.quiet, self.silent + more.silent)


def spoofs(truths: Iterable[Truth], opens: Iterable[Open], manners: Mapping[str, Manner]) -> Spoofs:
    """Of the spoof events of one market."""
    depth = [one for one in opens if one.kind in SPOOFABLE]
    total = Spoofs()
    for event in truths:
        if event.kind == "spoof":
            spoke = [one for one in depth if _is_of(one, event, manners[one.kind])]
            total = total.add(Spoofs(1, all(one.side != event.side for one in spoke), not spoke))
    return total


def calm(truths: Sequence[Truth], opens: Iterable[Open], span: tuple[int, int], after_ns: int) -> tuple[float, int]:
    """Hours of one instrument's calm in `span`, and the opens in them. No event anywhere, nor `after_ns` after one."""
    busy = sorted((one.t0_ns, one.t1_ns + after_ns) for one in truths)
    begin, end = span
    quiet_ns = (end - begin) - sum(max(0, min(b, end) - max(a, begin)) for a, b in busy)
    count = sum(begin <= one.t_ns <= end and not any(a <= one.t_ns <= b for a, b in busy) for one in opens)
    return quiet_ns / S / 3600, count
