"""A collector of traces: it takes what OpenTelemetry's exporter sends over HTTP, or never answers."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True, slots=True)
class Received:
    """A span that has arrived.

    Attributes:
        service: `service.name` of the process that sent it.
        error: whether its status says that it failed.
    """

    service: str
    name: str
    kind: int
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, Any]
    events: list[str]
    error: bool


@dataclass(eq=False)
class Collector:
    """What has arrived.

    Attributes:
        url: what the environment names.
        bodies: of the requests, as they came.
        answers: let requests be answered; until it is set they are not.
    """

    url: str
    spans: list[Received] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    answers: threading.Event = field(default_factory=threading.Event)
    asked: threading.Event = field(default_factory=threading.Event)

    def take(self, body: bytes) -> None:
        """Read a request."""
        self.bodies.append(body)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            service = _attributes(resource.resource)["service.name"]
            for scope in resource.scope_spans:
                self.spans += [_received(service, span) for span in scope.spans]

    def named(self, name: str) -> list[Received]:
        """The spans of a name that have arrived."""
        return [span for span in self.spans if span.name == name]


@contextmanager
def collector(*, answers: bool = True) -> Iterator[Collector]:
    """A collector on a port of its own."""
    found = Collector("")
    if answers:
        found.answers.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.asked.set()
            found.answers.wait()
            assert self.path == "/v1/traces"
            found.take(body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        found.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield found
        finally:
            found.answers.set()
            server.shutdown()
            thread.join()


def _received(service: str, span: Any) -> Received:
    return Received(
        service=service,
        name=span.name,
        kind=span.kind,
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        attributes=_attributes(span),
        events=[event.name for event in span.events],
        error=span.status.code == 2,
    )


def _attributes(of: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in of.attributes}
