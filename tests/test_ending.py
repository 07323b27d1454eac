"""How a run is told to end: in a process of its own, as signals are for the whole of it."""

from __future__ import annotations

import subprocess
import sys

import pytest
from daemons import ROOT

PROGRAM = """
import asyncio, os, signal, sys
from imbalanced import embedded, ending

embedded.kill = lambda: print("children killed", flush=True)

async def main():
    stopped = asyncio.Event()
    with ending.handled(stopped.set, lambda: print("reload", flush=True)):
        for name in sys.argv[1:]:
            os.kill(os.getpid(), signal.Signals[name])
            await asyncio.sleep(0.05)
            print(name, stopped.is_set(), flush=True)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL

asyncio.run(main())
"""


def run(*names: str) -> tuple[int, list[str]]:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, *names],
        capture_output=True, text=True, cwd=ROOT, timeout=30, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    return done.returncode, done.stdout.splitlines()


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_the_first_signal_asks_for_an_orderly_stop(name: str) -> None:
    assert run(name) == (0, [f"{name} True"])


@pytest.mark.parametrize(("first", "second"), [("SIGINT", "SIGINT"), ("SIGTERM", "SIGINT"), ("SIGINT", "SIGTERM")])
def test_the_second_ends_the_process_at_once_with_what_it_started(first: str, second: str) -> None:
    assert run(first, second, "SIGHUP") == (130, [f"{first} True", "children killed"])


def test_hangup_reloads_and_stops_nothing() -> None:
    assert run("SIGHUP", "SIGHUP") == (0, ["reload", "SIGHUP False"] * 2)
