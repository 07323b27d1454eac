"""What every venue of the table promises: a new line in `VENUES` is tested by being there."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from imbalanced.events import Frame, Instrument
from imbalanced.venues import VENUES
from imbalanced.venues.codec import Chain, CodecError, Endpoints, ImageFailed, Source

if TYPE_CHECKING:
    from imbalanced.venues.codec import Codec

pytestmark = pytest.mark.parametrize("venue", VENUES)
LOCAL = Endpoints(rest="http://127.0.0.1:1", ws="ws://127.0.0.1:2")


def codec_of(venue: str, endpoints: Endpoints | None = None) -> Codec:
    return VENUES[venue].codec(venue, endpoints)


def instruments(venue: str, count: int) -> list[Instrument]:
    made = [Instrument(venue=venue, symbol=f"X{i}/USDT", venue_symbol=f"X{i}USDT") for i in range(count)]
    return made


def test_the_codec_bears_the_name_of_its_line(venue: str) -> None:
    assert codec_of(venue).venue == venue
    assert codec_of(venue, LOCAL).venue == venue


def test_two_codecs_share_nothing(venue: str) -> None:
    one, other = codec_of(venue), codec_of(venue)
    one.know(Instrument(venue=venue, symbol="A/B", venue_symbol="AB", price_scale=2))
    assert one is not other
    assert other.infer("AB").symbol != "A/B"


def test_limits_are_sane(venue: str) -> None:
    limits = codec_of(venue).limits
    assert 0 < limits.messages_per_s <= 100
    assert 0 < limits.weight_per_min <= 100_000
    assert 0 < limits.streams_per_socket <= 10_000
    assert limits.lifetime_s >= 3600
    assert 5 <= limits.peer_silence_s <= 600
    assert limits.max_frame_bytes >= 1 << 20


def test_the_rule_of_continuity_is_complete(venue: str) -> None:
    rule = codec_of(venue).continuity
    assert isinstance(rule.chain, Chain)
    assert rule.offset in (0, 1)
    assert rule.diffs_before_snapshot >= 0


def test_public_hosts_are_encrypted_and_bare(venue: str) -> None:
    endpoints = VENUES[venue].endpoints
    for url, scheme in ((endpoints.rest, "https"), (endpoints.ws, "wss")):
        assert urlsplit(url).scheme == scheme
        assert not url.endswith("/"), f"{url}: without a trailing slash, paths are put behind it"


@pytest.mark.parametrize("count", [1, 2, 199, 1500])
def test_a_plan_carries_every_book_once_within_the_limits(venue: str, count: int) -> None:
    codec = codec_of(venue, LOCAL)
    wanted = instruments(venue, count)
    plans = codec.plan(wanted)
    conns = [plan.conn for plan in plans]
    assert len(set(conns)) == len(conns), "each socket has a number of its own"
    assert 0 not in conns, "0 is REST"
    carried = [symbol for plan in plans for symbol in plan.books]
    assert sorted(carried) == sorted(one.venue_symbol for one in wanted)
    for plan in plans:
        assert plan.url.startswith(LOCAL.ws + "/"), "an override of the hosts must move every socket"
        assert plan.subscribe, "a socket that asks for nothing is told nothing"
        named = sum(text.lower().count(f"{one.venue_symbol.lower()}@") for text in plan.subscribe for one in wanted[:1])
        assert named <= codec.limits.streams_per_socket
        assert all(len(text) < 16_384 for text in plan.subscribe)


def test_a_plan_of_nothing_is_no_socket(venue: str) -> None:
    assert codec_of(venue).plan([]) == []


def test_the_answer_to_a_fetch_knows_its_symbol(venue: str) -> None:
    codec = codec_of(venue, LOCAL)
    if codec.continuity.source is not Source.REST:
        assert codec.decode(Frame(1, venue, 0, "http", b"{}", LOCAL.rest + "/books?symbol=X0USDT")) == []
        return
    fetch = codec.fetch_image("X0USDT")
    assert fetch.venue == venue
    assert fetch.url.startswith(LOCAL.rest + "/"), "an override of the hosts must move every call"
    assert 0 < fetch.weight <= codec.limits.weight_per_min
    refused = Frame(1, venue, 0, "http", b"busy", fetch.url, 503)
    (message,) = codec.decode(refused)
    assert isinstance(message, ImageFailed)
    assert (message.symbol, message.gone) == ("X0USDT", False)
    with pytest.raises(CodecError) as caught:
        codec.decode(Frame(1, venue, 0, "http", b"<html>", fetch.url))
    assert caught.value.symbol == "X0USDT"


def test_an_inferred_instrument_is_of_this_venue(venue: str) -> None:
    inferred = codec_of(venue).infer("ABCUSD")
    assert (inferred.venue, inferred.venue_symbol) == (venue, "ABCUSD")
    assert inferred.contract_size > 0


@pytest.mark.parametrize("data", [b"", b"null", b"[]", b"1", b'"x"', b"{", b"\xff\xfe", b"\x00"])
def test_what_is_no_message_is_refused(venue: str, data: bytes) -> None:
    with pytest.raises(CodecError):
        codec_of(venue).decode(Frame(1, venue, 1, "ws", data))


@pytest.mark.parametrize("data", [b"{}", b'{"hello":1}', b'{"data":[]}', b'{"stream":"x","data":{"e":"news"}}'])
def test_messages_that_concern_us_not_are_nothing(venue: str, data: bytes) -> None:
    assert codec_of(venue).decode(Frame(1, venue, 1, "ws", data)) == []


def test_rest_answers_that_concern_us_not_are_nothing(venue: str) -> None:
    assert codec_of(venue).decode(Frame(1, venue, 0, "http", b"{}", LOCAL.rest + "/time")) == []


def test_the_table_has_instruments_lists(venue: str) -> None:
    assert VENUES[venue].ccxt.exchange_id
