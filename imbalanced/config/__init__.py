"""The YAML text of a run to a frozen :class:`Config`, or every fault in it at once.

YAML is read by the core rules of YAML 1.2 (``on``, ``off``, ``yes`` and ``no`` are words, ``1_000`` and ``1:30`` are
text, no timestamps, no merge keys), a key given twice is an error, and aliases cannot blow up. ``${NAME}`` is replaced
after parsing, so that a value cannot inject structure. Nothing here opens a file or reads the environment: both are
passed in. What a metric, detector or filter can be told is declared by its own ``Options``; the tables of them are
passed in as well.

``model.py`` is what there is, ``yamltext.py`` reads YAML, ``reading.py`` makes a Config of it, ``printing.py`` the way
back, ``example.py`` the annotated example, ``faults.py`` what can be wrong.
"""

from __future__ import annotations

from imbalanced.config.example import default_yaml
from imbalanced.config.faults import ConfigError
from imbalanced.config.model import (
    DEFAULT_DETECTORS,
    DEFAULT_METRICS,
    Calibrations,
    Config,
    Credentials,
    Detectors,
    DetectorSpec,
    Endpoints,
    Http,
    Log,
    Metrics,
    MetricSpec,
    Plugin,
    Record,
    Redis,
    Settings,
    Tables,
    Universe,
    VenueConfig,
    VenueSettings,
)
from imbalanced.config.printing import effective, fingerprint, json_schema
from imbalanced.config.reading import load, origins_of
from imbalanced.config.yamltext import DEEPEST, LARGEST_TEXT

__all__ = [
    "DEEPEST",
    "DEFAULT_DETECTORS",
    "DEFAULT_METRICS",
    "LARGEST_TEXT",
    "Calibrations",
    "Config",
    "ConfigError",
    "Credentials",
    "DetectorSpec",
    "Detectors",
    "Endpoints",
    "Http",
    "Log",
    "MetricSpec",
    "Metrics",
    "Plugin",
    "Record",
    "Redis",
    "Settings",
    "Tables",
    "Universe",
    "VenueConfig",
    "VenueSettings",
    "default_yaml",
    "effective",
    "fingerprint",
    "json_schema",
    "load",
    "origins_of",
]
