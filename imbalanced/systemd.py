"""The datagrams of ``Type=notify`` (sd_notify(3)): ready, stopping, watchdog. Nothing happens outside systemd."""

from __future__ import annotations

import os
import socket


def notify(state: str, environ: dict[str, str] | None = None) -> bool:
    """Send one state such as ``READY=1``; False where nobody listens."""
    address = (os.environ if environ is None else environ).get("NOTIFY_SOCKET", "")
    if not address or address[0] not in "/@":
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        try:
            sock.sendto(state.encode(), "\0" + address[1:] if address[0] == "@" else address)
        except OSError:
            return False
    return True


def watchdog_s(environ: dict[str, str] | None = None) -> float:
    """How often the watchdog wants to be fed: half of what systemd allows; 0 where there is none."""
    environ = dict(os.environ) if environ is None else environ
    own = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    text = environ.get("WATCHDOG_USEC", "")
    return int(text) / 2e6 if own and text.isdigit() else 0.0
