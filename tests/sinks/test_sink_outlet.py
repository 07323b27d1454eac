"""The outlet over a sink that does what a test tells it: cursor, batches, retries, counters, orderly end."""

from __future__ import annotations

import asyncio

import pytest
from msgspec import structs
from sink_helpers import DEADLINE_S, FAST, closed, running, signal, snapshot
from structlog.testing import capture_logs

from imbalanced.events import LinkUp
from imbalanced.journal import Journal
from imbalanced.sinks import SINKS, AddressInUse, Batch, Hub, Outlet, SinkMisconfigured, SinkUnavailable


class Target:
    """Keeps what it is given; raises what stands in ``faults``, one a call."""

    name = "target"
    takes_state = True

    def __init__(self) -> None:
        self.held: list[int] = []
        self.batches: list[Batch] = []
        self.faults: list[Exception] = []
        self.heartbeat = asyncio.Event()
        self.asked = asyncio.Event()
        self.resume = asyncio.Event()
        self.resume.set()
        self.opened = 0
        self.closed = 0
        self.claims: int | None = None

    async def open(self) -> int:
        self.opened += 1
        self._maybe_fail()
        return self.claims if self.claims is not None else len(self.held) + 1

    async def write(self, batch: Batch) -> None:
        self.asked.set()
        await self.resume.wait()
        self._maybe_fail()
        if batch == Batch():
            self.heartbeat.set()
        else:
            self.batches.append(batch)
            self.held += [entry.seq for entry in batch.entries]

    async def close(self) -> None:
        self.closed += 1

    def _maybe_fail(self) -> None:
        if self.faults:
            raise self.faults.pop(0)


@pytest.fixture
def target() -> Target:
    return Target()


async def test_everything_arrives_in_order(journal: Journal, hub: Hub, target: Target) -> None:
    journal.append([signal(n) for n in range(5)])  # before the outlet lives
    async with running(target, journal, hub) as daemon:
        for number in range(5, 10):
            daemon.append(signal(number))
        await daemon.caught_up()
        assert target.held == list(range(1, 11))
        assert (daemon.outlet.lag, daemon.outlet.written, daemon.outlet.errors) == (0, 10, 0)


async def test_batches_are_bounded_by_count_and_bytes(journal: Journal, hub: Hub, target: Target) -> None:
    journal.append([signal(n) for n in range(10)])
    async with running(target, journal, hub, structs.replace(FAST, batch_count=4)):
        assert [len(b.entries) for b in target.batches] == [4, 4, 2]
    small = Target()
    size = len(journal.read(1, 1)[0].text)
    async with running(small, journal, hub, structs.replace(FAST, batch_bytes=3 * size)):
        assert max(len(b.entries) for b in small.batches) == 3
    tiny = Target()
    async with running(tiny, journal, hub, structs.replace(FAST, batch_bytes=1)):
        assert [len(b.entries) for b in tiny.batches] == [1] * 10


async def test_conditions_are_waited_out_and_nothing_is_lost(journal: Journal, hub: Hub, target: Target) -> None:
    target.faults = [SinkUnavailable("connection", "away")] * 3
    async with running(target, journal, hub) as daemon:
        target.faults = [SinkUnavailable("loading", "wait")] * 2
        daemon.append(signal(1), signal(2))
        await daemon.caught_up()
        assert target.held == [1, 2]
        assert (daemon.outlet.errors, daemon.outlet.connected) == (5, True)
        assert daemon.outlet.last_error == "loading: wait"
        assert daemon.outlet.status()["lag"] == 0


async def test_repeated_failures_are_logged_at_1_2_4(journal: Journal, hub: Hub, target: Target) -> None:
    target.faults = [SinkUnavailable("connection", "away")] * 7
    with capture_logs() as logs:
        async with running(target, journal, hub):
            pass
    assert [line["failures"] for line in logs if line["event"] == "sink_unavailable"] == [1, 2, 4]


async def test_a_fault_of_the_sink_is_logged_and_survived(journal: Journal, hub: Hub, target: Target) -> None:
    with capture_logs() as logs:
        async with running(target, journal, hub) as daemon:
            target.faults = [ZeroDivisionError("ours")]
            daemon.append(signal(1))
            await daemon.caught_up()
    assert target.held == [1]
    [crash] = [line for line in logs if line["event"] == "sink_crashed"]
    assert crash["exc_info"]


@pytest.mark.parametrize("fault", [SinkMisconfigured("bad url"), AddressInUse("stream: 127.0.0.1:1 in use")])
async def test_what_a_person_must_mend_ends_it(journal: Journal, hub: Hub, target: Target, fault: Exception) -> None:
    target.faults = [fault]
    outlet = Outlet(target, journal, hub, FAST)
    with pytest.raises(type(fault)):
        await outlet.run()
    assert (target.closed, outlet.connected) == (1, False)


async def test_idle_is_a_reason_to_look(journal: Journal, hub: Hub, target: Target) -> None:
    async with running(target, journal, hub), asyncio.timeout(DEADLINE_S):
        await target.heartbeat.wait()


async def test_snapshots_are_conflated_while_the_target_is_busy(journal: Journal, hub: Hub, target: Target) -> None:
    async with running(target, journal, hub) as daemon:
        target.resume.clear()
        daemon.append(signal(1))
        for number in range(50):
            hub.publish(snapshot(values={"ofi": float(number)}))
        hub.publish(LinkUp(venue="okx", conn=1, recv_ns=1))
        target.resume.set()
        async with asyncio.timeout(DEADLINE_S):
            while not any(batch.statuses for batch in target.batches):
                target.heartbeat.clear()
                await target.heartbeat.wait()
        states = [state for batch in target.batches for state in batch.states]
        assert states[-1].snapshot.values == {"ofi": 49.0}
        assert sum(state.conflated for state in states) == 50
        assert daemon.outlet.conflated == 50 - len(states)


async def test_a_target_that_lost_everything_gets_the_states_again(journal: Journal, hub: Hub, target: Target) -> None:
    hub.publish(snapshot())
    async with running(target, journal, hub) as daemon:
        target.held = []
        target.faults = [SinkUnavailable("connection", "away")]
        daemon.append(signal(1))
        await daemon.caught_up()
        assert [len(b.states) for b in target.batches if b.states] == [1, 1]


async def test_a_target_ahead_of_the_journal_loses_nothing_new(journal: Journal, hub: Hub, target: Target) -> None:
    target.claims = 100
    with capture_logs() as logs:
        async with running(target, journal, hub) as daemon:
            daemon.append(signal(1))
            await daemon.caught_up()
    assert target.held == [1]
    assert any(line["event"] == "sink_ahead_of_journal" for line in logs)


async def test_what_was_pruned_unseen_is_told_and_stepped_over(hub: Hub, target: Target) -> None:
    journal = Journal.open(None, keep_ns=1)
    with capture_logs() as logs:
        async with running(target, journal, hub) as daemon:
            target.resume.clear()
            target.asked.clear()
            daemon.append(signal(1, recv_ns=0), closed(1, recv_ns=0))
            async with asyncio.timeout(DEADLINE_S):
                await target.asked.wait()  # it holds the two and is busy
            daemon.append(signal(2, recv_ns=0), closed(2, recv_ns=0))
            assert journal.prune(10) == 4
            target.resume.set()
            await daemon.caught_up()
            assert daemon.outlet.lag == 0
            daemon.append(signal(3))
            await daemon.caught_up()
    assert target.held == [1, 2, 5]
    assert [(line["wanted"], line["oldest"]) for line in logs if line["event"] == "sink_missed_pruned"] == [(3, 5)]


async def test_finish_writes_what_is_left(journal: Journal, hub: Hub, target: Target) -> None:
    async with running(target, journal, hub) as daemon:
        daemon.append(*[signal(n) for n in range(300)])
    assert target.held == list(range(1, 301))
    assert target.closed >= 1


async def test_finish_does_not_wait_for_a_target_that_is_away(journal: Journal, hub: Hub, target: Target) -> None:
    target.faults = [SinkUnavailable("connection", "away")] * 10_000
    slow = structs.replace(FAST, retry_first_s=60.0, retry_cap_s=60.0)
    async with running(target, journal, hub, slow, wait=False) as daemon:
        daemon.append(signal(1))
    assert daemon.outlet.lag == 1


async def test_cancelling_closes_the_sink(journal: Journal, hub: Hub, target: Target) -> None:
    outlet = Outlet(target, journal, hub, FAST)
    task = asyncio.create_task(outlet.run())
    async with asyncio.timeout(DEADLINE_S):
        await outlet.caught_up()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert target.closed == 1


def test_the_table_names_what_the_sinks_are_called() -> None:
    for name, (_, sink) in SINKS.items():
        assert sink.name == name
