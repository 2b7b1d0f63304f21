"""A handler: a function of the integrator's that computes the reply to a command whose reply Desk uses."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from shared.handlers.contract import Outputs
from shared.handlers.late import LateNode
from shared.handlers.results import assignment_reply, permission_reply, signal_reply, variables_reply
from shared.handlers.variables import Inputs
from shared.wire.commands import ApiCall, AssignAgent, BeforeContactUser, C2CSignal
from shared.wire.events import Event, Reply

Fallback = Callable[[Any], Any]
"""A fallback that is a function of the event."""


@dataclass(frozen=True, slots=True)
class CommandSpec:
    """A command whose reply Desk uses, as handlers see it.

    Attributes:
        decorator: the method of `Callbacks` that declares its handlers.
        event: the event's class.
        reply: makes a reply of a handler's result; raises ResultError for one of another kind.
    """

    decorator: str
    event: type[Event]
    reply: Callable[[Any], Reply]


API_CALL = CommandSpec("api_call", ApiCall, variables_reply)
ASSIGN_AGENT = CommandSpec("assign_agent", AssignAgent, assignment_reply)
BEFORE_CONTACT_USER = CommandSpec("before_contact_user", BeforeContactUser, permission_reply)
C2C_SIGNAL = CommandSpec("c2c_signal", C2CSignal, signal_reply)


@dataclass(frozen=True, slots=True)
class Handler:
    """A function that computes the reply to an event, and how it is chosen.

    Attributes:
        spec: the command it answers.
        name: the node it answers; the function's name for other commands than API calls.
        function: the integrator's function, `async def` or `def`.
        apps: the apps, by `SdkAppid`, it answers; empty means all.
        when: texts that variables or fields must have.
        fallback: the reply when the function fails or is late, or a function of the event that computes it; None
            answers a failure.
        inputs: converts the call's variables.
        outputs: the variables it declares to answer.
        event_parameter: the parameter that takes the whole event, if there is one.
        sees_packet: whether it, or its fallback, is handed parts of the packet that it could change.
        late: what goes out with its fallback when it is late; None when nothing follows.
    """

    spec: CommandSpec
    name: str
    function: Callable[..., Any]
    apps: frozenset[str]
    when: dict[str, str]
    fallback: Reply | Fallback | None
    inputs: Inputs
    outputs: Outputs
    event_parameter: str | None
    sees_packet: bool
    late: LateNode | None = None

    @property
    def is_node(self) -> bool:
        """Whether it answers API calls, and so has a node of its own."""
        return self.spec is API_CALL

    def bind(self, event: Event) -> dict[str, Any]:
        """The function's arguments for an event.

        Raises:
            VariableError: a variable is missing or does not fit.
        """
        if isinstance(event, C2CSignal):  # its one parameter takes the data, whatever it is called
            data = dict.fromkeys(self.inputs.names, event.data) if "Data" in event.raw else {}
            arguments = self.inputs.bind(data, blanks=True)
        else:
            arguments = self.inputs.bind(event.fields)
        if self.event_parameter:
            arguments[self.event_parameter] = event
        return arguments

    def accepts(self, event: Event) -> bool:
        """Whether it answers events of this kind and app."""
        return isinstance(event, self.spec.event) and (not self.apps or event.app_id in self.apps)
