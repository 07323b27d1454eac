"""`picows`: websocket frames parsed in compiled code, one Python call per frame inside the read callback.

Its frame is a view into the read buffer, valid during the call only; the payload is copied once. Joining fragments,
answering PINGs and the limit over several fragments are ours.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, cast

import picows
from picows import WSCloseCode, WSListener, WSMsgType

from imbalanced.transports.heartbeat import Heartbeat
from imbalanced.transports.transport import (
    NO_CODE,
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
    from picows import WSFrame, WSTransport

    from imbalanced.transports.transport import Connection, Handler, Options

_TEXT = WSMsgType.TEXT
_DATA = (WSMsgType.TEXT, WSMsgType.BINARY)
_CONTINUATION, _PING, _CLOSE = WSMsgType.CONTINUATION, WSMsgType.PING, WSMsgType.CLOSE
_READ_BUFFER = 256 << 10  # a burst of a busy socket in one read; the buffer grows by itself for larger frames


class _Socket(WSListener):
    """One connection."""

    _transport: WSTransport

    def __init__(self, handler: Handler, options: Options) -> None:
        self._handler = handler
        self._options = options
        self._loop = asyncio.get_running_loop()
        self._deliver = handler.on_message
        self._recv_ns = 0  # 0: the next frame begins a new read
        self._reads = 0
        self._parts: list[bytes] = []
        self._size = 0
        self._aborted: str | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._heartbeat: Heartbeat | None = None
        self.abandoned = False

    # -- the connection ------------------------------------------------------------------------------------------------

    def send(self, text: str) -> None:
        self._transport.send(_TEXT, text.encode())

    def ping(self) -> None:
        if not self._transport.is_close_frame_sent:
            self._handler.on_control()
            self._transport.send_ping(b"")

    def close(self, code: int = NORMAL) -> None:
        self._deliver = _discard
        if not self._transport.is_close_frame_sent:
            self._transport.send_close(code)  # type: ignore[arg-type]  # any number does; the enum lacks the private range
            self._arm()

    def abort(self, reason: str = "aborted") -> None:
        self._deliver = _discard
        if self._aborted is None:
            self._aborted = reason
        self._transport.disconnect(False)

    # -- picows' callbacks ---------------------------------------------------------------------------------------------

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        if self.abandoned:
            transport.disconnect(False)
            return
        self._heartbeat = Heartbeat(self, lambda: self._reads, self._options)
        self._handler.on_open(self)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        recv_ns = self._recv_ns
        if not recv_ns:
            recv_ns = time.time_ns()
            self._reads += 1
        self._recv_ns = 0 if frame.last_in_buffer else recv_ns
        kind = frame.msg_type
        if kind in _DATA:
            if frame.fin and not self._parts:
                self._deliver(frame.get_payload_as_bytes(), recv_ns)
            else:
                self._join(frame, recv_ns)
        elif kind == _CONTINUATION:
            self._join(frame, recv_ns)
        elif kind == _PING:
            self._handler.on_control()
            transport.send_pong(frame.get_payload_as_bytes())
        elif kind == _CLOSE:
            self._answer_close(transport, frame)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        if self._heartbeat is None:
            return
        self._heartbeat.stop()
        received, sent, received_first = None, None, False
        shake = transport.close_handshake
        if shake is not None:
            if shake.recv is not None:
                received = _number(shake.recv.code) or NO_CODE, shake.recv.reason or ""
            if shake.sent is not None:
                sent = _number(shake.sent.code)
            received_first = bool(shake.recv_then_sent)
        self._handler.on_close(*ending(received, sent, received_first, self._aborted))

    def pause_writing(self) -> None:
        """The peer does not read. What we send is little and paced; the heartbeat will find it out."""

    def resume_writing(self) -> None:
        """See above."""

    # -- inside --------------------------------------------------------------------------------------------------------

    def _join(self, frame: WSFrame, recv_ns: int) -> None:
        starts = frame.msg_type != _CONTINUATION
        if starts == bool(self._parts):  # RFC 6455, 5.4: a message begins once and goes on with continuations
            self._give_up(WSCloseCode.PROTOCOL_ERROR)
            return
        self._parts.append(frame.get_payload_as_bytes())
        self._size += frame.payload_size
        if self._size > self._options.max_bytes:
            self._give_up(WSCloseCode.MESSAGE_TOO_BIG)
        elif frame.fin:
            data, self._parts, self._size = b"".join(self._parts), [], 0
            self._deliver(data, recv_ns)

    def _answer_close(self, transport: WSTransport, frame: WSFrame) -> None:
        self._deliver = _discard
        if not transport.is_close_frame_sent:
            code = frame.get_close_code()
            transport.send_close(code if _number(code) else WSCloseCode.OK)
        transport.disconnect()
        self._arm()

    def _give_up(self, code: WSCloseCode) -> None:
        self._deliver = _discard
        self._parts, self._size = [], 0
        self._transport.send_close(code)
        self._arm()

    def _arm(self) -> None:
        if self._deadline is None:
            self._deadline = self._loop.call_later(self._options.close_s, self._transport.disconnect, False)


def _number(code: WSCloseCode) -> int:
    return int(cast("int", code))  # an IntEnum with room for unknown codes, whatever the stubs say


def _discard(data: bytes, recv_ns: int) -> None:
    """Where messages go after the end was announced."""


async def connect(url: str, handler: Handler, options: Options) -> Connection:
    """See :class:`~imbalanced.transports.transport.Connect`."""
    found = _Socket(handler, options)
    try:
        async with connect_errors(), asyncio.timeout(options.connect_s):
            _, listener = await picows.ws_connect(
                lambda: found,
                url,
                ssl_context=tls(url, options),
                websocket_handshake_timeout=options.connect_s,
                logger_name=QUIET,
                enable_auto_ping=False,  # the heartbeat is ours, the same for every transport
                enable_auto_pong=False,  # PONGs count against the venue's message rate, so they must be seen
                max_frame_size=options.max_bytes,
                extra_headers=options.headers,
                max_redirects=0,
                read_buffer_init_size=_READ_BUFFER,
            )
    except picows.WSInvalidStatusError as error:
        if error.response is None:
            raise HandshakeBroken(str(error)) from error
        raise HandshakeRefused(int(error.response.status), error.response.headers.get("Retry-After")) from error
    except picows.WSHandshakeError as error:
        raise HandshakeBroken(str(error)) from error
    except picows.WSError as error:
        raise ConnectFailed(str(error)) from error
    except BaseException:
        # picows goes on with a handshake whose caller was cancelled: let it end the socket as soon as it has one.
        found.abandoned = True
        raise
    if listener is None:  # picows' way to say that the server hung up during the handshake
        raise HandshakeBroken("closed during the handshake")
    return found
