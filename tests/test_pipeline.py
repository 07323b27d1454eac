"""Frames in, events, snapshots and signals out; what opens, what closes, and that it is the same every time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from conversation import START_NS, S, diff_text, trade_text
from scripted import FLOW, LEAN, PUSH, VENUE, Script, configured

from imbalanced.detect import FILTERS
from imbalanced.detect.confidence import Calibration, Cell, Owner, Track
from imbalanced.events import (
    BookInvalid,
    BookReplaced,
    BookValid,
    Explained,
    Frame,
    Graded,
    Instrument,
    MetricSnapshot,
    Signal,
    Suppressed,
    Trade,
)
from imbalanced.jsontext import signal_json, snapshot_json
from imbalanced.pipeline import Pipeline, furnish
from imbalanced.replay import with_timers
from imbalanced.venues.codec import Fetch, Open, Wake

if TYPE_CHECKING:
    from imbalanced.config import Config


def run(script: Script, config: Config | None = None, *, timers: bool = True) -> list[Any]:
    """All outputs of a script, with or without the timers that the pipeline asks for."""
    pipeline = Pipeline(config or configured())
    return [out for _, _, made in with_timers(script.frames, pipeline, own=not timers) for out in made]


def signals(outputs: list[Any]) -> list[Signal]:
    return [out for out in outputs if type(out) is Signal]


def words(outputs: list[Any]) -> list[str]:
    return [f"{one.event} {one.kind} {one.side}" + (f" {one.reason}" if one.reason else "") for one in signals(outputs)]


OPEN_LEAN = "open market_depth_imbalance"
CLOSE_LEAN = "close market_depth_imbalance"


def leaning() -> Script:
    return Script().up().calm(2).lean("9", "1")


# -- opening and closing -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("bid", "ask", "side"), [("9", "1", "buy"), ("1", "9", "sell")])
def test_a_lean_opens_a_signal_and_fades(bid: str, ask: str, side: str) -> None:
    outputs = run(Script().up().calm(2).lean(bid, ask).calm(2))
    assert words(outputs) == [f"{OPEN_LEAN} {side}", f"{CLOSE_LEAN} {side} faded"]
    opened, closed = signals(outputs)
    assert opened.id == closed.id
    assert opened.seq == closed.seq == 0, "the journal gives it its place"
    assert opened.recv_ns - START_NS == 2_300_000_000, "200 ms after the first frame that leaned, at the next value"
    assert opened.ts_ns == opened.recv_ns - 3_000_000, "the venue's time of the book"
    assert (opened.venue, opened.instrument, opened.horizon_ms) == (VENUE, "AAA/USDT", 5000)
    assert 0.5 <= opened.strength <= 1
    assert abs(opened.score) >= 0.5
    assert opened.mid == "100"
    assert opened.evidence["band_imbalance"] == opened.score
    assert closed.evidence["duration_ms"] == (closed.recv_ns - opened.recv_ns) / 1e6


def test_a_short_lean_opens_nothing() -> None:
    assert words(run(Script().up().calm(2).lean("9", "1", 0.2).calm(1))) == []


def test_takers_open_a_signal_of_trades_and_it_fades_when_the_window_empties() -> None:
    script = Script().up().calm(2).trade("6").wait(0.05).trade("6").calm(5)
    outputs = run(script)
    assert words(outputs) == ["open aggressive_order_flow buy", "close aggressive_order_flow buy faded"]
    opened, closed = signals(outputs)
    assert opened.evidence["signed_notional"] == pytest.approx(1201.2)
    # No trade came after it: the clock alone empties the window, a little late because it runs behind.
    assert 2.0 <= (closed.recv_ns - opened.recv_ns) / S <= 2.6


def test_takers_on_both_sides_open_nothing() -> None:
    script = Script().up().calm(2)
    for i in range(10):
        script.wait(0.01).trade("6", sell=i % 2 == 0)
    assert words(run(script.calm(1))) == []


def test_order_flow_is_measured_against_its_own_past() -> None:
    config = configured(FLOW)
    script = Script().up().calm(10).lean("60", "1", 0.1).calm(1)
    (opened, *_) = signals(run(script, config))
    assert (opened.event, opened.kind, opened.side) == ("open", "order_flow_imbalance", "buy")
    assert opened.score >= 3
    quiet = Script().up().calm(1).lean("60", "1", 0.1).calm(1)
    assert words(run(quiet, config)) == [], "a standardiser that is not warm gives no score"


def test_growing_and_turning() -> None:
    config = configured({**LEAN, "on": "0.3", "off": "0.1"})
    script = Script().up().calm(1).lean("3", "1").lean("40", "1").lean("1", "40", 1)
    told = words(run(script, config))
    assert told[0] == f"{OPEN_LEAN} buy"
    assert "update market_depth_imbalance buy" in told
    assert told[-2:] == [f"{CLOSE_LEAN} buy reversed", f"{OPEN_LEAN} sell"]


def test_what_does_not_fade_expires() -> None:
    outputs = run(Script().up().calm(1).lean("9", "1", 30))
    opened, closed, *_ = signals(outputs)
    assert closed.reason == "expired"
    assert closed.ts_ns - opened.ts_ns == 20 * S


# -- only proven books -------------------------------------------------------------------------------------------------


def test_a_gap_closes_what_is_open_at_that_frame_and_nothing_comes_until_the_book_is_proven_again() -> None:
    script = leaning().wait(0.1).diff("9", "1", skip=5)
    gap_ns = script.now_ns
    script.lean("9", "1", 1).trade("50").wait(0.2).image().calm(0.1)
    proven_ns = script.now_ns - 100_000_000
    outputs = run(script.lean("9", "1"))
    assert words(outputs)[:2] == [f"{OPEN_LEAN} buy", f"{CLOSE_LEAN} buy book_invalid"]
    closed = signals(outputs)[1]
    assert (closed.recv_ns, closed.mid, closed.proof.book_seq, closed.proof.gaps_1h) == (gap_ns, None, -1, 1)
    between = [out for out in outputs if gap_ns < getattr(out, "recv_ns", 0) < proven_ns]
    assert not signals(between), "a book that is not proven gives no signals"
    for snapshot in between:
        if type(snapshot) is MetricSnapshot:
            assert (snapshot.mid, snapshot.book_seq) == (None, -1)
            of_trades = ("trade_imbalance", "vwap_deviation")
            numbers = [name for name, x in snapshot.values.items() if x is not None and not name.startswith(of_trades)]
            assert numbers == [], "of a book that is not proven there is no number; trades have values of their own"
    again = signals(outputs)[2:]
    assert [one.event for one in again] == ["open"], "no cooldown after a lost book: the next one is a new life"
    assert again[0].recv_ns >= proven_ns + 200_000_000, "persistence is measured anew"


def test_a_book_that_is_never_proven_gives_nothing() -> None:
    script = Script()
    script.up()
    script.frames = [frame for frame in script.frames if frame.kind != "http"]
    outputs = run(script.lean("9", "1", 5).trade("50"))
    assert signals(outputs) == []
    assert not any(type(out) in (BookValid, BookReplaced, BookInvalid) for out in outputs)
    assert any(type(out) is Trade for out in outputs)


def test_a_gap_of_one_instrument_leaves_the_signals_of_another() -> None:
    script = Script("AAAUSDT", "BBBUSDT").up()
    for _ in range(6):
        script.wait(0.1).diff("9", "1").diff("9", "1", "BBBUSDT")
    outputs = run(script.diff("9", "1", skip=3))
    assert [(one.event, one.instrument) for one in signals(outputs)] == [
        ("open", "AAA/USDT"),
        ("open", "BBB/USDT"),
        ("close", "AAA/USDT"),
    ]


def test_a_closed_socket_closes_every_signal_of_its_books() -> None:
    script = Script("AAAUSDT", "BBBUSDT").up()
    for _ in range(6):
        script.wait(0.1).diff("9", "1").diff("9", "1", "BBBUSDT")
    closed = signals(run(script.frame("close", "1006")))[2:]
    assert [(one.instrument, one.reason) for one in closed] == [
        ("AAA/USDT", "book_invalid"),
        ("BBB/USDT", "book_invalid"),
    ]


# -- the clock ---------------------------------------------------------------------------------------------------------


def test_a_frozen_book_opens_nothing() -> None:
    script = Script().up().calm(1).lean("9", "1", 0.1)
    outputs = run(script.wait(5).trade("0.001"))
    assert words(outputs) == [], "only a value confirms; time alone never opens"


def test_without_any_frame_an_open_signal_expires_by_the_clock() -> None:
    script = leaning().wait(25).trade("0.001")
    opened, closed = signals(run(script))
    assert (closed.event, closed.reason) == ("close", "expired")
    assert 20 <= (closed.recv_ns - opened.recv_ns) / S < 21


def test_the_clock_is_a_timer_on_a_grid_that_orders_the_next() -> None:
    pipeline = Pipeline(configured(clock="250ms"))
    pipeline.feed(Frame(START_NS + 1, VENUE, 1, "ws", b"{}"))
    due = START_NS
    for _ in range(3):
        due += S // 4
        assert [command for command in pipeline.commands() if command.venue == ""] == [Wake(venue="", at_ns=due)]
        pipeline.feed(Frame(due, "", 0, "wake", b""))


def test_a_tick_before_anything_was_heard_is_nothing() -> None:
    pipeline = Pipeline(configured())
    assert pipeline.feed(Frame(START_NS, "", 0, "wake", b"")) == []


def test_frames_of_venues_that_are_not_configured_are_nothing() -> None:
    pipeline = Pipeline(configured())
    assert pipeline.feed(Frame(START_NS, "elsewhere", 1, "ws", b"garbage")) == []


# -- stopping ----------------------------------------------------------------------------------------------------------


def test_an_orderly_stop_closes_all_in_the_order_of_their_ids() -> None:
    script = Script("AAAUSDT", "BBBUSDT").up()
    for _ in range(6):
        script.wait(0.1).diff("9", "1").diff("1", "9", "BBBUSDT")
    script.trade("20").wait(0.01).trade("20")
    outputs = run(script.wait(0.1).stop())
    opened = {one.id: one for one in signals(outputs) if one.event == "open"}
    closed = [one for one in signals(outputs) if one.event == "close"]
    assert [one.id for one in closed] == sorted(opened)
    assert len(opened) == 3
    assert {one.reason for one in closed} == {"shutdown"}
    assert all(one.side == opened[one.id].side for one in closed)
    assert words(run(script.stop()))[-1] == words(outputs)[-1], "stopping twice closes nothing twice"


# -- identity and proof ------------------------------------------------------------------------------------------------


def test_the_same_frames_give_the_same_bytes() -> None:
    def told() -> list[bytes]:
        outputs = run(leaning().trade("20").calm(3).lean("1", "9").diff("1", "9", skip=2).stop())
        made = [signal_json(out) for out in signals(outputs)]
        return made + [snapshot_json(out) for out in outputs if type(out) is MetricSnapshot]

    first = told()
    assert len(first) > 10
    assert first == told()


def test_ids_are_of_the_opening_frame_and_the_detector() -> None:
    other = {**LEAN, "name": "lean_too"}
    outputs = run(leaning(), configured(LEAN, other))
    ids = [one.id for one in signals(outputs)]
    assert len(set(ids)) == len(ids) == 2
    assert all(len(one) == 16 for one in ids)
    assert {one.id for one in signals(run(leaning()))} < set(ids), "the same detector at the same frame has the same id"
    later = Script().up().calm(2.1).lean("9", "1")
    assert not {one.id for one in signals(run(later))} & set(ids)


def test_a_signal_says_what_it_rests_on() -> None:
    config = configured(LEAN, filters={**ONLY, "warmup": {"min_age": "1s"}, "rate": "off"})
    (opened,) = signals(run(leaning(), config))
    assert opened.proof.book_seq == 10 + 1 + 20 + 3
    assert opened.proof.book_age_ms == 2300
    assert opened.proof.gaps_1h == 0
    unknown = {"latency", "clock", "spread", "depth", "volatility", "event_rate", "sentiment", "confirm", "cost"}
    assert opened.proof.checks == ["sequence", *(name for name in FILTERS if name not in {*unknown, "spoof", "rate"})]
    assert opened.config == Pipeline(config).fingerprint


# -- filters -----------------------------------------------------------------------------------------------------------


def test_nothing_is_remembered_for_filters_that_nobody_asks() -> None:
    mute = {VENUE: {"instruments": ["AAA/USDT"], "detectors": []}}
    loud = {"bybit": {"instruments": ["AAA/USDT:USDT"], "detectors": [LEAN]}}
    instrument = Instrument(venue=VENUE, symbol="AAA/USDT", venue_symbol="AAAUSDT", tick="0.01")
    _, _, alone = furnish(configured(venues=mute, filters={}), VENUE, instrument)
    assert (list(alone), alone.kit.metrics) == ([], [])
    _, _, peer = furnish(configured(venues={**mute, **loud}, filters={}), VENUE, instrument)
    assert "spoof" in peer, "another venue's detectors look at this one's depth"
    assert peer.kit.metrics


# A scripted market has no depth to speak of, and its sizes are gone before they have an age.
ONLY: dict[str, Any] = {"depth": {"min_notional": "0"}, "spoof": "off"}


def test_a_filter_that_blocks_is_counted_and_tried_again() -> None:
    config = configured({**LEAN, "settle": "0ms"}, filters={"warmup": {"min_age": "3s"}})
    outputs = run(Script().up().lean("9", "1", 4), config)
    blocked = [out for out in outputs if type(out) is Suppressed]
    assert {(one.filter, one.kind, one.instrument) for one in blocked} == {
        ("warmup", "market_depth_imbalance", "AAA/USDT")
    }
    assert len(blocked) > 20
    (opened,) = signals(outputs)
    assert opened.recv_ns - START_NS == 3 * S, "the first value at which the filter lets it"
    assert opened.id == signals(run(Script().up().lean("9", "1", 4), config))[0].id


def test_filters_never_hold_back_a_close() -> None:
    config = configured({**LEAN, "cooldown": "0ms"}, filters={**ONLY, "warmup": "off", "rate": {"n": 1}})
    outputs = run(leaning().calm(1).lean("9", "1").calm(1), config)
    assert words(outputs) == [f"{OPEN_LEAN} buy", f"{CLOSE_LEAN} buy faded"]
    assert any(out.filter == "rate" for out in outputs if type(out) is Suppressed)


def test_an_open_has_the_numbers_of_its_filters_and_the_whole_chain_is_explained() -> None:
    config = configured(LEAN, filters={**ONLY, "warmup": {"min_age": "1s"}})
    outputs = run(leaning(), config)
    (opened,) = signals(outputs)
    (why,) = [out for out in outputs if type(out) is Explained]
    assert [answer.name for answer in why.filters] == [name for name in FILTERS if name != "spoof"]
    assert opened.evidence["warmup_s"] == pytest.approx(2.3)
    assert opened.evidence["volatility_q"] is None
    assert opened.evidence["quality"] == opened.evidence["q_flicker"] == 1.0


def test_soft_qualities_scale_the_strength_while_the_signal_lives() -> None:
    # What came to the best levels was cancelled at once, again and again: 0.75 of it.
    script = leaning().lean("9", "1", 0.1)
    for _ in range(6):
        script.wait(0.1).diff("29", "1").wait(0.1).diff("14", "1")
    plain = configured({**LEAN, "min_duration": "1s"})
    soft = configured({**LEAN, "min_duration": "1s"}, filters={**ONLY, "warmup": "off"})
    (strong,), (weak,) = (
        [one for one in signals(run(script, config)) if one.event == "open"] for config in (plain, soft)
    )
    assert weak.id == strong.id
    assert 0 < weak.evidence["quality"] < 1  # type: ignore[operator]
    assert weak.strength == pytest.approx(strong.strength * weak.evidence["quality"])  # type: ignore[operator]
    closes = [one for one in signals(run(script.lean("1", "1"), soft)) if one.event == "close"]
    full = [one for one in signals(run(script, plain)) if one.event == "close"]
    assert closes[0].strength == pytest.approx(full[0].strength * weak.evidence["quality"])  # type: ignore[operator]


def test_a_hard_filter_that_turns_bad_ends_an_open_signal() -> None:
    config = configured(LEAN, filters={**ONLY, "warmup": "off", "stale": {"max_age": "1s"}})
    script = leaning()
    script.wait(2.5).frame("ws", b"{}")
    outputs = run(script, config)
    opened, closed = signals(outputs)
    assert (closed.event, closed.reason, closed.id) == ("close", "faded", opened.id)
    assert str(closed.evidence["ended_by"]).startswith(("stale: book 1.", "stale: book 2.0"))
    assert closed.recv_ns < script.now_ns, "once a second, not at the next frame"


def test_a_refusal_carries_its_line() -> None:
    config = configured(LEAN, filters={**ONLY, "warmup": {"min_age": "3s"}})
    blocked = [out for out in run(Script().up().lean("9", "1", 1), config) if type(out) is Suppressed]
    assert blocked[0].evidence == "proven for 0.3 s of 3"


def test_without_the_filter_depth_is_taken_at_its_word() -> None:
    """The age of depth is a part of the filter `spoof`: it exists where the filter does."""

    def opens(**filters: Any) -> int:
        chosen = {"warmup": "off", "depth": "off", "flicker": "off", **filters}
        return len([one for one in signals(run(leaning(), configured(LEAN, filters=chosen))) if one.event == "open"])

    assert opens(spoof="off") == 1
    assert opens() == 0, "it has not stood"


# -- snapshots ---------------------------------------------------------------------------------------------------------


def test_snapshots_are_of_what_changed_since_the_last_and_say_how_much() -> None:
    script = Script("AAAUSDT", "BBBUSDT").up().calm(2)
    outputs = run(script.wait(1).trade("1"), configured(snapshots="1s", clock="100ms"))
    told = [out for out in outputs if type(out) is MetricSnapshot]
    assert [one.instrument for one in told].count("BBB/USDT") == 1, "nothing happened there after its proof"
    of_aaa = [one for one in told if one.instrument == "AAA/USDT"]
    assert all(one.conflated >= 1 for one in of_aaa)
    assert of_aaa[2].conflated == 10
    assert of_aaa[2].mid == "100"
    assert of_aaa[2].values["queue_imbalance"] is not None


def test_fields_of_metrics_with_several_parts() -> None:
    config = configured(metrics=[{"metric": "mlofi", "levels": 2}, {"metric": "cancel_add"}])
    outputs = run(Script().up().calm(2), config)
    last = [out for out in outputs if type(out) is MetricSnapshot][-1]
    assert {"mlofi.1", "mlofi.2"} < set(last.values)
    assert any(name.startswith("cancel_add.") for name in last.values)


# -- several venues and discovery --------------------------------------------------------------------------------------


def test_an_unlisted_recording_finds_its_own_instruments() -> None:
    pipeline = Pipeline(configured(), discover=True)
    script = Script()
    script.diff().image().trade("1")
    made = [out for frame in script.frames for out in pipeline.feed(frame)]
    assert [type(out).__name__ for out in made] == ["ResyncEnded", "BookValid", "BookReplaced", "Trade"]
    assert list(pipeline.seats) == [(VENUE, "AAAUSDT")]


def test_of_an_unlisted_recording_what_is_configured_is_taken_by_its_name() -> None:
    pipeline = Pipeline(configured())
    script = Script()
    script.diff().image().trade("1").frame("ws", trade_text("ZZZUSDT", 1, "100", "9"))
    made = [out for frame in script.frames for out in pipeline.feed(frame)]
    assert [type(out).__name__ for out in made] == ["ResyncEnded", "BookValid", "BookReplaced", "Trade"]
    assert list(pipeline.seats) == [(VENUE, "AAA/USDT")]
    assert pipeline.sessions[VENUE].books.passed_over == {"ZZZUSDT": "ZZZUSDT"}


def test_all_of_a_quote_currency_may_be_configured() -> None:
    pipeline = Pipeline(configured(venues={VENUE: {"instruments": {"quote": "USDT", "top": 5}}}))
    for symbol in ("BBBUSDT", "BBBEUR"):
        pipeline.feed(Frame(S, VENUE, 1, "ws", trade_text(symbol, 1, "100", "9").encode()))
    assert list(pipeline.seats) == [(VENUE, "BBBUSDT")]


def test_what_is_listed_is_all_there_is() -> None:
    pipeline = Pipeline(configured(venues={VENUE: {"instruments": ["AAA/USDT", "ZZZ/USDT"]}}))
    script = Script().up()
    script.frame("ws", trade_text("ZZZUSDT", 1, "100", "9"))
    for frame in script.frames:
        pipeline.feed(frame)
    assert "ZZZUSDT" not in pipeline.sessions[VENUE].lanes, "the list came without it"


def test_commands_come_from_all_sessions_and_are_taken_once() -> None:
    pipeline = Pipeline(configured())
    for frame in Script().up().frames[:3]:
        pipeline.feed(frame)
    taken = pipeline.commands()
    assert {type(command) for command in taken} >= {Open, Fetch, Wake}
    assert taken[0] == Wake(venue="", at_ns=START_NS + S // 10), "the clock is asked for with the first frame"
    assert pipeline.commands() == []
    kept = list(taken)
    pipeline.feed(Frame(taken[0].at_ns, "", 0, "wake", b""))
    assert taken == kept, "what was taken is the taker's"
    assert [command.venue for command in pipeline.commands()] == [""]


def test_endpoints_can_be_others() -> None:
    venue = {"instruments": ["AAA/USDT"], "endpoints": {"rest": "http://127.0.0.1:1/", "ws": "ws://127.0.0.1:2"}}
    pipeline = Pipeline(configured(venues={VENUE: venue}))
    assert pipeline.sessions[VENUE].codec.fetch_image("AAAUSDT").url.startswith("http://127.0.0.1:1/api")


def test_a_seat_of_nobody() -> None:
    assert Pipeline(configured()).seat(VENUE, "NO/SUCH") is None


def test_odd_frames_disturb_nothing() -> None:
    plain = run(leaning().calm(1))
    script = Script().up().calm(2)
    for text in ('{"result":null,"id":1}', '{"stream":"x","data":{"e":"news"}}', trade_text("ZZZUSDT", 1, "1", "1")):
        script.frame("ws", text)
    script.frame("ws", diff_text("ZZZUSDT", 1, 1))
    assert words(run(script.lean("9", "1").calm(1))) == words(plain)
    assert PUSH["kind"] == "aggressive_order_flow"


def test_funding_interest_and_forced_orders_reach_the_metrics_that_want_them() -> None:
    metrics = [{"metric": "funding_pressure"}, {"metric": "liquidation_imbalance"}, {"metric": "spread"}]
    venues = {"binance_usdm": {"instruments": ["AAA/USDT"]}}
    script = Script(venue="binance_usdm").up().calm(1)
    for i in range(3):
        script.wait(0.1)
        mark = f'"E":{script.event_ms()},"s":"AAAUSDT","p":"100.1","i":"100","r":"0.0001"'
        script.frame("ws", f'{{"e":"markPriceUpdate",{mark}}}')
        order = f'{{"s":"AAAUSDT","S":"SELL","p":"99","z":"{i + 1}","T":{script.event_ms()}}}'
        script.frame("ws", f'{{"e":"forceOrder","E":1,"o":{order}}}')
        script.frame("ws", f'{{"e":"markPriceUpdate","E":{script.event_ms()},"s":"AAAUSDT","p":"100.1"}}')
    outputs = run(script.calm(2), configured(metrics=metrics, venues=venues))
    last = [out for out in outputs if type(out) is MetricSnapshot][-1]
    assert any(x for name, x in last.values.items() if name.startswith("liquidation_imbalance"))


# -- confidence --------------------------------------------------------------------------------------------------------


def taught(*, wins: int, losses: int, kind: str = LEAN["kind"]) -> Calibration:
    """A past of this kind on AAA/USDT."""
    past = Track()
    for i in range(wins + losses):
        net = 1e-4 if i < wins else -1e-4
        past.outcome(Owner(kind, VENUE, "AAA/USDT"), 0.6, opened_ns=i * S, known_ns=(i + 1) * S, net=net)
    return past.frozen()


def begun_from(calibration: Calibration | None, script: Script, **more: Any) -> list[Any]:
    pipeline = Pipeline(configured(LEAN, **more), calibration=calibration)
    return [out for _, _, made in with_timers(script.frames, pipeline, own=False) for out in made]


def lately(calibration: Calibration, now_ns: int = START_NS) -> Calibration:
    """The same past, as if it had just been."""
    cells = [msgspec.structs.replace(one, cell=aged(one.cell, now_ns)) for one in calibration.cells]
    return Calibration(cells=tuple(cells))


def aged(cell: Cell, now_ns: int) -> Cell:
    moved = msgspec.structs.replace(cell)
    moved.at_ns = now_ns
    return moved


def test_confidence_is_unknown_at_first_and_comes_from_the_past_of_the_kind() -> None:
    script = Script().up().calm(2).lean("9", "1").calm(2)
    opened, closed = signals(begun_from(None, script))
    assert (opened.confidence, opened.evidence["confidence_n"]) == (None, 0.0)
    start = lately(taught(wins=80, losses=20))
    opened, closed = signals(begun_from(start, script))
    assert opened.confidence == pytest.approx(0.77, abs=0.03)
    assert closed.confidence == opened.confidence, "what it was opened with"
    other = signals(begun_from(lately(taught(wins=80, losses=20, kind="sweep")), script))
    assert other[0].confidence is None


def test_the_calibration_is_part_of_what_a_signal_rests_on() -> None:
    script = Script().up().calm(2).lean("9", "1").calm(2)
    told = {signals(begun_from(start, script))[0].config for start in (None, taught(wins=1, losses=0))}
    assert len(told) == 2


def test_a_degraded_kind_says_so_and_is_held_back_where_that_is_wished() -> None:
    script = Script().up().calm(2).lean("9", "1").calm(10)
    start = lately(taught(wins=10, losses=90))
    told = begun_from(start, script)
    assert signals(told)[0].evidence["degraded"] == 1.0
    muted = begun_from(start, script, grading={"mute_degraded": True})
    assert signals(muted) == []
    assert {one.filter for one in muted if type(one) is Suppressed} == {"degraded"}
    assert not [one for one in muted if type(one) is Graded], "graded in silence"


def test_what_is_held_back_is_still_learned_from() -> None:
    script = Script().up().calm(2).lean("9", "1").calm(10)
    start = lately(taught(wins=10, losses=90))
    pipeline = Pipeline(configured(LEAN, grading={"mute_degraded": True}), calibration=start)
    for _ in with_timers(script.frames, pipeline, own=False):
        pass
    owner = Owner(LEAN["kind"], VENUE, "AAA/USDT")
    before = Track(start).confidence(owner, 0.6, script.now_ns).n
    cells = [one.cell.n for one in pipeline.track.frozen().cells if one.instrument and one.bin < 0]
    assert sum(cells) == pytest.approx(before + 1, abs=0.01)
