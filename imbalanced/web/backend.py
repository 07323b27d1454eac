"""What the HTTP server asks of the daemon: one small seam, so that neither knows how the other is built."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from imbalanced.journal import Page

__all__ = ["Backend", "ResyncRefused", "UnknownBook"]

Json = Mapping[str, object]


class UnknownBook(LookupError):
    """No such book is configured; answered with 404."""


class ResyncRefused(Exception):
    """The budget for proving books again is spent, or a resync of this book is under way; answered with 429."""

    def __init__(self, detail: str, retry_after_s: float) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class Backend(Protocol):
    """Implemented by the service. What is no coroutine must return at once."""

    def healthy(self) -> bool:
        """The event loop turns and no task has died. A venue or sink that is down is no reason to say False."""

    def ready(self) -> tuple[bool, Json]:
        """Whether every book (or the configured share) is live and every sink connected, and what is not."""

    def status(self) -> Json:
        """``/api/status``. The page reads ``version``, ``epoch``, ``last_seq``, ``books`` (a list of ``venue``,
        ``instrument``, ``state``, ``since_ns``, ``gaps``), ``links`` and ``sinks`` (``Outlet.status()``)."""

    def book(self, venue: str, instrument: str, levels: int) -> Json | None:
        """``venue, instrument, valid, bids, asks, seq``; None if there is no such book."""

    def signals(self, from_seq: int | None, limit: int) -> Page:
        """``Journal.page``; without ``from_seq`` the newest."""

    def about(self, id: str) -> Json | None:
        """``/api/signals/ID``: messages, explanation, grades; None if the journal has no signal of that id."""

    async def metrics(self, accept_header: str) -> tuple[bytes, str]:
        """``Prometheus.text``: body and content type."""

    async def resync(self, venue: str, instrument: str) -> Json:
        """Drop and prove one book again; returns when it is live or has failed (``"ok": true`` or ``false``).
        Raises :class:`UnknownBook` or :class:`ResyncRefused`."""
