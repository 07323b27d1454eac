"""The exposition: names, labels and units to the letter, zeros from the start, and what each event counts."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from prometheus_client import REGISTRY
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families
from sink_helpers import closed, signal, snapshot

from imbalanced.events import (
    BookInvalid,
    BookValid,
    GapKind,
    LinkDown,
    LinkUp,
    Mark,
    Notice,
    ResyncEnded,
    StreamState,
    Trade,
    Ungraded,
)
from imbalanced.sinks.meters import LATENCY_BUCKETS, Histogram, Meters
from imbalanced.sinks.prometheus import Prometheus, PrometheusOptions

# interface.md, "Prometheus": name as exposed -> labels.
FAMILIES = {
    "frames_total": {"venue"},
    "frame_bytes_total": {"venue"},
    "parse_errors_total": {"venue"},
    "books": {"venue", "state"},
    "book_gaps_total": {"venue", "kind"},
    "book_resyncs_total": {"venue", "result"},
    "trades_total": {"venue"},
    "event_lag_seconds_bucket": {"venue", "le"},
    "pipeline_seconds_bucket": {"venue", "le"},
    "signal_latency_seconds_bucket": {"le"},
    "signals_total": {"kind", "side"},
    "signals_open": {"kind"},
    "signals_suppressed_total": {"kind", "filter"},
    "signal_forward_return_ratio_bucket": {"kind", "horizon", "le"},
    "sink_lag": {"sink"},
    "sink_errors_total": {"sink"},
    "subscribers": set(),
    "subscriber_dropped_total": {"reason"},
    "metric_ofi": {"venue", "instrument"},
    "streams": {"venue", "channel", "state"},
    "proof_state": {"venue", "proof"},
    "link_up": {"venue"},
    "reconnects_total": {"venue", "reason"},
    "event_loop_lag_seconds": set(),
    "build_info": {"version", "compiled"},
}
BOOK: dict[str, Any] = {"venue": "okx", "instrument": "BTC/USDT", "recv_ns": 2_000_000}


class View:
    name = "redis"
    errors = 3
    lag = 7


@pytest.fixture
def meters() -> Meters:
    meters = Meters(selected=["ofi", "vwap_deviation"])
    meters.declare(
        books=[("okx", "BTC/USDT")],
        venues=["kraken"],
        channels=[("okx", "trades")],
        kinds=["sweep"],
        filters=["spoof"],
        horizons=["5s"],
    )
    return meters


def samples(meters: Meters, accept: str = "") -> dict[str, list[Any]]:
    body, content_type = exposition(meters, accept)
    parse = parse_openmetrics if "openmetrics" in content_type else text_string_to_metric_families
    found: dict[str, list[Any]] = {}
    for family in parse(body):
        for sample in family.samples:
            found.setdefault(sample.name, []).append(sample)
    return found


def exposition(meters: Meters, accept: str = "") -> tuple[str, str]:
    prometheus = Prometheus(meters, PrometheusOptions(version="1.2.3", compiled=True))
    body, content_type = prometheus.text(prometheus.families(), accept)
    return body.decode(), content_type


def value(meters: Meters, name: str, **labels: str) -> float:
    [found] = [s.value for s in samples(meters)[f"imbalanced_{name}"] if s.labels == labels]
    return float(found)


@pytest.mark.parametrize("accept", ["", "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"])
def test_every_family_of_the_interface(meters: Meters, accept: str) -> None:
    meters.observe(BookValid(**BOOK, book_seq=1, checks=("sequence",)))
    meters.observe(snapshot("BTC/USDT"))
    meters.watch(View())
    meters.watch_subscribers(lambda: 2, lambda: Counter({"slow": 1}))
    found = samples(meters, accept)
    for name, labels in FAMILIES.items():
        assert set(found[f"imbalanced_{name}"][0].labels) == labels, name
    ours = {name.removeprefix("imbalanced_") for name in found if name.startswith("imbalanced_")}
    rest = {n for n in ours - set(FAMILIES) if not n.endswith(("_sum", "_count", "_created"))}
    assert rest == set()
    assert {"process_cpu_seconds_total", "process_resident_memory_bytes", "python_gc_collections_total"} <= set(found)


def test_content_types() -> None:
    assert exposition(Meters())[1].startswith("text/plain; version=0.0.4")
    body, content_type = exposition(Meters(), "application/openmetrics-text; version=1.0.0; charset=utf-8")
    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    assert body.endswith("# EOF\n")


def test_what_is_known_is_zero_from_the_start(meters: Meters) -> None:
    assert value(meters, "book_gaps_total", venue="kraken", kind="sequence_gap") == 0
    assert value(meters, "reconnects_total", venue="okx", reason="socket_closed") == 0
    assert value(meters, "book_resyncs_total", venue="okx", result="failed") == 0
    assert value(meters, "signals_total", kind="sweep", side="sell") == 0
    assert value(meters, "signals_suppressed_total", kind="sweep", filter="spoof") == 0
    assert value(meters, "books", venue="okx", state="pending") == 1
    assert value(meters, "books", venue="okx", state="live") == 0
    assert value(meters, "streams", venue="okx", channel="trades", state="stale") == 0
    assert value(meters, "link_up", venue="okx") == 0
    assert value(meters, "build_info", version="1.2.3", compiled="true") == 1


def test_a_book_lives_and_dies(meters: Meters) -> None:
    meters.observe(BookValid(**BOOK, book_seq=1, checks=("sequence", "checksum")))
    meters.observe(snapshot("BTC/USDT"))
    assert value(meters, "books", venue="okx", state="live") == 1
    assert value(meters, "proof_state", venue="okx", proof="checksum") == 1
    assert value(meters, "metric_ofi", venue="okx", instrument="BTC/USDT") == 12.5
    meters.observe(BookInvalid(**BOOK, reason=GapKind.CHECKSUM_MISMATCH))
    meters.observe(ResyncEnded(**BOOK, ok=False, reason="again"))
    meters.observe(ResyncEnded(**BOOK, ok=True))
    assert value(meters, "books", venue="okx", state="resyncing") == 1
    assert value(meters, "book_gaps_total", venue="okx", kind="checksum_mismatch") == 1
    assert value(meters, "book_resyncs_total", venue="okx", result="failed") == 1
    assert value(meters, "book_resyncs_total", venue="okx", result="ok") == 1
    assert "imbalanced_metric_ofi" not in samples(meters)  # unknown, not what it last was


def test_links(meters: Meters) -> None:
    meters.observe(LinkUp(venue="okx", conn=1, recv_ns=1))
    assert value(meters, "link_up", venue="okx") == 1
    meters.observe(LinkDown(venue="okx", conn=1, recv_ns=2, reason="heartbeat_missed"))
    meters.observe(LinkDown(venue="okx", conn=1, recv_ns=2, reason="1006 no close frame at 12:03"))
    assert value(meters, "link_up", venue="okx") == 0
    assert value(meters, "reconnects_total", venue="okx", reason="heartbeat_missed") == 1
    assert value(meters, "reconnects_total", venue="okx", reason="other") == 1


def test_streams(meters: Meters) -> None:
    meters.observe(StreamState(**BOOK, channel="trades", state="live"))
    meters.observe(StreamState(**BOOK, channel="trades", state="silent"))
    assert value(meters, "streams", venue="okx", channel="trades", state="silent") == 1
    assert value(meters, "streams", venue="okx", channel="trades", state="live") == 0


def test_notices(meters: Meters) -> None:
    for what in ("parse_error", "trade_gap", "proof_lost", "rest_error"):
        meters.observe(Notice(venue="okx", what=what, recv_ns=1, channel="checksum"))
    assert value(meters, "parse_errors_total", venue="okx") == 1
    assert value(meters, "book_gaps_total", venue="okx", kind="trade_gap") == 1
    assert value(meters, "proof_state", venue="okx", proof="checksum") == 0


def test_trades_and_their_lag(meters: Meters) -> None:
    trade = {**BOOK, "px": 1, "size": 1.0, "sign": 1, "trade_id": 1}
    meters.observe_all([Trade(**trade, event_ns=1_000_000), Trade(**trade), Trade(**trade, event_ns=3_000_000)])
    assert value(meters, "trades_total", venue="okx") == 3
    # 1 ms once; no event time, and a clock that is ahead of ours, are no latency.
    assert value(meters, "event_lag_seconds_count", venue="okx") == 1
    assert value(meters, "event_lag_seconds_sum", venue="okx") == pytest.approx(0.001)
    assert value(meters, "event_lag_seconds_bucket", venue="okx", le="0.001") == 1


def test_hot_counters_are_plain_numbers(meters: Meters) -> None:
    okx = meters.venue("okx")
    okx.frames += 2
    okx.frame_bytes += 1096
    okx.pipeline.observe(20e-6)
    assert value(meters, "frames_total", venue="okx") == 2
    assert value(meters, "frame_bytes_total", venue="okx") == 1096
    assert value(meters, "pipeline_seconds_bucket", venue="okx", le="5e-05") == 1


def test_signals(meters: Meters) -> None:
    meters.observe_all([signal(1), signal(2, side="sell"), signal(1, event="update"), closed(1)])
    meters.suppress("sweep", "spoof")
    meters.signal_latency.observe(0.002)
    meters.forward_return("sweep", "5s", -0.0003)
    assert value(meters, "signals_total", kind="order_flow_imbalance", side="buy") == 1
    assert value(meters, "signals_total", kind="order_flow_imbalance", side="sell") == 1
    assert value(meters, "signals_open", kind="order_flow_imbalance") == 1
    assert value(meters, "signals_suppressed_total", kind="sweep", filter="spoof") == 1
    assert value(meters, "signal_latency_seconds_count") == 1
    buckets = samples(meters)["imbalanced_signal_forward_return_ratio_bucket"]
    assert {s.labels["le"]: s.value for s in buckets}["-0.0002"] == 1


def test_sinks_and_subscribers_are_read_at_the_scrape(meters: Meters) -> None:
    meters.watch(View())
    meters.watch_subscribers(lambda: 2, lambda: Counter({"slow": 1, "full": 0}))
    meters.event_loop_lag_s = 0.25
    assert value(meters, "sink_lag", sink="redis") == 7
    assert value(meters, "sink_errors_total", sink="redis") == 3
    assert value(meters, "subscribers") == 2
    assert value(meters, "subscriber_dropped_total", reason="slow") == 1
    assert value(meters, "event_loop_lag_seconds") == 0.25


def test_selected_metrics_only(meters: Meters) -> None:
    meters.observe(snapshot("BTC/USDT", values={"ofi": 1.0, "ofi_10s": 2.0, "vwap_deviation.z": -3.0, "vpin": None}))
    found = {n for n in samples(meters) if n.startswith("imbalanced_metric_")}
    assert found == {"imbalanced_metric_ofi", "imbalanced_metric_vwap_deviation_z"}
    assert value(meters, "metric_vwap_deviation_z", venue="okx", instrument="BTC/USDT") == -3.0


def test_what_nobody_counts_costs_nothing(meters: Meters) -> None:
    before = exposition(meters)[0].splitlines()
    meters.observe(Mark(**BOOK, mark=1.0))
    assert [line for line in before if line.startswith("imbalanced_")] == [
        line for line in exposition(meters)[0].splitlines() if line.startswith("imbalanced_")
    ]


def test_a_value_on_a_bound_belongs_below_it() -> None:
    histogram = Histogram()
    histogram.observe(LATENCY_BUCKETS[0])
    histogram.observe(1e9)
    assert (histogram.counts[0], histogram.counts[-1]) == (1, 1)


def test_nothing_of_ours_is_global() -> None:
    names = set(REGISTRY._names_to_collectors)
    assert not {name for name in names if name.startswith("imbalanced")}
    exposition(Meters())
    exposition(Meters())  # two in one process


def test_what_could_not_be_graded_is_counted() -> None:
    meters = Meters()
    lost = Ungraded(venue="v", instrument="A/B", recv_ns=1, kind="sweep", id="a", horizons_ms=(1000, 5000))
    meters.observe(lost)
    meters.observe(lost)
    assert 'imbalanced_signals_ungraded_total{kind="sweep"} 2.0' in exposition(meters)[0]
