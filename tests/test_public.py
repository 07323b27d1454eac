"""What others may import. A change here is a change for them: it belongs in the changelog."""

from __future__ import annotations

import inspect

import pytest

import imbalanced
from imbalanced import metrics


def test_the_names_of_the_package() -> None:
    assert imbalanced.__all__ == ["Pipeline", "__version__"]
    for name in imbalanced.__all__:
        assert getattr(imbalanced, name) is not None


def test_no_other_name_is_made_up() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Pipe'"):
        _ = imbalanced.Pipe


def test_a_metric_can_be_evaluated_without_a_daemon() -> None:
    assert list(inspect.signature(metrics.evaluate).parameters) == ["name", "params", "events"]
    answers = metrics.evaluate(
        "queue_imbalance", {}, [{"type": "book_snapshot", "ts_ms": 0, "bids": [["1", "3"]], "asks": [["2", "1"]]}]
    )
    assert answers == [0.5]
    with pytest.raises(ValueError, match="did you mean 'queue_imbalance'"):
        metrics.evaluate("queue_imbalanc", {}, [])


def test_the_pipeline_takes_frames_and_gives_outputs_and_commands() -> None:
    pipeline = imbalanced.Pipeline
    assert list(inspect.signature(pipeline.feed).parameters) == ["self", "frame"]
    assert list(inspect.signature(pipeline.commands).parameters) == ["self"]
    config, discover, calibration = list(inspect.signature(pipeline).parameters.values())
    assert (calibration.kind, calibration.default) == (inspect.Parameter.KEYWORD_ONLY, None)
    assert (config.name, discover.name, discover.kind) == ("config", "discover", inspect.Parameter.KEYWORD_ONLY)
