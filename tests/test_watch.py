"""Streams that fall silent or thin out, and what is said of them; and that quiet markets are left alone."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from conversation import Conversation, S, diff_text, instrument, trade_text
from toy_venue import ToyCodec

from imbalanced import tape
from imbalanced.config import Tables
from imbalanced.detect import DETECTORS, FILTERS
from imbalanced.events import BookInvalid, StreamState
from imbalanced.jsontext import status_json
from imbalanced.metrics import METRICS
from imbalanced.pipeline import Pipeline
from imbalanced.replay import with_timers
from imbalanced.replaying import default_config, read_as_ours, recorded_names
from imbalanced.session import Session
from imbalanced.sinks.meters import Meters
from imbalanced.status import Status
from imbalanced.venues import VENUES
from imbalanced.venues.codec import Source
from imbalanced.watch import FIRST_CONTEXT_NS, FIRST_TRADE_NS, LIVELY

TABLES = Tables(VENUES, METRICS, DETECTORS, FILTERS)
FOLDER = Path(__file__).resolve().parents[2] / "shared" / "captures"
CAPTURES = sorted(FOLDER.glob("*.jsonl.gz"))
KNOWN = {*VENUES, *recorded_names(TABLES)}


class Market(Conversation):
    """Live books and trades, a second at a time."""

    def __init__(self, *symbols: str, venue: str = "binance", provides: tuple[str, ...] = ()) -> None:
        super().__init__(*symbols, venue=venue)
        self.session = Session(VENUES[venue].codec(venue), provides=provides)
        self.live(10)
        self.last = dict.fromkeys(self.symbols, 10)
        self.printed = 0
        self.told: list[StreamState] = []

    def second(self, diffs: dict[str, int], trades: dict[str, int] | None = None) -> None:
        told: list[Any] = []
        for symbol, count in diffs.items():
            for _ in range(count):
                self.last[symbol] += 1
                self.ws(diff_text(symbol, self.last[symbol], self.last[symbol]))
                told += self.events
        for symbol, count in (trades or {}).items():
            for _ in range(count):
                self.printed += 1
                self.ws(trade_text(symbol, self.printed, "1", "1"))
                told += self.events
        self.wait(1)
        self.told += [event for event in [*told, *self.events] if isinstance(event, StreamState)]

    def run(self, seconds: int, diffs: dict[str, int], trades: dict[str, int] | None = None) -> list[str]:
        before = len(self.told)
        for _ in range(seconds):
            self.second(diffs, trades)
        return [f"{one.channel} {one.instrument} {one.state}" for one in self.told[before:]]


# -- thinning out ------------------------------------------------------------------------------------------------------


def test_a_book_that_thins_out_is_said_while_it_lives_and_when_it_is_back() -> None:
    thin = Market("AAAUSDT", "BBBUSDT")
    assert thin.run(180, {"AAAUSDT": 10, "BBBUSDT": 10}) == []
    told: list[str] = []
    for i in range(60):
        told += thin.run(1, {"AAAUSDT": 1 if i % 5 == 0 else 0, "BBBUSDT": 10})
    assert told == ["book AAA/USDT stale"]
    assert re.fullmatch(r"6 messages in 30 s, never below (29\d|300) before", thin.told[0].reason)
    assert thin.session.lanes["AAAUSDT"].valid, "its ids still prove it"
    assert thin.run(60, {"AAAUSDT": 10, "BBBUSDT": 10}) == ["book AAA/USDT live"]


def test_a_market_that_goes_quiet_as_a_whole_is_no_fault() -> None:
    market = Market("AAAUSDT", "BBBUSDT")
    market.run(180, {"AAAUSDT": 10, "BBBUSDT": 10}, {"AAAUSDT": 5, "BBBUSDT": 5})
    told: list[str] = []
    for i in range(90):
        told += market.run(
            1, {"AAAUSDT": i % 5 == 0, "BBBUSDT": i % 5 == 0}, {"AAAUSDT": i % 9 == 0, "BBBUSDT": i % 8 == 0}
        )
    assert told == []


def test_a_stream_with_no_other_needs_a_longer_past() -> None:
    for past_s, noticed in ((180, False), (700, True)):
        market = Market("AAAUSDT")
        market.run(past_s, {"AAAUSDT": 10})
        told: list[str] = []
        for i in range(60):
            told += market.run(1, {"AAAUSDT": i % 5 == 0})
        assert (told == ["book AAA/USDT stale"]) is noticed


def test_trades_that_thin_out_while_the_book_goes_on() -> None:
    market = Market("AAAUSDT")
    market.run(180, {"AAAUSDT": 10}, {"AAAUSDT": 10})
    told: list[str] = []
    for i in range(60):
        told += market.run(1, {"AAAUSDT": 10}, {"AAAUSDT": i % 8 == 0})
    assert told == ["trades AAA/USDT stale"]


# -- silence -----------------------------------------------------------------------------------------------------------


def test_trades_that_stop_are_stale_and_the_first_one_brings_them_back() -> None:
    market = Market("AAAUSDT")
    market.run(30, {"AAAUSDT": 1}, {"AAAUSDT": 10})
    assert market.run(120, {"AAAUSDT": 1}) == ["trades AAA/USDT stale"]
    assert "no data in 61 s, usual are" in market.told[0].reason
    text = orjson.loads(status_json(market.told[0]) or b"")
    assert text["event"] == "stream_stale"
    assert (text["channel"], text["instrument"], text["reason"]) == ("trades", "AAA/USDT", market.told[0].reason)
    assert text["since"] == market.told[0].recv_ns
    assert market.session.lanes["AAAUSDT"].valid, "a book does not hang on trades"
    assert market.run(1, {"AAAUSDT": 1}, {"AAAUSDT": 1}) == ["trades AAA/USDT live"]


def test_trades_that_never_come_while_the_books_are_lively() -> None:
    market = Market("AAAUSDT", "BBBUSDT")
    seconds = FIRST_TRADE_NS // S
    assert market.run(seconds - 5, {"AAAUSDT": 40, "BBBUSDT": 40}) == []
    assert market.run(10, {"AAAUSDT": 40, "BBBUSDT": 40}) == ["trades AAA/USDT silent", "trades BBB/USDT silent"]
    assert market.run(1, {}, {"AAAUSDT": 1}) == ["trades AAA/USDT live"]
    quiet = Market("AAAUSDT", "BBBUSDT")
    assert quiet.run(2 * seconds, {"AAAUSDT": LIVELY // seconds // 5, "BBBUSDT": 1}) == [], "a quiet market"
    one = Market("AAAUSDT", "BBBUSDT")
    one.run(1, {}, {"BBBUSDT": 1})
    assert one.run(2 * seconds, {"AAAUSDT": 40, "BBBUSDT": 40}) == [], "the channel works"


def test_marks_are_due_where_the_venue_pushes_them_and_a_contract_has_them() -> None:
    seconds = FIRST_CONTEXT_NS // S + 2
    for provides, symbol, told in [
        (("book", "trade", "funding"), "AAA/USDT:USDT", ["context AAA/USDT:USDT silent"]),
        (("book", "trade", "funding"), "AAA/USDT", []),
        (("book", "trade"), "AAA/USDT:USDT", []),
    ]:
        said = Conversation(codec=ToyCodec(Source.STREAM))
        said.session = Session(said.session.codec, provides=provides)
        said.say("instruments", orjson.dumps([{**plain("AAAUSDT"), "symbol": symbol}]), conn=0)
        said.open()
        heard: list[str] = []
        for i in range(seconds):
            body = {"say": "image" if i == 0 else "diff", "symbol": "AAAUSDT", "first": i, "last": i}
            said.ws(orjson.dumps({**body, "bids": [[1, 1.0 + i]], "asks": [[2, 1.0]]}))
            said.wait(1)
            heard += [f"{e.channel} {e.instrument} {e.state}" for e in said.events if isinstance(e, StreamState)]
        assert heard == told
        said.ws(orjson.dumps({"say": "context", "symbol": "AAAUSDT"}))
        assert [e.state for e in said.events if isinstance(e, StreamState)] == ["live"] * len(told)


def plain(symbol: str) -> dict[str, Any]:
    one = instrument(symbol, "toy")
    return {name: getattr(one, name) for name in one.__struct_fields__}


# -- what is made of it ------------------------------------------------------------------------------------------------


def test_readiness_status_and_gauges_tell_of_it() -> None:
    market = Market("AAAUSDT", "BBBUSDT")
    market.run(30, {"AAAUSDT": 1, "BBBUSDT": 1}, {"AAAUSDT": 10, "BBBUSDT": 10})
    market.run(65, {"AAAUSDT": 1, "BBBUSDT": 1}, {"BBBUSDT": 10})
    service: Any = SimpleNamespace(
        intake=SimpleNamespace(missing={}, pipeline=SimpleNamespace(sessions={"binance": market.session})),
        config=SimpleNamespace(ready_share=1.0),
        outlets=[],
    )
    ready, facts = Status(service).ready()
    (why,) = list(facts["reasons"])  # type: ignore[call-overload]
    assert not ready
    assert why.startswith("binance AAA/USDT trades: stale (no data in 61 s")
    service.config.ready_share = 0.5
    assert Status(service).ready()[0], "half of them are enough"
    meters = Meters()
    for lane in market.session.lanes.values():
        meters.see("binance", lane)
    assert meters.streams["binance", "trades", "AAA/USDT"] == "stale"
    assert meters.streams["binance", "trades", "BBB/USDT"] == "live"
    assert meters.books["binance", "AAA/USDT"] == "live"
    market.wait(200)
    meters.see("binance", market.session.lanes["AAAUSDT"])
    assert meters.books["binance", "AAA/USDT"] == "resyncing"


# -- real markets ------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not CAPTURES, reason="the recordings do not come with the repository")
@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: path.name.removesuffix(".jsonl.gz"))
def test_no_real_market_is_called_silent_or_stale(path: Path) -> None:
    first = next(tape.read(path))
    if first.venue not in KNOWN or path.stat().st_size > 3_500_000:
        pytest.skip("no codec for this venue, or too long for every run")
    pipeline = Pipeline(default_config([path], TABLES), discover=True)
    frames = read_as_ours(path, recorded_names(TABLES))
    told = [event for _, _, made in with_timers(frames, pipeline, own=False) for event in made]
    assert not [event for event in told if isinstance(event, StreamState)]
    assert not [event for event in told if isinstance(event, BookInvalid) and "stale" in event.reason]
