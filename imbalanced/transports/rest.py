"""REST answers of one venue: one shared session, a weight budget, and obedience when the venue says stop.

Every request ends in an :class:`Answer`; nothing is raised to the caller but cancellation. Which requests are made, and
what an answer means, is decided elsewhere.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Literal, Self

import aiohttp
from msgspec import Struct

from imbalanced.backoff import Weight
from imbalanced.transports.transport import retry_after_s

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable
    from types import TracebackType

    from multidict import CIMultiDictProxy

_USED_WEIGHT = re.compile(r"(?i)used-weight(-1m)?$")  # such as x-mbx-used-weight-1m
_STOP = (418, 429)  # "I'm a teapot" is what a banned address is answered by some venues
_CHUNK = 256 << 10


class RestOptions(Struct, frozen=True, kw_only=True):
    """Times in seconds. ``wait_s``: a request that would have to wait longer for budget or ban is answered at once."""

    timeout_s: float = 10.0
    wait_s: float = 30.0
    stop_s: float = 60.0
    concurrency: int = 4
    max_bytes: int = 32 << 20
    headers: tuple[tuple[str, str], ...] = (("User-Agent", "imbalanced"),)


class Answer(Struct, frozen=True):
    """HTTP ``status`` and body; status 0: there was no answer, ``data`` says why."""

    status: int
    data: bytes


class Rest:
    """The REST side of one venue. ``async with`` opens and closes its session; any number of tasks may ``call``."""

    def __init__(
        self,
        weight_per_min: int,
        options: RestOptions,
        *,
        ssl: ssl.SSLContext | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        now: Callable[[], float] | None = None,
    ) -> None:
        self._options = options
        self._ssl = ssl
        self._sleep = sleep
        self._now = now or asyncio.get_running_loop().time
        self._slots = asyncio.Semaphore(options.concurrency)
        self._turn = asyncio.Lock()  # requests wait for budget in the order in which they came
        self._stopped_until = 0.0
        self.weight = Weight(weight_per_min)

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            headers=self._options.headers,
            timeout=aiohttp.ClientTimeout(total=self._options.timeout_s),
            connector=aiohttp.TCPConnector(limit=self._options.concurrency, ssl=self._ssl or True),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    @property
    def stopped_s(self) -> float:
        """For how long the venue will not be asked at all; 0: it may be."""
        return max(0.0, self._stopped_until - self._now())

    async def call(self, url: str, weight: int, method: Literal["GET", "POST"] = "GET") -> Answer:
        """GET or POST (without a body) ``url``, when the budget allows it."""
        async with self._slots:
            refusal = await self._allowed(weight)
            if refusal:
                return Answer(0, refusal.encode())
            try:
                async with self._session.request(method, url, allow_redirects=False) as response:
                    self._heed(response.status, response.headers)
                    return Answer(response.status, await self._body(response))
            except TimeoutError:
                return Answer(0, b"timeout: no answer within %g s" % self._options.timeout_s)
            except (
                aiohttp.ClientError,
                OSError,
                ValueError,
            ) as error:  # ValueError: not a URL, or nothing HTTP would say
                return Answer(0, f"{type(error).__name__}: {error}".encode()[:500])

    async def _allowed(self, weight: int) -> str:
        """Waits for the budget; why not to ask at all, or nothing."""
        async with self._turn:
            while True:
                now = self._now()
                stopped_s = self._stopped_until - now
                wait_s = max(stopped_s, self.weight.wait_s(now, weight))
                if wait_s <= 0:
                    self.weight.spend(now, weight)
                    return ""
                if wait_s > self._options.wait_s:
                    why = "the venue asked to wait" if stopped_s > 0 else "weight budget used up"
                    return f"not sent: {why}, {wait_s:.0f} s to go"
                await self._sleep(wait_s)

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        """The body, decompressed, up to the bound."""
        parts, size = [], 0
        async for part in response.content.iter_chunked(_CHUNK):
            size += len(part)
            if size > self._options.max_bytes:
                response.close()
                raise ValueError(f"body above {self._options.max_bytes} bytes")
            parts.append(part)
        return b"".join(parts)

    def _heed(self, status: int, headers: CIMultiDictProxy[str]) -> None:
        now = self._now()
        for name, value in headers.items():
            if value.isdigit() and _USED_WEIGHT.search(name):
                self.weight.reported(now, int(value))
        if status in _STOP:
            wait_s = retry_after_s(headers.get("Retry-After")) or self._options.stop_s
            self._stopped_until = max(self._stopped_until, now + wait_s)
