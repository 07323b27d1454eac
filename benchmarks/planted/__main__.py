"""``python -m benchmarks.planted [--seeds 1..20] [--json FILE]``: precision and recall per kind on planted markets.

Seeds run in two processes. ``--without NAME,...`` says which filters the second pass leaves out (default: those that
are about spoofed layers), ``--each-filter`` adds a pass for every filter by itself. ``--tape DIR`` also writes each
seed's market as a recording with its events beside it. ``--unlisted``: frames without a list of instruments, as a
recorder that noted only the market leaves them.
"""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from benchmarks.planted.report import printed, told
from benchmarks.planted.runs import configured, manners, played
from imbalanced.detect import FILTERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.planted.runs import Played

AGAINST_SPOOFS = ("spoof", "flicker")


def seeds_of(text: str) -> list[int]:
    """``1..20``, ``7`` or ``1,5,9``."""
    first, dots, last = text.partition("..")
    return list(range(int(first), int(last) + 1)) if dots else [int(one) for one in text.split(",")]


def outcomes(work: Callable[[int], Played], seeds: list[int], jobs: int) -> Iterator[Played]:
    """Each seed's play, in order. One job needs no other process; of several the first that fails ends all."""
    if min(jobs, len(seeds)) == 1:
        yield from map(work, seeds)
        return
    pool = ProcessPoolExecutor(min(jobs, len(seeds)), mp_context=get_context("spawn"))
    workers = pool._processes  # it has no public way to end a seed that runs
    try:
        yield from pool.map(work, seeds)
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in list(workers.values()):
            worker.terminate()
        raise
    pool.shutdown()


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.planted", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--seeds", type=seeds_of, default=seeds_of("1..20"), help="1..20, 7 or 1,5,9")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    parser.add_argument("--without", default=",".join(name for name in AGAINST_SPOOFS if name in FILTERS))
    parser.add_argument("--each-filter", action="store_true", help="a pass without each filter")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--tape", type=Path, metavar="DIR", help="write each seed's market as a recording")
    parser.add_argument("--unlisted", action="store_true", help="no list of instruments in the frames")
    args = parser.parse_args()
    if not args.seeds:
        parser.error("--seeds: no seed in this range")
    off = tuple(name for name in args.without.split(",") if name)
    for name in off:
        if name != "all" and name not in FILTERS:
            parser.error(f"--without: {name!r} is none of all, {', '.join(FILTERS)}")
    if args.tape:
        args.tape.mkdir(parents=True, exist_ok=True)
    choices = list(dict.fromkeys([(), off, *([(name,) for name in FILTERS] if args.each_filter else [])]))
    started = time.perf_counter()
    work = partial(played, choices=choices, listed=not args.unlisted, tapes=args.tape)
    plays = []
    for play in outcomes(work, args.seeds, args.jobs):
        plays.append(play)
        print(f"seed {play.seed} ({play.family}) done", file=sys.stderr)
    figures = told(plays, manners(configured()), ",".join(off))
    print(printed(figures))
    print(f"\n{time.perf_counter() - started:.0f} s", file=sys.stderr)
    if args.json:
        args.json.write_bytes(orjson.dumps(figures, option=orjson.OPT_INDENT_2) + b"\n")


if __name__ == "__main__":
    main()
