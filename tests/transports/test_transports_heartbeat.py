"""Whose silence is it? What the socket tests cannot bring about: a loop that stood still."""

from __future__ import annotations

import asyncio
import time

from imbalanced.transports.heartbeat import Heartbeat
from imbalanced.transports.transport import Options


class Peer:
    """A connection of which only the signs of life are real."""

    def __init__(self) -> None:
        self.reads = 0
        self.pinged = asyncio.Event()
        self.aborted = asyncio.Event()
        self.reason = ""

    def send(self, text: str) -> None:
        raise AssertionError("a heartbeat sends no messages")

    def close(self, code: int = 1000) -> None:
        raise AssertionError("a dead peer takes part in no handshake")

    def ping(self) -> None:
        self.pinged.set()

    def abort(self, reason: str = "") -> None:
        self.reason = reason
        self.aborted.set()


async def test_the_silence_of_our_own_loop_is_not_held_against_the_peer() -> None:
    peer = Peer()
    heartbeat = Heartbeat(peer, lambda: peer.reads, Options(ping_idle_s=0.08, pong_s=0.08))
    async with asyncio.timeout(5):
        await peer.pinged.wait()
        time.sleep(0.3)  # noqa: ASYNC251  # the loop stands still while the PONG arrives
        await asyncio.sleep(0.005)  # the timer, long overdue, may go off before the socket is read
        assert not peer.aborted.is_set()
        peer.reads += 1
        peer.pinged.clear()
        await peer.pinged.wait()  # taken for life: asks again after the next silence
        await peer.aborted.wait()
    assert peer.reason == "heartbeat_missed"
    heartbeat.stop()


async def test_a_stopped_heartbeat_does_nothing() -> None:
    peer = Peer()
    Heartbeat(peer, lambda: peer.reads, Options(ping_idle_s=0.01, pong_s=0.01)).stop()
    await asyncio.sleep(0.05)
    assert not peer.pinged.is_set()
