"""The datagrams of sd_notify(3), against a socket as systemd opens it."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from imbalanced.systemd import notify, watchdog_s

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("abstract", [False, True])
def test_a_state_is_one_datagram(tmp_path: Path, abstract: bool) -> None:
    name = f"@imbalanced-test-{os.getpid()}" if abstract else f"{tmp_path}/notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("\0" + name[1:] if abstract else name)
        listening.settimeout(5)
        assert notify("READY=1", {"NOTIFY_SOCKET": name})
        assert listening.recv(100) == b"READY=1"


@pytest.mark.parametrize("address", [None, "", "relative/path", "/nowhere/at/all"])
def test_nothing_happens_where_nobody_listens(address: str | None) -> None:
    assert not notify("READY=1", {} if address is None else {"NOTIFY_SOCKET": address})


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, 0.0),
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, 0.0),
        ({"WATCHDOG_USEC": "soon"}, 0.0),
    ],
)
def test_the_watchdog_is_fed_twice_as_often_as_it_must(environ: dict[str, str], seconds: float) -> None:
    assert watchdog_s(environ) == seconds
