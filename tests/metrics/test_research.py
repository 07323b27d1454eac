"""Labels, forward returns, the micro-price fit and the execution helpers on cases worked by hand."""

from __future__ import annotations

import random
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imbalanced.book import Book, Rows
from imbalanced.metrics import evaluate
from imbalanced.metrics.metric import NO_VALUE, VALUE, Grid
from imbalanced.metrics.microprice import Microprice, MicropriceOptions
from imbalanced.metrics.research import Table, Touch, fit_microprice, solve

Row = dict[str, Any]


def mids(*rows: tuple[int, str | None]) -> list[Row]:
    return [{"type": "value", "ts_ms": ts_ms, "x": x} for ts_ms, x in rows]


def signal(ts_ms: int, x: str = "1") -> Row:
    return {"type": "signal", "ts_ms": ts_ms, "x": x}


def row(x: Any) -> Row:
    return {"type": "row", "ts_ms": 0, "x": x}


def test_label_of_a_move_equal_to_the_band_is_neutral() -> None:
    """(0.3003 - 0.3) / 0.3 * 1e4 is more than 10 in floats."""
    events = mids((0, "0.3"), (1, None), (2, "0.3003"), (3, "0.3004"))
    answers = evaluate("label", {"k": 1, "alpha_bps": "10"}, events)
    assert answers[0] == pytest.approx({"move_bps": 10, "label": 0})
    assert answers[1] is None
    assert answers[2:] == [pytest.approx({"move_bps": 1 / 0.3003, "label": 0}), None]


def test_label_of_a_tape_shorter_than_its_horizon() -> None:
    assert evaluate("label", {"k": 3}, mids((0, "1"), (1, "2"), (2, "3"))) == [None] * 3
    assert evaluate("label", {}, []) == []


def test_forward_return_of_a_short_signal_without_latency() -> None:
    params = {"latency_ms": 0, "horizon_ms": 10, "round_trip_cost_bps": "1"}
    events = [*mids((0, "100"), (0, "50")), signal(0, "-1"), *mids((10, "49"), (11, "7"))]
    assert evaluate("forward_return", params, events)[2] == pytest.approx({"gross_bps": 200, "net_bps": 199})


def test_forward_return_needs_a_mid_before_and_a_tape_that_goes_on() -> None:
    params = {"latency_ms": 5, "horizon_ms": 10}
    events = [signal(0), *mids((6, "100"), (16, "100"), (18, None)), signal(1), signal(2)]
    answers = evaluate("forward_return", params, events)
    assert answers[0] is None  # nothing known at 5
    assert answers[4] == {"gross_bps": 0.0, "net_bps": -4.0}
    assert answers[5] is None  # the last mid is of 16, asked for 17


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(1, 9)), max_size=20),
    st.lists(st.integers(0, 30), max_size=5),
)
def test_forward_return_on_a_tape_whose_times_run_backwards(tape: list[tuple[int, int]], signals: list[int]) -> None:
    """ "Last" is by order, so the search must find what a walk over the whole tape finds."""

    def as_of(t: int) -> int | None:
        found = None
        for ts_ms, mid in tape:
            found = mid if ts_ms <= t else found
        return found if tape and tape[-1][0] >= t else None

    events = [*mids(*((ts_ms, str(mid)) for ts_ms, mid in tape)), *(signal(ts_ms) for ts_ms in signals)]
    answers = evaluate("forward_return", {"latency_ms": 2, "horizon_ms": 3, "round_trip_cost_bps": "0"}, events)
    for t, answer in zip(signals, answers[len(tape) :], strict=True):
        entry, out = as_of(t + 2), as_of(t + 5)
        if entry is None or out is None:
            assert answer is None
        else:
            gross = (out - entry) / entry * 1e4
            assert answer == pytest.approx({"gross_bps": gross, "net_bps": gross})


FITTED: dict[str, Any] = {
    "Q": [["0.5", "0.25"], ["0.25", "0.5"]],
    "T": [["0.15", "0.10"], ["0.10", "0.15"]],
    "R": [["0.2", "0.05"], ["0.05", "0.2"]],
    "K": ["-0.5", "0.5"],
}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"Q": None}, "x.Q is None"),
        ({"Q": [["0.5"], ["0.5"]]}, "x.Q"),
        ({"Q": [["0.5", "0.25"], ["0.5", "0.25"]]}, "mirror"),
        ({"K": ["-0.5", "0.6"]}, "mirror"),
        ({"T": [["0.15", "0.15"], ["0.15", "0.15"]]}, "sum to 1"),
        ({"R": [["0.3", "0.05"], ["0.05", "0.3"]]}, "sum to 1"),
        ({"K": ["a", "b"]}, "x.K is 'a'"),
    ],
)
def test_microprice_fit_names_what_is_wrong(change: Row, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        evaluate("microprice_fit", {}, [row(FITTED | change)])


def test_microprice_fit_without_any_move_has_no_value() -> None:
    still = {"Q": [["0.5", "0.5"], ["0.5", "0.5"]], "T": [["0", "0"]] * 2, "R": [["0", "0"]] * 2}
    assert evaluate("microprice_fit", {}, [row(FITTED | still)]) == [None]


def test_solve_exchanges_rows_and_knows_what_has_no_inverse() -> None:
    assert solve([[0.0, 2.0], [4.0, 1.0]], [[2.0], [9.0]]) == [[2.0], [1.0]]
    assert solve([[1.0, 2.0], [2.0, 4.0]], [[1.0], [1.0]]) is None


def walk(steps: int, seed: int = 7) -> list[Touch]:
    """A book of one or two ticks that moves up after a heavy bid more often than down."""
    chance = random.Random(seed)
    bid, size, touches = 1000, 0.5, []
    for _ in range(steps):
        size = min(0.99, max(0.01, size + chance.uniform(-0.3, 0.3)))
        if chance.random() < 0.3:
            bid += 10 if chance.random() < size else -10
        spread = 10 if chance.random() < 0.8 else 20
        touches.append(Touch(bid, size, bid + spread, 1 - size))
    return touches


def test_two_bins_of_the_general_fit_agree_with_the_exact_formula() -> None:
    touches = [touch._replace(ask_px=touch.bid_px + 10) for touch in walk(4000)]
    counts: dict[str, list[list[int]]] = {key: [[0, 0], [0, 0]] for key in "QTR"}
    for before, after in pairwise(touches):
        i, j = int(before.bid_size >= 0.5), int(after.bid_size >= 0.5)
        up = after.bid_px > before.bid_px
        for a, b, rise in ((i, j, up), (1 - i, 1 - j, not up)):
            moved = after.bid_px != before.bid_px
            counts["T" if moved else "Q"][a][b] += 1
            counts["R"][a][rise] += moved
    total = sum(counts["Q"][0]) + sum(counts["T"][0])
    shares = {key: [[str(Decimal(n) / total) for n in line] for line in lines] for key, lines in counts.items()}
    exact: Any = evaluate("microprice_fit", {}, [row(shares | {"K": ["-1", "1"]})])[0]
    table = fit_microprice(touches, 10, bins=2, spreads=1)
    assert table == ((pytest.approx(exact["G_low"], abs=1e-5),), (pytest.approx(exact["G_high"], abs=1e-5),))


def test_the_fitted_table_is_antisymmetric_and_rises_with_the_bid() -> None:
    table = fit_microprice(walk(20_000), 10, bins=4, spreads=2)
    columns = list(zip(*table, strict=True))
    assert len(columns) == 2
    for column in columns:
        assert list(column) == sorted(column)
        assert [-g for g in reversed(column)] == pytest.approx(column, abs=1e-9)
        assert 0.05 < column[-1] < 2


def test_states_the_tape_never_left_stay_unknown() -> None:
    still = [Touch(1000, 1.0, 1030, 9.0)] * 3  # three ticks wide, and nothing happens there
    table = fit_microprice([*walk(500), Touch(0, 1.0, 999, 1.0), *still], 10, bins=2, spreads=4)
    assert [row[2] for row in table] == [None, None]
    assert [row[3] for row in table] == [None, None]
    assert None not in table[0][:2]


def book(bid: int, ask: int, bid_size: float, ask_size: float) -> Book:
    rows, made = Rows(), Book()
    rows.add(bid, bid_size)
    rows.end_bids()
    rows.add(ask, ask_size)
    made.replace(rows)
    made.live = True
    return made


TABLE: Table = ((-0.25, -0.5), (0.0, None), (0.25, 0.5))


def test_microprice_looks_up_bin_and_spread() -> None:
    metric = Microprice(MicropriceOptions(table=TABLE), Grid(price_scale=2, tick=Decimal("0.05")))
    assert metric.book_replaced(book(10000, 10005, 9.0, 1.0), 0) == VALUE
    assert metric.answer() == pytest.approx({"microprice": 100.025 + 0.0125, "tilt": 0.5})
    assert metric.book_changed(book(10000, 10010, 1.0, 9.0), 0) == VALUE
    assert metric.answer() == pytest.approx({"microprice": 100.05 - 0.025, "tilt": -0.5})


@pytest.mark.parametrize(
    "made",
    [
        book(10000, 10010, 1.0, 1.0),  # the table knows nothing there
        book(10000, 10015, 1.0, 1.0),  # too wide
        book(10000, 10007, 1.0, 1.0),  # no whole number of ticks
        book(10000, 10000, 1.0, 1.0),  # locked
        book(10001, 10000, 1.0, 1.0),  # crossed
    ],
)
def test_microprice_has_no_value(made: Book) -> None:
    metric = Microprice(MicropriceOptions(table=TABLE, tick=Decimal("0.05")), Grid(price_scale=2))
    assert metric.book_replaced(made, 0) == NO_VALUE


def test_microprice_over_plain_events() -> None:
    params = {"table": [["-0.1"], ["0.1"]], "tick": "1"}
    event = {"type": "book_snapshot", "ts_ms": 0, "bids": [["100", "3"]], "asks": [["101", "1"]]}
    assert evaluate("microprice", params, [event]) == [pytest.approx({"microprice": 100.6, "tilt": 0.2})]


def test_position_is_capped_by_weight_and_by_kelly() -> None:
    x = {"score": "1", "vol": "0.01", "edge": "9", "var": "0.01"}
    events = [row(x), row(x | {"edge": "0"}), row(x | {"var": "0"})]
    assert evaluate("position_size", {"max_weight": "2"}, events) == [2.0, 0.0, None]


def test_stop_of_a_short_lies_above_the_close() -> None:
    events = [row(["10", "8", "9"]), row(["9", "9", "9"]), row(["12", "11", "11"])]
    answers = evaluate("atr_stop", {"side": -1, "bars": 2, "multiple": "1"}, events)
    assert answers == [None, {"atr": 1.0, "stop": 10.0}, {"atr": 2.0, "stop": 13.0}]


def test_schedule_ends_with_its_last_slice() -> None:
    params = {"quantity": "10", "curve": ["1", "1"], "side": -1, "max_slice": "4", "gain": "1"}
    assert evaluate("tilted_schedule", params, [row("-1"), row("0"), row("0")]) == [4.0, 6.0, None]
    assert evaluate("tilted_schedule", params, [row("1"), row("1")]) == [0.0, 10.0]


def test_hedge_waits_only_for_a_market_that_pushes_against_it() -> None:
    events = [row({"net_delta": x, "signal": s}) for x, s in (("0", "1"), ("-1", "1"), ("-1", "0"), ("-1", "-1"))]
    assert evaluate("delta_hedge", {"gain": "1"}, events) == [0.0, 1.0, 1.0, 0.0]


@pytest.mark.parametrize(
    ("name", "params", "event", "named"),
    [
        ("label", {"k": 0}, row("1"), "k"),
        ("forward_return", {}, signal(0, "2"), "x is '2'"),
        ("microprice", {"table": [["0"], ["0", "1"]], "tick": "1"}, row("1"), "same length"),
        ("microprice", {"table": [["0"]]}, row("1"), "tick"),
        ("position_size", {}, row({"score": "1"}), r"x\.vol is None"),
        ("position_size", {}, row({"score": "1", "vol": "-1", "edge": "0", "var": "1"}), "at least 0"),
        ("atr_stop", {}, row(["1", "1", "1"]), "side"),
        ("atr_stop", {"side": 2}, row(["1", "1", "1"]), "side"),
        ("atr_stop", {"side": 1}, row(["1", "2", "1"]), "high of at least the low"),
        ("tilted_schedule", {"quantity": "1", "curve": [], "side": 1, "max_slice": "1"}, row("1"), "curve"),
        ("delta_hedge", {"gain": "2"}, row({}), "gain"),
        ("delta_hedge", {}, row("1"), "mapping"),
    ],
)
def test_what_is_wrong_is_named(name: str, params: Row, event: Row, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        evaluate(name, params, [event])
