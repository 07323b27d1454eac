"""Who a venue has, who of them trades, and who may subscribe: symbols that go, come back under another name, stop and
are refused. The list of instruments says it, always some time after the venue knows.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from imbalanced.sim.worlds import faults
from imbalanced.sim.worlds.stage import S

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from imbalanced.sim.worlds.books import TrueBook
    from imbalanced.sim.worlds.exchange import Exchange
    from imbalanced.sim.worlds.hands import Hands
    from imbalanced.sim.worlds.oracle import Oracle
    from imbalanced.sim.worlds.stage import Stage

READ_AGAIN_NS = 10 * S  # the list is read again so much later at most; before the calm it is read
NEW_BASES = ("DOGE", "XRP", "ADA")


class Listings:
    """The lists of all venues of a world. What is to be over at some time is over then."""

    def __init__(self, stage: Stage, exchanges: Sequence[Exchange], hands: Mapping[str, Hands], oracle: Oracle) -> None:
        self._stage = stage
        self._hands = hands
        self._oracle = oracle
        self._given: dict[str, bool] = dict.fromkeys((exchange.venue.id for exchange in exchanges), False)
        self._new: dict[str, list[TrueBook]] = {venue: [] for venue in self._given}

    def give(self, exchange: Exchange) -> None:
        """The product is told who is listed now."""
        venue, listed = exchange.venue.id, exchange.listed()
        self._given[venue] = True
        self._oracle.listed(venue, listed)
        self._hands[venue].give("instruments", 0, msgspec.json.encode(listed))
        for book in self._new[venue]:
            self._oracle.called(venue, book)
        self._new[venue].clear()

    def delist(self, exchange: Exchange, book: TrueBook, _: int) -> bool:
        """It is gone."""
        self._oracle.may_go(exchange.venue.id, book.symbol)
        exchange.delist(book)
        self._read_again(exchange)
        return True

    def rename(self, exchange: Exchange, book: TrueBook, over_ns: int) -> bool:
        """It is gone, and another one is there: by a new name altogether, or by one that only the venue calls it by."""
        rng, known = self._stage.rng, [one.listing.symbol for one in self._oracle.ever(exchange.venue.id)]
        like = book.listing.unified.replace(book.listing.base, "{}")
        listings = exchange.venue.listings([like.replace("{}", base) for base in NEW_BASES])
        listings = [one for one in listings if one.symbol not in known]
        if not listings:
            return False
        listing = rng.choice(listings)
        if rng.random() < 0.5:
            listing = replace(listing, unified=book.listing.unified)
        self.delist(exchange, book, over_ns)
        new = exchange.add(listing)
        self._oracle.watch(exchange.venue.id, new)
        self._new[exchange.venue.id].append(new)
        return True

    def halt(self, exchange: Exchange, book: TrueBook, over_ns: int) -> bool:
        """It does not trade: the venue says so, or the list, or both."""
        by_list = self._stage.rng.random() < 0.5
        by_word = not book.listing.halted and (not by_list or self._stage.rng.random() < 0.3)
        by_word = by_word and exchange.halt(book, halted=True)
        if by_word:
            self._stage.at(over_ns, self._resume, exchange, book)
        if by_list and book.symbol not in exchange.idle:
            exchange.idle.add(book.symbol)
            self._read_again(exchange)
            self._stage.at(over_ns, self._listed_again, exchange, book)
        return by_word or by_list

    def refuse(self, exchange: Exchange, book: TrueBook, over_ns: int) -> bool:
        """Who asks for it is refused; a socket is cut, so that somebody asks."""
        return self._refuse(exchange, exchange.refusing, book, over_ns)

    def refuse_trades(self, exchange: Exchange, book: TrueBook, over_ns: int) -> bool:
        """Likewise, but only who asks for its trades."""
        return self._refuse(exchange, exchange.refusing_trades, book, over_ns)

    def _refuse(self, exchange: Exchange, refusing: set[str], book: TrueBook, over_ns: int) -> bool:
        if book.symbol in refusing:
            return False
        self._oracle.may_go(exchange.venue.id, book.symbol)
        refusing.add(book.symbol)
        self._stage.at(over_ns, self._accept, exchange, refusing, book)
        if exchange.sockets:
            self._stage.rng.choice(exchange.sockets).cut(*self._stage.rng.choice(faults.CLOSES))
        return True

    # -- afterwards ----------------------------------------------------------------------------------------------------

    def _resume(self, exchange: Exchange, book: TrueBook) -> None:
        if exchange.books.get(book.symbol) is book:
            exchange.halt(book, halted=False)

    def _listed_again(self, exchange: Exchange, book: TrueBook) -> None:
        exchange.idle.discard(book.symbol)
        self._read_again(exchange)

    def _accept(self, exchange: Exchange, refusing: set[str], book: TrueBook) -> None:
        if exchange.books.get(book.symbol) is book:
            refusing.discard(book.symbol)

    def _read_again(self, exchange: Exchange) -> None:
        self._stage.after(self._stage.rng.randrange(READ_AGAIN_NS), self._give_again, exchange)

    def _give_again(self, exchange: Exchange) -> None:
        if self._given[exchange.venue.id]:
            self.give(exchange)
