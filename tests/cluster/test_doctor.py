"""`caches doctor` on the real cluster: what it finds of a bare cache, and that it finds nothing where all is there."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cluster.deployed import NODE, Deployed
from embedded.layout import Layout

pytestmark = pytest.mark.cluster

CACHES = "from caches_runtime.cli import main; main()"
POLICY = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "cache"},
    "spec": {
        "podSelector": {"matchLabels": {"app.kubernetes.io/instance": "cache"}},
        "policyTypes": ["Ingress"],
        "ingress": [{"from": [{"podSelector": {}}]}],
    },
}


def look(deployed: Deployed, code: int) -> list[dict[str, Any]]:
    """What it says of the cache, and that no password is in it."""
    connection = deployed.connection()
    kubeconfig = f"--kubeconfig={Layout.of_environment().kubeconfig}"
    command: list[str] = [str(NODE), "run", "--", sys.executable, "-c", CACHES, "doctor", "--connections=-", kubeconfig, "--json"]
    done = subprocess.run(command, input=json.dumps(connection), capture_output=True, text=True)
    assert done.returncode == code, done.stdout + done.stderr
    for key in ("password", "exporter_password"):
        assert connection[key] not in done.stdout + done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def checks(said: list[dict[str, Any]], event: str) -> set[str]:
    return {each["check"] for each in said if each["event"] == event}


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    """A server with nothing that was not asked for."""
    with Deployed(tmp_path_factory.mktemp("bare"), "doctor-bare").deployed() as deployed:
        yield deployed


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    """A group with everything."""
    deployed = Deployed(tmp_path_factory.mktemp("whole"), "doctor-whole", "SentinelGroup")
    deployed.pulumi("config", "set", "monitoring", json.dumps({"cache": {"scrape": "scrape_config", "rules": "config_map"}}))
    apart = {"node_spread": "required", "zone_spread": "required"}
    with deployed.deployed(purpose="session", tls_generated=True, **apart):
        deployed.back_up({})
        policy = Path(deployed.folder, "policy.json")
        policy.write_text(json.dumps(POLICY))
        deployed.kubectl("apply", f"--filename={policy}")
        deployed.kubectl("rollout", "status", "deployment/cache-exporter", "--timeout=120s")
        yield deployed


def test_of_a_bare_cache_exactly_what_is_missing_is_found(bare: Deployed) -> None:
    said = look(bare, code=1)
    assert checks(said, "missing") == {"tls", "network-policy", "purpose", "backups", "drill", "replicas", "alerts"}
    assert {"answers", "auth", "maxmemory", "persistence", "pods", "resources", "image", "version"} <= checks(said, "in order")


def test_nothing_is_missing_where_all_is_there(whole: Deployed) -> None:
    said = look(whole, code=0)
    assert checks(said, "missing") == set()
    # Volumes are folders of the nodes, of which kubelets tell nothing.
    assert checks(said, "not checked") == {"volumes"}
    assert {"auth", "tls", "plaintext", "certificate", "eviction", "quorum", "nodes", "zones", "backups", "alerts"} <= checks(
        said, "in order"
    )


def test_what_is_changed_by_hand_is_found(whole: Deployed) -> None:
    whole.kubectl("patch", "cronjob", "cache-backup", "--patch", json.dumps({"spec": {"suspend": True}}))
    whole.kubectl("delete", "poddisruptionbudget", "cache")
    said = look(whole, code=1)
    assert checks(said, "missing") == {"backups", "disruption-budget"}
