"""What Prometheus is told of backups."""

from __future__ import annotations

import re
import signal
import socket
import urllib.request

import pytest
from caches_runtime.ops.backup.metrics import Collector, note_drill
from caches_runtime.ops.backup.store import Store
from caches_runtime.ops.migrate.errors import UnfinishedError
from common.waiting import until
from prometheus_client import generate_latest
from unit.backup.caches import Place, standalone
from unit.migrate.servers import fill, server


def told(collector: Collector) -> dict[str, float]:
    lines = generate_latest(collector.register()).decode().splitlines()
    samples = (re.fullmatch(r'caches_backup_(\w+)\{cache="shop/cache"\} (\S+)', line) for line in lines if not line.startswith("#"))
    return {found[1]: float(found[2]) for found in samples if found}


def test_what_is_in_the_bucket_is_told(place: Place) -> None:
    assert told(Collector(place.store, "shop/cache", 0)) == {"bucket_up": 1, "complete": 0}
    with server("redis") as source:
        fill(source)
        made = place.backup(standalone(source)).run()
    note_drill(place.store, made.id)
    samples = told(Collector(place.store, "shop/cache", 0))
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
    collector = Collector(place.store, "shop/cache", 3600)
    assert told(collector)["bucket_up"] == 1

    def gone(*_: object) -> None:
        raise UnfinishedError("bucket")

    monkeypatch.setattr(Store, "folders", gone)
    assert told(collector)["bucket_up"] == 1
    assert told(Collector(place.store, "shop/cache", 3600)) == {"bucket_up": 0}


def test_the_command_answers_until_it_is_asked_to_end(place: Place) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = place.command("metrics", "--cache=shop/cache", f"--port={port}")

    def answer() -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as reply:
                return str(reply.read().decode())
        except OSError:
            return ""

    assert until(lambda: 'caches_backup_bucket_up{cache="shop/cache"} 1.0' in answer(), 20)
    started.send_signal(signal.SIGTERM)
    started.communicate(timeout=10)
    assert started.returncode == 0
