"""The hub: latest wins, how many a state stands for, and a ring that says what it lost."""

from __future__ import annotations

import math

import orjson
from sink_helpers import snapshot

from imbalanced.events import BookInvalid, BookValid, GapKind, LinkDown, LinkUp, Notice, Trade
from imbalanced.sinks import Hub


def valid(instrument: str = "BTC/USDT", recv_ns: int = 1) -> BookValid:
    return BookValid(venue="okx", instrument=instrument, recv_ns=recv_ns, book_seq=1, checks=("sequence",))


class Poked:
    def __init__(self) -> None:
        self.signals = 0
        self.states = 0

    def notify(self) -> None:
        self.signals += 1

    def state_changed(self) -> None:
        self.states += 1


def test_latest_wins_and_says_how_many_it_stands_for(hub: Hub) -> None:
    reader = hub.reader()
    for ofi in (1.0, 2.0, 3.0):
        hub.publish(snapshot(values={"ofi": ofi}))
    [state] = reader.take()
    data = orjson.loads(state.text())
    assert (data["values"], data["conflated"]) == ({"ofi": 3.0}, 3)
    reader.commit()
    assert (reader.take(), reader.conflated) == ([], 2)


def test_what_was_not_committed_is_offered_again_and_counted(hub: Hub) -> None:
    reader = hub.reader()
    hub.publish(snapshot())
    assert [s.conflated for s in reader.take()] == [1]
    hub.publish(snapshot())
    assert [s.conflated for s in reader.take()] == [2]


def test_a_new_reader_gets_the_present_state_once(hub: Hub) -> None:
    for _ in range(5):
        hub.publish(snapshot("A/B"))
    hub.publish(snapshot("C/D"))
    reader = hub.reader()
    assert [(s.snapshot.instrument, s.conflated) for s in reader.take()] == [("A/B", 1), ("C/D", 1)]
    reader.commit()
    assert reader.take() == []


def test_readers_are_independent(hub: Hub) -> None:
    quick, slow = hub.reader(), hub.reader()
    for _ in range(3):
        hub.publish(snapshot())
        assert [s.conflated for s in quick.take()] == [1]
        quick.commit()
    assert [s.conflated for s in slow.take()] == [3]


def test_after_a_rewind_everything_is_new(hub: Hub) -> None:
    reader = hub.reader()
    hub.publish(snapshot())
    reader.take()
    reader.commit()
    reader.rewind()
    assert [s.conflated for s in reader.take()] == [1]


def test_only_what_is_wanted(hub: Hub) -> None:
    reader = hub.reader()
    hub.publish(snapshot("A/B"))
    hub.publish(snapshot("C/D"))
    assert [s.snapshot.instrument for s in reader.take(lambda s: s.instrument == "A/B")] == ["A/B"]


def test_a_value_that_is_not_finite_becomes_unknown(hub: Hub) -> None:
    reader = hub.reader()
    hub.publish(snapshot(values={"ofi": math.nan, "vpin": 0.5}))
    assert orjson.loads(reader.take()[0].text())["values"] == {"ofi": None, "vpin": 0.5}


def test_statuses_in_order_and_only_transitions(hub: Hub) -> None:
    reader = hub.reader()
    hub.publish(valid())
    hub.publish(Trade(venue="okx", instrument="BTC/USDT", recv_ns=1, px=1, size=1.0, sign=1, trade_id=1))
    hub.publish(Notice(venue="okx", what="parse_error", recv_ns=1))
    hub.publish(BookInvalid(venue="okx", instrument="BTC/USDT", recv_ns=2, reason=GapKind.SEQUENCE_GAP))
    assert [orjson.loads(t)["event"] for t in reader.take_statuses()] == ["book_valid", "book_invalid"]
    reader.commit()
    assert reader.take_statuses() == []


def test_the_ring_counts_what_a_late_reader_lost() -> None:
    hub = Hub(ring=3)
    reader = hub.reader()
    for number in range(5):
        hub.publish(valid(recv_ns=number))
    assert [orjson.loads(t)["since"] for t in reader.take_statuses()] == [2, 3, 4]
    assert reader.missed == 2
    reader.commit()
    hub.publish(valid(recv_ns=9))
    assert [orjson.loads(t)["since"] for t in reader.take_statuses()] == [9]
    assert reader.missed == 2


def test_the_last_word_on_everything(hub: Hub) -> None:
    hub.publish(valid("A/B"))
    hub.publish(valid("C/D"))
    hub.publish(BookInvalid(venue="okx", instrument="A/B", recv_ns=2, reason=GapKind.SEQUENCE_GAP))
    hub.publish(LinkUp(venue="okx", conn=1, recv_ns=1))
    hub.publish(LinkDown(venue="okx", conn=1, recv_ns=3, reason="gone"))
    now = [orjson.loads(t) for t in hub.statuses_now()]
    assert sorted((s["event"], s["instrument"] or "") for s in now) == [
        ("book_invalid", "A/B"),
        ("book_valid", "C/D"),
        ("link_down", ""),
    ]


def test_waiters_are_poked_until_they_leave(hub: Hub) -> None:
    waiter = Poked()
    hub.join(waiter)
    hub.notify()
    hub.publish(snapshot())
    hub.publish(valid())
    hub.leave(waiter)
    hub.leave(waiter)
    hub.notify()
    assert (waiter.signals, waiter.states) == (1, 2)
