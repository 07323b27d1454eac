"""Is the peer still there? One timer per socket that asks only when nothing at all was heard.

The transport counts its reads; as long as the count moves, the peer lives and no PING is sent.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from imbalanced.transports.transport import HEARTBEAT_MISSED

if TYPE_CHECKING:
    from collections.abc import Callable

    from imbalanced.transports.transport import Connection, Options


class Heartbeat:
    """Watches one socket from its opening to :meth:`stop`. ``reads`` answers a number that changes with every read."""

    def __init__(self, connection: Connection, reads: Callable[[], int], options: Options) -> None:
        self._connection = connection
        self._reads = reads
        self._idle_s = options.ping_idle_s
        self._pong_s = options.pong_s
        self._tick_s = min(self._idle_s, self._pong_s) / 4
        self._loop = asyncio.get_running_loop()
        self._seen = reads()
        self._quiet_since = self._last_tick = self._loop.time()
        self._pinged_at: float | None = None
        self._timer = self._loop.call_later(self._tick_s, self._tick)

    def stop(self) -> None:
        self._timer.cancel()

    def _tick(self) -> None:
        now = self._loop.time()
        # When our own loop stood still, the peer's answer may lie unread in the socket: that is no silence of the peer.
        stalled = now - self._last_tick > 3 * self._tick_s
        self._last_tick = now
        self._timer = self._loop.call_later(self._tick_s, self._tick)
        reads = self._reads()
        if reads != self._seen:
            self._seen, self._quiet_since, self._pinged_at = reads, now, None
        elif stalled:
            return
        elif self._pinged_at is None:
            if now - self._quiet_since >= self._idle_s:
                self._pinged_at = now
                self._connection.ping()
        elif now - self._pinged_at >= self._pong_s:
            self._timer.cancel()
            self._connection.abort(HEARTBEAT_MISSED)
