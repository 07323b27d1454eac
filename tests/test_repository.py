"""The repository's promises about itself: pins, packaging, deployment files, and the commands that the README names."""

from __future__ import annotations

import configparser
import json
import re
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]


def text(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def parsed(path: str) -> Any:
    # BaseLoader: like YAML 1.2 and unlike PyYAML's other loaders it does not take `on` and `off` for booleans.
    return yaml.load(text(path), Loader=yaml.BaseLoader)


def pins() -> dict[str, Version]:
    lines = [line.split("==") for line in text("constraints.txt").splitlines()]
    return {name: Version(version) for name, version in lines}


def requirements() -> list[Requirement]:
    extras = [line for lines in EXTRAS.values() for line in lines]
    return [Requirement(line) for line in [*PYPROJECT["build-system"]["requires"], *PROJECT["dependencies"], *extras]]


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):", text("Makefile"), re.MULTILINE))


def compiled_modules() -> list[Path]:
    return [
        path for path in sorted((ROOT / "imbalanced").rglob("*.py")) if re.search(r"^# cython:", path.read_text(), re.M)
    ]


# Versions


def test_constraints_hold_names_and_versions_and_nothing_else() -> None:
    lines = text("constraints.txt").splitlines()
    odd = [line for line in lines if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*==[0-9][0-9a-z.]*", line)]
    assert not odd, f"constraints.txt holds only name==version, in lower case: {odd}"
    assert lines == sorted(set(lines), key=lambda line: line.split("==")[0]), "sort constraints.txt, one line a name"


@pytest.mark.parametrize("requirement", requirements(), ids=str)
def test_every_requirement_is_pinned_within_its_bounds(requirement: Requirement) -> None:
    pin = pins().get(canonicalize_name(requirement.name))
    assert pin is not None, f"add {requirement.name}==... to constraints.txt"
    assert requirement.specifier.contains(pin), f"{requirement} does not allow the tested version {pin}"


def test_what_the_requirements_require_is_pinned() -> None:
    pinned = pins()
    todo, seen = [(requirement, "") for requirement in requirements()], set()
    missing = set()
    while todo:
        requirement, extra = todo.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        if name not in pinned:
            missing.add(name)
        for wanted in {"", *requirement.extras}:
            if (name, wanted) in seen:
                continue
            seen.add((name, wanted))
            try:
                needs = distribution(name).requires or []
            except PackageNotFoundError:  # of an extra that is not installed here
                continue
            todo.extend((Requirement(need), wanted) for need in needs)
    assert not missing, f"add to constraints.txt: {sorted(missing)}"


# The package


def test_the_command_and_its_type_information_are_packaged() -> None:
    assert PROJECT["requires-python"] == ">=3.11"
    assert PROJECT["scripts"] == {"imbalanced": "imbalanced.cli:main"}
    assert {"demo", "dev", "bench", "research"} <= EXTRAS.keys()
    assert (ROOT / "imbalanced/py.typed").exists()
    assert {"py.typed", "*.pxd"} <= set(PYPROJECT["tool"]["setuptools"]["package-data"]["*"])


def test_the_demo_extra_is_part_of_dev() -> None:
    assert set(EXTRAS["demo"]) <= set(EXTRAS["dev"]), "make setup installs dev, and make run needs what demo has"


def test_sdist_holds_what_the_build_and_the_tests_need() -> None:
    manifest = text("MANIFEST.in").splitlines()
    package = next(line.split()[2:] for line in manifest if line.startswith("recursive-include imbalanced"))
    assert {"*.py", "*.pxd", "py.typed"} <= set(package)
    assert {"graft tests", "graft typings", "graft config", "graft deploy"} <= set(manifest)
    named = {name for line in manifest if line.startswith("include") for name in line.split()[1:]}
    assert {"setup.py", "constraints.txt", "Makefile", "LICENSE", "README.md"} <= named
    assert not [name for name in named if not (ROOT / name).exists()]


def test_modules_with_declarations_or_cimports_are_compiled() -> None:
    package = ROOT / "imbalanced"
    compiled = set(compiled_modules())
    declared = {path.with_suffix(".py") for path in package.rglob("*.pxd") if path.name != "__init__.pxd"}
    cython = {path for path in package.rglob("*.py") if re.search(r"^@cython\.c", path.read_text(), re.MULTILINE)}
    forgotten = [str(path.relative_to(ROOT)) for path in (declared | cython) - compiled]
    assert not forgotten, (
        f"first line `# cython: language_level=3` is missing, so these are never compiled: {forgotten}"
    )


@pytest.mark.parametrize("path", compiled_modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_the_directive_stands_where_the_build_looks(path: Path) -> None:
    head = path.read_text().partition("\n# cython:")[0] if not path.read_text().startswith("# cython:") else ""
    code = [line for line in head.splitlines() if line.strip() and not line.startswith("#")]
    assert not code, "the `# cython:` line must come before any code and docstring, or setup.py does not see it"


# Commands and documents


def test_the_commands_in_the_documents_are_make_targets() -> None:
    targets = make_targets()
    assert {"setup", "run", "test", "lint", "fmt", "types", "bench", "dist", "clean"} <= targets
    assert re.findall(r"^\$ (make \w+)", text("README.md"), re.MULTILINE) == ["make run", "make test"]
    for document in ("README.md", "CONTRIBUTING.md", ".ci/run", ".pre-commit-config.yaml"):
        commands = re.findall(r"(?:^|[`$:]) *make ((?:[a-z]+ ?)+)", text(document), re.MULTILINE)
        named = {word for command in commands for word in command.split()}
        assert named <= targets, f"{document} names {sorted(named - targets)}, which the Makefile does not have"


def test_every_target_is_phony_and_explained() -> None:
    makefile = text("Makefile")
    phony = set(re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[0].split())
    explained = set(re.findall(r"^([a-z]+):[^#\n]*## ", makefile, re.MULTILINE))
    assert make_targets() == explained == phony - {"FORCE"}


def test_ci_is_executable_and_stops_at_the_first_failure() -> None:
    assert (ROOT / ".ci/run").stat().st_mode & 0o111
    assert "set -euo pipefail" in text(".ci/run")
    assert "IMBALANCED_REQUIRE_ALL=1" in text(".ci/run")


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_examples_are_at_least_valid(document: str) -> None:
    blocks = re.findall(r"^```(\w+)\n(.*?)^```", text(document), re.MULTILINE | re.DOTALL)
    assert blocks
    for language, block in blocks:
        if language == "python":
            compile(block, document, "exec")
        elif language == "json":
            json.loads(block)
        elif language == "yaml":
            yaml.safe_load(block)


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"])
def test_links_into_the_repository_lead_somewhere(document: str) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", text(document))
    assert not [link for link in links if not (ROOT / link).exists()]


def test_changelog_begins_with_what_is_not_released() -> None:
    sections = re.findall(r"^## (.*)$", text("CHANGELOG.md"), re.MULTILINE)
    assert sections[0] == "[Unreleased]"


# Deployment


@pytest.mark.parametrize("path", sorted(str(p.relative_to(ROOT)) for p in (ROOT / "config").glob("*.yaml")))
def test_configurations_parse_and_watch_something(path: str) -> None:
    config = parsed(path)
    assert config["venues"]
    assert set(config.get("sim", {}).get("venues", [])) <= config["venues"].keys()
    assert all(venue["instruments"] for venue in config["venues"].values())
    names = [metric.get("name", metric["metric"]) for metric in config["metrics"]]
    assert len(names) == len(set(names))


def dockerfile() -> list[tuple[str, str]]:
    joined = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", text("Dockerfile"), flags=re.MULTILINE))
    lines = [line.split(maxsplit=1) for line in joined.splitlines() if line.strip()]
    last_stage = max(i for i, line in enumerate(lines) if line[0] == "FROM")
    return [(line[0], line[1]) for line in lines[last_stage:]]


def test_image_is_built_in_stages_from_a_pinned_base() -> None:
    stages = re.findall(r"^FROM (\S+)(?: AS (\S+))?$", text("Dockerfile"), re.MULTILINE)
    assert len(stages) >= 2
    own = {name for _, name in stages}
    bases = [base for base, _ in stages if base not in own]
    assert bases
    assert all(re.fullmatch(r"python:3\.11\.\d+-slim\S*", base) for base in bases)


def test_image_runs_as_nobody_and_receives_signals() -> None:
    final = dict(dockerfile())
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", final["USER"]), "a numeric user: orchestrators check that it is not root"
    assert final["STOPSIGNAL"] == "SIGTERM"
    assert json.loads(final["ENTRYPOINT"]) == ["imbalanced"], "exec form, or a shell swallows SIGTERM"
    assert json.loads(final["CMD"]) == ["run", "-c", "/etc/imbalanced/config.yaml"]
    assert final["VOLUME"] == "/var/lib/imbalanced"
    assert "org.opencontainers.image.title" in final["LABEL"]


def test_image_is_healthy_when_the_daemon_is_ready() -> None:
    command = dict(dockerfile())["HEALTHCHECK"].partition("CMD ")[2]
    program, flag, code = json.loads(command)
    assert (program, flag) == ("python", "-c")
    compile(code, "HEALTHCHECK", "exec")
    assert "/readyz" in code


def test_image_is_not_sent_more_than_it_needs() -> None:
    rules = [line for line in text(".dockerignore").splitlines() if line and not line.startswith("#")]
    allowed = {rule[1:] for rule in rules if rule.startswith("!")}
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", text("Dockerfile"), re.MULTILINE)
    assert rules[0] == "*"
    assert {name for names in copied for name in names.split()} <= allowed


def test_compose_services_are_confined() -> None:
    compose = yaml.safe_load(text("deploy/compose.yaml"))
    assert {"imbalanced", "redis", "prometheus"} <= compose["services"].keys()
    for name, service in compose["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["healthcheck"]["test"][0] == "CMD", name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
        assert "build" in service or re.search(r":v?\d", service["image"]), f"{name}: pin the image"


def test_prometheus_scrapes_the_compose_service() -> None:
    compose, prometheus = parsed("deploy/compose.yaml"), parsed("deploy/prometheus.yml")
    targets = [target for job in prometheus["scrape_configs"] for c in job["static_configs"] for target in c["targets"]]
    assert {target.partition(":")[0] for target in targets} <= compose["services"].keys()


def test_systemd_unit_is_watched_and_confined() -> None:
    unit = configparser.ConfigParser(interpolation=None, comment_prefixes=("#",))
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # systemd's keys are case-sensitive
    unit.read_string(text("deploy/imbalanced.service"))
    service = unit["Service"]
    assert service["Type"] == "notify"
    assert int(service["WatchdogSec"]) > 0
    assert service["Restart"] == "on-failure"
    assert int(unit["Unit"]["StartLimitBurst"]) > 0
    assert service["StateDirectory"] == "imbalanced"
    assert service["NoNewPrivileges"] == service["DynamicUser"] == "yes"
    assert service["ProtectSystem"] == "strict"
    assert int(service["TimeoutStopSec"]) > 10, "the orderly stop takes up to 10 s"


def test_commit_hooks_need_no_network() -> None:
    assert [repo["repo"] for repo in parsed(".pre-commit-config.yaml")["repos"]] == ["local"]
