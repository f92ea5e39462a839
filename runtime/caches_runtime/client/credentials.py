"""Who a client says it is. Asked anew for each connection, so that a password can rotate while clients run."""

from collections.abc import Callable
from pathlib import Path

import redis

Credentials = Path | Callable[[], str]
"""A file that has the password, such as a mounted Secret's, or what returns it."""


class Renewing(redis.CredentialProvider):
    """A user, and a password that may change."""

    def __init__(self, username: str | None, source: Credentials) -> None:
        self._username = username or "default"
        self._source = source

    def get_credentials(self) -> tuple[str, str]:
        """User and password of now."""
        return self._username, self._source.read_text().rstrip("\n") if isinstance(self._source, Path) else self._source()

    async def get_credentials_async(self) -> tuple[str, str]:
        """The same."""
        return self.get_credentials()

    def __repr__(self) -> str:
        return f"<credentials of {self._username}>"
