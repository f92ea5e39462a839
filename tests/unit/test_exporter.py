"""The real exporters, as the component starts them, before real servers: what alerts and dashboards ask for is exported."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from certificates import certify
from pulumi_caches.kubernetes.exporter import CERTIFICATE_IMAGE, Images, containers, deployment_spec, secret_files
from pulumi_caches.kubernetes.monitored import Monitored
from unit import debian
from unit.alert_cases import cache
from unit.test_alerts import SETUPS, rules
from unit.test_dashboards import queries

PASSWORD = "the-password"
DOCS = Path(__file__).resolve().parents[2] / "docs"
# What tells of backups exports these (tests/unit/backup/test_metrics.py).
ELSEWHERE = {"caches_backup_last_timestamp_seconds", "caches_backup_last_drill_timestamp_seconds"}
# Configuration files, each with the password and the exporter's user besides.
SERVERS = {
    "primary": "port 6379",
    "replica": "port 6380\nreplicaof 127.0.0.1 6379\nmasterauth {password}",
    "node": "port 6381\ncluster-enabled yes",
    "certified": "port 0\ntls-port 6390\ntls-cert-file tls.crt\ntls-key-file tls.key\ntls-ca-cert-file ca.crt",
    "sentinel": "port 26379\nsentinel monitor cache 127.0.0.1 6379 1\nsentinel auth-pass cache {password}",
}
SCRIPT = """
for server in primary replica node certified; do redis-server $server.conf --save '' --daemonize yes >/dev/null; done
redis-sentinel sentinel.conf --daemonize yes >/dev/null
memcached -u root -d
{exporter} >exporter.log 2>&1 &
{memcached} >memcached.log 2>&1 &
{certificates} >certificates.log 2>&1 &
export REDISCLI_AUTH={password}
until redis-cli info replication | grep -q state=online; do sleep 0.1; done
redis-cli -p 6381 cluster addslotsrange 0 16383 >/dev/null
redis-cli set key value >/dev/null
python3 -c 'import socket; socket.create_connection(("127.0.0.1", 11211)).sendall(b"set key 0 0 1\\r\\n1\\r\\n")'
sleep 2
python3 -c 'import sys, urllib.request as u; [print(u.urlopen(url).read().decode()) for url in sys.argv[1:]]' {urls}
for port in 6379 6380 6381 26379; do redis-cli -p $port acl log; done
"""


def metrics(expressions: list[str]) -> set[str]:
    """The metrics that expressions ask for: what is before a selector."""
    return {name for expression in expressions for name in re.findall(r"(\w+)\{", expression)}


def command(monitored: Monitored, container: int = 0) -> str:
    """As in the pod, with its files where the test has them."""
    words = containers(monitored, Images("", "", ""), certificates=monitored.tls)[container]["command"]
    return " ".join(words).replace("/etc/exporter/", "/mnt/")


def users() -> tuple[str, str]:
    """The exporter's user of a server and of a sentinel, as the documentation has them."""
    text = (DOCS / "cache-monitoring.md").read_text().replace("PASSWORD", PASSWORD)
    server, sentinel = re.findall(r"^user exporter on .+$", text, re.MULTILINE)
    return server, sentinel


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the exporters say of a primary, a replica, a sentinel, a node of a cluster, a Memcached and a certificate."""
    folder = tmp_path_factory.mktemp("exporter")
    addresses = tuple(f"127.0.0.1:{port}" for port in (6379, 6380, 6381, 26379))
    redis = Monitored("ours", "shop", "redis", "sentinel", addresses[:3], addresses[3:], "exporter", False, "", "kubernetes", "")
    memcached = Monitored("ours", "shop", "memcached", "sharded", ("127.0.0.1:11211",), (), "", False, "", "kubernetes", "")
    certified = cache("ours", "redis", "standalone", 1)
    files = {**secret_files(redis, PASSWORD), **certify("DNS:localhost").files()}
    server, sentinel = users()
    for name, text in SERVERS.items():
        user = sentinel if name == "sentinel" else server
        files[f"{name}.conf"] = f"{text.format(password=PASSWORD)}\nrequirepass {PASSWORD}\n{user}\n"
    for name, text in files.items():
        (folder / name).write_text(text)
    targets = [f"9121/scrape?target={redis.address(each)}" for each in addresses]
    targets += ["9150/scrape?target=127.0.0.1:11211", "9115/probe?module=tls&target=127.0.0.1:6390"]
    script = SCRIPT.format(
        password=PASSWORD,
        exporter=command(redis),
        memcached=command(memcached).replace(":9121", ":9150"),
        certificates=command(certified, 1),
        urls=" ".join(f"'http://127.0.0.1:{each}'" for each in targets),
    )
    done = debian.run(folder, script)
    logs = "".join(log.read_text() for log in folder.glob("*.log"))
    assert done.returncode == 0, done.stderr + logs
    return done.stdout


@pytest.mark.parametrize("setup", SETUPS, ids=str)
def test_what_alerts_and_dashboards_ask_for_is_exported(setup: tuple[Any, ...], exported: str) -> None:
    [group] = rules(cache("ours", *setup))["groups"]
    asked = metrics([*(rule["expr"] for rule in group["rules"]), *queries(setup)])
    assert asked - set(re.findall(r"^(\w+)[{ ]", exported, re.MULTILINE)) - ELSEWHERE == set()


def test_every_server_is_up_for_a_user_with_the_rights_that_the_documentation_gives(exported: str) -> None:
    assert re.findall(r"^redis_up (\d)", exported, re.MULTILINE) == ["1"] * 4
    assert re.findall(r"^memcached_up (\d)", exported, re.MULTILINE) == ["1"]
    assert "reason" not in exported, "the log of what users were refused is empty"


def test_roles_are_said_as_alerts_count_them(exported: str) -> None:
    roles = re.findall(r'^redis_instance_info\{.*role="(\w*)"', exported, re.MULTILINE)
    assert roles.count("slave") == 1
    assert roles.count("master") == 2, "the primary, and the cluster's node; the sentinel has no role"


def test_passwords_are_in_the_secret_only(tmp_path: Path) -> None:
    monitored = cache("ours", "redis", "sentinel", 3, 3)
    assert PASSWORD not in json.dumps(deployment_spec(monitored, Images("", CERTIFICATE_IMAGE, ""), (), {}, {}, "secret"))
    assert PASSWORD in secret_files(monitored, PASSWORD)["passwords.json"]
