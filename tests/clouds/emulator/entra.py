"""Entra ID of the emulator: it signs tokens, gives them out as App Service does to a managed identity, and checks them.

https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference
https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference
"""

from __future__ import annotations

import json
import time
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
from common.locking import locked
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

_AUDIENCE = "https://redis.azure.com"
_SECONDS = 3600


def token_for(cloud: Path, principal: str, **claims: Any) -> str:
    """An access token for Azure's caches, of an object ID. `claims` take the place of the usual ones."""
    now = int(time.time())
    usual = {"aud": _AUDIENCE, "oid": principal, "iat": now, "exp": now + _SECONDS}
    return jwt.encode({**usual, **claims}, _key(cloud), algorithm="RS256")


def good_until(token: str, user: str, *, cloud: str) -> float | None:
    """Until when a connection may stay, in seconds of time.time(); None for a token that lets nobody in. A user's name is the object ID."""
    public = _key(Path(cloud)).public_key()
    try:
        claims = jwt.decode(token, public, ["RS256"], {"require": ["exp", "aud", "oid"]}, audience=_AUDIENCE)
    except jwt.InvalidTokenError:
        return None
    return float(claims["exp"]) if claims["oid"] == user else None


def identity(cloud: Path, principal: str) -> dict[str, str]:
    """The environment of a program that runs as a managed identity, whose client ID is its object ID here."""
    return {
        "AZURE_TOKEN_CREDENTIALS": "ManagedIdentityCredential",
        "AZURE_CLIENT_ID": principal,
        "IDENTITY_ENDPOINT": _endpoint(cloud),
        "IDENTITY_HEADER": "emulated",
    }


@cache
def _endpoint(cloud: Path) -> str:
    """Of identities' tokens, for as long as this process runs."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            principal = parse_qs(urlsplit(self.path).query)["client_id"][0]
            given = {"access_token": token_for(cloud, principal), "expires_on": str(int(time.time()) + _SECONDS)}
            body = json.dumps({**given, "resource": _AUDIENCE, "token_type": "Bearer"}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}/token"


def _key(cloud: Path) -> rsa.RSAPrivateKey:
    """What tokens are signed with, made once."""
    file = cloud / "entra-key.pem"
    with locked(cloud / "entra.lock", "Entra's key"):
        if not file.exists():
            made = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
            file.touch(0o600)
            file.write_bytes(made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        key = load_pem_private_key(file.read_bytes(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return key
