"""What the desks of most venues do alike: names of subscriptions, first frames, silence that is noticed by ticks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from imbalanced.sim.venue import Command, Feed, Frame, Stream, Tell


class Silence:
    """Something that must happen every `limit_ms`. Told by `broken()` when it does; time comes in with `over()`."""

    def __init__(self, limit_ms: int) -> None:
        self._limit_ms = limit_ms
        self._since_ms = 0
        self._fresh = False

    def broken(self) -> None:
        self._fresh = True

    def over(self, alive_ms: int) -> bool:
        """Whether it has lasted too long now."""
        if self._fresh:
            self._since_ms, self._fresh = alive_ms, False
        return alive_ms - self._since_ms >= self._limit_ms


class PlainDesk:
    """A desk whose frames are whole texts, which says nothing by itself and never loses patience."""

    tick_ms = 0

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._names: dict[str, Stream | None] = {}

    @property
    def subscriptions(self) -> Mapping[str, Stream | None]:
        return self._names

    def opened(self, now_ms: int) -> Sequence[Command]:
        return ()

    def due(self, alive_ms: int) -> Sequence[Command]:
        return ()

    def envelope(self, name: str, frame: Frame) -> str:
        return frame.payload

    def notice(self, now_ms: int) -> str:
        return ""

    def spoil(self, text: str) -> str:
        return text

    def _begun(self, name: str, stream: Stream, now_ms: int) -> list[Command]:
        """Note a subscription; its first frame, if it has one."""
        self._names[name] = stream
        first = self._feed.begin(stream, now_ms)
        return [Tell(name, first)] if first is not None else []


def json_object(text: str) -> dict[str, object] | None:
    """A client's request; None where it is none."""
    try:
        asked = json.loads(text)
    except ValueError:
        return None
    return asked if isinstance(asked, dict) else None
