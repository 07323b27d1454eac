"""The life of one book as a table: what happens to it in which state, and what it is then.

``session.py`` runs on this table and has it drawn in its docstring; what is not in it changes nothing.
"""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """Where one book stands. The values are label values and wire words."""

    IDLE = "idle"
    CONNECTING = "connecting"
    SUBSCRIBING = "subscribing"
    ACKED = "acked"
    BUFFERING = "buffering"
    LIVE = "live"
    SUSPECT = "suspect"
    RESYNCING = "resyncing"
    HALTED = "halted"
    CLOSED = "closed"


class Cause(StrEnum):
    """What may happen to a book."""

    OPENING = "opening"
    OPENED = "opened"
    ACKNOWLEDGED = "acknowledged"
    HEARD = "heard"
    PROVEN = "proven"
    DOUBTED = "doubted"
    CLEARED = "cleared"
    LOST = "lost"
    CUT = "cut"
    HALT = "halt"
    RESUMED = "resumed"
    GONE = "gone"


# In words: what each cause is.
MEANING: dict[Cause, str] = {
    Cause.OPENING: "its socket is being opened",
    Cause.OPENED: "the socket is open and the request is sent",
    Cause.ACKNOWLEDGED: "the venue has accepted the request, which proves nothing",
    Cause.HEARD: "data came, but no proof yet",
    Cause.PROVEN: "a whole image is in, by the venue's own rule",
    Cause.DOUBTED: "crossed within its grace, or the stream is late",
    Cause.CLEARED: "neither any more",
    Cause.LOST: "the proof is broken, or nothing came: it is proven anew",
    Cause.CUT: "the socket is gone and will be opened again",
    Cause.HALT: "the venue says that it does not trade: nothing is asked",
    Cause.RESUMED: "the venue says that it trades again",
    Cause.GONE: "the venue does not have it any more",
}

_PROVING = (State.SUBSCRIBING, State.ACKED, State.BUFFERING)
_ALIVE = (*_PROVING, State.LIVE, State.SUSPECT, State.RESYNCING)
_DOWN = (State.IDLE, State.CONNECTING)


def _steps(states: tuple[State, ...], cause: Cause, to: State) -> dict[tuple[State, Cause], State]:
    return {(state, cause): to for state in states}


TABLE: dict[tuple[State, Cause], State] = {
    **_steps((State.IDLE,), Cause.OPENING, State.CONNECTING),
    **_steps((*_DOWN, State.HALTED), Cause.OPENED, State.SUBSCRIBING),
    **_steps((State.SUBSCRIBING,), Cause.ACKNOWLEDGED, State.ACKED),
    **_steps((*_DOWN, State.SUBSCRIBING, State.ACKED), Cause.HEARD, State.BUFFERING),
    **_steps((*_DOWN, *_PROVING, State.RESYNCING), Cause.PROVEN, State.LIVE),
    **_steps((State.LIVE,), Cause.DOUBTED, State.SUSPECT),
    **_steps((State.SUSPECT,), Cause.CLEARED, State.LIVE),
    **_steps((*_PROVING, State.LIVE, State.SUSPECT), Cause.LOST, State.RESYNCING),
    **_steps((*_ALIVE, State.HALTED), Cause.CUT, State.CONNECTING),
    **_steps((*_ALIVE, *_DOWN), Cause.HALT, State.HALTED),
    **_steps((State.HALTED,), Cause.RESUMED, State.RESYNCING),
    **_steps((*_ALIVE, *_DOWN, State.HALTED), Cause.GONE, State.CLOSED),
}

# In these states, and in no other, the book is trusted.
TRUSTED = (State.LIVE, State.SUSPECT)


def drawn() -> str:
    """The table as text: a line a state with where it goes by which cause, then what the causes are."""
    lines = []
    for state in State:
        steps: dict[State, list[str]] = {}
        for (of, cause), to in TABLE.items():
            if of is state:
                steps.setdefault(to, []).append(cause)
        goes = "; ".join(f"{', '.join(causes)} -> {to.name}" for to, causes in steps.items()) or "nowhere"
        first, *more = _folded(goes, 104)
        lines.append(f"{state.name:<12}{first}".rstrip())
        lines += [f"{'':<14}{line}" for line in more]
    lines.append("")
    lines += [f"{cause:<14}{MEANING[cause]}" for cause in Cause]
    return "\n".join(lines)


def _folded(text: str, width: int) -> list[str]:
    """At the ends of its parts, in lines of at most ``width``."""
    lines = [""]
    for part in text.split("; "):
        if lines[-1] and len(lines[-1]) + len(part) + 2 > width:
            lines.append("")
        lines[-1] += ("; " if lines[-1] else "") + part
    return lines
