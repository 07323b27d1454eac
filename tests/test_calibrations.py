"""The folder of calibrations: what is written is read again, and what is wrong with it is said."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from imbalanced import calibrations
from imbalanced.config import Calibrations
from imbalanced.detect.confidence import Calibration, CalibrationError, Owner, Track

if TYPE_CHECKING:
    from pathlib import Path

S = 1_000_000_000


def learned(outcomes: int) -> Calibration:
    track = Track()
    for i in range(outcomes):
        track.outcome(Owner("sweep", "v", "A/B"), 0.6, opened_ns=i * S, known_ns=(i + 1) * S, net=1e-4)
    return track.frozen()


def chosen(folder: Path, start: str = "latest") -> Calibrations:
    return Calibrations(dir=str(folder), start=start)


def test_the_next_run_begins_where_the_last_one_ended(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    assert calibrations.load(chosen(folder)) is None, "the first run of all"
    first, second = learned(3), learned(5)
    assert calibrations.save(str(folder), first) == first.digest()
    assert calibrations.load(chosen(folder)) == first
    calibrations.save(str(folder), second)
    assert calibrations.load(chosen(folder)) == second
    assert calibrations.load(chosen(folder, first.digest())) == first, "older ones stay"
    assert calibrations.load(chosen(folder), first.digest()) == first, "as a recording names it"
    assert calibrations.load(chosen(folder, "none")) is None
    assert calibrations.load(Calibrations()) is None
    assert not list(folder.glob("*.part"))


def test_a_recording_that_names_one_needs_the_folder() -> None:
    with pytest.raises(CalibrationError, match="began from calibration 0123456789abcdef"):
        calibrations.load(Calibrations(), "0123456789abcdef")


def test_a_calibration_that_was_changed_or_is_gone_is_refused(tmp_path: Path) -> None:
    name = calibrations.save(str(tmp_path), learned(3))
    path = tmp_path / f"{name}.json"
    path.write_bytes(learned(4).text())
    with pytest.raises(CalibrationError, match="nobody has changed"):
        calibrations.load(chosen(tmp_path))
    path.write_text("{")
    with pytest.raises(CalibrationError, match="expected a calibration"):
        calibrations.load(chosen(tmp_path))
    path.unlink()
    with pytest.raises(CalibrationError, match="No such file"):
        calibrations.load(chosen(tmp_path))


def test_what_can_be_chosen_is_checked() -> None:
    for start in ("newest", "0123", "../../etc/passwd"):
        with pytest.raises(ValueError, match="latest, none or 16 hex digits"):
            Calibrations(dir="x", start=start)
    with pytest.raises(ValueError, match="dir"):
        Calibrations(start="0123456789abcdef")
