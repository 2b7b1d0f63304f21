"""Sending of traces, from the start of a process to its end."""

from collections.abc import Iterator
from contextlib import contextmanager

from shared.logs import get_log, ids_come_from
from shared.traces.environment import destination
from shared.traces.span import Tracer, current, use

_LAST_SECONDS = 1.5  # for what waits to be sent when a process ends: the supervisor kills it some seconds later


@contextmanager
def sending_traces(service: str) -> Iterator[None]:
    """Within the context, send this process's traces if its environment says so; at its end, what waits.

    Args:
        service: `service.name` of the spans, unless the environment says another.

    Raises:
        ConfigError: the environment says it wrongly.
    """
    where = destination()
    if not where.endpoint:
        yield
        return
    from shared.traces.sdk import exporting  # noqa: PLC0415 - see its docstring

    tracer = exporting(service)
    _use(tracer)
    get_log().info("sending_traces", endpoint=where.endpoint)
    try:
        yield
    finally:
        use(None)
        tracer.close(_LAST_SECONDS)


def collect_traces() -> None:
    """In a process that forks one for each job: have these collect their spans for the worker."""
    if destination().endpoint:
        from shared.traces.sdk import CollectingTracer  # noqa: PLC0415 - see its docstring

        _use(CollectingTracer())


def _use(tracer: Tracer) -> None:
    use(tracer)
    ids_come_from(lambda: current().ids)
