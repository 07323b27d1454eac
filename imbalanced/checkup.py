"""What a daemon needs before it can be trusted, checked off as it comes: the part of ``doctor`` that only looks.

Wanted of each venue: its list of instruments, its sockets, the first data of every kind of stream that it provides, and
a proven book per instrument. Trades and context come when somebody trades, so one instrument of the venue is enough.
"""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from imbalanced.coverage import CHANNELS
from imbalanced.events import BookInvalid, BookValid, LinkDown, LinkUp, Notice, TradeIgnored

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

# What a venue provides, as first data: liquidations may not happen for hours and are not waited for.
WAITED_FOR = {"book": "book", "trade": "trades", "funding": "context", "oi": "context"}
ENOUGH_LAGS = 200
CLOCK_LIMIT_S = 1.0


class Finding(Struct, frozen=True, kw_only=True):
    """One line of the report. ``ok`` None: worth knowing, nothing is missing."""

    what: str
    ok: bool | None
    detail: str = ""


class Checkup:
    """One venue. ``instruments`` is None until its list has come."""

    def __init__(self, venue: str, provides: Sequence[str]) -> None:
        self.venue = venue
        self.instruments: tuple[str, ...] | None = None
        self.unlisted = "instruments not loaded"
        self.links: dict[int, str] = {}
        self.books: dict[str, str] = {}
        self.heard: dict[str, int] = {}
        self.said: dict[str, str] = {}
        self.lags_s: list[float] = []
        self._wanted = tuple(dict.fromkeys(WAITED_FOR[one] for one in provides if one in WAITED_FOR))

    def listed(self, instruments: Iterable[str]) -> None:
        """The venue's list has come, and these are wanted of it."""
        self.instruments = tuple(instruments)
        self.books = dict.fromkeys(self.instruments, "no snapshot")

    def see(self, outputs: Iterable[Any]) -> None:
        """What one frame made."""
        for event in outputs:
            kind = type(event)
            channel = CHANNELS.get(kind)
            if channel is not None:
                self._heard(channel, event)
            elif kind is BookValid:
                self.books[event.instrument] = ""
            elif kind is BookInvalid:
                self.books[event.instrument] = event.reason.value
            elif kind is LinkUp:
                self.links[event.conn] = ""
            elif kind is LinkDown:
                self.links[event.conn] = event.reason or "closed"
            elif kind is Notice:
                where = " ".join(part for part in (event.what, event.instrument or event.channel) if part)
                self.said[where] = event.detail

    def _heard(self, channel: str, event: Any) -> None:
        self.heard[channel] = self.heard.get(channel, 0) + 1
        if event.event_ns and type(event) is not TradeIgnored and len(self.lags_s) < ENOUGH_LAGS:
            self.lags_s.append((event.recv_ns - event.event_ns) / 1e9)

    @property
    def well(self) -> bool:
        """Whether nothing is missing (any more)."""
        return all(one.ok is not False for one in self.findings())

    def findings(self) -> Iterator[Finding]:
        """The report, line by line."""
        if self.instruments is None:
            yield Finding(what="instruments", ok=False, detail=self.unlisted)
            return
        yield Finding(
            what="instruments", ok=not self.unlisted, detail=self.unlisted or f"{len(self.instruments)} listed"
        )
        down = [f"socket {conn}: {why}" for conn, why in sorted(self.links.items()) if why]
        up = bool(self.links) and not down
        yield Finding(what="links", ok=up, detail=", ".join(down) or (f"{len(self.links)} open" if up else "none open"))
        for channel in self._wanted:
            count = self.heard.get(channel, 0)
            yield Finding(what=f"first {channel}", ok=count > 0, detail=f"{count:,} events" if count else "no data yet")
        unproven = [f"{name} ({why})" for name, why in self.books.items() if why]
        proven = len(self.books) - len(unproven)
        yield Finding(
            what="books",
            ok=not unproven and proven > 0,
            detail=f"{proven} of {len(self.books)} proven" + (f"; not: {', '.join(unproven)}" if unproven else ""),
        )
        yield self._clock()
        for where, detail in self.said.items():
            yield Finding(what=where, ok=None, detail=detail)

    def _clock(self) -> Finding:
        """Receive minus event time. What is below zero, or far above what a network takes, is a clock that is off."""
        if not self.lags_s:
            return Finding(what="clock", ok=None, detail="the venue gives no times")
        usual, least = median(self.lags_s), min(self.lags_s)
        told = f"receive minus event time: median {usual * 1e3:+.1f} ms, least {least * 1e3:+.1f} ms"
        if -0.005 <= least <= CLOCK_LIMIT_S:
            return Finding(what="clock", ok=None, detail=told)
        return Finding(what="clock", ok=None, detail=f"{told}; check this machine's clock (or the way to the venue)")


def as_data(venues: Mapping[str, Checkup], others: Sequence[Finding]) -> dict[str, Any]:
    """The whole report as plain data; ``ok`` is false when anything is missing."""
    told = {name: [_plain(one) for one in venue.findings()] for name, venue in venues.items()}
    ok = all(venue.well for venue in venues.values()) and all(one.ok is not False for one in others)
    return {"ok": ok, "venues": told, "others": [_plain(one) for one in others]}


def _plain(one: Finding) -> dict[str, Any]:
    return {"what": one.what, "ok": one.ok, "detail": one.detail}
