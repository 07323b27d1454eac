"""One socket between a venue and the hands: messages take their time, and what befalls them befalls them here.

The way down is in order, as TCP is: a message that is late holds up those behind it, and then all come with one receive
time (one read). What is dropped, doubled or overtaken was so at the venue already.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from imbalanced.sim.venue import Close, Send, Tell
from imbalanced.sim.worlds import faults
from imbalanced.sim.worlds.stage import MS, S

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imbalanced.sim.venue import Command, Desk
    from imbalanced.sim.wire import Stream
    from imbalanced.sim.worlds.exchange import Exchange
    from imbalanced.sim.worlds.hands import Link

LEAST_TICK_NS = 2 * S  # a venue's clock is looked at no oftener: nothing here hangs on less
_DIGIT = re.compile(r"\d")
_TIME = re.compile(r"\b17\d{11}(\d{3}|\d{6})?\b")
_LEVELS = '"bids"'
# What a message may suffer where nothing else would ever be noticed.
HARMLESS = ("delay", "split")


class Told(NamedTuple):
    """Whose book as of what a frame shows; ``version`` is a key of :attr:`TrueBook.as_of`. ``is_last`` of its message:
    all of a venue's proof is in it. ``in_doubt``: the proof that something is wrong is still to come.
    """

    symbol: str
    version: int
    is_last: bool = True
    is_old: bool = False
    in_doubt: bool = False


class Ruling(NamedTuple):
    """What a frame rules of a symbol (empty: of everything on its socket)."""

    symbol: str
    word: Literal["halted", "trading", "refused"]


class Sold(NamedTuple):
    """Which trade of a symbol a frame tells, by its place among all of them. ``again``: it is a copy."""

    symbol: str
    number: int
    again: bool = False


# What a frame shows, as the world knows it.
Shown: TypeAlias = "Told | Ruling | Sold"


class Socket:
    """Both ends of one connection. ``silent`` symbols are subscribed and not served (empty text: all of them)."""

    def __init__(self, exchange: Exchange, link: Link, desk: Desk) -> None:
        self.link = link
        self.open = True
        self.half_open = False
        self.silent: set[str] = set()
        self.flows: dict[tuple[str, str], tuple[str, Stream]] = {}
        self.desk = desk
        self._in_doubt: set[str] = set()
        self._exchange = exchange
        self._stage = exchange.stage
        self._latency_ns = exchange.stage.rng.randrange(1, 60) * MS
        self._last_ns = 0
        self._opened_ns = exchange.stage.now_ns
        self._inbound_ns: list[int] = []

    def begin(self) -> None:
        """What the venue says first; from now on its clock runs."""
        self.obey(self.desk.opened(self._stage.venue_ms))
        if self.desk.tick_ms:
            self._stage.after(LEAST_TICK_NS, self._tick)

    # -- up ------------------------------------------------------------------------------------------------------------

    def send(self, text: str) -> None:
        """A text of the client; a PING where it is empty."""
        self._stage.after(self._latency_ns, self._reach, text)

    def _reach(self, text: str) -> None:
        if not self.open or self.half_open or not text:
            return
        self._exchange.heard(self._inbound_ns)
        self._exchange.hears(text)
        commands = self.desk.receive(text, self._stage.venue_ms)
        self.flows = self._exchange.flows(self.desk)
        self.obey(commands, answers=True)

    def _tick(self) -> None:
        if self.open and not self.half_open:
            self.obey(self.desk.due((self._stage.now_ns - self._opened_ns) // MS))
            self._stage.after(max(LEAST_TICK_NS, self.desk.tick_ms * MS), self._tick)

    # -- down ----------------------------------------------------------------------------------------------------------

    def obey(self, commands: Sequence[Command], *, answers: bool = False) -> None:
        """What the venue wants to be done with this socket."""
        for command in commands:
            if isinstance(command, Send):
                self.push(command.text, self._exchange.ruling(command.text) if answers else None)
            elif isinstance(command, Tell):
                if self.serves(command.frame.stream.symbol):
                    text = self.desk.envelope(command.name, command.frame)
                    self.push(text, self._exchange.told_first(command.frame.stream))
            elif isinstance(command, Close):
                self.cut(command.code, "closed_by_peer" if command.code != faults.ABNORMAL else "connection_lost")

    def serves(self, symbol: str) -> bool:
        """Whether anything of this symbol goes by this socket."""
        return not self.silent or not ("" in self.silent or symbol in self.silent)

    def doubt(self, symbol: str) -> None:
        """Something is wrong with what this socket tells of a symbol, and nothing but a later checksum shows it."""
        if self._exchange.proof.apart:
            self._in_doubt.add(symbol)

    def _judged(self, told: Told) -> Told:
        """Whether what it shows is in doubt; a checksum, or a whole book, ends that."""
        if told.symbol in self._in_doubt and not told.is_last:
            return told._replace(in_doubt=True)
        self._in_doubt.discard(told.symbol)
        if told.is_old:
            self.doubt(told.symbol)
        return told

    def _suffers(self, text: str, told: Shown | None) -> str:
        """What befalls this message: only what the venue's own protocol can show, sooner or later."""
        kind = self._stage.weather.of_message()
        states = self._exchange.venue.wire.states
        is_word = (isinstance(told, Ruling) and told.word != "refused") or (states and states in text)
        if is_word or (isinstance(told, Told) and self._exchange.proof.none):
            return kind if kind in HARMLESS else ""
        if kind == "crossed_wires" and self._exchange.proof.apart:
            return ""  # a number of a channel, and of a message: on another socket it may be the right one
        return kind

    def speak(self, symbol: str) -> None:
        """What was silent is served again, from the next message on."""
        self.silent.discard(symbol)
        for one in self._exchange.books if not symbol else (symbol,):
            self.doubt(one)

    def push(self, text: str, told: Shown | None = None) -> None:
        """A message of the venue, and whatever the weather does to it."""
        if not self.open or self.half_open:
            return
        weather, rng = self._stage.weather, self._stage.rng
        kind = self._suffers(text, told)
        if isinstance(told, Told):
            told = self._judged(told)
        at_ns = max(self._last_ns, self._stage.now_ns + self._latency_ns)
        data, target, done = text.encode(), self, True
        if kind == "drop":
            weather.done(kind)
            return
        if kind == "duplicate":
            again_ns = at_ns + rng.choice((0, rng.randrange(3 * S)))
            again = told._replace(again=True) if isinstance(told, Sold) else told
            self._stage.at(again_ns, self._arrive, data, again)
        elif kind == "reorder":
            weather.done(kind)
            self._stage.at(at_ns + rng.randrange(1, 3 * S), self._arrive, data, told)
            return
        elif kind in ("delay", "split"):
            at_ns = max(at_ns, self._stage.now_ns + rng.randrange(1, (5_000 if kind == "delay" else 90) * MS))
        elif kind == "garbage":
            data, told = faults.garbled(data, rng), None
        elif kind == "crossed_wires":
            others = [one for one in self._exchange.sockets if one is not self and not one.half_open]
            done = bool(others)
            target = rng.choice(others) if others else self
        elif kind == "wrong_time":
            data = _TIME.sub(lambda found: "9" * rng.choice((14, 18, 25)), text, count=1).encode()
            done = data != text.encode()
        elif kind == "wrong_checksum":
            data = self.desk.spoil(text).encode()
            done = data != text.encode()
        elif kind == "wrong_digit":
            data = self._with_a_wrong_digit(text, told).encode()
            done = data != text.encode()
            if done and isinstance(told, Told):
                self.doubt(told.symbol)
                told = self._judged(told)
        if kind and done:
            weather.done(kind)
        if isinstance(told, Ruling) and data != text.encode():
            told = None
        self._last_ns = at_ns
        self._stage.at(at_ns, target._arrive, data, told)

    def _with_a_wrong_digit(self, text: str, told: Shown | None) -> str:
        """Where a checksum shows it: in the message itself, or in one that follows."""
        if self._exchange.proof.apart:
            if not isinstance(told, Told) or told.is_last:
                return text
            begin, end = text.index("[", 1), text.index("]")
            if self._exchange.proof.by_order:  # its checksum is of numbers and amounts of orders, not of their prices
                end = text.index(",", begin)
        elif self.desk.spoil(text) != text:
            begin, end = text.index(_LEVELS), len(text)
        else:
            return text
        chosen = self._stage.rng.choice([found.start() for found in _DIGIT.finditer(text[:end], begin)])
        return f"{text[:chosen]}{(int(text[chosen]) + 1) % 10}{text[chosen + 1 :]}"

    def _arrive(self, data: bytes, told: Shown | None) -> None:
        if self.open and not self.half_open:
            self.link.message(data, told)

    # -- the end -------------------------------------------------------------------------------------------------------

    def cut(self, code: int, reason: str) -> None:
        """The venue closes; the hands learn of it behind what is under way."""
        self._exchange.left(self)
        self._stage.at(max(self._last_ns, self._stage.now_ns + self._latency_ns), self._gone, code, reason)

    def close(self) -> None:
        """The client closes: nothing is delivered any more."""
        self._exchange.left(self)
        answer_ns = 2 * S if self.half_open else 2 * self._latency_ns
        self.half_open = True
        self._stage.after(answer_ns, self._gone, 1000, "closed")

    def die(self, heartbeat_ns: int) -> None:
        """The socket is gone and nobody says so; the client's own heartbeat finds out so much later."""
        self.half_open = True
        self._stage.after(heartbeat_ns, self._gone, faults.ABNORMAL, "heartbeat_missed")

    def _gone(self, code: int, reason: str) -> None:
        if self.open:
            self.open = False
            self._exchange.left(self)
            self.link.closed(code, reason)
