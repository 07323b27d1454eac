"""Logging: one event a line on stderr, JSON for machines, a readable form on a terminal."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any, TextIO, cast

import orjson
import structlog

if TYPE_CHECKING:
    from imbalanced.config import Log

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


_level = logging.INFO


def set_level(level: str) -> None:
    """What is told from now on; may change while running."""
    global _level  # noqa: PLW0603 - loggers are kept by everybody, so their level lives in one place
    _level = LEVELS[level]


def set_up(log: Log) -> None:
    """Once, at the start of a run."""
    set_level(log.level)
    text = log.format == "text" or (log.format == "auto" and sys.stderr.isatty())
    shared: list[Any] = [
        _loud_enough,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
    ]
    if text:
        renderer: list[Any] = [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), timestamp_key="ts")]
    else:
        renderer = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(serializer=_json)]
    structlog.configure(
        processors=shared + renderer,
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", _Stderr())),
        cache_logger_on_first_use=True,
    )
    # Libraries speak through the standard library; what they warn of is told in the same place.
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")


def _loud_enough(_: Any, method: str, event: dict[str, Any]) -> dict[str, Any]:
    if LEVELS.get(method, logging.ERROR) < _level:
        raise structlog.DropEvent
    return event


class _Stderr:
    """Whatever stderr is when a line is written: a live table puts itself in its place."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


def _json(event: dict[str, Any], **_: Any) -> str:
    first = {key: event.pop(key) for key in ("ts", "level", "event") if key in event}
    return orjson.dumps({**first, **event}, default=str).decode()
