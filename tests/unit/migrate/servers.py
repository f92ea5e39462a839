"""Servers to copy from and to: real processes on loopback addresses of their own, and clients that change what they hold."""

from __future__ import annotations

import random
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

import redis
from caches_runtime.ops.migrate.link import Endpoint
from caches_runtime.ops.migrate.migration import Done, Migration
from caches_runtime.ops.migrate.target import MARKER
from common.waiting import until
from redis.backoff import NoBackoff
from redis.retry import Retry
from unit.cluster_nodes import START
from unit.servers import Programs, call, find_programs

PASSWORD = "the-password"
CONFIG = """
bind {host}
port 6379
protected-mode no
dir {folder}
save ""
repl-diskless-sync-delay 0
user default on >{password} ~* &* +@all
"""
LARGE = 700
"""More than a server keeps in its compact form, which is when DUMPs of the same differ."""


def address() -> str:
    """One of its own among all that runs on this machine."""
    return ".".join(["127", *(str(random.randint(2, 254)) for _ in range(3))])  # noqa: S311


class Server:
    """One process."""

    def __init__(self, programs: Programs, folder: Path, *extra: str, files: dict[str, str] | None = None, host: str = "") -> None:
        self.host = host or address()
        self.endpoint = Endpoint(self.host, 6379, password=PASSWORD)
        inside = folder if programs.root is None else Path("/mnt")
        for name, text in (files or {}).items():
            (folder / name).write_text(text)
        config = CONFIG.format(host=self.host, folder=inside, password=PASSWORD)
        (folder / "server.conf").write_text(config + "".join(f"{line.format(folder=inside)}\n" for line in extra))
        command = [f"{programs.engine}-server", str(folder / "server.conf")]
        if programs.root:
            command = ["unshare", "--mount", "sh", "-c", START, "sh", str(programs.root), str(folder), programs.engine]
        self.log = folder / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        assert until(self._answers, 10, every=0.02), self.log.read_text()

    def client(self, database: int = 0, seconds: float = 10) -> redis.Redis:
        """A client that tries nothing twice."""
        options: dict[str, Any] = {"retry": Retry(NoBackoff(), 0), "socket_timeout": seconds, "protocol": 2, "driver_info": None}
        return redis.Redis(host=self.host, db=database, password=PASSWORD, single_connection_client=True, **options)

    def ask(self, *words: str, database: int = 0) -> Any:
        with self.client(database) as client:
            client.response_callbacks.clear()
            return call(client, *words)

    def writes(self) -> bool:
        """Whether it takes writes, rather than lets them wait."""
        try:
            with self.client(seconds=0.3) as client:
                return bool(client.set("written", "1"))
        except redis.TimeoutError:
            return False

    def end(self) -> None:
        self.process.kill()
        self.process.wait(10)

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False


@contextmanager
def server(engine: str, *extra: str, **more: Any) -> Iterator[Server]:
    """A server with further lines of configuration, and files beside it; ended afterwards."""
    programs = find_programs(engine)
    with tempfile.TemporaryDirectory(prefix="migrate-") as folder, ExitStack() as closing:
        made = Server(programs, Path(folder), *extra, **more)
        closing.callback(made.end)
        yield made


def migrate(source: Endpoint, target: Endpoint, *, cut_over: bool = False, seconds: float = 20, said: list[str] | None = None) -> Done:
    """One run, in this process."""
    return Migration(source, target, cut_over, (said if said is not None else []).append).run(seconds)


def fill(source: Server, keys: int = 2000) -> None:
    """Keys of every type in two databases, small and large, some that expire."""
    for database in (0, 3):
        with source.client(database) as client, client.pipeline(transaction=False) as pipe:
            pipe.delete("list", "stream")
            for number in range(keys):
                pipe.set(f"text{number}", number, px=None if number % 3 else 600_000 + number)
            pipe.hset("hash", mapping={str(number): number for number in range(LARGE)})
            pipe.sadd("set", *(f"member{number}" for number in range(LARGE)))
            pipe.zadd("zset", {str(number): number / 7 for number in range(LARGE)})
            pipe.rpush("list", *range(LARGE))
            for number in range(50):
                pipe.xadd("stream", {"number": number}, id=f"{number + 1}-1")
            pipe.xgroup_create("stream", "group", id="0")
            pipe.xreadgroup("group", "consumer", {"stream": ">"}, count=7)
            pipe.set(b"\xff\x00 any bytes", b"\x00\xff")
            pipe.execute()


def content(client: redis.Redis | redis.RedisCluster) -> dict[bytes, tuple[Any, ...]]:
    """Everything: by key its type, its value, and when it expires."""
    found = {}
    for key in client.scan_iter(count=1000):
        if key == MARKER:
            continue
        kind = client.type(key)
        reads: dict[bytes, Any] = {
            b"string": lambda key=key: client.get(key),
            b"hash": lambda key=key: client.hgetall(key),
            b"set": lambda key=key: client.smembers(key),
            b"zset": lambda key=key: client.zrange(key, 0, -1, withscores=True),
            b"list": lambda key=key: client.lrange(key, 0, -1),
            b"stream": lambda key=key: (client.xrange(key), client.xinfo_groups(key)),
        }
        if kind in reads:  # else it has just expired
            lives = client.pttl(key)
            found[key] = (kind, reads[kind](), lives if lives < 0 else lives + time.monotonic() * 1000)
    return found


def same(source: Server, target: redis.Redis | redis.RedisCluster, database: int = 0) -> bool:
    """Whether a target's database holds what the source's does, to the second; what differs is printed."""
    with source.client(database) as client:
        ours, theirs = content(client), content(target)
    for key in ours.keys() | theirs.keys():
        # One that is about to expire may do so between the two looks.
        if key not in ours or key not in theirs:
            ends = (ours if key in ours else theirs)[key][2]
            if not 0 <= ends - time.monotonic() * 1000 < 1000:
                print(key, "only in", "the source" if key in ours else "the target")
                return False
        elif ours[key][:2] != theirs[key][:2] or abs(ours[key][2] - theirs[key][2]) > 1000:
            print(key, "differs")
            return False
    return True


class Changes:
    """Clients of a source that change it at random, each in its own keys, until writes wait; they know what was acknowledged."""

    def __init__(self, source: Server, databases: tuple[int, ...], seed: int) -> None:
        self.acknowledged = [0] * len(databases)
        self._source = source
        self._stop = threading.Event()
        self._troubles: list[Exception] = []
        self._threads = [
            threading.Thread(target=self._run, args=[number, database, random.Random(seed + number)])  # noqa: S311
            for number, database in enumerate(databases)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        assert self._troubles == []

    def _run(self, number: int, database: int, random_: random.Random) -> None:
        # Long enough for a hold in which all is copied that remains; held for good, a client gives up.
        with self._source.client(database, seconds=3) as client:
            try:
                while not self._stop.is_set():
                    change(client, random_, f"client{number}:")
                    self.acknowledged[number] = int(client.incr(f"client{number}:count"))
            except redis.TimeoutError:
                pass
            except redis.RedisError as error:
                self._troubles.append(error)


def change(client: redis.Redis, random_: random.Random, prefix: str) -> None:
    """One change of any kind to any key."""
    name = f"{prefix}{random_.choice(['text', 'hash', 'set', 'zset', 'list', 'stream'])}{random_.randrange(40)}"
    kind = name.removeprefix(prefix).rstrip("0123456789")
    value = f"{random_.randrange(1000)}"
    what = random_.random()
    if what < 0.1:
        client.delete(name)
    elif what < 0.2:
        client.pexpire(name, random_.choice([5, 200, 60_000]))
    elif what < 0.25:
        client.persist(name)
    elif what < 0.28:
        client.copy(name, f"{prefix}{kind}{40 + random_.randrange(40)}", replace=True)
    elif what < 0.3:
        client.delete(*(f"text{random_.randrange(2000)}" for _ in range(3)))
    else:
        writes: dict[str, Any] = {
            "text": lambda: client.append(name, value),
            "hash": lambda: client.hset(name, value, value),
            "set": lambda: client.sadd(name, value),
            "zset": lambda: client.zadd(name, {value: random_.random()}),
            "list": lambda: client.lpush(name, value) and random_.random() < 0.2 and client.rpop(name),
            "stream": lambda: client.xadd(name, {"value": value}, maxlen=20, approximate=False),
        }
        writes[kind]()
