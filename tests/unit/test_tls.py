"""TLS of Redis and Valkey: what the three components make of a certificate, and what they refuse."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from certificates import certify
from pulumi_caches import ArgumentError
from pulumi_caches.kubernetes import RedisClusterWithInit, RedisStatefulSet, SentinelGroup
from unit import mocks, wiring
from unit.refusal import refused

CERTIFICATE = {"tls.crt": "Y2VydA==", "tls.key": "a2V5", "ca.crt": "YXV0aG9yaXR5"}
MOUNT = {"name": "tls", "mountPath": "/etc/cache/tls", "readOnly": True}
VOLUME = {"name": "tls", "secret": {"secretName": "certificate", "defaultMode": 0o440}}
COMPONENTS = [RedisStatefulSet, SentinelGroup, RedisClusterWithInit]
# In which servers are restarted one by one, and follow each other meanwhile.
WITH_PEERS = [SentinelGroup, RedisClusterWithInit]


def secret(*keys: str) -> dict[str, dict[str, Any]]:
    data = {key: CERTIFICATE[key] for key in keys or CERTIFICATE}
    return {"cache-tls": {"data": data, "metadata": {"name": "certificate", "uid": "1", "resourceVersion": "7"}}}


def make(component: Any, preview: bool = False, answers: dict[str, dict[str, Any]] | None = None, **args: Any) -> mocks.Registered:
    given = {"namespace": "shop", **args}
    return mocks.run(lambda: component("cache", given) and None, preview=preview, answers=answers)


def with_tls(component: Any, **args: Any) -> mocks.Registered:
    return make(component, answers=secret(), tls_secret_name="certificate", **args)


@pytest.mark.parametrize("component", COMPONENTS)
def test_the_connection_says_so_and_whom_to_trust(component: Any) -> None:
    given = wiring.connection(component, secret(), tls_secret_name="certificate")
    assert (given["tls"], given["ca_pem"]) == (True, "authority")
    unread = wiring.connection(component, tls_secret_name="certificate", tls_secret_read=False)
    assert (unread["tls"], "ca_pem" in unread) == (True, False)
    assert wiring.connection(component)["tls"] is False


@pytest.mark.parametrize("component", COMPONENTS)
@pytest.mark.parametrize("preview", [True, False])
def test_a_secret_without_the_authority_is_refused_with_the_keys_it_has(component: Any, preview: bool) -> None:
    message = r"tls_secret_name = 'mine': the Secret has no ca.crt \(it has: tls.crt, tls.key\); servers know each other by"
    with pytest.raises(ArgumentError, match=message):
        make(component, preview, secret("tls.crt", "tls.key"), tls_secret_name="mine")
    with pytest.raises(ArgumentError, match=r"the Secret has no tls.crt and no tls.key \(it has: ca.crt\)"):
        make(component, preview, secret("ca.crt"), tls_secret_name="mine")


@pytest.mark.parametrize(
    ("usages", "refused_by"),
    [
        ("", []),
        ("extendedKeyUsage=serverAuth", [RedisClusterWithInit]),
        ("extendedKeyUsage=serverAuth,clientAuth", []),
        ("extendedKeyUsage=anyExtendedKeyUsage", []),
    ],
)
def test_a_certificate_for_servers_only_is_refused_where_nodes_show_it_to_each_other(usages: str, refused_by: list[Any]) -> None:
    issued = certify(f"DNS:cache\n{usages}").files()
    answers = {"cache-tls": {"data": {key: base64.b64encode(text.encode()).decode() for key, text in issued.items()}}}
    for component in COMPONENTS:
        if component in refused_by:
            with pytest.raises(ArgumentError, match=r"tls\.crt is for servers only"):
                make(component, True, answers, tls_secret_name="mine")
        else:
            make(component, True, answers, tls_secret_name="mine")


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_reading_without_a_secret_is_refused(component: Any) -> None:
    assert "tls_secret_read = False: needs tls_secret_name" in refused(component, {"tls_secret_read": False})


@pytest.mark.parametrize("line", ["tls-port 6380", "tls-cert-file /x", "tls-replication no", "tls-cluster no", "tls-auth-clients yes"])
def test_what_the_certificate_decides_is_no_extra_configuration(line: str) -> None:
    assert f"{line.split()[0]} can't be set here" in refused(RedisStatefulSet, {"extra_config": [line]})


@pytest.mark.parametrize("component", COMPONENTS)
def test_every_container_has_the_certificate_and_without_tls_none(component: Any) -> None:
    registered = with_tls(component, password_version=2)
    specs = [item["spec"]["template"]["spec"] for item in registered.named("StatefulSet").values()]
    specs.append(registered.named("Job")["cache-await-password"]["spec"]["template"]["spec"])
    for spec in specs:
        assert VOLUME in spec["volumes"]
        assert all(MOUNT in container["volumeMounts"] for container in spec["containers"])
    assert "tls" not in str(make(component, password_version=2).named("StatefulSet"))


def test_the_agent_and_the_repair_are_told_whom_to_trust_and_the_repair_does_not_get_the_key() -> None:
    trust = "--ca-file=/etc/cache/tls/ca.crt"
    agent = wiring.pod(with_tls(SentinelGroup))["containers"][2]
    assert agent["command"] == ["caches", "sentinel-agent", trust]
    repair = with_tls(RedisClusterWithInit).only("Job")["spec"]["template"]["spec"]
    assert repair["containers"][0]["command"][-1] == trust
    assert MOUNT in repair["containers"][0]["volumeMounts"]
    [volume] = [volume for volume in repair["volumes"] if volume["name"] == "tls"]
    assert volume["secret"]["items"] == [{"key": "ca.crt", "path": "ca.crt"}]


@pytest.mark.parametrize("component", WITH_PEERS)
def test_servers_that_are_restarted_one_by_one_can_neither_begin_nor_stop_to_speak_tls(component: Any) -> None:
    def remembered(registered: mocks.Registered) -> dict[str, Any]:
        return {"cache-volume": {"output": registered.named("Stash")["cache-volume"]["input"]}}

    plain, tls = remembered(make(component)), remembered(with_tls(component))
    with pytest.raises(ArgumentError, match="tls: 'off' can't become 'on': servers that speak TLS and servers that do not"):
        make(component, True, {**secret(), **plain}, tls_secret_name="certificate")
    with pytest.raises(ArgumentError, match="tls: 'on' can't become 'off'"):
        make(component, True, tls)
    make(component, True, {**secret(), **tls}, tls_secret_name="certificate")
    make(component, True, plain)


def test_one_server_may_begin_to_speak_tls() -> None:
    plain = make(RedisStatefulSet).named("Stash")["cache-volume"]["input"]
    make(RedisStatefulSet, True, {**secret(), "cache-volume": {"output": plain}}, tls_secret_name="certificate")
