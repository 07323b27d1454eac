"""One venue's stream of an asset is silent while the other venues move: judged here, where all venues are in sight.

Nothing is compared in absolute numbers: each stream has a usual rate of its own. While one is silent, what it should
have said is added up, second by second: its usual rate, times how busy the other venues are on the same asset (dollars
of all kinds count as one) against theirs. It is stale when that is too much for chance. In a quiet market the others
are quiet too, and nothing adds up.

A stream that never spoke has no usual rate: it is silent when the others, one with another, have said ``FIRST`` things.
"""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any

from imbalanced.events import GapKind
from imbalanced.streams import BOOK, TRADES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imbalanced.events import Frame, Instrument
    from imbalanced.lane import Lane
    from imbalanced.session import Session

S = 1_000_000_000
STEP_NS = S
DOLLARS = frozenset({"USD", "USDT", "USDC", "FDUSD", "TUSD", "BUSD", "DAI", "USDE", "USD1", "PYUSD", "USDS"})
# What is usual is forgotten by half in so many seconds, the longest silence in six times as many.
USUAL_S = 300.0
# A stream has a usual rate after so long. It is stale when so much is missing, for so long, and for so many times its
# own longest silence; the others must have been about as busy as usual.
LEARN_S, MISSING, LEAST_S, LONGEST, BUSY = 120.0, 50.0, 10.0, 3.0, 0.5
FIRST, FIRST_S = 3000, 300.0


class _Pace:
    """One stream: how often it speaks, and what is missing since it last did."""

    def __init__(self) -> None:
        self.count = -1
        self.news = 0
        self.age_s = 0.0
        self.usual = 0.0
        self.quiet_s = 0.0
        self.longest_s = 0.0
        self.missing = 0.0
        self.others = 0.0

    def step(self, count: int, seconds: float) -> None:
        self.news = max(count - self.count, 0) if self.count >= 0 else 0
        self.count = count
        rate = self.news / seconds
        if self.news:
            self.longest_s = max(self.quiet_s, self.longest_s * 0.5 ** (seconds / USUAL_S / 6))
            self.quiet_s = self.missing = 0.0
        else:
            self.quiet_s += seconds
        if count and self.quiet_s < self.patience_s:  # what is usual is not learned from a fault
            self.age_s += seconds
            share = max(1 - 0.5 ** (seconds / USUAL_S), seconds / self.age_s)
            self.usual += (rate - self.usual) * share

    @property
    def patience_s(self) -> float:
        """No silence up to this is worth a thought."""
        return max(LEAST_S, LONGEST * self.longest_s)

    def busy(self, seconds: float) -> float:
        """How it spoke in the last step; 1 is as usual, or more."""
        if self.usual <= 0 or self.age_s < LEARN_S:
            return 0.0
        return min(self.news / (self.usual * seconds), 1.0)

    def judge(self, busy: float, others: float, seconds: float) -> str:
        """What is wrong with this stream, given how busy the others are and what they said; empty if nothing is."""
        if not self.count:
            self.others += others
            if self.quiet_s >= FIRST_S and self.others >= FIRST:
                return f"no data in {self.quiet_s:.0f} s, other venues sent {self.others:.0f}"
            return ""
        if self.news or self.age_s < LEARN_S:
            return ""
        self.missing += self.usual * busy * seconds
        if self.quiet_s < self.patience_s or self.missing < max(MISSING, BUSY * self.usual * self.quiet_s):
            return ""
        return f"no data in {self.quiet_s:.0f} s, while other venues move"


class CrossCheck:
    """All venues of one run."""

    def __init__(self, sessions: Mapping[str, Session]) -> None:
        self._sessions = sessions
        self._paces: dict[tuple[str, str, str], _Pace] = {}
        self._before_ns = 0

    def look(self, frame: Frame, events: list[Any]) -> None:
        """Once a second of receive time; asked as often as one likes."""
        if len(self._sessions) < 2 or frame.recv_ns - self._before_ns < STEP_NS:
            return
        seconds = (frame.recv_ns - self._before_ns) / S
        first, self._before_ns = not self._before_ns, frame.recv_ns
        if first or seconds > LEAST_S:
            seconds = 1.0  # nobody asked for a while: the rates go on from here
            for pace in self._paces.values():
                pace.quiet_s = pace.missing = 0.0
        for of_asset in self._assets().values():
            for channel in (BOOK, TRADES):
                self._compare(of_asset, channel, seconds, frame, events)

    def _assets(self) -> dict[tuple[str, str], list[tuple[Session, Lane]]]:
        found: dict[tuple[str, str], list[tuple[Session, Lane]]] = {}
        for session in self._sessions.values():
            for lane in session.lanes.values():
                if lane.wanted and lane.conn in session.up_ns and lane.instrument.base:
                    found.setdefault(_asset(lane.instrument), []).append((session, lane))
        return found

    def _compare(
        self, lanes: list[tuple[Session, Lane]], channel: str, seconds: float, frame: Frame, events: list[Any]
    ) -> None:
        paces: list[tuple[Session, Lane, _Pace]] = []
        for session, lane in lanes:
            pace = self._paces.setdefault((session.venue, lane.instrument.symbol, channel), _Pace())
            pace.step(lane.sync.heard_count if channel == BOOK else lane.trades.count, seconds)
            paces.append((session, lane, pace))
        for session, lane, pace in paces:
            others = [one for whose, _, one in paces if whose is not session]
            if pace.news or not others:
                continue
            busy = median(one.busy(seconds) for one in others)
            why = pace.judge(busy, median(one.news for one in others), seconds)
            stream = lane.streams[channel]
            if why and stream.state not in ("silent", "stale"):
                self._say(session, lane, channel, why, never=not pace.count, frame=frame, events=events)

    @staticmethod
    def _say(
        session: Session, lane: Lane, channel: str, why: str, *, never: bool, frame: Frame, events: list[Any]
    ) -> None:
        if channel == BOOK:
            kind = GapKind.SILENT_SUBSCRIPTION if never else GapKind.STALE_STREAM
            session.watch.quiet(lane, kind, why, frame, events)
        else:
            events += lane.tell(channel, "silent" if never else "stale", why, frame.recv_ns)


def _asset(instrument: Instrument) -> tuple[str, str]:
    return instrument.base, "USD" if instrument.quote in DOLLARS else instrument.quote
