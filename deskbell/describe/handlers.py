"""A handler, as the person who enters it in the console sees it."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from deskbell.describe.console import PLACES
from deskbell.describe.variables import Variable, input_variables, output_variables
from shared.declarations.kind import Kind
from shared.handlers.asking import AskHandler
from shared.handlers.handler import Handler
from shared.sentences import sentence
from shared.wire.events import Reply

_SESSION = Variable("SystemSessionID", Kind.SYSTEM, True, sentence("text"), sentence("Tickets are bound to it."))


@dataclass(frozen=True, slots=True)
class Description:
    """A handler, as the person who enters it in the console sees it.

    Attributes:
        is_node: whether it is a node of a task flow, which has variables and an exception branch.
        where: the page of the console.
        about: the first line of the function's docstring.
        apps: the apps it is limited to; empty means all.
        inputs: the node's input variables; empty for other commands, whose fields Desk knows.
        reads_all: whether the handler takes the whole call, and so may read variables beside these.
        outputs: the node's output variables; None when the handler does not declare them.
        fallback: what is answered when the handler fails or is late: fields by name, "computed", or None for a
            failure.
        fails_when: when the answer is FAIL.
        on_fail: what Desk does then.
        late: the node that the flow calls when the answer has a ticket; "" for a handler without.
    """

    name: str
    is_node: bool
    command: list[str]
    where: str
    url: str
    about: str
    apps: list[str]
    inputs: list[Variable]
    reads_all: bool
    outputs: list[Variable] | None
    fallback: dict[str, Any] | str | None
    fails_when: list[str]
    on_fail: str
    late: str


def description_of(handler: Handler, base: str) -> Description:
    """What there is to say of a handler; `base` is the URL of callbacks."""
    place, is_node = PLACES[handler.spec.event], handler.is_node
    return Description(
        name=handler.name,
        is_node=is_node,
        command=list(handler.spec.event.COMMANDS),
        where=place.where,
        url=f"{base}/{handler.name}" if is_node else base,
        about=(inspect.getdoc(handler.function) or "").partition("\n")[0],
        apps=sorted(handler.apps),
        inputs=_inputs(handler) if is_node else [],
        reads_all=is_node and handler.event_parameter is not None and not isinstance(handler, AskHandler),
        outputs=output_variables(handler.outputs) if handler.outputs.shapes else None,
        fallback=_fallback(handler.fallback),
        fails_when=_fails_when(handler),
        on_fail=place.on_fail,
        late=handler.late.node if handler.late else "",
    )


def _inputs(handler: Handler) -> list[Variable]:
    """The inputs of a node; one that has to do with tickets needs the session, to which they are bound."""
    found = input_variables(handler.inputs, handler.when)
    if (handler.late or isinstance(handler, AskHandler)) and _SESSION.name not in {each.name for each in found}:
        found.append(_SESSION)
    return found


def _fallback(fallback: Reply | Callable[..., Any] | None) -> dict[str, Any] | str | None:
    if isinstance(fallback, Reply):
        return {**(fallback.variables or {}), **fallback.fields}
    return sentence("computed") if fallback else None


def _fails_when(handler: Handler) -> list[str]:
    of_node, of_command = (
        sentence("a variable is missing or does not fit"),
        sentence("a field is missing or does not fit"),
    )
    reasons: list[str] = [of_node if handler.is_node else of_command] if handler.inputs.parameters else []
    reasons.append(sentence("the handler refuses"))
    return reasons if handler.fallback else [*reasons, sentence("it fails or is late")]
