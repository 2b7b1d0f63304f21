"""The stand-in of Desk's REST interface: what it refuses, what others read of it, and how it fails."""

import json
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import httpx
import pytest

from deskbell.desk import user_sig
from deskbell.simulator.rest.reading import Inbox, NoStandInError
from deskbell.simulator.rest.server import DeskRest

APP, KEY, WHO = "1400000001", "a-secret-key", "administrator"
NOW = int(time.time())
TEXT = {"MsgType": "TIMTextElem", "MsgContent": {"Text": "hello"}}
MESSAGE = {"SessionId": "s", "MsgRandom": 1, "MsgBody": [TEXT]}


@pytest.fixture(scope="module")
def server() -> Iterator[DeskRest]:
    """One stand-in for the module."""
    with DeskRest({APP: KEY}, clock=lambda: NOW) as rest:
        yield rest


@pytest.fixture
def rest(server: DeskRest) -> DeskRest:
    """The stand-in, which has received nothing."""
    server.clear()
    return server


def query(**other: str) -> dict[str, str]:
    """A query that is in order, but for what is given."""
    sig = user_sig(APP, KEY, WHO, now=NOW)
    return {"sdkappid": APP, "identifier": WHO, "usersig": sig, "random": "7", "contenttype": "json", **other}


def code(rest: DeskRest, command: str, body: Any, **other: str) -> int:
    """The ErrorCode of a request; the status is 200 in any case."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    reply = httpx.post(f"{rest.url}/v4/desk_http_svc/{command}", params=query(**other), content=content, timeout=60)
    assert reply.status_code == 200
    envelope = reply.json()
    assert (envelope["ActionStatus"] == "OK") is (envelope["ErrorCode"] == 0)
    return int(envelope["ErrorCode"])


SIGNED = [
    ({}, 0),
    ({"usersig": user_sig(APP, KEY, WHO, now=NOW - 60, seconds=60)}, 70001),
    ({"usersig": "eJyzMFcAAABdADA_"}, 70003),
    ({"usersig": ""}, 70003),
    ({"usersig": user_sig(APP, "another-key", WHO, now=NOW)}, 70009),
    ({"usersig": user_sig(APP, KEY, "user517", now=NOW)}, 70013),
    ({"usersig": user_sig("1400000002", KEY, WHO, now=NOW)}, 70014),
    ({"sdkappid": "1400000002"}, 70016),
    ({"identifier": "user517", "usersig": user_sig(APP, KEY, "user517", now=NOW)}, 60010),
    ({"random": "4294967296"}, 60002),
    ({"random": "-1"}, 60002),
    ({"contenttype": "xml"}, 60002),
]


@pytest.mark.parametrize(("other", "expected"), SIGNED)
def test_only_what_the_administrator_has_signed_is_carried_out(
    rest: DeskRest, other: dict[str, str], expected: int
) -> None:
    """Signature, validity, account and app; and the rest of the query."""
    assert code(rest, "send_msg", MESSAGE, **other) == expected
    assert len(rest.messages) == (0 if expected else 1)


SHAPES: list[tuple[str, Any, int]] = [
    ("send_msg", b"no JSON", 90001),
    ("send_msg", [], 90001),
    ("send_msg", {**MESSAGE, "MsgBody": []}, 90002),
    ("send_msg", {**MESSAGE, "MsgBody": [{"MsgType": "TIMTextElem", "MsgContent": {}}]}, 90002),
    ("send_msg", {**MESSAGE, "MsgBody": [{"MsgType": "TIMTextElem"}]}, 90002),
    ("send_msg", {**MESSAGE, "MsgBody": [{"MsgType": "TIMFaceElem", "MsgContent": {"Index": 1}}]}, 0),
    ("send_msg", {**MESSAGE, "MsgRandom": "1"}, 141004),
    ("send_msg", {**MESSAGE, "MsgRandom": 1 << 32}, 141004),
    ("send_msg", {"SessionId": "s", "MsgBody": [TEXT]}, 141004),
    ("send_msg", {"MsgRandom": 1, "MsgBody": [TEXT]}, 141004),
    ("send_msg", {**MESSAGE, "SessionId": 5}, 141004),
    ("send_msg", {**MESSAGE, "FromAccount": "@c", "ToAccount": "user517"}, 141004),
    ("send_msg", {"FromAccount": "@c", "ToAccount": "user517", "MsgRandom": 1, "MsgBody": [TEXT]}, 0),
    ("send_msg", {**MESSAGE, "CloudCustomData": 5}, 141004),
    ("send_msg", {**MESSAGE, "ANewerField": 5}, 0),
    ("send_stream_msg", {"SessionId": "s"}, 141004),
    ("send_stream_msg", {"SessionId": "s", "Chunk": "a", "MsgKey": "unknown"}, 141004),
    ("transfer_to_human", {"SessionId": "s", "AgentGroupId": "2"}, 141004),
    ("transfer_to_human", {"SessionId": "s", "AgentIdList": ["somebody else"]}, 141001),
    ("end_session", {}, 141004),
    ("get_session_state", {"ClientUserId": "user517"}, 141004),
    ("describe_chat_messages", {"SessionId": "s", "Limit": 101}, 141004),
    ("describe_chat_messages", {"SessionId": "s", "Order": 3}, 141004),
    ("contact_user", {"SessionId": "s"}, 60002),
]


@pytest.mark.parametrize(("command", "body", "expected"), SHAPES)
def test_what_does_not_have_the_shape_of_its_page_is_refused(
    rest: DeskRest, command: str, body: Any, expected: int
) -> None:
    """A test that passes here must not fail with a tenant because of a name or a type."""
    assert code(rest, command, body) == expected


def test_another_process_reads_what_came_and_has_it_fail(rest: DeskRest) -> None:
    """Such as `deskbell flow` beside `deskbell dev`; a fault that is none is refused in a sentence."""
    code(rest, "send_msg", MESSAGE)
    failed = httpx.post(f"{rest.url}/faults", json={"code": 141002, "times": 2})
    wrong = httpx.post(f"{rest.url}/faults", json={"cod": 141002})

    codes = [code(rest, "end_session", {"SessionId": "s"}) for _ in range(3)]

    assert failed.status_code == 200
    assert (wrong.status_code, wrong.text) == (
        400,
        "expected command, times, status, code, retry_after, half, seconds, got cod\n",
    )
    assert codes == [141002, 141002, 0]
    with closing(Inbox(rest.url)) as inbox:
        assert inbox.after(0)[0].fields == MESSAGE
        before_last = rest.received[-2].number
        assert [(each.command, each.code) for each in inbox.after(before_last)] == [("end_session", 0)]
        assert inbox.after(0) == rest.received
    assert httpx.get(f"{rest.url}/received?after=x").status_code == 404
    assert httpx.post(rest.url, json={}).status_code == 404


@pytest.mark.parametrize(
    ("command", "fault", "sentence"),
    [
        ("send_message", {"status": 500}, "command: expected a command of Desk, got 'send_message'"),
        ("", {"status": "500"}, "status: expected an HTTP status, got '500'"),
        ("", {"code": 141002, "times": 0}, "times: expected a whole number of 1 or more, got 0"),
        ("", {"seconds": -1}, "seconds: expected a number of 0 or more, got -1"),
        ("", {"times": 2}, "expected one of status, code, retry_after, half and seconds, got none"),
    ],
)
def test_a_fault_that_would_never_come_is_refused(
    rest: DeskRest, command: str, fault: dict[str, Any], sentence: str
) -> None:
    """A test would pass without having tried it."""
    with pytest.raises(ValueError, match=sentence):
        rest.fail(command, **fault)


def test_who_is_no_stand_in_is_named() -> None:
    """Tencent is not even asked."""
    for url, said in (("china", "is Tencent's"), ("http://127.0.0.1:1", "must be what `deskbell dev` shows")):
        with closing(Inbox(url)) as inbox, pytest.raises(NoStandInError, match=said):
            inbox.after(0)
