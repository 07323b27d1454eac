"""``make seeds SEEDS=1..10000`` (``python -m imbalanced.sim.worlds --seeds 1..10000 [--jobs 2] [-v]``): a world a seed.

Each violation says what broke, at which virtual time, and the command that shows it again; the last line is
``N seeds, V violations``, and the exit code 0 only if V is 0. ``-v`` prints every frame of a world and what came of it.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from multiprocessing import get_context

from imbalanced.sim.worlds import Outcome, run

S = 1_000_000_000
COMMAND = "make seeds SEEDS={seed}..{seed} ARGS=-v"


def seeds_of(text: str) -> range:
    """``1..10000``, both ends in; ``7`` is ``7..7``."""
    first, several, last = text.partition("..")
    try:
        found = range(int(first), int(last if several else first) + 1)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: expected seeds such as 1..10000") from None
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r}: there is no seed in it")
    return found


def outcomes(seeds: range, jobs: int) -> Iterator[Outcome]:
    """In the order of the seeds."""
    if jobs < 2 or len(seeds) < 2:
        yield from map(run, seeds)
        return
    with get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap(run, seeds, chunksize=max(1, min(50, len(seeds) // (4 * jobs))))


def say(text: str) -> None:
    """To stdout, at once: what is seen of a long run is seen while it runs."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def report(found: Iterable[Outcome]) -> tuple[int, int]:
    """Say every violation and what was seen altogether; how many worlds and violations there were."""
    worlds = violations = frames = compared = losses = signals = 0
    injected: Counter[str] = Counter()
    slowest_ns = 0
    for one in found:
        worlds += 1
        frames, compared, losses = frames + one.frames, compared + one.compared, losses + one.losses
        signals, slowest_ns = signals + one.signals, max(slowest_ns, one.healed_ns)
        injected.update(one.injected)
        if one.violation:
            violations += 1
            say(f"seed {one.seed} at {one.at_ns / S:.3f} s: {one.violation}")
            say(f"  {COMMAND.format(seed=one.seed)}")
    say(f"{frames} frames, {compared} books compared, {losses} lost, {signals} signals; healed in {slowest_ns // S} s")
    say("faults: " + ", ".join(f"{kind} {count}" for kind, count in sorted(injected.items())))
    return worlds, violations


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m imbalanced.sim.worlds", description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=seeds_of, default=seeds_of("1..1000"), help="such as 1..10000")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("-v", "--verbose", action="store_true", help="print every frame and what came of it")
    given = parser.parse_args(argv)
    found = (run(seed, say) for seed in given.seeds) if given.verbose else outcomes(given.seeds, given.jobs)
    worlds, violations = report(found)
    say(f"{worlds} seeds, {violations} violations")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
