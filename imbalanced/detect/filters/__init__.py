"""Filters: what must hold before a detected signal is opened.

``filter.py`` says what a filter is, ``chain.py`` asks them in their order. The families: ``guards.py`` (feed, clocks,
rates, halts), ``market.py`` (spread, depth, volatility, cost), ``spoof.py`` (size that is not meant), ``sentiment.py``
and ``confirm.py`` (context and other venues). Filters never hold back a close.
"""

from imbalanced.detect.filters.chain import Chain, Hearing
from imbalanced.detect.filters.filter import Filter, Kit, Moment, Peer, Said, make

__all__ = ["Chain", "Filter", "Hearing", "Kit", "Moment", "Peer", "Said", "make"]
