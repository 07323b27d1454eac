"""One kind of signal: its score, its episodes, and what it forgets with its book."""

from __future__ import annotations

from math import isnan, nan

import pytest
from scripted import TABLES, VENUE, configured
from test_desk import S, T, book, changed, desk_of

from imbalanced.config import ConfigError
from imbalanced.detect import DETECTORS
from imbalanced.detect.detector import Detector, DetectorOptions
from imbalanced.detect.signals import evidence
from imbalanced.detect.standardiser import Standardise
from imbalanced.metrics.lifecycle import CLOSE, IDLE, NOTHING, OPEN, OPENED
from imbalanced.metrics.metric import Grid
from imbalanced.options import read

RAW = Standardise(by="none")


def base(**changes: object) -> Detector:
    options = DetectorOptions(standardise=RAW, **changes)  # type: ignore[arg-type]
    return Detector("kind", "name", options, [], True)


def test_the_base_has_no_value_and_no_evidence() -> None:
    one = base()
    assert isnan(one.read())
    assert one.shape(2.5) == 2.5
    assert one.evidence() == {}
    assert one.step(T) == NOTHING
    assert isnan(one.x)


def test_off_is_below_on() -> None:
    with pytest.raises(ValueError, match="at most on"):
        DetectorOptions(on=1, off=2)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="off"):
        configured({"kind": "order_flow_imbalance", "on": 1, "off": 2})


NEEDED = {"lead_lag": {"leader": {"venue": VENUE, "instrument": "BBB/USDT"}}}


@pytest.mark.parametrize("kind", DETECTORS)
def test_every_kind_is_silent_before_its_first_value(kind: str) -> None:
    options = read(DETECTORS[kind].Options, NEEDED.get(kind, {}), kind, style="yaml")
    one = TABLES.detectors[kind](kind, kind, options, Grid())  # type: ignore[operator]
    assert isnan(one.read())
    assert one.step(T) == NOTHING
    assert one.clock(T + S) == NOTHING
    assert one.invalid(T + 2 * S) == NOTHING
    assert all(x is None or x != x or x == 0 for x in one.evidence().values())
    assert one.kind == kind
    assert set(one.evidence()), "a signal must say what it rests on"


def test_a_clock_ends_and_never_opens() -> None:
    desk, _ = desk_of(
        detectors=(
            {
                "kind": "market_depth_imbalance",
                "on": 0.5,
                "off": 0.2,
                "bps": 50,
                "min_duration": "1s",
                "max_age": "5s",
                "standardise": {"by": "none"},
            },
        )
    )
    (one,) = desk.detectors
    made = book(9.0, 1.0)
    desk.book_replaced(made, T, T)
    for i in range(1, 5):
        assert desk.clock(T + i * S) == 0
    assert desk.book_changed(made, T + 6 * S, T + 6 * S) == 1
    assert one.lifecycle.state == OPENED
    assert (one.raw, one.x) == (pytest.approx(0.8, abs=0.01), one.raw)
    assert desk.clock(T + 20 * S) == 1
    assert desk.fired == [(one, CLOSE)]
    assert one.lifecycle.state == IDLE


def test_a_lost_book_ends_it_and_what_it_was_measured_against() -> None:
    detectors = ({"kind": "order_flow_imbalance", "levels": 1, "standardise": {"half_life": "1s", "min_count": 5}},)
    desk, _ = desk_of(detectors=detectors)
    (one,) = desk.detectors
    made = book()
    desk.book_replaced(made, T, T)
    for i in range(1, 60):
        desk.book_changed(changed(made, 1.0 + i % 3, 1.0 + i % 2), T + i * S // 10, T + i * S // 10)
    assert one.standardiser.seen > 20
    assert not isnan(one.x)
    made.live = False
    desk.book_invalid(T + 6 * S)
    assert one.standardiser.seen == 0
    assert isnan(one.raw)
    assert isnan(one.x)
    assert evidence(one)["touch_flow"] is None


def test_what_rests_on_trades_keeps_its_yardstick_when_a_book_is_lost() -> None:
    detectors = ({"kind": "aggressive_order_flow", "standardise": {"half_life": "1s", "min_count": 5}},)
    desk, _ = desk_of(detectors=detectors)
    (one,) = desk.detectors
    made = book()
    desk.book_replaced(made, T, T)
    for i in range(1, 60):
        desk.trade(10_000_000_000, float(i % 3), 1 if i % 2 else -1, T + i * S // 10, T + i * S // 10)
    seen = one.standardiser.seen
    assert seen > 20
    made.live = False
    desk.book_invalid(T + 6 * S)
    assert one.standardiser.seen == seen


def test_a_score_must_lean_the_way_the_takers_do() -> None:
    desk, _ = desk_of(
        detectors=({"kind": "aggressive_order_flow", "standardise": {"by": "none"}, "min_imbalance": 0.4, "agree": 0},)
    )
    (one,) = desk.detectors
    desk.book_replaced(book(), T, T)
    desk.trade(10_000_000_000, 9.0, 1, T, T)
    desk.trade(10_000_000_000, 1.0, -1, T + 1, T + 1)
    assert one.evidence()["signed_notional"] == 800.0
    assert one.evidence()["taker_share"] == pytest.approx(0.5), "30 to 10: square roots of notional"
    assert one.evidence()["taker_pressure"] == pytest.approx((20 / 2) ** 0.5)
    assert one.shape(5.0) == 5.0
    assert one.shape(-5.0) == 0.0, "below the mean is not the same as selling"
    assert isnan(one.shape(nan))
    desk.trade(10_000_000_000, 3.0, -1, T + 2, T + 2)
    assert one.shape(5.0) == 0.0, "30 to 20 is not one-sided"
    desk.trade(10_000_000_000, 30.0, 0, T + 3, T + 3)
    assert one.evidence()["taker_share"] == pytest.approx(1 / 5), "a trade of no known side counts for none"


def test_options_of_one_instrument() -> None:
    config = configured({"kind": "order_flow_imbalance", "per_instrument": {"AAA/USDT": {"on": 7}}})
    (spec,) = config.detectors_of(VENUE)
    assert [float(spec.options_for(name).on) for name in ("AAA/USDT", "BBB/USDT")] == [7.0, 3.0]  # type: ignore[attr-defined]
    assert OPEN != CLOSE
