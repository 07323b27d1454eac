"""Worlds: the same seed is the same world, every fault is really injected, and the oracle finds what is planted."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from imbalanced import lane
from imbalanced.books import Books
from imbalanced.missed import Missed
from imbalanced.rotation import Overlap
from imbalanced.rulings import Rulings
from imbalanced.sim.worlds import DRAWN, World, faults, run
from imbalanced.sim.worlds.__main__ import main, outcomes, seeds_of
from imbalanced.sim.worlds.oracle import Violated
from imbalanced.sync import BookSync
from imbalanced.venues import bitfinex, kraken
from imbalanced.venues.codec import Chain
from imbalanced.venues.wire import SIGNS

if TYPE_CHECKING:
    from imbalanced.sim.worlds import Outcome

FEW_HUNDRED = 300


def found(what: str) -> Outcome:
    """The first world in which the oracle finds the planted bug."""
    for seed in range(1, FEW_HUNDRED + 1):
        outcome = run(seed)
        if outcome.violation:
            sys.stdout.write(f"{what}: found by seed {seed} at {outcome.at_ns / 1e9:.3f} s: {outcome.violation}\n")
            return outcome
    pytest.fail(f"{what} was planted and {FEW_HUNDRED} worlds did not notice")


# -- planted bugs ------------------------------------------------------------------------------------------------------


def test_a_missed_gap_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Diffs are applied whether they follow each other or not."""
    monkeypatch.setattr(lane, "BookSync", lambda continuity: BookSync(replace(continuity, chain=Chain.NONE)))
    assert "LIVE as of" in found("a missed gap").violation


def test_a_resync_that_serves_the_old_book_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A book that was lost comes back with the levels that it had at first, under the new id."""
    image = Books.image
    kept: dict[tuple[int, str], Any] = {}

    def serve_the_old(self: Books, message: Any, frame: Any, events: list[Any]) -> None:
        first = kept.setdefault((id(self), message.symbol), message.rows)
        known = self.lanes.get(message.symbol)
        again = known is not None and known.losses > 0 and not known.valid
        image(self, replace(message, rows=first) if again else message, frame, events)

    monkeypatch.setattr(Books, "image", serve_the_old)
    violation = found("a resync that serves the old book").violation
    assert "LIVE as of" in violation or "not well" in violation


def test_a_checksum_over_the_wrong_levels_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kraken, "CHECKSUM_LEVELS", 5)
    assert "kraken" in found("a checksum over the wrong levels").violation


def test_a_symbol_that_is_gone_and_kept_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Rulings, "close", lambda *_: None)
    assert "listed no more" in found("a symbol that is gone and kept").violation


def test_a_halt_that_is_not_obeyed_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Rulings, "halt", lambda *_: None)
    assert "does not trade" in found("a halt that is not obeyed").violation


def test_a_refusal_that_is_not_told_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Rulings, "answer", lambda *_: None)
    assert "refused, but told is []" in found("a refusal that is not told").violation


def test_a_counter_of_a_socket_that_nobody_asks_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two checksums nothing else shows that a level is missing."""
    monkeypatch.setattr(bitfinex, "holes", lambda *_: [])
    assert "bitfinex" in found("a counter that nobody asks").violation


def test_trades_that_stay_away_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody asks for them again when they were refused."""
    monkeypatch.setattr(Missed, "due", lambda *_: None)
    assert "no trade told" in found("trades that stay away").violation


def test_trades_told_twice_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both sockets of a handover tell them."""
    monkeypatch.setattr(Overlap, "first", lambda *_: True)
    assert "told 2 times" in found("trades told twice").violation


def test_trades_on_the_wrong_side_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SIGNS, "buy", -1)
    assert "a trade is told as" in found("trades on the wrong side").violation


def test_a_pipeline_that_breaks_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Books, *_: object) -> None:
        raise ZeroDivisionError("planted")

    monkeypatch.setattr(Books, "lose", broken)
    assert "ZeroDivisionError" in found("a pipeline that breaks").violation


# -- the worlds --------------------------------------------------------------------------------------------------------


def test_these_worlds_hold_and_every_fault_is_in_them() -> None:
    injected: Counter[str] = Counter()
    signals = compared = losses = 0
    for outcome in outcomes(range(1, 201), 1):
        assert not outcome.violation, f"make seeds SEEDS={outcome.seed} ARGS=-v: {outcome.violation}"
        injected.update(outcome.injected)
        compared, losses = compared + outcome.compared, losses + outcome.losses
        signals += outcome.signals
    assert set(faults.KINDS) == set(injected), "a fault that is never injected tests nothing"
    assert compared > 10_000
    assert losses > 200
    assert signals > 200


def test_a_seed_is_a_world() -> None:
    once, twice, other = run(7), run(7), run(8)
    assert once == twice
    assert once.digest != other.digest
    assert once.frames > 50


def test_a_seed_is_the_same_world_in_another_process() -> None:
    """Nothing hangs on the order of a set, or on what ran before."""
    script = "from imbalanced.sim.worlds import run; print(*[run(seed).digest for seed in (3, 5)])"
    told = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(told) == 1
    assert told.pop().split() == [run(3).digest, run(5).digest]


def test_all_simulated_venues_are_drawn() -> None:
    drawn = {exchange.venue.id for seed in range(100) for exchange in World(seed, list(DRAWN.values())).exchanges}
    assert drawn == set(DRAWN)


def test_a_trace_has_every_frame_and_does_not_change_the_world() -> None:
    lines: list[str] = []
    assert run(7, lines.append).digest == run(7).digest
    assert len(lines) == run(7).frames


def test_the_true_book_is_what_is_compared() -> None:
    """The oracle can fail: a truth that differs in one lot is noticed at the next look."""
    world = World(7, list(DRAWN.values()))
    for book in (book for exchange in world.exchanges for book in exchange.books.values()):
        remember = book._truth

        def off_by_one(remember: Any = remember) -> Any:
            truth = remember()
            (px, size), *rest = truth.bids
            return truth._replace(bids=[(px, size * 2), *rest])

        book._truth = off_by_one  # type: ignore[method-assign]
    assert "LIVE as of" in world.run().violation


# -- the command -------------------------------------------------------------------------------------------------------


def test_the_command_says_how_many_held(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", "1..3", "--jobs", "1"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "3 seeds, 0 violations"


def test_a_violation_says_what_when_and_how_to_see_it_again(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(self: World) -> int:
        raise Violated("planted")

    monkeypatch.setattr(World, "_heal", lost)
    assert main(["--seeds", "2..2"]) == 1
    first, command, *_, last = capsys.readouterr().out.splitlines()
    assert first.startswith("seed 2 at ")
    assert first.endswith(" s: planted")
    assert command.strip() == "make seeds SEEDS=2..2 ARGS=-v"
    assert last == "1 seeds, 1 violations"


def test_two_processes_give_the_same_worlds_in_order() -> None:
    assert list(outcomes(range(1, 7), 2)) == [run(seed) for seed in range(1, 7)]


def test_verbose_prints_the_frames(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", "7", "-v"]) == 0
    assert "instruments" in capsys.readouterr().out.splitlines()[0]


def test_seeds_are_read_with_both_ends() -> None:
    assert seeds_of("1..10000") == range(1, 10_001)
    assert seeds_of("7") == range(7, 8)


@pytest.mark.parametrize("text", ["", "a..b", "5..4", "1...3", "1.."])
def test_what_are_no_seeds_is_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--seeds", text])
    assert "seed" in capsys.readouterr().err
