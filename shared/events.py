"""Events: accepted callbacks, as jobs and handlers see them."""

import random
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar, Self

from shared import protocol

Wire = dict[str, Any]
"""An event as native JSON: the argument of every job on Redis."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The answer an event was given.

    Attributes:
        code: `ErrorCode`; 0 is success.
        info: `ErrorInfo`.
        variables: `Body`, names and values as sent; None when the answer had none.
        outcome: how it came about: answered, fallback, refused, misfit, no_handler, out_of_time, failed, receipt.
        handler_ms: milliseconds spent in the handler.
    """

    code: int = 0
    info: str = ""
    variables: dict[str, str] | None = None
    outcome: str = "receipt"
    handler_ms: float = 0.0

    @property
    def envelope(self) -> bytes:
        """The bytes of the answer."""
        return protocol.envelope(self.code, self.info, self.variables)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An accepted callback.

    Attributes:
        id: 32 hex digits, the first 12 of them the milliseconds of `received_at`; also the id of the RQ job
            on the queue `events` and the value of the answer's header `X-Deskbell-Event`.
        app_id: `SdkAppid`.
        command: `CallbackCommand` in its documented spelling.
        node: the name in the URL path; "" when there was none.
        received_at: when the callback came, UTC.
        request_id: `RequestID`, or "".
        client_ip: the end user's address as Tencent reports it: never a proof of anything (PROTOCOL §1).
        platform: `OptPlatform`, or "".
        raw: the packet as it came, unknown fields included.
        reply: the answer it was given; None while a handler computes it.
    """

    id: str
    app_id: str
    command: str
    node: str = ""
    received_at: datetime
    request_id: str = ""
    client_ip: str = ""
    platform: str = ""
    raw: protocol.Packet = field(repr=False)
    reply: Reply | None = field(default=None, repr=False)

    @property
    def event_time(self) -> datetime | None:
        """`EventTime`, UTC; None when it is missing or no time (PROTOCOL §3: sent as integer or string of ms)."""
        try:
            return datetime.fromtimestamp(int(self.raw["EventTime"]) / 1000, UTC)
        except (KeyError, TypeError, ValueError, OverflowError, OSError):
            return None

    @property
    def user_id(self) -> str:
        """The end user's id, or ""."""
        return text(self.raw.get("ClientUserId"))

    @property
    def session_id(self) -> str:
        """The session's id, or ""."""
        return text(self.raw.get("SessionId"))

    @property
    def fields(self) -> dict[str, Any]:
        """What `when=` is compared with: the packet's fields."""
        return self.raw

    def matches(self, when: dict[str, str]) -> bool:
        """Whether every field named in `when` is there and has that text."""
        return all(name in self.fields and text(self.fields[name]) == value for name, value in when.items())

    def to_wire(self, reply: Reply | None = None) -> Wire:
        """This event as native JSON.

        Args:
            reply: the answer it was given, where the event itself does not hold it yet.
        """
        reply = reply or self.reply or Reply()
        return {
            "id": self.id,
            "app_id": self.app_id,
            "command": self.command,
            "node": self.node,
            "received_at": round(self.received_at.timestamp() * 1000),
            "request_id": self.request_id,
            "client_ip": self.client_ip,
            "platform": self.platform,
            "reply": {
                "code": reply.code,
                "info": reply.info,
                "variables": reply.variables,
                "outcome": reply.outcome,
                "handler_ms": reply.handler_ms,
            },
            "packet": self.raw,
        }

    @classmethod
    def from_wire(cls, wire: Wire) -> Self:
        """The event that `to_wire` wrote."""
        given = dict(wire)
        packet, reply, received_at = given.pop("packet"), given.pop("reply"), given.pop("received_at")
        return cls(
            raw=packet, reply=Reply(**reply), received_at=datetime.fromtimestamp(received_at / 1000, UTC), **given
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiCall(Event):
    """A call of an API-call node of a task flow (PROTOCOL §3.1)."""

    COMMAND: ClassVar[str] = protocol.API_CALL

    @property
    def variables(self) -> dict[str, Any]:
        """`Body`: the variables sent, by name; `""` is a variable without a value."""
        return self.raw.get("Body") or {}

    @property
    def user_id(self) -> str:
        """`SystemClientUserID`, or ""."""
        return text(self.variables.get("SystemClientUserID"))

    @property
    def session_id(self) -> str:
        """`SystemSessionID`, or ""."""
        return text(self.variables.get("SystemSessionID"))

    @property
    def fields(self) -> dict[str, Any]:
        """What `when=` is compared with: the variables."""
        return self.variables


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherEvent(Event):
    """An event of a command that has no class of its own."""


_classes: dict[str, type[Event]] = {ApiCall.COMMAND: ApiCall}


def event_class(command: str) -> type[Event]:
    """The class for a command in its documented spelling."""
    return _classes.get(command, OtherEvent)


def event_from_wire(wire: Wire) -> Event:
    """The typed event that a job on Redis carries."""
    return event_class(wire["command"]).from_wire(wire)


def new_event_id(received_at: float) -> str:
    """An event id that sorts by time: 12 hex digits of ms since the epoch, then 20 random ones.

    Args:
        received_at: Unix seconds.
    """
    return f"{round(received_at * 1000):012x}{random.getrandbits(80):020x}"


def received(
    packet: protocol.Packet,
    *,
    app_id: str,
    node: str = "",
    request_id: str = "",
    client_ip: str = "",
    platform: str = "",
) -> Event:
    """The event for a packet that has come in just now."""
    now = round(time.time(), 3)  # the milliseconds that the id and the wire have
    command = protocol.canonical(packet["CallbackCommand"])
    return event_class(command)(
        id=new_event_id(now),
        app_id=app_id,
        command=command,
        node=node,
        received_at=datetime.fromtimestamp(now, UTC),
        request_id=request_id,
        client_ip=client_ip,
        platform=platform,
        raw=packet,
    )


def text(value: Any) -> str:
    """A JSON value as Desk writes variables: text as it is, numbers in decimals, null as ""."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else str(value)
