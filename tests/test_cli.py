"""The command line: words in, data on stdout, reasons on stderr, exit codes."""

from __future__ import annotations

import asyncio
import gzip
import json
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import daemons
import orjson
import pytest
from click.testing import CliRunner, Result
from daemons import DEMO, ROOT, SYMBOLS, config_text, inside, process, ran, simulation, until

from imbalanced.cli import LAZY, cli
from imbalanced.events import Frame, Proof, Signal
from imbalanced.journal import Journal
from imbalanced.tape import Writer, record_line

CAPTURES = ROOT.parent / "shared" / "captures"
USDM, BTC = "binance_usdm", "BTC/USDT:USDT"


def run(*args: str | Path) -> Result:
    return CliRunner().invoke(cli, list(map(str, args)), prog_name="imbalanced")


# -- help and usage ----------------------------------------------------------------------------------------------------


def test_alone_it_prints_the_help_with_first_steps() -> None:
    result = run()
    assert (result.exit_code, result.stderr) == (0, "")
    assert "First steps" in result.output
    for verb in (
        "run",
        "check",
        "replay",
        "record",
        "sim",
        "tail",
        "tape",
        "doctor",
        "journal",
        "config",
        "version",
        "resync",
    ):
        assert f"\n  {verb} " in result.output, f"{verb} is missing in the help"
    assert run("--help").output == result.output


@pytest.mark.parametrize(
    "verb", ["run", "check", "replay", "record", "sim", "tail", "tape", "doctor", "resync", "version", "journal"]
)
def test_every_verb_has_help(verb: str) -> None:
    result = run(verb, "--help")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.output.startswith(f"Usage: imbalanced {verb} ")


def test_the_help_of_lazy_verbs_is_theirs() -> None:
    for verb in LAZY:
        assert run(verb, "--help").exit_code == 0


def test_the_help_imports_nothing_heavy() -> None:
    program = "import sys; from imbalanced.cli import cli; cli(['--help'], standalone_mode=False);" + (
        "print(sorted({'aiohttp', 'ccxt', 'websockets', 'redis', 'rich', 'msgspec', 'yaml'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["rn"], "no such verb: rn; did you mean run?"),
        (["replai"], "did you mean replay?"),
        (["zzz"], "no such verb: zzz"),
        (["run"], "Missing option '-c' / '--config'"),
        (["replay"], "Missing argument 'CAPTURES...'"),
        (["replay", "x", "--checkpoints", "1,b"], "whole numbers with commas"),
        (["journal", "verify"], "give the path of a journal, or -c FILE"),
        (["resync", "a", "b", "--url", "ftp://x"], "expected http:// or https://"),
    ],
)
def test_wrong_usage_is_exit_2_with_the_reason(args: list[str], said: str) -> None:
    result = run(*args)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr


def test_version_says_what_runs() -> None:
    facts = json.loads(run("version", "--json").stdout)
    assert facts["python"] == sys.version.split()[0]
    assert isinstance(facts["compiled"], bool)
    assert facts["version"] in run("--version").stdout
    assert facts["version"] in run("version").stdout


# -- configuration -----------------------------------------------------------------------------------------------------


def test_check_says_how_big_it_is() -> None:
    result = run("check", "-c", DEMO)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "binance: 2 instruments, 11 metrics, 3 detectors" in result.stdout
    assert "4 metric series in Prometheus" in result.stdout
    assert "no fault found" in result.stdout


def test_check_names_every_fault_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(
        "http: {port: 99999}\nvenues:\n  binanse: {instruments: [BTC/USDT]}\nmetrics:\n  - {metric: ofii}\nnope: 1\n"
    )
    result = run("check", "-c", path)
    assert (result.exit_code, result.stdout) == (2, "")
    lines = result.stderr.splitlines()
    assert all(line.startswith(f"{path}: ") for line in lines)
    for word in ("http.port", "binanse", "metrics[0]", "nope"):
        assert any(word in line for line in lines), f"{word} is missing in {lines}"


@pytest.mark.parametrize("verb", ["run", "check", "record"])
def test_a_configuration_that_is_not_there_is_exit_2(verb: str, tmp_path: Path) -> None:
    more = ["-o", tmp_path] if verb == "record" else []
    result = run(verb, "-c", tmp_path / "none.yaml", *more)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"{tmp_path}/none.yaml: No such file or directory\n"


def test_config_prints_an_example_that_checks_a_schema_and_origins(tmp_path: Path) -> None:
    example = tmp_path / "default.yaml"
    example.write_text(run("config", "default").stdout)
    assert run("check", "-c", example).exit_code == 0
    assert json.loads(run("config", "schema").stdout)["type"] == "object"
    shown = run("config", "show", "-c", DEMO)
    assert shown.exit_code == 0
    assert "file" in shown.stdout
    assert "default" in shown.stdout


# -- replay ------------------------------------------------------------------------------------------------------------


def small_capture(path: Path, *, diffs: int = 30, foreign: bool = False) -> Path:
    """Frames of one USD-M book in the shape of captures/README.md: a snapshot among diffs that chain."""
    url = "wss://fstream.binance.com/stream?streams=btcusdt@depth@0ms"
    lines = []
    first_ns = 1_700_000_000_000_000_000

    def add(kind: str, url: str, data: bytes) -> None:
        lines.append(record_line(Frame(first_ns + len(lines) * 50_000_000, USDM, int(kind == "ws"), kind, data, url)))  # type: ignore[arg-type]

    def diff(number: int) -> bytes:
        price = f"{60000 + number % 7}.{number % 10}0"
        ms = 1_700_000_000_000 + number * 50
        ids = {"U": 100 + number * 10, "u": 109 + number * 10, "pu": 99 + number * 10}
        bids = [[price, f"{1 + number % 5}.500"]]
        asks = [[f"{60010 + number % 9}.00", f"{2 + number % 3}.000"]]
        data = {"e": "depthUpdate", "E": ms, "T": ms, "s": "BTCUSDT", **ids, "b": bids, "a": asks}
        return orjson.dumps({"stream": "btcusdt@depth@0ms", "data": data})

    for number in range(diffs):
        add("ws", url, diff(number))
        if number == 3:
            image = {
                "lastUpdateId": 125,
                "E": 1,
                "T": 1,
                "bids": [["59999.00", "1.000"]],
                "asks": [["60020.00", "3.000"]],
            }
            add("http", "https://fapi.binance.com/fapi/v1/depth?symbol=BTCUSDT&limit=1000", orjson.dumps(image))
    data = b"".join(lines)
    path.write_bytes(gzip.compress(data))
    return path


def test_a_replay_without_configuration_takes_what_it_finds(tmp_path: Path) -> None:
    capture = small_capture(tmp_path / "small.jsonl.gz")
    result = run("replay", capture, "--books", tmp_path / "books.json", "--checkpoints", "3,10", "--metrics", "-")
    assert result.exit_code == 0, result.stderr
    told = orjson.loads((tmp_path / "books.json").read_bytes())
    assert (told["capture"], told["records"]) == ("small.jsonl.gz", 31)
    assert [one["index"] for one in told["checkpoints"]] == [3, 10]
    assert told["checkpoints"][0]["symbols"]["BTCUSDT"]["valid"] is False
    assert told["final"]["symbols"]["BTCUSDT"]["valid"] is True
    snapshots = [json.loads(line) for line in result.stdout.splitlines()]
    assert {one["instrument"] for one in snapshots} == {"BTCUSDT"}, "its own name, as there is no listing in it"
    # What people read goes to stderr, and says where the results are.
    assert result.stderr.startswith("31 records in ")
    assert f"books: {tmp_path}/books.json" in result.stderr
    assert run("replay", capture, "-q").output == ""


def test_a_replay_with_a_configuration_takes_what_is_configured(tmp_path: Path) -> None:
    capture = small_capture(tmp_path / "small.jsonl.gz")
    config = tmp_path / "run.yaml"
    config.write_text(f"venues: {{{USDM}: {{instruments: [BTC/USDT:USDT, ETH/USDT:USDT]}}}}\nfilters: off\n")
    result = run("replay", capture, "-c", config, "--books", tmp_path / "books.json", "--metrics", "-")
    assert result.exit_code == 0, result.stderr
    assert orjson.loads((tmp_path / "books.json").read_bytes())["final"]["symbols"]["BTCUSDT"]["valid"] is True
    assert {json.loads(line)["instrument"] for line in result.stdout.splitlines()} == {"BTC/USDT:USDT"}
    config.write_text(f"venues: {{{USDM}: {{instruments: [ETH/USDT:USDT]}}}}\n")
    result = run("replay", capture, "-c", config)
    assert result.exit_code == 1
    assert "none of the configured instruments is in it; it has BTCUSDT" in result.stderr


def test_what_was_read_before_a_broken_record_stands(tmp_path: Path) -> None:
    capture = small_capture(tmp_path / "small.jsonl.gz")
    cut = tmp_path / "cut.jsonl.gz"
    whole = gzip.decompress(capture.read_bytes())
    cut.write_bytes(gzip.compress(b"\n".join(whole.split(b"\n")[:20]) + b'\n{"ts": 1.0, "ven'))
    for config in ([], ["-c", DEMO]):
        books = tmp_path / "books.json"
        result = run("replay", cut, "--books", books, *config)
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.count("\n") == 1
        assert f"{cut}: record 20: the file ends in the middle of a record (truncated)" in result.stderr
        assert orjson.loads(books.read_bytes())["records"] == 20
        books.unlink()
    truncated = tmp_path / "truncated.jsonl.gz"
    truncated.write_bytes(capture.read_bytes()[:-20])
    result = run("replay", truncated, "--signals", tmp_path / "out.jsonl")
    assert result.exit_code == 1
    assert "truncated" in result.stderr
    assert (tmp_path / "out.jsonl").exists()


def test_foreign_files_are_refused_in_a_line(tmp_path: Path) -> None:
    other = tmp_path / "other.gz"
    other.write_bytes(gzip.compress(b'{"hello": "world"}\n'))
    text = tmp_path / "text"
    text.write_text("no recording")
    venue = tmp_path / "venue.gz"
    venue.write_bytes(
        gzip.compress(b'{"ts":1.0,"venue":"mtgox","conn":1,"dir":"in","kind":"ws","url":"","data":"{}"}\n')
    )
    empty = tmp_path / "empty.gz"
    empty.write_bytes(gzip.compress(b""))
    for path, why in (
        (other, "record 0: no recording of frames: 'ts' is missing"),
        (text, "record 0: "),
        (venue, "venue 'mtgox' is none of "),
        (empty, "the recording is empty"),
        (tmp_path / "none.gz", "No such file"),
    ):
        result = run("replay", path)
        assert (result.exit_code, result.stdout) == (1, ""), path
        assert why in result.stderr
        assert result.stderr.count("\n") == 1


def test_signals_of_each_run_are_numbered_as_they_were(tmp_path: Path) -> None:
    """A recording says with which seq it began; several runs in one call are each their own."""
    from imbalanced.tape import Head, head

    for number, begins in ((5, True), (9, False)):
        with Writer(tmp_path / f"{number}.gz", started_ns=1, head=Head(number, begins)):
            pass
        assert head(tmp_path / f"{number}.gz") == Head(number, begins)


# -- journal -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    path = tmp_path / "journal.sqlite"
    proof = Proof(book_seq=1, book_age_ms=2, checks=["sequence"], gaps_1h=0)
    common: dict[str, Any] = {
        "id": "00000000000000aa", "kind": "order_flow_imbalance", "side": "buy", "venue": "okx",
        "instrument": "BTC/USDT", "ts_ns": 1, "recv_ns": 2, "strength": 0.5, "score": 2.5, "confidence": None,
        "mid": "1.5", "horizon_ms": 1000, "evidence": {"z, really": 2.5}, "proof": proof, "config": "c",
    }  # fmt: skip
    with closing(Journal.open(path)) as written:
        written.append([Signal(event="open", reason=None, **common), Signal(event="close", reason="faded", **common)])
    return path


def test_the_journal_is_verified_shown_and_exported(journal: Path, tmp_path: Path) -> None:
    result = run("journal", "verify", journal)
    assert (result.exit_code, "whole; seq 1 to 2, 0 open" in result.stdout) == (0, True)
    shown = run("journal", "tail", journal, "-n", "1")
    assert shown.stdout == "     2 close  ▲ buy  order_flow_imbalance okx BTC/USDT score +2.50 mid 1.5 (faded)\n"
    assert json.loads(run("journal", "tail", journal, "-n", "1", "--json").stdout)["seq"] == 2
    lines = run("journal", "export", journal).stdout.splitlines()
    assert [json.loads(line)["event"] for line in lines] == ["open", "close"]
    table = tmp_path / "out.csv"
    result = run("journal", "export", journal, "-o", table, "--from-seq", "2")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", f"1 signals to {table}\n")
    assert table.read_text().splitlines() == [
        "seq,id,event,kind,side,venue,instrument,ts_ns,recv_ns,strength,score,confidence,mid,horizon_ms,reason,config",
        "2,00000000000000aa,close,order_flow_imbalance,buy,okx,BTC/USDT,1,2,0.5,2.5,,1.5,1000,faded,c",
    ]
    config = tmp_path / "c.yaml"
    config.write_text(f"journal: {{path: {journal}}}\nvenues: {{binance: {{}}}}\n")
    assert run("journal", "verify", "-c", config).exit_code == 0


def test_what_is_no_journal_or_a_torn_one_is_exit_1(journal: Path, tmp_path: Path) -> None:
    import sqlite3

    result = run("journal", "verify", tmp_path / "none.sqlite")
    assert (result.exit_code, result.stderr) == (1, f"Error: {tmp_path}/none.sqlite: no such journal\n")
    text = tmp_path / "text.sqlite"
    text.write_text("not a database at all, but long enough to be looked at" * 20)
    result = run("journal", "tail", text)
    assert (result.exit_code, "not a SQLite file" in result.stderr) == (1, True)
    with closing(sqlite3.connect(journal)) as db:
        db.execute("DELETE FROM signals WHERE seq = 1")
        db.execute("INSERT INTO signals SELECT 4, id, event, kind, side, venue, instrument, recv_ns, open_seq, json "
                   "FROM signals WHERE seq = 2")  # fmt: skip
        db.commit()
    result = run("journal", "verify", journal)
    assert result.exit_code == 1
    assert "hole: 3 to 3 missing" in result.stdout
    assert "faults" in result.stderr


# -- with a daemon -----------------------------------------------------------------------------------------------------


async def test_tail_into_head_ends_quietly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with simulation(USDM) as market, inside(config_text(tmp_path, market.endpoints), monkeypatch) as daemon:
        command = f"exec 3>&1; ({sys.executable} -m imbalanced tail {daemon.stream} --json; echo rc $? >&3) | head -n 2"
        piped = await asyncio.create_subprocess_shell(
            command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, cwd=ROOT
        )
        async with asyncio.timeout(daemons.DEADLINE_S):
            out, err = await piped.communicate()
        lines = out.decode().splitlines()
        assert err == b""
        assert [set(json.loads(line)) >= {"seq", "kind", "side"} for line in lines[:2]] == [True, True]
        assert lines[2:] == ["rc 0"]


async def test_tail_filters_and_says_why_it_cannot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with simulation(USDM) as market:
        text = config_text(tmp_path, market.endpoints).replace("stream: {port: 0}", "stream: {port: 0, tokens: [abc]}")
        async with inside(text, monkeypatch) as daemon:
            code, out, err = await ran("tail", daemon.stream, "--token", "wrong")
            assert (code, out, err.count("\n")) == (1, "", 0)
            assert err.startswith("Error: ")
            kind = "market_depth_imbalance"
            async with process("tail", daemon.stream, "--kind", kind, IMBALANCED_TOKEN="abc") as one:
                await until(lambda: len(one.out) >= 2, "two signals")
                assert {line.split()[4] for line in one.out} == {kind}
                one.process.terminate()


async def test_tail_waits_for_a_daemon_and_says_so_beside_its_data() -> None:
    async with process("tail", f"ws://127.0.0.1:{daemons.free_port()}/v1", "--json") as one:
        assert json.loads(await one.said("stream_disconnected"))["level"] == "warning"
        assert one.out == [], "stdout is for signals"


def test_a_pipe_that_closes_is_no_error() -> None:
    command = f"exec 3>&1; ({sys.executable} -m imbalanced config schema; echo rc $? >&3) | true"
    for _ in range(2):
        done = subprocess.run(command, shell=True, capture_output=True, text=True, cwd=ROOT, check=True)  # noqa: S602
        assert (done.stdout, done.stderr) == ("rc 0\n", "")


# -- recordings through the simulated venues ---------------------------------------------------------------------------


async def played(capture: Path, venue: str, symbols: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`sim --capture` into a daemon, and `replay --books` of the same file: the same books in the end."""
    async with process("sim", "--capture", capture, "--speed", "20") as venue_process:
        await until(lambda: venue_process.out, "the one line of the simulation")
        ends = json.loads(venue_process.out[0])["venues"]
        text = config_text(folder, ends)
        names = json.dumps(symbols)
        text = text.replace(json.dumps([daemons.UNIFIED[venue].format(one) for one in SYMBOLS]), names)
        async with inside(text, monkeypatch, lists=daemons.really_load) as daemon:
            await venue_process.said(f"played {venue}")
            result = run("replay", capture, "--books", folder / "books.json")
            assert result.exit_code == 0, result.stderr
            final = orjson.loads((folder / "books.json").read_bytes())["final"]["symbols"]
            for symbol in symbols:
                session = daemon.service.intake.pipeline.sessions[venue]
                wanted = final[session.lane_of(symbol).instrument.venue_symbol]  # type: ignore[union-attr]

                async def same(symbol: str = symbol, wanted: Any = wanted) -> bool:
                    book = await daemon.book(venue, symbol)
                    told = {**book, "bids": book["bids"][:20], "asks": book["asks"][:20]}
                    return all(told.get(key) == wanted[key] for key in ("valid", "n_bids", "n_asks", "bids", "asks"))

                await until(same, f"{symbol} as in the replay")


async def test_a_small_recording_gives_the_same_book_played_and_replayed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    capture = small_capture(tmp_path / "small.jsonl.gz", diffs=120)
    await played(capture, USDM, [BTC], tmp_path, monkeypatch)


async def test_a_real_recording_gives_the_same_books_played_and_replayed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    capture = CAPTURES / "binance_usdm-20210722-a.jsonl.gz"
    if not capture.exists():
        pytest.skip(f"no recordings beside the repository ({capture})")
    await played(capture, USDM, ["AKRO/USDT:USDT", "SUSHI/USDT:USDT"], tmp_path, monkeypatch)
