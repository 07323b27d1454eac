# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""When a score becomes a signal: hysteresis, persistence, cooldown and age, one small state machine.

``Lifecycle`` is the machine itself, used by every live detector; ``Detector`` is the same machine as a metric over
plain events. What the score means, which filters it must pass and what is published is not known here.

    idle --|x| >= on--> armed --min_duration, next value--> open --faded, reversed, expired, invalid--> idle or armed
"""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar, Final

import cython
from cython.cimports.libc.math import fabs, isfinite
from msgspec import Struct

if not cython.compiled:
    from imbalanced.book import Book
    from imbalanced.metrics.metric import Metric
else:
    from cython.cimports.imbalanced.book import Book
    from cython.cimports.imbalanced.metrics.metric import Metric

from imbalanced.metrics.metric import NO_VALUE, NS_PER_MS, VALUE, Grid
from imbalanced.options import Millis, Millis0, NonNegative, Positive

# What happened, as `value`, `clock`, `invalid` and `close` answer it.
NOTHING: Final = 0
OPEN: Final = 1
UPDATE: Final = 2
CLOSE: Final = 3
EVENTS: Final = ("", "open", "update", "close")

# `Lifecycle.reason` of the last close.
FADED: Final = 1
REVERSED: Final = 2
EXPIRED: Final = 3
INVALID: Final = 4
REASONS: Final = ("", "faded", "reversed", "expired", "invalid")

# `Lifecycle.state`.
IDLE: Final = 0
ARMED: Final = 1
OPENED: Final = 2

# The same as C integers, for the machine.
_NOTHING = cython.declare(cython.int, NOTHING)
_OPEN = cython.declare(cython.int, OPEN)
_UPDATE = cython.declare(cython.int, UPDATE)
_CLOSE = cython.declare(cython.int, CLOSE)
_FADED = cython.declare(cython.int, FADED)
_REVERSED = cython.declare(cython.int, REVERSED)
_EXPIRED = cython.declare(cython.int, EXPIRED)
_INVALID = cython.declare(cython.int, INVALID)
_IDLE = cython.declare(cython.int, IDLE)
_ARMED = cython.declare(cython.int, ARMED)
_OPENED = cython.declare(cython.int, OPENED)

_LONG_AGO: Final = -(2**62)


@cython.cclass
class Lifecycle:
    """One episode after the other, at most one open. ``side`` and ``peak`` are those of the present or last episode.

    ``value``, ``clock`` and ``invalid`` answer NOTHING, OPEN, UPDATE or CLOSE; after CLOSE ``reason`` says why. Time
    never decreases. The thresholds may be changed at any time (a rolling quantile as threshold); a side-less score is
    fed as its magnitude. ``suppress`` takes back the OPEN just answered: it stays armed and tries again on the next
    value.
    """

    def __init__(  # noqa: PLR0917 - the six numbers of the state machine, in the order of its options
        self,
        on: float,
        off: float,
        min_duration_ns: int,
        cooldown_ns: int,
        max_age_ns: int,
        update_step: float,
    ) -> None:
        self.on = on
        self.off = off
        self.min_duration_ns = min_duration_ns
        self.cooldown_ns = cooldown_ns
        self.max_age_ns = max_age_ns
        self.update_step = update_step
        self.state = _IDLE
        self.armed = 0
        self.side = 0
        self.reason = 0
        self.peak = 0.0
        self.since_ns = 0
        self.opened_ns = 0
        self._free_buy_ns = _LONG_AGO
        self._free_sell_ns = _LONG_AGO

    @cython.ccall
    def value(self, x: cython.double, t_ns: cython.longlong) -> cython.int:
        """The score now; NaN (or infinity) is no score: it disarms, and an open episode may only expire."""
        if not isfinite(x):
            if self.state == _ARMED:
                self.state = _IDLE
            return self.clock(t_ns)
        if self.state == _OPENED:
            return self._while_open(x, t_ns)
        return self._while_shut(x, t_ns)

    @cython.ccall
    def clock(self, t_ns: cython.longlong) -> cython.int:
        """Time has passed: an open episode may expire. Nothing opens and nothing disarms."""
        if self.state == _OPENED and t_ns - self.opened_ns >= self.max_age_ns:
            return self.close(_EXPIRED, t_ns)
        return _NOTHING

    @cython.ccall
    def invalid(self, t_ns: cython.longlong) -> cython.int:
        """What the score rests on is gone: back to idle, and no cooldown, since what follows is a new life."""
        was: cython.int = self.state
        self.state = _IDLE
        if was != _OPENED:
            return _NOTHING
        self.reason = _INVALID
        return _CLOSE

    @cython.ccall
    def close(self, reason: cython.int, t_ns: cython.longlong) -> cython.int:
        """An open episode ends for this reason, its side cools down; NOTHING if none is open."""
        if self.state != _OPENED:
            return _NOTHING
        self.state = _IDLE
        self.reason = reason
        if self.side > 0:
            self._free_buy_ns = t_ns + self.cooldown_ns
        else:
            self._free_sell_ns = t_ns + self.cooldown_ns
        return _CLOSE

    @cython.ccall
    def suppress(self) -> cython.void:
        """The OPEN that was just answered did not happen."""
        if self.state == _OPENED:
            self.state = _ARMED

    @cython.cfunc
    def _arm(self, side: cython.int, t_ns: cython.longlong) -> cython.void:
        if t_ns >= (self._free_buy_ns if side > 0 else self._free_sell_ns):
            self.state = _ARMED
            self.armed = side
            self.since_ns = t_ns

    @cython.cfunc
    def _while_open(self, x: cython.double, t_ns: cython.longlong) -> cython.int:
        size: cython.double = fabs(x)
        leans: cython.double = self.side * x
        bar: cython.double = self.peak + self.update_step
        near: cython.bint
        if t_ns - self.opened_ns >= self.max_age_ns:
            return self.close(_EXPIRED, t_ns)
        if -leans >= self.on:
            self.close(_REVERSED, t_ns)
            self._arm(-self.side, t_ns)
            return _CLOSE
        if leans < self.off:
            return self.close(_FADED, t_ns)
        # 2.2 + 0.1 is above 2.3 in floats: two units in the last place decide as the decimals would.
        near = size > self.peak and size >= bar - 5e-16 * bar
        if near or size >= bar:
            self.peak = size
            return _UPDATE
        return _NOTHING

    @cython.cfunc
    def _while_shut(self, x: cython.double, t_ns: cython.longlong) -> cython.int:
        if self.state == _ARMED and self.armed * x < self.on:
            self.state = _IDLE
        if self.state == _IDLE and fabs(x) >= self.on:
            self._arm(1 if x > 0 else -1, t_ns)
        if self.state == _ARMED and t_ns - self.since_ns >= self.min_duration_ns:
            self.state = _OPENED
            self.side = self.armed
            self.peak = fabs(x)
            self.opened_ns = t_ns
            return _OPEN
        return _NOTHING


class DetectorOptions(Struct, frozen=True, kw_only=True):
    """When a score opens and closes.

    ``on``: open at ``|score| >= on`` (score units, above 0, default 3).
    ``off``: close below this (score units, 0 to ``on``, default 1).
    ``min_duration``: how long the score must stay at or above ``on`` before it opens (default 200 ms).
    ``cooldown``: after a close nothing opens on that side for so long (default 5 s).
    ``max_age``: an open episode ends after so long (default 30 s).
    ``update_step``: how much the peak must grow for an update (score units, default 0.5; 0: every equal or higher
    value).
    """

    on: Positive = Decimal(3)
    off: NonNegative = Decimal(1)
    min_duration_ms: Millis0 = 200
    cooldown_ms: Millis0 = 5000
    max_age_ms: Millis = 30000
    update_step: NonNegative = Decimal("0.5")

    def __post_init__(self) -> None:
        if self.off > self.on:
            raise ValueError(f"off of at most on ({self.on})")


@cython.cclass
class Detector(Metric):
    """``{event: open | update, side: 1 | -1, peak}`` or ``{event: close, side, reason}``: a score with hysteresis.

    Opens when the score stays at or beyond ``on`` for ``min_duration`` and its side is not cooling down; the next
    value confirms it, a clock alone never opens. Closes as ``faded`` (below ``off``), ``reversed`` (beyond ``on`` on
    the other side), ``expired`` (``max_age``) or ``invalid`` (the book is gone; no cooldown). ``peak`` is the largest
    ``|score|``. No value: nothing happened. A null score disarms.
    """

    Options: ClassVar[type[Struct]] = DetectorOptions
    inputs: ClassVar[str] = "value clock book_invalid"
    outputs: ClassVar[tuple[str, ...]] = ("event", "side", "peak", "reason")
    shape: ClassVar[str] = "dict"

    def __init__(self, options: DetectorOptions, grid: Grid) -> None:
        super().__init__(4)
        self.lifecycle = Lifecycle(
            float(options.on),
            float(options.off),
            options.min_duration_ms * NS_PER_MS,
            options.cooldown_ms * NS_PER_MS,
            options.max_age_ms * NS_PER_MS,
            float(options.update_step),
        )
        self._last = _NOTHING

    @cython.ccall
    def value(self, x: cython.double, t_ns: cython.longlong) -> cython.int:
        return self._answered(self.lifecycle.value(x, t_ns))

    @cython.ccall
    def clock(self, book: Book, t_ns: cython.longlong) -> cython.int:
        return self._answered(self.lifecycle.clock(t_ns))

    @cython.ccall
    def book_invalid(self, t_ns: cython.longlong) -> cython.int:
        return self._answered(self.lifecycle.invalid(t_ns))

    @cython.cfunc
    def _answered(self, happened: cython.int) -> cython.int:
        self._last = happened
        if happened == _NOTHING:
            return NO_VALUE
        self.out[0] = happened
        self.out[1] = self.lifecycle.side
        self.out[2] = self.lifecycle.peak
        self.out[3] = self.lifecycle.reason
        return VALUE

    def answer(self) -> dict[str, float | str | None]:
        """The last event; which keys it has depends on what happened."""
        told: dict[str, float | str | None] = {"event": EVENTS[self._last], "side": float(self.lifecycle.side)}
        if self._last == CLOSE:
            told["reason"] = REASONS[self.lifecycle.reason]
        else:
            told["peak"] = self.lifecycle.peak
        return told
