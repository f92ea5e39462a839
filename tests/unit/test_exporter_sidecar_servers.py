"""The exporters that components put beside servers, before real servers: each answers what CacheMonitoring lets Prometheus ask."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from certificates import certify
from pulumi_caches.kubernetes import MemcachedShards, RedisClusterWithInit, RedisStatefulSet, SentinelGroup
from pulumi_caches.kubernetes.exporter import secret_files
from pulumi_caches.kubernetes.exporter_sidecar import from_within
from unit import wiring
from unit.exporters import Exporters
from unit.memcached_servers import MemcachedPod
from unit.sentinel.group import Group, group
from unit.servers import EXPORTER_PASSWORD, PASSWORD, Pod, find_programs, pods, pods_of
from unit.test_exporter_sidecar import make, monitoring, workloads

NEXT = "the-next-password"
BESIDE = ("exporter", "certificates", "login")
TLS = pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])


def exporters(pod: Pod, component: Any, files: dict[str, str], **args: Any) -> Exporters:
    """As the component has them in its pods."""
    spec = workloads(make(component, exporter_sidecar=True, **args))[0]["spec"]["template"]["spec"]
    return Exporters(pod, [each for each in spec["containers"] if each["name"] in BESIDE], files)


def questions(component: Any, **args: Any) -> list[tuple[str, dict[str, str], str]]:
    """Path, parameters and port of all that Prometheus asks."""
    monitor = monitoring(wiring.connection(component, exporter_sidecar=True, **args)).only("PodMonitor")["spec"]
    endpoints = monitor["podMetricsEndpoints"]
    return [(each["path"], {key: value for key, [value] in each["params"].items()}, each["port"]) for each in endpoints]


def certified(pod: Pod, tls: bool) -> None:
    # By no name that the exporter asks for, as certificates are.
    if tls:
        pod.certify(certify(f"IP:{pod.address}"))


@pytest.fixture(params=["redis", "valkey"])
def members(request: pytest.FixtureRequest) -> Iterator[Group]:
    with group(find_programs(request.param)) as made:
        yield made


@TLS
@pytest.mark.parametrize("component", [RedisStatefulSet, RedisClusterWithInit])
@pytest.mark.parametrize("engine", ["redis", "valkey"])
def test_a_server_is_up_for_the_exporter_beside_it(component: Any, engine: str, tls: bool) -> None:
    args = {"engine": engine, "tls_generated": tls}
    files = secret_files(from_within(engine, "exporter", tls=tls), EXPORTER_PASSWORD)
    with pods(find_programs(engine), "cache-0") as [pod], exporters(pod, component, files, **args) as started:
        certified(pod, tls)
        pod.serve()
        server, *certificates = questions(component, **args)
        started.await_scraped("redis_up 1\n", *server)
        assert 'role="master"' in started.scrape(*server)
        assert len(certificates) == tls
        for question in certificates:
            started.await_scraped("probe_ssl_earliest_cert_expiry ", *question)
        assert EXPORTER_PASSWORD not in started.arguments() + started.said("exporter")


@TLS
def test_a_sentinel_is_up_for_the_exporter_beside_it(members: Group, tls: bool) -> None:
    engine, pod = members.pods[0].programs.engine, members.pods[0]
    args = {"engine": engine, "tls_generated": tls}
    files = secret_files(from_within(engine, "exporter", tls=tls, sentinels=True), EXPORTER_PASSWORD)
    with exporters(pod, SentinelGroup, files, **args) as started:
        certified(pod, tls)
        members.start_sentinel(pod)
        server, sentinel, *certificates = questions(SentinelGroup, **args)
        started.await_scraped("redis_up 1\n", *sentinel)
        assert "\nredis_sentinel_master_ok_sentinels{" in started.scrape(*sentinel)
        assert "\nredis_up 0\n" in started.scrape(*server), "it was not started"
        assert len(certificates) == 2 * tls
        for question in certificates[1:]:
            started.await_scraped("probe_ssl_earliest_cert_expiry ", *question)


@TLS
@pytest.mark.parametrize("auth", ["password", "none"])
def test_a_memcached_is_up_for_the_exporter_beside_it_and_stays_so_when_its_password_rotates(auth: str, tls: bool) -> None:
    args = {"auth": auth, "tls_generated": tls}
    with pods_of(MemcachedPod, find_programs("memcached"), "cache-0") as [pod]:
        certified(pod, tls)
        if auth == "none":
            pod.without_passwords()
        files = {**secret_files(from_within("memcached", "", tls=tls), ""), "password": PASSWORD}
        with exporters(pod, MemcachedShards, files, **args) as started:
            pod.serve(auth=auth, **({"tls_secret_name": "certificate"} if tls else {}))
            server, *certificates = questions(MemcachedShards, **args)
            started.await_scraped("memcached_up 1\n", *server)
            for question in certificates:
                started.await_scraped("probe_ssl_earliest_cert_expiry ", *question)
            if auth == "none":
                return
            pod.credentials(password=NEXT)
            pod.probe("ready")
            if not tls:
                pod.await_refused(PASSWORD)
            started.write({"password": NEXT})
            started.await_scraped("memcached_up 1\n", *server)
