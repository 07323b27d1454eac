"""Simulated exchanges in processes of their own, so that none is late because another one, or their watcher, works.

One that is late gathers what it has to say and says it at once: bursts that no real exchange sends. A process is told
what to do on its stdin, a JSON line each, and answers each on stdout; when its stdin ends, so does it.

=====================  =============================================================================================
``{"inject": RULE}``   arm a fault, written as in a faults file
``{"clear": true}``    disarm all of them
``{"count": true}``    nothing; every answer is how often each fault has struck so far, ``{"drop": 3}``
=====================  =============================================================================================
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import orjson

from imbalanced import sim

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

START_S, ANSWER_S = 30.0, 30.0


class Exchanges:
    """The processes together. ``endpoints`` of every venue, as :class:`imbalanced.sim.Running` has them."""

    def __init__(self) -> None:
        self.endpoints: dict[str, dict[str, str]] = {}
        self._processes: list[asyncio.subprocess.Process] = []

    async def start(self, venues: Sequence[str], symbols: Sequence[str], processes: int) -> None:
        """Deal the venues to so many processes (as many as venues at most), and wait until all listen."""
        for number in range(min(processes, len(venues))):
            dealt = venues[number::processes]
            command = ("-m", "benchmarks.exchanges", "--seed", str(number + 1), "--venues", *dealt, "--symbols")
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, *command, *symbols), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
            )
            self._processes.append(process)
        for process in self._processes:
            self.endpoints.update(await _read(process, START_S))

    async def inject(self, rule: dict[str, object]) -> None:
        """Arm one more fault everywhere."""
        await self._ask({"inject": rule})

    async def clear(self) -> None:
        """Disarm all faults."""
        await self._ask({"clear": True})

    async def injected(self) -> Counter[str]:
        """How often each fault has struck, over all processes."""
        return await self._ask({"count": True})

    async def stop(self) -> None:
        """Nothing is left running."""
        for process in self._processes:
            if process.stdin is not None:
                process.stdin.close()
        await asyncio.gather(*(process.wait() for process in self._processes))

    async def _ask(self, what: dict[str, object]) -> Counter[str]:
        counts: Counter[str] = Counter()
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write(orjson.dumps(what, option=orjson.OPT_APPEND_NEWLINE))
            counts.update(await _read(process, ANSWER_S))
        return counts


async def _read(process: asyncio.subprocess.Process, patience_s: float) -> Any:
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), patience_s)
    if not line:
        raise ConnectionError(f"simulated exchanges ended with code {await process.wait()}")
    return orjson.loads(line)


@asynccontextmanager
async def running(venues: Sequence[str], symbols: Sequence[str], processes: int) -> AsyncIterator[Exchanges]:
    """Simulated venues of these unified symbols until the end of the block."""
    exchanges = Exchanges()
    try:
        await exchanges.start(venues, symbols, processes)
        yield exchanges
    finally:
        await exchanges.stop()


# -- a process ---------------------------------------------------------------------------------------------------------


async def serve(options: sim.Options) -> None:
    """Simulate until stdin ends."""
    requests = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(requests), sys.stdin)
    simulated = await sim.start(options)
    try:
        _say(simulated.endpoints)
        while line := await requests.readline():
            asked = orjson.loads(line)
            if "inject" in asked:
                simulated.inject(asked["inject"])
            elif "clear" in asked:
                simulated.clear_faults()
            _say(Counter(one.fault for one in simulated.injected))
    finally:
        await simulated.stop()


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.buffer.write(orjson.dumps(answer, option=orjson.OPT_APPEND_NEWLINE))
    sys.stdout.buffer.flush()


def main(args: Sequence[str] | None = None) -> None:
    """One process of them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.exchanges", description="Simulated exchanges.")
    parser.add_argument("--venues", nargs="+", required=True, choices=sorted(sim.SIMS))
    parser.add_argument("--symbols", nargs="+", required=True)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args(args)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is for who started us, and ends us in order
    asyncio.run(serve(sim.Options(venues=tuple(chosen.venues), symbols=tuple(chosen.symbols), seed=chosen.seed)))


if __name__ == "__main__":
    main()
