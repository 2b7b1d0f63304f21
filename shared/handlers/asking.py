"""The handler of a second node: declared by `late=` of the first, it answers for tickets."""

from typing import Any

from shared.declarations.functions import describe, parameters
from shared.handlers.contract import Outputs
from shared.handlers.handler import API_CALL, Handler
from shared.handlers.late import OUTPUTS, with_fields
from shared.handlers.variables import Inputs
from shared.late.policy import STATE
from shared.wire.commands import ApiCall
from shared.wire.events import Event, Reply


class AskHandler(Handler):
    """The handler of a second node, which no call without a node reaches."""

    __slots__ = ()

    def accepts(self, event: Event) -> bool:
        """Whether the event names this node."""
        return isinstance(event, ApiCall) and event.node == self.name and Handler.accepts(self, event)


class _Described(Outputs):
    """Outputs for the administrator; what was checked when it was kept is not checked again."""

    def problems(self, *_: Any) -> list[str]:
        """None."""
        return []


def ask_handler(handler: Handler) -> AskHandler:
    """The handler of the second node of a handler with `late=`."""
    node = handler.late
    assert node
    where = describe(handler.function)
    outputs = _Described(where, None)
    outputs.shapes = [with_fields(shape, {STATE: OUTPUTS[STATE]}, frozenset({STATE})) for shape in node.shapes]
    return AskHandler(
        spec=API_CALL,
        name=node.node,
        function=node.ask,
        apps=handler.apps,
        when={},
        fallback=Reply(variables={STATE: "not_yet"}, outcome="fallback"),
        inputs=Inputs(where, parameters(node.ask, "LateTicket: str")[:1]),
        outputs=outputs,
        event_parameter="call",
        sees_packet=False,
    )
