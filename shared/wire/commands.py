"""One event class for each command of PROTOCOL §3, and how a packet becomes one of them.

An attribute converts its field, whatever came: a number where text is due, or text where a number is due. A missing
field is "" or None. `raw` has the packet itself, with the fields that no page lists.

Where it is not said otherwise, an attribute has the name and the meaning of its field: `customer_service_id` is the
customer-service account, `agent_id` and `member_id` are an agent's, `channel_type` is `SDK`, `Web` or another text.
"""

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

from shared.errors import LeftError
from shared.wire import events, protocol
from shared.wire.events import Event, Field, Wire, new_event_id
from shared.wire.forgotten import USER_FORGOTTEN, UserForgotten
from shared.wire.json_values import flag, out_of_text, text, verbatim, whole


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiCall(Event):
    """A call of an API-call node of a task flow (PROTOCOL §3.1).

    Attributes:
        user_id: `SystemClientUserID`, or "".
        session_id: `SystemSessionID`, or "".
    """

    COMMANDS: ClassVar = (protocol.API_CALL,)

    user_id = Field("SystemClientUserID", text, "variables")
    session_id = Field("SystemSessionID", text, "variables")

    @property
    def variables(self) -> dict[str, Any]:
        """`Body`: the variables sent, by name; `""` is a variable without a value."""
        return self.raw.get("Body") or {}

    @property
    def fields(self) -> dict[str, Any]:
        """What `when=` is compared with: the variables."""
        return self.variables


@dataclass(frozen=True, slots=True, kw_only=True)
class AssignAgent(Event):
    """Asks who takes a session that leaves the chatbot (PROTOCOL §3.2).

    Attributes:
        customer_service_id: the customer-service account; sent only with SDK integration.
    """

    COMMANDS: ClassVar = ("ChatBot.OnAssignAgent", "ChatBot.OnAssignHuman")  # two pages, one callback

    customer_service_id = Field("CustomerServiceId", text)


@dataclass(frozen=True, slots=True, kw_only=True)
class BeforeContactUser(Event):
    """Asks whether an agent may write to a user first (PROTOCOL §3.4).

    Attributes:
        channel_id: the customer-service account.
        group_id: the agent's group, as text.
    """

    COMMANDS: ClassVar = ("Desk.CallbackBeforeIMContactUser",)

    channel_id = Field("ChannelId", text)
    channel_type = Field("ChannelType", text)
    group_id = Field("GroupId", text)
    member_id = Field("MemberId", text)


@dataclass(frozen=True, slots=True, kw_only=True)
class C2CSignal(Event):
    """A signal that a user's client sends to the chatbot (PROTOCOL §3.4).

    Attributes:
        user_id: `From_Account`, the user who sends it.
        to_account: the chatbot.
        data: `Data`, out of its string: a JSON value; text that is not JSON stays text.
    """

    COMMANDS: ClassVar = ("Chatbot.OnC2CSignalMessage",)

    user_id = Field("From_Account", text)
    to_account = Field("To_Account", text)
    message_key = Field("MsgKey", text)
    message_seq = Field("MsgSeq", whole)
    message_random = Field("MsgRandom", whole)
    data = Field("Data", out_of_text)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionEvent(Event):
    """Something happened in a session (PROTOCOL §3.3).

    Attributes:
        event_name: `Event`: `SessionBegin`, `ChatBot.UserSendMsg`, or any other.
        message_body: `MsgBody`: objects with `MsgType` and `MsgContent`.
        cloud_custom_data: what the sender attached.
        is_contact_user: whether an agent wrote first; None when it is not said.
        satisfaction: `SatisfactionSelected`, 1 to 5; None when it is not said.
        forward_from_agent_id: the agent who handed the session over.
    """

    COMMANDS: ClassVar = ("Desk.SessionEventNotify",)

    event_name = Field("Event", text)
    channel_type = Field("ChannelType", text)
    customer_service_id = Field("CustomerServiceId", text)
    agent_id = Field("AgentId", text)
    message_key = Field("MsgKey", text)
    message_body = Field("MsgBody", verbatim)
    cloud_custom_data = Field("CloudCustomData", text)
    is_contact_user = Field("IsContactUser", flag)
    satisfaction = Field("SatisfactionSelected", whole)
    forward_from_agent_id = Field("ForwardFromAgentId", text)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFlowEvent(Event):
    """A task flow moved on (PROTOCOL §3.3); `execution_id` and `seq` identify and order them.

    Attributes:
        event_name: `Event`: `TaskBegin`, or any other.
        seq: from 1, increasing within an execution; None when it is missing.
        task_id: the flow, as text.
        env: `production`, or another.
        next_node_id: the node that follows.
    """

    COMMANDS: ClassVar = ("Chatbot.TaskFlowEventNotify",)

    event_name = Field("Event", text)
    seq = Field("Seq", whole)
    execution_id = Field("ExecutionId", text)
    task_id = Field("TaskId", text)
    task_name = Field("TaskName", text)
    env = Field("Env", text)
    robot_id = Field("RobotId", text)
    customer_service_id = Field("CustomerServiceId", text)
    channel_type = Field("ChannelType", text)
    node_id = Field("NodeId", text)
    node_name = Field("NodeName", text)
    next_node_id = Field("NextNodeId", text)


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberEvent(Event):
    """An agent's state changed (PROTOCOL §3.3).

    Attributes:
        event_name: `Event`: `Member.StatusChange`, or any other.
        member_id: the agent, an e-mail address.
        status: `ready`, `free`, `notReady`, `rest`, `offline`, or another.
        client_info: `ClientInfo`: objects with `ClientType` and `IsConnected`.
        rest_reason: why the agent rests.
    """

    COMMANDS: ClassVar = ("Member.EventNotify",)

    event_name = Field("Event", text)
    member_id = Field("MemberId", text)
    status = Field("Status", text)
    client_info = Field("ClientInfo", verbatim)
    rest_reason = Field("RestReason", text)


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherEvent(Event):
    """An event of a command that PROTOCOL §3 does not list: it is acknowledged and kept like the others."""


EVENT_CLASSES: tuple[type[Event], ...] = (
    ApiCall,
    AssignAgent,
    BeforeContactUser,
    C2CSignal,
    SessionEvent,
    TaskFlowEvent,
    MemberEvent,
)
"""The classes of the documented commands."""

COMMANDS = tuple(command for kind in EVENT_CLASSES for command in kind.COMMANDS)
"""The commands of PROTOCOL §3, spelt as in its table; the pages spell their prefix in two ways."""

_NO_QUERY: Mapping[str, str] = {}
_spelling = {command.lower(): command for command in COMMANDS}
_classes = {name: kind for kind in EVENT_CLASSES for name in kind.COMMANDS} | {USER_FORGOTTEN: UserForgotten}


def canonical(command: str) -> str:
    """The documented spelling of a command, matched without regard to case; unknown ones stay as they are."""
    return _spelling.get(command.lower(), command)


def event_class(command: str) -> type[Event]:
    """The class for a command in its documented spelling."""
    return _classes.get(command, OtherEvent)


def event_from_wire(wire: Wire) -> Event:
    """The typed event that a job on Redis carries.

    Raises:
        LeftError: a newer release has written it.
        Exception: it is no event.
    """
    if (version := wire.get("v", 1)) > events.WIRE_VERSION:
        raise LeftError(f"the event has form {version}; read are forms up to {events.WIRE_VERSION}", f":{version}")
    return event_class(wire["command"]).from_wire(wire)


def received(packet: protocol.Packet, query: Mapping[str, str] = _NO_QUERY, *, app_id: str, node: str = "") -> Event:
    """The event for a packet that has come in just now; the names in its URL's query are in lower case."""
    now = round(time.time(), 3)  # the milliseconds that the id and the wire have
    command = canonical(packet["CallbackCommand"])
    return event_class(command)(
        id=new_event_id(now),
        app_id=app_id,
        command=command,
        node=node,
        received_at=datetime.fromtimestamp(now, UTC),
        request_id=query.get("requestid", ""),
        client_ip=query.get("clientip", ""),
        platform=query.get("optplatform", ""),
        raw=packet,
    )


def delivery_identity(event: Event, body: bytes) -> str:
    """What makes two requests the same delivery (PROTOCOL §4), as 32 hex digits.

    In order of preference: the query's `RequestID`; a task-flow event's `ExecutionId` and `Seq`; the bytes of
    the body. The node belongs to the third: two nodes of one flow may send equal bytes in one millisecond.
    """
    if event.request_id:
        parts = ["request", event.app_id, event.command, event.request_id]
    elif isinstance(event, TaskFlowEvent) and event.raw.get("ExecutionId") and event.raw.get("Seq") is not None:
        parts = ["execution", event.app_id, event.execution_id, text(event.raw["Seq"])]
    else:
        parts = ["body", event.app_id, event.command, event.node]
    digest = hashlib.blake2b("\0".join(parts).encode("utf-8", "surrogateescape"), digest_size=16)
    if parts[0] == "body":
        digest.update(b"\0" + body)
    return digest.hexdigest()
