"""The folder of calibrations: where the confidence of a run began, and where it ended.

Each is a file ``<name>.json``, named by what is in it and never changed or deleted, since signals name it in
``config``; the file ``latest`` holds the name of the newest. An orderly stop writes one, the next run begins from it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from imbalanced.detect.confidence import Calibration, CalibrationError, read

if TYPE_CHECKING:
    from imbalanced.config import Calibrations

LATEST = "latest"


def load(chosen: Calibrations, name: str | None = None) -> Calibration | None:
    """The calibration to begin from (``name``: this one, whatever is configured), None for none.

    Raises CalibrationError for a file that is not there, cannot be read, or is not what its name says.
    """
    wanted = chosen.start if name is None else name
    if wanted == "none" or (chosen.dir is None and name is None):
        return None
    if chosen.dir is None:
        raise CalibrationError(
            f"the recorded run began from calibration {wanted}; expected `grading: {{calibration: {{dir: ...}}}}` of it"
        )
    folder = Path(chosen.dir)
    if wanted == LATEST:
        pointer = folder / LATEST
        if not pointer.exists():
            return None  # the first run of all
        wanted = pointer.read_text(encoding="ascii", errors="replace").strip()
    path = folder / f"{wanted}.json"
    try:
        text = path.read_bytes()
    except OSError as error:
        raise CalibrationError(f"{path}: {error.strerror or error}; expected the calibration of that name") from error
    try:
        found = read(text)
    except CalibrationError as error:
        raise CalibrationError(f"{path}: {error}") from error
    if found.digest() != wanted:
        raise CalibrationError(f"{path}: its content is {found.digest()}; expected a file that nobody has changed")
    return found


def save(folder: str, calibration: Calibration) -> str:
    """Write it and make it the latest; its name. Complete or not at all."""
    name = calibration.digest()
    Path(folder).mkdir(parents=True, exist_ok=True)
    _whole(Path(folder) / f"{name}.json", calibration.text())
    _whole(Path(folder) / LATEST, name.encode())
    return name


def _whole(path: Path, data: bytes) -> None:
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
