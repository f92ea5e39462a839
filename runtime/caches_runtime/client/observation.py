"""What others see of calls: metrics, and spans where somebody has configured OpenTelemetry."""

from dataclasses import dataclass

from opentelemetry import trace
from opentelemetry.trace import ProxyTracerProvider, Span, SpanKind, Status, StatusCode
from prometheus_client import Counter, Histogram

SECONDS = Histogram("caches_client_call_seconds", "How long calls of the cache took, with all attempts.", ["cache", "command", "outcome"])
REPEATS = Counter("caches_client_repeats", "Attempts beyond the first.", ["cache", "command"])
_TRACER = trace.get_tracer("caches_runtime.client")


@dataclass(frozen=True)
class Observed:
    """What calls are told under. No key, no value, no login."""

    cache: str
    """The client's name."""
    engine: str
    host: str
    port: int

    def span(self, command: str) -> Span | None:
        """Of a call that begins, by OpenTelemetry's conventions for databases; None where nobody would see it, which costs least."""
        if isinstance(trace.get_tracer_provider(), ProxyTracerProvider):
            return None
        attributes: dict[str, str | int] = {
            "db.system.name": self.engine,
            "db.operation.name": command,
            "server.address": self.host,
            "server.port": self.port,
            "caches.name": self.cache,
        }
        return _TRACER.start_span(f"{command} {self.host}:{self.port}", kind=SpanKind.CLIENT, attributes=attributes)


def finish(span: Span, attempts: int, peer: tuple[str, int] | None, error: BaseException | None) -> None:
    """Ends a span. Of an error only its kind is told: its text may have what was in the command."""
    span.set_attribute("caches.attempts", attempts)
    if peer:
        span.set_attribute("network.peer.address", peer[0])
        span.set_attribute("network.peer.port", peer[1])
    if error:
        span.set_attribute("error.type", type(error).__qualname__)
        span.set_status(Status(StatusCode.ERROR))
    span.end()
