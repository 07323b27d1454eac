"""Listening addresses: the errors of binding, and who may speak to a server on loopback.

Shared by the two servers we have, subscribers and HTTP. What they serve does not belong here.

    AddressError
    ├── AddressInUse        another process listens there
    └── AddressUnusable     no such address, no permission
"""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

__all__ = [
    "AddressError",
    "AddressInUse",
    "AddressUnusable",
    "host_allowed",
    "hostname",
    "is_free",
    "is_loopback",
    "listening",
]


class AddressError(Exception):
    """Base of the errors of binding; never raised itself."""


class AddressInUse(AddressError):
    """Another process listens there."""


class AddressUnusable(AddressError):
    """The address cannot be bound: it is not ours, not known, or not permitted."""


@contextmanager
def listening(what: str, host: str, port: int) -> Iterator[None]:
    """The errors of binding ``host:port`` for ``what``, in our words."""
    try:
        yield
    except OSError as exc:
        if exc.errno == errno.EADDRINUSE:
            raise AddressInUse(f"{what}: {host}:{port} is already in use by another process") from exc
        raise AddressUnusable(f"{what}: cannot listen on {host}:{port}: {exc.strerror or exc}") from exc


def is_loopback(host: str) -> bool:
    """Whether a name or address means this machine and nobody else."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]").split("%")[0]).is_loopback
    except ValueError:
        return False


def hostname(header: str) -> str | None:
    """The host of a ``Host`` or ``Origin`` header without port, lower case; None if it is none."""
    try:
        return urlsplit(header if "://" in header else f"//{header}").hostname
    except ValueError:
        return None


def host_allowed(bound: str, header: str | None, extra: tuple[str, ...] = ()) -> bool:
    """DNS rebinding: a page whose name was made to point to 127.0.0.1 still says its own name in ``Host``.

    Only judged where we listen on loopback or names were configured (``extra``); elsewhere the name is not known to us.
    """
    if not (extra or is_loopback(bound)):
        return True
    host = hostname(header or "")
    return host is not None and (host in extra or (is_loopback(bound) and is_loopback(host)))


def is_free(host: str, port: int) -> bool:
    """Whether this port can be bound now (0 always can)."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((host, port))
        except OSError:
            return False
    return True
