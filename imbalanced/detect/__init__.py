"""Detection: kinds of signals and the filters they must pass; one line each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imbalanced.detect import agreement, context, depth, effort, flow, leading, shock, takers, touch, volume
from imbalanced.detect.filters import confirm, guards, market, sentiment, spoof

if TYPE_CHECKING:
    from imbalanced.detect.detector import Detector
    from imbalanced.detect.filters import Filter

DETECTORS: dict[str, type[Detector]] = {
    "order_flow_imbalance": flow.OrderFlowImbalance,
    "order_flow_imbalance_ratio": flow.OrderFlowImbalanceRatio,
    "market_depth_imbalance": depth.MarketDepthImbalance,
    "microstructure_imbalance": touch.MicrostructureImbalance,
    "supply_demand_imbalance": depth.SupplyDemandImbalance,
    "aggressive_order_flow": flow.AggressiveOrderFlow,
    "sweep": takers.SweepSignal,
    "volume_spike": volume.VolumeSpikeSignal,
    "vwap_deviation": takers.VwapDeviationSignal,
    "spread_shock": shock.SpreadShock,
    "book_exhaustion": depth.BookExhaustion,
    "absorption": effort.AbsorptionSignal,
    "flow_toxicity": volume.FlowToxicity,
    "lead_lag": leading.LeadLag,
    "composite": agreement.CompositeSignal,
    "open_interest_imbalance": context.OpenInterestImbalance,
    "funding_extreme": context.FundingExtreme,
    "liquidation_cascade": context.LiquidationCascade,
}

# In the order in which they are asked; the first hard fail is counted. `rate` counts the opens that passed all others,
# so it is the last.
FILTERS: dict[str, type[Filter]] = {
    "warmup": guards.Warmup,
    "stale": guards.Stale,
    "latency": guards.Latency,
    "clock": guards.Clock,
    "spread": market.WideSpread,
    "depth": market.Depth,
    "volatility": market.Volatility,
    "event_rate": guards.EventRate,
    "flicker": spoof.Flicker,
    "spoof": spoof.Spoof,
    "sentiment": sentiment.Sentiment,
    "confirm": confirm.Confirm,
    "cost": market.Cost,
    "halt": guards.Halt,
    "rate": guards.Rate,
}

__all__ = ["DETECTORS", "FILTERS"]
