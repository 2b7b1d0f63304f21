"""The session of a case: its variables are the memory of the flow, and every packet of the case is made from them."""

import uuid
from collections.abc import Mapping

from deskbell.flow.model import Call, Fields
from deskbell.simulator.packets import packet_of
from shared.wire.protocol import API_CALL, SESSION_EVENT, SYSTEM_VARIABLES, TASK_FLOW_EVENT, Packet

_DEFAULTS = ("", "user1", "@customer_service_account", "SDK")
_FIELDS = {  # the fields by which packets name what the system variables hold (PROTOCOL §3)
    "SessionId": "SystemSessionID",
    "ClientUserId": "SystemClientUserID",
    "CustomerServiceId": "SystemCustomerServiceID",
    "ChannelType": "SystemChannelType",
    "ChannelId": "SystemCustomerServiceID",
    "From_Account": "SystemClientUserID",
}


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
        """The packet of another command: the documented one, with this session's names in it."""
        documented = packet_of(command)
        own = {field: self.variables[name] for field, name in _FIELDS.items() if field in documented}
        return packet_of(command, own | fields)

    def begin(self) -> Packet:
        """What Desk reports when a session begins (PROTOCOL §3.3)."""
        return self._only(SESSION_EVENT, "SessionBegin")

    def begin_task(self) -> Packet:
        """What Desk reports when a task flow begins (PROTOCOL §3.3)."""
        fields: Fields = {"Seq": 1, "ExecutionId": self._execution, "TaskName": self._case}
        return self.event(TASK_FLOW_EVENT, fields)

    def _only(self, command: str, event: str) -> Packet:
        """A packet without the fields of the documented one that do not belong to an event."""
        whole = self.event(command, {"Event": event})
        names = ("CallbackCommand", "Event", "EventTime", *_FIELDS)
        return {name: value for name, value in whole.items() if name in names}
