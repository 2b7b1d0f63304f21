"""A handler: a function of the integrator's that computes the reply to a command whose reply Desk uses."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from shared.commands import ApiCall, AssignAgent, BeforeContactUser, C2CSignal
from shared.contract import Outputs, drift
from shared.events import Event, Reply
from shared.results import (
    assignment_reply,
    permission_reply,
    signal_reply,
    variables_reply,
)
from shared.returns import can_be_assignment, can_be_json, can_be_permission, can_be_variables
from shared.variables import Inputs

Fallback = Callable[[Any], Any]
"""A fallback that is a function of the event."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What Desk asks for with a command, as handlers see it.

    Attributes:
        decorator: the method of `Callbacks` that declares its handlers.
        event: the event's class.
        reply: makes the reply of what a handler returned.
        parameter: how a parameter is written, for messages.
        fallback: how a fallback is written, for messages.
        can_be: whether a type can be what a handler returns.
        result: what a handler returns, for messages.
    """

    decorator: str
    event: type[Event]
    reply: Callable[[Any], Reply]
    parameter: str
    fallback: str
    can_be: Callable[[Any], bool]
    result: str


VARIABLES = Asked(
    "api_call",
    ApiCall,
    variables_reply,
    "OrderID: str",
    '{"Status": "unknown"}',
    can_be_variables,
    "return a dict with text for names, a TypedDict, a pydantic model or None",
)
ASSIGNMENT = Asked(
    "assign_agent",
    AssignAgent,
    assignment_reply,
    "event: AssignAgent",
    "Assignment(group_id=6521)",
    can_be_assignment,
    "return an Assignment, or None to leave the choice to Desk",
)
PERMISSION = Asked(
    "before_contact_user",
    BeforeContactUser,
    permission_reply,
    "event: BeforeContactUser",
    "lambda event: None",
    can_be_permission,
    "return None to allow, and raise Refuse to refuse",
)
SIGNAL = Asked(
    "c2c_signal",
    C2CSignal,
    signal_reply,
    "data: dict[str, object]",
    '{"state": "unknown"}',
    can_be_json,
    "return a JSON value or None",
)


@dataclass(frozen=True, slots=True)
class Handler:
    """A function that computes the reply to an event, and how it is chosen.

    Attributes:
        asked: what it is asked for.
        name: the node it answers; the function's name for other commands than API calls.
        function: the integrator's function, `async def` or `def`.
        apps: the apps, by `SdkAppid`, it answers; empty means all.
        when: texts that variables or fields must have.
        fallback: what to answer when the function fails or is late, or a function of the event that computes it;
            None answers a failure.
        inputs: converts the call's variables.
        outputs: the variables it declares to answer.
        event_parameter: the parameter that takes the whole event, if there is one.
        sees_packet: whether it, or its fallback, is handed parts of the packet that it could change.
    """

    asked: Asked
    name: str
    function: Callable[..., Any]
    apps: frozenset[str]
    when: dict[str, str]
    fallback: Reply | Fallback | None
    inputs: Inputs
    outputs: Outputs
    event_parameter: str | None
    sees_packet: bool

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

    def drift(self, event: Event) -> tuple[list[str], list[str]]:
        """How an API call departs from the declared inputs: the names it lacks, and those nobody declared.

        A handler that takes the whole call may read any variable: nothing it is sent is undeclared.
        """
        missing, undeclared = drift(self.inputs, self.when, event.fields)
        return missing, [] if self.event_parameter else undeclared

    def reply(self, result: Any) -> Reply:
        """The reply that a result makes.

        Raises:
            ResultError: the result is of another kind than the command asks for.
        """
        return self.asked.reply(result)

    def accepts(self, event: Event) -> bool:
        """Whether it answers events of this kind and app."""
        return isinstance(event, self.asked.event) and (not self.apps or event.app_id in self.apps)
