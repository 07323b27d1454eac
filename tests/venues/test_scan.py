"""The fast walk over a frame's bytes against a full JSON decode: the same numbers, or both refuse."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import orjson
import pytest
from conversation import diff_text, instrument
from hypothesis import example, given, settings
from hypothesis import strategies as st

from imbalanced.book import MAX_PX, Rows
from imbalanced.events import Frame
from imbalanced.venues.binance import SPOT, BinanceCodec
from imbalanced.venues.codec import CodecError
from imbalanced.venues.diff import Diff
from imbalanced.venues.scan import Cursor, add_levels, px_from_text, size_from_text

SCALE = 8
NICE = st.decimals(min_value=0, max_value=10**7, places=8, allow_nan=False).map(lambda d: format(d, "f"))
SHORT = st.decimals(min_value=0, max_value=10**6, places=2, allow_nan=False).map(lambda d: format(d, "f"))
ODD = st.sampled_from(
    [
        *(
            "0",
            "0.0",
            "00.10",
            "1.",
            ".5",
            "",
            "-1",
            "+1",
            "-0",
            "-0.0",
            "1e5",
            "1E-3",
            "1e400",
            "NaN",
            "nan",
            "Infinity",
        ),
        *("1_000", " 1", "1 ", "0x10", "1.123456789", "1.100000000", "0.000000001", "9" * 10, "9" * 11, "9" * 19),
        *("9" * 30, "1000000000000000000", "1000000000000000001", "9007199254740993", "9007199254740992", "0.1.2"),
        *("4.94e-324", "123456789012345678", "0.123456789012345678", "12345.6789", "1,5", "\u0661", "1\\u0030", "null"),
        *("0." + "0" * 300 + "1", "1." + "0" * 300, "0000000000000000000000001"),
    ]
)
TEXT = st.one_of(NICE, SHORT, ODD)
LEVELS = st.lists(st.tuples(TEXT, TEXT), max_size=4)
GOOD_LEVELS = st.lists(st.tuples(NICE.filter(lambda text: Decimal(text) > 0), NICE), max_size=8)


def walked(levels: Any) -> list[tuple[int, float]] | None:
    """The rows by the cursor; None where it says no."""
    rows, cursor = Rows(1), Cursor()
    cursor.start(orjson.dumps(levels))
    if not cursor.levels(rows, SCALE):
        return None
    assert cursor.at == len(orjson.dumps(levels)), "it must stand behind what it has read"
    rows.end_bids()
    return rows.bids()


def decoded(levels: Any) -> list[tuple[int, float]] | None:
    """The rows by a full decode; None where it refuses."""
    rows = Rows(1)
    try:
        add_levels(rows, orjson.loads(orjson.dumps(levels)), SCALE)
    except ValueError:
        return None
    rows.end_bids()
    return rows.bids()


@given(levels=GOOD_LEVELS)
def test_plain_levels_are_walked_and_equal_the_decode(levels: list[tuple[str, str]]) -> None:
    by_bytes = walked(levels)
    assert by_bytes is not None or any(len(size.replace(".", "")) > 15 for _, size in levels)
    assert by_bytes in (None, decoded(levels))
    assert decoded(levels) == [(int(Decimal(px).scaleb(SCALE)), float(size)) for px, size in levels]


@settings(max_examples=400)
@given(levels=LEVELS)
def test_what_is_walked_is_never_refused_or_different_in_the_decode(levels: list[tuple[str, str]]) -> None:
    # The other way round is allowed: what the walk does not know goes to the full decode.
    by_bytes = walked(levels)
    if by_bytes is not None:
        assert by_bytes == decoded(levels)


@pytest.mark.parametrize("text", ["1.2", "0.1", "0.3", "123456.789", "9007199254740992", "0.00000001", "5e-324"])
def test_sizes_are_the_nearest_float(text: str) -> None:
    assert size_from_text(text) == float(text)


@given(mantissa=st.integers(0, 2**53), decimals=st.integers(0, 17))
def test_a_walked_size_is_the_nearest_float(mantissa: int, decimals: int) -> None:
    text = format(Decimal(mantissa).scaleb(-decimals), "f")
    by_bytes = walked([["1", text]])
    assert by_bytes in (None, [(10**SCALE, float(text))])
    if len(text.replace(".", "")) <= 18:
        assert by_bytes is not None, f"{text} is plain: the walk must take it"


def test_a_minus_zero_is_zero() -> None:
    assert str(size_from_text("-0.0")) == "0.0"


@pytest.mark.parametrize(
    ("text", "px"),
    [
        ("1", 100),
        ("1.5", 150),
        ("0.01", 1),
        ("1.500", 150),
        ("007", 700),
        ("10000000000000000", MAX_PX),
    ],
)
def test_prices_become_integers_by_their_digits(text: str, px: int) -> None:
    assert px_from_text(text, 2) == px


def test_prices_of_a_grid_without_decimals() -> None:
    assert px_from_text("17", 0) == 17
    assert px_from_text("17.0", 0) == 17


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "0.00",
        "-1",
        "+1",
        "1e2",
        "1.005",
        "NaN",
        "inf",
        "1.",
        None,
        1,
        1.5,
        True,
        "\u0661",
        "1 ",
        ".5",
        "1.2.3",
    ],
)
def test_prices_that_are_none(text: object) -> None:
    if text == "1.":
        # A dot without digits behind it: harmless, and no venue writes it.
        assert px_from_text(text, 2) == 100
        return
    with pytest.raises(ValueError, match="price"):
        px_from_text(text, 2)


def test_a_price_beyond_the_bound() -> None:
    with pytest.raises(ValueError, match="out of bounds"):
        px_from_text("10000000000000000.01", 2)


@pytest.mark.parametrize("text", ["-1", "NaN", "inf", "1e400", "1e19", " 1", "1_0", "", "x", None, 3, True])
def test_sizes_that_are_none(text: object) -> None:
    with pytest.raises(ValueError):
        size_from_text(text)


@pytest.mark.parametrize("level", [None, "1", {}, [], ["1"], [1, 2], ["1", 2], [None, "1"]])
def test_levels_that_are_none(level: object) -> None:
    with pytest.raises(ValueError):
        add_levels(Rows(), [level], 2)  # type: ignore[list-item]


def test_a_level_may_have_more_than_a_price_and_a_size() -> None:
    rows = Rows()
    add_levels(rows, [["1.5", "2", "ignored"]], 2)
    rows.end_bids()
    assert rows.bids() == [(150, 2.0)]


# -- the cursor, step by step ------------------------------------------------------------------------------------------


def at_start(data: bytes) -> Cursor:
    cursor = Cursor()
    cursor.start(data)
    return cursor


@pytest.mark.parametrize(("data", "number"), [(b"0", 0), (b"42,", 42), (b"123456789012345678", 123456789012345678)])
def test_integers(data: bytes, number: int) -> None:
    assert at_start(data).integer() == number


@pytest.mark.parametrize("data", [b"", b"-1", b"1.5", b"x", b"1234567890123456789", b'"1"', b"null", b" 1"])
def test_no_integers(data: bytes) -> None:
    assert at_start(data).integer() == -1


@pytest.mark.parametrize(
    ("data", "key"), [(b'"E":', ord("E")), (b'"pu":', ord("p") + 256 * ord("u")), (b'"abc":', -1), (b'"":', -1)]
)
def test_keys(data: bytes, key: int) -> None:
    assert at_start(data).key() == key


@pytest.mark.parametrize("data", [b"", b'"', b'"a', b'"a"', b'"ab', b'"ab"', b"a:", b'"a" :'])
def test_no_keys(data: bytes) -> None:
    assert at_start(data).key() == -1


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b'"BTC"', b"BTC"),
        (b'""', b""),
        (b'"B\\u0054C"', b""),
        (b'"BTC', b""),
        (b"BTC", b""),
        (b'"' + b"x" * 90 + b'"', b""),
    ],
)
def test_texts(data: bytes, text: bytes) -> None:
    assert at_start(data).text() == text


def test_literals_do_not_read_beyond_the_end() -> None:
    cursor = at_start(b"abc")
    assert cursor.literal(b"ab")
    assert not cursor.literal(b"cd")
    assert not at_start(b"").literal(b"x")


WHOLE = b'[["1.5","2"],["3","4"]]'


@pytest.mark.parametrize("end", range(len(WHOLE)))
def test_levels_that_end_too_early(end: int) -> None:
    assert not at_start(WHOLE[:end]).levels(Rows(), SCALE)


@pytest.mark.parametrize(
    "data",
    [
        b'[["1","2"] ,["3","4"]]',
        b'[["1", "2"]]',
        b'[["1","2","3"]]',
        b'[[1,"2"]]',
        b'[["1",2]]',
        b'[["1","2"];]',
        b"{}",
    ],
)
def test_levels_of_another_shape_go_to_the_full_decode(data: bytes) -> None:
    assert not at_start(data).levels(Rows(), SCALE)


def test_no_levels_at_all() -> None:
    assert walked([]) == []


# -- whole frames through the venue's codec: the walk and the decode behind one door -----------------------------------


def codec_that_knows() -> BinanceCodec:
    codec = SPOT.codec("binance")
    codec.know(instrument("AAAUSDT"))
    return codec


def walked_frame(data: bytes) -> tuple[Any, ...] | None:
    """The diff of a frame by its bytes; None where the walk says no. The walk itself, compiled or not."""
    codec = codec_that_knows()
    return plain([codec._diff]) if codec._scan.scan(data) else None


def read(data: bytes) -> tuple[Any, ...] | None:
    """The diff of a frame; None where the codec refuses it."""
    codec = codec_that_knows()
    try:
        messages = codec.decode(Frame(1, "binance", 1, "ws", data))
    except CodecError:
        return None
    return plain(messages)


def plain(messages: list[Any]) -> tuple[Any, ...]:
    if not messages:
        return ()
    (diff,) = messages
    assert isinstance(diff, Diff)
    ids = (diff.symbol, diff.first_id, diff.last_id, diff.prev_id, diff.event_ns)
    return (*ids, diff.rows.bids(), diff.rows.asks())


@given(bids=LEVELS, asks=LEVELS, ids=st.tuples(st.integers(0, 2**61), st.integers(0, 2**61), st.integers(-1, 2**61)))
@example(bids=[("1", "1")], asks=[], ids=(0, 0, -1))
def test_a_frame_by_bytes_equals_the_same_frame_that_must_be_decoded(
    bids: list[tuple[str, str]], asks: list[tuple[str, str]], ids: tuple[int, int, int]
) -> None:
    first, last, prev = ids
    text = diff_text("AAAUSDT", first, last, bids, asks, event_ms=5, prev=prev)
    # A space before the first key is JSON all the same and takes the walk off its path.
    decoded_frame = read(text.replace('{"e":', '{ "e":').encode())
    assert read(text.encode()) == decoded_frame
    assert walked_frame(text.encode()) in (None, decoded_frame)


@settings(max_examples=600)
@given(
    cut=st.one_of(st.just(0), st.integers(0, 200)),
    damage=st.lists(
        st.tuples(st.integers(0, 150), st.sampled_from(list(b'",:[]{}\\0159.-eETUubsapS \n\x00\xff'))), max_size=3
    ),
    bare=st.booleans(),
)
@example(cut=0, damage=[(0, 0)], bare=False)
@example(cut=1, damage=[], bare=False)
def test_a_damaged_frame_is_refused_by_both_or_read_alike(cut: int, damage: list[tuple[int, int]], bare: bool) -> None:
    text = diff_text("AAAUSDT", 1, 2, [("1.5", "2")], [("3", "0")], event_ms=5).encode()
    if bare:
        text = text.partition(b',"data":')[2][:-1]
    damaged = bytearray(text[: len(text) - cut])
    for at, byte in damage:
        if at < len(damaged):
            damaged[at] = byte
    told = walked_frame(bytes(damaged))
    if told is not None:
        assert told == read(bytes(damaged).replace(b'{"e":', b'{ "e":'))


def test_the_walk_takes_the_frames_that_it_is_made_for() -> None:
    # Were it to say no to everything, all other tests here would pass and the daemon be four times slower.
    rows = [["100.01000000", "2.50000000"], ["99.99", "0"]]
    futures = diff_text("AAAUSDT", 1, 2, rows, rows, event_ms=5, prev=0)
    for text in (diff_text("AAAUSDT", 1, 2, rows, [], event_ms=5), futures, futures.partition(',"data":')[2][:-1]):
        assert walked_frame(text.encode()) is not None, text
    assert walked_frame(diff_text("ZZZUSDT", 1, 2).encode()) is None, "its scale is not known"


@pytest.mark.parametrize("tail", [b" ", b"}", b"{}", b"\n", b"x"])
def test_what_stands_behind_a_frame_is_the_decoders_business(tail: bytes) -> None:
    assert walked_frame(diff_text("AAAUSDT", 1, 2).encode() + tail) is None


@pytest.mark.parametrize(
    "key", [b'"U":1.0', b'"U":-1', b'"U":"1"', b'"U":null', b'"U":true', b'"U":1e3', b'"U":12345678901234567890']
)
def test_ids_that_are_no_ids_are_refused(key: bytes) -> None:
    text = diff_text("AAAUSDT", 1, 2).encode().replace(b'"U":1', key)
    told = read(text)
    if key == b'"U":-1':
        assert told is not None, "-1 is an id: that of an empty listing"
        return
    assert told is None, f"{key!r} passed as an update id"
