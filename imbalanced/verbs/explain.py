"""The verb ``explain``: why a signal was opened, from the journal, and once more from the recording."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imbalanced.config import Config

DEFAULT_JOURNAL = Path("var/journal.sqlite")


@click.command("explain")
@click.argument("id_", metavar="ID")
@click.option(
    "-c", "--config", "config_path", type=click.Path(path_type=Path), help="Of the run: its journal, its detectors."
)
@click.option("--journal", "journal_path", type=click.Path(path_type=Path), help="Another journal than that of -c.")
@click.option(
    "--tape",
    "tapes",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A recording of the run, its files in order.",
)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.argument("more_tapes", nargs=-1, type=click.Path(path_type=Path), metavar="[TAPE]...")
def explain_command(
    *,
    id_: str,
    config_path: Path | None,
    journal_path: Path | None,
    tapes: tuple[Path, ...],
    more_tapes: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Why signal ID was opened: numbers, thresholds, book, filters, and what happened afterwards.

    With --tape the recording is replayed, and whether it gives the same signal is told as well.
    """
    import orjson

    from imbalanced import explanation
    from imbalanced.cli import load_config

    if more_tapes and not tapes:
        raise click.UsageError(f"unexpected {more_tapes[0]}; recordings come after --tape")
    config = load_config(config_path) if config_path else None
    kept = from_journal(id_, journal_path, config, needed=not tapes)
    replayed = from_tape(id_, [*tapes, *more_tapes], config) if tapes else None
    told = kept or replayed
    if told is None:
        raise click.ClickException(f"no signal {id_} in the journal" + (" and none on the recording" if tapes else ""))
    if tapes:
        told = {**told, "replay": verdict(kept, replayed)}
    if as_json:
        click.echo(orjson.dumps(told).decode())
        return
    click.echo(explanation.text(told))
    if tapes:
        click.echo(f"replay     {told['replay']}")


def from_journal(id_: str, path: Path | None, config: Config | None, *, needed: bool) -> dict[str, Any] | None:
    """What the journal keeps of it. A journal that cannot be read matters only where there is no recording."""
    from imbalanced import explanation
    from imbalanced.journal import Journal, JournalError

    chosen = path or (Path(config.journal.path) if config and config.journal.path else DEFAULT_JOURNAL)
    if not chosen.is_file():
        if needed:
            raise click.ClickException(f"{chosen}: no such journal; -c FILE or --journal FILE says where it is")
        return None
    try:
        journal = Journal.open(chosen, read_only=True)
        try:
            about = journal.about(id_)
        finally:
            journal.close()
    except JournalError as error:
        raise click.ClickException(str(error)) from error
    return None if about is None else explanation.as_data(about)


def from_tape(id_: str, tapes: Sequence[Path], config: Config | None) -> dict[str, Any] | None:
    """The same from a replay; None when the recording does not give this signal."""
    from imbalanced import explanation
    from imbalanced.cli import tables
    from imbalanced.replaying import explain_files
    from imbalanced.tape import TapeError

    try:
        about = explain_files(id_, tapes, config, tables())
    except (TapeError, OSError) as error:
        raise click.ClickException(str(error)) from error
    return None if about is None else explanation.as_data(about)


def verdict(kept: dict[str, Any] | None, replayed: dict[str, Any] | None) -> str:
    """Whether the recording gives what the journal says."""
    if replayed is None:
        return "the recording does not give this signal (another run, or another configuration)"
    if kept is None:
        return "the journal does not know it; all of this is from the recording"
    ours, theirs = ([{**one, "seq": 0} for one in told["signals"]] for told in (kept, replayed))
    if ours[: len(theirs)] == theirs[: len(ours)]:
        return f"the recording gives the same {min(len(ours), len(theirs))} messages"
    number = next(i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b)
    fields = [key for key in ours[number] if ours[number][key] != theirs[number].get(key)]
    return f"message {number + 1} differs in {', '.join(fields)}"
