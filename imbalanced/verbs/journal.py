"""The verb ``journal``: integrity, the last entries, and export. Only reads, also beside a running daemon."""

from __future__ import annotations

import csv
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imbalanced.journal import Entry, Journal

PAGE = 1000
COLUMNS = (
    "seq", "id", "event", "kind", "side", "venue", "instrument", "ts_ns", "recv_ns", "strength", "score", "confidence",
    "mid", "horizon_ms", "reason", "config",
)  # fmt: skip


@click.group()
def journal_command() -> None:
    """The journal of signals: verify it, see its end, export it."""


PATH = click.argument("path", required=False, type=click.Path(path_type=Path))
CONFIG = click.option(
    "-c", "--config", "config_path", type=click.Path(path_type=Path), help="Take the path from there."
)


def opened(path: Path | None, config_path: Path | None) -> Journal:
    """The journal that is meant; exit 1 with the reason if it cannot be read."""
    from imbalanced.cli import load_config
    from imbalanced.journal import Journal, JournalError

    if path is None:
        if config_path is None:
            raise click.UsageError("give the path of a journal, or -c FILE")
        path = Path(load_config(config_path).journal.path)
    if not path.is_file():
        raise click.ClickException(f"{path}: no such journal")
    try:
        return Journal.open(path, read_only=True)
    except JournalError as error:
        raise click.ClickException(str(error)) from error


def entries(journal: Journal, from_seq: int) -> Iterator[Entry]:
    """All from here on, in order."""
    while page := journal.read(from_seq, PAGE):
        yield from page
        from_seq = page[-1].seq + 1


@journal_command.command("verify")
@PATH
@CONFIG
def verify(path: Path | None, config_path: Path | None) -> None:
    """Read all of it; every fault on a line, exit 1 if there is one."""
    with closing(opened(path, config_path)) as journal:
        faults = journal.verify()
        for fault in faults:
            click.echo(fault)
        if faults:
            click.echo(f"{journal.path}: {len(faults)} faults", err=True)
            sys.exit(1)
        held = f"seq {journal.oldest_seq} to {journal.last_seq}, {len(journal.open_signals())} open"
        click.echo(f"{journal.path}: whole; {held}, epoch {journal.epoch}")


@journal_command.command("tail")
@PATH
@CONFIG
@click.option("-n", "--lines", type=click.IntRange(1), default=10, show_default=True, help="How many.")
@click.option("--json", "as_json", is_flag=True, help="JSON Lines.")
def tail(path: Path | None, config_path: Path | None, lines: int, as_json: bool) -> None:
    """The last entries, oldest first."""
    from imbalanced.cli import signal_line
    from imbalanced.jsontext import signal_from_json

    with closing(opened(path, config_path)) as journal:
        for entry in entries(journal, max(journal.oldest_seq, journal.last_seq - lines + 1)):
            click.echo(entry.text.decode() if as_json else signal_line(signal_from_json(entry.text)))


@journal_command.command("export")
@PATH
@CONFIG
@click.option("--format", "form", type=click.Choice(["jsonl", "csv"]), help="Default: by the file's name, else jsonl.")
@click.option("-o", "--output", default="-", help="A file, written beside and renamed when complete; - is stdout.")
@click.option("--from-seq", type=click.IntRange(1), default=1, help="The first one wanted.")
def export(path: Path | None, config_path: Path | None, form: str | None, output: str, from_seq: int) -> None:
    """Every signal as it was said: JSON Lines to the byte, or CSV without evidence and proof."""
    from imbalanced.replaying import written

    form = form or ("csv" if output.endswith(".csv") else "jsonl")
    with closing(opened(path, config_path)) as journal, written(output) as file:
        found = entries(journal, max(from_seq, journal.oldest_seq))
        count = _csv(found, file) if form == "csv" else _json_lines(found, file)
    click.echo(f"{count} signals to {'stdout' if output == '-' else output}", err=True)


def _json_lines(found: Iterator[Entry], file: BinaryIO) -> int:
    count = 0
    for entry in found:
        file.write(entry.text + b"\n")
        count += 1
    return count


def _csv(found: Iterator[Entry], file: BinaryIO) -> int:
    from imbalanced.jsontext import signal_from_json

    lines: list[str] = []

    class Lines:
        def write(self, text: str) -> None:
            lines.append(text)

    table = csv.writer(Lines(), lineterminator="\n")
    table.writerow(COLUMNS)
    count = 0
    for entry in found:
        one = signal_from_json(entry.text)
        table.writerow(["" if (value := getattr(one, name)) is None else value for name in COLUMNS])
        count += 1
        file.write("".join(lines).encode())
        lines.clear()
    file.write("".join(lines).encode())
    return count
