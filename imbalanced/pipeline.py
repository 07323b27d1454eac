"""Frames in, events, snapshots and signals out: the one pipeline behind live runs, replay and backtest.

``feed`` does everything that one frame causes, at once and in order, and returns what it made. What the world must do
for it (open, send, fetch, wake) is taken from ``commands``. The pipeline's own clock is a ``wake`` frame without a
venue.
"""

from __future__ import annotations

from decimal import Decimal
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from imbalanced.config import fingerprint
from imbalanced.crosscheck import CrossCheck
from imbalanced.detect import DETECTORS, FILTERS
from imbalanced.detect.across import Floor
from imbalanced.detect.agreement import missing
from imbalanced.detect.confidence import Confidence, Owner, Track
from imbalanced.detect.desk import Desk
from imbalanced.detect.detector import make as make_detector
from imbalanced.detect.filters import Chain, Kit, Moment, Peer
from imbalanced.detect.filters import make as make_filter
from imbalanced.detect.grading import Grader
from imbalanced.detect.signals import build, decimal_text, explained, mid_text, signal_id
from imbalanced.events import (
    BookChanged,
    BookInvalid,
    BookReplaced,
    BookValid,
    Explained,
    FilterAnswer,
    Liquidation,
    Mark,
    MetricSnapshot,
    Notice,
    Proof,
    Signal,
    Suppressed,
    Trade,
)
from imbalanced.metrics import METRICS
from imbalanced.metrics.lifecycle import CLOSE, FADED, OPEN, OPENED
from imbalanced.metrics.metric import Grid
from imbalanced.metrics.metric import make as make_metric
from imbalanced.naming import named
from imbalanced.session import Session
from imbalanced.venues import VENUES, with_key
from imbalanced.venues.codec import Endpoints, Wake

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from imbalanced.config import Config, Universe
    from imbalanced.detect.confidence import Calibration
    from imbalanced.detect.detector import Detector
    from imbalanced.detect.filters import Hearing
    from imbalanced.events import Frame, Instrument
    from imbalanced.lane import Lane
    from imbalanced.venues.codec import Command

NS_PER_MS = 1_000_000
# A period of the clock has so many steps, that many instruments apart: no step bears them all.
STEP_NS = 10 * NS_PER_MS
SEATS_A_STEP = 8
# Open signals are held against the filters again so often: the answers cost more than a tick and change slowly.
REVIEW_NS = 1_000_000_000


class Seat:
    """One instrument: its lane, its desk, and what its signals rest on."""

    def __init__(self, lane: Lane, desk: Desk, names: list[str], filters: Chain, grader: Grader) -> None:
        self.lane, self.desk, self.names, self.filters = lane, desk, names, filters
        self.instrument: Instrument = lane.instrument
        self.valid_since_ns = 0
        self.checks: tuple[str, ...] = ()
        self.told_updates = 0
        self.snapshot_due_ns = 0
        self.grader = grader
        self.trust: dict[str, Confidence] = {}
        self.quality: dict[str, float] = {}
        self.peers: list[Peer] = []


def furnish(
    config: Config, venue: str, instrument: Instrument, floor: Floor | None = None
) -> tuple[Desk, list[str], Chain]:
    """The desk of one instrument as configured, the names of its metrics, and its filters in the order they are
    asked. ``floor``: where the desks of a run see each other (none: it stands alone).
    """
    grid = Grid(instrument.price_scale, Decimal(instrument.tick) if instrument.tick else None, {})
    specs = config.metrics_of(venue)
    metrics = [make_metric(METRICS[spec.metric], spec.options, grid) for spec in specs]
    detectors = [
        make_detector(spec.kind, spec.name, DETECTORS, spec.options_for(instrument.symbol), grid)
        for spec in config.detectors_of(venue)
    ]
    parts = [make_detector(kind, kind, DETECTORS, DETECTORS[kind].Options(), grid) for kind in missing(detectors)]
    place = (floor or Floor()).seat(instrument)
    for one in parts:
        one.silent = True
    for one in (*parts, *detectors):
        one.seated(place, [*parts, *detectors])
    kit = Kit(grid)
    filters = {name: make_filter(FILTERS[name], options, kit) for name, options in config.filters_of(venue).items()}
    if not any(config.detectors_of(one) for one in config.venues):
        # Filters are asked by detectors, here and of the same asset elsewhere: without any, nothing is remembered for
        # them with every frame.
        filters, kit = {}, Kit(grid)
    elif "spoof" in filters:
        for one in (*parts, *detectors):
            one.age_by(kit.cohorts)
    desk = Desk(metrics, detectors, parts, place.post, kit.metrics)
    return desk, [spec.name for spec in specs], Chain(filters, kit)


class Pipeline:
    """One run's pure part. Instruments come from a listing; until there is one (recordings of others have none) those
    that are configured are taken from the frames, with ``discover`` all that are found;
    ``calibration``: where the confidence of signals begins.
    """

    def __init__(self, config: Config, *, discover: bool = False, calibration: Calibration | None = None) -> None:
        self.config = config
        self.fingerprint = fingerprint(config)
        self.track = Track(calibration)
        if calibration is not None:
            # What a signal rests on is the configuration and where its confidence began.
            both = f"{self.fingerprint} {calibration.digest()}"
            self.fingerprint = sha256(both.encode()).hexdigest()[:16]
        self.sessions: dict[str, Session] = {}
        self.seats: dict[tuple[str, str], Seat] = {}
        self.floor = Floor()
        self._commands: list[Command] = []
        self._clock_ns = self._step_ns = config.clock_ms * NS_PER_MS
        self._snapshots_ns = config.snapshots_ms * NS_PER_MS
        self._ticking = False
        self._stepped = 0
        self._cost = float(config.grading.round_trip_cost_bps) * 1e-4
        for venue, settings in config.venues.items():
            own = settings.endpoints
            endpoints = Endpoints(rest=own.rest.rstrip("/"), ws=own.ws.rstrip("/")) if own else None
            used = with_key(VENUES[venue], settings.credentials)
            self.sessions[venue] = Session(
                used.codec(venue, endpoints),
                discover=discover,
                wanted=_chosen(settings.instruments),
                provides=used.provides,
                outbox=self._commands,
            )
        self._crosscheck = CrossCheck(self.sessions)
        self._by_event: dict[type, Callable[[Any, Frame, list[Any]], None]] = {
            BookChanged: self._book_changed,
            BookReplaced: self._book_replaced,
            BookInvalid: self._book_invalid,
            BookValid: self._book_valid,
            Trade: self._trade,
            Mark: self._mark,
            Liquidation: self._liquidation,
            Notice: self._notice,
        }

    def feed(self, frame: Frame) -> list[Any]:
        """Everything that this frame makes true: events, metric snapshots and signals, in order."""
        if not self._ticking:
            self._ticking = True
            self._next_tick(frame.recv_ns)
        out: list[Any] = []
        session = self.sessions.get(frame.venue)
        if session is not None:
            events = session.receive(frame)
            if len(events) == 1 and type(events[0]) is BookChanged:  # nearly always: what follows comes behind it
                out = events
                self._book_changed(events[0], frame, out)
            else:
                for event in events:
                    out.append(event)
                    handler = self._by_event.get(type(event))
                    if handler is not None:
                        handler(event, frame, out)
        elif frame.kind == "wake" and not frame.venue:
            self._tick(frame, out)
        elif frame.kind == "stop":
            self._stop(frame, out)
        return out

    def commands(self) -> list[Command]:
        """What is to be done since the last time this was asked; empties the list."""
        if not self._commands:
            return []
        taken = self._commands.copy()
        self._commands.clear()
        return taken

    # -- instruments ---------------------------------------------------------------------------------------------------

    def seat(self, venue: str, instrument: str) -> Seat | None:
        """The seat of an instrument, made at its first book or trade."""
        found = self.seats.get((venue, instrument))
        if found is None:
            lane = self.sessions[venue].lane_of(instrument)
            if lane is None:
                return None
            found = self.seats[venue, instrument] = self._seated(venue, lane)
        return found

    def _seated(self, venue: str, lane: Lane) -> Seat:
        desk, names, filters = furnish(self.config, venue, lane.instrument, self.floor)
        grading = self.config.grading
        grader = Grader(grading.latency_ms, grading.horizons_ms, float(grading.round_trip_cost_bps), self.track)
        seat = Seat(lane, desk, names, filters, grader)
        for other in self.seats.values():
            if _asset(other.instrument) == _asset(seat.instrument):
                seat.peers.append(Peer(other.instrument, other.desk, other.filters.kit))
                other.peers.append(Peer(seat.instrument, desk, filters.kit))
        return seat

    # -- events --------------------------------------------------------------------------------------------------------

    def _book_changed(self, event: BookChanged, frame: Frame, out: list[Any]) -> None:
        seat = self.seats.get((event.venue, event.instrument)) or self.seat(event.venue, event.instrument)
        if seat is None:
            return
        if seat.desk.book_changed(event.book, event.event_ns, event.recv_ns):
            self._signals(seat, frame, out)
        if seat.grader.pending:
            out.extend(seat.grader.step(event.book, seat.desk.book_ns, event.recv_ns))

    def _book_replaced(self, event: BookReplaced, frame: Frame, out: list[Any]) -> None:
        seat = self.seat(event.venue, event.instrument)
        if seat is not None and seat.desk.book_replaced(event.book, event.event_ns, event.recv_ns):
            self._signals(seat, frame, out)

    def _book_valid(self, event: BookValid, frame: Frame, out: list[Any]) -> None:
        seat = self.seat(event.venue, event.instrument)
        if seat is not None and seat.lane is not self.sessions[event.venue].lane_of(event.instrument):
            # The venue has given the instrument another name: it begins anew, and so does all that is known of it.
            del self.seats[event.venue, event.instrument]
            seat = self.seat(event.venue, event.instrument)
        if seat is not None:
            seat.valid_since_ns = event.recv_ns
            seat.checks = event.checks

    def _book_invalid(self, event: BookInvalid, frame: Frame, out: list[Any]) -> None:
        seat = self.seat(event.venue, event.instrument)
        if seat is not None:
            out.extend(seat.grader.lost(event.recv_ns))
            if seat.desk.book_invalid(event.recv_ns):
                self._signals(seat, frame, out)

    def _trade(self, event: Trade, frame: Frame, out: list[Any]) -> None:
        seat = self.seats.get((event.venue, event.instrument)) or self.seat(event.venue, event.instrument)
        if seat is not None and seat.desk.trade(event.px, event.size, event.sign, event.event_ns, event.recv_ns):
            self._signals(seat, frame, out)

    def _mark(self, event: Mark, frame: Frame, out: list[Any]) -> None:
        seat = self.seat(event.venue, event.instrument)
        if seat is None:
            return
        if event.funding_rate is not None or event.index is not None:
            funding = {
                "type": "funding",
                "rate": event.funding_rate,
                "interval_h": event.funding_interval_h,
                "mark": event.mark,
                "index": event.index,
            }
            self._context(seat, funding, event, frame, out)
        if event.open_interest is not None:
            # Some venues tell open interest by itself: then the price is that of the book, if there is one.
            price = mid_text(seat.desk.book, seat.instrument.price_scale) if event.mark is None else event.mark
            if price is not None:
                interest: dict[str, object] = {"type": "oi", "oi": event.open_interest, "price": price}
                self._context(seat, interest, event, frame, out)
        if event.long_share is not None and event.short_share is not None:
            crowd = {"type": "ratio", "long": event.long_share, "short": event.short_share}
            self._context(seat, crowd, event, frame, out)

    def _liquidation(self, event: Liquidation, frame: Frame, out: list[Any]) -> None:
        seat = self.seat(event.venue, event.instrument)
        if seat is not None:
            forced = {
                "type": "liquidation",
                "side": "buy" if event.sign > 0 else "sell",
                "price": decimal_text(event.px, seat.instrument.price_scale),
                "size": event.size,
            }
            self._context(seat, forced, event, frame, out)

    def _context(
        self, seat: Seat, told: Mapping[str, object], event: Mark | Liquidation, frame: Frame, out: list[Any]
    ) -> None:
        if seat.desk.context(told, event.event_ns, event.recv_ns):
            self._signals(seat, frame, out)

    def _notice(self, event: Notice, frame: Frame, out: list[Any]) -> None:
        """A proof was lost or is back: what the signals of this venue rest on from now on."""
        if event.what in ("proof_lost", "proof_restored"):
            standing = self.sessions[event.venue].proofs.standing
            for seat in self.seats.values():
                if seat.instrument.venue == event.venue and seat.lane.valid:
                    seat.checks = standing

    # -- signals -------------------------------------------------------------------------------------------------------

    def _signals(self, seat: Seat, frame: Frame, out: list[Any]) -> None:
        for detector, said in seat.desk.fired:
            if said == OPEN:
                self._open(seat, detector, frame, out)
            else:
                out.append(self._trusted(seat, self._signal(seat, detector, said, frame)))

    def _open(self, seat: Seat, detector: Detector, frame: Frame, out: list[Any]) -> None:
        """A detector would open: not without its filters."""
        now = self._moment(seat, frame)
        hearing = seat.filters.ask(detector, now)
        refusal = hearing.refusal or self._muted(seat, detector, frame, hearing)
        if refusal:
            detector.lifecycle.suppress()
            out.append(
                Suppressed(
                    venue=seat.instrument.venue,
                    instrument=seat.instrument.symbol,
                    recv_ns=frame.recv_ns,
                    kind=detector.kind,
                    filter=refusal.name,
                    evidence=refusal.told,
                )
            )
            return
        seat.filters.opened(detector, now)
        detector.signal_id = signal_id(seat.instrument.venue, seat.instrument.symbol, detector, frame)
        detector.opened_recv_ns = frame.recv_ns
        seat.quality[detector.signal_id] = hearing.quality
        signal = self._trusted(seat, self._signal(seat, detector, OPEN, frame, hearing))
        out.append(signal)
        out.append(self._explained(seat, detector, signal, frame, hearing))
        seat.grader.opened(signal, seat.desk.book, seat.desk.book_ns)

    def _moment(self, seat: Seat, frame: Frame) -> Moment:
        return Moment(
            seat.desk, seat.valid_since_ns, frame.recv_ns, seat.instrument, tuple(seat.peers), self.track, self._cost
        )

    def _end_what_turned_bad(self, seat: Seat, now: Moment, frame: Frame, out: list[Any]) -> None:
        """A hard filter that fails while a signal is open ends it."""
        for detector in seat.desk.detectors:
            if detector.lifecycle.state == OPENED:
                refusal = seat.filters.ended_by(detector, now)
                if refusal is not None:
                    detector.lifecycle.close(FADED, seat.desk.time_of(detector))
                    signal = self._trusted(seat, self._signal(seat, detector, CLOSE, frame))
                    signal.evidence["ended_by"] = f"{refusal.name}: {refusal.told}"
                    out.append(signal)

    def _explained(self, seat: Seat, detector: Detector, signal: Signal, frame: Frame, hearing: Hearing) -> Explained:
        return explained(
            detector,
            signal,
            frame=frame,
            book=seat.desk.book,
            scale=seat.instrument.price_scale,
            values=seat.desk.values(seat.names),
            answers=hearing.answers,
        )

    def _muted(self, seat: Seat, detector: Detector, frame: Frame, hearing: Hearing) -> FilterAnswer | None:
        """A kind that has stopped to earn is held back where that is wished, and graded in silence, so that it can
        return.
        """
        owner = Owner(detector.kind, seat.instrument.venue, seat.instrument.symbol)
        if not (self.config.grading.mute_degraded and self.track.degraded(owner)):
            return None
        if not seat.grader.waits_for(detector.kind):
            held_back = self._signal(seat, detector, OPEN, frame, hearing)
            seat.grader.held_back(held_back, seat.desk.book, seat.desk.book_ns)
        return FilterAnswer(name="degraded", verdict="fail", told="this kind has stopped to earn here")

    def _trusted(self, seat: Seat, signal: Signal) -> Signal:
        """The signal with the confidence that it was opened with: what came since is no part of that decision."""
        if signal.event == "open":
            owner = Owner(signal.kind, signal.venue, signal.instrument)
            seat.trust[signal.id] = self.track.confidence(owner, signal.strength, seat.desk.book_ns)
            if self.track.degraded(owner):
                signal.evidence["degraded"] = 1.0
        trust = seat.trust.pop(signal.id) if signal.event == "close" else seat.trust[signal.id]
        signal.evidence["confidence_n"] = trust.n
        return replace(signal, confidence=trust.p)

    def _signal(
        self, seat: Seat, detector: Detector, said: int, frame: Frame, hearing: Hearing | None = None
    ) -> Signal:
        desk, instrument = seat.desk, seat.instrument
        ts_ns = desk.time_of(detector) or desk.latest_ns
        proof = Proof(
            book_seq=seat.lane.sync.last_id if seat.lane.valid else -1,
            book_age_ms=(frame.recv_ns - seat.valid_since_ns) // NS_PER_MS,
            checks=[*seat.checks, *(hearing.passed if hearing is not None else ())],
            gaps_1h=seat.lane.gaps_1h(frame.recv_ns),
            event_lag_ms=(frame.recv_ns - ts_ns) // NS_PER_MS,
        )
        identity = {"venue": instrument.venue, "instrument": instrument.symbol, "config": self.fingerprint}
        signal = build(
            detector,
            said,
            frame=frame,
            ts_ns=ts_ns,
            mid=mid_text(desk.book, instrument.price_scale),
            proof=proof,
            identity=identity,
        )
        quality = hearing.quality if hearing is not None else seat.quality.get(signal.id, 1.0)
        if hearing is not None and hearing.answers:
            signal.evidence.update(hearing.numbers)
            signal.evidence["quality"] = quality
        if said == CLOSE:
            seat.quality.pop(signal.id, None)
        return replace(signal, strength=signal.strength * quality)

    def _stop(self, frame: Frame, out: list[Any]) -> None:
        """The orderly end: every open signal is closed, in the order of their ids."""
        still_open = [
            (detector.signal_id, detector.name, seat, detector)
            for seat in self.seats.values()
            for detector in seat.desk.detectors
            if detector.lifecycle.state == OPENED
        ]
        for _, _, seat, detector in sorted(still_open, key=lambda one: one[:2]):
            detector.lifecycle.invalid(seat.desk.latest_ns)
            signal = self._trusted(seat, self._signal(seat, detector, CLOSE, frame))
            out.append(_because(signal, "shutdown"))

    # -- the clock -----------------------------------------------------------------------------------------------------

    def _next_tick(self, now_ns: int) -> None:
        self._commands.append(Wake(venue="", at_ns=(now_ns // self._step_ns + 1) * self._step_ns))

    def _steps(self) -> int:
        """In how many steps a period is gone: few instruments have one, many as many as keep each step short."""
        return max(min(-(-len(self.seats) // SEATS_A_STEP), self._clock_ns // STEP_NS), 1)

    def _tick(self, frame: Frame, out: list[Any]) -> None:
        steps = self._steps()
        step_ns = self._clock_ns // steps
        if step_ns != self._step_ns:
            self._step_ns, self._stepped = step_ns, 0
        self._next_tick(frame.recv_ns)
        silences: list[Any] = []
        self._crosscheck.look(frame, silences)
        for event in silences:
            out.append(event)
            if type(event) is BookInvalid:
                self._book_invalid(event, frame, out)
        # A clock that comes late has passed over steps: they are made up for, each instrument once.
        number = frame.recv_ns // step_ns
        seats = list(self.seats.values())
        for step in range(max(self._stepped + 1, number - steps + 1), number + 1):
            for place in range(step % steps, len(seats), steps):
                self._clock(seats[place], step // steps + place // steps, frame, out)
        self._stepped = number

    def _clock(self, seat: Seat, turn: int, frame: Frame, out: list[Any]) -> None:
        """Time has passed for one instrument. ``turn`` counts its periods."""
        fired = seat.desk.clock(frame.recv_ns)
        if seat.filters:
            seat.filters.observe(self._moment(seat, frame))
        if fired:
            self._signals(seat, frame, out)
        if seat.filters and turn % max(REVIEW_NS // self._clock_ns, 1) == 0:
            self._end_what_turned_bad(seat, self._moment(seat, frame), frame, out)
        if seat.grader.pending:
            out.extend(seat.grader.step(seat.desk.book, seat.desk.book_ns, frame.recv_ns))
        if frame.recv_ns >= seat.snapshot_due_ns:
            seat.snapshot_due_ns = (frame.recv_ns // self._snapshots_ns + 1) * self._snapshots_ns
            if seat.desk.updates != seat.told_updates:
                out.append(self._snapshot(seat, frame))

    def _snapshot(self, seat: Seat, frame: Frame) -> MetricSnapshot:
        conflated = seat.desk.updates - seat.told_updates
        seat.told_updates = seat.desk.updates
        return MetricSnapshot(
            venue=seat.instrument.venue,
            instrument=seat.instrument.symbol,
            ts_ns=seat.desk.latest_ns,
            recv_ns=frame.recv_ns,
            book_seq=seat.lane.sync.last_id if seat.lane.valid else -1,
            mid=mid_text(seat.desk.book, seat.instrument.price_scale),
            values=seat.desk.values(seat.names),
            conflated=conflated,
        )


def _chosen(instruments: tuple[str, ...] | Universe) -> Callable[[Instrument], Instrument | None]:
    """What the configuration takes for an instrument that was found."""
    if isinstance(instruments, tuple):
        return named(instruments)
    quote = instruments.quote
    return lambda found: found if quote is None or quote in (found.quote or found.venue_symbol.upper()) else None


def _asset(instrument: Instrument) -> str:
    return instrument.base or instrument.symbol.partition("/")[0]


def _because(signal: Signal, reason: Any) -> Signal:
    """The same close for another reason."""
    return replace(signal, reason=reason)
