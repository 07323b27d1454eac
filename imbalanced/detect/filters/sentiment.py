"""Does the slow context agree: funding, crowding, open interest."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from msgspec import Struct

from imbalanced.detect.filters.filter import Filter, Kit, Moment, S, Said, judged, unknown
from imbalanced.detect.filters.rolling import Rolling
from imbalanced.metrics.derivatives import FundingPressure, LongShortRatio, OiImbalance, OiImbalanceOptions
from imbalanced.metrics.metric import VALUE
from imbalanced.options import Doc, NonNegative, Range, Share

if TYPE_CHECKING:
    from imbalanced.detect.detector import Detector
    from imbalanced.metrics.metric import Metric

DAY = 86_400 * S
SAMPLE_NS = 600 * S


class SentimentOptions(Struct, frozen=True, kw_only=True):
    """Weights of what is known; a feed that a venue does not give has none."""

    funding: Annotated[NonNegative, Doc("weight of funding, against the signal's side where it is extreme")] = Decimal(
        1
    )
    long_short: Annotated[NonNegative, Doc("weight of the long/short ratio, likewise")] = Decimal(1)
    oi: Annotated[NonNegative, Doc("weight of what changing open interest says")] = Decimal(1)
    q: Annotated[Share, Doc("extreme is beyond this quantile of its own size, over 30 days")] = Decimal("0.95")
    min_count: Annotated[int, Range(ge=2, le=4320), Doc("samples of the past, one in 10 minutes, to know that")] = 30
    require: Annotated[Literal["none", "agree"], Doc("agree: what speaks against the signal holds it back")] = "none"


class Sentiment(Filter):
    """Agreement with the slow context: ``a = sum w sgn(context) side / sum w`` over what is known, quality ``0.75 +
    0.25 a``.

    Funding and the long/short ratio speak against the crowd where they are extreme, and else say 0; open interest
    speaks for the side that opens positions (`oi_imbalance`). Not asked of kinds without a side. Unknown while nothing
    of it is known.
    """

    Options: ClassVar[type[Struct]] = SentimentOptions
    any_of: ClassVar[str] = "funding oi ratio"
    watches: ClassVar[bool] = True

    def __init__(self, options: SentimentOptions, kit: Kit) -> None:
        self._q, self._enough = float(options.q), options.min_count
        self._require = options.require == "agree"
        self._weights = {
            "funding": float(options.funding),
            "long_short": float(options.long_short),
            "oi": float(options.oi),
        }
        self._funding = FundingPressure(None, kit.grid)
        self._ratio = LongShortRatio(None, kit.grid)
        self._oi = OiImbalance(OiImbalanceOptions(), kit.grid)
        kit.metrics += [self._funding, self._ratio, self._oi]
        self._rates, self._ratios = Rolling(30 * DAY, SAMPLE_NS), Rolling(30 * DAY, SAMPLE_NS)

    def observe(self, now: Moment) -> None:
        for metric, past in ((self._funding, self._rates), (self._ratio, self._ratios)):
            x = metric.out[0]
            if metric.answered == VALUE and x == x and past.due(now.recv_ns):
                past.add(now.recv_ns, abs(x))

    def _against(self, metric: Metric, past: Rolling) -> int | None:
        """What an extreme says: the other side. None while it is not known what extreme is."""
        x = metric.out[0]
        if metric.answered != VALUE or x != x or len(past) < self._enough:
            return None
        if abs(x) <= past.quantile(self._q):
            return 0
        return -1 if x > 0 else 1

    def _context(self) -> dict[str, int]:
        """The sign of each that is known."""
        score = self._oi.out[3] if self._oi.answered == VALUE else None
        signs = {
            "funding": self._against(self._funding, self._rates),
            "long_short": self._against(self._ratio, self._ratios),
            "oi": None if score is None else (score > 0) - (score < 0),
        }
        return {name: sign for name, sign in signs.items() if sign is not None and self._weights[name] > 0}

    def check(self, detector: Detector, now: Moment) -> Said:
        if not detector.sided:
            return judged(True, "not of this kind")
        context = self._context()
        if not context:
            return unknown("no context", q_sentiment=None)
        weight = sum(self._weights[name] for name in context)
        a = sum(self._weights[name] * sign for name, sign in context.items()) * detector.lifecycle.side / weight
        told = ", ".join(f"{name} {sign:+d}" for name, sign in context.items())
        quality = 0.75 + 0.25 * a
        return judged(not (self._require and a < 0), told, quality, q_sentiment=quality)
