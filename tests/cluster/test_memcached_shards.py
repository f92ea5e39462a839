"""MemcachedShards on the real cluster: what it promises while pods die, shards are added and passwords change."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from certificates import Certified, certify
from cluster.deployed import NODE, Deployed, eventually
from unit.test_memcached_shards import shard_of

pytestmark = pytest.mark.cluster

CLIENT = Path(__file__).resolve().parents[1] / "memcached_client.py"


class Shards(Deployed):
    """MemcachedShards named `cache`, small."""

    def __init__(self, scratch: Path, namespace: str) -> None:
        super().__init__(scratch, namespace, "MemcachedShards")

    def arguments(self, **args: Any) -> None:
        self.pulumi("config", "set", "args", json.dumps({"memory_gib": 0.0625, "cpu_request": 0.02, **args}))


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shards]:
    """Four shards, shared by the tests in the order in which they are here."""
    with Shards(tmp_path_factory.mktemp("shards"), "shards").deployed(shards=4) as shards:
        yield shards


def call(connection: dict[str, Any], node: str, *commands: str, **login: Any) -> Any:
    """The replies of one shard."""
    done = subprocess.run(
        _client(node, "call"), input=_login(connection, **login, commands=commands), capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


@contextmanager
def writing(connection: dict[str, Any], node: str) -> Iterator[dict[str, Any]]:
    """Writes while the block runs; what came of it is in the dictionary afterwards."""
    result: dict[str, Any] = {}
    with subprocess.Popen(_client(node, "write"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdin is not None
        assert writer.stdout is not None
        writer.stdin.write(_login(connection))
        writer.stdin.flush()
        assert writer.stdout.readline() == "started\n"
        try:
            yield result
        finally:
            result |= json.loads(writer.communicate()[0])


def _login(connection: dict[str, Any], **more: Any) -> str:
    login = {"user": connection.get("username"), "password": connection.get("password"), "ca_pem": connection.get("ca_pem")}
    return json.dumps({**login, **more}) + "\n"


def _client(node: str, action: str) -> list[str | Path]:
    host, _, port = node.partition(":")
    return [NODE, "run", "--", sys.executable, CLIENT, host, port, action]


def by_shard(keys: list[str], nodes: list[str]) -> dict[str, list[str]]:
    return {node: [key for key in keys if shard_of(key, nodes) == node] for node in nodes}


def store(connection: dict[str, Any], keys: list[str]) -> None:
    """Writes each key to its shard, with its own name as the value."""
    for node, own in by_shard(keys, connection["nodes"]).items():
        assert call(connection, node, *(f"set {key} 0 0 {len(key)}\r\n{key}" for key in own)) == ["STORED"] * len(own)


def found(connection: dict[str, Any], keys: list[str]) -> set[str]:
    """The keys that are where the shard list says."""
    return {
        key
        for node, own in by_shard(keys, connection["nodes"]).items()
        for key, value in zip(own, call(connection, node, *(f"get {key}" for key in own)), strict=True)
        if value == key
    }


def test_up_again_and_refresh_change_nothing(shards: Shards) -> None:
    shards.preview("--expect-no-changes")
    shards.refresh("--expect-no-changes")
    shards.up("--expect-no-changes")


def test_every_shard_serves_its_own_keys(shards: Shards) -> None:
    connection = shards.connection()
    assert len(connection["nodes"]) == 4
    keys = [f"key{number}" for number in range(200)]
    store(connection, keys)
    assert found(connection, keys) == set(keys)
    counts = [int(call(connection, node, "stats")[0]["curr_items"]) for node in connection["nodes"]]
    assert sum(counts) == 200
    assert min(counts) > 0


@pytest.mark.parametrize("wrong", [None, "wrong"])
def test_a_wrong_password_is_refused(shards: Shards, wrong: str | None) -> None:
    connection = shards.connection()
    said = str(call(connection, connection["nodes"][0], "get key", password=wrong))
    assert "unauthenticated" in said if wrong is None else "authentication failure" in said


def test_pods_run_without_root_on_a_root_file_system_that_can_not_be_written(shards: Shards) -> None:
    assert shards.kubectl("exec", "cache-0", "--", "id", "-u").strip() == "999"
    assert "Read-only file system" in shards.kubectl("exec", "cache-0", "--", "touch", "/etc/x", succeeds=False)
    arguments = shards.kubectl("exec", "cache-0", "--", "sh", "-c", "cat /proc/*/cmdline | tr '\\0' ' '")
    assert "--memory-limit=40" in arguments
    assert shards.connection()["password"] not in arguments


@pytest.mark.parametrize("how", [["--grace-period=0", "--force"], []], ids=["killed", "ended"])
def test_a_deleted_shard_comes_back_empty_under_its_name_and_the_others_keep_their_keys(shards: Shards, how: list[str]) -> None:
    connection = shards.connection()
    keys = [f"kept{number}" for number in range(100)]
    store(connection, keys)
    before = shards.pods()
    shards.kubectl("delete", "pod", "cache-1", *how)
    eventually(lambda: shards.pods().get("cache-1", before["cache-1"]) != before["cache-1"], "a new pod")
    shards.await_ready()
    lost = set(by_shard(keys, connection["nodes"])[connection["nodes"][1]])
    eventually(lambda: "error" not in call(connection, connection["nodes"][1], "version"), "its name leads to it")
    assert found(connection, keys) == set(keys) - lost
    assert shards.connection() == connection
    store(connection, sorted(lost))
    assert found(connection, keys) == set(keys)


def test_a_fifth_shard_takes_its_part_of_the_keys_and_every_other_key_is_still_found(shards: Shards) -> None:
    before, pods = shards.connection(), shards.pods()
    keys = [f"user:{number}:profile" for number in range(5000)]
    store(before, keys)
    shards.arguments(shards=5)
    shards.up()
    after = shards.connection()
    assert after["nodes"][:4] == before["nodes"]
    assert after["password"] == before["password"]
    assert pods.items() <= shards.pods().items(), "no shard restarted"
    moved = set(by_shard(keys, after["nodes"])[after["nodes"][4]])
    assert found(after, keys) == set(keys) - moved
    assert len(moved) / len(keys) <= 0.21
    print(f"{len(moved) / len(keys):.2%} of the keys moved")


def test_a_password_rotates_without_a_client_being_refused_and_without_a_restart(shards: Shards) -> None:
    old, before = shards.connection(), shards.pods()
    with writing(old, old["nodes"][0]) as result:
        shards.arguments(shards=5, password_version=2)
        shards.up()
        new = shards.connection()
        assert new["password"] != old["password"]
        for node in new["nodes"]:
            for connection in (new, old):
                assert call(connection, node, "version") == ["VERSION 1.6.38"]
    assert result["errors"] == []
    assert result["written"] > 100
    assert shards.pods() == before

    shards.arguments(shards=5, password_version=2, password_previous_valid=False)
    shards.up()
    for node in new["nodes"]:
        eventually(lambda node=node: "authentication failure" in str(call(old, node, "version")), "the old one is refused")  # type: ignore[misc]
        assert call(new, node, "version") == ["VERSION 1.6.38"]
    shards.preview("--expect-no-changes")


def test_an_existing_secret_that_can_not_be_used_is_refused_and_one_that_can_is_taken(shards: Shards) -> None:
    shards.kubectl("create", "secret", "generic", "mine", "--from-literal=pw=two words", "--from-literal=good=first")
    shards.arguments(shards=5, existing_secret_name="mine", existing_secret_key="pw")
    assert "the password in the Secret can't be logged in with" in shards.preview(succeeds=False).stdout
    shards.arguments(shards=5, existing_secret_name="mine", existing_secret_key="good")
    shards.up()
    connection = shards.connection()
    assert connection["password"] == "first"
    for node in connection["nodes"]:
        assert call(connection, node, "version") == ["VERSION 1.6.38"]


def test_with_tls_every_shard_serves_and_a_renewed_certificate_is_used_without_a_restart(shards: Shards, tmp_path: Path) -> None:
    names = f"DNS:*.cache-headless.{shards.namespace}.svc"
    before, after = certify(names), certify(names)
    _keep(shards, tmp_path, before)
    args: dict[str, Any] = {"shards": 2, "existing_secret_name": "mine", "existing_secret_key": "good"}
    shards.arguments(**args, tls_secret_name="missing")
    assert "'shards/missing' does not exist" in shards.preview(succeeds=False).stdout
    shards.arguments(**args, tls_secret_name="mine")
    assert "the Secret has no tls.crt and no tls.key (it has: good, pw)" in shards.preview(succeeds=False).stdout

    shards.arguments(**args, tls_secret_name="certificate")
    shards.up()
    shards.await_ready()
    connection, pods = shards.connection(), shards.pods()
    assert connection["tls"] is True
    for node in connection["nodes"]:
        assert call(connection, node, "version") == ["VERSION 1.6.38"]
        assert "error" in call(connection, node, "version", ca_pem=None), "no client without TLS is served"
        assert "error" in call(connection, node, "version", ca_pem=after.authority_pem)

    shards.kubectl("delete", "secret", "certificate")
    _keep(shards, tmp_path, after)
    shards.up()
    renewed = shards.connection()
    assert renewed["ca_pem"] == after.authority_pem
    for node in renewed["nodes"]:
        eventually(lambda node=node: call(renewed, node, "version") == ["VERSION 1.6.38"], "the new certificate is used")  # type: ignore[misc]
    assert shards.pods() == pods
    shards.preview("--expect-no-changes")


def _keep(shards: Shards, scratch: Path, certificate: Certified) -> None:
    """Puts a certificate in a Secret, as cert-manager does."""
    files = {"tls.crt": certificate.certificate_pem, "tls.key": certificate.key_pem, "ca.crt": certificate.authority_pem}
    for name, content in files.items():
        (scratch / name).write_text(content)
    shards.kubectl("create", "secret", "generic", "certificate", *(f"--from-file={scratch / name}" for name in files))


def test_a_deployment_serves_behind_its_service(tmp_path: Path) -> None:
    with Shards(tmp_path, "single").deployed(workload="deployment", auth="none", extstore_gib=1) as deployed:
        connection = deployed.connection()
        assert call(connection, connection["nodes"][0], "set a 0 0 1\r\nb", "get a") == ["STORED", "b"]
        assert call(connection, connection["nodes"][0], "stats")[0]["extstore_limit_maxbytes"] == str(14 * 64 * 2**20)
        deployed.preview("--expect-no-changes")
        deployed.kubectl("delete", "pod", "--all")
        deployed.kubectl("rollout", "status", "deployment/cache", "--timeout=120s")
        eventually(lambda: call(connection, connection["nodes"][0], "get a") == [None], "it serves again, empty")
    assert deployed.export() == []
    assert "not found" in deployed.kubectl("get", "namespace", "single", succeeds=False)
    eventually(lambda: deployed.get("persistentvolumes")["items"] == [], "the volume goes with the pod")
