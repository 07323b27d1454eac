"""All tests here run under asyncio's own loop and under uvloop; those that ask for ``connect``, over each transport."""

from __future__ import annotations

import asyncio
import importlib.util
from typing import TYPE_CHECKING, Any

import pytest

from imbalanced.transports import TRANSPORTS

if TYPE_CHECKING:
    from imbalanced.transports.transport import Connect


def pytest_asyncio_loop_factories(config: Any, item: Any) -> dict[str, Any]:
    factories: dict[str, Any] = {"asyncio": asyncio.new_event_loop}
    if importlib.util.find_spec("uvloop"):
        import uvloop

        factories["uvloop"] = uvloop.new_event_loop
    return factories


@pytest.fixture(params=sorted(TRANSPORTS))
def connect(request: pytest.FixtureRequest) -> Connect:
    return TRANSPORTS[request.param]
