"""The spans of a trace, in the order in which they begin, and their attributes.

The names are those of OpenTelemetry's semantic conventions 1.44 for HTTP and messaging; `deskbell.` begins our own.
What a span says of a callback or an attempt, its log line says as well, and nothing more. So `url.path` and `url.full`
are left out, which the conventions ask for: they hold the path's secret, users' ids and tokens.
"""

import os
from collections.abc import Awaitable, Mapping
from typing import Any, Protocol, TypeVar

from shared.raised import as_raised
from shared.traces.span import NO_SPAN, ROOT, Attributes, Span, current, enter_remote, start

__all__ = [
    "NAMES",
    "NO_SPAN",
    "URL_TEMPLATE",
    "Span",
    "attempt_span",
    "callback_span",
    "carried",
    "continue_trace",
    "end_attempt",
    "end_callback",
    "end_fan_out",
    "end_request",
    "fan_out_span",
    "handled",
    "request_span",
    "sent",
    "trace_headers",
]

URL_TEMPLATE = "deskbell.url_template"
"""The extension of a request of httpx that says its path without what differs, for the span's name."""


class _HasOutcome(Protocol):
    @property
    def outcome(self) -> str: ...


_Kept = TypeVar("_Kept")
_Reply = TypeVar("_Reply", bound=_HasOutcome)
_TRACE = "trace"  # the key of an event on Redis that holds the parent of what is done with it
NAMES = {
    "app": "deskbell.app",
    "event_id": "deskbell.event.id",
    "command": "deskbell.command",
    "node": "deskbell.node",
    "attempt": "deskbell.job.attempt",
    "job": "deskbell.job",
    "outcome": "deskbell.outcome",
}
"""Attributes of our own, by the field of a log line that they have their value from."""

_TRACE_CONTEXT = "tracecontext"  # W3C's, as OTEL_PROPAGATORS has it
_CLIENT_ERRORS, _SERVER_ERRORS = 400, 500
_LONGEST = 100
_PORTS = {"http": 80, "https": 443}


def callback_span(seconds: float, *, has_node: bool) -> Span:
    """A callback, from its first byte, so many seconds ago, to its answer: the first span of a trace.

    A `traceparent` that comes with it is not heeded: whoever can send a callback could join it to any trace, and decide
    whether it is sampled. Tencent sends none.
    """
    route = "/callback/{node}" if has_node else "/callback"
    attributes = {"http.request.method": "POST", "http.route": route, "url.scheme": "http"}
    return start("server", f"POST {route}", attributes, parent=ROOT, seconds_ago=seconds).enter()


def end_callback(span: Span, status: int, node: str, logged: Mapping[str, Any]) -> None:
    """End the span of a callback that was answered with a status of HTTP."""
    more: dict[str, str | int] = {"http.response.status_code": status, **({"deskbell.node": node} if node else {})}
    _end(span, logged, more, str(status) if status >= _SERVER_ERRORS else "")


async def handled(node: str, answer: Awaitable[tuple[Any, _Reply]]) -> tuple[Any, _Reply]:
    """What the integrator's handler, or its fallback, answers: within a span."""
    with start("internal", f"handler {node}", {"deskbell.node": node}) as span:
        result, reply = await answer
        span.set({"deskbell.outcome": reply.outcome})
        return result, reply


async def sent(event_id: str, keeping: Awaitable[_Kept]) -> _Kept:
    """What keeps an event, on Redis or in the spool, gives: within a span."""
    with start("producer", "send events", {**_messaging("events", "send"), "messaging.message.id": event_id}):
        return await keeping


def fan_out_span(wire: Any) -> Span:
    """An event becomes jobs: until the ack that makes them."""
    return start("consumer", "process events", _messaging("events", "process"), parent=_parent(wire))


def end_fan_out(span: Span, logged: Mapping[str, Any]) -> Mapping[str, str]:
    """End the span of a fan-out; its ids, for the log line."""
    _end(span, logged, {}, _error_type(logged.get("error")))
    return span.ids


def attempt_span(queue: str | None, wire: Any) -> Span:
    """An attempt at a job: until its outcome is known; none where the attempt is another process's, by its queue."""
    if queue is None:
        return NO_SPAN
    return start("consumer", f"process {queue}", _messaging(queue, "process"), parent=_parent(wire))


def end_attempt(span: Span, logged: Mapping[str, Any]) -> Mapping[str, str]:
    """End the span of an attempt; its ids, for the log line. When it was not the job's turn, no span is sent."""
    if logged["outcome"] != "out_of_turn":
        _end(span, logged, {}, _error_type(logged.get("error")))
    return span.ids


def request_span(method: str, scheme: str, host: str, port: int | None, template: object) -> Span:
    """A request to another server; `end_request` ends it when it was answered."""
    path = template if isinstance(template, str) else ""
    attributes: dict[str, str | int] = {
        "http.request.method": method,
        "server.address": host,
        "server.port": port or _PORTS.get(scheme, 0),
        **({"url.template": path} if path else {}),
    }
    return start("client", f"{method} {path}".rstrip(), attributes)


def trace_headers(span: Span) -> dict[str, str]:
    """What tells another server its parent: random ids, nothing of the customer; OTEL_PROPAGATORS may leave it out."""
    traceparent = span.traceparent
    names = os.environ.get("OTEL_PROPAGATORS", _TRACE_CONTEXT) if traceparent else ""
    return {"traceparent": traceparent} if _TRACE_CONTEXT in names else {}


def end_request(span: Span, status: int) -> None:
    """End the span of a request that was answered with a status."""
    span.set({"http.response.status_code": status})
    span.end(str(status) if status >= _CLIENT_ERRORS else "")


def carried(wire: dict[str, Any], span: Span | None = None) -> dict[str, Any]:
    """An event as it goes on Redis, with the parent of what is done with it: a span, by default the current one."""
    traceparent = (span or current()).traceparent
    return {**wire, _TRACE: traceparent} if traceparent else wire


def continue_trace(wire: dict[str, Any]) -> None:
    """Make the spans that begin in this context children of the one that an event carries."""
    enter_remote(_parent(wire))


def _messaging(queue: str, operation: str) -> dict[str, str | int]:
    return {
        "messaging.system": "rq",
        "messaging.destination.name": queue,
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
    }


def _parent(wire: Any) -> str:
    """The parent that an event on Redis names, where anybody may have written it."""
    traceparent = wire.get(_TRACE) if isinstance(wire, dict) else None
    return traceparent if isinstance(traceparent, str) else ROOT


def _end(span: Span, logged: Mapping[str, Any], more: Attributes, error: str) -> None:
    if span.is_recorded:
        span.set({**{NAMES[name]: value for name, value in logged.items() if name in NAMES and value}, **more})
        span.end(error)


def _error_type(error: object) -> str:
    """The name of an exception's type; its text may quote what a customer wrote."""
    return type(as_raised(error)).__name__[:_LONGEST] if isinstance(error, BaseException) else ""
