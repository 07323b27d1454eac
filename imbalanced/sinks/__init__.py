"""Where signals, snapshots and status events go. A sink is one class and one line in :data:`SINKS`."""

from __future__ import annotations

from typing import Any, Protocol

from msgspec import Struct

from imbalanced.journal import Journal
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


class SinkClass(Protocol):
    """How a sink is built. ``options`` is of the struct beside it in the table."""

    name: str

    def __call__(self, options: Any, journal: Journal, hub: Hub) -> Sink: ...


SINKS: dict[str, tuple[type[Struct], SinkClass]] = {
    "redis": (RedisOptions, RedisSink),
    "websocket": (WebsocketOptions, WebsocketSink),
    "jsonl": (JsonlOptions, JsonlSink),
}
