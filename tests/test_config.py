"""The YAML of a run: its rules, its faults, and what comes out of it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct

from imbalanced.config import (
    DEEPEST,
    DEFAULT_DETECTORS,
    DEFAULT_METRICS,
    LARGEST_TEXT,
    Config,
    ConfigError,
    Credentials,
    Http,
    Redis,
    Tables,
    Universe,
    default_yaml,
    effective,
    fingerprint,
    json_schema,
    load,
    origins_of,
)
from imbalanced.config.yamltext import parse
from imbalanced.options import Count, Millis, Positive


class NoOptions(Struct, frozen=True, kw_only=True):
    pass


class WindowOptions(Struct, frozen=True, kw_only=True):
    window_ms: Millis = 1000


class LevelsOptions(Struct, frozen=True, kw_only=True):
    levels: Count = 5


class BandOptions(Struct, frozen=True, kw_only=True):
    bps: Positive = Decimal(10)


class SizeOptions(Struct, frozen=True, kw_only=True):
    size: Positive


class TickOptions(Struct, frozen=True, kw_only=True):
    tick: Decimal | None = None


class Standardise(Struct, frozen=True, kw_only=True):
    by: Literal["none", "ewma_z"] = "none"
    half_life_ms: Millis = 60_000
    min_count: Count = 100
    clip: Positive = Decimal(10)


class LifeOptions(Struct, frozen=True, kw_only=True):
    on: Positive = Decimal(3)
    off: Positive = Decimal(1)
    min_duration_ms: Millis = 200
    cooldown_ms: Millis = 5000
    max_age_ms: Millis = 30_000
    standardise: Standardise = Standardise(by="ewma_z")


class WarmupOptions(Struct, frozen=True, kw_only=True):
    min_age_ms: Millis = 30_000


class SpreadOptions(Struct, frozen=True, kw_only=True):
    k: Positive = Decimal(3)


class Row:
    """A row of a table: as much of a metric, detector or filter as the configuration sees."""

    def __init__(self, options: type[Struct]) -> None:
        self.Options = options


TABLES = Tables(
    venues={"binance_usdm": 1, "okx": 2, "kraken": 3},
    metrics={
        "spread": Row(TickOptions),
        "spread_roc": Row(NoOptions),
        "queue_imbalance": Row(NoOptions),
        "depth_imbalance": Row(LevelsOptions),
        "band_imbalance": Row(BandOptions),
        "weighted_mid": Row(NoOptions),
        "ofi": Row(WindowOptions),
        "ofi_ratio": Row(WindowOptions),
        "trade_imbalance": Row(WindowOptions),
        "vwap_deviation": Row(WindowOptions),
        "effective_mid": Row(SizeOptions),
    },
    detectors={str(one["kind"]): Row(LifeOptions) for one in DEFAULT_DETECTORS},
    filters={"warmup": Row(WarmupOptions), "spread": Row(SpreadOptions)},
)
VENUE = "venues: {okx: {instruments: [BTC/USDT]}}\n"
FILES = {"secret": "s3cret\n", "empty": "\n", "two": "one\ntwo\n"}


def read_text(path: str) -> str:
    if path in FILES:
        return FILES[path]
    raise FileNotFoundError(2, "No such file or directory", path)


def config(text: str, environ: Mapping[str, str] | None = None) -> Config:
    return load(text, TABLES, environ=environ or {}, read_text=read_text)


def faults(text: str, environ: Mapping[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        config(text, environ)
    return str(caught.value).splitlines()


def fault(text: str, environ: Mapping[str, str] | None = None) -> str:
    found = faults(text, environ)
    assert len(found) == 1, found
    return found[0]


# --- the page that others rely on


INTERFACE = """\
http:    {host: 127.0.0.1, port: 8800}     # /metrics /healthz /readyz /api/... and the page
stream:  {host: 127.0.0.1, port: 8801}     # websocket subscribers
journal: {path: var/journal.sqlite, keep: 7d}
redis:   {url: "redis://127.0.0.1:6379/0"} # or {embedded: true}; leave out for none
record:  {dir: var/tape, rotate: 1h}       # optional
venues:
  binance_usdm:
    instruments: [BTC/USDT:USDT, "ETH/USDT:USDT"]     # unified symbols; or {quote: USDT, top: 50}
    endpoints: {rest: "http://127.0.0.1:9001", ws: "ws://127.0.0.1:9002"}   # optional
metrics:
  - {metric: ofi, window: 1s}
  - {metric: ofi, window: 10s, name: ofi_10s}
  - {metric: depth_imbalance, levels: 5}
detectors:
  - {kind: order_flow_imbalance, on: 3.0, off: 1.0, min_duration: 200ms, cooldown: 5s, max_age: 30s, standardise: {by: ewma_z, half_life: 60s, min_count: 100, clip: 10}}
filters:                                   # those of signals/detection.md by name
  warmup: {min_age: 30s}
  spread: {k: 3}
grading: {latency: 50ms, horizons: [1s, 5s, 30s, 5m], round_trip_cost_bps: 4}
"""  # noqa: E501


def test_the_example_of_the_interface() -> None:
    loaded = config(INTERFACE)
    venue = loaded.venues["binance_usdm"]
    assert venue.instruments == ("BTC/USDT:USDT", "ETH/USDT:USDT")
    assert venue.endpoints is not None
    assert venue.endpoints.ws == "ws://127.0.0.1:9002"
    assert [(spec.name, spec.metric) for spec in loaded.metrics] == [
        ("ofi", "ofi"), ("ofi_10s", "ofi"), ("depth_imbalance", "depth_imbalance"),
    ]  # fmt: skip
    assert loaded.metrics[1].options == WindowOptions(window_ms=10_000)
    assert loaded.detectors[0].options == LifeOptions()
    assert loaded.filters == {"warmup": WarmupOptions(), "spread": SpreadOptions()}
    assert loaded.grading.horizons_ms == (1000, 5000, 30_000, 300_000)
    assert loaded.journal.keep_s == 604_800
    assert loaded.redis == Redis(url="redis://127.0.0.1:6379/0")


def test_every_key_has_a_default_but_venues() -> None:
    loaded = config("venues: {okx: }")
    assert loaded.venues["okx"].instruments == Universe()
    assert loaded.http == Http()
    assert (loaded.redis, loaded.record, loaded.jsonl, loaded.sim) == (None, None, None, None)
    assert (loaded.shutdown_s, loaded.clock_ms, loaded.snapshots_ms, loaded.ready_share) == (10.0, 100, 100, 1)
    assert [spec.name for spec in loaded.metrics] == [str(m.get("name", m["metric"])) for m in DEFAULT_METRICS]
    assert [spec.kind for spec in loaded.detectors] == [d["kind"] for d in DEFAULT_DETECTORS]
    assert "venues: given nothing, expected" in fault("")
    assert "venues: given nothing, expected" in fault("# only a comment")
    assert fault("venues: {}").startswith("venues: given none, expected at least one of binance_usdm, kraken, okx")


def test_the_annotated_example_is_the_defaults() -> None:
    loaded = config(default_yaml())
    assert loaded == config("venues: {binance_usdm: {instruments: [BTC/USDT:USDT, ETH/USDT:USDT]}}")
    shown = re.sub(r"(?m)^#(?=\w)", "", default_yaml())
    everything = config(shown)
    assert everything.redis is not None
    assert everything.sim is not None
    assert everything.record is not None
    assert everything.jsonl is not None


# --- YAML 1.2


def test_on_off_yes_no_are_words_as_keys_and_values() -> None:
    loaded = config(VENUE + "detectors: [{kind: order_flow_imbalance, on: 3.0, off: 1}]")
    assert loaded.detectors[0].options == LifeOptions()
    for word in ("on", "off", "yes", "no", "y", "N", "On", "OFF", "tRUE"):
        assert "expected true or false" in fault(VENUE + f"redis: {{embedded: {word}}}")
    for word in ("true", "True", "TRUE"):
        assert config(VENUE + f"redis: {{embedded: {word}}}").redis == Redis(embedded=True)


@pytest.mark.parametrize(("text", "port"), [("80", 80), ("0x50", 80), ("0o120", 80), ("080", 80), ("+80", 80)])
def test_whole_numbers(text: str, port: int) -> None:
    assert config(VENUE + f"http: {{port: {text}}}").http.port == port


@pytest.mark.parametrize("text", ["8_0", "1:20", "0b11", "8e1", "'80'", "2001-01-01", "8" * 5000, "-1", "~", "true"])
def test_what_is_no_whole_number(text: str) -> None:
    assert "http.port: given" in fault(VENUE + f"http: {{port: {text}}}")


@pytest.mark.parametrize("text", [".inf", "-.INF", ".nan", "1e999", "1_0.5", "1:2.5", "!!float 1"])
def test_what_is_no_real(text: str) -> None:
    assert "metrics[0].bps: given" in faults(VENUE + f"metrics: [{{metric: band_imbalance, bps: {text}}}]")[0]


def test_dates_are_text() -> None:
    assert config(VENUE + "redis: {embedded: true, prefix: 2001-01-01}").redis == Redis(
        embedded=True, prefix="2001-01-01"
    )


def test_a_key_given_twice_names_both_lines() -> None:
    text = VENUE + "http:\n  port: 1\n  host: x\n  'port': 2\n"
    assert fault(text) == "http.port: given a second time in line 5, expected once (first in line 3) (line 3)"
    assert "venues.okx: given a second time" in faults("venues: {okx: , okx: }")[0]


def test_merge_keys_are_no_keys() -> None:
    assert "'<<'" in fault(VENUE + "http: {<<: {port: 1}}")


def test_aliases_stand_for_what_they_name() -> None:
    loaded = config("venues:\n  okx: &a {instruments: [BTC/USDT]}\n  kraken: *a\n")
    assert loaded.venues["okx"] == loaded.venues["kraken"]
    assert "*b, expected an anchor" in faults(VENUE + "http: *b")[0]
    assert "*b, expected an anchor" in faults(VENUE + "metrics: &b [*b]")[0]


def test_bombs_do_not_go_off() -> None:
    laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
    laughs += "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 10))
    assert "more than 50000 values" in fault(laughs)
    assert f"more than {DEEPEST} levels" in fault("a: " + "[" * 100_000)
    assert f"more than {DEEPEST} levels" in fault("a: " + "{a: " * 10_000)
    assert "more than 50000 values" in fault("[" + ",".join("a" * 60_000) + "]")
    assert "characters, expected at most" in fault("#" * (LARGEST_TEXT + 1))


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("a: b: c", "line 1, column 5"),
        ("a: 1\nb: {c: ", "line 2, column 8"),
        ("\ta: 1", "line 1, column 1"),
        ("a: 1\nb: 'x", "line 2, column 6"),
        ("a: 1\nb: \x07", "line 2, column 4"),
        ('a: "\\UFFFFFFFF"', "line 1, column 7"),
        ("%YAML 2.0\n--- {}", "line 1, column 1"),
        ("%YAML 1." + "9" * 5000 + "\n--- {}", "line 1, column 9"),
    ],
)
def test_syntax_errors_give_line_and_column(text: str, where: str) -> None:
    assert fault(text).startswith(f"{where}: given text that is no YAML (")


def test_other_things_that_yaml_can_and_we_do_not_want() -> None:
    assert "a second document in line 2, expected one document" in fault(VENUE + "---\na: 1\n")
    assert "the tag !!python/name:os.system" not in faults("a: !!python/name:os.system x")[0]
    assert "expected no tags" in faults("a: !!python/name:os.system x")[0]
    assert "expected no tags" in faults(VENUE + "http: !!map {port: 1}")[0]
    assert config(VENUE + "redis: {embedded: true, prefix: !!str 12}").redis == Redis(embedded=True, prefix="12")
    assert "the key 1, expected text (put it in quotes)" in fault(VENUE + "http: {1: 2}")
    assert "the key null" in fault(VENUE + "http: {~: 2}")
    assert "a key of several parts" in fault(VENUE + "? [a, b]\n: 1\n")
    assert "expected a mapping" in fault("[1, 2]")
    assert "expected a mapping" in fault("hello")


@settings(max_examples=150)
@given(st.text(alphabet="abc:{}[]&*!|>'\"%@#,-?\n \t\\U0$", max_size=60) | st.text(max_size=30))
def test_any_text_gives_a_config_or_its_faults(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config(text)
    assert caught.value.faults


# --- environment and secrets


def test_variables_are_replaced_after_parsing_and_typed_by_the_field() -> None:
    text = VENUE + "http: {host: '${HOST}', port: \"${PORT:-8000}\", token: '${TOKEN:-}'}\nclock: ${CLOCK:-1s}\n"
    text += "redis:\n  embedded: ${EMBEDDED:-true}\n  prefix: a${X:-}b:${Y:-y}\nready_share: ${SHARE:-0.5}\n"
    assert fault(text, {"HOST": "h: {x}"}).startswith("http.host: given 'h: {x}', expected a host name")
    loaded = config(text, {"HOST": "::1"})
    assert loaded.http == Http(host="::1", port=8000)
    assert loaded.redis == Redis(embedded=True, prefix="ab:y")
    assert (loaded.clock_ms, loaded.ready_share) == (1000, Decimal("0.5"))
    loaded = config(text, {"HOST": "h", "PORT": "0x10", "TOKEN": "007", "SHARE": "1", "Y": "5"})
    assert loaded.http == Http(host="h", port=16, token="007")
    assert type(loaded.http.token) is str
    assert faults(text, {"HOST": "h", "PORT": "x", "EMBEDDED": "yes", "SHARE": "x", "CLOCK": "5"}) == [
        "http.port: given 'x', expected a whole number from 0 to 65535 (line 2)",
        "clock: given '5', expected a duration of at least 1ms in whole ms (500us 200ms 5s 3m 2h 7d); "
        "a bare number has no unit (line 3)",
        "redis.embedded: given 'yes', expected true or false (line 5)",
        "ready_share: given 'x', expected a number from 0 to 1 (line 7)",
    ]
    assert "inside { } or [ ] must be in quotes" in fault(VENUE + "http: {port: ${PORT}}")
    assert config(VENUE + "filters: ${F}", {"F": "off"}).filters_of("okx") == {}
    assert config("venues:\n  okx: {instruments: ['${I}']}", {"I": "A/B"}).venues["okx"].instruments == ("A/B",)


def test_values_cannot_inject_structure() -> None:
    text = VENUE + "redis: {url: '${URL}'}"
    loaded = config(text, {"URL": "redis://x}\nhttp: {port: 1}"})
    assert loaded.http.port == 8800
    assert config(VENUE + "redis: {url: '${URL}'}", {"URL": "${HOME}"}).redis == Redis(url="${HOME}")


def test_missing_and_malformed_variables_are_faults() -> None:
    assert fault(VENUE + "http: {host: 'a${HOST}'}") == (
        "http.host: given ${HOST}, which is not set, expected a value, or ${HOST:-default} (line 2)"
    )
    assert "${T}, which is empty" in fault(VENUE + "http: {token: 'x${T}'}", {"T": ""})
    assert "expected ${NAME}" in fault(VENUE + "http: {host: 'a${HO ST}'}")
    assert config(VENUE + "redis: {embedded: true, prefix: '$${A}$B'}").redis == Redis(embedded=True, prefix="${A}$B")


def test_secrets_come_from_files() -> None:
    loaded = config(VENUE + "http: {token_file: secret}\nstream: {tokens_file: two}\nredis: {url_file: secret}")
    assert loaded.http.token == "s3cret"
    assert loaded.stream.tokens == ("one", "two")
    assert loaded.redis == Redis(url="s3cret")
    assert fault(VENUE + "http: {token_file: gone}") == (
        "http.token_file: given 'gone' (No such file or directory), expected the path of a readable text file (line 2)"
    )
    assert "which is empty" in faults(VENUE + "http: {token_file: empty}")[0]
    assert "given beside token, expected one of the two" in fault(VENUE + "http: {token: a, token_file: secret}")
    assert "an unknown key" in fault(VENUE + "http: {token_file: 5}")


class Signing:
    """A venue that signs: as much of it as the configuration sees. Its secrets are made of ``s``."""

    with_key = None

    @staticmethod
    def sign(request: str, credentials: Credentials, now_ns: int) -> str:
        if set(credentials.secret) != {"s"}:
            raise ValueError("no such letter")
        return request + credentials.key


def test_credentials_are_tried_before_anything_is_opened_and_never_shown() -> None:
    tables = TABLES._replace(venues={**TABLES.venues, "signing": Signing()})

    def read(text: str) -> Config:
        return load(text, tables, environ={"SECRET": "ss"}, read_text=lambda path: {"k": "key-7\n"}[path])

    text = "venues: {signing: {instruments: [A/B], credentials: {key_file: k, secret: '${SECRET}'}}}"
    loaded = read(text)
    assert loaded.venues["signing"].credentials == Credentials(key="key-7", secret="ss")
    shown = effective(loaded, {})
    assert "key-7" not in shown
    assert "ss" not in re.sub(r"#.*", "", shown).split()
    with pytest.raises(ConfigError) as caught:
        read(text.replace("${SECRET}", "letters"))
    assert str(caught.value).startswith(
        "venues.signing.credentials.secret: given ***, expected the secret as the venue"
    )
    assert "letters" not in str(caught.value)
    unsigned = "venues: {okx: {instruments: [A/B], credentials: {key: a, secret: b}}}"
    assert "expected no credentials: nothing of okx is signed" in fault(unsigned)


def test_no_secret_is_ever_in_a_fault() -> None:
    bad = VENUE + "http: {token: 12345678}\nstream: {tokens: [hunter2, 5]}\nredis: {url: hunter2, embedded: true}"
    text = "\n".join(faults(bad) + faults(VENUE + "redis: redis://me:hunter2@host\nstream: [hunter2]\nhttp: hunter2"))
    assert not re.search(r"hunter2|12345678", text)


# --- faults


def test_all_faults_at_once_in_the_order_of_the_file() -> None:
    text = """\
htp: {port: 1}
http: {port: 99999, hots: x}
venues:
  binance_usmd: {instruments: [BTC/USDT:USDT, BTCUSDT]}
  okx: {instruments: [], transport: smoke, filters: {sprd: off, warmup: {min_age: 30}}}
  kraken: {instruments: [BTC/USD, BTC/USD], endpoints: {rest: ftp://x}}
metrics:
  - {metric: ofi, window: 10}
  - {metric: off}
  - {metric: ofi, nmae: x}
  - spread
  - {metric: effective_mid}
  - {window: 1s}
detectors:
  - {kind: order_flow_imbalance, on: -3, standardise: {by: ewma, half_life: 60}}
grading: {horizons: [5s, 1s]}
clock: 100
"""
    assert [re.sub(r", expected.*", "", line) for line in faults(text)] == [
        "htp: given an unknown key",
        "http.hots: given an unknown key",
        "http.port: given 99999",
        "venues.binance_usmd.instruments[1]: given 'BTCUSDT'",
        "venues.binance_usmd: given an unknown venue",
        "venues.okx.transport: given 'smoke'",
        "venues.okx.filters.sprd: given an unknown key",
        "venues.okx.filters.warmup.min_age: given 30",
        "venues.kraken.endpoints.rest: given 'ftp://x'",
        "venues.kraken.endpoints.ws: given nothing",
        "metrics[0].window: given 10",
        "metrics[1].metric: given 'off'",
        "metrics[2].nmae: given an unknown key",
        "metrics[3]: given 'spread'",
        "metrics[4].size: given nothing",
        "metrics[5].metric: given nothing",
        "detectors[0].on: given -3",
        "detectors[0].standardise.by: given 'ewma'",
        "detectors[0].standardise.half_life: given 60",
        "grading: given {'horizons': ['5s', '1s']}",
        "clock: given 100",
    ]
    whole = "\n".join(faults(text))
    assert (
        "metrics[2].nmae: given an unknown key, expected 'name' perhaps; one of metric, name, window (line 10)" in whole
    )
    assert "metrics[1].metric: given 'off', expected 'ofi' perhaps; one of " in whole
    assert "venues.binance_usmd: given an unknown venue, expected 'binance_usdm' perhaps; " in whole
    assert "htp: given an unknown key, expected 'http' perhaps; " in whole
    assert "venues.okx.filters.sprd: given an unknown key, expected 'spread' perhaps; " in whole


def test_instruments_once_each_and_at_least_one() -> None:
    assert "expected at least one instrument" in fault("venues: {okx: {instruments: []}}")
    assert "BTC/USDT is there again" in fault("venues: {okx: {instruments: [BTC/USDT, BTC/USDT]}}")
    assert config("venues: {okx: {instruments: {quote: USDT, top: 50}}}").venues["okx"].instruments == Universe(
        quote="USDT", top=50
    )


def test_a_metric_used_twice_needs_a_name() -> None:
    assert fault(VENUE + "metrics: [{metric: ofi}, {metric: ofi, window: 2s}]") == (
        "metrics[1].name: given 'ofi', expected a name of its own (metrics[0] has it) (line 2)"
    )
    assert "a name of letters" in fault(VENUE + "metrics: [{metric: ofi, name: a-b}]")
    assert config(VENUE + "metrics: []").metrics == ()
    assert "expected a list of mappings such as {metric: band_imbalance}" in fault(VENUE + "metrics: ")


def test_names_must_be_of_what_there_is() -> None:
    assert "prometheus.metrics[1]: given 'oif', expected 'ofi' perhaps" in fault(
        VENUE + "prometheus: {metrics: [spread, oif]}"
    )
    assert "sim.venues[0]: given 'kraken', expected one of okx" in fault(VENUE + "sim: {venues: [kraken]}")


def test_redis_is_a_url_or_embedded() -> None:
    for wrong in ("{}", "{url: 'redis://x', embedded: true}"):
        assert "expected either url or embedded: true" in fault(VENUE + f"redis: {wrong}")


# --- what comes out


def test_filters_are_on_unless_they_are_off() -> None:
    every = {"warmup": WarmupOptions(), "spread": SpreadOptions()}
    assert config(VENUE).filters_of("okx") == every
    assert config(VENUE + "filters: {spread: on, warmup: }").filters_of("okx") == every
    assert config(VENUE + "filters: {spread: off}").filters == {"warmup": WarmupOptions(), "spread": None}
    assert config(VENUE + "filters: {spread: off}").filters_of("okx") == {"warmup": WarmupOptions()}
    assert config(VENUE + "filters: off").filters_of("okx") == {}
    assert list(config(VENUE + "filters: {spread: {k: 2}, warmup: {min_age: 1s}}").filters) == ["warmup", "spread"]
    assert "expected off, or a mapping" in fault(VENUE + "filters: false")
    assert "filters.spread: given false, expected off, on, or" in fault(VENUE + "filters: {spread: false}")


def test_a_venues_own_parts_replace_the_general_ones() -> None:
    loaded = config("""\
venues:
  okx: {}
  kraken:
    metrics: [{metric: ofi, window: 3s}]
    detectors: [{kind: order_flow_imbalance, on: 9}]
    filters: {spread: off}
""")
    assert loaded.metrics_of("okx") is loaded.metrics
    assert loaded.detectors_of("okx") is loaded.detectors
    assert [spec.options for spec in loaded.metrics_of("kraken")] == [WindowOptions(window_ms=3000)]
    assert [spec.options for spec in loaded.detectors_of("kraken")] == [LifeOptions(on=Decimal(9))]
    assert loaded.filters_of("kraken") == {"warmup": WarmupOptions()}


def test_detector_options_for_one_instrument() -> None:
    text = """\
detectors:
  - kind: order_flow_imbalance
    on: 4
    standardise: {clip: 8}
    per_instrument: {BTC/USDT: {off: 2, standardise: {half_life: 1s}}}
"""
    spec = config(VENUE + text).detectors[0]
    general = LifeOptions(on=Decimal(4), standardise=Standardise(by="ewma_z", clip=Decimal(8)))
    own = Standardise(by="ewma_z", clip=Decimal(8), half_life_ms=1000)
    assert spec.options_for("ETH/USDT") == general
    assert spec.options_for("BTC/USDT") == LifeOptions(on=Decimal(4), off=Decimal(2), standardise=own)
    wrong = VENUE + "detectors: [{kind: order_flow_imbalance, per_instrument: {BTC/USDT: {onn: 1}, X: 3}}]"
    assert ["expected 'on' perhaps" in line or "that differ" in line for line in faults(wrong)] == [True, True]


def test_the_fingerprint_is_of_what_decides_signals() -> None:
    base = fingerprint(config(VENUE))
    assert re.fullmatch("[0-9a-f]{16}", base)
    same = [
        "http: {port: 1}", "redis: {embedded: true}", "journal: {path: x}", "log: {level: debug}", "sim: {seed: 9}",
        "filters: {spread: {k: 3.0}}", "snapshots: 1s", "grading: {latency: 50ms}", "shutdown_s: 3", "ready_share: 0.5",
    ]  # fmt: skip
    assert {fingerprint(config(VENUE + text)) for text in same} == {base}
    other = [
        "filters: {spread: {k: 3.5}}", "filters: off", "clock: 200ms",
        "filters: {spread: off}", "grading: {latency: 51ms}", "metrics: []",
        "detectors: []", "detectors: [{kind: order_flow_imbalance, name: x}]",
    ]  # fmt: skip
    assert len({base, *(fingerprint(config(VENUE + text)) for text in other)}) == len(other) + 1
    assert fingerprint(config("venues: {okx: {instruments: [BTC/USDT, A/B]}}")) != base


def test_the_fingerprint_does_not_see_hosts_order_and_spelling() -> None:
    one = config("venues: {okx: {instruments: [A/B, C/D]}, kraken: {instruments: [A/B]}}\nclock: 100ms")
    two = config(
        "clock: 100000us\nvenues:\n  kraken: {instruments: [A/B], transport: aiohttp}\n"
        "  okx: {instruments: [C/D, A/B], endpoints: {rest: 'http://x', ws: 'ws://x'}}\n"
    )
    assert fingerprint(one) == fingerprint(two)


def test_the_fingerprint_is_the_same_on_every_machine() -> None:
    assert fingerprint(config(VENUE + "metrics: []\ndetectors: []\nfilters: off")) == "e9a4413d1126ea6d"


EFFECTIVE = (
    VENUE
    + """\
http: {port: "${PORT}", token: "${TOKEN}"}
redis: {url: "redis://me:pass@host:6379/0", prefix: "a: '${P:-q}' $${X} é\\u0085"}
stream: {tokens: [a, b]}
metrics: [{metric: ofi, window: 10s}]
detectors: [{kind: order_flow_imbalance, on: 4.5, per_instrument: {BTC/USDT: {off: 2}}}]
filters: {spread: off}
"""
)


def test_effective_values_with_their_origin() -> None:
    environ = {"PORT": "80", "TOKEN": "hunter2"}
    text = effective(config(EFFECTIVE, environ), origins_of(EFFECTIVE, environ=environ))
    rows = [re.sub(r" {2,}#", " #", line) for line in text.splitlines()]
    for row in (
        "  host: 127.0.0.1 # default",
        "  port: 80 # environment",
        "  token: '***' # environment".replace("'", '"'),
        "    instruments: [BTC/USDT] # file",
        "    transport: auto # default",
        '  url: "redis://***@host:6379/0" # file',
        "  - metric: ofi # file",
        "    name: ofi # default",
        "    window: 10s # file",
        "    on: 4.5 # file",
        "    off: 1 # default",
        "      by: ewma_z # default",
        "  spread: off # file",
        "    min_age: 30s # default",
        "clock: 100ms # default",
        "shutdown_s: 10 # default",
    ):
        assert row in rows, f"{row!r} not in\n{text}"
    assert not re.search("hunter2|pass", text)


def test_effective_values_load_as_the_same_configuration() -> None:
    text = re.sub(r"(?m)^(http|stream):.*\n", "", EFFECTIVE).replace("me:pass@", "")
    loaded = config(text)
    shown = effective(loaded, origins_of(text, environ={}))
    assert config(shown) == loaded
    assert fingerprint(config(shown)) == fingerprint(loaded)


def test_the_origin_of_a_secret_from_a_file_and_of_a_flag() -> None:
    text = VENUE + "http: {token_file: secret}"
    origins = {**origins_of(text, environ={}), "http.port": "flag"}
    shown = effective(config(text), origins)
    assert re.search(r'(?m)^  token: "\*\*\*" +# file$', shown)
    assert re.search(r"(?m)^  port: 8800 +# flag$", shown)


# --- the schema


def resolve(schema: Any, root: Any) -> Any:
    return root["$defs"][schema["$ref"].rsplit("/", 1)[1]] if "$ref" in schema else schema


def valid(data: Any, schema: Any, root: Any) -> bool:
    """As much of JSON Schema as ours uses."""
    schema = resolve(schema, root)
    types = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None), "number": (int, float)}
    if "anyOf" in schema and not any(valid(data, form, root) for form in schema["anyOf"]):
        return False
    if "enum" in schema and data not in schema["enum"]:
        return False
    if "const" in schema and data != schema["const"]:
        return False
    if isinstance(data, str) and not re.search(schema.get("pattern", ""), data):
        return False
    kinds = [schema["type"]] if isinstance(schema.get("type"), str) else schema.get("type", [])
    if kinds and not any(isinstance(data, types.get(kind, int)) for kind in kinds):
        return False
    if isinstance(data, list):
        return all(valid(item, schema.get("items", {}), root) for item in data)
    if isinstance(data, dict):
        known, others = schema.get("properties", {}), schema.get("additionalProperties", {})
        return set(schema.get("required", ())) <= data.keys() and all(
            valid(item, known[key], root) if key in known else others is not False and valid(item, others, root)
            for key, item in data.items()
        )
    return True


def plain(text: str) -> Any:
    """YAML as an editor sees it: no variables replaced."""
    return parse(text.replace("${", "$${"), {}).data


def test_the_schema_takes_what_load_takes() -> None:
    schema = json_schema(TABLES)
    json.dumps(schema)
    for text in (
        default_yaml(),
        INTERFACE,
        EFFECTIVE,
        "venues: {okx: }",
        VENUE + "filters: off\nhttp: {token_file: x}",
    ):
        assert valid(plain(text), schema, schema), text


@pytest.mark.parametrize(
    "wrong",
    [
        "{}", "venues: {nope: }", VENUE + "htp: {}", VENUE + "clock: 100", VENUE + "http: {port: x}",
        VENUE + "metrics: [{metric: ofi, levels: 5}]", VENUE + "metrics: [{window: 1s}]",
        VENUE + "filters: {spread: 3}", VENUE + "detectors: [{kind: order_flow_imbalance, standardise: {by: x}}]",
        VENUE + "filters: {nope: off}",
    ],
)  # fmt: skip
def test_the_schema_refuses_what_load_refuses(wrong: str) -> None:
    schema = json_schema(TABLES)
    assert not valid(plain(wrong), schema, schema)
    assert faults(wrong)


def test_the_schema_describes_and_hides() -> None:
    schema = json_schema(TABLES)
    assert schema["$schema"].endswith("2020-12/schema")
    assert schema["required"] == ["venues"]
    http = schema["properties"]["http"]["properties"]
    assert http["token"]["writeOnly"] is True
    assert http["token_file"]["type"] == "string"
    assert http["port"]["default"] == 8800
    assert set(schema["properties"]["venues"]["properties"]) == set(TABLES.venues)
    assert [form["properties"]["metric"]["const"] for form in schema["$defs"]["metrics"]["items"]["anyOf"]] == list(
        TABLES.metrics
    )
