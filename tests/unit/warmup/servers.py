"""What warm-ups are tested with: runs in this process or in one of their own, Memcached and PostgreSQL processes, a web server."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import redis
from availability import unavailable
from caches_runtime.ops.backup.cache import Cache
from caches_runtime.ops.cluster_state import Wanted
from caches_runtime.ops.warmup.cache_source import open_cache
from caches_runtime.ops.warmup.entries import Source
from caches_runtime.ops.warmup.sql_source import open_database
from caches_runtime.ops.warmup.text_source import open_file, open_url
from caches_runtime.ops.warmup.warmup import Done, Settings, WarmUp
from certificates import Certified
from common.waiting import until
from unit.backup.caches import clustered
from unit.cluster_nodes import Nodes, cluster_nodes
from unit.migrate.servers import PASSWORD, address, content
from unit.servers import find_programs

Opens = Callable[[Any], AbstractContextManager[Source]]
KEYS = 5000


def cache_of(connection: dict[str, Any]) -> Cache:
    """The cache of a connection, as a component exports it."""
    folder = Path(tempfile.mkdtemp(prefix="connection-"))
    # Its certificate's authority is read whenever it is connected to.
    atexit.register(shutil.rmtree, folder)
    (folder / "connection.json").write_text(json.dumps(connection))
    return Cache.read(folder / "connection.json", folder, memcached=True)


def warm(
    connection: dict[str, Any],
    source: Opens,
    said: list[str] | None = None,
    rate: float | None = None,
    interrupted: Callable[[], bool] = lambda: False,
    seconds: float = 60,
    **settings: Any,
) -> Done:
    """One run, in this process; times to live as they are unless told otherwise."""
    report = (said if said is not None else []).append
    return WarmUp(cache_of(connection), source, Settings(**{"jitter": 0, **settings}), rate, report, interrupted).run(seconds)


def file(path: Path, format_: str | None = None) -> Opens:
    return lambda _: open_file(path, format_)


def url(address: str, format_: str | None = None) -> Opens:
    return lambda _: open_url(address, format_)


def database(address: str, query: str) -> Opens:
    return lambda _: open_database(address, query)


def cache(connection: dict[str, Any]) -> Opens:
    return lambda target: open_cache(cache_of(connection), target.try_value)


def lines(*records: Any) -> bytes:
    """Records as JSON lines; texts and bytes as they are."""
    texts = [each if isinstance(each, bytes) else (each if isinstance(each, str) else json.dumps(each)).encode() for each in records]
    return b"".join(text + b"\n" for text in texts)


def many(keys: int = KEYS) -> bytes:
    """So many records of a string each."""
    return lines(*({"key": f"key{number}", "value": f"value{number}", "ttl": 3600} for number in range(keys)))


def alike(one: redis.Redis, other: redis.Redis) -> bool:
    """Whether both hold the same, and keys expire at the same time, give or take what a busy machine does."""
    ours, theirs = content(one), content(other)
    return {key: value[:2] for key, value in ours.items()} == {key: value[:2] for key, value in theirs.items()} and all(
        abs(value[2] - theirs[key][2]) < 100_000 and (value[2] < 0) == (theirs[key][2] < 0) for key, value in ours.items()
    )


def command(folder: Path, connection: dict[str, Any], *words: str) -> subprocess.Popen[str]:
    """The command, as a process of its own."""
    (folder / "connection.json").write_text(json.dumps(connection))
    return subprocess.Popen(
        [sys.executable, "-c", "from caches_runtime.cli import main; main()", "warmup", "--jitter=0", *words],
        env={**os.environ, "CONNECTION_FILE": str(folder / "connection.json")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@contextmanager
def three_masters() -> Iterator[tuple[Nodes, dict[str, Any]]]:
    """A cluster, and its connection."""
    with cluster_nodes("redis", "+@all") as nodes:
        places = list(Wanted(3, 0).places())
        nodes.start(*places)
        nodes.repair(3, 0)
        yield nodes, clustered(nodes, *places)


@contextmanager
def web(*answers: Any) -> Iterator[str]:
    """A web server that gives these answers, the last one for ever: bytes, a status, or a function of the request."""
    left = list(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = left.pop(0) if len(left) > 1 else left[0]
            if callable(answer):
                answer(self)
                return
            status, body = (answer, b"") if isinstance(answer, int) else (200, answer)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_PATCH = do_GET

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    serving = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=serving.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{serving.server_port}"
    finally:
        serving.shutdown()
        serving.server_close()
        thread.join()


_MEMCACHED = 'mount --bind "$2" "$1/mnt" && exec chroot "$1" setpriv --pdeathsig=KILL memcached -u root $3'


@dataclass(frozen=True)
class Memcached:
    """A process, the connection to it, and the folder of its logins."""

    process: subprocess.Popen[str]
    connection: dict[str, Any]
    folder: Path

    def accept(self, *passwords: str) -> None:
        """Writes the logins; the server reads them at SIGHUP."""
        (self.folder / "logins").write_text("".join(f"cache:{password}\n" for password in passwords))


@contextmanager
def memcached_process(*options: str, login: bool = True, certificate: Certified | None = None, host: str = "") -> Iterator[Memcached]:
    """One Memcached process, ended afterwards; on an address of its own unless one is given."""
    programs, host = find_programs("memcached"), host or address()
    with tempfile.TemporaryDirectory(prefix="memcached-") as here:
        folder = Path(here)
        inside = Path("/mnt") if programs.root else folder
        words = ["-l", host, *options, *(["-Y", f"{inside}/logins"] if login else [])]
        if certificate:
            for name, text in certificate.files().items():
                (folder / name).write_text(text)
            words += ["-Z", "-o", f"ssl_chain_cert={inside}/tls.crt,ssl_key={inside}/tls.key"]
        (folder / "logins").write_text(f"cache:{PASSWORD}\n")
        started = ["memcached", "-u", "root", *words]
        if programs.root:
            started = ["unshare", "--mount", "sh", "-c", _MEMCACHED, "sh", str(programs.root), here, " ".join(words)]
        with subprocess.Popen(started, stderr=subprocess.PIPE, text=True) as process:
            try:
                connection = {"engine": "memcached", "mode": "sharded", "host": host, "port": 11211, "nodes": [f"{host}:11211"]}
                connection |= {"tls": bool(certificate), "provider": "kubernetes"}
                connection |= {"username": "cache", "password": PASSWORD} if login else {"auth": "none"}
                if certificate:
                    connection["ca_pem"] = certificate.authority_pem
                assert until(lambda: process.poll() is not None or _listens(host), 10, every=0.01)
                assert process.poll() is None, process.stderr and process.stderr.read()
                yield Memcached(process, connection, folder)
            finally:
                process.kill()


@contextmanager
def memcached(*options: str, login: bool = True, certificate: Certified | None = None) -> Iterator[dict[str, Any]]:
    """The connection of one Memcached process, ended afterwards."""
    with memcached_process(*options, login=login, certificate=certificate) as started:
        yield started.connection


def _listens(host: str) -> bool:
    try:
        with socket.create_connection((host, 11211), 1):
            return True
    except OSError:
        return False


@contextmanager
def postgresql() -> Iterator[str]:
    """The URL of a database of a PostgreSQL process of this machine's, ended afterwards."""
    found = [*Path("/usr/lib/postgresql").glob("*/bin"), *(Path(path) for path in os.environ["PATH"].split(":"))]
    programs = next((folder for folder in found if (folder / "initdb").exists() and (folder / "postgres").exists()), None)
    if programs is None:
        unavailable("PostgreSQL's initdb and postgres are not here")
    host = address()
    with tempfile.TemporaryDirectory(prefix="postgresql-") as here:
        folder = Path(here, "data")
        # It does not run as root.
        user = ["setpriv", "--pdeathsig=KILL", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []
        if user:
            os.chown(here, 65534, 65534)
        Path(here, "password").write_text(PASSWORD)
        Path(here, "password").chmod(0o644)
        made: list[str | Path] = [
            *user,
            programs / "initdb",
            "-D",
            folder,
            "-U",
            "shop",
            "-A",
            "scram-sha-256",
            f"--pwfile={here}/password",
            "--no-sync",
        ]
        subprocess.run([*made, "--encoding=UTF8", "--locale=C.UTF-8"], check=True, capture_output=True, cwd=here)
        log = Path(here, "log")
        with log.open("wb") as output:
            started: list[str | Path] = [*user, programs / "postgres", "-D", folder, "-h", host, "-k", here, "-F"]
            process = subprocess.Popen(started, stdout=output, stderr=output, cwd=here)
        try:
            ready = "ready to accept connections"
            assert until(lambda: process.poll() is not None or ready in log.read_text(), 30, every=0.05), log.read_text()
            yield f"postgresql://shop:{PASSWORD}@{host}/postgres"
        finally:
            process.kill()
            process.wait(10)
