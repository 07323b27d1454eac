"""aiohttp's websocket client: its frame reader is compiled, its interface is one coroutine call per message.

A message that waits in aiohttp's queue is received without a turn of the event loop, so the messages of one read are
handed over in one wake-up of one task, which is the next turn of the loop after the read.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp import ClientWSTimeout, WSMsgType

from imbalanced.transports.heartbeat import Heartbeat
from imbalanced.transports.transport import (
    NO_CODE,
    NORMAL,
    ConnectFailed,
    HandshakeBroken,
    HandshakeRefused,
    connect_errors,
    ending,
    tls,
)

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from imbalanced.transports.transport import Connection, Handler, Options


class _Socket:
    """One connection and the task that reads it."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        websocket: aiohttp.ClientWebSocketResponse[Any],
        handler: Handler,
        options: Options,
    ) -> None:
        self._session = session
        self._websocket = websocket
        self._handler = handler
        self._options = options
        self._deliver = handler.on_message
        self._loop = asyncio.get_running_loop()
        self._recv_ns = 0  # 0: the next message begins a new read
        self._reads = 0
        self._sent: int | None = None
        self._aborted: str | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        # aiohttp shows the TCP transport only on the response inside; without it no dead peer could be dropped at once.
        connection = websocket._response.connection
        assert connection is not None
        assert connection.transport is not None
        self._transport = connection.transport
        self._heartbeat = Heartbeat(self, lambda: self._reads, options)
        handler.on_open(self)
        self._reader = asyncio.create_task(self._read(), name="websocket-reader")

    def send(self, text: str) -> None:
        if self._sent is None and not self._websocket.closed:
            self._start(self._websocket.send_str(text))

    def ping(self) -> None:
        if self._sent is None and not self._websocket.closed:
            self._handler.on_control()
            self._start(self._websocket.ping())

    def close(self, code: int = NORMAL) -> None:
        self._deliver = _discard
        if self._sent is None and not self._websocket.closed:
            self._sent = code
            self._arm()
            self._start(self._websocket.close(code=code))

    def abort(self, reason: str = "aborted") -> None:
        self._deliver = _discard
        if self._aborted is None:
            self._aborted = reason
        self._transport.abort()

    def _start(self, sending: Coroutine[Any, Any, Any]) -> None:
        """aiohttp only sends in coroutines; tasks begin in the order in which they were made, so order is kept."""
        task = asyncio.create_task(_unless_lost(sending), name="websocket-send")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _arm(self) -> None:
        if self._deadline is None:
            self._deadline = self._loop.call_later(self._options.close_s, self._transport.abort)

    def _next_read(self) -> None:
        self._recv_ns = 0

    async def _read(self) -> None:
        received: tuple[int, str] | None = None
        received_first = False
        try:
            while True:
                message = await self._websocket.receive()
                if not self._recv_ns:
                    # What is received before the loop turns again was in the queue already: one read, one time.
                    self._recv_ns = time.time_ns()
                    self._loop.call_soon(self._next_read)
                self._reads += 1
                kind = message.type
                if kind is WSMsgType.TEXT or kind is WSMsgType.BINARY:
                    self._deliver(message.data, self._recv_ns)
                elif kind is WSMsgType.PING:
                    self._handler.on_control()
                    await _unless_lost(self._websocket.pong(message.data))
                elif kind is not WSMsgType.PONG:
                    break
            if kind is WSMsgType.CLOSE:
                received, received_first = (message.data or NO_CODE, message.extra or ""), self._sent is None
                self._arm()
                await _unless_lost(self._websocket.close(code=message.data or NORMAL))
            elif kind is WSMsgType.ERROR and isinstance(message.data, aiohttp.WebSocketError):
                self._sent = int(message.data.code)  # aiohttp has closed the socket with it
            if self._tasks:
                await asyncio.wait(self._tasks)
        finally:
            self._heartbeat.stop()
            if self._deadline is not None:
                self._deadline.cancel()
            await self._session.close()
        self._handler.on_close(*ending(received, self._sent, received_first, self._aborted))


async def _unless_lost(sending: Coroutine[Any, Any, Any]) -> None:
    """A peer that is gone is the reader's news; the sender needs no exception for it."""
    try:
        await sending
    except ConnectionError:
        pass


def _discard(data: bytes, recv_ns: int) -> None:
    """Where messages go after our own close."""


async def connect(url: str, handler: Handler, options: Options) -> Connection:
    """See :class:`~imbalanced.transports.transport.Connect`."""
    session = aiohttp.ClientSession(headers=options.headers, timeout=aiohttp.ClientTimeout(total=None))
    try:
        async with connect_errors(), asyncio.timeout(options.connect_s):
            websocket = await session.ws_connect(
                url,
                ssl=tls(url, options) or True,
                max_msg_size=options.max_bytes + 1,  # aiohttp's limit is the first size that is too much
                timeout=ClientWSTimeout(ws_close=options.close_s),
                autoping=False,
                autoclose=False,
                decode_text=False,
                compress=0,
            )
    except aiohttp.WSServerHandshakeError as error:
        await session.close()
        if error.status != 101:
            retry_after = error.headers.get("Retry-After") if error.headers else None
            raise HandshakeRefused(error.status, retry_after) from error
        raise HandshakeBroken(error.message) from error
    except (aiohttp.ClientResponseError, aiohttp.ServerDisconnectedError) as error:
        await session.close()
        raise HandshakeBroken(str(error)) from error
    except (aiohttp.ClientError, ValueError) as error:
        await session.close()
        raise ConnectFailed(str(error)) from error
    except BaseException:
        await session.close()
        raise
    return _Socket(session, websocket, handler, options)
