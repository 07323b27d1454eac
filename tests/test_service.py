"""The daemon in this process against simulated exchanges: what it promises, and what it does when things go wrong."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import daemons
import orjson
import pytest
import structlog
from click.testing import CliRunner
from daemons import config_text, inside, simulation, until
from msgspec import structs

from imbalanced import lane, logs, rotation, timers, watch
from imbalanced.cli import cli
from imbalanced.client import subscribe
from imbalanced.instruments import Instruments, InstrumentsUnavailable
from imbalanced.jsontext import signal_json
from imbalanced.sinks import AddressInUse
from imbalanced.venues import VENUES

if TYPE_CHECKING:
    from pathlib import Path

    from daemons import Inside

    from imbalanced.sim import Running

USDM, BTC, ETH = "binance_usdm", "BTC/USDT:USDT", "ETH/USDT:USDT"


async def heard_from(daemon: Inside, wanted: int, into: list[bytes]) -> None:
    async with aclosing(subscribe(daemon.stream, from_seq=1)) as signals:
        async for one in signals:
            into.append(signal_json(one))
            if len(into) >= wanted > 0:
                return


def replayed(folder: Path, config: str, *, tapes: str = "tape") -> list[bytes]:
    """The signals of `imbalanced replay` of everything recorded there."""
    (folder / "config.yaml").write_text(config)
    files = sorted(map(str, (folder / tapes).glob("*.jsonl.gz")))
    assert files
    assert not list((folder / tapes).glob("*.part"))
    arguments = ["replay", *files, "-c", str(folder / "config.yaml"), "--signals", str(folder / "replayed.jsonl")]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, result.output
    return (folder / "replayed.jsonl").read_bytes().splitlines()


# -- the promise -------------------------------------------------------------------------------------------------------


async def test_a_replay_of_the_recording_gives_the_journal_to_the_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[bytes] = []
    async with simulation("binance", USDM) as market:
        # Rotation every second, so that a run is several files.
        text = config_text(tmp_path, market.endpoints, extra=f"record: {{dir: {tmp_path}/tape, rotate: 1s}}")
        async with inside(text, monkeypatch) as daemon:
            listener = asyncio.create_task(heard_from(daemon, 0, heard))
            await daemon.ready()
            # Faults are part of a run: they must come out of the recording in the same way.
            market.inject({"fault": "garbage", "venue": "binance", "stream": "btcusdt@depth"})
            assert await struck(daemon, market, Told(daemon))
            await until(lambda: len(daemon.texts()) > 60, "60 signals")
            await until(daemon.service.journal.open_signals, "an open signal")
        listener.cancel()
        await asyncio.wait([listener])
    said = journal_of(tmp_path)
    assert b'"shutdown"' in said[-1]
    assert any(b'"book_invalid"' in one for one in said)
    assert len(list((tmp_path / "tape").iterdir())) > 1
    assert replayed(tmp_path, text) == said
    assert heard == said


def journal_of(folder: Path) -> list[bytes]:
    """Every signal that a run has left in its journal, as the command line exports them."""
    target = folder / "exported.jsonl"
    result = CliRunner().invoke(cli, ["journal", "export", str(folder / "journal.sqlite"), "-o", str(target)])
    assert result.exit_code == 0, result.output
    return target.read_bytes().splitlines()


async def test_a_second_run_goes_on_in_the_journal_and_both_replay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with simulation(USDM) as market:
        learned = f"grading: {{horizons: [200ms], calibration: {{dir: {tmp_path}/calibrations}}}}"
        text = config_text(tmp_path, market.endpoints, extra=f"record: {{dir: {tmp_path}/tape}}\n{learned}")
        for run in (1, 2):
            async with inside(text, monkeypatch) as daemon:
                await until(lambda run=run, daemon=daemon: len(daemon.texts()) >= 10 * run, f"signals of run {run}")
    said = journal_of(tmp_path)
    assert [json.loads(one)["seq"] for one in said] == list(range(1, len(said) + 1))
    assert len({json.loads(one)["config"] for one in said}) == 2, "the second began from what the first had learned"
    assert replayed(tmp_path, text) == said


async def test_what_a_crash_left_open_is_closed_before_anything_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with simulation(USDM) as market:
        text = config_text(tmp_path, market.endpoints)
        async with inside(text, monkeypatch) as daemon:
            await until(daemon.service.journal.open_signals, "an open signal")
            opened = daemon.service.journal.open_signals()
            # As after SIGKILL: no close is written.
            monkeypatch.setattr(daemon.service.intake, "_tell", lambda outputs, frame: None)
        async with inside(text, monkeypatch) as daemon:
            page = daemon.service.journal.read(1, 10_000)
            closes = [orjson.loads(one.text) for one in page if one.event == "close"]
            assert {one.id for one in opened} <= {one["id"] for one in closes if one["reason"] == "shutdown"}


# -- faults ------------------------------------------------------------------------------------------------------------


class Told:
    """The status events of a daemon, as a subscriber has them."""

    def __init__(self, daemon: Inside) -> None:
        self.events: list[dict[str, Any]] = []
        self._publish = daemon.service.hub.publish
        daemon.service.hub.publish = self._note  # type: ignore[method-assign]

    def _note(self, event: Any) -> None:
        self.events.append({"what": type(event).__name__, "event": event})
        self._publish(event)

    def of(self, what: str, instrument: str) -> list[Any]:
        return [
            one["event"]
            for one in self.events
            if one["what"] == what and getattr(one["event"], "instrument", "") == instrument
        ]


async def struck(daemon: Inside, market: Running, told: Told) -> list[dict[str, Any]]:
    """Lose a diff of BTC while a signal on it is open; the closes by that. (A signal may close in between: again.)"""
    journal = daemon.service.journal
    for attempt in (1, 2, 3):
        await until(lambda: any(one.instrument == BTC for one in journal.open_signals()), "an open signal on BTC")
        market.inject({"fault": "drop", "venue": USDM, "stream": "btcusdt@depth"})
        await until(lambda attempt=attempt: len(told.of("BookInvalid", BTC)) == attempt, "BookInvalid")
        await until(lambda attempt=attempt: len(told.of("BookValid", BTC)) == attempt, "BookValid")
        closes = [one for one in map(orjson.loads, daemon.texts()) if one["reason"] == "book_invalid"]
        if any(one["instrument"] == BTC for one in closes):
            return closes
    pytest.fail("no open signal was closed by the loss of its book")


async def test_a_lost_diff_costs_one_book_until_it_is_proven_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gaps = f'imbalanced_book_gaps_total{{kind="sequence_gap",venue="{USDM}"}}'
    async with simulation(USDM) as market, inside(config_text(tmp_path, market.endpoints), monkeypatch) as daemon:
        await daemon.ready()
        told = Told(daemon)
        assert await daemon.counter(gaps) == 0
        closes = await struck(daemon, market, told)
        lost = told.of("BookInvalid", BTC)
        assert {one.reason for one in lost} == {"sequence_gap"}
        assert await daemon.counter(gaps) == len(lost)
        assert {one["instrument"] for one in closes} == {BTC}
        assert told.of("BookInvalid", ETH) == []
        await daemon.ready()
        await daemon.equals(market, USDM, BTC)
        await daemon.equals(market, USDM, ETH)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"fault": "garbage", "stream": "btcusdt@depth"}, "parse_error"),
        ({"fault": "close", "stream": "btcusdt@depth", "code": 1006}, "socket_closed"),
        ({"fault": "close", "stream": "btcusdt@depth", "code": 1001}, "socket_closed"),
        ({"fault": "close", "stream": "btcusdt@depth", "code": 1008, "reason": "policy"}, "socket_closed"),
    ],
    ids=["garbage", "1006", "1001", "1008"],
)
async def test_books_come_back_and_are_the_true_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: dict[str, object], reason: str
) -> None:
    async with simulation(USDM) as market, inside(config_text(tmp_path, market.endpoints), monkeypatch) as daemon:
        await daemon.ready()
        told = Told(daemon)
        market.inject(fault)
        lost = await until(lambda: told.of("BookInvalid", BTC), "BookInvalid")
        assert [one.reason for one in lost] == [reason]
        await until(lambda: told.of("BookValid", BTC), "BookValid")
        await daemon.ready()
        await daemon.equals(market, USDM, BTC)
        await daemon.equals(market, USDM, ETH)


async def test_duplicates_and_delays_cost_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with simulation(USDM) as market, inside(config_text(tmp_path, market.endpoints), monkeypatch) as daemon:
        await daemon.ready()
        told = Told(daemon)
        market.inject({"fault": "duplicate", "stream": "*@depth", "every": 5, "count": 10})
        market.inject({"fault": "delay", "stream": "btcusdt@depth", "by": "300ms"})
        await until(lambda: len(market.injected) >= 11, "the faults strike")
        await daemon.equals(market, USDM, BTC)
        assert told.of("BookInvalid", BTC) == []


@pytest.mark.parametrize(
    ("rest", "reason"),
    [
        ({"fault": "stale_snapshot"}, "stale_snapshot"),
        ({"fault": "http", "status": 500}, "snapshot_failed"),
        ({"fault": "http", "status": 429, "retry_after": 1}, "snapshot_failed"),
    ],
    ids=["stale", "500", "429"],
)
async def test_a_snapshot_that_fails_is_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rest: dict[str, object], reason: str
) -> None:
    async with simulation(USDM) as market, inside(config_text(tmp_path, market.endpoints), monkeypatch) as daemon:
        await daemon.ready()
        told = Told(daemon)
        market.inject({**rest, "stream": "btcusdt@depth"})
        market.inject({"fault": "drop", "stream": "btcusdt@depth"})
        ended = await until(lambda: told.of("ResyncEnded", BTC), "the first attempt ends")
        assert (ended[0].ok, ended[0].reason) == (False, reason)
        await daemon.counted(f'imbalanced_book_resyncs_total{{result="ok",venue="{USDM}"}}', 3)
        await daemon.ready()
        await daemon.equals(market, USDM, BTC)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence is noticed in a second instead of in half a minute."""
    monkeypatch.setattr(watch, "FIRST_DATA_NS", 10**9)
    monkeypatch.setattr(timers, "WATCH_EVERY_NS", 10**8)
    monkeypatch.setattr(lane, "STALE_KNOWN", 5)
    monkeypatch.setattr(lane, "STALE_LEAST_NS", 10**9)
    monkeypatch.setattr(lane, "STALE_MOST_NS", 2 * 10**9)


@pytest.mark.usefixtures("impatient")
async def test_a_stream_that_goes_quiet_is_stale_and_its_book_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with simulation(USDM) as market, inside(config_text(tmp_path, market.endpoints), monkeypatch) as daemon:
        await daemon.ready()
        told = Told(daemon)
        market.inject({"fault": "silent", "stream": "btcusdt@depth", "for": "4s"})
        lost = await until(lambda: told.of("BookInvalid", BTC), "BookInvalid")
        assert lost[0].reason == "stale_stream"
        status, why = await daemon.get("/readyz")
        assert (status, why["reasons"]) == (503, [f"{USDM} {BTC}: stale_stream"])
        await until(lambda: len(told.of("StreamState", BTC)) > 1, "the stream speaks again")
        assert [one.state for one in told.of("StreamState", BTC)][:2] == ["stale", "live"]
        await until(lambda: "silent" in {one.fault for one in market.injected}, "it was the fault")
        market.clear_faults()
        before = await daemon.book(USDM, BTC)
        await until(lambda: moved(daemon, before), "the book moves again")
        await daemon.ready()
        assert told.of("BookInvalid", ETH) == []


@pytest.mark.usefixtures("impatient")
async def test_a_half_open_socket_is_given_up_and_opened_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with simulation(USDM) as market, inside(config_text(tmp_path, market.endpoints), monkeypatch) as daemon:
        await daemon.ready()
        watched = daemon.service.intake.pipeline.sessions[USDM]
        limits = structs.replace(watched.codec.limits, peer_silence_s=1.0)
        monkeypatch.setattr(watched.codec, "limits", limits)
        told = Told(daemon)
        market.inject({"fault": "half_open", "stream": "btcusdt@depth"})
        await until(lambda: told.of("BookInvalid", BTC), "BookInvalid")
        await until(lambda: told.of("LinkDown", ""), "the socket is given up")
        await daemon.ready()
        before = await daemon.book(USDM, BTC)
        await until(lambda: moved(daemon, before), "the book moves again")


async def moved(daemon: Inside, before: dict[str, Any]) -> bool:
    book = await daemon.book(USDM, BTC)
    return bool(book["valid"] and book["seq"] != before["seq"])


# -- the operator ------------------------------------------------------------------------------------------------------


async def test_resync_answers_when_the_book_is_live_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with simulation(USDM) as market:
        text = config_text(tmp_path, market.endpoints).replace("http: {port: 0}", "http: {port: 0, token: s3cret}")
        async with inside(text, monkeypatch) as daemon:
            await daemon.ready()
            told = Told(daemon)
            path = f"/api/books/resync?venue={USDM}&instrument=BTC%2FUSDT%3AUSDT"
            admin = {"Authorization": "Bearer s3cret"}
            assert (await daemon.post(path))[0] == 401
            # Two at once are one resync.
            answers = await asyncio.gather(daemon.post(path, **admin), daemon.post(path, **admin))
            for status, told_us in answers:
                assert (status, told_us["ok"], told_us["reason"]) == (200, True, None)
            assert [one.reason for one in told.of("BookInvalid", BTC)] == ["requested"]
            status, problem = await daemon.post(f"/api/books/resync?venue={USDM}&instrument=XRP%2FUSDT", **admin)
            assert (status, problem["status"]) == (404, 404)
            code, out, err = await daemons.ran("resync", USDM, BTC, "--url", daemon.http, "--token", "s3cret")
            assert (code, json.loads(out)["ok"], err) == (0, True, "")
            code, out, err = await daemons.ran("resync", USDM, "XRP/USDT", "--url", daemon.http, "--token", "s3cret")
            assert (code, out) == (1, "")
            assert "no book of XRP/USDT" in err
            code, out, err = await daemons.ran("resync", USDM, BTC, "--url", daemon.http, "--token", "wrong")
            assert (code, out) == (1, "")
            assert "scope admin" in err


async def test_a_venue_that_is_down_keeps_nobody_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    down = True

    async def sometimes(venue: str, spec: Any, **options: Any) -> Any:
        if venue == "binance" and down:
            raise InstrumentsUnavailable(f"{venue}: connection refused")
        return await daemons.load_once(venue, spec, **options)

    async with simulation("binance", USDM) as market:
        monkeypatch.setattr(daemons.intake, "Backoff", lambda *_: Steady())
        async with inside(config_text(tmp_path, market.endpoints), monkeypatch, lists=sometimes) as daemon:

            async def others_live() -> dict[str, Any] | None:
                _, told = await daemon.get("/readyz")
                return told if told["live"] == 2 else None

            told = await until(others_live, "the other venue's books")
            down = False
            await daemon.ready()
    assert told["reasons"] == ["binance: instruments: binance: connection refused"]


async def test_a_venue_that_comes_late_is_missed_by_name_and_comes_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its list is known, but nobody listens at its address yet."""
    async with simulation("binance", seed=7) as market:
        await daemons.load_once("binance", VENUES["binance"].ccxt, **listing(market))
    port = daemons.free_port()
    late = {"rest": f"http://127.0.0.1:{port}", "ws": f"ws://127.0.0.1:{port}"}
    async with simulation(USDM) as market:
        text = config_text(tmp_path, {"binance": late, **market.endpoints})
        async with inside(text, monkeypatch) as daemon:

            async def others_live() -> dict[str, Any] | None:
                _, told = await daemon.get("/readyz")
                return told if told["live"] == 2 else None

            told = await until(others_live, "the other venue's books")
            assert told["reasons"] == ["binance BTC/USDT: no snapshot", "binance ETH/USDT: no snapshot"]
            _, status = await daemon.get("/api/status")
            assert {one["state"] for one in status["books"] if one["venue"] == "binance"} == {"connecting"}
            assert await daemon.counter('imbalanced_books{state="connecting",venue="binance"}') == 2
            async with simulation("binance", port_base=port):
                ready = await daemon.ready()
                assert ready["live"] == 4
                assert await daemon.counter('imbalanced_books{state="live",venue="binance"}') == 2
                assert await daemon.counter('imbalanced_streams{channel="book",state="live",venue="binance"}') == 2


def listing(market: Running) -> dict[str, Any]:
    """What the loader of instruments is asked of a simulated venue."""
    return {
        "log": structlog.get_logger(),
        "rest": market.endpoints["binance"]["rest"],
        "volumes": False,
        "max_age_s": 0.0,
    }


async def test_an_instrument_that_is_delisted_while_running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed_now = {"gone": False}

    async def lists(venue: str, spec: Any, **options: Any) -> Instruments:
        listed = await daemons.load_once(venue, spec, **options)
        return Instruments(venue, [one for one in listed if not (listed_now["gone"] and one.symbol == ETH)])

    monkeypatch.setattr(daemons.intake, "LIST_EVERY_S", 0.2)
    async with simulation(USDM) as market:
        text = config_text(tmp_path, market.endpoints, extra=f"record: {{dir: {tmp_path}/tape}}")
        async with inside(text, monkeypatch, lists=lists) as daemon:
            await daemon.ready()
            told = Told(daemon)
            listed_now["gone"] = True
            (lost,) = await until(lambda: told.of("BookInvalid", ETH), "BookInvalid")
            assert (lost.reason, lost.detail) == ("symbol_gone", "not listed any more")
            _, ready = await daemon.get("/readyz")
            assert ready["reasons"] == [f"{USDM} {ETH}: symbol_gone (not listed any more)"]
            before = await daemon.book(USDM, BTC)
            await until(lambda: moved(daemon, before), "the other book moves")
            assert told.of("BookInvalid", BTC) == []
            await until(lambda: len(daemon.texts()) >= 10, "signals")
    assert replayed(tmp_path, text) == journal_of(tmp_path)


async def test_sockets_are_rotated_without_the_loss_of_a_book_and_it_replays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotation, "ROTATE_AT", 2.0 / 86_400)  # every two seconds
    monkeypatch.setattr(rotation, "OVERLAP_NS", 10**9)
    async with simulation("binance", USDM) as market:
        text = config_text(tmp_path, market.endpoints, extra=f"record: {{dir: {tmp_path}/tape}}")
        async with inside(text, monkeypatch) as daemon:
            await daemon.ready()
            told = Told(daemon)
            for venue in ("binance", USDM):
                line = f'imbalanced_reconnects_total{{reason="rotated",venue="{venue}"}}'
                await daemon.counted(line, 2)
            assert [one for one in told.events if one["what"] == "BookInvalid"] == []
            assert [one["event"] for one in told.events if getattr(one["event"], "what", "") == "trade_gap"] == []
            await daemon.equals(market, USDM, BTC)
            await until(lambda: len(daemon.texts()) > 20, "20 signals")
    assert replayed(tmp_path, text) == journal_of(tmp_path)


class Steady:
    """Backs off by a moment."""

    def next_s(self) -> float:
        return 0.05


async def test_an_instrument_that_does_not_trade_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def halted(venue: str, spec: Any, **options: Any) -> Instruments:
        listed = await daemons.load_once(venue, spec, **options)
        return Instruments(venue, [structs.replace(one, active=one.symbol != ETH) for one in listed])

    async with (
        simulation(USDM) as market,
        inside(config_text(tmp_path, market.endpoints), monkeypatch, lists=halted) as daemon,
    ):

        async def live() -> dict[str, Any] | None:
            _, told = await daemon.get("/readyz")
            return told if told["live"] == 1 else None

        told = await until(live, "the one book that there is")
        assert told["reasons"] == [f"{USDM}: listed, but not trading: {ETH}"]


async def test_ports_that_are_taken_end_a_real_run_before_it_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    taken = server.sockets[0].getsockname()[1]
    async with server, simulation(USDM) as market:
        for name in ("http", "stream"):
            text = config_text(tmp_path, market.endpoints).replace(f"{name}: {{port: 0}}", f"{name}: {{port: {taken}}}")
            with pytest.raises(ExceptionGroup) as caught:
                await inside(text, monkeypatch).__aenter__()
            assert caught.group_contains(AddressInUse, match=f"{name}: 127.0.0.1:{taken} is already in use")
        assert market.clients(USDM) == []


async def test_a_pipeline_that_fails_ends_the_run_with_its_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when it fails in its own timer, where no link is at hand to notice."""
    async with simulation(USDM) as market:

        def broken(frame: Any, out: list[Any]) -> None:
            raise ZeroDivisionError("a fault of ours")

        async def run() -> None:
            async with inside(config_text(tmp_path, market.endpoints), monkeypatch) as daemon:
                monkeypatch.setattr(daemon.service.intake.pipeline, "_tick", broken)
                await daemon.ended()

        with pytest.raises(ExceptionGroup) as caught:
            await run()
        assert caught.group_contains(ZeroDivisionError)


async def test_a_reload_takes_the_log_level_and_says_what_needs_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with simulation(USDM) as market:
        text = config_text(tmp_path, market.endpoints, extra="log: {format: json}")
        async with inside(text, monkeypatch) as daemon:
            service = daemon.service
            log: list[tuple[str, dict[str, Any]]] = []
            monkeypatch.setattr(
                service, "log", type("Log", (), {
                    "warning": lambda _, name, **facts: log.append((name, facts)),
                    "info": lambda _, name, **facts: None,
                    "error": lambda _, name, **facts: log.append((name, facts)),
                })(),
            )  # fmt: skip
            changed = text.replace("log: {format: json}", "log: {format: json, level: warning}")
            service.reload(lambda: daemons.parsed(changed))
            assert logs._level == logs.LEVELS["warning"]
            service.reload(lambda: daemons.parsed(changed.replace("levels: 5", "levels: 3")))
            service.reload(lambda: daemons.parsed("venues: {nowhere: {}}"))
            service.reload(lambda: daemons.parsed(text))
            assert logs._level == logs.LEVELS["info"]
    assert log[0] == ("reloaded", {"applied": ["log"], "needs_restart": []})
    assert log[1] == ("reloaded", {"applied": [], "needs_restart": ["metrics"]})
    assert log[2][0] == "reload_refused"
    assert "nowhere" in log[2][1]["faults"][0]
    assert log[3] == ("reloaded", {"applied": ["log"], "needs_restart": []})
