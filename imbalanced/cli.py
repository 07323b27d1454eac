"""The command line: verbs to functions, errors to exit codes. Data goes to stdout, everything else to stderr."""

from __future__ import annotations

import os
import platform
import sys
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from imbalanced import __version__

if TYPE_CHECKING:
    from imbalanced.config import Config, Tables
    from imbalanced.events import Signal
    from imbalanced.service import Service

EPILOG = """\b
First steps:
  imbalanced run -c config/demo.yaml       the demo, nothing else needed
  imbalanced tail                          signals of a running daemon
  imbalanced replay CAPTURE --signals -    a recording through the same pipeline
"""


class Lazy(NamedTuple):
    """A verb in a file of its own: where, and its line in the help, so that the help imports none of them."""

    module: str
    name: str
    help: str


LAZY = {
    "doctor": Lazy("imbalanced.verbs.doctor", "doctor_command", "Connect as run would, and say what is missing."),
    "explain": Lazy("imbalanced.verbs.explain", "explain_command", "Why a signal was opened, and what came of it."),
    "journal": Lazy("imbalanced.verbs.journal", "journal_command", "Verify the journal, see its end, export it."),
    "record": Lazy("imbalanced.verbs.record", "record_command", "Every frame as it comes, into rotating files."),
    "resync": Lazy("imbalanced.verbs.resync", "resync_command", "Have a running daemon prove one book again."),
    "tape": Lazy("imbalanced.verbs.tape", "tape_command", "Recordings: coverage, gaps, holes in the trade ids."),
    "sim": Lazy("imbalanced.sim.cli", "sim_command", "Simulated exchanges that speak the venues' real protocols."),
}


class Verbs(click.Group):
    """Verbs are imported when they are used: `--help` must be quick. A misspelt one suggests the nearest.

    Errors end here: one line on stderr and exit 1; a reader of our stdout that has gone is no error.
    """

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        lazy = LAZY.get(cmd_name)
        if lazy is None:
            return super().get_command(ctx, cmd_name)
        command: click.Command = getattr(import_module(lazy.module), lazy.name)
        return command

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *LAZY])

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        names = self.list_commands(ctx)
        room = formatter.width - 6 - max(map(len, names))
        rows = []
        for name in names:
            command = self.commands.get(name)
            rows.append((name, command.get_short_help_str(room) if command else LAZY[name].help))
        with formatter.section("Verbs"):
            formatter.write_dl(rows)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in self.list_commands(ctx):
            near = get_close_matches(args[0], self.list_commands(ctx), 1)
            ctx.fail(f"no such verb: {args[0]}" + (f"; did you mean {near[0]}?" if near else ""))
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            answer = super().invoke(ctx)
            sys.stdout.flush()
            return answer
        except BrokenPipeError:
            # The rest of what was buffered goes nowhere, and quietly so.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(0)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            if ctx.obj:
                raise
            for leaf in _leaves(error):
                click.echo(f"Error: {_words(leaf)}", err=True)
            ctx.exit(1)


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for one in error.exceptions for leaf in _leaves(one)]
    return [error]


def _words(error: BaseException) -> str:
    """What went wrong in one or two lines; errors that are not ours say their type too."""
    ours = type(error).__module__.startswith("imbalanced")
    return str(error) if ours else f"{type(error).__name__}: {error} (--debug shows where)"


@click.group(
    cls=Verbs, invoke_without_command=True, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, prog_name="imbalanced")
@click.option("--debug", is_flag=True, help="Show tracebacks of errors.")
@click.pass_context
def cli(ctx: click.Context, debug: bool) -> None:
    """Order book imbalance, live: proven books, metrics on every delta and trade, signals."""
    ctx.obj = debug
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def tables() -> Tables:
    """What can be configured."""
    from imbalanced.config import Tables
    from imbalanced.detect import DETECTORS, FILTERS
    from imbalanced.metrics import METRICS
    from imbalanced.venues import VENUES

    return Tables(VENUES, METRICS, DETECTORS, FILTERS)


def read_config(path: Path) -> Config:
    """The configuration, or ConfigError, OSError, UnicodeDecodeError."""
    from imbalanced.config import load

    text = path.read_text(encoding="utf-8")
    return load(text, tables(), environ=os.environ, read_text=lambda name: Path(name).read_text(encoding="utf-8"))


def load_config(path: Path) -> Config:
    """The configuration, or exit 2 with every fault found."""
    from imbalanced.config import ConfigError

    try:
        return read_config(path)
    except (OSError, UnicodeDecodeError) as error:
        click.echo(f"{path}: {getattr(error, 'strerror', None) or error}", err=True)
    except ConfigError as error:
        for line in str(error).splitlines():
            click.echo(f"{path}: {line}", err=True)
    sys.exit(2)


CONFIG = click.option(
    "-c", "--config", "config_path", type=click.Path(path_type=Path), required=True, help="The configuration (YAML)."
)


@cli.command()
@CONFIG
def run(config_path: Path) -> None:
    """The daemon, in the foreground. SIGTERM or Ctrl-C: orderly stop, exit 0. SIGHUP: reload."""
    import uvloop

    from imbalanced import logs, service

    config = load_config(config_path)
    logs.set_up(config.log)
    if not service.COMPILED:
        click.echo("imbalanced runs uncompiled (no C compiler at install): correct, but slower", err=True)
    uvloop.run(_run(config, config_path))


async def _run(config: Config, config_path: Path) -> None:
    import asyncio

    from rich.console import Console

    from imbalanced import live, service

    console = Console()
    table: list[asyncio.Task[None]] = []

    def announce(running: Service) -> None:
        for line in addresses(running):
            click.echo(line)
        if console.is_terminal:
            table.append(asyncio.create_task(live.show(running, console)))

    try:
        await service.run(config, announce=announce, read=lambda: read_config(config_path))
    finally:
        for task in table:
            task.cancel()


def addresses(running: Service) -> list[str]:
    """Where to look."""
    config = running.config
    http = f"http://{config.http.host}:{config.http.port}"
    lines = [
        *(f"note      {why}" for why in running.moved),
        f"page      {http}/",
        f"health    {http}/readyz   metrics {http}/metrics   status {http}/api/status",
        f"stream    ws://{config.stream.host}:{config.stream.port}/v1",
    ]
    lines += [f"redis     {url}" for url in running.redis_urls]
    lines += [
        f"simulated {name} {venue.endpoints.rest} {venue.endpoints.ws}"
        for name, venue in config.venues.items()
        if venue.endpoints is not None and config.sim is not None
    ]
    return lines


@cli.command()
@CONFIG
def check(config_path: Path) -> None:
    """Build everything, connect to nothing; exit 0, or 2 with every fault found."""
    from imbalanced.checks import build

    config = load_config(config_path)
    for line in build(config):
        click.echo(line)


@cli.command()
@click.argument("captures", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-c", "--config", "config_path", type=click.Path(path_type=Path), help="Default: every symbol found.")
@click.option("--signals", help="Write signals as JSON Lines; - is stdout.")
@click.option("--metrics", help="Write metric snapshots as JSON Lines; - is stdout.")
@click.option("--books", help="Write final books and checkpoints as JSON; - is stdout.")
@click.option("--checkpoints", default="", help="Record numbers at which books are written too, with commas.")
@click.option("--no-color", is_flag=True, help="No colours, no bar.")
@click.option("-q", "--quiet", is_flag=True, help="No progress bar, no summary.")
def replay(
    *,
    captures: tuple[Path, ...],
    config_path: Path | None,
    signals: str | None,
    metrics: str | None,
    books: str | None,
    checkpoints: str,
    no_color: bool,
    quiet: bool,
) -> None:
    """A recording through the live pipeline, as fast as it goes."""
    from imbalanced.replaying import Outputs, replay_files
    from imbalanced.tape import TapeError

    try:
        wanted = tuple(int(text) for text in checkpoints.split(",") if text.strip())
    except ValueError:
        raise click.BadParameter(f"{checkpoints!r}: whole numbers with commas", param_hint="--checkpoints") from None
    config = load_config(config_path) if config_path else None
    outputs = Outputs(signals=signals, metrics=metrics, books=books, checkpoints=wanted)
    try:
        told = replay_files(captures, config, tables(), outputs, progress=not quiet and not no_color)
    except BrokenPipeError:
        raise
    except (TapeError, OSError) as error:
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt:
        click.echo(f"interrupted; what was read stands in {outputs.places() or 'no file'}", err=True)
        sys.exit(130)
    if not quiet:
        click.echo(told, err=True)


@cli.command()
@click.argument("url", default="ws://127.0.0.1:8801/v1")
@click.option("--kind", "kinds", multiple=True, help="Only signals of this kind.")
@click.option("--token", envvar="IMBALANCED_TOKEN", help="Token, if the daemon wants one.")
@click.option("--json", "as_json", is_flag=True, help="JSON Lines.")
def tail(url: str, kinds: tuple[str, ...], token: str | None, as_json: bool) -> None:
    """Subscribe to a running daemon and print its signals."""
    import asyncio

    from imbalanced import logs
    from imbalanced.client import ClientError, subscribe
    from imbalanced.config import Log
    from imbalanced.jsontext import signal_json

    logs.set_up(Log(level="warning"))

    async def follow() -> None:
        async for one in subscribe(url, kinds=list(kinds) or None, token=token):
            click.echo(signal_json(one).decode() if as_json else signal_line(one))

    try:
        asyncio.run(follow())
    except KeyboardInterrupt:
        return
    except ClientError as error:
        raise click.ClickException(str(error)) from error


def signal_line(one: Signal) -> str:
    """A signal for people."""
    arrow = {"buy": "▲", "sell": "▼"}.get(one.side, "·")
    return (
        f"{one.seq:>6} {one.event:<6} {arrow} {one.side:<4} {one.kind} {one.venue} {one.instrument} "
        f"score {one.score:+.2f} mid {one.mid or '–'}{f' ({one.reason})' if one.reason else ''}"
    )


@cli.group()
def config() -> None:
    """The configuration: an annotated example, its schema, its effective values."""


@config.command("default")
def config_default() -> None:
    """An annotated example."""
    from imbalanced.config import default_yaml

    click.echo(default_yaml(), nl=False)


@config.command("schema")
def config_schema() -> None:
    """The JSON Schema."""
    import json

    from imbalanced.config import json_schema

    click.echo(json.dumps(json_schema(tables()), indent=2))


@config.command("show")
@CONFIG
def config_show(config_path: Path) -> None:
    """The effective values and where each comes from; secrets as ***."""
    from imbalanced.config import effective, origins_of

    loaded = load_config(config_path)
    origins = origins_of(config_path.read_text(encoding="utf-8"), environ=os.environ)
    click.echo(effective(loaded, origins), nl=False)


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def version(as_json: bool) -> None:
    """Version, Python, and whether the hot path is compiled."""
    import json

    from imbalanced import book

    facts: dict[str, Any] = {
        "version": __version__,
        "python": platform.python_version(),
        "compiled": not book.__file__.endswith(".py"),
        "platform": platform.platform(),
    }
    click.echo(json.dumps(facts) if as_json else "\n".join(f"{key:<9} {value}" for key, value in facts.items()))


def main() -> None:
    """The console script."""
    cli.main(prog_name="imbalanced")
