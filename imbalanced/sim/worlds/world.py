"""One seed, one world: made, run through its faults, and healed."""

from __future__ import annotations

import hashlib
import random
from functools import cache
from typing import TYPE_CHECKING

import msgspec
import orjson
from msgspec import structs

from imbalanced.config import Tables, load
from imbalanced.detect import DETECTORS, FILTERS
from imbalanced.events import Frame, GapKind
from imbalanced.metrics import METRICS
from imbalanced.pipeline import Pipeline
from imbalanced.sim.population import MOST as ORDERS_OF_A_LEVEL
from imbalanced.sim.worlds import faults
from imbalanced.sim.worlds.exchange import Exchange, Proof, request
from imbalanced.sim.worlds.hands import Alarm, Hands
from imbalanced.sim.worlds.happenings import Happenings
from imbalanced.sim.worlds.listings import Listings
from imbalanced.sim.worlds.oracle import Oracle, Violated
from imbalanced.sim.worlds.stage import S, Stage
from imbalanced.sim.worlds.trace import head, words
from imbalanced.venues import VENUES
from imbalanced.venues.codec import Fetch, Source, Wake

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from imbalanced.config import Config
    from imbalanced.sim.venue import SimVenue
    from imbalanced.sim.worlds.network import Shown

BASES = ("BTC", "ETH", "SOL")
PAIRS = ("{}/USDT", "{}/USDT:USDT", "{}/USD:{}")  # a venue lists what it has of them
LEVELS = 12
CLOCK_LOOKS_NS = S
# After the faults what is under way arrives (a timeout of calls, a delayed message), then the calm is judged: in slow
# worlds long enough for keep-alives.
IN_FLIGHT_NS, CALM_NS, LONG_CALM_NS = 15 * S, 4 * S, 70 * S
# So long a message takes at most where nothing holds it up.
ON_ITS_WAY_NS = S // 10
# A silent stream is noticed after two minutes, a silent socket after four more; what was lost often cools down.
KEEPALIVE_NS = 30 * S
HEAL_NS, COOL_DOWN_NS, LOSSES_TO_COOL_DOWN = 480 * S, 600 * S, 5

METRICS_TOLD = (
    {"metric": "depth_imbalance", "levels": 3},
    {"metric": "ofi", "window": "10s"},
    {"metric": "trade_imbalance"},
)
RAW = {"min_duration": "0ms", "cooldown": "1s", "max_age": "20s", "standardise": {"by": "none"}}
DETECTORS_ON = (
    {"kind": "market_depth_imbalance", "bps": 50, "on": 0.6, "off": 0.4, **RAW},
    {"kind": "aggressive_order_flow", "window": "5s", "on": 1000, "off": 400, **RAW},
)


class Outcome(msgspec.Struct, frozen=True):
    """How a world went. ``violation`` is empty where every law held; ``healed_ns``: how long that took."""

    seed: int
    violation: str
    at_ns: int
    digest: str
    frames: int
    compared: int
    signals: int
    losses: int
    healed_ns: int
    injected: dict[str, int]


def _symbols(rng: random.Random) -> list[str]:
    return [rng.choice(PAIRS).format(base, base) for base in rng.sample(BASES, rng.choice((1, 2, 2, 3)))]


@cache
def configured(venues: tuple[str, ...]) -> Config:
    """These venues with signals that come easily and without filters."""
    data = {
        "venues": {venue: {"instruments": ["BTC/USDT"]} for venue in venues},
        "metrics": METRICS_TOLD,
        "detectors": DETECTORS_ON,
        "filters": "off",
        "grading": {"horizons": ["5s"]},
        "clock": "2s",
        "snapshots": "2s",
    }

    def no_file(path: str) -> str:
        raise OSError(f"{path}: a world reads no file")

    tables = Tables(VENUES, METRICS, DETECTORS, FILTERS)
    return load(orjson.dumps(data).decode(), tables, environ={}, read_text=no_file)


class World:
    """``told`` gets a line per frame, where one is given."""

    def __init__(self, seed: int, venues: Sequence[SimVenue], told: Callable[[str], None] | None = None) -> None:
        self.seed = seed
        rng = random.Random(seed)
        self.stage = Stage(rng)
        chosen = rng.sample(venues, rng.choice((1, 1, 1, 2)))
        self._brisk = brisk = rng.random() < 0.7
        self._rotates = False
        self._length_s = rng.uniform(2.0, 8.0) if brisk else rng.uniform(30.0, 140.0)
        interval_ns = int((rng.uniform(0.15, 0.5) if brisk else rng.uniform(2.0, 6.0)) * S)
        self.pipeline = Pipeline(configured(tuple(venue.id for venue in chosen)))
        self.exchanges = [
            Exchange(self.stage, venue, _symbols(rng), self._levels(venue), interval_ns, proof=self._proof(venue))
            for venue in chosen
        ]
        self.hands: dict[str, Hands] = {}
        self.oracle = Oracle(self.pipeline, self.exchanges)
        self.frames = 0
        self._digest = hashlib.blake2b(digest_size=16)
        self._tell = told
        self._tick = Alarm(self.stage, self._clock_ns, CLOCK_LOOKS_NS, self._ticked)
        self._clock_last_ns = 0
        self._listings = Listings(self.stage, self.exchanges, self.hands, self.oracle)
        self._happenings = Happenings(self.stage, self.exchanges, self.hands, self._listings)
        self._phases = faults.draw_phases(rng, self._length_s)
        for exchange in self.exchanges:
            self._settle_in(exchange)

    def _levels(self, venue: SimVenue) -> int:
        """As many a side as the venue's own proof covers."""
        if self.pipeline.sessions[venue.id].codec.continuity.source is Source.FULL:
            return min(levels for _, levels in venue.wire.images)
        # One less than the checksum is made of: then a level too many shows as well.
        covered = venue.wire.checksum_levels - 1 if venue.wire.checksum_levels else LEVELS
        return covered // ORDERS_OF_A_LEVEL if self._proof(venue).by_order else covered

    def _proof(self, venue: SimVenue) -> Proof:
        codec = self.pipeline.sessions[venue.id].codec
        return Proof(not codec.checks, codec.continuity.sums_apart, codec.continuity.orders)

    def _settle_in(self, exchange: Exchange) -> None:
        venue, stage = exchange.venue.id, self.stage
        codec = self.pipeline.sessions[venue].codec
        if stage.rng.random() < 0.3:  # so short that sockets of slow worlds are rotated
            self._rotates = True
            codec.limits = structs.replace(codec.limits, lifetime_s=stage.rng.uniform(100.0, 300.0))
        self.hands[venue] = Hands(
            exchange,
            codec.limits,
            self.feed,
            lambda conn: self.oracle.opened(venue, conn, self.hands[venue].clock_ns()),
        )
        stage.at(stage.rng.choice((0, stage.rng.randrange(2 * S))), self._listings.give, exchange)

    # -- running -------------------------------------------------------------------------------------------------------

    def run(self) -> Outcome:
        """From the first frame to the orderly end."""
        violation = ""
        healed_ns = 0
        try:
            for phase in self._phases:
                self._until(int(phase.start_s * S))
                self.stage.weather.turn(phase.rates)
                for at_s, kind in phase.happenings:
                    self.stage.at(int(at_s * S), self._happenings.strike, kind, int(phase.end_s * S))
                self._until(int(phase.end_s * S))
                self.stage.weather.turn({})
            healed_ns = self._heal()
            self._feed_end()
        except Violated as broken:
            violation = str(broken)
        return Outcome(
            seed=self.seed,
            violation=violation,
            at_ns=self.stage.now_ns,
            digest=self._digest.hexdigest(),
            frames=self.frames,
            compared=self.oracle.compared,
            signals=self.oracle.signals,
            losses=sum(watched.losses for watched in self.oracle.books.values()),
            healed_ns=healed_ns,
            injected=dict(self.stage.weather.injected),
        )

    def _until(self, at_ns: int) -> None:
        over: list[bool] = []
        self.stage.at(at_ns, over.append, True)
        while not over:
            self.stage.turn()

    def _heal(self) -> int:
        """Calm until all is well, and how long that took; then nothing is lost any more."""
        began_ns = self.stage.now_ns
        # A clock that was set back stands still for the product until the wall has caught up, and its keep-alives are
        # late by as much: the venue may cut it once more.
        behind_ns = max(hands.clock_ns() - self.stage.wall_ns() for hands in self.hands.values())
        calm_ns = began_ns + IN_FLIGHT_NS + (behind_ns + KEEPALIVE_NS if behind_ns else 0)
        for exchange in self.exchanges if self._brisk else ():
            exchange.interval_ns *= 3  # what is to be seen in the calm is seen at leisure
        self.oracle.calm()
        self._until_well(began_ns)
        healed_ns = self.stage.now_ns - began_ns
        self._until(max(self.stage.now_ns, calm_ns))
        self._until_well(began_ns)
        before, calm_ns = self.oracle.losses(), self.stage.now_ns
        self._until(self.stage.now_ns + (CALM_NS if self._brisk else LONG_CALM_NS))
        untold = self.oracle.untold(calm_ns, self.stage.now_ns - ON_ITS_WAY_NS)
        if untold:
            raise Violated(f"in the calm after the faults: {', '.join(untold)}")
        for key, count in self.oracle.losses().items():
            why = self.oracle.books[key].why
            rotated = self._rotates and why == GapKind.SOCKET_CLOSED
            # Lower ids on an open socket are duplicates at first, until they are too many in a row.
            if count > before[key] and not rotated and why != GapKind.SEQUENCE_RESET:
                raise Violated(f"{' '.join(key)}: lost in the calm after the faults ({why})")
        return healed_ns

    def _until_well(self, began_ns: int) -> None:
        """Every socket open, every book LIVE, every trade told."""
        sessions = self.pipeline.sessions.values()
        while missing := [
            *self.oracle.missing(),
            *self.oracle.untrusted(),
            *self._shut(),
            *(f"{session.venue} {name} missed" for session in sessions for name in session.missed.symbols),
            *self.oracle.deaf(began_ns + IN_FLIGHT_NS),
        ]:
            cool_down_ns = COOL_DOWN_NS if max(self.oracle.losses().values()) > LOSSES_TO_COOL_DOWN else 0
            if self.stage.now_ns > began_ns + HEAL_NS + cool_down_ns:
                after_s = (self.stage.now_ns - began_ns) // S
                raise Violated(f"not well {after_s} s after the last fault: {', '.join(missing)}")
            self.stage.turn()

    def _shut(self) -> list[str]:
        """The sockets that are not open, or are still handed over to another one."""
        return [
            f"{venue} socket {link.conn}"
            for venue, hands in self.hands.items()
            for link in hands.links.values()
            if link.socket is None
            or link.socket.half_open
            or link.conn in self.pipeline.sessions[venue].rotation.active
        ]

    def _feed_end(self) -> None:
        self.feed(Frame(self._clock_ns(), "", 0, "stop", b""), None)
        for (venue, instrument), watched in self.oracle.books.items():
            if watched.signals:
                raise Violated(f"{venue} {instrument}: signals {watched.signals} are open after the end")

    # -- the product ---------------------------------------------------------------------------------------------------

    def feed(self, frame: Frame, told: Shown | None) -> None:
        """One frame into the product; its word is judged and its commands are carried out."""
        self.frames += 1
        try:
            outputs = self.pipeline.feed(frame)
        except Exception as error:  # whatever it is, it would have ended the run: that is what is looked for here
            raise Violated(f"the pipeline raised {error!r} at {frame!r:.500}") from error
        commands = self.pipeline.commands()
        came_of_it = words(outputs, commands)
        self._digest.update(head(frame).encode())
        self._digest.update(frame.data)
        self._digest.update(came_of_it.encode())
        if self._tell is not None:
            self._tell(f"{self.stage.now_ns / S:10.3f} {head(frame)} {frame.data!r} {came_of_it}")
        self.oracle.fed(frame, told, outputs, commands)
        for command in commands:
            if isinstance(command, Wake) and not command.venue:
                self._tick.set(command.at_ns)
                continue
            if isinstance(command, Fetch):
                self._asked(command)
            self.hands[command.venue].execute(command)

    def _asked(self, command: Fetch) -> None:
        hands = self.hands[command.venue]
        image_of = hands.exchange.venue.snapshot_stream(request(command.url))
        if image_of:
            self.oracle.asked(command.venue, image_of, hands.clock_ns())

    def _clock_ns(self) -> int:
        self._clock_last_ns = max(self._clock_last_ns, self.stage.wall_ns())
        return self._clock_last_ns

    def _ticked(self, at_ns: int) -> None:
        self.feed(Frame(max(self._clock_ns(), at_ns), "", 0, "wake", b""), None)
