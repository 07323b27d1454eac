"""A signal explained: from the journal, over HTTP, and from the recording, with the same words."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result
from scripted import LEAN, VENUE, Script, configured

from imbalanced import explanation
from imbalanced.cli import cli, read_config
from imbalanced.events import Explained, Graded, Signal
from imbalanced.journal import Journal
from imbalanced.pipeline import Pipeline
from imbalanced.replay import with_timers
from imbalanced.tape import record_line

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = {
    "venues": {VENUE: {"instruments": ["AAA/USDT"]}},
    "metrics": [{"metric": "spread"}, {"metric": "depth_imbalance", "levels": 2}],
    "detectors": [LEAN],
    "filters": {"warmup": {"min_age": "1s"}, "depth": {"min_notional": "0"}, "spoof": "off"},
    "grading": {"horizons": ["500ms", "2s"]},
}


class Told:
    """A run of a script: its journal, its recording, its configuration, the id of its signal."""

    def __init__(self, folder: Path) -> None:
        script = Script().up().calm(2).lean("9", "1").calm(8)
        self.journal, self.tape, self.config = folder / "journal.sqlite", folder / "tape.jsonl", folder / "config.yaml"
        self.config.write_text(json.dumps({**CONFIG, "journal": {"path": str(self.journal)}}))
        self.tape.write_bytes(b"".join(map(record_line, script.frames)))
        pipeline = Pipeline(read_config(self.config))
        journal = Journal.open(self.journal)
        for _, _, made in with_timers(script.frames, pipeline, own=False):
            journal.append(
                [one for one in made if type(one) is Signal], [one for one in made if type(one) is Explained]
            )
            journal.grade([one for one in made if type(one) is Graded])
        self.id = journal.read(1)[0].id
        journal.close()

    def explain(self, *args: object) -> Result:
        return CliRunner().invoke(cli, ["explain", self.id, *map(str, args)])


@pytest.fixture
def told(tmp_path: Path) -> Told:
    return Told(tmp_path)


def test_it_says_what_opened_it_and_what_became_of_it(told: Told) -> None:
    result = told.explain("-c", told.config)
    assert result.exit_code == 0, result.output
    for part in (
        f"market_depth_imbalance buy   {VENUE} AAA/USDT   {told.id}",
        "detector   lean: on 0.5, off 0.2",
        "metrics    spread",
        "99.9 | 100.1",
        "warmup       passed",
        "closed     faded; ",
        "after      0.5 s: ",
        "after      5 s: ",
    ):
        assert part in result.stdout, part


def test_as_json_it_is_what_http_answers(told: Told) -> None:
    journal = Journal.open(told.journal, read_only=True)
    about = journal.about(told.id)
    journal.close()
    assert about is not None
    said = json.loads(told.explain("-c", told.config, "--json").stdout)
    assert said == json.loads(json.dumps(explanation.as_data(about)))
    why = said["explanation"]
    assert (why["kind"], why["name"], why["recv_ns"]) == (
        "market_depth_imbalance",
        "lean",
        said["signals"][0]["recv_ns"],
    )
    assert why["bids"][0] == ["99.9", "9"]
    assert why["values"]["depth_imbalance"] == pytest.approx((9 + 1 - 2) / (9 + 1 + 2))
    assert ("warmup", "pass") in [(one["name"], one["verdict"]) for one in why["filters"]]
    assert [one["horizon_ms"] for one in said["grades"]] == [500, 2000, 5000]


def test_the_recording_explains_it_in_the_same_words(told: Told) -> None:
    from_journal = json.loads(told.explain("-c", told.config, "--json").stdout)
    both = json.loads(told.explain("-c", told.config, "--json", "--tape", told.tape).stdout)
    assert both.pop("replay") == "the recording gives the same 2 messages"
    assert both == from_journal
    told.journal.unlink()
    alone = json.loads(told.explain("-c", told.config, "--json", "--tape", told.tape).stdout)
    assert alone.pop("replay").startswith("the journal does not know it")
    assert alone["explanation"] == from_journal["explanation"]
    assert alone["grades"] == from_journal["grades"]


def test_a_recording_that_says_something_else_is_told(told: Told) -> None:
    changed: dict[str, Any] = {**CONFIG, "detectors": [{**LEAN, "off": 0.3}]}
    told.config.write_text(json.dumps({**changed, "journal": {"path": str(told.journal)}}))
    said = json.loads(told.explain("-c", told.config, "--json", "--tape", told.tape).stdout)
    assert said["replay"] == "message 1 differs in evidence, config"
    told.config.write_text(json.dumps({**CONFIG, "detectors": [], "journal": {"path": str(told.journal)}}))
    said = json.loads(told.explain("-c", told.config, "--json", "--tape", told.tape).stdout)
    assert said["replay"].startswith("the recording does not give this signal")


def test_what_cannot_be_explained_says_why(told: Told, tmp_path: Path) -> None:
    for args, code, why in (
        (["0" * 16, "-c", told.config], 1, "no signal 0000000000000000 in the journal"),
        (["0" * 16, "-c", told.config, "--tape", told.tape], 1, "in the journal and none on the recording"),
        ([told.id, "--journal", tmp_path / "none"], 1, "no such journal"),
        ([told.id, "--journal", told.config], 1, "not a SQLite file"),
        ([told.id, "--tape", tmp_path / "none", "-c", told.config], 1, "No such file"),
        ([told.id, told.tape], 2, "recordings come after --tape"),
    ):
        result = CliRunner().invoke(cli, ["explain", *map(str, args)])
        assert (result.exit_code, result.stdout) == (code, ""), result.output
        assert why in result.stderr


def test_one_whose_explanation_was_not_kept_and_that_is_still_open() -> None:
    journal = Journal.open(None)
    script = Script().up().calm(2).lean("9", "1")
    pipeline = Pipeline(configured(LEAN))
    for _, _, made in with_timers(script.frames, pipeline, own=False):
        journal.append([one for one in made if type(one) is Signal])
    about = journal.about(journal.read(1)[0].id)
    assert about is not None
    said = explanation.text(explanation.as_data(about))
    assert "no explanation was kept" in said
    assert "closed     not yet" in said
    assert "not graded" in said
