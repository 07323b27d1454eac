"""What happens to a whole venue, a socket, a symbol or the clock: one method each, named as in ``faults.py``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imbalanced.sim.worlds import faults
from imbalanced.sim.worlds.stage import S

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from imbalanced.sim.worlds.books import TrueBook
    from imbalanced.sim.worlds.exchange import Exchange
    from imbalanced.sim.worlds.hands import Hands
    from imbalanced.sim.worlds.listings import Listings
    from imbalanced.sim.worlds.network import Socket
    from imbalanced.sim.worlds.stage import Stage


class Happenings:
    """Each happening picks its venue by the seed, and is over at ``end_ns`` at the latest."""

    def __init__(
        self, stage: Stage, exchanges: Sequence[Exchange], hands: Mapping[str, Hands], listings: Listings
    ) -> None:
        self._stage = stage
        self._exchanges = exchanges
        self._hands = hands
        self._by_kind: dict[str, Callable[[Exchange, int], bool]] = {
            "close": self._close,
            "half_open": self._half_open,
            "silent_symbol": self._silent_symbol,
            "silent_socket": self._silent_socket,
            "down": self._down,
            "refused": self._refused,
            "restart": self._restart,
            "renumber": self._renumber,
            "notice": self._notice,
            "clock_forward": self._clock_forward,
            "clock_back": self._clock_back,
            "crossed": self._crossed,
            "request": self._request,
            "delist": self._of_book(listings.delist),
            "rename": self._of_book(listings.rename),
            "halt": self._of_book(listings.halt),
            "refuse": self._of_book(listings.refuse),
            "refuse_trades": self._of_book(listings.refuse_trades),
            "silent_trades": self._silent_trades,
        }

    def strike(self, kind: str, end_ns: int) -> None:
        """Now."""
        if self._by_kind[kind](self._stage.rng.choice(self._exchanges), end_ns):
            self._stage.weather.done(kind)

    def _socket(self, exchange: Exchange) -> Socket | None:
        alive = [socket for socket in exchange.sockets if socket.open and not socket.half_open]
        return self._stage.rng.choice(alive) if alive else None

    def _book(self, exchange: Exchange) -> TrueBook | None:
        return self._stage.rng.choice(list(exchange.books.values())) if exchange.books else None

    def _of_book(self, strikes: Callable[[Exchange, TrueBook, int], bool]) -> Callable[[Exchange, int], bool]:
        """What happens to one symbol, until some time before the end."""

        def struck(exchange: Exchange, end_ns: int) -> bool:
            book = self._book(exchange)
            return book is not None and strikes(exchange, book, self._before(end_ns))

        return struck

    def _renumber(self, exchange: Exchange, end_ns: int) -> bool:
        book = self._book(exchange)
        return book is not None and exchange.renumber(book, self._before(end_ns))

    def _close(self, exchange: Exchange, _: int) -> bool:
        socket = self._socket(exchange)
        if socket is not None:
            socket.cut(*self._stage.rng.choice(faults.CLOSES))
        return socket is not None

    def _half_open(self, exchange: Exchange, _: int) -> bool:
        socket = self._socket(exchange)
        if socket is not None:
            socket.die(self._stage.rng.randrange(20 * S, 45 * S))
        return socket is not None

    def _silent_symbol(self, exchange: Exchange, end_ns: int) -> bool:
        book = self._book(exchange)
        return book is not None and self._silence(exchange, book.symbol, end_ns)

    def _silent_socket(self, exchange: Exchange, end_ns: int) -> bool:
        return self._silence(exchange, "", end_ns)

    def _silent_trades(self, exchange: Exchange, end_ns: int) -> bool:
        book = self._book(exchange)
        if book is None:
            return False
        exchange.silent_trades.add(book.symbol)
        self._stage.at(end_ns, exchange.silent_trades.discard, book.symbol)
        return True

    def _silence(self, exchange: Exchange, symbol: str, end_ns: int) -> bool:
        socket = self._socket(exchange)
        if socket is None or exchange.proof.none:
            return False
        socket.silent.add(symbol)
        self._stage.at(end_ns, socket.speak, symbol)
        return True

    def _down(self, exchange: Exchange, end_ns: int) -> bool:
        exchange.down = True
        self._stage.at(self._before(end_ns), self._up, exchange)
        self._farewell(exchange)
        return True

    def _refused(self, exchange: Exchange, end_ns: int) -> bool:
        exchange.refusing_s = self._stage.rng.choice((1.0, 5.0, 20.0))
        self._stage.at(self._before(end_ns), self._up, exchange)
        self._farewell(exchange)
        return True

    def _up(self, exchange: Exchange) -> None:
        exchange.down, exchange.refusing_s = False, 0.0

    def _restart(self, exchange: Exchange, end_ns: int) -> bool:
        farewell = self._stage.rng.random() < 0.5 or exchange.proof.none
        if farewell:
            exchange.down = True
            self._stage.at(self._before(end_ns), self._up, exchange)
        exchange.restart(farewell=farewell)
        return True

    def _notice(self, exchange: Exchange, _: int) -> bool:
        socket = self._socket(exchange)
        notice = socket.desk.notice(self._stage.venue_ms) if socket is not None else ""
        if socket is None or not notice:
            return False
        socket.push(notice)
        return True

    def _clock_forward(self, _: Exchange, __: int) -> bool:
        self._stage.clock_off_ns += int(self._stage.rng.choice((0.2, 5.0, 60.0, 600.0)) * S)
        return True

    def _clock_back(self, _: Exchange, __: int) -> bool:
        self._stage.clock_off_ns -= int(self._stage.rng.choice((0.2, 5.0, 60.0)) * S)
        return True

    def _crossed(self, exchange: Exchange, end_ns: int) -> bool:
        book = self._book(exchange)
        if book is None:
            return False
        book.cross()
        self._stage.at(self._before(end_ns), book.uncross)
        return True

    def _request(self, exchange: Exchange, _: int) -> bool:
        book = self._book(exchange)
        if book is None:
            return False
        self._hands[exchange.venue.id].give("resync", 0, book.instrument.symbol.encode())
        return True

    # -- small change --------------------------------------------------------------------------------------------------

    def _before(self, end_ns: int) -> int:
        """Some time until then."""
        return self._stage.now_ns + self._stage.rng.randrange(max(1, end_ns - self._stage.now_ns))

    def _farewell(self, exchange: Exchange) -> None:
        for socket in tuple(exchange.sockets):
            if self._stage.rng.random() < 0.7:
                socket.cut(*self._stage.rng.choice(faults.CLOSES))
