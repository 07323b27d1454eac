"""What is wrong with a configuration: every fault, and the line where its key stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from imbalanced.options import Fault


class ConfigError(ValueError):
    """The configuration cannot be used; ``faults`` holds every reason found, ``lines`` where their keys stand."""

    def __init__(self, faults: Sequence[Fault], lines: Mapping[str, int] | None = None) -> None:
        self.lines = {fault.path: line for fault in faults if (line := nearest_above(fault.path, lines or {}))}
        self.faults = tuple(sorted(faults, key=lambda fault: self.lines.get(fault.path, 0)))
        super().__init__("\n".join(map(self._line, self.faults)))

    def _line(self, fault: Fault) -> str:
        line = self.lines.get(fault.path)
        return f"{fault} (line {line})" if line else str(fault)


def nearest_above(path: str, known: Mapping[str, Any]) -> Any:
    """What is known of ``path`` or of the nearest place that it is in; None for nothing."""
    while path and path not in known:
        path = path[: max(path.rfind("."), path.rfind("["), 0)]
    return known.get(path)
