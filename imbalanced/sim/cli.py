"""The verb `sim`: options to `Options`, errors to exit code 2."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click

from imbalanced import sim
from imbalanced.sim import faults
from imbalanced.sim.server import DEFAULT_SYMBOLS, Options, run_cli


def _log(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


@click.command("sim")
@click.argument("more", nargs=-1, metavar="[V...]")
@click.option("--venue", "venues", multiple=True, metavar="V", help="Venue to simulate; others may follow it.")
@click.option("--symbols", default=",".join(DEFAULT_SYMBOLS), show_default=True, help="Unified symbols, with commas.")
@click.option("--capture", type=click.Path(path_type=Path), help="Play this recording instead of synthetic markets.")
@click.option("--speed", type=click.FloatRange(min=0), default=1.0, help="Of market time; 0 = a recording at once.")
@click.option("--time-scale", type=click.FloatRange(min=0, min_open=True), default=1.0, help="Of pings and lifetimes.")
@click.option("--faults", "faults_file", type=click.Path(path_type=Path), help="YAML or JSON list of faults.")
@click.option("--seed", type=int, help="Repeatable markets; without --faults, random faults.")
@click.option("--port-base", "--port", type=click.IntRange(0, 65_000), default=0, help="First port; 0 = free ones.")
def sim_command(
    *,
    more: tuple[str, ...],
    venues: tuple[str, ...],
    symbols: str,
    capture: Path | None,
    speed: float,
    time_scale: float,
    faults_file: Path | None,
    seed: int | None,
    port_base: int,
) -> None:
    """Simulated exchanges on 127.0.0.1 that speak the venues' real protocols."""
    if not venues and capture is None:
        raise click.UsageError(f"give --venue (one of {', '.join(sim.SIMS)}) or --capture")
    if more and not venues:
        raise click.UsageError(f"venues follow --venue, not {' '.join(more)}")
    try:
        options = Options(
            venues=tuple(dict.fromkeys((*venues, *more))),
            symbols=tuple(text.strip() for text in symbols.split(",") if text.strip()),
            capture=capture,
            speed=speed,
            time_scale=time_scale,
            faults=tuple(faults.parse(faults_file.read_text(encoding="utf-8"))) if faults_file else (),
            seed=seed,
            port_base=port_base,
            random_faults=seed is not None and faults_file is None,
            log=_log,
        )
        sys.exit(asyncio.run(run_cli(options)))
    except (ValueError, OSError) as error:
        raise click.UsageError(str(error)) from error
