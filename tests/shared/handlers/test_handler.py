"""A handler is given what it asks for, and its result becomes the reply."""

import json
from typing import Any

import pytest

from deskbell import ApiCall, AssignAgent, Assignment, BeforeContactUser, C2CSignal, Callbacks, Refuse
from deskbell.testing import api_call, event_of, reply
from tests.shared.declared import only_handler


def test_an_agent_is_assigned_by_a_handler() -> None:
    """It takes the event, or fields by name."""
    callbacks = Callbacks()

    @callbacks.assign_agent
    async def assign(event: AssignAgent, SessionId: str) -> Assignment:
        assert SessionId == event.session_id
        return Assignment(group_id=6521, agents=["penn_svc"])

    answer = reply(callbacks, event_of(AssignAgent, SessionId="aa-bb", ClientUserId="123"))

    assert answer.fields == {"AgentGroupId": 6521, "AgentIdList": ["penn_svc"]}
    assert answer.variables is None


def test_a_handler_may_keep_an_agent_from_writing() -> None:
    """None allows, `Refuse` does not (PROTOCOL §3.4)."""
    callbacks = Callbacks()

    @callbacks.before_contact_user()
    def check(event: BeforeContactUser) -> None:
        if event.member_id != "staff@test.com":
            raise Refuse("not yours", code=7)

    assert reply(callbacks, event_of(BeforeContactUser, MemberId="staff@test.com")).code == 0
    assert reply(callbacks, event_of(BeforeContactUser, MemberId="x")).code == 7


def test_arguments_are_variables_and_the_call() -> None:
    """A parameter annotated ApiCall takes the whole call, whatever its name; the others are variables."""
    callbacks = Callbacks()

    @callbacks.api_call()
    def handler(OrderID: int, *, ring: ApiCall, Note: str = "none") -> dict[str, object]:
        return {"OrderID": OrderID, "User": ring.user_id, "Note": Note}

    call = api_call("handler", OrderID="1002", SystemClientUserID="user517", ring="a variable of that name", Note="")
    arguments = only_handler(callbacks).bind(call)

    assert arguments == {"OrderID": 1002, "ring": call, "Note": "none"}
    assert handler(**arguments) == {"OrderID": 1002, "User": "user517", "Note": "none"}


def test_a_signal_is_taken_and_answered_as_json() -> None:
    """The strings around both are ours; the parameter's annotation converts, whatever it is called."""
    callbacks = Callbacks()

    @callbacks.c2c_signal
    def answer(anything: dict[str, int], signal: C2CSignal) -> dict[str, int]:
        return {"sum": sum(anything.values()), "length": len(signal.user_id)}

    event = event_of(C2CSignal, From_Account="user01", Data='{"a": 1, "b": "2"}')

    assert reply(callbacks, event).fields == {"RspData": '{"sum":3,"length":6}'}


def test_a_signal_that_does_not_fit_is_a_misfit() -> None:
    """As a variable would be."""
    callbacks = Callbacks()

    @callbacks.c2c_signal
    def answer(data: dict[str, int]) -> None: ...

    answered = reply(callbacks, event_of(C2CSignal, Data="[]"))

    assert (answered.outcome, answered.code) == ("misfit", 1007)
    assert answered.info.startswith("data does not fit")


@pytest.mark.parametrize("data", [None, "", 0, False, []])
def test_a_signals_data_may_be_any_json_value(data: Any) -> None:
    """Also null and ""; only a signal without Data has none."""
    callbacks = Callbacks()

    @callbacks.c2c_signal
    def answer(data: Any) -> Any:
        return [data]

    answered = reply(callbacks, event_of(C2CSignal, Data=json.dumps(data)))

    assert json.loads(answered.fields["RspData"]) == [data]
    assert reply(callbacks, event_of(C2CSignal)).info == "data is missing"
