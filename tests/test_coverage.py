"""What a recording covers, from events by hand; and the verb that tells it."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

from click.testing import CliRunner
from test_cli import small_capture

from imbalanced.book import Book
from imbalanced.cli import cli
from imbalanced.coverage import MOST_HOLES, Coverage, report, rows
from imbalanced.events import BookChanged, BookInvalid, BookValid, Frame, GapKind, Notice, Trade

if TYPE_CHECKING:
    from pathlib import Path

V, I = "binance", "AAA/USDT"  # noqa: E741 - venue and instrument
S = 1_000_000_000


def frame(at_s: float, kind: Any = "ws") -> Frame:
    return Frame(int(at_s * S), V, 1, kind, b"")


def at(at_s: float) -> dict[str, Any]:
    return {"venue": V, "instrument": I, "recv_ns": int(at_s * S)}


def changed(at_s: float) -> BookChanged:
    return BookChanged(**at(at_s), book=Book(), book_seq=1)


def trade(at_s: float) -> Trade:
    return Trade(**at(at_s), px=1, size=1.0, sign=1, trade_id=7)


def hole(at_s: float, ids: str) -> Notice:
    return Notice(what="trade_gap", detail=ids, **at(at_s))


def streams(coverage: Coverage) -> dict[str, dict[str, Any]]:
    told = report(coverage)
    return {f"{one['instrument']} {one['channel']}".strip(): one for one in told["streams"]}


def test_a_book_is_covered_while_it_is_proven() -> None:
    coverage = Coverage()
    coverage.see(frame(100), [])
    coverage.see(frame(102), [BookValid(**at(102), book_seq=1, checks=()), changed(102)])
    coverage.see(frame(104), [changed(104)])
    coverage.see(frame(105), [BookInvalid(**at(105), reason=GapKind.SEQUENCE_GAP)])
    coverage.see(frame(108), [BookValid(**at(108), book_seq=9, checks=()), changed(108)])
    coverage.see(frame(110), [])
    book = streams(coverage)[f"{I} book"]
    assert book["live"] == 0.5, "3 s, then 2 s until the end of the recording, of 10 s"
    assert (book["events"], book["gaps"]) == (3, {"sequence_gap": 1})
    assert (book["longest_pause_ns"], book["pause_began_ns"]) == (4 * S, 104 * S)
    assert report(coverage)["complete"] is False


def test_trades_that_never_came_are_counted_and_named() -> None:
    coverage = Coverage()
    coverage.see(frame(1), [trade(1)])
    coverage.see(frame(2), [hole(2, "8..8"), trade(2)])
    coverage.see(frame(3), [hole(3, "20..29"), trade(3)])
    told = streams(coverage)[f"{I} trades"]
    assert (told["events"], told["missing_trades"], told["holes"]) == (3, 11, [[8, 8], [20, 29]])
    assert "11 trades in 2 holes" in next(row for row in rows(report(coverage)) if row[2] == "trades")[-1]


def test_the_list_of_holes_is_bounded_and_the_count_is_not() -> None:
    coverage = Coverage()
    coverage.see(frame(1), [hole(1, f"{n * 3}..{n * 3}") for n in range(MOST_HOLES + 5)])
    told = streams(coverage)[f"{I} trades"]
    assert (len(told["holes"]), told["missing_trades"]) == (MOST_HOLES, MOST_HOLES + 5)


def test_frames_of_a_venue_and_those_that_do_not_parse() -> None:
    coverage = Coverage()
    coverage.see(frame(1), [])
    coverage.see(frame(4), [Notice(venue=V, what="parse_error", recv_ns=4 * S)])
    coverage.see(frame(5, "wake"), [])
    frames = streams(coverage)["frames"]
    assert (frames["events"], frames["gaps"], frames["longest_pause_ns"]) == (2, {"parse_error": 1}, 3 * S)
    assert report(coverage)["records"] == 3


def test_timers_are_no_records() -> None:
    coverage = Coverage()
    coverage.see(frame(1), [BookValid(**at(1), book_seq=1, checks=())])
    coverage.timer([BookInvalid(**at(3), reason=GapKind.STALE_STREAM)])
    coverage.see(frame(5), [])
    told = report(coverage)
    assert told["records"] == 2
    assert streams(coverage)[f"{I} book"]["live"] == 0.5


def test_a_complete_recording_says_so() -> None:
    coverage = Coverage()
    coverage.see(frame(1), [BookValid(**at(1), book_seq=1, checks=()), changed(1), trade(1)])
    assert report(coverage)["complete"] is True
    coverage.never_proven(V, "BBB/USDT")
    assert report(coverage)["complete"] is False, "an instrument whose book never was"


# -- the verb ----------------------------------------------------------------------------------------------------------


def without_line(capture: Path, number: int) -> Path:
    lines = gzip.decompress(capture.read_bytes()).splitlines(keepends=True)
    del lines[number]
    cut = capture.with_name("cut.jsonl.gz")
    cut.write_bytes(gzip.compress(b"".join(lines)))
    return cut


def test_tape_check_tells_a_whole_recording_from_one_with_a_hole(tmp_path: Path) -> None:
    whole = small_capture(tmp_path / "whole.jsonl.gz")
    result = CliRunner().invoke(cli, ["tape", "check", str(whole), "--strict"])
    assert result.exit_code == 0, result.output
    assert "31 records" in result.stdout
    assert "complete" in result.stdout
    assert "not complete" not in result.stdout

    holed = without_line(whole, 20)
    result = CliRunner().invoke(cli, ["tape", "check", str(holed), "--strict"])
    assert result.exit_code == 1
    assert "sequence_gap 1" in result.stdout
    result = CliRunner().invoke(cli, ["tape", "check", str(holed), "--json"])
    assert result.exit_code == 0, "without --strict a hole is a finding, not a failure"
    told = json.loads(result.stdout)
    books = [one for one in told["streams"] if one["channel"] == "book"]
    assert [(one["instrument"], one["gaps"]) for one in books] == [("BTCUSDT", {"sequence_gap": 1})]
    assert told["complete"] is False


def test_tape_check_of_a_cut_file_tells_what_was_read_and_fails(tmp_path: Path) -> None:
    whole = small_capture(tmp_path / "whole.jsonl.gz")
    cut = tmp_path / "cut.gz"
    cut.write_bytes(whole.read_bytes()[:-20])
    result = CliRunner().invoke(cli, ["tape", "check", str(cut), "--json"])
    assert result.exit_code == 1
    assert "truncated" in json.loads(result.stdout)["error"]
    assert "truncated" in result.stderr
    other = tmp_path / "other.gz"
    other.write_bytes(gzip.compress(b'{"hello": "world"}\n'))
    result = CliRunner().invoke(cli, ["tape", "check", str(other)])
    assert (result.exit_code, result.stdout) == (1, "")
