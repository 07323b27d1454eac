"""A frame and what came of it in words: for the eye, and for the digest that two runs of a seed must share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imbalanced.events import (
    BookChanged,
    BookInvalid,
    BookReplaced,
    BookValid,
    LinkDown,
    LinkUp,
    MetricSnapshot,
    Notice,
    ResyncEnded,
    Signal,
    StreamState,
    Trade,
)
from imbalanced.venues.codec import Close, Fetch, Open, Reconnect, Send, Wake

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from imbalanced.events import Frame

_WORDS: dict[type, Callable[[Any], str]] = {
    BookChanged: lambda e: f"changed {e.instrument} {e.book_seq}",
    BookReplaced: lambda e: f"replaced {e.instrument} {e.book_seq}",
    BookValid: lambda e: f"VALID {e.instrument} {e.book_seq}",
    BookInvalid: lambda e: f"INVALID {e.instrument} {e.reason} {e.detail}",
    LinkUp: lambda e: f"up {e.conn}",
    LinkDown: lambda e: f"down {e.conn}",
    MetricSnapshot: lambda e: f"snapshot {e.instrument} {e.mid} {e.values}",
    Notice: lambda e: f"notice {e.what} {e.instrument} {e.detail}",
    ResyncEnded: lambda e: f"resync {e.instrument} {'ok' if e.ok else e.reason}",
    Signal: lambda e: f"signal {e.event} {e.id} {e.kind} {e.instrument} {e.side} {e.score} {e.reason}",
    StreamState: lambda e: f"stream {e.instrument} {e.state}",
    Trade: lambda e: f"trade {e.instrument} {e.trade_id} {e.px} {e.size}",
    Open: lambda c: f"Open {c.conn} {c.url}",
    Send: lambda c: f"Send {c.conn} {c.data}",
    Fetch: lambda c: f"Fetch {c.url}",
    Close: lambda c: f"Close {c.conn} {c.reason}",
    Reconnect: lambda c: f"Reconnect {c.conn} {c.reason}",
    Wake: lambda c: f"Wake {c.at_ns}",
}


def _word(thing: Any) -> str:
    known = _WORDS.get(type(thing))
    return type(thing).__name__ if known is None else known(thing)


def head(frame: Frame) -> str:
    """``1700000000000000000 VENUE 1 ws 200``: all of a frame but its data."""
    return f"{frame.recv_ns} {frame.venue} {frame.conn} {frame.kind} {frame.status} {frame.url}"


def words(outputs: Sequence[Any], commands: Sequence[Any]) -> str:
    """``=> changed BTC/USDT 5 -> Wake ...``: what came of it, and what is to be done."""
    return f"=> {'; '.join(map(_word, outputs))} -> {'; '.join(map(_word, commands))}"
