# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The floor: what instruments show each other, for kinds that look across venues.

Each instrument has a ``Post``. It shows only what somebody looks at: the depth within some distance of its mid, or the
mid itself. Everything is by receive time, because one machine's clock is the only one that venues have in common; what
is not proven now or is too old is not there, and is never a zero. Frames alone decide what stands on a post, in their
order, so a replay sees the same.
"""

from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING

import cython
from msgspec import Struct

if not cython.compiled:
    from imbalanced.book import Book
    from imbalanced.metrics.across import Depths, VenueDepth
    from imbalanced.metrics.metric import AsOf
else:
    from cython.cimports.imbalanced.book import Book
    from cython.cimports.imbalanced.metrics.across import Depths, VenueDepth
    from cython.cimports.imbalanced.metrics.metric import AsOf

if TYPE_CHECKING:
    from decimal import Decimal

    from imbalanced.events import Instrument

# Notional in these may be added up: all are meant to be one dollar.
DOLLARS = frozenset(("USD", "USDT", "USDC", "FDUSD", "TUSD", "BUSD", "USDD", "USDE", "USDP", "PYUSD", "RLUSD", "DAI"))


@cython.cclass
class Follower:
    """Somebody who needs the mid of some time ago. ``keep_ns``: how much of the past."""

    def __init__(self, keep_ns: int) -> None:
        self._past = AsOf()
        self._keep_ns = keep_ns

    @cython.ccall
    def ago(self, t_ns: cython.longlong) -> cython.double:
        """The mid as of this receive time; NaN where there was none."""
        return self._past.at(t_ns)

    @cython.cfunc
    def push(self, t_ns: cython.longlong, mid: cython.double) -> cython.void:
        self._past.push(t_ns, mid)
        self._past.at(t_ns - self._keep_ns)

    @cython.cfunc
    def clear(self) -> cython.void:
        self._past.clear()


@cython.cclass
class Post:
    """What one instrument shows: whether its book is sound, when it was last heard of, mid and spread in price units
    of its own, and the depths that others look at.
    """

    def __init__(self) -> None:
        self.watched = False
        self.per_unit = 1.0
        self.ok = False
        self.recv_ns = 0
        self.mid = nan
        self.spread = nan
        self._depths: list[VenueDepth] = []
        self._by_bps: dict[Decimal, VenueDepth] = {}
        self._followers: list[Follower] = []

    def depth(self, bps: Decimal) -> VenueDepth:
        """The depth within so many basis points, shown from now on."""
        if bps not in self._by_bps:
            self._by_bps[bps] = VenueDepth(bps, self.per_unit)
            self._depths.append(self._by_bps[bps])
            self.watched = True
        return self._by_bps[bps]

    def follow(self, keep_ns: int) -> Follower:
        """A new follower of the mid."""
        follower = Follower(keep_ns)
        self._followers.append(follower)
        self.watched = True
        return follower

    @cython.ccall
    def show(self, book: Book, recv_ns: cython.longlong) -> cython.void:
        """The book changed; it is live."""
        depth: VenueDepth
        follower: Follower
        bid: cython.longlong
        ask: cython.longlong
        self.recv_ns = recv_ns
        self.ok = book.ok()
        for depth in self._depths:
            depth.look(book, recv_ns)
        if self.ok:
            bid = book.bids.key[book.bids.n - 1]
            ask = -book.asks.key[book.asks.n - 1]
            self.mid = cython.cast(cython.double, bid + ask) / 2.0
            self.spread = cython.cast(cython.double, ask - bid)
            for follower in self._followers:
                follower.push(recv_ns, self.mid)

    @cython.ccall
    def gone(self) -> cython.void:
        """The book is not to be trusted: it shows nothing, and what it showed is no past of what comes."""
        depth: VenueDepth
        follower: Follower
        self.ok = False
        for depth in self._depths:
            depth.ok = False
        for follower in self._followers:
            follower.clear()


class Asset:
    """The instruments of one asset whose notional can be added up, in the order in which they were first heard of."""

    def __init__(self) -> None:
        self._posts: list[tuple[str, Post]] = []
        self._watchers: list[tuple[Decimal, dict[str, float], Depths]] = []

    def join(self, venue: str, post: Post) -> None:
        """One more instrument."""
        self._posts.append((venue, post))
        # One alone has nobody to be compared with, and shows nothing.
        known = len(self._posts)
        new = self._posts if known == 2 else self._posts[known - 1 :] if known > 2 else []
        for watcher in self._watchers:
            _add(new, watcher)

    def watch(self, bps: Decimal, weights: dict[str, float], depths: Depths) -> None:
        """``depths`` gets the depth of all of them, those that come later too."""
        watcher = (bps, weights, depths)
        self._watchers.append(watcher)
        if len(self._posts) >= 2:
            _add(self._posts, watcher)


def _add(posts: list[tuple[str, Post]], watcher: tuple[Decimal, dict[str, float], Depths]) -> None:
    bps, weights, depths = watcher
    for venue, post in posts:
        depths.add(post.depth(bps), weights.get(venue, 1.0))


class Place(Struct, frozen=True):
    """Where one instrument stands: its own post, its asset, and the floor with all the others."""

    floor: Floor
    post: Post
    asset: Asset


class Floor:
    """All posts of a run, by venue and instrument."""

    def __init__(self) -> None:
        self._posts: dict[tuple[str, str], Post] = {}
        self._assets: dict[tuple[str, str], Asset] = {}

    def post(self, venue: str, instrument: str) -> Post:
        """The post of an instrument, which may be heard of later, or never."""
        return self._posts.setdefault((venue, instrument), Post())

    def seat(self, instrument: Instrument) -> Place:
        """An instrument comes onto the floor, once."""
        post = self.post(instrument.venue, instrument.symbol)
        post.per_unit = float(10**instrument.price_scale)
        asset = self._assets.setdefault(_asset(instrument), Asset())
        asset.join(instrument.venue, post)
        return Place(self, post, asset)


def _asset(instrument: Instrument) -> tuple[str, str]:
    """The base currency, and the money that its notional is in."""
    base, _, rest = instrument.symbol.partition("/")
    base, quote = instrument.base or base, instrument.quote or rest.partition(":")[0]
    return base, "USD" if quote in DOLLARS else quote
