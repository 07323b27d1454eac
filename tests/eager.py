"""Every kind of signal on thresholds that are passed all the time, so that lives are many and short."""

from __future__ import annotations

from typing import Any

from scripted import VENUE

LEAD = {"kind": "lead_lag", "leader": {"venue": VENUE, "instrument": "BBB/USDT"}}
RAW: dict[str, Any] = {"min_duration": "0ms", "cooldown": "0ms", "standardise": {"by": "none"}}
EAGER: list[dict[str, Any]] = [
    {"kind": "order_flow_imbalance", "on": 0.2, "off": 0.1, "effect_usual": 0, "max_age": "3s", **RAW},
    {"kind": "order_flow_imbalance", "name": "again", "on": 0.4, "off": 0.4, "levels": 1, "effect_usual": 0, **RAW},
    {
        "kind": "order_flow_imbalance_ratio",
        "window": "500ms",
        "on": 0.1,
        "off": 0.1,
        "effect_usual": 0,
        "times_usual": 0,
        **RAW,
    },
    {"kind": "market_depth_imbalance", "on": 0.1, "off": 0.05, "bps": 50, **RAW},
    {"kind": "microstructure_imbalance", "on": 0.2, "off": 0.1, "times_usual": 0, **RAW},
    {"kind": "supply_demand_imbalance", "on": 0.1, "off": 0.1, "bps": 50, **RAW},
    {"kind": "aggressive_order_flow", "on": 10, "off": 5, "min_imbalance": 0, **RAW},
    {"kind": "sweep", "on": 1, "off": 1, "min_count": 1, "q": 0, "times": 0, "max_age": "1s", **RAW},
    {
        "kind": "volume_spike",
        "times_usual": 0,
        "min_count": 2,
        "least": 0,
        "min_buckets": 1,
        "bucket": 0.2,
        "min_imbalance": 0,
        **RAW,
    },
    {"kind": "vwap_deviation", "window": "1s", "on": 0.1, "off": 0.05, **RAW},
    {"kind": "spread_shock", "on": 0.5, "off": 0.1, **RAW},
    {"kind": "book_exhaustion", "times_usual": 0, "half_life": "500ms", "bps": 50, "on": 0.1, "off": 0.05, **RAW},
    {"kind": "absorption", "on": 0.1, "off": 0.05, "times_usual": 0, **RAW},
    {
        "kind": "absorption",
        "name": "built",
        "mode": "accumulation",
        "half_life": "500ms",
        "bps": 50,
        "on": 0.1,
        "off": 0,
    },
    {
        "kind": "flow_toxicity",
        "times_usual": 0,
        "bucket_volume": 1,
        "buckets": 2,
        "min_count": 2,
        "on": 0.5,
        "off": 0.2,
        **RAW,
    },
    {**LEAD, "on": 0.1, "off": 0.05, **RAW},
    {
        "kind": "composite",
        "times_usual": 0,
        "on": 0.05,
        "off": 0.01,
        "min_coverage": 0,
        "weights": {"again": 1, "absorption": 1},
        **RAW,
    },
]
