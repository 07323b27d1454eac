"""One walk over a recording: its book frames attacked in turn, each loss compared with the venue's own proof, each book
healed by an image before its next turn.

What must be said comes from ``rawvenues.py``, which reads the recording's JSON by the venue's documents. One sweep
attacks many frames: after each the book is healed by an image (made from all frames, in the venue's shape), so that it
stands as it would, and the next frame can be attacked. Sweeps are repeated until each frame had its turn.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from functools import cache
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from rawbooks import Expected, Rule, Told, exact, has_value, image_frame
from rawvenues import RULES

from imbalanced import tape
from imbalanced.events import BookChanged, BookInvalid, BookReplaced, BookValid, Frame, ResyncEnded
from imbalanced.session import Session
from imbalanced.venues import VENUES

# What a recording's venue is called by us.
OURS = {name: venue for venue, line in VENUES.items() for name in (venue, *getattr(line, "recorded_as", ()))}
# So many frames of its book an attacked one is followed before the book is healed although no proof failed.
FOLLOWED = 120
# Of long recordings only the beginning is walked, in book frames.
LONG_BYTES, MOST_OF_LONG = 400_000, 1500
# An image that heals a book has so many levels a side: checksums look at no more than 25, and chains at none.
ENOUGH_LEVELS = 60
FLIPPED = {**{str(digit): str(digit + 1) for digit in range(9)}, "9": "8"}


def venue_of(path: Path) -> str:
    """By our name, or empty."""
    return OURS.get(next(tape.read(path)).venue, "")


class Step(NamedTuple):
    """A book frame of a recording."""

    number: int
    frame: Frame
    told: Told


@cache
def steps_of(path: Path) -> tuple[Step, ...]:
    rule, venue = RULES[venue_of(path)], venue_of(path)
    told = (
        Step(number, Frame(frame.recv_ns, venue, frame.conn, frame.kind, frame.data, frame.url), told)
        for number, frame in enumerate(tape.read(path))
        if frame.kind in ("ws", "http") and (told := rule.read(frame)) is not None
    )
    return tuple(islice(told, MOST_OF_LONG if path.stat().st_size > LONG_BYTES else None))


class Ears:
    """A session, and what it says of books at a frame."""

    def __init__(self, venue: str) -> None:
        self.session = Session(VENUES[venue].codec(venue), discover=True)

    def hear(self, frame: Frame) -> dict[str, list[str]]:
        """The words that are said of each book (by the venue's symbol)."""
        said: dict[str, list[str]] = {}
        for event in self.session.receive(frame):
            kind = type(event)
            if kind is BookInvalid:
                word = f"invalid {event.reason}"
            elif kind is ResyncEnded and event.reason in ("stale_snapshot", "checksum_mismatch"):
                word = f"refused {event.reason}"
            elif kind in (BookChanged, BookReplaced, BookValid):
                word = kind.__name__.removeprefix("Book").lower()
            else:
                continue
            lane = self.session.lane_of(event.instrument)
            assert lane is not None
            said.setdefault(lane.instrument.venue_symbol, []).append(word)
        return said

    def hear_only(self, symbol: str, frame: Frame) -> list[str]:
        """The words said of this book; no other may be spoken of."""
        said = self.hear(frame)
        assert said.keys() <= {symbol}, f"a frame of {symbol} moved other books: {said}"
        return said.get(symbol, [])


def agree(said: list[str], expected: list[str]) -> bool:
    """What changes nothing may be told or not."""
    return said == expected or (expected == ["idle"] and said in ([], ["changed"], ["replaced"]))


class Attack(NamedTuple):
    """What is done to a frame: None takes it away."""

    name: str
    change: Callable[[Step, Rule], Step | None]
    possible: Callable[[Step], bool]


def flipped(step: Step, rule: Rule) -> Step:
    """One digit of one size differs; which one depends on the number of the frame."""
    sized = [level for level in (*step.told.bids, *step.told.asks) if has_value(level[1])]
    level = sized[step.number % len(sized)]
    places = [at for at, digit in enumerate(level[1]) if digit.isdigit()]
    return with_digit(step, rule, level, places[step.number % len(places)])


def with_digit(step: Step, rule: Rule, level: tuple[str, str], at: int) -> Step:
    """With another digit at this place of the size of this level, in the bytes of the frame."""
    price, size = level
    pair = rf'(?<![0-9.]){re.escape(price)}"?, ?(?:"qty": ?)?"?({re.escape(size)})(?![0-9.])'
    *_, found = re.finditer(pair.encode(), step.frame.data)
    changed = (size[:at] + FLIPPED[size[at]] + size[at + 1 :]).encode()
    data = step.frame.data[: found.start(1)] + changed + step.frame.data[found.end(1) :]
    frame = Frame(step.frame.recv_ns, step.frame.venue, step.frame.conn, step.frame.kind, data, step.frame.url)
    told = rule.read(frame)
    assert told is not None
    return Step(step.number, frame, told)


def has_size(step: Step) -> bool:
    return any(has_value(size) for _, size in (*step.told.bids, *step.told.asks))


DELETED = Attack("without", lambda step, rule: None, lambda step: True)
FLIP = Attack("with one digit changed in", flipped, has_size)


class Scene:
    """One book in a sweep: as it should be, as it was heard, and whose loss it is waiting to show."""

    def __init__(self, rule: Rule) -> None:
        self.truth, self.book = Expected(rule), Expected(rule)
        self.victim: Step | None = None
        self.age = 0
        self.resting = self.healed = False

    def is_over(self) -> bool:
        """Later frames said all that the attacked one had said: no proof can show it any more."""
        assert self.victim is not None
        mine, true = self.book.book, self.truth.book
        return self.book.rule.chain == "none" and bool(mine and true and mine.same(true, self.victim.told))


class Walk:
    """All sweeps over one recording. ``found`` counts the losses by kind, ``unseen`` those that no proof shows."""

    def __init__(self, path: Path, attack: Attack) -> None:
        self.venue, self.attack = venue_of(path), attack
        self.rule, self.steps = RULES[self.venue], steps_of(path)
        self.templates: dict[str, Frame] = {}
        for step in reversed(self.steps):
            if step.told.image:
                self.templates[step.told.symbol] = step.frame
        self.found: Counter[str] = Counter()
        self.unseen = 0
        self.taken: set[int] = set()
        self.early = self._early()

    def _early(self) -> list[int]:
        """The steps before their book is proven and joined: each must be taken from the beginning on."""
        books: dict[str, Expected] = {}
        early = []
        for at, step in enumerate(self.steps):
            book = books.setdefault(step.told.symbol, Expected(self.rule))
            if not book.calm:
                early.append(at)
            said = book.hear(step.told)
            assert not any(word.startswith("invalid") for word in said), f"the recording itself: {step.number} {said}"
        return early

    def run(self) -> None:
        for at in self.early:
            self._from_the_beginning(at)
        while self._sweep():
            pass

    def _from_the_beginning(self, at: int) -> None:
        """One symbol by itself, until its proof failed or its book has lived for a while."""
        symbol = self.steps[at].told.symbol
        self.taken.add(at)
        if symbol not in self.templates or not self.attack.possible(self.steps[at]):
            return  # without any image there is no book to lose
        ears, book, lived = Ears(self.venue), Expected(self.rule), 0
        enough = FOLLOWED if self.rule.sum else 3
        for i, step in enumerate(self.steps):
            if step.told.symbol != symbol:
                continue
            heard = self.attack.change(step, self.rule) if i == at else step
            if heard is None:
                continue
            expected = book.hear(heard.told)
            said = ears.hear_only(symbol, heard.frame)
            assert agree(said, expected), self._wrong(self.steps[at], step, said, expected)
            if any(word.startswith(("invalid", "refused")) for word in expected):
                self.found[expected[-1].split()[1]] += 1
                break
            lived += book.calm and i > at
            if lived > enough:
                break

    def _sweep(self) -> int:
        """Attack what can be attacked and was not yet; answers how many frames that were."""
        ears = Ears(self.venue)
        before = len(self.taken)
        unfinished = {step.told.symbol for at, step in enumerate(self.steps) if at not in self.taken}
        scenes = {symbol: Scene(self.rule) for symbol in unfinished}
        for at, step in enumerate(self.steps):
            if (scene := scenes.get(step.told.symbol)) is not None:
                self._play(at, scene, ears)
        self.unseen += sum(scene.victim is not None for scene in scenes.values())
        return len(self.taken) - before

    def _play(self, at: int, scene: Scene, ears: Ears) -> None:
        """One frame: as it is, attacked, or the first one that shows the attack."""
        step: Step = self.steps[at]
        meant: Step | None = step
        scene.truth.hear(step.told, sure=True)
        if scene.victim is None and scene.resting and scene.book.calm and at not in self.taken:
            self.taken.add(at)
            if self.attack.possible(step):
                scene.victim, scene.age = step, 0
                meant = self.attack.change(step, self.rule)
        if meant is None:
            return
        expected = scene.book.hear(meant.told)
        said = ears.hear_only(step.told.symbol, meant.frame)
        assert agree(said, expected), self._wrong(scene.victim or step, step, said, expected)
        lost = next((word for word in expected if word.startswith("invalid")), "")
        if scene.victim is None and lost:
            worn = scene.healed and self.rule.sum
            assert worn, f"frame {step.number}: {lost} without an attack"
            self._heal(ears, step, scene)  # so many levels went away that those are missed which the image had not
        elif scene.victim is None:
            scene.resting |= scene.book.calm
        elif lost:
            self.found[lost.removeprefix("invalid ")] += 1
            self._heal(ears, step, scene)
        elif scene.is_over():
            self.unseen += 1
            scene.victim = None
        elif scene.age >= FOLLOWED:
            self.unseen += 1
            self._heal(ears, step, scene)
        else:
            scene.age += 1

    def _heal(self, ears: Ears, step: Step, scene: Scene) -> None:
        """The next image: the book as all frames make it."""
        book, truth = scene.book, scene.truth
        scene.victim, scene.resting, scene.healed = None, False, True
        assert truth.book is not None
        symbol = step.told.symbol
        right = truth.book.top(ENOUGH_LEVELS)
        image = image_frame(self.rule, self.templates[symbol], truth.last, right)
        expected, said = book.adopt(right, truth.last), ears.hear_only(symbol, image)
        assert said == expected, f"{symbol} is not healed by an image after frame {step.number}: {said}"
        assert book.book is not None
        lane = ears.session.lanes[symbol]
        for ours, side in ((lane.sync.book.bids, book.book.bids), (lane.sync.book.asks, book.book.asks)):
            best = [exact(price) for price, _ in side.best(5)]
            found = [px * 10 ** (18 - lane.instrument.price_scale) for px, _ in ours.levels(5)]
            assert (found, len(ours)) == (best, len(side.levels)), f"{symbol} after frame {step.number}: another book"

    def _wrong(self, victim: Step, step: Step, said: list[str], expected: list[str]) -> str:
        return (
            f"{victim.told.symbol} {self.attack.name} frame {victim.number}: at frame {step.number} of "
            f"{step.told.symbol} the venue's own proof wants {expected}, said was {said}"
        )
