"""All filters of one instrument, in their order: asked when a signal would open, and again while it is open."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imbalanced.detect.filters.filter import Filter
from imbalanced.events import FilterAnswer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from imbalanced.detect.detector import Detector
    from imbalanced.detect.filters.filter import Kit, Moment, Said


class Hearing:
    """What the chain said of one open. ``refusal`` is the hard fail, if there is one, and the last answer then;
    ``quality`` is the product of all, ``numbers`` their evidence.
    """

    def __init__(self) -> None:
        self.answers: list[FilterAnswer] = []
        self.refusal: FilterAnswer | None = None
        self.quality = 1.0
        self.numbers: dict[str, float | None] = {}

    def add(self, name: str, said: Said) -> None:
        """One more answer."""
        answer = _answer(name, said)
        self.answers.append(answer)
        self.numbers.update(said.numbers)
        self.quality *= said.quality
        if said.verdict == "fail":
            self.refusal = answer

    @property
    def passed(self) -> list[str]:
        """The names of those that looked and let it pass."""
        return [answer.name for answer in self.answers if answer.verdict == "pass"]


class _Refused:
    """Refusals of one detector since it was last heard without one: how often by filter, and the last line."""

    def __init__(self) -> None:
        self.since_ns = 0
        self.by: dict[str, tuple[int, str]] = {}


class Chain:
    """The filters by name, and the kit that they share."""

    def __init__(self, filters: Mapping[str, Filter], kit: Kit) -> None:
        self.filters = dict(filters)
        self.kit = kit
        self._observing = [one for one in self.filters.values() if type(one).observe is not Filter.observe]
        self._watching = {name: one for name, one in self.filters.items() if one.watches}
        self._refused: dict[str, _Refused] = {}

    def __len__(self) -> int:
        return len(self.filters)

    def __iter__(self) -> Iterator[str]:
        return iter(self.filters)

    def observe(self, now: Moment) -> None:
        """A tick of the clock."""
        for one in self._observing:
            one.observe(now)

    def ask(self, detector: Detector, now: Moment) -> Hearing:
        """In order, up to the first that fails. Refusals are remembered until the signal opens: what opens late says
        why.
        """
        hearing = Hearing()
        for name, one in self.filters.items():
            hearing.add(name, one.check(detector, now))
            if hearing.refusal is not None:
                self._note(detector, hearing.refusal)
                return hearing
        self._tell_refused(detector, hearing)
        return hearing

    def opened(self, detector: Detector, now: Moment) -> None:
        """The signal is open."""
        self._refused.pop(detector.name, None)
        for one in self.filters.values():
            one.opened(detector, now)

    def ended_by(self, detector: Detector, now: Moment) -> FilterAnswer | None:
        """The hard fail that ends an open signal of this detector, if there is one."""
        for name, one in self._watching.items():
            said = one.still(detector, now)
            if said.verdict == "fail":
                return _answer(name, said)
        return None

    def _note(self, detector: Detector, refusal: FilterAnswer) -> None:
        refused = self._refused.get(detector.name)
        if refused is None or refused.since_ns < detector.lifecycle.since_ns:
            # An episode of its own: what was refused before it armed again is another story.
            refused = self._refused[detector.name] = _Refused()
            refused.since_ns = detector.lifecycle.since_ns
        times, _ = refused.by.get(refusal.name, (0, ""))
        refused.by[refusal.name] = (times + 1, refusal.told)

    def _tell_refused(self, detector: Detector, hearing: Hearing) -> None:
        refused = self._refused.get(detector.name)
        if refused is None or refused.since_ns < detector.lifecycle.since_ns:
            return
        hearing.numbers["refusals"] = float(sum(times for times, _ in refused.by.values()))
        for i, answer in enumerate(hearing.answers):
            if answer.name in refused.by:
                times, told = refused.by[answer.name]
                hearing.answers[i] = _answer_with(answer, f"{answer.told}; refused {times} times before: {told}")


def _answer(name: str, said: Said) -> FilterAnswer:
    return FilterAnswer(name=name, verdict=said.verdict, quality=said.quality, told=said.told)


def _answer_with(answer: FilterAnswer, told: str) -> FilterAnswer:
    return FilterAnswer(name=answer.name, verdict=answer.verdict, quality=answer.quality, told=told)
