"""The table: ratios first, absolute figures of this machine after."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMES = {
    "discard": "websockets, discard",
    "floor": "websockets + orjson.loads (the floor)",
    "ours:websockets": "imbalanced, websockets",
    "ours:sansio": "imbalanced, sansio",
    "ours:aiohttp": "imbalanced, aiohttp",
    "ours:picows": "imbalanced, picows",
    "ccxt": "ccxt.pro, book only",
    "cryptofeed": "cryptofeed, book only",
}


def printed(told: dict[str, Any]) -> str:
    """All of it as text."""
    lines = [f"compiled: {told['compiled']}; default transport: {told['default_transport']}", "", "RATIOS"]
    lines += ratios(told)
    lines += ["", "ABSOLUTE FIGURES, this machine, this run"]
    lines += absolutes(told)
    return "\n".join(lines)


def ratios(told: dict[str, Any]) -> Iterator[str]:
    for part, title in (("full_load", "end to end / floor, full load"), ("one_per_wakeup", "one frame per wake-up")):
        by_symbols = told.get(part, {})
        if by_symbols:
            yield from _by_symbols(f"{title}; symbols:", by_symbols, "ratio", "6.2f")
    if "others" in told:
        yield "others / floor, full load, 1 symbol"
        yield from (f"  {_name(kind)} {_figure(one, 'ratio', '6.2f')}" for kind, one in told["others"].items())
    if "pipeline" in told:
        yield "pipeline with 11 metrics / orjson.loads of the same frame, by levels"
        yield from (f"  {levels + ' levels':<38} {one['ratio']:6.2f}" for levels, one in told["pipeline"].items())
    if "venues" in told:
        yield "codec and book by venue / orjson.loads of the same frame"
        yield from (f"  {venue:<38} {one['ratio']:6.2f}" for venue, one in told["venues"].items())


def absolutes(told: dict[str, Any]) -> Iterator[str]:
    for part, title in (("full_load", "CPU us per frame, full load"), ("one_per_wakeup", "one frame per wake-up")):
        if told.get(part):
            yield from _by_symbols(f"{title}; symbols:", told[part], "us", "6.1f")
    if "others" in told:
        yield from (f"  {_name(kind)} {_figure(one, 'us', '6.1f')}" for kind, one in told["others"].items())
    if "pipeline" in told:
        yield "pipeline, us per frame (orjson.loads)"
        for levels, one in told["pipeline"].items():
            yield f"  {levels + ' levels':<38} {one['us']:6.2f} ({one['orjson_us']:.2f})"
    if "venues" in told:
        yield "codec and book by venue, us per frame (orjson.loads), levels and bytes of a frame"
        for venue, one in told["venues"].items():
            size = f"{one['levels']:.0f} levels, {one['bytes']:.0f} bytes"
            yield f"  {venue:<38} {one['us']:6.2f} ({one['orjson_us']:.2f}) {size}"
    if "memory" in told:
        memory = told["memory"]
        yield f"memory per book of 2 x 1,000 levels: {memory['bytes_per_book'] / 1000:.0f} kB"
        yield f"{memory['symbols']} symbols with all of it: {memory['rss_mb']:.0f} MB resident"
    for title, one in told.get("latency", {}).items():
        if "latency" in one:
            figures = ", ".join(f"{name.removesuffix('_us')} {us:.0f}" for name, us in one["latency"].items())
            yield f"latency from send to output, us, {title}: {figures}"
    pauses = [one for part in told.get("full_load", {}).values() for one in part.values() if "gc_over_5_ms" in one]
    if pauses:
        longest = max(one["gc_longest_ms"] for one in pauses)
        yield f"collector: {sum(one['gc_over_5_ms'] for one in pauses)} pauses over 5 ms, longest {longest:.2f} ms"
    if "metrics_ns" in told:
        yield "metrics, ns per update of 30 levels (those of trades: per trade)"
        yield from (
            f"  {name:<38} {ns:6.0f}" for name, ns in sorted(told["metrics_ns"].items(), key=lambda one: one[1])
        )
    if "detectors_ns" in told:
        yield "detectors below their thresholds with their own metrics, ns per update of 30 levels, per trade"
        yield from (
            f"  {name:<38} {one['delta']:6.0f} {one['trade']:6.0f}" for name, one in told["detectors_ns"].items()
        )


def _by_symbols(title: str, parts: dict[str, Any], key: str, form: str) -> Iterator[str]:
    yield f"{title:<40} " + " ".join(f"{symbols:>6}" for symbols in parts)
    kinds = list(dict.fromkeys(kind for part in parts.values() for kind in part))
    for kind in kinds:
        yield f"  {_name(kind)} " + " ".join(_figure(part.get(kind, {}), key, form) for part in parts.values())


def _name(kind: str) -> str:
    return f"{NAMES.get(kind, kind):<38}"


def _figure(one: dict[str, Any], key: str, form: str) -> str:
    if key in one:
        return format(one[key], form)
    return one.get("skipped", "     -")  # type: ignore[no-any-return]
