"""Every documented packet as a typed event, and what comes otherwise than documented."""

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
from shared.wire.commands import EVENT_CLASSES, event_class, event_from_wire, received
from shared.wire.protocol import COMMANDS
from tests.conftest import PACKETS


def documented(name: str) -> Event:
    """The event of a documented packet, as a worker gets it: through JSON text."""
    came = received(json.loads((PACKETS / f"{name}.json").read_bytes()), app_id="1400000001")
    return event_from_wire(json.loads(to_json(came.to_wire())))


def test_every_documented_command_has_a_class_of_its_own() -> None:
    """And no class answers to a command that is not documented."""
    assert sorted(command for kind in EVENT_CLASSES for command in kind.COMMANDS) == sorted(COMMANDS)


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
