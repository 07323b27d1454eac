"""A socket hands over to the next one: no book is lost, no trade is told twice, and a failure is told."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from conversation import Conversation, S, diff_text, trade_text
from hypothesis import given
from hypothesis import strategies as st
from toy_venue import ToyCodec

from imbalanced.events import BookChanged
from imbalanced.rotation import OVERLAP_NS, PROGRESS_NS, RETRY_NS, ROTATE_AT, Overlap
from imbalanced.states import State
from imbalanced.venues.codec import Chain, Forced, Print, Send, Source
from imbalanced.watch import FIRST_DATA_NS

OVERLAP_S = OVERLAP_NS // S + 1
CLOSING = '{"e":"serverShutdown","E":1}'


class Two(Conversation):
    """A venue whose diffs join an image by their ids, with a twin on its way. ``ids`` are the last of each symbol."""

    def __init__(self, *symbols: str, venue: str = "binance") -> None:
        super().__init__(*symbols, venue=venue)
        self.live(10)
        self.ids = dict.fromkeys(self.symbols, 10)
        self.said: list[str] = []
        self.ws(CLOSING)
        assert self.asked() == ["Open 2"]

    def told(self, conn: int, symbol: str = "AAAUSDT", **more: Any) -> list[str]:
        """A socket tells the next diff of a symbol; the first to tell it makes it."""
        self.ids[symbol] += 1
        return self.at(conn, self.ids[symbol], symbol, **more)

    def at(self, conn: int, number: int, symbol: str = "AAAUSDT", **more: Any) -> list[str]:
        told = self.ws(diff_text(symbol, number, number, more.get("bids", ()), more.get("asks", ())), conn=conn)
        self.said += told
        return told

    def pause(self, seconds: int) -> list[str]:
        asked = []
        for _ in range(seconds):
            self.said += self.wait(1)
            asked += self.asked()
        return asked


def lost(told: list[str]) -> list[str]:
    return [word for word in told if word.startswith(("BookInvalid", "BookValid", "BookReplaced"))]


# -- books that join by ids --------------------------------------------------------------------------------------------


def test_books_go_over_one_by_one_and_the_old_socket_is_closed_for_good() -> None:
    two = Two("AAAUSDT", "BBBUSDT")
    assert two.open(2) == ["LinkUp 2"]
    assert two.asked() == ["Send 2"], "the twin asks for the same streams"
    assert two.told(1) == ["BookChanged AAA/USDT 11"]
    assert two.at(2, 11) == [], "told already, but from here on the twin can go on"
    assert two.at(2, 12) == ["BookChanged AAA/USDT 12"]
    assert two.at(1, 12) == [], "and the old one is not asked any more"
    two.ids["AAAUSDT"] = 12
    assert two.told(1, "BBBUSDT") == ["BookChanged BBB/USDT 11"], "while this one is still its own"
    assert two.at(2, 13, "BBBUSDT") == [], "ahead of the old one: kept"
    assert two.at(1, 12, "BBBUSDT") == ["BookChanged BBB/USDT 12"]
    assert two.at(2, 14, "BBBUSDT") == ["BookChanged BBB/USDT 13", "BookChanged BBB/USDT 14"]
    assert two.pause(OVERLAP_S) == ["Close 1 rotated"]
    assert two.close("rotated 1000", conn=1) == ["LinkDown 1 rotated 1000"]
    assert list(two.session.links) == [2]
    assert lost(two.said) == []
    assert two.at(2, 13) == ["BookChanged AAA/USDT 13"]
    assert two.at(2, 15) == ["BookInvalid AAA/USDT sequence_gap"], "the proof goes on as before"


def test_what_the_twin_told_before_the_old_one_is_not_missing() -> None:
    two = Two()
    two.open(2)
    assert two.at(2, 12, bids=[["99.97", "7"]]) == []
    assert two.at(2, 13) == []
    assert two.at(1, 11, bids=[["99.96", "8"]]) == ["BookChanged AAA/USDT 11"]
    assert two.at(2, 14) == ["BookChanged AAA/USDT 12", "BookChanged AAA/USDT 13", "BookChanged AAA/USDT 14"]
    levels = dict(two.session.lanes["AAAUSDT"].sync.book.bids.levels(9))
    assert (levels[9_997_000_000], levels[9_996_000_000]) == (7.0, 8.0)


@given(st.lists(st.sampled_from([1, 2]), max_size=40), st.integers(0, 30))
def test_in_whatever_order_two_sockets_speak_no_change_is_missing_or_twice(order: list[int], opens: int) -> None:
    """Both tell the same diffs, each in order, from where it was opened."""
    two = Two()
    at = {1: 10, 2: 10}
    for number, conn in enumerate([*order, *[1] * 5, *[2] * 60]):
        if number == opens:
            at[2] = max(at.values())  # a subscription begins with what comes next
            two.open(2)
        if (conn == 2 and number < opens) or (conn == 1 and at[1] >= 60):
            continue
        at[conn] += 1
        two.at(conn, at[conn])
    changes = [int(word.split()[-1]) for word in two.said if word.startswith("BookChanged")]
    assert lost(two.said) == []
    assert sorted(set(changes)) == list(range(11, max(changes, default=10) + 1))
    assert changes == sorted(changes)


def test_a_quiet_book_goes_over_without_a_word_and_the_next_diff_must_join() -> None:
    two = Two("AAAUSDT", "BBBUSDT")
    two.open(2)
    two.at(1, 11)
    two.at(2, 11)
    two.at(2, 12)
    assert two.pause(OVERLAP_S) == ["Close 1 rotated"]
    two.close(conn=1)
    assert two.at(2, 11, "BBBUSDT") == ["BookChanged BBB/USDT 11"]
    gap = Two("AAAUSDT", "BBBUSDT")
    gap.open(2)
    gap.at(1, 11)
    gap.at(2, 11)
    gap.at(2, 12)
    gap.pause(OVERLAP_S)
    gap.close(conn=1)
    assert gap.at(2, 12, "BBBUSDT") == ["BookInvalid BBB/USDT snapshot_no_overlap"], "silence was no proof"


# -- books with images of their own ------------------------------------------------------------------------------------


class Toys(Conversation):
    """A venue whose images come with the stream."""

    def __init__(self, source: Source = Source.STREAM, *symbols: str, chain: Chain = Chain.PLUS_ONE) -> None:
        super().__init__(*symbols, codec=ToyCodec(source, chain=chain))
        self.instruments()
        self.open()
        for symbol in self.symbols:
            self.tell(1, "image", symbol, last=5)
        self.tell(1, "closing")
        assert self.asked() == ["Open 2"]
        self.open(2)

    def tell(self, conn: int, word: str, symbol: str = "AAAUSDT", **more: Any) -> list[str]:
        if word == "image":
            more = {"bids": [[100, 1.0]], "asks": [[101, 2.0]], **more}
        return self.ws(orjson.dumps({"say": word, "symbol": symbol, **more}), conn=conn)

    def levels(self, symbol: str = "AAAUSDT") -> list[tuple[int, float]]:
        return list(self.session.lanes[symbol].sync.book.bids.levels(9))


def test_a_book_built_beside_the_live_one_is_told_as_what_changed() -> None:
    toys = Toys()
    toys.tell(1, "diff", first=6, last=6, bids=[[99, 3.0]])
    assert toys.tell(2, "image", last=5) == [], "older than the live one"
    assert toys.tell(2, "diff", first=6, last=6, bids=[[99, 3.0]]) == [], "as the live one: nothing changed"
    assert toys.session.lanes["AAAUSDT"].conn == 2
    assert toys.tell(2, "diff", first=7, last=7, bids=[[98, 4.0]]) == ["BookChanged AAA/USDT 7"]
    assert toys.tell(1, "diff", first=7, last=7, bids=[[98, 4.0]]) == []
    assert toys.levels() == [(100, 1.0), (99, 3.0), (98, 4.0)]


def test_an_image_ahead_of_the_live_book_takes_its_place() -> None:
    toys = Toys()
    assert toys.tell(2, "image", last=9, bids=[[100, 5.0]]) == ["BookChanged AAA/USDT 9"]
    (event,) = toys.events
    assert isinstance(event, BookChanged)
    assert (event.book_seq, toys.levels()) == (9, [(100, 5.0)])
    assert toys.tell(1, "diff", first=6, last=6) == [], "the old socket is behind, and not listened to"
    assert toys.tell(2, "diff", first=10, last=10) == ["BookChanged AAA/USDT 10"]


def test_a_twin_with_a_gap_or_a_false_checksum_is_asked_again_while_the_old_one_lives() -> None:
    toys = Toys()
    toys.tell(1, "diff", first=6, last=6)
    toys.tell(1, "diff", first=7, last=7)
    toys.tell(2, "image", last=5)
    assert toys.tell(2, "diff", first=8, last=8) == []
    assert [c.data for c in toys.commands if isinstance(c, Send)] == ["leave AAAUSDT", "join AAAUSDT"]
    assert toys.tell(2, "image", last=9, sum=77.0) == []
    assert toys.asked() == ["Send 2", "Send 2"]
    assert toys.tell(1, "diff", first=8, last=8) == ["BookChanged AAA/USDT 8"]
    assert toys.tell(2, "image", last=9, sum=3.0)[:1] == ["BookChanged AAA/USDT 9"] or toys.levels() == [(100, 1.0)]
    assert toys.session.lanes["AAAUSDT"].conn == 2


def test_whole_images_and_books_without_ids_go_over_with_the_first_image() -> None:
    for source in (Source.FULL, Source.STREAM):
        toys = Toys(source, chain=Chain.NONE)
        toys.tell(2, "image", last=5, bids=[[100, 8.0]])
        assert toys.session.lanes["AAAUSDT"].conn == 2
        assert toys.levels() == [(100, 8.0)]
        assert toys.tell(1, "image", last=6, bids=[[100, 9.0]]) == []


def test_a_first_image_that_is_lost_is_asked_for_again_in_time() -> None:
    toys = Toys(Source.STREAM, "AAAUSDT", "BBBUSDT")
    toys.tell(2, "image", last=5)
    asked: list[str] = []
    for number in range(6, 6 + PROGRESS_NS // S):
        for conn, symbol in ((1, "AAAUSDT"), (1, "BBBUSDT"), (2, "AAAUSDT"), (2, "BBBUSDT")):
            assert lost(toys.tell(conn, "diff", symbol, first=number, last=number)) == []
        assert lost(toys.wait(1)) == []
        sent = [command for command in toys.commands if isinstance(command, Send) and command.data != "ping"]
        asked += [f"{command.conn} {command.data}" for command in sent]
        if "2 join BBBUSDT" in asked:
            break
    assert asked == ["2 leave BBBUSDT", "2 join BBBUSDT"]
    toys.tell(2, "image", "BBBUSDT", last=number)
    assert toys.session.lanes["BBBUSDT"].conn == 2


def test_a_frame_of_the_twin_that_cannot_be_read_costs_what_is_built_on_it_and_not_the_live_book() -> None:
    toys = Toys(chain=Chain.NONE)
    assert toys.ws(b"{cut", conn=2) == ["Notice parse_error"]
    assert [command.data for command in toys.commands if isinstance(command, Send)] == ["leave AAAUSDT", "join AAAUSDT"]
    assert toys.tell(2, "diff", first=7, last=7, bids=[[98, 4.0]]) == [], "what came before it is missing"
    assert toys.tell(1, "diff", first=6, last=6) == ["BookChanged AAA/USDT 6"]
    toys.tell(2, "image", last=8)
    assert toys.session.lanes["AAAUSDT"].conn == 2
    assert lost(toys.ws(b"{cut", conn=1)) == [], "the old socket is not listened to any more"
    assert lost(toys.ws(b"{cut", conn=2)) == ["BookInvalid AAA/USDT parse_error"]


def test_nothing_is_built_on_a_twin_with_a_hole_in_its_counter() -> None:
    toys = Toys(chain=Chain.NONE)
    toys.tell(2, "gap")
    assert toys.asked() == ["Reconnect 2 connection_wide_gap"]
    assert toys.tell(2, "image", last=9, bids=[[100, 5.0]]) == []
    assert toys.session.lanes["AAAUSDT"].conn == 1
    toys.close("connection_wide_gap 1000", conn=2)
    toys.open(2)
    assert toys.tell(2, "image", last=9, bids=[[100, 5.0]]) == ["BookChanged AAA/USDT 9"]


def test_a_twin_whose_book_begins_anew_is_asked_for_it() -> None:
    toys = Toys()
    assert toys.tell(2, "gone") == []
    assert toys.asked() == ["Send 2", "Send 2"]
    assert toys.tell(1, "diff", first=6, last=6) == ["BookChanged AAA/USDT 6"]


# -- when it does not go well ------------------------------------------------------------------------------------------


def test_a_twin_that_never_speaks_is_given_up_and_tried_again_later() -> None:
    two = Two()
    two.open(2)
    last = 10
    asked: list[str] = []
    for _ in range(int(PROGRESS_NS / S) + 2):
        last += 1
        assert two.at(1, last) == [f"BookChanged AAA/USDT {last}"]
        asked += two.pause(1)
    assert "Close 2 rotation_failed" in asked
    assert list(two.session.links) == [1]
    two.session._links.up_ns[1] -= int(two.session.codec.limits.lifetime_s * S)
    asked = []
    for _ in range(int(RETRY_NS / S) + 2):
        last += 1
        two.at(1, last)
        asked += two.pause(1)
    assert "Open 3" in asked


def test_an_old_socket_that_closes_too_soon_costs_the_books_that_were_not_over() -> None:
    two = Two("AAAUSDT", "BBBUSDT")
    two.open(2)
    two.at(1, 11)
    two.at(2, 11)
    assert two.close("cut", conn=1) == ["LinkDown 1 cut", "BookInvalid BBB/USDT socket_closed"]
    assert "Close 1 rotated" in two.asked(), "it is not opened again"
    assert two.at(2, 12) == ["BookChanged AAA/USDT 12"]
    two.at(2, 50, "BBBUSDT")
    two.until_woken()
    assert two.image(50, "BBBUSDT")[1] == "BookValid BBB/USDT 50"
    assert two.session.rotation.active == {}


def test_a_book_that_came_over_late_has_its_own_time_for_its_first_data() -> None:
    two = Two("AAAUSDT", "BBBUSDT")
    two.open(2)
    two.told(1)
    two.at(2, two.ids["AAAUSDT"])
    two.pause(1)
    two.told(1, "BBBUSDT")
    two.pause(FIRST_DATA_NS // S - 4)
    assert two.session.lanes["BBBUSDT"].conn == 1
    two.close("cut", conn=1)
    moved_ns = two.now_ns
    two.said.clear()
    while "StreamState BBB/USDT silent" not in two.said:
        two.pause(1)
    assert two.now_ns - moved_ns == FIRST_DATA_NS


def test_an_old_socket_that_closes_before_the_twin_is_open() -> None:
    two = Two()
    assert two.close("cut", conn=1) == ["LinkDown 1 cut", "BookInvalid AAA/USDT socket_closed"]
    assert two.open(2) == ["LinkUp 2"]
    two.at(2, 50)
    assert two.image(50)[1] == "BookValid AAA/USDT 50"


def test_a_twin_that_closes_is_opened_again_and_goes_on() -> None:
    two = Two("AAAUSDT", "BBBUSDT")
    two.open(2)
    two.at(1, 11)
    two.at(2, 11)
    assert two.close("cut", conn=2) == ["LinkDown 2 cut", "BookInvalid AAA/USDT socket_closed"]
    assert two.at(1, 11, "BBBUSDT") == ["BookChanged BBB/USDT 11"]
    two.open(2)
    two.at(2, 12, "BBBUSDT")
    assert two.at(2, 13, "BBBUSDT") == ["BookChanged BBB/USDT 13"]


def test_a_book_that_is_lost_meanwhile_is_proven_on_the_twin() -> None:
    two = Two()
    two.open(2)
    assert two.at(1, 13) == ["BookInvalid AAA/USDT sequence_gap"]
    assert two.at(2, 14) == []
    assert two.session.lanes["AAAUSDT"].conn == 2
    assert two.image(14)[1] == "BookValid AAA/USDT 14"


def test_a_halt_and_a_delisting_go_over_as_they_are() -> None:
    toys = Toys(Source.STREAM, "AAAUSDT", "BBBUSDT")
    toys.tell(1, "trading", state="halted")
    toys.tell(1, "trading", "BBBUSDT", state="gone")
    toys.tell(2, "image", last=9)
    toys.tell(2, "image", "BBBUSDT", last=9)
    lanes = toys.session.lanes
    assert [(lane.state, lane.conn) for lane in lanes.values()] == [(State.HALTED, 2), (State.CLOSED, 2)]
    assert toys.close("cut", conn=1) == ["LinkDown 1 cut"]
    toys.tell(2, "trading", state="trading")
    assert toys.asked() == ["Send 2", "Send 2"]


def test_what_is_gone_is_left_on_both_sockets() -> None:
    toys = Toys(Source.STREAM, "AAAUSDT", "BBBUSDT")
    toys.tell(2, "trading", state="gone")
    assert [plan.books for plan in toys.session.links.values()] == [("BBBUSDT",)] * 2
    assert toys.asked() == ["Send 1", "Send 2"]
    toys.tell(2, "trading", "BBBUSDT", state="gone")
    assert toys.asked() == ["Send 1", "Close 1 symbol_gone", "Send 2", "Close 2 symbol_gone"]
    toys.close("symbol_gone", conn=2)
    toys.close("symbol_gone", conn=1)
    assert (toys.session.links, toys.session.rotation.active) == ({}, {})


def test_a_halt_that_the_twin_says_nothing_of_is_over_there() -> None:
    """What still holds is said again on a new socket, here as with any other."""
    toys = Toys(Source.STREAM, "AAAUSDT", "BBBUSDT")
    toys.tell(2, "image", last=9)
    toys.tell(2, "image", "BBBUSDT", last=9)
    toys.close("rotated", conn=1)
    toys.tell(2, "trading", state="halted")
    toys.tell(2, "closing")
    toys.open(3)
    toys.tell(3, "image", last=20)
    assert toys.session.lanes["AAAUSDT"].state is State.LIVE


def test_sockets_that_were_opened_together_are_rotated_one_after_the_other() -> None:
    rotation = Conversation().session.rotation
    ages = [rotation.lifetime_ns(conn) for conn in range(1, 20)]
    assert len(set(ages)) == len(ages)
    assert [rotation.lifetime_ns(conn) for conn in range(1, 20)] == ages


def test_a_notice_is_heard_once() -> None:
    two = Two()
    two.ws(CLOSING)
    assert two.asked() == []
    two.open(2)
    two.ws(CLOSING, conn=2)
    assert two.asked() == []


def test_a_socket_without_books_hands_over_too() -> None:
    said = Conversation(venue="binance_usdm")
    said.instruments()
    for conn in (1, 2):
        said.open(conn)
    said.session.rotation.begin(2, said.now_ns)
    said.open(3)
    said.ws('{"result":null,"id":1}', conn=3)
    asked = []
    for _ in range(OVERLAP_S):
        said.wait(1)
        asked += said.asked()
    assert "Close 2 rotated" in asked


# -- trades ------------------------------------------------------------------------------------------------------------


def test_trades_of_both_sockets_count_once_and_holes_are_told_at_the_end() -> None:
    two = Two()
    two.ws(trade_text("AAAUSDT", 7, "1", "1"))
    two.open(2)
    for conn, number, news in [(1, 8, True), (2, 8, False), (2, 10, True), (1, 9, True), (1, 10, False), (2, 12, True)]:
        told = two.ws(trade_text("AAAUSDT", number, "1", "1"), conn=conn)
        assert told == ([f"Trade AAA/USDT {number} +1"] if news else [])
    two.at(2, 11)
    assert two.pause(OVERLAP_S) == ["Close 1 rotated"]
    assert two.close(conn=1) == ["LinkDown 1 1006", "Notice trade_gap AAA/USDT"]
    assert two.events[-1].detail == "11..11"
    assert two.ws(trade_text("AAAUSDT", 13, "1", "1"), conn=2) == ["Trade AAA/USDT 13 +1"]


def a_print(number: int, trade_id: int = -1) -> Print:
    return Print(symbol="A", stream="t", px=number, size=1.0, sign=1, trade_id=trade_id, event_ns=5)


@given(st.lists(st.integers(0, 2), max_size=12), st.lists(st.integers(1, 2), max_size=40))
def test_trades_without_ids_count_as_often_as_one_socket_tells_them(prices: list[int], turns: list[int]) -> None:
    """Equal prints are no duplicates if each socket tells them as often."""
    overlap, at = Overlap(-1), {1: 0, 2: 0}
    taken: list[int] = []
    for conn in [*turns, *[1] * len(prices), *[2] * len(prices)]:
        if at[conn] < len(prices):
            price = prices[at[conn]]
            at[conn] += 1
            if overlap.first(conn, a_print(price)):
                taken.append(price)
    assert sorted(taken) == sorted(prices)


def test_forced_orders_count_once_too() -> None:
    overlap = Overlap(-1)
    forced = Forced(symbol="A", event_ns=5, px=1, size=1.0, sign=-1)
    assert overlap.first(1, forced)
    assert not overlap.first(2, forced)
    assert overlap.first(1, forced), "the same socket says it again: another one"


def test_the_timer_of_the_lifetime_is_the_one_of_the_present_socket() -> None:
    said = Conversation().live(10)
    lifetime_s = said.session.codec.limits.lifetime_s * ROTATE_AT
    said.close()
    said.now_ns += int(lifetime_s * S)
    said.open()
    said.wait(1)
    assert not any(word.startswith("Open") for word in said.asked())


@pytest.mark.parametrize("source", [Source.STREAM, Source.FULL])
def test_a_door_is_asked_for_the_twin_as_well(source: Source) -> None:
    said = Conversation(codec=ToyCodec(source, door=True))
    said.instruments()
    said.say("http", b'{"say":"door"}', conn=0, url="https://toy/door")
    said.open()
    said.session.rotation.begin(1, said.now_ns)
    said.say("wake", conn=0)
    assert "Open 2" not in said.asked()
    said.say("http", b'{"say":"door"}', conn=0, url="https://toy/door")
    assert said.asked() == ["Open 2"]
