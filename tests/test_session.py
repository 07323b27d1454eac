"""A venue's session as a conversation: what it answers to each frame and what it asks for."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from conversation import ASKS, BIDS, Conversation, diff_text, trade_text
from toy_venue import ToyCodec

from imbalanced.books import IMAGE_TIMEOUT_NS, KEPT_WAITING, S
from imbalanced.events import BookReplaced, Frame, Trade
from imbalanced.jsontext import status_json
from imbalanced.lane import RESYNCS_MAX
from imbalanced.rotation import ROTATE_AT, SOONER
from imbalanced.sinks.meters import Meters
from imbalanced.venues.codec import Chain, CodecError, Send, Source
from imbalanced.watch import FIRST_DATA_NS

GONE = '{"code":-1121,"msg":"Invalid symbol."}'


# -- coming up ---------------------------------------------------------------------------------------------------------


def test_from_the_instruments_to_a_proven_book() -> None:
    said = Conversation("AAAUSDT", "BBBUSDT")
    assert said.instruments() == []
    assert said.asked() == ["Open 1"]
    assert said.open() == ["LinkUp 1"]
    assert said.asked() == ["Send 1"]
    assert said.diff(9, 10) == []
    assert said.asked() == ["Fetch AAAUSDT"], "one symbol's diffs ask for that symbol's image only"
    assert said.diff(11, 12) == []
    assert said.asked() == [], "one image is on its way"
    assert said.image(10) == ["ResyncEnded AAA/USDT ok", "BookValid AAA/USDT 12", "BookReplaced AAA/USDT 12"]
    assert said.diff(13, 14, bids=[["99.99", "0"]]) == ["BookChanged AAA/USDT 14"]
    lane = said.session.lane_of("AAA/USDT")
    assert lane is not None
    assert lane.sync.book.bids.levels(1) == [(9998000000, 3.0)]


def test_the_book_of_an_event_is_the_live_book() -> None:
    said = Conversation()
    said.instruments()
    said.open()
    said.diff(9, 10)
    said.image(10)
    last = said.events[-1]
    assert isinstance(last, BookReplaced)
    lane = said.session.lane_of("AAA/USDT")
    assert lane is not None
    assert last.book is lane.sync.book
    assert said.session.lane_of("NO/SUCH") is None


def test_a_futures_book_waits_for_two_diffs_or_a_second() -> None:
    said = Conversation(venue="binance_usdm")
    said.instruments()
    assert said.asked() == ["Open 1", "Open 2"], "books and trades come by two sockets"
    said.open(1)
    said.diff(9, 10, prev=8)
    assert said.asked() == []
    said.diff(11, 12, prev=10)
    assert said.asked() == ["Fetch AAAUSDT"]
    quiet = Conversation(venue="binance_usdm")
    quiet.instruments()
    quiet.open(1)
    quiet.diff(9, 10, prev=8)
    quiet.wait(1.0)
    assert quiet.asked() == ["Fetch AAAUSDT"]


def test_an_image_is_asked_for_without_any_diff_after_a_second() -> None:
    said = Conversation()
    said.instruments()
    said.open()
    assert said.asked() == ["Send 1"]
    said.until_woken()
    assert said.asked() == ["Fetch AAAUSDT"]


def test_unknown_kinds_symbols_and_sockets_are_nothing() -> None:
    said = Conversation().live()
    assert said.say("sent", "whatever") == []
    assert said.say("other", "whatever") == []
    assert said.diff(1, 2, "ZZZUSDT") == []
    assert said.ws(trade_text("ZZZUSDT", 1, "1", "1")) == []
    assert said.image(5, "ZZZUSDT") == []
    assert said.image(5, "ZZZUSDT", status=500) == []
    assert said.open(99) == ["LinkUp 99"]
    assert said.asked() == []
    assert said.close(conn=98) == []
    assert said.ws('{"result":null,"id":1}') == []
    mark = '{"e":"markPriceUpdate","E":1,"s":"ZZZUSDT","p":"1"}'
    forced = '{"e":"forceOrder","o":{"s":"ZZZUSDT","S":"BUY","p":"1","z":"1","T":1}}'
    assert said.ws(mark) == said.ws(forced) == []


# -- losing a book -----------------------------------------------------------------------------------------------------


def test_a_gap_is_said_at_that_frame_and_for_that_symbol_only() -> None:
    said = Conversation("AAAUSDT", "BBBUSDT").live(10)
    assert said.diff(12, 13) == ["BookInvalid AAA/USDT sequence_gap"]
    assert said.asked() == ["Fetch AAAUSDT"], (
        "the diff that broke the chain is in the buffer, so the image can be asked"
    )
    assert said.diff(14, 15) == []
    assert said.diff(11, 11, "BBBUSDT") == ["BookChanged BBB/USDT 11"]
    assert said.image(13) == ["ResyncEnded AAA/USDT ok", "BookValid AAA/USDT 15", "BookReplaced AAA/USDT 15"]


def test_an_image_that_does_not_join() -> None:
    said = Conversation()
    said.instruments()
    said.open()
    assert said.image(20) == ["ResyncEnded AAA/USDT ok", "BookValid AAA/USDT 20", "BookReplaced AAA/USDT 20"]
    assert said.diff(25, 26) == ["BookInvalid AAA/USDT snapshot_no_overlap"]


def test_duplicates_are_nothing_and_many_are_a_reset() -> None:
    said = Conversation().live(10)
    said.diff(11, 11)
    for _ in range(19):
        assert said.diff(3, 3) == []
    assert said.diff(4, 4) == ["BookInvalid AAA/USDT sequence_reset"]


def test_a_crossed_book_is_lost_after_its_grace() -> None:
    said = Conversation().live(10)
    said.diff(11, 11)
    assert said.diff(12, 12, bids=[["101", "1"]]) == ["BookChanged AAA/USDT 12"]
    said.now_ns += S
    assert said.diff(13, 13) == ["BookInvalid AAA/USDT crossed_book"]


def test_a_second_loss_before_the_image_is_not_said_twice() -> None:
    said = Conversation().live(10)
    said.diff(12, 13)
    assert said.diff(15, 16) == ["ResyncEnded AAA/USDT sequence_gap"], "the image under way cannot join any more"
    assert said.diff(18, 19) == []


def test_a_buffer_that_overflows_starts_again() -> None:
    said = Conversation()
    said.instruments()
    said.open()
    lane = said.session.lanes["AAAUSDT"]
    lane.sync.buffer_limit = 2
    said.diff(1, 1)
    said.diff(2, 2)
    assert said.diff(3, 3) == ["ResyncEnded AAA/USDT buffer_overflow"]
    assert lane.why == "buffer_overflow"


# -- images that do not come -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "data"), [(429, '{"code":-1003,"msg":"Too many"}'), (500, "oops"), (0, "timed out"), (400, "?")]
)
def test_a_failed_fetch_is_tried_again_with_backoff(status: int, data: str) -> None:
    said = Conversation()
    said.instruments()
    said.open()
    said.diff(9, 10)
    assert said.image(0, status=status, data=data) == [
        "Notice rest_error AAA/USDT",
        "ResyncEnded AAA/USDT snapshot_failed",
    ]
    assert said.asked() == [], "not at once"
    asked_ns, waits = said.now_ns, []
    for _ in range(9):
        said.until_woken()
        assert said.asked() == ["Fetch AAAUSDT"]
        waits.append((said.now_ns - asked_ns) / S)
        asked_ns = said.now_ns
        said.diff(11, 12)
        assert said.asked() == []
        said.image(0, status=status, data=data)
    assert waits[:6] == sorted(waits[:6]), "it doubles until it reaches its bound"
    assert 0.25 <= waits[0] <= 0.5
    assert 15 <= waits[-1] <= 30


def test_a_stale_image_is_a_failed_attempt() -> None:
    said = Conversation()
    said.instruments()
    said.open()
    said.diff(9, 10)
    assert said.image(5) == ["ResyncEnded AAA/USDT stale_snapshot"]
    said.until_woken()
    assert said.asked() == ["Fetch AAAUSDT"]
    assert said.image(10)[0] == "ResyncEnded AAA/USDT ok"


def test_an_image_that_never_comes_is_asked_for_again() -> None:
    said = Conversation()
    said.instruments()
    said.open()
    said.diff(9, 10)
    begun_ns = said.now_ns
    told: list[str] = []
    while not told:
        said.diff(*(said.session.lanes["AAAUSDT"].sync.last_id + 1,) * 2)
        told = said.wait(1)
    assert told == ["ResyncEnded AAA/USDT snapshot_failed"]
    assert said.now_ns - begun_ns == IMAGE_TIMEOUT_NS
    assert said.image(10)[0] == "ResyncEnded AAA/USDT ok", "late is better than never"


def test_an_image_that_is_no_json_is_a_failed_attempt_and_a_notice() -> None:
    said = Conversation()
    said.instruments()
    said.open()
    said.diff(9, 10)
    assert said.image(0, data="<html>") == ["Notice parse_error AAA/USDT", "ResyncEnded AAA/USDT snapshot_failed"]


def test_a_symbol_that_is_gone_is_not_asked_for_again() -> None:
    said = Conversation("AAAUSDT", "BBBUSDT").live(10)
    said.diff(20, 21)
    assert said.image(0, status=400, data=GONE) == [
        "Notice rest_error AAA/USDT",
        "Notice symbol_gone AAA/USDT",
        "ResyncEnded AAA/USDT symbol_gone",
    ]
    for _ in range(20):
        said.diff(11 + _, 11 + _, "BBBUSDT")
        said.wait(1)
        assert "Fetch AAAUSDT" not in said.asked()


def test_a_late_failure_does_not_touch_a_live_book() -> None:
    said = Conversation().live(10)
    assert said.image(0, status=500, data="oops") == ["Notice rest_error AAA/USDT"]
    assert said.diff(11, 11) == ["BookChanged AAA/USDT 11"]
    assert said.image(99) == [], "an image nobody waits for is not applied"


# -- frames that do not parse ------------------------------------------------------------------------------------------


def test_a_parse_error_with_a_symbol_takes_that_symbol() -> None:
    said = Conversation("AAAUSDT", "BBBUSDT").live(10)
    broken = diff_text("AAAUSDT", 11, 11, [["-1", "1"]])
    assert said.ws(broken) == ["Notice parse_error AAA/USDT", "BookInvalid AAA/USDT parse_error"]
    assert said.diff(11, 11, "BBBUSDT") == ["BookChanged BBB/USDT 11"]
    assert said.diff(12, 12) == []
    assert said.asked() == ["Fetch AAAUSDT"]


def test_a_parse_error_without_a_symbol_takes_the_socket() -> None:
    said = Conversation("AAAUSDT", "BBBUSDT").live(10)
    assert said.ws("\x00garbage") == [
        "Notice parse_error",
        "BookInvalid AAA/USDT parse_error",
        "BookInvalid BBB/USDT parse_error",
    ]


def test_a_truncated_frame_whose_wrapper_can_be_read_takes_its_symbol() -> None:
    said = Conversation("AAAUSDT", "BBBUSDT").live(10)
    assert said.ws(diff_text("BBBUSDT", 11, 11)[:-20]) == [
        "Notice parse_error BBB/USDT",
        "BookInvalid BBB/USDT parse_error",
    ]


def test_a_parse_error_of_another_symbol_or_socket_takes_nothing() -> None:
    said = Conversation("AAAUSDT").live(10)
    assert said.ws("garbage", conn=7) == ["Notice parse_error"]
    assert said.diff(11, 11) == ["BookChanged AAA/USDT 11"]


# -- silence -----------------------------------------------------------------------------------------------------------


def test_an_acknowledged_subscription_that_never_speaks() -> None:
    said = Conversation("AAAUSDT", "BBBUSDT")
    said.instruments()
    said.open()
    said.ws('{"result":null,"id":1}')
    said.diff(9, 10, "BBBUSDT")
    said.image(10, "BBBUSDT")
    assert said.wait(FIRST_DATA_NS / S) == [
        "StreamState AAA/USDT silent",
        "ResyncEnded AAA/USDT silent_subscription",
    ]
    assert not any("Reconnect" in word for word in said.asked()), "the socket speaks, so it is not at fault"


def test_a_socket_on_which_nothing_speaks_is_opened_again() -> None:
    said = Conversation()
    said.instruments()
    said.open()
    said.ws('{"result":null,"id":1}')
    assert said.wait(FIRST_DATA_NS / S) == [
        "StreamState AAA/USDT silent",
        "ResyncEnded AAA/USDT silent_subscription",
    ]
    assert said.asked() == ["Fetch AAAUSDT", "Reconnect 1 silent_subscription"]
    assert said.close() == ["LinkDown 1 1006"]
    said.open()
    assert said.diff(9, 10) == ["StreamState AAA/USDT live"]


def test_an_image_alone_does_not_revive_a_silent_stream() -> None:
    said = Conversation()
    said.instruments()
    said.open()
    said.wait(FIRST_DATA_NS / S)
    assert said.image(10) == []
    assert said.diff(10, 11) == ["StreamState AAA/USDT live"]
    assert said.image(10) == ["ResyncEnded AAA/USDT ok", "BookValid AAA/USDT 11", "BookReplaced AAA/USDT 11"]


def test_a_stream_that_stops_is_stale_and_says_so_when_it_speaks_again() -> None:
    said = Conversation("AAAUSDT", "BBBUSDT").live(10)
    told: list[str] = []
    last = 10
    while not told:
        last += 1
        said.diff(last, last, "BBBUSDT")
        told = said.wait(1)
        assert last < 200, "120 s of silence are stale for any stream"
    assert told == ["StreamState AAA/USDT stale", "BookInvalid AAA/USDT stale_stream"]
    assert last - 10 == 121
    assert said.diff(11, 11) == ["StreamState AAA/USDT live"]


def test_a_socket_with_nothing_but_stale_streams_is_opened_again_at_intervals() -> None:
    said = Conversation().live(10)
    asked: list[tuple[int, str]] = []
    begun_ns = said.now_ns
    for _ in range(400):
        said.wait(1)
        asked += [((said.now_ns - begun_ns) // S, word) for word in said.asked() if "Reconnect" in word]
    # Stale after 120 s; the venue's patience of 60 s is long over by then, and begins anew with each reconnect.
    assert [word for _, word in asked] == ["Reconnect 1 stale_stream"] * len(asked)
    assert [at for at, _ in asked][:3] == [121, 182, 243]


# -- sockets -----------------------------------------------------------------------------------------------------------


def test_a_closed_socket_takes_its_books_and_a_new_one_brings_them_back() -> None:
    said = Conversation("AAAUSDT", "BBBUSDT").live(10)
    assert said.close("going away") == [
        "LinkDown 1 going away",
        "BookInvalid AAA/USDT socket_closed",
        "BookInvalid BBB/USDT socket_closed",
    ]
    assert said.diff(11, 11) == [], "nothing is kept of a socket that is gone"
    assert said.open() == ["LinkUp 1"]
    said.diff(50, 51)
    assert said.image(51)[0] == "ResyncEnded AAA/USDT ok"


def test_a_frame_of_hostile_size_costs_its_socket_and_the_reason_is_told() -> None:
    said = Conversation().live(10)
    assert said.close("message_too_big 1009") == [
        "LinkDown 1 message_too_big 1009",
        "BookInvalid AAA/USDT socket_closed",
    ]
    link, book = said.events
    assert orjson.loads(status_json(link) or b"")["reason"] == "message_too_big 1009"
    assert book.detail == "message_too_big 1009"
    meters = Meters()
    meters.observe(link)
    assert meters.reconnects["binance", "message_too_big"] == 1


def test_closing_twice_or_without_a_life_is_said_once() -> None:
    said = Conversation().live(10)
    said.close()
    assert said.close() == []


def test_a_socket_that_carries_no_books() -> None:
    said = Conversation(venue="binance_usdm")
    said.instruments()
    said.open(1)
    said.open(2)
    said.diff(9, 10, prev=8)
    said.diff(11, 12, prev=10)
    said.image(11)
    assert said.close("bye", conn=2) == ["LinkDown 2 bye"], "the books live on the other socket"
    assert said.diff(13, 14, prev=12) == ["BookChanged AAA/USDT 14"]


def test_a_shutdown_notice_asks_for_a_new_socket_while_books_live() -> None:
    said = Conversation().live(10)
    assert said.ws('{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1}}') == []
    assert said.asked() == ["Open 2"], "made before break (test_rotation.py)"
    assert said.diff(11, 11) == ["BookChanged AAA/USDT 11"]
    assert said.ws('{"e":"serverShutdown","E":1}', conn=9) == []
    assert said.asked() == [], "no such socket"


def test_a_socket_is_rotated_before_the_venue_cuts_it() -> None:
    said = Conversation().live(10)
    lifetime_ns = said.session.rotation.lifetime_ns(1)
    assert ROTATE_AT - SOONER <= lifetime_ns / S / said.session.codec.limits.lifetime_s <= ROTATE_AT
    begun_ns, last = said.now_ns, 10
    said.now_ns = begun_ns + lifetime_ns - S
    said.diff(11, 11)
    said.say("wake", conn=0)
    assert said.asked() == []
    for _ in range(2):
        last += 1
        said.diff(last, last)
        said.wait(1)
        if said.asked():
            break
    assert said.asked() == ["Open 2"]
    assert said.now_ns - begun_ns == lifetime_ns


def test_the_timers_of_an_earlier_life_of_a_socket_are_void() -> None:
    said = Conversation()
    said.instruments()
    said.open()
    said.wait(19)
    said.close()
    said.open()
    assert said.wait(2) == [], "21 s after the first open but 2 s after the second"
    assert not any("Reconnect" in word for word in said.asked())
    said.close()
    said.wait(30)
    assert not any("Reconnect" in word for word in said.asked()), "there is no socket to reconnect"


# -- the operator and the list -----------------------------------------------------------------------------------------


def test_a_resync_on_request() -> None:
    said = Conversation("AAAUSDT", "BBBUSDT").live(10)
    assert said.say("resync", "AAA/USDT", conn=0) == ["BookInvalid AAA/USDT requested"]
    said.diff(11, 12)
    assert said.asked() == ["Fetch AAAUSDT"]
    assert said.say("resync", "NO/SUCH", conn=0) == []
    said.close()
    assert said.say("resync", "BBB/USDT", conn=0) == [], "a socket that is down brings its books back by itself"


def test_a_symbol_that_left_the_list_and_one_that_came() -> None:
    said = Conversation("AAAUSDT", "BBBUSDT").live(10)
    assert said.instruments("BBBUSDT", "CCCUSDT") == ["BookInvalid AAA/USDT symbol_gone"]
    assert said.diff(11, 11) == []
    assert said.diff(11, 11, "BBBUSDT") == ["BookChanged BBB/USDT 11"]
    assert said.session.lane_of("CCC/USDT") is not None


def test_a_recording_without_a_listing_names_its_own_symbols() -> None:
    said = Conversation(discover=True)
    assert said.open(3) == ["LinkUp 3"]
    assert said.ws(diff_text("NEWUSDT", 9, 10), conn=3) == []
    assert said.image(10, "NEWUSDT") == ["ResyncEnded NEWUSDT ok", "BookValid NEWUSDT 10", "BookReplaced NEWUSDT 10"]
    assert said.session.lanes["NEWUSDT"].conn == 3
    assert said.close(conn=3) == ["LinkDown 3 1006", "BookInvalid NEWUSDT socket_closed"]


def test_a_recording_with_the_venues_own_listing_has_proper_names() -> None:
    said = Conversation(discover=True)
    listed = (
        '{"symbols":[{"symbol":"NEWUSDT","baseAsset":"NEW","quoteAsset":"USDT","status":"TRADING","filters":'
        '[{"filterType":"PRICE_FILTER","tickSize":"0.01000000"}]}]}'
    )
    assert said.say("http", listed, conn=0, url="https://x/api/v3/exchangeInfo") == []
    said.diff(9, 10, "NEWUSDT")
    assert said.image(10, "NEWUSDT")[1] == "BookValid NEW/USDT 10"


# -- trades and context ------------------------------------------------------------------------------------------------


def test_trades_carry_the_takers_side() -> None:
    said = Conversation()
    said.instruments()
    assert said.ws(trade_text("AAAUSDT", 7, "100.5", "2", sell=True)) == ["Trade AAA/USDT 7 -1"]
    (trade,) = said.events
    assert isinstance(trade, Trade)
    assert (trade.px, trade.size, trade.sign) == (10_050_000_000, 2.0, -1)
    assert said.ws(trade_text("AAAUSDT", 8, "100.5", "2")) == ["Trade AAA/USDT 8 +1"]


def test_a_trade_is_counted_once() -> None:
    said = Conversation()
    said.instruments()
    said.ws(trade_text("AAAUSDT", 7, "1", "1"))
    assert said.ws(trade_text("AAAUSDT", 7, "1", "1")) == []
    assert said.ws(trade_text("AAAUSDT", 6, "1", "1")) == []
    assert said.ws(trade_text("AAAUSDT", 8, "1", "1")) == ["Trade AAA/USDT 8 +1"]


def test_of_two_streams_that_print_the_same_trades_the_first_counts() -> None:
    said = Conversation()
    said.instruments()
    said.ws(trade_text("AAAUSDT", 7, "1", "1", stream="aggTrade"))
    assert said.ws(trade_text("AAAUSDT", 900, "1", "1")) == []
    assert said.ws(trade_text("AAAUSDT", 8, "1", "1", stream="aggTrade")) == ["Trade AAA/USDT 8 +1"]


def test_missing_trades_are_noticed_and_the_present_one_counts() -> None:
    said = Conversation()
    said.instruments()
    said.ws(trade_text("AAAUSDT", 7, "1", "1"))
    assert said.ws(trade_text("AAAUSDT", 11, "1", "1")) == ["Notice trade_gap AAA/USDT", "Trade AAA/USDT 11 +1"]
    assert said.events[0].detail == "8..10"


def test_prints_that_are_no_market_trades_are_ignored_but_not_missed() -> None:
    said = Conversation()
    said.instruments()
    said.ws(trade_text("AAAUSDT", 7, "1", "1"))
    assert said.ws(trade_text("AAAUSDT", 8, "1", "1", X="INSURANCE_FUND")) == ["TradeIgnored AAA/USDT not_market"]
    assert said.ws(trade_text("AAAUSDT", 9, "1", "1", X="MARKET")) == ["Trade AAA/USDT 9 +1"]


def test_context_and_forced_orders() -> None:
    said = Conversation(venue="binance_usdm")
    said.instruments()
    mark = '{"e":"markPriceUpdate","E":5,"s":"AAAUSDT","p":"100.1","i":"100.2","r":"-0.0001","T":8}'
    assert said.ws(mark, conn=2) == ["Mark AAA/USDT"]
    (event,) = said.events
    assert (event.mark, event.index, event.funding_rate, event.next_funding_ns) == (100.1, 100.2, -0.0001, 8_000_000)
    forced = '{"e":"forceOrder","E":5,"o":{"s":"AAAUSDT","S":"SELL","p":"99","z":"3","T":4}}'
    assert said.ws(forced, conn=2) == ["Liquidation AAA/USDT -1"]


def test_a_refused_subscription_is_noticed() -> None:
    said = Conversation().live(10)
    assert said.ws('{"code":2,"msg":"Invalid request","id":1}') == ["Notice subscribe_error"]
    assert said.events[0].detail == "2: Invalid request"


# -- timers and determinism --------------------------------------------------------------------------------------------


def test_one_timer_is_always_ordered_and_it_is_the_earliest() -> None:
    said = Conversation()
    said.instruments()
    said.open()
    for _ in range(100):
        wakes = [command for command in said.commands if type(command).__name__ == "Wake"]
        if wakes:
            assert wakes[-1].at_ns == said.wake_ns()
        assert said.wake_ns() > said.now_ns - 1
        said.now_ns = said.wake_ns()
        said.say("wake", conn=0)
        assert any(type(command).__name__ == "Wake" for command in said.commands), "a timer that fired orders the next"


def test_a_timer_that_fires_late_does_what_was_due() -> None:
    said = Conversation()
    said.instruments()
    said.open()
    said.wait(3600)
    assert said.asked() == ["Fetch AAAUSDT", "Reconnect 1 silent_subscription"]


def test_the_same_frames_give_the_same_answers_and_commands() -> None:
    def told() -> list[list[str]]:
        said = Conversation("AAAUSDT", "BBBUSDT").live(10)
        answers = [said.diff(20, 21), said.asked(), said.image(0, status=429)]
        for _ in range(60):
            answers += [said.wait(0.7), said.asked()]
        return answers

    assert told() == told()


def test_errors_of_a_codec_name_the_head_of_the_frame() -> None:
    said = Conversation()
    frame = Frame(1, "binance", 1, "ws", b"{" * 500)
    with pytest.raises(CodecError, match="frame begins") as caught:
        said.session.codec.decode(frame)
    assert len(caught.value.head) == 120


def test_the_small_book_of_these_conversations_is_sane() -> None:
    assert float(BIDS[0][0]) < float(ASKS[0][0])


# -- venues whose images come with the stream --------------------------------------------------------------------------


def toy(source: Source, *symbols: str, **more: Any) -> Conversation:
    """Up, with nothing said yet."""
    said = Conversation(*symbols, codec=ToyCodec(source, **more))
    said.instruments()
    said.open()
    return said


def say(said: Conversation, word: str, **more: Any) -> list[str]:
    return said.ws(orjson.dumps({"say": word, "symbol": "AAAUSDT", **more}))


def image(said: Conversation, last: int, **more: Any) -> list[str]:
    return say(said, "image", last=last, **{"bids": [[100, 1.0]], "asks": [[101, 2.0]], **more})


def test_an_image_of_the_stream_is_the_book_and_a_new_one_begins_it_anew() -> None:
    said = toy(Source.STREAM)
    assert image(said, 5) == ["ResyncEnded AAA/USDT ok", "BookValid AAA/USDT 5", "BookReplaced AAA/USDT 5"]
    assert say(said, "diff", first=6, last=6, bids=[[99, 3.0]]) == ["BookChanged AAA/USDT 6"]
    assert image(said, 1) == ["BookReplaced AAA/USDT 1"], "the venue began its ids anew, and says so by an image"
    assert say(said, "diff", first=2, last=2) == ["BookChanged AAA/USDT 2"]


def test_a_first_image_of_the_stream_that_never_comes_is_asked_for_again() -> None:
    """Diffs come all the while, so the stream is not silent either."""
    said = toy(Source.STREAM)
    begun_ns, told = said.now_ns, [""]
    while "ResyncEnded AAA/USDT snapshot_failed" not in told:
        assert said.now_ns - begun_ns <= IMAGE_TIMEOUT_NS, "nobody asks"
        assert say(said, "diff", first=6, last=6) == []
        told = said.wait(1)
    said.until_woken()
    assert said.asked() == ["Send 1", "Send 1"]
    assert image(said, 20)[0] == "ResyncEnded AAA/USDT ok"


def test_a_time_beyond_all_clocks_is_a_fault_of_its_symbol() -> None:
    """Behind here it would not fit, and the whole run would end."""
    said = Conversation("AAAUSDT", "BBBUSDT").live()
    assert said.ws(trade_text("AAAUSDT", 1, "100", "1", T=1 << 61)) == [
        "Notice parse_error AAA/USDT",
        "BookInvalid AAA/USDT parse_error",
    ]
    assert said.session.lanes["BBBUSDT"].valid
    told = said.diff(11, 11, "BBBUSDT", event_ms=1 << 61)
    assert told == ["Notice parse_error BBB/USDT", "BookInvalid BBB/USDT parse_error"]


def test_a_time_far_ahead_of_all_before_is_none() -> None:
    """It would carry the windows of its instrument into the future for good."""
    said = Conversation("AAAUSDT", "BBBUSDT").live()
    now_ms = said.now_ns // 1_000_000
    assert said.ws(trade_text("AAAUSDT", 1, "100", "1", T=now_ms)) == ["Trade AAA/USDT 1 +1"]
    assert said.ws(trade_text("AAAUSDT", 2, "100", "1", T=now_ms + 23 * 3600_000)) == ["Trade AAA/USDT 2 +1"]
    year_2200_ms = 230 * 365 * 86_400_000
    assert said.ws(trade_text("AAAUSDT", 3, "100", "1", T=year_2200_ms)) == [
        "Notice parse_error AAA/USDT",
        "BookInvalid AAA/USDT parse_error",
    ]
    told = said.diff(11, 11, "BBBUSDT", event_ms=year_2200_ms)
    assert told == ["Notice parse_error BBB/USDT", "BookInvalid BBB/USDT parse_error"]


def test_a_gap_in_such_a_stream_is_healed_by_subscribing_again() -> None:
    said = toy(Source.STREAM)
    image(said, 5)
    assert say(said, "diff", first=8, last=8) == ["BookInvalid AAA/USDT sequence_gap"]
    told = [command.data for command in said.commands if isinstance(command, Send)]
    if not told:
        said.until_woken()
        told = [command.data for command in said.commands if isinstance(command, Send)]
    assert told == ["leave AAAUSDT", "join AAAUSDT"]
    assert say(said, "diff", first=9, last=9) == [], "nothing is collected: the next image has it"
    assert image(said, 20)[0] == "ResyncEnded AAA/USDT ok"


def test_where_every_message_is_a_whole_book_the_next_one_is_told_as_what_changed() -> None:
    said = toy(Source.FULL, chain=Chain.NONE)
    image(said, 5)
    assert image(said, 6, bids=[[100, 4.0], [99, 1.0]]) == ["BookChanged AAA/USDT 6"]
    lane = said.session.lanes["AAAUSDT"]
    assert lane.sync.book.bids.levels(9) == [(100, 4.0), (99, 1.0)]
    assert image(said, 4) == [], "older than what we have"


def test_a_checksum_that_does_not_fit_takes_the_book() -> None:
    said = toy(Source.STREAM)
    assert image(said, 5, sum=3.0)[1] == "BookValid AAA/USDT 5"
    assert say(said, "diff", first=6, last=6, bids=[[99, 1.0]], sum=4.0) == ["BookChanged AAA/USDT 6"]
    assert say(said, "diff", first=7, last=7, bids=[[98, 1.0]], sum=99.0) == ["BookInvalid AAA/USDT checksum_mismatch"]
    assert not any("BookValid" in word for word in image(said, 8, sum=99.0)), "nor does such an image prove one"


def test_a_venue_may_say_itself_that_a_book_begins_anew() -> None:
    said = toy(Source.STREAM)
    image(said, 5)
    assert say(said, "gone") == ["BookInvalid AAA/USDT sequence_reset"]
    assert say(said, "gone", symbol="ZZZUSDT") == []


def test_a_gap_of_the_whole_socket_takes_all_its_books() -> None:
    said = toy(Source.STREAM, "AAAUSDT", "BBBUSDT")
    image(said, 5)
    image(said, 5, symbol="BBBUSDT")
    assert say(said, "gap") == ["BookInvalid AAA/USDT connection_wide_gap", "BookInvalid BBB/USDT connection_wide_gap"]
    assert "Reconnect 1 connection_wide_gap" in said.asked()


def test_replies_and_pings_keep_a_socket_alive() -> None:
    said = toy(Source.STREAM)
    image(said, 5)
    assert say(said, "reply") == []
    assert [command.data for command in said.commands if isinstance(command, Send)] == ["pong"]
    pings = 0
    for i in range(31):
        say(said, "diff", first=6 + i, last=6 + i)
        said.wait(1)
        pings += [command.data for command in said.commands if isinstance(command, Send)].count("ping")
    assert pings == 2


def test_a_socket_that_is_opened_again_is_pinged_no_oftener() -> None:
    said = toy(Source.STREAM)
    for _ in range(4):
        said.close()
        said.open()
    pings = 0
    for _ in range(31):
        said.wait(1)
        pings += [command.data for command in said.commands if isinstance(command, Send)].count("ping")
    assert pings == 2


def test_a_venue_that_says_first_where_to_connect() -> None:
    codec = ToyCodec(Source.STREAM, door=True)
    said = Conversation(codec=codec)
    said.instruments()
    assert not any("Open" in word for word in said.asked())
    said.wait(60)
    said.say("http", b'{"say":"door"}', conn=0, url="https://toy/door")
    assert said.asked() == ["Open 1"]
    said.open()
    assert codec.lives == 1


def test_a_book_that_cools_down_does_not_hoard_the_diffs_that_come_meanwhile() -> None:
    said = Conversation().live(10)
    seq = 11
    for _ in range(RESYNCS_MAX + 1):
        said.diff(seq, seq)
        said.diff(seq + 5, seq + 5)
        seq += 6
        said.until_woken()
        said.image(seq - 1)
    said.diff(seq, seq)
    said.diff(seq + 5, seq + 5)
    assert said.asked() == []
    for number in range(seq + 6, seq + 6 + 3 * KEPT_WAITING):
        said.diff(number, number)
    lane = said.session.lane_of("AAA/USDT")
    assert lane is not None
    assert KEPT_WAITING <= len(lane.sync.buffer) < 2 * KEPT_WAITING
    assert said.image(number) == [
        "ResyncEnded AAA/USDT ok",
        f"BookValid AAA/USDT {number}",
        f"BookReplaced AAA/USDT {number}",
    ]
