"""What can be configured. Defaults live here and nowhere else; a field's type and Doc are its documentation."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Final, Literal, NamedTuple, Protocol

from msgspec import Struct, structs

from imbalanced.options import (
    Count,
    Doc,
    Millis,
    Millis0,
    NonNegative,
    Pattern,
    Range,
    Secret,
    Share,
    fields_of,
)

Host = Annotated[str, Pattern(r"[^\s/]+", "a host name or address")]
Port = Annotated[int, Range(ge=0, le=65535)]
Name = Annotated[str, Pattern(r"[A-Za-z_][A-Za-z0-9_]*", "a name of letters, digits and _")]
Symbol = Annotated[str, Pattern(r"[^\s/:]+/[^\s/:]+(:[^\s/:]+)?", "a unified symbol such as BTC/USDT or BTC/USDT:USDT")]
FilePath = Annotated[str, Pattern(r".+", "the path of a file or folder")]


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


# The same as it stands in a file, where metrics, detectors and filters are not yet read.


class VenueFile(VenueSettings, frozen=True, kw_only=True):
    metrics: object = None
    detectors: object = None
    filters: object = None


class File(Settings, frozen=True, kw_only=True):
    venues: Annotated[dict[str, VenueFile | None], Doc("by the id of the venue; the only key without a default")]
    metrics: object = None
    detectors: object = None
    filters: object = None


class Head(Struct, frozen=True, kw_only=True):
    """What every entry can have beside its options."""

    name: Name | None = None
    per_instrument: dict[str, object] = {}


def values_of(options: Struct, cls: type[Struct]) -> dict[str, Any]:
    """The values of the fields that ``options`` has from its base ``cls``."""
    return {field.name: getattr(options, field.name) for field in fields_of(cls)}
