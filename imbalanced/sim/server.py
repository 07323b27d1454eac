"""The shell around the simulated venues: HTTP and websocket servers on 127.0.0.1, start and orderly stop.

One aiohttp server per venue answers REST and websockets on one port (`house.py`). `start()` is for tests and the demo,
`run_cli()` for the command line.
"""

from __future__ import annotations

import asyncio
import json
import random
import signal
import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from fnmatch import fnmatchcase

from aiohttp import web

from imbalanced import sim
from imbalanced.sim import capture, faults
from imbalanced.sim.capture import Capture
from imbalanced.sim.client import Client
from imbalanced.sim.faults import Injected
from imbalanced.sim.house import DEFAULT_SYMBOLS, House, Options, Troubles
from imbalanced.sim.regimes import Regime
from imbalanced.sim.synthetic import SyntheticFeed, TrueBook

__all__ = ["DEFAULT_SYMBOLS", "Options", "Running", "run_cli", "start"]


class Running:
    """A running simulation. Made by `start()`."""

    def __init__(self, houses: dict[str, House], troubles: Troubles) -> None:
        self.endpoints: dict[str, dict[str, str]] = {}
        self._houses = houses
        self._troubles = troubles
        self._runners: list[web.AppRunner] = []
        self._driver: asyncio.Task[None] | None = None

    @property
    def injected(self) -> list[Injected]:
        """Every fault that struck, in order."""
        return self._troubles.faults.injected

    def inject(self, fault: dict[str, object]) -> None:
        """Arm one more fault, written as in a faults file; its `at` counts from now. FaultError if it is wrong."""
        made = faults.rule(fault)
        _check_faults((made,), self._houses)
        self._troubles.faults.add(made, self._troubles.now_s())

    def clear_faults(self) -> None:
        """Disarm all faults and end the lasting ones."""
        self._troubles.faults.clear()

    async def freeze(self) -> None:
        """Stop all synthetic markets with every book stream level with its true book."""
        for house in self._houses.values():
            await house.freeze()

    def thaw(self) -> None:
        for house in self._houses.values():
            house.frozen = False

    def true_book(self, venue: str, symbol: str) -> TrueBook:
        """The oracle of a synthetic market, by the venue's or the unified symbol. KeyError when not simulated."""
        return self._synthetic(venue).true_book(symbol)

    def planted(self, venue: str, symbol: str) -> list[Regime]:
        """The episodes planted so far (kind, start_ms, end_ms, side), on the market's clock."""
        return self._synthetic(venue).planted(symbol)

    def clients(self, venue: str) -> list[Client]:
        return list(self._houses[venue].clients)

    def _synthetic(self, venue: str) -> SyntheticFeed:
        feed = self._houses[venue].feed
        if not isinstance(feed, SyntheticFeed):
            raise KeyError(f"{venue} plays a recording, it has no true book")
        return feed

    async def open(self, port_base: int) -> None:
        for number, (name, house) in enumerate(self._houses.items()):
            app = web.Application()
            app.router.add_route("*", "/{path:.*}", house.handle)
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
            await runner.setup()
            self._runners.append(runner)
            await web.TCPSite(runner, "127.0.0.1", port_base + number if port_base else 0).start()
            port = runner.addresses[0][1]
            self.endpoints[name] = {"rest": f"http://127.0.0.1:{port}", "ws": f"ws://127.0.0.1:{port}"}
        self._driver = asyncio.create_task(self._drive(), name="sim")

    async def _drive(self) -> None:
        async with asyncio.TaskGroup() as group:
            for house in self._houses.values():
                group.create_task(house.drive())
            await asyncio.Event().wait()

    async def wait(self) -> None:
        """Until the simulation dies of an error, which is raised, or is stopped."""
        driver = self._driver
        if driver is not None:
            await asyncio.wait([driver])
            if not driver.cancelled():
                driver.result()

    async def stop(self) -> None:
        """Close every client and server; nothing is left running. Raises what the simulation died of, if it did."""
        driver, self._driver = self._driver, None
        if driver is not None:
            driver.cancel()
            await asyncio.wait([driver])
        for house in self._houses.values():
            house.close()
        await asyncio.gather(*(runner.cleanup() for runner in self._runners))
        self._runners.clear()
        if driver is not None and not driver.cancelled():
            driver.result()


async def start(options: Options) -> Running:
    """Simulated venues that listen when this returns. ValueError (FaultError, CaptureError) on wrong options."""
    rng = random.Random(options.seed)
    if options.random_faults:
        drawn = faults.random_rules(rng, options.venues or ("*",))
        options = _with_faults(options, drawn)
    troubles = Troubles(options, random.Random(rng.getrandbits(64)))
    houses = _houses(options, rng, troubles)
    _check_faults(options.faults, houses)
    running = Running(houses, troubles)
    try:
        await running.open(options.port_base)
    except OSError:
        await running.stop()
        raise
    return running


def _with_faults(options: Options, more: Iterable[faults.Rule]) -> Options:
    return replace(options, faults=(*options.faults, *more))


def _check_faults(rules: Iterable[faults.Rule], houses: Iterable[str]) -> None:
    """A fault that no simulated venue can have is a mistake. FaultError says which."""
    wires = {name: sim.SIMS[name].wire for name in houses}
    for rule in rules:
        hit = [wire for name, wire in wires.items() if fnmatchcase(name, rule.venue)]
        if rule.fault == "checksum" and not any(wire.checksum_levels for wire in hit):
            raise faults.FaultError(f"`checksum` for {rule.venue!r}: none of {', '.join(wires)} sends one there")
        if rule.fault == "restart" and not any(wire.restart for wire in hit):
            raise faults.FaultError(f"`restart` for {rule.venue!r}: none of {', '.join(wires)} is known to do so")


def _houses(options: Options, rng: random.Random, troubles: Troubles) -> dict[str, House]:
    feeds: dict[str, Capture] = {}
    if options.capture is not None:
        feeds = capture.load(options.capture, sim.PLAYERS)
    names = options.venues or tuple(feeds)
    if not names:
        raise ValueError(f"no venue given; there are {', '.join(sim.SIMS)}")
    houses: dict[str, House] = {}
    for name in names:
        if name not in sim.SIMS:
            raise ValueError(f"venue {name!r} has no simulator, only {', '.join(sim.SIMS)}")
        if options.capture is not None and name not in feeds:
            raise ValueError(f"{options.capture.name} has nothing of {name}, only of {', '.join(feeds)}")
        feed = feeds[name] if feeds else _synthetic(name, options, rng)
        houses[name] = House(sim.SIMS[name], feed, options, troubles)
    return houses


def _synthetic(name: str, options: Options, rng: random.Random) -> SyntheticFeed:
    venue = sim.SIMS[name]
    start_ms = int(time.time() * 1000)
    listings = venue.listings(options.symbols_of.get(name, options.symbols))
    return SyntheticFeed(venue.wire, listings, random.Random(rng.getrandbits(64)), start_ms)


async def run_cli(options: Options) -> int:
    """Simulate until SIGTERM or SIGINT; one JSON line on stdout when all venues listen. Returns the exit code."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    running = await start(options)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    try:
        sys.stdout.write(json.dumps({"venues": running.endpoints}) + "\n")
        sys.stdout.flush()
        ends = [asyncio.create_task(stopped.wait()), asyncio.create_task(running.wait())]
        done, rest = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for task in rest:
            task.cancel()
        for task in done:
            task.result()
        return 0
    finally:
        await running.stop()
