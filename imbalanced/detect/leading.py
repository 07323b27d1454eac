# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Signals from another instrument that moves first."""

from __future__ import annotations

from decimal import Decimal
from math import nan
from typing import TYPE_CHECKING, Annotated, ClassVar

import cython
from msgspec import Struct

if not cython.compiled:
    from imbalanced.detect.across import Follower, Post
    from imbalanced.detect.detector import Detector
else:
    from cython.cimports.imbalanced.detect.across import Follower, Post
    from cython.cimports.imbalanced.detect.detector import Detector

from imbalanced.detect.detector import DetectorOptions
from imbalanced.detect.standardiser import Standardise
from imbalanced.metrics.metric import NS_PER_MS, Grid
from imbalanced.options import Doc, Fault, Millis, Millis0, NonNegative, Positive, nearest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imbalanced.detect.across import Place
    from imbalanced.detect.detector import Known


class Leader(Struct, frozen=True, kw_only=True):
    """Who moves first."""

    venue: Annotated[str, Doc("one of the configured venues")]
    instrument: Annotated[str, Doc("unified symbol of one of its instruments")]


class LeadLagOptions(DetectorOptions, frozen=True, kw_only=True):
    """It must exceed the own spread, or it cannot be traded."""

    on: Annotated[Positive, Doc("open at a score of at least this")] = Decimal(1)
    off: Annotated[NonNegative, Doc("close below this")] = Decimal("0.3")
    min_duration_ms: Millis0 = 0
    cooldown_ms: Millis0 = 500
    max_age_ms: Millis = 2_000
    leader: Annotated[Leader, Doc("the instrument that moves first")]
    lag_ms: Annotated[Millis, Doc("over which both returns are taken")] = 200
    beta: Annotated[Positive, Doc("how much this instrument moves for the leader's move")] = Decimal(1)
    fresh_ms: Annotated[Millis, Doc("a leader that was last heard of before that says nothing")] = 2_000
    standardise: Standardise = Standardise(by="none")

    def faults(self, known: Known) -> Iterator[Fault]:
        listed = known.venues.get(self.leader.venue)
        if self.leader.venue not in known.venues:
            yield Fault("leader.venue", repr(self.leader.venue), nearest(self.leader.venue, known.venues))
        elif listed is not None and self.leader.instrument not in listed:
            yield Fault("leader.instrument", repr(self.leader.instrument), nearest(self.leader.instrument, listed))


@cython.cclass
class LeadLag(Detector):
    """``(beta * leader's return over the lag - own return) / own spread``: what a leader's move has still to bring.

    By receive time, which venues have in common; asked when the own book changes. Positive: the leader rose and this
    instrument has not followed. No value: one of both books is not proven, was last heard of before ``fresh``, or is
    younger than the lag; the spread is 0; the instrument is the leader. Source: Hoffmann, Rosenbaum & Yoshida 2013
    (``lead_lag`` estimates who leads and by how much).
    """

    Options: ClassVar[type[Struct]] = LeadLagOptions
    family: ClassVar[str] = "price"
    _own: Post
    _leader: Post
    _own_past: Follower
    _leader_past: Follower
    _lag_ns: cython.longlong
    _fresh_ns: cython.longlong
    _beta: cython.double
    _own_return: cython.double
    _leader_return: cython.double

    def __init__(self, kind: str, name: str, options: LeadLagOptions, grid: Grid) -> None:
        # Until it has a seat there is nobody to follow.
        self._own = Post()
        self._leader = Post()
        self._own_past = Follower(0)
        self._leader_past = Follower(0)
        self._lag_ns = options.lag_ms * NS_PER_MS
        self._fresh_ns = options.fresh_ms * NS_PER_MS
        self._beta = float(options.beta)
        self._own_return = nan
        self._leader_return = nan
        super().__init__(kind, name, options, [], True)

    def seated(self, place: Place, others: list[Detector]) -> None:
        leader = place.floor.post(self.options.leader.venue, self.options.leader.instrument)
        if leader is place.post:
            return
        self._own, self._leader = place.post, leader
        keep_ns = self._lag_ns + self._fresh_ns
        self._own_past, self._leader_past = place.post.follow(keep_ns), leader.follow(keep_ns)

    @cython.ccall
    def read(self) -> cython.double:
        own: Post = self._own
        leader: Post = self._leader
        then: cython.longlong = own.recv_ns - self._lag_ns
        own_past: cython.double
        leader_past: cython.double
        if not own.ok or not leader.ok or own.recv_ns - leader.recv_ns > self._fresh_ns or own.spread <= 0:
            return nan
        own_past = self._own_past.ago(then)
        leader_past = self._leader_past.ago(then)
        self._own_return = (own.mid - own_past) / own_past
        self._leader_return = (leader.mid - leader_past) / leader_past
        return (self._beta * self._leader_return - self._own_return) * own.mid / own.spread

    def evidence(self) -> dict[str, float | None]:
        return {
            "leader_bps": self._leader_return * 1e4,
            "own_bps": self._own_return * 1e4,
            "spread_bps": self._own.spread / self._own.mid * 1e4 if self._own.ok else None,
        }
