"""The session of a case: its variables are the memory of the flow, and every packet of the case is made from them."""

import uuid
from collections.abc import Mapping

from deskbell.flow.model import Call, Fields
from deskbell.simulator.packets import packet_of
from shared.wire.commands import SessionEvent, TaskFlowEvent
from shared.wire.protocol import API_CALL, SYSTEM_VARIABLES, Packet

_DEFAULTS = ("", "user1", "@customer_service_account", "SDK")
_FIELDS = {  # the fields by which packets name what the system variables hold (PROTOCOL §3)
    "SessionId": "SystemSessionID",
    "ClientUserId": "SystemClientUserID",
    "CustomerServiceId": "SystemCustomerServiceID",
    "ChannelType": "SystemChannelType",
    "ChannelId": "SystemCustomerServiceID",
    "From_Account": "SystemClientUserID",
}
_ALWAYS = ("CallbackCommand", "Event", "EventTime")


class Session:
    """One customer's session with a chatbot.

    Attributes:
        variables: what is set, by name.
    """

    def __init__(self, case: str, given: Mapping[str, str]) -> None:
        """Begin a session with an id of its own.

        Args:
            case: the name, which is that of the task flow.
            given: variables that it begins with.
        """
        self.variables = {**dict(zip(SYSTEM_VARIABLES, _DEFAULTS, strict=True)), "SystemSessionID": str(uuid.uuid4())}
        self.variables |= given
        self._case = case
        self._execution = str(uuid.uuid4())

    def call(self, call: Call) -> Packet:
        """The packet of an API call (PROTOCOL §3.1). What it collects is in the session from now on."""
        taken = {parameter: self.variables.get(name, "") for parameter, name in call.session.items()}
        system = {name: self.variables[name] for name in SYSTEM_VARIABLES}
        self.variables |= call.variables
        return packet_of(API_CALL, {"Body": system | taken | call.variables})

    def event(self, command: str, fields: Fields) -> Packet:
        """The packet of another command: the documented one, with this session's names in it.

        What the documented one holds beside belongs to its own `Event`, and is left out where `fields` has another.
        """
        documented = packet_of(command)
        own: Fields = {field: self.variables[name] for field, name in _FIELDS.items() if field in documented}
        if "ExecutionId" in documented:
            own["ExecutionId"] = self._execution
        packet = packet_of(command, own | fields)
        if packet.get("Event") == documented.get("Event"):
            return packet
        return {name: value for name, value in packet.items() if name in {*_ALWAYS, *own, *fields}}

    def begin(self) -> Packet:
        """What Desk reports when a session begins (PROTOCOL §3.3)."""
        return self.event(SessionEvent.COMMANDS[0], {"Event": "SessionBegin"})

    def begin_task(self) -> Packet:
        """What Desk reports when a task flow begins (PROTOCOL §3.3)."""
        return self.event(TaskFlowEvent.COMMANDS[0], {"Seq": 1, "TaskName": self._case})
