"""A daemon against simulated exchanges on real sockets, in this process or as a process of its own.

Nothing sleeps for a fixed time: whoever waits, waits for a condition; DEADLINE_S is reached only when it never comes.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from imbalanced import intake, service, sim
from imbalanced.cli import tables
from imbalanced.config import Config, load
from imbalanced.instruments import load as really_load

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from imbalanced.instruments import Instruments

ROOT = Path(__file__).parents[1]
DEMO = ROOT / "config" / "demo.yaml"
DEADLINE_S = 20.0
SYMBOLS = ("BTC/USDT", "ETH/USDT")

# Signals within a second or two, several kinds of them, and many.
QUICK = """
metrics:
  - {metric: spread}
  - {metric: queue_imbalance}
  - {metric: depth_imbalance, levels: 5}
  - {metric: ofi, window: 1s}
  - {metric: trade_imbalance, window: 1s}
detectors:
  - kind: order_flow_imbalance
    on: 1.0
    off: 0.5
    min_duration: 10ms
    cooldown: 100ms
    max_age: 3s
    standardise: {by: ewma_z, half_life: 2s, min_count: 10, clip: 10}
  - kind: aggressive_order_flow
    on: 1.0
    off: 0.5
    min_duration: 10ms
    cooldown: 100ms
    max_age: 3s
    standardise: {by: ewma_z, half_life: 2s, min_count: 10, clip: 10}
  - kind: market_depth_imbalance
    on: 1.0
    off: 0.5
    min_duration: 10ms
    cooldown: 100ms
    max_age: 600s
    standardise: {by: ewma_z, half_life: 2s, min_count: 10, clip: 10}
filters: off
"""

UNIFIED = {"binance": "{}", "binance_us": "{}", "binance_usdm": "{}:USDT"}


def config_text(folder: Path, endpoints: dict[str, dict[str, str]], *, extra: str = "", tail: str = QUICK) -> str:
    """A configuration for these simulations: free ports, everything written below ``folder``."""
    lines = ["http: {port: 0}", "stream: {port: 0}", f"journal: {{path: {folder}/journal.sqlite}}", extra, "venues:"]
    for venue, ends in endpoints.items():
        names = json.dumps([UNIFIED[venue].format(symbol) for symbol in SYMBOLS])
        lines += [f"  {venue}:", f"    instruments: {names}", f"    endpoints: {json.dumps(ends)}"]
    return "\n".join(lines) + tail


def parsed(text: str) -> Config:
    return load(text, tables(), environ={}, read_text=lambda path: Path(path).read_text(encoding="utf-8"))


async def until(holds: Callable[[], Any | Awaitable[Any]], what: str, deadline_s: float = DEADLINE_S) -> Any:
    """What ``holds`` answers as soon as that is true; a failure that says ``what`` never came."""
    last: Any = None
    try:
        async with asyncio.timeout(deadline_s):
            while True:
                last = holds()
                if asyncio.iscoroutine(last):
                    last = await last
                if last:
                    return last
                await asyncio.sleep(0.02)
    except TimeoutError:
        pytest.fail(f"never came within {deadline_s} s: {what} (last answer {last!r})")


class Daemon:
    """What is asked of a running daemon, whoever runs it."""

    def __init__(self, http: str, stream: str) -> None:
        self.http, self.stream = http, stream

    async def get(self, path: str) -> tuple[int, Any]:
        async with aiohttp.ClientSession() as session, session.get(self.http + path) as answer:
            is_json = answer.content_type.endswith("json")
            return answer.status, await answer.json(content_type=None) if is_json else await answer.text()

    async def post(self, path: str, **headers: str) -> tuple[int, Any]:
        async with aiohttp.ClientSession() as session, session.post(self.http + path, headers=headers) as answer:
            return answer.status, await answer.json(content_type=None)

    async def ready(self) -> dict[str, Any]:
        async def asked() -> dict[str, Any] | None:
            status, told = await self.get("/readyz")
            return told if status == 200 else None

        answer: dict[str, Any] = await until(asked, f"{self.http}/readyz answers 200")
        return answer

    async def book(self, venue: str, instrument: str) -> dict[str, Any]:
        _, told = await self.get(f"/api/book?venue={venue}&instrument={instrument.replace('/', '%2F')}&levels=1000")
        return dict(told)

    async def counter(self, line: str) -> float:
        """The value of one series of /metrics; NaN where there is none."""
        _, text = await self.get("/metrics")
        found = [one for one in text.splitlines() if one.startswith(line + " ")]
        return float(found[0].rpartition(" ")[2]) if found else float("nan")

    async def counted(self, line: str, least: float = 1.0) -> None:
        async def enough() -> bool:
            return await self.counter(line) >= least

        await until(enough, f"{line} >= {least}")


class Inside(Daemon):
    """A daemon in this process, with its insides and the simulation in reach."""

    def __init__(self, running: service.Service, task: asyncio.Task[None]) -> None:
        http, stream = running.config.http, running.config.stream
        super().__init__(f"http://{http.host}:{http.port}", f"ws://{stream.host}:{stream.port}/v1")
        self.service = running
        self._task = task

    async def ended(self) -> None:
        """Until it ends by itself."""
        async with asyncio.timeout(DEADLINE_S):
            await asyncio.wait([self._task])

    def texts(self) -> list[bytes]:
        """Every signal of the journal."""
        return [entry.text for entry in self.service.journal.read(1, 100_000)]

    async def equals(self, running: sim.Running, venue: str, symbol: str) -> None:
        """The book is the market's true one, level by level, once the market stands still."""
        await running.freeze()
        true = running.true_book(venue, symbol)

        async def level() -> dict[str, Any] | None:
            book = await self.book(venue, symbol)
            return book if book["valid"] and book["seq"] == true.last_id else None

        book = await until(level, f"{venue} {symbol} at the market's last id {true.last_id}")
        for mine, whole in ((book["bids"], true.bids), (book["asks"], true.asks)):
            count = min(len(mine), len(whole), 400)  # a limited snapshot does not know what lies beyond it
            assert count > 20
            numbers = [(Decimal(price), Decimal(size)) for price, size in whole[:count]]
            assert [(Decimal(price), Decimal(size)) for price, size in mine[:count]] == numbers
        running.thaw()


_lists: dict[str, Instruments] = {}


async def load_once(venue: str, spec: Any, **options: Any) -> Instruments:
    """The list of a simulated venue is the same each time: one child process a venue and test process is enough."""
    if venue not in _lists:
        _lists[venue] = await really_load(venue, spec, **options | {"cache_dir": None})
    return _lists[venue]


@asynccontextmanager
async def inside(text: str, monkeypatch: pytest.MonkeyPatch, *, lists: Any = None) -> AsyncIterator[Inside]:
    """A daemon in this process; its orderly stop afterwards, and what it died of is raised. ``lists`` gives the lists
    of instruments in place of the simulations.
    """
    monkeypatch.setattr(intake, "load_instruments", lists or load_once)
    # For the whole process, and so for the other tests in it: not here.
    monkeypatch.setattr(service.gc, "freeze", lambda: None)
    announced: asyncio.Future[service.Service] = asyncio.get_running_loop().create_future()
    running = service.Service(parsed(text), announce=announced.set_result)
    task = asyncio.create_task(running.run())
    try:
        await asyncio.wait([task, announced], timeout=DEADLINE_S, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            await task
        yield Inside(announced.result(), task)
    finally:
        running.stop()
        async with asyncio.timeout(DEADLINE_S):
            await task


@asynccontextmanager
async def simulation(*venues: str, **options: Any) -> AsyncIterator[sim.Running]:
    running = await sim.start(sim.Options(**{"venues": venues, "symbols": SYMBOLS, "seed": 7} | options))
    try:
        yield running
    finally:
        await running.stop()


# -- as a process ------------------------------------------------------------------------------------------------------


class Process:
    """`imbalanced ...` as a process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.out: list[str] = []
        self.err: list[str] = []
        self._readers = [
            asyncio.create_task(self._read(process.stdout, self.out)),
            asyncio.create_task(self._read(process.stderr, self.err)),
        ]

    @staticmethod
    async def _read(stream: asyncio.StreamReader | None, lines: list[str]) -> None:
        assert stream is not None
        while line := await stream.readline():
            lines.append(line.decode().rstrip("\n"))

    async def ended(self) -> int:
        """The exit code, when it has ended by itself and everything it said is read."""
        try:
            async with asyncio.timeout(DEADLINE_S):
                await asyncio.wait(self._readers)
                return await self.process.wait()
        except TimeoutError:
            pytest.fail("the process does not end; it said:\n" + "\n".join(self.err[-20:]))

    def tell(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def stop(self) -> int:
        self.tell(signal.SIGTERM)
        return await self.ended()

    async def said(self, word: str) -> str:
        """The first line on stdout or stderr that holds this."""

        def found() -> str | None:
            return next((line for line in [*self.out, *self.err] if word in line), None)

        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(until(lambda: found() or self.process.returncode is not None, f"{word!r}"))
        line = found()
        assert line is not None, f"{waiting.result()}, but never {word!r}; it said:\n" + "\n".join(self.err[-20:])
        return line

    async def daemon(self) -> Daemon:
        """Where it says that it listens."""
        page, stream = await self.said("page      http"), await self.said("stream    ws")
        return Daemon(page.split()[1].rstrip("/"), stream.split()[1])

    def children(self) -> list[int]:
        """Processes that this one has started and that live."""
        return children_of(self.process.pid)


def children_of(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                status = (entry / "stat").read_text()
            except OSError:
                continue
            state, parent = status.rpartition(")")[2].split()[:2]
            if int(parent) == pid and state != "Z":
                found.append(int(entry.name))
    return found


@asynccontextmanager
async def process(*args: str | Path, **environment: str) -> AsyncIterator[Process]:
    """`imbalanced ARGS` in a clean environment; killed afterwards if it still runs."""
    running = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "imbalanced",
        *map(str, args),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=1 << 22,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
    )
    one = Process(running)
    try:
        yield one
    finally:
        if running.returncode is None:
            left = one.children()
            running.kill()
            await one.ended()
            for child in left:
                os.kill(child, signal.SIGKILL)


async def ran(*args: str | Path, **environment: str) -> tuple[int, str, str]:
    """`imbalanced ARGS` to its end: exit code, stdout, stderr."""
    async with process(*args, **environment) as one:
        code = await one.ended()
        return code, "\n".join(one.out), "\n".join(one.err)


def alive(pid: int) -> bool:
    """Whether a process lives (a zombie does not)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return text.rpartition(")")[2].split()[0] != "Z"


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port
