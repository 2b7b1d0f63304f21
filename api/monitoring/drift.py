"""Contract drift: calls and results that depart from what a handler declares, and calls that no handler takes.

Drift is counted, and logged once for a process, since a node that drifts does so with every call. Names come from
outside: what is remembered and shown of them is bounded for each node.
"""

from typing import Any

from api.metrics import Metrics
from shared.drift import handler_to_paste, input_drift
from shared.handlers.executor import guarded_call
from shared.handlers.handler import Handler
from shared.logs import get_log
from shared.raised import as_raised
from shared.redaction import loggable_names
from shared.wire.commands import ApiCall
from shared.wire.events import Event, Reply

_MOST_LINES = 20  # of one kind for one node


class DriftLog:
    """Counts and logs drift, and calls of handlers that were left behind."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._log = get_log()
        self._logged: dict[tuple[str, str], set[tuple[str, ...]]] = {}

    def check(self, handler: Handler | None, event: Event, result: Any, reply: Reply) -> None:
        """Count and log how a call departs from what its handler declares, and log how the result does."""
        if not isinstance(event, ApiCall):
            return
        if handler is None:
            have_values = {name: value not in ("", None) for name, value in event.variables.items()}
            source = handler_to_paste(event.node, have_values)
            self._log_once(("no_handler", ""), [source], "no_handler", node=event.node, write=source)
            return
        self._check_call(handler, event)
        if result is not None and handler.outputs.shapes:
            self._check_result(handler, result, reply)

    def record_straggler(self, handler: Handler) -> None:
        """Count a run that was left behind."""
        self._metrics.stragglers.labels(handler.name).inc()

    def record_saturated(self, handler: Handler) -> None:
        """Count a call whose handler is not begun."""
        self._metrics.at_once.labels(handler.name).inc()

    def _check_call(self, handler: Handler, call: ApiCall) -> None:
        for kind, names in zip(("missing", "undeclared"), input_drift(handler, call.variables), strict=True):
            if names:
                self._metrics.drift.labels(handler.name, kind).inc()
                shown = loggable_names(names)
                self._log_once((kind, handler.name), shown, "drift", node=handler.name, kind=kind, variables=shown)

    def _check_result(self, handler: Handler, result: Any, reply: Reply) -> None:
        try:
            problems = guarded_call(lambda: handler.outputs.problems(result, reply.variables))
        except Exception as error:  # noqa: BLE001 - a mapping or a validator of the integrator's
            problems = [f"it cannot be checked ({type(as_raised(error)).__name__})"]
        if problems:
            self._log_once(
                ("output", handler.name), problems, "undeclared_output", node=handler.name, problems=problems
            )

    def _log_once(self, about: tuple[str, str], said: list[str], line: str, /, **fields: Any) -> None:
        logged = self._logged.setdefault(about, set())
        if len(logged) >= _MOST_LINES or tuple(said) in logged:
            return
        logged.add(tuple(said))
        last = {"note": "further ones are not logged"} if len(logged) == _MOST_LINES else {}
        self._log.warning(line, **fields, **last)
