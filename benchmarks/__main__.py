"""``python -m benchmarks [--json FILE] [--quick | --full] [--only PART]``: all benchmarks, ratios first.

The default takes some three minutes, ``--quick`` less than one, ``--full`` some ten with all symbol counts.
"""

from __future__ import annotations

import argparse
import platform
import time
from pathlib import Path
from typing import Any

import orjson

from benchmarks import codecs, inside, sockets
from benchmarks.report import printed
from imbalanced import book
from imbalanced.transports import DEFAULT, TRANSPORTS

OURS = [f"ours:{name}" for name in TRANSPORTS]
BEST = f"ours:{DEFAULT}"
PARTS = ("full_load", "one_per_wakeup", "others", "pipeline", "venues", "metrics", "detectors", "memory", "latency")


def measured(effort: int, parts: tuple[str, ...]) -> dict[str, Any]:
    """Everything asked for. ``effort`` 0 is quick, 1 the default, 2 full."""
    started = time.time()
    told: dict[str, Any] = {
        "machine": {"python": platform.python_version(), "processor": platform.machine(), "system": platform.system()},
        "compiled": not book.__file__.endswith(".py"),
        "default_transport": DEFAULT,
    }
    repeats = (1, 2, 3)[effort]
    if "full_load" in parts:
        told["full_load"] = {
            str(symbols): sockets.compared(
                ["discard", "floor", *(OURS if symbols == 1 or effort == 2 else [BEST])],
                symbols=symbols,
                frames=(6000, 12_000, 20_000)[effort],
                repeats=repeats,
            )
            for symbols in ((1, 50), (1, 50, 200), (1, 10, 50, 200))[effort]
        }
    if "one_per_wakeup" in parts:
        told["one_per_wakeup"] = {
            str(symbols): sockets.compared(
                ["floor", *OURS],
                symbols=symbols,
                frames=(450, 900, 1800)[effort],
                mode="paced",
                repeats=repeats,
            )
            for symbols in ((1,), (1,), (1, 10, 50, 200))[effort]
        }
    if "others" in parts:
        told["others"] = sockets.compared(["floor", "ccxt", "cryptofeed"], symbols=1, frames=3000, repeats=1)
    if "pipeline" in parts:
        told["pipeline"] = inside.pipeline(repeats=(3, 5, 9)[effort], frames=(1000, 3000, 3000)[effort])
    if "venues" in parts:
        told["venues"] = codecs.venues(frames=(300, 1000, 2000)[effort], repeats=(3, 5, 9)[effort])
    if "metrics" in parts:
        told["metrics_ns"] = inside.metrics(updates=(300, 1000, 3000)[effort])
    if "detectors" in parts:
        told["detectors_ns"] = inside.detectors(updates=(300, 1000, 3000)[effort], repeats=(3, 5, 9)[effort])
    if "memory" in parts:
        told["memory"] = inside.memory((100, 500, 500)[effort])
    if "latency" in parts:
        told["latency"] = latency(told, effort)
    told["seconds"] = time.time() - started
    return told


def latency(told: dict[str, Any], effort: int) -> dict[str, Any]:
    """At half of the rate that the default transport took at full load (the sender takes no more than 20,000/s)."""
    us = told.get("full_load", {}).get("1", {}).get(BEST, {}).get("us", 20.0)
    rate = min(0.5e6 / us, 20_000.0)
    frames = (5000, 20_000, 60_000)[effort]
    with sockets.load(1, frames) as path:
        half = sockets.one_run(BEST, path, symbols=1, frames=frames, mode="paced", rate=rate)
        burst = sockets.one_run(BEST, path, symbols=1, frames=4992, mode="burst")
    return {"half_load": half | {"rate": rate}, "burst_1248_in_100_ms": burst}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Benchmarks, as ratios within one run.")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    parser.add_argument("--quick", action="store_true", help="less than a minute")
    parser.add_argument("--full", action="store_true", help="all transports with all symbol counts")
    parser.add_argument("--only", action="append", choices=PARTS, help="this part (may be repeated)")
    args = parser.parse_args()
    told = measured(0 if args.quick else 2 if args.full else 1, tuple(args.only or PARTS))
    print(printed(told))
    if args.json:
        args.json.write_bytes(orjson.dumps(told, option=orjson.OPT_INDENT_2) + b"\n")


if __name__ == "__main__":
    main()
