"""What of a symbol's trades was told, held against the venue's own: each as it was, once, and in its order."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from imbalanced.events import Trade
from imbalanced.sim.worlds.stage import S

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imbalanced.sim.worlds.books import Deal
    from imbalanced.sim.worlds.network import Sold


class Deals:
    """Of one symbol; a trade is known by its place among all of them. ``last`` is the latest that was told."""

    def __init__(self, true: Sequence[Deal]) -> None:
        self.last = -1
        self._true = true
        self._told: Counter[int] = Counter()
        self._copies: Counter[int] = Counter()

    def heard(self, sold: Sold, outputs: Sequence[Any], *, in_order: bool) -> str:
        """A frame that tells a trade has come, and this is what was made of it: what is wrong with that."""
        number, deal = sold.number, self._true[sold.number]
        self._copies[number] += sold.again
        for out in outputs:
            if not isinstance(out, Trade):
                continue
            if (out.px, out.size, out.sign) != (deal.px, deal.size, deal.sign):
                return f"a trade is told as {out.px} {out.size} {out.sign}, and was {deal}"
            self._told[number] += 1
            numbered = out.trade_id >= 0
            if self._told[number] > 1 + (0 if numbered else self._copies[number]):
                return f"trade {number} told {self._told[number]} times"
            if numbered and in_order and number < self.last:
                return f"trade {number} told after {self.last}"
            self.last = max(self.last, number)
        return ""

    def untold(self, since_ns: int, until_ns: int) -> str:
        """The latest trade of this time that was not told."""
        for number in range(len(self._true) - 1, -1, -1):
            at_ns = self._true[number].at_ns
            if at_ns < since_ns:
                break
            if at_ns < until_ns and not self._told[number]:
                return f"trade {number} of {at_ns / S:.3f} s not told"
        return ""

    def told_since(self, since_ns: int) -> bool:
        """Whether any trade of this time on was told."""
        return self.last >= 0 and self._true[self.last].at_ns >= since_ns
