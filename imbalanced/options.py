"""Plain data to typed, frozen options: strict, and with every fault at once.

The fields of a ``msgspec.Struct`` are the schema; nothing is said twice. Annotations come from a closed set: ``bool``,
``int``, ``float``, ``Decimal``, ``str``, ``Literal``, ``tuple[X, ...]``, ``dict[str, X]``, a nested Struct, ``X | Y``,
``X | None``, ``object`` (left as it is) and ``Annotated`` with ``Range``, ``Pattern``, ``Doc`` and ``Secret``. A
``__post_init__`` that raises ``ValueError`` is a rule between fields; its text says what was expected.

Two styles are read. ``yaml`` is what people write: an ``int`` field ``window_ms`` (``_ns``, ``_s``) is the key
``window`` with a duration such as ``200ms``. ``plain`` is what programs and test vectors write: the key ``window_ms``
with a whole number, and numbers may be decimal text. Where the data came from, and what the options mean, is not known
here.
"""

from __future__ import annotations

import difflib
import re
import types
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import Annotated, Any, Final, Literal, NamedTuple, Protocol, TypeVar, Union, get_args, get_origin

from msgspec import NODEFAULT, Struct
from msgspec.structs import FieldInfo, fields

Style = Literal["yaml", "plain"]
Shape = Literal["scalar", "list", "mapping"]
Bound = int | float | Decimal | None
T = TypeVar("T", bound=Struct)

_NANOS: Final = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9, "d": 86400 * 10**9}
_FIELD_UNITS: Final = {"_ns": "ns", "_ms": "ms", "_s": "s"}
_LONGEST_NS: Final = 2**63 - 1
_DURATION: Final = re.compile(r"(-?[0-9]{1,19})(ns|us|ms|s|m|h|d)")
_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,30}")
_REAL: Final = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_DURATION_FORMS: Final = "500us 200ms 5s 3m 2h 7d"
_ENVIRONMENT: Final = r"\$\{"  # any scalar of the YAML file may hold ${NAME}; the schema must not flag it


class Range(Struct, frozen=True, kw_only=True):
    """The numbers that are allowed. On a duration field the bounds are in the field's unit."""

    gt: Bound = None
    ge: Bound = None
    lt: Bound = None
    le: Bound = None

    def holds(self, value: int | Decimal) -> bool:
        gt, ge, lt, le = (_bound(bound) for bound in (self.gt, self.ge, self.lt, self.le))
        return (
            (gt is None or value > gt)
            and (ge is None or value >= ge)
            and (lt is None or value < lt)
            and (le is None or value <= le)
        )

    def words(self, show: Callable[[Decimal], str] = str) -> str:
        """``from 1 to 1000``, ``above 0``, or nothing where everything is allowed."""
        gt, ge, lt, le = (None if x is None else show(x) for x in map(_bound, (self.gt, self.ge, self.lt, self.le)))
        if ge is not None and le is not None:
            return f"from {ge} to {le}"
        names = (("above", gt), ("of at least", ge), ("below", lt), ("of at most", le))
        return " and ".join(f"{name} {bound}" for name, bound in names if bound is not None)


class Pattern(Struct, frozen=True):
    """The texts that are allowed: all of ``regex`` (which is also in the JSON Schema), ``expected`` in words."""

    regex: str
    expected: str


class Doc(Struct, frozen=True):
    """What a field means, for the JSON Schema and the reference."""

    text: str


class Secret(Struct, frozen=True):
    """The value must not be shown: faults and ``dump(..., secrets=False)`` say ``***``."""


Count = Annotated[int, Range(ge=1, le=1000)]
Millis = Annotated[int, Range(ge=1)]
Millis0 = Annotated[int, Range(ge=0)]
Positive = Annotated[Decimal, Range(gt=0)]
NonNegative = Annotated[Decimal, Range(ge=0)]
Share = Annotated[Decimal, Range(ge=0, le=1)]


class Untyped(str):
    """A text from outside the data (an environment variable): a text field takes it as it is, any other ``typed``."""

    typed: object = None


class Fault(Struct, frozen=True):
    """One thing that is wrong: where, what stands there, what should."""

    path: str
    given: str
    expected: str

    def __str__(self) -> str:
        return f"{self.path or 'top level'}: given {self.given}, expected {self.expected}"


class OptionsError(ValueError):
    """The options cannot be used; ``faults`` holds every reason found."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(map(str, self.faults)))


def read(cls: type[T], given: Mapping[Any, object], path: str, *, style: Style) -> T:
    """``given`` as options of ``cls``; ``path`` names the place in faults, which are raised together."""
    faults: list[Fault] = []
    options = collect(cls, given, path, faults, style=style)
    if options is None:
        raise OptionsError(faults)
    return options


def collect(cls: type[T], given: object, path: str, faults: list[Fault], *, style: Style = "yaml") -> T | None:
    """As :func:`read`, but adds what is wrong to ``faults`` and answers None then."""
    options = _Nested(cls).read(given, _Place(path, faults, style))
    return options if isinstance(options, cls) else None


def dump(options: Struct, style: Style = "yaml", *, secrets: bool = True) -> dict[str, object]:
    """Options as plain data that :func:`read` of the same style takes back; without ``secrets`` those are ``***``."""
    return _dump(options, _Form(style, secrets))


def _dump(options: Struct, form: _Form) -> dict[str, object]:
    written: dict[str, object] = {}
    for field in fields_of(type(options)):
        value = getattr(options, field.name)
        hidden = field.secret and value and not form.secrets
        written[field.key(form.style)] = masked(value) if hidden else field.kind.dump(value, form)
    return written


def schema(cls: type[Struct]) -> dict[str, object]:
    """JSON Schema (draft 2020-12) of the YAML style."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **_Nested(cls).schema()}


def parse_duration_ns(text: str) -> int:
    """``200ms`` as nanoseconds. ValueError says what a duration looks like."""
    match = _DURATION.fullmatch(text)
    if match is None:
        why = "; a bare number has no unit" if _REAL.fullmatch(text) else ""
        raise ValueError(f"a duration such as {_DURATION_FORMS}{why}")
    ns = int(match[1]) * _NANOS[match[2]]
    if abs(ns) > _LONGEST_NS:
        raise ValueError("a duration of at most 292 years")
    return ns


def duration_text(ns: int) -> str:
    """The shortest exact text: 1500000000 is ``1500ms``, 60000000000 is ``1m``. A lag may be negative: ``-200ms``."""
    if ns == 0:
        return "0s"
    unit = next(unit for unit in reversed(_NANOS) if ns % _NANOS[unit] == 0)
    return f"{ns // _NANOS[unit]}{unit}"


def shown(given: object) -> str:
    """What was given, on one line and at most 60 characters."""
    if given is None:
        return "null"
    if isinstance(given, bool):
        return "true" if given else "false"
    if isinstance(given, int) and given.bit_length() > 1000:
        return "a number of more than 300 digits"
    text = repr(given)
    return text if len(text) <= 60 else text[:57] + "..."


def nearest(name: object, known: Iterable[str]) -> str:
    """What to expect instead of an unknown name: ``'window' perhaps; one of levels, window``."""
    names = sorted(known)
    listed = f"one of {', '.join(names)}" if names else "nothing here"
    near = difflib.get_close_matches(str(name), names, n=1)
    return f"{near[0]!r} perhaps; {listed}" if near else listed


def unknown_key(key: object, path: str, known: Iterable[str]) -> Fault:
    """The fault for a key of the mapping at ``path`` that is not one of ``known``."""
    return Fault(inside(path, key), "an unknown key", nearest(key, known))


def masked(secret: object) -> str:
    """``***``; of a URL all that can hold no secret: ``redis://***@host:6379/0``."""
    url = re.fullmatch(r"([a-z][a-z0-9+.-]*)://(.*@)?([^?#]*)([?#].*)?", secret) if isinstance(secret, str) else None
    if url is None:
        return "***"
    return f"{url[1]}://{'***@' if url[2] else ''}{url[3]}{'?***' if url[4] else ''}"


def inside(path: str, key: object) -> str:
    """The path of a key or an index below ``path``."""
    if isinstance(key, int) and not isinstance(key, bool):
        return f"{path}[{key}]"
    if not isinstance(key, str) or not re.fullmatch(r"[\w*-]+", key):
        return f"{path}[{shown(key)}]"
    return f"{path}.{key}" if path else key


# What follows is one small class for each kind of annotation; _kind() chooses.


class _Bad(Enum):
    """The answer of a reader that added a fault: None is a value."""

    BAD = "bad"


class _Place(NamedTuple):
    path: str
    faults: list[Fault]
    style: Style
    secret: bool = False

    def inside(self, key: object, secret: bool = False) -> _Place:
        return self._replace(path=inside(self.path, key), secret=self.secret or secret)

    def bad(self, given: object, expected: str) -> _Bad:
        self.faults.append(Fault(self.path, "***" if self.secret else shown(given), expected))
        return _Bad.BAD


class _Form(NamedTuple):
    style: Style
    secrets: bool = True


class Kind(Protocol):
    """One annotation: reads plain data, says what it expects, writes plain data."""

    @property
    def shape(self) -> Shape: ...
    @property
    def timed(self) -> bool: ...
    def read(self, given: object, place: _Place) -> object: ...
    def words(self, style: Style) -> str: ...
    def schema(self) -> dict[str, object]: ...
    def dump(self, value: Any, form: _Form) -> object: ...


class _Boolean(Struct, frozen=True):
    shape: Shape = "scalar"
    timed: bool = False

    def read(self, given: object, place: _Place) -> object:
        value = _typed(given)
        return value if isinstance(value, bool) else place.bad(given, self.words(place.style))

    def words(self, style: Style) -> str:
        return "true or false"

    def schema(self) -> dict[str, object]:
        return {"type": ["boolean", "string"], "pattern": _ENVIRONMENT}

    def dump(self, value: bool, form: _Form) -> object:
        return value


class _Anything(Struct, frozen=True):
    shape: Shape = "scalar"
    timed: bool = False

    def read(self, given: object, place: _Place) -> object:
        return given

    def words(self, style: Style) -> str:
        return "anything"

    def schema(self) -> dict[str, object]:
        return {}

    def dump(self, value: object, form: _Form) -> object:
        return value


class _Text(Struct, frozen=True):
    pattern: Pattern | None = None
    shape: Shape = "scalar"
    timed: bool = False

    def read(self, given: object, place: _Place) -> object:
        if isinstance(given, str) and (self.pattern is None or re.fullmatch(self.pattern.regex, given)):
            return str(given)
        quotes = " (put it in quotes)" if isinstance(given, bool | int | float) else ""
        return place.bad(given, self.words(place.style) + quotes)

    def words(self, style: Style) -> str:
        return self.pattern.expected if self.pattern else "text"

    def schema(self) -> dict[str, object]:
        about: dict[str, object] = {"type": "string"}
        return {**about, "pattern": f"^({self.pattern.regex})$|{_ENVIRONMENT}"} if self.pattern else about

    def dump(self, value: str, form: _Form) -> object:
        return value


class _Choice(Struct, frozen=True):
    values: tuple[object, ...]
    shape: Shape = "scalar"
    timed: bool = False

    def read(self, given: object, place: _Place) -> object:
        for value in self.values:
            if value == given and isinstance(given, str):
                return value
            if value == _typed(given) and type(value) is type(_typed(given)):
                return value
        near = difflib.get_close_matches(str(given), map(str, self.values), n=1)
        return place.bad(given, f"{near[0]!r} perhaps; {self.words(place.style)}" if near else self.words(place.style))

    def words(self, style: Style) -> str:
        names = ", ".join(map(str, self.values))
        return names if len(self.values) == 1 else f"one of {names}"

    def schema(self) -> dict[str, object]:
        return {"anyOf": [{"enum": list(self.values)}, {"type": "string", "pattern": _ENVIRONMENT}]}

    def dump(self, value: object, form: _Form) -> object:
        return value


class _Whole(Struct, frozen=True):
    range: Range
    unit: str = ""
    shape: Shape = "scalar"

    @property
    def timed(self) -> bool:
        return bool(self.unit)

    def read(self, given: object, place: _Place) -> object:
        if self.unit and place.style == "yaml":
            return self._read_duration(given, place)
        given = _typed(given)
        if place.style == "plain" and isinstance(given, str) and _WHOLE.fullmatch(given):
            given = int(given)
        if not isinstance(given, int) or isinstance(given, bool) or not self.range.holds(given):
            return place.bad(given, self.words(place.style))
        if abs(given) * _NANOS.get(self.unit, 1) > _LONGEST_NS:  # all that counts or ticks is 64 bits wide
            return place.bad(given, f"{self.words(place.style)}, and a smaller one")
        return given

    def _read_duration(self, given: object, place: _Place) -> object:
        if isinstance(given, int | float) or (isinstance(given, str) and _REAL.fullmatch(given)):
            return place.bad(given, f"{self.words('yaml')}; a bare number has no unit")
        try:
            value, rest = divmod(parse_duration_ns(str(given)), _NANOS[self.unit])
        except ValueError:
            return place.bad(given, self.words("yaml"))
        return value if not rest and self.range.holds(value) else place.bad(given, self.words("yaml"))

    def words(self, style: Style) -> str:
        if not self.unit or style == "plain":
            return f"a whole number {self.range.words()}".rstrip()
        nanos = _NANOS[self.unit]
        bounds = self.range.words(lambda bound: duration_text(int(bound * nanos)))
        return f"a duration {bounds}".rstrip() + f" in whole {self.unit} ({_DURATION_FORMS})"

    def schema(self) -> dict[str, object]:
        if self.unit:
            sign = "-?" if self.range.holds(-1) else ""
            return {"type": "string", "pattern": f"^{sign}[0-9]+(ns|us|ms|s|m|h|d)$|{_ENVIRONMENT}"}
        return {"type": ["integer", "string"], "pattern": _ENVIRONMENT, **_limits(self.range)}

    def dump(self, value: int, form: _Form) -> object:
        return duration_text(value * _NANOS[self.unit]) if self.unit and form.style == "yaml" else value


class _Real(Struct, frozen=True):
    range: Range
    cast: type[Decimal] | type[float]
    shape: Shape = "scalar"
    timed: bool = False

    def read(self, given: object, place: _Place) -> object:
        value = _decimal(_typed(given))
        if value is None or not self.range.holds(value):
            return place.bad(given, self.words(place.style))
        return self.cast(value)

    def words(self, style: Style) -> str:
        return f"a number {self.range.words()}".rstrip()

    def schema(self) -> dict[str, object]:
        return {"type": ["number", "string"], "pattern": f"^{_REAL.pattern}$|{_ENVIRONMENT}", **_limits(self.range)}

    def dump(self, value: Decimal | float, form: _Form) -> object:
        exact = value if isinstance(value, Decimal) else Decimal(repr(value))
        return _number(exact) if form.style == "yaml" else decimal_text(exact)


class _Many(Struct, frozen=True):
    item: Kind
    shape: Shape = "list"

    @property
    def timed(self) -> bool:
        return self.item.timed

    def read(self, given: object, place: _Place) -> object:
        if not isinstance(given, list | tuple):
            return place.bad(given, self.words(place.style))
        items = tuple(self.item.read(item, place.inside(i)) for i, item in enumerate(given))
        return _Bad.BAD if _Bad.BAD in items else items

    def words(self, style: Style) -> str:
        return f"a list, each {self.item.words(style)}"

    def schema(self) -> dict[str, object]:
        return {"type": "array", "items": self.item.schema()}

    def dump(self, value: tuple[object, ...], form: _Form) -> object:
        return [self.item.dump(item, form) for item in value]


class _Table(Struct, frozen=True):
    item: Kind
    shape: Shape = "mapping"

    @property
    def timed(self) -> bool:
        return self.item.timed

    def read(self, given: object, place: _Place) -> object:
        if not isinstance(given, Mapping):
            return place.bad(given, self.words(place.style))
        table: dict[str, object] = {}
        for key, value in given.items():
            read = self.item.read(value, place.inside(key))
            table[key] = read if isinstance(key, str) else place.bad(key, "a key that is text (put it in quotes)")
        return _Bad.BAD if _Bad.BAD in table.values() else table

    def words(self, style: Style) -> str:
        return f"a mapping, each value {self.item.words(style)}"

    def schema(self) -> dict[str, object]:
        return {"type": "object", "additionalProperties": self.item.schema()}

    def dump(self, value: Mapping[str, object], form: _Form) -> object:
        return {key: self.item.dump(item, form) for key, item in value.items()}


class _Nested(Struct, frozen=True):
    """``base``: the default of the field, whose values stand for keys that are missing."""

    cls: type[Struct]
    base: Struct | None = None
    shape: Shape = "mapping"
    timed: bool = False

    def read(self, given: object, place: _Place) -> object:
        known = {field.key(place.style): field for field in fields_of(self.cls)}
        whole = place._replace(secret=place.secret or any(field.secret for field in known.values()))
        if not isinstance(given, Mapping):
            return whole.bad(given, self.words(place.style))
        before = len(place.faults)
        place.faults.extend(unknown_key(key, place.path, known) for key in given if key not in known)
        values = {}
        for key, field in known.items():
            if key in given:
                values[field.name] = field.kind.read(given[key], place.inside(key, field.secret))
            elif self.base is not None:
                values[field.name] = getattr(self.base, field.name)
            elif field.required:
                place.faults.append(Fault(inside(place.path, key), "nothing", field.kind.words(place.style)))
        if len(place.faults) > before:
            return _Bad.BAD
        try:
            return self.cls(**values)
        except ValueError as rule:  # of the struct's own __post_init__
            return whole.bad(given, str(rule))

    def words(self, style: Style) -> str:
        keys = ", ".join(field.key(style) for field in fields_of(self.cls))
        return f"a mapping with the keys {keys}" if keys else "an empty mapping"

    def schema(self) -> dict[str, object]:
        known = fields_of(self.cls)
        values = {field.name: getattr(self.base, field.name) if self.base else field.default() for field in known}
        properties = {field.key("yaml"): field.schema(values[field.name]) for field in known}
        required = [field.key("yaml") for field in known if field.required and not self.base]
        about: dict[str, object] = {"type": "object", "properties": properties, "additionalProperties": False}
        return {**about, "required": required} if required else about

    def dump(self, value: Struct, form: _Form) -> object:
        return _dump(value, form)


class _Either(Struct, frozen=True):
    """Several kinds. The shape of what was given decides where it can, else the first that can read it."""

    members: tuple[Kind, ...]
    nullable: bool

    @property
    def shape(self) -> Shape:
        return self.members[0].shape

    @property
    def timed(self) -> bool:
        return any(member.timed for member in self.members)

    def read(self, given: object, place: _Place) -> object:
        if self.nullable and (given is None or (isinstance(given, Untyped) and given == "")):
            return None
        fitting = [member for member in self.members if member.shape == _shape(given)]
        alone = (
            len(fitting) == 1 and fitting[0].shape != "scalar"
        )  # its own faults say more: they name the place inside
        if alone or len(self.members) == 1:
            return (fitting or self.members)[0].read(given, place)
        for member in fitting:
            read = member.read(given, place._replace(faults=[]))
            if read is not _Bad.BAD:
                return read
        return place.bad(given, self.words(place.style))

    def words(self, style: Style) -> str:
        return " or ".join([*(member.words(style) for member in self.members), *(["null"] if self.nullable else [])])

    def schema(self) -> dict[str, object]:
        null: list[dict[str, object]] = [{"type": "null"}] if self.nullable else []
        return {"anyOf": [*(member.schema() for member in self.members), *null]}

    def dump(self, value: Any, form: _Form) -> object:
        if value is None:
            return None
        return next(member for member in self.members if _made(member, value)).dump(value, form)


class Field(NamedTuple):
    """One field of an options struct, as both styles see it."""

    info: FieldInfo
    kind: Kind
    doc: str
    secret: bool

    @property
    def name(self) -> str:
        return self.info.name

    @property
    def required(self) -> bool:
        return self.info.required

    def key(self, style: Style) -> str:
        name = self.info.encode_name
        return name.rpartition("_")[0] if style == "yaml" and self.kind.timed else name

    def default(self) -> object:
        """The default, None where there is none."""
        if self.info.default_factory is not NODEFAULT:
            return self.info.default_factory()
        return None if self.info.default is NODEFAULT else self.info.default

    def schema(self, default: object) -> dict[str, object]:
        about = self.kind.schema()
        if self.doc:
            about = {"description": self.doc, **about}
        if default is not None:
            about["default"] = self.kind.dump(default, _Form("yaml"))
        if self.secret:
            about["writeOnly"] = True
        return about


@cache
def fields_of(cls: type[Struct]) -> tuple[Field, ...]:
    """The fields of an options struct in their order. TypeError for an annotation that is not in the closed set."""
    return tuple(_field(info, cls.__qualname__) for info in fields(cls))


def _field(info: FieldInfo, owner: str) -> Field:
    notes = get_args(info.type)[1:] if get_origin(info.type) is Annotated else ()
    unit = next((unit for end, unit in _FIELD_UNITS.items() if info.encode_name.endswith(end)), "")
    kind = _based(_kind(info.type, _Notes(f"{owner}.{info.name}", unit)), info.default)
    doc = next((note.text for note in notes if isinstance(note, Doc)), "")
    return Field(info, kind, doc, any(isinstance(note, Secret) for note in notes))


def _based(kind: Kind, default: object) -> Kind:
    """A nested struct reads what it is not given from the default of its field, not from that of its class."""
    if isinstance(kind, _Nested) and isinstance(default, kind.cls):
        return _Nested(kind.cls, default)
    if isinstance(kind, _Either):
        return _Either(tuple(_based(member, default) for member in kind.members), kind.nullable)
    return kind


class _Notes(NamedTuple):
    """What is said about an annotation from outside it. ``unit`` makes whole numbers durations."""

    where: str
    unit: str
    range: Range = Range()
    pattern: Pattern | None = None


def _kind(annotation: Any, notes: _Notes) -> Kind:
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        within = next((note for note in args[1:] if isinstance(note, Range)), notes.range)
        pattern = next((note for note in args[1:] if isinstance(note, Pattern)), notes.pattern)
        return _kind(args[0], notes._replace(range=within, pattern=pattern))
    if origin in (Union, types.UnionType):
        members = tuple(_kind(arg, notes) for arg in args if arg is not type(None))
        return _Either(members, type(None) in args)
    if origin is Literal:
        return _Choice(args)
    if origin is tuple and len(args) == 2 and args[1] is Ellipsis:
        return _Many(_kind(args[0], notes))
    if origin is dict and args[0] is str:
        return _Table(_kind(args[1], notes))
    if annotation in (float, Decimal):
        return _Real(notes.range, annotation)
    if isinstance(annotation, type) and issubclass(annotation, Struct):
        return _Nested(annotation)
    simple: dict[object, Kind] = {
        bool: _Boolean(),
        str: _Text(notes.pattern),
        int: _Whole(notes.range, notes.unit),
        object: _Anything(),
    }
    if annotation in simple:
        return simple[annotation]
    raise TypeError(f"{notes.where}: {annotation!r} is no annotation that options can have")


def _decimal(given: object) -> Decimal | None:
    """A number within float64's range, exactly as written; None for everything else."""
    value = None
    if isinstance(given, str | float):
        text = str(given)
        value = Decimal(text) if len(text) <= 100 and _REAL.fullmatch(text) else None
    elif isinstance(given, int | Decimal) and not isinstance(given, bool):
        value = Decimal(given)
    return value if value is not None and value.is_finite() and abs(value.adjusted()) <= 300 else None


def _typed(given: object) -> object:
    return given.typed if isinstance(given, Untyped) else given


def _bound(bound: Bound) -> Decimal | None:
    return Decimal(repr(bound)) if isinstance(bound, float) else None if bound is None else Decimal(bound)


def decimal_text(value: Decimal) -> str:
    """One text for one number: ``1.50`` and ``1.5`` are the same, no exponent."""
    return format(value.normalize(), "f") if value else "0"


def _number(value: Decimal) -> int | float | str:
    """As YAML writes it: a plain number where that loses nothing."""
    if value == value.to_integral_value() and abs(value) < 10**15:
        return int(value)
    return float(value) if Decimal(repr(float(value))) == value else decimal_text(value)


def _limits(within: Range) -> dict[str, object]:
    names = {"exclusiveMinimum": within.gt, "minimum": within.ge, "exclusiveMaximum": within.lt, "maximum": within.le}
    return {name: _number(bound) for name, given in names.items() if (bound := _bound(given)) is not None}


def _shape(given: object) -> Shape:
    return "list" if isinstance(given, list | tuple) else "mapping" if isinstance(given, Mapping) else "scalar"


def _made(kind: Kind, value: object) -> bool:
    """Whether ``kind`` is the member of a union that made ``value``."""
    if isinstance(kind, _Nested):
        return isinstance(value, kind.cls)
    if isinstance(kind, _Choice):
        return any(type(choice) is type(value) and choice == value for choice in kind.values)
    if isinstance(kind, _Real):
        return isinstance(value, kind.cast)
    made: dict[object, type] = {_Boolean: bool, _Text: str, _Whole: int, _Many: tuple, _Table: dict}
    return type(value) is made.get(type(kind))
