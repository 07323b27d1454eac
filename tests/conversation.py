"""A session as a conversation: frames are said to it, and it answers with events and commands in one word each.

    said.instruments()         -> ["Open 1"]
    said.diff(1, 1)            -> []
    said.image(5)              -> ["ResyncEnded ok", "BookValid 5", "BookReplaced 5"]

Frames are hand-made in the shape of the venue's documentation; time passes only when a test says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import orjson

from imbalanced.events import (
    BookChanged,
    BookInvalid,
    BookReplaced,
    BookValid,
    Frame,
    FrameKind,
    Instrument,
    LinkDown,
    LinkUp,
    Liquidation,
    Mark,
    Notice,
    ResyncEnded,
    StreamState,
    Trade,
    TradeIgnored,
)
from imbalanced.session import Session
from imbalanced.venues import VENUES
from imbalanced.venues.codec import Close, Fetch, Open, Reconnect, Send, Wake

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from imbalanced.venues.codec import Codec

S = 1_000_000_000
MS = 1_000_000
START_NS = 1_700_000_000 * S

WORDS: dict[type, Callable[[Any], str]] = {
    BookChanged: lambda e: f"BookChanged {e.instrument} {e.book_seq}",
    BookInvalid: lambda e: f"BookInvalid {e.instrument} {e.reason}",
    BookReplaced: lambda e: f"BookReplaced {e.instrument} {e.book_seq}",
    BookValid: lambda e: f"BookValid {e.instrument} {e.book_seq}",
    LinkDown: lambda e: f"LinkDown {e.conn} {e.reason}",
    LinkUp: lambda e: f"LinkUp {e.conn}",
    Liquidation: lambda e: f"Liquidation {e.instrument} {e.sign:+d}",
    Mark: lambda e: f"Mark {e.instrument}",
    Notice: lambda e: f"Notice {e.what} {e.instrument}".rstrip(),
    ResyncEnded: lambda e: f"ResyncEnded {e.instrument} {'ok' if e.ok else e.reason}",
    StreamState: lambda e: f"StreamState {e.instrument} {e.state}",
    Trade: lambda e: f"Trade {e.instrument} {e.trade_id} {e.sign:+d}",
    TradeIgnored: lambda e: f"TradeIgnored {e.instrument} {e.why}",
    Open: lambda c: f"Open {c.conn}",
    Send: lambda c: f"Send {c.conn}",
    Fetch: lambda c: f"Fetch {c.url.partition('symbol=')[2].partition('&')[0]}",
    Reconnect: lambda c: f"Reconnect {c.conn} {c.reason}" + (" planned" if c.planned else ""),
    Close: lambda c: f"Close {c.conn} {c.reason}",
    Wake: lambda c: "Wake",
}


def words(things: Sequence[Any]) -> list[str]:
    """Events or commands, a few words each."""
    return [WORDS[type(thing)](thing) for thing in things]


def instrument(venue_symbol: str, venue: str = "binance", **changes: Any) -> Instrument:
    """``AAAUSDT`` is ``AAA/USDT``."""
    base = venue_symbol.removesuffix("USDT")
    fields = {"base": base, "quote": "USDT", "tick": "0.01", "lot": "0.001", **changes}
    return Instrument(venue=venue, symbol=f"{base}/USDT", venue_symbol=venue_symbol, **fields)


def diff_text(
    symbol: str,
    first: int,
    last: int,
    bids: Sequence[Sequence[str]] = (),
    asks: Sequence[Sequence[str]] = (),
    *,
    event_ms: int = 0,
    prev: int | None = None,
) -> str:
    """A depth frame as the venue writes it; with ``prev`` it is one of the futures."""
    stamp: dict[str, Any] = {"E": event_ms} if prev is None else {"E": event_ms, "T": event_ms}
    ids: dict[str, Any] = {"U": first, "u": last} if prev is None else {"U": first, "u": last, "pu": prev}
    data = {"e": "depthUpdate", **stamp, "s": symbol, **ids, "b": bids, "a": asks}
    return orjson.dumps({"stream": f"{symbol.lower()}@depth@100ms", "data": data}).decode()


def image_text(last: int, bids: Sequence[Sequence[str]] = (), asks: Sequence[Sequence[str]] = ()) -> str:
    """A depth snapshot."""
    return orjson.dumps({"lastUpdateId": last, "bids": bids, "asks": asks}).decode()


def trade_text(symbol: str, trade_id: int, price: str, size: str, *, sell: bool = False, **more: Any) -> str:
    """A trade; ``stream="aggTrade"`` for an aggregate, ``X="ADL"`` for one that is no market trade."""
    stream = more.pop("stream", "trade")
    id_key = "a" if stream == "aggTrade" else "t"
    data = {"e": stream, "E": 1, "s": symbol, id_key: trade_id, "p": price, "q": size, "T": 1, "m": sell, **more}
    return orjson.dumps({"stream": f"{symbol.lower()}@{stream}", "data": data}).decode()


BIDS = [["99.99", "2"], ["99.98", "3"]]
ASKS = [["100.01", "1"], ["100.02", "4"]]


class Conversation:
    """One session of one venue. ``now_ns`` is the receive time of the next frame."""

    def __init__(
        self, *symbols: str, venue: str = "binance", discover: bool = False, codec: Codec | None = None
    ) -> None:
        self.venue = venue if codec is None else codec.venue
        self.symbols = symbols or ("AAAUSDT",)
        self.session = Session(codec or VENUES[venue].codec(venue), discover=discover)
        self.now_ns = START_NS
        self.events: list[Any] = []
        self.commands: list[Any] = []

    def say(
        self, kind: FrameKind, data: bytes | str = b"", *, conn: int = 1, url: str = "", status: int = 200
    ) -> list[str]:
        """Feed one frame; the events in words. ``commands`` has what it asked for."""
        payload = data.encode() if isinstance(data, str) else data
        self.events = self.session.receive(Frame(self.now_ns, self.venue, conn, kind, payload, url, status))
        self.commands = list(self.session.outbox)
        self.session.outbox.clear()
        return words(self.events)

    def asked(self) -> list[str]:
        """The commands of the last frame in words, without the timers."""
        return [word for word in words(self.commands) if word != "Wake"]

    def ws(self, text: bytes | str, *, conn: int = 1) -> list[str]:
        return self.say("ws", text, conn=conn)

    def diff(self, first: int, last: int, symbol: str = "AAAUSDT", **more: Any) -> list[str]:
        """A depth frame; an empty one unless rows are given."""
        return self.ws(diff_text(symbol, first, last, more.pop("bids", ()), more.pop("asks", ()), **more))

    def image(self, last: int, symbol: str = "AAAUSDT", *, status: int = 200, data: str | None = None) -> list[str]:
        """The answer to the Fetch for this symbol."""
        url = self.session.codec.fetch_image(symbol).url
        text = image_text(last, BIDS, ASKS) if data is None else data
        return self.say("http", text, conn=0, url=url, status=status)

    def instruments(self, *symbols: str) -> list[str]:
        """The list of instruments arrives."""
        known = [instrument(symbol, self.venue) for symbol in symbols or self.symbols]
        return self.say("instruments", msgspec.json.encode(known), conn=0)

    def open(self, conn: int = 1) -> list[str]:
        return self.say("open", conn=conn)

    def close(self, reason: str = "1006", conn: int = 1) -> list[str]:
        return self.say("close", reason, conn=conn)

    def wait(self, seconds: float) -> list[str]:
        """Time passes and one timer frame arrives at the end of it."""
        self.now_ns += int(seconds * S)
        return self.say("wake", conn=0)

    def until_woken(self, most: int = 10_000) -> list[str]:
        """Timers fire exactly as asked until one of them leads to an event or a request."""
        for _ in range(most):
            told = self.say("wake", conn=0)
            if told or self.asked():
                return told
            self.now_ns = max(self.now_ns, self.wake_ns())
        raise AssertionError(f"{most} timers fired and nothing came of it: is the timer still armed?")

    def wake_ns(self) -> int:
        """The earliest timer of the session."""
        return self.session.timers.next_ns()

    def live(self, last: int = 10) -> Conversation:
        """Up and running: every book of the conversation proven at ``last``."""
        self.instruments()
        for conn in self.session.links:
            self.open(conn)
        for symbol in self.symbols:
            self.diff(last - 1, last, symbol)
            told = self.image(last, symbol)
            assert any("BookValid" in word for word in told), told
        self.commands = []
        return self
