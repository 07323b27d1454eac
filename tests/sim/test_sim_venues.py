"""What every simulated venue keeps of the seam, over the table of them."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from talking import NOW, Talk

from imbalanced.events import Frame
from imbalanced.sim import PLAYERS, SIMS, Options, start
from imbalanced.sim.kucoin import TOKEN
from imbalanced.sim.synthetic import SyntheticFeed
from imbalanced.sim.venue import Meter, Request, SimVenue, Stream
from imbalanced.sim.wire import NotSaidError, Wire
from imbalanced.sim.worlds.books import instrument
from imbalanced.venues import VENUES
from imbalanced.venues.codec import Trading

# Where a socket of each venue is, and how.
DOORS: dict[str, tuple[str, dict[str, str]]] = {
    "binance": ("/ws", {}),
    "binance_us": ("/ws", {}),
    "binance_usdm": ("/public/ws", {}),
    "binance_coinm": ("/ws", {}),
    "okx": ("/ws/v5/public", {}),
    "kraken": ("/v2", {}),
    "bybit": ("/v5/public/linear", {}),
    "bybit_inverse": ("/v5/public/inverse", {}),
    "bybit_spot": ("/v5/public/spot", {}),
    "deribit": ("/ws/api/v2", {}),
    "kucoin": ("/endpoint", {"token": TOKEN}),
    "hyperliquid": ("/ws", {}),
    "bitfinex": ("/ws/2", {}),
    "bitfinex_orders": ("/ws/2", {}),
    "coinbase": ("/", {}),
    "gate": ("/ws/v4/", {}),
    "gate_futures": ("/v4/ws/usdt", {}),
    "bitget": ("/v3/ws/public", {}),
    "kraken_futures": ("/ws/v1", {}),
}
EVERY = pytest.mark.parametrize("name", list(SIMS))
HALTS = ("okx", "kraken", "deribit", "kraken_futures")


def feed(venue: SimVenue) -> SyntheticFeed:
    return SyntheticFeed(venue.wire, venue.listings(("BTC/USDT", "SOL/USDT")), random.Random(1), NOW)


def test_every_one_is_a_venue_of_the_product() -> None:
    assert SIMS.keys() <= VENUES.keys()
    assert PLAYERS.keys() <= SIMS.keys()
    assert SIMS.keys() == DOORS.keys(), "add the door of the new one here"


@EVERY
def test_it_is_called_what_the_table_calls_it_and_lists_what_it_is_asked_for(name: str) -> None:
    venue = SIMS[name]
    assert venue.id == name
    for item in venue.listings(("BTC/USDT", "SOL/USDT", "XYZ/USDT")):
        assert item.unified.startswith(f"{item.base}/{item.quote}")
        assert item.start_tick > 1000, "a tick is fine enough for a market"
        assert venue.listings((item.unified,)) == [item], "a unified symbol comes back as itself"
    assert len(venue.listings(("BTC/USDT", "BTC/USDT"))) == 1
    with pytest.raises(ValueError, match="expected BASE/QUOTE"):
        venue.listings(("BTCUSDT",))


@EVERY
def test_it_has_one_door_and_knows_nonsense(name: str) -> None:
    venue = SIMS[name]
    path, query = DOORS[name]
    assert venue.connect(path, query, feed(venue)) is not None
    assert venue.connect("/nonsense", query, feed(venue)) is None
    answer = venue.rest(Request("/nonsense", {}), feed(venue), Meter(10**6), NOW)
    assert 400 <= answer.status < 500
    assert venue.snapshot_stream(Request("/nonsense", {})) is None


@EVERY
def test_too_much_weight_is_refused(name: str) -> None:
    venue, meter = SIMS[name], Meter(3)
    answers = [venue.rest(Request("/nonsense", {}), feed(venue), meter, NOW) for _ in range(5)]
    assert answers[-1] != answers[0]


@EVERY
def test_a_conversation_of_nonsense_hurts_nobody(name: str) -> None:
    path, query = DOORS[name]
    talk = Talk(name, "BTC/USDT", path=path, **query)
    for text in ("", "nonsense", "[]", "{}", "null", '{"op":1,"args":{}}', '{"method":[],"params":7}', '{"type":null}'):
        talk.say(text)
    assert not [stream for stream in talk.desk.subscriptions.values() if stream is not None]
    assert talk.wait(100) == []
    assert talk.desk.notice(NOW) is not None


@EVERY
def test_a_halt_in_the_words_of_the_venue_is_understood(name: str) -> None:
    """Where it has such words: they are told apart from all others, and the product reads them."""
    venue, codec = SIMS[name], VENUES[name].codec(name)
    (item,) = venue.listings(("BTC/USD:BTC",))
    codec.know(instrument(name, item))
    told = [venue.wire.trading(replace(item, halted=halted), NOW) for halted in (True, False)]
    assert bool(venue.wire.states) is (None not in told) is (name in HALTS)
    for state, word in zip(("halted", "trading"), told, strict=True):
        if word is not None:
            assert venue.wire.states in word[1]
            read = codec.decode(Frame(1, name, 1, "ws", word[1].encode()))
            assert [(one.symbol, one.state) for one in read if isinstance(one, Trading)] == [(item.symbol, state)]


async def test_each_venue_lists_its_own_symbols_where_they_are_told() -> None:
    options = Options(venues=("okx", "kraken"), symbols=("ETH/USDT",), symbols_of={"okx": ("BTC/USDT:USDT",)}, seed=1)
    running = await start(options)
    try:
        assert running.true_book("okx", "BTC/USDT:USDT").bids
        assert running.true_book("kraken", "ETH/USDT").bids
        with pytest.raises(KeyError, match="not simulated here"):
            running.true_book("okx", "ETH/USDT")
    finally:
        await running.stop()


def test_a_wire_says_only_what_it_has() -> None:
    item = SIMS["kraken"].listings(("BTC/USD",))[0]
    unsaid: list[Any] = [
        lambda wire: wire.depth(item, None, NOW),
        lambda wire: wire.bbo(item, None, NOW),
        lambda wire: wire.context(item, Stream("BTC/USD", "funding"), None, NOW),
        lambda wire: wire.liquidation(item, None, NOW, NOW),
        lambda wire: wire.info([item], NOW),
    ]
    for ask in unsaid:
        with pytest.raises(NotSaidError, match="KrakenWire says no "):
            ask(SIMS["kraken"].wire)
    assert (Wire().update_id(7), Wire().history(item, Stream("", "trade"), [], NOW)) == (7, "")


def test_what_a_frame_is_asked_for_of_an_unknown_symbol_is_nothing() -> None:
    made = feed(SIMS["okx"])
    assert made.begin(replace(Stream("BTC-USDT", "book", 100, 400), symbol="NOPE"), NOW) is None
    made.restart("NOPE")
