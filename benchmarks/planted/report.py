"""All seeds' outcomes to one table and one JSON object."""

from __future__ import annotations

from collections import Counter
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.planted import schedule
from benchmarks.planted.effects import SHOWS
from benchmarks.planted.score import S, Spoofs, Tally, calm, scored, spoofs

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from benchmarks.planted.runs import Played
    from benchmarks.planted.score import Manner

WITH_FILTERS = ""
AFTER_NS = 30 * S


def told(plays: Sequence[Played], manners: dict[str, Manner], unfiltered: str) -> dict[str, Any]:
    """The figures. `unfiltered`: the name of the choice that switches the spoof filters off."""
    with_filter, without = (_spoofs(plays, manners, choice) for choice in (WITH_FILTERS, unfiltered))
    choices = list(plays[0].outcomes)
    whole = {choice: totals(plays, manners, choice) for choice in choices}
    kinds = {kind: _row(kind, plays, tally, manners) for kind, tally in whole[WITH_FILTERS].items()}
    return {
        "kinds": {kind: row for kind, row in kinds.items() if row["events"]},
        "spoof": {
            "events": with_filter.events,
            "quiet_with_filter": _share(with_filter.quiet, with_filter.events),
            "quiet_without_filter": _share(without.quiet, without.events),
            "silent_with_filter": _share(with_filter.silent, with_filter.events),
            "silent_without_filter": _share(without.silent, without.events),
            "switched_off": unfiltered.split(","),
        },
        "unplanted": {kind: row for kind, row in kinds.items() if not row["events"]},
        "filters_off": {
            choice: {kind: _short(tally) for kind, tally in tallies.items() if tally.events}
            for choice, tallies in whole.items()
            if choice != WITH_FILTERS
        },
        "suppressed": _suppressed(plays),
        "seeds": [one.seed for one in plays],
        "gaps": sum(one.outcomes[WITH_FILTERS].gaps for one in plays),
        "planted": dict(Counter(event.kind for one in plays for event in one.truths)),
        "generator": {
            "counts": schedule.COUNTS,
            "calm_first_s": schedule.CALM_FIRST_S,
            "pause_s": schedule.PAUSE_S,
            "shows": SHOWS,
        },
    }


def totals(plays: Iterable[Played], manners: dict[str, Manner], choice: str) -> dict[str, Tally]:
    """All seeds' tallies together."""
    whole = {kind: Tally() for kind in manners}
    for one in plays:
        for kind, tally in scored(one.truths, one.outcomes[choice].opens, manners).items():
            whole[kind].add(tally)
    return whole


def _row(kind: str, plays: Sequence[Played], tally: Tally, manners: dict[str, Manner]) -> dict[str, Any]:
    own = [[open_ for open_ in one.outcomes[WITH_FILTERS].opens if open_.kind == kind] for one in plays]
    only = {kind: manners[kind]}
    singles = [scored(one.truths, opens, only)[kind] for one, opens in zip(plays, own, strict=True)]
    families: dict[str, Tally] = {}
    for one, single in zip(plays, singles, strict=True):
        families.setdefault(one.family, Tally()).add(single)
    hours, in_calm = 0.0, 0
    for one, opens in zip(plays, own, strict=True):
        for name in one.instruments:
            quiet_h, count = calm(one.truths, [each for each in opens if each.instrument == name], one.span, AFTER_NS)
            hours, in_calm = hours + quiet_h, in_calm + count
    return {
        **_short(tally),
        "recall_range": _range(single.recall for single in singles),
        "precision_range": _range(single.precision for single in singles),
        "delay_s": {"median": median(tally.delays_s), "longest": max(tally.delays_s)} if tally.delays_s else None,
        "calm_opens_per_hour": in_calm / hours if hours else None,
        "by_family": {family: _short(one) for family, one in sorted(families.items())},
        "missed_in": dict(Counter(one.kind for one in tally.missed)),
        "false_sides": dict(Counter(str(one.side) for one in tally.false)),
    }


def _short(tally: Tally) -> dict[str, Any]:
    return {
        "events": tally.events,
        "opens": tally.opens,
        "hits": tally.hits,
        "recall": tally.recall,
        "precision": tally.precision,
    }


def _range(values: Iterable[float | None]) -> list[float] | None:
    """Lowest and highest over the seeds that have one."""
    known = [x for x in values if x is not None]
    return [min(known), max(known)] if known else None


def _spoofs(plays: Iterable[Played], manners: dict[str, Manner], choice: str) -> Spoofs:
    total = Spoofs()
    for one in plays:
        total = total.add(spoofs(one.truths, one.outcomes[choice].opens, manners))
    return total


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _suppressed(plays: Iterable[Played]) -> dict[str, dict[str, int]]:
    """Refusals by kind and filter."""
    total: Counter[tuple[str, str]] = Counter()
    for one in plays:
        total.update(one.outcomes[WITH_FILTERS].suppressed)
    by_kind: dict[str, dict[str, int]] = {}
    for (kind, name), count in sorted(total.items()):
        by_kind.setdefault(kind, {})[name] = count
    return by_kind


HEAD = (
    f"{'kind':<28}{'events':>7}{'opens':>7}{'hits':>6}{'recall':>8}{'(range)':>14}{'precision':>10}{'(range)':>14}"
    + (f"{'delay s':>9}{'calm/h':>8}")
)


def printed(told: dict[str, Any]) -> str:
    """The table, and what could not be put into it."""
    seeds = told["seeds"]
    lines = [f"planted markets, seeds {seeds[0]} to {seeds[-1]} ({len(seeds)}); default configuration", "", HEAD]
    lines += [_line(kind, row) for kind, row in told["kinds"].items()]
    if told["unplanted"]:
        lines += ["", "not planted as events of their own (opens that no event explains):"]
        lines += [_line(kind, row) for kind, row in told["unplanted"].items()]
    spoof = told["spoof"]
    lines += ["", f"spoofed layers ({spoof['events']} events), share without a depth signal on the side they pretend:"]
    off, quiet = ", ".join(spoof["switched_off"]) or "nothing", _percent(spoof["quiet_without_filter"])
    lines.append(f"  with the filters {_percent(spoof['quiet_with_filter'])}, {off} off {quiet}")
    lines.append(
        f"  on either side: {_percent(spoof['silent_with_filter'])} and {_percent(spoof['silent_without_filter'])}"
    )
    for choice, kinds in told["filters_off"].items():
        lines += ["", f"with {choice} off:"]
        lines += [f"  {kind:<28}{_of(one)}" for kind, one in kinds.items()]
    if told["gaps"]:
        lines += ["", f"BOOKS LOST: {told['gaps']} (the generator or the session is wrong)"]
    return "\n".join(lines)


def _line(kind: str, row: dict[str, Any]) -> str:
    delay = f"{row['delay_s']['median']:9.2f}" if row["delay_s"] else f"{'-':>9}"
    calm_h = "-" if row["calm_opens_per_hour"] is None else f"{row['calm_opens_per_hour']:.1f}"
    return (
        f"{kind:<28}{row['events']:>7}{row['opens']:>7}{row['hits']:>6}"
        f"{_number(row['recall']):>8}{_pair(row['recall_range']):>14}"
        f"{_number(row['precision']):>10}{_pair(row['precision_range']):>14}{delay}{calm_h:>8}"
    )


def _of(one: dict[str, Any]) -> str:
    return f"recall {_number(one['recall'])}, precision {_number(one['precision'])} ({one['opens']} opens)"


def _number(x: float | None) -> str:
    return "-" if x is None else f"{x:.2f}"


def _pair(both: list[float] | None) -> str:
    return "" if both is None else f"{both[0]:.2f}..{both[1]:.2f}"


def _percent(x: float | None) -> str:
    return "-" if x is None else f"{100 * x:.0f} %"
