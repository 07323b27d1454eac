"""``python -m benchmarks.soak --minutes 10 [--symbols 100] [--json FILE]``: a daemon under load and faults, watched.

The simulated exchanges run in processes of their own (``exchanges.py``), the daemon in another one, between them real
sockets. Frames are dropped,
doubled, swapped, garbled and delayed, sockets are cut, snapshots come stale or not at all. At the end the faults stop
and every book must be proven again. Printed: how memory went, which gaps were seen and whether they healed, the share
of time during which books were proven, and how late the event loop was; the same is left in a file. Exit 0 only if all
of it is as it must be.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import re
import signal
import string
import sys
import tempfile
import time
from collections import deque
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any, NoReturn

import aiohttp
import orjson
from msgspec import Struct

from benchmarks import exchanges
from imbalanced import sim
from imbalanced.client import subscribe

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

REPORT = Path("var/soak.json")
PROCESSES = 3  # of the simulated exchanges
UP_S = 60.0
# One of each way to keep a book, and of each kind of heartbeat.
VENUES = (
    "binance",
    "binance_usdm",
    "okx",
    "kraken",
    "bybit",
    "deribit",
    "kucoin",
    "hyperliquid",
    "bitfinex_orders",
    "gate",
)
HEAL_S = 180.0
WARM_UP_SHARE = 0.3
LAG_LIMIT_MS = 20.0
GROWTH_LIMIT_MB, GROWTH_LIMIT_SHARE = 4.0, 0.03
SAMPLE = re.compile(r"^imbalanced_(\w+?)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
LABEL = re.compile(r'(\w+)="([^"]*)"')

# Two or three losses per book in ten minutes of thirty frames a second, those of whole sockets included: more than five
# would meet the daemon's own cool-down, which is there for a venue that is broken, and measure that.
ON_FRAMES: tuple[dict[str, Any], ...] = (
    {"fault": "drop", "probability": 0.00003},
    {"fault": "duplicate", "probability": 0.001},
    {"fault": "reorder", "probability": 0.00002},
    {"fault": "garbage", "probability": 0.000002},
    {"fault": "delay", "probability": 0.0005, "by": "150ms"},
)
# These count the messages of a whole socket: one that is missing or late is lost to all books that share it. And where
# each of them is one order, there are some ten times as many.
COUNTED_BY_SOCKET = frozenset({"bitfinex", "bitfinex_orders", "coinbase", "coinbase_orders"})
AN_ORDER_EACH, ORDERS_A_FRAME = frozenset({"bitfinex_orders", "coinbase_orders"}), 10.0
ELSEWHERE: tuple[dict[str, Any], ...] = (
    {"fault": "close", "every": 400_000, "code": 1006},
    {"fault": "stale_snapshot", "probability": 0.2},
    {"fault": "http", "probability": 0.05, "status": 503},
)


class Sample(Struct, frozen=True, kw_only=True):
    """One look at the daemon. ``at_s`` since it was up, ``rss_mb`` its resident memory."""

    at_s: float
    rss_mb: float
    loop_lag_ms: float
    books: int
    live: int
    frames: float
    gaps: dict[str, float]


def summary(samples: Sequence[Sample], unhealed: Sequence[str], healed_s: float) -> dict[str, Any]:
    """What the looks say. ``growth_mb``: the median of the last fifth less that of the first after the warm-up."""
    warm = [one for one in samples if one.at_s >= WARM_UP_SHARE * samples[-1].at_s] or list(samples)
    fifth = max(len(warm) // 5, 1)
    begin = median(one.rss_mb for one in warm[:fifth])
    end = median(one.rss_mb for one in warm[-fifth:])
    lags = sorted(one.loop_lag_ms for one in samples)
    lag_p99 = quantiles(lags, n=100)[98] if len(lags) > 1 else lags[0]
    told: dict[str, Any] = {
        "seconds": round(samples[-1].at_s, 1),
        "frames": int(samples[-1].frames),
        "frames_per_s": round(samples[-1].frames / max(samples[-1].at_s, 1e-9), 1),
        "books": samples[-1].books,
        "memory": {
            "begin_mb": round(samples[0].rss_mb, 1),
            "warm_mb": round(begin, 1),
            "end_mb": round(end, 1),
            "growth_mb": round(end - begin, 2),
            "slope_mb_per_h": round(slope([(one.at_s, one.rss_mb) for one in warm]) * 3600, 2),
        },
        "gaps": {kind: int(count) for kind, count in sorted(samples[-1].gaps.items()) if count},
        "unhealed": list(unhealed),
        "healed_s": round(healed_s, 1),
        "live_share": round(sum(one.live for one in samples) / max(sum(one.books for one in samples), 1), 5),
        "loop_lag_ms": {"p50": round(median(lags), 2), "p99": round(lag_p99, 2), "max": round(lags[-1], 2)},
    }
    allowed = max(GROWTH_LIMIT_MB, GROWTH_LIMIT_SHARE * begin)
    told["verdict"] = {
        "memory does not grow": end - begin <= allowed,
        "every gap healed": not unhealed,
        f"loop lag p99 under {LAG_LIMIT_MS:g} ms": lag_p99 < LAG_LIMIT_MS,
    }
    return told


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Of the least-squares line through these, 0 where there is none."""
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0


def printed(told: dict[str, Any]) -> str:
    """For people."""
    memory, lag = told["memory"], told["loop_lag_ms"]
    faults_seen = ", ".join(f"{kind} {count}" for kind, count in told["faults"].items()) or "none"
    gaps = ", ".join(f"{kind} {count}" for kind, count in told["gaps"].items()) or "none"
    healed = f"not healed: {', '.join(told['unhealed'])}" if told["unhealed"] else f"all, after {told['healed_s']} s"
    lines = [
        f"ran        {told['seconds']:.0f} s, {told['books']} books on {', '.join(told['venues'])}, "
        f"{told['frames']:,} frames ({told['frames_per_s']:,.0f}/s), {told['signals']:,} signal messages",
        f"memory     {memory['begin_mb']} MB at first, {memory['warm_mb']} warm, {memory['end_mb']} at the end; "
        f"growth {memory['growth_mb']} MB, slope {memory['slope_mb_per_h']} MB/h after warm-up",
        f"faults     {faults_seen}",
        f"gaps       {gaps}",
        f"healed     {healed}",
        f"proven     {100 * told['live_share']:.3f} % of the time of all books",
        f"loop lag   p50 {lag['p50']} ms, p99 {lag['p99']} ms, worst {lag['max']} ms",
        *(f"{'ok' if holds else 'FAILED':<10} {what}" for what, holds in told["verdict"].items()),
    ]
    return "\n".join(lines)


# -- the run -----------------------------------------------------------------------------------------------------------


async def soak(minutes: float, symbols: int, venues: Sequence[str], processes: int = PROCESSES) -> dict[str, Any]:
    """Run, watch, heal, stop. Raises SoakError when the daemon does not come up or dies."""
    names = bases(-(-symbols // len(venues)))
    async with exchanges.running(venues, names, processes) as running:
        with tempfile.TemporaryDirectory() as folder:
            config = Path(folder) / "soak.yaml"
            config.write_text(configuration(Path(folder), running.endpoints, names))
            async with daemon(config) as process, aiohttp.ClientSession() as http:
                watch = Watch(http, process)
                await watch.until_live(UP_S)
                for rule in (*ELSEWHERE, *on_frames(venues, len(names))):
                    await running.inject(rule)
                reader = asyncio.create_task(counted(process.stream))
                samples = await watch.look(minutes * 60.0)
                await running.clear()
                began = time.monotonic()
                unhealed = await watch.until_live(HEAL_S)
                reader.cancel()
                told = summary(samples, unhealed, time.monotonic() - began)
                signals = sum(value for _, value in (await watch.metrics()).get("signals_total", ()))
                return {
                    "venues": list(venues),
                    "faults": dict(sorted((await running.injected()).items())),
                    "signals": int(signals),
                    **told,
                }


def on_frames(venues: Sequence[str], symbols: int) -> list[dict[str, Any]]:
    """What happens to frames, by venue: as much to each book everywhere."""
    shared = {venue: float(symbols) if venue in COUNTED_BY_SOCKET else 1.0 for venue in venues}
    frames = {venue: ORDERS_A_FRAME if venue in AN_ORDER_EACH else 1.0 for venue in venues}
    return [
        {**one, "venue": venue, "probability": one["probability"] / shared[venue] / frames[venue]}
        for one in ON_FRAMES
        for venue in venues
    ]


class SoakError(RuntimeError):
    """The daemon is not there (any more)."""


def bases(count: int) -> tuple[str, ...]:
    """So many pairs of coins that nobody lists."""
    letters = itertools.product(string.ascii_uppercase, repeat=3)
    return tuple(f"S{''.join(three)}/USDT" for three in itertools.islice(letters, count))


def configuration(folder: Path, endpoints: dict[str, dict[str, str]], names: tuple[str, ...]) -> str:
    """Default metrics, detectors and filters, free ports, everything written below ``folder``."""
    venues = {
        venue: {"instruments": [one.unified for one in sim.SIMS[venue].listings(names)], "endpoints": ends}
        for venue, ends in endpoints.items()
    }
    journal = {"path": str(folder / "journal.sqlite")}
    settings = {"http": {"port": 0}, "stream": {"port": 0}, "journal": journal, "log": {"level": "error"}}
    return orjson.dumps({**settings, "venues": venues}).decode()


class Daemon:
    """A daemon as a process of its own: where its page and its stream are, and what it said last on stderr."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.page = self.stream = ""
        self.pid = process.pid
        self._process = process
        self._last_words: deque[str] = deque(maxlen=50)
        self._listens = False
        self._reader = asyncio.create_task(self._hear())

    async def _hear(self) -> None:
        assert self._process.stderr is not None
        while line := (await self._process.stderr.readline()).decode(errors="replace"):
            self._last_words.append(line)
            if self._listens:
                sys.stderr.write(line)

    async def listens(self) -> None:
        """Wait until it says where."""
        assert self._process.stdout is not None
        while line := (await self._process.stdout.readline()).decode():
            what, _, where = line.partition(" ")
            if what == "page":
                self.page = where.strip().rstrip("/")
            elif what == "stream":
                self.stream, self._listens = where.strip(), True
                sys.stderr.write("".join(self._last_words))
                return
        await self.died("before it listened")

    async def died(self, when: str) -> NoReturn:
        """SoakError with code and last words."""
        code = await asyncio.wait_for(self._process.wait(), UP_S)
        await self._reader
        words = next((line.strip() for line in reversed(self._last_words) if line.strip()), "it said nothing")
        raise SoakError(f"the daemon ended with code {code} {when}: {words}")

    async def lives(self) -> None:
        """SoakError if it does not."""
        if self._process.returncode is not None:
            await self.died("while it was watched")

    async def stop(self) -> None:
        """In order."""
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
        await self._process.wait()
        await self._reader


@asynccontextmanager
async def daemon(config: Path) -> AsyncIterator[Daemon]:
    """A daemon that listens, until the end of the block."""
    process = Daemon(
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "imbalanced", "run", "-c", str(config)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    )
    try:
        await process.listens()
        yield process
    finally:
        await process.stop()


async def counted(stream: str) -> None:
    """A subscriber like any other, so that signals are sent to somebody."""
    async for _ in subscribe(stream):
        pass


class Watch:
    """Looks at a daemon from outside."""

    def __init__(self, http: aiohttp.ClientSession, process: Daemon) -> None:
        self._http, self._process = http, process

    async def metrics(self) -> dict[str, list[tuple[dict[str, str], float]]]:
        """What it exposes, by name without the prefix."""
        text = (await self._page("/metrics")).decode()
        found: dict[str, list[tuple[dict[str, str], float]]] = {}
        for name, labels, value in SAMPLE.findall(text):
            found.setdefault(name, []).append((dict(LABEL.findall(labels)), float(value)))
        return found

    async def until_live(self, patience_s: float) -> list[str]:
        """Wait until every book is proven; what is not by then."""
        deadline = time.monotonic() + patience_s
        while True:
            books = orjson.loads(await self._page("/api/status"))["books"]
            missing = [f"{one['venue']} {one['instrument']}" for one in books if one["state"] != "live"]
            if (books and not missing) or time.monotonic() > deadline:
                return missing
            await asyncio.sleep(0.5)

    async def _page(self, path: str) -> bytes:
        await self._process.lives()
        try:
            async with self._http.get(f"{self._process.page}{path}") as answer:
                return await answer.read()
        except aiohttp.ClientConnectionError:
            await self._process.died("while it was watched")

    async def look(self, seconds: float) -> list[Sample]:
        """One sample a second."""
        began = time.monotonic()
        samples: list[Sample] = []
        while (at_s := time.monotonic() - began) < seconds or not samples:
            samples.append(self._sample(at_s, await self.metrics()))
            await asyncio.sleep(1.0)
        return samples

    def _sample(self, at_s: float, told: dict[str, list[tuple[dict[str, str], float]]]) -> Sample:
        books = told.get("books", [])
        gaps: dict[str, float] = {}
        for labels, count in told.get("book_gaps_total", ()):
            gaps[labels["kind"]] = gaps.get(labels["kind"], 0.0) + count
        return Sample(
            at_s=at_s,
            rss_mb=resident_mb(self._process.pid),
            loop_lag_ms=1e3 * told["event_loop_lag_seconds"][0][1],
            books=int(sum(count for _, count in books)),
            live=int(sum(count for labels, count in books if labels["state"] == "live")),
            frames=sum(count for _, count in told.get("frames_total", ())),
            gaps=gaps,
        )


def resident_mb(pid: int) -> float:
    """Resident memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main(args: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description="A daemon under load and faults.")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--symbols", type=int, default=100, help="of all venues together")
    parser.add_argument("--venues", nargs="+", default=VENUES, choices=sorted(sim.SIMS))
    parser.add_argument("--processes", type=int, default=PROCESSES, help="of the simulated exchanges")
    parser.add_argument("--json", type=Path, default=REPORT, help="where the report is left")
    chosen = parser.parse_args(args)
    try:
        told = asyncio.run(soak(chosen.minutes, chosen.symbols, chosen.venues, chosen.processes))
    except (SoakError, ConnectionError, TimeoutError) as error:
        print(f"soak: {error or 'no answer in time'}", file=sys.stderr)
        return 1
    print(printed(told))
    chosen.json.parent.mkdir(parents=True, exist_ok=True)
    chosen.json.write_bytes(orjson.dumps(told, option=orjson.OPT_INDENT_2))
    print(f"report left in {chosen.json}", file=sys.stderr)
    return 0 if all(told["verdict"].values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
