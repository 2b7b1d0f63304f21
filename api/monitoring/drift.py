"""Contract drift: calls and results that depart from what a handler declares, and calls that no handler takes.

Drift is counted, and logged once for a process, since a node that drifts does so with every call. Names come from
outside: what is remembered and shown of them is bounded for each node.
"""

import builtins
import keyword
import re
import unicodedata
from typing import Any

from api.metrics import Metrics
from shared.handlers.executor import guarded_call
from shared.handlers.handler import Handler
from shared.logs import get_log
from shared.raised import as_raised
from shared.redaction import loggable_names
from shared.wire.commands import ApiCall
from shared.wire.events import Event, Reply
from shared.wire.protocol import SYSTEM

_MOST_LINES = 20  # of one kind for one node
_MOST_PARAMETERS = 20
_LONGEST_NAME = 64
_TAKEN = {"callbacks", *dir(builtins)}  # names that the pasted lines, or those after them, use


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
            source = handler_to_paste(event)
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
        for kind, names in zip(("missing", "undeclared"), input_drift(handler, call), strict=True):
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


def input_drift(handler: Handler, call: ApiCall) -> tuple[list[str], list[str]]:
    """The names that a call lacks, but for inputs with a default, and those it brings that nobody declared.

    System variables come as Desk sees fit. A handler that takes the whole call may read any variable.
    """
    given, declared, when = call.variables, handler.inputs.names, handler.when
    missing = sorted({name for name in (*handler.inputs.required, *when) if name not in given})
    if handler.event_parameter:
        return missing, []
    others = [name for name in given if not (name in declared or name in when or name.startswith(SYSTEM))]
    return missing, others


def handler_to_paste(call: ApiCall) -> str:
    """The source of a handler for a call: its parameters are the names of the variables, never their values.

    A variable that has no value in this call gets a default, since Desk may send it empty again. Names come from
    outside: those that cannot be parameters are counted, not shown.
    """
    names = [name for name in call.variables if _is_parameter(name)][:_MOST_PARAMETERS]
    required = [f"{name}: str" for name in names if call.variables[name] not in ("", None)]
    optional = [f'{name}: str = ""' for name in names if call.variables[name] in ("", None)]
    others = len(call.variables) - len(names)
    whole = ["call: ApiCall"] if others else []
    function = re.sub(r"\W", "_", call.node or "answer").lower()
    if not _is_parameter(function) or function in _TAKEN:
        function = f"answer_{function}"
    given = ", ".join([*whole, *required, *optional])
    lines = [
        f'@callbacks.api_call("{call.node}")' if call.node else "@callbacks.api_call",
        f"async def {function}({given}) -> dict[str, str]:",
        *([f"    # call.variables has {others} more, whose names cannot be parameters"] if others else []),
        "    return {}",
    ]
    return "\n".join(lines)


def _is_parameter(name: str) -> bool:
    """Whether a name can be a parameter: Python would read one that is not in its normal form as another."""
    return (
        len(name) <= _LONGEST_NAME
        and name.isidentifier()
        and not keyword.iskeyword(name)
        and unicodedata.normalize("NFKC", name) == name
        and name not in ("call", "__debug__")
    )
