# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The one message that comes thousands of times a second: changed levels of one book."""

from __future__ import annotations

from typing import Any

import cython

if not cython.compiled:
    from imbalanced.book import Rows
else:
    from cython.cimports.imbalanced.book import Rows


@cython.final
@cython.cclass
class Diff:
    """Changed levels of ``symbol``, from update ``first_id`` to ``last_id``; ``prev_id`` is -1 where the venue has
    none.

    A codec may fill the same Diff again for the next frame: ``copy`` what is to be kept. Times in ns, 0 where unknown.
    ``orders``: what happened to which order, in place of rows, where the book is kept order by order.
    """

    def __init__(self, rows: Rows | None = None) -> None:
        self.symbol: str = ""
        self.first_id = 0
        self.last_id = 0
        self.prev_id = -1
        self.event_ns = 0
        self.checked = False
        self.checksum: object = None
        self.orders: Any = ()
        self.rows = Rows() if rows is None else rows

    def copy(self) -> Diff:
        """An independent copy, for a buffer."""
        other = Diff(self.rows.copy())
        other.symbol = self.symbol
        other.first_id = self.first_id
        other.last_id = self.last_id
        other.prev_id = self.prev_id
        other.event_ns = self.event_ns
        other.checked = self.checked
        other.checksum = self.checksum
        other.orders = self.orders
        return other
