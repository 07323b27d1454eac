"""The live table of a run in a terminal: books, a few metrics, the last signals."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from imbalanced.jsontext import signal_from_json

if TYPE_CHECKING:
    from imbalanced.service import Service

REFRESH_S = 0.5
SHOWN = ("spread.bps", "queue_imbalance", "depth_imbalance", "ofi", "trade_imbalance")
ARROWS = {"buy": ("▲ buy", "green"), "sell": ("▼ sell", "red"), "none": ("·", "white")}


def number(x: float | None) -> Text:
    """A signed number, coloured by its sign; a dash where there is none."""
    if x is None:
        return Text("–", style="dim", justify="right")
    return Text(f"{x:+.3f}", style="green" if x > 0 else "red" if x < 0 else "", justify="right")


def table_of(service: Service) -> Table:
    """One row an instrument."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("venue", "instrument", "book", "mid", *SHOWN):
        table.add_column(name, justify="left" if name in ("venue", "instrument", "book") else "right")
    latest = {(one.venue, one.instrument): one for one in service.hub.snapshots()}
    for session in service.intake.pipeline.sessions.values():
        for lane in session.lanes.values():
            snapshot = latest.get((session.venue, lane.instrument.symbol))
            values = snapshot.values if snapshot and lane.valid else {}
            state = Text("live", style="green") if lane.valid else Text(lane.why, style="yellow")
            mid = (snapshot.mid if snapshot and lane.valid else None) or "–"
            table.add_row(session.venue, lane.instrument.symbol, state, mid, *(number(values.get(n)) for n in SHOWN))
    return table


def signals_of(service: Service, count: int = 8) -> Table:
    """The last signals, newest first."""
    table = Table(box=None, pad_edge=False, header_style="bold", title="signals", title_justify="left")
    for name in ("age", "seq", "event", "kind", "side", "venue", "instrument", "score"):
        table.add_column(name)
    journal = service.journal
    newest: deque[list[str | Text]] = deque()
    for entry in journal.read(max(journal.last_seq - count + 1, 1), count):
        one = signal_from_json(entry.text)
        words, style = ARROWS[one.side]
        age = f"{(time.time_ns() - one.recv_ns) / 1e9:.1f} s"
        event = one.event if one.reason is None else f"{one.event} ({one.reason})"
        newest.appendleft(
            [
                age,
                str(one.seq),
                event,
                one.kind,
                Text(words, style=style),
                one.venue,
                one.instrument,
                f"{one.score:+.2f}",
            ]
        )
    for row in newest:
        table.add_row(*row)
    return table


async def show(service: Service, console: Console) -> None:
    """Until cancelled."""
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while True:
            live.update(Group(table_of(service), Text(), signals_of(service)), refresh=True)
            await asyncio.sleep(REFRESH_S)
