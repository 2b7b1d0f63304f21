"""Spans of one process, as OpenTelemetry's SDK makes them."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import suppress
from contextvars import copy_context
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv._incubating.attributes import messaging_attributes, url_attributes
from opentelemetry.semconv.attributes import error_attributes, http_attributes, server_attributes
from opentelemetry.semconv.attributes.url_attributes import URL_SCHEME

from deskbell.testing import api_call
from shared.traces.relay import Collector, WithoutTexts, packed, unpacked, within
from shared.traces.sdk import SDKTracer
from shared.traces.span import NO_SPAN, ROOT, start, use
from shared.traces.spans import (
    attempt_span,
    callback_span,
    carried,
    continue_trace,
    end_attempt,
    end_callback,
    end_request,
    fan_out_span,
    request_span,
    sent,
    trace_headers,
)

Made = list[ReadableSpan]
_LOGGED = {"outcome": "x", "app": "1", "event_id": "0" * 32, "command": "c", "node": "n", "error": ValueError("x")}


@pytest.fixture
def made() -> Iterator[Made]:
    """The spans that have ended, in a process that makes them."""
    spans: Made = []
    use(SDKTracer("tests", Collector(spans.append)))
    yield spans
    use(None)


def test_every_attribute_is_documented_and_one_of_the_semantic_conventions_or_ours(made: Made) -> None:
    """A tool that knows the conventions finds what it looks for."""
    end_callback(callback_span(0.1, has_node=True), 500, "order", _LOGGED)
    end_attempt(attempt_span("crm", {}), _LOGGED | {"attempt": 1, "job": "crm.contact"})
    end_request(request_span("POST", "https", "crm.example", None, "/contacts/{id}"), 404)
    asyncio.run(sent("0" * 32, asyncio.sleep(0)))
    known = {
        value
        for module in (messaging_attributes, url_attributes, error_attributes, http_attributes, server_attributes)
        for value in vars(module).values()
        if isinstance(value, str)
    }

    document = (Path(__file__).parents[3] / "docs" / "how-to" / "traces.md").read_text()
    names = {name for span in made for name in span.attributes or {}}

    assert {name for name in names if not name.startswith("deskbell.")} - {URL_SCHEME} <= known
    assert [span.name for span in made] == [
        "POST /callback/{node}",
        "process crm",
        "POST /contacts/{id}",
        "send events",
    ]
    assert all((span.attributes or {})["error.type"] for span in made[:3])
    assert [name for name in names if f"`{name}`" not in document] == []


@pytest.mark.parametrize(
    "trace", [None, 5, "", "no trace", ["00"], {"a": 1}, "00-" + "0" * 32 + "-" + "0" * 16 + "-01", "0" * 10_000]
)
def test_what_stands_on_redis_in_place_of_a_parent_begins_a_new_trace(made: Made, trace: Any) -> None:
    """Anybody may have written it there; it ends no job."""
    for span in (fan_out_span({"trace": trace}), attempt_span("q", {"trace": trace})):
        span.end()

    assert [span.parent for span in made] == [None, None]


def test_an_event_carries_its_parent_and_is_otherwise_as_it_was(made: Made) -> None:
    """What a job gets from Redis is the same event with and without traces."""
    event = api_call("x")
    with start("internal", "outer", {}, parent=ROOT) as outer:
        wire = carried(event.to_wire())

    fan_out_span(wire).end()

    assert wire == {**event.to_wire(), "trace": outer.traceparent}
    assert type(event).from_wire(wire).to_wire() == event.to_wire()
    assert made[1].parent
    assert made[1].parent.span_id == int(outer.ids["span_id"], 16)


def test_a_trace_that_is_not_sampled_stays_so(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its parts elsewhere are not sampled either; its lines have its ids all the same."""
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_always_off")
    use(SDKTracer("tests", Collector(made.append)))

    with start("internal", "outer", {}, parent=ROOT) as outer:
        wire = carried({})
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_always_on")
    use(SDKTracer("tests", Collector(made.append)))
    with fan_out_span(wire) as inner:
        pass

    assert made == []
    assert outer.ids["trace_id"] == inner.ids["trace_id"]


def test_what_a_jobs_own_process_begins_is_a_child_of_its_attempt(made: Made) -> None:
    """Which is a span of another process."""
    attempt = attempt_span("crm", {})

    def be_child() -> None:
        continue_trace(carried({}, attempt))
        request_span("GET", "https", "crm", 1, None).end()

    copy_context().run(be_child)

    assert [span.parent and span.parent.span_id for span in made] == [int(attempt.ids["span_id"], 16)]


@pytest.mark.usefixtures("made")
def test_another_server_is_told_its_parent_unless_the_environment_leaves_that_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By OTEL_PROPAGATORS, as everywhere."""
    span = request_span("GET", "https", "crm.example", None, None)

    assert trace_headers(span) == {"traceparent": span.traceparent}
    monkeypatch.setenv("OTEL_PROPAGATORS", "none")
    assert trace_headers(span) == {}
    assert trace_headers(NO_SPAN) == {}


def test_a_childs_span_is_sent_by_its_worker_as_it_was() -> None:
    """Through JSON, with its events, links and status."""
    provider, ended = TracerProvider(shutdown_on_exit=False), Made()
    provider.add_span_processor(Collector(ended.append))
    link = trace.Link(trace.SpanContext(1, 2, is_remote=False), {"why": "replay"})
    tracer = provider.get_tracer("acme", "1.2")
    with tracer.start_as_current_span("render", links=[link], attributes={"pages": 3, "names": ["a", "b"]}) as span:
        span.add_event("half", {"page": 1})
        span.set_status(trace.StatusCode.ERROR, "torn")

    sent = [unpacked(json.loads(json.dumps(packed(span))), provider.resource) for span in ended]

    assert encode_spans(sent) == encode_spans(ended)


def test_a_child_hands_over_no_more_than_its_answer_has_room_for() -> None:
    """And nothing that is not JSON: its worker must be able to read how the job ended."""
    assert within(20, [{"name": b"bytes"}, {"name": "a"}, {"name": "b" * 20}, {"name": "c"}]) == [{"name": "a"}]


def test_the_text_of_an_exception_is_not_exported() -> None:
    """It may quote what a customer wrote, and the SDK writes it into every span that an exception leaves."""
    provider, exporter = TracerProvider(shutdown_on_exit=False), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(WithoutTexts(exporter)))
    with suppress(ValueError), provider.get_tracer("acme").start_as_current_span("look up"):
        raise ValueError("+86 555 0517")

    (span,) = exporter.get_finished_spans()

    assert "0517" not in str(encode_spans([span]))
    assert [dict(event.attributes or {})["exception.type"] for event in span.events] == ["ValueError"]
    assert not span.status.is_ok
