"""A recording through the live pipeline, as fast as it goes.

Our own recordings carry their timers; for any other the timers that the pipeline asks for are fired here, each before
the first frame that is not older, so that windows empty and silence is noticed just as they would be live. A pause of
years (recordings are pasted together from days) is over after its first hour: nothing looks further back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imbalanced.detect.signals import decimal_text, size_text
from imbalanced.events import Frame, Trade, TradeIgnored
from imbalanced.venues.codec import Wake

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from imbalanced.events import Instrument
    from imbalanced.lane import Lane
    from imbalanced.pipeline import Pipeline


LONG_PAUSE_NS = 3600 * 1_000_000_000


def with_timers(frames: Iterable[Frame], pipeline: Pipeline, *, own: bool) -> Iterator[tuple[int, Frame, list[Any]]]:
    """Feed every frame; gives ``(record number, frame, outputs)``, timers included, those of a foreign recording
    as -1.
    """
    due: dict[str, int] = {}
    before_ns = 0
    for number, frame in enumerate(frames):
        while not own and due:
            venue = min(due, key=lambda one: (due[one], one))
            at_ns = due.pop(venue)
            if at_ns > frame.recv_ns:
                due[venue] = at_ns
                break
            if at_ns > before_ns + LONG_PAUSE_NS:
                at_ns = frame.recv_ns
            wake = Frame(at_ns, venue, 0, "wake", b"")
            yield -1, wake, pipeline.feed(wake)
            _take_timers(pipeline, due)
        before_ns = frame.recv_ns
        yield number, frame, pipeline.feed(frame)
        _take_timers(pipeline, due)


def _take_timers(pipeline: Pipeline, due: dict[str, int]) -> None:
    for command in pipeline.commands():
        if isinstance(command, Wake):
            due[command.venue] = command.at_ns


class Tally:
    """What a recording held, per instrument, in the venue's own words and units: the books and the trade counters."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._trades: dict[tuple[str, str], list[float]] = {}
        self._ignored: dict[tuple[str, str], dict[str, int]] = {}

    def see(self, outputs: Iterable[Any]) -> None:
        """Count the trades among these."""
        for event in outputs:
            if type(event) is Trade:
                key = (event.venue, event.instrument)
                counts = self._trades.setdefault(key, [0, 0, 0.0, 0.0])
                lane = self._pipeline.sessions[event.venue].lane_of(event.instrument)
                size = _wire_size(event.size, event.px, lane.instrument) if lane else event.size
                counts[0] += 1
                counts[1] += event.sign > 0
                counts[2] += size if event.sign > 0 else 0.0
                counts[3] += size if event.sign < 0 else 0.0
            elif type(event) is TradeIgnored:
                ignored = self._ignored.setdefault((event.venue, event.instrument), {})
                ignored[event.why] = ignored.get(event.why, 0) + 1

    def symbols(self) -> dict[str, dict[str, Any]]:
        """The state of every symbol now, by the venue's own names."""
        told: dict[str, dict[str, Any]] = {}
        for session in self._pipeline.sessions.values():
            for symbol, lane in session.lanes.items():
                key = (session.venue, lane.instrument.symbol)
                trades, buys, bought, sold = self._trades.get(key, (0, 0, 0.0, 0.0))
                ignored = self._ignored.get(key, {})
                told[symbol] = {
                    "valid": lane.valid,
                    "trades": int(trades),
                    "buy_trades": int(buys),
                    "history_trades": ignored.get("history", 0),
                    "non_market_trades": ignored.get("not_market", 0),
                    "buy_volume": size_text(bought),
                    "sell_volume": size_text(sold),
                    **(_levels(lane) if lane.valid else {"why": lane.why, "bids": [], "asks": []}),
                }
        return told


def _wire_size(size: float, px: int, instrument: Instrument) -> float:
    """Base units back to the venue's own unit."""
    if instrument.inverse:
        return size * px / 10.0**instrument.price_scale / instrument.contract_size
    return size / instrument.contract_size


def _levels(lane: Lane, depth: int = 20) -> dict[str, Any]:
    book, instrument = lane.sync.book, lane.instrument
    sides = [
        [(px, _wire_size(size, px, instrument)) for px, size in ladder.levels(depth)]
        for ladder in (book.bids, book.asks)
    ]
    bids, asks = (
        [[decimal_text(px, instrument.price_scale), size_text(size)] for px, size in levels] for levels in sides
    )
    told: dict[str, Any] = {
        "best_bid": bids[0] if bids else None,
        "best_ask": asks[0] if asks else None,
        "bids": bids,
        "asks": asks,
        "n_bids": len(book.bids),
        "n_asks": len(book.asks),
    }
    if bids and asks:
        told["crossed"] = sides[0][0][0] >= sides[1][0][0]
        for name, best in (("queue_imbalance", 1), ("depth_imbalance_5", 5)):
            bid, ask = (sum(size for _, size in levels[:best]) for levels in sides)
            told[name] = f"{(bid - ask) / (bid + ask):.12f}"
    return told
