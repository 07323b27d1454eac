"""Who may ask, how errors look, and the headers of every answer. No paths of ours here.

Errors are RFC 9457 problems. Headers after the OWASP secure headers project; no inline script or style is allowed.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable

import orjson
import structlog
from aiohttp import web

from imbalanced.sinks.address import host_allowed, hostname, is_loopback

__all__ = ["Guard", "Problem", "json_response", "problems"]

log = structlog.get_logger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self' {stream}; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Problem(Exception):
    """An answer that is an error, with words for a person."""

    def __init__(self, status: int, title: str, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(f"{title}: {detail}")
        self.status = status
        self.title = title
        self.detail = detail
        self.headers = headers or {}

    def response(self) -> web.Response:
        body = {"type": "about:blank", "title": self.title, "status": self.status, "detail": self.detail}
        return web.Response(
            body=orjson.dumps(body), status=self.status, content_type="application/problem+json", headers=self.headers
        )


class Guard:
    """The checks that every request passes. ``bound`` is the address we listen on."""

    def __init__(self, bound: str, hosts: tuple[str, ...], token: str | None, stream: Callable[[str], str]) -> None:
        self._bound = bound
        self._hosts = hosts
        self._token = token.encode() if token else None
        self._stream = stream  # the websocket origin that the page may connect to, from the request's host name

    @web.middleware
    async def check_host(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if not host_allowed(self._bound, request.headers.get("Host"), self._hosts):
            raise Problem(421, "Misdirected Request", "this address does not answer to that Host")
        return await handler(request)

    async def add_headers(self, request: web.Request, response: web.StreamResponse) -> None:
        """On every answer, errors included (aiohttp's ``on_response_prepare``)."""
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        response.headers.setdefault("Cache-Control", "no-store")
        stream = self._stream(hostname(request.headers.get("Host", "")) or "")
        response.headers.setdefault("Content-Security-Policy", POLICY.format(stream=stream))
        response.headers.pop("Server", None)

    def demand_admin(self, request: web.Request) -> None:
        """Scope ``admin``: the token; where none is configured, a caller on this machine that is no foreign page."""
        if self._token is not None:
            scheme, _, given = request.headers.get("Authorization", "").partition(" ")
            if scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), self._token):
                return
            raise Problem(
                401, "Unauthorized", "scope admin: expected Authorization: Bearer TOKEN", {"WWW-Authenticate": "Bearer"}
            )
        # A browser sends a POST from any page without asking first, and only says where the page came from.
        origin = request.headers.get("Origin")
        foreign = origin is not None and hostname(origin) != hostname(request.headers.get("Host", ""))
        # Behind a proxy on this machine everybody is on loopback.
        proxied = "X-Forwarded-For" in request.headers or "Forwarded" in request.headers
        if foreign or proxied or not is_loopback(request.remote or ""):
            raise Problem(403, "Forbidden", "scope admin: without a configured token only from this machine")


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Our problems and aiohttp's own errors in one form; what nobody foresaw is 500 with the traceback in the log."""
    try:
        return await handler(request)
    except Problem as problem:
        return problem.response()
    except web.HTTPMethodNotAllowed as exc:
        allow = ", ".join(sorted(exc.allowed_methods))
        return Problem(405, exc.reason, f"{request.path} knows {allow}", {"Allow": allow}).response()
    except web.HTTPException as exc:
        if exc.status < 400:
            raise
        return Problem(exc.status, exc.reason, f"{request.method} {request.path}").response()
    except Exception:  # the outer loop of a request: its failure is one answer, not the server's end
        log.exception("http_failed", method=request.method, path=request.path)
        return Problem(500, "Internal Server Error", "see the log of the daemon").response()


def json_response(body: object, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(body), status=status, content_type="application/json")
