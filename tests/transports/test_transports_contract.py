"""What every transport guarantees, against real sockets on 127.0.0.1. See the list in ``transports/transport.py``."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from typing import TYPE_CHECKING

import pytest
from transport_peers import (
    BRISK,
    Remember,
    closing,
    for_ever,
    receive,
    rude_server,
    switching,
    tcp_server,
    text,
    until_eof,
    wire,
)
from websockets.asyncio.server import ServerConnection, serve
from websockets.frames import Opcode

from imbalanced.transports import DEFAULT, TRANSPORTS
from imbalanced.transports.transport import ConnectFailed, ConnectTimedOut, HandshakeBroken, HandshakeRefused, Options

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter

    from imbalanced.transports.transport import Connect


def test_the_table_has_the_names_of_the_configuration() -> None:
    assert sorted(TRANSPORTS) == ["aiohttp", "picows", "sansio", "websockets"]
    assert DEFAULT in TRANSPORTS


# -- messages ----------------------------------------------------------------------------------------------------------


async def test_many_frames_of_one_read_come_in_order_with_one_time(connect: Connect) -> None:
    expected = [b'{"n":%d}' % n for n in range(500)]

    async def script(reader: StreamReader, writer: StreamWriter) -> None:
        writer.write(b"".join(map(text, expected)))  # 6 kB: one segment on loopback
        await until_eof(reader)

    handler = Remember()
    before = time.time_ns()
    async with rude_server(script) as url:
        connection = await connect(url, handler, BRISK)
        await handler.until(lambda: len(handler.messages) == len(expected))
        connection.abort()
        await handler.ended()
    assert handler.messages == expected
    assert len(set(handler.times)) <= 2  # the kernel may split the write, if it must
    assert before <= handler.times[0] <= time.time_ns()


async def test_messages_that_come_with_the_handshake_are_delivered_after_open(connect: Connect) -> None:
    async def script(reader: StreamReader, writer: StreamWriter) -> None:
        writer.write(await switching(reader) + text(b"one") + text(b"two"))
        await until_eof(reader)

    handler = Remember()
    async with tcp_server(script) as url:
        connection = await connect(url, handler, BRISK)
        await handler.until(lambda: len(handler.messages) == 2)
        connection.abort()
        await handler.ended()
    assert handler.story == ["open", "message", "message", "close"]


async def test_text_and_binary_both_come_as_bytes(connect: Connect) -> None:
    async def greet(server: ServerConnection) -> None:
        await server.send("naïve 5 €")
        await server.send(b"\x00\xff\x1f\x8b")
        await server.wait_closed()

    handler = Remember()
    async with serve(greet, "127.0.0.1", 0) as server:
        connection = await connect(_url(server), handler, BRISK)
        await handler.until(lambda: len(handler.messages) == 2)
        connection.close()
        assert await handler.ended() == (1000, "closed", "")
    assert handler.messages == ["naïve 5 €".encode(), b"\x00\xff\x1f\x8b"]


async def test_fragments_are_joined_also_around_a_ping(connect: Connect) -> None:
    async def script(reader: StreamReader, writer: StreamWriter) -> None:
        writer.write(wire(Opcode.TEXT, b"one ", fin=False) + wire(Opcode.CONT, b"message", fin=False))
        writer.write(wire(Opcode.PING, b"between") + wire(Opcode.CONT, b"", fin=False))
        await writer.drain()
        assert await receive(reader) == (Opcode.PONG, b"between")
        writer.write(wire(Opcode.CONT, b" in four") + text(b"whole") + wire(Opcode.TEXT, b"", fin=False))
        writer.write(wire(Opcode.CONT, b"begun empty"))
        await until_eof(reader)

    handler = Remember()
    async with rude_server(script) as url:
        connection = await connect(url, handler, BRISK)
        await handler.until(lambda: len(handler.messages) == 3)
        connection.abort()
        await handler.ended()
    assert handler.messages == [b"one message in four", b"whole", b"begun empty"]


async def test_a_message_in_many_small_segments(connect: Connect) -> None:
    expected = b"x" * 100_000

    async def script(reader: StreamReader, writer: StreamWriter) -> None:
        data = text(expected) + text(b"tail")
        for start in range(0, len(data), 7001):
            writer.write(data[start : start + 7001])
            await writer.drain()
            await asyncio.sleep(0)
        await until_eof(reader)

    handler = Remember()
    async with rude_server(script) as url:
        connection = await connect(url, handler, BRISK)
        await handler.until(lambda: len(handler.messages) == 2)
        connection.abort()
        await handler.ended()
    assert handler.messages == [expected, b"tail"]


async def test_what_is_sent_arrives_in_order_even_from_inside_a_message(connect: Connect) -> None:
    heard: list[str] = []

    async def listen(server: ServerConnection) -> None:
        await server.send("go")
        async for message in server:
            heard.append(str(message))

    handler = Remember()

    def answer(data: bytes) -> None:
        assert handler.connection is not None
        for n in range(5):
            handler.connection.send(f"{data.decode()} {n} €")
        handler.connection.close(1001)

    handler.react = answer
    async with serve(listen, "127.0.0.1", 0) as server:
        connection = await connect(_url(server), handler, BRISK)
        assert (await handler.ended())[0] == 1001
        connection.send("too late")  # does nothing
    assert heard == [f"go {n} €" for n in range(5)]


async def test_after_our_close_nothing_more_is_delivered(connect: Connect) -> None:
    async def script(reader: StreamReader, writer: StreamWriter) -> None:
        writer.write(b"".join(text(b"%d" % n) for n in range(100)))
        opcode, body = await receive(reader)
        assert (opcode, body[:2]) == (Opcode.CLOSE, struct.pack("!H", 1000))
        writer.write(text(b"late") + closing(1000))

    handler = Remember()

    def stop(data: bytes) -> None:
        if data == b"9":
            assert handler.connection is not None
            handler.connection.close()
            assert handler.end is None  # never from inside a call

    handler.react = stop
    async with rude_server(script) as url:
        await connect(url, handler, BRISK)
        assert await handler.ended() == (1000, "closed", "")
    assert len(handler.messages) == 10


# -- pings -------------------------------------------------------------------------------------------------------------


async def test_a_ping_is_answered_with_its_own_payload_and_counted(connect: Connect) -> None:
    pongs: list[tuple[Opcode, bytes]] = []

    async def script(reader: StreamReader, writer: StreamWriter) -> None:
        for payload in (b"1502735485000", b"", b"p" * 125):
            writer.write(wire(Opcode.PING, payload))
            pongs.append(await receive(reader))
        writer.write(wire(Opcode.PONG, b"unasked") + text(b"after"))
        await until_eof(reader)

    handler = Remember()
    async with rude_server(script) as url:
        connection = await connect(url, handler, BRISK)
        await handler.until(lambda: handler.messages)
        connection.abort()
        await handler.ended()
    assert pongs == [(Opcode.PONG, b"1502735485000"), (Opcode.PONG, b""), (Opcode.PONG, b"p" * 125)]
    assert handler.controls == 3
    assert handler.messages == [b"after"]


async def test_our_ping_keeps_a_quiet_link_and_its_pong_is_no_message(connect: Connect) -> None:
    pings = asyncio.Semaphore(0)

    async def script(reader: StreamReader, writer: StreamWriter) -> None:
        while True:
            opcode, payload = await receive(reader)
            if opcode is Opcode.PING:
                pings.release()
                writer.write(wire(Opcode.PONG, payload))

    handler = Remember()
    async with rude_server(script) as url:
        connection = await connect(url, handler, _watchful(ping_idle_s=0.05, pong_s=30))
        for _ in range(3):
            await pings.acquire()
        assert handler.end is None
        connection.abort()
        await handler.ended()
    assert handler.controls >= 3
    assert handler.messages == []


async def test_half_open_is_found_by_an_unanswered_ping(connect: Connect) -> None:
    handler = Remember()
    async with rude_server(for_ever) as url:
        await connect(url, handler, _watchful(ping_idle_s=0.05, pong_s=0.05))
        assert await handler.ended() == (1006, "heartbeat_missed", "")
    assert handler.controls == 1


async def test_data_counts_as_life_though_no_pong_comes(connect: Connect) -> None:
    async def script(reader: StreamReader, writer: StreamWriter) -> None:
        assert (await receive(reader))[0] is Opcode.PING
        for n in range(40):
            writer.write(text(b"%d" % n))
            await asyncio.sleep(0.01)
        writer.write(closing(1000, "done"))
        assert (await receive(reader))[0] is Opcode.CLOSE

    handler = Remember()
    async with rude_server(script) as url:
        await connect(url, handler, _watchful(ping_idle_s=0.1, pong_s=0.2))
        assert await handler.ended() == (1000, "closed_by_peer", "done")
    assert len(handler.messages) == 40


# -- ends --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (1001, "going away"), (1012, "restart"), (4008, "slow")])
async def test_the_servers_close_is_told_with_code_and_text(connect: Connect, code: int, reason: str) -> None:
    async def leave(server: ServerConnection) -> None:
        await server.send("last")
        await server.close(code, reason)

    handler = Remember()
    async with serve(leave, "127.0.0.1", 0) as server:
        await connect(_url(server), handler, BRISK)
        assert await handler.ended() == (code, "closed_by_peer", reason)
    assert handler.messages == [b"last"]


async def test_a_close_without_a_code(connect: Connect) -> None:
    async def script(reader: StreamReader, writer: StreamWriter) -> None:
        writer.write(wire(Opcode.CLOSE))
        assert (await receive(reader))[0] is Opcode.CLOSE

    handler = Remember()
    async with rude_server(script) as url:
        await connect(url, handler, BRISK)
        assert await handler.ended() == (1005, "closed_by_peer", "")


async def test_closing_in_the_middle_of_a_burst_loses_nothing_before_it(connect: Connect) -> None:
    answered = asyncio.Event()

    async def script(reader: StreamReader, writer: StreamWriter) -> None:
        burst = b"".join(text(b"%d" % n) for n in range(300))
        writer.write(burst + closing(1001, "bye") + text(b"after the end"))
        if (await receive(reader))[0] is Opcode.CLOSE:
            answered.set()

    handler = Remember()
    async with rude_server(script) as url:
        await connect(url, handler, BRISK)
        assert await handler.ended() == (1001, "closed_by_peer", "bye")
        async with asyncio.timeout(5):
            await answered.wait()
    assert handler.messages == [b"%d" % n for n in range(300)]


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        (closing(1001, "bye"), (1001, "closed_by_peer", "bye")),
        (text(b"t" * 101), (1009, "message_too_big", "")),
        (b"\x83\x00", (1002, "protocol_error", "")),
    ],
    ids=["close", "oversize", "broken"],
)
async def test_a_server_that_ends_and_stays_is_left(
    connect: Connect, frames: bytes, expected: tuple[int, str, str]
) -> None:
    async def script(reader: StreamReader, writer: StreamWriter) -> None:
        writer.write(text(b"last") + frames)
        await until_eof(reader)

    handler = Remember()
    async with rude_server(script) as url:
        await connect(url, handler, _watchful(close_s=0.1, max_bytes=100))
        assert await handler.ended() == expected
    assert handler.messages == [b"last"]


async def test_a_burst_ended_by_eof_loses_nothing(connect: Connect) -> None:
    async def script(reader: StreamReader, writer: StreamWriter) -> None:
        writer.write(b"".join(text(b"%d" % n) for n in range(300)) + text(b"half a frame")[:5])
        writer.write_eof()
        await until_eof(reader)

    handler = Remember()
    async with rude_server(script) as url:
        await connect(url, handler, BRISK)
        assert await handler.ended() == (1006, "connection_lost", "")
    assert handler.messages == [b"%d" % n for n in range(300)]


async def test_a_tcp_reset(connect: Connect) -> None:
    async def script(reader: StreamReader, writer: StreamWriter) -> None:
        writer.write(text(b"one"))
        assert (await receive(reader))[0] is Opcode.TEXT
        raw: socket.socket = writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closing sends RST
        writer.transport.abort()

    handler = Remember()
    async with rude_server(script) as url:
        connection = await connect(url, handler, BRISK)
        await handler.until(lambda: handler.messages)
        connection.send("reset me")
        assert await handler.ended() == (1006, "connection_lost", "")


async def test_abort_gives_back_its_reason(connect: Connect) -> None:
    handler = Remember()
    async with rude_server(for_ever) as url:
        connection = await connect(url, handler, BRISK)
        connection.abort("because")
        connection.abort("again")
        assert handler.end is None  # never from inside a call
        assert await handler.ended() == (1006, "because", "")
        connection.close()
        connection.ping()
        connection.abort()


async def test_our_close_has_a_deadline_when_the_server_does_not_join_in(connect: Connect) -> None:
    handler = Remember()
    async with rude_server(for_ever) as url:
        connection = await connect(url, handler, _watchful(close_s=0.05))
        connection.close()
        connection.close()
        assert await handler.ended() == (1000, "closed", "")


@pytest.mark.parametrize("fragments", [1, 3])
async def test_an_oversize_message_ends_the_socket(connect: Connect, fragments: int) -> None:
    limit = 5000
    codes: list[int] = []

    async def script(reader: StreamReader, writer: StreamWriter) -> None:
        writer.write(text(b"small") + text(b"y" * limit))
        part = b"z" * (limit // fragments + 1)
        for n in range(fragments):
            writer.write(wire(Opcode.CONT if n else Opcode.TEXT, part, fin=n == fragments - 1))
        writer.write(text(b"after"))
        codes.append(struct.unpack("!H", (await _close_of(reader))[:2])[0])

    handler = Remember()
    async with rude_server(script) as url:
        await connect(url, handler, _watchful(max_bytes=limit))
        assert await handler.ended() == (1009, "message_too_big", "")
    assert [len(m) for m in handler.messages] == [5, limit]
    assert codes == [1009]


async def test_a_broken_frame_ends_the_socket(connect: Connect) -> None:
    async def script(reader: StreamReader, writer: StreamWriter) -> None:
        writer.write(text(b"good") + b"\x83\x00" + text(b"never"))  # opcode 3 is reserved
        await _close_of(reader)

    handler = Remember()
    async with rude_server(script) as url:
        await connect(url, handler, BRISK)
        assert await handler.ended() == (1002, "protocol_error", "")
    assert handler.messages == [b"good"]


@pytest.mark.parametrize(
    "frames",
    [wire(Opcode.CONT, b"no beginning"), wire(Opcode.TEXT, b"one", fin=False) + text(b"two")],
    ids=["stray continuation", "a message inside a message"],
)
async def test_wrong_fragments_end_the_socket(connect: Connect, frames: bytes) -> None:
    async def script(reader: StreamReader, writer: StreamWriter) -> None:
        writer.write(frames)
        await _close_of(reader)

    handler = Remember()
    async with rude_server(script) as url:
        await connect(url, handler, BRISK)
        assert await handler.ended() == (1002, "protocol_error", "")
    assert handler.messages == []


# -- openings that fail ------------------------------------------------------------------------------------------------


async def test_refused(connect: Connect) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    handler = Remember()
    with pytest.raises(ConnectFailed) as caught:
        await connect(f"ws://127.0.0.1:{port}/", handler, BRISK)
    assert caught.value.reason == "connect_failed"
    assert handler.story == []


@pytest.mark.parametrize("url", ["http://127.0.0.1/", "ws:///nowhere", "ws://host.invalid:9/"])
async def test_impossible_urls(connect: Connect, url: str) -> None:
    with pytest.raises(ConnectFailed):
        await connect(url, Remember(), BRISK)


@pytest.mark.parametrize("hang_up", [True, False])
async def test_garbage_in_place_of_a_handshake(connect: Connect, hang_up: bool) -> None:
    async def script(reader: StreamReader, writer: StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n\r\n")
        if not hang_up:
            await until_eof(reader)

    handler = Remember()
    async with tcp_server(script) as url:
        with pytest.raises(HandshakeBroken):
            await connect(url, handler, BRISK)
    assert handler.story == []


async def test_a_wrong_accept_key(connect: Connect) -> None:
    async def script(reader: StreamReader, writer: StreamWriter) -> None:
        writer.write((await switching(reader)).replace(b"Accept: ", b"Accept: x"))
        await until_eof(reader)

    with pytest.raises(HandshakeBroken):
        async with tcp_server(script) as url:
            await connect(url, Remember(), BRISK)


async def test_hanging_up_without_an_answer(connect: Connect) -> None:
    async def script(reader: StreamReader, writer: StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")

    with pytest.raises((HandshakeBroken, ConnectFailed)):
        async with tcp_server(script) as url:
            await connect(url, Remember(), BRISK)


@pytest.mark.parametrize(("status", "wait"), [(429, 7.0), (503, 0.0), (200, 0.0)])
async def test_an_http_answer_other_than_101(connect: Connect, status: int, wait: float) -> None:
    async def script(reader: StreamReader, writer: StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        extra = b"Retry-After: %d\r\n" % wait if wait else b""
        writer.write(b"HTTP/1.1 %d Because\r\nContent-Length: 2\r\n%b\r\nno" % (status, extra))
        await until_eof(reader)

    async with tcp_server(script) as url:
        with pytest.raises(HandshakeRefused) as caught:
            await connect(url, Remember(), BRISK)
    assert (caught.value.status, caught.value.retry_after_s) == (status, wait)


async def test_a_server_that_accepts_and_says_nothing(connect: Connect) -> None:
    gone = asyncio.Event()

    async def script(reader: StreamReader, writer: StreamWriter) -> None:
        await until_eof(reader)
        gone.set()

    handler = Remember()
    async with tcp_server(script) as url:
        with pytest.raises(ConnectTimedOut):
            await connect(url, handler, _watchful(connect_s=0.1))
        async with asyncio.timeout(5):
            await gone.wait()  # and the socket is not left behind
    assert handler.story == []


async def test_a_cancelled_connect_leaves_no_socket(connect: Connect) -> None:
    asked, gone = asyncio.Event(), asyncio.Event()

    async def script(reader: StreamReader, writer: StreamWriter) -> None:
        answer = await switching(reader)
        asked.set()
        await asyncio.sleep(0.05)
        writer.write(answer)
        await until_eof(reader)
        gone.set()

    handler = Remember()
    async with tcp_server(script) as url:
        opening = asyncio.ensure_future(connect(url, handler, BRISK))
        await asked.wait()
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        async with asyncio.timeout(5):
            await gone.wait()
    assert handler.story == []


# -- helpers -----------------------------------------------------------------------------------------------------------


def _url(server: object) -> str:
    port: int = next(iter(server.sockets)).getsockname()[1]  # type: ignore[attr-defined]
    return f"ws://127.0.0.1:{port}/stream?a=b"


def _watchful(
    *,
    connect_s: float = 10,
    close_s: float = 10,
    ping_idle_s: float = 60,
    pong_s: float = 60,
    max_bytes: int = 32 << 20,
) -> Options:
    return Options(connect_s=connect_s, close_s=close_s, ping_idle_s=ping_idle_s, pong_s=pong_s, max_bytes=max_bytes)


async def _close_of(reader: StreamReader) -> bytes:
    while True:
        opcode, body = await receive(reader)
        if opcode is Opcode.CLOSE:
            return body
