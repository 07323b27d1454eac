"""The report in words and tables (Markdown): every number with its n, every mean with its interval."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.captures_report.bootstrap import DRAWS, LEAST_N, LEVEL
from benchmarks.captures_report.figures import FLIPS, HORIZONS_MS, LATENCIES_MS

if TYPE_CHECKING:
    from collections.abc import Iterator

VERDICT_LATENCY = "50"
SHORT_OF_PROOF = 30  # opens below which no verdict is given


def markdown(report: dict[str, Any]) -> str:
    """All of it."""
    return "\n".join([*_head(report), *_all(report), *_recordings(report), *_method(report)]) + "\n"


def _head(report: dict[str, Any]) -> Iterator[str]:
    whole = report["together"]
    yield "# Signals on real recordings"
    yield ""
    yield (
        f"Default configuration on {len(report['recordings'])} recorded instruments, "
        f"{whole['hours'] * 60:.0f} minutes in all; written by `make report`, not by hand. "
        "That is far too little to claim an edge, and no claim is made: it shows what the signals do on real frames, "
        "with errors, and that the edges that are there do not survive a placebo."
    )
    yield ""
    without = [one["tape"] for one in report["without_book"]]
    if without:
        yield f"No proven book, hence no signal: {', '.join(without)}."
        yield ""
    yield "## Verdicts"
    yield ""
    for kind, one in whole["kinds"].items():
        yield f"- `{kind}`: {verdict(one, whole['cost_bps'])}"
    yield ""


def verdict(one: dict[str, Any], cost_bps: float) -> str:
    """One sentence that claims no more than the intervals do."""
    if one["opens"] == 0:
        return f"never opened ({one['attempts']} attempts refused); nothing is known."
    if one["opens"] < SHORT_OF_PROOF:
        return f"{one['opens']} open{'s' * (one['opens'] > 1)}, fewer than {SHORT_OF_PROOF}: nothing can be said."
    horizon = nearest(one["horizon_ms"])
    gross, flip = one["returns"][VERDICT_LATENCY][horizon]["gross_bps"], one["placebo"][horizon]
    said = f"{one['opens']} opens; {_bps(gross)} bps gross at its horizon of {_time(horizon)}"
    if gross["low"] is None:
        return f"{said}; too little for an interval."
    if flip["mean_bps"] is None:
        return f"{said}; it has no side, so this is how far the price moved, not a gain."
    if gross["high"] < 0:
        return f"{said}: against its side."
    if gross["low"] <= 0:
        return f"{said}: not surely above 0."
    if flip["low_bps"] <= gross["mean"] <= flip["high_bps"]:
        return f"{said}: above 0, but within what flipped sides give."
    if gross["low"] > cost_bps:
        return f"{said}: above the cost of {cost_bps:g} bps in these minutes."
    return f"{said}: above 0 and below the cost of {cost_bps:g} bps, so it is no trade by itself."


def nearest(horizon_ms: int) -> str:
    """The horizon of the tables that is the kind's own, or the one next to it."""
    return str(min(HORIZONS_MS, key=lambda ms: abs(ms - horizon_ms)))


def _all(report: dict[str, Any]) -> Iterator[str]:
    whole = report["together"]
    yield "## All recordings together"
    yield ""
    yield from _rates(whole)
    yield from _decay(whole)
    yield from _information(whole)


def _rates(part: dict[str, Any]) -> Iterator[str]:
    yield "| kind | opens | per hour | attempts | share of attempts refused, by filter |"
    yield "|---|---|---|---|---|"
    for kind, one in part["kinds"].items():
        shares = ", ".join(f"{name} {100 * share:.0f} %" for name, share in one["suppressed"].items()) or "-"
        yield f"| `{kind}` | {one['opens']} | {_plain(one['per_hour'], 1)} | {one['attempts']} | {shares} |"
    yield ""


def _decay(part: dict[str, Any]) -> Iterator[str]:
    cost = f"net of {part['cost_bps']:g} bps is that much less"
    yield f"Mean return after an open in basis points, signed by its side (a kind without side: absolute move); {cost}."
    yield f"In brackets the {100 * LEVEL:.0f} % interval and n."
    yield ""
    for kind, one in part["kinds"].items():
        if not one["opens"]:
            continue
        yield f"**`{kind}`**"
        yield ""
        latencies = " | ".join(f"gross, {ms} ms" for ms in LATENCIES_MS)
        yield f"| horizon | {latencies} | bought and sold at the touch, 50 ms | sides flipped |"
        yield f"|---|{'---|' * (len(LATENCIES_MS) + 2)}"
        for ms in map(str, HORIZONS_MS):
            cells = [_bps(one["returns"][str(latency)][ms]["gross_bps"]) for latency in LATENCIES_MS]
            cross, flip = one["returns"][VERDICT_LATENCY][ms]["cross_bps"], one["placebo"][ms]
            yield f"| {_time(ms)} | {' | '.join(cells)} | {_bps(cross)} | {_flip(flip)} |"
        yield ""


def _information(part: dict[str, Any]) -> Iterator[str]:
    yield "Correlation of a metric with the move of the mid, on whole seconds. The same second says that the metric is"
    yield "right, not that it predicts; with its sign flipped per minute it must say nothing."
    yield ""
    yield "| metric | over | correlation | signs flipped |"
    yield "|---|---|---|---|"
    for name, rows in part["information"].items():
        for over, one in rows.items():
            flipped = one["flipped"]
            band = (
                "-"
                if flipped["mean"] is None
                else f"{flipped['mean']:+.3f} ({flipped['low']:+.3f}..{flipped['high']:+.3f})"
            )
            yield f"| `{name}` | {over.replace('_', ' ')} | {_bps(one, 3)} | {band} |"
    yield ""


def _recordings(report: dict[str, Any]) -> Iterator[str]:
    yield "## Each recording"
    yield ""
    for one in report["recordings"]:
        yield f"### {one['tape']}: {one['instrument']} on {one['venue']}"
        yield ""
        yield f"{one['hours'] * 60:.1f} minutes with a proven book, lost {one['gaps']} times."
        yield ""
        yield from _rates(one)
        yield "| kind | n | gross 1 s, 50 ms | gross 5 s, 50 ms | gross 30 s, 50 ms |"
        yield "|---|---|---|---|---|"
        for kind, row in one["kinds"].items():
            cells = [_bps(row["returns"][VERDICT_LATENCY][ms]["gross_bps"]) for ms in ("1000", "5000", "30000")]
            yield f"| `{kind}` | {row['opens']} | {' | '.join(cells)} |"
        yield ""


METHOD = f"""\
- Entry is the mid as of the open's receive time plus the latency, exit that of the horizon later; no grade where the
  book was lost in between or the recording ended. The mid flatters: *bought and sold at the touch* pays the spread,
  and fees come on top.
- Intervals ({100 * LEVEL:.0f} %): stationary block bootstrap over time, mean block max(10 horizons, 60 s), {DRAWS}
  draws, seeded by the recording's SHA-256; none for fewer than {LEAST_N} values or for less than two blocks. One in ten
  misses the truth by construction, and every table has many: only the row of a kind's own horizon was chosen before.
- Sides flipped: the sides (or the metric's signs) are flipped at random per 60 s, {FLIPS} times; mean and 5 to 95 % of
  the results. An edge that is real lies outside; the placebo's mean is near 0.
- An attempt is a run of refusals with less than a second between them; it counts for the filter that refused first,
  unless the signal opened within a second after.
- Kinds that need more past than a recording has (10 minutes of depth, for one) cannot open in it.
"""


def _method(report: dict[str, Any]) -> Iterator[str]:
    yield "## How it was counted"
    yield ""
    yield METHOD.rstrip("\n")


def _bps(one: dict[str, Any], digits: int = 2) -> str:
    if one["mean"] is None:
        return "-"
    if one["low"] is None:
        return f"{one['mean']:+.{digits}f} (n {one['n']})"
    return f"{one['mean']:+.{digits}f} ({one['low']:+.{digits}f}..{one['high']:+.{digits}f}, n {one['n']})"


def _flip(one: dict[str, Any]) -> str:
    return _band(one["mean_bps"], one["low_bps"], one["high_bps"], 2)


def _band(mean: float | None, low: float, high: float, digits: int) -> str:
    return "-" if mean is None else f"{mean:+.{digits}f} ({low:+.{digits}f}..{high:+.{digits}f})"


def _time(ms: str) -> str:
    number = int(ms)
    return f"{number} ms" if number < 1000 else f"{number // 1000} s"


def _plain(x: float | None, digits: int) -> str:
    return "-" if x is None else f"{x:.{digits}f}"
