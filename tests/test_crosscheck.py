"""One venue is silent on an asset while the others move; and quiet nights, where nobody is at fault."""

from __future__ import annotations

import random
from typing import Any

import pytest
from conversation import S, diff_text, image_text, instrument, trade_text
from msgspec import json, structs
from scripted import LEAN, configured

from imbalanced.events import BookInvalid, Frame, StreamState
from imbalanced.pipeline import Pipeline
from imbalanced.venues import VENUES

THREE = ("binance", "binance_us", "binance_usdm")


class Markets:
    """The same asset on several venues; ``rates`` are messages a second of books and trades."""

    def __init__(self, *venues: str, symbol: str = "AAA/USDT") -> None:
        named = {venue: {"instruments": [symbol]} for venue in venues}
        self.pipeline = Pipeline(configured(LEAN, venues=named))
        self.now_ns = 1_700_000_000 * S
        self.last = dict.fromkeys(venues, 10)
        self.trade = dict.fromkeys(venues, 10)
        self.out: list[Any] = []
        self._wakes: dict[str, int] = {}
        for venue in venues:
            listed = structs.replace(instrument("AAAUSDT", venue), symbol=symbol)
            self.feed(venue, "instruments", json.encode([listed]), conn=0)
            for conn in list(self.pipeline.sessions[venue].links):
                self.feed(venue, "open", conn=conn)
            self.book(venue)
            self.book(venue)
            url = VENUES[venue].codec(venue).fetch_image("AAAUSDT").url
            self.feed(venue, "http", image_text(11, [["99", "1"]], [["101", "1"]]).encode(), conn=0, url=url)
        self.out.clear()

    def feed(self, venue: str, kind: Any, data: bytes = b"", *, conn: int = 1, url: str = "") -> None:
        self.out += self.pipeline.feed(Frame(self.now_ns, venue, conn, kind, data, url))
        for command in self.pipeline.commands():
            if type(command).__name__ == "Wake":
                self._wakes[command.venue] = command.at_ns

    def book(self, venue: str) -> None:
        before = self.last[venue]
        self.last[venue] = before + 1
        prev = before if venue.endswith("usdm") else None
        self.feed(venue, "ws", diff_text("AAAUSDT", before + 1, before + 1, prev=prev).encode())

    def print(self, venue: str) -> None:
        self.trade[venue] += 1
        conn = 2 if venue.endswith("usdm") else 1
        self.feed(venue, "ws", trade_text("AAAUSDT", self.trade[venue], "1", "1").encode(), conn=conn)

    def second(self, books: dict[str, int], trades: dict[str, int]) -> None:
        for venue, count in books.items():
            for _ in range(count):
                self.book(venue)
        for venue, count in trades.items():
            for _ in range(count):
                self.print(venue)
        self.now_ns += S
        for venue in sorted(self._wakes):
            if self._wakes[venue] <= self.now_ns:
                del self._wakes[venue]
                self.feed(venue, "wake", conn=0)

    def run(self, seconds: int, books: dict[str, int], trades: dict[str, int] | None = None) -> list[str]:
        self.out.clear()
        for _ in range(seconds):
            self.second(books, trades or {})
        return [f"{one.venue} {one.channel} {one.state}" for one in self.out if isinstance(one, StreamState)]


def test_a_silent_book_among_moving_ones_is_lost_long_before_its_own_patience_is_over() -> None:
    markets = Markets(*THREE)
    assert markets.run(180, dict.fromkeys(THREE, 10)) == []
    assert markets.run(15, {"binance": 10, "binance_usdm": 10}) == ["binance_us book stale"]
    (lost,) = [one for one in markets.out if isinstance(one, BookInvalid)]
    assert (lost.venue, lost.reason) == ("binance_us", "stale_stream")
    assert "while other venues move" in lost.detail
    assert markets.run(1, dict.fromkeys(THREE, 1)) == ["binance_us book live"]


def test_silent_trades_are_said_and_the_book_stays() -> None:
    markets = Markets(*THREE)
    every = dict.fromkeys(THREE, 10)
    markets.run(180, every, dict.fromkeys(THREE, 5))
    assert markets.run(15, every, {"binance": 5, "binance_usdm": 5}) == ["binance_us trades stale"]
    assert not [one for one in markets.out if isinstance(one, BookInvalid)]
    assert markets.run(1, every, dict.fromkeys(THREE, 5)) == ["binance_us trades live"]


def test_an_asset_that_falls_asleep_everywhere_is_no_fault() -> None:
    markets = Markets(*THREE)
    markets.run(180, dict.fromkeys(THREE, 10), dict.fromkeys(THREE, 5))
    told: list[str] = []
    for i in range(28):  # after 30 s its own past speaks
        told += markets.run(1, {"binance": i % 10 == 0, "binance_usdm": i % 7 == 0}, {"binance": i % 20 == 0})
    assert told == []


def test_a_slow_stream_beside_fast_ones_gets_its_own_time() -> None:
    """One trade in 20 s is its habit: 50 of them are missing after 1000 s, and not before."""
    markets = Markets(*THREE)
    told: list[str] = []
    for i in range(400):
        told += markets.run(1, dict.fromkeys(THREE, 2), {"binance": 5, "binance_usdm": 5, "binance_us": i % 20 == 0})
    told += markets.run(600, dict.fromkeys(THREE, 2), {"binance": 5, "binance_usdm": 5})
    assert told == []


def test_a_stream_that_never_spoke_while_others_say_thousands_of_things() -> None:
    markets = Markets("binance", "binance_us")
    every = dict.fromkeys(("binance", "binance_us"), 2)
    told = markets.run(310, every, {"binance": 12})
    assert told == ["binance_us trades silent"]


def test_random_markets_with_a_common_mood_are_never_silent() -> None:
    """Trades in bursts, busy hours and quiet ones, the same for all."""
    dice = random.Random(11)
    markets = Markets(*THREE)
    told: list[str] = []
    for i in range(1500):
        mood = 0.1 + 2 * ((i // 200) % 3)
        trades = {venue: sum(dice.random() < 0.1 * mood for _ in range(10)) for venue in THREE}
        told += markets.run(1, dict.fromkeys(THREE, 1 + int(mood)), trades)
    assert told == []


@pytest.mark.parametrize("symbols", [("AAA/USDT", "AAA/EUR")])
def test_other_currencies_are_other_markets(symbols: tuple[str, str]) -> None:
    markets = Markets("binance", symbol=symbols[1])
    assert markets.run(200, {"binance": 5}) == []
    assert markets.run(15, {}) == []
