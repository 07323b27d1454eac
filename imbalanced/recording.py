"""The verb ``record``: the links and the proofs of books of a daemon, no signals; every frame written as it came.

What is recorded does not depend on metrics and detectors: a replay with any configuration of these instruments works.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import structlog
from msgspec import structs

from imbalanced import config as settings
from imbalanced import embedded, ending
from imbalanced.events import BookInvalid, BookValid, Frame, Notice
from imbalanced.intake import Intake

if TYPE_CHECKING:
    from imbalanced.config import Config

LOGGED: dict[type, str] = {BookValid: "book_valid", BookInvalid: "book_invalid", Notice: "notice"}


async def record(config: Config, folder: str) -> None:
    """Until SIGTERM or SIGINT. The files in ``folder`` are complete afterwards."""
    log = structlog.get_logger("imbalanced")
    stopped = asyncio.Event()

    def tell(outputs: list[Any], frame: Frame) -> None:
        for event in outputs:
            name = LOGGED.get(type(event))
            if name is not None:
                facts = structs.asdict(event)
                log.info(name, **{key: facts[key] for key in facts if not key.endswith("_ns")})

    async with embedded.exchanges(config) as simulated:
        intake = Intake(_bare(embedded.pointed(config, simulated), folder), log, tell)
        with ending.handled(stopped.set):
            try:
                async with asyncio.TaskGroup() as tasks:
                    intake.begin(tasks)
                    log.info("recording", folder=folder, venues=list(config.venues))
                    try:
                        await stopped.wait()
                    finally:
                        await intake.end()
            finally:
                intake.close()


def _bare(config: Config, folder: str) -> Config:
    """The same instruments without metrics, detectors and filters, recorded to ``folder``."""
    rotate_s = (config.record or settings.Record()).rotate_s
    return structs.replace(config.bare(), record=settings.Record(dir=folder, rotate_s=rotate_s))
