"""What Prometheus is told of backups, and the alerts that a real one makes of it."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from availability import unavailable
from caches_runtime.ops.backup.metrics import Collector, note_drill
from caches_runtime.ops.backup.store import Store
from caches_runtime.ops.migrate.errors import UnfinishedError
from common.waiting import until
from prometheus_client import generate_latest
from pulumi_caches.arguments import Arguments
from pulumi_caches.kubernetes.alerts import NAMES, RULES_FILE, ThresholdArgs, read_thresholds, rule_groups
from pulumi_caches.kubernetes.cache_monitoring import RUNBOOKS
from pulumi_caches.kubernetes.monitored import Monitored
from pulumi_caches.kubernetes.scrape import SCRAPE_FILE, scrape_config
from unit.backup.buckets import free_port
from unit.backup.caches import Place, standalone
from unit.migrate.servers import Server

ALERTS = ["CacheBackupTooOld", "CacheRestoreDrillTooOld"]


def told(collector: Collector) -> dict[str, float]:
    lines = generate_latest(collector.register()).decode().splitlines()
    samples = (re.fullmatch(r"caches_backup_(\w+) (\S+)", line) for line in lines if not line.startswith("#"))
    return {found[1]: float(found[2]) for found in samples if found}


def test_what_is_in_the_bucket_is_told(place: Place, source: Server) -> None:
    assert told(Collector(place.store, 0)) == {"bucket_up": 1, "complete": 0}
    made = place.backup(standalone(source)).run()
    note_drill(place.store, made.id)
    samples = told(Collector(place.store, 0))
    drilled = samples.pop("last_drill_timestamp_seconds")
    assert drilled >= made.finished
    assert samples == {
        "bucket_up": 1,
        "complete": 1,
        "last_timestamp_seconds": pytest.approx(made.finished),
        "last_duration_seconds": pytest.approx(made.finished - made.started),
        "last_size_bytes": made.bytes,
        "last_keys": 4012,
    }


def test_the_bucket_is_not_asked_for_every_scrape_and_may_be_gone(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    collector = Collector(place.store, 3600)
    assert told(collector)["bucket_up"] == 1

    def gone(*_: object) -> None:
        raise UnfinishedError("bucket")

    monkeypatch.setattr(Store, "folders", gone)
    assert told(collector)["bucket_up"] == 1
    assert told(Collector(place.store, 3600)) == {"bucket_up": 0}


def test_a_prometheus_alerts_while_there_is_no_backup_to_be_seen_and_not_while_there_is(place: Place, source: Server) -> None:
    metrics = free_port()
    telling = place.command("metrics", f"--port={metrics}", "--every-seconds=1")
    try:
        with prometheus(place.folder, metrics) as ask:

            def firing() -> list[str]:
                return sorted(alert["labels"]["alertname"] for alert in ask("alerts")["alerts"] if alert["state"] == "firing")

            assert until(lambda: firing() == ALERTS, 30), "there is no backup yet"
            made = place.backup(standalone(source)).run()
            assert until(lambda: firing() == ALERTS[1:], 30), "it was not drilled yet"
            note_drill(place.store, made.id)
            assert until(lambda: firing() == [], 30)
            [keys] = ask("query", query='caches_backup_last_keys{cache="sessions",namespace="shop"}')["result"]
            assert keys["value"][1] == "4012"
            telling.send_signal(signal.SIGTERM)
            telling.communicate(timeout=10)
            assert telling.returncode == 0
            assert until(lambda: firing() == ALERTS, 30), "nobody looks into the bucket"
    finally:
        telling.kill()


def is_ready(port: int) -> bool:
    """Before it has read its storage, a Prometheus that listens answers 503."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready"):
            return True
    except OSError:
        return False


@contextmanager
def prometheus(folder: Path, metrics: int) -> Iterator[Any]:
    """Scrapes what answers at the port, as CacheMonitoring configures it, but sooner; yields what asks its API."""
    if not shutil.which("prometheus"):
        unavailable("prometheus is not on PATH")
    monitored = Monitored("sessions", "shop", "redis", "standalone", (), (), "", False, "", "kubernetes", "", backup="data")
    scraped = scrape_config(monitored).replace("data-backup-metrics.shop.svc:9199", f"127.0.0.1:{metrics}")
    thresholds = read_thresholds(Arguments("Test", "cache", 63, {}, ThresholdArgs))
    others = tuple(name for name in NAMES if name not in ALERTS)
    rules = json.dumps(rule_groups(monitored, thresholds, others, {}, RUNBOOKS))
    port = free_port()
    files = {
        "prometheus.yaml": json.dumps(
            {"global": {"evaluation_interval": "1s"}, "scrape_config_files": [SCRAPE_FILE], "rule_files": [RULES_FILE]}
        ),
        SCRAPE_FILE: scraped.replace("30s", "1s").replace("10s", "1s"),
        RULES_FILE: rules.replace('"10m"', '"0s"').replace("[30m]", "[3s]"),
    }
    for name, text in files.items():
        (folder / name).write_text(text)

    def ask(path: str, **parameters: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}") as reply:
            return json.load(reply)["data"]

    command = ["prometheus", f"--config.file={folder}/prometheus.yaml", f"--storage.tsdb.path={folder}/tsdb"]
    log = folder / "prometheus.log"
    with log.open("wb") as output, subprocess.Popen([*command, f"--web.listen-address=127.0.0.1:{port}"], stderr=output) as process:
        try:
            assert until(lambda: is_ready(port), 30), log.read_text()
            yield ask
        finally:
            process.kill()
