"""How requests to Coinbase are signed. The key and the time come from outside; here is only what is written of them.

Sources: docs.cdp.coinbase.com "Exchange WebSocket Authentication", "Advanced Trade WebSocket overview", "CDP API key
authentication" (stored 2026-07). Exchange: HMAC of a call that is never made. Advanced: a JSON Web Token that lives for
120 s, so each request has its own; ES256 with a PEM key, EdDSA with one of base64.
"""

from __future__ import annotations

import hashlib
import hmac
import importlib
from base64 import b64decode, b64encode, urlsafe_b64encode
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import orjson

if TYPE_CHECKING:
    from imbalanced.venues.codec import Credentials

Signer: TypeAlias = "Callable[[str, Credentials, int], str]"

NS_PER_S = 1_000_000_000
TOKEN_LIVES_S = 120
VERIFY = "GET/users/self/verify"


def sign_exchange(request: str, credentials: Credentials, now_ns: int) -> str:
    """A request with key, passphrase, time and signature in it."""
    timestamp = str(now_ns // NS_PER_S)
    digest = hmac.digest(b64decode(credentials.secret), f"{timestamp}{VERIFY}".encode(), "sha256")
    proof = {
        "signature": b64encode(digest).decode(),
        "key": credentials.key,
        "passphrase": credentials.passphrase or "",
        "timestamp": timestamp,
    }
    return orjson.dumps(orjson.loads(request) | proof).decode()


def sign_advanced(request: str, credentials: Credentials, now_ns: int) -> str:
    """A request with a token of its own in it."""
    is_pem = credentials.secret.lstrip().startswith("-----BEGIN")
    now_s = now_ns // NS_PER_S
    header = {
        "alg": "ES256" if is_pem else "EdDSA",
        "typ": "JWT",
        "kid": credentials.key,
        # Any number that was not used before: the same request is never made twice at one moment.
        "nonce": hashlib.sha256(f"{now_ns} {request}".encode()).hexdigest(),
    }
    claims = {"iss": "cdp", "sub": credentials.key, "nbf": now_s, "exp": now_s + TOKEN_LIVES_S}
    signed = b".".join(map(_base64, map(orjson.dumps, (header, claims))))
    signature = (_es256 if is_pem else _eddsa)(credentials.secret, signed)
    token = b".".join((signed, _base64(signature))).decode()
    return orjson.dumps(orjson.loads(request) | {"jwt": token}).decode()


def _es256(secret: str, message: bytes) -> bytes:
    ec, utils, hashes, keys = map(_primitives, ("asymmetric.ec", "asymmetric.utils", "hashes", "serialization"))
    key = keys.load_pem_private_key(secret.replace("\\n", "\n").encode(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.key_size != 256:
        raise ValueError("the secret is no key of the curve P-256")
    r, s = utils.decode_dss_signature(key.sign(message, ec.ECDSA(hashes.SHA256(), deterministic_signing=True)))
    signature: bytes = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    return signature


def _eddsa(secret: str, message: bytes) -> bytes:
    keys = _primitives("asymmetric.ed25519")
    signature: bytes = keys.Ed25519PrivateKey.from_private_bytes(b64decode(secret)[:32]).sign(message)
    return signature


def _primitives(module: str) -> Any:
    """Imported when it is used: it is large, and needed by those only who have a key."""
    return importlib.import_module(f"cryptography.hazmat.primitives.{module}")


def _base64(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")
