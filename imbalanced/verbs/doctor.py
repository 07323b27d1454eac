"""The verb ``doctor``: connects as ``run`` would and says what is missing."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imbalanced.checkup import Checkup, Finding
    from imbalanced.config import Config
    from imbalanced.events import Frame
    from imbalanced.intake import Intake

LOOK_EVERY_S = 0.1
REDIS_S = 5.0
MARKS = {True: "ok", False: "MISSING", None: "note"}


@click.command("doctor")
@click.option(
    "-c", "--config", "config_path", type=click.Path(path_type=Path), required=True, help="What to connect to."
)
@click.option("--timeout", "timeout_s", default=60.0, show_default=True, help="Seconds to wait for what is missing.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def doctor_command(config_path: Path, timeout_s: float, *, as_json: bool) -> None:
    """Connect as `run` would and wait for the first data of every kind of stream and a proven book per instrument.

    Also the clock, and Redis. One report; exit 1 if anything is missing.
    """
    import orjson
    import uvloop

    from imbalanced import logs
    from imbalanced.checkup import as_data
    from imbalanced.cli import load_config
    from imbalanced.config import Log

    config = load_config(config_path)
    logs.set_up(Log(level="error"))
    venues, others = uvloop.run(examine(config, timeout_s))
    told = as_data(venues, others)
    if as_json:
        click.echo(orjson.dumps(told).decode())
    else:
        for name, findings in [*told["venues"].items(), ("", told["others"])]:
            for one in findings:
                click.echo(f"{MARKS[one['ok']]:<8}{' '.join(filter(None, (name, one['what']))):<32}{one['detail']}")
        click.echo("all is there" if told["ok"] else "something is missing")
    sys.exit(0 if told["ok"] else 1)


async def examine(config: Config, timeout_s: float) -> tuple[Mapping[str, Checkup], list[Finding]]:
    """Until nothing is missing, or for ``timeout_s``."""
    import structlog
    from msgspec import structs

    from imbalanced import embedded
    from imbalanced.checkup import Checkup
    from imbalanced.intake import Intake
    from imbalanced.venues import VENUES

    venues = {name: Checkup(name, VENUES[name].provides) for name in config.venues}

    def tell(outputs: list[Any], frame: Frame) -> None:
        if frame.venue:
            venues[frame.venue].see(outputs)

    async with embedded.exchanges(config) as simulated, embedded.redis_server(config) as redis_url:
        others = [await redis_answers(redis_url)] if redis_url is not None else []
        looking = structs.replace(embedded.pointed(config, simulated).bare(), record=None)
        intake = Intake(looking, structlog.get_logger("imbalanced"), tell)
        intake.on_listed = lambda venue, listed: venues[venue].listed(one.symbol for one in listed)
        async with asyncio.TaskGroup() as tasks:
            intake.begin(tasks)
            await _until_well(intake, venues, timeout_s)
            await intake.end()
    return venues, others


async def _until_well(intake: Intake, venues: Mapping[str, Checkup], timeout_s: float) -> None:
    deadline = asyncio.get_running_loop().time() + timeout_s
    while True:
        for name, venue in venues.items():
            venue.unlisted = intake.missing.get(name, "")
        if all(venue.well for venue in venues.values()) or asyncio.get_running_loop().time() >= deadline:
            return
        await asyncio.sleep(LOOK_EVERY_S)


async def redis_answers(url: str) -> Finding:
    """Whether the server answers a PING, and what it is."""
    from redis.asyncio import Redis
    from redis.exceptions import RedisError

    from imbalanced.checkup import Finding
    from imbalanced.sinks.redis import redacted

    client = Redis.from_url(url, socket_timeout=REDIS_S, socket_connect_timeout=REDIS_S)
    try:
        facts = await client.info("server")
    except (RedisError, OSError, TimeoutError) as error:
        return Finding(what="redis", ok=False, detail=f"{redacted(url)}: {error}")
    finally:
        await client.aclose()
    version = facts.get("valkey_version") or facts.get("redis_version", "?")
    return Finding(what="redis", ok=True, detail=f"{redacted(url)} answers, version {version}")
