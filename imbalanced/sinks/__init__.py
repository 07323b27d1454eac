"""Where signals, snapshots and status events go. A sink is one class and one line in :data:`SINKS`."""

from __future__ import annotations

from imbalanced.sinks.address import AddressError, AddressInUse, AddressUnusable
from imbalanced.sinks.hub import Hub
from imbalanced.sinks.jsonl import JsonlOptions, JsonlSink
from imbalanced.sinks.outlet import Outlet, OutletOptions
from imbalanced.sinks.redis import RedisOptions, RedisSink
from imbalanced.sinks.sink import Batch, Sink, SinkError, SinkMisconfigured, SinkUnavailable
from imbalanced.sinks.websocket import WebsocketOptions, WebsocketSink

__all__ = [
    "SINKS",
    "AddressError",
    "AddressInUse",
    "AddressUnusable",
    "Batch",
    "Hub",
    "JsonlOptions",
    "JsonlSink",
    "Outlet",
    "OutletOptions",
    "RedisOptions",
    "RedisSink",
    "Sink",
    "SinkError",
    "SinkMisconfigured",
    "SinkUnavailable",
    "WebsocketOptions",
    "WebsocketSink",
]

# Options struct and class; every class is built as `cls(options, journal, hub)`.
SINKS = {
    "redis": (RedisOptions, RedisSink),
    "websocket": (WebsocketOptions, WebsocketSink),
    "jsonl": (JsonlOptions, JsonlSink),
}
