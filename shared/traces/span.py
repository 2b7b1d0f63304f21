"""A span (one step of a trace), and the tracer of this process. While no traces are sent, a span does nothing."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Literal, Protocol, Self

Attributes = Mapping[str, str | int]
Kind = Literal["internal", "server", "client", "producer", "consumer"]
ROOT = ""
"""The parent of the first span of a trace."""


class Span:
    """A span that nobody records.

    Attributes:
        traceparent: what makes a span elsewhere its child (W3C Trace Context); "" while no traces are sent.
        ids: `trace_id` and `span_id`, for a log line.
        is_recorded: whether its attributes are kept: it is sampled, and has not ended.
    """

    __slots__ = ()

    @property
    def traceparent(self) -> str:
        """See above."""
        return ROOT

    @property
    def ids(self) -> Mapping[str, str]:
        """See above."""
        return {}

    @property
    def is_recorded(self) -> bool:
        """See above."""
        return False

    def enter(self) -> Self:
        """Make it the parent of the spans that begin in this context (`contextvars`)."""
        return self

    def set(self, attributes: Attributes) -> None:
        """Add attributes: never a value of a callback's, a user, a secret, or the text of an exception."""

    def end(self, error: str = "") -> None:
        """End it, and with it have it sent; one that is not ended is not sent.

        Args:
            error: what kind of failure it was, a type or a status; "" for none.
        """

    def __enter__(self) -> Self:
        return self.enter()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.end(kind.__name__ if kind else "")


class Tracer(Protocol):
    """What makes spans."""

    def start(self, kind: Kind, name: str, attributes: Attributes, parent: str | None, seconds_ago: float) -> Span:
        """See `start`."""

    def current(self) -> Span:
        """The span that was entered here."""

    def remote(self, traceparent: str) -> Span:
        """A span of another process."""

    def collected(self) -> list[Any]:
        """What a child process has for `relay`."""

    def relay(self, spans: Sequence[Any]) -> None:
        """Have spans of a child process sent."""


NO_SPAN = Span()
_tracers: list[Tracer] = []  # the one of this process, if traces are sent


def use(tracer: Tracer | None) -> None:
    """Have this process's spans made by a tracer; by none any more."""
    _tracers[:] = [tracer] if tracer else []


def start(
    kind: Kind, name: str, attributes: Attributes, *, parent: str | None = None, seconds_ago: float = 0.0
) -> Span:
    """Begin a span.

    Args:
        kind: what it is to its parent, in OpenTelemetry's words.
        name: what is done; of few different ones.
        attributes: as for `Span.set`.
        parent: its parent's `traceparent`, or `ROOT`; by default it is the span that was entered here.
        seconds_ago: since when it has been under way.
    """
    return _tracers[0].start(kind, name, attributes, parent, seconds_ago) if _tracers else NO_SPAN


def current() -> Span:
    """The span that was entered here."""
    return _tracers[0].current() if _tracers else NO_SPAN


def enter_remote(traceparent: str) -> None:
    """Make a span of another process the parent of the spans that begin in this context."""
    if _tracers:
        _tracers[0].remote(traceparent).enter()


def collected() -> list[Any]:
    """In a process that was forked for a job: the spans that have ended, as JSON, for `relay`."""
    with suppress(Exception):  # whatever an integrator's spans hold, the job's outcome is told
        return _tracers[0].collected() if _tracers else []
    return []


def relay(spans: Sequence[Any]) -> None:
    """Have the spans sent that a job's process has collected."""
    with suppress(Exception):
        if _tracers:
            _tracers[0].relay(spans)
