"""Events: accepted callbacks, as jobs and handlers see them; `shared.wire.commands` has a class for each command."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, ClassVar, Generic, Literal, Self, TypeVar

from pydantic_core import from_json, to_json

from shared.wire import protocol
from shared.wire.json_values import moment, text

Wire = dict[str, Any]
"""An event as native JSON: the argument of every job on Redis."""

WIRE_VERSION = 1
"""The form of an event on Redis and in spools: `v` has it, and where that is missing it is 1, as releases before wrote.

A change that a worker of the release before would not understand raises it, and `Event.from_wire` reads both forms.
"""

QUEUE = "events"
"""The queue that accepted events wait on to be fanned out; no job type may have it."""

_TEXTS = ("id", "app_id", "command", "node", "request_id", "client_ip", "platform")
_Value = TypeVar("_Value")


class Field(Generic[_Value]):
    """An attribute of an event: one field of its packet as one type, whatever came.

    Args:
        name: the field, as Tencent spells it.
        read: converts what came, which is None where the field is missing.
        source: the event's attribute that has it: "variables" of an API call.
    """

    def __init__(self, name: str, read: Callable[[Any], _Value], source: str = "raw") -> None:
        self.name = name
        self._read = read
        self._source = source

    def __get__(self, event: "Event", _: type["Event"]) -> _Value:
        """The field of an event."""
        return self._read(getattr(event, self._source).get(self.name))


Outcome = Literal["answered", "fallback", "late", "refused", "misfit", "no_handler", "out_of_time", "failed", "receipt"]
"""How a reply came about."""


@dataclass(slots=True, kw_only=True)
class Reply:
    """The answer an event was given.

    Attributes:
        code: `ErrorCode`; 0 is success.
        info: `ErrorInfo`.
        variables: `Body`, names and values as sent; None when the answer had none.
        fields: what the answer held beside: `AgentGroupId`, `AgentIdList` or `RspData`.
        outcome: how it came about: answered, fallback, late (a fallback with a ticket), refused, misfit,
            no_handler, out_of_time, failed, receipt.
        handler_ms: milliseconds spent in the handler.
    """

    code: int = 0
    info: str = ""
    variables: dict[str, str] | None = None
    fields: dict[str, Any] = field(default_factory=dict)
    outcome: Outcome = "receipt"
    handler_ms: float = 0.0

    @property
    def envelope(self) -> bytes:
        """The bytes of the answer."""
        return protocol.envelope(self.code, self.info, self.variables, self.fields)


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
        event_time: `EventTime`, UTC; None when it is missing or no time.
        user_id: the end user's id, or "".
        session_id: the session's id, or "".
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

    COMMANDS: ClassVar[tuple[str, ...]] = ()
    """The commands of this class, in their documented spelling."""

    IS_CALLBACK: ClassVar = True
    """Whether Desk sent it; what Deskbell itself says reaches only the job types that name its class."""

    event_time = Field("EventTime", moment)
    user_id = Field("ClientUserId", text)
    session_id = Field("SessionId", text)

    @property
    def fields(self) -> dict[str, Any]:
        """What `when=` is compared with: the packet's fields."""
        return self.raw

    def matches(self, when: dict[str, str]) -> bool:
        """Whether every field named in `when` is there and has that text; a list or an object has none."""
        return all(
            name in self.fields and not isinstance(self.fields[name], list | dict) and text(self.fields[name]) == value
            for name, value in when.items()
        )

    def copy(self) -> Self:
        """This event with a copy of its packet: the packet that is kept must not change."""
        packet = from_json(to_json(self.raw, inf_nan_mode="constants"))  # many times faster than deepcopy
        return replace(self, raw=packet)

    def to_wire(self, reply: Reply | None = None) -> Wire:
        """This event as native JSON."""
        reply = reply or self.reply or Reply()
        given = {name: getattr(self, name) for name in _TEXTS}
        given["received_at"] = round(self.received_at.timestamp() * 1000)
        given["reply"] = {name: getattr(reply, name) for name in Reply.__slots__}
        given["packet"] = self.raw
        return given | {"v": WIRE_VERSION} if WIRE_VERSION > 1 else given

    @classmethod
    def from_wire(cls, wire: Wire) -> Self:
        """The event that `to_wire` wrote; what else is there belongs to others, as `trace`, or to a later release."""
        received_at = datetime.fromtimestamp(wire["received_at"] / 1000, UTC)
        texts = {name: wire[name] for name in _TEXTS}
        return cls(raw=wire["packet"], reply=Reply(**wire["reply"]), received_at=received_at, **texts)


def new_event_id(unix_seconds: float) -> str:
    """An event id that sorts by time: 12 hex digits of ms since the epoch, then 20 random ones.

    The digits come from the system: an integrator may seed `random`, and two processes that are seeded alike, or a
    handler that seeds it in each call, would give two events one id.
    """
    return f"{round(unix_seconds * 1000):012x}{os.urandom(10).hex()}"
