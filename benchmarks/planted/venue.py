"""Both markets told in USD-M words, as frames: depth every 100 ms with U, u and pu, the REST images, aggregate trades,
the mark price every second.

The recorder joins a running market: depth comes before the image, and the image is older than some of it. The receive
clock is a few milliseconds behind the engine, with jitter, and never runs back.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import msgspec

from benchmarks.planted import usdm
from benchmarks.planted.market import Market
from benchmarks.planted.profiles import drawn
from benchmarks.planted.schedule import Event, planned
from imbalanced.events import Frame, Instrument

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.planted.market import Print
    from benchmarks.planted.profiles import Profile

VENUE = "binance_usdm"
MS = 1_000_000
START_MS = 1_700_000_000_000
BATCH_MS = 100
BURN_S = 30.0  # the market has lived so long before anybody listens
IMAGE_BATCH = 4  # in which the REST interface takes its image
IMAGE_LEVELS = 1000
FOLLOWS = 0.2  # of the distance, in a batch
REST = "https://fapi.binance.com"


class Teller:
    """One market and what was said of it."""

    def __init__(self, market: Market, dice: random.Random) -> None:
        self.market = market
        self.listing = market.profile.listing
        self._dice = dice
        self._told = market.book.last_id
        self._trade_id = 0
        self._agg_id = 0

    def live(self, until_s: float) -> list[tuple[int, int, str]]:
        """The next batch interval: `(engine ms, socket, text)`; socket 1 carries depth, 2 the rest."""
        market = self.market
        market.advance(until_s)
        until_ms = START_MS + round(until_s * 1000)
        frames = [self._trade(one) for one in market.prints]
        market.prints.clear()
        if market.book.touched:
            ids = (self._told, self._told + 1, market.book.last_id)
            bids, asks = (
                [(tick, lots) for (side, tick), lots in market.book.touched.items() if side == which]
                for which in (1, -1)
            )
            frames.append((until_ms, 1, usdm.depth(self.listing, ids, until_ms, bids, asks)))
            self.heard()
        if until_ms % 1000 == 0:
            frames.append((until_ms, 2, usdm.mark_price(self.listing, until_ms, market.fair)))
        return frames

    def heard(self) -> None:
        """All changes of the book until now were told, or nobody listened."""
        self.market.book.touched.clear()
        self._told = self.market.book.last_id

    def _trade(self, one: Print) -> tuple[int, int, str]:
        tick, lots, side = one.fill
        ms = START_MS + int(one.t * 1000)
        parts = min(lots, self._dice.choice((1, 1, 1, 2, 3)))
        first = self._trade_id + 1
        self._agg_id += 1
        self._trade_id += parts
        trade = usdm.AggTrade(self._agg_id, tick, lots, first, self._trade_id, ms, side == -1)
        return ms, 2, usdm.agg_trade(self.listing, trade)

    def image(self, at_s: float) -> str:
        """The REST answer of now."""
        book, ms = self.market.book, START_MS + round(at_s * 1000)
        bids, asks = (
            [
                (key * ladder.side, ladder.levels[key * ladder.side].lots)
                for key in ladder.keys[: -IMAGE_LEVELS - 1 : -1]
            ]
            for ladder in (book.bids, book.asks)
        )
        return usdm.image(book.last_id, ms, self.listing, bids, asks)


class Seed:
    """One seed's markets. `frames` can be read once; `events` is the truth, in seconds of the market."""

    def __init__(self, seed: int, *, calm_s: float | None = None, counts: dict[str, int] | None = None) -> None:
        dice = random.Random(f"planted market {seed}")
        self.seed = seed
        self.profiles: tuple[Profile, Profile] = drawn(dice, seed)
        names = (self.profiles[0].listing.unified, self.profiles[1].listing.unified)
        more = {} if calm_s is None else {"calm_s": calm_s}
        self.events: list[Event]
        self.events, plants, self.length_s = planned(random.Random(dice.getrandbits(64)), names, counts=counts, **more)
        self._tellers: list[Teller] = []
        for profile, own in zip(self.profiles, plants, strict=True):
            first_id = 50_000_000_000 + dice.randrange(10**9)
            market = Market(profile, random.Random(dice.getrandbits(64)), first_id, -BURN_S)
            market.plants.extend(own)
            self._tellers.append(Teller(market, random.Random(dice.getrandbits(64))))
        self._dice = random.Random(dice.getrandbits(64))

    def instruments(self) -> bytes:
        """The list of instruments as the daemon would feed it."""
        return msgspec.json.encode(
            [
                Instrument(
                    venue=VENUE,
                    symbol=one.listing.unified,
                    venue_symbol=one.listing.symbol,
                    base=one.listing.base,
                    quote=one.listing.quote,
                    tick=one.listing.price(1),
                    lot=one.listing.size(1),
                )
                for one in self.profiles
            ]
        )

    def frames(self, *, listed: bool = True) -> Iterator[Frame]:
        """Every frame in order of receipt. Not `listed`: a recording of somebody who noted only the market's frames."""
        if listed:
            before_ns = (START_MS - 200) * MS
            yield Frame(before_ns, VENUE, 0, "instruments", self.instruments())
            for conn in (1, 2):
                yield Frame(before_ns, VENUE, conn, "open", b"")
        for teller in self._tellers:
            teller.market.advance(0.0)
            teller.market.prints.clear()
            teller.heard()
        received_ns = 0
        for batch in range(1, int(self.length_s * 1000) // BATCH_MS + 1):
            until_s = batch * BATCH_MS / 1000
            images = self._images(until_s - 0.05) if batch == IMAGE_BATCH else []
            said = [frame for teller in self._tellers for frame in teller.live(until_s)]
            said.sort(key=lambda one: one[0])
            self._arbitrage()
            for ms, socket, text in said:
                received_ns = max(received_ns + 1000, ms * MS + self._lag_ns())
                yield Frame(received_ns, VENUE, socket, "ws", text.encode())
            for url, text in images:
                received_ns += 20 * MS
                yield Frame(received_ns, VENUE, 0, "http", text.encode(), url)

    def _images(self, at_s: float) -> list[tuple[str, str]]:
        """The books as of a moment within a batch, as the REST interface gives them."""
        answers = []
        for teller in self._tellers:
            teller.market.advance(at_s)
            url = f"{REST}/fapi/v1/depth?symbol={teller.listing.symbol}&limit={IMAGE_LEVELS}"
            answers.append((url, teller.image(at_s)))
        return answers

    def _arbitrage(self) -> None:
        """The fair values are drawn to one another; the one where something happens leads, else the first."""
        first, second = (teller.market for teller in self._tellers)
        ratio = second.profile.listing.start_tick / first.profile.listing.start_tick
        apart = first.fair * ratio - second.fair
        if second.running and not first.running:
            first.fair -= FOLLOWS * apart / ratio
        else:
            second.fair += FOLLOWS * apart

    def _lag_ns(self) -> int:
        """From the engine to the receiver."""
        return int((3.0 + self._dice.lognormvariate(0.0, 0.6)) * MS)
