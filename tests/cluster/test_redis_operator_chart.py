"""The stack `operator` with the OT operator from its own chart, and servers with sentinels that this operator makes.

The chart and the operator come from the operator's module: the published ones can't be reached. Debian's Redis stands in for its images.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cluster.deployed import call, eventually
from cluster.operator_image import load_operator_image
from cluster.own_stack import OwnStack, kubectl
from common import go_build
from embedded import redis_operator

pytestmark = pytest.mark.cluster

IMAGE = "docker.io/library/redis:8.0.2"
NAMESPACE = "charted"
DEFINITIONS = "redis.redis.opstreelabs.in"


class OperatorStack(OwnStack):
    """The operator from its chart, and one cache."""

    def __init__(self, scratch: Path) -> None:
        super().__init__(scratch, "operator", NAMESPACE)
        chart = {
            "chart": str(go_build.build(["operator-crds"])["operator-crds"] / "chart"),
            "version": "0.22.2",
            "image": redis_operator.IMAGE,
        }
        self.configure(operator_chart={"redis-operator": chart})

    def cache(self, **args: Any) -> None:
        small = {"memory_gib": 0.125, "cpu_request": 0.02, "storage_retained": False}
        images = {"image": IMAGE, "sentinel_image": IMAGE}
        self.configure(operated={"cache": {**small, **images, "mode": "sentinel", **args}})


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[OperatorStack]:
    load_operator_image()
    stack = OperatorStack(tmp_path)
    try:
        yield stack
    finally:
        stack.destroy()
        if left := definitions():
            kubectl("delete", *left)


def definitions() -> list[str]:
    """As kubectl takes them, with their kind."""
    return [name for name in kubectl("get", "crd", "--output=name").split() if name.endswith(DEFINITIONS)]


def test_the_operator_comes_before_its_caches_and_goes_after_them_and_leaves_its_definitions(stack: OperatorStack) -> None:
    assert definitions() == []
    stack.cache()
    stack.up()
    connection = stack.connections()["cache"]
    _serves(connection)
    stack.preview("--expect-no-changes")

    stack.cache(hz=20)
    stack.up()
    hosts = [node.partition(":")[0] for node in connection["nodes"]]
    password = connection["password"]
    eventually(lambda: all(call(host, password, "CONFIG", "GET", "hz") == ["hz", "20"] for host in hosts), "the change has rolled", 240)

    done = stack.destroy().stdout
    assert done.index("RedisReplication cache deleted") < done.index("Release redis-operator deleted")
    assert stack.export() == []
    assert len(definitions()) == 4, "with them Kubernetes would delete the caches of others"
    assert kubectl("get", "namespaces", "--output=name").count("redis-operator") == 0


def _serves(connection: dict[str, Any]) -> None:
    password = connection["password"]
    eventually(lambda: call(connection["host"], password, "ROLE")[0] == "master", "the Service for writes has the primary")
    eventually(lambda: call(connection["reader_host"], password, "ROLE")[0] == "slave", "the Service for reads has a replica")
    for sentinel in connection["sentinels"]:
        host, _, port = sentinel.partition(":")

        def knows_the_primary(host: str = host, port: str = port) -> bool:
            reply = call(host, password, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", connection["master_name"], port=int(port))
            return isinstance(reply, list) and reply[1] == "6379"

        eventually(knows_the_primary, f"{host} knows the primary")
        assert "AuthenticationError" in call(host, "", "PING", port=int(port))
