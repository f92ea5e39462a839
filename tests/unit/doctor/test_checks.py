"""Every check: silent about a healthy cache of each kind, and heard when one thing is missing."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from caches_runtime.ops.doctor.checks import CHECKS
from caches_runtime.ops.doctor.facts import Certificate, Facts, NotKnown, Server, known
from caches_runtime.ops.doctor.findings import GUIDE, examine
from unit.doctor import healthy
from unit.doctor.healthy import CLUSTER, EVERY, GROUP, MEMCACHED, PAIR, ago, backup

CHECKOUT = Path(__file__).resolve().parents[3]


def found(facts: Facts) -> list[tuple[str, str, str]]:
    """Check, severity and text of everything that is missing."""
    return [
        (outcome.check.name, finding.severity.value, finding.found) for outcome in examine(facts, CHECKS) for finding in outcome.findings
    ]


def of_cache(facts: Facts, **changes: Any) -> Facts:
    return replace(facts, cache=replace(facts.cache, **changes))


def of_server(facts: Facts, number: int = 0, *, of: str = "servers", **changes: Any) -> Facts:
    """One server otherwise; mappings are added to."""
    servers: list[Server] = list(known(getattr(facts, of)))
    merged: dict[str, Any] = {
        key: {**getattr(servers[number], key), **value} if isinstance(value, Mapping) else value for key, value in changes.items()
    }
    servers[number] = replace(servers[number], **merged)
    changed: dict[str, Any] = {of: servers}
    return replace(facts, **changed)


def of_each(facts: Facts, **changes: Any) -> Facts:
    for number in range(len(known(facts.servers))):
        facts = of_server(facts, number, **changes)
    return facts


def of_pod(facts: Facts, change: Callable[[Any], Any], *numbers: int) -> Facts:
    """Some pods otherwise, or all."""
    pods = deepcopy(list(known(facts.pods)))
    for number in numbers or range(len(pods)):
        change(pods[number])
    return replace(facts, pods=pods)


def moved(facts: Facts, *nodes: int) -> Facts:
    """The pods on these nodes."""
    pods = deepcopy(list(known(facts.pods)))
    for pod, node in zip(pods, nodes, strict=True):
        pod["spec"]["nodeName"] = f"node-{node}"
    return replace(facts, pods=pods)


def container(**changes: Any) -> Callable[[Any], None]:
    return lambda pod: pod["spec"]["containers"][0].update(changes)


def sidecar(pod: Any) -> None:
    first, *_ = pod["spec"]["containers"]
    pod["spec"]["containers"].append({**first, "name": "exporter"})


def restarted(hours: float, reason: str) -> Callable[[Any], None]:
    state = {"terminated": {"finishedAt": ago(hours), "reason": reason}}
    return lambda pod: pod["status"].update(containerStatuses=[{"name": "redis", "restartCount": 1, "lastState": state}])


def backups(**jobs: Any) -> Facts:
    return replace(GROUP, backups=list(jobs.values()))


def suspended(what: str) -> dict[str, Any]:
    job = backup(what)
    return {**job, "spec": {**job["spec"], "suspend": True}}


def failing(what: str, hours: float) -> dict[str, Any]:
    return {**backup(what), "status": {"lastSuccessfulTime": ago(hours), "lastScheduleTime": ago(1)}}


CACHE = of_each(of_cache(PAIR, purpose="cache"), settings={"maxmemory-policy": "allkeys-lru"})
MASTER = {"role": "master", "connected_slaves": "1"}
NEW = {**backup("make"), "metadata": {"name": "new", "creationTimestamp": ago(1)}, "status": {}}
ZONELESS = [{"metadata": {"name": f"node-{number}", "labels": {}}} for number in range(6)]
ONE_ZONE = [{"metadata": {"name": f"node-{number}", "labels": {"topology.kubernetes.io/zone": "a"}}} for number in range(6)]
NO_SLOTS = {"cluster_state": "fail", "cluster_slots_ok": "10922"}

SICK: list[tuple[str, Facts, str, str, str]] = [
    ("no answer", of_server(GROUP, 1, problem="Connection refused"), "answers", "critical", "cache-1: Connection refused"),
    ("no password", of_server(GROUP, serves_strangers=True), "auth", "critical", "served without a password: cache-0"),
    ("memcached without logins", of_each(MEMCACHED, serves_strangers=True), "auth", "critical", "cache-0, cache-1, cache-2"),
    ("no TLS", of_cache(GROUP, tls=False), "tls", "warning", "in plain text"),
    ("two ports", of_server(GROUP, answers_plaintext=True), "plaintext", "critical", "answered without TLS: cache-0"),
    ("old certificate", of_server(GROUP, certificate=Certificate(20)), "certificate", "warning", "cache-0: valid for 20 days"),
    ("run out soon", of_server(GROUP, certificate=Certificate(2)), "certificate", "critical", "valid for 2 days"),
    ("run out", of_server(GROUP, certificate=Certificate(0, "has expired")), "certificate", "critical", "cache-0 (has expired)"),
    ("no policy", replace(GROUP, policies=[]), "network-policy", "info", "any pod of the cluster reaches cache-0, cache-1, cache-2"),
    (
        "policy of others",
        replace(GROUP, policies=[{"spec": {"podSelector": {"matchLabels": {"instance": "other"}}}}]),
        "network-policy",
        "info",
        "cache-0",
    ),
    ("egress only", replace(GROUP, policies=[{"spec": {"podSelector": {}, "policyTypes": ["Egress"]}}]), "network-policy", "info", "cache"),
    ("no purpose", of_cache(GROUP, purpose=""), "purpose", "info", "nobody said what it is for"),
    (
        "wrong policy",
        of_server(GROUP, settings={"maxmemory-policy": "allkeys-lru"}),
        "eviction",
        "warning",
        "allkeys-lru for purpose session",
    ),
    (
        "a cache that refuses",
        of_each(of_cache(PAIR, purpose="cache"), settings={"maxmemory-policy": "noeviction"}),
        "eviction",
        "warning",
        "noevi",
    ),
    ("a queue that loses", of_cache(GROUP, purpose="queue"), "eviction", "critical", "volatile-lru for purpose queue"),
    ("memcached refuses", of_server(MEMCACHED, settings={"evictions": "off"}), "evictions", "warning", "refuses writes: cache-0"),
    ("no maxmemory", of_server(GROUP, info={"maxmemory": "0"}), "maxmemory", "critical", "cache-0: no limit for data"),
    ("much maxmemory", of_server(GROUP, info={"maxmemory": str(120 * 2**20)}), "maxmemory", "warning", "120 MiB of 128 MiB"),
    ("memcached's", of_server(MEMCACHED, info={"limit_maxbytes": str(127 * 2**20)}), "maxmemory", "warning", "127 MiB of 128 MiB"),
    (
        "full",
        of_server(
            of_each(of_cache(GROUP, purpose="queue"), settings={"maxmemory-policy": "noeviction"}), info={"used_memory": str(95 * 2**20)}
        ),
        "memory",
        "warning",
        "cache-0: 99% of maxmemory are used",
    ),
    ("disk fails", of_server(GROUP, info={"aof_last_write_status": "err"}), "persistence", "critical", "fails (aof_last_write_status)"),
    ("nothing kept", of_server(GROUP, info={"aof_enabled": "0"}), "persistence", "warning", "cache-0: a crash loses everything"),
    (
        "snapshots only",
        of_server(GROUP, info={"aof_enabled": "0"}, settings={"save": "60 1"}),
        "persistence",
        "warning",
        "what came after the last snapshot",
    ),
    ("lazy fsync", of_server(GROUP, settings={"appendfsync": "no"}), "persistence", "warning", "up to half a minute"),
    ("full volume", replace(GROUP, volumes={"data-cache-0": 0.96}), "volumes", "critical", "data-cache-0: 96% full"),
    ("fuller volume", replace(GROUP, volumes={"data-cache-0": 0.9}), "volumes", "warning", "90% full"),
    ("no backup", backups(drill=backup("drill")), "backups", "warning", "there is none"),
    ("suspended", backups(make=suspended("make"), drill=backup("drill")), "backups", "warning", "cache-backup-make: suspended"),
    ("rare", backups(make=backup("make", 30), drill=backup("drill")), "backups", "warning", "no success for 30 hours"),
    ("failing", backups(make=failing("make", 30), drill=backup("drill")), "backups", "critical", "no success for 30 hours"),
    ("no drill", backups(make=backup("make")), "drill", "warning", "there is none"),
    ("no replica", of_server(PAIR, info={"connected_slaves": "0"}), "replicas", "warning", "without a replica: cache-0"),
    ("no master", of_server(GROUP, info={"role": "slave"}), "replicas", "critical", "0 masters: none"),
    (
        "two masters",
        of_server(GROUP, 1, info={"role": "master", "connected_slaves": "1"}),
        "replicas",
        "critical",
        "2 masters: cache-0, cache-1",
    ),
    (
        "broken link",
        of_server(GROUP, 1, info={"master_link_status": "down"}),
        "replicas",
        "critical",
        "not in step with their master: cache-1",
    ),
    ("alone", of_each(GROUP, settings={"min-replicas-to-write": "0"}), "min-replicas", "warning", "goes on taking writes"),
    ("silent sentinel", of_server(GROUP, of="sentinels", problem="refused"), "quorum", "critical", "no answer: cache-0 (refused)"),
    ("no majority", of_server(GROUP, of="sentinels", info={"majority": "NOQUORUM 1"}), "quorum", "critical", "cache-0: NOQUORUM 1"),
    ("a stranger", of_server(GROUP, of="sentinels", info={"num-other-sentinels": "3"}), "quorum", "warning", "cache-0 knows 4 sentinels"),
    ("slots", of_server(CLUSTER, cluster=NO_SLOTS), "slots", "critical", "cache-0-0 sees 10922 slots served, state fail"),
    ("no anti-affinity", of_pod(GROUP, lambda pod: pod["spec"].pop("affinity"), 2), "anti-affinity", "warning", "put together: cache-2"),
    (
        "together",
        moved(GROUP, 0, 0, 1),
        "nodes",
        "critical",
        "servers: 2 of 3 on node node-0: cache-0, cache-1",
    ),
    ("one zone", replace(GROUP, nodes=ONE_ZONE), "zones", "warning", "servers: 3 of 3 on zone a"),
    ("no zones", replace(GROUP, nodes=ZONELESS), "zones", "info", "nodes have no label"),
    ("a shard together", moved(CLUSTER, 0, 0, 1, 2, 2, 0), "nodes", "critical", "shard cache-0: 2 of 2"),
    ("masters together", moved(CLUSTER, 0, 1, 0, 2, 0, 1), "nodes", "critical", "masters: 3 of 3"),
    ("shards together", moved(MEMCACHED, 0, 0, 0), "nodes", "warning", "servers: 3 of 3"),
    ("no budget", replace(GROUP, budgets=[]), "disruption-budget", "warning", "may be evicted together: cache-0, cache-1, cache-2"),
    ("no alerts", replace(GROUP, exporters=[]), "alerts", "warning", "nobody would be told"),
    (
        "blind",
        replace(GROUP, exporters=[{**known(GROUP.exporters)[0], "status": {}}]),
        "alerts",
        "critical",
        "cache-exporter is not ready: nothing is seen",
    ),
    ("no rules", replace(GROUP, rules=[]), "alerts", "warning", "no rule alerts"),
    ("not ready", of_pod(GROUP, lambda pod: pod["status"].update(conditions=[]), 1), "pods", "critical", "cache-1 is not ready"),
    ("restarted", of_pod(GROUP, restarted(2, "OOMKilled"), 1), "pods", "warning", "cache-1: redis started again (OOMKilled)"),
    ("no limits", of_pod(PAIR, container(resources={"requests": {"memory": "1Gi"}}), 1), "resources", "warning", "memory: redis"),
    ("latest", of_pod(GROUP, container(image="registry:5000/redis:latest")), "image", "warning", "no version: registry:5000/redis:latest"),
    ("no tag", of_pod(GROUP, container(image="registry:5000/redis"), 0), "image", "warning", "no version"),
    ("old", of_each(GROUP, info={"redis_version": "7.0.15"}), "version", "warning", "redis 7.0.15 gets no fixes any more"),
    ("older", of_each(GROUP, info={"redis_version": "5.0.14"}), "version", "warning", "redis 5.0.14"),
]


@pytest.mark.parametrize("mode", EVERY)
def test_nothing_is_missing_in_a_healthy_cache_and_all_is_checked(mode: str) -> None:
    outcomes = examine(EVERY[mode], CHECKS)
    assert found(EVERY[mode]) == []
    assert not [outcome.not_checked for outcome in outcomes if outcome.not_checked]
    assert len(outcomes) >= 15


@pytest.mark.parametrize(("facts", "check", "severity", "text"), [case[1:] for case in SICK], ids=[case[0] for case in SICK])
def test_what_is_missing_is_found_by_its_check_and_by_no_other(facts: Facts, check: str, severity: str, text: str) -> None:
    told = found(facts)
    # What is on one node is in one zone.
    others = [each for each in told if each[0] not in (check, *(["zones"] if check == "nodes" else []))]
    assert [each for each in told if each[:2] == (check, severity) and text in each[2]], told
    assert not others


def test_every_check_is_tried() -> None:
    assert {case[2] for case in SICK} == {check.name for check in CHECKS}


HARMLESS: list[tuple[str, Facts]] = [
    ("a digest is exact", of_pod(GROUP, container(image=healthy.DIGEST))),
    ("a restart of long ago", of_pod(GROUP, restarted(30, "Error"))),
    (
        "a new backup has had no time",
        backups(make=NEW, drill=backup("drill")),
    ),
    ("a cache needs no append-only file", of_each(CACHE, info={"aof_enabled": "0"})),
    ("a cache needs no backup", replace(CACHE, backups=[])),
    ("an exporter in each pod is one", replace(of_pod(GROUP, sidecar), exporters=[])),
    ("a newer version is not known to have ended", of_each(GROUP, info={"redis_version": "99.1.0"})),
    ("an empty selector takes every pod", replace(GROUP, policies=[{"spec": {"podSelector": {}}}])),
]


@pytest.mark.parametrize("facts", [case[1] for case in HARMLESS], ids=[case[0] for case in HARMLESS])
def test_what_is_well_is_not_found_fault_with(facts: Facts) -> None:
    assert found(facts) == []


def test_what_could_not_be_found_out_is_said_and_is_not_taken_for_healthy() -> None:
    unknown: dict[str, Any] = {field.name: NotKnown(f"no {field.name}") for field in fields(Facts) if field.name not in ("cache", "now")}
    for outcome in examine(replace(GROUP, **unknown), CHECKS):
        assert outcome.not_checked.startswith("no ") if outcome.check.needs else not outcome.not_checked


def test_the_guide_has_a_section_for_each_check_and_none_else() -> None:
    sections = re.findall(r"^### (.+)$", (CHECKOUT / GUIDE).read_text(), re.MULTILINE)
    assert sections == [check.name for check in CHECKS]
