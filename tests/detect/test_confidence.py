"""Confidence: Beta posteriors in a chain of cells, forgetting, overlap, decay of a kind, the file it starts from."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imbalanced.detect.confidence import (
    ENOUGH,
    HALF_LIFE_NS,
    PRIOR,
    Calibration,
    CalibrationError,
    Owner,
    Track,
    read,
    strength_bin,
)

S = 1_000_000_000
BTC = Owner("order_flow_imbalance", "binance", "BTC/USDT")
ETH = BTC._replace(instrument="ETH/USDT")


def track(wins: int, losses: int, owner: Owner = BTC, strength: float = 0.55, start: Track | None = None) -> Track:
    """Outcomes one second apart, wins first."""
    made = start or Track()
    for i in range(wins + losses):
        net = 1e-4 if i < wins else -1e-4
        assert made.outcome(owner, strength, opened_ns=i * S, known_ns=(i + 1) * S, net=net)
    return made


def near(p: float) -> object:
    return pytest.approx(p, abs=1e-4)


def test_nothing_is_known_before_the_instrument_itself_has_enough() -> None:
    made = track(30, 19)
    assert made.confidence(BTC, 0.55, 49 * S).p is None
    made.outcome(BTC, 0.55, opened_ns=50 * S, known_ns=51 * S, net=1e-4)
    # Forgetting takes a little of the fifty, so one more is needed.
    made.outcome(BTC, 0.55, opened_ns=51 * S, known_ns=52 * S, net=1e-4)
    assert made.confidence(BTC, 0.55, 52 * S).p is not None
    assert made.confidence(ETH, 0.55, 52 * S) == (None, 0.0), "what BTC did is not what ETH did"


def test_each_cell_is_the_prior_of_the_next() -> None:
    made = track(60, 40)
    kind = (60 + PRIOR * 0.5) / (100 + PRIOR)
    instrument = (60 + PRIOR * kind) / (100 + PRIOR)
    deepest = (60 + PRIOR * instrument) / (100 + PRIOR)
    told = made.confidence(BTC, 0.55, 100 * S)
    assert told.p == near(deepest)
    assert told.n == pytest.approx(100, rel=1e-3)
    assert made.confidence(BTC, 0.95, 100 * S).p == near(instrument), "no such strength was ever graded"


def test_one_instrument_lends_its_kind_to_another() -> None:
    made = track(90, 10)
    track(30, 30, owner=ETH, start=made)
    alone = track(30, 30, owner=ETH)
    lent, own = made.confidence(ETH, 0.55, 100 * S).p, alone.confidence(ETH, 0.55, 100 * S).p
    assert lent is not None
    assert own is not None
    assert lent > own == near(0.5)


def test_strength_has_five_bins() -> None:
    assert [strength_bin(s) for s in (0.0, 0.49, 0.5, 0.59, 0.6, 0.75, 0.8, 1.0)] == [0, 0, 1, 1, 2, 3, 4, 4]


def test_half_of_it_is_forgotten_in_a_week() -> None:
    made = track(200, 0)
    before = made.confidence(BTC, 0.55, 200 * S)
    after = made.confidence(BTC, 0.55, 200 * S + HALF_LIFE_NS)
    assert after.n == pytest.approx(before.n / 2)
    assert before.p is not None
    assert after.p is not None
    assert 0.5 < after.p < before.p
    assert made.confidence(BTC, 0.55, 200 * S + 20 * HALF_LIFE_NS).p is None, "too little is left to say anything"


def test_outcomes_that_overlap_are_one() -> None:
    made = Track()
    assert made.outcome(BTC, 0.6, opened_ns=0, known_ns=30 * S, net=1e-4)
    assert not made.outcome(BTC, 0.6, opened_ns=29 * S, known_ns=59 * S, net=1e-4)
    assert made.outcome(ETH, 0.6, opened_ns=29 * S, known_ns=59 * S, net=1e-4), "another instrument"
    assert made.outcome(BTC, 0.6, opened_ns=30 * S, known_ns=60 * S, net=1e-4)
    assert made.confidence(BTC, 0.6, 60 * S).n == pytest.approx(2, rel=1e-3)


def test_a_kind_that_is_wrong_too_often_is_degraded_until_it_is_right_again() -> None:
    made = track(10, 60)
    assert made.degraded(BTC)
    assert not made.degraded(ETH)
    assert made.degraded_owners() == [BTC]
    # Twice as many rights as wrongs are needed to come back to even odds.
    for i in range(80):
        made.outcome(BTC, 0.55, opened_ns=(200 + i) * S, known_ns=(201 + i) * S, net=1e-3)
    assert not made.degraded(BTC)


def test_a_kind_that_is_often_right_and_loses_money_is_degraded() -> None:
    made = Track()
    for i in range(400):
        net = 1e-4 if i % 5 < 3 else -5e-4
        made.outcome(BTC, 0.6, opened_ns=i * S, known_ns=(i + 1) * S, net=net)
    p = made.confidence(BTC, 0.6, 400 * S).p
    assert p is not None
    assert p > 0.5
    assert made.degraded(BTC)


def test_losing_by_chance_is_not_enough() -> None:
    made = Track()
    for i in range(100):
        made.outcome(BTC, 0.6, opened_ns=i * S, known_ns=(i + 1) * S, net=1e-4 if i % 2 else -1.1e-4)
    assert not made.degraded(BTC), "a hundred outcomes cannot tell"


# -- the file ----------------------------------------------------------------------------------------------------------


def test_a_run_that_begins_from_a_file_goes_on_as_if_it_had_never_stopped() -> None:
    whole = track(40, 30)
    first = track(40, 30)
    second = Track(read(first.frozen().text()))
    for one in (whole, second):
        one.outcome(BTC, 0.7, opened_ns=100 * S, known_ns=101 * S, net=2e-4)
    assert second.confidence(BTC, 0.7, 101 * S) == whole.confidence(BTC, 0.7, 101 * S)
    assert second.frozen().text() == whole.frozen().text()
    assert Track(read(track(10, 60).frozen().text())).degraded(BTC)


def test_the_file_is_not_touched_by_the_run_that_began_from_it() -> None:
    start = track(40, 30).frozen()
    before = start.digest()
    track(20, 0, owner=ETH, start=Track(start))
    Track(start).confidence(BTC, 0.5, 10 * HALF_LIFE_NS)
    assert start.digest() == before


def test_the_name_of_a_calibration_is_what_is_in_it() -> None:
    assert track(3, 4).frozen().digest() == track(3, 4).frozen().digest()
    assert track(3, 4).frozen().digest() != track(4, 3).frozen().digest()
    assert len(Calibration().digest()) == 16


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected a calibration"),
        ("[]", "expected a calibration"),
        ('{"v": 2}', "version 2"),
        ('{"cells": [{"kind": "x", "cell": {"wins": 3, "n": 2}}]}', "wins <= n"),
        ('{"cells": [{"kind": "x", "bin": 9, "cell": {}}]}', "known bin"),
        ('{"cells": [{"kind": "x", "cell": {}, "weight": 1}]}', "weight"),
    ],
)
def test_a_file_that_is_none_says_so(text: str, said: str) -> None:
    with pytest.raises(CalibrationError, match=said):
        read(text)


@given(st.lists(st.tuples(st.booleans(), st.floats(0.0, 1.0)), max_size=120))
def test_a_confidence_is_a_probability_and_the_same_for_the_same_past(past: list[tuple[bool, float]]) -> None:
    told = []
    for _ in range(2):
        made = Track()
        for i, (won, strength) in enumerate(past):
            made.outcome(BTC, strength, opened_ns=i * S, known_ns=(i + 1) * S, net=1e-4 if won else -1e-4)
        told.append([made.confidence(BTC, s / 10, len(past) * S) for s in range(11)])
        assert made.frozen() == msgspec.json.decode(made.frozen().text(), type=Calibration)
    assert told[0] == told[1]
    for p, n in told[0]:
        assert p is None or 0.0 < p < 1.0
        assert 0.0 <= n <= len(past)
        assert p is None or len(past) >= ENOUGH
