"""What OpenTelemetry's SDK is told of calls, kept in memory."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
import redis
from caches_runtime.client import BudgetSpentError, ShardAwayError
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from unit.client.both import Connects
from unit.client.processes import PASSWORD, processes
from unit.client.shards import shards

BUDGET = 0.3
SECRET = "value-that-nobody-sees"


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """Of the test; the provider is set for a process once, and taken away again for the other tests of this one."""
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    monkeypatch.setattr("caches_runtime.client.observation._TRACER", provider.get_tracer("caches_runtime.client"))
    yield kept
    provider.shutdown()


def last(spans: InMemorySpanExporter) -> ReadableSpan:
    """The one that ended last; the secret is in none."""
    assert all(SECRET not in span.to_json() and PASSWORD not in span.to_json() for span in spans.get_finished_spans())
    return spans.get_finished_spans()[-1]


def test_a_call_is_a_span_of_a_client(connects: Connects, spans: InMemorySpanExporter) -> None:
    with processes() as server:
        server.serve(1)
        cache = connects(server.connection(1), name="sessions", budget=BUDGET * 10)
        cache.set(SECRET, SECRET)
        span = last(spans)
        assert (span.name, span.kind, span.status.status_code) == (f"SET {server.host(1)}:6379", SpanKind.CLIENT, StatusCode.UNSET)
        assert dict(span.attributes or {}) == {
            "db.system.name": "redis",
            "db.operation.name": "SET",
            "server.address": server.host(1),
            "server.port": 6379,
            "network.peer.address": server.host(1),
            "network.peer.port": 6379,
            "caches.name": "sessions",
            "caches.attempts": 1,
        }
        count = len(spans.get_finished_spans())
        cache.together(("SET", SECRET, SECRET), ("GET", SECRET))
        assert last(spans).name.startswith("PIPELINE ")
        assert len(spans.get_finished_spans()) == count + 1
        with pytest.raises(redis.ResponseError):
            cache.lpush(SECRET, SECRET)
        assert last(spans).status.status_code is StatusCode.ERROR
        assert (last(spans).attributes or {})["error.type"] == "ResponseError"


def test_a_span_tells_the_attempts_and_the_error_of_a_call_that_has_no_success(connects: Connects, spans: InMemorySpanExporter) -> None:
    with processes() as server:
        server.serve(1)
        server.signal(1, signal.SIGKILL)
        with pytest.raises(BudgetSpentError):
            connects(server.connection(1), budget=BUDGET).get(SECRET)
        attributes = last(spans).attributes or {}
        assert attributes["error.type"] == "BudgetSpentError"
        assert int(str(attributes["caches.attempts"])) > 1
        assert last(spans).events == ()


def test_memcacheds_calls_are_spans_too(connects: Connects, spans: InMemorySpanExporter) -> None:
    with shards(2) as under:
        cache = connects(under.connection, budget=BUDGET * 10, name="shards", retry_seconds=60)
        cache.set_many({SECRET: SECRET.encode()})
        span = last(spans)
        assert (span.attributes or {})["db.system.name"] == "memcached"
        assert (span.attributes or {})["db.operation.name"] == "SET"
        assert (span.attributes or {})["network.peer.address"] in [node.partition(":")[0] for node in under.processes]
        cache.get(SECRET)
        assert (last(spans).attributes or {})["db.operation.name"] == "GET"
        assert last(spans).status.status_code is StatusCode.UNSET
        cache.add(SECRET, b"")
        assert (last(spans).attributes or {})["db.operation.name"] == "ADD"
        assert len(spans.get_finished_spans()) == 3
        for node in under.processes:
            under.kill(node)
        assert cache.get(SECRET) is None
        assert (last(spans).attributes or {})["error.type"] == "ShardAwayError"
        with pytest.raises(ShardAwayError):
            cache.delete(SECRET)
        assert len(spans.get_finished_spans()) == 5
