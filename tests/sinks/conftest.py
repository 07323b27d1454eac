"""A journal in memory and a hub for every test of sinks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from imbalanced.journal import Journal
from imbalanced.sinks import Hub

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def journal() -> Iterator[Journal]:
    journal = Journal.open(None)
    yield journal
    journal.close()


@pytest.fixture
def hub() -> Hub:
    return Hub()
