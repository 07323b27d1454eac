"""Agreement with the slow context."""

from __future__ import annotations

import pytest
from moments import Scene

from imbalanced.detect.filters.sentiment import Sentiment, SentimentOptions


def funding(scene: Scene, seconds: float, rate: str) -> None:
    event = {"type": "funding", "rate": rate, "interval_h": "8", "mark": "100", "index": "100"}
    scene.at(seconds).desk.context(event, 0, scene.now_ns)


def interest(scene: Scene, seconds: float, oi: str, price: str) -> None:
    scene.at(seconds).desk.context({"type": "oi", "oi": oi, "price": price}, 0, scene.now_ns)


def ratio(scene: Scene, seconds: float, long: str, short: str) -> None:
    scene.at(seconds).desk.context({"type": "ratio", "long": long, "short": short}, 0, scene.now_ns)


def sentiment(**options: object) -> tuple[Scene, Sentiment]:
    scene = Scene(filters={"sentiment": "off"})
    scene.chain.kit.metrics.clear()
    one = Sentiment(SentimentOptions(**options), scene.chain.kit)  # type: ignore[arg-type]
    return scene, one


def driven(scene: Scene) -> Sentiment:
    found = scene.chain.filters["sentiment"]
    assert isinstance(found, Sentiment)
    return found


def test_without_context_nothing_is_known() -> None:
    scene, one = sentiment()
    said = one.check(scene.of_book, scene.now())
    assert (said.verdict, said.quality, said.numbers) == ("unknown", 1.0, {"q_sentiment": None})


@pytest.mark.parametrize(("price", "side", "quality"), [("101", 1, 1.0), ("99", 1, 0.5), ("99", -1, 1.0)])
def test_new_positions_speak_for_their_side(price: str, side: int, quality: float) -> None:
    scene = Scene(side=side)
    one = driven(scene)
    interest(scene, 0, "1000", "100")
    assert one.check(scene.of_book, scene.now()).verdict == "unknown"
    interest(scene, 300, "1100", price)
    said = one.check(scene.of_book, scene.now())
    assert (said.verdict, said.quality) == ("pass", quality)
    assert said.numbers == {"q_sentiment": quality}


def test_funding_speaks_against_the_crowd_where_it_is_extreme() -> None:
    scene = Scene()
    one = driven(scene)
    for i in range(40):
        funding(scene, 600 * i, "0.0001" if i % 2 else "-0.0001")
        one.observe(scene.now())
        assert one.check(scene.of_book, scene.now()).verdict == ("unknown" if i < 29 else "pass")
    assert one.check(scene.of_book, scene.now()).quality == 0.75, "it is as usual and says nothing"
    funding(scene, 24_000, "0.001")
    assert one.check(scene.of_book, scene.now()).quality == 0.5, "longs pay too much: against a buy"
    funding(scene, 24_001, "-0.001")
    assert one.check(scene.of_book, scene.now()).quality == 1.0


def test_the_samples_are_ten_minutes_apart() -> None:
    scene = Scene()
    one = driven(scene)
    for i in range(1_000):
        funding(scene, i, "0.0001")
        one.observe(scene.now())
    assert one.check(scene.of_book, scene.now()).verdict == "unknown"


def test_a_crowd_of_longs_is_against_a_buy() -> None:
    scene = Scene()
    one = driven(scene)
    for i in range(35):
        ratio(scene, 600 * i, "100", "99" if i % 2 else "101")
        one.observe(scene.now())
    ratio(scene, 30_000, "300", "100")
    assert one.check(scene.of_book, scene.now()).told == "long_short -1"


def test_weights_and_the_demand_to_agree() -> None:
    scene, one = sentiment(require="agree", funding=3, min_count=2)
    scene.desk.book_invalid(scene.now_ns)
    one._oi.event({"type": "oi", "oi": "1000", "price": "100"}, 0)
    one._oi.answered = one._oi.event({"type": "oi", "oi": "1100", "price": "101"}, 300_000_000_000)
    assert one.check(scene.of_book, scene.now()).verdict == "pass"
    for i, rate in enumerate(("0.0001", "0.0002", "0.002")):
        told = {"type": "funding", "rate": rate, "interval_h": "8", "mark": None, "index": None}
        one._funding.answered = one._funding.event(told, i)
        if i < 2:
            one.observe(scene.at(600 * i).now())
    said = one.check(scene.of_book, scene.now())
    assert (said.verdict, said.quality) == ("fail", pytest.approx(0.75 - 0.25 * 2 / 4))
    lenient = sentiment(funding=3)[1]
    assert lenient.check(scene.of_book, scene.now()).verdict == "unknown"


def test_kinds_without_a_side_are_not_asked() -> None:
    scene = Scene({"kind": "spread_shock"})
    assert driven(scene).check(scene.of_book, scene.now()).told == "not of this kind"
