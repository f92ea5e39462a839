"""`migrate_from` on the real cluster: a running server's data goes into a new cache while a client writes, and nothing is lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cluster.deployed import Client, Deployed, call, eventually, writers

pytestmark = pytest.mark.cluster

MARKER = "pulumi-caches:migration"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    with Deployed(tmp_path_factory.mktemp("old"), "old").deployed() as made:
        yield made


def content(password: str, *hosts: str) -> dict[str, str]:
    """Every key of these servers, and its value."""
    client = Client(password)
    try:
        return {key: client.call(host, "GET", key) for host in hosts for key in client.call(host, "KEYS", "*") if key != MARKER}
    finally:
        client.close()


def log(made: Deployed) -> str:
    return made.kubectl("logs", "job/cache-migrate").splitlines()[-1]


def migrate(source: Deployed, target: Deployed, *hosts: str, **args: Any) -> None:
    """Copies, then cuts over, while a client writes to the source; all that it was told is written is in the target."""
    known, own = source.connection(), target.connection()
    login = {"migrate_from": f"{known['host']}:{known['port']}", "migrate_secret_name": "old"}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "old"}, "stringData": {"password": known["password"]}}
    file = target.folder / "secret.json"
    file.write_text(json.dumps(secret))
    target.kubectl("apply", f"--filename={file}")
    with writers(known, "service") as result:
        target.arguments(**args, **login)
        target.up()
        assert "still serves" in log(target)
        assert call(own["host"], own["password"], "PING") == "PONG"
        target.arguments(**args, **login, migrate_cut_over=True)
        target.up()
        print(log(target))
    assert "are held from now on" in log(target)
    assert result["service"]["lost"] == 0
    assert result["service"]["written"] > 100
    ours = content(known["password"], known["host"])
    assert content(own["password"], *hosts) == ours
    assert len(ours) >= result["service"]["written"]
    assert "Timeout" in call(known["host"], known["password"], "SET", "late", "1")
    # Without the arguments the Job is gone, and the cache serves.
    target.arguments(**args)
    target.up()
    assert "NotFound" in target.kubectl("get", "job", "cache-migrate", succeeds=False)
    assert known["password"] not in json.dumps([target.get(kind) for kind in ("pods", "jobs", "configmaps", "events")])


def test_a_server_becomes_a_sentinel_group_while_a_client_writes(source: Deployed, tmp_path: Path) -> None:
    with Deployed(tmp_path, "new", "SentinelGroup").deployed() as group:
        migrate(source, group, group.connection()["host"])
        assert call(group.connection()["host"], group.connection()["password"], "SET", "after", "1") == "OK"


@pytest.mark.long
def test_a_server_becomes_a_cluster_while_a_client_writes(source: Deployed, tmp_path: Path) -> None:
    known = source.connection()
    call(known["host"], known["password"], "CLIENT", "UNPAUSE")
    eventually(lambda: call(known["host"], known["password"], "SET", "before", "1") == "OK", "the source takes writes")
    with Deployed(tmp_path, "sharded", "RedisClusterWithInit").deployed() as cluster:
        hosts = [f"cache-{shard}-{ordinal}.cache-headless.sharded.svc" for shard in range(3) for ordinal in range(2)]
        password = cluster.connection()["password"]
        migrate(source, cluster, *(host for host in hosts if call(host, password, "ROLE")[0] == "master"))
