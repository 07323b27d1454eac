"""A signal explained: what opened it, what the decision saw, who was asked, and what happened afterwards.

Made of what the journal keeps (:class:`~imbalanced.journal.About`): the public messages, the explanation of the open,
the grades. As plain data it is ``/api/signals/ID`` and ``explain --json``, as text it is for people.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
import orjson

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from imbalanced.journal import About

MARKS = {"pass": "passed", "fail": "REFUSED", "unknown": "unknown"}


def as_data(about: About) -> dict[str, object]:
    """``id``, ``signals`` (the messages in order), ``explanation`` (null where none was kept), ``grades``."""
    return {
        "id": about.entries[0].id,
        "signals": [orjson.loads(entry.text) for entry in about.entries],
        "explanation": None if about.explanation is None else msgspec.to_builtins(about.explanation),
        "grades": [
            {"horizon_ms": one.horizon_ms, "gross": one.gross, "net": one.net, "recv_ns": one.recv_ns}
            for one in about.grades
        ],
    }


def text(told: Mapping[str, Any]) -> str:
    """For people, from :func:`as_data`."""
    return "\n".join(_lines(told))


def _lines(told: Mapping[str, Any]) -> Iterator[str]:
    opened = told["signals"][0]
    side = "" if opened["side"] == "none" else f" {opened['side']}"
    yield f"{opened['kind']}{side}   {opened['venue']} {opened['instrument']}   {told['id']}"
    yield ""
    for one in told["signals"]:
        yield (
            f"  {when(one['recv_ns'])}  {one['event']:<6} score {one['score']:+.3f}  strength {one['strength']:.2f}"
            f"  mid {one['mid'] or '-'}" + (f"  {one['reason']}" if one["reason"] else "")
        )
    yield from _opening(opened)
    why = told["explanation"]
    if why is None:
        yield ""
        yield "no explanation was kept of it (written by an older version)"
    else:
        yield from _seen(why)
    yield from _afterwards(told)


def _opening(opened: Mapping[str, Any]) -> Iterator[str]:
    confidence = "unknown" if opened["confidence"] is None else f"{opened['confidence']:.3f}"
    proof = opened["proof"]
    yield ""
    yield f"confidence {confidence} of being right after {opened['horizon_ms']} ms, net of costs"
    yield f"proof      {', '.join(proof['checks'])}; book {proof['book_seq']}, proven for {proof['book_age_ms']} ms"
    yield "evidence   " + _numbers(opened["evidence"])


def _seen(why: Mapping[str, Any]) -> Iterator[str]:
    yield f"detector   {why['name']}: " + ", ".join(f"{key} {_short(value)}" for key, value in why["options"].items())
    yield f"metrics    {_numbers(why['values'])}" if why["values"] else "metrics    none configured"
    yield f"frame      received at {when(why['recv_ns'])} on socket {why['conn']}, hash {why['frame']}"
    yield ""
    yield f"  {'bid size':>16} {'bid':>14} | {'ask':<14} {'ask size':<16}"
    for level in range(max(len(why["bids"]), len(why["asks"]))):
        bid, bid_size = why["bids"][level] if level < len(why["bids"]) else ("", "")
        ask, ask_size = why["asks"][level] if level < len(why["asks"]) else ("", "")
        yield f"  {bid_size:>16} {bid:>14} | {ask:<14} {ask_size:<16}"
    yield ""
    for one in why["filters"]:
        quality = "" if one["quality"] == 1.0 else f"quality {one['quality']:.2f}  "
        yield f"  {one['name']:<12} {MARKS[one['verdict']]:<8} {quality}{one['told']}".rstrip()
    if not why["filters"]:
        yield "  no filter was asked"


def _afterwards(told: Mapping[str, Any]) -> Iterator[str]:
    yield ""
    last = told["signals"][-1]
    if last["event"] == "close":
        yield f"closed     {last['reason']}; {_numbers(last['evidence'])}"
    else:
        yield "closed     not yet"
    for one in told["grades"]:
        gross, net = (f"{1e4 * one[name]:+.2f} bps" for name in ("gross", "net"))
        yield f"after      {one['horizon_ms'] / 1000:g} s: {gross}, net {net}"
    if not told["grades"]:
        yield "after      not graded (yet, or its book was lost)"


def when(ns: int) -> str:
    """UTC, to the millisecond."""
    return datetime.fromtimestamp(ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S.") + f"{ns // 1_000_000 % 1000:03d}Z"


def _numbers(values: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {_short(value)}" for name, value in values.items())


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dict):
        return "{" + _numbers(value) + "}"
    return "unknown" if value is None else str(value)
