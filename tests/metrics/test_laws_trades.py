"""Laws of the metrics of trades, statistics, derivatives, options, research and execution.

The worked cases of the definitions (beside the repository, where they are), the running values against the plain
formula on fractions, and what must hold for any history: bounds, mirror, scale, no NaN, compiled equals uncompiled to
the bit.
"""

from __future__ import annotations

import json
import math
import random
import shutil
import subprocess
import sys
from collections import defaultdict
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import imbalanced
from imbalanced.metrics import evaluate, trades

Row = dict[str, Any]
Print = tuple[int, int, int, Fraction]  # time, sign (0: none), price, size

NAMES = [
    "trade_imbalance",
    "cvd",
    "aggressor_ratio",
    "sweep",
    "volume_spike",
    "absorption",
    "vpin",
    "kyle_lambda",
    "vwap_deviation",
    "hawkes_imbalance",
    "oi_imbalance",
    "long_short_ratio",
    "funding_pressure",
    "liquidation_imbalance",
    "option_imbalance",
    "oi_strike_skew",
    "risk_reversal",
    "ewma_zscore",
    "robust_zscore",
    "rolling_quantile",
    "detector",
    "composite",
    "label",
    "forward_return",
    "microprice_fit",
    "position_size",
    "atr_stop",
    "tilted_schedule",
    "delta_hedge",
]
VECTORS = next(
    (
        above / "shared/signals/vectors"
        for above in Path(__file__).resolve().parents
        if (above / "shared/signals/vectors").is_dir()
    ),
    None,
)
PARAMS: dict[str, Row] = {
    "trade_imbalance": {"window_ms": 20},
    "aggressor_ratio": {"window_ms": 20},
    "cvd": {"session_ms": 50},
    "sweep": {"min_levels": 2, "gap_ms": 2},
    "vwap_deviation": {"window_ms": 20},
    "hawkes_imbalance": {"half_life_ms": 10},
    "volume_spike": {"bucket": "3", "window_ms": 20, "min_buckets": 2},
    "absorption": {"window_ms": 20, "tick": "1", "min_net": "1", "ref_volume": "2"},
    "vpin": {"bucket_volume": "2.3", "buckets": 3},
}


# The worked cases.


def agrees(got: Any, expected: Any) -> bool:
    if isinstance(expected, dict):
        return isinstance(got, dict) and got.keys() == expected.keys() and all(agrees(got[k], expected[k]) for k in got)
    if isinstance(expected, list):
        return isinstance(got, list) and len(got) == len(expected) and all(map(agrees, got, expected))
    if got is None or expected is None:
        return got is expected
    try:
        number = float(Decimal(expected))
    except InvalidOperation:
        return bool(got == expected)
    return not isinstance(got, str) and abs(got - number) <= 1e-9 * max(1.0, abs(number))


@pytest.mark.parametrize("name", NAMES)
def test_worked_cases_of_the_definitions(name: str) -> None:
    if VECTORS is None:
        pytest.skip("shared/signals/vectors is not beside this repository")
    for case in json.loads((VECTORS / f"{name}.json").read_text()):
        got = evaluate(case["metric"], case["params"], case["events"])
        assert agrees(got, case["expected"]), f"{case['id']}: {got}"


# Histories.


PRINTS = st.lists(
    st.tuples(
        st.integers(0, 8),
        st.sampled_from([1, -1, 1, -1, 0]),
        st.integers(1, 20),
        st.integers(1, 30).map(lambda tenths: Fraction(tenths, 10)),
    ),
    max_size=50,
)
SIDES = {1: "buy", -1: "sell", 0: None}


def timed(prints: list[Print]) -> list[Print]:
    """Gaps to times."""
    t, told = 0, []
    for gap, sign, price, size in prints:
        t += gap
        told.append((t, sign, price, size))
    return told


def text(x: Fraction) -> str:
    return str(Decimal(x.numerator) / x.denominator)


def as_events(prints: list[Print], kind: str = "trade") -> list[Row]:
    return [
        {"type": kind, "ts_ms": t, "side": SIDES[sign], "price": str(price), "size": text(size)}
        for t, sign, price, size in prints
    ]


def asked(name: str, prints: list[Print], **params: Any) -> list[Any]:
    events = as_events(prints)
    if name == "absorption":
        book = {"type": "book_snapshot", "ts_ms": 0, "bids": [["10", "1"]], "asks": [["11", "1"]]}
        events.insert(0, book)
        return evaluate(name, PARAMS[name] | params, events)[1:]
    return evaluate(name, PARAMS[name] | params, events)


def near(answer: Any, expected: Any) -> bool:
    """Fractions, None, or dicts of them, within the tolerance of the definitions."""
    if isinstance(expected, dict):
        return all(near(answer[key], expected[key]) for key in expected)
    if expected is None:
        return answer is None
    return abs(answer - float(expected)) <= 1e-9 * max(1.0, abs(expected))


def ratio(a: Fraction, b: Fraction) -> Fraction | None:
    return a / b if b else None


def windowed(prints: list[Print], i: int, window: int) -> list[Print]:
    return [one for one in prints[: i + 1] if one[0] > prints[i][0] - window]


def total(prints: list[Print], sign: int) -> Fraction:
    return sum((size for _, side, _, size in prints if side == sign), Fraction(0))


# Running values against the plain formula.


@settings(max_examples=120, deadline=None)
@given(PRINTS)
def test_ratios_and_sums_are_the_plain_formula(prints: list[Print]) -> None:
    prints = timed(prints)
    imbalance, ratios, cvd = (asked(name, prints) for name in ("trade_imbalance", "aggressor_ratio", "cvd"))
    for i, (t, _, _, _) in enumerate(prints):
        rows = windowed(prints, i, 20)
        buy, sell = total(rows, 1), total(rows, -1)
        buys, sells = (Fraction(sum(one[1] == sign for one in rows)) for sign in (1, -1))
        session = [one for one in prints[: i + 1] if one[0] // 50 == t // 50]
        assert near(imbalance[i], ratio(buy - sell, buy + sell))
        assert near(ratios[i], {"volume": ratio(buy, buy + sell), "count": ratio(buys, buys + sells)})
        assert near(cvd[i], total(session, 1) - total(session, -1))


@settings(max_examples=120, deadline=None)
@given(PRINTS, st.sampled_from([{"window_ms": 20}, {"window_ms": None, "session_ms": 30}, {"session_ms": 30}]))
def test_vwap_is_the_plain_formula(prints: list[Print], params: Row) -> None:
    prints = timed(prints)
    for i, answer in enumerate(asked("vwap_deviation", prints, **params)):
        t, _, price, _ = prints[i]
        rows = prints[: i + 1] if params.get("window_ms", 20) is None else windowed(prints, i, 20)
        if "session_ms" in params:
            rows = [one for one in rows if one[0] // 30 == t // 30]
        volume = sum(one[3] for one in rows)
        vwap = sum(one[2] * one[3] for one in rows) / volume
        variance = sum((one[2] - vwap) ** 2 * one[3] for one in rows) / volume
        sigma = math.sqrt(variance)
        assert near(answer, {"vwap": vwap, "sigma": Fraction(sigma), "bps": (price - vwap) / vwap * 10_000})
        assert near(answer["z"], Fraction(float(price - vwap) / sigma) if variance else None)


@settings(max_examples=120, deadline=None)
@given(PRINTS)
def test_volume_spike_is_the_plain_formula(prints: list[Print]) -> None:
    prints = timed(prints)
    for i, answer in enumerate(asked("volume_spike", prints)):
        rows = [one for one in windowed(prints, i, 20) if one[1]]
        volumes: dict[int, Fraction] = defaultdict(Fraction)
        for one in rows:
            volumes[one[2] // 3] += one[3]
        key = prints[i][2] // 3
        others = [volume for other, volume in volumes.items() if other != key]
        if prints[i][1] == 0 or len(others) < 2:
            assert answer is None
            continue
        here = [one for one in rows if one[2] // 3 == key]
        expected = {
            "score": volumes[key] * len(others) / sum(others),
            "delta_ratio": (total(here, 1) - total(here, -1)) / volumes[key],
        }
        assert near(answer, expected)


@settings(max_examples=120, deadline=None)
@given(PRINTS)
def test_vpin_is_the_plain_formula(prints: list[Print]) -> None:
    """Buckets are stretches of the total volume; a trade's part of each is where its own stretch overlaps."""
    prints = timed(prints)
    size_of, filled = Fraction("2.3"), Fraction(0)
    nets: dict[int, Fraction] = defaultdict(Fraction)
    for i, answer in enumerate(asked("vpin", prints)):
        _, sign, _, size = prints[i]
        before, closed = filled, filled // size_of
        if sign:
            filled += size
            for bucket in range(int(before // size_of), int(filled // size_of) + 1):
                overlap = min(filled, (bucket + 1) * size_of) - max(before, bucket * size_of)
                nets[bucket] += sign * max(overlap, Fraction(0))
        full = int(filled // size_of)
        if full == closed or full < 3:
            assert answer is None
            continue
        last = [nets[bucket] for bucket in range(full - 3, full)]
        assert near(answer, {"vpin": sum(map(abs, last)) / (3 * size_of), "signed": sum(last) / (3 * size_of)})


@settings(max_examples=100, deadline=None)
@given(PRINTS)
def test_hawkes_is_the_sum_over_all_trades(prints: list[Print]) -> None:
    prints = timed(prints)
    for i, answer in enumerate(asked("hawkes_imbalance", prints)):
        now = prints[i][0]
        buy, sell = (
            0.1 + sum(2 ** (-(now - t) / 10) for t, side, _, _ in prints[: i + 1] if side == sign) for sign in (1, -1)
        )
        assert answer == pytest.approx({"buy": buy, "sell": sell, "imbalance": (buy - sell) / (buy + sell)}, rel=1e-9)


@settings(max_examples=150, deadline=None)
@given(PRINTS)
def test_sweeps_are_the_groups_of_the_tape(prints: list[Print]) -> None:
    prints = timed(prints)
    group: list[Print] = []
    for i, answer in enumerate(asked("sweep", prints)):
        t, sign, price, _ = prints[i]
        late = bool(group) and t - group[0][0] > 2
        fits = bool(group) and not late and sign == group[-1][1] and sign * (price - group[-1][2]) >= 0
        ended = group if late or (sign and not fits) else []
        levels = len({one[2] for one in ended})
        if levels >= 2:
            side = ended[0][1]
            assert near(answer, {"levels": side * levels, "notional": side * sum(one[2] * one[3] for one in ended)})
        else:
            assert answer is None
        if ended:
            group = []
        if sign:
            group = [*group, prints[i]]


@settings(max_examples=60, deadline=None)
@given(PRINTS)
def test_liquidations_are_the_plain_formula(prints: list[Print]) -> None:
    prints = timed(prints)
    answers = evaluate("liquidation_imbalance", {"window_ms": 20}, as_events(prints, "liquidation"))
    for i, answer in enumerate(answers):
        rows = [(t, sign, price, price * size) for t, sign, price, size in windowed(prints, i, 20)]
        buy, sell = total(rows, 1), total(rows, -1)
        assert near(answer, ratio(buy - sell, buy + sell))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("CP"), st.integers(1, 5), st.integers(0, 30), st.integers(1, 40), st.integers(0, 10)),
        max_size=30,
    )
)
def test_option_chain_is_that_of_the_latest_quotes(quotes: list[tuple[str, int, int, int, int]]) -> None:
    events = [
        {
            "type": "option",
            "ts_ms": i,
            "expiry_ms": expiry,
            "strike": str(strike),
            "kind": kind,
            "oi": str(Decimal(oi) / 10),
            "volume": "0",
            "delta": str(Decimal(delta) / 10),
            "iv": "1",
            "underlying": "3",
        }
        for i, (kind, strike, oi, expiry, delta) in enumerate(quotes)
    ]
    answers: list[Any] = evaluate("option_imbalance", {}, events)
    chain: dict[tuple[int, int, str], tuple[Fraction, Fraction]] = {}
    for i, (kind, strike, oi, expiry, delta) in enumerate(quotes):
        chain[expiry, strike, kind] = (Fraction(oi, 10), Fraction(oi * delta, 100))
        alive = [(key[2], amounts) for key, amounts in chain.items() if key[0] > i]
        (calls, calls_delta), (puts, puts_delta) = (
            [sum((amounts[k] for of, amounts in alive if of == kind), Fraction(0)) for k in range(2)] for kind in "CP"
        )
        expected = {
            "put_call_ratio": ratio(puts, calls),
            "imbalance": ratio(calls - puts, calls + puts),
            "delta_weighted": ratio(calls_delta - puts_delta, calls_delta + puts_delta),
        }
        assert near(answers[i], expected)


# What holds for any history.


def numbers(answer: Any) -> list[float]:
    if isinstance(answer, dict):
        return [x for part in answer.values() for x in numbers(part)]
    return [] if answer is None or isinstance(answer, str) else [answer]


@settings(max_examples=80, deadline=None)
@given(PRINTS)
def test_answers_are_finite_and_ratios_bounded(prints: list[Print]) -> None:
    prints = timed(prints)
    answers = {name: asked(name, prints) for name in PARAMS}
    assert all(math.isfinite(x) for told in answers.values() for answer in told for x in numbers(answer))
    for name in ("trade_imbalance", "aggressor_ratio", "vpin"):
        assert all(-1 <= x <= 1 for answer in answers[name] for x in numbers(answer))
    for name, part in (("hawkes_imbalance", "imbalance"), ("volume_spike", "delta_ratio")):
        assert all(-1 <= answer[part] <= 1 for answer in answers[name] if answer)


# Name, part of its answer ("" the answer itself), and what a mirrored market does to it.
MIRRORED = [
    ("trade_imbalance", "", -1),
    ("cvd", "", -1),
    ("absorption", "", -1),
    ("sweep", "levels", -1),
    ("hawkes_imbalance", "imbalance", -1),
    ("vpin", "signed", -1),
    ("vpin", "vpin", 1),
    ("vwap_deviation", "z", -1),
    ("vwap_deviation", "sigma", 1),
]


def part(answer: Any, key: str) -> float:
    """That part of an answer, 99 where it has none."""
    x = answer[key] if key and answer is not None else answer
    return 99.0 if x is None else x


@settings(max_examples=80, deadline=None)
@given(PRINTS)
def test_a_mirrored_market_gives_mirrored_answers(prints: list[Print]) -> None:
    """Prices about 10.5, where the book of `absorption` is symmetric."""
    prints = timed(prints)
    mirrored = [(t, -sign, 21 - price, size) for t, sign, price, size in prints]
    for name, key, flips in MIRRORED:
        here, there = ([part(answer, key) for answer in asked(name, told)] for told in (prints, mirrored))
        assert here == pytest.approx([x if x == 99 else flips * x for x in there], rel=1e-9, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(PRINTS, st.sampled_from([Fraction(1, 4), Fraction(8), Fraction(1000)]))
def test_sizes_times_c(prints: list[Print], c: Fraction) -> None:
    prints = timed(prints)
    larger = [(t, sign, price, size * c) for t, sign, price, size in prints]
    sizes: dict[str, Row] = {
        "vpin": {"bucket_volume": text(Fraction("2.3") * c)},
        "absorption": {"min_net": text(c), "ref_volume": text(2 * c)},
    }
    for name in PARAMS:
        grows = {"cvd": float(c)}.get(name, 1.0)
        for here, there in zip(asked(name, prints), asked(name, larger, **sizes.get(name, {})), strict=True):
            if name == "sweep":
                assert (here is None) == (there is None)
            else:
                assert [grows * x for x in numbers(here)] == pytest.approx(numbers(there), rel=1e-9, abs=1e-9)


# Compiled and uncompiled.


def cases() -> list[tuple[str, Row, list[Row]]]:
    """Every trade and value metric over a long random tape, and whatever worked cases there are."""
    chance = random.Random(3)
    tape: list[Print] = []
    t = 0
    for _ in range(1500):
        t += chance.choice([0, 0, 1, 3, 40])
        tape.append((t, chance.choice([1, -1, 0]), chance.randint(1, 20), Fraction(chance.randint(1, 10**6), 1000)))
    series = [{"type": "value", "ts_ms": t, "x": repr(chance.gauss(0, 2))} for t, _, _, _ in tape]
    book: Row = {"type": "book_snapshot", "ts_ms": 0, "bids": [["10", "1"]], "asks": [["11", "1"]]}
    told: list[tuple[str, Row, list[Row]]] = [(name, PARAMS[name], [book, *as_events(tape)]) for name in PARAMS]
    told += [(name, {}, series) for name in ("ewma_zscore", "robust_zscore", "rolling_quantile", "detector")]
    told.append(
        ("kyle_lambda", {}, [{"type": "row", "ts_ms": i, "x": [one["x"], "1"]} for i, one in enumerate(series)])
    )
    for name in NAMES if VECTORS is not None else ():
        for case in json.loads((VECTORS / f"{name}.json").read_text()):  # type: ignore[operator]
            told.append((case["metric"], case["params"], case["events"]))
    return told


ASK = """
import json, sys
from imbalanced.metrics import evaluate, trades
assert trades.__file__.endswith(".py"), trades.__file__
json.dump([repr(evaluate(*case)) for case in json.load(sys.stdin)], sys.stdout)
"""


def test_compiled_equals_uncompiled_to_the_bit(tmp_path: Path) -> None:
    if trades.__file__.endswith(".py"):
        pytest.skip("the extensions are not built: there is nothing to compare with")
    package = Path(imbalanced.__file__).parent
    shutil.copytree(
        package, tmp_path / "imbalanced", ignore=shutil.ignore_patterns("*.so", "*.pyd", "*.c", "__pycache__")
    )
    asked_for = cases()
    plain = subprocess.run(
        [sys.executable, "-c", ASK],
        input=json.dumps(asked_for),
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    for (name, params, events), there in zip(asked_for, json.loads(plain.stdout), strict=True):
        assert repr(evaluate(name, params, events)) == there, name
