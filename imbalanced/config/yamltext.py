"""YAML text to plain data, with the line and the origin of each value.

By the core rules of version 1.2: events of PyYAML's parser, everything after them ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

import yaml
from yaml import events as ev

from imbalanced.config.faults import ConfigError
from imbalanced.options import Fault, Untyped, inside, shown

Environ = Mapping[str, str]

LARGEST_TEXT: Final = 256 * 1024
DEEPEST: Final = 20
MOST_NODES: Final = 50_000

_INT: Final = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_WORDS: Final[dict[str, bool | None]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_VARIABLE: Final = re.compile(r"\$\$(?=\{)|\$\{([A-Za-z_][A-Za-z0-9_]*)(:-([^{}]*))?\}|\$\{")
_TEXT_TAGS: Final = ("!", "tag:yaml.org,2002:str")


def typed(plain: str) -> object:
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


class Source(NamedTuple):
    """What a YAML text says. ``lines`` and ``origins`` are by path."""

    data: object
    faults: list[Fault]
    lines: dict[str, int]
    origins: dict[str, str]


def parse(text: str, environ: Environ) -> Source:
    if len(text) > LARGEST_TEXT:
        raise ConfigError([Fault("", f"{len(text)} characters", f"at most {LARGEST_TEXT}")])
    parser = _Parser(text, environ)
    return Source(parser.document(), parser.faults, parser.lines, parser.origins)


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
        data: object = typed(event.value) if event.implicit[0] else event.value
        if text != event.value:  # quoted or not: inside { } and [ ] a plain ${NAME} is no YAML
            data = Untyped(text)
            data.typed = typed(text)
        if data is not None:  # an empty `http:` says nothing about what is in it
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
        key = typed(event.value) if event.implicit[0] else event.value
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
