# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The desk of one instrument: its metrics and detectors, driven through C by each event.

Time is the venue's event time per stream (book, trades), never decreasing within a stream; where the venue gives none
it is the receive time. Metrics that take both streams see the later of the two, those for which any event will do that
of the event's own stream. A clock event carries the receive time that has passed since the last event over to the
stream's own time, a little behind, because frames in flight are older than the present: a clock that runs ahead would
bend the windows of what arrives next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cython

if not cython.compiled:
    from imbalanced.book import Book
    from imbalanced.detect.across import Post
    from imbalanced.detect.detector import Detector
    from imbalanced.metrics.metric import Metric
else:
    from cython.cimports.imbalanced.book import Book
    from cython.cimports.imbalanced.detect.across import Post
    from cython.cimports.imbalanced.detect.detector import Detector
    from cython.cimports.imbalanced.metrics.metric import Metric

from imbalanced.detect import detector as kinds
from imbalanced.metrics import metric as metrics

if TYPE_CHECKING:
    from collections.abc import Mapping

CONTEXT = ("funding", "liquidation", "oi", "ratio")
NO_LAG = -(2**62)
CLOCK_BEHIND_NS = cython.declare(cython.longlong, 250_000_000)
# As C integers.
VALUE = cython.declare(cython.int, metrics.VALUE)
BOOK = cython.declare(cython.int, kinds.BOOK)
TRADE = cython.declare(cython.int, kinds.TRADE)


def takes(metric: Metric, what: str) -> bool:
    """Whether a metric wants this kind of event: ``book``, ``trade`` or ``clock``."""
    wanted = metric.inputs.split()
    return what in wanted or "any" in wanted


@cython.cclass
class Desk:
    """``fired`` holds the detectors whose lifecycle spoke on the last event, with what it said.

    ``parts`` are detectors that only have a score, for those that read it; nobody hears them. ``post`` is what this
    instrument shows to others, ``kept`` are metrics that filters keep, driven before all others. ``heard_..._ns`` is
    when a stream was last heard of (receive time, which no clock moves on) and ``..._lag_ns`` how long after its event
    time that was (``NO_LAG`` where the venue gives none).
    """

    def __init__(
        self,
        metrics: list[Metric],
        detectors: list[Detector],
        parts: list[Detector] | None = None,
        post: Post | None = None,
        kept: list[Metric] | None = None,
    ) -> None:
        self.metrics = metrics
        self.detectors = detectors
        self.post: Post = post or Post()
        self.fired: list[tuple[Detector, int]] = []
        # Who reads the scores of others comes after them.
        self._all = sorted([*(parts or []), *detectors], key=lambda one: one.after)
        # What several of them look at is driven once.
        every = list(
            dict.fromkeys([*(kept or []), *metrics, *(metric for detector in self._all for metric in detector.metrics)])
        )
        self._of_any = [m for m in every if "any" in m.inputs.split()]
        rest = [m for m in every if m not in self._of_any]
        self._of_book = [m for m in rest if takes(m, "book") and not takes(m, "trade")]
        self._of_trades = [m for m in rest if takes(m, "trade") and not takes(m, "book")]
        self._of_both = [m for m in rest if takes(m, "trade") and takes(m, "book")]
        self._of_context = {what: [m for m in every if what in m.inputs.split()] for what in CONTEXT}
        self._clocked = [m for m in every if takes(m, "clock")]
        # The stream in whose time each of them lives: -1 the book's, 1 that of trades, 0 the later one.
        self._clocked_in = [-1 if m in self._of_book else int(m in self._of_trades) for m in self._clocked]
        self._on_book = [one for one in self._all if one.wakes & kinds.BOOK]
        self._on_trade = [one for one in self._all if one.wakes & kinds.TRADE]
        contextual = [one for one in self._all if one.wakes & kinds.CONTEXT]
        self._on_context = {what: [one for one in contextual if what in one.inputs.split()] for what in CONTEXT}
        self.book = Book()
        self.book_ns = self.trade_ns = self.latest_ns = 0
        self.recv_ns = self.book_recv_ns = self.trade_recv_ns = 0
        self.heard_book_ns = self.heard_trade_ns = 0
        self.book_lag_ns = self.trade_lag_ns = NO_LAG
        self.updates = 0
        self._polls: dict[str, tuple[int, int]] = {}
        self._named: list[str] | None = None
        self._words: list[list[str]] = []

    @cython.ccall
    def book_changed(self, book: Book, event_ns: cython.longlong, recv_ns: cython.longlong) -> cython.int:
        """A delta. Answers how many detectors spoke (they are in ``fired``)."""
        metric: Metric
        self._book_time(book, event_ns, recv_ns)
        for metric in self._of_book:
            metric.answered = metric.book_changed(book, self.book_ns)
        for metric in self._of_both:
            _kept(metric, metric.book_changed(book, self.latest_ns))
        for metric in self._of_any:
            _kept(metric, metric.book_changed(book, self.book_ns))
        if self.post.watched:
            self.post.show(book, recv_ns)
        return self._detect(self._on_book)

    @cython.ccall
    def book_replaced(self, book: Book, event_ns: cython.longlong, recv_ns: cython.longlong) -> cython.int:
        """A new proven book: its past is cut."""
        metric: Metric
        detector: Detector
        self._book_time(book, event_ns, recv_ns)
        for detector in self._all:
            detector.cut()
        for metric in self._of_book:
            metric.answered = metric.book_replaced(book, self.book_ns)
        for metric in self._of_both:
            _kept(metric, metric.book_replaced(book, self.latest_ns))
        for metric in self._of_any:
            _kept(metric, metric.book_replaced(book, self.book_ns))
        if self.post.watched:
            self.post.gone()
            self.post.show(book, recv_ns)
        return self._detect(self._on_book)

    @cython.ccall
    def book_invalid(self, recv_ns: cython.longlong) -> cython.int:
        """The book is gone: nothing of it is remembered, and every open signal of the instrument ends."""
        metric: Metric
        detector: Detector
        self.recv_ns = recv_ns
        self.updates += 1
        for metric in self._of_book:
            metric.answered = metric.book_invalid(self.book_ns)
        for metric in self._of_both:
            _kept(metric, metric.book_invalid(self.latest_ns))
        for metric in self._of_any:
            _kept(metric, metric.book_invalid(self.book_ns))
        self.post.gone()
        self.fired = []
        for detector in self._all:
            self._heard(detector, detector.invalid(self.latest_ns))
        return len(self.fired)

    @cython.ccall
    def trade(
        self,
        px: cython.longlong,
        size: cython.double,
        sign: cython.int,
        event_ns: cython.longlong,
        recv_ns: cython.longlong,
    ) -> cython.int:
        """A trade. Detectors are asked only while the book is proven."""
        metric: Metric
        self.trade_ns = max(self.trade_ns, event_ns if event_ns else recv_ns)
        self.latest_ns = max(self.latest_ns, self.trade_ns)
        self.trade_recv_ns = self.recv_ns = self.heard_trade_ns = recv_ns
        if event_ns:
            self.trade_lag_ns = recv_ns - event_ns
        self.updates += 1
        for metric in self._of_trades:
            metric.answered = metric.trade(px, size, sign, self.trade_ns)
        for metric in self._of_both:
            _kept(metric, metric.trade(px, size, sign, self.latest_ns))
        for metric in self._of_any:
            _kept(metric, metric.trade(px, size, sign, self.trade_ns))
        return self._detect(self._on_trade)

    def context(self, event: Mapping[str, object], event_ns: int, recv_ns: int) -> int:
        """A slow event (``type`` is one of ``CONTEXT``), for the metrics and detectors that want it. Answers how many
        of these spoke.
        """
        what = str(event["type"])
        if self.fired:
            self.fired = []
        last_ns, interval_ns = self._polls.get(what, (recv_ns, 0))
        self._polls[what] = (recv_ns, max(recv_ns - last_ns, interval_ns - interval_ns // 4))
        wanting = self._of_context[what]
        if not wanting:
            return 0
        self.latest_ns = max(self.latest_ns, event_ns if event_ns else recv_ns)
        self.recv_ns = recv_ns
        self.updates += 1
        for metric in wanting:
            metric.answered = metric.event(event, self.latest_ns)
        return int(self._detect(self._on_context[what]))

    def polled(self, what: str) -> tuple[int, int]:
        """When this slow event was last heard of (0: never), and the longest of its last intervals (0: unknown)."""
        return self._polls.get(what, (0, 0))

    @cython.ccall
    def clock(self, recv_ns: cython.longlong) -> cython.int:
        """Time has passed."""
        metric: Metric
        detector: Detector
        t_ns: cython.longlong
        self.fired = []
        if self.recv_ns == 0:
            return 0
        self.recv_ns = recv_ns
        if self.book_recv_ns:
            self.book_ns = max(self.book_ns, self.book_ns + (recv_ns - self.book_recv_ns) - CLOCK_BEHIND_NS)
            self.book_recv_ns = max(self.book_recv_ns, recv_ns - CLOCK_BEHIND_NS)
        if self.trade_recv_ns:
            self.trade_ns = max(self.trade_ns, self.trade_ns + (recv_ns - self.trade_recv_ns) - CLOCK_BEHIND_NS)
            self.trade_recv_ns = max(self.trade_recv_ns, recv_ns - CLOCK_BEHIND_NS)
        self.latest_ns = max(self.latest_ns, self.book_ns, self.trade_ns)
        lives_in: cython.int
        for metric, lives_in in zip(self._clocked, self._clocked_in):  # noqa: B905  # a C loop; they are made together
            t_ns = self.book_ns if lives_in < 0 else self.trade_ns if lives_in > 0 else self.latest_ns
            _kept(metric, metric.clock(self.book, t_ns))
        if self.book.live:
            for detector in self._all:
                self._heard(detector, detector.clock(self.time_of(detector)))
        return len(self.fired)

    @cython.ccall
    def time_of(self, detector: Detector) -> cython.longlong:
        """The time that a detector lives in: that of its stream, or the later one of several."""
        if detector.wakes == BOOK:
            return self.book_ns
        if detector.wakes == TRADE:
            return self.trade_ns
        return self.latest_ns

    @cython.cfunc
    def _book_time(self, book: Book, event_ns: cython.longlong, recv_ns: cython.longlong) -> cython.void:
        self.book = book
        self.book_ns = max(self.book_ns, event_ns if event_ns else recv_ns)
        self.latest_ns = max(self.latest_ns, self.book_ns)
        self.book_recv_ns = self.recv_ns = self.heard_book_ns = recv_ns
        if event_ns:
            self.book_lag_ns = recv_ns - event_ns
        self.updates += 1

    @cython.cfunc
    def _detect(self, woken: list) -> cython.int:  # type: ignore[type-arg]  # a C type
        detector: Detector
        if self.fired:
            self.fired = []
        if self.book.live:
            for detector in woken:
                if detector.silent:
                    detector.score(self.time_of(detector))
                else:
                    self._heard(detector, detector.step(self.time_of(detector)))
        return len(self.fired)

    @cython.cfunc
    def _heard(self, detector: Detector, said: cython.int) -> cython.void:
        if said != 0 and not detector.silent:
            self.fired.append((detector, said))

    def values(self, names: list[str]) -> dict[str, float | None]:
        """The latest values of the metrics, dicts and lists as ``name.key`` and ``name.1``; None where there is
        none.
        """
        metric: Metric
        i: cython.Py_ssize_t
        x: cython.double
        if self._named is not names:
            self._named, self._words = names, [_words(*pair) for pair in zip(names, self.metrics, strict=True)]
        told: dict[str, float | None] = {}
        for metric, words in zip(self.metrics, self._words):  # noqa: B905  # a C loop; one is made from the other
            if metric.answered != VALUE:
                told.update(dict.fromkeys(words))
                continue
            for i in range(len(words)):
                x = metric.out[i]
                told[words[i]] = x if x == x or metric.shape == "number" else None
        return told


def _words(name: str, metric: Metric) -> list[str]:
    """What the values of a metric are called: by its name alone where it is a number."""
    if metric.shape == "number":
        return [name]
    keys = metric.names() if metric.shape == "dict" else [str(i + 1) for i in range(len(metric.out))]
    return [f"{name}.{key}" for key in keys]


@cython.cfunc
@cython.inline
def _kept(metric: Metric, answered: cython.int) -> cython.void:
    """What is no input leaves the last answer standing."""
    if answered != 0:
        metric.answered = answered
