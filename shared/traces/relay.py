"""Spans on their way to the exporter: what is left out of them, and those of a job's child process, as JSON.

A child's spans are sent by its worker, which has the exporter and its thread. A process that forks must have one
thread, and a child that sent them itself would end only when the collector has taken them.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

_TEXTS = ("exception.message", "exception.stacktrace")


class Collector(SpanProcessor):
    """Hands over each span that has ended."""

    def __init__(self, take: Callable[[ReadableSpan], None]) -> None:
        self._take = take

    def on_end(self, span: ReadableSpan) -> None:
        """Hand it over."""
        self._take(span)


class WithoutTexts(SpanExporter):
    """Exports spans without the texts of exceptions, which may quote what a customer wrote.

    The SDK adds them to a span of the integrator's when an exception leaves its `with`.
    """

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export them; in the exporter's thread."""
        return self._exporter.export([_without_texts(span) for span in spans])

    def shutdown(self) -> None:
        """Export no more."""
        self._exporter.shutdown()


def _without_texts(span: ReadableSpan) -> ReadableSpan:
    if not span.events and not span.status.description:
        return span
    events = [
        Event(
            event.name,
            {name: value for name, value in (event.attributes or {}).items() if name not in _TEXTS},
            event.timestamp,
        )
        for event in span.events
    ]
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=span.attributes,
        events=events,
        links=span.links,
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def packed(span: ReadableSpan) -> dict[str, Any]:
    """A span as JSON."""
    assert span.context
    scope = span.instrumentation_scope
    return {
        "name": span.name,
        "context": _context(span.context),
        "parent": _context(span.parent) if span.parent else None,
        "kind": span.kind.value,
        "times": [span.start_time, span.end_time],
        "status": [span.status.status_code.value, span.status.description],
        "attributes": dict(span.attributes or {}),
        "events": [[event.name, dict(event.attributes or {}), event.timestamp] for event in span.events],
        "links": [[_context(link.context), dict(link.attributes or {})] for link in span.links],
        "scope": [scope.name, scope.version, scope.schema_url] if scope else None,
    }


def unpacked(packed: dict[str, Any], resource: Resource) -> ReadableSpan:
    """The span that `packed` wrote, as one of the process that sends it."""
    code, description = packed["status"]
    return ReadableSpan(
        name=packed["name"],
        context=_read_context(packed["context"]),
        parent=_read_context(packed["parent"]) if packed["parent"] else None,
        resource=resource,
        kind=SpanKind(packed["kind"]),
        start_time=packed["times"][0],
        end_time=packed["times"][1],
        status=Status(StatusCode(code), description),
        attributes=packed["attributes"],
        events=[Event(*event) for event in packed["events"]],
        links=[Link(_read_context(context), attributes) for context, attributes in packed["links"]],
        instrumentation_scope=InstrumentationScope(*packed["scope"]) if packed["scope"] else None,
    )


def within(most_bytes: int, spans: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those of some spans that are not too much together; none that holds what JSON cannot."""
    taken: list[dict[str, Any]] = []
    for span in spans:
        with suppress(TypeError, ValueError):
            most_bytes -= len(json.dumps(span))
            if most_bytes < 0:
                break
            taken.append(span)
    return taken


def _context(context: SpanContext) -> list[Any]:
    return [f"{context.trace_id:x}", f"{context.span_id:x}", int(context.trace_flags)]


def _read_context(packed: list[Any]) -> SpanContext:
    trace_id, span_id, flags = packed
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=False, trace_flags=TraceFlags(flags))
