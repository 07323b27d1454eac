"""What may go wrong in a world, and when: drawn by the seed, in phases that end.

Three kinds of joints. ``MESSAGES``: what befalls one message on its way to the client. ``CALLS``: what befalls one REST
answer. ``HAPPENINGS``: what happens to a whole venue, a socket, a symbol or the clock at a time of its own.
"""

from __future__ import annotations

from collections import Counter
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping, Sequence

MESSAGES = (
    "drop",
    "duplicate",
    "reorder",  # those behind overtake it
    "delay",  # those behind wait for it, and all come in one read
    "split",  # likewise, but only for milliseconds: it came in two reads
    "garbage",  # cut off, or bytes that are no text at all
    "crossed_wires",  # it comes by another socket
    "wrong_time",  # ages beyond what a clock can show
    "wrong_checksum",
    "wrong_digit",
)
IMAGES = ("old_image",)  # the first one of a subscription, in band
CALLS = (
    "old_answer",
    "empty_answer",
    "server_error",  # 500, 502, 503
    "teapot",  # 418: banned for a while
    "too_many",  # 429 with Retry-After
    "timeout",
    "slow",  # fresh when it was made, and then long on its way
    "garbage_answer",
)
HAPPENINGS = (
    "close",
    "half_open",  # the socket is gone and nobody says so
    "silent_symbol",  # acknowledged, but nothing comes
    "silent_socket",
    "down",  # nothing can be opened, calls are answered with errors
    "refused",  # sockets are refused with 429
    "restart",  # other books, other ids; with or without a farewell
    "renumber",  # the ids go on somewhere else by the venue's own rules
    "notice",  # the venue says that it will close soon
    "clock_forward",
    "clock_back",
    "crossed",  # bid above ask for a moment or for long
    "request",  # an operator wants a book proven again
    "delist",  # a symbol is gone; the list says so a little later
    "rename",  # likewise, and it comes back under another name
    "halt",  # a symbol does not trade for a while: the venue says so, or only its list
    "refuse",  # a symbol cannot be subscribed for a while
    "refuse_trades",  # its trades cannot, its book can
    "silent_trades",  # its trades are acknowledged, but none comes
)
KINDS = (*MESSAGES, *IMAGES, *CALLS, *HAPPENINGS)
REFUSALS = ("server_error", "teapot", "too_many", "timeout")
RARE = {"wrong_checksum": 0.1, "wrong_digit": 0.1, "old_image": 0.4}  # not every venue has them: they come on top
ABNORMAL = 1006

CLOSES = (*((code, "closed_by_peer") for code in (1000, 1001, 1008, 1011, 1012, 4000)), (ABNORMAL, "connection_lost"))
GARBAGE = (
    b"",
    b"\x00\xff\xfe{",
    b"null",
    b"[]",
    b"{}",
    b'"text"',
    b"<html>502</html>",
    b'{"data":[[',
    b"123",
    b"{" * 40,
)


class Phase(NamedTuple):
    """A time of troubles, in seconds since the world began; ``rates`` are chances per message or call."""

    start_s: float
    end_s: float
    rates: Mapping[str, float]
    happenings: Sequence[tuple[float, str]]


def draw_phases(rng: random.Random, length_s: float) -> list[Phase]:
    """One to three phases with calm between them. Some begin before the first book is proven."""
    phases: list[Phase] = []
    start_s = rng.choice((0.0, rng.uniform(2.0, 6.0), rng.uniform(0.2, 1.0) * length_s))
    for _ in range(rng.choice((1, 1, 2, 3))):
        end_s = start_s + rng.uniform(0.4, 1.2) * length_s
        common = rng.sample([*MESSAGES, *CALLS], rng.randint(1, 5))
        rates = {
            kind: rng.choice((0.02, 0.05, 0.15)) if kind in MESSAGES else rng.choice((0.2, 0.5)) for kind in common
        }
        rates.update({kind: rate for kind, rate in RARE.items() if rng.random() < 0.15})
        happen = [(rng.uniform(start_s, end_s), rng.choice(HAPPENINGS)) for _ in range(rng.choice((0, 1, 1, 2, 3)))]
        phases.append(Phase(start_s, end_s, rates, sorted(happen)))
        start_s = end_s + rng.uniform(0.2, 1.0) * length_s
    return phases


class Weather:
    """The rates of now, and what was done so far. One draw decides what befalls a message or a call."""

    def __init__(self, rng: random.Random) -> None:
        self.injected: Counter[str] = Counter()
        self._rng = rng
        self._of_messages: list[tuple[float, str]] = []
        self._of_images: list[tuple[float, str]] = []
        self._of_calls: list[tuple[float, str]] = []

    def turn(self, rates: Mapping[str, float]) -> None:
        """From now on these; none: calm."""
        self._of_messages = _thresholds({kind: rate for kind, rate in rates.items() if kind in MESSAGES})
        self._of_images = _thresholds({kind: rate for kind, rate in rates.items() if kind in IMAGES})
        self._of_calls = _thresholds({kind: rate for kind, rate in rates.items() if kind in CALLS})

    def of_message(self) -> str:
        """What befalls the next message; empty: nothing."""
        return self._drawn(self._of_messages)

    def of_image(self) -> str:
        """What befalls the next first image; empty: nothing."""
        return self._drawn(self._of_images)

    def of_call(self) -> str:
        """What befalls the next call; empty: nothing."""
        return self._drawn(self._of_calls)

    def done(self, kind: str) -> None:
        """It was done, really."""
        self.injected[kind] += 1

    def _drawn(self, thresholds: list[tuple[float, str]]) -> str:
        if not thresholds:
            return ""
        draw = self._rng.random()
        return next((kind for limit, kind in thresholds if draw < limit), "")


def _thresholds(rates: Mapping[str, float]) -> list[tuple[float, str]]:
    return list(zip(accumulate(rates.values()), rates, strict=True))


def garbled(data: bytes, rng: random.Random) -> bytes:
    """Something that is not this message and no other one either: cut off within, or no text at all."""
    if len(data) > 2 and rng.random() < 0.6:
        return data[: rng.randrange(1, len(data))]
    return rng.choice(GARBAGE)
