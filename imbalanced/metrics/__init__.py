"""Metrics: one file a family, one line a metric."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imbalanced.metrics import (
    across,
    cancels,
    composite,
    depth,
    derivatives,
    evaluation,
    execution,
    flow,
    integrated,
    lifecycle,
    microprice,
    options_chain,
    research,
    statistics,
    touch,
    trades,
    volume,
)
from imbalanced.metrics.metric import Metric

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

METRICS: dict[str, type[Metric]] = {
    "queue_imbalance": touch.QueueImbalance,
    "depth_imbalance": touch.DepthImbalance,
    "weighted_mid": touch.WeightedMid,
    "spread": touch.Spread,
    "spread_roc": touch.SpreadRoc,
    "band_imbalance": depth.BandImbalance,
    "ofi": flow.Ofi,
    "ofi_ratio": flow.OfiRatio,
    "weighted_imbalance": depth.WeightedImbalance,
    "vamp": depth.Vamp,
    "effective_mid": depth.EffectiveMid,
    "book_slope": depth.BookSlope,
    "liquidity_to_move": depth.LiquidityToMove,
    "exhaustion": depth.Exhaustion,
    "resiliency": depth.Resiliency,
    "log_ofi": flow.LogOfi,
    "mlofi": flow.Mlofi,
    "ofi_depth_normalised": flow.OfiDepthNormalised,
    "integrated_ofi": flow.IntegratedOfi,
    "cancel_add": cancels.CancelAdd,
    "integrated_ofi_weights": integrated.IntegratedOfiWeights,
    "supply_demand": across.SupplyDemand,
    "lead_lag": across.LeadLag,
    "trade_imbalance": trades.TradeImbalance,
    "aggressor_ratio": trades.AggressorRatio,
    "cvd": trades.Cvd,
    "sweep": trades.Sweep,
    "vwap_deviation": trades.VwapDeviation,
    "hawkes_imbalance": trades.HawkesImbalance,
    "ewma_zscore": statistics.EwmaZscore,
    "detector": lifecycle.Detector,
    "volume_spike": volume.VolumeSpike,
    "absorption": volume.Absorption,
    "vpin": volume.Vpin,
    "kyle_lambda": volume.KyleLambda,
    "robust_zscore": statistics.RobustZscore,
    "rolling_quantile": statistics.RollingQuantile,
    "composite": composite.Composite,
    "oi_imbalance": derivatives.OiImbalance,
    "long_short_ratio": derivatives.LongShortRatio,
    "funding_pressure": derivatives.FundingPressure,
    "liquidation_imbalance": derivatives.LiquidationImbalance,
    "option_imbalance": options_chain.OptionImbalance,
    "oi_strike_skew": options_chain.OiStrikeSkew,
    "risk_reversal": options_chain.RiskReversal,
    "label": research.Label,
    "forward_return": research.ForwardReturn,
    "microprice_fit": research.MicropriceFit,
    "microprice": microprice.Microprice,
    "position_size": execution.PositionSize,
    "atr_stop": execution.AtrStop,
    "tilted_schedule": execution.TiltedSchedule,
    "delta_hedge": execution.DeltaHedge,
}

__all__ = ["METRICS", "Metric", "evaluate"]


def evaluate(name: str, params: Mapping[str, Any], events: Iterable[Mapping[str, Any]]) -> list[evaluation.Answer]:
    """A fresh metric of that name over plain events, one answer per event; see ``evaluation.py``.

    Raises ValueError naming what was wrong: the metric, the parameter or the event.
    """
    return evaluation.evaluate(METRICS, name, params, events)
