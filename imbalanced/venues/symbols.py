"""What a codec knows of its instruments: the grid of their prices, the worth of a contract, and levels read by both.

Every codec keeps one :class:`Symbols`. A symbol that was never introduced (a recording without a listing) gets a grid
from the first price that is seen of it.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from imbalanced.events import Instrument
from imbalanced.venues.scan import px_from_text, size_from_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from imbalanced.book import Rows

LEAST_SCALE = 8
MOST_DIGITS = 17


class Symbols:
    """Instruments by the venue's own symbol. ``guess`` makes one of which only the symbol is known."""

    def __init__(self, venue: str, guess: Callable[[str], Instrument] | None = None) -> None:
        self._venue = venue
        self._guess = guess or (lambda symbol: Instrument(venue=venue, symbol=symbol, venue_symbol=symbol))
        self._known: dict[str, Instrument] = {}

    def know(self, instrument: Instrument) -> None:
        """From now on this symbol is that instrument."""
        self._known[instrument.venue_symbol] = instrument

    def infer(self, symbol: str) -> Instrument:
        """The instrument of a symbol; a guess where it was never introduced."""
        return self._known.get(symbol) or self._guess(symbol)

    def of(self, symbol: str, price: object = None) -> Instrument:
        """The instrument of a symbol that is being decoded; ``price`` is a text of it, for a grid where it has none."""
        known = self._known.get(symbol)
        if known is None:
            known = self._guess(symbol)
            if price is not None:
                known = _on_grid(known, number_text(price))
            self._known[symbol] = known
        return known

    def px(self, symbol: str, price: object) -> int:
        """A price as integer units; ValueError where it is none."""
        return px_from_text(number_text(price), self.of(symbol, price).price_scale)

    def size(self, symbol: str, size: object, px: int) -> float:
        """A wire size in base units; ValueError where it is none."""
        return base_units(size_from_text(number_text(size)), px, self.of(symbol))

    def add(self, rows: Rows, symbol: str, levels: Iterable[Any]) -> None:
        """``[price, size, ...]`` levels onto one side of ``rows``, as text, Decimal or integer; ValueError if one
        is none.
        """
        known: Instrument | None = None
        for level in levels:
            price, size = level[0], level[1]
            if known is None:
                known = self.of(symbol, price)
                scale, plain = known.price_scale, known.contract_size == 1.0 and not known.inverse
            # The hot loop of most venues: what is a text already is not asked by a call what it is.
            px = px_from_text(price if type(price) is str else number_text(price), scale)
            amount = size_from_text(size if type(size) is str else number_text(size))
            rows.add(px, amount if plain else base_units(amount, px, known))


def number_text(value: object) -> str:
    """The plain decimal text of a number that was decoded exactly: text, integer or Decimal; never a float."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise ValueError(f"{value!r} is no exact number")
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def base_units(size: float, px: int, instrument: Instrument) -> float:
    """Contracts are worth a fixed amount of the base or, inverse, of the quote currency."""
    if instrument.inverse:
        return size * instrument.contract_size * 10.0**instrument.price_scale / px
    return size * instrument.contract_size


def _on_grid(instrument: Instrument, price: str) -> Instrument:
    """With as many decimals as this price has, and some to spare."""
    whole, _, fraction = price.partition(".")
    scale = max(LEAST_SCALE, len(fraction.rstrip("0")))
    return replace(instrument, price_scale=max(0, min(scale, MOST_DIGITS - len(whole))))
