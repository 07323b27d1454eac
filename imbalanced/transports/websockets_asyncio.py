"""The `websockets` library as it comes: its asyncio client, one task that reads.

The messages of one read are handed over in one wake-up of that task, which is the next turn of the loop. That costs a
wake-up for every read and two coroutine calls for every message; `websockets_sansio` is the same library without them.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as websockets_connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI
from websockets.frames import Frame, Opcode
from websockets.protocol import State

from imbalanced.transports.heartbeat import Heartbeat
from imbalanced.transports.transport import (
    NORMAL,
    QUIET,
    ConnectFailed,
    HandshakeBroken,
    HandshakeRefused,
    connect_errors,
    ending,
    tls,
)

if TYPE_CHECKING:
    from websockets.protocol import Event

    from imbalanced.transports.transport import Connection, Handler, Options


class _Client(ClientConnection):
    """The library's connection, which also notes when it read and that it was pinged."""

    recv_ns = 0
    reads = 0
    pings = 0  # before there was a handler: some come in the same read as the handshake
    handler: Handler | None = None
    deadline: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        self.recv_ns = time.time_ns()
        self.reads += 1
        super().data_received(data)
        # The library has a close deadline only in `close`: a server that says goodbye and stays is not met there.
        if self.protocol.state is State.CLOSING and self.deadline is None and self.close_timeout is not None:
            self.deadline = self.loop.call_later(self.close_timeout, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.deadline is not None:
            self.deadline.cancel()
        super().connection_lost(exc)

    def process_event(self, event: Event) -> None:
        if isinstance(event, Frame) and event.opcode is Opcode.PING:
            if self.handler is None:
                self.pings += 1
            else:
                self.handler.on_control()
        super().process_event(event)


class _Connect(websockets_connect):
    """No redirects: another host than the configured one is the operator's decision."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class _Socket:
    """One connection and the task that reads it."""

    def __init__(self, client: _Client, handler: Handler, options: Options) -> None:
        self._client = client
        self._handler = handler
        self._deliver = handler.on_message
        self._aborted: str | None = None
        self._closing: asyncio.Task[None] | None = None
        self._heartbeat = Heartbeat(self, lambda: client.reads, options)
        client.handler = handler
        handler.on_open(self)
        for _ in range(client.pings):
            handler.on_control()
        self._reader = asyncio.create_task(self._read(), name="websocket-reader")

    def send(self, text: str) -> None:
        # What `await client.send(text)` does, less the wait for a peer that does not read: sends are few and paced.
        if self._client.protocol.state is State.OPEN:
            self._client.protocol.send_text(text.encode())
            self._client.send_data()

    def ping(self) -> None:
        if self._client.protocol.state is State.OPEN:
            self._client.protocol.send_ping(b"")
            self._handler.on_control()
            self._client.send_data()

    def close(self, code: int = NORMAL) -> None:
        self._deliver = _discard
        if self._closing is None:
            self._closing = asyncio.create_task(self._client.close(code), name="websocket-close")

    def abort(self, reason: str = "aborted") -> None:
        self._deliver = _discard
        if self._aborted is None:
            self._aborted = reason
        self._client.transport.abort()

    async def _read(self) -> None:
        client = self._client
        try:
            while True:
                data = await client.recv(decode=False)
                self._deliver(data, client.recv_ns)
        except ConnectionClosed:
            pass
        finally:
            self._heartbeat.stop()
            if client.protocol.state is not State.CLOSED:  # only when this task was cancelled
                client.transport.abort()
        protocol = client.protocol
        got, sent = protocol.close_rcvd, protocol.close_sent
        code, reason, detail = ending(
            (int(got.code), got.reason) if got else None,
            int(sent.code) if sent else None,
            bool(protocol.close_rcvd_then_sent),
            self._aborted,
        )
        self._handler.on_close(code, reason, detail)


def _discard(data: bytes, recv_ns: int) -> None:
    """Where messages go after our own close."""


async def connect(url: str, handler: Handler, options: Options) -> Connection:
    """See :class:`~imbalanced.transports.transport.Connect`."""
    context = tls(url, options)
    tls_arguments: dict[str, Any] = {"ssl": context} if context else {}
    try:
        async with connect_errors():
            client = await _Connect(
                url,
                create_connection=_Client,
                compression=None,
                ping_interval=None,  # the heartbeat is ours, the same for every transport
                open_timeout=options.connect_s,
                close_timeout=options.close_s,
                max_size=options.max_bytes,
                max_queue=None,  # the reader empties the queue in the next turn of the loop
                additional_headers=options.headers,
                user_agent_header=None,
                proxy=None,
                logger=QUIET,
                **tls_arguments,
            )
    except InvalidStatus as error:
        response = error.response
        raise HandshakeRefused(response.status_code, response.headers.get("Retry-After")) from error
    except InvalidURI as error:
        raise ConnectFailed(str(error)) from error
    except InvalidHandshake as error:
        raise HandshakeBroken(str(error)) from error
    assert isinstance(client, _Client)
    return _Socket(client, handler, options)
