"""An annotated example of a configuration."""

from __future__ import annotations

from typing import Final


def default_yaml() -> str:
    """An annotated example: all but the venues is the default; lines that begin with ``#key`` are more examples."""
    return _DEFAULT_YAML


_DEFAULT_YAML: Final = """\
# One file describes a run. Durations are 500us 200ms 5s 3m 2h 7d. ${NAME} and ${NAME:-default} come from the
# environment; token_file: PATH reads a secret from a file. Every key but `venues` has a default.

venues:                                # id of the venue, then what is wanted of it
  binance_usdm:
    instruments: [BTC/USDT:USDT, ETH/USDT:USDT]   # unified symbols; or {quote: USDT, top: 50}
    transport: auto                    # or picows, websockets, aiohttp
    # A venue may carry its own `metrics`, `detectors` and `filters`; they replace the general ones.

http: {host: 127.0.0.1, port: 8800}    # /metrics /healthz /readyz /api and the page; token for scope admin
stream: {host: 127.0.0.1, port: 8801}  # websocket subscribers; tokens: [...] to let in only those
journal: {path: var/journal.sqlite, keep: 7d}
#redis: {url: "redis://127.0.0.1:6379/0", prefix: "imbalanced:", maxlen: 100000}   # or {embedded: true}
#record: {dir: var/tape, rotate: 1h}   # every frame as it came, for replay
#jsonl: {path: var/signals.jsonl}      # signals as JSON Lines
#sim: {seed: 1}                        # simulated exchanges inside this run instead of the real ones

metrics:                               # a name must be given where a metric is used twice
  - {metric: spread}
  - {metric: spread_roc}
  - {metric: queue_imbalance}
  - {metric: depth_imbalance, levels: 5}
  - {metric: band_imbalance, bps: 10}
  - {metric: weighted_mid}
  - {metric: ofi, window: 1s}
  - {metric: ofi, window: 10s, name: ofi_10s}
  - {metric: ofi_ratio}
  - {metric: trade_imbalance}
  - {metric: vwap_deviation, window: 10m}
detectors:                             # thresholds, life cycle and `standardise` have defaults for each kind;
  - {kind: order_flow_imbalance}       # per_instrument: {BTC/USDT:USDT: {...}} changes some of them for one
  - {kind: order_flow_imbalance_ratio}
  - {kind: market_depth_imbalance}
  - {kind: microstructure_imbalance}
  - {kind: supply_demand_imbalance}    # over all venues and instruments of the asset
  - {kind: aggressive_order_flow}
  - {kind: sweep}
  - {kind: volume_spike}
  - {kind: vwap_deviation}
  - {kind: spread_shock}
  - {kind: book_exhaustion}
  - {kind: absorption}
  - {kind: flow_toxicity}
  - {kind: composite}
  #- {kind: lead_lag, leader: {venue: binance_usdm, instrument: BTC/USDT:USDT}, lag: 200ms}
  #- {kind: open_interest_imbalance}   # also funding_extreme, liquidation_cascade
filters: {}                            # all are on; `NAME: off` switches one off, `filters: off` all
grading: {latency: 50ms, horizons: [1s, 5s, 30s, 5m], round_trip_cost_bps: 4}

prometheus: {metrics: []}              # names of metrics that get a family of their own
ready_share: 1                         # share of the books that must be live for /readyz
shutdown_s: 10                         # seconds for an orderly stop
clock: 100ms                           # period of clock events for metrics
snapshots: 100ms                       # period of metric snapshots
log: {level: info, format: auto}
"""
