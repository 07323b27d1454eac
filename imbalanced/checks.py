"""What ``imbalanced check`` says of a configuration that has no fault: that everything can be built, and how big
it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from imbalanced.events import Instrument
from imbalanced.pipeline import Pipeline, furnish

if TYPE_CHECKING:
    from imbalanced.config import Config


def build(config: Config) -> list[str]:
    """Make every part once; the lines that are worth knowing."""
    pipeline = Pipeline(config)
    lines = []
    for venue, settings in config.venues.items():
        desk, _, filters = furnish(config, venue, Instrument(venue=venue, symbol="", venue_symbol="", tick="0.01"))
        chosen = settings.instruments
        count = len(chosen) if isinstance(chosen, tuple) else chosen.top
        lines.append(
            f"{venue}: {count} instruments, {len(desk.metrics)} metrics, {len(desk.detectors)} detectors, "
            f"{len(filters)} filters; {count * len(config.prometheus.metrics)} metric series in Prometheus"
        )
    return [*lines, f"config {pipeline.fingerprint}: no fault found"]
