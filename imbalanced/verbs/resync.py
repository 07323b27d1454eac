"""The verb ``resync``: ask a running daemon to drop and prove one book again."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import click

ANSWER_S = 90.0


@click.command("resync")
@click.argument("venue")
@click.argument("instrument")
@click.option("--url", help="Of the daemon's HTTP interface. Default: http://127.0.0.1:8800, or what -c says.")
@click.option(
    "-c", "--config", "config_path", type=click.Path(path_type=Path), help="Take address and token from there."
)
@click.option("--token", envvar="IMBALANCED_TOKEN", help="Token of scope admin.")
def resync_command(venue: str, instrument: str, url: str | None, config_path: Path | None, token: str | None) -> None:
    """Drop one book of a running daemon and prove it again; ends when it is live (exit 0) or has failed (exit 1)."""
    if config_path is not None:
        from imbalanced.cli import load_config

        http = load_config(config_path).http
        url, token = url or f"http://{http.host}:{http.port}", token or http.token
    base = (url or "http://127.0.0.1:8800").rstrip("/")
    if not base.startswith(("http://", "https://")):
        raise click.UsageError(f"--url {base}: expected http:// or https://")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    query = urlencode({"venue": venue, "instrument": instrument})
    asked = Request(f"{base}/api/books/resync?{query}", method="POST", headers=headers)
    try:
        with urlopen(asked, timeout=ANSWER_S) as answer:
            told = json.load(answer)
    except HTTPError as error:
        with error:
            told = _json(error.read())
        raise click.ClickException(str(told.get("detail") or told.get("reason") or f"HTTP {error.code}")) from error
    except (URLError, OSError) as error:
        raise click.ClickException(f"{base}: {getattr(error, 'reason', error)}; is the daemon running?") from error
    click.echo(json.dumps(told))
    sys.exit(0 if told.get("ok") else 1)


def _json(body: bytes) -> dict[str, object]:
    try:
        told = json.loads(body)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}
