"""Buckets to keep backups in, by emulators that answer over HTTP: moto for S3, Azurite for Azure, fake-gcs-server for Google.

Each is a process, or a thread, with one bucket that is empty. A proxy before it breaks off.
"""

from __future__ import annotations

import base64
import email.utils
import hashlib
import hmac
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from availability import unavailable
from common import go_build, paths
from common.console import Failure, run
from common.waiting import listens, until
from embedded.rootfs import cached_folder
from moto.server import ThreadedMotoServer

BUCKET = "bucket"
ACCOUNT = "shop"
AZURE_KEY, WRONG_AZURE_KEY = (base64.b64encode(letter * 32).decode() for letter in (b"r", b"w"))
AZURE_VERSION = "2021-08-06"


@dataclass(frozen=True)
class Emulator:
    """One that answers."""

    scheme: str
    port: int
    variables: Callable[[int, bool], dict[str, str]]
    """What leads a client to a port, with the right or with wrong credentials."""
    demand: Callable[[], None] = lambda: None
    """From now on it looks who asks, where it has not before."""

    def url(self, bucket: str = BUCKET) -> str:
        """Where a cache's backups are."""
        return f"{self.scheme}://{bucket}/shop/sessions"

    def lead(self, monkeypatch: pytest.MonkeyPatch, port: int | None = None, *, right: bool = True) -> None:
        """Leads this process to it, or to a proxy's port."""
        for name, value in self.variables(port or self.port, right).items():
            monkeypatch.setenv(name, value)


def ask(port: int, method: str, path: str, headers: dict[str, str] | None = None, content: bytes | None = None) -> None:
    """One request; raises OSError when it is refused."""
    with urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}/{path}", content, headers or {}, method=method)):
        pass


@contextmanager
def amazon(_: Path) -> Iterator[Emulator]:
    """Moto, which lets everybody in until it is demanded otherwise."""
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    port = moto.get_host_and_port()[1]

    def variables(port: int, right: bool) -> dict[str, str]:
        # Moto knows nobody, so that all are wrong once it looks.
        login = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "right" if right else "wrong"}
        return {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_REGION": "us-east-1", **login}

    def let_in(requests: str) -> None:
        ask(port, "POST", "moto-api/reset-auth", {"Content-Type": "text/plain"}, requests.encode())

    let_in("inf")
    ask(port, "POST", "moto-api/reset")  # what it holds outlives it
    ask(port, "PUT", BUCKET)
    try:
        yield Emulator("s3", port, variables, lambda: let_in("0"))
    finally:
        let_in("inf")
        moto.stop()


@contextmanager
def azure(folder: Path) -> Iterator[Emulator]:
    """Azurite."""
    program = _azurite() / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
    port = free_port()
    options = ["--inMemoryPersistence", "--disableTelemetry", "--silent", "--blobHost", "127.0.0.1", "--blobPort", str(port)]

    def variables(port: int, right: bool) -> dict[str, str]:
        return {
            "AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT,
            "AZURE_STORAGE_ACCOUNT_KEY": AZURE_KEY if right else WRONG_AZURE_KEY,
            "AZURE_STORAGE_ENDPOINT": f"http://127.0.0.1:{port}/{ACCOUNT}",
        }

    with _running(folder, ["node", str(program), *options], port, AZURITE_ACCOUNTS=f"{ACCOUNT}:{AZURE_KEY}"):
        _make_container(port)
        yield Emulator("az", port, variables)


@contextmanager
def google(folder: Path) -> Iterator[Emulator]:
    """fake-gcs-server, behind what it lacks (tools/go/google-storage); it lets in whoever signs with one service account's key."""
    for name in ("right", "wrong"):
        run(["openssl", "genrsa", "-out", folder / f"{name}.pem", "2048"])
    run(["openssl", "rsa", "-in", folder / "right.pem", "-pubout", "-out", folder / "public.pem"])
    port = free_port()

    def variables(port: int, right: bool) -> dict[str, str]:
        key = {
            "private_key": (folder / f"{'right' if right else 'wrong'}.pem").read_text(),
            "private_key_id": "1",
            "client_email": "backup@shop.iam.gserviceaccount.com",
            "gcs_base_url": f"http://127.0.0.1:{port}",
        }
        return {"GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps(key)}

    try:
        program = go_build.build(["google-storage"])["google-storage"] / "google-storage"
    except Failure as problem:
        unavailable(f"no emulator of Google's storage: {problem}")
    with _running(folder, [str(program), f"-listen=127.0.0.1:{port}", f"-bucket={BUCKET}", f"-key-file={folder / 'public.pem'}"], port):
        yield Emulator("gs", port, variables)


EMULATORS = {"S3": amazon, "Azure": azure, "Google": google}


def _azurite() -> Path:
    """The folder that it is installed in."""
    if missing := [program for program in ("node", "npm") if not shutil.which(program)]:
        unavailable(f"{' and '.join(missing)} not found, which Azurite needs: install Node.js 20 or newer")
    sources = paths.TOOLS / "npm" / "azurite"
    files = [sources / name for name in ("package.json", "package-lock.json")]

    def install(target: Path) -> None:
        for file in files:
            shutil.copy(file, target)
        run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=target)

    try:
        return cached_folder("azurite", b"".join(file.read_bytes() for file in files), "installing Azurite (once)", install)
    except Failure as problem:
        unavailable(f"Azurite can't be installed: {problem}")


def _make_container(port: int) -> None:
    """Its client does not make any."""
    own = {"x-ms-date": email.utils.formatdate(usegmt=True), "x-ms-version": AZURE_VERSION}
    lines = [*(f"{name}:{value}" for name, value in own.items()), f"/{ACCOUNT}/{ACCOUNT}/{BUCKET}", "restype:container"]
    text = "\n".join(["PUT", *[""] * 11, *lines])
    signature = base64.b64encode(hmac.digest(base64.b64decode(AZURE_KEY), text.encode(), hashlib.sha256)).decode()
    ask(port, "PUT", f"{ACCOUNT}/{BUCKET}?restype=container", {**own, "Authorization": f"SharedKey {ACCOUNT}:{signature}"})


@contextmanager
def _running(folder: Path, command: list[str], port: int, **variables: str) -> Iterator[None]:
    log = folder / "emulator.log"
    with log.open("wb") as output, subprocess.Popen(command, env={**os.environ, **variables}, stdout=output, stderr=output) as process:
        try:
            assert until(lambda: listens("127.0.0.1", port), 60), log.read_text()
            yield
        finally:
            process.kill()


def free_port() -> int:
    """One that nobody listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


class Breaking:
    """A proxy that lets a client send so much over each connection; then it hangs up, or only waits."""

    def __init__(self, port: int, limit: int, *, hangs_up: bool) -> None:
        self._target, self._limit, self._hangs_up = port, limit, hangs_up
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.broke = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listening.close()

    def _accept(self) -> None:
        try:
            while True:
                client, _ = self._listening.accept()
                behind = socket.create_connection(("127.0.0.1", self._target))
                threading.Thread(target=self._pass_on, args=[client, behind, self._limit], daemon=True).start()
                threading.Thread(target=self._pass_on, args=[behind, client, sys.maxsize], daemon=True).start()
        except OSError:
            return

    def _pass_on(self, one: socket.socket, other: socket.socket, limit: int) -> None:
        try:
            while data := one.recv(65536):
                limit -= len(data)
                if limit < 0:
                    self.broke.set()
                    if not self._hangs_up:
                        return
                    break
                other.sendall(data)
        except OSError:
            pass
        one.close()
        other.close()
