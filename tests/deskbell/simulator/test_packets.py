"""The documented packets as fixtures: by name or command, with other values."""

import json
from typing import Any

import pytest

from deskbell.simulator.packets import command_named, field_from_text, fixture_names, packet_of
from shared.errors import DeclarationError, PacketError
from shared.wire.commands import COMMANDS
from shared.wire.protocol import parse_packet


def test_every_documented_command_has_a_fixture() -> None:
    """`ChatBot.OnAssignAgent` and `ChatBot.OnAssignHuman` share one, with the command that is asked for."""
    packets = [packet_of(command.upper(), now=1.5) for command in COMMANDS]

    assert [packet["CallbackCommand"] for packet in packets] == list(COMMANDS)
    assert {packet["EventTime"] for packet in packets} == {1500}
    assert all(parse_packet(json.dumps(packet).encode()) for packet in packets)
    assert {command_named(name) for name in fixture_names()} == {*COMMANDS} - {"ChatBot.OnAssignHuman"}


def test_fields_differ_from_the_documented_ones_where_one_says_so() -> None:
    """Also those that the documented packet lacks; the fixture itself stays as it is."""
    packet = packet_of("session_event", {"Event": "SessionBegin", "Transfer": True})

    assert (packet["Event"], packet["Transfer"], packet["SatisfactionSelected"]) == ("SessionBegin", True, 5)
    assert packet_of("session_event")["Event"] == "ChatBot.UserSendMsg"


@pytest.mark.parametrize(
    ("command", "fields", "sentence"),
    [
        ("sesion_event", {}, "no command 'sesion_event'; did you mean session_event?"),
        ("nonsense", {}, "no command 'nonsense'; there are api_call, assign_agent, "),
        ("session_event", {"Evnt": "x"}, "session_event: a field names 'Evnt'; write 'Event', as the packet does"),
    ],
)
def test_a_misspelt_command_or_field_is_one_sentence(command: str, fields: dict[str, Any], sentence: str) -> None:
    """With the one that was meant."""
    with pytest.raises((PacketError, DeclarationError)) as raised:
        packet_of(command, fields)

    assert str(raised.value).startswith(sentence)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("Event", "007", "007"),
        ("Seq", "2", 2),
        ("Env", "true", "true"),
        ("Unlisted", "2", "2"),
    ],
)
def test_a_text_becomes_a_field_of_the_documented_type(name: str, text: str, value: Any) -> None:
    """Only what is no text in the documented packet is read as JSON."""
    assert field_from_text("task_flow_event", name, text) == value


@pytest.mark.parametrize(
    ("command", "name", "text", "sentence"),
    [
        (
            "task_flow_event",
            "Seq",
            "two",
            "Seq: expected a whole number such as 1, as in the documented packet, got ",
        ),
        ("task_flow_event", "Seq", "true", "Seq: expected a whole number such as 1, "),
        ("session_event", "IsContactUser", "1", "IsContactUser: expected true or false such as false, as in "),
        ("session_event", "MsgBody", "{}", "MsgBody: expected a JSON list such as [{"),
    ],
)
def test_a_text_of_another_type_is_one_sentence(command: str, name: str, text: str, sentence: str) -> None:
    """It says what was expected, and what came."""
    with pytest.raises(PacketError) as raised:
        field_from_text(command, name, text)

    assert str(raised.value).startswith(sentence)
