"""Detection: kinds of signals and the filters they must pass; one line each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imbalanced.detect import filters, flow

if TYPE_CHECKING:
    from imbalanced.detect.detector import Detector

DETECTORS: dict[str, type[Detector]] = {
    "order_flow_imbalance": flow.OrderFlowImbalance,
    "market_depth_imbalance": flow.MarketDepthImbalance,
    "aggressive_order_flow": flow.AggressiveOrderFlow,
}

# In the order in which they are asked; `rate` counts the opens that passed all others, so it is the last.
FILTERS: dict[str, Any] = {
    "warmup": filters.Warmup,
    "stale": filters.Stale,
    "spread": filters.WideSpread,
    "rate": filters.Rate,
}

__all__ = ["DETECTORS", "FILTERS"]
