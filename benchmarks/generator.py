"""An exchange that only sends: websocket frames prepared as bytes, and the REST snapshots that they join.

``python -m benchmarks.generator LOAD --mode full|paced|burst --hold N [--rate R]`` prints its port and serves one run:
once ``--hold`` snapshots were fetched (none for clients that want none) and a socket has subscribed, all is sent. The
times at which frames were sent (``time.monotonic_ns``) are written to ``--times``.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import itertools
import pickle
import re
import socket
import threading
import time
from array import array
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CLOSE = b"\x88\x02\x03\xe8"
ID = re.compile(rb'"id": ?(\d+)')
# One write of full load; about what one read of a busy client returns.
CHUNK = 64 << 10
BURST_FRAMES, BURST_S = 1248, 0.1


def framed(payload: bytes) -> bytes:
    """An unmasked websocket text frame."""
    size = len(payload)
    if size < 126:
        return bytes((0x81, size)) + payload
    if size < 1 << 16:
        return bytes((0x81, 126)) + size.to_bytes(2, "big") + payload
    return bytes((0x81, 127)) + size.to_bytes(8, "big") + payload


class Generator:
    """One run. ``frames`` are framed already; ``images`` by wire symbol."""

    def __init__(self, frames: list[bytes], images: dict[str, bytes], args: argparse.Namespace) -> None:
        self.frames, self.images, self.args = frames, images, args
        self.served = threading.Semaphore(0)
        self.times = array("q")

    def serve(self, server: socket.socket) -> None:
        while True:
            peer, _ = server.accept()
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._client, args=(peer,), daemon=True).start()

    def _client(self, peer: socket.socket) -> None:
        try:
            while (head := _head(peer)) is not None:
                target, headers = head
                if "sec-websocket-key" in headers:
                    self._stream(peer, headers["sec-websocket-key"])
                    return
                self._answer(peer, target)
        except OSError:
            pass  # the client ends the run by leaving

    def _answer(self, peer: socket.socket, target: str) -> None:
        symbol = parse_qs(urlsplit(target).query).get("symbol", [""])[0]
        body = self.images.get(symbol, b"{}")
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        peer.sendall(head.encode() + body)
        self.served.release()

    def _stream(self, peer: socket.socket, key: str) -> None:
        accept = base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode()
        upgrade = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        peer.sendall(f"{upgrade}Sec-WebSocket-Accept: {accept}\r\n\r\n".encode())
        asked = _unmasked(peer.recv(1 << 16))
        if found := ID.search(asked):
            peer.sendall(framed(b'{"result":null,"id":' + found[1] + b"}"))
        for _ in range(self.args.hold):
            self.served.acquire()
        time.sleep(0.2)
        {"full": self._full, "paced": self._paced, "burst": self._burst}[self.args.mode](peer)
        if self.args.times:
            Path(self.args.times).write_bytes(self.times.tobytes())
        while (told := peer.recv(1 << 16)) and told[0] != CLOSE[0]:
            pass
        peer.sendall(CLOSE)
        peer.close()

    def _full(self, peer: socket.socket) -> None:
        step = max(CHUNK // len(self.frames[0]), 1)
        for start in range(0, len(self.frames), step):
            peer.sendall(b"".join(self.frames[start : start + step]))

    def _paced(self, peer: socket.socket) -> None:
        self._at_rate(peer, self.frames, 1 / self.args.rate)

    def _burst(self, peer: socket.socket) -> None:
        """Quiet, a burst, quiet, a burst..."""
        frames = iter(self.frames)
        while burst := list(itertools.islice(frames, BURST_FRAMES)):
            self._at_rate(peer, burst, BURST_S / BURST_FRAMES)
            time.sleep(0.2)

    def _at_rate(self, peer: socket.socket, frames: list[bytes], every_s: float) -> None:
        due = time.monotonic()
        for frame in frames:
            due += every_s
            wait_s = due - time.monotonic()
            if wait_s > 60e-6:
                time.sleep(wait_s - 50e-6)
            self.times.append(time.monotonic_ns())
            peer.sendall(frame)


def _unmasked(frame: bytes) -> bytes:
    """The text of one short frame of a client (RFC 6455, 5.2)."""
    head = {126: 4, 127: 10}.get(frame[1] & 0x7F, 2)
    mask, text = frame[head : head + 4], frame[head + 4 :]
    return bytes(byte ^ mask[i % 4] for i, byte in enumerate(text))


def _head(peer: socket.socket) -> tuple[str, dict[str, str]] | None:
    data = b""
    while b"\r\n\r\n" not in data:
        part = peer.recv(1 << 16)
        if not part:
            return None
        data += part
    first, *lines = data.decode("latin-1").split("\r\n")
    return first.split(" ")[1], {
        name.lower(): value.strip() for name, _, value in (one.partition(":") for one in lines)
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("load")
    parser.add_argument("--mode", choices=("full", "paced", "burst"), default="full")
    parser.add_argument("--hold", type=int, default=0)
    parser.add_argument("--rate", type=float, default=900.0)
    parser.add_argument("--count", type=int, default=0)
    parser.add_argument("--times", default="")
    args = parser.parse_args()
    frames, images = pickle.loads(Path(args.load).read_bytes())
    with socket.create_server(("127.0.0.1", 0)) as server:
        print(server.getsockname()[1], flush=True)
        Generator([framed(one) for one in frames[: args.count or None]], images, args).serve(server)


if __name__ == "__main__":
    main()
