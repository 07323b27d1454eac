"""The seam between the daemon and a websocket client library.

A transport is one small file with one ``connect``: it opens a socket, hands every complete message to a
:class:`Handler` in the order it came, answers the server's PINGs, and reports the end of the socket exactly once.
What a message means, when to open again and how fast one may send is not known here.

Every transport gives the same guarantees, and the same tests hold it to them (``test_transports_contract.py``):

- ``on_open`` comes before the first message; nothing comes after ``on_close``.
- All messages of one read are handed over in one go, with one receive time. Messages received before the server's close
  are all delivered before ``on_close``.
- After our own ``close`` or ``abort`` no more messages are delivered, only ``on_close``. Neither call, nor ``send``,
  calls the handler before it returns.
- A message is one ``bytes``, fragments joined, text and binary alike; one above ``max_bytes`` ends the socket (1009).
- permessage-deflate is never offered: it costs more CPU than the bandwidth is worth.

Errors, all raised by ``connect``::

    TransportError              nothing was opened; ``reason`` is a word of a closed set
     +-- ConnectFailed          no connection: name, route, refusal, TLS
     |    +-- ConnectTimedOut   nothing within ``connect_s``
     +-- HandshakeRefused       the server answered with an HTTP ``status`` other than 101
     +-- HandshakeBroken        what came was no websocket handshake
"""

from __future__ import annotations

import logging
import ssl
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from functools import cache
from time import time
from typing import TYPE_CHECKING, ClassVar, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

NORMAL, PROTOCOL_ERROR, NO_CODE, ABNORMAL, TOO_BIG = 1000, 1002, 1005, 1006, 1009  # RFC 6455, 7.4.1

CLOSED_BY_PEER = "closed_by_peer"
CONNECTION_LOST = "connection_lost"
HEARTBEAT_MISSED = "heartbeat_missed"
_OUR_REASONS = {NORMAL: "closed", PROTOCOL_ERROR: "protocol_error", TOO_BIG: "message_too_big"}

QUIET = logging.Logger("imbalanced.transports", logging.CRITICAL + 1)
"""For libraries that log every connection: what matters reaches the handler, and is logged once, by the connector."""


class TransportError(Exception):
    """No socket was opened."""

    reason: ClassVar[str] = "transport_error"
    retry_after_s: float = 0.0


class ConnectFailed(TransportError):
    """No connection, or no TLS on it."""

    reason: ClassVar[str] = "connect_failed"


class ConnectTimedOut(ConnectFailed):
    """Neither connection nor handshake within ``connect_s``."""

    reason: ClassVar[str] = "connect_timeout"


class HandshakeRefused(TransportError):
    """The server does not want us (now): HTTP ``status``."""

    reason: ClassVar[str] = "handshake_refused"

    def __init__(self, status: int, retry_after: str | None = None) -> None:
        super().__init__(f"the server answered {status} in place of 101")
        self.status = status
        self.retry_after_s = retry_after_s(retry_after)


class HandshakeBroken(TransportError):
    """What came was no websocket handshake."""

    reason: ClassVar[str] = "handshake_broken"


class Options(Struct, frozen=True, kw_only=True):
    """How a socket is opened, watched and closed. Times in seconds.

    A peer is asked with a PING after ``ping_idle_s`` without any byte of it, and given up ``pong_s`` later. One PING in
    20 s or more stays clear of every venue's limit on inbound messages; anything received counts as life.
    """

    connect_s: float = 10.0
    close_s: float = 2.0
    ping_idle_s: float = 25.0
    pong_s: float = 20.0
    max_bytes: int = 32 << 20
    headers: tuple[tuple[str, str], ...] = (("User-Agent", "imbalanced"),)
    ssl: ssl.SSLContext | None = None


class Connection(Protocol):
    """An open socket. All calls are synchronous, and do nothing once it is closed."""

    def send(self, text: str) -> None:
        """Send one text message."""

    def ping(self) -> None:
        """Send a PING; its answer is nobody's business but the heartbeat's."""

    def close(self, code: int = NORMAL) -> None:
        """Begin the closing handshake; the socket is aborted when the peer has not joined in within ``close_s``."""

    def abort(self, reason: str = "aborted") -> None:
        """Drop the socket now. ``reason`` comes back in ``on_close``."""


class Handler(Protocol):
    """Who listens to a socket. Its methods must not raise: there is nobody above them who could handle it."""

    def on_open(self, connection: Connection) -> None:
        """The handshake is done."""

    def on_message(self, data: bytes, recv_ns: int) -> None:
        """One whole message. ``recv_ns``: wall clock at the read that completed it, nanoseconds since the epoch."""

    def on_control(self) -> None:
        """The transport itself has sent a PONG or PING: venues count those against their message rate."""

    def on_close(self, code: int, reason: str, detail: str) -> None:
        """The end. ``code`` as in RFC 6455 (1006: no closing handshake), ``reason`` a word of a closed set (or that
        given to ``abort``), ``detail`` the peer's own text."""


class Connect(Protocol):
    """What a transport file offers."""

    async def __call__(self, url: str, handler: Handler, options: Options) -> Connection:
        """Open ``url``. The connection it returns was given to ``on_open`` already and may even be closed again."""


def ending(
    received: tuple[int, str] | None, sent: int | None, received_first: bool, aborted: str | None
) -> tuple[int, str, str]:
    """Who ended a socket, as ``on_close`` tells it: from the close frames that were seen."""
    if received is not None and (received_first or sent is None):
        return received[0], CLOSED_BY_PEER, received[1]
    if aborted is not None:
        return ABNORMAL, aborted, ""
    if sent is not None:
        return sent, _OUR_REASONS.get(sent, "closed"), ""
    return ABNORMAL, CONNECTION_LOST, ""


@cache
def _default_tls() -> ssl.SSLContext:
    return ssl.create_default_context()


def tls(url: str, options: Options) -> ssl.SSLContext | None:
    """The TLS context for ``url``; none for a plain ``ws`` one. Reading the CA file takes 20 ms and more: once only."""
    if not url.startswith("wss:"):
        return None
    return options.ssl or _default_tls()


@asynccontextmanager
async def connect_errors() -> AsyncIterator[None]:
    """Around a connect: what the operating system and TLS say, in our words."""
    try:
        yield
    except TimeoutError as error:
        raise ConnectTimedOut("no websocket in time") from error
    except OSError as error:  # refused, unreachable, name unknown; ssl.SSLError is one too
        raise ConnectFailed(str(error) or type(error).__name__) from error


def retry_after_s(text: str | None) -> float:
    """A ``Retry-After`` header (seconds, or an HTTP date) as seconds from now; 0 where there is none to understand."""
    if not text:
        return 0.0
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time())
    except ValueError:
        return 0.0
