"""A client of the subscriber stream: signals as an async iterator that survives reconnects.

async for signal in subscribe("ws://127.0.0.1:8801/v1", kinds=["order_flow_imbalance"]):
    print(signal.side, signal.instrument, signal.score)

ClientError
├── Unauthorized    the token was refused, or one is needed
└── Refused         the server will never accept this: bad request, wrong path, forbidden origin
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from urllib.parse import urlsplit

import msgspec
import orjson
import structlog
from msgspec import Struct
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from imbalanced.backoff import Backoff
from imbalanced.events import Signal
from imbalanced.jsontext import signal_from_json

__all__ = ["ClientError", "Refused", "Unauthorized", "subscribe"]

log = structlog.get_logger(__name__)

RETRY_FIRST_S = 0.25
RETRY_CAP_S = 15.0
STABLE_S = 30.0
OPEN_S = 10.0


class ClientError(Exception):
    """Base of the client's errors; never raised itself."""


class Unauthorized(ClientError):
    """The token was refused, or one is needed."""


class Refused(ClientError):
    """The server will never accept this."""


class _Message(Struct):
    """What we read of a message; unknown keys are ignored, the server may add some."""

    op: str = ""
    channel: str = ""
    data: msgspec.Raw = msgspec.Raw()
    code: str = ""
    message: str = ""
    epoch: str = ""
    next_seq: int = 0
    oldest_seq: int = 0
    recovered: bool = True
    auth_required: bool = False


_DECODER = msgspec.json.Decoder(_Message)


class _Place:
    """How far we are, in which life of the journal."""

    def __init__(self, from_seq: int | None, epoch: str | None) -> None:
        self.next_seq = from_seq
        self.epoch = epoch

    def subscribed(self, answer: _Message) -> None:
        if not answer.recovered:
            log.warning(
                "stream_not_recovered", wanted=self.next_seq, oldest=answer.oldest_seq,
                our_epoch=self.epoch, epoch=answer.epoch,
            )  # fmt: skip
            self.next_seq = answer.oldest_seq
        elif self.next_seq is None:
            self.next_seq = answer.next_seq
        self.epoch = answer.epoch

    def takes(self, signal: Signal) -> bool:
        """Step over a signal; False for one that we had already (delivery is at least once)."""
        if self.next_seq is not None and signal.seq < self.next_seq:
            return False
        self.next_seq = signal.seq + 1
        return True


async def subscribe(
    url: str,
    *,
    kinds: Iterable[str] | None = None,
    instruments: Iterable[str] | None = None,
    from_seq: int | None = None,
    epoch: str | None = None,
    token: str | None = None,
) -> AsyncGenerator[Signal, None]:
    """Signals, in order and each once, for as long as the caller iterates.

    Without ``from_seq`` it starts with what comes next; with it, at that signal of the journal's life ``epoch``. After
    a lost connection it goes on behind the last signal that was yielded. If the server no longer holds that, or its
    journal was begun anew, this is logged (``stream_not_recovered``) and it goes on with the oldest that is held.
    """
    place = _Place(from_seq, epoch)
    wanted = {"kinds": list(kinds or ["*"]), "instruments": list(instruments or ["*"])}
    backoff = Backoff(RETRY_FIRST_S, RETRY_CAP_S, STABLE_S, random.random)
    failures = 0
    while True:
        started = time.monotonic()
        try:
            async with connect(url, additional_headers=_headers(token), open_timeout=OPEN_S, max_size=None) as stream:
                await _begin(stream, wanted, place)
                async with aclosing(_signals(stream, place)) as signals:
                    async for signal in signals:
                        failures = 0
                        yield signal
            why = "closed by the server"
        except (OSError, ConnectionClosed, InvalidHandshake) as exc:  # TimeoutError is an OSError
            _raise_if_final(exc)
            why = str(exc)
        backoff.lived(time.monotonic() - started)
        failures += 1
        if failures & (failures - 1) == 0:  # the 1st, 2nd, 4th, 8th... the hundredth is no news
            log.warning("stream_disconnected", server=_server(url), why=why, failures=failures)
        await asyncio.sleep(backoff.next_s())


def _server(url: str) -> str:
    """For logs: no user, password or query."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)


def _headers(token: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}


async def _begin(connection: ClientConnection, wanted: dict[str, list[str]], place: _Place) -> None:
    request: dict[str, object] = {"op": "subscribe", "id": 1, "channel": "signals", **wanted}
    if place.next_seq is not None:
        request["from_seq"] = place.next_seq
        if place.epoch is not None:
            request["epoch"] = place.epoch
    await connection.send(orjson.dumps(request), text=True)


async def _signals(connection: ClientConnection, place: _Place) -> AsyncGenerator[Signal, None]:
    async for text in connection:
        message = _DECODER.decode(text)
        if message.op == "subscribed":
            place.subscribed(message)
        elif message.op == "error":
            raise _refusal(message.code, message.message)
        elif message.channel == "signals":
            signal = signal_from_json(bytes(message.data))
            if place.takes(signal):
                yield signal


def _refusal(code: str, text: str) -> ClientError:
    return Unauthorized(text) if code == "unauthorized" else Refused(f"{code}: {text}")


def _raise_if_final(exc: Exception) -> None:
    """Most failures pass; these would come again for ever."""
    if isinstance(exc, ConnectionClosed) and exc.rcvd is not None and exc.rcvd.code == 4001:
        raise Unauthorized(exc.rcvd.reason or "bad token") from exc
    if isinstance(exc, InvalidStatus) and 400 <= exc.response.status_code < 500 and exc.response.status_code != 429:
        raise Refused(f"HTTP {exc.response.status_code}: {exc.response.body.decode(errors='replace').strip()}") from exc
