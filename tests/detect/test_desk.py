"""One instrument's desk: which metric sees what, at what time, and what is remembered when the book is lost."""

from __future__ import annotations

from typing import Any

import pytest
from scripted import LEAN, PUSH, VENUE, configured

from imbalanced.book import Book, Rows
from imbalanced.config import load
from imbalanced.detect import DETECTORS, FILTERS
from imbalanced.detect.desk import Desk, takes
from imbalanced.events import Instrument
from imbalanced.metrics import METRICS
from imbalanced.metrics.lifecycle import CLOSE, OPEN
from imbalanced.pipeline import furnish

S = 1_000_000_000
T = 1_700_000_000 * S
UNIT = 10**8


def desk_of(*metrics: dict[str, Any], detectors: tuple[dict[str, Any], ...] = ()) -> tuple[Desk, list[str]]:
    config = configured(*(detectors or (LEAN,)), metrics=list(metrics))
    if not detectors:
        config = configured(LEAN, metrics=list(metrics))
    desk, names, _ = furnish(
        config, VENUE, Instrument(venue=VENUE, symbol="AAA/USDT", venue_symbol="AAAUSDT", tick="0.01")
    )
    return desk, names


def book(bid: float = 1.0, ask: float = 1.0, *, live: bool = True) -> Book:
    rows = Rows()
    rows.add(9_990_000_000, bid)
    rows.end_bids()
    rows.add(10_010_000_000, ask)
    made = Book()
    made.replace(rows)
    made.live = live
    return made


def changed(made: Book, bid: float, ask: float) -> Book:
    rows = Rows()
    rows.add(9_990_000_000, bid)
    rows.end_bids()
    rows.add(10_010_000_000, ask)
    made.apply(rows)
    return made


def test_inputs_are_words() -> None:
    desk, _ = desk_of({"metric": "spread"}, {"metric": "cvd"})
    spread, cvd, *_ = desk.metrics
    assert (takes(spread, "book"), takes(spread, "trade")) == (True, False)
    assert takes(cvd, "trade")


def test_times_are_the_venues_and_never_run_backwards_within_a_stream() -> None:
    desk, _ = desk_of({"metric": "spread"})
    made = book()
    desk.book_replaced(made, T, T + 5)
    desk.trade(10_000_000_000, 1.0, 1, T + 50, T + 6)
    desk.book_changed(made, T - 7, T + 8)
    assert (desk.book_ns, desk.trade_ns, desk.latest_ns, desk.recv_ns) == (T, T + 50, T + 50, T + 8)
    desk.trade(10_000_000_000, 1.0, 1, T + 20, T + 9)
    assert desk.trade_ns == T + 50
    assert desk.updates == 4


def test_where_the_venue_has_no_time_it_is_that_of_receipt() -> None:
    desk, _ = desk_of({"metric": "spread"})
    desk.book_replaced(book(), 0, T + 5)
    desk.trade(10_000_000_000, 1.0, 1, 0, T + 6)
    assert (desk.book_ns, desk.trade_ns) == (T + 5, T + 6)


def test_the_clock_carries_both_streams_on_a_little_behind() -> None:
    desk, _ = desk_of({"metric": "spread"})
    assert desk.clock(T) == 0
    assert desk.latest_ns == 0, "before anything was heard there is no time"
    # The venue's clock is 1.3 s ahead of ours.
    desk.book_replaced(book(), T + 1_300_000_000, T)
    desk.trade(10_000_000_000, 1.0, 1, T + 1_310_000_000, T + S)
    desk.clock(T + 3 * S)
    assert desk.book_ns == T + 1_300_000_000 + 3 * S - 250_000_000
    assert desk.trade_ns == T + 1_310_000_000 + 2 * S - 250_000_000
    before = desk.book_ns
    desk.clock(T + 3 * S + 1000)
    assert desk.book_ns >= before
    for i in range(4, 20):
        desk.clock(T + i * S)
    assert desk.book_ns == T + 1_300_000_000 + 19 * S - 250_000_000, "many ticks are not further ahead than one"


def test_windows_empty_by_the_clock() -> None:
    desk, names = desk_of({"metric": "trade_imbalance", "window": "1s"}, {"metric": "ofi", "window": "1s"})
    made = book()
    desk.book_replaced(made, T, T)
    desk.book_changed(changed(made, 5.0, 1.0), T + 1, T + 1)
    desk.trade(10_000_000_000, 2.0, 1, T + 1, T + 1)
    told = desk.values(names)
    assert told["ofi"] == 4.0
    desk.clock(T + 3 * S)
    told = desk.values(names)
    assert told["ofi"] == 0.0
    assert [x for name, x in told.items() if name.startswith("trade_imbalance") and x] == []


def test_a_lost_book_leaves_no_number_and_the_next_one_starts_from_nothing() -> None:
    desk, names = desk_of(
        {"metric": "queue_imbalance"}, {"metric": "ofi"}, {"metric": "depth_imbalance"}, {"metric": "spread"}
    )
    made = book()
    desk.book_replaced(made, T, T)
    desk.book_changed(changed(made, 7.0, 1.0), T + 1, T + 1)
    assert all(x is not None for x in desk.values(names).values())
    made.live = False
    desk.book_invalid(T + 2)
    assert set(desk.values(names).values()) == {None}
    made = book(100.0, 100.0)
    desk.book_replaced(made, T + 3, T + 3)
    told = desk.values(names)
    assert (told["queue_imbalance"], told["ofi"]) in ((0.0, 0.0), (0.0, None)), "a new image is no flow"


def test_trades_do_not_ask_the_detectors_of_a_book_that_is_not_live() -> None:
    desk, _ = desk_of(detectors=(PUSH,))
    assert desk.trade(10_000_000_000, 100.0, 1, T, T) == 0
    desk.book_replaced(book(), T, T)
    assert desk.trade(10_000_000_000, 100.0, 1, T + 1, T + 1) == 1
    ((detector, said),) = desk.fired
    assert (detector.name, said) == ("push", OPEN)


def test_who_spoke_is_of_this_event_only() -> None:
    desk, _ = desk_of(detectors=({**LEAN, "min_duration": "0ms"},))
    made = book(9.0, 1.0)
    assert desk.book_replaced(made, T, T) == 1
    assert desk.fired[0][1] == OPEN
    assert desk.book_changed(changed(made, 9.0, 1.0), T + 1, T + 1) == 0
    assert desk.fired == []
    made.live = False
    assert desk.book_invalid(T + 2) == 1
    assert desk.fired[0][1] == CLOSE
    assert desk.clock(T + S) == 0
    assert desk.fired == []


def test_values_of_every_shape_have_names() -> None:
    desk, names = desk_of({"metric": "mlofi", "levels": 3}, {"metric": "spread"}, {"metric": "cancel_add"})
    told = desk.values(names)
    assert {"mlofi.1", "mlofi.2", "mlofi.3"} < set(told)
    assert set(told.values()) == {None}


@pytest.mark.parametrize("kind", ["funding", "oi", "liquidation"])
def test_slow_events_reach_the_metrics_that_want_them(kind: str) -> None:
    desk, _ = desk_of({"metric": "spread"})
    desk.context({"type": kind}, T, T)
    assert desk.updates == 0, "nobody here wants it"


def test_the_tables_are_those_of_the_registries() -> None:
    assert load is not None
    assert set(DETECTORS) >= {"order_flow_imbalance", "market_depth_imbalance", "aggressive_order_flow"}
    assert list(FILTERS)[-1] == "rate", "it counts what passed all others, so it is asked last"
    assert METRICS
    assert UNIT == 10**8


def test_what_several_look_at_is_made_and_driven_once() -> None:
    average = {"metric": "vwap_deviation", "window": "10m"}
    kind = {"kind": "vwap_deviation", "window": "10m"}
    shorter = {**average, "window": "9m", "name": "c"}
    desk, names = desk_of(
        {"metric": "cvd", "name": "a"}, {"metric": "cvd", "name": "b"}, average, shorter, detectors=(kind,)
    )
    a, b, shared, other = desk.metrics
    assert a is b
    assert shared is desk.detectors[0].metrics[0]
    assert shared is not other, "other options are another metric"
    desk.book_replaced(book(), T, T)
    desk.trade(10_000_000_000, 2.0, 1, T, T)
    told = desk.values(names)
    assert (told["a"], told["b"]) == (2.0, 2.0)


def test_instruments_share_nothing() -> None:
    first, second = desk_of({"metric": "cvd"})[0], desk_of({"metric": "cvd"})[0]
    assert first.metrics[0] is not second.metrics[0]
