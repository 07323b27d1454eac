"""How a run is told to end: SIGTERM or SIGINT asks for an orderly stop, a second one ends the process at once."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

from imbalanced import embedded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

INTERRUPTED_TWICE = 130


@contextmanager
def handled(stop: Callable[[], None], reload: Callable[[], None] | None = None) -> Iterator[None]:
    """While inside, ``stop`` is called at the first signal; SIGHUP calls ``reload``, if there is one."""
    loop = asyncio.get_running_loop()
    asked = 0

    def on_signal() -> None:
        nonlocal asked
        asked += 1
        if asked > 1:
            embedded.kill()
            os._exit(INTERRUPTED_TWICE)
        stop()

    wanted = {signal.SIGINT: on_signal, signal.SIGTERM: on_signal}
    if reload is not None:
        wanted[signal.SIGHUP] = reload
    for number, handler in wanted.items():
        loop.add_signal_handler(number, handler)
    try:
        yield
    finally:
        for number in wanted:
            loop.remove_signal_handler(number)
