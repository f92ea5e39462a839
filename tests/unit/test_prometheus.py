"""A real Prometheus, configured by the component's files, scrapes a real exporter of a real server, which is stopped and comes back."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

from pulumi_caches.kubernetes.alerts import RULES_FILE
from pulumi_caches.kubernetes.dashboards import dashboards
from pulumi_caches.kubernetes.exporter import secret_files
from pulumi_caches.kubernetes.monitored import Monitored
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
redis-cli set key value >/dev/null
redis-cli get key >/dev/null
python3 watch_prometheus.py
"""


def test_alerts_fire_while_a_server_is_gone_and_every_query_has_data_while_it_is_not(tmp_path: Path) -> None:
    monitored = Monitored("ours", "shop", "redis", "standalone", (SERVER,), (), "exporter", False, "", "kubernetes", "")
    # As the component makes them, but sooner, and with what is at another address.
    scraped = scrape_config(monitored).replace("ours-exporter.shop.svc", "127.0.0.1").replace("30s", "1s").replace("10s", "1s")
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
        **secret_files(monitored, PASSWORD),
        "primary.conf": f"port 6379\nmaxmemory 100mb\nrequirepass {PASSWORD}\n{users()[0]}\n",
        "prometheus.yaml": json.dumps(main),
        SCRAPE_FILE: scraped,
        RULES_FILE: groups,
        "queries.json": json.dumps(queries),
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    shutil.copy(Path(__file__).parent / "watch_prometheus.py", tmp_path)
    done = debian.run(tmp_path, SCRIPT.format(exporter=command(monitored)))
    assert done.returncode == 0, done.stderr + (tmp_path / "prometheus.log").read_text()
    expected = {"empty": [], "before": [], "during": ["CacheNoMaster", "CacheServerDown"], "after": []}
    assert json.loads(done.stdout.splitlines()[-1]) == expected
