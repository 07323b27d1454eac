"""The converter of plain data to typed options."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from imbalanced.options import (
    Count,
    Doc,
    Fault,
    Millis,
    Millis0,
    NonNegative,
    OptionsError,
    Pattern,
    Positive,
    Range,
    Secret,
    Share,
    Style,
    collect,
    decimal_text,
    dump,
    duration_text,
    masked,
    parse_duration_ns,
    read,
    schema,
    shown,
)


class Standardise(Struct, frozen=True, kw_only=True):
    by: Literal["none", "ewma_z"] = "none"
    half_life_ms: Millis = 60_000
    clip: Positive = Decimal(10)


class Sample(Struct, frozen=True, kw_only=True):
    on: Annotated[Positive, Doc("opens at this score")] = Decimal(3)
    off: NonNegative = Decimal(1)
    window_ms: Millis = 1000
    cooldown_ms: Millis0 = 0
    keep_s: int = 60
    lag_ns: Millis = 5
    shutdown_s: Annotated[float, Range(gt=0)] = 10.0
    horizons_ms: tuple[Millis, ...] = (1000,)
    levels: Count = 5
    share: Share = Decimal("0.5")
    fast: bool = False
    tick: Decimal | None = None
    max_age_ms: Millis | None = None
    weights: dict[str, NonNegative] = {}
    chosen: tuple[Annotated[str, Pattern("[A-Z]+", "capitals")], ...] | Standardise = ()
    standardise: Standardise = Standardise(by="ewma_z", half_life_ms=600_000)
    mode: Literal["reversion", "trend"] = "reversion"
    token: Annotated[str | None, Secret()] = None
    anything: object = None

    def __post_init__(self) -> None:
        if self.off >= self.on:
            raise ValueError("off below on")


class Needy(Struct, frozen=True, kw_only=True):
    size: Positive
    session_ms: Millis


def faults(data: Any, style: Style = "yaml", cls: type[Struct] = Sample) -> list[str]:
    found: list[Fault] = []
    assert collect(cls, data, "it", found, style=style) is None
    return [str(fault) for fault in found]


def one(data: Any, style: Style = "yaml", cls: type[Struct] = Sample) -> str:
    found = faults(data, style, cls)
    assert len(found) == 1, found
    return found[0]


def test_nothing_given_gives_the_defaults() -> None:
    assert read(Sample, {}, "", style="yaml") == Sample() == read(Sample, {}, "", style="plain")


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("500us", 500_000),
        ("200ms", 200_000_000),
        ("5s", 5_000_000_000),
        ("3m", 180_000_000_000),
        ("2h", 7_200_000_000_000),
        ("7d", 604_800_000_000_000),
        ("1ns", 1),
        ("0s", 0),
    ],
)
def test_each_duration_form(text: str, ns: int) -> None:
    assert parse_duration_ns(text) == ns
    assert parse_duration_ns(duration_text(ns)) == ns


@pytest.mark.parametrize(
    "text", ["", "5", "5 s", "--5s", "+5s", "1.5s", "5S", "5w", "s", "1h30m", "٣s", "99999999999999d", "5s\n"]
)
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration_ns(text)


@given(st.integers(min_value=1 - 2**63, max_value=2**63 - 1))
def test_durations_survive_their_text(ns: int) -> None:
    assert parse_duration_ns(duration_text(ns)) == ns


def test_a_lag_may_be_negative_where_the_field_allows_it() -> None:
    assert read(Sample, {"keep": "-3s"}, "", style="yaml").keep_s == -3
    assert duration_text(-1_500_000_000) == "-1500ms"
    assert "at least 1ms" in one({"window": "-3s"})
    fields: Any = schema(Sample)["properties"]
    assert re.search(fields["keep"]["pattern"], "-3s")
    assert not re.search(fields["window"]["pattern"], "-3s")


def test_durations_are_read_in_the_unit_of_the_field() -> None:
    given_ = {"window": "3m", "keep": "2h", "lag": "1us", "horizons": ["1s", "5m"], "max_age": "30s", "cooldown": "0s"}
    options = read(Sample, given_, "", style="yaml")
    assert (options.window_ms, options.keep_s, options.lag_ns) == (180_000, 7200, 1000)
    assert (options.horizons_ms, options.max_age_ms, options.cooldown_ms) == ((1000, 300_000), 30_000, 0)


def test_plain_style_has_whole_numbers_under_the_full_name() -> None:
    options = read(
        Sample, {"window_ms": 250, "cooldown_ms": "7", "horizons_ms": ["1", 2], "levels": "3"}, "", style="plain"
    )
    assert (options.window_ms, options.cooldown_ms, options.horizons_ms, options.levels) == (250, 7, (1, 2), 3)


@pytest.mark.parametrize("bare", [5, 5.0, "5", 0])
def test_a_bare_number_is_no_duration_and_the_fault_says_so(bare: object) -> None:
    assert one({"window": bare}) == (
        f"it.window: given {bare!r}, expected a duration of at least 1ms in whole ms (500us 200ms 5s 3m 2h 7d); "
        "a bare number has no unit"
    )


@pytest.mark.parametrize("wrong", ["0s", "500us", "1500us", True, None, [], {}, "soon", "99999999999999d"])
def test_durations_that_do_not_fit_the_field(wrong: object) -> None:
    assert "expected a duration of at least 1ms in whole ms" in one({"window": wrong})


@pytest.mark.parametrize("wrong", [1.0, "1.0", "x", True, None, 0, "0", "1_0", 10**15])
def test_what_is_no_count_of_milliseconds_in_plain_style(wrong: object) -> None:
    assert "expected a whole number of at least 1" in one({"window_ms": wrong}, "plain")


@pytest.mark.parametrize("wrong", ["5", 5.0, True, 0, 1001])
def test_counts_are_whole_numbers_within_bounds(wrong: object) -> None:
    assert one({"levels": wrong}) == f"it.levels: given {shown(wrong)}, expected a whole number from 1 to 1000"


@pytest.mark.parametrize("style", ["yaml", "plain"])
@pytest.mark.parametrize(
    ("number", "exact"),
    [
        (2, "2"),
        (0.1, "0.1"),
        ("0.10", "0.10"),
        ("1e-8", "1e-8"),
        (1e22, "1e22"),
        (Decimal("1.5"), "1.5"),
        ("+.5", "0.5"),
    ],
)
def test_reals_are_exact_in_both_styles(number: object, exact: str, style: Style) -> None:
    options = read(Sample, {"tick": number}, "", style=style)
    assert options.tick == Decimal(exact)
    assert type(options.tick) is Decimal


@pytest.mark.parametrize(
    "wrong", [True, "nan", float("nan"), float("inf"), "inf", "1_0", "1e999", " 1", "", [], "٣", 10**301]
)
def test_what_is_no_real(wrong: object) -> None:
    assert one({"tick": wrong}).endswith("expected a number")
    assert one({"on": wrong}).endswith("expected a number above 0")


def test_floats_stay_plain_seconds_under_their_full_name() -> None:
    assert read(Sample, {"shutdown_s": 2}, "", style="yaml").shutdown_s == 2.0
    assert type(read(Sample, {"shutdown_s": "2.5"}, "", style="yaml").shutdown_s) is float
    assert one({"shutdown_s": 0}) == "it.shutdown_s: given 0, expected a number above 0"


def test_an_unknown_key_names_the_nearest() -> None:
    assert one({"windw": "1s"}).startswith("it.windw: given an unknown key, expected 'window' perhaps; one of ")
    assert one({"window_ms": 5}).startswith("it.window_ms: given an unknown key, expected 'window' perhaps; ")
    assert one({"window": 5}, "plain").startswith("it.window: given an unknown key, expected 'window_ms' perhaps; ")
    assert one({7: 5}).startswith("it[7]: given an unknown key, expected one of ")


def test_missing_keys_say_what_is_expected() -> None:
    assert faults({}, cls=Needy) == [
        "it.size: given nothing, expected a number above 0",
        "it.session: given nothing, expected a duration of at least 1ms in whole ms (500us 200ms 5s 3m 2h 7d)",
    ]


def test_all_faults_at_once_each_with_its_path() -> None:
    bad = {
        "levels": 0,
        "fast": "yes",
        "horizons": ["1s", 2],
        "weights": {"ofi": -1, "a b": "x", 3: 1},
        "chosen": ["A", "b"],
        "standardise": {"by": "ewma", "half_lief": "1s"},
        "mode": "trends",
        "nope": 1,
    }
    with pytest.raises(OptionsError) as caught:
        read(Sample, bad, "detectors[1]", style="yaml")
    assert {fault.path.removeprefix("detectors[1].") for fault in caught.value.faults} == {
        "levels", "fast", "horizons[1]", "weights.ofi", "weights['a b']", "weights", "chosen[1]", "standardise.by",
        "standardise.half_lief", "mode", "nope",
    }  # fmt: skip
    text = str(caught.value)
    assert "detectors[1].mode: given 'trends', expected 'trend' perhaps; one of reversion, trend" in text
    assert "detectors[1].chosen[1]: given 'b', expected capitals" in text
    assert "detectors[1].fast: given 'yes', expected true or false" in text
    assert len(text.splitlines()) == len(caught.value.faults)


def test_a_rule_between_fields_is_a_fault_of_the_whole() -> None:
    assert one({"on": 1, "off": 2}).endswith(", expected off below on")


def test_what_is_not_given_of_a_nested_struct_comes_from_the_default_of_the_field() -> None:
    options = read(Sample, {"standardise": {"clip": 5}}, "", style="yaml")
    assert options.standardise == Standardise(by="ewma_z", half_life_ms=600_000, clip=Decimal(5))


def test_the_shape_chooses_between_kinds() -> None:
    assert read(Sample, {"chosen": ["A"]}, "", style="yaml").chosen == ("A",)
    assert read(Sample, {"chosen": {"by": "none"}}, "", style="yaml").chosen == Standardise()
    assert one({"chosen": 3}) == (
        "it.chosen: given 3, expected a list, each capitals or a mapping with the keys by, half_life, clip"
    )


def test_secrets_are_never_shown() -> None:
    assert one({"token": 12345}) == "it.token: given ***, expected text (put it in quotes)"
    assert "hunter2" not in one({"token": "hunter2", "on": 1, "off": 2})
    assert dump(Sample(token="hunter2"), secrets=False)["token"] == "***"
    assert dump(Sample(), secrets=False)["token"] is None
    assert masked("redis://me:pa/ss@host:6379/0?password=x") == "redis://***@host:6379/0?***"
    assert masked("redis://host:6379/0") == "redis://host:6379/0"


def test_what_was_given_is_cut_to_one_short_line() -> None:
    assert len(shown("x" * 1000)) == 60
    assert "\n" not in shown("a\nb")
    assert shown(10**5000) == "a number of more than 300 digits"


def test_a_mapping_is_expected() -> None:
    assert one([], cls=Needy) == "it: given [], expected a mapping with the keys size, session"


SAMPLES = st.builds(
    Sample,
    on=st.decimals("2", "100", places=3),
    window_ms=st.integers(1, 10**12),
    keep_s=st.integers(-(10**9), 10**9),
    lag_ns=st.integers(1, 10**12),
    shutdown_s=st.floats(1e-6, 1e6),
    horizons_ms=st.lists(st.integers(1, 10**9)).map(tuple),
    tick=st.none() | st.decimals(allow_nan=False, allow_infinity=False, places=8, min_value=0, max_value=10**9),
    max_age_ms=st.none() | st.integers(1, 10**9),
    weights=st.dictionaries(st.text(), st.decimals("0", "9", places=2)),
    chosen=st.lists(st.sampled_from(["A", "BTC"])).map(tuple) | st.builds(Standardise),
    mode=st.sampled_from(["reversion", "trend"]),
)


@given(SAMPLES, st.sampled_from(["yaml", "plain"]))
def test_what_is_dumped_reads_the_same(options: Sample, style: Style) -> None:
    assert read(Sample, json.loads(json.dumps(dump(options, style))), "", style=style) == options


def test_one_text_for_one_number() -> None:
    assert {decimal_text(Decimal(text)) for text in ("1.5", "1.50", "15e-1")} == {"1.5"}
    assert [decimal_text(Decimal(text)) for text in ("0", "-0", "1e3", "1e-3")] == ["0", "0", "1000", "0.001"]


def test_the_schema_is_of_the_yaml_style() -> None:
    about: dict[str, Any] = schema(Sample)
    assert about["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert (about["type"], about["additionalProperties"]) == ("object", False)
    fields = about["properties"]
    assert "window" in fields
    assert "window_ms" not in fields
    assert fields["on"]["description"] == "opens at this score"
    assert fields["on"]["exclusiveMinimum"] == 0
    assert fields["levels"]["maximum"] == 1000
    assert fields["window"]["default"] == "1s"
    assert fields["standardise"]["properties"]["half_life"]["default"] == "10m"
    assert fields["token"]["writeOnly"] is True
    assert {"required"} <= schema(Needy).keys()
    for text, good in (("200ms", True), ("${W:-1s}", True), ("200", False), ("1.5s", False)):
        assert bool(re.search(fields["window"]["pattern"], text)) is good
    json.dumps(about)


class Odd(Struct, frozen=True):
    field: set[int] = set()


def test_an_annotation_outside_the_closed_set_is_a_mistake_of_ours() -> None:
    with pytest.raises(TypeError, match=re.escape("Odd.field")):
        read(Odd, {}, "", style="yaml")
