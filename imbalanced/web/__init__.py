"""HTTP: health, metrics, the JSON API and the live page. What they say comes from a :class:`Backend`."""

from __future__ import annotations

from imbalanced.web.backend import Backend, ResyncRefused, UnknownBook
from imbalanced.web.server import HttpOptions, HttpServer

__all__ = ["Backend", "HttpOptions", "HttpServer", "ResyncRefused", "UnknownBook"]
