"""The public message: strength, prices as text, ids and evidence."""

from __future__ import annotations

from math import inf, isfinite

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted import LEAN
from test_desk import T, book, desk_of

from imbalanced.detect.signals import build, decimal_text, evidence, mid_text, signal_id, strength
from imbalanced.events import Frame, Proof
from imbalanced.jsontext import signal_from_json, signal_json
from imbalanced.metrics.lifecycle import CLOSE, OPEN

FRAME = Frame(T + 5, "binance", 1, "ws", b"seen")
PROOF = Proof(book_seq=1, book_age_ms=2, checks=["sequence"], gaps_1h=0)
IDENTITY = {"venue": "binance", "instrument": "AAA/USDT", "config": "c"}


@pytest.mark.parametrize(
    ("px", "scale", "text"),
    [(150, 2, "1.5"), (100, 2, "1"), (1, 8, "0.00000001"), (7, 0, "7"), (10**18, 8, "10000000000"), (100, 0, "100")],
)
def test_prices_are_plain_text_without_trailing_zeros(px: int, scale: int, text: str) -> None:
    assert decimal_text(px, scale) == text


def test_the_mid_is_exact_and_only_of_a_sound_book() -> None:
    made = book()
    assert mid_text(made, 8) == "100"
    made.bids.put(9_990_000_001, 1.0)
    assert mid_text(made, 8) == "100.000000005"
    made.bids.put(10_020_000_000, 1.0)
    assert mid_text(made, 8) is None, "crossed"
    made.bids.clear()
    assert mid_text(made, 8) is None, "one-sided"
    assert mid_text(book(live=False), 8) is None, "not proven"


@pytest.mark.parametrize(
    ("x", "expected"),
    [(1, 0.0), (2, 0.25), (3, 0.5), (-3, 0.5), (4.5, 0.75), (6, 1.0), (99, 1.0), (0.5, 0.0), (inf, 1.0)],
)
def test_strength_is_half_at_the_threshold(x: float, expected: float) -> None:
    assert strength(x, 3, 1, 6) == expected


def test_strength_of_thresholds_that_coincide() -> None:
    assert strength(2, 3, 3, 3) == 0.0
    assert strength(3, 3, 3, 3) == 1.0


@given(x=st.floats(-100, 100), y=st.floats(-100, 100))
def test_strength_grows_with_the_score(x: float, y: float) -> None:
    low, high = sorted([abs(x), abs(y)])
    assert 0 <= strength(low, 3, 1, 6) <= strength(high, 3, 1, 6) <= 1


def opened() -> tuple[object, ...]:
    desk, _ = desk_of(detectors=({**LEAN, "min_duration": "0ms"},))
    made = book(9.0, 1.0)
    desk.book_replaced(made, T, T)
    (detector,) = desk.detectors
    return desk, detector, made


def test_ids_depend_on_everything_that_was_seen_and_on_nothing_else() -> None:
    _, detector, _ = opened()
    one = signal_id("v", "i", detector, FRAME)  # type: ignore[arg-type]
    assert one == signal_id("v", "i", detector, FRAME)  # type: ignore[arg-type]
    others = [
        signal_id("w", "i", detector, FRAME),  # type: ignore[arg-type]
        signal_id("v", "j", detector, FRAME),  # type: ignore[arg-type]
        signal_id("v", "i", detector, Frame(T + 6, "binance", 1, "ws", b"seen")),  # type: ignore[arg-type]
        signal_id("v", "i", detector, Frame(T + 5, "binance", 1, "ws", b"Seen")),  # type: ignore[arg-type]
        signal_id("vi", "", detector, FRAME),  # type: ignore[arg-type]
    ]
    assert len({one, *others}) == 6


def test_an_open_and_its_close_as_messages() -> None:
    desk, detector, made = opened()
    detector.signal_id, detector.opened_recv_ns = "abc", T  # type: ignore[attr-defined]
    told = build(detector, OPEN, frame=FRAME, ts_ns=T, mid="100", proof=PROOF, identity=IDENTITY)  # type: ignore[arg-type]
    assert (told.event, told.side, told.reason, told.id, told.confidence) == ("open", "buy", None, "abc", None)
    assert told.evidence["on"] == 0.5
    assert told.evidence["off"] == 0.2
    assert told.evidence["peak"] == told.score == pytest.approx(0.8, abs=0.01)
    assert "duration_ms" not in told.evidence
    made.live = False  # type: ignore[attr-defined]
    desk.book_invalid(T + 5)  # type: ignore[attr-defined]
    closed = build(detector, CLOSE, frame=FRAME, ts_ns=T, mid=None, proof=PROOF, identity=IDENTITY)  # type: ignore[arg-type]
    assert (closed.event, closed.reason, closed.evidence["duration_ms"]) == ("close", "book_invalid", 5e-06)
    assert closed.evidence["band_imbalance"] is None, "unknown is null, never NaN"
    assert signal_from_json(signal_json(closed)) == closed


def test_evidence_is_numbers_or_null() -> None:
    _, detector, _ = opened()
    assert all(x is None or (isinstance(x, float) and isfinite(x)) for x in evidence(detector).values())  # type: ignore[arg-type]
