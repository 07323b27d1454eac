"""The documentation: what is made from the code is current, what is shown works.

Examples are taken from the pages as a reader sees them; only ports are changed. Consumers run as processes of their
own against a real journal behind a real stream, the embedded Redis-compatible server and our HTTP server.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import re
import signal as signals
import sys
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from textwrap import dedent
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

import pytest
import yaml

from imbalanced.checks import build
from imbalanced.cli import tables
from imbalanced.config import Config, ConfigError, load
from imbalanced.detect import DETECTORS, FILTERS
from imbalanced.embedded import redis_server
from imbalanced.events import Proof, Signal
from imbalanced.journal import Journal
from imbalanced.metrics import METRICS, evaluate, evaluation
from imbalanced.options import dump, read
from imbalanced.sinks import Hub, Outlet, RedisOptions, RedisSink, WebsocketOptions, WebsocketSink
from imbalanced.venues import VENUES
from imbalanced.web import Backend, HttpOptions, HttpServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from imbalanced.sinks import Sink

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = ["README.md", *sorted(f"docs/{path.name}" for path in DOCS.glob("*.md"))]
DEADLINE_S = 30.0
OTHERS = ("binance", "binance_usdm")


def generator() -> ModuleType:
    """``docs/generate.py``, which is no part of the package."""
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GENERATE = generator()


def text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str, language: str) -> list[str]:
    found = re.findall(rf"^( *)```{language}\n(.*?)^\1```", text(page), re.MULTILINE | re.DOTALL)
    return [dedent(block) for _, block in found]


def example(page: str, holding: str) -> str:
    """The one Python example of a page that holds this text."""
    [found] = [block for block in blocks(page, "python") if holding in block]
    return found


# What is made from the code


@pytest.mark.parametrize("name", GENERATE.PAGES)
def test_generated_page_is_current(name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == GENERATE.PAGES[name](), f"docs/{name} is old: run `make docs`"


def test_every_metric_kind_and_filter_has_a_section() -> None:
    assert set(METRICS) <= set(re.findall(r"^### (\w+)$", text("docs/metrics.md"), re.MULTILINE))
    assert {*DETECTORS, *FILTERS} <= set(re.findall(r"^### (\w+)$", text("docs/detectors.md"), re.MULTILINE))


@pytest.mark.parametrize("name", METRICS)
def test_metric_without_a_venue_can_be_evaluated(name: str) -> None:
    if not GENERATE.feeders(name):
        call = GENERATE.example_python(name)
        assert f"```python\n{call}\n```" in text("docs/metrics.md")
        assert eval(call, {"evaluate": evaluate, "events": []}) == []  # noqa: S307 - our own page


@pytest.mark.parametrize("name", METRICS)
def test_the_events_that_are_shown_are_taken(name: str) -> None:
    shown = [event for word, some in GENERATE.EVENTS.items() if word != "row" for event in some]
    events = [{"venue": "x", **event} for event in sorted(map(json.loads, shown), key=lambda event: event["ts_ms"])]
    given = GENERATE.EXAMPLES.get(name, {})
    params = dump(
        read(METRICS[name].Options, given, name, style="yaml" if GENERATE.feeders(name) else "plain"), "plain"
    )
    assert len(evaluate(name, params, events)) == len(events)


def test_the_example_of_plain_events_prints_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(example("docs/metrics.md", "import evaluate"), "docs/metrics.md", "exec", dont_inherit=True), {})
    assert f"`{capsys.readouterr().out.strip()}`" in text("docs/metrics.md")


def test_the_metric_of_the_how_to_works() -> None:
    made: dict[str, Any] = {}
    # dont_inherit: the future import of this file is none of the example's.
    source = example("docs/adding-a-metric.md", "class TopShare")
    exec(compile(source, "docs/adding-a-metric.md", "exec", dont_inherit=True), made)
    events = [{"type": "book_snapshot", "ts_ms": 0, "bids": [["9", "1"], ["8", "3"]], "asks": [["10", "1"]]}]
    assert evaluation.evaluate({"top_share": made["TopShare"]}, "top_share", {}, events) == [0.4]


@pytest.mark.parametrize("page", ["README.md", "CHANGELOG.md"])
def test_page_names_what_there_is(page: str) -> None:
    for table in (VENUES, DETECTORS, FILTERS):
        assert not [name for name in table if f"`{name}`" not in text(page)], f"{page} leaves something out"


# YAML


def no_file(path: str) -> str:
    raise OSError(f"{path}: no example may need a file")


def loaded(source: str) -> Config:
    return load(source, tables(), environ={}, read_text=no_file)


def part_of(block: str) -> str:
    """What an example is a part of: the whole file, or one of its lists."""
    data = yaml.load(block, Loader=yaml.BaseLoader)
    if isinstance(data, list):
        return "metrics" if "metric" in data[0] else "detectors"
    return "prometheus" if "scrape_configs" in data else "filters" if set(data) <= set(FILTERS) else "file"


def whole(block: str) -> str:
    """A configuration that holds the example, of the first venue that can feed it."""
    for venue in VENUES:
        text = held(block, venue)
        try:
            loaded(text)
        except ConfigError as error:
            said = error
        else:
            return text
    raise said


def held(block: str, venue: str) -> str:
    part = part_of(block)
    if part == "file":
        return block if "venues" in yaml.load(block, Loader=yaml.BaseLoader) else f"venues: {{binance: }}\n{block}"
    inner = "".join(f"  {line}\n" for line in block.splitlines())
    both = "instruments: [BTC/USDT, 'BTC/USDT:USDT']"
    none = "{}" if part == "filters" else "[]"
    own = f"  {venue}:\n    {both}\n    {part}:\n" + "".join(f"    {line}\n" for line in inner.splitlines())
    # The others are there for kinds that look at another venue.
    others = "".join(f"  {one}: {{{both}, {part}: {none}}}\n" for one in OTHERS if one != venue)
    return f"venues:\n{own}{others}"


YAML = [pytest.param(block, id=f"{page} {n}") for page in PAGES for n, block in enumerate(blocks(page, "yaml"))]


@pytest.mark.parametrize("block", YAML)
def test_yaml_example_loads_and_builds(block: str) -> None:
    if part_of(block) == "prometheus":
        assert yaml.safe_load(block)["scrape_configs"][0]["static_configs"][0]["targets"] == ["127.0.0.1:8800"]
    else:
        assert build(loaded(whole(block)))


@pytest.mark.parametrize("name", [name for name in METRICS if GENERATE.feeders(name)])
def test_every_venue_said_to_feed_a_metric_can(name: str) -> None:
    for venue in GENERATE.feeders(name):
        loaded(f"venues: {{{venue}: {{instruments: [BTC/USDT]}}}}\nmetrics:\n  {GENERATE.example_yaml(name)}\n")


def test_commented_keys_of_the_annotated_example_load() -> None:
    [block] = [block for block in blocks("docs/configuration.md", "yaml") if "\n#redis" in block]
    for line in re.findall(r"^#(\w+: .*)$", block, re.MULTILINE):
        loaded(f"venues: {{binance: }}\n{line}\n")


# Everything else that is shown


@pytest.mark.parametrize("page", PAGES)
def test_python_and_json_examples_are_well_formed(page: str) -> None:
    for block in blocks(page, "python"):
        compile(block, page, "exec", dont_inherit=True)
    for block in blocks(page, "json"):
        json.loads(block)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for link, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)", text(page)):
        target = (ROOT / page).parent / link if link else ROOT / page
        assert target.exists(), f"{page} links to {link}"
        if anchor:
            heads = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}, (
                f"{page} links to {link}#{anchor}"
            )


@pytest.mark.parametrize("page", PAGES)
def test_every_page_is_linked_from_the_readme(page: str) -> None:
    assert page == "README.md" or f"({page})" in text("README.md")


# Consumers


def signal(number: int, **changes: Any) -> Signal:
    fields: dict[str, Any] = {
        "id": f"{number:016x}",
        "event": "open",
        "kind": "order_flow_imbalance",
        "side": "buy",
        "venue": "binance",
        "instrument": "BTC/USDT",
        "ts_ns": 1_723_075_203_124_512_000,
        "recv_ns": 1_723_075_203_124_512_000 + number,
        "strength": 0.8,
        "score": 3.4,
        "confidence": None,
        "mid": "61659.75",
        "horizon_ms": 1000,
        "evidence": {"ofi_z": 3.4},
        "proof": Proof(book_seq=4711, book_age_ms=81234, checks=["sequence"], gaps_1h=0),
        "reason": None,
        "config": "3f2a",
    }
    return Signal(**{**fields, **changes})


@pytest.fixture
def journal() -> Iterator[Journal]:
    journal = Journal.open(None)
    yield journal
    journal.close()


@asynccontextmanager
async def written(sink: Sink, journal: Journal, *signals: Signal) -> AsyncIterator[Outlet]:
    """The sink with an outlet, once it has these signals."""
    hub = Hub()
    outlet = Outlet(sink, journal, hub)
    task = asyncio.create_task(outlet.run())
    try:
        async with asyncio.timeout(DEADLINE_S):
            journal.append(signals)
            hub.notify()
            await outlet.caught_up()
        yield outlet
    finally:
        outlet.finish()
        await asyncio.wait([task], timeout=DEADLINE_S)


@asynccontextmanager
async def consumer(source: str, **places: str) -> AsyncIterator[asyncio.StreamReader]:
    """An example as a process, with other addresses; killed afterwards, as consumers are. Its lines can be read."""
    for place, there in places.items():
        address = {"redis": "redis://127.0.0.1:6379/0", "stream": "127.0.0.1:8801", "http": "127.0.0.1:8800"}[place]
        assert address in source, f"the example says {address}, so that a reader sees what to change"
        source = source.replace(address, there)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-u", "-c", source, stdout=asyncio.subprocess.PIPE, env={**os.environ, "NO_PROXY": "*"}
    )
    assert process.stdout is not None
    try:
        yield process.stdout
    finally:
        with suppress(ProcessLookupError):
            process.send_signal(signals.SIGKILL)
        await process.wait()


async def lines(told: asyncio.StreamReader, count: int) -> list[str]:
    async with asyncio.timeout(DEADLINE_S):
        return [(await told.readline()).decode().strip() for _ in range(count)]


@pytest.mark.parametrize("page", ["README.md", "docs/signals.md"])
async def test_websocket_example(page: str, journal: Journal) -> None:
    sink = WebsocketSink(WebsocketOptions(port=0), journal, Hub())
    async with (
        written(sink, journal, signal(1), signal(2)),
        consumer(example(page, "websockets"), stream=f"127.0.0.1:{sink.port}") as told,
    ):
        heard = await lines(told, 4)
    assert "welcome" in heard[0]
    assert "subscribed" in heard[1]
    assert [f"'seq': {seq}" in line for seq, line in enumerate(heard[2:], 1)] == [True, True]


@pytest.fixture
async def redis_url() -> AsyncIterator[str]:
    async with redis_server(loaded("venues: {binance: }\nredis: {embedded: true}")) as url:
        assert url is not None
        yield url


def redis_sink(url: str, journal: Journal) -> RedisSink:
    return RedisSink(RedisOptions(url=url), journal, Hub())


async def without(url: str, seq: int) -> None:
    """The entry is gone, as if it had been trimmed."""
    from redis.asyncio import Redis

    client: Any = Redis.from_url(url, decode_responses=True)
    for entry, fields in await client.xrange("imbalanced:signals"):
        if fields["seq"] == str(seq):
            await client.xdel("imbalanced:signals", entry)
    await client.aclose()


@pytest.mark.redis
@pytest.mark.parametrize("page", ["README.md", "docs/signals.md"])
async def test_redis_example_follows_and_sees_a_hole(page: str, journal: Journal, redis_url: str) -> None:
    async with written(redis_sink(redis_url, journal), journal, signal(1), signal(2), signal(3)):
        await without(redis_url, 2)
        async with consumer(example(page, "xread("), redis=redis_url) as told:
            assert await lines(told, 3) == [
                "1 open order_flow_imbalance buy BTC/USDT",
                "missing 2 to 2",
                "3 open order_flow_imbalance buy BTC/USDT",
            ]


class OnlySignals:
    """The part of the daemon that the consumer asks."""

    def __init__(self, journal: Journal) -> None:
        self.signals = journal.page


@pytest.mark.redis
async def test_consumer_group_example_handles_each_signal_once(journal: Journal, redis_url: str) -> None:
    from redis.asyncio import Redis

    source = example("docs/signals.md", "xreadgroup(").replace("min_idle_time=60_000", "min_idle_time=0")
    http = HttpServer(cast("Backend", OnlySignals(journal)), HttpOptions(port=0))
    await http.start()
    places = {"redis": redis_url, "http": f"127.0.0.1:{http.port}"}
    client: Any = Redis.from_url(redis_url, decode_responses=True)
    sink = redis_sink(redis_url, journal)
    try:
        async with written(sink, journal, *[signal(n) for n in range(1, 6)]):
            await without(redis_url, 3)
            async with consumer(source, **places) as told:
                assert [line.split()[0] for line in await lines(told, 5)] == ["1", "2", "3", "4", "5"]
                await acknowledged(client, 5)
        async with written(redis_sink(redis_url, journal), journal, signal(6), signal(7)):
            # A member that took one and died.
            await client.xreadgroup("desk", "dead", {"imbalanced:signals": ">"}, count=1)
            async with consumer(source, **places) as told:
                assert [line.split()[0] for line in await lines(told, 2)] == ["6", "7"]
                await acknowledged(client, 7)
        assert (await client.xpending("imbalanced:signals", "desk"))["pending"] == 0
    finally:
        await client.aclose()
        await http.stop()


async def acknowledged(client: Any, seq: int) -> None:
    """The consumer has moved its place so far."""
    async with asyncio.timeout(DEADLINE_S):
        while await client.hget("desk:place", "seq") != str(seq):  # noqa: ASYNC110 - another process moves it
            await asyncio.sleep(0.01)


async def test_client_example(journal: Journal) -> None:
    """The example in the docstring of ``imbalanced.client``, which the pages point to."""
    from imbalanced import client

    shown = re.findall(r"^async for .*?\n\n", client.__doc__ or "", re.MULTILINE | re.DOTALL)[0]
    body = "".join(f"    {line}\n" for line in shown.splitlines())
    head = "import asyncio\nfrom imbalanced.client import subscribe\n"
    source = f"{head}async def main():\n{body}\nasyncio.run(main())\n"
    sink = WebsocketSink(WebsocketOptions(port=0), journal, Hub())
    async with (
        written(sink, journal, signal(1)) as outlet,
        consumer(source, stream=f"127.0.0.1:{sink.port}") as told,
    ):
        heard = asyncio.create_task(lines(told, 1))
        while not heard.done():  # nobody sees when it has subscribed: it takes what comes from then on
            journal.append([signal(journal.last_seq + 1)])
            outlet.notify()
            await asyncio.sleep(0.1)
        assert await heard == ["buy BTC/USDT 3.4"]
