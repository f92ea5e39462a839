"""What Prometheus and a kubelet can ask a replicator."""

import threading
import time
from collections.abc import Callable
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, make_wsgi_app

# A batch may wait for a server that hangs, twice, before it is known.
STALE_SECONDS = 30.0
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class Metrics:
    """Of one process. Names of keys are nowhere in it."""

    def __init__(self, lag: Callable[[], float], backlog: Callable[[], int]) -> None:
        self.registry = CollectorRegistry()
        more: dict[str, Any] = {"registry": self.registry}
        self.copied = Counter("caches_replicate_keys_copied", "Keys that were written or deleted, by site.", ["site"], **more)
        self.errors = Counter("caches_replicate_errors", "Keys that could not be brought, by site.", ["site"], **more)
        self.conflicts = Counter("caches_replicate_conflicts", "Keys written at several sites at once: one of the writes is lost.", **more)
        self.changes = Histogram(
            "caches_replicate_change_seconds", "From when a change was heard until it was everywhere.", buckets=_SECONDS, **more
        )
        self.divergent = Gauge(
            "caches_replicate_divergent_keys", "Keys that the last sweep found different, and no event had told.", **more
        )
        self.swept = Gauge("caches_replicate_sweep_timestamp_seconds", "When the last sweep of all keys ended.", **more)
        self.up = Gauge("caches_replicate_up", "Whether all sites are connected.", **more)
        self.events = Gauge("caches_replicate_events", "Whether a site tells of all its changes.", ["site"], **more)
        Gauge("caches_replicate_lag_seconds", "How long the oldest change has been waiting.", **more).set_function(lag)
        Gauge("caches_replicate_backlog_keys", "Keys that have changed and wait.", **more).set_function(backlog)
        self._connected = False
        self._alive = 0.0

    def beat(self) -> None:
        """Says that the replicator is connected and at work."""
        self._alive = time.monotonic()
        if not self._connected:
            self._connected = True
            self.up.set(1)

    def lose(self) -> None:
        """Says that a site does not answer."""
        self._connected = False
        self.up.set(0)

    @property
    def healthy(self) -> bool:
        """Whether it is connected and at work."""
        return self._connected and time.monotonic() - self._alive < STALE_SECONDS

    def serve(self, port: int) -> Callable[[], None]:
        """Answers at /metrics and /healthz of that port, 0 for none; what ends that."""
        if not port:
            return lambda: None
        scraped: Any = make_wsgi_app(self.registry)

        def answer(environ: dict[str, Any], start: Any) -> Any:
            if environ["PATH_INFO"] != "/healthz":
                return scraped(environ, start)
            start("200 OK" if self.healthy else "503 Service Unavailable", [("Content-Type", "text/plain")])
            return [b"ok\n" if self.healthy else b"a site does not answer\n"]

        server: WSGIServer = make_server("", port, answer, handler_class=_Quiet)
        threading.Thread(target=server.serve_forever, daemon=True).start()

        def end() -> None:
            server.shutdown()
            server.server_close()

        return end


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Is not said."""
