"""Where backups are kept: a bucket of S3, Azure or Google, or a folder. Who may in is read from the environment, as their own tools do."""

import contextlib
import hashlib
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import obstore
from obstore import exceptions
from obstore.store import from_url

from caches_runtime.ops.migrate.errors import RefusedError, UnfinishedError

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

SCHEMES = ("s3://", "az://", "gs://", "file:///")
# So much is in memory for each of the parts that are sent at once.
_PART = 16 * 1024 * 1024
_AT_ONCE = 4
# Whoever names an endpoint of his own says how it is spoken to; those of the clouds are https.
_CLIENT: "ClientConfig" = {"connect_timeout": "5s", "timeout": "120s", "allow_http": True}
_RETRY: "RetryConfig" = {"max_retries": 4, "retry_timeout": timedelta(seconds=60)}
# What not every request's error has a class for.
_NOT_LET_IN = re.compile("40[13] (Unauthorized|Forbidden)|AccessDenied|InvalidAccessKeyId|SignatureDoesNotMatch|AuthenticationFailed")
_NOT_THERE = re.compile("NoSuchBucket|ContainerNotFound|404 Not Found")


class Store:
    """One cache's place in a bucket."""

    def __init__(self, url: str) -> None:
        """Raises RefusedError."""
        if not url.startswith(SCHEMES):
            raise RefusedError(f"bucket {url!r}: must begin with one of {', '.join(SCHEMES)}")
        self._url = url
        remote = {"client_options": _CLIENT, "retry_config": _RETRY}
        options: dict[str, Any] = {"mkdir": True, "automatic_cleanup": True} if url.startswith("file:") else remote
        with self._told():
            self._store = from_url(url, **options)

    def check(self) -> None:
        """Asks for anything at all, before any work is done. Raises RefusedError or UnfinishedError."""
        self.folders()

    def folders(self) -> list[str]:
        """The names of the folders in it."""
        with self._told():
            return sorted(prefix.rstrip("/") for prefix in obstore.list_with_delimiter(self._store)["common_prefixes"])

    def files(self, folder: str) -> list[str]:
        """The files of a folder."""
        with self._told():
            return sorted(each["path"] for batch in obstore.list(self._store, folder) for each in batch)

    def upload(self, file: Path, path: str) -> str:
        """Sends a file and reads it back; its SHA-256. Raises UnfinishedError when what is there is not equal."""
        with self._told():
            obstore.put(self._store, path, file, chunk_size=_PART, max_concurrency=_AT_ONCE)
        with file.open("rb") as sent:
            digest = hashlib.file_digest(sent, "sha256").hexdigest()
        there = hashlib.sha256()
        for chunk in self._chunks(path):
            there.update(chunk)
        if there.hexdigest() != digest:
            raise UnfinishedError(f"{self._url}/{path} to hold what was sent: it was read back and differs")
        return digest

    def download(self, path: str, file: Path) -> str:
        """Fetches a file; its SHA-256."""
        digest = hashlib.sha256()
        with file.open("wb") as output:
            for chunk in self._chunks(path):
                output.write(chunk)
                digest.update(chunk)
        return digest.hexdigest()

    def write(self, path: str, content: bytes) -> None:
        """Writes a small file, whole or not at all."""
        with self._told():
            obstore.put(self._store, path, content)

    def read(self, path: str) -> bytes | None:
        """A small file; None when there is none."""
        with self._told():
            try:
                return bytes(obstore.get(self._store, path).bytes())
            except FileNotFoundError:
                return None

    def remove(self, *paths: str) -> None:
        """Removes files, one after the other."""
        with self._told():
            for path in paths:
                obstore.delete(self._store, path)

    def _chunks(self, path: str) -> Iterator[bytes]:
        # Each of them a request of its own: one for all would have to last as long as everything does.
        with self._told():
            size = obstore.head(self._store, path)["size"]
            for start in range(0, size, _PART):
                yield bytes(obstore.get_range(self._store, path, start=start, end=min(start + _PART, size)))

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Says what went wrong with the bucket in one line."""
        try:
            yield
        except (exceptions.BaseError, OSError, ValueError) as error:
            text, first = str(error), str(error).strip().partition("\n")[0][:300]
            let_in = (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError)
            if isinstance(error, let_in) or _NOT_LET_IN.search(text):
                raise RefusedError(f"bucket {self._url} does not let in: {first}; check its credentials") from None
            if isinstance(error, FileNotFoundError) or _NOT_THERE.search(text):
                raise RefusedError(f"bucket {self._url}: there is no such bucket, or no such file in it: {first}") from None
            raise UnfinishedError(f"bucket {self._url}: {first}") from None
