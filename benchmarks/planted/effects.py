"""What each planted event truly is, in the words of the signals. Listed before anything was measured.

`SHOWS`: the kinds of which the event is an event: not finding it is a miss. `ALSO`: kinds on which it has a true effect
as well: their opens in its time are neither hits nor false. Sides are relative to the event's: 1 the same, -1 the
opposite, 0 any.

A kind that stands in both (because a group does) counts as shown.

- *informed*: one-sided takers and makers who follow. It moves the price, so everything that looks at flow, touch, depth
  or price may speak; reversion kinds against it, and depth either way (the price leaves the
  depth behind).
- *sweep*: is aggressive flow, moves the price and leaves a hole before it and thin depth behind it.
- *absorption* (side: who absorbs): the takers are of the other side.
- *depth*, *supply* (depth on both instruments of the asset): standing size that stays. Its coming and going are flow.
- *exhaustion*: the other side's depth is gone: depth and touch lean, cancelling is order flow.
"""

from __future__ import annotations

from typing import NamedTuple


class Also(NamedTuple):
    """A kind that has a right to speak, and on which side (relative)."""

    kind: str
    side: int


def _also(side: int, *kinds: str) -> tuple[Also, ...]:
    return tuple(Also(kind, side) for kind in kinds)


FLOW = ("order_flow_imbalance", "order_flow_imbalance_ratio")
DEPTH = ("market_depth_imbalance", "microstructure_imbalance", "supply_demand_imbalance")
TAKERS = ("aggressive_order_flow", "volume_spike", "flow_toxicity", "sweep")
AFTER = ("spread_shock", "vwap_deviation", "lead_lag", "composite")

SHOWS: dict[str, tuple[str, ...]] = {
    "informed": (*FLOW, "aggressive_order_flow"),
    "sweep": ("sweep",),
    "absorption": ("absorption",),
    "depth": ("market_depth_imbalance",),
    "supply": ("market_depth_imbalance", "supply_demand_imbalance"),
    "accumulation": (),
    "spread_shock": ("spread_shock",),
    "volume_spike": ("volume_spike",),
    "exhaustion": ("book_exhaustion",),
    "touch": ("microstructure_imbalance",),
    "spoof": (),
}
ALSO: dict[str, tuple[Also, ...]] = {
    "informed": (
        *_also(1, *TAKERS, "composite"),
        *_also(0, *DEPTH, "book_exhaustion", "spread_shock", "vwap_deviation", "lead_lag"),
    ),
    "sweep": (
        *_also(1, *FLOW, *TAKERS),
        *_also(0, *DEPTH, "book_exhaustion", *AFTER),
    ),
    "absorption": (*_also(-1, *TAKERS), *_also(0, *FLOW, *DEPTH, *AFTER)),
    "depth": (*_also(1, *DEPTH, *FLOW, "absorption"), *_also(0, "book_exhaustion", "composite")),
    "supply": (*_also(1, *DEPTH, *FLOW, "absorption"), *_also(0, "book_exhaustion", "composite")),
    "accumulation": (*_also(1, *DEPTH, *FLOW, "absorption"), *_also(0, "book_exhaustion", "composite")),
    "spread_shock": _also(0, *FLOW, *DEPTH, "book_exhaustion", *AFTER),
    "volume_spike": (*_also(1, *TAKERS), *_also(-1, "absorption"), *_also(0, *FLOW, *DEPTH, *AFTER)),
    "exhaustion": (*_also(1, *DEPTH, *FLOW), *_also(0, "book_exhaustion", *AFTER)),
    "touch": (*_also(1, *DEPTH, *FLOW, *TAKERS), *_also(0, *AFTER)),
    "spoof": (),
}
# Kinds that must keep quiet about layers that are no size.
SPOOFABLE = DEPTH
# Of one asset, not of one instrument: an event that has the effect on either has it on both.
OF_ASSET = frozenset({"supply_demand_imbalance"})
# Events after which the twin's price follows: its opens of that time are not judged.
CARRIED = frozenset({"informed", "sweep", "absorption", "volume_spike", "touch", "spread_shock", "exhaustion"})
