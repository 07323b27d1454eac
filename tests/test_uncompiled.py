"""Compiled or not, the answers are the same to the last bit: the plain sources replay what the compiled ones replay."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from scripted import FLOW, LEAN, PUSH, Script, configured

import imbalanced
from imbalanced import book, tape
from imbalanced.metrics import METRICS

PACKAGE = Path(imbalanced.__file__).parent
HERE = Path(__file__).parent
IS_COMPILED = not book.__file__.endswith(".py")

# Runs in both worlds, with the tests' helpers on the path; prints everything that may differ.
PROGRAM = """
import sys
from conversation import S
from eager import EAGER
from scripted import FLOW, LEAN, PUSH, configured
from imbalanced import book, tape
from imbalanced.events import MetricSnapshot, Signal
from imbalanced.jsontext import signal_json, snapshot_json
from imbalanced.metrics import METRICS, evaluate
from imbalanced.pipeline import Pipeline
from imbalanced.replay import with_timers

print("compiled" if not book.__file__.endswith(".py") else "plain", file=sys.stderr)
more = [{"metric": name} for name in sys.argv[2:]]
filters = {"warmup": {"min_age": "1s"}, "depth": {"min_notional": "0"}}  # all the others as they are
pipeline = Pipeline(configured(LEAN, PUSH, FLOW, metrics=more, filters=filters))
for number, frame, made in with_timers(tape.read(sys.argv[1]), pipeline, own=False):
    for one in made:
        if type(one) is Signal:
            print(signal_json(one).decode())
        elif type(one) is MetricSnapshot:
            print(snapshot_json(one).decode())
        else:
            print(number, type(one).__name__, one.recv_ns)
for _, _, made in with_timers(tape.read(sys.argv[1]), Pipeline(configured(*EAGER)), own=False):
    for one in made:
        if type(one) is Signal:
            print(signal_json(one).decode())
events = [{"type": "book_snapshot", "ts_ms": 0, "bids": [["99.9", "1.1"], ["99.8", "2.3"]], "asks": [["100.1", "0.7"]]}]
for i in range(1, 200):
    side, size = ("bids", "asks")[i % 2], f"{(i * 7919 % 101) / 7:.3f}"
    price = f"{99.9 - i % 3 / 10:.1f}" if side == "bids" else f"{100.1 + i % 4 / 10:.1f}"
    events.append({"type": "book_delta", "ts_ms": i * 37, "bids": [], "asks": [], side: [[price, size]]})
    taker = ("buy", "sell")[i % 3 == 0]
    events.append({"type": "trade", "ts_ms": i * 37 + 5, "side": taker, "price": "100", "size": size})
for name in ("ofi", "mlofi", "spread", "vamp", "band_imbalance", "trade_imbalance", "vwap_deviation", "resiliency"):
    for answer in evaluate(name, {}, events):
        print(name, repr(answer))
"""
BY_DEFAULT = ["spread", "queue_imbalance", "ofi", "mlofi", "cancel_add", "trade_imbalance", "vwap_deviation", "cvd"]


def told(package_parent: Path, recording: Path) -> tuple[str, str]:
    """What the program prints with the package of this folder, and which world it was."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(recording), *BY_DEFAULT],
        env={"PYTHONPATH": f"{package_parent}:{HERE}", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONSAFEPATH": "1"},
        cwd=package_parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr.strip()


@pytest.mark.skipif(not IS_COMPILED, reason="nothing is compiled here: run `make setup` to compare both")
def test_the_plain_sources_give_the_same_bytes(tmp_path: Path) -> None:
    script = Script("AAAUSDT", "BBBUSDT").up().calm(12).lean("60", "1", 2).trade("20").calm(3).lean("1", "9", 2)
    script.trade("0.30000000000000004", sell=True).lean("0.1", "0.7", 2).diff("3", "1", skip=4).lean("2", "1").image()
    script.lean("1.1", "0.3").calm(2).lean("17", "1.3", 2).stop()
    recording = tmp_path / "run.jsonl.gz"
    with tape.Writer(recording, started_ns=script.frames[0].recv_ns) as writer:
        for frame in script.frames:
            writer.write(frame)
    plain = tmp_path / "plain"
    shutil.copytree(
        PACKAGE, plain / "imbalanced", ignore=shutil.ignore_patterns("*.so", "*.c", "__pycache__", "build", "static")
    )
    compiled_told, compiled_world = told(PACKAGE.parent, recording)
    plain_told, plain_world = told(plain, recording)
    assert (compiled_world, plain_world) == ("compiled", "plain")
    assert compiled_told.count('"event":"open"') >= 2, "a tape on which nothing happens proves nothing"
    for number, (ours, theirs) in enumerate(zip(compiled_told.splitlines(), plain_told.splitlines(), strict=True)):
        assert ours == theirs, f"line {number}: compiled and plain differ; look for C arithmetic (/, %, int overflow)"


def test_the_program_uses_what_there_is() -> None:
    assert set(BY_DEFAULT) <= set(METRICS)
    assert configured(LEAN, PUSH, FLOW)
