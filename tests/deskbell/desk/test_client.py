"""Desk's REST commands against the stand-in, over real HTTP."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from deskbell import Discard, Jobs, Retry, SessionEvent, Settings, Unavailable
from deskbell.desk import Customer, DeskClient, Desks, SessionEnded, msg_random, text
from deskbell.http import HTTPError
from deskbell.simulator.rest.server import DeskRest
from deskbell.testing import event_of, perform_job
from tests.conftest import SettingsFactory
from tests.logged import capture_logs

APP, KEY = "1400000001", "a-secret-key"
BODY = [text("what-only-the-customer-may-read")]
Work = Callable[[DeskClient], Awaitable[Any]]


@pytest.fixture(scope="module")
def server() -> Iterator[DeskRest]:
    """One stand-in for the module."""
    with DeskRest({APP: KEY, "1400000002": KEY}) as rest:
        yield rest


@pytest.fixture
def rest(server: DeskRest) -> DeskRest:
    """The stand-in, which has received nothing."""
    server.clear()
    return server


def asked(rest: DeskRest, work: Work, **given: Any) -> Any:
    """What commands answer to a client of the stand-in."""

    async def ask() -> Any:
        async with DeskClient(**{"app_id": APP, "key": KEY, "url": rest.url, "seconds": 60, **given}) as desk:
            return await work(desk)

    return asyncio.run(ask())


async def send(desk: DeskClient, random: int = 1) -> Any:
    """One message."""
    return await desk.send_msg("s", BODY, random=random)


def test_a_session_from_its_first_message_to_its_end(rest: DeskRest) -> None:
    """Each command is sent as its page says, and its answer is read with types."""

    async def talk(desk: DeskClient) -> None:
        await send(desk)
        await send(desk)  # the same number: the same message
        part = await desk.send_stream_msg("s", "It is ")
        await desk.send_stream_msg("s", "on its way.", msg_key=part.msg_key, finish=True)
        found = await desk.describe_chat_messages("s", limit=1, oldest_first=True)
        assert (found.total, found.messages[0].body, found.messages[0].role) == (2, BODY, 3)
        assert (await desk.get_session_state("s")).state == "Chatbot"
        to = await desk.transfer_to_human("s", agent_group_id=2)
        assert (to.agent_id, to.is_in_queue) == ("agent1", False)
        assert (await desk.get_session_state("s")).state == "Agent"
        with pytest.raises(Discard, match="141003"):
            await desk.transfer_to_human("s")
        await desk.end_session("s")
        with pytest.raises(SessionEnded):
            await send(desk, 2)

    asked(rest, talk)

    assert [each["MsgBody"] for each in rest.messages] == [BODY]
    assert [each.is_duplicate for each in rest.received[:2]] == [False, True]
    assert rest.received[3].fields == {"SessionId": "s", "Chunk": "on its way.", "MsgKey": "stream_1", "Finish": 1}
    assert rest.received[6].fields == {"SessionId": "s", "AgentGroupId": 2}


def test_a_session_waits_while_its_agents_are_busy(rest: DeskRest) -> None:
    """Who hands it over must be told; and that nobody is there is for the job's author to decide about."""
    rest.set_agents(online=["agent1", "agent2"])
    waits = asked(rest, lambda desk: desk.transfer_to_human("s", agent_ids=["agent2"]))
    rest.set_agents(online=[])

    assert (waits.agent_id, waits.is_in_queue) == ("", True)
    with pytest.raises(Discard, match="141001"):
        asked(rest, lambda desk: desk.transfer_to_human("another"))


def test_a_customer_is_named_where_no_session_is(rest: DeskRest) -> None:
    """With SDK integration; the two names are not mistaken for each other."""
    customer = Customer("user517", "@customer_service_account")
    asked(rest, lambda desk: desk.send_msg(customer, BODY, random=1))
    state = asked(rest, lambda desk: desk.get_session_state(customer))

    assert state.state == "NotInSession"
    assert rest.messages[0]["FromAccount"] == "@customer_service_account"
    assert rest.received[1].fields == {"ClientUserId": "user517", "CustomerServiceId": "@customer_service_account"}


FAULTS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"seconds": 30}, HTTPError, ""),
    ({"half": True}, HTTPError, "only a part of it"),
    ({"status": 500}, HTTPError, "Desk answered 500"),
    ({"status": 503}, Unavailable, "Desk answered 503"),
    ({"status": 429, "retry_after": 7}, Retry, "again after 7 s"),
    ({"status": 404}, Unavailable, "Desk answered 404: the key, the account, the app or the region is wrong"),
    ({"code": 141002}, Retry, "again after 5 s"),
    ({"code": 141000}, Unavailable, "Desk answered 200 141000"),
    ({"code": 141004}, Discard, "Desk answered 200 141004"),
    ({"code": 141005}, SessionEnded, "Desk answered 200 141005"),
    ({"code": 60007}, Retry, "again after 5 s"),
    ({"code": 70009}, Unavailable, "DESKBELL_DESK_KEYS, DESKBELL_DESK_IDENTIFIER and DESKBELL_DESK_URL"),
    ({"code": 199999}, Discard, "Desk answered 200 199999"),
]


@pytest.mark.parametrize(("fault", "error", "said"), FAULTS)
def test_a_failed_command_says_what_the_job_is_to_do(
    rest: DeskRest, fault: dict[str, Any], error: type[Exception], said: str
) -> None:
    """And the job that then runs again sends its message once, whether or not the first attempt was carried out."""
    rest.fail("send_msg", **fault)

    with pytest.raises(error) as raised:
        asked(rest, send, seconds=2 if "seconds" in fault else 60)
    asked(rest, send, seconds=60)

    assert said in str(raised.value)
    assert len(rest.messages) == 1
    for secret in (KEY, rest.url, "usersig", "what-only-the-customer-may-read"):
        assert secret not in str(raised.value)
        assert secret not in repr(raised.value)


@pytest.mark.parametrize(
    ("given", "code"),
    [({"key": "another-key"}, "70009"), ({"app_id": "1400000009"}, "70016"), ({"identifier": "user517"}, "60010")],
)
def test_a_wrong_account_pauses_jobs_and_loses_none(rest: DeskRest, given: dict[str, Any], code: str) -> None:
    """A person must correct it for all of them: none becomes a dead letter meanwhile."""
    with pytest.raises(Unavailable, match=code):
        asked(rest, send, **given)
    assert rest.messages == []


def test_nobody_listening_is_no_answer() -> None:
    """As while Tencent, or the way there, is away."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    async def ask() -> None:
        async with DeskClient(APP, KEY, url=f"http://127.0.0.1:{port}") as desk:
            await send(desk)

    with pytest.raises(HTTPError, match="connection"):
        asyncio.run(ask())


def test_what_cannot_be_sent_is_refused_where_it_is_written() -> None:
    """A number of more than 32 bits, or a region that is none, would fail at each attempt."""
    with pytest.raises(ValueError, match="china, singapore, america or a URL"):
        DeskClient(APP, KEY, url="europe")

    async def ask() -> None:
        async with DeskClient(APP, KEY, url="america") as desk:
            await send(desk, 1 << 32)

    with pytest.raises(ValueError, match="write msg_random"):
        asyncio.run(ask())


@pytest.mark.parametrize(
    ("given", "error", "sentence"),
    [
        ({"random": "1"}, ValueError, "a whole number of 32 bits; write msg_random"),
        *[
            ({"body": body}, ValueError, r'expected a list of elements, got something else; write \[text\("Hello"\)\]')
            for body in ("secret", [], BODY[0], ["secret"], [{"MsgType": "TIMTextElem", "Text": "secret"}])
        ],
        ({"to": ""}, Discard, "got an empty text; the node must send SystemSessionID"),
        ({"to": event_of(SessionEvent, SessionId="secret")}, ValueError, "write event.session_id"),
    ],
)
def test_a_wrong_argument_is_refused_in_a_sentence_before_anything_is_sent(
    rest: DeskRest, given: dict[str, Any], error: type[Exception], sentence: str
) -> None:
    """Desk would say only that something is wrong; the sentence says what to write, and holds no value."""
    arguments: dict[str, Any] = {"to": "s", "body": BODY, "random": 1, **given}
    with pytest.raises(error, match=sentence) as raised:
        asked(rest, lambda desk: desk.send_msg(arguments.pop("to"), arguments.pop("body"), **arguments))
    assert "secret" not in str(raised.value)
    assert rest.received == []


def test_a_def_job_that_runs_a_loop_of_its_own_is_told_to_be_async(
    rest: DeskRest, make_settings: SettingsFactory
) -> None:
    """Another loop's connections would break later, in another job."""
    jobs, desks = Jobs(), Desks()
    jobs.lifespan(desks.lifespan)

    @jobs.on(SessionEvent)
    def greet(event: SessionEvent) -> None:
        asyncio.run(desks.of(event).send_msg(event.session_id, BODY, random=1))

    settings = make_settings(desk_url=rest.url, desk_keys={APP: KEY})
    performed = perform_job(jobs, greet, event_of(SessionEvent, SessionId="s"), settings=settings)

    assert "write the job as async def, without asyncio.run" in str(performed.error)
    assert rest.received == []


def test_jobs_have_a_client_for_each_app_over_one_pool(rest: DeskRest, make_settings: SettingsFactory) -> None:
    """An app without a key is named; what is not open says what to declare; no line holds a key or what was sent."""
    jobs, desks = Jobs(), Desks()

    @jobs.on(SessionEvent)
    async def greet(event: SessionEvent) -> None:
        await desks.of(event).send_msg(event.session_id, BODY, random=msg_random(event, "greet"))
        await desks.of("1400000002").send_msg(event.session_id, BODY, random=msg_random(event, "greet"))

    settings = make_settings(desk_url=rest.url, desk_keys={APP: KEY, "1400000002": KEY})
    event = event_of(SessionEvent, SessionId="s")

    def outcome(given: Settings) -> tuple[str, str]:
        performed = perform_job(jobs, greet, event, settings=given)
        return performed.outcome, str(performed.error)

    assert outcome(settings)[1] == "Desks.of: nothing is open; write jobs.lifespan(desks.lifespan)"
    jobs.lifespan(desks.lifespan)
    with capture_logs() as lines:
        assert [outcome(settings)[0], outcome(settings)[0]] == ["done", "done"]
        assert outcome(make_settings(desk_url=rest.url)) == (
            "dead",
            'DESKBELL_DESK_KEYS: expected the secret key of the app 1400000001, {"1400000001": "key"}, got none',
        )
    assert [(each.app, each.is_duplicate) for each in rest.received] == [
        (APP, False),
        ("1400000002", False),
        (APP, True),
        ("1400000002", True),
    ]
    assert KEY not in str(lines)
    assert "customer-may-read" not in str(lines)
