"""Log lines: JSON for machines, one a line, the level changeable while running."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from imbalanced import logs
from imbalanced.config import Log

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    before = structlog.get_config()
    yield
    structlog.reset_defaults()
    structlog.configure(**before)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    captured = capsys.readouterr()
    assert captured.out == "", "logs go to stderr"
    return [json.loads(line) for line in captured.err.splitlines()]


def test_a_line_is_json_with_time_level_event_first(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up(Log(format="json"))
    structlog.get_logger("t").bind(venue="okx").warning("book_invalid", instrument="BTC/USDT", reason="gap", n=1)
    [line] = lines(capsys)
    assert list(line)[:3] == ["ts", "level", "event"]
    assert line["ts"].endswith("Z")
    assert (line["level"], line["event"], line["venue"], line["n"]) == ("warning", "book_invalid", "okx", 1)


def test_a_traceback_stays_in_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up(Log(format="json"))
    try:
        raise ZeroDivisionError("no")
    except ZeroDivisionError:
        structlog.get_logger("t").exception("failed", thing=object())
    [line] = lines(capsys)
    assert line["level"] == "error"
    assert "ZeroDivisionError: no" in line["exception"]


def test_the_level_holds_and_may_change_for_loggers_that_exist(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up(Log(format="json", level="warning"))
    log = structlog.get_logger("t")
    bound = log.bind(venue="okx")
    for one in (log, bound):
        one.info("quiet")
        one.warning("loud")
    assert [line["event"] for line in lines(capsys)] == ["loud", "loud"]
    logs.set_level("debug")
    log.debug("now")
    bound.debug("now too")
    assert [line["event"] for line in lines(capsys)] == ["now", "now too"]
    logs.set_level("error")
    log.warning("no more")
    log.error("still")
    bound.critical("worst")
    assert [line["event"] for line in lines(capsys)] == ["still", "worst"]


def test_text_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up(Log(format="text"))
    structlog.get_logger("t").info("link_up", venue="okx")
    err = capsys.readouterr().err
    assert "link_up" in err
    assert "venue=okx" in err
    assert "\x1b" not in err, "no colours where nobody sees them"
