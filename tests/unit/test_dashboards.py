"""Dashboards: every query can be parsed by Prometheus, and asks only for what the exporters export."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from pulumi_caches.kubernetes.dashboards import dashboards
from unit.alert_cases import cache
from unit.prometheus import promtool
from unit.test_alerts import ALONE, CLUSTER, MEMCACHED, SENTINEL, SETUPS

KINDS = {
    SENTINEL: {"overview", "latency", "replication"},
    CLUSTER: {"overview", "latency", "replication", "cluster"},
    ALONE: {"overview", "latency"},
    MEMCACHED: {"overview"},
}


def queries(setup: tuple[Any, ...]) -> list[str]:
    """All of a cache's, and of all clouds."""
    files = dashboards(cache("ours", *setup), clouds=True)
    return [target["expr"] for text in files.values() for panel in json.loads(text)["panels"] for target in panel["targets"]]


@pytest.mark.parametrize("setup", SETUPS, ids=str)
def test_prometheus_understands_every_query(setup: tuple[Any, ...], tmp_path: Path) -> None:
    rules = [{"record": "query", "expr": query, "labels": {"number": str(number)}} for number, query in enumerate(queries(setup))]
    (tmp_path / "rules.yaml").write_text(json.dumps({"groups": [{"name": "queries", "rules": rules}]}))
    done = promtool(tmp_path, "check", "rules", "rules.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(rules)} rules found" in done.stdout


@pytest.mark.parametrize("setup", KINDS, ids=str)
def test_are_those_that_apply(setup: tuple[Any, ...]) -> None:
    files = dashboards(cache("ours", *setup), clouds=False)
    assert set(files) == {f"shop-ours-{kind}.json" for kind in KINDS[setup]}
    assert "caches-clouds.json" in dashboards(cache("ours", *setup), clouds=True)


@pytest.mark.parametrize("setup", SETUPS, ids=str)
def test_ask_for_their_cache_only_and_leave_no_two_panels_in_one_place(setup: tuple[Any, ...]) -> None:
    for name, text in dashboards(cache("ours", *setup), clouds=True).items():
        dashboard = json.loads(text)
        places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in dashboard["panels"]]
        assert len(set(places)) == len(places)
        assert dashboard["uid"] == name.removesuffix(".json")
        scope = 'cache!=""' if name == "caches-clouds.json" else 'cache="ours",namespace="shop"'
        for panel in dashboard["panels"]:
            selectors = re.findall(r"\{(.*?)\}", panel["targets"][0]["expr"])
            assert selectors
            assert all(scope in selector for selector in selectors)
