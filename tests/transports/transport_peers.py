"""The two ends of a socket under test: a handler that remembers, and servers that can be as rude as a test wants."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from websockets.frames import Close, Frame, Opcode
from websockets.utils import accept_key

from imbalanced.transports.transport import Connection, Options

LONG = 10.0  # no test waits that long when all is well
BRISK = Options(connect_s=LONG, close_s=LONG, ping_idle_s=60, pong_s=60)

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Remember:
    """A handler that keeps everything in order, and lets a test wait for it."""

    def __init__(self) -> None:
        self.story: list[str] = []
        self.messages: list[bytes] = []
        self.times: list[int] = []
        self.controls = 0
        self.connection: Connection | None = None
        self.end: tuple[int, str, str] | None = None
        self.react: Callable[[bytes], None] = lambda data: None
        self._changed = asyncio.Event()

    def on_open(self, connection: Connection) -> None:
        self.connection = connection
        self._note("open")

    def on_message(self, data: bytes, recv_ns: int) -> None:
        assert type(data) is bytes
        self.messages.append(data)
        self.times.append(recv_ns)
        self._note("message")
        self.react(data)

    def on_control(self) -> None:
        self.controls += 1
        self._changed.set()

    def on_close(self, code: int, reason: str, detail: str) -> None:
        self.end = code, reason, detail
        self._note("close")

    def _note(self, what: str) -> None:
        self.story.append(what)
        self._changed.set()

    async def until(self, ready: Callable[[], object]) -> None:
        async with asyncio.timeout(LONG):
            while not ready():
                await self._changed.wait()
                self._changed.clear()

    async def ended(self) -> tuple[int, str, str]:
        await self.until(lambda: self.end)
        await asyncio.sleep(0.01)  # whatever would wrongly come after the end has its chance here
        assert self.story.count("open") == 1
        assert self.story[0] == "open"
        assert self.story.count("close") == 1
        assert self.story[-1] == "close"
        assert self.end is not None
        return self.end


@asynccontextmanager
async def tcp_server(script: Script) -> AsyncIterator[str]:
    """A bare TCP server on a free port; gives its websocket URL. A script that fails fails the test."""
    tasks: set[asyncio.Task[None]] = set()

    async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await script(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client may hang up at any time, and so may we
        finally:
            writer.close()

    server = await asyncio.start_server(run, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"ws://127.0.0.1:{port}/stream"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


@asynccontextmanager
async def rude_server(script: Script) -> AsyncIterator[str]:
    """Does the opening handshake properly, then leaves the bytes to the script."""

    async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await switching(reader))
        await script(reader, writer)

    async with tcp_server(run) as url:
        yield url


async def switching(reader: asyncio.StreamReader) -> bytes:
    """Read the client's request; the right answer to it."""
    request = await reader.readuntil(b"\r\n\r\n")
    found = re.search(rb"(?i)sec-websocket-key: *(\S+)", request)
    assert found is not None
    assert b"permessage-deflate" not in request
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept_key(found[1].decode()).encode() + b"\r\n\r\n"
    )


def wire(opcode: Opcode, data: bytes = b"", *, fin: bool = True) -> bytes:
    """A frame as a server sends it."""
    return Frame(opcode, data, fin).serialize(mask=False)


def text(data: bytes) -> bytes:
    return wire(Opcode.TEXT, data)


def closing(code: int, reason: str = "") -> bytes:
    return wire(Opcode.CLOSE, Close(code, reason).serialize())


async def receive(reader: asyncio.StreamReader) -> tuple[Opcode, bytes]:
    """One short masked frame of the client."""
    head = await reader.readexactly(2)
    length = head[1] & 0x7F
    assert head[1] & 0x80, "client frames are masked"
    assert length < 126, "a short frame was expected"
    mask = await reader.readexactly(4)
    body = await reader.readexactly(length)
    return Opcode(head[0] & 0x0F), bytes(byte ^ mask[i % 4] for i, byte in enumerate(body))


async def for_ever(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A server that neither reads nor writes: half-open, as far as the client can tell."""
    await asyncio.Event().wait()


async def until_eof(reader: asyncio.StreamReader) -> None:
    while await reader.read(65536):
        pass
