"""The way of a callback, over real HTTP.

Long, because one file holds what one module promises, each rule with a test that reads alone.
"""

import asyncio
import json
import re
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from redis import Redis

from deskbell import ApiCall, Callbacks, Refuse
from deskbell.testing import packet
from shared.redis.queues import EVENTS, queue
from shared.wire.commands import event_from_wire
from shared.wire.protocol import API_CALL
from tests.conftest import ApiFactory
from tests.desk import APP, Desk, written

SECRET = "a-path-secret-of-some-length"


def one_handler(**options: Any) -> Callbacks:
    """One handler that answers, refuses (order 0) and fails (orders below it)."""
    callbacks = Callbacks()

    @callbacks.api_call("order_status", **options)
    def order_status(OrderID: int) -> dict[str, str]:
        if OrderID == 0:
            raise Refuse("no such order", code=42)
        if OrderID < 0:
            raise ValueError(OrderID)
        return {"OrderStatus": "shipped"}

    return callbacks


def envelope_of(answer: httpx.Response) -> dict[str, Any]:
    """The envelope, its form checked: keys in the documented order, as JSON."""
    assert answer.headers["content-type"] == "application/json"
    pairs = json.loads(answer.content, object_pairs_hook=list)
    names = [name for name, _ in pairs]
    assert names[:3] == ["ActionStatus", "ErrorInfo", "ErrorCode"]
    assert names[3:] in ([], ["Body"])
    envelope: dict[str, Any] = answer.json()
    assert envelope["ActionStatus"] == ("OK" if envelope["ErrorCode"] == 0 else "FAIL")
    return envelope


def kept(redis: Redis) -> list[Any]:
    """The events on the queue, as workers will see them."""
    return [event_from_wire(job.args[0]) for job in queue(EVENTS, redis).jobs]


def test_an_answered_event_is_kept_with_its_reply(start_api: ApiFactory, redis: Redis) -> None:
    """What a job sees is what was sent, what was answered, and the id that the answer carried."""
    desk = start_api(one_handler())

    answer = desk.call("order_status", OrderID="1002", SystemClientUserID="user517")

    (event,) = kept(redis)
    assert isinstance(event, ApiCall)
    assert event.id == answer.headers["x-deskbell-event"]
    assert (event.app_id, event.node, event.user_id) == (APP, "order_status", "user517")
    assert event.variables == {"OrderID": "1002", "SystemClientUserID": "user517"}
    assert event.reply
    assert (event.reply.outcome, event.reply.variables) == ("answered", {"OrderStatus": "shipped"})


@pytest.mark.parametrize(
    ("variables", "node", "code", "outcome"),
    [
        ({"OrderID": "1"}, "nowhere", 1006, "no_handler"),
        ({}, "order_status", 1007, "misfit"),
        ({"OrderID": "seven"}, "order_status", 1007, "misfit"),
        ({"OrderID": "-1"}, "order_status", 1009, "failed"),
        ({"OrderID": "0"}, "order_status", 42, "refused"),
    ],
)
def test_a_failure_of_a_handler_is_answered_and_its_event_kept(
    start_api: ApiFactory, redis: Redis, variables: dict[str, str], node: str, code: int, outcome: str
) -> None:
    """1006 to 1009 and what Refuse chose go out with status 200; the jobs see the reply."""
    desk = start_api(one_handler())

    answer = desk.call(node, **variables)

    assert answer.status_code == 200
    assert envelope_of(answer)["ErrorCode"] == code
    (event,) = kept(redis)
    assert (event.reply.code, event.reply.outcome) == (code, outcome)


def test_the_fallback_answers_for_a_handler_that_fails(start_api: ApiFactory, redis: Redis) -> None:
    """A success with the fallback's variables; the event's outcome tells."""
    desk = start_api(one_handler(fallback={"OrderStatus": "unknown", "Tries": 0}))

    answer = desk.call("order_status", OrderID="-1")

    assert envelope_of(answer)["Body"] == {"OrderStatus": "unknown", "Tries": "0"}
    assert [event.reply.outcome for event in kept(redis)] == ["fallback"]


def test_query_keys_are_read_without_regard_to_case(start_api: ApiFactory) -> None:
    """Pages spell the key SdkAppid and SdkAppId (PROTOCOL §1)."""
    desk = start_api()
    body = packet()

    query = (
        desk.query(body).replace("SdkAppid", "SDKAPPID").replace("Sign=", "sign=").replace("RequestTime", "requesttime")
    )
    answer = desk.http.post(f"/callback?{query}", json=body)

    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"SdkAppid": None}, 1002),
        ({"SdkAppid": ""}, 1002),
        ({"Sign": "é"}, 1003),
        ({"RequestTime": None}, 1003),
    ],
)
def test_who_is_not_tencent_is_refused(start_api: ApiFactory, redis: Redis, query: dict[str, Any], code: int) -> None:
    """An app that is not ours, a Sign that is missing or wrong: 403, and nothing is kept."""
    desk = start_api()

    answer = desk.post(packet(), **query)

    assert (answer.status_code, envelope_of(answer)["ErrorCode"]) == (403, code)
    assert written(redis) == []


def test_behind_a_path_secret_nothing_else_is_there(start_api: ApiFactory, redis: Redis) -> None:
    """A wrong secret is answered like any path that does not exist."""
    desk = start_api(path_secret=SecretStr(SECRET))

    for path in ("/callback", "/wrong-secret-of-some-length/callback", f"/{SECRET}", f"/{SECRET}x/callback"):
        answer = desk.post(packet(), path=path)
        assert (answer.status_code, envelope_of(answer)["ErrorCode"]) == (404, 404)
    assert written(redis) == []


def test_what_is_not_there_is_an_envelope_too(start_api: ApiFactory) -> None:
    """404 and 405 have the form of every other answer."""
    desk = start_api()
    asked = {
        ("POST", "/"): 404,
        ("POST", "/callback//"): 404,
        ("POST", "/callback/order_status//"): 404,
        ("POST", "/callback/a/b"): 404,
        ("POST", "/callback/%2e%2e%2fetc"): 404,
        ("POST", "/callback/" + "n" * 65): 404,
        ("GET", "/callback"): 405,
        ("PUT", "/callback/order_status"): 405,
        ("DELETE", "/healthz"): 405,
        ("GET", "/nothing"): 404,
    }

    answers = {what: desk.http.request(*what) for what in asked}

    assert {what: answer.status_code for what, answer in answers.items()} == asked
    assert {what: envelope_of(answer)["ErrorCode"] for what, answer in answers.items()} == asked


@pytest.mark.parametrize("body", [b"{", b"{}", b'{"CallbackCommand":"a","x":' + b"[" * 5000 + b"]" * 5000 + b"}"])
def test_a_body_that_is_no_packet_is_refused(start_api: ApiFactory, redis: Redis, body: bytes) -> None:
    """Signed as it may be: 400, 1001, and nothing is kept."""
    desk = start_api(one_handler())

    answer = desk.post(body)

    assert (answer.status_code, envelope_of(answer)["ErrorCode"]) == (400, 1001)
    assert written(redis) == []


def test_odd_variables_are_answered_and_kept(start_api: ApiFactory, redis: Redis) -> None:
    """They are well-formed: a success or a FAIL with status 200, and an event that workers can read."""
    desk = start_api(one_handler())
    odd: list[dict[str, Any]] = [
        {f"v{n}": "x" for n in range(10_000)},
        {"OrderID": {"a": [1, {"b": None}]}},
        {"OrderID": 10**300},
        {"OrderID": 1e308},
        {"": "", "\0": "\0", "OrderID": "\0"},
        {"__class__": "x", "self": "y", "OrderID": "1"},
    ]

    answers = [desk.post(packet(**variables), "order_status") for variables in odd]

    assert {answer.status_code for answer in answers} == {200}
    assert {envelope_of(answer)["ErrorCode"] for answer in answers} <= {0, 1007}
    assert [event.variables for event in kept(redis)] == odd


def test_a_number_that_json_cannot_say_is_kept_as_text(start_api: ApiFactory, redis: Redis) -> None:
    """1e999 parses as infinity; RQ's job must stay JSON."""
    desk = start_api()

    answer = desk.post(b'{"CallbackCommand":"Chatbot.InterfaceInvocation","Body":{"x":1e999},"EventTime":1e999}')

    assert answer.status_code == 200
    (event,) = kept(redis)
    assert (event.variables, event.event_time) == ({"x": "Infinity"}, None)


def test_the_commands_in_url_and_body_must_agree(start_api: ApiFactory, redis: Redis) -> None:
    """Without regard to case; else 400 and 1004."""
    desk = start_api()

    differ = desk.post(packet(), CallbackCommand="Member.EventNotify")
    assert (differ.status_code, envelope_of(differ)["ErrorCode"]) == (400, 1004)
    assert written(redis) == []

    agree = desk.post(packet(), CallbackCommand=API_CALL.upper())
    assert agree.status_code == 200


def test_a_body_that_is_announced_too_large_is_not_read(start_api: ApiFactory, redis: Redis) -> None:
    """The answer comes before the body does."""
    desk = start_api(max_body_bytes=2000)
    host, port = desk.url.removeprefix("http://").split(":")

    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(
            f"POST /callback?{desk.query(packet())} HTTP/1.1\r\nHost: x\r\nContent-Length: 2001\r\n\r\n".encode()
        )
        answer = connection.recv(10_000)

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b'"ErrorCode":1005' in answer
    assert written(redis) == []


def test_a_body_that_grows_too_large_is_refused_while_it_is_read(start_api: ApiFactory, redis: Redis) -> None:
    """A body of unknown length ends at the limit, not when its sender ends; the connection is of no use then."""
    desk = start_api(max_body_bytes=2000)
    head = f"POST /callback?{desk.query({})} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"

    answer = exchange(desk, head.encode() + b"7d1\r\n" + b" " * 2001 + b"\r\n")

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b'"ErrorCode":1005' in answer
    assert b"connection: close" in answer.lower()
    assert written(redis) == []


def exchange(desk: Desk, sent: bytes) -> bytes:
    """What comes back for bytes sent as they are, nothing more being sent."""
    host, port = desk.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(sent)
        answer = b""
        while not re.search(rb"\r\n\r\n.*}$", answer, re.DOTALL):  # an envelope's end
            received = connection.recv(10_000)
            assert received, answer
            answer += received
        return answer


def test_a_body_that_does_not_arrive_is_answered_within_the_budget(start_api: ApiFactory, redis: Redis) -> None:
    """A sender that announces a body and stops: 400, 1001, and nothing is kept."""
    desk = start_api(budget_ms=200, redis_timeout_ms=50)
    head = f"POST /callback?{desk.query({})} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{{"

    answer = exchange(desk, head.encode())

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b'"ErrorInfo":"the body did not arrive in time","ErrorCode":1001' in answer
    assert written(redis) == []


def test_a_handler_that_waits_for_ever_leaves_time_to_keep_its_event(start_api: ApiFactory, redis: Redis) -> None:
    """It is given up before the budget ends: 1008, and the event is there."""
    callbacks = Callbacks()

    @callbacks.api_call("waits")
    async def waits() -> dict[str, str]:
        await asyncio.Event().wait()
        return {}

    desk = start_api(callbacks, budget_ms=6000, redis_timeout_ms=2900)

    answer = desk.call("waits")

    assert (answer.status_code, envelope_of(answer)["ErrorCode"]) == (200, 1008)
    assert [event.reply.outcome for event in kept(redis)] == ["out_of_time"]


def test_the_budget_holds_whatever_redis_does(start_api: ApiFactory, redis: Redis, tmp_path: Path) -> None:
    """A server that hangs for longer than the budget, and no disk: 1010, and the event is taken back."""
    (tmp_path / "file").touch()
    desk = start_api(budget_ms=400, redis_timeout_ms=199, spool_dir=tmp_path / "file" / "spool")
    desk.call()
    redis.execute_command("CLIENT", "PAUSE", 60_000, "WRITE")

    try:
        answers = [desk.call() for _ in range(2)]
    finally:
        redis.execute_command("CLIENT", "UNPAUSE")

    assert {(answer.status_code, envelope_of(answer)["ErrorCode"]) for answer in answers} == {(503, 1010)}


def test_a_defect_of_ours_is_an_envelope_and_tells_nothing(
    start_api: ApiFactory, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Status 500 and "internal error"; the text of the exception goes nowhere."""
    desk = start_api()
    monkeypatch.setattr("api.routes.delivery_identity", lambda *_: 1 / 0)

    answer = desk.post(packet())

    assert answer.status_code == 500
    assert envelope_of(answer) == {"ActionStatus": "FAIL", "ErrorInfo": "internal error", "ErrorCode": 500}
    assert written(redis) == []


def test_health_and_readiness(start_api: ApiFactory) -> None:
    """Alive is the process; ready is that events can be kept, with how many wait."""
    desk = start_api()
    desk.call()

    assert desk.http.get("/healthz").json() == {"status": "alive"}
    said = desk.http.get("/readyz").json()
    assert "An acknowledged event is in Redis' memory" in said.pop("durability")["worth"]
    assert said == {
        "status": "ready",
        "redis": "ok",
        "problem": None,
        "lag": 1,
        "spool": {"disk": "ok", "events": 0, "oldest_seconds": None},
        "stuck_handlers": [],
        "blocking_handlers": [],
    }


def test_without_redis_and_a_disk_nothing_is_claimed_to_be_kept(start_api: ApiFactory, tmp_path: Path) -> None:
    """Status 503 and 1010, though the handler has answered; `/readyz` says so."""
    (tmp_path / "file").touch()
    no_redis = SecretStr("redis://127.0.0.1:1/0")
    desk = start_api(one_handler(), redis_url=no_redis, spool_dir=tmp_path / "file" / "spool")

    answer = desk.call("order_status", OrderID="1")

    assert (answer.status_code, envelope_of(answer)["ErrorCode"]) == (503, 1010)
    assert "x-deskbell-event" not in answer.headers
    assert desk.http.get("/readyz").status_code == 503
    assert desk.http.get("/healthz").status_code == 200


@pytest.mark.parametrize("protocol", ["h2c", "websocket"])
def test_a_request_to_upgrade_is_refused(start_api: ApiFactory, redis: Redis, protocol: str) -> None:
    """The parser would give an empty body, taken for the verify button, and read the real one as another request."""
    desk = start_api()
    body = json.dumps(packet()).encode()
    head = (
        f"POST /callback?{desk.query(packet())} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )

    answer = exchange(desk, head.encode() + body)

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b'"ErrorCode":1001' in answer
    assert b"connection: close" in answer.lower()
    assert written(redis) == []
