"""Departures from a node's contract: calls that no handler takes or that drift from the declared inputs, and results
that drift from the declared outputs.

Each is counted; each kind of it is logged once for a process, since a node that drifts drifts with every call.
"""

from collections.abc import Mapping
from typing import Any

from api.metrics import Metrics
from api.unhandled import handler_to_paste
from shared.callbacks import Handler
from shared.commands import ApiCall
from shared.logs import get_log

_MOST_LOGGED = 1000  # names come from outside: what is remembered of them is bounded
_LONGEST_NAME = 64


class Contract:
    """Notes departures."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._log = get_log()
        self._logged: set[tuple[str, ...]] = set()

    def note_call(self, handler: Handler, call: ApiCall) -> None:
        """Count a call that lacks a declared input or brings an undeclared one."""
        for kind, names in zip(("missing", "undeclared"), handler.drift(call), strict=True):
            if names:
                self._metrics.drift.labels(handler.name, kind).inc()
                shown = [ascii(name)[1:-1][:_LONGEST_NAME] for name in names[:10]]
                self._log_once((kind, handler.name, *shown), "drift", node=handler.name, kind=kind, variables=shown)

    def note_unhandled(self, call: ApiCall) -> None:
        """Log the handler to write for a call that none takes."""
        source = handler_to_paste(call)
        self._log_once(("unhandled", source), "no_handler", node=call.node, write=source)

    def note_result(self, handler: Handler, result: Any, variables: Mapping[str, str] | None) -> None:
        """Log a result that departs from what the handler declares; it is answered all the same."""
        problems = handler.outputs.problems(result, variables)
        if problems:
            self._log_once(
                ("output", handler.name, *problems), "undeclared_output", node=handler.name, problems=problems
            )

    def _log_once(self, key: tuple[str, ...], line: str, **fields: Any) -> None:
        if key not in self._logged and len(self._logged) < _MOST_LOGGED:
            self._logged.add(key)
            self._log.warning(line, **fields)
