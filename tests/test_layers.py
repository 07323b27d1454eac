"""Imports point one way, nothing pure touches the outside, and only a venue's own files name it.

A new module gets a line in `ORDER`: put it after everything that it imports.
"""

from __future__ import annotations

import ast
import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

import pytest

from imbalanced.venues import VENUES

ROOT = Path(__file__).resolve().parents[1] / "imbalanced"

# From the vocabulary to the command line. A module may import what stands before it; those of one pattern may import
# each other. (The verbs are named by the command line as text and loaded when they are used, so they stand behind it.)
ORDER = (
    "events",
    "naming",
    "options",
    "book",
    "orders",
    "venues.diff",
    "venues.scan",
    "venues.ccxt_spec",
    "venues.codec",
    "venues.*",
    "venues",
    "sync",
    "streams",
    "states",
    "refresh",
    "lane",
    "proofs",
    "timers",
    "links",
    "books",
    "watch",
    "rotation",
    "missed",
    "rulings",
    "session",
    "crosscheck",
    "metrics.windows",
    "metrics.metric",
    "metrics.*",
    "metrics",
    "detect.confidence",
    "detect.past",
    "detect.standardiser",
    "detect.across",
    "detect.detector",
    "detect.desk",
    "detect.*",
    "detect",
    "config*",
    "pipeline",
    "jsontext",
    "coverage",
    "checkup",
    "replay",
    # -- pure above, the outside below ---------------------------------------------------------------------------------
    "tape",
    "calibrations",
    "journal",
    "scribe",
    "backoff",
    "clock",
    "instruments",
    "transports*",
    "connector",
    "intake",
    "explanation",
    "sinks*",
    "sim*",
    "status",
    "web*",
    "systemd",
    "embedded",
    "logs",
    "client",
    "live",
    "checks",
    "ending",
    "replaying",
    "recording",
    "service",
    "cli",
    "verbs*",
    "__main__",
    "",
)
LAST_PURE = "replay"

# What the pure part must not see: waiting, the network, threads, clocks, dice, the disk and the process.
OUTSIDE = (
    *("asyncio", "socket", "ssl", "select", "selectors", "threading", "multiprocessing", "concurrent", "subprocess"),
    *("signal", "time", "random", "secrets", "uuid", "os", "io", "pathlib", "shutil", "tempfile"),
    *("gzip", "sqlite3", "logging", "structlog", "urllib.request", "http", "aiohttp", "websockets", "picows", "ccxt"),
    *("redis", "prometheus_client", "uvloop", "click", "rich"),
)
# `datetime` reads what a venue writes; the present it must not ask for.
PRESENT = ("now", "utcnow", "today")
# Of `sys` only what is a fact of the machine.
OF_SYS = ("byteorder", "maxsize", "float_info")
OPENS = ("open", "print", "input", "exec", "eval", "__import__", "breakpoint")

# Files that may name a venue, and why.
MAY_NAME = {
    "venues/__init__.py": "the table itself",
    "sim/__init__.py": "the table of simulated venues",
    "config/example.py": "the annotated example of a configuration watches something real",
    "venues/codec.py": "its docstring points at one codec as the example to read",
}


class Import(NamedTuple):
    """One runtime import of ours: who, what, where."""

    module: str
    imported: str
    line: int


def modules() -> dict[str, Path]:
    """Module name (without the package) to file."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(part for part in parts if part != "__init__")] = path
    return found


MODULES = modules()


def runtime_nodes(tree: ast.AST) -> list[ast.AST]:
    """All nodes but those that only a type checker, or only the compiler, sees."""
    found: list[ast.AST] = []
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        found.append(node)
        found.extend(runtime_nodes(node))
    return found


def imports(module: str) -> list[tuple[str, int]]:
    """Full names that a module imports at run time; ``from a import b`` is ``a.b``."""
    found: list[tuple[str, int]] = []
    for node in runtime_nodes(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{MODULES[module]}:{node.lineno}: imports are absolute here"
            found += [(f"{node.module}.{alias.name}", node.lineno) for alias in node.names]
    return found


def ours(name: str) -> str | None:
    """The module of ours that an import reaches; None for others'."""
    name = name.removeprefix("cython.cimports.")
    if name.partition(".")[0] != "imbalanced":
        return None
    inner = name.removeprefix("imbalanced").removeprefix(".")
    while inner not in MODULES:
        inner = inner.rpartition(".")[0]
    return inner


def rank(module: str) -> int:
    for at, pattern in enumerate(ORDER):
        if fnmatchcase(module, pattern):
            return at
    raise AssertionError(
        f"imbalanced/{module.replace('.', '/')}.py has no place in ORDER of tests/test_layers.py: add it"
    )


PURE = [module for module in MODULES if module and rank(module) <= ORDER.index(LAST_PURE)]


@pytest.mark.parametrize("module", MODULES)
def test_no_import_points_up(module: str) -> None:
    for name, line in imports(module):
        imported = ours(name)
        if imported in (None, "", module):
            continue
        assert imported is not None
        assert rank(imported) <= rank(module), (
            f"imbalanced/{module.replace('.', '/')}.py:{line} imports {imported}, which stands to the right of it: "
            f"return an event or a command instead, or import it under TYPE_CHECKING if it is only a type"
        )


@pytest.mark.parametrize("module", PURE)
def test_what_is_pure_sees_nothing_of_the_outside(module: str) -> None:
    path = MODULES[module]
    for name, line in imports(module):
        for outside in OUTSIDE:
            assert f"{name}.".partition(f"{outside}.")[:2] != ("", f"{outside}."), (
                f"{path}:{line} imports {name}: time comes with the frame, and what the world must do is a command"
            )
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in OPENS, f"{path}:{node.lineno} calls {node.func.id}()"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            assert node.func.attr not in PRESENT, f"{path}:{node.lineno} asks for the time: it is frame.recv_ns"
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "sys":
            assert node.attr in OF_SYS, f"{path}:{node.lineno} uses sys.{node.attr}"
        assert not isinstance(node, ast.AsyncFunctionDef | ast.Await), f"{path}:{node.lineno} waits: return a command"


def test_pure_is_what_the_design_says() -> None:
    assert {"events", "book", "sync", "lane", "session", "pipeline", "config", "venues.codec", "detect.desk"} <= set(
        PURE
    )
    assert not {"journal", "connector", "service", "tape", "cli"} & set(PURE)


def test_every_place_in_the_order_is_taken() -> None:
    empty = [pattern for pattern in ORDER if not any(fnmatchcase(module, pattern) for module in MODULES)]
    assert not empty, f"ORDER names {empty}, but there is no such module any more: remove it"


VENUE_WORD = re.compile(rf"\b({'|'.join(sorted(VENUES, key=len, reverse=True))})\b", re.IGNORECASE)
FAMILIES = {name.partition("_")[0] for name in VENUES}


@pytest.mark.parametrize("module", MODULES)
def test_only_a_venues_own_files_name_it(module: str) -> None:
    path = MODULES[module]
    place = str(path.relative_to(ROOT))
    if place in MAY_NAME or any(re.fullmatch(rf"(venues|sim)/{family}(_\w+)?\.py", place) for family in FAMILIES):
        return
    for number, line in enumerate(path.read_text().splitlines(), 1):
        found = VENUE_WORD.search(line)
        assert found is None, (
            f"{path}:{number} names {found[0] if found else ''}: what is true of one venue belongs into its file "
            f"(venues/, sim/); what is true of all needs no name"
        )


@pytest.mark.parametrize("place", MAY_NAME)
def test_every_exception_is_still_needed(place: str) -> None:
    assert VENUE_WORD.search((ROOT / place).read_text()), f"{place} names no venue any more: remove it from MAY_NAME"
