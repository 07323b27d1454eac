"""A recording through the live pipeline: timers where they belong, and the books told in the venue's own words."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from conversation import S, image_text, trade_text
from scripted import Script, configured

from imbalanced import tape
from imbalanced.config import Tables
from imbalanced.events import Frame, Signal
from imbalanced.jsontext import signal_json
from imbalanced.pipeline import Pipeline
from imbalanced.replay import Tally, size_text, with_timers
from imbalanced.replaying import read_as_ours, recorded_names
from imbalanced.venues.codec import Wake


def taped(path: Path, frames: list[Frame]) -> Path:
    with tape.Writer(path, started_ns=frames[0].recv_ns) as writer:
        for frame in frames:
            writer.write(frame)
    return path


def leaning() -> Script:
    return Script().up().calm(2).lean("9", "1").calm(3).lean("1", "9").stop()


def signals(made: list[Any]) -> list[bytes]:
    return [signal_json(out) for out in made if type(out) is Signal]


def test_a_tape_replayed_is_the_same_as_the_frames_themselves(tmp_path: Path) -> None:
    script = leaning()
    path = taped(tmp_path / "run.jsonl.gz", script.frames)
    told = []
    for frames in (script.frames, tape.read(path)):
        pipeline = Pipeline(configured())
        told.append([line for _, _, made in with_timers(frames, pipeline, own=False) for line in signals(made)])
    assert told[0] == told[1]
    assert len(told[0]) == 4


def test_timers_fire_in_order_and_before_the_frame_that_is_not_older() -> None:
    pipeline = Pipeline(configured())
    fed = [(number, frame) for number, frame, _ in with_timers(leaning().frames, pipeline, own=False)]
    times = [frame.recv_ns for _, frame in fed]
    assert times == sorted(times)
    assert [number for number, _ in fed if number >= 0] == list(range(len(leaning().frames)))
    timers = [frame for number, frame in fed if number < 0]
    assert {frame.kind for frame in timers} == {"wake"}
    assert {frame.venue for frame in timers} == {"", "binance"}, "the pipeline's clock and the session's timers"
    assert len({(frame.venue, frame.recv_ns) for frame in timers}) == len(timers), "no timer fires twice"
    clock = [frame.recv_ns for frame in timers if not frame.venue]
    assert {later - earlier for earlier, later in pairwise(clock)} == {configured().clock_ms * 10**6}


def test_a_run_with_its_own_timers_gives_what_it_gave_live(tmp_path: Path) -> None:
    # "Live" here is a run whose timers came a little late and were recorded with everything else.
    live = Pipeline(configured())
    recorded: list[Frame] = []
    told: list[bytes] = []
    due: dict[str, int] = {}

    def feed(frame: Frame) -> None:
        recorded.append(frame)
        told.extend(signals(live.feed(frame)))
        due.update({command.venue: command.at_ns for command in live.commands() if isinstance(command, Wake)})

    for frame in leaning().frames:
        for venue in sorted(due):
            if due[venue] + 7_000_000 <= frame.recv_ns:
                feed(Frame(due.pop(venue) + 7_000_000, venue, 0, "wake", b""))
        feed(frame)
    path = taped(tmp_path / "own.jsonl.gz", recorded)
    assert tape.is_own(path)
    again = Pipeline(configured())
    fed = list(with_timers(tape.read(path), again, own=True))
    assert all(number >= 0 for number, _, _ in fed), "a timer that is on the tape is not made up"
    assert [line for _, _, made in fed for line in signals(made)] == told
    assert told


def test_what_a_recording_held_in_the_venues_own_words() -> None:
    pipeline = Pipeline(configured(), discover=True)
    tally = Tally(pipeline)
    script = Script()
    script.diff().image().trade("0.5").trade("2", sell=True).trade("1.5").diff("3", "1")
    script.frame("ws", trade_text("AAAUSDT", 104, "100", "9", X="ADL"))
    for frame in script.frames:
        tally.see(pipeline.feed(frame))
    told = tally.symbols()["AAAUSDT"]
    assert told == {
        "valid": True,
        "trades": 3,
        "buy_trades": 2,
        "history_trades": 0,
        "non_market_trades": 1,
        "buy_volume": "2",
        "sell_volume": "2",
        "best_bid": ["99.9", "3"],
        "best_ask": ["100.1", "1"],
        "bids": [["99.9", "3"], ["99.8", "1"]],
        "asks": [["100.1", "1"], ["100.2", "1"]],
        "n_bids": 2,
        "n_asks": 2,
        "crossed": False,
        "queue_imbalance": "0.500000000000",
        "depth_imbalance_5": "0.333333333333",
    }


def test_a_book_that_is_not_valid_has_a_reason_and_no_levels() -> None:
    pipeline = Pipeline(configured(), discover=True)
    tally = Tally(pipeline)
    for frame in Script().diff().frames:
        tally.see(pipeline.feed(frame))
    told = tally.symbols()["AAAUSDT"]
    assert (told["valid"], told["bids"], told["asks"]) == (False, [], [])
    assert told["why"]


def test_a_one_sided_book_has_no_imbalance() -> None:
    pipeline = Pipeline(configured(), discover=True)
    tally = Tally(pipeline)
    script = Script()
    url = pipeline.sessions["binance"].codec.fetch_image("AAAUSDT").url
    frames = [
        *script.frame("ws", '{"e":"depthUpdate","E":1,"s":"AAAUSDT","U":1,"u":2,"b":[],"a":[]}').frames,
        Frame(script.now_ns, "binance", 0, "http", image_text(2, [["1", "1"]]).encode(), url),
    ]
    for frame in frames:
        tally.see(pipeline.feed(frame))
    told = tally.symbols()["AAAUSDT"]
    assert (told["best_bid"], told["best_ask"]) == (["1", "1"], None)
    assert "queue_imbalance" not in told


def test_sizes_of_inverse_contracts_are_told_in_contracts() -> None:
    venue = "binance_coinm"
    pipeline = Pipeline(configured(venues={venue: {"instruments": ["BTC/USD:BTC"]}}), discover=True)
    tally = Tally(pipeline)
    text = trade_text("BTCUSD_PERP", 1, "61234.5", "7")
    tally.see(pipeline.feed(Frame(S, venue, 1, "ws", text.encode())))
    assert tally.symbols()["BTCUSD_PERP"]["buy_volume"] == "7"


@pytest.mark.parametrize(("size", "text"), [(0.1 + 0.2, "0.3"), (1e-8, "0.00000001"), (120.0, "120"), (0.0, "0")])
def test_sizes_as_text(size: float, text: str) -> None:
    assert size_text(size) == text


def test_a_pause_of_years_is_over_after_an_hour() -> None:
    year_ns = 365 * 24 * 3600 * S
    frames = [Frame(year_ns, "binance", 0, "http", b"{}", "https://x/time"), *leaning().frames]
    frames[1:] = [Frame(f.recv_ns + 2 * year_ns, f.venue, f.conn, f.kind, f.data, f.url, f.status) for f in frames[1:]]
    times = [frame.recv_ns for _, frame, _ in with_timers(frames, Pipeline(configured()), own=False)]
    assert times == sorted(times)
    assert not [at for at in times if year_ns + 3601 * S < at < frames[1].recv_ns], "nobody looks back so far"
    assert len(times) < 40_000


def test_a_recording_under_another_name_is_read_under_ours(tmp_path: Path) -> None:
    class Named:
        recorded_as = ("ours_v9", "other")

    names = recorded_names(Tables({"ours": Named(), "other": object()}, {}, {}, {}))
    assert names == {"ours_v9": "ours"}, "a name that is a venue of ours means that venue"
    path = taped(tmp_path / "run.jsonl.gz", [Frame(S, name, 1, "ws", b"{}") for name in ("ours_v9", "other", "x")])
    assert [frame.venue for frame in read_as_ours(path, names)] == ["", "ours", "other", "x"]
