"""The verb ``tape``: what a recording covers, and where it has holes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imbalanced.coverage import Coverage

HEADER = ("venue", "instrument", "channel", "events", "longest pause", "proven", "missing")


@click.group()
def tape_command() -> None:
    """Recordings: check what they cover."""


@tape_command.command("check")
@click.argument("captures", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.option("--strict", is_flag=True, help="Exit 1 when anything is missing.")
def check(captures: tuple[Path, ...], *, as_json: bool, strict: bool) -> None:
    """Coverage, gaps and holes in the trade ids of every stream. Exit 1 if a file cannot be read to its end."""
    import orjson
    from rich.console import Console
    from rich.table import Table

    from imbalanced.coverage import Coverage, report, rows
    from imbalanced.tape import TapeError

    coverage = Coverage()
    fault = ""
    try:
        read_all(captures, coverage)
    except (TapeError, OSError) as error:
        fault = str(error)
        if not coverage.records:
            raise click.ClickException(fault) from error
    told = report(coverage)
    if as_json:
        click.echo(orjson.dumps({**told, "error": fault or None}).decode())
    else:
        table = Table(*HEADER, box=None, pad_edge=False)
        for row in rows(told):
            table.add_row(*row)
        Console(width=None if sys.stdout.isatty() else 160).print(table)
        hours = (told["end_ns"] - told["begin_ns"]) / 3.6e12
        click.echo(
            f"{told['records']:,} records, {hours:.3f} h, " + ("complete" if told["complete"] else "not complete")
        )
    if fault:
        raise click.ClickException(fault)
    sys.exit(1 if strict and not told["complete"] else 0)


def read_all(captures: Sequence[Path], coverage: Coverage) -> None:
    """Every record through sessions without metrics or detectors. What was read before a bad record counts."""
    from imbalanced.cli import tables
    from imbalanced.replaying import default_config, read_as_ours, recorded_names, runs

    known = tables()
    names = recorded_names(known)
    for run in runs(captures, default_config(captures, known).bare(), discover=True):
        frames = (frame for path in run.files for frame in read_as_ours(path, names))
        for number, frame, made in run.feed(frames):
            if number >= 0:
                coverage.see(frame, made)
            else:
                coverage.timer(made)
        for session in run.pipeline.sessions.values():
            for lane in session.lanes.values():
                coverage.never_proven(session.venue, lane.instrument.symbol)
