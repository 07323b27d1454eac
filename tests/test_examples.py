"""The examples in ``config/``: one for every venue of the table, each accepted as it stands."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from imbalanced.cli import cli, tables
from imbalanced.config import Config, load
from imbalanced.venues import VENUES

FOLDER = Path(__file__).parents[1] / "config"
EXAMPLES = sorted(FOLDER.glob("*.yaml"))
# The same books as without the suffix, for those who want single orders.
BY_ORDER = {venue for venue in VENUES if venue.endswith("_orders")}


def loaded(path: Path) -> Config:
    return load(path.read_text(), tables(), environ={}, read_text=lambda name: Path(name).read_text())


def test_every_venue_has_an_example_of_its_name() -> None:
    lacking = VENUES.keys() - {path.stem for path in EXAMPLES}
    assert not lacking, f"write config/NAME.yaml for {sorted(lacking)}"
    for venue in VENUES:
        assert venue in loaded(FOLDER / f"{venue}.yaml").venues


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_accepted_and_annotated(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("IMBALANCED_HOST", "STATE_DIRECTORY", "REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    result = CliRunner().invoke(cli, ["check", "-c", str(path)])
    assert result.exit_code == 0, result.output
    text = path.read_text()
    assert text.startswith("# "), "it begins with what it is for"
    assert f"-c config/{path.name}" in text or path.stem == "demo", "and how it is run"
    assert max(map(len, text.splitlines())) <= 120


def test_majors_are_btc_and_eth_at_every_venue() -> None:
    venues = loaded(FOLDER / "majors.yaml").venues
    assert venues.keys() == VENUES.keys() - BY_ORDER
    for venue, settings in venues.items():
        assert isinstance(settings.instruments, tuple), venue
        contracts = {base: _contracts(settings.instruments, base) for base in ("BTC", "ETH")}
        assert len(settings.instruments) == sum(map(len, contracts.values())), venue
        assert contracts["BTC"] == contracts["ETH"] != set(), f"{venue}: both in the same contracts"


def _contracts(symbols: tuple[str, ...], base: str) -> set[str]:
    """What follows the base in the symbols that begin with it, with the base put in words where it settles."""
    return {
        symbol.removeprefix(f"{base}/").replace(f":{base}", ":base")
        for symbol in symbols
        if symbol.startswith(f"{base}/")
    }
