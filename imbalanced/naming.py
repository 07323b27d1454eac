"""Which configured instrument a recording's symbol is, where the recording has no listing to say so.

A venue writes the pair in its own way (``BTCUSDT``, ``BTC-USDT-SWAP``, ``tBTCUSD``, ``PF_XBTUSD``), and with nothing
but the pair and a word for a perpetual contract it can only be the one instrument of that pair that was configured.
Anything more (an expiry, a strike) is another instrument.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from msgspec.structs import replace

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from imbalanced.events import Instrument

# What may stand around a pair without making it another instrument than the spot pair or perpetual of that name.
BEFORE, AFTER = ("", "T", "PF", "PI"), ("", "SWAP", "PERP", "PERPETUAL", "M")
ALIAS = ("XBT", "BTC")
NO_LETTERS = re.compile("[^A-Z0-9]")


def named(names: Sequence[str]) -> Callable[[Instrument], Instrument | None]:
    """What to take for an instrument that was found: itself if its name is one of these, itself under one of these
    names if it has none but the venue's, or None.
    """

    def pick(found: Instrument) -> Instrument | None:
        if found.symbol in names:
            return found
        if found.symbol != found.venue_symbol:
            return None
        same = [name for name in names if is_written(name, found.venue_symbol)]
        if len(same) != 1:
            return None
        base, _, rest = same[0].partition("/")
        quote, _, settle = rest.partition(":")
        return replace(found, symbol=same[0], base=found.base or base, quote=found.quote or quote or settle)

    return pick


def is_written(name: str, venue_symbol: str) -> bool:
    """Whether a venue may write this unified name so."""
    base, _, rest = name.upper().partition("/")
    quote = rest.partition(":")[0]
    letters = NO_LETTERS.sub("", venue_symbol.upper()).replace(*ALIAS)
    pairs = {(base + quote).replace(*ALIAS), base.replace(*ALIAS)} if quote else {base}
    return any(letters == before + pair + after for pair in pairs for before in BEFORE for after in AFTER)
