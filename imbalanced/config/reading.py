"""The text of a run to a frozen :class:`Config`, or every fault in it at once: what depends on the tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from msgspec import Struct

from imbalanced.config.faults import ConfigError
from imbalanced.config.model import (
    DEFAULT_DETECTORS,
    DEFAULT_METRICS,
    Config,
    Detectors,
    DetectorSpec,
    File,
    Filters,
    Head,
    Metrics,
    MetricSpec,
    Plugin,
    Settings,
    Tables,
    Universe,
    VenueConfig,
    VenueFile,
    VenueSettings,
    values_of,
)
from imbalanced.config.yamltext import Environ, parse
from imbalanced.detect.detector import Known
from imbalanced.options import Fault, collect, dump, fields_of, inside, nearest, shown, unknown_key
from imbalanced.venues import signer

ReadText = Callable[[str], str]

_MISSING: Final = object()


def load(text: str, tables: Tables, *, environ: Environ, read_text: ReadText) -> Config:
    """The configuration, or ConfigError with every fault. ``read_text`` reads the file of a ``*_file`` key."""
    source = parse(text, environ)
    data = with_secrets({} if source.data is None else source.data, "", read_text, source.faults)
    broken = {fault.path for fault in source.faults}  # what is missing there needs no second fault
    found: list[Fault] = []
    config = _Builder(tables, found).config(data)
    faults = [*source.faults, *(fault for fault in found if fault.path not in broken)]
    if config is None or faults:
        raise ConfigError(faults, source.lines)
    return config


def origins_of(text: str, *, environ: Environ) -> dict[str, str]:
    """Where each value that is not a default comes from: path to ``file`` or ``environment``."""
    return parse(text, environ).origins


def with_secrets(data: object, path: str, read_text: ReadText, faults: list[Fault]) -> object:
    """``token_file: FILE`` becomes ``token`` with the text of the file, without the line end; ``tokens`` one a line."""
    if isinstance(data, list):
        return [with_secrets(item, inside(path, i), read_text, faults) for i, item in enumerate(data)]
    if not isinstance(data, Mapping):
        return data
    read: dict[str, object] = {}
    for key, value in data.items():
        name = key.removesuffix("_file")
        if name == key or not isinstance(value, str):
            read[key] = with_secrets(value, inside(path, key), read_text, faults)
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


class _Builder:
    """Reads all parts whatever is wrong with one of them, so that every fault is found."""

    def __init__(self, tables: Tables, faults: list[Fault]) -> None:
        self._tables = tables
        self._faults = faults
        self._asked: dict[str, list[str]] = {}  # filters that are asked for by name, by the path of their mapping

    def config(self, data: object) -> Config | None:
        file = collect(File, data, "", self._faults)
        if not isinstance(data, Mapping):
            return None
        own = self._venue_parts(data.get("venues"))
        metrics = self._metrics(data.get("metrics", DEFAULT_METRICS), "metrics")
        detectors = self._detectors(data.get("detectors", DEFAULT_DETECTORS), "detectors")
        filters = self._filters(data.get("filters", {}), "filters")
        if file is None:
            return None
        config = Config(
            **values_of(file, Settings),
            venues={
                name: VenueConfig(**values_of(venue or VenueFile(), VenueSettings), **own.get(name, {}))
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
            Head, {key: given[key] for key in ("name", "per_instrument") if key in given}, path, self._faults
        )
        options = collect(
            plugin, {key: value for key, value in given.items() if key in known - own}, path, self._faults
        )
        if head is None or options is None:
            return None
        return _Entry(head.name or kind, kind, options, self._per_instrument(options, head, path))

    def _per_instrument(self, options: Struct, head: Head, path: str) -> dict[str, Struct]:
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


class _Entry(NamedTuple):
    name: str
    kind: str
    options: Struct
    per_instrument: dict[str, Struct]


def _merged(base: Mapping[str, object], changes: Mapping[str, object]) -> dict[str, object]:
    merged = dict(base)
    for key, change in changes.items():
        under = merged.get(key)
        merged[key] = _merged(under, change) if isinstance(under, Mapping) and isinstance(change, Mapping) else change
    return merged
