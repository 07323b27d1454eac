"""A journal in memory and a hub for every test of sinks, under asyncio's own loop and under uvloop."""

from __future__ import annotations

import asyncio
import importlib.util
from typing import TYPE_CHECKING, Any

import pytest

from imbalanced.journal import Journal
from imbalanced.sinks import Hub

if TYPE_CHECKING:
    from collections.abc import Iterator


def pytest_asyncio_loop_factories(config: Any, item: Any) -> dict[str, Any]:
    factories: dict[str, Any] = {"asyncio": asyncio.new_event_loop}
    if importlib.util.find_spec("uvloop"):
        import uvloop

        factories["uvloop"] = uvloop.new_event_loop
    return factories


@pytest.fixture
def journal() -> Iterator[Journal]:
    journal = Journal.open(None)
    yield journal
    journal.close()


@pytest.fixture
def hub() -> Hub:
    return Hub()
