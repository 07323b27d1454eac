"""The `websockets` library's protocol without its asyncio shell, driven from our own ``asyncio.Protocol``.

All frames of one read are parsed and handed over inside the read callback: no future, queue or wake-up per message.
"""

from __future__ import annotations

import asyncio
import socket
import time
from typing import TYPE_CHECKING, cast

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidHandshake, InvalidStatus, InvalidURI
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

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
    from websockets.typing import BytesLike

    from imbalanced.transports.transport import Connection, Handler, Options


class _Socket(asyncio.Protocol):
    """One connection: bytes in, messages out."""

    _transport: asyncio.Transport

    def __init__(self, protocol: ClientProtocol, handler: Handler, options: Options) -> None:
        self._protocol = protocol
        self._handler = handler
        self._options = options
        self._loop = asyncio.get_running_loop()
        self.shaken: asyncio.Future[None] = self._loop.create_future()
        self._opened = False
        self._deliver = handler.on_message
        self._parts: list[BytesLike] = []
        self._reads = 0
        self._heartbeat: Heartbeat | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._aborted: str | None = None

    # -- the connection ------------------------------------------------------------------------------------------------

    def send(self, text: str) -> None:
        if self._protocol.state is State.OPEN:
            self._protocol.send_text(text.encode())
            self._flush()

    def ping(self) -> None:
        if self._protocol.state is State.OPEN:
            self._protocol.send_ping(b"")
            self._handler.on_control()
            self._flush()

    def close(self, code: int = NORMAL) -> None:
        self._deliver = _discard
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(code)
            self._flush()

    def abort(self, reason: str = "aborted") -> None:
        self._deliver = _discard
        if self._aborted is None:
            self._aborted = reason
        self._transport.abort()

    # -- asyncio.Protocol ----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        request = self._protocol.connect()
        request.headers.update(self._options.headers)
        self._protocol.send_request(request)
        self._flush()

    def data_received(self, data: bytes) -> None:
        recv_ns = time.time_ns()
        self._reads += 1
        self._protocol.receive_data(data)
        events = self._protocol.events_received()
        if self._protocol.writes:  # PONGs and the answer to a close go out before the handler takes its time
            self._flush()
        for event in events:
            if type(event) is Frame:
                self._take(event, recv_ns)
            elif self._protocol.handshake_exc is None:
                self._open()
        if not self._opened and self._protocol.handshake_exc is not None:  # garbage makes no event
            self._fail()

    def eof_received(self) -> None:
        self._protocol.receive_eof()
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self._protocol.receive_eof()
        if self._deadline is not None:
            self._deadline.cancel()
        if self._heartbeat is not None:
            self._heartbeat.stop()
        if not self._opened:
            self._fail()
            return
        got, sent = self._protocol.close_rcvd, self._protocol.close_sent
        code, reason, detail = ending(
            (int(got.code), got.reason) if got else None,
            int(sent.code) if sent else None,
            bool(self._protocol.close_rcvd_then_sent),
            self._aborted,
        )
        self._handler.on_close(code, reason, detail)

    # -- inside --------------------------------------------------------------------------------------------------------

    def _take(self, frame: Frame, recv_ns: int) -> None:
        opcode = frame.opcode
        if opcode is Opcode.TEXT or opcode is Opcode.BINARY:
            if frame.fin:
                self._deliver(bytes(frame.data), recv_ns)
            else:
                self._parts = [frame.data]
        elif opcode is Opcode.CONT:
            self._parts.append(frame.data)
            if frame.fin:
                data, self._parts = b"".join(self._parts), []
                self._deliver(data, recv_ns)
        elif opcode is Opcode.PING:
            self._handler.on_control()  # the protocol has answered it

    def _open(self) -> None:
        if self.shaken.cancelled():  # nobody waits for it any more
            self._transport.abort()
            return
        self._opened = True
        self._heartbeat = Heartbeat(self, lambda: self._reads, self._options)
        self.shaken.set_result(None)
        self._handler.on_open(self)

    def _fail(self) -> None:
        if not self.shaken.done():
            self.shaken.set_exception(self._protocol.handshake_exc or ConnectionResetError("closed in the handshake"))
        self._transport.abort()

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self._transport.write(data)
            elif self._transport.can_write_eof():
                self._transport.write_eof()
            else:  # TLS has no half-close
                self._transport.close()
        if self._protocol.close_rcvd is not None and self._protocol.close_sent is not None:
            # RFC 6455, 7.1.1 lets the server close first, so that TIME_WAIT is on its side. A port of ours can wait,
            # the next socket cannot.
            self._transport.close()
        elif self._deadline is None and self._protocol.close_expected():
            self._deadline = self._loop.call_later(self._options.close_s, self._transport.abort)


def _discard(data: bytes, recv_ns: int) -> None:
    """Where messages go after our own close."""


async def connect(url: str, handler: Handler, options: Options) -> Connection:
    """See :class:`~imbalanced.transports.transport.Connect`."""
    try:
        uri = parse_uri(url)
    except InvalidURI as error:
        raise ConnectFailed(str(error)) from error
    loop = asyncio.get_running_loop()
    context = tls(url, options)
    found: _Socket | None = None
    try:
        async with connect_errors(), asyncio.timeout(options.connect_s):
            _, found = await loop.create_connection(
                lambda: _Socket(ClientProtocol(uri, max_size=options.max_bytes, logger=QUIET), handler, options),
                uri.host,
                uri.port,
                ssl=context,
                server_hostname=uri.host if context else None,
            )
            await found.shaken
    except InvalidStatus as error:
        response = error.response
        raise HandshakeRefused(response.status_code, response.headers.get("Retry-After")) from error
    except InvalidHandshake as error:
        raise HandshakeBroken(str(error)) from error
    except BaseException:  # timed out or cancelled while the handshake was under way
        if found is not None:
            found.abort()
        raise
    return found
