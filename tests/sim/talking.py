"""A conversation with a simulated venue's desk, without sockets and clock: what is said to it, and what it says.

Frames of subscribed flows are taken from a synthetic market, as the server does it, in steps of 10 ms.
"""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from imbalanced.sim import SIMS
from imbalanced.sim.synthetic import SyntheticFeed
from imbalanced.sim.venue import Answer, Close, Command, Meter, Request, Send, Tell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from imbalanced.sim.venue import Desk, Frame, Stream

NOW = 1_723_161_255_000
STEP_MS = 10


class Talk:
    """One connection. ``ends`` are the closes that the desk asked for."""

    def __init__(self, venue: str, *symbols: str, path: str = "", seed: int = 1, **query: str) -> None:
        self.venue = SIMS[venue]
        self.feed = SyntheticFeed(self.venue.wire, self.venue.listings(symbols), random.Random(seed), NOW)
        self.now_ms = NOW
        self.alive_ms = 0
        self.ends: list[Close] = []
        self.meter = Meter(10**9)
        desk = self.venue.connect(path, query, self.feed)
        assert desk is not None, f"{venue} has no {path}"
        self.desk: Desk = desk
        self.greeting = self._heard(self.desk.opened(NOW))

    def say(self, told: object) -> list[Any]:
        """What comes back at once: JSON decoded, other texts as they are."""
        text = told if isinstance(told, str) else json.dumps(told)
        return self._heard(self.desk.receive(text, self.now_ms))

    def wait(self, ms: int, *, client_says: object = None) -> list[Any]:
        """Everything that comes within so many milliseconds."""
        heard: list[Any] = []
        for _ in range(0, ms, STEP_MS):
            self.now_ms += STEP_MS
            heard += self._told(self.feed.advance)
            heard += self._tick(STEP_MS)
            if client_says is not None:
                heard += self.say(client_says)
        return heard

    def level(self) -> list[Any]:
        """What was gathered is told before its time: the streams are level with the true book then."""
        return self._told(self.feed.flush)

    def _told(self, tell: Callable[[int, frozenset[Stream]], Iterator[Frame]]) -> list[Any]:
        flows = {stream: name for name, stream in self.desk.subscriptions.items() if stream is not None}
        told = []
        for frame in tell(self.now_ms, frozenset(flows)):
            name = flows.get(frame.stream) or flows[replace(frame.stream, symbol="*")]
            told.append(_read(self.desk.envelope(name, frame)))
        return told

    def sleep(self, ms: int) -> list[Any]:
        """As ``wait``, but the market stands still: only what the desk says by itself."""
        return [told for _ in range(0, ms, 250) for told in self._tick(250)]

    def get(self, path: str, **query: str) -> Answer:
        return self.venue.rest(Request(path, query), self.feed, self.meter, self.now_ms)

    def post(self, path: str, body: str = "") -> Answer:
        return self.venue.rest(Request(path, {}, "POST", body, "127.0.0.1:9"), self.feed, self.meter, self.now_ms)

    def _tick(self, ms: int) -> list[Any]:
        before, self.alive_ms = self.alive_ms, self.alive_ms + ms
        every = self.desk.tick_ms
        if every and self.alive_ms // every != before // every:
            return self._heard(self.desk.due(self.alive_ms))
        return []

    def _heard(self, commands: Sequence[Command]) -> list[Any]:
        heard: list[Any] = []
        for command in commands:
            if isinstance(command, Send):
                heard.append(_read(command.text))
            elif isinstance(command, Tell):
                heard.append(_read(self.desk.envelope(command.name, command.frame)))
            else:
                self.ends.append(command)
        return heard


def _read(text: str) -> Any:
    return json.loads(text) if text.startswith(("{", "[")) else text


def body(answer: Answer) -> Any:
    return json.loads(answer.text)
