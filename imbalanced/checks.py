"""What ``imbalanced check`` says of a configuration that has no fault: that everything can be built, and how big it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imbalanced.detect import DETECTORS, FILTERS
from imbalanced.metrics import METRICS
from imbalanced.metrics.metric import Grid
from imbalanced.pipeline import Pipeline

if TYPE_CHECKING:
    from imbalanced.config import Config


def build(config: Config) -> list[str]:
    """Make every part once; the lines that are worth knowing."""
    pipeline = Pipeline(config)
    lines = []
    grid = Grid()
    for venue, settings in config.venues.items():
        metrics = [METRICS[spec.metric](spec.options, grid) for spec in config.metrics_of(venue)]
        detectors = [DETECTORS[spec.kind](spec.kind, spec.name, spec.options, grid) for spec in config.detectors_of(venue)]
        filters = [FILTERS[name](options) for name, options in config.filters_of(venue).items()]
        chosen = settings.instruments
        count = len(chosen) if isinstance(chosen, tuple) else chosen.top
        lines.append(
            f"{venue}: {count} instruments, {len(metrics)} metrics, {len(detectors)} detectors, {len(filters)} filters; "
            f"{count * len(config.prometheus.metrics)} metric series in Prometheus"
        )
    return [*lines, f"config {pipeline.fingerprint}: no fault found"]
