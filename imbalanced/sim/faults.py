"""Faults on demand: which frame, connection or snapshot goes wrong, and how. Decisions only.

Pure: no sockets, no clock (`now_s` is seconds since the simulation began), chance from the `random.Random` handed in.
`client.py` carries out what is decided here.

A rule names a fault, what it hits (`venue`, `stream`; globs, and `btcusdt@depth` also means `btcusdt@depth@100ms`) and
when: `after: N` (the Nth matching frame), `every: N`, `probability: P`, `at: 5s`, or at once. `for: 10s` keeps it up,
`count: N` limits how often it strikes (once for `after`, `at` and at once, else without limit).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal

import msgspec
import yaml

FaultKind = Literal[
    "drop",
    "duplicate",
    "reorder",
    "delay",
    "stale_snapshot",
    "silent",
    "half_open",
    "close",
    "garbage",
    "http",
    "checksum",
    "restart",
]
LASTING = frozenset({"silent"})  # these go on for ever unless `for` says otherwise
ON_REST = frozenset({"stale_snapshot", "http"})
# Fields that mean something for some faults only.
OWN_FIELDS: dict[str, frozenset[str]] = {
    "by": frozenset({"delay"}),
    "code": frozenset({"close"}),
    "reason": frozenset({"close"}),
    "data": frozenset({"garbage"}),
    "status": frozenset({"http"}),
    "retry_after": frozenset({"http"}),
}
GARBAGE = '{"data":[["61\x00\ufffd<<<'
_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


class FaultError(ValueError):
    """A fault description that cannot be used: says which one, which field, what was expected."""


# `checksum`: that of the frame is wrong. `restart`: the service behind the symbol's book begins anew after the frame.
class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"lasts": "for"}):
    """One fault as written. Durations are texts such as `500ms` or `10s`."""

    fault: FaultKind
    venue: str = "*"
    stream: str = "*"
    after: int | None = None
    every: int | None = None
    probability: float | None = None
    at: str | None = None
    lasts: str | None = None  # `for` in the file
    count: int | None = None
    by: str = "500ms"
    code: int = 1001  # 1006 = the connection is cut without a close frame
    reason: str = ""
    data: str = GARBAGE
    status: int = 503
    retry_after: int = 0

    def hits(self, venue: str, stream: str) -> bool:
        if not fnmatchcase(venue, self.venue):
            return False
        return fnmatchcase(stream, self.stream) or fnmatchcase(stream, self.stream + "@*")


@dataclass(frozen=True, slots=True)
class Injected:
    """A fault that struck: when (seconds since the start) and which matching frame it was."""

    fault: FaultKind
    venue: str
    stream: str
    frame: int
    at_s: float

    def line(self) -> str:
        return f"fault {self.fault} venue={self.venue} stream={self.stream} frame={self.frame} at={self.at_s:.3f}s"


@dataclass(slots=True)
class _Armed:
    """A rule and how far it has come."""

    rule: Rule
    begin_s: float
    lasts_s: float | None
    limit: int | None
    frames: int = 0
    struck: int = 0
    until_s: float = -1.0


@dataclass
class Faults:
    """All rules of one simulation. `injected` is what happened, in order."""

    rng: random.Random
    injected: list[Injected] = field(default_factory=list)
    _armed: list[_Armed] = field(default_factory=list)

    def add(self, rule: Rule, now_s: float = 0.0) -> None:
        """Arm a rule; its `at` counts from `now_s`."""
        limit = rule.count
        if limit is None and rule.every is None and rule.probability is None:
            limit = 1
        lasts_s = float("inf") if rule.fault in LASTING else None
        if rule.lasts is not None:
            lasts_s = seconds(rule.lasts)
        begin_s = now_s + (seconds(rule.at) if rule.at is not None else 0.0)
        self._armed.append(_Armed(rule, begin_s, lasts_s, limit))

    def clear(self) -> None:
        """Disarm every rule; what lasts ends now."""
        self._armed.clear()

    def on_frame(self, venue: str, stream: str, now_s: float) -> list[Rule]:
        """The faults that hit this frame on its way to one client."""
        if not self._armed:
            return []
        return [a.rule for a in self._armed if a.rule.fault not in ON_REST and self._strikes(a, venue, stream, now_s)]

    def on_snapshot(self, venue: str, stream: str, now_s: float) -> Rule | None:
        """The fault that hits this REST request for a book; the first armed wins."""
        for armed in self._armed:
            if armed.rule.fault in ON_REST and self._strikes(armed, venue, stream, now_s):
                return armed.rule
        return None

    def _strikes(self, armed: _Armed, venue: str, stream: str, now_s: float) -> bool:
        rule = armed.rule
        if not rule.hits(venue, stream):
            return False
        armed.frames += 1
        if now_s < armed.until_s:
            return True
        if now_s < armed.begin_s or (armed.limit is not None and armed.struck >= armed.limit):
            return False
        if rule.after is not None and armed.frames < rule.after:
            return False
        if rule.every is not None and armed.frames % rule.every:
            return False
        if rule.probability is not None and self.rng.random() >= rule.probability:
            return False
        armed.struck += 1
        if armed.lasts_s is not None:
            armed.until_s = now_s + armed.lasts_s
        self.injected.append(Injected(rule.fault, venue, stream, armed.frames, now_s))
        return True


def seconds(text: str) -> float:
    """`500us 200ms 5s 3m 2h` as seconds. A bare number is an error."""
    for unit in sorted(_UNITS, key=len, reverse=True):
        number = text.removesuffix(unit)
        if number != text and number.replace(".", "", 1).isdecimal():
            return float(number) * _UNITS[unit]
    raise FaultError(f"{text!r} is no duration; expected a number with a unit, such as 500ms or 10s")


def rule(raw: object, where: str = "fault") -> Rule:
    """A checked rule from plain data. FaultError says what is wrong."""
    try:
        made = msgspec.convert(raw, Rule)
    except msgspec.ValidationError as error:
        raise FaultError(f"{where}: {error}") from None
    given = set(raw) if isinstance(raw, dict) else set()
    for name, owners in OWN_FIELDS.items():
        if name in given and made.fault not in owners:
            raise FaultError(
                f"{where}: `{name}` has no meaning for `{made.fault}`, only for {', '.join(sorted(owners))}"
            )
    _check_numbers(made, where)
    for name, text in (("at", made.at), ("for", made.lasts), ("by", made.by)):
        try:
            if text is not None:
                seconds(text)
        except FaultError as error:
            raise FaultError(f"{where}: `{name}`: {error}") from None
    return made


def _check_numbers(made: Rule, where: str) -> None:
    for name in ("after", "every", "count"):
        value = getattr(made, name)
        if value is not None and value < 1:
            raise FaultError(f"{where}: `{name}` is {value}, expected 1 or more")
    if made.probability is not None and not 0.0 < made.probability <= 1.0:
        raise FaultError(f"{where}: `probability` is {made.probability}, expected more than 0 and at most 1")
    if not (1000 <= made.code <= 1015 or 3000 <= made.code <= 4999):
        raise FaultError(f"{where}: `code` is {made.code}, expected a websocket close code")
    if not 400 <= made.status <= 599:
        raise FaultError(f"{where}: `status` is {made.status}, expected an HTTP error status")
    timing = [name for name in ("after", "every", "probability") if getattr(made, name) is not None]
    if len(timing) > 1:
        raise FaultError(f"{where}: {' and '.join(f'`{name}`' for name in timing)} exclude each other")


def parse(text: str) -> list[Rule]:
    """Rules from YAML or JSON text: a list, or `{faults: [...]}`."""
    try:
        raw = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise FaultError(f"faults are neither YAML nor JSON: {error}") from None
    if isinstance(raw, dict) and set(raw) == {"faults"}:
        raw = raw["faults"]
    if raw is None:
        return []
    if not isinstance(raw, list):
        raise FaultError(f"expected a list of faults, got {type(raw).__name__}")
    return [rule(item, f"fault {number}") for number, item in enumerate(raw, 1)]


def random_rules(rng: random.Random, venues: Sequence[str]) -> list[Rule]:
    """A plausible bad day: every kind of frame fault at a low rate, a close and a stale snapshot now and then."""
    made: list[Rule] = []
    for venue in venues:
        for kind in ("drop", "duplicate", "reorder", "garbage"):
            made.append(rule({"fault": kind, "venue": venue, "probability": rng.uniform(0.0002, 0.002)}))
        made.append(rule({"fault": "delay", "venue": venue, "probability": rng.uniform(0.0001, 0.001), "by": "300ms"}))
        made.append(rule({"fault": "close", "venue": venue, "every": rng.randint(3_000, 9_000), "code": 1006}))
        made.append(rule({"fault": "stale_snapshot", "venue": venue, "probability": 0.2}))
    return made
