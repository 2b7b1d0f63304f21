"""Handlers of every kind, and which of them answers an event."""

import inspect
import json
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import date
from typing import Annotated, Any, Literal, NewType, NoReturn, Protocol, TypedDict, TypeVar

import pytest
from pydantic import BaseModel, RootModel

from deskbell import ApiCall, AssignAgent, Assignment, BeforeContactUser, C2CSignal, Callbacks, Refuse, SessionEvent
from deskbell.testing import event_of, reply
from shared.declarations.functions import describe
from shared.errors import DeclarationError
from shared.wire.commands import received
from shared.wire.events import Event, Reply
from shared.wire.protocol import ASSIGN_AGENT


def nothing() -> None:
    """A handler that answers nothing."""


def of_app(app_id: str, packet: dict[str, Any], node: str = "") -> Event:
    """An event of an app."""
    return received(packet, app_id=app_id, node=node)


def refusal_of(decorator: str, function: Any, *names: Any, **options: Any) -> str:
    """How a declaration is refused."""
    with pytest.raises(DeclarationError) as refused:
        getattr(Callbacks(), decorator)(*names, **options)(function)
    return str(refused.value)


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


@pytest.mark.parametrize("command", ASSIGN_AGENT)
def test_both_names_of_agent_routing_reach_it(command: str) -> None:
    """Two pages, one callback (PROTOCOL §3.2)."""
    callbacks = Callbacks()
    callbacks.assign_agent(lambda: None)

    assert callbacks.find(of_app("1", {"CallbackCommand": command.upper()}))


def test_a_handler_may_keep_an_agent_from_writing() -> None:
    """None allows, `Refuse` does not (PROTOCOL §3.4)."""
    callbacks = Callbacks()

    @callbacks.before_contact_user()
    def check(event: BeforeContactUser) -> None:
        if event.member_id != "staff@test.com":
            raise Refuse("not yours", code=7)

    assert reply(callbacks, event_of(BeforeContactUser, MemberId="staff@test.com")).code == 0
    assert reply(callbacks, event_of(BeforeContactUser, MemberId="x")).code == 7


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


def test_a_handler_limited_to_an_app_goes_before_one_that_is_not() -> None:
    """For one node, and for calls without one."""
    callbacks = Callbacks()
    callbacks.api_call("node", app="1400000001")(lambda: {"who": "one"})
    callbacks.api_call("node")(lambda: {"who": "all"})
    packet = {"CallbackCommand": "Chatbot.InterfaceInvocation"}

    assert reply(callbacks, of_app("1400000001", packet, "node")).variables == {"who": "one"}
    assert reply(callbacks, of_app("1400000002", packet, "node")).variables == {"who": "all"}
    assert reply(callbacks, of_app("1400000001", packet)).variables == {"who": "one"}


def test_a_handler_of_another_app_answers_nothing() -> None:
    """Whatever the node."""
    callbacks = Callbacks()
    callbacks.api_call("node", app=["1400000001", "1400000002"])(lambda: None)
    packet = {"CallbackCommand": "Chatbot.InterfaceInvocation"}

    assert callbacks.find(of_app("1400000003", packet, "node")) is None
    assert callbacks.find(of_app("1400000003", packet)) is None
    assert callbacks.find(of_app("1400000002", packet, "node"))


def test_conditions_choose_among_the_handlers_of_a_command() -> None:
    """The most that all fit, then the one without."""
    callbacks = Callbacks()
    callbacks.assign_agent(when={"ClientUserId": "vip"})(lambda: Assignment(1))
    callbacks.assign_agent()(lambda: Assignment(2))

    assert reply(callbacks, event_of(AssignAgent, ClientUserId="vip")).fields == {"AgentGroupId": 1}
    assert reply(callbacks, event_of(AssignAgent, ClientUserId="other")).fields == {"AgentGroupId": 2}


def test_two_handlers_that_nothing_tells_apart_are_refused() -> None:
    """Of one command, for the same apps, with the same conditions."""
    callbacks = Callbacks()

    @callbacks.assign_agent(app="1")
    def first() -> None: ...

    @callbacks.assign_agent
    def anyone() -> None: ...

    with pytest.raises(DeclarationError, match=r"assign_agent already has a handler, .*first \(.*\); tell them apart"):
        callbacks.assign_agent(app=["1", "2"])(lambda: None)


def test_a_node_may_have_a_handler_for_each_app() -> None:
    """But not two for one."""
    callbacks = Callbacks()
    callbacks.api_call("node", app="1")(lambda: None)
    callbacks.api_call("node", app="2")(lambda: None)

    with pytest.raises(DeclarationError, match="node already has a handler"):
        callbacks.api_call("node", app="2")(lambda: None)


def test_a_parameter_for_another_event_is_refused() -> None:
    """With the class that this handler takes."""

    def function(event: SessionEvent) -> None: ...

    assert refusal_of("assign_agent", function).endswith(
        "parameter event is annotated SessionEvent, but a handler of assign_agent takes another event; "
        "write event: AssignAgent"
    )


def test_a_signal_has_one_piece_of_data() -> None:
    """A second parameter would have nothing to take."""

    def function(one: str, two: str) -> None: ...

    assert "a signal has one piece of data" in refusal_of("c2c_signal", function)


@pytest.mark.parametrize("decorator", ["assign_agent", "before_contact_user", "c2c_signal"])
def test_only_api_calls_have_nodes(decorator: str) -> None:
    """A name given to another command is a mistake."""
    assert refusal_of(decorator, lambda: None, "node").endswith(
        f"{decorator}: it has no name; write @callbacks.{decorator}"
    )


@pytest.mark.parametrize(
    ("decorator", "fallback", "reply"),
    [
        ("assign_agent", Assignment(6521), Reply(fields={"AgentGroupId": 6521}, outcome="fallback")),
        ("c2c_signal", {"state": "unknown"}, Reply(fields={"RspData": '{"state":"unknown"}'}, outcome="fallback")),
        ("api_call", {"Status": 1}, Reply(variables={"Status": "1"}, outcome="fallback")),
    ],
)
def test_a_fallback_is_of_the_kind_that_is_asked_for(decorator: str, fallback: Any, reply: Reply) -> None:
    """It is converted once, at the declaration."""
    callbacks = Callbacks()
    getattr(callbacks, decorator)(fallback=fallback)(nothing)

    assert callbacks.handlers[0].fallback == reply


@pytest.mark.parametrize(
    ("decorator", "fallback"),
    [
        ("assign_agent", {"group_id": 1}),
        ("before_contact_user", {}),
        ("c2c_signal", object()),
        ("api_call", lambda: {}),  # noqa: PIE807 - a function without a parameter
        ("api_call", lambda one, other: {one: other}),
    ],
)
def test_a_fallback_that_cannot_be_answered_is_refused(decorator: str, fallback: Any) -> None:
    """Another kind of value, or a function that does not take the event alone."""
    assert "fallback= cannot be answered" in refusal_of(decorator, nothing, fallback=fallback)


def fall_back_on_a_variable(OrderID: int) -> dict[str, str]:
    """A fallback that is written as a handler is."""
    return {"Status": str(OrderID)}


def fall_back_on_another_event(event: SessionEvent) -> None:
    """A fallback of another command's event."""


@pytest.mark.parametrize("fallback", [fall_back_on_a_variable, fall_back_on_another_event])
def test_a_fallback_that_takes_no_such_event_is_refused(fallback: Callable[..., Any]) -> None:
    """It is given the whole event, whatever its parameter says."""
    refused = refusal_of("api_call", nothing, fallback=fallback)

    assert f"{fallback.__name__} (" in refused
    assert refused.endswith(
        "a fallback is given the whole event, and no variables; write its parameter as event: ApiCall"
    )


def fall_back_on_any(event: Event) -> dict[str, str]:
    """A fallback of every command."""
    return {"Status": event.node}


def fall_back_on_two(event: ApiCall | SessionEvent) -> dict[str, str]:
    """A fallback of two commands."""
    return {"Status": event.node}


@pytest.mark.parametrize("fallback", [fall_back_on_any, fall_back_on_two, lambda event: {"Status": event.node}])
def test_a_fallback_that_takes_the_event_is_taken(fallback: Callable[..., Any]) -> None:
    """As its class, as a wider one, or without an annotation."""
    callbacks = Callbacks()
    callbacks.api_call("node", fallback=fallback)(nothing)

    assert callbacks.handlers[0].fallback is fallback


def test_an_app_goes_before_conditions() -> None:
    """Of all handlers that fit, the one for the app is meant first, then the one with the most conditions."""
    callbacks = Callbacks()
    callbacks.assign_agent(when={"ClientUserId": "vip", "SessionId": "s"})(lambda: Assignment(1))
    callbacks.assign_agent(app="1400000001")(lambda: Assignment(2))
    callbacks.assign_agent(app="1400000001", when={"SessionId": "s"})(lambda: Assignment(3))
    packet = {"CallbackCommand": ASSIGN_AGENT[0], "ClientUserId": "vip"}

    assert reply(callbacks, of_app("1400000001", packet)).fields == {"AgentGroupId": 2}
    assert reply(callbacks, of_app("1400000001", packet | {"SessionId": "s"})).fields == {"AgentGroupId": 3}
    assert reply(callbacks, of_app("1400000002", packet | {"SessionId": "s"})).fields == {"AgentGroupId": 1}


@pytest.mark.parametrize("app", [[], (), iter(())])
def test_an_empty_list_of_apps_is_not_all_apps(app: Any) -> None:
    """Such as an empty variable of the environment makes."""
    assert "app= names no app" in refusal_of("assign_agent", nothing, app=app)


def test_a_list_or_an_object_fits_no_condition() -> None:
    """However long it is, it is not written out to be compared."""
    callbacks = Callbacks()
    callbacks.assign_agent(when={"ClientUserId": "[]"})(lambda: Assignment(1))

    assert callbacks.find(event_of(AssignAgent, ClientUserId=[])) is None


def test_a_documented_field_in_another_spelling_is_refused() -> None:
    """As a condition and as a parameter: it would never be there."""

    def function(session_id: str) -> None: ...

    assert refusal_of("assign_agent", nothing, when={"sessionid": "s"}).endswith(
        "when= names 'sessionid'; write 'SessionId', as the packet does"
    )
    assert refusal_of("assign_agent", function).endswith(
        "a parameter names 'session_id'; write 'SessionId', as the packet does"
    )


def test_an_event_that_may_be_none_is_no_event() -> None:
    """It would be taken for a field that no packet has."""

    def function(event: AssignAgent | None) -> None: ...

    assert refusal_of("assign_agent", function).endswith("write event: AssignAgent")


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


def test_a_static_fallback_keeps_to_the_outputs() -> None:
    """What the handler declares is what the flow may rely on."""

    class Status(TypedDict):
        OrderStatus: str

    def function() -> Status: ...  # type: ignore[empty-body]  # never called

    assert "Other is not declared" in refusal_of("api_call", function, fallback={"OrderStatus": "", "Other": ""})
    assert "OrderStatus is declared and missing" in refusal_of("api_call", function, fallback={})


class Plain:
    """A class of an integrator's."""


class Speaks(Protocol):
    """A protocol that cannot be asked."""

    def speak(self) -> str: ...


def returning(annotation: Any) -> Any:
    """A function that says it returns something."""

    def function() -> None: ...

    function.__annotations__["return"] = annotation
    return function


@pytest.mark.parametrize(
    ("decorator", "annotation", "shown"),
    [
        ("api_call", list[str], "list[str]"),
        ("api_call", int, "int"),
        ("api_call", "str", "str"),
        ("api_call", Plain, "tests.shared.handlers.test_handler.Plain"),
        ("api_call", dict[str, str] | str, "str"),
        ("api_call", Annotated[int, "said"], "int"),
        ("api_call", Awaitable[int], "int"),
        ("api_call", Literal["unknown"], "str"),
        ("api_call", NewType("Name", str), "str"),
        ("api_call", RootModel[list[int]], "list[int]"),
        ("api_call", tuple[dict[str, str], int], "tuple[dict[str, str], int]"),
        ("api_call", Callable[[], int], "collections.abc.Callable[[], int]"),
        ("api_call", type[BaseModel], "type[pydantic.main.BaseModel]"),
        ("api_call", dict[int, str], "dict[int, str]"),
        ("api_call", dict[str, Plain], "dict[str, tests.shared.handlers.test_handler.Plain]"),
        (
            "api_call",
            Mapping[str, Callable[[], int]],
            "collections.abc.Mapping[str, collections.abc.Callable[[], int]]",
        ),
        ("api_call", Assignment, "shared.handlers.results.Assignment"),
        ("assign_agent", int, "int"),
        ("assign_agent", dict[str, int], "dict[str, int]"),
        ("assign_agent", Assignment | str, "str"),
        ("before_contact_user", bool, "bool"),
        ("before_contact_user", dict[str, str], "dict[str, str]"),
        ("c2c_signal", Plain, "tests.shared.handlers.test_handler.Plain"),
        ("c2c_signal", Callable[[], int], "collections.abc.Callable[[], int]"),
    ],
)
def test_a_result_that_can_never_be_answered_is_refused(decorator: str, annotation: Any, shown: str) -> None:
    """At import: with a fallback, every call would seem to succeed."""
    function = returning(annotation)

    refused = refusal_of(decorator, function)

    assert refused.startswith(f"{describe(function)}: it may return {shown}, which cannot be answered; return ")


def test_a_fallback_whose_result_can_never_be_answered_is_refused() -> None:
    """It is asked when it is needed most."""

    def fallback(_: Any) -> int:
        return 1

    assert refusal_of("api_call", nothing, fallback=fallback).startswith(
        f"{describe(fallback)}: it may return int, which cannot be answered; return a dict"
    )


@pytest.mark.parametrize(
    ("decorator", "annotation"),
    [
        *(
            ("api_call", kind)
            for kind in (dict[str, str], Mapping[str, object], dict, OrderedDict[str, int], BaseModel)
        ),
        *(("api_call", kind) for kind in (None, Any, object, NoReturn, Collection[str], Speaks, dict[str, Speaks])),
        *(("api_call", kind) for kind in (Awaitable[dict[str, int]], RootModel[dict[str, int]], TypeVar("T"))),
        *(("api_call", kind) for kind in (dict[str, Any], dict[str, list[date] | None], inspect.Signature.empty)),
        *(("assign_agent", kind) for kind in (Assignment, Assignment | None, None, Any, object)),
        *(("before_contact_user", kind) for kind in (None, NoReturn, Any)),
        *(("c2c_signal", kind) for kind in (list[str], int | None, dict[str, Any], BaseModel, date, Assignment)),
    ],
)
def test_a_result_that_may_be_answered_is_taken(decorator: str, annotation: Any) -> None:
    """Also where nobody can tell."""
    callbacks = Callbacks()

    getattr(callbacks, decorator)(returning(annotation))

    assert len(callbacks.handlers) == 1
