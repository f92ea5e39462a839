"""RedisStatefulSet on the real cluster: what it promises while pods die, nodes restart, arguments and passwords change."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cluster.deployed import NODE, Deployed, call, eventually, writing

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def replicated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    """One primary and one replica, shared by the tests that leave it as it is."""
    with Deployed(tmp_path_factory.mktemp("replicated"), "replicated").deployed(replicas=1) as replicated:
        yield replicated


@pytest.fixture
def own(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Deployed]:
    """A cache of the test's own, with the arguments of its parameter."""
    with Deployed(tmp_path, "own").deployed(**getattr(request, "param", {})) as own:
        yield own


def host(deployed: Deployed, suffix: str = "") -> str:
    return f"cache{suffix}.{deployed.namespace}.svc"


def password(deployed: Deployed) -> str:
    return str(deployed.connection()["password"])


def test_up_again_and_refresh_change_nothing(replicated: Deployed) -> None:
    replicated.preview("--expect-no-changes")
    replicated.refresh("--expect-no-changes")
    replicated.up("--expect-no-changes")


def test_the_exported_connection_is_what_a_client_needs(replicated: Deployed) -> None:
    connection = replicated.connection()
    assert call(connection["host"], connection["password"], "SET", "greeting", "hello") == "OK"
    eventually(lambda: call(connection["reader_host"], connection["password"], "GET", "greeting") == "hello", "the replica follows")
    assert "ReadOnlyError" in call(connection["reader_host"], connection["password"], "SET", "greeting", "no")


@pytest.mark.parametrize("wrong", ["", "wrong"])
def test_a_wrong_password_is_refused(replicated: Deployed, wrong: str) -> None:
    for suffix in ("", "-reader"):
        assert "AuthenticationError" in call(host(replicated, suffix), wrong, "GET", "greeting")


def test_pods_run_without_root_on_a_root_file_system_that_can_not_be_written(replicated: Deployed) -> None:
    for pod in replicated.pods():
        assert replicated.kubectl("exec", pod, "--", "id", "-u").strip() == "999"
        assert "Read-only file system" in replicated.kubectl("exec", pod, "--", "touch", "/etc/x", succeeds=False)
        arguments = replicated.kubectl("exec", pod, "--", "sh", "-c", "cat /proc/*/cmdline | tr '\\0' ' '")
        assert password(replicated) not in arguments


@pytest.mark.parametrize("how", [["--grace-period=0", "--force"], ["--grace-period=30"]], ids=["killed", "ended"])
def test_data_survives_a_deleted_pod_and_it_comes_back_with_its_role(replicated: Deployed, how: list[str]) -> None:
    secret = password(replicated)
    assert call(host(replicated), secret, "SET", "kept", how[0]) == "OK"
    before = replicated.pods()
    # The append-only file is forced to disk each second; the command waits for it.
    assert call(host(replicated), secret, "WAITAOF", "1", "0", "5000")[0] == 1
    for pod in ("cache-0", "cache-replica-0"):
        replicated.kubectl("delete", "pod", pod, *how)
    eventually(lambda: len(replicated.pods()) == 2 and not set(replicated.pods().values()) & set(before.values()), "new pods")
    replicated.await_ready()
    eventually(lambda: call(host(replicated), secret, "GET", "kept") == how[0], "the primary has it")
    eventually(lambda: call(host(replicated, "-reader"), secret, "GET", "kept") == how[0], "the replica has it")
    assert call(host(replicated), secret, "ROLE")[0] == "master"
    assert call(host(replicated, "-reader"), secret, "ROLE")[0] == "slave"


def test_reads_go_on_while_the_primary_restarts(replicated: Deployed) -> None:
    secret = password(replicated)
    call(host(replicated), secret, "SET", "read", "me")
    eventually(lambda: call(host(replicated, "-reader"), secret, "GET", "read") == "me", "the replica follows")
    replicated.kubectl("delete", "pod", "cache-0")
    assert call(host(replicated, "-reader"), secret, "GET", "read") == "me"
    replicated.await_ready()
    assert call(host(replicated, "-reader"), secret, "GET", "read") == "me"


def test_data_survives_a_restart_of_the_node(replicated: Deployed) -> None:
    secret = password(replicated)
    assert call(host(replicated), secret, "SET", "rebooted", "yes") == "OK"
    subprocess.run([NODE, "restart", "1"], check=True)
    replicated.await_ready()
    eventually(lambda: call(host(replicated), secret, "GET", "rebooted") == "yes", "the primary has it")
    eventually(lambda: call(host(replicated, "-reader"), secret, "GET", "rebooted") == "yes", "the replica has it")


def test_a_changed_configuration_rolls_the_pods_and_loses_nothing(replicated: Deployed) -> None:
    secret, before = password(replicated), replicated.pods()
    with writing(host(replicated), secret) as result:
        replicated.arguments(replicas=1, maxmemory_policy="allkeys-lru")
        replicated.up()
        # The provider takes a changed StatefulSet for ready while its last pod still restarts.
        replicated.await_ready()
    assert not set(replicated.pods().values()) & set(before.values())
    # Nodes follow the Service's endpoints up to a second after a pod is ready.
    policy = ["maxmemory-policy", "allkeys-lru"]
    eventually(lambda: call(host(replicated), secret, "CONFIG", "GET", policy[0]) == policy, "the primary has the change")
    # A write that was not acknowledged may have been made.
    assert result["written"] > 100
    assert int(call(host(replicated), secret, "GET", "counter")) in (result["written"], result["written"] + 1)
    replicated.preview("--expect-no-changes")


def test_a_password_rotates_without_a_client_being_refused_and_without_a_restart(replicated: Deployed) -> None:
    old, before = password(replicated), replicated.pods()
    args: dict[str, Any] = {"replicas": 1, "maxmemory_policy": "allkeys-lru"}
    with writing(host(replicated), old) as result:
        replicated.arguments(**args, password_version=2)
        replicated.up()
        new = password(replicated)
        assert new != old
        for suffix in ("", "-reader"):
            assert call(host(replicated, suffix), new, "PING") == "PONG"
            assert call(host(replicated, suffix), old, "PING") == "PONG"
    assert result["errors"] == []
    assert replicated.pods() == before

    replicated.arguments(**args, password_version=2, password_previous_valid=False)
    with writing(host(replicated), new) as result:
        replicated.up()
        services = [host(replicated), host(replicated, "-reader")]
        eventually(lambda: all("AuthenticationError" in str(call(name, old, "PING")) for name in services), "the old one ends")
    assert result["errors"] == []
    assert replicated.pods() == before
    assert "master_link_status:up" in replicated.kubectl(
        "exec", "cache-replica-0", "--", "sh", "-c", "REDISCLI_AUTH=$(cat /etc/cache/credentials/password) redis-cli info replication"
    )


def test_no_password_is_in_a_config_map_a_pod_or_a_log(replicated: Deployed) -> None:
    secret = password(replicated)
    shown = [json.dumps(replicated.get(kind)) for kind in ("configmaps", "pods", "statefulsets", "events", "jobs")]
    shown += [replicated.kubectl("logs", pod) for pod in replicated.pods()]
    assert not [text for text in shown if secret in text]


def test_a_primary_whose_volume_was_emptied_does_not_empty_its_replica(replicated: Deployed) -> None:
    secret = password(replicated)
    call(host(replicated), secret, "SET", "last", "copy")
    eventually(lambda: call(host(replicated, "-reader"), secret, "GET", "last") == "copy", "the replica follows")
    kept = replicated.kubectl("exec", "cache-0", "--", "sh", "-c", "mkdir /data/aside && mv /data/appendonlydir /data/aside/ && echo moved")
    assert kept == "moved\n"
    replicated.kubectl("delete", "pod", "cache-0", "--grace-period=0", "--force")
    eventually(lambda: "holds data, which starting would erase" in _logs(replicated), "it refuses")
    assert call(host(replicated, "-reader"), secret, "GET", "last") == "copy"
    replicated.kubectl("delete", "statefulset", "cache-replica", "--cascade=orphan")
    replicated.kubectl("delete", "pod", "cache-replica-0")
    replicated.await_ready()
    replicated.refresh()
    replicated.up()


def _logs(deployed: Deployed) -> str:
    done = subprocess.run([NODE, "kubectl", "-n", deployed.namespace, "logs", "cache-0"], capture_output=True, text=True)
    return done.stdout


@pytest.mark.parametrize("own", [{"engine": "valkey", "persistence": "rdb", "image": "caches.test/debian:trixie"}], indirect=True)
def test_valkey_with_snapshots_from_an_image_of_ones_own_keeps_its_data_over_a_restart(own: Deployed) -> None:
    secret = password(own)
    assert "server_name:valkey" in call(host(own), secret, "INFO", "server")
    assert call(host(own), secret, "SET", "kept", "yes") == "OK"
    own.kubectl("delete", "pod", "cache-0")
    own.await_ready()
    eventually(lambda: call(host(own), secret, "GET", "kept") == "yes", "the snapshot of the shutdown was loaded")


FIXED = "fixed"
"""A StorageClass that says nothing of growing."""


@pytest.fixture
def fixed_class(tmp_path: Path) -> Iterator[None]:
    manifest = tmp_path / "class.json"
    provisioned = {"provisioner": "rancher.io/local-path", "volumeBindingMode": "WaitForFirstConsumer"}
    manifest.write_text(json.dumps({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": FIXED}, **provisioned}))
    subprocess.run([NODE, "kubectl", "apply", "--filename", manifest], check=True)
    yield
    subprocess.run([NODE, "kubectl", "delete", "--filename", manifest], check=True)


@pytest.mark.usefixtures("fixed_class")
@pytest.mark.parametrize("own", [{"storage_class": FIXED}], indirect=True)
def test_a_volume_whose_class_can_not_grow_it_is_refused_and_the_cache_goes_on(own: Deployed) -> None:
    before = own.pods()
    own.arguments(storage_class=FIXED, storage_gib=5)
    for refused in (own.preview(succeeds=False), own.up(succeeds=False)):
        assert "storage_gib: 1 can't become 5: the volumes' StorageClass 'fixed' doesn't let them grow" in refused.stdout
    assert own.pods() == before
    assert call(host(own), password(own), "PING") == "PONG"


@pytest.mark.parametrize("own", [{"replicas": 1}], indirect=True)
def test_a_volume_whose_class_can_grow_it_is_asked_to_while_the_cache_goes_on(own: Deployed) -> None:
    before = own.pods()
    own.arguments(replicas=1, storage_gib=2)
    own.up()
    claims = own.get("persistentvolumeclaims")["items"]
    assert [claim["spec"]["resources"]["requests"]["storage"] for claim in claims] == ["2Gi", "2Gi"]
    assert own.pods() == before
    own.preview("--expect-no-changes")


def test_an_existing_secret_is_used_checked_and_its_change_followed_without_a_restart(own: Deployed) -> None:
    own.kubectl("create", "secret", "generic", "mine", "--from-literal=pw=first")
    own.arguments(existing_secret_name="mine")
    refused = own.preview(succeeds=False)
    assert "existing_secret_key = 'password': the Secret has no such key (it has: pw)" in refused.stdout
    assert "Traceback" not in refused.stdout
    own.arguments(existing_secret_name="missing")
    assert "'own/missing' does not exist" in own.preview(succeeds=False).stdout

    own.arguments(existing_secret_name="mine", existing_secret_key="pw")
    own.up()
    assert call(host(own), "first", "PING") == "PONG"
    before = own.pods()
    own.kubectl("patch", "secret", "mine", "--patch", json.dumps({"stringData": {"pw": "second", "previous-password": "first"}}))
    own.up()
    assert call(host(own), "second", "PING") == "PONG"
    assert call(host(own), "first", "PING") == "PONG"
    assert own.pods() == before
    own.preview("--expect-no-changes")


def test_destroy_leaves_nothing(tmp_path: Path) -> None:
    with Deployed(tmp_path, "gone").deployed(replicas=1) as deployed:
        volumes = {claim["spec"]["volumeName"] for claim in deployed.get("persistentvolumeclaims")["items"]}
        assert len(volumes) == 2
    assert deployed.export() == []
    assert "not found" in deployed.kubectl("get", "namespace", "gone", succeeds=False)

    def left() -> bool:
        return bool(volumes & {item["metadata"]["name"] for item in deployed.get("persistentvolumes")["items"]})

    eventually(lambda: not left(), "the volumes are deleted")


@pytest.mark.parametrize("own", [{"storage_retained": True}], indirect=True)
def test_a_retained_volume_outlives_the_cache(own: Deployed) -> None:
    secret = password(own)
    assert call(host(own), secret, "SET", "kept", "yes") == "OK"
    own.kubectl("delete", "statefulset", "cache")
    assert [claim["metadata"]["name"] for claim in own.get("persistentvolumeclaims")["items"]] == ["data-cache-0"]
    own.refresh()
    own.up()
    eventually(lambda: call(host(own), secret, "GET", "kept") == "yes", "the volume was taken again")
