"""A venue that says in plain JSON whatever a codec may say: the parts of a session that other venues do not use.

``{"say": "image", "symbol": "AAAUSDT", "last": 5, "bids": [[100, 1]]}``; the other words are the keys of `SAYS`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from imbalanced.book import Book, Rows
from imbalanced.events import Instrument
from imbalanced.venues.codec import (
    Answer,
    Chain,
    ClosingSoon,
    CodecError,
    Context,
    Continuity,
    Door,
    Fetch,
    Gone,
    Image,
    Keepalive,
    Limits,
    LinkPlan,
    Print,
    Reply,
    SocketGap,
    Source,
    Trading,
)
from imbalanced.venues.diff import Diff

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imbalanced.events import Frame
    from imbalanced.venues.codec import Message


def _rows(said: dict[str, Any]) -> Rows:
    rows = Rows()
    for px, size in said.get("bids", ()):
        rows.add(px, size)
    rows.end_bids()
    for px, size in said.get("asks", ()):
        rows.add(px, size)
    return rows


def _diff(said: dict[str, Any]) -> Diff:
    diff = Diff(_rows(said))
    diff.symbol, diff.first_id, diff.last_id = said["symbol"], said["first"], said["last"]
    diff.checked = "sum" in said
    return diff


SAYS = {
    "image": lambda said: Image(
        symbol=said["symbol"], last_id=said["last"], event_ns=0, rows=_rows(said), checked="sum" in said
    ),
    "diff": _diff,
    "gone": lambda said: Gone(symbol=said["symbol"], why="halt"),
    "gap": lambda said: SocketGap(detail="7..9"),
    "reply": lambda said: Reply(text="pong"),
    "closing": lambda said: ClosingSoon(),
    "trading": lambda said: Trading(symbol=said["symbol"], state=said["state"], why=said.get("why", "")),
    "answer": lambda said: Answer(
        request_id=0, error=said.get("error", ""), symbols=tuple(said.get("of", ())), gone=said.get("dead", False)
    ),
    "trade": lambda said: Print(
        symbol=said["symbol"], stream="trades", px=said["px"], size=1.0, sign=1, trade_id=said.get("id", -1), event_ns=0
    ),
    "context": lambda said: Context(symbol=said["symbol"], event_ns=0, mark=1.0),
    "door": lambda said: Door(url="wss://toy/inside"),
}


class ToyCodec:
    """Books by ``source``; a frame with ``sum`` is checked against the sum of all sizes."""

    venue = "toy"
    limits = Limits(streams_per_socket=10)
    keepalive: Keepalive | None = Keepalive(every_s=15.0, text="ping")
    trades_count_up = False

    def __init__(self, source: Source, *, door: bool = False, chain: Chain = Chain.PLUS_ONE) -> None:
        self.continuity = Continuity(chain=chain, source=source)
        self.checks: tuple[str, ...] = ("checksum",) if chain is Chain.NONE else ("sequence", "checksum")
        self.door = door
        self.lives = 0
        self._sum = 0.0

    def opened(self, conn: int) -> None:
        self.lives += 1

    def plan(self, instruments: Sequence[Instrument]) -> list[LinkPlan]:
        prelude = Fetch(venue=self.venue, url="https://toy/door") if self.door else None
        books = tuple(one.venue_symbol for one in instruments)
        return [LinkPlan(conn=1, url="wss://toy", books=books, subscribe=("hello",), prelude=prelude)]

    def decode(self, frame: Frame) -> list[Message]:
        try:
            said = orjson.loads(frame.data)
        except orjson.JSONDecodeError as error:
            raise CodecError(f"no JSON: {error}", frame.data) from error
        self._sum = said.get("sum", 0.0)
        return [SAYS[said["say"]](said)]

    def verify(self, message: Diff | Image, book: Book) -> bool:
        return self._sum == sum(size for side in (book.bids, book.asks) for _, size in side.levels(100))

    def resubscribe(self, symbol: str, conn: int = 0) -> list[str]:
        return [f"leave {symbol}", f"join {symbol}"]

    def resubscribe_trades(self, symbol: str, conn: int = 0) -> list[str]:
        return []

    def unsubscribe(self, symbol: str, conn: int = 0) -> list[str]:
        return [f"leave {symbol}"]

    def fetch_image(self, symbol: str) -> Fetch:
        return Fetch(venue=self.venue, url=f"https://toy/book?symbol={symbol}&")

    def know(self, instrument: Instrument) -> None:
        return

    def infer(self, symbol: str) -> Instrument:
        return Instrument(venue=self.venue, symbol=symbol, venue_symbol=symbol)
