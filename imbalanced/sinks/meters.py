"""What is counted while the daemon runs: plain integers, cheap enough for every frame, without any metrics library.

:class:`Meters` is told of events (:meth:`Meters.observe`) and, for the hottest numbers, counted on directly
(``meters.venue(name).frames += 1``). How it is exposed is :mod:`~imbalanced.sinks.prometheus`'s business.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from imbalanced.events import (
    BookChanged,
    BookInvalid,
    BookValid,
    GapKind,
    Graded,
    LinkDown,
    LinkUp,
    MetricSnapshot,
    Notice,
    ResyncEnded,
    Signal,
    StreamState,
    Trade,
    Ungraded,
)
from imbalanced.options import duration_text
from imbalanced.states import State

if TYPE_CHECKING:
    from imbalanced.lane import Lane

__all__ = ["LATENCY_BUCKETS", "RETURN_BUCKETS", "Histogram", "Meters", "SinkView", "VenueMeter"]

# Seconds, 50 us to 5 s.
LATENCY_BUCKETS = (
    50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
)  # fmt: skip
# Ratios: 1 bp is 0.0001.
RETURN_BUCKETS = (-0.01, -0.005, -0.002, -0.001, -5e-4, -2e-4, -1e-4, 0.0, 1e-4, 2e-4, 5e-4, 0.001, 0.002, 0.005, 0.01)

BOOK_STATES = ("pending", *(state.value for state in State))  # pending: configured, not listed yet
STREAM_STATES = ("live", "silent", "stale")
SIDES = ("buy", "sell", "none")
RESYNC_RESULTS = ("ok", "failed")
# Why a link went down is free text for people; a label needs a closed set. What is not in it is `other`.
LINK_REASONS = (*(kind.value for kind in GapKind), "rotated", "message_too_big", "connect_failed", "stopped", "other")


class SinkView(Protocol):
    """What is read of an outlet at scrape time."""

    name: str
    errors: int

    @property
    def lag(self) -> int: ...


class Histogram:
    """Counts per bucket and a sum: 0.2 us an observation, a tenth of the library's."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float] = LATENCY_BUCKETS) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


class VenueMeter:
    """The hot counters of one venue; add to them directly."""

    __slots__ = ("event_lag", "frame_bytes", "frames", "links_up", "parse_errors", "pipeline", "trades")

    def __init__(self) -> None:
        self.frames = 0
        self.frame_bytes = 0
        self.parse_errors = 0
        self.trades = 0
        self.links_up: set[int] = set()
        self.event_lag = Histogram()
        self.pipeline = Histogram()

    def lag(self, recv_ns: int, event_ns: int) -> None:
        """Receive minus event time. Negative is a clock that is off, not a latency: left out."""
        if 0 < event_ns <= recv_ns:
            self.event_lag.observe((recv_ns - event_ns) * 1e-9)


class Meters:
    """All of the daemon's numbers. ``selected``: the metrics that get a family ``metric_NAME``."""

    def __init__(self, selected: Iterable[str] = ()) -> None:
        self.venues: dict[str, VenueMeter] = {}
        self.books: dict[tuple[str, str], str] = {}
        self.streams: dict[tuple[str, str, str], str] = {}
        self.stream_labels: set[tuple[str, str]] = set()
        self.gaps: Counter[tuple[str, str]] = Counter()
        self.resyncs: Counter[tuple[str, str]] = Counter()
        self.reconnects: Counter[tuple[str, str]] = Counter()
        self.signals: Counter[tuple[str, str]] = Counter()
        self.suppressed: Counter[tuple[str, str]] = Counter()
        self.ungraded: Counter[str] = Counter()
        self.signals_open: dict[str, set[str]] = {}
        self.forward_returns: dict[tuple[str, str], Histogram] = {}
        self.proofs: dict[tuple[str, str], int] = {}
        self.snapshots: dict[tuple[str, str], MetricSnapshot] = {}
        self.signal_latency = Histogram()
        self.event_loop_lag_s = 0.0
        # Looks up what books and streams are now, before they are counted; by default what events said of them.
        self.refresh: Callable[[], None] = lambda: None
        self.sinks: list[SinkView] = []
        self.subscribers: Callable[[], int] = lambda: 0
        self.subscriber_drops: Callable[[], Counter[str]] = Counter
        self.selected = tuple(selected)
        self._observers: dict[type, Callable[[Any], None]] = {
            BookChanged: self._book_changed,
            BookInvalid: self._book_invalid,
            BookValid: self._book_valid,
            LinkDown: self._link_down,
            LinkUp: self._link_up,
            Graded: self._graded,
            Ungraded: self._ungraded,
            MetricSnapshot: self._snapshot,
            Notice: self._notice,
            ResyncEnded: self._resync_ended,
            Signal: self._signal,
            StreamState: self._stream_state,
            Trade: self._trade,
        }

    def declare(
        self,
        *,
        books: Iterable[tuple[str, str]] = (),
        venues: Iterable[str] = (),
        channels: Iterable[tuple[str, str]] = (),
        kinds: Iterable[str] = (),
        filters: Iterable[str] = (),
        horizons: Iterable[str] = (),
    ) -> None:
        """What is configured: its series exist with 0 from the start, so that ``rate()`` sees the first event.

        ``books`` are (venue, instrument), ``channels`` (venue, channel), ``horizons`` words such as ``5s``.
        """
        for venue, instrument in books:
            self.venue(venue)
            self.books.setdefault((venue, instrument), "pending")
        for venue in venues:
            self.venue(venue)
        self.stream_labels.update(channels)
        filters, horizons = tuple(filters), tuple(horizons)
        for kind in kinds:
            self.signals_open.setdefault(kind, set())
            for side in SIDES:
                self.signals[kind, side] += 0
            for name in filters:
                self.suppressed[kind, name] += 0
            for horizon in horizons:
                self._forward(kind, horizon)

    def venue(self, name: str) -> VenueMeter:
        """The meter of a venue, made when first asked for."""
        meter = self.venues.get(name)
        if meter is None:
            meter = self.venues[name] = VenueMeter()
            for kind in GapKind:
                self.gaps[name, kind.value] += 0
            for result in RESYNC_RESULTS:
                self.resyncs[name, result] += 0
            for reason in LINK_REASONS:
                self.reconnects[name, reason] += 0
        return meter

    def observe(self, event: object) -> None:
        """Any event, snapshot or signal; those that are not counted cost one look into a dict."""
        observer = self._observers.get(type(event))
        if observer is not None:
            observer(event)

    def observe_all(self, events: Iterable[object]) -> None:
        for event in events:
            self.observe(event)

    def suppress(self, kind: str, filter_name: str) -> None:
        """A filter held an open back."""
        self.suppressed[kind, filter_name] += 1

    def forward_return(self, kind: str, horizon: str, ratio: float) -> None:
        """The graded forward return of a signal, in the signal's direction."""
        self._forward(kind, horizon).observe(ratio)

    def watch(self, sink: SinkView) -> None:
        """An outlet whose lag and errors are read at each scrape."""
        self.sinks.append(sink)

    def watch_subscribers(self, count: Callable[[], int], drops: Callable[[], Counter[str]]) -> None:
        """Where the subscribers are counted (the websocket sink)."""
        self.subscribers = count
        self.subscriber_drops = drops

    def see(self, venue: str, lane: Lane) -> None:
        """What a book and its streams are now."""
        self.books[venue, lane.instrument.symbol] = lane.state.value
        for channel, stream in lane.seen().items():
            if stream.state or stream.count:
                self.streams[venue, channel, lane.instrument.symbol] = stream.state or "live"
                self.stream_labels.add((venue, channel))

    def _forward(self, kind: str, horizon: str) -> Histogram:
        return self.forward_returns.setdefault((kind, horizon), Histogram(RETURN_BUCKETS))

    def _book_changed(self, event: BookChanged) -> None:
        self.venue(event.venue).lag(event.recv_ns, event.event_ns)

    def _trade(self, event: Trade) -> None:
        meter = self.venue(event.venue)
        meter.trades += 1
        meter.lag(event.recv_ns, event.event_ns)

    def _book_valid(self, event: BookValid) -> None:
        self.venue(event.venue)
        self.books[event.venue, event.instrument] = "live"
        for check in event.checks:
            self.proofs[event.venue, check] = 1

    def _book_invalid(self, event: BookInvalid) -> None:
        self.venue(event.venue)
        self.gaps[event.venue, event.reason.value] += 1
        self.books[event.venue, event.instrument] = State.RESYNCING.value
        # The values of a book that is not trusted are unknown, not what they last were.
        self.snapshots.pop((event.venue, event.instrument), None)

    def _resync_ended(self, event: ResyncEnded) -> None:
        self.venue(event.venue)
        self.resyncs[event.venue, "ok" if event.ok else "failed"] += 1

    def _link_up(self, event: LinkUp) -> None:
        self.venue(event.venue).links_up.add(event.conn)

    def _link_down(self, event: LinkDown) -> None:
        self.venue(event.venue).links_up.discard(event.conn)
        reason = event.reason.partition(" ")[0]  # behind it stands the code of the close
        self.reconnects[event.venue, reason if reason in LINK_REASONS else "other"] += 1

    def _stream_state(self, event: StreamState) -> None:
        self.streams[event.venue, event.channel, event.instrument] = event.state
        self.stream_labels.add((event.venue, event.channel))

    def _notice(self, event: Notice) -> None:
        meter = self.venue(event.venue)
        if event.what == "parse_error":
            meter.parse_errors += 1
        elif event.what == "trade_gap":
            self.gaps[event.venue, GapKind.TRADE_GAP.value] += 1
        elif event.what == "proof_lost":
            self.proofs[event.venue, event.channel or "unknown"] = 0
        elif event.what == "proof_restored":
            self.proofs[event.venue, event.channel] = 1

    def _signal(self, signal: Signal) -> None:
        is_open = self.signals_open.setdefault(signal.kind, set())
        if signal.event == "open":
            self.signals[signal.kind, signal.side] += 1
            is_open.add(signal.id)
        elif signal.event == "close":
            is_open.discard(signal.id)

    def _graded(self, event: Graded) -> None:
        self.forward_return(event.kind, duration_text(event.horizon_ms * 1_000_000), event.net)

    def _ungraded(self, event: Ungraded) -> None:
        self.ungraded[event.kind] += 1

    def _snapshot(self, snapshot: MetricSnapshot) -> None:
        if self.selected:
            self.snapshots[snapshot.venue, snapshot.instrument] = snapshot
