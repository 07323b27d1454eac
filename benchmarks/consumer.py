"""One client of the generator: ``python -m benchmarks.consumer KIND PORT FRAMES SYMBOLS [TIMES]``.

Measured by its own CPU time, from a tenth of the frames to the last. Prints one line of JSON: ``us`` per frame, or
``skipped`` with the reason. KIND is ``discard`` or ``floor`` (``websockets`` under uvloop, without and with
``orjson.loads``), ``ours:TRANSPORT`` (connector and pipeline, eleven metrics), ``ccxt`` or ``cryptofeed``.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from array import array
from pathlib import Path
from typing import Any

import orjson
import uvloop

from benchmarks import market, runs
from imbalanced.events import Frame


class Meter:
    """CPU time between a tenth of the frames and all of them."""

    def __init__(self, frames: int) -> None:
        self.seen = 0
        self.first, self.last = max(frames // 10, 1), frames
        self.started = self.ended = 0
        self.done = asyncio.Event()

    def count(self) -> None:
        self.seen += 1
        if self.seen == self.first:
            self.started = time.process_time_ns()
        elif self.seen == self.last:
            self.ended = time.process_time_ns()
            self.done.set()

    def result(self) -> dict[str, Any]:
        return {"us": (self.ended - self.started) / (self.last - self.first) / 1000}


async def plain(port: int, frames: int, decode: Any) -> dict[str, Any]:
    """``websockets``' own client in its usual loop."""
    from websockets.asyncio.client import connect  # noqa: PLC0415 - only what is measured is loaded

    meter = Meter(frames)
    async with connect(f"ws://127.0.0.1:{port}/stream", compression=None, max_size=None) as socket:
        await socket.send("subscribe")
        runs.quiet_collector()
        async for message in socket:
            decode(message)
            meter.count()
            if meter.ended:
                break
    return meter.result()


class Ours:
    """What the daemon does with a frame, without its sinks: connector, pipeline, commands, clock."""

    def __init__(self, transport: str, port: int, frames: int, symbols: int) -> None:
        import structlog  # noqa: PLC0415 - only what is measured is loaded
        from msgspec import structs  # noqa: PLC0415

        from imbalanced.connector import Connector  # noqa: PLC0415
        from imbalanced.pipeline import Pipeline  # noqa: PLC0415
        from imbalanced.transports import TRANSPORTS  # noqa: PLC0415
        from imbalanced.venues import VENUES  # noqa: PLC0415

        spot: Any = VENUES["binance"]
        limits = structs.replace(spot.limits, weight_per_min=10**9, messages_per_s=1000.0)
        VENUES["binance"] = structs.replace(spot, limits=limits)
        self.meter = Meter(frames)
        self.times = array("q")
        self.symbols = symbols
        self.pipeline = Pipeline(runs.config(rest=f"http://127.0.0.1:{port}", ws=f"ws://127.0.0.1:{port}"))
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
        log = structlog.get_logger()
        self.connector = Connector("binance", limits, TRANSPORTS[transport], self.feed, log=log)
        self.pauses = Pauses()

    def feed(self, frame: Frame) -> None:
        self.pipeline.feed(frame)
        if frame.kind == "ws" and len(frame.data) > 200:  # an acknowledgement is no frame of the market
            self.times.append(time.monotonic_ns())
            self.meter.count()
        for command in self.pipeline.commands():
            if command.venue:
                self.connector.execute(command)
            else:
                at_ns: int = command.at_ns  # type: ignore[union-attr]  # only timers have no venue
                delay_s = max(at_ns - time.time_ns(), 0) / 1e9
                asyncio.get_running_loop().call_later(delay_s, self.feed, Frame(at_ns, "", 0, "wake", b""))

    async def run(self) -> dict[str, Any]:
        running = asyncio.create_task(self.connector.run())
        self.feed(Frame(time.time_ns(), "binance", 0, "instruments", market.instruments(self.symbols)))
        while sum(lane.valid for lane in self.pipeline.sessions["binance"].lanes.values()) < self.symbols:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        runs.quiet_collector()
        self.pauses.start()
        await self.meter.done.wait()
        lanes = self.pipeline.sessions["binance"].lanes.values()
        updates = sum(seat.desk.updates for seat in self.pipeline.seats.values())
        if not all(lane.valid for lane in lanes) or updates < self.meter.last:
            raise RuntimeError(f"{updates} updates of {self.meter.last} frames: the books were not followed")
        await self.connector.stop()
        await running
        return self.meter.result() | self.pauses.result()


class Pauses:
    """How long the collector stopped the world."""

    def __init__(self) -> None:
        self.ms: list[float] = []
        self._since = 0

    def start(self) -> None:
        gc.callbacks.append(self._told)

    def _told(self, phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            self._since = time.perf_counter_ns()
        else:
            self.ms.append((time.perf_counter_ns() - self._since) / 1e6)

    def result(self) -> dict[str, Any]:
        return {"gc_over_5_ms": sum(ms > 5 for ms in self.ms), "gc_longest_ms": max(self.ms, default=0.0)}


async def ccxt_pro(port: int, frames: int, symbols: int) -> dict[str, Any]:
    """``watch_order_book_for_symbols`` of ccxt.pro, nothing computed from the books."""
    import ccxt.pro  # type: ignore[import-untyped]  # noqa: PLC0415 - only what is measured is loaded

    exchange = ccxt.pro.binance({"enableRateLimit": False, "newUpdates": True, "options": {"defaultType": "spot"}})
    exchange.urls["api"]["ws"]["spot"] = f"ws://127.0.0.1:{port}"
    exchange.urls["api"]["public"] = f"http://127.0.0.1:{port}/api/v3"
    exchange.options["watchOrderBookRate"] = 100
    names = [market.symbol(number) for number in range(symbols)]
    exchange.set_markets([_ccxt_market(exchange, number) for number in range(symbols)])
    meter = Meter(frames)
    handle = exchange.handle_order_book_message

    def counted(*args: Any) -> Any:
        meter.count()
        return handle(*args)

    exchange.handle_order_book_message = counted

    async def watch() -> None:
        while True:
            await exchange.watch_order_book_for_symbols(names)

    watching = asyncio.create_task(watch())
    done = asyncio.create_task(meter.done.wait())
    await asyncio.wait([watching, done], return_when=asyncio.FIRST_COMPLETED, timeout=20)
    if not meter.ended:
        why = repr(watching.exception()) if watching.done() else f"{meter.seen} of {frames} frames in 20 s"
        watching.cancel()
        await exchange.close()
        return {"skipped": f"ccxt.pro: {why}"[:200]}
    watching.cancel()
    await exchange.close()
    return meter.result()


def _ccxt_market(exchange: Any, number: int) -> dict[str, Any]:
    return exchange.safe_market_structure(  # type: ignore[no-any-return]
        {
            "id": market.venue_symbol(number),
            "lowercaseId": market.venue_symbol(number).lower(),
            "symbol": market.symbol(number),
            "base": f"B{number:03d}",
            "quote": "USDT",
            "type": "spot",
            "spot": True,
            "active": True,
            "precision": {"price": 0.01, "amount": 1e-8},
        }
    )


async def run(kind: str, port: int, frames: int, symbols: int, times: str) -> dict[str, Any]:
    name, _, transport = kind.partition(":")
    if name == "discard":
        return await plain(port, frames, len)
    if name == "floor":
        return await plain(port, frames, orjson.loads)
    if name == "ccxt":
        return await ccxt_pro(port, frames, symbols)
    if name == "cryptofeed":
        return {"skipped": "cryptofeed is not installed; version 3 needs Python 3.13"}
    ours = Ours(transport, port, frames, symbols)
    result = await ours.run()
    if times:
        _write(times, ours.times)
    return result


def _write(path: str, times: array[int]) -> None:
    Path(path).write_bytes(times.tobytes())


def main() -> None:
    kind, port, frames, symbols, *times = sys.argv[1:]
    runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    with runner:
        print(orjson.dumps(runner.run(run(kind, int(port), int(frames), int(symbols), "".join(times)))).decode())


if __name__ == "__main__":
    main()
