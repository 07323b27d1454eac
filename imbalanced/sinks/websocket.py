"""The subscriber server: ``ws://HOST:PORT/v1``, live and replayed signals, metrics and status as text JSON.

To its outlet it is a sink like any other: a batch is the word that there is news, and each subscriber then reads from
its own place. Listening, who may come in, and the orderly goodbye live here; what a subscriber may say lives in
:mod:`~imbalanced.sinks.subscriber`, the messages in :mod:`~imbalanced.sinks.wire`.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections import Counter
from http import HTTPStatus

import structlog
from msgspec import Struct
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response

from imbalanced.journal import Journal
from imbalanced.sinks.address import host_allowed, hostname, is_loopback, listening
from imbalanced.sinks.hub import Hub
from imbalanced.sinks.sink import Batch
from imbalanced.sinks.subscriber import CLOSES, FULL, STOPPING, Limits, Subscriber, Verdict
from imbalanced.sinks.wire import VERSION, message

__all__ = ["WebsocketOptions", "WebsocketSink"]

log = structlog.get_logger(__name__)

PATH = "/v1"


class WebsocketOptions(Struct, frozen=True, kw_only=True):
    """``port`` 0 takes a free one. ``tokens``: any of them opens; none means everybody. ``hosts`` and ``origins`` are
    names (without scheme and port) that are welcome besides our own."""

    host: str = "127.0.0.1"
    port: int = 8801
    tokens: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    compression: bool = False
    ping_s: float = 20.0
    goodbye_s: float = 2.0
    version: str = "0"
    limits: Limits = Limits()

    def __repr__(self) -> str:
        return f"WebsocketOptions(host={self.host!r}, port={self.port}, tokens={len(self.tokens)})"


class WebsocketSink:
    """Serves any number of subscribers up to ``limits.max_subscribers``."""

    name = "websocket"
    takes_state = True

    def __init__(self, options: WebsocketOptions, journal: Journal, hub: Hub) -> None:
        self._options = options
        self._journal = journal
        self._hub = hub
        self._server: Server | None = None
        self._stopping = False
        self._subscribers: set[Subscriber] = set()
        self._tokens = tuple(token.encode() for token in options.tokens)
        # Every reason is there from the start, with 0.
        self.dropped: Counter[str] = Counter({verdict.label: 0 for verdict in CLOSES})

    @property
    def subscribers(self) -> int:
        return len(self._subscribers)

    @property
    def port(self) -> int:
        """The port really bound; the configured one while not listening."""
        if self._server is None:
            return self._options.port
        port: int = next(iter(self._server.sockets)).getsockname()[1]
        return port

    async def open(self) -> int:
        options = self._options
        self._stopping = False
        if self._server is None:
            with listening("stream", options.host, options.port):
                self._server = await serve(
                    self._handle,
                    options.host,
                    options.port,
                    process_request=self._admit,
                    compression="deflate" if options.compression else None,
                    max_size=options.limits.max_message_bytes,
                    max_queue=16,
                    ping_interval=options.ping_s,
                    ping_timeout=2 * options.ping_s,  # two unanswered
                    close_timeout=options.goodbye_s,
                    server_header=None,
                    logger=logging.getLogger("imbalanced.stream"),
                )
            log.info("stream_listening", host=options.host, port=self.port)
        return self._journal.last_seq + 1

    async def write(self, batch: Batch) -> None:
        for subscriber in list(self._subscribers):
            subscriber.wake()

    async def close(self) -> None:
        server, self._server = self._server, None
        if server is None:
            return
        self._stopping = True
        for subscriber in self._subscribers:
            subscriber.finish()
        handlers = set(server.handler_tasks)
        if handlers:
            await asyncio.wait(handlers, timeout=self._options.goodbye_s)
        for connection in server.connections:  # those that did not even take the last words in time
            connection.transport.abort()
        server.close(code=1001, reason="going away")
        await server.wait_closed()

    async def _handle(self, connection: ServerConnection) -> None:
        if self.subscribers >= self._options.limits.max_subscribers:
            self.dropped[FULL.label] += 1
            await self._part(connection, FULL)
            return
        subscriber = Subscriber(
            connection, self._journal, self._hub, self._options.limits, self._is_token if self._tokens else None
        )
        self._subscribers.add(subscriber)
        try:
            verdict = await subscriber.serve(self._welcome(), authorized=self._bearer(connection))
        finally:
            self._subscribers.discard(subscriber)
        if verdict is None:
            return
        if verdict is not STOPPING:
            self.dropped[verdict.label] += 1
            log.info("subscriber_dropped", reason=verdict.label, code=verdict.code, peer=connection.remote_address)
        await self._part(connection, verdict)

    async def _part(self, connection: ServerConnection, verdict: Verdict) -> None:
        """Close with a deadline: to a peer that does not read, even the close frame would wait for ever."""
        try:
            async with asyncio.timeout(self._options.goodbye_s):
                await connection.close(verdict.code, verdict.reason)
        except TimeoutError:
            connection.transport.abort()

    def _welcome(self) -> bytes:
        limits = self._options.limits
        return message(
            "welcome",
            None,
            v=VERSION,
            version=self._options.version,
            epoch=self._journal.epoch,
            last_seq=self._journal.last_seq,
            oldest_seq=self._journal.oldest_seq,
            auth_required=bool(self._tokens),
            channels=["signals", "metrics", "status"],
            limits={
                "max_message_bytes": limits.max_message_bytes,
                "max_behind": limits.max_behind,
                "messages_per_s": limits.messages_per_s,
                "message_burst": limits.message_burst,
                "max_subscribers": limits.max_subscribers,
                "ping_s": self._options.ping_s,
            },
        )

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        """Before the handshake: the path, who is asking, and whether there is room."""
        options = self._options
        if request.path.split("?")[0] != PATH:
            return connection.respond(HTTPStatus.NOT_FOUND, f"the stream is at {PATH}\n")
        if not host_allowed(options.host, _header(request, "Host"), options.hosts):
            return connection.respond(HTTPStatus.MISDIRECTED_REQUEST, "unknown Host\n")
        if not self._origin_allowed(request):
            return connection.respond(HTTPStatus.FORBIDDEN, "Origin not allowed\n")
        if self._stopping:
            return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "stopping\n")
        if self.subscribers >= options.limits.max_subscribers:
            self.dropped[FULL.label] += 1
            return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "too many subscribers\n")
        return None

    def _origin_allowed(self, request: Request) -> bool:
        """Browsers let any page open a websocket anywhere and only say which page it was; other clients say nothing."""
        origin = _header(request, "Origin")
        if origin is None:
            return True
        name = hostname(origin) if "://" in origin else None
        if name is None:
            return False
        host = hostname(_header(request, "Host") or "")
        ours = name == host or (is_loopback(self._options.host) and is_loopback(name))
        return ours or name in self._options.origins

    def _bearer(self, connection: ServerConnection) -> bool:
        request = connection.request
        header = (_header(request, "Authorization") if request is not None else None) or ""
        scheme, _, token = header.partition(" ")
        return scheme.lower() == "bearer" and self._is_token(token.strip())

    def _is_token(self, token: str) -> bool:
        # All are compared, each in constant time: neither which one nor how much of it was right can be measured.
        given = token.encode()
        return sum(hmac.compare_digest(given, known) for known in self._tokens) > 0


def _header(request: Request, name: str) -> str | None:
    """The value of a header; "" if it was sent twice, which no honest client does and no check of ours passes."""
    values = request.headers.get_all(name)
    return values[0] if len(values) == 1 else ("" if values else None)
