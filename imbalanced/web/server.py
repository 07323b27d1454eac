"""The paths of the HTTP interface. One handler a path: check what was asked, ask the backend, answer."""

from __future__ import annotations

import asyncio
import re
from html import escape

import orjson
from aiohttp import web
from msgspec import Struct

from imbalanced.sinks.address import listening
from imbalanced.web.backend import Backend, ResyncRefused, UnknownBook
from imbalanced.web.guard import Guard, Problem, json_response, problems
from imbalanced.web.pages import Pages

__all__ = ["HttpOptions", "HttpServer"]

MAX_LEVELS = 1_000
MAX_SIGNALS = 1_000


class HttpOptions(Struct, frozen=True, kw_only=True):
    """``port`` 0 takes a free one. ``token`` is the bearer token of scope admin. ``hosts``: names we answer to besides
    loopback. ``stream_url`` is where the page finds the stream; empty: ``stream_port`` on the page's own host."""

    host: str = "127.0.0.1"
    port: int = 8800
    token: str | None = None
    hosts: tuple[str, ...] = ()
    stream_port: int = 8801
    stream_url: str = ""
    resync_s: float = 60.0
    shutdown_s: float = 2.0

    def __repr__(self) -> str:
        return f"HttpOptions(host={self.host!r}, port={self.port}, token={'***' if self.token else None})"


SIGNAL_ID = re.compile("[0-9a-f]{16}")


class HttpServer:
    """:meth:`start` binds, :meth:`stop` lets running answers end."""

    def __init__(self, backend: Backend, options: HttpOptions) -> None:
        self._backend = backend
        self._options = options
        self._guard = Guard(options.host, options.hosts, options.token, self._stream_source)
        self._runner: web.AppRunner | None = None

    @property
    def port(self) -> int:
        """The port really bound; the configured one while not listening."""
        if self._runner is None or not self._runner.addresses:
            return self._options.port
        port: int = self._runner.addresses[0][1]
        return port

    async def start(self) -> None:
        """Listen; :class:`~imbalanced.sinks.address.AddressInUse` if somebody else does."""
        runner = web.AppRunner(self._application(), access_log=None, shutdown_timeout=self._options.shutdown_s)
        await runner.setup()
        try:
            with listening("http", self._options.host, self._options.port):
                await web.TCPSite(runner, self._options.host, self._options.port).start()
        except BaseException:
            await runner.cleanup()
            raise
        self._runner = runner

    async def stop(self) -> None:
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    def _application(self) -> web.Application:
        options = self._options
        app = web.Application(middlewares=[problems, self._guard.check_host], client_max_size=64 * 1024)
        app.on_response_prepare.append(self._guard.add_headers)
        app.add_routes(
            [
                web.get("/healthz", self._healthz),
                web.get("/readyz", self._readyz),
                web.get("/metrics", self._metrics),
                web.get("/api/status", self._status),
                web.get("/api/book", self._book),
                web.get("/api/signals", self._signals),
                web.get("/api/signals/{id}", self._about),
                web.post("/api/books/resync", self._resync),
            ]
        )
        pages = Pages({"stream_port": str(options.stream_port), "stream_url": escape(options.stream_url)})
        app.add_routes([web.get("/" if name == "index.html" else f"/{name}", pages.serve) for name in pages.names])
        return app

    def _stream_source(self, host: str) -> str:
        """The source expression for the page's websocket in the Content-Security-Policy."""
        if self._options.stream_url:
            return self._options.stream_url.partition("?")[0]
        port = self._options.stream_port
        if re.fullmatch(r"[a-z0-9.-]+", host):
            return f"ws://{host}:{port} wss://{host}:{port}"
        # An IPv6 address has no form in a source expression (CSP 3, 2.3.1): any websocket of that scheme, then.
        return "ws: wss:" if ":" in host else ""

    async def _healthz(self, request: web.Request) -> web.Response:
        _query(request)
        healthy = self._backend.healthy()
        return json_response({"healthy": healthy}, 200 if healthy else 503)

    async def _readyz(self, request: web.Request) -> web.Response:
        _query(request)
        ready, facts = self._backend.ready()
        return json_response({"ready": ready, **facts}, 200 if ready else 503)

    async def _metrics(self, request: web.Request) -> web.Response:
        # Prometheus may be told to send parameters of its own (`params:`), so these are not judged.
        body, content_type = await self._backend.metrics(request.headers.get("Accept", ""))
        response = web.Response(body=body, headers={"Content-Type": content_type})
        response.enable_compression()
        return response

    async def _status(self, request: web.Request) -> web.Response:
        _query(request)
        return json_response(self._backend.status())

    async def _book(self, request: web.Request) -> web.Response:
        query = _query(request, "venue", "instrument", "levels")
        venue, instrument = _required(query, "venue"), _required(query, "instrument")
        book = self._backend.book(venue, instrument, _number(query, "levels", 20, 1, MAX_LEVELS))
        if book is None:
            raise Problem(404, "Not Found", f"no book of {instrument} on {venue} is configured")
        return json_response(book)

    async def _signals(self, request: web.Request) -> web.Response:
        query = _query(request, "from_seq", "limit")
        from_seq = _number(query, "from_seq", 0, 0, 2**63 - 1) if "from_seq" in query else None
        limit = _number(query, "limit", 100, 1, MAX_SIGNALS)
        page = self._backend.signals(from_seq, limit)
        following = page.entries[-1].seq + 1 if page.entries else max(from_seq or 0, page.oldest_seq)
        # The journal's own bytes, not decoded and encoded again.
        head = {"epoch": page.epoch, "oldest_seq": page.oldest_seq, "last_seq": page.last_seq, "next_seq": following}
        texts = b",".join(entry.text for entry in page.entries)
        body = orjson.dumps(head)[:-1] + b',"signals":[' + texts + b"]}"
        return web.Response(body=body, content_type="application/json")

    async def _about(self, request: web.Request) -> web.Response:
        _query(request)
        id_ = request.match_info["id"]
        told = self._backend.about(id_) if SIGNAL_ID.fullmatch(id_) else None
        if told is None:
            raise Problem(404, "Not Found", "the journal holds no signal of that id")
        return json_response(told)

    async def _resync(self, request: web.Request) -> web.Response:
        self._guard.demand_admin(request)
        query = _query(request, "venue", "instrument")
        venue, instrument = _required(query, "venue"), _required(query, "instrument")
        try:
            async with asyncio.timeout(self._options.resync_s):
                answer = await self._backend.resync(venue, instrument)
        except UnknownBook as exc:
            raise Problem(404, "Not Found", f"no book of {instrument} on {venue} is configured") from exc
        except ResyncRefused as exc:
            wait = {"Retry-After": str(max(1, round(exc.retry_after_s)))}
            raise Problem(429, "Too Many Requests", str(exc), wait) from exc
        except TimeoutError as exc:
            raise Problem(504, "Gateway Timeout", f"not live after {self._options.resync_s:g} s") from exc
        return json_response(answer, 200 if answer.get("ok", True) else 502)


def _query(request: web.Request, *known: str) -> dict[str, str]:
    """The query as a dict; what is not known or given twice is an error that says so."""
    query: dict[str, str] = {}
    for name, value in request.query.items():
        if name not in known:
            expected = f"expected {', '.join(known)}" if known else "none is expected"
            raise Problem(400, "Bad Request", f"unknown query parameter {name!r}, {expected}")
        if name in query:
            raise Problem(400, "Bad Request", f"query parameter {name!r} given twice")
        query[name] = value
    return query


def _required(query: dict[str, str], name: str) -> str:
    if not query.get(name):
        raise Problem(400, "Bad Request", f"query parameter {name!r} is missing")
    return query[name]


def _number(query: dict[str, str], name: str, default: int, low: int, high: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    # Not int(): it takes "1_000", " 7" and other digits than ours.
    if not (text.isascii() and text.isdigit()) or len(text) > 19 or not low <= int(text) <= high:
        raise Problem(400, "Bad Request", f"query parameter {name!r}: expected a whole number from {low} to {high}")
    return int(text)
