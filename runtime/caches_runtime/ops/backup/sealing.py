"""Encrypts what leaves the pod, and opens it again: age files, which the program `age` opens too."""

from pathlib import Path

import pyrage
from pyrage import x25519

from caches_runtime.ops.migrate.errors import RefusedError

METHOD = "age"


class Sealing:
    """A key: the secret one, which opens too; or the public one, which only encrypts."""

    def __init__(self, text: str) -> None:
        """From a file as age-keygen writes it. Raises RefusedError."""
        lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
        self._identity: x25519.Identity | None = None
        try:
            [line] = lines
            if line.startswith("age1"):
                self._recipient = x25519.Recipient.from_str(line)
            else:
                self._identity = x25519.Identity.from_str(line)
                self._recipient = self._identity.to_public()
        except (ValueError, pyrage.IdentityError, pyrage.RecipientError) as error:
            raise RefusedError(f"the key is not one line of age-keygen, AGE-SECRET-KEY-1… or age1…: {type(error).__name__}") from None

    def seal(self, source: Path, target: Path) -> None:
        """Encrypts a file into another."""
        pyrage.encrypt_file(str(source), str(target), [self._recipient])

    def open(self, source: Path, target: Path) -> None:
        """Decrypts a file into another. Raises RefusedError when the key is another one, or the file is not whole."""
        if self._identity is None:
            raise RefusedError("the key given is a public one, which can't decrypt: give the AGE-SECRET-KEY-1… that belongs to it")
        try:
            pyrage.decrypt_file(str(source), str(target), [self._identity])
        except (pyrage.DecryptError, OSError, ValueError) as error:
            raise RefusedError(f"{source.name} can't be decrypted: {error}; is it another key?") from None
