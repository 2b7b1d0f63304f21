"""What is noted of handlers: departures from a node's contract, and runs that were left behind.

A call departs from the inputs, a result from the outputs, or there is no handler at all. Each is counted; each is
logged once for a process, since a node that drifts drifts with every call. Names come from outside: what is remembered
and shown of them is bounded, for each node apart.
"""

from collections.abc import Mapping
from typing import Any

from api.metrics import Metrics
from api.unhandled import handler_to_paste
from shared.commands import ApiCall
from shared.contract import shown_names
from shared.handlers import Handler
from shared.logs import get_log
from shared.raised import as_raised
from shared.runs import guarded_call

_MOST_LINES = 20  # of one kind for one node


class Contract:
    """Notes departures."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._log = get_log()
        self._logged: dict[tuple[str, str], set[tuple[str, ...]]] = {}

    def note_call(self, handler: Handler, call: ApiCall) -> None:
        """Count a call that lacks a declared input or brings an undeclared one."""
        for kind, names in zip(("missing", "undeclared"), handler.drift(call), strict=True):
            if names:
                self._metrics.drift.labels(handler.name, kind).inc()
                shown = shown_names(names)
                self._log_once((kind, handler.name), shown, "drift", node=handler.name, kind=kind, variables=shown)

    def note_unhandled(self, call: ApiCall) -> None:
        """Log the handler to write for a call that none takes."""
        source = handler_to_paste(call)
        self._log_once(("no_handler", ""), [source], "no_handler", node=call.node, write=source)

    def note_result(self, handler: Handler, result: Any, variables: Mapping[str, str] | None) -> None:
        """Log a result that departs from what the handler declares; it is answered all the same."""
        try:
            problems = guarded_call(lambda: handler.outputs.problems(result, variables))
        except Exception as error:  # noqa: BLE001 - a mapping or a validator of the integrator's
            problems = [f"it cannot be checked ({type(as_raised(error)).__name__})"]
        if problems:
            self._log_once(
                ("output", handler.name), problems, "undeclared_output", node=handler.name, problems=problems
            )

    def note_straggler(self, handler: Handler) -> None:
        """Count a run that was left behind."""
        self._metrics.stragglers.labels(handler.name).inc()

    def note_not_begun(self, handler: Handler) -> None:
        """Count a call whose handler is not begun."""
        self._metrics.at_once.labels(handler.name).inc()

    def _log_once(self, about: tuple[str, str], said: list[str], line: str, /, **fields: Any) -> None:
        logged = self._logged.setdefault(about, set())
        if len(logged) >= _MOST_LINES or tuple(said) in logged:
            return
        logged.add(tuple(said))
        last = {"note": "further ones are not logged"} if len(logged) == _MOST_LINES else {}
        self._log.warning(line, **fields, **last)
