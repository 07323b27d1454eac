"""The frames of Bitfinex's socket: objects that are events, and arrays of a channel with what stands behind a payload.

Sources: see ``bitfinex.py``.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from imbalanced.venues.codec import SocketGap
from imbalanced.venues.literals import literal
from imbalanced.venues.wire import NS_PER_MS, whole

TIMESTAMP, SEQUENCE, CHECKSUM = 32768, 65536, 131072

RAW_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
RAW_ROWS = msgspec.json.Decoder(list[list[msgspec.Raw]])


class Event(Struct):
    """A frame that is an object."""

    event: str = ""
    channel: str = ""
    symbol: str | None = None
    key: str | None = None
    prec: str = ""
    chanId: int = 0  # noqa: N815 - the field's name on the wire
    code: int | None = None
    msg: str | None = None
    status: str = ""
    flags: int = 0
    platform: dict[str, Any] | None = None


EVENT = msgspec.json.Decoder(Event)


class Channel(Struct, frozen=True):
    """What a channel id of a socket stands for."""

    kind: str
    symbol: str


class Socket(Struct):
    """What is remembered of one socket: what is behind a payload, the last counter, the channels, and those that we
    want nothing of (any more).
    """

    flags: int = TIMESTAMP | SEQUENCE | CHECKSUM
    count: int = -1
    channels: dict[int, Channel] = {}
    left: set[int] = set()

    def knows(self, number: int) -> bool:
        """Whether a channel is one that was introduced here."""
        return number in self.channels or number in self.left


def parted(items: list[msgspec.Raw]) -> tuple[str, bytes, list[msgspec.Raw]]:
    """``[channel id, perhaps a kind, payload (heartbeats have none), counter, time, ...]``: kind, payload, the rest."""
    kind, at = "", 1
    if bytes(items[1]).startswith(b'"'):
        kind, at = str(msgspec.json.decode(items[1])), 2
    return (kind, b"", items[at:]) if kind == "hb" else (kind, bytes(items[at]), items[at + 1 :])


def holes(socket: Socket, extras: list[msgspec.Raw]) -> list[SocketGap]:
    """Counts an array; says so if the counter did not go up by one."""
    if not socket.flags & SEQUENCE:
        return []
    before, socket.count = socket.count, whole(literal(extras[0]))
    whole_so_far = before < 0 or socket.count == before + 1
    return [] if whole_so_far else [SocketGap(f"{socket.count} after {before}")]


def sent_ns_of(socket: Socket, extras: list[msgspec.Raw]) -> int:
    """When the array was sent; 0 where that was not asked for."""
    if not socket.flags & TIMESTAMP:
        return 0
    sent_ns = whole(literal(extras[1 if socket.flags & SEQUENCE else 0])) * NS_PER_MS
    if sent_ns >= 1 << 63:
        raise ValueError(f"its time is beyond the year 2262: {sent_ns}")
    return sent_ns


def rows_of(payload: bytes) -> tuple[bool, list[list[msgspec.Raw]]]:
    """Whether this is a whole book, and its rows."""
    items = RAW_ARRAY.decode(payload)
    if items and not bytes(items[0]).startswith(b"["):
        return False, [items]
    return True, RAW_ROWS.decode(payload)
