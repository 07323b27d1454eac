"""Fault rules: what is refused and why, and when a rule strikes."""

from __future__ import annotations

import random

import pytest

from imbalanced.sim.faults import FaultError, Faults, parse, random_rules, rule, seconds


def struck(raw: dict[str, object], frames: int, stream: str = "btcusdt@depth@100ms") -> list[int]:
    faults = Faults(random.Random(1))
    faults.add(rule(raw))
    for frame in range(frames):
        faults.on_frame("binance_usdm", stream, frame * 0.1)
    return [hit.frame for hit in faults.injected]


def test_after_strikes_once_at_the_nth_matching_frame() -> None:
    assert struck({"fault": "drop", "venue": "binance_usdm", "stream": "btcusdt@depth", "after": 200}, 500) == [200]


def test_every_strikes_again_and_again_unless_counted() -> None:
    assert struck({"fault": "duplicate", "every": 3}, 10) == [3, 6, 9]
    assert struck({"fault": "duplicate", "every": 3, "count": 2}, 10) == [3, 6]


def test_without_timing_the_next_frame_is_hit() -> None:
    assert struck({"fault": "drop"}, 5) == [1]


def test_probability_is_seeded() -> None:
    hits = struck({"fault": "drop", "probability": 0.1}, 1000)
    assert hits == struck({"fault": "drop", "probability": 0.1}, 1000)
    assert 50 < len(hits) < 200


def test_at_waits_for_its_time() -> None:
    assert struck({"fault": "drop", "at": "1s"}, 50) == [11]


def test_others_are_left_alone() -> None:
    assert struck({"fault": "drop", "every": 1, "stream": "ethusdt@*"}, 5) == []
    assert struck({"fault": "drop", "every": 1, "venue": "binance"}, 5) == []
    assert struck({"fault": "drop", "every": 1, "stream": "*@depth"}, 2) == [1, 2]


def test_silence_lasts_and_is_noted_once() -> None:
    faults = Faults(random.Random(1))
    faults.add(rule({"fault": "silent", "after": 2, "for": "1s"}))
    hits = [bool(faults.on_frame("binance", "btcusdt@trade", frame * 0.25)) for frame in range(8)]
    assert hits == [False, True, True, True, True, False, False, False]
    assert len(faults.injected) == 1
    assert faults.injected[0].line() == "fault silent venue=binance stream=btcusdt@trade frame=2 at=0.250s"


def test_silence_without_for_never_ends_until_cleared() -> None:
    faults = Faults(random.Random(1))
    faults.add(rule({"fault": "silent"}))
    assert all(faults.on_frame("binance", "btcusdt@trade", float(now)) for now in range(100))
    faults.clear()
    assert not faults.on_frame("binance", "btcusdt@trade", 101.0)


def test_snapshots_have_faults_of_their_own() -> None:
    faults = Faults(random.Random(1))
    faults.add(rule({"fault": "stale_snapshot", "stream": "btcusdt@depth"}))
    assert faults.on_frame("binance", "btcusdt@depth", 0.0) == []
    hit = faults.on_snapshot("binance", "btcusdt@depth", 0.0)
    assert hit is not None
    assert hit.fault == "stale_snapshot"
    assert faults.on_snapshot("binance", "btcusdt@depth", 0.0) is None


def test_yaml_and_json_say_the_same() -> None:
    written = "- {fault: drop, venue: binance_usdm, stream: btcusdt@depth, after: 200}\n- {fault: silent, for: 10s}\n"
    same = (
        '[{"fault":"drop","venue":"binance_usdm","stream":"btcusdt@depth","after":200},{"fault":"silent","for":"10s"}]'
    )
    assert parse(written) == parse(same)
    assert parse("faults:\n  - fault: drop\n") == parse("[{fault: drop}]")
    assert parse("") == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[{fault: explode}]", "fault 1: Invalid enum value 'explode'"),
        ("[{fault: drop}, {fault: drop, afterr: 3}]", "fault 2: Object contains unknown field `afterr`"),
        ("[{fault: drop, after: 0}]", "`after` is 0, expected 1 or more"),
        ("[{fault: drop, after: x}]", "Expected `int | null`, got `str` - at `$.after`"),
        ("[{fault: drop, after: 3, every: 3}]", "`after` and `every` exclude each other"),
        ("[{fault: drop, probability: 1.5}]", "`probability` is 1.5"),
        ("[{fault: silent, for: 10}]", "Expected `str | null`, got `int` - at `$.for`"),
        ("[{fault: silent, for: soon}]", "`for`: 'soon' is no duration"),
        ("[{fault: drop, code: 1001}]", "`code` has no meaning for `drop`, only for close"),
        ("[{fault: close, code: 7}]", "`code` is 7, expected a websocket close code"),
        ("{drop: 3}", "expected a list of faults, got dict"),
        ("[}", "neither YAML nor JSON"),
    ],
)
def test_a_wrong_description_is_refused_with_the_reason(text: str, said: str) -> None:
    with pytest.raises(FaultError) as refused:
        parse(text)
    assert said in str(refused.value)


def test_durations_need_a_unit() -> None:
    assert [seconds(text) for text in ("500us", "200ms", "5s", "1.5m", "2h")] == [0.0005, 0.2, 5.0, 90.0, 7200.0]
    with pytest.raises(FaultError, match="no duration"):
        seconds("5")


def test_random_rules_come_from_the_seed() -> None:
    assert random_rules(random.Random(4), ["binance"]) == random_rules(random.Random(4), ["binance"])
    assert random_rules(random.Random(4), ["binance"]) != random_rules(random.Random(5), ["binance"])
