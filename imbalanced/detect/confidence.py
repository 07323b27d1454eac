"""How often signals of a kind were right: the run's own past as a probability, and whether a kind still earns.

Every graded signal is an outcome: right or wrong, net of costs, at the kind's horizon. Outcomes are kept in cells, each
the prior of the one below it::

    (kind)  ->  (kind, instrument)  ->  (kind, instrument, bin of strength)

    p = (wins + K * p_parent) / (n + K)          the mean of a Beta posterior; the root's parent is 0.5

Wins and counts are forgotten exponentially (half-life 7 days of event time), so a cell that hears nothing drifts to its
parent. A probability is published once the instrument's own cell has counted 50; before that it is unknown, and None.
Outcomes whose times overlap are one outcome, the first. Nothing looks ahead: an outcome is known when its horizon has
passed, and a replay from the same start gives the same probabilities, to the byte.

Errors::

    CalibrationError    a file that is no calibration of ours; says what was expected
"""

from __future__ import annotations

from hashlib import sha256
from math import sqrt
from typing import NamedTuple

import msgspec
from msgspec import Struct

HALF_LIFE_NS = 7 * 24 * 3600 * 1_000_000_000
PRIOR = 20.0
ENOUGH = 50.0
BIN_EDGES = (0.5, 0.6, 0.7, 0.8)
# Of the mean net return: below zero with 90 % confidence (one-sided), from so many outcomes on.
Z_90 = 1.2815515655446004
ENOUGH_RETURNS = 200.0
DEGRADED_BELOW, RECOVERED_AT = 0.45, 0.5


class CalibrationError(ValueError):
    """Not a calibration of ours."""


class Cell(Struct, kw_only=True):
    """Outcomes of one cell as of ``at_ns``. ``net`` and ``net_squared`` are sums of net returns, as fractions."""

    wins: float = 0.0
    n: float = 0.0
    net: float = 0.0
    net_squared: float = 0.0
    at_ns: int = 0

    def aged(self, t_ns: int) -> None:
        """Forget what time takes; a time before the last changes nothing."""
        if t_ns <= self.at_ns:
            return
        if self.n:
            kept = 0.5 ** ((t_ns - self.at_ns) / HALF_LIFE_NS)
            self.wins *= kept
            self.n *= kept
            self.net *= kept
            self.net_squared *= kept
        self.at_ns = t_ns

    def add(self, net: float) -> None:
        """One more outcome."""
        self.wins += net > 0.0
        self.n += 1.0
        self.net += net
        self.net_squared += net * net

    def loses(self) -> bool:
        """Whether the mean net return is below zero with 90 % confidence."""
        if self.n < ENOUGH_RETURNS:
            return False
        mean = self.net / self.n
        variance = max(self.net_squared / self.n - mean * mean, 0.0)
        return mean + Z_90 * sqrt(variance / self.n) < 0.0


class Confidence(NamedTuple):
    """``p`` is None while the instrument's own past is too short; ``n`` counts the cell that it comes from."""

    p: float | None
    n: float


class Owner(NamedTuple):
    """Whose past it is."""

    kind: str
    venue: str
    instrument: str


class SavedCell(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One cell in a file. Without ``venue`` and ``instrument`` it is that of the kind; ``bin`` -1 is all strengths."""

    kind: str
    venue: str = ""
    instrument: str = ""
    bin: int = -1
    cell: Cell
    degraded: bool = False


class Calibration(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All cells, frozen: where a run begins."""

    v: int = 1
    cells: tuple[SavedCell, ...] = ()

    def text(self) -> bytes:
        """As JSON, always the same bytes for the same cells."""
        return msgspec.json.encode(self, order="deterministic")

    def digest(self) -> str:
        """16 hex digits that name it."""
        return sha256(self.text()).hexdigest()[:16]


def read(text: bytes | str) -> Calibration:
    """A calibration file. Raises CalibrationError."""
    try:
        told = msgspec.json.decode(text, type=Calibration)
    except msgspec.DecodeError as error:
        raise CalibrationError(f"expected a calibration written by this program: {error}") from error
    if told.v != 1:
        raise CalibrationError(f"version {told.v}, this program knows 1")
    for one in told.cells:
        cell = one.cell
        if not 0.0 <= cell.wins <= cell.n or cell.net_squared < 0.0 or not -1 <= one.bin <= len(BIN_EDGES):
            raise CalibrationError(f"cell {one.kind} {one.instrument} {one.bin}: expected 0 <= wins <= n, a known bin")
    return told


def strength_bin(strength: float) -> int:
    """0 below 0.5, then one for every tenth up to 0.8, the last above."""
    return sum(strength >= edge for edge in BIN_EDGES)


class Track:
    """The cells of a run, moving with its own grades."""

    def __init__(self, start: Calibration | None = None) -> None:
        self._kinds: dict[str, Cell] = {}
        self._owners: dict[Owner, Cell] = {}
        self._bins: dict[tuple[Owner, int], Cell] = {}
        self._counted_until_ns: dict[Owner, int] = {}
        self._degraded: set[Owner] = set()
        for one in start.cells if start else ():
            # A copy: the cells of the file stay what they were.
            cell = msgspec.convert(msgspec.to_builtins(one.cell), Cell)
            owner = Owner(one.kind, one.venue, one.instrument)
            if not one.instrument:
                self._kinds[one.kind] = cell
            elif one.bin < 0:
                self._owners[owner] = cell
                if one.degraded:
                    self._degraded.add(owner)
            else:
                self._bins[owner, one.bin] = cell

    def outcome(self, owner: Owner, strength: float, *, opened_ns: int, known_ns: int, net: float) -> bool:
        """A grade at the kind's horizon, opened and known at these event times. False: it overlaps one that counted."""
        if opened_ns < self._counted_until_ns.get(owner, opened_ns):
            return False
        self._counted_until_ns[owner] = known_ns
        for cell in (
            self._kinds.setdefault(owner.kind, Cell()),
            self._owners.setdefault(owner, Cell()),
            self._bins.setdefault((owner, strength_bin(strength)), Cell()),
        ):
            cell.aged(known_ns)
            cell.add(net)
        self._judge(owner, known_ns)
        return True

    def confidence(self, owner: Owner, strength: float, t_ns: int) -> Confidence:
        """What the past says of a signal of this strength, now."""
        own = self._owners.get(owner)
        if own is None:
            return Confidence(None, 0.0)
        own.aged(t_ns)
        p = _posterior(own, _posterior(self._kinds.get(owner.kind), 0.5, t_ns), t_ns)
        deepest = self._bins.get((owner, strength_bin(strength)))
        p = _posterior(deepest, p, t_ns)
        n = deepest.n if deepest is not None else own.n
        return Confidence(p if own.n >= ENOUGH else None, n)

    def mean_net(self, owner: Owner, strength: float) -> float | None:
        """The mean net return of signals of this strength so far, as a fraction; None while there are none."""
        cell = self._bins.get((owner, strength_bin(strength)))
        return cell.net / cell.n if cell is not None and cell.n > 0 else None

    def degraded(self, owner: Owner) -> bool:
        """Whether this kind has stopped to earn on this instrument."""
        return owner in self._degraded

    def degraded_owners(self) -> list[Owner]:
        """All of them, sorted."""
        return sorted(self._degraded)

    def _judge(self, owner: Owner, t_ns: int) -> None:
        own = self._owners[owner]
        if own.n < ENOUGH:
            return
        p = _posterior(own, _posterior(self._kinds.get(owner.kind), 0.5, t_ns), t_ns)
        if own.loses() or p < DEGRADED_BELOW:
            self._degraded.add(owner)
        elif p >= RECOVERED_AT:
            self._degraded.discard(owner)

    def frozen(self) -> Calibration:
        """As it stands, for the next run."""
        cells = [SavedCell(kind=kind, cell=cell) for kind, cell in self._kinds.items()]
        cells += [
            SavedCell(**owner._asdict(), cell=cell, degraded=owner in self._degraded)
            for owner, cell in self._owners.items()
        ]
        cells += [SavedCell(**owner._asdict(), bin=number, cell=cell) for (owner, number), cell in self._bins.items()]
        return Calibration(cells=tuple(sorted(cells, key=lambda one: (one.kind, one.venue, one.instrument, one.bin))))


def _posterior(cell: Cell | None, parent: float, t_ns: int) -> float:
    if cell is None:
        return parent
    cell.aged(t_ns)
    return (cell.wins + PRIOR * parent) / (cell.n + PRIOR)
