"""Questions that look into the future: labels, what a signal earned, how the micro-price table is fitted. Never live.

``Label`` and ``ForwardReturn`` answer when the tape is over (``evaluation.PENDING``).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from math import isfinite
from typing import Any, ClassVar, NamedTuple, TypeVar

from msgspec import Struct

from imbalanced.metrics.evaluation import PENDING, Answer
from imbalanced.metrics.metric import NO_VALUE, NOT_INPUT, NS_PER_MS, VALUE, Grid, Metric
from imbalanced.metrics.plain import decimal, picked
from imbalanced.metrics.statistics import AtLeastOne
from imbalanced.options import Millis, Millis0, NonNegative

Real = TypeVar("Real", float, Fraction)


class LabelOptions(Struct, frozen=True, kw_only=True):
    """How far ahead, and what is no move.

    ``k``: the mean of the next so many mids is compared (count, default 10).
    ``alpha_bps``: a move up to this is neutral (basis points, default 1).
    """

    k: AtLeastOne = 10
    alpha_bps: NonNegative = Decimal(1)


class Label(Metric):
    """``{move_bps, label}``: where the price goes next; 1 up, -1 down, 0 neutral (a move equal to ``alpha_bps`` is).

    ``move_bps = (mean(m_{i+1} .. m_{i+k}) - m_i) / m_i * 1e4``. By count of mids, not time: resample first. No value:
    the last ``k``. Input: values (mids). Source: Zhang, Zohren & Roberts 2019 (DeepLOB), after Ntakaris et al. 2018.
    """

    Options: ClassVar[type[Struct]] = LabelOptions
    inputs: ClassVar[str] = "value"
    outputs: ClassVar[tuple[str, ...]] = ("move_bps", "label")
    shape: ClassVar[str] = "dict"

    def __init__(self, options: LabelOptions, grid: Grid) -> None:
        super().__init__(2)
        self._k, self._alpha = options.k, Fraction(options.alpha_bps)
        self._sums = [Fraction(0)]  # of the mids so far; exact, since equal to the band is neutral

    def value(self, x: float, t_ns: int) -> int:
        if not isfinite(x):
            return NO_VALUE
        self._sums.append(self._sums[-1] + Fraction(repr(x)))
        return PENDING

    def finish(self) -> list[Answer]:
        """One answer per mid."""
        return [self._label(i) for i in range(len(self._sums) - 1)]

    def _label(self, i: int) -> Answer:
        if i + 1 + self._k >= len(self._sums):
            return None
        mid = self._sums[i + 1] - self._sums[i]
        if not mid:
            return None
        ahead = (self._sums[i + 1 + self._k] - self._sums[i + 1]) / self._k
        move = (ahead - mid) / mid * 10_000
        label = 1.0 if move > self._alpha else -1.0 if move < -self._alpha else 0.0
        return {"move_bps": float(move), "label": label}


class ForwardReturnOptions(Struct, frozen=True, kw_only=True):
    """When it is bought and sold again.

    ``latency``: from the signal to the entry (duration, default 50 ms).
    ``horizon``: from the entry to the exit (duration, default 1 s).
    ``round_trip_cost_bps``: fees and spread of both (basis points, default 4).
    """

    latency_ms: Millis0 = 50
    horizon_ms: Millis = 1000
    round_trip_cost_bps: NonNegative = Decimal(4)


class ForwardReturn(Metric):
    """``{gross_bps: side (exit - entry) / entry * 1e4, net_bps: gross - cost}``: what a signal earned.

    ``entry`` is the mid as of ``t + latency``, ``exit`` that as of ``horizon`` later, over all mids of the tape.
    Positive: it earned. No value: no mid is that old yet, or the last mid of the tape is older than the time asked
    for. Inputs: values (mids), signal (``x`` its side), which answers.
    """

    Options: ClassVar[type[Struct]] = ForwardReturnOptions
    inputs: ClassVar[str] = "value signal"
    outputs: ClassVar[tuple[str, ...]] = ("gross_bps", "net_bps")
    shape: ClassVar[str] = "dict"

    def __init__(self, options: ForwardReturnOptions, grid: Grid) -> None:
        super().__init__(2)
        self._latency_ns = options.latency_ms * NS_PER_MS
        self._horizon_ns = options.horizon_ms * NS_PER_MS
        self._cost = float(options.round_trip_cost_bps)
        self._times: list[int] = []
        self._mids: list[float] = []
        self._signals: list[tuple[int, int]] = []

    def value(self, x: float, t_ns: int) -> int:
        if isfinite(x):
            self._times.append(t_ns)
            self._mids.append(x)
        return NO_VALUE

    def event(self, event: object, t_ns: int) -> int:
        given = picked(event, "signal")
        if given is None:
            return NOT_INPUT
        side = decimal(given.get("x"), "x")
        if side not in (1, -1):
            raise ValueError(f'x is {given.get("x")!r}, expected "1" or "-1"')
        self._signals.append((t_ns, int(side)))
        return PENDING

    def finish(self) -> list[Answer]:
        """One answer per signal."""
        # The earliest time from each mid on: never decreasing even where the tape's times do, so it can be searched.
        earliest = self._times.copy()
        for i in range(len(earliest) - 2, -1, -1):
            earliest[i] = min(earliest[i], earliest[i + 1])
        return [self._earned(t_ns + self._latency_ns, side, earliest) for t_ns, side in self._signals]

    def _earned(self, t_ns: int, side: int, earliest: Sequence[int]) -> Answer:
        entry, out = self._as_of(t_ns, earliest), self._as_of(t_ns + self._horizon_ns, earliest)
        if not entry or out is None:
            return None
        gross = side * (out - entry) / entry * 1e4
        return {"gross_bps": gross, "net_bps": gross - self._cost}

    def _as_of(self, t_ns: int, earliest: Sequence[int]) -> float | None:
        """The last mid in order with a time of at most this; None if there is none or the tape ends before."""
        at = bisect_right(earliest, t_ns)
        return self._mids[at - 1] if at and self._times[-1] >= t_ns else None


class MicropriceFit(Metric):
    """``{G1_low, G1_high, G_low, G_high}``: the micro-price adjustments of two imbalance bins, in the unit of ``K``.

    From ``Q`` (no price move, bin to bin), ``T`` (a move, bin to bin after it), ``R`` (bin to move size) and ``K``
    (moves): ``G1 = (1 - Q)^-1 R K``, ``B = (1 - Q)^-1 T``, ``G = sum_i B^i G1``. Micro-price = mid + G(bin); positive:
    above the mid. The two bins mirror one another. No value: some state never leads to a move, or the sum does not
    converge. Input: row, ``x = {Q, T, R, K}``. Any number of bins and spreads: ``fit_microprice``. Source: Stoikov
    2018.
    """

    inputs: ClassVar[str] = "row"
    outputs: ClassVar[tuple[str, ...]] = ("G1_low", "G1_high", "G_low", "G_high")
    shape: ClassVar[str] = "dict"

    def __init__(self, options: object, grid: Grid) -> None:
        super().__init__(4)

    def event(self, event: object, t_ns: int) -> int:
        given = picked(event, "row")
        if given is None:
            return NOT_INPUT
        stay, move, sizes, moves = _chain_of(given.get("x"))
        solved = solve(_one_minus(stay), [[*move[i], _dot(sizes[i], moves)] for i in range(2)])
        if solved is None:
            return NO_VALUE
        (b00, b01, low), (_, _, high) = solved
        left = 1 - (b00 - b01)
        if not left:
            return NO_VALUE
        for i, x in enumerate((low, high, low / left, high / left)):
            self.out[i] = float(x)
        return VALUE


def _chain_of(x: Any) -> tuple[list[list[Fraction]], list[list[Fraction]], list[list[Fraction]], list[Fraction]]:
    """Q, T, R and K of a row, checked: two bins that mirror one another, probabilities that add up."""
    if not isinstance(x, Mapping):
        raise ValueError(f"x is {x!r}, expected a mapping of Q, T, R, K")
    stay, move, sizes = (_rows(x.get(key), f"x.{key}") for key in ("Q", "T", "R"))
    moves = _numbers(x.get("K"), "x.K")
    near = Fraction(1, 10**9)
    for key, rows, width in (("Q", stay, 2), ("T", move, 2), ("R", sizes, len(moves))):
        if any(len(row) != width or any(p < 0 for p in row) for row in rows):
            raise ValueError(f"x.{key} is {x.get(key)!r}, expected 2 rows of {width} probabilities")
        if any(abs(a - b) > near for a, b in zip(rows[0], reversed(rows[1]), strict=True)):
            raise ValueError(f"x.{key} is {x.get(key)!r}, expected rows that mirror one another")
    if any(abs(a + b) > near for a, b in zip(moves, reversed(moves), strict=True)):
        raise ValueError(f"x.K is {x.get('K')!r}, expected moves that mirror one another")
    for stays, moved, sized in zip(stay, move, sizes, strict=True):
        gone = sum(moved, Fraction(0))
        if abs(sum(stays, gone) - 1) > near or abs(gone - sum(sized, Fraction(0))) > near:
            raise ValueError(f"x is {x!r}, expected rows of Q and T that sum to 1, rows of R equal to those of T")
    return stay, move, sizes, moves


def _numbers(given: object, what: str) -> list[Fraction]:
    if not isinstance(given, list | tuple):
        raise ValueError(f"{what} is {given!r}, expected a list of numbers")
    return [Fraction(decimal(item, what)) for item in given]


def _rows(given: object, what: str) -> list[list[Fraction]]:
    if not isinstance(given, list | tuple) or len(given) != 2:
        raise ValueError(f"{what} is {given!r}, expected 2 rows, one per bin")
    return [_numbers(row, what) for row in given]


def _one_minus(rows: Sequence[Sequence[Real]]) -> list[list[Real]]:
    return [[-x + (1 if i == j else 0) for j, x in enumerate(row)] for i, row in enumerate(rows)]


def _dot(a: Sequence[Real], b: Sequence[Real]) -> Real:
    total = a[0] * b[0]
    for x, y in zip(a[1:], b[1:], strict=True):
        total += x * y
    return total


def solve(a: list[list[Real]], b: list[list[Real]]) -> list[list[Real]] | None:
    """``a^-1 b`` by elimination with row exchange, on floats or exactly on fractions; None without an inverse."""
    n = len(a)
    rows = [a[i] + b[i] for i in range(n)]
    for i in range(n):
        best = max(range(i, n), key=lambda k: abs(rows[k][i]))
        if not rows[best][i]:
            return None
        rows[i], rows[best] = rows[best], rows[i]
        pivot = rows[i][i]
        rows[i] = [x / pivot for x in rows[i]]
        for k in range(n):
            factor = rows[k][i]
            if k != i and factor:
                rows[k] = [x - factor * y for x, y in zip(rows[k], rows[i], strict=True)]
    return [row[n:] for row in rows]


class Touch(NamedTuple):
    """One book state as the fit sees it: best prices in integer units, best sizes."""

    bid_px: int
    bid_size: float
    ask_px: int
    ask_size: float


Table = tuple[tuple[float | None, ...], ...]


def fit_microprice(
    states: Iterable[Touch], tick: int, *, bins: int = 10, spreads: int = 5, max_iterations: int = 10_000
) -> Table:
    """The micro-price table ``G[bin][spread in ticks - 1]`` in ticks, from successive book states.

    ``tick`` is the price step in the unit of the states' prices.
    States are ``bins`` of ``I = qb / (qb + qa)`` times a spread of 1 to ``spreads`` ticks; wider, locked or crossed
    books are no state and break the chain. Each transition is counted together with its mirror image (``I`` -> 1 -
    ``I``, move -> -move), without which the sum need not converge. None: a state that was never left, or from which no
    price move was ever reached. Metric ``microprice`` looks the table up. Source: Stoikov 2018 (finite-state
    estimation). ValueError: it does not converge.
    """
    n = bins * spreads
    stays = [[0.0] * n for _ in range(n)]
    moves = [[0.0] * n for _ in range(n)]
    gains = [0.0] * n
    before: tuple[int, int] | None = None
    for touch in states:
        state = _state_of(touch, tick, bins, spreads)
        now = None if state is None else (state, touch.bid_px + touch.ask_px)
        if before is not None and now is not None:
            (i, mid_before), (j, mid) = before, now
            halves = (mid - mid_before) / tick
            counts = moves if halves else stays
            for a, b, sign in ((i, j, 1), (_mirror(i, bins), _mirror(j, bins), -1)):
                counts[a][b] += 1
                gains[a] += sign * halves / 2
        before = now
    return _adjustments(stays, moves, gains, bins, max_iterations)


def _state_of(touch: Touch, tick: int, bins: int, spreads: int) -> int | None:
    """``(spread - 1) * bins + bin``."""
    ticks, rest = divmod(touch.ask_px - touch.bid_px, tick)
    if rest or not 1 <= ticks <= spreads:
        return None
    share = touch.bid_size / (touch.bid_size + touch.ask_size)
    return (ticks - 1) * bins + min(bins - 1, int(bins * share))


def _mirror(state: int, bins: int) -> int:
    return state - state % bins + bins - 1 - state % bins


def _adjustments(
    stays: list[list[float]], moves: list[list[float]], gains: list[float], bins: int, max_iterations: int
) -> Table:
    n = len(gains)
    known = _reaching_a_move(stays, moves)
    for i in range(n):
        visits = sum(stays[i]) + sum(moves[i])
        keep = visits if i in known else 0.0
        stays[i] = [x / keep if keep else 0.0 for x in stays[i]]
        moves[i] = [x / keep if keep else 0.0 for x in moves[i]]
        gains[i] = gains[i] / keep if keep else 0.0
    solved = solve(_one_minus(stays), [[*moves[i], gains[i]] for i in range(n)])
    if solved is None:
        raise ValueError("the transitions have no solution, expected states that lead to a price move")
    step = [row[n] for row in solved]
    total = step.copy()
    for _ in range(max_iterations):
        step = [_dot(row[:n], step) for row in solved]
        total = [a + b for a, b in zip(total, step, strict=True)]
        if max(map(abs, step)) < 1e-6:
            flat = [g if i in known else None for i, g in enumerate(total)]
            return tuple(tuple(flat[bin_::bins]) for bin_ in range(bins))
    raise ValueError(f"the micro-price sum does not converge in {max_iterations} steps, expected less than 1e-6 tick")


def _reaching_a_move(stays: list[list[float]], moves: list[list[float]]) -> set[int]:
    """The states that a price move was seen from, at once or after states without one."""
    known = {i for i, row in enumerate(moves) if any(row)}
    grown = True
    while grown:
        more = {i for i, row in enumerate(stays) if i not in known and any(row[j] for j in known)}
        known |= more
        grown = bool(more)
    return known
