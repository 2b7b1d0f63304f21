"""The reply that a handler's result makes, by the command that it answers."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import to_jsonable_python

from shared.errors import ResultError
from shared.handlers.variables import to_variables
from shared.wire.events import Reply

_GROUP_BITS = 63


@dataclass(frozen=True, slots=True)
class Assignment:
    """Who takes a session (PROTOCOL §3.2); a group, agents, or both.

    Args:
        group_id: `AgentGroupId`; alone: any agent of that group.
        agents: `AgentIdList`: one of them takes it, by availability; e-mail addresses on the Contact Center page.

    Raises:
        ValueError: it names nobody, or not in these types.
    """

    group_id: int | None = None
    agents: Sequence[str] = ()

    def __post_init__(self) -> None:
        group_id: object = self.group_id
        if group_id is not None and (
            isinstance(group_id, bool) or not isinstance(group_id, int) or group_id.bit_length() > _GROUP_BITS
        ):
            raise ValueError(f"Assignment(group_id=...): expected an int of 64 bits, got {type(group_id).__name__}")
        given: object = self.agents
        agents = tuple(given) if isinstance(given, Iterable) and not isinstance(given, str) else (given,)
        object.__setattr__(self, "agents", agents)  # read once: it may be a generator
        if isinstance(given, str) or not all(isinstance(agent, str) and agent for agent in agents):
            raise ValueError('Assignment(agents=...): expected a list of ids; write agents=["staff@example.com"]')
        if self.group_id is None and not self.agents:
            raise ValueError("Assignment(): expected a group_id or agents; return None to leave it to Desk")


def variables_reply(result: Any) -> Reply:
    """A dict, a TypedDict, a pydantic model or None, as `Body` (PROTOCOL §3.1)."""
    return Reply(outcome="answered", variables=to_variables(result))


def assignment_reply(result: Any) -> Reply:
    """An `Assignment` as `AgentGroupId` and `AgentIdList`; None leaves the choice to Desk (PROTOCOL §3.2)."""
    if result is None:
        return Reply(outcome="answered")
    if not isinstance(result, Assignment):
        raise ResultError(f"expected an Assignment or None, got {type(result).__name__}")
    fields: dict[str, Any] = {}
    if result.group_id is not None:
        fields["AgentGroupId"] = result.group_id
    if result.agents:
        fields["AgentIdList"] = [agent.encode(errors="replace").decode() for agent in result.agents]
    return Reply(outcome="answered", fields=fields)


def permission_reply(result: Any) -> Reply:
    """None, which allows; to refuse, a handler raises `Refuse` (PROTOCOL §3.4)."""
    if result is not None:
        raise ResultError(f"expected None, which allows, or Refuse to be raised, got {type(result).__name__}")
    return Reply(outcome="answered")


def signal_reply(result: Any) -> Reply:
    """A JSON value as `RspData`, JSON inside a string; None leaves it out (PROTOCOL §3.4)."""
    if result is None:
        return Reply(outcome="answered")
    try:
        data = json.dumps(to_jsonable_python(result), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        data.encode()  # half a surrogate pair is not text
        return Reply(outcome="answered", fields={"RspData": data})
    except ValueError:
        raise ResultError(f"expected a JSON value, got a {type(result).__name__} that JSON cannot say") from None
