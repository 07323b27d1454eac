"""Integrated order flow: from many ranks to one number, with weights found on past data.

Slow and offline: the live metric that uses the weights is ``integrated_ofi`` in ``flow.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import atan2, cos, fsum, isfinite, sin, sqrt
from typing import ClassVar

from imbalanced.metrics.evaluation import PENDING
from imbalanced.metrics.metric import Grid, Metric

# Of numbers read from decimal text: a share of the scale below which a difference is rounding.
NOTHING = 1e-12

Matrix = list[list[float]]


class IntegratedOfiWeights(Metric):
    """The first principal component of multi-level order flow: ``{w1..wN, explained, integrated_last}``.

    Offline: rows are one list of N (scaled) flows each, and the answer comes at the last one. ``w`` is the eigenvector
    of the largest eigenvalue of the rows' population covariance, divided by the sum of its absolute values, with a
    positive sum (where that is 0: a positive first weight that is not 0). ``explained`` is the eigenvalue over the
    trace, ``integrated_last`` is ``sum(w_i x_i)`` of the last row. All without unit; positive is buy pressure. No
    value: no row differs from another. Source: Cont, Cucuringu & Zhang 2023.
    """

    inputs: ClassVar[str] = "row"
    outputs: ClassVar[tuple[str, ...]] = ("explained", "integrated_last")
    shape: ClassVar[str] = "dict"

    def __init__(self, options: object, grid: Grid) -> None:
        super().__init__(1)
        self._rows: list[list[float]] = []

    def event(self, event: object, t_ns: int) -> int:
        if not isinstance(event, Mapping) or event.get("type") != "row":
            return super().event(event, t_ns)
        self._rows.append(self._numbers(event.get("x")))
        return PENDING

    def _numbers(self, given: object) -> list[float]:
        width = len(self._rows[0]) if self._rows else None
        try:
            numbers = [float(x) for x in given] if isinstance(given, list | tuple) else []
        except (TypeError, ValueError):
            numbers = []
        if not numbers or len(numbers) != (width or len(numbers)) or not all(map(isfinite, numbers)):
            raise ValueError(f"x is {given!r}, expected a list of {width or 'one or more'} finite numbers")
        return numbers

    def names(self) -> tuple[str, ...]:
        width = len(self._rows[0]) if self._rows else 0
        return (*(f"w{i}" for i in range(1, width + 1)), *self.outputs)

    def finish(self) -> list[dict[str, float] | None]:
        """One answer per row: only the last one has one."""
        if not self._rows:
            return []
        return [*[None] * (len(self._rows) - 1), self._fit()]

    def _fit(self) -> dict[str, float] | None:
        matrix = covariance(self._rows)
        trace = fsum(matrix[i][i] for i in range(len(matrix)))
        if trace == 0:
            return None
        values, vectors = eigen(matrix)
        top = next(i for i, value in enumerate(values) if value >= max(values) * (1 - NOTHING))
        weights = _normalised([row[top] for row in vectors])
        answer = {f"w{i}": w for i, w in enumerate(weights, 1)}
        answer["explained"] = min(1.0, values[top] / trace)
        answer["integrated_last"] = fsum(w * x for w, x in zip(weights, self._rows[-1], strict=True))
        return answer


def covariance(rows: list[list[float]]) -> Matrix:
    """Population covariance. What is rounding only is 0: columns that never change, and columns that do not go
    together."""
    columns = list(zip(*rows, strict=True))
    means = [fsum(column) / len(column) for column in columns]
    moved = [
        [x - mean for x in column] if min(column) < max(column) else [0.0] * len(column)
        for column, mean in zip(columns, means, strict=True)
    ]
    width = len(columns)
    matrix = [[fsum(a * b for a, b in zip(x, y, strict=True)) / len(rows) for y in moved] for x in moved]
    for i in range(width):
        for j in range(width):
            if i != j and abs(matrix[i][j]) <= NOTHING * sqrt(matrix[i][i] * matrix[j][j]):
                matrix[i][j] = 0.0
    return matrix


def eigen(matrix: Matrix) -> tuple[list[float], Matrix]:
    """Eigenvalues and eigenvectors (in columns) of a symmetric matrix, by Jacobi's rotations; not sorted.

    What is diagonal already is left as it is, so equal eigenvalues keep the axes.
    """
    n = len(matrix)
    a = [list(row) for row in matrix]
    vectors = [[float(i == j) for j in range(n)] for i in range(n)]
    for _ in range(100):
        rotated = False
        for p in range(n):
            for q in range(p + 1, n):
                if abs(a[p][q]) > 1e-17 * sqrt(abs(a[p][p] * a[q][q])):
                    _rotate(a, vectors, p, q)
                    rotated = True
        if not rotated:
            break
    return [a[i][i] for i in range(n)], vectors


def _rotate(a: Matrix, vectors: Matrix, p: int, q: int) -> None:
    """Make ``a[p][q]`` 0."""
    angle = atan2(2 * a[p][q], a[p][p] - a[q][q]) / 2
    c, s = cos(angle), sin(angle)
    for matrix in (a, vectors):
        for row in matrix:
            row[p], row[q] = c * row[p] + s * row[q], c * row[q] - s * row[p]
    a[p], a[q] = (
        [c * x + s * y for x, y in zip(a[p], a[q], strict=True)],
        [c * y - s * x for x, y in zip(a[p], a[q], strict=True)],
    )
    a[p][q] = a[q][p] = 0.0


def _normalised(vector: list[float]) -> list[float]:
    """Absolute values sum to 1; the sum is positive, or where it is 0 the first weight that is not."""
    size = fsum(map(abs, vector))
    weights = [x / size for x in vector]
    weights = [0.0 if abs(w) <= NOTHING else w for w in weights]
    total = fsum(weights)
    lead = total if abs(total) > NOTHING else next(w for w in weights if w)
    return weights if lead > 0 else [-w + 0.0 for w in weights]
