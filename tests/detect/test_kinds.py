"""What holds for every kind: its life over random markets, its faults in a configuration, what it costs nobody."""

from __future__ import annotations

from typing import Any

import pytest
from conversation import MS
from eager import EAGER, LEAD, RAW
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import VENUE, Script, configured

from imbalanced.config import DEFAULT_DETECTORS, ConfigError
from imbalanced.detect import DETECTORS
from imbalanced.detect.detector import options_without_more
from imbalanced.events import BookInvalid, BookReplaced, BookValid, Signal
from imbalanced.metrics.lifecycle import OPENED
from imbalanced.pipeline import Pipeline
from imbalanced.venues import VENUES

KINDS_OF_BOOK_AND_TRADES = {
    name for name, kind in DETECTORS.items() if set(kind.inputs.split()) <= {"book", "trade"} and name != "lead_lag"
}

SIZES = st.sampled_from(["1", "1.5", "9", "0.2", "30"])
SYMBOLS = st.sampled_from(["AAAUSDT", "BBBUSDT"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("diff"), SYMBOLS, SIZES, SIZES),
        st.tuples(st.just("trade"), SYMBOLS, SIZES, st.booleans()),
        st.tuples(st.just("gap"), SYMBOLS),
        st.tuples(st.just("image"), SYMBOLS),
        st.tuples(st.just("wait"), st.sampled_from([0.05, 0.1, 0.4, 2.0, 20.0])),
    ),
    min_size=5,
    max_size=40,
)


def market(steps: list[tuple[Any, ...]], *, stop: bool, even: bool = False) -> Script:
    """What was drawn, after a calm; ``even``: a calm that is its own mirror image."""
    script = Script("AAAUSDT", "BBBUSDT").up()
    for symbol in script.symbols:
        script = script.lean("1", "1", 2, symbol) if even else script.calm(2, symbol)
    for what, *how in steps:
        if what == "diff":
            script.diff(how[1], how[2], how[0])
        elif what == "trade":
            script.trade(how[1], how[0], sell=how[2])
        elif what == "gap":
            script.diff("2", "1", how[0], skip=5)
        elif what == "image":
            script.diff("1", "1", how[0]).image(how[0])
        else:
            script.wait(how[0])
            script.frame("wake", conn=0, venue="")
    return script.stop() if stop else script


def told(script: Script, *detectors: dict[str, Any]) -> list[Any]:
    pipeline = Pipeline(configured(*detectors))
    return [one for frame in script.frames for one in pipeline.feed(frame)]


@settings(max_examples=25, deadline=None)
@given(steps=STEPS, stop=st.booleans())
def test_every_open_has_one_close_or_is_open_at_the_end(steps: list[tuple[Any, ...]], stop: bool) -> None:
    script = market(steps, stop=stop)
    open_now: dict[str, Signal] = {}
    ids: set[str] = set()
    places: set[tuple[str, str, str]] = set()
    live: dict[str, bool] = {}
    for one in told(script, *EAGER):
        if isinstance(one, BookValid | BookReplaced):
            live[one.instrument] = True
        elif isinstance(one, BookInvalid):
            live[one.instrument] = False
        elif isinstance(one, Signal):
            place = (one.kind, str(one.evidence["on"]), one.instrument)
            if one.event == "open":
                assert live.get(one.instrument), f"{one.kind} opened while its book is not live"
                assert one.id not in ids
                ids.add(one.id)
                open_now[one.id] = one
                assert (one.side == "none") == (one.kind == "spread_shock")
            elif one.event == "update":
                assert open_now[one.id].side == one.side
            else:
                opened = open_now.pop(one.id)
                assert opened.side == one.side
                assert one.reason is not None
                assert one.kind != "spread_shock" or one.reason != "reversed"
            places.add(place)
    assert not (stop and open_now), "an orderly stop closes all"


@settings(max_examples=15, deadline=None)
@given(steps=STEPS)
def test_no_two_of_one_detector_are_open_at_once(steps: list[tuple[Any, ...]]) -> None:
    pipeline = Pipeline(configured(*EAGER))
    known: set[str] = set()
    for frame in market(steps, stop=False).frames:
        known |= {one.id for one in pipeline.feed(frame) if isinstance(one, Signal) and one.event == "open"}
        detectors = [one for seat in pipeline.seats.values() for one in seat.desk.detectors]
        assert known >= {one.signal_id for one in detectors if one.lifecycle.state == OPENED}


# Of sizes alone: what is weighed by price changes slightly when prices are reflected.
MIRRORED = [
    one
    for one in EAGER
    if one["kind"]
    in ("order_flow_imbalance", "order_flow_imbalance_ratio", "microstructure_imbalance", "flow_toxicity")
]


@settings(max_examples=10, deadline=None)
@given(steps=STEPS)
def test_a_mirrored_market_gives_mirrored_signals(steps: list[tuple[Any, ...]]) -> None:
    def turned(one: tuple[Any, ...]) -> tuple[Any, ...]:
        if one[0] == "diff":
            return (*one[:2], one[3], one[2])
        return (*one[:3], not one[3]) if one[0] == "trade" else one

    def seen(steps: list[tuple[Any, ...]], sides: dict[str, str]) -> list[tuple[object, ...]]:
        signals = [one for one in told(market(steps, stop=True, even=True), *MIRRORED) if isinstance(one, Signal)]
        return sorted(
            (
                one.recv_ns,
                one.kind,
                one.instrument,
                one.event,
                sides[one.side],
                one.reason or "",
                round(one.strength, 9),
            )
            for one in signals
        )

    straight = seen(steps, {"buy": "buy", "sell": "sell"})
    assert seen([turned(one) for one in steps], {"buy": "sell", "sell": "buy"}) == straight


@settings(max_examples=5, deadline=None)
@given(steps=STEPS)
def test_the_same_frames_give_the_same_signals(steps: list[tuple[Any, ...]]) -> None:
    script = market(steps, stop=True)
    once, twice = ([one for one in told(script, *EAGER) if isinstance(one, Signal)] for _ in range(2))
    assert once == twice


def test_the_eager_ones_do_open() -> None:
    """A property over markets in which nothing happens would prove nothing."""
    script = Script("AAAUSDT", "BBBUSDT").up()
    for i in range(900):
        script.wait(0.1)
        for symbol in script.symbols:
            script.diff(("1", "9", "1.5", "0.2")[i // 2 % 4], ("1", "1.5", "9")[i // 3 % 3], symbol)
            script.trade(("1", "2", "5")[i % 3], symbol, sell=i // 7 % 2 == 0)
        script.frame("wake", conn=0, venue="")
    # What takers took is no exhaustion: it is quiet for a while before the bids are withdrawn.
    for i in range(900):
        script.wait(0.1)
        for symbol in script.symbols:
            script.diff(("9", "9.5")[i % 2] if i < 890 else ("0.2", "0.3")[i % 2], "9", symbol)
        script.frame("wake", conn=0, venue="")
    kinds = {one.kind for one in told(script, *EAGER) if isinstance(one, Signal) and one.event == "open"}
    assert kinds >= {"order_flow_imbalance", "order_flow_imbalance_ratio", "market_depth_imbalance", "composite"}
    assert kinds >= {"microstructure_imbalance", "aggressive_order_flow", "sweep"}
    assert kinds >= {"vwap_deviation", "book_exhaustion", "absorption", "flow_toxicity", "volume_spike"}


def test_a_frame_with_many_events_gives_every_signal_its_own_id() -> None:
    pipeline = Pipeline(configured({"kind": "sweep", "min_count": 1, "q": 0, "times": 0, "on": 1, "off": 1, **RAW}))
    for frame in Script().up().calm(1).frames:
        pipeline.feed(frame)
    ((_, seat),) = pipeline.seats.items()
    frame = Script().wait(100).frame("ws", b"one frame").frames[0]
    out: list[Any] = []
    start = seat.desk.trade_ns + 10**9
    for i in range(12):
        at = start + i * 50 * MS
        if seat.desk.trade(10_010_000_000, 1.0, 1 - 2 * (i % 2), at, frame.recv_ns):
            pipeline._signals(seat, frame, out)
    opens = [one.id for one in out if isinstance(one, Signal) and one.event == "open"]
    assert len(opens) > 3
    assert len(set(opens)) == len(opens)


def test_every_kind_of_book_and_trades_runs_by_default() -> None:
    assert {one["kind"] for one in DEFAULT_DETECTORS} == KINDS_OF_BOOK_AND_TRADES
    for name, venue in VENUES.items():
        assert {"book", "trade"} <= set(venue.provides), f"{name} cannot feed the default detectors"


@pytest.mark.parametrize("kind", DETECTORS)
def test_what_a_kind_says_of_itself_is_sound(kind: str) -> None:
    made = DETECTORS[kind]
    told = " ".join((made.__doc__ or "").split())
    assert "Source: " in told, f"{kind}: where does it come from?"
    assert "No value: " in told, f"{kind}: when has it none?"
    assert "ositive: " in told or not made.sided, f"{kind}: what does its sign mean?"
    options = options_without_more(made)
    assert (options is None) == (kind == "lead_lag")


@pytest.mark.parametrize(
    ("wrong", "path", "expected"),
    [
        ({"kind": "sweeep"}, "detectors[0].kind", "'sweep' perhaps"),
        ({"kind": "sweep", "onn": 3}, "detectors[0].onn", "'on' perhaps"),
        ({"kind": "sweep", "on": 1, "off": 2}, "detectors[0]", "off of at most on"),
        ({"kind": "composite", "weights": {}}, "detectors[0].weights", "more than 0"),
        ({"kind": "composite", "weights": {"sweep": 0}}, "detectors[0].weights", "more than 0"),
        ({"kind": "composite", "weights": {"sweeep": 1}}, "detectors[0].weights.sweeep", "'sweep' perhaps"),
        ({"kind": "composite", "weights": {"spread_shock": 1}}, "detectors[0].weights.spread_shock", "have one"),
        ({"kind": "composite", "weights": {"composite": 1}}, "detectors[0].weights.composite", "do not"),
        ({"kind": "composite", "weights": {"lead_lag": 1}}, "detectors[0].weights.lead_lag", "the name of such a"),
        ({"kind": "lead_lag"}, "detectors[0].leader", "venue, instrument"),
        (
            {**LEAD, "leader": {"venue": "binanc", "instrument": "B/U"}},
            "detectors[0].leader.venue",
            "'binance' perhaps",
        ),
        (
            {**LEAD, "leader": {"venue": VENUE, "instrument": "BBC/USDT"}},
            "detectors[0].leader.instrument",
            "'BBB/USDT'",
        ),
        ({"kind": "supply_demand_imbalance", "weights": {"okx": 1}}, "detectors[0].weights.okx", "one of binance"),
        ({"kind": "supply_demand_imbalance", "weights": {VENUE: 0}}, "detectors[0].weights", "more than 0"),
        ({"kind": "funding_extreme"}, "detectors[0]", "a kind that binance can feed"),
        ({"kind": "sweep", "per_instrument": {"CCC/USDT": {}}}, "detectors[0].per_instrument", "one of AAA/USDT"),
    ],
)
def test_faults_name_the_path(wrong: dict[str, Any], path: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        configured(wrong)
    assert any(fault.path.startswith(path) and expected in fault.expected for fault in caught.value.faults), (
        caught.value
    )


def test_faults_of_one_instruments_own_options_too() -> None:
    own = {**LEAD, "per_instrument": {"AAA/USDT": {"leader": {"instrument": "X/Y"}}}}
    with pytest.raises(ConfigError, match=r"leader\.instrument"):
        configured(own)


def test_a_venue_that_lists_its_instruments_later_may_have_any() -> None:
    loose = configured(
        {**LEAD, "leader": {"venue": VENUE, "instrument": "X/Y"}}, venues={VENUE: {"instruments": {"top": 3}}}
    )
    assert loose.detectors_of(VENUE)[0].kind == "lead_lag"
    configured({"kind": "sweep", "per_instrument": {"X/Y": {"on": 4}}}, venues={VENUE: {"instruments": {"top": 3}}})
