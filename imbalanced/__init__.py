"""Order book imbalance, live: proven books, metrics on every delta and trade, signals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from imbalanced.pipeline import Pipeline

__version__ = "0.1.0"
__all__ = ["Pipeline", "__version__"]


def __getattr__(name: str) -> Any:
    # The pipeline pulls in every venue and metric; `imbalanced --help` must not wait for that.
    if name == "Pipeline":
        from imbalanced.pipeline import Pipeline  # noqa: PLC0415 - on demand

        return Pipeline
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
