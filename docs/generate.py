"""The reference pages, made from the code: ``make docs`` writes them, ``tests/test_docs.py`` says when they are old.

What a thing means is said where it lives: in the docstring of a metric, in the docstring or the ``Doc`` of its
options, in the help text of a Prometheus family. Only what has no such place is said here, in the tables below.

Docstrings are read from the sources, not from the imported modules: those may be compiled, and older than the text.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_origin

import imbalanced
from imbalanced import config as settings
from imbalanced.detect import DETECTORS, FILTERS
from imbalanced.detect.standardiser import Standardise
from imbalanced.events import GapKind, MetricSnapshot
from imbalanced.metrics import METRICS
from imbalanced.options import Doc, Field, dump, fields_of, read
from imbalanced.sinks import meters
from imbalanced.sinks.prometheus import Prometheus, PrometheusOptions
from imbalanced.sinks.subscriber import CLOSES
from imbalanced.streams import CHANNELS
from imbalanced.venues import VENUES
from imbalanced.venues.diff import Diff

FOLDER = Path(__file__).resolve().parent
PACKAGE = Path(imbalanced.__file__).resolve().parent
HEAD = "<!-- Made from the code by `make docs`; edit the docstrings instead. -->\n\n"

# The sections of the metrics page: module and title. A module's own docstring says the rest.
FAMILIES = {
    "touch": "Touch",
    "microprice": "Micro-price",
    "depth": "Depth",
    "flow": "Order flow",
    "cancels": "Additions and cancellations",
    "integrated": "Weights of integrated flow",
    "across": "Across venues",
    "trades": "Trades",
    "volume": "Volume",
    "statistics": "Statistics",
    "lifecycle": "Life cycle of a signal",
    "composite": "Agreement of scores",
    "derivatives": "Derivatives",
    "options_chain": "Options",
    "research": "Research",
    "execution": "Execution",
}

# Values for options that have no default, or that the example would be dull without. YAML style for metrics that a
# venue can feed, plain style (`expiry_ms`) for the others.
EXAMPLES: dict[str, dict[str, object]] = {
    "absorption": {"min_net": 5, "ref_volume": 10, "tick": 0.1},
    "atr_stop": {"side": 1},
    "composite": {"weights": {"ofi": "1", "depth": "0.5"}},
    "effective_mid": {"size": 1},
    "integrated_ofi": {"weights": [0.4, 0.3, 0.2, 0.1]},
    "log_ofi": {"ref_size": 0.5},
    "microprice": {"table": [[-0.4, -0.8], [0, 0], [0.4, 0.8]], "tick": 0.1},
    "oi_strike_skew": {"expiry_ms": 1735286400000},
    "risk_reversal": {"expiry_ms": 1735286400000},
    "spread": {"tick": 0.1},
    "tilted_schedule": {"quantity": "10", "curve": ["1", "1", "1", "1"], "side": 1, "max_slice": "5"},
    "volume_spike": {"bucket": 10},
    "vpin": {"bucket_volume": 100},
    "vwap_deviation": {"window": "10m"},
}

# Outputs that depend on options or data.
OUTPUTS = {
    "lead_lag": "a dict from each lag in ms to a number",
    "integrated_ofi_weights": "`w1`, `w2`, ... up to the number of ranks, `explained`, `integrated_last`",
}

INPUTS = {
    "book": "a new proven book, each change of it, and its loss",
    "trade": "each public trade; the ones without a taker's side say so (`sign` 0)",
    "clock": "time that passes: every `clock` of the configuration",
    "any": "every event, as a clock",
    "funding": "mark price, index price and funding rate",
    "liquidation": "each forced order that the venue publishes",
    "oi": "open interest with a price",
    "ratio": "long and short accounts or positions",
    "option": "one option of a chain",
    "value": "one number of a series",
    "row": "one row of a table",
    "signal": "the side of a signal",
    "books": "the books of several venues, by `venue`",
    "book_invalid": "the loss of the book",
}

# How `evaluate` is given each input. Events of several venues, or series, say `venue`.
EVENTS = {
    "book": (
        '{"type": "book_snapshot", "ts_ms": 0, "bids": [["9.9", "2"], ["9.8", "5"]], "asks": [["10.1", "1"]]}',
        '{"type": "book_delta", "ts_ms": 5, "bids": [["9.9", "3"], ["9.8", "0"]], "asks": []}',
        '{"type": "book_invalid", "ts_ms": 9}',
    ),
    "trade": ('{"type": "trade", "ts_ms": 5, "price": "10.1", "size": "0.5", "side": "buy"}',),
    "clock": ('{"type": "clock", "ts_ms": 9}',),
    "funding": ('{"type": "funding", "ts_ms": 0, "rate": "0.0001", "interval_h": "8", "mark": "10.1", "index": "10"}',),
    "liquidation": ('{"type": "liquidation", "ts_ms": 0, "side": "sell", "price": "10", "size": "2"}',),
    "oi": ('{"type": "oi", "ts_ms": 0, "oi": "1000", "price": "10"}',),
    "ratio": ('{"type": "ratio", "ts_ms": 0, "long": "1200", "short": "800"}',),
    "option": (
        '{"type": "option", "ts_ms": 0, "expiry_ms": 1735286400000, "strike": "12", "kind": "C", "oi": "10", '
        '"volume": "3", "delta": "0.3", "iv": "0.55", "underlying": "10"}',
    ),
    "value": ('{"type": "value", "ts_ms": 0, "x": "1.5"}',),
    "row": ('{"type": "row", "ts_ms": 0, "x": ...}',),
    "signal": ('{"type": "signal", "ts_ms": 0, "x": "1"}',),
}

# Families whose docstring has more than a first paragraph that a user must know.
WHOLE = ("flow", "cancels", "trades", "statistics", "options_chain")

# Keys of the configuration whose field has no `Doc`.
MEANINGS = {
    "http": "the HTTP server",
    "stream": "the websocket server",
    "journal": "the durable log of signals",
    "grading": "how opened signals are graded, see `imbalanced_signal_forward_return_ratio`",
    "prometheus": "what `/metrics` shows beside the daemon's own numbers",
    "log": "log lines, on stderr",
    "log.level": "the least level that is written",
    "endpoints.rest": "base URL of the REST host",
    "endpoints.ws": "base URL of the websocket host",
}

GAPS = {
    GapKind.SEQUENCE_GAP: "a diff does not follow the one before it",
    GapKind.SEQUENCE_RESET: "the venue has begun its ids anew",
    GapKind.STALE_SNAPSHOT: "the snapshot is older than the diffs that were collected",
    GapKind.SNAPSHOT_NO_OVERLAP: "the first diff after the snapshot does not overlap it",
    GapKind.SNAPSHOT_FAILED: "the snapshot did not come, or could not be read",
    GapKind.CHECKSUM_MISMATCH: "the book's checksum is not the venue's",
    GapKind.CROSSED_BOOK: "best bid above best ask for more than half a second",
    GapKind.SILENT_SUBSCRIPTION: "the subscription was taken, but no data ever came",
    GapKind.STALE_STREAM: "data came and stopped",
    GapKind.HEARTBEAT_MISSED: "the venue's heartbeat did not come",
    GapKind.SOCKET_CLOSED: "the socket is gone",
    GapKind.SERVER_SHUTDOWN_NOTICE: "the venue has announced that it closes the socket",
    GapKind.CONNECTION_WIDE_GAP: "messages of the whole socket are missing",
    GapKind.BUFFER_OVERFLOW: "too many diffs were collected while waiting for a snapshot",
    GapKind.PARSE_ERROR: "a frame could not be understood",
    GapKind.TRADE_GAP: "trade ids are missing (the book stays trusted)",
    GapKind.OUT_OF_WINDOW: "a change outside of what the venue keeps up",
    GapKind.SYMBOL_GONE: "the venue no longer lists the symbol",
    GapKind.REQUESTED: "somebody asked for a resync",
    GapKind.HALTED: "the venue says that the symbol does not trade",
    GapKind.SUBSCRIBE_REFUSED: "the venue refused the subscription",
}


# -- what the sources say ----------------------------------------------------------------------------------------------


@cache
def _tree(module: str) -> ast.Module:
    path = PACKAGE.joinpath(*module.split(".")[1:]).with_suffix(".py")
    return ast.parse(path.read_text(encoding="utf-8"))


def module_doc(module: str) -> str:
    """The first paragraph of a module's docstring, or all of it."""
    told = ast.get_docstring(_tree(module)) or ""
    return told if module.rpartition(".")[2] in WHOLE else told.partition("\n\n")[0]


def class_doc(cls: type) -> str:
    """A class's docstring as its source has it now."""
    for node in ast.walk(_tree(cls.__module__)):
        if isinstance(node, ast.ClassDef) and node.name == cls.__name__:
            return ast.get_docstring(node) or ""
    raise LookupError(f"no class {cls.__name__} in {cls.__module__}")


def option_docs(cls: type) -> tuple[str, dict[str, str]]:
    """An options docstring in two: what is said in general, and what each ``name``: paragraph says."""
    intro: list[str] = []
    about: dict[str, list[str]] = {}
    lines = intro
    for line in class_doc(cls).splitlines():
        named = re.match(r"``(\w+)``: (.*)", line)
        if named:
            lines = about[named[1]] = [named[2]]
        else:
            lines.append(line)
    return "\n".join(intro).strip(), {name: " ".join(text).strip() for name, text in about.items()}


def doc_of(cls: type, field: Field) -> str:
    """The ``Doc`` of a field, or that of the same field of a base: an override of the default does not repeat it."""
    for base in cls.__mro__:
        annotation = inspect.get_annotations(base, eval_str=True).get(field.name) if base is not object else None
        if get_origin(annotation) is not None:
            found = next((note.text for note in get_args(annotation)[1:] if isinstance(note, Doc)), "")
            if found:
                return found
    return ""


# -- Markdown ----------------------------------------------------------------------------------------------------------


def markdown(text: str) -> str:
    """A docstring as Markdown: literals in single backticks, paragraphs as they are."""
    text = re.sub(r":\w+:`~?([\w.]+)`", r"``\1``", text)
    text = re.sub(r"``(.+?)``", lambda found: f"`{' '.join(found[1].split())}`", text, flags=re.DOTALL)
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n") if paragraph.strip())


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    names = list(head)
    lines = [names, ["---"] * len(names), *map(list, rows)]
    return "".join(
        f"| {' | '.join(' '.join(cell.replace('|', chr(92) + '|').split()) for cell in line)} |\n" for line in lines
    )


def flow(value: object) -> str:
    """YAML on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(flow, value)) + "]"
    if isinstance(value, str):
        return value if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_./-]*", value) else f'"{value}"'
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def code(language: str, text: str) -> str:
    return f"```{language}\n{text.rstrip()}\n```\n"


def sentence(text: str) -> str:
    """Lower case fragments and sentences alike, without the full stop: a cell of a table."""
    return markdown(text).rstrip(".")


def kind_words(field: Field, style: str) -> str:
    """What may stand there, in short."""
    words = re.sub(r" in whole \w+ \([^)]*\)", "", field.kind.words(style))  # type: ignore[arg-type]
    return re.sub(r"\ba (?=duration|whole|number|list|mapping|host|name|unified)", "", words)


def default_text(field: Field, style: str = "yaml") -> str:
    default = field.default()
    if default is None:
        return "required" if field.required else "–"
    if style == "plain" and field.kind.timed:
        return f"`{flow(default)}`"
    return f"`{flow(field.schema(default)['default'])}`"


def options_table(cls: type, style: str = "yaml", docs: Mapping[str, str] | None = None) -> str:
    """One row an option; empty where there is none."""
    told = option_docs(cls)[1] if docs is None else docs
    rows = []
    for field in fields_of(cls):
        meaning = told.get(field.key("yaml")) or doc_of(cls, field)
        if not meaning:
            raise LookupError(
                f"{cls.__name__}.{field.name}: say what it means in the docstring: ``{field.key('yaml')}``: ..."
            )
        default = default_text(field, style)
        rows.append((f"`{field.key(style)}`", kind_words(field, style), default, sentence(meaning)))  # type: ignore[arg-type]
    return table(("option", "type and range", "default", "meaning"), rows) if rows else ""


# -- metrics -----------------------------------------------------------------------------------------------------------


def feeders(name: str) -> list[str]:
    """The venues that can feed a metric."""
    wanted = set(METRICS[name].inputs.split()) - {"clock", "any"}
    return [venue for venue, one in VENUES.items() if wanted <= set(one.provides)]


def example_options(name: str) -> dict[str, object]:
    """Options of the example: what has no default, and the defaults that there are."""
    style: Any = "yaml" if feeders(name) else "plain"
    cls = METRICS[name].Options
    options = dump(read(cls, EXAMPLES.get(name, {}), name, style=style), style)
    return {key: value for key, value in options.items() if value is not None and value != {}}


def example_yaml(name: str) -> str:
    return f"- {flow({'metric': name, **example_options(name)})}"


def example_python(name: str) -> str:
    """As ruff writes it, which formats the Python in these pages too."""
    options = repr(example_options(name)).replace("'", '"')
    line = f'evaluate("{name}", {options}, events)'
    return line if len(line) <= 120 else f'evaluate(\n    "{name}",\n    {options},\n    events,\n)'


def outputs_of(name: str) -> str:
    metric = METRICS[name]
    if name in OUTPUTS:
        return OUTPUTS[name]
    if metric.shape == "number":
        return "a number"
    if metric.shape == "list":
        return f"a list, best rank first: `{name}.1`, `{name}.2`, ..."
    words = [
        f"`{name}.{key}` is a word: {', '.join(f'{n} `{w}`' for n, w in enumerate(said))}"
        for key, said in metric.words.items()
    ]
    parts = ", ".join(f"`{name}.{key}`" for key in metric.outputs)
    return "; ".join([parts, *words])


def metric_section(name: str) -> str:
    metric = METRICS[name]
    venues = feeders(name)
    fed = ", ".join(f"`{venue}`" for venue in venues) if venues else "no venue yet: `evaluate` only"
    if len(venues) == len(VENUES):
        fed = "every venue"
    facts = [
        f"Inputs: {', '.join(f'`{word}`' for word in metric.inputs.split())}",
        f"Outputs: {outputs_of(name)}",
        f"Fed by: {fed}",
    ]
    intro, _ = option_docs(metric.Options)
    options = options_table(metric.Options, "yaml" if venues else "plain")
    parts = [f"### {name}\n", f"{markdown(class_doc(metric))}\n", "".join(f"- {fact}\n" for fact in facts)]
    if options:
        parts += [f"{markdown(intro)}\n"] if intro else []
        parts += [options]
    parts.append(code("yaml", example_yaml(name)) if venues else code("python", example_python(name)))
    return "\n".join(parts)


def metrics_page() -> str:
    names_of: dict[str, list[str]] = {family: [] for family in FAMILIES}
    for name, metric in METRICS.items():
        names_of[metric.__module__.rpartition(".")[2]].append(name)
    contents = "".join(
        f"- [{title}](#{title.lower().replace(' ', '-')}): {_links(names_of[family])}\n"
        for family, title in FAMILIES.items()
    )
    sections = [
        f"## {title}\n\n{markdown(module_doc(f'imbalanced.metrics.{family}'))}\n\n"
        + "\n".join(metric_section(name) for name in names_of[family])
        for family, title in FAMILIES.items()
    ]
    inputs = table(
        ("input", "what it is", "comes from"), ((f"`{word}`", text, _from(word)) for word, text in INPUTS.items())
    )
    events = table(
        ("input", "event"),
        ((f"`{word}`", ", ".join(f"`{event}`" for event in shown)) for word, shown in EVENTS.items()),
    )
    head = METRICS_HEAD.format(count=len(METRICS), inputs=inputs, events=events, contents=contents)
    return HEAD + head + "\n" + "\n".join(sections)


def _links(names: Iterable[str]) -> str:
    return ", ".join(f"[`{name}`](#{name})" for name in names)


def _from(word: str) -> str:
    if word in ("clock", "any", "book_invalid"):
        return "the daemon"
    venues = [name for name, one in VENUES.items() if word in one.provides]
    return (
        "every venue" if len(venues) == len(VENUES) else ", ".join(f"`{name}`" for name in venues) or "`evaluate` only"
    )


METRICS_HEAD = """\
# Metrics

There are {count}. Each is one class, runs once per instrument, and is switched on by a line under `metrics:`; see
[configuration.md](configuration.md). Its values are in the metric snapshots on the [websocket](signals.md#websocket)
and in [Redis](signals.md#redis), and in [Prometheus](prometheus.md) where it is listed under `prometheus: {{metrics:
[...]}}`. `imbalanced.metrics.evaluate(name, options, events)` runs the same class over plain events; some metrics
have no live source yet and can be used only so. `evaluate` takes options as in the tables below, and durations as
whole milliseconds under the name with `_ms` (`window_ms: 1000`).

Conventions: positive means buy pressure, unless it says that there is no sign. Sizes are in base units, moves in
basis points. `pb_i`, `qb_i` are price and size of the i-th best bid, `pa_i`, `qa_i` of the i-th best ask; `m` is the
mid, `(pb_1 + pa_1) / 2`. A window is `(t - window, t]` in event time. *Live* is a book that is
[proven](architecture.md#the-proof-of-a-book); *crossed* has its best bid above its best ask, *one-sided* has no bid
or no ask. A *cut* is a new proven book or the loss of one: it ends what a metric remembers of the book. *No value* is
null in data and a dash on screen, never 0. Values of a metric with several outputs are called `name.output`; a word
among them is in snapshots its number.

{inputs}
## Plain events

`evaluate` gives one answer per event, None where there is no value. Numbers are decimal text, times whole milliseconds
that never go back; `x` of a row is as the metric says. The example prints `[None, 0.0, 0.5]`.

```python
from imbalanced.metrics import evaluate

events = [
    {{"type": "clock", "ts_ms": 0}},
    {{"type": "book_snapshot", "ts_ms": 1, "bids": [["9.9", "1"]], "asks": [["10.1", "1"]]}},
    {{"type": "book_delta", "ts_ms": 2, "bids": [["9.9", "3"]], "asks": []}},
]
print(evaluate("queue_imbalance", {{}}, events))
```

{events}
## Contents

{contents}"""


# -- detectors and filters ---------------------------------------------------------------------------------------------


def detectors_page() -> str:
    parts = [HEAD, DETECTORS_HEAD]
    for kind, detector in DETECTORS.items():
        told = markdown(class_doc(detector))
        why = markdown(class_doc(detector.Options))
        parts += [f"\n### {kind}\n\n{told}\n\n{why}\n\n", _detector_table(detector.Options), "\n"]
        fed = "; ".join(f"`{one}`" for one in detector.inputs.split())
        parts.append(f"Needs of the venue: {fed}. Family in `composite`: {detector.family}.\n\n")
        options = read(detector.Options, DETECTOR_EXAMPLES.get(kind, {}), kind, style="yaml")
        parts.append(code("yaml", f"- {flow({'kind': kind, **_dumped(options)})}"))
    parts += ["\n## Standardising\n\n", markdown(module_doc("imbalanced.detect.standardiser")), "\n\n", STANDARDISE]
    parts += ["\n", options_table(Standardise, docs={}), FILTERS_HEAD]
    for name, one in FILTERS.items():
        parts += [f"\n### {name}\n\n{markdown(class_doc(one))}\n\n", options_table(one.Options, docs={}), "\n"]
        parts.append(code("yaml", f"{name}: {flow(_dumped(one.Options()))}"))
    return "".join(parts)


# Kinds with options that have no default.
DETECTOR_EXAMPLES: dict[str, dict[str, object]] = {
    "lead_lag": {"leader": {"venue": "binance_usdm", "instrument": "BTC/USDT:USDT"}}
}


def _dumped(options: Any) -> dict[str, object]:
    return {key: value for key, value in dump(options).items() if key != "standardise"}


def _detector_table(cls: type) -> str:
    docs = {field.key("yaml"): doc_of(cls, field) for field in fields_of(cls)}
    docs["standardise"] = "how the raw value becomes a score, [below](#standardising)"
    keys = ", ".join(field.key("yaml") for field in fields_of(Standardise))
    return options_table(cls, docs=docs).replace(f"mapping with the keys {keys}", "mapping")


DETECTORS_HEAD = """\
# Detectors and filters

A detector turns what one instrument does into a score: a raw value, standardised against its own recent past. A life
cycle with hysteresis turns the score into a signal: `open` when the score has stayed at or beyond `on` for
`min_duration`, `update` when its peak has grown by `update_step`, `close` when it falls below `off` (`faded`), goes
beyond `on` on the other side (`reversed`), is `max_age` old (`expired`), or when its book is lost (`book_invalid`) or
the daemon stops (`shutdown`). An open must pass every filter; the first one that says no is counted in
`imbalanced_signals_suppressed_total`. A close is never held back. What a signal looks like: [signals.md](signals.md).

The score's sign is the side: positive is `buy`; `spread_shock` has none. `strength` is how far the score is beyond its
own threshold, in [0, 1]: 0 at `off`, 0.5 at `on`, 1 at twice `on`, or at 1 for scores that end there.

Kinds of single events (`sweep`, `volume_spike`, `liquidation_cascade`) have a score at their event and none between:
such a signal ends as `expired`, or as `reversed` by an event of the other side.

A z-score knows how wide a series is and not how heavy its tails are. Where bursts are common, a score is beyond any
threshold every minute. So some kinds open only at `times_usual` times their *usual peak*: the 90 % quantile of the
largest magnitude of each second, over ten minutes of this instrument, known after one. What is beyond it enters the
usual peak only as `times_usual` times it, and the standardiser not at all, or a few events would hide the next ones;
what comes in more than a tenth of the seconds, or lasts for a minute, is the rule. Before the peak is known nothing
opens, except where a shorter warm-up was configured (`standardise: {half_life: ...}`) and for single events. With
`standardise: {by: none}` on a kind that has a standardiser the thresholds are those of the raw value, and no peak is
asked for. Evidence: `usual_peak`.

## Kinds

`per_instrument: {"BTC/USDT": {on: 4}}` gives some instruments other values; what it does not name is as above it. A
kind that is used twice needs a `name` of its own.
"""

STANDARDISE = """\
`ewma_z` is the z-score against an exponential mean and variance, `robust_z` against median and median absolute
deviation, `quantile` the share of the past that lies below, `none` the value as it is. There is no score before
`min_count` samples and, for `ewma_z`, one `half_life` of time.
"""

FILTERS_HEAD = """
## Filters

All are on by default, in this order. `NAME: off` switches one off, `filters: off` all. A filter says `pass`, `fail` or
`unknown`; the first `fail` holds the signal back for now (the next value tries again) and is counted. What is unknown
passes: a past that is still too short, a feed that the venue does not give. Only `warmup`, `stale` and a `spread` that
does not exist fail then. A filter that is named in the file although its venue cannot feed it is a configuration error.

Soft filters answer with a quality in [0, 1] as well. The product of all is `quality` in the evidence, and `strength` is
multiplied with it for as long as the signal lives. The numbers of every filter are in the evidence of the open, the
lines of all of them in `imbalanced explain`, those of a refusal in the refusal. A hard filter that fails while a signal
is open ends it as `faded`, looked at once a second; `ended_by` in the evidence of the close names it.

The age of depth (`spoof`, `flicker`) is remembered only while one of the two is on; `market_depth_imbalance` rests on
aged depth while `spoof` is, and takes depth at its word without it.
"""


# -- configuration -----------------------------------------------------------------------------------------------------


def configuration_page() -> str:
    rows = list(_rows(settings.Settings, ""))
    venue = list(_rows(settings.VenueSettings, "", "venues.VENUE."))
    parts = [
        HEAD,
        CONFIGURATION_HEAD,
        "## Keys of the file\n\n",
        table(KEYS, rows),
        VENUE_HEAD,
        table(KEYS, venue),
        VENUE_TAIL,
    ]
    parts += [", ".join(f"`{name}`" for name in VENUES), ".\n", LISTS, "\n## An annotated example\n\n"]
    parts.append("`imbalanced config default` prints it. All but the venues is the default.\n\n")
    parts.append(code("yaml", settings.default_yaml()))
    return "".join(parts)


KEYS = ("key", "type and range", "default", "meaning")


def _rows(cls: type, path: str, shown: str = "") -> Iterator[tuple[str, str, str, str]]:
    for field in fields_of(cls):
        key = f"{path}{field.key('yaml')}"
        meaning = doc_of(cls, field) or MEANINGS.get(key, "")
        if not meaning:
            raise LookupError(f"{cls.__name__}.{field.name}: give it a Doc")
        inner = _inner(field)
        words = "mapping" if inner and inner is not settings.Universe else kind_words(field, "yaml")
        nullable = not field.required and field.default() is None
        if inner is settings.Universe:
            words = "list of unified symbols, or mapping with the keys quote, top"
        default = "–" if nullable else "" if inner and inner is not settings.Universe else default_text(field)
        if key == "shutdown_s":
            words = "number above 0"
        yield (
            f"`{shown}{key}`",
            words.replace(" or null", ""),
            default,
            sentence(meaning) + ("; a secret" if field.secret else ""),
        )
        if inner is not None:
            yield from _rows(inner, f"{key}.", shown)


def _inner(field: Field) -> type | None:
    """The struct that a field holds, if it does."""
    kinds = [field.kind, *getattr(field.kind, "members", ())]
    return next((kind.cls for kind in kinds if hasattr(kind, "cls")), None)


CONFIGURATION_HEAD = """\
# Configuration

One YAML file describes a run: `imbalanced run -c FILE`. `imbalanced check -c FILE` builds everything, connects to
nothing and tells every fault with its path and line; `imbalanced config show -c FILE` prints every value with its
origin; `imbalanced config schema` prints the JSON Schema, for editors.

- Every key but `venues` has a default. An unknown key is an error, and so is a key given twice.
- YAML is read by the rules of YAML 1.2: only `true` and `false` are booleans; `on`, `off`, `yes` and `no` are words.
- Durations are `500us 200ms 5s 3m 2h 7d`; a bare number is an error.
- `${NAME}` and `${NAME:-default}` come from the environment, `$${` is a plain `${`. Inside `{ }` and `[ ]` put them
  in quotes.
- A secret may stand in a file: `token_file: PATH` instead of `token`, `url_file` instead of `url`, `tokens_file` (one
  a line) instead of `tokens`. A secret is shown as `***`.
- SIGHUP reads the file again. The log level is applied at once; for everything else the log says that a restart is
  needed.

"""

VENUE_HEAD = """
## Keys of a venue

Under `venues:`, by the id of the venue. An empty venue takes the ten instruments with the largest turnover.

"""

VENUE_TAIL = """
A venue may also carry its own `metrics`, `detectors` and `filters`, which replace the general ones. Venues there are:
"""

LISTS = """
## Metrics, detectors, filters

- `metrics`: a list; each entry has `metric`, an optional `name` (needed where a metric is used twice) and that metric's
  options: [metrics.md](metrics.md). A metric that a venue cannot feed is an error.
- `detectors`: a list; each entry has `kind`, an optional `name`, `per_instrument` and that kind's options:
  [detectors.md](detectors.md).
- `filters`: a mapping by name, or `off`: [detectors.md](detectors.md#filters).
- `prometheus.metrics` takes the names of metrics; all outputs of a metric are then shown.
"""


# -- Prometheus --------------------------------------------------------------------------------------------------------


def prometheus_page() -> str:
    told = meters.Meters(["ofi"])
    told.venue("binance")
    told.observe(
        MetricSnapshot(
            venue="binance", instrument="BTC/USDT", ts_ns=0, recv_ns=0, book_seq=0, mid=None, values={"ofi": 0.0}
        )
    )
    rows = []
    for family in Prometheus(told, PrometheusOptions(version="", compiled=True)).families():
        if family.name.startswith("imbalanced_"):
            name = family.name + ("_total" if family.type == "counter" else "")
            by = ", ".join(f"`{label}`" for label in family._labelnames)  # type: ignore[attr-defined]
            text = family.documentation
            if name == "imbalanced_metric_ofi":
                name, text = "imbalanced_metric_NAME", f"{text}; one family a value, `.` becomes `_`"
            rows.append((f"`{name}`", family.type, by or "–", text))
    labels = [
        ("`venue`", "the venues of the configuration"),
        (
            "`state` of books",
            _words(meters.BOOK_STATES)
            + "; `pending` is configured and not listed yet, `live` and `suspect` are trusted",
        ),
        ("`state` of streams", _words(meters.STREAM_STATES)),
        ("`side`", _words(meters.SIDES)),
        ("`instrument`", "the instruments of the configuration, as unified symbols"),
        ("`channel`", _words(CHANNELS)),
        ("`proof`", _words(sorted({check for name, one in VENUES.items() for check in one.codec(name).checks}))),
        ("`result`", _words(meters.RESYNC_RESULTS)),
        ("`kind` of gaps", "below"),
        ("`kind` of signals", _words(DETECTORS)),
        ("`filter`", _words(FILTERS)),
        ("`sink`", "`websocket`, `redis`, `jsonl`"),
        ("`reason` of reconnects", "the kinds of gaps below, " + _words(meters.LINK_REASONS[len(GapKind) :])),
        ("`reason` of subscribers", _words(dict.fromkeys(close.label for close in CLOSES))),
    ]
    buckets = ", ".join(f"{bound:g}" for bound in meters.LATENCY_BUCKETS)
    returns = ", ".join(f"{bound:g}" for bound in meters.RETURN_BUCKETS)
    return (
        HEAD
        + PROMETHEUS_HEAD
        + table(("family", "type", "labels", "meaning"), sorted(rows))
        + f"\nBuckets of the families in seconds: {buckets}. Buckets of the forward return: {returns}.\n\n"
        + LABELS_HEAD
        + table(("label", "values"), labels)
        + GAPS_HEAD
        + table(("kind", "the book is not trusted because"), ((f"`{kind.value}`", GAPS[kind]) for kind in GapKind))
    )


def _words(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


PROMETHEUS_HEAD = """\
# Prometheus

`http://HOST:8800/metrics`, in the text format or, for those who accept it, OpenMetrics. Times are in seconds, sizes
in bytes. `process_*` and `python_gc_*` of the client library are there as well. How to scrape:
[signals.md](signals.md#prometheus).

A metric of [metrics.md](metrics.md) has families only if it is listed under `prometheus: {metrics: [...]}`: one
series per venue, instrument and output. A value that is unknown has no sample, and a book that is not trusted has no
values.

"""

LABELS_HEAD = """\
## Labels

Every value of a label is one of a closed set, and a counter is there with 0 from the start.

"""

GAPS_HEAD = """
## Kinds of gaps

The same words are the `reason` in channel `status`. The venues that there are now give some of them only.

"""

# -- how to add a venue: the seam as the code has it -------------------------------------------------------------------


def venue_page() -> str:
    seam = {node.name: node for node in _tree(CODEC).body if isinstance(node, ast.ClassDef)}
    codec = seam["Codec"]
    methods = [
        (f"`{node.name}({', '.join(arg.arg for arg in node.args.args[1:])})`", sentence(ast.get_docstring(node) or ""))
        for node in codec.body
        if isinstance(node, ast.FunctionDef)
    ]
    facts = ", ".join(
        f"`{node.target.id}`"
        for node in codec.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    )
    messages = [("`Diff`", sentence(class_doc(Diff).partition("\n\n")[0]))]
    messages += [
        (f"`{name}`", sentence(ast.get_docstring(seam[name]) or "")) for name in _message_names() if name in seam
    ]
    about = " ".join((ast.get_docstring(codec) or "").split("\n\n")[1:])
    return (
        HEAD
        + VENUE_STEPS
        + f"\n## The codec\n\nIt has {facts}. {markdown(about)}\n\n".replace(" \n", "\n")
        + table(("method", "what it answers"), methods)
        + MESSAGES_HEAD
        + table(("message", "what it says"), messages)
        + VENUE_RULES
    )


def _message_names() -> list[str]:
    """The members of the union ``Message``, which is written as text."""
    for node in _tree(CODEC).body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == "Message":
            return re.findall(r"\w+", ast.literal_eval(node.value)) if node.value else []
    raise LookupError(f"no Message in {CODEC}")


CODEC = "imbalanced.venues.codec"

VENUE_STEPS = """\
# How to add a venue

A venue is one file, `imbalanced/venues/NAME.py`, and one line in `imbalanced/venues/__init__.py`. No other file names
it. `imbalanced/venues/binance.py` is the example.

1. Write down, in the docstring of the file, the venue's documents with their dates, and a table: each kind of frame,
   what we do with it, where it was seen.
2. Write the codec (below): frames to messages, and nothing else. It holds no book and no clock, opens nothing and waits
   for nothing.
3. Give the line of the table what `Venue` asks for: `codec`, `endpoints`, `ccxt` (where its instruments are listed)
   and `provides`, what its streams tell, in the words of the [inputs of metrics](metrics.md): `book`, `trade`,
   `funding`, `liquidation`, ... A configuration that wants a metric which the venue cannot feed is then refused.
4. Say how its books are proven, as data: `Continuity`. Choose the `Chain` and where a whole book comes from. The
   [proof itself](architecture.md#the-proof-of-a-book) is the same code for every venue.
5. Test it in `tests/venues/test_NAME.py`: one frame of each kind of the table, in the venue's own shape, and what must
   be refused. `tests/venues/test_contract.py` tests every line of the table by its being there.
6. If it can be simulated, one file of the seam in `imbalanced/sim/venue.py` and one line in
   `imbalanced/sim/__init__.py`: the tests on sockets and the demo then run against it.
7. `make docs lint types test`, a line in CHANGELOG.md.
"""

MESSAGES_HEAD = """
## Messages

What `decode` answers. Prices are integers, units of `10 ** -price_scale` of the instrument, read from the text of the
frame and never through a float; sizes are in base units, with the contract size applied; times are in nanoseconds, 0
where the venue gives none; `sign` is the taker's side.

"""

VENUE_RULES = """
## The rules

- What a frame does not say is not guessed: there is no fallback without a frame that shows the need for it.
- A frame that does not parse is a `CodecError` with channel, symbol and first bytes: the book of that symbol is then no
  longer trusted, or every book of the socket where the symbol is unknown.
- A frame that concerns us not is an empty list, not an error.
- Prints that are no market trades (history sent on subscription, insurance fund, auto-deleveraging, blocks) say so in
  `why_not`: they are counted and never enter order flow.
- The limits are the venue's own: messages a second, weight a minute, streams a socket, lifetime of a socket. The
  connector keeps to them.
- Diffs may be filled into the same object again and again: whoever keeps one copies it.
- The hot path may read the bytes itself (`venues/scan.py`), if it says no to everything that it does not know and the
  careful way then reads the same frame to the same result.
"""

PAGES = {
    "metrics.md": metrics_page,
    "detectors.md": detectors_page,
    "configuration.md": configuration_page,
    "prometheus.md": prometheus_page,
    "adding-a-venue.md": venue_page,
}


def main() -> None:
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page(), encoding="utf-8")
        sys.stderr.write(f"docs/{name}\n")


if __name__ == "__main__":
    main()
