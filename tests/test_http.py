"""HTTP over a real socket, with a backend that says what a test wants."""

from __future__ import annotations

import asyncio
import gzip
import os
import shutil
import time
from contextlib import asynccontextmanager
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import ClientSession
from playwright.async_api import async_playwright, expect

from imbalanced.events import BookValid, MetricSnapshot
from imbalanced.journal import Entry, Journal, Page
from imbalanced.jsontext import signal_from_json
from imbalanced.sinks import Hub, WebsocketOptions, WebsocketSink
from imbalanced.sinks.address import AddressInUse
from imbalanced.web import HttpOptions, HttpServer, ResyncRefused, UnknownBook

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

EXAMPLE = (
    b'{"v":1,"seq":1,"id":"9f3c2a71d0b4e866","event":"open","kind":"sweep","side":"buy","venue":"okx",'
    b'"instrument":"BTC/USDT","ts_ns":1723004400123000000,"recv_ns":1723004400124512000,"strength":0.83,"score":3.4,'
    b'"confidence":null,"mid":"61659.75","horizon_ms":1000,"evidence":{"levels":3.0},"proof":{"book_seq":4711,'
    b'"book_age_ms":81234,"checks":["sequence"],"gaps_1h":0},"reason":null,"config":"3f2a"}'
)


class Fake:
    """Remembers what it was asked."""

    def __init__(self) -> None:
        self.is_healthy = True
        self.is_ready = True
        self.fault: Exception | None = None
        self.asked: list[tuple[Any, ...]] = []
        self.resync_answer: dict[str, object] = {"ok": True, "state": "live"}
        self.blocker: asyncio.Event | None = None

    def healthy(self) -> bool:
        return self.is_healthy

    def ready(self) -> tuple[bool, dict[str, object]]:
        return self.is_ready, {} if self.is_ready else {"reasons": ["okx BTC/USDT: sequence_gap"]}

    def status(self) -> dict[str, object]:
        if self.fault:
            raise self.fault
        return {"version": "1.2.3", "epoch": "01J", "books": []}

    def book(self, venue: str, instrument: str, levels: int) -> dict[str, object] | None:
        self.asked.append((venue, instrument, levels))
        if venue != "okx":
            return None
        return {"venue": venue, "instrument": instrument, "valid": True, "bids": [["1.10", "2"]], "asks": [], "seq": 7}

    def signals(self, from_seq: int | None, limit: int) -> Page:
        self.asked.append((from_seq, limit))
        entries = [Entry(n, "id", "open", "k", "buy", "okx", "B", 1, b'{"seq":%d}' % n) for n in (4, 5)]
        return Page("01J", 2, 9, [] if from_seq == 10 else entries)

    def about(self, id: str) -> dict[str, object] | None:
        self.asked.append((id,))
        return {"id": id} if id == "00000000000000aa" else None

    async def metrics(self, accept_header: str) -> tuple[bytes, str]:
        self.asked.append((accept_header,))
        return b"up 1\n" * 1000, "text/plain; version=0.0.4; charset=utf-8"

    async def resync(self, venue: str, instrument: str) -> dict[str, object]:
        if self.fault:
            raise self.fault
        if self.blocker:
            await self.blocker.wait()
        return self.resync_answer


class Site:
    def __init__(self, session: ClientSession, port: int) -> None:
        self.session = session
        self.port = port

    async def ask(self, method: str, path: str, **options: Any) -> tuple[int, Any, Any]:
        """Status, headers, and the body as JSON where it is."""
        async with self.session.request(method, f"http://127.0.0.1:{self.port}{path}", **options) as answer:
            if "json" in answer.content_type and method != "HEAD":
                return answer.status, answer.headers, await answer.json(content_type=None)
            return answer.status, answer.headers, await answer.read()

    async def get(self, path: str, **options: Any) -> tuple[int, Any, Any]:
        return await self.ask("GET", path, **options)


@asynccontextmanager
async def serving(backend: Fake, **options: Any) -> AsyncIterator[Site]:
    server = HttpServer(backend, HttpOptions(**{"port": 0, **options}))
    await server.start()
    try:
        async with ClientSession(auto_decompress=False) as session:
            yield Site(session, server.port)
    finally:
        await server.stop()


@pytest.fixture
def backend() -> Fake:
    return Fake()


@pytest.fixture
async def site(backend: Fake) -> AsyncIterator[Site]:
    async with serving(backend) as site:
        yield site


def assert_problem(answer: tuple[int, Any, Any], status: int, words: str) -> None:
    assert answer[0] == status
    assert answer[1]["Content-Type"] == "application/problem+json"
    assert set(answer[2]) == {"type", "title", "status", "detail"}
    assert answer[2]["status"] == status
    assert words in answer[2]["detail"]


class TestHealth:
    async def test_healthz(self, site: Site, backend: Fake) -> None:
        assert (await site.get("/healthz"))[0] == 200
        backend.is_healthy = False
        assert (await site.get("/healthz"))[0] == 503

    async def test_readyz(self, site: Site, backend: Fake) -> None:
        status, _, body = await site.get("/readyz")
        assert (status, body) == (200, {"ready": True})
        backend.is_ready = False
        status, _, body = await site.get("/readyz")
        assert (status, body) == (503, {"ready": False, "reasons": ["okx BTC/USDT: sequence_gap"]})


class TestApi:
    async def test_status(self, site: Site) -> None:
        status, headers, body = await site.get("/api/status")
        assert (status, body["version"], headers["Cache-Control"]) == (200, "1.2.3", "no-store")

    async def test_book(self, site: Site, backend: Fake) -> None:
        status, _, body = await site.get("/api/book?venue=okx&instrument=BTC/USDT:USDT&levels=5")
        assert (status, body["bids"]) == (200, [["1.10", "2"]])
        await site.get("/api/book?venue=okx&instrument=BTC/USDT")
        assert backend.asked == [("okx", "BTC/USDT:USDT", 5), ("okx", "BTC/USDT", 20)]

    @pytest.mark.parametrize(
        ("query", "status", "words"),
        [
            ("", 400, "'venue' is missing"),
            ("?venue=okx", 400, "'instrument' is missing"),
            ("?venue=okx&instrument=", 400, "'instrument' is missing"),
            ("?venue=okx&instrument=B&levels=0", 400, "from 1 to 1000"),
            ("?venue=okx&instrument=B&levels=1001", 400, "from 1 to 1000"),
            ("?venue=okx&instrument=B&levels=1_0", 400, "from 1 to 1000"),
            ("?venue=okx&instrument=B&levels=%D9%A7", 400, "from 1 to 1000"),
            ("?venue=okx&instrument=B&depth=5", 400, "unknown query parameter 'depth', expected venue, instrument"),
            ("?venue=okx&venue=okx&instrument=B", 400, "'venue' given twice"),
            ("?venue=mtgox&instrument=B", 404, "no book of B on mtgox"),
        ],
    )
    async def test_book_asked_wrongly(self, site: Site, query: str, status: int, words: str) -> None:
        assert_problem(await site.get(f"/api/book{query}"), status, words)

    async def test_signals(self, site: Site, backend: Fake) -> None:
        status, _, body = await site.get("/api/signals?from_seq=4&limit=2")
        assert (status, body) == (
            200,
            {"epoch": "01J", "oldest_seq": 2, "last_seq": 9, "next_seq": 6, "signals": [{"seq": 4}, {"seq": 5}]},
        )
        status, _, body = await site.get("/api/signals?from_seq=10")
        assert (status, body["next_seq"], body["signals"]) == (200, 10, [])
        await site.get("/api/signals")
        assert backend.asked == [(4, 2), (10, 100), (None, 100)]

    async def test_one_signal(self, site: Site, backend: Fake) -> None:
        status, _, body = await site.get("/api/signals/00000000000000aa")
        assert (status, body) == (200, {"id": "00000000000000aa"})
        for unknown in ("00000000000000ab", "aa", "..%2Fjournal", "0000000000000AAA"):
            assert_problem(await site.get(f"/api/signals/{unknown}"), 404, "no signal of that id")
        assert backend.asked == [("00000000000000aa",), ("00000000000000ab",)], "what is no id is asked of nobody"

    @pytest.mark.parametrize("query", ["from_seq=-1", "from_seq=x", "limit=0", "limit=5000", "from_seq=9" + "9" * 19])
    async def test_signals_asked_wrongly(self, site: Site, query: str) -> None:
        assert_problem(await site.get(f"/api/signals?{query}"), 400, "expected a whole number")

    async def test_metrics(self, site: Site, backend: Fake) -> None:
        wanted = {"Accept": "application/openmetrics-text", "Accept-Encoding": "gzip"}
        status, headers, body = await site.get("/metrics", headers=wanted)
        assert (status, headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
        assert headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(body) == b"up 1\n" * 1000
        assert backend.asked == [("application/openmetrics-text",)]


class TestResync:
    PATH = "/api/books/resync?venue=okx&instrument=B"

    async def test_from_this_machine(self, site: Site) -> None:
        status, _, body = await site.ask("POST", self.PATH)
        assert (status, body["state"]) == (200, "live")

    async def test_that_failed(self, site: Site, backend: Fake) -> None:
        backend.resync_answer = {"ok": False, "reason": "snapshot_failed"}
        status, _, body = await site.ask("POST", self.PATH)
        assert (status, body["reason"]) == (502, "snapshot_failed")

    @pytest.mark.parametrize(
        "headers", [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"X-Forwarded-For": "1.2.3.4"}]
    )
    async def test_from_a_foreign_page_or_through_a_proxy(self, site: Site, headers: dict[str, str]) -> None:
        assert_problem(await site.ask("POST", self.PATH, headers=headers), 403, "only from this machine")

    async def test_with_a_token(self, backend: Fake) -> None:
        async with serving(backend, token="s3cret") as site:
            for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic s3cret"}):
                answer = await site.ask("POST", self.PATH, headers=headers)
                assert_problem(answer, 401, "Bearer TOKEN")
                assert answer[1]["WWW-Authenticate"] == "Bearer"
            assert (await site.ask("POST", self.PATH, headers={"Authorization": "Bearer s3cret"}))[0] == 200

    @pytest.mark.parametrize(("fault", "status"), [(UnknownBook(), 404), (ResyncRefused("budget spent", 7.4), 429)])
    async def test_refused(self, site: Site, backend: Fake, fault: Exception, status: int) -> None:
        backend.fault = fault
        answer = await site.ask("POST", self.PATH)
        assert_problem(answer, status, "")
        if status == 429:
            assert answer[1]["Retry-After"] == "7"

    async def test_that_takes_too_long(self, backend: Fake) -> None:
        backend.blocker = asyncio.Event()
        async with serving(backend, resync_s=0.01) as site:
            assert_problem(await site.ask("POST", self.PATH), 504, "not live after 0.01 s")

    async def test_is_not_a_get(self, site: Site) -> None:
        answer = await site.get(self.PATH)
        assert_problem(answer, 405, "POST")
        assert answer[1]["Allow"] == "POST"


class TestManners:
    @pytest.mark.parametrize("path", ["/healthz", "/readyz", "/api/status"])
    async def test_unknown_parameters_are_errors(self, site: Site, path: str) -> None:
        assert_problem(await site.get(f"{path}?verbose=1"), 400, "unknown query parameter 'verbose'")

    async def test_unknown_path(self, site: Site) -> None:
        assert_problem(await site.get("/api/orders"), 404, "GET /api/orders")

    @pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/api/status", "/"])
    async def test_head(self, site: Site, path: str) -> None:
        status, headers, body = await site.ask("HEAD", path)
        assert (status, body) == (200, b"")
        assert int(headers["Content-Length"]) > 0

    @pytest.mark.parametrize("path", ["/", "/app.js", "/api/status", "/metrics", "/nowhere"])
    async def test_security_headers_everywhere(self, site: Site, path: str) -> None:
        headers = (await site.get(path))[1]
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert "frame-ancestors 'none'" in policy
        assert "ws://127.0.0.1:8801" in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert "Access-Control-Allow-Origin" not in headers
        assert "Server" not in headers

    @pytest.mark.parametrize("host", ["evil.example", "evil.example:8800", "127.0.0.1.evil.example", "[::1"])
    async def test_a_foreign_host_name(self, site: Site, host: str) -> None:
        assert_problem(await site.get("/api/status", headers={"Host": host}), 421, "that Host")

    @pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8800", "127.0.0.1:80", "[::1]:8800", "desk.example"])
    async def test_our_own_names(self, backend: Fake, host: str) -> None:
        async with serving(backend, hosts=("desk.example",)) as site:
            assert (await site.get("/api/status", headers={"Host": host}))[0] == 200

    async def test_a_fault_of_ours_is_500_without_its_text(self, site: Site, backend: Fake) -> None:
        backend.fault = RuntimeError("a secret")
        answer = await site.get("/api/status")
        assert_problem(answer, 500, "see the log")
        assert "secret" not in str(answer[2])

    async def test_port_in_use(self, site: Site, backend: Fake) -> None:
        with pytest.raises(AddressInUse, match=rf"http: 127\.0\.0\.1:{site.port} is already in use"):
            await HttpServer(backend, HttpOptions(port=site.port)).start()

    async def test_stop_without_start(self, backend: Fake) -> None:
        server = HttpServer(backend, HttpOptions(port=0, token="s3cret"))
        await server.stop()
        assert "s3cret" not in repr(HttpOptions(token="s3cret"))

    async def test_rubbish_on_the_socket(self, site: Site) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writer.write(b"\x16\x03\x01 not HTTP\r\n\r\n")
        assert b" 400 " in await reader.readline()
        writer.close()
        await writer.wait_closed()
        assert (await site.get("/healthz"))[0] == 200

    async def test_on_all_addresses_any_host_name_is_good(self, backend: Fake) -> None:
        async with serving(backend, host="0.0.0.0") as site:
            assert (await site.get("/api/status", headers={"Host": "desk.example"}))[0] == 200


class Links(HTMLParser):
    """What a page loads, and what a strict policy would refuse."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.metas: dict[str, str] = {}
        self.inline: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.loads += [found[name] or "" for name in ("src", "href") if found.get(name)]
        self.inline += [name for name in found if name.startswith("on") or name == "style"]
        if tag == "style" or (tag == "script" and "src" not in found):
            self.inline.append(tag)
        if tag == "meta" and found.get("name"):
            self.metas[found["name"] or ""] = found.get("content") or ""


class TestPage:
    async def test_loads_only_what_is_there_and_allowed(self, site: Site) -> None:
        status, headers, body = await site.get("/", headers={"Accept-Encoding": "identity"})
        assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        page = Links()
        page.feed(body.decode())
        assert page.inline == []
        assert len(page.loads) == 3
        for path in page.loads:
            assert (await site.get(f"/{path}"))[0] == 200, path
        assert (page.metas["stream-port"], page.metas["stream-url"]) == ("8801", "")

    async def test_is_told_where_the_stream_is(self, backend: Fake) -> None:
        async with serving(backend, stream_url='wss://desk.example/v1?a="b"') as site:
            _, headers, body = await site.get("/", headers={"Accept-Encoding": "identity"})
            assert b'content="wss://desk.example/v1?a=&quot;b&quot;"' in body
            assert "connect-src 'self' wss://desk.example/v1;" in headers["Content-Security-Policy"]

    async def test_files_are_zipped_and_asked_for_once(self, site: Site) -> None:
        plain = (await site.get("/app.js", headers={"Accept-Encoding": "identity"}))[2]
        _, headers, zipped = await site.get("/app.js", headers={"Accept-Encoding": "gzip"})
        assert gzip.decompress(zipped) == plain
        assert headers["Cache-Control"] == "no-cache"
        status, _, body = await site.get("/app.js", headers={"If-None-Match": headers["ETag"]})
        assert (status, body) == (304, b"")
        status, _, _ = await site.get("/app.js", headers={"If-None-Match": '"other"'})
        assert status == 200

    @pytest.mark.parametrize("path", ["/index.html", "/static/app.js", "/../journal.py", "/%2e%2e/journal.py"])
    async def test_nothing_else_is_served(self, site: Site, path: str) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)  # no client tidies the path up
        writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
        assert b" 404 " in await reader.readline()
        writer.close()
        await writer.wait_closed()


@pytest.mark.browser
async def test_the_page_lives_in_a_browser(backend: Fake) -> None:
    """Chromium with the real stream: nothing is refused by the policy, books and signals stand on the page."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        if os.environ.get("IMBALANCED_REQUIRE_ALL") == "1":
            pytest.fail("no chromium: apt-get install chromium")
        pytest.skip("no chromium on this machine")
    journal, hub = Journal.open(None), Hub()
    journal.append([signal_from_json(EXAMPLE)])
    book: dict[str, Any] = {"venue": "okx", "instrument": "BTC/USDT", "recv_ns": time.time_ns()}
    hub.publish(BookValid(**book, book_seq=1, checks=("sequence",)))
    hub.publish(MetricSnapshot(**book, ts_ns=1, book_seq=1, mid="61659.75", values={"ofi": -12.5, "vpin": None}))
    stream = WebsocketSink(WebsocketOptions(port=0), journal, hub)
    await stream.open()
    complaints: list[str] = []
    async with serving(backend, stream_port=stream.port) as site, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = await browser.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        await page.goto(f"http://127.0.0.1:{site.port}/")
        await expect(page.locator("#link")).to_have_text("● live")
        row = page.locator("#signals tr")
        await expect(row).to_have_count(1)
        await expect(row.locator("td")).to_have_text(
            ["04:20:00.124", "open", "▲ buy", "sweep", "BTC/USDT  okx", "+3.4", "", "61659.75"]
        )
        card = page.locator(".book")
        await expect(card.locator("h3 span")).to_have_text("● live")
        await expect(card.locator("dd")).to_have_text(["−12.5", "–"])
        await expect(card.locator("dd").first).to_have_class("sell")
        await browser.close()
    await stream.close()
    assert complaints == []
