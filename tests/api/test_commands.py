"""Every command over real HTTP: its answer, the event that is kept, and what is refused."""

import json
import socket
import time
from typing import Any

import pytest
from redis import Redis

from deskbell import ApiCall, AssignAgent, Assignment, BeforeContactUser, Callbacks, Refuse
from shared.redis.queues import EVENTS, queue
from shared.wire.commands import COMMANDS, event_from_wire
from shared.wire.protocol import RECEIPT, sign
from tests.conftest import PACKETS, ApiFactory
from tests.desk import Desk

PATIENCE = 10


def documented(name: str) -> dict[str, Any]:
    """A documented packet or reply."""
    packet: dict[str, Any] = json.loads((PACKETS / f"{name}.json").read_bytes())
    return packet


def shop() -> Callbacks:
    """Handlers of all four kinds, which answer as the documents do."""
    callbacks = Callbacks()

    @callbacks.api_call
    def summary(call: ApiCall) -> dict[str, str | int]:
        return {"testKey1": "value1" if call.variables["staticKey"] else "", "testKey3": 10}

    @callbacks.assign_agent
    async def assign(event: AssignAgent) -> Assignment:
        assert event.user_id == "123"
        return Assignment(group_id=6521, agents=["penn_svc", "dramon_svc"])

    @callbacks.before_contact_user
    def check(event: BeforeContactUser) -> None:
        if event.group_id == "0":
            raise Refuse("not this group", code=7)

    @callbacks.c2c_signal
    async def echo(data: Any) -> Any:
        return {"echo": data}

    return callbacks


def kept(redis: Redis) -> list[Any]:
    """The events on Redis, as jobs will see them."""
    return [event_from_wire(job.args[0]) for job in queue(EVENTS, redis).jobs]


@pytest.mark.parametrize(
    ("packet", "answer"),
    [
        ("api_call", (PACKETS / "api_call.reply.json").read_bytes().strip()),
        ("assign_agent", (PACKETS / "assign_agent.reply.json").read_bytes().strip()),
        ("before_contact_user", RECEIPT),
        ("c2c_signal", RECEIPT[:-1] + rb',"RspData":"{\"echo\":{\"msg\":\"hello\"}}"}'),
        ("session_event", RECEIPT),
        ("task_flow_event", RECEIPT),
        ("member_event", RECEIPT),
    ],
)
def test_the_documented_packets_get_the_documented_answers(
    redis: Redis, start_api: ApiFactory, packet: str, answer: bytes
) -> None:
    """Byte for byte; the event is kept with its reply, and a repeated delivery gets the same."""
    desk = start_api(shop())
    query = {"RequestID": "r-1"}

    first, second = desk.post(documented(packet), **query), desk.post(documented(packet), **query)

    assert first.content == second.content == answer
    (event,) = kept(redis)
    assert event.raw == documented(packet)
    assert event.reply.envelope == answer
    assert second.headers["x-deskbell-event"] == event.id


def test_without_a_handler_every_command_gets_the_receipt_and_is_kept(redis: Redis, start_api: ApiFactory) -> None:
    """In upper or lower case, and an unknown one, too."""
    desk, commands = start_api(), [*COMMANDS, "Desk.Invented"]

    answers = [
        desk.post({"CallbackCommand": command.lower(), "Body": {}}, CallbackCommand=command.upper())
        for command in commands
    ]

    assert [answer.content for answer in answers] == [RECEIPT] * len(commands)
    assert len(kept(redis)) == len(commands)


def test_a_handler_may_refuse_any_command(start_api: ApiFactory) -> None:
    """`Refuse` chooses code and words."""
    packet = documented("before_contact_user") | {"GroupId": 0}

    assert start_api(shop()).post(packet).json() == {
        "ActionStatus": "FAIL",
        "ErrorInfo": "not this group",
        "ErrorCode": 7,
    }


def test_a_permission_whose_handler_fails_is_refused_unless_its_fallback_allows(start_api: ApiFactory) -> None:
    """`return False` is such a failure."""
    closed, opened = Callbacks(), Callbacks()
    closed.before_contact_user(lambda: False)
    opened.before_contact_user(fallback=lambda event: None)(lambda: False)  # noqa: ARG005 - the event is given

    assert start_api(closed).post(documented("before_contact_user")).json()["ErrorCode"] == 1009
    assert start_api(opened).post(documented("before_contact_user")).content == RECEIPT


def test_without_a_request_id_a_delivery_is_known_by_its_bytes(redis: Redis, start_api: ApiFactory) -> None:
    """EventTime tells two equal events apart, a repeated delivery repeats it (PROTOCOL §4)."""
    desk = start_api(shop())
    packets = [documented("api_call") | {"EventTime": time} for time in (1, 1, 2)]

    answers = [desk.post(packet, RequestID=None) for packet in packets]

    assert answers[0].content == answers[1].content
    assert len(kept(redis)) == 2


@pytest.mark.parametrize("query", [{}, {"SdkAppid": None}, {"SdkAppid": None, "CallbackCommand": None}])
def test_the_verify_button_gets_the_receipt(redis: Redis, start_api: ApiFactory, query: Any) -> None:
    """An authenticated POST with an empty body, with an app or without; nothing is kept (PROTOCOL §1)."""
    answer = start_api().post(b"", **query)

    assert (answer.status_code, answer.content) == (200, RECEIPT)
    assert "x-deskbell-event" not in answer.headers
    assert kept(redis) == []


def test_the_verify_button_must_be_authenticated(start_api: ApiFactory) -> None:
    """An empty body needs a Sign like any other."""
    desk = start_api()

    assert desk.post(b"", SdkAppid=None, Sign=None).json()["ErrorCode"] == 1003
    assert desk.post(b"", SdkAppid=None, Sign=sign("another", "1")).json()["ErrorCode"] == 1003


def test_the_budget_counts_from_the_first_byte(redis: Redis, start_api: ApiFactory) -> None:
    """Headers that came slowly have used it up: the handler is not begun, and the event is kept with that answer."""
    callbacks = Callbacks()

    begun = []

    @callbacks.api_call("node")
    async def node() -> dict[str, str]:
        begun.append(1)
        return {}

    desk = start_api(callbacks, budget_ms=10_000, accept_ms=9200)  # the handler has what keeping the event leaves

    assert b'"ErrorCode":0' in slowly(desk, seconds=0)
    assert b'"ErrorCode":1008' in slowly(desk, seconds=0.9)
    assert len(begun) == 1
    assert len(kept(redis)) == 2


def slowly(desk: Desk, seconds: float) -> bytes:
    """The answer to a call whose last header comes so many seconds after its first byte."""
    body = json.dumps({"CallbackCommand": "Chatbot.InterfaceInvocation", "Body": {}}).encode()
    head = (
        f"POST /callback/node?{desk.query({'CallbackCommand': 'Chatbot.InterfaceInvocation'})} HTTP/1.1\r\n"
        f"Host: desk\r\nConnection: close\r\nContent-Length: {len(body)}\r\n"
    )
    host, port = desk.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
        connection.sendall(head.encode())
        time.sleep(seconds)  # the passing of the budget itself, not a wait for something
        connection.sendall(b"\r\n" + body)
        answer = b""
        while part := connection.recv(65536):
            answer += part
    return answer
