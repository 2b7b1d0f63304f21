"""Every documented packet as a typed event, what comes otherwise than documented, and what makes one delivery."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic_core import to_json

from deskbell import (
    ApiCall,
    AssignAgent,
    BeforeContactUser,
    C2CSignal,
    Event,
    MemberEvent,
    OtherEvent,
    SessionEvent,
    TaskFlowEvent,
)
from deskbell.testing import api_call, event_of
from shared.declarations.options import field_names
from shared.wire.commands import (
    COMMANDS,
    EVENT_CLASSES,
    canonical,
    delivery_identity,
    event_class,
    event_from_wire,
    received,
)
from shared.wire.protocol import API_CALL, parse_packet
from tests.conftest import PACKETS

APP = "1400000001"
TASK_FLOW_EVENT = "Chatbot.TaskFlowEventNotify"  # PROTOCOL §3.3


def documented(name: str) -> Event:
    """The event of a documented packet, as a worker gets it: through JSON text."""
    came = received(json.loads((PACKETS / f"{name}.json").read_bytes()), app_id="1400000001")
    return event_from_wire(json.loads(to_json(came.to_wire())))


def body(**fields: Any) -> bytes:
    """A packet's bytes; an API call unless the fields say otherwise."""
    return json.dumps({"CallbackCommand": API_CALL, "Body": {}, **fields}).encode()


def identity(content: bytes, *, app: str = APP, node: str = "", request_id: str = "") -> str:
    """The identity of a delivery with these bytes."""
    return delivery_identity(received(parse_packet(content), {"requestid": request_id}, app_id=app, node=node), content)


def test_an_unknown_command_keeps_its_spelling() -> None:
    """Commands that no page lists are kept as they came."""
    assert canonical("State.StateChange") == "State.StateChange"


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("spell", [str.lower, str.upper, str.swapcase])
def test_commands_are_read_without_regard_to_case(command: str, spell: Any) -> None:
    """The prefix is spelt in two ways; the event says the documented one, the packet stays as it came."""
    came = received({"CallbackCommand": spell(command)}, app_id="1")

    assert type(came) is event_class(command)
    assert came.command == command
    assert came.raw == {"CallbackCommand": spell(command)}


@pytest.mark.parametrize(
    ("packet", "kind", "attributes"),
    [
        (
            "api_call",
            ApiCall,
            {"user_id": "user517", "session_id": "207cac25-f49e-4ada-9c9f-301cea31dcf2"},
        ),
        ("assign_agent", AssignAgent, {"session_id": "aa-bb-cc-dd", "user_id": "123"}),
        (
            "before_contact_user",
            BeforeContactUser,
            {
                "user_id": "test_user_id",
                "channel_id": "@customer_service_account",
                "channel_type": "SDK",
                "group_id": "4011",
                "member_id": "staff@test.com",
            },
        ),
        (
            "c2c_signal",
            C2CSignal,
            {
                "user_id": "user01",
                "to_account": "@RBT#chatbot",
                "message_key": "8765_5678_4321",
                "data": {"msg": "hello"},
            },
        ),
        (
            "session_event",
            SessionEvent,
            {
                "event_name": "ChatBot.UserSendMsg",
                "session_id": "2baf4d84-beb4-4607-a1ea-6ebcaef3e0e6",
                "user_id": "your_user_id",
                "channel_type": "SDK",
                "customer_service_id": "@customer_service_account",
                "agent_id": "test@qq.com",
                "message_key": "152_1600012345_abcdefg",
                "message_body": [{"MsgType": "TIMTextElem", "MsgContent": {"Text": "请问如何申请退费?"}}],
                "cloud_custom_data": "your cloud custom data",
                "is_contact_user": False,
                "satisfaction": 5,
                "forward_from_agent_id": "",
            },
        ),
        (
            "task_flow_event",
            TaskFlowEvent,
            {
                "event_name": "TaskBegin",
                "seq": 1,
                "execution_id": "cf634425-a0ba-49d5-b205-86ba2441de96",
                "task_id": "3474",
                "task_name": "售后咨询",
                "env": "production",
                "robot_id": "@RBT#DeskDefaultRobot",
                "node_id": "node-start-1",
                "node_name": "开始",
                "next_node_id": "node-reply-1",
                "channel_type": "SDK",
                "customer_service_id": "@customer_service_account",
            },
        ),
        (
            "member_event",
            MemberEvent,
            {
                "event_name": "Member.StatusChange",
                "member_id": "test@qq.com",
                "status": "free",
                "client_info": [{"ClientType": "Web", "IsConnected": True}],
                "rest_reason": "",
                "user_id": "",
            },
        ),
    ],
)
def test_the_documented_packets_are_typed_events(packet: str, kind: type[Event], attributes: dict[str, Any]) -> None:
    """Each attribute holds what the packet says, also after the way over Redis."""
    event = documented(packet)

    assert type(event) is kind
    assert {name: getattr(event, name) for name in attributes} == attributes
    assert event.event_time == datetime.fromtimestamp(event.raw["EventTime"] / 1000, UTC)


@pytest.mark.parametrize("kind", EVENT_CLASSES)
def test_every_field_may_be_missing(kind: type[Event]) -> None:
    """Text is "", anything else None; nothing raises."""
    event = received({"CallbackCommand": kind.COMMANDS[0]}, app_id="1")

    names = [name for each in kind.__mro__ for name, value in vars(each).items() if hasattr(value, "__get__")]
    values = [getattr(event, name) for name in names if not name.startswith("_") and not callable(getattr(event, name))]
    assert event.event_time is None
    assert values


@pytest.mark.parametrize(
    "wrong", [None, "", "x", "1.5", [], {}, True, -1, 10**30, 1e300, float("inf"), "9" * 40, {"a": [1]}]
)
@pytest.mark.parametrize("kind", EVENT_CLASSES)
def test_a_field_of_another_type_is_read_as_what_it_should_be(kind: type[Event], wrong: Any) -> None:
    """No value makes an attribute raise, and each keeps its type."""
    fields = dict.fromkeys(field_names(kind).values(), wrong)
    event = api_call(**fields) if kind is ApiCall else event_of(kind, **fields)

    assert isinstance(event.user_id, str)
    assert isinstance(event.session_id, str)
    assert event.event_time is None or event.event_time.tzinfo is UTC


@pytest.mark.parametrize(("came", "seq"), [(7, 7), ("7", 7), (7.0, 7), ("seven", None), (None, None), (True, None)])
def test_a_whole_number_may_come_as_text(came: Any, seq: int | None) -> None:
    """Pages differ about which is which."""
    assert event_of(TaskFlowEvent, Seq=came).seq == seq


def test_the_question_who_takes_a_session_names_the_customer_service_account() -> None:
    """A newer page adds it, for SDK integration only (PROTOCOL §3.2)."""
    assert event_of(AssignAgent, CustomerServiceId="@account").customer_service_id == "@account"
    assert event_of(AssignAgent).customer_service_id == ""


@pytest.mark.parametrize(
    ("came", "said"),
    [(True, True), (False, False), ("true", True), ("False", False), (1, True), ("0", False), ("", None), (None, None)],
)
def test_a_flag_may_come_as_text_or_number(came: Any, said: bool | None) -> None:
    """What is neither is not said."""
    assert event_of(SessionEvent, IsContactUser=came).is_contact_user is said


@pytest.mark.parametrize(
    ("came", "data"),
    [
        ('{"a": [1]}', {"a": [1]}),
        ('"text"', "text"),
        ("no json", "no json"),
        ({"a": 1}, {"a": 1}),
        (None, None),
        (r'["Li \ud83d"]', ["Li \ufffd"]),
    ],
)
def test_a_signals_data_comes_out_of_its_string(came: Any, data: Any) -> None:
    """What is no JSON stays what it is."""
    assert event_of(C2CSignal, Data=came).data == data


def test_fields_and_event_names_that_nobody_listed_are_kept() -> None:
    """`Event` is an open string; unknown fields are in `raw`."""
    event = event_of(SessionEvent, Event="Session.Invented", Invented={"a": 1})

    assert event.event_name == "Session.Invented"
    assert event.raw["Invented"] == {"a": 1}
    assert event.matches({"Event": "Session.Invented"})


def test_an_unlisted_command_is_an_other_event() -> None:
    """It is kept all the same, under the name it came with."""
    event = received({"CallbackCommand": "Desk.Invented", "ClientUserId": 5}, app_id="1")

    assert type(event) is OtherEvent
    assert (event.command, event.user_id) == ("Desk.Invented", "5")


def test_a_request_id_identifies_a_delivery() -> None:
    """Rule 1 of PROTOCOL §4: whatever else differs between two requests."""
    first = identity(body(EventTime=1), node="a", request_id="r1")

    assert identity(body(EventTime=2), node="b", request_id="r1") == first
    assert identity(body(EventTime=1), node="a", request_id="r2") != first
    assert identity(body(EventTime=1), node="a", request_id="r1", app="1400000002") != first


def test_a_request_id_says_nothing_across_commands() -> None:
    """Two commands that share one are two deliveries; two spellings of one command are not."""
    first = identity(body(CallbackCommand="Chatbot.OnAssignAgent"), request_id="r1")

    assert identity(body(CallbackCommand="ChatBot.OnAssignAgent"), request_id="r1") == first
    assert identity(body(CallbackCommand="Chatbot.OnAssignHuman"), request_id="r1") != first


def test_a_task_flow_event_is_identified_by_its_execution_and_number() -> None:
    """Rule 2 of PROTOCOL §4: the bytes may differ; rule 1 comes before it."""
    first = identity(body(CallbackCommand=TASK_FLOW_EVENT, ExecutionId="e", Seq=1, Event="TaskBegin"))

    again = identity(body(CallbackCommand=TASK_FLOW_EVENT.lower(), ExecutionId="e", Seq=1, Env="test"))
    next_one = identity(body(CallbackCommand=TASK_FLOW_EVENT, ExecutionId="e", Seq=2, Event="TaskBegin"))
    another_run = identity(body(CallbackCommand=TASK_FLOW_EVENT, ExecutionId="f", Seq=1, Event="TaskBegin"))
    another_app = identity(body(CallbackCommand=TASK_FLOW_EVENT, ExecutionId="e", Seq=1), app="1400000002")

    assert again == first
    by_request_id = identity(body(CallbackCommand=TASK_FLOW_EVENT, ExecutionId="e", Seq=1), request_id="r1")
    assert len({first, next_one, another_run, another_app, by_request_id}) == 5


@pytest.mark.parametrize(("number", "same"), [(1, "1"), (1, "1.0"), (1, '"1"'), (1, "1e0"), (0, "0.0")])
def test_a_number_is_one_however_json_writes_it(number: int, same: str) -> None:
    """A sender whose numbers are floats, or texts, delivers the same event; 0 is a number like any other."""
    sent = f'{{"CallbackCommand":"{TASK_FLOW_EVENT}","ExecutionId":5,"Seq":{same}}}'.encode()
    first = identity(body(CallbackCommand=TASK_FLOW_EVENT, ExecutionId="5", Seq=number))

    assert identity(sent) == first


@pytest.mark.parametrize("missing", ["ExecutionId", "Seq"])
def test_a_task_flow_event_without_its_number_is_identified_by_its_bytes(missing: str) -> None:
    """Half an identity would make one delivery of many."""
    fields = {"CallbackCommand": TASK_FLOW_EVENT, "ExecutionId": "e", "Seq": 1}
    del fields[missing]

    assert identity(body(**fields, EventTime=1)) != identity(body(**fields, EventTime=2))


def test_other_commands_are_not_identified_by_execution_and_number() -> None:
    """Rule 2 is the task-flow event's alone."""
    first = identity(body(ExecutionId="e", Seq=1, EventTime=1))

    assert identity(body(ExecutionId="e", Seq=1, EventTime=2)) != first


def test_otherwise_the_bytes_identify_a_delivery() -> None:
    """Rule 3 of PROTOCOL §4: app, command and body; a retried delivery repeats its bytes."""
    first = identity(body(EventTime=1))

    assert identity(body(EventTime=1)) == first
    assert identity(body(EventTime=2)) != first
    assert identity(body(EventTime=1), app="1400000002") != first


def test_equal_bytes_for_two_nodes_are_two_deliveries() -> None:
    """Two nodes of one flow may send equal bytes in one millisecond."""
    content = body(EventTime=1)

    assert len({identity(content), identity(content, node="a"), identity(content, node="b")}) == 3


def test_an_identity_is_32_hex_digits_whatever_it_is_made_of() -> None:
    """It is part of a Redis key, so its length must not follow its parts."""
    odd = [
        identity(body(), request_id="\udcff\0" * 1000),
        identity(body(CallbackCommand=TASK_FLOW_EVENT, ExecutionId={"a": [1]}, Seq=int("9" * 4300))),
        identity(body(), node="a" * 64),
    ]

    assert all(len(each) == 32 and int(each, 16) for each in odd)
