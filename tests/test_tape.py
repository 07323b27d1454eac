"""Recordings: what is written is read again, to the nanosecond; what is no recording says so."""

from __future__ import annotations

import gzip
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imbalanced.events import Frame
from imbalanced.tape import Recorder, TapeError, Writer, is_own, read, record_line

S = 1_000_000_000
KINDS = ["ws", "http", "open", "close", "wake", "instruments", "stop", "resync", "sent"]
FRAMES = st.builds(
    Frame,
    recv_ns=st.integers(0, 2**62),
    venue=st.sampled_from(["", "binance"]),
    conn=st.integers(0, 9),
    kind=st.sampled_from(KINDS),
    data=st.one_of(st.binary(max_size=30), st.text(max_size=30).map(lambda text: text.encode(errors="ignore"))),
    url=st.text(st.characters(codec="ascii"), max_size=10),
    status=st.sampled_from([200, 0, 429]),
)
LINE = b'{"ts": 1700000000.5, "venue": "v", "conn": 1, "dir": "in", "kind": "ws", "url": "", "data": "x"}\n'


def written(path: Path, *lines: bytes) -> Path:
    with gzip.open(path, "wb") as file:
        file.writelines(lines)
    return path


def changed(line: bytes, old: str, new: str) -> bytes:
    assert old.encode() in line
    return line.replace(old.encode(), new.encode())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(frames=st.lists(FRAMES, max_size=5))
def test_what_is_written_is_read_again(tmp_path: Path, frames: list[Frame]) -> None:
    path = tmp_path / "run.jsonl.gz"
    with Writer(path, started_ns=7) as tape:
        for frame in frames:
            tape.write(frame)
    head, *rest = read(path)
    assert (head.recv_ns, head.kind) == (7, "other"), "the head of our own recordings is no frame of anyone"
    assert rest == frames


def test_times_are_read_by_their_digits(tmp_path: Path) -> None:
    lines = [
        changed(LINE, "1700000000.5", text) for text in ("1700000000.123456789", "1700000000.1234567899", "1700000000")
    ]
    times = [frame.recv_ns for frame in read(written(tmp_path / "t", *lines))]
    # Through a float the first would be ...123456716.
    assert times == [1_700_000_000_123_456_789, 1_700_000_000_123_456_789, 1_700_000_000 * S]


def test_a_record_without_a_time_is_as_old_as_the_one_before(tmp_path: Path) -> None:
    without = changed(LINE, "1700000000.5", "null")
    assert [frame.recv_ns for frame in read(written(tmp_path / "t", without, LINE, without))] == [
        0,
        1_700_000_000_500_000_000,
        1_700_000_000_500_000_000,
    ]


def test_a_time_inside_the_payload_is_not_the_time_of_the_record(tmp_path: Path) -> None:
    line = changed(LINE, '"x"', '"{\\"ts\\": 5.0}"')
    (frame,) = read(written(tmp_path / "t", line))
    assert frame.recv_ns == 1_700_000_000_500_000_000


def test_a_plain_file_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "plain.jsonl"
    path.write_bytes(LINE)
    assert [frame.data for frame in read(path)] == [b"x"]


def test_bytes_that_are_no_text_are_kept() -> None:
    line = record_line(Frame(1, "v", 1, "ws", b"\xff\x00"))
    assert b'"enc":"base64"' in line


def test_kinds_of_foreign_recordings(tmp_path: Path) -> None:
    lines = [
        changed(LINE, '"dir": "in"', '"dir": "out"'),
        changed(LINE, '"kind": "ws"', '"kind": "http"'),
        changed(LINE, '"kind": "ws"', '"kind": "udp"'),
        changed(LINE, '"url": ""', '"ev": "open", "url": null'),
        changed(LINE, '"url": ""', '"ev": "somethingnew", "url": ""'),
    ]
    frames = list(read(written(tmp_path / "t", *lines)))
    assert [frame.kind for frame in frames] == ["sent", "http", "other", "open", "other"]
    assert frames[3].url == ""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("1700000000.5", '"soon"'),
        ("1700000000.5", "-1.5"),
        ("1700000000.5", "1e9"),
        ('"ts": 1700000000.5, ', ""),
        ('"venue": "v", ', ""),
        ('"dir": "in", ', ""),
        ('"data": "x"', '"data": 5'),
        ('"data": "x"', '"data": "x", "enc": "base64"'),
        (', "data": "x"', ""),
    ],
)
def test_records_that_are_none_are_named_by_their_number(tmp_path: Path, old: str, new: str) -> None:
    frames = read(written(tmp_path / "t", LINE, changed(LINE, old, new)))
    assert next(frames).data == b"x", "what was read before stands"
    with pytest.raises(TapeError, match="record 1: no recording of frames") as caught:
        next(frames)
    assert caught.value.record == 1
    assert str(tmp_path / "t") in str(caught.value)


@pytest.mark.parametrize("line", [b"[]\n", b"5\n", b"null\n"])
def test_lines_of_another_kind_of_json(tmp_path: Path, line: bytes) -> None:
    with pytest.raises(TapeError, match="no JSON object"):
        list(read(written(tmp_path / "t", line)))


def test_lines_that_are_no_json(tmp_path: Path) -> None:
    with pytest.raises(TapeError, match="record 1: no JSON"):
        list(read(written(tmp_path / "t", LINE, b"{oops\n")))


def test_a_file_that_is_cut_off(tmp_path: Path) -> None:
    whole = written(tmp_path / "whole", *[LINE] * 100).read_bytes()
    cut = tmp_path / "cut"
    cut.write_bytes(whole[:-12])
    frames = read(cut)
    readable = len(list(islice(frames, 50)))
    with pytest.raises(TapeError, match="truncated") as caught:
        list(frames)
    assert caught.value.record >= readable
    plain = tmp_path / "plain"
    plain.write_bytes(LINE + LINE[:-20])
    with pytest.raises(TapeError, match=r"record 1: .*truncated"):
        list(read(plain))


def test_a_file_that_is_damaged(tmp_path: Path) -> None:
    whole = bytearray(written(tmp_path / "whole", *(b"%d" % i + LINE[1:] for i in range(0)), LINE).read_bytes())
    whole[-6] ^= 0xFF
    damaged = tmp_path / "damaged"
    damaged.write_bytes(whole)
    with pytest.raises(TapeError, match="damaged"):
        list(read(damaged))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(TapeError, match="No such file"):
        list(read(tmp_path / "nowhere"))
    with pytest.raises(TapeError):
        list(read(tmp_path))


def test_an_empty_file_has_no_frames(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert list(read(tmp_path / "empty")) == []


def test_our_own_recordings_are_known_by_their_head(tmp_path: Path) -> None:
    with Writer(tmp_path / "own.gz", started_ns=1):
        pass
    assert is_own(tmp_path / "own.gz")
    assert not is_own(written(tmp_path / "foreign", LINE))
    assert not is_own(tmp_path / "nowhere")
    for name, data in (
        ("empty", b""),
        ("cut", (tmp_path / "own.gz").read_bytes()[:12]),
        ("text", b"hello"),
        ("list", b"[]"),
    ):
        (tmp_path / name).write_bytes(data)
        assert not is_own(tmp_path / name)


def test_a_recording_has_its_name_only_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "new" / "run.gz"
    tape = Writer(path, started_ns=1)
    tape.write(Frame(1, "v", 1, "ws", b"x"))
    assert not path.exists()
    assert path.with_name("run.gz.part").exists()
    tape.close()
    assert [one.name for one in path.parent.iterdir()] == ["run.gz"]


def test_a_long_run_is_cut_into_files_by_receive_time(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "tape", 3600 * S)
    begin = 1_700_000_000 * S
    for minutes in (0, 10, 50, 59, 120, 121):
        recorder.write(Frame(begin + minutes * 60 * S, "v", 1, "ws", b"%d" % minutes))
    recorder.close()
    recorder.close()
    files = sorted((tmp_path / "tape").iterdir())
    assert [[frame.data for frame in read(path) if frame.kind == "ws"] for path in files] == [
        [b"0", b"10"],
        [b"50", b"59"],
        [b"120", b"121"],
    ]
    assert files[0].name == "20231114T221320.000000Z.jsonl.gz"
    assert all(is_own(path) for path in files), "each file can be replayed by itself"
