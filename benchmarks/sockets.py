"""Runs of generator and consumer, each in its own process: CPU per frame end to end, and latency."""

from __future__ import annotations

import pickle
import subprocess
import sys
import tempfile
from array import array
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from benchmarks import market

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).parent.parent
TIMEOUT_S = 60.0


@contextmanager
def load(symbols: int, count: int) -> Iterator[str]:
    """The frames of so many symbols and their snapshots in a temporary file."""
    with tempfile.NamedTemporaryFile(suffix=".load") as file:
        images = {market.venue_symbol(number): market.image(number) for number in range(symbols)}
        pickle.dump((market.mixed_frames(symbols, count), images), file)
        file.flush()
        yield file.name


def one_run(
    kind: str, path: str, *, symbols: int, frames: int, mode: str = "full", rate: float = 900.0
) -> dict[str, Any]:
    """One generator, one consumer; what the consumer says. Latencies in ns where the mode has times (``latency``)."""
    plain = kind in ("discard", "floor")
    with tempfile.TemporaryDirectory() as folder:
        sent, got = f"{folder}/sent", f"{folder}/got"
        command = [sys.executable, "-m", "benchmarks.generator", path, "--mode", mode, f"--rate={rate}"]
        command += [f"--hold={0 if plain else symbols}", f"--count={frames}", f"--times={sent}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as generator:
            assert generator.stdout is not None
            port = generator.stdout.readline().strip()
            try:
                consumer = [sys.executable, "-m", "benchmarks.consumer", kind, port, str(frames), str(symbols), got]
                done = subprocess.run(
                    consumer, capture_output=True, text=True, cwd=ROOT, timeout=TIMEOUT_S, check=False
                )
            except subprocess.TimeoutExpired:
                return {"skipped": f"no end within {TIMEOUT_S:.0f} s"}
            finally:
                generator.kill()
        if done.returncode:
            return {"skipped": (done.stderr.strip().splitlines() or ["no word"])[-1][:200]}
        told: dict[str, Any] = orjson.loads(done.stdout.splitlines()[-1])
        if mode != "full" and Path(got).exists() and Path(sent).exists():
            told["latency"] = _latency(_times(sent), _times(got))
        return told


def _times(path: str) -> array[int]:
    times = array("q")
    times.frombytes(Path(path).read_bytes())
    return times


def _latency(sent: array[int], got: array[int]) -> dict[str, float]:
    """In microseconds, from the call that sends a frame to the end of all that it caused."""
    us = sorted((b - a) / 1000 for a, b in zip(sent, got, strict=False))
    return {
        "p50_us": us[len(us) // 2],
        "p99_us": us[int(len(us) * 0.99)],
        "p999_us": us[int(len(us) * 0.999)],
        "most_us": us[-1],
    }


def compared(
    kinds: Sequence[str], *, symbols: int, frames: int, mode: str = "full", rate: float = 900.0, repeats: int = 3
) -> dict[str, dict[str, Any]]:
    """All kinds in turn, some times over; the run with the least CPU of each, and ``ratio`` to the floor."""
    best: dict[str, dict[str, Any]] = {}
    with load(symbols, frames) as path:
        for _ in range(repeats):
            for kind in kinds:
                told = one_run(kind, path, symbols=symbols, frames=frames, mode=mode, rate=rate)
                known = best.get(kind)
                if known is None or "skipped" in known or told.get("us", float("inf")) < known["us"]:
                    best[kind] = told
    floor = best.get("floor", {}).get("us")
    for told in best.values():
        if floor and "us" in told:
            told["ratio"] = told["us"] / floor
    return best
