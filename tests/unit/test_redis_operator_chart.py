"""What RedisOperatorChart installs, and what it refuses."""

from __future__ import annotations

from typing import Any, cast

import pytest
from pulumi_caches.kubernetes import RedisOperatorChart, RedisOperatorChartArgs
from unit import mocks
from unit.refusal import refused

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"version": "latest"}, "version = 'latest': must be an exact version, such as 0.23.0: what runs must not change by itself"),
    ({"version": "0.23"}, "version = '0.23': must be an exact version"),
    ({"version": ">=0.23.0"}, "version = '>=0.23.0': must be an exact version"),
    ({"repository": "ot-helm"}, "repository = 'ot-helm': must be an address that begins with http:// or https://"),
    ({"chart": "./charts/operator", "repository": "https://x.example"}, "chart = './charts/operator' says itself where the chart is"),
    ({"chart": "two words"}, "chart = 'two words': must be the name, folder, archive or address of a chart"),
    ({"image": "mirror.example/operator"}, "image = 'mirror.example/operator': needs an exact tag"),
    ({"image": "mirror.example/operator@sha256:abc"}, "image = 'mirror.example/operator@sha256:abc': the chart takes a tag and no digest"),
    ({"watch_namespaces": ["My_Space"]}, "'My_Space' is no namespace's name"),
    ({"values": ["x"]}, "values = ['x']: must be a mapping"),
    ({"namespace": "My_Space"}, "namespace = 'My_Space': must be lower-case letters"),
    ({"chart_version": "0.23.0"}, "chart_version: there is no such argument; did you mean 'version'?"),
]


@pytest.mark.parametrize(("args", "message"), REFUSED, ids=[str(args)[:60] for args, _ in REFUSED])
def test_is_refused_before_anything_is_registered(args: dict[str, Any], message: str) -> None:
    assert message in refused(RedisOperatorChart, args)


def release(**args: Any) -> Any:
    given = cast(RedisOperatorChartArgs, {"namespace": "operators", **args})
    return mocks.run(lambda: RedisOperatorChart("redis-operator", given) and None).only("Release")


def test_the_published_chart_is_installed_at_an_exact_version_and_taken_back_when_it_does_not_become_ready() -> None:
    made = release()
    assert (made["name"], made["namespace"], made["chart"], made["version"]) == ("redis-operator", "operators", "redis-operator", "0.23.0")
    assert made["repositoryOpts"] == {"repo": "https://ot-container-kit.github.io/helm-charts"}
    assert (made["atomic"], made["timeout"]) == (True, 300)


def test_a_chart_that_says_where_it_is_takes_no_repository() -> None:
    for chart in ("./charts/operator", "oci://mirror.example/charts/operator"):
        assert "repositoryOpts" not in release(chart=chart)
    assert release(chart="operator", repository="https://mirror.example")["repositoryOpts"] == {"repo": "https://mirror.example"}


def test_the_operator_meets_the_restricted_pod_security_standard_and_takes_official_images() -> None:
    values = release()["values"]
    assert values["podSecurityContext"]["runAsNonRoot"] is True
    assert values["podSecurityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert values["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert values["featureGates"] == {"GenerateConfigInInitContainer": True}
    assert "watchNamespace" not in values["redisOperator"]


def test_an_image_is_the_operators_and_what_caches_get_their_configuration_from() -> None:
    operator = release(image="mirror.example:5000/operator:v1", watch_namespaces=["shop", "cart"])["values"]["redisOperator"]
    assert operator == {
        "imagePullPolicy": "IfNotPresent",
        "imageName": "mirror.example:5000/operator",
        "imageTag": "v1",
        "initContainerImageTag": "v1",
        "watchNamespace": "shop,cart",
    }


def test_values_of_the_person_are_merged_over_those_of_the_component() -> None:
    values = release(values={"redisOperator": {"imagePullPolicy": "Always"}, "resources": {"limits": {"cpu": "1"}}})["values"]
    assert values["redisOperator"]["imagePullPolicy"] == "Always"
    assert values["resources"] == {"limits": {"cpu": "1"}}
    assert values["podSecurityContext"]["runAsNonRoot"] is True
