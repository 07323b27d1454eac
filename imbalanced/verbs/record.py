"""The verb ``record``: options to :func:`imbalanced.recording.record`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("record")
@click.option(
    "-c", "--config", "config_path", type=click.Path(path_type=Path), required=True, help="What to listen to."
)
@click.option("-o", "--output", "folder", required=True, help="Folder of the files; one in progress ends in .part.")
def record_command(config_path: Path, folder: str) -> None:
    """Every frame as it comes, into rotating files. SIGTERM or Ctrl-C: the file is completed, exit 0."""
    import uvloop

    from imbalanced import logs
    from imbalanced.cli import load_config
    from imbalanced.recording import record

    config = load_config(config_path)
    logs.set_up(config.log)
    uvloop.run(record(config, folder))
    click.echo(f"recorded to {folder}", err=True)
