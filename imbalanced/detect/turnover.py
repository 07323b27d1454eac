# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""What an instrument trades in an hour: the weight of its word among others."""

from __future__ import annotations

from array import array
from typing import ClassVar

import cython

if not cython.compiled:
    from imbalanced.metrics.metric import Metric
else:
    from cython.cimports.imbalanced.metrics.metric import Metric

from imbalanced.metrics import metric
from imbalanced.metrics.metric import Grid

NOT_INPUT = cython.declare(cython.int, metric.NOT_INPUT)
MINUTES = cython.declare(cython.Py_ssize_t, 60)
MINUTE_NS = cython.declare(cython.longlong, 60_000_000_000)


@cython.cclass
class Turnover(Metric):
    """Notional of the last 60 whole minutes and the present one, in quote units; ``total`` as of the last trade."""

    inputs: ClassVar[str] = "trade"
    _per_unit: cython.double
    _minutes: cython.double[::1]
    _minute: cython.longlong

    def __init__(self, grid: Grid) -> None:
        super().__init__(1)
        self._per_unit = grid.per_unit
        self._minutes = array("d", bytes(8 * 61))
        self._minute = 0

    @cython.ccall
    def trade(self, px: cython.longlong, size: cython.double, sign: cython.int, t_ns: cython.longlong) -> cython.int:
        minute: cython.longlong = t_ns // MINUTE_NS
        i: cython.longlong
        if minute > self._minute:
            for i in range(max(self._minute + 1, minute - MINUTES), minute + 1):
                self._minutes[i % (MINUTES + 1)] = 0.0
            self._minute = minute
        self._minutes[self._minute % (MINUTES + 1)] += px / self._per_unit * size
        return NOT_INPUT

    def total(self) -> float:
        """The sum."""
        return sum(self._minutes[i] for i in range(MINUTES + 1))
