"""Access tokens of Google Cloud for Memorystore, of the application default credentials.

https://cloud.google.com/memorystore/docs/cluster/about-iam-auth
"""

import time
from collections.abc import Callable
from datetime import UTC
from typing import Any

import google.auth
from google.auth.transport.requests import Request

from caches_runtime.client.connection import Connection
from caches_runtime.client.logins.tokens import Token

_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_RENEW_SHARE = 0.7


def source(connection: Connection) -> Callable[[], Token]:
    """What gets tokens."""

    def token() -> Token:
        now = time.monotonic()
        # Looked for each time: it may ask the metadata server, which takes time, and they may have changed.
        credentials: Any = google.auth.default(scopes=[_SCOPE])[0]
        credentials.refresh(Request())
        left = credentials.expiry.replace(tzinfo=UTC).timestamp() - time.time()
        return Token(connection.username or "default", credentials.token, now + _RENEW_SHARE * left, now + left)

    return token
