"""wss over every transport, with a certificate of our own."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from transport_peers import BRISK, Remember
from websockets.asyncio.server import ServerConnection, serve

from imbalanced.transports.transport import ConnectFailed, Options

if TYPE_CHECKING:
    from imbalanced.transports.transport import Connect


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a self-signed certificate for 127.0.0.1 in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    pem = serialization.Encoding.PEM
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    path.write_bytes(key.private_bytes(pem, *plain) + made.public_bytes(pem))
    return path


async def test_wss(connect: Connect, certificate: Path) -> None:
    context = ssl.create_default_context(cafile=str(certificate))
    handler = Remember()
    async with _echo(certificate) as server:
        url = f"wss://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/"
        connection = await connect(url, handler, _options(context))
        for n in range(50):
            connection.send(f"{n}")
        await handler.until(lambda: len(handler.messages) == 50)
        connection.close()
        assert await handler.ended() == (1000, "closed", "")
    assert handler.messages == [b"%d" % n for n in range(50)]


async def test_an_untrusted_certificate_is_refused(connect: Connect, certificate: Path) -> None:
    handler = Remember()
    async with _echo(certificate) as server:
        url = f"wss://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/"
        with pytest.raises(ConnectFailed, match=r"(?i)certificate"):
            await connect(url, handler, BRISK)
    assert handler.story == []


def _echo(certificate: Path) -> serve:
    async def repeat(server: ServerConnection) -> None:
        async for message in server:
            await server.send(message)

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return serve(repeat, "127.0.0.1", 0, ssl=context)


def _options(context: ssl.SSLContext) -> Options:
    return Options(connect_s=10, close_s=10, ssl=context)
