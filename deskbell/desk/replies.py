"""What Desk answers, with types. A field that is missing or of another type is "", 0 or False; `raw` has all of it."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from shared.wire.json_values import moment, text, whole

Answer = dict[str, Any]
"""The answer's JSON object."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """Done. What `send_msg` answers beside the usual envelope is in no copy of its page that we have.

    Attributes:
        raw: the whole answer.
    """

    raw: Answer = field(repr=False)


@dataclass(frozen=True, slots=True)
class StreamKey(Receipt):
    """A part of a streamed message has been taken.

    Attributes:
        msg_key: `MsgKey`: names the message, for its next part.
    """

    msg_key: str


@dataclass(frozen=True, slots=True)
class Transferred(Receipt):
    """A session goes to a person.

    Attributes:
        agent_id: `AgentId`; "" while it waits in a queue.
        is_in_queue: `IsInQueue`.
    """

    agent_id: str
    is_in_queue: bool


@dataclass(frozen=True, slots=True)
class SessionState(Receipt):
    """Where a session stands.

    Attributes:
        session_id: `SessionId`.
        state: `CurrentState`: `NotInSession`, `Chatbot`, `WaitingForAgentAnswering`, `Queueing`, `Agent`, or another.
        agent_id: `AgentId`; in `WaitingForAgentAnswering` and `Agent`, else "".
    """

    session_id: str
    state: str
    agent_id: str


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message of a session.

    Attributes:
        from_account: `FromAccount`.
        role: `FromAccountRole`: 1 user, 2 agent, 3 system; None where it is missing.
        body: `MsgBody`.
        sent_at: `Timestamp`, UTC; None where it is missing.
    """

    from_account: str
    role: int | None
    body: list[Any] = field(repr=False)
    sent_at: datetime | None


@dataclass(frozen=True, slots=True)
class ChatMessages(Receipt):
    """Messages of a session.

    Attributes:
        total: `TotalCount`: how many the session has.
        messages: those that were asked for, in the order that was asked for.
    """

    total: int
    messages: list[ChatMessage] = field(repr=False)


def stream_key(answer: Answer) -> StreamKey:
    """The answer to `send_stream_msg`."""
    return StreamKey(answer, text(answer.get("MsgKey")))


def transferred(answer: Answer) -> Transferred:
    """The answer to `transfer_to_human`."""
    return Transferred(answer, text(answer.get("AgentId")), whole(answer.get("IsInQueue")) == 1)


def session_state(answer: Answer) -> SessionState:
    """The answer to `get_session_state`."""
    return SessionState(answer, *(text(answer.get(name)) for name in ("SessionId", "CurrentState", "AgentId")))


def chat_messages(answer: Answer) -> ChatMessages:
    """The answer to `describe_chat_messages`."""
    found = answer.get("Messages")
    messages = [_message(each) for each in found if isinstance(each, dict)] if isinstance(found, list) else []
    return ChatMessages(answer, whole(answer.get("TotalCount")) or 0, messages)


def _message(given: Answer) -> ChatMessage:
    body = given.get("MsgBody")
    return ChatMessage(
        text(given.get("FromAccount")),
        whole(given.get("FromAccountRole")),
        body if isinstance(body, list) else [],
        moment(given.get("Timestamp")),
    )
