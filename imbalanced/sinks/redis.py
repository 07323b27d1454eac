"""Signals into a Redis stream, to pub/sub and into hashes. The journal is the truth, Redis a projection of it.

Replication is asynchronous and servers are restarted empty, so what was acknowledged may be gone. Therefore every
connect reads the last entry of the stream and goes on from what Redis really holds for this epoch, and the client may
never reconnect by itself in between. Entry ids are explicit, ``<recv_ms>-<seq>``: a retry cannot duplicate.

Keys, with the prefix: ``signals`` (stream), ``signals:<kind>`` (channel), ``meta``, ``open`` and
``metrics:{<venue>:<instrument>}`` (hashes). Redis 6 or later (RESP3), Valkey included; nothing newer than 7.0 is used.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import structlog
from msgspec import Struct
from redis.asyncio import Connection, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ClusterDownError,
    ConnectionError,
    MovedError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TimeoutError,
)
from redis.maint_notifications import MaintNotificationsConfig

from imbalanced.journal import Entry, Journal
from imbalanced.sinks.hub import Hub
from imbalanced.sinks.sink import Batch, SinkMisconfigured, SinkUnavailable

__all__ = ["RedisOptions", "RedisSink", "redacted"]

log = structlog.get_logger(__name__)

StreamId = tuple[int, int]
NOTHING: StreamId = (0, 0)

# First match wins, so subclasses stand before their bases.
_CONDITIONS: tuple[tuple[type[RedisError], str], ...] = (
    (BusyLoadingError, "loading"),
    (AuthenticationError, "authentication"),
    (NoPermissionError, "no_permission"),
    (ReadOnlyError, "read_only"),
    (OutOfMemoryError, "out_of_memory"),
    (ClusterDownError, "cluster_down"),
    (MovedError, "moved"),
    (TimeoutError, "timeout"),
    (ConnectionError, "connection"),
    (ResponseError, "refused"),
    (RedisError, "failed"),
)


class RedisOptions(Struct, frozen=True, kw_only=True):
    """``maxlen`` is approximate, in signals. ``timeout_s`` for connecting and for each answer."""

    url: str
    prefix: str = "imbalanced:"
    role: str = "writer"
    maxlen: int = 100_000
    timeout_s: float = 5.0
    version: str = "0"

    def __repr__(self) -> str:
        return f"RedisOptions(url={redacted(self.url)!r}, prefix={self.prefix!r}, role={self.role!r})"


class RedisSink:
    """A sink for one Redis server. One connection, used by one task."""

    name = "redis"
    takes_state = True

    def __init__(self, options: RedisOptions, journal: Journal, hub: Hub) -> None:
        self._options = options
        self._journal = journal
        self._where = redacted(options.url)
        self._key_stream = f"{options.prefix}signals"
        self._key_meta = f"{options.prefix}meta"
        self._key_open = f"{options.prefix}open"
        self._redis: Redis | None = None
        self._top: StreamId = NOTHING
        _client(options, once=None)  # a bad URL is found by `imbalanced check`, not at three in the morning

    async def open(self) -> int:
        await self.close()
        self._redis = _client(self._options, once=_Once())
        with _conditions(self._where):
            self._top, held = await self._held(self._redis)
            first = self._first_wanted(held)
            await self._rebuild_open(self._redis, first)
        return first

    async def write(self, batch: Batch) -> None:
        redis = self._redis
        if redis is None:
            raise SinkUnavailable("connection", f"{self._where}: not open")
        with _conditions(self._where):
            if batch == Batch():
                await self._look(redis)
            else:
                await self._write(redis, batch)

    async def close(self) -> None:
        redis, self._redis = self._redis, None
        if redis is not None:
            try:
                await redis.aclose()
            except RedisError as exc:  # it is gone, which is what we wanted
                log.debug("redis_close_failed", redis=self._where, detail=str(exc))

    async def _held(self, redis: Redis) -> tuple[StreamId, int]:
        """The highest id the stream ever had, and the last ``seq`` it holds of this epoch (0: none)."""
        try:
            info: Mapping[str, Any] = await redis.xinfo_stream(self._key_stream)
        except ResponseError as exc:
            if "no such key" in str(exc):
                return NOTHING, 0
            raise
        top = _parse_id(info["last-generated-id"])
        last = info["last-entry"]
        if not last:
            return top, 0
        fields: Mapping[str, str] = last[1]
        if fields.get("epoch") != self._journal.epoch:
            log.warning("redis_holds_other_epoch", redis=self._where, theirs=fields.get("epoch"))
            return top, 0
        return top, int(fields["seq"])

    def _first_wanted(self, held: int) -> int:
        if held:
            return held + 1
        # What MAXLEN would trim at once need not be sent.
        return max(self._journal.oldest_seq, self._journal.last_seq + 1 - self._options.maxlen)

    async def _rebuild_open(self, redis: Redis, first: int) -> None:
        """The hash of open signals as it was before ``first``; from there on the batches keep it."""
        pipe = redis.pipeline(transaction=True)
        pipe.delete(self._key_open)
        for entry in self._journal.open_entries(min(first, self._journal.last_seq + 1)):
            pipe.hset(self._key_open, entry.id, entry.text)
        pipe.hset(self._key_meta, mapping=self._meta(min(first - 1, self._journal.last_seq)))
        await pipe.execute()

    async def _look(self, redis: Redis) -> None:
        """Nothing to write: is the server there, and does it still hold what we wrote?"""
        top, _ = await self._held(redis)
        if top < self._top:
            raise SinkUnavailable("went_back", f"{self._where}: the stream ends at {top}, we wrote up to {self._top}")

    async def _write(self, redis: Redis, batch: Batch) -> None:
        # One pipeline a batch; MULTI where the stream and the open signals must agree.
        pipe = redis.pipeline(transaction=bool(batch.entries))
        ids: list[tuple[int, StreamId]] = []  # where in the answers each XADD stands
        top = self._top
        for entry in batch.entries:
            top = _next_id(top, entry)
            ids.append((len(pipe), top))
            self._add(pipe, entry, top)
        if batch.entries:
            pipe.hset(self._key_meta, mapping=self._meta(batch.entries[-1].seq))
        for state in batch.states:
            snapshot = state.snapshot
            pipe.hset(f"{self._options.prefix}metrics:{{{snapshot.venue}:{snapshot.instrument}}}", "data", state.text())
        answers: list[object] = await pipe.execute(raise_on_error=False) if len(pipe) else []
        for (place, entry_id), entry in zip(ids, batch.entries, strict=True):
            if _is_duplicate(answers[place]):
                await self._demand_ours(redis, entry_id, entry)
                answers[place] = None
        _raise_first(answers)
        self._top = top

    def _add(self, pipe: Any, entry: Entry, entry_id: StreamId) -> None:
        fields = {
            "data": entry.text,
            "seq": entry.seq,
            "kind": entry.kind,
            "venue": entry.venue,
            "instrument": entry.instrument,
            "side": entry.side,
            "event": entry.event,
            "epoch": self._journal.epoch,
        }
        pipe.xadd(
            self._key_stream, fields, id=f"{entry_id[0]}-{entry_id[1]}", maxlen=self._options.maxlen, approximate=True
        )
        if entry.event == "close":
            pipe.hdel(self._key_open, entry.id)
        else:
            pipe.hset(self._key_open, entry.id, entry.text)
        pipe.publish(f"{self._key_stream}:{entry.kind}", entry.text)

    async def _demand_ours(self, redis: Redis, entry_id: StreamId, entry: Entry) -> None:
        """ "Equal or smaller than the target stream top item": a write that timed out may have arrived after all."""
        at = f"{entry_id[0]}-{entry_id[1]}"
        found: Any = await redis.xrange(self._key_stream, at, at)
        if found:
            fields = found[0][1]
            if fields.get("epoch") == self._journal.epoch and fields.get("seq") == str(entry.seq):
                return
        raise SinkUnavailable(
            "other_writer", f"{self._where}: somebody else writes to {self._key_stream}; give each daemon a prefix"
        )

    def _meta(self, last_seq: int) -> Mapping[Any, Any]:
        return {
            "epoch": self._journal.epoch,
            "oldest_seq": self._journal.oldest_seq,
            "last_seq": last_seq,
            "version": self._options.version,
        }


class _Once:
    """Lets a client connect once. redis-py reconnects silently: an emptied server would get the middle of the story."""

    def __init__(self) -> None:
        self._used = False

    async def connect(self, connection: Connection) -> None:
        if self._used:
            raise ConnectionError("connection lost")
        self._used = True
        await connection.on_connect()


def _client(options: RedisOptions, once: _Once | None) -> Redis:
    try:
        client: Redis = Redis.from_url(
            options.url,
            protocol=3,
            legacy_responses=False,
            decode_responses=True,
            client_name=f"imbalanced-{options.role}",
            socket_timeout=options.timeout_s,
            socket_connect_timeout=options.timeout_s,
            max_connections=1,
            retry=Retry(NoBackoff(), 0),  # retrying is the outlet's
            redis_connect_func=once.connect if once else None,
            maint_notifications_config=MaintNotificationsConfig(enabled=False),
        )
    except (ValueError, TypeError):
        # Not chained: the text of the cause may quote the password.
        raise SinkMisconfigured(
            f"redis url {redacted(options.url)!r}: expected redis://, rediss:// or unix:// with host, port and database"
        ) from None
    return client


@contextmanager
def _conditions(where: str) -> Iterator[None]:
    try:
        yield
    except RedisError as exc:
        word = next(word for kind, word in _CONDITIONS if isinstance(exc, kind))
        if str(exc).startswith("MISCONF"):
            word = "misconf"
        raise SinkUnavailable(word, f"{where}: {str(exc)[:200]}") from exc


def redacted(url: str) -> str:
    """A URL for logs: scheme, host, port and path, never user, password or query."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "(not a URL)"
    return f"{parts.scheme}://{parts.hostname or ''}{port}{parts.path}"


def _parse_id(text: str) -> StreamId:
    ms, _, seq = text.partition("-")
    return int(ms), int(seq)


def _next_id(top: StreamId, entry: Entry) -> StreamId:
    """``(recv_ms, seq)``, with the time held back from running backwards; ids must grow even in a new epoch."""
    ms = max(entry.recv_ns // 1_000_000, top[0])
    return (ms, entry.seq) if (ms, entry.seq) > top else (ms + 1, entry.seq)


def _is_duplicate(answer: object) -> bool:
    return isinstance(answer, ResponseError) and "equal or smaller" in str(answer)


def _raise_first(answers: Sequence[object]) -> None:
    for answer in answers:
        if isinstance(answer, RedisError):
            raise answer
