"""Rubbish, structured and not, at the whole api: every answer is an envelope, and what is kept was acknowledged.

hypothesis makes the requests; schemathesis makes others from the api's own OpenAPI document.
"""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from redis import Redis

from api.app import create_app
from deskbell import Assignment, Callbacks
from deskbell.testing import signed_query
from shared.redis.queues import EVENTS, queue_key
from shared.wire.commands import COMMANDS
from tests.conftest import SettingsFactory
from tests.desk import APP, TOKEN, Desk, serving

SECRET = "path-secret-of-the-tests"
MANY = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=30),
    st.sampled_from(["", "\ud800", "\0", "1e999", '{"a":', "//", "__class__", "1" * 5000]),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=10), inner, max_size=4)),
    max_leaves=12,
)
names = st.sampled_from(
    [
        *("Body", "Event", "EventTime", "Seq", "ExecutionId", "SessionId", "ClientUserId", "Data", "GroupId"),
        *("From_Account", "MsgBody", "SystemClientUserID", "OrderID"),
    ]
)
commands = st.one_of(st.sampled_from(COMMANDS), st.sampled_from(COMMANDS).map(str.upper), st.text(max_size=20), values)
packets = st.builds(
    lambda command, fields: {"CallbackCommand": command, **fields},
    commands,
    st.dictionaries(st.one_of(names, st.text(max_size=10)), values, max_size=6),
)
calls = st.builds(
    lambda body: {"CallbackCommand": COMMANDS[0], "Body": body},
    st.one_of(values, st.dictionaries(st.one_of(names, st.text(max_size=10)), values, max_size=6)),
)
bodies = st.one_of(
    st.binary(max_size=200),
    st.one_of(packets, calls, values).map(lambda value: json.dumps(value).encode()),
    st.builds(lambda packet, at: json.dumps(packet).encode()[:at], packets, st.integers(0, 60)),
)
queries = st.dictionaries(
    st.one_of(
        st.sampled_from(["SdkAppid", "sdkappid", "CallbackCommand", "Sign", "RequestTime", "ClientIP"]),
        st.text(max_size=10),
    ),
    st.text(alphabet=st.characters(codec="utf-8"), max_size=20),
    max_size=3,
)
nodes = st.one_of(st.sampled_from(["", "order_status", "hang", "a.b-c"]), st.text(max_size=20))


def handlers() -> Callbacks:
    """Handlers that are strict about what they take, and one of each kind."""
    callbacks = Callbacks()

    @callbacks.api_call(when={"type": "1"}, fallback={"Status": "unknown"})
    def order_status(OrderID: int, Since: float = 0.0) -> dict[str, float]:
        return {"Next": OrderID + 1, "Since": Since}

    @callbacks.api_call
    async def echo(SystemClientUserID: str) -> dict[str, str]:
        return {"User": SystemClientUserID}

    callbacks.assign_agent(lambda: Assignment(6521))
    callbacks.before_contact_user(lambda: None)

    @callbacks.c2c_signal
    def answer(data: Any) -> Any:
        return data

    return callbacks


@pytest.fixture
def desk(redis: Redis, make_settings: SettingsFactory) -> Iterator[Desk]:
    """An api behind a path secret."""
    assert redis.ping()
    with serving(make_settings(path_secret=SecretStr(SECRET)), handlers()) as desk:
        yield desk


def check(answer: httpx.Response, redis: Redis, before: int) -> int:
    """The answer is an envelope, and an event is kept if and only if the answer says so."""
    envelope = answer.json()
    assert list(envelope)[:3] == ["ActionStatus", "ErrorInfo", "ErrorCode"]
    assert (envelope["ActionStatus"] == "OK") is (envelope["ErrorCode"] == 0)
    assert answer.status_code < 500
    kept = redis.llen(queue_key(EVENTS))
    assert isinstance(kept, int)
    assert kept - before == (1 if "x-deskbell-event" in answer.headers else 0)
    return kept


@example(
    body=b'{"CallbackCommand":"Chatbot.InterfaceInvocation","Body":{"type":"1","OrderID":"1e999"}}', node="", query={}
)
@MANY
@given(body=bodies, node=nodes, query=queries)
def test_a_signed_sender_of_rubbish_gets_an_envelope(
    desk: Desk, redis: Redis, body: bytes, node: str, query: dict[str, str]
) -> None:
    """Nothing of it is a 5xx, and what is kept was acknowledged."""
    before = redis.llen(queue_key(EVENTS))
    assert isinstance(before, int)
    signed = [
        field
        for field in signed_query(APP, TOKEN, "").split("&")
        if not field.startswith("CallbackCommand") and field.partition("=")[0] not in query
    ]
    path = f"/{SECRET}/callback" + (f"/{quote(node, safe='')}" if node else "")
    answer = desk.http.post(f"{path}?{'&'.join([*signed, urlencode(query)])}", content=body)

    check(answer, redis, before)


@MANY
@given(
    body=bodies, path=st.text(max_size=40), query=st.text(max_size=60), method=st.sampled_from(["POST", "PUT", "GET"])
)
def test_a_stranger_gets_an_envelope_and_keeps_nothing(
    desk: Desk, redis: Redis, body: bytes, path: str, query: str, method: str
) -> None:
    """Whatever the path, the query and the method; what is kept stays the same."""
    target = f"/{quote(path)}?{quote(query, safe='&=')}"
    answer = desk.http.request(method, target, content=body)

    assert answer.status_code < 500
    if answer.headers["content-type"] == "application/json" and target.partition("?")[0] not in (
        "/healthz",
        "/readyz",
        "/openapi.json",
    ):
        check(answer, redis, 0)
    assert redis.llen(queue_key(EVENTS)) == 0


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_api_is_what_its_openapi_document_says(redis: Redis, make_settings: SettingsFactory) -> None:
    """Schemathesis calls every operation with what the document allows and with what it does not."""
    import schemathesis  # noqa: PLC0415 - half a second, which every process that collects tests would spend

    patient = make_settings(insecure=True, apps={APP: []}, budget_ms=10_000, redis_timeout_ms=2000)  # no 1010 when busy
    app = create_app(patient, handlers()).app
    schema = schemathesis.openapi.from_dict(app.openapi())
    operations: list[Any] = [result.ok() for result in schema.get_all_operations()]  # type: ignore[union-attr]
    assert {operation.path for operation in operations} >= {"/callback", "/callback/{node}", "/healthz", "/readyz"}

    with serving(patient, handlers()) as desk:
        for operation in operations:

            @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), database=None)
            @given(case=operation.as_strategy(), ours=st.booleans())
            def call(case: Any, ours: bool) -> None:
                if ours and "callback" in case.path:  # as Desk would: otherwise hardly a call is of our app
                    case.query = {**case.query, "SdkAppid": APP}
                    case.query.pop("CallbackCommand", None)
                case.call_and_validate(base_url=desk.url)

            call()

    assert redis.llen(queue_key(EVENTS))
