"""The messages of the subscriber protocol ``/v1``, both ways, as structs and texts. No sockets.

A request that is not understood gives an error that repeats its ``id``; unknown keys in a request are errors, since a
misspelt filter would otherwise mean "everything".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
import orjson
from msgspec import Meta, Struct

__all__ = [
    "Auth",
    "BadRequest",
    "Channel",
    "Filter",
    "Ping",
    "Request",
    "Subscribe",
    "Unsubscribe",
    "data_message",
    "error_message",
    "message",
    "parse_request",
]

VERSION = 1
Channel = Literal["signals", "metrics", "status"]
Word = Annotated[str, Meta(min_length=1, max_length=64)]
Words = Annotated[tuple[Word, ...], Meta(min_length=1, max_length=1000)]
MAX_INT = 2**53 - 1  # what JavaScript can count to
RequestId = Annotated[int, Meta(ge=-MAX_INT, le=MAX_INT)] | Annotated[str, Meta(max_length=64)] | None


class Subscribe(Struct, tag_field="op", tag="subscribe", forbid_unknown_fields=True, frozen=True, kw_only=True):
    """``from_seq`` is the first signal wanted; with ``epoch``, the life of the journal it belongs to."""

    channel: Channel
    id: RequestId = None
    kinds: Words = ("*",)
    instruments: Words = ("*",)
    from_seq: Annotated[int, Meta(ge=0)] | None = None
    epoch: Word | None = None


class Unsubscribe(Struct, tag_field="op", tag="unsubscribe", forbid_unknown_fields=True, frozen=True, kw_only=True):
    channel: Channel
    id: RequestId = None


class Ping(Struct, tag_field="op", tag="ping", forbid_unknown_fields=True, frozen=True, kw_only=True):
    id: RequestId = None


class Auth(Struct, tag_field="op", tag="auth", forbid_unknown_fields=True, frozen=True, kw_only=True):
    token: Annotated[str, Meta(max_length=1024)]
    id: RequestId = None


Request = Subscribe | Unsubscribe | Ping | Auth


class BadRequest(Exception):
    """A message of the client that was not understood; ``code`` is one of the protocol's."""

    def __init__(self, code: str, detail: str, request_id: int | str | None) -> None:
        super().__init__(detail)
        self.code = code
        self.request_id = request_id


class Filter:
    """Which are wanted. An instrument is ``BTC/USDT:USDT`` (on any venue) or ``<venue>:BTC/USDT:USDT``."""

    __slots__ = ("_instruments", "_kinds")

    def __init__(self, kinds: Sequence[str], instruments: Sequence[str]) -> None:
        self._kinds = None if "*" in kinds else frozenset(kinds)
        self._instruments = None if "*" in instruments else frozenset(instruments)

    def passes(self, kind: str, venue: str, instrument: str) -> bool:
        return (self._kinds is None or kind in self._kinds) and self.passes_instrument(venue, instrument)

    def passes_instrument(self, venue: str, instrument: str) -> bool:
        wanted = self._instruments
        return wanted is None or instrument in wanted or f"{venue}:{instrument}" in wanted


def parse_request(text: str) -> Request:
    """One message of the client; :class:`BadRequest` says what was expected and where."""
    try:
        raw = msgspec.json.decode(text)
    except msgspec.DecodeError as exc:
        raise BadRequest("bad_json", f"not JSON: {exc}", None) from exc
    if not isinstance(raw, dict):
        raise BadRequest("bad_request", "expected a JSON object with `op`", None)
    request_id = _request_id(raw.get("id"))
    if raw.get("op") not in ("subscribe", "unsubscribe", "ping", "auth"):
        raise BadRequest("unknown_op", "expected `op` subscribe, unsubscribe, ping or auth", request_id)
    try:
        request: Request = msgspec.convert(raw, Request)
    except msgspec.ValidationError as exc:
        code = "unknown_channel" if "$.channel" in str(exc) else "bad_request"
        raise BadRequest(code, str(exc), request_id) from exc
    return request


def _request_id(given: object) -> int | str | None:
    """The ``id`` to repeat, if it is one: an error about it cannot carry it."""
    try:
        request_id: int | str | None = msgspec.convert(given, RequestId)
    except msgspec.ValidationError:
        return None
    return request_id


def message(op: str, request_id: int | str | None, **fields: object) -> bytes:
    """A message of the server that answers a request (or, without ``id``, none)."""
    head: dict[str, object] = {"op": op} if request_id is None else {"op": op, "id": request_id}
    return orjson.dumps(head | fields)


def error_message(code: str, detail: str, request_id: int | str | None) -> bytes:
    return orjson.dumps({"op": "error", "id": request_id, "code": code, "message": detail[:300]})


def data_message(channel: Channel, text: bytes) -> bytes:
    """``text`` is JSON already: what the journal or the hub holds goes out as it is, never encoded again."""
    return b'{"channel":"%s","data":%s}' % (channel.encode(), text)
