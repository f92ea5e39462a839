"""Tokens of Microsoft Entra ID for Azure's caches, of the identity that azure-identity finds.

https://learn.microsoft.com/azure/redis/entra-for-authentication
"""

import json
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable

from azure.identity import DefaultAzureCredential

from caches_runtime.client.connection import Connection
from caches_runtime.client.logins.tokens import Token

_SCOPE = "https://redis.azure.com/.default"
_RENEW_SHARE = 0.7


def source(_: Connection) -> Callable[[], Token]:
    """What gets tokens; their user is the identity's object."""
    credential = DefaultAzureCredential()

    def token() -> Token:
        now = time.monotonic()
        given = credential.get_token(_SCOPE)
        left = given.expires_on - time.time()
        return Token(_object_of(given.token), given.token, now + _RENEW_SHARE * left, now + left)

    return token


def _object_of(token: str) -> str:
    """Whose it is, which the server checks and we don't."""
    try:
        claims = token.split(".")[1]
        return str(json.loads(urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["oid"])
    except (IndexError, KeyError, ValueError):
        # Without the token in it.
        raise ValueError("Entra ID's token does not say whose it is (oid)") from None
