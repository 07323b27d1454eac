"""One symbol of a venue: its book with its proof, and the account of its failures.

The account decides when a lost book may be asked for again. Jitter is a hash of symbol and attempt, not a die: the same
frames must give the same commands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from zlib import crc32

from imbalanced.events import GapKind, StreamState
from imbalanced.refresh import Refresh
from imbalanced.states import TABLE, Cause, State
from imbalanced.streams import BOOK, CHANNELS, CONTEXT, TRADES, Stream
from imbalanced.sync import BookSync

if TYPE_CHECKING:
    from imbalanced.events import Instrument
    from imbalanced.streams import StreamWord
    from imbalanced.venues.codec import Continuity

S = 1_000_000_000

BACKOFF_FIRST_NS, BACKOFF_MOST_NS = S // 2, 30 * S
RESYNCS_MAX, RESYNC_WINDOW_NS = 5, 600 * S
COOL_DOWN_FIRST_NS, COOL_DOWN_MOST_NS = 60 * S, 600 * S
STABLE_NS = 60 * S
HOUR_NS = 3600 * S
# A stream is stale after so many of its own usual intervals, or of its longest of late, within these bounds; one that
# has not spoken so often yet has no usual interval, and gets the upper bound.
STALE_INTERVALS, STALE_LONGEST, STALE_LEAST_NS, STALE_MOST_NS = 50.0, 3.0, 30 * S, 120 * S
STALE_KNOWN = 200


# What a loss of each kind is in the life of a book; every other kind is LOST.
CAUSES: dict[str, Cause] = {
    GapKind.SOCKET_CLOSED: Cause.CUT,
    GapKind.SYMBOL_GONE: Cause.GONE,
    GapKind.HALTED: Cause.HALT,
}


class Lane:
    """One symbol. ``why`` says in a word why its book is not valid (``detail`` in the venue's own); empty while it
    is.
    """

    def __init__(self, instrument: Instrument, continuity: Continuity) -> None:
        self.instrument = instrument
        self.sync = BookSync(continuity)
        self.refresh = Refresh(continuity)
        self.conn = 0
        self.why = "no snapshot"
        self.detail = ""
        self.since_ns = 0
        self.opened_ns = 0
        self.state = State.IDLE
        self.halts: dict[str, str] = {}  # who says that it does not trade, and why
        self.streams = {channel: Stream(channel) for channel in CHANNELS}
        self.book, self.trades, self.context = (self.streams[one] for one in (BOOK, TRADES, CONTEXT))
        self.fetching_since_ns = 0
        self.wanted_ns = 0
        self.patience_ns = 0
        self.heard_at_image = 0
        self.stale = False
        self.trade_stream = ""
        self.trade_id = -1
        self.last_trade_told = -1
        self._attempts = 0
        self._cool_downs = 0
        self.losses = 0
        self._lost_ns: list[int] = []

    @property
    def valid(self) -> bool:
        """Whether the book is proven."""
        return not self.why

    def gaps_1h(self, now_ns: int) -> int:
        """Losses of this book in the last hour."""
        return sum(1 for at in self._lost_ns if at > now_ns - HOUR_NS)

    @property
    def wanted(self) -> bool:
        """Whether its book is to be had at all: the venue has it, and trades it."""
        return self.state not in (State.HALTED, State.CLOSED)

    def seen(self) -> dict[str, Stream]:
        """Its streams as they are now (that of the book is counted where its diffs are applied)."""
        self.book.count, self.book.heard_ns = self.sync.heard_count, self.sync.heard_ns
        if self.sync.heard_ns and not self.book.count:
            self.book.count = 1  # the first message has no interval before it
        return self.streams

    def enter(self, cause: Cause) -> None:
        """What happened to the book, by the table of its life."""
        self.state = TABLE.get((self.state, cause), self.state)

    def tell(self, channel: str, state: StreamWord, reason: str, now_ns: int) -> list[StreamState]:
        """A stream is in this state now; what is to be said of it: nothing, if that is no news."""
        if not self.streams[channel].tell(state, reason, now_ns):
            return []
        told = StreamState(
            venue=self.instrument.venue,
            channel=channel,
            instrument=self.instrument.symbol,
            recv_ns=now_ns,
            state=state,
            reason=reason,
        )
        return [told]

    def proven(self, now_ns: int) -> None:
        """The book is proven as of now."""
        self.enter(Cause.PROVEN)
        self.why = self.detail = ""
        self.since_ns = now_ns
        self.fetching_since_ns = 0

    def lost(self, why: str, now_ns: int, detail: str = "") -> None:
        """The book is no longer trusted; ``wanted_ns`` says when to ask for it again."""
        self.enter(CAUSES.get(why, Cause.LOST))
        if self.valid:
            if now_ns - self.since_ns >= STABLE_NS:
                self._attempts = 0
                self._cool_downs = 0
            self._lost_ns = [at for at in self._lost_ns if at > now_ns - HOUR_NS]
            self._lost_ns.append(now_ns)
            self.losses += 1
            self.since_ns = now_ns
        self.why, self.detail = why, detail
        self._want(now_ns)

    def failed(self, now_ns: int) -> None:
        """One attempt came to nothing: the next is never at once, even if this was the first of all."""
        self._attempts = max(self._attempts, 1)
        self._want(now_ns)

    def forgive(self, now_ns: int) -> None:
        """What the last attempts failed at was not this book: it may be asked for at once."""
        self._attempts = 0
        self.wanted_ns = now_ns

    def _want(self, now_ns: int) -> None:
        self.fetching_since_ns = 0
        self.wanted_ns = now_ns + self._delay_ns(now_ns)
        self._attempts += 1

    def _delay_ns(self, now_ns: int) -> int:
        recent = sum(1 for at in self._lost_ns if at > now_ns - RESYNC_WINDOW_NS)
        if recent > RESYNCS_MAX:
            delay = min(COOL_DOWN_FIRST_NS << min(self._cool_downs, 8), COOL_DOWN_MOST_NS)
            self._cool_downs += 1
        elif self._attempts == 0:
            return 0
        else:
            delay = min(BACKOFF_FIRST_NS << min(self._attempts - 1, 8), BACKOFF_MOST_NS)
        share = crc32(f"{self.instrument.venue_symbol} {self._attempts}".encode()) / 2**32
        return int(delay * (0.5 + 0.5 * share))

    def stale_after_ns(self) -> int:
        """How long this stream may be silent before it is stale."""
        if self.sync.heard_count < STALE_KNOWN:
            return STALE_MOST_NS
        usual = max(self.sync.interval_ns * STALE_INTERVALS, self.sync.longest_ns * STALE_LONGEST)
        return min(max(int(usual), STALE_LEAST_NS), STALE_MOST_NS)
