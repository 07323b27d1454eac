"""The files of the live page, read once at start: with an ETag, and gzipped for those who accept it."""

from __future__ import annotations

import gzip
import hashlib
from importlib import resources

from aiohttp import web

__all__ = ["Pages"]

TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


class _File:
    def __init__(self, body: bytes, content_type: str) -> None:
        self.body = body
        self.zipped = gzip.compress(body, mtime=0)
        self.content_type = content_type
        self.etag = hashlib.sha256(body).hexdigest()[:16]


class Pages:
    """``names`` are the paths below ``/``; ``index.html`` is ``/`` itself."""

    def __init__(self, replace: dict[str, str]) -> None:
        self._files: dict[str, _File] = {}
        for source in resources.files("imbalanced.web").joinpath("static").iterdir():
            content_type = TYPES.get(source.name.rpartition(".")[2])
            if content_type is None:
                continue
            body = source.read_bytes()
            if source.name == "index.html":
                for name, value in replace.items():
                    body = body.replace(f"{{{{{name}}}}}".encode(), value.encode())
            self._files[source.name] = _File(body, content_type)

    @property
    def names(self) -> list[str]:
        return sorted(self._files)

    async def serve(self, request: web.Request) -> web.Response:
        file = self._files[request.path.lstrip("/") or "index.html"]
        # Looked up again each time (the daemon may be a newer one), but sent only when changed.
        headers = {"ETag": f'"{file.etag}"', "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
        if any(tag.value in (file.etag, "*") for tag in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
        body = file.body
        if "gzip" in request.headers.get("Accept-Encoding", ""):
            body = file.zipped
            headers["Content-Encoding"] = "gzip"
        return web.Response(body=body, content_type=file.content_type, charset="utf-8", headers=headers)
