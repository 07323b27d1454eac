"""What must hold for every book and flow metric, over random histories; and the project's test vectors.

The references here are written from the definitions, with fractions and from scratch at every event; they share nothing
with the package.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from fractions import Fraction
from math import isfinite
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imbalanced.metrics import evaluate

Event = dict[str, Any]
Params = dict[str, Any]
Side = list[tuple[Fraction, Fraction]]

VECTORS = Path(__file__).resolve().parents[3] / "shared" / "signals" / "vectors"

# One set of parameters each, small enough for windows to empty and books to run out of levels.
BOOK: dict[str, Params] = {
    "band_imbalance": {"bps": "150"},
    "weighted_imbalance": {"levels": 3},
    "vamp": {"levels": 3},
    "effective_mid": {"size": "2.5"},
    "book_slope": {"levels": 3},
    "liquidity_to_move": {"bps": "150"},
    "exhaustion": {"bps": "150", "half_life_ms": 500},
    "resiliency": {"levels": 2, "min_drop": "0.4", "horizon_ms": 700},
}
FLOW: dict[str, Params] = {
    "ofi": {"window_ms": 700},
    "ofi_ratio": {"window_ms": 700},
    "log_ofi": {"window_ms": 700, "ref_size": "1"},
    "mlofi": {"levels": 3, "window_ms": 700},
    "ofi_depth_normalised": {"levels": 3, "window_ms": 700},
    "integrated_ofi": {"weights": ["0.5", "0.3", "0.2"], "window_ms": 700},
}
CANCELS: dict[str, Params] = {"cancel_add": {"levels": 2, "window_ms": 700, "match_ms": 200}}
ALL = {**BOOK, **FLOW, **CANCELS}
WITH_VECTORS = [name for name in ALL if name != "integrated_ofi"]
WITH_VECTORS += ["integrated_ofi_weights", "supply_demand", "lead_lag"]

SIZES = ["0", "0", "0.1", "0.3", "1", "2.5", "7", "100.7"]
STEPS = [0, 0, 1, 20, 180, 200, 201, 500, 700, 2500]
KINDS = ["book_delta"] * 10 + ["trade"] * 4 + ["clock"] * 2 + ["book_snapshot", "book_invalid"]


def history(seed: int, length: int = 40) -> list[Event]:
    """A random tape of one book: bids around 95 to 101, asks around 99 to 105, so it is crossed now and then."""
    random = Random(seed)

    def rows(low: int, high: int, most: int) -> list[list[str]]:
        prices = random.sample(range(low, high + 1), random.randint(0, most))
        return [[f"{price / 2:g}", random.choice(SIZES)] for price in prices]

    t, events = 0, []
    for i in range(length):
        t += random.choice(STEPS)
        kind = "book_snapshot" if i == 0 else random.choice(KINDS)
        event: Event = {"type": kind, "ts_ms": t}
        if kind in ("book_delta", "book_snapshot"):
            most = 3 if kind == "book_delta" else 8
            event |= {"bids": rows(190, 201, most), "asks": rows(199, 210, most)}
        elif kind == "trade":
            side = random.choice(["buy", "sell", None])
            event |= {"side": side, "price": f"{random.randint(196, 204) / 2:g}", "size": random.choice(SIZES[2:])}
        elif kind == "book_invalid":
            event["reason"] = "sequence_gap"
        events.append(event)
    return events


seeds = st.integers(0, 2**32)
laws = settings(max_examples=60, deadline=None)


def same(got: Any, expected: Any) -> bool:
    """As the vectors are compared; numbers may be decimal text."""
    if expected is None or got is None:
        return got is None and expected is None
    if isinstance(expected, dict):
        return isinstance(got, dict) and got.keys() == expected.keys() and all(same(got[k], expected[k]) for k in got)
    if isinstance(expected, list):
        return isinstance(got, list) and len(got) == len(expected) and all(map(same, got, expected))
    try:
        number = float(expected)
    except ValueError:
        return bool(got == expected)
    return not isinstance(got, str) and abs(got - number) <= 1e-9 * max(1.0, abs(number))


def check(name: str, got: list[Any], expected: list[Any], events: list[Event]) -> None:
    assert len(got) == len(expected)
    for i, (one, other) in enumerate(zip(got, expected, strict=True)):
        assert same(one, other), f"{name}: event {i} {events[i]} answered {one}, expected {other}\n{events[: i + 1]}"


@pytest.mark.parametrize("name", WITH_VECTORS)
def test_vectors(name: str) -> None:
    path = VECTORS / f"{name}.json"
    if not path.exists():
        pytest.skip(f"no vectors of {name} beside the repository ({path})")
    for case in json.loads(path.read_text()):
        check(case["id"], evaluate(name, case["params"], case["events"]), case["expected"], case["events"])


# References


class State(NamedTuple):
    """The book after an event, best first; ``cut`` where a new life begins or one ends."""

    event: Event
    t: int
    live: bool
    bids: Side
    asks: Side
    cut: bool

    @property
    def clean(self) -> bool:
        return self.live and (not self.bids or not self.asks or self.bids[0][0] <= self.asks[0][0])

    @property
    def ok(self) -> bool:
        return self.clean and bool(self.bids) and bool(self.asks)

    @property
    def changed(self) -> bool:
        return self.live and self.event["type"] == "book_delta"


def states(events: list[Event]) -> Iterator[State]:
    live = False
    book: dict[str, dict[Fraction, Fraction]] = {"bids": {}, "asks": {}}
    for event in events:
        kind = event["type"]
        if kind in ("book_snapshot", "book_invalid"):
            live = kind == "book_snapshot"
            book = {"bids": {}, "asks": {}}
        if live and kind in ("book_snapshot", "book_delta"):
            for side, levels in book.items():
                levels |= {Fraction(p): Fraction(q) for p, q in event[side]}
                book[side] = {p: q for p, q in levels.items() if q}
        bids, asks = sorted(book["bids"].items(), reverse=True), sorted(book["asks"].items())
        yield State(event, event["ts_ms"], live, bids, asks, kind in ("book_snapshot", "book_invalid"))


def within(state: State, bps: str) -> tuple[Side, Side]:
    mid = (state.bids[0][0] + state.asks[0][0]) / 2
    far = mid * Fraction(bps) / 10_000
    return [row for row in state.bids if row[0] >= mid - far], [row for row in state.asks if row[0] <= mid + far]


def is_book(state: State) -> bool:
    return state.event["type"] == "book_snapshot" or state.changed


def ref_band_imbalance(params: Params, events: list[Event]) -> Iterator[Any]:
    for state in states(events):
        bids, asks = within(state, params["bps"]) if state.ok and is_book(state) else ([], [])
        bid, ask = sum(q for _, q in bids), sum(q for _, q in asks)
        yield (bid - ask) / (bid + ask) if bid + ask else None


def ref_liquidity_to_move(params: Params, events: list[Event]) -> Iterator[Any]:
    for state in states(events):
        if not state.ok or not is_book(state):
            yield None
            continue
        down, up = (sum((p * q for p, q in side), Fraction()) for side in within(state, params["bps"]))
        yield {"down": down, "up": up, "imbalance": (down - up) / (down + up) if down + up else None}


def ref_effective_mid(params: Params, events: list[Event]) -> Iterator[Any]:
    size = Fraction(params["size"])
    for state in states(events):
        fills = []
        for side in (state.bids, state.asks):
            left, paid = size, Fraction()
            for p, q in side:
                paid += p * min(q, left)
                left -= min(q, left)
            fills.append(paid / size if not left else None)
        sell, buy = fills
        if not state.ok or not is_book(state) or sell is None or buy is None:
            yield None
            continue
        mid = (state.bids[0][0] + state.asks[0][0]) / 2
        spread = (buy - sell) / mid * 10_000
        yield {"sell_fill": sell, "buy_fill": buy, "effective_mid": (sell + buy) / 2, "effective_spread_bps": spread}


def ref_resiliency(params: Params, events: list[Event]) -> Iterator[Any]:
    levels, horizon = params["levels"], params["horizon_ms"]
    previous: dict[str, Fraction] = {}
    episodes: list[tuple[int, str, Fraction, Fraction]] = []
    for state in states(events):
        if state.cut:
            previous, episodes = {}, []
        answer = None
        if state.ok:
            sides = (("bid", state.bids), ("ask", state.asks))
            depth = {side: sum((q for _, q in of[:levels]), Fraction()) for side, of in sides}
            for t0, side, full, low in [e for e in episodes if state.t >= e[0] + horizon]:
                at = previous[side] if state.t > t0 + horizon else depth[side]
                answer = {"side": side, "recovered": max(Fraction(), min(Fraction(2), (at - low) / (full - low)))}
            episodes = [e for e in episodes if state.t < e[0] + horizon]
            if is_book(state):
                for side in previous:
                    if previous[side] - depth[side] >= Fraction(params["min_drop"]) * previous[side]:
                        episodes.append((state.t, side, previous[side], depth[side]))
                previous = depth
        yield answer


def contribution(old: Side, new: Side, rank: int, sign: int) -> Fraction:
    (p, q) = old[rank] if rank < len(old) else (None, Fraction())
    (p2, q2) = new[rank] if rank < len(new) else (None, Fraction())
    if p is None or p2 is None:
        return q2 - q
    return q2 if sign * (p2 - p) > 0 else -q if sign * (p2 - p) < 0 else q2 - q


def flow_windows(levels: int, params: Params, events: list[Event]) -> Iterator[list[Any] | None]:
    """Per event the rows in the window (bid and ask contributions by rank, summed depth), or None: no answer."""
    anchor: State | None = None
    rows: list[Any] = []
    for state in states(events):
        answers = state.clean and anchor is not None and (state.changed or state.event["type"] == "clock")
        if state.cut:
            rows, anchor, answers = [], state if state.clean else None, False
        elif state.changed and state.clean:
            if anchor is not None:
                bid = [contribution(anchor.bids, state.bids, i, 1) for i in range(levels)]
                ask = [contribution(anchor.asks, state.asks, i, -1) for i in range(levels)]
                rows.append((state.t, bid, ask, sum(q for side in state[3:5] for _, q in side[:levels])))
            anchor = state
        yield [row for row in rows if row[0] > state.t - params["window_ms"]] if answers else None


def ref_ofi(params: Params, events: list[Event]) -> Iterator[Any]:
    for rows in flow_windows(1, params, events):
        yield rows if rows is None else sum((b[0] - a[0] for _, b, a, _ in rows), Fraction())


def ref_ofi_ratio(params: Params, events: list[Event]) -> Iterator[Any]:
    for rows in flow_windows(1, params, events):
        gross = sum(abs(b[0]) + abs(a[0]) for _, b, a, _ in rows or ())
        yield sum(b[0] - a[0] for _, b, a, _ in rows or ()) / gross if gross else None


def ref_mlofi(params: Params, events: list[Event]) -> Iterator[Any]:
    for rows in flow_windows(params["levels"], params, events):
        ranks = range(params["levels"])
        yield rows if rows is None else [sum((b[i] - a[i] for _, b, a, _ in rows), Fraction()) for i in ranks]


def ref_ofi_depth_normalised(params: Params, events: list[Event]) -> Iterator[Any]:
    levels = params["levels"]
    for rows in flow_windows(levels, params, events):
        depth = sum(row[3] for row in rows or ())
        if not rows or not depth:
            yield None
            continue
        unit = Fraction(depth) / (2 * levels * len(rows))
        yield [sum(b[i] - a[i] for _, b, a, _ in rows) / unit for i in range(levels)]


class Piece:
    """An amount at a time, on a side, at a price; of a trade, of an addition or of a cancellation."""

    def __init__(self, t: int, side: str, price: Fraction, amount: Fraction) -> None:
        self.t, self.side, self.price, self.amount, self.left = t, side, price, amount, amount


def use(pieces: list[Piece], like: Piece, match: int) -> None:
    """Take ``like.left`` out of what was at its side and price within the match time, oldest first."""
    for piece in pieces:
        if (piece.side, piece.price) == (like.side, like.price) and like.t - piece.t <= match:
            taken = min(piece.left, like.left)
            piece.left -= taken
            like.left -= taken


def ref_cancel_add(params: Params, events: list[Event]) -> Iterator[Any]:
    levels, match = params["levels"], params["match_ms"]
    added: list[Piece] = []
    cancelled: list[Piece] = []
    trades: list[Piece] = []
    before: State | None = None
    for state in states(events):
        event = state.event
        if state.cut:
            added, cancelled, trades = [], [], []
        elif state.changed and before is not None:
            for side, was, now in (("bids", before.bids, state.bids), ("asks", before.asks, state.asks)):
                best = {p for p, _ in was[:levels]} | {p for p, _ in now[:levels]}
                for p in best & {Fraction(row[0]) for row in event[side]}:
                    piece = Piece(state.t, side, p, dict(now).get(p, Fraction()) - dict(was).get(p, Fraction()))
                    if piece.amount > 0:
                        added.append(piece)
                    elif piece.amount < 0:
                        piece.left = -piece.amount
                        use(trades, piece, match)
                        cancelled.append(piece)
        elif event["type"] == "trade" and event["side"] and state.live:
            side = "bids" if event["side"] == "sell" else "asks"
            piece = Piece(state.t, side, Fraction(event["price"]), Fraction(event["size"]))
            use(cancelled, piece, match)
            trades.append(piece)
        before = state
        if not state.ok or state.cut:
            yield None
            continue
        sums = [
            sum(x.left for x in of if x.side == side and x.t > state.t - params["window_ms"])
            for side in ("bids", "asks")
            for of in (added, cancelled)
        ]
        names = ("add_bid", "cancel_bid", "add_ask", "cancel_ask")
        net, gross = sums[0] - sums[1] - sums[2] + sums[3], sum(sums)
        yield {**dict(zip(names, sums, strict=True)), "ratio": net / gross if gross else None}


REFERENCES = {
    "band_imbalance": ref_band_imbalance,
    "liquidity_to_move": ref_liquidity_to_move,
    "effective_mid": ref_effective_mid,
    "resiliency": ref_resiliency,
    "ofi": ref_ofi,
    "ofi_ratio": ref_ofi_ratio,
    "mlofi": ref_mlofi,
    "ofi_depth_normalised": ref_ofi_depth_normalised,
    "cancel_add": ref_cancel_add,
}


@pytest.mark.parametrize("name", REFERENCES)
@laws
@given(seed=seeds)
def test_incremental_is_recomputed(name: str, seed: int) -> None:
    events = history(seed, 60)
    check(name, evaluate(name, ALL[name], events), list(REFERENCES[name](ALL[name], events)), events)


# Laws


def numbers(answer: Any) -> list[float]:
    if isinstance(answer, dict):
        return [x for x in answer.values() if isinstance(x, float)]
    return [x for x in answer if x is not None] if isinstance(answer, list) else [] if answer is None else [answer]


@pytest.mark.parametrize("name", ALL)
@laws
@given(seed=seeds)
def test_answers_are_numbers_within_bounds(name: str, seed: int) -> None:
    events = history(seed)
    for event, answer in zip(events, evaluate(name, ALL[name], events), strict=True):
        assert all(map(isfinite, numbers(answer))), (event, answer)
        if name in ("band_imbalance", "weighted_imbalance", "ofi_ratio"):
            assert answer is None or -1 <= answer <= 1
        if name in ("liquidity_to_move", "book_slope", "cancel_add") and answer is not None:
            ratio = answer["ratio" if name == "cancel_add" else "imbalance"]
            assert ratio is None or -1 <= ratio <= 1
            assert all(x >= 0 for key, x in answer.items() if key not in ("ratio", "imbalance"))
        if name == "resiliency" and answer is not None:
            assert 0 <= answer["recovered"] <= 2


def mirrored(event: Event) -> Event:
    """The other side of the market: prices reflected at 100, bids for asks, buy for sell."""

    def turned(rows: list[list[str]]) -> list[list[str]]:
        return [[str(200 - float(price)), size] for price, size in rows]

    event = dict(event)
    if "bids" in event:
        event["bids"], event["asks"] = turned(event["asks"]), turned(event["bids"])
    if event["type"] == "trade":
        event["price"] = str(200 - float(event["price"]))
        event["side"] = {"buy": "sell", "sell": "buy", None: None}[event["side"]]
    return event


def negated(name: str, answer: Any) -> Any:
    """What the mirror image should answer."""
    if answer is None:
        return None
    if name == "vamp":
        return {"vamp": 200 - answer["vamp"]}
    if name == "effective_mid":
        mid = {"sell_fill": 200 - answer["buy_fill"], "buy_fill": 200 - answer["sell_fill"]}
        return mid | {"effective_mid": 200 - answer["effective_mid"]}
    if name == "cancel_add":
        swapped = {
            f"{what}_{to}": answer[f"{what}_{of}"]
            for what in ("add", "cancel")
            for of, to in (("bid", "ask"), ("ask", "bid"))
        }
        return swapped | {"ratio": None if answer["ratio"] is None else -answer["ratio"]}
    return [-x for x in answer] if isinstance(answer, list) else -answer


@pytest.mark.parametrize("name", [*FLOW, *CANCELS, "weighted_imbalance", "vamp", "effective_mid"])
@laws
@given(seed=seeds)
def test_mirror_changes_the_sign(name: str, seed: int) -> None:
    events = history(seed)
    expected = [negated(name, answer) for answer in evaluate(name, ALL[name], events)]
    got = evaluate(name, ALL[name], [mirrored(event) for event in events])
    # Basis points are of a mid that the mirror moves.
    bps = ("tilt_bps", "effective_spread_bps")
    got = [{k: x for k, x in a.items() if k not in bps} if isinstance(a, dict) else a for a in got]
    check(name, got, expected, events)


SCALED_PARAMS = {"size", "ref_size"}
SCALED_OUTPUTS = {
    "ofi",
    "mlofi",
    "add_bid",
    "cancel_bid",
    "add_ask",
    "cancel_ask",
    "down",
    "up",
    "bid_slope",
    "ask_slope",
}


def times(event: Event, c: int) -> Event:
    event = dict(event)
    for side in ("bids", "asks"):
        if side in event:
            event[side] = [[price, str(float(size) * c)] for price, size in event[side]]
    if "size" in event:
        event["size"] = str(float(event["size"]) * c)
    return event


@pytest.mark.parametrize("name", ALL)
@laws
@given(seed=seeds)
def test_scale(name: str, seed: int) -> None:
    """All sizes eightfold: amounts are eightfold, to the bit as 8 is a power of two, and ratios stay."""
    events = history(seed)
    params = {k: str(float(v) * 8) if k in SCALED_PARAMS else v for k, v in ALL[name].items()}
    got = evaluate(name, params, [times(event, 8) for event in events])
    expected: list[Any] = []
    for answer in evaluate(name, ALL[name], events):
        if isinstance(answer, dict):
            expected.append({k: x * 8 if k in SCALED_OUTPUTS and x is not None else x for k, x in answer.items()})
        elif isinstance(answer, list):
            expected.append([x * 8 for x in answer] if name in SCALED_OUTPUTS else answer)
        else:
            expected.append(answer * 8 if answer is not None and name in SCALED_OUTPUTS else answer)
    check(name, got, expected, events)


def at_originals(answers: list[Any], original: list[bool]) -> list[Any]:
    return [answer for answer, is_original in zip(answers, original, strict=True) if is_original]


# A repeated message is one more state for a mean over states.
@pytest.mark.parametrize("name", [name for name in ALL if name not in ("ofi_depth_normalised", "integrated_ofi")])
@laws
@given(seed=seeds)
def test_repeating_present_sizes_changes_nothing(name: str, seed: int) -> None:
    events, longer, original = history(seed), [], []
    for event in events:
        longer.append(event)
        original.append(True)
        if event["type"] == "book_delta":
            longer.append(event)
            original.append(False)
    got = at_originals(evaluate(name, ALL[name], longer), original)
    if name == "resiliency":
        # What ends on a message ends there; what its repetition would end has ended already.
        got = [None if e["type"] == "book_delta" and a is None else a for e, a in zip(events, got, strict=True)]
    check(name, got, evaluate(name, ALL[name], events), events)


@pytest.mark.parametrize("name", ALL)
@laws
@given(seed=seeds)
def test_rows_of_a_message_commute(name: str, seed: int) -> None:
    events, random = history(seed), Random(seed)
    shuffled = [
        event | {side: random.sample(event[side], len(event[side])) for side in ("bids", "asks")}
        if "bids" in event
        else event
        for event in events
    ]
    check(name, evaluate(name, ALL[name], shuffled), evaluate(name, ALL[name], events), events)


@pytest.mark.parametrize("name", ALL)
@laws
@given(seed=seeds)
def test_nothing_bridges_a_cut(name: str, seed: int) -> None:
    """From every snapshot on, and through every loss, the answers are those of a fresh metric: to the bit."""
    # A price of half a unit at the end gives every part of the tape the same price scale, hence the same rounding.
    last: Event = {"type": "book_snapshot", "ts_ms": 10**6, "bids": [["90.5", "1"]], "asks": [["110", "1"]]}
    events = [*history(seed), last]
    got = evaluate(name, ALL[name], events)
    for i, event in enumerate(events):
        if event["type"] == "book_snapshot":
            assert got[i:] == evaluate(name, ALL[name], events[i:]), events
        if event["type"] == "book_invalid":
            until = next((j for j in range(i, len(events)) if events[j]["type"] == "book_snapshot"), len(events))
            assert got[i:until] == [None] * (until - i)


@pytest.mark.parametrize("name", {**FLOW, **CANCELS})
@laws
@given(seed=seeds)
def test_a_snapshot_is_never_flow(name: str, seed: int) -> None:
    """A whole new image answers nothing, and the flow after it is that since it."""
    events = history(seed)
    image: Event = {"type": "book_snapshot", "bids": [["90", "1000"]], "asks": [["110", "1"]]}
    t = events[-1]["ts_ms"]
    got = evaluate(name, ALL[name], [*events, image | {"ts_ms": t}, {"type": "clock", "ts_ms": t}])
    assert [a for e, a in zip(events, got, strict=False) if e["type"] == "book_snapshot" and a is not None] == []
    assert got[-2] is None
    assert got[-1] in (
        None,
        0.0,
        [0.0] * 3,
        dict.fromkeys(("add_bid", "cancel_bid", "add_ask", "cancel_ask"), 0.0) | {"ratio": None},
    )


@pytest.mark.parametrize("name", [name for name in ALL if name != "resiliency"])
@laws
@given(seed=seeds)
def test_other_events_answer_nothing_and_change_nothing(name: str, seed: int) -> None:
    events, longer, original = history(seed), [], []
    for event in events:
        others = [{"type": "value", "x": "1"}, {"type": "oi", "oi": "1", "price": "100"}, {"type": "row", "x": ["1"]}]
        if name not in CANCELS:
            others.append({"type": "trade", "side": "buy", "price": "100", "size": "5"})
        longer += [other | {"ts_ms": event["ts_ms"]} for other in others]
        longer.append(event)
        original += [False] * len(others) + [True]
    got = evaluate(name, ALL[name], longer)
    assert {answer is None for answer, is_original in zip(got, original, strict=True) if not is_original} == {True}
    assert at_originals(got, original) == evaluate(name, ALL[name], events)


@laws
@given(seed=seeds)
def test_one_venue_is_its_own_supply_and_demand(seed: int) -> None:
    """With one venue that is never too old, ``supply_demand`` is ``band_imbalance`` in quote units."""
    events = [event | {"venue": "v"} for event in history(seed)]
    alone = evaluate("band_imbalance", {"bps": "150", "unit": "quote"}, events)
    got = evaluate("supply_demand", {"bps": "150", "max_age_ms": 10**9}, events)
    for event, one, other in zip(events, alone, got, strict=True):
        if event["type"] == "book_snapshot" or (event["type"] == "book_delta" and one is not None):
            assert same(other, one), event


SNAPSHOT: Event = {"type": "book_snapshot", "ts_ms": 0, "bids": [["1", "1"]], "asks": [["2", "1"]]}


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({"type": "book_dleta", "ts_ms": 1}, "type is 'book_dleta', expected one of book_snapshot"),
        ({"type": "clock", "ts_ms": "1"}, "ts_ms is '1', expected an integer"),
        ({"type": "book_delta", "ts_ms": 1, "bids": 5}, "bids is 5, expected a list"),
        ({"type": "book_delta", "ts_ms": 1, "bids": [["1"]]}, r"expected rows of \[price, size\]"),
        ({"type": "book_delta", "ts_ms": 1, "asks": [["0", "1"]]}, "expected a price above 0"),
        ({"type": "book_delta", "ts_ms": 1, "asks": [["1", "nan"]]}, "expected a finite number"),
        ({"type": "book_delta", "ts_ms": 1, "asks": [["1", "-1"]]}, "expected sizes of at least 0"),
        ({"type": "trade", "ts_ms": 1, "side": "bid", "price": "1", "size": "1"}, "side is 'bid', expected"),
        ("clock", "'clock' is no event"),
    ],
)
def test_a_malformed_event_is_named(bad: Any, said: str) -> None:
    with pytest.raises(ValueError, match=f"event 1: .*{said}"):
        evaluate("cancel_add", {}, [SNAPSHOT, bad])
