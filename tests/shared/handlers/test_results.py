"""What handlers return, as what answers hold."""

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
    assert assignment_reply(None) == Reply(outcome="answered")


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


@pytest.mark.parametrize("result", [{"group_id": 1}, 6521, "a", False])
def test_another_result_is_no_assignment(result: Any) -> None:
    """A dict is the likeliest slip."""
    with pytest.raises(ResultError, match="expected an Assignment or None"):
        assignment_reply(result)


@pytest.mark.parametrize("result", [False, True, "", {}])
def test_a_permission_is_given_by_none_alone(result: Any) -> None:
    """`return False` must not let an agent write to a user."""
    with pytest.raises(ResultError, match="expected None, which allows"):
        permission_reply(result)
    assert permission_reply(None) == Reply(outcome="answered")


@pytest.mark.parametrize(
    ("result", "text"),
    [({"a": [1, "é"]}, '{"a":[1,"é"]}'), ("text", '"text"'), (5, "5"), (False, "false"), ([], "[]")],
)
def test_a_signal_is_answered_as_json_in_a_string(result: Any, text: str) -> None:
    """The string around it is ours (PROTOCOL §3.4)."""
    assert signal_reply(result).fields == {"RspData": text}


def test_a_signal_may_be_answered_with_nothing() -> None:
    """Then there is no RspData."""
    assert signal_reply(None) == Reply(outcome="answered")


@pytest.mark.parametrize("result", [object(), {"a": object()}, "\ud800", float("nan"), [float("inf")]])
def test_what_json_cannot_say_is_no_answer_to_a_signal(result: Any) -> None:
    """The message names the type, not the value."""
    with pytest.raises(ResultError, match="expected a JSON value"):
        signal_reply(result)


def test_the_agents_may_come_from_a_generator() -> None:
    """It is read once."""
    agents: Any = (name for name in ("a", "b"))

    assert assignment_reply(Assignment(agents=agents)).fields == {"AgentIdList": ["a", "b"]}
