"""``python -m benchmarks.captures_report RECORDING... [--json FILE] [--markdown FILE]``: the report on recordings."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import orjson

from benchmarks.captures_report.figures import told
from benchmarks.captures_report.observe import TABLES, configured, observed
from benchmarks.captures_report.words import markdown
from imbalanced.replaying import default_config


def report(paths: list[Path], config_text: str | None = None) -> dict[str, Any]:
    """The figures of these recordings, each by itself and all together."""
    config = None if config_text is None else configured(config_text)
    found, without = [], []
    for path in paths:
        parts = observed(path, config)
        found += parts
        if not parts:
            without.append({"tape": path.name.partition(".")[0]})
    cost_bps = float((config or default_config(paths[:1], TABLES)).grading.round_trip_cost_bps)
    return {
        "together": told(found, cost_bps),
        "recordings": [
            {"tape": one.tape, "venue": one.venue, "instrument": one.instrument} | told([one], cost_bps)
            for one in found
        ],
        "without_book": without,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.captures_report", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("recordings", nargs="+", type=Path, help="files, or folders of *.jsonl.gz")
    parser.add_argument("-c", "--config", type=Path, help="another configuration than the default")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--markdown", type=Path, help="write the report here instead of stdout")
    args = parser.parse_args()
    paths = [
        file for path in args.recordings for file in (sorted(path.glob("*.jsonl.gz")) if path.is_dir() else [path])
    ]
    missing = [path for path in paths if not path.is_file()]
    if missing or not paths:
        parser.error(f"no recording: {', '.join(map(str, missing or args.recordings))}")
    figures = report(paths, args.config.read_text() if args.config else None)
    if args.json:
        args.json.write_bytes(orjson.dumps(figures, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY) + b"\n")
    if args.markdown:
        args.markdown.write_text(markdown(figures))
        print(f"{len(figures['recordings'])} recorded instruments: {args.markdown}", file=sys.stderr)
    else:
        print(markdown(figures), end="")


if __name__ == "__main__":
    main()
