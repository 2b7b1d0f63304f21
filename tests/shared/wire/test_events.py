"""Events and their way over the wire."""

import dataclasses
import json
import random
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from pydantic_core import to_json

from deskbell import ApiCall, Event
from shared.wire.commands import event_from_wire, received
from shared.wire.events import Reply, new_event_id
from shared.wire.json_values import text
from shared.wire.protocol import API_CALL, envelope
from tests.conftest import PACKETS

APP = "1400000001"
NOON = datetime(2022, 12, 1, 12, 0, 0, 123000, UTC)


def event(command: str = "Desk.SessionEventNotify", /, **fields: Any) -> Event:
    """An event that has just come in."""
    return received({"CallbackCommand": command, **fields}, app_id=APP)


def api_call(**variables: Any) -> Event:
    """An API call that has just come in."""
    return event(API_CALL, Body=variables)


def over_the_wire(sent: Event) -> Event:
    """The event as a worker gets it: through JSON text."""
    return event_from_wire(json.loads(to_json(sent.to_wire())))


def test_an_event_carries_what_the_query_said() -> None:
    """All that came in is there, and no reply yet."""
    query = {"requestid": "r", "clientip": "203.0.113.7", "optplatform": "Web"}
    came = received({"CallbackCommand": API_CALL}, query, app_id=APP, node="n")

    assert (came.app_id, came.node, came.request_id) == (APP, "n", "r")
    assert (came.client_ip, came.platform) == ("203.0.113.7", "Web")
    assert came.reply is None


def test_an_event_is_received_now_to_the_millisecond() -> None:
    """The id, by which events sort, the event and the wire say the same."""
    before = datetime.now(UTC) - timedelta(milliseconds=1)

    came = event()

    assert before <= came.received_at <= datetime.now(UTC) + timedelta(milliseconds=1)
    assert came.received_at.microsecond % 1000 == 0
    assert int(came.id[:12], 16) == came.to_wire()["received_at"] == round(came.received_at.timestamp() * 1000)


@pytest.mark.parametrize("milliseconds", [0, 1, 1001, 1669872112123, 1669872112999, 253402300799999])
def test_an_id_holds_each_millisecond_exactly(milliseconds: int) -> None:
    """Seconds as a float lose nothing of it."""
    identifier = new_event_id(milliseconds / 1000)

    assert len(identifier) == 32
    assert int(identifier[:12], 16) == milliseconds


def test_ids_of_one_millisecond_differ() -> None:
    """80 bits of an id are random, also for an integrator who seeds `random` in each call."""
    assert len({_seeded_id() for _ in range(100)}) == 100


def _seeded_id() -> str:
    random.seed(0)
    return new_event_id(1669872112.0)


@pytest.mark.parametrize(
    "packet", sorted(path.name for path in PACKETS.glob("*.json") if not path.name.endswith(".reply.json"))
)
def test_a_documented_packet_comes_over_the_wire_unchanged(packet: str) -> None:
    """The event a worker gets equals the one that was kept."""
    query = {"requestid": "r1", "clientip": "203.0.113.7", "optplatform": "Web"}
    came = received(json.loads(PACKETS.joinpath(packet).read_bytes()), query, app_id=APP, node="order_status")
    sent = dataclasses.replace(came, reply=Reply(variables={"状态": "已发货"}, outcome="answered", handler_ms=1.5))

    arrived = over_the_wire(sent)

    assert arrived == sent
    assert type(arrived) is type(sent)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(),
        Reply(variables={}),
        Reply(code=7, info="no such order", outcome="refused", handler_ms=0.25),
    ],
)
def test_the_reply_comes_over_the_wire_unchanged(reply: Reply) -> None:
    """No variables and an empty `Body` stay two things."""
    sent = dataclasses.replace(event(), reply=reply)

    assert over_the_wire(sent).reply == reply


def test_from_wire_leaves_the_wire_as_it_was() -> None:
    """RQ may write the arguments again when a job is retried."""
    wire = dataclasses.replace(event(), reply=Reply()).to_wire()
    before = json.dumps(wire)

    Event.from_wire(wire)

    assert json.dumps(wire) == before


def test_an_event_in_another_time_zone_is_the_same_event() -> None:
    """The wire holds an instant, not a time zone."""
    came = event()
    elsewhere = dataclasses.replace(came, received_at=came.received_at.astimezone(timezone(timedelta(hours=8))))

    assert over_the_wire(elsewhere).received_at == came.received_at


def test_a_reply_is_the_envelope_it_was_sent_as() -> None:
    """The bytes of the answer follow from the reply."""
    assert Reply(code=7, info="no").envelope == envelope(7, "no")
    assert Reply(variables={"a": "1"}).envelope == envelope(body={"a": "1"})


def test_an_event_shows_nothing_of_the_packet() -> None:
    """A repr ends in logs and tracebacks; what a customer wrote must not."""
    shown = repr(dataclasses.replace(api_call(Note="planted"), reply=Reply(variables={"Note": "planted"})))

    assert "planted" not in shown


@pytest.mark.parametrize("sent", [1669896000123, "1669896000123", 1669896000123.0])
def test_the_event_time_is_milliseconds_as_number_or_text(sent: Any) -> None:
    """Pages type it Integer and String (PROTOCOL §3.2)."""
    assert event(EventTime=sent).event_time == NOON


def test_the_user_and_the_session_of_an_api_call_are_system_variables() -> None:
    """PROTOCOL §3.1; fields beside `Body` do not count."""
    call = event(
        API_CALL,
        Body={"SystemClientUserID": "user517", "SystemSessionID": "s1"},
        ClientUserId="another",
        SessionId="another",
    )

    assert (call.user_id, call.session_id) == ("user517", "s1")


@pytest.mark.parametrize("came", [event(), api_call(), event(API_CALL, Body=None), event(API_CALL)])
def test_a_user_session_or_body_that_is_not_there_is_empty(came: Event) -> None:
    """A job need not ask first."""
    assert (came.user_id, came.session_id) == ("", "")
    assert not isinstance(came, ApiCall) or came.variables == {}


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ({}, True),
        ({"type": "1"}, True),
        ({"type": "1", "shop": "tea"}, True),
        ({"type": "1", "paid": "true", "note": ""}, True),
        ({"type": "2"}, False),
        ({"type": "1", "shop": "coffee"}, False),
        ({"other": "1"}, False),
        ({"other": ""}, False),
        ({"TYPE": "1"}, False),
        ({"CallbackCommand": API_CALL}, False),
    ],
)
def test_an_api_call_matches_when_every_variable_is_there_with_its_text(
    *, when: dict[str, str], expected: bool
) -> None:
    """A variable is compared as Desk writes it: numbers as text, null as ""; a missing one never matches."""
    call = api_call(type=1, shop="tea", paid=True, note=None)

    assert call.matches(when) is expected


def test_another_event_matches_by_the_fields_of_its_packet() -> None:
    """What `when=` means follows from the event's class."""
    came = event(Event="SessionBegin", Body={"Event": "other"})

    assert came.matches({"Event": "SessionBegin", "CallbackCommand": "Desk.SessionEventNotify"})
    assert not came.matches({"Event": "other"})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, ""),
        ("", ""),
        ("退费", "退费"),
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (-7, "-7"),
        (1.5, "1.5"),
        (1.0, "1"),
        (-0.5, "-0.5"),
        (1e22, "1" + "0" * 22),
        (1e-07, "0.0000001"),
        (float("inf"), "Infinity"),
    ],
)
def test_a_json_value_has_a_text(value: Any, expected: str) -> None:
    """As Desk writes variables."""
    assert text(value) == expected
