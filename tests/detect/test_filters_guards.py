"""Guards of the feed: warm, fresh, in time, in measure, open; each by itself."""

from __future__ import annotations

import pytest
from moments import MS, S, Scene, T
from scripted import FLOW

from imbalanced.detect.filters.guards import (
    Clock,
    ClockOptions,
    EventRate,
    EventRateOptions,
    Halt,
    HaltOptions,
    Latency,
    LatencyOptions,
    Rate,
    RateOptions,
    Stale,
    StaleOptions,
    Warmup,
    WarmupOptions,
)
from imbalanced.events import Instrument


def test_warmup_is_the_age_of_the_proof() -> None:
    scene = Scene()
    one = Warmup(WarmupOptions(), scene.chain.kit)
    assert one.check(scene.of_book, scene.at(29.999).now()).verdict == "fail"
    assert one.check(scene.of_book, scene.at(30).now()).verdict == "pass"
    assert one.check(scene.of_book, scene.now()).numbers == {"warmup_s": 30.0}


def test_warmup_waits_for_the_standardiser() -> None:
    scene = Scene(FLOW)
    one = Warmup(WarmupOptions(), scene.chain.kit)
    scene.at(31)
    assert one.check(scene.of_book, scene.now()).told == "the standardiser is not warm"
    assert one.check(scene.steady(31, 40, 0.1).of_book, scene.now()).verdict == "pass"


def test_stale_is_the_age_of_the_book_whatever_the_clock_says() -> None:
    scene = Scene()
    one = Stale(StaleOptions(), scene.chain.kit)
    assert one.check(scene.of_book, scene.at(2).now()).verdict == "pass"
    for i in range(10):
        scene.at(i / 4).tick()
        one.observe(scene.now())
    said = one.check(scene.of_book, scene.at(2.001).now())
    assert (said.verdict, said.numbers) == ("fail", {"stale_book_ms": 2001.0})
    assert one.check(scene.delta({0: 5.0}).of_book, scene.now()).verdict == "pass"


def test_a_slow_venue_may_be_silent_for_ten_of_its_intervals() -> None:
    scene = Scene()
    one = Stale(StaleOptions(), scene.chain.kit)
    for i in range(20):
        scene.at(i).delta({0: 1.0 + i})
        one.observe(scene.now())
    assert one.check(scene.of_book, scene.at(29).now()).verdict == "pass"
    assert one.check(scene.of_book, scene.at(29.001).now()).verdict == "fail"


def test_kinds_of_trades_need_a_fresh_trade() -> None:
    scene = Scene()
    one = Stale(StaleOptions(), scene.chain.kit)
    said = one.check(scene.of_trades, scene.now())
    assert (said.verdict, said.numbers["stale_trades_ms"]) == ("fail", None), "there never was one: it fails closed"
    scene.trade(1)
    assert one.check(scene.of_trades, scene.at(10).now()).verdict == "pass"
    assert one.check(scene.of_trades, scene.at(10.001).now()).verdict == "fail"


def test_kinds_of_polls_may_miss_two() -> None:
    scene = Scene()
    poll = {"type": "oi", "oi": "5", "price": "100"}
    scene.desk.context(poll, 0, T)
    assert scene.desk.polled("oi") == (T, 0)
    scene.desk.context(poll, 0, T + 60 * S)
    scene.desk.context(poll, 0, T + 90 * S)
    assert scene.desk.polled("oi") == (T + 90 * S, 45 * S), "the longest of the last ones, which fades"
    assert scene.desk.polled("ratio") == (0, 0)


def test_latency_is_judged_against_its_own_median() -> None:
    scene = Scene(event_ns=-1300 * MS)  # our clock is behind the venue's
    one = Latency(LatencyOptions(), scene.chain.kit)
    for i in range(20):
        assert one.check(scene.of_book, scene.now()).verdict == ("unknown" if i < 10 else "pass")
        scene.at(i).delta({0: 1.0 + i})
        one.observe(scene.now())
    scene.event_ns = -800 * MS
    said = one.check(scene.at(21).delta({0: 3.0}).of_book, scene.now())
    assert (said.verdict, said.numbers) == ("pass", {"latency_ms": 500.0})
    scene.event_ns = -799 * MS
    assert one.check(scene.at(22).delta({0: 4.0}).of_book, scene.now()).verdict == "fail"


def test_latency_is_unknown_where_the_venue_gives_no_time() -> None:
    scene = Scene()
    one = Latency(LatencyOptions(), scene.chain.kit)
    for i in range(20):
        scene.at(i).delta({0: 1.0 + i})
        one.observe(scene.now())
    assert one.check(scene.of_book, scene.now()).verdict == "unknown"
    assert one.check(scene.of_trades, scene.now()).numbers == {"latency_ms": None}


def test_a_jump_of_the_offset_holds_for_ten_seconds() -> None:
    scene = Scene(event_ns=5 * MS)
    one = Clock(ClockOptions(), scene.chain.kit)

    def run(begin: float, end: float) -> None:
        for i in range(round((end - begin) * 10)):
            scene.at(begin + i / 10).delta({0: 1.0 + i % 7})
            one.observe(scene.now())

    run(0, 9)
    assert one.check(scene.of_book, scene.now()).verdict == "unknown"
    run(9, 20)
    assert one.check(scene.of_book, scene.now()).verdict == "pass"
    scene.event_ns = 305 * MS
    run(20, 26)
    said = one.check(scene.of_book, scene.now())
    assert (said.verdict, said.numbers) == ("fail", {"clock_ms": 300.0})
    run(26, 40)
    assert one.check(scene.of_book, scene.now()).verdict == "fail", (
        "the comparison is with 10 s ago, then it holds 10 s"
    )
    run(40, 48)
    assert one.check(scene.of_book, scene.now()).verdict == "pass"


def test_a_flood_of_messages_is_one_against_the_last_hour() -> None:
    scene = Scene()
    one = EventRate(EventRateOptions(min_count=100), scene.chain.kit)
    for i in range(110):
        for k in range(10 + i % 3):
            scene.at(i + k / 100).delta({0: 1.0 + k})
        one.observe(scene.now())
        assert one.check(scene.of_book, scene.now()).verdict == ("unknown" if i < 100 else "pass")
    for k in range(100):
        scene.at(110 + k / 1000).delta({0: 1.0 + k})
    one.observe(scene.at(111).now())
    assert one.check(scene.of_book, scene.now()).verdict == "pass", "beyond the quantile, but not ten times the median"
    for k in range(250):
        scene.at(111 + k / 1000).delta({0: 1.0 + k})
    one.observe(scene.at(112).now())
    said = one.check(scene.of_book, scene.now())
    assert (said.verdict, said.numbers) == ("fail", {"event_rate": 250.0})


def test_a_jump_of_the_mid_is_one_in_spreads_and_in_price() -> None:
    scene = Scene()
    one = Halt(HaltOptions(), scene.chain.kit)
    one.observe(scene.now())
    scene.at(0.5).delta(dict.fromkeys(range(5), 0.0))  # of a spread that grew with it
    one.observe(scene.now())
    assert one.check(scene.of_book, scene.now()).verdict == "pass"
    scene = Scene()
    one = Halt(HaltOptions(jump_bps="10"), scene.chain.kit)
    one.observe(scene.now())
    gone = dict.fromkeys(range(25), 0.0)
    scene.at(0.5).delta(gone, {-25: 5.0})
    one.observe(scene.now())
    said = one.check(scene.of_book, scene.at(1.5).now())
    assert (said.verdict, said.numbers, said.told) == ("fail", {"halt_s": 1.0}, "the mid jumped 1.0 s ago")
    one.observe(scene.at(2).now())
    assert one.check(scene.of_book, scene.at(10.499).now()).verdict == "fail"
    assert one.check(scene.of_book, scene.at(10.5).now()).verdict == "pass"


def test_a_jump_of_many_small_spreads_is_none() -> None:
    scene = Scene()
    one = Halt(HaltOptions(), scene.chain.kit)
    one.observe(scene.now())
    scene.at(0.5).delta(dict.fromkeys(range(4), 0.0), {-4: 5.0})
    one.observe(scene.now())
    assert one.check(scene.of_book, scene.now()).verdict == "pass"


def test_silence_is_a_halt_only_where_others_trade() -> None:
    scene, other = Scene(), Scene(venue="okx")
    one = Halt(HaltOptions(), scene.chain.kit)
    one.observe(scene.now())
    one.observe(scene.at(31).now())
    assert one.check(scene.of_book, scene.now()).verdict == "pass", "nobody else was heard of"
    scene.peers.append(other.peer())
    one.observe(scene.at(32).now())
    assert one.check(scene.of_book, scene.now()).verdict == "pass", "the other one is silent too"
    other.at(32.5).trade(1.0)
    one.observe(scene.at(33).now())
    said = one.check(scene.of_book, scene.now())
    assert (said.verdict, said.told) == ("fail", "silent while others trade 0.0 s ago")
    scene.at(34).trade(1.0)
    one.observe(scene.now())
    assert one.check(scene.of_book, scene.at(42.9).now()).verdict == "fail", "ten seconds of normal activity first"
    assert one.check(scene.of_book, scene.at(43).now()).verdict == "pass"


def test_an_instrument_that_does_not_trade_is_halted() -> None:
    scene = Scene()
    scene.instrument = Instrument(venue="binance", symbol="AAA/USDT", venue_symbol="AAAUSDT", active=False)
    one = Halt(HaltOptions(), scene.chain.kit)
    assert one.check(scene.of_book, scene.now()).verdict == "fail"


def test_a_rate_counts_what_opened_by_name() -> None:
    scene = Scene()
    one = Rate(RateOptions(n=2), scene.chain.kit)
    for seconds, verdict in ((0, "pass"), (1, "pass"), (2, "fail"), (59.9, "fail"), (60, "pass"), (60.5, "fail")):
        assert one.check(scene.of_book, scene.at(seconds).now()).verdict == verdict
        assert one.check(scene.of_book, scene.now()).verdict == verdict, "asking changes nothing"
        if verdict == "pass":
            one.opened(scene.of_book, scene.now())
    assert one.check(scene.of_trades, scene.now()).verdict == "pass", "another kind has its own account"


@pytest.mark.parametrize(
    "options", [WarmupOptions, StaleOptions, LatencyOptions, ClockOptions, EventRateOptions, HaltOptions, RateOptions]
)
def test_each_has_defaults(options: type) -> None:
    assert options() is not None
