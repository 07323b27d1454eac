"""The one encoder of the public JSON: signals, metric snapshots and status events, byte for byte the same everywhere.

Journal, Redis, websocket, HTTP and `--signals` all carry what is made here; nobody else writes these messages. The
order of the keys is that of interface.md. Pure: no I/O, no clock.

    JsonTextError
    ├── NotFinite     a number that JSON cannot say (nan, inf); ours, a metric or detector made it
    └── BadSignal     text that is no signal; theirs, a damaged file or a foreign server
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import isfinite
from typing import Any

import msgspec
import orjson

from imbalanced.events import (
    BookInvalid,
    BookValid,
    LinkDown,
    LinkUp,
    MetricSnapshot,
    Notice,
    Signal,
    StreamState,
)

__all__ = [
    "BadSignal",
    "JsonTextError",
    "NotFinite",
    "signal_from_json",
    "signal_json",
    "snapshot_head",
    "snapshot_json",
    "status_json",
]


class JsonTextError(ValueError):
    """Base of this module's errors; never raised itself."""


class NotFinite(JsonTextError):
    """A value is nan or infinite. Encoders write null for it, which would say "unknown" where something is wrong."""


class BadSignal(JsonTextError):
    """The text is no signal; the message names the field."""


_SIGNAL_DECODER = msgspec.json.Decoder(Signal)


def signal_json(signal: Signal) -> bytes:
    """The public message of a signal. ``proof.event_lag_ms`` is left out where the venue gives no event time."""
    numbers = {"strength": signal.strength, "score": signal.score, "confidence": signal.confidence}
    _demand_finite(f"signal {signal.id}", numbers.items())
    _demand_finite(f"signal {signal.id} evidence", signal.evidence.items())
    body: dict[str, Any] = msgspec.to_builtins(signal)  # keeps the field order of the struct
    if body["proof"]["event_lag_ms"] is None:
        del body["proof"]["event_lag_ms"]
    return orjson.dumps(body)


def signal_from_json(text: bytes | str) -> Signal:
    """A signal from its public message. Unknown keys are ignored: a newer server may send more."""
    try:
        return _SIGNAL_DECODER.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise BadSignal(f"not a signal: {exc}") from exc


def snapshot_json(snapshot: MetricSnapshot) -> bytes:
    """The public message of a metric snapshot: the websocket's ``data``, the field ``data`` of the Redis hash."""
    return b"%s%d}" % (snapshot_head(snapshot), snapshot.conflated)


def snapshot_head(snapshot: MetricSnapshot) -> bytes:
    """All of :func:`snapshot_json` up to the number of ``conflated``, which differs from reader to reader."""
    _demand_finite(f"metrics of {snapshot.venue} {snapshot.instrument}", snapshot.values.items())
    body: dict[str, Any] = msgspec.to_builtins(snapshot)
    del body["conflated"]
    return orjson.dumps(body)[:-1] + b',"conflated":'


def status_json(event: object) -> bytes | None:
    """The ``data`` of channel ``status`` for an event, None for events that are no transition of trust.

    ``event, venue, instrument, reason, since``; null where a word does not apply; ``since`` in ns of our clock.
    """
    describe = _STATUS.get(type(event))
    body = describe(event) if describe else None
    return orjson.dumps(body) if body else None


def _status(event: Any, name: str, reason: str | None = None, **more: object) -> dict[str, object]:
    return {
        "event": name,
        "venue": event.venue,
        "instrument": getattr(event, "instrument", "") or None,
        "reason": reason or None,
        "since": event.recv_ns,
        **more,
    }


# What is said of a symbol that had no live book to lose.
TOLD = ("subscribe_error", "halted", "symbol_gone")


def _notice(event: Notice) -> dict[str, object] | None:
    # Other notices (parse errors, refused REST calls) are for counters and logs, they change nobody's trust.
    if event.what in ("proof_lost", "proof_restored"):
        return _status(event, event.what, event.detail, proof=event.channel)
    return _status(event, event.what, event.detail) if event.what in TOLD else None


_STATUS: dict[type, Callable[[Any], dict[str, object] | None]] = {
    BookValid: lambda e: _status(e, "book_valid", checks=e.checks),
    BookInvalid: lambda e: _status(e, "book_invalid", e.reason),
    StreamState: lambda e: _status(e, f"stream_{e.state}", e.reason, channel=e.channel),
    LinkUp: lambda e: _status(e, "link_up", conn=e.conn),
    LinkDown: lambda e: _status(e, "link_down", e.reason, conn=e.conn),
    Notice: _notice,
}


def _demand_finite(where: str, values: Iterable[tuple[str, object]]) -> None:
    for name, value in values:
        if isinstance(value, float) and not isfinite(value):
            raise NotFinite(f"{where}: {name} is {value}")
