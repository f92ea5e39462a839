"""A server that nobody else can log in to and that leaves nothing behind: what a backup is worth is seen by loading it."""

import re
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import redis

from caches_runtime.ops.migrate.errors import RefusedError, UnfinishedError
from caches_runtime.ops.migrate.link import LOST, Endpoint, Link

# More than a cache of ours may have: what a file has in one that there is not would end the server.
_DATABASES = 10_000
_CONFIG = """
bind 127.0.0.1
port {port}
requirepass {password}
databases {databases}
dir "{folder}"
save ""
appendonly no
enable-debug-command local
enable-protected-configs local
"""
_START_SECONDS = 20
_KEYS_READ = re.compile(r"\] (\d+) keys read")


class Throwaway:
    """A running server, on the loopback, that takes one backup's files after another."""

    def __init__(self, engine: str) -> None:
        """Raises RefusedError when the image has no such server."""
        program = shutil.which(f"{engine}-server")
        if not program:
            raise RefusedError(f"there is no {engine}-server here, which a backup is verified with: use an image that has it")
        self._folder = tempfile.TemporaryDirectory(prefix="throwaway-")
        self._log = Path(self._folder.name, "log")
        self.endpoint = Endpoint("127.0.0.1", _free_port(), password=secrets.token_urlsafe(24))
        config = _CONFIG.format(port=self.endpoint.port, password=self.endpoint.password, databases=_DATABASES, folder=self._folder.name)
        # In a file that nobody else may read, where no list of processes shows the password.
        Path(self._folder.name, "server.conf").write_text(config)
        with self._log.open("wb") as log:
            self._process = subprocess.Popen([program, "server.conf"], stdout=log, stderr=log, cwd=self._folder.name)
        self._await_start()

    def load(self, file: Path) -> int:
        """Adds what is in the file; how many keys that has, those included that have expired meanwhile. Raises RefusedError."""
        try:
            connection = self.endpoint.connect("caches-backup", socket_timeout=None)
        except LOST as error:
            raise RefusedError(f"the throw-away server is gone: {error}; {self._last_words()}") from None
        name = f"{secrets.token_hex(8)}.rdb"
        Path(self._folder.name, name).symlink_to(file.resolve())
        try:
            # Each shard of a cluster has the same functions.
            for command in (("CONFIG", "SET", "dbfilename", name), ("DEBUG", "RELOAD", "NOSAVE", "NOFLUSH", "MERGE")):
                connection.send_command(*command)  # type: ignore[no-untyped-call]
                connection.read_response()
        except (*LOST, redis.ResponseError) as error:
            raise RefusedError(f"{file.name} can't be loaded ({error}): {self._last_words()}") from None
        finally:
            connection.disconnect()  # type: ignore[no-untyped-call]
        with Link(self.endpoint, "caches-backup") as link:
            info = link.info("persistence")
        return int(info["rdb_last_load_keys_loaded"]) + int(info["rdb_last_load_keys_expired"])

    def close(self) -> None:
        """Ends it."""
        self._process.kill()
        self._process.wait()
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _await_start(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                Link(self.endpoint, "caches-backup").close()
            except LOST as error:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    words = self._last_words()
                    self.close()
                    raise UnfinishedError(f"a throw-away server to start: {error}; {words}") from None
                time.sleep(0.05)
            else:
                return

    def _last_words(self) -> str:
        lines = [line for line in self._log.read_text(errors="replace").splitlines() if line.strip()]
        if self._process.poll() in (-9, 137):
            return "it was killed, most likely for want of memory: give the pod more memory_gib"
        return " / ".join(lines[-3:])


def count(engine: str, file: Path) -> int:
    """How many keys a file has that was verified by its checker and by loading it. Raises RefusedError."""
    read = _run_checker(engine, file)
    with Throwaway(engine) as server:
        loaded = server.load(file)
    if read is not None and read != loaded:
        raise RefusedError(f"{file.name}: the checker reads {read} keys and the server {loaded}")
    return loaded


def _run_checker(engine: str, file: Path) -> int | None:
    program = shutil.which(f"{engine}-check-rdb")
    if not program:
        return None
    done = subprocess.run([program, str(file)], capture_output=True, text=True, errors="replace")
    if done.returncode:
        raise RefusedError(f"{file.name} is not whole: {' / '.join(done.stdout.strip().splitlines()[-3:])}")
    found = _KEYS_READ.search(done.stdout)
    return int(found[1]) if found else None


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port
