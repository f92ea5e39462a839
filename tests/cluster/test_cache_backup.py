"""CacheBackup on the real cluster: backups to a volume, a drill, what Prometheus is told, and a restore after all data was lost."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest
from cluster.deployed import NODE, Client, Deployed, eventually

pytestmark = pytest.mark.cluster

KEYS = 500


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    """A master with a replica, and what backs it up."""
    cache = Deployed(tmp_path_factory.mktemp("backup"), "backup")
    with cache.deployed(replicas=1):
        cache.back_up({"memory_gib": 0.25, "metrics": True})
        yield cache


def run(cache: Deployed, job: str, name: str) -> str:
    """Makes a Job of a CronJob, and waits for its end; its log."""
    cache.kubectl("create", "job", f"--from=cronjob/{job}", name)

    def ended() -> bool:
        status = cache.get("job", name)["status"]
        return bool(status.get("succeeded") or any(each["type"] == "Failed" for each in status.get("conditions", [])))

    eventually(ended, f"the end of the Job {name}")
    return cache.kubectl("logs", f"job/{name}")


def told(cache: Deployed, keys: int) -> dict[str, float]:
    """What the Service answers Prometheus of backups, by a pod that looks anew and sees one with so many keys."""
    cache.kubectl("rollout", "restart", "deployment/cache-backup-metrics")
    cache.kubectl("rollout", "status", "deployment/cache-backup-metrics", "--timeout=120s")
    [service] = [each for each in cache.get("services")["items"] if each["metadata"]["name"] == "cache-backup-metrics"]
    annotations = {key.partition("/")[2]: value for key, value in service["metadata"]["annotations"].items()}
    url = f"http://cache-backup-metrics.{cache.namespace}.svc:{annotations['port']}{annotations['path']}"
    program = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1]).read().decode())"

    def answer() -> dict[str, float]:
        done = subprocess.run([NODE, "run", "--", sys.executable, "-c", program, url], capture_output=True, text=True)
        return {name: float(value) for name, value in re.findall(r"^caches_backup_(\w+) (\S+)$", done.stdout, re.MULTILINE)}

    # Nodes lead to a pod a moment after it is ready, and to the one before it, which has not seen the newest, no longer.
    eventually(lambda: answer().get("last_keys") == keys, f"an answer of {url} that knows of the newest backup")
    return answer()


def test_what_was_lost_comes_back(cache: Deployed) -> None:
    known = cache.connection()
    client = Client(known["password"])
    for number in range(KEYS):
        client.call(known["host"], "SET", f"text{number}", f"{number}", "PX", "3600000")
    client.call(known["host"], "ZADD", "sorted", "1.5", "one", "2.5", "two")
    client.call(known["host"], "XADD", "stream", "1-1", "field", "value")
    made = run(cache, "cache-backup", "made")
    assert "a replica" in made
    assert f"{KEYS + 2} keys" in made
    assert "whole: " in run(cache, "cache-backup-drill", "drilled")
    metrics = told(cache, KEYS + 2)
    assert (metrics["bucket_up"], metrics["complete"]) == (1, 2), "the first one, and this one"
    assert metrics["last_drill_timestamp_seconds"] > metrics["last_timestamp_seconds"] > 0
    assert "refused: " in run(cache, "cache-backup-restore", "not-empty")
    client.call(known["host"], "FLUSHALL")
    assert f"{KEYS + 2} keys are equal" in run(cache, "cache-backup-restore", "restored")
    assert [client.call(known["host"], "GET", f"text{number}") for number in range(KEYS)] == [f"{number}" for number in range(KEYS)]
    assert 0 < int(client.call(known["host"], "PTTL", "text0")) < 3600000
    assert client.call(known["host"], "ZRANGE", "sorted", "0", "-1") == ["one", "two"]
    assert client.call(known["host"], "XLEN", "stream") == 1
    client.close()
    assert known["password"] not in json.dumps([cache.get(kind) for kind in ("pods", "jobs", "cronjobs", "events")])
