# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Binance: spot, its US twin, USD-M and COIN-M futures. Everything that Binance writes or wants is in this file.

Sources: binance-spot-api-docs (2026-07-21): web-socket-streams, "How to manage a local order book correctly"; Binance
derivatives documentation: "How to manage a local order book correctly", "Important WebSocket Change Notice" (routed
``/public`` and ``/market`` sockets since 2026-04-23: an unrouted socket acknowledges every subscription and delivers
only the public streams); recorded frames of 2021 to 2024.

=================  ================================  ==========================================================
frame              what we do                        seen in
=================  ================================  ==========================================================
``depthUpdate``    Diff                              all products; futures add ``T`` (engine time), ``pu``
``aggTrade``       Print                             all; market trades only
``trade``          Print; ``X`` other than MARKET    all; insurance fund and ADL prints have no aggressor
                   is counted, not traded
``markPriceUpdate``  Context (mark, index, funding)  futures
``forceOrder``     Forced; ``o.S`` is the order's    futures
                   side: SELL closes a long
``bookTicker``,    nothing                           recordings
``kline``, ...
``serverShutdown`` ClosingSoon                       spot since 2026
``{"result":..}``  Answer                            all
depth (REST)       Image; ``lastUpdateId`` -1 is an  all
                   empty new listing
exchangeInfo       Listing                           recordings
=================  ================================  ==========================================================

``m`` true means that the buyer was the maker: the taker sold.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import cython
import orjson

if not cython.compiled:
    from imbalanced.book import Rows
    from imbalanced.venues.diff import Diff
    from imbalanced.venues.scan import Cursor
else:
    from cython.cimports.imbalanced.book import Rows
    from cython.cimports.imbalanced.venues.diff import Diff
    from cython.cimports.imbalanced.venues.scan import Cursor

from msgspec import Struct

from imbalanced.events import Instrument
from imbalanced.venues.ccxt_spec import CcxtSpec
from imbalanced.venues.codec import (
    Answer,
    Chain,
    ClosingSoon,
    CodecError,
    Context,
    Continuity,
    Endpoints,
    Fetch,
    Forced,
    Image,
    ImageFailed,
    Keepalive,
    Limits,
    LinkPlan,
    Listing,
    Print,
)
from imbalanced.venues.scan import FAST, add_levels, px_from_text, size_from_text
from imbalanced.venues.symbols import base_units
from imbalanced.venues.wire import rate, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from imbalanced.book import Book
    from imbalanced.events import Frame
    from imbalanced.venues.codec import Message

NS_PER_MS = 1_000_000
# Both feeds write at most 8 decimals, spot always 8, so this grid survives a change of tick size without a new listing.
PRICE_SCALE = 8
IMAGE_LEVELS = 1000
# Streams in one SUBSCRIBE; its text stays well below what the venue takes.
SUBSCRIBE_AT_ONCE = 100
SIGNS = {"BUY": 1, "SELL": -1}
STREAM_NAME = re.compile(rb'\{"stream":"([a-z0-9_]{1,40})@')

# Keys of a depth frame as Cursor.key() gives them: first + 256 * second character. As C integers, as they are compared
# some ten times a frame: Python globals cost 1 us of it.
_E = cython.declare(cython.int, ord("E"))
_T = cython.declare(cython.int, ord("T"))
_S = cython.declare(cython.int, ord("s"))
_U = cython.declare(cython.int, ord("U"))
_B = cython.declare(cython.int, ord("b"))
_A = cython.declare(cython.int, ord("a"))
_LAST = cython.declare(cython.int, ord("u"))
_PREV = cython.declare(cython.int, ord("p") + 256 * ord("u"))
_PAIR = cython.declare(cython.int, ord("p") + 256 * ord("s"))
_PRODUCT = cython.declare(cython.int, ord("s") + 256 * ord("t"))
_SCALE = cython.declare(cython.int, PRICE_SCALE)
_NS_PER_MS = cython.declare(cython.longlong, NS_PER_MS)
_LAST_MS = cython.declare(cython.longlong, (1 << 63) // NS_PER_MS - 1)


class Route(Struct, frozen=True):
    """One socket path and the stream kinds that it carries. ``{}`` in a stream stands for the symbol in lower case."""

    path: str
    streams: tuple[str, ...]
    books: bool = True


class Product(Struct, frozen=True, kw_only=True):
    """What differs between Binance's products."""

    endpoints: Endpoints
    image_path: str
    image_weight: int
    routes: tuple[Route, ...]
    continuity: Continuity
    limits: Limits
    ccxt: CcxtSpec
    inverse: bool = False
    provides: tuple[str, ...] = ("book", "trade")

    def codec(self, venue: str, endpoints: Endpoints | None = None) -> BinanceCodec:
        """A codec for one run; ``endpoints`` replaces the public hosts."""
        return BinanceCodec(venue, self, endpoints)


SPOT_CHAIN = Continuity(chain=Chain.PLUS_ONE, offset=1, image_levels=IMAGE_LEVELS)
# Futures snapshots are often older than the first diff unless two diffs are awaited first.
FUTURES_CHAIN = Continuity(chain=Chain.PREVIOUS, offset=0, diffs_before_snapshot=2, image_levels=IMAGE_LEVELS)

# Half of what the venue grants an address: other programs may run behind the same one.
SPOT_LIMITS = Limits(messages_per_s=4.0, weight_per_min=3000, streams_per_socket=1024, peer_silence_s=60.0)
US_LIMITS = Limits(messages_per_s=4.0, weight_per_min=1200, streams_per_socket=1024, peer_silence_s=60.0)
FUTURES_LIMITS = Limits(messages_per_s=8.0, weight_per_min=2400, streams_per_socket=200, peer_silence_s=240.0)

FUTURES_ROUTES = (
    Route("/public/stream", ("{}@depth@100ms",)),
    Route("/market/stream", ("{}@aggTrade", "{}@markPrice@1s", "{}@forceOrder"), books=False),
)

FUTURES_PROVIDE = ("book", "trade", "funding", "liquidation")

SPOT = Product(
    endpoints=Endpoints(rest="https://api.binance.com", ws="wss://stream.binance.com:9443"),
    image_path="/api/v3/depth",
    image_weight=50,
    routes=(Route("/stream", ("{}@depth@100ms", "{}@aggTrade")),),
    continuity=SPOT_CHAIN,
    limits=SPOT_LIMITS,
    ccxt=CcxtSpec(exchange_id="binance", options={"fetchMarkets": {"types": ["spot"]}, "defaultType": "spot"}),
)
US = Product(
    endpoints=Endpoints(rest="https://api.binance.us", ws="wss://stream.binance.us:9443"),
    image_path="/api/v3/depth",
    image_weight=50,
    routes=SPOT.routes,
    continuity=SPOT_CHAIN,
    limits=US_LIMITS,
    ccxt=CcxtSpec(exchange_id="binanceus", options={"fetchMarkets": {"types": ["spot"]}, "defaultType": "spot"}),
)
USDM = Product(
    endpoints=Endpoints(rest="https://fapi.binance.com", ws="wss://fstream.binance.com"),
    image_path="/fapi/v1/depth",
    image_weight=20,
    routes=FUTURES_ROUTES,
    continuity=FUTURES_CHAIN,
    limits=FUTURES_LIMITS,
    provides=FUTURES_PROVIDE,
    ccxt=CcxtSpec(exchange_id="binanceusdm", options={"fetchMarkets": {"types": ["linear"]}, "defaultType": "future"}),
)
COINM = Product(
    endpoints=Endpoints(rest="https://dapi.binance.com", ws="wss://dstream.binance.com"),
    image_path="/dapi/v1/depth",
    image_weight=20,
    routes=(Route("/stream", ("{}@depth@100ms", "{}@aggTrade", "{}@markPrice@1s", "{}@forceOrder")),),
    continuity=FUTURES_CHAIN,
    limits=FUTURES_LIMITS,
    provides=FUTURES_PROVIDE,
    ccxt=CcxtSpec(
        exchange_id="binancecoinm", options={"fetchMarkets": {"types": ["inverse"]}, "defaultType": "delivery"}
    ),
    inverse=True,
)


@cython.cclass
class DepthScan:
    """Depth frames of the linear ``symbols`` (by their bytes) straight from their text; no for everything else."""

    symbols: dict[bytes, str]
    diff: Diff
    _cursor: Cursor

    def __init__(self, diff: Diff) -> None:
        self.symbols = {}
        self.diff = diff
        self._cursor = Cursor()

    def know(self, symbol: str) -> None:
        self.symbols[symbol.encode()] = symbol

    @cython.ccall
    def scan(self, data: bytes) -> cython.bint:
        """Whether this is a depth frame of a known symbol; its content is in ``diff`` then."""
        cursor: Cursor = self._cursor
        diff: Diff = self.diff
        key: cython.int
        number: cython.longlong
        event_ms: cython.longlong = -1
        engine_ms: cython.longlong = -1
        seen_rows: cython.int = 0
        wrapped: cython.bint
        cursor.start(data)
        wrapped = cursor.literal(b'{"stream":')
        if wrapped and not (cursor.text() and cursor.literal(b',"data":')):
            return False
        if not cursor.literal(b'{"e":"depthUpdate",'):
            return False
        diff.rows.clear()
        diff.prev_id = -1
        diff.symbol = ""
        diff.first_id = diff.last_id = -1
        while True:
            key = cursor.key()
            if key == _B or key == _A:  # noqa: PLR1714, SIM109 - two C comparisons, not a tuple
                if seen_rows != (0 if key == _B else 1) or not cursor.levels(diff.rows, _SCALE):
                    return False
                seen_rows += 1
                if key == _B:
                    diff.rows.end_bids()
            elif key == _S:
                diff.symbol = self.symbols.get(cursor.text(), "")
                if not diff.symbol:
                    return False
            elif key == _PAIR:
                if not cursor.text():
                    return False
            else:
                number = cursor.integer()
                if number < 0:
                    return False
                if key == _E:
                    event_ms = number
                elif key == _T:
                    engine_ms = number
                elif key == _U:
                    diff.first_id = number
                elif key == _LAST:
                    diff.last_id = number
                elif key == _PREV:
                    diff.prev_id = number
                elif key != _PRODUCT:
                    return False
            if not cursor.literal(b","):
                break
        if not cursor.literal(b"}}" if wrapped else b"}") or cursor.at != len(data):
            return False
        if seen_rows != 2 or not diff.symbol or diff.first_id < 0 or diff.last_id < 0 or event_ms < 0:
            return False
        if engine_ms > _LAST_MS or event_ms > _LAST_MS:
            return False
        diff.event_ns = (engine_ms if engine_ms >= 0 else event_ms) * _NS_PER_MS
        return True


class BinanceCodec:
    """One Binance product: frames to messages, subscriptions, proof, limits."""

    def __init__(self, venue: str, product: Product, endpoints: Endpoints | None = None) -> None:
        self.venue = venue
        self.product = product
        self.endpoints = endpoints or product.endpoints
        self.continuity = product.continuity
        self.limits = product.limits
        self.keepalive: Keepalive | None = None
        self.checks: tuple[str, ...] = ("sequence",)
        self.trades_count_up = True
        self._known: dict[str, Instrument] = {}
        self._wire: dict[bytes, str] = {}
        self._linear: set[str] = set()
        self._diff = Diff(Rows(256))
        self._scan = DepthScan(self._diff)
        self._scanned: list[Message] = [self._diff]
        self._by_event = {
            "depthUpdate": self._depth,
            "aggTrade": self._print,
            "trade": self._print,
            "markPriceUpdate": self._mark,
            "forceOrder": self._forced,
            "serverShutdown": self._closing,
        }

    # -- instruments and subscriptions ---------------------------------------------------------------------------------

    def know(self, instrument: Instrument) -> None:
        symbol = instrument.venue_symbol
        self._known[symbol] = instrument
        self._wire[symbol.encode()] = symbol
        if not instrument.inverse and instrument.contract_size == 1.0:
            self._linear.add(symbol)
            self._scan.know(symbol)

    def opened(self, conn: int) -> None:
        return

    def resubscribe(self, symbol: str, conn: int = 0) -> Sequence[str]:
        return ()

    def resubscribe_trades(self, symbol: str, conn: int = 0) -> Sequence[str]:
        return ()  # as above: what is asked is always acknowledged, on another socket perhaps

    def unsubscribe(self, symbol: str, conn: int = 0) -> Sequence[str]:
        return ()  # a stream that ends costs nothing, and an UNSUBSCRIBE must name exactly what was asked

    def verify(self, message: Diff | Image, book: Book) -> bool:
        return True

    def infer(self, symbol: str) -> Instrument:
        # COIN-M contracts are worth 100 USD for BTC and 10 USD for everything else (contract specifications, 2026).
        size = (100.0 if symbol.startswith("BTCUSD") else 10.0) if self.product.inverse else 1.0
        return Instrument(
            venue=self.venue,
            symbol=symbol,
            venue_symbol=symbol,
            price_scale=PRICE_SCALE,
            contract_size=size,
            inverse=self.product.inverse,
        )

    def plan(self, instruments: Sequence[Instrument]) -> list[LinkPlan]:
        plans: list[LinkPlan] = []
        for route in self.product.routes:
            at_once = max(1, self.limits.streams_per_socket // len(route.streams))
            for start in range(0, len(instruments), at_once):
                symbols = tuple(i.venue_symbol for i in instruments[start : start + at_once])
                plans.append(
                    LinkPlan(
                        conn=len(plans) + 1,
                        url=self.endpoints.ws + route.path,
                        books=symbols if route.books else (),
                        subscribe=tuple(
                            _subscriptions(
                                [kind.format(symbol.lower()) for symbol in symbols for kind in route.streams]
                            )
                        ),
                    )
                )
        return plans

    def fetch_image(self, symbol: str) -> Fetch:
        url = f"{self.endpoints.rest}{self.product.image_path}?symbol={symbol}&limit={IMAGE_LEVELS}"
        return Fetch(venue=self.venue, url=url, weight=self.product.image_weight)

    # -- frames
    # ----------------------------------------------------------------------------------------------------------

    def decode(self, frame: Frame) -> list[Message]:
        if frame.kind == "http":
            return self._http(frame)
        data = frame.data
        if FAST and self._scan.scan(data):
            return self._scanned
        try:
            message = orjson.loads(data)
        except orjson.JSONDecodeError as error:
            raise CodecError(f"no JSON: {error}", data, symbol=self._guess(data)) from error
        if not isinstance(message, dict):
            raise CodecError("no JSON object", data)
        payload = message.get("data", message)
        if not isinstance(payload, dict):
            return []
        kind = payload.get("e")
        handler = self._by_event.get(kind) if isinstance(kind, str) else None
        if handler is not None:
            return self._guarded(handler, payload, data)
        if "id" in message and ("result" in message or "code" in message or "error" in message):
            return [_answer(message)]
        return []

    def _guess(self, data: bytes) -> str:
        """Whose frame this was, if its wrapper can still be read."""
        found = STREAM_NAME.match(data)
        return self._wire.get(found[1].upper(), "") if found else ""

    def _guarded(self, handler: Any, payload: dict[str, Any], data: bytes) -> list[Message]:
        try:
            return list(handler(payload))
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            why = f"{payload.get('e')}: {type(error).__name__} {error}"
            raise CodecError(why, data, channel=payload["e"], symbol=_symbol_of(payload)) from error

    def _scale_of(self, symbol: str) -> Instrument:
        instrument = self._known.get(symbol)
        if instrument is None:
            instrument = self.infer(symbol)
            self.know(instrument)
        return instrument

    def _levels(self, symbol: str, bids: Iterable[Any], asks: Iterable[Any], rows: Rows) -> None:
        instrument = self._scale_of(symbol)
        rows.clear()
        add_levels(rows, bids, instrument.price_scale)
        rows.end_bids()
        add_levels(rows, asks, instrument.price_scale)
        if symbol not in self._linear:
            for i in range(rows.n):
                rows.size[i] = base_units(rows.size[i], rows.px[i], instrument)

    def _depth(self, m: dict[str, Any]) -> Iterable[Message]:
        diff = self._diff
        symbol = diff.symbol = text(m["s"])
        diff.first_id, diff.last_id, diff.prev_id = _id(m["U"]), _id(m["u"]), _id(m.get("pu", -1))
        diff.event_ns = _id(m.get("T", m["E"])) * NS_PER_MS
        self._levels(symbol, m["b"], m["a"], diff.rows)
        return (diff,)

    def _print(self, m: dict[str, Any]) -> Iterable[Message]:
        symbol, stream = text(m["s"]), text(m["e"])
        instrument = self._scale_of(symbol)
        px = px_from_text(m["p"], instrument.price_scale)
        return (
            Print(
                symbol=symbol,
                stream=stream,
                px=px,
                size=base_units(size_from_text(m["q"]), px, instrument),
                sign=-1 if _flag(m["m"]) else 1,
                trade_id=_id(m["a"] if stream == "aggTrade" else m["t"]),
                event_ns=_id(m["T"]) * NS_PER_MS,
                why_not="" if m.get("X", "MARKET") == "MARKET" else "not_market",
            ),
        )

    def _mark(self, m: dict[str, Any]) -> Iterable[Message]:
        return (
            Context(
                symbol=text(m["s"]),
                event_ns=_id(m["E"]) * NS_PER_MS,
                mark=size_from_text(m["p"]),
                index=size_from_text(m["i"]) if m.get("i") else None,
                # Delivery contracts have no funding and send an empty text; a rate may be negative.
                funding_rate=rate(m["r"]) if m.get("r") else None,
                next_funding_ns=_id(m["T"]) * NS_PER_MS if m.get("T") else None,
            ),
        )

    def _forced(self, m: dict[str, Any]) -> Iterable[Message]:
        order = m["o"]
        symbol = text(order["s"])
        instrument = self._scale_of(symbol)
        # The average price may be finer than the grid; the order's own price is not.
        px = px_from_text(order["p"], instrument.price_scale)
        size = base_units(size_from_text(order["z"]), px, instrument)
        sign = SIGNS[order["S"]]
        return (Forced(symbol=symbol, event_ns=_id(order["T"]) * NS_PER_MS, px=px, size=size, sign=sign),)

    def _closing(self, _: dict[str, Any]) -> Iterable[Message]:
        return (ClosingSoon(),)

    # -- REST
    # ------------------------------------------------------------------------------------------------------------

    def _http(self, frame: Frame) -> list[Message]:
        url = urlsplit(frame.url)
        if url.path.endswith("/depth"):
            return [self._image(frame, "".join(parse_qs(url.query).get("symbol", ())))]
        if url.path.endswith("/exchangeInfo") and frame.status == 200:
            return [Listing(tuple(self._listed(frame.data)))]
        return []

    def _image(self, frame: Frame, symbol: str) -> Message:
        if frame.status != 200:
            code = _error_code(frame.data)
            why = f"HTTP {frame.status}" if frame.status else frame.data[:120].decode(errors="replace")
            return ImageFailed(symbol=symbol, why=why, gone=frame.status == 400 and code == -1121)
        try:
            body = orjson.loads(frame.data)
            rows = Rows(2 * IMAGE_LEVELS)
            self._levels(symbol, body["bids"], body["asks"], rows)
            event_ns = _id(body.get("T", body.get("E", 0))) * NS_PER_MS
            return Image(symbol=symbol, last_id=_id(body["lastUpdateId"], least=-1), event_ns=event_ns, rows=rows)
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            why = f"depth: {type(error).__name__} {error}"
            raise CodecError(why, frame.data, channel="depth snapshot", symbol=symbol) from error

    def _listed(self, data: bytes) -> Iterable[Instrument]:
        try:
            for s in orjson.loads(data)["symbols"]:
                price: dict[str, Any] = next((f for f in s["filters"] if f["filterType"] == "PRICE_FILTER"), {})
                tick = _plain(price.get("tickSize", ""))
                symbol = f"{s['baseAsset']}/{s['quoteAsset']}"
                if s.get("contractType") == "PERPETUAL":
                    symbol += f":{s.get('marginAsset', s['quoteAsset'])}"
                yield Instrument(
                    venue=self.venue,
                    symbol=symbol if s.get("contractType", "PERPETUAL") == "PERPETUAL" else s["symbol"],
                    venue_symbol=s["symbol"],
                    base=s["baseAsset"],
                    quote=s["quoteAsset"],
                    tick=tick,
                    price_scale=PRICE_SCALE,
                    contract_size=float(s.get("contractSize", 1)),
                    inverse=self.product.inverse,
                    active=s.get("status", s.get("contractStatus")) == "TRADING",
                )
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            raise CodecError(f"exchangeInfo: {type(error).__name__} {error}", data, channel="exchangeInfo") from error


def _subscriptions(streams: Sequence[str]) -> Iterable[str]:
    for start in range(0, len(streams), SUBSCRIBE_AT_ONCE):
        part = list(streams[start : start + SUBSCRIBE_AT_ONCE])
        yield orjson.dumps({"method": "SUBSCRIBE", "params": part, "id": start // SUBSCRIBE_AT_ONCE + 1}).decode()


def _symbol_of(payload: dict[str, Any]) -> str:
    order = payload.get("o")
    symbol = payload.get("s") or (order.get("s") if isinstance(order, dict) else "")
    return symbol if isinstance(symbol, str) else ""


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{value!r} is neither true nor false")
    return value


def _id(value: Any, least: int = -1) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value < 1 << 62:
        raise ValueError(f"{value!r} is no id or time")
    return value


def _plain(text: str) -> str:
    """Decimal text without trailing zeros."""
    return text.rstrip("0").rstrip(".") if "." in text else text


def _error_code(data: bytes) -> int:
    try:
        return int(orjson.loads(data)["code"])
    except (KeyError, TypeError, ValueError):
        return 0


def _answer(message: dict[str, Any]) -> Answer:
    error = message.get("error", message)
    told = f"{error.get('code')}: {error.get('msg')}" if isinstance(error, dict) and "code" in error else ""
    request_id = message["id"] if isinstance(message["id"], int) else 0
    return Answer(request_id=request_id, error=told)
