"""The daemon's numbers as Prometheus families. Names, labels and units are those of interface.md.

No globals; everything is read from :class:`~imbalanced.sinks.meters.Meters` at scrape time, on the loop's thread and so
never in the middle of a frame. To make text of it takes longer than any frame: that may be done in another thread.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from msgspec import Struct
from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder

from imbalanced.events import MetricSnapshot
from imbalanced.sinks.meters import BOOK_STATES, STREAM_STATES, Histogram, Meters, VenueMeter

__all__ = ["Prometheus", "PrometheusOptions"]


class PrometheusOptions(Struct, frozen=True, kw_only=True):
    """What ``build_info`` says."""

    version: str
    compiled: bool


class Prometheus:
    """What ``/metrics`` answers: :meth:`families`, then :meth:`text` of them."""

    def __init__(self, meters: Meters, options: PrometheusOptions) -> None:
        self._families = _Families(meters, options)
        # They register themselves somewhere, whether one likes it or not.
        nobody = CollectorRegistry()
        self._of_process = (ProcessCollector(registry=nobody), GCCollector(registry=nobody))

    def families(self) -> list[Metric]:
        """All numbers as they are now. Call it on the loop's thread."""
        return list(self._families.collect())

    def text(self, families: Sequence[Metric], accept_header: str = "") -> tuple[bytes, str]:
        """Body and content type, OpenMetrics for those who accept it. In any thread: nothing of the run is touched."""
        encode, content_type = choose_encoder(accept_header)
        return encode(_Taken((*families, *(one for part in self._of_process for one in part.collect())))), content_type


class _Taken(CollectorRegistry):
    """A registry of what was taken, for the encoders of the library."""

    def __init__(self, families: Sequence[Metric]) -> None:
        super().__init__()
        self._all = families

    def collect(self) -> Iterator[Metric]:
        return iter(self._all)


class _Families:
    def __init__(self, meters: Meters, options: PrometheusOptions) -> None:
        self._meters = meters
        self._options = options

    def collect(self) -> Iterator[Metric]:
        meters = self._meters
        compiled = "true" if self._options.compiled else "false"
        yield _gauges(
            "build_info", "Version, and whether the kernels are compiled; always 1",
            ("version", "compiled"), {(self._options.version, compiled): 1},
        )  # fmt: skip
        yield from _venues(meters)
        yield from _books(meters)
        yield from _signals(meters)
        yield from _sinks(meters)
        yield from _selected(meters)
        lag = meters.event_loop_lag_s
        yield _gauges("event_loop_lag_seconds", "How late the event loop runs what is due", (), {(): lag})


def _venues(meters: Meters) -> Iterator[Metric]:
    venues = meters.venues

    def of(pick: str) -> dict[tuple[str, ...], int]:
        return {(name,): getattr(meter, pick) for name, meter in venues.items()}

    yield _counters("frames", "Frames received", ("venue",), of("frames"))
    yield _counters("frame_bytes", "Bytes of frames received", ("venue",), of("frame_bytes"))
    yield _counters("parse_errors", "Frames that could not be understood", ("venue",), of("parse_errors"))
    yield _counters("trades", "Public trades", ("venue",), of("trades"))
    yield _gauges(
        "link_up", "1 while a socket of the venue is open", ("venue",), {(n,): _is_up(m) for n, m in venues.items()}
    )
    yield _counters("reconnects", "Sockets that went down", ("venue", "reason"), meters.reconnects)
    yield _histograms(
        "event_lag_seconds", "Receive minus event time, where the clocks allow",
        ("venue",), {(name,): meter.event_lag for name, meter in venues.items()},
    )  # fmt: skip
    yield _histograms(
        "pipeline_seconds", "Frame received to outputs ready",
        ("venue",), {(name,): meter.pipeline for name, meter in venues.items()},
    )  # fmt: skip


def _books(meters: Meters) -> Iterator[Metric]:
    meters.refresh()
    books: Counter[tuple[str, str]] = Counter({(venue, state): 0 for venue in meters.venues for state in BOOK_STATES})
    books.update((venue, state) for (venue, _), state in meters.books.items())
    streams: Counter[tuple[str, str, str]] = Counter(
        {(*labels, state): 0 for labels in meters.stream_labels for state in STREAM_STATES}
    )
    streams.update((venue, channel, state) for (venue, channel, _), state in meters.streams.items())
    yield _gauges("books", "Books by state", ("venue", "state"), books)
    yield _counters("book_gaps", "Losses of trust in a book", ("venue", "kind"), meters.gaps)
    yield _counters("book_resyncs", "Attempts to prove a book again", ("venue", "result"), meters.resyncs)
    yield _gauges("streams", "Streams by state", ("venue", "channel", "state"), streams)
    yield _gauges("proof_state", "1 while a proof of the venue is trusted", ("venue", "proof"), meters.proofs)


def _signals(meters: Meters) -> Iterator[Metric]:
    still_open = {(kind,): len(ids) for kind, ids in meters.signals_open.items()}
    yield _counters("signals", "Signals opened", ("kind", "side"), meters.signals)
    yield _gauges("signals_open", "Signals open now", ("kind",), still_open)
    yield _counters(
        "signals_ungraded",
        "Opened signals whose book was lost before their horizons",
        ("kind",),
        {(kind,): count for kind, count in meters.ungraded.items()},
    )
    yield _counters("signals_suppressed", "Opens held back by a filter", ("kind", "filter"), meters.suppressed)
    yield _histograms("signal_latency_seconds", "Frame received to journal", (), {(): meters.signal_latency})
    yield _histograms(
        "signal_forward_return_ratio", "Net forward return in the signal's direction",
        ("kind", "horizon"), meters.forward_returns,
    )  # fmt: skip


def _sinks(meters: Meters) -> Iterator[Metric]:
    yield _gauges("sink_lag", "Signals a sink is behind", ("sink",), {(s.name,): s.lag for s in meters.sinks})
    yield _counters("sink_errors", "Failures of a sink", ("sink",), {(s.name,): s.errors for s in meters.sinks})
    yield _gauges("subscribers", "Websocket subscribers", (), {(): meters.subscribers()})
    drops = {(reason,): count for reason, count in meters.subscriber_drops().items()}
    yield _counters("subscriber_dropped", "Subscribers sent away", ("reason",), drops)


def _selected(meters: Meters) -> Iterator[Metric]:
    """One family a value: ``vwap_deviation`` selects ``vwap_deviation.z`` too. An unknown value has no sample."""
    families: dict[str, dict[tuple[str, ...], float]] = {}
    for key, snapshot in meters.snapshots.items():
        for name, value in _wanted(snapshot, meters.selected):
            family = families.setdefault(_family(name), {})
            if value is not None:
                family[key] = value
    for name, values in families.items():
        yield _gauges(f"metric_{name}", "Latest value of the metric", ("venue", "instrument"), values)


def _wanted(snapshot: MetricSnapshot, selected: tuple[str, ...]) -> Iterable[tuple[str, float | None]]:
    return [(name, v) for name, v in snapshot.values.items() if name in selected or name.split(".")[0] in selected]


def _family(name: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_]", "_", name)


def _is_up(meter: VenueMeter) -> int:
    return 1 if meter.links_up else 0


Labels = TypeVar("Labels", bound=tuple[str, ...])


def _counters(name: str, text: str, labels: Sequence[str], values: Mapping[Labels, int]) -> Metric:
    family = CounterMetricFamily(f"imbalanced_{name}", text, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def _gauges(name: str, text: str, labels: Sequence[str], values: Mapping[Labels, float]) -> Metric:
    family = GaugeMetricFamily(f"imbalanced_{name}", text, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def _histograms(name: str, text: str, labels: Sequence[str], values: Mapping[Labels, Histogram]) -> Metric:
    family = HistogramMetricFamily(f"imbalanced_{name}", text, labels=labels)
    for key, histogram in values.items():
        family.add_metric(key, _buckets(histogram), histogram.sum)
    return family


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    """Cumulative, as the format wants them; the library leaves the sum out where bounds are negative."""
    buckets: list[tuple[str, float]] = []
    total = 0
    for bound, count in zip((*map(repr, histogram.bounds), "+Inf"), histogram.counts, strict=True):
        total += count
        buckets.append((bound, total))
    return buckets
