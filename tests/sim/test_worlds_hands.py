"""The hands of a world keep the connector's promises: rates, backoff, obedience, clocks, closing for good."""

from __future__ import annotations

import random
from typing import Any

import pytest

from imbalanced.events import Frame
from imbalanced.sim import SIMS
from imbalanced.sim.worlds.exchange import Answered, Exchange
from imbalanced.sim.worlds.hands import HANDSHAKE_NS, OPTIONS, Alarm, Hands
from imbalanced.sim.worlds.stage import S, Stage
from imbalanced.venues.codec import Close, Fetch, Limits, Open, Reconnect, Send, Wake

VENUE = "bybit"
URL = "wss://stream/v5/public/linear"


class Bench:
    """One venue's hands, and what they fed."""

    def __init__(self, **limits: Any) -> None:
        self.stage = Stage(random.Random(1))
        self.exchange = Exchange(self.stage, SIMS[VENUE], ["BTC/USDT"], 9, 1000 * S)
        self.frames: list[tuple[int, Frame]] = []
        self.opened: list[int] = []
        self.hands = Hands(self.exchange, Limits(**limits), self._fed, self.opened.append)

    def _fed(self, frame: Frame, _: object) -> None:
        self.frames.append((self.stage.now_ns, frame))

    def do(self, *commands: Any) -> None:
        for command in commands:
            self.hands.execute(command)

    def run(self, seconds: float) -> list[str]:
        """So long; what was fed meanwhile, in words."""
        self.frames.clear()
        over: list[bool] = []
        self.stage.after(int(seconds * S), over.append, True)
        while not over:
            self.stage.turn()
        return [f"{frame.kind} {frame.conn}" for _, frame in self.frames]

    def up(self) -> Bench:
        self.do(Open(venue=VENUE, conn=1, url=URL))
        assert self.run(1) == ["open 1"]
        return self

    def answers(self, *answers: Answered) -> None:
        left = list(answers)
        self.exchange.answer = lambda url, method: left.pop(0)  # type: ignore[method-assign]


def fetch(number: int = 1, weight: int = 1) -> Fetch:
    return Fetch(venue=VENUE, url=f"https://rest/{number}", weight=weight)


def test_a_socket_is_opened_and_opened_again_after_every_close() -> None:
    bench = Bench().up()
    (socket,) = bench.exchange.sockets
    socket.cut(1006, "connection_lost")
    assert bench.run(OPTIONS.backoff_first_s + 1) == ["close 1", "open 1"]
    assert bench.frames[0][1].data == b"connection_lost 1006"
    assert bench.opened == [1, 1]


def test_a_venue_that_is_down_is_asked_ever_more_rarely() -> None:
    bench = Bench()
    bench.exchange.down = True
    attempts: list[float] = []
    act = bench.hands.connects.act

    def attempt(now: float) -> None:
        attempts.append(now)
        act(now)

    bench.hands.connects.act = attempt  # type: ignore[method-assign]
    bench.do(Open(venue=VENUE, conn=1, url=URL))
    assert bench.run(300) == []
    assert len([at for at in attempts if at < 60]) <= 20
    assert 10 <= len(attempts) <= 60
    bench.exchange.down = False
    assert "open 1" in bench.run(31)


def test_a_planned_reconnect_is_at_once() -> None:
    bench = Bench().up()
    bench.do(Reconnect(venue=VENUE, conn=1, url=URL, reason="planned", planned=True))
    assert bench.run(0.2 + HANDSHAKE_NS / S) == ["close 1", "open 1"]


def test_closed_for_good_is_for_good() -> None:
    bench = Bench().up()
    bench.do(Close(venue=VENUE, conn=1, reason="rotated"))
    assert bench.run(100) == ["close 1"]
    bench.do(Open(venue=VENUE, conn=2, url=URL), Close(venue=VENUE, conn=2, reason="rotated"))
    assert bench.run(100) == [], "an attempt that was under way is given up"


def test_messages_keep_to_the_rate() -> None:
    bench = Bench(messages_per_s=4.0).up()
    heard: list[int] = []
    bench.exchange.heard = lambda times_ns: heard.append(bench.stage.now_ns)  # type: ignore[method-assign]
    bench.do(*(Send(venue=VENUE, conn=1, data='{"op":"ping"}') for _ in range(12)))
    bench.run(10)
    assert len(heard) == 12
    assert max(sum(1 for at in heard if begin <= at < begin + S) for begin in heard) <= 4


def test_nothing_is_heard_of_a_socket_after_it_was_closed_here() -> None:
    bench = Bench().up()
    (socket,) = bench.exchange.sockets
    socket.push("late")
    bench.do(Reconnect(venue=VENUE, conn=1, url=URL, reason="x"))
    assert bench.run(0.2)[:1] == ["close 1"]


def test_one_call_for_one_address_at_a_time() -> None:
    bench = Bench()
    bench.answers(Answered(200, b"a"), Answered(200, b"b"))
    bench.do(fetch(), fetch())
    assert bench.run(1) == ["http 0"]
    bench.do(fetch())
    assert bench.run(1) == ["http 0"]


def test_no_answer_is_a_timeout() -> None:
    bench = Bench()
    bench.answers(Answered(200, b"", after_ns=60 * S))
    bench.do(fetch())
    assert bench.run(9.9) == []
    assert bench.run(0.2) == ["http 0"]
    assert (bench.frames[0][1].status, bench.frames[0][1].data) == (0, b"timeout: no answer within 10 s")


@pytest.mark.parametrize(("status", "retry_after_s", "waits_s"), [(429, 8.0, 8), (418, 0.0, 60)])
def test_a_venue_that_says_stop_is_obeyed(status: int, retry_after_s: float, waits_s: int) -> None:
    bench = Bench()
    asked: list[int] = []

    def answer(url: str, method: str) -> Answered:
        asked.append(bench.stage.now_ns)
        return Answered(status if len(asked) == 1 else 200, b"", retry_after_s)

    bench.exchange.answer = answer  # type: ignore[method-assign]
    bench.do(fetch(1))
    bench.run(1)
    bench.do(fetch(2))
    told = bench.run(29)
    if waits_s > OPTIONS.rest.wait_s:
        assert told == ["http 0"]
        assert b"not sent: the venue asked to wait" in bench.frames[0][1].data
    else:
        assert asked[1] - asked[0] >= waits_s * S


def test_calls_wait_for_their_budget() -> None:
    bench = Bench(weight_per_min=10)
    asked: list[int] = []

    def answer(url: str, method: str) -> Answered:
        asked.append(bench.stage.now_ns)
        return Answered(200, b"")

    bench.exchange.answer = answer  # type: ignore[method-assign]
    bench.do(fetch(1, 6))
    bench.run(40)
    bench.do(fetch(2, 6))
    bench.run(30)
    assert asked[1] - asked[0] >= 60 * S


def test_the_timer_rings_when_the_wall_says_so() -> None:
    bench = Bench()
    bench.do(Wake(venue=VENUE, at_ns=bench.hands.clock_ns() + 10 * S))
    bench.stage.clock_off_ns += 60 * S
    assert bench.run(10.5) == ["wake 0"], "it looks again when it goes off"
    assert bench.frames[0][1].recv_ns == bench.hands.clock_ns() - S // 2


def test_receive_times_never_run_backwards() -> None:
    bench = Bench().up()
    before = bench.hands.clock_ns()
    bench.stage.clock_off_ns -= 30 * S
    bench.run(10)
    assert bench.hands.clock_ns() == before
    bench.run(31)
    assert bench.hands.clock_ns() > before


def test_a_later_alarm_replaces_an_earlier_one_and_an_earlier_one_goes_first() -> None:
    stage = Stage(random.Random(1))
    rung: list[int] = []
    alarm = Alarm(stage, stage.wall_ns, 60 * S, rung.append)
    begin = stage.wall_ns()
    alarm.set(begin + 10 * S)
    alarm.set(begin + 5 * S)
    alarm.set(begin + 20 * S)
    over: list[bool] = []
    stage.after(19 * S, over.append, True)
    while not over:
        stage.turn()
    assert rung == []
    while not rung:
        stage.turn()
    assert rung == [begin + 20 * S]
