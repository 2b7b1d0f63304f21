"""OpenTelemetry's SDK. Beside this module only `relay` imports it, and both are imported only where traces are sent.

`BatchSpanProcessor` keeps 2,048 spans at most and has a thread of its own send them: an exporter that hangs delays
nothing but itself, and spans that find no room are dropped.
"""

import os
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from opentelemetry import trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.semconv.schemas import Schemas
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from shared.errors import ConfigError
from shared.traces.relay import Collector, WithoutTexts, packed, unpacked, within
from shared.traces.span import ROOT, Attributes, Kind, Span
from shared.version import version

if TYPE_CHECKING:
    from contextvars import Token

_KINDS: dict[Kind, trace.SpanKind] = {
    "internal": trace.SpanKind.INTERNAL,
    "server": trace.SpanKind.SERVER,
    "client": trace.SpanKind.CLIENT,
    "producer": trace.SpanKind.PRODUCER,
    "consumer": trace.SpanKind.CONSUMER,
}
_FAILED = trace.Status(trace.StatusCode.ERROR)
_MOST_BYTES = 250_000  # of the spans of a child process: its answer has room for so much
_propagator = TraceContextTextMapPropagator()


class RecordedSpan(Span):
    """A span of the SDK's."""

    __slots__ = ("_span", "_token")

    def __init__(self, span: trace.Span) -> None:
        self._span = span
        self._token: Token[Context] | None = None

    @property
    def traceparent(self) -> str:
        """What makes a span elsewhere its child; of one that is not sampled as well, so that none of them is."""
        context = self._span.get_span_context()
        if not context.is_valid:
            return ROOT
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"

    @property
    def ids(self) -> Mapping[str, str]:
        """For a log line."""
        context = self._span.get_span_context()
        if not context.is_valid:
            return {}
        return {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}

    @property
    def is_recorded(self) -> bool:
        """Whether it is sampled, and has not ended."""
        return self._span.is_recording()

    def enter(self) -> Self:
        """Make it the parent of the spans that begin in this context."""
        self._token = attach(trace.set_span_in_context(self._span))
        return self

    def set(self, attributes: Attributes) -> None:
        """Add attributes."""
        self._span.set_attributes(attributes)

    def end(self, error: str = "") -> None:
        """End it."""
        if error:
            self._span.set_attribute("error.type", error)
            self._span.set_status(_FAILED)
        self._span.end()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        assert self._token
        detach(self._token)
        if self.is_recorded:
            self.end(kind.__name__ if kind else "")


class SDKTracer:
    """Makes spans, for this process and, through OpenTelemetry's own interface, for the integrator's code."""

    def __init__(self, service: str, processor: SpanProcessor) -> None:
        self._processor = processor
        self._provider = TracerProvider(resource=_resource(service), shutdown_on_exit=False)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("deskbell", version(), schema_url=Schemas.V1_44_0.value)
        trace.set_tracer_provider(self._provider)

    def start(self, kind: Kind, name: str, attributes: Attributes, parent: str | None, seconds_ago: float) -> Span:
        """Begin a span. In a trace that is not sampled none is: it would only take time."""
        above = trace.get_current_span()
        if parent is None and _is_left_out(above.get_span_context()):
            return RecordedSpan(above)
        context = None if parent is None else _propagator.extract({"traceparent": parent}, Context())
        started = time.time_ns() - round(seconds_ago * 1e9) if seconds_ago else None
        return RecordedSpan(self._tracer.start_span(name, context, _KINDS[kind], attributes, start_time=started))

    def current(self) -> Span:
        """The span that was entered here, or by the integrator's code."""
        return RecordedSpan(trace.get_current_span())

    def remote(self, traceparent: str) -> Span:
        """A span of another process."""
        return RecordedSpan(trace.get_current_span(_propagator.extract({"traceparent": traceparent}, Context())))

    def collected(self) -> list[Any]:
        """The spans that have ended here, for `relay`: none, since they are exported."""
        return []

    def relay(self, spans: Sequence[Any]) -> None:
        """Export what a child process has collected."""
        for span in spans:
            self._processor.on_end(unpacked(span, self._provider.resource))

    def close(self, seconds: float) -> None:
        """Send what waits, for so many seconds at most."""
        closing = threading.Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        closing.join(seconds)


class CollectingTracer(SDKTracer):
    """Collects the spans of a forked process. It has no thread, so that the process may fork."""

    def __init__(self) -> None:
        self._spans: list[ReadableSpan] = []
        super().__init__("", Collector(self._spans.append))

    def collected(self) -> list[Any]:
        """The spans that have ended here, as far as they are not too large."""
        return within(_MOST_BYTES, map(packed, self._spans))


def _is_left_out(context: trace.SpanContext) -> bool:
    """Whether a span is in a trace that is not sampled."""
    return context.is_valid and not context.trace_flags.sampled


def exporting(service: str) -> SDKTracer:
    """The tracer of a process that sends its spans to the collector that the environment names.

    Raises:
        ConfigError: the SDK cannot use the environment.
    """
    try:
        return SDKTracer(service, BatchSpanProcessor(WithoutTexts(OTLPSpanExporter())))
    except Exception as error:
        name = type(error).__name__
        raise ConfigError(f"OTEL_…: expected what OpenTelemetry's SDK can use, got {name} from it") from error


def _resource(service: str) -> Resource:
    """What every span of this process says of it; OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES take precedence."""
    ours = Resource({"service.name": service, "host.name": socket.gethostname(), "process.pid": os.getpid()})
    return Resource.create(ours.merge(OTELResourceDetector().detect()).attributes)
