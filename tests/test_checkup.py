"""What the doctor looks at, from events by hand; and the verb against simulated exchanges and against nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from imbalanced.book import Book
from imbalanced.checkup import Checkup, Finding, as_data
from imbalanced.cli import cli
from imbalanced.events import BookChanged, BookInvalid, BookValid, GapKind, LinkDown, LinkUp, Mark, Notice, Trade

if TYPE_CHECKING:
    from pathlib import Path

V, A, B = "binance_usdm", "AAA/USDT:USDT", "BBB/USDT:USDT"
S = 1_000_000_000
MS = 1_000_000


def at(instrument: str, lag_ms: int = 0) -> dict[str, Any]:
    return {"venue": V, "instrument": instrument, "recv_ns": 100 * S, "event_ns": 100 * S - lag_ms * MS}


def valid(instrument: str) -> BookValid:
    return BookValid(**at(instrument), book_seq=1, checks=())


def changed(instrument: str, lag_ms: int = 0) -> BookChanged:
    return BookChanged(**at(instrument, lag_ms), book=Book(), book_seq=1)


def trade() -> Trade:
    return Trade(**at(A), px=1, size=1.0, sign=1, trade_id=1)


def complete() -> Checkup:
    checkup = Checkup(V, ("book", "trade", "funding", "liquidation"))
    checkup.unlisted = ""
    checkup.listed([A, B])
    checkup.see([LinkUp(venue=V, conn=1, recv_ns=1), valid(A), changed(A), valid(B), trade(), Mark(**at(A), mark=1.0)])
    return checkup


def missing(checkup: Checkup) -> dict[str, str]:
    return {one.what: one.detail for one in checkup.findings() if one.ok is False}


def test_all_is_there_once_every_stream_spoke_and_every_book_is_proven() -> None:
    checkup = complete()
    assert checkup.well
    assert missing(checkup) == {}


def test_an_instrument_list_that_did_not_come_is_all_there_is_to_say() -> None:
    checkup = Checkup(V, ("book", "trade"))
    checkup.unlisted = "instruments: no answer"
    assert missing(checkup) == {"instruments": "instruments: no answer"}


@pytest.mark.parametrize(
    ("event", "what", "said"),
    [
        (BookInvalid(**at(B), reason=GapKind.SEQUENCE_GAP), "books", f"1 of 2 proven; not: {B} (sequence_gap)"),
        (LinkDown(venue=V, conn=1, recv_ns=2, reason="1006"), "links", "socket 1: 1006"),
    ],
)
def test_what_is_lost_again_is_missing(event: Any, what: str, said: str) -> None:
    checkup = complete()
    checkup.see([event])
    assert missing(checkup) == {what: said}
    assert not checkup.well


def test_a_stream_that_never_spoke_is_missing_and_forced_orders_are_not_waited_for() -> None:
    checkup = Checkup(V, ("book", "trade", "funding", "liquidation"))
    checkup.unlisted = ""
    checkup.listed([A])
    checkup.see([LinkUp(venue=V, conn=1, recv_ns=1), valid(A), changed(A)])
    assert missing(checkup) == {"first trades": "no data yet", "first context": "no data yet"}


def test_a_clock_that_is_off_is_told() -> None:
    for lag_ms, off in ((20, False), (-1270, True), (5000, True)):
        checkup = complete()
        checkup.lags_s.clear()
        checkup.see([changed(A, lag_ms)])
        clock = next(one for one in checkup.findings() if one.what == "clock")
        assert clock.ok is None, "a clock is no part that is missing"
        assert ("check this machine's clock" in clock.detail) is off, clock.detail


def test_what_the_venue_complained_of_is_in_the_report() -> None:
    checkup = complete()
    checkup.see([Notice(venue=V, what="subscribe_error", recv_ns=1, instrument=B, detail="no such symbol")])
    assert Finding(what=f"subscribe_error {B}", ok=None, detail="no such symbol") in list(checkup.findings())


def test_the_report_is_well_only_if_all_is() -> None:
    redis = Finding(what="redis", ok=False, detail="refused")
    assert as_data({V: complete()}, [])["ok"] is True
    assert as_data({V: complete()}, [redis])["ok"] is False
    assert as_data({V: Checkup(V, ())}, [])["ok"] is False


# -- the verb ----------------------------------------------------------------------------------------------------------


def doctor(folder: Path, text: str, *more: str) -> Result:
    path = folder / "config.yaml"
    path.write_text(f"journal: {{path: {folder}/journal.sqlite}}\n{text}")
    return CliRunner().invoke(cli, ["doctor", "-c", str(path), "--json", *more])


def test_the_doctor_finds_all_there_at_simulated_exchanges(tmp_path: Path) -> None:
    text = (
        "sim: {seed: 7}\nredis: {embedded: true}\n"
        "venues:\n  binance: {instruments: [BTC/USDT]}\n  binance_usdm: {instruments: ['BTC/USDT:USDT']}\n"
    )
    result = doctor(tmp_path, text)
    told = json.loads(result.stdout)
    assert (result.exit_code, told["ok"]) == (0, True), result.output
    assert {one["what"] for one in told["venues"]["binance_usdm"]} >= {"links", "first book", "first context", "books"}
    assert [one["ok"] for one in told["others"]] == [True]
    assert not (tmp_path / "journal.sqlite").exists(), "it only looks"


def test_the_doctor_says_what_is_missing(tmp_path: Path) -> None:
    text = (
        "redis: {url: 'redis://:hunter2@127.0.0.1:1/0'}\nvenues:\n  binance:\n    instruments: [BTC/USDT]\n"
        "    endpoints: {rest: 'http://127.0.0.1:1', ws: 'ws://127.0.0.1:1'}\n"
    )
    result = doctor(tmp_path, text, "--timeout", "0.5")
    told = json.loads(result.stdout)
    assert (result.exit_code, told["ok"]) == (1, False)
    assert [one["what"] for one in told["venues"]["binance"] if one["ok"] is False] == ["instruments"]
    assert "hunter2" not in result.output
