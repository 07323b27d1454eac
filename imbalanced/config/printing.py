"""A :class:`Config` as text again: its fingerprint, every value with its origin, the schema of the file."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from msgspec import Struct

from imbalanced.config.faults import nearest_above
from imbalanced.config.model import (
    Config,
    DetectorSpec,
    File,
    Head,
    Plugin,
    Settings,
    Tables,
    Universe,
    VenueConfig,
    VenueFile,
    VenueSettings,
    values_of,
)
from imbalanced.config.yamltext import typed
from imbalanced.options import dump, inside, schema

Origins = Mapping[str, str]


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
    settings = Settings(**values_of(config, Settings))
    venues = {
        name: {**dump(VenueSettings(**values_of(venue, VenueSettings)), secrets=False), **_parts(venue, "yaml")}
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
        "environment" if "environment" in inner else inner.pop() if inner else nearest_above(path, origins) or "default"
    )


def _yaml_value(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_yaml_value, value))}]"
    if isinstance(value, Mapping):
        return "{}"
    return _yaml_text(value) if isinstance(value, str) else json.dumps(value)


def _yaml_text(text: str) -> str:
    """A text that :func:`load` reads as this text again: plain where that is safe, else in double quotes."""
    if re.fullmatch(r"[A-Za-z0-9_/]([A-Za-z0-9_./:-]*[A-Za-z0-9_/])?", text) and typed(text) == text:
        return text
    quoted = json.dumps(text.replace("${", "$${"), ensure_ascii=False)
    return "".join(char if char.isprintable() else f"\\U{ord(char):08x}" for char in quoted)


def json_schema(tables: Tables) -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of the file, for editors."""
    parts = {part: {"$ref": f"#/$defs/{part}"} for part in ("metrics", "detectors", "filters")}
    venue: dict[str, Any] = _bare(VenueFile)
    venue["properties"].update(parts)
    top: dict[str, Any] = schema(File)
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
        about, head = _bare(plugin.Options), _bare(Head)["properties"]
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
