"""Any metric over plain events: the classes that the daemon runs, without a daemon.

``evaluate`` takes events as dicts (times in integer milliseconds, numbers as decimal text), finds a price grid fine
enough for every price in them, feeds a fresh metric and collects one answer per event: None where the event is no
input of the metric or there is no value. It is how the definitions are checked and how a metric is tried in a
notebook.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from math import isfinite, nan
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from imbalanced.book import MAX_PX, Book, Rows
from imbalanced.metrics.metric import NOT_INPUT, NS_PER_MS, VALUE, Grid, Metric, make
from imbalanced.options import OptionsError, read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from msgspec import Struct

Answer = float | dict[str, Any] | list[Any] | None

PRICE_OPTIONS = ("tick", "bucket")
SIGNS = {"buy": 1, "sell": -1, None: 0}
SLOW = ("row", "signal", "oi", "ratio", "funding", "liquidation", "option")

# A handler's fourth answer, of metrics that look at the whole tape: it comes later.
PENDING = 3


@runtime_checkable
class Offline(Protocol):
    """A metric that looks at the whole tape."""

    def finish(self) -> list[Any]:
        """Once, after the last event: the answers to the pending events, in their order."""


@runtime_checkable
class Across(Protocol):
    """A metric of several venues."""

    def select(self, venue: str) -> None:
        """The next event is this venue's."""


def evaluate(
    metrics: Mapping[str, type[Metric]], name: str, params: Mapping[str, Any], events: Iterable[Mapping[str, Any]]
) -> list[Answer]:
    """One answer per event. ValueError: an unknown name or parameter, a value out of range, an event that is none."""
    found = metrics.get(name)
    if found is None:
        near = get_close_matches(name, metrics, 1)
        raise ValueError(f"metric {name!r} is unknown" + (f"; did you mean {near[0]!r}?" if near else ""))
    try:
        options: Struct = read(found.Options, params, name, style="plain")
    except OptionsError as error:
        raise ValueError(str(error)) from error
    listed = list(events)
    grid = _grid(listed, options)
    # The base class is made from its width alone; what is registered, from options and grid.
    metric = make(found, options, grid)
    run = _Run(metric, grid)
    answers = [run.feed(index, event) for index, event in enumerate(listed)]
    if isinstance(metric, Offline):
        for index, answer in zip(run.pending, metric.finish(), strict=True):
            answers[index] = answer
    return answers


def _decimals(text: str) -> int:
    exponent = Decimal(text).normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _grid(events: list[Mapping[str, Any]], options: Struct) -> Grid:
    """A scale on which every price text, and every price among the options, is an integer."""
    texts = [str(value) for key in PRICE_OPTIONS if (value := getattr(options, key, None)) is not None]
    for event in events:
        if isinstance(event, dict):
            for side in (event.get("bids"), event.get("asks")):
                rows = side if isinstance(side, list | tuple) else ()
                texts += [str(row[0]) for row in rows if isinstance(row, list | tuple) and row]
            if event.get("type") in ("trade", "liquidation") and event.get("price") is not None:
                texts.append(str(event["price"]))
    scale = 0
    for text in texts:
        try:
            scale = max(scale, _decimals(text))
        except InvalidOperation:
            continue  # said with its event, where it is read
    return Grid(price_scale=scale)


class _Run:
    """One metric with the books that its events speak of."""

    def __init__(self, metric: Metric, grid: Grid) -> None:
        self._metric, self._grid = metric, grid
        self._across = metric if isinstance(metric, Across) else None
        self._books: dict[str, Book] = {}
        self.pending: list[int] = []
        self._handlers: dict[str, Callable[[Mapping[str, Any], int], int]] = {
            "book_snapshot": self._snapshot,
            "book_delta": self._delta,
            "book_invalid": self._invalid,
            "trade": self._trade,
            "clock": self._clock,
            "value": self._value,
        }

    def feed(self, index: int, event: Mapping[str, Any]) -> Answer:
        """The answer to one event. ValueError says which event, what in it, and what was expected."""
        try:
            return self._feed(index, event)
        except ValueError as error:
            raise ValueError(f"event {index}: {error}") from None

    def _feed(self, index: int, event: Mapping[str, Any]) -> Answer:
        if not isinstance(event, Mapping):
            raise ValueError(f"{event!r} is no event, expected a dict with type and ts_ms")
        kind, t_ms = event.get("type"), event.get("ts_ms")
        if isinstance(t_ms, bool) or not isinstance(t_ms, int):
            raise self._wrong(event, "ts_ms", "an integer of milliseconds")
        handler = self._handlers.get(str(kind))
        if handler is None:
            answered = self._other(event, t_ms * NS_PER_MS)
        else:
            answered = handler(event, t_ms * NS_PER_MS)
        if answered == PENDING:
            self.pending.append(index)
        return self._metric.answer() if answered == VALUE else None

    def _wrong(self, event: Mapping[str, Any], key: str, expected: str) -> ValueError:
        return ValueError(f"{key} is {event.get(key)!r}, expected {expected}")

    def _number(self, event: Mapping[str, Any], key: str, given: Any = ...) -> float:
        value: Any = event.get(key) if given is ... else given
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise self._wrong(event, key, "a number as decimal text") from None
        if isinstance(value, bool) or not isfinite(number):
            raise self._wrong(event, key, "a finite number as decimal text")
        return number

    def _px(self, event: Mapping[str, Any], key: str, given: Any = ...) -> int:
        value = event.get(key) if given is ... else given
        try:
            px = self._grid.px(Decimal(str(value)))
        except (InvalidOperation, ValueError, OverflowError):
            px = 0
        if not 0 < px <= MAX_PX:
            raise self._wrong(event, key, "a price above 0 as decimal text")
        return px

    def _rows(self, event: Mapping[str, Any], *, keep_zero: bool) -> Rows:
        rows = Rows()
        for side in ("bids", "asks"):
            if side == "asks":
                rows.end_bids()
            listed = event.get(side)
            if listed is not None and not isinstance(listed, list | tuple):
                raise self._wrong(event, side, "a list of [price, size]")
            for row in listed or ():
                if not isinstance(row, list | tuple) or len(row) != 2:
                    raise self._wrong(event, side, "rows of [price, size]")
                px, size = self._px(event, side, row[0]), self._number(event, side, row[1])
                if size < 0:
                    raise self._wrong(event, side, "sizes of at least 0")
                if size > 0 or keep_zero:
                    rows.add(px, size)
        return rows

    def _select(self, event: Mapping[str, Any]) -> str:
        """Whose event this is, which a metric of several venues must know."""
        venue = str(event.get("venue", ""))
        if self._across is not None:
            self._across.select(venue)
        return venue

    def _book(self, event: Mapping[str, Any]) -> Book:
        venue = self._select(event)
        return self._books.setdefault(venue, Book())

    def _snapshot(self, event: Mapping[str, Any], t_ns: int) -> int:
        book = self._book(event)
        book.clear()
        book.replace(self._rows(event, keep_zero=False))
        book.live = True
        return self._metric.book_replaced(book, t_ns)

    def _delta(self, event: Mapping[str, Any], t_ns: int) -> int:
        book = self._book(event)
        rows = self._rows(event, keep_zero=True)
        if not book.live:
            # Ignored, but where any event or another venue's book can answer, time has passed.
            answers = self._across is not None or "any" in self._metric.inputs.split()
            return self._metric.clock(book, t_ns) if answers else NOT_INPUT
        book.apply(rows)
        return self._metric.book_changed(book, t_ns)

    def _invalid(self, event: Mapping[str, Any], t_ns: int) -> int:
        self._book(event).clear()
        return self._metric.book_invalid(t_ns)

    def _trade(self, event: Mapping[str, Any], t_ns: int) -> int:
        side = event.get("side")
        if side not in SIGNS:
            raise self._wrong(event, "side", '"buy", "sell" or null')
        size = self._number(event, "size")
        if size < 0:
            raise self._wrong(event, "size", "a size of at least 0")
        return self._metric.trade(self._px(event, "price"), size, SIGNS[side], t_ns)

    def _clock(self, event: Mapping[str, Any], t_ns: int) -> int:
        return self._metric.clock(self._book(event), t_ns)

    def _value(self, event: Mapping[str, Any], t_ns: int) -> int:
        x = event.get("x")
        self._select(event)
        return self._metric.value(nan if x is None else self._number(event, "x"), t_ns)

    def _other(self, event: Mapping[str, Any], t_ns: int) -> int:
        if event.get("type") not in SLOW:
            raise self._wrong(event, "type", f"one of {', '.join((*self._handlers, *SLOW))}")
        return self._metric.event(event, t_ns)
