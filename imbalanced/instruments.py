"""What a venue lists: symbols, tick sizes, contract sizes, status. The only home of ccxt.

ccxt is large and needed for one or two requests: it runs in a child process that prints what it found and is gone. The
daemon itself never imports it. What was found is kept in a file, so that a start needs no network when the list is
young, and is possible with an old one when the venue's REST is down.

Errors::

    InstrumentsError                the base; nobody raises it
     +-- InstrumentsUnavailable     the venue did not answer and there is no file to fall back on
     +-- UnknownInstrument          a symbol that the venue does not list; names the nearest ones
"""

from __future__ import annotations

import asyncio
import difflib
import hashlib
import importlib
import os
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from imbalanced.events import Instrument
from imbalanced.venues.ccxt_spec import CcxtSpec

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

Order = Literal["volume_24h", "listing"]
_VERSION = 1
_PRICE_SCALE = 8  # enough for every venue's ticks but the finest, and the same for all symbols of most


class InstrumentsError(Exception):
    """The list of instruments is not to be had, or not what was wanted."""


class InstrumentsUnavailable(InstrumentsError):
    """Neither the venue nor a file could tell."""


class UnknownInstrument(InstrumentsError):
    """Some of what was wanted is not listed."""

    def __init__(self, venue: str, nearest: dict[str, list[str]]) -> None:
        self.venue, self.nearest = venue, nearest
        parts = [f"{symbol!r} (near: {', '.join(near) or 'nothing'})" for symbol, near in nearest.items()]
        super().__init__(f"{venue} does not list {'; '.join(parts)}")


class Ranking(Protocol):
    """The largest ``top`` instruments, of one ``quote`` currency if given."""

    @property
    def quote(self) -> str | None: ...

    @property
    def top(self) -> int: ...


class Instruments:
    """A venue's list. ``stale_since``: when it was fetched, where it is older than wished and the venue is down.

    ``order`` says what "largest" means here: traded value of the last 24 h or, if nobody told, the venue's own order.
    """

    def __init__(
        self,
        venue: str,
        listed: Sequence[Instrument],
        *,
        volumes: dict[str, float] | None = None,
        stale_since: datetime | None = None,
    ) -> None:
        self.venue = venue
        self.listed = tuple(listed)
        self.stale_since = stale_since
        self.order: Order = "volume_24h" if volumes else "listing"
        self._volumes = volumes or {}
        self._by_symbol = {instrument.symbol: instrument for instrument in self.listed}

    def __len__(self) -> int:
        return len(self.listed)

    def __iter__(self) -> Iterator[Instrument]:
        return iter(self.listed)

    def get(self, symbol: str) -> Instrument | None:
        return self._by_symbol.get(symbol)

    def select(self, wanted: Sequence[str] | Ranking) -> tuple[Instrument, ...]:
        """The instruments of these unified symbols, in this order, or the largest active ones."""
        if not isinstance(wanted, Sequence):
            return self._largest(wanted.top, wanted.quote)
        unknown = [symbol for symbol in wanted if symbol not in self._by_symbol]
        if unknown:
            raise UnknownInstrument(self.venue, {symbol: self._nearest(symbol) for symbol in unknown})
        return tuple(self._by_symbol[symbol] for symbol in wanted)

    def _largest(self, top: int, quote: str | None) -> tuple[Instrument, ...]:
        fitting = [one for one in self.listed if one.active and quote in (None, one.quote)]
        if not fitting:
            quotes = sorted({one.quote for one in self.listed if one.active})
            raise UnknownInstrument(self.venue, {f"*/{quote}": difflib.get_close_matches(quote or "", quotes)})
        return tuple(sorted(fitting, key=lambda one: -self._volumes.get(one.symbol, 0.0))[:top])

    def _nearest(self, symbol: str) -> list[str]:
        found = difflib.get_close_matches(symbol.upper(), self._by_symbol, n=3, cutoff=0.5)
        by_id = [one.symbol for one in self.listed if one.venue_symbol.upper() == symbol.upper()]
        return list(dict.fromkeys([*by_id, *found]))[:3]


# -- loading -----------------------------------------------------------------------------------------------------------


class _Job(Struct, frozen=True, kw_only=True):
    """What the child is asked."""

    venue: str
    spec: CcxtSpec
    rest: str | None
    volumes: bool
    timeout_s: float


class _Found(Struct, frozen=True, kw_only=True):
    """What the child answers. ``note``: what went wrong without harm."""

    instruments: list[Instrument] = []
    volumes: dict[str, float] = {}
    note: str = ""
    error: str = ""


class _Kept(Struct, frozen=True, kw_only=True):
    """The file. ``volumes`` is None where nobody asked for them, or asked in vain: the next one who wants them asks."""

    format: Literal["imbalanced instruments"]
    version: int
    source: str
    fetched_ns: int
    volumes: dict[str, float] | None
    instruments: list[Instrument]


async def load(
    venue: str,
    spec: CcxtSpec,
    *,
    log: FilteringBoundLogger,
    rest: str | None = None,
    cache_dir: Path | None = None,
    volumes: bool = False,
    max_age_s: float = 6 * 3600.0,
    timeout_s: float = 60.0,
) -> Instruments:
    """The venue's instruments: from a file not older than ``max_age_s``, else from the venue, else from an older file.

    ``rest`` asks another host in place of the venue's (the path of every URL stays). ``volumes``: also ask for the
    traded values that a ranking needs.
    """
    job = _Job(venue=venue, spec=spec, rest=rest, volumes=volumes, timeout_s=timeout_s)
    log = log.bind(venue=venue)
    path = _path(job, cache_dir) if cache_dir else None
    kept = await asyncio.to_thread(_read, path, job, log) if path else None
    if kept and 0 <= time.time_ns() - kept.fetched_ns <= max_age_s * 1e9 and (kept.volumes is not None or not volumes):
        return Instruments(venue, kept.instruments, volumes=kept.volumes)
    try:
        found = await _ask(job)
    except InstrumentsUnavailable as error:
        if kept is None:
            raise
        since = datetime.fromtimestamp(kept.fetched_ns / 1e9, UTC)
        log.warning("instruments_stale", since=since.isoformat(), path=str(path), why=str(error))
        return Instruments(venue, kept.instruments, volumes=kept.volumes, stale_since=since)
    if found.note:
        log.warning("instruments_unranked", why=found.note)
    log.info("instruments_loaded", count=len(found.instruments), ranked=bool(found.volumes))
    if path:
        await asyncio.to_thread(_write, path, job, found, log)
    return Instruments(venue, found.instruments, volumes=found.volumes)


async def _ask(job: _Job) -> _Found:
    """Runs the child. However this ends, the child has ended too."""
    home = str(Path(__file__).parents[1])
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [home, os.environ.get("PYTHONPATH")]))}
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "imbalanced.instruments", stdin=pipe, stdout=pipe, stderr=pipe, env=environment
    )
    try:
        async with asyncio.timeout(job.timeout_s):
            output, errors = await child.communicate(msgspec.json.encode(job))
    except TimeoutError as error:
        raise InstrumentsUnavailable(f"{job.venue}: no list within {job.timeout_s:g} s") from error
    finally:
        if child.returncode is None:
            child.kill()
            await child.communicate()  # reads the pipes to their end, which closes them
    try:
        found = msgspec.json.decode(output, type=_Found)
    except msgspec.DecodeError as error:
        last = errors.decode(errors="replace").strip().rpartition("\n")[2]
        raise InstrumentsUnavailable(f"{job.venue}: the child failed ({child.returncode}): {last[:300]}") from error
    if found.error or not found.instruments:
        raise InstrumentsUnavailable(f"{job.venue}: {found.error or 'an empty list'}")
    return found


# -- the file ----------------------------------------------------------------------------------------------------------


def _source(job: _Job) -> str:
    """Names what was asked: a list of other markets, or of a simulated venue, must never be taken for this one."""
    return msgspec.json.encode([job.venue, job.spec, job.rest], order="sorted").decode()


def _path(job: _Job, folder: Path) -> Path:
    suffix = "-" + hashlib.sha256(job.rest.encode()).hexdigest()[:8] if job.rest else ""
    return folder / f"{job.venue}{suffix}.instruments.json"


def _read(path: Path, job: _Job, log: FilteringBoundLogger) -> _Kept | None:
    """The file's content if it is whole and ours; else said so, and nothing."""
    try:
        kept = msgspec.json.decode(path.read_bytes(), type=_Kept)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        log.error("instruments_file_unusable", path=str(path), why=str(error), next="fetching the list anew")
        return None
    why = ""
    if kept.version != _VERSION:
        why = f"version {kept.version}, expected {_VERSION}"
    elif kept.source != _source(job):
        why = "it is of another source"
    elif not kept.instruments or any(one.venue != job.venue for one in kept.instruments):
        why = "it holds no instruments, or another venue's"
    if why:
        log.error("instruments_file_unusable", path=str(path), why=why, next="fetching the list anew")
        return None
    return kept


def _write(path: Path, job: _Job, found: _Found, log: FilteringBoundLogger) -> None:
    """Beside the target, then renamed: a reader sees the old file or the new one. Failing does no harm."""
    kept = _Kept(
        format="imbalanced instruments",
        version=_VERSION,
        source=_source(job),
        fetched_ns=time.time_ns(),
        volumes=found.volumes or None,
        instruments=found.instruments,
    )
    beside = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_bytes(msgspec.json.encode(kept))
        beside.replace(path)
    except OSError as error:
        log.warning("instruments_file_not_written", path=str(path), why=str(error))


# -- in the child ------------------------------------------------------------------------------------------------------


def _list(job: _Job) -> _Found:
    """Asks the venue through ccxt."""
    ccxt: Any = importlib.import_module("ccxt")
    exchange = getattr(ccxt, job.spec.exchange_id)(
        {
            "options": job.spec.options,
            "timeout": int(job.timeout_s * 1000),
            "number": str,  # the venue's own decimals: ticks never go through a float
            "enableRateLimit": False,  # it would sleep for a second or two between our two requests
        }
    )
    exchange.has["fetchCurrencies"] = False  # needs a key on some venues, and tells nothing of instruments
    if job.rest:
        exchange.urls["api"] = moved(exchange.urls["api"], job.rest, job.spec.rest_paths)
    try:
        markets = exchange.load_markets()
    except ccxt.BaseError as error:
        return _Found(error=_brief(error))
    is_tick = exchange.precisionMode == ccxt.TICK_SIZE
    is_places = exchange.precisionMode == ccxt.DECIMAL_PLACES
    instruments = [
        instrument(job.venue, market, "tick" if is_tick else "places" if is_places else "unknown", job.spec)
        for market in markets.values()
    ]
    volumes: dict[str, float] = {}
    note = ""
    if job.volumes:
        try:
            volumes = {symbol: turnover(ticker) for symbol, ticker in exchange.fetch_tickers().items()}
        except ccxt.BaseError as error:
            note = f"in the venue's own order, as it gave no 24 h volumes: {_brief(error)}"
    return _Found(instruments=instruments, volumes=volumes, note=note)


def moved(urls: Any, rest: str, paths: Sequence[str]) -> Any:
    """ccxt's tree of URLs with those under ``paths`` (all, where none are given) on the host ``rest``, paths kept."""
    if isinstance(urls, dict):
        return {key: moved(value, rest, paths) for key, value in urls.items()}
    path = urlsplit(urls).path
    if paths and not path.startswith(tuple(paths)):
        return urls
    return rest.rstrip("/") + path


def instrument(
    venue: str,
    market: dict[str, Any],
    precision: Literal["tick", "places", "unknown"],
    spec: CcxtSpec | None = None,
) -> Instrument:
    """A ccxt market as ours. ``precision`` is how its precisions are meant (ccxt manual, "Precision Mode")."""
    # The venue's own record need not be an object: some have arrays.
    name: str = (spec and spec.wire_name and market["info"].get(spec.wire_name)) or market["id"]
    if spec and spec.family:
        name = f"{market['info'][spec.family]}/{name}"
    of_base = spec is not None and spec.base_sizes
    tick, lot = (_step(market["precision"].get(which), precision) for which in ("price", "amount"))
    decimals = -int(Decimal(tick).as_tuple().exponent) if tick else 0
    return Instrument(
        venue=venue,
        symbol=market["symbol"],
        venue_symbol=name.upper() if spec and spec.upper_case else name,
        base=market.get("base") or "",
        quote=market.get("quote") or "",
        tick=tick,
        lot=lot,
        price_scale=max(_PRICE_SCALE, decimals),
        contract_size=1.0 if of_base or (spec and spec.amounts) else float(market.get("contractSize") or 1.0),
        # An option is of a fixed amount of the base whatever settles it; ccxt calls it inverse by its settlement.
        inverse=bool(market.get("inverse")) and not market.get("option") and not of_base,
        active=market.get("active") is not False,
    )


def turnover(ticker: dict[str, Any]) -> float:
    """Traded value of the last 24 h in the quote currency; 0 where unknown."""
    if ticker.get("quoteVolume"):
        return float(ticker["quoteVolume"])
    return float(ticker.get("baseVolume") or 0) * float(ticker.get("last") or 0)


def _step(value: Any, precision: str) -> str:
    """A step size as plain decimal text without trailing zeros; empty where unknown."""
    if value is None or precision == "unknown":
        return ""
    try:
        step = Decimal(1).scaleb(-int(value)) if precision == "places" else Decimal(str(value)).normalize()
    except (InvalidOperation, ValueError):
        return ""
    return f"{step:f}" if step > 0 else ""


def _brief(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:300]


def main() -> None:
    """The child: a job on stdin, what was found on stdout."""
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=_Job)
    sys.stdout.buffer.write(msgspec.json.encode(_list(job)))


if __name__ == "__main__":
    main()
