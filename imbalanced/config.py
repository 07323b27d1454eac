"""The YAML text of a run to a frozen :class:`Config`, or every fault in it at once.

YAML is read by the core rules of YAML 1.2 (``on``, ``off``, ``yes`` and ``no`` are words, ``1_000`` and ``1:30`` are
text, no timestamps, no merge keys), a key given twice is an error, and aliases cannot blow up. ``${NAME}`` is replaced
after parsing, so that a value cannot inject structure. Nothing here opens a file or reads the environment: both are
passed in. What a metric, detector or filter can be told is declared by its own ``Options``; the tables of them are
passed in as well.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any, Final, Literal, NamedTuple, Protocol

import yaml
from msgspec import Struct, structs
from yaml import events as ev

from imbalanced.detect.detector import Known
from imbalanced.options import (
    Count,
    Doc,
    Fault,
    Millis,
    Millis0,
    NonNegative,
    Pattern,
    Range,
    Secret,
    Share,
    Untyped,
    collect,
    dump,
    fields_of,
    inside,
    nearest,
    schema,
    shown,
    unknown_key,
)
from imbalanced.venues import signer

Environ = Mapping[str, str]
ReadText = Callable[[str], str]
Origins = Mapping[str, str]

LARGEST_TEXT: Final = 256 * 1024
DEEPEST: Final = 20
MOST_NODES: Final = 50_000

Host = Annotated[str, Pattern(r"[^\s/]+", "a host name or address")]
Port = Annotated[int, Range(ge=0, le=65535)]
Name = Annotated[str, Pattern(r"[A-Za-z_][A-Za-z0-9_]*", "a name of letters, digits and _")]
Symbol = Annotated[str, Pattern(r"[^\s/:]+/[^\s/:]+(:[^\s/:]+)?", "a unified symbol such as BTC/USDT or BTC/USDT:USDT")]
FilePath = Annotated[str, Pattern(r".+", "the path of a file or folder")]


class ConfigError(ValueError):
    """The configuration cannot be used; ``faults`` holds every reason found, ``lines`` where their keys stand."""

    def __init__(self, faults: Sequence[Fault], lines: Mapping[str, int] | None = None) -> None:
        self.lines = {fault.path: line for fault in faults if (line := _nearest_above(fault.path, lines or {}))}
        self.faults = tuple(sorted(faults, key=lambda fault: self.lines.get(fault.path, 0)))
        super().__init__("\n".join(map(self._line, self.faults)))

    def _line(self, fault: Fault) -> str:
        line = self.lines.get(fault.path)
        return f"{fault} (line {line})" if line else str(fault)


# What can be configured. Defaults live here and nowhere else; a field's type and Doc are its documentation.


class Http(Struct, frozen=True, kw_only=True):
    host: Annotated[Host, Doc("address of /metrics, /healthz, /readyz, /api and the page")] = "127.0.0.1"
    port: Annotated[Port, Doc("0 takes any free port")] = 8800
    token: Annotated[str | None, Secret(), Doc("bearer token of scope admin; none: only this machine has it")] = None

    def __post_init__(self) -> None:
        if self.token == "":
            raise ValueError("a token that is not empty")


class Stream(Struct, frozen=True, kw_only=True):
    host: Annotated[Host, Doc("address for websocket subscribers")] = "127.0.0.1"
    port: Annotated[Port, Doc("0 takes any free port")] = 8801
    tokens: Annotated[tuple[str, ...], Secret(), Doc("tokens that may subscribe; none: everybody")] = ()

    def __post_init__(self) -> None:
        if "" in self.tokens:
            raise ValueError("tokens that are not empty")


class Journal(Struct, frozen=True, kw_only=True):
    path: Annotated[FilePath, Doc("the durable log of signals")] = "var/journal.sqlite"
    keep_s: Annotated[int, Range(ge=1), Doc("signals older than this are deleted")] = 7 * 86400


class Redis(Struct, frozen=True, kw_only=True):
    url: Annotated[str | None, Secret(), Doc("redis://, rediss:// or unix://")] = None
    embedded: Annotated[bool, Doc("start a Redis-compatible server inside this run")] = False
    prefix: Annotated[str, Doc("of every key and channel")] = "imbalanced:"
    maxlen: Annotated[int, Range(ge=1), Doc("approximate length of the signals stream")] = 100_000

    def __post_init__(self) -> None:
        if (self.url is not None) == self.embedded:
            raise ValueError("either url or embedded: true")


class Record(Struct, frozen=True, kw_only=True):
    dir: Annotated[FilePath, Doc("folder for every frame as it came")] = "var/tape"
    rotate_s: Annotated[int, Range(ge=1), Doc("a new file after this time")] = 3600


class JsonLines(Struct, frozen=True, kw_only=True):
    path: Annotated[FilePath, Doc("file that signals are appended to")] = "var/signals.jsonl"


class Sim(Struct, frozen=True, kw_only=True):
    venues: Annotated[tuple[str, ...], Doc("venues to simulate; none named: all that are configured")] = ()
    symbols: Annotated[tuple[Symbol, ...], Doc("instruments to simulate; none named: those of the venue")] = ()
    seed: Annotated[int, Range(ge=0), Doc("of the simulated market")] = 1
    faults: Annotated[str | None, Doc("path of a file with faults to play")] = None


class Universe(Struct, frozen=True, kw_only=True):
    quote: Annotated[str | None, Doc("only instruments quoted in this currency")] = None
    top: Annotated[Count, Doc("how many, by traded notional")] = 10


class Endpoints(Struct, frozen=True, kw_only=True):
    rest: Annotated[str, Pattern(r"https?://[^\s]+", "an http:// or https:// URL")]
    ws: Annotated[str, Pattern(r"wss?://[^\s]+", "a ws:// or wss:// URL")]


class Credentials(Struct, frozen=True, kw_only=True):
    key: Annotated[str, Secret(), Doc("name of the key")]
    secret: Annotated[str, Secret(), Doc("what requests are signed with")]
    passphrase: Annotated[str | None, Secret(), Doc("where the venue gave one")] = None


class VenueSettings(Struct, frozen=True, kw_only=True):
    instruments: Annotated[tuple[Symbol, ...] | Universe, Doc("unified symbols, or {quote: USDT, top: 50}")] = (
        Universe()
    )
    endpoints: Annotated[Endpoints | None, Doc("other hosts than the venue's own")] = None
    credentials: Annotated[Credentials | None, Doc("a key of the venue, for streams that need one")] = None
    transport: Annotated[
        Literal["auto", "picows", "sansio", "aiohttp", "websockets"],
        Doc("websocket client library; auto takes the fastest there is"),
    ] = "auto"

    def __post_init__(self) -> None:
        if not isinstance(self.instruments, Universe):
            if not self.instruments:
                raise ValueError("at least one instrument")
            twice = [name for i, name in enumerate(self.instruments) if name in self.instruments[:i]]
            if twice:
                raise ValueError(f"each instrument once ({twice[0]} is there again)")


class Calibrations(Struct, frozen=True, kw_only=True):
    dir: Annotated[str | None, Doc("folder of calibrations: an orderly stop writes the next one; null writes none")] = (
        None
    )
    start: Annotated[str, Doc("the one to begin from: `latest`, `none`, or its name of 16 hex digits")] = "latest"

    def __post_init__(self) -> None:
        if self.start not in ("latest", "none") and not re.fullmatch("[0-9a-f]{16}", self.start):
            raise ValueError(f"start: latest, none or 16 hex digits, not {self.start!r}")
        if self.dir is None and self.start not in ("latest", "none"):
            raise ValueError("dir: the folder in which the calibration is")


class Grading(Struct, frozen=True, kw_only=True):
    latency_ms: Annotated[Millis0, Doc("from a signal to the entry it is graded on")] = 50
    horizons_ms: Annotated[tuple[Millis, ...], Doc("from entry to exit")] = (1_000, 5_000, 30_000, 300_000)
    round_trip_cost_bps: Annotated[NonNegative, Doc("fees and slippage of entry and exit together")] = Decimal(4)
    mute_degraded: Annotated[bool, Doc("hold back a kind on an instrument where it has stopped to earn")] = False
    calibration: Annotated[Calibrations, Doc("where confidence begins, and where an orderly stop writes it")] = (
        Calibrations()
    )

    def __post_init__(self) -> None:
        if not self.horizons_ms or list(self.horizons_ms) != sorted(set(self.horizons_ms)):
            raise ValueError("horizons that grow, at least one")


class Prometheus(Struct, frozen=True, kw_only=True):
    metrics: Annotated[tuple[Name, ...], Doc("names of metrics that get a family imbalanced_metric_NAME")] = ()


class Log(Struct, frozen=True, kw_only=True):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Annotated[Literal["auto", "json", "text"], Doc("auto: text on a terminal, else JSON lines")] = "auto"


class Settings(Struct, frozen=True, kw_only=True):
    """What needs no table to be understood."""

    http: Http = Http()
    stream: Stream = Stream()
    journal: Journal = Journal()
    redis: Annotated[Redis | None, Doc("leave out for none")] = None
    record: Annotated[Record | None, Doc("leave out for none")] = None
    jsonl: Annotated[JsonLines | None, Doc("leave out for none")] = None
    sim: Annotated[Sim | None, Doc("simulated exchanges inside this run, for demonstration and tests")] = None
    grading: Grading = Grading()
    prometheus: Prometheus = Prometheus()
    ready_share: Annotated[Share, Doc("share of the books that must be live for /readyz")] = Decimal(1)
    shutdown_s: Annotated[float, Range(gt=0), Doc("seconds for an orderly stop, a plain number")] = 10.0
    clock_ms: Annotated[Millis, Doc("period of clock events for metrics")] = 100
    snapshots_ms: Annotated[Millis, Doc("period of metric snapshots")] = 100
    log: Log = Log()


class MetricSpec(Struct, frozen=True):
    """One metric to run on each instrument."""

    name: str
    metric: str
    options: Struct


class DetectorSpec(Struct, frozen=True):
    """One detector to run on each instrument; ``per_instrument`` holds the options of those that have their own."""

    name: str
    kind: str
    options: Struct
    per_instrument: dict[str, Struct] = {}

    def options_for(self, instrument: str) -> Struct:
        return self.per_instrument.get(instrument, self.options)


Metrics = tuple[MetricSpec, ...]
Detectors = tuple[DetectorSpec, ...]
Filters = dict[str, Struct | None]  # in the order of the table; None: switched off


class VenueConfig(VenueSettings, frozen=True, kw_only=True):
    """One venue. Metrics, detectors and filters replace the general ones; None: it has none of its own."""

    metrics: Metrics | None = None
    detectors: Detectors | None = None
    filters: Filters | None = None


class Config(Settings, frozen=True, kw_only=True):
    """One run."""

    venues: dict[str, VenueConfig]
    metrics: Metrics
    detectors: Detectors
    filters: Filters

    def metrics_of(self, venue: str) -> Metrics:
        own = self.venues[venue].metrics
        return self.metrics if own is None else own

    def detectors_of(self, venue: str) -> Detectors:
        own = self.venues[venue].detectors
        return self.detectors if own is None else own

    def filters_of(self, venue: str) -> dict[str, Struct]:
        """The filters that are on, in the order they are asked."""
        own = self.venues[venue].filters
        filters = self.filters if own is None else own
        return {name: options for name, options in filters.items() if options is not None}

    def bare(self) -> Config:
        """The same links and books, with nothing computed on them."""
        venues = {
            name: structs.replace(venue, metrics=None, detectors=None, filters=None)
            for name, venue in self.venues.items()
        }
        return structs.replace(self, venues=venues, metrics=(), detectors=(), filters={})


class Plugin(Protocol):
    """A row of the tables of metrics, detectors and filters: a class with its options."""

    @property
    def Options(self) -> type[Struct]: ...  # noqa: N802 - a nested class


class Tables(NamedTuple):
    """What there is: ``VENUES``, ``METRICS``, ``DETECTORS`` and ``FILTERS``."""

    venues: Mapping[str, object]
    metrics: Mapping[str, Plugin]
    detectors: Mapping[str, Plugin]
    filters: Mapping[str, Plugin]


DEFAULT_METRICS: Final[tuple[Mapping[str, object], ...]] = (
    {"metric": "spread"},
    {"metric": "spread_roc"},
    {"metric": "queue_imbalance"},
    {"metric": "depth_imbalance", "levels": 5},
    {"metric": "band_imbalance", "bps": 10},
    {"metric": "weighted_mid"},
    {"metric": "ofi", "window": "1s"},
    {"metric": "ofi", "window": "10s", "name": "ofi_10s"},
    {"metric": "ofi_ratio"},
    {"metric": "trade_imbalance"},
    {"metric": "vwap_deviation", "window": "10m"},
)
DEFAULT_DETECTORS: Final[tuple[Mapping[str, object], ...]] = (
    {"kind": "order_flow_imbalance"},
    {"kind": "order_flow_imbalance_ratio"},
    {"kind": "market_depth_imbalance"},
    {"kind": "microstructure_imbalance"},
    {"kind": "supply_demand_imbalance"},
    {"kind": "aggressive_order_flow"},
    {"kind": "sweep"},
    {"kind": "volume_spike"},
    {"kind": "vwap_deviation"},
    {"kind": "spread_shock"},
    {"kind": "book_exhaustion"},
    {"kind": "absorption"},
    {"kind": "flow_toxicity"},
    {"kind": "composite"},
)


def load(text: str, tables: Tables, *, environ: Environ, read_text: ReadText) -> Config:
    """The configuration, or ConfigError with every fault. ``read_text`` reads the file of a ``*_file`` key."""
    source = _parse(text, environ)
    data = _with_secrets({} if source.data is None else source.data, "", read_text, source.faults)
    broken = {fault.path for fault in source.faults}  # what is missing there needs no second fault
    found: list[Fault] = []
    config = _Builder(tables, found).config(data)
    faults = [*source.faults, *(fault for fault in found if fault.path not in broken)]
    if config is None or faults:
        raise ConfigError(faults, source.lines)
    return config


def origins_of(text: str, *, environ: Environ) -> dict[str, str]:
    """Where each value that is not a default comes from: path to ``file`` or ``environment``."""
    return _parse(text, environ).origins


# YAML, by the core rules of version 1.2: events of PyYAML's parser, everything after them ours.

_INT: Final = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_WORDS: Final[dict[str, bool | None]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_VARIABLE: Final = re.compile(r"\$\$(?=\{)|\$\{([A-Za-z_][A-Za-z0-9_]*)(:-([^{}]*))?\}|\$\{")
_TEXT_TAGS: Final = ("!", "tag:yaml.org,2002:str")
_MISSING: Final = object()


def _typed(plain: str) -> object:
    """A plain scalar as YAML 1.2 types it. Numbers beyond sense stay text, which no number field takes."""
    if plain in _WORDS:
        return _WORDS[plain]
    if len(plain) > 300:
        return plain
    if _INT.fullmatch(plain):
        return int(plain, {"0o": 8, "0x": 16}.get(plain[:2], 10))
    if _FLOAT.fullmatch(plain):
        return float(plain.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return plain


class _Source(NamedTuple):
    """What a YAML text says. ``lines`` and ``origins`` are by path."""

    data: object
    faults: list[Fault]
    lines: dict[str, int]
    origins: dict[str, str]


def _parse(text: str, environ: Environ) -> _Source:
    if len(text) > LARGEST_TEXT:
        raise ConfigError([Fault("", f"{len(text)} characters", f"at most {LARGEST_TEXT}")])
    parser = _Parser(text, environ)
    return _Source(parser.document(), parser.faults, parser.lines, parser.origins)


class _Parser:
    """Plain data from the events of one document; depth and size are bounded while it reads."""

    def __init__(self, text: str, environ: Environ) -> None:
        self.faults: list[Fault] = []
        self.lines: dict[str, int] = {}
        self.origins: dict[str, str] = {}
        self._environ = environ
        self._events = _events(text)
        self._anchors: dict[str, tuple[object, int]] = {}
        self._nodes = 0

    def document(self) -> object:
        next(self._events)  # the stream's start
        if isinstance(next(self._events), ev.StreamEndEvent):
            return None
        data = self._node(next(self._events), "", 0)
        next(self._events)  # the document's end
        if not isinstance(after := next(self._events), ev.StreamEndEvent):
            self.faults.append(Fault("", f"a second document in line {_line(after)}", "one document"))
        return data

    def _node(self, event: ev.Event, path: str, depth: int) -> object:
        self.lines.setdefault(path, _line(event))
        self._count(1)
        if depth > DEEPEST:
            raise ConfigError([Fault(path, f"more than {DEEPEST} levels", "a flatter structure")], self.lines)
        if isinstance(event, ev.AliasEvent):
            return self._alias(event, path)
        before = self._nodes
        data: object = None
        if isinstance(event, ev.ScalarEvent):
            data = self._scalar(event, path)
        elif isinstance(event, ev.SequenceStartEvent):
            data = self._sequence(path, depth)
        elif isinstance(event, ev.MappingStartEvent):
            data = self._mapping(path, depth)
        self._check_tag(event, path)
        if isinstance(event, ev.NodeEvent) and event.anchor is not None:
            self._anchors[event.anchor] = (data, self._nodes - before + 1)
        return data

    def _check_tag(self, event: ev.Event, path: str) -> None:
        tag = event.tag if isinstance(event, ev.ScalarEvent | ev.CollectionStartEvent) else None
        allowed = _TEXT_TAGS if isinstance(event, ev.ScalarEvent) else ()
        if tag is not None and tag not in allowed:
            self.faults.append(Fault(path, f"the tag {tag}", "no tags"))

    def _count(self, nodes: int) -> None:
        self._nodes += nodes
        if self._nodes > MOST_NODES:
            raise ConfigError(
                [Fault("", f"more than {MOST_NODES} values", "fewer (aliases count as what they stand for)")]
            )

    def _alias(self, event: ev.AliasEvent, path: str) -> object:
        if event.anchor not in self._anchors:
            self.faults.append(Fault(path, f"*{event.anchor}", "an anchor that stands complete above it"))
            return None
        data, size = self._anchors[event.anchor]
        self._count(size)
        self.origins[path] = "file"
        return data

    def _scalar(self, event: ev.ScalarEvent, path: str) -> object:
        text, used = self._expanded(event.value, path)
        data: object = _typed(event.value) if event.implicit[0] else event.value
        if text != event.value:  # quoted or not: inside { } and [ ] a plain ${NAME} is no YAML
            data = Untyped(text)
            data.typed = _typed(text)
        if data is not None:  # an empty `binance:` says nothing about what is in it
            self.origins[path] = "environment" if used else "file"
        return data

    def _expanded(self, text: str, path: str) -> tuple[str, bool]:
        """``${NAME}`` and ``${NAME:-default}`` replaced; ``$${`` is a plain ``${``."""
        wrong: list[Fault] = []
        used = False

        def value(match: re.Match[str]) -> str:
            nonlocal used
            name, default = match[1], match[3]
            given = self._environ.get(name or "", "")
            used = used or bool(given)
            if match[0] == "$$":
                return "$"
            if name is None:
                wrong.append(
                    Fault(path, shown(text), "${NAME}, ${NAME:-default}, or $${ for the characters themselves")
                )
            elif not given and default is None:
                state = "empty" if name in self._environ else "not set"
                wrong.append(Fault(path, f"${{{name}}}, which is {state}", f"a value, or ${{{name}:-default}}"))
            return given or default or ""

        expanded = _VARIABLE.sub(value, text)
        self.faults.extend(wrong)
        return (text if wrong else expanded), used

    def _sequence(self, path: str, depth: int) -> object:
        items: list[object] = []
        while not isinstance(event := next(self._events), ev.SequenceEndEvent):
            items.append(self._node(event, inside(path, len(items)), depth + 1))
        if not items:
            self.origins[path] = "file"
        return items

    def _mapping(self, path: str, depth: int) -> object:
        table: dict[str, object] = {}
        while not isinstance(event := next(self._events), ev.MappingEndEvent):
            line = _line(event)
            key = self._key(event, path, depth)
            here = path if key is None else inside(path, key)
            if key is not None and key in table:
                first = self.lines[here]
                self.faults.append(Fault(here, f"a second time in line {line}", f"once (first in line {first})"))
            elif key is not None:
                self.lines[here] = line
            value = self._node(next(self._events), here, depth + 1)
            if key is not None:
                table.setdefault(key, value)
                if key.endswith("_file") and here in self.origins:
                    self.origins[here.removesuffix("_file")] = self.origins[here]
        return table

    def _key(self, event: ev.Event, path: str, depth: int) -> str | None:
        if not isinstance(event, ev.ScalarEvent):
            self._node(event, path, depth + 1)
            self.faults.append(Fault(path, f"a key of several parts in line {_line(event)}", "text"))
            return None
        key = _typed(event.value) if event.implicit[0] else event.value
        if not isinstance(key, str):
            self.faults.append(Fault(inside(path, event.value), f"the key {shown(key)}", "text (put it in quotes)"))
            return None
        return key


def _line(event: ev.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 0


def _events(text: str) -> Iterator[ev.Event]:
    """The events of PyYAML's parser, which keeps no stack of ours; ConfigError where the text is no YAML."""
    try:
        loader = yaml.SafeLoader(text)
    except yaml.reader.ReaderError as wrong:
        before = text[: wrong.position]
        line, column = before.count("\n") + 1, wrong.position - before.rfind("\n")
        raise _no_yaml(line, column, f"the character {shown(text[wrong.position])}") from wrong
    while True:
        try:
            event: ev.Event = loader.get_event()  # type: ignore[no-untyped-call]  # types-PyYAML leaves it bare
        except yaml.MarkedYAMLError as wrong:
            mark = wrong.problem_mark or wrong.context_mark
            line, column = (mark.line, mark.column) if mark else (loader.line, loader.column)
            problem = ", ".join(part for part in (wrong.context, wrong.problem) if part)
            if mark and text[max(mark.index - 1, 0) : mark.index + 1] == "${":
                problem += "; ${NAME} inside { } or [ ] must be in quotes"
            raise _no_yaml(line + 1, column + 1, problem) from wrong
        except (ValueError, OverflowError) as wrong:  # PyYAML's answer to "\\UFFFFFFFF" and to endless version numbers
            raise _no_yaml(loader.line + 1, loader.column + 1, str(wrong)) from wrong
        yield event


def _no_yaml(line: int, column: int, problem: str) -> ConfigError:
    return ConfigError([Fault(f"line {line}, column {column}", f"text that is no YAML ({problem})", "YAML 1.2")])


def _nearest_above(path: str, known: Mapping[str, Any]) -> Any:
    """What is known of ``path`` or of the nearest place that it is in; None for nothing."""
    while path and path not in known:
        path = path[: max(path.rfind("."), path.rfind("["), 0)]
    return known.get(path)


def _with_secrets(data: object, path: str, read_text: ReadText, faults: list[Fault]) -> object:
    """``token_file: FILE`` becomes ``token`` with the text of the file, without the line end; ``tokens`` one a line."""
    if isinstance(data, list):
        return [_with_secrets(item, inside(path, i), read_text, faults) for i, item in enumerate(data)]
    if not isinstance(data, Mapping):
        return data
    read: dict[str, object] = {}
    for key, value in data.items():
        name = key.removesuffix("_file")
        if name == key or not isinstance(value, str):
            read[key] = _with_secrets(value, inside(path, key), read_text, faults)
        elif name in data:
            faults.append(Fault(inside(path, key), f"beside {name}", "one of the two"))
        else:
            read[name] = _secret(name, value, inside(path, key), read_text, faults)
    return read


def _secret(name: str, file: str, path: str, read_text: ReadText, faults: list[Fault]) -> object:
    try:
        text = read_text(file).rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as wrong:
        why = wrong.strerror if isinstance(wrong, OSError) else "no UTF-8"
        faults.append(Fault(path, f"{shown(file)} ({why or wrong})", "the path of a readable text file"))
        text = "unknown"
    if not text:
        faults.append(Fault(path, f"{shown(file)}, which is empty", "the path of a file with the secret"))
        text = "unknown"
    return text.splitlines() if name == "tokens" else text


# From plain data to Config: what options.py cannot read alone, because it depends on the tables.


class _VenueFile(VenueSettings, frozen=True, kw_only=True):
    metrics: object = None
    detectors: object = None
    filters: object = None


class _File(Settings, frozen=True, kw_only=True):
    venues: Annotated[dict[str, _VenueFile | None], Doc("by the id of the venue; the only key without a default")]
    metrics: object = None
    detectors: object = None
    filters: object = None


class _Builder:
    """Reads all parts whatever is wrong with one of them, so that every fault is found."""

    def __init__(self, tables: Tables, faults: list[Fault]) -> None:
        self._tables = tables
        self._faults = faults
        self._asked: dict[str, list[str]] = {}  # filters that are asked for by name, by the path of their mapping

    def config(self, data: object) -> Config | None:
        file = collect(_File, data, "", self._faults)
        if not isinstance(data, Mapping):
            return None
        own = self._venue_parts(data.get("venues"))
        metrics = self._metrics(data.get("metrics", DEFAULT_METRICS), "metrics")
        detectors = self._detectors(data.get("detectors", DEFAULT_DETECTORS), "detectors")
        filters = self._filters(data.get("filters", {}), "filters")
        if file is None:
            return None
        config = Config(
            **_values(file, Settings),
            venues={
                name: VenueConfig(**_values(venue or _VenueFile(), VenueSettings), **own.get(name, {}))
                for name, venue in file.venues.items()
            },
            metrics=metrics,
            detectors=detectors,
            filters=filters,
        )
        self._check_names(config)
        self._check_inputs(config)
        self._check_detectors(config)
        self._check_filters(config)
        self._check_credentials(config)
        return config

    def _venue_parts(self, venues: object) -> dict[str, dict[str, Any]]:
        """The metrics, detectors and filters of each venue that has its own."""
        if not isinstance(venues, Mapping):
            return {}
        if not venues:
            self._faults.append(Fault("venues", "none", f"at least one of {', '.join(sorted(self._tables.venues))}"))
        readers = {"metrics": self._metrics, "detectors": self._detectors, "filters": self._filters}
        parts: dict[str, dict[str, Any]] = {}
        for name, venue in venues.items():
            path = inside("venues", name)
            if name not in self._tables.venues:
                self._faults.append(Fault(path, "an unknown venue", nearest(name, self._tables.venues)))
            if isinstance(venue, Mapping):
                parts[name] = {
                    part: read(venue[part], inside(path, part)) for part, read in readers.items() if part in venue
                }
        return parts

    def _metrics(self, given: object, path: str) -> Metrics:
        entries = self._entries(given, path, "metric", self._tables.metrics)
        return tuple(MetricSpec(entry.name, entry.kind, entry.options) for entry in entries)

    def _detectors(self, given: object, path: str) -> Detectors:
        entries = self._entries(given, path, "kind", self._tables.detectors)
        return tuple(DetectorSpec(*entry) for entry in entries)

    def _entries(self, given: object, path: str, word: str, table: Mapping[str, Plugin]) -> list[_Entry]:
        if not isinstance(given, list | tuple):
            self._faults.append(
                Fault(path, shown(given), f"a list of mappings such as {{{word}: {min(table, default='NAME')}}}")
            )
            return []
        entries: list[_Entry] = []
        places: dict[str, str] = {}
        for i, item in enumerate(given):
            here = inside(path, i)
            entry = self._entry(item, here, word, table)
            if entry is not None and entry.name in places:
                other = places[entry.name]
                self._faults.append(
                    Fault(inside(here, "name"), shown(entry.name), f"a name of its own ({other} has it)")
                )
            elif entry is not None:
                places[entry.name] = here
                entries.append(entry)
        return entries

    def _entry(self, given: object, path: str, word: str, table: Mapping[str, Plugin]) -> _Entry | None:
        """One ``{metric: ofi, window: 10s, name: ofi_10s}``: the rest are the options of what it names."""
        if not isinstance(given, Mapping):
            self._faults.append(
                Fault(path, shown(given), f"a mapping such as {{{word}: {min(table, default='NAME')}}}")
            )
            return None
        kind = given.get(word, _MISSING)
        if not isinstance(kind, str) or kind not in table:
            self._faults.append(
                Fault(inside(path, word), "nothing" if kind is _MISSING else shown(kind), nearest(kind, table))
            )
            return None
        plugin = table[kind].Options
        own = {word, "name", "per_instrument"} if word == "kind" else {word, "name"}
        known = own | {field.key("yaml") for field in fields_of(plugin)}
        self._faults.extend(unknown_key(key, path, known) for key in given if key not in known)
        head = collect(
            _Head, {key: given[key] for key in ("name", "per_instrument") if key in given}, path, self._faults
        )
        options = collect(
            plugin, {key: value for key, value in given.items() if key in known - own}, path, self._faults
        )
        if head is None or options is None:
            return None
        return _Entry(head.name or kind, kind, options, self._per_instrument(options, head, path))

    def _per_instrument(self, options: Struct, head: _Head, path: str) -> dict[str, Struct]:
        """The same options with other values for some instruments."""
        changed: dict[str, Struct] = {}
        for instrument, changes in head.per_instrument.items():
            here = inside(inside(path, "per_instrument"), instrument)
            if not isinstance(changes, Mapping):
                self._faults.append(Fault(here, shown(changes), "a mapping of the options that differ"))
                continue
            own = collect(type(options), _merged(dump(options), changes), here, self._faults)
            if own is not None:
                changed[instrument] = own
        return changed

    def _filters(self, given: object, path: str) -> Filters:
        table = self._tables.filters
        if given == "off":
            return dict.fromkeys(table)
        if not isinstance(given, Mapping):
            self._faults.append(Fault(path, shown(given), "off, or a mapping of filters by name"))
            return {}
        self._faults.extend(unknown_key(name, path, table) for name in given if name not in table)
        self._asked[path] = [name for name in table if given.get(name, "off") != "off"]
        return {name: self._filter(given.get(name), plugin, inside(path, name)) for name, plugin in table.items()}

    def _filter(self, given: object, plugin: Plugin, path: str) -> Struct | None:
        if given == "off":
            return None
        if given is None or given == "on":
            given = {}
        short: str | None = getattr(plugin, "short", None)
        if short is not None and isinstance(given, int) and not isinstance(given, bool):
            given = {short: given}
        if not isinstance(given, Mapping):
            self._faults.append(Fault(path, shown(given), "off, on, or a mapping of its options"))
            return None
        return collect(plugin.Options, given, path, self._faults)

    def _check_names(self, config: Config) -> None:
        """Names that speak of other parts of the same file."""
        for i, name in enumerate(config.sim.venues if config.sim else ()):
            if name not in config.venues:
                self._faults.append(Fault(f"sim.venues[{i}]", shown(name), nearest(name, config.venues)))
        metrics = {spec.name for venue in config.venues for spec in config.metrics_of(venue)}
        for i, name in enumerate(config.prometheus.metrics):
            if name not in metrics:
                self._faults.append(Fault(f"prometheus.metrics[{i}]", shown(name), nearest(name, metrics)))

    def _check_inputs(self, config: Config) -> None:
        """A metric that a venue cannot feed would be silent for ever: better said now."""
        for venue, settings in config.venues.items():
            path = "metrics" if settings.metrics is None else inside(inside("venues", venue), "metrics")
            for i, spec in enumerate(config.metrics_of(venue)):
                lacking = self._lacking(self._tables.metrics[spec.metric], venue)
                if lacking:
                    fault = Fault(inside(path, i), spec.metric, self._who_feeds(lacking, venue))
                    self._faults.append(fault)

    def _check_detectors(self, config: Config) -> None:
        """What a detector's options can know only from the rest of the file, and what its venue must feed."""
        venues = {
            name: None if isinstance(venue.instruments, Universe) else venue.instruments
            for name, venue in config.venues.items()
        }
        faults: dict[Fault, None] = {}  # the general detectors are looked at with each venue
        for venue, settings in config.venues.items():
            own = settings.detectors is not None
            path = inside(inside("venues", venue), "detectors") if own else "detectors"
            specs = config.detectors_of(venue)
            known = Known(venues, self._tables.detectors, {spec.name: spec.kind for spec in specs})
            listed = [venues[venue]] if own else list(venues.values())
            for i, spec in enumerate(specs):
                here = inside(path, i)
                lacking = self._lacking(self._tables.detectors[spec.kind], venue)
                if lacking:
                    faults[Fault(here, spec.kind, self._who_feeds(lacking, venue, "kind"))] = None
                faults.update(dict.fromkeys(_instrument_faults(spec, listed, inside(here, "per_instrument"))))
                faults.update(dict.fromkeys(_option_faults(spec, known, here)))
        self._faults.extend(faults)

    def _check_filters(self, config: Config) -> None:
        """A filter that is asked for and can say nothing; one that is only on by default says `unknown` instead."""
        faults: dict[Fault, None] = {}  # the general filters are looked at with each venue
        for venue, settings in config.venues.items():
            path = "filters" if settings.filters is None else inside(inside("venues", venue), "filters")
            for name in self._asked.get(path, []):
                for expected in self._unfed(self._tables.filters[name], venue):
                    faults[Fault(inside(path, name), "on", expected)] = None
                options = config.filters_of(venue).get(name)
                others = len(config.venues) - 1
                if options is not None and getattr(options, "at_least", 0) > others:
                    given = shown(getattr(options, "at_least", 0))
                    most = f"of at most {others} (the other venues that are configured)"
                    faults[Fault(inside(inside(path, name), "at_least"), given, most)] = None
        self._faults.extend(faults)

    def _unfed(self, plugin: Plugin, venue: str) -> Iterator[str]:
        """What would have to be different where a filter needs feeds that this venue does not give."""
        provided = getattr(self._tables.venues.get(venue), "provides", None)
        needs, any_of = (set(getattr(plugin, which, "").split()) for which in ("needs", "any_of"))
        if provided is not None and needs - {*provided}:
            yield self._who_feeds(needs - {*provided}, venue, "filter")
        if provided is not None and any_of and not any_of & {*provided}:
            able = [name for name, one in self._tables.venues.items() if any_of & set(getattr(one, "provides", ()))]
            where = ", ".join(sorted(able))
            yield f"off for {venue}, which gives no {' or '.join(sorted(any_of))} (put it under {where})"

    def _check_credentials(self, config: Config) -> None:
        """A secret that cannot sign would be refused by the venue much later, and in its words."""
        for venue, settings in config.venues.items():
            if (given := settings.credentials) is None or venue not in self._tables.venues:
                continue
            path = inside(inside("venues", venue), "credentials")
            try:
                sign = signer(self._tables.venues[venue], given)
                if sign is None:
                    self._faults.append(Fault(path, "***", f"no credentials: nothing of {venue} is signed"))
                else:
                    sign("{}", 0)
            except (ValueError, TypeError) as wrong:
                self._faults.append(Fault(inside(path, "secret"), "***", f"the secret as the venue gave it ({wrong})"))

    def _lacking(self, plugin: Plugin, venue: str) -> set[str]:
        """The inputs that this venue does not give; none where it is not said what it gives."""
        provided = getattr(self._tables.venues.get(venue), "provides", None)
        inputs: str = getattr(plugin, "inputs", "")
        return set() if provided is None else set(inputs.split()) - {*provided, "clock", "any"}

    def _who_feeds(self, lacking: set[str], venue: str, word: str = "metric") -> str:
        what = ", ".join(sorted(lacking))
        able = [name for name, one in self._tables.venues.items() if lacking <= set(getattr(one, "provides", ()))]
        if able:
            return f"a {word} that {venue} can feed (it gives no {what}; put it under {', '.join(sorted(able))})"
        offline = "; imbalanced.metrics.evaluate takes it" if word == "metric" else ""
        return f"a {word} that {venue} can feed ({what} comes from no venue{offline})"


def _instrument_faults(spec: DetectorSpec, listed: list[tuple[str, ...] | None], path: str) -> Iterator[Fault]:
    """Options of an instrument that no venue has here. Venues that choose their instruments later may have any."""
    if None not in listed:
        known = {name for names in listed for name in names or ()}
        for name in spec.per_instrument:
            if name not in known:
                yield Fault(inside(path, name), "an unknown instrument", nearest(name, known))


def _option_faults(spec: DetectorSpec, known: Known, path: str) -> Iterator[Fault]:
    """What a kind finds wrong with its options, those of single instruments too."""
    places = {inside(inside(path, "per_instrument"), name): own for name, own in spec.per_instrument.items()}
    for place, options in ((path, spec.options), *places.items()):
        check: Callable[[Known], Iterator[Fault]] | None = getattr(options, "faults", None)
        for fault in check(known) if check is not None else ():
            yield Fault(f"{place}.{fault.path}", fault.given, fault.expected)


class _Head(Struct, frozen=True, kw_only=True):
    """What every entry can have beside its options."""

    name: Name | None = None
    per_instrument: dict[str, object] = {}


class _Entry(NamedTuple):
    name: str
    kind: str
    options: Struct
    per_instrument: dict[str, Struct]


def _values(options: Struct, cls: type[Struct]) -> dict[str, Any]:
    """The values of the fields that ``options`` has from its base ``cls``."""
    return {field.name: getattr(options, field.name) for field in fields_of(cls)}


def _merged(base: Mapping[str, object], changes: Mapping[str, object]) -> dict[str, object]:
    merged = dict(base)
    for key, change in changes.items():
        under = merged.get(key)
        merged[key] = _merged(under, change) if isinstance(under, Mapping) and isinstance(change, Mapping) else change
    return merged


# From Config back to text.


def fingerprint(config: Config) -> str:
    """16 hex digits that change when, and only when, something changes that decides signals."""
    decides = {
        "venues": {
            name: {"instruments": _instruments(venue), **_parts(venue, "plain")}
            for name, venue in config.venues.items()
        },
        "grading": {name: value for name, value in dump(config.grading, "plain").items() if name != "calibration"},
        "clock_ms": config.clock_ms,
        **_parts(config, "plain"),
    }
    text = json.dumps(decides, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _instruments(venue: VenueConfig) -> object:
    chosen = venue.instruments
    return dump(chosen, "plain") if isinstance(chosen, Universe) else sorted(chosen)


def _parts(owner: Config | VenueConfig, style: Literal["yaml", "plain"]) -> dict[str, object]:
    """Metrics, detectors and filters as they are written in the file; without those that a venue does not have."""
    parts: dict[str, object] = {}
    if owner.metrics is not None:
        parts["metrics"] = [
            {"metric": spec.metric, "name": spec.name, **dump(spec.options, style)} for spec in owner.metrics
        ]
    if owner.detectors is not None:
        parts["detectors"] = [_detector(spec, style) for spec in owner.detectors]
    if owner.filters is not None:
        parts["filters"] = {
            name: "off" if options is None else dump(options, style) for name, options in owner.filters.items()
        }
    return parts


def _detector(spec: DetectorSpec, style: Literal["yaml", "plain"]) -> dict[str, object]:
    own = {instrument: dump(options, style) for instrument, options in spec.per_instrument.items()}
    about = {"kind": spec.kind, "name": spec.name, **dump(spec.options, style)}
    return {**about, "per_instrument": own} if own else about


def effective(config: Config, origins: Origins) -> str:
    """Every value as YAML with its origin beside it, secrets as ``***``.

    ``origins`` as of :func:`origins_of`, with what the caller adds (``flag``); what it does not name is a default.
    """
    settings = Settings(**_values(config, Settings))
    venues = {
        name: {**dump(VenueSettings(**_values(venue, VenueSettings)), secrets=False), **_parts(venue, "yaml")}
        for name, venue in config.venues.items()
    }
    data = {"venues": venues, **dump(settings, secrets=False), **_parts(config, "yaml")}
    rows = list(_rows(data, "", "", origins))
    width = max(len(text) for text, origin in rows if origin and len(text) <= 80)
    return "".join(f"{text:{width}}  # {origin}\n" if origin else f"{text}\n" for text, origin in rows)


def _rows(data: Mapping[str, Any], path: str, indent: str, origins: Origins) -> Iterator[tuple[str, str]]:
    """Lines of YAML, each with the origin of its value (empty where it has none of its own)."""
    for key, value in data.items():
        here, head = inside(path, key), f"{indent}{_yaml_text(key)}:"
        if isinstance(value, Mapping) and value:
            yield head, ""
            yield from _rows(value, here, indent + "  ", origins)
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            yield head, ""
            for i, item in enumerate(value):
                for n, (text, origin) in enumerate(_rows(item, inside(here, i), indent + "    ", origins)):
                    yield (text if n else f"{indent}  - {text.lstrip()}"), origin
        else:
            yield f"{head} {_yaml_value(value)}", _origin(here, origins)


def _origin(path: str, origins: Origins) -> str:
    inner = {origin for place, origin in origins.items() if place.startswith(f"{path}[")}
    return (
        "environment"
        if "environment" in inner
        else inner.pop()
        if inner
        else _nearest_above(path, origins) or "default"
    )


def _yaml_value(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_yaml_value, value))}]"
    if isinstance(value, Mapping):
        return "{}"
    return _yaml_text(value) if isinstance(value, str) else json.dumps(value)


def _yaml_text(text: str) -> str:
    """A text that :func:`load` reads as this text again: plain where that is safe, else in double quotes."""
    if re.fullmatch(r"[A-Za-z0-9_/]([A-Za-z0-9_./:-]*[A-Za-z0-9_/])?", text) and _typed(text) == text:
        return text
    quoted = json.dumps(text.replace("${", "$${"), ensure_ascii=False)
    return "".join(char if char.isprintable() else f"\\U{ord(char):08x}" for char in quoted)


def json_schema(tables: Tables) -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of the file, for editors."""
    parts = {part: {"$ref": f"#/$defs/{part}"} for part in ("metrics", "detectors", "filters")}
    venue: dict[str, Any] = _bare(_VenueFile)
    venue["properties"].update(parts)
    top: dict[str, Any] = schema(_File)
    known = {name: {"$ref": "#/$defs/venue"} for name in tables.venues}
    top["properties"]["venues"] |= {"minProperties": 1, "properties": known, "additionalProperties": False}
    top["properties"].update(parts)
    top["$defs"] = {
        "venue": {"anyOf": [venue, {"type": "null"}]},
        "metrics": {"type": "array", "items": {"anyOf": _entry_schemas(tables.metrics, "metric")}},
        "detectors": {"type": "array", "items": {"anyOf": _entry_schemas(tables.detectors, "kind")}},
        "filters": {"anyOf": [{"const": "off"}, _filters_schema(tables.filters)]},
    }
    _add_file_keys(top)
    return top


def _bare(cls: type[Struct]) -> dict[str, Any]:
    return {key: value for key, value in schema(cls).items() if key != "$schema"}


def _entry_schemas(table: Mapping[str, Plugin], word: str) -> list[dict[str, Any]]:
    entries = []
    for name, plugin in table.items():
        about, head = _bare(plugin.Options), _bare(_Head)["properties"]
        if word == "metric":
            del head["per_instrument"]
        about["properties"] = {word: {"const": name}, **head, **about["properties"]}
        about["required"] = [word, *about.get("required", [])]
        entries.append(about)
    return entries


def _filters_schema(table: Mapping[str, Plugin]) -> dict[str, Any]:
    forms = {}
    for name, plugin in table.items():
        whole = [{"type": "integer", "minimum": 0}] if getattr(plugin, "short", None) else []
        forms[name] = {"anyOf": [{"enum": ["off", "on", None]}, *whole, _bare(plugin.Options)]}
    return {"type": "object", "properties": forms, "additionalProperties": False}


def _add_file_keys(about: Any) -> None:
    """Each secret may be given as the path of a file."""
    if isinstance(about, list):
        for item in about:
            _add_file_keys(item)
    elif isinstance(about, dict):
        for item in list(about.values()):
            _add_file_keys(item)
        fields: dict[str, Any] = about.get("properties", {}) if about.get("type") == "object" else {}
        secrets = [key for key, value in fields.items() if value.get("writeOnly")]
        fields.update({f"{key}_file": {"type": "string", "description": f"file that holds {key}"} for key in secrets})


def default_yaml() -> str:
    """An annotated example: all but the venues is the default; lines that begin with ``#key`` are more examples."""
    return _DEFAULT_YAML


_DEFAULT_YAML: Final = """\
# One file describes a run. Durations are 500us 200ms 5s 3m 2h 7d. ${NAME} and ${NAME:-default} come from the
# environment; token_file: PATH reads a secret from a file. Every key but `venues` has a default.

venues:                                # id of the venue, then what is wanted of it
  binance_usdm:
    instruments: [BTC/USDT:USDT, ETH/USDT:USDT]   # unified symbols; or {quote: USDT, top: 50}
    transport: auto                    # or picows, websockets, aiohttp
    # A venue may carry its own `metrics`, `detectors` and `filters`; they replace the general ones.

http: {host: 127.0.0.1, port: 8800}    # /metrics /healthz /readyz /api and the page; token for scope admin
stream: {host: 127.0.0.1, port: 8801}  # websocket subscribers; tokens: [...] to let in only those
journal: {path: var/journal.sqlite, keep: 7d}
#redis: {url: "redis://127.0.0.1:6379/0", prefix: "imbalanced:", maxlen: 100000}   # or {embedded: true}
#record: {dir: var/tape, rotate: 1h}   # every frame as it came, for replay
#jsonl: {path: var/signals.jsonl}      # signals as JSON Lines
#sim: {seed: 1}                        # simulated exchanges inside this run instead of the real ones

metrics:                               # a name must be given where a metric is used twice
  - {metric: spread}
  - {metric: spread_roc}
  - {metric: queue_imbalance}
  - {metric: depth_imbalance, levels: 5}
  - {metric: band_imbalance, bps: 10}
  - {metric: weighted_mid}
  - {metric: ofi, window: 1s}
  - {metric: ofi, window: 10s, name: ofi_10s}
  - {metric: ofi_ratio}
  - {metric: trade_imbalance}
  - {metric: vwap_deviation, window: 10m}
detectors:                             # thresholds, life cycle and `standardise` have defaults for each kind;
  - {kind: order_flow_imbalance}       # per_instrument: {BTC/USDT:USDT: {...}} changes some of them for one
  - {kind: order_flow_imbalance_ratio}
  - {kind: market_depth_imbalance}
  - {kind: microstructure_imbalance}
  - {kind: supply_demand_imbalance}    # over all venues and instruments of the asset
  - {kind: aggressive_order_flow}
  - {kind: sweep}
  - {kind: volume_spike}
  - {kind: vwap_deviation}
  - {kind: spread_shock}
  - {kind: book_exhaustion}
  - {kind: absorption}
  - {kind: flow_toxicity}
  - {kind: composite}
  #- {kind: lead_lag, leader: {venue: binance_usdm, instrument: BTC/USDT:USDT}, lag: 200ms}
  #- {kind: open_interest_imbalance}   # also funding_extreme, liquidation_cascade
filters: {}                            # all are on; `NAME: off` switches one off, `filters: off` all
grading: {latency: 50ms, horizons: [1s, 5s, 30s, 5m], round_trip_cost_bps: 4}

prometheus: {metrics: []}              # names of metrics that get a family of their own
ready_share: 1                         # share of the books that must be live for /readyz
shutdown_s: 10                         # seconds for an orderly stop
clock: 100ms                           # period of clock events for metrics
snapshots: 100ms                       # period of metric snapshots
log: {level: info, format: auto}
"""
