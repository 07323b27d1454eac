"""One socket: what befalls a message is what the venue's own protocol can show, at once or by a later checksum."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from imbalanced.sim import SIMS
from imbalanced.sim.worlds.exchange import Exchange, Proof
from imbalanced.sim.worlds.network import HARMLESS, Ruling, Socket, Told
from imbalanced.sim.worlds.stage import S, Stage

if TYPE_CHECKING:
    from imbalanced.sim.worlds.books import TrueBook

FLAGS = '{"event":"conf","flags":229376}'
LEVEL, SUM = "[10007,[61800,2,0.5],2,1700000000000]", '[10007,"cs",-12345,3,1700000000000]'


class Line:
    """A socket of a venue, and what came out of it at the client's end."""

    def __init__(self, venue: str, proof: Proof, path: str) -> None:
        self.stage = Stage(random.Random(1))
        self.exchange = Exchange(self.stage, SIMS[venue], ["BTC/USD"], 8, 10_000 * S, proof=proof)
        (self.book,) = self.exchange.books.values()
        self.heard: list[tuple[str, Any]] = []
        desk = SIMS[venue].connect(path, {}, self.exchange._floor)
        assert desk is not None
        self.socket = Socket(self.exchange, self, desk)  # type: ignore[arg-type]
        self.exchange.sockets.append(self.socket)

    def message(self, data: bytes, told: Any) -> None:
        self.heard.append((data.decode(errors="replace"), told))

    def after(self, **rates: float) -> None:
        self.stage.weather.turn(rates)

    def wait(self) -> list[tuple[str, Any]]:
        self.heard = []
        over: list[bool] = []
        self.stage.after(5 * S, over.append, True)
        while not over:
            self.stage.turn()
        return self.heard

    def told(self, **more: Any) -> Told:
        return Told(self.book.symbol, self.book.written, **more)

    def moved(self) -> TrueBook:
        while not self.book.changed:
            self.book.move()
        return self.book


def bitfinex(*, by_order: bool = False) -> Line:
    return Line("bitfinex", Proof(apart=True, by_order=by_order), "/ws/2")


def test_where_nothing_proves_a_book_its_messages_are_only_late() -> None:
    line = Line("coinbase", Proof(none=True), "/")
    for kind in ("drop", "duplicate", "reorder", "garbage", "wrong_time", *HARMLESS):
        line.after(**{kind: 1.0})
        line.socket.push("x" * 20, line.told())
        assert line.wait() == [("x" * 20, line.told())], kind
    line.after(drop=1.0)
    line.socket.push("a match")
    assert line.wait() == [], "what has ids of its own is fair game"


def test_a_word_on_who_trades_is_never_lost() -> None:
    line = Line("kraken", Proof(), "/v2")
    line.after(drop=1.0)
    line.socket.push("halted", Ruling(line.book.symbol, "halted"))
    line.socket.push('{"channel":"instrument","type":"snapshot"}')
    assert len(line.wait()) == 2, "who is not told of its end would be silent for good"
    line.socket.push("refused", Ruling(line.book.symbol, "refused"))
    assert line.wait() == []


def test_a_refusal_that_cannot_be_read_rules_nothing() -> None:
    line = Line("kraken", Proof(), "/v2")
    line.after(garbage=1.0)
    line.socket.push('{"error":"x"}', Ruling(line.book.symbol, "refused"))
    ((_, told),) = line.wait()
    assert told is None


def test_a_wrong_digit_is_in_doubt_until_the_next_checksum() -> None:
    line = bitfinex()
    line.after(wrong_digit=1.0)
    line.socket.push(LEVEL, line.told(is_last=False))
    line.after()
    line.socket.push(LEVEL, line.told(is_last=False))
    line.socket.push(SUM, line.told())
    line.socket.push(LEVEL, line.told(is_last=False))
    (wrong, first), (_, second), (_, summed), (_, after) = line.wait()
    assert (wrong[:7], len(wrong)) == (LEVEL[:7], len(LEVEL))
    assert sum(one != other for one, other in zip(wrong, LEVEL, strict=True)) == 1
    assert [one.in_doubt for one in (first, second, summed, after)] == [True, True, False, False]


def test_a_checksum_is_not_changed_where_it_would_show_nothing_else() -> None:
    line = bitfinex()
    line.after(wrong_digit=1.0)
    line.socket.push(SUM, line.told())
    assert line.wait() == [(SUM, line.told())]


def test_the_checksum_of_orders_does_not_cover_their_prices() -> None:
    line = bitfinex(by_order=True)
    line.after(wrong_digit=1.0)
    order = "[10007,[64000000001,61800,0.5],2,1700000000000]"
    for _ in range(50):
        line.socket.push(order, line.told(is_last=False))
    assert {data.split(",", 2)[2] for data, _ in line.wait()} == {order.split(",", 2)[2]}


@pytest.mark.parametrize("apart", [True, False])
def test_an_old_image_is_right_and_what_follows_is_in_doubt(apart: bool) -> None:
    line = Line("bitfinex", Proof(apart=apart), "/ws/2")
    line.socket.push("image", line.told(is_old=True))
    line.socket.push(LEVEL, line.told(is_last=False))
    assert [told.in_doubt for _, told in line.wait()] == [False, apart]


def test_what_was_silent_is_in_doubt_when_it_speaks() -> None:
    line = bitfinex()
    line.socket.silent.add("")
    line.socket.speak("")
    assert line.socket.serves(line.book.symbol)
    line.socket.push(LEVEL, line.told(is_last=False))
    ((_, told),) = line.wait()
    assert told.in_doubt


@pytest.mark.parametrize(("prec", "by_order"), [("P0", False), ("R0", True)])
def test_a_message_of_several_frames_has_a_truth_as_of_each(prec: str, by_order: bool) -> None:
    line = bitfinex(by_order=by_order)
    ask = f'{{"event":"subscribe","channel":"book","symbol":"{line.book.symbol}","prec":"{prec}","len":"250"}}'
    for text in (FLAGS, ask):
        line.socket.send(text)
    (_, (image, first)) = line.wait()[-2:]
    assert image.startswith("[10007,[[")
    assert first.version in line.book.as_of
    for _ in range(20):
        line.moved().move()
        line.exchange.tell(line.book)
        *levels, (data, last) = line.wait()
        assert '"cs"' in data
        assert last.is_last
        assert not any(told.is_last for _, told in levels)
        assert [told.version for _, told in levels] == sorted({told.version for _, told in levels}, reverse=True)
        assert line.book.as_of[last.version] == line.book.as_of[line.book.written]
