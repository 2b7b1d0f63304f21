"""What handlers return, as what answers hold."""

from collections.abc import Callable
from typing import Any

import pytest

from deskbell import Assignment
from shared.errors import ResultError
from shared.handlers.results import assignment_reply, permission_reply, signal_reply
from shared.wire.events import Reply


def test_an_assignment_may_name_a_group_agents_or_both() -> None:
    """What it does not name is left out (PROTOCOL §3.2)."""
    assert assignment_reply(Assignment(group_id=6521)).fields == {"AgentGroupId": 6521}
    assert assignment_reply(Assignment(agents=("a", "b"))).fields == {"AgentIdList": ["a", "b"]}
    assert assignment_reply(Assignment(6521, ["a"])).fields == {"AgentGroupId": 6521, "AgentIdList": ["a"]}


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"group_id": "6521"},
        {"group_id": True},
        {"agents": "a"},
        {"agents": [1]},
        {"agents": [""]},
        {"agents": 5},
        {"group_id": 1 << 99},
    ],
)
def test_an_assignment_that_desk_could_not_read_is_refused(given: Any) -> None:
    """Where it is made, so that the log shows the line."""
    with pytest.raises(ValueError, match=r"^Assignment\("):
        Assignment(**given)


NO_ASSIGNMENTS: list[Any] = [{"group_id": 1}, 6521, "a", False]
NO_PERMISSIONS: list[Any] = [False, True, "", {}]
NO_JSON: list[Any] = [object(), {"a": object()}, "\ud800", float("nan"), [float("inf")]]


@pytest.mark.parametrize(
    ("reply", "result", "sentence"),
    [
        *((assignment_reply, result, "expected an Assignment or None") for result in NO_ASSIGNMENTS),
        *((permission_reply, result, "expected None, which allows") for result in NO_PERMISSIONS),
        *((signal_reply, result, "expected a JSON value") for result in NO_JSON),
    ],
)
def test_a_result_of_another_kind_is_refused(reply: Callable[[Any], Reply], result: Any, sentence: str) -> None:
    """`return False` must not let an agent write to a user."""
    with pytest.raises(ResultError, match=sentence):
        reply(result)


@pytest.mark.parametrize("reply", [assignment_reply, permission_reply, signal_reply])
def test_nothing_is_an_answer(reply: Callable[[Any], Reply]) -> None:
    """It assigns nobody, allows, and has no RspData."""
    assert reply(None) == Reply(outcome="answered")


@pytest.mark.parametrize(
    ("result", "text"),
    [({"a": [1, "é"]}, '{"a":[1,"é"]}'), ("text", '"text"'), (5, "5"), (False, "false"), ([], "[]")],
)
def test_a_signal_is_answered_as_json_in_a_string(result: Any, text: str) -> None:
    """The string around it is ours (PROTOCOL §3.4)."""
    assert signal_reply(result).fields == {"RspData": text}


def test_the_agents_may_come_from_a_generator() -> None:
    """It is read once."""
    agents: Any = (name for name in ("a", "b"))

    assert assignment_reply(Assignment(agents=agents)).fields == {"AgentIdList": ["a", "b"]}
