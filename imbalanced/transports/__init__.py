"""Websocket client libraries behind one seam (``transport.py``): one file a library, one line here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imbalanced.transports import aiohttp_client, websockets_asyncio, websockets_sansio

if TYPE_CHECKING:
    from imbalanced.transports.transport import Connect

TRANSPORTS: dict[str, Connect] = {
    "websockets": websockets_asyncio.connect,
    "sansio": websockets_sansio.connect,
    "aiohttp": aiohttp_client.connect,
}

try:
    from imbalanced.transports import picows_client
except ImportError:  # a compiled wheel; where there is none, the others do
    DEFAULT = "sansio"
else:
    TRANSPORTS["picows"] = picows_client.connect
    DEFAULT = "picows"
