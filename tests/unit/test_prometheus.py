"""A real Prometheus, configured by the component's files, scrapes a real exporter of a real server, which is stopped and comes back."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from pulumi_caches.kubernetes.alerts import RULES_FILE
from pulumi_caches.kubernetes.dashboards import dashboards
from pulumi_caches.kubernetes.exporter import secret_files
from pulumi_caches.kubernetes.exporter_sidecar import from_within
from pulumi_caches.kubernetes.monitored import Monitored
from pulumi_caches.kubernetes.pod_scrape import pod_scrape_config
from pulumi_caches.kubernetes.scrape import SCRAPE_FILE, scrape_config
from unit import debian
from unit.test_alerts import rules
from unit.test_exporter import PASSWORD, command, users

SERVER = "127.0.0.1:6379"
SCRIPT = f"""
redis-server primary.conf --save '' --daemonize yes >/dev/null
{{exporter}} >exporter.log 2>&1 &
prometheus --config.file=prometheus.yaml --storage.tsdb.path=/mnt/tsdb --web.listen-address=127.0.0.1:9090 >prometheus.log 2>&1 &
export REDISCLI_AUTH={PASSWORD}
until redis-cli ping >/dev/null 2>&1; do sleep 0.1; done
redis-cli set key value >/dev/null
redis-cli get key >/dev/null
python3 watch_prometheus.py
"""


def asks_one_for_all(monitored: Monitored) -> tuple[Monitored, str]:
    """What the exporter asks, and Prometheus' configuration, with the exporter at another address."""
    return monitored, scrape_config(monitored).replace("ours-exporter.shop.svc", "127.0.0.1")


def asks_each_pod(monitored: Monitored) -> tuple[Monitored, str]:
    """The same with an exporter in each pod, of which there is one, found without Kubernetes but described as by it."""
    within = from_within("redis", "exporter", tls=False)
    config = json.loads(pod_scrape_config(replace(monitored, pods={"app": "ours"})))
    found = {"__meta_kubernetes_pod_container_port_name": "exporter", "__meta_kubernetes_pod_phase": "Running"}
    strange = {**found, "__meta_kubernetes_pod_phase": "Failed"}
    for job in config["scrape_configs"]:
        del job["kubernetes_sd_configs"]
        job["static_configs"] = [{"targets": ["127.0.0.1:9121"], "labels": found}, {"targets": ["127.0.0.1:1"], "labels": strange}]
    return within, json.dumps(config)


@pytest.mark.parametrize("how", [asks_one_for_all, asks_each_pod])
def test_alerts_fire_while_a_server_is_gone_and_every_query_has_data_while_it_is_not(
    how: Callable[[Monitored], tuple[Monitored, str]], tmp_path: Path
) -> None:
    monitored = Monitored("ours", "shop", "redis", "standalone", (SERVER,), (), "exporter", False, "", "kubernetes", "")
    asked, config = how(monitored)
    # As the component makes them, but sooner.
    scraped = config.replace("30s", "1s").replace("10s", "1s")
    groups = re.sub(r'"for": "\d+m"', '"for": "2s"', json.dumps({"groups": rules(monitored)["groups"]}))
    panels = [panel for text in dashboards(monitored, clouds=True).values() for panel in json.loads(text)["panels"]]
    # It has no replica and no reads yet, of which those tell.
    queries = [
        panel["targets"][0]["expr"] for panel in panels if panel["title"] not in ("Replicas that follow", "Reads that find their key")
    ]
    main = {
        "global": {"evaluation_interval": "1s"},
        "scrape_config_files": [SCRAPE_FILE],
        "rule_files": [RULES_FILE],
    }
    files = {
        **secret_files(asked, PASSWORD),
        "primary.conf": f"port 6379\nmaxmemory 100mb\nrequirepass {PASSWORD}\n{users()[0]}\n",
        "prometheus.yaml": json.dumps(main),
        SCRAPE_FILE: scraped,
        RULES_FILE: groups,
        "queries.json": json.dumps(queries),
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    shutil.copy(Path(__file__).parent / "watch_prometheus.py", tmp_path)
    done = debian.run(tmp_path, SCRIPT.format(exporter=command(asked)))
    assert done.returncode == 0, done.stderr + (tmp_path / "prometheus.log").read_text()
    expected = {"empty": [], "before": [], "during": ["CacheNoMaster", "CacheServerDown"], "after": []}
    assert json.loads(done.stdout.splitlines()[-1]) == expected
