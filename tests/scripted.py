"""A scripted market as a tape: frames by hand, one method a happening, and a configuration that reacts to them."""

from __future__ import annotations

from typing import Any

import msgspec
import orjson
from conversation import MS, START_NS, S, diff_text, image_text, instrument, trade_text

from imbalanced.config import Config, Tables, load
from imbalanced.detect import DETECTORS, FILTERS
from imbalanced.events import Frame
from imbalanced.metrics import METRICS
from imbalanced.venues import VENUES

TABLES = Tables(VENUES, METRICS, DETECTORS, FILTERS)
VENUE = "binance"

# Thresholds on raw values, so that what opens a signal can be read off the frames.
LEAN: dict[str, Any] = {
    "kind": "market_depth_imbalance",
    "name": "lean",
    "bps": 50,
    "on": 0.5,
    "off": 0.2,
    "min_duration": "200ms",
    "cooldown": "1s",
    "max_age": "20s",
    "update_step": 0.2,
    "standardise": {"by": "none"},
}
PUSH: dict[str, Any] = {
    "kind": "aggressive_order_flow",
    "name": "push",
    "window": "2s",
    "scales": 1,
    "on": 5,
    "off": 3,
    "min_duration": "0ms",
    "cooldown": "1s",
    "max_age": "20s",
    "standardise": {"by": "none"},
}
FLOW: dict[str, Any] = {
    "kind": "order_flow_imbalance",
    "name": "flow",
    "levels": 1,
    "effect_usual": 0,
    "min_duration": "0ms",
    "standardise": {"half_life": "2s", "min_count": 20},
}


def configured(*detectors: dict[str, Any], **more: Any) -> Config:
    """A configuration of one venue; filters are off unless given."""
    data: dict[str, Any] = {"venues": {VENUE: {"instruments": ["AAA/USDT", "BBB/USDT"]}}, "filters": "off"}
    data |= {"detectors": list(detectors or (LEAN, PUSH)), **more}

    def no_file(path: str) -> str:
        raise OSError(f"{path}: this test reads no file")

    return load(orjson.dumps(data).decode(), TABLES, environ={}, read_text=no_file)


class Script:
    """``frames`` grows with every happening; event times are 3 ms before receipt."""

    def __init__(self, *symbols: str, venue: str = VENUE) -> None:
        self.venue = venue
        self.symbols = symbols or ("AAAUSDT",)
        self.now_ns = START_NS
        self.frames: list[Frame] = []
        self.ids = dict.fromkeys(self.symbols, 10)
        self.trades = dict.fromkeys(self.symbols, 100)

    def frame(
        self, kind: Any, data: str | bytes = b"", *, conn: int = 1, url: str = "", venue: str | None = None
    ) -> Script:
        payload = data.encode() if isinstance(data, str) else data
        self.frames.append(Frame(self.now_ns, self.venue if venue is None else venue, conn, kind, payload, url))
        return self

    def wait(self, seconds: float) -> Script:
        self.now_ns += int(seconds * S)
        return self

    def event_ms(self) -> int:
        return self.now_ns // MS - 3

    def diff(self, bid: str = "1", ask: str = "1", symbol: str = "AAAUSDT", *, skip: int = 0) -> Script:
        """New sizes at 99.9 and 100.1; ``skip`` leaves out so many ids before it."""
        before = self.ids[symbol] + skip
        first = self.ids[symbol] = before + 1
        prev = None if self.venue == VENUE else before
        text = diff_text(symbol, first, first, [["99.9", bid]], [["100.1", ask]], event_ms=self.event_ms(), prev=prev)
        return self.frame("ws", text)

    def image(self, symbol: str = "AAAUSDT") -> Script:
        url = VENUES[self.venue].codec(self.venue).fetch_image(symbol).url
        text = image_text(self.ids[symbol], [["99.9", "1"], ["99.8", "1"]], [["100.1", "1"], ["100.2", "1"]])
        return self.frame("http", text, conn=0, url=url)

    def trade(self, size: str, symbol: str = "AAAUSDT", *, sell: bool = False) -> Script:
        self.trades[symbol] += 1
        text = trade_text(symbol, self.trades[symbol], "99.9" if sell else "100.1", size, sell=sell, T=self.event_ms())
        return self.frame("ws", text)

    def up(self) -> Script:
        """Instruments, socket, and every book proven."""
        known = [instrument(symbol, self.venue) for symbol in self.symbols]
        self.frame("instruments", msgspec.json.encode(known), conn=0).frame("open")
        for symbol in self.symbols:
            self.diff(symbol=symbol).image(symbol)
        return self

    def calm(self, seconds: float, symbol: str = "AAAUSDT") -> Script:
        """A diff every 100 ms that leans a little to and fro."""
        for i in range(int(seconds * 10)):
            self.wait(0.1).diff(("1", "1.1", "1.2")[i % 3], ("1", "1.2")[i % 2], symbol)
        return self

    def lean(self, bid: str, ask: str, seconds: float = 0.5, symbol: str = "AAAUSDT") -> Script:
        """These sizes, every 100 ms."""
        for _ in range(int(seconds * 10)):
            self.wait(0.1).diff(bid, ask, symbol)
        return self

    def stop(self) -> Script:
        return self.frame("stop", conn=0, venue="")
